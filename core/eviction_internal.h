/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the eviction policy share: its memory, and states.
 *
 *   eviction.c         extents, slots, the hand that ages them
 *   eviction_victim.c  the search for a victim
 *   eviction_worth.c   what is learned, and the ghosts
 *
 * Not responsible for: anything that an owner calls (eviction.h).
 */
#ifndef MKV_CORE_EVICTION_INTERNAL_H
#define MKV_CORE_EVICTION_INTERNAL_H

#include "core/eviction.h"

struct eviction_extent {
    uint32_t class_index; /* MKV_NONE_U32: not in the policy */
    uint32_t slot_first;
    uint32_t slot_count;
    uint32_t next; /* ring of the extents of its class */
    uint32_t previous;
    uint32_t tier_counts[MKV_EVICTION_TIERS];
};

struct eviction_candidate {
    uint32_t slot;
    uint32_t order;
    uint8_t state;
};

struct eviction_class {
    uint32_t extent_count; /* 0: what follows is not initialised */
    uint32_t cursor_extent;
    uint32_t cursor; /* slot within it */
    uint32_t tier_counts[MKV_EVICTION_TIERS];
    uint32_t state_counts[MKV_EVICTION_TIERS][MKV_EVICTION_STATES];
    /* Candidates, all of this tier. */
    uint32_t tier;
    uint32_t pool_count;
    struct eviction_candidate pool[MKV_EVICTION_POOL_MAX];
    /* Extents passed since the search for a block of this tier last found one. */
    uint32_t fruitless;
    /* All blocks of tiers below this one were skipped in a whole round; until this pass ends. */
    uint32_t tier_first;
    uint64_t tier_first_pass;
};

/* What is known of a state. */
struct eviction_worth {
    uint32_t seen; /* slots and ghosts that the hand found in it */
    uint32_t used; /* of them and others, those used in it */
    uint32_t worth;
};

struct mkv_eviction {
    uint32_t extent_count;
    uint32_t class_count;
    uint32_t ghost_count;
    uint64_t pass; /* starts at 1 */
    uint32_t sweep_extent;
    uint32_t sweep; /* slot within it */
    uint32_t ghost_sweep;
    bool slots_done;     /* in this pass */
    uint32_t slot_total; /* of all extents of the policy */
    uint64_t used_total;
    struct eviction_worth states[MKV_EVICTION_STATES];
    uint8_t by_worth[MKV_EVICTION_STATES]; /* the states, the least first */
    uint64_t extents_offset;
    uint64_t ghosts_offset;
    uint64_t classes_offset;
};

extern const uint8_t mkv_eviction_level_passes[MKV_EVICTION_LEVELS];

static inline struct eviction_extent *eviction_extents(const struct mkv_eviction *eviction) {
    return (struct eviction_extent *)((uintptr_t)eviction + eviction->extents_offset);
}
static inline struct eviction_class *eviction_classes(const struct mkv_eviction *eviction) {
    return (struct eviction_class *)((uintptr_t)eviction + eviction->classes_offset);
}
static inline uint32_t *eviction_ghosts(const struct mkv_eviction *eviction) {
    return (uint32_t *)((uintptr_t)eviction + eviction->ghosts_offset);
}
static inline uint16_t *eviction_bits(const struct mkv_eviction_slots *slots, uint32_t slot) {
    return (uint16_t *)(void *)(slots->entries + (size_t)slot * slots->stride_bytes +
                                slots->bits_offset);
}
static inline uint32_t eviction_order(const struct mkv_eviction_slots *slots, uint32_t slot) {
    return *(const uint32_t *)(const void *)(slots->entries + (size_t)slot * slots->stride_bytes +
                                             slots->order_offset);
}
static inline uint32_t eviction_tier(uint16_t bits) {
    return (bits & MKV_EVICTION_TIER_MASK) >> MKV_EVICTION_TIER_SHIFT;
}
static inline bool eviction_is_in(uint16_t bits) {
    return (bits & MKV_EVICTION_STATE_MASK) != 0;
}
/* 0 ... MKV_EVICTION_STATES - 1; the slot must be in the policy. */
static inline uint32_t eviction_state(uint16_t bits) {
    return ((uint32_t)bits >> MKV_EVICTION_STATE_SHIFT) - 1;
}
static inline void eviction_set_state(uint16_t *bits, uint32_t state) {
    MKV_ASSERT(state < MKV_EVICTION_STATES);
    *bits =
        (uint16_t)((*bits & ~MKV_EVICTION_STATE_MASK) | ((state + 1) << MKV_EVICTION_STATE_SHIFT));
}
static inline uint32_t eviction_state_of(uint32_t kind, uint32_t level) {
    return kind * MKV_EVICTION_LEVELS + level;
}
static inline uint32_t eviction_kind(uint32_t state) {
    return state / MKV_EVICTION_LEVELS;
}
/* The tail has but one state, as old as can be. */
static inline uint32_t eviction_level(uint32_t state) {
    return state == MKV_EVICTION_TAIL_STATE ? MKV_EVICTION_LEVELS - 1 : state % MKV_EVICTION_LEVELS;
}
/* The state of a block in this state that is used. */
static inline uint32_t eviction_state_used(uint32_t state) {
    if (state == MKV_EVICTION_TAIL_STATE) {
        return eviction_state_of(1, 0);
    }
    const uint32_t kind = eviction_kind(state);
    return eviction_state_of(kind == MKV_EVICTION_KINDS - 1 ? kind : kind + 1, 0);
}

/* The first pass of age that a level holds. */
uint32_t mkv_eviction_level_start(uint32_t level);
void mkv_eviction_worth_init(struct mkv_eviction *eviction);
/* A slot or ghost in this state was used. */
void mkv_eviction_worth_used(struct mkv_eviction *eviction, uint32_t state);
/* What was learned in the pass becomes what states are worth. */
void mkv_eviction_worth_update(struct mkv_eviction *eviction);

void mkv_eviction_ghost_add(struct mkv_eviction *eviction, uint64_t tag, uint32_t state);
/* Takes the ghost of a tag out. False when there is none. */
bool mkv_eviction_ghost_take(struct mkv_eviction *eviction, uint64_t tag, uint32_t *state);
/* Looks at the next ghosts of the round. True when the round is over. */
bool mkv_eviction_ghost_sweep(struct mkv_eviction *eviction);

#endif
