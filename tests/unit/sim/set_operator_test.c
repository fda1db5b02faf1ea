/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/set_operator.h"

#include "tests/unit/sim/test.h"

static void test_set_operator__lost_drives__are_given_up_until_they_are_served(void **state) {
    (void)state;
    struct mkv_set_operator word = {0};
    mkv_set_operator_says(&word, 6, 1);
    assert_true(mkv_set_operator_gave_up(&word, 1));
    assert_false(mkv_set_operator_gave_up(&word, 2));
    mkv_set_operator_served(&word, 7);
    assert_false(mkv_set_operator_gave_up(&word, 1));
}

static void test_set_operator__word_taken_back__gives_up_what_it_kept(void **state) {
    (void)state;
    struct mkv_set_operator word = {0};
    mkv_set_operator_says(&word, 6, 1); /* 1 and 2 go on, 0 is lost */
    mkv_set_operator_says(&word, 1, 6); /* no, 0 goes on */
    assert_true(mkv_set_operator_gave_up(&word, 6));
    assert_false(mkv_set_operator_gave_up(&word, 1));
    mkv_set_operator_says(&word, 4, 2); /* no, 2 does, and without 1: and 0 opens alone */
    assert_true(mkv_set_operator_gave_up(&word, 1));
    assert_true(mkv_set_operator_gave_up(&word, 3));
    assert_false(mkv_set_operator_gave_up(&word, 4));
}

static void test_set_operator__word_about_others__keeps_what_no_word_was_against(void **state) {
    (void)state;
    struct mkv_set_operator word = {0};
    mkv_set_operator_says(&word, 3, 4);
    mkv_set_operator_says(&word, 1, 2);
    assert_true(mkv_set_operator_gave_up(&word, 6));
    assert_false(mkv_set_operator_gave_up(&word, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_operator__lost_drives__are_given_up_until_they_are_served),
        cmocka_unit_test(test_set_operator__word_taken_back__gives_up_what_it_kept),
        cmocka_unit_test(test_set_operator__word_about_others__keeps_what_no_word_was_against),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
