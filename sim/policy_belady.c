/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Belady's MIN (IBM Systems Journal 5, 1966), the limit: it knows the future. After each request
 * it keeps, of all that was resident and all that the request brought, the `capacity` blocks whose
 * next counted use is nearest; of blocks with the same next use the ones early in the chain.
 *
 * What it bounds. A block that is kept from one use to the next gives at most one hit there. So a
 * policy chooses intervals between uses, at most `capacity` of them at any time, and to drop the
 * interval that ends last is the choice with the most intervals kept (they are as many machines
 * with unit gains). Each kept interval that ends in a counted request is a hit of a block, and no
 * policy has more hits of blocks, also if it refuses to store some. Hits of leading blocks are
 * never more than hits of blocks. Where a block always follows the same chain (a prefix cache),
 * a block's next use is never before that of the blocks ahead of it, so the order above drops it
 * first: every hit is a leading one. So the figure is the exact maximum of leading hits in the
 * counted requests, from an empty start, for any policy that stores whole blocks.
 *
 * Not responsible for: being possible.
 */
#include "sim/cache_policy.h"

#define NEVER UINT64_MAX

struct place {
    uint64_t key; /* next counted use, and position in its chain */
    uint32_t block;
};

struct belady {
    uint32_t capacity;
    uint32_t count;
    const struct mkv_request_trace *trace;
    uint64_t *next;     /* by reference: key of the block's next counted use */
    uint64_t *key;      /* by block: the same while it is resident, else NEVER */
    struct place *heap; /* the furthest first; places whose key is not the block's are void */
    uint32_t heap_count;
};

static void heap_push(struct belady *belady, struct place place) {
    uint32_t at = belady->heap_count++;
    while (at > 0 && belady->heap[(at - 1) / 2].key < place.key) {
        belady->heap[at] = belady->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    belady->heap[at] = place;
}

static struct place heap_pop(struct belady *belady) {
    MKV_ASSERT(belady->heap_count > 0);
    const struct place top = belady->heap[0];
    const struct place last = belady->heap[--belady->heap_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < belady->heap_count &&
            belady->heap[child + 1].key > belady->heap[child].key) {
            child++;
        }
        if (child >= belady->heap_count || belady->heap[child].key <= last.key) {
            break;
        }
        belady->heap[at] = belady->heap[child];
        at = child;
    }
    belady->heap[at] = last;
    return top;
}

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    const struct mkv_request_trace *trace = setup->trace;
    struct belady *belady = mkv_cache_array(memory, 1, sizeof *belady);
    belady->capacity = setup->capacity;
    belady->trace = trace;
    belady->next = mkv_cache_array(memory, trace->reference_count, sizeof(uint64_t));
    belady->key = mkv_cache_array(memory, setup->block_count, sizeof(uint64_t));
    belady->heap = mkv_cache_array(memory, trace->reference_count, sizeof(struct place));
    for (uint32_t block = 0; block < setup->block_count; block++) {
        belady->key[block] = NEVER;
    }
    for (uint32_t index = trace->request_count; index-- > 0;) {
        const struct mkv_trace_request *request = &trace->requests[index];
        const bool counts = index >= setup->counted_first && index < setup->counted_end;
        for (uint32_t at = 0; at < request->count; at++) {
            const uint32_t block = trace->blocks[request->first + at];
            belady->next[request->first + at] = belady->key[block];
            belady->key[block] = counts ? ((uint64_t)index << 32) | at : NEVER;
        }
    }
    for (uint32_t block = 0; block < setup->block_count; block++) {
        belady->key[block] = NEVER;
    }
    return belady;
}

static bool resident(const void *cache, uint32_t block) {
    return ((const struct belady *)cache)->key[block] != NEVER;
}

static void serve(void *cache, const struct mkv_cache_request *request) {
    struct belady *belady = cache;
    const uint32_t first = belady->trace->requests[request->index].first;
    for (uint32_t at = 0; at < request->count; at++) {
        const uint32_t block = request->blocks[at];
        belady->count -= belady->key[block] != NEVER;
        belady->key[block] = belady->next[first + at];
        if (belady->key[block] != NEVER) {
            belady->count++;
            heap_push(belady, (struct place){belady->key[block], block});
        }
    }
    while (belady->count > belady->capacity) {
        const struct place furthest = heap_pop(belady);
        if (belady->key[furthest.block] == furthest.key) {
            belady->key[furthest.block] = NEVER;
            belady->count--;
        }
    }
}

const struct mkv_cache_policy mkv_policy_belady = {
    .name = "belady",
    .source = "Belady, IBM Systems Journal 1966; knows the future",
    .create = create,
    .resident = resident,
    .serve = serve,
};
