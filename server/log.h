/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: whole lines on one descriptor, from any thread, none more often than anybody
 * can read.
 *
 * Every line belongs to a site, a kind of message, and each site may write MKV_LOG_SITE_LINES_MAX
 * lines a second. What is beyond that is counted, and the count stands in the field `suppressed` of
 * the site's next line, or in a line of its own when the log is closed.
 *
 * Invariants
 *  I1  A line is written whole or not at all, never mixed with another.
 *  I2  Logging never fails its caller and never waits for more than the descriptor.
 *  I3  No line holds a payload.
 *
 * Not responsible for: how a line looks (log_line.h).
 */
#ifndef MKV_SERVER_LOG_H
#define MKV_SERVER_LOG_H

#include "server/log_line.h"

#define MKV_LOG_LEVEL_COUNT 5u
#define MKV_LOG_SITE_LINES_MAX 10u

/* Kinds of messages, so that many of one do not hide another. */
enum mkv_log_site {
    MKV_LOG_SITE_NODE = 0,    /* starting, ready, stopping */
    MKV_LOG_SITE_STEP,        /* a step of the start */
    MKV_LOG_SITE_REFUSAL,     /* why the node does not start, or did not end well */
    MKV_LOG_SITE_DRIVE,       /* found, formatted, opened, closed, failed */
    MKV_LOG_SITE_DRIVE_ERROR, /* one operation of a drive failed */
    MKV_LOG_SITE_CHECKPOINT,  /* one was written */
    MKV_LOG_SITE_REPAIR,      /* a superblock or journal copy was mended, a tail cut */
    MKV_LOG_SITE_QUARANTINE,  /* a block's content failed its check */
    MKV_LOG_SITE_TENANT,      /* a tenant's blocks are gone */
    MKV_LOG_SITE_WARNING,     /* a warning came or went */
    MKV_LOG_SITE_AUTH,        /* somebody was not let through */
};
#define MKV_LOG_SITE_COUNT 11u

struct mkv_log;

/* `fd` stays open and the caller's. NULL when there is no memory for it. */
struct mkv_log *mkv_log_create(int fd, enum mkv_config_log_level level,
                               enum mkv_config_log_format format);
/* Says what is still suppressed. NULL is allowed. */
void mkv_log_destroy(struct mkv_log *log);

/* Writes a line, unless its level is not wanted or its site has written enough. */
__attribute__((format(printf, 7, 8))) void mkv_log_write(
    struct mkv_log *log, enum mkv_log_site site, enum mkv_config_log_level level,
    const char *target, const struct mkv_log_field *fields, uint32_t field_count,
    const char *format, ...);

/* Lines by level, those that were suppressed included. */
void mkv_log_counts(struct mkv_log *log, uint64_t counts[MKV_LOG_LEVEL_COUNT]);

/* ---- the limit by itself, for its tests ----------------------------------------------------- */

struct mkv_log_limit {
    uint64_t window_start_ns;
    uint32_t lines; /* written in this window */
    uint64_t suppressed;
};
/* Whether a line may be written now; then `*suppressed` is how many before it were not. */
bool mkv_log_limit_admit(struct mkv_log_limit *limit, uint64_t now_ns, uint64_t *suppressed);

#endif
