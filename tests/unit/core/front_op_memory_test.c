/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that turn out to be of the whole block, or of a part: tests of core/front_op_memory.c. */
#include "core/front.h"

#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES

/* As the client asks that has room for so many bytes. */
static void test_memory__as_many_bytes_were_asked_for_as_there_are__is_kept(void **state) {
    (void)state;
    const uint64_t lengths[] = {1, 100, 5000, UNIT, BLOCK};
    const uint64_t more[] = {0, 1, BLOCK, UINT64_MAX};
    for (uint32_t index = 0; index < 20; index++) {
        const uint64_t length = lengths[index / 4];
        const uint64_t wanted =
            more[index % 4] == UINT64_MAX ? UINT64_MAX : length + more[index % 4];
        struct world *world = world_open(NULL);
        world_put(world, "key", 5, length);
        world_run(world);
        struct mkv_front_config config = world->config;
        config.memory_blocks_max = 16;
        world_restart(world, &config);
        const uint32_t get = world_get(world, "key", 0, wanted);
        world_run(world);
        world_expect_value(world, get, 5, length);
        assert_int_equal(world_stats(world).memory_blocks, 1);
        world_close(world);
    }
}

/* One reads a part, as it turns out: the others do not wait for it any more, and share theirs. */
static void test_memory__read_of_a_part_was_waited_for__the_others_read_the_whole(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    world_hold(world, GATE_FOUND);
    const uint32_t part = world_get(world, "key", 0, 100);
    const uint32_t first = world_get(world, "key", 0, 0);
    const uint32_t second = world_get(world, "key", 0, 0);
    world_run(world);
    world_release(world, GATE_FOUND);
    world_expect_value(world, first, 5, BLOCK);
    world_expect_value(world, second, 5, BLOCK);
    world_expect(world, part, MKV_STATUS_OK);
    assert_int_equal(world->requests[part].received_bytes[0], 100);
    assert_int_equal(world->seen[GATE_READ_DONE], 2);
    assert_int_equal(world_stats(world).memory_blocks, 1);
    assert_int_equal(world_stats(world).reads_shared, 1);
    world_close(world);
}

/* Told of as whole by its size in units, and is not. */
static void test_memory__one_byte_less_was_asked_for__is_not_kept(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 5000);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    world_hold(world, GATE_READ_DONE);
    const uint32_t part = world_get(world, "key", 0, 4999);
    const uint32_t whole = world_get(world, "key", 0, 0);
    world_run(world);
    world_release(world, GATE_READ_DONE);
    world_expect(world, part, MKV_STATUS_OK);
    world_expect_value(world, whole, 5, 5000);
    assert_int_equal(world->seen[GATE_READ_DONE], 2);
    assert_int_equal(world_stats(world).memory_blocks, 1);
    world_close(world);
}

static void test_memory__all_was_asked_for_while_it_is_replaced__is_not_kept(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    world_hold(world, GATE_READ_DONE);
    (void)world_get(world, "key", 0, BLOCK);
    world_run(world);
    const uint32_t gone = world_delete(world, "key");
    world_run(world);
    world_expect(world, gone, MKV_STATUS_OK);
    world_release(world, GATE_READ_DONE);
    assert_int_equal(world_stats(world).memory_blocks, 0);
    world_close(world);
}

/* A drive that hangs: who comes behind the first deadline asks the volume, and waits for nobody. */
static void test_memory__read_is_past_its_deadline__the_next_one_asks_anew(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    world_hold(world, GATE_READ_DONE);
    const uint32_t late = world_get(world, "key", 0, 0);
    world_run(world);
    world_wait(world, WORLD_SECOND);
    world_expect(world, late, MKV_STATUS_DEADLINE);
    const uint32_t found = world->seen[GATE_FOUND];
    const uint32_t next = world_get(world, "key", 0, 0);
    world_run(world);
    assert_int_equal(world->seen[GATE_FOUND], found + 1);
    world_release(world, GATE_READ_DONE);
    world_expect_value(world, next, 5, BLOCK);
    world_check_idle(world);
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__as_many_bytes_were_asked_for_as_there_are__is_kept),
        cmocka_unit_test(test_memory__read_of_a_part_was_waited_for__the_others_read_the_whole),
        cmocka_unit_test(test_memory__one_byte_less_was_asked_for__is_not_kept),
        cmocka_unit_test(test_memory__all_was_asked_for_while_it_is_replaced__is_not_kept),
        cmocka_unit_test(test_memory__read_is_past_its_deadline__the_next_one_asks_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
