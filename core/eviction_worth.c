/* SPDX-License-Identifier: Apache-2.0 */
#include "core/canary.h"
#include "core/eviction_internal.h"

/* Passes that a slot stays at a level; powers of two, and none is shorter than the one before.
 * The last one has no end. */
const uint8_t mkv_eviction_level_passes[MKV_EVICTION_LEVELS] = {
    1, 1, 1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 32, 64,
};

/* Fixed point of rates: uses of a slot in a pass, in 2^-20. */
#define ONE (1ull << 20)
/* Uses after which all counts are halved: what was learned long ago fades. */
#define USED_TOTAL_MAX (1u << 17)
/* What is believed before anything was seen weighs as much as all slots in a pass. It is a rate of
 * ONE / PRIOR_DIVISOR / (PRIOR_AGE + age in passes), times a power of two for the kind; of the tail
 * it is a constant. */
#define PRIOR_DIVISOR 16u
#define PRIOR_AGE 4u
#define PRIOR_TAIL_DIVISOR 100u
/* Uses of a kind from which on its ages are told apart by what was counted. With fewer, an age that
 * was never seen would be taken for better than those that were, and the newest would leave. */
#define KIND_USES_MIN 16u
static const uint8_t prior_kind_shift[MKV_EVICTION_KINDS] = {0, 1, 3, 5};

/* A ghost: 20 bits of the tag, 3 of kind, 9 of the pass of its last use. 0: none. */
#define GHOST_KIND_SHIFT 9u
#define GHOST_KIND_MASK 7u
#define GHOST_TAG_SHIFT 12u
#define GHOST_PASS_MASK 0x1ffu
/* Passes after which a ghost goes: well before its nine bits come round. */
#define GHOST_PASSES_MAX 400u

uint32_t mkv_eviction_level_start(uint32_t level) {
    uint32_t start = 0;
    for (uint32_t before = 0; before < level; before++) {
        start += mkv_eviction_level_passes[before];
    }
    return start;
}

static uint32_t level_of(uint32_t passes) {
    uint32_t level = 0;
    while (level < MKV_EVICTION_LEVELS - 1 && passes >= mkv_eviction_level_passes[level]) {
        passes -= mkv_eviction_level_passes[level];
        level++;
    }
    return level;
}

/* ---- worth ----------------------------------------------------------------------------------- */

void mkv_eviction_worth_used(struct mkv_eviction *eviction, uint32_t state) {
    MKV_ASSERT(state < MKV_EVICTION_STATES);
    eviction->states[state].used++;
    eviction->used_total++;
}

static uint64_t prior_rate(uint32_t kind, uint32_t level) {
    return (ONE << prior_kind_shift[kind]) / PRIOR_DIVISOR /
           (PRIOR_AGE + mkv_eviction_level_start(level));
}

/* Uses a pass of a slot in this state: what was seen and what was believed, by their weights. */
static uint64_t rate_of(const struct mkv_eviction *eviction, uint32_t index, uint64_t prior) {
    const struct eviction_worth *state = &eviction->states[index];
    const uint64_t weight = (uint64_t)eviction->slot_total + 1;
    const uint64_t rate = (state->used * ONE + weight * prior) / ((uint64_t)state->seen + weight);
    return mkv_max_u64(rate, 1);
}

/* The most that keeping a slot of this level for a time can bring: over all levels at which one
 * could let go of it, the chance of a use divided by the expected time until then. At a constant
 * rate r a slot leaves a level of n passes unused with 1 / (1 + r * n), near enough. */
static uint32_t worth_of(const uint64_t rates[MKV_EVICTION_LEVELS], uint32_t level) {
    uint64_t chance = 0; /* of a use until here, in ONE */
    uint64_t time = 0;   /* in 1 / ONE passes */
    uint64_t alive = ONE;
    uint64_t best_chance = 0; /* of the best level to let go at, and ... */
    uint64_t best_time = 0;   /* ... its time: compared without a division. 0: none */
    for (; level < MKV_EVICTION_LEVELS && alive > 0; level++) {
        const uint64_t passes = mkv_eviction_level_passes[level];
        const uint64_t unused = alive * ONE / (ONE + rates[level] * passes);
        chance += alive - unused;
        time += unused * passes;
        alive = unused;
        if (time > 0 && (best_time == 0 || chance * best_time > best_chance * time)) {
            best_chance = chance;
            best_time = time;
        }
    }
    const uint64_t best = best_time > 0 ? best_chance * ONE * 256 / best_time : 0;
    return (uint32_t)mkv_min_u64(best, UINT32_MAX);
}

struct kind_counts {
    uint64_t used;
    uint64_t scale; /* what it did as a whole, by what was believed; in ONE */
};

static struct kind_counts count_kind(const struct mkv_eviction *eviction, uint32_t kind) {
    struct kind_counts counts = {0};
    uint64_t believed = eviction->slot_total * prior_rate(kind, 0) + ONE;
    const uint64_t prior = believed;
    for (uint32_t level = 0; level < MKV_EVICTION_LEVELS; level++) {
        const struct eviction_worth *state = &eviction->states[eviction_state_of(kind, level)];
        believed += state->seen * prior_rate(kind, level);
        counts.used += state->used;
    }
    counts.scale = (prior + counts.used * ONE) / (believed / ONE);
    return counts;
}

static void update_worth(struct mkv_eviction *eviction) {
    uint64_t tail[MKV_EVICTION_LEVELS];
    tail[MKV_EVICTION_LEVELS - 1] =
        rate_of(eviction, MKV_EVICTION_TAIL_STATE, ONE / PRIOR_TAIL_DIVISOR);
    eviction->states[MKV_EVICTION_TAIL_STATE].worth = worth_of(tail, MKV_EVICTION_LEVELS - 1);
    for (uint32_t kind = 0; kind < MKV_EVICTION_KINDS; kind++) {
        const struct kind_counts counts = count_kind(eviction, kind);
        uint64_t rates[MKV_EVICTION_LEVELS];
        for (uint32_t level = 0; level < MKV_EVICTION_LEVELS; level++) {
            const uint64_t prior = prior_rate(kind, level);
            rates[level] = counts.used < KIND_USES_MIN
                               ? mkv_max_u64(prior * counts.scale / ONE, 1)
                               : rate_of(eviction, eviction_state_of(kind, level), prior);
        }
        for (uint32_t level = 0; level < MKV_EVICTION_LEVELS; level++) {
            eviction->states[eviction_state_of(kind, level)].worth = worth_of(rates, level);
        }
    }
}

/* Insertion sort: the order is nearly what it was. */
static void order_states(struct mkv_eviction *eviction) {
    uint8_t *order = eviction->by_worth;
    for (uint32_t count = 1; count < MKV_EVICTION_STATES; count++) {
        const uint8_t state = order[count];
        uint32_t at = count;
        while (at > 0 && eviction->states[order[at - 1]].worth > eviction->states[state].worth) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = state;
    }
}

void mkv_eviction_worth_update(struct mkv_eviction *eviction) {
    bool full = eviction->used_total >= USED_TOTAL_MAX;
    for (uint32_t state = 0; state < MKV_EVICTION_STATES; state++) {
        full = full || eviction->states[state].seen > UINT32_MAX / 4;
    }
    if (full) {
        for (uint32_t state = 0; state < MKV_EVICTION_STATES; state++) {
            eviction->states[state].seen /= 2;
            eviction->states[state].used /= 2;
        }
        eviction->used_total /= 2;
    }
    update_worth(eviction);
    order_states(eviction);
}

void mkv_eviction_worth_init(struct mkv_eviction *eviction) {
    for (uint32_t state = 0; state < MKV_EVICTION_STATES; state++) {
        eviction->states[state] = (struct eviction_worth){0};
        eviction->by_worth[state] = (uint8_t)state;
    }
    update_worth(eviction);
    order_states(eviction);
}

/* ---- ghosts ---------------------------------------------------------------------------------- */

static uint32_t *ghost_set(const struct mkv_eviction *eviction, uint64_t tag) {
    const uint64_t sets = eviction->ghost_count / MKV_EVICTION_GHOST_WAYS;
    const uint64_t set = ((tag >> 32) * sets) >> 32;
    return &eviction_ghosts(eviction)[set * MKV_EVICTION_GHOST_WAYS];
}

static uint32_t ghost_tag(uint64_t tag) {
    const uint32_t part = (uint32_t)tag >> GHOST_TAG_SHIFT;
    return part != 0 ? part : 1;
}

static uint32_t ghost_age(const struct mkv_eviction *eviction, uint32_t ghost) {
    return ((uint32_t)eviction->pass - ghost) & GHOST_PASS_MASK;
}

static uint32_t ghost_state(const struct mkv_eviction *eviction, uint32_t ghost) {
    const uint32_t kind = (ghost >> GHOST_KIND_SHIFT) & GHOST_KIND_MASK;
    if (kind == MKV_EVICTION_KINDS) {
        return MKV_EVICTION_TAIL_STATE;
    }
    return eviction_state_of(kind, level_of(ghost_age(eviction, ghost)));
}

static uint32_t *ghost_find(const struct mkv_eviction *eviction, uint64_t tag) {
    uint32_t *set = ghost_set(eviction, tag);
    for (uint32_t way = 0; way < MKV_EVICTION_GHOST_WAYS; way++) {
        if (set[way] >> GHOST_TAG_SHIFT == ghost_tag(tag) ||
            (set[way] != 0 && MKV_CANARY(MKV_CANARY_GHOST_TAG_IGNORED))) {
            return &set[way];
        }
    }
    return NULL;
}

/* Where the ghost of a tag goes: over its older self, into an empty place, or over the ghost whose
 * return is worth least. */
static uint32_t *ghost_place(const struct mkv_eviction *eviction, uint64_t tag) {
    uint32_t *known = ghost_find(eviction, tag);
    if (known != NULL) {
        return known;
    }
    uint32_t *set = ghost_set(eviction, tag);
    uint32_t *place = &set[0];
    for (uint32_t way = 0; way < MKV_EVICTION_GHOST_WAYS; way++) {
        if (set[way] == 0) {
            return &set[way];
        }
        const uint32_t worth = eviction->states[ghost_state(eviction, set[way])].worth;
        const uint32_t least = eviction->states[ghost_state(eviction, *place)].worth;
        const bool older = ghost_age(eviction, set[way]) > ghost_age(eviction, *place);
        if (worth < least || (worth == least && older)) {
            place = &set[way];
        }
    }
    return place;
}

void mkv_eviction_ghost_add(struct mkv_eviction *eviction, uint64_t tag, uint32_t state) {
    const uint32_t age = mkv_eviction_level_start(eviction_level(state));
    *ghost_place(eviction, tag) = (ghost_tag(tag) << GHOST_TAG_SHIFT) |
                                  (eviction_kind(state) << GHOST_KIND_SHIFT) |
                                  (((uint32_t)eviction->pass - age) & GHOST_PASS_MASK);
}

bool mkv_eviction_ghost_take(struct mkv_eviction *eviction, uint64_t tag, uint32_t *state) {
    uint32_t *place = ghost_find(eviction, tag);
    if (place == NULL) {
        return false;
    }
    *state = ghost_state(eviction, *place);
    *place = 0;
    return true;
}

bool mkv_eviction_was_evicted(const struct mkv_eviction *eviction, uint64_t tag) {
    return ghost_find(eviction, tag) != NULL;
}

bool mkv_eviction_ghost_sweep(struct mkv_eviction *eviction) {
    uint32_t *ghosts = eviction_ghosts(eviction);
    for (uint32_t look = 0; look < MKV_EVICTION_GHOST_LOOKS; look++) {
        if (eviction->ghost_sweep == eviction->ghost_count) {
            break;
        }
        uint32_t *ghost = &ghosts[eviction->ghost_sweep++];
        if (*ghost == 0) {
            continue;
        }
        if (ghost_age(eviction, *ghost) > GHOST_PASSES_MAX) {
            *ghost = 0;
        } else {
            eviction->states[ghost_state(eviction, *ghost)].seen++;
        }
    }
    return eviction->ghost_sweep == eviction->ghost_count;
}
