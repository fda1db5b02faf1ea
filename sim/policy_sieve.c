/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIEVE, after Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is simpler than LRU" (NSDI 2024),
 * Algorithm 1: one queue that is never reordered, and a hand that goes from the oldest block to
 * the newest, clears the marks of visited blocks and evicts the first one without a mark.
 *
 *   miss --> [ newest ... <-- hand ... oldest ]
 *
 * Not responsible for: anything but its own order.
 */
#include "sim/block_list.h"
#include "sim/cache_policy.h"

struct sieve {
    uint32_t capacity;
    uint32_t hand; /* MKV_NONE_U32: at the oldest */
    struct mkv_block_list list;
    struct mkv_block_link *links;
    bool *resident;
    bool *visited;
};

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    struct sieve *sieve = mkv_cache_array(memory, 1, sizeof *sieve);
    sieve->capacity = setup->capacity;
    sieve->hand = MKV_NONE_U32;
    sieve->list = mkv_block_list_empty();
    sieve->links = mkv_cache_links(memory, setup->block_count);
    sieve->resident = mkv_cache_array(memory, setup->block_count, sizeof(bool));
    sieve->visited = mkv_cache_array(memory, setup->block_count, sizeof(bool));
    return sieve;
}

static bool resident(const void *cache, uint32_t block) {
    return ((const struct sieve *)cache)->resident[block];
}

static void evict(struct sieve *sieve) {
    uint32_t block = sieve->hand == MKV_NONE_U32 ? sieve->list.tail : sieve->hand;
    while (sieve->visited[block]) {
        sieve->visited[block] = false;
        block = sieve->links[block].newer;
        if (block == MKV_NONE_U32) {
            block = sieve->list.tail;
        }
    }
    sieve->hand = sieve->links[block].newer;
    mkv_block_list_remove(&sieve->list, sieve->links, block);
    sieve->resident[block] = false;
}

static void access_block(void *cache, uint32_t block) {
    struct sieve *sieve = cache;
    if (sieve->resident[block]) {
        sieve->visited[block] = true;
        return;
    }
    if (sieve->list.count == sieve->capacity) {
        evict(sieve);
    }
    sieve->resident[block] = true;
    sieve->visited[block] = false;
    mkv_block_list_push(&sieve->list, sieve->links, block);
}

const struct mkv_cache_policy mkv_policy_sieve = {
    .name = "sieve",
    .source = "Zhang et al., NSDI 2024",
    .create = create,
    .resident = resident,
    .access = access_block,
};
