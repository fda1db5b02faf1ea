/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot table held against its invariants, and the hash over what of it is durable.
 */
#include "core/bytes.h"
#include "core/hash.h"
#include "core/slot_table_internal.h"

static uint64_t count_free_list(const struct mkv_slot_table *table,
                                const struct mkv_extent_state *state) {
    uint64_t count = 0;
    for (uint32_t slot = state->free_head; slot != MKV_NONE_U32;
         slot = table_entries(table)[slot].tag_low) {
        MKV_ASSERT(slot / MKV_PAGE_SLOTS >= state->page_first);
        MKV_ASSERT(slot / MKV_PAGE_SLOTS < state->page_first + state->page_count);
        MKV_ASSERT(mkv_slot_state_of(&table_entries(table)[slot]) == MKV_SLOT_FREE); /* I1 */
        MKV_ASSERT(slot_in_extent(table, (struct mkv_slot){slot}) < state->fresh);
        count++;
        MKV_ASSERT(count <= state->slot_count);
    }
    return count;
}

static void check_live(const struct mkv_slot_table *table, uint32_t slot) {
    const struct mkv_slot_entry *entry = &table_entries(table)[slot];
    struct mkv_slot_walk walk = mkv_slot_table_walk(table, entry->tenant, entry_tag(entry));
    uint32_t times = 0;
    struct mkv_slot found;
    do {
        found = mkv_slot_table_walk_next(table, &walk);
        times += found.index == slot;
    } while (found.index != MKV_NONE_U32);
    const bool hidden = (entry->bits & MKV_SLOT_HIDDEN) != 0;
    MKV_ASSERT(times == (hidden ? 0 : 1)); /* I3 */
}

struct sums {
    uint64_t live, live_units, found, used, retired, used_units, slots;
    uint64_t tiers[MKV_TIER_COUNT];
    uint32_t classless, empty, pages_taken;
};

/* The slots of a group: I1, I2, O5. */
static void check_slots(const struct mkv_slot_table *table, uint32_t extent, struct sums *sums) {
    const struct mkv_extent_state *state = &table_extents(table)[extent];
    uint64_t used = 0;
    uint64_t retired = 0;
    for (uint32_t index = 0; index < state->slot_count; index++) {
        const uint32_t slot = state->page_first * MKV_PAGE_SLOTS + index;
        const enum mkv_slot_state slot_state = mkv_slot_state_of(&table_entries(table)[slot]);
        MKV_ASSERT(slot_state <= MKV_SLOT_RETIRED_UNTIL_RESTART);
        used += slot_state != MKV_SLOT_FREE;
        retired += slot_state == MKV_SLOT_RETIRED || slot_state == MKV_SLOT_RETIRED_UNTIL_RESTART;
        if (slot_state == MKV_SLOT_LIVE) {
            sums->live++;
            sums->live_units += table_entries(table)[slot].length_units;
            sums->found += (table_entries(table)[slot].bits & MKV_SLOT_HIDDEN) == 0;
            sums->tiers[mkv_slot_tier_of(&table_entries(table)[slot])]++;
            check_live(table, slot);
        }
    }
    MKV_ASSERT(used == state->used);
    MKV_ASSERT(retired == state->retired);
    const uint64_t fresh = state->slot_count - state->fresh;
    MKV_ASSERT(count_free_list(table, state) + fresh + used == state->slot_count);
    sums->used += used;
    sums->retired += retired;
    sums->used_units += used * state->slot_units;
    sums->slots += state->slot_count;
}

/* A group: its members, its pages, its class. */
static void check_group(const struct mkv_slot_table *table, uint32_t extent, struct sums *sums) {
    const struct mkv_extent_state *state = &table_extents(table)[extent];
    MKV_ASSERT(state->span >= 1);
    MKV_ASSERT(state->span <= MKV_EXTENT_SPAN_MAX);
    MKV_ASSERT(extent + state->span <= table->geometry.extent_count);
    for (uint32_t member = 1; member < state->span; member++) { /* I7 */
        MKV_ASSERT(state[member].member == member);
        MKV_ASSERT(state[member].slot_units == 0);
        MKV_ASSERT(!state[member].changing);
    }
    for (uint32_t index = 0; index < state->page_count; index++) {
        const struct mkv_page_state *page = &table_pages(table)[state->page_first + index];
        MKV_ASSERT(page->extent == extent);
        MKV_ASSERT(page->page_in_extent == index);
    }
    sums->pages_taken += state->page_count;
    MKV_ASSERT(table->classes[state->class_index].slot_units == state->slot_units);
    MKV_ASSERT(state->slot_count <= mkv_slot_table_slot_count(&table->geometry, state->span,
                                                              state->slot_units,
                                                              state->page_count));
    MKV_ASSERT(state->listed == (extent_has_free(state) && !state->changing && !state->emptying));
    MKV_ASSERT(!state->changing || state->used == 0); /* I4 */
    sums->empty += extent_is_empty(state);
    check_slots(table, extent, sums);
}

static void check_class(const struct mkv_slot_table *table, uint8_t class_index) {
    const struct mkv_class_state *class_state = &table->classes[class_index];
    struct mkv_class_state sum = {.slot_units = class_state->slot_units};
    for (uint32_t extent = 0; extent < table->geometry.extent_count; extent++) {
        const struct mkv_extent_state *state = &table_extents(table)[extent];
        if (state->slot_units == class_state->slot_units) {
            MKV_ASSERT(state->class_index == class_index);
            sum.extent_count += state->span;
            sum.slot_count += state->slot_count;
            sum.used_count += state->used;
            sum.retired_count += state->retired;
        }
    }
    MKV_ASSERT(sum.extent_count == class_state->extent_count); /* I6 */
    MKV_ASSERT(sum.slot_count == class_state->slot_count);
    MKV_ASSERT(sum.used_count == class_state->used_count);
    MKV_ASSERT(sum.retired_count == class_state->retired_count);
    MKV_ASSERT(class_state->extent_count > 0 || class_state->coming_count > 0);
}

void mkv_slot_table_check(const struct mkv_slot_table *table) {
    if (!table->clear) {
        return; /* nothing is in it yet */
    }
    struct sums sums = {0};
    uint32_t planned = 0;
    for (uint32_t extent = 0; extent < table->geometry.extent_count;
         extent += extent_step(&table_extents(table)[extent])) {
        const struct mkv_extent_state *state = &table_extents(table)[extent];
        MKV_ASSERT(state->member == 0);
        sums.classless += extent_is_classless(state);
        if (state->slot_units != 0) {
            check_group(table, extent, &sums);
        }
    }
    uint32_t class_count = 0;
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        if (table->classes[index].slot_units != 0) {
            class_count++;
            check_class(table, (uint8_t)index);
        }
    }
    uint32_t pages_free = 0;
    for (uint32_t page = 0; page < table->geometry.page_count; page++) {
        const struct mkv_page_state *state = &table_pages(table)[page];
        const bool free = state->extent == MKV_NONE_U32;
        pages_free += free && state->page_in_extent != MKV_PAGE_PLANNED;
        planned += free && state->page_in_extent == MKV_PAGE_PLANNED;
        MKV_ASSERT(page >= table->page_low || !free || state->page_in_extent == MKV_PAGE_PLANNED);
    }
    MKV_ASSERT(pages_free == table->page_free_count);
    MKV_ASSERT(pages_free + planned + sums.pages_taken == table->geometry.page_count);
    MKV_ASSERT(class_count == table->class_count);
    MKV_ASSERT(sums.classless == table->classless_count);
    MKV_ASSERT(sums.empty == table->empty_count);
    MKV_ASSERT(sums.slots == table->classed_slot_count);
    MKV_ASSERT(sums.live == table->live_count);
    MKV_ASSERT(sums.live_units == table->live_units);
    mkv_slot_buckets_check(table, sums.found); /* I3: no others */
    for (uint32_t tier = 0; tier < MKV_TIER_COUNT; tier++) {
        MKV_ASSERT(sums.tiers[tier] == table->tier_counts[tier]);
    }
    MKV_ASSERT(sums.used == table->used_count);
    MKV_ASSERT(sums.retired == table->retired_count);
    MKV_ASSERT(sums.used_units == table->used_units);
}

/* Bits of an entry that are durable. */
#define DURABLE_BITS (MKV_SLOT_STATE_MASK | MKV_SLOT_MANIFEST | MKV_SLOT_SEGMENT)

#define TIER_PUT_SHIFT 8u

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
        mkv_store_u32(bytes + 16, table_extents(table)[extent].span);
        hash = mkv_hash_64_seeded(bytes, 20, hash);
        const uint32_t slot_count = slots_of_page(table, page);
        for (uint32_t index = 0; index < slot_count; index++) {
            const uint32_t slot = page * MKV_PAGE_SLOTS + index;
            const struct mkv_slot_entry *entry = &table_entries(table)[slot];
            const enum mkv_slot_state state = mkv_slot_state_of(entry);
            if (state != MKV_SLOT_LIVE && state != MKV_SLOT_RETIRED) {
                continue;
            }
            mkv_store_u64(bytes, entry_tag(entry));
            mkv_store_u32(bytes + 8, entry->tenant);
            mkv_store_u32(bytes + 12, slot);
            mkv_store_u32(bytes + 16, entry->generation_low);
            mkv_store_u32(bytes + 20, entry->expiry_s);
            mkv_store_u16(bytes + 24, entry->length_units);
            mkv_store_u16(bytes + 26, (uint16_t)((entry->bits & DURABLE_BITS) |
                                                 (uint32_t)entry->tier_put << TIER_PUT_SHIFT));
            hash = mkv_hash_64_seeded(bytes, 28, hash);
        }
    }
    return hash;
}
