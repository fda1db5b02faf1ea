/* SPDX-License-Identifier: Apache-2.0 */
#include "record/format.h"

#include "core/bytes.h"
#include "tests/unit/record/test.h"

static struct mkv_record_header sample(void) {
    struct mkv_record_header header = {.wall_ms = 1795284561000};
    memset(header.core, 'a', MKV_RECORD_CORE_BYTES);
    memcpy(header.program, "memkv 0.1.0 (3fa9c02)", 21);
    return header;
}

static void test_header__encoded__comes_back(void **state) {
    (void)state;
    const struct mkv_record_header header = sample();
    uint8_t bytes[MKV_RECORD_HEADER_BYTES];
    mkv_record_header_encode(&header, bytes);
    assert_memory_equal(bytes, "MKVRECRD", 8);
    struct mkv_record_header back;
    uint32_t version = 0;
    assert_int_equal(mkv_record_header_decode(bytes, &back, &version), MKV_RECORD_HEADER_GOOD);
    assert_int_equal(version, MKV_RECORD_VERSION);
    assert_string_equal(back.core, header.core);
    assert_string_equal(back.program, header.program);
    assert_int_equal(back.wall_ms, header.wall_ms);
}

static void test_header__any_byte_changed__not_taken(void **state) {
    (void)state;
    const struct mkv_record_header header = sample();
    for (uint32_t at = 0; at < MKV_RECORD_HEADER_BYTES; at++) {
        uint8_t bytes[MKV_RECORD_HEADER_BYTES];
        mkv_record_header_encode(&header, bytes);
        bytes[at] ^= 0x10;
        struct mkv_record_header back;
        uint32_t version = 0;
        const enum mkv_record_header_fault expected = at < 8    ? MKV_RECORD_HEADER_OTHER
                                                      : at < 12 ? MKV_RECORD_HEADER_VERSION
                                                                : MKV_RECORD_HEADER_DAMAGED;
        assert_int_equal(mkv_record_header_decode(bytes, &back, &version), expected);
    }
}

static void test_chunk__sealed__opens_at_its_place_only(void **state) {
    (void)state;
    uint8_t chunk[MKV_RECORD_CHUNK_HEADER_BYTES + 100];
    memset(chunk, 0x3c, sizeof chunk);
    mkv_record_chunk_seal(chunk, 100, 7);
    bool damaged = true;
    assert_int_equal(mkv_record_chunk_open(chunk, sizeof chunk, 7, &damaged), 100);
    assert_false(damaged);
    assert_int_equal(mkv_record_chunk_open(chunk, sizeof chunk, 8, &damaged), 0);
    assert_true(damaged);
}

static void test_chunk__cut_anywhere__too_short_and_not_damaged(void **state) {
    (void)state;
    uint8_t chunk[MKV_RECORD_CHUNK_HEADER_BYTES + 100];
    memset(chunk, 0x3c, sizeof chunk);
    mkv_record_chunk_seal(chunk, 100, 0);
    for (size_t count = 0; count < sizeof chunk; count++) {
        bool damaged = true;
        assert_int_equal(mkv_record_chunk_open(chunk, count, 0, &damaged), 0);
        assert_false(damaged);
    }
}

static void test_chunk__any_byte_changed__damaged(void **state) {
    (void)state;
    for (size_t at = 0; at < MKV_RECORD_CHUNK_HEADER_BYTES + 100; at++) {
        uint8_t chunk[MKV_RECORD_CHUNK_HEADER_BYTES + 200] = {0};
        mkv_record_chunk_seal(chunk, 100, 0);
        chunk[at] ^= 1;
        bool damaged = false;
        assert_int_equal(mkv_record_chunk_open(chunk, sizeof chunk, 0, &damaged), 0);
        assert_true(damaged);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header__encoded__comes_back),
        cmocka_unit_test(test_header__any_byte_changed__not_taken),
        cmocka_unit_test(test_chunk__sealed__opens_at_its_place_only),
        cmocka_unit_test(test_chunk__cut_anywhere__too_short_and_not_damaged),
        cmocka_unit_test(test_chunk__any_byte_changed__damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
