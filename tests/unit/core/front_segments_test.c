/* SPDX-License-Identifier: Apache-2.0 */
/* Values of more than one block: tests of core/front_segments.c. */
#include "core/front.h"

#include "core/manifest.h"
#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES

static void expect_put(struct world *world, uint32_t put, enum mkv_status status) {
    world_run(world);
    world_expect(world, put, status);
    world_check_idle(world);
}

static void drop_segment(struct world *world, uint32_t which) {
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        struct world_block *block = &world->blocks[index];
        if (block->live && block->flags == MKV_BLOCK_SEGMENT && which-- == 0) {
            free(block->data);
            memset(block, 0, sizeof *block);
            return;
        }
    }
    fail_msg("there is no such segment");
}

/* ---- PUT and GET ----------------------------------------------------------------------------- */

static void test_segments__put_and_get__gives_the_bytes_back(void **state) {
    (void)state;
    const uint64_t lengths[] = {BLOCK + 1,     2 * BLOCK - 1,   2 * BLOCK, 2 * BLOCK + 1,
                                5 * BLOCK + 9, 10 * BLOCK + 17, 64 * BLOCK};
    for (uint32_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        struct world *world = world_open(NULL);
        const uint32_t segments = (uint32_t)mkv_divide_up_u64(lengths[index], BLOCK);
        expect_put(world, world_put(world, "key", 5, lengths[index]), MKV_STATUS_OK);
        assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), segments);
        assert_int_equal(world_block_count(world, MKV_BLOCK_MANIFEST), 1);
        world_check_segments(world, false);
        world_expect_get(world, "key", 5, lengths[index]);
        const struct mkv_front_stats stats = world_stats(world);
        assert_int_equal(stats.segments_put, segments);
        assert_int_equal(stats.segments_pushed, segments);
        assert_int_equal(stats.bytes_in, lengths[index]);
        assert_int_equal(stats.bytes_out, lengths[index]);
        const struct mkv_root none = {{0}};
        assert_memory_equal(&world->requests[2].results[0].root, &none, sizeof none);
        world_close(world);
    }
}

static void test_segments__get_of_a_range__touches_what_overlaps(void **state) {
    (void)state;
    const uint64_t length = 5 * BLOCK + 100;
    const struct {
        uint64_t offset;
        uint64_t length;
        uint32_t segments;
    } ranges[] = {
        {0, 1, 1},          {BLOCK - 1, 1, 1},         {BLOCK - 1, 2, 2},
        {BLOCK, BLOCK, 1},  {BLOCK + 5, 3 * BLOCK, 4}, {2 * BLOCK + 70000, 10, 1},
        {5 * BLOCK, 0, 1},  {5 * BLOCK + 99, 0, 1},    {5 * BLOCK + 100, 0, 0},
        {UINT64_MAX, 5, 0}, {7, UINT64_MAX, 6},        {4 * BLOCK, 100 * BLOCK, 2},
    };
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, length), MKV_STATUS_OK);
    for (uint32_t index = 0; index < sizeof ranges / sizeof ranges[0]; index++) {
        const uint32_t reads = world->seen[GATE_READ_DONE];
        const uint32_t get = world_get(world, "key", ranges[index].offset, ranges[index].length);
        world_run(world);
        world_expect_value(world, get, 5, length);
        /* One READ is of the manifest. */
        assert_int_equal(world->seen[GATE_READ_DONE] - reads, ranges[index].segments + 1);
    }
    world_close(world);
}

static void test_segments__delete__answers_behind_the_manifest_and_leaves_no_segment(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, 7 * BLOCK), MKV_STATUS_OK);
    world_hold(world, GATE_DELETE_DONE);
    const uint32_t gone = world_delete(world, "key");
    world_run(world);
    assert_int_equal(world->event_count, 1);
    assert_int_equal(world_block_count(world, MKV_BLOCK_MANIFEST), 1);
    world_let_one(world, GATE_DELETE_DONE);
    world_expect(world, gone, MKV_STATUS_OK);
    assert_int_equal(world_block_count(world, MKV_BLOCK_MANIFEST), 0);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 7);
    assert_int_equal(world->event_count, MKV_FRONT_WINDOW);
    assert_int_equal(world_stats(world).requests_in_flight, 0);
    world_release(world, GATE_DELETE_DONE);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 0);
    assert_int_equal(world_stats(world).segments_deleted, 7);
    world_expect_miss(world, "key");
    world_close(world);
}

/* ---- over an old value ----------------------------------------------------------------------- */

static void test_segments__replace__leaves_no_old_segment(void **state) {
    (void)state;
    const uint64_t lengths[] = {10, 3 * BLOCK, BLOCK, 2 * BLOCK + 5, 6 * BLOCK, 0, 2 * BLOCK};
    struct world *world = world_open(NULL);
    for (uint32_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        expect_put(world, world_replace(world, "key", index + 1, lengths[index]), MKV_STATUS_OK);
        world_check_segments(world, false);
        world_expect_get(world, "key", index + 1, lengths[index]);
    }
    expect_put(world, world_delete(world, "key"), MKV_STATUS_OK);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 0);
    world_close(world);
}

static void test_segments__same_content_again__is_ok_and_leaves_one_copy(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, 3 * BLOCK), MKV_STATUS_OK);
    expect_put(world, world_put(world, "key", 5, 3 * BLOCK), MKV_STATUS_OK);
    world_check_segments(world, false);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 3);
    world_expect_get(world, "key", 5, 3 * BLOCK);
    world_close(world);
}

static uint32_t put_expiring(struct world *world, uint64_t length, uint32_t expire_s) {
    const struct world_item item = {
        .key = "key", .seed = 5, .length = length, .expire_s = expire_s};
    return world_send(world, 0, MKV_OP_PUT, &item, 1);
}

/* All blocks that the world has, of one value, expire then. */
static void expect_expiry(const struct world *world, uint32_t expiry_s) {
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        if (world->blocks[index].live) {
            assert_int_equal(world->blocks[index].expiry_s, expiry_s);
        }
    }
}

static void test_segments__put_with_expiry__expires_with_all_its_parts(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, put_expiring(world, 100, 60), MKV_STATUS_OK);
    expect_expiry(world, WORLD_WALL_S + 1 + 60); /* not before the client's minute is over */
    world_close(world);
    world = world_open(NULL);
    expect_put(world, put_expiring(world, 3 * BLOCK, 60), MKV_STATUS_OK);
    expect_expiry(world, WORLD_WALL_S + 1 + 60);
    world_close(world);
    world = world_open(NULL);
    expect_put(world, put_expiring(world, 3 * BLOCK, UINT32_MAX), MKV_STATUS_OK);
    expect_expiry(world, UINT32_MAX);
    world_close(world);
}

static void test_segments__same_content_again__is_prolonged_and_never_shortened(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, put_expiring(world, 3 * BLOCK, 60), MKV_STATUS_OK);
    expect_put(world, put_expiring(world, 3 * BLOCK, 30), MKV_STATUS_OK);
    expect_expiry(world, WORLD_WALL_S + 61);
    expect_put(world, put_expiring(world, 3 * BLOCK, 90), MKV_STATUS_OK);
    expect_expiry(world, WORLD_WALL_S + 91);
    expect_put(world, put_expiring(world, 3 * BLOCK, 0), MKV_STATUS_OK);
    expect_expiry(world, 0);
    expect_put(world, put_expiring(world, 3 * BLOCK, 90), MKV_STATUS_OK);
    expect_expiry(world, 0);
    world_check_segments(world, false);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 3);
    world_expect_get(world, "key", 5, 3 * BLOCK);
    world_close(world);
}

/* Neither finds the other's value before it has sent its own. */
static void test_segments__same_content_at_the_same_time__is_ok_for_both(void **state) {
    (void)state;
    for (uint64_t random = 0; random < 20; random++) {
        struct world *world = world_open(NULL);
        const struct world_item item = {.key = "key", .seed = 5, .length = 3 * BLOCK};
        world_hold(world, GATE_FOUND);
        const uint32_t first = world_send(world, 0, MKV_OP_PUT, &item, 1);
        const uint32_t second = world_send(world, 1, MKV_OP_PUT, &item, 1);
        world_run(world);
        world->random = random * 0x9e3779b97f4a7c15u;
        world_release(world, GATE_FOUND);
        world_expect(world, first, MKV_STATUS_OK);
        world_expect(world, second, MKV_STATUS_OK);
        world_check_segments(world, false);
        assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 3);
        world_expect_get(world, "key", 5, 3 * BLOCK);
        world_close(world);
    }
}

static void test_segments__other_content_at_the_same_time__is_a_conflict_for_one(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item items[] = {{.key = "key", .seed = 5, .length = 3 * BLOCK},
                                       {.key = "key", .seed = 6, .length = 3 * BLOCK}};
    world_hold(world, GATE_FOUND);
    const uint32_t first = world_send(world, 0, MKV_OP_PUT, &items[0], 1);
    const uint32_t second = world_send(world, 1, MKV_OP_PUT, &items[1], 1);
    world_run(world);
    world_release(world, GATE_FOUND);
    world_expect(world, first, MKV_STATUS_OK);
    world_expect(world, second, MKV_STATUS_CONFLICT);
    world_check_segments(world, false);
    world_expect_get(world, "key", 5, 3 * BLOCK);
    world_close(world);
}

static void test_segments__other_content__is_a_conflict(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, 3 * BLOCK), MKV_STATUS_OK);
    expect_put(world, world_put(world, "small", 6, 3), MKV_STATUS_OK);
    const uint32_t pulls = world->seen[GATE_PULL];
    expect_put(world, world_put(world, "key", 5, 3 * BLOCK - 1), MKV_STATUS_CONFLICT);
    expect_put(world, world_put(world, "key", 5, 3), MKV_STATUS_CONFLICT);
    assert_int_equal(world->seen[GATE_PULL], pulls);
    /* FOUND goes by the tag, which another key may share: only the commit can tell. */
    expect_put(world, world_put(world, "small", 6, 3 * BLOCK), MKV_STATUS_CONFLICT);
    expect_put(world, world_put(world, "key", 7, 3 * BLOCK), MKV_STATUS_CONFLICT);
    world_check_segments(world, false);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 3);
    world_expect_get(world, "key", 5, 3 * BLOCK);
    world_expect_get(world, "small", 6, 3);
    world_close(world);
}

static void test_segments__old_value_misses_a_segment__is_put_anew(void **state) {
    (void)state;
    for (uint32_t which = 0; which < 6; which++) {
        struct world *world = world_open(NULL);
        expect_put(world, world_put(world, "key", 5, 6 * BLOCK), MKV_STATUS_OK);
        drop_segment(world, which);
        world_expect_miss(world, "key");
        expect_put(world, world_put(world, "key", which % 2 == 0 ? 5 : 8, 6 * BLOCK),
                   MKV_STATUS_OK);
        world_check_segments(world, false);
        world_expect_get(world, "key", which % 2 == 0 ? 5 : 8, 6 * BLOCK);
        world_close(world);
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Each PUT_BEGIN and each write of a value fails in turn: nothing of it stays, the old value does.
 */
static void run_put_failure(enum gate gate, uint32_t after, bool has_old) {
    struct world *world = world_open(NULL);
    if (has_old) {
        expect_put(world, world_put(world, "key", 4, 2 * BLOCK), MKV_STATUS_OK);
    }
    world_fail(world, gate, after, 1, MKV_STATUS_NO_SPACE, MKV_MISS_NONE);
    const uint32_t put = world_replace(world, "key", 5, 7 * BLOCK);
    world_run(world);
    world_expect(world, put, MKV_STATUS_NO_SPACE);
    world_check_idle(world);
    world_check_segments(world, false);
    if (has_old) {
        world_expect_get(world, "key", 4, 2 * BLOCK);
    } else {
        world_expect_miss(world, "key");
        assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 0);
    }
    world_close(world);
}

static void test_segments__one_put_of_many_fails__nothing_of_the_value_stays(void **state) {
    (void)state;
    for (uint32_t after = 0; after < 8; after++) {
        run_put_failure(GATE_PUT_DONE, after, false);
        run_put_failure(GATE_PUT_DONE, after, true);
        run_put_failure(GATE_PUT_READY, after, false);
        run_put_failure(GATE_PUT_READY, after, true);
    }
}

static void test_segments__segment_missing__is_a_miss_before_the_first_byte(void **state) {
    (void)state;
    for (uint32_t which = 0; which < 7; which++) {
        struct world *world = world_open(NULL);
        expect_put(world, world_put(world, "key", 5, 7 * BLOCK), MKV_STATUS_OK);
        drop_segment(world, which);
        const uint32_t get = world_get(world, "key", 0, 0);
        world_run(world);
        world_expect(world, get, MKV_STATUS_NOT_FOUND);
        assert_int_equal(world_result(world, get)->miss, MKV_MISS_UNKNOWN);
        assert_int_equal(world->seen[GATE_PUSH], 0);
        assert_int_equal(world->breaks, 0);
        world_close(world);
    }
}

static void test_segments__read_fails__is_a_miss_or_breaks_but_is_never_padded(void **state) {
    (void)state;
    uint32_t misses = 0;
    uint32_t breaks = 0;
    for (uint32_t after = 0; after < 8; after++) {
        struct world *world = world_open(NULL);
        expect_put(world, world_put(world, "key", 5, 7 * BLOCK), MKV_STATUS_OK);
        /* The first READ is of the manifest. */
        world_fail(world, GATE_READ_DONE, after, 1, MKV_STATUS_NOT_FOUND, MKV_MISS_CHECKSUM);
        const uint32_t get = world_get(world, "key", 0, 0);
        world_run(world);
        if (world->breaks == 0) {
            world_expect(world, get, MKV_STATUS_NOT_FOUND);
            assert_int_equal(world_result(world, get)->miss, MKV_MISS_CHECKSUM);
            assert_int_equal(world->seen[GATE_PUSH], 0);
            misses++;
        } else {
            assert_true(world->requests[get].received_bytes[0] < 7 * BLOCK);
            breaks++;
        }
        world_check_idle(world);
        world_close(world);
    }
    assert_int_equal(misses, 2);
    assert_int_equal(breaks, 6);
}

/* Two segments of equal length under each other's keys: every block is sound, the value is not. */
static void test_segments__segments_exchanged__chain_of_roots_tells(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, 3 * BLOCK), MKV_STATUS_OK);
    struct world_block *pair[2];
    uint32_t found = 0;
    for (uint32_t index = 0; found < 2; index++) {
        if (world->blocks[index].flags == MKV_BLOCK_SEGMENT) {
            pair[found++] = &world->blocks[index];
        }
    }
    uint8_t *data = pair[0]->data;
    const struct mkv_root root = pair[0]->root;
    pair[0]->data = pair[1]->data;
    pair[0]->root = pair[1]->root;
    pair[1]->data = data;
    pair[1]->root = root;
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    assert_int_equal(world->breaks, 1);
    assert_true(world->requests[get].received_bytes[0] < 3 * BLOCK);
    world_close(world);
}

/* Every block is sound, but one segment's length is not what the manifest says. */
static void test_segments__segment_of_another_length__is_never_served(void **state) {
    (void)state;
    const uint32_t lengths[] = {0, 100, BLOCK - MKV_UNIT_BYTES, BLOCK - 1, 4 * BLOCK};
    for (uint32_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        struct world *world = world_open(NULL);
        expect_put(world, world_put(world, "key", 5, 2 * BLOCK), MKV_STATUS_OK);
        for (uint32_t block = 0; block < WORLD_BLOCKS_MAX; block++) {
            if (world->blocks[block].flags == MKV_BLOCK_SEGMENT) {
                free(world->blocks[block].data);
                world->blocks[block].data = calloc(1, lengths[index] + 1);
                world->blocks[block].length = lengths[index];
            }
        }
        const uint32_t get = world_get(world, "key", 0, 0);
        world_run(world);
        world_expect(world, get, MKV_STATUS_IO_ERROR);
        assert_int_equal(world_result(world, get)->miss, MKV_MISS_CHECKSUM);
        assert_int_equal(world->seen[GATE_PUSH], 0);
        world_check_idle(world);
        world_close(world);
    }
}

static void test_segments__manifest_is_garbage__is_a_miss(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, 3 * BLOCK), MKV_STATUS_OK);
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        if (world->blocks[index].flags == MKV_BLOCK_MANIFEST) {
            memset(world->blocks[index].data, 0xff, MKV_MANIFEST_BYTES);
        }
    }
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    world_expect(world, get, MKV_STATUS_IO_ERROR);
    assert_int_equal(world_result(world, get)->miss, MKV_MISS_CHECKSUM);
    expect_put(world, world_delete(world, "key"), MKV_STATUS_OK);
    world_close(world);
}

/* ---- many at a time -------------------------------------------------------------------------- */

static void test_segments__more_values_than_places__wait_their_turn(void **state) {
    (void)state;
    for (uint64_t random = 0; random < 20; random++) {
        struct world *world = world_open(NULL);
        world->random = random * 0x9e3779b97f4a7c15u;
        uint32_t ids[8];
        char keys[8][2];
        for (uint32_t index = 0; index < 8; index++) {
            keys[index][0] = (char)('a' + index);
            keys[index][1] = 0;
            const struct world_item item = {
                .key = keys[index], .seed = index + 1, .length = 5 * BLOCK + index};
            ids[index] = world_send(world, index % 4, MKV_OP_PUT, &item, 1);
        }
        assert_true(world_stats(world).segmented_in_flight <= 2);
        world_run(world);
        for (uint32_t index = 0; index < 8; index++) {
            world_expect(world, ids[index], MKV_STATUS_OK);
            const struct world_item item = {.key = keys[index]};
            ids[index] = world_send(world, index % 4, MKV_OP_GET, &item, 1);
        }
        world_run(world);
        for (uint32_t index = 0; index < 8; index++) {
            world_expect_value(world, ids[index], index + 1, 5 * BLOCK + index);
        }
        world_check_segments(world, false);
        world_close(world);
    }
}

static void test_segments__least_slabs_and_credits__everything_still_ends(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 2;
    config.slab_units_per_connection_max = 2;
    config.slab_share_reads = 0;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    for (uint64_t random = 1; random < 40; random++) {
        struct world *world = world_open(&config);
        world->random = random * 0x9e3779b97f4a7c15u;
        const struct world_item keys[] = {
            {.key = "a", .seed = 1, .length = 5 * BLOCK},
            {.key = "b", .seed = 2, .length = 3 * BLOCK},
            {.key = "c", .seed = 3, .length = BLOCK},
            {.key = "d", .seed = 4, .length = 10},
        };
        const uint32_t put = world_send(world, 1, MKV_OP_PUT, keys, 4);
        world_run(world);
        uint32_t gets[12];
        for (uint32_t index = 0; index < 12; index++) {
            const struct world_item want = {.key = keys[index % 4].key};
            gets[index] = world_send(world, index % 3, MKV_OP_GET, &want, 1);
        }
        const uint32_t again = world_send(world, 1, MKV_OP_PUT, keys, 4);
        world_run(world);
        for (uint32_t index = 0; index < 12; index++) {
            const struct world_item *item = &keys[index % 4];
            world_expect_value(world, gets[index], item->seed, item->length);
        }
        for (uint32_t index = 0; index < 4; index++) {
            assert_int_equal(world->requests[put].results[index].status, MKV_STATUS_OK);
            assert_int_equal(world->requests[again].results[index].status, MKV_STATUS_OK);
        }
        world_check_segments(world, false);
        world_close(world);
    }
}

/* Others hold the credits of one volume while they wait for slabs: a later segment, of another
 * volume, must not hold the last slab while the first one waits for a credit. */
static void test_segments__credits_and_slabs_contended__stream_does_not_block_itself(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 2;
    config.slab_units_per_connection_max = 8;
    config.slab_share_reads = 0;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    struct world *world = world_open(&config);
    const char *const blocks[] = {"a", "b", "c", "d", "e", "f"};
    for (uint32_t index = 0; index < 6; index++) {
        expect_put(world, world_put(world, blocks[index], 1, BLOCK), MKV_STATUS_OK);
    }
    expect_put(world, world_put(world, "large", 5, 12 * BLOCK), MKV_STATUS_OK);
    for (uint32_t index = 0; index < 6; index++) {
        struct world_item items[WORLD_ITEMS_MAX];
        for (uint32_t item = 0; item < WORLD_ITEMS_MAX; item++) {
            items[item] = (struct world_item){.key = blocks[index]};
        }
        world_hold(world, GATE_EXISTS_DONE);
        const uint32_t get = world_get(world, "large", 0, 0);
        world_run(world);
        assert_int_equal(world_stats(world).segmented_in_flight, 1);
        for (uint32_t connection = 1; connection < 4; connection++) {
            world_send(world, connection, MKV_OP_GET, items, WORLD_ITEMS_MAX);
        }
        world_release(world, GATE_EXISTS_DONE);
        world_expect_value(world, get, 5, 12 * BLOCK);
        world_check_idle(world);
    }
    world_close(world);
}

static void test_segments__volume_offline__value_is_a_miss_and_no_segment_blocks(void **state) {
    (void)state;
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        struct world *world = world_open(NULL);
        expect_put(world, world_put(world, "key", 5, 20 * BLOCK), MKV_STATUS_OK);
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
        const uint32_t get = world_get(world, "key", 0, 0);
        world_run(world);
        world_expect(world, get, MKV_STATUS_NOT_FOUND);
        assert_int_equal(world_result(world, get)->miss, MKV_MISS_DRIVE_OFFLINE);
        expect_put(world, world_put(world, "other", 5, 20 * BLOCK), MKV_STATUS_UNAVAILABLE);
        world_close(world);
    }
}

/* Nothing has to be waited for, so it is the bound on the work of a step that divides it. */
static void test_segments__delete_of_many_while_offline__takes_several_steps(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    expect_put(world, world_put(world, "key", 5, 64 * BLOCK), MKV_STATUS_OK);
    world_hold(world, GATE_DELETE_DONE);
    const uint32_t gone = world_delete(world, "key");
    world_run(world);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
    const uint64_t steps = world->steps;
    world_let_one(world, GATE_DELETE_DONE);
    assert_true(world->steps > steps + 2);
    world_expect(world, gone, MKV_STATUS_OK);
    assert_int_equal(world_stats(world).segments_deleted, 0);
    world_check_idle(world);
    world_close(world);
}

/* The manifest may come to be: a value without its segments would be a miss that conflicts. */
static void test_segments__nobody_knows_of_the_manifest__segments_stay(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_fail(world, GATE_PUT_DONE, 3, 1, MKV_STATUS_UNKNOWN, MKV_MISS_NONE);
    const uint32_t put = world_put(world, "key", 5, 3 * BLOCK);
    world_run(world);
    world_expect(world, put, MKV_STATUS_UNKNOWN);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 3);
    world_close(world);
}

/* ---- volumes of other fronts ----------------------------------------------------------------- */

/* A key of one letter that the volume has. */
static const char *key_of(const struct world *world, uint32_t volume) {
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    for (uint32_t index = 0; index < sizeof keys / sizeof keys[0]; index++) {
        const struct mkv_root point =
            mkv_placement_point(MKV_TENANT_DEFAULT_NAME, (const uint8_t *)keys[index], 1);
        if (mkv_placement_owner(point, world->config.members, WORLD_VOLUMES) == volume) {
            return keys[index];
        }
    }
    fail_msg("no key is the volume's");
    return NULL;
}

static void test_segments__volumes_of_another_front__hold_segments_and_no_keys(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.foreign[1] = true;
    config.foreign[2] = true;
    config.foreign_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    struct world *world = world_open(&config);
    const char *own = key_of(world, 0);
    const char *others = key_of(world, 1);
    expect_put(world, world_put(world, own, 5, 20 * BLOCK), MKV_STATUS_OK);
    uint32_t abroad = 0;
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        const struct world_block *block = &world->blocks[index];
        abroad += block->live && block->volume != 0 ? 1 : 0;
        assert_true(!block->live || block->volume == 0 || block->flags == MKV_BLOCK_SEGMENT);
    }
    assert_true(abroad > 0);
    world_expect_get(world, own, 5, 20 * BLOCK);
    expect_put(world, world_put(world, others, 5, 100), MKV_STATUS_UNAVAILABLE);
    const uint32_t get = world_get(world, others, 0, 0);
    world_run(world);
    world_expect(world, get, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world_result(world, get)->miss, MKV_MISS_DRIVE_OFFLINE);
    expect_put(world, world_delete(world, own), MKV_STATUS_OK);
    assert_int_equal(world_block_count(world, MKV_BLOCK_SEGMENT), 0);
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments__put_and_get__gives_the_bytes_back),
        cmocka_unit_test(test_segments__get_of_a_range__touches_what_overlaps),
        cmocka_unit_test(test_segments__delete__answers_behind_the_manifest_and_leaves_no_segment),
        cmocka_unit_test(test_segments__replace__leaves_no_old_segment),
        cmocka_unit_test(test_segments__same_content_again__is_ok_and_leaves_one_copy),
        cmocka_unit_test(test_segments__put_with_expiry__expires_with_all_its_parts),
        cmocka_unit_test(test_segments__same_content_again__is_prolonged_and_never_shortened),
        cmocka_unit_test(test_segments__same_content_at_the_same_time__is_ok_for_both),
        cmocka_unit_test(test_segments__other_content_at_the_same_time__is_a_conflict_for_one),
        cmocka_unit_test(test_segments__other_content__is_a_conflict),
        cmocka_unit_test(test_segments__old_value_misses_a_segment__is_put_anew),
        cmocka_unit_test(test_segments__one_put_of_many_fails__nothing_of_the_value_stays),
        cmocka_unit_test(test_segments__segment_missing__is_a_miss_before_the_first_byte),
        cmocka_unit_test(test_segments__read_fails__is_a_miss_or_breaks_but_is_never_padded),
        cmocka_unit_test(test_segments__segments_exchanged__chain_of_roots_tells),
        cmocka_unit_test(test_segments__segment_of_another_length__is_never_served),
        cmocka_unit_test(test_segments__manifest_is_garbage__is_a_miss),
        cmocka_unit_test(test_segments__delete_of_many_while_offline__takes_several_steps),
        cmocka_unit_test(test_segments__more_values_than_places__wait_their_turn),
        cmocka_unit_test(test_segments__least_slabs_and_credits__everything_still_ends),
        cmocka_unit_test(test_segments__credits_and_slabs_contended__stream_does_not_block_itself),
        cmocka_unit_test(test_segments__volume_offline__value_is_a_miss_and_no_segment_blocks),
        cmocka_unit_test(test_segments__nobody_knows_of_the_manifest__segments_stay),
        cmocka_unit_test(test_segments__volumes_of_another_front__hold_segments_and_no_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
