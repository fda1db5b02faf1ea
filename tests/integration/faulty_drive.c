/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives that fail when a test says so: the program memkv-faulty is memkv with this between its
 * shard and io_uring. The shipped program does not have it. A test writes into the file that
 * MKV_FAULTY_DRIVES names, which is mapped here: one row for each drive, by the digits in the name
 * of its file (d03.memkv is row 3).
 *
 *     shard --submit--> hang? --> held for the delay, or while stalled --> io_uring --complete-->
 *                                        (a timeout of the ring)      +--> fails ------^
 *
 * Not responsible for: what a failure means; that is the volume's to find out.
 */
#include "backends/drive_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"

#define VARIABLE "MKV_FAULTY_DRIVES"
#define ROWS_MAX 64u
#define PATH_BYTES 4096u
/* How often a stalled operation looks whether it may go on. */
#define LOOK_AGAIN_NS 10000000ull

/* Little endian words, as a test packs them. */
struct row {
    uint32_t fail[MKV_DRIVE_OP_COUNT];     /* enum mkv_io_result; 0: none */
    uint32_t delay_ms[MKV_DRIVE_OP_COUNT]; /* before io_uring gets it */
    uint32_t stall;                        /* these (by bit) are held until theirs is 0 again */
    uint32_t hang;                         /* the shard's thread stops until it is 0 again */
    uint32_t reserved[6];
};
_Static_assert(sizeof(struct row) == 64, "a test writes rows of 64 bytes");

struct faulty {
    struct mkv_drive drive; /* first: what the shard has */
    struct mkv_drive *inner;
    struct mkv_ring *ring;
    const volatile struct row *row;
    uint32_t held[MKV_DRIVE_OP_COUNT]; /* operations that io_uring does not have yet */
};

struct held {
    struct mkv_ring_completion completion; /* first: of the timeout */
    struct faulty *faulty;
    struct mkv_effect effect;
    struct __kernel_timespec wait;
    uint64_t delay_ns;
    uint32_t fault; /* as it was when the operation came */
};

static uint32_t fault_of(const struct faulty *faulty, const struct mkv_effect *effect) {
    return faulty->row->fail[mkv_drive_operation_of(effect)];
}

static bool is_stalled(const struct faulty *faulty, const struct mkv_effect *effect) {
    return ((faulty->row->stall >> mkv_drive_operation_of(effect)) & 1u) != 0;
}

/* What is held has been submitted, as far as the shard can tell. */
static void show_counters(struct faulty *faulty) {
    faulty->drive.counters = faulty->inner->counters;
    for (uint32_t operation = 0; operation < MKV_DRIVE_OP_COUNT; operation++) {
        faulty->drive.counters.operations[operation].submitted += faulty->held[operation];
    }
}

static void arm(struct held *held, uint64_t wait_ns) {
    held->wait = (struct __kernel_timespec){.tv_sec = (int64_t)(wait_ns / 1000000000ull),
                                            .tv_nsec = (int64_t)(wait_ns % 1000000000ull)};
    struct io_uring_sqe *sqe = mkv_ring_sqe(held->faulty->ring, &held->completion);
    io_uring_prep_timeout(sqe, &held->wait, 0, 0);
}

static void on_inner_done(void *context, const struct mkv_drive_done *done) {
    struct faulty *faulty = context;
    show_counters(faulty);
    faulty->drive.complete(faulty->drive.complete_context, done);
}

/* As if the medium had said so. */
static int errno_of(enum mkv_io_result result) {
    static const int numbers[MKV_IO_RESULT_COUNT] = {
        [MKV_IO_MEDIUM] = ENODATA, [MKV_IO_DEVICE] = EIO,        [MKV_IO_GONE] = ENODEV,
        [MKV_IO_NO_ROOM] = ENOSPC, [MKV_IO_TIMEOUT] = ETIMEDOUT, [MKV_IO_READ_ONLY] = EROFS,
    };
    MKV_ASSERT((uint32_t)result < MKV_IO_RESULT_COUNT);
    return numbers[result];
}

static void fail(struct faulty *faulty, const struct held *held, enum mkv_io_result result) {
    const enum mkv_drive_operation operation = mkv_drive_operation_of(&held->effect);
    const struct mkv_drive_done done = {.op = held->effect.op, .result = result};
    struct mkv_drive_operation_counters *counters = &faulty->inner->counters.operations[operation];
    counters->submitted++;
    counters->completed++;
    counters->results[result]++;
    mkv_drive_note_error(faulty->inner, operation, result, errno_of(result), mkv_clock_wall_ms());
    show_counters(faulty);
    faulty->drive.complete(faulty->drive.complete_context, &done);
}

static void on_timeout(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct held *held = (struct held *)completion;
    struct faulty *faulty = held->faulty;
    (void)result;
    (void)flags;
    if (is_stalled(faulty, &held->effect)) {
        arm(held, LOOK_AGAIN_NS);
        return;
    }
    const enum mkv_drive_operation operation = mkv_drive_operation_of(&held->effect);
    faulty->held[operation]--;
    if (held->delay_ns > 0) {
        /* As if the medium had taken so long. */
        mkv_histogram_record_ns(&faulty->inner->counters.operations[operation].device,
                                held->delay_ns);
    }
    if (held->fault != 0) {
        fail(faulty, held, (enum mkv_io_result)held->fault);
    } else {
        mkv_drive_submit(faulty->inner, &held->effect);
        show_counters(faulty);
    }
    free(held);
}

static void faulty_submit(struct mkv_drive *drive, const struct mkv_effect *effect) {
    struct faulty *faulty = (struct faulty *)drive;
    const struct timespec look_again = {.tv_nsec = (long)LOOK_AGAIN_NS};
    while (faulty->row->hang != 0) {
        (void)nanosleep(&look_again, NULL);
    }
    const enum mkv_drive_operation operation = mkv_drive_operation_of(effect);
    const uint64_t delay_ns = (uint64_t)faulty->row->delay_ms[operation] * 1000000ull;
    if (delay_ns == 0 && !is_stalled(faulty, effect) && fault_of(faulty, effect) == 0) {
        mkv_drive_submit(faulty->inner, effect);
        show_counters(faulty);
        return;
    }
    struct held *held = calloc(1, sizeof *held);
    MKV_ASSERT(held != NULL);
    held->completion.done = on_timeout;
    held->faulty = faulty;
    held->effect = *effect;
    held->delay_ns = delay_ns;
    held->fault = fault_of(faulty, effect);
    faulty->held[operation]++;
    show_counters(faulty);
    arm(held, delay_ns > 0 ? delay_ns : 1);
}

static uint32_t faulty_in_flight(const struct mkv_drive *drive) {
    const struct faulty *faulty = (const struct faulty *)drive;
    uint32_t held = 0;
    for (uint32_t operation = 0; operation < MKV_DRIVE_OP_COUNT; operation++) {
        held += faulty->held[operation];
    }
    return held + mkv_drive_in_flight(faulty->inner);
}

static void faulty_close(struct mkv_drive *drive) {
    struct faulty *faulty = (struct faulty *)drive;
    MKV_ASSERT(faulty_in_flight(drive) == 0);
    mkv_drive_close(faulty->inner);
    free(faulty);
}

static const struct mkv_drive_ops faulty_ops = {faulty_submit, faulty_in_flight, faulty_close};

/* The rows of the test; those of a file of zeroes change nothing. */
static const struct row *map_rows(void) {
    const char *path = getenv(VARIABLE);
    MKV_ASSERT(path != NULL);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    MKV_ASSERT(fd >= 0);
    void *rows = mmap(NULL, ROWS_MAX * sizeof(struct row), PROT_READ, MAP_SHARED, fd, 0);
    MKV_ASSERT(rows != MAP_FAILED);
    close(fd);
    return rows;
}

/* The digits in the name of the medium's file. */
static uint32_t row_of(int fd) {
    char link[64];
    char path[PATH_BYTES] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    MKV_ASSERT(readlink(link, path, sizeof path - 1) > 0);
    const char *name = strrchr(path, '/');
    MKV_ASSERT(name != NULL);
    const char *digits = strpbrk(name, "0123456789");
    const unsigned long row = digits == NULL ? 0 : strtoul(digits, NULL, 10);
    MKV_ASSERT(row < ROWS_MAX);
    return (uint32_t)row;
}

/* The linker puts these in the place of the drive's own (--wrap). */
bool __real_mkv_drive_uring_create(const struct mkv_drive_uring_options *options,
                                   const struct mkv_drive_media *media, struct mkv_drive **drive,
                                   struct mkv_backend_error *error);
bool __wrap_mkv_drive_uring_create(const struct mkv_drive_uring_options *options,
                                   const struct mkv_drive_media *media, struct mkv_drive **drive,
                                   struct mkv_backend_error *error);

bool __wrap_mkv_drive_uring_create(const struct mkv_drive_uring_options *options,
                                   const struct mkv_drive_media *media, struct mkv_drive **drive,
                                   struct mkv_backend_error *error) {
    struct faulty *faulty = calloc(1, sizeof *faulty);
    MKV_ASSERT(faulty != NULL);
    if (!__real_mkv_drive_uring_create(options, media, &faulty->inner, error)) {
        free(faulty);
        return false;
    }
    faulty->drive = (struct mkv_drive){
        .ops = &faulty_ops,
        .capacity_units = faulty->inner->capacity_units,
    };
    faulty->ring = options->ring;
    faulty->row = map_rows() + row_of(media->fd);
    faulty->inner->complete = on_inner_done;
    faulty->inner->complete_context = faulty;
    *drive = &faulty->drive;
    return true;
}
