/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How extents change their class, how the table comes back after a restart, and how it is checked.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/canary.h"
#include "core/hash.h"
#include "core/slot_header.h"
#include "core/slot_table_internal.h"

/* Extents that one plan looks at for an empty one. */
#define PLAN_EXTENTS_MAX MKV_EXTENTS_MAX

static bool page_is_open(const struct mkv_page_state *page, uint32_t extent) {
    if (page->extent == MKV_NONE_U32) {
        return page->page_in_extent != MKV_PAGE_PLANNED;
    }
    return page->extent == extent;
}

/* The first run of `want` pages that are free or the extent's own, else the longest shorter one. */
static uint32_t find_pages(const struct mkv_slot_table *table, uint32_t extent, uint32_t want,
                           uint32_t *page_count) {
    const struct mkv_page_state *pages = table_pages(table);
    uint32_t best_first = 0;
    uint32_t best_count = 0;
    uint32_t run = 0;
    for (uint32_t page = 0; page < table->geometry.page_count && best_count < want; page++) {
        run = page_is_open(&pages[page], extent) ? run + 1 : 0;
        if (run > best_count) {
            best_count = run;
            best_first = page + 1 - run;
        }
    }
    *page_count = best_count;
    return best_first;
}

/* An extent with a class whose slots are all free (I4). */
static uint32_t find_empty_extent(struct mkv_slot_table *table, uint32_t slot_units) {
    const uint32_t count = table->geometry.extent_count;
    for (uint32_t looked = 0; looked < count && looked < PLAN_EXTENTS_MAX; looked++) {
        const uint32_t extent = table->reclass_cursor;
        table->reclass_cursor = (extent + 1) % count;
        const struct mkv_extent_state *state = &table_extents(table)[extent];
        if (state->used == 0 && !state->changing && state->slot_units != 0 &&
            state->slot_units != slot_units) {
            return extent;
        }
    }
    return MKV_NONE_U32;
}

/* Chooses the extent and its pages. One without a class comes first; when no page is left for it,
 * an empty one brings its own. */
static bool choose_extent(struct mkv_slot_table *table, struct mkv_record_extent *record,
                          uint32_t want) {
    uint32_t extent = table->classless_head;
    uint32_t page_count = 0;
    if (extent != MKV_NONE_U32) {
        record->page_first = find_pages(table, extent, want, &page_count);
    }
    if (page_count == 0) {
        extent = find_empty_extent(table, record->slot_units);
        if (extent == MKV_NONE_U32) {
            return false;
        }
        record->page_first = find_pages(table, extent, want, &page_count);
        MKV_ASSERT(page_count > 0);
    }
    record->extent.index = extent;
    record->page_count = (uint32_t)mkv_min_u64(want, page_count);
    return true;
}

/* Pages for an extent of this slot size. Slot numbers are given out in pages: one extent of tiny
 * slots may not take them all, and one page is kept back for every other extent that has no class
 * yet. */
static uint32_t pages_wanted(const struct mkv_slot_table *table, uint32_t slot_units) {
    const struct mkv_geometry *geometry = &table->geometry;
    const uint64_t others = table->classless_count > 0 ? table->classless_count - 1 : 0;
    const uint64_t unreserved =
        table->page_free_count > others ? table->page_free_count - others : 0;
    const uint64_t share = mkv_min_u64(geometry->page_count / 8, unreserved);
    const uint64_t fits = mkv_divide_up_u64(geometry->extent_units / slot_units, MKV_PAGE_SLOTS);
    return (uint32_t)mkv_max_u64(1, mkv_min_u64(fits, share));
}

bool mkv_slot_table_plan_extent(struct mkv_slot_table *table, uint32_t slot_units,
                                struct mkv_record_extent *record) {
    const struct mkv_geometry *geometry = &table->geometry;
    if (slot_units > geometry->extent_units ||
        (mkv_slot_table_class(table, slot_units, false) == NULL &&
         table->class_count == MKV_CLASSES_MAX)) {
        return false;
    }
    const uint32_t want = pages_wanted(table, slot_units);
    *record = (struct mkv_record_extent){.span = 1, .slot_units = slot_units};
    if (!choose_extent(table, record, want)) {
        return false;
    }
    struct mkv_extent_state *state = mkv_slot_table_extent(table, record->extent);
    record->released_page_first = state->page_first;
    record->released_page_count = state->slot_units == 0 ? 0 : state->page_count;
    if (state->listed) {
        mkv_slot_table_unlist_extent(table, record->extent.index);
    }
    state->changing = true;
    for (uint32_t index = 0; index < record->page_count; index++) {
        struct mkv_page_state *page = &table_pages(table)[record->page_first + index];
        if (page->extent == MKV_NONE_U32) {
            page->page_in_extent = MKV_PAGE_PLANNED;
            MKV_ASSERT(table->page_free_count > 0);
            table->page_free_count--;
        }
    }
    return true;
}

static void clear_page(struct mkv_slot_table *table, uint32_t page, uint32_t extent,
                       uint32_t page_in_extent) {
    table_pages(table)[page] = (struct mkv_page_state){extent, page_in_extent};
    memset(&table_entries(table)[page * MKV_PAGE_SLOTS], 0,
           MKV_PAGE_SLOTS * sizeof(struct mkv_slot_entry));
}

void mkv_slot_table_apply_extent(struct mkv_slot_table *table,
                                 const struct mkv_record_extent *record) {
    struct mkv_extent_state *state = mkv_slot_table_extent(table, record->extent);
    MKV_ASSERT(state->changing);
    MKV_ASSERT(state->used == 0);
    table->classed_slot_count -= state->slot_count;
    if (state->slot_units != 0) {
        struct mkv_class_state *left = mkv_slot_table_class(table, state->slot_units, false);
        MKV_ASSERT(left != NULL);
        left->extent_count--;
        left->slot_count -= state->slot_count;
    }
    for (uint32_t index = 0; index < record->released_page_count; index++) {
        clear_page(table, record->released_page_first + index, MKV_NONE_U32, 0);
        table->page_free_count++;
    }
    for (uint32_t index = 0; index < record->page_count; index++) {
        const uint32_t page = record->page_first + index;
        MKV_ASSERT(table_pages(table)[page].extent == MKV_NONE_U32);
        if (table_pages(table)[page].page_in_extent != MKV_PAGE_PLANNED) {
            table->page_free_count--; /* its own, given back a moment ago */
        }
        clear_page(table, page, record->extent.index, index);
    }
    *state = (struct mkv_extent_state){
        .slot_units = record->slot_units,
        .page_first = record->page_first,
        .page_count = record->page_count,
        .slot_count =
            mkv_slot_table_slot_count(&table->geometry, record->slot_units, record->page_count),
        .free_head = MKV_NONE_U32,
    };
    table->classed_slot_count += state->slot_count;
    const uint32_t page_end = record->page_first + record->page_count;
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, page_end);
    struct mkv_class_state *class_state = mkv_slot_table_class(table, record->slot_units, true);
    MKV_ASSERT(class_state != NULL);
    class_state->extent_count++;
    class_state->slot_count += state->slot_count;
    mkv_slot_table_list_extent(table, record->extent.index);
}

/* ---- recovery -------------------------------------------------------------------------------- */

static void load_entry(const struct mkv_page_entry *stored, struct mkv_slot_entry *entry) {
    *entry = (struct mkv_slot_entry){
        .tag_low = (uint32_t)stored->tag,
        .tag_high = (uint32_t)(stored->tag >> 32),
        .tenant = stored->tenant,
        .chain = MKV_NONE_U32,
        .generation_low = stored->generation_low,
        .expiry_s = stored->expiry_s,
        .length_units = stored->length_units,
        .bits = (uint16_t)(stored->state |
                           ((stored->block_flags & MKV_BLOCK_MANIFEST) ? MKV_SLOT_MANIFEST : 0u) |
                           ((stored->block_flags & MKV_BLOCK_SEGMENT) ? MKV_SLOT_SEGMENT : 0u) |
                           ((uint32_t)(stored->tier & 3u) << MKV_SLOT_TIER_SHIFT)),
    };
}

bool mkv_slot_table_load_page(struct mkv_slot_table *table, const struct mkv_checkpoint_page *page,
                              const uint8_t *unit) {
    if (page->page >= table->geometry.page_count) {
        return false;
    }
    table_stamps(table)[page->page] = (struct mkv_page_stamp){page->stamp.value, page->slot_units};
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, page->page + 1);
    if (page->extent.index == MKV_NONE_U32) {
        return true;
    }
    if (page->extent.index >= table->geometry.extent_count || page->slot_units == 0 ||
        page->span != 1 || page->slot_units > table->geometry.extent_units ||
        page->page_in_extent > page->page) {
        return false;
    }
    table_pages(table)[page->page] =
        (struct mkv_page_state){page->extent.index, page->page_in_extent};
    struct mkv_slot_entry *entries = &table_entries(table)[page->page * MKV_PAGE_SLOTS];
    for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
        struct mkv_page_entry stored;
        mkv_checkpoint_page_load(unit, index, &stored);
        if (stored.state == MKV_ENTRY_FREE) {
            continue;
        }
        const uint64_t in_extent = (uint64_t)page->page_in_extent * MKV_PAGE_SLOTS + index;
        if ((in_extent + 1) * page->slot_units > table->geometry.extent_units ||
            stored.length_units >= page->slot_units ||
            ((stored.block_flags & MKV_BLOCK_MANIFEST) != 0 && stored.length_units > 0)) {
            return false;
        }
        load_entry(&stored, &entries[index]);
    }
    return true;
}

static bool page_is_newer(const struct mkv_slot_table *table, uint32_t page,
                          struct mkv_sequence sequence) {
    return table_stamps(table)[page].sequence >= sequence.value &&
           !MKV_CANARY(MKV_CANARY_STAMP_IGNORED);
}

static bool replay_extent(struct mkv_slot_table *table, const struct mkv_record_extent *record,
                          struct mkv_sequence sequence) {
    const struct mkv_geometry *geometry = &table->geometry;
    if (record->extent.index >= geometry->extent_count || record->slot_units == 0 ||
        record->span != 1 || record->slot_units > geometry->extent_units ||
        record->page_count == 0 ||
        (uint64_t)record->page_first + record->page_count > geometry->page_count ||
        (uint64_t)record->released_page_first + record->released_page_count >
            geometry->page_count) {
        return false;
    }
    for (uint32_t index = 0; index < record->released_page_count; index++) {
        const uint32_t page = record->released_page_first + index;
        if (page_is_newer(table, page, sequence)) {
            continue;
        }
        if (table_pages(table)[page].extent != record->extent.index) {
            return false;
        }
        clear_page(table, page, MKV_NONE_U32, 0);
    }
    for (uint32_t index = 0; index < record->page_count; index++) {
        const uint32_t page = record->page_first + index;
        if (page_is_newer(table, page, sequence)) {
            continue;
        }
        if (table_pages(table)[page].extent != MKV_NONE_U32) {
            return false;
        }
        clear_page(table, page, record->extent.index, index);
        table_stamps(table)[page].slot_units = record->slot_units;
    }
    const uint32_t page_end = record->page_first + record->page_count;
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, page_end);
    return true;
}

/* The page of a slot if the slot lies within its extent, else MKV_NONE_U32. */
static uint32_t page_of_slot(const struct mkv_slot_table *table, struct mkv_slot slot) {
    const uint32_t page = slot.index / MKV_PAGE_SLOTS;
    if (slot.index >= table->slot_total || table_pages(table)[page].extent == MKV_NONE_U32) {
        return MKV_NONE_U32;
    }
    const uint64_t end =
        ((uint64_t)slot_in_extent(table, slot) + 1) * table_stamps(table)[page].slot_units;
    return end <= table->geometry.extent_units ? page : MKV_NONE_U32;
}

static bool replay_put(struct mkv_slot_table *table, const struct mkv_record_put *put) {
    const uint32_t page = page_of_slot(table, put->slot);
    const bool large_manifest =
        (put->block_flags & MKV_BLOCK_MANIFEST) != 0 && mkv_slot_payload_units(put->length) > 0;
    if (page == MKV_NONE_U32 || put->length > MKV_BLOCK_BYTES_MAX || large_manifest ||
        mkv_slot_content_units(put->length) > table_stamps(table)[page].slot_units) {
        return false;
    }
    struct mkv_slot_entry *entry = &table_entries(table)[put->slot.index];
    if (mkv_slot_state_of(entry) != MKV_SLOT_FREE) {
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

static bool replay_drop(struct mkv_slot_table *table, const struct mkv_record_drop *drop) {
    if (page_of_slot(table, drop->slot) == MKV_NONE_U32) {
        return false;
    }
    struct mkv_slot_entry *entry = &table_entries(table)[drop->slot.index];
    if (mkv_slot_state_of(entry) != MKV_SLOT_LIVE ||
        entry->generation_low != (uint32_t)drop->generation.value) {
        return false;
    }
    memset(entry, 0, sizeof *entry);
    if (drop->retired) {
        entry_set_state(entry, MKV_SLOT_RETIRED);
    }
    return true;
}

static bool replay_retire(struct mkv_slot_table *table, const struct mkv_record_retire *retire) {
    if (page_of_slot(table, retire->slot) == MKV_NONE_U32) {
        return false;
    }
    struct mkv_slot_entry *entry = &table_entries(table)[retire->slot.index];
    if (mkv_slot_state_of(entry) != MKV_SLOT_FREE) {
        return false;
    }
    entry_set_state(entry, MKV_SLOT_RETIRED);
    return true;
}

static bool replay_expiry(struct mkv_slot_table *table, const struct mkv_record_expiry *expiry) {
    if (page_of_slot(table, expiry->slot) == MKV_NONE_U32) {
        return false;
    }
    struct mkv_slot_entry *entry = &table_entries(table)[expiry->slot.index];
    if (mkv_slot_state_of(entry) != MKV_SLOT_LIVE ||
        entry->generation_low != (uint32_t)expiry->generation.value) {
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

static void derive_slots(struct mkv_slot_table *table, uint32_t page,
                         struct mkv_extent_state *state) {
    struct mkv_class_state *class_state = mkv_slot_table_class(table, state->slot_units, false);
    MKV_ASSERT(class_state != NULL);
    for (uint32_t index = MKV_PAGE_SLOTS; index-- > 0;) {
        const struct mkv_slot slot = {page * MKV_PAGE_SLOTS + index};
        struct mkv_slot_entry *entry = &table_entries(table)[slot.index];
        const uint64_t end = ((uint64_t)slot_in_extent(table, slot) + 1) * state->slot_units;
        if (end > table->geometry.extent_units) {
            continue;
        }
        if (mkv_slot_state_of(entry) == MKV_SLOT_FREE) {
            entry->chain = state->free_head;
            state->free_head = slot.index;
            continue;
        }
        state->used++;
        class_state->used_count++;
        table->used_count++;
        table->used_units += state->slot_units;
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE) {
            table->live_count++;
            mkv_slot_table_hash_insert(table, slot.index);
        } else {
            table->retired_count++;
        }
    }
}

/* Adds a page to its extent. Pages of an extent stand in a row, so they come in their order. */
static bool derive_page(struct mkv_slot_table *table, uint32_t page) {
    const struct mkv_page_state *page_state = &table_pages(table)[page];
    struct mkv_extent_state *state = &table_extents(table)[page_state->extent];
    const uint32_t slot_units = (uint32_t)table_stamps(table)[page].slot_units;
    if (page_state->page_in_extent == 0) {
        if (state->slot_units != 0 || mkv_slot_table_class(table, slot_units, true) == NULL) {
            return false;
        }
        mkv_slot_table_unlist_extent(table, page_state->extent);
        *state = (struct mkv_extent_state){
            .slot_units = slot_units,
            .page_first = page,
            .free_head = MKV_NONE_U32,
        };
    }
    if (state->slot_units != slot_units || page != state->page_first + page_state->page_in_extent ||
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
    for (uint32_t extent = 0; extent < table->geometry.extent_count; extent++) {
        struct mkv_extent_state *state = &table_extents(table)[extent];
        if (state->slot_units == 0) {
            continue;
        }
        state->slot_count =
            mkv_slot_table_slot_count(&table->geometry, state->slot_units, state->page_count);
        state->fresh = state->slot_count;
        table->classed_slot_count += state->slot_count;
        struct mkv_class_state *class_state = mkv_slot_table_class(table, state->slot_units, false);
        MKV_ASSERT(class_state != NULL);
        class_state->extent_count++;
        class_state->slot_count += state->slot_count;
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

/* ---- checks ---------------------------------------------------------------------------------- */

static uint64_t count_free_list(const struct mkv_slot_table *table,
                                const struct mkv_extent_state *state) {
    uint64_t count = 0;
    for (uint32_t slot = state->free_head; slot != MKV_NONE_U32;
         slot = table_entries(table)[slot].chain) {
        MKV_ASSERT(mkv_slot_state_of(&table_entries(table)[slot]) == MKV_SLOT_FREE);
        MKV_ASSERT(slot / MKV_PAGE_SLOTS >= state->page_first);
        MKV_ASSERT(slot / MKV_PAGE_SLOTS < state->page_first + state->page_count);
        count++;
        MKV_ASSERT(count <= state->slot_count);
    }
    return count;
}

static void check_live(const struct mkv_slot_table *table, uint32_t slot) {
    const struct mkv_slot_entry *entry = &table_entries(table)[slot];
    struct mkv_slot found = mkv_slot_table_find(table, entry->tenant, entry_tag(entry));
    while (found.index != MKV_NONE_U32 && found.index != slot) {
        found = mkv_slot_table_find_next(table, found);
    }
    const bool hidden = (entry->bits & MKV_SLOT_HIDDEN) != 0;
    MKV_ASSERT((found.index == slot) == !hidden); /* I3 */
}

static void check_classes(const struct mkv_slot_table *table) {
    for (uint32_t index = 0; index < table->class_count; index++) {
        const struct mkv_class_state *class_state = &table->classes[index];
        uint64_t extents = 0;
        uint64_t slots = 0;
        uint64_t used = 0;
        for (uint32_t extent = 0; extent < table->geometry.extent_count; extent++) {
            const struct mkv_extent_state *state = &table_extents(table)[extent];
            if (state->slot_units == class_state->slot_units) {
                extents++;
                slots += state->slot_count;
                used += state->used;
            }
        }
        MKV_ASSERT(extents == class_state->extent_count); /* I6 */
        MKV_ASSERT(slots == class_state->slot_count);
        MKV_ASSERT(used == class_state->used_count);
    }
}

void mkv_slot_table_check(const struct mkv_slot_table *table) {
    check_classes(table);
    uint64_t live = 0;
    uint64_t used_total = 0;
    uint64_t used_units = 0;
    for (uint32_t extent = 0; extent < table->geometry.extent_count; extent++) {
        const struct mkv_extent_state *state = &table_extents(table)[extent];
        uint64_t used = 0;
        for (uint32_t index = 0; index < state->slot_count; index++) {
            const uint32_t slot = state->page_first * MKV_PAGE_SLOTS + index;
            const enum mkv_slot_state slot_state = mkv_slot_state_of(&table_entries(table)[slot]);
            MKV_ASSERT(table_pages(table)[slot / MKV_PAGE_SLOTS].extent == extent);
            used += slot_state == MKV_SLOT_FREE ? 0 : 1;
            if (slot_state == MKV_SLOT_LIVE) {
                live++;
                check_live(table, slot);
            }
        }
        MKV_ASSERT(used == state->used); /* I2 */
        if (state->slot_units != 0 && !state->changing) {
            const uint64_t fresh = state->slot_count - state->fresh;
            MKV_ASSERT(count_free_list(table, state) + fresh + used == state->slot_count); /* O5 */
        }
        used_total += used;
        used_units += used * state->slot_units;
    }
    uint32_t page_free_count = 0;
    for (uint32_t page = 0; page < table->geometry.page_count; page++) {
        const struct mkv_page_state *state = &table_pages(table)[page];
        page_free_count +=
            state->extent == MKV_NONE_U32 && state->page_in_extent != MKV_PAGE_PLANNED;
    }
    MKV_ASSERT(page_free_count == table->page_free_count);
    MKV_ASSERT(live == table->live_count);
    MKV_ASSERT(used_total == table->used_count);
    MKV_ASSERT(used_units == table->used_units);
}

uint64_t mkv_slot_table_durable_hash(const struct mkv_slot_table *table) {
    uint64_t hash = 0;
    for (uint32_t page = 0; page < table->page_high; page++) {
        const uint32_t extent = table_pages(table)[page].extent;
        if (extent == MKV_NONE_U32) {
            continue;
        }
        uint8_t bytes[32];
        mkv_store_u32(bytes, extent);
        mkv_store_u32(bytes + 4, table_extents(table)[extent].slot_units);
        mkv_store_u32(bytes + 8, page);
        mkv_store_u32(bytes + 12, table_pages(table)[page].page_in_extent);
        hash = mkv_hash_64_seeded(bytes, 16, hash);
        for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
            const uint32_t slot = page * MKV_PAGE_SLOTS + index;
            const struct mkv_slot_entry *entry = &table_entries(table)[slot];
            const enum mkv_slot_state state = mkv_slot_state_of(entry);
            if (state != MKV_SLOT_LIVE && state != MKV_SLOT_RETIRED) {
                continue;
            }
            if (entry->bits & MKV_SLOT_UNTIL_RESTART) {
                continue;
            }
            mkv_store_u64(bytes, entry_tag(entry));
            mkv_store_u32(bytes + 8, entry->tenant);
            mkv_store_u32(bytes + 12, slot);
            mkv_store_u32(bytes + 16, entry->generation_low);
            mkv_store_u32(bytes + 20, entry->expiry_s);
            mkv_store_u16(bytes + 24, entry->length_units);
            mkv_store_u16(bytes + 26, (uint16_t)(entry->bits & ~(MKV_SLOT_HIDDEN | MKV_SLOT_HELD)));
            hash = mkv_hash_64_seeded(bytes, 28, hash);
        }
    }
    return hash;
}
