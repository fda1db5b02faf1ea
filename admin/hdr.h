/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of durations with three significant digits, from which any quantile can be asked for
 * long after the values have gone. One thread records; others copy it meanwhile.
 *
 *   places   0 … 2047      one for each nanosecond
 *            2048 …        1,024 for each doubling, so that a place is 1/1024 of its values wide
 *            … 27,647      the last ones, which end above 60 s
 *
 * Invariants
 *  I1  What a quantile says differs from the value that was recorded by at most 0.1 %, for values
 *      up to MKV_HDR_NS_MAX. Higher ones are counted there; `max_ns` has them as they were.
 *  I2  Recording is a few instructions, the same for every value, and never waits: one writer,
 *      relaxed stores. A copy that is taken meanwhile may lack the values of that moment, and
 *      nothing else.
 *  I3  The total of a copy is the sum of its places, so its quantiles do not contradict it.
 *
 * Not responsible for: what scrapers get. That is core/histogram.h, which is 130 times smaller.
 */
#ifndef MKV_ADMIN_HDR_H
#define MKV_ADMIN_HDR_H

#include "core/base.h"

#define MKV_HDR_NS_MAX 60000000000ull
#define MKV_HDR_PLACES (2048u + 25u * 1024u)

struct mkv_hdr {
    uint64_t counts[MKV_HDR_PLACES];
    uint64_t sum_ns;
    uint64_t max_ns;
};

/* The place of a value, and the value in the middle of a place. */
uint32_t mkv_hdr_place(uint64_t value_ns);
uint64_t mkv_hdr_middle_ns(uint32_t place);

void mkv_hdr_record(struct mkv_hdr *hdr, uint64_t value_ns);
/* Adds what `source` has, which another thread may be writing. */
void mkv_hdr_merge(struct mkv_hdr *target, const struct mkv_hdr *source);
uint64_t mkv_hdr_total(const struct mkv_hdr *hdr);
/* The smallest value that `share` of all values, 0 … 1, do not exceed; 0 when there are none. Of a
 * histogram that nobody writes. */
uint64_t mkv_hdr_quantile_ns(const struct mkv_hdr *hdr, double share);

#endif
