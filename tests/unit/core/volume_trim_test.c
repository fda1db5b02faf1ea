/* SPDX-License-Identifier: Apache-2.0 */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

/* A rig that trims, with one block of 5000 bytes put and removed again. */
static struct rig *rig_with_empty_extent(void) {
    struct rig *rig = rig_create();
    rig->config.trim = true;
    rig->config.trim_idle_ns = 1000000;
    rig_reopen(rig);
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_remove(rig, "k"), MKV_STATUS_OK);
    return rig;
}

/* Ticks until a trim is in flight; the give-back before it is completed. */
static void await_trim(struct rig *rig) {
    rig_tick(rig, rig->config.trim_idle_ns);
    for (uint32_t turn = 0; rig_in_flight(rig, MKV_EFFECT_DRIVE_TRIM) == 0; turn++) {
        assert_true(turn < 100);
        if (rig->queue_count > 0) {
            rig_complete(rig, 0, MKV_IO_OK);
        } else {
            rig_tick(rig, 1);
        }
    }
}

static void test_volume__extent_in_use__is_not_trimmed(void **state) {
    (void)state;
    struct rig *rig = rig_with_empty_extent();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    for (uint32_t turn = 0; turn < 50; turn++) {
        rig_tick(rig, rig->config.trim_idle_ns);
        rig_settle(rig);
    }
    assert_int_equal(rig_stats(rig).trims_total, 0);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__extent_just_emptied__is_kept_for_a_while(void **state) {
    (void)state;
    struct rig *rig = rig_with_empty_extent();
    const uint32_t free_before = rig_stats(rig).extents_free;
    rig_tick(rig, rig->config.trim_idle_ns / 2);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).extents_free, free_before);
    assert_int_equal(rig_stats(rig).trims_total, 0);
    rig_destroy(rig);
}

static void test_volume__extent_empty_for_long__gives_its_class_back_and_is_trimmed(void **state) {
    (void)state;
    struct rig *rig = rig_with_empty_extent();
    const struct mkv_volume_stats before = rig_stats(rig);
    await_trim(rig);
    const struct mkv_drive_effect *trim = &rig->queue[0].drive;
    assert_int_equal(trim->unit_count, before.extent_units);
    assert_int_equal(rig_stats(rig).trims_pending, 1);
    rig_settle(rig);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_int_equal(stats.trims_total, 1);
    assert_int_equal(stats.trim_extents_total, 1);
    assert_true(stats.trim_bytes_total == (uint64_t)before.extent_units * MKV_UNIT_BYTES);
    assert_int_equal(stats.trims_pending, 0);
    assert_int_equal(stats.extents_free, stats.extents_total);
    assert_int_equal(stats.class_count, 0);
    assert_int_equal(rig_put(rig, "k", 5000, 2, 0), MKV_STATUS_OK);
    rig_reopen(rig);
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__put_while_its_only_extent_is_trimmed__waits_for_it(void **state) {
    (void)state;
    struct rig *rig = rig_with_empty_extent();
    char key[8] = "a";
    /* Another class takes every other extent. */
    while (rig_stats(rig).extents_free > 0) {
        assert_int_equal(rig_put(rig, key, 100000, 1, 0), MKV_STATUS_OK);
        key[0]++;
    }
    await_trim(rig);
    while (rig_put(rig, key, 100000, 1, 0) == MKV_STATUS_OK) {
        key[0]++;
        assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_TRIM), 0);
    }
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_stats(rig).trims_total, 1);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__trim_that_does_not_end__puts_wait_no_longer(void **state) {
    (void)state;
    struct rig *rig = rig_with_empty_extent();
    rig->config.stall_ns = 1000000000;
    rig_reopen(rig);
    char key[8] = "a";
    while (rig_stats(rig).extents_free > 0) {
        assert_int_equal(rig_put(rig, key, 100000, 1, 0), MKV_STATUS_OK);
        key[0]++;
    }
    const struct mkv_volume_stats stats = rig_stats(rig);
    const bool first = stats.classes[0].slots_used > 0; /* the other class is that of "k" */
    const struct mkv_volume_class_stats *class = &stats.classes[first ? 0 : 1];
    for (uint32_t used = class->slots_used; used < class->slots; used++) {
        assert_int_equal(rig_put(rig, key, 100000, 1, 0), MKV_STATUS_OK);
        key[0]++;
    }
    await_trim(rig);
    rig->answer_count = 0;
    rig_put_begin(rig, "new", 100000, 1, 0);
    rig_tick(rig, rig->config.stall_ns / 2);
    assert_int_equal(rig->answer_count, 0);
    rig_tick(rig, rig->config.stall_ns / 2);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    rig_put_begin(rig, "new", 100000, 1, 0);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_TRIM), 1);
    rig_settle(rig);
    assert_int_equal(rig_put(rig, "new", 100000, 1, 0), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__failed_trim__is_counted_and_nothing_else(void **state) {
    (void)state;
    struct rig *rig = rig_with_empty_extent();
    await_trim(rig);
    rig_complete(rig, 0, MKV_IO_DEVICE);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).trim_errors_total, 1);
    assert_true(rig_stats(rig).trim_bytes_total == 0);
    assert_false(rig->drive_failed);
    assert_int_equal(rig_put(rig, "k", 5000, 2, 0), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__trim_that_may_come_late__is_the_end_of_the_volume(void **state) {
    (void)state;
    static const enum mkv_io_result results[] = {MKV_IO_TIMEOUT, MKV_IO_READ_ONLY, MKV_IO_SHRUNK};
    for (uint32_t index = 0; index < sizeof results / sizeof results[0]; index++) {
        struct rig *rig = rig_with_empty_extent();
        await_trim(rig);
        rig_complete(rig, 0, results[index]);
        rig_settle(rig);
        assert_true(rig->drive_failed);
        assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
        rig_destroy(rig);
    }
}

static void test_volume__drive_without_trim__is_never_asked(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->config.trim_idle_ns = 1000;
    rig_reopen(rig);
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_remove(rig, "k"), MKV_STATUS_OK);
    for (uint32_t turn = 0; turn < 50; turn++) {
        rig_tick(rig, 1000000000);
        rig_settle(rig);
    }
    assert_int_equal(rig_stats(rig).trims_total, 0);
    assert_int_equal(rig_stats(rig).class_count, 1);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__extent_in_use__is_not_trimmed),
        cmocka_unit_test(test_volume__extent_just_emptied__is_kept_for_a_while),
        cmocka_unit_test(test_volume__extent_empty_for_long__gives_its_class_back_and_is_trimmed),
        cmocka_unit_test(test_volume__put_while_its_only_extent_is_trimmed__waits_for_it),
        cmocka_unit_test(test_volume__trim_that_does_not_end__puts_wait_no_longer),
        cmocka_unit_test(test_volume__failed_trim__is_counted_and_nothing_else),
        cmocka_unit_test(test_volume__trim_that_may_come_late__is_the_end_of_the_volume),
        cmocka_unit_test(test_volume__drive_without_trim__is_never_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
