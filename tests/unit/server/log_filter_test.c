/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct mkv_log_filter parsed(const char *text) {
    struct mkv_log_filter filter;
    char problem[MKV_LOG_FILTER_PROBLEM_BYTES] = "";
    if (!mkv_log_filter_parse(text, &filter, problem)) {
        fail_msg("'%s': %s", text, problem);
    }
    return filter;
}

static void test_parse__one_level__is_that_of_all_targets(void **state) {
    (void)state;
    const struct mkv_log_filter filter = parsed("warn");
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        assert_int_equal(filter.levels[target], MKV_CONFIG_LOG_WARN);
    }
}

static void test_parse__targets__others_are_at_info(void **state) {
    (void)state;
    const struct mkv_log_filter filter = parsed("core.journal=debug,fabric=info");
    assert_int_equal(filter.levels[MKV_LOG_CORE_JOURNAL], MKV_CONFIG_LOG_DEBUG);
    assert_int_equal(filter.levels[MKV_LOG_FABRIC], MKV_CONFIG_LOG_INFO);
    assert_int_equal(filter.levels[MKV_LOG_CORE_VOLUME], MKV_CONFIG_LOG_INFO);
}

static void test_parse__several_fit__the_longest_decides_in_any_order(void **state) {
    (void)state;
    static const char *const texts[] = {"warn,core=debug,core.volume=error",
                                        " core.volume=error , core=debug , warn "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct mkv_log_filter filter = parsed(texts[i]);
        assert_int_equal(filter.levels[MKV_LOG_CORE_VOLUME], MKV_CONFIG_LOG_ERROR);
        assert_int_equal(filter.levels[MKV_LOG_CORE_FRONT], MKV_CONFIG_LOG_DEBUG);
        assert_int_equal(filter.levels[MKV_LOG_SERVER_NODE], MKV_CONFIG_LOG_WARN);
    }
}

static void test_parse__wrong__is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *problem;
    } cases[] = {
        {"", "an entry is empty; use LEVEL or TARGET=LEVEL, with commas between them"},
        {"info,", "an entry is empty; use LEVEL or TARGET=LEVEL, with commas between them"},
        {"loud", "'loud' names no level; use error, warn, info, debug or trace"},
        {"INFO", "'INFO' names no level; use error, warn, info, debug or trace"},
        {"core=loud", "'core=loud' names no level; use error, warn, info, debug or trace"},
        {"core.volume",
         "'core.volume' has no level; use TARGET=LEVEL with error, warn, info, debug or trace"},
        {"info,core.jornal=debug",
         "'core.jornal' is no target of the log, did you mean 'core.journal'?"},
        {"cor=debug", "'cor' is no target of the log; docs/logs.md lists them"},
        {"=debug", "'' is no target of the log; docs/logs.md lists them"},
        {"info,debug", "the rest has two levels; give it one"},
        {"core=info,core=debug", "target core has two levels; give it one"},
        {"a23456789012345678901234567890123456789012345678901234567890=info",
         "an entry is too long; use LEVEL or TARGET=LEVEL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_log_filter filter;
        char problem[MKV_LOG_FILTER_PROBLEM_BYTES];
        assert_false(mkv_log_filter_parse(cases[i].text, &filter, problem));
        assert_string_equal(problem, cases[i].problem);
    }
}

static void test_format__any_levels__are_parsed_back(void **state) {
    (void)state;
    char text[MKV_LOG_FILTER_TEXT_BYTES];
    struct mkv_log_filter filter = parsed("info");
    mkv_log_filter_format(&filter, text);
    assert_string_equal(text, "info");
    filter = parsed("info,core.journal=debug");
    mkv_log_filter_format(&filter, text);
    assert_string_equal(text, "info,core.journal=debug");
    /* Many that differ: the longest text there is, or nearly. */
    for (uint32_t seed = 0; seed < 2000; seed++) {
        uint32_t rest = seed * 2654435761u;
        for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
            filter.levels[target] = (enum mkv_config_log_level)(rest % 5);
            rest = rest / 5 + seed;
        }
        mkv_log_filter_format(&filter, text);
        const struct mkv_log_filter again = parsed(text);
        assert_memory_equal(&again, &filter, sizeof filter);
    }
}

static void test_find__names_of_targets__are_theirs(void **state) {
    (void)state;
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        assert_int_equal(mkv_log_target_find(mkv_log_targets[target]), target);
    }
    assert_int_equal(mkv_log_target_find("what"), MKV_LOG_SERVER_NODE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__one_level__is_that_of_all_targets),
        cmocka_unit_test(test_parse__targets__others_are_at_info),
        cmocka_unit_test(test_parse__several_fit__the_longest_decides_in_any_order),
        cmocka_unit_test(test_parse__wrong__is_refused_by_name),
        cmocka_unit_test(test_format__any_levels__are_parsed_back),
        cmocka_unit_test(test_find__names_of_targets__are_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
