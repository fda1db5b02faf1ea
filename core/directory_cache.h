/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory and the pages of the directory: a bounded number of frames that hold nodes of the
 * tree, and the map of which pages of the region are taken.
 *
 *   frames[]  what stands in a frame      units[]   its 4 KiB, aligned for direct I/O
 *   heads[]   page -> frame               used[]    a bit a page: of the tree, or bad
 *   freed[]   pages that the commit under way sets free when it is durable
 *
 *   Life of a frame
 *
 *     FREE --want--> WANTED --handed out--> READING --read and sound--> CLEAN
 *      ^ ^                                     |                          | ^
 *      | +-------------failed------------------+              changed     | | durable
 *      |                                                                  v |
 *      +--evicted: the longest unused CLEAN one        fresh -> DIRTY -> WRITING
 *
 * Invariants
 *  I1  Only a CLEAN frame is evicted: what is DIRTY stands nowhere else, and what is WRITING has a
 *      checksum that its parent does not know yet.
 *  I2  A page that the tree of the durable root uses is not given out before the next root is
 *      durable.
 *  I3  A frame's unit is not touched while a drive operation uses it (READING, WRITING).
 *  I4  A page is in at most one frame.
 *
 * Not responsible for: what the nodes mean, when a commit happens, I/O.
 */
#ifndef MKV_CORE_DIRECTORY_CACHE_H
#define MKV_CORE_DIRECTORY_CACHE_H

#include "core/base.h"
#include "core/directory_node.h"
#include "core/directory_root.h"

/* An insertion changes up to two nodes a level; as many are left to others. */
#define MKV_DIRECTORY_FRAMES_MIN 64u
#define MKV_DIRECTORY_FRAMES_MAX (1u << 22)

enum mkv_frame_state {
    MKV_FRAME_FREE = 0,
    MKV_FRAME_WANTED,
    MKV_FRAME_READING,
    MKV_FRAME_CLEAN,
    MKV_FRAME_DIRTY,
    MKV_FRAME_WRITING,
};

struct mkv_directory_frame {
    uint32_t page;
    uint32_t checksum_low; /* of the node as it stands on the drive, or has to */
    uint32_t hash_next;
    uint32_t next; /* in the list of its state */
    uint32_t previous;
    uint8_t state;     /* enum mkv_frame_state */
    uint8_t level;     /* of its node */
    uint8_t unvisited; /* a leaf that was read, and not looked at since */
    uint8_t unchecked; /* read; whether its keys lie where its parent says is not known yet */
    uint64_t wanted_ns;
};

struct mkv_frame_list {
    uint32_t head;
    uint32_t tail;
    uint32_t count;
};

/* Units that the change of a node may overwrite. */
#define MKV_DIRECTORY_SCRATCH_UNITS 1u

struct mkv_directory_cache {
    uint32_t frames_max;
    uint32_t bucket_count; /* a power of two */
    uint32_t region_units;
    /* Offsets from the start of this struct, so that a copy of the memory is a snapshot. */
    uint64_t frames_offset;
    uint64_t heads_offset;
    uint64_t used_offset;
    uint64_t bad_offset;
    uint64_t freed_offset;
    uint64_t units_offset;
    struct mkv_frame_list free;
    struct mkv_frame_list wanted;  /* oldest first */
    struct mkv_frame_list clean;   /* longest unused first */
    struct mkv_frame_list writing; /* of the commit under way */
    struct mkv_frame_list dirty[MKV_DIRECTORY_LEVELS_MAX];
    uint32_t dirty_count;
    uint32_t pages_free;
    uint32_t pages_bad;
    uint32_t page_cursor; /* where the search for a free page goes on */
    uint32_t freed_count;
    uint64_t hits_total; /* visits of leaves that were there */
    uint64_t misses_total;
    uint64_t now_ns;
};

/* Bytes behind the struct itself; `at` is where they would start, counted from the struct, and
 * comes back as their end. The struct must be aligned to MKV_UNIT_BYTES. */
void mkv_directory_cache_layout(struct mkv_directory_cache *cache, uint32_t frames_max,
                                uint32_t region_units, uint64_t *at);
/* Empties frames and map; a bad page stays bad only with keep_bad. No operation may be in flight.
 */
void mkv_directory_cache_reset(struct mkv_directory_cache *cache, bool keep_bad);

static inline struct mkv_directory_frame *mkv_directory_frame(
    const struct mkv_directory_cache *cache, uint32_t frame) {
    MKV_ASSERT(frame < cache->frames_max);
    return (struct mkv_directory_frame *)((uintptr_t)cache + cache->frames_offset) + frame;
}
static inline uint8_t *mkv_directory_unit(const struct mkv_directory_cache *cache, uint32_t frame) {
    MKV_ASSERT(frame < cache->frames_max);
    return (uint8_t *)((uintptr_t)cache + cache->units_offset) + (uint64_t)frame * MKV_UNIT_BYTES;
}
static inline uint8_t *mkv_directory_scratch(const struct mkv_directory_cache *cache) {
    return (uint8_t *)((uintptr_t)cache + cache->units_offset) +
           (uint64_t)cache->frames_max * MKV_UNIT_BYTES;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* The frame of a page whose node can be looked at; MKV_NONE_U32 when it is not there, or on its
 * way. It counts as used now. */
uint32_t mkv_directory_cache_find(struct mkv_directory_cache *cache, uint32_t page);
/* Counts a leaf that a walk came to. */
void mkv_directory_cache_visit(struct mkv_directory_cache *cache, uint32_t frame);
/* Asks for the node of a page, unless it is there or on its way. False when no frame can be had
 * now. */
bool mkv_directory_cache_want(struct mkv_directory_cache *cache,
                              const struct mkv_directory_child *child, uint32_t level);
/* Frames that can be had without a commit. */
uint32_t mkv_directory_cache_available(const struct mkv_directory_cache *cache);
/* A frame for a new node on a new page, DIRTY. Frame and page must be available. */
uint32_t mkv_directory_cache_fresh(struct mkv_directory_cache *cache, uint32_t level);
/* Makes a node changeable: a CLEAN one moves to a new page, its old one is set free. */
void mkv_directory_cache_dirty(struct mkv_directory_cache *cache, uint32_t frame);
/* A node that left the tree: its page is set free, and so is its frame. */
void mkv_directory_cache_drop(struct mkv_directory_cache *cache, uint32_t frame);

/* The next node to read, now READING; MKV_NONE_U32 when there is none. */
uint32_t mkv_directory_cache_take_wanted(struct mkv_directory_cache *cache);
/* The read came back: CLEAN, or FREE when it failed. */
void mkv_directory_cache_read_done(struct mkv_directory_cache *cache, uint32_t frame, bool sound);
/* The next node of the commit to seal and write, children before parents, now WRITING. Children
 * stand in their parent with the checksums they were sealed with. */
uint32_t mkv_directory_cache_take_dirty(struct mkv_directory_cache *cache);

/* ---- pages ----------------------------------------------------------------------------------- */

/* Marks a page as one of the tree. False when it is taken, or no page at all. */
bool mkv_directory_cache_take_page(struct mkv_directory_cache *cache, uint32_t page);
/* Never gives the page out again until a reset that forgets it. */
void mkv_directory_cache_mark_bad(struct mkv_directory_cache *cache, uint32_t page);
/* The commit is durable: what it set free can be given out, and what it wrote is CLEAN. */
void mkv_directory_cache_committed(struct mkv_directory_cache *cache);

#endif
