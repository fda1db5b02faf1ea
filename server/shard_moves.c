/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shard_moves.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct queue {
    struct mkv_ring *ring;
    atomic_uint count; /* written behind the mutex */
    atomic_uint room;  /* for so many: its shard says so */
    uint32_t first;
    struct mkv_fabric_tcp_move moves[MKV_SHARD_MOVES_MAX];
};

struct mkv_shard_moves {
    pthread_mutex_t mutex;
    uint32_t shard_count;
    struct queue queues[];
};

struct mkv_shard_moves *mkv_shard_moves_create(uint32_t shard_count) {
    MKV_ASSERT(shard_count >= 1);
    struct mkv_shard_moves *moves = calloc(1, sizeof *moves + shard_count * sizeof(struct queue));
    if (moves == NULL) {
        return NULL;
    }
    pthread_mutex_init(&moves->mutex, NULL);
    moves->shard_count = shard_count;
    for (uint32_t shard = 0; shard < shard_count; shard++) {
        atomic_init(&moves->queues[shard].count, 0);
        atomic_init(&moves->queues[shard].room, MKV_SHARD_MOVES_MAX);
    }
    return moves;
}

void mkv_shard_moves_destroy(struct mkv_shard_moves *moves) {
    if (moves == NULL) {
        return;
    }
    struct mkv_fabric_tcp_move move;
    for (uint32_t shard = 0; shard < moves->shard_count; shard++) {
        while (mkv_shard_moves_take(moves, shard, &move)) {
            close(move.fd);
        }
    }
    pthread_mutex_destroy(&moves->mutex);
    free(moves);
}

void mkv_shard_moves_enter(struct mkv_shard_moves *moves, uint32_t shard, struct mkv_ring *ring) {
    MKV_ASSERT(shard < moves->shard_count);
    moves->queues[shard].ring = ring;
}

void mkv_shard_moves_room(struct mkv_shard_moves *moves, uint32_t shard, uint32_t room) {
    MKV_ASSERT(shard < moves->shard_count);
    atomic_store_explicit(&moves->queues[shard].room,
                          (uint32_t)mkv_min_u64(room, MKV_SHARD_MOVES_MAX), memory_order_relaxed);
}

bool mkv_shard_moves_put(struct mkv_shard_moves *moves, uint32_t shard,
                         const struct mkv_fabric_tcp_move *move) {
    if (shard >= moves->shard_count) {
        return false;
    }
    struct queue *queue = &moves->queues[shard];
    pthread_mutex_lock(&moves->mutex);
    const uint32_t count = atomic_load_explicit(&queue->count, memory_order_relaxed);
    const bool has_room = count < atomic_load_explicit(&queue->room, memory_order_relaxed);
    if (has_room) {
        queue->moves[(queue->first + count) % MKV_SHARD_MOVES_MAX] = *move;
        atomic_store_explicit(&queue->count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&moves->mutex);
    if (has_room && queue->ring != NULL) {
        mkv_ring_wake(queue->ring);
    }
    return has_room;
}

bool mkv_shard_moves_take(struct mkv_shard_moves *moves, uint32_t shard,
                          struct mkv_fabric_tcp_move *move) {
    MKV_ASSERT(shard < moves->shard_count);
    struct queue *queue = &moves->queues[shard];
    if (atomic_load_explicit(&queue->count, memory_order_acquire) == 0) {
        return false;
    }
    pthread_mutex_lock(&moves->mutex);
    const uint32_t count = atomic_load_explicit(&queue->count, memory_order_relaxed);
    *move = queue->moves[queue->first];
    queue->first = (queue->first + 1) % MKV_SHARD_MOVES_MAX;
    atomic_store_explicit(&queue->count, count - 1, memory_order_release);
    pthread_mutex_unlock(&moves->mutex);
    return true;
}
