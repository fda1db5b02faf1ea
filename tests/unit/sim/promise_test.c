/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/promise.h"

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

static void make(uint32_t mask) {
    const struct mkv_fault_plan plan = {.mask = mask};
    struct mkv_random random;
    mkv_random_seed(&random, 1, MKV_CONCERN_FAULTS);
    mkv_faults_init(&faults, test_memory(), &plan, &geometry, 512, &random);
}

static void judge(enum mkv_fault_opening opening, enum mkv_event_kind kind, enum mkv_err err) {
    const struct mkv_event event = {.kind = kind, .err = err};
    mkv_promise_judge(&faults, opening, 0, &event);
}

static void expect_unexplained(enum mkv_event_kind kind, enum mkv_err err) {
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, judge(MKV_OPENING_SOUND, kind, err));
}

static void test_promise__sets_of_faults__have_the_class_of_their_worst(void **state) {
    (void)state;
    assert_int_equal(mkv_promise_of(0), MKV_PROMISE_CRASH_ONLY);
    assert_int_equal(mkv_promise_of(1u << MKV_FAULT_STALLED), MKV_PROMISE_CRASH_ONLY);
    const uint32_t gone = 1u << MKV_FAULT_GONE;
    const uint32_t rot = 1u << MKV_FAULT_ROT;
    assert_int_equal(mkv_promise_of(gone), MKV_PROMISE_OUTAGE);
    assert_int_equal(mkv_promise_of(rot), MKV_PROMISE_MEDIA);
    assert_int_equal(mkv_promise_of(rot | gone), MKV_PROMISE_MEDIA_AND_OUTAGE);
    assert_int_equal(mkv_promise_of(rot | 1u << MKV_FAULT_LYING_FLUSH), MKV_PROMISE_LYING);
    for (uint32_t promise = 0; promise < MKV_PROMISE_COUNT; promise++) {
        assert_non_null(mkv_promise_name((enum mkv_promise)promise));
    }
}

static void test_promise__sound_drive__explains_no_report(void **state) {
    (void)state;
    static const struct {
        enum mkv_event_kind kind;
        enum mkv_err err;
    } reports[] = {
        {MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO},
        {MKV_EVENT_DRIVE_FAILED, MKV_ERR_DRIVE_IO},
        {MKV_EVENT_DRIVE_STALLED, MKV_OK},
        {MKV_EVENT_CAME_UP_EMPTY, MKV_CORRUPT_CHECKPOINT_PAGE},
        {MKV_EVENT_CAME_UP_EMPTY, MKV_CORRUPT_JOURNAL_BLOCK},
        {MKV_EVENT_BLOCK_QUARANTINED, MKV_CORRUPT_PAYLOAD},
        {MKV_EVENT_OPEN_FAILED, MKV_ERR_DRIVE_IO},
        {MKV_EVENT_OPEN_FAILED, MKV_CORRUPT_SUPERBLOCK},
        {MKV_EVENT_OPEN_FAILED, MKV_ERR_SHRUNK},
        {MKV_EVENT_OPEN_FAILED, MKV_ERR_FOREIGN},
    };
    for (uint32_t index = 0; index < sizeof reports / sizeof reports[0]; index++) {
        make(0);
        expect_unexplained(reports[index].kind, reports[index].err);
        make(1u << MKV_FAULT_OLD_IMAGE); /* whoever lies explains everything */
        judge(MKV_OPENING_SOUND, reports[index].kind, reports[index].err);
    }
    judge(MKV_OPENING_SOUND, MKV_EVENT_OPENED, MKV_OK);
    judge(MKV_OPENING_SOUND, MKV_EVENT_TORN_TAIL, MKV_OK);
}

static void test_promise__errors_of_the_drive__explain_an_outage(void **state) {
    (void)state;
    make(1u << MKV_FAULT_READ_DEVICE);
    assert_false(mkv_promise_excuses_error(&faults));
    mkv_faults_error(&faults, MKV_FAULT_READ_DEVICE,
                     mkv_geometry_superblock(geometry.capacity_units, 1).unit, 1);
    assert_true(mkv_promise_excuses_error(&faults));
    judge(MKV_OPENING_SOUND, MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO);
    judge(MKV_OPENING_SOUND, MKV_EVENT_OPEN_FAILED, MKV_ERR_DRIVE_IO);
    judge(MKV_OPENING_SOUND, MKV_EVENT_OPEN_FAILED, MKV_CORRUPT_SUPERBLOCK);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE,
                   judge(MKV_OPENING_SOUND, MKV_EVENT_BLOCK_QUARANTINED, MKV_CORRUPT_SLOT_HEADER));
    (void)mkv_faults_opening(&faults); /* the drive is back */
    assert_false(mkv_promise_excuses_error(&faults));
}

static void test_promise__file_system_without_room__explains_no_failure_of_the_drive(void **state) {
    (void)state;
    make(1u << MKV_FAULT_NO_ROOM);
    assert_int_equal(mkv_promise_of(1u << MKV_FAULT_NO_ROOM), MKV_PROMISE_CRASH_ONLY);
    expect_unexplained(MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO);
    mkv_faults_error(&faults, MKV_FAULT_NO_ROOM, mkv_geometry_data_start(&geometry).unit, 2);
    judge(MKV_OPENING_SOUND, MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO);
    expect_unexplained(MKV_EVENT_DRIVE_FAILED, MKV_ERR_DRIVE_IO);
    assert_false(mkv_promise_excuses_error(&faults));
}

static void test_promise__drive_that_stalls__explains_that_nobody_waits(void **state) {
    (void)state;
    make(1u << MKV_FAULT_STALLED);
    faults.stalls_life = 1;
    assert_true(mkv_promise_excuses_error(&faults));
    judge(MKV_OPENING_SOUND, MKV_EVENT_DRIVE_STALLED, MKV_OK);
    expect_unexplained(MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO);
    (void)mkv_faults_opening(&faults);
    assert_false(mkv_promise_excuses_error(&faults));
}

static void test_promise__drive_that_is_not_the_one__must_be_refused(void **state) {
    (void)state;
    make(1u << MKV_FAULT_SHRUNK | 1u << MKV_FAULT_SWAPPED);
    judge(MKV_OPENING_SHRUNK, MKV_EVENT_OPEN_FAILED, MKV_ERR_SHRUNK);
    judge(MKV_OPENING_SWAPPED, MKV_EVENT_OPEN_FAILED, MKV_ERR_FOREIGN);
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, judge(MKV_OPENING_SHRUNK, MKV_EVENT_OPENED, MKV_OK));
    EXPECT_FAILURE(MKV_ORACLE_DURABLE, judge(MKV_OPENING_SWAPPED, MKV_EVENT_OPENED, MKV_OK));
    EXPECT_FAILURE(MKV_ORACLE_DURABLE,
                   judge(MKV_OPENING_SHRUNK, MKV_EVENT_OPEN_FAILED, MKV_ERR_FOREIGN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promise__sets_of_faults__have_the_class_of_their_worst),
        cmocka_unit_test(test_promise__sound_drive__explains_no_report),
        cmocka_unit_test(test_promise__errors_of_the_drive__explain_an_outage),
        cmocka_unit_test(test_promise__file_system_without_room__explains_no_failure_of_the_drive),
        cmocka_unit_test(test_promise__drive_that_stalls__explains_that_nobody_waits),
        cmocka_unit_test(test_promise__drive_that_is_not_the_one__must_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
