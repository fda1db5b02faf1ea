/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/spin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIMIT_NS 100000u

/* A wait that what is waited for ends after `wait_ns`; returns how much of it is polled. */
static uint64_t wait_for(struct mkv_spin *spin, uint64_t *now_ns, uint64_t wait_ns) {
    const uint64_t end_ns = mkv_spin_end_ns(spin, *now_ns);
    const uint64_t polled_ns = mkv_min_u64(end_ns - *now_ns, wait_ns);
    /* It is asked again and again while it polls. */
    assert_int_equal(mkv_spin_end_ns(spin, *now_ns + polled_ns), end_ns);
    *now_ns += wait_ns;
    mkv_spin_came(spin, *now_ns);
    return polled_ns;
}

static void test_spin__short_waits__are_polled_for_whole(void **state) {
    struct mkv_spin spin;
    uint64_t now_ns = 1;
    (void)state;
    mkv_spin_init(&spin, LIMIT_NS);
    for (uint32_t wait = 0; wait < 1000; wait++) {
        const uint64_t wait_ns = 4000 + wait % 7 * 500;
        assert_int_equal(wait_for(&spin, &now_ns, wait_ns), wait_ns);
    }
    /* And what is polled for is not much longer than they are. */
    assert_true(mkv_spin_end_ns(&spin, now_ns) - now_ns <= 2 * 7000);
}

static void test_spin__long_waits__are_slept_through_but_for_a_trial(void **state) {
    struct mkv_spin spin;
    uint64_t now_ns = 1;
    uint64_t polled_ns = 0;
    uint32_t trials = 0;
    (void)state;
    mkv_spin_init(&spin, LIMIT_NS);
    for (uint32_t wait = 0; wait < 64 * MKV_SPIN_TRIAL_EVERY; wait++) {
        const uint64_t one_ns = wait_for(&spin, &now_ns, 10 * LIMIT_NS);
        assert_true(one_ns <= LIMIT_NS);
        trials += wait > MKV_SPIN_TRIAL_EVERY && one_ns == LIMIT_NS;
        polled_ns += one_ns;
    }
    assert_in_range(trials, 60, 64);
    assert_true(polled_ns <= (2 + 64) * (uint64_t)LIMIT_NS); /* S1 */
}

/* Where sleeping is what makes waits long, a trial finds out that they are not. */
static void test_spin__only_the_sleep_is_long__polls_again(void **state) {
    struct mkv_spin spin;
    uint64_t now_ns = 1;
    uint32_t slept = 0;
    (void)state;
    mkv_spin_init(&spin, LIMIT_NS);
    for (uint32_t wait = 0; wait < 100; wait++) {
        (void)wait_for(&spin, &now_ns, 10 * LIMIT_NS);
    }
    for (uint32_t wait = 0; wait < 1000; wait++) {
        const bool is_polled = mkv_spin_end_ns(&spin, now_ns) > now_ns + LIMIT_NS / 4;
        slept += !is_polled;
        (void)wait_for(&spin, &now_ns, is_polled ? LIMIT_NS / 4 : 20 * LIMIT_NS);
    }
    assert_true(slept <= MKV_SPIN_TRIAL_EVERY);
}

static void test_spin__limit_is_0__never_polls(void **state) {
    struct mkv_spin spin;
    uint64_t now_ns = 1;
    (void)state;
    mkv_spin_init(&spin, 0);
    for (uint32_t wait = 0; wait < 100; wait++) {
        assert_int_equal(wait_for(&spin, &now_ns, wait % 2 * 50), 0);
    }
}

static void test_spin__restart__is_another_wait(void **state) {
    struct mkv_spin spin;
    uint64_t now_ns = 1;
    (void)state;
    mkv_spin_init(&spin, LIMIT_NS);
    for (uint32_t wait = 0; wait < 8; wait++) {
        (void)wait_for(&spin, &now_ns, 10000);
    }
    /* Nothing was wanted for a long time: what is wanted now is polled for as before. */
    assert_true(mkv_spin_end_ns(&spin, now_ns) < now_ns + LIMIT_NS);
    now_ns += 100 * LIMIT_NS;
    mkv_spin_restart(&spin);
    assert_int_equal(wait_for(&spin, &now_ns, 10000), 10000);
    /* Something has come that nobody waited for. */
    mkv_spin_came(&spin, now_ns + 50 * LIMIT_NS);
    assert_int_equal(wait_for(&spin, &now_ns, 10000), 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spin__short_waits__are_polled_for_whole),
        cmocka_unit_test(test_spin__long_waits__are_slept_through_but_for_a_trial),
        cmocka_unit_test(test_spin__only_the_sleep_is_long__polls_again),
        cmocka_unit_test(test_spin__limit_is_0__never_polls),
        cmocka_unit_test(test_spin__restart__is_another_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
