/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/telemetry_event.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S ((uint64_t)1000000000)
/* 9999-12-31T23:59:59.999Z. */
#define WALL_MS_MAX 253402300799999ull

/* ---- filling in ------------------------------------------------------------------------------ */

static struct mkv_telemetry_value *next_value(struct mkv_telemetry_event *event, const char *name,
                                              enum mkv_telemetry_type type) {
    MKV_ASSERT(event->value_count < MKV_TELEMETRY_VALUES_MAX);
    struct mkv_telemetry_value *value = &event->values[event->value_count++];
    value->name = name;
    value->type = type;
    return value;
}

void mkv_telemetry_integer(struct mkv_telemetry_event *event, const char *name, uint64_t value) {
    next_value(event, name, MKV_TELEMETRY_INTEGER)->integer = value;
}

void mkv_telemetry_float(struct mkv_telemetry_event *event, const char *name, double value) {
    next_value(event, name, MKV_TELEMETRY_FLOAT)->real = value;
}

void mkv_telemetry_bool(struct mkv_telemetry_event *event, const char *name, bool value) {
    next_value(event, name, MKV_TELEMETRY_BOOL)->truth = value;
}

void mkv_telemetry_string(struct mkv_telemetry_event *event, const char *name, const char *value) {
    next_value(event, name, MKV_TELEMETRY_STRING)->string = value;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct text {
    char *bytes;
    uint32_t count;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...) {
    const uint32_t room = MKV_TELEMETRY_TEXT_BYTES - text->count;
    va_list arguments;
    va_start(arguments, format);
    const int bytes = vsnprintf(text->bytes + text->count, room, format, arguments);
    va_end(arguments);
    MKV_ASSERT(bytes >= 0);
    MKV_ASSERT((uint32_t)bytes < room);
    text->count += (uint32_t)bytes;
}

static void put_string(struct text *text, const char *string) {
    put(text, "\"");
    for (uint32_t i = 0; i < MKV_TELEMETRY_WORD_BYTES_MAX && string[i] != '\0'; i++) {
        put(text, string[i] == '"' || string[i] == '\\' ? "\\%c" : "%c", string[i]);
    }
    put(text, "\"");
}

static void put_value(struct text *text, const struct mkv_telemetry_value *value) {
    switch (value->type) {
    case MKV_TELEMETRY_INTEGER:
        put(text, "%" PRIu64, value->integer);
        return;
    case MKV_TELEMETRY_FLOAT:
        /* JSON has no other numbers. */
        put(text, "%.9g", isfinite(value->real) ? value->real : 0.0);
        return;
    case MKV_TELEMETRY_BOOL:
        put(text, "%s", value->truth ? "true" : "false");
        return;
    case MKV_TELEMETRY_STRING:
        put_string(text, value->string);
        return;
    }
    MKV_ASSERT(false);
}

static void put_metadata(struct text *text, const struct mkv_telemetry_event *event) {
    put(text, "{");
    for (uint32_t i = 0; i < event->value_count; i++) {
        put(text, i == 0 ? "" : ",");
        put_string(text, event->values[i].name);
        put(text, ":");
        put_value(text, &event->values[i]);
    }
    put(text, "}");
}

static const char *kind_word(enum mkv_telemetry_kind kind) {
    return kind == MKV_TELEMETRY_START ? "START" : "END";
}

void mkv_telemetry_session(uint64_t serial, struct mkv_connection_id connection,
                           char out[MKV_TELEMETRY_SESSION_BYTES]) {
    snprintf(out, MKV_TELEMETRY_SESSION_BYTES, "req-%" PRIu64 "-%" PRIu32, serial,
             connection.index);
}

uint32_t mkv_telemetry_line(const struct mkv_telemetry_event *event,
                            char out[MKV_TELEMETRY_TEXT_BYTES]) {
    struct text text = {.bytes = out};
    char session[MKV_TELEMETRY_SESSION_BYTES];
    mkv_telemetry_session(event->serial, event->connection, session);
    const uint64_t ms = event->monotonic_ns / 1000000;
    put(&text, "Telemetry: %s %s session=%s ts=%" PRIu64 ".%03u metadata=", event->name,
        kind_word(event->kind), session, ms / 1000, (unsigned)(ms % 1000));
    put_metadata(&text, event);
    return text.count;
}

uint32_t mkv_telemetry_json(const struct mkv_telemetry_event *event,
                            char out[MKV_TELEMETRY_TEXT_BYTES]) {
    struct text text = {.bytes = out};
    char session[MKV_TELEMETRY_SESSION_BYTES];
    char time_text[32];
    mkv_telemetry_session(event->serial, event->connection, session);
    const uint64_t wall_ms = mkv_min_u64(event->wall_ms, WALL_MS_MAX);
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    MKV_ASSERT(gmtime_r(&seconds, &parts) != NULL);
    const size_t bytes = strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &parts);
    MKV_ASSERT(bytes > 0);
    put(&text, "{\"name\":");
    put_string(&text, event->name);
    put(&text,
        ",\"event_type\":\"%s\",\"session_id\":\"%s\",\"timestamp\":%" PRIu64 ".%09" PRIu64
        ",\"time\":\"%s.%03uZ\",\"metadata\":",
        kind_word(event->kind), session, event->monotonic_ns / NS_PER_S,
        event->monotonic_ns % NS_PER_S, time_text, (unsigned)(wall_ms % 1000));
    put_metadata(&text, event);
    put(&text, "}");
    return text.count;
}
