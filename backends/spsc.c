/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/spsc.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_BYTES 8u
/* In place of a size: what follows is at the start of the ring. */
#define SKIP UINT64_MAX
/* An empty ring that has come so far begins at its start again: so that a large one, whose readers
 * keep up, is small memory in a cache. */
#define START_BYTES (64u * 1024u)

/* Positions count bytes and never go back; their place is their remainder by the ring's size. */
struct mkv_spsc {
    uint64_t bytes; /* written by nobody from the creation on */
    uint8_t *memory;

    _Alignas(MKV_SPSC_LINE_BYTES) atomic_uint_fast64_t tail; /* the producer's line */
    uint64_t written;                                        /* tail, as its owner knows it */
    uint64_t begun;     /* where tail goes at the end of the message that is begun; 0: none is */
    uint64_t head_seen; /* how far the consumer was when it was last looked at */
    uint64_t base;      /* where the empty ring last began again: all before it was read by then */
    uint64_t base_begun;
    /* The position whose next one is `base`, for the consumer, which sees it with the tail that
     * comes behind: a mark in the ring would take the room behind it until it is read. */
    uint64_t again_from;

    _Alignas(MKV_SPSC_LINE_BYTES) atomic_uint_fast64_t head; /* the consumer's line */
    uint64_t read;
    uint64_t tail_seen;
};

static uint64_t message_bytes(uint64_t bytes) {
    return SIZE_BYTES + mkv_round_up_u64(bytes, SIZE_BYTES);
}

struct mkv_spsc *mkv_spsc_create(uint32_t bytes) {
    MKV_ASSERT(bytes >= MKV_SPSC_BYTES_MIN);
    MKV_ASSERT(bytes <= MKV_SPSC_BYTES_MAX);
    MKV_ASSERT((bytes & (bytes - 1)) == 0);
    struct mkv_spsc *ring = aligned_alloc(MKV_SPSC_LINE_BYTES, sizeof *ring);
    uint8_t *memory = aligned_alloc(MKV_SPSC_LINE_BYTES, bytes);
    if (ring == NULL || memory == NULL) {
        free(ring);
        free(memory);
        return NULL;
    }
    memset(ring, 0, sizeof *ring);
    ring->bytes = bytes;
    ring->memory = memory;
    ring->again_from = UINT64_MAX;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    return ring;
}

void mkv_spsc_destroy(struct mkv_spsc *ring) {
    if (ring != NULL) {
        free(ring->memory);
        free(ring);
    }
}

uint32_t mkv_spsc_message_bytes_max(const struct mkv_spsc *ring) {
    /* At worst a skip of just less than the message stands before it. */
    return (uint32_t)(ring->bytes / 2 - SIZE_BYTES);
}

static uint64_t size_load(const struct mkv_spsc *ring, uint64_t position) {
    uint64_t size;
    memcpy(&size, ring->memory + (position & (ring->bytes - 1)), sizeof size);
    return size;
}

static void size_store(struct mkv_spsc *ring, uint64_t position, uint64_t size) {
    memcpy(ring->memory + (position & (ring->bytes - 1)), &size, sizeof size);
}

/* ---- the producer --------------------------------------------------------------------------- */

static bool has_room(struct mkv_spsc *ring, uint64_t end) {
    if (end - mkv_max_u64(ring->head_seen, ring->base) > ring->bytes) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    }
    return end - mkv_max_u64(ring->head_seen, ring->base) <= ring->bytes;
}

static bool may_start_again(struct mkv_spsc *ring, uint64_t whole) {
    const uint64_t place = ring->written & (ring->bytes - 1);
    if (place < START_BYTES || whole > START_BYTES) {
        return false;
    }
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    return ring->head_seen == ring->written;
}

uint8_t *mkv_spsc_begin(struct mkv_spsc *ring, uint32_t bytes) {
    MKV_ASSERT(bytes <= mkv_spsc_message_bytes_max(ring));
    const uint64_t whole = message_bytes(bytes);
    const uint64_t to_end = ring->bytes - (ring->written & (ring->bytes - 1));
    uint64_t start = ring->written;
    ring->base_begun = ring->base;
    if (may_start_again(ring, whole)) {
        start += to_end;
        ring->base_begun = start;
    } else if (to_end < whole) {
        start += to_end;
        if (!has_room(ring, start + whole)) {
            return NULL;
        }
        size_store(ring, ring->written, SKIP);
    } else if (!has_room(ring, start + whole)) {
        return NULL;
    }
    size_store(ring, start, bytes);
    ring->begun = start + whole;
    return ring->memory + (start & (ring->bytes - 1)) + SIZE_BYTES;
}

void mkv_spsc_end(struct mkv_spsc *ring) {
    MKV_ASSERT(ring->begun != 0);
    if (ring->base_begun != ring->base) {
        /* The consumer has read all, and looks here only when it has seen what follows. */
        ring->base = ring->base_begun;
        ring->again_from = ring->written;
    }
    ring->written = ring->begun;
    ring->begun = 0;
    atomic_store_explicit(&ring->tail, ring->written, memory_order_release);
}

/* ---- the consumer --------------------------------------------------------------------------- */

const uint8_t *mkv_spsc_peek(struct mkv_spsc *ring, uint32_t *bytes) {
    if (ring->read == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (ring->read == ring->tail_seen) {
            return NULL;
        }
        if (ring->read == ring->again_from) {
            ring->read += ring->bytes - (ring->read & (ring->bytes - 1));
        }
    }
    uint64_t size = size_load(ring, ring->read);
    if (size == SKIP) {
        ring->read += ring->bytes - (ring->read & (ring->bytes - 1));
        size = size_load(ring, ring->read); /* a skip ends with a message behind it */
    }
    MKV_ASSERT(size <= mkv_spsc_message_bytes_max(ring));
    *bytes = (uint32_t)size;
    return ring->memory + (ring->read & (ring->bytes - 1)) + SIZE_BYTES;
}

void mkv_spsc_next(struct mkv_spsc *ring) {
    MKV_ASSERT(ring->read < ring->tail_seen);
    ring->read += message_bytes(size_load(ring, ring->read));
    MKV_ASSERT(ring->read <= ring->tail_seen);
    atomic_store_explicit(&ring->head, ring->read, memory_order_release);
}

/* ---- the bell ------------------------------------------------------------------------------- */

/*
 * All three are exchanges, so that each reads what the one before it wrote: either the producer's
 * comes behind the consumer's sleep and finds it asleep, or the consumer's sleep comes behind the
 * producer's ring, and with it behind the messages that ended before that.
 */

void mkv_bell_sleep(struct mkv_bell *bell) {
    (void)atomic_exchange_explicit(&bell->asleep, true, memory_order_seq_cst);
}

void mkv_bell_awake(struct mkv_bell *bell) {
    (void)atomic_exchange_explicit(&bell->asleep, false, memory_order_seq_cst);
}

bool mkv_bell_ring(struct mkv_bell *bell) {
    return atomic_exchange_explicit(&bell->asleep, false, memory_order_seq_cst);
}
