/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot table: every slot of a drive, the hash that finds a key's slot by its tag, the extents
 * with their size classes, and the free slots. It is the volume's picture of what is durable; the
 * volume applies records to it when they are durable and never before.
 *
 *   buckets[] tag -> slots (see there)       pages[]   page -> extent, index within it
 *   entries[] slot -> {tag, tenant,          extents[] extent -> {class, span, pages, used,
 *             generation, length, bits}                 free list, fresh, last use}
 *
 *   Life of an entry
 *
 *     FREE --reserve--> RESERVED --apply_put--> LIVE --apply_drop--> FREE
 *      ^ |                | |                    |  \ held: FREEING --release--> FREE
 *      | |                | |                    +--hide: LIVE and hidden, a DROP is on its way
 *      | |                | +--retire--> RETIRED_UNTIL_RESTART
 *      +-|---unreserve----+                      |
 *        +--apply_retire--> RETIRED <--apply_drop that retires, apply_retire
 *
 *   Life of an extent; a group of n adjacent extents (its span) is used as one, by its first
 *
 *     classless --plan, apply_extent--> of a class --plan, apply_extent (at used = 0)--> classless
 *                                        |      ^
 *                                        empty_begin, empty_end: its slots are not given out
 *
 * Invariants
 *  I1  A slot is in one state of enum mkv_slot_state; of an extent's slots, fresh ones (never given
 *      out since all of the extent's were free) are FREE and in no list.
 *  I2  extent.used counts its slots that are not FREE, extent.retired those that are RETIRED or
 *      RETIRED_UNTIL_RESTART.
 *  I3  Exactly the LIVE entries that are not hidden are found through the hash.
 *  I4  An extent gains a class only from having none, and loses it only at used = 0. So one with a
 *      retired slot keeps its class.
 *  I5  An entry takes 24 bytes, and with its share of hash, pages and extents at most 30, at 100 M
 *      slots.
 *  I6  The counts of a class are the sums over its extents; a class without extents, and without
 *      one on its way, is none, and its place goes to the next.
 *  I7  An extent belongs to at most one group. The members of a group behind its first have no
 *      class, no slots and no pages of their own.
 *  I8  Entries are read only where their page belongs to an extent: the others are not initialised.
 *
 * Not responsible for: durability, keys (only tags), and who holds a slot (the volume says so).
 */
#ifndef MKV_CORE_SLOT_TABLE_H
#define MKV_CORE_SLOT_TABLE_H

#include "core/base.h"
#include "core/checkpoint_page.h"
#include "core/geometry.h"
#include "core/journal_block.h"

/* Slot sizes that a drive can have at a time: sizes of their own, those of the table, and slack for
 * the classes that run out while others begin. */
#define MKV_CLASSES_EXACT_MAX 48u
#define MKV_CLASSES_OF_TABLE 49u
#define MKV_CLASSES_MAX 128u
_Static_assert(MKV_CLASSES_EXACT_MAX + MKV_CLASSES_OF_TABLE < MKV_CLASSES_MAX, "some are slack");

/* Bits of an entry. */
#define MKV_SLOT_STATE_MASK 0x7u
#define MKV_SLOT_MANIFEST 0x08u
#define MKV_SLOT_SEGMENT 0x10u
#define MKV_SLOT_HIDDEN 0x20u     /* volatile: its DROP is issued */
#define MKV_SLOT_HELD 0x40u       /* volatile: some operation reads it */
#define MKV_SLOT_UNLISTED 0x80u   /* volatile: its key is not in the directory yet */
#define MKV_SLOT_TIER_SHIFT 8u    /* volatile: the tier as it is now, two bits */
#define MKV_SLOT_POLICY_SHIFT 10u /* volatile: of the eviction policy */
#define MKV_SLOT_POLICY_MAX 0x3fu

enum mkv_slot_state {
    MKV_SLOT_FREE = 0,
    MKV_SLOT_LIVE = 1,
    MKV_SLOT_RETIRED = 2,
    MKV_SLOT_RESERVED = 3, /* a put without a durable record; captured as free */
    MKV_SLOT_FREEING = 4,  /* its DROP is durable, but an operation holds it; captured as free */
    MKV_SLOT_RETIRED_UNTIL_RESTART = 5, /* captured as free */
};

struct mkv_slot_entry {
    uint32_t tag_low; /* FREE: the next slot of the extent's free list */
    uint32_t tag_high;
    uint32_t tenant;
    uint32_t generation_low;
    uint32_t expiry_s;
    uint16_t length_units : 14;
    uint16_t tier_put : 2; /* the tier that its PUT gave it, which is captured */
    uint16_t bits;
};
_Static_assert(MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES < 1u << 14, "a length has its bits");
_Static_assert(sizeof(struct mkv_slot_entry) == 24, "I5: an entry takes 24 bytes");

struct mkv_page_state {
    uint32_t extent;         /* the first of its group; MKV_NONE_U32: of no extent */
    uint32_t page_in_extent; /* of no extent: MKV_NONE_U32, or MKV_PAGE_PLANNED */
};
#define MKV_PAGE_PLANNED 0u /* an EXTENT record on its way will take this page */

/* What recovery knows of a page besides its entries. */
struct mkv_page_stamp {
    uint64_t sequence; /* the last block applied to the page when it was captured */
    uint32_t slot_units;
    uint32_t span;
};

struct mkv_extent_state {
    uint64_t used_ns;    /* when a slot of it was last reserved or held */
    uint32_t slot_units; /* 0: no class of its own */
    uint32_t page_first;
    uint32_t page_count;
    uint32_t slot_count;
    uint32_t used;
    uint32_t retired;
    uint32_t fresh;     /* none from here on was given out since all were free */
    uint32_t free_head; /* slot index, MKV_NONE_U32 at the end */
    uint32_t next;      /* in its class's list of extents with free slots */
    uint32_t previous;
    uint8_t class_index;
    uint8_t span;   /* extents of its group; 0: no class of its own */
    uint8_t member; /* n: the n-th behind the first of its group; 0: the first, or of no group */
    bool listed;
    bool changing;  /* an EXTENT record for it is on its way, or it is being trimmed */
    bool emptying;  /* its slots are not given out, so that it runs empty */
    bool untrimmed; /* of no class any more; the drive was not told */
};

struct mkv_class_state {
    uint32_t slot_units;  /* 0: no class has this place */
    uint32_t extent_head; /* extents of this class with free slots */
    uint32_t extent_count;
    uint32_t slot_count;       /* of these extents */
    uint32_t used_count;       /* of these slots, those that are not FREE */
    uint32_t retired_count;    /* of these, those that are retired */
    uint32_t coming_count;     /* EXTENT records on their way that give it extents */
    uint64_t refused_until_ns; /* no extent of another class was cold enough */
};

struct mkv_slot_table {
    struct mkv_geometry geometry;
    bool clear; /* mkv_slot_table_clear came to its end */
    /* An extent with a class has free slots again: whoever waits for slots may look. */
    bool extent_was_listed;
    uint32_t slot_total;
    uint32_t bucket_count;
    uint32_t slot_bits;  /* of a slot number in a bucket */
    uint32_t slot_mask;  /* as many ones */
    uint32_t cell_count; /* of a bucket */
    uint32_t class_count;
    uint32_t page_high;       /* pages from here on were never used */
    uint32_t page_low;        /* pages up to here are all taken */
    uint32_t page_free_count; /* of no extent, and not planned for one */
    uint32_t classless_count; /* extents of no group, and not planned for one */
    uint32_t empty_count;     /* groups at used = 0 that are not changing */
    uint32_t untrimmed_count; /* extents that are untrimmed */
    uint64_t live_count;
    uint64_t live_units;                  /* of the payloads of these */
    uint64_t tier_counts[MKV_TIER_COUNT]; /* of the live slots, by the tier of now */
    uint64_t used_count;
    uint64_t retired_count;
    uint64_t used_units;
    uint64_t classed_slot_count;
    uint64_t now_ns; /* kept by the volume: the time of its input */
    uint64_t wall_s; /* the same of its wall clock, which never goes back */
    struct mkv_class_state classes[MKV_CLASSES_MAX];
    /* Offsets from the start of this struct, so that a copy of the memory is a snapshot. */
    uint64_t entries_offset;
    uint64_t pages_offset;
    uint64_t buckets_offset;
    uint64_t stamps_offset;
    uint64_t extents_offset;
    uint64_t end_offset;
};

size_t mkv_slot_table_memory_required(const struct mkv_geometry *geometry);
/* An empty table: no extent has a class. Its arrays hold anything until they are cleared, and until
 * then nothing else may be called. */
void mkv_slot_table_init(struct mkv_slot_table *table, const struct mkv_geometry *geometry);
/* Clears the arrays but the entries, `bytes_max` bytes a call; *cursor starts at 0. True when done.
 * The entries of a page are cleared when an extent takes it. */
bool mkv_slot_table_clear(struct mkv_slot_table *table, uint64_t *cursor, uint64_t bytes_max);

struct mkv_slot_entry *mkv_slot_table_entry(const struct mkv_slot_table *table,
                                            struct mkv_slot slot);
struct mkv_extent_state *mkv_slot_table_extent(const struct mkv_slot_table *table,
                                               struct mkv_extent extent);
struct mkv_page_state *mkv_slot_table_page(const struct mkv_slot_table *table, uint32_t page);
static inline enum mkv_slot_state mkv_slot_state_of(const struct mkv_slot_entry *entry) {
    return (enum mkv_slot_state)(entry->bits & MKV_SLOT_STATE_MASK);
}
static inline uint32_t mkv_slot_policy_of(const struct mkv_slot_entry *entry) {
    return (uint32_t)entry->bits >> MKV_SLOT_POLICY_SHIFT;
}
static inline void mkv_slot_set_policy(struct mkv_slot_entry *entry, uint32_t policy) {
    MKV_ASSERT(policy <= MKV_SLOT_POLICY_MAX);
    entry->bits = (uint16_t)((entry->bits & ((1u << MKV_SLOT_POLICY_SHIFT) - 1u)) |
                             (policy << MKV_SLOT_POLICY_SHIFT));
}
static inline enum mkv_tier mkv_slot_tier_of(const struct mkv_slot_entry *entry) {
    return (enum mkv_tier)((entry->bits >> MKV_SLOT_TIER_SHIFT) & MKV_TIER_MAX);
}
/* Whether the block's time is over: nobody finds it any more. */
static inline bool mkv_slot_is_expired(const struct mkv_slot_table *table,
                                       const struct mkv_slot_entry *entry) {
    return entry->expiry_s != 0 && table->wall_s >= entry->expiry_s;
}
/* The extent of a slot (of a group its first), or MKV_NONE_U32 when its page is free or the slot
 * lies behind the extent's end. */
struct mkv_extent mkv_slot_table_extent_of(const struct mkv_slot_table *table,
                                           struct mkv_slot slot);
/* Where the slot's header unit is. The slot must belong to an extent. */
struct mkv_lba mkv_slot_table_lba(const struct mkv_slot_table *table, struct mkv_slot slot);
/* The first slot from `slot` on that belongs to an extent; index MKV_NONE_U32 at the end. */
struct mkv_slot mkv_slot_table_next_owned(const struct mkv_slot_table *table, struct mkv_slot slot);

/* A walk over the live and not hidden slots of a tag, the one that got its block last first. It
 * ends with index MKV_NONE_U32, and holds until a slot is put, hidden or dropped. */
struct mkv_slot_walk {
    uint64_t tag;
    uint32_t tenant;
    uint32_t bucket;
    uint32_t cells; /* of the bucket, a bit each: those that are still to be looked at */
};
struct mkv_slot_walk mkv_slot_table_walk(const struct mkv_slot_table *table, uint32_t tenant,
                                         uint64_t tag);
/* The walk that goes on behind a slot, which must be live and not hidden. Cost grows with the slots
 * of the tag before it. */
struct mkv_slot_walk mkv_slot_table_walk_behind(const struct mkv_slot_table *table,
                                                struct mkv_slot slot);
struct mkv_slot mkv_slot_table_walk_next(const struct mkv_slot_table *table,
                                         struct mkv_slot_walk *walk);
/* The first of a walk, and the first behind a slot. */
struct mkv_slot mkv_slot_table_find(const struct mkv_slot_table *table, uint32_t tenant,
                                    uint64_t tag);
struct mkv_slot mkv_slot_table_find_next(const struct mkv_slot_table *table, struct mkv_slot slot);
/* Begins to fetch what finding this tag reads, and changes nothing. */
void mkv_slot_table_prefetch(const struct mkv_slot_table *table, uint64_t tag,
                             enum mkv_prefetch stage);

/* ---- classes --------------------------------------------------------------------------------- */

/* The size that the fixed table has for a payload of so many units: header and payload, the payload
 * rounded up to one of four steps an octave (ratio at most 1.25; exact up to 8 units). */
uint32_t mkv_slot_units_of_table(uint32_t payload_units);
/* The slot size, in units, that a payload of this length gets as the table stands now: header and
 * payload exactly, where such a class exists or there may be another one; else the smallest class
 * that is at most a quarter too large and has free slots; else the fixed table's. */
uint32_t mkv_slot_table_class_for(const struct mkv_slot_table *table, uint32_t length);
/* The place in `classes` of a slot size; MKV_NONE_U32 when there is no such class. */
uint32_t mkv_slot_table_class_of(const struct mkv_slot_table *table, uint32_t slot_units);
/* The smallest class with free slots that is larger than slot_units, but at most a quarter; 0 when
 * there is none. */
uint32_t mkv_slot_table_class_near(const struct mkv_slot_table *table, uint32_t slot_units);
/* Adjacent extents that a class of this slot size wants as one: the fewest that waste at most 2 %,
 * else those that waste least, and of the latter at most an eighth of the drive, unless a slot
 * takes more. At most span_max; 0 when not even a slot fits in so many. */
uint32_t mkv_slot_table_span_for(const struct mkv_geometry *geometry, uint32_t slot_units,
                                 uint32_t span_max);

/* ---- slots ----------------------------------------------------------------------------------- */

/* Takes a free slot of that size. False when the class has none. */
bool mkv_slot_table_reserve(struct mkv_slot_table *table, uint32_t slot_units,
                            struct mkv_slot *slot);
/* Gives a reserved slot back, unused or after its write has ended. */
void mkv_slot_table_unreserve(struct mkv_slot_table *table, struct mkv_slot slot);
/* A write to a reserved slot failed: it is not given out again before a restart, since what failed
 * may fail again, or reach the drive late, over whoever has the slot then. */
void mkv_slot_table_retire(struct mkv_slot_table *table, struct mkv_slot slot);

/* Durable records reach the table. The slot of a PUT must be RESERVED, that of a DROP LIVE, that of
 * a RETIRE RESERVED, FREE or RETIRED_UNTIL_RESTART. The entry of a PUT starts with policy bits 0.
 */
void mkv_slot_table_apply_put(struct mkv_slot_table *table, const struct mkv_record_put *put);
void mkv_slot_table_apply_drop(struct mkv_slot_table *table, const struct mkv_record_drop *drop);
void mkv_slot_table_apply_retire(struct mkv_slot_table *table, struct mkv_slot slot);
/* The block in the slot, which must be LIVE, was of one tier, and is of another until the restart;
 * its entry may say so already. */
void mkv_slot_table_set_tier(struct mkv_slot_table *table, struct mkv_slot slot,
                             enum mkv_tier before, enum mkv_tier tier);
/* The slot must be LIVE. */
void mkv_slot_table_apply_expiry(struct mkv_slot_table *table,
                                 const struct mkv_record_expiry *expiry);
void mkv_slot_table_apply_extent(struct mkv_slot_table *table,
                                 const struct mkv_record_extent *record);
/* A DROP is on its way: the entry is no longer found, but still captured as live. */
void mkv_slot_table_hide(struct mkv_slot_table *table, struct mkv_slot slot);
void mkv_slot_table_hold(struct mkv_slot_table *table, struct mkv_slot slot);
/* The last operation that held the slot let go of it. */
void mkv_slot_table_release(struct mkv_slot_table *table, struct mkv_slot slot);

/* ---- extents --------------------------------------------------------------------------------- */

/* Plans what brings `slot_units` an extent: adjacent classless ones become a group of that class;
 * or, where there are none or no page is left, an empty group of another class loses its class, and
 * the next plan may take its extents. Fills the record and marks its extents as changing. False
 * when nothing can be done. */
bool mkv_slot_table_plan_extent(struct mkv_slot_table *table, uint32_t slot_units,
                                struct mkv_record_extent *record);
/* Plans that an empty group loses its class. */
void mkv_slot_table_plan_give_back(struct mkv_slot_table *table, struct mkv_extent extent,
                                   struct mkv_record_extent *record);

/* Chooses the extent that `slot_units` may take from another class by emptying it: the one that
 * was unused for longest, if that is at least twice as long as for the coldest one of its own, in
 * whole grains of `grain_ns`; a class without extents takes from any. Never `except`, nor one with
 * a retired slot (I4). False when there is none, and then, for a class with extents, for a grain.
 * Cost grows with the number of extents. */
bool mkv_slot_table_choose_victim(struct mkv_slot_table *table, uint32_t slot_units,
                                  uint64_t grain_ns, struct mkv_extent except,
                                  struct mkv_extent *victim);
/* The extent's slots are not given out any more. */
void mkv_slot_table_empty_begin(struct mkv_slot_table *table, struct mkv_extent extent);
/* The emptying is given up: the extent counts as just used, and its free slots are given out. */
void mkv_slot_table_empty_end(struct mkv_slot_table *table, struct mkv_extent extent);
/* The next live and not hidden slot of an extent, from its slot *cursor on; *cursor is then behind
 * it. Looks at most at *look_max slots, and takes those it looked at off it. False when it found
 * none: at the end *cursor is the extent's slot count. */
bool mkv_slot_table_next_live(const struct mkv_slot_table *table, struct mkv_extent extent,
                              uint32_t *cursor, uint32_t *look_max, struct mkv_slot *slot);

/* ---- trim (slot_table_trim.c): cursors start at 0 and are at the end when past all extents ------
 */

/* The next group that has been empty, and not used, for idle_ns; looks at `look_max` groups. */
bool mkv_slot_table_next_idle(const struct mkv_slot_table *table, uint32_t *cursor,
                              uint32_t look_max, uint64_t idle_ns, struct mkv_extent *extent);
/* The next run of untrimmed extents, `count_max` at most. */
bool mkv_slot_table_next_untrimmed(const struct mkv_slot_table *table, uint32_t *cursor,
                                   uint32_t look_max, uint32_t count_max, struct mkv_extent *first,
                                   uint32_t *count);
/* The drive is told to forget the run: no class takes it before the end. */
void mkv_slot_table_trim_begin(struct mkv_slot_table *table, struct mkv_extent first,
                               uint32_t count);
void mkv_slot_table_trim_end(struct mkv_slot_table *table, struct mkv_extent first, uint32_t count);

/* Encodes a page as of now, with `stamp`, into a unit. */
void mkv_slot_table_capture_page(const struct mkv_slot_table *table, uint32_t page,
                                 const struct mkv_uuid *drive_uuid, uint64_t checkpoint_number,
                                 struct mkv_sequence stamp, uint8_t *unit);

/* ---- recovery: pages are loaded, records replayed onto older pages, then the rest is derived - */

/* False when the page contradicts the geometry. */
bool mkv_slot_table_load_page(struct mkv_slot_table *table, const struct mkv_checkpoint_page *page,
                              const uint8_t *unit);
/* Applies a record of block `sequence` unless its page is newer. False when the record contradicts
 * the table: then the journal cannot be believed. */
bool mkv_slot_table_replay(struct mkv_slot_table *table, const struct mkv_record *record,
                           struct mkv_sequence sequence);
/* Derives hash, free slots and counts from entries and pages, `page_max` pages a call; *cursor
 * starts at 0. True when done. *consistent becomes false when the pages contradict each other. */
bool mkv_slot_table_derive(struct mkv_slot_table *table, uint32_t *cursor, uint32_t page_max,
                           bool *consistent);

/* Aborts when an invariant does not hold. Cost grows with the table. */
void mkv_slot_table_check(const struct mkv_slot_table *table);
uint64_t mkv_slot_table_durable_hash(const struct mkv_slot_table *table);

#endif
