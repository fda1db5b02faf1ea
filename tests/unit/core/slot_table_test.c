/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the slot table and the life of a slot; puts and drops also run through the volume. */
#include "core/slot_table.h"

#include "tests/unit/core/table_rig.h"

#define UNITS 4u /* of a slot */

static void test_slot_table__hundred_million_slots__take_at_most_30_bytes_each(void **state) {
    (void)state;
    const struct mkv_geometry_options options = {.slots_max = 100000000};
    struct mkv_geometry geometry;
    /* As many 256 KiB as there are slots, and the metadata. */
    const uint64_t capacity_units = 100000000ull * 64 * 101 / 100;
    assert_int_equal(mkv_geometry_plan(capacity_units, &options, &geometry), MKV_OK);
    const double slots = (double)geometry.page_count * MKV_PAGE_SLOTS;
    const double bytes = (double)mkv_slot_table_memory_required(&geometry) / slots;
    print_message("%.3f bytes a slot at %.0f slots\n", bytes, slots);
    assert_true(slots >= 100000000);
    assert_true(bytes <= 30.0);
}

static void test_slot_table__init_and_clear__leave_the_entries_alone(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(64, 6, 10);
    const uint8_t *entries = (const uint8_t *)rig->table + rig->table->entries_offset;
    for (uint64_t byte = 0; byte < rig->table->pages_offset - rig->table->entries_offset; byte++) {
        assert_int_equal(entries[byte], 0xa5);
    }
    mkv_slot_table_check(rig->table);
    assert_true(table_rig_give(rig, UNITS));
    assert_int_equal(table_rig_put(rig, UNITS).index, 0);
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table__clear__is_done_in_steps_of_the_size_asked_for(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(64, 6, 10);
    struct mkv_slot_table *table = rig->table;
    const uint64_t bytes = table->end_offset - table->pages_offset;
    mkv_slot_table_init(table, &rig->geometry);
    uint64_t cursor = 0;
    uint64_t steps = 1;
    while (!mkv_slot_table_clear(table, &cursor, 100)) {
        assert_int_equal(cursor, steps * 100);
        steps++;
    }
    assert_int_equal(steps, mkv_divide_up_u64(bytes, 100));
    assert_int_equal(cursor, bytes);
    table_rig_free(rig);
}

static void test_slot_table__walk_of_owned_slots__skips_free_pages(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(2048, 8, 40);
    assert_true(table_rig_give(rig, UNITS));
    assert_true(table_rig_give(rig, UNITS + 1));
    struct mkv_slot kept = table_rig_put(rig, UNITS + 1);
    struct mkv_record_extent record;
    mkv_slot_table_plan_give_back(rig->table, (struct mkv_extent){0}, &record);
    mkv_slot_table_apply_extent(rig->table, &record);
    assert_int_equal(mkv_slot_table_next_owned(rig->table, (struct mkv_slot){0}).index, kept.index);
    assert_int_equal(mkv_slot_table_next_owned(rig->table, kept).index, kept.index);
    const struct mkv_slot end = {rig->table->page_high * MKV_PAGE_SLOTS};
    assert_int_equal(mkv_slot_table_next_owned(rig->table, end).index, MKV_NONE_U32);
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table__prefetch__in_every_bucket__changes_nothing(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(64, 6, 10);
    assert_true(table_rig_give(rig, UNITS));
    (void)table_rig_put(rig, UNITS);
    const size_t bytes = mkv_slot_table_memory_required(&rig->geometry);
    void *before = malloc(bytes);
    memcpy(before, rig->table, bytes);
    /* A tag in each bucket, most of them without an entry, and the ends. */
    for (uint64_t bucket = 0; bucket <= rig->table->bucket_count; bucket++) {
        const uint64_t tag = bucket * (UINT64_MAX / rig->table->bucket_count);
        mkv_slot_table_prefetch(rig->table, tag, MKV_PREFETCH_BUCKET);
        mkv_slot_table_prefetch(rig->table, tag, MKV_PREFETCH_ENTRY);
    }
    mkv_slot_table_prefetch(rig->table, UINT64_MAX, MKV_PREFETCH_ENTRY);
    assert_memory_equal(before, rig->table, bytes);
    free(before);
    table_rig_free(rig);
}

/* ---- retired slots --------------------------------------------------------------------------- */

static struct table_rig *rig_of_one_extent(void) {
    struct table_rig *rig = table_rig_make(16 * UNITS, 1, 1);
    assert_true(table_rig_give(rig, UNITS));
    return rig;
}

static void assert_never_given_out(struct table_rig *rig, struct mkv_slot slot) {
    struct mkv_slot other;
    while (mkv_slot_table_reserve(rig->table, UNITS, &other)) {
        assert_int_not_equal(other.index, slot.index);
    }
    mkv_slot_table_check(rig->table);
}

static void test_slot_table__retired_fresh_slot__is_not_given_out(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    table_rig_retire(rig, (struct mkv_slot){5});
    mkv_slot_table_check(rig->table);
    assert_int_equal(rig->table->retired_count, 1);
    assert_never_given_out(rig, (struct mkv_slot){5});
    assert_int_equal(rig->table->used_count, 16);
    table_rig_free(rig);
}

static void test_slot_table__retired_free_slot__leaves_the_free_list(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    struct mkv_slot slots[16];
    for (uint32_t index = 0; index < 16; index++) {
        slots[index] = table_rig_put(rig, UNITS);
    }
    table_rig_drop(rig, slots[3], false);
    table_rig_drop(rig, slots[4], false);
    table_rig_drop(rig, slots[5], false);
    table_rig_retire(rig, slots[4]);
    assert_never_given_out(rig, slots[4]);
    table_rig_free(rig);
}

static void test_slot_table__emptied_extent__gives_its_slots_out_in_order_again(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    struct mkv_slot slots[16];
    for (uint32_t index = 0; index < 16; index++) {
        slots[index] = table_rig_put(rig, UNITS);
    }
    for (uint32_t index = 0; index < 16; index++) {
        table_rig_drop(rig, slots[index * 7 % 16], false);
        mkv_slot_table_check(rig->table);
    }
    for (uint32_t index = 0; index < 16; index++) {
        assert_int_equal(table_rig_put(rig, UNITS).index, index);
        mkv_slot_table_check(rig->table);
    }
    table_rig_free(rig);
}

static void test_slot_table__retired_last_free_slot__unlists_its_extent(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    struct mkv_slot slot = {0};
    for (uint32_t index = 0; index < 16; index++) {
        slot = table_rig_put(rig, UNITS);
    }
    table_rig_drop(rig, slot, false);
    table_rig_retire(rig, slot);
    mkv_slot_table_check(rig->table);
    assert_false(mkv_slot_table_reserve(rig->table, UNITS, &slot));
    table_rig_free(rig);
}

static void test_slot_table__reserved_slot__is_retired_at_once_and_then_durably(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    struct mkv_slot slot;
    assert_true(mkv_slot_table_reserve(rig->table, UNITS, &slot));
    const uint64_t hash = mkv_slot_table_durable_hash(rig->table);
    mkv_slot_table_retire(rig->table, slot);
    assert_int_equal(mkv_slot_state_of(mkv_slot_table_entry(rig->table, slot)),
                     MKV_SLOT_RETIRED_UNTIL_RESTART);
    assert_int_equal(mkv_slot_table_durable_hash(rig->table), hash);
    mkv_slot_table_check(rig->table);
    table_rig_retire(rig, slot);
    assert_int_equal(mkv_slot_state_of(mkv_slot_table_entry(rig->table, slot)), MKV_SLOT_RETIRED);
    assert_true(mkv_slot_table_durable_hash(rig->table) != hash);
    assert_int_equal(rig->table->retired_count, 1);
    assert_never_given_out(rig, slot);
    table_rig_free(rig);
}

static void test_slot_table__drop_that_retires__keeps_the_slot_from_use_even_if_held(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    const struct mkv_slot slot = table_rig_put(rig, UNITS);
    mkv_slot_table_hold(rig->table, slot);
    mkv_slot_table_hide(rig->table, slot);
    table_rig_drop(rig, slot, true);
    assert_int_equal(rig->table->live_count, 0);
    mkv_slot_table_release(rig->table, slot);
    assert_never_given_out(rig, slot);
    table_rig_free(rig);
}

/* ---- bits ------------------------------------------------------------------------------------ */

static void test_slot_table__volatile_bits__reach_neither_page_nor_hash(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_extent();
    const struct mkv_slot slot = table_rig_put(rig, UNITS);
    struct mkv_slot_entry *entry = mkv_slot_table_entry(rig->table, slot);
    const struct mkv_uuid uuid = {{7}};
    uint8_t before[MKV_UNIT_BYTES];
    uint8_t after[MKV_UNIT_BYTES];
    const uint64_t hash = mkv_slot_table_durable_hash(rig->table);
    mkv_slot_table_capture_page(rig->table, 0, &uuid, 1, (struct mkv_sequence){9}, before);
    assert_int_equal(mkv_slot_policy_of(entry), 0);
    mkv_slot_set_policy(entry, MKV_SLOT_POLICY_MAX);
    entry->bits |= MKV_SLOT_UNLISTED;
    mkv_slot_table_hold(rig->table, slot);
    mkv_slot_table_hide(rig->table, slot);
    assert_int_equal(mkv_slot_policy_of(entry), MKV_SLOT_POLICY_MAX);
    assert_int_equal(mkv_slot_state_of(entry), MKV_SLOT_LIVE);
    mkv_slot_table_capture_page(rig->table, 0, &uuid, 1, (struct mkv_sequence){9}, after);
    assert_memory_equal(before, after, MKV_UNIT_BYTES);
    assert_int_equal(mkv_slot_table_durable_hash(rig->table), hash);
    mkv_slot_set_policy(entry, 5);
    assert_int_equal(mkv_slot_policy_of(entry), 5);
    assert_true((entry->bits & MKV_SLOT_UNLISTED) != 0);
    table_rig_free(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_table__hundred_million_slots__take_at_most_30_bytes_each),
        cmocka_unit_test(test_slot_table__init_and_clear__leave_the_entries_alone),
        cmocka_unit_test(test_slot_table__clear__is_done_in_steps_of_the_size_asked_for),
        cmocka_unit_test(test_slot_table__walk_of_owned_slots__skips_free_pages),
        cmocka_unit_test(test_slot_table__prefetch__in_every_bucket__changes_nothing),
        cmocka_unit_test(test_slot_table__retired_fresh_slot__is_not_given_out),
        cmocka_unit_test(test_slot_table__retired_free_slot__leaves_the_free_list),
        cmocka_unit_test(test_slot_table__emptied_extent__gives_its_slots_out_in_order_again),
        cmocka_unit_test(test_slot_table__retired_last_free_slot__unlists_its_extent),
        cmocka_unit_test(test_slot_table__reserved_slot__is_retired_at_once_and_then_durably),
        cmocka_unit_test(test_slot_table__drop_that_retires__keeps_the_slot_from_use_even_if_held),
        cmocka_unit_test(test_slot_table__volatile_bits__reach_neither_page_nor_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
