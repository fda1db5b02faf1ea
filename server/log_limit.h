/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines each place of the source may write in a while, so that a fault that repeats does
 * not fill a disk and hides no other. What is beyond it is counted and said.
 *
 * Places are told apart by what they tell of. A window begins with the first line behind the end of
 * the one before.
 *
 * Invariants
 *  I1  Each line is admitted or counted as suppressed, also where threads race for the last place.
 *  I2  Nobody waits.
 *
 * Not responsible for: saying how many there were (log.h).
 */
#ifndef MKV_SERVER_LOG_LIMIT_H
#define MKV_SERVER_LOG_LIMIT_H

#include <stdatomic.h>

#include "core/base.h"

/* Kinds of messages, so that many of one do not hide another. */
enum mkv_log_site {
    MKV_LOG_SITE_NODE = 0,    /* starting, ready, stopping */
    MKV_LOG_SITE_STEP,        /* a step of the start */
    MKV_LOG_SITE_REFUSAL,     /* why the node does not start, or did not end well */
    MKV_LOG_SITE_DRIVE,       /* found, formatted, opened, closed, failed */
    MKV_LOG_SITE_DRIVE_ERROR, /* one operation of a drive failed */
    MKV_LOG_SITE_CHECKPOINT,  /* one was written */
    MKV_LOG_SITE_REPAIR,      /* a superblock or journal copy was mended, a tail cut */
    MKV_LOG_SITE_DIRECTORY,   /* the directory of keys was damaged, made anew, is full */
    MKV_LOG_SITE_QUARANTINE,  /* a block's content failed its check */
    MKV_LOG_SITE_TENANT,      /* a tenant's blocks are gone */
    MKV_LOG_SITE_WARNING,     /* a warning came or went */
    MKV_LOG_SITE_LOG,         /* the log about itself */
    MKV_LOG_SITE_SUMS,        /* what requests of the last seconds came to, together */
    MKV_LOG_SITE_REQUEST,     /* one request */
    MKV_LOG_SITE_CONNECTION,  /* one connection of a client */
    MKV_LOG_SITE_ADMIN,       /* one request of an administrator */
    MKV_LOG_SITE_TELEMETRY,   /* one event */
    MKV_LOG_SITE_DROPS,       /* events had no room */
    MKV_LOG_SITE_AUTH,        /* somebody was not let through */
    MKV_LOG_SITE_RDMA,        /* a port came or went */
    MKV_LOG_SITE_LANE,        /* RDMA of one connection broke */
};
#define MKV_LOG_SITE_COUNT 21u

struct mkv_log_site_limit {
    const char *name; /* in the line that says how many were suppressed */
    uint32_t lines_max;
    uint32_t window_s;
};
extern const struct mkv_log_site_limit mkv_log_site_limits[MKV_LOG_SITE_COUNT];

struct mkv_log_limit {
    atomic_uint_fast64_t window_start_ns;
    atomic_uint_fast32_t lines; /* asked for in this window */
    atomic_uint_fast64_t suppressed;
};
/* Whether a line may be written now; then `*suppressed` is how many before it were not. */
bool mkv_log_limit_admit(struct mkv_log_limit *limit, const struct mkv_log_site_limit *bounds,
                         uint64_t now_ns, uint64_t *suppressed);
/* Takes the count of what was suppressed, once the window is over; 0 before. */
uint64_t mkv_log_limit_settle(struct mkv_log_limit *limit, const struct mkv_log_site_limit *bounds,
                              uint64_t now_ns);

#endif
