/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The score of the simulator: planted bugs that it finds. They live in a second program,
 * memkv-sim-canary, beside this one: the same files with the core's other archive. This program
 * starts it once for each bug; it hunts, seed by seed, until an oracle fires. The seed that caught
 * the bug is then run here, on the core that ships, where it must pass.
 *
 *   memkv-sim canaries  --- memkv-sim-canary hunt --canary N -->  {name, caught, oracle, seed, ...}
 *                       --- replay of that seed, here -------->  passes_without
 *
 * Not responsible for: the bugs (core/canary.h).
 */
#ifndef MKV_SIM_CANARIES_H
#define MKV_SIM_CANARIES_H

#include "sim/run.h"

/* Seeds that a hunt tries, and the seconds it may take, whichever ends first. */
#define MKV_CANARY_SEEDS_MAX 2000u
#define MKV_CANARY_SECONDS_MAX 60.0
#define MKV_CANARY_PROGRAM "memkv-sim-canary"

/* Runs every hunt and prints the result; returns the exit status. */
int mkv_canaries_run(bool json);

#ifdef MKV_CANARIES
/* From now on this planted bug is on, and all others are off. */
void mkv_canary_plant(unsigned canary);
/* The hunt for one bug, in the program that has them. Prints one line of fields between tabs:
 * caught (0, 1), oracle, seed, crashes, name, description, what the oracle said. */
int mkv_canary_hunt(unsigned canary);
#endif

#endif
