/* SPDX-License-Identifier: Apache-2.0 */
/* Rings between three shards, of which one thread plays all; and two that are threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "server/shard_relay.h"

#define SHARDS 3u
#define RECORDS 20000u

static void configure(struct mkv_router_config *config, uint32_t shard) {
    memset(config, 0, sizeof *config);
    config->shard = shard;
    config->shard_count = SHARDS;
    mkv_front_config_default(&config->front);
    config->front.volume_count = SHARDS;
    for (uint32_t volume = 0; volume < SHARDS; volume++) {
        config->front.members[volume].weight = 1;
        config->front.members[volume].uuid.bytes[0] = (uint8_t)(volume + 1);
        config->front.foreign[volume] = volume != shard;
        config->volume_shards[volume] = volume;
    }
    assert_null(mkv_router_config_fault(config));
}

static struct mkv_shard_relay *relay_create(void) {
    struct mkv_router_config *configs = calloc(SHARDS, sizeof *configs);
    assert_non_null(configs);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        configure(&configs[shard], shard);
    }
    struct mkv_shard_relay *relay = mkv_shard_relay_create(configs, SHARDS);
    assert_non_null(relay);
    free(configs);
    return relay;
}

/* A record whose head is a number, and whose tail is as long as that says, of its bytes. */
static void record_send(struct mkv_shard_relay *relay, uint32_t from, uint32_t to, uint64_t number,
                        bool lazy) {
    uint8_t tail[256];
    memset(tail, (int)(number & 0xff), sizeof tail);
    const struct mkv_router_output output = {
        .kind = MKV_ROUTER_SEND,
        .shard = to,
        .head = &number,
        .head_bytes = sizeof number,
        .tail = tail,
        .tail_bytes = (uint32_t)(number % sizeof tail),
    };
    mkv_shard_relay_send(relay, from, &output, lazy);
}

/* MKV_ASSERT, since it is called on threads, too. False: there is none. */
static bool record_take(struct mkv_shard_relay *relay, uint32_t shard, uint32_t from,
                        uint64_t number) {
    uint32_t bytes;
    const uint8_t *record = mkv_shard_relay_peek(relay, shard, from, &bytes);
    if (record == NULL) {
        return false;
    }
    uint64_t head;
    memcpy(&head, record, sizeof head);
    MKV_ASSERT((uintptr_t)record % 8 == 0);
    MKV_ASSERT(head == number);
    MKV_ASSERT(bytes == sizeof head + number % 256);
    for (uint32_t i = sizeof head; i < bytes; i++) {
        MKV_ASSERT(record[i] == (uint8_t)number);
    }
    mkv_shard_relay_next(relay, shard, from);
    return true;
}

static struct mkv_ring *ring_create(void) {
    struct mkv_ring *ring = NULL;
    struct mkv_backend_error error;
    const struct mkv_ring_options options = {.entries = 8};
    assert_true(mkv_ring_create(&options, &ring, &error));
    return ring;
}

static void test_shard_relay__records_of_all_pairs__keep_their_order(void **state) {
    (void)state;
    struct mkv_shard_relay *relay = relay_create();
    for (uint64_t number = 0; number < 300; number++) {
        record_send(relay, 0, 1, number, number % 3 == 0);
        record_send(relay, 1, 0, number + 7, false);
        record_send(relay, 2, 1, number + 9, false);
    }
    for (uint64_t number = 0; number < 300; number++) {
        assert_true(record_take(relay, 1, 0, number));
        assert_true(record_take(relay, 0, 1, number + 7));
        assert_true(record_take(relay, 1, 2, number + 9));
    }
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        for (uint32_t from = 0; from < SHARDS; from++) {
            assert_true(from == shard || !record_take(relay, shard, from, 0));
        }
    }
    mkv_shard_relay_destroy(relay);
}

static void test_shard_relay__asleep__woken_once_for_a_flush(void **state) {
    (void)state;
    struct mkv_shard_relay *relay = relay_create();
    struct mkv_ring *ring = ring_create();
    mkv_shard_relay_enter(relay, 1, ring);
    assert_true(mkv_shard_relay_may_sleep(relay, 1));
    record_send(relay, 0, 1, 1, false);
    record_send(relay, 0, 1, 2, false);
    (void)mkv_ring_wait(ring, 0);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 0); /* not before the flush */
    assert_int_equal(mkv_shard_relay_flush(relay, 0, 5), UINT64_MAX);
    assert_int_equal(mkv_shard_relay_flush(relay, 0, 6), UINT64_MAX);
    (void)mkv_ring_wait(ring, MKV_RING_WAIT_FOREVER);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 1);
    mkv_shard_relay_awake(relay, 1);

    /* One that is awake looks by itself, and may not sleep before it has. */
    record_send(relay, 0, 1, 3, false);
    (void)mkv_shard_relay_flush(relay, 0, 7);
    (void)mkv_ring_wait(ring, 0);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 1);
    assert_false(mkv_shard_relay_may_sleep(relay, 1));
    for (uint64_t number = 1; number <= 3; number++) {
        assert_true(record_take(relay, 1, 0, number));
    }
    assert_true(mkv_shard_relay_may_sleep(relay, 1));
    /* … and a flush behind one that woke it does not wake it again. */
    record_send(relay, 0, 1, 4, false);
    (void)mkv_shard_relay_flush(relay, 0, 8);
    record_send(relay, 2, 1, 5, false);
    (void)mkv_shard_relay_flush(relay, 2, 8);
    (void)mkv_ring_wait(ring, MKV_RING_WAIT_FOREVER);
    (void)mkv_ring_wait(ring, 0);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 2);
    mkv_shard_relay_destroy(relay);
    mkv_ring_destroy(ring);
}

static void test_shard_relay__nobody_waits_for_it__woken_a_while_later(void **state) {
    (void)state;
    struct mkv_shard_relay *relay = relay_create();
    struct mkv_ring *ring = ring_create();
    const uint64_t begin_ns = 1000;
    const uint64_t due_ns = begin_ns + MKV_SHARD_RELAY_LAZY_NS;
    mkv_shard_relay_enter(relay, 2, ring);
    assert_true(mkv_shard_relay_may_sleep(relay, 2));
    record_send(relay, 0, 2, 1, true);
    assert_int_equal(mkv_shard_relay_flush(relay, 0, begin_ns), due_ns);
    record_send(relay, 0, 2, 2, true);
    assert_int_equal(mkv_shard_relay_flush(relay, 0, due_ns - 1), due_ns);
    (void)mkv_ring_wait(ring, 0);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 0);
    assert_int_equal(mkv_shard_relay_flush(relay, 0, due_ns), UINT64_MAX);
    (void)mkv_ring_wait(ring, MKV_RING_WAIT_FOREVER);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 1);
    mkv_shard_relay_awake(relay, 2);
    assert_true(record_take(relay, 2, 0, 1));
    assert_true(record_take(relay, 2, 0, 2));

    /* What somebody waits for takes along what nobody does. */
    assert_true(mkv_shard_relay_may_sleep(relay, 2));
    record_send(relay, 0, 2, 3, true);
    assert_int_equal(mkv_shard_relay_flush(relay, 0, 2 * due_ns),
                     2 * due_ns + MKV_SHARD_RELAY_LAZY_NS);
    record_send(relay, 0, 2, 4, false);
    assert_int_equal(mkv_shard_relay_flush(relay, 0, 2 * due_ns + 1), UINT64_MAX);
    (void)mkv_ring_wait(ring, MKV_RING_WAIT_FOREVER);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 2);
    mkv_shard_relay_destroy(relay);
    mkv_ring_destroy(ring);
}

/* ---- two threads ----------------------------------------------------------------------------- */

struct player {
    struct mkv_shard_relay *relay;
    uint32_t shard;
    uint32_t other;
    struct mkv_ring *ring;
};

/* Sends numbers on, as rounds of a shard do; it sleeps for ever when a wake-up is lost. */
static void *play(void *context) {
    const struct player *player = context;
    uint64_t sent = 0;
    uint64_t taken = 0;
    while (taken < RECORDS) {
        while (record_take(player->relay, player->shard, player->other, taken)) {
            taken++;
        }
        /* At most 16 are on their way. */
        for (; sent < RECORDS && sent < taken + 16; sent++) {
            record_send(player->relay, player->shard, player->other, sent, false);
        }
        (void)mkv_shard_relay_flush(player->relay, player->shard, 1);
        const bool may_sleep = mkv_shard_relay_may_sleep(player->relay, player->shard);
        (void)mkv_ring_wait(player->ring, may_sleep && taken < RECORDS ? MKV_RING_WAIT_FOREVER : 0);
        mkv_shard_relay_awake(player->relay, player->shard);
    }
    return NULL;
}

static void test_shard_relay__two_threads_that_sleep__lose_no_wake_up(void **state) {
    (void)state;
    struct mkv_shard_relay *relay = relay_create();
    struct player players[2] = {{relay, 0, 1, ring_create()}, {relay, 1, 0, ring_create()}};
    pthread_t threads[2];
    for (uint32_t i = 0; i < 2; i++) {
        mkv_shard_relay_enter(relay, i, players[i].ring);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        mkv_ring_destroy(players[i].ring);
    }
    mkv_shard_relay_destroy(relay);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shard_relay__records_of_all_pairs__keep_their_order),
        cmocka_unit_test(test_shard_relay__asleep__woken_once_for_a_flush),
        cmocka_unit_test(test_shard_relay__nobody_waits_for_it__woken_a_while_later),
        cmocka_unit_test(test_shard_relay__two_threads_that_sleep__lose_no_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
