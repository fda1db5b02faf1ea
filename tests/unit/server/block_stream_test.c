/* SPDX-License-Identifier: Apache-2.0 */
#include "server/block_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/server/tool_store.h"

struct fixture {
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    uint64_t bytes; /* of the file */
};

static const struct mkv_block_stream_header header = {
    .store_uuid = {"0123456789abcde"},
    .drive_uuid = {"abcdefghijklmno"},
    .drive_set_version = 7,
    .wall_ms = 1700000000123,
};

static struct mkv_block_record block_of(const char *key, const uint8_t *payload, uint32_t length) {
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(payload, length, sums);
    return (struct mkv_block_record){
        .kind = MKV_BLOCK_RECORD_BLOCK,
        .tier = MKV_TIER_OUTPUT_CRITICAL,
        .block_flags = MKV_BLOCK_SEGMENT,
        .tenant = 9,
        .key_bytes = (uint32_t)strlen(key),
        .length = length,
        .expiry_s = 1700003600,
        .root = mkv_root_of_sums(length, sums),
        .key = (const uint8_t *)key,
        .payload = payload,
    };
}

/* One tenant, two blocks, END. */
static int fixture_begin(void **state) {
    static struct fixture fixture;
    struct mkv_block_writer writer;
    struct mkv_backend_error error = {0};
    struct stat status;
    uint8_t payload[5000];
    images_make(fixture.directory);
    images_path(fixture.directory, "blocks", fixture.path);
    const struct mkv_block_record tenant = {
        .kind = MKV_BLOCK_RECORD_TENANT,
        .tenant = 9,
        .key_bytes = 5,
        .key = (const uint8_t *)"batch",
        .payload = payload,
    };
    assert_true(mkv_block_writer_open(&writer, fixture.path, &header, &error));
    assert_true(mkv_block_writer_put(&writer, &tenant, &error));
    tool_store_bytes(1, sizeof payload, payload);
    const struct mkv_block_record first = block_of("first", payload, sizeof payload);
    assert_true(mkv_block_writer_put(&writer, &first, &error));
    const struct mkv_block_record empty = block_of("empty", payload, 0);
    assert_true(mkv_block_writer_put(&writer, &empty, &error));
    assert_true(mkv_block_writer_close(&writer, &error));
    assert_int_equal(stat(fixture.path, &status), 0);
    fixture.bytes = (uint64_t)status.st_size;
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    const struct fixture *fixture = *state;
    images_remove(fixture->directory);
    return 0;
}

/* Reads the whole stream; false and an error where it is refused. */
static bool read_all(const char *path, struct mkv_backend_error *error) {
    struct mkv_block_reader reader;
    struct mkv_block_record record;
    if (!mkv_block_reader_open(&reader, path, error)) {
        return false;
    }
    bool done;
    do {
        done = mkv_block_reader_next(&reader, &record, error);
    } while (done && record.kind != MKV_BLOCK_RECORD_END);
    mkv_block_reader_close(&reader);
    return done;
}

static void test_stream__written__read_back(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_block_reader reader;
    struct mkv_block_record record;
    struct mkv_backend_error error = {0};
    uint8_t payload[5000];
    assert_true(mkv_block_reader_open(&reader, fixture->path, &error));
    assert_memory_equal(&reader.header, &header, sizeof header);
    assert_int_equal(reader.block_total, 2);
    assert_int_equal(reader.payload_total, 5000);
    assert_true(mkv_block_reader_next(&reader, &record, &error));
    assert_int_equal(record.kind, MKV_BLOCK_RECORD_TENANT);
    assert_int_equal(record.tenant, 9);
    assert_memory_equal(record.key, "batch", 5);
    assert_true(mkv_block_reader_next(&reader, &record, &error));
    assert_int_equal(record.kind, MKV_BLOCK_RECORD_BLOCK);
    assert_int_equal(record.tier, MKV_TIER_OUTPUT_CRITICAL);
    assert_int_equal(record.block_flags, MKV_BLOCK_SEGMENT);
    assert_int_equal(record.expiry_s, 1700003600);
    tool_store_bytes(1, sizeof payload, payload);
    assert_int_equal(record.length, sizeof payload);
    assert_memory_equal(record.payload, payload, sizeof payload);
    assert_true(mkv_block_reader_next(&reader, &record, &error));
    assert_int_equal(record.length, 0);
    assert_true(mkv_block_reader_next(&reader, &record, &error));
    assert_int_equal(record.kind, MKV_BLOCK_RECORD_END);
    mkv_block_reader_close(&reader);
}

/* Every length that is shorter: said of the file as a whole, before anything is taken of it. */
static void test_stream__cut_anywhere__torn(void **state) {
    const struct fixture *fixture = *state;
    char cut[IMAGES_PATH_BYTES];
    images_path(fixture->directory, "cut", cut);
    for (uint64_t bytes = MKV_BLOCK_STREAM_HEADER_BYTES; bytes < fixture->bytes; bytes += 31) {
        struct mkv_block_reader reader;
        struct mkv_backend_error error = {0};
        tool_store_copy(fixture->path, cut);
        assert_int_equal(truncate(cut, (off_t)bytes), 0);
        assert_false(mkv_block_reader_open(&reader, cut, &error));
        assert_non_null(strstr(error.text, "is torn"));
        assert_non_null(strstr(error.text, cut));
    }
}

/* No bit of it can be another one. */
static void test_stream__a_bit_flipped_anywhere__refused(void **state) {
    const struct fixture *fixture = *state;
    char bad[IMAGES_PATH_BYTES];
    images_path(fixture->directory, "bad", bad);
    tool_store_copy(fixture->path, bad);
    for (uint64_t at = 0; at < fixture->bytes; at += 7) {
        struct mkv_backend_error error = {0};
        tool_store_flip(bad, 0, (uint32_t)at);
        assert_false(read_all(bad, &error));
        assert_true(error.text[0] != '\0');
        tool_store_flip(bad, 0, (uint32_t)at);
    }
    struct mkv_backend_error error = {0};
    assert_true(read_all(bad, &error));
}

static void test_stream__of_a_newer_version__refused_by_number(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_backend_error error = {0};
    uint8_t bytes[MKV_BLOCK_STREAM_HEADER_BYTES];
    char newer[IMAGES_PATH_BYTES];
    images_path(fixture->directory, "newer", newer);
    tool_store_copy(fixture->path, newer);
    FILE *file = fopen(newer, "r+e");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof bytes, file), sizeof bytes);
    mkv_store_u32(bytes + 16, 2);
    mkv_store_u64(bytes + 8, mkv_hash_64(bytes + 16, sizeof bytes - 16));
    rewind(file);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    fclose(file);
    assert_false(read_all(newer, &error));
    assert_non_null(strstr(error.text, "has version 2"));
}

static void test_stream__over_a_file__refused_and_left(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_block_writer writer;
    struct mkv_backend_error error = {0};
    assert_false(mkv_block_writer_open(&writer, fixture->path, &header, &error));
    assert_non_null(strstr(error.text, "is there already"));
    assert_true(read_all(fixture->path, &error));
}

static void test_stream__abandoned__no_file(void **state) {
    const struct fixture *fixture = *state;
    struct mkv_block_writer writer;
    struct mkv_backend_error error = {0};
    char path[IMAGES_PATH_BYTES];
    images_path(fixture->directory, "abandoned", path);
    assert_true(mkv_block_writer_open(&writer, path, &header, &error));
    mkv_block_writer_abandon(&writer);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream__written__read_back),
        cmocka_unit_test(test_stream__cut_anywhere__torn),
        cmocka_unit_test(test_stream__a_bit_flipped_anywhere__refused),
        cmocka_unit_test(test_stream__of_a_newer_version__refused_by_number),
        cmocka_unit_test(test_stream__over_a_file__refused_and_left),
        cmocka_unit_test(test_stream__abandoned__no_file),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
