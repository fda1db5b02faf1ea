/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/queue.h"
#include "backends/clock.h"
#include "server/log_output.h"
#include "server/log_store.h"

#define TARGET "server.log"
#define NS_PER_S 1000000000ull
#define FLUSH_POLL_NS 200000l

struct queued_line {
    uint32_t bytes;
    char line[MKV_LOG_LINE_BYTES_MAX + 1];
};

struct site {
    struct mkv_log_limit limit;
    /* Of the last line that was suppressed: the line that says so is like it. */
    atomic_uchar level;
    atomic_uchar target;
};

struct whole_log {
    struct mkv_log log; /* first */
    enum mkv_config_log_format format;
    struct site sites[MKV_LOG_SITE_COUNT];
    atomic_uint_fast64_t counts[MKV_LOG_LEVEL_COUNT];
    atomic_uint_fast64_t queue_lost; /* lines that had no room in the queue */
    struct mkv_queue *queue;
    struct mkv_log_store *store;
    struct mkv_log_output *standard_error;
    _Atomic(struct mkv_log_output *) file; /* NULL: none */
    sem_t wake;
    atomic_bool ended; /* nobody writes any more */
    pthread_t thread;
    bool started;

    /* The thread's own. */
    uint64_t tick_ns;
    uint64_t lost_told;
    uint64_t lost_told_ns;

    pthread_mutex_t periodic_mutex;
    void (*periodic)(void *context, uint64_t now_ns);
    void *periodic_context;
};

static struct whole_log *whole_of(struct mkv_log *log) {
    return (struct whole_log *)(void *)log;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* Puts a line into the queue, whatever the limits say. */
static void enqueue(struct whole_log *whole, const struct mkv_log_record *record) {
    uint64_t ticket;
    struct queued_line *queued = mkv_queue_reserve(whole->queue, &ticket);
    if (queued == NULL) {
        atomic_fetch_add(&whole->queue_lost, 1);
        return;
    }
    queued->bytes = mkv_log_line(record, whole->format, queued->line);
    mkv_queue_publish(whole->queue, ticket);
    /* It fails only when there are more posts than anyone can count, and then there are enough. */
    const int result = sem_post(&whole->wake);
    MKV_MAYBE(result != 0);
}

void mkv_log_write(struct mkv_log *log, enum mkv_log_site site, enum mkv_config_log_level level,
                   const char *target, const struct mkv_log_field *fields, uint32_t field_count,
                   const char *format, ...) {
    MKV_ASSERT(site < MKV_LOG_SITE_COUNT);
    MKV_ASSERT(level < MKV_LOG_LEVEL_COUNT);
    /* One place is kept for the count of what was suppressed. */
    MKV_ASSERT(field_count < MKV_LOG_FIELDS_MAX);
    const enum mkv_log_target target_index = mkv_log_target_find(target);
    if (!mkv_log_wants(log, target_index, level)) {
        return;
    }
    struct whole_log *whole = whole_of(log);
    atomic_fetch_add_explicit(&whole->counts[level], 1, memory_order_relaxed);
    uint64_t suppressed;
    struct site *place = &whole->sites[site];
    if (!mkv_log_limit_admit(&place->limit, &mkv_log_site_limits[site], mkv_clock_monotonic_ns(),
                             &suppressed)) {
        atomic_store_explicit(&place->level, (unsigned char)level, memory_order_relaxed);
        atomic_store_explicit(&place->target, (unsigned char)target_index, memory_order_relaxed);
        return;
    }
    char message[MKV_LOG_MESSAGE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct mkv_log_field all[MKV_LOG_FIELDS_MAX];
    for (uint32_t i = 0; i < field_count; i++) {
        all[i] = fields[i];
    }
    if (suppressed > 0) {
        all[field_count] = (struct mkv_log_field){.name = "suppressed", .number = suppressed};
        field_count++;
    }
    const struct mkv_log_record record = {
        .wall_ms = mkv_clock_wall_ms(),
        .level = level,
        .target = target,
        .message = message,
        .fields = all,
        .field_count = field_count,
    };
    enqueue(whole, &record);
}

/* A line of the log about itself, with one number. */
static void tell(struct whole_log *whole, enum mkv_config_log_level level, const char *target,
                 const struct mkv_log_field *fields, uint32_t field_count, const char *message) {
    atomic_fetch_add_explicit(&whole->counts[level], 1, memory_order_relaxed);
    const struct mkv_log_record record = {
        .wall_ms = mkv_clock_wall_ms(),
        .level = level,
        .target = target,
        .message = message,
        .fields = fields,
        .field_count = field_count,
    };
    enqueue(whole, &record);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void drain(struct whole_log *whole) {
    const struct queued_line *queued;
    while ((queued = mkv_queue_next(whole->queue)) != NULL) {
        mkv_log_store_add(whole->store, queued->line, queued->bytes);
        mkv_queue_take(whole->queue);
    }
}

/* Says what was suppressed at sites that write no more; with `all` at every site. */
static void tell_suppressed(struct whole_log *whole, uint64_t now_ns, bool all) {
    for (uint32_t i = 0; i < MKV_LOG_SITE_COUNT; i++) {
        struct site *site = &whole->sites[i];
        const struct mkv_log_site_limit *bounds = &mkv_log_site_limits[i];
        const uint64_t suppressed = all ? atomic_exchange(&site->limit.suppressed, 0)
                                        : mkv_log_limit_settle(&site->limit, bounds, now_ns);
        if (suppressed == 0) {
            continue;
        }
        char message[128];
        snprintf(message, sizeof message,
                 "%" PRIu64 " lines suppressed: more than %" PRIu32 " of this kind in %" PRIu32
                 " s",
                 suppressed, bounds->lines_max, bounds->window_s);
        const struct mkv_log_field fields[] = {
            {.name = "kind", .text = bounds->name},
            {.name = "suppressed", .number = suppressed},
        };
        tell(whole, (enum mkv_config_log_level)atomic_load(&site->level),
             mkv_log_targets[atomic_load(&site->target)], fields, 2, message);
    }
}

static void tell_lost(struct whole_log *whole, uint64_t now_ns) {
    const uint64_t lost = mkv_log_lost(&whole->log);
    if (lost == whole->lost_told || now_ns < whole->lost_told_ns + MKV_LOG_LOST_TOLD_NS) {
        return;
    }
    char message[128];
    snprintf(message, sizeof message,
             "%" PRIu64 " lines lost: a reader of the log, or the disk of its file, is too slow",
             lost - whole->lost_told);
    const struct mkv_log_field field = {.name = "lost", .number = lost - whole->lost_told};
    whole->lost_told = lost;
    whole->lost_told_ns = now_ns;
    if (mkv_log_wants(&whole->log, MKV_LOG_SERVER_LOG, MKV_CONFIG_LOG_WARN)) {
        tell(whole, MKV_CONFIG_LOG_WARN, TARGET, &field, 1, message);
    }
}

static void tick(struct whole_log *whole, uint64_t now_ns) {
    whole->tick_ns = now_ns;
    tell_suppressed(whole, now_ns, false);
    tell_lost(whole, now_ns);
    pthread_mutex_lock(&whole->periodic_mutex);
    if (whole->periodic != NULL) {
        whole->periodic(whole->periodic_context, now_ns);
    }
    pthread_mutex_unlock(&whole->periodic_mutex);
}

static void *log_thread(void *context) {
    struct whole_log *whole = context;
    (void)pthread_setname_np(pthread_self(), "memkv-log");
    whole->tick_ns = mkv_clock_monotonic_ns();
    for (;;) {
        const uint64_t until_ns = whole->tick_ns + MKV_LOG_TICK_NS;
        const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                       .tv_nsec = (long)(until_ns % NS_PER_S)};
        const int result = sem_clockwait(&whole->wake, CLOCK_MONOTONIC, &until);
        MKV_MAYBE(result != 0); /* the tick is due */
        const bool ended = atomic_load(&whole->ended);
        drain(whole);
        const uint64_t now_ns = mkv_clock_monotonic_ns();
        if (now_ns >= until_ns) {
            tick(whole, now_ns);
        }
        if (ended) {
            tell_suppressed(whole, now_ns, true);
            whole->lost_told_ns = 0;
            tell_lost(whole, now_ns);
            drain(whole);
            mkv_log_store_close(whole->store);
            return NULL;
        }
    }
}

static void reopen_failed(void *context, const char *path, int error_number) {
    const struct mkv_log_field fields[] = {
        {.name = "path", .text = path},
        {.name = "error", .text = strerrordesc_np(error_number)},
    };
    mkv_log_write(context, MKV_LOG_SITE_LOG, MKV_CONFIG_LOG_WARN, TARGET, fields, 2,
                  "the log's file cannot be opened again; lines go to the one before. Make its "
                  "directory writable and send SIGHUP again");
}

/* ---- creating and destroying ---------------------------------------------------------------- */

static void log_free(struct whole_log *whole) {
    mkv_queue_destroy(whole->queue);
    mkv_log_store_destroy(whole->store);
    pthread_mutex_destroy(&whole->periodic_mutex);
    sem_destroy(&whole->wake);
    free(whole);
}

/* Waits for the descriptors; false when one of them still holds its thread. */
static bool outputs_end(struct whole_log *whole) {
    const uint64_t deadline_ns = mkv_clock_monotonic_ns() + MKV_LOG_END_NS;
    bool ended = true;
    if (whole->standard_error != NULL) {
        ended = mkv_log_output_end(whole->standard_error, deadline_ns);
    }
    struct mkv_log_output *file = atomic_load(&whole->file);
    if (file != NULL) {
        ended = mkv_log_output_end(file, deadline_ns) && ended;
    }
    return ended;
}

static bool threads_start(struct whole_log *whole, int fd) {
    const struct mkv_log_output_options options = {.store = whole->store, .fd = fd};
    int error_number;
    whole->standard_error = mkv_log_output_create(&options, &error_number);
    if (whole->standard_error == NULL) {
        return false;
    }
    /* Signals are for the thread that takes them. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    whole->started = pthread_create(&whole->thread, NULL, log_thread, whole) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return whole->started;
}

struct mkv_log *mkv_log_create(int fd, enum mkv_config_log_level level,
                               enum mkv_config_log_format format) {
    struct whole_log *whole = calloc(1, sizeof *whole);
    if (whole == NULL) {
        return NULL;
    }
    int result = pthread_mutex_init(&whole->periodic_mutex, NULL);
    MKV_ASSERT(result == 0);
    result = sem_init(&whole->wake, 0, 0);
    MKV_ASSERT(result == 0);
    whole->format = format;
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        atomic_init(&whole->log.levels[target], (unsigned char)level);
    }
    whole->queue = mkv_queue_create(MKV_LOG_QUEUE_LINES, sizeof(struct queued_line));
    whole->store = mkv_log_store_create();
    if (whole->queue == NULL || whole->store == NULL) {
        log_free(whole);
        return NULL;
    }
    if (!threads_start(whole, fd)) {
        mkv_log_store_close(whole->store);
        if (outputs_end(whole)) {
            log_free(whole);
        }
        return NULL;
    }
    return &whole->log;
}

void mkv_log_destroy(struct mkv_log *log) {
    if (log == NULL) {
        return;
    }
    struct whole_log *whole = whole_of(log);
    atomic_store(&whole->ended, true);
    int result = sem_post(&whole->wake);
    MKV_MAYBE(result != 0);
    result = pthread_join(whole->thread, NULL);
    MKV_ASSERT(result == 0);
    /* What a descriptor holds on to stays until the process ends, which is about to. */
    if (outputs_end(whole)) {
        log_free(whole);
    }
}

int mkv_log_file(struct mkv_log *log, const char *path) {
    struct whole_log *whole = whole_of(log);
    MKV_ASSERT(atomic_load(&whole->file) == NULL);
    const struct mkv_log_output_options options = {
        .store = whole->store,
        .fd = -1,
        .path = path,
        .reopen_failed = reopen_failed,
        .context = log,
    };
    int error_number;
    struct mkv_log_output *file = mkv_log_output_create(&options, &error_number);
    atomic_store(&whole->file, file);
    return file == NULL ? error_number : 0;
}

bool mkv_log_reopen(struct mkv_log *log) {
    struct mkv_log_output *file = atomic_load(&whole_of(log)->file);
    if (file != NULL) {
        mkv_log_output_reopen(file);
    }
    return file != NULL;
}

/* ---- other calls ---------------------------------------------------------------------------- */

void mkv_log_filter_set(struct mkv_log *log, const struct mkv_log_filter *filter) {
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        atomic_store_explicit(&log->levels[target], (unsigned char)filter->levels[target],
                              memory_order_relaxed);
    }
}

void mkv_log_filter_get(const struct mkv_log *log, struct mkv_log_filter *filter) {
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        filter->levels[target] = (enum mkv_config_log_level)atomic_load_explicit(
            &log->levels[target], memory_order_relaxed);
    }
}

void mkv_log_counts(struct mkv_log *log, uint64_t counts[MKV_LOG_LEVEL_COUNT]) {
    for (uint32_t i = 0; i < MKV_LOG_LEVEL_COUNT; i++) {
        counts[i] = atomic_load_explicit(&whole_of(log)->counts[i], memory_order_relaxed);
    }
}

uint64_t mkv_log_lost(const struct mkv_log *log) {
    const struct whole_log *whole = (const struct whole_log *)(const void *)log;
    const struct mkv_log_output *file = atomic_load(&whole->file);
    return atomic_load(&whole->queue_lost) + mkv_log_output_lost(whole->standard_error) +
           (file == NULL ? 0 : mkv_log_output_lost(file));
}

char *mkv_log_last(struct mkv_log *log, uint32_t line_count, size_t *bytes) {
    return mkv_log_store_last(whole_of(log)->store, line_count, bytes);
}

static bool outputs_reach(const struct whole_log *whole, uint64_t end) {
    const struct mkv_log_output *file = atomic_load(&whole->file);
    return mkv_log_output_done(whole->standard_error) >= end &&
           (file == NULL || mkv_log_output_done(file) >= end);
}

bool mkv_log_flush(struct mkv_log *log, uint64_t ns_max) {
    struct whole_log *whole = whole_of(log);
    const uint64_t reserved = mkv_queue_reserved(whole->queue);
    const uint64_t deadline_ns = mkv_clock_monotonic_ns() + ns_max;
    const struct timespec pause = {.tv_nsec = FLUSH_POLL_NS};
    bool stored = false;
    uint64_t end = 0;
    while (mkv_clock_monotonic_ns() < deadline_ns) {
        if (!stored && mkv_queue_taken(whole->queue) >= reserved) {
            stored = true;
            end = mkv_log_store_end(whole->store);
        }
        if (stored && outputs_reach(whole, end)) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

void mkv_log_periodic(struct mkv_log *log, void (*periodic)(void *context, uint64_t now_ns),
                      void *context) {
    struct whole_log *whole = whole_of(log);
    pthread_mutex_lock(&whole->periodic_mutex);
    whole->periodic = periodic;
    whole->periodic_context = context;
    pthread_mutex_unlock(&whole->periodic_mutex);
}
