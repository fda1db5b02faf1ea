/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the slot table share: the arrays behind the offsets, and the lists.
 *
 * Not responsible for: anything that the volume calls (slot_table.h).
 */
#ifndef MKV_CORE_SLOT_TABLE_INTERNAL_H
#define MKV_CORE_SLOT_TABLE_INTERNAL_H

#include "core/slot_table.h"

static inline struct mkv_slot_entry *table_entries(const struct mkv_slot_table *table) {
    return (struct mkv_slot_entry *)((uintptr_t)table + table->entries_offset);
}
static inline uint32_t *table_heads(const struct mkv_slot_table *table) {
    return (uint32_t *)((uintptr_t)table + table->heads_offset);
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

void mkv_slot_table_hash_insert(struct mkv_slot_table *table, uint32_t slot);
/* The class of a slot size; NULL when there is none and `create` is false or all are taken. */
struct mkv_class_state *mkv_slot_table_class(struct mkv_slot_table *table, uint32_t slot_units,
                                             bool create);
/* Puts an extent with free slots into its class's list, or takes it out. */
void mkv_slot_table_list_extent(struct mkv_slot_table *table, uint32_t extent);
void mkv_slot_table_unlist_extent(struct mkv_slot_table *table, uint32_t extent);
uint32_t mkv_slot_table_slot_count(const struct mkv_geometry *geometry, uint64_t slot_units,
                                   uint64_t page_count);

#endif
