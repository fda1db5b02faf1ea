/* SPDX-License-Identifier: Apache-2.0 */
#include "core/histogram.h"

#define US 1000ull
#define MS (1000ull * US)
#define S (1000ull * MS)

static const uint64_t bounds_ns[MKV_HISTOGRAM_BOUNDS] = {
    1 * US,   2 * US,   5 * US, 10 * US, 20 * US, 50 * US, 100 * US, 200 * US,
    500 * US, 1 * MS,   2 * MS, 5 * MS,  10 * MS, 20 * MS, 50 * MS,  100 * MS,
    200 * MS, 500 * MS, 1 * S,  2 * S,   5 * S,   10 * S,  20 * S,   50 * S,
};

uint64_t mkv_histogram_bound_ns(uint32_t bound) {
    MKV_ASSERT(bound < MKV_HISTOGRAM_BOUNDS);
    return bounds_ns[bound];
}

/* A power of two has at most two bounds above it before the next one: from a guess that is never
 * too high, two comparisons do. Bounds grow by 10 for each 3.32 bits: 3 places for 3.32 bits. */
void mkv_histogram_record_ns(struct mkv_histogram *histogram, uint64_t value_ns) {
    if (!MKV_OBSERVE) {
        return;
    }
    histogram->sum += value_ns;
    uint32_t bound = 0;
    if (value_ns > bounds_ns[0]) {
        const uint32_t bits = 63u - (uint32_t)__builtin_clzll(value_ns / US);
        /* 0.903 bounds a bit, rounded down; value_ns is at least 2^bits us. */
        bound = bits * 231u / 256u;
        bound = bound < MKV_HISTOGRAM_BOUNDS ? bound : MKV_HISTOGRAM_BOUNDS;
        while (bound < MKV_HISTOGRAM_BOUNDS && value_ns > bounds_ns[bound]) {
            bound++;
        }
    }
    histogram->counts[bound]++;
}

void mkv_histogram_record_size(struct mkv_histogram *histogram, uint64_t value) {
    if (!MKV_OBSERVE) {
        return;
    }
    histogram->sum += value;
    uint32_t bound = value <= 1 ? 0 : 64u - (uint32_t)__builtin_clzll(value - 1);
    bound = bound < MKV_HISTOGRAM_BOUNDS ? bound : MKV_HISTOGRAM_BOUNDS;
    histogram->counts[bound]++;
}

void mkv_histogram_merge(struct mkv_histogram *histogram, const struct mkv_histogram *other) {
    for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
        histogram->counts[bound] += other->counts[bound];
    }
    histogram->sum += other->sum;
}

uint64_t mkv_histogram_total(const struct mkv_histogram *histogram) {
    uint64_t total = 0;
    for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
        total += histogram->counts[bound];
    }
    return total;
}
