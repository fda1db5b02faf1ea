/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/minimize.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Other decisions that are tried where the ones that there are no longer lead to the failure, for a
 * step that leaves out little. */
#define TRIES_FEW 24u
/* Crashes, summed over the tries of one limit, of the first ladder of leaps; each one that gains
 * nothing makes the next one so many times as long. */
#define LEAP_CRASHES 192u
#define LEAP_STEP 4u
#define LEAP_CRASHES_MAX (LEAP_CRASHES << 16)
/* Turns for each crash where both are bounded: between these. */
#define TURNS_OF_A_CRASH_MIN 2u
#define TURNS_OF_A_CRASH_MAX 32u
/* Figures that one leap makes smaller, at most. */
#define LEAP_FIELDS_MAX 8u
/* A run may have so many times the inputs and effects of the smallest one, and so many more. */
#define ENTRIES_FACTOR 2u
#define ENTRIES_MORE 4000u
/* So many rounds of all other steps at most. A round that gains nothing while more operations are
 * left than people like to read makes the next one try so many times as much. */
#define ROUNDS_MAX 16u
#define OPERATIONS_WANTED 8u
#define EFFORT_STEP 4u
#define EFFORT_MAX 64u
/* The part of the time that leaps may take. */
#define LEAP_SHARE 0.6

struct search {
    struct mkv_bundle *bundle; /* the smallest so far */
    struct mkv_memory *memory;
    struct mkv_seed_outcome *outcome;
    struct mkv_minimize_figures *figures;
    struct mkv_random random;
    double end_s;
    uint64_t entries_max; /* a run that is so much longer than the smallest is given up */
    uint64_t turns;       /* of the smallest so far, up to its failure */
    uint32_t effort;
};

/* Of the processor: what is left does not depend on what else the machine does. */
static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_over(const struct search *search) {
    return search->figures->runs >= MKV_MINIMIZE_RUNS_MAX || now_s() >= search->end_s;
}

/* Keeps the shape that was run: what comes behind the failure is left out at once. */
static void keep(struct search *search) {
    const struct mkv_seed_outcome *outcome = search->outcome;
    struct mkv_bundle *bundle = search->bundle;
    bundle->shape = outcome->shape;
    if (bundle->shape.turns_max == 0 || bundle->shape.turns_max > outcome->report.client_turns) {
        bundle->shape.turns_max =
            (uint32_t)mkv_max_u64(1, mkv_min_u64(outcome->report.client_turns, UINT32_MAX));
    }
    bundle->trace_hash = outcome->report.trace_hash;
    (void)snprintf(bundle->text, sizeof bundle->text, "%s", outcome->failure.text);
    search->entries_max = outcome->report.entries * ENTRIES_FACTOR + ENTRIES_MORE;
    search->turns = mkv_min_u64(outcome->report.client_turns, bundle->shape.turns_max);
    bundle->operations = mkv_bundle_turns_left(&bundle->shape, search->turns);
}

/* Whether the shape fails in the same way, with its own decisions or with others; if so it is kept.
 */
static bool try_shape(struct search *search, const struct mkv_shape *shape, uint32_t tries) {
    if (!mkv_shape_sound(shape)) {
        return false;
    }
    for (uint32_t turn = 0; turn < tries * search->effort && !is_over(search); turn++) {
        struct mkv_seed_outcome *outcome = search->outcome;
        outcome->shape = *shape;
        mkv_shape_fit(&outcome->shape);
        if (turn > 0) {
            outcome->shape.seed = mkv_random_mix(shape->seed + turn);
        }
        mkv_run_bounded(search->bundle->seed, search->memory, search->entries_max, outcome);
        search->figures->runs++;
        if (mkv_bundle_is_same(search->bundle, outcome)) {
            keep(search);
            return true;
        }
    }
    return false;
}

/* One figure at its least, or between. */
static void shrink_one(struct search *search, struct mkv_shape *shape) {
    const struct mkv_shape_field *field =
        mkv_shape_field_at(mkv_random_below(&search->random, mkv_shape_field_count()));
    const uint64_t value = mkv_shape_field_get(shape, field);
    if (field->shrinks && value > field->least) {
        const uint32_t span = (uint32_t)mkv_min_u64(value - field->least, UINT32_MAX);
        const bool to_least = mkv_random_chance(&search->random, 1, 2);
        const uint64_t smaller =
            field->least + (to_least ? 0 : mkv_random_below(&search->random, span));
        (void)mkv_shape_field_set(shape, field, smaller);
        shape->colliding = (uint32_t)mkv_min_u64(shape->colliding, shape->key_count);
    }
}

/* Another run of the same kind: with so many crashes, few turns, other decisions, and now and then
 * without some of what it may not need. */
static void leap_shape(struct search *search, struct mkv_shape *shape, uint64_t crashes) {
    struct mkv_random *random = &search->random;
    *shape = search->bundle->shape;
    shape->seed = mkv_random_next(random);
    const uint64_t turns =
        crashes * mkv_random_between(random, TURNS_OF_A_CRASH_MIN, TURNS_OF_A_CRASH_MAX);
    shape->crashes_max = (uint32_t)mkv_min_u64(crashes, shape->crashes_max);
    shape->turns_max = (uint32_t)mkv_min_u64(turns, mkv_max_u64(search->turns, 1));
    memset(shape->turns_skipped, 0, sizeof shape->turns_skipped);
    if (mkv_random_chance(random, 1, 2)) {
        shape->faults.mask &= mkv_random_next(random);
    }
    if (mkv_random_chance(random, 1, 4)) {
        shape->faults.mask = 0;
    }
    const uint32_t fields = mkv_random_below(random, LEAP_FIELDS_MAX + 1);
    for (uint32_t field = 0; field < fields; field++) {
        struct mkv_shape smaller = *shape;
        shrink_one(search, &smaller);
        if (mkv_shape_sound(&smaller)) {
            *shape = smaller;
        }
    }
}

/* Whether the shape fails in the same way and leaves fewer operations; if so it is kept. */
static bool try_leap(struct search *search, const struct mkv_shape *shape) {
    struct mkv_seed_outcome *outcome = search->outcome;
    outcome->shape = *shape;
    mkv_shape_fit(&outcome->shape);
    mkv_run_bounded(search->bundle->seed, search->memory, search->entries_max, outcome);
    search->figures->runs++;
    if (!mkv_bundle_is_same(search->bundle, outcome) ||
        mkv_bundle_turns_left(&outcome->shape, outcome->report.client_turns) >=
            search->bundle->operations) {
        return false;
    }
    keep(search);
    return true;
}

/* One ladder: runs of one crash, of two, of four and so on, each for as many crashes. True when
 * one of them is smaller. */
static bool climb(struct search *search, uint64_t crashes_of_a_limit) {
    const uint64_t crashes_max = search->bundle->shape.crashes_max;
    for (uint64_t limit = 1; limit <= crashes_max; limit *= 2) {
        for (uint64_t crashes = 0; crashes < crashes_of_a_limit && !is_over(search);
             crashes += limit) {
            struct mkv_shape shape;
            leap_shape(search, &shape, limit);
            if (mkv_shape_sound(&shape) && try_leap(search, &shape)) {
                return true;
            }
        }
    }
    return false;
}

/* Looks for the same failure in runs that are much smaller, while there is time for that. */
static void leap(struct search *search) {
    const double all_end_s = search->end_s;
    search->end_s = now_s() + (all_end_s - now_s()) * LEAP_SHARE;
    uint64_t crashes = LEAP_CRASHES;
    while (!is_over(search) && search->bundle->operations > OPERATIONS_WANTED &&
           crashes <= LEAP_CRASHES_MAX) {
        if (!climb(search, crashes)) {
            crashes *= LEAP_STEP;
        }
    }
    search->end_s = all_end_s;
}

/* The next `count` turns from *from on that are not left out are; false when there are none. */
static bool leave_out(struct mkv_shape *shape, uint64_t turns, uint64_t *from, uint64_t count) {
    bool any = false;
    for (; *from < mkv_min_u64(turns, MKV_SHAPE_SKIP_MAX) && count > 0; ++*from) {
        if (mkv_shape_has_turn(shape, *from)) {
            shape->turns_skipped[*from / 64] |= 1ull << *from % 64;
            any = true;
            count--;
        }
    }
    return any;
}

static bool delete_turns(struct search *search) {
    const uint64_t before = search->bundle->operations;
    for (uint64_t piece = (before + 1) / 2; piece > 0; piece /= 2) {
        uint64_t from = 0;
        while (!is_over(search)) {
            struct mkv_shape shape = search->bundle->shape;
            if (!leave_out(&shape, search->turns, &from, piece)) {
                break;
            }
            (void)try_shape(search, &shape, TRIES_FEW);
        }
    }
    return search->bundle->operations < before;
}

static bool remove_faults(struct search *search) {
    bool any = false;
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        struct mkv_shape shape = search->bundle->shape;
        if ((shape.faults.mask >> fault & 1u) == 0) {
            continue;
        }
        shape.faults.mask &= ~(1ull << fault);
        if (try_shape(search, &shape, TRIES_FEW)) {
            search->figures->faults_removed++;
            any = true;
        }
    }
    return any;
}

static bool shrink_fields(struct search *search) {
    bool any = false;
    for (uint32_t index = 0; index < mkv_shape_field_count(); index++) {
        const struct mkv_shape_field *field = mkv_shape_field_at(index);
        const uint64_t value = mkv_shape_field_get(&search->bundle->shape, field);
        if (!field->shrinks || value <= field->least) {
            continue;
        }
        const uint64_t smaller[] = {field->least, field->least + (value - field->least) / 2};
        bool done = false;
        for (uint32_t way = 0; way < 2 && !done && smaller[way] < value; way++) {
            struct mkv_shape shape = search->bundle->shape;
            done = mkv_shape_field_set(&shape, field, smaller[way]);
            if (shape.colliding > shape.key_count) {
                shape.colliding = shape.key_count;
            }
            done = done && try_shape(search, &shape, TRIES_FEW);
        }
        search->figures->fields_shrunk += done;
        any = any || done;
    }
    return any;
}

bool mkv_minimize(struct mkv_bundle *bundle, struct mkv_memory *memory, double seconds_max,
                  struct mkv_minimize_figures *figures) {
    *figures = (struct mkv_minimize_figures){0};
    struct search search = {
        .bundle = bundle,
        .memory = memory,
        .outcome = malloc(sizeof(struct mkv_seed_outcome)),
        .figures = figures,
        .end_s = now_s() + seconds_max,
        .effort = 1,
    };
    MKV_ASSERT(search.outcome != NULL);
    mkv_random_seed(&search.random, bundle->seed, MKV_CONCERN_SHAPE);
    const struct mkv_shape first = bundle->shape;
    const bool fails = try_shape(&search, &first, 1);
    figures->turns_before = bundle->operations;
    bool smaller = fails;
    if (fails) {
        leap(&search);
    }
    for (uint32_t round = 0; round < ROUNDS_MAX && smaller && !is_over(&search); round++) {
        smaller = delete_turns(&search);
        smaller = remove_faults(&search) || smaller;
        smaller = shrink_fields(&search) || smaller;
        if (!smaller && bundle->operations > OPERATIONS_WANTED && search.effort < EFFORT_MAX) {
            search.effort *= EFFORT_STEP;
            smaller = true;
        }
    }
    figures->turns_after = bundle->operations;
    free(search.outcome);
    return fails;
}
