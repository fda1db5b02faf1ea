/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#define WALL_MS 1795251600123ull

/* The line of a message with up to one field, in both formats. */
static void expect_line(enum mkv_config_log_format format, const char *message,
                        const struct mkv_log_field *field, const char *expected) {
    char line[MKV_LOG_LINE_BYTES_MAX + 1];
    const struct mkv_log_record record = {
        .wall_ms = WALL_MS,
        .level = MKV_CONFIG_LOG_INFO,
        .target = "core.volume",
        .message = message,
        .fields = field,
        .field_count = field == NULL ? 0 : 1,
    };
    uint32_t count = mkv_log_line(&record, format, line);
    assert_string_equal(line, expected);
    assert_int_equal(count, strlen(expected));
}

static void test_line__plain_words__golden(void **state) {
    (void)state;
    const struct mkv_log_field number = {.name = "blocks", .number = 18446744073709551615ull};
    const struct mkv_log_field text = {.name = "drive", .text = "d00"};
    expect_line(MKV_CONFIG_LOG_JSON, "opened", NULL,
                "{\"timestamp\":\"2026-11-21T09:00:00.123Z\",\"level\":\"INFO\",\"target\":"
                "\"core.volume\",\"message\":\"opened\",\"fields\":{}}\n");
    expect_line(MKV_CONFIG_LOG_JSON, "opened", &number,
                "{\"timestamp\":\"2026-11-21T09:00:00.123Z\",\"level\":\"INFO\",\"target\":"
                "\"core.volume\",\"message\":\"opened\",\"fields\":{\"blocks\":"
                "18446744073709551615}}\n");
    expect_line(MKV_CONFIG_LOG_TEXT, "opened", NULL,
                "2026-11-21T09:00:00.123Z INFO core.volume: opened\n");
    expect_line(MKV_CONFIG_LOG_TEXT, "opened", &text,
                "2026-11-21T09:00:00.123Z INFO core.volume: opened drive=d00\n");
}

static void test_line__text_with_odd_bytes__escaped(void **state) {
    (void)state;
    const struct mkv_log_field spaced = {.name = "path", .text = "a \"b\"\n\xff"};
    const struct mkv_log_field empty = {.name = "path", .text = ""};
    expect_line(MKV_CONFIG_LOG_TEXT, "tab\t back\\slash \x1b[31m caf\xc3\xa9", NULL,
                "2026-11-21T09:00:00.123Z INFO core.volume: tab\\x09 back\\\\slash \\x1b[31m "
                "caf\\xc3\\xa9\n");
    expect_line(MKV_CONFIG_LOG_TEXT, "m", &spaced,
                "2026-11-21T09:00:00.123Z INFO core.volume: m path=\"a \\\"b\\\"\\x0a\\xff\"\n");
    expect_line(MKV_CONFIG_LOG_TEXT, "m", &empty,
                "2026-11-21T09:00:00.123Z INFO core.volume: m path=\"\"\n");
}

static void test_line__json_with_odd_bytes__valid_json(void **state) {
    (void)state;
    static const struct {
        const char *message;
        const char *escaped;
    } cases[] = {
        {"a\"b\\c\nd", "a\\\"b\\\\c\\u000ad"},
        {"\x01\x1b\x7f", "\\u0001\\u001b\\u007f"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b", "\\u009b"},                   /* a control character of eight bits */
        {"\xff\xfe", "\\ufffd\\ufffd"},            /* no UTF-8 at all */
        {"\xc0\xaf", "\\ufffd\\ufffd"},            /* overlong '/' */
        {"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"}, /* likewise, in three */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* beyond U+10FFFF */
        {"cut \xe2\x82", "cut \\ufffd\\ufffd"},               /* a sequence that ends early */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[MKV_LOG_LINE_BYTES_MAX + 1];
        const struct mkv_log_record record = {.target = "t", .message = cases[i].message};
        mkv_log_line(&record, MKV_CONFIG_LOG_JSON, line);
        char *found = strstr(line, "\"message\":\"");
        assert_non_null(found);
        found += strlen("\"message\":\"");
        assert_memory_equal(found, cases[i].escaped, strlen(cases[i].escaped));
        assert_memory_equal(found + strlen(cases[i].escaped), "\",\"fields\"", 10);
        json_t *json = json_loads(line, 0, NULL);
        assert_non_null(json);
        json_decref(json);
    }
}

static void test_line__texts_too_long__cut_and_still_valid(void **state) {
    (void)state;
    /* Every byte becomes six, in every place that there is: the longest line. */
    static char message[8192];
    memset(message, 0x01, sizeof message - 1);
    struct mkv_log_field fields[MKV_LOG_FIELDS_MAX];
    for (uint32_t i = 0; i < MKV_LOG_FIELDS_MAX; i++) {
        fields[i] =
            (struct mkv_log_field){.name = "a_name_as_long_as_they_may_be_40_bytes", message, 0};
    }
    for (int format = MKV_CONFIG_LOG_JSON; format <= MKV_CONFIG_LOG_TEXT; format++) {
        char line[MKV_LOG_LINE_BYTES_MAX + 1];
        const struct mkv_log_record record = {
            .wall_ms = UINT64_MAX,
            .target = "a_name_as_long_as_they_may_be_40_bytes",
            .message = message,
            .fields = fields,
            .field_count = MKV_LOG_FIELDS_MAX,
        };
        uint32_t count = mkv_log_line(&record, (enum mkv_config_log_format)format, line);
        assert_in_range(count, MKV_LOG_MESSAGE_BYTES_MAX, MKV_LOG_LINE_BYTES_MAX);
        assert_ptr_equal(strchr(line, '\n'), line + count - 1);
        assert_non_null(strstr(line, "..."));
        if (format == MKV_CONFIG_LOG_JSON) {
            /* All fields have one name, and an object keeps one of them. */
            json_t *json = json_loads(line, 0, NULL);
            assert_non_null(json);
            assert_int_equal(json_object_size(json_object_get(json, "fields")), 1);
            json_decref(json);
        }
    }
}

static void test_timestamp__edges__rfc_3339(void **state) {
    (void)state;
    static const struct {
        uint64_t wall_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999ull, "2000-02-28T23:59:59.999Z"},
        {951782400000ull, "2000-02-29T00:00:00.000Z"},
        {WALL_MS, "2026-11-21T09:00:00.123Z"},
        {253402300799999ull, "9999-12-31T23:59:59.999Z"},
        {UINT64_MAX, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[MKV_LOG_TIMESTAMP_BYTES];
        mkv_log_timestamp(cases[i].wall_ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line__plain_words__golden),
        cmocka_unit_test(test_line__text_with_odd_bytes__escaped),
        cmocka_unit_test(test_line__json_with_odd_bytes__valid_json),
        cmocka_unit_test(test_line__texts_too_long__cut_and_still_valid),
        cmocka_unit_test(test_timestamp__edges__rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
