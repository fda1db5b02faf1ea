/* SPDX-License-Identifier: Apache-2.0 */
#include "core/checkpoint_page.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "core/io.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

static void reseal(uint8_t *unit) {
    mkv_store_u64(unit + 8, mkv_hash_64(unit + 16, MKV_UNIT_BYTES - 16));
}

static void check_entry_equal(const struct mkv_page_entry *a, const struct mkv_page_entry *b) {
    assert_true(a->tag == b->tag);
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->generation_low, b->generation_low);
    assert_int_equal(a->expiry_s, b->expiry_s);
    assert_int_equal(a->length_units, b->length_units);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->block_flags, b->block_flags);
    assert_int_equal(a->tier, b->tier);
}

static struct mkv_page_entry random_entry(struct sample_random *source) {
    if (sample_random_below(source, 4) == 0) {
        return (struct mkv_page_entry){.state = MKV_ENTRY_FREE};
    }
    return (struct mkv_page_entry){
        .tag = sample_random_next(source),
        .tenant = (uint32_t)sample_random_next(source),
        .generation_low = (uint32_t)sample_random_next(source),
        .expiry_s = (uint32_t)sample_random_next(source),
        .length_units = (uint16_t)sample_random_below(source, 8193),
        .state = (uint8_t)(MKV_ENTRY_LIVE + sample_random_below(source, 2)),
        .block_flags = (uint8_t)sample_random_below(source, MKV_BLOCK_FLAGS + 1),
        .tier = (uint8_t)sample_random_below(source, MKV_TIER_MAX + 1),
    };
}

static void test_checkpoint_head__encoded__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_checkpoint_head head = sample_checkpoint_head();
    struct mkv_checkpoint_head decoded;
    mkv_checkpoint_head_encode(&head, unit);
    assert_int_equal(mkv_checkpoint_head_decode(unit, &decoded), MKV_OK);
    assert_memory_equal(&decoded.drive_uuid, &head.drive_uuid, 16);
    assert_true(decoded.checkpoint_number == head.checkpoint_number);
    assert_true(decoded.journal_sequence.value == head.journal_sequence.value);
    assert_true(decoded.generation_counter == head.generation_counter);
    assert_int_equal(decoded.page_count, head.page_count);
    free(unit);
}

static void test_checkpoint_page__encoded__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_checkpoint_page page = sample_checkpoint_page();
    struct mkv_checkpoint_page decoded;
    sample_checkpoint_page_unit(unit);
    assert_int_equal(mkv_checkpoint_page_decode(unit, &decoded), MKV_OK);
    assert_memory_equal(&decoded.drive_uuid, &page.drive_uuid, 16);
    assert_true(decoded.checkpoint_number == page.checkpoint_number);
    assert_int_equal(decoded.page, page.page);
    assert_int_equal(decoded.extent.index, page.extent.index);
    assert_int_equal(decoded.slot_units, page.slot_units);
    assert_int_equal(decoded.page_in_extent, page.page_in_extent);
    assert_true(decoded.stamp.value == page.stamp.value);
    const struct mkv_page_entry free_entry = {0};
    for (uint32_t index = 0, sample = 0; index < MKV_PAGE_SLOTS; index++) {
        struct mkv_page_entry entry;
        mkv_checkpoint_page_load(unit, index, &entry);
        if (sample < SAMPLE_ENTRY_COUNT && index == sample_entry_index(sample)) {
            const struct mkv_page_entry wanted = sample_entry(sample++);
            check_entry_equal(&entry, &wanted);
        } else {
            check_entry_equal(&entry, &free_entry);
        }
    }
    free(unit);
}

static void test_checkpoint_page__random_entries__all_come_back(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 15};
    for (uint32_t round = 0; round < 1000; round++) {
        const struct mkv_checkpoint_page page = sample_checkpoint_page();
        struct mkv_page_entry entries[MKV_PAGE_SLOTS];
        struct mkv_checkpoint_page decoded;
        mkv_checkpoint_page_begin(&page, unit);
        for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
            entries[index] = random_entry(&source);
            mkv_checkpoint_page_store(unit, index, &entries[index]);
        }
        mkv_checkpoint_page_seal(unit);
        assert_int_equal(mkv_checkpoint_page_decode(unit, &decoded), MKV_OK);
        for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
            struct mkv_page_entry entry;
            mkv_checkpoint_page_load(unit, index, &entry);
            check_entry_equal(&entry, &entries[index]);
        }
    }
    free(unit);
}

static void test_checkpoint_page__entry_stored_as_free__all_zero(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_checkpoint_page decoded;
    struct mkv_page_entry entry = sample_entry(0);
    const struct mkv_page_entry free_entry = {0};
    sample_checkpoint_page_unit(unit);
    entry.state = MKV_ENTRY_FREE;
    mkv_checkpoint_page_store(unit, 0, &entry);
    mkv_checkpoint_page_seal(unit);
    assert_int_equal(mkv_checkpoint_page_decode(unit, &decoded), MKV_OK);
    mkv_checkpoint_page_load(unit, 0, &entry);
    check_entry_equal(&entry, &free_entry);
    free(unit);
}

static void test_checkpoint_page__unused__decodes(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_checkpoint_page page = {.page = 24, .extent = {MKV_NONE_U32}, .stamp = {3}};
    struct mkv_checkpoint_page decoded;
    mkv_checkpoint_page_begin(&page, unit);
    mkv_checkpoint_page_seal(unit);
    assert_int_equal(mkv_checkpoint_page_decode(unit, &decoded), MKV_OK);
    assert_int_equal(decoded.extent.index, MKV_NONE_U32);
    assert_int_equal(decoded.page, 24);
    free(unit);
}

static void test_checkpoint_page__any_bit_flipped__detected(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_checkpoint_page page;
    struct mkv_checkpoint_head head;
    sample_checkpoint_page_unit(unit);
    for (uint32_t bit = 0; bit < MKV_UNIT_BYTES * 8; bit++) {
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(mkv_checkpoint_page_decode(unit, &page), MKV_CORRUPT_CHECKPOINT_PAGE);
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    const struct mkv_checkpoint_head written = sample_checkpoint_head();
    mkv_checkpoint_head_encode(&written, unit);
    for (uint32_t bit = 0; bit < MKV_UNIT_BYTES * 8; bit++) {
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(mkv_checkpoint_head_decode(unit, &head), MKV_CORRUPT_CHECKPOINT_PAGE);
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(unit);
}

static void test_checkpoint__head_and_page__not_taken_for_each_other(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_checkpoint_head written = sample_checkpoint_head();
    struct mkv_checkpoint_head head;
    struct mkv_checkpoint_page page;
    mkv_checkpoint_head_encode(&written, unit);
    assert_int_equal(mkv_checkpoint_page_decode(unit, &page), MKV_CORRUPT_CHECKPOINT_PAGE);
    sample_checkpoint_page_unit(unit);
    assert_int_equal(mkv_checkpoint_head_decode(unit, &head), MKV_CORRUPT_CHECKPOINT_PAGE);
    free(unit);
}

/* Behind a checksum that holds. Entry 0 begins at 64, entry 2 (free) at 112. */
static void test_checkpoint_page__field_out_of_bounds__corrupt(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint32_t value;
        uint32_t bytes;
    } changes[] = {
        {40, MKV_PAGES_MAX, 4},   /* page */
        {44, MKV_EXTENTS_MAX, 4}, /* extent */
        {44, MKV_NONE_U32, 4},    /* unused, but of a class and with live entries */
        {48, 0, 4},               /* slot units */
        {52, 7, 4},               /* further within its extent than its own number */
        {84, 8193, 2},            /* length in units */
        {86, 0x0003, 2},          /* state */
        {86, 0x0011, 2},          /* unknown bit */
        {86, 0x0401, 2},          /* unknown bit */
        {86, 0x0000, 2},          /* free, but not all 0 */
        {112, 1, 1},              /* free, but not all 0 */
        {134, 0x0100, 2},         /* free, but with a tier */
    };
    uint8_t *unit = sample_unit_new();
    struct mkv_checkpoint_page page;
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        sample_checkpoint_page_unit(unit);
        memcpy(unit + changes[index].offset, &changes[index].value, changes[index].bytes);
        reseal(unit);
        assert_int_equal(mkv_checkpoint_page_decode(unit, &page), MKV_CORRUPT_CHECKPOINT_PAGE);
    }
    /* Unused and without a class: now it is the entries that must not be there. */
    sample_checkpoint_page_unit(unit);
    mkv_store_u32(unit + 44, MKV_NONE_U32);
    mkv_store_u32(unit + 48, 0);
    mkv_store_u32(unit + 52, 0);
    reseal(unit);
    assert_int_equal(mkv_checkpoint_page_decode(unit, &page), MKV_CORRUPT_CHECKPOINT_PAGE);
    free(unit);
}

static void test_checkpoint_head__field_out_of_bounds__corrupt(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_checkpoint_head written = sample_checkpoint_head();
    struct mkv_checkpoint_head head;
    mkv_checkpoint_head_encode(&written, unit);
    mkv_store_u64(unit + 40, 0);
    reseal(unit);
    assert_int_equal(mkv_checkpoint_head_decode(unit, &head), MKV_CORRUPT_CHECKPOINT_PAGE);
    mkv_checkpoint_head_encode(&written, unit);
    mkv_store_u64(unit + 48, MKV_GENERATION_COUNTER_MAX + 1);
    reseal(unit);
    assert_int_equal(mkv_checkpoint_head_decode(unit, &head), MKV_CORRUPT_CHECKPOINT_PAGE);
    mkv_checkpoint_head_encode(&written, unit);
    mkv_store_u32(unit + 56, MKV_PAGES_MAX + 1);
    reseal(unit);
    assert_int_equal(mkv_checkpoint_head_decode(unit, &head), MKV_CORRUPT_CHECKPOINT_PAGE);
    free(unit);
}

static void test_checkpoint_page__random_bytes__safe(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 16};
    uint32_t believed = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        struct mkv_checkpoint_page page;
        struct mkv_checkpoint_head head;
        if (round % 10 == 0) {
            sample_random_fill(&source, unit, MKV_UNIT_BYTES);
        } else {
            sample_checkpoint_page_unit(unit);
            unit[40 + sample_random_below(&source, 100)] = (uint8_t)sample_random_next(&source);
        }
        if (round % 4 != 0) {
            reseal(unit);
        }
        if (mkv_checkpoint_page_decode(unit, &page) == MKV_OK) {
            believed++;
            for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
                struct mkv_page_entry entry;
                mkv_checkpoint_page_load(unit, index, &entry);
                assert_true(entry.state <= MKV_ENTRY_RETIRED);
                assert_true(entry.length_units <= 8192);
            }
        }
        assert_int_equal(mkv_checkpoint_head_decode(unit, &head), MKV_CORRUPT_CHECKPOINT_PAGE);
    }
    assert_true(believed > 1000);
    free(unit);
}

static void test_checkpoint_page__writing_what_cannot_be_read__assertion(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_checkpoint_page page = sample_checkpoint_page();
    struct mkv_page_entry entry = sample_entry(0);
    mkv_checkpoint_page_begin(&page, unit);
    expect_assert_failure(mkv_checkpoint_page_store(unit, MKV_PAGE_SLOTS, &entry));
    expect_assert_failure(mkv_checkpoint_page_load(unit, MKV_PAGE_SLOTS, &entry));
    entry.state = 3;
    expect_assert_failure(mkv_checkpoint_page_store(unit, 0, &entry));
    entry = sample_entry(0);
    entry.length_units = 8193;
    expect_assert_failure(mkv_checkpoint_page_store(unit, 0, &entry));
    entry = sample_entry(0);
    entry.tier = MKV_TIER_MAX + 1;
    expect_assert_failure(mkv_checkpoint_page_store(unit, 0, &entry));
    page.extent.index = MKV_NONE_U32;
    expect_assert_failure(mkv_checkpoint_page_begin(&page, unit));
    page.slot_units = 0;
    page.span = 0;
    page.page_in_extent = 0;
    mkv_checkpoint_page_begin(&page, unit);
    entry = sample_entry(0);
    expect_assert_failure(mkv_checkpoint_page_store(unit, 0, &entry));
    free(unit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_head__encoded__decodes_to_the_same),
        cmocka_unit_test(test_checkpoint_page__encoded__decodes_to_the_same),
        cmocka_unit_test(test_checkpoint_page__random_entries__all_come_back),
        cmocka_unit_test(test_checkpoint_page__entry_stored_as_free__all_zero),
        cmocka_unit_test(test_checkpoint_page__unused__decodes),
        cmocka_unit_test(test_checkpoint_page__any_bit_flipped__detected),
        cmocka_unit_test(test_checkpoint__head_and_page__not_taken_for_each_other),
        cmocka_unit_test(test_checkpoint_page__field_out_of_bounds__corrupt),
        cmocka_unit_test(test_checkpoint_head__field_out_of_bounds__corrupt),
        cmocka_unit_test(test_checkpoint_page__random_bytes__safe),
        cmocka_unit_test(test_checkpoint_page__writing_what_cannot_be_read__assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
