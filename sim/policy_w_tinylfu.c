/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W-TinyLFU, after Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy"
 * (ACM Transactions on Storage 13, 2017), sections 3 and 4: a window of 1 % under LRU, a main part
 * under segmented LRU of 20 % probation and 80 % protected, and between them an admission by
 * estimated frequency: a bloom filter (the doorkeeper) before a sketch of four small counters, all
 * halved, and the doorkeeper cleared, after as many accesses as ten times the cache.
 *
 *   miss --> [ window ] --> more frequent than the oldest of probation? --> [ probation ]
 *                                    | no                                    |        ^
 *                                    v                                   hit v        | overflow
 *                                   out                                    [ protected ]
 *
 * Not responsible for: anything but its own order.
 */
#include <string.h>

#include "sim/block_list.h"
#include "sim/cache_policy.h"
#include "sim/random.h"

#define SAMPLE_PER_BLOCK 10u
#define COUNTER_MAX (SAMPLE_PER_BLOCK - 1u) /* the doorkeeper holds the first one */
#define SKETCH_ROWS 4u
#define DOOR_BITS_PER_SAMPLE 8u
#define DOOR_PROBES 4u

enum place {
    NOWHERE = 0,
    IN_WINDOW,
    IN_PROBATION,
    IN_PROTECTED
};
#define PLACE_COUNT 4u

struct tiny_lfu {
    uint32_t window_max;
    uint32_t main_max;
    uint32_t protected_max;
    uint32_t sample_max;
    uint32_t sample;
    uint32_t columns; /* of a sketch row; a power of two */
    uint32_t door_bits;
    struct mkv_block_list lists[PLACE_COUNT];
    struct mkv_block_link *links;
    uint8_t *place;
    uint8_t *sketch;
    uint8_t *door;
};

static uint32_t power_of_two(uint32_t least) {
    uint32_t power = 64;
    while (power < least) {
        power *= 2;
    }
    return power;
}

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    struct tiny_lfu *lfu = mkv_cache_array(memory, 1, sizeof *lfu);
    MKV_ASSERT(setup->capacity >= 2);
    lfu->window_max = setup->capacity / 100 > 0 ? setup->capacity / 100 : 1;
    lfu->main_max = setup->capacity - lfu->window_max;
    lfu->protected_max = (uint32_t)((uint64_t)lfu->main_max * 8 / 10);
    lfu->sample_max = setup->capacity * SAMPLE_PER_BLOCK;
    /* A counter for each access of a sample: estimates are then as good as exact ones. */
    lfu->columns = power_of_two(lfu->sample_max);
    lfu->door_bits = power_of_two(lfu->sample_max * DOOR_BITS_PER_SAMPLE);
    for (uint32_t place = 0; place < PLACE_COUNT; place++) {
        lfu->lists[place] = mkv_block_list_empty();
    }
    lfu->links = mkv_cache_links(memory, setup->block_count);
    lfu->place = mkv_cache_array(memory, setup->block_count, 1);
    lfu->sketch = mkv_cache_array(memory, SKETCH_ROWS, lfu->columns);
    lfu->door = mkv_cache_array(memory, lfu->door_bits / 8, 1);
    return lfu;
}

static bool resident(const void *cache, uint32_t block) {
    return ((const struct tiny_lfu *)cache)->place[block] != NOWHERE;
}

static uint8_t *counter_of(const struct tiny_lfu *lfu, uint32_t block, uint32_t row) {
    const uint64_t mixed = mkv_random_mix(((uint64_t)row << 32) | block);
    return &lfu->sketch[(size_t)row * lfu->columns + (mixed & (lfu->columns - 1))];
}

static uint64_t door_bit(const struct tiny_lfu *lfu, uint32_t block, uint32_t probe) {
    return mkv_random_mix(((uint64_t)(SKETCH_ROWS + probe) << 32) | block) & (lfu->door_bits - 1);
}

static bool door_knows(const struct tiny_lfu *lfu, uint32_t block) {
    for (uint32_t probe = 0; probe < DOOR_PROBES; probe++) {
        const uint64_t bit = door_bit(lfu, block, probe);
        if ((lfu->door[bit / 8] >> (bit % 8) & 1) == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t sketch_least(const struct tiny_lfu *lfu, uint32_t block) {
    uint32_t least = COUNTER_MAX;
    for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
        const uint32_t value = *counter_of(lfu, block, row);
        least = value < least ? value : least;
    }
    return least;
}

static uint32_t frequency(const struct tiny_lfu *lfu, uint32_t block) {
    return sketch_least(lfu, block) + (door_knows(lfu, block) ? 1 : 0);
}

static void age(struct tiny_lfu *lfu) {
    for (size_t index = 0; index < (size_t)SKETCH_ROWS * lfu->columns; index++) {
        lfu->sketch[index] /= 2;
    }
    memset(lfu->door, 0, lfu->door_bits / 8);
    lfu->sample /= 2;
}

static void count_access(struct tiny_lfu *lfu, uint32_t block) {
    if (!door_knows(lfu, block)) {
        for (uint32_t probe = 0; probe < DOOR_PROBES; probe++) {
            const uint64_t bit = door_bit(lfu, block, probe);
            lfu->door[bit / 8] |= (uint8_t)(1u << (bit % 8));
        }
    } else {
        /* Minimal increment: only the counters that are at the minimum grow. */
        const uint32_t least = sketch_least(lfu, block);
        for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
            uint8_t *counter = counter_of(lfu, block, row);
            *counter = (uint8_t)(*counter + (*counter == least && least < COUNTER_MAX));
        }
    }
    if (++lfu->sample == lfu->sample_max) {
        age(lfu);
    }
}

static void move(struct tiny_lfu *lfu, uint32_t block, enum place place) {
    if (lfu->place[block] != NOWHERE) {
        mkv_block_list_remove(&lfu->lists[lfu->place[block]], lfu->links, block);
    }
    if (place != NOWHERE) {
        mkv_block_list_push(&lfu->lists[place], lfu->links, block);
    }
    lfu->place[block] = (uint8_t)place;
}

/* The oldest block of the window asks for a place in the main part. */
static void leave_window(struct tiny_lfu *lfu) {
    const uint32_t candidate = lfu->lists[IN_WINDOW].tail;
    if (lfu->lists[IN_PROBATION].count + lfu->lists[IN_PROTECTED].count < lfu->main_max) {
        move(lfu, candidate, IN_PROBATION);
        return;
    }
    const enum place from = lfu->lists[IN_PROBATION].count > 0 ? IN_PROBATION : IN_PROTECTED;
    const uint32_t victim = lfu->lists[from].tail;
    if (frequency(lfu, candidate) > frequency(lfu, victim)) {
        move(lfu, victim, NOWHERE);
        move(lfu, candidate, IN_PROBATION);
    } else {
        move(lfu, candidate, NOWHERE);
    }
}

static void access_block(void *cache, uint32_t block) {
    struct tiny_lfu *lfu = cache;
    count_access(lfu, block);
    switch ((enum place)lfu->place[block]) {
    case NOWHERE:
        if (lfu->lists[IN_WINDOW].count == lfu->window_max) {
            leave_window(lfu);
        }
        move(lfu, block, IN_WINDOW);
        break;
    case IN_WINDOW:
        move(lfu, block, IN_WINDOW);
        break;
    case IN_PROBATION:
    case IN_PROTECTED:
        move(lfu, block, IN_PROTECTED);
        if (lfu->lists[IN_PROTECTED].count > lfu->protected_max) {
            move(lfu, lfu->lists[IN_PROTECTED].tail, IN_PROBATION);
        }
        break;
    }
}

const struct mkv_cache_policy mkv_policy_w_tinylfu = {
    .name = "w-tinylfu",
    .source = "Einziger, Friedman, Manes, ACM TOS 2017",
    .create = create,
    .resident = resident,
    .access = access_block,
};
