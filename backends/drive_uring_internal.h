/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of drive_uring share: its operations, and what they do for each other.
 *
 *     drive_uring.c         an effect becomes an operation, and that a completion
 *     drive_uring_merge.c   writes side by side go as one
 *     drive_uring_late.c    operations that do not come back
 *
 * Not responsible for: whoever uses a drive; that is drive_uring.h.
 */
#ifndef MKV_BACKENDS_DRIVE_URING_INTERNAL_H
#define MKV_BACKENDS_DRIVE_URING_INTERNAL_H

#include "backends/drive_error.h"
#include "backends/drive_queue.h"
#include "backends/drive_room.h"
#include "backends/drive_trim.h"
#include "backends/drive_uring.h"

/* One effect with the kernel. */
struct operation {
    struct mkv_ring_completion completion;
    struct mkv_ring_completion cancelled; /* of the request to take it back */
    struct drive_uring *drive;
    struct merged *merged; /* the write that it is a part of */
    bool in_use;
    bool is_held;    /* see drive_uring.held: the kernel knows nothing of it */
    bool cancelling; /* the kernel has that request */
    bool was_cancelled;
    bool answered; /* though the kernel has it: see I6 */
    bool let_go;   /* by the kernel, but for that request */
    struct mkv_op_id op;
    enum mkv_drive_operation kind;
    struct mkv_drive_effect effect;
    uint8_t *slab;   /* header unit of the slab; NULL for metadata */
    uint8_t *memory; /* first byte to move */
    uint32_t bytes;  /* to move */
    uint32_t moved;  /* so far, whole units */
    int32_t place;   /* of the memory in the ring's buffers */
    uint32_t tries;  /* in a row without progress */
    /* The kernel is asked for nothing but to call back; then this is what the effect came to. */
    bool decided;
    enum mkv_io_result decision;
    uint64_t serial; /* see drive_uring.last_serial; 0: it was not held */
    uint64_t submitted_ns;
    uint64_t issued_ns; /* to the kernel, the first time; 0 until that has come back */
    struct operation *next_free;
};

/* Writes side by side that are with the kernel as one. */
struct merged {
    struct mkv_ring_completion completion;
    struct drive_uring *drive;
    struct merged *next_free;
    uint32_t count;
    uint32_t bytes;
    uint64_t serial;
    struct operation *operations[MKV_DRIVE_URING_MERGED_MAX];
    struct iovec iovecs[MKV_DRIVE_URING_MERGED_MAX];
};

struct drive_uring {
    struct mkv_drive base;
    struct mkv_drive_uring_options options;
    struct mkv_drive_media media;
    int32_t file_place;
    struct operation *operations;
    struct operation *free_operations;
    struct mkv_drive_queue *queue;
    /* The next look at what takes too long: when, and whether it was asked for. */
    struct mkv_ring_completion look;
    uint64_t look_ns;
    uint64_t looked_ns; /* the last one; 0: there was none */
    bool looking;
    uint32_t answered_count;   /* operations that are answered, and the kernel has */
    uint32_t cancelling_count; /* … and that it has been asked for back, and not said anything */
    /* Writes that wait for the ring to be submitted, at most queue_depth. */
    struct mkv_ring_hook hook;
    struct operation **held;
    uint32_t held_count;
    bool holds_commits;    /* among them */
    bool stores_are_large; /* the last one was */
    /* The write, of those that were held, that went to the kernel last: its number, where it ends,
     * and whether it is still there. */
    uint64_t last_serial;
    uint64_t last_end;
    bool last_in_flight;
    struct merged *merged;
    struct merged *free_merged;
    struct mkv_drive_room *room; /* NULL: none is allocated ahead */
    /* Room is wanted or asked for: nothing but loads starts, and it is asked for when none of the
     * writes that were started is left. */
    bool makes_room;
    uint32_t writes_started;
    struct mkv_drive_trim *trim; /* NULL: takes none */
    /* The one that is in flight. */
    struct {
        struct mkv_op_id op;
        uint64_t byte_count;
        uint64_t submitted_ns;
    } trimming;
    /* Of the completion that is being reported. */
    uint64_t sums[MKV_CHUNKS_MAX];
};

static inline uint64_t operation_offset(const struct operation *operation) {
    return operation->effect.lba.unit * MKV_UNIT_BYTES;
}

/* ---- drive_uring.c -------------------------------------------------------------------------- */

/* What entries have as their file. */
int mkv_drive_uring_fd(const struct drive_uring *drive, bool *registered);
/* Before a write is given to the ring. */
void mkv_drive_uring_look_for_room(struct drive_uring *drive, uint64_t offset, uint64_t byte_count);
/* Gives the ring the transfer, the flush, or nothing but a call back. */
void mkv_drive_uring_issue(struct operation *operation);
void mkv_drive_uring_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);
/* The kernel has nothing of it any more. */
void mkv_drive_uring_operation_free(struct operation *operation);
/* What an error of an operation means; it is noted for the drive, too. `error_number` 0: nothing
 * more was moved. */
enum mkv_io_result mkv_drive_uring_judge(const struct operation *operation, int error_number);
/* Says what an effect came to. `device_ns`: how long the medium took; 0: it was not asked. */
void mkv_drive_uring_answer(struct drive_uring *drive, const struct operation *operation,
                            struct mkv_drive_done *done, uint64_t device_ns);
void mkv_drive_uring_show_waiting(struct drive_uring *drive);

/* ---- drive_uring_merge.c -------------------------------------------------------------------- */

/* Gives the ring what is held, as few writes as that can be. */
void mkv_drive_uring_issue_held(struct drive_uring *drive);
void mkv_drive_uring_merged_done(struct mkv_ring_completion *completion, int32_t result,
                                 uint32_t flags);
/* Takes one out that is held. */
void mkv_drive_uring_let_fall(struct operation *operation);
/* The write of this number is not under way any more. */
void mkv_drive_uring_last_ended(struct drive_uring *drive, uint64_t serial);

/* ---- drive_uring_late.c --------------------------------------------------------------------- */

/* Has the ring call for a look, now and then while there is something to look at. */
void mkv_drive_uring_ask_for_look(struct drive_uring *drive);
void mkv_drive_uring_look_done(struct mkv_ring_completion *completion, int32_t result,
                               uint32_t flags);
/* What the kernel says to the request to give an operation back. */
void mkv_drive_uring_cancel_done(struct mkv_ring_completion *completion, int32_t result,
                                 uint32_t flags);

#endif
