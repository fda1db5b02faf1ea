/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slot_table.h"

#include <string.h>

#include "core/slot_header.h"
#include "core/slot_table_internal.h"

/* ---- memory ---------------------------------------------------------------------------------- */

struct layout {
    uint64_t entries, heads, pages, stamps, extents, end;
    uint32_t slot_total, bucket_count;
};

static struct layout layout_of(const struct mkv_geometry *geometry) {
    struct layout layout;
    layout.slot_total = geometry->page_count * MKV_PAGE_SLOTS;
    layout.bucket_count = layout.slot_total / 2;
    uint64_t at = mkv_round_up_u64(sizeof(struct mkv_slot_table), 64);
    layout.entries = at;
    at = mkv_round_up_u64(at + (uint64_t)layout.slot_total * sizeof(struct mkv_slot_entry), 64);
    layout.heads = at;
    at = mkv_round_up_u64(at + (uint64_t)layout.bucket_count * sizeof(uint32_t), 64);
    layout.pages = at;
    at = mkv_round_up_u64(at + (uint64_t)geometry->page_count * sizeof(struct mkv_page_state), 64);
    layout.stamps = at;
    at = mkv_round_up_u64(at + (uint64_t)geometry->page_count * sizeof(struct mkv_page_stamp), 64);
    layout.extents = at;
    at += (uint64_t)geometry->extent_count * sizeof(struct mkv_extent_state);
    layout.end = mkv_round_up_u64(at, 64);
    return layout;
}

size_t mkv_slot_table_memory_required(const struct mkv_geometry *geometry) {
    return (size_t)layout_of(geometry).end;
}

void mkv_slot_table_init(struct mkv_slot_table *table, const struct mkv_geometry *geometry) {
    const struct layout layout = layout_of(geometry);
    memset(table, 0, sizeof *table);
    table->geometry = *geometry;
    table->slot_total = layout.slot_total;
    table->bucket_count = layout.bucket_count;
    table->entries_offset = layout.entries;
    table->heads_offset = layout.heads;
    table->pages_offset = layout.pages;
    table->stamps_offset = layout.stamps;
    table->extents_offset = layout.extents;
    memset(table_entries(table), 0, (size_t)layout.slot_total * sizeof(struct mkv_slot_entry));
    memset(table_heads(table), 0xff, (size_t)layout.bucket_count * sizeof(uint32_t));
    memset(table_stamps(table), 0, (size_t)geometry->page_count * sizeof(struct mkv_page_stamp));
    for (uint32_t page = 0; page < geometry->page_count; page++) {
        table_pages(table)[page] = (struct mkv_page_state){MKV_NONE_U32, 0};
    }
    memset(table_extents(table), 0, geometry->extent_count * sizeof(struct mkv_extent_state));
    table->page_free_count = geometry->page_count;
    table->classless_head = MKV_NONE_U32;
    for (uint32_t extent = geometry->extent_count; extent-- > 0;) {
        mkv_slot_table_list_extent(table, extent);
    }
}

uint32_t mkv_slot_units_for(uint32_t length) {
    const uint32_t units = mkv_slot_payload_units(length);
    uint32_t step = 1;
    /* Four steps an octave above 8 units; exact up to there. */
    for (uint32_t octave = 8; octave < units; octave *= 2) {
        step = octave / 4;
    }
    return 1 + (uint32_t)mkv_round_up_u64(units, step);
}

/* ---- lookups --------------------------------------------------------------------------------- */

struct mkv_slot_entry *mkv_slot_table_entry(const struct mkv_slot_table *table,
                                            struct mkv_slot slot) {
    MKV_ASSERT(slot.index < table->slot_total);
    return &table_entries(table)[slot.index];
}

struct mkv_extent_state *mkv_slot_table_extent(const struct mkv_slot_table *table,
                                               struct mkv_extent extent) {
    MKV_ASSERT(extent.index < table->geometry.extent_count);
    return &table_extents(table)[extent.index];
}

struct mkv_page_state *mkv_slot_table_page(const struct mkv_slot_table *table, uint32_t page) {
    MKV_ASSERT(page < table->geometry.page_count);
    return &table_pages(table)[page];
}

struct mkv_extent mkv_slot_table_extent_of(const struct mkv_slot_table *table,
                                           struct mkv_slot slot) {
    const struct mkv_extent none = {MKV_NONE_U32};
    if (slot.index >= table->slot_total) {
        return none;
    }
    const uint32_t extent = table_pages(table)[slot.index / MKV_PAGE_SLOTS].extent;
    if (extent == MKV_NONE_U32) {
        return none;
    }
    if (slot_in_extent(table, slot) >= table_extents(table)[extent].slot_count) {
        return none;
    }
    return (struct mkv_extent){extent};
}

struct mkv_lba mkv_slot_table_lba(const struct mkv_slot_table *table, struct mkv_slot slot) {
    const struct mkv_extent extent = mkv_slot_table_extent_of(table, slot);
    MKV_ASSERT(extent.index != MKV_NONE_U32);
    const uint64_t offset =
        (uint64_t)slot_in_extent(table, slot) * table_extents(table)[extent.index].slot_units;
    MKV_ASSERT(offset < table->geometry.extent_units);
    return (struct mkv_lba){mkv_geometry_extent(&table->geometry, extent).unit + offset};
}

static uint32_t *bucket_of(const struct mkv_slot_table *table, uint32_t tag_high) {
    const uint64_t bucket = ((uint64_t)tag_high * table->bucket_count) >> 32;
    return &table_heads(table)[bucket];
}

void mkv_slot_table_hash_insert(struct mkv_slot_table *table, uint32_t slot) {
    struct mkv_slot_entry *entry = &table_entries(table)[slot];
    uint32_t *head = bucket_of(table, entry->tag_high);
    entry->chain = *head;
    *head = slot;
}

static void hash_remove(struct mkv_slot_table *table, uint32_t slot) {
    struct mkv_slot_entry *entries = table_entries(table);
    uint32_t *link = bucket_of(table, entries[slot].tag_high);
    while (*link != slot) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &entries[*link].chain;
    }
    *link = entries[slot].chain;
    entries[slot].chain = MKV_NONE_U32;
}

static struct mkv_slot find_from(const struct mkv_slot_table *table, uint32_t slot, uint32_t tenant,
                                 uint64_t tag) {
    const struct mkv_slot_entry *entries = table_entries(table);
    while (slot != MKV_NONE_U32) {
        const struct mkv_slot_entry *entry = &entries[slot];
        if (entry->tag_high == (uint32_t)(tag >> 32) && entry->tag_low == (uint32_t)tag &&
            entry->tenant == tenant) {
            break;
        }
        slot = entry->chain;
    }
    return (struct mkv_slot){slot};
}

struct mkv_slot mkv_slot_table_find(const struct mkv_slot_table *table, uint32_t tenant,
                                    uint64_t tag) {
    return find_from(table, *bucket_of(table, (uint32_t)(tag >> 32)), tenant, tag);
}

struct mkv_slot mkv_slot_table_find_next(const struct mkv_slot_table *table, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    return find_from(table, entry->chain, entry->tenant, entry_tag(entry));
}

/* ---- classes and their extents --------------------------------------------------------------- */

struct mkv_class_state *mkv_slot_table_class(struct mkv_slot_table *table, uint32_t slot_units,
                                             bool create) {
    MKV_ASSERT(slot_units > 0);
    for (uint32_t index = 0; index < table->class_count; index++) {
        if (table->classes[index].slot_units == slot_units) {
            return &table->classes[index];
        }
    }
    if (!create || table->class_count == MKV_CLASSES_MAX) {
        return NULL;
    }
    struct mkv_class_state *class_state = &table->classes[table->class_count++];
    *class_state = (struct mkv_class_state){.slot_units = slot_units, .extent_head = MKV_NONE_U32};
    return class_state;
}

static uint32_t *list_head_of(struct mkv_slot_table *table, uint32_t extent) {
    const uint32_t slot_units = table_extents(table)[extent].slot_units;
    if (slot_units == 0) {
        return &table->classless_head;
    }
    struct mkv_class_state *class_state = mkv_slot_table_class(table, slot_units, false);
    MKV_ASSERT(class_state != NULL);
    return &class_state->extent_head;
}

void mkv_slot_table_list_extent(struct mkv_slot_table *table, uint32_t extent) {
    struct mkv_extent_state *extents = table_extents(table);
    struct mkv_extent_state *state = &extents[extent];
    MKV_ASSERT(!state->listed);
    uint32_t *head = list_head_of(table, extent);
    state->listed = true;
    state->previous = MKV_NONE_U32;
    state->next = *head;
    if (*head != MKV_NONE_U32) {
        extents[*head].previous = extent;
    }
    *head = extent;
    if (state->slot_units == 0) {
        table->classless_count++;
    }
}

void mkv_slot_table_unlist_extent(struct mkv_slot_table *table, uint32_t extent) {
    struct mkv_extent_state *extents = table_extents(table);
    struct mkv_extent_state *state = &extents[extent];
    MKV_ASSERT(state->listed);
    if (state->previous == MKV_NONE_U32) {
        *list_head_of(table, extent) = state->next;
    } else {
        extents[state->previous].next = state->next;
    }
    if (state->next != MKV_NONE_U32) {
        extents[state->next].previous = state->previous;
    }
    state->listed = false;
    if (state->slot_units == 0) {
        table->classless_count--;
    }
}

uint32_t mkv_slot_table_slot_count(const struct mkv_geometry *geometry, uint64_t slot_units,
                                   uint64_t page_count) {
    MKV_ASSERT(slot_units > 0);
    return (uint32_t)mkv_min_u64(geometry->extent_units / slot_units, page_count * MKV_PAGE_SLOTS);
}

static bool extent_has_free(const struct mkv_extent_state *state) {
    return state->free_head != MKV_NONE_U32 || state->fresh < state->slot_count;
}

/* ---- slots ----------------------------------------------------------------------------------- */

bool mkv_slot_table_reserve(struct mkv_slot_table *table, uint32_t slot_units,
                            struct mkv_slot *slot) {
    struct mkv_class_state *class_state = mkv_slot_table_class(table, slot_units, false);
    if (class_state == NULL || class_state->extent_head == MKV_NONE_U32) {
        return false;
    }
    const uint32_t extent = class_state->extent_head;
    struct mkv_extent_state *state = &table_extents(table)[extent];
    MKV_ASSERT(extent_has_free(state));
    MKV_ASSERT(!state->changing);
    if (state->free_head != MKV_NONE_U32) {
        slot->index = state->free_head;
        state->free_head = mkv_slot_table_entry(table, *slot)->chain;
    } else {
        slot->index = state->page_first * MKV_PAGE_SLOTS + state->fresh;
        state->fresh++;
    }
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, *slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_FREE);
    memset(entry, 0, sizeof *entry);
    entry->chain = MKV_NONE_U32;
    entry_set_state(entry, MKV_SLOT_RESERVED);
    state->used++;
    MKV_ASSERT(state->used <= state->slot_count);
    class_state->used_count++;
    table->used_count++;
    table->used_units += state->slot_units;
    if (!extent_has_free(state)) {
        mkv_slot_table_unlist_extent(table, extent);
    }
    return true;
}

static void free_slot(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    const struct mkv_extent extent = mkv_slot_table_extent_of(table, slot);
    struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    MKV_ASSERT(!state->changing);
    MKV_ASSERT(state->used > 0);
    struct mkv_class_state *class_state = mkv_slot_table_class(table, state->slot_units, false);
    MKV_ASSERT(class_state != NULL);
    memset(entry, 0, sizeof *entry);
    entry->chain = state->free_head;
    state->free_head = slot.index;
    state->used--;
    class_state->used_count--;
    table->used_count--;
    table->used_units -= state->slot_units;
    if (!state->listed) {
        mkv_slot_table_list_extent(table, extent.index);
    }
}

void mkv_slot_table_unreserve(struct mkv_slot_table *table, struct mkv_slot slot) {
    MKV_ASSERT(mkv_slot_state_of(mkv_slot_table_entry(table, slot)) == MKV_SLOT_RESERVED);
    free_slot(table, slot);
}

void mkv_slot_table_retire(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_RESERVED);
    entry_set_state(entry, MKV_SLOT_RETIRED);
    entry->bits |= MKV_SLOT_UNTIL_RESTART;
    table->retired_count++;
}

void mkv_slot_table_apply_put(struct mkv_slot_table *table, const struct mkv_record_put *put) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, put->slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_RESERVED);
    entry->tag_low = (uint32_t)put->tag;
    entry->tag_high = (uint32_t)(put->tag >> 32);
    entry->tenant = put->tenant;
    entry->generation_low = (uint32_t)put->generation.value;
    entry->expiry_s = put->expiry_s;
    entry->length_units = (uint16_t)mkv_slot_payload_units(put->length);
    entry->bits = (uint16_t)(MKV_SLOT_LIVE |
                             ((put->block_flags & MKV_BLOCK_MANIFEST) ? MKV_SLOT_MANIFEST : 0u) |
                             ((put->block_flags & MKV_BLOCK_SEGMENT) ? MKV_SLOT_SEGMENT : 0u) |
                             ((uint32_t)(put->tier & 3u) << MKV_SLOT_TIER_SHIFT));
    mkv_slot_table_hash_insert(table, put->slot.index);
    table->live_count++;
}

void mkv_slot_table_hide(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    MKV_ASSERT((entry->bits & MKV_SLOT_HIDDEN) == 0);
    hash_remove(table, slot.index);
    entry->bits |= MKV_SLOT_HIDDEN;
}

void mkv_slot_table_apply_drop(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    if ((entry->bits & MKV_SLOT_HIDDEN) == 0) {
        hash_remove(table, slot.index);
    }
    MKV_ASSERT(table->live_count > 0);
    table->live_count--;
    if (entry->bits & MKV_SLOT_HELD) {
        entry_set_state(entry, MKV_SLOT_FREEING);
    } else {
        free_slot(table, slot);
    }
}

void mkv_slot_table_hold(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    entry->bits |= MKV_SLOT_HELD;
}

void mkv_slot_table_release(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(entry->bits & MKV_SLOT_HELD);
    entry->bits = (uint16_t)(entry->bits & ~MKV_SLOT_HELD);
    if (mkv_slot_state_of(entry) == MKV_SLOT_FREEING) {
        free_slot(table, slot);
    } else {
        MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    }
}

/* ---- capture --------------------------------------------------------------------------------- */

void mkv_slot_table_capture_page(const struct mkv_slot_table *table, uint32_t page,
                                 const struct mkv_uuid *drive_uuid, uint64_t checkpoint_number,
                                 struct mkv_sequence stamp, uint8_t *unit) {
    const struct mkv_page_state *state = mkv_slot_table_page(table, page);
    struct mkv_checkpoint_page head = {
        .drive_uuid = *drive_uuid,
        .checkpoint_number = checkpoint_number,
        .page = page,
        .extent = {state->extent},
        .stamp = stamp,
    };
    if (state->extent != MKV_NONE_U32) {
        head.slot_units = table_extents(table)[state->extent].slot_units;
        head.span = 1;
        head.page_in_extent = state->page_in_extent;
    }
    mkv_checkpoint_page_begin(&head, unit);
    for (uint32_t index = 0; state->extent != MKV_NONE_U32 && index < MKV_PAGE_SLOTS; index++) {
        const struct mkv_slot_entry *entry = &table_entries(table)[page * MKV_PAGE_SLOTS + index];
        const enum mkv_slot_state entry_state = mkv_slot_state_of(entry);
        if (entry_state != MKV_SLOT_LIVE && entry_state != MKV_SLOT_RETIRED) {
            continue;
        }
        if (entry->bits & MKV_SLOT_UNTIL_RESTART) {
            continue;
        }
        const struct mkv_page_entry stored = {
            .tag = entry_tag(entry),
            .tenant = entry->tenant,
            .generation_low = entry->generation_low,
            .expiry_s = entry->expiry_s,
            .length_units = entry->length_units,
            .state = entry_state == MKV_SLOT_LIVE ? MKV_ENTRY_LIVE : MKV_ENTRY_RETIRED,
            .block_flags = (uint8_t)(((entry->bits & MKV_SLOT_MANIFEST) ? MKV_BLOCK_MANIFEST : 0u) |
                                     ((entry->bits & MKV_SLOT_SEGMENT) ? MKV_BLOCK_SEGMENT : 0u)),
            .tier = (uint8_t)((entry->bits >> MKV_SLOT_TIER_SHIFT) & 3u),
        };
        mkv_checkpoint_page_store(unit, index, &stored);
    }
    mkv_checkpoint_page_seal(unit);
}
