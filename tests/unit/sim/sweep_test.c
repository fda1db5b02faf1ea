/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sweep.h"

#include "tests/unit/sim/test.h"

static void test_sweep__each_fault__is_struck_at_every_point_and_in_the_recovery(void **state) {
    (void)state;
    static struct mkv_sweep_outcome sweep;
    mkv_sweep_run(1, UINT32_MAX, test_memory(), &sweep);
    if (sweep.failure_count > 0) {
        fail_msg("%s at %u, %u: %s", mkv_fault_info(sweep.failures[0].fault)->name,
                 sweep.failures[0].first_at, sweep.failures[0].second_at,
                 sweep.failures[0].failure.text);
    }
    assert_int_equal(sweep.faults[MKV_FAULT_SLOW].runs, 0);
    assert_int_equal(sweep.faults[MKV_FAULT_REORDERING].runs, 0);
    static const enum mkv_fault always[] = {
        MKV_FAULT_FLUSH_ERROR, MKV_FAULT_READ_DEVICE, MKV_FAULT_WRITE_MEDIUM,
        MKV_FAULT_LOST_WRITE,  MKV_FAULT_GONE,        MKV_FAULT_READ_ONLY,
    };
    for (uint32_t index = 0; index < sizeof always / sizeof always[0]; index++) {
        const struct mkv_sweep_figures *figures = &sweep.faults[always[index]];
        assert_true(figures->points > 10);
        assert_true(figures->points <= MKV_SWEEP_POINTS_MAX);
        assert_true(figures->hits > figures->points * 2); /* with and without a second strike */
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
