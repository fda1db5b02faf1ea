/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace_replay.h"

#include <string.h>

#define MINUTE_MS 60000u

void *mkv_cache_array(struct mkv_memory *memory, size_t count, size_t bytes) {
    void *array = mkv_memory_take(memory, count * bytes, 64);
    memset(array, 0, count * bytes);
    return array;
}

struct mkv_block_link *mkv_cache_links(struct mkv_memory *memory, uint32_t block_count) {
    return mkv_cache_array(memory, block_count, sizeof(struct mkv_block_link));
}

struct mkv_replay_range mkv_replay_range_of(const struct mkv_request_trace *trace, uint64_t from_ms,
                                            uint64_t to_ms) {
    struct mkv_replay_range range = {0, 0};
    for (uint32_t index = 0; index < trace->request_count; index++) {
        range.first += trace->requests[index].timestamp_ms < from_ms;
        range.end += trace->requests[index].timestamp_ms < to_ms;
    }
    if (range.end < range.first) {
        range.end = range.first;
    }
    return range;
}

uint64_t mkv_replay_half_ms(const struct mkv_request_trace *trace) {
    MKV_ASSERT(trace->request_count > 0);
    const uint64_t first = trace->requests[0].timestamp_ms;
    const uint64_t last = trace->requests[trace->request_count - 1].timestamp_ms;
    return mkv_round_up_u64(first + (last - first) / 2, MINUTE_MS);
}

size_t mkv_replay_memory_required(const struct mkv_request_trace *trace, uint32_t capacity) {
    /* The most is Belady's by reference and by block, and the sketch's by capacity. */
    return (size_t)trace->reference_count * 64 + (size_t)trace->block_count * 64 +
           (size_t)capacity * 512 + MKV_MIB;
}

static uint32_t leading_hits(const struct mkv_cache_policy *policy, const void *cache,
                             const struct mkv_cache_request *request) {
    uint32_t hits = 0;
    while (hits < request->count && policy->resident(cache, request->blocks[hits])) {
        hits++;
    }
    return hits;
}

static void serve(const struct mkv_cache_policy *policy, void *cache,
                  const struct mkv_cache_request *request, enum mkv_access_order order) {
    if (policy->serve != NULL) {
        policy->serve(cache, request);
        return;
    }
    for (uint32_t at = 0; at < request->count; at++) {
        const bool forward = order == MKV_ORDER_PREFIX_FIRST;
        policy->access(cache, request->blocks[forward ? at : request->count - 1 - at]);
    }
}

struct mkv_replay_count mkv_replay(const struct mkv_request_trace *trace,
                                   const struct mkv_cache_policy *policy, uint32_t capacity,
                                   struct mkv_replay_range counted, enum mkv_access_order order,
                                   struct mkv_memory *memory) {
    MKV_ASSERT((policy->access == NULL) != (policy->serve == NULL));
    MKV_ASSERT(counted.end <= trace->request_count);
    const struct mkv_cache_setup setup = {
        .capacity = capacity,
        .block_count = trace->block_count,
        .trace = trace,
        .counted_first = counted.first,
        .counted_end = counted.end,
    };
    mkv_memory_reset(memory);
    void *cache = policy->create(memory, &setup);
    struct mkv_replay_count count = {0};
    for (uint32_t index = 0; index < counted.end; index++) {
        const struct mkv_trace_request *source = &trace->requests[index];
        struct mkv_cache_request request = {
            .index = index,
            .timestamp_ms = source->timestamp_ms,
            .blocks = &trace->blocks[source->first],
            .count = source->count,
        };
        request.hits = leading_hits(policy, cache, &request);
        if (index >= counted.first) {
            count.references += request.count;
            count.hits += request.hits;
            count.requests++;
        }
        serve(policy, cache, &request, order);
    }
    return count;
}
