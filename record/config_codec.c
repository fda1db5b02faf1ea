/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configurations of the machines, which a replay builds them from, and drive sets.
 */
#include "core/drive_set.h"
#include "record/machine_codec.h"

/* As in machine_codec.c: whoever adds a field adds it below. */
_Static_assert(sizeof(struct mkv_front_config) == 1456,
               "every field is in mkv_record_front_config");
_Static_assert(sizeof(struct mkv_volume_config) == 1544,
               "every field is in mkv_record_volume_config");
_Static_assert(sizeof(struct mkv_geometry) == 32, "every field is in geometry()");
_Static_assert(sizeof(struct mkv_member) == 20, "every field is in member()");

static void member(struct mkv_codec *codec, struct mkv_member *member) {
    mkv_codec_raw(codec, member->uuid.bytes, sizeof member->uuid.bytes);
    mkv_codec_u32(codec, &member->weight);
}

/* A count of at most MKV_VOLUMES_MAX. */
static void volume_count(struct mkv_codec *codec, uint32_t *count) {
    mkv_codec_u32(codec, count);
    if (*count > MKV_VOLUMES_MAX) {
        codec->failed = true;
        *count = 0;
    }
}

void mkv_record_drive_set(struct mkv_codec *codec, struct mkv_drive_set *set) {
    mkv_codec_u64(codec, &set->version);
    mkv_codec_u64(codec, &set->version_before);
    mkv_codec_u64(codec, &set->word);
    volume_count(codec, &set->count);
    for (uint32_t index = 0; index < set->count; index++) {
        member(codec, &set->members[index]);
    }
}

void mkv_record_front_config(struct mkv_codec *codec, struct mkv_front_config *config) {
    volume_count(codec, &config->volume_count);
    for (uint32_t index = 0; index < config->volume_count; index++) {
        member(codec, &config->members[index]);
    }
    mkv_codec_u32(codec, &config->connections_max);
    mkv_codec_u32(codec, &config->requests_max);
    mkv_codec_u32(codec, &config->requests_per_connection_max);
    mkv_codec_u32(codec, &config->items_per_request_max);
    mkv_codec_u32(codec, &config->items_max);
    mkv_codec_u32(codec, &config->reservations_per_connection_max);
    mkv_codec_u32(codec, &config->segmented_max);
    mkv_codec_u32(codec, &config->volume_ops_max);
    for (uint32_t index = 0; index < config->volume_count; index++) {
        mkv_codec_bool(codec, &config->foreign[index]);
    }
    mkv_codec_u32(codec, &config->foreign_ops_max);
    mkv_codec_u32(codec, &config->slab_unit_first);
    mkv_codec_u32(codec, &config->slab_unit_count);
    mkv_codec_u32(codec, &config->slab_share_reads);
    mkv_codec_u32(codec, &config->slab_units_per_connection_max);
    mkv_codec_u32(codec, &config->memory_blocks_max);
    mkv_codec_u32(codec, &config->key_bytes_max);
    mkv_codec_u32(codec, &config->block_bytes_max);
    mkv_codec_u64(codec, &config->value_bytes_max);
    mkv_codec_u64(codec, &config->lookup_lease_ns);
    mkv_codec_u64(codec, &config->exists_lease_ns);
    mkv_codec_u64(codec, &config->transfer_grace_ns);
    mkv_codec_u64(codec, &config->segment_id_seed);
}

static void geometry(struct mkv_codec *codec, struct mkv_geometry *geometry) {
    mkv_codec_u64(codec, &geometry->capacity_units);
    mkv_codec_u32(codec, &geometry->ring_blocks);
    mkv_codec_u32(codec, &geometry->tenant_units);
    mkv_codec_u32(codec, &geometry->page_count);
    mkv_codec_u32(codec, &geometry->directory_units);
    mkv_codec_u32(codec, &geometry->extent_units);
    mkv_codec_u32(codec, &geometry->extent_count);
}

void mkv_record_volume_config(struct mkv_codec *codec, struct mkv_volume_config *config) {
    mkv_codec_u32(codec, &config->volume);
    mkv_codec_u64(codec, &config->capacity_units);
    geometry(codec, &config->geometry);
    mkv_codec_u32(codec, &config->ops_max);
    mkv_codec_u32(codec, &config->window_units);
    mkv_codec_u64(codec, &config->directory_commit_ns);
    mkv_codec_bool(codec, &config->trim);
    mkv_codec_u64(codec, &config->scrub_rate);
    mkv_codec_u64(codec, &config->lock_yield_ns);
    mkv_codec_u64(codec, &config->stall_ns);
    mkv_codec_u64(codec, &config->trim_idle_ns);
    mkv_codec_u64(codec, &config->idle_ns);
    mkv_codec_u64(codec, &config->empty_ns_max);
    mkv_codec_u64(codec, &config->empty_grain_ns);
    mkv_codec_u64(codec, &config->expiry_pass_ns);
    mkv_codec_u32(codec, &config->lease_max);
    mkv_codec_u32(codec, &config->lease_share);
    mkv_codec_bool(codec, &config->eviction);
    mkv_codec_bool(codec, &config->never_empties);
    mkv_codec_u32(codec, &config->ghost_count);
    mkv_codec_u32(codec, &config->evict_ready_divisor);
    mkv_codec_u32(codec, &config->step_pages);
    mkv_codec_u32(codec, &config->step_slots);
    mkv_codec_u32(codec, &config->step_clear_bytes);
    mkv_codec_u32(codec, &config->session_max);
    mkv_codec_u32(codec, &config->session_block_max);
    mkv_codec_u64(codec, &config->session_idle_ns);
    MKV_CODEC_ENUM(codec, mkv_admission, config->admission);
    mkv_codec_u64(codec, &config->write_limit);
    mkv_codec_raw(codec, config->store_uuid.bytes, sizeof config->store_uuid.bytes);
    mkv_codec_raw(codec, config->drive_uuid.bytes, sizeof config->drive_uuid.bytes);
    mkv_record_drive_set(codec, &config->drive_set);
}
