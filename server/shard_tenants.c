/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenants of a shard: its thread tells the volumes their names, and drops them there.
 */
#include <stdlib.h>
#include <string.h>

#include "server/shard_internal.h"

bool mkv_shard_tenants_make(struct mkv_shard *shard, const struct mkv_shard_options *options) {
    MKV_ASSERT(options->quota_count <= MKV_TENANT_QUOTAS_MAX);
    uint64_t volume_bytes[MKV_VOLUMES_MAX];
    for (uint32_t i = 0; i < options->volume_count; i++) {
        volume_bytes[i] =
            mkv_geometry_usable_units(&options->volumes[i].config.geometry) * MKV_UNIT_BYTES;
    }
    shard->tenants = calloc(1, sizeof *shard->tenants);
    if (shard->tenants == NULL) {
        return false;
    }
    mkv_tenant_names_init(shard->tenants, options->volume_count, volume_bytes);
    for (uint32_t i = 0; i < options->quota_count; i++) {
        const bool taken = mkv_tenant_names_quota(shard->tenants, options->quotas[i].name,
                                                  options->quotas[i].bytes);
        MKV_ASSERT(taken);
    }
    return true;
}

static void volume_serves(struct mkv_shard *shard, uint32_t index) {
    const struct mkv_volume *volume = shard->volumes[index].volume;
    struct mkv_volume_tenant tenant;
    uint32_t cursor = 0;
    mkv_tenant_names_volume_begin(shard->tenants, index);
    while (mkv_volume_next_tenant(volume, &cursor, &tenant)) {
        if (tenant.live) {
            mkv_tenant_names_learn(shard->tenants, index, tenant.id, tenant.name,
                                   tenant.name_bytes);
        }
    }
    mkv_tenant_names_volume_serves(shard->tenants, index, mkv_volume_tenant_id_max(volume));
}

void mkv_shard_tenants_event(struct mkv_shard *shard, uint32_t volume,
                             const struct mkv_event *event) {
    if (event->kind == MKV_EVENT_OPENED) {
        volume_serves(shard, volume);
    } else if (event->kind == MKV_EVENT_DRIVE_FAILED || event->kind == MKV_EVENT_CLOSED) {
        mkv_tenant_names_volume_lost(shard->tenants, volume);
    } else if (event->kind == MKV_EVENT_TENANT_SWEPT) {
        mkv_tenant_names_volume_swept(shard->tenants, volume);
    }
}

void mkv_shard_tenants_done(void *context, const struct mkv_message *message) {
    struct mkv_shard *shard = context;
    mkv_tenant_names_done(shard->tenants, message);
}

enum mkv_tenant_resolved mkv_shard_tenants_resolve(void *context, const char *name, bool create,
                                                   uint32_t *id) {
    struct mkv_shard *shard = context;
    return mkv_tenant_names_resolve(shard->tenants, name, create, id);
}

void mkv_shard_tenants_name(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]) {
    const struct mkv_shard *shard = context;
    const uint32_t index =
        id == MKV_NONE_U32 ? MKV_NONE_U32 : mkv_tenant_names_find(shard->tenants, id);
    memset(name, 0, MKV_ADMIN_TENANT_BYTES);
    if (index != MKV_NONE_U32) {
        const struct mkv_tenant_entry *entry = &shard->tenants->entries[index];
        memcpy(name, entry->name, entry->name_bytes);
    }
}

/* ---- drops that other threads ask for -------------------------------------------------------- */

static void drop_begin(struct mkv_shard *shard) {
    const enum mkv_status status = mkv_tenant_names_drop(shard->tenants, shard->drop_name);
    shard->drop = status == MKV_STATUS_OK ? SHARD_DROP_BEGUN : SHARD_DROP_DONE;
    shard->drop_status = status;
}

static void drop_advance(struct mkv_shard *shard) {
    if (!atomic_load_explicit(&shard->drop_wanted, memory_order_acquire)) {
        return;
    }
    if (pthread_mutex_trylock(&shard->mutex) != 0) {
        return; /* in a later round: there is one at every tick */
    }
    if (shard->drop == SHARD_DROP_WANTED) {
        drop_begin(shard);
    }
    if (shard->drop == SHARD_DROP_BEGUN &&
        mkv_tenant_names_dropped(shard->tenants, &shard->drop_status)) {
        shard->drop = SHARD_DROP_DONE;
    }
    if (shard->drop == SHARD_DROP_DONE || shard->drop == SHARD_DROP_NONE) {
        atomic_store_explicit(&shard->drop_wanted, false, memory_order_release);
        pthread_cond_broadcast(&shard->changed);
    }
    pthread_mutex_unlock(&shard->mutex);
}

void mkv_shard_tenants_advance(struct mkv_shard *shard) {
    drop_advance(shard);
    struct mkv_message message;
    const char *name;
    while (mkv_tenant_names_next(shard->tenants, &message, &name)) {
        mkv_pump_tenant(shard->pump, &message, name);
    }
}

/* ---- figures --------------------------------------------------------------------------------- */

/* Adds what one volume has to the tenants, which stand in the order of their numbers. */
static void collect_volume(const struct mkv_shard *shard, uint32_t index,
                           const uint32_t places[MKV_TENANT_NAMES_MAX],
                           struct mkv_shard_stats *stats) {
    struct mkv_volume_tenant tenant;
    uint32_t cursor = 0;
    while (mkv_volume_next_tenant(shard->volumes[index].volume, &cursor, &tenant)) {
        const uint32_t entry = mkv_tenant_names_find(shard->tenants, tenant.id);
        if (entry != MKV_NONE_U32 && places[entry] != MKV_NONE_U32) {
            struct mkv_shard_tenant_stats *target = &stats->tenants[places[entry]];
            target->blocks += tenant.blocks;
            target->bytes += tenant.bytes;
            target->writes_total += tenant.writes_total;
            target->quota_rejections_total += tenant.quota_rejections_total;
            target->evicted_total += tenant.evicted_total;
            target->evictions_caused_total += tenant.evictions_caused_total;
        }
    }
}

/* What clients asked for, by tenant; what is of none that is listed goes to the others. */
static void collect_front(const struct mkv_shard *shard,
                          const uint32_t places[MKV_TENANT_NAMES_MAX],
                          struct mkv_shard_stats *stats) {
    struct mkv_front_tenant row;
    uint32_t cursor = 0;
    stats->tenants_other = (struct mkv_front_tenant){0};
    while (mkv_front_next_tenant(shard->front, &cursor, &row)) {
        const uint32_t entry =
            row.id == MKV_NONE_U32 ? MKV_NONE_U32 : mkv_tenant_names_find(shard->tenants, row.id);
        const bool listed = entry != MKV_NONE_U32 && places[entry] != MKV_NONE_U32;
        struct mkv_front_tenant *target =
            listed ? &stats->tenants[places[entry]].asked : &stats->tenants_other;
        target->keys_from_memory += row.keys_from_memory;
        target->keys_from_drive += row.keys_from_drive;
        target->keys_missed += row.keys_missed;
        target->bytes_in += row.bytes_in;
        target->bytes_out += row.bytes_out;
        if (listed) {
            stats->tenants[places[entry]].asked_apart = true;
        }
    }
    /* Behind the last one stands the row of all others: who is not among those before has asked for
     * nothing yet, unless there is no room left for a row. */
    if (cursor <= MKV_FRONT_TENANTS_MAX) {
        for (uint32_t index = 0; index < stats->tenant_count; index++) {
            stats->tenants[index].asked_apart = true;
        }
    }
}

void mkv_shard_tenants_collect(const struct mkv_shard *shard, struct mkv_shard_stats *stats) {
    const struct mkv_tenant_names *names = shard->tenants;
    uint32_t places[MKV_TENANT_NAMES_MAX];
    stats->tenant_count = 0;
    for (uint32_t index = 0; index < names->count; index++) {
        const struct mkv_tenant_entry *entry = &names->entries[index];
        places[index] = entry->dropping ? MKV_NONE_U32 : stats->tenant_count;
        if (entry->dropping) {
            continue;
        }
        struct mkv_shard_tenant_stats *target = &stats->tenants[stats->tenant_count++];
        *target = (struct mkv_shard_tenant_stats){
            .id = entry->id,
            .quota_bytes = mkv_tenant_names_quota_of(names, entry->name),
        };
        memcpy(target->name, entry->name, entry->name_bytes);
    }
    for (uint32_t index = 0; index < shard->volume_count; index++) {
        /* A drive that was lost has counted, and counters never go back. */
        if ((names->serving >> index & 1) != 0 ||
            stats->volumes[index].volume.state == MKV_VOLUME_FAILED) {
            collect_volume(shard, index, places, stats);
        }
    }
    collect_front(shard, places, stats);
}
