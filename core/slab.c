/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slab.h"

#include <string.h>

/* What `states` says of a unit: the start of an allocated or a free run and its order, or neither.
 */
#define STATE_INSIDE 0xffu
#define STATE_ALLOCATED 0x80u
#define STATE_ORDER 0x0fu

/* Neighbours of a free run in the list of its order. */
struct slab_link {
    uint32_t previous;
    uint32_t next;
};

/* Followed by links[unit_count], then states[unit_count]. */
struct mkv_slab_pool {
    uint32_t unit_count;
    uint32_t units_free;
    uint32_t free_first[MKV_SLAB_ORDER_COUNT];
    uint32_t allocated[MKV_SLAB_ORDER_COUNT];
};

_Static_assert((MKV_SLAB_UNIT_PAYLOAD_BYTES << MKV_SLAB_ORDER_MAX) == MKV_BLOCK_BYTES_MAX,
               "the largest slab holds the largest block");
_Static_assert(sizeof(struct mkv_slab_pool) % 8 == 0, "the links behind it are aligned");

static struct slab_link *links(struct mkv_slab_pool *pool) {
    return (struct slab_link *)(void *)(pool + 1);
}

static uint8_t *states(struct mkv_slab_pool *pool) {
    return (uint8_t *)(links(pool) + pool->unit_count);
}

static uint8_t state_of(const struct mkv_slab_pool *pool, uint32_t unit) {
    const struct slab_link *first = (const struct slab_link *)(const void *)(pool + 1);
    return ((const uint8_t *)(first + pool->unit_count))[unit];
}

static void push_free(struct mkv_slab_pool *pool, uint32_t unit, uint32_t order) {
    const uint32_t next = pool->free_first[order];
    links(pool)[unit] = (struct slab_link){.previous = MKV_NONE_U32, .next = next};
    if (next != MKV_NONE_U32) {
        links(pool)[next].previous = unit;
    }
    pool->free_first[order] = unit;
    states(pool)[unit] = (uint8_t)order;
}

static void remove_free(struct mkv_slab_pool *pool, uint32_t unit, uint32_t order) {
    MKV_ASSERT(states(pool)[unit] == order);
    const struct slab_link link = links(pool)[unit];
    if (link.previous != MKV_NONE_U32) {
        links(pool)[link.previous].next = link.next;
    } else {
        MKV_ASSERT(pool->free_first[order] == unit);
        pool->free_first[order] = link.next;
    }
    if (link.next != MKV_NONE_U32) {
        links(pool)[link.next].previous = link.previous;
    }
    states(pool)[unit] = STATE_INSIDE;
}

uint32_t mkv_slab_order(uint32_t payload_bytes) {
    MKV_ASSERT(payload_bytes <= MKV_BLOCK_BYTES_MAX);
    uint32_t order = 0;
    while ((MKV_SLAB_UNIT_PAYLOAD_BYTES << order) < payload_bytes) {
        order++;
    }
    return order;
}

size_t mkv_slab_memory_required(uint32_t unit_count) {
    MKV_ASSERT(unit_count >= 1);
    MKV_ASSERT(unit_count <= MKV_SLAB_UNIT_COUNT_MAX);
    const size_t bytes = sizeof(struct mkv_slab_pool) +
                         (size_t)unit_count * (sizeof(struct slab_link) + sizeof(uint8_t));
    return (size_t)mkv_round_up_u64(bytes, 64);
}

struct mkv_slab_pool *mkv_slab_init(void *memory, size_t memory_bytes, uint32_t unit_count) {
    MKV_ASSERT(memory_bytes >= mkv_slab_memory_required(unit_count));
    MKV_ASSERT((uintptr_t)memory % 8 == 0);
    memset(memory, 0, mkv_slab_memory_required(unit_count));
    struct mkv_slab_pool *pool = memory;
    pool->unit_count = unit_count;
    pool->units_free = unit_count;
    for (uint32_t order = 0; order < MKV_SLAB_ORDER_COUNT; order++) {
        pool->free_first[order] = MKV_NONE_U32;
    }
    memset(states(pool), STATE_INSIDE, unit_count);

    /* From the end, so that the lists hand out low units first: the tail of a part group in runs
     * that grow downwards, then whole groups. */
    uint32_t end = unit_count;
    while (end > 0) {
        uint32_t order = 0;
        while (order < MKV_SLAB_ORDER_MAX && (end & (1u << order)) == 0) {
            order++;
        }
        end -= 1u << order;
        push_free(pool, end, order);
    }
    return pool;
}

bool mkv_slab_alloc(struct mkv_slab_pool *pool, uint32_t payload_bytes, struct mkv_slab *slab) {
    const uint32_t order = mkv_slab_order(payload_bytes);
    uint32_t from = order;
    while (from < MKV_SLAB_ORDER_COUNT && pool->free_first[from] == MKV_NONE_U32) {
        from++;
    }
    if (from == MKV_SLAB_ORDER_COUNT) {
        return false;
    }
    const uint32_t unit = pool->free_first[from];
    remove_free(pool, unit, from);
    while (from > order) {
        from--;
        push_free(pool, unit + (1u << from), from);
    }
    states(pool)[unit] = (uint8_t)(STATE_ALLOCATED | order);
    MKV_ASSERT(pool->units_free >= 1u << order);
    pool->units_free -= 1u << order;
    pool->allocated[order]++;
    slab->index = unit;
    return true;
}

void mkv_slab_free(struct mkv_slab_pool *pool, struct mkv_slab slab) {
    uint32_t unit = slab.index;
    const uint32_t units = mkv_slab_units(pool, slab);
    uint32_t order = states(pool)[unit] & STATE_ORDER;
    MKV_ASSERT(pool->allocated[order] > 0);
    pool->allocated[order]--;
    pool->units_free += units;
    MKV_ASSERT(pool->units_free <= pool->unit_count);
    states(pool)[unit] = STATE_INSIDE;
    while (order < MKV_SLAB_ORDER_MAX) {
        /* A buddy that reaches past the end is never whole, so its start is never a free run of
         * this order; one that starts past it has no state at all. */
        const uint32_t buddy = unit ^ (1u << order);
        if (buddy >= pool->unit_count || states(pool)[buddy] != order) {
            break;
        }
        remove_free(pool, buddy, order);
        unit = unit < buddy ? unit : buddy;
        order++;
    }
    push_free(pool, unit, order);
}

uint32_t mkv_slab_units(const struct mkv_slab_pool *pool, struct mkv_slab slab) {
    MKV_ASSERT(slab.index < pool->unit_count);
    const uint8_t state = state_of(pool, slab.index);
    MKV_ASSERT(state != STATE_INSIDE);
    MKV_ASSERT((state & STATE_ALLOCATED) != 0);
    return 1u << (state & STATE_ORDER);
}

uint32_t mkv_slab_run_units(const struct mkv_slab_pool *pool, uint32_t unit, bool *is_allocated) {
    MKV_ASSERT(unit < pool->unit_count);
    const uint8_t state = state_of(pool, unit);
    MKV_ASSERT(state != STATE_INSIDE);
    *is_allocated = (state & STATE_ALLOCATED) != 0;
    return 1u << (state & STATE_ORDER);
}

uint32_t mkv_slab_units_free(const struct mkv_slab_pool *pool) {
    return pool->units_free;
}

uint32_t mkv_slab_allocated(const struct mkv_slab_pool *pool, uint32_t order) {
    MKV_ASSERT(order < MKV_SLAB_ORDER_COUNT);
    return pool->allocated[order];
}
