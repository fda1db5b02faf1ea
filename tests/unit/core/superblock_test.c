/* SPDX-License-Identifier: Apache-2.0 */
#include "core/superblock.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

/* Field by field, because padding has no value. */
static void check_equal(const struct mkv_superblock *a, const struct mkv_superblock *b) {
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->flags, b->flags);
    assert_memory_equal(&a->store_uuid, &b->store_uuid, 16);
    assert_memory_equal(&a->drive_uuid, &b->drive_uuid, 16);
    assert_true(a->sequence == b->sequence);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->checkpoint_side, b->checkpoint_side);
    assert_true(a->journal_sequence.value == b->journal_sequence.value);
    assert_true(a->chain_anchor == b->chain_anchor);
    assert_true(a->generation_counter == b->generation_counter);
    assert_true(a->wall_ms == b->wall_ms);
    assert_true(a->checkpoint_number == b->checkpoint_number);
    assert_int_equal(a->checkpoint_pages, b->checkpoint_pages);
    assert_true(a->geometry.capacity_units == b->geometry.capacity_units);
    assert_int_equal(a->geometry.ring_blocks, b->geometry.ring_blocks);
    assert_int_equal(a->geometry.page_count, b->geometry.page_count);
    assert_int_equal(a->geometry.extent_units, b->geometry.extent_units);
    assert_int_equal(a->geometry.extent_count, b->geometry.extent_count);
    assert_true(mkv_drive_set_equal(&a->drive_set, &b->drive_set));
}

/* Makes the checksum right again after a test changed the content. */
static void reseal(uint8_t *unit) {
    mkv_store_u64(unit + 8, mkv_hash_64(unit + 24, MKV_UNIT_BYTES - 24));
}

static void test_superblock__encoded__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_superblock superblock = sample_superblock();
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        struct mkv_superblock decoded;
        mkv_superblock_encode(&superblock, copy, unit);
        assert_int_equal(mkv_superblock_decode(unit, copy, &decoded), MKV_OK);
        check_equal(&decoded, &superblock);
        assert_int_equal(mkv_superblock_decode(unit, (copy + 1) % 4, &decoded),
                         MKV_CORRUPT_SUPERBLOCK);
    }
    free(unit);
}

static void test_superblock__greatest_and_least_figures__round_trip(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_superblock superblock = sample_superblock();
    struct mkv_superblock decoded;
    superblock.flags = MKV_SUPERBLOCK_CLEAN | MKV_SUPERBLOCK_NO_CHECKPOINT;
    superblock.epoch = MKV_EPOCH_MAX;
    superblock.sequence = UINT64_MAX;
    superblock.generation_counter = MKV_GENERATION_COUNTER_MAX;
    superblock.wall_ms = UINT64_MAX;
    superblock.checkpoint_pages = superblock.geometry.page_count;
    superblock.drive_set = (struct mkv_drive_set){.version = MKV_DRIVE_SET_VERSION_MAX,
                                                  .version_before = MKV_DRIVE_SET_VERSION_MAX - 1,
                                                  .word = UINT64_MAX};
    for (uint32_t member = 0; member < MKV_VOLUMES_MAX; member++) {
        mkv_drive_set_add(&superblock.drive_set,
                          (struct mkv_member){sample_uuid((uint8_t)(member + 1)), 4 * member + 1});
    }
    mkv_superblock_encode(&superblock, 3, unit);
    assert_int_equal(mkv_superblock_decode(unit, 3, &decoded), MKV_OK);
    check_equal(&decoded, &superblock);

    superblock = sample_superblock();
    superblock.flags = 0;
    superblock.epoch = 0;
    superblock.sequence = 0;
    superblock.generation_counter = 0;
    superblock.journal_sequence.value = 1;
    superblock.drive_set.count = 1;
    mkv_superblock_encode(&superblock, 0, unit);
    assert_int_equal(mkv_superblock_decode(unit, 0, &decoded), MKV_OK);
    assert_int_equal(decoded.drive_set.count, 1);
    /* A member beyond the count is not written. */
    const struct mkv_uuid none = {{0}};
    assert_memory_equal(unit + 168 + 16, &none, 16);
    assert_memory_equal(unit + 1202, &none, 2);
    /* Version 0, of a drive that has yet to join. */
    mkv_drive_set_outside(superblock.drive_uuid, &superblock.drive_set);
    mkv_superblock_encode(&superblock, 0, unit);
    assert_int_equal(mkv_superblock_decode(unit, 0, &decoded), MKV_OK);
    assert_int_equal(decoded.drive_set.version, 0);
    free(unit);
}

static void test_superblock__any_bit_flipped__detected(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_superblock superblock = sample_superblock();
    struct mkv_superblock decoded;
    mkv_superblock_encode(&superblock, 2, unit);
    for (uint32_t bit = 0; bit < MKV_UNIT_BYTES * 8; bit++) {
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const enum mkv_err err = mkv_superblock_decode(unit, 2, &decoded);
        assert_int_equal(err, bit < 64 ? MKV_ERR_NOT_FORMATTED : MKV_CORRUPT_SUPERBLOCK);
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(mkv_superblock_decode(unit, 2, &decoded), MKV_OK);
    free(unit);
}

/* A field out of bounds behind a checksum that holds: what a faulty writer would leave. */
static void test_superblock__field_out_of_bounds__corrupt(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint32_t value;
    } changes[] = {
        {24, 0},        /* version 0 never was */
        {28, 0x4},      /* unknown flag */
        {72, 1u << 24}, /* epoch of 25 bits */
        {76, 2},        /* third checkpoint side */
        {80, 0},        /* journal sequence 0 */
        {101, 1},       /* generation counter of 41 bits */
        {120, 26},      /* more checkpoint pages than pages */
        {128, 972},     /* capacity below what the regions need */
        {136, 7},       /* ring too short */
        {140, 0},       /* no page */
        {144, 1},       /* extents too short */
        {148, 0},       /* no extent */
        {148, 7},       /* an extent beyond the end */
        {160, 0},       /* nobody in the drive set */
        {160, 65},      /* more members than there is room for */
    };
    uint8_t *unit = sample_unit_new();
    const struct mkv_superblock superblock = sample_superblock();
    struct mkv_superblock decoded;
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        mkv_superblock_encode(&superblock, 1, unit);
        mkv_store_u32(unit + changes[index].offset, changes[index].value);
        reseal(unit);
        assert_int_equal(mkv_superblock_decode(unit, 1, &decoded), MKV_CORRUPT_SUPERBLOCK);
    }
    free(unit);
}

static void test_superblock__newer_version__named_whatever_its_fields(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 4};
    struct mkv_superblock superblock = sample_superblock();
    struct mkv_superblock decoded;
    mkv_superblock_encode(&superblock, 1, unit);
    sample_random_fill(&source, unit + 28, MKV_UNIT_BYTES - 28);
    mkv_store_u32(unit + 24, 9);
    reseal(unit);
    assert_int_equal(mkv_superblock_decode(unit, 1, &decoded), MKV_ERR_VERSION);
    assert_int_equal(decoded.version, 9);
    free(unit);
}

static void test_superblock__random_bytes__never_believed(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 5};
    struct mkv_superblock decoded;
    for (uint32_t round = 0; round < 5000; round++) {
        sample_random_fill(&source, unit, MKV_UNIT_BYTES);
        assert_int_not_equal(mkv_superblock_decode(unit, round % 4, &decoded), MKV_OK);
    }
    free(unit);
}

/* Random fields behind a checksum that holds: either refused, or fit to be encoded again. */
static void test_superblock__random_fields_resealed__decodes_within_bounds(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    uint8_t *again = sample_unit_new();
    struct sample_random source = {.state = 6};
    const struct mkv_superblock superblock = sample_superblock();
    uint32_t believed = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        struct mkv_superblock decoded;
        struct mkv_superblock twice;
        mkv_superblock_encode(&superblock, 0, unit);
        for (uint64_t change = 0; change <= sample_random_below(&source, 4); change++) {
            const uint64_t at = 28 + sample_random_below(&source, 200);
            unit[at] = (uint8_t)sample_random_next(&source);
        }
        reseal(unit);
        if (mkv_superblock_decode(unit, 0, &decoded) == MKV_OK) {
            believed++;
            mkv_superblock_encode(&decoded, 0, again);
            assert_int_equal(mkv_superblock_decode(again, 0, &twice), MKV_OK);
            check_equal(&twice, &decoded);
        }
    }
    assert_true(believed > 1000);
    assert_true(believed < 19000);
    free(again);
    free(unit);
}

static void test_superblock__encoding_what_cannot_be_read__assertion(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_superblock superblock = sample_superblock();
    expect_assert_failure(mkv_superblock_encode(&superblock, MKV_SUPERBLOCK_COPIES, unit));
    superblock.version = MKV_FORMAT_VERSION + 1;
    expect_assert_failure(mkv_superblock_encode(&superblock, 0, unit));
    superblock = sample_superblock();
    superblock.drive_set.count = 0;
    expect_assert_failure(mkv_superblock_encode(&superblock, 0, unit));
    superblock = sample_superblock();
    superblock.journal_sequence.value = 0;
    expect_assert_failure(mkv_superblock_encode(&superblock, 0, unit));
    free(unit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_superblock__encoded__decodes_to_the_same),
        cmocka_unit_test(test_superblock__greatest_and_least_figures__round_trip),
        cmocka_unit_test(test_superblock__any_bit_flipped__detected),
        cmocka_unit_test(test_superblock__field_out_of_bounds__corrupt),
        cmocka_unit_test(test_superblock__newer_version__named_whatever_its_fields),
        cmocka_unit_test(test_superblock__random_bytes__never_believed),
        cmocka_unit_test(test_superblock__random_fields_resealed__decodes_within_bounds),
        cmocka_unit_test(test_superblock__encoding_what_cannot_be_read__assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
