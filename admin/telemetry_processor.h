/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes events of telemetry. Each is described by a JSON object with a `type`:
 *
 *   {"type":"logging","log_level":"DEBUG"}   a line of the log for each event; the level is DEBUG
 *                                            (by itself), INFO, WARNING, ERROR or CRITICAL
 *   {"type":"jsonl","path":"/var/log/x"}     a line of JSON in a file for each event
 *   {"type":"otlp","endpoint":"http://h:4318"}
 *                                            a log record for each event, at a collector of OTLP
 *
 * Invariants
 *  I1  A processor never waits: what a file, pipe or exporter does not take at once is given up.
 *  I2  It is used by one thread.
 *
 * Not responsible for: the queue (telemetry.h).
 */
#ifndef MKV_ADMIN_TELEMETRY_PROCESSOR_H
#define MKV_ADMIN_TELEMETRY_PROCESSOR_H

#include "admin/otlp.h"
#include "admin/telemetry_event.h"

#define MKV_TELEMETRY_PROCESSORS_MAX 8u
#define MKV_TELEMETRY_PATH_BYTES 1024u
#define MKV_TELEMETRY_PROBLEM_BYTES 192u

enum mkv_telemetry_processor_type {
    MKV_TELEMETRY_LOGGING = 0,
    MKV_TELEMETRY_JSONL,
    MKV_TELEMETRY_OTLP,
};

/* As Python's logging has them: CRITICAL is our ERROR. */
enum mkv_telemetry_log_level {
    MKV_TELEMETRY_LOG_DEBUG = 0,
    MKV_TELEMETRY_LOG_INFO,
    MKV_TELEMETRY_LOG_WARNING,
    MKV_TELEMETRY_LOG_ERROR,
    MKV_TELEMETRY_LOG_CRITICAL,
};

struct mkv_telemetry_processor_spec {
    enum mkv_telemetry_processor_type type;
    enum mkv_telemetry_log_level log_level; /* LOGGING */
    char path[MKV_TELEMETRY_PATH_BYTES];    /* JSONL */
    struct mkv_otlp_endpoint endpoint;      /* OTLP */
};

/* Reads one object, or an array of up to MKV_TELEMETRY_PROCESSORS_MAX. `problem` is the end of a
 * sentence that begins with where the text stands. */
__attribute__((warn_unused_result)) bool mkv_telemetry_processors_parse(
    const char *text, struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX],
    uint32_t *count, char problem[MKV_TELEMETRY_PROBLEM_BYTES]);

/* Where lines of LOGGING go, what is wrong with a collector, and whose events OTLP tells of. */
struct mkv_telemetry_log {
    void *context;
    struct mkv_otlp_resource resource; /* its texts outlive the processor */
    /* On the thread of an exporter. */
    void (*report)(void *context, bool failing, const char *text);
    bool (*wants)(void *context, enum mkv_telemetry_log_level level);
    void (*write)(void *context, enum mkv_telemetry_log_level level, const char *line);
};

struct mkv_telemetry_processor;

/* NULL when there is no memory or no thread. A file is opened when there is something for it, and
 * tried again later where it cannot be. */
struct mkv_telemetry_processor *mkv_telemetry_processor_create(
    const struct mkv_telemetry_processor_spec *spec, const struct mkv_telemetry_log *log);
/* NULL is allowed. */
void mkv_telemetry_processor_destroy(struct mkv_telemetry_processor *processor);

void mkv_telemetry_processor_take(struct mkv_telemetry_processor *processor,
                                  const struct mkv_telemetry_event *event);
/* Hands on what was taken; false when some of it was given up since the last time, and then why. */
__attribute__((warn_unused_result)) bool mkv_telemetry_processor_flush(
    struct mkv_telemetry_processor *processor, char problem[MKV_TELEMETRY_PROBLEM_BYTES]);
/* A file that was renamed gives way to a new one. */
void mkv_telemetry_processor_reopen(struct mkv_telemetry_processor *processor);

#endif
