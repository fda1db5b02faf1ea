/* SPDX-License-Identifier: Apache-2.0 */
/* The slot table after a restart: from pages captured at any moment, and the records since. */
#include "tests/unit/core/table_rig.h"

/* A seeded stream for tests: the step of PCG. */
static uint32_t draw(uint64_t *seed, uint32_t below) {
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((*seed >> 33) % below);
}

/* ---- random histories ------------------------------------------------------------------------ */

#define LIVE_MAX 64u

struct history {
    struct table_rig *rig;
    uint64_t seed;
    uint32_t live_count;
    struct mkv_slot live[LIVE_MAX];
};

/* Slot sizes around an extent of 10 units: spans of 1, 2, 3, and a slot larger than an extent. */
static const uint32_t sizes[] = {1, 3, 4, 6, 10, 13};

static void history_step(struct history *history) {
    struct table_rig *rig = history->rig;
    const uint32_t slot_units = sizes[draw(&history->seed, sizeof sizes / sizeof sizes[0])];
    const uint32_t choice = draw(&history->seed, 16);
    if (choice < 8 && history->live_count < LIVE_MAX) {
        struct mkv_slot slot;
        struct mkv_record_extent record;
        if (mkv_slot_table_reserve(rig->table, slot_units, &slot)) {
            mkv_slot_table_unreserve(rig->table, slot);
            history->live[history->live_count++] = table_rig_put(rig, slot_units);
        } else {
            (void)table_rig_change(rig, slot_units, &record);
        }
        return;
    }
    if (history->live_count == 0) {
        return;
    }
    const uint32_t which = draw(&history->seed, history->live_count);
    table_rig_drop(rig, history->live[which], choice == 15 && draw(&history->seed, 4) == 0);
    history->live[which] = history->live[--history->live_count];
}

static void load(const struct table_rig *rig, struct mkv_slot_table *loaded, uint32_t page,
                 const uint8_t *unit) {
    (void)rig;
    struct mkv_checkpoint_page head;
    assert_int_equal(mkv_checkpoint_page_decode(unit, &head), MKV_OK);
    assert_int_equal(head.page, page);
    assert_true(mkv_slot_table_load_page(loaded, &head, unit));
}

/* Pages are captured one by one while the history goes on, as a checkpoint does it; what is then
 * loaded, with the records since the first of them, is the table as it was live. */
static void test_slot_table_recover__fuzzy_pages_and_journal__give_the_live_table(void **state) {
    (void)state;
    const struct mkv_uuid uuid = {{3}};
    uint32_t spanned = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct table_rig *rig = table_rig_make(10, 24, 24 + (uint32_t)(seed % 3) - 1);
        struct history history = {.rig = rig, .seed = seed};
        struct mkv_slot_table *loaded = table_rig_empty(&rig->geometry);
        for (uint32_t step = 0; step < 60 + seed; step++) {
            history_step(&history);
        }
        const uint32_t first = rig->record_count;
        const uint32_t pages = rig->table->page_high;
        for (uint32_t page = 0; page < pages; page++) {
            uint8_t unit[MKV_UNIT_BYTES];
            mkv_slot_table_capture_page(rig->table, page, &uuid, 1,
                                        (struct mkv_sequence){rig->record_count}, unit);
            load(rig, loaded, page, unit);
            history_step(&history);
            history_step(&history);
        }
        assert_true(table_rig_replay(rig, loaded, first));
        mkv_slot_table_check(loaded);
        mkv_slot_table_check(rig->table);
        assert_true(mkv_slot_table_durable_hash(loaded) == mkv_slot_table_durable_hash(rig->table));
        assert_int_equal(loaded->live_count, rig->table->live_count);
        assert_int_equal(loaded->retired_count, rig->table->retired_count);
        assert_int_equal(loaded->classless_count, rig->table->classless_count);
        assert_int_equal(loaded->page_free_count, rig->table->page_free_count);
        assert_int_equal(loaded->empty_count, rig->table->empty_count);
        for (uint32_t extent = 0; extent < rig->geometry.extent_count; extent++) {
            spanned += mkv_slot_table_extent(loaded, (struct mkv_extent){extent})->span > 1;
        }
        free(loaded);
        table_rig_free(rig);
    }
    assert_true(spanned > 300);
}

/* ---- contradictions -------------------------------------------------------------------------- */

/* Two extents of 16 units, one class of 4 units, with a block in slot 0. */
static struct table_rig *rig_of_one_block(void) {
    struct table_rig *rig = table_rig_make(16, 6, 8);
    assert_true(table_rig_give(rig, 4));
    assert_int_equal(table_rig_put(rig, 4).index, 0);
    return rig;
}

/* Whether replay takes the rig's records and this one. */
static bool accepts(const struct table_rig *rig, const struct mkv_record *record) {
    struct mkv_slot_table *loaded = table_rig_empty(&rig->geometry);
    struct table_rig *longer = malloc(sizeof *longer);
    assert_non_null(longer);
    memcpy(longer, rig, sizeof *longer);
    longer->records[longer->record_count++] = *record;
    const bool accepted = table_rig_replay(longer, loaded, 0);
    if (accepted) {
        mkv_slot_table_check(loaded);
    }
    free(longer);
    free(loaded);
    return accepted;
}

static bool accepts_extent(const struct table_rig *rig, struct mkv_record_extent extent) {
    struct mkv_record record = {.kind = MKV_RECORD_EXTENT};
    record.extent = extent;
    return accepts(rig, &record);
}

static void test_slot_table_recover__extent_that_contradicts__is_refused(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_block();
    const struct mkv_record_extent good = {
        .extent = {2}, .span = 2, .slot_units = 5, .page_first = 2, .page_count = 1};
    assert_true(accepts_extent(rig, good));
    struct mkv_record_extent bad = good;
    bad.extent.index = 0; /* has a class */
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.extent.index = 5; /* its second extent is behind the last */
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.span = 0;
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.span = MKV_EXTENT_SPAN_MAX + 1;
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.slot_units = 33; /* two extents have 32 */
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.page_first = 0; /* taken */
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.page_first = 8;
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.page_count = 0;
    assert_false(accepts_extent(rig, bad));
    bad = good;
    bad.released_page_count = 1; /* takes and gives back at once */
    assert_false(accepts_extent(rig, bad));
    table_rig_free(rig);
}

static void test_slot_table_recover__groups_that_overlap__are_refused(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_block();
    struct mkv_record_extent group = {
        .extent = {2}, .span = 3, .slot_units = 5, .page_first = 2, .page_count = 1};
    rig->records[rig->record_count].kind = MKV_RECORD_EXTENT;
    rig->records[rig->record_count++].extent = group;
    for (uint32_t extent = 0; extent < 6; extent++) {
        for (uint32_t span = 1; span <= 6 - extent; span++) {
            const struct mkv_record_extent other = {.extent = {extent},
                                                    .span = span,
                                                    .slot_units = 7,
                                                    .page_first = 4,
                                                    .page_count = 1};
            const bool apart = extent >= 5 || (extent == 1 && span == 1);
            assert_int_equal(accepts_extent(rig, other), apart);
        }
    }
    table_rig_free(rig);
}

static void test_slot_table_recover__give_back_that_contradicts__is_refused(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_block();
    const struct mkv_record_extent back = {.span = 1, .released_page_count = 1};
    assert_false(accepts_extent(rig, back)); /* its block was not dropped */
    table_rig_drop(rig, (struct mkv_slot){0}, false);
    assert_true(accepts_extent(rig, back));
    struct mkv_record_extent bad = back;
    bad.span = 2; /* it has 1 */
    assert_false(accepts_extent(rig, bad));
    bad = back;
    bad.extent.index = 1; /* the page is another's */
    assert_false(accepts_extent(rig, bad));
    bad = back;
    bad.released_page_first = 1; /* of no extent */
    assert_false(accepts_extent(rig, bad));
    bad = back;
    bad.released_page_count = 0;
    assert_false(accepts_extent(rig, bad));
    bad = back;
    bad.page_count = 1;
    assert_false(accepts_extent(rig, bad));
    table_rig_retire(rig, (struct mkv_slot){3});
    assert_false(accepts_extent(rig, back)); /* a retired slot keeps the class */
    table_rig_free(rig);
}

static void test_slot_table_recover__slot_record_that_contradicts__is_refused(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_block();
    struct mkv_record retire = {.kind = MKV_RECORD_RETIRE};
    retire.retire.slot.index = 1;
    assert_true(accepts(rig, &retire));
    retire.retire.slot.index = 0; /* live */
    assert_false(accepts(rig, &retire));
    retire.retire.slot.index = 4; /* behind the extent's end */
    assert_false(accepts(rig, &retire));
    retire.retire.slot.index = MKV_PAGE_SLOTS; /* of no extent */
    assert_false(accepts(rig, &retire));
    retire.retire.slot.index = MKV_NONE_U32;
    assert_false(accepts(rig, &retire));

    struct mkv_record put = rig->records[rig->record_count - 1];
    assert_int_equal(put.kind, MKV_RECORD_PUT);
    assert_false(accepts(rig, &put)); /* twice */
    put.put.slot.index = 1;
    assert_true(accepts(rig, &put));
    put.put.length = 4 * MKV_UNIT_BYTES; /* longer than its class */
    assert_false(accepts(rig, &put));

    struct mkv_record drop = {.kind = MKV_RECORD_DROP};
    drop.drop.generation.value = 1;
    assert_true(accepts(rig, &drop));
    drop.drop.generation.value = 2;
    assert_false(accepts(rig, &drop));
    table_rig_drop(rig, (struct mkv_slot){0}, true);
    put.put = rig->records[1].put;
    assert_false(accepts(rig, &put)); /* into a retired slot */
    table_rig_free(rig);
}

static void test_slot_table_recover__page_that_contradicts__is_refused(void **state) {
    (void)state;
    struct table_rig *rig = rig_of_one_block();
    const struct mkv_uuid uuid = {{3}};
    struct mkv_slot_table *loaded = table_rig_empty(&rig->geometry);
    uint8_t unit[MKV_UNIT_BYTES];
    struct mkv_checkpoint_page head;
    mkv_slot_table_capture_page(rig->table, 0, &uuid, 1, (struct mkv_sequence){2}, unit);
    assert_int_equal(mkv_checkpoint_page_decode(unit, &head), MKV_OK);
    assert_int_equal(head.span, 1);
    struct mkv_checkpoint_page bad = head;
    bad.span = 0;
    assert_false(mkv_slot_table_load_page(loaded, &bad, unit));
    bad = head;
    bad.extent.index = 5;
    bad.span = 2;
    assert_false(mkv_slot_table_load_page(loaded, &bad, unit));
    bad = head;
    bad.slot_units = 17;
    assert_false(mkv_slot_table_load_page(loaded, &bad, unit));
    bad = head;
    bad.slot_units = 3; /* its block is longer */
    assert_false(mkv_slot_table_load_page(loaded, &bad, unit));
    bad = head;
    bad.page = 8;
    assert_false(mkv_slot_table_load_page(loaded, &bad, unit));
    assert_true(mkv_slot_table_load_page(loaded, &head, unit));
    free(loaded);
    table_rig_free(rig);
}

static void test_slot_table_recover__pages_of_one_group_that_differ__are_refused(void **state) {
    (void)state;
    struct table_rig *rig = table_rig_make(512, 4, 8);
    struct mkv_record_extent record;
    assert_true(table_rig_change(rig, 1, &record));
    assert_int_equal(record.page_count, 1); /* an eighth of the pages */
    for (uint32_t wrong = 0; wrong < 4; wrong++) {
        struct mkv_slot_table *loaded = table_rig_empty(&rig->geometry);
        for (uint32_t page = 0; page < 2; page++) {
            const struct mkv_uuid uuid = {{3}};
            struct mkv_checkpoint_page head = {.drive_uuid = uuid,
                                               .page = page,
                                               .slot_units = 1 + (wrong == 1 ? page : 0),
                                               .span = 1 + (wrong == 2 ? page : 0),
                                               .page_in_extent = wrong == 3 ? 2 * page : page};
            head.page_in_extent = head.page_in_extent > page ? 0 : head.page_in_extent;
            uint8_t unit[MKV_UNIT_BYTES];
            mkv_checkpoint_page_begin(&head, unit);
            assert_true(mkv_slot_table_load_page(loaded, &head, unit));
        }
        uint32_t cursor = 0;
        bool consistent = false;
        assert_true(mkv_slot_table_derive(loaded, &cursor, 8, &consistent));
        assert_int_equal(consistent, wrong == 0);
        free(loaded);
    }
    table_rig_free(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_table_recover__fuzzy_pages_and_journal__give_the_live_table),
        cmocka_unit_test(test_slot_table_recover__extent_that_contradicts__is_refused),
        cmocka_unit_test(test_slot_table_recover__groups_that_overlap__are_refused),
        cmocka_unit_test(test_slot_table_recover__give_back_that_contradicts__is_refused),
        cmocka_unit_test(test_slot_table_recover__slot_record_that_contradicts__is_refused),
        cmocka_unit_test(test_slot_table_recover__page_that_contradicts__is_refused),
        cmocka_unit_test(test_slot_table_recover__pages_of_one_group_that_differ__are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
