/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routers of three shards, with rings that keep every record until a test lets it through, and
 * fronts that a test plays: they say of a key what is said of it everywhere, so that what a request
 * comes to can be told beforehand.
 */
#include "core/router.h"

#include "core/request_rules.h"
#include "tests/unit/core/test.h"

#define SHARDS 3u
#define ITEMS_MAX 16u
#define RECORDS_MAX 64u
#define KEY_BYTES 4u

struct record {
    uint32_t bytes;
    uint64_t words[2048];
};

struct ring {
    struct record records[RECORDS_MAX];
    uint32_t head;
    uint32_t tail;
};

/* A request that a front has. */
struct held {
    struct mkv_request request;
    struct mkv_request_item items[ITEMS_MAX];
    uint32_t keys[ITEMS_MAX];
};

struct front {
    struct held held[8];
    uint32_t held_count;
    struct mkv_fabric_done done[32];
    uint32_t done_count;
    uint32_t transfers_failed; /* before the last CONNECTION_CLOSED */
    uint32_t closed;
    struct mkv_message told;
    struct mkv_item_result results[ITEMS_MAX];
};

struct world {
    struct mkv_router_config configs[SHARDS];
    void *arenas[SHARDS];
    struct mkv_router *routers[SHARDS];
    struct ring rings[SHARDS][SHARDS];
    struct front fronts[SHARDS];
    struct mkv_effect submitted[64];
    struct mkv_item_result answer[ITEMS_MAX];
    uint32_t submitted_count;
    struct mkv_request_summary ended;
    uint32_t ended_count;
    struct mkv_message asked;
    uint32_t asked_count;
};

/* ---- the world ------------------------------------------------------------------------------- */

static void configure(struct mkv_router_config *config, uint32_t shard) {
    memset(config, 0, sizeof *config);
    config->shard = shard;
    config->shard_count = SHARDS;
    mkv_front_config_default(&config->front);
    config->front.volume_count = SHARDS;
    config->front.connections_max = 9;
    config->front.requests_max = 4;
    config->front.items_per_request_max = ITEMS_MAX;
    config->front.items_max = 40;
    for (uint32_t volume = 0; volume < SHARDS; volume++) {
        config->front.members[volume].weight = 1;
        config->front.members[volume].uuid.bytes[0] = (uint8_t)(volume + 1);
        config->front.foreign[volume] = volume != shard;
        config->volume_shards[volume] = volume;
    }
}

static struct world *world_open(void) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        configure(&world->configs[shard], shard);
        assert_null(mkv_router_config_fault(&world->configs[shard]));
        const size_t bytes = mkv_router_memory_required(&world->configs[shard]);
        world->arenas[shard] = aligned_alloc(64, bytes);
        assert_non_null(world->arenas[shard]);
        memset(world->arenas[shard], 0xa5, bytes);
        world->routers[shard] =
            mkv_router_init(world->arenas[shard], bytes, &world->configs[shard]);
    }
    return world;
}

static void world_close(struct world *world) {
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        free(world->arenas[shard]);
    }
    free(world);
}

static void front_take(struct world *world, uint32_t shard, const struct mkv_input *input) {
    struct front *front = &world->fronts[shard];
    if (input->kind == MKV_INPUT_MESSAGE) {
        front->told = input->message;
        return;
    }
    if (input->kind == MKV_INPUT_REQUEST) {
        struct held *held = &front->held[front->held_count++];
        held->request = input->request;
        for (uint32_t item = 0; item < input->request.item_count; item++) {
            held->items[item] = input->request.items[item];
            if (held->items[item].key_bytes > 0) {
                assert_true(held->items[item].key_offset + KEY_BYTES <= input->data_bytes);
                memcpy(&held->keys[item], input->data + held->items[item].key_offset, KEY_BYTES);
            }
        }
        return;
    }
    front->done[front->done_count++] = input->fabric;
    if (input->fabric.event == MKV_FABRIC_CONNECTION_CLOSED) {
        front->closed++;
    } else {
        assert_int_equal(front->closed, 0);
        front->transfers_failed += input->fabric.transfer == MKV_TRANSFER_FAILED ? 1 : 0;
    }
}

static void carry_out(struct world *world, uint32_t shard, const struct mkv_router_output *output) {
    switch (output->kind) {
    case MKV_ROUTER_FRONT:
        front_take(world, shard, &output->input);
        return;
    case MKV_ROUTER_FABRIC:
        world->submitted[world->submitted_count++] = output->effect;
        if (output->effect.kind == MKV_EFFECT_ANSWER && output->effect.answer.result_count > 0) {
            memcpy(world->answer, output->base + output->effect.answer.results_offset,
                   output->effect.answer.result_count * sizeof world->answer[0]);
        }
        return;
    case MKV_ROUTER_SEND: {
        struct ring *ring = &world->rings[shard][output->shard];
        struct record *record = &ring->records[ring->tail++ % RECORDS_MAX];
        record->bytes = output->head_bytes + output->tail_bytes;
        assert_true(record->bytes <= mkv_router_record_bytes_max(&world->configs[shard]));
        assert_true(record->bytes <= sizeof record->words);
        assert_int_equal(output->head_bytes % 8, 0);
        memcpy(record->words, output->head, output->head_bytes);
        if (output->tail_bytes > 0) {
            memcpy((uint8_t *)record->words + output->head_bytes, output->tail, output->tail_bytes);
        }
        return;
    }
    case MKV_ROUTER_VOLUME:
        world->asked = output->message;
        world->asked_count++;
        return;
    case MKV_ROUTER_ENDED:
        world->ended = output->summary;
        world->ended_count++;
        return;
    }
}

static void drain(struct world *world, uint32_t shard) {
    struct mkv_router_output output;
    while (mkv_router_next(world->routers[shard], &output)) {
        carry_out(world, shard, &output);
    }
}

/* Lets through what waits between two shards. */
static void deliver(struct world *world, uint32_t from, uint32_t to) {
    struct ring *ring = &world->rings[from][to];
    while (ring->head < ring->tail) {
        const struct record *record = &ring->records[ring->head++ % RECORDS_MAX];
        mkv_router_take(world->routers[to], from, record->words, record->bytes);
        drain(world, to);
    }
}

static void deliver_all(struct world *world) {
    for (uint32_t pair = 0; pair < SHARDS * SHARDS; pair++) {
        deliver(world, pair / SHARDS, pair % SHARDS);
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint32_t owner_of(const struct world *world, uint32_t key) {
    return mkv_placement_owner(
        mkv_placement_point(MKV_TENANT_DEFAULT_NAME, (const uint8_t *)&key, KEY_BYTES),
        world->configs[0].front.members, SHARDS);
}

/* The n-th key of a shard. */
static uint32_t key_of(const struct world *world, uint32_t shard, uint32_t number) {
    uint32_t key = 0;
    while (owner_of(world, key) != shard || number-- > 0) {
        key++;
    }
    return key;
}

/* What any front says of a key. */
static struct mkv_item_result result_of(uint32_t key) {
    static const enum mkv_status statuses[] = {MKV_STATUS_OK, MKV_STATUS_OK, MKV_STATUS_OK,
                                               MKV_STATUS_NOT_FOUND, MKV_STATUS_IO_ERROR};
    struct mkv_item_result result = {.status = statuses[key % 5]};
    result.miss = result.status == MKV_STATUS_NOT_FOUND ? MKV_MISS_EVICTED : MKV_MISS_NONE;
    result.length = key;
    result.leased = result.status == MKV_STATUS_OK ? key % 2 : 0;
    return result;
}

/* ---- what happens ---------------------------------------------------------------------------- */

static enum mkv_router_verdict ask_items(struct world *world, uint32_t shard, enum mkv_op op,
                                         struct mkv_request_item *items, const uint32_t *keys,
                                         uint32_t count) {
    const struct mkv_input input = {
        .kind = MKV_INPUT_REQUEST,
        .now_ns = 100,
        .wall_ms = 7,
        .data = (const uint8_t *)keys,
        .data_bytes = count * KEY_BYTES,
        .request = {.connection = {shard, 1},
                    .request_id = 77,
                    .op = op,
                    .deadline_ns = UINT64_MAX,
                    .item_count = count,
                    .items = items,
                    .serial = 5,
                    .received_ns = 90},
    };
    const enum mkv_router_verdict verdict = mkv_router_request(world->routers[shard], &input);
    drain(world, shard);
    return verdict;
}

static enum mkv_router_verdict ask(struct world *world, uint32_t shard, enum mkv_op op,
                                   const uint32_t *keys, uint32_t count) {
    struct mkv_request_item items[ITEMS_MAX];
    memset(items, 0, sizeof items);
    for (uint32_t item = 0; item < count; item++) {
        items[item].key_offset = item * KEY_BYTES;
        items[item].key_bytes = KEY_BYTES;
    }
    return ask_items(world, shard, op, items, keys, count);
}

static void front_emit(struct world *world, uint32_t shard, const struct mkv_effect *effect) {
    struct mkv_router_output output;
    const uint8_t *arena = (const uint8_t *)&world->fronts[shard];
    const enum mkv_router_verdict verdict =
        mkv_router_effect(world->routers[shard], effect, arena, &output);
    assert_true(verdict != MKV_ROUTER_AS_IS);
    if (verdict == MKV_ROUTER_OUTPUT) {
        carry_out(world, shard, &output);
    }
}

static void front_push(struct world *world, uint32_t shard, uint32_t op, uint32_t item) {
    const struct mkv_request *request = &world->fronts[shard].held[0].request;
    const struct mkv_effect push = {
        .kind = MKV_EFFECT_PUSH,
        .op = {op, 3},
        .transfer = {.connection = request->connection,
                     .request_id = request->request_id,
                     .item = item,
                     .route = request->route},
    };
    front_emit(world, shard, &push);
}

/* The front's oldest request is answered; as refused where there is a status. */
static void front_answer(struct world *world, uint32_t shard, enum mkv_status refusal) {
    struct front *front = &world->fronts[shard];
    assert_true(front->held_count > 0);
    const struct held *held = &front->held[0];
    for (uint32_t item = 0; item < held->request.item_count; item++) {
        front->results[item] = result_of(held->keys[item]);
    }
    const bool folds = held->request.op == MKV_OP_LOOKUP && !held->request.part;
    if (folds) {
        mkv_request_fold(front->results, held->request.item_count);
    }
    const bool refused = refusal != MKV_STATUS_OK;
    const struct mkv_effect answer = {
        .kind = MKV_EFFECT_ANSWER,
        .op = {refused ? MKV_NONE_U32 : 10 + shard, 4},
        .answer = {.connection = held->request.connection,
                   .request_id = held->request.request_id,
                   .op = held->request.op,
                   .status = refusal,
                   .result_count = refused ? 0
                                   : folds ? 1
                                           : held->request.item_count,
                   .route = held->request.route,
                   .results_offset = offsetof(struct front, results)},
    };
    front_emit(world, shard, &answer);
}

static void front_end(struct world *world, uint32_t shard, uint64_t ended_ns, bool dropped) {
    struct front *front = &world->fronts[shard];
    const struct mkv_request *request = &front->held[0].request;
    struct mkv_effect end = {
        .kind = MKV_EFFECT_REQUEST_ENDED,
        .summary = {.connection = request->connection,
                    .request_id = request->request_id,
                    .serial = request->serial,
                    .op = request->op,
                    .item_count = request->item_count,
                    .dropped = dropped,
                    .bytes_out = 1000,
                    .received_ns = request->received_ns,
                    .ended_ns = ended_ns,
                    .volume = MKV_NONE_U32,
                    .route = request->route},
    };
    end.summary.stage_ns[MKV_STAGE_REPLY] = ended_ns - request->received_ns;
    front->held_count--;
    memmove(&front->held[0], &front->held[1], front->held_count * sizeof front->held[0]);
    front_emit(world, shard, &end);
}

static enum mkv_router_verdict fabric_done(struct world *world, uint32_t shard,
                                           enum mkv_fabric_event event, struct mkv_op_id op,
                                           enum mkv_transfer transfer) {
    const struct mkv_input input = {
        .kind = MKV_INPUT_FABRIC_DONE,
        .fabric = {.event = event, .op = op, .transfer = transfer, .connection = {shard, 1}},
    };
    const enum mkv_router_verdict verdict = mkv_router_done(world->routers[shard], &input);
    drain(world, shard);
    return verdict;
}

static struct mkv_router_stats stats_of(const struct world *world, uint32_t shard) {
    struct mkv_router_stats stats;
    mkv_router_stats(world->routers[shard], &stats);
    return stats;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void test_request__all_keys_own__is_the_fronts_alone(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 1, 0), key_of(world, 1, 1)};
    assert_int_equal(ask(world, 1, MKV_OP_GET, keys, 2), MKV_ROUTER_AS_IS);
    assert_int_equal(stats_of(world, 1).requests_direct, 1);
    /* What makes no request is for the own front to refuse, too. */
    assert_int_equal(ask(world, 1, MKV_OP_GET, keys, 0), MKV_ROUTER_AS_IS);
    world_close(world);
}

/* The property: whatever the keys, the answer is what one front would have said. */
static void test_request__keys_of_many__is_answered_as_by_one_front(void **state) {
    (void)state;
    static const enum mkv_op ops[] = {MKV_OP_EXISTS, MKV_OP_LOOKUP, MKV_OP_DELETE, MKV_OP_UNPIN};
    struct world *world = world_open();
    uint32_t draw = 1;
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t keys[ITEMS_MAX];
        struct mkv_item_result expected[ITEMS_MAX];
        draw = draw * 1664525 + 1013904223;
        const uint32_t count = 1 + (draw >> 20) % ITEMS_MAX;
        const enum mkv_op op = ops[(draw >> 16) % 4];
        for (uint32_t item = 0; item < count; item++) {
            draw = draw * 1664525 + 1013904223;
            keys[item] = (draw >> 10) % 3 == 0 ? (draw >> 12) % 400 : (draw >> 12) % 80 * 5;
            expected[item] = result_of(keys[item]);
        }
        if (op == MKV_OP_LOOKUP) {
            mkv_request_fold(expected, count);
        }
        if (ask(world, round % SHARDS, op, keys, count) == MKV_ROUTER_AS_IS) {
            continue;
        }
        deliver_all(world);
        world->submitted_count = 0;
        for (uint32_t turn = 0; turn < SHARDS; turn++) {
            const uint32_t shard = (turn + draw) % SHARDS;
            if (world->fronts[shard].held_count > 0) {
                front_answer(world, shard, MKV_STATUS_OK);
            }
            deliver_all(world);
        }
        assert_int_equal(world->submitted_count, 1);
        const struct mkv_answer_effect *answer = &world->submitted[0].answer;
        assert_int_equal(answer->request_id, 77);
        assert_int_equal(answer->result_count, op == MKV_OP_LOOKUP ? 1 : count);
        for (uint32_t item = 0; item < answer->result_count; item++) {
            assert_int_equal(world->answer[item].status, expected[item].status);
            assert_int_equal(world->answer[item].miss, expected[item].miss);
            assert_int_equal(world->answer[item].length, expected[item].length);
            assert_int_equal(world->answer[item].leased, expected[item].leased);
        }
        (void)fabric_done(world, round % SHARDS, MKV_FABRIC_ANSWER_DONE, world->submitted[0].op,
                          MKV_TRANSFER_OK);
        deliver_all(world);
        for (uint32_t shard = 0; shard < SHARDS; shard++) {
            world->fronts[shard].done_count = 0;
            if (world->fronts[shard].held_count > 0) {
                front_end(world, shard, 500, false);
            }
        }
        deliver_all(world);
    }
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        assert_int_equal(stats_of(world, shard).requests_in_flight, 0);
        assert_int_equal(stats_of(world, shard).items_in_flight, 0);
        assert_true(stats_of(world, shard).requests_split > 100);
        assert_true(stats_of(world, shard).requests_whole > 10);
    }
    world_close(world);
}

static void test_request__transfers_of_parts__name_its_items_and_come_back(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 2, 0), key_of(world, 0, 0), key_of(world, 2, 1)};
    assert_int_equal(ask(world, 0, MKV_OP_GET, keys, 3), MKV_ROUTER_TAKEN);
    deliver_all(world);
    assert_int_equal(world->fronts[0].held[0].request.item_count, 1);
    assert_true(world->fronts[0].held[0].request.part);
    assert_int_equal(world->fronts[2].held[0].request.item_count, 2);
    assert_int_equal(world->fronts[2].held[0].keys[1], keys[2]);
    front_push(world, 2, 6, 1);
    front_push(world, 0, 6, 0);
    deliver_all(world);
    assert_int_equal(world->submitted_count, 2);
    assert_int_equal(world->submitted[0].transfer.item, 1); /* of the own front, at once */
    assert_int_equal(world->submitted[1].transfer.item, 2);
    assert_int_equal(world->submitted[0].op.index, 6);
    assert_int_not_equal(world->submitted[1].op.index, 6);
    assert_int_equal(
        fabric_done(world, 0, MKV_FABRIC_PUSH_DONE, world->submitted[0].op, MKV_TRANSFER_OK),
        MKV_ROUTER_AS_IS);
    assert_int_equal(
        fabric_done(world, 0, MKV_FABRIC_PUSH_DONE, world->submitted[1].op, MKV_TRANSFER_OK),
        MKV_ROUTER_TAKEN);
    deliver_all(world);
    assert_int_equal(world->fronts[2].done_count, 1);
    assert_int_equal(world->fronts[2].done[0].op.index, 6);
    assert_int_equal(world->fronts[2].done[0].op.generation, 3);
    world_close(world);
}

/* It ends once, with the sums of its parts and the time of the last. */
static void test_request__its_parts_end__it_ends_once(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 1, 0), key_of(world, 0, 0)};
    assert_int_equal(ask(world, 0, MKV_OP_GET, keys, 2), MKV_ROUTER_TAKEN);
    deliver_all(world);
    front_answer(world, 1, MKV_STATUS_OK);
    front_answer(world, 0, MKV_STATUS_OK);
    deliver_all(world);
    (void)fabric_done(world, 0, MKV_FABRIC_ANSWER_DONE, world->submitted[0].op, MKV_TRANSFER_OK);
    deliver_all(world);
    assert_int_equal(world->fronts[0].done_count, 1);
    assert_int_equal(world->fronts[1].done_count, 1);
    assert_int_equal(world->fronts[1].done[0].op.index, 11);
    front_end(world, 0, 300, false);
    assert_int_equal(world->ended_count, 0);
    front_end(world, 1, 290, false);
    deliver_all(world);
    assert_int_equal(world->ended_count, 1);
    assert_int_equal(world->ended.serial, 5);
    assert_int_equal(world->ended.item_count, 2);
    assert_int_equal(world->ended.bytes_out, 2000);
    assert_int_equal(world->ended.ended_ns, 300);
    assert_int_equal(world->ended.stage_ns[MKV_STAGE_REPLY], 210);
    assert_false(world->ended.dropped);
    const struct mkv_front_stats *stats = mkv_router_request_stats(world->routers[0]);
    assert_int_equal(stats->requests_started[MKV_OP_GET], 1);
    assert_int_equal(stats->requests_ended[MKV_OP_GET], 1);
    world_close(world);
}

static void test_request__a_part_is_refused__its_items_say_so(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 1, 0), key_of(world, 0, 0)};
    (void)ask(world, 0, MKV_OP_EXISTS, keys, 2);
    deliver_all(world);
    front_answer(world, 1, MKV_STATUS_BUSY);
    front_answer(world, 0, MKV_STATUS_OK);
    deliver_all(world);
    assert_int_equal(world->submitted[0].answer.status, MKV_STATUS_OK);
    assert_int_equal(world->answer[0].status, MKV_STATUS_BUSY);
    assert_int_equal(world->answer[1].status, result_of(keys[1]).status);
    (void)fabric_done(world, 0, MKV_FABRIC_ANSWER_DONE, world->submitted[0].op, MKV_TRANSFER_OK);
    deliver_all(world);
    assert_int_equal(world->fronts[1].done_count, 0); /* a refusal is not completed */
    assert_int_equal(world->fronts[0].done_count, 1);
    world_close(world);
}

static void test_request__all_parts_are_refused__so_is_it(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 1, 0), key_of(world, 0, 0)};
    (void)ask(world, 0, MKV_OP_LOOKUP, keys, 2);
    deliver_all(world);
    front_answer(world, 1, MKV_STATUS_BUSY);
    front_end(world, 1, 200, false);
    front_answer(world, 0, MKV_STATUS_BUSY);
    front_end(world, 0, 200, false);
    deliver_all(world);
    assert_int_equal(world->submitted_count, 1);
    assert_int_equal(world->submitted[0].answer.status, MKV_STATUS_BUSY);
    assert_int_equal(world->submitted[0].answer.result_count, 0);
    assert_int_equal(world->ended_count, 0); /* its answer is on its way */
    (void)fabric_done(world, 0, MKV_FABRIC_ANSWER_DONE, world->submitted[0].op, MKV_TRANSFER_OK);
    assert_int_equal(world->ended_count, 1);
    assert_true(world->ended.refused);
    world_close(world);
}

static void test_request__no_place_left__is_refused(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 1, 0), key_of(world, 0, 0)};
    for (uint32_t turn = 0; turn < world->configs[0].front.requests_max; turn++) {
        (void)ask(world, 0, MKV_OP_EXISTS, keys, 2);
    }
    assert_int_equal(world->submitted_count, 0);
    (void)ask(world, 0, MKV_OP_EXISTS, keys, 2);
    assert_int_equal(world->submitted_count, 1);
    assert_int_equal(world->submitted[0].answer.status, MKV_STATUS_BUSY);
    assert_int_equal(world->ended_count, 1);
    assert_true(world->ended.refused);
    assert_int_equal(
        fabric_done(world, 0, MKV_FABRIC_ANSWER_DONE, world->submitted[0].op, MKV_TRANSFER_OK),
        MKV_ROUTER_TAKEN);
    world_close(world);
}

static void test_session__any__goes_to_every_front_and_says_what_they_say(void **state) {
    (void)state;
    struct world *world = world_open();
    struct mkv_request_item item = {.session = 9,
                                    .action = MKV_SESSION_EXIT_THINK,
                                    .reason = MKV_THINK_CONVERGED,
                                    .length = 64};
    assert_int_equal(ask_items(world, 0, MKV_OP_SESSION, &item, NULL, 1), MKV_ROUTER_TAKEN);
    deliver_all(world);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        assert_int_equal(world->fronts[shard].held_count, 1);
        /* not_found, ok, not_found */
        world->fronts[shard].held[0].keys[0] = shard == 1 ? 0 : 3;
        front_answer(world, shard, MKV_STATUS_OK);
    }
    deliver_all(world);
    assert_int_equal(world->answer[0].status, MKV_STATUS_OK);
    assert_int_equal(mkv_router_request_stats(world->routers[0])->think_exits[MKV_THINK_CONVERGED],
                     1);
    world_close(world);
}

static void test_reservation__of_another_front__is_committed_there(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 2, 0), key_of(world, 0, 0)};
    struct mkv_request_item items[2] = {{.key_bytes = KEY_BYTES},
                                        {.key_offset = KEY_BYTES, .key_bytes = KEY_BYTES}};
    (void)ask_items(world, 0, MKV_OP_ALLOCATE, items, keys, 2);
    deliver_all(world);
    world->fronts[0].held[0].keys[0] = 10; /* ok, and the name is the length of result_of */
    world->fronts[2].held[0].keys[0] = 20;
    front_answer(world, 0, MKV_STATUS_OK);
    front_answer(world, 2, MKV_STATUS_OK);
    deliver_all(world);
    assert_int_equal(world->answer[1].reservation, 10);
    const uint64_t name = world->answer[0].reservation;
    assert_true(name == (3ull << MKV_ROUTER_RESERVATION_SHIFT | 20));
    front_end(world, 0, 200, false);
    front_end(world, 2, 200, false);
    struct mkv_request_item commit = {.reservation = name};
    assert_int_equal(ask_items(world, 0, MKV_OP_COMMIT, &commit, NULL, 1), MKV_ROUTER_TAKEN);
    deliver_all(world);
    assert_int_equal(world->fronts[2].held[0].items[0].reservation, 20);
    /* A name of a shard that there is not is for the own front not to find. */
    commit.reservation = 4ull << MKV_ROUTER_RESERVATION_SHIFT | 20;
    assert_int_equal(ask_items(world, 0, MKV_OP_COMMIT, &commit, NULL, 1), MKV_ROUTER_AS_IS);
    world_close(world);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void test_close__transfers_on_their_way__fail_before_it_and_are_dropped(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t keys[] = {key_of(world, 1, 0), key_of(world, 1, 1), key_of(world, 2, 0)};
    (void)ask(world, 0, MKV_OP_GET, keys, 3);
    deliver_all(world);
    front_push(world, 1, 4, 0);
    deliver(world, 1, 0);       /* the fabric has this one … */
    front_push(world, 1, 5, 1); /* … and this one is on its way */
    (void)fabric_done(world, 0, MKV_FABRIC_PUSH_DONE, world->submitted[0].op, MKV_TRANSFER_FAILED);
    assert_int_equal(fabric_done(world, 0, MKV_FABRIC_CONNECTION_CLOSED, (struct mkv_op_id){0, 0},
                                 MKV_TRANSFER_OK),
                     MKV_ROUTER_TAKEN);
    assert_int_equal(world->fronts[0].closed, 1);
    deliver(world, 0, 1);
    deliver(world, 0, 2);
    assert_int_equal(world->fronts[1].closed, 1);
    assert_int_equal(world->fronts[1].transfers_failed, 2);
    assert_int_equal(world->fronts[2].closed, 1);
    const uint32_t submitted = world->submitted_count;
    deliver(world, 1, 0);
    assert_int_equal(world->submitted_count, submitted);
    assert_int_equal(stats_of(world, 0).effects_dropped, 1);
    front_end(world, 1, 200, true);
    front_end(world, 2, 200, true);
    deliver_all(world);
    assert_int_equal(world->ended_count, 1);
    assert_true(world->ended.dropped);
    assert_int_equal(stats_of(world, 0).requests_in_flight, 0);
    world_close(world);
}

static void test_close__next_client_of_the_index__does_not_get_what_was_for_the_last(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t key = key_of(world, 1, 0);
    (void)ask(world, 0, MKV_OP_GET, &key, 1);
    deliver_all(world);
    front_push(world, 1, 4, 0);
    (void)fabric_done(world, 0, MKV_FABRIC_CONNECTION_CLOSED, (struct mkv_op_id){0, 0},
                      MKV_TRANSFER_OK);
    struct mkv_request_item item = {.key_bytes = KEY_BYTES};
    const struct mkv_input next = {
        .kind = MKV_INPUT_REQUEST,
        .data = (const uint8_t *)&key,
        .data_bytes = KEY_BYTES,
        .request = {.connection = {0, 2}, .op = MKV_OP_GET, .item_count = 1, .items = &item},
    };
    assert_int_equal(mkv_router_request(world->routers[0], &next), MKV_ROUTER_TAKEN);
    drain(world, 0);
    deliver(world, 1, 0);
    assert_int_equal(world->submitted_count, 0);
    world->fronts[1].held_count = 0;
    deliver(world, 0, 1);
    assert_int_equal(world->fronts[1].closed, 1);
    assert_int_equal(world->fronts[1].held[0].request.connection.generation, 2);
    world_close(world);
}

static void test_break__by_the_front_of_another_shard__breaks_the_connection(void **state) {
    (void)state;
    struct world *world = world_open();
    const uint32_t key = key_of(world, 1, 0);
    (void)ask(world, 0, MKV_OP_GET, &key, 1);
    deliver_all(world);
    const struct mkv_effect effect = {.kind = MKV_EFFECT_BREAK, .transfer = {.connection = {0, 1}}};
    front_emit(world, 1, &effect);
    deliver_all(world);
    assert_int_equal(world->submitted[0].kind, MKV_EFFECT_BREAK);
    world_close(world);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void test_message__to_a_volume_of_another_shard__is_answered_to_who_asked(void **state) {
    (void)state;
    struct world *world = world_open();
    struct mkv_effect effect = {
        .kind = MKV_EFFECT_MESSAGE,
        .message = {.kind = MKV_MESSAGE_FIND, .volume = 2, .front_op = {8, 1}},
    };
    front_emit(world, 0, &effect);
    deliver_all(world);
    assert_int_equal(world->asked_count, 1);
    struct mkv_message answer = world->asked;
    answer.kind = MKV_MESSAGE_FOUND;
    struct mkv_router_output output;
    assert_int_equal(mkv_router_message(world->routers[2], &answer, NULL, &output),
                     MKV_ROUTER_OUTPUT);
    carry_out(world, 2, &output);
    deliver_all(world);
    assert_int_equal(world->fronts[0].told.kind, MKV_MESSAGE_FOUND);
    assert_int_equal(world->fronts[0].told.front_op.index, 8);
    answer.front_op.index = 8;
    assert_int_equal(mkv_router_message(world->routers[2], &answer, NULL, &output),
                     MKV_ROUTER_AS_IS);
    world_close(world);
}

static void test_config__figures_that_do_not_fit__have_a_fault(void **state) {
    (void)state;
    struct mkv_router_config config;
    configure(&config, 0);
    config.shard = SHARDS;
    assert_non_null(mkv_router_config_fault(&config));
    configure(&config, 0);
    config.volume_shards[1] = SHARDS;
    assert_non_null(mkv_router_config_fault(&config));
    configure(&config, 0);
    config.front.foreign[1] = false;
    assert_non_null(mkv_router_config_fault(&config));
    configure(&config, 0);
    config.front.requests_max = 0;
    assert_non_null(mkv_router_config_fault(&config));
    configure(&config, 0);
    config.shard_count = 1;
    for (uint32_t volume = 0; volume < SHARDS; volume++) {
        config.volume_shards[volume] = 0;
        config.front.foreign[volume] = false;
    }
    assert_null(mkv_router_config_fault(&config));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__all_keys_own__is_the_fronts_alone),
        cmocka_unit_test(test_request__keys_of_many__is_answered_as_by_one_front),
        cmocka_unit_test(test_request__transfers_of_parts__name_its_items_and_come_back),
        cmocka_unit_test(test_request__its_parts_end__it_ends_once),
        cmocka_unit_test(test_request__a_part_is_refused__its_items_say_so),
        cmocka_unit_test(test_request__all_parts_are_refused__so_is_it),
        cmocka_unit_test(test_request__no_place_left__is_refused),
        cmocka_unit_test(test_session__any__goes_to_every_front_and_says_what_they_say),
        cmocka_unit_test(test_reservation__of_another_front__is_committed_there),
        cmocka_unit_test(test_close__transfers_on_their_way__fail_before_it_and_are_dropped),
        cmocka_unit_test(test_close__next_client_of_the_index__does_not_get_what_was_for_the_last),
        cmocka_unit_test(test_break__by_the_front_of_another_shard__breaks_the_connection),
        cmocka_unit_test(test_message__to_a_volume_of_another_shard__is_answered_to_who_asked),
        cmocka_unit_test(test_config__figures_that_do_not_fit__have_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
