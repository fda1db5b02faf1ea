/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S3-FIFO, after Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction"
 * (SOSP 2023), Algorithm 1: a small queue of a tenth of the cache, a main queue, and a ghost queue
 * with as many names as the main queue holds blocks.
 *
 *   miss, not in ghost --> [ small ] -- accessed more than once --> [ main ] <-- again, freq - 1
 *                             |                                       ^  |
 *                             v else                                  |  v freq = 0
 *                          [ ghost ] -------------- miss -------------+  out
 *
 * Not responsible for: anything but its own order.
 */
#include "sim/block_list.h"
#include "sim/cache_policy.h"

#define FREQUENCY_MAX 3u

enum place {
    NOWHERE = 0,
    IN_SMALL,
    IN_MAIN,
    IN_GHOST
};

struct s3_fifo {
    uint32_t capacity;
    uint32_t small_max;
    struct mkv_block_list small;
    struct mkv_block_list main;
    struct mkv_block_list ghost;
    struct mkv_block_link *links;
    uint8_t *place;
    uint8_t *frequency;
};

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    struct s3_fifo *s3 = mkv_cache_array(memory, 1, sizeof *s3);
    s3->capacity = setup->capacity;
    s3->small_max = setup->capacity / 10 > 0 ? setup->capacity / 10 : 1;
    s3->small = mkv_block_list_empty();
    s3->main = mkv_block_list_empty();
    s3->ghost = mkv_block_list_empty();
    s3->links = mkv_cache_links(memory, setup->block_count);
    s3->place = mkv_cache_array(memory, setup->block_count, 1);
    s3->frequency = mkv_cache_array(memory, setup->block_count, 1);
    return s3;
}

static bool resident(const void *cache, uint32_t block) {
    const struct s3_fifo *s3 = cache;
    return s3->place[block] == IN_SMALL || s3->place[block] == IN_MAIN;
}

static void push(struct s3_fifo *s3, struct mkv_block_list *list, enum place place,
                 uint32_t block) {
    mkv_block_list_push(list, s3->links, block);
    s3->place[block] = (uint8_t)place;
}

static void push_ghost(struct s3_fifo *s3, uint32_t block) {
    const uint32_t ghost_max = s3->capacity - s3->small_max;
    if (ghost_max == 0) {
        s3->place[block] = NOWHERE;
        return;
    }
    if (s3->ghost.count == ghost_max) {
        s3->place[mkv_block_list_pop(&s3->ghost, s3->links)] = NOWHERE;
    }
    push(s3, &s3->ghost, IN_GHOST, block);
}

static void evict_main(struct s3_fifo *s3) {
    while (s3->main.count > 0) {
        const uint32_t block = mkv_block_list_pop(&s3->main, s3->links);
        if (s3->frequency[block] == 0) {
            s3->place[block] = NOWHERE;
            return;
        }
        s3->frequency[block]--;
        push(s3, &s3->main, IN_MAIN, block);
    }
}

static void evict_small(struct s3_fifo *s3) {
    while (s3->small.count > 0) {
        const uint32_t block = mkv_block_list_pop(&s3->small, s3->links);
        if (s3->frequency[block] <= 1) {
            push_ghost(s3, block);
            return;
        }
        s3->frequency[block] = 0;
        push(s3, &s3->main, IN_MAIN, block);
        if (s3->main.count > s3->capacity - s3->small_max) {
            evict_main(s3);
            return;
        }
    }
}

static void access_block(void *cache, uint32_t block) {
    struct s3_fifo *s3 = cache;
    if (resident(s3, block)) {
        if (s3->frequency[block] < FREQUENCY_MAX) {
            s3->frequency[block]++;
        }
        return;
    }
    while (s3->small.count + s3->main.count >= s3->capacity) {
        if (s3->small.count >= s3->small_max || s3->main.count == 0) {
            evict_small(s3);
        } else {
            evict_main(s3);
        }
    }
    s3->frequency[block] = 0;
    /* Making room may have pushed this very block out of the ghosts: then it is as new. */
    if (s3->place[block] == IN_GHOST) {
        mkv_block_list_remove(&s3->ghost, s3->links, block);
        push(s3, &s3->main, IN_MAIN, block);
    } else {
        push(s3, &s3->small, IN_SMALL, block);
    }
}

const struct mkv_cache_policy mkv_policy_s3_fifo = {
    .name = "s3-fifo",
    .source = "Yang et al., SOSP 2023",
    .create = create,
    .resident = resident,
    .access = access_block,
};
