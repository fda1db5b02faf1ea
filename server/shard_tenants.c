/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenants of a shard: numbers of names, which it keeps as long as the group's names have not
 * changed, and what each of them has.
 */
#include <stdlib.h>
#include <string.h>

#include "server/shard_internal.h"

void mkv_shard_tenants_done(void *context, const struct mkv_message *message) {
    struct mkv_shard *shard = context;
    mkv_shard_group_tenant_done(shard->group, shard->index, message);
}

static struct shard_tenant *kept_at(struct mkv_shard *shard, const char *name) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *byte = name; *byte != '\0'; byte++) {
        hash = (hash ^ (uint8_t)*byte) * 16777619u;
    }
    return &shard->tenants_kept[hash % SHARD_TENANTS_KEPT];
}

enum mkv_tenant_resolved mkv_shard_tenants_resolve(void *context, const char *name, bool create,
                                                   uint32_t *id) {
    struct mkv_shard *shard = context;
    struct shard_tenant *kept = kept_at(shard, name);
    if (kept->version == mkv_shard_group_version(shard->group) && (kept->everywhere || !create) &&
        strcmp(kept->name, name) == 0) {
        *id = kept->id;
        return MKV_TENANT_KNOWN;
    }
    uint64_t version;
    const enum mkv_tenant_resolved resolved =
        mkv_shard_group_resolve(shard->group, shard->index, name, create, id, &version);
    if (resolved == MKV_TENANT_KNOWN) {
        *kept = (struct shard_tenant){.id = *id, .everywhere = create, .version = version};
        memcpy(kept->name, name, strlen(name) + 1);
    }
    return resolved;
}

void mkv_shard_tenants_name(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]) {
    const struct mkv_shard *shard = context;
    memset(name, 0, MKV_ADMIN_TENANT_BYTES);
    if (id == MKV_NONE_U32) {
        return;
    }
    const struct mkv_tenant_names *names = mkv_shard_group_names_lock(shard->group);
    const uint32_t index = mkv_tenant_names_find(names, id);
    if (index != MKV_NONE_U32) {
        memcpy(name, names->entries[index].name, names->entries[index].name_bytes);
    }
    mkv_shard_group_names_unlock(shard->group);
}

/* ---- figures --------------------------------------------------------------------------------- */

/* Adds what one volume has to the tenants, which stand in the order of their numbers. */
static void collect_volume(const struct mkv_shard *shard, const struct mkv_tenant_names *names,
                           uint32_t index, const uint32_t places[MKV_TENANT_NAMES_MAX],
                           struct mkv_shard_stats *stats) {
    struct mkv_volume_tenant tenant;
    uint32_t cursor = 0;
    while (mkv_volume_next_tenant(shard->volumes[index].volume, &cursor, &tenant)) {
        const uint32_t entry = mkv_tenant_names_find(names, tenant.id);
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
static void collect_front(const struct mkv_shard *shard, const struct mkv_tenant_names *names,
                          const uint32_t places[MKV_TENANT_NAMES_MAX],
                          struct mkv_shard_stats *stats) {
    struct mkv_front_tenant row;
    uint32_t cursor = 0;
    stats->tenants_other = (struct mkv_front_tenant){0};
    while (mkv_front_next_tenant(shard->front, &cursor, &row)) {
        const uint32_t entry =
            row.id == MKV_NONE_U32 ? MKV_NONE_U32 : mkv_tenant_names_find(names, row.id);
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
    const struct mkv_tenant_names *names = mkv_shard_group_names_lock(shard->group);
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
        if (shard->volumes[index].volume == NULL) {
            continue;
        }
        if ((names->serving >> index & 1) != 0 ||
            stats->volumes[index].volume.state == MKV_VOLUME_FAILED) {
            collect_volume(shard, names, index, places, stats);
        }
    }
    collect_front(shard, names, places, stats);
    mkv_shard_group_names_unlock(shard->group);
}
