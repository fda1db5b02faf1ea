/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sweep.h"

#include "tests/unit/sim/test.h"

#define SEEDS 4u

static void test_sweep__each_fault__is_struck_at_every_point_and_in_the_recovery(void **state) {
    (void)state;
    static struct mkv_sweep_outcome sweep;
    uint64_t points[MKV_FAULT_COUNT] = {0};
    uint64_t hits[MKV_FAULT_COUNT] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) { /* one alone may draw a short run */
        mkv_sweep_run(seed, UINT32_MAX, test_memory(), &sweep);
        if (sweep.failure_count > 0) {
            fail_msg("seed %u: %s at %u, %u: %s", (unsigned)seed,
                     mkv_fault_info(sweep.failures[0].fault)->name, sweep.failures[0].first_at,
                     sweep.failures[0].second_at, sweep.failures[0].failure.text);
        }
        assert_int_equal(sweep.faults[MKV_FAULT_SLOW].runs, 0);
        assert_int_equal(sweep.faults[MKV_FAULT_REORDERING].runs, 0);
        for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
            assert_true(sweep.faults[fault].points <= MKV_SWEEP_POINTS_MAX);
            points[fault] += sweep.faults[fault].points;
            hits[fault] += sweep.faults[fault].hits;
        }
    }
    static const enum mkv_fault always[] = {
        MKV_FAULT_FLUSH_ERROR, MKV_FAULT_READ_DEVICE, MKV_FAULT_WRITE_MEDIUM,
        MKV_FAULT_LOST_WRITE,  MKV_FAULT_GONE,        MKV_FAULT_READ_ONLY,
    };
    for (uint32_t index = 0; index < sizeof always / sizeof always[0]; index++) {
        assert_true(points[always[index]] > 40);
        assert_true(hits[always[index]] > points[always[index]] * 2); /* with and without a second
                                                                         strike */
    }
}

static void test_sweep__one_fault__runs_that_alone(void **state) {
    (void)state;
    static struct mkv_sweep_outcome sweep;
    mkv_sweep_run(2, 1u << MKV_FAULT_SWAPPED, test_memory(), &sweep);
    assert_true(sweep.runs > 2);
    assert_true(sweep.runs == sweep.faults[MKV_FAULT_SWAPPED].runs);
    assert_int_equal(sweep.failure_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep__each_fault__is_struck_at_every_point_and_in_the_recovery),
        cmocka_unit_test(test_sweep__one_fault__runs_that_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
