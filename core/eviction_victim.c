/* SPDX-License-Identifier: Apache-2.0 */
#include "core/canary.h"
#include "core/eviction_internal.h"

/* A search ends with a candidate among the least of its tier: one of this many blocks. */
#define LEAST_DIVISOR 64u
/* It looks at so many slots at the least, for the oldest of them. */
#define SEARCH_LOOKS 8u

/* Whether one candidate should leave before another: worth less, or older at equal worth. */
static bool leaves_before(const struct mkv_eviction *eviction, const struct eviction_candidate *a,
                          const struct eviction_candidate *b) {
    const uint32_t worth_a = eviction->states[a->state].worth;
    const uint32_t worth_b = eviction->states[b->state].worth;
    if (worth_a != worth_b) {
        return worth_a < worth_b;
    }
    return (int32_t)(a->order - b->order) < 0;
}

static bool may_leave(const struct mkv_eviction_slots *slots, uint16_t bits, uint32_t slot,
                      uint32_t tier) {
    return eviction_is_in(bits) && eviction_tier(bits) == tier && (bits & slots->skip_mask) == 0 &&
           (slots->is_kept == NULL || !slots->is_kept(slots->context, (struct mkv_slot){slot}));
}

/* Remembers a candidate, in place of the one that would leave last if the pool is full. */
static void pool_add(const struct mkv_eviction *eviction, struct eviction_class *class_state,
                     const struct eviction_candidate *candidate) {
    struct eviction_candidate *last = NULL;
    for (uint32_t index = 0; index < class_state->pool_count; index++) {
        struct eviction_candidate *other = &class_state->pool[index];
        if (other->slot == candidate->slot) {
            *other = *candidate;
            return;
        }
        if (last == NULL || leaves_before(eviction, last, other)) {
            last = other;
        }
    }
    if (class_state->pool_count < MKV_EVICTION_POOL_MAX) {
        class_state->pool[class_state->pool_count++] = *candidate;
    } else if (leaves_before(eviction, candidate, last)) {
        *last = *candidate;
    }
}

/* The candidate that leaves first and still may; MKV_NONE_U32 when none is left. */
static uint32_t pool_best(const struct mkv_eviction *eviction,
                          const struct mkv_eviction_slots *slots,
                          struct eviction_class *class_state) {
    /* Each round takes a candidate out or brings its state up to date. */
    for (uint32_t round = 0; round < 2 * MKV_EVICTION_POOL_MAX; round++) {
        if (class_state->pool_count == 0) {
            break;
        }
        struct eviction_candidate *best = &class_state->pool[0];
        for (uint32_t index = 1; index < class_state->pool_count; index++) {
            if (leaves_before(eviction, &class_state->pool[index], best)) {
                best = &class_state->pool[index];
            }
        }
        const uint16_t bits = *eviction_bits(slots, best->slot);
        if (best->order != eviction_order(slots, best->slot) ||
            !may_leave(slots, bits, best->slot, class_state->tier)) {
            *best = class_state->pool[--class_state->pool_count];
        } else if (eviction_state(bits) != best->state) {
            best->state = (uint8_t)eviction_state(bits);
        } else {
            return best->slot;
        }
    }
    return MKV_NONE_U32;
}

static void cursor_next_extent(const struct mkv_eviction *eviction,
                               struct eviction_class *class_state) {
    class_state->cursor_extent = eviction_extents(eviction)[class_state->cursor_extent].next;
    class_state->cursor = 0;
    class_state->fruitless++;
}

/* The worth up to which a block is among the least of the class and tier. */
static uint32_t worth_of_least(const struct mkv_eviction *eviction,
                               const struct eviction_class *class_state) {
    const uint32_t *counts = class_state->state_counts[class_state->tier];
    const uint32_t wanted = class_state->tier_counts[class_state->tier] / LEAST_DIVISOR + 1;
    uint32_t found = 0;
    uint32_t worth = 0;
    for (uint32_t at = 0; at < MKV_EVICTION_STATES && found < wanted; at++) {
        const uint32_t state = eviction->by_worth[at];
        found += counts[state];
        worth = counts[state] > 0 ? eviction->states[state].worth : worth;
    }
    return worth;
}

static bool pool_has(const struct mkv_eviction *eviction, const struct eviction_class *class_state,
                     uint32_t worth) {
    for (uint32_t index = 0; index < class_state->pool_count; index++) {
        if (eviction->states[class_state->pool[index].state].worth <= worth) {
            return true;
        }
    }
    return false;
}

static void search(const struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                   struct eviction_class *class_state) {
    const uint32_t worth = worth_of_least(eviction, class_state);
    bool found = pool_has(eviction, class_state, worth);
    for (uint32_t look = 0; look < MKV_EVICTION_VICTIM_LOOKS; look++) {
        if (look >= SEARCH_LOOKS && found) {
            break;
        }
        const struct eviction_extent *extent =
            &eviction_extents(eviction)[class_state->cursor_extent];
        if (class_state->cursor >= extent->slot_count ||
            extent->tier_counts[class_state->tier] == 0) {
            cursor_next_extent(eviction, class_state);
            continue;
        }
        const uint32_t slot = extent->slot_first + class_state->cursor++;
        const uint16_t bits = *eviction_bits(slots, slot);
        if (may_leave(slots, bits, slot, class_state->tier)) {
            const struct eviction_candidate candidate = {
                .slot = slot,
                .order = eviction_order(slots, slot),
                .state = (uint8_t)eviction_state(bits),
            };
            pool_add(eviction, class_state, &candidate);
            class_state->fruitless = 0;
            found = found || eviction->states[candidate.state].worth <= worth;
        }
    }
}

/* The lowest tier that has blocks which may leave, as far as is known; MKV_EVICTION_TIERS: none. */
static uint32_t tier_to_search(const struct mkv_eviction *eviction,
                               const struct eviction_class *class_state) {
    uint32_t tier = class_state->tier_first_pass == eviction->pass ? class_state->tier_first : 0;
    while (tier < MKV_EVICTION_TIERS && class_state->tier_counts[tier] == 0) {
        tier++;
    }
    for (uint32_t above = tier + 1;
         MKV_CANARY(MKV_CANARY_TIERS_IGNORED) && tier < above && above < MKV_EVICTION_TIERS;
         above++) {
        tier = class_state->tier_counts[above] > 0 ? above : tier;
    }
    return tier;
}

bool mkv_eviction_is_exhausted(const struct mkv_eviction *eviction, uint32_t class_index) {
    MKV_ASSERT(class_index < eviction->class_count);
    const struct eviction_class *class_state = &eviction_classes(eviction)[class_index];
    return class_state->extent_count == 0 ||
           tier_to_search(eviction, class_state) == MKV_EVICTION_TIERS;
}

void mkv_eviction_unskip(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                         struct mkv_extent extent, struct mkv_slot slot) {
    MKV_ASSERT(extent.index < eviction->extent_count);
    const uint16_t bits = *eviction_bits(slots, slot.index);
    if (!eviction_is_in(bits)) {
        return;
    }
    const uint32_t class_index = eviction_extents(eviction)[extent.index].class_index;
    MKV_ASSERT(class_index != MKV_NONE_U32);
    struct eviction_class *class_state = &eviction_classes(eviction)[class_index];
    if (eviction_tier(bits) < class_state->tier_first) {
        class_state->tier_first = 0;
    }
    if (eviction_tier(bits) <= class_state->tier) {
        class_state->fruitless = 0;
    }
}

struct mkv_slot mkv_eviction_victim(struct mkv_eviction *eviction,
                                    const struct mkv_eviction_slots *slots, uint32_t class_index) {
    MKV_ASSERT(class_index < eviction->class_count);
    struct eviction_class *class_state = &eviction_classes(eviction)[class_index];
    if (mkv_eviction_is_exhausted(eviction, class_index)) {
        return (struct mkv_slot){MKV_NONE_U32};
    }
    const uint32_t tier = tier_to_search(eviction, class_state);
    MKV_ASSERT(tier < MKV_EVICTION_TIERS);
    if (tier != class_state->tier) {
        class_state->tier = tier;
        class_state->pool_count = 0;
        class_state->fruitless = 0;
    }
    search(eviction, slots, class_state);
    const uint32_t slot = pool_best(eviction, slots, class_state);
    /* The first extent of a round may have been entered in its middle. */
    if (slot == MKV_NONE_U32 && class_state->fruitless > class_state->extent_count) {
        class_state->tier_first = tier + 1;
        class_state->tier_first_pass = eviction->pass;
        class_state->fruitless = 0;
    }
    MKV_ASSERT(slot == MKV_NONE_U32 || eviction_tier(*eviction_bits(slots, slot)) == tier);
    return (struct mkv_slot){slot};
}

bool mkv_eviction_may_leave(const struct mkv_eviction_slots *slots, struct mkv_slot slot) {
    const uint16_t bits = *eviction_bits(slots, slot.index);
    return eviction_is_in(bits) && may_leave(slots, bits, slot.index, eviction_tier(bits));
}

bool mkv_eviction_leaves_before(const struct mkv_eviction *eviction,
                                const struct mkv_eviction_slots *slots, struct mkv_slot slot,
                                struct mkv_slot other) {
    const uint16_t bits[2] = {*eviction_bits(slots, slot.index),
                              *eviction_bits(slots, other.index)};
    if (eviction_tier(bits[0]) != eviction_tier(bits[1])) {
        return eviction_tier(bits[0]) < eviction_tier(bits[1]);
    }
    const struct eviction_candidate candidates[2] = {
        {.order = eviction_order(slots, slot.index), .state = (uint8_t)eviction_state(bits[0])},
        {.order = eviction_order(slots, other.index), .state = (uint8_t)eviction_state(bits[1])},
    };
    return leaves_before(eviction, &candidates[0], &candidates[1]);
}
