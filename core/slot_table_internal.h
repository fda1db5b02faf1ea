/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the slot table share: the arrays behind the offsets, and the lists.
 *
 *   slot_table.c          memory, places, the life of a slot, capture
 *   slot_table_buckets.c  the hash: lookups by tag
 *   slot_table_class.c    size classes and their lists of extents
 *   slot_table_extents.c  which extents a class gets, gives back, takes from another
 *   slot_table_recover.c  pages loaded, records replayed, the rest derived
 *   slot_table_check.c    invariants held against the whole table
 *
 * Not responsible for: anything that the volume calls (slot_table.h).
 */
#ifndef MKV_CORE_SLOT_TABLE_INTERNAL_H
#define MKV_CORE_SLOT_TABLE_INTERNAL_H

#include "core/slot_table.h"
#include "core/slot_table_buckets.h"

static inline struct mkv_slot_entry *table_entries(const struct mkv_slot_table *table) {
    return (struct mkv_slot_entry *)((uintptr_t)table + table->entries_offset);
}
static inline struct mkv_slot_bucket *table_buckets(const struct mkv_slot_table *table) {
    return (struct mkv_slot_bucket *)((uintptr_t)table + table->buckets_offset);
}
static inline struct mkv_page_state *table_pages(const struct mkv_slot_table *table) {
    return (struct mkv_page_state *)((uintptr_t)table + table->pages_offset);
}
static inline struct mkv_page_stamp *table_stamps(const struct mkv_slot_table *table) {
    return (struct mkv_page_stamp *)((uintptr_t)table + table->stamps_offset);
}
static inline struct mkv_extent_state *table_extents(const struct mkv_slot_table *table) {
    return (struct mkv_extent_state *)((uintptr_t)table + table->extents_offset);
}
static inline uint64_t entry_tag(const struct mkv_slot_entry *entry) {
    return ((uint64_t)entry->tag_high << 32) | entry->tag_low;
}
static inline void entry_set_state(struct mkv_slot_entry *entry, enum mkv_slot_state state) {
    entry->bits = (uint16_t)((entry->bits & ~MKV_SLOT_STATE_MASK) | (uint16_t)state);
}
/* The index of a slot within its extent. */
static inline uint32_t slot_in_extent(const struct mkv_slot_table *table, struct mkv_slot slot) {
    return table_pages(table)[slot.index / MKV_PAGE_SLOTS].page_in_extent * MKV_PAGE_SLOTS +
           slot.index % MKV_PAGE_SLOTS;
}
/* The slots of a page that belong to an extent: its first so many. */
static inline uint32_t slots_of_page(const struct mkv_slot_table *table, uint32_t page) {
    const struct mkv_page_state *state = &table_pages(table)[page];
    if (state->extent == MKV_NONE_U32) {
        return 0;
    }
    const uint32_t slot_count = table_extents(table)[state->extent].slot_count;
    const uint64_t before = (uint64_t)state->page_in_extent * MKV_PAGE_SLOTS;
    return before < slot_count ? (uint32_t)mkv_min_u64(slot_count - before, MKV_PAGE_SLOTS) : 0;
}
/* An extent of no group, which no EXTENT record on its way takes. */
static inline bool extent_is_classless(const struct mkv_extent_state *state) {
    return state->slot_units == 0 && state->member == 0 && !state->changing;
}
static inline bool extent_has_free(const struct mkv_extent_state *state) {
    return state->free_head != MKV_NONE_U32 || state->fresh < state->slot_count;
}
/* A group whose class may go. */
static inline bool extent_is_empty(const struct mkv_extent_state *state) {
    return state->slot_units != 0 && state->used == 0 && !state->changing;
}
static inline struct mkv_class_state *extent_class(struct mkv_slot_table *table,
                                                   const struct mkv_extent_state *state) {
    struct mkv_class_state *class_state = &table->classes[state->class_index];
    MKV_ASSERT(state->slot_units != 0);
    MKV_ASSERT(class_state->slot_units == state->slot_units);
    return class_state;
}
/* Extents from here to the next group or classless extent. */
static inline uint32_t extent_step(const struct mkv_extent_state *state) {
    return state->span > 0 ? state->span : 1;
}

/* The class of a slot size; NULL when there is none and `create` is false or all are taken. */
struct mkv_class_state *mkv_slot_table_class(struct mkv_slot_table *table, uint32_t slot_units,
                                             bool create);
/* Its place goes to the next, if it has no extent any more and none on its way. */
void mkv_slot_table_class_leave(struct mkv_slot_table *table, struct mkv_class_state *class_state);
uint8_t mkv_slot_table_class_index(const struct mkv_slot_table *table,
                                   const struct mkv_class_state *class_state);
/* Puts an extent with free slots into its class's list, or takes it out. */
void mkv_slot_table_list_extent(struct mkv_slot_table *table, uint32_t extent);
void mkv_slot_table_unlist_extent(struct mkv_slot_table *table, uint32_t extent);
uint32_t mkv_slot_table_slot_count(const struct mkv_geometry *geometry, uint32_t span,
                                   uint64_t slot_units, uint64_t page_count);
/* Gives a page to an extent, or with MKV_NONE_U32 to none; its entries are then all free. */
void mkv_slot_table_clear_page(struct mkv_slot_table *table, uint32_t page, uint32_t extent,
                               uint32_t page_in_extent);

#endif
