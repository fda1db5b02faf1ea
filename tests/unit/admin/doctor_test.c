/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of doctor: each on JSON in which it must find something; none on a healthy node. */
#include "admin/doctor.h"

#include "tests/unit/admin/test.h"

static const char healthy[] =
    "{\"status\":{\"node\":{\"ready\":true,\"state\":\"serving\"},\"warnings\":[],"
    "\"blocks_total\":5000,\"memory\":{\"relaxed_puts_lost\":0},"
    "\"storage\":{\"devices\":[{\"device_id\":\"d00\",\"errors\":0},{\"device_id\":\"d01\","
    "\"errors\":0}]},\"journal\":[{\"device_id\":\"d00\",\"lag\":100,\"ring_blocks\":4096,"
    "\"directory\":\"serving\"}],\"tenants\":[{\"tenant\":\"default\",\"used_bytes\":5,"
    "\"quota_bytes\":null}],\"lookups\":{\"memory_keys\":4000,\"drive_keys\":4000,"
    "\"miss_keys\":2000,\"misses\":{\"unknown\":1900,\"evicted\":100,\"deadline\":0,"
    "\"io_error\":0,\"overloaded\":0}}},"
    "\"slow\":{\"requests\":[]},\"audit\":{\"intact\":true,\"failing\":false,\"lost\":0},"
    "\"log_level\":{\"level\":\"info\"},"
    "\"metrics\":\"# TYPE memkv_telemetry_dropped_total counter\\n"
    "memkv_telemetry_dropped_total 0\\nmemkv_trace_spans_dropped_total 0\\n\","
    "\"system\":{\"files\":{\"/proc/self/limits\":\"Max locked memory unlimited unlimited "
    "bytes\\n\","
    "\"/proc/self/status\":\"VmSwap:\\t 0 kB\\n\",\"/proc/sys/kernel/io_uring_disabled\":\"0\\n\","
    "\"/sys/devices/system/clocksource/clocksource0/current_clocksource\":\"tsc\\n\"}},"
    "\"failed\":{}}";

/* What is put over the parts of a healthy node, and what must be found then. */
static const struct {
    const char *patch;
    const char *severity;
    const char *code;
    const char *evidence; /* a part of it */
} cases[] = {
    {"{\"status\":{\"node\":{\"ready\":false,\"unready_reason\":\"recovering\",\"state\":"
     "\"recovering\"}}}",
     "critical", "NOT_READY", "reason recovering"},
    {"{\"status\":{\"warnings\":[{\"code\":\"DRIVE_OFFLINE\",\"message\":\"d09 is gone\","
     "\"action\":\"replace it\",\"since\":\"2026-01-01T00:00:00Z\"}]}}",
     "critical", "DRIVE_OFFLINE", "since 2026"},
    {"{\"status\":{\"warnings\":[{\"code\":\"HUGEPAGES_FALLBACK\",\"message\":\"m\",\"action\":"
     "\"a\",\"since\":\"x\"}]}}",
     "warning", "HUGEPAGES_FALLBACK", "warning"},
    {"{\"status\":{\"warnings\":[{\"code\":\"NO_SHARED_HITS\",\"message\":\"m\",\"action\":"
     "\"a\",\"since\":\"s\"}]},\"clients\":{\"clients\":[{\"address\":\"a:1\",\"key_prefixes\":"
     "[\"x\"]},{\"address\":\"b:2\",\"key_prefixes\":[\"y\"]}]}}",
     "warning", "NO_SHARED_HITS", "since s; a:1 asks for x; b:2 asks for y"},
    {"{\"status\":{\"memory\":{\"relaxed_puts_lost\":3}}}", "critical", "RELAXED_PUTS_LOST",
     "3 puts"},
    {"{\"status\":{\"storage\":{\"devices\":[{\"device_id\":\"d07\",\"errors\":2}]}}}", "critical",
     "DRIVE_ERRORS", "drive d07: 2"},
    {"{\"metrics\":\"memkv_checksum_failures_total{kind=\\\"a\\\"} 1\\n"
     "memkv_checksum_failures_total{kind=\\\"b\\\"} 2\\n\"}",
     "critical", "CHECKSUM_FAILURES", "is 3"},
    {"{\"status\":{\"journal\":[{\"device_id\":\"d00\",\"lag\":3700,\"ring_blocks\":4096}]}}",
     "critical", "JOURNAL_NEARLY_FULL", "3700 of 4096"},
    {"{\"status\":{\"journal\":[{\"device_id\":\"d00\",\"lag\":0,\"ring_blocks\":1,\"directory\":"
     "\"full\"}]}}",
     "warning", "DIRECTORY_DOWN", "directory is full"},
    {"{\"status\":{\"lookups\":{\"misses\":{\"io_error\":4}}}}", "critical", "READS_FAILED",
     "4 of 2000"},
    {"{\"status\":{\"lookups\":{\"misses\":{\"overloaded\":1}}}}", "warning", "OVERLOADED", "1 of"},
    {"{\"status\":{\"lookups\":{\"misses\":{\"deadline\":1}}}}", "warning", "DEADLINES_MISSED",
     "were deadline"},
    {"{\"status\":{\"lookups\":{\"misses\":{\"evicted\":900}}}}", "warning", "EVICTED_TOO_SOON",
     "900 of 2000"},
    {"{\"status\":{\"lookups\":{\"memory_keys\":0,\"drive_keys\":2,\"misses\":{\"unknown\":1999,"
     "\"evicted\":1}}},\"clients\":{\"clients\":[{\"address\":\"10.0.0.1:5\",\"key_prefixes\":"
     "[\"llama@1:\"]},{\"address\":\"10.0.0.2:6\",\"key_prefixes\":[\"llama@2:\",\"x\"]}]}}",
     "warning", "NO_SHARED_HITS", "10.0.0.1:5 asks for llama@1:; 10.0.0.2:6 asks for llama@2: x"},
    {"{\"status\":{\"lookups\":{\"memory_keys\":100,\"drive_keys\":100,\"misses\":{\"unknown\":"
     "1500,"
     "\"evicted\":500}}}}",
     "warning", "HIT_RATIO_LOW", "9.1 % of 2200 keys were found; 75 % of the misses are unknown"},
    {"{\"metrics\":\"memkv_telemetry_dropped_total 12\\n\"}", "warning", "TELEMETRY_DROPS",
     "is 12"},
    {"{\"metrics\":\"memkv_trace_spans_dropped_total 1\\n\"}", "warning", "TRACE_DROPS", "is 1"},
    {"{\"audit\":{\"intact\":false,\"fault\":{\"message\":\"record 7 does not fit\"}}}", "critical",
     "AUDIT_BROKEN", "record 7"},
    {"{\"audit\":{\"failing\":true,\"error\":\"No space left\"}}", "critical", "AUDIT_NOT_WRITTEN",
     "No space left"},
    {"{\"log_level\":{\"level\":\"info,core.journal=debug\"}}", "note", "LOG_LEVEL",
     "core.journal=debug"},
    {"{\"system\":{\"files\":{\"/proc/self/limits\":\"Max locked memory  8388608  8388608 bytes\\n"
     "Max cpu time unlimited\\n\"}}}",
     "note", "MEMLOCK_LIMITED", "8388608"},
    {"{\"system\":{\"files\":{\"/proc/self/status\":\"VmRSS: 1 kB\\nVmSwap:\\t  512 kB\\n\"}}}",
     "warning", "SWAPPED", "512"},
    {"{\"system\":{\"files\":{\"/sys/devices/system/clocksource/clocksource0/current_clocksource\":"
     "\"hpet\\n\"}}}",
     "warning", "CLOCK_SLOW", "is hpet"},
    {"{\"system\":{\"files\":{\"/proc/sys/kernel/io_uring_disabled\":\"2\\n\"}}}", "warning",
     "IO_URING_RESTRICTED", "is 2"},
    {"{\"status\":{\"tenants\":[{\"tenant\":\"batch\",\"used_bytes\":1040000000,\"quota_bytes\":"
     "1048576000}]}}",
     "note", "TENANT_AT_QUOTA", "tenant batch: 991.82 MiB of 1000.00 MiB"},
    {"{\"failed\":{\"slow\":\"HTTP 403\"}}", "note", "NOT_EXAMINED", "slow: HTTP 403"},
};

static json_t *patched(const char *patch) {
    json_t *parts = json_loads(healthy, 0, NULL);
    json_t *over = json_loads(patch, 0, NULL);
    assert_non_null(parts);
    assert_non_null(over);
    assert_int_equal(json_object_update_recursive(parts, over), 0);
    json_decref(over);
    return parts;
}

static const char *text_in(const json_t *finding, const char *name) {
    return json_string_value(json_object_get(finding, name));
}

static void test_doctor__healthy_node__nothing(void **state) {
    (void)state;
    json_t *parts = patched("{}");
    json_t *findings = mkv_doctor_examine(parts);
    struct mkv_text text = {0};
    mkv_doctor_text(findings, &text);
    assert_string_equal(text.bytes, "nothing found\n");
    mkv_text_free(&text);
    json_decref(findings);
    json_decref(parts);
}

static void test_doctor__each_rule__found_with_evidence_and_action(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *parts = patched(cases[i].patch);
        json_t *findings = mkv_doctor_examine(parts);
        const json_t *finding = NULL;
        for (size_t j = 0; j < json_array_size(findings) && finding == NULL; j++) {
            const json_t *one = json_array_get(findings, j);
            finding = strcmp(text_in(one, "code"), cases[i].code) == 0 ? one : NULL;
        }
        if (finding == NULL) {
            fail_msg("%s is not found", cases[i].code);
        }
        assert_string_equal(text_in(finding, "severity"), cases[i].severity);
        assert_non_null(strstr(text_in(finding, "evidence"), cases[i].evidence));
        assert_true(strlen(text_in(finding, "action")) > 0);
        assert_true(strlen(text_in(finding, "message")) > 0);
        json_decref(findings);
        json_decref(parts);
    }
}

/* Slow requests of one cause at one drive. */
static void test_doctor__slow_requests__stage_and_drive_named(void **state) {
    (void)state;
    json_t *requests = json_array();
    for (unsigned i = 0; i < 20; i++) {
        json_array_append_new(requests, json_pack("{s:{s:f, s:f}, s:s, s:f}", "stages_ms", "read",
                                                  90.0, "push", 10.0, "drive",
                                                  i < 15 ? "d01" : "d00", "drive_ms", 90.0));
    }
    json_t *parts = patched("{}");
    json_object_set_new(parts, "slow", json_pack("{s:o}", "requests", requests));
    json_t *findings = mkv_doctor_examine(parts);
    assert_int_equal(json_array_size(findings), 2);
    assert_string_equal(text_in(json_array_get(findings, 0), "code"), "SLOW_REQUESTS");
    assert_string_equal(text_in(json_array_get(findings, 0), "evidence"),
                        "20 slow requests spent 90 % of their time in the stage read");
    assert_string_equal(text_in(json_array_get(findings, 1), "code"), "ONE_DRIVE_SLOW");
    assert_non_null(strstr(text_in(json_array_get(findings, 1), "evidence"), "drive d01 has 75 %"));
    json_decref(findings);
    json_decref(parts);
}

static void test_doctor__several__gravest_first(void **state) {
    (void)state;
    json_t *parts = patched("{\"log_level\":{\"level\":\"trace\"},\"status\":{\"memory\":{"
                            "\"relaxed_puts_lost\":1}},\"metrics\":"
                            "\"memkv_telemetry_dropped_total 1\\n\"}");
    json_t *findings = mkv_doctor_examine(parts);
    assert_int_equal(json_array_size(findings), 3);
    assert_string_equal(text_in(json_array_get(findings, 0), "code"), "RELAXED_PUTS_LOST");
    assert_string_equal(text_in(json_array_get(findings, 1), "code"), "TELEMETRY_DROPS");
    assert_string_equal(text_in(json_array_get(findings, 2), "code"), "LOG_LEVEL");
    struct mkv_text text = {0};
    mkv_doctor_text(findings, &text);
    assert_memory_equal(text.bytes, "critical  RELAXED_PUTS_LOST\n  ", 30);
    mkv_text_free(&text);
    json_decref(findings);
    json_decref(parts);
}

static void test_doctor__parts_missing_or_of_other_types__no_harm(void **state) {
    (void)state;
    static const char *const parts[] = {
        "{}", "{\"status\":5,\"slow\":[],\"clients\":\"x\",\"metrics\":{},\"system\":[1]}",
        "{\"status\":{\"warnings\":[1,\"x\",{}],\"journal\":[{}],\"tenants\":[{}],\"storage\":7}}",
        "{\"metrics\":\"memkv_telemetry_dropped_total\",\"slow\":{\"requests\":[1,{}]}}"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        json_t *object = json_loads(parts[i], 0, NULL);
        assert_non_null(object);
        json_t *findings = mkv_doctor_examine(object);
        assert_non_null(findings);
        json_decref(findings);
        json_decref(object);
    }
}

/* docs/doctor.md has each code, and a test above or the next one finds it. */
static void test_doctor__every_code__documented_and_tested(void **state) {
    (void)state;
    const char *root = getenv("MKV_SOURCE_DIR");
    if (root == NULL) {
        print_message("skipped: MKV_SOURCE_DIR does not name the source tree\n");
        skip();
    }
    char path[4096];
    static char page[65536];
    snprintf(path, sizeof path, "%s/docs/doctor.md", root);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(page, 1, sizeof page - 1, file) > 0);
    fclose(file);
    for (const char *const *code = mkv_doctor_codes; *code != NULL; code++) {
        char row[64];
        bool tested = strcmp(*code, "WARNING") == 0 || strcmp(*code, "SLOW_REQUESTS") == 0 ||
                      strcmp(*code, "ONE_DRIVE_SLOW") == 0;
        snprintf(row, sizeof row, "\n| `%s` |", *code);
        if (strstr(page, row) == NULL) {
            fail_msg("docs/doctor.md has no row for %s", *code);
        }
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            tested = tested || strcmp(cases[i].code, *code) == 0;
        }
        assert_true(tested);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doctor__healthy_node__nothing),
        cmocka_unit_test(test_doctor__each_rule__found_with_evidence_and_action),
        cmocka_unit_test(test_doctor__slow_requests__stage_and_drive_named),
        cmocka_unit_test(test_doctor__several__gravest_first),
        cmocka_unit_test(test_doctor__parts_missing_or_of_other_types__no_harm),
        cmocka_unit_test(test_doctor__every_code__documented_and_tested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
