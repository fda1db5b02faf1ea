/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot table: every slot of a drive, the hash that finds a key's slot by its tag, the extents
 * with their size classes, and the free slots. It is the volume's picture of what is durable; the
 * volume applies records to it when they are durable and never before.
 *
 *   heads[]   hash bucket -> slot            pages[]   page -> extent, index within it
 *   entries[] slot -> {tag, tenant, chain,   extents[] extent -> {slot units, pages, used,
 *             generation, length, bits}                 free list, fresh}
 *
 *   Life of an entry
 *
 *     FREE --reserve--> RESERVED --apply_put--> LIVE --apply_drop--> FREE
 *       ^                  |                     |  \ held: FREEING --release--> FREE
 *       +------unreserve---+                     +--hide: LIVE and hidden, a DROP is on its way
 *
 * Invariants
 *  I1  A slot is FREE, RESERVED, LIVE, FREEING or RETIRED; of an extent's slots, fresh ones (never
 *      given out since the extent got its class) are FREE and in no list.
 *  I2  extent.used counts its slots that are not FREE.
 *  I3  Exactly the LIVE entries that are not hidden are found through the hash.
 *  I4  An extent changes its class only at used = 0.
 *  I5  An entry takes 28 bytes and its share of the hash 2 bytes: 30 bytes a slot.
 *  I6  The counts of a class are the sums over its extents.
 *
 * Not responsible for: durability, keys (only tags), and who holds a slot (the volume says so).
 */
#ifndef MKV_CORE_SLOT_TABLE_H
#define MKV_CORE_SLOT_TABLE_H

#include "core/base.h"
#include "core/checkpoint_page.h"
#include "core/geometry.h"
#include "core/journal_block.h"

/* Different slot sizes that a drive can have at a time. */
#define MKV_CLASSES_MAX 64u

/* Bits of an entry. */
#define MKV_SLOT_STATE_MASK 0x7u
#define MKV_SLOT_MANIFEST 0x08u
#define MKV_SLOT_SEGMENT 0x10u
#define MKV_SLOT_HIDDEN 0x20u        /* volatile: its DROP is issued */
#define MKV_SLOT_HELD 0x40u          /* volatile: some operation reads it */
#define MKV_SLOT_UNTIL_RESTART 0x80u /* volatile, RETIRED: captured as free */
#define MKV_SLOT_TIER_SHIFT 8u

enum mkv_slot_state {
    MKV_SLOT_FREE = 0,
    MKV_SLOT_LIVE = 1,
    MKV_SLOT_RETIRED = 2,
    MKV_SLOT_RESERVED = 3, /* a put without a durable record; captured as free */
    MKV_SLOT_FREEING = 4,  /* its DROP is durable, but an operation holds it; captured as free */
};

struct mkv_slot_entry {
    uint32_t tag_low;
    uint32_t tag_high;
    uint32_t tenant;
    uint32_t chain; /* LIVE: next in the hash bucket. FREE: next in the extent's free list */
    uint32_t generation_low;
    uint32_t expiry_s;
    uint16_t length_units;
    uint16_t bits;
};
_Static_assert(sizeof(struct mkv_slot_entry) == 28, "I5: an entry takes 28 bytes");

struct mkv_page_state {
    uint32_t extent;         /* MKV_NONE_U32: of no extent */
    uint32_t page_in_extent; /* of no extent: 0, or MKV_PAGE_PLANNED */
};
#define MKV_PAGE_PLANNED 1u /* an EXTENT record on its way will take this page */

/* What recovery knows of a page besides its entries. */
struct mkv_page_stamp {
    uint64_t sequence; /* the last block applied to the page when it was captured */
    uint64_t slot_units;
};

struct mkv_extent_state {
    uint32_t slot_units; /* 0: no class */
    uint32_t page_first;
    uint32_t page_count;
    uint32_t slot_count;
    uint32_t used;
    uint32_t fresh;     /* slots from this index on were never given out */
    uint32_t free_head; /* slot index, MKV_NONE_U32 at the end */
    uint32_t next;      /* in its class's list of extents with free slots, or of classless ones */
    uint32_t previous;
    bool listed;
    bool changing; /* an EXTENT record for it is on its way */
};

struct mkv_class_state {
    uint32_t slot_units;
    uint32_t extent_head; /* extents of this class with free slots */
    uint32_t extent_count;
    uint32_t slot_count; /* of these extents */
    uint32_t used_count; /* of these slots, those that are not FREE */
};

struct mkv_slot_table {
    struct mkv_geometry geometry;
    uint32_t slot_total;
    uint32_t bucket_count;
    uint32_t class_count;
    uint32_t page_high;       /* pages from here on were never used */
    uint32_t page_free_count; /* of no extent, and not planned for one */
    uint32_t classless_head;  /* extents that never had a class */
    uint32_t classless_count;
    uint64_t live_count;
    uint64_t used_count;
    uint64_t retired_count;
    uint64_t used_units;
    uint64_t classed_slot_count;
    uint32_t reclass_cursor;
    struct mkv_class_state classes[MKV_CLASSES_MAX];
    /* Offsets from the start of this struct, so that a copy of the memory is a snapshot. */
    uint64_t entries_offset;
    uint64_t heads_offset;
    uint64_t pages_offset;
    uint64_t stamps_offset;
    uint64_t extents_offset;
};

size_t mkv_slot_table_memory_required(const struct mkv_geometry *geometry);
/* An empty table: no extent has a class. */
void mkv_slot_table_init(struct mkv_slot_table *table, const struct mkv_geometry *geometry);

/* The slot size, in units, that a payload of this length gets: header and payload, the payload
 * rounded up to one of four steps an octave (ratio at most 1.25). */
uint32_t mkv_slot_units_for(uint32_t length);

struct mkv_slot_entry *mkv_slot_table_entry(const struct mkv_slot_table *table,
                                            struct mkv_slot slot);
struct mkv_extent_state *mkv_slot_table_extent(const struct mkv_slot_table *table,
                                               struct mkv_extent extent);
struct mkv_page_state *mkv_slot_table_page(const struct mkv_slot_table *table, uint32_t page);
static inline enum mkv_slot_state mkv_slot_state_of(const struct mkv_slot_entry *entry) {
    return (enum mkv_slot_state)(entry->bits & MKV_SLOT_STATE_MASK);
}
/* The extent of a slot, or MKV_NONE_U32 when its page is free or it lies behind the extent's end.
 */
struct mkv_extent mkv_slot_table_extent_of(const struct mkv_slot_table *table,
                                           struct mkv_slot slot);
/* Where the slot's header unit is. The slot must belong to an extent. */
struct mkv_lba mkv_slot_table_lba(const struct mkv_slot_table *table, struct mkv_slot slot);

/* The first, and behind `slot` the next, live and not hidden slot of a tag; index MKV_NONE_U32 at
 * the end. The chain must not change between the calls, or the walk starts anew. */
struct mkv_slot mkv_slot_table_find(const struct mkv_slot_table *table, uint32_t tenant,
                                    uint64_t tag);
struct mkv_slot mkv_slot_table_find_next(const struct mkv_slot_table *table, struct mkv_slot slot);

/* Takes a free slot of that size. False when the class has none. */
bool mkv_slot_table_reserve(struct mkv_slot_table *table, uint32_t slot_units,
                            struct mkv_slot *slot);
/* Gives a reserved slot back, unused or after its write has ended. */
void mkv_slot_table_unreserve(struct mkv_slot_table *table, struct mkv_slot slot);
/* A write to a reserved slot failed: it is not given out again before a restart, since what failed
 * may fail again, or reach the drive late, over whoever has the slot then. */
void mkv_slot_table_retire(struct mkv_slot_table *table, struct mkv_slot slot);
/* Plans a class change that gives `slot_units` an extent: a classless one, or one whose slots are
 * all free. Fills the record and marks the extent as changing. False when there is none. */
bool mkv_slot_table_plan_extent(struct mkv_slot_table *table, uint32_t slot_units,
                                struct mkv_record_extent *record);

/* Durable records reach the table. The slot of a PUT must be RESERVED, that of a DROP LIVE. */
void mkv_slot_table_apply_put(struct mkv_slot_table *table, const struct mkv_record_put *put);
void mkv_slot_table_apply_drop(struct mkv_slot_table *table, struct mkv_slot slot);
void mkv_slot_table_apply_extent(struct mkv_slot_table *table,
                                 const struct mkv_record_extent *record);
/* A DROP is on its way: the entry is no longer found, but still captured as live. */
void mkv_slot_table_hide(struct mkv_slot_table *table, struct mkv_slot slot);
void mkv_slot_table_hold(struct mkv_slot_table *table, struct mkv_slot slot);
/* The last operation that held the slot let go of it. */
void mkv_slot_table_release(struct mkv_slot_table *table, struct mkv_slot slot);

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
