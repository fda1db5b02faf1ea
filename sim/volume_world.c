/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/volume_world.h"

#include <string.h>

static void reset(void *context, int pattern) {
    struct volume_world *world = context;
    (void)pattern; /* clients are no part of the process */
    for (uint32_t index = 0; index < MKV_CLIENTS_MAX; index++) {
        world->clients[index].state = CLIENT_FREE;
        world->clients[index].strays = false;
        world->clients[index].due_ns = UINT64_MAX;
    }
    world->busy_count = 0;
    mkv_volume_tenant_crash(world);
}

static void serving(void *context) {
    mkv_volume_tenant_serving(context);
}

static void failed(void *context, uint32_t volume) {
    (void)context; /* it says so to whoever asks */
    (void)volume;
}

static bool start_get(void *context, uint32_t key) {
    return mkv_volume_client_start_get(context, key);
}

static bool can_start(const void *context) {
    const struct volume_world *world = context;
    return world->busy_count < world->lives.shape->clients;
}

static void work(void *context) {
    mkv_volume_client_start(context);
}

static uint32_t first_client(const struct volume_world *world) {
    uint32_t first = 0;
    for (uint32_t index = 1; index < MKV_CLIENTS_MAX; index++) {
        if (world->clients[index].due_ns < world->clients[first].due_ns) {
            first = index;
        }
    }
    return first;
}

static uint64_t due_ns(void *context) {
    const struct volume_world *world = context;
    return world->clients[first_client(world)].due_ns;
}

static void act(void *context) {
    struct volume_world *world = context;
    mkv_volume_client_act(world, first_client(world));
}

static void settle(void *context) {
    (void)context; /* there is no other machine */
}

static bool is_idle(const void *context) {
    const struct volume_world *world = context;
    return world->busy_count == 0;
}

static uint32_t unanswered(const void *context) {
    const struct volume_world *world = context;
    return world->busy_count;
}

static void on_message(void *context, uint32_t volume, const struct mkv_message *message,
                       const uint8_t *data) {
    MKV_ASSERT(volume == 0);
    mkv_volume_client_answer(context, message, data);
}

/* Where bytes decide: the benign decision is no crash, and at their end all work is over. */
static uint32_t crash_after(void *context, uint32_t drawn) {
    (void)context;
    return drawn == 0 ? MKV_NONE_U32 : drawn;
}

static bool is_over(const void *context) {
    const struct volume_world *world = context;
    return mkv_decisions_exhausted(world->lives.options->decisions);
}

const struct mkv_lives_clients mkv_volume_world_clients = {
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

void mkv_volume_world_init(struct volume_world *world, const struct mkv_world_options *options,
                           struct mkv_world_report *report,
                           const struct mkv_lives_clients *clients) {
    memset(world->clients, 0, sizeof world->clients);
    world->busy_count = 0;
    world->tenant_phase = TENANT_NONE;
    world->tenant_id = 1;
    world->tenant_uncertain = false;
    world->emptyings_seen = 0;
    world->slab_stride = MKV_UNIT_BYTES + options->shape->length_max;
    const size_t slabs_bytes = MKV_CLIENTS_MAX * world->slab_stride;
    world->slabs = mkv_memory_take(options->memory, slabs_bytes, MKV_UNIT_BYTES);
    world->scratch = mkv_memory_take(options->memory, options->shape->length_max, 64);
    const struct mkv_lives_slabs slabs = {world->slabs, slabs_bytes, world->slab_stride};
    mkv_lives_init(&world->lives, options, report, clients, world, MKV_CLIENTS_MAX,
                   options->shape->lock_yield_ns == 0, &slabs, on_message);
}

void mkv_volume_world_run(const struct mkv_world_options *options,
                          struct mkv_world_report *report) {
    struct volume_world *world = mkv_memory_take(options->memory, sizeof *world, 64);
    struct mkv_lives_clients clients = mkv_volume_world_clients;
    if (options->decisions != NULL) {
        clients.crash_after = crash_after;
        clients.is_over = is_over;
    }
    mkv_volume_world_init(world, options, report, &clients);
    mkv_lives_run(&world->lives);
}
