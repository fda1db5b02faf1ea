/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One descriptor that the log goes to, standard error or a file, with a thread of its own: a reader
 * that has stopped, or a disk that has, holds up nobody else.
 *
 * Invariants
 *  I1  A line is written whole, or what there is of it ends in a newline before the next.
 *  I2  What could not be written counts as lost.
 *  I3  A line goes to the file that the path names, from the first line behind a reopen on: none is
 *      lost by it. Where the path cannot be opened, the file before stays.
 *
 * Not responsible for: what the lines are, and saying how many were lost (log.h).
 */
#ifndef MKV_SERVER_LOG_OUTPUT_H
#define MKV_SERVER_LOG_OUTPUT_H

#include "server/log_store.h"

struct mkv_log_output;

struct mkv_log_output_options {
    struct mkv_log_store *store;
    int fd;           /* stays the caller's; not looked at with a path */
    const char *path; /* NULL: `fd`. Copied; opened to append, made where it is not */
    /* On the output's thread: the path could not be opened again. */
    void (*reopen_failed)(void *context, const char *path, int error_number);
    void *context;
};

/* NULL where the path cannot be opened, or there is no memory or thread: `*error_number` says why.
 */
struct mkv_log_output *mkv_log_output_create(const struct mkv_log_output_options *options,
                                             int *error_number);
/* Opens the path again, on the output's thread: for who renames files of a log. */
void mkv_log_output_reopen(struct mkv_log_output *output);
/* Lines that were not written, and the number of the first line that is still to come. From any
 * thread. */
uint64_t mkv_log_output_lost(const struct mkv_log_output *output);
uint64_t mkv_log_output_done(const struct mkv_log_output *output);
/* Behind the store's close: waits until all is written, until `deadline_ns` of the monotonic clock
 * at most. False when the descriptor still holds the thread: then its memory and the store's must
 * stay. */
__attribute__((warn_unused_result)) bool mkv_log_output_end(struct mkv_log_output *output,
                                                            uint64_t deadline_ns);

#endif
