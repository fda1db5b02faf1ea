/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/drives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/health.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

static int set_up(void **state) {
    struct mkv_admin_snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert_non_null(snapshot);
    fake_snapshot(snapshot);
    *state = snapshot;
    return 0;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static json_t *drive_of(const struct mkv_admin_snapshot *snapshot, const char *name) {
    struct mkv_admin_reply reply = mkv_admin_drive(snapshot, name);
    assert_int_equal(reply.status, 200);
    json_t *drive = json_loadb(reply.body, reply.body_bytes, 0, NULL);
    assert_non_null(drive);
    free(reply.body);
    return drive;
}

static const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

static int64_t count_of(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

static void fail_d01(struct mkv_admin_snapshot *snapshot) {
    snapshot->drives[1].state = MKV_DRIVE_STATE_FAILED;
    snapshot->drives[1].failure = MKV_DRIVE_FAILURE_READ_ONLY;
    snapshot->drives[1].state_since_ms = 1767233687000;
    snapshot->drives[1].last_error = (struct mkv_admin_drive_error){
        .wall_ms = 1767233687000,
        .op = MKV_ADMIN_IO_WRITE,
        .result = MKV_IO_READ_ONLY,
        .error_number = EROFS,
    };
}

static void test_drive__failed__class_and_last_error_with_errno(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    fail_d01(snapshot);
    json_t *drive = drive_of(snapshot, "d01");
    assert_string_equal(text_of(drive, "state"), "failed");
    assert_string_equal(text_of(drive, "state_since"), "2026-01-01T02:14:47Z");
    assert_string_equal(text_of(drive, "failure"), "read_only");
    assert_string_equal(text_of(drive, "failure_text"), "it takes no writes");
    const json_t *error = json_object_get(drive, "last_error");
    assert_string_equal(text_of(error, "operation"), "write");
    assert_string_equal(text_of(error, "result"), "read_only");
    assert_string_equal(text_of(error, "name"), "EROFS");
    assert_int_equal(count_of(error, "errno"), EROFS);
    assert_string_equal(text_of(error, "time"), "2026-01-01T02:14:47Z");
    json_decref(drive);
}

static void test_drive__serves__latencies_beside_its_siblings_and_queue(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    struct mkv_admin_drive_recent *recent = &snapshot->drives[0].recent;
    recent->p50_ns[MKV_ADMIN_IO_READ] = 1000000;
    recent->p99_ns[MKV_ADMIN_IO_READ] = 2995000;
    recent->siblings_p99_ns[MKV_ADMIN_IO_READ] = 800000;
    json_t *drive = drive_of(snapshot, "d00");
    const json_t *latency = json_object_get(drive, "latency");
    const json_t *read = json_object_get(latency, "read");
    assert_int_equal(count_of(read, "p50_us"), 1000);
    assert_int_equal(count_of(read, "p99_us"), 2995);
    assert_int_equal(count_of(read, "siblings_p99_us"), 800);
    assert_true(json_is_null(json_object_get(json_object_get(latency, "trim"), "p99_us")));
    assert_true(json_is_null(json_object_get(drive, "failure")));
    assert_true(json_is_null(json_object_get(drive, "last_error")));
    uint64_t in_flight = 0;
    for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
        in_flight += snapshot->drives[0].io[op].in_flight;
    }
    assert_int_equal(count_of(drive, "queue_depth"), in_flight);
    json_decref(drive);
}

static void test_drive__warning_is_its_own__says_what_to_do(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    snapshot->warning_count = 2;
    snapshot->warnings[0] = (struct mkv_admin_warning){.drive = "d01", .action = "of another"};
    snapshot->warnings[1] = (struct mkv_admin_warning){.drive = "d00", .action = "look at it"};
    json_t *drive = drive_of(snapshot, "d00");
    const json_t *next = json_object_get(drive, "next");
    assert_int_equal(json_array_size(next), 1);
    assert_string_equal(json_string_value(json_array_get(next, 0)), "look at it");
    json_decref(drive);
    snapshot->warning_count = 0;
    drive = drive_of(snapshot, "d00");
    assert_int_equal(json_array_size(json_object_get(drive, "next")), 0);
    json_decref(drive);
}

static void test_drive__health__its_figures_or_why_there_are_none(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    struct mkv_admin_smart *smart = &snapshot->drives[0].smart;
    *smart = (struct mkv_admin_smart){.why = "it is a file", .read_ms = 1000};
    json_t *drive = drive_of(snapshot, "d00");
    const json_t *object = json_object_get(drive, "smart");
    assert_true(json_is_false(json_object_get(object, "available")));
    assert_string_equal(text_of(object, "why"), "it is a file");
    assert_null(json_object_get(object, "used_percent"));
    struct mkv_text text = {0};
    mkv_drive_text(drive, &text);
    assert_non_null(strstr(text.bytes, "health      not available: it is a file\n"));
    mkv_text_free(&text);
    json_decref(drive);
    *smart = (struct mkv_admin_smart){
        .available = true,
        .warning = "spare blocks are low",
        .read_ms = 1000,
        .temperature_celsius = -3,
        .used_percent = 104,
        .spare_percent = 7,
        .spare_threshold_percent = 10,
        .written_bytes = 3ull << 40,
        .power_on_hours = 12,
        .media_errors = 2,
    };
    drive = drive_of(snapshot, "d00");
    object = json_object_get(drive, "smart");
    assert_int_equal(count_of(object, "used_percent"), 104);
    assert_int_equal(count_of(object, "temperature_celsius"), -3);
    assert_true(count_of(object, "written_bytes") == 3ll << 40);
    assert_string_equal(text_of(object, "warning"), "spare blocks are low");
    text = (struct mkv_text){0};
    mkv_drive_text(drive, &text);
    assert_non_null(strstr(text.bytes, "health      spare blocks are low, 104 % of its life used, "
                                       "spare 7 % (least 10 %), -3 degrees Celsius, at 1970-"));
    assert_non_null(strstr(text.bytes, "12 h on, 2 media errors, 0 unsafe shutdowns\n"));
    mkv_text_free(&text);
    json_decref(drive);
}

static void test_drive__is_drained__how_it_ends_and_not_that_it_ends_by_itself(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    snapshot->warning_count = 0;
    snapshot->drives[0].state = MKV_DRIVE_STATE_DRAINING;
    assert_true(mkv_admin_drive_drains(&snapshot->drives[0]));
    json_t *drive = drive_of(snapshot, "d00");
    assert_string_equal(text_of(drive, "state"), "draining");
    const char *next = json_string_value(json_array_get(json_object_get(drive, "next"), 0));
    assert_non_null(strstr(next, "memkv admin drive online"));
    json_decref(drive);
    snapshot->drives[0].volume.state = MKV_VOLUME_CLOSING; /* on its way out */
    assert_false(mkv_admin_drive_drains(&snapshot->drives[0]));
    drive = drive_of(snapshot, "d00");
    next = json_string_value(json_array_get(json_object_get(drive, "next"), 0));
    assert_non_null(strstr(next, "wait"));
    json_decref(drive);
}

static void test_drive__is_not_there__404_and_where_the_names_are(void **state) {
    struct mkv_admin_reply reply = mkv_admin_drive(*state, "d9\n");
    assert_int_equal(reply.status, 404);
    assert_non_null(strstr(reply.body, "there is no drive 'd9?'"));
    free(reply.body);
}

static void test_drives__lists_all_of_them(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    struct mkv_admin_reply reply = mkv_admin_drives(snapshot);
    json_t *answer = json_loadb(reply.body, reply.body_bytes, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(answer, "drives")), snapshot->drive_count);
    assert_int_equal(count_of(answer, "drive_set_version"), snapshot->drive_set_version);
    json_decref(answer);
    free(reply.body);
}

static void test_drive_text__failed__what_a_person_needs(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    fail_d01(snapshot);
    json_t *drive = drive_of(snapshot, "d01");
    struct mkv_text out = {0};
    mkv_drive_text(drive, &out);
    assert_false(out.failed);
    assert_non_null(strstr(out.bytes, "state       failed since 2026-01-01T02:14:47Z\n"));
    assert_non_null(strstr(out.bytes, "failure     read_only: it takes no writes\n"));
    assert_non_null(strstr(out.bytes, "last error  write: EROFS (errno 30, Read-only file system) "
                                      "at 2026-01-01T02:14:47Z\n"));
    assert_non_null(strstr(out.bytes, "SIBLINGS P99"));
    assert_non_null(strstr(out.bytes, "to do "));
    mkv_text_free(&out);
    json_decref(drive);
}

/* Another machine's answer may be anything. */
static void test_drive_text__answer_lacks_all__dashes(void **state) {
    (void)state;
    json_t *nothing = json_object();
    struct mkv_text out = {0};
    mkv_drive_text(nothing, &out);
    assert_non_null(strstr(out.bytes, "drive       -  -\n"));
    assert_non_null(strstr(out.bytes, "to do       nothing\n"));
    mkv_text_free(&out);
    json_decref(nothing);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_drive__failed__class_and_last_error_with_errno),
        FIXTURE_TEST(test_drive__serves__latencies_beside_its_siblings_and_queue),
        FIXTURE_TEST(test_drive__warning_is_its_own__says_what_to_do),
        FIXTURE_TEST(test_drive__health__its_figures_or_why_there_are_none),
        FIXTURE_TEST(test_drive__is_drained__how_it_ends_and_not_that_it_ends_by_itself),
        FIXTURE_TEST(test_drive__is_not_there__404_and_where_the_names_are),
        FIXTURE_TEST(test_drives__lists_all_of_them),
        FIXTURE_TEST(test_drive_text__failed__what_a_person_needs),
        cmocka_unit_test(test_drive_text__answer_lacks_all__dashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
