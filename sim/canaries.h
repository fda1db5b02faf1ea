/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The score of the simulator: planted bugs that it finds. They live in a second program,
 * memkv-sim-canary, beside this one: the same files with the core's other archive. This program
 * starts it once for each bug, on each core one at a time; it hunts several times, seed by seed,
 * until an oracle fires, and goes on behind the seed that did. What caught the bug is then run
 * here, on the core that ships, where it must pass. Where seeds are known that caught it, one hunt
 * is made, and begins with those (canary_seeds.h).
 *
 *   memkv-sim canaries  --- memkv-sim-canary hunt --canary N -->  name, faults; what hunts found
 *                       --- replay of those seeds, here ------->  passes_without
 *
 * Invariants
 *  I1  What a hunt finds depends on the two programs and the known seeds alone, not on time, unless
 *      it finds nothing.
 *
 * Not responsible for: the bugs (core/canary.h, wire/lane_canary.h).
 */
#ifndef MKV_SIM_CANARIES_H
#define MKV_SIM_CANARIES_H

#include "core/canary.h"
#include "sim/canary_seeds.h"
#include "sim/run.h"
#include "wire/lane_canary.h"

/* Hunts for each bug; the median of the crashes that they need is its figure. */
#define MKV_CANARY_HUNTS 5u
/* Seeds that a hunt tries, and the seconds it may take, whichever ends first. */
#define MKV_CANARY_SEEDS_MAX 4000u
#define MKV_CANARY_SECONDS_MAX 120.0
#define MKV_CANARY_PROGRAM "memkv-sim-canary"
_Static_assert(MKV_CANARY_HUNTS <= MKV_CANARY_SEEDS_EACH, "a row has a seed of each hunt");

struct mkv_canaries_options {
    bool json;
    const char *seeds;  /* a file of known seeds (canary_seeds.h); NULL: five hunts from seed 1 */
    const char *output; /* where to write those that caught bugs; NULL: nowhere. May be `seeds` */
};
/* Runs every hunt and prints the result; returns the exit status. A row of `seeds` for a bug that
 * there is not fails the run. */
int mkv_canaries_run(const struct mkv_canaries_options *options);

/* The name of the planted bug that is on; empty when none is, as in what ships. */
const char *mkv_canary_planted_name(void);
/* Planted bugs are numbered through: the core's, then the lane's (wire/lane_canary.h). */
#define MKV_CANARIES_ALL ((unsigned)MKV_CANARY_COUNT + (unsigned)MKV_LANE_CANARY_COUNT)
/* The number of the planted bug of this name, or MKV_CANARIES_ALL where this program has none. */
unsigned mkv_canary_of_name(const char *name);
/* Turns it on; false when this program has none of the name. */
bool mkv_canary_plant_named(const char *name);

#ifdef MKV_CANARIES
/* From now on this planted bug is on, and all others are off. */
void mkv_canary_plant(unsigned number);
/* One hunt. */
struct mkv_canary_hunt {
    bool caught;
    bool is_known;         /* by a seed that was known */
    uint64_t seed;         /* that caught it, or the last one tried */
    uint64_t seed_crashes; /* of that seed alone */
    uint64_t crashes;
    struct mkv_failure failure;
};
/* The hunts for one bug, in the program that has them: five, or one where `seeds` is not NULL.
 * Prints a line of fields between tabs, name, faults ("drawn" where the seeds draw them),
 * description, and one for each hunt up to the first that finds nothing: caught (0, 1), by a known
 * seed (0, 1), seed, its crashes, crashes of all seeds tried, oracle, what the oracle said. */
int mkv_canary_hunt(unsigned number, const struct mkv_canary_seeds *seeds);
#endif

#endif
