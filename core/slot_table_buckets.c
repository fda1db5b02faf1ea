/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slot_table_buckets.h"

#include "core/bytes.h"
#include "core/slot_table_internal.h"

_Static_assert(BUCKET_CELLS_MAX *BUCKET_MARK_BITS == 64 + BUCKET_PASSED_SHIFT,
               "marks and passed fill 2 words");

void mkv_slot_buckets_init(struct mkv_slot_table *table) {
    uint32_t bits = 1;
    while (bits < 32 && (table->slot_total - 1) >> bits != 0) {
        bits++;
    }
    table->slot_bits = bits;
    table->slot_mask = (uint32_t)((1ull << bits) - 1);
    table->cell_count = (uint32_t)mkv_min_u64(BUCKET_CELLS_MAX, BUCKET_SLOT_WORDS * 64u / bits);
    MKV_ASSERT(table->cell_count >= BUCKET_CELLS_MIN);
}

/* ---- one bucket ------------------------------------------------------------------------------ */

static uint32_t home_of(const struct mkv_slot_table *table, uint64_t tag) {
    return (uint32_t)(((tag >> 32) * table->bucket_count) >> 32);
}

static uint32_t next_of(const struct mkv_slot_table *table, uint32_t bucket) {
    return bucket + 1 == table->bucket_count ? 0 : bucket + 1;
}

/* Steps from one bucket on to another. */
static uint32_t steps_between(const struct mkv_slot_table *table, uint32_t from, uint32_t to) {
    return to >= from ? to - from : to + table->bucket_count - from;
}

static struct mkv_slot_bucket *bucket_at(const struct mkv_slot_table *table, uint32_t bucket) {
    return &table_buckets(table)[bucket];
}

/* 1 to 255. */
static uint64_t mark_of(uint64_t tag) {
    return 1 + (((tag & 0xffffffffu) * 255u) >> 32);
}

static uint32_t passed_of(const struct mkv_slot_bucket *bucket) {
    return (uint32_t)(bucket->words[BUCKET_MARK_WORD_LAST] >> BUCKET_PASSED_SHIFT);
}

static void set_passed(struct mkv_slot_bucket *bucket, uint32_t passed) {
    const uint64_t marks =
        bucket->words[BUCKET_MARK_WORD_LAST] & ((1ull << BUCKET_PASSED_SHIFT) - 1);
    bucket->words[BUCKET_MARK_WORD_LAST] = marks | (uint64_t)passed << BUCKET_PASSED_SHIFT;
}

static void passed_more(struct mkv_slot_bucket *bucket) {
    const uint32_t passed = passed_of(bucket);
    set_passed(bucket, passed == BUCKET_PASSED_MAX ? BUCKET_PASSED_MAX : passed + 1);
}

static void passed_less(struct mkv_slot_bucket *bucket) {
    const uint32_t passed = passed_of(bucket);
    MKV_ASSERT(passed > 0);                                                           /* B1 */
    set_passed(bucket, passed == BUCKET_PASSED_MAX ? BUCKET_PASSED_MAX : passed - 1); /* B4 */
}

static uint64_t mark_at(const struct mkv_slot_bucket *bucket, uint32_t cell) {
    const uint64_t word = bucket->words[BUCKET_MARK_WORD_FIRST + cell / BUCKET_MARKS_OF_WORD];
    return word >> (cell % BUCKET_MARKS_OF_WORD * BUCKET_MARK_BITS) & 0xffu;
}

static bool is_full(const struct mkv_slot_table *table, const struct mkv_slot_bucket *bucket) {
    return mark_at(bucket, table->cell_count - 1) != 0; /* B3 */
}

static uint32_t slot_at(const struct mkv_slot_table *table, const struct mkv_slot_bucket *bucket,
                        uint32_t cell) {
    const uint32_t bit = cell * table->slot_bits;
    /* Eight bytes hold any 32 bits; those behind the last slots are marks, and are masked out. */
    const uint64_t value = mkv_load_u64((const uint8_t *)bucket->words + bit / 8);
    return (uint32_t)(value >> bit % 8) & table->slot_mask;
}

static void set_slot(const struct mkv_slot_table *table, struct mkv_slot_bucket *bucket,
                     uint32_t cell, uint32_t slot) {
    const uint32_t bit = cell * table->slot_bits;
    const uint32_t word = bit / 64;
    const uint32_t shift = bit % 64;
    const uint64_t mask = table->slot_mask;
    bucket->words[word] = (bucket->words[word] & ~(mask << shift)) | (uint64_t)slot << shift;
    if (shift + table->slot_bits > 64) {
        const uint32_t done = 64 - shift;
        bucket->words[word + 1] =
            (bucket->words[word + 1] & ~(mask >> done)) | (uint64_t)slot >> done;
    }
}

static void set_mark(struct mkv_slot_bucket *bucket, uint32_t cell, uint64_t mark) {
    uint64_t *word = &bucket->words[BUCKET_MARK_WORD_FIRST + cell / BUCKET_MARKS_OF_WORD];
    const uint32_t shift = cell % BUCKET_MARKS_OF_WORD * BUCKET_MARK_BITS;
    *word = (*word & ~(0xffull << shift)) | mark << shift;
}

/* Cells in use. */
static uint32_t cells_used(const struct mkv_slot_bucket *bucket) {
    const uint32_t empty = bucket_cells(bucket, 0);
    return empty == 0 ? BUCKET_CELLS_MAX : (uint32_t)__builtin_ctz(empty); /* B3 */
}

/* What a cell holds. */
struct cell {
    uint32_t slot;
    uint64_t mark;
};

/* Moves all cells one on, puts `front` into the first, and returns what was in the last. */
static struct cell push_front(const struct mkv_slot_table *table, struct mkv_slot_bucket *bucket,
                              struct cell front) {
    const uint32_t last = table->cell_count - 1;
    const struct cell out = {slot_at(table, bucket, last), mark_at(bucket, last)};
    const uint32_t bits = table->slot_bits;
    uint64_t *words = bucket->words;
    set_mark(bucket, last, 0);
    for (uint32_t word = BUCKET_SLOT_WORDS - 1; word > 0; word--) {
        words[word] = words[word] << bits | words[word - 1] >> (64 - bits);
    }
    words[0] = words[0] << bits | front.slot;
    const uint64_t passed = words[BUCKET_MARK_WORD_LAST] >> BUCKET_PASSED_SHIFT
                                                                << BUCKET_PASSED_SHIFT;
    const uint64_t marks =
        words[BUCKET_MARK_WORD_LAST] << BUCKET_MARK_BITS | words[BUCKET_MARK_WORD_FIRST] >> 56;
    words[BUCKET_MARK_WORD_LAST] = passed | (marks & ((1ull << BUCKET_PASSED_SHIFT) - 1));
    words[BUCKET_MARK_WORD_FIRST] = words[BUCKET_MARK_WORD_FIRST] << BUCKET_MARK_BITS | front.mark;
    return out;
}

/* Takes a cell out of a bucket: those behind it move up. */
static void take_out(const struct mkv_slot_table *table, struct mkv_slot_bucket *bucket,
                     uint32_t cell) {
    const uint32_t end = cells_used(bucket);
    MKV_ASSERT(cell < end);
    for (uint32_t to = cell; to + 1 < end; to++) {
        set_slot(table, bucket, to, slot_at(table, bucket, to + 1));
        set_mark(bucket, to, mark_at(bucket, to + 1));
    }
    set_mark(bucket, end - 1, 0);
}

/* ---- lookups --------------------------------------------------------------------------------- */

struct mkv_slot_walk mkv_slot_table_walk(const struct mkv_slot_table *table, uint32_t tenant,
                                         uint64_t tag) {
    const uint32_t home = home_of(table, tag);
    return (struct mkv_slot_walk){
        .tag = tag,
        .tenant = tenant,
        .bucket = home,
        .cells = bucket_cells(bucket_at(table, home), mark_of(tag)),
    };
}

struct mkv_slot mkv_slot_table_walk_next(const struct mkv_slot_table *table,
                                         struct mkv_slot_walk *walk) {
    const struct mkv_slot_entry *entries = table_entries(table);
    for (;;) {
        const struct mkv_slot_bucket *bucket = bucket_at(table, walk->bucket);
        while (walk->cells != 0) {
            const uint32_t slot = slot_at(table, bucket, (uint32_t)__builtin_ctz(walk->cells));
            walk->cells &= walk->cells - 1;
            if (entry_tag(&entries[slot]) == walk->tag && entries[slot].tenant == walk->tenant) {
                return (struct mkv_slot){slot};
            }
        }
        if (passed_of(bucket) == 0) {
            return (struct mkv_slot){MKV_NONE_U32};
        }
        walk->bucket = next_of(table, walk->bucket);
        walk->cells = bucket_cells(bucket_at(table, walk->bucket), mark_of(walk->tag));
    }
}

struct mkv_slot_walk mkv_slot_table_walk_behind(const struct mkv_slot_table *table,
                                                struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    struct mkv_slot_walk walk = mkv_slot_table_walk(table, entry->tenant, entry_tag(entry));
    struct mkv_slot found;
    do {
        found = mkv_slot_table_walk_next(table, &walk);
    } while (found.index != slot.index && found.index != MKV_NONE_U32);
    MKV_ASSERT(found.index == slot.index); /* I3 */
    return walk;
}

struct mkv_slot mkv_slot_table_find(const struct mkv_slot_table *table, uint32_t tenant,
                                    uint64_t tag) {
    struct mkv_slot_walk walk = mkv_slot_table_walk(table, tenant, tag);
    return mkv_slot_table_walk_next(table, &walk);
}

struct mkv_slot mkv_slot_table_find_next(const struct mkv_slot_table *table, struct mkv_slot slot) {
    struct mkv_slot_walk walk = mkv_slot_table_walk_behind(table, slot);
    return mkv_slot_table_walk_next(table, &walk);
}

void mkv_slot_buckets_prefetch(const struct mkv_slot_table *table, uint64_t tag) {
    __builtin_prefetch(bucket_at(table, home_of(table, tag)));
}

void mkv_slot_table_prefetch(const struct mkv_slot_table *table, uint64_t tag,
                             enum mkv_prefetch stage) {
    if (stage == MKV_PREFETCH_BUCKET) {
        mkv_slot_buckets_prefetch(table, tag);
        return;
    }
    MKV_ASSERT(stage == MKV_PREFETCH_ENTRY);
    const struct mkv_slot_bucket *bucket = bucket_at(table, home_of(table, tag));
    const uint32_t cells = bucket_cells(bucket, mark_of(tag));
    if (cells != 0) {
        /* Of two cache lines where it lies across their border. */
        const struct mkv_slot_entry *entry =
            &table_entries(table)[slot_at(table, bucket, (uint32_t)__builtin_ctz(cells))];
        __builtin_prefetch(entry);
        __builtin_prefetch(&entry->bits);
    }
}

/* ---- changes --------------------------------------------------------------------------------- */

void mkv_slot_buckets_insert(struct mkv_slot_table *table, uint32_t slot) {
    const uint64_t tag = entry_tag(&table_entries(table)[slot]);
    struct cell carried = {slot, mark_of(tag)};
    uint32_t at = home_of(table, tag);
    for (uint32_t steps = 0;; steps++) {
        MKV_ASSERT(steps < table->bucket_count); /* B5 */
        struct mkv_slot_bucket *bucket = bucket_at(table, at);
        carried = push_front(table, bucket, carried);
        if (carried.mark == 0) {
            return;
        }
        passed_more(bucket);
        at = next_of(table, at);
    }
}

/* Finds the first block behind a bucket that is at home in it or before. False when there is none.
 */
static bool find_behind(const struct mkv_slot_table *table, uint32_t bucket, uint32_t *at,
                        uint32_t *cell) {
    *at = bucket;
    do {
        *at = next_of(table, *at);
        MKV_ASSERT(*at != bucket); /* B5 */
        const struct mkv_slot_bucket *candidate = bucket_at(table, *at);
        const uint32_t used = cells_used(candidate);
        for (*cell = 0; *cell < used; ++*cell) {
            const uint32_t slot = slot_at(table, candidate, *cell);
            const uint32_t home = home_of(table, entry_tag(&table_entries(table)[slot]));
            if (steps_between(table, home, *at) >= steps_between(table, bucket, *at)) {
                return true;
            }
        }
    } while (passed_of(bucket_at(table, *at)) > 0);
    return false;
}

/* The bucket has an empty cell: of the blocks that had to go on from here the nearest comes back,
 * and so on where that stood. It was older than all of its tag that are here (B2). */
static void refill(struct mkv_slot_table *table, uint32_t hole) {
    while (passed_of(bucket_at(table, hole)) > 0) {
        uint32_t at;
        uint32_t cell;
        if (!find_behind(table, hole, &at, &cell)) {
            MKV_ASSERT(passed_of(bucket_at(table, hole)) == BUCKET_PASSED_MAX); /* B4 */
            set_passed(bucket_at(table, hole), 0);
            return;
        }
        struct mkv_slot_bucket *source = bucket_at(table, at);
        struct mkv_slot_bucket *target = bucket_at(table, hole);
        const uint32_t end = cells_used(target);
        MKV_ASSERT(end < table->cell_count);
        set_slot(table, target, end, slot_at(table, source, cell));
        set_mark(target, end, mark_at(source, cell));
        take_out(table, source, cell);
        for (uint32_t passed = hole; passed != at; passed = next_of(table, passed)) {
            passed_less(bucket_at(table, passed));
        }
        hole = at;
    }
}

void mkv_slot_buckets_remove(struct mkv_slot_table *table, uint32_t slot) {
    const uint64_t tag = entry_tag(&table_entries(table)[slot]);
    uint32_t at = home_of(table, tag);
    for (uint32_t steps = 0;; steps++) {
        MKV_ASSERT(steps < table->bucket_count);
        struct mkv_slot_bucket *bucket = bucket_at(table, at);
        for (uint32_t cells = bucket_cells(bucket, mark_of(tag)); cells != 0; cells &= cells - 1) {
            const uint32_t cell = (uint32_t)__builtin_ctz(cells);
            if (slot_at(table, bucket, cell) == slot) {
                take_out(table, bucket, cell);
                refill(table, at);
                return;
            }
        }
        passed_less(bucket); /* B1: it is behind */
        at = next_of(table, at);
    }
}

/* ---- check ----------------------------------------------------------------------------------- */

/* Blocks behind a bucket that are at home in it or before. */
static uint32_t count_behind(const struct mkv_slot_table *table, uint32_t bucket) {
    uint32_t count = 0;
    uint32_t at = bucket;
    while (passed_of(bucket_at(table, at)) > 0) {
        at = next_of(table, at);
        MKV_ASSERT(at != bucket);
        const uint32_t used = cells_used(bucket_at(table, at));
        for (uint32_t cell = 0; cell < used; cell++) {
            const uint32_t slot = slot_at(table, bucket_at(table, at), cell);
            const uint32_t home = home_of(table, entry_tag(&table_entries(table)[slot]));
            count += steps_between(table, home, at) >= steps_between(table, bucket, at);
        }
    }
    return count;
}

static bool is_blank(const struct mkv_slot_bucket *bucket) {
    uint64_t bits = 0;
    for (uint32_t word = 0; word < BUCKET_WORDS; word++) {
        bits |= bucket->words[word];
    }
    return bits == 0;
}

/* Returns the blocks in a bucket. */
static uint32_t check_bucket(const struct mkv_slot_table *table, uint32_t at) {
    const struct mkv_slot_bucket *bucket = bucket_at(table, at);
    uint32_t used = 0;
    if (is_blank(bucket)) {
        return 0; /* a block behind it that had passed it would fail B1 */
    }
    for (; used < table->cell_count && mark_at(bucket, used) != 0; used++) {
        const uint32_t slot = slot_at(table, bucket, used);
        MKV_ASSERT(slot < table->slot_total);
        const struct mkv_slot_entry *entry = &table_entries(table)[slot];
        MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
        MKV_ASSERT(mark_at(bucket, used) == mark_of(entry_tag(entry)));
        for (uint32_t way = home_of(table, entry_tag(entry)); way != at;
             way = next_of(table, way)) {
            MKV_ASSERT(is_full(table, bucket_at(table, way))); /* B1 */
            MKV_ASSERT(passed_of(bucket_at(table, way)) > 0);
        }
    }
    for (uint32_t cell = used; cell < BUCKET_CELLS_MAX; cell++) {
        MKV_ASSERT(mark_at(bucket, cell) == 0); /* B3 */
    }
    const uint32_t passed = passed_of(bucket);
    MKV_ASSERT(passed == BUCKET_PASSED_MAX || passed == count_behind(table, at)); /* B4 */
    return used;
}

void mkv_slot_buckets_check(const struct mkv_slot_table *table, uint64_t count) {
    uint64_t sum = 0;
    for (uint32_t bucket = 0; bucket < table->bucket_count; bucket++) {
        sum += check_bucket(table, bucket);
    }
    MKV_ASSERT(sum == count);
}
