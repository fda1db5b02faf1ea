/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/faults.h"

#include "tests/unit/sim/test.h"

static const struct mkv_geometry geometry = {
    .capacity_units = 16 + 16 + 2 * (1 + 1 + 4) + 16 + 32 + 9,
    .ring_blocks = 8,
    .page_count = 4,
    .extent_units = 8,
    .extent_count = 4,
    .tenant_units = 1,
    .directory_units = 16,
};

static struct mkv_faults faults;
static uint32_t struck_count;
static uint64_t struck_unit;

static void on_struck(void *context, enum mkv_fault fault, uint64_t unit, uint32_t count) {
    (void)context;
    (void)fault;
    (void)count;
    struck_count++;
    struck_unit = unit;
}

static void make(uint64_t mask, uint32_t one_in) {
    struct mkv_fault_plan plan = {.mask = mask};
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        plan.one_in[fault] = one_in;
    }
    struct mkv_random random;
    mkv_random_seed(&random, 1, MKV_CONCERN_FAULTS);
    mkv_faults_init(&faults, test_memory(), &plan, &geometry, 512, &random);
    faults.on_struck = on_struck;
    struck_count = 0;
}

static void test_faults__names__are_read_and_told_apart(void **state) {
    (void)state;
    char unknown[MKV_FAULT_NAME_BYTES];
    uint64_t mask = 0;
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        const struct mkv_fault_info *info = mkv_fault_info((enum mkv_fault)fault);
        assert_true(strlen(info->name) < MKV_FAULT_NAME_BYTES);
        assert_true(strlen(info->description) > 10);
        assert_true(mkv_faults_parse(info->name, &mask, unknown));
        assert_true(mask == 1ull << fault);
    }
    assert_true(mkv_faults_parse("rot,rot-pair,gone", &mask, unknown));
    assert_int_equal(mask, 1u << MKV_FAULT_ROT | 1u << MKV_FAULT_ROT_PAIR | 1u << MKV_FAULT_GONE);
    assert_true(mkv_faults_parse("none", &mask, unknown));
    assert_int_equal(mask, 0);
    assert_true(mkv_faults_parse("all", &mask, unknown));
    assert_true(mask == (1ull << MKV_FAULT_COUNT) - 1);
}

static void test_faults__name_of_none__is_handed_back(void **state) {
    (void)state;
    static const char *const texts[] = {"", "rots", "rot,", ",rot", "rot,none", "ro", "Rot"};
    static const char *const parts[] = {"", "rots", "", "", "none", "ro", "Rot"};
    for (uint32_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        char unknown[MKV_FAULT_NAME_BYTES];
        uint64_t mask = 0;
        assert_false(mkv_faults_parse(texts[index], &mask, unknown));
        assert_string_equal(unknown, parts[index]);
    }
}

static void test_faults__drawn_plans__have_each_fault_and_are_often_without(void **state) {
    (void)state;
    uint32_t plain = 0;
    uint32_t counts[MKV_FAULT_COUNT] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct mkv_fault_plan plan;
        struct mkv_random random;
        mkv_random_seed(&random, seed, MKV_CONCERN_SHAPE);
        mkv_fault_plan_draw(&plan, &random);
        plain += mkv_faults_relax(plan.mask) == MKV_RELAX_NOTHING;
        for (uint32_t fault = 0; fault < MKV_FAULT_DRIVE_COUNT; fault++) {
            counts[fault] += plan.mask >> fault & 1u;
            assert_true(plan.one_in[fault] >= mkv_fault_info((enum mkv_fault)fault)->one_in);
        }
    }
    assert_true(plain > 900 && plain < 1300);
    for (uint32_t fault = 0; fault < MKV_FAULT_DRIVE_COUNT; fault++) {
        assert_true(counts[fault] > 10 && counts[fault] < 1900);
    }
}

static void test_faults__drawn_plans_of_lanes__have_each_fault_of_the_fabric_alone(void **state) {
    (void)state;
    uint32_t sound = 0;
    uint32_t counts[MKV_FAULT_COUNT] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct mkv_fault_plan plan;
        struct mkv_random random;
        mkv_random_seed(&random, seed, MKV_CONCERN_SHAPE);
        mkv_fault_plan_draw_lanes(&plan, &random);
        sound += plan.mask == 0;
        assert_true(mkv_faults_relax(plan.mask) == MKV_RELAX_NOTHING);
        for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
            counts[fault] += plan.mask >> fault & 1u;
        }
    }
    assert_true(sound > 100 && sound < 500);
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        assert_true(fault < MKV_FAULT_DRIVE_COUNT ? counts[fault] == 0 : counts[fault] > 100);
    }
}

static void test_faults__metadata__is_reached_in_the_weak_copies_alone(void **state) {
    (void)state;
    make(1u << MKV_FAULT_LOST_WRITE, 1);
    uint32_t superblocks = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const uint64_t unit = mkv_geometry_superblock(geometry.capacity_units, copy).unit;
        superblocks += mkv_faults_reaches(&faults, unit, 1);
    }
    assert_int_equal(superblocks, 1);
    const uint64_t rings[] = {mkv_geometry_journal(&geometry, 0, 0).unit,
                              mkv_geometry_journal(&geometry, 1, 0).unit};
    assert_true(mkv_faults_reaches(&faults, rings[faults.weak_journal], geometry.ring_blocks));
    assert_false(mkv_faults_reaches(&faults, rings[1 - faults.weak_journal], 1));
    assert_false(mkv_faults_reaches(&faults, rings[0], 2 * geometry.ring_blocks));
    const uint64_t page = mkv_geometry_checkpoint(&geometry, 1).unit + 1;
    assert_false(mkv_faults_reaches(&faults, page, 1));
    faults.plan.checkpoints = true;
    assert_true(mkv_faults_reaches(&faults, page, 1));
    assert_true(mkv_faults_reaches(&faults, mkv_geometry_data_start(&geometry).unit, 32));
    assert_false(mkv_faults_reaches(&faults, geometry.capacity_units - 1, 2));
}

static void test_faults__superblock_that_tears_within_a_sector__is_struck_when_quiet(void **state) {
    (void)state;
    make(1u << MKV_FAULT_ROT, 1);
    faults.tear_bytes = 64;
    const uint64_t unit =
        mkv_geometry_superblock(geometry.capacity_units, faults.weak_superblock).unit;
    assert_false(mkv_faults_reaches(&faults, unit, 1));
    faults.superblock_quiet = true;
    assert_true(mkv_faults_reaches(&faults, unit, 1));
}

static uint64_t decide_often(enum mkv_effect_kind kind, uint64_t unit, uint32_t count) {
    uint64_t seen = 0;
    for (uint32_t turn = 0; turn < 4000; turn++) {
        struct mkv_fault_act act;
        mkv_faults_decide(&faults, kind, unit, count, &act);
        seen |= 1ull << act.fault;
        assert_true(act.first + act.count <= count);
        if (act.fault == MKV_FAULT_MISDIRECTED_WRITE) {
            assert_true(mkv_faults_reaches(&faults, act.other, count));
            assert_true(act.other + count <= unit || unit + count <= act.other);
        }
        faults.gone = false;
        faults.read_only = false;
    }
    return seen;
}

static void test_faults__operations__are_struck_by_the_faults_of_their_kind(void **state) {
    (void)state;
    const uint64_t data = mkv_geometry_data_start(&geometry).unit;
    make(UINT64_MAX >> (64 - MKV_FAULT_COUNT), 8);
    const uint64_t any = 1ull << MKV_FAULT_NONE | 1u << MKV_FAULT_STALLED | 1u << MKV_FAULT_GONE;
    assert_true(decide_often(MKV_EFFECT_DRIVE_READ, data, 3) ==
                (any | 1u << MKV_FAULT_TIMEOUT | 1u << MKV_FAULT_READ_MEDIUM |
                 1u << MKV_FAULT_READ_DEVICE | 1u << MKV_FAULT_MISDIRECTED_READ |
                 1u << MKV_FAULT_STALE_READ));
    assert_true(decide_often(MKV_EFFECT_DRIVE_WRITE, data, 3) ==
                (any | 1u << MKV_FAULT_TIMEOUT | 1u << MKV_FAULT_WRITE_MEDIUM |
                 1u << MKV_FAULT_WRITE_DEVICE | 1u << MKV_FAULT_NO_ROOM |
                 1u << MKV_FAULT_SHORT_WRITE | 1u << MKV_FAULT_MISDIRECTED_WRITE |
                 1u << MKV_FAULT_LOST_WRITE | 1u << MKV_FAULT_READ_ONLY));
    assert_true(decide_often(MKV_EFFECT_DRIVE_FLUSH, 0, 0) ==
                (any | 1u << MKV_FAULT_TIMEOUT | 1u << MKV_FAULT_FLUSH_ERROR |
                 1u << MKV_FAULT_LYING_FLUSH));
    faults.calm = true;
    assert_true(decide_often(MKV_EFFECT_DRIVE_WRITE, data, 3) == 1ull << MKV_FAULT_NONE);
}

static void test_faults__no_room__strikes_no_metadata(void **state) {
    (void)state;
    make(1u << MKV_FAULT_NO_ROOM, 2);
    const uint64_t data = mkv_geometry_data_start(&geometry).unit;
    for (uint64_t unit = 0; unit < data; unit++) {
        assert_true(decide_often(MKV_EFFECT_DRIVE_WRITE, unit, 1) == 1ull << MKV_FAULT_NONE);
    }
    assert_true(decide_often(MKV_EFFECT_DRIVE_WRITE, data, 3) ==
                (1ull << MKV_FAULT_NONE | 1u << MKV_FAULT_NO_ROOM));
}

static void test_faults__drive_that_went__fails_everything_until_the_next_opening(void **state) {
    (void)state;
    make(1u << MKV_FAULT_GONE | 1u << MKV_FAULT_READ_ONLY, 1000000);
    struct mkv_fault_act act;
    faults.gone = true;
    mkv_faults_decide(&faults, MKV_EFFECT_DRIVE_FLUSH, 0, 0, &act);
    assert_int_equal(act.fault, MKV_FAULT_GONE);
    assert_int_equal(mkv_faults_opening(&faults), MKV_OPENING_SOUND);
    mkv_faults_decide(&faults, MKV_EFFECT_DRIVE_FLUSH, 0, 0, &act);
    assert_int_equal(act.fault, MKV_FAULT_NONE);
    faults.read_only = true;
    mkv_faults_decide(&faults, MKV_EFFECT_DRIVE_READ, 1, 1, &act);
    assert_int_equal(act.fault, MKV_FAULT_NONE);
    mkv_faults_decide(&faults, MKV_EFFECT_DRIVE_WRITE, 1, 1, &act);
    assert_int_equal(act.fault, MKV_FAULT_READ_ONLY);
}

static void test_faults__shrunk_drive__fails_what_lies_behind_its_end(void **state) {
    (void)state;
    make(1u << MKV_FAULT_SHRUNK, 1);
    assert_int_equal(mkv_faults_opening(&faults), MKV_OPENING_SHRUNK);
    assert_true(faults.end_unit < geometry.capacity_units);
    struct mkv_fault_act act;
    mkv_faults_decide(&faults, MKV_EFFECT_DRIVE_READ, faults.end_unit - 1, 1, &act);
    assert_int_equal(act.fault, MKV_FAULT_NONE);
    mkv_faults_decide(&faults, MKV_EFFECT_DRIVE_READ, faults.end_unit - 1, 2, &act);
    assert_int_equal(act.fault, MKV_FAULT_SHRUNK);
    faults.calm = true;
    assert_int_equal(mkv_faults_opening(&faults), MKV_OPENING_SOUND);
    assert_true(faults.end_unit == geometry.capacity_units);
}

static void test_faults__script__strikes_at_its_two_operations(void **state) {
    (void)state;
    make(1u << MKV_FAULT_READ_DEVICE, 1);
    faults.plan.scripted = true;
    faults.plan.first_at = 3;
    faults.plan.second_at = 2;
    uint32_t hits = 0;
    for (uint32_t turn = 1; turn <= 5; turn++) {
        const bool strikes = mkv_faults_strikes(&faults, MKV_FAULT_READ_DEVICE);
        assert_int_equal(strikes, turn == 3);
        hits += strikes;
    }
    (void)mkv_faults_opening(&faults);
    for (uint32_t turn = 1; turn <= 5; turn++) {
        assert_int_equal(mkv_faults_strikes(&faults, MKV_FAULT_READ_DEVICE), turn == 2);
    }
    assert_int_equal(hits, 1);
    (void)mkv_faults_opening(&faults);
    for (uint32_t turn = 1; turn <= 5; turn++) {
        assert_false(mkv_faults_strikes(&faults, MKV_FAULT_READ_DEVICE));
    }
}

static void test_faults__bytes_struck__are_told_and_explain_what_was_lost(void **state) {
    (void)state;
    make(1u << MKV_FAULT_STALE_READ | 1u << MKV_FAULT_ROT, 1);
    const uint64_t page = mkv_geometry_checkpoint(&geometry, 0).unit;
    assert_false(mkv_faults_explain_empty(&faults, MKV_CORRUPT_CHECKPOINT_PAGE));
    mkv_faults_hit_bytes(&faults, MKV_FAULT_STALE_READ, page, 1);
    assert_int_equal(struck_count, 1);
    assert_true(struck_unit == page);
    assert_int_equal(faults.hits[MKV_FAULT_STALE_READ], 1);
    assert_true(mkv_faults_explain_empty(&faults, MKV_CORRUPT_CHECKPOINT_PAGE));
    assert_false(mkv_faults_explain_empty(&faults, MKV_CORRUPT_JOURNAL_BLOCK));
    assert_false(mkv_faults_explain_empty(&faults, MKV_CORRUPT_JOURNAL_RECORD));
    (void)mkv_faults_opening(&faults); /* it was in that opening only */
    assert_false(mkv_faults_explain_empty(&faults, MKV_CORRUPT_CHECKPOINT_PAGE));
    mkv_faults_flag(&faults, page, 1, MKV_UNIT_DAMAGED);
    assert_true(mkv_faults_explain_empty(&faults, MKV_CORRUPT_CHECKPOINT_PAGE));
    /* One damaged copy of a journal block explains nothing, one that cannot be read does. */
    const uint64_t block = mkv_geometry_journal(&geometry, faults.weak_journal, 3).unit;
    mkv_faults_flag(&faults, block, 1, MKV_UNIT_DAMAGED);
    assert_false(mkv_faults_explain_empty(&faults, MKV_CORRUPT_JOURNAL_BLOCK));
    mkv_faults_flag(&faults, block, 1, MKV_UNIT_UNREADABLE);
    assert_true(mkv_faults_explain_empty(&faults, MKV_CORRUPT_JOURNAL_BLOCK));
    mkv_faults_unflag(&faults, block, 1);
    assert_false(mkv_faults_any_flag(&faults, block, 1, MKV_UNIT_DAMAGED | MKV_UNIT_UNREADABLE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__names__are_read_and_told_apart),
        cmocka_unit_test(test_faults__name_of_none__is_handed_back),
        cmocka_unit_test(test_faults__drawn_plans__have_each_fault_and_are_often_without),
        cmocka_unit_test(test_faults__drawn_plans_of_lanes__have_each_fault_of_the_fabric_alone),
        cmocka_unit_test(test_faults__metadata__is_reached_in_the_weak_copies_alone),
        cmocka_unit_test(test_faults__superblock_that_tears_within_a_sector__is_struck_when_quiet),
        cmocka_unit_test(test_faults__operations__are_struck_by_the_faults_of_their_kind),
        cmocka_unit_test(test_faults__no_room__strikes_no_metadata),
        cmocka_unit_test(test_faults__drive_that_went__fails_everything_until_the_next_opening),
        cmocka_unit_test(test_faults__shrunk_drive__fails_what_lies_behind_its_end),
        cmocka_unit_test(test_faults__script__strikes_at_its_two_operations),
        cmocka_unit_test(test_faults__bytes_struck__are_told_and_explain_what_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
