/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096u

void mkv_text_free(struct mkv_text *text) {
    free(text->bytes);
    *text = (struct mkv_text){0};
}

/* Makes room for `count` bytes and the closing NUL. */
static bool text_reserve(struct mkv_text *text, size_t count) {
    if (text->failed || count > MKV_TEXT_BYTES_MAX - 1 - text->count) {
        text->failed = true;
        return false;
    }
    const size_t needed = text->count + count + 1;
    if (needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity == 0 ? FIRST_CAPACITY : text->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void mkv_text_append(struct mkv_text *text, const char *bytes, size_t count) {
    if (!text_reserve(text, count)) {
        return;
    }
    memcpy(text->bytes + text->count, bytes, count);
    text->count += count;
    text->bytes[text->count] = '\0';
}

void mkv_text_string(struct mkv_text *text, const char *string) {
    mkv_text_append(text, string, strlen(string));
}

void mkv_text_u64(struct mkv_text *text, uint64_t value) {
    char digits[20];
    size_t first = sizeof digits;
    do {
        first--;
        digits[first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    mkv_text_append(text, digits + first, sizeof digits - first);
}

void mkv_text_again(struct mkv_text *text, size_t offset, size_t count) {
    MKV_ASSERT(text->failed || (offset <= text->count && count <= text->count - offset));
    if (text_reserve(text, count)) {
        memcpy(text->bytes + text->count, text->bytes + offset, count);
        text->count += count;
        text->bytes[text->count] = '\0';
    }
}

void mkv_text_room(struct mkv_text *text, size_t count) {
    if (text_reserve(text, count)) {
        text->bytes[text->count] = '\0';
    }
}

void mkv_text_format(struct mkv_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    MKV_ASSERT(count >= 0);
    if (!text_reserve(text, (size_t)count)) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(text->bytes + text->count, (size_t)count + 1, format, arguments);
    va_end(arguments);
    text->count += (size_t)count;
}

/* Bytes of the well-formed character at `source` (Unicode 15, table 3-7), or 0. Reads no further
 * than the closing NUL, which is no continuation byte. */
static size_t character_bytes(const unsigned char *source) {
    const unsigned char first = source[0];
    if (first >= 0x20 && first < 0x7f) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    const size_t count = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (first == 0xc2) {
        low = 0xa0; /* U+0080 … U+009F are control characters */
    } else if (first == 0xe0) {
        low = 0xa0;
    } else if (first == 0xed) {
        high = 0x9f;
    } else if (first == 0xf0) {
        low = 0x90;
    } else if (first == 0xf4) {
        high = 0x8f;
    }
    if (source[1] < low || source[1] > high) {
        return 0;
    }
    for (size_t index = 2; index < count; index++) {
        if (source[index] < 0x80 || source[index] > 0xbf) {
            return 0;
        }
    }
    return count;
}

void mkv_text_clean(const char *source, char *target, size_t target_bytes) {
    MKV_ASSERT(target_bytes > 0);
    const unsigned char *from = (const unsigned char *)source;
    size_t count = 0;
    while (*from != '\0') {
        const size_t bytes = character_bytes(from);
        const size_t taken = bytes == 0 ? 1 : bytes;
        if (count + taken >= target_bytes) {
            break;
        }
        if (bytes == 0) {
            target[count] = '?';
        } else {
            memcpy(target + count, from, bytes);
        }
        count += taken;
        from += taken;
    }
    target[count] = '\0';
}

void mkv_text_uuid(const struct mkv_uuid *uuid, char target[MKV_TEXT_UUID_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    size_t count = 0;
    bool none = true;
    for (size_t index = 0; index < sizeof uuid->bytes; index++) {
        if (index == 4 || index == 6 || index == 8 || index == 10) {
            target[count++] = '-';
        }
        target[count++] = digits[uuid->bytes[index] >> 4];
        target[count++] = digits[uuid->bytes[index] & 0xf];
        none = none && uuid->bytes[index] == 0;
    }
    MKV_ASSERT(count == MKV_TEXT_UUID_BYTES - 1);
    target[none ? 0 : count] = '\0';
}
