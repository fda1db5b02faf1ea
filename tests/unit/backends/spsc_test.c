/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ring.h"
#include "backends/spsc.h"

#define MESSAGES 60000u
#define RING_BYTES 4096u
#define SIZE_MAX_TESTED 600u

static uint32_t size_of(uint32_t number) {
    return 4 + (number * 2654435761u >> 8) % SIZE_MAX_TESTED;
}

static void fill(uint8_t *message, uint32_t number) {
    memset(message, (int)(number & 0xff), size_of(number));
    memcpy(message, &number, sizeof number);
}

static void check(const uint8_t *message, uint32_t bytes, uint32_t number) {
    uint32_t found;
    assert_int_equal(bytes, size_of(number));
    memcpy(&found, message, sizeof found);
    assert_int_equal(found, number);
    for (uint32_t i = sizeof found; i < bytes; i++) {
        assert_int_equal(message[i], number & 0xff);
    }
}

static void test_spsc__messages_of_all_sizes__come_whole_and_in_order(void **state) {
    (void)state;
    struct mkv_spsc *ring = mkv_spsc_create(RING_BYTES);
    assert_non_null(ring);
    uint32_t sent = 0;
    uint32_t seen = 0;
    uint32_t bytes;
    for (uint32_t round = 0; round < 2000; round++) {
        for (uint32_t i = 0; i < 1 + round % 7; i++) {
            uint8_t *room = mkv_spsc_begin(ring, size_of(sent));
            if (room == NULL) {
                break;
            }
            fill(room, sent);
            mkv_spsc_end(ring);
            sent++;
        }
        for (uint32_t i = 0; i < 1 + round % 5; i++) {
            const uint8_t *message = mkv_spsc_peek(ring, &bytes);
            if (message == NULL) {
                break;
            }
            check(message, bytes, seen);
            mkv_spsc_next(ring);
            seen++;
        }
    }
    assert_true(seen > 2000);
    assert_true(sent >= seen);
    mkv_spsc_destroy(ring);
}

static void test_spsc__full__says_so_until_there_is_room(void **state) {
    (void)state;
    struct mkv_spsc *ring = mkv_spsc_create(MKV_SPSC_BYTES_MIN);
    const uint32_t longest = mkv_spsc_message_bytes_max(ring);
    uint32_t bytes;
    /* Wherever it stands, the longest one fits an empty ring, and a third one never. */
    for (uint32_t shift = 0; shift < 300; shift++) {
        assert_non_null(mkv_spsc_begin(ring, 8));
        mkv_spsc_end(ring);
        assert_non_null(mkv_spsc_peek(ring, &bytes));
        mkv_spsc_next(ring);
        assert_null(mkv_spsc_peek(ring, &bytes));
        uint8_t *room = mkv_spsc_begin(ring, longest);
        assert_non_null(room);
        memset(room, 7, longest);
        mkv_spsc_end(ring);
        if (mkv_spsc_begin(ring, longest) != NULL) {
            mkv_spsc_end(ring);
            assert_null(mkv_spsc_begin(ring, 1));
            assert_non_null(mkv_spsc_peek(ring, &bytes));
            mkv_spsc_next(ring);
        }
        assert_non_null(mkv_spsc_peek(ring, &bytes));
        assert_int_equal(bytes, longest);
        mkv_spsc_next(ring);
        assert_null(mkv_spsc_peek(ring, &bytes));
    }
    mkv_spsc_destroy(ring);
}

static void test_spsc__begun_and_not_ended__is_not_seen(void **state) {
    (void)state;
    struct mkv_spsc *ring = mkv_spsc_create(RING_BYTES);
    uint32_t bytes;
    assert_non_null(mkv_spsc_begin(ring, 100));
    assert_null(mkv_spsc_peek(ring, &bytes));
    fill(mkv_spsc_begin(ring, size_of(5)), 5);
    assert_null(mkv_spsc_peek(ring, &bytes));
    mkv_spsc_end(ring);
    const uint8_t *message = mkv_spsc_peek(ring, &bytes);
    check(message, bytes, 5);
    mkv_spsc_destroy(ring);
}

static void test_spsc__large_and_mostly_empty__uses_its_start(void **state) {
    (void)state;
    struct mkv_spsc *ring = mkv_spsc_create(1024 * 1024);
    const uint8_t *first = mkv_spsc_begin(ring, 1);
    const uint8_t *last = first;
    for (uint32_t number = 0; number < 20000; number++) {
        uint32_t bytes;
        uint8_t *room = mkv_spsc_begin(ring, size_of(number));
        fill(room, number);
        mkv_spsc_end(ring);
        const uint8_t *message = mkv_spsc_peek(ring, &bytes);
        check(message, bytes, number);
        last = message > last ? message : last;
        mkv_spsc_next(ring);
    }
    assert_true(last < first + 66 * 1024);
    mkv_spsc_destroy(ring);
}

/* Whoever sized the ring counts on all of it, also while the consumer does nothing. */
static void test_spsc__begins_again_at_its_start__has_all_its_room(void **state) {
    (void)state;
    const uint32_t ring_bytes = 1024 * 1024;
    const uint32_t message_bytes = 1000;
    struct mkv_spsc *ring = mkv_spsc_create(ring_bytes);
    uint32_t bytes;
    for (uint32_t turn = 0; turn < 40; turn++) {
        /* Until it stands where it would begin again; then nothing is read for a while. */
        for (uint32_t number = 0; number < 60 + turn; number++) {
            memset(mkv_spsc_begin(ring, message_bytes), 1, message_bytes);
            mkv_spsc_end(ring);
            assert_non_null(mkv_spsc_peek(ring, &bytes));
            mkv_spsc_next(ring);
        }
        uint32_t sent = 0;
        uint8_t *room;
        while ((room = mkv_spsc_begin(ring, message_bytes)) != NULL) {
            memset(room, (int)(sent++ % 251), message_bytes);
            mkv_spsc_end(ring);
        }
        assert_true(sent >= ring_bytes / (message_bytes + 8) - 1);
        for (uint32_t number = 0; number < sent; number++) {
            const uint8_t *message = mkv_spsc_peek(ring, &bytes);
            assert_non_null(message);
            assert_int_equal(bytes, message_bytes);
            assert_int_equal(message[0], number % 251);
            assert_int_equal(message[message_bytes - 1], number % 251);
            mkv_spsc_next(ring);
        }
        assert_null(mkv_spsc_peek(ring, &bytes));
    }
    mkv_spsc_destroy(ring);
}

static void test_bell__rung__tells_one_to_wake_a_sleeper(void **state) {
    (void)state;
    struct mkv_bell bell;
    atomic_init(&bell.asleep, false);
    assert_false(mkv_bell_ring(&bell));
    mkv_bell_sleep(&bell);
    assert_true(mkv_bell_ring(&bell));
    assert_false(mkv_bell_ring(&bell));
    mkv_bell_sleep(&bell);
    mkv_bell_awake(&bell);
    assert_false(mkv_bell_ring(&bell));
}

/* ---- two threads ----------------------------------------------------------------------------- */

/* Each way one ring, each side with a ring of the kernel to sleep on, and a bell. */
struct side {
    struct mkv_ring *sleep;
    struct mkv_bell bell;
    struct mkv_spsc *in;
    struct mkv_spsc *out;
    struct side *other;
    uint32_t burst;
    uint32_t sent;
    uint32_t seen;
    uint32_t waits_out; /* sleeps that nobody ended: a lost wake-up */
    uint32_t sleeps;
};

/* Far longer than the other side ever takes, also on a machine with much else to do. */
#define LOST_NS (20ull * 1000000000u)

static void take_all(struct side *side) {
    uint32_t bytes;
    const uint8_t *message;
    while ((message = mkv_spsc_peek(side->in, &bytes)) != NULL) {
        check(message, bytes, side->seen);
        mkv_spsc_next(side->in);
        side->seen++;
    }
}

/* A burst, each answered by as many of the other side before the next: so both sleep often. */
static void *talk(void *context) {
    struct side *side = context;
    while (side->sent < MESSAGES || side->seen < MESSAGES) {
        const uint32_t limit = side->seen + side->burst;
        bool wrote = false;
        while (side->sent < MESSAGES && side->sent < limit) {
            uint8_t *room = mkv_spsc_begin(side->out, size_of(side->sent));
            if (room == NULL) {
                break;
            }
            fill(room, side->sent);
            mkv_spsc_end(side->out);
            side->sent++;
            wrote = true;
        }
        if (wrote && mkv_bell_ring(&side->other->bell)) {
            mkv_ring_wake(side->other->sleep);
        }
        const uint32_t seen = side->seen;
        take_all(side);
        if (seen != side->seen) {
            continue;
        }
        uint32_t bytes;
        mkv_bell_sleep(&side->bell);
        if (mkv_spsc_peek(side->in, &bytes) == NULL && side->seen < MESSAGES) {
            side->sleeps++;
            side->waits_out += mkv_ring_wait(side->sleep, LOST_NS) == 0;
        }
        mkv_bell_awake(&side->bell);
    }
    return NULL;
}

static void side_open(struct side *side, struct side *other, uint32_t burst) {
    struct mkv_backend_error error;
    const struct mkv_ring_options options = {.entries = 8};
    memset(side, 0, sizeof *side);
    assert_true(mkv_ring_create(&options, &side->sleep, &error));
    atomic_init(&side->bell.asleep, false);
    side->out = mkv_spsc_create(RING_BYTES);
    assert_non_null(side->out);
    side->other = other;
    side->burst = burst;
}

static void test_spsc__two_threads_that_sleep__lose_neither_message_nor_wake_up(void **state) {
    (void)state;
    struct side sides[2];
    for (uint32_t burst = 1; burst <= 4; burst += 3) {
        side_open(&sides[0], &sides[1], burst);
        side_open(&sides[1], &sides[0], burst);
        sides[0].in = sides[1].out;
        sides[1].in = sides[0].out;
        pthread_t threads[2];
        assert_int_equal(pthread_create(&threads[0], NULL, talk, &sides[0]), 0);
        assert_int_equal(pthread_create(&threads[1], NULL, talk, &sides[1]), 0);
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(sides[i].seen, MESSAGES);
            assert_int_equal(sides[i].waits_out, 0);
            mkv_ring_destroy(sides[i].sleep);
            mkv_spsc_destroy(sides[i].out);
        }
        assert_true(sides[0].sleeps + sides[1].sleeps > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spsc__messages_of_all_sizes__come_whole_and_in_order),
        cmocka_unit_test(test_spsc__full__says_so_until_there_is_room),
        cmocka_unit_test(test_spsc__begun_and_not_ended__is_not_seen),
        cmocka_unit_test(test_spsc__large_and_mostly_empty__uses_its_start),
        cmocka_unit_test(test_spsc__begins_again_at_its_start__has_all_its_room),
        cmocka_unit_test(test_bell__rung__tells_one_to_wake_a_sleeper),
        cmocka_unit_test(test_spsc__two_threads_that_sleep__lose_neither_message_nor_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
