/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/exhaustive.h"

#include "sim/run.h"
#include "tests/unit/sim/test.h"

static struct mkv_exhaustive_outcome outcome;

static struct mkv_memory *run_memory(void) {
    static struct mkv_memory memory;
    if (memory.bytes == NULL) {
        assert_true(mkv_run_memory_create(&memory));
    }
    return &memory;
}

static void test_exhaustive__one_operation__passes_and_is_the_same_each_time(void **state) {
    (void)state;
    assert_true(mkv_exhaustive_run(1, 120, run_memory(), &outcome));
    const struct mkv_exhaustive_outcome first = outcome;
    if (outcome.failure_count > 0) {
        fail_msg("%s", outcome.failures[0].failure.text);
    }
    assert_true(outcome.complete);
    assert_int_equal(outcome.sequences, 9);
    assert_true(outcome.crash_points > 9 * 5);
    assert_true(outcome.ends > 2 * outcome.crash_points);
    assert_true(outcome.recoveries > outcome.crash_points / 4);
    assert_true(outcome.recoveries < outcome.ends);
    assert_int_equal(outcome.points_cut, 0);
    assert_true(outcome.ends_widest >= 9); /* two units of a slot in flight, by kill */
    assert_true(mkv_exhaustive_run(1, 120, run_memory(), &outcome));
    assert_true(outcome.ends == first.ends && outcome.recoveries == first.recoveries &&
                outcome.evaluations == first.evaluations);
}

static void test_exhaustive__time_is_over__says_that_it_is_not_complete(void **state) {
    (void)state;
    assert_true(mkv_exhaustive_run(3, 0.01, run_memory(), &outcome));
    assert_false(outcome.complete);
    assert_int_equal(outcome.failure_count, 0);
}

static void test_exhaustive_case__log__has_the_steps_and_the_crash(void **state) {
    (void)state;
    struct mkv_exhaustive_case at = {.crash_after = 9, .end = 0};
    struct mkv_failure failure;
    char text[64 * 1024];
    assert_true(mkv_exhaustive_parse("put b 1 | delete a", &at) == false);
    assert_true(mkv_exhaustive_parse("put a 1 | delete a", &at));
    FILE *log = tmpfile();
    assert_non_null(log);
    assert_false(mkv_exhaustive_run_case(&at, run_memory(), log, &failure));
    rewind(log);
    text[fread(text, 1, sizeof text - 1, log)] = 0;
    (void)fclose(log);
    const char *put = strstr(text, "PUT_BEGIN");
    const char *removal = strstr(text, "DELETE");
    const char *crash = strstr(text, "power lost");
    assert_true(put != NULL && removal != NULL && crash != NULL);
    assert_true(put < removal && removal < crash);
    assert_non_null(strstr(crash + 1, "power lost")); /* again, with nothing asked */
}

static void test_exhaustive_text__what_is_parsed__is_printed_again(void **state) {
    (void)state;
    static const char *const good[] = {
        "put a 1", "put a 1 expiring, wait, get a", "delete a | put a 2, close",
        "wait",    "checkpoint | replace a 2",      "get a | put b 1 | delete b",
        "close",
    };
    static const char *const bad[] = {
        "",
        "put",
        "put a 1,delete a",
        "put a 1, ",
        "close, get a",
        "put a 1 | close",
        "wait | get a",
        "put b 1",
        "get a, get a, get a, get a",
    };
    char text[MKV_EXHAUSTIVE_TEXT_BYTES];
    struct mkv_exhaustive_case at;
    for (uint32_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        assert_true(mkv_exhaustive_parse(good[index], &at));
        assert_string_equal(mkv_exhaustive_text(&at, text), good[index]);
    }
    for (uint32_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        assert_false(mkv_exhaustive_parse(bad[index], &at));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exhaustive__one_operation__passes_and_is_the_same_each_time),
        cmocka_unit_test(test_exhaustive__time_is_over__says_that_it_is_not_complete),
        cmocka_unit_test(test_exhaustive_case__log__has_the_steps_and_the_crash),
        cmocka_unit_test(test_exhaustive_text__what_is_parsed__is_printed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
