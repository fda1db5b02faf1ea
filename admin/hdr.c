/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hdr.h"

/* Values below 2^EXACT_BITS have places of their own; above, a doubling has half as many. */
#define EXACT_BITS 11u
#define DOUBLING_PLACES (1u << (EXACT_BITS - 1))

uint32_t mkv_hdr_place(uint64_t value_ns) {
    const uint64_t value = mkv_min_u64(value_ns, MKV_HDR_NS_MAX);
    /* Bits that are dropped: as many as leave EXACT_BITS of them. */
    const uint32_t top = 63u - (uint32_t)__builtin_clzll(value | 1);
    const uint32_t shift = top < EXACT_BITS ? 0 : top - (EXACT_BITS - 1);
    return shift * DOUBLING_PLACES + (uint32_t)(value >> shift);
}

uint64_t mkv_hdr_middle_ns(uint32_t place) {
    MKV_ASSERT(place < MKV_HDR_PLACES);
    if (place < 2 * DOUBLING_PLACES) {
        return place;
    }
    const uint32_t shift = place / DOUBLING_PLACES - 1;
    const uint64_t low = (uint64_t)(place - shift * DOUBLING_PLACES) << shift;
    return low + (1ull << shift) / 2;
}

static void add(uint64_t *counter, uint64_t amount) {
    __atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

void mkv_hdr_record(struct mkv_hdr *hdr, uint64_t value_ns) {
    add(&hdr->counts[mkv_hdr_place(value_ns)], 1);
    add(&hdr->sum_ns, value_ns);
    if (value_ns > hdr->max_ns) {
        __atomic_store_n(&hdr->max_ns, value_ns, __ATOMIC_RELAXED);
    }
}

void mkv_hdr_merge(struct mkv_hdr *target, const struct mkv_hdr *source) {
    for (uint32_t place = 0; place < MKV_HDR_PLACES; place++) {
        target->counts[place] += __atomic_load_n(&source->counts[place], __ATOMIC_RELAXED);
    }
    target->sum_ns += __atomic_load_n(&source->sum_ns, __ATOMIC_RELAXED);
    target->max_ns =
        mkv_max_u64(target->max_ns, __atomic_load_n(&source->max_ns, __ATOMIC_RELAXED));
}

uint64_t mkv_hdr_total(const struct mkv_hdr *hdr) {
    uint64_t total = 0;
    for (uint32_t place = 0; place < MKV_HDR_PLACES; place++) {
        total += hdr->counts[place];
    }
    return total;
}

uint64_t mkv_hdr_quantile_ns(const struct mkv_hdr *hdr, double share) {
    MKV_ASSERT(share >= 0);
    MKV_ASSERT(share <= 1);
    const uint64_t total = mkv_hdr_total(hdr);
    if (total == 0) {
        return 0;
    }
    /* The values wanted, rounded up: the median of two is the lower one. A share such as 0.999 is
     * not exact in binary; the little that is taken off keeps 999 of 1,000 from becoming 1,000. */
    const double exact = share * (double)total;
    uint64_t wanted = (uint64_t)exact;
    wanted += exact - (double)wanted > 1e-6 ? 1 : 0;
    wanted = mkv_min_u64(mkv_max_u64(wanted, 1), total);
    uint64_t seen = 0;
    for (uint32_t place = 0; place < MKV_HDR_PLACES; place++) {
        seen += hdr->counts[place];
        if (seen >= wanted) {
            /* The middle of the last place may be above the highest value. */
            return mkv_min_u64(mkv_hdr_middle_ns(place), hdr->max_ns);
        }
    }
    MKV_ASSERT(false);
    return 0;
}
