/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slot_table.h"

#include <string.h>

#include "core/canary.h"
#include "core/slot_header.h"
#include "core/slot_table_internal.h"

/* ---- memory ---------------------------------------------------------------------------------- */

struct layout {
    uint64_t entries, pages, buckets, stamps, extents, end;
    uint32_t slot_total, bucket_count;
};

/* What is cleared with ones stands before what is cleared with zeros. */
static struct layout layout_of(const struct mkv_geometry *geometry) {
    struct layout layout;
    layout.slot_total = geometry->page_count * MKV_PAGE_SLOTS;
    layout.bucket_count = (uint32_t)bucket_count_for(layout.slot_total);
    uint64_t at = mkv_round_up_u64(sizeof(struct mkv_slot_table), 64);
    layout.entries = at;
    at = mkv_round_up_u64(at + (uint64_t)layout.slot_total * sizeof(struct mkv_slot_entry), 64);
    layout.pages = at;
    at = mkv_round_up_u64(at + (uint64_t)geometry->page_count * sizeof(struct mkv_page_state), 64);
    layout.buckets = at;
    at += (uint64_t)layout.bucket_count * sizeof(struct mkv_slot_bucket);
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
    table->pages_offset = layout.pages;
    table->buckets_offset = layout.buckets;
    table->stamps_offset = layout.stamps;
    table->extents_offset = layout.extents;
    table->end_offset = layout.end;
    table->page_free_count = geometry->page_count;
    table->classless_count = geometry->extent_count;
    mkv_slot_buckets_init(table);
}

bool mkv_slot_table_clear(struct mkv_slot_table *table, uint64_t *cursor, uint64_t bytes_max) {
    MKV_ASSERT(!table->clear);
    MKV_ASSERT(bytes_max > 0);
    uint64_t at = table->pages_offset + *cursor;
    MKV_ASSERT(at <= table->end_offset);
    const uint64_t end = mkv_min_u64(at + bytes_max, table->end_offset);
    /* Pages: of no extent. */
    if (at < table->buckets_offset) {
        const uint64_t ones_end = mkv_min_u64(end, table->buckets_offset);
        memset((uint8_t *)table + at, 0xff, (size_t)(ones_end - at));
        at = ones_end;
    }
    memset((uint8_t *)table + at, 0, (size_t)(end - at));
    *cursor = end - table->pages_offset;
    table->clear = end == table->end_offset;
    return table->clear;
}

/* ---- places ---------------------------------------------------------------------------------- */

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
    MKV_ASSERT(offset <
               (uint64_t)table_extents(table)[extent.index].span * table->geometry.extent_units);
    return (struct mkv_lba){mkv_geometry_extent(&table->geometry, extent).unit + offset};
}

struct mkv_slot mkv_slot_table_next_owned(const struct mkv_slot_table *table,
                                          struct mkv_slot slot) {
    const uint32_t end = table->page_high * MKV_PAGE_SLOTS;
    while (slot.index < end && mkv_slot_table_extent_of(table, slot).index == MKV_NONE_U32) {
        /* Nor has the page any slot of an extent behind it. */
        slot.index += MKV_PAGE_SLOTS - slot.index % MKV_PAGE_SLOTS;
    }
    return (struct mkv_slot){slot.index < end ? slot.index : MKV_NONE_U32};
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void count_used(struct mkv_slot_table *table, struct mkv_extent_state *state) {
    if (state->used == 0) {
        MKV_ASSERT(table->empty_count > 0);
        table->empty_count--;
    }
    state->used++;
    MKV_ASSERT(state->used <= state->slot_count);
    extent_class(table, state)->used_count++;
    table->used_count++;
    table->used_units += state->slot_units;
}

bool mkv_slot_table_reserve(struct mkv_slot_table *table, uint32_t slot_units,
                            struct mkv_slot *slot) {
    const struct mkv_class_state *class_state = mkv_slot_table_class(table, slot_units, false);
    if (class_state == NULL || class_state->extent_head == MKV_NONE_U32) {
        return false;
    }
    const uint32_t extent = class_state->extent_head;
    struct mkv_extent_state *state = &table_extents(table)[extent];
    MKV_ASSERT(extent_has_free(state));
    MKV_ASSERT(!state->changing);
    MKV_ASSERT(!state->emptying);
    if (state->free_head != MKV_NONE_U32) {
        slot->index = state->free_head;
        state->free_head = mkv_slot_table_entry(table, *slot)->tag_low;
    } else {
        slot->index = state->page_first * MKV_PAGE_SLOTS + state->fresh;
        state->fresh++;
    }
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, *slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_FREE);
    memset(entry, 0, sizeof *entry);
    entry_set_state(entry, MKV_SLOT_RESERVED);
    count_used(table, state);
    state->used_ns = table->now_ns;
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
    memset(entry, 0, sizeof *entry);
    entry->tag_low = state->free_head;
    state->free_head = slot.index;
    state->used--;
    extent_class(table, state)->used_count--;
    table->used_count--;
    table->used_units -= state->slot_units;
    if (state->used == 0) {
        table->empty_count++;
        /* They are given out in their order again: puts one behind the other then lie side by side
         * on the drive, whatever order they were freed in. */
        state->free_head = MKV_NONE_U32;
        state->fresh = 0;
    }
    if (!state->listed && !state->emptying) {
        mkv_slot_table_list_extent(table, extent.index);
    }
}

void mkv_slot_table_unreserve(struct mkv_slot_table *table, struct mkv_slot slot) {
    MKV_ASSERT(mkv_slot_state_of(mkv_slot_table_entry(table, slot)) == MKV_SLOT_RESERVED);
    free_slot(table, slot);
}

/* The slot leaves its last state for one of the retired ones; it stays in use for ever. */
static void set_retired(struct mkv_slot_table *table, struct mkv_slot slot,
                        enum mkv_slot_state retired) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    const bool held = (entry->bits & MKV_SLOT_HELD) != 0;
    memset(entry, 0, sizeof *entry);
    entry->bits = (uint16_t)(held ? MKV_SLOT_HELD : 0u);
    entry_set_state(entry, retired);
    struct mkv_extent_state *state =
        mkv_slot_table_extent(table, mkv_slot_table_extent_of(table, slot));
    state->retired++;
    extent_class(table, state)->retired_count++;
    table->retired_count++;
}

void mkv_slot_table_retire(struct mkv_slot_table *table, struct mkv_slot slot) {
    MKV_ASSERT(mkv_slot_state_of(mkv_slot_table_entry(table, slot)) == MKV_SLOT_RESERVED);
    set_retired(table, slot, MKV_SLOT_RETIRED_UNTIL_RESTART);
}

/* Takes a free slot out of its extent's list. Cost grows with the list, which is the extent's. */
static void take_free(struct mkv_slot_table *table, struct mkv_slot slot) {
    const struct mkv_extent extent = mkv_slot_table_extent_of(table, slot);
    struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    /* The fresh ones up to it join the list, so that those behind it stay fresh. */
    while (slot_in_extent(table, slot) >= state->fresh) {
        const uint32_t fresh = state->page_first * MKV_PAGE_SLOTS + state->fresh;
        table_entries(table)[fresh].tag_low = state->free_head;
        state->free_head = fresh;
        state->fresh++;
    }
    uint32_t *link = &state->free_head;
    while (*link != slot.index) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &table_entries(table)[*link].tag_low;
    }
    *link = table_entries(table)[slot.index].tag_low;
    count_used(table, state);
    if (state->listed && !extent_has_free(state)) {
        mkv_slot_table_unlist_extent(table, extent.index);
    }
}

void mkv_slot_table_apply_retire(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    switch (mkv_slot_state_of(entry)) {
    case MKV_SLOT_FREE:
        take_free(table, slot);
        set_retired(table, slot, MKV_SLOT_RETIRED);
        return;
    case MKV_SLOT_RESERVED:
        set_retired(table, slot, MKV_SLOT_RETIRED);
        return;
    case MKV_SLOT_RETIRED_UNTIL_RESTART:
        entry_set_state(entry, MKV_SLOT_RETIRED);
        return;
    case MKV_SLOT_LIVE:
    case MKV_SLOT_FREEING:
    case MKV_SLOT_RETIRED:
        break;
    }
    MKV_ASSERT(false); /* a live slot is retired by its DROP */
}

void mkv_slot_table_apply_put(struct mkv_slot_table *table, const struct mkv_record_put *put) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, put->slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_RESERVED);
    entry->tag_low = (uint32_t)put->tag;
    entry->tag_high = (uint32_t)(put->tag >> 32);
    entry->tenant = put->tenant;
    entry->generation_low = (uint32_t)put->generation.value;
    entry->expiry_s = put->expiry_s;
    entry->length_units = mkv_slot_payload_units(put->length) & 0x3fffu;
    entry->tier_put = put->tier & MKV_TIER_MAX;
    entry->bits = (uint16_t)(MKV_SLOT_LIVE |
                             ((put->block_flags & MKV_BLOCK_MANIFEST) ? MKV_SLOT_MANIFEST : 0u) |
                             ((put->block_flags & MKV_BLOCK_SEGMENT) ? MKV_SLOT_SEGMENT : 0u) |
                             ((uint32_t)(put->tier & 3u) << MKV_SLOT_TIER_SHIFT));
    mkv_slot_buckets_insert(table, put->slot.index);
    table->live_count++;
    table->live_units += entry->length_units;
    table->tier_counts[mkv_slot_tier_of(entry)]++;
}

void mkv_slot_table_set_tier(struct mkv_slot_table *table, struct mkv_slot slot,
                             enum mkv_tier before, enum mkv_tier tier) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    MKV_ASSERT(table->tier_counts[before] > 0);
    table->tier_counts[before]--;
    table->tier_counts[tier]++;
    entry->bits = (uint16_t)((entry->bits & ~(MKV_TIER_MAX << MKV_SLOT_TIER_SHIFT)) |
                             ((uint32_t)tier << MKV_SLOT_TIER_SHIFT));
}

void mkv_slot_table_apply_expiry(struct mkv_slot_table *table,
                                 const struct mkv_record_expiry *expiry) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, expiry->slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    MKV_ASSERT(entry->generation_low == (uint32_t)expiry->generation.value);
    entry->expiry_s = expiry->expiry_s;
}

void mkv_slot_table_hide(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    MKV_ASSERT((entry->bits & MKV_SLOT_HIDDEN) == 0);
    mkv_slot_buckets_remove(table, slot.index);
    entry->bits |= MKV_SLOT_HIDDEN;
}

static bool frees_while_held(const struct mkv_slot_table *table, struct mkv_slot slot) {
    return MKV_CANARY(MKV_CANARY_EMPTIED_SLOT_REUSED_WHILE_HELD) &&
           mkv_slot_table_extent(table, mkv_slot_table_extent_of(table, slot))->emptying;
}

void mkv_slot_table_apply_drop(struct mkv_slot_table *table, const struct mkv_record_drop *drop) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, drop->slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    MKV_ASSERT(entry->generation_low == (uint32_t)drop->generation.value);
    if ((entry->bits & MKV_SLOT_HIDDEN) == 0) {
        mkv_slot_buckets_remove(table, drop->slot.index);
    }
    MKV_ASSERT(table->live_count > 0);
    table->live_count--;
    table->live_units -= entry->length_units;
    table->tier_counts[mkv_slot_tier_of(entry)]--;
    if (drop->retired) {
        set_retired(table, drop->slot, MKV_SLOT_RETIRED);
    } else if ((entry->bits & MKV_SLOT_HELD) != 0 && !MKV_CANARY(MKV_CANARY_HOLD_IGNORED) &&
               !frees_while_held(table, drop->slot)) {
        entry_set_state(entry, MKV_SLOT_FREEING);
    } else {
        free_slot(table, drop->slot);
    }
}

void mkv_slot_table_hold(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    entry->bits |= MKV_SLOT_HELD;
    mkv_slot_table_extent(table, mkv_slot_table_extent_of(table, slot))->used_ns = table->now_ns;
}

void mkv_slot_table_release(struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    if ((entry->bits & MKV_SLOT_HELD) == 0 &&
        MKV_CANARY(MKV_CANARY_EMPTIED_SLOT_REUSED_WHILE_HELD)) {
        return;
    }
    MKV_ASSERT(entry->bits & MKV_SLOT_HELD);
    entry->bits = (uint16_t)(entry->bits & ~MKV_SLOT_HELD);
    if (mkv_slot_state_of(entry) == MKV_SLOT_FREEING) {
        free_slot(table, slot);
        return;
    }
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE ||
               mkv_slot_state_of(entry) == MKV_SLOT_RETIRED);
}

/* ---- capture --------------------------------------------------------------------------------- */

static uint8_t captured_tier(const struct mkv_slot_entry *entry) {
    if (MKV_CANARY(MKV_CANARY_DEMOTION_CAPTURED)) {
        return (uint8_t)mkv_slot_tier_of(entry);
    }
    return entry->tier_put;
}

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
        head.span = table_extents(table)[state->extent].span;
        head.page_in_extent = state->page_in_extent;
    }
    mkv_checkpoint_page_begin(&head, unit);
    const uint32_t slot_count = slots_of_page(table, page);
    for (uint32_t index = 0; index < slot_count; index++) {
        const struct mkv_slot_entry *entry = &table_entries(table)[page * MKV_PAGE_SLOTS + index];
        const enum mkv_slot_state entry_state = mkv_slot_state_of(entry);
        if (entry_state != MKV_SLOT_LIVE &&
            (entry_state != MKV_SLOT_RETIRED || MKV_CANARY(MKV_CANARY_RETIRED_SLOT_FORGOTTEN))) {
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
            .tier = captured_tier(entry),
        };
        mkv_checkpoint_page_store(unit, index, &stored);
    }
    mkv_checkpoint_page_seal(unit);
}
