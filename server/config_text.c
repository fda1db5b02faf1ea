/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_BYTES_MAX 60u
#define PATH_BYTES_MAX 160u
#define SLIP_EDITS_MAX 2u
/* Longer than every key and variable, so that nothing longer can be within two edits of one. */
#define SLIP_BYTES_MAX 63u

static void make_printable(char *text) {
    for (char *c = text; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e) {
            *c = '?';
        }
    }
}

bool mkv_config_fail(struct mkv_config_error *error, enum mkv_exit_daemon exit_code,
                     const char *where, const char *format, ...) {
    MKV_ASSERT(error != NULL);
    MKV_ASSERT(where[0] != '\0');

    va_list arguments;
    int bytes = snprintf(error->message, sizeof error->message, "%s: ", where);
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT((size_t)bytes < sizeof error->message);
    va_start(arguments, format);
    int rest =
        vsnprintf(error->message + bytes, sizeof error->message - (size_t)bytes, format, arguments);
    va_end(arguments);
    MKV_ASSERT(rest > 0);
    make_printable(error->message);
    error->exit_code = exit_code;
    return false;
}

void mkv_config_quote(const char *text, char out[MKV_CONFIG_QUOTE_BYTES]) {
    _Static_assert(QUOTE_BYTES_MAX + sizeof "..." <= MKV_CONFIG_QUOTE_BYTES, "a quote has room");
    bool shortened = strlen(text) > QUOTE_BYTES_MAX;
    int bytes = snprintf(out, MKV_CONFIG_QUOTE_BYTES, "%.*s%s", (int)QUOTE_BYTES_MAX, text,
                         shortened ? "..." : "");
    MKV_ASSERT(bytes >= 0);
    make_printable(out);
}

void mkv_config_where(const char *path, uint32_t line, char out[MKV_CONFIG_WHERE_BYTES]) {
    _Static_assert(sizeof "..." + PATH_BYTES_MAX + sizeof ":4294967295" <= MKV_CONFIG_WHERE_BYTES,
                   "a place has room");
    size_t path_bytes = strlen(path);
    bool shortened = path_bytes > PATH_BYTES_MAX;
    const char *shown = shortened ? path + path_bytes - PATH_BYTES_MAX : path;
    const char *dots = shortened ? "..." : "";
    int bytes = line > 0
                    ? snprintf(out, MKV_CONFIG_WHERE_BYTES, "%s%s:%u", dots, shown, (unsigned)line)
                    : snprintf(out, MKV_CONFIG_WHERE_BYTES, "%s%s", dots, shown);
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT((unsigned)bytes < MKV_CONFIG_WHERE_BYTES);
    make_printable(out);
}

/* Levenshtein's distance, one row of its table at a time. */
static size_t edit_distance(const char *a, size_t a_count, const char *b, size_t b_count) {
    MKV_ASSERT(b_count <= SLIP_BYTES_MAX);
    size_t row[SLIP_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_count; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_count; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_count; j++) {
            size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = mkv_min_u64(replaced, mkv_min_u64(row[j - 1], diagonal) + 1);
        }
    }
    return row[b_count];
}

bool mkv_config_is_slip(const char *text, const char *candidate) {
    size_t text_bytes = strlen(text);
    size_t candidate_bytes = strlen(candidate);
    MKV_ASSERT(candidate_bytes + SLIP_EDITS_MAX <= SLIP_BYTES_MAX);
    if (text_bytes > candidate_bytes + SLIP_EDITS_MAX) {
        return false;
    }
    size_t edits = edit_distance(text, text_bytes, candidate, candidate_bytes);
    return edits <= SLIP_EDITS_MAX && edits * 2 <= candidate_bytes;
}
