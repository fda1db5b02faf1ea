/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/slot_header.h"
#include "server/drive_tool_copy.h"
#include "tests/unit/server/tool_store.h"

#define ROUNDS 21u

struct fixture {
    struct tool_store store; /* never changed */
    char path[IMAGES_PATH_BYTES];
    uint32_t block_count;
};

static int fixture_begin(void **state) {
    static struct fixture fixture;
    tool_store_make(&fixture.store);
    images_path(fixture.store.directory, "work", fixture.path);
    fixture.block_count = tool_store_blocks(fixture.store.path, NULL, NULL);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    struct fixture *fixture = *state;
    tool_store_remove(&fixture->store);
    return 0;
}

/* Repairs the work file, which has to be sound then, by what another verification says, too. */
static void repair(const struct fixture *fixture, struct mkv_drive_repaired *repaired) {
    static struct tool_faults before;
    static struct tool_faults after;
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    tool_faults_begin(&before);
    tool_faults_begin(&after);
    tool_store_open(fixture->path, MKV_DRIVE_TOOL_WRITE, &drive);
    const bool done = mkv_drive_repair(&drive, &before.report, &after.report, repaired, &error);
    assert_string_equal(error.text, "");
    assert_true(done);
    tool_faults_print(&after);
    assert_int_equal(repaired->faults_after, 0);
    mkv_drive_report_end(&before.report);
    mkv_drive_report_end(&after.report);
    mkv_drive_tool_close(&drive);
    assert_int_equal(tool_store_blocks(fixture->path, NULL, NULL), repaired->blocks_after);
}

static void fresh(const struct fixture *fixture) {
    tool_store_copy(fixture->store.path, fixture->path);
}

static uint64_t copy_unit(const struct fixture *fixture, uint32_t copy) {
    return mkv_geometry_superblock(fixture->store.superblock.geometry.capacity_units, copy).unit;
}

static void test_repair__sound_store__left_alone(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_repaired repaired;
    fresh(fixture);
    repair(fixture, &repaired);
    assert_true(repaired.sound);
    assert_true(tool_store_same(fixture->store.path, fixture->path));
}

/* Any two copies are lost: recovery takes the others where they agree, repair a single one where
 * none do. No block is lost. */
static void test_repair__superblock_copies__written_anew(void **state) {
    const struct fixture *fixture = *state;
    for (uint32_t lost = 1; lost + 1 < 1u << MKV_SUPERBLOCK_COPIES; lost++) {
        struct mkv_drive_repaired repaired;
        uint32_t left = MKV_SUPERBLOCK_COPIES;
        fresh(fixture);
        for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
            if (lost & (1u << copy)) {
                tool_store_flip(fixture->path, copy_unit(fixture, copy), 700);
                left--;
            }
        }
        repair(fixture, &repaired);
        assert_int_equal(repaired.superblock_from_one, left == 1);
        assert_false(repaired.came_up_empty);
        assert_int_equal(repaired.blocks_after, fixture->block_count);
    }
}

static void test_repair__no_superblock__refused(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_repaired repaired;
    struct mkv_drive_report report = {0};
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    fresh(fixture);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        tool_store_flip(fixture->path, copy_unit(fixture, copy), 700);
    }
    tool_store_open(fixture->path, MKV_DRIVE_TOOL_WRITE, &drive);
    assert_false(mkv_drive_repair(&drive, &report, &report, &repaired, &error));
    assert_non_null(strstr(error.text, "none of its four superblocks is whole"));
    mkv_drive_tool_close(&drive);
}

static uint64_t ring_unit(const struct fixture *fixture, uint32_t copy, uint64_t sequence) {
    const struct mkv_geometry *geometry = &fixture->store.superblock.geometry;
    return mkv_geometry_journal(geometry, copy, sequence % geometry->ring_blocks).unit;
}

static void test_repair__journal_copies__from_their_twins(void **state) {
    const struct fixture *fixture = *state;
    const uint64_t first = fixture->store.superblock.journal_sequence.value;
    struct mkv_drive_repaired repaired;
    fresh(fixture);
    for (uint32_t i = 0; i < 4; i++) {
        tool_store_flip(fixture->path, ring_unit(fixture, i % 2, first + i), 150);
    }
    repair(fixture, &repaired);
    assert_int_equal(repaired.journal_blocks_written, 4);
    assert_false(repaired.came_up_empty);
    assert_int_equal(repaired.blocks_after, fixture->block_count);
}

/* It may have held the end of any block. */
static void test_repair__journal_block_lost__empty(void **state) {
    const struct fixture *fixture = *state;
    const uint64_t second = fixture->store.superblock.journal_sequence.value + 1;
    struct mkv_drive_repaired repaired;
    fresh(fixture);
    tool_store_flip(fixture->path, ring_unit(fixture, 0, second), 150);
    tool_store_flip(fixture->path, ring_unit(fixture, 1, second), 150);
    repair(fixture, &repaired);
    assert_true(repaired.came_up_empty);
    assert_int_equal(repaired.empty_err, MKV_CORRUPT_JOURNAL_BLOCK);
    assert_int_equal(repaired.blocks_after, 0);
}

/* The last one is damaged in its head, a unit of tenants, or a page; the one before it and the
 * journal since are there. */
static void test_repair__checkpoint__from_the_one_before(void **state) {
    const struct fixture *fixture = *state;
    const struct mkv_superblock *superblock = &fixture->store.superblock;
    const uint64_t head =
        mkv_geometry_checkpoint(&superblock->geometry, superblock->checkpoint_side).unit;
    const uint64_t units[] = {head, head + 1, head + 1 + superblock->geometry.tenant_units,
                              head + superblock->geometry.tenant_units +
                                  superblock->checkpoint_pages};
    for (uint32_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct mkv_drive_repaired repaired;
        fresh(fixture);
        tool_store_flip(fixture->path, units[i], 100);
        repair(fixture, &repaired);
        assert_true(repaired.checkpoint_from_twin);
        assert_false(repaired.came_up_empty);
        assert_int_equal(repaired.blocks_after, fixture->block_count);
    }
}

static void test_repair__both_checkpoints__empty(void **state) {
    const struct fixture *fixture = *state;
    const struct mkv_geometry *geometry = &fixture->store.superblock.geometry;
    struct mkv_drive_repaired repaired;
    fresh(fixture);
    tool_store_flip(fixture->path, mkv_geometry_checkpoint(geometry, 0).unit, 100);
    tool_store_flip(fixture->path, mkv_geometry_checkpoint(geometry, 1).unit, 100);
    repair(fixture, &repaired);
    assert_true(repaired.came_up_empty);
    assert_int_equal(repaired.blocks_after, 0);
}

/* The one before is whole, but a block of the journal between the two is not there any more. */
static void test_repair__checkpoint_and_a_block_before_it__empty(void **state) {
    const struct fixture *fixture = *state;
    const struct mkv_superblock *superblock = &fixture->store.superblock;
    struct mkv_drive_repaired repaired;
    fresh(fixture);
    tool_store_flip(
        fixture->path,
        mkv_geometry_checkpoint(&superblock->geometry, superblock->checkpoint_side).unit, 100);
    const uint64_t before = superblock->journal_sequence.value - 2;
    tool_store_flip(fixture->path, ring_unit(fixture, 0, before), 150);
    tool_store_flip(fixture->path, ring_unit(fixture, 1, before), 150);
    repair(fixture, &repaired);
    assert_false(repaired.checkpoint_from_twin);
    assert_true(repaired.came_up_empty);
}

static void test_repair__directory__made_anew(void **state) {
    const struct fixture *fixture = *state;
    const uint64_t region = mkv_geometry_directory(&fixture->store.superblock.geometry).unit;
    for (uint32_t unit = 0; unit < 8; unit++) {
        struct mkv_drive_repaired repaired;
        fresh(fixture);
        tool_store_flip(fixture->path, region + unit, 3000);
        repair(fixture, &repaired);
        assert_int_equal(repaired.blocks_after, fixture->block_count);
        assert_true(repaired.sound || repaired.directory_anew);
    }
}

struct places {
    uint32_t count;
    struct mkv_volume_block blocks[256];
};

static void on_block(void *context, const struct mkv_volume_block *block) {
    struct places *places = context;
    assert_true(places->count < 256);
    places->blocks[places->count] = *block;
    places->count++;
}

static void test_repair__slots__dropped_and_no_other(void **state) {
    const struct fixture *fixture = *state;
    static struct places places;
    static struct places left;
    struct mkv_drive_repaired repaired;
    memset(&places, 0, sizeof places);
    memset(&left, 0, sizeof left);
    fresh(fixture);
    tool_store_blocks(fixture->path, on_block, &places);
    uint32_t damaged = 0;
    for (uint32_t i = 0; i < places.count; i += 3) {
        const bool payload = places.blocks[i].length_units > 0;
        tool_store_flip(fixture->path, places.blocks[i].lba.unit + (payload ? 1 : 0), 1300);
        damaged++;
    }
    repair(fixture, &repaired);
    assert_int_equal(repaired.blocks_dropped, damaged);
    assert_int_equal(repaired.blocks_after, fixture->block_count - damaged);
    tool_store_blocks(fixture->path, on_block, &left);
    uint32_t next = 0;
    for (uint32_t i = 0; i < places.count; i++) {
        if (i % 3 != 0) {
            assert_int_equal(left.blocks[next].slot.index, places.blocks[i].slot.index);
            assert_int_equal(left.blocks[next].tag, places.blocks[i].tag);
            next++;
        }
    }
}

/* Repaired, it takes puts like any other store, and is sound behind them. */
static void test_repair__then_puts__sound(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_repaired repaired;
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    struct mkv_volume_config config;
    struct mkv_drive_tool_volume *volume;
    fresh(fixture);
    for (uint32_t copy = 0; copy < 3; copy++) {
        tool_store_flip(fixture->path, copy_unit(fixture, copy), 700);
    }
    repair(fixture, &repaired);
    tool_store_open(fixture->path, MKV_DRIVE_TOOL_WRITE, &drive);
    mkv_drive_tool_volume_config(&drive.probe.superblock, drive.media.capacity_units, &config);
    const struct mkv_drive_tool_volume_options options = {
        .drive = &drive, .config = &config, .puts = true};
    assert_true(mkv_drive_tool_volume_create(&options, &volume, &error));
    assert_true(mkv_drive_tool_volume_open(volume, NULL, false, &error));
    tool_store_put(volume, 0, "behind", 900, 70000, 0, 0);
    mkv_drive_tool_volume_destroy(volume);
    mkv_drive_tool_close(&drive);
    repair(fixture, &repaired);
    assert_true(repaired.sound);
    assert_int_equal(repaired.blocks_after, fixture->block_count + 1);
}

/* Units of all regions, as they come, zeroed or with a bit flipped; of the superblocks one copy at
 * most. Whatever is lost, what is left is sound. */
static void test_repair__of_damage_all_over__sound(void **state) {
    const struct fixture *fixture = *state;
    const struct mkv_geometry *geometry = &fixture->store.superblock.geometry;
    const uint64_t first = mkv_geometry_journal(geometry, 0, 0).unit;
    const uint64_t data = mkv_geometry_data_start(geometry).unit;
    uint64_t seed = 20261122;
    uint32_t kept = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct mkv_drive_repaired repaired;
        struct mkv_drive_media media;
        fresh(fixture);
        images_open(fixture->path, 0, &media);
        for (uint32_t i = 0; i < 1u << round % 7; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const uint64_t unit =
                seed % 3 == 0 ? data + (seed >> 33) % 500 : first + (seed >> 33) % (data - first);
            if ((seed >> 20) % 2 == 0) {
                images_fill_unit(&media, unit, 0);
            } else {
                tool_store_flip(fixture->path, unit, (uint32_t)(seed >> 24) % MKV_UNIT_BYTES);
            }
        }
        mkv_drive_media_close(&media);
        tool_store_flip(fixture->path, copy_unit(fixture, round % 4), 40);
        repair(fixture, &repaired);
        kept += repaired.blocks_after > 0;
    }
    assert_true(kept > ROUNDS / 3);
    assert_true(kept < ROUNDS);
}

static void test_copy__of_a_store__the_same_and_never_over_a_file(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    struct mkv_drive_copied copied;
    char path[IMAGES_PATH_BYTES];
    images_path(fixture->store.directory, "copy", path);
    tool_store_open(fixture->store.path, MKV_DRIVE_TOOL_READ, &drive);
    assert_true(mkv_drive_copy(&drive, path, NULL, NULL, &copied, &error));
    assert_int_equal(copied.units_unreadable, 0);
    assert_true(tool_store_same(fixture->store.path, path));
    assert_false(mkv_drive_copy(&drive, path, NULL, NULL, &copied, &error));
    assert_non_null(strstr(error.text, "is there already"));
    assert_true(tool_store_same(fixture->store.path, path));
    mkv_drive_tool_close(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair__sound_store__left_alone),
        cmocka_unit_test(test_repair__superblock_copies__written_anew),
        cmocka_unit_test(test_repair__no_superblock__refused),
        cmocka_unit_test(test_repair__journal_copies__from_their_twins),
        cmocka_unit_test(test_repair__journal_block_lost__empty),
        cmocka_unit_test(test_repair__checkpoint__from_the_one_before),
        cmocka_unit_test(test_repair__both_checkpoints__empty),
        cmocka_unit_test(test_repair__checkpoint_and_a_block_before_it__empty),
        cmocka_unit_test(test_repair__directory__made_anew),
        cmocka_unit_test(test_repair__slots__dropped_and_no_other),
        cmocka_unit_test(test_repair__then_puts__sound),
        cmocka_unit_test(test_repair__of_damage_all_over__sound),
        cmocka_unit_test(test_copy__of_a_store__the_same_and_never_over_a_file),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
