/* SPDX-License-Identifier: Apache-2.0 */
#include "server/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static const struct mkv_usage_command commands[] = {
    {"start", "[OPTIONS]", "run a node"},
    {"get", "KEY [FILE]", "fetch a value"},
    {NULL, NULL, NULL},
};

static void test_print__commands__golden(void **state) {
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    mkv_usage_print(commands, out);
    fclose(out);
    assert_string_equal(text, "usage: memkv COMMAND [ARGUMENTS]\n"
                              "\n"
                              "  start [OPTIONS]         run a node\n"
                              "  get KEY [FILE]          fetch a value\n"
                              "\n"
                              "memkv help COMMAND, or memkv COMMAND --help, says more of one.\n");
    free(text);
}

static void test_guess__slips__the_command_that_was_meant(void **state) {
    (void)state;
    assert_string_equal(mkv_usage_guess(commands, "strat"), "start");
    assert_string_equal(mkv_usage_guess(commands, "gt"), "get");
    assert_null(mkv_usage_guess(commands, "serve"));
    assert_null(mkv_usage_guess(commands, ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print__commands__golden),
        cmocka_unit_test(test_guess__slips__the_command_that_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
