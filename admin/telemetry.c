/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/telemetry.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/queue.h"

#define NS_PER_S 1000000000ull

struct mkv_telemetry {
    struct mkv_queue *queue;
    uint32_t queue_max;
    atomic_uint_fast64_t dropped;
    atomic_bool reopen_wanted;
    atomic_bool ended;
    pthread_t thread;
    void (*warn)(void *context, const char *text);
    void *context;

    /* The thread's own. */
    uint64_t dropped_told;
    uint64_t dropped_told_ns;
    uint32_t processor_count;
    struct mkv_telemetry_processor *processors[MKV_TELEMETRY_PROCESSORS_MAX];
    uint64_t failed_told_ns[MKV_TELEMETRY_PROCESSORS_MAX];
};

static uint64_t now_ns(void) {
    struct timespec now;
    MKV_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Gives away as much as the queue holds, and no more: requests that go on and on must not keep
 * the thread from its files and from saying what was dropped. */
static void drain(struct mkv_telemetry *telemetry) {
    const struct mkv_telemetry_event *event;
    for (uint32_t taken = 0; taken < telemetry->queue_max; taken++) {
        event = mkv_queue_next(telemetry->queue);
        if (event == NULL) {
            return;
        }
        for (uint32_t i = 0; i < telemetry->processor_count; i++) {
            mkv_telemetry_processor_take(telemetry->processors[i], event);
        }
        mkv_queue_take(telemetry->queue);
    }
}

/* Whether a warning may be given now, of what was last warned of at *told_ns; 0: never. */
static bool may_warn(uint64_t *told_ns, uint64_t now, uint64_t pause_ns) {
    if (*told_ns != 0 && now < *told_ns + pause_ns) {
        return false;
    }
    *told_ns = now;
    return true;
}

static void flush(struct mkv_telemetry *telemetry, uint64_t now) {
    for (uint32_t i = 0; i < telemetry->processor_count; i++) {
        char problem[MKV_TELEMETRY_PROBLEM_BYTES];
        if (!mkv_telemetry_processor_flush(telemetry->processors[i], problem) &&
            may_warn(&telemetry->failed_told_ns[i], now, MKV_TELEMETRY_FAILED_NS)) {
            char text[MKV_TELEMETRY_PROBLEM_BYTES + 64];
            snprintf(text, sizeof text, "a telemetry processor gives up events: %s", problem);
            telemetry->warn(telemetry->context, text);
        }
    }
}

static void warn_of_drops(struct mkv_telemetry *telemetry, uint64_t now) {
    const uint64_t dropped = atomic_load(&telemetry->dropped);
    if (dropped == telemetry->dropped_told ||
        !may_warn(&telemetry->dropped_told_ns, now, MKV_TELEMETRY_WARN_NS)) {
        return;
    }
    char text[128];
    snprintf(text, sizeof text,
             "%" PRIu64 " telemetry events dropped: the queue was full; raise "
             "telemetry.max_queue_size",
             dropped - telemetry->dropped_told);
    telemetry->dropped_told = dropped;
    telemetry->warn(telemetry->context, text);
}

static void *telemetry_thread(void *context) {
    struct mkv_telemetry *telemetry = context;
    (void)pthread_setname_np(pthread_self(), "memkv-telemetry");
    for (;;) {
        /* Before the events: whoever sets it has published the last one. */
        const bool ended = atomic_load(&telemetry->ended);
        drain(telemetry);
        if (atomic_exchange(&telemetry->reopen_wanted, false)) {
            for (uint32_t i = 0; i < telemetry->processor_count; i++) {
                mkv_telemetry_processor_reopen(telemetry->processors[i]);
            }
        }
        const uint64_t now = now_ns();
        flush(telemetry, now);
        if (ended) {
            telemetry->dropped_told_ns = 0;
            warn_of_drops(telemetry, now);
            return NULL;
        }
        warn_of_drops(telemetry, now);
        const struct timespec pause = {.tv_nsec = (long)MKV_TELEMETRY_POLL_NS};
        (void)nanosleep(&pause, NULL);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void telemetry_free(struct mkv_telemetry *telemetry) {
    for (uint32_t i = 0; i < telemetry->processor_count; i++) {
        mkv_telemetry_processor_destroy(telemetry->processors[i]);
    }
    mkv_queue_destroy(telemetry->queue);
    free(telemetry);
}

/* Signals are for the thread that takes them. */
static bool thread_start(struct mkv_telemetry *telemetry) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&telemetry->thread, NULL, telemetry_thread, telemetry);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0;
}

struct mkv_telemetry *mkv_telemetry_create(const struct mkv_telemetry_options *options) {
    MKV_ASSERT(options->processor_count <= MKV_TELEMETRY_PROCESSORS_MAX);
    MKV_ASSERT(options->queue_max >= MKV_TELEMETRY_QUEUE_MIN);
    MKV_ASSERT(options->queue_max <= MKV_TELEMETRY_QUEUE_MAX);
    struct mkv_telemetry *telemetry = calloc(1, sizeof *telemetry);
    if (telemetry == NULL) {
        return NULL;
    }
    telemetry->warn = options->warn;
    telemetry->context = options->context;
    telemetry->queue_max = options->queue_max;
    telemetry->queue = mkv_queue_create(options->queue_max, sizeof(struct mkv_telemetry_event));
    bool made = telemetry->queue != NULL;
    for (uint32_t i = 0; made && i < options->processor_count; i++) {
        telemetry->processors[i] =
            mkv_telemetry_processor_create(&options->processors[i], &options->log);
        telemetry->processor_count = i + 1;
        made = telemetry->processors[i] != NULL;
    }
    if (!made || !thread_start(telemetry)) {
        telemetry_free(telemetry);
        return NULL;
    }
    return telemetry;
}

void mkv_telemetry_destroy(struct mkv_telemetry *telemetry) {
    if (telemetry == NULL) {
        return;
    }
    atomic_store(&telemetry->ended, true);
    const int result = pthread_join(telemetry->thread, NULL);
    MKV_ASSERT(result == 0);
    telemetry_free(telemetry);
}

struct mkv_telemetry_event *mkv_telemetry_reserve(struct mkv_telemetry *telemetry,
                                                  uint64_t *ticket) {
    struct mkv_telemetry_event *event = mkv_queue_reserve(telemetry->queue, ticket);
    if (event == NULL) {
        atomic_fetch_add_explicit(&telemetry->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    /* Values are behind, and filled in one by one. */
    memset(event, 0, offsetof(struct mkv_telemetry_event, values));
    return event;
}

void mkv_telemetry_publish(struct mkv_telemetry *telemetry, uint64_t ticket) {
    mkv_queue_publish(telemetry->queue, ticket);
}

void mkv_telemetry_counts(const struct mkv_telemetry *telemetry, uint64_t *queued,
                          uint64_t *dropped) {
    *queued = mkv_queue_reserved(telemetry->queue);
    *dropped = atomic_load_explicit(&telemetry->dropped, memory_order_relaxed);
}

void mkv_telemetry_reopen(struct mkv_telemetry *telemetry) {
    atomic_store(&telemetry->reopen_wanted, true);
}
