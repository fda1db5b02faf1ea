/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_uring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/drive_room.h"
#include "backends/drive_trim.h"

/* The longest single transfer; the kernel takes up to 2 GiB less a page. */
#define TRANSFER_UNITS_MAX 65536u

_Static_assert((uint64_t)TRANSFER_UNITS_MAX *MKV_UNIT_BYTES < (1ull << 31), "one entry moves it");
_Static_assert(MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES + 1 <= TRANSFER_UNITS_MAX, "so is every slot");

/* One effect with the kernel. */
struct operation {
    struct mkv_ring_completion completion;
    struct drive_uring *drive;
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

struct waiting {
    struct mkv_effect effect;
    uint64_t submitted_ns;
};

struct drive_uring {
    struct mkv_drive base;
    struct mkv_drive_uring_options options;
    struct mkv_drive_media media;
    int32_t file_place;
    struct operation *operations;
    struct operation *free_operations;
    /* A ring buffer of waiting_max places. */
    struct waiting *waiting;
    uint32_t waiting_head;
    uint32_t waiting_count;
    /* Writes that wait for the ring to be submitted, at most queue_depth. */
    struct mkv_ring_hook hook;
    struct operation **held;
    uint32_t held_count;
    /* The write, of those that were held, that went to the kernel last: its number, where it ends,
     * and whether it is still there. */
    uint64_t last_serial;
    uint64_t last_end;
    bool last_in_flight;
    struct merged *merged;
    struct merged *free_merged;
    struct mkv_drive_room *room; /* NULL: none is allocated ahead */
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

static void operation_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);

static struct drive_uring *drive_of(struct mkv_drive *drive) {
    return (struct drive_uring *)drive;
}

/* ---- one operation -------------------------------------------------------------------------- */

/* Where the units of a transfer lie in memory. */
static void operation_locate(struct operation *operation) {
    const struct drive_uring *drive = operation->drive;
    const struct mkv_drive_effect *effect = &operation->effect;
    MKV_ASSERT(effect->unit_count >= 1);
    MKV_ASSERT(effect->unit_count <= TRANSFER_UNITS_MAX);
    operation->bytes = effect->unit_count * MKV_UNIT_BYTES;
    if (effect->memory == MKV_DRIVE_META) {
        MKV_ASSERT(effect->meta_offset % MKV_UNIT_BYTES == 0);
        MKV_ASSERT(effect->meta_offset <= drive->options.meta_bytes);
        MKV_ASSERT(operation->bytes <= drive->options.meta_bytes - effect->meta_offset);
        operation->slab = NULL;
        operation->memory = drive->options.meta + effect->meta_offset;
        return;
    }
    bool with_header = effect->memory == MKV_DRIVE_SLOT;
    MKV_ASSERT(with_header || effect->memory == MKV_DRIVE_PAYLOAD);
    MKV_ASSERT(with_header || operation->kind == MKV_DRIVE_OP_READ);
    uint32_t skipped_bytes = with_header ? 0 : MKV_UNIT_BYTES;
    uint32_t stride_units = (uint32_t)mkv_divide_up_u64((uint64_t)skipped_bytes + operation->bytes,
                                                        MKV_SLAB_UNIT_STRIDE_BYTES);
    struct mkv_slab last = {effect->slab.index + stride_units - 1};
    operation->slab = mkv_arena_slab(drive->options.arena, effect->slab);
    MKV_ASSERT(mkv_arena_slab(drive->options.arena, last) >= operation->slab);
    operation->memory = operation->slab + skipped_bytes;
}

/* Prepares what is left to move. */
static void prepare_transfer(const struct operation *operation, struct io_uring_sqe *sqe, int fd) {
    uint8_t *memory = operation->memory + operation->moved;
    uint32_t bytes = operation->bytes - operation->moved;
    uint64_t offset = operation->effect.lba.unit * MKV_UNIT_BYTES + operation->moved;
    bool fixed = operation->place != MKV_RING_NOT_REGISTERED;
    MKV_ASSERT(bytes > 0);
    if (operation->kind == MKV_DRIVE_OP_WRITE) {
        if (fixed) {
            io_uring_prep_write_fixed(sqe, fd, memory, bytes, offset, operation->place);
        } else {
            io_uring_prep_write(sqe, fd, memory, bytes, offset);
        }
    } else if (fixed) {
        io_uring_prep_read_fixed(sqe, fd, memory, bytes, offset, operation->place);
    } else {
        io_uring_prep_read(sqe, fd, memory, bytes, offset);
    }
}

/* What entries have as their file. */
static int drive_fd(const struct drive_uring *drive, bool *registered) {
    *registered = drive->file_place != MKV_RING_NOT_REGISTERED;
    return *registered ? drive->file_place : drive->media.fd;
}

static uint64_t operation_offset(const struct operation *operation) {
    return operation->effect.lba.unit * MKV_UNIT_BYTES;
}

/* Before a write is given to the ring. */
static void make_room(const struct drive_uring *drive, uint64_t offset, uint64_t byte_count) {
    bool registered;
    const int fd = drive_fd(drive, &registered);
    if (drive->room != NULL) {
        mkv_drive_room_write(drive->room, fd, registered, offset, byte_count);
    }
}

/* Gives the ring the transfer, the flush, or nothing but a call back. */
static void operation_issue(struct operation *operation) {
    const struct drive_uring *drive = operation->drive;
    if (operation->kind == MKV_DRIVE_OP_WRITE) {
        make_room(drive, operation_offset(operation), operation->bytes);
    }
    struct io_uring_sqe *sqe = mkv_ring_sqe(drive->options.ring, &operation->completion);
    if (operation->decided) {
        io_uring_prep_nop(sqe);
        return;
    }
    bool registered;
    const int fd = drive_fd(drive, &registered);
    if (operation->kind == MKV_DRIVE_OP_FLUSH) {
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    } else {
        prepare_transfer(operation, sqe, fd);
    }
    if (registered) {
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    }
}

/* ---- writes side by side -------------------------------------------------------------------- */

/* A write that was held goes to the kernel; its number. */
static uint64_t last_begin(struct drive_uring *drive, uint64_t end) {
    drive->last_serial++;
    drive->last_end = end;
    drive->last_in_flight = true;
    return drive->last_serial;
}

static void last_ended(struct drive_uring *drive, uint64_t serial) {
    if (serial == drive->last_serial) {
        drive->last_in_flight = false;
    }
}

static void merged_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct merged *merged = (struct merged *)completion;
    struct drive_uring *drive = merged->drive;
    (void)flags;
    last_ended(drive, merged->serial);
    struct operation *operations[MKV_DRIVE_URING_MERGED_MAX];
    const uint32_t count = merged->count;
    const bool is_whole = result == (int32_t)merged->bytes;
    for (uint32_t i = 0; i < count; i++) {
        operations[i] = merged->operations[i];
        operations[i]->completion.submitted_ns = completion->submitted_ns;
        operations[i]->completion.arrived_ns = completion->arrived_ns;
    }
    merged->next_free = drive->free_merged;
    drive->free_merged = merged;
    for (uint32_t i = 0; i < count; i++) {
        if (is_whole) {
            operation_done(&operations[i]->completion, (int32_t)operations[i]->bytes, 0);
        } else { /* I5 */
            operations[i]->issued_ns = operations[i]->completion.submitted_ns;
            mkv_drive_counter_add(&drive->base.counters.continued, 1);
            operation_issue(operations[i]);
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
        merged->iovecs[i] = (struct iovec){operations[i]->memory, operations[i]->bytes};
    }
    const uint64_t offset = operation_offset(operations[0]);
    merged->serial = last_begin(drive, offset + bytes);
    make_room(drive, offset, bytes);
    struct io_uring_sqe *sqe = mkv_ring_sqe(drive->options.ring, &merged->completion);
    bool registered;
    const int fd = drive_fd(drive, &registered);
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

/* Gives the ring what is held, as few writes as that can be. */
static void issue_held(struct mkv_ring_hook *hook) {
    struct drive_uring *drive =
        (struct drive_uring *)((char *)hook - offsetof(struct drive_uring, hook));
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
            run[0]->serial = last_begin(drive, operation_offset(run[0]) + bytes);
            operation_issue(run[0]);
        } else {
            merged_issue(drive, run, run_count, bytes);
        }
    }
    drive->held_count = kept;
}

/* ---- effects -------------------------------------------------------------------------------- */

static void operation_decide(struct operation *operation, enum mkv_io_result decision) {
    operation->decided = true;
    operation->decision = decision;
}

/* Takes an operation from the pool for an effect and gives it to the ring. */
static void operation_start(struct drive_uring *drive, const struct mkv_effect *effect,
                            uint64_t submitted_ns) {
    struct operation *operation = drive->free_operations;
    MKV_ASSERT(operation != NULL);
    drive->free_operations = operation->next_free;
    *operation = (struct operation){
        .completion = {.done = operation_done},
        .drive = drive,
        .op = effect->op,
        .kind = mkv_drive_operation_of(effect),
        .effect = effect->drive,
        .place = MKV_RING_NOT_REGISTERED,
        .submitted_ns = submitted_ns,
    };
    if (operation->kind == MKV_DRIVE_OP_FLUSH) {
        if (!drive->media.flush_needed) {
            mkv_drive_counter_add(&drive->base.counters.flushes_skipped, 1);
            operation_decide(operation, MKV_IO_OK);
        }
        operation_issue(operation);
        return;
    }
    operation_locate(operation);
    uint64_t capacity_units = drive->base.capacity_units;
    bool inside = effect->drive.lba.unit <= capacity_units &&
                  effect->drive.unit_count <= capacity_units - effect->drive.lba.unit;
    if (operation->kind == MKV_DRIVE_OP_WRITE) {
        MKV_ASSERT(inside); /* I3 */
        if (effect->drive.memory == MKV_DRIVE_SLOT) {
            MKV_ASSERT(effect->drive.meta_offset <= drive->options.meta_bytes);
            MKV_ASSERT(MKV_UNIT_BYTES <= drive->options.meta_bytes - effect->drive.meta_offset);
            mkv_drive_prepare_slot_write(
                &effect->drive, drive->options.meta + effect->drive.meta_offset, operation->slab);
        }
    } else if (!inside) {
        operation_decide(operation, MKV_IO_DEVICE); /* I3 */
    }
    if (drive->options.buffers != NULL) {
        operation->place =
            mkv_arena_buffers_find(drive->options.buffers, operation->memory, operation->bytes);
    }
    if (operation->kind == MKV_DRIVE_OP_WRITE &&
        operation->bytes <= MKV_DRIVE_URING_HELD_BYTES_MAX) {
        MKV_ASSERT(drive->held_count < drive->options.queue_depth); /* each is of the pool */
        drive->held[drive->held_count] = operation;
        drive->held_count++;
        return;
    }
    operation_issue(operation);
}

static void start_waiting(struct drive_uring *drive) {
    while (drive->waiting_count > 0 && drive->free_operations != NULL) {
        const struct waiting *first = &drive->waiting[drive->waiting_head];
        operation_start(drive, &first->effect, first->submitted_ns);
        drive->waiting_head = (drive->waiting_head + 1) % drive->options.waiting_max;
        drive->waiting_count--;
        __atomic_store_n(&drive->base.counters.waiting, drive->waiting_count, __ATOMIC_RELAXED);
    }
}

/* ---- completion ----------------------------------------------------------------------------- */

/* What an operation came to, or false when it was taken up again. */
static bool operation_finished(struct operation *operation, int32_t result,
                               enum mkv_io_result *verdict) {
    *verdict = MKV_IO_OK;
    if (operation->decided) {
        *verdict = operation->decision;
        return true;
    }
    if (operation->kind == MKV_DRIVE_OP_FLUSH) {
        /* Never tried again, whatever the error: the kernel reports a lost write once, and a second
         * flush would succeed without it. */
        *verdict = result < 0 ? mkv_drive_result_of_errno(-result) : MKV_IO_OK;
        return true;
    }
    uint32_t left = operation->bytes - operation->moved;
    if (result >= 0) {
        MKV_ASSERT((uint32_t)result <= left);
        if ((uint32_t)result == left) {
            operation->moved = operation->bytes;
            return true;
        }
        /* A unit that was moved in part is moved again: O_DIRECT wants aligned addresses. */
        uint32_t units_bytes = (uint32_t)result / MKV_UNIT_BYTES * MKV_UNIT_BYTES;
        operation->moved += units_bytes;
        operation->tries = units_bytes > 0 ? 0 : operation->tries + 1;
    } else if (result == -EINTR || result == -EAGAIN || result == -ENOMEM) {
        operation->tries++;
    } else {
        *verdict = mkv_drive_result_of_errno(-result);
        return true;
    }
    /* I2. A read at the end of a file that has shrunk ends here, too. */
    if (operation->tries == MKV_DRIVE_URING_TRIES_MAX) {
        *verdict = MKV_IO_DEVICE;
        return true;
    }
    mkv_drive_counter_add(&operation->drive->base.counters.continued, 1);
    operation_issue(operation);
    return false;
}

static void operation_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct operation *operation = (struct operation *)completion;
    struct drive_uring *drive = operation->drive;
    struct mkv_drive_done done = {.op = operation->op};
    MKV_ASSERT((flags & IORING_CQE_F_MORE) == 0);
    last_ended(drive, operation->serial);
    operation->issued_ns =
        operation->issued_ns != 0 ? operation->issued_ns : completion->submitted_ns;
    if (!operation_finished(operation, result, &done.result)) {
        return;
    }
    struct operation finished = *operation;
    operation->next_free = drive->free_operations;
    drive->free_operations = operation;
    start_waiting(drive);
    if (done.result == MKV_IO_OK && finished.kind == MKV_DRIVE_OP_READ) {
        mkv_drive_finish_read(&finished.effect, finished.memory, drive->sums, &done);
    }
    const uint64_t device_ns = finished.completion.arrived_ns - finished.issued_ns;
    const struct mkv_drive_times times = {
        .submitted_ns = finished.submitted_ns,
        .device_ns = finished.decided ? 0 : mkv_max_u64(device_ns, 1),
        .now_ns = mkv_clock_monotonic_ns(),
    };
    mkv_drive_count_completed(&drive->base, finished.kind, done.result, finished.bytes, &times);
    drive->base.complete(drive->base.complete_context, &done);
}

/* ---- trims ---------------------------------------------------------------------------------- */

static void trim_start(struct drive_uring *drive, const struct mkv_effect *effect) {
    const uint64_t capacity_units = drive->base.capacity_units;
    const uint32_t unit_count = effect->drive.unit_count;
    MKV_ASSERT(drive->trim != NULL); /* I4 */
    MKV_ASSERT(unit_count >= 1);
    MKV_ASSERT(effect->drive.lba.unit < capacity_units);
    MKV_ASSERT(unit_count <= capacity_units - effect->drive.lba.unit);
    drive->trimming.op = effect->op;
    drive->trimming.byte_count = (uint64_t)unit_count * MKV_UNIT_BYTES;
    drive->trimming.submitted_ns = mkv_clock_monotonic_ns();
    mkv_drive_trim_start(drive->trim, effect->drive.lba.unit * MKV_UNIT_BYTES,
                         drive->trimming.byte_count);
}

static void trim_done(void *context, int error_number, uint64_t device_ns) {
    struct drive_uring *drive = context;
    const struct mkv_drive_done done = {
        .op = drive->trimming.op,
        .result = error_number == 0 ? MKV_IO_OK : mkv_drive_result_of_errno(error_number),
    };
    const struct mkv_drive_times times = {
        .submitted_ns = drive->trimming.submitted_ns,
        .device_ns = device_ns,
        .now_ns = mkv_clock_monotonic_ns(),
    };
    mkv_drive_count_completed(&drive->base, MKV_DRIVE_OP_TRIM, done.result,
                              drive->trimming.byte_count, &times);
    drive->base.complete(drive->base.complete_context, &done);
}

/* ---- the ops struct ------------------------------------------------------------------------- */

static void drive_submit(struct mkv_drive *base, const struct mkv_effect *effect) {
    struct drive_uring *drive = drive_of(base);
    uint64_t now_ns = mkv_clock_monotonic_ns();
    mkv_drive_count_submitted(base, mkv_drive_operation_of(effect), now_ns);
    if (effect->kind == MKV_EFFECT_DRIVE_TRIM) {
        trim_start(drive, effect);
        return;
    }
    if (drive->waiting_count == 0 && drive->free_operations != NULL) {
        operation_start(drive, effect, now_ns);
        return;
    }
    MKV_ASSERT(drive->waiting_count < drive->options.waiting_max); /* I1 */
    uint32_t last = (drive->waiting_head + drive->waiting_count) % drive->options.waiting_max;
    drive->waiting[last] = (struct waiting){*effect, now_ns};
    drive->waiting_count++;
    __atomic_store_n(&base->counters.waiting, drive->waiting_count, __ATOMIC_RELAXED);
}

static uint32_t drive_in_flight(const struct mkv_drive *base) {
    const struct drive_uring *drive = (const struct drive_uring *)base;
    return (uint32_t)base->counters.in_flight + mkv_drive_room_in_flight(drive->room);
}

static void drive_free(struct drive_uring *drive) {
    mkv_drive_trim_close(drive->trim);
    mkv_drive_media_close(&drive->media);
    mkv_drive_room_free(drive->room);
    free(drive->held);
    free(drive->merged);
    free(drive->operations);
    free(drive->waiting);
    free(drive);
}

static void drive_close(struct mkv_drive *base) {
    struct drive_uring *drive = drive_of(base);
    MKV_ASSERT(drive_in_flight(base) == 0);
    mkv_ring_hook_remove(drive->options.ring, &drive->hook);
    mkv_ring_file_remove(drive->options.ring, drive->file_place);
    drive_free(drive);
}

static const struct mkv_drive_ops drive_uring_ops = {
    .submit = drive_submit,
    .in_flight = drive_in_flight,
    .close = drive_close,
};

bool mkv_drive_uring_create(const struct mkv_drive_uring_options *options,
                            const struct mkv_drive_media *media, struct mkv_drive **drive_out,
                            struct mkv_backend_error *error) {
    MKV_ASSERT(options->ring != NULL);
    MKV_ASSERT(options->waiting_max > 0);
    MKV_ASSERT((uintptr_t)options->meta % MKV_UNIT_BYTES == 0);
    struct drive_uring *drive = calloc(1, sizeof *drive);
    if (drive == NULL) {
        struct mkv_drive_media released = *media;
        mkv_drive_media_close(&released);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the operations of a drive. Free memory on this "
                                  "machine");
    }
    drive->base.ops = &drive_uring_ops;
    drive->base.capacity_units = media->capacity_units;
    drive->options = *options;
    if (options->queue_depth == 0) {
        drive->options.queue_depth = MKV_DRIVE_URING_DEPTH_DEFAULT;
    }
    drive->media = *media;
    uint32_t depth = drive->options.queue_depth;
    drive->operations = calloc(depth, sizeof *drive->operations);
    drive->waiting = calloc(options->waiting_max, sizeof *drive->waiting);
    drive->held = calloc(depth, sizeof(struct operation *));
    drive->merged = calloc(depth / 2 + 1, sizeof *drive->merged);
    if (drive->operations == NULL || drive->waiting == NULL || drive->held == NULL ||
        drive->merged == NULL) {
        drive_free(drive);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the %" PRIu32 " operations of a drive. Free "
                                  "memory on this machine",
                                  depth + options->waiting_max);
    }
    const struct mkv_drive_trim_options trim_options = {
        .ring = options->ring,
        .fd = media->fd,
        .block_device = media->block_device,
        .done = trim_done,
        .context = drive,
    };
    MKV_ASSERT(!options->trim || media->trim_supported);
    if (options->trim && !mkv_drive_trim_create(&trim_options, &drive->trim, error)) {
        drive_free(drive);
        return false;
    }
    for (uint32_t i = depth; i-- > 0;) {
        drive->operations[i].next_free = drive->free_operations;
        drive->free_operations = &drive->operations[i];
    }
    for (uint32_t i = depth / 2 + 1; i-- > 0;) {
        drive->merged[i].completion.done = merged_done;
        drive->merged[i].drive = drive;
        drive->merged[i].next_free = drive->free_merged;
        drive->free_merged = &drive->merged[i];
    }
    /* Room that is given back is not to be taken again before it is needed. */
    if (!media->block_device && !options->trim) {
        drive->room = mkv_drive_room_create(options->ring, media->capacity_units * MKV_UNIT_BYTES);
    }
    drive->file_place = mkv_ring_file_add(options->ring, media->fd);
    drive->hook.before = issue_held;
    mkv_ring_hook_add(options->ring, &drive->hook);
    *drive_out = &drive->base;
    return true;
}
