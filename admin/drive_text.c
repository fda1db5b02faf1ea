/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive of GET /v1/drives/NAME for people, with what to do at the end. The answer is another
 * machine's: what it lacks is "-".
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/drives.h"
#include "admin/table.h"

#define TEXT_BYTES 512u
#define CELL_BYTES 32u

static const json_t *field(const json_t *object, const char *name) {
    return json_object_get(object, name);
}

static uint64_t count_of(const json_t *object, const char *name) {
    const json_int_t value = json_integer_value(field(object, name));
    return value < 0 ? 0 : (uint64_t)value;
}

static void text_of(const json_t *object, const char *name, char target[TEXT_BYTES]) {
    const char *value = json_string_value(field(object, name));
    mkv_text_clean(value == NULL || value[0] == '\0' ? "-" : value, target, TEXT_BYTES);
}

static void append_line(struct mkv_text *out, const char *name, const char *value) {
    mkv_text_format(out, "%-11s %s\n", name, value);
}

static void append_identity(struct mkv_text *out, const json_t *drive) {
    char first[TEXT_BYTES];
    char second[TEXT_BYTES];
    char third[TEXT_BYTES];
    text_of(drive, "device_id", first);
    text_of(drive, "path", second);
    mkv_text_format(out, "%-11s %s  %s\n", "drive", first, second);
    text_of(drive, "state", first);
    text_of(drive, "state_since", second);
    mkv_text_format(out, "%-11s %s since %s\n", "state", first, second);
    text_of(drive, "failure", first);
    text_of(drive, "failure_text", second);
    if (json_is_string(field(drive, "failure"))) {
        mkv_text_format(out, "%-11s %s: %s\n", "failure", first, second);
    } else {
        append_line(out, "failure", "none");
    }
    text_of(drive, "model", first);
    text_of(drive, "serial", second);
    text_of(drive, "firmware", third);
    mkv_text_format(out, "%-11s %s  serial %s  firmware %s\n", "model", first, second, third);
    text_of(drive, "uuid", first);
    append_line(out, "uuid", first);
}

static void append_error(struct mkv_text *out, const json_t *error) {
    if (!json_is_object(error)) {
        append_line(out, "last error", "none since it was opened");
        return;
    }
    char operation[TEXT_BYTES];
    char name[TEXT_BYTES];
    char message[TEXT_BYTES];
    char time[TEXT_BYTES];
    text_of(error, "operation", operation);
    text_of(error, "name", name);
    text_of(error, "message", message);
    text_of(error, "time", time);
    mkv_text_format(out, "%-11s %s: %s (errno %" PRIu64 ", %s) at %s\n", "last error", operation,
                    name, count_of(error, "errno"), message, time);
}

static void append_health(struct mkv_text *out, const json_t *smart) {
    char text[TEXT_BYTES];
    char time[TEXT_BYTES];
    char written[MKV_TABLE_SIZE_BYTES];
    if (!json_is_true(field(smart, "available"))) {
        text_of(smart, "why", text);
        mkv_text_format(out, "%-11s not available: %s\n", "health", text);
        return;
    }
    text_of(smart, "warning", text);
    text_of(smart, "time", time);
    mkv_table_size(count_of(smart, "written_bytes"), written);
    mkv_text_format(out,
                    "%-11s %s, %" PRIu64 " %% of its life used, spare %" PRIu64
                    " %% (least %" PRIu64 " %%), %" PRId64 " degrees Celsius, at %s\n",
                    "health", json_is_string(field(smart, "warning")) ? text : "no warning",
                    count_of(smart, "used_percent"), count_of(smart, "spare_percent"),
                    count_of(smart, "spare_threshold_percent"),
                    (int64_t)json_integer_value(field(smart, "temperature_celsius")), time);
    mkv_text_format(out,
                    "%-11s %s written, %" PRIu64 " h on, %" PRIu64 " media errors, %" PRIu64
                    " unsafe shutdowns\n",
                    "", written, count_of(smart, "power_on_hours"), count_of(smart, "media_errors"),
                    count_of(smart, "unsafe_shutdowns"));
}

static void append_room(struct mkv_text *out, const json_t *drive) {
    const uint64_t used = count_of(drive, "used_bytes");
    const uint64_t usable = count_of(drive, "usable_bytes");
    char used_text[MKV_TABLE_SIZE_BYTES];
    char usable_text[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(used, used_text);
    mkv_table_size(usable, usable_text);
    mkv_text_format(out, "%-11s %s of %s, %.1f %%, %" PRIu64 " blocks\n", "fill", used_text,
                    usable_text, usable == 0 ? 0 : 100 * (double)used / (double)usable,
                    count_of(drive, "blocks"));
    const json_t *set = field(drive, "drive_set");
    mkv_text_format(out, "%-11s version %" PRIu64 ", %" PRIu64 " members\n", "drive set",
                    count_of(set, "version"), count_of(set, "members"));
}

static void latency_text(const json_t *object, const char *name, char target[CELL_BYTES]) {
    if (json_is_integer(field(object, name))) {
        snprintf(target, CELL_BYTES, "%.3f ms", (double)count_of(object, name) / 1000);
    } else {
        snprintf(target, CELL_BYTES, "-");
    }
}

static void append_operations(struct mkv_text *out, const json_t *drive) {
    static const char *const ops[] = {"read", "write", "flush", "trim"};
    mkv_text_format(out, "\n%-6s %12s %12s %14s %9s %12s %8s\n", "OP", "P50", "P99", "SIBLINGS P99",
                    "IN FLIGHT", "OPERATIONS", "ERRORS");
    for (size_t index = 0; index < sizeof ops / sizeof ops[0]; index++) {
        const json_t *latency = field(field(drive, "latency"), ops[index]);
        const json_t *io = field(field(drive, "io"), ops[index]);
        char p50[CELL_BYTES];
        char p99[CELL_BYTES];
        char siblings[CELL_BYTES];
        latency_text(latency, "p50_us", p50);
        latency_text(latency, "p99_us", p99);
        latency_text(latency, "siblings_p99_us", siblings);
        mkv_text_format(out, "%-6s %12s %12s %14s %9" PRIu64 " %12" PRIu64 " %8" PRIu64 "\n",
                        ops[index], p50, p99, siblings, count_of(io, "in_flight"),
                        count_of(io, "operations"), count_of(io, "errors"));
    }
}

static void append_next(struct mkv_text *out, const json_t *next) {
    size_t index;
    const json_t *step;
    mkv_text_string(out, "\n");
    if (json_array_size(next) == 0) {
        append_line(out, "to do", "nothing");
        return;
    }
    json_array_foreach(next, index, step) {
        char clean[TEXT_BYTES];
        const char *text = json_string_value(step);
        mkv_text_clean(text == NULL ? "-" : text, clean, sizeof clean);
        append_line(out, index == 0 ? "to do" : "", clean);
    }
}

void mkv_drive_text(const json_t *answer, struct mkv_text *out) {
    append_identity(out, answer);
    append_error(out, field(answer, "last_error"));
    append_health(out, field(answer, "smart"));
    append_room(out, answer);
    append_operations(out, answer);
    append_next(out, field(answer, "next"));
}
