/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/shard_moves.h"

static struct mkv_fabric_tcp_move move_of(int fd) {
    struct mkv_fabric_tcp_move move = {.fd = fd, .byte_count = 1};
    move.bytes[0] = (uint8_t)fd;
    return move;
}

static void test_shard_moves__put__taken_once_in_order_by_its_shard(void **state) {
    (void)state;
    struct mkv_shard_moves *moves = mkv_shard_moves_create(3);
    assert_non_null(moves);
    struct mkv_fabric_tcp_move move;
    for (int fd = 1000; fd < 1010; fd++) {
        move = move_of(fd);
        assert_true(mkv_shard_moves_put(moves, fd % 2 == 0 ? 1 : 2, &move));
    }
    assert_false(mkv_shard_moves_take(moves, 0, &move));
    for (int fd = 1000; fd < 1010; fd += 2) {
        assert_true(mkv_shard_moves_take(moves, 1, &move));
        assert_int_equal(move.fd, fd);
        assert_int_equal(move.bytes[0], (uint8_t)fd);
        assert_true(mkv_shard_moves_take(moves, 2, &move));
        assert_int_equal(move.fd, fd + 1);
    }
    assert_false(mkv_shard_moves_take(moves, 1, &move));
    assert_false(mkv_shard_moves_take(moves, 2, &move));
    mkv_shard_moves_destroy(moves);
}

static void test_shard_moves__no_room_or_no_shard__is_not_taken(void **state) {
    (void)state;
    struct mkv_shard_moves *moves = mkv_shard_moves_create(2);
    assert_non_null(moves);
    struct mkv_fabric_tcp_move move = move_of(1000);
    assert_false(mkv_shard_moves_put(moves, 2, &move));
    assert_false(mkv_shard_moves_put(moves, UINT32_MAX, &move));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MKV_SHARD_MOVES_MAX; i++) {
            assert_true(mkv_shard_moves_put(moves, 1, &move));
        }
        assert_false(mkv_shard_moves_put(moves, 1, &move));
        for (uint32_t i = 0; i < MKV_SHARD_MOVES_MAX; i++) {
            assert_true(mkv_shard_moves_take(moves, 1, &move));
        }
        assert_false(mkv_shard_moves_take(moves, 1, &move));
    }
    mkv_shard_moves_destroy(moves);
}

static void test_shard_moves__room_that_the_shard_has__no_more_are_taken(void **state) {
    (void)state;
    struct mkv_shard_moves *moves = mkv_shard_moves_create(2);
    assert_non_null(moves);
    struct mkv_fabric_tcp_move move = move_of(1000);
    mkv_shard_moves_room(moves, 1, 0);
    assert_false(mkv_shard_moves_put(moves, 1, &move));
    assert_true(mkv_shard_moves_put(moves, 0, &move));
    mkv_shard_moves_room(moves, 1, 2);
    assert_true(mkv_shard_moves_put(moves, 1, &move));
    assert_true(mkv_shard_moves_put(moves, 1, &move));
    assert_false(mkv_shard_moves_put(moves, 1, &move));
    mkv_shard_moves_room(moves, 1, UINT32_MAX);
    for (uint32_t i = 2; i < MKV_SHARD_MOVES_MAX; i++) {
        assert_true(mkv_shard_moves_put(moves, 1, &move));
    }
    assert_false(mkv_shard_moves_put(moves, 1, &move));
    assert_true(mkv_shard_moves_take(moves, 0, &move));
    while (mkv_shard_moves_take(moves, 1, &move)) {
        assert_int_equal(move.fd, 1000);
    }
    mkv_shard_moves_destroy(moves);
}

static void test_shard_moves__put__wakes_the_shard(void **state) {
    (void)state;
    struct mkv_shard_moves *moves = mkv_shard_moves_create(2);
    struct mkv_ring *ring = NULL;
    struct mkv_backend_error error;
    const struct mkv_ring_options options = {.entries = 8};
    assert_true(mkv_ring_create(&options, &ring, &error));
    mkv_shard_moves_enter(moves, 1, ring);
    const struct mkv_fabric_tcp_move move = move_of(1000);
    assert_true(mkv_shard_moves_put(moves, 1, &move));
    assert_true(mkv_ring_wait(ring, MKV_RING_WAIT_FOREVER) > 0);
    assert_int_equal(mkv_ring_counters(ring)->wakes, 1);
    struct mkv_fabric_tcp_move taken;
    assert_true(mkv_shard_moves_take(moves, 1, &taken));
    mkv_shard_moves_destroy(moves);
    mkv_ring_destroy(ring);
}

static void test_shard_moves__nobody_took_it__destroy_closes_it(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct mkv_shard_moves *moves = mkv_shard_moves_create(2);
    const struct mkv_fabric_tcp_move move = move_of(ends[1]);
    assert_true(mkv_shard_moves_put(moves, 0, &move));
    mkv_shard_moves_destroy(moves);
    uint8_t byte;
    assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody can write any more */
    close(ends[0]);
    mkv_shard_moves_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shard_moves__put__taken_once_in_order_by_its_shard),
        cmocka_unit_test(test_shard_moves__no_room_or_no_shard__is_not_taken),
        cmocka_unit_test(test_shard_moves__room_that_the_shard_has__no_more_are_taken),
        cmocka_unit_test(test_shard_moves__put__wakes_the_shard),
        cmocka_unit_test(test_shard_moves__nobody_took_it__destroy_closes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
