/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_trim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/clock.h"

struct mkv_drive_trim {
    struct mkv_ring_completion completion; /* first: of the read of done_fd */
    struct mkv_drive_trim_options options;
    bool in_flight;
    pthread_t thread;
    /* Written before `wanted` is posted, and read behind it. */
    bool ending;
    uint64_t offset;
    uint64_t byte_count;
    sem_t wanted;
    /* Written before done_fd is; the ring's thread reads it behind that. */
    atomic_int error_number;
    uint64_t device_ns; /* likewise */
    int done_fd;
    uint64_t done_value; /* where the read of done_fd goes */
};

/* ---- the thread ----------------------------------------------------------------------------- */

static int carry_out(const struct mkv_drive_trim *trim) {
    if (trim->options.block_device) {
        uint64_t range[2] = {trim->offset, trim->byte_count};
        return ioctl(trim->options.fd, BLKDISCARD, range) == 0 ? 0 : errno;
    }
    return fallocate(trim->options.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)trim->offset, (off_t)trim->byte_count) == 0
               ? 0
               : errno;
}

/* All signals are blocked here, so that nothing interrupts. */
static void *run(void *context) {
    struct mkv_drive_trim *trim = context;
    for (;;) {
        int result = sem_wait(&trim->wanted);
        MKV_ASSERT(result == 0);
        if (trim->ending) {
            return NULL;
        }
        const uint64_t start_ns = mkv_clock_monotonic_ns();
        const int error_number = carry_out(trim);
        trim->device_ns = mkv_clock_monotonic_ns() - start_ns;
        atomic_store_explicit(&trim->error_number, error_number, memory_order_release);
        const uint64_t one = 1;
        ssize_t written = write(trim->done_fd, &one, sizeof one);
        MKV_ASSERT(written == (ssize_t)sizeof one);
    }
}

static bool start_thread(struct mkv_drive_trim *trim) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&trim->thread, NULL, run, trim);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        errno = result;
        return false;
    }
    (void)pthread_setname_np(trim->thread, "memkv-trim");
    return true;
}

/* ---- the ring's side ------------------------------------------------------------------------ */

static void arm(struct mkv_drive_trim *trim) {
    struct io_uring_sqe *sqe = mkv_ring_sqe(trim->options.ring, &trim->completion);
    io_uring_prep_read(sqe, trim->done_fd, &trim->done_value, sizeof trim->done_value, 0);
}

static void trim_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_drive_trim *trim = (struct mkv_drive_trim *)completion;
    (void)flags;
    MKV_ASSERT(trim->in_flight);
    if (result == -EINTR || result == -EAGAIN) {
        arm(trim);
        return;
    }
    MKV_ASSERT(result == (int32_t)sizeof trim->done_value);
    MKV_ASSERT(trim->done_value == 1); /* I1 */
    trim->in_flight = false;
    const int error_number = atomic_load_explicit(&trim->error_number, memory_order_acquire);
    trim->options.done(trim->options.context, error_number, trim->device_ns);
}

bool mkv_drive_trim_create(const struct mkv_drive_trim_options *options,
                           struct mkv_drive_trim **trim_out, struct mkv_backend_error *error) {
    MKV_ASSERT(options->ring != NULL);
    MKV_ASSERT(options->done != NULL);
    struct mkv_drive_trim *trim = calloc(1, sizeof *trim);
    if (trim == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the trims of a drive. Free memory on this "
                                  "machine");
    }
    trim->options = *options;
    trim->completion.done = trim_done;
    /* Not EFD_NONBLOCK: the read must wait in the kernel rather than come back with EAGAIN. */
    trim->done_fd = eventfd(0, EFD_CLOEXEC);
    if (trim->done_fd < 0) {
        const int eventfd_error = errno;
        free(trim);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no eventfd for the trims of a drive: %s. Raise the limit of "
                                  "open files: LimitNOFILE=65536 in the unit, or ulimit -n 65536",
                                  strerror(eventfd_error));
    }
    int result = sem_init(&trim->wanted, 0, 0);
    MKV_ASSERT(result == 0);
    if (!start_thread(trim)) {
        const int thread_error = errno;
        sem_destroy(&trim->wanted);
        close(trim->done_fd);
        free(trim);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for the trims of a drive: %s. Raise the limit of "
                                  "threads: TasksMax in the unit, or ulimit -u; or set "
                                  "storage.trim: off",
                                  strerror(thread_error));
    }
    *trim_out = trim;
    return true;
}

void mkv_drive_trim_start(struct mkv_drive_trim *trim, uint64_t offset, uint64_t byte_count) {
    MKV_ASSERT(!trim->in_flight); /* I1 */
    MKV_ASSERT(offset % MKV_UNIT_BYTES == 0);
    MKV_ASSERT(byte_count > 0);
    MKV_ASSERT(byte_count % MKV_UNIT_BYTES == 0);
    trim->in_flight = true;
    trim->offset = offset;
    trim->byte_count = byte_count;
    arm(trim);
    int result = sem_post(&trim->wanted);
    MKV_ASSERT(result == 0);
}

void mkv_drive_trim_close(struct mkv_drive_trim *trim) {
    if (trim == NULL) {
        return;
    }
    MKV_ASSERT(!trim->in_flight);
    trim->ending = true;
    int result = sem_post(&trim->wanted);
    MKV_ASSERT(result == 0);
    result = pthread_join(trim->thread, NULL);
    MKV_ASSERT(result == 0);
    sem_destroy(&trim->wanted);
    close(trim->done_fd);
    free(trim);
}
