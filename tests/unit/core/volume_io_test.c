/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 9000u

/* Completes what is in flight, oldest first, and notes which shares had which kinds of it. */
static uint32_t settle(struct rig *rig, uint32_t seen[MKV_DRIVE_SHARE_COUNT]) {
    uint32_t count = 0;
    while (rig->queue_count > 0) {
        const struct mkv_effect *effect = &rig->queue[0];
        if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
            assert_int_equal(effect->drive.share, MKV_DRIVE_FOR_COMMIT);
        } else if (effect->drive.memory == MKV_DRIVE_SLOT) {
            assert_int_equal(effect->drive.share, effect->kind == MKV_EFFECT_DRIVE_READ
                                                      ? MKV_DRIVE_FOR_LOAD
                                                      : MKV_DRIVE_FOR_STORE);
        }
        seen[effect->drive.share]++;
        rig_complete(rig, 0, MKV_IO_OK);
        count++;
    }
    return count;
}

static void test_volume__put__data_is_a_store_and_its_record_a_commit(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    uint32_t seen[MKV_DRIVE_SHARE_COUNT] = {0};
    rig_put_begin(rig, "key", LENGTH, 1, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, LENGTH, 1);
    assert_int_equal(rig->queue[rig->queue_count - 1].drive.share, MKV_DRIVE_FOR_STORE);
    (void)settle(rig, seen);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_int_equal(seen[MKV_DRIVE_FOR_STORE], 1);
    assert_int_equal(seen[MKV_DRIVE_FOR_LOAD], 0);
    assert_true(seen[MKV_DRIVE_FOR_COMMIT] >= 4); /* two flushes, two copies of the record */
    rig_destroy(rig);
}

static void test_volume__get_and_look_before_a_delete__are_loads(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "key");
    rig_read(rig, rig_last(rig)->volume_op, 0, 0, 0);
    assert_int_equal(rig->queue_count, 1);
    assert_int_equal(rig->queue[0].drive.share, MKV_DRIVE_FOR_LOAD);
    rig_complete(rig, 0, MKV_IO_OK);
    rig_delete(rig, "key");
    assert_int_equal(rig->queue_count, 1);
    assert_int_equal(rig->queue[0].kind, MKV_EFFECT_DRIVE_READ);
    assert_int_equal(rig->queue[0].drive.share, MKV_DRIVE_FOR_LOAD);
    rig_settle(rig);
    rig_destroy(rig);
}

static void test_volume__checkpoint__pages_are_background_and_its_superblock_a_commit(
    void **state) {
    (void)state;
    struct rig *rig = rig_create();
    uint32_t seen[MKV_DRIVE_SHARE_COUNT] = {0};
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_tick(rig, 0);
    assert_true(rig->queue_count > 0);
    for (uint32_t turn = 0; turn < 100 && settle(rig, seen) > 0; turn++) {
        rig_tick(rig, 0);
    }
    assert_true(seen[MKV_DRIVE_FOR_BACKGROUND] > 0);
    assert_true(seen[MKV_DRIVE_FOR_COMMIT] >= 4);
    assert_int_equal(seen[MKV_DRIVE_FOR_STORE] + seen[MKV_DRIVE_FOR_LOAD], 0);
    rig_destroy(rig);
}

/* ---- operations that were given up ----------------------------------------------------------- */

static void test_volume__read_not_done_in_time__is_a_miss_and_the_drive_serves_on(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "key", LENGTH, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "key");
    rig_read(rig, rig_last(rig)->volume_op, 0, 0, 0);
    rig_complete(rig, 0, MKV_IO_TIMEOUT);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_IO_ERROR);
    assert_false(rig->drive_failed);
    rig_settle(rig);
    assert_int_equal(rig_get(rig, "key", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

/* It may still land: nothing is built on that drive before it is opened anew. */
static void test_volume__write_not_done_in_time__fails_the_volume(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig_put_begin(rig, "key", LENGTH, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, LENGTH, 1);
    rig_complete(rig, rig->queue_count - 1, MKV_IO_TIMEOUT);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    assert_true(rig->drive_failed);
    rig_destroy(rig);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__put__data_is_a_store_and_its_record_a_commit),
        cmocka_unit_test(test_volume__get_and_look_before_a_delete__are_loads),
        cmocka_unit_test(test_volume__checkpoint__pages_are_background_and_its_superblock_a_commit),
        cmocka_unit_test(test_volume__read_not_done_in_time__is_a_miss_and_the_drive_serves_on),
        cmocka_unit_test(test_volume__write_not_done_in_time__fails_the_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
