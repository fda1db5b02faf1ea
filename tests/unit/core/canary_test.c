/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of planted bugs exists only under MKV_CANARIES, which the archive under test is built
 * without; so its source is compiled into this test.
 */
#ifndef MKV_CANARIES
#define MKV_CANARIES 1
#endif
#include "core/canary.c"

#include "tests/unit/core/test.h"

static void test_canary__every_one__has_a_name_of_its_own_and_a_sentence(void **state) {
    (void)state;
    for (unsigned canary = 0; canary < MKV_CANARY_COUNT; canary++) {
        const char *name = mkv_canary_name(canary);
        const char *description = mkv_canary_description(canary);
        assert_non_null(name);
        assert_non_null(description);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        assert_true(strlen(name) > 0);
        assert_true(strlen(description) > 0);
        assert_int_equal(description[strlen(description) - 1], '.');
        for (unsigned other = 0; other < canary; other++) {
            assert_string_not_equal(name, mkv_canary_name(other));
        }
    }
    expect_assert_failure((void)mkv_canary_name(MKV_CANARY_COUNT));
    expect_assert_failure((void)mkv_canary_description(MKV_CANARY_COUNT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canary__every_one__has_a_name_of_its_own_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
