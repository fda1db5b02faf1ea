/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which block leaves next. A policy for everything that holds slots: a drive's volume now, each
 * size class by itself, and the memory tier, whose slabs are slots as well.
 *
 * A slot's state is six bits of its entry: how often its block was used (four kinds) and at which
 * of fifteen levels of age it is since the last use; one more state is the tail's. The policy
 * counts, for each of the 61 states, how many slots were in it and how many of them were used
 * there, so it knows what a slot in that state is worth: the most uses a pass that keeping it for
 * some time can bring (the index of Gittins, Journal of the Royal Statistical Society B 41, 1979;
 * close to the hit density of Beckmann, Chen and Cidon, NSDI 2018). The block of the lowest worth
 * leaves, the oldest of equal ones first. Where recency is what counts the policy becomes LRU,
 * where blocks return late it keeps what returned before, and what is never used again goes at
 * once. What it believes before it has seen anything is set by hand (eviction_worth.c), and fades.
 * docs/adr/0007-eviction.md has the reasons and the measurements.
 *
 *   A slot's six bits: 0, not in the policy; 1 + kind * 15 + level; or 61, the tail
 *
 *     kind 0  new     1  used once     2  twice     3  three times or more
 *     tail    new, and the last of several blocks that one request put (a part of one, mostly)
 *
 *     insert --> kind 0 level 0, tail (or the next kind, if a ghost knows it)
 *     touch  --> kind + 1, level 0
 *     level 0 --pass--> 1 --pass--> 2 ... a level of width n is left in passes that n divides
 *
 *   Time is counted in events: inserts and touches. Each event moves a hand over 16 slots, and a
 *   pass is one round of it over all slots: so age is measured in what the cache took in, and
 *   16 passes are as many events as there are slots.
 *
 *   Ghosts: a table of the tags of evicted blocks {20 bits of the tag, kind, pass of last use}, in
 *   sets of 8; a block that returns while its ghost is there goes on from its kind, the policy
 *   learns what an evicted state would have been worth, and a miss can be told as evicted.
 *
 *   Retention tiers (two bits of the entry, the lowest leaves first) come before worth: think
 *   complete, unhinted, think active, output critical.
 *
 * Invariants
 *  I1  A slot with six bits of 0 is not in the policy; a victim is in it and in its class.
 *  I2  A victim is of the lowest tier of its class in which a block is not skipped.
 *  I3  A touch never raises a tier, and a demotion only lowers it.
 *  I4  The counts of a class and of an extent by tier are those of the slots in the policy.
 *  I5  A call looks at no more than a bounded number of slots and ghosts (the constants below).
 *  I6  The same calls give the same victims: there is no clock, address or chance in it.
 *
 * Not responsible for: dropping what it names (the volume does, durably), pins and leases (it asks
 * for them), sessions (they demote), expiry.
 */
#ifndef MKV_CORE_EVICTION_H
#define MKV_CORE_EVICTION_H

#include "core/base.h"

#define MKV_EVICTION_CLASSES_MAX 128u
#define MKV_EVICTION_KINDS 4u
#define MKV_EVICTION_LEVELS 15u
#define MKV_EVICTION_TAIL_STATE (MKV_EVICTION_KINDS * MKV_EVICTION_LEVELS)
#define MKV_EVICTION_STATES (MKV_EVICTION_TAIL_STATE + 1u)
#define MKV_EVICTION_TIERS 4u
/* Of a block that was stored just now, and that nobody has used. */
#define MKV_EVICTION_STATE_FIRST 0u

/* Where tier and state lie in the 16 bits of an entry. */
#define MKV_EVICTION_TIER_SHIFT 8u
#define MKV_EVICTION_TIER_MASK 0x0300u
#define MKV_EVICTION_STATE_SHIFT 10u
#define MKV_EVICTION_STATE_MASK 0xfc00u

/* Slots that an event's hand passes. */
#define MKV_EVICTION_SWEEP_LOOKS 16u
/* Ghosts that it passes; the round over the ghosts ends with the pass at the latest. */
#define MKV_EVICTION_GHOST_LOOKS 64u
/* Slots and extents that one search for a victim looks at. */
#define MKV_EVICTION_VICTIM_LOOKS 512u
/* Candidates that a class remembers between searches. */
#define MKV_EVICTION_POOL_MAX 32u
#define MKV_EVICTION_GHOST_WAYS 8u

/* What is known of a block when it is stored. */
enum mkv_eviction_entry {
    MKV_EVICTION_NEW = 0,
    MKV_EVICTION_TAIL,     /* the last one of the keys that its request named, of several */
    MKV_EVICTION_RESTORED, /* found by recovery: nothing is known of its use */
};

struct mkv_eviction_config {
    uint32_t extent_count;
    uint32_t class_count; /* at most MKV_EVICTION_CLASSES_MAX; 1.4 KiB each */
    /* Rounded up to whole sets of MKV_EVICTION_GHOST_WAYS; see mkv_eviction_ghosts_for. */
    uint32_t ghost_count;
};

/* The owner's entries, as the policy sees them: it reads and writes the 16 bits of an entry, and
 * reads its order (a counter that grows from insert to insert and may wrap). */
struct mkv_eviction_slots {
    uint8_t *entries;
    uint32_t stride_bytes;
    uint32_t bits_offset;
    uint32_t order_offset;
    uint16_t skip_mask; /* slots with one of these bits are no victims: held, hidden */
    /* Says whether a slot must stay for now: pinned, leased. NULL: none must. */
    bool (*is_kept)(const void *context, struct mkv_slot slot);
    const void *context;
};

struct mkv_eviction;

/* A ghost for eight slots, 0.5 bytes a slot; never fewer than 8192 (32 KiB), nor more than 2^20
 * (4 MiB, and 0.04 bytes a slot at 100 M). */
uint32_t mkv_eviction_ghosts_for(uint64_t slot_count);
size_t mkv_eviction_memory_required(const struct mkv_eviction_config *config);
void mkv_eviction_init(struct mkv_eviction *eviction, const struct mkv_eviction_config *config);

/* The extent's slots are of this class from now on. */
void mkv_eviction_add_extent(struct mkv_eviction *eviction, struct mkv_extent extent,
                             uint32_t class_index, struct mkv_slot first, uint32_t slot_count);
/* None of its slots may be in the policy. */
void mkv_eviction_remove_extent(struct mkv_eviction *eviction, struct mkv_extent extent);

/* The block of `tag` is in the slot and may be evicted. Its bits hold its tier, its state is 0. */
void mkv_eviction_insert(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                         struct mkv_extent extent, struct mkv_slot slot, uint64_t tag,
                         enum mkv_eviction_entry entry);
/* A request used the block: LOOKUP reported it, GET read it without one, a PUT found it there. The
 * volume calls it once for a request, the last block of a chain first. */
void mkv_eviction_touch(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                        struct mkv_extent extent, struct mkv_slot slot);
/* Whether the block was used, not merely stored, in this pass or the one before: a GET behind the
 * LOOKUP that found the block is no further use. */
bool mkv_eviction_used_lately(const struct mkv_eviction_slots *slots, struct mkv_slot slot);
/* Puts the block into a lower tier; one that is not lower changes nothing. */
void mkv_eviction_demote(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                         struct mkv_extent extent, struct mkv_slot slot, enum mkv_tier tier);
/* The block leaves, when its DROP is decided; `evicted` ones leave a ghost. */
void mkv_eviction_drop(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                       struct mkv_extent extent, struct mkv_slot slot, uint64_t tag, bool evicted);

/* The same in two parts, for a block whose DROP may yet prove needless: it is no victim any more,
 * and what it returns is remembered when it really leaves. */
uint32_t mkv_eviction_take_out(struct mkv_eviction *eviction,
                               const struct mkv_eviction_slots *slots, struct mkv_extent extent,
                               struct mkv_slot slot);
void mkv_eviction_remember(struct mkv_eviction *eviction, uint64_t tag, uint32_t state);

/* The block of the class that should leave next, or index MKV_NONE_U32 if none was found by this
 * many looks: the search goes on in the next call. It stays in the policy until it is dropped. */
struct mkv_slot mkv_eviction_victim(struct mkv_eviction *eviction,
                                    const struct mkv_eviction_slots *slots, uint32_t class_index);

/* Whether a block may leave at all now; and of two that may, of any classes, whether the first one
 * should leave before the other. */
bool mkv_eviction_may_leave(const struct mkv_eviction_slots *slots, struct mkv_slot slot);
bool mkv_eviction_leaves_before(const struct mkv_eviction *eviction,
                                const struct mkv_eviction_slots *slots, struct mkv_slot slot,
                                struct mkv_slot other);

/* Whether no block of the class may leave, as far as is known: all were looked at, and skipped.
 * Until a block is inserted or demoted, a pass ends, or mkv_eviction_unskip says so. */
bool mkv_eviction_is_exhausted(const struct mkv_eviction *eviction, uint32_t class_index);
/* A block that may have been skipped may leave again. */
void mkv_eviction_unskip(struct mkv_eviction *eviction, const struct mkv_eviction_slots *slots,
                         struct mkv_extent extent, struct mkv_slot slot);

/* Whether a block of this tag was evicted not long ago; wrong once in 130,000 questions. */
bool mkv_eviction_was_evicted(const struct mkv_eviction *eviction, uint64_t tag);

/* Aborts when an invariant does not hold. Cost grows with the slots. */
void mkv_eviction_check(const struct mkv_eviction *eviction,
                        const struct mkv_eviction_slots *slots);

#endif
