/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sweep.h"

bool mkv_sweep_has(enum mkv_fault fault) {
    /* These are properties of the whole run, and drives alone are swept. */
    return fault != MKV_FAULT_SLOW && fault != MKV_FAULT_REORDERING &&
           (uint32_t)fault < MKV_FAULT_DRIVE_COUNT;
}

void mkv_sweep_choose(struct mkv_run_choice *choice, enum mkv_fault fault, uint32_t first_at,
                      uint32_t second_at) {
    MKV_ASSERT(mkv_sweep_has(fault));
    MKV_ASSERT(first_at >= 1);
    *choice = (struct mkv_run_choice){
        .has_faults = true,
        .fault_mask = 1ull << fault,
        .scripted = true,
        .first_at = first_at,
        .second_at = second_at,
        .crashes_max = MKV_SWEEP_CRASHES,
    };
}

/* Runs once; false when the run did not get to the operation that was to be struck first. */
static bool run_point(uint64_t seed, enum mkv_fault fault, uint32_t first_at, uint32_t second_at,
                      struct mkv_memory *memory, struct mkv_sweep_outcome *sweep) {
    struct mkv_run_choice choice;
    struct mkv_seed_outcome outcome;
    mkv_sweep_choose(&choice, fault, first_at, second_at);
    mkv_run_seed(seed, &choice, memory, NULL, NULL, 0, &outcome);
    sweep->runs++;
    sweep->crashes += outcome.report.crashes;
    sweep->faults[fault].runs++;
    sweep->faults[fault].hits += outcome.report.hits[fault];
    if (outcome.failed) {
        sweep->failures[sweep->failure_count++] =
            (struct mkv_sweep_failure){fault, first_at, second_at, outcome.failure};
    }
    return outcome.failed || outcome.report.fault_candidates >= first_at;
}

void mkv_sweep_run(uint64_t seed, uint64_t fault_mask, struct mkv_memory *memory,
                   struct mkv_sweep_outcome *sweep) {
    *sweep = (struct mkv_sweep_outcome){0};
    for (uint32_t index = 0; index < MKV_FAULT_COUNT; index++) {
        const enum mkv_fault fault = (enum mkv_fault)index;
        if ((fault_mask >> index & 1u) == 0 || !mkv_sweep_has(fault)) {
            continue;
        }
        for (uint32_t at = 1; at <= MKV_SWEEP_POINTS_MAX; at++) {
            if (sweep->failure_count == MKV_SWEEP_FAILURES_MAX ||
                !run_point(seed, fault, at, 0, memory, sweep)) {
                break;
            }
            sweep->faults[index].points++;
            if (sweep->failure_count < MKV_SWEEP_FAILURES_MAX) {
                (void)run_point(seed, fault, at, 1 + (at - 1) % MKV_SWEEP_SECONDS_MAX, memory,
                                sweep);
            }
        }
    }
}
