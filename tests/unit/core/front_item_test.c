/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines at every stage of an item: tests of core/front_item.c and core/front_timer.c. */
#include "core/front.h"

#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES
#define GRACE (2 * WORLD_SECOND)

static uint64_t deadlines(struct world *world, enum mkv_front_stage stage) {
    const struct mkv_front_stats stats = world_stats(world);
    uint64_t sum = 0;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        sum += stats.deadlines[op][stage];
    }
    return sum;
}

static void expect_deadline(struct world *world, uint32_t id, enum mkv_front_stage stage) {
    world_expect(world, id, MKV_STATUS_DEADLINE);
    const enum mkv_op op = world->requests[id].op;
    const bool counts = op == MKV_OP_GET || op == MKV_OP_EXISTS;
    assert_int_equal(world_result(world, id)->miss, counts ? MKV_MISS_DEADLINE : MKV_MISS_NONE);
    assert_int_equal(deadlines(world, stage), 1);
}

static void test_deadline__passed_on_arrival__nothing_is_started(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world->deadline_after_ns = 0;
    const uint32_t put = world_put(world, "key", 5, 3 * BLOCK);
    world_run(world);
    expect_deadline(world, put, MKV_FRONT_STAGE_START);
    const struct world_item keys[] = {{.key = "a"}, {.key = "b"}};
    const uint32_t lookup = world_send(world, 0, MKV_OP_LOOKUP, keys, 2);
    world_run(world);
    assert_int_equal(world_result(world, lookup)->length, 0);
    assert_int_equal(world_result(world, lookup)->miss, MKV_MISS_DEADLINE);
    assert_int_equal(world_stats(world).keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_DEADLINE], 2);
    world_close(world);
}

static void test_deadline__tells_the_driver_when__and_not_before(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    assert_true(mkv_front_timer_ns(world->front) == UINT64_MAX);
    world_hold(world, GATE_FOUND);
    const uint32_t later = world_get(world, "key", 0, 0);
    world->deadline_after_ns = WORLD_SECOND / 2;
    const uint32_t sooner = world_get(world, "key", 0, 0);
    assert_true(mkv_front_timer_ns(world->front) == world->now_ns + WORLD_SECOND / 2);
    world_wait(world, WORLD_SECOND / 2 - 1);
    assert_int_equal(world->requests[sooner].answers, 0);
    world_wait(world, 1);
    expect_deadline(world, sooner, MKV_FRONT_STAGE_VOLUME);
    assert_int_equal(world->requests[later].answers, 0);
    world_release(world, GATE_FOUND);
    world_expect(world, later, MKV_STATUS_NOT_FOUND);
    world_close(world);
}

static void test_deadline__waiting_for_a_credit__ends(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.volume_count = 1;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    struct world *world = world_open(&config);
    world_hold(world, GATE_EXISTS_DONE);
    const uint32_t first = world_exists(world, "key");
    const uint32_t second = world_exists(world, "key");
    world_wait(world, WORLD_SECOND);
    expect_deadline(world, first, MKV_FRONT_STAGE_VOLUME);
    expect_deadline(world, second, MKV_FRONT_STAGE_CREDIT);
    world_release(world, GATE_EXISTS_DONE);
    world_check_idle(world);
    world_close(world);
}

static void test_deadline__waiting_for_a_slab__releases_the_slot(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_store(world, "key", 5, BLOCK);
    world_store(world, "small", 5, 10);
    const struct world_item want = {.key = "key"};
    world->deadline_after_ns = 100 * WORLD_SECOND;
    world_hold(world, GATE_PUSH);
    for (uint32_t index = 0; index < 8; index++) {
        world_send(world, index % 2, MKV_OP_GET, &want, 1);
    }
    world_run(world);
    assert_int_equal(world_stats(world).slab_units_free, 0);
    world->deadline_after_ns = WORLD_SECOND;
    const uint32_t get = world_send(world, 2, MKV_OP_GET, &want, 1);
    world_run(world);
    world_wait(world, WORLD_SECOND);
    expect_deadline(world, get, MKV_FRONT_STAGE_SLAB);
    /* That one's place in the queue is free: the next one is a put. */
    const struct world_item put_item = {.key = "other", .seed = 5, .length = 10};
    const uint32_t put = world_send(world, 2, MKV_OP_PUT, &put_item, 1);
    world_run(world);
    assert_int_equal(world->requests[put].answers, 0);
    world_wait(world, WORLD_SECOND);
    world_expect(world, put, MKV_STATUS_DEADLINE);
    assert_int_equal(deadlines(world, MKV_FRONT_STAGE_SLAB), 2);
    world_release(world, GATE_PUSH);
    world_check_idle(world);
    world_close(world);
}

/* A large one at the head of the queue lets nobody past; when it gives up the next one is served.
 */
static void test_deadline__head_of_the_slab_queue_gives_up__next_is_served(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 2;
    config.slab_share_reads = 0;
    config.slab_units_per_connection_max = 2;
    struct world *world = world_open(&config);
    world_store(world, "small", 5, 10);
    world_hold(world, GATE_PUSH);
    world->deadline_after_ns = 100 * WORLD_SECOND;
    world_get(world, "small", 0, 0);
    world_run(world);
    world->deadline_after_ns = WORLD_SECOND;
    const struct world_item large = {.key = "large", .seed = 5, .length = BLOCK};
    const uint32_t put = world_send(world, 1, MKV_OP_PUT, &large, 1);
    world->deadline_after_ns = 100 * WORLD_SECOND;
    const struct world_item small = {.key = "small"};
    const uint32_t get = world_send(world, 2, MKV_OP_GET, &small, 1);
    world_run(world);
    assert_int_equal(world->requests[get].answers, 0);
    world_wait(world, WORLD_SECOND);
    expect_deadline(world, put, MKV_FRONT_STAGE_SLAB);
    world_expect(world, get, MKV_STATUS_OK);
    world_close(world);
}

static void test_deadline__waiting_behind_the_cap__ends(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_units_per_connection_max = 2;
    struct world *world = world_open(&config);
    world_store(world, "key", 5, BLOCK);
    world_store(world, "small", 5, 10);
    world->deadline_after_ns = 100 * WORLD_SECOND;
    world_hold(world, GATE_PUSH);
    const uint32_t first = world_get(world, "small", 0, 0);
    world->deadline_after_ns = WORLD_SECOND;
    const uint32_t large = world_get(world, "key", 0, 0);
    world_run(world);
    world->deadline_after_ns = 2 * WORLD_SECOND;
    const uint32_t small = world_get(world, "small", 0, 0);
    world_run(world);
    assert_int_equal(world->requests[first].answers, 1);
    assert_int_equal(world->requests[small].answers, 0); /* in order, though there is room */
    world_wait(world, WORLD_SECOND);
    expect_deadline(world, large, MKV_FRONT_STAGE_SLAB);
    world_run(world);
    world_expect(world, small, MKV_STATUS_OK);
    world_release(world, GATE_PUSH);
    world_close(world);
}

static void test_deadline__waiting_for_a_place_for_segments__ends(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_store(world, "old", 5, 2 * BLOCK);
    world->deadline_after_ns = 100 * WORLD_SECOND;
    world_hold(world, GATE_PULL);
    world_put(world, "a", 5, 2 * BLOCK);
    world_put(world, "b", 5, 2 * BLOCK);
    world_run(world);
    world->deadline_after_ns = WORLD_SECOND;
    const struct world_item item = {.key = "old"};
    const uint32_t get = world_send(world, 1, MKV_OP_GET, &item, 1);
    world_run(world);
    assert_int_equal(world_stats(world).items_waiting_segmented, 1);
    world_wait(world, WORLD_SECOND);
    expect_deadline(world, get, MKV_FRONT_STAGE_SEGMENTED);
    /* A DELETE is answered all the same: its segments wait behind it, without a deadline. */
    const uint32_t gone = world_delete(world, "old");
    world_run(world);
    world_expect(world, gone, MKV_STATUS_OK);
    world_wait(world, 10 * WORLD_SECOND);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 2);
    world_release(world, GATE_PULL);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 4);
    world_check_segments(world, false);
    world_close(world);
}

static void test_deadline__put_begin_unanswered__ends_and_is_aborted_later(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PUT_READY);
    const uint32_t put = world_put(world, "key", 5, 1000);
    world_run(world);
    world_wait(world, WORLD_SECOND);
    expect_deadline(world, put, MKV_FRONT_STAGE_VOLUME);
    assert_int_equal(world_stats(world).requests_in_flight, 0);
    assert_int_equal(world_stats(world).items_in_flight, 1);
    world_release(world, GATE_PUT_READY);
    assert_int_equal(world->seen[GATE_PULL], 0);
    assert_int_equal(world_block_count(world, 0), 0);
    world_check_idle(world);
    world_close(world);
}

/* An answer in time for the deadline's tick to be late still counts as late: PUT_READY comes in the
 * very step in which the deadline passed. */
static void test_deadline__passes_with_the_answer__nothing_is_moved(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_store(world, "there", 5, 10);
    world_hold(world, GATE_PUT_READY);
    world_hold(world, GATE_FOUND);
    const uint32_t put = world_put(world, "key", 5, 1000);
    const uint32_t get = world_get(world, "there", 0, 0);
    world_run(world);
    world->now_ns += WORLD_SECOND;
    world_let_one(world, GATE_PUT_READY);
    world_let_one(world, GATE_FOUND);
    world_expect(world, put, MKV_STATUS_DEADLINE);
    world_expect(world, get, MKV_STATUS_DEADLINE);
    assert_int_equal(world->seen[GATE_PULL], 1);
    assert_int_equal(world->seen[GATE_READ_DONE], 0);
    world_check_idle(world);
    world_close(world);
}

/* Whatever the drive does: nobody waits for it longer than he said. */
static void test_deadline__read_posted__is_answered_at_it(void **state) {
    (void)state;
    for (uint32_t late = 0; late < 2; late++) {
        struct world *world = world_open(NULL);
        world_store(world, "key", 5, 1000);
        world_hold(world, GATE_READ_DONE);
        const uint32_t get = world_get(world, "key", 0, 0);
        world_run(world);
        world_wait(world, WORLD_SECOND - 1);
        assert_int_equal(world->requests[get].answers, 0);
        if (late == 0) {
            world_release(world, GATE_READ_DONE);
            world_expect_value(world, get, 5, 1000);
        } else {
            world_wait(world, 1);
            expect_deadline(world, get, MKV_FRONT_STAGE_VOLUME);
            /* The drive may still write into the slab. */
            assert_int_equal(world_stats(world).slabs_allocated, 1);
            world_release(world, GATE_READ_DONE);
            assert_int_equal(world->seen[GATE_PUSH], 0);
        }
        world_check_idle(world);
        world_close(world);
    }
}

static void test_deadline__write_or_delete_posted__is_answered_unknown_and_goes_on(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_store(world, "old", 5, 3 * BLOCK);
    world_store(world, "gone", 5, 2 * BLOCK);
    world_hold(world, GATE_PUT_DONE);
    world_hold(world, GATE_DELETE_DONE);
    const uint32_t put = world_put(world, "key", 5, 1000);
    const uint32_t replaced = world_replace(world, "old", 6, 10);
    const uint32_t gone = world_delete(world, "gone");
    world_run(world);
    world_wait(world, WORLD_SECOND - 1);
    assert_int_equal(world->requests[put].answers, 0);
    world_wait(world, 1);
    world_expect(world, put, MKV_STATUS_UNKNOWN);
    world_expect(world, replaced, MKV_STATUS_UNKNOWN);
    world_expect(world, gone, MKV_STATUS_UNKNOWN);
    assert_int_equal(deadlines(world, MKV_FRONT_STAGE_VOLUME), 3);
    assert_int_equal(world->breaks, 0);
    assert_int_equal(world_stats(world).slabs_allocated, 2);
    world->held[GATE_DELETE_DONE] = false;
    world_release(world, GATE_PUT_DONE);
    /* What came to be after all has left no segments behind. */
    assert_int_equal(world_block_count(world, 0), 2);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 0);
    world_check_idle(world);
    world_close(world);
}

static void test_deadline__transfer_posted__breaks_the_connection(void **state) {
    (void)state;
    const enum gate gates[] = {GATE_PULL, GATE_PUSH};
    for (uint32_t index = 0; index < 2; index++) {
        struct world *world = world_open(NULL);
        world_store(world, "key", 5, 1000);
        world_hold(world, gates[index]);
        const uint32_t get = world_get(world, "key", 0, 0);
        const uint32_t put = world_put(world, "other", 5, 1000);
        world_run(world);
        assert_int_equal(world->requests[gates[index] == GATE_PULL ? get : put].answers, 1);
        world_wait(world, WORLD_SECOND);
        world_wait(world, GRACE - 1);
        assert_int_equal(world->breaks, 0);
        world_wait(world, 1);
        assert_int_equal(world->breaks, 1);
        assert_int_equal(deadlines(world, MKV_FRONT_STAGE_TRANSFER), 1);
        assert_int_equal(world_stats(world).connections_broken, 1);
        world_check_idle(world);
        world_close(world);
    }
}

/* A large value takes longer than its deadline: as long as each step of it comes along within the
 * grace it is not cut. */
static void test_deadline__large_value_moves_slowly__is_not_cut(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PULL);
    const uint32_t put = world_put(world, "key", 5, 12 * BLOCK);
    world_run(world);
    for (uint32_t segment = 0; segment < 12; segment++) {
        world_wait(world, GRACE / 5);
        world_let_one(world, GATE_PULL);
    }
    world_release(world, GATE_PULL);
    world_expect(world, put, MKV_STATUS_OK);
    world_hold(world, GATE_PUSH);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    for (uint32_t segment = 0; segment < 12; segment++) {
        world_wait(world, GRACE / 5);
        world_let_one(world, GATE_PUSH);
    }
    world_release(world, GATE_PUSH);
    world_expect_value(world, get, 5, 12 * BLOCK);
    assert_int_equal(world->breaks, 0);
    world_close(world);
}

static void test_deadline__large_value_stalls__leaves_nothing(void **state) {
    (void)state;
    const enum gate gates[] = {GATE_PULL,      GATE_PUT_READY, GATE_PUT_DONE,   GATE_FOUND,
                               GATE_READ_DONE, GATE_PUSH,      GATE_EXISTS_DONE};
    for (uint32_t index = 0; index < sizeof gates / sizeof gates[0]; index++) {
        for (uint32_t after = 0; after < 14; after++) {
            struct world *world = world_open(NULL);
            world_store(world, "old", 5, 6 * BLOCK);
            world_hold(world, gates[index]);
            const uint32_t get = world_get(world, "old", 0, 0);
            const uint32_t put = world_replace(world, "old", 6, 5 * BLOCK);
            world_run(world);
            for (uint32_t count = 0; count < after && world->event_count > 0; count++) {
                world_let_one(world, gates[index]);
            }
            /* By now and one more grace for what was posted behind it everything is answered. */
            world_wait(world, WORLD_SECOND);
            world_wait(world, GRACE);
            world_wait(world, GRACE + GRACE / 2);
            assert_true(world->requests[get].answers == 1 || world->requests[get].dropped);
            assert_true(world->requests[put].answers == 1 || world->requests[put].dropped);
            world_release(world, gates[index]);
            world_check_idle(world);
            world_check_segments(world, false);
            world_close(world);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline__passed_on_arrival__nothing_is_started),
        cmocka_unit_test(test_deadline__tells_the_driver_when__and_not_before),
        cmocka_unit_test(test_deadline__waiting_for_a_credit__ends),
        cmocka_unit_test(test_deadline__waiting_for_a_slab__releases_the_slot),
        cmocka_unit_test(test_deadline__head_of_the_slab_queue_gives_up__next_is_served),
        cmocka_unit_test(test_deadline__waiting_behind_the_cap__ends),
        cmocka_unit_test(test_deadline__waiting_for_a_place_for_segments__ends),
        cmocka_unit_test(test_deadline__put_begin_unanswered__ends_and_is_aborted_later),
        cmocka_unit_test(test_deadline__passes_with_the_answer__nothing_is_moved),
        cmocka_unit_test(test_deadline__read_posted__is_answered_at_it),
        cmocka_unit_test(test_deadline__write_or_delete_posted__is_answered_unknown_and_goes_on),
        cmocka_unit_test(test_deadline__transfer_posted__breaks_the_connection),
        cmocka_unit_test(test_deadline__large_value_moves_slowly__is_not_cut),
        cmocka_unit_test(test_deadline__large_value_stalls__leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
