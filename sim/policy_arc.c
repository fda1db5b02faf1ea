/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARC, after Megiddo and Modha, "ARC: a self-tuning, low overhead replacement cache" (FAST 2003),
 * figure 4: blocks seen once lately and blocks seen more often, each with a ghost list; a hit among
 * the ghosts of one moves the target size towards it.
 *
 *     [ recent: T1 ] [ ghosts: B1 ]   |T1| + |B1| <= capacity
 *     [ often:  T2 ] [ ghosts: B2 ]   |T1| + |T2| <= capacity, all four <= 2 * capacity
 *
 * Not responsible for: anything but its own order.
 */
#include "sim/block_list.h"
#include "sim/cache_policy.h"

enum place {
    NOWHERE = 0,
    IN_T1,
    IN_T2,
    IN_B1,
    IN_B2
};
#define PLACE_COUNT 5u

struct arc {
    uint32_t capacity;
    double target; /* of T1: p of the paper */
    struct mkv_block_list lists[PLACE_COUNT];
    struct mkv_block_link *links;
    uint8_t *place;
};

static void *create(struct mkv_memory *memory, const struct mkv_cache_setup *setup) {
    struct arc *arc = mkv_cache_array(memory, 1, sizeof *arc);
    arc->capacity = setup->capacity;
    for (uint32_t place = 0; place < PLACE_COUNT; place++) {
        arc->lists[place] = mkv_block_list_empty();
    }
    arc->links = mkv_cache_links(memory, setup->block_count);
    arc->place = mkv_cache_array(memory, setup->block_count, 1);
    return arc;
}

static bool resident(const void *cache, uint32_t block) {
    const struct arc *arc = cache;
    return arc->place[block] == IN_T1 || arc->place[block] == IN_T2;
}

static uint32_t count_of(const struct arc *arc, enum place place) {
    return arc->lists[place].count;
}

static void move(struct arc *arc, uint32_t block, enum place place) {
    if (arc->place[block] != NOWHERE) {
        mkv_block_list_remove(&arc->lists[arc->place[block]], arc->links, block);
    }
    if (place != NOWHERE) {
        mkv_block_list_push(&arc->lists[place], arc->links, block);
    }
    arc->place[block] = (uint8_t)place;
}

static uint32_t oldest(const struct arc *arc, enum place place) {
    MKV_ASSERT(count_of(arc, place) > 0);
    return arc->lists[place].tail;
}

/* REPLACE of the paper. */
static void replace(struct arc *arc, bool was_in_b2) {
    const uint32_t recent = count_of(arc, IN_T1);
    const bool above = recent > arc->target || (was_in_b2 && recent == arc->target);
    if (recent > 0 && (above || count_of(arc, IN_T2) == 0)) {
        move(arc, oldest(arc, IN_T1), IN_B1);
    } else {
        move(arc, oldest(arc, IN_T2), IN_B2);
    }
}

/* Cases II and III: a ghost returns. */
static void return_ghost(struct arc *arc, uint32_t block, bool was_in_b2) {
    const double b1 = count_of(arc, IN_B1);
    const double b2 = count_of(arc, IN_B2);
    if (was_in_b2) {
        arc->target -= b2 >= b1 ? 1 : b1 / b2;
        arc->target = arc->target > 0 ? arc->target : 0;
    } else {
        arc->target += b1 >= b2 ? 1 : b2 / b1;
        arc->target = arc->target < arc->capacity ? arc->target : arc->capacity;
    }
    replace(arc, was_in_b2);
    move(arc, block, IN_T2);
}

/* Case IV: a block that none of the four lists knows. */
static void insert(struct arc *arc, uint32_t block) {
    const uint32_t first = count_of(arc, IN_T1) + count_of(arc, IN_B1);
    const uint32_t all = first + count_of(arc, IN_T2) + count_of(arc, IN_B2);
    if (first == arc->capacity) {
        if (count_of(arc, IN_T1) < arc->capacity) {
            move(arc, oldest(arc, IN_B1), NOWHERE);
            replace(arc, false);
        } else {
            move(arc, oldest(arc, IN_T1), NOWHERE);
        }
    } else if (all >= arc->capacity) {
        if (all == 2 * arc->capacity) {
            move(arc, oldest(arc, IN_B2), NOWHERE);
        }
        replace(arc, false);
    }
    move(arc, block, IN_T1);
}

static void access_block(void *cache, uint32_t block) {
    struct arc *arc = cache;
    switch ((enum place)arc->place[block]) {
    case IN_T1:
    case IN_T2:
        move(arc, block, IN_T2);
        break;
    case IN_B1:
        return_ghost(arc, block, false);
        break;
    case IN_B2:
        return_ghost(arc, block, true);
        break;
    case NOWHERE:
        insert(arc, block);
        break;
    }
}

const struct mkv_cache_policy mkv_policy_arc = {
    .name = "arc",
    .source = "Megiddo and Modha, FAST 2003",
    .create = create,
    .resident = resident,
    .access = access_block,
};
