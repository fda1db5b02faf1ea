/* SPDX-License-Identifier: Apache-2.0 */
/* Classes and pages of the slot table; puts and drops are tested through the volume. */
#include "core/slot_table.h"

#include "tests/unit/core/test.h"

static struct mkv_slot_table *table_create(uint32_t extent_units, uint32_t extents,
                                           uint32_t pages) {
    const struct mkv_geometry geometry = {
        .capacity_units = (uint64_t)extent_units * extents + 4096,
        .ring_blocks = 16,
        .page_count = pages,
        .extent_units = extent_units,
        .extent_count = extents,
    };
    struct mkv_slot_table *table = malloc(mkv_slot_table_memory_required(&geometry));
    mkv_slot_table_init(table, &geometry);
    return table;
}

/* Gives a class an extent, as a durable EXTENT record does. */
static bool extent_give(struct mkv_slot_table *table, uint32_t slot_units) {
    struct mkv_record_extent record;
    if (!mkv_slot_table_plan_extent(table, slot_units, &record)) {
        return false;
    }
    mkv_slot_table_apply_extent(table, &record);
    return true;
}

static void test_slot_table__many_small_classes__leave_a_page_for_every_extent(void **state) {
    (void)state;
    struct mkv_slot_table *table = table_create(2048, 24, 24 + 40);
    for (uint32_t extent = 0; extent < 24; extent++) {
        assert_true(extent_give(table, 1 + extent));
        mkv_slot_table_check(table);
    }
    assert_int_equal(table->classless_count, 0);
    free(table);
}

static void test_slot_table__empty_extent__changes_its_class_and_keeps_its_pages(void **state) {
    (void)state;
    struct mkv_slot_table *table = table_create(1024, 4, 4);
    for (uint32_t extent = 0; extent < 4; extent++) {
        assert_true(extent_give(table, 8));
    }
    assert_int_equal(table->page_free_count, 0);
    struct mkv_slot slot;
    assert_true(mkv_slot_table_reserve(table, 8, &slot));
    for (uint32_t extent = 0; extent < 3; extent++) {
        assert_true(extent_give(table, 16));
        mkv_slot_table_check(table);
    }
    assert_false(extent_give(table, 16)); /* the last one has a slot in use (I4) */
    mkv_slot_table_unreserve(table, slot);
    assert_true(extent_give(table, 16));
    assert_false(mkv_slot_table_reserve(table, 8, &slot));
    mkv_slot_table_check(table);
    free(table);
}

static void test_slot_table__slot_sizes__waste_at_most_a_quarter(void **state) {
    (void)state;
    uint32_t classes = 0;
    uint32_t before = 0;
    for (uint32_t units = 1; units <= MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES; units++) {
        const uint32_t slot_units = mkv_slot_units_for(units * MKV_UNIT_BYTES);
        assert_true(slot_units >= units + 1);
        assert_true((uint64_t)(slot_units - 1) * 4 <= (uint64_t)units * 5);
        assert_true(slot_units >= before);
        classes += slot_units != before;
        before = slot_units;
    }
    assert_true(classes < MKV_CLASSES_MAX);
    assert_int_equal(mkv_slot_units_for(0), 1);
    assert_int_equal(mkv_slot_units_for(MKV_INLINE_BYTES_MAX), 1);
    assert_int_equal(mkv_slot_units_for(4 * MKV_MIB), 1 + 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_table__many_small_classes__leave_a_page_for_every_extent),
        cmocka_unit_test(test_slot_table__empty_extent__changes_its_class_and_keeps_its_pages),
        cmocka_unit_test(test_slot_table__slot_sizes__waste_at_most_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
