/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/minimize.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Other decisions that are tried where the ones that there are no longer lead to the failure: for a
 * step that leaves much out, and for one that leaves out little. */
#define TRIES_MANY 96u
#define TRIES_FEW 24u
/* Turns for each crash where both are bounded. */
#define TURNS_OF_A_CRASH 16u
/* So many rounds of all steps at most. A round that gains nothing while more operations are left
 * than people like to read makes the next one try so many times as much. */
#define ROUNDS_MAX 16u
#define OPERATIONS_WANTED 8u
#define EFFORT_STEP 4u
#define EFFORT_MAX 64u

struct search {
    struct mkv_bundle *bundle; /* the smallest so far */
    struct mkv_memory *memory;
    struct mkv_seed_outcome *outcome;
    struct mkv_minimize_figures *figures;
    double end_s;
    uint64_t turns; /* of the smallest so far, up to its failure */
    uint32_t effort;
};

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
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
    bundle->shape.turns_max =
        (uint32_t)mkv_max_u64(1, mkv_min_u64(outcome->report.client_turns, UINT32_MAX));
    bundle->trace_hash = outcome->report.trace_hash;
    (void)snprintf(bundle->text, sizeof bundle->text, "%s", outcome->failure.text);
    search->turns = outcome->report.client_turns;
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
        mkv_run_shaped(search->bundle->seed, search->memory, NULL, NULL, 0, outcome);
        search->figures->runs++;
        if (mkv_bundle_is_same(search->bundle, outcome)) {
            keep(search);
            return true;
        }
    }
    return false;
}

/* Few crashes and turns, then twice as many, and so on up to what there is: short runs are tried
 * first, as they cost least. */
static bool shorten(struct search *search) {
    const struct mkv_shape *now = &search->bundle->shape;
    for (uint64_t limit = 1; !is_over(search); limit *= 2) {
        struct mkv_shape shape = *now;
        shape.crashes_max = (uint32_t)mkv_min_u64(limit, now->crashes_max);
        shape.turns_max = (uint32_t)mkv_min_u64(limit * TURNS_OF_A_CRASH, search->turns);
        if (shape.crashes_max == now->crashes_max && shape.turns_max == search->turns) {
            return false;
        }
        if (try_shape(search, &shape, TRIES_MANY)) {
            return true;
        }
    }
    return false;
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
        shape.faults.mask &= ~(1u << fault);
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
    const struct mkv_shape first = bundle->shape;
    const bool fails = try_shape(&search, &first, 1);
    figures->turns_before = bundle->operations;
    bool smaller = fails;
    for (uint32_t round = 0; round < ROUNDS_MAX && smaller && !is_over(&search); round++) {
        smaller = shorten(&search);
        smaller = delete_turns(&search) || smaller;
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
