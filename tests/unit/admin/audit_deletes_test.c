/* SPDX-License-Identifier: Apache-2.0 */
/* Deletions of clients are summed up, and none is left out. */
#include "admin/audit_deletes.h"

#include <unistd.h>

#include "admin/audit_export.h"
#include "tests/unit/admin/test.h"

#define SECOND_NS 1000000000ull
#define TRIES_MAX 10000u

struct rig {
    char directory[64];
    char path[128];
    struct mkv_audit_deletes deletes;
};

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    snprintf(rig->directory, sizeof rig->directory, "/tmp/memkv-audit-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->path, sizeof rig->path, "%s/audit.log", rig->directory);
    const struct mkv_audit_options options = {
        .file = {.path = rig->path, .node = "n", .bytes_max = MKV_MIB, .files_max = 4}};
    char error[MKV_AUDIT_ERROR_BYTES];
    assert_true(mkv_audit_open(&options, &rig->deletes.audit, error));
    *state = rig;
    return 0;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", rig->directory);
    assert_int_equal(system(command), 0);
    free(rig);
    return 0;
}

/* Ends the audit and gives its records of deletions. */
static json_t *finish(struct rig *rig) {
    mkv_audit_deletes_finish(&rig->deletes);
    assert_int_equal(rig->deletes.used, 0);
    mkv_audit_close(rig->deletes.audit);
    const struct mkv_audit_export_options options = {
        .path = rig->path, .end_ms = UINT64_MAX, .from = 1, .sequence_end = UINT64_MAX};
    struct mkv_audit_page page;
    char error[MKV_AUDIT_ERROR_BYTES];
    assert_true(mkv_audit_export(&options, &page, error));
    assert_true(page.complete);
    return page.records;
}

static void note(struct rig *rig, uint32_t connection, const char *tenant, uint64_t keys,
                 uint64_t now_ns) {
    const struct mkv_audit_delete request = {
        .connection = {.index = connection, .generation = 1},
        .keys = keys,
        .tenant = tenant,
        .client = "vllm-3",
        .address = "10.0.0.1:4",
    };
    mkv_audit_deletes_note(&rig->deletes, &request, now_ns);
}

static int64_t count_of(const json_t *records, size_t index) {
    return json_integer_value(json_object_get(json_array_get(records, index), "count"));
}

static void test_audit_deletes__one_connection__one_record_a_time_and_tenant(void **state) {
    struct rig *rig = *state;
    for (uint32_t index = 0; index < 1000; index++) {
        note(rig, 1, "default", 2, index);
    }
    note(rig, 1, "batch", 5, 0);
    mkv_audit_deletes_flush(&rig->deletes, 9 * SECOND_NS);
    assert_int_equal(rig->deletes.used, 2);
    json_t *records = finish(rig);
    assert_int_equal(json_array_size(records), 2);
    assert_int_equal(count_of(records, 0), 2000);
    assert_int_equal(count_of(records, 1), 5);
    const json_t *first = json_array_get(records, 0);
    assert_string_equal(json_string_value(json_object_get(first, "operation")), "keys_delete");
    assert_string_equal(json_string_value(json_object_get(first, "tenant")), "default");
    assert_string_equal(json_string_value(json_object_get(first, "client")), "vllm-3");
    assert_string_equal(json_string_value(json_object_get(first, "address")), "10.0.0.1:4");
    json_decref(records);
}

static void test_audit_deletes__time_over_or_connection_ended__handed_over(void **state) {
    struct rig *rig = *state;
    note(rig, 1, "default", 1, 0);
    note(rig, 2, "default", 1, 5 * SECOND_NS);
    note(rig, 3, "default", 1, 5 * SECOND_NS);
    const struct mkv_connection_id ended = {.index = 3, .generation = 1};
    mkv_audit_deletes_ended(&rig->deletes, ended);
    for (uint32_t tries = 0; tries < TRIES_MAX && rig->deletes.used > 1; tries++) {
        mkv_audit_deletes_flush(&rig->deletes, 10 * SECOND_NS);
        usleep(100);
    }
    assert_int_equal(rig->deletes.used, 1);
    json_t *records = finish(rig);
    assert_int_equal(json_array_size(records), 3);
    json_decref(records);
}

static void test_audit_deletes__more_connections_than_places__others_keep_the_sum(void **state) {
    struct rig *rig = *state;
    const uint32_t connections = 3 * MKV_AUDIT_DELETERS_MAX;
    for (uint32_t index = 0; index < connections; index++) {
        note(rig, index, "default", 7, 0);
    }
    assert_int_equal(rig->deletes.used, MKV_AUDIT_DELETERS_MAX + 1);
    json_t *records = finish(rig);
    assert_int_equal(json_array_size(records), MKV_AUDIT_DELETERS_MAX + 1);
    int64_t sum = 0;
    for (size_t index = 0; index < json_array_size(records); index++) {
        sum += count_of(records, index);
    }
    assert_int_equal(sum, 7 * connections);
    const json_t *last = json_array_get(records, MKV_AUDIT_DELETERS_MAX);
    assert_string_equal(json_string_value(json_object_get(last, "client")), "others");
    json_decref(records);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_audit_deletes__one_connection__one_record_a_time_and_tenant),
        TEST(test_audit_deletes__time_over_or_connection_ended__handed_over),
        TEST(test_audit_deletes__more_connections_than_places__others_keep_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
