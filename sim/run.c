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
    static const char *const names[MKV_WORLD_COUNT] = {"volume", "front", "set", "shards"};
    return names[world];
}

static void choose(struct mkv_shape *shape, const struct mkv_run_choice *choice) {
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

void mkv_run_shaped(uint64_t seed, struct mkv_memory *memory, struct mkv_images *images, FILE *log,
                    uint8_t pattern_salt, struct mkv_seed_outcome *outcome) {
    struct mkv_trap trap;
    outcome->failed = false;
    outcome->failure = (struct mkv_failure){0};
    outcome->report = (struct mkv_world_report){0};
    mkv_memory_reset(memory);
    const struct mkv_world_options options = {
        .shape = &outcome->shape,
        .memory = memory,
        .images = images,
        .log = log,
        .pattern_salt = pattern_salt,
    };
    mkv_trap_set(&trap);
    if (setjmp(trap.jump) == 0) {
        if (outcome->shape.world == MKV_WORLD_VOLUME) {
            mkv_volume_world_run(&options, &outcome->report);
        } else if (outcome->shape.world == MKV_WORLD_FRONT) {
            mkv_front_world_run(&options, &outcome->report);
        } else if (outcome->shape.world == MKV_WORLD_SHARDS) {
            mkv_shards_world_run(&options, &outcome->report);
        } else {
            mkv_set_world_run(&options, &outcome->report);
        }
        mkv_trap_set(NULL);
        return;
    }
    outcome->failed = true;
    outcome->failure = trap.failure;
    outcome->failure.seed = seed;
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
                 struct mkv_run_outcome *run) {
    *run = (struct mkv_run_outcome){.seed_first = seed};
    const double start_s = now_s();
    double before_s = start_s;
    do {
        struct mkv_seed_outcome outcome;
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
    } while (before_s - start_s < seconds && run->failure_count < MKV_RUN_FAILURES_MAX);
    run->seconds = before_s - start_s;
    run->distinct_images = images == NULL ? 0 : images->count;
}
