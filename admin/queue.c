/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/queue.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Two cells never share a line of the cache, nor do the two ends. */
#define LINE_BYTES 64u

struct cell {
    alignas(max_align_t) atomic_uint_fast64_t turn;
};
#define CELL_HEADER_BYTES sizeof(struct cell)

struct mkv_queue {
    uint32_t capacity;
    uint32_t cell_bytes;
    uint8_t *cells;
    alignas(LINE_BYTES) atomic_uint_fast64_t reserved;
    alignas(LINE_BYTES) atomic_uint_fast64_t taken; /* written by the one that takes */
};

static struct cell *cell_of(const struct mkv_queue *queue, uint64_t place) {
    const size_t index = (size_t)(place % queue->capacity);
    return (struct cell *)(void *)(queue->cells + index * queue->cell_bytes);
}

static void *item_of(struct cell *cell) {
    return (uint8_t *)cell + CELL_HEADER_BYTES;
}

struct mkv_queue *mkv_queue_create(uint32_t capacity, uint32_t item_bytes) {
    MKV_ASSERT(capacity >= 2); /* with one cell "published" and "free again" would be one number */
    MKV_ASSERT(item_bytes > 0);
    const uint64_t cell_bytes =
        mkv_divide_up_u64((uint64_t)item_bytes + CELL_HEADER_BYTES, LINE_BYTES) * LINE_BYTES;
    MKV_ASSERT(cell_bytes <= UINT32_MAX);
    struct mkv_queue *queue = aligned_alloc(LINE_BYTES, sizeof *queue);
    uint8_t *cells = aligned_alloc(LINE_BYTES, (size_t)(capacity * cell_bytes));
    if (queue == NULL || cells == NULL) {
        free(queue);
        free(cells);
        return NULL;
    }
    memset(queue, 0, sizeof *queue);
    queue->capacity = capacity;
    queue->cell_bytes = (uint32_t)cell_bytes;
    queue->cells = cells;
    atomic_init(&queue->reserved, 0);
    atomic_init(&queue->taken, 0);
    for (uint32_t place = 0; place < capacity; place++) {
        atomic_init(&cell_of(queue, place)->turn, place);
    }
    return queue;
}

void mkv_queue_destroy(struct mkv_queue *queue) {
    if (queue != NULL) {
        free(queue->cells);
        free(queue);
    }
}

void *mkv_queue_reserve(struct mkv_queue *queue, uint64_t *ticket) {
    uint64_t place = atomic_load_explicit(&queue->reserved, memory_order_relaxed);
    for (uint32_t tries = 0; tries < MKV_QUEUE_TRIES_MAX; tries++) {
        struct cell *cell = cell_of(queue, place);
        const uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn < place) {
            return NULL; /* the item of the round before has not been taken */
        }
        if (turn > place) {
            place = atomic_load_explicit(&queue->reserved, memory_order_relaxed);
            continue;
        }
        /* Else `place` is what another thread has left. */
        if (atomic_compare_exchange_weak_explicit(&queue->reserved, &place, place + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            *ticket = place;
            return item_of(cell);
        }
    }
    return NULL;
}

void mkv_queue_publish(struct mkv_queue *queue, uint64_t ticket) {
    struct cell *cell = cell_of(queue, ticket);
    MKV_ASSERT(atomic_load_explicit(&cell->turn, memory_order_relaxed) == ticket);
    atomic_store_explicit(&cell->turn, ticket + 1, memory_order_release);
}

const void *mkv_queue_next(struct mkv_queue *queue) {
    const uint64_t place = atomic_load_explicit(&queue->taken, memory_order_relaxed);
    struct cell *cell = cell_of(queue, place);
    const uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
    return turn == place + 1 ? item_of(cell) : NULL;
}

void mkv_queue_take(struct mkv_queue *queue) {
    const uint64_t place = atomic_load_explicit(&queue->taken, memory_order_relaxed);
    struct cell *cell = cell_of(queue, place);
    MKV_ASSERT(atomic_load_explicit(&cell->turn, memory_order_relaxed) == place + 1);
    atomic_store_explicit(&cell->turn, place + queue->capacity, memory_order_release);
    atomic_store_explicit(&queue->taken, place + 1, memory_order_release);
}

uint64_t mkv_queue_taken(const struct mkv_queue *queue) {
    return atomic_load_explicit(&queue->taken, memory_order_acquire);
}

uint64_t mkv_queue_reserved(const struct mkv_queue *queue) {
    return atomic_load_explicit(&queue->reserved, memory_order_acquire);
}
