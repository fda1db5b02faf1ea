/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_uring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/drive_uring_internal.h"

/* The longest single transfer; the kernel takes up to 2 GiB less a page. */
#define TRANSFER_UNITS_MAX 65536u

_Static_assert((uint64_t)TRANSFER_UNITS_MAX *MKV_UNIT_BYTES < (1ull << 31), "one entry moves it");
_Static_assert(MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES + 1 <= TRANSFER_UNITS_MAX, "so is every slot");

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

int mkv_drive_uring_fd(const struct drive_uring *drive, bool *registered) {
    *registered = drive->file_place != MKV_RING_NOT_REGISTERED;
    return *registered ? drive->file_place : drive->media.fd;
}

void mkv_drive_uring_look_for_room(struct drive_uring *drive, uint64_t offset,
                                   uint64_t byte_count) {
    const uint64_t unit = offset / MKV_UNIT_BYTES;
    const struct mkv_drive_uring_options *options = &drive->options;
    if (options->room_end_unit != 0 &&
        (unit < options->room_first_unit || unit >= options->room_end_unit)) {
        return;
    }
    if (drive->room != NULL && mkv_drive_room_write(drive->room, offset, byte_count)) {
        drive->makes_room = true;
        mkv_drive_queue_pause(drive->queue, true);
    }
}

void mkv_drive_uring_issue(struct operation *operation) {
    struct drive_uring *drive = operation->drive;
    if (operation->kind == MKV_DRIVE_OP_WRITE) {
        mkv_drive_uring_look_for_room(drive, operation_offset(operation), operation->bytes);
    }
    struct io_uring_sqe *sqe = mkv_ring_sqe(drive->options.ring, &operation->completion);
    if (operation->decided) {
        io_uring_prep_nop(sqe);
        return;
    }
    bool registered;
    const int fd = mkv_drive_uring_fd(drive, &registered);
    if (operation->kind == MKV_DRIVE_OP_FLUSH) {
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    } else {
        prepare_transfer(operation, sqe, fd);
    }
    if (registered) {
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    }
}

/* ---- effects -------------------------------------------------------------------------------- */

static void operation_decide(struct operation *operation, enum mkv_io_result decision) {
    operation->decided = true;
    operation->decision = decision;
}

/* A large store goes to the kernel at once, before the shard goes on to what takes it long, such as
 * copying the bytes of the next one: the device would do nothing meanwhile. So does what large ones
 * wait for, a flush or a commit. Small ones take the shard no long time, and go together at the end
 * of its round: those that lie side by side in one write. */
static void hurry(struct drive_uring *drive, const struct operation *operation) {
    const bool is_write = operation->kind == MKV_DRIVE_OP_WRITE;
    if (is_write && operation->effect.share == MKV_DRIVE_FOR_STORE) {
        drive->stores_are_large = operation->bytes > MKV_DRIVE_URING_HELD_BYTES_MAX;
    } else if (operation->kind != MKV_DRIVE_OP_FLUSH &&
               operation->effect.share != MKV_DRIVE_FOR_COMMIT) {
        return;
    }
    if (drive->stores_are_large) {
        mkv_ring_hurry(drive->options.ring);
    }
}

/* Takes an operation from the pool for an effect whose turn it is, and gives it to the ring. */
static void operation_start(struct drive_uring *drive, const struct mkv_effect *effect,
                            uint64_t submitted_ns) {
    struct operation *operation = drive->free_operations;
    MKV_ASSERT(operation != NULL);
    drive->free_operations = operation->next_free;
    *operation = (struct operation){
        .completion = {.done = mkv_drive_uring_done},
        .cancelled = {.done = mkv_drive_uring_cancel_done},
        .drive = drive,
        .in_use = true,
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
        mkv_drive_uring_issue(operation);
        hurry(drive, operation);
        return;
    }
    drive->writes_started += operation->kind == MKV_DRIVE_OP_WRITE;
    operation_locate(operation);
    hurry(drive, operation);
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
        operation->is_held = true;
        drive->held[drive->held_count] = operation;
        drive->held_count++;
        drive->holds_commits |= operation->effect.share == MKV_DRIVE_FOR_COMMIT;
        return;
    }
    if (drive->holds_commits && operation->kind == MKV_DRIVE_OP_WRITE) {
        /* All puts wait for these, and what the device gets first it does first. */
        mkv_drive_uring_issue_held(drive);
    }
    mkv_drive_uring_issue(operation);
}

void mkv_drive_uring_show_waiting(struct drive_uring *drive) {
    __atomic_store_n(&drive->base.counters.waiting, mkv_drive_queue_waiting(drive->queue),
                     __ATOMIC_RELAXED);
}

static void start_waiting(struct drive_uring *drive, uint64_t now_ns) {
    const struct mkv_drive_waiting *next;
    while ((next = mkv_drive_queue_start(drive->queue, now_ns)) != NULL) {
        operation_start(drive, &next->effect, next->submitted_ns);
    }
    mkv_drive_uring_show_waiting(drive);
}

/* ---- completion ----------------------------------------------------------------------------- */

static bool was_interrupted(int32_t result) {
    return result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

enum mkv_io_result mkv_drive_uring_judge(const struct operation *operation, int error_number) {
    const struct mkv_drive_effect *effect = &operation->effect;
    const bool is_flush = operation->kind == MKV_DRIVE_OP_FLUSH;
    return mkv_drive_judge_error(&operation->drive->base, &operation->drive->media, operation->kind,
                                 error_number,
                                 is_flush ? 0 : effect->lba.unit + effect->unit_count);
}

/* What an operation came to, or false when it was taken up again. */
static bool operation_finished(struct operation *operation, int32_t result,
                               enum mkv_io_result *verdict) {
    *verdict = MKV_IO_OK;
    if (operation->decided) {
        *verdict = operation->decision;
        return true;
    }
    if (operation->was_cancelled && was_interrupted(result)) {
        *verdict = MKV_IO_TIMEOUT;
        return true;
    }
    if (operation->kind == MKV_DRIVE_OP_FLUSH) {
        /* Never tried again, whatever the error: the kernel reports a lost write once, and a second
         * flush would succeed without it. */
        *verdict = result < 0 ? mkv_drive_uring_judge(operation, -result) : MKV_IO_OK;
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
        *verdict = mkv_drive_uring_judge(operation, -result);
        return true;
    }
    /* I2. A read at the end of a file that has shrunk ends here, too; and what is answered. */
    if (operation->tries == MKV_DRIVE_URING_TRIES_MAX || operation->answered) {
        *verdict = mkv_drive_uring_judge(operation, result < 0 ? -result : 0);
        return true;
    }
    mkv_drive_counter_add(&operation->drive->base.counters.continued, 1);
    mkv_drive_uring_issue(operation);
    return false;
}

static void room_answered(void *context) {
    struct drive_uring *drive = context;
    drive->makes_room = false;
    mkv_drive_queue_pause(drive->queue, false);
    start_waiting(drive, mkv_clock_monotonic_ns());
}

/* Once all writes are done that were under way: allocating would wait for them, and keep loads
 * waiting all that time. */
static void make_room(struct drive_uring *drive) {
    if (drive->makes_room && drive->writes_started == 0 &&
        mkv_drive_room_in_flight(drive->room) == 0) {
        bool registered;
        const int fd = mkv_drive_uring_fd(drive, &registered);
        mkv_drive_room_ask(drive->room, fd, registered, room_answered, drive);
    }
}

void mkv_drive_uring_operation_free(struct operation *operation) {
    struct drive_uring *drive = operation->drive;
    MKV_ASSERT(operation->in_use);
    operation->in_use = false;
    drive->writes_started -= operation->kind == MKV_DRIVE_OP_WRITE;
    make_room(drive);
    operation->next_free = drive->free_operations;
    drive->free_operations = operation;
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    mkv_drive_queue_ended(drive->queue, &operation->effect, now_ns);
    start_waiting(drive, now_ns);
}

void mkv_drive_uring_answer(struct drive_uring *drive, const struct operation *operation,
                            struct mkv_drive_done *done, uint64_t device_ns) {
    const struct mkv_drive_times times = {
        .submitted_ns = operation->submitted_ns,
        .device_ns = device_ns,
        .now_ns = mkv_clock_monotonic_ns(),
    };
    done->op = operation->op;
    mkv_drive_count_completed(&drive->base, operation->kind, done->result, operation->bytes,
                              &times);
    drive->base.complete(drive->base.complete_context, done);
}

void mkv_drive_uring_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct operation *operation = (struct operation *)completion;
    struct drive_uring *drive = operation->drive;
    struct mkv_drive_done done = {.result = MKV_IO_OK};
    MKV_ASSERT((flags & IORING_CQE_F_MORE) == 0);
    mkv_drive_uring_last_ended(drive, operation->serial);
    operation->issued_ns =
        operation->issued_ns != 0 ? operation->issued_ns : completion->submitted_ns;
    if (!operation_finished(operation, result, &done.result)) {
        return;
    }
    const struct operation finished = *operation;
    operation->let_go = true;
    if (finished.answered) {
        MKV_ASSERT(drive->answered_count > 0);
        drive->answered_count--;
    }
    operation->answered = true;
    if (!operation->cancelling) {
        mkv_drive_uring_operation_free(operation);
    }
    if (finished.answered) {
        return; /* I6 */
    }
    if (done.result == MKV_IO_OK && finished.kind == MKV_DRIVE_OP_READ) {
        mkv_drive_finish_read(&finished.effect, finished.memory, drive->sums, &done);
    }
    const uint64_t device_ns = finished.completion.arrived_ns - finished.issued_ns;
    mkv_drive_uring_answer(drive, &finished, &done,
                           finished.decided ? 0 : mkv_max_u64(device_ns, 1));
}

static void before_submit(struct mkv_ring_hook *hook) {
    struct drive_uring *drive =
        (struct drive_uring *)((char *)hook - offsetof(struct drive_uring, hook));
    mkv_drive_uring_issue_held(drive);
    mkv_drive_uring_ask_for_look(drive);
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
        .result = error_number == 0 ? MKV_IO_OK
                                    : mkv_drive_judge_error(&drive->base, &drive->media,
                                                            MKV_DRIVE_OP_TRIM, error_number, 0),
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
    mkv_drive_queue_enter(drive->queue, effect, now_ns);
    start_waiting(drive, now_ns);
}

static uint32_t drive_in_flight(const struct mkv_drive *base) {
    const struct drive_uring *drive = (const struct drive_uring *)base;
    return (uint32_t)base->counters.in_flight + mkv_drive_room_in_flight(drive->room) +
           drive->answered_count + drive->cancelling_count + (drive->looking ? 1 : 0);
}

static void drive_free(struct drive_uring *drive) {
    mkv_drive_trim_close(drive->trim);
    mkv_drive_media_close(&drive->media);
    mkv_drive_room_free(drive->room);
    free(drive->held);
    free(drive->merged);
    free(drive->operations);
    mkv_drive_queue_free(drive->queue);
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
    drive->queue = mkv_drive_queue_create(depth, options->waiting_max);
    drive->held = calloc(depth, sizeof(struct operation *));
    drive->merged = calloc(depth / 2 + 1, sizeof *drive->merged);
    if (drive->operations == NULL || drive->queue == NULL || drive->held == NULL ||
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
        drive->merged[i].completion.done = mkv_drive_uring_merged_done;
        drive->merged[i].drive = drive;
        drive->merged[i].next_free = drive->free_merged;
        drive->free_merged = &drive->merged[i];
    }
    /* Room that is given back is not to be taken again before it is needed. */
    if (!media->block_device && !options->trim) {
        drive->room = mkv_drive_room_create(options->ring, media->capacity_units * MKV_UNIT_BYTES);
    }
    drive->file_place = mkv_ring_file_add(options->ring, media->fd);
    drive->look.done = mkv_drive_uring_look_done;
    drive->hook.before = before_submit;
    mkv_ring_hook_add(options->ring, &drive->hook);
    *drive_out = &drive->base;
    return true;
}
