/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive of GET /v1/drives/NAME for people, with what to do at the end. The answer is another
 * machine's: what it lacks is "-".
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/drives.h"
#include "admin/field.h"
#include "admin/table.h"

#define CELL_BYTES 32u

static void append_line(struct mkv_text *out, const char *name, const char *value) {
    mkv_text_format(out, "%-11s %s\n", name, value);
}

static void append_identity(struct mkv_text *out, const json_t *drive) {
    char first[MKV_FIELD_TEXT_BYTES];
    char second[MKV_FIELD_TEXT_BYTES];
    char third[MKV_FIELD_TEXT_BYTES];
    mkv_field_text(drive, "device_id", first);
    mkv_field_text(drive, "path", second);
    mkv_text_format(out, "%-11s %s  %s\n", "drive", first, second);
    mkv_field_text(drive, "state", first);
    mkv_field_text(drive, "state_since", second);
    mkv_text_format(out, "%-11s %s since %s\n", "state", first, second);
    mkv_field_text(drive, "failure", first);
    mkv_field_text(drive, "failure_text", second);
    if (json_is_string(mkv_field(drive, "failure"))) {
        mkv_text_format(out, "%-11s %s: %s\n", "failure", first, second);
    } else {
        append_line(out, "failure", "none");
    }
    mkv_field_text(drive, "model", first);
    mkv_field_text(drive, "serial", second);
    mkv_field_text(drive, "firmware", third);
    mkv_text_format(out, "%-11s %s  serial %s  firmware %s\n", "model", first, second, third);
    mkv_field_text(drive, "uuid", first);
    append_line(out, "uuid", first);
}

static void append_error(struct mkv_text *out, const json_t *error) {
    if (!json_is_object(error)) {
        append_line(out, "last error", "none since it was opened");
        return;
    }
    char operation[MKV_FIELD_TEXT_BYTES];
    char name[MKV_FIELD_TEXT_BYTES];
    char message[MKV_FIELD_TEXT_BYTES];
    char time[MKV_FIELD_TEXT_BYTES];
    mkv_field_text(error, "operation", operation);
    mkv_field_text(error, "name", name);
    mkv_field_text(error, "message", message);
    mkv_field_text(error, "time", time);
    mkv_text_format(out, "%-11s %s: %s (errno %" PRIu64 ", %s) at %s\n", "last error", operation,
                    name, mkv_field_count(error, "errno"), message, time);
}

static void append_health(struct mkv_text *out, const json_t *smart) {
    char text[MKV_FIELD_TEXT_BYTES];
    char time[MKV_FIELD_TEXT_BYTES];
    char written[MKV_TABLE_SIZE_BYTES];
    if (!json_is_true(mkv_field(smart, "available"))) {
        mkv_field_text(smart, "why", text);
        mkv_text_format(out, "%-11s not available: %s\n", "health", text);
        return;
    }
    mkv_field_text(smart, "warning", text);
    mkv_field_text(smart, "time", time);
    mkv_table_size(mkv_field_count(smart, "written_bytes"), written);
    mkv_text_format(out,
                    "%-11s %s, %" PRIu64 " %% of its life used, spare %" PRIu64
                    " %% (least %" PRIu64 " %%), %" PRId64 " degrees Celsius, at %s\n",
                    "health", json_is_string(mkv_field(smart, "warning")) ? text : "no warning",
                    mkv_field_count(smart, "used_percent"), mkv_field_count(smart, "spare_percent"),
                    mkv_field_count(smart, "spare_threshold_percent"),
                    (int64_t)json_integer_value(mkv_field(smart, "temperature_celsius")), time);
    mkv_text_format(out,
                    "%-11s %s written, %" PRIu64 " h on, %" PRIu64 " media errors, %" PRIu64
                    " unsafe shutdowns\n",
                    "", written, mkv_field_count(smart, "power_on_hours"),
                    mkv_field_count(smart, "media_errors"),
                    mkv_field_count(smart, "unsafe_shutdowns"));
}

static void append_room(struct mkv_text *out, const json_t *drive) {
    const uint64_t used = mkv_field_count(drive, "used_bytes");
    const uint64_t usable = mkv_field_count(drive, "usable_bytes");
    char used_text[MKV_TABLE_SIZE_BYTES];
    char usable_text[MKV_TABLE_SIZE_BYTES];
    mkv_table_size(used, used_text);
    mkv_table_size(usable, usable_text);
    mkv_text_format(out, "%-11s %s of %s, %.1f %%, %" PRIu64 " blocks\n", "fill", used_text,
                    usable_text, usable == 0 ? 0 : 100 * (double)used / (double)usable,
                    mkv_field_count(drive, "blocks"));
    const json_t *set = mkv_field(drive, "drive_set");
    mkv_text_format(out, "%-11s version %" PRIu64 ", %" PRIu64 " members\n", "drive set",
                    mkv_field_count(set, "version"), mkv_field_count(set, "members"));
}

static void latency_text(const json_t *object, const char *name, char target[CELL_BYTES]) {
    if (json_is_integer(mkv_field(object, name))) {
        snprintf(target, CELL_BYTES, "%.3f ms", (double)mkv_field_count(object, name) / 1000);
    } else {
        snprintf(target, CELL_BYTES, "-");
    }
}

static void append_operations(struct mkv_text *out, const json_t *drive) {
    static const char *const ops[] = {"read", "write", "flush", "trim"};
    mkv_text_format(out, "\n%-6s %12s %12s %14s %9s %12s %8s\n", "OP", "P50", "P99", "SIBLINGS P99",
                    "IN FLIGHT", "OPERATIONS", "ERRORS");
    for (size_t index = 0; index < sizeof ops / sizeof ops[0]; index++) {
        const json_t *latency = mkv_field(mkv_field(drive, "latency"), ops[index]);
        const json_t *io = mkv_field(mkv_field(drive, "io"), ops[index]);
        char p50[CELL_BYTES];
        char p99[CELL_BYTES];
        char siblings[CELL_BYTES];
        latency_text(latency, "p50_us", p50);
        latency_text(latency, "p99_us", p99);
        latency_text(latency, "siblings_p99_us", siblings);
        mkv_text_format(out, "%-6s %12s %12s %14s %9" PRIu64 " %12" PRIu64 " %8" PRIu64 "\n",
                        ops[index], p50, p99, siblings, mkv_field_count(io, "in_flight"),
                        mkv_field_count(io, "operations"), mkv_field_count(io, "errors"));
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
        char clean[MKV_FIELD_TEXT_BYTES];
        const char *text = json_string_value(step);
        mkv_text_clean(text == NULL ? "-" : text, clean, sizeof clean);
        append_line(out, index == 0 ? "to do" : "", clean);
    }
}

void mkv_drive_text(const json_t *answer, struct mkv_text *out) {
    append_identity(out, answer);
    append_error(out, mkv_field(answer, "last_error"));
    append_health(out, mkv_field(answer, "smart"));
    append_room(out, answer);
    append_operations(out, answer);
    append_next(out, mkv_field(answer, "next"));
}
