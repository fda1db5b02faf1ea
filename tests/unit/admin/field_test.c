/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of another machine's answer: as they should be, and as they should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/field.h"

static json_t *answer(void) {
    json_error_t error;
    json_t *object = json_loads("{\"count\": 12, \"below\": -3, \"real\": 1.5, \"name\": \"d00\", "
                                "\"empty\": \"\", \"odd\": \"a\\u0007b\", \"null\": null}",
                                0, &error);
    assert_non_null(object);
    return object;
}

static void test_field_count__anything_else__is_none(void **state) {
    (void)state;
    json_t *object = answer();
    assert_int_equal(mkv_field_count(object, "count"), 12);
    assert_int_equal(mkv_field_count(object, "below"), 0);
    assert_int_equal(mkv_field_count(object, "real"), 0);
    assert_int_equal(mkv_field_count(object, "name"), 0);
    assert_int_equal(mkv_field_count(object, "absent"), 0);
    assert_int_equal(mkv_field_count(NULL, "count"), 0);
    json_decref(object);
}

static void test_field_text__anything_else__is_a_dash(void **state) {
    (void)state;
    static const struct {
        const char *name, *shown;
    } rows[] = {
        {"name", "d00"}, {"empty", "-"}, {"odd", "a?b"},
        {"null", "-"},   {"count", "-"}, {"absent", "-"},
    };
    json_t *object = answer();
    char text[MKV_FIELD_TEXT_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mkv_field_text(object, rows[i].name, text);
        assert_string_equal(text, rows[i].shown);
    }
    json_decref(object);
}

static void test_field_text__long__is_cut(void **state) {
    (void)state;
    char value[2 * MKV_FIELD_TEXT_BYTES];
    char text[MKV_FIELD_TEXT_BYTES];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    json_t *object = json_object();
    assert_int_equal(json_object_set_new(object, "name", json_string(value)), 0);
    mkv_field_text(object, "name", text);
    assert_int_equal(strlen(text), MKV_FIELD_TEXT_BYTES - 1);
    json_decref(object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_count__anything_else__is_none),
        cmocka_unit_test(test_field_text__anything_else__is_a_dash),
        cmocka_unit_test(test_field_text__long__is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
