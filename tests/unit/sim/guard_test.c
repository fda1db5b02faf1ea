/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guard.h"

#include "tests/unit/sim/test.h"

static uint8_t memory[100];

static void test_guard__readers_of_the_same_bytes__may_share(void **state) {
    (void)state;
    static struct mkv_guard guard;
    mkv_guard_reset(&guard);
    mkv_guard_take(&guard, memory, 10, false, "push");
    mkv_guard_take(&guard, memory + 5, 10, false, "push");
    mkv_guard_release(&guard, memory, 10, false);
    mkv_guard_release(&guard, memory + 5, 10, false);
    assert_int_equal(guard.count, 0);
}

static void test_guard__writer_and_another__fires_o16(void **state) {
    (void)state;
    static struct mkv_guard guard;
    mkv_guard_reset(&guard);
    mkv_guard_take(&guard, memory + 10, 10, true, "drive read");
    EXPECT_FAILURE(MKV_ORACLE_BUFFERS, mkv_guard_take(&guard, memory + 19, 10, false, "push"));
    EXPECT_FAILURE(MKV_ORACLE_BUFFERS, mkv_guard_take(&guard, memory, 11, true, "pull"));
    mkv_guard_take(&guard, memory, 10, true, "pull"); /* beside it */
    mkv_guard_take(&guard, memory + 20, 10, true, "pull");
    mkv_guard_take(&guard, memory + 15, 0, true, "pull"); /* of nothing */
    mkv_guard_release(&guard, memory + 10, 10, true);
    mkv_guard_take(&guard, memory + 15, 5, true, "pull");
}

static void test_guard__giving_back_what_nobody_took__is_an_error(void **state) {
    (void)state;
    static struct mkv_guard guard;
    mkv_guard_reset(&guard);
    mkv_guard_take(&guard, memory, 10, true, "pull");
    EXPECT_FAILURE(MKV_ORACLE_ASSERTION, mkv_guard_release(&guard, memory, 9, true));
    mkv_guard_reset(&guard);
    mkv_guard_take(&guard, memory, 10, true, "pull");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard__readers_of_the_same_bytes__may_share),
        cmocka_unit_test(test_guard__writer_and_another__fires_o16),
        cmocka_unit_test(test_guard__giving_back_what_nobody_took__is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
