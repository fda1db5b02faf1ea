/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: whole lines on standard error and, if wanted, in a file, from any thread, none
 * more often than anybody can read, and nobody waits for whoever reads them.
 *
 *   any thread --write--> queue --> thread of the log --> the last lines --> thread of stderr
 *                        (bounded)                        (log_store.h) \--> thread of the file
 *
 * Every line belongs to a target, which a filter may want or not, and to a site, a kind of message,
 * which may write so many lines in a while. What is beyond that is counted, and the count stands in
 * the field `suppressed` of the site's next line, or in a line of its own when the while is over.
 *
 * Invariants
 *  I1  A line is written whole or not at all, never mixed with another.
 *  I2  Logging never fails its caller, and never waits for a descriptor, a disk or a lock.
 *  I3  No line holds a payload, a credential or a part of one.
 *  I4  Each line that is wanted is written, or counted as suppressed, or counted as lost; and what
 *      was lost is said as soon as there is room.
 *  I5  Behind destroy every line is written, unless a descriptor takes none for MKV_LOG_END_NS.
 *
 * Not responsible for: how a line looks (log_line.h).
 */
#ifndef MKV_SERVER_LOG_H
#define MKV_SERVER_LOG_H

#include <stdatomic.h>

#include "server/log_filter.h"
#include "server/log_limit.h"
#include "server/log_line.h"

#define MKV_LOG_LEVEL_COUNT 5u
/* Lines on their way from a caller to the thread of the log, which only copies them. */
#define MKV_LOG_QUEUE_LINES 512u
#define MKV_LOG_END_NS (2ull * 1000000000u)
/* How often the function of mkv_log_periodic is called, at least; and lost lines are told, at most.
 */
#define MKV_LOG_TICK_NS (1ull * 1000000000u)
#define MKV_LOG_LOST_TOLD_NS (10ull * 1000000000u)

/* What a caller on the way of requests looks at; the rest is behind it. */
struct mkv_log {
    atomic_uchar levels[MKV_LOG_TARGET_COUNT];
};

/* Whether a line of this level would be written, or counted. */
static inline bool mkv_log_wants(const struct mkv_log *log, enum mkv_log_target target,
                                 enum mkv_config_log_level level) {
    return (unsigned)level <= atomic_load_explicit(&log->levels[target], memory_order_relaxed);
}

/* `fd` stays open and the caller's. All targets are at `level`. NULL when there is no memory for
 * it, or no thread. */
struct mkv_log *mkv_log_create(int fd, enum mkv_config_log_level level,
                               enum mkv_config_log_format format);
/* Says what is still suppressed, and writes what is to be written. NULL is allowed. */
void mkv_log_destroy(struct mkv_log *log);

/* Writes to a file too, from the oldest line on that is still in memory. Returns 0 or the error
 * number. Once. */
__attribute__((warn_unused_result)) int mkv_log_file(struct mkv_log *log, const char *path);
/* Opens that file again; false when there is none. */
bool mkv_log_reopen(struct mkv_log *log);

/* From any thread; takes hold of the lines written behind it. */
void mkv_log_filter_set(struct mkv_log *log, const struct mkv_log_filter *filter);
void mkv_log_filter_get(const struct mkv_log *log, struct mkv_log_filter *filter);

/* Writes a line, unless its level is not wanted or its site has written enough. `target` is one of
 * mkv_log_targets. */
__attribute__((format(printf, 7, 8))) void mkv_log_write(
    struct mkv_log *log, enum mkv_log_site site, enum mkv_config_log_level level,
    const char *target, const struct mkv_log_field *fields, uint32_t field_count,
    const char *format, ...);

/* Lines by level, those that were suppressed or lost included. */
void mkv_log_counts(struct mkv_log *log, uint64_t counts[MKV_LOG_LEVEL_COUNT]);
/* Lines that nobody got, whatever the reason but a limit. */
uint64_t mkv_log_lost(const struct mkv_log *log);

/* The last lines, as they stand in the log: see mkv_log_store_last. */
char *mkv_log_last(struct mkv_log *log, uint32_t line_count, size_t *bytes);
/* Waits until the lines of before are with their descriptors, `ns_max` at most; false where they
 * are not. */
bool mkv_log_flush(struct mkv_log *log, uint64_t ns_max);

/* Has a function called on the log's thread, for lines that tell of a while; NULL ends that, and
 * waits for a call that is under way. */
void mkv_log_periodic(struct mkv_log *log, void (*periodic)(void *context, uint64_t now_ns),
                      void *context);

#endif
