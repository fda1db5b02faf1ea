/* SPDX-License-Identifier: Apache-2.0 */
/* The front's test world: its driver, its fabric with the clients, and its slab arena. */
#include "tests/unit/core/front_world.h"

#include "core/hash.h"

static uint64_t word(uint64_t seed, uint64_t index) {
    return (index + 1) * 0x9e3779b97f4a7c15u ^ seed * 0xbf58476d1ce4e5b9u;
}

uint8_t world_byte(uint64_t seed, uint64_t offset) {
    return (uint8_t)(word(seed, offset / 8) >> offset % 8 * 8);
}

static void fill(uint8_t *target, uint64_t seed, uint64_t offset, uint64_t bytes) {
    uint64_t index = 0;
    for (; index < bytes && (offset + index) % 8 != 0; index++) {
        target[index] = world_byte(seed, offset + index);
    }
    for (; index + 8 <= bytes; index += 8) {
        const uint64_t value = word(seed, (offset + index) / 8);
        memcpy(target + index, &value, sizeof value);
    }
    for (; index < bytes; index++) {
        target[index] = world_byte(seed, offset + index);
    }
}

/* ---- slabs ----------------------------------------------------------------------------------- */

uint8_t *world_slab(struct world *world, struct mkv_slab slab) {
    assert_true(slab.index < world->config.slab_unit_count);
    return world->slabs + (size_t)slab.index * MKV_SLAB_UNIT_STRIDE_BYTES + MKV_UNIT_BYTES;
}

/* Who only reads a slab may share it with others that do. */
#define UNIT_WRITTEN 255u

static void slab_mark(struct world *world, struct mkv_slab slab, uint32_t offset, uint32_t bytes,
                      bool use, bool writes) {
    const size_t begin = (size_t)slab.index * MKV_SLAB_UNIT_STRIDE_BYTES;
    const size_t last = begin + MKV_UNIT_BYTES + offset + bytes - 1;
    for (size_t unit = slab.index; unit <= last / MKV_SLAB_UNIT_STRIDE_BYTES; unit++) {
        assert_true(unit < world->config.slab_unit_count);
        uint8_t *users = &world->unit_users[unit];
        if (writes) {
            assert_int_equal(*users, use ? 0 : UNIT_WRITTEN);
            *users = use ? UNIT_WRITTEN : 0;
        } else {
            assert_in_range(*users, use ? 0 : 1, UNIT_WRITTEN - 2);
            *users = (uint8_t)(*users + (use ? 1 : -1));
        }
    }
}

void world_slab_use(struct world *world, struct mkv_slab slab, uint32_t offset, uint32_t bytes,
                    bool writes) {
    slab_mark(world, slab, offset, bytes, true, writes);
}

void world_slab_unuse(struct world *world, struct mkv_slab slab, uint32_t offset, uint32_t bytes,
                      bool writes) {
    slab_mark(world, slab, offset, bytes, false, writes);
}

/* ---- opening and closing --------------------------------------------------------------------- */

void world_config(struct mkv_front_config *config) {
    mkv_front_config_default(config);
    config->volume_count = WORLD_VOLUMES;
    for (uint32_t volume = 0; volume < WORLD_VOLUMES; volume++) {
        config->members[volume].uuid.bytes[0] = (uint8_t)(volume + 1);
        config->members[volume].weight = 1;
    }
    config->connections_max = WORLD_CONNECTIONS;
    config->requests_max = 32;
    config->requests_per_connection_max = 16;
    config->items_per_request_max = WORLD_ITEMS_MAX;
    config->items_max = 48;
    config->segmented_max = 2;
    config->volume_ops_max = 32;
    config->slab_unit_count = 16;
    config->slab_units_per_connection_max = 12;
    config->block_bytes_max = WORLD_BLOCK_BYTES;
    config->value_bytes_max = 64 * WORLD_BLOCK_BYTES;
    config->transfer_grace_ns = 2 * WORLD_SECOND;
    config->segment_id_seed = 7;
}

void world_restart(struct world *world, const struct mkv_front_config *config) {
    assert_null(mkv_front_config_fault(config));
    world->config = *config;
    free(world->memory);
    const size_t bytes = mkv_front_memory_required(config);
    world->memory = aligned_alloc(64, bytes);
    assert_non_null(world->memory);
    memset(world->memory, 0xa5, bytes);
    world->front = mkv_front_init(world->memory, bytes, config);
    for (uint32_t volume = 0; volume < config->volume_count; volume++) {
        mkv_front_volume_set_state(world->front, volume, MKV_FRONT_VOLUME_ONLINE);
    }
}

struct world *world_open(const struct mkv_front_config *config) {
    struct mkv_front_config usual;
    world_config(&usual);
    config = config == NULL ? &usual : config;
    struct world *world = malloc(sizeof *world);
    assert_non_null(world);
    memset(world, 0, offsetof(struct world, events));
    world->slabs = malloc((size_t)config->slab_unit_count * MKV_SLAB_UNIT_STRIDE_BYTES);
    world->unit_users = calloc(config->slab_unit_count, 1);
    assert_non_null(world->slabs);
    assert_non_null(world->unit_users);
    world->now_ns = WORLD_SECOND;
    world->deadline_after_ns = WORLD_SECOND;
    world->request_count = 1; /* 0 is nobody's id */
    world_restart(world, config);
    return world;
}

void world_free(struct world *world) {
    for (uint32_t id = 1; id < world->request_count; id++) {
        for (uint32_t item = 0; item < WORLD_ITEMS_MAX; item++) {
            free(world->requests[id].received[item]);
        }
    }
    for (uint32_t index = 0; index < WORLD_BLOCKS_MAX; index++) {
        free(world->blocks[index].data);
    }
    free(world->unit_users);
    free(world->slabs);
    free(world->memory);
    free(world);
}

void world_check_idle(struct world *world) {
    const struct mkv_front_stats stats = world_stats(world);
    assert_int_equal(stats.requests_in_flight, 0);
    assert_int_equal(stats.items_in_flight, 0);
    assert_int_equal(stats.reservations, 0);
    assert_int_equal(stats.items_ready, 0);
    assert_int_equal(stats.ops_waiting_credit, 0);
    assert_int_equal(stats.ops_waiting_slab, 0);
    assert_int_equal(stats.items_waiting_segmented, 0);
    assert_int_equal(stats.segmented_in_flight, 0);
    assert_int_equal(stats.refusals_in_flight, 0);
    assert_int_equal(stats.slab_units_free + stats.memory_units, world->config.slab_unit_count);
    assert_int_equal(stats.slabs_allocated, stats.memory_blocks);
    assert_int_equal(stats.memory_units_used, 0);
    assert_int_equal(stats.memory_unpersisted, 0);
    for (uint32_t volume = 0; volume < world->config.volume_count; volume++) {
        assert_int_equal(stats.volume_ops[volume], 0);
    }
    assert_true(mkv_front_timer_ns(world->front) == UINT64_MAX);
    for (uint32_t op = 0; op < WORLD_OPS_MAX; op++) {
        assert_int_equal(world->ops[op].state, WORLD_OP_FREE);
    }
    for (uint32_t unit = 0; unit < world->config.slab_unit_count; unit++) {
        assert_int_equal(world->unit_users[unit], 0);
    }
    for (uint32_t id = 1; id < world->request_count; id++) {
        const struct world_request *request = &world->requests[id];
        assert_int_equal(request->ends, request->sent || request->dropped ? 1 : 0);
    }
    for (uint32_t id = 1; id < world->request_count; id++) {
        const struct world_request *request = &world->requests[id];
        assert_true(request->answers == 1 || (request->dropped && request->answers == 0));
    }
}

void world_close(struct world *world) {
    memset(world->held, 0, sizeof world->held);
    world_run(world);
    for (uint32_t connection = 0; connection < WORLD_CONNECTIONS; connection++) {
        world_close_connection(world, connection);
    }
    world_run(world);
    world_check_idle(world);
    assert_int_equal(world_stats(world).fabric_stale, 0);
    world_free(world);
}

/* ---- what the front hands out ---------------------------------------------------------------- */

struct world_event *world_event_add(struct world *world, enum gate gate) {
    assert_true(world->event_count < WORLD_EVENTS_MAX);
    struct world_event *event = &world->events[world->event_count++];
    memset(event, 0, sizeof *event);
    event->gate = gate;
    event->world_op = MKV_NONE_U32;
    return event;
}

static struct world_request *request_of(struct world *world, uint64_t id,
                                        struct mkv_connection_id connection) {
    assert_true(id >= 1);
    assert_true(id < world->request_count);
    struct world_request *request = &world->requests[id];
    assert_int_equal(request->connection.index, connection.index);
    assert_int_equal(request->connection.generation, connection.generation);
    assert_false(request->dropped);
    assert_int_equal(request->answers, 0);
    return request;
}

static void take_transfer(struct world *world, const struct mkv_effect *effect, enum gate gate) {
    const struct mkv_transfer_effect *transfer = &effect->transfer;
    struct world_request *request = request_of(world, transfer->request_id, transfer->connection);
    assert_true(transfer->item < request->item_count);
    request->pushed_bytes[transfer->item] += gate == GATE_PUSH ? transfer->bytes : 0;
    assert_true(transfer->bytes > 0);
    world_slab_use(world, transfer->slab, transfer->slab_offset, transfer->bytes,
                   gate == GATE_PULL);
    struct world_event *event = world_event_add(world, gate);
    event->op = effect->op;
    event->transfer = *transfer;
}

/* Bytes that an answered GET must have been sent. */
static uint64_t bytes_due(const struct world_item *item, const struct mkv_item_result *result) {
    if (result->status != MKV_STATUS_OK || item->offset >= result->length) {
        return 0;
    }
    const uint64_t behind = result->length - item->offset;
    return item->length == 0 ? behind : mkv_min_u64(item->length, behind);
}

static void check_pushes(const struct world *world, const struct world_request *request) {
    if (request->op != MKV_OP_GET || world->broken[request->connection.index]) {
        return;
    }
    for (uint32_t item = 0; item < request->result_count; item++) {
        assert_int_equal(request->pushed_bytes[item],
                         bytes_due(&request->items[item], &request->results[item]));
    }
}

static void take_answer(struct world *world, const struct mkv_effect *effect) {
    const struct mkv_answer_effect *answer = &effect->answer;
    struct world_request *request = request_of(world, answer->request_id, answer->connection);
    assert_int_equal(answer->op, request->op);
    request->answers++;
    request->status = answer->status;
    request->result_count = answer->result_count;
    assert_true(answer->result_count <= WORLD_ITEMS_MAX);
    memcpy(request->results, mkv_front_arena(world->front) + answer->results_offset,
           sizeof request->results[0] * answer->result_count);
    check_pushes(world, request);
    struct world_event *event = world_event_add(world, GATE_ANSWER);
    event->op = effect->op;
    event->transfer.connection = answer->connection;
}

static void take_ended(struct world *world, const struct mkv_request_summary *summary) {
    assert_true(summary->serial < world->request_count);
    struct world_request *request = &world->requests[summary->serial];
    assert_int_equal(request->ends, 0);
    request->ends++;
    request->summary = *summary;
    assert_int_equal(summary->request_id, summary->serial);
    assert_true(summary->ended_ns <= world->now_ns);
    assert_int_equal(summary->dropped, request->answers == 0);
    uint64_t sum_ns = 0;
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        sum_ns += summary->stage_ns[stage];
    }
    assert_int_equal(sum_ns, summary->ended_ns - summary->received_ns);
    assert_true(summary->key_bytes <= MKV_KEY_BYTES_MAX);
    memcpy(request->ended_key, mkv_front_arena(world->front) + summary->key_offset,
           summary->key_bytes);
    request->ended_key[summary->key_bytes] = 0;
}

static void take_effect(struct world *world, const struct mkv_effect *effect) {
    switch (effect->kind) {
    case MKV_EFFECT_PULL:
        take_transfer(world, effect, GATE_PULL);
        return;
    case MKV_EFFECT_PUSH:
        take_transfer(world, effect, GATE_PUSH);
        return;
    case MKV_EFFECT_ANSWER:
        take_answer(world, effect);
        return;
    case MKV_EFFECT_BREAK:
        /* It may have broken by itself, but the front breaks it once. */
        assert_false(world->break_seen[effect->transfer.connection.index]);
        world->break_seen[effect->transfer.connection.index] = true;
        world->broken[effect->transfer.connection.index] = true;
        world->breaks++;
        return;
    case MKV_EFFECT_REQUEST_ENDED:
        take_ended(world, &effect->summary);
        return;
    case MKV_EFFECT_MESSAGE:
        world_volume_take(world, &effect->message,
                          mkv_front_arena(world->front) + effect->message.data_offset);
        return;
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
    case MKV_EFFECT_FAIL_DRIVE:
    case MKV_EFFECT_EVENT:
        break;
    }
    fail_msg("an effect that no front has: %d", (int)effect->kind);
}

void world_step(struct world *world, const struct mkv_input *input) {
    struct mkv_input timed = *input;
    timed.now_ns = world->now_ns;
    timed.wall_ms = WORLD_WALL_S * 1000 + 500 + world->wall_later_ms;
    assert_int_equal(mkv_front_step(world->front, &timed), MKV_OK);
    world->steps++;
    /* In odd portions, and all before the next step. */
    struct mkv_effect effects[7];
    uint32_t count;
    while ((count = mkv_front_effects(world->front, effects, 7)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            take_effect(world, &effects[index]);
        }
    }
}

void world_tick(struct world *world) {
    const struct mkv_input input = {.kind = MKV_INPUT_TICK};
    world_step(world, &input);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void deliver_message(struct world *world, struct world_event *event) {
    struct mkv_input input = {.kind = MKV_INPUT_MESSAGE};
    if (event->gate == GATE_READ_DONE || event->gate == GATE_PUT_DONE) {
        event->message.drive_ns = world->drive_ns;
        event->message.flush_ns = event->gate == GATE_PUT_DONE ? world->flush_ns : 0;
    }
    input.data = world_volume_answer(world, event);
    input.message = event->message;
    input.data_bytes = event->message.data_bytes;
    world_step(world, &input);
}

static void pulled(struct world *world, const struct mkv_transfer_effect *transfer) {
    const struct world_request *request = &world->requests[transfer->request_id];
    const struct world_item *item = &request->items[transfer->item];
    assert_true(transfer->offset + transfer->bytes <= item->length);
    fill(world_slab(world, transfer->slab), item->seed, transfer->offset, transfer->bytes);
}

/* A client takes the bytes of an item in order, from the offset on that it asked for. */
static void pushed(struct world *world, const struct mkv_transfer_effect *transfer) {
    struct world_request *request = &world->requests[transfer->request_id];
    const uint32_t item = transfer->item;
    if (request->received[item] == NULL) {
        request->received_next[item] = request->items[item].offset;
        request->received[item] = malloc(transfer->length);
        assert_non_null(request->received[item]);
    }
    assert_int_equal(transfer->offset, request->received_next[item]);
    assert_true(transfer->offset + transfer->bytes <= transfer->length);
    memcpy(request->received[item] + request->received_bytes[item],
           world_slab(world, transfer->slab) + transfer->slab_offset, transfer->bytes);
    request->received_next[item] += transfer->bytes;
    request->received_bytes[item] += transfer->bytes;
}

static void deliver_transfer(struct world *world, const struct world_event *event, bool is_ok) {
    const struct mkv_transfer_effect *transfer = &event->transfer;
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    uint64_t sums[MKV_CHUNKS_MAX];
    input.fabric.op = event->op;
    input.fabric.transfer = is_ok ? MKV_TRANSFER_OK : MKV_TRANSFER_FAILED;
    if (event->gate == GATE_ANSWER) {
        input.fabric.event = MKV_FABRIC_ANSWER_DONE;
    } else {
        const bool is_pull = event->gate == GATE_PULL;
        world_slab_unuse(world, transfer->slab, transfer->slab_offset, transfer->bytes, is_pull);
        input.fabric.event = is_pull ? MKV_FABRIC_PULL_DONE : MKV_FABRIC_PUSH_DONE;
        if (is_ok && is_pull) {
            pulled(world, transfer);
            mkv_chunk_sums(world_slab(world, transfer->slab), transfer->bytes, sums);
            input.fabric.sums = sums;
            input.fabric.sum_count = mkv_chunk_count(transfer->bytes);
        } else if (is_ok) {
            pushed(world, transfer);
        }
    }
    world_step(world, &input);
}

static bool failure_is_due(struct world_failure *failure) {
    if (failure->count == 0) {
        return false;
    }
    if (failure->after > 0) {
        failure->after--;
        return false;
    }
    failure->count--;
    return true;
}

static void event_deliver(struct world *world, uint32_t position) {
    struct world_event event = world->events[position];
    world->event_count--;
    memmove(&world->events[position], &world->events[position + 1],
            sizeof event * (world->event_count - position));
    world->seen[event.gate]++;
    world->delivered++;
    struct world_failure *failure = &world->failures[event.gate];
    const bool fails = failure_is_due(failure);
    if (!event.is_message) {
        deliver_transfer(world, &event, !fails && !world->broken[event.transfer.connection.index]);
        return;
    }
    if (fails) {
        event.message.status = failure->status;
        event.message.miss = failure->miss;
    }
    deliver_message(world, &event);
}

void world_close_connection(struct world *world, uint32_t connection) {
    world->broken[connection] = true;
    for (uint32_t position = 0; position < world->event_count;) {
        const struct world_event *event = &world->events[position];
        if (!event->is_message && event->transfer.connection.index == connection) {
            event_deliver(world, position);
            position = 0; /* what came of it may stand anywhere */
        } else {
            position++;
        }
    }
    for (uint32_t id = 1; id < world->request_count; id++) {
        struct world_request *request = &world->requests[id];
        if (request->connection.index == connection && request->answers == 0) {
            request->dropped = true;
        }
    }
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = MKV_FABRIC_CONNECTION_CLOSED;
    input.fabric.connection = (struct mkv_connection_id){
        .index = connection,
        .generation = world->generation[connection],
    };
    world->generation[connection]++;
    world->broken[connection] = false;
    world->break_seen[connection] = false;
    world_step(world, &input);
}

/* What goes to a client completes in the order in which it was handed out. */
static bool event_is_first(const struct world *world, uint32_t position) {
    const struct world_event *event = &world->events[position];
    if (event->gate != GATE_PUSH && event->gate != GATE_ANSWER) {
        return true;
    }
    for (uint32_t earlier = 0; earlier < position; earlier++) {
        const struct world_event *other = &world->events[earlier];
        if ((other->gate == GATE_PUSH || other->gate == GATE_ANSWER) &&
            other->transfer.connection.index == event->transfer.connection.index) {
            return false;
        }
    }
    return true;
}

/* The position of the next event to be delivered, or MKV_NONE_U32. */
static uint32_t event_next(struct world *world) {
    uint32_t open[WORLD_EVENTS_MAX];
    uint32_t count = 0;
    for (uint32_t position = 0; position < world->event_count; position++) {
        if (!world->held[world->events[position].gate] && event_is_first(world, position)) {
            open[count++] = position;
        }
    }
    if (count == 0) {
        return MKV_NONE_U32;
    }
    if (world->random == 0) {
        return open[0];
    }
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return open[world->random % count];
}

void world_run(struct world *world) {
    const uint64_t steps_max = world->steps + 100000;
    for (;;) {
        assert_true(world->steps < steps_max);
        if (world->close_at > 0 && world->delivered >= world->close_at) {
            world->close_at = 0;
            world_close_connection(world, 0);
        }
        for (uint32_t connection = 0; connection < WORLD_CONNECTIONS; connection++) {
            if (world->broken[connection]) {
                world_close_connection(world, connection);
            }
        }
        if (mkv_front_has_work(world->front)) {
            world_tick(world);
            continue;
        }
        const uint32_t next = event_next(world);
        if (next == MKV_NONE_U32) {
            return;
        }
        event_deliver(world, next);
    }
}

void world_wait(struct world *world, uint64_t ns) {
    world->now_ns += ns;
    world_tick(world);
    world_run(world);
}

void world_hold(struct world *world, enum gate gate) {
    world->held[gate] = true;
}

void world_let_one(struct world *world, enum gate gate) {
    uint32_t position = 0;
    while (world->events[position].gate != gate) {
        position++;
        assert_true(position < world->event_count);
    }
    event_deliver(world, position);
    world_run(world);
}

void world_release(struct world *world, enum gate gate) {
    world->held[gate] = false;
    world_run(world);
}

void world_fail(struct world *world, enum gate gate, uint32_t after, uint32_t count,
                enum mkv_status status, enum mkv_miss miss) {
    world->failures[gate] =
        (struct world_failure){.after = after, .count = count, .status = status, .miss = miss};
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct mkv_root value_root(const struct world *world, const struct world_item *item) {
    struct mkv_root root = {{0}};
    if (item->length > world->config.block_bytes_max || item->seed == 0 ||
        (item->flags & MKV_PUT_ROOT_LATER) != 0) {
        return root;
    }
    uint8_t *value = malloc(item->length + 1);
    assert_non_null(value);
    uint64_t sums[MKV_CHUNKS_MAX];
    fill(value, item->seed, 0, item->length);
    mkv_chunk_sums(value, (uint32_t)item->length, sums);
    root = mkv_root_of_sums((uint32_t)item->length, sums);
    free(value);
    return root;
}

uint32_t world_request_add(struct world *world, enum mkv_op op) {
    const uint32_t id = world->request_count++;
    assert_true(id < WORLD_REQUESTS_MAX);
    world->requests[id] = (struct world_request){.sent = true, .op = op};
    return id;
}

uint32_t world_send(struct world *world, uint32_t connection, enum mkv_op op,
                    const struct world_item *items, uint32_t item_count) {
    const uint32_t id = world_request_add(world, op);
    struct world_request *request = &world->requests[id];
    request->item_count = item_count;
    request->connection = (struct mkv_connection_id){.index = connection,
                                                     .generation = world->generation[connection]};
    assert_true(item_count <= WORLD_ITEMS_MAX);
    struct mkv_request_item sent[WORLD_ITEMS_MAX] = {0};
    uint8_t keys[WORLD_ITEMS_MAX * MKV_KEY_BYTES_MAX];
    uint32_t key_bytes = 0;
    for (uint32_t index = 0; index < item_count; index++) {
        const struct world_item *item = &items[index];
        request->items[index] = *item;
        sent[index].key_offset = key_bytes;
        sent[index].key_bytes = (uint32_t)strlen(item->key);
        sent[index].flags = item->flags;
        sent[index].length = item->length;
        sent[index].offset = item->offset;
        sent[index].expire_s = item->expire_s;
        sent[index].lease_ms = item->lease_ms;
        sent[index].session = item->session;
        sent[index].tier_hint = item->tier_hint;
        sent[index].action = item->action;
        sent[index].reason = item->reason;
        sent[index].reservation = item->reservation;
        if (op == MKV_OP_PUT || op == MKV_OP_ALLOCATE) {
            sent[index].root = value_root(world, item);
        }
        memcpy(keys + key_bytes, item->key, sent[index].key_bytes);
        key_bytes += sent[index].key_bytes;
    }
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST};
    input.data = keys;
    input.data_bytes = key_bytes;
    input.request.connection = request->connection;
    input.request.request_id = id;
    input.request.op = op;
    input.request.deadline_ns = world->now_ns + world->deadline_after_ns;
    input.request.item_count = item_count;
    input.request.items = sent;
    input.request.serial = id;
    input.request.route = world->route;
    input.request.part = world->part;
    input.request.received_ns = world->now_ns - WORLD_PARSE_NS;
    input.request.trace = (struct mkv_trace_context){.trace_id = {(uint8_t)id}};
    world_step(world, &input);
    return id;
}

static uint32_t send_one(struct world *world, enum mkv_op op, struct world_item item) {
    return world_send(world, 0, op, &item, 1);
}

uint32_t world_put(struct world *world, const char *key, uint64_t seed, uint64_t length) {
    return send_one(world, MKV_OP_PUT,
                    (struct world_item){.key = key, .seed = seed, .length = length});
}

uint32_t world_replace(struct world *world, const char *key, uint64_t seed, uint64_t length) {
    return send_one(
        world, MKV_OP_PUT,
        (struct world_item){.key = key, .seed = seed, .length = length, .flags = MKV_PUT_REPLACE});
}

uint32_t world_get(struct world *world, const char *key, uint64_t offset, uint64_t length) {
    return send_one(world, MKV_OP_GET,
                    (struct world_item){.key = key, .offset = offset, .length = length});
}

uint32_t world_exists(struct world *world, const char *key) {
    return send_one(world, MKV_OP_EXISTS, (struct world_item){.key = key});
}

uint32_t world_delete(struct world *world, const char *key) {
    return send_one(world, MKV_OP_DELETE, (struct world_item){.key = key});
}

uint32_t world_allocate(struct world *world, const char *key, uint64_t seed, uint64_t length) {
    return send_one(world, MKV_OP_ALLOCATE,
                    (struct world_item){.key = key, .seed = seed, .length = length});
}

uint32_t world_commit(struct world *world, uint32_t allocate, uint64_t seed, uint64_t length) {
    return send_one(world, MKV_OP_COMMIT,
                    (struct world_item){.key = "",
                                        .seed = seed,
                                        .length = length,
                                        .reservation = world_result(world, allocate)->reservation});
}

const struct mkv_item_result *world_result(struct world *world, uint32_t id) {
    const struct world_request *request = &world->requests[id];
    assert_int_equal(request->answers, 1);
    assert_int_equal(request->status, MKV_STATUS_OK);
    assert_int_equal(request->result_count, 1);
    return &request->results[0];
}

void world_expect(struct world *world, uint32_t id, enum mkv_status status) {
    assert_int_equal(world_result(world, id)->status, status);
}

void world_expect_value(struct world *world, uint32_t id, uint64_t seed, uint64_t length) {
    const struct world_request *request = &world->requests[id];
    const struct mkv_item_result *result = world_result(world, id);
    assert_int_equal(result->status, MKV_STATUS_OK);
    assert_int_equal(result->length, length);
    const uint64_t offset = request->items[0].offset;
    const uint64_t bytes = bytes_due(&request->items[0], result);
    assert_int_equal(request->received_bytes[0], bytes);
    uint8_t *expected = malloc(bytes + 1);
    assert_non_null(expected);
    fill(expected, seed, offset, bytes);
    if (bytes > 0) {
        assert_memory_equal(request->received[0], expected, bytes);
    }
    free(expected);
}

void world_store(struct world *world, const char *key, uint64_t seed, uint64_t length) {
    const uint32_t put = world_put(world, key, seed, length);
    world_run(world);
    world_expect(world, put, MKV_STATUS_OK);
}

void world_expect_get(struct world *world, const char *key, uint64_t seed, uint64_t length) {
    const uint32_t get = world_get(world, key, 0, 0);
    world_run(world);
    world_expect_value(world, get, seed, length);
}

void world_expect_miss(struct world *world, const char *key) {
    const uint32_t get = world_get(world, key, 0, 0);
    world_run(world);
    world_expect(world, get, MKV_STATUS_NOT_FOUND);
}

struct mkv_front_stats world_stats(struct world *world) {
    struct mkv_front_stats stats;
    mkv_front_stats(world->front, &stats);
    return stats;
}
