/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LRU: the block whose last access is longest ago leaves.
 *
 *   hit ---> [ newest ... oldest ] ---> out
 *
 * Not responsible for: anything but its own order.
 */
#include "sim/block_list.h"
#include "sim/cache_policy.h"

struct lru {
    uint32_t capacity;
    struct mkv_block_list list;
    struct mkv_block_link *links;
    bool *resident;
};

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    struct lru *lru = mkv_cache_array(memory, 1, sizeof *lru);
    lru->capacity = setup->capacity;
    lru->list = mkv_block_list_empty();
    lru->links = mkv_cache_links(memory, setup->block_count);
    lru->resident = mkv_cache_array(memory, setup->block_count, sizeof(bool));
    return lru;
}

static bool resident(const void *cache, uint32_t block) {
    return ((const struct lru *)cache)->resident[block];
}

static void access_block(void *cache, uint32_t block) {
    struct lru *lru = cache;
    if (lru->resident[block]) {
        mkv_block_list_remove(&lru->list, lru->links, block);
    } else if (lru->list.count == lru->capacity) {
        lru->resident[mkv_block_list_pop(&lru->list, lru->links)] = false;
    }
    lru->resident[block] = true;
    mkv_block_list_push(&lru->list, lru->links, block);
}

const struct mkv_cache_policy mkv_policy_lru = {
    .name = "lru",
    .source = "least recently used",
    .create = create,
    .resident = resident,
    .access = access_block,
};
