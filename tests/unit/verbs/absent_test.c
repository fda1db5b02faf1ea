/* SPDX-License-Identifier: Apache-2.0 */
/* The room as it is where memkv is built without libibverbs, whatever this build is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "verbs/absent.c"

static void test_open__built_without__says_so_and_what_to_do(void **state) {
    const struct mkv_verbs_options options = {.device = NULL};
    struct mkv_verbs *verbs = (struct mkv_verbs *)&state;
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    (void)state;
    assert_false(mkv_verbs_is_built());
    assert_false(mkv_verbs_has_device());
    assert_false(mkv_verbs_open(&options, &verbs, problem));
    assert_null(verbs);
    assert_non_null(strstr(problem, "this memkv was built without RDMA; build it where"));
    mkv_verbs_close(verbs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__built_without__says_so_and_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
