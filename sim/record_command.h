/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv-sim replay RECORD [--any-build] [--json] [--verbose]`, where the file is a record of
 * `memkv start --record`.
 *
 * Not responsible for: bundles (bundle_command.h).
 */
#ifndef MKV_SIM_RECORD_COMMAND_H
#define MKV_SIM_RECORD_COMMAND_H

#include <stdbool.h>

/* Whether the command line is a replay and names a record. */
bool mkv_record_command_takes(int argc, char **argv);
/* Carries it out. 0: all effects were those of the record, up to its end or to where it is cut off.
 * 1: they were not, or an assertion failed, or the record is damaged, or another build recorded it.
 * 2: the command line is wrong. */
int mkv_record_command(int argc, char **argv);

#endif
