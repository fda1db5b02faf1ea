/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/sketch.h"

#include "core/bytes.h"

_Static_assert(sizeof((struct mkv_root){0}.bytes) == 4 * MKV_SKETCH_ROWS, "32 bits for each row");

void mkv_sketch_init(struct mkv_sketch *sketch, uint32_t columns, uint64_t *counters) {
    MKV_ASSERT(mkv_sketch_columns_are_valid(columns));
    sketch->columns = columns;
    sketch->counters = counters;
}

static size_t place(const struct mkv_sketch *sketch, struct mkv_root hash, uint32_t row) {
    const uint32_t bits = mkv_load_u32(hash.bytes + (size_t)4 * row);
    return (size_t)row * sketch->columns + (bits & (sketch->columns - 1));
}

uint64_t mkv_sketch_estimate(const struct mkv_sketch *sketch, struct mkv_root hash) {
    uint64_t lowest = UINT64_MAX;
    for (uint32_t row = 0; row < MKV_SKETCH_ROWS; row++) {
        lowest = mkv_min_u64(lowest, sketch->counters[place(sketch, hash, row)]);
    }
    return lowest;
}

/* Only what is below the new estimate goes up: a counter that is higher counts others, too. */
uint64_t mkv_sketch_add(struct mkv_sketch *sketch, struct mkv_root hash) {
    const uint64_t estimate = mkv_sketch_estimate(sketch, hash) + 1;
    for (uint32_t row = 0; row < MKV_SKETCH_ROWS; row++) {
        uint64_t *counter = &sketch->counters[place(sketch, hash, row)];
        *counter = mkv_max_u64(*counter, estimate);
    }
    return estimate;
}

void mkv_sketch_halve(struct mkv_sketch *sketch) {
    const size_t count = (size_t)MKV_SKETCH_ROWS * sketch->columns;
    for (size_t i = 0; i < count; i++) {
        sketch->counters[i] /= 2;
    }
}

void mkv_sketch_merge(struct mkv_sketch *sketch, const struct mkv_sketch *other) {
    MKV_ASSERT(sketch->columns == other->columns);
    const size_t count = (size_t)MKV_SKETCH_ROWS * sketch->columns;
    for (size_t i = 0; i < count; i++) {
        sketch->counters[i] += other->counters[i];
    }
}
