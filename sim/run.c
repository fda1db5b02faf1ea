/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/run.h"

#include <time.h>

#include "sim/evictions.h"

/* Address space for the largest run; only what is used costs memory. */
#define MEMORY_BYTES (1024ull * MKV_MIB)
/* Of this many seeds one is run again in other memory. */
#define REPEAT_ONE_IN 32u
#define OTHER_SALT 0x5au

bool mkv_run_memory_create(struct mkv_memory *memory) {
    return mkv_memory_create(memory, MEMORY_BYTES);
}

const char *mkv_world_name(enum mkv_world_kind world) {
    static const char *const names[MKV_WORLD_COUNT] = {"volume", "front", "set", "shards", "lanes"};
    return names[world];
}

static void choose(struct mkv_shape *shape, const struct mkv_run_choice *choice) {
    if (choice->scenario != NULL) {
        mkv_scenario_apply(choice->scenario, shape);
    }
    if (choice->has_faults) {
        mkv_fault_plan_set(&shape->faults, choice->fault_mask);
    }
    if (choice->scripted) {
        shape->faults.scripted = true;
        shape->faults.checkpoints = true;
        shape->faults.first_at = choice->first_at;
        shape->faults.second_at = choice->second_at;
    }
    if (choice->crashes_max > 0) {
        shape->crashes_max = choice->crashes_max;
    }
}

void mkv_run_shape(struct mkv_shape *shape, uint64_t seed, const struct mkv_run_choice *choice) {
    mkv_shape_draw(shape, seed);
    if (choice != NULL) {
        choose(shape, choice);
    }
}

/* Runs outcome->shape with these options to its end, and fills in the rest. */
static void run_options(uint64_t seed, struct mkv_world_options *options,
                        struct mkv_seed_outcome *outcome) {
    struct mkv_trap trap;
    outcome->failed = false;
    outcome->failure = (struct mkv_failure){0};
    outcome->report = (struct mkv_world_report){0};
    mkv_memory_reset(options->memory);
    options->shape = &outcome->shape;
    mkv_trap_set(&trap);
    if (setjmp(trap.jump) == 0) {
        if (outcome->shape.world == MKV_WORLD_VOLUME) {
            mkv_volume_world_run(options, &outcome->report);
        } else if (outcome->shape.world == MKV_WORLD_FRONT) {
            mkv_front_world_run(options, &outcome->report);
        } else if (outcome->shape.world == MKV_WORLD_SHARDS) {
            mkv_shards_world_run(options, &outcome->report);
        } else if (outcome->shape.world == MKV_WORLD_LANES) {
            mkv_lanes_world_run(options, &outcome->report);
        } else {
            mkv_set_world_run(options, &outcome->report);
        }
        mkv_trap_set(NULL);
        return;
    }
    outcome->failed = true;
    outcome->failure = trap.failure;
    outcome->failure.seed = seed;
}

void mkv_run_shaped(uint64_t seed, struct mkv_memory *memory, struct mkv_images *images, FILE *log,
                    uint8_t pattern_salt, struct mkv_seed_outcome *outcome) {
    struct mkv_world_options options = {
        .memory = memory, .images = images, .log = log, .pattern_salt = pattern_salt};
    run_options(seed, &options, outcome);
}

void mkv_run_bounded(uint64_t seed, struct mkv_memory *memory, uint64_t entries_max,
                     struct mkv_seed_outcome *outcome) {
    struct mkv_world_options options = {.memory = memory, .entries_max = entries_max};
    run_options(seed, &options, outcome);
}

void mkv_run_cut(uint64_t seed, struct mkv_memory *memory, FILE *log, uint64_t cut_at,
                 enum mkv_cut_end cut_end, struct mkv_seed_outcome *outcome) {
    struct mkv_world_options options = {
        .memory = memory, .log = log, .cut_at = cut_at, .cut_end = cut_end};
    run_options(seed, &options, outcome);
}

/* The shape's seed, of two bytes, and its faults, of four; the rest decides. */
#define DECIDED_HEAD_BYTES 6u
#define DECIDED_SEEDS 0x10000u
#define DECIDED_CRASHES_MAX 16u

void mkv_run_decided(const uint8_t *bytes, size_t count, struct mkv_memory *memory, FILE *log,
                     struct mkv_seed_outcome *outcome) {
    struct mkv_decisions head = {.bytes = bytes, .count = mkv_min_u64(count, DECIDED_HEAD_BYTES)};
    struct mkv_decisions decisions = {.bytes = bytes + head.count, .count = count - head.count};
    uint64_t seed = mkv_decisions_take(&head, 2);
    mkv_shape_draw(&outcome->shape, seed);
    while (outcome->shape.world != MKV_WORLD_VOLUME) {
        seed += DECIDED_SEEDS;
        mkv_shape_draw(&outcome->shape, seed);
    }
    const uint32_t known = (uint32_t)((1ull << MKV_FAULT_DRIVE_COUNT) - 1);
    mkv_fault_plan_set(&outcome->shape.faults, (uint32_t)mkv_decisions_take(&head, 4) & known);
    outcome->shape.crashes_max =
        (uint32_t)mkv_min_u64(outcome->shape.crashes_max, DECIDED_CRASHES_MAX);
    struct mkv_world_options options = {.memory = memory, .log = log, .decisions = &decisions};
    run_options(seed, &options, outcome);
}

void mkv_run_seed(uint64_t seed, const struct mkv_run_choice *choice, struct mkv_memory *memory,
                  struct mkv_images *images, FILE *log, uint8_t pattern_salt,
                  struct mkv_seed_outcome *outcome) {
    mkv_run_shape(&outcome->shape, seed, choice);
    mkv_run_shaped(seed, memory, images, log, pattern_salt, outcome);
}

void mkv_run_compare(struct mkv_seed_outcome *first, const struct mkv_seed_outcome *again) {
    if (first->failed || (!again->failed && again->report.trace_hash == first->report.trace_hash)) {
        return;
    }
    first->failed = true;
    first->failure =
        (struct mkv_failure){.seed = first->shape.seed, .oracle = MKV_ORACLE_SAME_TRACE};
    (void)snprintf(first->failure.text, sizeof first->failure.text,
                   "run again in other memory, the trace is %016llx and was %016llx%s%.300s",
                   (unsigned long long)again->report.trace_hash,
                   (unsigned long long)first->report.trace_hash, again->failed ? "; then " : "",
                   again->failure.text);
}

void mkv_run_seed_twice(uint64_t seed, const struct mkv_run_choice *choice,
                        struct mkv_memory *memory, FILE *log, struct mkv_seed_outcome *outcome) {
    struct mkv_seed_outcome again;
    mkv_run_seed(seed, choice, memory, NULL, log, 0, outcome);
    mkv_run_seed(seed, choice, memory, NULL, NULL, OTHER_SALT, &again);
    mkv_run_compare(outcome, &again);
}

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void count(struct mkv_run_figures *figures, const struct mkv_world_report *report,
                  double seconds) {
    figures->seeds++;
    figures->seconds += seconds;
    mkv_world_report_add(&figures->report, report);
}

void mkv_run_for(uint64_t seed, double seconds, const struct mkv_run_choice *choice,
                 struct mkv_memory *memory, struct mkv_images *images,
                 struct mkv_progress *progress, struct mkv_run_outcome *run) {
    *run = (struct mkv_run_outcome){.seed_first = seed};
    const double start_s = now_s();
    double before_s = start_s;
    do {
        struct mkv_seed_outcome outcome;
        while (choice != NULL && choice->scenario != NULL &&
               !mkv_scenario_fits(choice->scenario, seed)) {
            seed++;
        }
        mkv_run_seed(seed, choice, memory, images, NULL, 0, &outcome);
        if (run->seeds % REPEAT_ONE_IN == 0 && !outcome.failed) {
            struct mkv_seed_outcome again;
            mkv_run_seed(seed, choice, memory, NULL, NULL, OTHER_SALT, &again);
            run->repeats++;
            outcome.report.evaluations++;
            mkv_run_compare(&outcome, &again);
        }
        if (run->seeds == 0) {
            run->trace_hash = outcome.report.trace_hash;
        }
        if (outcome.failed) {
            run->failures[run->failure_count++] = outcome.failure;
        }
        const double after_s = now_s();
        count(&run->worlds[outcome.shape.world], &outcome.report, after_s - before_s);
        count(&run->promises[mkv_promise_of(outcome.shape.faults.mask)], &outcome.report,
              after_s - before_s);
        mkv_world_report_add(&run->report, &outcome.report);
        before_s = after_s;
        run->seeds++;
        seed++;
        if (progress != NULL) {
            mkv_progress_show(progress, before_s - start_s, run->seeds, run->report.crashes,
                              run->failure_count);
        }
    } while (before_s - start_s < seconds && run->failure_count < MKV_RUN_FAILURES_MAX);
    run->seconds = before_s - start_s;
    run->distinct_images = images == NULL ? 0 : images->count;
}
