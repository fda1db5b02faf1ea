/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubly linked lists of blocks: the queues of the cache policies that the trace tool replays.
 * Several lists share one array of links, since a block is in one of them at a time.
 *
 *   head (newest) <-> ... <-> tail (oldest)
 *
 * Invariants
 *  I1  A block is in at most one list that shares its links.
 *  I2  count is the number of blocks between head and tail.
 *
 * Not responsible for: knowing which list a block is in. The policy does.
 */
#ifndef MKV_SIM_BLOCK_LIST_H
#define MKV_SIM_BLOCK_LIST_H

#include "core/base.h"

struct mkv_block_link {
    uint32_t newer;
    uint32_t older;
};

struct mkv_block_list {
    uint32_t head;
    uint32_t tail;
    uint32_t count;
};

static inline struct mkv_block_list mkv_block_list_empty(void) {
    return (struct mkv_block_list){MKV_NONE_U32, MKV_NONE_U32, 0};
}

static inline void mkv_block_list_push(struct mkv_block_list *list, struct mkv_block_link *links,
                                       uint32_t block) {
    links[block] = (struct mkv_block_link){MKV_NONE_U32, list->head};
    if (list->head == MKV_NONE_U32) {
        list->tail = block;
    } else {
        links[list->head].newer = block;
    }
    list->head = block;
    list->count++;
}

static inline void mkv_block_list_remove(struct mkv_block_list *list, struct mkv_block_link *links,
                                         uint32_t block) {
    MKV_ASSERT(list->count > 0);
    const struct mkv_block_link link = links[block];
    if (link.newer == MKV_NONE_U32) {
        MKV_ASSERT(list->head == block);
        list->head = link.older;
    } else {
        links[link.newer].older = link.older;
    }
    if (link.older == MKV_NONE_U32) {
        MKV_ASSERT(list->tail == block);
        list->tail = link.newer;
    } else {
        links[link.older].newer = link.newer;
    }
    list->count--;
}

/* Takes the oldest block out. The list must not be empty. */
static inline uint32_t mkv_block_list_pop(struct mkv_block_list *list,
                                          struct mkv_block_link *links) {
    const uint32_t block = list->tail;
    MKV_ASSERT(block != MKV_NONE_U32);
    mkv_block_list_remove(list, links, block);
    return block;
}

#endif
