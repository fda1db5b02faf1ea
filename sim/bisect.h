/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a failure begins: the shortest beginning of a run behind which the oracle fires. The run is
 * cut off with its n-th input or effect (world.h): the process dies, what it left is recovered,
 * read back and held against the oracles, and nothing more is asked. Halving between a beginning
 * that passes and one that fails finds two that are neighbours.
 *
 *   1 ... good | bad ... n      good passes at each of three ends: nothing that was not durable
 *                               kept, everything kept, the process alone killed
 *
 * An oracle on effects fires with the very effect that is wrong; one on what is recovered, behind
 * the input or effect that made it wrong, long before the run itself met it. A crash of the run
 * itself counts as one: where only what it kept of the drive does harm, it is the first bad one.
 *
 * Invariants
 *  I1  Both neighbours were run. There may be others, where a failure heals and comes again.
 *
 * Not responsible for: leaving out what has no part in the failure (minimize.h).
 */
#ifndef MKV_SIM_BISECT_H
#define MKV_SIM_BISECT_H

#include "sim/bundle.h"

#define MKV_BISECT_LINE_BYTES 256u

struct mkv_bisect_outcome {
    uint64_t good; /* inputs and effects that pass */
    uint64_t bad;  /* one more */
    /* How the run was cut off behind the bad one; when the oracle fired with it, before any cut,
     * `at_once`. */
    enum mkv_cut_end end;
    bool at_once;
    struct mkv_failure failure;
    uint64_t runs;
    char good_line[MKV_BISECT_LINE_BYTES]; /* of the log; empty where there is none before */
    char bad_line[MKV_BISECT_LINE_BYTES];
};

/* NULL, or why there is nothing to find. */
const char *mkv_bisect(const struct mkv_bundle *bundle, struct mkv_memory *memory,
                       struct mkv_bisect_outcome *outcome);
const char *mkv_cut_end_name(enum mkv_cut_end end);

#endif
