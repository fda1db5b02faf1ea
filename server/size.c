/* SPDX-License-Identifier: Apache-2.0 */
#include "server/size.h"

#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t bytes;
};

/* From large to small: the formatter takes the first that divides. */
static const struct unit units[] = {
    {"TiB", 1024ull * MKV_GIB}, {"GiB", MKV_GIB}, {"MiB", MKV_MIB}, {"KiB", MKV_KIB}, {"B", 1},
};
#define UNIT_COUNT (sizeof units / sizeof units[0])

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static char to_upper(char c) {
    return (c >= 'a' && c <= 'z') ? (char)(c - 'a' + 'A') : c;
}

static const char *skip_digits(const char *text) {
    while (is_digit(*text)) {
        text++;
    }
    return text;
}

static const char *skip_spaces(const char *text) {
    while (*text == ' ') {
        text++;
    }
    return text;
}

/* Finds the unit that a person meant by K, kb, KB, kib and the same for the others, else NULL. */
static const struct unit *unit_meant(const char *text) {
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (to_upper(text[0]) != units[i].name[0]) {
            continue;
        }
        const char *rest = text + 1;
        if (units[i].bytes > 1) {
            rest += to_upper(*rest) == 'I' ? 1 : 0;
            rest += to_upper(*rest) == 'B' ? 1 : 0;
        }
        if (*rest == '\0') {
            return &units[i];
        }
    }
    return NULL;
}

static enum mkv_size_problem parse_unit(const char *text, uint64_t *unit_bytes) {
    if (*text == '\0') {
        *unit_bytes = 1;
        return MKV_SIZE_OK;
    }
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(text, units[i].name) == 0) {
            *unit_bytes = units[i].bytes;
            return MKV_SIZE_OK;
        }
    }
    return unit_meant(text) != NULL ? MKV_SIZE_UNIT_DECIMAL : MKV_SIZE_UNIT_UNKNOWN;
}

enum mkv_size_problem mkv_size_parse(const char *text, uint64_t *bytes_out) {
    MKV_ASSERT(text != NULL);
    MKV_ASSERT(bytes_out != NULL);

    if (text[0] == '-' && is_digit(text[1])) {
        return MKV_SIZE_NEGATIVE;
    }
    if (!is_digit(text[0])) {
        return MKV_SIZE_NOT_A_SIZE;
    }
    const char *end = skip_digits(text);
    if ((*end == '.' || *end == ',') && is_digit(end[1])) {
        return MKV_SIZE_FRACTION;
    }
    uint64_t unit_bytes = 0;
    enum mkv_size_problem problem = parse_unit(skip_spaces(end), &unit_bytes);
    if (problem != MKV_SIZE_OK) {
        return problem;
    }
    uint64_t number = 0;
    for (const char *digit = text; digit < end; digit++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*digit - '0'), &number)) {
            return MKV_SIZE_OVERFLOW;
        }
    }
    if (__builtin_mul_overflow(number, unit_bytes, &number)) {
        return MKV_SIZE_OVERFLOW;
    }
    *bytes_out = number;
    return MKV_SIZE_OK;
}

void mkv_size_explain(enum mkv_size_problem problem, const char *text,
                      char out[MKV_SIZE_EXPLANATION_BYTES]) {
    const char *unit = skip_spaces(skip_digits(text));
    const struct unit *meant = NULL;
    switch (problem) {
    case MKV_SIZE_OK:
        MKV_ASSERT(problem != MKV_SIZE_OK);
        break;
    case MKV_SIZE_NOT_A_SIZE:
        snprintf(out, MKV_SIZE_EXPLANATION_BYTES,
                 "is not a size; use a number with KiB, MiB, GiB or TiB, like 64GiB");
        break;
    case MKV_SIZE_NEGATIVE:
        snprintf(out, MKV_SIZE_EXPLANATION_BYTES,
                 "is negative; use a number with KiB, MiB, GiB or TiB, like 64GiB");
        break;
    case MKV_SIZE_FRACTION:
        snprintf(out, MKV_SIZE_EXPLANATION_BYTES,
                 "is a fraction; use a whole number with a smaller unit, like 1536MiB");
        break;
    case MKV_SIZE_UNIT_DECIMAL:
        meant = unit_meant(unit);
        MKV_ASSERT(meant != NULL);
        snprintf(out, MKV_SIZE_EXPLANATION_BYTES, "has a unit that is not known; use %s",
                 meant->name);
        break;
    case MKV_SIZE_UNIT_UNKNOWN:
        snprintf(out, MKV_SIZE_EXPLANATION_BYTES,
                 "has a unit that is not known; use B, KiB, MiB, GiB or TiB, like 64GiB");
        break;
    case MKV_SIZE_OVERFLOW:
        snprintf(out, MKV_SIZE_EXPLANATION_BYTES,
                 "is more than 2^64 - 1 bytes; use a smaller number");
        break;
    }
}

void mkv_size_format(uint64_t bytes, char out[MKV_SIZE_TEXT_BYTES]) {
    const struct unit *unit = &units[UNIT_COUNT - 1];
    for (size_t i = 0; i < UNIT_COUNT && bytes > 0; i++) {
        if (bytes % units[i].bytes == 0) {
            unit = &units[i];
            break;
        }
    }
    snprintf(out, MKV_SIZE_TEXT_BYTES, "%llu%s", (unsigned long long)(bytes / unit->bytes),
             unit->name);
}
