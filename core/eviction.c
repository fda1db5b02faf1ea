/* SPDX-License-Identifier: Apache-2.0 */
#include "core/eviction.h"

#include <string.h>

#include "core/eviction_internal.h"

#define GHOST_SLOTS_PER_GHOST 8u
#define GHOSTS_MIN 8192u
#define GHOSTS_MAX (1u << 20)

/* ---- memory ---------------------------------------------------------------------------------- */

struct layout {
    uint64_t extents, classes, ghosts, end;
    uint32_t ghost_count;
};

static struct layout layout_of(const struct mkv_eviction_config *config) {
    struct layout layout;
    layout.ghost_count =
        (uint32_t)mkv_round_up_u64(mkv_max_u64(config->ghost_count, 1), MKV_EVICTION_GHOST_WAYS);
    layout.extents = mkv_round_up_u64(sizeof(struct mkv_eviction), 64);
    uint64_t at = layout.extents + (uint64_t)config->extent_count * sizeof(struct eviction_extent);
    layout.classes = mkv_round_up_u64(at, 64);
    at = layout.classes + (uint64_t)config->class_count * sizeof(struct eviction_class);
    layout.ghosts = mkv_round_up_u64(at, 64);
    at = layout.ghosts + (uint64_t)layout.ghost_count * sizeof(uint32_t);
    layout.end = mkv_round_up_u64(at, 64);
    return layout;
}

uint32_t mkv_eviction_ghosts_for(uint64_t slot_count) {
    MKV_ASSERT(slot_count <= UINT32_MAX);
    const uint64_t wanted = mkv_max_u64(slot_count / GHOST_SLOTS_PER_GHOST, GHOSTS_MIN);
    return (uint32_t)mkv_min_u64(wanted, GHOSTS_MAX);
}

size_t mkv_eviction_memory_required(const struct mkv_eviction_config *config) {
    return (size_t)layout_of(config).end;
}

void mkv_eviction_init(struct mkv_eviction *eviction, const struct mkv_eviction_config *config) {
    MKV_ASSERT(config->extent_count > 0);
    MKV_ASSERT(config->class_count > 0);
    MKV_ASSERT(config->class_count <= MKV_EVICTION_CLASSES_MAX);
    const struct layout layout = layout_of(config);
    memset(eviction, 0, sizeof *eviction);
    memset((uint8_t *)eviction + layout.ghosts, 0, (size_t)(layout.end - layout.ghosts));
    eviction->extent_count = config->extent_count;
    eviction->ghost_count = layout.ghost_count;
    eviction->class_count = config->class_count;
    eviction->extents_offset = layout.extents;
    eviction->classes_offset = layout.classes;
    eviction->ghosts_offset = layout.ghosts;
    eviction->pass = 1;
    for (uint32_t extent = 0; extent < config->extent_count; extent++) {
        eviction_extents(eviction)[extent] = (struct eviction_extent){.class_index = MKV_NONE_U32};
    }
    for (uint32_t class_index = 0; class_index < eviction->class_count; class_index++) {
        /* The rest of it is cleared when it gets its first extent. */
        eviction_classes(eviction)[class_index].extent_count = 0;
    }
    mkv_eviction_worth_init(eviction);
}

/* ---- extents --------------------------------------------------------------------------------- */

void mkv_eviction_add_extent(struct mkv_eviction *eviction, struct mkv_extent extent,
                             uint32_t class_index, struct mkv_slot first, uint32_t slot_count) {
    MKV_ASSERT(extent.index < eviction->extent_count);
    MKV_ASSERT(class_index < eviction->class_count);
    MKV_ASSERT(slot_count > 0);
    struct eviction_extent *extents = eviction_extents(eviction);
    struct eviction_extent *added = &extents[extent.index];
    struct eviction_class *class_state = &eviction_classes(eviction)[class_index];
    MKV_ASSERT(added->class_index == MKV_NONE_U32);
    *added = (struct eviction_extent){
        .class_index = class_index,
        .slot_first = first.index,
        .slot_count = slot_count,
        .next = extent.index,
        .previous = extent.index,
    };
    if (class_state->extent_count == 0) {
        memset(class_state, 0, sizeof *class_state);
        class_state->cursor_extent = extent.index;
    } else {
        /* Behind all others: the hand comes to it last. */
        added->next = class_state->cursor_extent;
        added->previous = extents[added->next].previous;
        extents[added->previous].next = extent.index;
        extents[added->next].previous = extent.index;
    }
    class_state->extent_count++;
    class_state->fruitless = 0;
    eviction->slot_total += slot_count;
}

void mkv_eviction_remove_extent(struct mkv_eviction *eviction, struct mkv_extent extent) {
    MKV_ASSERT(extent.index < eviction->extent_count);
    struct eviction_extent *extents = eviction_extents(eviction);
    struct eviction_extent *removed = &extents[extent.index];
    MKV_ASSERT(removed->class_index != MKV_NONE_U32);
    for (uint32_t tier = 0; tier < MKV_EVICTION_TIERS; tier++) {
        MKV_ASSERT(removed->tier_counts[tier] == 0);
    }
    struct eviction_class *class_state = &eviction_classes(eviction)[removed->class_index];
    if (class_state->cursor_extent == extent.index) {
        class_state->cursor = 0;
        class_state->cursor_extent = removed->next;
    }
    extents[removed->previous].next = removed->next;
    extents[removed->next].previous = removed->previous;
    class_state->extent_count--;
    class_state->fruitless = 0;
    class_state->pool_count = 0;
    eviction->slot_total -= removed->slot_count;
    removed->class_index = MKV_NONE_U32;
    removed->slot_count = 0;
}

/* ---- the hand -------------------------------------------------------------------------------- */

static void age_slot(struct mkv_eviction *eviction, uint32_t class_index, uint16_t *bits) {
    const uint32_t state = eviction_state(*bits);
    const uint32_t level = eviction_level(state);
    eviction->states[state].seen++;
    /* A width divides the pass number: all slots of the level go on in the same pass. */
    const uint64_t width = mkv_eviction_level_passes[level];
    if (level < MKV_EVICTION_LEVELS - 1 && (eviction->pass & (width - 1)) == 0) {
        uint32_t *counts =
            eviction_classes(eviction)[class_index].state_counts[eviction_tier(*bits)];
        MKV_ASSERT(counts[state] > 0);
        counts[state]--;
        counts[state + 1]++;
        eviction_set_state(bits, state + 1);
    }
}

/* Moves the hand to the next extent of the policy; false at the end of the round. */
static bool next_extent(struct mkv_eviction *eviction) {
    eviction->sweep = 0;
    eviction->sweep_extent++;
    return eviction->sweep_extent < eviction->extent_count;
}

static void sweep_slots(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots) {
    for (uint32_t look = 0; look < MKV_EVICTION_SWEEP_LOOKS; look++) {
        const struct eviction_extent *extent = &eviction_extents(eviction)[eviction->sweep_extent];
        if (eviction->sweep >= extent->slot_count) {
            if (!next_extent(eviction)) {
                eviction->slots_done = true;
                return;
            }
            continue;
        }
        uint16_t *bits = eviction_bits(slots, extent->slot_first + eviction->sweep);
        eviction->sweep++;
        if (eviction_is_in(*bits)) {
            age_slot(eviction, extent->class_index, bits);
        }
    }
}

/* What every insert and touch does: the hand goes on, and at the end of its round and the ghosts'
 * a pass begins. */
static void event(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots) {
    if (!eviction->slots_done) {
        sweep_slots(eviction, slots);
    }
    const bool ghosts_done = mkv_eviction_ghost_sweep(eviction);
    if (eviction->slots_done && ghosts_done) {
        mkv_eviction_worth_update(eviction);
        eviction->pass++;
        eviction->slots_done = false;
        eviction->sweep_extent = 0;
        eviction->sweep = 0;
        eviction->ghost_sweep = 0;
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

static struct eviction_extent *extent_of(struct mkv_eviction *eviction, struct mkv_extent extent,
                                         struct mkv_slot slot) {
    MKV_ASSERT(extent.index < eviction->extent_count);
    struct eviction_extent *found = &eviction_extents(eviction)[extent.index];
    MKV_ASSERT(found->class_index != MKV_NONE_U32);
    MKV_ASSERT(slot.index >= found->slot_first);
    MKV_ASSERT(slot.index - found->slot_first < found->slot_count);
    return found;
}

/* The bits hold tier and state. */
static void count_in(struct mkv_eviction *eviction, struct eviction_extent *extent, uint16_t bits) {
    const uint32_t tier = eviction_tier(bits);
    struct eviction_class *class_state = &eviction_classes(eviction)[extent->class_index];
    extent->tier_counts[tier]++;
    class_state->tier_counts[tier]++;
    class_state->state_counts[tier][eviction_state(bits)]++;
    /* A search that took the blocks of this tier for skipped has not seen this one. */
    if (tier < class_state->tier_first) {
        class_state->tier_first = 0;
    }
    if (tier <= class_state->tier) {
        class_state->fruitless = 0;
    }
}

static void count_out(struct mkv_eviction *eviction, struct eviction_extent *extent,
                      uint16_t bits) {
    const uint32_t tier = eviction_tier(bits);
    struct eviction_class *class_state = &eviction_classes(eviction)[extent->class_index];
    MKV_ASSERT(extent->tier_counts[tier] > 0);
    extent->tier_counts[tier]--;
    class_state->tier_counts[tier]--;
    class_state->state_counts[tier][eviction_state(bits)]--;
}

static void place(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                  struct mkv_extent extent, struct mkv_slot slot, uint32_t state) {
    uint16_t *bits = eviction_bits(slots, slot.index);
    eviction_set_state(bits, state);
    count_in(eviction, extent_of(eviction, extent, slot), *bits);
}

void mkv_eviction_insert(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                         struct mkv_extent extent, struct mkv_slot slot, uint64_t tag,
                         enum mkv_eviction_entry entry) {
    MKV_ASSERT(!eviction_is_in(*eviction_bits(slots, slot.index)));
    if (entry == MKV_EVICTION_RESTORED) {
        /* As old as can be: what is used from now on stays before it. */
        place(eviction, slots, extent, slot, eviction_state_of(0, MKV_EVICTION_LEVELS - 1));
        return;
    }
    uint32_t state = entry == MKV_EVICTION_TAIL ? MKV_EVICTION_TAIL_STATE : eviction_state_of(0, 0);
    uint32_t ghost = 0;
    if (mkv_eviction_ghost_take(eviction, tag, &ghost)) {
        mkv_eviction_worth_used(eviction, ghost);
        state = eviction_state_used(ghost);
    }
    place(eviction, slots, extent, slot, state);
    event(eviction, slots);
}

bool mkv_eviction_used_lately(const struct mkv_eviction_slots *slots, struct mkv_slot slot) {
    const uint16_t bits = *eviction_bits(slots, slot.index);
    MKV_ASSERT(eviction_is_in(bits));
    const uint32_t state = eviction_state(bits);
    return state != MKV_EVICTION_TAIL_STATE && eviction_kind(state) > 0 &&
           eviction_level(state) <= 1;
}

void mkv_eviction_touch(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                        struct mkv_extent extent, struct mkv_slot slot) {
    uint16_t *bits = eviction_bits(slots, slot.index);
    MKV_ASSERT(eviction_is_in(*bits));
    const uint32_t state = eviction_state(*bits);
    mkv_eviction_worth_used(eviction, state);
    uint32_t *counts = eviction_classes(eviction)[extent_of(eviction, extent, slot)->class_index]
                           .state_counts[eviction_tier(*bits)];
    MKV_ASSERT(counts[state] > 0);
    counts[state]--;
    eviction_set_state(bits, eviction_state_used(state));
    counts[eviction_state(*bits)]++;
    event(eviction, slots);
}

void mkv_eviction_demote(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                         struct mkv_extent extent, struct mkv_slot slot, enum mkv_tier tier) {
    uint16_t *bits = eviction_bits(slots, slot.index);
    MKV_ASSERT(eviction_is_in(*bits));
    struct eviction_extent *held = extent_of(eviction, extent, slot);
    const uint32_t before = eviction_tier(*bits);
    if ((uint32_t)tier >= before) {
        return;
    }
    count_out(eviction, held, *bits);
    *bits =
        (uint16_t)((*bits & ~MKV_EVICTION_TIER_MASK) | ((uint32_t)tier << MKV_EVICTION_TIER_SHIFT));
    count_in(eviction, held, *bits);
}

uint32_t mkv_eviction_take_out(struct mkv_eviction *eviction,
                               const struct mkv_eviction_slots *slots, struct mkv_extent extent,
                               struct mkv_slot slot) {
    uint16_t *bits = eviction_bits(slots, slot.index);
    MKV_ASSERT(eviction_is_in(*bits));
    const uint32_t state = eviction_state(*bits);
    count_out(eviction, extent_of(eviction, extent, slot), *bits);
    *bits = (uint16_t)(*bits & ~MKV_EVICTION_STATE_MASK);
    return state;
}

void mkv_eviction_remember(struct mkv_eviction *eviction, uint64_t tag, uint32_t state) {
    MKV_ASSERT(state < MKV_EVICTION_STATES);
    mkv_eviction_ghost_add(eviction, tag, state);
}

void mkv_eviction_drop(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                       struct mkv_extent extent, struct mkv_slot slot, uint64_t tag, bool evicted) {
    const uint32_t state = mkv_eviction_take_out(eviction, slots, extent, slot);
    if (evicted) {
        mkv_eviction_remember(eviction, tag, state);
    }
}

/* ---- invariants ------------------------------------------------------------------------------ */

void mkv_eviction_check(const struct mkv_eviction *eviction,
                        const struct mkv_eviction_slots *slots) {
    uint32_t class_counts[MKV_EVICTION_CLASSES_MAX][MKV_EVICTION_TIERS] = {{0}};
    uint32_t extent_counts[MKV_EVICTION_CLASSES_MAX] = {0};
    uint32_t slot_total = 0;
    for (uint32_t index = 0; index < eviction->extent_count; index++) {
        const struct eviction_extent *extent = &eviction_extents(eviction)[index];
        if (extent->class_index == MKV_NONE_U32) {
            continue;
        }
        MKV_ASSERT(eviction_extents(eviction)[extent->next].previous == index);
        extent_counts[extent->class_index]++;
        slot_total += extent->slot_count;
        uint32_t counts[MKV_EVICTION_TIERS] = {0};
        for (uint32_t slot = 0; slot < extent->slot_count; slot++) {
            const uint16_t bits = *eviction_bits(slots, extent->slot_first + slot);
            if (eviction_is_in(bits)) {
                MKV_ASSERT(eviction_state(bits) < MKV_EVICTION_STATES);
                counts[eviction_tier(bits)]++;
            }
        }
        for (uint32_t tier = 0; tier < MKV_EVICTION_TIERS; tier++) {
            MKV_ASSERT(counts[tier] == extent->tier_counts[tier]);
            class_counts[extent->class_index][tier] += counts[tier];
        }
    }
    MKV_ASSERT(slot_total == eviction->slot_total);
    for (uint32_t index = 0; index < eviction->class_count; index++) {
        const struct eviction_class *class_state = &eviction_classes(eviction)[index];
        MKV_ASSERT(class_state->extent_count == extent_counts[index]);
        if (class_state->extent_count == 0) {
            continue;
        }
        MKV_ASSERT(class_state->pool_count <= MKV_EVICTION_POOL_MAX);
        for (uint32_t tier = 0; tier < MKV_EVICTION_TIERS; tier++) {
            MKV_ASSERT(class_state->tier_counts[tier] == class_counts[index][tier]);
        }
    }
}
