/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the table comes back after a restart: pages of the checkpoint are loaded, the records of the
 * journal are replayed onto pages that are older, and all that is not stored is derived.
 */
#include <string.h>

#include "core/canary.h"
#include "core/slot_header.h"
#include "core/slot_table_internal.h"

/* ---- pages ----------------------------------------------------------------------------------- */

static void load_entry(const struct mkv_page_entry *stored, struct mkv_slot_entry *entry) {
    *entry = (struct mkv_slot_entry){
        .tag_low = (uint32_t)stored->tag,
        .tag_high = (uint32_t)(stored->tag >> 32),
        .tenant = stored->tenant,
        .generation_low = stored->generation_low,
        .expiry_s = stored->expiry_s,
        .length_units = stored->length_units & 0x3fffu,
        .tier_put = stored->tier & MKV_TIER_MAX,
        .bits = (uint16_t)(stored->state |
                           ((stored->block_flags & MKV_BLOCK_MANIFEST) ? MKV_SLOT_MANIFEST : 0u) |
                           ((stored->block_flags & MKV_BLOCK_SEGMENT) ? MKV_SLOT_SEGMENT : 0u) |
                           ((uint32_t)(stored->tier & 3u) << MKV_SLOT_TIER_SHIFT)),
    };
}

/* Whether such a group, and a slot of it, can be on this drive. */
static bool group_fits(const struct mkv_geometry *geometry, struct mkv_extent extent, uint32_t span,
                       uint32_t slot_units) {
    return span >= 1 && span <= MKV_EXTENT_SPAN_MAX && extent.index < geometry->extent_count &&
           span <= geometry->extent_count - extent.index && slot_units >= 1 &&
           slot_units <= (uint64_t)span * geometry->extent_units;
}

/* Whether the slot of this index lies within a group. */
static bool slot_fits(const struct mkv_geometry *geometry, uint32_t span, uint32_t slot_units,
                      uint64_t in_extent) {
    return (in_extent + 1) * slot_units <= (uint64_t)span * geometry->extent_units;
}

bool mkv_slot_table_load_page(struct mkv_slot_table *table, const struct mkv_checkpoint_page *page,
                              const uint8_t *unit) {
    if (page->page >= table->geometry.page_count) {
        return false;
    }
    table_stamps(table)[page->page] =
        (struct mkv_page_stamp){page->stamp.value, page->slot_units, page->span};
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, page->page + 1);
    if (page->extent.index == MKV_NONE_U32) {
        return true;
    }
    if (!group_fits(&table->geometry, page->extent, page->span, page->slot_units) ||
        page->page_in_extent > page->page) {
        return false;
    }
    mkv_slot_table_clear_page(table, page->page, page->extent.index, page->page_in_extent);
    struct mkv_slot_entry *entries = &table_entries(table)[(size_t)page->page * MKV_PAGE_SLOTS];
    for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
        struct mkv_page_entry stored;
        mkv_checkpoint_page_load(unit, index, &stored);
        if (stored.state == MKV_ENTRY_FREE) {
            continue;
        }
        const uint64_t in_extent = (uint64_t)page->page_in_extent * MKV_PAGE_SLOTS + index;
        if (!slot_fits(&table->geometry, page->span, page->slot_units, in_extent) ||
            stored.length_units >= page->slot_units ||
            ((stored.block_flags & MKV_BLOCK_MANIFEST) != 0 && stored.length_units > 0)) {
            return false;
        }
        load_entry(&stored, &entries[index]);
    }
    return true;
}

/* ---- replay ---------------------------------------------------------------------------------- */

static bool page_is_newer(const struct mkv_slot_table *table, uint32_t page,
                          struct mkv_sequence sequence) {
    return table_stamps(table)[page].sequence >= sequence.value &&
           !MKV_CANARY(MKV_CANARY_STAMP_IGNORED);
}

static bool page_has_slots(const struct mkv_slot_table *table, uint32_t page) {
    const struct mkv_slot_entry *entries = &table_entries(table)[(size_t)page * MKV_PAGE_SLOTS];
    for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
        if (mkv_slot_state_of(&entries[index]) != MKV_SLOT_FREE) {
            return true;
        }
    }
    return false;
}

/* The group has no class any more. Its last block was dropped before the record was issued. */
static bool replay_give_back(struct mkv_slot_table *table, const struct mkv_record_extent *record,
                             struct mkv_sequence sequence) {
    for (uint32_t index = 0; index < record->released_page_count; index++) {
        const uint32_t page = record->released_page_first + index;
        if (page_is_newer(table, page, sequence)) {
            continue;
        }
        if (table_pages(table)[page].extent != record->extent.index ||
            table_pages(table)[page].page_in_extent != index ||
            table_stamps(table)[page].span != record->span || page_has_slots(table, page)) {
            return false;
        }
        mkv_slot_table_clear_page(table, page, MKV_NONE_U32, MKV_NONE_U32);
    }
    return true;
}

static bool replay_take(struct mkv_slot_table *table, const struct mkv_record_extent *record,
                        struct mkv_sequence sequence) {
    for (uint32_t index = 0; index < record->page_count; index++) {
        const uint32_t page = record->page_first + index;
        if (page_is_newer(table, page, sequence)) {
            continue;
        }
        if (table_pages(table)[page].extent != MKV_NONE_U32) {
            return false;
        }
        mkv_slot_table_clear_page(table, page, record->extent.index, index);
        table_stamps(table)[page].slot_units = record->slot_units;
        table_stamps(table)[page].span = record->span;
    }
    const uint32_t page_end = record->page_first + record->page_count;
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, page_end);
    return true;
}

/* An extent either gets a class or gives one back; never both at once. */
static bool replay_extent(struct mkv_slot_table *table, const struct mkv_record_extent *record,
                          struct mkv_sequence sequence) {
    const struct mkv_geometry *geometry = &table->geometry;
    const bool gives_back = record->slot_units == 0;
    if (!group_fits(geometry, record->extent, record->span, gives_back ? 1 : record->slot_units) ||
        (record->page_count == 0) != gives_back ||
        (record->released_page_count == 0) == gives_back ||
        (uint64_t)record->page_first + record->page_count > geometry->page_count ||
        (uint64_t)record->released_page_first + record->released_page_count >
            geometry->page_count) {
        return false;
    }
    return gives_back ? replay_give_back(table, record, sequence)
                      : replay_take(table, record, sequence);
}

/* The page of a slot if the slot lies within its extent, else MKV_NONE_U32. */
static uint32_t page_of_slot(const struct mkv_slot_table *table, struct mkv_slot slot) {
    const uint32_t page = slot.index / MKV_PAGE_SLOTS;
    if (slot.index >= table->slot_total || table_pages(table)[page].extent == MKV_NONE_U32) {
        return MKV_NONE_U32;
    }
    const struct mkv_page_stamp *stamp = &table_stamps(table)[page];
    return slot_fits(&table->geometry, stamp->span, stamp->slot_units, slot_in_extent(table, slot))
               ? page
               : MKV_NONE_U32;
}

/* The entry of a slot that is within its extent and in this state; NULL when it is not. */
static struct mkv_slot_entry *entry_in_state(const struct mkv_slot_table *table,
                                             struct mkv_slot slot, enum mkv_slot_state state) {
    if (page_of_slot(table, slot) == MKV_NONE_U32) {
        return NULL;
    }
    struct mkv_slot_entry *entry = &table_entries(table)[slot.index];
    return mkv_slot_state_of(entry) == state ? entry : NULL;
}

static struct mkv_slot_entry *entry_of_generation(const struct mkv_slot_table *table,
                                                  struct mkv_slot slot,
                                                  struct mkv_generation generation) {
    struct mkv_slot_entry *entry = entry_in_state(table, slot, MKV_SLOT_LIVE);
    return entry != NULL && entry->generation_low == (uint32_t)generation.value ? entry : NULL;
}

static bool replay_put(struct mkv_slot_table *table, const struct mkv_record_put *put) {
    struct mkv_slot_entry *entry = entry_in_state(table, put->slot, MKV_SLOT_FREE);
    const bool large_manifest =
        (put->block_flags & MKV_BLOCK_MANIFEST) != 0 && mkv_slot_payload_units(put->length) > 0;
    if (entry == NULL || put->length > MKV_BLOCK_BYTES_MAX || large_manifest ||
        mkv_slot_content_units(put->length) >
            table_stamps(table)[put->slot.index / MKV_PAGE_SLOTS].slot_units) {
        return false;
    }
    const struct mkv_page_entry stored = {
        .tag = put->tag,
        .tenant = put->tenant,
        .generation_low = (uint32_t)put->generation.value,
        .expiry_s = put->expiry_s,
        .length_units = (uint16_t)mkv_slot_payload_units(put->length),
        .state = MKV_ENTRY_LIVE,
        .block_flags = (uint8_t)put->block_flags,
        .tier = put->tier,
    };
    load_entry(&stored, entry);
    return true;
}

static void replay_retired(struct mkv_slot_entry *entry) {
    memset(entry, 0, sizeof *entry);
    entry_set_state(entry, MKV_SLOT_RETIRED);
}

static bool replay_drop(struct mkv_slot_table *table, const struct mkv_record_drop *drop) {
    struct mkv_slot_entry *entry = entry_of_generation(table, drop->slot, drop->generation);
    if (entry == NULL) {
        return false;
    }
    memset(entry, 0, sizeof *entry);
    if (drop->retired) {
        replay_retired(entry);
    }
    return true;
}

static bool replay_retire(struct mkv_slot_table *table, const struct mkv_record_retire *retire) {
    struct mkv_slot_entry *entry = entry_in_state(table, retire->slot, MKV_SLOT_FREE);
    if (entry == NULL) {
        return false;
    }
    replay_retired(entry);
    return true;
}

static bool replay_expiry(struct mkv_slot_table *table, const struct mkv_record_expiry *expiry) {
    struct mkv_slot_entry *entry = entry_of_generation(table, expiry->slot, expiry->generation);
    if (entry == NULL) {
        return false;
    }
    entry->expiry_s = expiry->expiry_s;
    return true;
}

static struct mkv_slot slot_of_record(const struct mkv_record *record) {
    switch (record->kind) {
    case MKV_RECORD_PUT:
        return record->put.slot;
    case MKV_RECORD_DROP:
        return record->drop.slot;
    case MKV_RECORD_RETIRE:
        return record->retire.slot;
    case MKV_RECORD_EXPIRY:
        return record->expiry.slot;
    case MKV_RECORD_EXTENT:
    case MKV_RECORD_TENANT:
    case MKV_RECORD_TENANT_DROP:
        break;
    }
    MKV_ASSERT(false); /* those name no slot */
    return (struct mkv_slot){MKV_NONE_U32};
}

bool mkv_slot_table_replay(struct mkv_slot_table *table, const struct mkv_record *record,
                           struct mkv_sequence sequence) {
    if (record->kind == MKV_RECORD_EXTENT) {
        return replay_extent(table, &record->extent, sequence);
    }
    const struct mkv_slot slot = slot_of_record(record);
    if (slot.index >= table->slot_total) {
        return false;
    }
    if (page_is_newer(table, slot.index / MKV_PAGE_SLOTS, sequence)) {
        return true;
    }
    if (record->kind == MKV_RECORD_PUT) {
        return replay_put(table, &record->put);
    }
    if (record->kind == MKV_RECORD_RETIRE) {
        return replay_retire(table, &record->retire);
    }
    return record->kind == MKV_RECORD_DROP ? replay_drop(table, &record->drop)
                                           : replay_expiry(table, &record->expiry);
}

/* ---- derivation ------------------------------------------------------------------------------ */

/* The slots of a page that lie within its group: its first so many. */
static uint32_t slots_that_fit(const struct mkv_slot_table *table, uint32_t page,
                               const struct mkv_extent_state *state) {
    const uint64_t units = (uint64_t)state->span * table->geometry.extent_units;
    const uint64_t before = (uint64_t)table_pages(table)[page].page_in_extent * MKV_PAGE_SLOTS;
    const uint64_t fit = units / state->slot_units;
    return before < fit ? (uint32_t)mkv_min_u64(fit - before, MKV_PAGE_SLOTS) : 0;
}

static void derive_slots(struct mkv_slot_table *table, uint32_t page,
                         struct mkv_extent_state *state) {
    struct mkv_class_state *class_state = extent_class(table, state);
    /* The buckets of a page's blocks are far apart: they are waited for together. */
    const uint32_t slot_count = slots_that_fit(table, page, state);
    for (uint32_t index = 0; index < slot_count; index++) {
        mkv_slot_buckets_prefetch(table,
                                  entry_tag(&table_entries(table)[page * MKV_PAGE_SLOTS + index]));
    }
    for (uint32_t index = slot_count; index-- > 0;) {
        const struct mkv_slot slot = {page * MKV_PAGE_SLOTS + index};
        struct mkv_slot_entry *entry = &table_entries(table)[slot.index];
        if (mkv_slot_state_of(entry) == MKV_SLOT_FREE) {
            entry->tag_low = state->free_head;
            state->free_head = slot.index;
            continue;
        }
        state->used++;
        class_state->used_count++;
        table->used_count++;
        table->used_units += state->slot_units;
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE) {
            table->live_count++;
            table->live_units += entry->length_units;
            table->tier_counts[mkv_slot_tier_of(entry)]++;
            mkv_slot_buckets_insert(table, slot.index);
        } else {
            state->retired++;
            class_state->retired_count++;
            table->retired_count++;
        }
    }
}

/* The first page of a group: its extents must belong to no other (I7). */
static bool derive_group(struct mkv_slot_table *table, uint32_t page) {
    const uint32_t extent = table_pages(table)[page].extent;
    const struct mkv_page_stamp *stamp = &table_stamps(table)[page];
    struct mkv_extent_state *state = &table_extents(table)[extent];
    struct mkv_class_state *class_state = mkv_slot_table_class(table, stamp->slot_units, true);
    if (class_state == NULL) {
        return false;
    }
    MKV_ASSERT(extent + stamp->span <= table->geometry.extent_count);
    for (uint32_t member = 0; member < stamp->span; member++) {
        if (!extent_is_classless(&state[member])) {
            return false;
        }
        state[member].member = (uint8_t)member;
    }
    state->used_ns = table->now_ns;
    state->slot_units = stamp->slot_units;
    state->page_first = page;
    state->free_head = MKV_NONE_U32;
    state->class_index = mkv_slot_table_class_index(table, class_state);
    state->span = (uint8_t)stamp->span;
    table->classless_count -= stamp->span;
    class_state->extent_count += stamp->span;
    return true;
}

/* Adds a page to its extent. Pages of an extent stand in a row, so they come in their order. */
static bool derive_page(struct mkv_slot_table *table, uint32_t page) {
    const struct mkv_page_state *page_state = &table_pages(table)[page];
    const struct mkv_page_stamp *stamp = &table_stamps(table)[page];
    struct mkv_extent_state *state = &table_extents(table)[page_state->extent];
    if (page_state->page_in_extent == 0 && !derive_group(table, page)) {
        return false;
    }
    if (state->slot_units != stamp->slot_units || state->span != stamp->span ||
        page != state->page_first + page_state->page_in_extent ||
        page_state->page_in_extent != state->page_count) {
        return false;
    }
    state->page_count++;
    MKV_ASSERT(table->page_free_count > 0);
    table->page_free_count--;
    derive_slots(table, page, state);
    return true;
}

static void derive_extents(struct mkv_slot_table *table) {
    for (uint32_t extent = 0; extent < table->geometry.extent_count;
         extent += extent_step(&table_extents(table)[extent])) {
        struct mkv_extent_state *state = &table_extents(table)[extent];
        if (state->slot_units == 0) {
            continue;
        }
        state->slot_count = mkv_slot_table_slot_count(&table->geometry, state->span,
                                                      state->slot_units, state->page_count);
        state->fresh = state->slot_count;
        table->classed_slot_count += state->slot_count;
        table->empty_count += state->used == 0;
        extent_class(table, state)->slot_count += state->slot_count;
        if (state->free_head != MKV_NONE_U32) {
            mkv_slot_table_list_extent(table, extent);
        }
    }
}

bool mkv_slot_table_derive(struct mkv_slot_table *table, uint32_t *cursor, uint32_t page_max,
                           bool *consistent) {
    const uint32_t end = (uint32_t)mkv_min_u64((uint64_t)*cursor + page_max, table->page_high);
    for (; *cursor < end; ++*cursor) {
        if (table_pages(table)[*cursor].extent != MKV_NONE_U32 && !derive_page(table, *cursor)) {
            *consistent = false;
            return true;
        }
    }
    if (*cursor < table->page_high) {
        return false;
    }
    derive_extents(table);
    *consistent = true;
    return true;
}
