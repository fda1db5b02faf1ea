/* SPDX-License-Identifier: Apache-2.0 */
/* Puts that are for a key that holds nothing, or something: tests of core/volume_mutate.c. */
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 8192u
#define NOW_S 1000u

static void test_put_if_absent__something_is_live__is_a_conflict_also_when_equal(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, MKV_PUT_IF_ABSENT), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, MKV_PUT_IF_ABSENT), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_put(rig, "key", LENGTH, 2, MKV_PUT_IF_ABSENT), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_get(rig, "key", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_remove(rig, "key"), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "key", LENGTH, 2, MKV_PUT_IF_ABSENT), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "key", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_put_if_present__nothing_is_live__stores_nothing(void **state) {
    (void)state;
    const uint32_t flags = MKV_PUT_REPLACE | MKV_PUT_IF_PRESENT;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, flags), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "key", LENGTH, 2, flags), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "key", LENGTH, 2, flags), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "key", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

/* The second one waits for the lock, and looks behind it. */
static void test_put_if_absent__two_at_a_time__one_is_stored(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "other", LENGTH, 1, 0), MKV_STATUS_OK); /* there is an extent */
    rig->answer_count = 0;
    rig_put_begin(rig, "key", LENGTH, 1, MKV_PUT_IF_ABSENT);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    const struct mkv_op_id first = rig_last(rig)->volume_op;
    rig_put_begin(rig, "key", LENGTH, 2, MKV_PUT_IF_ABSENT);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1);
    rig_put_write(rig, first, 0, LENGTH, 1);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 3);
    assert_int_equal(rig->answers[1].status, MKV_STATUS_OK);
    assert_int_equal(rig->answers[2].kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig->answers[2].status, MKV_STATUS_CONFLICT);
    rig_destroy(rig);
}

/* It looks again when its data is durable: others of its key have gone first. */
static void test_put_if_absent__overtaken__is_refused_and_gives_its_slot_back(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->config.lock_yield_ns = 1000;
    rig_reopen(rig);
    assert_int_equal(rig_put(rig, "other", LENGTH, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_put_begin(rig, "key", LENGTH, 1, MKV_PUT_IF_ABSENT);
    const struct mkv_op_id slow = rig_last(rig)->volume_op;
    rig_put_begin(rig, "key", LENGTH, 2, MKV_PUT_IF_ABSENT);
    rig_tick(rig, 2000);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig->answer_count, 2);
    rig_put_write(rig, rig_last(rig)->volume_op, 1, LENGTH, 2);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    rig_put_write(rig, slow, 0, LENGTH, 1);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_CONFLICT);
    assert_int_equal(rig_get(rig, "key", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_put_if__expired_block__is_as_good_as_absent(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->wall_ms = NOW_S * 1000;
    rig_tick(rig, 1);
    rig->expiry_s = NOW_S + 1;
    assert_int_equal(rig_put(rig, "a", LENGTH, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", LENGTH, 1, 0), MKV_STATUS_OK);
    rig->expiry_s = 0;
    rig->wall_ms = (NOW_S + 1) * 1000;
    assert_int_equal(rig_put(rig, "a", LENGTH, 1, MKV_PUT_IF_ABSENT), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", LENGTH, 1, MKV_PUT_REPLACE | MKV_PUT_IF_PRESENT),
                     MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "b"), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_if_absent__something_is_live__is_a_conflict_also_when_equal),
        cmocka_unit_test(test_put_if_present__nothing_is_live__stores_nothing),
        cmocka_unit_test(test_put_if_absent__two_at_a_time__one_is_stored),
        cmocka_unit_test(test_put_if_absent__overtaken__is_refused_and_gives_its_slot_back),
        cmocka_unit_test(test_put_if__expired_block__is_as_good_as_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
