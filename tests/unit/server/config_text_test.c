/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "server/config_text.h"

static void test_quote__bytes_that_harm_a_terminal__question_marks(void **state) {
    (void)state;
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote("a\x1b[31m\n\r\tb\x7f\xc3\xa9", quoted);
    assert_string_equal(quoted, "a?[31m???b???");
    mkv_config_quote("", quoted);
    assert_string_equal(quoted, "");
}

static void test_quote__60_and_61_bytes__whole_and_shortened(void **state) {
    (void)state;
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    char text[62];
    memset(text, 'x', sizeof text);
    text[61] = '\0';
    mkv_config_quote(text + 1, quoted);
    assert_string_equal(quoted, text + 1);
    mkv_config_quote(text, quoted);
    assert_int_equal(strlen(quoted), 63);
    assert_string_equal(quoted + 60, "...");
}

static void test_where__long_path__its_end_and_the_line(void **state) {
    (void)state;
    char where[MKV_CONFIG_WHERE_BYTES];
    char path[MKV_CONFIG_PATH_BYTES];
    memset(path, 'd', sizeof path);
    memcpy(path + sizeof path - sizeof "/memkv.yaml", "/memkv.yaml", sizeof "/memkv.yaml");
    mkv_config_where(path, UINT32_MAX, where);
    assert_int_equal(strlen(where), 3 + 160 + 11);
    assert_memory_equal(where, "...ddd", 6);
    assert_non_null(strstr(where, "/memkv.yaml:4294967295"));
    mkv_config_where("memkv.yaml", 0, where);
    assert_string_equal(where, "memkv.yaml");
    mkv_config_where("memkv.yaml", 3, where);
    assert_string_equal(where, "memkv.yaml:3");
}

static void test_fail__message_longer_than_room__cut_and_closed(void **state) {
    (void)state;
    struct mkv_config_error error;
    char text[1024];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_false(mkv_config_fail(&error, MKV_EXIT_DAEMON_IO, "here", "%s", text));
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_memory_equal(error.message, "here: xxx", 9);
    assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_IO);
}

static void test_fail__bytes_that_harm_a_log__one_printable_line(void **state) {
    (void)state;
    struct mkv_config_error error;
    assert_false(mkv_config_fail(&error, MKV_EXIT_DAEMON_USAGE, "--a\n", "b%s", "\r\x1b\xe9"));
    assert_string_equal(error.message, "--a?: b???");
}

static void test_is_slip__two_edits_at_most_and_half_the_word__true(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *candidate;
        bool slip;
    } cases[] = {
        {"drvies", "drives", true},
        {"drive", "drives", true},
        {"driv", "drives", true},
        {"dri", "drives", false},
        {"drivesss", "drives", true},
        {"drivessss", "drives", false},
        {"siez", "size", true},
        {"sz", "size", true},
        {"i", "id", true},
        {"x", "id", false},
        {"xx", "id", false},
        {"", "id", false},
        {"ID", "id", false},
        {"mod", "mode", true},
        {"max-size", "max_size", true},
        {"Max-Size", "max_size", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mkv_config_is_slip(cases[i].text, cases[i].candidate), cases[i].slip);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote__bytes_that_harm_a_terminal__question_marks),
        cmocka_unit_test(test_quote__60_and_61_bytes__whole_and_shortened),
        cmocka_unit_test(test_where__long_path__its_end_and_the_line),
        cmocka_unit_test(test_fail__message_longer_than_room__cut_and_closed),
        cmocka_unit_test(test_fail__bytes_that_harm_a_log__one_printable_line),
        cmocka_unit_test(test_is_slip__two_edits_at_most_and_half_the_word__true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
