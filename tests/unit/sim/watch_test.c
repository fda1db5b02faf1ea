/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/watch.h"

#include "core/hash.h"
#include "tests/unit/sim/test.h"

/*
 * Streams of effects as a volume would hand them out, right and wrong. The steps of a put are
 * functions of their own, so that each test leaves out or swaps the one it is about.
 */

static const struct mkv_geometry geometry = {
    .capacity_units = 16 + 2 * 8 + 2 * 4 + 16 + 4 * 4 + 9,
    .ring_blocks = 8,
    .tenant_units = 1,
    .page_count = 2,
    .directory_units = 16,
    .extent_units = 4,
    .extent_count = 4,
};

static struct mkv_watch *watch;
static struct mkv_content content;
static uint8_t unit[MKV_UNIT_BYTES];
static uint64_t chain;
static uint64_t set_version;

static void make(void) {
    struct mkv_memory *memory = test_memory();
    assert_true(mkv_geometry_valid(&geometry));
    mkv_content_init(&content, memory, 1, 4, 0, MKV_KEY_BYTES_MAX, MKV_UNIT_BYTES);
    watch = mkv_memory_take(memory, sizeof *watch, 64);
    mkv_watch_init(watch, memory, &content, &geometry);
    mkv_watch_serve(watch, 0);
    chain = 0;
    set_version = 1;
}

static uint32_t hand_out(enum mkv_effect_kind kind, enum mkv_drive_memory memory, uint64_t lba,
                         uint32_t count) {
    const struct mkv_effect effect = {
        .kind = kind,
        .drive = {.memory = memory, .lba = {lba}, .unit_count = count},
    };
    return mkv_watch_effect(watch, &effect, unit);
}

static void completed(uint32_t token) {
    mkv_watch_completed(watch, MKV_EFFECT_DRIVE_WRITE, token, true);
}
static void flush_starts(void) {
    (void)hand_out(MKV_EFFECT_DRIVE_FLUSH, MKV_DRIVE_META, 0, 0);
}
static void flush_ends(void) {
    mkv_watch_completed(watch, MKV_EFFECT_DRIVE_FLUSH, MKV_WATCH_TOKEN_NONE, true);
}
static void flush(void) {
    flush_starts();
    flush_ends();
}

static struct mkv_root root_of(uint32_t key) {
    return mkv_hash_128(&key, sizeof key);
}

static uint64_t slot_unit(uint32_t slot) {
    return mkv_geometry_data_start(&geometry).unit + slot;
}

/* Empty payloads have one root, so the generation tells blocks apart. */
static uint32_t slot_write_at(uint32_t slot, uint64_t lba, uint32_t key, uint64_t generation) {
    const struct mkv_slot_header header = {
        .slot = {slot},
        .generation = {generation},
        .root = mkv_root_of_sums(0, NULL),
        .key_bytes = content.keys[key].byte_count,
        .key = content.keys[key].bytes,
        .sums = unit,
    };
    static uint8_t encoded[MKV_UNIT_BYTES];
    mkv_slot_header_encode(&header, encoded);
    memcpy(unit, encoded, sizeof unit);
    return hand_out(MKV_EFFECT_DRIVE_WRITE, MKV_DRIVE_SLOT, lba, 1);
}
static uint32_t slot_write(uint32_t slot, uint32_t key, uint64_t generation) {
    return slot_write_at(slot, slot_unit(slot), key, generation);
}

static void block_begin(void) {
    mkv_journal_block_begin(unit);
}
static void put_record(uint32_t slot, uint64_t generation) {
    const struct mkv_record record = {
        .kind = MKV_RECORD_PUT,
        .put = {.slot = {slot}, .generation = {generation}, .root = mkv_root_of_sums(0, NULL)},
    };
    assert_true(mkv_journal_block_append(unit, &record));
}
static void drop_record(uint32_t slot, uint64_t generation) {
    const struct mkv_record record = {
        .kind = MKV_RECORD_DROP,
        .drop = {.cause = MKV_DROP_DELETE, .slot = {slot}, .generation = {generation}},
    };
    assert_true(mkv_journal_block_append(unit, &record));
}

static uint32_t block_write(uint64_t sequence, uint32_t copy) {
    return hand_out(MKV_EFFECT_DRIVE_WRITE, MKV_DRIVE_META,
                    mkv_geometry_journal(&geometry, copy, sequence % geometry.ring_blocks).unit, 1);
}
static void block_seal(uint64_t sequence) {
    const struct mkv_journal_header header = {
        .sequence = {sequence},
        .epoch = 1,
        .ring_position = (uint32_t)(sequence % geometry.ring_blocks),
        .chain = chain,
    };
    chain = mkv_journal_block_seal(unit, &header);
}
/* Both copies are written, and the writes complete. */
static void block_written(uint64_t sequence) {
    block_seal(sequence);
    const uint32_t a = block_write(sequence, 0);
    const uint32_t b = block_write(sequence, 1);
    completed(b);
    completed(a);
}
static void block_durable(uint64_t sequence) {
    block_written(sequence);
    flush();
}

static void put_whole(uint64_t sequence, uint32_t slot, uint32_t key, uint64_t generation) {
    completed(slot_write(slot, key, generation));
    flush();
    block_begin();
    put_record(slot, generation);
    block_durable(sequence);
}

static void drop_whole(uint64_t sequence, uint32_t slot, uint64_t generation) {
    block_begin();
    drop_record(slot, generation);
    block_durable(sequence);
}

static void put_answered(uint32_t key) {
    mkv_watch_put_done(watch, key, MKV_TENANT_DEFAULT, mkv_root_of_sums(0, NULL));
}

/* A superblock in all four copies, durable. */
static void superblock(uint64_t sequence, uint64_t journal_sequence, uint32_t flags,
                       uint32_t side) {
    struct mkv_superblock content_of = {
        .version = MKV_FORMAT_VERSION,
        .flags = flags,
        .sequence = sequence,
        .checkpoint_side = side,
        .journal_sequence = {journal_sequence},
        .geometry = geometry,
        .drive_set = {.version = set_version, .count = 1, .members = {{{{2}}, 1}}},
    };
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        mkv_superblock_encode(&content_of, copy, unit);
        completed(hand_out(MKV_EFFECT_DRIVE_WRITE, MKV_DRIVE_META,
                           mkv_geometry_superblock(geometry.capacity_units, copy).unit, 1));
    }
    flush();
}

static void test_watch__put_and_delete_in_order__no_oracle_fires(void **state) {
    (void)state;
    make();
    put_whole(1, 0, 0, 10);
    put_answered(0);
    drop_whole(2, 0, 10);
    mkv_watch_delete_done(watch, 0);
    put_whole(3, 0, 1, 11); /* the slot is free again */
    put_answered(1);
    assert_true(watch->evaluations > 8);
}

static void test_watch__record_before_a_flush_covers_its_data__fires_o12(void **state) {
    (void)state;
    make();
    completed(slot_write(0, 0, 10));
    block_begin();
    put_record(0, 10);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, block_written(1));
    /* A flush that was handed out before the write completed does not cover it. */
    make();
    const uint32_t token = slot_write(0, 0, 10);
    flush_starts();
    completed(token);
    flush_ends();
    block_begin();
    put_record(0, 10);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, block_written(1));
}

static void test_watch__put_answered_before_its_block_is_durable__fires_o12(void **state) {
    (void)state;
    make();
    completed(slot_write(0, 0, 10));
    flush();
    block_begin();
    put_record(0, 10);
    block_written(1);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, put_answered(0));
    flush_starts();
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, put_answered(0));
    flush_ends();
    put_answered(0);
}

static void test_watch__flush_with_one_copy_written__does_not_make_the_record_durable(
    void **state) {
    (void)state;
    make();
    completed(slot_write(0, 0, 10));
    flush();
    block_begin();
    put_record(0, 10);
    block_seal(1);
    completed(block_write(1, 0));
    flush();
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, put_answered(0));
    completed(block_write(1, 1));
    flush();
    put_answered(0);
}

static void test_watch__delete_answered_before_its_drop_is_durable__fires_o12(void **state) {
    (void)state;
    make();
    put_whole(1, 0, 0, 10);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, mkv_watch_delete_done(watch, 0));
    block_begin();
    drop_record(0, 10);
    block_written(2);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, mkv_watch_delete_done(watch, 0));
    flush();
    mkv_watch_delete_done(watch, 0);
}

static void test_watch__slot_written_while_a_record_references_it__fires_o11(void **state) {
    (void)state;
    make();
    put_whole(1, 0, 0, 10);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, (void)slot_write(0, 1, 11));
    /* Another slot, as after a change of class, that takes in its unit. */
    make();
    put_whole(1, 0, 0, 10);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, (void)slot_write_at(168, slot_unit(0), 1, 11));
    /* Also while its DROP is written but not durable, */
    make();
    put_whole(1, 0, 0, 10);
    block_begin();
    drop_record(0, 10);
    block_written(2);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, (void)slot_write(0, 1, 11));
    /* and while its PUT is handed out and may be durable. */
    make();
    completed(slot_write(0, 0, 10));
    flush();
    block_begin();
    put_record(0, 10);
    block_seal(1);
    (void)block_write(1, 0);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, (void)slot_write(0, 1, 11));
}

static void retire_whole(uint64_t sequence, uint32_t slot) {
    const struct mkv_record record = {.kind = MKV_RECORD_RETIRE, .retire = {.slot = {slot}}};
    block_begin();
    assert_true(mkv_journal_block_append(unit, &record));
    block_durable(sequence);
}

static void test_watch__retired_slot_is_written__fires_o11(void **state) {
    (void)state;
    make();
    retire_whole(1, 0);
    completed(slot_write(1, 1, 10));
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, (void)slot_write(0, 1, 11));
    /* By the DROP of its block, and in an earlier opening, */
    make();
    put_whole(1, 0, 0, 10);
    const struct mkv_record record = {
        .kind = MKV_RECORD_DROP,
        .drop = {.cause = MKV_DROP_QUARANTINE, .retired = true, .slot = {0}, .generation = {10}},
    };
    block_begin();
    assert_true(mkv_journal_block_append(unit, &record));
    block_durable(2);
    mkv_watch_crash(watch);
    mkv_watch_serve(watch, 2);
    assert_int_equal(watch->retired_count, 1);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, (void)slot_write(0, 1, 11));
    /* but not once the volume came up empty. */
    make();
    retire_whole(1, 0);
    mkv_watch_emptied(watch);
    assert_int_equal(watch->retired_count, 0);
    completed(slot_write(0, 1, 10));
}

static void trim(uint64_t lba, uint32_t count) {
    assert_true(hand_out(MKV_EFFECT_DRIVE_TRIM, 0, lba, count) == MKV_WATCH_TOKEN_NONE);
    mkv_watch_completed(watch, MKV_EFFECT_DRIVE_TRIM, MKV_WATCH_TOKEN_NONE, true);
}

static void test_watch__trim_of_a_slot_whose_drop_is_not_durable__fires_o11(void **state) {
    (void)state;
    make();
    put_whole(1, 1, 0, 10);
    trim(slot_unit(2), 2); /* its neighbours hold nothing */
    trim(slot_unit(0), 1);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, trim(slot_unit(0), 4));
    block_begin();
    drop_record(1, 10);
    block_written(2);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, trim(slot_unit(0), 4));
    flush();
    trim(slot_unit(0), 4);
}

static void test_watch__record_of_data_that_was_trimmed__fires_o12(void **state) {
    (void)state;
    make();
    completed(slot_write(0, 0, 10));
    flush();
    trim(slot_unit(0), 1);
    flush();
    block_begin();
    put_record(0, 10);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, block_written(1));
}

static void test_watch__trim_outside_of_the_data_area__fires_o11(void **state) {
    (void)state;
    make();
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, trim(slot_unit(0) - 1, 2));
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, trim(slot_unit(15), 2));
    trim(slot_unit(0), 16);
}

static void test_watch__metadata_in_the_data_area__fires_o11(void **state) {
    (void)state;
    make();
    memset(unit, 0, sizeof unit);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE,
                   (void)hand_out(MKV_EFFECT_DRIVE_WRITE, MKV_DRIVE_META, slot_unit(3), 1));
}

static void test_watch__ring_block_that_replay_needs_is_overwritten__fires_o11(void **state) {
    (void)state;
    make();
    superblock(1, 1, MKV_SUPERBLOCK_NO_CHECKPOINT, 0);
    for (uint64_t sequence = 1; sequence <= geometry.ring_blocks; sequence++) {
        block_begin();
        block_durable(sequence);
    }
    block_begin();
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, block_written(geometry.ring_blocks + 1));
    superblock(2, 3, 0, 1);
    block_begin();
    block_written(geometry.ring_blocks + 1);
}

static void test_watch__checkpoint_side_in_use_is_written__fires_o11(void **state) {
    (void)state;
    make();
    superblock(1, 1, 0, 1);
    memset(unit, 0, sizeof unit);
    (void)hand_out(MKV_EFFECT_DRIVE_WRITE, MKV_DRIVE_META,
                   mkv_geometry_checkpoint(&geometry, 0).unit, 1);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE,
                   (void)hand_out(MKV_EFFECT_DRIVE_WRITE, MKV_DRIVE_META,
                                  mkv_geometry_checkpoint(&geometry, 1).unit, 1));
}

static void test_watch__generation_that_does_not_grow__fires_o7(void **state) {
    (void)state;
    make();
    completed(slot_write(0, 0, 10));
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, (void)slot_write(1, 1, 10));
    make();
    put_whole(1, 0, 0, 10);
    mkv_watch_crash(watch);
    mkv_watch_serve(watch, 1);
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, (void)slot_write(1, 1, 9));
}

static void test_watch__journal_sequences__fire_o7_where_they_jump_or_come_again(void **state) {
    (void)state;
    make();
    block_begin();
    block_durable(1);
    block_begin();
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, block_written(3));
    /* Durable block 1 with other content. */
    make();
    block_begin();
    block_durable(1);
    put_whole(2, 0, 0, 10);
    mkv_watch_crash(watch);
    mkv_watch_serve(watch, 0);
    chain = 77;
    block_begin();
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, block_written(1));
}

static void test_watch__copies_of_a_block_that_differ__fire_o7(void **state) {
    (void)state;
    make();
    block_begin();
    block_seal(1);
    (void)block_write(1, 0);
    chain = 1234;
    block_begin();
    block_seal(1);
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, (void)block_write(1, 1));
}

static void test_watch__superblock_older_than_the_durable_one__fires_o7(void **state) {
    (void)state;
    make();
    superblock(5, 1, MKV_SUPERBLOCK_NO_CHECKPOINT, 0);
    EXPECT_FAILURE(MKV_ORACLE_MONOTONIC, superblock(4, 1, MKV_SUPERBLOCK_NO_CHECKPOINT, 0));
}

static void test_watch__superblock_of_another_drive_set__fires_o6(void **state) {
    (void)state;
    make();
    superblock(1, 1, MKV_SUPERBLOCK_NO_CHECKPOINT, 0);
    set_version = 2;
    EXPECT_FAILURE(MKV_ORACLE_STATE, superblock(2, 1, MKV_SUPERBLOCK_NO_CHECKPOINT, 0));
}

static void test_watch__drop_of_what_no_record_references__fires_o4(void **state) {
    (void)state;
    make();
    block_begin();
    drop_record(0, 10);
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, block_written(1));
    make();
    put_whole(1, 0, 0, 10);
    block_begin();
    drop_record(0, 11);
    EXPECT_FAILURE(MKV_ORACLE_SLOTS, block_written(2));
}

static void test_watch__put_of_another_root_is_answered__fires_o12(void **state) {
    (void)state;
    make();
    put_whole(1, 0, 0, 10);
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, mkv_watch_put_done(watch, 0, MKV_TENANT_DEFAULT, root_of(5)));
    EXPECT_FAILURE(MKV_ORACLE_FLUSH, put_answered(1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch__put_and_delete_in_order__no_oracle_fires),
        cmocka_unit_test(test_watch__record_before_a_flush_covers_its_data__fires_o12),
        cmocka_unit_test(test_watch__put_answered_before_its_block_is_durable__fires_o12),
        cmocka_unit_test(test_watch__flush_with_one_copy_written__does_not_make_the_record_durable),
        cmocka_unit_test(test_watch__delete_answered_before_its_drop_is_durable__fires_o12),
        cmocka_unit_test(test_watch__slot_written_while_a_record_references_it__fires_o11),
        cmocka_unit_test(test_watch__retired_slot_is_written__fires_o11),
        cmocka_unit_test(test_watch__trim_of_a_slot_whose_drop_is_not_durable__fires_o11),
        cmocka_unit_test(test_watch__record_of_data_that_was_trimmed__fires_o12),
        cmocka_unit_test(test_watch__trim_outside_of_the_data_area__fires_o11),
        cmocka_unit_test(test_watch__metadata_in_the_data_area__fires_o11),
        cmocka_unit_test(test_watch__ring_block_that_replay_needs_is_overwritten__fires_o11),
        cmocka_unit_test(test_watch__checkpoint_side_in_use_is_written__fires_o11),
        cmocka_unit_test(test_watch__generation_that_does_not_grow__fires_o7),
        cmocka_unit_test(test_watch__journal_sequences__fire_o7_where_they_jump_or_come_again),
        cmocka_unit_test(test_watch__copies_of_a_block_that_differ__fire_o7),
        cmocka_unit_test(test_watch__superblock_of_another_drive_set__fires_o6),
        cmocka_unit_test(test_watch__superblock_older_than_the_durable_one__fires_o7),
        cmocka_unit_test(test_watch__drop_of_what_no_record_references__fires_o4),
        cmocka_unit_test(test_watch__put_of_another_root_is_answered__fires_o12),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
