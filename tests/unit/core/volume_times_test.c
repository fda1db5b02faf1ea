/* SPDX-License-Identifier: Apache-2.0 */
/* What a volume tells of the time that its drive took, and counts of it. */
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define BYTES 65536u

/* Completes the oldest operation so much later. */
static void complete_later(struct rig *rig, uint64_t later_ns) {
    assert_true(rig->queue_count > 0);
    rig->now_ns += later_ns;
    rig_complete(rig, 0, MKV_IO_OK);
}

static void test_times__put__write_and_flush_apart(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "first", BYTES, 1, 0), MKV_STATUS_OK); /* gets its extent */
    const struct mkv_volume_times before = *mkv_volume_times(rig->volume);
    rig->answer_count = 0;
    rig_put_begin(rig, "key", BYTES, 2, 0);
    const struct mkv_op_id op = rig_last(rig)->volume_op;
    rig_put_write(rig, op, 0, BYTES, 2);
    const uint64_t begun_ns = rig->now_ns;
    complete_later(rig, 400);
    const uint64_t written_ns = rig->now_ns;
    while (rig->queue_count > 0 && rig_last(rig)->kind != MKV_MESSAGE_PUT_DONE) {
        complete_later(rig, 50);
    }
    const struct mkv_message *done = rig_last(rig);
    assert_int_equal(done->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(done->status, MKV_STATUS_OK);
    assert_in_range(done->drive_ns, 400, written_ns - begun_ns);
    assert_int_equal(done->drive_ns + done->flush_ns, rig->now_ns - begun_ns);
    const struct mkv_volume_times *times = mkv_volume_times(rig->volume);
    assert_int_equal(
        mkv_histogram_total(&times->flush_writes) - mkv_histogram_total(&before.flush_writes), 1);
    assert_int_equal(times->flush_writes.sum - before.flush_writes.sum, 1);
    assert_int_equal(
        mkv_histogram_total(&times->journal_flush) - mkv_histogram_total(&before.journal_flush), 1);
    assert_in_range(times->journal_flush.sum - before.journal_flush.sum, 100, done->flush_ns);
    assert_int_equal(rig_stats(rig).bytes_payload, 2 * BYTES);
    rig_destroy(rig);
}

static void test_times__same_content_again__no_drive(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "key", BYTES, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "key", BYTES, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->drive_ns, 0);
    assert_int_equal(rig_last(rig)->flush_ns, 0);
    rig_destroy(rig);
}

static void test_times__read__takes_all_of_its_operations(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "key", BYTES, 1, 0), MKV_STATUS_OK);
    rig_find(rig, "key");
    rig_read(rig, rig_last(rig)->volume_op, 0, BYTES / 2, 100); /* a header, then a part */
    const uint64_t begun_ns = rig->now_ns;
    while (rig_last(rig)->kind != MKV_MESSAGE_READ_DONE) {
        complete_later(rig, 70);
    }
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    assert_in_range(rig_last(rig)->drive_ns, 2 * 70, rig->now_ns - begun_ns);
    rig_destroy(rig);
}

static void test_times__checkpoint__is_counted(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    const uint64_t before = mkv_histogram_total(&mkv_volume_times(rig->volume)->checkpoint);
    assert_int_equal(rig_put(rig, "key", BYTES, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    assert_int_equal(mkv_histogram_total(&mkv_volume_times(rig->volume)->checkpoint), before + 1);
    assert_int_equal(rig_stats(rig).checkpoints_total, before + 1);
    rig_destroy(rig);
}

static void test_times__block_comes_and_goes__payload_is_counted(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "inline", 100, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).bytes_payload, 0);
    assert_int_equal(rig_put(rig, "key", BYTES - 1, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).bytes_payload, BYTES);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).bytes_payload, BYTES);
    assert_int_equal(rig_remove(rig, "key"), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).bytes_payload, 0);
    rig_destroy(rig);
}

static void test_times__memory__is_all_of_the_arena(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    struct mkv_volume_memory memory;
    mkv_volume_memory(rig->volume, &memory);
    assert_true(memory.slot_table_bytes > 0);
    assert_true(memory.leaf_cache_bytes > 0);
    assert_true(memory.journal_bytes > 0);
    assert_int_equal(memory.slot_table_bytes + memory.leaf_cache_bytes + memory.journal_bytes,
                     mkv_volume_memory_required(&rig->config));
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times__put__write_and_flush_apart),
        cmocka_unit_test(test_times__same_content_again__no_drive),
        cmocka_unit_test(test_times__read__takes_all_of_its_operations),
        cmocka_unit_test(test_times__checkpoint__is_counted),
        cmocka_unit_test(test_times__block_comes_and_goes__payload_is_counted),
        cmocka_unit_test(test_times__memory__is_all_of_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
