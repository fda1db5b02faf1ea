/* SPDX-License-Identifier: Apache-2.0 */
/* What OPEN makes of a drive whose structures were damaged one at a time. */
#include "core/journal_block.h"
#include "core/slot_header.h"
#include "core/volume.h"

#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

static const struct mkv_geometry *geometry_of(const struct rig *rig) {
    return &rig->config.geometry;
}

static uint8_t *journal_unit(struct rig *rig, uint32_t copy, uint64_t sequence) {
    return rig_unit(rig, mkv_geometry_journal(geometry_of(rig), copy,
                                              sequence % geometry_of(rig)->ring_blocks));
}

static void ruin(uint8_t *unit) {
    for (uint32_t at = 0; at < MKV_UNIT_BYTES; at += 512) {
        unit[at + 77] ^= 0x40;
    }
}

static void put_ok(struct rig *rig, const char *key, uint32_t seed) {
    assert_int_equal(rig_put(rig, key, 5000, seed, MKV_PUT_REPLACE), MKV_STATUS_OK);
}

static void test_recover__killed_at_rest__everything_is_there(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    char key[16];
    for (uint32_t round = 0; round < 60; round++) {
        snprintf(key, sizeof key, "k%u", round % 7);
        put_ok(rig, key, round);
    }
    const uint64_t hash = mkv_volume_durable_hash(rig->volume);
    const struct mkv_volume_stats before = rig_stats(rig);
    assert_true(before.checkpoints_total > 2); /* the ring of 16 went round more than once */
    rig_reopen(rig);
    const struct mkv_volume_stats after = rig_stats(rig);
    assert_int_equal(after.state, MKV_VOLUME_SERVING);
    assert_int_equal(mkv_volume_durable_hash(rig->volume), hash);
    assert_int_equal(after.epoch, before.epoch + 1);
    assert_true(after.generation_counter > before.generation_counter);
    for (uint32_t round = 53; round < 60; round++) {
        snprintf(key, sizeof key, "k%u", round % 7);
        assert_int_equal(rig_get(rig, key, 0, 0, round), MKV_STATUS_OK);
    }
    rig_destroy(rig);
}

static void test_recover__closed__replays_nothing(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    put_ok(rig, "b", 2);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CLOSE), MKV_OK);
    rig_settle(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_CLOSED));
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig).recovery_entries, 0);
    assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_recover__journal_block_in_one_copy__is_written_to_the_other(void **state) {
    (void)state;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        struct rig *rig = rig_create();
        put_ok(rig, "a", 1);
        put_ok(rig, "b", 2);
        const uint64_t head = rig_stats(rig).journal_head;
        ruin(journal_unit(rig, copy, head - 1));
        rig_reopen(rig);
        assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
        assert_int_equal(rig_stats(rig).journal_copy_repairs_total, 1);
        assert_memory_equal(journal_unit(rig, 0, head - 1), journal_unit(rig, 1, head - 1),
                            MKV_UNIT_BYTES);
        rig_destroy(rig);
    }
}

static void test_recover__flushed_block_lost_in_both_copies__comes_up_empty(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    put_ok(rig, "b", 2);
    put_ok(rig, "c", 3);
    const struct mkv_volume_stats before = rig_stats(rig);
    ruin(journal_unit(rig, 0, before.journal_head - 1)); /* "c" states that "b" was flushed */
    ruin(journal_unit(rig, 1, before.journal_head - 1));
    rig_reopen(rig);
    const struct mkv_event *event = rig_event(rig, MKV_EVENT_CAME_UP_EMPTY);
    assert_non_null(event);
    assert_int_equal(event->err, MKV_CORRUPT_JOURNAL_BLOCK);
    assert_int_equal(event->value[0], before.journal_head - 1);
    assert_int_equal(rig_stats(rig).blocks, 0);
    assert_int_equal(rig_exists(rig, "a"), MKV_STATUS_NOT_FOUND);
    assert_true(rig_stats(rig).journal_head > before.journal_head);
    assert_true(rig_stats(rig).generation_counter > before.generation_counter);
    put_ok(rig, "d", 4);
    rig_reopen(rig); /* what was lost does not come back */
    assert_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
    assert_int_equal(rig_stats(rig).blocks, 1);
    assert_int_equal(rig_get(rig, "d", 0, 0, 4), MKV_STATUS_OK);
    rig_destroy(rig);
}

static void test_recover__last_block_lost_and_nobody_claims_it__is_cut(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    put_ok(rig, "b", 2);
    const uint64_t head = rig_stats(rig).journal_head;
    ruin(journal_unit(rig, 0, head));
    ruin(journal_unit(rig, 1, head));
    rig_reopen(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_TORN_TAIL));
    assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
    assert_int_equal(rig_exists(rig, "b"), MKV_STATUS_NOT_FOUND);
    assert_int_equal(rig_stats(rig).journal_head, head - 1);
    rig_destroy(rig);
}

/* A write that an earlier process gave up on may arrive over what a later one has written. */
static void test_recover__block_of_an_earlier_opening_came_late__the_later_one_counts(
    void **state) {
    (void)state;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        struct rig *rig = rig_create();
        put_ok(rig, "a", 1);
        const uint64_t head = rig_stats(rig).journal_head;
        uint8_t late[MKV_UNIT_BYTES];
        memcpy(late, journal_unit(rig, copy, head), sizeof late);
        ruin(journal_unit(rig, 0, head));
        ruin(journal_unit(rig, 1, head));
        rig_reopen(rig);
        put_ok(rig, "b", 2);
        assert_int_equal(rig_stats(rig).journal_head, head); /* the same sequence again */
        memcpy(journal_unit(rig, copy, head), late, sizeof late);
        rig_reopen(rig);
        assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
        assert_int_equal(rig_exists(rig, "a"), MKV_STATUS_NOT_FOUND);
        assert_memory_equal(journal_unit(rig, 0, head), journal_unit(rig, 1, head), MKV_UNIT_BYTES);
        rig_destroy(rig);
    }
}

static void test_recover__idle_block__makes_the_loss_of_the_last_record_known(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    const uint64_t head = rig_stats(rig).journal_head;
    rig_tick(rig, rig->config.idle_ns + 1);
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).journal_head, head + 1);
    rig_tick(rig, rig->config.idle_ns + 1); /* once is enough */
    rig_settle(rig);
    assert_int_equal(rig_stats(rig).journal_head, head + 1);
    ruin(journal_unit(rig, 0, head));
    ruin(journal_unit(rig, 1, head));
    rig_reopen(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
    rig_destroy(rig);
}

static void test_recover__damaged_checkpoint__comes_up_empty(void **state) {
    (void)state;
    for (uint32_t unit = 0; unit < 2; unit++) { /* the head, and the first page */
        struct rig *rig = rig_create();
        put_ok(rig, "a", 1);
        assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
        rig_settle(rig);
        assert_int_equal(rig_stats(rig).checkpoints_total, 1);
        for (uint32_t side = 0; side < MKV_CHECKPOINT_SIDES; side++) {
            struct mkv_lba lba = mkv_geometry_checkpoint(geometry_of(rig), side);
            lba.unit += unit;
            ruin(rig_unit(rig, lba));
        }
        rig_reopen(rig);
        const struct mkv_event *event = rig_event(rig, MKV_EVENT_CAME_UP_EMPTY);
        assert_non_null(event);
        assert_int_equal(event->err, MKV_CORRUPT_CHECKPOINT_PAGE);
        put_ok(rig, "b", 2);
        assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
        rig_destroy(rig);
    }
}

static void test_recover__one_superblock_copy_ruined__is_repaired(void **state) {
    (void)state;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        struct rig *rig = rig_create();
        put_ok(rig, "a", 1);
        ruin(rig_unit(rig, mkv_geometry_superblock(RIG_UNITS, copy)));
        rig_reopen(rig);
        assert_int_equal(rig_event(rig, MKV_EVENT_SUPERBLOCK_REPAIRED)->value[1], 1u << copy);
        assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
        rig_destroy(rig);
    }
}

static void test_recover__three_superblock_copies_ruined__refuses_to_open(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    for (uint32_t copy = 0; copy < 3; copy++) {
        ruin(rig_unit(rig, mkv_geometry_superblock(RIG_UNITS, copy)));
    }
    rig_reopen(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_OPEN_FAILED)->err, MKV_CORRUPT_SUPERBLOCK);
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_CLOSED);
    rig_destroy(rig);
}

static void test_recover__not_this_drive__is_named(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    rig->config.drive_uuid.bytes[0] ^= 1;
    rig_reopen(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_OPEN_FAILED)->err, MKV_ERR_FOREIGN);
    rig->config.drive_uuid.bytes[0] ^= 1;
    rig->config.capacity_units = RIG_UNITS - 1;
    rig_reopen(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_OPEN_FAILED)->err, MKV_ERR_SHRUNK);
    rig_destroy(rig);

    rig = rig_create_raw(16, 16 * MKV_PAGE_SLOTS, 96);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    rig_settle(rig);
    assert_int_equal(rig_event(rig, MKV_EVENT_OPEN_FAILED)->err, MKV_ERR_NOT_FORMATTED);
    rig_destroy(rig);
}

/* Opens with reads of one unit failing. */
static void reopen_failing(struct rig *rig, struct mkv_lba bad, struct mkv_lba bad_too,
                           enum mkv_io_result result) {
    rig->queue_count = 0;
    rig->event_count = 0;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    while (rig->queue_count > 0 || mkv_volume_has_work(rig->volume)) {
        if (rig->queue_count == 0) {
            rig_tick(rig, 0);
            continue;
        }
        const struct mkv_effect *effect = &rig->queue[0];
        const uint64_t from = effect->drive.lba.unit;
        const uint64_t to = from + effect->drive.unit_count;
        const bool hit =
            (bad.unit >= from && bad.unit < to) || (bad_too.unit >= from && bad_too.unit < to);
        const bool reads = effect->kind == MKV_EFFECT_DRIVE_READ;
        rig_complete(rig, 0, hit && reads ? result : MKV_IO_OK);
    }
}

static void reopen_unreadable(struct rig *rig, struct mkv_lba bad, struct mkv_lba bad_too) {
    reopen_failing(rig, bad, bad_too, MKV_IO_MEDIUM);
}

static void test_recover__unreadable_block__costs_its_copy_only(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    put_ok(rig, "b", 2);
    const uint64_t head = rig_stats(rig).journal_head;
    const struct mkv_geometry *geometry = geometry_of(rig);
    const struct mkv_lba a = mkv_geometry_journal(geometry, 0, head % geometry->ring_blocks);
    reopen_unreadable(rig, a, a);
    assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
    assert_int_equal(rig_stats(rig).journal_copy_repairs_total, 1);
    rig_destroy(rig);
}

static void test_recover__unreadable_tail_in_both_copies__is_a_loss(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    put_ok(rig, "b", 2);
    const uint64_t head = rig_stats(rig).journal_head;
    const struct mkv_geometry *geometry = geometry_of(rig);
    reopen_unreadable(rig, mkv_geometry_journal(geometry, 0, head % geometry->ring_blocks),
                      mkv_geometry_journal(geometry, 1, head % geometry->ring_blocks));
    assert_non_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
    rig_destroy(rig);
}

static void test_recover__drive_error_on_a_read__gives_nothing_up(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    put_ok(rig, "b", 2);
    const struct mkv_geometry *geometry = geometry_of(rig);
    const uint64_t head = rig_stats(rig).journal_head;
    const struct mkv_lba units[] = {
        mkv_geometry_checkpoint(geometry, 1),
        mkv_geometry_journal(geometry, 0, head % geometry->ring_blocks),
    };
    for (uint32_t unit = 0; unit < 2; unit++) {
        reopen_failing(rig, units[unit], units[unit], MKV_IO_DEVICE);
        assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
        assert_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
        rig_reopen(rig); /* it reads well again */
        assert_int_equal(rig_get(rig, "a", 0, 0, 1), MKV_STATUS_OK);
        assert_int_equal(rig_get(rig, "b", 0, 0, 2), MKV_STATUS_OK);
    }
    rig_destroy(rig);
}

static void test_recover__hole_with_unreadable_blocks_behind__is_a_loss(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    assert_int_equal(rig_remove(rig, "a"), MKV_STATUS_OK);
    const uint64_t hole = rig_stats(rig).journal_head;
    put_ok(rig, "b", 2); /* it states that the DROP was flushed, but cannot be read */
    ruin(journal_unit(rig, 0, hole));
    ruin(journal_unit(rig, 1, hole));
    const struct mkv_geometry *geometry = geometry_of(rig);
    reopen_unreadable(rig, mkv_geometry_journal(geometry, 0, (hole + 1) % geometry->ring_blocks),
                      mkv_geometry_journal(geometry, 1, (hole + 1) % geometry->ring_blocks));
    assert_non_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
    assert_int_equal(rig_exists(rig, "a"), MKV_STATUS_NOT_FOUND);
    rig_destroy(rig);
}

static void test_recover__counters_near_their_end__are_refused(void **state) {
    (void)state;
    for (uint32_t which = 0; which < 3; which++) {
        struct rig *rig = rig_create();
        struct mkv_superblock superblock;
        const struct mkv_lba first = mkv_geometry_superblock(RIG_UNITS, 0);
        assert_int_equal(mkv_superblock_decode(rig_unit(rig, first), 0, &superblock), MKV_OK);
        superblock.sequence++;
        if (which == 0) {
            superblock.generation_counter = MKV_GENERATION_COUNTER_MAX;
        } else if (which == 1) {
            superblock.epoch = MKV_EPOCH_MAX - 1;
        } else {
            superblock.journal_sequence.value = UINT64_MAX - 5;
        }
        for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
            mkv_superblock_encode(&superblock, copy,
                                  rig_unit(rig, mkv_geometry_superblock(RIG_UNITS, copy)));
        }
        rig_reopen(rig);
        assert_int_equal(rig_event(rig, MKV_EVENT_OPEN_FAILED)->err, MKV_ERR_TOO_LARGE);
        rig_destroy(rig);
    }
}

/* The unit of the checkpoint side that the superblock does not name. */
static uint8_t *spare_page_unit(struct rig *rig) {
    struct mkv_superblock superblock;
    const struct mkv_lba first = mkv_geometry_superblock(RIG_UNITS, 0);
    assert_int_equal(mkv_superblock_decode(rig_unit(rig, first), 0, &superblock), MKV_OK);
    const struct mkv_lba head =
        mkv_geometry_checkpoint(geometry_of(rig), superblock.checkpoint_side ^ 1u);
    return rig_unit(rig, (struct mkv_lba){head.unit + 1});
}

static void test_recover__page_of_a_cut_off_checkpoint__is_none_of_the_next(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    uint8_t *page = spare_page_unit(rig);
    /* A checkpoint that a kill cuts off when its pages are written. */
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    while (rig_in_flight(rig, MKV_EFFECT_DRIVE_WRITE) > 0) {
        rig_complete(rig, 0, MKV_IO_OK);
    }
    uint8_t cut_off[MKV_UNIT_BYTES];
    memcpy(cut_off, page, sizeof cut_off);
    rig_reopen(rig);
    assert_int_equal(rig_remove(rig, "a"), MKV_STATUS_OK);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_CHECKPOINT_DONE));
    assert_memory_not_equal(page, cut_off, sizeof cut_off);
    /* The drive has lost the second write of the page: the deleted block must not come back. */
    memcpy(page, cut_off, sizeof cut_off);
    rig_reopen(rig);
    assert_int_equal(rig_exists(rig, "a"), MKV_STATUS_NOT_FOUND);
    assert_non_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
    rig_destroy(rig);
}

/* The low half of the generation of a put whose record no journal block has seen. */
static uint32_t unrecorded_generation(struct rig *rig) {
    rig_put_begin(rig, "k", 100, 1, 0);
    rig_settle(rig);
    assert_int_equal(rig_last(rig)->kind, MKV_MESSAGE_PUT_READY);
    rig_put_write(rig, rig_last(rig)->volume_op, 0, 100, 1);
    assert_int_equal(rig->queue[0].kind, MKV_EFFECT_DRIVE_WRITE);
    const struct mkv_lba lba = rig->queue[0].drive.lba;
    rig_complete(rig, 0, MKV_IO_OK);
    struct mkv_slot_header header;
    assert_int_equal(mkv_slot_header_decode(rig_unit(rig, lba), &header), MKV_OK);
    return (uint32_t)header.generation.value;
}

static void test_recover__generation_without_a_record__does_not_come_again(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    uint32_t last = unrecorded_generation(rig);
    for (uint32_t opening = 0; opening < 5; opening++) {
        rig_reopen(rig);
        const uint32_t next = unrecorded_generation(rig);
        assert_true(next > last);
        last = next;
    }
    rig_destroy(rig);
}

static void test_recover__empty_for_a_checkpoint__goes_on_above_every_generation(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_CHECKPOINT), MKV_OK);
    rig_settle(rig);
    for (uint32_t opening = 0; opening < 4; opening++) {
        put_ok(rig, "a", 2 + opening);
        rig_reopen(rig);
    }
    const uint64_t counter = rig_stats(rig).generation_counter;
    struct mkv_superblock superblock;
    const struct mkv_lba first = mkv_geometry_superblock(RIG_UNITS, 0);
    assert_int_equal(mkv_superblock_decode(rig_unit(rig, first), 0, &superblock), MKV_OK);
    ruin(rig_unit(rig, mkv_geometry_checkpoint(geometry_of(rig), superblock.checkpoint_side)));
    rig_reopen(rig);
    assert_non_null(rig_event(rig, MKV_EVENT_CAME_UP_EMPTY));
    assert_true(rig_stats(rig).generation_counter >= counter);
    rig_destroy(rig);
}

static void test_recover__write_error_while_opening__fails_the_drive(void **state) {
    (void)state;
    struct rig *rig = rig_create();
    put_ok(rig, "a", 1);
    rig->event_count = 0;
    rig->volume = mkv_volume_init(rig->memory, rig->memory_bytes, &rig->config);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_OPEN), MKV_OK);
    while (rig->queue_count > 0) {
        const bool writes = rig->queue[0].kind == MKV_EFFECT_DRIVE_WRITE;
        rig_complete(rig, 0, writes ? MKV_IO_DEVICE : MKV_IO_OK);
    }
    assert_int_equal(rig_stats(rig).state, MKV_VOLUME_FAILED);
    assert_non_null(rig_event(rig, MKV_EVENT_OPEN_FAILED));
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recover__killed_at_rest__everything_is_there),
        cmocka_unit_test(test_recover__closed__replays_nothing),
        cmocka_unit_test(test_recover__journal_block_in_one_copy__is_written_to_the_other),
        cmocka_unit_test(test_recover__flushed_block_lost_in_both_copies__comes_up_empty),
        cmocka_unit_test(test_recover__last_block_lost_and_nobody_claims_it__is_cut),
        cmocka_unit_test(test_recover__block_of_an_earlier_opening_came_late__the_later_one_counts),
        cmocka_unit_test(test_recover__idle_block__makes_the_loss_of_the_last_record_known),
        cmocka_unit_test(test_recover__damaged_checkpoint__comes_up_empty),
        cmocka_unit_test(test_recover__one_superblock_copy_ruined__is_repaired),
        cmocka_unit_test(test_recover__three_superblock_copies_ruined__refuses_to_open),
        cmocka_unit_test(test_recover__not_this_drive__is_named),
        cmocka_unit_test(test_recover__unreadable_block__costs_its_copy_only),
        cmocka_unit_test(test_recover__unreadable_tail_in_both_copies__is_a_loss),
        cmocka_unit_test(test_recover__drive_error_on_a_read__gives_nothing_up),
        cmocka_unit_test(test_recover__hole_with_unreadable_blocks_behind__is_a_loss),
        cmocka_unit_test(test_recover__counters_near_their_end__are_refused),
        cmocka_unit_test(test_recover__page_of_a_cut_off_checkpoint__is_none_of_the_next),
        cmocka_unit_test(test_recover__generation_without_a_record__does_not_come_again),
        cmocka_unit_test(test_recover__empty_for_a_checkpoint__goes_on_above_every_generation),
        cmocka_unit_test(test_recover__write_error_while_opening__fails_the_drive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
