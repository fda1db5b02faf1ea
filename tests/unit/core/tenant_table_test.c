/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tenant_table.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

static const struct mkv_geometry geometry = {
    .capacity_units = 1024,
    .ring_blocks = 8,
    .tenant_units = 2,
    .page_count = 4,
    .directory_units = 16,
    .extent_units = 8,
    .extent_count = 4,
};

static struct mkv_tenant_table *table_new(void) {
    struct mkv_tenant_table *table = malloc(mkv_tenant_table_memory_required(&geometry));
    assert_non_null(table);
    mkv_tenant_table_init(table, &geometry);
    return table;
}

static struct mkv_record tenant_record(uint32_t id, uint32_t place) {
    struct mkv_record record = {.kind = MKV_RECORD_TENANT};
    record.tenant.id = id;
    record.tenant.place = place;
    record.tenant.name_bytes = 5;
    memcpy(record.tenant.name, "batch", 5);
    return record;
}

static struct mkv_record drop_record(uint32_t id, uint32_t place) {
    return (struct mkv_record){.kind = MKV_RECORD_TENANT_DROP,
                               .tenant_drop = {.id = id, .place = place}};
}

static void apply(struct mkv_tenant_table *table, struct mkv_record record) {
    mkv_tenant_table_apply(table, &record);
}

static bool replay(struct mkv_tenant_table *table, struct mkv_record record, uint64_t sequence) {
    return mkv_tenant_table_replay(table, &record, (struct mkv_sequence){sequence});
}

/* Captures every unit and loads it into a new table. */
static struct mkv_tenant_table *reopen(const struct mkv_tenant_table *table, uint64_t stamp) {
    const struct mkv_uuid uuid = sample_uuid(0x20);
    struct mkv_tenant_table *other = table_new();
    uint8_t *unit = sample_unit_new();
    for (uint32_t index = 0; index < geometry.tenant_units; index++) {
        mkv_tenant_table_capture(table, index, &uuid, 4, (struct mkv_sequence){stamp}, unit);
        struct mkv_tenant_page page;
        assert_int_equal(mkv_tenant_page_decode(unit, &page), MKV_OK);
        assert_true(mkv_tenant_table_load(other, &page, unit));
    }
    free(unit);
    return other;
}

static void test_tenant_table__new__serves_the_default_tenant_only(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    assert_true(mkv_tenant_table_serves(table, MKV_TENANT_DEFAULT));
    assert_false(mkv_tenant_table_serves(table, 1));
    assert_int_equal(mkv_tenant_table_find(table, 1), MKV_NONE_U32);
    assert_int_equal(mkv_tenant_table_free_place(table), 1);
    assert_int_equal(mkv_tenant_table_dropped_place(table), MKV_NONE_U32);
    free(table);
}

static void test_tenant_table__drop_and_sweep__id_is_gone_and_place_is_free(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    apply(table, tenant_record(3, 1));
    apply(table, tenant_record(9, 2));
    assert_true(mkv_tenant_table_serves(table, 3));
    assert_int_equal(table->live_count, 3);
    apply(table, drop_record(3, 1));
    assert_false(mkv_tenant_table_serves(table, 3));
    assert_true(mkv_tenant_table_serves(table, 9));
    assert_int_equal(mkv_tenant_table_dropped_place(table), 1);
    assert_int_equal(mkv_tenant_table_free_place(table), 3);
    mkv_tenant_table_swept(table, 1);
    assert_int_equal(mkv_tenant_table_find(table, 3), MKV_NONE_U32);
    assert_int_equal(mkv_tenant_table_free_place(table), 1);
    assert_int_equal(table->id_max, 9);
    free(table);
}

static void test_tenant_table__id_given_before__assertion(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    apply(table, tenant_record(9, 1));
    apply(table, drop_record(9, 1));
    mkv_tenant_table_swept(table, 1);
    expect_assert_failure(apply(table, tenant_record(9, 1)));
    free(table);
}

static void test_tenant_table__captured_and_loaded__is_the_same(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    for (uint32_t place = 1; place < 2 * MKV_UNIT_TENANTS; place++) {
        apply(table, tenant_record(place * 3, place));
    }
    assert_int_equal(mkv_tenant_table_free_place(table), MKV_NONE_U32);
    apply(table, drop_record(3, 1));
    apply(table, drop_record(3 * (MKV_UNIT_TENANTS + 1), MKV_UNIT_TENANTS + 1));
    apply(table, drop_record(0, 0));
    struct mkv_tenant_table *other = reopen(table, 7);
    assert_true(mkv_tenant_table_durable_hash(other) == mkv_tenant_table_durable_hash(table));
    assert_int_equal(other->live_count, table->live_count);
    assert_int_equal(other->dropped_count, 3);
    assert_int_equal(mkv_tenant_table_dropped_place(other), 0);
    assert_false(mkv_tenant_table_serves(other, 0));
    assert_true(mkv_tenant_table_serves(other, 6));
    free(other);
    free(table);
}

static void test_tenant_table__replay__passes_over_what_a_unit_holds(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    apply(table, tenant_record(3, 1));
    apply(table, drop_record(3, 1));
    struct mkv_tenant_table *other = reopen(table, 7);
    assert_true(replay(other, tenant_record(3, 1), 6));
    assert_true(replay(other, drop_record(3, 1), 7));
    assert_int_equal(other->dropped_count, 1);
    /* The sweep had ended, or the place would not have been given again. */
    assert_true(replay(other, tenant_record(5, 1), 8));
    assert_int_equal(other->dropped_count, 0);
    assert_true(mkv_tenant_table_serves(other, 5));
    assert_false(mkv_tenant_table_serves(other, 3));
    free(other);
    free(table);
}

static void test_tenant_table__replay_that_contradicts__refused(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    assert_true(replay(table, tenant_record(3, 1), 1));
    assert_false(replay(table, tenant_record(4, 1), 2));               /* place is taken */
    assert_false(replay(table, tenant_record(3, 2), 2));               /* id is taken */
    assert_false(replay(table, tenant_record(4, table->capacity), 2)); /* no such place */
    assert_false(replay(table, drop_record(4, 1), 2));                 /* another id */
    assert_false(replay(table, drop_record(3, 2), 2));                 /* nobody there */
    assert_false(replay(table, drop_record(3, table->capacity), 2));
    assert_true(replay(table, drop_record(3, 1), 2));
    assert_false(replay(table, drop_record(3, 1), 3)); /* dropped twice */
    free(table);
}

static void test_tenant_page__any_byte_changed__detected(void **state) {
    (void)state;
    struct mkv_tenant_table *table = table_new();
    apply(table, tenant_record(3, 1));
    const struct mkv_uuid uuid = sample_uuid(0x20);
    uint8_t *unit = sample_unit_new();
    mkv_tenant_table_capture(table, 0, &uuid, 4, (struct mkv_sequence){5}, unit);
    struct mkv_tenant_page page;
    for (uint32_t byte = 0; byte < MKV_UNIT_BYTES; byte++) {
        unit[byte] ^= 0x10;
        assert_int_equal(mkv_tenant_page_decode(unit, &page), MKV_CORRUPT_CHECKPOINT_PAGE);
        unit[byte] ^= 0x10;
    }
    assert_int_equal(mkv_tenant_page_decode(unit, &page), MKV_OK);
    free(unit);
    free(table);
}

static void test_tenant_page__field_out_of_bounds__corrupt(void **state) {
    (void)state;
    static const struct {
        uint32_t offset;
        uint8_t value;
    } changes[] = {
        {41, 1},           /* unit 256 */
        {44, 2},           /* an id above the highest one */
        {64 + 96 + 4, 3},  /* state */
        {64 + 96 + 4, 0},  /* a free entry with content */
        {64 + 96 + 5, 0},  /* no name */
        {64 + 96 + 5, 80}, /* a name beyond its field */
        {64 + 2 * 96, 1},  /* a free entry with content */
    };
    struct mkv_tenant_table *table = table_new();
    apply(table, tenant_record(3, 1));
    const struct mkv_uuid uuid = sample_uuid(0x20);
    uint8_t *unit = sample_unit_new();
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        mkv_tenant_table_capture(table, 0, &uuid, 4, (struct mkv_sequence){5}, unit);
        unit[changes[index].offset] = changes[index].value;
        mkv_store_u64(unit + 8, mkv_hash_64(unit + 16, MKV_UNIT_BYTES - 16));
        struct mkv_tenant_page page;
        assert_int_equal(mkv_tenant_page_decode(unit, &page), MKV_CORRUPT_CHECKPOINT_PAGE);
    }
    free(unit);
    free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tenant_table__new__serves_the_default_tenant_only),
        cmocka_unit_test(test_tenant_table__drop_and_sweep__id_is_gone_and_place_is_free),
        cmocka_unit_test(test_tenant_table__id_given_before__assertion),
        cmocka_unit_test(test_tenant_table__captured_and_loaded__is_the_same),
        cmocka_unit_test(test_tenant_table__replay__passes_over_what_a_unit_holds),
        cmocka_unit_test(test_tenant_table__replay_that_contradicts__refused),
        cmocka_unit_test(test_tenant_page__any_byte_changed__detected),
        cmocka_unit_test(test_tenant_page__field_out_of_bounds__corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
