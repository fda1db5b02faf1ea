/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/telemetry_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static struct mkv_telemetry_event lookup(enum mkv_telemetry_kind kind) {
    return (struct mkv_telemetry_event){
        .name = "lookup",
        .kind = kind,
        .serial = 17,
        .connection = {4, 9},
        .monotonic_ns = 12345678901234ull,
        .wall_ms = 1763715600123ull,
    };
}

static void test_line__without_metadata__as_documented(void **state) {
    (void)state;
    char line[MKV_TELEMETRY_TEXT_BYTES];
    const struct mkv_telemetry_event event = lookup(MKV_TELEMETRY_START);
    const uint32_t bytes = mkv_telemetry_line(&event, line);
    assert_int_equal(bytes, strlen(line));
    assert_string_equal(line, "Telemetry: lookup START session=req-17-4 ts=12345.678 metadata={}");
}

static void test_line__values_of_every_type__flat(void **state) {
    (void)state;
    char line[MKV_TELEMETRY_TEXT_BYTES];
    struct mkv_telemetry_event event = lookup(MKV_TELEMETRY_END);
    mkv_telemetry_integer(&event, "found_count", UINT64_MAX);
    mkv_telemetry_float(&event, "duration_s", 0.25);
    mkv_telemetry_bool(&event, "late", true);
    mkv_telemetry_string(&event, "device", "a\"b\\c");
    (void)mkv_telemetry_line(&event, line);
    assert_string_equal(line, "Telemetry: lookup END session=req-17-4 ts=12345.678 metadata="
                              "{\"found_count\":18446744073709551615,\"duration_s\":0.25,"
                              "\"late\":true,\"device\":\"a\\\"b\\\\c\"}");
}

static void test_json__event__is_one_object(void **state) {
    (void)state;
    char text[MKV_TELEMETRY_TEXT_BYTES];
    struct mkv_telemetry_event event = lookup(MKV_TELEMETRY_END);
    mkv_telemetry_integer(&event, "found_count", 3);
    mkv_telemetry_float(&event, "endless", INFINITY);
    const uint32_t bytes = mkv_telemetry_json(&event, text);
    assert_int_equal(bytes, strlen(text));
    assert_string_equal(text,
                        "{\"name\":\"lookup\",\"event_type\":\"END\",\"session_id\":\"req-17-4\","
                        "\"timestamp\":12345.678901234,\"time\":\"2025-11-21T09:00:00.123Z\","
                        "\"metadata\":{\"found_count\":3,\"endless\":0}}");
    assert_null(strchr(text, '\n'));
}

static void test_both__as_long_as_they_may_be__have_room(void **state) {
    (void)state;
    static const char longest[] = "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
                                  "\"\"\"\"\"\"\"\"\"\"\"\"\"\""
                                  "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
                                  "\"\"\"\"\"\"\"\"\"\"\"\"\"\"";
    char text[MKV_TELEMETRY_TEXT_BYTES];
    struct mkv_telemetry_event event = lookup(MKV_TELEMETRY_END);
    event.name = longest;
    event.serial = UINT64_MAX;
    event.connection.index = UINT32_MAX;
    event.monotonic_ns = UINT64_MAX;
    event.wall_ms = UINT64_MAX;
    for (uint32_t i = 0; i < MKV_TELEMETRY_VALUES_MAX; i++) {
        mkv_telemetry_string(&event, longest, longest);
    }
    const uint32_t bytes = mkv_telemetry_line(&event, text);
    assert_int_equal(bytes, strlen(text));
    const uint32_t json_bytes = mkv_telemetry_json(&event, text);
    assert_int_equal(json_bytes, strlen(text));
    json_t *parsed = json_loads(text, 0, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line__without_metadata__as_documented),
        cmocka_unit_test(test_line__values_of_every_type__flat),
        cmocka_unit_test(test_json__event__is_one_object),
        cmocka_unit_test(test_both__as_long_as_they_may_be__have_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
