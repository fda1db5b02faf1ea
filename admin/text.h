/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that grows up to a bound, and what makes bytes from elsewhere safe to put into one: paths
 * and serial numbers are whatever a file system or a drive says, but JSON and Prometheus take UTF-8
 * only.
 *
 * Invariants
 *  I1  `bytes` is NULL or closed by a NUL behind `count`.
 *  I2  What does not fit, or finds no memory, sets `failed` and leaves the text as it was; every
 *      later call does nothing. So a writer checks once, at its end.
 *
 * Not responsible for: what the text means.
 */
#ifndef MKV_ADMIN_TEXT_H
#define MKV_ADMIN_TEXT_H

#include "core/base.h"

/* The longest text. The exposition of 64 drives takes a hundredth of it. */
#define MKV_TEXT_BYTES_MAX (16u * 1024u * 1024u)

struct mkv_text {
    char *bytes;
    size_t count;
    size_t capacity;
    bool failed;
};

/* All zeroes is an empty text. */
void mkv_text_free(struct mkv_text *text);
void mkv_text_append(struct mkv_text *text, const char *bytes, size_t count);
void mkv_text_string(struct mkv_text *text, const char *string);
/* A number in decimal. */
void mkv_text_u64(struct mkv_text *text, uint64_t value);
/* What stands in the text already, once more at its end. */
void mkv_text_again(struct mkv_text *text, size_t offset, size_t count);
/* Makes room for that many bytes more, so that the next calls need not. */
void mkv_text_room(struct mkv_text *text, size_t count);
__attribute__((format(printf, 2, 3))) void mkv_text_format(struct mkv_text *text,
                                                           const char *format, ...);

/* Copies a string: bytes that are no UTF-8, and control characters, become '?'. What does not fit
 * is left out, never in the middle of a character. */
void mkv_text_clean(const char *source, char *target, size_t target_bytes);

/* "0c1d…-…": 36 characters and the closing NUL. */
#define MKV_TEXT_UUID_BYTES 37u
/* A uuid of zeroes, which is none, becomes "". */
void mkv_text_uuid(const struct mkv_uuid *uuid, char target[MKV_TEXT_UUID_BYTES]);

#endif
