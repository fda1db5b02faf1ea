/* SPDX-License-Identifier: Apache-2.0 */
/* Which slot size a payload gets. */
#include "core/slot_header.h"
#include "tests/unit/core/table_rig.h"

static uint32_t class_of_units(const struct table_rig *rig, uint32_t payload_units) {
    return mkv_slot_table_class_for(rig->table, payload_units * MKV_UNIT_BYTES);
}

static void test_slot_table_class__fixed_sizes__waste_at_most_a_quarter(void **state) {
    (void)state;
    uint32_t classes = 0;
    uint32_t before = 0;
    for (uint32_t units = 0; units <= MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES; units++) {
        const uint32_t slot_units = mkv_slot_units_of_table(units);
        assert_true(slot_units >= units + 1);
        assert_true((uint64_t)(slot_units - 1) * 4 <= (uint64_t)units * 5);
        assert_true(slot_units >= before);
        classes += slot_units != before;
        before = slot_units;
    }
    assert_int_equal(classes, MKV_CLASSES_OF_TABLE);
    assert_int_equal(mkv_slot_units_of_table(0), 1);
    assert_int_equal(mkv_slot_units_of_table(1024), 1 + 1024);
}

static void test_slot_table_class__first_sizes__get_classes_of_their_own(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(512, 40, 60);
    assert_int_equal(mkv_slot_table_class_for(rig->table, 0), 1);
    assert_int_equal(mkv_slot_table_class_for(rig->table, MKV_INLINE_BYTES_MAX), 1);
    /* 40 extents: 10 sizes that are not the table's. */
    for (uint32_t size = 0; size < 10; size++) {
        assert_int_equal(class_of_units(rig, 101 + size), 102 + size);
        assert_true(table_rig_give(rig, 102 + size));
    }
    assert_int_equal(class_of_units(rig, 105), 106);                          /* it exists */
    assert_int_equal(class_of_units(rig, 150), 1 + 160);                      /* the table's */
    assert_int_equal(class_of_units(rig, 160), 1 + 160);                      /* of both */
    assert_int_equal(class_of_units(rig, 98), 102);                           /* near, has room */
    assert_int_equal(class_of_units(rig, 80), mkv_slot_units_of_table(80));   /* too small */
    assert_int_equal(class_of_units(rig, 111), mkv_slot_units_of_table(111)); /* none larger */
    table_rig_free(rig);
}

static void test_slot_table_class__near_one_without_room__is_not_chosen(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(128, 4, 8); /* one exact class */
    assert_true(table_rig_give(rig, 102));
    assert_int_equal(class_of_units(rig, 99), 102);
    assert_int_equal(mkv_slot_table_class_near(rig->table, 100), 102);
    const struct mkv_slot slot = table_rig_put(rig, 102);
    assert_int_equal(class_of_units(rig, 99), 1 + 112);
    assert_int_equal(mkv_slot_table_class_near(rig->table, 100), 0);
    table_rig_drop(rig, slot, false);
    assert_int_equal(mkv_slot_table_class_near(rig->table, 102), 0); /* larger, not equal */
    assert_int_equal(mkv_slot_table_class_near(rig->table, 81), 0);  /* more than a quarter */
    assert_int_equal(mkv_slot_table_class_near(rig->table, 82), 102);
    table_rig_free(rig);
}

static void test_slot_table_class__without_extents__gives_its_place_to_the_next(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(256, 8, 20);
    for (uint32_t round = 0; round < 3 * MKV_CLASSES_MAX; round++) {
        const uint32_t units = 3 + round % 200;
        struct mkv_record_extent record;
        assert_true(table_rig_give(rig, units));
        assert_int_equal(rig->table->class_count, 1);
        mkv_slot_table_plan_give_back(rig->table, (struct mkv_extent){0}, &record);
        mkv_slot_table_apply_extent(rig->table, &record);
        assert_int_equal(rig->table->class_count, 0);
        mkv_slot_table_check(rig->table);
        rig->record_count = 0;
    }
    table_rig_free(rig);
}

static void test_slot_table_class__all_places_taken__refuses_another_one(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(8192, MKV_CLASSES_MAX + 4, 9 * MKV_CLASSES_MAX);
    struct mkv_record_extent records[MKV_CLASSES_MAX];
    /* A class that is merely on its way has its place. */
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        assert_true(mkv_slot_table_plan_extent(rig->table, 1 + index, &records[index]));
    }
    struct mkv_record_extent record;
    assert_false(mkv_slot_table_plan_extent(rig->table, 1 + MKV_CLASSES_MAX, &record));
    mkv_slot_table_check(rig->table);
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        mkv_slot_table_apply_extent(rig->table, &records[index]);
    }
    mkv_slot_table_check(rig->table);
    assert_true(mkv_slot_table_plan_extent(rig->table, MKV_CLASSES_MAX, &record));
    table_rig_free(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_table_class__fixed_sizes__waste_at_most_a_quarter),
        cmocka_unit_test(test_slot_table_class__first_sizes__get_classes_of_their_own),
        cmocka_unit_test(test_slot_table_class__near_one_without_room__is_not_chosen),
        cmocka_unit_test(test_slot_table_class__without_extents__gives_its_place_to_the_next),
        cmocka_unit_test(test_slot_table_class__all_places_taken__refuses_another_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
