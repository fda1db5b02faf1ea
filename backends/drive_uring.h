/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive on io_uring: each effect is one fixed read, fixed write or fdatasync on an opened medium,
 * out of a bounded pool of operations. What the pool has no room for waits in order. A trim goes to
 * a thread of its own (drive_trim.h).
 *
 *     submit --> pool has room? --yes--> prepared in the ring --> kernel --> finished? --> complete
 *                    | no                    ^                                  | short, EINTR
 *                    +--> waiting (FIFO) ----+------- continued (bounded) <-----+
 *
 * Invariants
 *  I1  At most queue_depth operations are with the kernel, at most waiting_max wait.
 *  I2  A transfer that makes no progress MKV_DRIVE_URING_TRIES_MAX times in a row is MKV_IO_DEVICE.
 *  I3  No write reaches beyond the capacity (asserted: a file would grow). A read that does is
 *      MKV_IO_DEVICE.
 *  I4  Trims are handed to it only when it was made with `trim`, one at a time (core/io.h, I8), and
 *      within the capacity (all asserted). They take no place in the queue: a slow one holds up
 *      nothing but the next.
 *
 * Not responsible for: finding, creating and locking the medium (drive_open.h).
 */
#ifndef MKV_BACKENDS_DRIVE_URING_H
#define MKV_BACKENDS_DRIVE_URING_H

#include "backends/arena.h"
#include "backends/drive.h"
#include "backends/drive_open.h"
#include "backends/ring.h"

#define MKV_DRIVE_URING_TRIES_MAX 16u
#define MKV_DRIVE_URING_DEPTH_DEFAULT 256u

struct mkv_drive_uring_options {
    struct mkv_ring *ring; /* outlives the drive */
    const struct mkv_arena *arena;
    const struct mkv_arena_buffers *buffers; /* of that ring; NULL: plain operations only */
    uint8_t *meta;                           /* what meta_offset counts from: the volume's arena */
    uint64_t meta_bytes;
    bool trim;            /* take trims; the medium supports them */
    uint32_t queue_depth; /* 0: MKV_DRIVE_URING_DEPTH_DEFAULT */
    uint32_t waiting_max; /* effects that the volume may have outstanding; beyond: an assertion */
};

/* Takes the medium over, to release it at close, also when this fails. */
__attribute__((warn_unused_result)) bool mkv_drive_uring_create(
    const struct mkv_drive_uring_options *options, const struct mkv_drive_media *media,
    struct mkv_drive **drive, struct mkv_backend_error *error);

#endif
