/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/checkpoint_page.h"
#include "core/hash.h"
#include "tests/unit/server/tool_store.h"

static int fixture_begin(void **state) {
    static struct tool_store store;
    tool_store_make(&store);
    *state = &store;
    return 0;
}

static int fixture_end(void **state) {
    tool_store_remove(*state);
    return 0;
}

static void verify(const char *path, struct tool_faults *faults,
                   struct mkv_drive_verified *verified) {
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    tool_store_open(path, MKV_DRIVE_TOOL_READ, &drive);
    tool_faults_begin(faults);
    const bool done = mkv_drive_verify(&drive, &faults->report, verified, &error);
    assert_true(done);
    mkv_drive_report_end(&faults->report);
    mkv_drive_tool_close(&drive);
}

/* A bit of this unit is flipped: the fault is named, at its place; and flipped back. */
static void expect_fault(const struct tool_store *store, uint64_t unit, uint32_t offset,
                         enum mkv_drive_fault kind) {
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    tool_store_flip(store->path, unit, offset);
    verify(store->path, &faults, &verified);
    tool_store_flip(store->path, unit, offset);
    if (!tool_faults_has(&faults, kind, unit)) {
        tool_faults_print(&faults);
        fail_msg("no %s at unit %llu", mkv_drive_fault_name(kind), (unsigned long long)unit);
    }
}

static void expect_sound(const char *path, struct mkv_drive_verified *verified) {
    static struct tool_faults faults;
    verify(path, &faults, verified);
    tool_faults_print(&faults);
    assert_int_equal(faults.report.total, 0);
    assert_int_equal(faults.report.notes, 0);
}

static void test_verify__killed_store__sound_and_unchanged(void **state) {
    const struct tool_store *store = *state;
    struct mkv_drive_verified verified;
    char before[IMAGES_PATH_BYTES];
    images_path(store->directory, "before", before);
    tool_store_copy(store->path, before);
    expect_sound(store->path, &verified);
    assert_true(tool_store_same(store->path, before));
    assert_true(verified.blocks > 60);
    assert_int_equal(verified.blocks, tool_store_blocks(store->path, NULL, NULL));
    assert_true(verified.journal_blocks >= 8);
    assert_true(verified.directory_nodes > 10);
    assert_int_equal(verified.tenants, 2);
}

static void test_verify__superblock_copies__named(void **state) {
    const struct tool_store *store = *state;
    const uint64_t capacity = store->superblock.geometry.capacity_units;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        expect_fault(store, mkv_geometry_superblock(capacity, copy).unit, 700,
                     MKV_DRIVE_FAULT_SUPERBLOCK_COPY);
    }
}

static void test_verify__no_two_superblocks__a_fault(void **state) {
    const struct tool_store *store = *state;
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    for (uint32_t copy = 0; copy < 3; copy++) {
        tool_store_flip(
            store->path,
            mkv_geometry_superblock(store->superblock.geometry.capacity_units, copy).unit, 700);
    }
    verify(store->path, &faults, &verified);
    for (uint32_t copy = 0; copy < 3; copy++) {
        tool_store_flip(
            store->path,
            mkv_geometry_superblock(store->superblock.geometry.capacity_units, copy).unit, 700);
    }
    assert_true(tool_faults_has(&faults, MKV_DRIVE_FAULT_SUPERBLOCK, 0));
    assert_false(verified.readable);
}

/* Each block of the journal that counts, in each copy, but for the last: nothing says that it was
 * flushed, so there it may be a write that was cut short. */
static void test_verify__journal__each_copy_named(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_geometry *geometry = &store->superblock.geometry;
    struct mkv_drive_verified verified;
    expect_sound(store->path, &verified);
    const uint64_t first = store->superblock.journal_sequence.value;
    for (uint64_t sequence = first; sequence + 2 < verified.journal_next; sequence++) {
        for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
            expect_fault(
                store, mkv_geometry_journal(geometry, copy, sequence % geometry->ring_blocks).unit,
                150, MKV_DRIVE_FAULT_JOURNAL_COPY);
        }
    }
}

static void test_verify__journal_in_both_copies__lost(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_geometry *geometry = &store->superblock.geometry;
    const uint64_t sequence = store->superblock.journal_sequence.value + 1;
    const uint64_t a = mkv_geometry_journal(geometry, 0, sequence % geometry->ring_blocks).unit;
    const uint64_t b = mkv_geometry_journal(geometry, 1, sequence % geometry->ring_blocks).unit;
    tool_store_flip(store->path, b, 150);
    expect_fault(store, a, 150, MKV_DRIVE_FAULT_JOURNAL_BLOCK);
    tool_store_flip(store->path, b, 150);
}

static void test_verify__checkpoint__every_unit_named(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_superblock *superblock = &store->superblock;
    const struct mkv_geometry *geometry = &superblock->geometry;
    const uint64_t head = mkv_geometry_checkpoint(geometry, superblock->checkpoint_side).unit;
    expect_fault(store, head, 100, MKV_DRIVE_FAULT_CHECKPOINT_HEAD);
    for (uint32_t unit = 0; unit < geometry->tenant_units; unit++) {
        expect_fault(store, head + 1 + unit, 100, MKV_DRIVE_FAULT_CHECKPOINT_TENANTS);
    }
    assert_true(superblock->checkpoint_pages > 0);
    for (uint32_t page = 0; page < superblock->checkpoint_pages; page++) {
        expect_fault(store, head + 1 + geometry->tenant_units + page, 100,
                     MKV_DRIVE_FAULT_CHECKPOINT_PAGE);
    }
}

/* Reads a unit of the file. */
static void read_unit(const struct tool_store *store, uint64_t unit, uint8_t *bytes) {
    struct mkv_drive_tool drive;
    uint8_t *aligned = mkv_drive_tool_units(1);
    assert_non_null(aligned);
    tool_store_open(store->path, MKV_DRIVE_TOOL_READ, &drive);
    assert_int_equal(mkv_drive_tool_read(&drive, unit, 1, aligned), 0);
    memcpy(bytes, aligned, MKV_UNIT_BYTES);
    mkv_drive_tool_close(&drive);
    free(aligned);
}

/* Damages every node of the tree, and each is named; others than these have no node that counts. */
static void test_verify__directory__every_node_named(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_geometry *geometry = &store->superblock.geometry;
    const uint64_t region = mkv_geometry_directory(geometry).unit;
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    uint8_t bytes[MKV_UNIT_BYTES];
    uint32_t named = 0;
    for (uint32_t unit = MKV_DIRECTORY_ROOTS; unit < geometry->directory_units; unit++) {
        read_unit(store, region + unit, bytes);
        if (memcmp(bytes, "MEMKVDN", 8) != 0) {
            continue;
        }
        tool_store_flip(store->path, region + unit, 4000);
        verify(store->path, &faults, &verified);
        tool_store_flip(store->path, region + unit, 4000);
        named += tool_faults_has(&faults, MKV_DRIVE_FAULT_DIRECTORY_NODE, region + unit) ? 1u : 0u;
    }
    expect_sound(store->path, &verified);
    assert_int_equal(named, verified.directory_nodes);
}

static void test_verify__directory_roots__named(void **state) {
    const struct tool_store *store = *state;
    const uint64_t region = mkv_geometry_directory(&store->superblock.geometry).unit;
    expect_fault(store, region, 100, MKV_DRIVE_FAULT_DIRECTORY_ROOT);
    expect_fault(store, region + 1, 100, MKV_DRIVE_FAULT_DIRECTORY_ROOT);
}

/* ---- slots ----------------------------------------------------------------------------------- */

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

/* All of them at once: each is named at its place. */
static void expect_faults(const struct tool_store *store, const uint64_t *units, uint32_t count,
                          uint32_t offset, enum mkv_drive_fault kind) {
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    for (uint32_t i = 0; i < count; i++) {
        tool_store_flip(store->path, units[i], offset);
    }
    verify(store->path, &faults, &verified);
    for (uint32_t i = 0; i < count; i++) {
        tool_store_flip(store->path, units[i], offset);
        assert_true(tool_faults_has(&faults, kind, units[i]));
    }
    assert_int_equal(faults.report.counts[kind], count);
    expect_sound(store->path, &verified);
}

static void test_verify__slots__every_header_and_payload_named(void **state) {
    const struct tool_store *store = *state;
    static struct places places;
    uint64_t headers[256];
    uint64_t payloads[256];
    uint64_t later_chunks[256];
    uint32_t payload_count = 0;
    uint32_t later_count = 0;
    memset(&places, 0, sizeof places);
    tool_store_blocks(store->path, on_block, &places);
    for (uint32_t i = 0; i < places.count; i++) {
        headers[i] = places.blocks[i].lba.unit;
        if (places.blocks[i].length_units > 0) {
            payloads[payload_count++] = headers[i] + 1;
        }
        if (places.blocks[i].length_units > 32) {
            later_chunks[later_count++] = headers[i] + 1 + 16;
        }
    }
    assert_true(later_count > 0);
    expect_faults(store, headers, places.count, 1200, MKV_DRIVE_FAULT_SLOT_HEADER);
    expect_faults(store, payloads, payload_count, 5, MKV_DRIVE_FAULT_SLOT_PAYLOAD);
    expect_faults(store, later_chunks, later_count, 77, MKV_DRIVE_FAULT_SLOT_PAYLOAD);
}

static void test_verify__inline_payloads__named(void **state) {
    const struct tool_store *store = *state;
    static struct places places;
    uint64_t units[256];
    uint32_t found = 0;
    memset(&places, 0, sizeof places);
    tool_store_blocks(store->path, on_block, &places);
    for (uint32_t i = 0; i < places.count; i++) {
        uint8_t bytes[MKV_UNIT_BYTES];
        read_unit(store, places.blocks[i].lba.unit, bytes);
        if (mkv_load_u32(bytes + 48) > 0 && places.blocks[i].length_units == 0) {
            units[found++] = places.blocks[i].lba.unit;
        }
    }
    assert_true(found > 40);
    expect_faults(store, units, found, 2048, MKV_DRIVE_FAULT_SLOT_PAYLOAD);
}

/* ---- what no sum tells ----------------------------------------------------------------------- */

/* Changes a unit and makes its sum hold again. */
static void forge(const struct tool_store *store, uint64_t unit, uint32_t offset, uint32_t value,
                  uint32_t summed_from) {
    struct mkv_drive_tool drive;
    uint8_t *bytes = mkv_drive_tool_units(1);
    tool_store_open(store->path, MKV_DRIVE_TOOL_WRITE, &drive);
    assert_int_equal(mkv_drive_tool_read(&drive, unit, 1, bytes), 0);
    mkv_store_u32(bytes + offset, value);
    mkv_store_u64(bytes + 8, mkv_hash_64(bytes + summed_from, MKV_UNIT_BYTES - summed_from));
    assert_int_equal(mkv_drive_tool_write(&drive, unit, 1, bytes), 0);
    mkv_drive_tool_close(&drive);
    free(bytes);
}

/* A page of the checkpoint whose sum holds, and which says another tag: the header does not agree,
 * nor does the directory. */
static void test_verify__forged_page__the_slot_disagrees(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_superblock *superblock = &store->superblock;
    const struct mkv_geometry *geometry = &superblock->geometry;
    const uint64_t first = mkv_geometry_checkpoint(geometry, superblock->checkpoint_side).unit + 1 +
                           geometry->tenant_units;
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    uint8_t bytes[MKV_UNIT_BYTES];
    read_unit(store, first, bytes);
    const uint32_t tag = mkv_load_u32(bytes + 64);
    forge(store, first, 64, tag ^ 1u, 16);
    verify(store->path, &faults, &verified);
    forge(store, first, 64, tag, 16);
    assert_true(faults.report.counts[MKV_DRIVE_FAULT_SLOT_HEADER] == 1);
    assert_true(faults.report.counts[MKV_DRIVE_FAULT_DIRECTORY_ENTRY] >= 1);
    assert_non_null(strstr(faults.texts[0], "another key than the slot table says"));
}

/* A page whose sum holds, and which says the extent of another group. */
static void test_verify__forged_extent__groups_overlap(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_superblock *superblock = &store->superblock;
    const struct mkv_geometry *geometry = &superblock->geometry;
    const uint64_t first = mkv_geometry_checkpoint(geometry, superblock->checkpoint_side).unit + 1 +
                           geometry->tenant_units;
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    uint8_t bytes[MKV_UNIT_BYTES];
    uint32_t page = 0;
    /* The first page of another group than that of page 0. */
    read_unit(store, first, bytes);
    const uint32_t extent = mkv_load_u32(bytes + 44);
    do {
        page++;
        assert_true(page < superblock->checkpoint_pages);
        read_unit(store, first + page, bytes);
    } while (mkv_load_u32(bytes + 44) == MKV_NONE_U32 || mkv_load_u32(bytes + 44) == extent);
    const uint32_t own = mkv_load_u32(bytes + 44);
    forge(store, first + page, 44, extent, 16);
    verify(store->path, &faults, &verified);
    forge(store, first + page, 44, own, 16);
    assert_true(faults.report.counts[MKV_DRIVE_FAULT_EXTENT_MAP] >= 1);
    expect_sound(store->path, &verified);
}

/* The root says that it has every put so far, which it has not: those of the journal are missed. */
static void test_verify__forged_root__blocks_are_missing_in_the_directory(void **state) {
    const struct tool_store *store = *state;
    const uint64_t region = mkv_geometry_directory(&store->superblock.geometry).unit;
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    uint8_t bytes[MKV_DIRECTORY_ROOTS][MKV_UNIT_BYTES];
    read_unit(store, region, bytes[0]);
    read_unit(store, region + 1, bytes[1]);
    const uint32_t newer = mkv_load_u64(bytes[0] + 32) > mkv_load_u64(bytes[1] + 32) ? 0 : 1;
    const uint32_t listed = mkv_load_u32(bytes[newer] + 56);
    forge(store, region + newer, 56, listed + (1u << 24), 16);
    verify(store->path, &faults, &verified);
    forge(store, region + newer, 56, listed, 16);
    /* Those that were put since the last close: seven, and one replaced. */
    assert_int_equal(faults.report.counts[MKV_DRIVE_FAULT_DIRECTORY_ENTRY], 8);
    assert_int_equal(faults.report.total, 8);
    expect_sound(store->path, &verified);
}

/* Of two blocks with keys of one length the later gets the key of the earlier, in its header and in
 * the slot table: all sums hold. */
static void test_verify__one_key_twice__named_and_the_older_is_to_go(void **state) {
    const struct tool_store *store = *state;
    const struct mkv_superblock *superblock = &store->superblock;
    const uint64_t pages =
        mkv_geometry_checkpoint(&superblock->geometry, superblock->checkpoint_side).unit + 1 +
        superblock->geometry.tenant_units;
    static struct places places;
    static struct tool_faults faults;
    struct mkv_drive_verified verified;
    struct mkv_drive_tool drive;
    uint8_t header[MKV_UNIT_BYTES];
    uint8_t twin[MKV_UNIT_BYTES];
    char before[IMAGES_PATH_BYTES];
    images_path(store->directory, "untwinned", before);
    tool_store_copy(store->path, before);
    memset(&places, 0, sizeof places);
    tool_store_blocks(store->path, on_block, &places);
    /* The first two of the long keys, which are inline, in the first page. */
    const struct mkv_volume_block *found[2];
    uint32_t count = 0;
    for (uint32_t i = 0; i < places.count && count < 2; i++) {
        read_unit(store, places.blocks[i].lba.unit, header);
        if (memcmp(header + 128, "long-", 5) == 0 && places.blocks[i].slot.index < MKV_PAGE_SLOTS) {
            found[count++] = &places.blocks[i];
        }
    }
    assert_int_equal(count, 2);
    read_unit(store, found[0]->lba.unit, header);
    read_unit(store, found[1]->lba.unit, twin);
    memcpy(twin + 128, header + 128, MKV_KEY_BYTES_MAX);
    mkv_store_u64(twin + 8, mkv_hash_64(twin + 16, 2048 - 16));
    tool_store_open(store->path, MKV_DRIVE_TOOL_WRITE, &drive);
    images_write_unit(&drive.media, found[1]->lba.unit, twin);
    mkv_drive_tool_close(&drive);
    const uint32_t entry = 64 + 24 * found[1]->slot.index;
    forge(store, pages, entry, (uint32_t)found[0]->tag, 16);
    forge(store, pages, entry + 4, (uint32_t)(found[0]->tag >> 32), 16);

    tool_store_open(store->path, MKV_DRIVE_TOOL_READ, &drive);
    struct mkv_backend_error error = {0};
    tool_faults_begin(&faults);
    assert_true(mkv_drive_verify(&drive, &faults.report, &verified, &error));
    mkv_drive_tool_close(&drive);
    assert_true(tool_faults_has(&faults, MKV_DRIVE_FAULT_SLOT_TABLE, found[1]->lba.unit));
    assert_int_equal(faults.report.slot_count, 1);
    const uint32_t older = mkv_load_u64(header + 40) < mkv_load_u64(twin + 40) ? 0 : 1;
    assert_int_equal(faults.report.slots[0].slot, found[older]->slot.index);
    mkv_drive_report_end(&faults.report);
    tool_store_copy(before, store->path);
    expect_sound(store->path, &verified);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify__killed_store__sound_and_unchanged),
        cmocka_unit_test(test_verify__superblock_copies__named),
        cmocka_unit_test(test_verify__no_two_superblocks__a_fault),
        cmocka_unit_test(test_verify__journal__each_copy_named),
        cmocka_unit_test(test_verify__journal_in_both_copies__lost),
        cmocka_unit_test(test_verify__checkpoint__every_unit_named),
        cmocka_unit_test(test_verify__directory__every_node_named),
        cmocka_unit_test(test_verify__directory_roots__named),
        cmocka_unit_test(test_verify__slots__every_header_and_payload_named),
        cmocka_unit_test(test_verify__inline_payloads__named),
        cmocka_unit_test(test_verify__forged_page__the_slot_disagrees),
        cmocka_unit_test(test_verify__forged_extent__groups_overlap),
        cmocka_unit_test(test_verify__forged_root__blocks_are_missing_in_the_directory),
        cmocka_unit_test(test_verify__one_key_twice__named_and_the_older_is_to_go),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
