/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of the data path: counts by bound, in plain memory with one writer. Two ladders of
 * bounds are published, one for durations and one for sizes; every histogram that is scraped uses
 * one of them.
 *
 *   durations   1, 2, 5, 10, 20, 50 … us, up to 50 s         sizes   1, 2, 4, 8 … 2^23
 *
 * Invariants
 *  I1  A value counts at the first bound that it does not exceed; behind the last bound are the
 *      values above all. What scrapers get is the running sum of these.
 *  I2  Recording takes the same few instructions for every value.
 *
 * Not responsible for: percentiles, and units other than nanoseconds and plain counts.
 */
#ifndef MKV_CORE_HISTOGRAM_H
#define MKV_CORE_HISTOGRAM_H

#include "core/base.h"

/* 0: a build in which nothing is recorded, to measure what recording costs. */
#ifndef MKV_OBSERVE
#define MKV_OBSERVE 1
#endif

#define MKV_HISTOGRAM_BOUNDS 24u

struct mkv_histogram {
    uint64_t counts[MKV_HISTOGRAM_BOUNDS + 1];
    uint64_t sum; /* of all values; it wraps after 584 years of nanoseconds */
};

/* In nanoseconds; `bound` is below MKV_HISTOGRAM_BOUNDS. */
uint64_t mkv_histogram_bound_ns(uint32_t bound);
static inline uint64_t mkv_histogram_bound_size(uint32_t bound) {
    return 1ull << bound;
}

void mkv_histogram_record_ns(struct mkv_histogram *histogram, uint64_t value_ns);
void mkv_histogram_record_size(struct mkv_histogram *histogram, uint64_t value);
/* Adds what `other` has. */
void mkv_histogram_merge(struct mkv_histogram *histogram, const struct mkv_histogram *other);
/* Values recorded. */
uint64_t mkv_histogram_total(const struct mkv_histogram *histogram);

#endif
