/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "sim/bundle.h"
#include "sim/content.h"
#include "sim/lanes_world.h"
#include "sim/shards_world.h"

#define FIELD(name, member, least, shrinks)                                                        \
    {                                                                                              \
        name, offsetof(struct mkv_shape, member), sizeof(((struct mkv_shape *)0)->member), least,  \
            shrinks                                                                                \
    }

static const struct mkv_shape_field fields[] = {
    FIELD("decisions", seed, 0, false),
    FIELD("world", world, 0, false),
    FIELD("crashes_max", crashes_max, 1, true),
    FIELD("turns_max", turns_max, 1, false),
    FIELD("crash_span", crash_span, 1, true),
    FIELD("share_cut", share_cut, 0, true),
    FIELD("share_kill", share_kill, 0, true),
    FIELD("keep_none", keep_weights[MKV_KEEP_NONE], 0, true),
    FIELD("keep_all", keep_weights[MKV_KEEP_ALL], 0, true),
    FIELD("keep_by_write", keep_weights[MKV_KEEP_BY_WRITE], 0, true),
    FIELD("keep_by_sector", keep_weights[MKV_KEEP_BY_SECTOR], 1, true),
    FIELD("share_pattern", share_pattern, 0, true),
    FIELD("volume_count", volume_count, 1, true),
    FIELD("shards", shards, 0, false),
    FIELD("ring_blocks", geometry.ring_blocks, MKV_RING_BLOCKS_MIN, true),
    FIELD("tenant_units", geometry.tenant_units, 1, true),
    FIELD("page_count", geometry.page_count, 1, true),
    FIELD("directory_units", geometry.directory_units, MKV_DIRECTORY_UNITS_MIN, true),
    FIELD("extent_units", geometry.extent_units, MKV_EXTENT_UNITS_MIN, true),
    FIELD("extent_count", geometry.extent_count, 1, true),
    FIELD("volatile_cache", profile.volatile_cache, 0, false),
    FIELD("tear_bytes", profile.tear_bytes, 64, false),
    FIELD("atomic_units", profile.atomic_units, 0, false),
    FIELD("discard", profile.discard, 0, true),
    FIELD("read_ns", profile.read_ns, 1, false),
    FIELD("write_ns", profile.write_ns, 1, false),
    FIELD("flush_ns", profile.flush_ns, 1, false),
    FIELD("window_units", window_units, 1, true),
    FIELD("step_pages", step_pages, 0, true),
    FIELD("step_slots", step_slots, 0, true),
    FIELD("step_clear_bytes", step_clear_bytes, 0, true),
    FIELD("idle_ns", idle_ns, 1, false),
    FIELD("empty_ns_max", empty_ns_max, 1, false),
    FIELD("empty_grain_ns", empty_grain_ns, 1, false),
    FIELD("trim", trim, 0, true),
    FIELD("trim_idle_ns", trim_idle_ns, 1, false),
    FIELD("directory_commit_ns", directory_commit_ns, 1, false),
    FIELD("key_count", key_count, 1, true),
    FIELD("colliding", colliding, 0, true),
    FIELD("long_keys", long_keys, 0, true),
    FIELD("length_max", length_max, MKV_UNIT_BYTES, true),
    FIELD("clients", clients, 1, true),
    FIELD("weight_put", weight_put, 1, false),
    FIELD("weight_get", weight_get, 0, true),
    FIELD("weight_exists", weight_exists, 0, true),
    FIELD("weight_delete", weight_delete, 0, true),
    FIELD("weight_checkpoint", weight_checkpoint, 0, true),
    FIELD("share_replace", share_replace, 0, true),
    FIELD("share_repeat", share_repeat, 0, true),
    FIELD("share_condition", share_condition, 0, true),
    FIELD("share_abort", share_abort, 0, true),
    FIELD("share_lease", share_lease, 0, true),
    FIELD("share_expiry", share_expiry, 0, true),
    FIELD("lease_ns_max", lease_ns_max, 0, false),
    FIELD("expiry_s_max", expiry_s_max, 0, false),
    FIELD("weight_expire", weight_expire, 0, true),
    FIELD("expiry_pass_ns", expiry_pass_ns, 0, false),
    FIELD("scrub_rate", scrub_rate, 0, true),
    FIELD("eviction", eviction, 0, true),
    FIELD("memory_blocks", memory_blocks, 0, true),
    FIELD("share_relaxed", share_relaxed, 0, true),
    FIELD("admission", admission, 0, true),
    FIELD("write_limit", write_limit, 0, true),
    FIELD("avoids", avoids, 0, true),
    FIELD("share_later", share_later, 0, true),
    FIELD("fronts", fronts, 0, true),
    FIELD("lock_yield_ns", lock_yield_ns, 0, true),
    FIELD("tenants", tenants, 0, true),
    FIELD("weight_tenant", weight_tenant, 0, true),
    FIELD("weight_list", weight_list, 0, true),
    FIELD("think_ns", think_ns, 1, false),
    FIELD("connections", connections, 1, true),
    FIELD("items_max", items_max, 1, true),
    FIELD("block_bytes_max", block_bytes_max, MKV_CHUNK_BYTES_MIN, false),
    FIELD("slabs", slabs, 1, false),
    FIELD("share_close", share_close, 0, true),
    FIELD("deadline_ns", deadline_ns, 1, false),
    FIELD("lane_message_bytes", lane_message_bytes, MKV_LANE_MESSAGE_BYTES_MIN, true),
    FIELD("lane_sends", lane_sends, 2, true),
    FIELD("lane_receives", lane_receives, MKV_LANE_CREDITS_MIN, true),
    FIELD("lane_transfers", lane_transfers, 1, true),
    FIELD("lane_reads", lane_reads, 1, true),
    FIELD("lane_turns", lane_turns, 1, true),
    FIELD("fault_checkpoints", faults.checkpoints, 0, true),
    FIELD("fault_scripted", faults.scripted, 0, false),
    FIELD("fault_first_at", faults.first_at, 0, false),
    FIELD("fault_second_at", faults.second_at, 0, true),
};
#define FIELDS ((uint32_t)(sizeof fields / sizeof fields[0]))

uint32_t mkv_shape_field_count(void) {
    return FIELDS;
}

const struct mkv_shape_field *mkv_shape_field_at(uint32_t index) {
    MKV_ASSERT(index < FIELDS);
    return &fields[index];
}

const struct mkv_shape_field *mkv_shape_field_find(const char *name) {
    for (uint32_t index = 0; index < FIELDS; index++) {
        if (strcmp(fields[index].name, name) == 0) {
            return &fields[index];
        }
    }
    return NULL;
}

uint64_t mkv_shape_field_get(const struct mkv_shape *shape, const struct mkv_shape_field *field) {
    const uint8_t *at = (const uint8_t *)shape + field->offset;
    if (field->bytes == 8) {
        uint64_t value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    if (field->bytes == 4) {
        uint32_t value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    return *at;
}

bool mkv_shape_field_set(struct mkv_shape *shape, const struct mkv_shape_field *field,
                         uint64_t value) {
    uint8_t *at = (uint8_t *)shape + field->offset;
    const uint32_t narrow = (uint32_t)value;
    if (field->bytes == 8) {
        memcpy(at, &value, sizeof value);
    } else if (field->bytes == 4 && value <= UINT32_MAX) {
        memcpy(at, &narrow, sizeof narrow);
    } else if (field->bytes == 1 && value <= 1) {
        *at = (uint8_t)value;
    } else {
        return false;
    }
    return true;
}

bool mkv_shape_sound(const struct mkv_shape *shape) {
    for (uint32_t index = 0; index < FIELDS; index++) {
        /* 0 is no limit of turns. */
        const uint64_t least =
            fields[index].offset == offsetof(struct mkv_shape, turns_max) ? 0 : fields[index].least;
        if (mkv_shape_field_get(shape, &fields[index]) < least) {
            return false;
        }
    }
    struct mkv_shape fitted = *shape;
    mkv_shape_fit(&fitted);
    const bool fronts = shape->world == MKV_WORLD_FRONT || shape->world == MKV_WORLD_SHARDS;
    const uint32_t nodes_max = shape->world == MKV_WORLD_VOLUME ? 1 : fronts ? 2 : 3;
    const uint32_t longest = (uint32_t)mkv_min_u64(shape->length_max, shape->block_bytes_max);
    return (uint32_t)shape->world < MKV_WORLD_COUNT && shape->volume_count <= nodes_max &&
           (shape->world != MKV_WORLD_SET || shape->volume_count >= 2) &&
           (shape->world != MKV_WORLD_SHARDS || shape->shards >= 1) &&
           mkv_lanes_shape_problem(shape) == NULL && shape->shards <= MKV_SHARDS_MAX &&
           shape->key_count <= MKV_CONTENT_KEYS_MAX && shape->colliding <= shape->key_count &&
           shape->clients <= 8 && shape->connections <= 4 && shape->fronts <= 3 &&
           shape->items_max <= 6 && shape->window_units <= 16 &&
           shape->length_max <= 36 * MKV_UNIT_BYTES && shape->length_max % MKV_UNIT_BYTES == 0 &&
           (uint32_t)shape->profile.discard <= MKV_DISCARD_ARBITRARY &&
           shape->geometry.page_count <= 128 && shape->geometry.extent_count <= 64 &&
           shape->geometry.extent_units <= 256 && shape->geometry.ring_blocks <= 64 &&
           shape->memory_blocks <= 16 && shape->scrub_rate <= 1ull << 40 &&
           (shape->share_lease == 0 || shape->lease_ns_max > 0) &&
           ((shape->share_expiry == 0 && shape->weight_expire == 0) || shape->expiry_s_max > 0) &&
           (shape->share_relaxed == 0 || shape->memory_blocks > 0) &&
           shape->admission <= MKV_ADMISSION_LIMIT && shape->write_limit <= 1ull << 40 &&
           shape->geometry.directory_units <= 64 && shape->geometry.tenant_units <= 4 &&
           (uint64_t)shape->geometry.extent_units * MKV_EXTENT_SPAN_MAX >
               longest / MKV_UNIT_BYTES &&
           mkv_geometry_valid(&fitted.geometry);
}
