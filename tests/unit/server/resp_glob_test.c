/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct mkv_resp_bytes bytes(const char *text) {
    return (struct mkv_resp_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static bool matches(const char *pattern, const char *text) {
    return mkv_resp_glob_matches(bytes(pattern), bytes(text), false);
}

static void test_resp_glob__stars_and_marks__match_any_bytes(void **state) {
    (void)state;
    assert_true(matches("*", ""));
    assert_true(matches("*", "abc"));
    assert_true(matches("a*c", "abbbc"));
    assert_true(matches("a*b*c", "axxbyyc"));
    assert_true(matches("a?c", "abc"));
    assert_true(matches("**", "abc"));
    assert_false(matches("a*c", "abbb"));
    assert_false(matches("a?c", "ac"));
    assert_false(matches("", "a"));
    assert_true(matches("", ""));
    assert_false(matches("ab", "abc"));
}

static void test_resp_glob__classes__match_one_of_theirs(void **state) {
    (void)state;
    assert_true(matches("k[abc]", "kb"));
    assert_true(matches("k[a-c]", "kb"));
    assert_true(matches("k[c-a]", "kb"));
    assert_false(matches("k[a-c]", "kd"));
    assert_true(matches("k[^a-c]", "kd"));
    assert_false(matches("k[^a-c]", "ka"));
    assert_true(matches("k[\\]]", "k]"));
    assert_true(matches("k[ab", "kb"));
    assert_false(matches("k[ab", "kz"));
}

static void test_resp_glob__escapes__are_the_byte_itself(void **state) {
    (void)state;
    assert_true(matches("a\\*c", "a*c"));
    assert_false(matches("a\\*c", "abc"));
    assert_true(matches("a\\", "a\\"));
}

static void test_resp_glob__ignoring_case__folds_both(void **state) {
    (void)state;
    assert_true(mkv_resp_glob_matches(bytes("MAX*"), bytes("maxmemory"), true));
    assert_true(mkv_resp_glob_matches(bytes("[M-N]ax"), bytes("max"), true));
    assert_false(mkv_resp_glob_matches(bytes("MAX*"), bytes("maxmemory"), false));
}

/* The work of a naive matcher doubles with each star here. */
static void test_resp_glob__many_stars__end_soon(void **state) {
    (void)state;
    char pattern[512];
    char text[1024];
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2) {
        memcpy(pattern + i, "a*", 2);
    }
    memcpy(pattern + sizeof pattern - 2, "b", 2);
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_false(matches(pattern, text));
}

static void test_resp_glob__prefix__is_what_every_match_begins_with(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *prefix;
    } cases[] = {{"abc*", "abc"}, {"a\\*b?", "a*b"}, {"*", ""}, {"x[ab]", "x"}, {"plain", "plain"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t prefix[16];
        const uint32_t count = mkv_resp_glob_prefix(bytes(cases[i].pattern), prefix);
        assert_int_equal(count, strlen(cases[i].prefix));
        assert_memory_equal(prefix, cases[i].prefix, count);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_glob__stars_and_marks__match_any_bytes),
        cmocka_unit_test(test_resp_glob__classes__match_one_of_theirs),
        cmocka_unit_test(test_resp_glob__escapes__are_the_byte_itself),
        cmocka_unit_test(test_resp_glob__ignoring_case__folds_both),
        cmocka_unit_test(test_resp_glob__many_stars__end_soon),
        cmocka_unit_test(test_resp_glob__prefix__is_what_every_match_begins_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
