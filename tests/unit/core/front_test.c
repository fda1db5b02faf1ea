/* SPDX-License-Identifier: Apache-2.0 */
#include "core/front.h"

#include "core/hash.h"
#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES

/* ---- one block ------------------------------------------------------------------------------- */

static void test_front__put_and_get_of_every_size__gives_the_bytes_back(void **state) {
    (void)state;
    const uint64_t lengths[] = {0,        1,    2047,     2048,  2049,      4096, 4097,
                                UNIT - 1, UNIT, UNIT + 1, 70000, BLOCK - 1, BLOCK};
    for (uint32_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        struct world *world = world_open(NULL);
        world_store(world, "key", 5, lengths[index]);
        const uint32_t get = world_get(world, "key", 0, 0);
        world_run(world);
        world_expect_value(world, get, 5, lengths[index]);
        assert_true(mkv_root_equal(world_result(world, get)->root, world->blocks[0].root));
        assert_int_equal(world_stats(world).bytes_in, lengths[index]);
        assert_int_equal(world_stats(world).bytes_out, lengths[index]);
        world_close(world);
    }
}

static void test_front__get_of_a_range__sends_that_range_alone(void **state) {
    (void)state;
    const struct {
        uint64_t offset;
        uint64_t length;
    } ranges[] = {{0, 1},          {1, 1},          {UNIT - 1, 2}, {UNIT, UNIT},  {UNIT, 0},
                  {99999, 1},      {99999, 0},      {99999, 1000}, {100000, 0},   {100000, 7},
                  {1ull << 40, 0}, {5, 1ull << 40}, {0, 100000},   {70000, 10000}};
    struct world *world = world_open(NULL);
    world_put(world, "key", 9, 100000);
    world_put(world, "small", 3, 1000);
    world_run(world);
    for (uint32_t index = 0; index < sizeof ranges / sizeof ranges[0]; index++) {
        const uint32_t get = world_get(world, "key", ranges[index].offset, ranges[index].length);
        world_run(world);
        world_expect_value(world, get, 9, 100000);
        const uint32_t small =
            world_get(world, "small", ranges[index].offset, ranges[index].length);
        world_run(world);
        world_expect_value(world, small, 3, 1000);
    }
    world_close(world);
}

static void test_front__put_of_the_same_content__transfers_nothing(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 1000);
    world_run(world);
    world_store(world, "key", 5, 1000);
    assert_int_equal(world->seen[GATE_PULL], 1);
    const uint32_t other = world_put(world, "key", 6, 1000);
    world_run(world);
    world_expect(world, other, MKV_STATUS_CONFLICT);
    assert_int_equal(world->seen[GATE_PULL], 1);
    const uint32_t replaced = world_replace(world, "key", 6, 1000);
    world_run(world);
    world_expect(world, replaced, MKV_STATUS_OK);
    world_expect_get(world, "key", 6, 1000);
    world_close(world);
}

static void test_front__put_whose_root_differs_from_its_bytes__is_invalid(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t put = world_put(world, "key", 0, 1000);
    const uint32_t empty = world_put(world, "empty", 0, 0);
    world_run(world);
    world_expect(world, put, MKV_STATUS_INVALID);
    world_expect(world, empty, MKV_STATUS_INVALID);
    assert_int_equal(world_block_count(world, 0), 0);
    world_check_idle(world);
    world_close(world);
}

static void test_front__answers_of_the_volume__are_the_results(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_fail(world, GATE_PUT_READY, 0, 1, MKV_STATUS_NO_SPACE, MKV_MISS_NONE);
    const uint32_t no_space = world_put(world, "a", 5, 1000);
    world_run(world);
    world_expect(world, no_space, MKV_STATUS_NO_SPACE);
    world_fail(world, GATE_PUT_DONE, 0, 1, MKV_STATUS_IO_ERROR, MKV_MISS_NONE);
    const uint32_t io_error = world_put(world, "a", 5, 1000);
    world_run(world);
    world_expect(world, io_error, MKV_STATUS_IO_ERROR);
    world_put(world, "a", 5, 1000);
    world_run(world);
    world_fail(world, GATE_READ_DONE, 0, 1, MKV_STATUS_NOT_FOUND, MKV_MISS_CHECKSUM);
    const uint32_t checksum = world_get(world, "a", 0, 0);
    world_run(world);
    world_expect(world, checksum, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world_result(world, checksum)->miss, MKV_MISS_CHECKSUM);
    world_fail(world, GATE_FOUND, 0, 1, MKV_STATUS_NOT_FOUND, MKV_MISS_EVICTED);
    const uint32_t evicted = world_get(world, "a", 0, 0);
    world_run(world);
    assert_int_equal(world_result(world, evicted)->miss, MKV_MISS_EVICTED);
    world_fail(world, GATE_DELETE_DONE, 0, 1, MKV_STATUS_IO_ERROR, MKV_MISS_NONE);
    const uint32_t not_deleted = world_delete(world, "a");
    world_run(world);
    world_expect(world, not_deleted, MKV_STATUS_IO_ERROR);
    const uint32_t deleted = world_delete(world, "a");
    world_run(world);
    world_expect(world, deleted, MKV_STATUS_OK);
    const uint32_t gone = world_delete(world, "a");
    world_run(world);
    world_expect(world, gone, MKV_STATUS_NOT_FOUND);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.items_finished[MKV_OP_DELETE][MKV_STATUS_OK], 1);
    assert_int_equal(stats.items_finished[MKV_OP_PUT][MKV_STATUS_NO_SPACE], 1);
    assert_int_equal(stats.keys_by_miss[MKV_OP_GET][MKV_MISS_CHECKSUM], 1);
    assert_int_equal(stats.keys_by_miss[MKV_OP_GET][MKV_MISS_EVICTED], 1);
    world_close(world);
}

static void test_front__batch__answers_each_item_on_its_own(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item puts[] = {
        {.key = "a", .seed = 1, .length = 5000},
        {.key = "b", .seed = 0, .length = 5000},
        {.key = "c", .seed = 3, .length = 3},
        {.key = "d", .seed = 4, .length = 2 * BLOCK},
    };
    const uint32_t put = world_send(world, 1, MKV_OP_PUT, puts, 4);
    world_run(world);
    assert_int_equal(world->requests[put].result_count, 4);
    assert_int_equal(world->requests[put].results[0].status, MKV_STATUS_OK);
    assert_int_equal(world->requests[put].results[1].status, MKV_STATUS_INVALID);
    assert_int_equal(world->requests[put].results[2].status, MKV_STATUS_OK);
    assert_int_equal(world->requests[put].results[3].status, MKV_STATUS_OK);
    const struct world_item keys[] = {{.key = "a"}, {.key = "c"}, {.key = "b"}, {.key = "d"}};
    const uint32_t get = world_send(world, 1, MKV_OP_GET, keys, 4);
    const uint32_t exists = world_send(world, 1, MKV_OP_EXISTS, keys, 4);
    const uint32_t lookup = world_send(world, 1, MKV_OP_LOOKUP, keys, 4);
    const uint32_t all = world_send(world, 1, MKV_OP_LOOKUP, keys, 2);
    world_run(world);
    assert_int_equal(world->requests[get].results[0].length, 5000);
    assert_int_equal(world->requests[get].results[1].length, 3);
    assert_int_equal(world->requests[get].results[2].status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world->requests[get].results[3].length, 2 * BLOCK);
    assert_int_equal(world->requests[exists].results[0].length, 8192);
    assert_int_equal(world->requests[exists].results[1].length, 0);
    assert_int_equal(world->requests[exists].results[1].status, MKV_STATUS_OK);
    assert_int_equal(world->requests[exists].results[2].miss, MKV_MISS_UNKNOWN);
    assert_int_equal(world_result(world, lookup)->length, 2);
    assert_int_equal(world_result(world, lookup)->miss, MKV_MISS_UNKNOWN);
    assert_int_equal(world_result(world, all)->length, 2);
    assert_int_equal(world_result(world, all)->miss, MKV_MISS_NONE);
    world_close(world);
}

static void test_front__answer__leaves_before_its_pushes_complete(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 1000);
    world_run(world);
    world_hold(world, GATE_PUSH);
    const uint32_t get = world_get(world, "key", 0, 0);
    world_run(world);
    world_expect(world, get, MKV_STATUS_OK);
    assert_int_equal(world_stats(world).requests_in_flight, 1);
    assert_int_equal(world_stats(world).slabs_allocated, 1);
    world_release(world, GATE_PUSH);
    world_check_idle(world);
    world_expect_value(world, get, 5, 1000);
    world_close(world);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static enum mkv_status refused(struct world *world, uint32_t id) {
    world_run(world);
    assert_int_equal(world->requests[id].answers, 1);
    assert_int_equal(world->requests[id].result_count, 0);
    return world->requests[id].status;
}

static void test_front__bad_request__is_refused_whole(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    static char long_key[MKV_KEY_BYTES_MAX + 2];
    memset(long_key, 'k', MKV_KEY_BYTES_MAX + 1);
    assert_int_equal(refused(world, world_exists(world, long_key)), MKV_STATUS_INVALID);
    assert_int_equal(refused(world, world_exists(world, "")), MKV_STATUS_INVALID);
    assert_int_equal(refused(world, world_put(world, "k", 1, 64 * BLOCK + 1)), MKV_STATUS_INVALID);
    const struct world_item flagged = {.key = "k", .flags = 2};
    assert_int_equal(refused(world, world_send(world, 0, MKV_OP_PUT, &flagged, 1)),
                     MKV_STATUS_INVALID);
    assert_int_equal(refused(world, world_send(world, 0, MKV_OP_GET, &flagged, 1)),
                     MKV_STATUS_INVALID);
    assert_int_equal(refused(world, world_send(world, 0, MKV_OP_GET, NULL, 0)), MKV_STATUS_INVALID);
    assert_int_equal(refused(world, world_send(world, 0, (enum mkv_op)0, &flagged, 1)),
                     MKV_STATUS_INVALID);
    /* The longest key is good, unless segments need keys behind it. */
    long_key[MKV_KEY_BYTES_MAX] = 0;
    world_store(world, long_key, 1, BLOCK);
    assert_int_equal(refused(world, world_put(world, long_key, 1, BLOCK + 1)), MKV_STATUS_INVALID);
    long_key[MKV_KEY_BYTES_MAX - 13] = 0;
    world_store(world, long_key, 1, BLOCK + 1);
    assert_int_equal(world_stats(world).requests_answered[0][MKV_STATUS_INVALID], 1);
    world_close(world);
}

static void test_front__another_tenant__is_forbidden(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct mkv_request_item item = {.key_bytes = 1};
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST, .data = (const uint8_t *)"k"};
    input.data_bytes = 1;
    input.request.op = MKV_OP_GET;
    input.request.tenant = 1;
    input.request.item_count = 1;
    input.request.items = &item;
    const uint32_t id = world_request_add(world, MKV_OP_GET);
    input.request.request_id = id;
    input.request.serial = id;
    world_step(world, &input);
    assert_int_equal(refused(world, id), MKV_STATUS_FORBIDDEN);
    world_close(world);
}

static void test_front__requests_of_a_connection_exhausted__more_is_busy(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_EXISTS_DONE);
    for (uint32_t count = 0; count < world->config.requests_per_connection_max; count++) {
        world_exists(world, "key");
    }
    assert_int_equal(refused(world, world_exists(world, "key")), MKV_STATUS_BUSY);
    const struct world_item item = {.key = "key"};
    const uint32_t other = world_send(world, 1, MKV_OP_EXISTS, &item, 1);
    world_release(world, GATE_EXISTS_DONE);
    world_expect(world, other, MKV_STATUS_NOT_FOUND);
    world_close(world);
}

static void test_front__requests_exhausted__more_is_busy(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_EXISTS_DONE);
    const struct world_item item = {.key = "key"};
    for (uint32_t count = 0; count < world->config.requests_max; count++) {
        world_send(world, count % 2, MKV_OP_EXISTS, &item, 1);
    }
    assert_int_equal(refused(world, world_send(world, 2, MKV_OP_EXISTS, &item, 1)),
                     MKV_STATUS_BUSY);
    world_release(world, GATE_EXISTS_DONE);
    const uint32_t later = world_send(world, 2, MKV_OP_EXISTS, &item, 1);
    world_run(world);
    world_expect(world, later, MKV_STATUS_NOT_FOUND);
    world_close(world);
}

static void test_front__items_exhausted__more_is_busy(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_EXISTS_DONE);
    struct world_item items[WORLD_ITEMS_MAX];
    for (uint32_t index = 0; index < WORLD_ITEMS_MAX; index++) {
        items[index] = (struct world_item){.key = "key"};
    }
    const uint32_t full = world->config.items_max / WORLD_ITEMS_MAX;
    for (uint32_t count = 0; count < full; count++) {
        world_send(world, 0, MKV_OP_EXISTS, items, WORLD_ITEMS_MAX);
    }
    assert_int_equal(refused(world, world_send(world, 2, MKV_OP_EXISTS, items, 1)),
                     MKV_STATUS_BUSY);
    assert_int_equal(world_stats(world).items_in_flight, world->config.items_max);
    world_close(world);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static void test_front__offline_volume__misses_and_refuses_by_item(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "key", 5, 1000);
    world_run(world);
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
    const uint32_t get = world_get(world, "key", 0, 0);
    const uint32_t exists = world_exists(world, "key");
    const uint32_t put = world_put(world, "key", 5, 1000);
    const uint32_t large = world_put(world, "large", 5, 3 * BLOCK);
    const uint32_t gone = world_delete(world, "key");
    world_run(world);
    world_expect(world, get, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world_result(world, get)->miss, MKV_MISS_DRIVE_OFFLINE);
    world_expect(world, exists, MKV_STATUS_NOT_FOUND);
    assert_int_equal(world_result(world, exists)->miss, MKV_MISS_DRIVE_OFFLINE);
    world_expect(world, put, MKV_STATUS_UNAVAILABLE);
    world_expect(world, large, MKV_STATUS_UNAVAILABLE);
    world_expect(world, gone, MKV_STATUS_UNAVAILABLE);
    world_close(world);
}

/* More items than a step has effects for: the rest is work for the next. */
static void test_front__more_items_than_effects__takes_several_steps(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.items_per_request_max = MKV_FRONT_ITEMS_PER_REQUEST_MAX;
    config.items_max = MKV_FRONT_ITEMS_PER_REQUEST_MAX;
    config.volume_ops_max = 8 * MKV_FRONT_ITEMS_PER_REQUEST_MAX;
    struct world *world = world_open(&config);
    struct mkv_request_item items[MKV_FRONT_ITEMS_PER_REQUEST_MAX] = {0};
    for (uint32_t index = 0; index < MKV_FRONT_ITEMS_PER_REQUEST_MAX; index++) {
        items[index].key_bytes = 1;
    }
    const uint32_t id = world_request_add(world, MKV_OP_LOOKUP);
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST, .data = (const uint8_t *)"k"};
    input.data_bytes = 1;
    input.request.request_id = id;
    input.request.serial = id;
    input.request.op = MKV_OP_LOOKUP;
    input.request.deadline_ns = UINT64_MAX;
    input.request.item_count = MKV_FRONT_ITEMS_PER_REQUEST_MAX;
    input.request.items = items;
    world_step(world, &input);
    assert_true(mkv_front_has_work(world->front));
    assert_in_range(world->event_count, 1, MKV_FRONT_EFFECTS_MAX - 1);
    world_run(world);
    assert_int_equal(world->seen[GATE_EXISTS_DONE], MKV_FRONT_ITEMS_PER_REQUEST_MAX);
    world_expect(world, id, MKV_STATUS_OK);
    world_close(world);
}

/* ---- arena ----------------------------------------------------------------------------------- */

/* I5: the memory moves to another address in the middle of everything. */
static void test_front__memory_is_copied_elsewhere__goes_on(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "a", 5, 3 * BLOCK);
    world_run(world);
    const uint32_t get = world_get(world, "a", 0, 0);
    const uint32_t put = world_put(world, "b", 6, 4 * BLOCK);
    const size_t bytes = mkv_front_memory_required(&world->config);
    for (enum gate gate = 0; gate < GATE_COUNT; gate++) {
        world_hold(world, gate);
    }
    for (uint32_t round = 0; round < 200; round++) {
        void *copy = aligned_alloc(64, bytes);
        assert_non_null(copy);
        memcpy(copy, world->memory, bytes);
        memset(world->memory, 0xa5, bytes);
        free(world->memory);
        world->memory = copy;
        world->front = copy;
        const enum gate gate = round % GATE_COUNT;
        world_release(world, gate);
        world_hold(world, gate);
    }
    world_expect_value(world, get, 5, 3 * BLOCK);
    world_expect(world, put, MKV_STATUS_OK);
    world_close(world);
}

static void test_front__config_out_of_bounds__names_the_figure(void **state) {
    (void)state;
    struct mkv_front_config good;
    mkv_front_config_default(&good);
    assert_null(mkv_front_config_fault(&good));
    struct mkv_front_config bad = good;
    bad.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN - 1;
    assert_non_null(strstr(mkv_front_config_fault(&bad), "volume_ops_max"));
    bad = good;
    bad.slab_unit_count = 511;
    assert_non_null(strstr(mkv_front_config_fault(&bad), "slab_unit_count"));
    bad = good;
    bad.slab_share_reads = 501;
    assert_non_null(strstr(mkv_front_config_fault(&bad), "slab_share_reads"));
    bad = good;
    bad.slab_units_per_connection_max = 511;
    assert_non_null(strstr(mkv_front_config_fault(&bad), "slab_units_per_connection_max"));
    bad = good;
    bad.block_bytes_max -= 1;
    assert_non_null(strstr(mkv_front_config_fault(&bad), "block_bytes_max"));
    bad = good;
    bad.members[0].weight = MKV_PLACEMENT_WEIGHT_MAX + 1;
    assert_non_null(strstr(mkv_front_config_fault(&bad), "weight"));
}

/* ---- what the front is told ------------------------------------------------------------------ */

static void test_front__stale_fabric_completion__is_counted_and_dropped(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.op = (struct mkv_op_id){.index = 0, .generation = 77};
    input.fabric.event = MKV_FABRIC_PUSH_DONE;
    world_step(world, &input);
    input.fabric.event = MKV_FABRIC_ANSWER_DONE;
    world_step(world, &input);
    input.fabric.op.index = 1u << 30;
    world_step(world, &input);
    input.fabric.op.index = MKV_NONE_U32;
    world_step(world, &input);
    input.fabric.event = MKV_FABRIC_PULL_DONE;
    world_step(world, &input);
    assert_int_equal(world_stats(world).fabric_stale, 5);
    /* A PUSH that completes twice. */
    world_put(world, "key", 5, 10);
    world_run(world);
    world_hold(world, GATE_PUSH);
    world_get(world, "key", 0, 0);
    world_run(world);
    input.fabric.op = world->events[0].op;
    input.fabric.event = MKV_FABRIC_PUSH_DONE;
    world_release(world, GATE_PUSH);
    world_step(world, &input);
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.fabric_stale, 6);
    assert_int_equal(stats.bytes_out, 10);
    world_check_idle(world);
    world_free(world);
}

static void test_front__stale_message__is_an_assertion(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE, .now_ns = world->now_ns};
    input.message.kind = MKV_MESSAGE_FOUND;
    input.message.front_op.generation = 1;
    expect_assert_failure(mkv_front_step(world->front, &input));
    world_close(world);
}

static void test_front__effects_not_drained__is_an_assertion(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct mkv_request_item item = {.key_bytes = 1};
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST, .now_ns = world->now_ns};
    input.data = (const uint8_t *)"k";
    input.data_bytes = 1;
    input.request.op = MKV_OP_GET;
    input.request.tenant = 1;
    input.request.item_count = 1;
    input.request.items = &item;
    assert_int_equal(mkv_front_step(world->front, &input), MKV_OK);
    const struct mkv_input tick = {.kind = MKV_INPUT_TICK, .now_ns = world->now_ns};
    expect_assert_failure(mkv_front_step(world->front, &tick));
    struct mkv_effect effect;
    assert_int_equal(mkv_front_effects(world->front, &effect, 1), 1);
    assert_int_equal(effect.op.index, MKV_NONE_U32);
    struct mkv_effect ended;
    assert_int_equal(mkv_front_effects(world->front, &ended, 1), 1);
    assert_int_equal(ended.kind, MKV_EFFECT_REQUEST_ENDED);
    input.kind = MKV_INPUT_FABRIC_DONE;
    memset(&input.fabric, 0, sizeof input.fabric);
    input.fabric.event = MKV_FABRIC_ANSWER_DONE;
    input.fabric.op = effect.op;
    world_step(world, &input);
    world_close(world);
}

static const struct mkv_item_result *ask(struct world *world, enum mkv_op op, const char *key,
                                         uint32_t seconds) {
    const struct world_item item = {.key = key, .expire_s = seconds};
    const uint32_t id = world_send(world, 0, op, &item, 1);
    world_run(world);
    return world_result(world, id);
}

static void test_front__exists_lookup_and_pin__ask_for_a_term_and_tell_of_it(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "a", 5, 1000);
    world_put(world, "b", 5, 1000);
    world_run(world);
    assert_int_equal(ask(world, MKV_OP_EXISTS, "a", 0)->leased, 1);
    assert_int_equal(world->lease_ns, world->config.exists_lease_ns);
    const struct world_item chain[] = {{.key = "a"}, {.key = "b"}, {.key = "c"}, {.key = "a"}};
    const uint32_t lookup = world_send(world, 0, MKV_OP_LOOKUP, chain, 4);
    world_run(world);
    assert_int_equal(world_result(world, lookup)->length, 2);
    assert_int_equal(world_result(world, lookup)->leased, 2);
    assert_int_equal(ask(world, MKV_OP_PIN, "a", 60)->status, MKV_STATUS_OK);
    assert_int_equal(world->lease_ns, 60ull * 1000000000);
    assert_int_equal(ask(world, MKV_OP_PIN, "none", 60)->status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(ask(world, MKV_OP_UNPIN, "a", 0)->status, MKV_STATUS_OK);
    assert_int_equal(world->lease_ns, 0);
    world_close(world);
}

static const struct mkv_item_result *exists(struct world *world, uint32_t flags,
                                            uint32_t lease_ms) {
    const struct world_item item = {.key = "a", .flags = flags, .lease_ms = lease_ms};
    const uint32_t id = world_send(world, 0, MKV_OP_EXISTS, &item, 1);
    world_run(world);
    return world_result(world, id);
}

static void test_front__exists__asks_for_the_lease_that_the_item_names(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_put(world, "a", 5, 1000);
    world_run(world);
    assert_int_equal(exists(world, 0, 25)->leased, 1);
    assert_int_equal(world->lease_ns, 25000000);
    assert_int_equal(world->exists_flags, MKV_LEASE_SHORT);
    assert_int_equal(exists(world, 0, MKV_NONE_U32)->leased, 0);
    assert_int_equal(world->lease_ns, 0);
    assert_int_equal(world->exists_flags, MKV_LEASE_SHORT);
    assert_int_equal(exists(world, MKV_EXISTS_PLAIN, 25)->leased, 0);
    assert_int_equal(world->lease_ns, 0);
    assert_int_equal(world->exists_flags & MKV_EXISTS_NO_USE, MKV_EXISTS_NO_USE);
    const struct world_item lookup = {.key = "a", .flags = MKV_EXISTS_PLAIN};
    const uint32_t id = world_send(world, 0, MKV_OP_LOOKUP, &lookup, 1);
    world_run(world);
    assert_int_equal(world->requests[id].status, MKV_STATUS_INVALID);
    world_close(world);
}

/* Also of a block that memory has: there a plain one asks nobody. */
static void test_front__exists__tells_when_it_expires(void **state) {
    (void)state;
    for (uint32_t blocks = 0; blocks <= 8; blocks += 8) {
        struct mkv_front_config config;
        world_config(&config);
        config.memory_blocks_max = blocks;
        struct world *world = world_open(&config);
        const struct world_item put = {.key = "a", .seed = 5, .length = 1000, .expire_s = 20};
        world_send(world, 0, MKV_OP_PUT, &put, 1);
        world_run(world);
        const uint32_t asked = world->seen[GATE_EXISTS_DONE];
        const uint32_t expiry_s = exists(world, MKV_EXISTS_PLAIN, 0)->expiry_s;
        assert_in_range(expiry_s, WORLD_WALL_S + 20, WORLD_WALL_S + 21);
        assert_int_equal(world->seen[GATE_EXISTS_DONE], asked + (blocks == 0 ? 1 : 0));
        assert_int_equal(exists(world, 0, 0)->expiry_s, expiry_s);
        assert_int_equal(world->seen[GATE_EXISTS_DONE], asked + (blocks == 0 ? 2 : 1));
        const uint32_t forever = world_replace(world, "a", 6, 1000);
        world_run(world);
        world_expect(world, forever, MKV_STATUS_OK);
        assert_int_equal(exists(world, MKV_EXISTS_PLAIN, 0)->expiry_s, 0);
        world_close(world);
    }
}

static void test_front__get_behind_the_end__tells_the_length_and_moves_nothing(void **state) {
    (void)state;
    const uint64_t lengths[] = {0, 10, 1000, 5000, WORLD_BLOCK_BYTES, 3 * WORLD_BLOCK_BYTES + 5};
    for (uint32_t blocks = 0; blocks <= 8; blocks += 8) {
        for (uint32_t index = 0; index < 6; index++) {
            struct mkv_front_config config;
            world_config(&config);
            config.memory_blocks_max = blocks;
            struct world *world = world_open(&config);
            world_put(world, "a", 5, lengths[index]);
            world_run(world);
            const uint32_t get = world_get(world, "a", UINT64_MAX, 0);
            world_run(world);
            world_expect(world, get, MKV_STATUS_OK);
            assert_int_equal(world_result(world, get)->length, lengths[index]);
            assert_int_equal(world->seen[GATE_PUSH], 0);
            world_close(world);
        }
    }
}

static enum mkv_status tell(struct world *world, enum mkv_session_action action, uint64_t tokens) {
    const bool exits = action == MKV_SESSION_EXIT_THINK;
    const struct world_item item = {.key = "",
                                    .length = tokens,
                                    .session = 7,
                                    .action = action,
                                    .reason = exits ? MKV_THINK_HARD_CAP : 0};
    world->session_messages = 0;
    const uint32_t id = world_send(world, 0, MKV_OP_SESSION, &item, 1);
    world_run(world);
    return world_result(world, id)->status;
}

static void test_front__session__goes_to_all_volumes_and_combines_what_they_say(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint32_t volumes = world->config.volume_count;
    assert_int_equal(tell(world, MKV_SESSION_BEGIN, 0), MKV_STATUS_OK);
    assert_int_equal(world->session_messages, volumes);
    assert_true(world->session_message.session == 7);
    assert_int_equal(world->session_message.action, MKV_SESSION_BEGIN);
    world->session_status[1] = MKV_STATUS_NOT_FOUND;
    assert_int_equal(tell(world, MKV_SESSION_EXIT_THINK, 100), MKV_STATUS_OK);
    assert_int_equal(tell(world, MKV_SESSION_EXIT_THINK, 1u << 30), MKV_STATUS_OK);
    world->session_status[1] = MKV_STATUS_NO_SPACE;
    assert_int_equal(tell(world, MKV_SESSION_BEGIN, 0), MKV_STATUS_NO_SPACE);
    for (uint32_t volume = 0; volume < volumes; volume++) {
        world->session_status[volume] = MKV_STATUS_NOT_FOUND;
    }
    assert_int_equal(tell(world, MKV_SESSION_EXIT_THINK, 5), MKV_STATUS_NOT_FOUND);
    struct mkv_front_stats stats;
    mkv_front_stats(world->front, &stats);
    assert_int_equal(stats.think_exits[MKV_THINK_HARD_CAP], 2);
    assert_int_equal(stats.think_tokens[1], 1); /* 65 ... 128 */
    assert_int_equal(stats.think_tokens[MKV_FRONT_THINK_BOUNDS], 1);
    assert_int_equal(stats.think_tokens_sum, 100 + (1u << 30));
    /* Those that are not online are passed over. */
    mkv_front_volume_set_state(world->front, 0, MKV_FRONT_VOLUME_OFFLINE);
    world->session_status[volumes - 1] = MKV_STATUS_OK;
    assert_int_equal(tell(world, MKV_SESSION_END, 0), MKV_STATUS_OK);
    assert_int_equal(world->session_messages, volumes - 1);
    for (uint32_t volume = 1; volume < volumes; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
    assert_int_equal(tell(world, MKV_SESSION_END, 0), MKV_STATUS_UNAVAILABLE);
    world_close(world);
}

static void test_front__session_that_waits__ends_with_its_deadline(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item item = {.key = "", .session = 7, .action = MKV_SESSION_END};
    world_hold(world, GATE_EXISTS_DONE);
    const uint32_t id = world_send(world, 0, MKV_OP_SESSION, &item, 1);
    world_run(world);
    world_wait(world, world->deadline_after_ns + 1);
    world_release(world, GATE_EXISTS_DONE);
    assert_int_equal(world_result(world, id)->status, MKV_STATUS_DEADLINE);
    assert_int_equal(world->session_messages, 1);
    world_close(world);
}

static void test_front__put_of_a_session__its_blocks_say_so(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const uint64_t lengths[] = {1000, 3 * (uint64_t)world->config.block_bytes_max};
    for (uint32_t index = 0; index < 2; index++) {
        const struct world_item item = {.key = index == 0 ? "a" : "large",
                                        .seed = 5,
                                        .length = lengths[index],
                                        .session = 9,
                                        .tier_hint = MKV_TIER_OUTPUT_CRITICAL + 1u};
        const uint32_t id = world_send(world, 0, MKV_OP_PUT, &item, 1);
        world_run(world);
        assert_int_equal(world_result(world, id)->status, MKV_STATUS_OK);
        assert_true(world->put_message.session == 9);
        assert_int_equal(world->put_message.tier_hint, MKV_TIER_OUTPUT_CRITICAL + 1u);
    }
    world_close(world);
}

static void test_front__session_that_is_malformed__is_invalid(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item items[] = {
        {.key = "", .session = 0, .action = MKV_SESSION_END},
        {.key = "k", .session = 1, .action = MKV_SESSION_END},
        {.key = "", .session = 1},
        {.key = "", .session = 1, .action = MKV_SESSION_EXIT_THINK},
        {.key = "", .session = 1, .action = MKV_SESSION_END, .reason = MKV_THINK_CONVERGED},
    };
    for (uint32_t index = 0; index < sizeof items / sizeof items[0]; index++) {
        const uint32_t id = world_send(world, 0, MKV_OP_SESSION, &items[index], 1);
        world_run(world);
        assert_int_equal(world->requests[id].status, MKV_STATUS_INVALID);
    }
    world_close(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_front__session__goes_to_all_volumes_and_combines_what_they_say),
        cmocka_unit_test(test_front__session_that_waits__ends_with_its_deadline),
        cmocka_unit_test(test_front__put_of_a_session__its_blocks_say_so),
        cmocka_unit_test(test_front__session_that_is_malformed__is_invalid),
        cmocka_unit_test(test_front__exists_lookup_and_pin__ask_for_a_term_and_tell_of_it),
        cmocka_unit_test(test_front__exists__asks_for_the_lease_that_the_item_names),
        cmocka_unit_test(test_front__exists__tells_when_it_expires),
        cmocka_unit_test(test_front__get_behind_the_end__tells_the_length_and_moves_nothing),
        cmocka_unit_test(test_front__put_and_get_of_every_size__gives_the_bytes_back),
        cmocka_unit_test(test_front__get_of_a_range__sends_that_range_alone),
        cmocka_unit_test(test_front__put_of_the_same_content__transfers_nothing),
        cmocka_unit_test(test_front__put_whose_root_differs_from_its_bytes__is_invalid),
        cmocka_unit_test(test_front__answers_of_the_volume__are_the_results),
        cmocka_unit_test(test_front__batch__answers_each_item_on_its_own),
        cmocka_unit_test(test_front__answer__leaves_before_its_pushes_complete),
        cmocka_unit_test(test_front__bad_request__is_refused_whole),
        cmocka_unit_test(test_front__another_tenant__is_forbidden),
        cmocka_unit_test(test_front__requests_of_a_connection_exhausted__more_is_busy),
        cmocka_unit_test(test_front__requests_exhausted__more_is_busy),
        cmocka_unit_test(test_front__items_exhausted__more_is_busy),
        cmocka_unit_test(test_front__offline_volume__misses_and_refuses_by_item),
        cmocka_unit_test(test_front__more_items_than_effects__takes_several_steps),
        cmocka_unit_test(test_front__memory_is_copied_elsewhere__goes_on),
        cmocka_unit_test(test_front__config_out_of_bounds__names_the_figure),
        cmocka_unit_test(test_front__stale_fabric_completion__is_counted_and_dropped),
        cmocka_unit_test(test_front__stale_message__is_an_assertion),
        cmocka_unit_test(test_front__effects_not_drained__is_an_assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
