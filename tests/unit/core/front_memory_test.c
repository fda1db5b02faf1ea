/* SPDX-License-Identifier: Apache-2.0 */
/* What stays in memory, and what never comes from there: tests of core/front_memory.c and
 * core/front_op_memory.c. */
#include "core/front.h"

#include "core/hash.h"
#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES

static struct world *open_with(uint32_t memory_blocks_max) {
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = memory_blocks_max;
    return world_open(&config);
}

static uint32_t relaxed_put(struct world *world, const char *key, uint64_t seed, uint64_t length,
                            uint32_t flags) {
    const struct world_item item = {
        .key = key, .seed = seed, .length = length, .flags = MKV_PUT_RELAXED | flags};
    return world_send(world, 0, MKV_OP_PUT, &item, 1);
}

static uint32_t get_on(struct world *world, uint32_t connection, const char *key) {
    const struct world_item item = {.key = key};
    return world_send(world, connection, MKV_OP_GET, &item, 1);
}

/* The volumes forget a block, as when one evicts it. */
static void volumes_lose(struct world *world, const char *key) {
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        struct world_block *block =
            world_block_find(world, volume, (const uint8_t *)key, (uint32_t)strlen(key));
        if (block != NULL) {
            free(block->data);
            memset(block, 0, sizeof *block);
        }
    }
}

/* ---- expiry ---------------------------------------------------------------------------------- */

static void test_memory__time_is_over__is_not_served(void **state) {
    (void)state;
    struct world *world = open_with(16);
    struct world_item item = {.key = "key", .seed = 5, .length = BLOCK, .expire_s = 10};
    world_send(world, 0, MKV_OP_PUT, &item, 1);
    world_run(world);
    /* Prolonged: what memory has is not what the volume has, so the next read asks it. */
    item.expire_s = 20;
    world_send(world, 0, MKV_OP_PUT, &item, 1);
    world_run(world);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        struct world_block *block = world_block_find(world, volume, (const uint8_t *)"key", 3);
        if (block != NULL) {
            block->expiry_s = WORLD_WALL_S + 21;
        }
    }
    world_expect_get(world, "key", 5, BLOCK);
    volumes_lose(world, "key");
    world->wall_later_ms = 19000;
    world_expect_get(world, "key", 5, BLOCK);
    world->wall_later_ms = 21000;
    world_expect_miss(world, "key");
    world_close(world);
}

/* ---- hits ------------------------------------------------------------------------------------ */

static void test_memory__get_after_put__asks_no_volume(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    world_expect_get(world, "key", 5, BLOCK);
    const uint32_t range = world_get(world, "key", 1000, 70000);
    const uint32_t behind = world_get(world, "key", BLOCK, 10);
    const uint32_t exists = world_exists(world, "key");
    world_run(world);
    assert_int_equal(world->requests[range].received_bytes[0], 70000);
    for (uint32_t at = 0; at < 70000; at += 777) {
        assert_int_equal(world->requests[range].received[0][at], world_byte(5, 1000 + at));
    }
    world_expect(world, behind, MKV_STATUS_OK);
    assert_int_equal(world_result(world, exists)->length, BLOCK);
    assert_int_equal(world->seen[GATE_FOUND], 0);
    assert_int_equal(world->seen[GATE_EXISTS_DONE], 1); /* for the lease */
    assert_int_equal(world_result(world, exists)->leased, 1);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.memory_lookups, 4);
    assert_int_equal(stats.memory_hits, 4);
    assert_int_equal(stats.keys_from_memory[MKV_OP_GET], 3);
    assert_int_equal(stats.keys_from_memory[MKV_OP_EXISTS], 1);
    assert_int_equal(stats.memory_kept_puts, 1);
    assert_int_equal(stats.memory_blocks, 1);
    assert_int_equal(stats.memory_units, 2);
    world_close(world);
}

static void test_memory__second_get_from_the_drive__is_a_hit(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    world_expect_get(world, "key", 5, BLOCK);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    assert_int_equal(world_stats(world).keys_from_memory[MKV_OP_GET], 0);
    assert_int_equal(world_stats(world).memory_kept_reads, 1);
    world_expect_get(world, "key", 5, BLOCK);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    assert_int_equal(world_stats(world).keys_from_memory[MKV_OP_GET], 1);
    world_close(world);
}

static void test_memory__part_of_a_block_was_read__is_not_kept(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    mkv_front_volume_set_state(world->front, 0, MKV_FRONT_VOLUME_OFFLINE);
    mkv_front_volume_set_state(world->front, 1, MKV_FRONT_VOLUME_OFFLINE);
    mkv_front_volume_set_state(world->front, 2, MKV_FRONT_VOLUME_OFFLINE);
    world_expect_miss(world, "key");
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_ONLINE);
    }
    const uint32_t range = world_get(world, "key", 0, 100);
    world_run(world);
    world_expect(world, range, MKV_STATUS_OK);
    assert_int_equal(world->seen[GATE_READ_DONE], 1); /* what was there before the outage is not */
    assert_int_equal(world_stats(world).memory_blocks, 0);
    world_close(world);
}

/* What went to the drive that came, and back, may have been replaced there. */
static void test_memory__a_drive_comes_and_goes_again__what_came_before_it_is_not_kept(
    void **state) {
    (void)state;
    struct world *world = open_with(16);
    mkv_front_volume_set_state(world->front, 2, MKV_FRONT_VOLUME_ABSENT);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    mkv_front_volume_set_state(world->front, 2, MKV_FRONT_VOLUME_OFFLINE);
    mkv_front_volume_set_state(world->front, 2, MKV_FRONT_VOLUME_ONLINE);
    mkv_front_volume_set_state(world->front, 2, MKV_FRONT_VOLUME_ABSENT);
    world_expect_get(world, "key", 5, BLOCK);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    world_expect_get(world, "key", 5, BLOCK); /* and this is kept */
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    world_close(world);
}

static void test_memory__segments__come_from_memory(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, 3 * BLOCK + 1);
    world_run(world);
    world_expect_get(world, "key", 5, 3 * BLOCK + 1);
    assert_int_equal(world->seen[GATE_READ_DONE], 1); /* the manifest */
    assert_int_equal(world->seen[GATE_EXISTS_DONE], 0);
    assert_int_equal(world_stats(world).keys_from_memory[MKV_OP_GET], 0);
    world_delete(world, "key");
    world_run(world);
    assert_int_equal(world_stats(world).memory_blocks, 0);
    world_close(world);
}

static void test_memory__volume_was_offline__what_was_there_is_not_served(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, 1000);
    world_run(world);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_ONLINE);
    }
    volumes_lose(world, "key");
    world_expect_miss(world, "key");
    world_close(world);
}

static void test_memory__hits_of_one_connection__count_against_its_cap(void **state) {
    (void)state;
    struct world *world = open_with(32);
    char keys[16][2];
    for (uint32_t index = 0; index < 16; index++) {
        keys[index][0] = (char)('a' + index);
        keys[index][1] = 0;
        world_put(world, keys[index], index + 1, UNIT);
        world_run(world);
    }
    world_hold(world, GATE_PUSH);
    for (uint32_t index = 0; index < 16; index++) {
        get_on(world, 0, keys[index]);
    }
    world_run(world);
    assert_int_equal(world_stats(world).memory_units_used, 12);
    assert_int_equal(world_stats(world).ops_waiting_slab, 4);
    world_close(world);
}

/* ---- coherence ------------------------------------------------------------------------------- */

static void test_memory__replaced_or_deleted__is_not_seen_again(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, 1000);
    world_run(world);
    world_replace(world, "key", 6, 2000);
    world_run(world);
    world_expect_get(world, "key", 6, 2000);
    const uint32_t conflict = world_put(world, "key", 7, 3000);
    world_run(world);
    world_expect(world, conflict, MKV_STATUS_CONFLICT);
    world_expect_get(world, "key", 6, 2000);
    assert_int_equal(world->seen[GATE_READ_DONE], 0);
    world_delete(world, "key");
    world_run(world);
    world_expect_miss(world, "key");
    assert_int_equal(world_stats(world).memory_blocks, 0);
    world_close(world);
}

static void test_memory__mutation_unanswered__the_old_value_is_served(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, 1000);
    world_run(world);
    world_hold(world, GATE_PUT_DONE);
    world_replace(world, "key", 6, 2000);
    world_run(world);
    world_expect_get(world, "key", 5, 1000);
    world_release(world, GATE_PUT_DONE);
    world_expect_get(world, "key", 6, 2000);
    world_close(world);
}

static void test_memory__read_while_the_key_is_replaced__is_not_kept(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 1000);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    world_hold(world, GATE_READ_DONE);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    world_replace(world, "key", 6, 2000);
    world_run(world);
    world_release(world, GATE_READ_DONE);
    world_expect_value(world, get, 5, 1000);
    assert_int_equal(world_stats(world).reads_not_kept, 1);
    world_expect_get(world, "key", 6, 2000);
    world_close(world);
}

static void test_memory__write_failed__nothing_stays(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_fail(world, GATE_PUT_DONE, 0, 1, MKV_STATUS_IO_ERROR, MKV_MISS_NONE);
    const uint32_t put = world_put(world, "key", 5, 1000);
    world_run(world);
    world_expect(world, put, MKV_STATUS_IO_ERROR);
    world_expect_miss(world, "key");
    world_close(world);
}

static void test_memory__drive_lost_the_block__is_served_and_deleted(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, 1000);
    world_run(world);
    volumes_lose(world, "key");
    world_expect_get(world, "key", 5, 1000);
    const uint32_t first = world_delete(world, "key");
    world_run(world);
    world_expect(world, first, MKV_STATUS_OK);
    const uint32_t second = world_delete(world, "key");
    world_run(world);
    world_expect(world, second, MKV_STATUS_NOT_FOUND);
    world_expect_miss(world, "key");
    world_close(world);
}

/* ---- shared reads ---------------------------------------------------------------------------- */

static struct world *open_for_reads(void) {
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    struct mkv_front_config config = world->config;
    config.memory_blocks_max = 16;
    world_restart(world, &config);
    return world;
}

static void test_memory__many_gets_of_a_block__share_one_read(void **state) {
    (void)state;
    struct world *world = open_for_reads();
    world_hold(world, GATE_READ_DONE);
    uint32_t ids[9];
    for (uint32_t index = 0; index < 8; index++) {
        ids[index] = get_on(world, index % 3, "key");
    }
    ids[8] = world_get(world, "key", 10, 20);
    world_run(world);
    assert_int_equal(world_stats(world).volume_ops[0] + world_stats(world).volume_ops[1] +
                         world_stats(world).volume_ops[2],
                     1);
    world_release(world, GATE_READ_DONE);
    for (uint32_t index = 0; index < 8; index++) {
        world_expect_value(world, ids[index], 5, BLOCK);
    }
    world_expect(world, ids[8], MKV_STATUS_OK);
    assert_int_equal(world->seen[GATE_FOUND], 1);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.reads_shared, 8);
    assert_int_equal(stats.keys_from_memory[MKV_OP_GET], 0);
    world_close(world);
}

static void test_memory__shared_read_fails__all_are_told(void **state) {
    (void)state;
    struct world *world = open_for_reads();
    world_hold(world, GATE_READ_DONE);
    world_fail(world, GATE_READ_DONE, 0, 1, MKV_STATUS_IO_ERROR, MKV_MISS_IO_ERROR);
    uint32_t ids[4];
    for (uint32_t index = 0; index < 4; index++) {
        ids[index] = get_on(world, index, "key");
    }
    world_run(world);
    world_release(world, GATE_READ_DONE);
    for (uint32_t index = 0; index < 4; index++) {
        world_expect(world, ids[index], MKV_STATUS_IO_ERROR);
        assert_int_equal(world_result(world, ids[index])->miss, MKV_MISS_IO_ERROR);
    }
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    world_expect_get(world, "key", 5, BLOCK);
    world_close(world);
}

static void test_memory__reader_gives_up__the_others_read_for_themselves(void **state) {
    (void)state;
    struct world *world = open_for_reads();
    world_hold(world, GATE_FOUND);
    world->deadline_after_ns = 1000;
    const uint32_t first = get_on(world, 0, "key");
    world_run(world);
    world->deadline_after_ns = WORLD_SECOND;
    const uint32_t second = get_on(world, 1, "key");
    const uint32_t third = get_on(world, 2, "key");
    world_run(world);
    world_wait(world, 2000);
    world_expect(world, first, MKV_STATUS_DEADLINE);
    world_release(world, GATE_FOUND);
    world_expect_value(world, second, 5, BLOCK);
    world_expect_value(world, third, 5, BLOCK);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    world_close(world);
}

static void test_memory__readers_connection_closes__its_read_serves_the_others(void **state) {
    (void)state;
    struct world *world = open_for_reads();
    world_hold(world, GATE_READ_DONE);
    get_on(world, 0, "key");
    world_run(world);
    const uint32_t second = get_on(world, 1, "key");
    world_run(world);
    world_close_connection(world, 0);
    world_release(world, GATE_READ_DONE);
    world_expect_value(world, second, 5, BLOCK);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    world_close(world);
}

static void test_memory__waits_for_a_read_past_its_deadline__ends(void **state) {
    (void)state;
    struct world *world = open_for_reads();
    world_hold(world, GATE_READ_DONE);
    const uint32_t first = get_on(world, 0, "key");
    world->deadline_after_ns = 1000;
    const uint32_t second = get_on(world, 1, "key");
    world_run(world);
    world_wait(world, 2000);
    world_expect(world, second, MKV_STATUS_DEADLINE);
    world_release(world, GATE_READ_DONE);
    world_expect_value(world, first, 5, BLOCK);
    world_close(world);
}

/* ---- room ------------------------------------------------------------------------------------ */

static void fill_memory(struct world *world, char keys[16][2], uint32_t count, uint64_t length) {
    for (uint32_t index = 0; index < count; index++) {
        keys[index][0] = (char)('a' + index);
        keys[index][1] = 0;
        world_put(world, keys[index], index + 1, length);
        world_run(world);
    }
}

static void test_memory__slabs_are_needed__the_coldest_go(void **state) {
    (void)state;
    struct world *world = open_with(32);
    char keys[16][2];
    fill_memory(world, keys, 16, UNIT);
    assert_int_equal(world_stats(world).slab_units_free, 0);
    world_expect_get(world, "a", 1, UNIT); /* used again: others go first */
    world_put(world, "x", 30, UNIT);
    world_put(world, "y", 31, UNIT);
    world_run(world);
    assert_int_equal(world_stats(world).memory_taken, 2);
    assert_int_equal(world->seen[GATE_READ_DONE], 0);
    world_expect_get(world, "a", 1, UNIT);
    world_expect_get(world, "d", 4, UNIT);
    assert_int_equal(world->seen[GATE_READ_DONE], 0);
    world_expect_get(world, "b", 2, UNIT);
    assert_int_equal(world->seen[GATE_READ_DONE], 1);
    world_close(world);
}

static void test_memory__slab_in_use__is_not_taken(void **state) {
    (void)state;
    struct world *world = open_with(32);
    char keys[16][2];
    fill_memory(world, keys, 16, UNIT);
    world_hold(world, GATE_PUSH);
    uint32_t ids[16];
    for (uint32_t index = 0; index < 16; index++) {
        ids[index] = get_on(world, index % 2, keys[index]);
    }
    world_run(world);
    assert_int_equal(world_stats(world).memory_units_used, 16);
    const struct world_item item = {.key = "x", .seed = 30, .length = UNIT};
    const uint32_t put = world_send(world, 3, MKV_OP_PUT, &item, 1);
    world_run(world);
    assert_int_equal(world_stats(world).ops_waiting_slab, 1);
    assert_int_equal(world_stats(world).memory_blocks, 16);
    assert_int_equal(world->requests[put].answers, 0);
    world_release(world, GATE_PUSH);
    for (uint32_t index = 0; index < 16; index++) {
        world_expect_value(world, ids[index], index + 1, UNIT);
    }
    world_expect(world, put, MKV_STATUS_OK);
    world_close(world);
}

static void test_memory__large_slab_is_needed__a_whole_run_goes(void **state) {
    (void)state;
    struct world *world = open_with(32);
    char keys[16][2];
    fill_memory(world, keys, 16, UNIT);
    world_put(world, "x", 30, BLOCK);
    world_run(world);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.memory_taken, 2);
    assert_int_equal(stats.memory_blocks, 15);
    world_expect_get(world, "x", 30, BLOCK);
    world_close(world);
}

static void test_memory__stream_of_blocks_read_once__leaves_those_that_are_used(void **state) {
    (void)state;
    struct world *world = open_with(32);
    world_put(world, "hot", 99, UNIT);
    world_run(world);
    for (uint32_t index = 0; index < 100; index++) {
        char key[8];
        (void)snprintf(key, sizeof key, "s%u", index);
        world_put(world, key, index + 1, UNIT);
        world_run(world);
        if (index == 0) {
            world_expect_get(world, "hot", 99, UNIT); /* once is enough */
        }
    }
    world_expect_get(world, "hot", 99, UNIT);
    assert_int_equal(world->seen[GATE_READ_DONE], 0);
    world_close(world);
}

static void test_memory__more_blocks_than_places__the_coldest_go(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 3;
    struct world *world = world_open(&config);
    char keys[16][2];
    fill_memory(world, keys, 16, 100);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.memory_blocks, 3);
    assert_int_equal(stats.memory_taken, 13);
    world_expect_get(world, "p", 16, 100);
    world_expect_get(world, "a", 1, 100);
    world_close(world);
}

static void test_memory__every_place_is_in_use__the_next_goes_without(void **state) {
    (void)state;
    struct world *world = open_with(1);
    world_put(world, "a", 1, 100);
    world_run(world);
    world_hold(world, GATE_PUSH);
    const uint32_t get = get_on(world, 1, "a");
    world_run(world);
    const uint32_t put = world_put(world, "b", 2, 100);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t relaxed = relaxed_put(world, "c", 3, 100, 0);
    world_run(world);
    assert_int_equal(world->requests[relaxed].answers, 0); /* nobody could see it */
    world_release(world, GATE_PUT_DONE);
    world_expect(world, put, MKV_STATUS_OK);
    world_expect(world, relaxed, MKV_STATUS_OK);
    assert_int_equal(world_stats(world).memory_blocks, 1);
    world_hold(world, GATE_READ_DONE);
    const uint32_t other = get_on(world, 2, "b");
    world_run(world);
    world_release(world, GATE_READ_DONE);
    world_release(world, GATE_PUSH);
    world_expect_value(world, get, 1, 100);
    world_expect_value(world, other, 2, 100);
    world_close(world);
}

/* ---- relaxed puts ---------------------------------------------------------------------------- */

static void test_memory__hits__are_told_to_the_volume_a_while_later(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    world_expect_get(world, "key", 5, BLOCK);
    world_expect_get(world, "key", 5, BLOCK);
    assert_int_equal(world->touches, 0);
    world_wait(world, 10000000);
    assert_int_equal(world->touches, 2);
    assert_true(world->touch_tag == mkv_key_tag(MKV_TENANT_DEFAULT, (const uint8_t *)"key", 3));
    assert_int_equal(world_stats(world).touches_sent, 2);
    for (uint32_t hit = 0; hit < 40; hit++) { /* of which a message takes 32 */
        world_expect_get(world, "key", 5, BLOCK);
    }
    assert_int_equal(world->touches, 2 + 32);
    assert_int_equal(world->seen[GATE_FOUND], 0);
    world_close(world);
}

static void test_memory__exists_without_leases__asks_no_volume(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 16;
    config.exists_lease_ns = 0;
    struct world *world = world_open(&config);
    world_put(world, "key", 5, BLOCK);
    world_run(world);
    const uint32_t exists = world_exists(world, "key");
    world_run(world);
    world_expect(world, exists, MKV_STATUS_OK);
    assert_int_equal(world_result(world, exists)->length, BLOCK);
    assert_int_equal(world_result(world, exists)->leased, 0);
    assert_int_equal(world->seen[GATE_EXISTS_DONE], 0);
    world_close(world);
}

static void test_relaxed__put__is_answered_and_served_before_it_is_durable(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t put = relaxed_put(world, "key", 5, BLOCK, 0);
    const uint32_t empty = relaxed_put(world, "empty", 5, 0, 0);
    world_run(world);
    world_expect(world, put, MKV_STATUS_OK);
    world_expect(world, empty, MKV_STATUS_OK);
    struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.memory_unpersisted, 2);
    assert_int_equal(stats.requests_in_flight, 0);
    assert_int_equal(world_block_count(world, 0), 0);
    world_expect_get(world, "key", 5, BLOCK);
    const uint32_t exists = world_exists(world, "key");
    world_run(world);
    world_expect(world, exists, MKV_STATUS_OK);
    world_release(world, GATE_PUT_DONE);
    stats = world_stats(world);
    assert_int_equal(stats.memory_unpersisted, 0);
    assert_int_equal(stats.puts_early, 2);
    assert_int_equal(stats.puts_early_lost, 0);
    assert_int_equal(world_block_count(world, 0), 2);
    world_expect_get(world, "key", 5, BLOCK);
    world_close(world);
}

static void test_relaxed__put_over_a_live_block__waits_until_it_is_durable(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_put(world, "key", 4, 1000);
    world_run(world);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t put = relaxed_put(world, "key", 5, BLOCK, MKV_PUT_REPLACE);
    world_run(world);
    assert_int_equal(world->requests[put].answers, 0);
    world_expect_get(world, "key", 4, 1000);
    world_release(world, GATE_PUT_DONE);
    world_expect(world, put, MKV_STATUS_OK);
    world_expect_get(world, "key", 5, BLOCK);
    assert_int_equal(world_stats(world).puts_early, 0);
    world_close(world);
}

static void test_relaxed__persist_fails__the_block_is_gone_and_counted(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_hold(world, GATE_PUT_DONE);
    world_fail(world, GATE_PUT_DONE, 0, 1, MKV_STATUS_IO_ERROR, MKV_MISS_NONE);
    const uint32_t put = relaxed_put(world, "key", 5, BLOCK, 0);
    world_run(world);
    world_expect(world, put, MKV_STATUS_OK);
    world_release(world, GATE_PUT_DONE);
    assert_int_equal(world_stats(world).puts_early_lost, 1);
    assert_int_equal(world_stats(world).memory_unpersisted, 0);
    world_expect_miss(world, "key");
    world_close(world);
}

static void test_relaxed__without_memory_or_of_segments__is_durable(void **state) {
    (void)state;
    struct world *world = open_with(0);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t put = relaxed_put(world, "key", 5, BLOCK, 0);
    world_run(world);
    assert_int_equal(world->requests[put].answers, 0);
    world_close(world);
    world = open_with(16);
    world_hold(world, GATE_PUT_DONE);
    const uint32_t large = relaxed_put(world, "key", 5, 2 * BLOCK + 5, 0);
    world_run(world);
    assert_int_equal(world->requests[large].answers, 0);
    world_close(world);
}

/* Who waits for nothing is not refused for what is still on its way. */
static void test_relaxed__many_from_one_connection__are_not_refused(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.memory_blocks_max = 16;
    config.requests_per_connection_max = 2;
    config.volume_ops_max = 64;
    struct world *world = world_open(&config);
    world_hold(world, GATE_PUT_DONE);
    char keys[8][2];
    for (uint32_t index = 0; index < 8; index++) {
        keys[index][0] = (char)('a' + index);
        keys[index][1] = 0;
        const uint32_t put = relaxed_put(world, keys[index], index + 1, UNIT, 0);
        world_run(world);
        world_expect(world, put, MKV_STATUS_OK);
    }
    assert_int_equal(world_stats(world).memory_unpersisted, 8);
    world_close_connection(world, 0);
    world_release(world, GATE_PUT_DONE);
    assert_int_equal(world_block_count(world, 0), 8);
    world_close(world);
}

static void test_relaxed__deleted_before_it_is_durable__stays_deleted(void **state) {
    (void)state;
    struct world *world = open_with(16);
    world_hold(world, GATE_PUT_DONE);
    relaxed_put(world, "key", 5, 1000, 0);
    world_run(world);
    const uint32_t gone = world_delete(world, "key");
    world_run(world);
    assert_int_equal(world->requests[gone].answers, 0);
    world_expect_get(world, "key", 5, 1000);
    world_release(world, GATE_PUT_DONE);
    world_expect(world, gone, MKV_STATUS_OK);
    world_expect_miss(world, "key");
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__time_is_over__is_not_served),
        cmocka_unit_test(test_memory__get_after_put__asks_no_volume),
        cmocka_unit_test(test_memory__second_get_from_the_drive__is_a_hit),
        cmocka_unit_test(test_memory__part_of_a_block_was_read__is_not_kept),
        cmocka_unit_test(
            test_memory__a_drive_comes_and_goes_again__what_came_before_it_is_not_kept),
        cmocka_unit_test(test_memory__segments__come_from_memory),
        cmocka_unit_test(test_memory__volume_was_offline__what_was_there_is_not_served),
        cmocka_unit_test(test_memory__hits_of_one_connection__count_against_its_cap),
        cmocka_unit_test(test_memory__replaced_or_deleted__is_not_seen_again),
        cmocka_unit_test(test_memory__mutation_unanswered__the_old_value_is_served),
        cmocka_unit_test(test_memory__read_while_the_key_is_replaced__is_not_kept),
        cmocka_unit_test(test_memory__write_failed__nothing_stays),
        cmocka_unit_test(test_memory__drive_lost_the_block__is_served_and_deleted),
        cmocka_unit_test(test_memory__many_gets_of_a_block__share_one_read),
        cmocka_unit_test(test_memory__shared_read_fails__all_are_told),
        cmocka_unit_test(test_memory__reader_gives_up__the_others_read_for_themselves),
        cmocka_unit_test(test_memory__readers_connection_closes__its_read_serves_the_others),
        cmocka_unit_test(test_memory__waits_for_a_read_past_its_deadline__ends),
        cmocka_unit_test(test_memory__slabs_are_needed__the_coldest_go),
        cmocka_unit_test(test_memory__slab_in_use__is_not_taken),
        cmocka_unit_test(test_memory__large_slab_is_needed__a_whole_run_goes),
        cmocka_unit_test(test_memory__stream_of_blocks_read_once__leaves_those_that_are_used),
        cmocka_unit_test(test_memory__every_place_is_in_use__the_next_goes_without),
        cmocka_unit_test(test_memory__more_blocks_than_places__the_coldest_go),
        cmocka_unit_test(test_memory__hits__are_told_to_the_volume_a_while_later),
        cmocka_unit_test(test_memory__exists_without_leases__asks_no_volume),
        cmocka_unit_test(test_relaxed__put__is_answered_and_served_before_it_is_durable),
        cmocka_unit_test(test_relaxed__put_over_a_live_block__waits_until_it_is_durable),
        cmocka_unit_test(test_relaxed__persist_fails__the_block_is_gone_and_counted),
        cmocka_unit_test(test_relaxed__without_memory_or_of_segments__is_durable),
        cmocka_unit_test(test_relaxed__many_from_one_connection__are_not_refused),
        cmocka_unit_test(test_relaxed__deleted_before_it_is_durable__stays_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
