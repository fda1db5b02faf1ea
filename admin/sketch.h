/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Count-Min Sketch: how often each of any number of keys was seen, in memory of a fixed size
 * (Cormode and Muthukrishnan, 2005), with conservative update (Estan and Varghese, 2002).
 *
 *   4 rows × columns × 8 bytes      a key has one counter in each row, found by 32 bits of its hash
 *                                   each; its estimate is the lowest of the four
 *
 * Invariants
 *  I1  An estimate is never below how often the key was seen. What it is above is what keys that
 *      share all four counters add: at most e/columns of all that was seen, for all but 1.8 % of
 *      keys, and less with conservative update.
 *  I2  Halving halves estimates, and rounds down what was seen as often: I1 goes on to hold of what
 *      was seen, halved as often.
 *  I3  So do sums of sketches of the same size: I1 holds of what all of them saw.
 *
 * Not responsible for: which keys there are (hotkeys.h).
 */
#ifndef MKV_ADMIN_SKETCH_H
#define MKV_ADMIN_SKETCH_H

#include "core/base.h"

#define MKV_SKETCH_ROWS 4u
#define MKV_SKETCH_COLUMNS_MIN 64u
#define MKV_SKETCH_COLUMNS_MAX (1u << 20)
#define MKV_SKETCH_COLUMNS_DEFAULT 4096u

struct mkv_sketch {
    uint32_t columns;   /* a power of two */
    uint64_t *counters; /* the caller's */
};

static inline bool mkv_sketch_columns_are_valid(uint64_t columns) {
    return columns >= MKV_SKETCH_COLUMNS_MIN && columns <= MKV_SKETCH_COLUMNS_MAX &&
           (columns & (columns - 1)) == 0;
}
static inline size_t mkv_sketch_bytes(uint32_t columns) {
    return (size_t)MKV_SKETCH_ROWS * columns * sizeof(uint64_t);
}

/* `counters` are mkv_sketch_bytes(columns), all zeroes. */
void mkv_sketch_init(struct mkv_sketch *sketch, uint32_t columns, uint64_t *counters);
/* Counts a key by its hash; returns its estimate, this time included. */
uint64_t mkv_sketch_add(struct mkv_sketch *sketch, struct mkv_root hash);
uint64_t mkv_sketch_estimate(const struct mkv_sketch *sketch, struct mkv_root hash);
void mkv_sketch_halve(struct mkv_sketch *sketch);
/* Adds a sketch of the same size. */
void mkv_sketch_merge(struct mkv_sketch *sketch, const struct mkv_sketch *other);

#endif
