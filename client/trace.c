/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace context of a client's requests: https://www.w3.org/TR/trace-context/.
 *
 *   version - trace id - parent id - flags [- what later versions add]
 *   00      - 32       - 16        - 2      hexadecimal digits, small letters
 */
#include <string.h>

#include "client/engine.h"

#define TRACE_ID_AT 3u
#define PARENT_ID_AT 36u
#define FLAGS_AT 53u
#define TEXT_BYTES 55u

static int digit_of(char character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, uint8_t *bytes, size_t byte_count) {
    for (size_t index = 0; index < byte_count; index++) {
        const int high = digit_of(text[2 * index]);
        const int low = high < 0 ? -1 : digit_of(text[2 * index + 1]);
        if (low < 0) {
            return false;
        }
        bytes[index] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t byte_count) {
    uint8_t any = 0;
    for (size_t index = 0; index < byte_count; index++) {
        any |= bytes[index];
    }
    return any == 0;
}

/* Later versions begin as version 00 does, and may go on behind it. */
static bool parse(const char *text, struct mkv_trace_context *trace) {
    uint8_t version;
    if (strnlen(text, TEXT_BYTES) < TEXT_BYTES || text[TRACE_ID_AT - 1] != '-' ||
        text[PARENT_ID_AT - 1] != '-' || text[FLAGS_AT - 1] != '-') {
        return false;
    }
    if (!parse_hex(text, &version, 1) || version == 0xff ||
        !parse_hex(text + TRACE_ID_AT, trace->trace_id, sizeof trace->trace_id) ||
        !parse_hex(text + PARENT_ID_AT, trace->parent_id, sizeof trace->parent_id) ||
        !parse_hex(text + FLAGS_AT, &trace->flags, 1)) {
        return false;
    }
    const char behind = text[TEXT_BYTES];
    return (behind == '\0' || (version > 0 && behind == '-')) &&
           !is_zero(trace->trace_id, sizeof trace->trace_id) &&
           !is_zero(trace->parent_id, sizeof trace->parent_id);
}

enum memkv_status memkv_trace_context(struct memkv_client *client, const char *traceparent,
                                      struct memkv_error *error) {
    struct mkv_trace_context trace;
    if (traceparent == NULL) {
        client->has_trace = false;
        return mkv_client_succeed(error);
    }
    if (!parse(traceparent, &trace)) {
        return mkv_client_fail(
            error, MEMKV_INVALID,
            "a traceparent is \"00-\", 32 hexadecimal digits, \"-\", 16 of them, "
            "\"-\" and 2, in small letters, and its ids are not 0");
    }
    client->has_trace = true;
    client->trace = trace;
    return mkv_client_succeed(error);
}
