/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"

#define FILE_MODE 0640
#define POLL_MS 100
#define NS_PER_S 1000000000ull
/* For the thread to end behind the deadline that it keeps itself. */
#define JOIN_NS NS_PER_S

struct mkv_log_output {
    struct mkv_log_store *store;
    int fd;
    char *path; /* NULL: the descriptor is the caller's */
    void (*reopen_failed)(void *context, const char *path, int error_number);
    void *context;
    bool torn; /* the last line that was begun has no newline */
    atomic_bool reopen_wanted;
    atomic_uint_fast64_t deadline_ns; /* 0: none yet */
    atomic_uint_fast64_t lost;
    atomic_uint_fast64_t done;
    pthread_t thread;
    sem_t ended; /* the thread needs nothing any more */
    char line[MKV_LOG_LINE_BYTES_MAX + 1];
};

/* A pipe that nobody reads is refused instead of waited for: nothing could end that. */
static int file_open(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* Waits until something may be written; false when the end has come first. */
static bool wait_writable(const struct mkv_log_output *output) {
    for (;;) { /* as long as nobody reads; the node goes on meanwhile */
        struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};
        const int ready = poll(&poll_fd, 1, POLL_MS);
        if (ready > 0) {
            return true; /* an error too, which the write will tell */
        }
        const uint64_t deadline_ns = atomic_load(&output->deadline_ns);
        if (deadline_ns != 0 && mkv_clock_monotonic_ns() >= deadline_ns) {
            return false;
        }
    }
}

/* A pipe that is writable takes PIPE_BUF bytes without making the writer wait. */
static bool write_whole(struct mkv_log_output *output, const char *bytes, size_t count) {
    while (count > 0) {
        if (!wait_writable(output)) {
            return false;
        }
        const ssize_t written = write(output->fd, bytes, mkv_min_u64(count, PIPE_BUF));
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        if (written > 0) {
            output->torn = bytes[written - 1] != '\n';
            bytes += written;
            count -= (size_t)written;
        }
    }
    return true;
}

static void write_line(struct mkv_log_output *output, uint32_t bytes) {
    if ((output->torn && !write_whole(output, "\n", 1)) ||
        !write_whole(output, output->line, bytes)) {
        atomic_fetch_add(&output->lost, 1);
    }
}

static void reopen(struct mkv_log_output *output) {
    if (!atomic_exchange(&output->reopen_wanted, false)) {
        return;
    }
    const int fd = file_open(output->path);
    if (fd < 0) {
        output->reopen_failed(output->context, output->path, errno);
        return;
    }
    close(output->fd);
    output->fd = fd;
    output->torn = false;
}

static void *output_thread(void *context) {
    struct mkv_log_output *output = context;
    (void)pthread_setname_np(pthread_self(),
                             output->path == NULL ? "memkv-log-err" : "memkv-log-file");
    uint64_t next = atomic_load(&output->done);
    uint64_t calls = 0;
    for (;;) {
        uint64_t lost = 0;
        uint32_t bytes = 0;
        switch (mkv_log_store_take(output->store, &next, &lost, &calls, output->line, &bytes)) {
        case MKV_LOG_STORE_LINE:
            atomic_fetch_add(&output->lost, lost);
            write_line(output, bytes);
            atomic_store(&output->done, next);
            break;
        case MKV_LOG_STORE_WOKEN:
            reopen(output);
            break;
        case MKV_LOG_STORE_CLOSED:
            sem_post(&output->ended);
            return NULL;
        }
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void output_free(struct mkv_log_output *output) {
    if (output->path != NULL && output->fd >= 0) {
        close(output->fd);
    }
    free(output->path);
    sem_destroy(&output->ended);
    free(output);
}

/* Signals are for the thread that takes them. */
static int thread_start(struct mkv_log_output *output) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&output->thread, NULL, output_thread, output);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

struct mkv_log_output *mkv_log_output_create(const struct mkv_log_output_options *options,
                                             int *error_number) {
    struct mkv_log_output *output = calloc(1, sizeof *output);
    if (output == NULL) {
        *error_number = ENOMEM;
        return NULL;
    }
    output->store = options->store;
    output->fd = options->fd;
    output->reopen_failed = options->reopen_failed;
    output->context = options->context;
    const int result = sem_init(&output->ended, 0, 0);
    MKV_ASSERT(result == 0);
    if (options->path != NULL) {
        output->path = strdup(options->path);
        output->fd = output->path == NULL ? -1 : file_open(options->path);
        if (output->fd < 0) {
            *error_number = output->path == NULL ? ENOMEM : errno;
            output_free(output);
            return NULL;
        }
    }
    /* A file that joins later begins with the lines that are still here. */
    *error_number = thread_start(output);
    if (*error_number != 0) {
        output_free(output);
        return NULL;
    }
    return output;
}

void mkv_log_output_reopen(struct mkv_log_output *output) {
    MKV_ASSERT(output->path != NULL);
    atomic_store(&output->reopen_wanted, true);
    mkv_log_store_wake(output->store);
}

uint64_t mkv_log_output_lost(const struct mkv_log_output *output) {
    return atomic_load(&output->lost);
}

uint64_t mkv_log_output_done(const struct mkv_log_output *output) {
    return atomic_load(&output->done);
}

bool mkv_log_output_end(struct mkv_log_output *output, uint64_t deadline_ns) {
    atomic_store(&output->deadline_ns, deadline_ns);
    const uint64_t join_ns = deadline_ns + JOIN_NS;
    const struct timespec until = {.tv_sec = (time_t)(join_ns / NS_PER_S),
                                   .tv_nsec = (long)(join_ns % NS_PER_S)};
    while (sem_clockwait(&output->ended, CLOCK_MONOTONIC, &until) != 0) {
        if (errno == ETIMEDOUT) {
            return false;
        }
    }
    const int result = pthread_join(output->thread, NULL);
    MKV_ASSERT(result == 0);
    output_free(output);
    return true;
}
