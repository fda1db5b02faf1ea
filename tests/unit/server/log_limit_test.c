/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#define SECOND_NS 1000000000ull
#define THREADS 4u
#define LINES_OF_A_THREAD 10000u

static const struct mkv_log_site_limit bounds = {"test", 10, 2};

static void test_admit__many_lines__ten_in_a_window(void **state) {
    (void)state;
    struct mkv_log_limit limit = {0};
    uint64_t suppressed;
    const uint64_t start_ns = 5 * SECOND_NS;
    for (uint32_t i = 0; i < bounds.lines_max; i++) {
        assert_true(mkv_log_limit_admit(&limit, &bounds, start_ns + i, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(
            mkv_log_limit_admit(&limit, &bounds, start_ns + 2 * SECOND_NS - 1, &suppressed));
    }
    /* The first line of the next window says what was lost, the one after it nothing. */
    assert_true(mkv_log_limit_admit(&limit, &bounds, start_ns + 2 * SECOND_NS, &suppressed));
    assert_int_equal(suppressed, 3);
    assert_true(mkv_log_limit_admit(&limit, &bounds, start_ns + 2 * SECOND_NS, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void test_settle__window_over__takes_the_count_once(void **state) {
    (void)state;
    struct mkv_log_limit limit = {0};
    uint64_t suppressed;
    const uint64_t start_ns = 5 * SECOND_NS;
    for (uint32_t i = 0; i < bounds.lines_max + 7; i++) {
        (void)mkv_log_limit_admit(&limit, &bounds, start_ns, &suppressed);
    }
    assert_int_equal(mkv_log_limit_settle(&limit, &bounds, start_ns + 2 * SECOND_NS - 1), 0);
    assert_int_equal(mkv_log_limit_settle(&limit, &bounds, start_ns + 2 * SECOND_NS), 7);
    assert_int_equal(mkv_log_limit_settle(&limit, &bounds, start_ns + 2 * SECOND_NS), 0);
}

struct racer {
    struct mkv_log_limit *limit;
    uint64_t admitted;
    uint64_t told; /* as suppressed */
};

static void *race(void *context) {
    struct racer *racer = context;
    for (uint32_t i = 0; i < LINES_OF_A_THREAD; i++) {
        uint64_t suppressed;
        /* The windows go by while others are in them. */
        const uint64_t now_ns = 5 * SECOND_NS + i * (SECOND_NS / 100);
        racer->admitted += mkv_log_limit_admit(racer->limit, &bounds, now_ns, &suppressed);
        racer->told += suppressed;
    }
    return NULL;
}

static void test_admit__threads_race__each_line_is_admitted_or_counted(void **state) {
    (void)state;
    struct mkv_log_limit limit = {0};
    struct racer racers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){.limit = &limit};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += racers[i].admitted + racers[i].told;
    }
    sum += mkv_log_limit_settle(&limit, &bounds, UINT64_MAX);
    assert_int_equal(sum, THREADS * LINES_OF_A_THREAD);
}

static void test_limits__of_every_site__are_set(void **state) {
    (void)state;
    for (uint32_t site = 0; site < MKV_LOG_SITE_COUNT; site++) {
        assert_non_null(mkv_log_site_limits[site].name);
        assert_true(mkv_log_site_limits[site].lines_max > 0);
        assert_true(mkv_log_site_limits[site].window_s > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admit__many_lines__ten_in_a_window),
        cmocka_unit_test(test_settle__window_over__takes_the_count_once),
        cmocka_unit_test(test_admit__threads_race__each_line_is_admitted_or_counted),
        cmocka_unit_test(test_limits__of_every_site__are_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
