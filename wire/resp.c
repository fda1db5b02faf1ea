/* SPDX-License-Identifier: Apache-2.0 */
/* Commands; replies are in resp_write.c. */
#include "wire/resp.h"

#include <string.h>

#define INTEGER_BYTES_MAX 20u /* of the longest, with its sign */

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

bool mkv_resp_is_word(const uint8_t *bytes, uint64_t byte_count, const char *word) {
    for (uint64_t i = 0; i < byte_count; i++) {
        if (word[i] == '\0' || lower(bytes[i]) != lower((uint8_t)word[i])) {
            return false;
        }
    }
    return word[byte_count] == '\0';
}

bool mkv_resp_integer_parse(const uint8_t *bytes, uint64_t byte_count, int64_t *value) {
    const bool is_negative = byte_count > 0 && bytes[0] == '-';
    const uint64_t first = is_negative ? 1 : 0;
    if (byte_count <= first || byte_count > INTEGER_BYTES_MAX) {
        return false;
    }
    if (bytes[first] == '0') {
        *value = 0;
        return byte_count == 1;
    }
    const uint64_t magnitude_max = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
    uint64_t magnitude = 0;
    for (uint64_t i = first; i < byte_count; i++) {
        if (bytes[i] < '0' || bytes[i] > '9') {
            return false;
        }
        const uint64_t digit = (uint64_t)(bytes[i] - '0');
        if (magnitude > (magnitude_max - digit) / 10) {
            return false;
        }
        magnitude = magnitude * 10 + digit;
    }
    *value = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* ---- faults --------------------------------------------------------------------------------- */

static enum mkv_resp_event fail(struct mkv_resp_parser *parser, enum mkv_resp_fault fault) {
    parser->fault = fault;
    return MKV_RESP_FAULT;
}

void mkv_resp_fault_text(const struct mkv_resp_parser *parser,
                         char text[MKV_RESP_FAULT_TEXT_BYTES]) {
    static const char *const texts[MKV_RESP_FAULT_COUNT] = {
        [MKV_RESP_FAULT_NONE] = "",
        [MKV_RESP_FAULT_MULTIBULK_LENGTH] = "invalid multibulk length",
        [MKV_RESP_FAULT_MULTIBULK_LINE] = "too big mbulk count string",
        [MKV_RESP_FAULT_BULK_LENGTH] = "invalid bulk length",
        [MKV_RESP_FAULT_BULK_LINE] = "too big bulk count string",
        [MKV_RESP_FAULT_BULK_EXPECTED] = "expected '$', got '?'",
        [MKV_RESP_FAULT_BULK_END] = "expected CRLF behind a bulk",
        [MKV_RESP_FAULT_INLINE_LINE] = "too big inline request",
        [MKV_RESP_FAULT_INLINE_QUOTES] = "unbalanced quotes in request",
        [MKV_RESP_FAULT_STRANGER_MULTIBULK] = "unauthenticated multibulk length",
        [MKV_RESP_FAULT_STRANGER_BULK] = "unauthenticated bulk length",
    };
    static const char before[] = "Protocol error: ";
    MKV_ASSERT((uint32_t)parser->fault < MKV_RESP_FAULT_COUNT);
    const char *behind = texts[parser->fault];
    const size_t bytes = strlen(behind);
    MKV_ASSERT(sizeof before + bytes <= MKV_RESP_FAULT_TEXT_BYTES);
    memcpy(text, before, sizeof before - 1);
    memcpy(text + sizeof before - 1, behind, bytes + 1);
    if (parser->fault == MKV_RESP_FAULT_BULK_EXPECTED && parser->fault_byte >= ' ' &&
        parser->fault_byte <= '~') {
        text[sizeof before - 1 + bytes - 2] = (char)parser->fault_byte;
    }
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* The number in a line "*3\r\n". Its bytes with the end, 0 when the end is not there yet. */
static uint32_t line_integer(const uint8_t *bytes, uint32_t byte_count, int64_t *value,
                             bool *is_valid) {
    const uint32_t look = (uint32_t)mkv_min_u64(byte_count, MKV_RESP_LINE_BYTES_MAX);
    const uint8_t *end = memchr(bytes, '\r', look);
    if (end == NULL || (uint32_t)(end - bytes) + 1 >= look) {
        return 0;
    }
    const uint32_t line_bytes = (uint32_t)(end - bytes);
    *is_valid = end[1] == '\n' && mkv_resp_integer_parse(bytes + 1, line_bytes - 1, value);
    return line_bytes + 2;
}

static enum mkv_resp_event begin(struct mkv_resp_parser *parser, uint32_t argument_count,
                                 bool is_inline) {
    parser->argument_count = argument_count;
    parser->arguments_left = argument_count;
    parser->is_inline = is_inline;
    parser->state = is_inline ? MKV_RESP_AT_INLINE : MKV_RESP_AT_BULK;
    return MKV_RESP_BEGIN;
}

/* "*3\r\n". One with nothing in it is passed over: MORE with something consumed. */
static enum mkv_resp_event parse_multibulk(struct mkv_resp_parser *parser, const uint8_t *bytes,
                                           uint32_t byte_count, uint32_t *consumed) {
    int64_t count = 0;
    bool is_valid = false;
    const uint32_t line_bytes = line_integer(bytes, byte_count, &count, &is_valid);
    if (line_bytes == 0) {
        return byte_count >= MKV_RESP_LINE_BYTES_MAX ? fail(parser, MKV_RESP_FAULT_MULTIBULK_LINE)
                                                     : MKV_RESP_MORE;
    }
    if (!is_valid || count > (int64_t)MKV_RESP_ARGUMENTS_MAX) {
        return fail(parser, MKV_RESP_FAULT_MULTIBULK_LENGTH);
    }
    if (parser->stranger && count > (int64_t)MKV_RESP_STRANGER_ARGUMENTS_MAX) {
        return fail(parser, MKV_RESP_FAULT_STRANGER_MULTIBULK);
    }
    *consumed = line_bytes;
    return count <= 0 ? MKV_RESP_MORE : begin(parser, (uint32_t)count, false);
}

/* ---- arguments ------------------------------------------------------------------------------ */

static enum mkv_resp_event argument(struct mkv_resp_parser *parser, enum mkv_resp_event event) {
    MKV_ASSERT(parser->arguments_left > 0);
    parser->arguments_left--;
    return event;
}

/* Behind an argument. */
static enum mkv_resp_parser_state next_state(const struct mkv_resp_parser *parser) {
    return parser->arguments_left > 0 ? MKV_RESP_AT_BULK : MKV_RESP_AT_END;
}

static enum mkv_resp_event parse_bytes(struct mkv_resp_parser *parser, const uint8_t *bytes,
                                       uint32_t byte_count, uint32_t *consumed) {
    const uint32_t length = (uint32_t)parser->argument_bytes;
    if (byte_count < length + 2) {
        return MKV_RESP_MORE;
    }
    if (bytes[length] != '\r' || bytes[length + 1] != '\n') {
        return fail(parser, MKV_RESP_FAULT_BULK_END);
    }
    *consumed += length + 2;
    parser->argument = bytes;
    (void)argument(parser, MKV_RESP_ARGUMENT);
    parser->state = next_state(parser);
    return MKV_RESP_ARGUMENT;
}

/* "$5\r\n", and what is behind it when that is an ARGUMENT. */
static enum mkv_resp_event parse_bulk(struct mkv_resp_parser *parser, const uint8_t *bytes,
                                      uint32_t byte_count, uint32_t *consumed) {
    if (byte_count == 0) {
        return MKV_RESP_MORE;
    }
    if (bytes[0] != '$') {
        parser->fault_byte = bytes[0];
        return fail(parser, MKV_RESP_FAULT_BULK_EXPECTED);
    }
    int64_t length = 0;
    bool is_valid = false;
    const uint32_t line_bytes = line_integer(bytes, byte_count, &length, &is_valid);
    if (line_bytes == 0) {
        return byte_count >= MKV_RESP_LINE_BYTES_MAX ? fail(parser, MKV_RESP_FAULT_BULK_LINE)
                                                     : MKV_RESP_MORE;
    }
    if (!is_valid || length < 0 || (uint64_t)length > MKV_RESP_BULK_BYTES_MAX) {
        return fail(parser, MKV_RESP_FAULT_BULK_LENGTH);
    }
    if (parser->stranger && (uint64_t)length > MKV_RESP_STRANGER_BULK_BYTES_MAX) {
        return fail(parser, MKV_RESP_FAULT_STRANGER_BULK);
    }
    *consumed = line_bytes;
    parser->argument_bytes = (uint64_t)length;
    if (parser->argument_bytes > parser->large_above) {
        parser->state = MKV_RESP_AT_BULK_END;
        return argument(parser, MKV_RESP_LARGE);
    }
    parser->state = MKV_RESP_AT_BYTES;
    return parse_bytes(parser, bytes + line_bytes, byte_count - line_bytes, consumed);
}

/* ---- inline commands ------------------------------------------------------------------------ */

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hex_digit(uint8_t byte) {
    const uint8_t small = lower(byte);
    if (small >= '0' && small <= '9') {
        return small - '0';
    }
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/* What stands for `\x` in double quotes, at bytes[0] == '\\'. Returns how many bytes it took. */
static uint32_t unescape(const uint8_t *bytes, uint32_t byte_count, uint8_t *out) {
    if (byte_count >= 4 && bytes[1] == 'x' && hex_digit(bytes[2]) >= 0 &&
        hex_digit(bytes[3]) >= 0) {
        *out = (uint8_t)(hex_digit(bytes[2]) * 16 + hex_digit(bytes[3]));
        return 4;
    }
    switch (bytes[1]) {
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    case 'b':
        *out = '\b';
        break;
    case 'a':
        *out = '\a';
        break;
    default:
        *out = bytes[1];
        break;
    }
    return 2;
}

/* An argument of an inline command, from its first byte on: how many bytes it takes, and in `out`,
 * unless that is NULL, what they stand for. 0 when quotes are not closed, or something follows
 * them. */
static uint32_t inline_argument(const uint8_t *bytes, uint32_t byte_count, uint8_t *out,
                                uint32_t *out_bytes) {
    uint8_t quote = 0;
    uint32_t at = 0;
    *out_bytes = 0;
    while (at < byte_count && (quote != 0 || !is_space(bytes[at]))) {
        uint8_t byte = bytes[at];
        uint32_t taken = 1;
        if (quote == 0 && (byte == '"' || byte == '\'')) {
            quote = byte;
            at++;
            continue;
        }
        if (quote != 0 && byte == quote) {
            at++;
            return at < byte_count && !is_space(bytes[at]) ? 0 : at;
        }
        const bool has_next = at + 1 < byte_count;
        if (quote == '"' && byte == '\\' && has_next) {
            taken = unescape(bytes + at, byte_count - at, &byte);
        } else if (quote == '\'' && byte == '\\' && has_next && bytes[at + 1] == '\'') {
            byte = '\'';
            taken = 2;
        }
        if (out != NULL) {
            out[*out_bytes] = byte;
        }
        (*out_bytes)++;
        at += taken;
    }
    return quote == 0 ? at : 0;
}

static uint32_t spaces(const uint8_t *bytes, uint32_t byte_count) {
    uint32_t count = 0;
    while (count < byte_count && is_space(bytes[count])) {
        count++;
    }
    return count;
}

/* Looks a whole line over. One with nothing in it is passed over. */
static enum mkv_resp_event parse_line(struct mkv_resp_parser *parser, const uint8_t *bytes,
                                      uint32_t byte_count, uint32_t *consumed) {
    const uint32_t look = (uint32_t)mkv_min_u64(byte_count, MKV_RESP_LINE_BYTES_MAX);
    const uint8_t *end = memchr(bytes, '\n', look);
    if (end == NULL) {
        return look == MKV_RESP_LINE_BYTES_MAX ? fail(parser, MKV_RESP_FAULT_INLINE_LINE)
                                               : MKV_RESP_MORE;
    }
    const uint32_t line_bytes = (uint32_t)(end - bytes);
    uint32_t count = 0;
    uint32_t at = spaces(bytes, line_bytes);
    while (at < line_bytes) {
        uint32_t length;
        const uint32_t taken = inline_argument(bytes + at, line_bytes - at, NULL, &length);
        if (taken == 0) {
            return fail(parser, MKV_RESP_FAULT_INLINE_QUOTES);
        }
        count++;
        at += taken;
        at += spaces(bytes + at, line_bytes - at);
    }
    parser->line_bytes = line_bytes + 1;
    if (count == 0) {
        *consumed = parser->line_bytes;
        return MKV_RESP_MORE;
    }
    return begin(parser, count, true);
}

/* The line was looked over, and is there whole. */
static enum mkv_resp_event parse_inline(struct mkv_resp_parser *parser, uint8_t *bytes,
                                        uint32_t byte_count, uint32_t *consumed) {
    if (byte_count < parser->line_bytes) {
        return MKV_RESP_MORE; /* the caller holds bytes back */
    }
    const uint32_t line_bytes = parser->line_bytes - 1;
    const uint32_t at = spaces(bytes, line_bytes);
    uint32_t length;
    const uint32_t taken = inline_argument(bytes + at, line_bytes - at, bytes + at, &length);
    MKV_ASSERT(taken > 0);
    parser->argument = bytes + at;
    parser->argument_bytes = length;
    parser->arguments_left--;
    *consumed = at + taken;
    if (parser->arguments_left == 0) {
        *consumed = parser->line_bytes;
        parser->state = MKV_RESP_AT_END;
    }
    parser->line_bytes -= *consumed;
    return MKV_RESP_ARGUMENT;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static enum mkv_resp_event parse_bulk_end(struct mkv_resp_parser *parser, const uint8_t *bytes,
                                          uint32_t byte_count, uint32_t *consumed) {
    if (byte_count < 2) {
        return MKV_RESP_MORE;
    }
    if (bytes[0] != '\r' || bytes[1] != '\n') {
        return fail(parser, MKV_RESP_FAULT_BULK_END);
    }
    *consumed = 2;
    parser->state = next_state(parser);
    return MKV_RESP_MORE;
}

static enum mkv_resp_event parse_one(struct mkv_resp_parser *parser, uint8_t *bytes,
                                     uint32_t byte_count, uint32_t *consumed) {
    switch (parser->state) {
    case MKV_RESP_AT_COMMAND:
        if (byte_count == 0) {
            return MKV_RESP_MORE;
        }
        return bytes[0] == '*' ? parse_multibulk(parser, bytes, byte_count, consumed)
                               : parse_line(parser, bytes, byte_count, consumed);
    case MKV_RESP_AT_BULK:
        return parse_bulk(parser, bytes, byte_count, consumed);
    case MKV_RESP_AT_BYTES:
        return parse_bytes(parser, bytes, byte_count, consumed);
    case MKV_RESP_AT_BULK_END:
        return parse_bulk_end(parser, bytes, byte_count, consumed);
    case MKV_RESP_AT_INLINE:
        return parse_inline(parser, bytes, byte_count, consumed);
    case MKV_RESP_AT_END:
        break;
    }
    parser->state = MKV_RESP_AT_COMMAND;
    return MKV_RESP_END;
}

enum mkv_resp_event mkv_resp_parse(struct mkv_resp_parser *parser, uint8_t *bytes,
                                   uint32_t byte_count, uint32_t *consumed) {
    MKV_ASSERT(parser->large_above >= MKV_RESP_STRANGER_BULK_BYTES_MAX || !parser->stranger);
    *consumed = 0;
    for (;;) {
        uint32_t taken = 0;
        const enum mkv_resp_event event =
            parse_one(parser, bytes + *consumed, byte_count - *consumed, &taken);
        MKV_ASSERT(taken <= byte_count - *consumed);
        *consumed += taken;
        if (event != MKV_RESP_MORE || taken == 0) {
            return event;
        }
    }
}
