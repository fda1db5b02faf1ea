/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated fabric: transfers that complete after drawn delays, in order where the client would
 * see the order, and connections that close under them.
 */
#include <string.h>

#include "core/hash.h"
#include "sim/failure.h"
#include "sim/front_world.h"

#define PULL_NS_MAX 20000u
#define PUSH_NS_MAX 10000u
#define CLOSE_NS_MAX 20000u
#define SCRIBBLE 0xdb

static struct mkv_random *fabric_random(struct front_world *world) {
    return mkv_lives_random(&world->lives, MKV_CONCERN_FABRIC);
}

void mkv_sim_fabric_reset(struct front_world *world) {
    world->transfer_count = 0;
    for (uint32_t index = 0; index < MKV_CONNECTIONS_MAX; index++) {
        struct connection *connection = &world->connections[index];
        connection->state = CONNECTION_OPEN;
        connection->generation++;
        connection->ordered_ns = 0;
    }
}

/* ---- the memory of a transfer ---------------------------------------------------------------- */

static uint8_t *transfer_memory(const struct front_world *world, const struct transfer *transfer,
                                size_t *bytes) {
    if (transfer->kind == MKV_EFFECT_ANSWER) {
        *bytes = transfer->answer.result_count * sizeof(struct mkv_item_result);
        uint8_t *results = (uint8_t *)(uintptr_t)transfer->base;
        return results == NULL ? NULL : results + transfer->answer.results_offset;
    }
    const struct mkv_transfer_effect *effect = &transfer->effect;
    const size_t start = (size_t)effect->slab.index * MKV_SLAB_UNIT_STRIDE_BYTES + MKV_UNIT_BYTES +
                         effect->slab_offset;
    const size_t total = (size_t)world->slab_units * MKV_SLAB_UNIT_STRIDE_BYTES;
    MKV_ASSERT(start <= total);
    MKV_ASSERT(effect->bytes <= total - start);
    *bytes = effect->bytes;
    return world->slabs + start;
}

static const char *transfer_name(enum mkv_effect_kind kind) {
    return kind == MKV_EFFECT_PULL ? "pull" : kind == MKV_EFFECT_PUSH ? "push" : "answer";
}

/* The hash of what a transfer reads. Results have padding, so they are hashed field by field. */
static uint64_t transfer_hash(const struct front_world *world, const struct transfer *transfer) {
    size_t bytes = 0;
    const uint8_t *memory = transfer_memory(world, transfer, &bytes);
    if (transfer->kind == MKV_EFFECT_PUSH) {
        return mkv_hash_64(memory, bytes);
    }
    uint64_t hash = 0;
    const struct mkv_item_result *results = (const struct mkv_item_result *)(const void *)memory;
    for (uint32_t index = 0; index < transfer->answer.result_count; index++) {
        hash = mkv_random_mix(hash + (uint64_t)results[index].status);
        hash = mkv_random_mix(hash + (uint64_t)results[index].miss);
        hash = mkv_random_mix(hash + results[index].length);
        hash = mkv_random_mix(hash + results[index].leased + results[index].expiry_s);
        hash ^= mkv_hash_64(results[index].root.bytes, sizeof results[index].root.bytes);
    }
    return hash;
}

/* ---- taking effects -------------------------------------------------------------------------- */

static struct connection *connection_of(struct front_world *world, struct mkv_connection_id id) {
    MKV_ASSERT(id.index < MKV_CONNECTIONS_MAX);
    struct connection *connection = &world->connections[id.index];
    if (connection->generation != id.generation) {
        mkv_fail(MKV_ORACLE_ANSWERS, "the front names connection %u.%u, which has closed", id.index,
                 id.generation);
    }
    return connection;
}

void mkv_sim_fabric_close(struct front_world *world, uint32_t index) {
    struct connection *connection = &world->connections[index];
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    const uint64_t now_ns = world->lives.now_ns;
    connection->state = CONNECTION_CLOSING;
    for (uint32_t transfer = 0; transfer < world->transfer_count; transfer++) {
        struct transfer *state = &world->transfers[transfer];
        if (state->connection.index == index) {
            state->due_ns = now_ns + 1 + mkv_random_below(fabric_random(world), CLOSE_NS_MAX);
        }
    }
    connection->closed_due_ns = now_ns + 1 + mkv_random_below(fabric_random(world), CLOSE_NS_MAX);
    mkv_sim_client_gone(world, (struct mkv_connection_id){index, connection->generation});
}

static uint64_t due_of(struct front_world *world, const struct transfer *transfer) {
    struct connection *connection = &world->connections[transfer->connection.index];
    const bool pull = transfer->kind == MKV_EFFECT_PULL;
    const uint64_t due_ns =
        world->lives.now_ns + 1 +
        mkv_random_below(fabric_random(world), pull ? PULL_NS_MAX : PUSH_NS_MAX);
    if (pull || connection->state == CONNECTION_CLOSING) {
        return due_ns;
    }
    connection->ordered_ns = mkv_max_u64(connection->ordered_ns + 1, due_ns);
    return connection->ordered_ns;
}

void mkv_sim_fabric_take(struct front_world *world, const struct mkv_effect *effect,
                         const uint8_t *base) {
    if (effect->kind == MKV_EFFECT_BREAK) {
        (void)connection_of(world, effect->transfer.connection);
        mkv_sim_fabric_close(world, effect->transfer.connection.index);
        return;
    }
    MKV_ASSERT(world->transfer_count < MKV_TRANSFERS_MAX);
    mkv_sim_ends_took(world, effect);
    struct transfer *transfer = &world->transfers[world->transfer_count++];
    *transfer = (struct transfer){.kind = effect->kind, .op = effect->op, .base = base};
    if (effect->kind == MKV_EFFECT_ANSWER) {
        transfer->answer = effect->answer;
        transfer->connection = effect->answer.connection;
    } else {
        transfer->effect = effect->transfer;
        transfer->connection = effect->transfer.connection;
    }
    (void)connection_of(world, transfer->connection);
    transfer->due_ns = due_of(world, transfer);
    size_t bytes = 0;
    uint8_t *memory = transfer_memory(world, transfer, &bytes);
    const bool pull = effect->kind == MKV_EFFECT_PULL;
    mkv_guard_take(&world->lives.guard, memory, bytes, pull, transfer_name(effect->kind));
    if (pull) {
        memset(memory, SCRIBBLE, (size_t)mkv_min_u64(bytes, MKV_UNIT_BYTES));
    } else {
        transfer->hash = transfer_hash(world, transfer);
    }
}

/* ---- completing ------------------------------------------------------------------------------ */

static void deliver(struct front_world *world, const struct transfer *transfer,
                    struct mkv_input *input, uint64_t *sums) {
    size_t bytes = 0;
    uint8_t *memory = transfer_memory(world, transfer, &bytes);
    switch (transfer->kind) {
    case MKV_EFFECT_PULL:
        mkv_sim_client_pulled(world, &transfer->effect, memory);
        mkv_sim_ends_moved(world, &transfer->effect, true);
        mkv_chunk_sums(memory, (uint32_t)bytes, sums);
        input->fabric.sums = sums;
        input->fabric.sum_count = mkv_chunk_count((uint32_t)bytes);
        return;
    case MKV_EFFECT_PUSH:
        mkv_sim_client_pushed(world, &transfer->effect, memory);
        mkv_sim_ends_moved(world, &transfer->effect, false);
        return;
    case MKV_EFFECT_ANSWER:
        mkv_sim_client_answered(world, &transfer->answer,
                                (const struct mkv_item_result *)(const void *)memory);
        return;
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
    case MKV_EFFECT_FAIL_DRIVE:
    case MKV_EFFECT_BREAK:
    case MKV_EFFECT_MESSAGE:
    case MKV_EFFECT_EVENT:
    case MKV_EFFECT_REQUEST_ENDED:
        break;
    }
    MKV_ASSERT(false);
}

static void complete(struct front_world *world, uint32_t index) {
    const struct transfer transfer = world->transfers[index];
    world->transfers[index] = world->transfers[--world->transfer_count];
    const bool failed = world->connections[transfer.connection.index].state == CONNECTION_CLOSING;
    struct mkv_input input = {
        .kind = MKV_INPUT_FABRIC_DONE,
        .fabric = {.transfer = failed ? MKV_TRANSFER_FAILED : MKV_TRANSFER_OK, .op = transfer.op},
    };
    input.fabric.event = transfer.kind == MKV_EFFECT_PULL   ? MKV_FABRIC_PULL_DONE
                         : transfer.kind == MKV_EFFECT_PUSH ? MKV_FABRIC_PUSH_DONE
                                                            : MKV_FABRIC_ANSWER_DONE;
    uint64_t sums[MKV_CHUNKS_MAX];
    size_t bytes = 0;
    const uint8_t *memory = transfer_memory(world, &transfer, &bytes);
    if (transfer.kind != MKV_EFFECT_PULL && transfer_hash(world, &transfer) != transfer.hash) {
        mkv_fail(MKV_ORACLE_BUFFERS, "the memory of a %s changed under it",
                 transfer_name(transfer.kind));
    }
    if (!failed) {
        deliver(world, &transfer, &input, sums);
    }
    mkv_guard_release(&world->lives.guard, memory, bytes, transfer.kind == MKV_EFFECT_PULL);
    mkv_sim_shards_input(world, transfer.connection, &input);
}

static bool has_transfers(const struct front_world *world, uint32_t connection) {
    for (uint32_t index = 0; index < world->transfer_count; index++) {
        if (world->transfers[index].connection.index == connection) {
            return true;
        }
    }
    return false;
}

static void closed(struct front_world *world, uint32_t index) {
    struct connection *connection = &world->connections[index];
    struct mkv_input input = {
        .kind = MKV_INPUT_FABRIC_DONE,
        .fabric = {.event = MKV_FABRIC_CONNECTION_CLOSED,
                   .connection = {index, connection->generation}},
    };
    connection->generation++;
    connection->state = CONNECTION_OPEN;
    connection->ordered_ns = world->lives.now_ns;
    mkv_sim_shards_input(world, input.fabric.connection, &input);
}

/* The transfer, or the closing connection behind them, that is due first. */
static uint64_t first_due(const struct front_world *world, uint32_t *transfer,
                          uint32_t *connection) {
    uint64_t due_ns = UINT64_MAX;
    *transfer = MKV_NONE_U32;
    *connection = MKV_NONE_U32;
    for (uint32_t index = 0; index < world->transfer_count; index++) {
        if (world->transfers[index].due_ns < due_ns) {
            due_ns = world->transfers[index].due_ns;
            *transfer = index;
        }
    }
    for (uint32_t index = 0; index < MKV_CONNECTIONS_MAX; index++) {
        const struct connection *state = &world->connections[index];
        if (state->state == CONNECTION_CLOSING && state->closed_due_ns < due_ns &&
            !has_transfers(world, index)) {
            due_ns = state->closed_due_ns;
            *transfer = MKV_NONE_U32;
            *connection = index;
        }
    }
    return due_ns;
}

uint64_t mkv_sim_fabric_due_ns(const struct front_world *world) {
    uint32_t transfer = 0;
    uint32_t connection = 0;
    return first_due(world, &transfer, &connection);
}

void mkv_sim_fabric_act(struct front_world *world) {
    uint32_t transfer = 0;
    uint32_t connection = 0;
    (void)first_due(world, &transfer, &connection);
    if (transfer != MKV_NONE_U32) {
        complete(world, transfer);
    } else {
        MKV_ASSERT(connection != MKV_NONE_U32);
        closed(world, connection);
    }
}

bool mkv_sim_fabric_is_idle(const struct front_world *world) {
    for (uint32_t index = 0; index < MKV_CONNECTIONS_MAX; index++) {
        if (world->connections[index].state == CONNECTION_CLOSING) {
            return false;
        }
    }
    return world->transfer_count == 0;
}
