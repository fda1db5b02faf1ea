/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes side by side on the drive, and such that go on where another ends, go to the kernel as
 * one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/drive_uring_internal.h"

/* A write that was held goes to the kernel; its number. */
static uint64_t last_begin(struct drive_uring *drive, uint64_t end) {
    drive->last_serial++;
    drive->last_end = end;
    drive->last_in_flight = true;
    return drive->last_serial;
}

void mkv_drive_uring_last_ended(struct drive_uring *drive, uint64_t serial) {
    if (serial == drive->last_serial) {
        drive->last_in_flight = false;
    }
}

void mkv_drive_uring_merged_done(struct mkv_ring_completion *completion, int32_t result,
                                 uint32_t flags) {
    struct merged *merged = (struct merged *)completion;
    struct drive_uring *drive = merged->drive;
    (void)flags;
    mkv_drive_uring_last_ended(drive, merged->serial);
    struct operation *operations[MKV_DRIVE_URING_MERGED_MAX];
    const uint32_t count = merged->count;
    const bool is_whole = result == (int32_t)merged->bytes;
    for (uint32_t i = 0; i < count; i++) {
        operations[i] = merged->operations[i];
        operations[i]->merged = NULL;
        operations[i]->completion.submitted_ns = completion->submitted_ns;
        operations[i]->completion.arrived_ns = completion->arrived_ns;
    }
    merged->next_free = drive->free_merged;
    drive->free_merged = merged;
    for (uint32_t i = 0; i < count; i++) {
        if (is_whole || operations[i]->was_cancelled) {
            const int32_t own = is_whole ? (int32_t)operations[i]->bytes : -ECANCELED;
            mkv_drive_uring_done(&operations[i]->completion, own, 0);
        } else { /* I5 */
            operations[i]->issued_ns = operations[i]->completion.submitted_ns;
            mkv_drive_counter_add(&drive->base.counters.continued, 1);
            mkv_drive_uring_issue(operations[i]);
        }
    }
}

static void merged_issue(struct drive_uring *drive, struct operation *const *operations,
                         uint32_t count, uint32_t bytes) {
    struct merged *merged = drive->free_merged;
    MKV_ASSERT(merged != NULL); /* each has two operations or more */
    drive->free_merged = merged->next_free;
    merged->count = count;
    merged->bytes = bytes;
    for (uint32_t i = 0; i < count; i++) {
        merged->operations[i] = operations[i];
        operations[i]->is_held = false;
        operations[i]->merged = merged;
        merged->iovecs[i] = (struct iovec){operations[i]->memory, operations[i]->bytes};
    }
    const uint64_t offset = operation_offset(operations[0]);
    merged->serial = last_begin(drive, offset + bytes);
    mkv_drive_uring_look_for_room(drive, offset, bytes);
    struct io_uring_sqe *sqe = mkv_ring_sqe(drive->options.ring, &merged->completion);
    bool registered;
    const int fd = mkv_drive_uring_fd(drive, &registered);
    io_uring_prep_writev(sqe, fd, merged->iovecs, count, offset);
    if (registered) {
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    }
}

/* By their places on the drive. */
static int compare_places(const void *a, const void *b) {
    const uint64_t x = (*(struct operation *const *)a)->effect.lba.unit;
    const uint64_t y = (*(struct operation *const *)b)->effect.lba.unit;
    return x < y ? -1 : x > y;
}

/* How many of the first of `count` held writes go as one. */
static uint32_t run_of(struct operation *const *held, uint32_t count, uint32_t *bytes) {
    uint32_t end = 1;
    *bytes = held[0]->bytes;
    while (end < count && end < MKV_DRIVE_URING_MERGED_MAX) {
        const struct operation *next = held[end];
        if (operation_offset(next) != operation_offset(held[0]) + *bytes ||
            *bytes + next->bytes > MKV_DRIVE_URING_MERGED_BYTES_MAX) {
            break;
        }
        *bytes += next->bytes;
        end++;
    }
    return end;
}

/* Whether a run goes on where the last one ends, which is still under way, and has room for more:
 * until that one is done, or this one is full, others may join it. Not the journal's: whoever waits
 * for that has waited for the slot's write already. */
static bool is_held_on(const struct drive_uring *drive, const struct operation *first,
                       uint32_t count, uint32_t bytes) {
    return drive->last_in_flight && first->effect.memory == MKV_DRIVE_SLOT &&
           operation_offset(first) == drive->last_end && count < MKV_DRIVE_URING_MERGED_MAX &&
           bytes + MKV_DRIVE_URING_HELD_BYTES_MAX <= MKV_DRIVE_URING_MERGED_BYTES_MAX;
}

void mkv_drive_uring_let_fall(struct operation *operation) {
    struct drive_uring *drive = operation->drive;
    MKV_ASSERT(operation->is_held);
    uint32_t kept = 0;
    for (uint32_t index = 0; index < drive->held_count; index++) {
        if (drive->held[index] != operation) {
            drive->held[kept++] = drive->held[index];
        }
    }
    MKV_ASSERT(kept + 1 == drive->held_count);
    drive->held_count = kept;
    operation->is_held = false;
}

void mkv_drive_uring_issue_held(struct drive_uring *drive) {
    const uint32_t count = drive->held_count;
    if (count > 1) {
        qsort(drive->held, count, sizeof drive->held[0], compare_places);
    }
    uint32_t kept = 0;
    uint32_t run_count;
    for (uint32_t first = 0; first < count; first += run_count) {
        struct operation *const *run = drive->held + first;
        uint32_t bytes;
        run_count = run_of(run, count - first, &bytes);
        if (is_held_on(drive, run[0], run_count, bytes)) {
            memmove(drive->held + kept, run, run_count * sizeof(struct operation *));
            kept += run_count;
        } else if (run_count == 1) {
            run[0]->is_held = false;
            run[0]->serial = last_begin(drive, operation_offset(run[0]) + bytes);
            mkv_drive_uring_issue(run[0]);
        } else {
            merged_issue(drive, run, run_count, bytes);
        }
    }
    drive->held_count = kept;
    drive->holds_commits = false; /* those are never kept */
}
