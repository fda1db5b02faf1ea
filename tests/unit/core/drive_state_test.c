/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drive_state.h"

#include <string.h>

#include "tests/unit/core/test.h"

#define V(state) MKV_VOLUME_##state
#define S(state) MKV_DRIVE_STATE_##state

static void test_drive_state_of__each_row_of_the_table__its_state(void **state) {
    (void)state;
    const struct {
        struct mkv_drive_situation situation;
        enum mkv_drive_state state;
    } cases[] = {
        {{.volume = V(CLOSED), .refused = true, .failure = MKV_DRIVE_FAILURE_FOREIGN}, S(FOREIGN)},
        {{.volume = V(CLOSED), .absent = true}, S(OFFLINE)},
        {{.volume = V(FAILED), .opened = true, .taken_off = true}, S(OFFLINE)},
        {{.volume = V(FAILED), .opened = true}, S(FAILED)},
        {{.volume = V(FAILED), .opened = true, .failure = MKV_DRIVE_FAILURE_GONE}, S(FAILED)},
        {{.volume = V(FAILED)}, S(OFFLINE)},
        {{.volume = V(CLOSED), .opened = true}, S(OFFLINE)},
        {{.volume = V(CLOSED), .refused = true}, S(OFFLINE)},
        {{.volume = V(CLOSED), .refused = true, .failure = MKV_DRIVE_FAILURE_SHRUNK}, S(OFFLINE)},
        {{.volume = V(CLOSED)}, S(RECOVERING)},
        {{.volume = V(CLOSED), .node_serves = true}, S(NEW)},
        {{.volume = V(FORMATTING)}, S(NEW)},
        {{.volume = V(RECOVERING)}, S(RECOVERING)},
        {{.volume = V(RECOVERING), .node_serves = true}, S(NEW)},
        {{.volume = V(CLOSING), .opened = true}, S(DRAINING)},
        {{.volume = V(CLOSING), .opened = true, .taken_off = true}, S(DRAINING)},
        {{.volume = V(SERVING), .opened = true}, S(ONLINE)},
        {{.volume = V(SERVING), .opened = true, .slow = true}, S(SLOW)},
        {{.volume = V(SERVING), .opened = true, .stalled = true, .slow = true}, S(OFFLINE)},
        {{.volume = V(SERVING), .opened = true, .drains = true, .slow = true}, S(DRAINING)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mkv_drive_state_of(&cases[i].situation), cases[i].state);
    }
}

static void test_drive_state_serves__only_those_that_take_puts(void **state) {
    (void)state;
    for (uint32_t i = 0; i < MKV_DRIVE_STATE_COUNT; i++) {
        assert_int_equal(mkv_drive_state_serves((enum mkv_drive_state)i),
                         i == S(ONLINE) || i == S(SLOW));
    }
}

/* Dashboards and alerts have these words. */
static void test_words__are_those_of_the_contract(void **state) {
    (void)state;
    const char *const states[] = {"new",      "recovering", "online", "slow",
                                  "draining", "offline",    "failed", "foreign"};
    const char *const failures[] = {"none",      "io_error", "timeout", "gone",
                                    "read_only", "shrunk",   "foreign"};
    for (uint32_t i = 0; i < MKV_DRIVE_STATE_COUNT; i++) {
        assert_string_equal(mkv_drive_state_words[i], states[i]);
    }
    for (uint32_t i = 0; i < MKV_DRIVE_FAILURE_COUNT; i++) {
        assert_string_equal(mkv_drive_failure_words[i], failures[i]);
        assert_true(strlen(mkv_drive_failure_text((enum mkv_drive_failure)i)) > 0);
    }
    assert_null(mkv_drive_state_words[MKV_DRIVE_STATE_COUNT]);
    assert_null(mkv_drive_failure_words[MKV_DRIVE_FAILURE_COUNT]);
}

static void test_failure_of__results_and_errors__their_class(void **state) {
    (void)state;
    const enum mkv_drive_failure by_result[MKV_IO_RESULT_COUNT] = {
        [MKV_IO_OK] = MKV_DRIVE_FAILURE_NONE,
        [MKV_IO_MEDIUM] = MKV_DRIVE_FAILURE_IO_ERROR,
        [MKV_IO_DEVICE] = MKV_DRIVE_FAILURE_IO_ERROR,
        [MKV_IO_GONE] = MKV_DRIVE_FAILURE_GONE,
        [MKV_IO_NO_ROOM] = MKV_DRIVE_FAILURE_IO_ERROR,
        [MKV_IO_TIMEOUT] = MKV_DRIVE_FAILURE_TIMEOUT,
        [MKV_IO_READ_ONLY] = MKV_DRIVE_FAILURE_READ_ONLY,
        [MKV_IO_SHRUNK] = MKV_DRIVE_FAILURE_SHRUNK,
    };
    for (uint32_t i = 0; i < MKV_IO_RESULT_COUNT; i++) {
        assert_int_equal(mkv_drive_failure_of_result((enum mkv_io_result)i), by_result[i]);
    }
    assert_int_equal(mkv_drive_failure_of_err(MKV_OK), MKV_DRIVE_FAILURE_NONE);
    assert_int_equal(mkv_drive_failure_of_err(MKV_ERR_DRIVE_IO), MKV_DRIVE_FAILURE_IO_ERROR);
    assert_int_equal(mkv_drive_failure_of_err(MKV_ERR_SHRUNK), MKV_DRIVE_FAILURE_SHRUNK);
    assert_int_equal(mkv_drive_failure_of_err(MKV_ERR_FOREIGN), MKV_DRIVE_FAILURE_FOREIGN);
    assert_int_equal(mkv_drive_failure_of_err(MKV_ERR_NOT_FORMATTED), MKV_DRIVE_FAILURE_FOREIGN);
    assert_int_equal(mkv_drive_failure_of_err(MKV_CORRUPT_SUPERBLOCK), MKV_DRIVE_FAILURE_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drive_state_of__each_row_of_the_table__its_state),
        cmocka_unit_test(test_drive_state_serves__only_those_that_take_puts),
        cmocka_unit_test(test_words__are_those_of_the_contract),
        cmocka_unit_test(test_failure_of__results_and_errors__their_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
