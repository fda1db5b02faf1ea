/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of so many blocks under one policy, as the trace tool replays it: ours, and those it is
 * measured against, each as its paper has it. Blocks are of one size and numbered densely.
 *
 * A request names a chain of blocks, each of use only with all before it. It finds a prefix of
 * them resident (that is what LOOKUP reports), reads these, and stores those behind it. A policy
 * that is told of accesses one by one gets all of them, the last block of the chain first: so the
 * start of the chain, which is needed most, is the most recent. (It is the kinder order for every
 * one of them; `order` makes it the other one.)
 *
 * Invariants
 *  I1  At most `capacity` blocks are resident between two requests.
 *  I2  A policy decides from what it was told so far alone; Belady's is the exception.
 *
 * Not responsible for: counting hits (trace_replay.h).
 */
#ifndef MKV_SIM_CACHE_POLICY_H
#define MKV_SIM_CACHE_POLICY_H

#include "sim/block_list.h"
#include "sim/memory.h"
#include "sim/request_trace.h"

struct mkv_cache_setup {
    uint32_t capacity;    /* blocks; at least 1 */
    uint32_t block_count; /* every block is below this */
    const struct mkv_request_trace *trace;
    /* Hits of these requests count; only Belady's policy knows. */
    uint32_t counted_first;
    uint32_t counted_end;
};

struct mkv_cache_request {
    uint32_t index;
    uint64_t timestamp_ms;
    const uint32_t *blocks;
    uint32_t count;
    uint32_t hits; /* leading blocks that are resident */
};

struct mkv_cache_policy {
    const char *name;
    const char *source;
    /* Takes what the cache needs from the memory. */
    void *(*create)(struct mkv_memory *memory, const struct mkv_cache_setup *setup);
    bool (*resident)(const void *cache, uint32_t block);
    /* One of the two: each block by itself, or a whole request. */
    void (*access)(void *cache, uint32_t block);
    void (*serve)(void *cache, const struct mkv_cache_request *request);
};

extern const struct mkv_cache_policy mkv_policy_memkv;
extern const struct mkv_cache_policy mkv_policy_lru;
extern const struct mkv_cache_policy mkv_policy_s3_fifo;
extern const struct mkv_cache_policy mkv_policy_sieve;
extern const struct mkv_cache_policy mkv_policy_arc;
extern const struct mkv_cache_policy mkv_policy_w_tinylfu;
extern const struct mkv_cache_policy mkv_policy_belady;

/* Zeroed memory for `count` things of `bytes` each. */
void *mkv_cache_array(struct mkv_memory *memory, size_t count, size_t bytes);
struct mkv_block_link *mkv_cache_links(struct mkv_memory *memory, uint32_t block_count);

#endif
