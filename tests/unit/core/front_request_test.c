/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that close at every moment of every scenario, and random schedules over small pools:
 * tests of core/front_request.c, and of what all files of the front hold together.
 */
#include "core/front.h"

#include "core/manifest.h"
#include "tests/unit/core/front_world.h"

#define BLOCK WORLD_BLOCK_BYTES
#define UNIT MKV_SLAB_UNIT_PAYLOAD_BYTES

/* ---- scenarios ------------------------------------------------------------------------------- */

/* What a scenario finds: small and large values under "small", "block", "large". */
static void prepare(struct world *world) {
    world_put(world, "small", 1, 100);
    world_put(world, "block", 2, BLOCK);
    world_put(world, "large", 3, 6 * BLOCK + 5);
    world_run(world);
    world_check_idle(world);
}

static void get_small(struct world *world) {
    world_get(world, "small", 0, 0);
}
static void get_block(struct world *world) {
    world_get(world, "block", 5, BLOCK / 2 + 100);
}
static void get_large(struct world *world) {
    world_get(world, "large", 0, 0);
}
static void put_small(struct world *world) {
    world_put(world, "new", 4, 100);
}
static void put_large(struct world *world) {
    world_put(world, "new", 4, 6 * BLOCK);
}
static void put_large_again(struct world *world) {
    world_put(world, "large", 3, 6 * BLOCK + 5);
}
static void put_large_conflict(struct world *world) {
    world_put(world, "large", 9, 6 * BLOCK + 5);
}
static void replace_large_by_small(struct world *world) {
    world_replace(world, "large", 4, 100);
}
static void replace_large_by_large(struct world *world) {
    world_replace(world, "large", 4, 5 * BLOCK);
}
static void replace_small_by_large(struct world *world) {
    world_replace(world, "small", 4, 5 * BLOCK);
}
static void delete_small(struct world *world) {
    world_delete(world, "small");
}
static void delete_large(struct world *world) {
    world_delete(world, "large");
}
static void everything_at_once(struct world *world) {
    const struct world_item gets[] = {{.key = "small"}, {.key = "large"}, {.key = "none"}};
    const struct world_item puts[] = {
        {.key = "a", .seed = 5, .length = 3 * BLOCK},
        {.key = "b", .seed = 6, .length = BLOCK},
        {.key = "c", .seed = 0, .length = 10},
        {.key = "large", .seed = 7, .length = 2 * BLOCK, .flags = MKV_PUT_REPLACE},
    };
    world_send(world, 0, MKV_OP_GET, gets, 3);
    world_send(world, 0, MKV_OP_PUT, puts, 4);
    world_send(world, 0, MKV_OP_LOOKUP, gets, 3);
    world_send(world, 1, MKV_OP_GET, gets, 3);
    world_send(world, 0, MKV_OP_EXISTS, gets, 3);
    world_delete(world, "small");
}

struct scenario {
    const char *name;
    void (*run)(struct world *world);
};

static const struct scenario scenarios[] = {
    {"get small", get_small},
    {"get block", get_block},
    {"get large", get_large},
    {"put small", put_small},
    {"put large", put_large},
    {"put large again", put_large_again},
    {"put large conflict", put_large_conflict},
    {"replace large by small", replace_large_by_small},
    {"replace large by large", replace_large_by_large},
    {"replace small by large", replace_small_by_large},
    {"delete small", delete_small},
    {"delete large", delete_large},
    {"everything at once", everything_at_once},
};
#define SCENARIO_COUNT (sizeof scenarios / sizeof scenarios[0])

/* A get of a value that was there before and may have been replaced or deleted since. */
static void check_served(struct world *world, const char *key, const uint64_t *seeds,
                         const uint64_t *lengths, uint32_t count) {
    const uint32_t get = world_get(world, key, 0, 0);
    world_run(world);
    const struct mkv_item_result *result = world_result(world, get);
    if (result->status == MKV_STATUS_NOT_FOUND) {
        return;
    }
    for (uint32_t index = 0; index < count; index++) {
        if (result->length == lengths[index] &&
            (result->length == 0 ||
             world->requests[get].received[0][0] == world_byte(seeds[index], 0))) {
            world_expect_value(world, get, seeds[index], lengths[index]);
            return;
        }
    }
    fail_msg("%s has %llu bytes that nobody put", key, (unsigned long long)result->length);
}

/* The connection closes behind `close_at` events: everything comes back, whatever was under way,
 * and the next connection of that index is served. False when the scenario was over before. */
static bool run_closed_at(const struct scenario *scenario, const struct mkv_front_config *config,
                          uint32_t close_at, uint64_t random) {
    struct world *world = world_open(config);
    prepare(world);
    world->random = random;
    scenario->run(world);
    world->close_at = world->delivered + close_at;
    world_run(world);
    const bool closed = world->close_at == 0;
    world->close_at = 0;
    world_check_idle(world);
    /* Two mutations of one key race in the last scenario alone. */
    world_check_segments(world, false);
    const uint64_t seeds[] = {3, 4, 7};
    const uint64_t lengths[] = {6 * BLOCK + 5, 100, 2 * BLOCK};
    const uint64_t large_lengths[] = {6 * BLOCK + 5, 5 * BLOCK, 2 * BLOCK};
    const bool by_large = scenario->run == replace_large_by_large;
    check_served(world, "large", seeds, by_large ? large_lengths : lengths, 3);
    world_close(world);
    return closed;
}

static void sweep(const struct mkv_front_config *config, uint64_t random) {
    for (uint32_t index = 0; index < SCENARIO_COUNT; index++) {
        uint32_t close_at = 1;
        while (run_closed_at(&scenarios[index], config, close_at, random)) {
            close_at++;
            assert_true(close_at < 2000);
        }
        assert_true(close_at > 1);
    }
}

static void test_close__behind_every_event__everything_comes_back(void **state) {
    (void)state;
    sweep(NULL, 0);
}

static void test_close__with_the_least_pools__everything_comes_back(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 2;
    config.slab_units_per_connection_max = 2;
    config.slab_share_reads = 0;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    config.segmented_max = 1;
    sweep(&config, 0);
    sweep(&config, 0x9e3779b97f4a7c15u);
}

/* The connection closes while events of one kind are held: what waits at that stage, and behind it,
 * is dropped; what is posted unwinds when its answer comes. */
static void test_close__at_every_stage__everything_comes_back(void **state) {
    (void)state;
    for (uint32_t index = 0; index < SCENARIO_COUNT; index++) {
        for (enum gate gate = 0; gate < GATE_COUNT; gate++) {
            for (uint32_t let = 0; let < 6; let++) {
                struct world *world = world_open(NULL);
                prepare(world);
                world_hold(world, gate);
                scenarios[index].run(world);
                world_run(world);
                for (uint32_t count = 0; count < let && world->event_count > 0; count++) {
                    world_let_one(world, gate);
                }
                world_close_connection(world, 0);
                world_run(world);
                world_release(world, gate);
                world_check_idle(world);
                world_check_segments(world, false);
                world_close(world);
            }
        }
    }
}

static void test_close__unanswered_requests__are_counted_as_dropped(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_hold(world, GATE_FOUND);
    world_get(world, "key", 0, 0);
    world_get(world, "key", 0, 0);
    world_run(world);
    world_close_connection(world, 0);
    assert_int_equal(world_stats(world).requests_dropped[MKV_OP_GET], 2);
    world_close(world);
}

static void test_close__of_a_connection_without_requests__is_nothing(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    world_close_connection(world, 3);
    world_check_idle(world);
    world_close(world);
}

/* ---- random schedules ------------------------------------------------------------------------ */

static uint64_t draw(uint64_t *seed, uint64_t below) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % below;
}

#define KEYS 6u
static const char *const random_keys[KEYS] = {"a", "b", "c", "d", "e", "f"};

/* Every value of a key is made from the key's number and its length, so that a get can tell whether
 * its bytes are of one value that was put under that key. */
static uint64_t random_seed(uint32_t key, uint64_t length) {
    return 1000 * (key + 1) + length % 1000;
}

static void random_send(struct world *world, uint64_t *seed) {
    const uint64_t lengths[] = {0, 1, 100, UNIT, BLOCK, 2 * BLOCK, 3 * BLOCK + 1, 5 * BLOCK};
    const enum mkv_op ops[] = {MKV_OP_PUT,    MKV_OP_PUT,    MKV_OP_GET,
                               MKV_OP_GET,    MKV_OP_GET,    MKV_OP_EXISTS,
                               MKV_OP_LOOKUP, MKV_OP_DELETE, MKV_OP_EXPIRE};
    const enum mkv_op op = ops[draw(seed, 9)];
    struct world_item items[3];
    const uint32_t item_count = 1 + (uint32_t)draw(seed, 3);
    for (uint32_t index = 0; index < item_count; index++) {
        const uint32_t key = (uint32_t)draw(seed, KEYS);
        items[index] = (struct world_item){.key = random_keys[key]};
        if (op == MKV_OP_PUT) {
            items[index].length = lengths[draw(seed, 8)];
            /* Of a large value no root is known before: nothing can be wrong with it. */
            const bool is_wrong = items[index].length <= BLOCK && draw(seed, 20) == 0;
            items[index].seed = is_wrong ? 0 : random_seed(key, items[index].length);
            items[index].flags = (draw(seed, 2) == 0 ? MKV_PUT_REPLACE : 0) |
                                 (draw(seed, 2) == 0 ? MKV_PUT_RELAXED : 0) |
                                 (!is_wrong && draw(seed, 3) == 0 ? MKV_PUT_ROOT_LATER : 0);
            const uint64_t condition = draw(seed, 8);
            items[index].flags |= condition == 0 ? MKV_PUT_IF_ABSENT : 0;
            items[index].flags |= condition == 1 ? MKV_PUT_IF_PRESENT : 0;
        } else if (op == MKV_OP_GET && draw(seed, 3) == 0) {
            items[index].offset = draw(seed, 6 * BLOCK);
            items[index].length = draw(seed, 3 * BLOCK);
        }
    }
    if (op == MKV_OP_EXPIRE) {
        items[0].expire_s = (uint32_t)draw(seed, 2) * 100000;
    }
    world->deadline_after_ns = draw(seed, 5) == 0 ? draw(seed, 1000) : WORLD_SECOND;
    const uint32_t connection = (uint32_t)draw(seed, WORLD_CONNECTIONS);
    world_send(world, connection, op, items, item_count);
}

static void random_turn(struct world *world, uint64_t *seed) {
    const enum gate gate = (enum gate)draw(seed, GATE_COUNT);
    const uint64_t number = draw(seed, 1u << 30);
    switch (draw(seed, 12)) {
    case 0:
        world_hold(world, gate);
        break;
    case 1:
    case 2:
        world->held[gate] = false;
        break;
    case 3:
        if (gate <= GATE_DELETE_DONE) {
            world_fail(world, gate, (uint32_t)number % 4, 1, MKV_STATUS_NOT_FOUND,
                       MKV_MISS_IO_ERROR);
        }
        break;
    case 4:
        world->now_ns += number % (WORLD_SECOND / 4);
        world_tick(world);
        break;
    case 5:
        if (number % 4 == 0) {
            world_close_connection(world, (uint32_t)(number / 4) % WORLD_CONNECTIONS);
        }
        break;
    case 6:
        world_run(world);
        break;
    case 7:
        if (number % 4 == 0) {
            mkv_front_volume_set_state(
                world->front, (uint32_t)(number / 8) % world->config.volume_count,
                number % 8 == 0 ? MKV_FRONT_VOLUME_OFFLINE : MKV_FRONT_VOLUME_ONLINE);
        }
        break;
    default:
        if (world->request_count < WORLD_REQUESTS_MAX - 8) {
            random_send(world, seed);
        }
        break;
    }
}

/* Every byte that any get received is of a value put under its key, and an OK has all its bytes. */
static void random_check(struct world *world) {
    for (uint32_t id = 1; id < world->request_count; id++) {
        const struct world_request *request = &world->requests[id];
        if (request->op != MKV_OP_GET || request->answers == 0 ||
            request->status != MKV_STATUS_OK) {
            continue;
        }
        for (uint32_t item = 0; item < request->item_count; item++) {
            const struct mkv_item_result *result = &request->results[item];
            const uint64_t offset = request->items[item].offset;
            const uint64_t seed =
                random_seed((uint32_t)(request->items[item].key[0] - 'a'), result->length);
            for (uint64_t at = 0;
                 at < request->received_bytes[item] && result->status == MKV_STATUS_OK; at += 509) {
                assert_int_equal(request->received[item][at], world_byte(seed, offset + at));
            }
        }
    }
}

static void run_random(const struct mkv_front_config *config, uint64_t seed) {
    struct world *world = world_open(config);
    world->random = seed;
    for (uint32_t turn = 0; turn < 400; turn++) {
        random_turn(world, &seed);
    }
    memset(world->held, 0, sizeof world->held);
    memset(world->failures, 0, sizeof world->failures);
    for (uint32_t volume = 0; volume < world->config.volume_count; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_ONLINE);
    }
    /* Healed, everything ends by itself: no deadline and no closed connection is needed for it. */
    world_run(world);
    world_check_idle(world);
    random_check(world);
    world_close(world);
}

static void test_random__usual_pools__ends_and_gives_no_wrong_byte(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        run_random(NULL, seed * 0x9e3779b97f4a7c15u);
    }
}

static void test_random__memory_tier__ends_and_gives_no_wrong_byte(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    for (uint64_t seed = 1; seed <= 150; seed++) {
        config.memory_blocks_max = seed % 2 == 0 ? 32 : 3;
        run_random(&config, seed * 0x94d049bb133111ebu);
    }
}

static void test_random__least_pools__ends_and_gives_no_wrong_byte(void **state) {
    (void)state;
    struct mkv_front_config config;
    world_config(&config);
    config.slab_unit_count = 3;
    config.slab_units_per_connection_max = 2;
    config.slab_share_reads = 333;
    config.volume_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    config.segmented_max = 1;
    config.requests_max = 12;
    config.requests_per_connection_max = 6;
    config.items_max = 16;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        config.memory_blocks_max = seed % 2 == 0 ? 2 : 0;
        run_random(&config, seed * 0xbf58476d1ce4e5b9u);
    }
}

/* ---- parts of a request ---------------------------------------------------------------------- */

static void test_part__lookup__is_not_folded_and_counts_as_no_request(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    (void)world_put(world, "b", 1, 100);
    world_run(world);
    const struct mkv_front_stats before = world_stats(world);
    const uint64_t times = mkv_histogram_total(&mkv_front_times(world->front)->request);
    const struct world_item items[] = {{.key = "a"}, {.key = "b"}};
    world->route = 7;
    world->part = true;
    const uint32_t lookup = world_send(world, 0, MKV_OP_LOOKUP, items, 2);
    world_run(world);
    const struct world_request *request = &world->requests[lookup];
    assert_int_equal(request->result_count, 2);
    assert_int_equal(request->results[0].status, MKV_STATUS_NOT_FOUND);
    assert_int_equal(request->results[1].status, MKV_STATUS_OK);
    assert_int_equal(request->ends, 1);
    assert_int_equal(request->summary.route, 7);
    const struct mkv_front_stats after = world_stats(world);
    assert_memory_equal(after.requests_started, before.requests_started,
                        sizeof after.requests_started);
    assert_memory_equal(after.requests_answered, before.requests_answered,
                        sizeof after.requests_answered);
    assert_memory_equal(after.requests_ended, before.requests_ended, sizeof after.requests_ended);
    assert_int_equal(after.lookup_keys_asked, before.lookup_keys_asked);
    assert_int_equal(mkv_histogram_total(&mkv_front_times(world->front)->request), times);
    /* Its keys do count. */
    assert_int_equal(after.keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_NONE], 1);
    world_close(world);
}

/* A router that has its answer completes it no more when its connection closes. */
static void test_part__closed_with_its_answer_on_the_way__ends(void **state) {
    (void)state;
    struct world *world = world_open(NULL);
    const struct world_item item = {.key = "a"};
    world->route = 7;
    world_hold(world, GATE_ANSWER);
    const uint32_t exists = world_send(world, 0, MKV_OP_EXISTS, &item, 1);
    world_run(world);
    assert_int_equal(world->requests[exists].answers, 1);
    const struct mkv_input input = {
        .kind = MKV_INPUT_FABRIC_DONE,
        .now_ns = world->now_ns,
        .fabric = {.event = MKV_FABRIC_CONNECTION_CLOSED,
                   .connection = world->requests[exists].connection},
    };
    world_step(world, &input);
    world_run(world);
    assert_int_equal(world->requests[exists].ends, 1);
    assert_int_equal(world_stats(world).requests_in_flight, 0);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close__behind_every_event__everything_comes_back),
        cmocka_unit_test(test_close__with_the_least_pools__everything_comes_back),
        cmocka_unit_test(test_close__at_every_stage__everything_comes_back),
        cmocka_unit_test(test_close__unanswered_requests__are_counted_as_dropped),
        cmocka_unit_test(test_close__of_a_connection_without_requests__is_nothing),
        cmocka_unit_test(test_random__usual_pools__ends_and_gives_no_wrong_byte),
        cmocka_unit_test(test_random__memory_tier__ends_and_gives_no_wrong_byte),
        cmocka_unit_test(test_random__least_pools__ends_and_gives_no_wrong_byte),
        cmocka_unit_test(test_part__lookup__is_not_folded_and_counts_as_no_request),
        cmocka_unit_test(test_part__closed_with_its_answer_on_the_way__ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
