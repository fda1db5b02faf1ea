/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "backends/error.h"

static void test_error__control_characters__are_one_printable_line(void **state) {
    (void)state;
    struct mkv_backend_error error;
    assert_false(mkv_backend_refuse(&error, MKV_BACKEND_IO, "drive %s: %d", "a\nb\x1b[31m\xc3", 7));
    assert_string_equal(error.text, "drive a?b?[31m?: 7");
    assert_int_equal(error.failure, MKV_BACKEND_IO);
}

static void test_error__too_long__is_cut(void **state) {
    (void)state;
    struct mkv_backend_error error;
    char path[4096];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_false(mkv_backend_refuse(&error, MKV_BACKEND_IO, "%s", path));
    assert_int_equal(strlen(error.text), MKV_BACKEND_ERROR_TEXT_BYTES - 1);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error__control_characters__are_one_printable_line),
        cmocka_unit_test(test_error__too_long__is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
