/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations below the bound that the durable superblock states. Puts that end without a record
 * use them up; so many of them take too long here, and the tests move the counter instead.
 */
#include "core/volume_internal.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

static void test_volume__few_generations_left__writes_a_superblock(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const uint64_t bound = rig->volume->generation_bound;
    assert_true(bound >= rig->volume->generation_counter + volume_generation_reserve(rig->volume));
    rig->volume->generation_counter = bound - GENERATION_GAP / 4;
    rig_tick(rig, 1);
    rig_settle(rig);
    assert_true(rig->volume->generation_bound > bound);
    assert_false(volume_generations_short(rig->volume));
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__no_generation_left__refuses_the_put_until_there_are_more(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "first", 5000, 1, 0), MKV_STATUS_OK);
    rig_put_begin(rig, "k", 5000, 1, 0);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig->volume->generation_counter = rig->volume->generation_bound;
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    rig_settle(rig);
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__few_generations_left__writes_a_superblock),
        cmocka_unit_test(test_volume__no_generation_left__refuses_the_put_until_there_are_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
