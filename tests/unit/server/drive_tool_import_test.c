/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/placement.h"
#include "server/block_stream.h"
#include "server/drive_tool_export.h"
#include "server/drive_tool_verify.h"
#include "server/drive_tool_wipe.h"
#include "tests/unit/server/tool_store.h"

#define BLOCKS_MAX 256u

struct fixture {
    struct tool_store store; /* never changed */
    char stream[IMAGES_PATH_BYTES];
};

static void export_to(const char *path, const char *stream, struct mkv_drive_exported *exported) {
    struct tool_faults *faults = calloc(1, sizeof *faults);
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    assert_non_null(faults);
    tool_faults_begin(faults);
    tool_store_open(path, MKV_DRIVE_TOOL_READ, &drive);
    const bool done = mkv_drive_export(&drive, stream, &faults->report, exported, &error);
    assert_string_equal(error.text, "");
    assert_true(done);
    mkv_drive_tool_close(&drive);
    mkv_drive_report_end(&faults->report);
    free(faults);
}

static int fixture_begin(void **state) {
    static struct fixture fixture;
    struct mkv_drive_exported exported;
    tool_store_make(&fixture.store);
    images_path(fixture.store.directory, "blocks", fixture.stream);
    export_to(fixture.store.path, fixture.stream, &exported);
    assert_int_equal(exported.damaged, 0);
    assert_int_equal(exported.tenants, 2);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    struct fixture *fixture = *state;
    tool_store_remove(&fixture->store);
    return 0;
}

/* ---- what is in a stream
 * ---------------------------------------------------------------------- */

struct content {
    struct mkv_block_record record; /* its pointers are ours */
    char tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
};

static int compare_contents(const void *a, const void *b) {
    const struct content *one = a;
    const struct content *other = b;
    const int order = strcmp(one->tenant, other->tenant);
    if (order != 0) {
        return order;
    }
    const uint32_t least = one->record.key_bytes < other->record.key_bytes
                               ? one->record.key_bytes
                               : other->record.key_bytes;
    const int keys = memcmp(one->record.key, other->record.key, least);
    return keys != 0 ? keys : (int)one->record.key_bytes - (int)other->record.key_bytes;
}

static uint8_t *keep(const uint8_t *bytes, uint32_t count) {
    uint8_t *own = malloc((size_t)count + 1);
    assert_non_null(own);
    memcpy(own, bytes, count);
    return own;
}

/* The blocks of a stream behind those that there are, in the order of tenants and keys. */
static void read_contents(const char *path, struct content *contents, uint32_t *count) {
    struct mkv_block_reader reader;
    struct mkv_block_record record;
    struct mkv_backend_error error = {0};
    char names[64][MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    memset(names, 0, sizeof names);
    assert_true(mkv_block_reader_open(&reader, path, &error));
    do {
        assert_true(mkv_block_reader_next(&reader, &record, &error));
        if (record.kind == MKV_BLOCK_RECORD_TENANT) {
            assert_true(record.tenant < 64);
            memcpy(names[record.tenant], record.key, record.key_bytes);
        } else if (record.kind == MKV_BLOCK_RECORD_BLOCK) {
            assert_true(*count < BLOCKS_MAX);
            struct content *content = &contents[(*count)++];
            content->record = record;
            content->record.key = keep(record.key, record.key_bytes);
            content->record.payload = keep(record.payload, record.length);
            memcpy(content->tenant, names[record.tenant], sizeof content->tenant);
        }
    } while (record.kind != MKV_BLOCK_RECORD_END);
    mkv_block_reader_close(&reader);
    qsort(contents, *count, sizeof *contents, compare_contents);
}

static void free_contents(struct content *contents, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)contents[i].record.key);
        free((void *)(uintptr_t)contents[i].record.payload);
    }
}

/* The streams together hold the same blocks, byte for byte, as the fixture's. */
static void expect_same(const struct fixture *fixture, const char *const *streams,
                        uint32_t stream_count) {
    static struct content wanted[BLOCKS_MAX];
    static struct content got[BLOCKS_MAX];
    uint32_t wanted_count = 0;
    uint32_t got_count = 0;
    read_contents(fixture->stream, wanted, &wanted_count);
    for (uint32_t i = 0; i < stream_count; i++) {
        read_contents(streams[i], got, &got_count);
    }
    assert_int_equal(got_count, wanted_count);
    assert_true(wanted_count > 60);
    for (uint32_t i = 0; i < wanted_count; i++) {
        const struct mkv_block_record *one = &wanted[i].record;
        const struct mkv_block_record *other = &got[i].record;
        assert_string_equal(wanted[i].tenant, got[i].tenant);
        assert_int_equal(one->key_bytes, other->key_bytes);
        assert_memory_equal(one->key, other->key, one->key_bytes);
        assert_int_equal(one->length, other->length);
        assert_memory_equal(one->payload, other->payload, one->length);
        assert_memory_equal(&one->root, &other->root, sizeof one->root);
        assert_int_equal(one->expiry_s, other->expiry_s);
        assert_int_equal(one->tier, other->tier);
        assert_int_equal(one->block_flags, other->block_flags);
    }
    free_contents(wanted, wanted_count);
    free_contents(got, got_count);
}

static bool import_from(const char *stream, const char *const *paths, uint32_t count, bool replace,
                        struct mkv_drive_imported *imported, struct mkv_backend_error *error) {
    const struct mkv_drive_import_options options = {.paths = paths,
                                                     .path_count = count,
                                                     .streams = &stream,
                                                     .stream_count = 1,
                                                     .replace = replace};
    return mkv_drive_import(&options, imported, error);
}

static void expect_sound(const char *path) {
    struct tool_faults *faults = calloc(1, sizeof *faults);
    struct mkv_drive_tool drive;
    struct mkv_drive_verified verified;
    struct mkv_backend_error error = {0};
    assert_non_null(faults);
    tool_faults_begin(faults);
    tool_store_open(path, MKV_DRIVE_TOOL_READ, &drive);
    assert_true(mkv_drive_verify(&drive, &faults->report, &verified, &error));
    tool_faults_print(faults);
    assert_int_equal(faults->report.total, 0);
    assert_true((verified.superblock.flags & MKV_SUPERBLOCK_CLEAN) != 0);
    mkv_drive_tool_close(&drive);
    mkv_drive_report_end(&faults->report);
    free(faults);
}

/* An empty file of a store's size. */
static void blank(const struct fixture *fixture, const char *name, char path[IMAGES_PATH_BYTES]) {
    struct mkv_drive_media media;
    images_path(fixture->store.directory, name, path);
    (void)unlink(path);
    images_open(path, TOOL_STORE_BYTES, &media);
    mkv_drive_media_close(&media);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_export__of_a_store__leaves_it_as_it_was(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_exported exported;
    char copy[IMAGES_PATH_BYTES];
    char again[IMAGES_PATH_BYTES];
    images_path(fixture->store.directory, "copy", copy);
    images_path(fixture->store.directory, "again", again);
    tool_store_copy(fixture->store.path, copy);
    export_to(fixture->store.path, again, &exported);
    assert_true(tool_store_same(fixture->store.path, copy));
    assert_int_equal(exported.blocks, tool_store_blocks(copy, NULL, NULL));
}

static void test_wipe__then_import__the_same_blocks(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_tool drive;
    struct mkv_drive_imported imported;
    struct mkv_drive_exported exported;
    struct mkv_backend_error error = {0};
    char work[IMAGES_PATH_BYTES];
    char again[IMAGES_PATH_BYTES];
    bool discarded;
    images_path(fixture->store.directory, "work", work);
    images_path(fixture->store.directory, "round", again);
    tool_store_copy(fixture->store.path, work);
    tool_store_open(work, MKV_DRIVE_TOOL_WRITE, &drive);
    assert_true(mkv_drive_wipe(&drive, &discarded, &error));
    assert_int_equal(drive.probe.kind, MKV_DRIVE_PROBE_BLANK);
    mkv_drive_tool_close(&drive);
    const char *const paths[] = {work};
    assert_true(import_from(fixture->stream, paths, 1, false, &imported, &error));
    assert_int_equal(imported.formatted, 1);
    assert_int_equal(imported.conflicts + imported.no_space + imported.failed, 0);
    expect_sound(work);
    export_to(work, again, &exported);
    const char *const streams[] = {again};
    expect_same(fixture, streams, 1);
}

static void test_import__once_more__everything_is_there(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_imported first;
    struct mkv_drive_imported second;
    struct mkv_backend_error error = {0};
    char path[IMAGES_PATH_BYTES];
    blank(fixture, "twice", path);
    const char *const paths[] = {path};
    assert_true(import_from(fixture->stream, paths, 1, false, &first, &error));
    assert_true(import_from(fixture->stream, paths, 1, false, &second, &error));
    assert_int_equal(second.blocks, 0);
    assert_int_equal(second.there, first.blocks);
    assert_memory_equal(&first.store_uuid, &second.store_uuid, sizeof first.store_uuid);
    expect_sound(path);
}

/* Three drives: each block is where placement has it, tenants have one number on all of them, and
 * together the drives hold what was exported. */
static void test_import__to_three_drives__each_block_where_its_key_routes(void **state) {
    const struct fixture *fixture = *state;
    static const char *const names[] = {"d0", "d1", "d2"};
    static const char *const stream_names[] = {"s0", "s1", "s2"};
    static char paths[3][IMAGES_PATH_BYTES];
    static char streams[3][IMAGES_PATH_BYTES];
    struct mkv_drive_imported imported;
    struct mkv_backend_error error = {0};
    const char *path_list[3];
    const char *stream_list[3];
    for (uint32_t i = 0; i < 3; i++) {
        blank(fixture, names[i], paths[i]);
        images_path(fixture->store.directory, stream_names[i], streams[i]);
        path_list[i] = paths[i];
        stream_list[i] = streams[i];
    }
    assert_true(import_from(fixture->stream, path_list, 3, false, &imported, &error));
    assert_int_equal(imported.formatted, 3);
    for (uint32_t i = 0; i < 3; i++) {
        static struct content contents[BLOCKS_MAX];
        struct mkv_drive_exported exported;
        struct mkv_drive_tool drive;
        uint32_t count = 0;
        expect_sound(paths[i]);
        export_to(paths[i], streams[i], &exported);
        assert_true(exported.blocks > 5);
        assert_int_equal(exported.tenants, 2);
        read_contents(streams[i], contents, &count);
        tool_store_open(paths[i], MKV_DRIVE_TOOL_READ, &drive);
        const struct mkv_drive_set *set = &drive.probe.superblock.drive_set;
        for (uint32_t block = 0; block < count; block++) {
            const uint32_t owner = mkv_placement_owner(
                mkv_placement_point(contents[block].tenant, contents[block].record.key,
                                    contents[block].record.key_bytes),
                set->members, set->count);
            assert_true(
                mkv_uuid_equal(set->members[owner].uuid, drive.probe.superblock.drive_uuid));
        }
        mkv_drive_tool_close(&drive);
        free_contents(contents, count);
    }
    expect_same(fixture, stream_list, 3);
    /* One of three alone is not the store. */
    assert_false(import_from(fixture->stream, path_list, 1, false, &imported, &error));
    assert_non_null(strstr(error.text, "2 of the store's 3 drives are missing"));
}

static void make_stream(const struct fixture *fixture, const char *name, uint32_t number,
                        char path[IMAGES_PATH_BYTES], const char *key, uint32_t expiry_s) {
    struct mkv_block_writer writer;
    struct mkv_backend_error error = {0};
    const struct mkv_block_stream_header header = {.wall_ms = 1};
    uint8_t payload[3000];
    uint64_t sums[MKV_CHUNKS_MAX];
    images_path(fixture->store.directory, name, path);
    tool_store_bytes(number, sizeof payload, payload);
    mkv_chunk_sums(payload, sizeof payload, sums);
    const struct mkv_block_record tenant = {.kind = MKV_BLOCK_RECORD_TENANT,
                                            .tenant = 5,
                                            .key_bytes = 5,
                                            .key = (const uint8_t *)"alpha",
                                            .payload = payload};
    const struct mkv_block_record block = {.kind = MKV_BLOCK_RECORD_BLOCK,
                                           .tier = MKV_TIER_UNHINTED,
                                           .tenant = 5,
                                           .key_bytes = (uint32_t)strlen(key),
                                           .length = sizeof payload,
                                           .expiry_s = expiry_s,
                                           .root = mkv_root_of_sums(sizeof payload, sums),
                                           .key = (const uint8_t *)key,
                                           .payload = payload};
    assert_true(mkv_block_writer_open(&writer, path, &header, &error));
    assert_true(mkv_block_writer_put(&writer, &tenant, &error));
    assert_true(mkv_block_writer_put(&writer, &block, &error));
    assert_true(mkv_block_writer_close(&writer, &error));
}

/* The tenant's number in the stream is not the store's: its name counts. */
static void test_import__other_content__stays_unless_replaced(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_imported imported;
    struct mkv_backend_error error = {0};
    char work[IMAGES_PATH_BYTES];
    char stream[IMAGES_PATH_BYTES];
    images_path(fixture->store.directory, "other", work);
    tool_store_copy(fixture->store.path, work);
    make_stream(fixture, "conflict", 1, stream, "second-3", 0);
    const char *const paths[] = {work};
    assert_true(import_from(stream, paths, 1, false, &imported, &error));
    assert_int_equal(imported.conflicts, 1);
    assert_int_equal(imported.blocks, 0);
    assert_true(import_from(stream, paths, 1, true, &imported, &error));
    assert_int_equal(imported.blocks, 1);
    assert_int_equal(imported.conflicts, 0);
    expect_sound(work);
}

static void test_import__what_has_expired__left_out(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_imported imported;
    struct mkv_backend_error error = {0};
    char path[IMAGES_PATH_BYTES];
    char stream[IMAGES_PATH_BYTES];
    blank(fixture, "late", path);
    make_stream(fixture, "expired", 2, stream, "late", 1000);
    const char *const paths[] = {path};
    assert_true(import_from(stream, paths, 1, false, &imported, &error));
    assert_int_equal(imported.expired, 1);
    assert_int_equal(imported.blocks, 0);
}

/* A torn stream is refused before a drive is touched. */
static void test_import__torn_stream__nothing_changed(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_imported imported;
    struct mkv_backend_error error = {0};
    struct mkv_drive_tool drive;
    char path[IMAGES_PATH_BYTES];
    char torn[IMAGES_PATH_BYTES];
    blank(fixture, "untouched", path);
    images_path(fixture->store.directory, "torn", torn);
    tool_store_copy(fixture->stream, torn);
    assert_int_equal(truncate(torn, 5000), 0);
    const char *const paths[] = {path};
    assert_false(import_from(torn, paths, 1, false, &imported, &error));
    assert_non_null(strstr(error.text, "is torn"));
    tool_store_open(path, MKV_DRIVE_TOOL_READ, &drive);
    assert_int_equal(drive.probe.kind, MKV_DRIVE_PROBE_BLANK);
    mkv_drive_tool_close(&drive);
}

/* A drive that is too small for all of it: nothing makes room, and what did not fit is counted. */
static void test_import__no_room__counted(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_imported imported;
    struct mkv_backend_error error = {0};
    struct mkv_drive_media media;
    char path[IMAGES_PATH_BYTES];
    images_path(fixture->store.directory, "small", path);
    images_open(path, 3 * MKV_MIB, &media);
    mkv_drive_media_close(&media);
    const char *const paths[] = {path};
    assert_true(import_from(fixture->stream, paths, 1, false, &imported, &error));
    assert_true(imported.no_space > 0);
    assert_true(imported.blocks > 0);
    assert_int_equal(imported.failed, 0);
    expect_sound(path);
}

static void test_export__damaged_block__named_and_left_out(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_drive_exported exported;
    struct mkv_drive_tool drive;
    struct mkv_backend_error error = {0};
    static struct tool_faults faults;
    char work[IMAGES_PATH_BYTES];
    char stream[IMAGES_PATH_BYTES];
    images_path(fixture->store.directory, "rotten", work);
    images_path(fixture->store.directory, "partial", stream);
    tool_store_copy(fixture->store.path, work);
    tool_store_flip(work, mkv_geometry_data_start(&fixture->store.superblock.geometry).unit, 1300);
    tool_faults_begin(&faults);
    tool_store_open(work, MKV_DRIVE_TOOL_READ, &drive);
    assert_true(mkv_drive_export(&drive, stream, &faults.report, &exported, &error));
    mkv_drive_tool_close(&drive);
    assert_int_equal(exported.damaged, 1);
    assert_int_equal(faults.count, 1);
    assert_int_equal(exported.blocks + 1, tool_store_blocks(work, NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export__of_a_store__leaves_it_as_it_was),
        cmocka_unit_test(test_wipe__then_import__the_same_blocks),
        cmocka_unit_test(test_import__once_more__everything_is_there),
        cmocka_unit_test(test_import__to_three_drives__each_block_where_its_key_routes),
        cmocka_unit_test(test_import__other_content__stays_unless_replaced),
        cmocka_unit_test(test_import__what_has_expired__left_out),
        cmocka_unit_test(test_import__torn_stream__nothing_changed),
        cmocka_unit_test(test_import__no_room__counted),
        cmocka_unit_test(test_export__damaged_block__named_and_left_out),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
