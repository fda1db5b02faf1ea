/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "backends/clock.h"

static void test_clock__monotonic__counts_nanoseconds(void **state) {
    (void)state;
    uint64_t before = mkv_clock_monotonic_ns();
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    assert_in_range(mkv_clock_monotonic_ns() - before, 20000000u, 20000000000u);
}

static void test_clock__wall__counts_milliseconds_of_unix_time(void **state) {
    (void)state;
    uint64_t seconds = (uint64_t)time(NULL);
    assert_in_range(mkv_clock_wall_ms(), (seconds - 1) * 1000, (seconds + 60) * 1000);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__monotonic__counts_nanoseconds),
        cmocka_unit_test(test_clock__wall__counts_milliseconds_of_unix_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
