/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shards of the front world: steps of their fronts, and what their routers pass on. With one
 * shard its router lets everything through.
 */
#include <string.h>

#include "sim/failure.h"
#include "sim/front_world.h"

#define EFFECTS_AT_ONCE 16u

/* What stands before a record in its ring. */
struct record_head {
    uint64_t due_ns;
    uint32_t bytes;
    uint32_t zero;
};

/* ---- rings ----------------------------------------------------------------------------------- */

static void ring_put(struct front_world *world, struct record_ring *ring,
                     const struct mkv_router_output *output) {
    const uint32_t bytes =
        (uint32_t)mkv_round_up_u64((uint64_t)output->head_bytes + output->tail_bytes, 8);
    ring->used += bytes;
    if (ring->used > ring->used_max) {
        mkv_fail(MKV_ORACLE_BOUNDS, "%llu bytes of records are in a ring for %llu",
                 (unsigned long long)ring->used, (unsigned long long)ring->used_max);
    }
    const uint32_t needed = (uint32_t)sizeof(struct record_head) + bytes;
    if (ring->tail + needed > ring->room) {
        memmove(ring->bytes, ring->bytes + ring->head, ring->tail - ring->head);
        ring->tail -= ring->head;
        ring->head = 0;
    }
    MKV_ASSERT(ring->tail + needed <= ring->room);
    struct mkv_random *random = mkv_lives_random(&world->lives, MKV_CONCERN_SCHEDULE);
    const uint64_t due_ns = world->lives.now_ns + mkv_random_below(random, MKV_RECORD_NS_MAX);
    ring->due_last_ns = mkv_max_u64(ring->due_last_ns, due_ns);
    const struct record_head head = {.due_ns = ring->due_last_ns, .bytes = bytes};
    uint8_t *place = ring->bytes + ring->tail;
    memcpy(place, &head, sizeof head);
    memcpy(place + sizeof head, output->head, output->head_bytes);
    if (output->tail_bytes > 0) {
        memcpy(place + sizeof head + output->head_bytes, output->tail, output->tail_bytes);
    }
    ring->tail += needed;
}

static uint64_t ring_due_ns(const struct record_ring *ring) {
    if (ring->head == ring->tail) {
        return UINT64_MAX;
    }
    struct record_head head;
    memcpy(&head, ring->bytes + ring->head, sizeof head);
    return head.due_ns;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void carry_out(struct front_world *world, uint32_t index,
                      const struct mkv_router_output *output) {
    struct front_shard *shard = &world->shards[index];
    struct mkv_input input;
    switch (output->kind) {
    case MKV_ROUTER_FRONT:
        input = output->input;
        mkv_sim_front_step(world, index, &input);
        return;
    case MKV_ROUTER_FABRIC:
        mkv_sim_fabric_take(world, &output->effect, output->base);
        return;
    case MKV_ROUTER_SEND:
        MKV_ASSERT(output->shard != index);
        MKV_ASSERT(output->shard < world->shard_count);
        ring_put(world, &shard->rings[output->shard], output);
        return;
    case MKV_ROUTER_VOLUME:
        mkv_sim_volume_send(world, (output->message.front_op.index >> MKV_ROUTER_OP_SHIFT) - 1,
                            &output->message, output->tail);
        return;
    case MKV_ROUTER_ENDED:
        mkv_sim_ends_ended(world, &output->summary);
        return;
    }
    MKV_ASSERT(false);
}

/* What comes of a call of the router, one by one; a crash may come before any. */
static void drain(struct front_world *world, uint32_t index) {
    struct mkv_router_output output;
    while (!world->lives.fuse.blown && mkv_router_next(world->shards[index].router, &output)) {
        carry_out(world, index, &output);
    }
}

static void effect_as_is(struct front_world *world, uint32_t index,
                         const struct mkv_effect *effect) {
    const uint8_t *base = mkv_front_arena(world->shards[index].front);
    switch (effect->kind) {
    case MKV_EFFECT_MESSAGE:
        mkv_sim_volume_send(world, index, &effect->message, base + effect->message.data_offset);
        return;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
    case MKV_EFFECT_ANSWER:
    case MKV_EFFECT_BREAK:
        mkv_sim_fabric_take(world, effect, base);
        return;
    case MKV_EFFECT_REQUEST_ENDED:
        mkv_sim_ends_ended(world, &effect->summary);
        return;
    case MKV_EFFECT_EVENT:
        return;
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
    case MKV_EFFECT_FAIL_DRIVE:
        break;
    }
    mkv_fail(MKV_ORACLE_ANSWERS, "the front hands out an effect of kind %u, which is a volume's",
             (unsigned)effect->kind);
}

static void effect_out(struct front_world *world, uint32_t index, const struct mkv_effect *effect) {
    struct front_shard *shard = &world->shards[index];
    const uint8_t *base = mkv_front_arena(shard->front);
    mkv_trace_effect(&world->lives.trace, MKV_TRACE_FRONT, effect, base);
    if (effect->kind == MKV_EFFECT_MESSAGE && effect->message.volume >= world->lives.node_count) {
        mkv_fail(MKV_ORACLE_ANSWERS, "the front sends a message to volume %u of %u",
                 effect->message.volume, world->lives.node_count);
    }
    struct mkv_router_output output;
    switch (mkv_router_effect(shard->router, effect, base, &output)) {
    case MKV_ROUTER_AS_IS:
        effect_as_is(world, index, effect);
        return;
    case MKV_ROUTER_OUTPUT:
        carry_out(world, index, &output);
        return;
    case MKV_ROUTER_TAKEN:
        return;
    }
}

void mkv_sim_front_step(struct front_world *world, uint32_t index, struct mkv_input *input) {
    struct mkv_front *front = world->shards[index].front;
    if (mkv_fuse_burn(&world->lives.fuse)) {
        return;
    }
    input->now_ns = world->lives.now_ns;
    if (input->wall_ms == 0) { /* else it is of when the request came */
        input->wall_ms = mkv_wall_ms(input->now_ns);
    }
    mkv_trace_input(&world->lives.trace, MKV_TRACE_FRONT, input);
    (void)mkv_front_step(front, input);
    struct mkv_effect effects[EFFECTS_AT_ONCE];
    uint32_t count = 0;
    while ((count = mkv_front_effects(front, effects, EFFECTS_AT_ONCE)) > 0) {
        for (uint32_t effect = 0; effect < count; effect++) {
            if (mkv_fuse_burn(&world->lives.fuse)) {
                return;
            }
            effect_out(world, index, &effects[effect]);
        }
    }
}

void mkv_sim_shards_input(struct front_world *world, struct mkv_connection_id connection,
                          struct mkv_input *input) {
    const uint32_t index = mkv_sim_shard_of(world, connection.index);
    struct mkv_router *router = world->shards[index].router;
    if (world->lives.fuse.blown) {
        return;
    }
    input->now_ns = world->lives.now_ns;
    input->wall_ms = mkv_wall_ms(input->now_ns);
    const enum mkv_router_verdict verdict = input->kind == MKV_INPUT_REQUEST
                                                ? mkv_router_request(router, input)
                                                : mkv_router_done(router, input);
    if (verdict == MKV_ROUTER_AS_IS) {
        mkv_sim_front_step(world, index, input);
    } else {
        drain(world, index);
    }
}

void mkv_sim_shards_message(struct front_world *world, const struct mkv_message *message,
                            const uint8_t *data) {
    const uint32_t index = world->volume_shards[message->volume];
    struct mkv_router_output output;
    if (mkv_router_message(world->shards[index].router, message, data, &output) ==
        MKV_ROUTER_AS_IS) {
        mkv_sim_front_send(world, message, data);
    } else {
        carry_out(world, index, &output);
    }
}

/* The pair whose record is due first. */
static uint64_t first_due(const struct front_world *world, uint32_t *from, uint32_t *to) {
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t pair = 0; pair < world->shard_count * world->shard_count; pair++) {
        const uint32_t sender = pair / world->shard_count;
        const uint32_t receiver = pair % world->shard_count;
        const uint64_t own_ns = ring_due_ns(&world->shards[sender].rings[receiver]);
        if (own_ns < due_ns) {
            due_ns = own_ns;
            *from = sender;
            *to = receiver;
        }
    }
    return due_ns;
}

uint64_t mkv_sim_shards_due_ns(const struct front_world *world) {
    uint32_t from = 0;
    uint32_t to = 0;
    return first_due(world, &from, &to);
}

void mkv_sim_shards_act(struct front_world *world) {
    uint32_t from = 0;
    uint32_t to = 0;
    if (mkv_fuse_burn(&world->lives.fuse)) {
        return;
    }
    (void)first_due(world, &from, &to);
    struct record_ring *ring = &world->shards[from].rings[to];
    struct record_head head;
    memcpy(&head, ring->bytes + ring->head, sizeof head);
    mkv_router_take(world->shards[to].router, from, ring->bytes + ring->head + sizeof head,
                    head.bytes);
    drain(world, to);
    ring->head += (uint32_t)sizeof head + head.bytes;
    ring->used -= head.bytes;
}

bool mkv_sim_shards_are_idle(const struct front_world *world) {
    if (mkv_sim_shards_due_ns(world) != UINT64_MAX) {
        return false;
    }
    for (uint32_t index = 0; index < world->shard_count; index++) {
        struct mkv_router_stats router;
        struct mkv_front_stats stats;
        mkv_router_stats(world->shards[index].router, &router);
        mkv_front_stats(world->shards[index].front, &stats);
        if (router.requests_in_flight > 0 || stats.requests_in_flight > 0 ||
            stats.items_in_flight > 0) {
            return false;
        }
    }
    return true;
}

struct asked *mkv_sim_asked(struct front_world *world, uint32_t volume,
                            const struct mkv_op_id *front_op) {
    const uint32_t tag = front_op->index >> MKV_ROUTER_OP_SHIFT;
    const uint32_t op = front_op->index & MKV_ROUTER_OP_MASK;
    const uint32_t index = tag == 0 ? world->volume_shards[volume] : tag - 1;
    MKV_ASSERT(op < MKV_FRONT_OPS_MAX);
    return &world->shards[index].asked[volume][op];
}

/* ---- making them ----------------------------------------------------------------------------- */

void mkv_sim_shards_volume_state(struct front_world *world, uint32_t volume,
                                 enum mkv_front_volume_state state) {
    for (uint32_t index = 0; index < world->shard_count; index++) {
        mkv_front_volume_set_state(world->shards[index].front, volume, state);
        mkv_router_volume_set_state(world->shards[index].router, volume, state);
    }
}

void mkv_sim_shards_reset(struct front_world *world, int pattern) {
    for (uint32_t index = 0; index < world->shard_count; index++) {
        struct front_shard *shard = &world->shards[index];
        if (pattern >= 0) {
            memset(shard->arena, pattern, shard->arena_bytes);
            memset(shard->router_arena, pattern, shard->router_arena_bytes);
        }
        struct mkv_front_config *config = &shard->config.front;
        /* Drawn anew for each start, as the daemon does. */
        config->segment_id_seed = mkv_random_mix(config->segment_id_seed + 1);
        shard->front = mkv_front_init(shard->arena, shard->arena_bytes, config);
        shard->router =
            mkv_router_init(shard->router_arena, shard->router_arena_bytes, &shard->config);
        for (uint32_t other = 0; other < world->shard_count; other++) {
            struct record_ring *ring = &shard->rings[other];
            ring->head = 0;
            ring->tail = 0;
            ring->used = 0;
        }
    }
}

static void make_rings(struct front_world *world, uint32_t index, struct mkv_memory *memory) {
    struct front_shard *shard = &world->shards[index];
    for (uint32_t other = 0; other < world->shard_count; other++) {
        struct record_ring *ring = &shard->rings[other];
        if (other == index) {
            continue;
        }
        ring->used_max = mkv_router_ring_bytes(&shard->config, &world->shards[other].config);
        ring->room = 2 * (uint32_t)ring->used_max;
        ring->bytes = mkv_memory_take(memory, ring->room, 64);
    }
}

void mkv_sim_shards_make(struct front_world *world, struct mkv_memory *memory) {
    for (uint32_t index = 0; index < world->shard_count; index++) {
        struct front_shard *shard = &world->shards[index];
        struct mkv_router_config *config = &shard->config;
        config->shard = index;
        config->shard_count = world->shard_count;
        config->front = world->config;
        config->front.slab_unit_first = world->slab_units;
        config->front.segment_id_seed = mkv_random_mix(config->front.segment_id_seed + index);
        world->slab_units += config->front.slab_unit_count;
        for (uint32_t volume = 0; volume < config->front.volume_count; volume++) {
            config->volume_shards[volume] = world->volume_shards[volume];
            config->front.foreign[volume] = world->volume_shards[volume] != index;
        }
        MKV_ASSERT(mkv_router_config_fault(config) == NULL);
        shard->arena_bytes = mkv_front_memory_required(&config->front);
        shard->arena = mkv_memory_take(memory, shard->arena_bytes, 64);
        shard->router_arena_bytes = mkv_router_memory_required(config);
        shard->router_arena = mkv_memory_take(memory, shard->router_arena_bytes, 64);
    }
    for (uint32_t index = 0; index < world->shard_count; index++) {
        make_rings(world, index, memory);
    }
}
