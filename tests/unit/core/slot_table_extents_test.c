/* SPDX-License-Identifier: Apache-2.0 */
/* Which extents a class gets, gives back and takes from another. */
#include "tests/unit/core/table_rig.h"

static const struct mkv_extent none = {MKV_NONE_U32};

#define FILL_SIZES_MAX 3u
#define TB 1000000000000ull
#define MIB_UNITS ((uint32_t)(MKV_MIB / MKV_UNIT_BYTES))

static uint32_t span_of(uint32_t extent_units, uint32_t extents, uint32_t slot_units) {
    const struct mkv_geometry geometry = {.extent_units = extent_units, .extent_count = extents};
    return mkv_slot_table_span_for(&geometry, slot_units, MKV_EXTENT_SPAN_MAX);
}

static void test_slot_table_extents__span__is_the_least_that_wastes_two_percent(void **state) {
    (void)state;
    const uint32_t gib = 1024 * MIB_UNITS;
    assert_int_equal(span_of(gib, 900, 1 + 32 * MIB_UNITS), 2); /* 31 of 32 in one */
    assert_int_equal(span_of(gib, 900, 1 + 20 * MIB_UNITS), 1);
    assert_int_equal(span_of(gib, 900, 65), 1);
    const uint32_t small = 64 * MIB_UNITS;
    assert_int_equal(span_of(small, 63, 1 + 32 * MIB_UNITS), 7); /* the best of up to 7 */
    assert_int_equal(span_of(small, 63, 1 + 10 * MIB_UNITS), 3);
    assert_int_equal(span_of(small, 6, 1 + 10 * MIB_UNITS), 1);
    /* A slot larger than an extent takes as many as it needs, however few there are. */
    assert_int_equal(span_of(10, 6, 11), 2);
    assert_int_equal(span_of(10, 6, 160), 16);
    assert_int_equal(span_of(10, 6, 161), 0);
}

static void test_slot_table_extents__slots_of_a_group__lie_within_it_and_run_on(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(10, 24, 30);
    struct mkv_record_extent record;
    assert_true(table_rig_change(rig, 4, &record)); /* wastes 2 of 10, 0 of 20 */
    assert_int_equal(record.span, 2);
    assert_int_equal(record.extent.index, 0);
    for (uint32_t index = 0; index < 5; index++) {
        const struct mkv_slot slot = table_rig_put(rig, 4);
        assert_int_equal(mkv_slot_table_lba(rig->table, slot).unit,
                         mkv_geometry_data_start(&rig->geometry).unit + 4 * (uint64_t)index);
    }
    struct mkv_slot slot;
    assert_false(mkv_slot_table_reserve(rig->table, 4, &slot));
    assert_true(table_rig_change(rig, 10, &record));
    assert_int_equal(record.extent.index, 2); /* the member behind the first is taken */
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

/* Classes of spans 2 and 1, in this order of extents: 0-1, 2, 3-4, 5, 6-7, 8 ... */
static struct table_rig *rig_of_holes(void) {
    struct table_rig *rig = table_rig_make(10, 24, 60);
    for (uint32_t turn = 0; turn < 8; turn++) {
        struct mkv_record_extent record;
        assert_true(table_rig_change(rig, 4, &record));
        assert_int_equal(record.span, 2);
        assert_true(table_rig_change(rig, 10, &record));
        assert_int_equal(record.span, 1);
    }
    assert_int_equal(rig->table->classless_count, 0);
    return rig;
}

static void give_back(struct table_rig *rig, uint32_t extent) {
    struct mkv_record_extent record;
    mkv_slot_table_plan_give_back(rig->table, (struct mkv_extent){extent}, &record);
    mkv_slot_table_apply_extent(rig->table, &record);
    mkv_slot_table_check(rig->table);
}

static void test_slot_table_extents__several_holes__the_smallest_that_fits_is_taken(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_holes();
    struct mkv_record_extent record;
    give_back(rig, 0);
    give_back(rig, 2);  /* 0-2 */
    give_back(rig, 9);  /* 9-10 */
    give_back(rig, 14); /* 14 */
    give_back(rig, 20); /* 20 */
    assert_true(table_rig_change(rig, 4, &record));
    assert_int_equal(record.extent.index, 9);
    assert_true(table_rig_change(rig, 10, &record));
    assert_int_equal(record.extent.index, 14); /* the lowest of two alike */
    assert_true(table_rig_change(rig, 10, &record));
    assert_int_equal(record.extent.index, 20);
    assert_true(table_rig_change(rig, 4, &record));
    assert_int_equal(record.extent.index, 0);
    assert_true(table_rig_change(rig, 4, &record)); /* no two are left */
    assert_int_equal(record.extent.index, 2);
    assert_int_equal(record.span, 1);
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table_extents__none_classless__an_empty_group_gives_its_class_back(
    void **state) {
    (void)state;
    struct table_rig *rig = rig_of_holes();
    struct mkv_record_extent record;
    assert_true(
        table_rig_change(rig, 6, &record)); /* wastes 2 of 20: wants 3, there is 2 at most */
    assert_int_equal(record.slot_units, 0);
    assert_int_equal(record.span, 2);
    assert_int_equal(record.extent.index, 0);
    assert_int_equal(record.released_page_count, 1);
    assert_true(table_rig_change(rig, 6, &record));
    assert_int_equal(record.slot_units, 6);
    assert_int_equal(record.extent.index, 0);
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table_extents__slot_in_use_or_retired__keeps_the_class(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(16, 2, 2);
    assert_true(table_rig_give(rig, 8));
    const struct mkv_slot first = table_rig_put(rig, 8);
    const struct mkv_slot second = table_rig_put(rig, 8);
    assert_true(table_rig_give(rig, 8));
    const struct mkv_slot third = table_rig_put(rig, 8);
    struct mkv_record_extent record;
    assert_false(mkv_slot_table_plan_extent(rig->table, 5, &record)); /* I4 */
    table_rig_drop(rig, third, true);
    assert_false(mkv_slot_table_plan_extent(rig->table, 5, &record));
    table_rig_drop(rig, first, false);
    assert_false(mkv_slot_table_plan_extent(rig->table, 5, &record));
    table_rig_drop(rig, second, false);
    assert_true(table_rig_give(rig, 5));
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table_extents__slot_larger_than_a_hole__waits_for_neighbours(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(10, 4, 8);
    struct mkv_slot slots[4];
    for (uint32_t index = 0; index < 4; index++) {
        assert_true(table_rig_give(rig, 10));
        slots[index] = table_rig_put(rig, 10);
    }
    struct mkv_record_extent record;
    table_rig_drop(rig, slots[1], false);
    table_rig_drop(rig, slots[3], false);
    assert_false(
        mkv_slot_table_plan_extent(rig->table, 15, &record)); /* 1 and 3: no two in a row */
    struct mkv_extent victim;
    assert_true(mkv_slot_table_choose_victim(rig->table, 15, 1, none, &victim));
    assert_true(victim.index == 0 || victim.index == 2);
    table_rig_drop(rig, slots[2], false);
    assert_true(table_rig_give(rig, 15));
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table_extents__many_small_classes__leave_a_page_for_every_extent(
    void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(2048, 24, 24 + 40);
    for (uint32_t extent = 0; extent < 24; extent++) {
        assert_true(table_rig_give(rig, 1 + extent));
        mkv_slot_table_check(rig->table);
    }
    assert_int_equal(rig->table->classless_count, 0);
    table_rig_free(rig);
}

static void test_slot_table_extents__no_page_left__an_empty_group_frees_its_own(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(2000, 4, 3);
    assert_true(table_rig_give(rig, 5));
    assert_true(table_rig_give(rig, 5));
    assert_true(table_rig_give(rig, 5));
    assert_int_equal(rig->table->page_free_count, 0);
    assert_int_equal(rig->table->classless_count, 1);
    assert_true(table_rig_give(rig, 8));
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

static void test_slot_table_extents__released_pages__are_taken_again_from_the_low_end(
    void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(1680, 6, 60);
    struct mkv_record_extent record;
    for (uint32_t extent = 0; extent < 4; extent++) {
        assert_true(table_rig_change(rig, 5, &record));
        assert_int_equal(record.page_count, 2);
    }
    give_back(rig, 1);
    assert_true(table_rig_change(rig, 5, &record));
    assert_int_equal(record.page_first, 2);
    assert_true(table_rig_change(rig, 5, &record));
    assert_int_equal(record.page_first, 8);
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

/* ---- emptying -------------------------------------------------------------------------------- */

#define GRAIN_NS 1000u

static void put_at(struct table_rig *rig, uint32_t slot_units, uint64_t now_ns) {
    rig->table->now_ns = now_ns;
    assert_true(table_rig_give(rig, slot_units));
    (void)table_rig_put(rig, slot_units);
}

static void test_slot_table_extents__victim__is_the_coldest_if_twice_as_old(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(10, 4, 8);
    struct mkv_extent victim;
    put_at(rig, 10, 100 * GRAIN_NS);
    put_at(rig, 10, 50 * GRAIN_NS + 100 * GRAIN_NS);
    put_at(rig, 9, 170 * GRAIN_NS);
    rig->table->now_ns = 200 * GRAIN_NS;
    /* Extent 0 is 100 old, 1 is 50, the one of 9 units is 30. */
    assert_true(mkv_slot_table_choose_victim(rig->table, 9, GRAIN_NS, none, &victim));
    assert_int_equal(victim.index, 0);
    assert_true(
        mkv_slot_table_choose_victim(rig->table, 8, GRAIN_NS, none, &victim)); /* has none */
    assert_int_equal(victim.index, 0);
    assert_false(mkv_slot_table_choose_victim(rig->table, 10, GRAIN_NS, none, &victim));
    rig->table->now_ns = 240 * GRAIN_NS; /* 140 and 70 */
    assert_true(mkv_slot_table_choose_victim(rig->table, 9, GRAIN_NS, none, &victim));
    rig->table->now_ns = 241 * GRAIN_NS; /* 141 and 71 */
    assert_false(mkv_slot_table_choose_victim(rig->table, 9, GRAIN_NS, none, &victim));
    /* Within a grain nothing is colder than anything. */
    rig->table->now_ns = 200 * GRAIN_NS;
    assert_false(mkv_slot_table_choose_victim(rig->table, 9, 1000 * GRAIN_NS, none, &victim));
    table_rig_free(rig);
}

static void test_slot_table_extents__class_that_was_refused_and_lost_its_extent__may_take_another(
    void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(10, 4, 8);
    struct mkv_extent victim;
    struct mkv_record_extent record;
    put_at(rig, 10, 100 * GRAIN_NS);
    rig->table->now_ns = 150 * GRAIN_NS;
    assert_true(table_rig_give(rig, 9));
    const struct mkv_slot slot = table_rig_put(rig, 9);
    const struct mkv_extent own = mkv_slot_table_extent_of(rig->table, slot);
    rig->table->now_ns = 210 * GRAIN_NS; /* 110 against 60 */
    assert_false(mkv_slot_table_choose_victim(rig->table, 9, GRAIN_NS, none, &victim));
    table_rig_drop(rig, slot, false);
    mkv_slot_table_plan_give_back(rig->table, own, &record);
    /* At the same moment: it was refused for one that it had, and has none now. */
    assert_true(mkv_slot_table_choose_victim(rig->table, 9, GRAIN_NS, none, &victim));
    assert_int_equal(victim.index, 0);
    table_rig_free(rig);
}

static void test_slot_table_extents__use__makes_an_extent_young_again(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(10, 4, 8);
    struct mkv_extent victim;
    put_at(rig, 10, 10);
    put_at(rig, 10, 20);
    assert_true(mkv_slot_table_choose_victim(rig->table, 8, 1, none, &victim));
    assert_int_equal(victim.index, 0);
    rig->table->now_ns = 30;
    mkv_slot_table_hold(rig->table, (struct mkv_slot){0});
    assert_true(mkv_slot_table_choose_victim(rig->table, 8, 1, none, &victim));
    assert_int_equal(victim.index, 1);
    table_rig_drop(rig, (struct mkv_slot){MKV_PAGE_SLOTS}, true); /* retired: keeps its class */
    assert_true(mkv_slot_table_choose_victim(rig->table, 8, 1, none, &victim));
    assert_int_equal(victim.index, 0);
    table_rig_free(rig);
}

static void test_slot_table_extents__emptying__gives_out_no_slot_until_it_is_given_up(
    void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(16, 1, 2);
    const struct mkv_extent extent = {0};
    assert_true(table_rig_give(rig, 4));
    const struct mkv_slot slot = table_rig_put(rig, 4);
    const struct mkv_slot hidden = table_rig_put(rig, 4);
    const struct mkv_slot last = table_rig_put(rig, 4);
    mkv_slot_table_hide(rig->table, hidden);
    mkv_slot_table_empty_begin(rig->table, extent);
    struct mkv_slot other;
    assert_false(mkv_slot_table_reserve(rig->table, 4, &other));
    uint32_t cursor = 0;
    uint32_t look_max = 2;
    assert_true(mkv_slot_table_next_live(rig->table, extent, &cursor, &look_max, &other));
    assert_int_equal(other.index, slot.index);
    assert_false(mkv_slot_table_next_live(rig->table, extent, &cursor, &look_max, &other));
    assert_int_equal(cursor, 2);
    look_max = 10;
    assert_true(mkv_slot_table_next_live(rig->table, extent, &cursor, &look_max, &other));
    assert_int_equal(other.index, last.index);
    assert_false(mkv_slot_table_next_live(rig->table, extent, &cursor, &look_max, &other));
    assert_int_equal(cursor, 4);
    table_rig_drop(rig, slot, false);
    assert_false(mkv_slot_table_reserve(rig->table, 4, &other));
    mkv_slot_table_check(rig->table);
    rig->table->now_ns = 77;
    rig->table->extent_was_listed = false;
    mkv_slot_table_empty_end(rig->table, extent);
    assert_true(rig->table->extent_was_listed);
    assert_int_equal(mkv_slot_table_extent(rig->table, extent)->used_ns, 77);
    assert_true(mkv_slot_table_reserve(rig->table, 4, &other));
    mkv_slot_table_check(rig->table);
    table_rig_free(rig);
}

/* ---- how full a drive gets ------------------------------------------------------------------- */

/* Blocks of these sizes, an equal share of bytes each, until one finds no room: the share of the
 * usable bytes that is payload. */
static double fill(uint64_t capacity, const uint32_t *sizes, uint32_t size_count) {
    const struct mkv_geometry_options defaults = {0};
    struct mkv_geometry geometry;
    assert_int_equal(mkv_geometry_plan(capacity / MKV_UNIT_BYTES, &defaults, &geometry), MKV_OK);
    struct mkv_slot_table *table = malloc(mkv_slot_table_memory_required(&geometry));
    assert_non_null(table);
    mkv_slot_table_init(table, &geometry);
    uint64_t cursor = 0;
    while (!mkv_slot_table_clear(table, &cursor, MKV_GIB)) {
    }
    uint64_t stored[FILL_SIZES_MAX] = {0};
    uint64_t payload_bytes = 0;
    bool room = true;
    while (room) {
        uint32_t next = 0;
        for (uint32_t index = 1; index < size_count; index++) {
            next = stored[index] < stored[next] ? index : next;
        }
        struct mkv_slot slot;
        struct mkv_record_extent record;
        const uint32_t slot_units = mkv_slot_table_class_for(table, sizes[next]);
        while (!mkv_slot_table_reserve(table, slot_units, &slot)) {
            room = mkv_slot_table_plan_extent(table, slot_units, &record);
            if (!room) {
                break;
            }
            mkv_slot_table_apply_extent(table, &record);
        }
        stored[next] += room ? sizes[next] : 0;
        payload_bytes += room ? sizes[next] : 0;
    }
    mkv_slot_table_check(table);
    const uint64_t usable_bytes = mkv_geometry_usable_units(&geometry) * MKV_UNIT_BYTES;
    free(table);
    return (double)payload_bytes / (double)usable_bytes;
}

static void test_slot_table_extents__default_stores__fill_to_their_bars(void **state) {
    (void)state;
    static const struct {
        uint32_t sizes[FILL_SIZES_MAX];
        uint32_t size_count;
    } loads[] = {
        {{256 * MKV_KIB}, 1}, {{11 * MKV_MIB / 10}, 1},
        {{5 * MKV_MIB}, 1},   {{172 * MKV_MIB / 10}, 1},
        {{32 * MKV_MIB}, 1},  {{11 * MKV_MIB / 10, 5 * MKV_MIB, 32 * MKV_MIB}, 3},
    };
    for (size_t load = 0; load < sizeof loads / sizeof loads[0]; load++) {
        assert_true(fill(4 * MKV_GIB, loads[load].sizes, loads[load].size_count) >= 0.90);
        assert_true(fill(TB, loads[load].sizes, loads[load].size_count) >= 0.97);
        if (loads[load].sizes[0] >=
            5 * MKV_MIB) { /* bench/fill has the others, which take seconds */
            assert_true(fill(16 * TB, loads[load].sizes, loads[load].size_count) >= 0.97);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_table_extents__span__is_the_least_that_wastes_two_percent),
        cmocka_unit_test(test_slot_table_extents__slots_of_a_group__lie_within_it_and_run_on),
        cmocka_unit_test(test_slot_table_extents__several_holes__the_smallest_that_fits_is_taken),
        cmocka_unit_test(
            test_slot_table_extents__none_classless__an_empty_group_gives_its_class_back),
        cmocka_unit_test(test_slot_table_extents__slot_in_use_or_retired__keeps_the_class),
        cmocka_unit_test(test_slot_table_extents__slot_larger_than_a_hole__waits_for_neighbours),
        cmocka_unit_test(
            test_slot_table_extents__many_small_classes__leave_a_page_for_every_extent),
        cmocka_unit_test(test_slot_table_extents__no_page_left__an_empty_group_frees_its_own),
        cmocka_unit_test(test_slot_table_extents__released_pages__are_taken_again_from_the_low_end),
        cmocka_unit_test(test_slot_table_extents__victim__is_the_coldest_if_twice_as_old),
        cmocka_unit_test(
            test_slot_table_extents__class_that_was_refused_and_lost_its_extent__may_take_another),
        cmocka_unit_test(test_slot_table_extents__use__makes_an_extent_young_again),
        cmocka_unit_test(test_slot_table_extents__emptying__gives_out_no_slot_until_it_is_given_up),
        cmocka_unit_test(test_slot_table_extents__default_stores__fill_to_their_bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
