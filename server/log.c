/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/clock.h"

#define WINDOW_NS 1000000000ull
/* A descriptor that takes a line in more pieces than this is given up for this line. */
#define WRITE_TRIES_MAX 16u

struct mkv_log {
    pthread_mutex_t mutex;
    int fd;
    enum mkv_config_log_level level;
    enum mkv_config_log_format format;
    struct mkv_log_limit limits[MKV_LOG_SITE_COUNT];
    uint64_t counts[MKV_LOG_LEVEL_COUNT];
    char line[MKV_LOG_LINE_BYTES_MAX + 1];
};

struct mkv_log *mkv_log_create(int fd, enum mkv_config_log_level level,
                               enum mkv_config_log_format format) {
    struct mkv_log *log = calloc(1, sizeof *log);
    if (log == NULL) {
        return NULL;
    }
    int result = pthread_mutex_init(&log->mutex, NULL);
    MKV_ASSERT(result == 0);
    log->fd = fd;
    log->level = level;
    log->format = format;
    return log;
}

/* What a full disk or a reader that has gone does not take is lost: there is nobody to tell. */
static void write_whole(int fd, const char *bytes, size_t count) {
    for (uint32_t tries = 0; tries < WRITE_TRIES_MAX && count > 0; tries++) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno != EINTR) {
            return;
        }
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
}

static void write_record(struct mkv_log *log, const struct mkv_log_record *record) {
    uint32_t count = mkv_log_line(record, log->format, log->line);
    write_whole(log->fd, log->line, count);
}

void mkv_log_destroy(struct mkv_log *log) {
    if (log == NULL) {
        return;
    }
    uint64_t suppressed = 0;
    for (uint32_t i = 0; i < MKV_LOG_SITE_COUNT; i++) {
        suppressed += log->limits[i].suppressed;
    }
    if (suppressed > 0 && log->level >= MKV_CONFIG_LOG_WARN) {
        const struct mkv_log_field field = {.name = "suppressed", .number = suppressed};
        const struct mkv_log_record record = {
            .wall_ms = mkv_clock_wall_ms(),
            .level = MKV_CONFIG_LOG_WARN,
            .target = "server.log",
            .message = "the last lines of some kinds were too many and were not written",
            .fields = &field,
            .field_count = 1,
        };
        write_record(log, &record);
    }
    pthread_mutex_destroy(&log->mutex);
    free(log);
}

bool mkv_log_limit_admit(struct mkv_log_limit *limit, uint64_t now_ns, uint64_t *suppressed) {
    *suppressed = 0;
    if (now_ns - limit->window_start_ns >= WINDOW_NS) {
        limit->window_start_ns = now_ns;
        limit->lines = 0;
    }
    if (limit->lines >= MKV_LOG_SITE_LINES_MAX) {
        limit->suppressed++;
        return false;
    }
    limit->lines++;
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}

void mkv_log_write(struct mkv_log *log, enum mkv_log_site site, enum mkv_config_log_level level,
                   const char *target, const struct mkv_log_field *fields, uint32_t field_count,
                   const char *format, ...) {
    MKV_ASSERT(site < MKV_LOG_SITE_COUNT);
    MKV_ASSERT(level < MKV_LOG_LEVEL_COUNT);
    /* One place is kept for the count of what was suppressed. */
    MKV_ASSERT(field_count < MKV_LOG_FIELDS_MAX);
    if (level > log->level) {
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
    pthread_mutex_lock(&log->mutex);
    __atomic_store_n(&log->counts[level], log->counts[level] + 1, __ATOMIC_RELAXED);
    uint64_t suppressed;
    if (mkv_log_limit_admit(&log->limits[site], mkv_clock_monotonic_ns(), &suppressed)) {
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
        write_record(log, &record);
    }
    pthread_mutex_unlock(&log->mutex);
}

void mkv_log_counts(struct mkv_log *log, uint64_t counts[MKV_LOG_LEVEL_COUNT]) {
    for (uint32_t i = 0; i < MKV_LOG_LEVEL_COUNT; i++) {
        counts[i] = __atomic_load_n(&log->counts[i], __ATOMIC_RELAXED);
    }
}
