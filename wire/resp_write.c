/* SPDX-License-Identifier: Apache-2.0 */
/* Replies. A reply that does not fit is not begun. */
#include <string.h>

#include "wire/resp.h"

/* Room for a reply of so many bytes, or NULL. */
static uint8_t *room(struct mkv_resp_writer *writer, uint64_t byte_count) {
    if (writer->overflowed || byte_count > writer->capacity - writer->length) {
        writer->overflowed = true;
        return NULL;
    }
    uint8_t *target = writer->bytes + writer->length;
    writer->length += (uint32_t)byte_count;
    return target;
}

static void put(struct mkv_resp_writer *writer, const void *bytes, uint32_t byte_count) {
    uint8_t *target = room(writer, byte_count);
    if (target != NULL && byte_count > 0) {
        memcpy(target, bytes, byte_count);
    }
}

/* ":-5\r\n": returns its bytes. */
static uint32_t number_line(char sign, bool is_negative, uint64_t magnitude,
                            uint8_t line[MKV_RESP_NUMBER_BYTES_MAX]) {
    uint8_t digits[20];
    uint32_t count = 0;
    do {
        digits[count++] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    uint32_t at = 0;
    line[at++] = (uint8_t)sign;
    if (is_negative) {
        line[at++] = '-';
    }
    while (count > 0) {
        line[at++] = digits[--count];
    }
    line[at++] = '\r';
    line[at++] = '\n';
    return at;
}

static void put_number(struct mkv_resp_writer *writer, char sign, uint64_t number) {
    uint8_t line[MKV_RESP_NUMBER_BYTES_MAX];
    put(writer, line, number_line(sign, false, number, line));
}

void mkv_resp_write_simple(struct mkv_resp_writer *writer, const char *text) {
    const size_t text_bytes = strlen(text);
    uint8_t *target = room(writer, text_bytes + 3);
    if (target != NULL) {
        target[0] = '+';
        memcpy(target + 1, text, text_bytes);
        memcpy(target + 1 + text_bytes, "\r\n", 2);
    }
}

void mkv_resp_write_error(struct mkv_resp_writer *writer, const char *text) {
    const size_t text_bytes = strlen(text);
    uint8_t *target = room(writer, text_bytes + 3);
    if (target == NULL) {
        return;
    }
    target[0] = '-';
    for (size_t i = 0; i < text_bytes; i++) {
        target[1 + i] = text[i] >= ' ' && text[i] <= '~' ? (uint8_t)text[i] : ' ';
    }
    memcpy(target + 1 + text_bytes, "\r\n", 2);
}

void mkv_resp_write_integer(struct mkv_resp_writer *writer, int64_t value) {
    uint8_t line[MKV_RESP_NUMBER_BYTES_MAX];
    const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    put(writer, line, number_line(':', value < 0, magnitude, line));
}

void mkv_resp_write_bulk_header(struct mkv_resp_writer *writer, uint64_t byte_count) {
    put_number(writer, '$', byte_count);
}

void mkv_resp_write_bulk_end(struct mkv_resp_writer *writer) {
    put(writer, "\r\n", 2);
}

void mkv_resp_write_bulk(struct mkv_resp_writer *writer, const void *bytes, uint32_t byte_count) {
    uint8_t line[MKV_RESP_NUMBER_BYTES_MAX];
    const uint32_t line_bytes = number_line('$', false, byte_count, line);
    uint8_t *target = room(writer, (uint64_t)line_bytes + byte_count + 2);
    if (target == NULL) {
        return;
    }
    memcpy(target, line, line_bytes);
    if (byte_count > 0) {
        memcpy(target + line_bytes, bytes, byte_count);
    }
    memcpy(target + line_bytes + byte_count, "\r\n", 2);
}

void mkv_resp_write_text(struct mkv_resp_writer *writer, const char *text) {
    mkv_resp_write_bulk(writer, text, (uint32_t)strlen(text));
}

void mkv_resp_write_null(struct mkv_resp_writer *writer) {
    if (writer->protocol >= 3) {
        put(writer, "_\r\n", 3);
    } else {
        put(writer, "$-1\r\n", 5);
    }
}

void mkv_resp_write_null_array(struct mkv_resp_writer *writer) {
    if (writer->protocol >= 3) {
        put(writer, "_\r\n", 3);
    } else {
        put(writer, "*-1\r\n", 5);
    }
}

void mkv_resp_write_array(struct mkv_resp_writer *writer, uint32_t count) {
    put_number(writer, '*', count);
}

void mkv_resp_write_map(struct mkv_resp_writer *writer, uint32_t count) {
    if (writer->protocol >= 3) {
        put_number(writer, '%', count);
    } else {
        put_number(writer, '*', 2ull * count);
    }
}

void mkv_resp_write_set(struct mkv_resp_writer *writer, uint32_t count) {
    put_number(writer, writer->protocol >= 3 ? '~' : '*', count);
}

void mkv_resp_write_bool(struct mkv_resp_writer *writer, bool value) {
    if (writer->protocol >= 3) {
        put(writer, value ? "#t\r\n" : "#f\r\n", 4);
    } else {
        put(writer, value ? ":1\r\n" : ":0\r\n", 4);
    }
}

void mkv_resp_write_verbatim(struct mkv_resp_writer *writer, const char *text,
                             uint32_t byte_count) {
    if (writer->protocol < 3) {
        mkv_resp_write_bulk(writer, text, byte_count);
        return;
    }
    uint8_t line[MKV_RESP_NUMBER_BYTES_MAX];
    const uint32_t line_bytes = number_line('=', false, 4ull + byte_count, line);
    uint8_t *target = room(writer, (uint64_t)line_bytes + 4 + byte_count + 2);
    if (target == NULL) {
        return;
    }
    memcpy(target, line, line_bytes);
    memcpy(target + line_bytes, "txt:", 4);
    if (byte_count > 0) {
        memcpy(target + line_bytes + 4, text, byte_count);
    }
    memcpy(target + line_bytes + 4 + byte_count, "\r\n", 2);
}
