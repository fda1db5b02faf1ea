/* SPDX-License-Identifier: Apache-2.0 */
/* The volume's orders and answers, one completion at a time. Crashes are the simulator's. */
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

static const uint32_t lengths[] = {0, 1, 28, 2047, 2048, 2049, 4096, 4097, 65536, 65537, 200000};
#define LENGTH_COUNT (sizeof lengths / sizeof lengths[0])

static void test_volume__put_of_every_length__comes_back_identical(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    for (uint32_t index = 0; index < LENGTH_COUNT; index++) {
        char key[16];
        snprintf(key, sizeof key, "key-%u", index);
        assert_int_equal(rig_put(rig, key, lengths[index], index, 0), MKV_STATUS_OK);
        assert_int_equal(rig_get(rig, key, 0, 0, index), MKV_STATUS_OK);
        assert_int_equal(rig_last(rig)->length, lengths[index]);
        assert_int_equal(rig_last(rig)->bytes, lengths[index]);
    }
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__range__gives_just_those_bytes(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    static const uint32_t offsets[] = {0, 1, 4095, 65535, 65536, 65537, 131072, 199999, 200000};
    static const uint32_t counts[] = {1, 4096, 65536, 65537, 0};
    assert_int_equal(rig_put(rig, "k", 200000, 3, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "small", 2000, 3, 0), MKV_STATUS_OK);
    for (size_t offset = 0; offset < sizeof offsets / sizeof offsets[0]; offset++) {
        for (size_t count = 0; count < sizeof counts / sizeof counts[0]; count++) {
            const uint32_t behind = 200000 - offsets[offset];
            const uint32_t want =
                counts[count] == 0 || counts[count] > behind ? behind : counts[count];
            assert_int_equal(rig_get(rig, "k", offsets[offset], counts[count], 3), MKV_STATUS_OK);
            assert_int_equal(rig_last(rig)->bytes, want);
            assert_int_equal(rig_last(rig)->length, 200000);
        }
    }
    assert_int_equal(rig_get(rig, "small", 1999, 0, 3), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->bytes, 1);
    assert_int_equal(rig_get(rig, "small", 5000000, 0, 3), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->bytes, 0);
    assert_int_equal(rig_last(rig)->slab_offset, 0); /* 5000000 would lie beyond the slab */
    rig_destroy(rig);
}

/* Index in the queue of the first operation of a kind. */
static uint32_t queued(const struct rig *rig, enum mkv_effect_kind kind) {
    for (uint32_t index = 0; index < rig->queue_count; index++) {
        if (rig->queue[index].kind == kind) {
            return index;
        }
    }
    fail_msg("nothing of that kind is in flight");
    return 0;
}

/* volume.h I1 and I2, step by step. */
static void test_volume__put__is_answered_after_data_flush_record_flush(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "other", 5000, 1, 0),
                     MKV_STATUS_OK); /* the class has an extent */
    rig->answer_count = 0;
    rig_put_begin(rig, "k", 5000, 2, 0);
    assert_int_equal(rig->answer_count, 1);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 2);
    assert_int_equal(rig->queue_count, 1); /* the data, and nothing else */
    rig_complete(rig, queued(rig, MKV_EFFECT_DRIVE_WRITE), MKV_IO_OK);
    assert_int_equal(rig->queue_count, 1); /* the flush for the data */
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    rig_complete(rig, queued(rig, MKV_EFFECT_DRIVE_FLUSH), MKV_IO_OK);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_WRITE), 2); /* both copies of the block */
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 0);
    rig_complete(rig, 0, MKV_IO_OK);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 0); /* one copy is not enough */
    rig_complete(rig, 0, MKV_IO_OK);
    assert_int_equal(rig_in_flight(rig, MKV_EFFECT_DRIVE_FLUSH), 1);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    rig->answer_count = 0;
    rig_complete(rig, 0, MKV_IO_OK);
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__two_puts__share_the_flush_of_the_first_ones_record(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "other", 5000, 1, 0), MKV_STATUS_OK);
    const uint64_t flushes = rig_stats(rig).flushes_total;
    rig->answer_count = 0;
    rig_put_begin(rig, "a", 5000, 2, 0);
    rig_put_begin(rig, "b", 5000, 3, 0);
    const struct mkv_op_id a = rig->answers[0].volume_op;
    const struct mkv_op_id b = rig->answers[1].volume_op;
    rig_put_write(rig, a, 0, 5000, 2);
    rig_complete(rig, 0, MKV_IO_OK);
    rig_complete(rig, queued(rig, MKV_EFFECT_DRIVE_FLUSH), MKV_IO_OK); /* 1: data of a */
    rig_put_write(rig, b, 1, 5000, 3);
    rig_complete(rig, rig->queue_count - 1, MKV_IO_OK); /* data of b, before the block is written */
    rig_settle(rig); /* 2: record of a, data of b; 3: record of b */
    assert_int_equal(rig_stats(rig).flushes_total - flushes, 3);
    assert_int_equal(rig_exists(rig, "a"), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "b"), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void prefetch(const struct rig *rig, enum mkv_message_kind kind, const char *key) {
    const struct mkv_message message = {.kind = kind, .data_bytes = (uint32_t)strlen(key)};
    for (uint32_t stage = 0; stage < MKV_PREFETCH_COUNT; stage++) {
        mkv_volume_prefetch(rig->volume, &message, (const uint8_t *)key, (enum mkv_prefetch)stage);
    }
}

/* Closed, its table is not made yet and must not be read. */
static void test_volume__prefetch__closed_or_serving__changes_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    uint8_t *before = malloc(rig->memory_bytes);
    memcpy(before, rig->memory, rig->memory_bytes);
    prefetch(rig, MKV_MESSAGE_EXISTS, "k");
    prefetch(rig, MKV_MESSAGE_FIND, "other");
    prefetch(rig, MKV_MESSAGE_PUT_BEGIN, "k");
    assert_memory_equal(before, rig->memory, rig->memory_bytes);
    free(before);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_OK);
    memset(rig->memory, 0xa5, rig->memory_bytes);
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    prefetch(rig, MKV_MESSAGE_EXISTS, "k");
    rig_destroy(rig);
}

static void test_volume__same_content_again__transfers_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    const uint32_t writes = rig->writes_total;
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig->writes_total, writes);
    assert_int_equal(rig_stats(rig).puts_deduplicated_total, 1);
    rig_destroy(rig);
}

static void test_volume__other_content__is_conflict_unless_replace(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "k", 5000, 2, 0), MKV_STATUS_CONFLICT);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "k", 6000, 2, MKV_PUT_REPLACE), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    assert_int_equal(rig_last(rig)->length, 6000);
    assert_int_equal(rig_stats(rig).blocks, 1);
    rig_destroy(rig);
}

static uint32_t put_relaxed(struct rig *rig, uint32_t length, uint32_t seed, uint32_t flags) {
    rig_put_begin(rig, "k", length, seed, flags);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    const struct mkv_op_id op = rig_last(rig)->volume_op;
    rig->answer_count = 0;
    rig->put_write_flags = MKV_PUT_RELAXED;
    rig_put_write(rig, op, 0, length, seed);
    rig->put_write_flags = 0;
    const uint32_t taken = rig->answer_count;
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    return taken;
}

static void test_volume__relaxed_put__is_told_when_nothing_gives_way(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(put_relaxed(rig, 5000, 1, 0), 1);
    assert_int_equal(rig->answers[0].kind, MKV_MESSAGE_PUT_TAKEN);
    assert_int_equal(put_relaxed(rig, 6000, 2, MKV_PUT_REPLACE), 0);
    rig_destroy(rig);
}

static void test_volume__two_mutations_of_a_key__go_one_after_the_other(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->answer_count = 0;
    rig_put_begin(rig, "k", 5000, 1, 0);
    rig_put_begin(rig, "k", 5000, 2, 0);
    rig_delete(rig, "k");
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 1); /* the others wait behind the lock */
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 4);
    assert_int_equal(rig->answers[1].kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig->answers[1].status, MKV_STATUS_OK);
    assert_int_equal(rig->answers[2].kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig->answers[2].status, MKV_STATUS_CONFLICT);
    assert_int_equal(rig->answers[3].kind, MKV_MESSAGE_DELETE_DONE);
    assert_int_equal(rig->answers[3].status, MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_volume__delete_while_read__slot_is_not_reused_before_the_reader_ends(
    void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    const uint64_t lba = rig_block(rig, 2).lba.unit;
    rig->answer_count = 0;
    rig_find(rig, "k");
    const struct mkv_op_id reader = rig_last(rig)->volume_op;
    assert_int_equal(rig_remove(rig, "k"), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).slots_used, 1); /* held, not free (I3) */
    assert_int_equal(rig_put(rig, "n", 5000, 9, 0), MKV_STATUS_OK);
    assert_true(rig_block(rig, 2).lba.unit != lba);
    rig_read(rig, reader, 1, 0, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK); /* it held what it found */
    assert_int_equal(rig_stats(rig).slots_used, 1);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__flipped_payload_bit__is_a_miss_and_is_quarantined(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 70000, 1, 0), MKV_STATUS_OK);
    struct mkv_lba lba = rig_block(rig, 18).lba;
    lba.unit += 17; /* in the second chunk */
    rig_unit(rig, lba)[100] ^= 0x10;
    assert_int_equal(rig_get(rig, "k", 0, 10, 1), MKV_STATUS_OK); /* the first chunk is sound */
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_CHECKSUM);
    assert_int_equal(rig_stats(rig).quarantined_total, 1);
    assert_non_null(rig_event(rig, MKV_EVENT_BLOCK_QUARANTINED));
    assert_int_equal(rig_exists(rig, "k"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_destroy(rig);
}

static void test_volume__foreign_header_in_slot__is_a_miss(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "a", 5000, 1, 0), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, "b", 9000, 2, 0), MKV_STATUS_OK);
    /* A sound header, but of another slot: a misdirected write. */
    memcpy(rig_unit(rig, rig_block(rig, 2).lba), rig_unit(rig, rig_block(rig, 3).lba),
           MKV_UNIT_BYTES);
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_CHECKSUM);
    assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__mutation_over_a_lost_header__drops_it_first(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig_unit(rig, rig_block(rig, 2).lba)[40] ^= 1;
    assert_int_equal(rig_put(rig, "k", 5000, 2, 0), MKV_STATUS_OK); /* nothing to conflict with */
    assert_int_equal(rig_get(rig, "k", 0, 0, 2), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).blocks, 1);
    rig_unit(rig, rig_block(rig, 2).lba)[40] ^= 1;
    assert_int_equal(rig_remove(rig, "k"), MKV_STATUS_NOT_FOUND);
    rig_reopen(rig); /* and durably so */
    assert_int_equal(rig_stats(rig).blocks, 0);
    rig_destroy(rig);
}

static void test_volume__unreadable_slot__is_an_io_error_and_stays(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_complete(rig, 0, MKV_IO_DEVICE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK); /* it was transient */
    assert_int_equal(rig_stats(rig).io_errors_read_total, 1);
    rig_destroy(rig);
}

static void test_volume__lost_unit__is_retired_and_can_be_put_anew(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_find(rig, "k");
    rig_read(rig, rig_last(rig)->volume_op, 1, 0, 0);
    rig_complete(rig, 0, MKV_IO_MEDIUM);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    rig_settle(rig);
    const uint32_t writes = rig->writes_total;
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    assert_true(rig->writes_total > writes); /* not taken for what cannot be read */
    assert_int_equal(rig_get(rig, "k", 0, 0, 1), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__slot_that_cannot_be_written__is_not_given_out_again(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->answer_count = 0;
    rig_put_begin(rig, "k", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    const uint64_t lba = rig->queue[0].drive.lba.unit;
    rig_complete(rig, 0, MKV_IO_DEVICE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_IO_ERROR);
    assert_int_equal(rig_stats(rig).slots_retired, 1);
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    assert_true(rig_block(rig, 2).lba.unit != lba);
    mkv_volume_check(rig->volume);
    const uint64_t hash = mkv_volume_durable_hash(rig->volume);
    rig_reopen(rig); /* until then */
    assert_int_equal(rig_stats(rig).slots_retired, 0);
    assert_int_equal(mkv_volume_durable_hash(rig->volume), hash);
    rig_destroy(rig);
}

static void test_volume__write_that_does_not_come_back__holds_no_flush_for_long(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "k", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_put_begin(rig, "stuck", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1); /* queue[0], left alone */
    rig->answer_count = 0;
    rig_delete(rig, "k");
    while (rig->queue_count > 1) {
        rig_complete(rig, 1, MKV_IO_OK);
    }
    assert_int_equal(rig->answer_count, 0); /* the flush hopes to cover the write */
    rig_tick(rig, 1000000000);
    while (rig->queue_count > 1) {
        rig_complete(rig, 1, MKV_IO_OK);
    }
    assert_int_equal(rig->answer_count, 1);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_volume__ring_fills_while_closing__makes_room_and_closes(void **state) {
    (void)state;
    struct rig *rig = rig_create_raw(MKV_RING_BLOCKS_MIN, 16 * MKV_PAGE_SLOTS, 96);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
    char key[8];
    rig->answer_count = 0;
    for (uint32_t index = 0; index < 16; index++) {
        snprintf(key, sizeof key, "k%u", index);
        rig_put_begin(rig, key, 5000, index, 0);
    }
    rig_settle(rig);
    assert_int_equal(rig->answer_count, 16);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    for (uint32_t index = 0; index < 16; index++) {
        rig_put_write(rig, rig->answers[index].volume_op, 0, 5000, index);
        rig_settle(rig);
        assert_int_equal(rig->answer_count, 17 + index);
        assert_int_equal(rig_last(rig)->status, MKV_STATUS_OK);
    }
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

static void test_volume__failed_data_write__is_answered_and_costs_no_slot(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->answer_count = 0;
    rig_put_begin(rig, "k", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_complete(rig, 0, MKV_IO_NO_ROOM);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_DONE);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_stats(rig).slots_used, 0);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_SERVING);
    rig_destroy(rig);
}

static void test_volume__failed_journal_write__fails_the_drive_and_answers_everything(
    void **state) {
    (void)state;
    struct rig *rig = rig_create();
    assert_int_equal(rig_put(rig, "old", 5000, 1, 0), MKV_STATUS_OK);
    rig->answer_count = 0;
    rig_put_begin(rig, "a", 5000, 1, 0);
    rig_put_write(rig, rig->answers[0].volume_op, 0, 5000, 1);
    rig_complete(rig, 0, MKV_IO_OK); /* data */
    rig_complete(rig, 0, MKV_IO_OK); /* flush: the block is written now */
    rig_put_begin(rig, "b", 5000, 2, 0);
    rig_put_write(rig, rig->answers[1].volume_op, 1, 5000, 2);
    rig_put_begin(rig, "b", 5000, 3, 0); /* behind the lock */
    rig->answer_count = 0;
    rig_complete(rig, 0, MKV_IO_DEVICE);
    assert_true(rig->drive_failed);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
    assert_int_equal(rig->answer_count, 2);
    assert_int_equal(rig->answers[0].status, MKV_STATUS_UNKNOWN); /* its record was issued */
    assert_int_equal(rig->answers[1].status, MKV_STATUS_UNAVAILABLE);
    rig_settle(rig); /* the data write of b is still on its way, its slab in use until now */
    assert_int_equal(rig->answer_count, 3);
    assert_int_equal(rig->answers[2].status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig_stats(rig).ops_in_flight, 0);
    assert_int_equal(rig_get(rig, "old", 0, 0, 1), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_last(rig)->miss, MKV_MISS_DRIVE_OFFLINE);
    rig_destroy(rig);
}

static void test_volume__failed_flush__is_never_tried_again(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->answer_count = 0;
    rig_put_begin(rig, "a", 5000, 1, 0);
    rig_settle(rig);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 5000, 1);
    rig_complete(rig, 0, MKV_IO_OK);
    rig_complete(rig, queued(rig, MKV_EFFECT_DRIVE_FLUSH), MKV_IO_DEVICE);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
    assert_int_equal(rig_last(rig)->status, MKV_STATUS_UNAVAILABLE);
    assert_int_equal(rig->queue_count, 0);
    rig_destroy(rig);
}

static void test_volume__no_room__is_no_space_and_a_delete_makes_room(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    uint32_t stored = 0;
    char key[16];
    for (;; stored++) {
        snprintf(key, sizeof key, "k%u", stored);
        const enum mkv_status status = rig_put(rig, key, 65536, stored, 0);
        if (status == MKV_STATUS_NO_SPACE) {
            break;
        }
        assert_int_equal(status, MKV_STATUS_OK);
        assert_true(stored < RIG_UNITS);
    }
    assert_true(stored > 50);
    assert_int_equal(rig_put(rig, key, 65536, 1, 0), MKV_STATUS_NO_SPACE);
    assert_int_equal(rig_remove(rig, "k0"), MKV_STATUS_OK);
    assert_int_equal(rig_put(rig, key, 65536, 7, 0), MKV_STATUS_OK);
    assert_int_equal(rig_get(rig, key, 0, 0, 7), MKV_STATUS_OK);
    mkv_volume_check(rig->volume);
    rig_destroy(rig);
}

static void test_volume__emptied_extents__serve_another_class(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    char key[16];
    for (uint32_t round = 0; round < 6; round++) {
        const uint32_t length = round % 2 == 0 ? 65536 : 12288;
        uint32_t stored = 0;
        for (;; stored++) {
            snprintf(key, sizeof key, "r%uk%u", round, stored);
            if (rig_put(rig, key, length, stored, 0) != MKV_STATUS_OK) {
                break;
            }
        }
        assert_true(stored > 50);
        for (uint32_t index = 0; index < stored; index++) {
            snprintf(key, sizeof key, "r%uk%u", round, index);
            assert_int_equal(rig_get(rig, key, 0, 0, index), MKV_STATUS_OK);
            assert_int_equal(rig_remove(rig, key), MKV_STATUS_OK);
        }
        const uint64_t hash = mkv_volume_durable_hash(rig->volume);
        rig_reopen(rig);
        assert_int_equal(mkv_volume_durable_hash(rig->volume), hash);
        mkv_volume_check(rig->volume);
    }
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume__put_of_every_length__comes_back_identical),
        cmocka_unit_test(test_volume__range__gives_just_those_bytes),
        cmocka_unit_test(test_volume__relaxed_put__is_told_when_nothing_gives_way),
        cmocka_unit_test(test_volume__put__is_answered_after_data_flush_record_flush),
        cmocka_unit_test(test_volume__two_puts__share_the_flush_of_the_first_ones_record),
        cmocka_unit_test(test_volume__prefetch__closed_or_serving__changes_nothing),
        cmocka_unit_test(test_volume__same_content_again__transfers_nothing),
        cmocka_unit_test(test_volume__other_content__is_conflict_unless_replace),
        cmocka_unit_test(test_volume__two_mutations_of_a_key__go_one_after_the_other),
        cmocka_unit_test(test_volume__delete_while_read__slot_is_not_reused_before_the_reader_ends),
        cmocka_unit_test(test_volume__flipped_payload_bit__is_a_miss_and_is_quarantined),
        cmocka_unit_test(test_volume__foreign_header_in_slot__is_a_miss),
        cmocka_unit_test(test_volume__mutation_over_a_lost_header__drops_it_first),
        cmocka_unit_test(test_volume__unreadable_slot__is_an_io_error_and_stays),
        cmocka_unit_test(test_volume__lost_unit__is_retired_and_can_be_put_anew),
        cmocka_unit_test(test_volume__slot_that_cannot_be_written__is_not_given_out_again),
        cmocka_unit_test(test_volume__write_that_does_not_come_back__holds_no_flush_for_long),
        cmocka_unit_test(test_volume__ring_fills_while_closing__makes_room_and_closes),
        cmocka_unit_test(test_volume__failed_data_write__is_answered_and_costs_no_slot),
        cmocka_unit_test(test_volume__failed_journal_write__fails_the_drive_and_answers_everything),
        cmocka_unit_test(test_volume__failed_flush__is_never_tried_again),
        cmocka_unit_test(test_volume__no_room__is_no_space_and_a_delete_makes_room),
        cmocka_unit_test(test_volume__emptied_extents__serve_another_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
