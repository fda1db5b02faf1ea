/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of seeds: one to its end, or one after another for a time.
 *
 * Invariants
 *  I1  The outcome of a seed depends on the seed and the core alone: not on time, memory, or what
 *      ran before (O13; runs are repeated in other memory to see it).
 *
 * Not responsible for: what is printed (command.h).
 */
#ifndef MKV_SIM_RUN_H
#define MKV_SIM_RUN_H

#include <stdio.h>

#include "sim/failure.h"
#include "sim/images.h"
#include "sim/memory.h"
#include "sim/progress.h"
#include "sim/promise.h"
#include "sim/scenarios.h"
#include "sim/world.h"

/* Failures that a run of many seeds collects before it stops. */
#define MKV_RUN_FAILURES_MAX 8u

/* What is other than the seed draws it; NULL where this is asked for: nothing. */
struct mkv_run_choice {
    const struct mkv_scenario *scenario; /* before the other choices; or NULL */
    bool has_faults;                     /* exactly these */
    uint64_t fault_mask;
    /* Of a sweep (faults.h). */
    bool scripted;
    uint32_t first_at;
    uint32_t second_at;
    uint32_t crashes_max; /* 0: as drawn */
};

struct mkv_seed_outcome {
    bool failed;
    struct mkv_failure failure;
    struct mkv_shape shape;
    struct mkv_world_report report;
};

struct mkv_run_figures {
    uint64_t seeds;
    double seconds;
    struct mkv_world_report report; /* sums */
};

struct mkv_run_outcome {
    uint64_t seed_first;
    uint64_t seeds;
    double seconds;
    uint64_t trace_hash;            /* of the first seed: what replaying it gives */
    struct mkv_world_report report; /* sums over all seeds; their trace_hash is not used */
    struct mkv_run_figures worlds[MKV_WORLD_COUNT];
    struct mkv_run_figures promises[MKV_PROMISE_COUNT];
    uint64_t repeats; /* seeds that were run twice (O13) */
    uint64_t distinct_images;
    uint32_t failure_count;
    struct mkv_failure failures[MKV_RUN_FAILURES_MAX];
};

/* Memory for any run; false when there is none. */
bool mkv_run_memory_create(struct mkv_memory *memory);

/* The shape that the seed draws, with what was chosen. */
void mkv_run_shape(struct mkv_shape *shape, uint64_t seed, const struct mkv_run_choice *choice);
/* Runs outcome->shape to its end, and fills in the rest. `seed` is the one a failure cites. */
void mkv_run_shaped(uint64_t seed, struct mkv_memory *memory, struct mkv_images *images, FILE *log,
                    uint8_t pattern_salt, struct mkv_seed_outcome *outcome);
/* As mkv_run_shaped, for so many inputs and effects at most: a run that has more fails, by
 * MKV_ORACLE_NONE. */
void mkv_run_bounded(uint64_t seed, struct mkv_memory *memory, uint64_t entries_max,
                     struct mkv_seed_outcome *outcome);
/* As mkv_run_shaped, but cut off (world.h). */
void mkv_run_cut(uint64_t seed, struct mkv_memory *memory, FILE *log, uint64_t cut_at,
                 enum mkv_cut_end cut_end, struct mkv_seed_outcome *outcome);
/* Runs what bytes say: the first six which shape and which faults, the others all that happens, in
 * the volume world; none at all is a run in which nothing does (random.h). */
void mkv_run_decided(const uint8_t *bytes, size_t count, struct mkv_memory *memory, FILE *log,
                     struct mkv_seed_outcome *outcome);
/* Runs one seed to its end. `images` and `log` may be NULL; `pattern_salt` as in world.h. */
void mkv_run_seed(uint64_t seed, const struct mkv_run_choice *choice, struct mkv_memory *memory,
                  struct mkv_images *images, FILE *log, uint8_t pattern_salt,
                  struct mkv_seed_outcome *outcome);
/* Fails `first` when another run of its seed came to something else (O13). */
void mkv_run_compare(struct mkv_seed_outcome *first, const struct mkv_seed_outcome *again);
/* Runs a seed twice, in memory that differs, and fails it when the traces differ (O13). */
void mkv_run_seed_twice(uint64_t seed, const struct mkv_run_choice *choice,
                        struct mkv_memory *memory, FILE *log, struct mkv_seed_outcome *outcome);
/* Runs the seeds from `seed` on for `seconds`, at least one. `progress` may be NULL. */
void mkv_run_for(uint64_t seed, double seconds, const struct mkv_run_choice *choice,
                 struct mkv_memory *memory, struct mkv_images *images,
                 struct mkv_progress *progress, struct mkv_run_outcome *outcome);

const char *mkv_world_name(enum mkv_world_kind world);

#endif
