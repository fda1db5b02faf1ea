/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which extents a drive may be told to forget: those without a class that had one before, in runs
 * of neighbours. While a run is being trimmed no class can take it.
 */
#include "core/canary.h"
#include "core/slot_table_internal.h"

bool mkv_slot_table_next_idle(const struct mkv_slot_table *table, uint32_t *cursor,
                              uint32_t look_max, uint64_t idle_ns, struct mkv_extent *extent) {
    const uint32_t count = table->geometry.extent_count;
    for (uint32_t looked = 0; looked < look_max && *cursor < count; looked++) {
        const uint32_t index = *cursor;
        const struct mkv_extent_state *state = &table_extents(table)[index];
        *cursor += extent_step(state);
        if (extent_is_empty(state) && !state->emptying &&
            table->now_ns - state->used_ns >= idle_ns) {
            extent->index = index;
            return true;
        }
    }
    return false;
}

static bool is_trimmable(const struct mkv_extent_state *state) {
    return extent_is_classless(state) && state->untrimmed;
}

bool mkv_slot_table_next_untrimmed(const struct mkv_slot_table *table, uint32_t *cursor,
                                   uint32_t look_max, uint32_t count_max, struct mkv_extent *first,
                                   uint32_t *count) {
    const struct mkv_extent_state *extents = table_extents(table);
    MKV_ASSERT(count_max >= 1);
    for (uint32_t looked = 0; looked < look_max && *cursor < table->geometry.extent_count;
         looked++) {
        if (!is_trimmable(&extents[*cursor])) {
            ++*cursor;
            continue;
        }
        first->index = *cursor;
        *count = 0;
        while (*count < count_max && *cursor < table->geometry.extent_count &&
               is_trimmable(&extents[*cursor])) {
            ++*cursor;
            ++*count;
        }
        return true;
    }
    return false;
}

void mkv_slot_table_trim_begin(struct mkv_slot_table *table, struct mkv_extent first,
                               uint32_t count) {
    MKV_ASSERT(table->classless_count >= count);
    MKV_ASSERT(table->untrimmed_count >= count);
    for (uint32_t index = first.index; index < first.index + count; index++) {
        struct mkv_extent_state *state = mkv_slot_table_extent(table, (struct mkv_extent){index});
        MKV_ASSERT(is_trimmable(state));
        state->untrimmed = false;
        state->changing = !MKV_CANARY(MKV_CANARY_TRIM_OVERLAPS_WRITE);
    }
    table->untrimmed_count -= count;
    table->classless_count -= MKV_CANARY(MKV_CANARY_TRIM_OVERLAPS_WRITE) ? 0 : count;
}

void mkv_slot_table_trim_end(struct mkv_slot_table *table, struct mkv_extent first,
                             uint32_t count) {
    if (MKV_CANARY(MKV_CANARY_TRIM_OVERLAPS_WRITE)) {
        return;
    }
    for (uint32_t index = first.index; index < first.index + count; index++) {
        struct mkv_extent_state *state = mkv_slot_table_extent(table, (struct mkv_extent){index});
        MKV_ASSERT(state->changing);
        MKV_ASSERT(state->slot_units == 0);
        state->changing = false;
    }
    table->classless_count += count;
}
