/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv-sim replay FILE` where the file is a record of `memkv start --record`.
 *
 * Not responsible for: bundles (bundle_command.h).
 */
#ifndef MKV_SIM_RECORD_COMMAND_H
#define MKV_SIM_RECORD_COMMAND_H

#include <stdbool.h>

/* 0: all effects were those of the record, up to its end or to where it is cut off. 1: they were
 * not, or an assertion failed, or the record is damaged, or another build recorded it. */
int mkv_record_replay_command(const char *path, bool as_json, bool verbose);

#endif
