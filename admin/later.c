/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/later.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum state {
    FREE,
    TAKEN,
    WORKING,
    MADE
};

struct mkv_later {
    pthread_mutex_t mutex;  /* of all that follows */
    pthread_cond_t changed; /* the state, or closed */
    enum state state;
    bool closed;
    bool has_thread;
    pthread_t thread;
    mkv_later_make *make;
    uint64_t argument;
    struct mkv_admin_reply reply;
    void (*resume)(void *context);
    void *context;
};

struct mkv_later *mkv_later_create(void) {
    struct mkv_later *later = calloc(1, sizeof *later);
    if (later != NULL) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&later->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&later->mutex, NULL);
    }
    return later;
}

void mkv_later_destroy(struct mkv_later *later) {
    if (later != NULL) {
        MKV_ASSERT(later->state == FREE);
        pthread_cond_destroy(&later->changed);
        pthread_mutex_destroy(&later->mutex);
        free(later);
    }
}

bool mkv_later_take(struct mkv_later *later, mkv_later_make *make, uint64_t argument) {
    pthread_mutex_lock(&later->mutex);
    const bool taken = later->state == FREE && !later->closed;
    if (taken) {
        later->state = TAKEN;
        later->make = make;
        later->argument = argument;
    }
    pthread_mutex_unlock(&later->mutex);
    return taken;
}

/* Wakes the connection before anyone is told that the answer is made: who closes waits for both. */
static void finish(struct mkv_later *later, struct mkv_admin_reply reply) {
    pthread_mutex_lock(&later->mutex);
    later->reply = reply;
    later->resume(later->context);
    later->state = MADE;
    pthread_cond_broadcast(&later->changed);
    pthread_mutex_unlock(&later->mutex);
}

static void *work(void *argument) {
    struct mkv_later *later = argument;
    (void)pthread_setname_np(pthread_self(), "memkv-later");
    finish(later, later->make(later, later->argument));
    return NULL;
}

void mkv_later_begin(struct mkv_later *later, void (*resume)(void *context), void *context) {
    pthread_mutex_lock(&later->mutex);
    MKV_ASSERT(later->state == TAKEN);
    later->state = WORKING;
    later->resume = resume;
    later->context = context;
    /* Signals are for the daemon's main thread, which is not this one's maker. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    later->has_thread = pthread_create(&later->thread, NULL, work, later) == 0;
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    const bool has_thread = later->has_thread;
    pthread_mutex_unlock(&later->mutex);
    if (!has_thread) {
        finish(later, mkv_admin_reply_json(
                          MHD_HTTP_SERVICE_UNAVAILABLE,
                          json_pack("{s:s}", "error",
                                    "there is no thread for this; raise the limit of processes "
                                    "(ulimit -u, TasksMax)")));
    }
}

struct mkv_admin_reply mkv_later_end(struct mkv_later *later) {
    pthread_mutex_lock(&later->mutex);
    /* The connection may be looked at between its waking and the end of that step. */
    while (later->state == WORKING) {
        pthread_cond_wait(&later->changed, &later->mutex);
    }
    MKV_ASSERT(later->state == MADE);
    if (later->has_thread) {
        MKV_ASSERT(pthread_join(later->thread, NULL) == 0);
        later->has_thread = false;
    }
    const struct mkv_admin_reply reply = later->reply;
    later->state = FREE;
    pthread_mutex_unlock(&later->mutex);
    return reply;
}

bool mkv_later_sleep(struct mkv_later *later, uint64_t seconds) {
    struct timespec until;
    MKV_ASSERT(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += (time_t)seconds;
    int result = 0;
    pthread_mutex_lock(&later->mutex);
    while (!later->closed && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&later->changed, &later->mutex, &until);
    }
    const bool closed = later->closed;
    pthread_mutex_unlock(&later->mutex);
    return !closed;
}

void mkv_later_close(struct mkv_later *later) {
    pthread_mutex_lock(&later->mutex);
    later->closed = true;
    pthread_cond_broadcast(&later->changed);
    while (later->state == TAKEN || later->state == WORKING) {
        pthread_cond_wait(&later->changed, &later->mutex);
    }
    pthread_mutex_unlock(&later->mutex);
}
