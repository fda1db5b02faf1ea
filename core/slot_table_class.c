/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Size classes: which size a payload gets, and for each class the list of extents with free slots.
 * A class is nothing but a slot size that some extent has, or is about to have.
 */
#include "core/slot_header.h"
#include "core/slot_table_internal.h"

/* One in this many extents may begin a class of a size of its own. */
#define EXTENTS_OF_EXACT_CLASS 4u

uint32_t mkv_slot_units_of_table(uint32_t payload_units) {
    uint32_t step = 1;
    for (uint32_t octave = 8; octave < payload_units; octave *= 2) {
        step = octave / 4;
    }
    return 1 + (uint32_t)mkv_round_up_u64(payload_units, step);
}

static bool is_of_table(uint32_t slot_units) {
    return mkv_slot_units_of_table(slot_units - 1) == slot_units;
}

struct mkv_class_state *mkv_slot_table_class(struct mkv_slot_table *table, uint32_t slot_units,
                                             bool create) {
    MKV_ASSERT(slot_units > 0);
    struct mkv_class_state *open = NULL;
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        struct mkv_class_state *class_state = &table->classes[index];
        if (class_state->slot_units == slot_units) {
            return class_state;
        }
        if (class_state->slot_units == 0 && open == NULL) {
            open = class_state;
        }
    }
    if (!create || open == NULL) {
        return NULL;
    }
    *open = (struct mkv_class_state){.slot_units = slot_units, .extent_head = MKV_NONE_U32};
    table->class_count++;
    return open;
}

uint32_t mkv_slot_table_class_of(const struct mkv_slot_table *table, uint32_t slot_units) {
    MKV_ASSERT(slot_units > 0);
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        if (table->classes[index].slot_units == slot_units) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

void mkv_slot_table_class_leave(struct mkv_slot_table *table, struct mkv_class_state *class_state) {
    MKV_ASSERT(class_state->slot_units != 0);
    if (class_state->extent_count > 0 || class_state->coming_count > 0) {
        return;
    }
    MKV_ASSERT(class_state->extent_head == MKV_NONE_U32);
    MKV_ASSERT(class_state->slot_count == 0);
    MKV_ASSERT(class_state->used_count == 0);
    MKV_ASSERT(table->class_count > 0);
    table->class_count--;
    *class_state = (struct mkv_class_state){0};
}

uint8_t mkv_slot_table_class_index(const struct mkv_slot_table *table,
                                   const struct mkv_class_state *class_state) {
    MKV_ASSERT(class_state >= table->classes);
    MKV_ASSERT(class_state < table->classes + MKV_CLASSES_MAX);
    return (uint8_t)(class_state - table->classes);
}

/* ---- the size of a payload ------------------------------------------------------------------- */

/* Whether a class of this size, which the table has not, may begin: while few sizes have classes of
 * their own. Those of the fixed table always may. */
static bool exact_may_begin(const struct mkv_slot_table *table, uint32_t slot_units) {
    if (is_of_table(slot_units)) {
        return true;
    }
    uint32_t exact_count = 0;
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        const uint32_t units = table->classes[index].slot_units;
        exact_count += units != 0 && !is_of_table(units);
    }
    return exact_count < mkv_min_u64(MKV_CLASSES_EXACT_MAX,
                                     table->geometry.extent_count / EXTENTS_OF_EXACT_CLASS);
}

static bool class_exists(const struct mkv_slot_table *table, uint32_t slot_units) {
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        if (table->classes[index].slot_units == slot_units) {
            return true;
        }
    }
    return false;
}

uint32_t mkv_slot_table_class_near(const struct mkv_slot_table *table, uint32_t slot_units) {
    uint32_t best = 0;
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        const struct mkv_class_state *class_state = &table->classes[index];
        const uint32_t units = class_state->slot_units;
        if (units > slot_units && (uint64_t)units * 4 <= (uint64_t)slot_units * 5 &&
            class_state->extent_head != MKV_NONE_U32 && (best == 0 || units < best)) {
            best = units;
        }
    }
    return best;
}

uint32_t mkv_slot_table_class_for(const struct mkv_slot_table *table, uint32_t length) {
    const uint32_t exact = mkv_slot_content_units(length);
    if (class_exists(table, exact) || exact_may_begin(table, exact)) {
        return exact;
    }
    const uint32_t near = mkv_slot_table_class_near(table, exact);
    return near != 0 ? near : mkv_slot_units_of_table(exact - 1);
}

/* ---- extents of a class ---------------------------------------------------------------------- */

void mkv_slot_table_list_extent(struct mkv_slot_table *table, uint32_t extent) {
    struct mkv_extent_state *extents = table_extents(table);
    struct mkv_extent_state *state = &extents[extent];
    MKV_ASSERT(!state->listed);
    MKV_ASSERT(!state->emptying);
    MKV_ASSERT(extent_has_free(state));
    uint32_t *head = &extent_class(table, state)->extent_head;
    state->listed = true;
    state->previous = MKV_NONE_U32;
    state->next = *head;
    if (*head != MKV_NONE_U32) {
        extents[*head].previous = extent;
    }
    *head = extent;
    table->extent_was_listed = true;
}

void mkv_slot_table_unlist_extent(struct mkv_slot_table *table, uint32_t extent) {
    struct mkv_extent_state *extents = table_extents(table);
    struct mkv_extent_state *state = &extents[extent];
    MKV_ASSERT(state->listed);
    if (state->previous == MKV_NONE_U32) {
        extent_class(table, state)->extent_head = state->next;
    } else {
        extents[state->previous].next = state->next;
    }
    if (state->next != MKV_NONE_U32) {
        extents[state->next].previous = state->previous;
    }
    state->listed = false;
}

uint32_t mkv_slot_table_slot_count(const struct mkv_geometry *geometry, uint32_t span,
                                   uint64_t slot_units, uint64_t page_count) {
    MKV_ASSERT(slot_units > 0);
    MKV_ASSERT(span >= 1);
    const uint64_t fits = (uint64_t)span * geometry->extent_units / slot_units;
    return (uint32_t)mkv_min_u64(fits, page_count * MKV_PAGE_SLOTS);
}
