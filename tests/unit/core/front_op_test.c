/* SPDX-License-Identifier: Apache-2.0 */
/* PUTs whose root is known when their bytes are there, PUTs with a condition, and EXPIRE: tests of
 * core/front_op.c. */
#include "core/front.h"

#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES

static uint32_t put(struct world *world, const char *key, uint64_t seed, uint64_t length,
                    uint32_t flags) {
    const struct world_item item = {
        .key = key, .seed = seed, .length = length, .flags = MKV_PUT_ROOT_LATER | flags};
    return world_send(world, 0, MKV_OP_PUT, &item, 1);
}

static void test_root_later__bytes_come__the_root_is_theirs(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint64_t lengths[] = {1, 100, UNIT - 1, UNIT, UNIT + 1, BLOCK};
    for (uint32_t index = 0; index < 6; index++) {
        const char key[2] = {(char)('a' + index), 0};
        const uint32_t later = put(world, key, 5, lengths[index], 0);
        world_run(world);
        world_expect(world, later, MKV_STATUS_OK);
        world_expect_get(world, key, 5, lengths[index]);
        /* The same with its root is there: so the root that was made is the right one. */
        const uint32_t same = world_put(world, key, 5, lengths[index]);
        const uint32_t writes = world->seen[GATE_PUT_DONE];
        world_run(world);
        world_expect(world, same, MKV_STATUS_OK);
        assert_int_equal(world->seen[GATE_PUT_DONE], writes);
    }
    world_close(world);
}

static void test_root_later__empty_value__pulls_nothing(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t later = put(world, "key", 5, 0, 0);
    world_run(world);
    world_expect(world, later, MKV_STATUS_OK);
    assert_int_equal(world->seen[GATE_PULL], 0);
    world_store(world, "key", 5, 0);
    world_close(world);
}

static void test_root_later__no_slot_is_asked_for__before_the_bytes_are_there(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_PULL);
    const uint32_t later = put(world, "key", 5, BLOCK, 0);
    world_run(world);
    assert_int_equal(world->seen[GATE_PUT_READY], 0);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        assert_int_equal(world_stats(world).volume_ops[volume], 0);
    }
    world_release(world, GATE_PULL);
    world_expect(world, later, MKV_STATUS_OK);
    world_close(world);
}

static void test_root_later__over_a_live_block__is_compared(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_store(world, "key", 5, BLOCK);
    const uint32_t writes = world->seen[GATE_PUT_DONE];
    const uint32_t same = put(world, "key", 5, BLOCK, 0);
    const uint32_t same_replaced = put(world, "key", 5, BLOCK, MKV_PUT_REPLACE);
    const uint32_t other = put(world, "key", 6, BLOCK, 0);
    world_run(world);
    world_expect(world, same, MKV_STATUS_OK);
    world_expect(world, same_replaced, MKV_STATUS_OK);
    world_expect(world, other, MKV_STATUS_CONFLICT);
    assert_int_equal(world->seen[GATE_PUT_DONE], writes);
    const uint32_t replaced = put(world, "key", 6, BLOCK, MKV_PUT_REPLACE);
    world_run(world);
    world_expect(world, replaced, MKV_STATUS_OK);
    world_expect_get(world, "key", 6, BLOCK);
    world_close(world);
}

static void test_root_later__relaxed__is_answered_before_it_is_durable(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 8;
    struct world *world = world_open(&config);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t later = put(world, "key", 5, BLOCK, MKV_PUT_REPLACE | MKV_PUT_RELAXED);
    world_run(world);
    world_expect(world, later, MKV_STATUS_OK);
    world_expect_get(world, "key", 5, BLOCK);
    world_release(world, GATE_PUT_DONE);
    world_close(world);
}

static void test_root_later__above_a_block__is_segments_as_ever(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t later = put(world, "key", 5, 3 * BLOCK + 1, 0);
    world_run(world);
    world_expect(world, later, MKV_STATUS_OK);
    world_expect_get(world, "key", 5, 3 * BLOCK + 1);
    world_close(world);
}

/* Its slab is the only one: it was given back. */
static void test_root_later__client_goes_while_it_sends__gives_its_slab_back(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 2;
    config.slab_share_reads = 0;
    config.slab_units_per_connection_max = 2;
    struct world *world = world_open(&config);
    world_hold(world, GATE_PULL);
    put(world, "key", 5, BLOCK, 0);
    world_run(world);
    assert_int_equal(world_stats(world).slab_units_free, 0);
    world_close_connection(world, 0);
    world_release(world, GATE_PULL);
    world_check_idle(world);
    const uint32_t next = put(world, "key", 6, BLOCK, 0);
    world_run(world);
    world_expect(world, next, MKV_STATUS_OK);
    world_close(world);
}

/* It has its bytes, and then waits for a credit that does not come. */
static void test_root_later__no_credit_until_the_deadline__ends(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.volume_count = 1;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    struct world *world = world_open(&config);
    world_hold(world, GATE_PUT_DONE);
    world->deadline_after_ns = 100 * WORLD_SECOND;
    uint32_t others[3];
    for (uint32_t index = 0; index < 3; index++) {
        const char key[2] = {(char)('a' + index), 0};
        others[index] = put(world, key, 5, UNIT, 0);
    }
    world_run(world);
    world->deadline_after_ns = WORLD_SECOND;
    const uint32_t later = put(world, "key", 5, UNIT, 0);
    world_run(world);
    assert_int_equal(world->seen[GATE_PULL], 4);
    world_wait(world, WORLD_SECOND);
    world_expect(world, later, MKV_STATUS_DEADLINE);
    world_release(world, GATE_PUT_DONE);
    for (uint32_t index = 0; index < 3; index++) {
        world_expect(world, others[index], MKV_STATUS_OK);
    }
    world_check_idle(world);
    world_close(world);
}

/* The sums of several puts at a time are told apart, by their slabs. */
static void test_root_later__several_in_one_request__each_has_its_own_sums(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item items[] = {
        {.key = "a", .seed = 1, .length = BLOCK, .flags = MKV_PUT_ROOT_LATER},
        {.key = "b", .seed = 2, .length = 10, .flags = MKV_PUT_ROOT_LATER},
        {.key = "c", .seed = 3, .length = UNIT + 1, .flags = MKV_PUT_ROOT_LATER},
    };
    world_hold(world, GATE_PUT_READY);
    const uint32_t request = world_send(world, 0, MKV_OP_PUT, items, 3);
    world_run(world);
    assert_int_equal(world->seen[GATE_PULL], 3);
    world_release(world, GATE_PUT_READY);
    for (uint32_t index = 0; index < 3; index++) {
        assert_int_equal(world->requests[request].results[index].status, MKV_STATUS_OK);
        world_expect_get(world, items[index].key, items[index].seed, items[index].length);
    }
    world_close(world);
}

static void test_root_later__of_what_is_no_put__is_invalid(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const enum mkv_op ops[] = {MKV_OP_GET, MKV_OP_EXISTS, MKV_OP_DELETE, MKV_OP_ALLOCATE};
    for (uint32_t index = 0; index < 4; index++) {
        const struct world_item item = {
            .key = "key", .seed = 5, .length = 10, .flags = MKV_PUT_ROOT_LATER};
        const uint32_t request = world_send(world, 0, ops[index], &item, 1);
        world_run(world);
        assert_int_equal(world->requests[request].status, MKV_STATUS_INVALID);
    }
    world_close(world);
}

static uint32_t put_if(struct world *world, uint64_t seed, uint64_t length, uint32_t flags) {
    const struct world_item item = {.key = "key", .seed = seed, .length = length, .flags = flags};
    const uint32_t request = world_send(world, 0, MKV_OP_PUT, &item, 1);
    world_run(world);
    return request;
}

/* Of one block, of one whose root comes later, and of segments. */
static const struct condition_case {
    uint64_t length;
    uint32_t flags;
} condition_cases[] = {{BLOCK, 0}, {BLOCK, MKV_PUT_ROOT_LATER}, {3 * BLOCK, 0}, {0, 0}};

static void test_put_if_absent__key_holds_nothing__is_stored_once(void **state) {
    (void)state;
    for (uint32_t index = 0; index < 4; index++) {
        const uint64_t length = condition_cases[index].length;
        const uint32_t flags = condition_cases[index].flags | MKV_PUT_IF_ABSENT;
        struct world *world = world_open(NULL);
        world_expect(world, put_if(world, 5, length, flags), MKV_STATUS_OK);
        world_expect_get(world, "key", 5, length);
        world_expect(world, put_if(world, 6, length + 1, flags), MKV_STATUS_CONFLICT);
        world_expect(world, put_if(world, 5, length, flags), MKV_STATUS_CONFLICT);
        /* REPLACE changes nothing of that. */
        world_expect(world, put_if(world, 6, length + 1, flags | MKV_PUT_REPLACE),
                     MKV_STATUS_CONFLICT);
        world_expect_get(world, "key", 5, length);
        world_check_segments(world, false);
        world_close(world);
    }
}

static void test_put_if_present__key_holds_something__is_replaced(void **state) {
    (void)state;
    for (uint32_t index = 0; index < 4; index++) {
        const uint64_t length = condition_cases[index].length;
        const uint32_t flags = condition_cases[index].flags | MKV_PUT_IF_PRESENT;
        struct world *world = world_open(NULL);
        world_expect(world, put_if(world, 5, length, flags), MKV_STATUS_NOT_FOUND);
        world_expect_miss(world, "key");
        world_expect(world, put_if(world, 5, length, 0), MKV_STATUS_OK);
        world_expect(world, put_if(world, 6, length + 1, flags), MKV_STATUS_OK);
        world_expect_get(world, "key", 6, length + 1);
        world_check_segments(world, false);
        world_close(world);
    }
}

/* What memory alone has is no more when a put was told that there is nothing. */
static void test_put_if_present__drive_lost_the_block__memory_forgets_it(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 8;
    struct world *world = world_open(&config);
    world_expect(world, put_if(world, 5, BLOCK, 0), MKV_STATUS_OK);
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        world->blocks[index].live = false;
    }
    world_expect_get(world, "key", 5, BLOCK);
    world_expect(world, put_if(world, 6, BLOCK, MKV_PUT_IF_PRESENT), MKV_STATUS_NOT_FOUND);
    world_expect_miss(world, "key");
    world_close(world);
}

static void test_put_if_absent__value_misses_a_segment__is_stored(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_expect(world, put_if(world, 5, 3 * BLOCK, 0), MKV_STATUS_OK);
    bool lost = false;
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX && !lost; index++) {
        struct world_block *block = &world->blocks[index];
        lost = block->live && (block->flags & MKV_BLOCK_SEGMENT) != 0;
        block->live = block->live && !lost;
    }
    assert_true(lost);
    world_expect(world, put_if(world, 5, 3 * BLOCK, MKV_PUT_IF_ABSENT), MKV_STATUS_OK);
    world_expect_get(world, "key", 5, 3 * BLOCK);
    world_close(world);
}

static void test_put_if__both_or_of_an_allocate__is_invalid(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t both = put_if(world, 5, BLOCK, MKV_PUT_IF_ABSENT | MKV_PUT_IF_PRESENT);
    assert_int_equal(world->requests[both].status, MKV_STATUS_INVALID);
    const struct world_item item = {.key = "key", .seed = 5, .flags = MKV_PUT_IF_ABSENT};
    const uint32_t allocate = world_send(world, 0, MKV_OP_ALLOCATE, &item, 1);
    world_run(world);
    assert_int_equal(world->requests[allocate].status, MKV_STATUS_INVALID);
    world_close(world);
}

static uint32_t expire(struct world *world, uint32_t expire_s, uint32_t flags) {
    const struct world_item item = {.key = "key", .expire_s = expire_s, .flags = flags};
    const uint32_t request = world_send(world, 0, MKV_OP_EXPIRE, &item, 1);
    world_run(world);
    return request;
}

static uint32_t expiry_of(struct world *world) {
    const struct world_item item = {.key = "key", .flags = MKV_EXISTS_PLAIN};
    const uint32_t request = world_send(world, 0, MKV_OP_EXISTS, &item, 1);
    world_run(world);
    world_expect(world, request, MKV_STATUS_OK);
    return world_result(world, request)->expiry_s;
}

/* With a block in memory, and without. */
static void test_expire__of_a_block__is_set_and_ended(void **state) {
    (void)state;
    for (uint32_t blocks = 0; blocks <= 8; blocks += 8) {
        struct mkv_front_config config;
        world_config(&config);
        config.memory_blocks_max = blocks;
        struct world *world = world_open(&config);
        world_expect(world, expire(world, 20, 0), MKV_STATUS_NOT_FOUND);
        world_expect(world, put_if(world, 5, BLOCK, 0), MKV_STATUS_OK);
        world_expect(world, expire(world, 20, 0), MKV_STATUS_OK);
        assert_in_range(expiry_of(world), WORLD_WALL_S + 20, WORLD_WALL_S + 21);
        world_expect(world, expire(world, WORLD_WALL_S + 7, MKV_EXPIRE_AT), MKV_STATUS_OK);
        assert_int_equal(expiry_of(world), WORLD_WALL_S + 7);
        world_expect(world, expire(world, 0, 0), MKV_STATUS_OK);
        assert_int_equal(expiry_of(world), 0);
        world_expect_get(world, "key", 5, BLOCK);
        world_close(world);
    }
}

static void test_expire__of_a_block_in_memory__is_not_served_behind_it(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 8;
    struct world *world = world_open(&config);
    world_expect(world, put_if(world, 5, BLOCK, 0), MKV_STATUS_OK);
    world_expect(world, expire(world, 5, 0), MKV_STATUS_OK);
    const uint32_t finds = world->seen[GATE_FOUND];
    world_expect_get(world, "key", 5, BLOCK);
    assert_int_equal(world->seen[GATE_FOUND], finds);
    world->wall_later_ms = 6000;
    world_get(world, "key", 0, 0); /* which asks the volume */
    world_run(world);
    assert_int_equal(world->seen[GATE_FOUND], finds + 1);
    world_close(world);
}

/* It may come with the expiry that it had. */
static void test_expire__beside_a_read__which_does_not_stay_in_memory(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    world_config(&config);
    struct world *world = world_open(&config);
    world_expect(world, put_if(world, 5, BLOCK, 0), MKV_STATUS_OK);
    config.memory_blocks_max = 8;
    world_restart(world, &config);
    world_hold(world, GATE_READ_DONE);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    world_expect(world, expire(world, 5, 0), MKV_STATUS_OK);
    world_release(world, GATE_READ_DONE);
    world_expect_value(world, get, 5, BLOCK);
    assert_int_equal(world_stats(world).memory_blocks, 0);
    world_close(world);
}

static void test_expire__of_a_value_in_segments__sets_that_of_all(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_expect(world, put_if(world, 5, 5 * BLOCK + 1, 0), MKV_STATUS_OK);
    world_expect(world, expire(world, WORLD_WALL_S + 9, MKV_EXPIRE_AT), MKV_STATUS_OK);
    uint32_t blocks = 0;
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        const struct world_block *block = &world->blocks[index];
        blocks += block->live ? 1 : 0;
        assert_true(!block->live || block->expiry_s == WORLD_WALL_S + 9);
    }
    assert_int_equal(blocks, 7);
    world_expect_get(world, "key", 5, 5 * BLOCK + 1);
    /* A value that misses a segment is no value. */
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        struct world_block *block = &world->blocks[index];
        block->live = block->live && (block->flags & MKV_BLOCK_SEGMENT) == 0;
    }
    world_expect(world, expire(world, 20, 0), MKV_STATUS_NOT_FOUND);
    world_close(world);
}

static void test_expire__its_answer_is_late__is_unknown(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_expect(world, put_if(world, 5, BLOCK, 0), MKV_STATUS_OK);
    world_hold(world, GATE_DELETE_DONE);
    const uint32_t late = expire(world, 5, 0);
    world_wait(world, 100 * WORLD_SECOND);
    world_expect(world, late, MKV_STATUS_UNKNOWN);
    world_release(world, GATE_DELETE_DONE);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
    world_expect(world, expire(world, 5, 0), MKV_STATUS_UNAVAILABLE);
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_later__bytes_come__the_root_is_theirs),
        cmocka_unit_test(test_root_later__empty_value__pulls_nothing),
        cmocka_unit_test(test_root_later__no_slot_is_asked_for__before_the_bytes_are_there),
        cmocka_unit_test(test_root_later__over_a_live_block__is_compared),
        cmocka_unit_test(test_root_later__relaxed__is_answered_before_it_is_durable),
        cmocka_unit_test(test_root_later__above_a_block__is_segments_as_ever),
        cmocka_unit_test(test_root_later__client_goes_while_it_sends__gives_its_slab_back),
        cmocka_unit_test(test_root_later__no_credit_until_the_deadline__ends),
        cmocka_unit_test(test_root_later__several_in_one_request__each_has_its_own_sums),
        cmocka_unit_test(test_root_later__of_what_is_no_put__is_invalid),
        cmocka_unit_test(test_put_if_absent__key_holds_nothing__is_stored_once),
        cmocka_unit_test(test_put_if_present__key_holds_something__is_replaced),
        cmocka_unit_test(test_put_if_present__drive_lost_the_block__memory_forgets_it),
        cmocka_unit_test(test_put_if_absent__value_misses_a_segment__is_stored),
        cmocka_unit_test(test_put_if__both_or_of_an_allocate__is_invalid),
        cmocka_unit_test(test_expire__of_a_block__is_set_and_ended),
        cmocka_unit_test(test_expire__of_a_block_in_memory__is_not_served_behind_it),
        cmocka_unit_test(test_expire__beside_a_read__which_does_not_stay_in_memory),
        cmocka_unit_test(test_expire__of_a_value_in_segments__sets_that_of_all),
        cmocka_unit_test(test_expire__its_answer_is_late__is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
