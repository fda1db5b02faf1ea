/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive on io_uring: each effect is one fixed read, fixed write or fdatasync on an opened medium,
 * out of a bounded pool of operations; header and payload of a slot are one transfer. Whose turn it
 * is says drive_queue.h. A trim goes to a thread of its own (drive_trim.h).
 *
 *     submit --> its turn? --yes--> prepared in the ring --> kernel --> finished? --> complete
 *                    | no               ^   ^                  |           | short, EINTR
 *                    +--> waiting ------+   +- continued (bounded) <-------+
 *                            | overdue                         | overdue
 *                            +--> complete: timeout <-- cancel, given up
 *
 * Short writes are held until the ring is submitted: those that lie side by side on the drive then
 * go to the kernel as one. Those that go on where the one before them ends, as puts one behind the
 * other do, wait for more while that one is under way. On a file, the room that writes come to next
 * is allocated ahead of them (drive_room.h), between writes: nothing but loads starts until those
 * that are under way are done, and it is allocated.
 *
 *     held:  [4 5][0 1 2 3][9 10][6 7 8]  -->  one writev of 0 ... 10
 *
 * What is not done within its time the kernel is asked for back. What it does not give back is
 * completed as MKV_IO_TIMEOUT all the same, and the kernel keeps its pages: others come in their
 * place (mkv_arena_exchange). Its place in the queue stays taken until the kernel lets go.
 *
 * Invariants
 *  I1  At most queue_depth operations are with the kernel, at most waiting_max wait.
 *  I2  A transfer that makes no progress MKV_DRIVE_URING_TRIES_MAX times in a row has failed, as
 *      drive_error.h says.
 *  I3  No write reaches beyond the capacity (asserted: a file would grow). A read that does is
 *      MKV_IO_DEVICE.
 *  I4  Trims are handed to it only when it was made with `trim`, one at a time (core/io.h, I8), and
 *      within the capacity (all asserted). They take no place in the queue: a slow one holds up
 *      nothing but the next.
 *  I5  Writes that went as one are reported one by one, as if each had gone alone: if the whole did
 *      not succeed, each is done again alone.
 *
 *  I6  MKV_IO_TIMEOUT is said once, and nothing of that operation behind it; the memory that its
 *      effect names is touched no more. While memory can't be exchanged (huge pages of hugetlbfs,
 *      no fixed buffers, no O_DIRECT, several as one on a file) an operation that the kernel keeps
 *      is not completed before that lets go. The drive is in flight as long as the kernel has
 *      anything of it.
 *  I7  Time in which the drive's thread does not run at all, stopped or paused, counts for no
 *      operation: what came meanwhile is taken before anything is given up.
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
/* Writes of up to so many bytes are held for others, and so many, of so many bytes, go as one. */
#define MKV_DRIVE_URING_HELD_BYTES_MAX (128u * 1024u)
#define MKV_DRIVE_URING_MERGED_MAX 16u
#define MKV_DRIVE_URING_MERGED_BYTES_MAX (1024u * 1024u)

struct mkv_drive_uring_options {
    struct mkv_ring *ring; /* outlives the drive */
    const struct mkv_arena *arena;
    const struct mkv_arena_buffers *buffers; /* of that ring; NULL: plain operations only */
    uint8_t *meta;                           /* what meta_offset counts from: the volume's arena */
    uint64_t meta_bytes;
    bool trim;            /* take trims; the medium supports them */
    uint32_t queue_depth; /* 0: MKV_DRIVE_URING_DEPTH_DEFAULT */
    uint32_t waiting_max; /* effects that the volume may have outstanding; beyond: an assertion */
    /* How long an operation may take, from when it came to the drive on; the kernel is asked for
     * it back then, and has as long as three eighths of read_timeout_ns for that. Writes, flushes
     * and what recovery reads: longer than the kernel itself tries. 0: for ever, both. */
    uint64_t read_timeout_ns;
    uint64_t write_timeout_ns;
    /* Of a file: the units that room is allocated ahead for; others have theirs, or need none. An
     * end of 0: all. */
    uint64_t room_first_unit;
    uint64_t room_end_unit;
};

/* Takes the medium over, to release it at close, also when this fails. */
__attribute__((warn_unused_result)) bool mkv_drive_uring_create(
    const struct mkv_drive_uring_options *options, const struct mkv_drive_media *media,
    struct mkv_drive **drive, struct mkv_backend_error *error);

#endif
