/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of the slot table: buckets of one cache line, which find a slot by tenant and tag. The
 * high half of a tag names a block's home bucket, and a mark of eight bits made of the low half
 * says which of the bucket's slots may be its own, so that a block that is there costs one line of
 * a bucket and one entry, and an absent one nearly always costs one line.
 *
 *   bucket   words 0..5   384 bits: cell_count slot numbers of slot_bits bits, cell 0 lowest
 *            words 6..7   cell_count marks of 8 bits, 0: the cell is empty
 *            word 7       bits 48..63: passed, the blocks that are at home here or before, and
 *                         stand behind
 *
 *                         insert: in front; what falls out at the end goes on to the next bucket
 *              home |     ---->                       ---->
 *                   +--------------------------+--------------------------+-------
 *                   | newest  ...       oldest | newest  ...       oldest | ...
 *                   +--------------------------+--------------------------+-------
 *                                           <----  remove: what had to go on comes back
 *
 * Invariants
 *  B1  From a block's home to the bucket that it stands in, each one before the latter is full and
 *      has passed > 0. So a search ends at a bucket with passed = 0.
 *  B2  Of the blocks of one tag, the search meets those first that were inserted last.
 *  B3  Of a bucket's cells those in use come first.
 *  B4  passed is exact, but at BUCKET_PASSED_MAX it says no more than that there may be some
 *      behind, until a removal finds none. Only keys made to collide bring so many together.
 *  B5  A table has 64 bytes of buckets for 11 slots, and at least 12 cells in them; so with all
 *      slots live there are empty cells.
 *
 * Nothing but the table's entries is needed beside the buckets, and nothing of a removed block
 * stays.
 *
 * Not responsible for: which entries are to be found (slot_table.h, I3).
 */
#ifndef MKV_CORE_SLOT_TABLE_BUCKETS_H
#define MKV_CORE_SLOT_TABLE_BUCKETS_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/slot_table.h"

#define BUCKET_WORDS 8u
#define BUCKET_SLOT_WORDS 6u
#define BUCKET_CELLS_MAX 14u
#define BUCKET_CELLS_MIN 12u
#define BUCKET_CELLS_MASK ((1u << BUCKET_CELLS_MAX) - 1u)
/* With all slots live a bucket has 11 blocks on average, and 5 % of them stand in the next one;
 * more buckets would take more than 30 bytes a slot (I5). */
#define BUCKET_SLOTS 11u
_Static_assert(BUCKET_CELLS_MIN > BUCKET_SLOTS, "B5: there are more cells than slots");
#define BUCKET_MARK_BITS 8u
#define BUCKET_MARKS_OF_WORD 8u
#define BUCKET_MARK_WORD_FIRST 6u
#define BUCKET_MARK_WORD_LAST 7u
#define BUCKET_PASSED_SHIFT 48u
#define BUCKET_PASSED_MAX 0xffffu

struct mkv_slot_bucket {
    uint64_t words[BUCKET_WORDS];
};
_Static_assert(sizeof(struct mkv_slot_bucket) == 64, "a bucket is a cache line");

/* The byte of each mark in a word that is `mark` becomes 0x80, the others 0. */
static inline uint64_t bucket_marks_equal(uint64_t word, uint64_t mark) {
    const uint64_t low_bits = 0x7f7f7f7f7f7f7f7fu;
    const uint64_t differ = word ^ (mark * 0x0101010101010101u);
    return ~(((differ & low_bits) + low_bits) | differ | low_bits);
}
/* Bit n is set if byte n is 0x80: the products put bit 8 n at 56 + n, and no two at one place. */
static inline uint32_t bucket_bits_of_bytes(uint64_t bytes) {
    return (uint32_t)(((bytes >> 7) * 0x0102040810204080u) >> 56);
}
/* The cells with a mark, a bit for each, by the arithmetic that every processor has. */
static inline uint32_t bucket_cells_by_words(const struct mkv_slot_bucket *bucket, uint64_t mark) {
    const uint64_t low = bucket_marks_equal(bucket->words[BUCKET_MARK_WORD_FIRST], mark);
    const uint64_t high = bucket_marks_equal(bucket->words[BUCKET_MARK_WORD_LAST], mark);
    const uint32_t cells = bucket_bits_of_bytes(low) | bucket_bits_of_bytes(high)
                                                           << BUCKET_MARKS_OF_WORD;
    return cells & BUCKET_CELLS_MASK;
}
/* The same in four instructions, where there are such. Lookups that follow each other wait for
 * memory together as far as the processor sees ahead, so what it must see in between is short. */
static inline uint32_t bucket_cells(const struct mkv_slot_bucket *bucket, uint64_t mark) {
#ifdef __SSE2__
    const __m128i marks =
        _mm_loadu_si128((const __m128i *)(const void *)&bucket->words[BUCKET_MARK_WORD_FIRST]);
    const __m128i equal = _mm_cmpeq_epi8(marks, _mm_set1_epi8((char)mark));
    return (uint32_t)_mm_movemask_epi8(equal) & BUCKET_CELLS_MASK;
#else
    return bucket_cells_by_words(bucket, mark);
#endif
}

static inline uint64_t bucket_count_for(uint64_t slot_total) {
    return mkv_divide_up_u64(slot_total, BUCKET_SLOTS);
}

/* How slot numbers below slot_total are stored. */
void mkv_slot_buckets_init(struct mkv_slot_table *table);
/* The slot's entry has its tag and is in no bucket. */
void mkv_slot_buckets_insert(struct mkv_slot_table *table, uint32_t slot);
/* The slot's entry is as it was when it was inserted. */
void mkv_slot_buckets_remove(struct mkv_slot_table *table, uint32_t slot);
/* Begins to fetch the bucket that an insertion of this tag changes. */
void mkv_slot_buckets_prefetch(const struct mkv_slot_table *table, uint64_t tag);
/* Aborts when B1, B3 or B4 does not hold, or `count` is not that of the blocks in the buckets. */
void mkv_slot_buckets_check(const struct mkv_slot_table *table, uint64_t count);

#endif
