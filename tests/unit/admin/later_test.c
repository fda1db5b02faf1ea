/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/later.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/admin/test.h"

/* Longer than any test may take: only a close ends it. */
#define LONG_S 100000u

/* A connection that sleeps until it is woken. */
struct sleeper {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t wakes;
};

static struct sleeper sleeper_make(void) {
    return (struct sleeper){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
}

static void wake(void *context) {
    struct sleeper *sleeper = context;
    pthread_mutex_lock(&sleeper->mutex);
    sleeper->wakes++;
    pthread_cond_broadcast(&sleeper->changed);
    pthread_mutex_unlock(&sleeper->mutex);
}

static void wait_for_wake(struct sleeper *sleeper) {
    pthread_mutex_lock(&sleeper->mutex);
    while (sleeper->wakes == 0) {
        pthread_cond_wait(&sleeper->changed, &sleeper->mutex);
    }
    assert_int_equal(sleeper->wakes, 1);
    pthread_mutex_unlock(&sleeper->mutex);
}

/* Says whether it slept for as long as it was told to. */
static struct mkv_admin_reply sleep_and_say(struct mkv_later *later, uint64_t seconds) {
    return mkv_admin_reply_text(200, mkv_later_sleep(later, seconds) ? "slept" : "closed");
}

static void expect_end(struct mkv_later *later, const char *text) {
    const struct mkv_admin_reply reply = mkv_later_end(later);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, text);
    free(reply.body);
}

static void test_later__begun__is_made_and_wakes_once(void **state) {
    (void)state;
    struct sleeper sleeper = sleeper_make();
    struct mkv_later *later = mkv_later_create();
    assert_true(mkv_later_take(later, sleep_and_say, 0));
    mkv_later_begin(later, wake, &sleeper);
    wait_for_wake(&sleeper);
    expect_end(later, "slept");
    mkv_later_close(later);
    mkv_later_destroy(later);
}

static void test_later__taken__is_nobody_elses_until_its_end(void **state) {
    (void)state;
    struct sleeper sleeper = sleeper_make();
    struct mkv_later *later = mkv_later_create();
    assert_true(mkv_later_take(later, sleep_and_say, 0));
    assert_false(mkv_later_take(later, sleep_and_say, 0));
    mkv_later_begin(later, wake, &sleeper);
    wait_for_wake(&sleeper);
    assert_false(mkv_later_take(later, sleep_and_say, 0));
    expect_end(later, "slept");
    struct sleeper second = sleeper_make();
    assert_true(mkv_later_take(later, sleep_and_say, 0));
    mkv_later_begin(later, wake, &second);
    wait_for_wake(&second);
    expect_end(later, "slept");
    mkv_later_close(later);
    mkv_later_destroy(later);
}

static void test_later__closed__cuts_sleep_short_and_takes_nobody(void **state) {
    (void)state;
    struct sleeper sleeper = sleeper_make();
    struct mkv_later *later = mkv_later_create();
    assert_true(mkv_later_take(later, sleep_and_say, LONG_S));
    mkv_later_begin(later, wake, &sleeper);
    mkv_later_close(later);
    /* Whoever closed can rely on it that the connection was woken. */
    assert_int_equal(sleeper.wakes, 1);
    assert_false(mkv_later_take(later, sleep_and_say, 0));
    expect_end(later, "closed");
    assert_false(mkv_later_take(later, sleep_and_say, 0));
    mkv_later_destroy(later);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later__begun__is_made_and_wakes_once),
        cmocka_unit_test(test_later__taken__is_nobody_elses_until_its_end),
        cmocka_unit_test(test_later__closed__cuts_sleep_short_and_takes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
