/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a record's bytes from the shard's thread to its file: a ring of chunks that one thread
 * fills and seals, and another writes.
 *
 *        written            sealed
 *           |                  |
 *   ... free [ goes to the file ][ being filled: fill bytes ] free ...
 *
 * Invariants
 *  I1  `sealed` and `written` only grow, and sealed - written <= MKV_RECORDER_RING_CHUNKS.
 *  I2  A chunk that is sealed is not touched until it is written.
 *  I3  Behind an error of a write nothing more is written, and the file is cut to whole chunks.
 *
 * Not responsible for: what the bytes are (recorder.c).
 */
#ifndef MKV_SERVER_RECORDER_RING_H
#define MKV_SERVER_RECORDER_RING_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "server/recorder.h"

struct mkv_recorder_ring {
    int fd;
    uint8_t *chunks;       /* MKV_RECORDER_RING_CHUNKS of MKV_RECORD_CHUNK_BYTES */
    uint32_t fill;         /* bytes of the body that is being filled */
    uint64_t sealed_bytes; /* of the file when all that is sealed is in it */
    atomic_uint_fast64_t sealed;
    atomic_uint_fast64_t written;
    atomic_uint_fast64_t file_bytes; /* whole chunks and the header */
    atomic_bool finished;            /* no chunk is sealed any more */
    atomic_int error_number;
    sem_t wake;
    pthread_t thread;
    bool started;
    /* On the ring's thread, when all is written, or a write has failed. */
    void (*drained)(void *context);
    void *context;
};

/* The file has its header already, of `file_bytes`. */
bool mkv_recorder_ring_start(struct mkv_recorder_ring *ring, int fd, uint64_t file_bytes,
                             struct mkv_backend_error *error);
/* Bytes that may be appended now. */
uint64_t mkv_recorder_ring_room(const struct mkv_recorder_ring *ring);
/* Of the file when all is written that was appended, and `more` bytes behind it. */
uint64_t mkv_recorder_ring_bytes(const struct mkv_recorder_ring *ring, uint64_t more);
/* There must be room. */
void mkv_recorder_ring_append(struct mkv_recorder_ring *ring, const uint8_t *bytes, size_t count);
/* Hands what was appended to the other thread. Safe in a signal handler. */
void mkv_recorder_ring_seal(struct mkv_recorder_ring *ring);
/* Nothing is appended any more. */
void mkv_recorder_ring_finish(struct mkv_recorder_ring *ring);
/* Waits for the other thread to end, if it was started, and releases the memory. */
void mkv_recorder_ring_end(struct mkv_recorder_ring *ring);

#endif
