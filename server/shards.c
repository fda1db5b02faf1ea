/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shards.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"
#include "server/shard_sum.h"

/* Connections spread by the kernel's hash of addresses, not evenly: a shard has places for so many
 * more than its share. */
#define PLACES_SPARE(share) ((share) / 4 + 32)

struct mkv_shards {
    uint32_t count;
    struct mkv_shard *shards[MKV_SHARDS_MAX];
    struct mkv_arena *parts[MKV_SHARDS_MAX]; /* NULL with one shard, as are the next three */
    struct mkv_shard_group *group;
    struct mkv_shard_relay *relay;
    struct mkv_shard_moves *moves;
    struct mkv_shard_stats *scratch; /* of one shard, behind the mutex */
    pthread_mutex_t mutex;
};

/* ---- drives and memory ----------------------------------------------------------------------- */

void mkv_shards_assign(uint32_t shard_count, uint32_t volume_count, const uint64_t *volume_bytes,
                       uint32_t *volume_shards) {
    uint64_t has[MKV_SHARDS_MAX] = {0};
    uint32_t drives[MKV_SHARDS_MAX] = {0};
    MKV_ASSERT(shard_count <= MKV_SHARDS_MAX);
    for (uint32_t i = 0; i < volume_count; i++) {
        volume_shards[i] = MKV_NONE_U32;
    }
    for (uint32_t turn = 0; turn < volume_count; turn++) {
        uint32_t largest = MKV_NONE_U32;
        for (uint32_t i = 0; i < volume_count; i++) {
            if (volume_shards[i] == MKV_NONE_U32 &&
                (largest == MKV_NONE_U32 || volume_bytes[i] > volume_bytes[largest])) {
                largest = i;
            }
        }
        uint32_t least = 0;
        for (uint32_t shard = 1; shard < shard_count; shard++) {
            if (has[shard] < has[least] ||
                (has[shard] == has[least] && drives[shard] < drives[least])) {
                least = shard;
            }
        }
        volume_shards[largest] = least;
        has[least] += volume_bytes[largest];
        drives[least]++;
    }
}

bool mkv_shards_divide(uint32_t unit_count, uint32_t shard_count, const uint64_t *shard_bytes,
                       struct mkv_shards_part *parts) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < shard_count; i++) {
        total += shard_bytes[i] / MKV_MIB;
    }
    const uint32_t groups = unit_count / MKV_SLAB_GROUP_UNITS;
    if (groups < shard_count) {
        return false;
    }
    /* One for each, and the others by what their drives hold; what is left over goes to the last
     * that has drives. */
    const uint64_t shared = groups - shard_count;
    uint32_t given = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < shard_count; i++) {
        const uint64_t own = total == 0 ? 0 : shared * (shard_bytes[i] / MKV_MIB) / total;
        parts[i].unit_count = (uint32_t)(1 + own) * MKV_SLAB_GROUP_UNITS;
        given += parts[i].unit_count;
        last = shard_bytes[i] > 0 ? i : last;
    }
    parts[last].unit_count += groups * MKV_SLAB_GROUP_UNITS - given;
    uint32_t first = 0;
    for (uint32_t i = 0; i < shard_count; i++) {
        parts[i].unit_first = first;
        first += parts[i].unit_count;
    }
    parts[shard_count - 1].unit_count += unit_count - first; /* of a group that is not whole */
    return true;
}

/* What the shards get, from the options alone. */
struct plan {
    uint64_t volume_bytes[MKV_VOLUMES_MAX];
    uint32_t volume_shards[MKV_VOLUMES_MAX];
    uint64_t shard_bytes[MKV_SHARDS_MAX];
    struct mkv_shards_part parts[MKV_SHARDS_MAX];
};

static bool plan_make(const struct mkv_shards_options *options, uint64_t unit_count,
                      struct plan *plan) {
    memset(plan, 0, sizeof *plan);
    for (uint32_t i = 0; i < options->shard.volume_count; i++) {
        plan->volume_bytes[i] =
            mkv_geometry_usable_units(&options->shard.volumes[i].config.geometry) * MKV_UNIT_BYTES;
    }
    mkv_shards_assign(options->count, options->shard.volume_count, plan->volume_bytes,
                      plan->volume_shards);
    for (uint32_t i = 0; i < options->shard.volume_count; i++) {
        plan->shard_bytes[plan->volume_shards[i]] += plan->volume_bytes[i];
    }
    return mkv_shards_divide((uint32_t)unit_count, options->count, plan->shard_bytes, plan->parts);
}

/* Places of one shard of what all have together. */
static uint32_t places_each(uint32_t all, uint32_t shard_count) {
    const uint32_t share = (uint32_t)mkv_divide_up_u64(all, shard_count);
    return (uint32_t)mkv_min_u64(all, share + PLACES_SPARE(share));
}

static uint32_t tcp_each(const struct mkv_shards_options *options) {
    return places_each(options->shard.tcp->connections_max, options->count);
}

static uint32_t resp_each(const struct mkv_shards_options *options) {
    return options->shard.resp == NULL
               ? 0
               : places_each(options->shard.resp->connections_max, options->count);
}

static uint32_t shm_each(const struct mkv_shards_options *options) {
    return options->shard.shm == NULL ? 0 : options->shard.shm->connections_max;
}

static void shard_options(const struct mkv_shards_options *options, const struct plan *plan,
                          uint32_t shard, struct mkv_shard_options *out) {
    *out = options->shard;
    options->front(options->front_context, plan->parts[shard].unit_count, &out->front);
    /* Those of TCP, then those of RESP, and one more for each shard that deletes keys; those of
     * shm. */
    out->front.connections_max =
        options->count * (tcp_each(options) + resp_each(options) +
                          (options->shard.resp == NULL ? 0 : 1) + shm_each(options));
    out->index = shard;
}

static struct mkv_shard_group *group_make(const struct mkv_shards_options *options,
                                          const struct plan *plan) {
    const struct mkv_shard_group_options group_options = {
        .shard_count = options->count,
        .volume_count = options->shard.volume_count,
        .volume_shards = plan->volume_shards,
        .volume_bytes = plan->volume_bytes,
        .plan = options->shard.plan,
        .quota_count = options->shard.quota_count,
        .quotas = options->shard.quotas,
    };
    return mkv_shard_group_create(&group_options);
}

uint64_t mkv_shards_metadata_bytes(const struct mkv_shards_options *options, uint64_t arena_bytes) {
    if (options->count == 1) {
        return mkv_shard_metadata_bytes(&options->shard, arena_bytes);
    }
    const uint64_t units =
        mkv_min_u64(arena_bytes / MKV_SLAB_UNIT_STRIDE_BYTES, MKV_SLAB_UNIT_COUNT_MAX);
    struct plan plan;
    struct mkv_shard_group *group = NULL;
    uint64_t bytes = 0;
    if (plan_make(options, units, &plan)) {
        group = group_make(options, &plan);
    }
    for (uint32_t i = 0; i < options->count && group != NULL; i++) {
        struct mkv_shard_options shard;
        /* A part may be a group larger than its share of fewer units. */
        plan.parts[i].unit_count += MKV_SLAB_GROUP_UNITS;
        shard_options(options, &plan, i, &shard);
        shard.group = group;
        bytes += mkv_shard_metadata_bytes(&shard, (uint64_t)plan.parts[i].unit_count *
                                                      MKV_SLAB_UNIT_STRIDE_BYTES);
    }
    mkv_shard_group_destroy(group);
    return bytes;
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool refuse_memory(struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "no memory for the shards. Free memory on this machine");
}

static bool make_relay(struct mkv_shards *shards, const struct mkv_shard_options *options,
                       struct mkv_backend_error *error) {
    struct mkv_router_config *configs = calloc(shards->count, sizeof *configs);
    for (uint32_t i = 0; i < shards->count && configs != NULL; i++) {
        mkv_shard_router_config(&options[i], &configs[i]);
        const char *fault = mkv_router_config_fault(&configs[i]);
        if (fault != NULL) {
            free(configs);
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "the limits of requests and memory do not fit: %s", fault);
        }
    }
    if (configs != NULL) {
        shards->relay = mkv_shard_relay_create(configs, shards->count);
    }
    free(configs);
    return shards->relay != NULL || refuse_memory(error);
}

/* What several shards have in common, and what each has of it. */
static bool make_common(struct mkv_shards *shards, const struct mkv_shards_options *options,
                        struct mkv_shard_options *each, struct mkv_backend_error *error) {
    struct plan plan;
    struct mkv_arena *arena = options->shard.arena;
    const uint64_t block_bytes = (uint64_t)mkv_arena_unit_count(arena) * MKV_SLAB_UNIT_STRIDE_BYTES;
    if (!plan_make(options, mkv_arena_unit_count(arena), &plan)) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "the memory has no room for %" PRIu32
                                  " shards: their tables leave %" PRIu64
                                  " MiB of it for blocks, and each shard needs 34 MiB of that. Set "
                                  "fewer node.shards or a larger memory.max_size",
                                  shards->count, (uint64_t)(block_bytes / MKV_MIB));
    }
    shards->group = group_make(options, &plan);
    if (shards->group == NULL) {
        return refuse_memory(error);
    }
    for (uint32_t i = 0; i < shards->count; i++) {
        shards->parts[i] =
            mkv_arena_part(arena, plan.parts[i].unit_first, plan.parts[i].unit_count);
        if (shards->parts[i] == NULL) {
            return refuse_memory(error);
        }
        shard_options(options, &plan, i, &each[i]);
        each[i].arena = shards->parts[i];
        each[i].group = shards->group;
    }
    if (!make_relay(shards, each, error)) {
        return false;
    }
    shards->moves = mkv_shard_moves_create(shards->count);
    if (shards->moves == NULL) {
        return refuse_memory(error);
    }
    for (uint32_t i = 0; i < shards->count; i++) {
        each[i].relay = shards->relay;
        each[i].moves = shards->moves;
    }
    return true;
}

/* Those of shards that are not made: `from` on. */
static void close_media(const struct mkv_shards *shards, const struct mkv_shards_options *options,
                        uint32_t from) {
    for (uint32_t i = 0; i < options->shard.volume_count; i++) {
        if (shards == NULL || shards->group == NULL ||
            mkv_shard_group_shard_of(shards->group, i) >= from) {
            struct mkv_drive_media media = options->shard.volumes[i].media;
            mkv_drive_media_close(&media);
        }
    }
}

/* What one shard's fabric of RESP has. Its keys are those of all shards, so that the fabrics take
 * no more requests together than each front does, and what waits for its turn may lie in the memory
 * of one of them. */
static void resp_share(const struct mkv_shards_options *options,
                       struct mkv_fabric_resp_options *resp) {
    resp->connections_max = resp_each(options);
    resp->workspaces = places_each(resp->workspaces, options->count);
    resp->entries = (uint32_t)mkv_max_u64(1, resp->entries / options->count);
    resp->pipeline_max = (uint32_t)mkv_min_u64(resp->pipeline_max, resp->entries);
    resp->ahead_max /= options->count * options->count;
}

static bool make_shard(struct mkv_shards *shards, const struct mkv_shards_options *options,
                       struct mkv_shard_options *shard, uint32_t index,
                       struct mkv_backend_error *error) {
    struct mkv_fabric_tcp_options tcp = *options->shard.tcp;
    tcp.connections_max = tcp_each(options);
    tcp.connection_base = index * tcp.connections_max;
    tcp.share = index == 0 ? MKV_TCP_SHARED_FIRST : MKV_TCP_SHARED_NEXT;
    tcp.port = index == 0 ? tcp.port : mkv_shard_port(shards->shards[0]);
    shard->tcp = &tcp;
    struct mkv_lane_ports_options rdma;
    if (options->shard.rdma != NULL) {
        rdma = *options->shard.rdma;
        rdma.lanes_max = places_each(rdma.lanes_max, options->count);
        shard->rdma = &rdma;
    }
    struct mkv_fabric_resp_options resp;
    if (options->shard.resp != NULL) {
        resp = *options->shard.resp;
        resp_share(options, &resp);
        resp.share = tcp.share;
        resp.port = index == 0 ? resp.port : mkv_shard_resp_port(shards->shards[0]);
        shard->resp = &resp;
    }
    return mkv_shard_create(shard, &shards->shards[index], error);
}

static bool make_all(struct mkv_shards *shards, const struct mkv_shards_options *options,
                     struct mkv_backend_error *error) {
    struct mkv_shard_options *each = calloc(shards->count, sizeof *each);
    if (each == NULL || !make_common(shards, options, each, error)) {
        close_media(NULL, options, 0);
        const bool refused = each == NULL;
        free(each);
        return refused ? refuse_memory(error) : false;
    }
    for (uint32_t i = 0; i < shards->count; i++) {
        if (!make_shard(shards, options, &each[i], i, error)) {
            shards->shards[i] = NULL;
            close_media(shards, options, i + 1);
            free(each);
            return false;
        }
    }
    free(each);
    return true;
}

bool mkv_shards_create(const struct mkv_shards_options *options, struct mkv_shards **shards_out,
                       struct mkv_backend_error *error) {
    MKV_ASSERT(options->count >= 1);
    MKV_ASSERT(options->count <= MKV_SHARDS_MAX);
    struct mkv_shards *shards = calloc(1, sizeof *shards);
    struct mkv_shard_stats *scratch = calloc(1, sizeof *scratch);
    if (shards == NULL || scratch == NULL) {
        free(shards);
        free(scratch);
        close_media(NULL, options, 0);
        return refuse_memory(error);
    }
    shards->count = options->count;
    shards->scratch = scratch;
    pthread_mutex_init(&shards->mutex, NULL);
    const bool made = options->count == 1
                          ? mkv_shard_create(&options->shard, &shards->shards[0], error)
                          : make_all(shards, options, error);
    if (!made) {
        mkv_shards_destroy(shards);
        return false;
    }
    *shards_out = shards;
    return true;
}

void mkv_shards_destroy(struct mkv_shards *shards) {
    if (shards == NULL) {
        return;
    }
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_shard_destroy(shards->shards[i]);
    }
    mkv_shard_relay_destroy(shards->relay);
    mkv_shard_moves_destroy(shards->moves);
    mkv_shard_group_destroy(shards->group);
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_arena_destroy(shards->parts[i]);
    }
    pthread_mutex_destroy(&shards->mutex);
    free(shards->scratch);
    free(shards);
}

bool mkv_shards_start(struct mkv_shards *shards, struct mkv_backend_error *error) {
    for (uint32_t i = 0; i < shards->count; i++) {
        if (!mkv_shard_start(shards->shards[i], error)) {
            for (uint32_t started = 0; started < i; started++) {
                mkv_shard_group_abandon(shards->group);
                mkv_shard_close(shards->shards[started], 0);
                (void)mkv_shard_join(shards->shards[started]);
            }
            return false;
        }
    }
    return true;
}

uint32_t mkv_shards_wait_opened(struct mkv_shards *shards) {
    uint32_t serving = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        serving += mkv_shard_wait_opened(shards->shards[i]);
    }
    return serving;
}

void mkv_shards_close(struct mkv_shards *shards, uint64_t drain_ns) {
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_shard_close(shards->shards[i], drain_ns);
    }
}

bool mkv_shards_join(struct mkv_shards *shards) {
    bool clean = true;
    for (uint32_t i = 0; i < shards->count; i++) {
        clean = mkv_shard_join(shards->shards[i]) && clean;
    }
    return clean;
}

/* ---- questions ------------------------------------------------------------------------------- */

enum mkv_status mkv_shards_tenant_drop(struct mkv_shards *shards, const char *name,
                                       uint64_t wait_ns) {
    return mkv_shard_tenant_drop(shards->shards[0], name, wait_ns);
}

static struct mkv_shard *shard_of(const struct mkv_shards *shards, uint32_t volume) {
    return shards
        ->shards[shards->group == NULL ? 0 : mkv_shard_group_shard_of(shards->group, volume)];
}

enum mkv_status mkv_shards_ask(struct mkv_shards *shards, const struct mkv_message *message,
                               const uint8_t *data, uint64_t wait_ns,
                               struct mkv_shard_answer *answer) {
    return mkv_shard_ask(shard_of(shards, message->volume), message, data, wait_ns, answer);
}

enum mkv_status mkv_shards_inspect(struct mkv_shards *shards, const char *tenant,
                                   const uint8_t *key, uint32_t key_bytes, uint64_t wait_ns,
                                   struct mkv_shard_inspection *inspection) {
    /* Any shard knows where the key belongs; the one that has it knows the rest. */
    const enum mkv_status status =
        mkv_shard_inspect(shards->shards[0], tenant, key, key_bytes, wait_ns, inspection);
    if (status != MKV_STATUS_OK || inspection->front.volume == MKV_NONE_U32) {
        return status;
    }
    struct mkv_shard *owner = shard_of(shards, inspection->front.volume);
    return owner == shards->shards[0]
               ? status
               : mkv_shard_inspect(owner, tenant, key, key_bytes, wait_ns, inspection);
}

void mkv_shards_avoid(struct mkv_shards *shards, uint64_t volumes) {
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_shard_avoid(shards->shards[i], volumes);
    }
}

void mkv_shards_checkpoint(struct mkv_shards *shards) {
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_shard_checkpoint(shards->shards[i]);
    }
}

struct mkv_shard_group *mkv_shards_group(const struct mkv_shards *shards) {
    return mkv_shard_group_of(shards->shards[0]);
}

void mkv_shards_drain(struct mkv_shards *shards, uint64_t volumes) {
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_shard_drain(shards->shards[i], volumes);
    }
}

bool mkv_shards_drive_release(struct mkv_shards *shards, uint32_t volume, uint64_t wait_ns) {
    return mkv_shard_drive_release(shard_of(shards, volume), volume, wait_ns);
}

bool mkv_shards_drive_give(struct mkv_shards *shards, uint32_t volume,
                           const struct mkv_volume_config *config,
                           const struct mkv_drive_media *media, uint64_t wait_ns,
                           struct mkv_backend_error *error) {
    return mkv_shard_drive_give(shard_of(shards, volume), volume, config, media, wait_ns, error);
}

uint64_t mkv_shards_drive_room(const struct mkv_shards *shards, uint32_t volume,
                               const struct mkv_volume_config *config, uint64_t *needed) {
    return mkv_shard_drive_room(shard_of(shards, volume), volume, config, needed);
}

/* ---- figures --------------------------------------------------------------------------------- */

static void brief_of(const struct mkv_shard_stats *stats, struct mkv_shards_brief *brief) {
    *brief = (struct mkv_shards_brief){.connections = stats->fabric.connections_active};
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        brief->requests += stats->front.requests_started[op];
    }
    for (uint32_t i = 0; i < stats->volume_count; i++) {
        brief->blocks += stats->volumes[i].volume.blocks;
    }
}

static void add(struct mkv_shard_stats *sum, const struct mkv_shard_stats *of, uint32_t shard,
                struct mkv_shards_brief *briefs) {
    if (briefs != NULL) {
        brief_of(of, &briefs[shard]);
    }
    if (shard == 0) {
        *sum = *of;
    } else if (sum->volume_count == 0 || of->volume_count == 0) {
        sum->volume_count = 0; /* one has published nothing yet */
    } else {
        mkv_shard_stats_add(sum, of);
    }
}

void mkv_shards_stats(struct mkv_shards *shards, struct mkv_shard_stats *stats,
                      struct mkv_shards_brief *briefs) {
    pthread_mutex_lock(&shards->mutex);
    for (uint32_t i = 0; i < shards->count; i++) {
        mkv_shard_stats(shards->shards[i], shards->scratch);
        add(stats, shards->scratch, i, briefs);
    }
    pthread_mutex_unlock(&shards->mutex);
}

void mkv_shards_stats_within(struct mkv_shards *shards, const struct mkv_shard_stats *own,
                             struct mkv_shard_stats *stats, struct mkv_shards_brief *briefs) {
    struct mkv_shard_stats *copy = shards->count == 1 ? NULL : malloc(sizeof *copy);
    for (uint32_t i = 0; i < shards->count; i++) {
        if (i == own->shard || copy == NULL) {
            add(stats, own, i, briefs);
        } else {
            mkv_shard_published(shards->shards[i], copy);
            add(stats, copy, i, briefs);
        }
    }
    free(copy);
}

struct mkv_resp_calls *mkv_shards_resp_calls(const struct mkv_shards *shards, uint32_t shard) {
    MKV_ASSERT(shard < shards->count);
    return mkv_shard_resp_calls(shards->shards[shard]);
}

uint32_t mkv_shards_count(const struct mkv_shards *shards) {
    return shards->count;
}

const struct mkv_observer *mkv_shards_observer(const struct mkv_shards *shards, uint32_t shard) {
    MKV_ASSERT(shard < shards->count);
    return mkv_shard_observer(shards->shards[shard]);
}

uint64_t mkv_shards_round_ns(const struct mkv_shards *shards) {
    uint64_t round_ns = UINT64_MAX;
    for (uint32_t i = 0; i < shards->count; i++) {
        round_ns = mkv_min_u64(round_ns, mkv_shard_round_ns(shards->shards[i]));
    }
    return round_ns;
}

const char *mkv_shards_ring_mode(const struct mkv_shards *shards) {
    return mkv_shard_ring_mode(shards->shards[0]);
}

int mkv_shards_registration_error(const struct mkv_shards *shards) {
    int error_number = 0;
    for (uint32_t i = 0; i < shards->count && error_number == 0; i++) {
        error_number = mkv_shard_registration_error(shards->shards[i]);
    }
    return error_number;
}

uint16_t mkv_shards_port(const struct mkv_shards *shards) {
    return mkv_shard_port(shards->shards[0]);
}
