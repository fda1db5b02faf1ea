/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that take too long: the kernel is asked for them back; those that it keeps are given
 * up, and with them the pages of their memory.
 */
#include <stddef.h>

#include "backends/clock.h"
#include "backends/drive_uring_internal.h"

/* Operations are looked at so many times within their time. */
#define LOOKS_OF_TIMEOUT 8u

static bool is_overdue(const struct operation *operation, uint64_t as_of_ns) {
    const struct mkv_drive_uring_options *options = &operation->drive->options;
    const bool for_now = operation->kind == MKV_DRIVE_OP_READ &&
                         mkv_drive_is_read_for_now(&operation->effect, MKV_EFFECT_DRIVE_READ);
    const uint64_t timeout_ns = for_now ? options->read_timeout_ns : options->write_timeout_ns;
    return timeout_ns != 0 && as_of_ns >= operation->submitted_ns &&
           as_of_ns - operation->submitted_ns >= timeout_ns;
}

void mkv_drive_uring_cancel_done(struct mkv_ring_completion *completion, int32_t result,
                                 uint32_t flags) {
    struct operation *operation =
        (struct operation *)((char *)completion - offsetof(struct operation, cancelled));
    (void)result; /* the operation's own completion says what came of it */
    (void)flags;
    operation->cancelling = false;
    operation->drive->cancelling_count--;
    if (operation->let_go) {
        mkv_drive_uring_operation_free(operation);
    }
}

/* Asks the kernel for it back, which gives those that it has not begun, and few others. */
static void operation_cancel(struct operation *operation) {
    operation->was_cancelled = true;
    operation->cancelling = true;
    operation->drive->cancelling_count++;
    struct mkv_ring_completion *target =
        operation->merged != NULL ? &operation->merged->completion : &operation->completion;
    struct io_uring_sqe *sqe = mkv_ring_sqe(operation->drive->options.ring, &operation->cancelled);
    io_uring_prep_cancel(sqe, target, 0);
}

/* Whether the memory may be used again while the kernel has the operation: it keeps the pages that
 * it has, and there are others in their place (I6). */
static bool memory_is_freed(const struct operation *operation) {
    const struct drive_uring *drive = operation->drive;
    if (operation->kind == MKV_DRIVE_OP_FLUSH) {
        return true;
    }
    /* What has no pages of its own yet would take those that are there when it begins: several as
     * one, which are not fixed, on a file, where they may have to wait before they have pages. A
     * device gets none but such as have. */
    const bool has_pages = operation->merged == NULL || drive->media.block_device;
    return drive->media.direct && has_pages && operation->place != MKV_RING_NOT_REGISTERED &&
           mkv_arena_exchange(drive->options.arena, operation->memory, operation->bytes);
}

/* The kernel has been asked for it back, and has it still; or never had it. */
static void operation_give_up(struct operation *operation) {
    struct drive_uring *drive = operation->drive;
    if (operation->is_held) {
        struct mkv_drive_done never = {.result = MKV_IO_TIMEOUT};
        const struct operation held = *operation;
        mkv_drive_uring_let_fall(operation);
        mkv_drive_uring_operation_free(operation);
        mkv_drive_uring_answer(drive, &held, &never, 0);
        return;
    }
    if (!memory_is_freed(operation)) {
        return;
    }
    struct mkv_drive_done done = {.result = MKV_IO_TIMEOUT};
    const struct operation given_up = *operation;
    operation->answered = true;
    drive->answered_count++;
    mkv_drive_uring_answer(drive, &given_up, &done, 0);
}

/* Since when something waits that has waited too long; 0: nothing has. */
static uint64_t overdue_since(uint64_t timeout_ns, uint64_t as_of_ns) {
    return timeout_ns == 0 || as_of_ns < timeout_ns ? 0 : as_of_ns - timeout_ns;
}

static void give_up_waiting(struct drive_uring *drive, uint64_t as_of_ns) {
    const uint64_t read_before_ns = overdue_since(drive->options.read_timeout_ns, as_of_ns);
    const uint64_t write_before_ns = overdue_since(drive->options.write_timeout_ns, as_of_ns);
    const struct mkv_drive_waiting *waiting;
    while ((waiting = mkv_drive_queue_give_up(drive->queue, read_before_ns, write_before_ns)) !=
           NULL) {
        struct mkv_drive_done done = {.result = MKV_IO_TIMEOUT};
        const struct operation never = {
            .op = waiting->effect.op,
            .kind = mkv_drive_operation_of(&waiting->effect),
            .submitted_ns = waiting->submitted_ns,
        };
        mkv_drive_uring_show_waiting(drive);
        mkv_drive_uring_answer(drive, &never, &done, 0);
    }
}

/* Each has its time from when it came; then the kernel is asked for it back, and at the next look
 * it is given up. What counts is the time of the look before: where this process was stopped in
 * between, the kernel may have done long ago what nobody has seen yet, or was stopped, too. */
void mkv_drive_uring_look_done(struct mkv_ring_completion *completion, int32_t result,
                               uint32_t flags) {
    struct drive_uring *drive =
        (struct drive_uring *)((char *)completion - offsetof(struct drive_uring, look));
    (void)result;
    (void)flags;
    drive->looking = false;
    const uint64_t as_of_ns = drive->looked_ns;
    drive->looked_ns = mkv_clock_monotonic_ns();
    drive->look_ns = drive->looked_ns + drive->options.read_timeout_ns / LOOKS_OF_TIMEOUT;
    for (uint32_t i = 0; i < drive->options.queue_depth; i++) {
        struct operation *operation = &drive->operations[i];
        if (!operation->in_use || operation->answered || operation->decided ||
            !is_overdue(operation, as_of_ns)) {
            continue;
        }
        if (!operation->is_held && !operation->was_cancelled) {
            operation_cancel(operation);
        } else if (!operation->cancelling) {
            operation_give_up(operation);
        }
    }
    give_up_waiting(drive, as_of_ns);
}

void mkv_drive_uring_ask_for_look(struct drive_uring *drive) {
    const uint64_t timeout_ns = drive->options.read_timeout_ns;
    if (timeout_ns == 0 || drive->base.counters.in_flight == 0 || drive->looking) {
        return;
    }
    if (mkv_clock_monotonic_ns() < drive->look_ns) {
        return;
    }
    drive->looking = true;
    io_uring_prep_nop(mkv_ring_sqe(drive->options.ring, &drive->look));
}
