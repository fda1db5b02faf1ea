/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own policy (core/eviction.h), called as the volume calls it: one class, one extent, blocks
 * in slots. A request's LOOKUP touches the leading blocks that are resident, the last one first;
 * the blocks behind them are put in the order of the chain by one request, whose last one is the
 * tail; one of them that is there is touched.
 *
 * Not responsible for: deciding anything. It only keeps the slots.
 */
#include <string.h>

#include "core/eviction.h"
#include "sim/cache_policy.h"
#include "sim/random.h"

/* The part of a slot entry that the policy sees, and whose block it is. */
struct entry {
    uint32_t order;
    uint32_t block;
    uint16_t bits;
};

struct memkv {
    uint32_t capacity;
    uint32_t free_count;
    uint32_t order;
    uint32_t *free; /* slots */
    uint32_t *slot_of;
    struct entry *entries;
    struct mkv_eviction *eviction;
    struct mkv_eviction_slots slots;
};

static const struct mkv_extent only = {0};

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    struct memkv *memkv = mkv_cache_array(memory, 1, sizeof *memkv);
    memkv->capacity = setup->capacity;
    memkv->free = mkv_cache_array(memory, setup->capacity, sizeof(uint32_t));
    memkv->slot_of = mkv_cache_array(memory, setup->block_count, sizeof(uint32_t));
    memset(memkv->slot_of, 0xff, setup->block_count * sizeof(uint32_t));
    memkv->entries = mkv_cache_array(memory, setup->capacity, sizeof(struct entry));
    while (memkv->free_count < setup->capacity) {
        memkv->free[memkv->free_count] = setup->capacity - 1 - memkv->free_count;
        memkv->free_count++;
    }
    const struct mkv_eviction_config config = {
        .extent_count = 1,
        .class_count = 1,
        .ghost_count = mkv_eviction_ghosts_for(setup->capacity),
    };
    memkv->eviction = mkv_memory_take(memory, mkv_eviction_memory_required(&config), 64);
    mkv_eviction_init(memkv->eviction, &config);
    mkv_eviction_add_extent(memkv->eviction, only, 0, (struct mkv_slot){0}, setup->capacity);
    memkv->slots = (struct mkv_eviction_slots){
        .entries = (uint8_t *)memkv->entries,
        .stride_bytes = sizeof(struct entry),
        .bits_offset = offsetof(struct entry, bits),
        .order_offset = offsetof(struct entry, order),
    };
    return memkv;
}

static bool resident(const void *cache, uint32_t block) {
    return ((const struct memkv *)cache)->slot_of[block] != MKV_NONE_U32;
}

static void evict(struct memkv *memkv) {
    struct mkv_slot slot;
    do {
        slot = mkv_eviction_victim(memkv->eviction, &memkv->slots, 0);
    } while (slot.index == MKV_NONE_U32);
    struct entry *entry = &memkv->entries[slot.index];
    mkv_eviction_drop(memkv->eviction, &memkv->slots, only, slot, mkv_random_mix(entry->block),
                      true);
    memkv->slot_of[entry->block] = MKV_NONE_U32;
    memkv->free[memkv->free_count++] = slot.index;
}

static void put(struct memkv *memkv, uint32_t block, bool is_tail) {
    if (memkv->free_count == 0) {
        evict(memkv);
    }
    const struct mkv_slot slot = {memkv->free[--memkv->free_count]};
    memkv->slot_of[block] = slot.index;
    memkv->entries[slot.index] = (struct entry){
        .order = memkv->order++,
        .block = block,
        .bits = MKV_TIER_UNHINTED << MKV_EVICTION_TIER_SHIFT,
    };
    mkv_eviction_insert(memkv->eviction, &memkv->slots, only, slot, mkv_random_mix(block),
                        is_tail ? MKV_EVICTION_TAIL : MKV_EVICTION_NEW);
}

static void serve(void *cache, const struct mkv_cache_request *request) {
    struct memkv *memkv = cache;
    for (uint32_t at = request->hits; at-- > 0;) {
        const struct mkv_slot slot = {memkv->slot_of[request->blocks[at]]};
        mkv_eviction_touch(memkv->eviction, &memkv->slots, only, slot);
    }
    for (uint32_t at = request->hits; at < request->count; at++) {
        const uint32_t block = request->blocks[at];
        if (resident(memkv, block)) {
            const struct mkv_slot slot = {memkv->slot_of[block]};
            mkv_eviction_touch(memkv->eviction, &memkv->slots, only, slot);
        } else {
            put(memkv, block, at > request->hits && at == request->count - 1);
        }
    }
}

const struct mkv_cache_policy mkv_policy_memkv = {
    .name = "memkv",
    .source = "docs/adr/0007-eviction.md",
    .create = create,
    .resident = resident,
    .serve = serve,
};
