/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/tiers.h"

#include <string.h>

#include "core/bytes.h"
#include "sim/failure.h"

#define TIER_SALT 0x71e5ull
#define SESSION_SALT 0x5e5510ull

static uint64_t mixed(const struct mkv_shape *shape, uint32_t key, struct mkv_root root,
                      uint64_t salt) {
    const uint64_t content = mkv_load_u64(root.bytes) ^ mkv_load_u64(root.bytes + 8);
    return mkv_random_mix(mkv_random_mix(shape->seed ^ salt ^ content) + key);
}

uint32_t mkv_tiers_hint(const struct mkv_shape *shape, uint32_t key, struct mkv_root root) {
    const uint64_t draw = mixed(shape, key, root, TIER_SALT);
    if (draw % 16 >= shape->share_tier) {
        return 0;
    }
    return 1 + (uint32_t)(draw / 16 % MKV_TIER_HINT_MAX);
}

uint64_t mkv_tiers_session_of(const struct mkv_shape *shape, uint32_t key, struct mkv_root root) {
    return shape->share_tier == 0
               ? 0
               : mixed(shape, key, root, SESSION_SALT) % (shape->session_count + 1);
}

enum mkv_session_action mkv_tiers_draw_action(struct mkv_random *random) {
    /* Its end is an eighth of what a session is told, and as often its blocks leave. */
    static const enum mkv_session_action actions[] = {
        MKV_SESSION_BEGIN,      MKV_SESSION_BEGIN,      MKV_SESSION_EXIT_THINK,
        MKV_SESSION_EXIT_THINK, MKV_SESSION_EXIT_THINK, MKV_SESSION_EXIT_THINK,
        MKV_SESSION_END,        MKV_SESSION_FREE};
    return actions[mkv_random_below(random, 8)];
}

void mkv_tiers_init(struct mkv_tiers *tiers, struct mkv_memory *memory,
                    const struct mkv_shape *shape, const struct mkv_watch *watch) {
    memset(tiers, 0, sizeof *tiers);
    tiers->shape = shape;
    tiers->watch = watch;
    tiers->slot_count = watch->slot_count;
    tiers->must = mkv_memory_take(memory, tiers->slot_count * sizeof *tiers->must, 8);
}

/* What the watch knows of the block; NULL when that is not whose it is, or a part of a value. */
static const struct mkv_watch_slot *known(const struct mkv_tiers *tiers,
                                          const struct mkv_volume_block *block) {
    MKV_ASSERT(block->slot.index < tiers->slot_count);
    const struct mkv_watch_slot *slot = &tiers->watch->slots[block->slot.index];
    const bool is_same = block->block_flags == 0 && slot->key != MKV_NONE_U32 &&
                         slot->record != MKV_WATCH_RECORD_NONE &&
                         (uint32_t)slot->generation == block->generation_low;
    return is_same ? slot : NULL;
}

static enum mkv_tier tier_of(const struct mkv_tiers *tiers, const struct mkv_watch_slot *slot) {
    return mkv_tier_of_hint(mkv_tiers_hint(tiers->shape, slot->key, slot->root));
}

void mkv_tiers_serving(struct mkv_tiers *tiers, const struct mkv_volume *volume) {
    if (tiers->shape->share_tier == 0) {
        return;
    }
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume, &stats);
    tiers->generation_served = stats.generation_counter;
    memset(tiers->exits, 0, sizeof tiers->exits);
    memset(tiers->ends, 0, sizeof tiers->ends);
    memset(tiers->frees, 0, sizeof tiers->frees);
    memset(tiers->must, 0, tiers->slot_count * sizeof *tiers->must);
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        const struct mkv_watch_slot *slot = known(tiers, &block);
        if (slot == NULL || tiers->watch->blind) {
            continue;
        }
        tiers->evaluations++;
        if (block.tier != tier_of(tiers, slot) || block.tier_put != block.tier) {
            mkv_fail(MKV_ORACLE_STATE,
                     "slot %u holds key %u in tier %u, its put's by the volume is %u, and it is %u",
                     block.slot.index, slot->key, (unsigned)block.tier, (unsigned)block.tier_put,
                     (unsigned)tier_of(tiers, slot));
        }
    }
}

/* Whether the block was stored in this life of the process. */
static bool is_of_this_life(const struct mkv_tiers *tiers, const struct mkv_watch_slot *slot) {
    return mkv_generation_counter((struct mkv_generation){slot->generation}) >
           tiers->generation_served;
}

void mkv_tiers_asked(struct mkv_tiers *tiers, enum mkv_session_action action, uint64_t session,
                     bool second) {
    if (action == MKV_SESSION_EXIT_THINK) {
        tiers->exits[second][session]++;
    } else if (action != MKV_SESSION_BEGIN) {
        tiers->ends[second][session]++;
        tiers->frees[second][session] += action == MKV_SESSION_FREE;
    }
}

void mkv_tiers_told(struct mkv_tiers *tiers, const struct mkv_volume *volume,
                    enum mkv_session_action action, uint64_t session, uint32_t tenant) {
    const bool exits = action == MKV_SESSION_EXIT_THINK;
    if (action == MKV_SESSION_BEGIN) {
        return;
    }
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume, &stats);
    if (stats.sessions_untracked_total + stats.session_blocks_untracked_total > 0) {
        return; /* it may not know of all of them */
    }
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        const struct mkv_watch_slot *slot = known(tiers, &block);
        if (slot != NULL && !block.hidden && block.tenant == tenant &&
            is_of_this_life(tiers, slot) &&
            mkv_tiers_session_of(tiers->shape, slot->key, slot->root) == session &&
            (!exits || tier_of(tiers, slot) == MKV_TIER_THINK_ACTIVE)) {
            tiers->must[block.slot.index] = block.generation_low;
        }
    }
}

/* ---- the order of eviction ------------------------------------------------------------------- */

static bool find_block(const struct mkv_volume *volume, uint32_t slot,
                       struct mkv_volume_block *block) {
    uint32_t cursor = slot;
    return mkv_volume_next_block(volume, &cursor, block) && block->slot.index == slot;
}

/* Whoever is evicted with a session belongs to one that was to free its blocks. */
static void check_freed(struct mkv_tiers *tiers, const struct mkv_volume_block *block) {
    const struct mkv_watch_slot *slot = known(tiers, block);
    if (slot == NULL) {
        return;
    }
    const uint64_t session = mkv_tiers_session_of(tiers->shape, slot->key, slot->root);
    const bool second = block->tenant != MKV_TENANT_DEFAULT;
    tiers->evaluations++;
    if (session == 0 || !is_of_this_life(tiers, slot) || tiers->frees[second][session] == 0) {
        mkv_fail(MKV_ORACLE_STATE,
                 "slot %u holds key %u of session %llu, and is freed with another",
                 block->slot.index, slot->key, (unsigned long long)session);
    }
}

void mkv_tiers_evicted(struct mkv_tiers *tiers, const struct mkv_volume *volume,
                       const struct mkv_event *event, bool at_once) {
    const struct mkv_shape *shape = tiers->shape;
    struct mkv_volume_block victim;
    if (shape->share_tier == 0) {
        return;
    }
    if (event->value[2] == MKV_EVICTION_BY_SESSION &&
        find_block(volume, (uint32_t)event->value[0], &victim)) {
        check_freed(tiers, &victim);
    }
    if (event->value[2] != MKV_EVICTION_FOR_ROOM || !at_once || shape->share_lease > 0 ||
        !find_block(volume, (uint32_t)event->value[0], &victim)) {
        return;
    }
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    tiers->evaluations++;
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        if (block.slot_units == victim.slot_units && block.tier < victim.tier && !block.hidden &&
            !block.held && !block.leaving) {
            mkv_fail(
                MKV_ORACLE_STATE, "slot %u of tier %u makes room, and slot %u of tier %u may leave",
                victim.slot.index, (unsigned)victim.tier, block.slot.index, (unsigned)block.tier);
        }
    }
}

/* ---- while it serves ------------------------------------------------------------------------- */

/* Whether something that the block's session was told moves it to think complete. */
static bool has_reason(const struct mkv_tiers *tiers, const struct mkv_volume_stats *stats,
                       const struct mkv_volume_block *block, const struct mkv_watch_slot *slot) {
    const uint64_t session = mkv_tiers_session_of(tiers->shape, slot->key, slot->root);
    const bool second = block->tenant != MKV_TENANT_DEFAULT;
    if (session == 0 || !is_of_this_life(tiers, slot)) {
        return false;
    }
    return stats->sessions_reaped_total > 0 || tiers->ends[second][session] > 0 ||
           (tiers->exits[second][session] > 0 && block->tier_put == MKV_TIER_THINK_ACTIVE);
}

void mkv_tiers_check(struct mkv_tiers *tiers, const struct mkv_volume *volume) {
    if (tiers->shape->share_tier == 0 || tiers->watch->blind) {
        return;
    }
    mkv_volume_check(volume);
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume, &stats);
    /* What is freed with its session may wait for its turn, in its tier. */
    const bool is_done = !stats.session_work && mkv_volume_evictions_waiting(volume) == 0;
    struct mkv_volume_block block;
    uint32_t cursor = 0;
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        const struct mkv_watch_slot *slot = known(tiers, &block);
        if (slot == NULL || block.hidden) {
            continue;
        }
        tiers->evaluations++;
        const bool moved = block.tier != block.tier_put;
        if (block.tier_put != tier_of(tiers, slot) ||
            (moved &&
             (block.tier != MKV_TIER_THINK_COMPLETE || !has_reason(tiers, &stats, &block, slot)))) {
            mkv_fail(
                MKV_ORACLE_STATE, "slot %u holds key %u in tier %u for no reason, its put's is %u",
                block.slot.index, slot->key, (unsigned)block.tier, (unsigned)tier_of(tiers, slot));
        }
        if (is_done && tiers->must[block.slot.index] == block.generation_low &&
            block.generation_low != 0 && block.tier != MKV_TIER_THINK_COMPLETE) {
            mkv_fail(MKV_ORACLE_STATE, "slot %u holds key %u in tier %u, and its session was over",
                     block.slot.index, slot->key, (unsigned)block.tier);
        }
    }
}
