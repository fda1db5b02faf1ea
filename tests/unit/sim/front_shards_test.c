/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in which several fronts share clients and volumes: tests of sim/front_shards.c. */
#include "sim/front_world.h"

#include "sim/bundle.h"
#include "sim/run.h"
#include "sim/scenarios.h"
#include "tests/unit/sim/test.h"

#define RUNS 100u

static void test_shape__many_seeds__draw_two_or_three_fronts(void **state) {
    (void)state;
    uint32_t counts[MKV_FRONTS_MAX + 1] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct mkv_shape shape;
        mkv_shape_draw(&shape, seed);
        assert_true(mkv_shape_sound(&shape));
        assert_true(shape.fronts <= 1 || shape.world == MKV_WORLD_FRONT);
        assert_true(shape.fronts <= 1 || shape.connections >= shape.fronts);
        counts[shape.fronts]++;
    }
    assert_true(counts[2] > 5);
    assert_true(counts[3] > 5);
}

/* Requests of every kind come, connections close under them, and the order of steps is the seed's:
 * memory that holds something else beforehand changes nothing (O13). */
static void test_run_seed__routed__meets_what_routers_have_to_handle(void **state) {
    (void)state;
    const struct mkv_run_choice choice = {.scenario = mkv_scenario_find("routed")};
    assert_non_null(choice.scenario);
    struct mkv_diversity sum = {.ring_thousandths = 0};
    uint64_t seed = 0;
    for (uint32_t runs = 0; runs < RUNS; runs++) {
        struct mkv_seed_outcome first;
        struct mkv_seed_outcome again;
        do {
            seed++;
        } while (!mkv_scenario_fits(choice.scenario, seed));
        mkv_run_seed(seed, &choice, test_memory(), NULL, NULL, 0, &first);
        if (first.failed) {
            fail_msg("seed %u: %s", (unsigned)seed, first.failure.text);
        }
        mkv_diversity_add(&sum, &first.report.diversity);
        if (runs % 8 == 0) {
            mkv_run_seed(seed, &choice, test_memory(), NULL, NULL, 200, &again);
            assert_true(first.report.trace_hash == again.report.trace_hash);
        }
    }
    assert_true(sum.figures[MKV_INPUTS_REQUESTS_DIRECT] > 100);
    assert_true(sum.figures[MKV_INPUTS_REQUESTS_WHOLE] > 100);
    assert_true(sum.figures[MKV_INPUTS_REQUESTS_SPLIT] > 100);
    assert_true(sum.figures[MKV_INPUTS_EFFECTS_DROPPED] > 0);
    assert_true(sum.figures[MKV_INPUTS_TRANSFERS_FAILED] > 0);
    assert_true(sum.figures[MKV_INPUTS_SEGMENTS_ABROAD] > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape__many_seeds__draw_two_or_three_fronts),
        cmocka_unit_test(test_run_seed__routed__meets_what_routers_have_to_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
