/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv-sim trace FILE`: what part of a trace's blocks our eviction policy and its peers have as
 * leading hits, by cache size.
 *
 * Not responsible for: replaying (trace_replay.h).
 */
#ifndef MKV_SIM_TRACE_COMMAND_H
#define MKV_SIM_TRACE_COMMAND_H

/* argv[2] and on are the command's. Returns the exit status of command.h. */
int mkv_trace_command(int argc, char **argv);

#endif
