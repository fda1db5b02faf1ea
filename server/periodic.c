/* SPDX-License-Identifier: Apache-2.0 */
#include "server/periodic.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"

#define NS_PER_S 1000000000ull

struct mkv_periodic {
    struct mkv_periodic_options options;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool is_wanted; /* a turn before its time */
    bool is_ending;
    bool is_over; /* the thread touches nothing any more */
    bool is_left; /* nobody waits for the thread */
};

/* Waits on `changed` until then at the latest. False: then is over. */
static bool wait_until(struct mkv_periodic *periodic, uint64_t until_ns) {
    if (until_ns == UINT64_MAX) {
        return pthread_cond_wait(&periodic->changed, &periodic->mutex) == 0;
    }
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    return pthread_cond_timedwait(&periodic->changed, &periodic->mutex, &until) != ETIMEDOUT;
}

/* From now; MKV_PERIODIC_JOINED is never. */
static uint64_t after(uint64_t ns) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    return ns < UINT64_MAX - now_ns ? now_ns + ns : UINT64_MAX;
}

static void periodic_free(struct mkv_periodic *periodic) {
    pthread_cond_destroy(&periodic->changed);
    pthread_mutex_destroy(&periodic->mutex);
    free(periodic);
}

static void release(struct mkv_periodic *periodic) {
    if (periodic->options.release != NULL) {
        periodic->options.release(periodic->options.context);
    }
    periodic_free(periodic);
}

static void *run(void *context) {
    struct mkv_periodic *periodic = context;
    pthread_mutex_lock(&periodic->mutex);
    while (!periodic->is_ending) {
        periodic->is_wanted = false;
        pthread_mutex_unlock(&periodic->mutex);
        periodic->options.turn(periodic->options.context, periodic);
        pthread_mutex_lock(&periodic->mutex);
        const uint64_t next_ns = after(periodic->options.interval_ns);
        while (!periodic->is_ending && !periodic->is_wanted && wait_until(periodic, next_ns)) {
        }
    }
    const bool is_left = periodic->is_left;
    periodic->is_over = true;
    pthread_cond_broadcast(&periodic->changed);
    pthread_mutex_unlock(&periodic->mutex);
    if (is_left) {
        release(periodic); /* I2 */
    }
    return NULL;
}

/* 0, or errno. */
static int begin_thread(struct mkv_periodic *periodic) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&periodic->thread, NULL, run, periodic);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

bool mkv_periodic_begin(const struct mkv_periodic_options *options,
                        struct mkv_periodic **periodic_out, struct mkv_backend_error *error) {
    MKV_ASSERT(options->turn != NULL);
    MKV_ASSERT(options->interval_ns > 0);
    struct mkv_periodic *periodic = calloc(1, sizeof *periodic);
    if (periodic == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a thread for %s. Free memory on this machine",
                                  options->purpose);
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&periodic->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&periodic->mutex, NULL);
    periodic->options = *options;
    const int result = begin_thread(periodic);
    if (result != 0) {
        periodic_free(periodic);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for %s: %s. Raise the limit of threads",
                                  options->purpose, strerror(result));
    }
    (void)pthread_setname_np(periodic->thread, options->name);
    *periodic_out = periodic;
    return true;
}

bool mkv_periodic_enter(struct mkv_periodic *periodic) {
    pthread_mutex_lock(&periodic->mutex);
    if (periodic->is_ending) {
        pthread_mutex_unlock(&periodic->mutex);
        return false;
    }
    return true;
}

void mkv_periodic_leave(struct mkv_periodic *periodic) {
    pthread_mutex_unlock(&periodic->mutex);
}

void mkv_periodic_wake(struct mkv_periodic *periodic) {
    pthread_mutex_lock(&periodic->mutex);
    periodic->is_wanted = true;
    pthread_cond_broadcast(&periodic->changed);
    pthread_mutex_unlock(&periodic->mutex);
}

void mkv_periodic_end(struct mkv_periodic *periodic) {
    if (periodic == NULL) {
        return;
    }
    const uint64_t until_ns = after(periodic->options.end_ns);
    const pthread_t thread = periodic->thread;
    pthread_mutex_lock(&periodic->mutex);
    periodic->is_ending = true;
    pthread_cond_broadcast(&periodic->changed);
    while (!periodic->is_over && wait_until(periodic, until_ns)) {
    }
    const bool is_left = !periodic->is_over;
    if (is_left) {
        periodic->is_left = true;
        MKV_ASSERT(pthread_detach(thread) == 0);
    }
    pthread_mutex_unlock(&periodic->mutex);
    if (!is_left) {
        MKV_ASSERT(pthread_join(thread, NULL) == 0);
        release(periodic);
    }
}
