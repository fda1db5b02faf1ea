/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/bytes.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

static void test_hash__chunks_of_lengths__64_kib_doubled_until_256(void **state) {
    (void)state;
    static const struct {
        uint32_t length;
        uint32_t chunk_bytes;
        uint32_t chunk_count;
    } cases[] = {
        {0, 65536, 0},
        {1, 65536, 1},
        {65536, 65536, 1},
        {65537, 65536, 2},
        {256 * 65536, 65536, 256},
        {256 * 65536 + 1, 131072, 129},
        {MKV_BLOCK_BYTES_MAX, 131072, 256},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_int_equal(mkv_chunk_bytes(cases[index].length), cases[index].chunk_bytes);
        assert_int_equal(mkv_chunk_count(cases[index].length), cases[index].chunk_count);
    }
    expect_assert_failure((void)mkv_chunk_bytes(MKV_BLOCK_BYTES_MAX + 1));
}

/* The root hashes the length first, so that blocks that share sums do not share a root. */
static void test_hash__root__length_then_sums(void **state) {
    (void)state;
    const uint64_t sums[2] = {0x1111111111111111, 0x2222222222222222};
    uint8_t bytes[24];
    mkv_store_u64(bytes, 70000);
    mkv_store_u64(bytes + 8, sums[0]);
    mkv_store_u64(bytes + 16, sums[1]);
    assert_true(mkv_root_equal(mkv_root_of_sums(70000, sums), mkv_hash_128(bytes, 24)));
    assert_false(mkv_root_equal(mkv_root_of_sums(70000, sums), mkv_root_of_sums(70001, sums)));
    mkv_store_u64(bytes, 0);
    assert_true(mkv_root_equal(mkv_root_of_sums(0, NULL), mkv_hash_128(bytes, 8)));
}

static void test_hash__key_tag__differs_by_tenant(void **state) {
    (void)state;
    const uint8_t key[] = {'k'};
    assert_true(mkv_key_tag(0, key, 1) == mkv_hash_64(key, 1));
    assert_true(mkv_key_tag(7, key, 1) == mkv_hash_64_seeded(key, 1, 7));
    assert_true(mkv_key_tag(7, key, 1) != mkv_key_tag(8, key, 1));
    expect_assert_failure((void)mkv_key_tag(0, key, 0));
    expect_assert_failure((void)mkv_key_tag(0, key, MKV_KEY_BYTES_MAX + 1));
}

/* As XXH3 has it without what the processor may have on top. */
static void test_hash__every_length__is_that_of_xxh3(void **state) {
    (void)state;
    static uint8_t bytes[3 * 64 * 1024 + 64];
    for (size_t at = 0; at < sizeof bytes; at++) {
        bytes[at] = (uint8_t)(at * 131 + at / 251);
    }
    for (size_t length = 0; length <= 2500; length++) {
        assert_int_equal(mkv_hash_64(bytes + length % 64, length),
                         XXH3_64bits(bytes + length % 64, length));
    }
    for (size_t length = sizeof bytes - 200; length <= sizeof bytes - 64; length++) {
        assert_int_equal(mkv_hash_64(bytes + length % 64, length),
                         XXH3_64bits(bytes + length % 64, length));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash__chunks_of_lengths__64_kib_doubled_until_256),
        cmocka_unit_test(test_hash__every_length__is_that_of_xxh3),
        cmocka_unit_test(test_hash__root__length_then_sums),
        cmocka_unit_test(test_hash__key_tag__differs_by_tenant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
