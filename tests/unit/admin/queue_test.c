/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS 4u
#define ITEMS_OF_A_THREAD 20000u
#define CAPACITY 64u

struct item {
    uint32_t thread;
    uint32_t number;
    uint64_t check; /* of the two, so that a half of another item shows */
};

static uint64_t check_of(uint32_t thread, uint32_t number) {
    return ((uint64_t)thread << 32 | number) * 0x9e3779b97f4a7c15ull;
}

static bool put(struct mkv_queue *queue, uint32_t thread, uint32_t number) {
    uint64_t ticket;
    struct item *item = mkv_queue_reserve(queue, &ticket);
    if (item == NULL) {
        return false;
    }
    *item = (struct item){thread, number, check_of(thread, number)};
    mkv_queue_publish(queue, ticket);
    return true;
}

static void test_reserve__full__refuses_the_newest_until_one_is_taken(void **state) {
    (void)state;
    struct mkv_queue *queue = mkv_queue_create(5, sizeof(struct item));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 5; i++) {
            assert_true(put(queue, round, i));
        }
        assert_false(put(queue, round, 5));
        for (uint32_t i = 0; i < 5; i++) {
            const struct item *item = mkv_queue_next(queue);
            assert_non_null(item);
            assert_int_equal(item->thread, round);
            assert_int_equal(item->number, i);
            mkv_queue_take(queue);
        }
        assert_null(mkv_queue_next(queue));
    }
    assert_int_equal(mkv_queue_taken(queue), 15);
    assert_int_equal(mkv_queue_reserved(queue), 15);
    mkv_queue_destroy(queue);
}

static void test_next__reserved_and_not_published__waits_for_it(void **state) {
    (void)state;
    struct mkv_queue *queue = mkv_queue_create(4, sizeof(struct item));
    uint64_t ticket;
    struct item *first = mkv_queue_reserve(queue, &ticket);
    assert_non_null(first);
    assert_true(put(queue, 0, 2));
    assert_null(mkv_queue_next(queue)); /* the second is there, and comes second */
    first->number = 1;
    mkv_queue_publish(queue, ticket);
    assert_int_equal(((const struct item *)mkv_queue_next(queue))->number, 1);
    mkv_queue_take(queue);
    assert_int_equal(((const struct item *)mkv_queue_next(queue))->number, 2);
    mkv_queue_destroy(queue);
}

struct producer {
    struct mkv_queue *queue;
    atomic_uint *ended_count;
    uint32_t thread;
    uint32_t refused;
};

static void *produce(void *context) {
    struct producer *producer = context;
    for (uint32_t i = 0; i < ITEMS_OF_A_THREAD; i++) {
        if (!put(producer->queue, producer->thread, i)) {
            producer->refused++;
            sched_yield();
        }
    }
    atomic_fetch_add(producer->ended_count, 1);
    return NULL;
}

/* Every item is whole, in its thread's order, and taken once or refused. */
static void test_threads__many_items__each_is_taken_or_refused(void **state) {
    (void)state;
    struct mkv_queue *queue = mkv_queue_create(CAPACITY, sizeof(struct item));
    struct producer producers[THREADS];
    pthread_t threads[THREADS];
    int64_t last[THREADS];
    atomic_uint ended_count = 0;
    uint64_t taken = 0;
    uint64_t refused = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        last[i] = -1;
        producers[i] = (struct producer){.queue = queue, .ended_count = &ended_count, .thread = i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    /* Looked at before the queue is: what ended threads have put is there then. */
    for (bool ended = false; !ended;) {
        ended = atomic_load(&ended_count) == THREADS;
        const struct item *item;
        while ((item = mkv_queue_next(queue)) != NULL) {
            assert_true(item->thread < THREADS);
            assert_true(item->check == check_of(item->thread, item->number));
            assert_true((int64_t)item->number > last[item->thread]);
            last[item->thread] = item->number;
            mkv_queue_take(queue);
            taken++;
        }
        sched_yield();
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        refused += producers[i].refused;
    }
    assert_int_equal(refused + taken, THREADS * ITEMS_OF_A_THREAD);
    mkv_queue_destroy(queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserve__full__refuses_the_newest_until_one_is_taken),
        cmocka_unit_test(test_next__reserved_and_not_published__waits_for_it),
        cmocka_unit_test(test_threads__many_items__each_is_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
