/* SPDX-License-Identifier: Apache-2.0 */
#include "core/manifest.h"

#include "core/bytes.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

static void test_manifest__encoded__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t bytes[MKV_MANIFEST_BYTES];
    const struct mkv_manifest manifest = sample_manifest();
    struct mkv_manifest decoded;
    mkv_manifest_encode(&manifest, bytes);
    assert_true(mkv_manifest_decode(bytes, &decoded));
    assert_true(decoded.length == manifest.length);
    assert_int_equal(decoded.segment_bytes, manifest.segment_bytes);
    assert_int_equal(decoded.segment_count, manifest.segment_count);
    assert_true(decoded.id == manifest.id);
    assert_memory_equal(&decoded.root, &manifest.root, 16);
}

static bool decodes(uint64_t length, uint32_t segment_bytes, uint32_t segment_count) {
    uint8_t bytes[MKV_MANIFEST_BYTES] = {0};
    struct mkv_manifest decoded;
    mkv_store_u64(bytes, length);
    mkv_store_u32(bytes + 8, segment_bytes);
    mkv_store_u32(bytes + 12, segment_count);
    return mkv_manifest_decode(bytes, &decoded);
}

/* I2, on both sides of every bound. */
static void test_manifest__figures_at_their_bounds__accepted_within_only(void **state) {
    (void)state;
    assert_true(decodes(1, 1, 1));
    assert_false(decodes(0, 1, 1));
    assert_false(decodes(2, 1, 1));
    assert_false(decodes(1, 0, 1));
    assert_false(decodes(1, 1, 0));
    assert_false(decodes(0, 0, 0));
    assert_true(decodes(300, 100, 3));
    assert_true(decodes(201, 100, 3));
    assert_false(decodes(301, 100, 3));
    assert_false(decodes(200, 100, 3));
    const uint64_t largest = (uint64_t)MKV_SEGMENTS_MAX * MKV_BLOCK_BYTES_MAX;
    assert_true(decodes(largest, MKV_BLOCK_BYTES_MAX, MKV_SEGMENTS_MAX));
    assert_false(decodes(largest + 1, MKV_BLOCK_BYTES_MAX, MKV_SEGMENTS_MAX));
    assert_false(decodes(largest + 1, MKV_BLOCK_BYTES_MAX, MKV_SEGMENTS_MAX + 1));
    assert_false(decodes(MKV_BLOCK_BYTES_MAX + 1ull, MKV_BLOCK_BYTES_MAX + 1, 1));
    assert_false(decodes(UINT64_MAX, UINT32_MAX, UINT32_MAX));
}

static void test_manifest__random_bytes__safe_and_consistent(void **state) {
    (void)state;
    struct sample_random source = {.state = 17};
    uint32_t believed = 0;
    for (uint32_t round = 0; round < 100000; round++) {
        uint8_t bytes[MKV_MANIFEST_BYTES];
        uint8_t again[MKV_MANIFEST_BYTES];
        struct mkv_manifest decoded;
        sample_random_fill(&source, bytes, sizeof bytes);
        mkv_store_u64(bytes, sample_random_next(&source) >> sample_random_below(&source, 64));
        mkv_store_u32(bytes + 8, (uint32_t)sample_random_below(&source, 1u << 25));
        mkv_store_u32(bytes + 12, (uint32_t)sample_random_below(&source, 8));
        if (mkv_manifest_decode(bytes, &decoded)) {
            believed++;
            mkv_manifest_encode(&decoded, again);
            assert_memory_equal(bytes, again, sizeof bytes);
        }
    }
    assert_true(believed > 100);
}

static void test_segment_key__any_key__key_then_suffix(void **state) {
    (void)state;
    const uint8_t key[] = {'v', 'a', 'l', 'u', 'e'};
    const uint8_t expected[] = {'v', 'a',  'l',  'u',  'e',  0,    4,    3,    0,
                                0,   0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11};
    uint8_t target[sizeof key + MKV_SEGMENT_KEY_SUFFIX_BYTES];
    assert_int_equal(mkv_segment_key(key, sizeof key, 0x0304, 0x1112131415161718, target),
                     sizeof target);
    assert_memory_equal(target, expected, sizeof target);
}

static void test_segment_key__too_long__assertion(void **state) {
    (void)state;
    uint8_t key[MKV_KEY_BYTES_MAX] = {1};
    uint8_t target[MKV_KEY_BYTES_MAX];
    const uint32_t longest = MKV_KEY_BYTES_MAX - MKV_SEGMENT_KEY_SUFFIX_BYTES;
    assert_int_equal(mkv_segment_key(key, longest, 0, 0, target), MKV_KEY_BYTES_MAX);
    expect_assert_failure((void)mkv_segment_key(key, longest + 1, 0, 0, target));
    expect_assert_failure((void)mkv_segment_key(key, 0, 0, 0, target));
    expect_assert_failure((void)mkv_segment_key(key, 1, MKV_SEGMENTS_MAX, 0, target));
}

static void test_manifest__encoding_what_cannot_be_read__assertion(void **state) {
    (void)state;
    uint8_t bytes[MKV_MANIFEST_BYTES];
    struct mkv_manifest manifest = sample_manifest();
    manifest.segment_count++;
    expect_assert_failure(mkv_manifest_encode(&manifest, bytes));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest__encoded__decodes_to_the_same),
        cmocka_unit_test(test_manifest__figures_at_their_bounds__accepted_within_only),
        cmocka_unit_test(test_manifest__random_bytes__safe_and_consistent),
        cmocka_unit_test(test_manifest__encoding_what_cannot_be_read__assertion),
        cmocka_unit_test(test_segment_key__any_key__key_then_suffix),
        cmocka_unit_test(test_segment_key__too_long__assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
