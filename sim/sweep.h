/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweeps: one seed is run again and again with one fault, which strikes the first operation that it
 * can strike, then the second, and so on until there are no more; and each time once without and
 * once with a second strike in the opening that follows the first.
 *
 *   for each fault   for n = 1, 2, 3 ...   run(strike n), run(strike n, then m in the recovery)
 *
 * Invariants
 *  I1  A sweep ends: at MKV_SWEEP_POINTS_MAX strikes of a fault, or when a run no longer gets to
 *      the n-th operation, or at MKV_SWEEP_FAILURES_MAX failures.
 *
 * Not responsible for: what is printed (command.h).
 */
#ifndef MKV_SIM_SWEEP_H
#define MKV_SIM_SWEEP_H

#include "sim/run.h"

/* Operations of one fault that are struck at most. */
#define MKV_SWEEP_POINTS_MAX 96u
/* The second strike is at one of so many first operations of the recovery, in turn. */
#define MKV_SWEEP_SECONDS_MAX 12u
/* Crashes of each run: those that the fault leads to are among them. */
#define MKV_SWEEP_CRASHES 3u
#define MKV_SWEEP_FAILURES_MAX 8u

struct mkv_sweep_figures {
    uint64_t runs;
    uint64_t points; /* operations that were struck first */
    uint64_t hits;
};

struct mkv_sweep_failure {
    enum mkv_fault fault;
    uint32_t first_at;
    uint32_t second_at;
    struct mkv_failure failure;
};

struct mkv_sweep_outcome {
    struct mkv_sweep_figures faults[MKV_FAULT_COUNT];
    uint64_t runs;
    uint64_t crashes;
    uint32_t failure_count;
    struct mkv_sweep_failure failures[MKV_SWEEP_FAILURES_MAX];
};

/* What a run of a sweep has other than its seed draws it. */
void mkv_sweep_choose(struct mkv_run_choice *choice, enum mkv_fault fault, uint32_t first_at,
                      uint32_t second_at);
/* Whether the fault strikes single operations, or openings. */
bool mkv_sweep_has(enum mkv_fault fault);
/* Sweeps the faults of the mask that can be. */
void mkv_sweep_run(uint64_t seed, uint64_t fault_mask, struct mkv_memory *memory,
                   struct mkv_sweep_outcome *outcome);

#endif
