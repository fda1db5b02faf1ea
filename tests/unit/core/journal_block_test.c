/* SPDX-License-Identifier: Apache-2.0 */
#include "core/journal_block.h"

#include "core/bytes.h"
#include "core/geometry.h"
#include "core/hash.h"
#include "core/io.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

static void check_record_equal(const struct mkv_record *a, const struct mkv_record *b) {
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case MKV_RECORD_PUT:
        assert_int_equal(a->put.tier, b->put.tier);
        assert_int_equal(a->put.block_flags, b->put.block_flags);
        assert_int_equal(a->put.tenant, b->put.tenant);
        assert_true(a->put.tag == b->put.tag);
        assert_int_equal(a->put.slot.index, b->put.slot.index);
        assert_int_equal(a->put.length, b->put.length);
        assert_true(a->put.generation.value == b->put.generation.value);
        assert_memory_equal(&a->put.root, &b->put.root, 16);
        assert_int_equal(a->put.expiry_s, b->put.expiry_s);
        break;
    case MKV_RECORD_DROP:
        assert_int_equal(a->drop.cause, b->drop.cause);
        assert_int_equal(a->drop.retired, b->drop.retired);
        assert_int_equal(a->drop.slot.index, b->drop.slot.index);
        assert_true(a->drop.generation.value == b->drop.generation.value);
        break;
    case MKV_RECORD_EXTENT:
        assert_int_equal(a->extent.extent.index, b->extent.extent.index);
        assert_int_equal(a->extent.span, b->extent.span);
        assert_int_equal(a->extent.slot_units, b->extent.slot_units);
        assert_int_equal(a->extent.page_first, b->extent.page_first);
        assert_int_equal(a->extent.page_count, b->extent.page_count);
        assert_int_equal(a->extent.released_page_first, b->extent.released_page_first);
        assert_int_equal(a->extent.released_page_count, b->extent.released_page_count);
        break;
    case MKV_RECORD_RETIRE:
        assert_int_equal(a->retire.slot.index, b->retire.slot.index);
        break;
    case MKV_RECORD_EXPIRY:
        assert_int_equal(a->expiry.slot.index, b->expiry.slot.index);
        assert_true(a->expiry.generation.value == b->expiry.generation.value);
        assert_int_equal(a->expiry.expiry_s, b->expiry.expiry_s);
        break;
    case MKV_RECORD_TENANT:
        assert_int_equal(a->tenant.id, b->tenant.id);
        assert_int_equal(a->tenant.place, b->tenant.place);
        assert_int_equal(a->tenant.name_bytes, b->tenant.name_bytes);
        assert_memory_equal(a->tenant.name, b->tenant.name, sizeof a->tenant.name);
        break;
    case MKV_RECORD_TENANT_DROP:
        assert_int_equal(a->tenant_drop.id, b->tenant_drop.id);
        assert_int_equal(a->tenant_drop.place, b->tenant_drop.place);
        break;
    }
}

static struct mkv_record random_record(struct sample_random *source) {
    struct mkv_record record =
        sample_record((uint32_t)sample_random_below(source, SAMPLE_RECORD_COUNT));
    switch (record.kind) {
    case MKV_RECORD_PUT:
        record.put.tier = (uint8_t)sample_random_below(source, MKV_TIER_MAX + 1);
        record.put.block_flags = (uint16_t)sample_random_below(source, MKV_BLOCK_FLAGS + 1);
        record.put.tenant = (uint32_t)sample_random_next(source);
        record.put.tag = sample_random_next(source);
        record.put.slot.index = (uint32_t)sample_random_below(source, MKV_SLOTS_MAX);
        record.put.length = (uint32_t)sample_random_below(source, MKV_BLOCK_BYTES_MAX + 1ull);
        record.put.generation.value = sample_random_next(source);
        sample_random_fill(source, record.put.root.bytes, 16);
        record.put.expiry_s = (uint32_t)sample_random_next(source);
        break;
    case MKV_RECORD_DROP:
        record.drop.cause = (enum mkv_drop_cause)(1 + sample_random_below(source, MKV_DROP_PURGE));
        record.drop.slot.index = (uint32_t)sample_random_below(source, MKV_SLOTS_MAX);
        record.drop.generation.value = sample_random_next(source);
        record.drop.retired = sample_random_below(source, 2) != 0;
        break;
    case MKV_RECORD_EXTENT:
        record.extent.span = (uint32_t)(1 + sample_random_below(source, MKV_EXTENT_SPAN_MAX));
        record.extent.extent.index =
            (uint32_t)sample_random_below(source, MKV_EXTENTS_MAX - record.extent.span + 1ull);
        record.extent.slot_units = (uint32_t)(1 + sample_random_below(source, MKV_SLOT_UNITS_MAX));
        record.extent.page_count = (uint32_t)(1 + sample_random_below(source, MKV_PAGES_MAX));
        record.extent.page_first =
            (uint32_t)sample_random_below(source, MKV_PAGES_MAX - record.extent.page_count + 1ull);
        break;
    case MKV_RECORD_RETIRE:
        record.retire.slot.index = (uint32_t)sample_random_below(source, MKV_SLOTS_MAX);
        break;
    case MKV_RECORD_EXPIRY:
        record.expiry.slot.index = (uint32_t)sample_random_below(source, MKV_SLOTS_MAX);
        record.expiry.generation.value = sample_random_next(source);
        record.expiry.expiry_s = (uint32_t)sample_random_next(source);
        break;
    case MKV_RECORD_TENANT:
        record.tenant.id = (uint32_t)sample_random_next(source);
        record.tenant.place = (uint32_t)sample_random_below(source, UINT16_MAX + 1ull);
        record.tenant.name_bytes =
            (uint32_t)(1 + sample_random_below(source, MKV_TENANT_STORED_NAME_BYTES_MAX));
        memset(record.tenant.name, 0, sizeof record.tenant.name);
        memset(record.tenant.name, 'n', record.tenant.name_bytes);
        break;
    case MKV_RECORD_TENANT_DROP:
        record.tenant_drop.id = (uint32_t)sample_random_next(source);
        record.tenant_drop.place = (uint32_t)sample_random_below(source, UINT16_MAX + 1ull);
        break;
    }
    return record;
}

static void reseal(uint8_t *unit) {
    mkv_store_u64(unit + 8, mkv_hash_64(unit + 16, MKV_UNIT_BYTES - 16));
}

static void test_journal_block__sealed__decodes_to_the_same(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_journal_header expected = sample_journal_header();
    const uint64_t checksum = sample_journal_unit(unit);
    struct mkv_journal_header header;
    assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_OK);
    assert_true(header.checksum == checksum);
    assert_memory_equal(&header.drive_uuid, &expected.drive_uuid, 16);
    assert_true(header.sequence.value == expected.sequence.value);
    assert_int_equal(header.epoch, expected.epoch);
    assert_int_equal(header.ring_position, expected.ring_position);
    assert_true(header.chain == expected.chain);
    assert_true(header.flushed_sequence.value == expected.flushed_sequence.value);
    assert_true(header.wall_ms == expected.wall_ms);
    assert_int_equal(header.record_count, SAMPLE_RECORD_COUNT);
    assert_int_equal(header.record_bytes, SAMPLE_RECORD_BYTES);

    uint32_t cursor = 0;
    struct mkv_record record;
    enum mkv_err err;
    for (uint32_t index = 0; index < SAMPLE_RECORD_COUNT; index++) {
        const struct mkv_record wanted = sample_record(index);
        assert_true(mkv_journal_block_next(unit, &cursor, &record, &err));
        assert_int_equal(err, MKV_OK);
        check_record_equal(&record, &wanted);
    }
    assert_false(mkv_journal_block_next(unit, &cursor, &record, &err));
    assert_int_equal(err, MKV_OK);
    free(unit);
}

static void test_journal_block__empty__valid(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_journal_header written = sample_journal_header();
    mkv_journal_block_begin(unit);
    assert_int_equal(mkv_journal_block_room(unit), MKV_JOURNAL_RECORD_BYTES_MAX);
    assert_int_equal(mkv_journal_block_record_count(unit), 0);
    mkv_journal_block_seal(unit, &written);
    struct mkv_journal_header header;
    struct mkv_record record;
    uint32_t cursor = 0;
    enum mkv_err err;
    assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_OK);
    assert_int_equal(header.record_count, 0);
    assert_false(mkv_journal_block_next(unit, &cursor, &record, &err));
    assert_int_equal(err, MKV_OK);
    free(unit);
}

static void test_journal_block__filled_with_any_records__all_come_back(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 8};
    struct mkv_record *records = calloc(MKV_JOURNAL_RECORDS_MAX, sizeof *records);
    assert_non_null(records);
    for (uint32_t round = 0; round < 500; round++) {
        const struct mkv_journal_header header = sample_journal_header();
        struct mkv_journal_header decoded;
        uint32_t count = 0;
        mkv_journal_block_begin(unit);
        for (;;) {
            const struct mkv_record record = random_record(&source);
            const uint32_t room = mkv_journal_block_room(unit);
            const bool fits = mkv_record_bytes(record.kind) <= room;
            assert_int_equal(mkv_journal_block_append(unit, &record), fits);
            if (!fits) {
                assert_int_equal(mkv_journal_block_room(unit), room);
                break;
            }
            records[count++] = record;
            assert_int_equal(mkv_journal_block_record_count(unit), count);
        }
        mkv_journal_block_seal(unit, &header);
        assert_int_equal(mkv_journal_block_decode(unit, &decoded), MKV_OK);
        assert_int_equal(decoded.record_count, count);
        uint32_t cursor = 0;
        struct mkv_record record;
        enum mkv_err err;
        for (uint32_t index = 0; index < count; index++) {
            assert_true(mkv_journal_block_next(unit, &cursor, &record, &err));
            check_record_equal(&record, &records[index]);
        }
        assert_false(mkv_journal_block_next(unit, &cursor, &record, &err));
        assert_int_equal(err, MKV_OK);
    }
    free(records);
    free(unit);
}

static void test_journal_block__most_records__fit(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    const struct mkv_record drop = sample_record(2);
    const struct mkv_journal_header header = sample_journal_header();
    struct mkv_journal_header decoded;
    mkv_journal_block_begin(unit);
    for (uint32_t index = 0; index < MKV_JOURNAL_RECORDS_MAX; index++) {
        assert_true(mkv_journal_block_append(unit, &drop));
    }
    assert_false(mkv_journal_block_append(unit, &drop));
    mkv_journal_block_seal(unit, &header);
    assert_int_equal(mkv_journal_block_decode(unit, &decoded), MKV_OK);
    assert_int_equal(decoded.record_count, 165);
    free(unit);
}

static void test_journal_block__any_bit_flipped__detected(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_journal_header header;
    sample_journal_unit(unit);
    for (uint32_t bit = 0; bit < MKV_UNIT_BYTES * 8; bit++) {
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_CORRUPT_JOURNAL_BLOCK);
        unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_OK);
    free(unit);
}

static void test_journal_block__header_field_out_of_bounds__corrupt(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint32_t value;
    } changes[] = {
        {32, 0},          /* sequence 0 */
        {32, 1233},       /* flushed before it was written */
        {40, 1u << 24},   /* epoch of 25 bits */
        {56, 1235},       /* flushed sequence at its own */
        {72, 166},        /* more records than the smallest ones that fit */
        {72, 13},         /* more records than the bytes hold */
        {72, 1},          /* fewer than the bytes need */
        {72, UINT32_MAX}, /* a product that wraps */
        {76, 3969},       /* records beyond the unit */
        {76, 0},          /* records without bytes */
    };
    uint8_t *unit = sample_unit_new();
    struct mkv_journal_header header;
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        sample_journal_unit(unit);
        mkv_store_u32(unit + changes[index].offset, changes[index].value);
        reseal(unit);
        assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_CORRUPT_JOURNAL_BLOCK);
    }
    free(unit);
}

/* Count and bytes of the records against each other, where a product of 32 bits would wrap. */
static void test_journal_block__record_figures_disagree__corrupt(void **state) {
    (void)state;
    static const struct {
        uint32_t record_count;
        uint32_t record_bytes;
    } cases[] = {
        {1u << 29, 0}, {178956971, 24}, {100, 3969}, {166, 3968}, {2, 47}, {2, 193}, {1, 0}, {0, 1},
    };
    uint8_t *unit = sample_unit_new();
    struct mkv_journal_header header;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        sample_journal_unit(unit);
        mkv_store_u32(unit + 72, cases[index].record_count);
        mkv_store_u32(unit + 76, cases[index].record_bytes);
        reseal(unit);
        assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_CORRUPT_JOURNAL_BLOCK);
    }
    free(unit);
}

/* Offsets are those of the sample's records: EXTENT at 128, PUT at 160, DROP at 224,
 * RETIRE at 248, EXPIRY at 272, TENANT at 296, TENANT_DROP at 392. */
static void test_journal_block__malformed_record__walk_ends_there(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint32_t value; /* one byte, unless wide */
        uint32_t records_before;
        bool wide;
    } changes[] = {
        {128, 0, 0, false},                      /* no kind */
        {128, 8, 0, false},                      /* unknown kind */
        {129, 0, 0, false},                      /* no span */
        {129, 17, 0, false},                     /* span */
        {132, MKV_EXTENTS_MAX, 0, true},         /* extent */
        {136, 0, 0, true},                       /* slot units */
        {140, MKV_PAGES_MAX, 0, true},           /* pages beyond the last */
        {144, 0, 0, true},                       /* no page */
        {144, UINT32_MAX, 0, true},              /* a sum that wraps in 32 bits */
        {148, MKV_PAGES_MAX - 2, 0, true},       /* pages given back beyond the last */
        {161, 4, 1, false},                      /* tier */
        {162, 4, 1, false},                      /* block flags */
        {176, MKV_SLOTS_MAX, 1, true},           /* slot */
        {180, MKV_BLOCK_BYTES_MAX + 1, 1, true}, /* length */
        {225, 0, 2, false},                      /* cause */
        {225, 7, 2, false},                      /* cause */
        {226, 2, 2, false},                      /* flags */
        {228, MKV_NONE_U32, 2, true},            /* slot */
        {252, MKV_SLOTS_MAX, 3, true},           /* slot */
        {276, MKV_SLOTS_MAX, 4, true},           /* slot */
        {297, 0, 5, false},                      /* no name */
        {297, 80, 5, false},                     /* a name beyond its field */
        {392, 6, 6, false},                      /* a TENANT that does not fit the bytes left */
    };
    uint8_t *unit = sample_unit_new();
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        sample_journal_unit(unit);
        if (changes[index].wide) {
            mkv_store_u32(unit + changes[index].offset, changes[index].value);
        } else {
            unit[changes[index].offset] = (uint8_t)changes[index].value;
        }
        reseal(unit);
        struct mkv_journal_header header;
        struct mkv_record record;
        uint32_t cursor = 0;
        enum mkv_err err;
        assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_OK);
        uint32_t records = 0;
        while (mkv_journal_block_next(unit, &cursor, &record, &err)) {
            records++;
        }
        assert_int_equal(err, MKV_CORRUPT_JOURNAL_RECORD);
        assert_int_equal(records, changes[index].records_before);
        /* Asked again, it still says so. */
        assert_false(mkv_journal_block_next(unit, &cursor, &record, &err));
        assert_int_equal(err, MKV_CORRUPT_JOURNAL_RECORD);
    }
    free(unit);
}

static void test_journal_block__record_count_differs_from_records__malformed(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_journal_header header;
    struct mkv_record record;
    uint32_t cursor = 0;
    enum mkv_err err;
    sample_journal_unit(unit);
    mkv_store_u32(unit + 72, SAMPLE_RECORD_COUNT + 1);
    reseal(unit);
    assert_int_equal(mkv_journal_block_decode(unit, &header), MKV_OK);
    while (mkv_journal_block_next(unit, &cursor, &record, &err)) {
        assert_int_equal(err, MKV_OK);
    }
    assert_int_equal(err, MKV_CORRUPT_JOURNAL_RECORD);
    free(unit);
}

/* Random bytes, with and without what makes them look like a block: no crash, a walk that ends. */
static void test_journal_block__random_bytes__bounded_walk(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 9};
    uint32_t believed = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        struct mkv_journal_header header;
        struct mkv_record record;
        enum mkv_err err = MKV_OK;
        if (round % 10 == 0) {
            sample_random_fill(&source, unit, MKV_UNIT_BYTES);
        } else {
            sample_journal_unit(unit);
            for (uint32_t change = 0; change < 4; change++) {
                unit[72 + sample_random_below(&source, 200)] = (uint8_t)sample_random_next(&source);
            }
        }
        if (round % 2 == 0) {
            reseal(unit);
        }
        believed += mkv_journal_block_decode(unit, &header) == MKV_OK ? 1 : 0;
        /* The walk is safe even on what did not decode. */
        uint32_t cursor = 0;
        uint32_t records = 0;
        while (mkv_journal_block_next(unit, &cursor, &record, &err)) {
            records++;
            assert_true(records <= MKV_JOURNAL_RECORDS_MAX);
        }
    }
    assert_true(believed > 1000);
    free(unit);
}

/* A cursor that no walk gave still reads nothing outside the unit. */
static void test_journal_block__random_cursor__stays_in_the_unit(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct sample_random source = {.state = 10};
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t cursor = (uint32_t)sample_random_next(&source) & 0xffff0fffu;
        struct mkv_record record;
        enum mkv_err err;
        sample_random_fill(&source, unit + 128, 128);
        mkv_store_u32(unit + 76, (uint32_t)sample_random_below(&source, 5000));
        (void)mkv_journal_block_next(unit, &cursor, &record, &err);
    }
    uint32_t cursor = 0;
    struct mkv_record record;
    enum mkv_err err;
    sample_journal_unit(unit);
    mkv_store_u32(unit + 76, MKV_JOURNAL_RECORD_BYTES_MAX + 1);
    assert_false(mkv_journal_block_next(unit, &cursor, &record, &err));
    assert_int_equal(err, MKV_CORRUPT_JOURNAL_RECORD);
    free(unit);
}

static void test_journal_block__writing_what_cannot_be_read__assertion(void **state) {
    (void)state;
    uint8_t *unit = sample_unit_new();
    struct mkv_journal_header header = sample_journal_header();
    struct mkv_record record = sample_record(1);
    mkv_journal_block_begin(unit);
    record.put.tier = MKV_TIER_MAX + 1;
    expect_assert_failure(mkv_journal_block_append(unit, &record));
    record = sample_record(2);
    record.drop.cause = (enum mkv_drop_cause)0;
    expect_assert_failure(mkv_journal_block_append(unit, &record));
    record.kind = (enum mkv_record_kind)0;
    expect_assert_failure(mkv_journal_block_append(unit, &record));
    expect_assert_failure((void)mkv_record_bytes((enum mkv_record_kind)8));
    header.flushed_sequence = header.sequence;
    expect_assert_failure(mkv_journal_block_seal(unit, &header));
    header = sample_journal_header();
    memset(unit, 0, MKV_UNIT_BYTES);
    expect_assert_failure(mkv_journal_block_seal(unit, &header));
    free(unit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_block__sealed__decodes_to_the_same),
        cmocka_unit_test(test_journal_block__empty__valid),
        cmocka_unit_test(test_journal_block__filled_with_any_records__all_come_back),
        cmocka_unit_test(test_journal_block__most_records__fit),
        cmocka_unit_test(test_journal_block__any_bit_flipped__detected),
        cmocka_unit_test(test_journal_block__header_field_out_of_bounds__corrupt),
        cmocka_unit_test(test_journal_block__record_figures_disagree__corrupt),
        cmocka_unit_test(test_journal_block__malformed_record__walk_ends_there),
        cmocka_unit_test(test_journal_block__record_count_differs_from_records__malformed),
        cmocka_unit_test(test_journal_block__random_bytes__bounded_walk),
        cmocka_unit_test(test_journal_block__random_cursor__stays_in_the_unit),
        cmocka_unit_test(test_journal_block__writing_what_cannot_be_read__assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
