/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays a trace of requests against a cache of so many blocks and counts leading hits: for each
 * request the blocks from its first on that are resident when it comes, as LOOKUP would report
 * them. A resident block behind a missing one is no hit; it is stored all the same.
 *
 *   requests  0 ........ counted_first ........ counted_end ....
 *             warms up   counts                 not replayed
 *
 * Not responsible for: policies (cache_policy.h).
 */
#ifndef MKV_SIM_TRACE_REPLAY_H
#define MKV_SIM_TRACE_REPLAY_H

#include "sim/cache_policy.h"

/* Which block of a request comes first to a policy that takes them one by one. */
enum mkv_access_order {
    MKV_ORDER_SUFFIX_FIRST = 0,
    MKV_ORDER_PREFIX_FIRST,
};

struct mkv_replay_count {
    uint64_t references; /* in counted requests */
    uint64_t hits;
    uint64_t requests;
};

/* Where requests from `from_ms` on and before `to_ms` begin and end in the trace. */
struct mkv_replay_range {
    uint32_t first;
    uint32_t end;
};
struct mkv_replay_range mkv_replay_range_of(const struct mkv_request_trace *trace, uint64_t from_ms,
                                            uint64_t to_ms);

/* The middle of the trace's time, up to a whole minute: what comes before it warms up. */
uint64_t mkv_replay_half_ms(const struct mkv_request_trace *trace);

/* Address space that any policy and size of this trace can do with. */
size_t mkv_replay_memory_required(const struct mkv_request_trace *trace, uint32_t capacity);

/* The memory is reset before use. */
struct mkv_replay_count mkv_replay(const struct mkv_request_trace *trace,
                                   const struct mkv_cache_policy *policy, uint32_t capacity,
                                   struct mkv_replay_range counted, enum mkv_access_order order,
                                   struct mkv_memory *memory);

#endif
