/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that read and write bundles.
 *
 * Not responsible for: what is in a bundle (bundle.h), and what is read off a command line.
 */
#ifndef MKV_SIM_BUNDLE_COMMAND_H
#define MKV_SIM_BUNDLE_COMMAND_H

#include "sim/bundle.h"

/* Writes a bundle of each failure that its seed alone leads to, into the folder, and says where. */
void mkv_bundles_save(const struct mkv_run_outcome *run, const struct mkv_run_choice *choice,
                      const char *folder, struct mkv_memory *memory);
/* Runs it twice, in memory that differs; returns the exit status. */
int mkv_bundle_replay_command(const char *path, bool json, bool verbose);
/* Makes it smaller, and writes what is left to `output`, or beside it with the ending .min. */
int mkv_bundle_minimize_command(const char *path, const char *output, double seconds_max,
                                bool json);
/* Prints what the bundle holds. */
int mkv_bundle_show_command(const char *path);
/* Prints where its failure begins (bisect.h). */
int mkv_bundle_bisect_command(const char *path, bool json);
/* Prints what clients asked and got, life by life: of the bundle, or of the seed where path is
 * NULL. */
int mkv_timeline_command(const char *path, uint64_t seed, const struct mkv_run_choice *choice);

#endif
