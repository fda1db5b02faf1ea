/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last slow requests, in a ring that one thread writes and others copy.
 *
 * Invariants
 *  I1  The ring holds the last MKV_ADMIN_SLOW_MAX that were added; the oldest gives way.
 *  I2  Adding never waits; a copy passes over a place that is being written.
 *
 * Not responsible for: what is slow.
 */
#ifndef MKV_SERVER_SLOW_LOG_H
#define MKV_SERVER_SLOW_LOG_H

#include "admin/observed.h"

struct mkv_slow_log;

/* NULL when there is no memory. */
struct mkv_slow_log *mkv_slow_log_create(void);
void mkv_slow_log_destroy(struct mkv_slow_log *log);
void mkv_slow_log_add(struct mkv_slow_log *log, const struct mkv_admin_slow *slow);
/* From any thread: copies up to `max`, newest first, and returns how many. */
uint32_t mkv_slow_log_copy(const struct mkv_slow_log *log, struct mkv_admin_slow *out,
                           uint32_t max);

#endif
