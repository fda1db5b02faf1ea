/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/resp_clients.h"

#define NS_PER_S 1000000000ull

static void expect_times(uint64_t connected_s, uint64_t last_s, const char *words) {
    const struct mkv_resp_client client = {
        .fd = -1,
        .user = "",
        .last_command = "",
        .address = "10.0.0.7:41234",
        .protocol = 2,
        .connected_ns = connected_s * NS_PER_S,
        .last_ns = last_s * NS_PER_S,
    };
    struct mkv_text line = {0};
    mkv_resp_client_line(&client, 100 * NS_PER_S, &line);
    assert_false(line.failed);
    if (strstr(line.bytes, words) == NULL) {
        fail_msg("no '%s' in %s", words, line.bytes);
    }
    mkv_text_free(&line);
}

static void test_resp_clients__line__says_how_long_it_is_there_and_quiet(void **state) {
    (void)state;
    expect_times(30, 95, " age=70 idle=5 ");
    expect_times(100, 100, " age=0 idle=0 ");
}

/* CLIENT LIST waits for its turn behind others, and begins when it came. */
static void test_resp_clients__line_of_who_came_behind_the_command__is_0_seconds(void **state) {
    (void)state;
    expect_times(30, 101, " age=70 idle=0 ");
    expect_times(102, 103, " age=0 idle=0 ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_clients__line__says_how_long_it_is_there_and_quiet),
        cmocka_unit_test(test_resp_clients__line_of_who_came_behind_the_command__is_0_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
