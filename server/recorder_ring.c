/* SPDX-License-Identifier: Apache-2.0 */
#include "server/recorder_ring.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t *chunk_of(const struct mkv_recorder_ring *ring, uint64_t number) {
    return ring->chunks + (size_t)(number % MKV_RECORDER_RING_CHUNKS) * MKV_RECORD_CHUNK_BYTES;
}

/* ---- the thread that writes ----------------------------------------------------------------- */

/* 0, or the error number. */
static int write_all(int fd, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        const ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno != EINTR) {
            return errno;
        }
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
    return 0;
}

/* Writes every chunk that is sealed; false when a write has failed. */
static bool write_sealed(struct mkv_recorder_ring *ring) {
    for (uint64_t number = atomic_load(&ring->written); number < atomic_load(&ring->sealed);
         number++) {
        const uint8_t *chunk = chunk_of(ring, number);
        bool damaged;
        const uint64_t bytes =
            MKV_RECORD_CHUNK_HEADER_BYTES +
            mkv_record_chunk_open(chunk, MKV_RECORD_CHUNK_BYTES, number, &damaged);
        MKV_ASSERT(!damaged);
        const int error_number = write_all(ring->fd, chunk, bytes);
        if (error_number != 0) {
            atomic_store(&ring->error_number, error_number);
            /* Where even this fails, a reader stops at the piece of a chunk. */
            const int result = ftruncate(ring->fd, (off_t)atomic_load(&ring->file_bytes));
            MKV_MAYBE(result != 0);
            return false;
        }
        atomic_fetch_add(&ring->file_bytes, bytes);
        atomic_store(&ring->written, number + 1);
    }
    return true;
}

static void *ring_thread(void *context) {
    struct mkv_recorder_ring *ring = context;
    (void)pthread_setname_np(pthread_self(), "memkv-record");
    for (;;) {
        while (sem_wait(&ring->wake) != 0) {
            MKV_ASSERT(errno == EINTR);
        }
        /* Before the chunks: whoever sets it has sealed the last one. */
        const bool finished = atomic_load(&ring->finished);
        if (!write_sealed(ring) || finished) {
            ring->drained(ring->context);
            return NULL;
        }
    }
}

bool mkv_recorder_ring_start(struct mkv_recorder_ring *ring, int fd, uint64_t file_bytes,
                             struct mkv_backend_error *error) {
    ring->fd = fd;
    ring->sealed_bytes = file_bytes;
    atomic_store(&ring->file_bytes, file_bytes);
    ring->chunks = calloc(MKV_RECORDER_RING_CHUNKS, MKV_RECORD_CHUNK_BYTES);
    if (ring->chunks == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for --record. Free memory on this machine");
    }
    int result = sem_init(&ring->wake, 0, 0);
    MKV_ASSERT(result == 0);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&ring->thread, NULL, ring_thread, ring);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for --record: %s. Raise the limit of processes "
                                  "(ulimit -u, TasksMax)",
                                  strerror(result));
    }
    ring->started = true;
    return true;
}

/* ---- the thread that fills ------------------------------------------------------------------ */

static void post(struct mkv_recorder_ring *ring) {
    /* It fails only when there are more posts than anyone can count, and then there are enough. */
    const int result = sem_post(&ring->wake);
    MKV_MAYBE(result != 0);
}

uint64_t mkv_recorder_ring_room(const struct mkv_recorder_ring *ring) {
    const uint64_t used = atomic_load(&ring->sealed) - atomic_load(&ring->written);
    MKV_ASSERT(used <= MKV_RECORDER_RING_CHUNKS);
    return (MKV_RECORDER_RING_CHUNKS - used) * MKV_RECORD_BODY_BYTES_MAX - ring->fill;
}

uint64_t mkv_recorder_ring_bytes(const struct mkv_recorder_ring *ring, uint64_t more) {
    const uint64_t bodies = ring->fill + more;
    return ring->sealed_bytes + bodies +
           mkv_divide_up_u64(bodies, MKV_RECORD_BODY_BYTES_MAX) * MKV_RECORD_CHUNK_HEADER_BYTES;
}

void mkv_recorder_ring_append(struct mkv_recorder_ring *ring, const uint8_t *bytes, size_t count) {
    MKV_ASSERT(count <= mkv_recorder_ring_room(ring));
    while (count > 0) {
        uint8_t *chunk = chunk_of(ring, atomic_load(&ring->sealed));
        const size_t part = mkv_min_u64(count, MKV_RECORD_BODY_BYTES_MAX - ring->fill);
        memcpy(chunk + MKV_RECORD_CHUNK_HEADER_BYTES + ring->fill, bytes, part);
        ring->fill += (uint32_t)part;
        bytes += part;
        count -= part;
        if (ring->fill == MKV_RECORD_BODY_BYTES_MAX) {
            mkv_recorder_ring_seal(ring);
        }
    }
}

void mkv_recorder_ring_seal(struct mkv_recorder_ring *ring) {
    if (ring->fill == 0) {
        return;
    }
    const uint64_t number = atomic_load(&ring->sealed);
    mkv_record_chunk_seal(chunk_of(ring, number), ring->fill, number);
    ring->sealed_bytes += MKV_RECORD_CHUNK_HEADER_BYTES + ring->fill;
    ring->fill = 0;
    atomic_store(&ring->sealed, number + 1);
    post(ring);
}

void mkv_recorder_ring_finish(struct mkv_recorder_ring *ring) {
    mkv_recorder_ring_seal(ring);
    atomic_store(&ring->finished, true);
    post(ring);
}

void mkv_recorder_ring_end(struct mkv_recorder_ring *ring) {
    if (ring->started) {
        const int result = pthread_join(ring->thread, NULL);
        MKV_ASSERT(result == 0);
        sem_destroy(&ring->wake);
    }
    free(ring->chunks);
}
