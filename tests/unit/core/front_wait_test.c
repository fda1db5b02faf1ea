/* SPDX-License-Identifier: Apache-2.0 */
/* What operations wait for, and in which order they get it: tests of core/front_wait.c. */
#include "core/front.h"

#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES

/* ---- credits --------------------------------------------------------------------------------- */

static void test_wait__volume_goes_offline__those_that_wait_for_it_end(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.volume_count = 1;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    struct world *world = world_open(&config);
    world_hold(world, GATE_EXISTS_DONE);
    const uint32_t first = world_exists(world, "key");
    const uint32_t second = world_exists(world, "key");
    world_run(world);
    assert_int_equal(world_stats(world).ops_waiting_credit, 1);
    mkv_front_volume_set_state(world->front, 0, MKV_FRONT_VOLUME_OFFLINE);
    assert_true(mkv_front_has_work(world->front));
    world_run(world);
    assert_int_equal(world_result(world, second)->miss, MKV_MISS_DRIVE_OFFLINE);
    assert_int_equal(world->requests[first].answers, 0);
    world_release(world, GATE_EXISTS_DONE);
    assert_int_equal(world_result(world, first)->miss, MKV_MISS_UNKNOWN);
    world_close(world);
}

/* I4: the world asserts that no volume has more operations than volume_ops_max. */
static void test_wait__more_operations_than_credits__wait_their_turn(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.volume_count = 1;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    struct world *world = world_open(&config);
    uint32_t ids[16];
    char keys[16][2];
    for (uint32_t index = 0; index < 16; index++) {
        keys[index][0] = (char)('a' + index);
        keys[index][1] = 0;
        ids[index] = world_put(world, keys[index], index + 1, 100);
    }
    world_run(world);
    for (uint32_t index = 0; index < 16; index++) {
        world_expect(world, ids[index], MKV_STATUS_OK);
        ids[index] = world_get(world, keys[index], 0, 0);
    }
    assert_true(world_stats(world).ops_waiting_credit > 0);
    world_run(world);
    for (uint32_t index = 0; index < 16; index++) {
        world_expect_value(world, ids[index], index + 1, 100);
    }
    world_close(world);
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static void test_wait__slabs_exhausted__those_that_wait_are_served_in_order(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item block = {.key = "key", .seed = 5, .length = BLOCK};
    world_send(world, 0, MKV_OP_PUT, &block, 1);
    world_run(world);
    world_hold(world, GATE_PUSH);
    const struct world_item want = {.key = "key"};
    uint32_t ids[12];
    for (uint32_t index = 0; index < 12; index++) {
        ids[index] = world_send(world, index % 3, MKV_OP_GET, &want, 1);
    }
    world_run(world);
    for (uint32_t index = 0; index < 12; index++) {
        assert_int_equal(world->requests[ids[index]].answers, index < 8 ? 1 : 0);
    }
    assert_int_equal(world_stats(world).ops_waiting_slab, 4);
    assert_int_equal(world_stats(world).slab_units_free, 0);
    world_release(world, GATE_PUSH);
    for (uint32_t index = 0; index < 12; index++) {
        world_expect_value(world, ids[index], 5, BLOCK);
    }
    world_close(world);
}

static void test_wait__puts_hold_their_share__gets_still_have_slabs(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 1000);
    world_run(world);
    world_hold(world, GATE_PULL);
    char keys[16][2];
    struct world_item put = {.seed = 1, .length = UNIT};
    for (uint32_t index = 0; index < 16; index++) {
        keys[index][0] = (char)('a' + index);
        keys[index][1] = 0;
        put.key = keys[index];
        world_send(world, index % 2, MKV_OP_PUT, &put, 1);
    }
    world_run(world);
    assert_int_equal(world_stats(world).slab_units_free, 4); /* 250 permille of 16 */
    assert_int_equal(world_stats(world).ops_waiting_slab, 4);
    world_expect_get(world, "key", 5, 1000);
    world_close(world);
}

static void test_wait__connection_at_its_cap__waits_without_a_credit(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.volume_count = 1;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    config.slab_units_per_connection_max = 2;
    struct world *world = world_open(&config);
    world_put(world, "key", 5, UNIT);
    world_run(world);
    world_hold(world, GATE_PUSH);
    uint32_t ids[10];
    for (uint32_t index = 0; index < 10; index++) {
        ids[index] = world_get(world, "key", 0, 0);
    }
    world_run(world);
    struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.slabs_allocated, 2);
    assert_int_equal(stats.ops_waiting_slab, 8);
    assert_int_equal(stats.volume_ops[0], 0);
    /* Another connection is not behind them. */
    const struct world_item want = {.key = "key"};
    const uint32_t other = world_send(world, 1, MKV_OP_GET, &want, 1);
    world_run(world);
    assert_int_equal(world->requests[other].answers, 1);
    world_release(world, GATE_PUSH);
    for (uint32_t index = 0; index < 10; index++) {
        world_expect_value(world, ids[index], 5, UNIT);
    }
    world_close(world);
}

/* What was counted against the cap for the block as it was found first is not what it needs now. */
static void test_wait__block_changes_length_behind_the_cap__is_found_anew(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_units_per_connection_max = 2;
    struct world *world = world_open(&config);
    world_put(world, "small", 5, 10);
    world_put(world, "key", 6, BLOCK);
    world_run(world);
    world_hold(world, GATE_PUSH);
    world_get(world, "small", 0, 0);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    const struct world_item other = {
        .key = "key", .seed = 7, .length = UNIT, .flags = MKV_PUT_REPLACE};
    world_send(world, 1, MKV_OP_PUT, &other, 1);
    world_run(world);
    world_release(world, GATE_PUSH);
    world_expect_value(world, get, 7, UNIT);
    world_close(world);
}

static void test_wait__block_larger_than_any_slab__is_a_miss_and_blocks_nobody(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, BLOCK);
    world_put(world, "small", 6, 100);
    world_run(world);
    /* The same volumes under a front with smaller slabs. */
    struct mkv_front_config config = world->config;
    config.block_bytes_max = UNIT;
    config.value_bytes_max = 1024 * UNIT;
    config.slab_units_per_connection_max = 1;
    world_restart(world, &config);
    const uint32_t large = world_get(world, "key", 0, 0);
    const uint32_t range = world_get(world, "key", UNIT + 5, 100);
    const uint32_t small = world_get(world, "small", 0, 0);
    world_run(world);
    world_expect(world, large, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world_result(world, large)->miss, MKV_MISS_OVERLOADED);
    world_expect_value(world, range, 5, BLOCK);
    world_expect_value(world, small, 6, 100);
    world_close(world);
}

/* A block of more than 16 MiB has chunks of 128 KiB, and a drive reads and verifies whole ones. */
static void test_wait__ranges_of_large_chunks__have_slabs_of_whole_chunks(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.block_bytes_max = MKV_BLOCK_BYTES_MAX;
    config.value_bytes_max = MKV_BLOCK_BYTES_MAX;
    config.slab_unit_count = 512;
    config.slab_share_reads = 0;
    config.slab_units_per_connection_max = 512;
    struct world *world = world_open(&config);
    world_put(world, "key", 5, 17 * MKV_MIB);
    world_run(world);
    world_hold(world, GATE_READ_DONE);
    const uint32_t first = world_get(world, "key", 1000, 10);
    const uint32_t second = world_get(world, "key", 300000, 10);
    world_run(world);
    assert_int_equal(world_stats(world).slab_units_free, 512 - 4);
    world_release(world, GATE_READ_DONE);
    world_expect_value(world, first, 5, 17 * MKV_MIB);
    world_expect_value(world, second, 5, 17 * MKV_MIB);
    world_close(world);
}

/* One queue, two sides: the older first one of them is next, and none overtakes it for being small.
 */
static void test_wait__gets_and_puts_wait_for_slabs__the_older_is_next(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 2;
    config.slab_share_reads = 0;
    config.slab_units_per_connection_max = 2;
    struct world *world = world_open(&config);
    const struct world_item small = {.key = "key", .seed = 5, .length = UNIT};
    world_send(world, 0, MKV_OP_PUT, &small, 1);
    world_run(world);
    world_hold(world, GATE_PUSH);
    world_hold(world, GATE_PULL);
    const struct world_item want = {.key = "key"};
    const struct world_item large = {.key = "large", .seed = 6, .length = BLOCK};
    const uint32_t first = world_send(world, 0, MKV_OP_GET, &want, 1);
    world_run(world);
    const uint32_t second = world_send(world, 1, MKV_OP_PUT, &large, 1);
    world_run(world);
    const uint32_t third = world_send(world, 2, MKV_OP_GET, &want, 1);
    world_run(world);
    assert_int_equal(world->requests[first].answers, 1);
    assert_int_equal(world->requests[third].answers, 0); /* though there is a unit for it */
    world_let_one(world, GATE_PUSH);
    assert_int_equal(world->requests[third].answers, 0);
    world_let_one(world, GATE_PULL);
    world_expect(world, second, MKV_STATUS_OK);
    world_expect(world, third, MKV_STATUS_OK);
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait__volume_goes_offline__those_that_wait_for_it_end),
        cmocka_unit_test(test_wait__more_operations_than_credits__wait_their_turn),
        cmocka_unit_test(test_wait__slabs_exhausted__those_that_wait_are_served_in_order),
        cmocka_unit_test(test_wait__puts_hold_their_share__gets_still_have_slabs),
        cmocka_unit_test(test_wait__connection_at_its_cap__waits_without_a_credit),
        cmocka_unit_test(test_wait__block_changes_length_behind_the_cap__is_found_anew),
        cmocka_unit_test(test_wait__block_larger_than_any_slab__is_a_miss_and_blocks_nobody),
        cmocka_unit_test(test_wait__ranges_of_large_chunks__have_slabs_of_whole_chunks),
        cmocka_unit_test(test_wait__gets_and_puts_wait_for_slabs__the_older_is_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
