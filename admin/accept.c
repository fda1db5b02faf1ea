/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/accept.h"

#include <string.h>
#include <strings.h>

/* A weight in thousandths, which is as fine as they come. */
#define WEIGHT_MAX 1000u

struct piece {
    const char *start;
    size_t bytes;
};

static struct piece trim(struct piece piece) {
    while (piece.bytes > 0 && (*piece.start == ' ' || *piece.start == '\t')) {
        piece.start++;
        piece.bytes--;
    }
    while (piece.bytes > 0 &&
           (piece.start[piece.bytes - 1] == ' ' || piece.start[piece.bytes - 1] == '\t')) {
        piece.bytes--;
    }
    return piece;
}

/* Takes off what stands before `separator`, or all. */
static struct piece cut(struct piece *rest, char separator) {
    const char *end = memchr(rest->start, separator, rest->bytes);
    struct piece taken = *rest;
    if (end == NULL) {
        rest->start += rest->bytes;
        rest->bytes = 0;
    } else {
        taken.bytes = (size_t)(end - rest->start);
        rest->start = end + 1;
        rest->bytes -= taken.bytes + 1;
    }
    return trim(taken);
}

static bool is(struct piece piece, const char *text) {
    return piece.bytes == strlen(text) && strncasecmp(piece.start, text, piece.bytes) == 0;
}

/* "0.75", at most three digits behind the point. What is no weight is 0. */
static uint32_t weight_of(struct piece text) {
    if (text.bytes == 0 || text.bytes > 5 || (text.start[0] != '0' && text.start[0] != '1') ||
        (text.bytes > 1 && text.start[1] != '.')) {
        return 0;
    }
    uint32_t weight = text.start[0] == '1' ? WEIGHT_MAX : 0;
    uint32_t digit_worth = WEIGHT_MAX / 10;
    for (size_t index = 2; index < text.bytes; index++, digit_worth /= 10) {
        if (text.start[index] < '0' || text.start[index] > '9') {
            return 0;
        }
        weight += (uint32_t)(text.start[index] - '0') * digit_worth;
    }
    return weight <= WEIGHT_MAX ? weight : 0;
}

struct range {
    struct piece type;
    struct piece version; /* no bytes: none was named */
    uint32_t weight;
};

static struct range read_range(struct piece text) {
    struct range range = {.type = cut(&text, ';'), .weight = WEIGHT_MAX};
    while (text.bytes > 0) {
        struct piece value = cut(&text, ';');
        const struct piece name = cut(&value, '=');
        value = trim(value);
        if (value.bytes >= 2 && value.start[0] == '"' && value.start[value.bytes - 1] == '"') {
            value.start++;
            value.bytes -= 2;
        }
        if (is(name, "q")) {
            range.weight = weight_of(value);
        } else if (is(name, "version")) {
            range.version = value;
        }
    }
    return range;
}

enum mkv_exposition_format mkv_accept_format(const char *accept) {
    struct piece rest = {.start = accept, .bytes = strlen(accept)};
    uint32_t openmetrics = 0;
    uint32_t text = 0;
    while (rest.bytes > 0) {
        const struct range range = read_range(cut(&rest, ','));
        if (is(range.type, "application/openmetrics-text") &&
            (range.version.bytes == 0 || is(range.version, "1.0.0"))) {
            openmetrics = range.weight > openmetrics ? range.weight : openmetrics;
        } else if (is(range.type, "text/plain") || is(range.type, "text/*")) {
            text = range.weight > text ? range.weight : text;
        }
    }
    return openmetrics > 0 && openmetrics >= text ? MKV_EXPOSITION_OPENMETRICS
                                                  : MKV_EXPOSITION_TEXT;
}
