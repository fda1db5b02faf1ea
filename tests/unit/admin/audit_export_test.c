/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of an audit's records, and what becomes of lines that are none. */
#include "admin/audit_export.h"

#include "admin/audit_file.h"
#include "tests/unit/admin/audit_rig.h"
#include "tests/unit/admin/test.h"

#define NOW_MS 1763715600000ull
#define GARBAGE "no record\n"

/* Appends records as long as they may be, and behind them a line that is none. */
static void append(const struct rig *rig, uint32_t count) {
    const struct mkv_audit_file_options options = {
        .path = rig->path, .node = "n", .bytes_max = 64 * MKV_MIB, .files_max = 4};
    struct mkv_audit_file *file = NULL;
    char error[MKV_AUDIT_ERROR_BYTES] = "";
    const bool opened = mkv_audit_file_open(&options, NOW_MS, &file, error);
    assert_string_equal(error, "");
    assert_true(opened);
    struct mkv_audit_entry entry = {.operation = MKV_AUDIT_TENANT_DROP, .count = 1};
    memset(entry.reason, 'r', sizeof entry.reason - 1);
    for (uint32_t index = 0; index < count; index++) {
        assert_true(mkv_audit_file_append(file, &entry, NOW_MS, error));
    }
    mkv_audit_file_close(file);
    FILE *again = fopen(rig->path, "a");
    assert_non_null(again);
    assert_true(fputs(GARBAGE, again) >= 0);
    assert_int_equal(fclose(again), 0);
}

static struct mkv_audit_page export_from(const struct rig *rig, uint64_t from) {
    const struct mkv_audit_export_options options = {
        .path = rig->path, .end_ms = UINT64_MAX, .from = from, .sequence_end = UINT64_MAX};
    struct mkv_audit_page page;
    char error[MKV_AUDIT_ERROR_BYTES] = "";
    const bool exported = mkv_audit_export(&options, &page, error);
    assert_string_equal(error, "");
    assert_true(exported);
    return page;
}

/* All pages: each record once and in order, and each line that is none once. */
static void test_audit_export__lines_that_are_no_records__each_in_one_page(void **state) {
    const struct rig *rig = *state;
    append(rig, 10);
    append(rig, 4000);
    uint64_t from = 0;
    uint64_t next = 0;
    uint32_t unreadable = 0;
    uint32_t pages = 0;
    bool complete = false;
    while (!complete) {
        struct mkv_audit_page page = export_from(rig, from);
        for (size_t index = 0; index < json_array_size(page.records); index++) {
            const json_t *record = json_array_get(page.records, index);
            if (json_object_get(record, "fault") != NULL) {
                unreadable++;
                continue;
            }
            assert_int_equal(json_integer_value(json_object_get(record, "sequence")), next);
            next++;
        }
        assert_true(page.complete || page.next_sequence > from);
        from = page.next_sequence;
        complete = page.complete;
        pages++;
        json_decref(page.records);
    }
    assert_int_equal(unreadable, 2);
    assert_true(next > 4010); /* the operations, and what a file says of itself */
    assert_true(pages > 1);
}

static void expect_row(json_t *record, const char *row) {
    struct mkv_text text = {0};
    mkv_audit_csv_row(record, &text);
    assert_false(text.failed);
    assert_string_equal(text.bytes, row);
    mkv_text_free(&text);
    json_decref(record);
}

static void test_audit_csv_row__texts__no_formula_and_one_field_each(void **state) {
    (void)state;
    const char *const beginnings[] = {"=", "+", "-", "@"};
    for (size_t index = 0; index < sizeof beginnings / sizeof beginnings[0]; index++) {
        char name[32];
        char row[64];
        snprintf(name, sizeof name, "%scmd|' /C x'!A0", beginnings[index]);
        snprintf(row, sizeof row, "7,,,,,,,,\"'%s\",,,,,,,,\r\n", name);
        expect_row(json_pack("{s:i, s:s}", "sequence", 7, "client", name), row);
    }
    expect_row(json_pack("{s:i, s:s, s:s}", "sequence", 7, "client", "a=1,\"b\"", "reason", ""),
               "7,,,,,,,,\"a=1,\"\"b\"\"\",,,\"\",,,,,\r\n");
}

static void test_audit_csv_row__no_record__file_and_line(void **state) {
    (void)state;
    expect_row(json_pack("{s:s, s:i, s:s}", "file", "audit.log", "line", 3, "fault", "cut"),
               ",,,,,,,,,,,,,,\"cut\",\"audit.log\",3\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_audit_export__lines_that_are_no_records__each_in_one_page, audit_rig_set_up,
            audit_rig_tear_down),
        cmocka_unit_test(test_audit_csv_row__texts__no_formula_and_one_field_each),
        cmocka_unit_test(test_audit_csv_row__no_record__file_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
