/* SPDX-License-Identifier: Apache-2.0 */
/* What the volume makes of a drive that fails single operations, or does not answer. */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define STALL_NS 1000000000ull

static struct rig *rig_that_stalls(void) {
    struct rig *rig = rig_create();
    rig->config.stall_ns = STALL_NS;
    rig->config.idle_ns = 1000 * STALL_NS; /* no block of its own comes between */
    rig_reopen(rig);
    return rig;
}

/* Completes what is in flight in order until an operation of that kind is next. */
static void until(struct rig *rig, enum mkv_effect_kind kind) {
    while (rig->queue[0].kind != kind) {
        rig_complete(rig, 0, MKV_IO_OK);
        assert_true(rig->queue_count > 0);
    }
}

static void test_volume__write_that_the_medium_refuses__slot_is_retired_for_good(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig_put_begin(rig, "k", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__write_that_the_device_fails__slot_is_kept_out_until_restart(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig_put_begin(rig, "k", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_complete(rig, 0, MKV_IO_DEVICE);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 0);
    rig_destroy(rig);
}

static void test_volume__block_that_the_medium_lost__slot_is_retired_by_its_drop(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume__lost_block_is_held_by_a_reader__retired_when_it_lets_go(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "k");
    const struct mkv_op_id holder = rig_last(rig)->volume_op;
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    rig_settle(rig);
    mkv_volume_check(rig->volume);
    rig_read(rig, holder, 2, 0, 0);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_stats(rig).slots_used, 1);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__put_over_a_lost_block__drops_it_first_and_retires_its_slot(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_put_begin(rig, "k", 5000, 2, 0);
    rig_complete(rig, 0, MKV_IO_MEDIUM); /* the header of what it would replace */
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 2);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    rig_destroy(rig);
}

/* Reads block `number`; what was told before is forgotten. */
static void read_that_ends(struct rig *rig, uint32_t number, enum mkv_io_result result) {
    char key[16];
    rig->answer_count = 0;
    rig->event_count = 0;
    snprintf(key, sizeof key, "k%u", number);
    rig_find(rig, key);
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_complete(rig, 0, result);
}

#define PLACES 64u

static struct rig *rig_with_blocks(void) {
    struct rig *rig = rig_create();
    for (uint32_t number = 0; number < PLACES; number++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", number);
        assert_int_equal(rig_put(rig, key, 100, 1, 0), MKV_STATUS_OK);
    }
    return rig;
}

static void test_volume__many_places_fail_in_a_row__drive_fails(void **state) {
    (void)state;
    for (uint32_t turn = 0; turn < 2; turn++) {
        const enum mkv_io_result result = turn == 0 ? MKV_IO_DEVICE : MKV_IO_TIMEOUT;
        struct rig *rig = rig_with_blocks();
        for (uint32_t number = 0; number < PLACES; number++) {
            assert_int_equal(rig_stats(rig).state, MKV_VOLUME_SERVING);
            read_that_ends(rig, number, result);
        }
        assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
        assert_int_equal(rig_event(rig, MKV_EVENT_DRIVE_FAILED)->value[0], result);
        rig_destroy(rig);
    }
}

static void test_volume__one_of_many_reads_succeeds__drive_serves_on(void **state) {
    (void)state;
    struct rig *rig = rig_with_blocks();
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t number = 0; number < PLACES - 1; number++) {
            read_that_ends(rig, number, MKV_IO_DEVICE);
        }
        read_that_ends(rig, PLACES - 1, MKV_IO_OK);
    }
    /* One bad spot, however often it is asked for. */
    for (uint32_t turn = 0; turn < 3 * PLACES; turn++) {
        read_that_ends(rig, turn % 2, MKV_IO_DEVICE);
    }
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_SERVING);
    rig_destroy(rig);
}

static void test_volume__write_says_what_ends_the_drive__fails_at_once(void **state) {
    (void)state;
    const enum mkv_io_result results[] = {MKV_IO_GONE, MKV_IO_READ_ONLY, MKV_IO_SHRUNK};
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct rig *rig = rig_create();
        rig_put_begin(rig, "k", 5000, 1, 0);
        rig_settle(rig);
        rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
        rig_complete(rig, 0, results[turn]);
        assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
        assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
        assert_int_equal(rig_event(rig, MKV_EVENT_DRIVE_FAILED)->value[0], results[turn]);
        rig_destroy(rig);
    }
}

static void test_volume__operation_older_than_the_limit__stalls_until_all_are_back(void **state) {
    (void)state;
    struct rig *rig = rig_that_stalls();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "k");
    const struct mkv_op_id found = rig_last(rig)->volume_op;
    rig_put_begin(rig, "n", 5000, 1, 0);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    const struct mkv_op_id reserved = rig_last(rig)->volume_op;
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0); /* the drive keeps this one */
    rig_tick(rig, STALL_NS / 2);
    assert_false(rig_stats(rig).stalled);
    rig_tick(rig, STALL_NS);
    assert_true(rig_stats(rig).stalled);
    assert_non_null(rig_event(rig, MKV_EVENT_DRIVE_STALLED));
    rig_read(rig, found, 2, 0, 0);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_DRIVE_OFFLINE);
    rig_put_write(rig, reserved, 0, 5000, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    rig_find(rig, "k");
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NOT_FOUND);
    rig_put_begin(rig, "k", 5000, 2, 0);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    rig_delete(rig, "k");
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    rig_tenant_drop_begin(rig, 0);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_TENANT_DROP_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig->queue_count, 1); /* nobody joined the one that waits */
    rig_settle(rig);
    assert_false(rig_stats(rig).stalled);
    assert_non_null(rig_event(rig, MKV_EVENT_DRIVE_RESUMED));
    assert_int_equal(rig_stats(rig).stalls_total, 1);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).slots_used, 1);
    rig_destroy(rig);
}

static void test_volume__stall_with_writes_behind_it__ends_when_the_old_ones_are_back(
    void **state) {
    (void)state;
    struct rig *rig = rig_that_stalls();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_put_begin(rig, "n", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_tick(rig, STALL_NS);
    assert_true(rig_stats(rig).stalled);
    until(rig, MKV_EFFECT_DRIVE_FLUSH); /* the write is back; its flush was issued in the stall */
    rig_tick(rig, STALL_NS / 4);
    assert_false(rig_stats(rig).stalled);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__closed_under_a_stall__closes_when_the_drive_answers(void **state) {
    (void)state;
    struct rig *rig = rig_that_stalls();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0); /* the drive keeps this one */
    rig_tick(rig, STALL_NS);
    assert_true(rig_stats(rig).stalled);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    for (uint32_t turn = 0; turn < 10; turn++) {
        rig_settle(rig);
        rig_tick(rig, STALL_NS);
    }
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__no_limit_given__never_stalls(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_tick(rig, 1000 * STALL_NS);
    rig_tick(rig, 1000 * STALL_NS);
    assert_false(rig_stats(rig).stalled);
    rig_settle(rig);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__write_that_the_medium_refuses__slot_is_retired_for_good),
        cmocka_unit_test(test_volume__write_that_the_device_fails__slot_is_kept_out_until_restart),
        cmocka_unit_test(test_volume__block_that_the_medium_lost__slot_is_retired_by_its_drop),
        cmocka_unit_test(test_volume__lost_block_is_held_by_a_reader__retired_when_it_lets_go),
        cmocka_unit_test(test_volume__put_over_a_lost_block__drops_it_first_and_retires_its_slot),
        cmocka_unit_test(test_volume__many_places_fail_in_a_row__drive_fails),
        cmocka_unit_test(test_volume__one_of_many_reads_succeeds__drive_serves_on),
        cmocka_unit_test(test_volume__write_says_what_ends_the_drive__fails_at_once),
        cmocka_unit_test(test_volume__operation_older_than_the_limit__stalls_until_all_are_back),
        cmocka_unit_test(test_volume__stall_with_writes_behind_it__ends_when_the_old_ones_are_back),
        cmocka_unit_test(test_volume__closed_under_a_stall__closes_when_the_drive_answers),
        cmocka_unit_test(test_volume__no_limit_given__never_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
