/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ELLIPSIS "..."
/* 9999-12-31T23:59:59.999Z. */
#define WALL_MS_MAX 253402300799999ull
/* The longest thing that one byte of a text may become: one unit of UTF-16 in JSON. */
#define ESCAPE_BYTES_MAX 6u

struct line {
    char *bytes;
    uint32_t count;
};

static void put_bytes(struct line *line, const char *bytes, size_t count) {
    MKV_ASSERT(line->count + count <= MKV_LOG_LINE_BYTES_MAX);
    memcpy(line->bytes + line->count, bytes, count);
    line->count += (uint32_t)count;
}

/* For constants of the source, which need no escaping. */
static void put(struct line *line, const char *text) {
    put_bytes(line, text, strlen(text));
}

static void put_name(struct line *line, const char *name) {
    MKV_ASSERT(strlen(name) < MKV_LOG_NAME_BYTES_MAX);
    put(line, name);
}

static void put_number(struct line *line, uint64_t number) {
    char text[24];
    int bytes = snprintf(text, sizeof text, "%" PRIu64, number);
    put_bytes(line, text, (size_t)bytes);
}

/* ---- escaping ------------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 sequence of two or more bytes at `text`, or 0. The closing NUL is
 * no continuation byte, so nothing behind it is looked at. */
static uint32_t utf8_sequence_bytes(const uint8_t *text) {
    uint32_t continuation_count = 0;
    uint8_t second_min = 0x80;
    uint8_t second_max = 0xbf;
    if (text[0] >= 0xc2 && text[0] <= 0xdf) {
        continuation_count = 1;
    } else if (text[0] >= 0xe0 && text[0] <= 0xef) {
        continuation_count = 2;
        second_min = text[0] == 0xe0 ? 0xa0 : 0x80; /* not overlong */
        second_max = text[0] == 0xed ? 0x9f : 0xbf; /* no surrogate */
    } else if (text[0] >= 0xf0 && text[0] <= 0xf4) {
        continuation_count = 3;
        second_min = text[0] == 0xf0 ? 0x90 : 0x80;
        second_max = text[0] == 0xf4 ? 0x8f : 0xbf; /* up to U+10FFFF */
    } else {
        return 0;
    }
    if (text[1] < second_min || text[1] > second_max) {
        return 0;
    }
    for (uint32_t i = 2; i <= continuation_count; i++) {
        if (text[i] < 0x80 || text[i] > 0xbf) {
            return 0;
        }
    }
    return 1 + continuation_count;
}

/* One character of a text as it stands in a JSON string. Returns the bytes taken from `text`. */
static uint32_t escape_json(const uint8_t *text, char out[ESCAPE_BYTES_MAX + 1]) {
    uint32_t sequence_bytes = utf8_sequence_bytes(text);
    if (text[0] == '"' || text[0] == '\\') {
        snprintf(out, ESCAPE_BYTES_MAX + 1, "\\%c", text[0]);
        return 1;
    }
    if (text[0] < 0x20 || text[0] == 0x7f) {
        snprintf(out, ESCAPE_BYTES_MAX + 1, "\\u%04x", (unsigned)text[0]);
        return 1;
    }
    if (text[0] < 0x80) {
        out[0] = (char)text[0];
        out[1] = '\0';
        return 1;
    }
    /* The control characters U+0080 to U+009F drive terminals as those below U+0020 do. */
    if (sequence_bytes == 2 && text[0] == 0xc2 && text[1] < 0xa0) {
        snprintf(out, ESCAPE_BYTES_MAX + 1, "\\u%04x", (unsigned)text[1]);
        return 2;
    }
    if (sequence_bytes > 0) {
        memcpy(out, text, sequence_bytes);
        out[sequence_bytes] = '\0';
        return sequence_bytes;
    }
    snprintf(out, ESCAPE_BYTES_MAX + 1, "\\ufffd");
    return 1;
}

static uint32_t escape_text(const uint8_t *text, bool quoted, char out[ESCAPE_BYTES_MAX + 1]) {
    if (text[0] == '\\' || (quoted && text[0] == '"')) {
        snprintf(out, ESCAPE_BYTES_MAX + 1, "\\%c", text[0]);
    } else if (text[0] < 0x20 || text[0] > 0x7e) {
        snprintf(out, ESCAPE_BYTES_MAX + 1, "\\x%02x", (unsigned)text[0]);
    } else {
        out[0] = (char)text[0];
        out[1] = '\0';
    }
    return 1;
}

/* Writes a text escaped, in at most `bytes_max` bytes. */
static void put_escaped(struct line *line, const char *text, enum mkv_config_log_format format,
                        bool quoted, uint32_t bytes_max) {
    const uint8_t *next = (const uint8_t *)text;
    const uint32_t end = line->count + bytes_max - (uint32_t)strlen(ELLIPSIS);
    while (*next != '\0') {
        char escaped[ESCAPE_BYTES_MAX + 1];
        next += format == MKV_CONFIG_LOG_JSON ? escape_json(next, escaped)
                                              : escape_text(next, quoted, escaped);
        size_t escaped_bytes = strlen(escaped);
        if (line->count + escaped_bytes > end) {
            put(line, ELLIPSIS);
            return;
        }
        put_bytes(line, escaped, escaped_bytes);
    }
}

/* ---- the two formats ------------------------------------------------------------------------ */

static void put_json(struct line *line, const struct mkv_log_record *record) {
    put(line, "\",\"level\":\"");
    put(line, mkv_log_level_name(record->level));
    put(line, "\",\"target\":\"");
    put_name(line, record->target);
    put(line, "\",\"message\":\"");
    put_escaped(line, record->message, MKV_CONFIG_LOG_JSON, true, MKV_LOG_MESSAGE_BYTES_MAX);
    put(line, "\",\"fields\":{");
    for (uint32_t i = 0; i < record->field_count; i++) {
        const struct mkv_log_field *field = &record->fields[i];
        put(line, i == 0 ? "\"" : ",\"");
        put_name(line, field->name);
        put(line, "\":");
        if (field->text == NULL) {
            put_number(line, field->number);
            continue;
        }
        put(line, "\"");
        put_escaped(line, field->text, MKV_CONFIG_LOG_JSON, true, MKV_LOG_FIELD_BYTES_MAX);
        put(line, "\"");
    }
    put(line, "}}");
}

static void put_text(struct line *line, const struct mkv_log_record *record) {
    put(line, " ");
    put(line, mkv_log_level_name(record->level));
    put(line, " ");
    put_name(line, record->target);
    put(line, ": ");
    put_escaped(line, record->message, MKV_CONFIG_LOG_TEXT, false, MKV_LOG_MESSAGE_BYTES_MAX);
    for (uint32_t i = 0; i < record->field_count; i++) {
        const struct mkv_log_field *field = &record->fields[i];
        put(line, " ");
        put_name(line, field->name);
        put(line, "=");
        if (field->text == NULL) {
            put_number(line, field->number);
            continue;
        }
        /* What holds a space, a quote or nothing is quoted, so that a line can be taken apart. */
        bool quoted = field->text[0] == '\0' || strpbrk(field->text, " \"=") != NULL;
        put(line, quoted ? "\"" : "");
        put_escaped(line, field->text, MKV_CONFIG_LOG_TEXT, quoted, MKV_LOG_FIELD_BYTES_MAX);
        put(line, quoted ? "\"" : "");
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

const char *mkv_log_level_name(enum mkv_config_log_level level) {
    switch (level) {
    case MKV_CONFIG_LOG_ERROR:
        return "ERROR";
    case MKV_CONFIG_LOG_WARN:
        return "WARN";
    case MKV_CONFIG_LOG_INFO:
        return "INFO";
    case MKV_CONFIG_LOG_DEBUG:
        return "DEBUG";
    case MKV_CONFIG_LOG_TRACE:
        return "TRACE";
    }
    MKV_ASSERT(false);
    return "";
}

void mkv_log_timestamp(uint64_t wall_ms, char out[MKV_LOG_TIMESTAMP_BYTES]) {
    uint64_t shown_ms = mkv_min_u64(wall_ms, WALL_MS_MAX);
    time_t seconds = (time_t)(shown_ms / 1000);
    struct tm parts;
    MKV_ASSERT(gmtime_r(&seconds, &parts) != NULL);
    size_t bytes = strftime(out, MKV_LOG_TIMESTAMP_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    MKV_ASSERT(bytes == strlen("2026-11-21T09:00:00"));
    snprintf(out + bytes, MKV_LOG_TIMESTAMP_BYTES - bytes, ".%03uZ", (unsigned)(shown_ms % 1000));
}

uint32_t mkv_log_line(const struct mkv_log_record *record, enum mkv_config_log_format format,
                      char out[MKV_LOG_LINE_BYTES_MAX + 1]) {
    MKV_ASSERT(record->field_count <= MKV_LOG_FIELDS_MAX);
    struct line line = {.bytes = out};
    char timestamp[MKV_LOG_TIMESTAMP_BYTES];
    mkv_log_timestamp(record->wall_ms, timestamp);
    switch (format) {
    case MKV_CONFIG_LOG_JSON:
        put(&line, "{\"timestamp\":\"");
        put(&line, timestamp);
        put_json(&line, record);
        break;
    case MKV_CONFIG_LOG_TEXT:
        put(&line, timestamp);
        put_text(&line, record);
        break;
    }
    put(&line, "\n");
    out[line.count] = '\0';
    return line.count;
}
