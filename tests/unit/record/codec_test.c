/* SPDX-License-Identifier: Apache-2.0 */
#include "record/codec.h"

#include "tests/unit/record/test.h"

static void test_number__every_length__comes_back(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 64; bits++) {
        for (uint64_t around = 0; around < 3; around++) {
            uint64_t value = (1ull << bits) + around - 1;
            const uint64_t expected = value;
            uint8_t bytes[MKV_CODEC_NUMBER_BYTES_MAX];
            struct mkv_codec writer = mkv_codec_writer(bytes, sizeof bytes);
            mkv_codec_u64(&writer, &value);
            assert_false(writer.failed);
            struct mkv_codec reader = mkv_codec_reader(bytes, writer.at);
            value = 0;
            mkv_codec_u64(&reader, &value);
            assert_false(reader.failed);
            assert_int_equal(reader.at, writer.at);
            assert_true(value == expected);
        }
    }
}

static void test_number__small__takes_one_byte(void **state) {
    (void)state;
    uint8_t bytes[MKV_CODEC_NUMBER_BYTES_MAX];
    uint64_t value = 127;
    struct mkv_codec codec = mkv_codec_writer(bytes, sizeof bytes);
    mkv_codec_u64(&codec, &value);
    assert_int_equal(codec.at, 1);
    value = 128;
    mkv_codec_u64(&codec, &value);
    assert_int_equal(codec.at, 3);
}

static void test_number__too_large_for_its_field__fails(void **state) {
    (void)state;
    static const uint8_t above_u64[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0x81, 0x00};
    static const uint8_t above_u32[] = {0xff, 0xff, 0xff, 0xff, 0x1f};
    static const uint8_t no_bool[] = {2};
    uint64_t wide = 1;
    uint32_t narrow = 1;
    bool flag = true;
    struct mkv_codec codec = mkv_codec_reader(above_u64, sizeof above_u64);
    mkv_codec_u64(&codec, &wide);
    assert_true(codec.failed);
    assert_true(wide == 0);
    codec = mkv_codec_reader(endless, sizeof endless);
    mkv_codec_u64(&codec, &wide);
    assert_true(codec.failed);
    codec = mkv_codec_reader(above_u32, sizeof above_u32);
    mkv_codec_u32(&codec, &narrow);
    assert_true(codec.failed);
    assert_int_equal(narrow, 0);
    codec = mkv_codec_reader(no_bool, sizeof no_bool);
    mkv_codec_bool(&codec, &flag);
    assert_true(codec.failed);
    assert_false(flag);
}

static void test_read__behind_the_end__fails_and_gives_zeroes(void **state) {
    (void)state;
    static const uint8_t bytes[] = {5, 1, 2};
    uint8_t target[8];
    memset(target, 0xa5, sizeof target);
    struct mkv_codec codec = mkv_codec_reader(bytes, sizeof bytes);
    uint32_t count = 0;
    mkv_codec_blob(&codec, target, &count, sizeof target);
    assert_true(codec.failed);
    assert_int_equal(target[0], 0);
    uint32_t value = 7;
    mkv_codec_u32(&codec, &value);
    assert_int_equal(value, 0);
}

static void test_blob__longer_than_its_room__fails(void **state) {
    (void)state;
    static const uint8_t bytes[] = {3, 1, 2, 3};
    uint8_t target[2] = {0xa5, 0xa5};
    struct mkv_codec codec = mkv_codec_reader(bytes, sizeof bytes);
    uint32_t count = 0;
    mkv_codec_blob(&codec, target, &count, sizeof target);
    assert_true(codec.failed);
    assert_int_equal(count, 0);
    assert_int_equal(target[0], 0xa5);
}

static void test_write__behind_the_end__fails_and_stays_inside(void **state) {
    (void)state;
    uint8_t bytes[4] = {0, 0, 0, 0xa5};
    uint64_t value = UINT64_MAX;
    struct mkv_codec codec = mkv_codec_writer(bytes, 3);
    mkv_codec_u64(&codec, &value);
    assert_true(codec.failed);
    assert_int_equal(codec.at, 0);
    value = 0;
    mkv_codec_u64(&codec, &value); /* what would fit is not written either */
    assert_int_equal(codec.at, 0);
    assert_int_equal(bytes[3], 0xa5);
}

static void test_units__zeroes_at_their_ends__left_out_and_back(void **state) {
    (void)state;
    static uint8_t units[3 * MKV_UNIT_BYTES];
    static uint8_t back[3 * MKV_UNIT_BYTES];
    static uint8_t bytes[3 * MKV_CODEC_UNIT_BYTES_MAX];
    units[0] = 1;
    units[2 * MKV_UNIT_BYTES - 1] = 9; /* the last byte of the second; the third is empty */
    struct mkv_codec writer = mkv_codec_writer(bytes, sizeof bytes);
    mkv_codec_units(&writer, units, 3);
    assert_false(writer.failed);
    assert_int_equal(writer.at, (1 + 1) + (2 + MKV_UNIT_BYTES) + 1);
    memset(back, 0xa5, sizeof back);
    struct mkv_codec reader = mkv_codec_reader(bytes, writer.at);
    mkv_codec_units(&reader, back, 3);
    assert_false(reader.failed);
    assert_int_equal(reader.at, writer.at);
    assert_memory_equal(back, units, sizeof units);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number__every_length__comes_back),
        cmocka_unit_test(test_number__small__takes_one_byte),
        cmocka_unit_test(test_number__too_large_for_its_field__fails),
        cmocka_unit_test(test_read__behind_the_end__fails_and_gives_zeroes),
        cmocka_unit_test(test_blob__longer_than_its_room__fails),
        cmocka_unit_test(test_write__behind_the_end__fails_and_stays_inside),
        cmocka_unit_test(test_units__zeroes_at_their_ends__left_out_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
