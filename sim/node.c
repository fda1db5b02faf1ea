/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/node.h"

#include <string.h>

#include "core/bytes.h"
#include "sim/failure.h"

#define EFFECTS_AT_ONCE 16u

static struct mkv_uuid uuid_of(uint64_t seed, uint64_t number) {
    struct mkv_uuid uuid;
    mkv_store_u64(uuid.bytes, mkv_random_mix(seed + 1));
    mkv_store_u64(uuid.bytes + 8, mkv_random_mix(seed + number));
    return uuid;
}

void mkv_node_init(struct mkv_node *node, struct mkv_memory *memory,
                   const struct mkv_node_options *options) {
    const struct mkv_shape *shape = options->shape;
    *node = (struct mkv_node){.options = *options};
    struct mkv_volume_config *config = &node->config;
    config->volume = options->volume;
    config->capacity_units = shape->geometry.capacity_units;
    config->geometry = shape->geometry;
    config->ops_max = options->ops_max;
    config->window_units = shape->window_units;
    config->step_pages = shape->step_pages;
    config->step_slots = shape->step_slots;
    config->step_clear_bytes = shape->step_clear_bytes;
    config->idle_ns = shape->idle_ns;
    config->empty_ns_max = shape->empty_ns_max;
    config->empty_grain_ns = shape->empty_grain_ns;
    config->expiry_pass_ns = shape->expiry_pass_ns;
    config->stall_ns = MKV_FAULT_STALL_NS;
    config->directory_commit_ns = shape->directory_commit_ns;
    config->trim = shape->trim;
    config->trim_idle_ns = shape->trim_idle_ns;
    config->eviction = shape->eviction;
    config->ghost_count = shape->ghost_count;
    config->evict_ready_divisor = shape->evict_ready_divisor;
    config->lock_yield_ns = shape->lock_yield_ns;
    config->scrub_rate = shape->scrub_rate;
    config->admission = (enum mkv_admission)shape->admission;
    config->write_limit = shape->write_limit;
    config->session_max = shape->session_max;
    config->session_block_max = shape->session_block_max;
    config->session_idle_ns = shape->session_idle_ns;
    config->store_uuid = uuid_of(shape->seed, 100);
    config->drive_uuid = uuid_of(shape->seed, options->volume);
    config->drive_set.version = MKV_DRIVE_SET_VERSION_FIRST;
    for (uint32_t member = 0; member < shape->volume_count; member++) {
        mkv_drive_set_add(&config->drive_set, (struct mkv_member){uuid_of(shape->seed, member), 1});
    }
    node->arena_bytes = mkv_volume_memory_required(config);
    node->arena = mkv_memory_take(memory, node->arena_bytes, MKV_UNIT_BYTES);
    node->drive =
        mkv_drive_sim_create(memory, &shape->profile, &options->drive_random, options->guard);
    mkv_drive_sim_set_faults(node->drive, memory, options->faults);
    mkv_watch_init(&node->watch, memory, options->content, &shape->geometry);
}

void mkv_node_start(struct mkv_node *node, int pattern, enum mkv_fault_opening opening) {
    if (pattern >= 0) {
        memset(node->arena, pattern, node->arena_bytes);
    }
    struct mkv_volume_config config = node->config;
    config.capacity_units = node->options.faults->end_unit;
    if (opening == MKV_OPENING_SWAPPED) {
        /* That another drive is here, or that another one should be, is the same to the volume. */
        config.drive_uuid = uuid_of(node->options.shape->seed, MKV_VOLUMES_MAX);
    }
    node->failed = false;
    node->opening = opening;
    node->volume = mkv_volume_init(node->arena, node->arena_bytes, &config);
    const struct mkv_drive_memory_map map = {
        .arena = mkv_volume_arena(node->volume),
        .arena_bytes = node->arena_bytes,
        .slabs = node->options.slabs,
        .slabs_bytes = node->options.slabs_bytes,
        .slab_stride = node->options.slab_stride,
    };
    mkv_drive_sim_attach(node->drive, &map);
}

void mkv_node_crash(struct mkv_node *node, enum mkv_crash_kind kind, enum mkv_crash_keep keep) {
    mkv_drive_sim_crash(node->drive, kind, keep);
    mkv_watch_crash(&node->watch);
    node->volume = NULL;
}

/* What is too small, or another drive, is left as it is: it may be somebody's. */
static void refuse_writes(const struct mkv_node *node, enum mkv_effect_kind kind) {
    const bool refused =
        node->opening == MKV_OPENING_SHRUNK || node->opening == MKV_OPENING_SWAPPED;
    if (refused && (kind == MKV_EFFECT_DRIVE_WRITE || kind == MKV_EFFECT_DRIVE_TRIM)) {
        mkv_fail(MKV_ORACLE_OVERWRITE, "volume %u writes to a drive that is %s",
                 node->options.volume,
                 node->opening == MKV_OPENING_SHRUNK ? "too small" : "another one");
    }
}

static void carry_out(struct mkv_node *node, const struct mkv_effect *effect) {
    const struct mkv_node_options *options = &node->options;
    const uint8_t *base = mkv_volume_arena(node->volume);
    mkv_trace_effect(options->trace, options->volume, effect, base);
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM: {
        if (node->failed) {
            mkv_fail(MKV_ORACLE_OVERWRITE, "volume %u goes on with a drive that it has given up",
                     options->volume);
        }
        refuse_writes(node, effect->kind);
        const uint32_t token = mkv_watch_effect(&node->watch, effect, base);
        mkv_drive_sim_submit(node->drive, effect, token, node->now_ns);
        if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
            mkv_trace_word(options->trace, mkv_drive_sim_last_write_hash(node->drive));
        }
        break;
    }
    case MKV_EFFECT_MESSAGE:
        options->on_message(options->lives, options->volume, &effect->message,
                            base + effect->message.data_offset);
        break;
    case MKV_EFFECT_EVENT:
        options->on_event(options->lives, options->volume, &effect->event);
        break;
    case MKV_EFFECT_FAIL_DRIVE:
        node->failed = true;
        if (options->faults->errors_life == 0) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u gives up its drive, which failed no operation",
                     options->volume);
        }
        break;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
    case MKV_EFFECT_ANSWER:
    case MKV_EFFECT_BREAK:
    case MKV_EFFECT_REQUEST_ENDED:
        MKV_ASSERT(false); /* the front's */
        break;
    }
}

enum mkv_err mkv_node_step(struct mkv_node *node, struct mkv_input *input, uint64_t now_ns) {
    const struct mkv_node_options *options = &node->options;
    if (mkv_fuse_burn(options->fuse)) {
        return MKV_OK;
    }
    node->now_ns = now_ns;
    input->now_ns = now_ns;
    input->wall_ms = mkv_wall_ms(now_ns);
    mkv_trace_input(options->trace, options->volume, input);
    node->evicts_at_once =
        options->shape->share_tier > 0 && mkv_volume_evictions_waiting(node->volume) == 0;
    const enum mkv_err err = mkv_volume_step(node->volume, input);
    struct mkv_effect effects[EFFECTS_AT_ONCE];
    uint32_t count = 0;
    while ((count = mkv_volume_effects(node->volume, effects, EFFECTS_AT_ONCE)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            if (mkv_fuse_burn(options->fuse)) {
                return err;
            }
            carry_out(node, &effects[index]);
        }
    }
    return err;
}

enum mkv_err mkv_node_admin(struct mkv_node *node, enum mkv_admin_command command,
                            uint64_t now_ns) {
    struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = command};
    return mkv_node_step(node, &input, now_ns);
}

void mkv_node_tick(struct mkv_node *node, uint64_t now_ns) {
    struct mkv_input input = {.kind = MKV_INPUT_TICK};
    (void)mkv_node_step(node, &input, now_ns);
}

void mkv_node_complete(struct mkv_node *node, uint64_t now_ns) {
    struct mkv_drive_sim_done done;
    mkv_drive_sim_complete(node->drive, &done);
    mkv_watch_completed(&node->watch, done.kind, done.token, done.done.result == MKV_IO_OK);
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE, .drive = done.done};
    (void)mkv_node_step(node, &input, now_ns);
}
