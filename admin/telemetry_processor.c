/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/telemetry_processor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE 0640
#define BUFFER_BYTES 65536u
#define NS_PER_MS 1000000u
#define NS_PER_S 1e9
_Static_assert(BUFFER_BYTES >= 2 * MKV_TELEMETRY_TEXT_BYTES, "an event has room");

struct mkv_telemetry_processor {
    struct mkv_telemetry_processor_spec spec;
    struct mkv_telemetry_log log;
    struct mkv_otlp *otlp; /* OTLP */
    /* JSONL */
    int fd;           /* -1: not open */
    bool torn;        /* the file ends in the middle of a line */
    int error_number; /* of what was given up since the last flush; 0: nothing was */
    uint32_t used;
    char buffer[BUFFER_BYTES];
};

/* ---- what the text says ---------------------------------------------------------------------- */

static bool log_level_parse(const char *word, enum mkv_telemetry_log_level *level) {
    static const char *const words[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *level = (enum mkv_telemetry_log_level)i;
            return true;
        }
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static bool refuse(char problem[MKV_TELEMETRY_PROBLEM_BYTES],
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, MKV_TELEMETRY_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    /* What is quoted may hold anything. */
    for (char *c = problem; *c != '\0'; c++) {
        *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
    }
    return false;
}

static bool spec_parse(json_t *object, struct mkv_telemetry_processor_spec *spec,
                       char problem[MKV_TELEMETRY_PROBLEM_BYTES]) {
    const char *type = json_string_value(json_object_get(object, "type"));
    if (type == NULL) {
        return refuse(problem, "a processor has no type; use {\"type\":\"logging\"}, jsonl with a "
                               "path or otlp with an endpoint");
    }
    memset(spec, 0, sizeof *spec);
    const char *option = NULL;
    if (strcmp(type, "logging") == 0) {
        spec->type = MKV_TELEMETRY_LOGGING;
        option = "log_level";
    } else if (strcmp(type, "jsonl") == 0) {
        spec->type = MKV_TELEMETRY_JSONL;
        option = "path";
    } else if (strcmp(type, "otlp") == 0) {
        spec->type = MKV_TELEMETRY_OTLP;
        option = "endpoint";
    } else {
        return refuse(problem, "there is no processor of type '%.40s'; use logging, jsonl or otlp",
                      type);
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        if (strcmp(name, "type") != 0 && strcmp(name, option) != 0) {
            return refuse(problem, "a processor of type %s has no '%.40s'; use %s", type, name,
                          option);
        }
        if (json_string_value(value) == NULL) {
            return refuse(problem, "'%s' of a processor is no text", name);
        }
    }
    const char *chosen = json_string_value(json_object_get(object, option));
    if (spec->type == MKV_TELEMETRY_LOGGING) {
        return chosen == NULL || log_level_parse(chosen, &spec->log_level) ||
               refuse(problem,
                      "log_level '%.40s' is none; use DEBUG, INFO, WARNING, ERROR or CRITICAL",
                      chosen);
    }
    if (spec->type == MKV_TELEMETRY_OTLP) {
        const char *wrong = chosen == NULL
                                ? "is not there; use http://HOST:4318 or grpc://HOST:4317"
                                : mkv_otlp_endpoint_parse(chosen, &spec->endpoint);
        return wrong == NULL ||
               refuse(problem, "the endpoint of a processor of type otlp %s", wrong);
    }
    if (chosen == NULL || chosen[0] == '\0' || strlen(chosen) >= sizeof spec->path) {
        return refuse(problem, "a processor of type jsonl needs a path of up to %zu bytes",
                      sizeof spec->path - 1);
    }
    memcpy(spec->path, chosen, strlen(chosen) + 1);
    return true;
}

bool mkv_telemetry_processors_parse(
    const char *text, struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX],
    uint32_t *count, char problem[MKV_TELEMETRY_PROBLEM_BYTES]) {
    json_error_t error;
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (all == NULL) {
        return refuse(problem, "this is no JSON: %.80s; use {\"type\":\"logging\"}", error.text);
    }
    const size_t wanted = json_is_array(all) ? json_array_size(all) : 1;
    bool parsed = true;
    if (wanted > MKV_TELEMETRY_PROCESSORS_MAX || (!json_is_array(all) && !json_is_object(all))) {
        parsed = refuse(problem, "processors are an object, or up to %u in an array",
                        MKV_TELEMETRY_PROCESSORS_MAX);
    }
    *count = 0;
    for (size_t i = 0; parsed && i < wanted; i++) {
        parsed = spec_parse(json_is_array(all) ? json_array_get(all, i) : all, &specs[i], problem);
        *count = (uint32_t)i + 1;
    }
    json_decref(all);
    return parsed;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool file_open(struct mkv_telemetry_processor *processor) {
    if (processor->fd >= 0) {
        return true;
    }
    processor->fd =
        open(processor->spec.path,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, FILE_MODE);
    if (processor->fd < 0) {
        processor->error_number = errno;
        return false;
    }
    processor->torn = false;
    return true;
}

/* Writes what waits; what is not taken at once is given up. */
static void file_write(struct mkv_telemetry_processor *processor) {
    uint32_t start = 0;
    const uint32_t used = processor->used;
    processor->used = 0;
    if (used == 0 || !file_open(processor)) {
        return;
    }
    if (processor->torn && write(processor->fd, "\n", 1) == 1) {
        processor->torn = false;
    }
    while (start < used) {
        const ssize_t written = write(processor->fd, processor->buffer + start, used - start);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            processor->error_number = errno;
            return;
        }
        start += (uint32_t)written;
        processor->torn = start > 0 && processor->buffer[start - 1] != '\n';
    }
}

static void file_take(struct mkv_telemetry_processor *processor,
                      const struct mkv_telemetry_event *event) {
    if (processor->used + MKV_TELEMETRY_TEXT_BYTES + 1 > BUFFER_BYTES) {
        file_write(processor);
    }
    char *end = processor->buffer + processor->used;
    const uint32_t bytes = mkv_telemetry_json(event, end);
    end[bytes] = '\n';
    processor->used += bytes + 1;
}

/* ---- collectors ------------------------------------------------------------------------------ */

static bool otlp_start(struct mkv_telemetry_processor *processor) {
    struct mkv_otlp_options options = MKV_OTLP_OPTIONS_DEFAULT;
    options.kind = MKV_OTLP_LOG_RECORDS;
    options.endpoint = processor->spec.endpoint;
    options.resource = processor->log.resource;
    options.report = processor->log.report;
    options.report_context = processor->log.context;
    processor->otlp = mkv_otlp_start(&options);
    return processor->otlp != NULL;
}

static void set_attribute(struct mkv_span *record, const struct mkv_telemetry_value *value) {
    switch (value->type) {
    case MKV_TELEMETRY_INTEGER:
        mkv_span_number(record, value->name, value->integer);
        return;
    case MKV_TELEMETRY_FLOAT:
        mkv_span_real(record, value->name, value->real);
        return;
    case MKV_TELEMETRY_BOOL:
        mkv_span_truth(record, value->name, value->truth);
        return;
    case MKV_TELEMETRY_STRING:
        mkv_span_text(record, value->name, value->string);
        return;
    }
    MKV_ASSERT(false);
}

static void otlp_take(struct mkv_telemetry_processor *processor,
                      const struct mkv_telemetry_event *event) {
    _Static_assert(MKV_TELEMETRY_VALUES_MAX + 3 <= MKV_SPAN_ATTRIBUTES_MAX, "attributes fit");
    struct mkv_span *record = mkv_otlp_reserve(processor->otlp, 0);
    if (record == NULL) {
        processor->error_number = EAGAIN;
        return;
    }
    char session[MKV_TELEMETRY_SESSION_BYTES];
    mkv_telemetry_session(event->serial, event->connection, session);
    record->name = event->name;
    record->start_ns = event->wall_ms * NS_PER_MS;
    record->end_ns = record->start_ns;
    mkv_span_text(record, "event_type", event->kind == MKV_TELEMETRY_START ? "START" : "END");
    mkv_span_copy(record, "session_id", session, strlen(session));
    mkv_span_real(record, "timestamp", (double)event->monotonic_ns / NS_PER_S);
    for (uint32_t i = 0; i < event->value_count; i++) {
        set_attribute(record, &event->values[i]);
    }
    mkv_otlp_commit(processor->otlp, 0);
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct mkv_telemetry_processor *mkv_telemetry_processor_create(
    const struct mkv_telemetry_processor_spec *spec, const struct mkv_telemetry_log *log) {
    struct mkv_telemetry_processor *processor = calloc(1, sizeof *processor);
    if (processor != NULL) {
        processor->spec = *spec;
        processor->log = *log;
        processor->fd = -1;
    }
    if (processor != NULL && spec->type == MKV_TELEMETRY_OTLP && !otlp_start(processor)) {
        free(processor);
        return NULL;
    }
    return processor;
}

void mkv_telemetry_processor_destroy(struct mkv_telemetry_processor *processor) {
    if (processor == NULL) {
        return;
    }
    if (processor->fd >= 0) {
        close(processor->fd);
    }
    struct mkv_otlp_counts counts;
    mkv_otlp_stop(processor->otlp, &counts);
    free(processor);
}

void mkv_telemetry_processor_take(struct mkv_telemetry_processor *processor,
                                  const struct mkv_telemetry_event *event) {
    const struct mkv_telemetry_log *log = &processor->log;
    switch (processor->spec.type) {
    case MKV_TELEMETRY_LOGGING:
        if (log->wants(log->context, processor->spec.log_level)) {
            char line[MKV_TELEMETRY_TEXT_BYTES];
            (void)mkv_telemetry_line(event, line);
            log->write(log->context, processor->spec.log_level, line);
        }
        return;
    case MKV_TELEMETRY_JSONL:
        file_take(processor, event);
        return;
    case MKV_TELEMETRY_OTLP:
        otlp_take(processor, event);
        return;
    }
    MKV_ASSERT(false);
}

bool mkv_telemetry_processor_flush(struct mkv_telemetry_processor *processor,
                                   char problem[MKV_TELEMETRY_PROBLEM_BYTES]) {
    file_write(processor);
    if (processor->error_number == 0) {
        return true;
    }
    const int error_number = processor->error_number;
    processor->error_number = 0;
    if (processor->spec.type == MKV_TELEMETRY_OTLP) {
        return refuse(problem, "otlp: its collector %.100s is too slow",
                      processor->spec.endpoint.base);
    }
    return refuse(problem, "jsonl %.100s: %s", processor->spec.path,
                  error_number == EAGAIN ? "its reader is too slow"
                                         : strerrordesc_np(error_number));
}

void mkv_telemetry_processor_reopen(struct mkv_telemetry_processor *processor) {
    file_write(processor);
    if (processor->fd >= 0) {
        close(processor->fd);
    }
    processor->fd = -1;
}
