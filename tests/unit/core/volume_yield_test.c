/* SPDX-License-Identifier: Apache-2.0 */
/* Slow puts are overtaken by the mutations of their key that wait behind them. */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define YIELD_NS 1000000u

/* A put of "k" has its slot; its bytes do not come. */
static struct rig *rig_with_slow_put(uint32_t flags, struct mkv_op_id *op) {
    struct rig *rig = rig_create();
    rig->config.lock_yield_ns = YIELD_NS;
    rig_reopen(rig);
    assert_int_equal(rig_put(rig, "first", 5000, 9, 0), MKV_STATUS_OK);
    rig_put_begin(rig, "k", 5000, 1, flags);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    *op = rig_last(rig)->volume_op;
    return rig;
}

/* Another put of "k" begins behind it; returns whether it goes first. */
static bool second_is_ready(struct rig *rig, uint32_t seed, uint64_t later_ns) {
    const uint32_t answers = rig->answer_count;
    rig_put_begin(rig, "k", 5000, seed, 0);
    assert_int_equal(rig->answer_count, answers);
    rig_tick(rig, later_ns);
    return rig->answer_count > answers && rig_last(rig)->kind == MKV_MESSAGE_PUT_READY;
}

static void put_ready(struct rig *rig, uint32_t slab, uint32_t seed) {
    rig_put_write(rig, rig_last(rig)->volume_op, slab, 5000, seed);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
}

static enum mkv_status slow_put_comes(struct rig *rig, struct mkv_op_id op) {
    rig_put_write(rig, op, 1, 5000, 1);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    return rig_last(rig)->status;
}

static void test_put__waited_for_a_moment__keeps_others_waiting(void **state) {
    (void)state;
    struct mkv_op_id op;
    struct rig *rig = rig_with_slow_put(0, &op);
    assert_false(second_is_ready(rig, 1, YIELD_NS / 2));
    /* The second has the same bytes, and need not send them. */
    rig_put_write(rig, op, 0, 5000, 1);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).puts_deduplicated_total, 1);
    assert_int_equal(rig_stats(rig).puts_overtaken_total, 0);
    rig_destroy(rig);
}

static void test_put__overtaken_by_equal_bytes__gives_its_slot_back(void **state) {
    (void)state;
    struct mkv_op_id op;
    struct rig *rig = rig_with_slow_put(0, &op);
    assert_true(second_is_ready(rig, 1, YIELD_NS));
    put_ready(rig, 0, 1);
    assert_int_equal(slow_put_comes(rig, op), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).puts_overtaken_total, 1);
    assert_int_equal(rig_stats(rig).blocks, 2);
    assert_int_equal(rig_stats(rig).slots_used, 2);
    rig_destroy(rig);
}

static void test_put__overtaken_by_other_bytes__is_a_conflict(void **state) {
    (void)state;
    struct mkv_op_id op;
    struct rig *rig = rig_with_slow_put(0, &op);
    assert_true(second_is_ready(rig, 2, YIELD_NS));
    put_ready(rig, 0, 2);
    assert_int_equal(slow_put_comes(rig, op), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).slots_used, 2);
    rig_destroy(rig);
}

static void test_put__that_replaces_and_is_overtaken__replaces_what_is_there_then(void **state) {
    (void)state;
    struct mkv_op_id op;
    struct rig *rig = rig_with_slow_put(MKV_PUT_REPLACE, &op);
    assert_true(second_is_ready(rig, 2, YIELD_NS));
    put_ready(rig, 0, 2);
    assert_int_equal(slow_put_comes(rig, op), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).blocks, 2);
    rig_destroy(rig);
}

static void test_put__overtaken_and_alone_by_then__is_there(void **state) {
    (void)state;
    struct mkv_op_id op;
    struct rig *rig = rig_with_slow_put(0, &op);
    assert_true(second_is_ready(rig, 2, YIELD_NS));
    put_ready(rig, 0, 2);
    assert_int_equal(rig_remove(rig, "k"), MKV_STATUS_OK);
    assert_int_equal(slow_put_comes(rig, op), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put__waited_for_a_moment__keeps_others_waiting),
        cmocka_unit_test(test_put__overtaken_by_equal_bytes__gives_its_slot_back),
        cmocka_unit_test(test_put__overtaken_by_other_bytes__is_a_conflict),
        cmocka_unit_test(test_put__that_replaces_and_is_overtaken__replaces_what_is_there_then),
        cmocka_unit_test(test_put__overtaken_and_alone_by_then__is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
