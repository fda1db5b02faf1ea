/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at a shard's connections, with a thread that takes turns as a shard does. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/resp_visits.h"

#define TURNS 100u

struct shard {
    struct mkv_resp_visits *visits;
    pthread_t thread;
    atomic_bool ends;
    atomic_uint woken;
};

/* A fabric that is only passed on. */
#define FABRIC ((struct mkv_fabric_resp *)(void *)&fabric_place)
static const char fabric_place = 0;

static void wake(void *context) {
    struct shard *shard = context;
    atomic_fetch_add(&shard->woken, 1);
}

static void *take_turns(void *context) {
    struct shard *shard = context;
    while (!atomic_load(&shard->ends)) {
        mkv_resp_visits_turn(shard->visits, FABRIC);
    }
    mkv_resp_visits_end(shard->visits);
    return NULL;
}

struct looked {
    uint32_t count;
    pthread_t thread;
};

static void look(void *context, struct mkv_fabric_resp *fabric) {
    struct looked *looked = context;
    assert_ptr_equal(fabric, FABRIC);
    looked->count++;
    looked->thread = pthread_self();
}

static void test_resp_visits__asked_for__each_look_is_taken_once_by_the_shard(void **state) {
    (void)state;
    struct shard shard = {0};
    struct looked looked = {0};
    shard.visits = mkv_resp_visits_create(wake, &shard);
    assert_non_null(shard.visits);
    assert_int_equal(pthread_create(&shard.thread, NULL, take_turns, &shard), 0);
    for (uint32_t i = 1; i <= TURNS; i++) {
        assert_true(mkv_resp_visits_ask(shard.visits, look, &looked));
        assert_int_equal(looked.count, i);
        assert_true(pthread_equal(looked.thread, shard.thread));
    }
    assert_int_equal(atomic_load(&shard.woken), TURNS);
    atomic_store(&shard.ends, true);
    assert_int_equal(pthread_join(shard.thread, NULL), 0);
    mkv_resp_visits_destroy(shard.visits);
}

static void *end(void *context) {
    struct shard *shard = context;
    while (atomic_load(&shard->woken) == 0) {
    }
    mkv_resp_visits_end(shard->visits);
    return NULL;
}

static void test_resp_visits__shard_ends__who_waits_is_told_and_nothing_is_looked_at(void **state) {
    (void)state;
    struct shard shard = {0};
    struct looked looked = {0};
    shard.visits = mkv_resp_visits_create(wake, &shard);
    assert_non_null(shard.visits);
    assert_int_equal(pthread_create(&shard.thread, NULL, end, &shard), 0);
    assert_false(mkv_resp_visits_ask(shard.visits, look, &looked));
    assert_int_equal(pthread_join(shard.thread, NULL), 0);
    assert_false(mkv_resp_visits_ask(shard.visits, look, &looked));
    mkv_resp_visits_turn(shard.visits, FABRIC);
    assert_int_equal(looked.count, 0);
    mkv_resp_visits_destroy(shard.visits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_visits__asked_for__each_look_is_taken_once_by_the_shard),
        cmocka_unit_test(test_resp_visits__shard_ends__who_waits_is_told_and_nothing_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
