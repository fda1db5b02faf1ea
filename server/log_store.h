/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last lines of the log in memory: what descriptors are written from, each at its own pace, and
 * what an administrator may read. A descriptor that falls behind by more than this holds loses the
 * oldest lines and learns how many.
 *
 *   lines     ... forgotten | 17 | 18 | 19 | 20 |            numbers of lines only grow
 *                             first          last + 1 = end
 *   bytes     a ring; a line never lies across its end
 *
 * Invariants
 *  I1  At most MKV_LOG_LINES_MAX lines and MKV_LOG_STORE_BYTES bytes; the newest always has room.
 *  I2  Whoever adds waits for a copy of one line at most.
 *
 * Not responsible for: how the lines come here without making anybody wait (log.h).
 */
#ifndef MKV_SERVER_LOG_STORE_H
#define MKV_SERVER_LOG_STORE_H

#include <pthread.h>

#include "server/log_line.h"

#define MKV_LOG_LINES_MAX 4096u
#define MKV_LOG_STORE_BYTES (2u * 1024u * 1024u)

struct mkv_log_store;

/* NULL when there is no memory. */
struct mkv_log_store *mkv_log_store_create(void);
/* Nobody uses it any more. NULL is allowed. */
void mkv_log_store_destroy(struct mkv_log_store *store);

/* Adds a line and wakes who waits for one. */
void mkv_log_store_add(struct mkv_log_store *store, const char *line, uint32_t bytes);
/* No line comes any more: who waits is told so. */
void mkv_log_store_close(struct mkv_log_store *store);
/* Wakes who waits for a line, without one. */
void mkv_log_store_wake(struct mkv_log_store *store);

enum mkv_log_store_wait {
    MKV_LOG_STORE_LINE = 0, /* there is one */
    MKV_LOG_STORE_WOKEN,    /* there is none, but somebody called */
    MKV_LOG_STORE_CLOSED,   /* there is none, and none will come */
};
/* Waits for line number `*next` and copies it; then `*next` is the number of the one behind it. If
 * lines from `*next` on are forgotten it takes the oldest, and adds them to `*lost`. `*calls` is
 * the caller's own count of wakes that it has seen, 0 at first. */
enum mkv_log_store_wait mkv_log_store_take(struct mkv_log_store *store, uint64_t *next,
                                           uint64_t *lost, uint64_t *calls,
                                           char out[MKV_LOG_LINE_BYTES_MAX + 1], uint32_t *bytes);
/* The number of the line that comes next. */
uint64_t mkv_log_store_end(struct mkv_log_store *store);

/* The last `line_count` lines, or as many as there are, one behind the other with a closing NUL;
 * the caller frees them. NULL when there is no memory. */
char *mkv_log_store_last(struct mkv_log_store *store, uint32_t line_count, size_t *bytes);

#endif
