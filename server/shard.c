/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a shard, and what other threads may ask of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"
#include "backends/fabric_set.h"
#include "server/shard_internal.h"

#define RING_ENTRIES 1024u
#define RING_COMPLETIONS_MIN 4096u
#define RING_COMPLETIONS_MAX 65536u
#define NS_PER_S 1000000000ull

/* ---- making --------------------------------------------------------------------------------- */

/* Whether the volume is one that this shard makes. */
static bool is_own(const struct mkv_shard_options *options, uint32_t volume) {
    return options->group == NULL ||
           mkv_shard_group_shard_of(options->group, volume) == options->index;
}

static uint32_t shard_count_of(const struct mkv_shard_options *options) {
    return options->group == NULL ? 1 : mkv_shard_group_count(options->group);
}

static struct mkv_front_config front_config(const struct mkv_shard_options *options,
                                            uint32_t slab_unit_first, uint32_t slab_unit_count) {
    struct mkv_front_config config = options->front;
    config.volume_count = options->volume_count;
    config.slab_unit_first = slab_unit_first;
    config.slab_unit_count = slab_unit_count;
    for (uint32_t i = 0; i < options->volume_count; i++) {
        config.foreign[i] = !is_own(options, i);
    }
    return config;
}

static struct mkv_router_config router_config(const struct mkv_shard_options *options,
                                              const struct mkv_front_config *front) {
    struct mkv_router_config config = {
        .shard = options->index,
        .shard_count = shard_count_of(options),
        .front = *front,
    };
    for (uint32_t i = 0; i < options->volume_count; i++) {
        config.volume_shards[i] = mkv_shard_group_shard_of(options->group, i);
    }
    return config;
}

void mkv_shard_router_config(const struct mkv_shard_options *options,
                             struct mkv_router_config *config) {
    const struct mkv_front_config front = front_config(
        options, mkv_arena_unit_first(options->arena), mkv_arena_unit_count(options->arena));
    *config = router_config(options, &front);
}

/* One more for what the volume is told about tenants, and one for what is asked of it, besides what
 * the front asks, and what fronts of other shards do about segments. */
static struct mkv_volume_config volume_config(const struct mkv_shard_options *options,
                                              uint32_t index) {
    struct mkv_volume_config config = options->volumes[index].config;
    config.volume = index;
    config.ops_max += 2 + (shard_count_of(options) - 1) * options->front.foreign_ops_max;
    return config;
}

uint64_t mkv_shard_metadata_bytes(const struct mkv_shard_options *options, uint64_t arena_bytes) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < options->volume_count; i++) {
        if (!is_own(options, i)) {
            continue;
        }
        const struct mkv_volume_config config = volume_config(options, i);
        bytes += mkv_round_up_u64(mkv_volume_memory_required(&config), MKV_UNIT_BYTES);
    }
    /* As many slabs as there would be without metadata: a bound, and a close one. */
    const uint64_t units =
        mkv_min_u64(arena_bytes / MKV_SLAB_UNIT_STRIDE_BYTES, MKV_SLAB_UNIT_COUNT_MAX);
    const struct mkv_front_config config = front_config(options, 0, (uint32_t)units);
    if (mkv_front_config_fault(&config) != NULL) {
        return bytes; /* create names the fault */
    }
    if (shard_count_of(options) > 1) {
        const struct mkv_router_config router = router_config(options, &config);
        bytes += mkv_round_up_u64(mkv_router_memory_required(&router), MKV_UNIT_BYTES);
    }
    return bytes + mkv_round_up_u64(mkv_front_memory_required(&config), MKV_UNIT_BYTES);
}

static bool make_ring(struct mkv_shard *shard, const struct mkv_shard_options *options,
                      struct mkv_backend_error *error) {
    /* What can be in flight at once: a receive and a send of each connection, accept and wake, and
     * the queue, as many requests to take its operations back, a look and one trim of each drive;
     * a wait for each RDMA port, and its end. */
    uint64_t operations = 2 + 2 * (uint64_t)options->front.connections_max + 2 * MKV_LANE_PORTS_MAX;
    for (uint32_t i = 0; i < options->volume_count; i++) {
        if (!is_own(options, i)) {
            continue;
        }
        const uint32_t depth = options->volumes[i].queue_depth;
        operations += 2 + 2 * (uint64_t)(depth != 0 ? depth : MKV_DRIVE_URING_DEPTH_DEFAULT);
    }
    uint32_t completions = RING_COMPLETIONS_MIN;
    while (completions < operations && completions < RING_COMPLETIONS_MAX) {
        completions *= 2;
    }
    const struct mkv_ring_options ring_options = {
        .entries = RING_ENTRIES,
        .completions = completions,
        .files_max = options->volume_count,
        .buffers_max = mkv_arena_registration_count(options->arena),
    };
    return mkv_ring_create(&ring_options, &shard->ring, error) &&
           mkv_arena_register(options->arena, shard->ring, &shard->buffers, error);
}

static bool make_front(struct mkv_shard *shard, const struct mkv_shard_options *options,
                       struct mkv_backend_error *error) {
    const struct mkv_front_config config = front_config(
        options, mkv_arena_unit_first(options->arena), mkv_arena_unit_count(options->arena));
    const char *fault = mkv_front_config_fault(&config);
    if (fault != NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "the limits of requests and memory do not fit: %s", fault);
    }
    const size_t bytes = mkv_front_memory_required(&config);
    shard->front = mkv_front_init(mkv_arena_take(options->arena, bytes), bytes, &config);
    if (shard_count_of(options) == 1) {
        return true;
    }
    MKV_ASSERT(options->relay != NULL);
    const struct mkv_router_config router = router_config(options, &config);
    const char *router_fault = mkv_router_config_fault(&router);
    if (router_fault != NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION, "the shards do not fit: %s",
                                  router_fault);
    }
    const size_t router_bytes = mkv_router_memory_required(&router);
    shard->router =
        mkv_router_init(mkv_arena_take(options->arena, router_bytes), router_bytes, &router);
    shard->relay = options->relay;
    mkv_shard_relay_enter(shard->relay, shard->index, shard->ring);
    shard->moves = options->moves;
    if (shard->moves != NULL) {
        mkv_shard_moves_enter(shard->moves, shard->index, shard->ring);
    }
    return true;
}

/* Takes the medium over. */
static bool make_volume(struct mkv_shard *shard, const struct mkv_shard_options *options,
                        uint32_t index, struct mkv_backend_error *error) {
    const struct mkv_shard_volume_options *source = &options->volumes[index];
    struct shard_volume *volume = &shard->volumes[index];
    const struct mkv_volume_config config = volume_config(options, index);
    MKV_ASSERT(options->front.volume_ops_max < config.ops_max);
    const size_t bytes = mkv_volume_memory_required(&config);
    uint8_t *memory = mkv_arena_take(options->arena, bytes);
    volume->volume = mkv_volume_init(memory, bytes, &config);
    volume->config = config;
    volume->memory = memory;
    volume->memory_bytes = bytes;
    volume->queue_depth = source->queue_depth;
    volume->read_timeout_ns = source->read_timeout_ns;
    volume->write_timeout_ns = source->write_timeout_ns;
    volume->format = source->format;
    return mkv_shard_volume_drive(shard, index, &config, &source->media, error);
}

bool mkv_shard_volume_drive(struct mkv_shard *shard, uint32_t index,
                            const struct mkv_volume_config *config,
                            const struct mkv_drive_media *media, struct mkv_backend_error *error) {
    struct shard_volume *volume = &shard->volumes[index];
    uint8_t *meta = mkv_volume_arena(volume->volume);
    MKV_ASSERT(meta >= volume->memory);
    MKV_ASSERT(meta < volume->memory + volume->memory_bytes);
    const uint64_t data_unit = mkv_geometry_data_start(&config->geometry).unit;
    const struct mkv_drive_uring_options drive_options = {
        .ring = shard->ring,
        .arena = shard->arena,
        .buffers = shard->buffers,
        .meta = meta,
        .meta_bytes = volume->memory_bytes - (size_t)(meta - volume->memory),
        .trim = config->trim,
        .queue_depth = volume->queue_depth,
        .read_timeout_ns = volume->read_timeout_ns,
        .write_timeout_ns = volume->write_timeout_ns,
        .room_first_unit = data_unit, /* what lies around has its room (drive_reserve.h) */
        .room_end_unit = data_unit + mkv_geometry_usable_units(&config->geometry),
        .waiting_max = config->ops_max + mkv_volume_effects_max(config),
    };
    return mkv_drive_uring_create(&drive_options, media, &volume->drive, error);
}

static uint32_t tcp_stats(void *context, char *text, uint32_t text_bytes_max) {
    struct mkv_shard *shard = context;
    mkv_shard_collect(shard, shard->scratch);
    return shard->stats_text(shard->stats_text_context, shard->scratch, text, text_bytes_max);
}

_Static_assert(MKV_NATIVE_WEIGHT_MAX == MKV_PLACEMENT_WEIGHT_MAX, "weights of drives");

/* For SHARDS, and connections that are to be at another shard. */
static void tcp_shards(void *context, struct mkv_native_shards *shards) {
    const struct mkv_shard *shard = context;
    const struct mkv_member *members = mkv_router_members(shard->router);
    memset(shards, 0, sizeof *shards);
    shards->shard = shard->index;
    shards->shard_count = mkv_shard_group_count(shard->group);
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        if (members[i].weight > 0) {
            shards->drives[shards->drive_count].uuid = members[i].uuid;
            shards->drives[shards->drive_count].weight = members[i].weight;
            shards->drives[shards->drive_count].shard = mkv_shard_group_shard_of(shard->group, i);
            shards->drive_count++;
        }
    }
}

static bool tcp_move(void *context, uint32_t to, const struct mkv_fabric_tcp_move *move) {
    const struct mkv_shard *shard = context;
    return to != shard->index && mkv_shard_moves_put(shard->moves, to, move);
}

static void resp_wake(void *context) {
    const struct mkv_shard *shard = context;
    mkv_ring_wake(shard->ring);
}

static void resp_progress(void *context, char *text, size_t text_bytes) {
    const struct mkv_shard *shard = context;
    uint32_t done;
    uint32_t total;
    mkv_shard_group_progress(shard->group, &done, &total);
    snprintf(text, text_bytes, "%" PRIu32 "/%" PRIu32 " drives, %" PRIu32 " %%", done, total,
             total == 0 ? 0 : 100 * done / total);
}

/* The commands that are not the fabric's, and the connection by which they delete keys. */
static bool make_resp_calls(struct mkv_shard *shard, const struct mkv_shard_options *options,
                            const struct mkv_fabric_resp_options *resp, uint32_t deletes_base,
                            struct mkv_backend_error *error) {
    const struct mkv_resp_calls_options calls_options = {
        .worker = options->resp_worker,
        .commands = options->resp_commands,
        .auth = resp->auth,
        .tenant = mkv_shard_tenants_resolve,
        .tenant_context = shard,
        .wake = resp_wake,
        .wake_context = shard,
        .connection_base = deletes_base,
        .each = options->resp_each,
        .each_context = options->resp_each_context,
    };
    shard->resp_calls = mkv_resp_calls_create(&calls_options);
    return shard->resp_calls != NULL ||
           mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "no memory for a shard. Free memory on this machine");
}

/* What the shard sets in the options of a native fabric. */
static void fill_native(struct mkv_shard *shard, const struct mkv_shard_options *options,
                        struct mkv_fabric_tcp_options *native) {
    native->ring = shard->ring;
    native->arena = options->arena;
    native->transfers_max = shard_count_of(options) * mkv_front_transfers_max(&options->front);
    native->stats = tcp_stats;
    native->stats_context = shard;
    native->tenant = mkv_shard_tenants_resolve;
    native->tenant_context = shard;
}

/* Beside the TCP fabric: for clients of this machine. */
static bool make_shm(struct mkv_shard *shard, const struct mkv_shard_options *options,
                     struct mkv_backend_error *error) {
    struct mkv_fabric_tcp_options shm = *options->shm;
    fill_native(shard, options, &shm);
    /* Behind all that the shards have of the others, with the one that deletes keys. */
    const uint32_t others = options->tcp->connections_max +
                            (options->resp == NULL ? 0 : options->resp->connections_max + 1);
    shm.connection_base = shard_count_of(options) * others + options->index * shm.connections_max;
    MKV_ASSERT(shm.connection_base + shm.connections_max <= options->front.connections_max);
    return mkv_fabric_tcp_create(&shm, &shard->shm, error);
}

/* One fabric of the members, of which the TCP fabric is the first. */
static bool make_set(struct mkv_shard *shard, const struct mkv_fabric_set_member *others,
                     uint32_t other_count, const struct mkv_shard_options *options,
                     struct mkv_backend_error *error) {
    struct mkv_fabric_set_member members[MKV_FABRIC_SET_MEMBERS_MAX];
    uint32_t count = 0;
    members[count++] = (struct mkv_fabric_set_member){shard->fabric, options->tcp->connection_base,
                                                      options->tcp->connections_max};
    for (uint32_t i = 0; i < other_count; i++) {
        members[count++] = others[i];
    }
    if (shard->shm != NULL) {
        const uint32_t base = mkv_fabric_tcp_connection_base(shard->shm);
        members[count++] = (struct mkv_fabric_set_member){mkv_fabric_tcp_base(shard->shm), base,
                                                          options->shm->connections_max};
    }
    struct mkv_fabric_set *set = mkv_fabric_set_create(members, count);
    if (set == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a shard. Free memory on this machine");
    }
    shard->fabric = mkv_fabric_set_base(set);
    return true;
}

/* Beside the TCP fabric: the front sees the connections of both. */
static bool make_resp(struct mkv_shard *shard, const struct mkv_shard_options *options,
                      struct mkv_backend_error *error) {
    struct mkv_fabric_resp_options resp = *options->resp;
    resp.ring = shard->ring;
    resp.arena = options->arena;
    /* Behind the TCP connections of all shards. */
    resp.connection_base = shard_count_of(options) * options->tcp->connections_max +
                           options->index * resp.connections_max;
    resp.transfers_max = shard_count_of(options) * mkv_front_transfers_max(&options->front);
    resp.tenant = mkv_shard_tenants_resolve;
    resp.tenant_context = shard;
    const uint32_t deletes_base =
        shard_count_of(options) * (options->tcp->connections_max + resp.connections_max) +
        options->index;
    MKV_ASSERT(deletes_base < options->front.connections_max);
    if (!make_resp_calls(shard, options, &resp, deletes_base, error)) {
        return false;
    }
    resp.progress = resp_progress;
    resp.progress_context = shard;
    resp.call = mkv_resp_calls_call;
    resp.gone = mkv_resp_calls_gone;
    resp.call_context = shard->resp_calls;
    if (!mkv_fabric_resp_create(&resp, &shard->resp, error)) {
        return false;
    }
    /* Behind the connections of all shards there is one for each. */
    const struct mkv_fabric_set_member members[] = {
        {mkv_fabric_resp_base(shard->resp), resp.connection_base, resp.connections_max},
        {mkv_resp_deletes_base(mkv_resp_calls_deletes(shard->resp_calls)), deletes_base, 1},
    };
    mkv_resp_calls_bind(shard->resp_calls, shard->resp);
    if (!make_set(shard, members, 2, options, error)) {
        members[0].fabric->ops->destroy(members[0].fabric);
        return false;
    }
    return true;
}

static bool make_fabric(struct mkv_shard *shard, const struct mkv_shard_options *options,
                        struct mkv_backend_error *error) {
    if (options->tcp == NULL) {
        return true;
    }
    MKV_ASSERT(options->stats_text != NULL);
    struct mkv_fabric_tcp_options tcp = *options->tcp;
    fill_native(shard, options, &tcp);
    if (shard->moves != NULL) {
        tcp.shards = tcp_shards;
        tcp.move = tcp_move;
        tcp.shards_context = shard;
    }
    struct mkv_fabric_tcp *fabric;
    if (!mkv_shard_rdma_make(shard, options, error)) {
        return false;
    }
    tcp.lane_ports = shard->lane_ports;
    if (!mkv_fabric_tcp_create(&tcp, &fabric, error)) {
        return false;
    }
    shard->tcp = fabric;
    shard->fabric = mkv_fabric_tcp_base(fabric);
    shard->port = mkv_fabric_tcp_port(fabric);
    if (options->shm == NULL) {
        return options->resp == NULL || make_resp(shard, options, error);
    }
    if (!make_shm(shard, options, error)) {
        return false;
    }
    const bool is_made = options->resp == NULL ? make_set(shard, NULL, 0, options, error)
                                               : make_resp(shard, options, error);
    if (!is_made) {
        mkv_fabric_tcp_destroy(shard->shm);
        shard->shm = NULL;
    }
    return is_made;
}

static bool make_observer(struct mkv_shard *shard, const struct mkv_shard_options *options,
                          struct mkv_backend_error *error) {
    const struct mkv_observer_options observer_options = {
        .audit = options->audit,
        .connections_max = options->front.connections_max,
        .hotkeys_columns = options->hotkeys_columns,
        .hotkeys_decay_ns = options->hotkeys_decay_ns,
        .slow_ns = options->slow_ns,
        .fabric = shard->fabric,
        .requests = options->requests,
        .events = options->events,
        .tenant_name = mkv_shard_tenants_name,
        .tenant_context = shard,
        .tracer = options->tracer,
    };
    shard->observer = mkv_observer_create(&observer_options);
    return shard->observer != NULL ||
           mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "no memory for the statistics of a shard. Free memory on this "
                              "machine");
}

static void dispatched(void *context, uint64_t began_ns, uint64_t ended_ns, uint32_t requests) {
    mkv_trace_dispatch(context, began_ns, ended_ns, requests);
}

static bool make_pump(struct mkv_shard *shard, const struct mkv_shard_options *options,
                      struct mkv_backend_error *error) {
    struct mkv_pump_volume volumes[MKV_VOLUMES_MAX];
    uint32_t messages_max = 0;
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        volumes[i] = (struct mkv_pump_volume){shard->volumes[i].volume, shard->volumes[i].drive};
        messages_max += volume_config(options, i).ops_max;
    }
    const struct mkv_pump_options pump_options = {
        .front = shard->front,
        .fabric = shard->fabric,
        .volume_count = shard->volume_count,
        .volumes = volumes,
        .messages_max = messages_max,
        .event = mkv_shard_event,
        .event_context = shard,
        .tenant_done = mkv_shard_tenants_done,
        .asked = mkv_shard_asked,
        .request_began = mkv_observer_request_began,
        .request_ended = mkv_observer_request_ended,
        .connection_closed = mkv_observer_connection_closed,
        .request_context = shard->observer,
        .dispatched = options->tracer == NULL ? NULL : dispatched,
        .dispatched_context = options->tracer,
        .recorder = shard->recorder,
        .router = shard->router,
        .relay = shard->relay,
        .shard = shard->index,
        .shard_count = shard_count_of(options),
    };
    shard->pump = mkv_pump_create(&pump_options);
    shard->published = calloc(1, sizeof *shard->published);
    shard->scratch = calloc(1, sizeof *shard->scratch);
    shard->ask_answer = calloc(1, sizeof *shard->ask_answer);
    if (shard->pump == NULL || shard->published == NULL || shard->scratch == NULL ||
        shard->ask_answer == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a shard. Free memory on this machine");
    }
    return true;
}

/* Tells the recorder how the machines were made. */
static bool make_record(struct mkv_shard *shard, const struct mkv_shard_options *options,
                        struct mkv_backend_error *error) {
    if (options->recorder == NULL) {
        return true;
    }
    struct mkv_volume_config *volumes = calloc(options->volume_count, sizeof *volumes);
    if (volumes == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a shard. Free memory on this machine");
    }
    for (uint32_t i = 0; i < options->volume_count; i++) {
        volumes[i] = volume_config(options, i);
    }
    const struct mkv_front_config front = front_config(
        options, mkv_arena_unit_first(options->arena), mkv_arena_unit_count(options->arena));
    const bool begun =
        mkv_recorder_begin(options->recorder, &front, options->volume_count, volumes, error);
    free(volumes);
    shard->recorder = options->recorder;
    return begun;
}

static void close_media(const struct mkv_shard_options *options, uint32_t from) {
    for (uint32_t i = from; i < options->volume_count; i++) {
        if (!is_own(options, i)) {
            continue;
        }
        struct mkv_drive_media media = options->volumes[i].media;
        mkv_drive_media_close(&media);
    }
}

/* The group of a shard that is alone. */
static bool make_group(struct mkv_shard *shard, const struct mkv_shard_options *options,
                       struct mkv_backend_error *error) {
    shard->group = options->group;
    shard->index = options->index;
    if (shard->group == NULL) {
        uint64_t volume_bytes[MKV_VOLUMES_MAX];
        for (uint32_t i = 0; i < options->volume_count; i++) {
            volume_bytes[i] =
                mkv_geometry_usable_units(&options->volumes[i].config.geometry) * MKV_UNIT_BYTES;
        }
        const struct mkv_shard_group_options group_options = {
            .shard_count = 1,
            .volume_count = options->volume_count,
            .volume_bytes = volume_bytes,
            .plan = options->plan,
            .quota_count = options->quota_count,
            .quotas = options->quotas,
        };
        shard->group = mkv_shard_group_create(&group_options);
        shard->group_is_own = true;
    }
    if (shard->group == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a shard. Free memory on this machine");
    }
    mkv_shard_group_enter(shard->group, shard->index, shard->ring);
    return true;
}

static bool make(struct mkv_shard *shard, const struct mkv_shard_options *options,
                 struct mkv_backend_error *error) {
    if (!make_ring(shard, options, error) || !make_group(shard, options, error) ||
        !make_front(shard, options, error)) {
        close_media(options, 0);
        return false;
    }
    for (uint32_t i = 0; i < options->volume_count; i++) {
        if (is_own(options, i) && !make_volume(shard, options, i, error)) {
            close_media(options, i + 1);
            return false;
        }
        shard->volume_count++;
    }
    return make_fabric(shard, options, error) && make_record(shard, options, error) &&
           make_observer(shard, options, error) && make_pump(shard, options, error);
}

bool mkv_shard_create(const struct mkv_shard_options *options, struct mkv_shard **shard_out,
                      struct mkv_backend_error *error) {
    MKV_ASSERT(options->volume_count >= 1);
    MKV_ASSERT(options->volume_count <= MKV_VOLUMES_MAX);
    MKV_ASSERT((options->tcp == NULL) != (options->fabric == NULL));
    struct mkv_shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL) {
        close_media(options, 0);
        if (options->fabric != NULL) {
            options->fabric->ops->destroy(options->fabric);
        }
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a shard. Free memory on this machine");
    }
    pthread_mutex_init(&shard->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&shard->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    shard->fabric = options->fabric;
    shard->arena = options->arena;
    for (uint32_t i = 0; i < MKV_VOLUMES_MAX; i++) {
        shard->volumes[i].route = MKV_DRIVE_SET_OFFLINE; /* as the front begins */
    }
    shard->event = options->event;
    shard->event_context = options->event_context;
    shard->stats_text = options->stats_text;
    shard->stats_text_context = options->stats_text_context;
    atomic_store(&shard->round_ns, mkv_clock_monotonic_ns());
    if (!make(shard, options, error)) {
        mkv_shard_destroy(shard);
        return false;
    }
    *shard_out = shard;
    return true;
}

void mkv_shard_destroy(struct mkv_shard *shard) {
    if (shard == NULL) {
        return;
    }
    MKV_ASSERT(!shard->started || shard->joined);
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        if (shard->volumes[i].drive == NULL) {
            continue;
        }
        if (shard->joined) {
            return; /* operations in the kernel still write where they were told to */
        }
        mkv_drive_close(shard->volumes[i].drive);
    }
    if (shard->fabric != NULL) {
        shard->fabric->ops->destroy(shard->fabric);
    }
    mkv_shard_rdma_end(shard);
    mkv_resp_calls_destroy(shard->resp_calls);
    mkv_pump_destroy(shard->pump);
    mkv_arena_buffers_free(shard->buffers);
    mkv_ring_destroy(shard->ring);
    pthread_cond_destroy(&shard->changed);
    pthread_mutex_destroy(&shard->mutex);
    if (shard->group_is_own) {
        mkv_shard_group_destroy(shard->group);
    }
    free(shard->published);
    free(shard->scratch);
    free(shard->ask_answer);
    mkv_observer_destroy(shard->observer);
    free(shard);
}

/* ---- from other threads --------------------------------------------------------------------- */

bool mkv_shard_start(struct mkv_shard *shard, struct mkv_backend_error *error) {
    MKV_ASSERT(!shard->started);
    /* The thread inherits the mask: signals are for the thread that waits for them, but for the one
     * that a profiler asks each thread with. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&shard->thread, NULL, mkv_shard_thread, shard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for a shard: %s. Raise the limit of processes (ulimit "
                                  "-u, TasksMax)",
                                  strerror(result));
    }
    pthread_mutex_lock(&shard->mutex); /* others may have asked for figures already */
    shard->started = true;
    pthread_mutex_unlock(&shard->mutex);
    return true;
}

uint32_t mkv_shard_wait_opened(struct mkv_shard *shard) {
    MKV_ASSERT(shard->started);
    pthread_mutex_lock(&shard->mutex);
    while (!shard->all_opened) {
        pthread_cond_wait(&shard->changed, &shard->mutex);
    }
    const uint32_t count = shard->serving_count;
    pthread_mutex_unlock(&shard->mutex);
    return count;
}

void mkv_shard_close(struct mkv_shard *shard, uint64_t drain_ns) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    const uint64_t until_ns = drain_ns < UINT64_MAX - now_ns ? now_ns + drain_ns : UINT64_MAX;
    if (!atomic_load(&shard->close_wanted) || until_ns < atomic_load(&shard->drain_until_ns)) {
        atomic_store(&shard->drain_until_ns, until_ns);
    }
    atomic_store(&shard->close_wanted, true);
    mkv_ring_wake(shard->ring);
}

bool mkv_shard_join(struct mkv_shard *shard) {
    MKV_ASSERT(shard->started);
    MKV_ASSERT(!shard->joined);
    const int result = pthread_join(shard->thread, NULL);
    MKV_ASSERT(result == 0);
    shard->joined = true;
    return shard->clean;
}

enum mkv_status mkv_shard_tenant_drop(struct mkv_shard *shard, const char *name, uint64_t wait_ns) {
    return mkv_shard_group_tenant_drop(shard->group, name, wait_ns);
}

void mkv_shard_avoid(struct mkv_shard *shard, uint64_t volumes) {
    atomic_store(&shard->avoid_wanted, volumes);
}

void mkv_shard_checkpoint(struct mkv_shard *shard) {
    atomic_store(&shard->checkpoint_wanted, true);
    mkv_ring_wake(shard->ring);
}

void mkv_shard_stats(struct mkv_shard *shard, struct mkv_shard_stats *stats) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    const uint64_t until_ns = now_ns + MKV_SHARD_STATS_WAIT_NS;
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / NS_PER_S),
        .tv_nsec = (long)(until_ns % NS_PER_S),
    };
    pthread_mutex_lock(&shard->mutex);
    int result = 0;
    while (shard->started && !shard->ended && shard->published->taken_ns < now_ns &&
           result != ETIMEDOUT) {
        atomic_store_explicit(&shard->stats_wanted, true, memory_order_release);
        mkv_ring_wake(shard->ring);
        result = pthread_cond_timedwait(&shard->changed, &shard->mutex, &until);
    }
    *stats = *shard->published;
    pthread_mutex_unlock(&shard->mutex);
}

void mkv_shard_published(struct mkv_shard *shard, struct mkv_shard_stats *stats) {
    pthread_mutex_lock(&shard->mutex);
    *stats = *shard->published;
    pthread_mutex_unlock(&shard->mutex);
}

uint64_t mkv_shard_round_ns(const struct mkv_shard *shard) {
    return atomic_load_explicit(&shard->round_ns, memory_order_relaxed);
}

const struct mkv_observer *mkv_shard_observer(const struct mkv_shard *shard) {
    return shard->observer;
}

const char *mkv_shard_ring_mode(const struct mkv_shard *shard) {
    return mkv_ring_mode(shard->ring);
}

int mkv_shard_registration_error(const struct mkv_shard *shard) {
    return mkv_arena_buffers_error(shard->buffers);
}

uint16_t mkv_shard_port(const struct mkv_shard *shard) {
    return shard->port;
}

struct mkv_resp_calls *mkv_shard_resp_calls(const struct mkv_shard *shard) {
    return shard->resp_calls;
}

uint16_t mkv_shard_resp_port(const struct mkv_shard *shard) {
    return shard->resp == NULL ? 0 : mkv_fabric_resp_port(shard->resp);
}
