/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How extents change their class: which ones a class gets, which empty ones give theirs back, and
 * which one is to run empty for another class.
 *
 *   classless extents:  . taken   o free          holes
 *     . o o o o . o o . o . o o o                 4, 2, 1, 3: a span of 2 takes the hole of 2,
 *                 ^ ^                             a span of 1 that of 1
 *
 * So large holes stay as long as small ones do, and spans remain possible.
 */
#include <string.h>

#include "core/canary.h"
#include "core/slot_table_internal.h"

/* Of a drive's extents one in this many may be used as one. */
#define EXTENTS_OF_SPAN 8u
/* A span that wastes at most one in this many units is good enough: 2 %. */
#define SPAN_WASTE_SHARE 50u
/* Of the pages, one extent takes at most one in this many. */
#define PAGES_OF_EXTENT 8u

_Static_assert(MKV_EXTENT_SPAN_MAX <= UINT8_MAX, "span and member are 8 bits");

/* ---- spans ----------------------------------------------------------------------------------- */

static uint64_t span_waste(const struct mkv_geometry *geometry, uint32_t span,
                           uint32_t slot_units) {
    return (uint64_t)span * geometry->extent_units % slot_units;
}

/* The least span that a slot fits in. */
static uint32_t span_needed(const struct mkv_geometry *geometry, uint32_t slot_units) {
    return (uint32_t)mkv_divide_up_u64(slot_units, geometry->extent_units);
}

uint32_t mkv_slot_table_span_for(const struct mkv_geometry *geometry, uint32_t slot_units,
                                 uint32_t span_max) {
    const uint32_t needed = span_needed(geometry, slot_units);
    const uint64_t share = mkv_max_u64(needed, geometry->extent_count / EXTENTS_OF_SPAN);
    const uint64_t last = mkv_min_u64(mkv_min_u64(share, span_max), MKV_EXTENT_SPAN_MAX);
    uint32_t best = 0;
    for (uint32_t span = needed; span <= last; span++) {
        const uint64_t waste = span_waste(geometry, span, slot_units);
        if (waste * SPAN_WASTE_SHARE <= (uint64_t)span * geometry->extent_units) {
            return span;
        }
        if (best == 0 || waste * best < span_waste(geometry, best, slot_units) * span) {
            best = span;
        }
    }
    return best;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* The first run of `want` free pages, else the longest shorter one. Steps over whole groups, so the
 * cost grows with extents and free pages. */
static uint32_t find_pages(const struct mkv_slot_table *table, uint32_t want,
                           uint32_t *page_count) {
    const struct mkv_page_state *pages = table_pages(table);
    uint32_t best_first = 0;
    uint32_t best_count = 0;
    uint32_t run = 0;
    uint32_t page = table->page_low;
    while (page < table->geometry.page_count && best_count < want) {
        const uint32_t extent = pages[page].extent;
        if (extent != MKV_NONE_U32) {
            run = 0;
            page =
                table_extents(table)[extent].page_first + table_extents(table)[extent].page_count;
            continue;
        }
        run = pages[page].page_in_extent != MKV_PAGE_PLANNED ? run + 1 : 0;
        page++;
        if (run > best_count) {
            best_count = run;
            best_first = page - run;
        }
    }
    *page_count = best_count;
    return best_first;
}

/* Pages for a group of this slot size. Slot numbers are given out in pages: one group of tiny slots
 * may not take them all, and one page is kept back for every other extent that has no class yet. */
static uint32_t pages_wanted(const struct mkv_slot_table *table, uint32_t span,
                             uint32_t slot_units) {
    const struct mkv_geometry *geometry = &table->geometry;
    const uint64_t others = table->classless_count > span ? table->classless_count - span : 0;
    const uint64_t unreserved =
        table->page_free_count > others ? table->page_free_count - others : 0;
    const uint64_t share = mkv_min_u64(geometry->page_count / PAGES_OF_EXTENT, unreserved);
    const uint64_t slots = (uint64_t)span * geometry->extent_units / slot_units;
    const uint64_t fits = mkv_divide_up_u64(slots, MKV_PAGE_SLOTS);
    return (uint32_t)mkv_max_u64(1, mkv_min_u64(fits, share));
}

/* ---- holes ----------------------------------------------------------------------------------- */

static bool is_open(const struct mkv_extent_state *state) {
    if (MKV_CANARY(MKV_CANARY_SPAN_MEMBER_TAKEN)) {
        return state->slot_units == 0 && !state->changing;
    }
    return extent_is_classless(state);
}

/* Extents from here to the next that is not part of this group. */
static uint32_t hole_step(const struct mkv_extent_state *state) {
    return MKV_CANARY(MKV_CANARY_SPAN_MEMBER_TAKEN) ? 1 : extent_step(state);
}

/* The smallest hole of at least `span` classless extents, the lowest of such, and the length of the
 * longest hole. MKV_NONE_U32 when none is long enough. */
static uint32_t find_hole(const struct mkv_slot_table *table, uint32_t span, uint32_t *longest) {
    const uint32_t count = table->geometry.extent_count;
    uint32_t best = MKV_NONE_U32;
    uint32_t best_length = MKV_NONE_U32;
    *longest = 0;
    uint32_t extent = 0;
    while (extent < count) {
        const struct mkv_extent_state *state = &table_extents(table)[extent];
        if (!is_open(state)) {
            extent += hole_step(state);
            continue;
        }
        const uint32_t first = extent;
        while (extent < count && is_open(&table_extents(table)[extent])) {
            extent++;
        }
        const uint32_t length = extent - first;
        *longest = (uint32_t)mkv_max_u64(*longest, length);
        if (length >= span && length < best_length) {
            best = first;
            best_length = length;
        }
    }
    return best;
}

/* ---- empty groups ---------------------------------------------------------------------------- */

/* Classless extents, and such of empty groups, in a row around this group, itself counted, as far
 * as `enough`: what there would be for another class once they gave their class back. */
static uint32_t room_around(const struct mkv_slot_table *table, uint32_t extent, uint32_t enough) {
    const struct mkv_extent_state *extents = table_extents(table);
    uint32_t length = extents[extent].span;
    uint32_t end = extent + extents[extent].span;
    while (length < enough && end < table->geometry.extent_count &&
           (extent_is_classless(&extents[end]) || extent_is_empty(&extents[end]))) {
        length += extent_step(&extents[end]);
        end += extent_step(&extents[end]);
    }
    uint32_t first = extent;
    while (length < enough && first > 0) {
        const uint32_t head = first - 1 - extents[first - 1].member;
        if (!extent_is_classless(&extents[head]) && !extent_is_empty(&extents[head])) {
            break;
        }
        length += first - head;
        first = head;
    }
    return length;
}

/* The group at used = 0 whose extents come nearest to the span that is wanted: the smallest that is
 * not smaller, else the largest; the lowest of such. */
static uint32_t find_empty(const struct mkv_slot_table *table, uint32_t slot_units) {
    const uint32_t needed = span_needed(&table->geometry, slot_units);
    const uint32_t wanted =
        mkv_slot_table_span_for(&table->geometry, slot_units, MKV_EXTENT_SPAN_MAX);
    uint32_t best = MKV_NONE_U32;
    uint32_t best_span = 0;
    for (uint32_t extent = 0; table->empty_count > 0 && extent < table->geometry.extent_count;
         extent += extent_step(&table_extents(table)[extent])) {
        const struct mkv_extent_state *state = &table_extents(table)[extent];
        if (!extent_is_empty(state) || state->slot_units == slot_units || state->emptying) {
            continue;
        }
        const bool nearer = best_span < wanted ? state->span > best_span
                                               : state->span >= wanted && state->span < best_span;
        if (nearer && room_around(table, extent, needed) >= needed) {
            best = extent;
            best_span = state->span;
        }
    }
    return best;
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* The class gets classless extents and pages. False when there are none. */
static bool plan_take(struct mkv_slot_table *table, uint32_t slot_units,
                      struct mkv_record_extent *record) {
    if (table->classless_count == 0 || table->page_free_count == 0) {
        return false;
    }
    const struct mkv_geometry *geometry = &table->geometry;
    uint32_t longest = 0;
    uint32_t span = mkv_slot_table_span_for(geometry, slot_units, MKV_EXTENT_SPAN_MAX);
    uint32_t extent = find_hole(table, span, &longest);
    if (extent == MKV_NONE_U32) {
        span = mkv_slot_table_span_for(geometry, slot_units, longest);
        extent = span > 0 ? find_hole(table, span, &longest) : MKV_NONE_U32;
    }
    if (extent == MKV_NONE_U32) {
        return false;
    }
    *record =
        (struct mkv_record_extent){.extent = {extent}, .span = span, .slot_units = slot_units};
    const uint32_t want = pages_wanted(table, span, slot_units);
    record->page_first = find_pages(table, want, &record->page_count);
    MKV_ASSERT(record->page_count > 0);
    record->page_count = (uint32_t)mkv_min_u64(record->page_count, want);
    for (uint32_t index = 0; index < record->page_count; index++) {
        table_pages(table)[record->page_first + index].page_in_extent = MKV_PAGE_PLANNED;
    }
    table->page_free_count -= record->page_count;
    if (record->page_first == table->page_low) {
        table->page_low += record->page_count;
    }
    for (uint32_t member = 0; member < span; member++) {
        table_extents(table)[extent + member].changing = true;
    }
    MKV_ASSERT(table->classless_count >= span || MKV_CANARY(MKV_CANARY_SPAN_MEMBER_TAKEN));
    table->classless_count -= span;
    struct mkv_class_state *class_state = mkv_slot_table_class(table, slot_units, true);
    MKV_ASSERT(class_state != NULL);
    class_state->coming_count++;
    return true;
}

void mkv_slot_table_plan_give_back(struct mkv_slot_table *table, struct mkv_extent extent,
                                   struct mkv_record_extent *record) {
    struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    MKV_ASSERT(extent_is_empty(state) || MKV_CANARY(MKV_CANARY_EXTENT_CHANGE_BEFORE_DROPS_DURABLE));
    table->empty_count -= state->used == 0;
    if (state->listed) {
        mkv_slot_table_unlist_extent(table, extent.index);
    }
    state->emptying = false;
    state->changing = true;
    extent_class(table, state)->refused_until_ns = 0; /* it may have no other */
    *record = (struct mkv_record_extent){
        .extent = extent,
        .span = state->span,
        .released_page_first = state->page_first,
        .released_page_count = state->page_count,
    };
}

bool mkv_slot_table_plan_extent(struct mkv_slot_table *table, uint32_t slot_units,
                                struct mkv_record_extent *record) {
    MKV_ASSERT(slot_units > 0);
    if (mkv_slot_table_span_for(&table->geometry, slot_units, table->geometry.extent_count) == 0 ||
        (mkv_slot_table_class(table, slot_units, false) == NULL &&
         table->class_count == MKV_CLASSES_MAX)) {
        return false;
    }
    if (plan_take(table, slot_units, record)) {
        return true;
    }
    const uint32_t extent = find_empty(table, slot_units);
    if (extent == MKV_NONE_U32) {
        return false;
    }
    mkv_slot_table_plan_give_back(table, (struct mkv_extent){extent}, record);
    return true;
}

/* ---- durable changes ------------------------------------------------------------------------- */

void mkv_slot_table_clear_page(struct mkv_slot_table *table, uint32_t page, uint32_t extent,
                               uint32_t page_in_extent) {
    table_pages(table)[page] = (struct mkv_page_state){extent, page_in_extent};
    memset(&table_entries(table)[(size_t)page * MKV_PAGE_SLOTS], 0,
           MKV_PAGE_SLOTS * sizeof(struct mkv_slot_entry));
}

/* The group's extents have no class any more, and its pages are free. */
static void apply_give_back(struct mkv_slot_table *table, const struct mkv_record_extent *record) {
    struct mkv_extent_state *state = mkv_slot_table_extent(table, record->extent);
    MKV_ASSERT(state->changing);
    MKV_ASSERT(state->used == 0 || /* I4 */
               MKV_CANARY(MKV_CANARY_EXTENT_CHANGE_BEFORE_DROPS_DURABLE));
    MKV_ASSERT(state->span == record->span);
    MKV_ASSERT(state->page_first == record->released_page_first);
    MKV_ASSERT(state->page_count == record->released_page_count);
    struct mkv_class_state *class_state = extent_class(table, state);
    class_state->extent_count -= state->span;
    class_state->slot_count -= state->slot_count;
    table->classed_slot_count -= state->slot_count;
    mkv_slot_table_class_leave(table, class_state);
    for (uint32_t index = 0; index < record->released_page_count; index++) {
        mkv_slot_table_clear_page(table, record->released_page_first + index, MKV_NONE_U32,
                                  MKV_NONE_U32);
    }
    table->page_free_count += record->released_page_count;
    table->page_low = (uint32_t)mkv_min_u64(table->page_low, record->released_page_first);
    memset(state, 0, record->span * sizeof *state);
    for (uint32_t member = 0; member < record->span; member++) {
        state[member].untrimmed = true;
    }
    table->untrimmed_count += record->span;
    table->classless_count += record->span;
}

static void apply_take(struct mkv_slot_table *table, const struct mkv_record_extent *record) {
    struct mkv_class_state *class_state = mkv_slot_table_class(table, record->slot_units, false);
    MKV_ASSERT(class_state != NULL);
    MKV_ASSERT(class_state->coming_count > 0);
    MKV_ASSERT(record->released_page_count == 0);
    for (uint32_t index = 0; index < record->page_count; index++) {
        const uint32_t page = record->page_first + index;
        MKV_ASSERT(table_pages(table)[page].extent == MKV_NONE_U32);
        MKV_ASSERT(table_pages(table)[page].page_in_extent == MKV_PAGE_PLANNED);
        mkv_slot_table_clear_page(table, page, record->extent.index, index);
    }
    struct mkv_extent_state *state = mkv_slot_table_extent(table, record->extent);
    MKV_ASSERT(record->extent.index + record->span <= table->geometry.extent_count);
    for (uint32_t member = 0; member < record->span; member++) {
        MKV_ASSERT(state[member].changing);
        table->untrimmed_count -= state[member].untrimmed ? 1u : 0u;
        state[member] = (struct mkv_extent_state){.member = (uint8_t)member};
    }
    state->used_ns = table->now_ns;
    state->slot_units = record->slot_units;
    state->page_first = record->page_first;
    state->page_count = record->page_count;
    state->slot_count = mkv_slot_table_slot_count(&table->geometry, record->span,
                                                  record->slot_units, record->page_count);
    state->free_head = MKV_NONE_U32;
    state->class_index = mkv_slot_table_class_index(table, class_state);
    state->span = (uint8_t)record->span;
    const uint32_t page_end = record->page_first + record->page_count;
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, page_end);
    table->classed_slot_count += state->slot_count;
    table->empty_count++;
    class_state->coming_count--;
    class_state->extent_count += record->span;
    class_state->slot_count += state->slot_count;
    mkv_slot_table_list_extent(table, record->extent.index);
}

void mkv_slot_table_apply_extent(struct mkv_slot_table *table,
                                 const struct mkv_record_extent *record) {
    if (record->slot_units == 0) {
        apply_give_back(table, record);
    } else {
        apply_take(table, record);
    }
}

/* ---- emptying -------------------------------------------------------------------------------- */

/* Whole grains since a slot of the extent was last used. */
static uint64_t age_grains(const struct mkv_slot_table *table, const struct mkv_extent_state *state,
                           uint64_t grain_ns) {
    MKV_ASSERT(state->used_ns <= table->now_ns);
    return (table->now_ns - state->used_ns) / grain_ns;
}

bool mkv_slot_table_choose_victim(struct mkv_slot_table *table, uint32_t slot_units,
                                  uint64_t grain_ns, struct mkv_extent except,
                                  struct mkv_extent *victim) {
    MKV_ASSERT(grain_ns > 0);
    struct mkv_class_state *class_state = mkv_slot_table_class(table, slot_units, false);
    if (class_state != NULL && table->now_ns < class_state->refused_until_ns) {
        return false;
    }
    const struct mkv_extent_state *extents = table_extents(table);
    const uint32_t needed = span_needed(&table->geometry, slot_units);
    bool has_own = false;
    uint64_t own_age = 0;
    uint64_t best_age = 0;
    victim->index = MKV_NONE_U32;
    for (uint32_t extent = 0; extent < table->geometry.extent_count;
         extent += extent_step(&extents[extent])) {
        const struct mkv_extent_state *state = &extents[extent];
        if (state->slot_units == 0 || state->changing) {
            continue;
        }
        const uint64_t age = age_grains(table, state, grain_ns);
        if (state->slot_units == slot_units) {
            /* One that runs empty for another class is the class's no more. */
            has_own = has_own || !state->emptying;
            own_age = state->emptying ? own_age : mkv_max_u64(own_age, age);
        } else if (state->retired == 0 && !state->emptying && extent != except.index &&
                   (victim->index == MKV_NONE_U32 || age > best_age) &&
                   room_around(table, extent, needed) >= needed) {
            victim->index = extent;
            best_age = age;
        }
    }
    const bool found = victim->index != MKV_NONE_U32 &&
                       (!has_own || (best_age > own_age && best_age / 2 >= own_age));
    if (!found && class_state != NULL) {
        class_state->refused_until_ns = table->now_ns + grain_ns;
    }
    return found;
}

void mkv_slot_table_empty_begin(struct mkv_slot_table *table, struct mkv_extent extent) {
    struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    MKV_ASSERT(state->slot_units != 0);
    MKV_ASSERT(!state->changing);
    MKV_ASSERT(!state->emptying);
    if (state->listed) {
        mkv_slot_table_unlist_extent(table, extent.index);
    }
    state->emptying = true;
    extent_class(table, state)->refused_until_ns = 0; /* it may have no other */
}

void mkv_slot_table_empty_end(struct mkv_slot_table *table, struct mkv_extent extent) {
    struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    MKV_ASSERT(state->emptying);
    state->emptying = false;
    state->used_ns = table->now_ns;
    if (extent_has_free(state)) {
        mkv_slot_table_list_extent(table, extent.index);
    }
}

bool mkv_slot_table_next_live(const struct mkv_slot_table *table, struct mkv_extent extent,
                              uint32_t *cursor, uint32_t *look_max, struct mkv_slot *slot) {
    const struct mkv_extent_state *state = mkv_slot_table_extent(table, extent);
    const uint32_t first = state->page_first * MKV_PAGE_SLOTS;
    while (*cursor<state->slot_count && * look_max> 0) {
        slot->index = first + *cursor;
        ++*cursor;
        --*look_max;
        const struct mkv_slot_entry *entry = &table_entries(table)[slot->index];
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE && (entry->bits & MKV_SLOT_HIDDEN) == 0) {
            return true;
        }
    }
    return false;
}
