/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slot_header.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "core/io.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

static const uint32_t interesting_lengths[] = {
    0,
    1,
    11,
    MKV_INLINE_BYTES_MAX - 1,
    MKV_INLINE_BYTES_MAX,
    MKV_INLINE_BYTES_MAX + 1,
    MKV_UNIT_BYTES,
    MKV_UNIT_BYTES + 1,
    MKV_CHUNK_BYTES_MIN - 1,
    MKV_CHUNK_BYTES_MIN,
    MKV_CHUNK_BYTES_MIN + 1,
    SAMPLE_SLOT_LENGTH,
    MKV_CHUNK_BYTES_MIN *MKV_CHUNKS_MAX,     /* 256 chunks of 64 KiB */
    MKV_CHUNK_BYTES_MIN *MKV_CHUNKS_MAX + 1, /* chunks of 128 KiB */
    MKV_BLOCK_BYTES_MAX - 1,
    MKV_BLOCK_BYTES_MAX,
};
#define LENGTH_COUNT (sizeof interesting_lengths / sizeof interesting_lengths[0])

/* The length from which on headers are of ordinary, not inline, payloads. */
static bool is_inline(uint32_t length) {
    return length >= 1 && length <= 2048;
}

static void reseal(uint8_t *unit) {
    const bool inline_flag = (mkv_load_u16(unit + 54) & MKV_SLOT_FLAG_INLINE) != 0;
    mkv_store_u64(unit + 8, mkv_hash_64(unit + 16, (inline_flag ? 2048u : 4096u) - 16u));
}

static uint8_t *payload_new(uint32_t length) {
    uint8_t *payload = malloc(length + (size_t)1);
    assert_non_null(payload);
    sample_payload_fill(payload, length);
    return payload;
}

static void test_slot_header__any_length__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    for (size_t index = 0; index < LENGTH_COUNT; index++) {
        struct sample_slot slot;
        struct mkv_slot_header header;
        const uint32_t length = interesting_lengths[index];
        sample_slot_init(&slot, length);
        mkv_slot_header_encode(&slot.header, unit);
        assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_OK);
        assert_memory_equal(&header.drive_uuid, &slot.header.drive_uuid, 16);
        assert_int_equal(header.slot.index, slot.header.slot.index);
        assert_int_equal(header.tenant, slot.header.tenant);
        assert_true(header.generation.value == slot.header.generation.value);
        assert_int_equal(header.length, length);
        assert_int_equal(header.block_flags, slot.header.block_flags);
        assert_memory_equal(&header.root, &slot.header.root, 16);
        assert_int_equal(header.expiry_s, slot.header.expiry_s);
        assert_int_equal(header.key_bytes, slot.header.key_bytes);
        assert_memory_equal(header.key, slot.key, header.key_bytes);
        if (length > 0) {
            assert_memory_equal(header.sums, slot.sums, 8 * mkv_chunk_count(length));
        }
        assert_int_equal(mkv_slot_header_inline_bytes(unit), is_inline(length) ? length : 0);
    }
    free(unit);
}

static void test_slot_header__longest_key__round_trips(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 11};
    struct sample_slot slot;
    struct mkv_slot_header header;
    sample_slot_init(&slot, MKV_BLOCK_BYTES_MAX);
    sample_random_fill(&source, slot.key, sizeof slot.key);
    slot.header.key_bytes = MKV_KEY_BYTES_MAX;
    mkv_slot_header_encode(&slot.header, unit);
    assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_OK);
    assert_int_equal(header.key_bytes, MKV_KEY_BYTES_MAX);
    assert_memory_equal(header.key, slot.key, MKV_KEY_BYTES_MAX);
    free(unit);
}

static void test_slot_header__units__payload_only_when_not_inline(void **state) {
    (void)state;
    static const uint32_t cases[][2] = {
        {0, 0}, {1, 0}, {2048, 0}, {2049, 1}, {4096, 1}, {4097, 2}, {70000, 18}, {33554432, 8192},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_int_equal(mkv_slot_payload_units(cases[index][0]), cases[index][1]);
        assert_int_equal(mkv_slot_content_units(cases[index][0]), 1 + cases[index][1]);
    }
    expect_assert_failure((void)mkv_slot_payload_units(MKV_BLOCK_BYTES_MAX + 1));
}

static void test_slot_header__any_bit_flipped__detected(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_slot slot;
    struct mkv_slot_header header;
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    mkv_slot_header_encode(&slot.header, unit);
    for (uint32_t bit = 0; bit < MKV_UNIT_BYTES * 8; bit++) {
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_CORRUPT_SLOT_HEADER);
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_OK);
    free(unit);
}

/* The half with the header is covered by the checksum, the payload by its sum. */
static void test_slot_header__any_bit_of_an_inline_block_flipped__detected(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    uint8_t *payload = payload_new(SAMPLE_SLOT_INLINE_LENGTH);
    struct sample_slot slot;
    struct mkv_slot_header header;
    uint64_t sums[MKV_CHUNKS_MAX];
    sample_slot_init(&slot, SAMPLE_SLOT_INLINE_LENGTH);
    mkv_slot_header_encode(&slot.header, unit);
    mkv_slot_header_set_inline(unit, payload, SAMPLE_SLOT_INLINE_LENGTH);
    for (uint32_t bit = 0; bit < MKV_UNIT_BYTES * 8; bit++) {
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const uint32_t byte = bit / 8;
        const enum mkv_err err = mkv_slot_header_decode(unit, &header);
        if (byte < MKV_SLOT_INLINE_OFFSET) {
            assert_int_equal(err, MKV_CORRUPT_SLOT_HEADER);
        } else {
            assert_int_equal(err, MKV_OK);
            const bool in_payload = byte < MKV_SLOT_INLINE_OFFSET + SAMPLE_SLOT_INLINE_LENGTH;
            memcpy(payload, unit + MKV_SLOT_INLINE_OFFSET, SAMPLE_SLOT_INLINE_LENGTH);
            assert_int_equal(mkv_slot_read_sums(unit, payload, SAMPLE_SLOT_INLINE_LENGTH, sums), 1);
            assert_int_equal(sums[0] == mkv_load_u64(header.sums), !in_payload);
        }
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(payload);
    free(unit);
}

static void test_slot_header__inline_payload_set__rest_zeroed(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    uint8_t *payload = payload_new(MKV_INLINE_BYTES_MAX);
    for (uint32_t length = 1; length <= MKV_INLINE_BYTES_MAX; length++) {
        struct sample_slot slot;
        struct mkv_slot_header header;
        sample_slot_init(&slot, length);
        mkv_slot_header_encode(&slot.header, unit);
        memset(unit + MKV_SLOT_INLINE_OFFSET, 0xee, MKV_INLINE_BYTES_MAX);
        mkv_slot_header_set_inline(unit, payload, length);
        assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_OK);
        assert_int_equal(mkv_slot_header_inline_bytes(unit), length);
        assert_memory_equal(unit + MKV_SLOT_INLINE_OFFSET, payload, length);
        for (uint32_t at = MKV_SLOT_INLINE_OFFSET + length; at < MKV_UNIT_BYTES; at++) {
            assert_int_equal(unit[at], 0);
        }
    }
    free(payload);
    free(unit);
}

/* A field out of bounds, or a root that is not that of the sums, behind a checksum that holds. */
static void test_slot_header__field_out_of_bounds__corrupt(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint32_t value;
        uint32_t bytes;
    } changes[] = {
        {48, MKV_BLOCK_BYTES_MAX + 1, 4}, /* length */
        {48, UINT32_MAX, 4},
        {48, 70001, 4}, /* a length that the root does not contain */
        {48, 100, 4},   /* an inline length without the flag */
        {52, 0, 2},     /* no key */
        {52, MKV_KEY_BYTES_MAX + 1, 2},
        {54, 0x8002, 2}, /* inline with a length that is not */
        {54, 0x0004, 2}, /* unknown flag */
        {56, 0, 4},      /* root */
        {1152, 0, 4},    /* a sum that is not in the root */
    };
    uint8_t *unit = sample_unit_new();
    struct mkv_slot_header header;
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        struct sample_slot slot;
        sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
        mkv_slot_header_encode(&slot.header, unit);
        memcpy(unit + changes[index].offset, &changes[index].value, changes[index].bytes);
        reseal(unit);
        assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_CORRUPT_SLOT_HEADER);
    }
    free(unit);
}

static void test_slot_header__random_bytes__never_believed(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 12};
    for (uint32_t round = 0; round < 5000; round++) {
        struct mkv_slot_header header;
        sample_random_fill(&source, unit, MKV_UNIT_BYTES);
        if (round % 2 == 0) {
            memcpy(unit, "MEMKVSL", 8);
            reseal(unit);
        }
        assert_int_equal(mkv_slot_header_decode(unit, &header), MKV_CORRUPT_SLOT_HEADER);
        assert_true(mkv_slot_header_inline_bytes(unit) <= MKV_INLINE_BYTES_MAX);
    }
    free(unit);
}

/* Random figures where the bounds are, the root and the checksum made right for them. */
static void test_slot_header__random_figures_resealed__within_bounds(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 13};
    uint32_t believed = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        struct mkv_slot_header header;
        uint64_t sums[MKV_CHUNKS_MAX];
        sample_random_fill(&source, unit, MKV_UNIT_BYTES);
        memcpy(unit, "MEMKVSL", 8);
        const uint32_t length =
            (uint32_t)(sample_random_next(&source) >> (32 + sample_random_below(&source, 32)));
        mkv_store_u32(unit + 48, length);
        mkv_store_u16(unit + 52, (uint16_t)sample_random_below(&source, 1100));
        mkv_store_u16(unit + 54, (uint16_t)(sample_random_below(&source, 5) |
                                            sample_random_below(&source, 2) << 15));
        if (length <= MKV_BLOCK_BYTES_MAX) {
            for (uint32_t index = 0; index < mkv_chunk_count(length); index++) {
                sums[index] = mkv_load_u64(unit + 1152 + 8 * index);
            }
            const struct mkv_root root = mkv_root_of_sums(length, sums);
            memcpy(unit + 56, root.bytes, 16);
        }
        reseal(unit);
        if (mkv_slot_header_decode(unit, &header) == MKV_OK) {
            believed++;
            assert_true(header.length <= MKV_BLOCK_BYTES_MAX);
            assert_true(header.key_bytes >= 1 && header.key_bytes <= MKV_KEY_BYTES_MAX);
            assert_int_equal(header.block_flags & ~MKV_BLOCK_FLAGS, 0);
            assert_int_equal(mkv_slot_header_inline_bytes(unit),
                             is_inline(header.length) ? header.length : 0);
        }
    }
    assert_true(believed > 1000);
    free(unit);
}

static void test_slot_read_sums__whole_payload__sums_of_the_header(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    for (size_t index = 0; index < LENGTH_COUNT; index++) {
        const uint32_t length = interesting_lengths[index];
        struct sample_slot slot;
        uint64_t sums[MKV_CHUNKS_MAX];
        sample_slot_init(&slot, length);
        mkv_slot_header_encode(&slot.header, unit);
        uint8_t *payload = payload_new(length);
        assert_int_equal(mkv_slot_read_sums(unit, payload, length, sums), mkv_chunk_count(length));
        for (uint32_t chunk = 0; chunk < mkv_chunk_count(length); chunk++) {
            assert_true(sums[chunk] == mkv_load_u64(slot.sums + 8 * chunk));
        }
        const struct mkv_root root = mkv_root_of_sums(length, sums);
        assert_true(mkv_root_equal(root, slot.header.root));
        free(payload);
    }
    free(unit);
}

static void test_slot_read_sums__part_read__whole_chunks_only(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_slot slot;
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    mkv_slot_header_encode(&slot.header, unit);
    static const uint32_t cases[][2] = {
        {0, 0},     {65535, 0}, {65536, 1},
        {69999, 1}, {70000, 2}, {73728, 2}, /* the padding of the last unit is not summed */
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        uint64_t sums[3] = {0, 0, 0x77};
        uint8_t *payload = payload_new(cases[index][0]);
        assert_int_equal(mkv_slot_read_sums(unit, payload, cases[index][0], sums), cases[index][1]);
        assert_true(sums[2] == 0x77);
        if (cases[index][1] > 0) {
            assert_true(sums[0] == mkv_load_u64(slot.sums));
        }
        free(payload);
    }
    free(unit);
}

/* The header is as the drive gave it: any length at all, over a read of any size. */
static void test_slot_read_sums__random_header__stays_in_bounds(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 14};
    uint64_t *sums = calloc(MKV_CHUNKS_MAX, sizeof *sums);
    assert_non_null(sums);
    for (uint32_t round = 0; round < 3000; round++) {
        const uint32_t read = (uint32_t)sample_random_below(&source, 300000);
        uint8_t *payload = payload_new(read);
        mkv_store_u32(unit + 48, (uint32_t)(sample_random_next(&source) >>
                                            (32 + sample_random_below(&source, 32))));
        const uint32_t count = mkv_slot_read_sums(unit, payload, read, sums);
        assert_true((uint64_t)count <= (uint64_t)read / MKV_CHUNK_BYTES_MIN + 1);
        free(payload);
    }
    mkv_store_u32(unit + 48, UINT32_MAX);
    assert_int_equal(mkv_slot_read_sums(unit, NULL, 0, sums), 0);
    free(sums);
    free(unit);
}

static void test_slot_header__encoding_what_cannot_be_read__assertion(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_slot slot;
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    slot.header.key_bytes = 0;
    expect_assert_failure(mkv_slot_header_encode(&slot.header, unit));
    slot.header.key_bytes = MKV_KEY_BYTES_MAX + 1;
    expect_assert_failure(mkv_slot_header_encode(&slot.header, unit));
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    slot.header.length = MKV_BLOCK_BYTES_MAX + 1;
    expect_assert_failure(mkv_slot_header_encode(&slot.header, unit));
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    slot.header.block_flags = MKV_PUT_REPLACE;
    expect_assert_failure(mkv_slot_header_encode(&slot.header, unit));
    sample_slot_init(&slot, SAMPLE_SLOT_LENGTH);
    slot.header.root.bytes[0] ^= 1;
    expect_assert_failure(mkv_slot_header_encode(&slot.header, unit));
    sample_slot_init(&slot, SAMPLE_SLOT_INLINE_LENGTH);
    mkv_slot_header_encode(&slot.header, unit);
    expect_assert_failure(mkv_slot_header_set_inline(unit, slot.key, 12));
    free(unit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_header__any_length__decodes_to_the_same),
        cmocka_unit_test(test_slot_header__longest_key__round_trips),
        cmocka_unit_test(test_slot_header__units__payload_only_when_not_inline),
        cmocka_unit_test(test_slot_header__any_bit_flipped__detected),
        cmocka_unit_test(test_slot_header__any_bit_of_an_inline_block_flipped__detected),
        cmocka_unit_test(test_slot_header__inline_payload_set__rest_zeroed),
        cmocka_unit_test(test_slot_header__field_out_of_bounds__corrupt),
        cmocka_unit_test(test_slot_header__random_bytes__never_believed),
        cmocka_unit_test(test_slot_header__random_figures_resealed__within_bounds),
        cmocka_unit_test(test_slot_read_sums__whole_payload__sums_of_the_header),
        cmocka_unit_test(test_slot_read_sums__part_read__whole_chunks_only),
        cmocka_unit_test(test_slot_read_sums__random_header__stays_in_bounds),
        cmocka_unit_test(test_slot_header__encoding_what_cannot_be_read__assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
