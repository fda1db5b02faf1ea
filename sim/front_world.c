/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/front_world.h"

#include <string.h>

#include "core/hash.h"
#include "sim/failure.h"

#define RING_NS_MAX 2000u
#define SEGMENTED_MAX 4u
#define ITEMS_MAX 96u
/* Of several fronts in one of so many seeds: one may have no room for a part that comes over the
 * router of another, which had room for the whole. */
#define ITEMS_FEW MKV_REQUEST_ITEMS_MAX
#define ITEMS_FEW_ONE_IN 3u
#define REQUESTS_PER_CONNECTION_MAX 12u
#define VOLUME_OPS_MAX 24u
#define VOLUME_SALT 0x701e3ull
#define VOLUMES_ANYWHERE_ONE_IN 4u

/* ---- rings ----------------------------------------------------------------------------------- */

static void ring_push(struct front_world *world, struct message_ring *ring,
                      const struct mkv_message *message, const uint8_t *data) {
    MKV_ASSERT(ring->count < MKV_RING_MESSAGES);
    MKV_ASSERT(message->data_bytes <= MKV_RING_DATA_BYTES);
    struct ring_message *slot = &ring->messages[(ring->head + ring->count) % MKV_RING_MESSAGES];
    uint64_t due_ns =
        world->lives.now_ns +
        mkv_random_below(mkv_lives_random(&world->lives, MKV_CONCERN_FABRIC), RING_NS_MAX);
    if (ring->count > 0) {
        /* A ring keeps its order. */
        const struct ring_message *last =
            &ring->messages[(ring->head + ring->count - 1) % MKV_RING_MESSAGES];
        due_ns = mkv_max_u64(due_ns, last->due_ns);
    }
    slot->due_ns = due_ns;
    slot->message = *message;
    if (message->data_bytes > 0) {
        memcpy(slot->data, data, message->data_bytes);
    }
    ring->count++;
}

static uint64_t ring_due_ns(const struct message_ring *ring) {
    return ring->count > 0 ? ring->messages[ring->head].due_ns : UINT64_MAX;
}

static void ring_input(struct message_ring *ring, struct mkv_input *input) {
    const struct ring_message *first = &ring->messages[ring->head];
    *input = (struct mkv_input){
        .kind = MKV_INPUT_MESSAGE,
        .data = first->data,
        .data_bytes = first->message.data_bytes,
        .message = first->message,
    };
    ring->head = (ring->head + 1) % MKV_RING_MESSAGES;
    ring->count--;
}

/* Notes what a volume is asked for, to know later whose answer an answer is. */
static void note_asked(struct front_world *world, uint32_t shard, const struct mkv_message *message,
                       const uint8_t *data) {
    const struct mkv_op_id op = {message->front_op.index & MKV_ROUTER_OP_MASK,
                                 message->front_op.generation};
    MKV_ASSERT(op.index < MKV_FRONT_OPS_MAX);
    struct asked *asked = &world->shards[shard].asked[message->volume][op.index];
    if (message->kind == MKV_MESSAGE_PUT_WRITE) {
        asked->written = true;
        return;
    }
    if (message->kind != MKV_MESSAGE_PUT_BEGIN && message->kind != MKV_MESSAGE_DELETE) {
        return;
    }
    *asked = (struct asked){
        .generation = op.generation,
        .key = mkv_content_find(&world->lives.content, data, message->data_bytes),
        .manifest = (message->flags & MKV_BLOCK_MANIFEST) != 0,
        .root = message->root,
    };
}

/* ---- messages -------------------------------------------------------------------------------- */

void mkv_sim_volume_send(struct front_world *world, uint32_t shard,
                         const struct mkv_message *message, const uint8_t *data) {
    if (message->kind != MKV_MESSAGE_TOUCH) { /* that has no answer */
        note_asked(world, shard, message, data);
    }
    ring_push(world, &world->to_volume[message->volume], message, data);
}

void mkv_sim_front_send(struct front_world *world, const struct mkv_message *message,
                        const uint8_t *data) {
    ring_push(world, &world->to_front[message->volume], message, data);
}

static void tick(struct front_world *world, uint32_t shard) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    mkv_sim_front_step(world, shard, &input);
}

/* What a relaxed put brought is durable now, or never will be. */
static void learn_persisted(struct front_world *world, const struct asked *asked, bool durable) {
    struct mkv_model *model = &world->lives.model;
    if (!durable && asked->written && world->lives.shape->share_relaxed > 0) {
        mkv_model_persist_failed(model, asked->key);
    }
    uint32_t version = model->keys[asked->key].version_last;
    while (durable && version > 0 && mkv_model_unpersisted(model, asked->key)) {
        if (mkv_root_equal(mkv_sim_client_root(world, asked->key, version), asked->root)) {
            mkv_model_persisted(model, asked->key, version);
        }
        version--;
    }
}

/* What is leased or pinned is not evicted. The promises are kept by slot, so of one volume. */
static void learn_lease(struct front_world *world, const struct mkv_message *message) {
    struct mkv_evictions *evictions = &world->lives.evictions;
    const bool pin = message->kind == MKV_MESSAGE_PIN_DONE;
    if (world->lives.node_count > 1) {
        return;
    }
    if ((pin || message->kind == MKV_MESSAGE_EXISTS_DONE) && message->lease_ns > 0) {
        const struct mkv_evictions_lease lease = {message->volume_op.index,
                                                  message->volume_op.generation,
                                                  world->lives.now_ns + message->lease_ns, pin};
        mkv_evictions_leased(evictions, &lease);
    } else if (message->kind == MKV_MESSAGE_UNPIN_DONE && message->status == MKV_STATUS_OK) {
        mkv_evictions_unpinned(evictions, message->volume_op.index);
    }
}

/* A volume answers: O12 before anything else. */
static void on_message(void *context, uint32_t volume, const struct mkv_message *message,
                       const uint8_t *data) {
    struct front_world *world = context;
    const struct asked *asked = mkv_sim_asked(world, volume, &message->front_op);
    const bool asked_for =
        asked->generation == message->front_op.generation && asked->key != MKV_NONE_U32;
    const bool known = asked_for && message->status == MKV_STATUS_OK;
    if (asked_for && message->kind == MKV_MESSAGE_PUT_DONE) {
        const bool unwritten = (message->flags & MKV_PUT_UNWRITTEN) != 0;
        learn_persisted(world, asked, known && !unwritten);
        if (known && unwritten) {
            mkv_model_unwritten(&world->lives.model, asked->key);
        }
    }
    if (known && message->kind == MKV_MESSAGE_PUT_DONE &&
        (message->flags & MKV_PUT_UNWRITTEN) == 0) {
        struct mkv_watch *watch = &world->lives.nodes[volume].watch;
        if (asked->manifest && (message->flags & MKV_PUT_THERE) != 0) {
            mkv_watch_put_was_there(watch, asked->key);
        } else {
            mkv_watch_put_done(watch, asked->key, MKV_TENANT_DEFAULT, asked->root);
        }
    } else if (known && message->kind == MKV_MESSAGE_DELETE_DONE) {
        mkv_watch_delete_done(&world->lives.nodes[volume].watch, asked->key);
    }
    learn_lease(world, message);
    mkv_sim_shards_message(world, message, data);
}

/* ---- what lives.h wants ---------------------------------------------------------------------- */

/* Takes over what the front of this process did in memory. */
static void count_memory(struct front_world *world, const struct mkv_front *front) {
    struct mkv_world_memory *memory = &world->lives.report->memory;
    struct mkv_front_stats stats;
    mkv_front_stats(front, &stats);
    memory->hits += stats.memory_hits;
    memory->reads_shared += stats.reads_shared;
    memory->reads_not_kept += stats.reads_not_kept;
    memory->taken += stats.memory_taken;
    memory->puts_early += stats.puts_early;
    memory->puts_early_lost += stats.puts_early_lost;
}

static void count_routed(struct front_world *world, const struct mkv_router *router) {
    uint64_t *figures = world->lives.model.diversity.figures;
    struct mkv_router_stats stats;
    mkv_router_stats(router, &stats);
    figures[MKV_INPUTS_REQUESTS_DIRECT] += stats.requests_direct;
    figures[MKV_INPUTS_REQUESTS_WHOLE] += stats.requests_whole;
    figures[MKV_INPUTS_REQUESTS_SPLIT] += stats.requests_split;
    figures[MKV_INPUTS_PARTS_REFUSED] += stats.parts_refused;
    figures[MKV_INPUTS_EFFECTS_DROPPED] += stats.effects_dropped;
    figures[MKV_INPUTS_TRANSFERS_FAILED] += stats.transfers_failed;
    figures[MKV_INPUTS_SEGMENTS_ABROAD] += stats.messages_sent;
}

static void reset(void *context, int pattern) {
    struct front_world *world = context;
    for (uint32_t shard = 0; shard < world->shard_count; shard++) {
        if (world->shards[shard].front != NULL) {
            count_memory(world, world->shards[shard].front);
            count_routed(world, world->shards[shard].router);
        }
    }
    mkv_sim_shards_reset(world, pattern);
    for (uint32_t volume = 0; volume < MKV_LIVES_NODES_MAX; volume++) {
        world->to_volume[volume].count = 0;
        world->to_front[volume].count = 0;
    }
    for (uint32_t index = 0; index < MKV_REQUESTS_MAX; index++) {
        world->requests[index].used = false;
    }
    memset(world->reservations, 0, sizeof world->reservations);
    world->begun_count = 0;
    world->request_count = 0;
    world->abandoned = 0;
    mkv_sim_fabric_reset(world);
}

static void serving(void *context) {
    struct front_world *world = context;
    for (uint32_t volume = 0; volume < world->lives.node_count; volume++) {
        mkv_sim_shards_volume_state(world, volume, MKV_FRONT_VOLUME_ONLINE);
    }
}

static void failed(void *context, uint32_t volume) {
    struct front_world *world = context;
    world->failures++;
    mkv_sim_shards_volume_state(world, volume, MKV_FRONT_VOLUME_OFFLINE);
}

/* So that the drive is what is read: nothing is in flight, and what is in memory goes. */
static void forget_memory(struct front_world *world) {
    for (uint32_t volume = 0; volume < world->lives.node_count; volume++) {
        mkv_sim_shards_volume_state(world, volume, MKV_FRONT_VOLUME_OFFLINE);
        mkv_sim_shards_volume_state(world, volume, MKV_FRONT_VOLUME_ONLINE);
    }
}

static bool start_get(void *context, uint32_t key) {
    struct front_world *world = context;
    if (world->lives.phase == MKV_PHASE_DRAINING && key == 0) {
        forget_memory(world);
    }
    /* A share of what requests there may be, so that no read is refused as BUSY. */
    return world->request_count < REQUESTS_PER_CONNECTION_MAX &&
           world->request_count < world->config.items_max && mkv_sim_client_start_get(world, key);
}

static bool is_idle(const void *context) {
    const struct front_world *world = context;
    if (world->request_count > 0 || !mkv_sim_fabric_is_idle(world)) {
        return false;
    }
    for (uint32_t volume = 0; volume < world->lives.node_count; volume++) {
        struct mkv_volume_stats stats;
        mkv_volume_stats(world->lives.nodes[volume].volume, &stats);
        if (world->to_volume[volume].count > 0 || world->to_front[volume].count > 0 ||
            stats.ops_in_flight > 0) {
            return false;
        }
    }
    return mkv_sim_shards_are_idle(world);
}

/* With nothing in flight every slab is free or holds a block in memory (O9). */
static void check_slabs(const struct front_shard *shard) {
    const uint32_t unit_count = shard->config.front.slab_unit_count;
    struct mkv_front_stats stats;
    mkv_front_stats(shard->front, &stats);
    if (stats.slab_units_free + stats.memory_units != unit_count || stats.memory_units_used != 0 ||
        stats.memory_unpersisted != 0) {
        mkv_fail(MKV_ORACLE_BOUNDS,
                 "idle, %u slab units are free and %u hold blocks, %u of them in use, of %u; %u "
                 "blocks are not persisted",
                 stats.slab_units_free, stats.memory_units, stats.memory_units_used, unit_count,
                 stats.memory_unpersisted);
    }
}

static bool can_start(const void *context) {
    (void)context; /* it looks at more than that */
    return true;
}

static void work(void *context) {
    struct front_world *world = context;
    if (is_idle(world)) {
        for (uint32_t shard = 0; shard < world->shard_count; shard++) {
            check_slabs(&world->shards[shard]);
        }
        mkv_sim_ends_idle(world);
    }
    if (world->abandoned > 0 && is_idle(world)) {
        mkv_model_settle(&world->lives.model);
        world->abandoned = 0;
    }
    mkv_sim_client_start(world);
}

static uint64_t timer_due_ns(const struct front_world *world, uint32_t *first) {
    uint64_t due = UINT64_MAX;
    *first = 0;
    for (uint32_t shard = 0; shard < world->shard_count; shard++) {
        const uint64_t timer_ns = mkv_front_timer_ns(world->shards[shard].front);
        *first = timer_ns < due ? shard : *first;
        due = mkv_min_u64(due, timer_ns);
    }
    return due;
}

static uint64_t due_ns(void *context) {
    struct front_world *world = context;
    uint32_t shard = 0;
    uint64_t due = mkv_min_u64(mkv_sim_fabric_due_ns(world), timer_due_ns(world, &shard));
    due = mkv_min_u64(due, mkv_sim_shards_due_ns(world));
    for (uint32_t volume = 0; volume < world->lives.node_count; volume++) {
        due = mkv_min_u64(due, ring_due_ns(&world->to_volume[volume]));
        due = mkv_min_u64(due, ring_due_ns(&world->to_front[volume]));
    }
    return due;
}

static void act(void *context) {
    struct front_world *world = context;
    const uint64_t due = due_ns(world);
    for (uint32_t volume = 0; volume < world->lives.node_count; volume++) {
        struct mkv_input input;
        if (ring_due_ns(&world->to_volume[volume]) == due) {
            ring_input(&world->to_volume[volume], &input);
            (void)mkv_node_step(&world->lives.nodes[volume], &input, world->lives.now_ns);
            return;
        }
        if (ring_due_ns(&world->to_front[volume]) == due) {
            ring_input(&world->to_front[volume], &input);
            mkv_sim_front_step(world, world->volume_shards[volume], &input);
            return;
        }
    }
    uint32_t shard = 0;
    if (mkv_sim_fabric_due_ns(world) == due) {
        mkv_sim_fabric_act(world);
    } else if (mkv_sim_shards_due_ns(world) == due) {
        mkv_sim_shards_act(world);
    } else {
        (void)timer_due_ns(world, &shard);
        tick(world, shard);
    }
}

static void settle(void *context) {
    struct front_world *world = context;
    for (uint32_t shard = 0; shard < world->shard_count; shard++) {
        while (!world->lives.fuse.blown && mkv_front_has_work(world->shards[shard].front)) {
            tick(world, shard);
        }
    }
}

static uint32_t unanswered(const void *context) {
    const struct front_world *world = context;
    return world->request_count;
}

/* ---- making one ------------------------------------------------------------------------------ */

static void configure(struct front_world *world, const struct mkv_shape *shape) {
    struct mkv_front_config *config = &world->config;
    mkv_front_config_default(config);
    config->volume_count = shape->volume_count;
    for (uint32_t volume = 0; volume < shape->volume_count; volume++) {
        config->members[volume].weight = 1;
        config->members[volume].uuid.bytes[0] = (uint8_t)(volume + 1);
    }
    config->connections_max = MKV_CONNECTIONS_MAX;
    config->requests_max = MKV_REQUESTS_MAX;
    config->requests_per_connection_max = REQUESTS_PER_CONNECTION_MAX;
    config->items_per_request_max = MKV_REQUEST_ITEMS_MAX;
    config->items_max = ITEMS_MAX;
    config->segmented_max = SEGMENTED_MAX;
    config->volume_ops_max = VOLUME_OPS_MAX;
    config->foreign_ops_max = MKV_FRONT_VOLUME_OPS_MIN;
    config->block_bytes_max = shape->block_bytes_max;
    config->value_bytes_max = shape->length_max;
    const uint32_t largest = 1u << mkv_slab_order(shape->block_bytes_max);
    config->slab_unit_count = largest * shape->slabs;
    config->slab_share_reads = 250;
    config->memory_blocks_max = shape->memory_blocks;
    config->slab_units_per_connection_max = largest * (1 + shape->slabs / 2);
    config->transfer_grace_ns = shape->deadline_ns * 4;
    config->lookup_lease_ns = shape->lease_ns_max; /* 0: memory answers without the volume */
    config->exists_lease_ns = shape->lease_ns_max / 2;
    config->segment_id_seed = mkv_random_mix(shape->seed);
    MKV_ASSERT(mkv_front_config_fault(config) == NULL);
    world->shard_count = shape->fronts > 0 ? shape->fronts : 1;
    /* Each volume is the next shard's, and in a part of the seeds any shard's. */
    const uint64_t draw = mkv_random_mix(shape->seed ^ VOLUME_SALT);
    if (world->shard_count > 1 && (draw >> 40) % ITEMS_FEW_ONE_IN == 0) {
        config->items_max = ITEMS_FEW;
    }
    for (uint32_t volume = 0; volume < shape->volume_count; volume++) {
        const uint64_t any =
            draw % VOLUMES_ANYWHERE_ONE_IN == 0 ? mkv_random_mix(draw + volume) : 0;
        world->volume_shards[volume] =
            (uint32_t)(((draw >> 8) + volume + (any >> 8)) % world->shard_count);
    }
}

struct front_world *mkv_front_world_make(const struct mkv_world_options *options,
                                         struct mkv_world_report *report) {
    static const struct mkv_lives_clients clients = {
        .reset = reset,
        .serving = serving,
        .failed = failed,
        .start_get = start_get,
        .can_start = can_start,
        .work = work,
        .due_ns = due_ns,
        .act = act,
        .settle = settle,
        .is_idle = is_idle,
        .unanswered = unanswered,
    };
    const struct mkv_shape *shape = options->shape;
    struct front_world *world = mkv_memory_take(options->memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    configure(world, shape);
    mkv_sim_shards_make(world, options->memory);
    const size_t slabs_bytes = (size_t)world->slab_units * MKV_SLAB_UNIT_STRIDE_BYTES;
    world->slabs = mkv_memory_take(options->memory, slabs_bytes, MKV_UNIT_BYTES);
    world->scratch = mkv_memory_take(options->memory, shape->length_max, 64);
    const struct mkv_lives_slabs slabs = {world->slabs, slabs_bytes, MKV_SLAB_UNIT_STRIDE_BYTES};
    mkv_lives_init(&world->lives, options, report, &clients, world,
                   VOLUME_OPS_MAX + (world->shard_count - 1) * world->config.foreign_ops_max, false,
                   &slabs, on_message);
    world->keys_owned = UINT64_MAX;
    return world;
}

void mkv_front_world_run(const struct mkv_world_options *options, struct mkv_world_report *report) {
    mkv_lives_run(&mkv_front_world_make(options, report)->lives);
}
