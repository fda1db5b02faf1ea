/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that takes the signals of the process, so that nothing runs in a signal handler and no
 * call anywhere is interrupted by one.
 *
 * Invariants
 *  I1  Signals that were taken over are blocked in every thread that is made after begin.
 *  I2  The callback runs on the signals' thread, never after end has returned.
 *
 * Not responsible for: what a signal means.
 */
#ifndef MKV_SERVER_SIGNALS_H
#define MKV_SERVER_SIGNALS_H

#include "backends/error.h"

struct mkv_signals;

/* Takes over SIGTERM, SIGINT and SIGHUP, and ignores SIGPIPE: a client that goes away is an error
 * of its connection. Called before there are other threads. */
__attribute__((warn_unused_result)) bool mkv_signals_begin(void (*taken)(void *context, int number),
                                                           void *context,
                                                           struct mkv_signals **signals,
                                                           struct mkv_backend_error *error);
/* Ends the thread. The signals stay blocked: the process is about to end. NULL is allowed. */
void mkv_signals_end(struct mkv_signals *signals);

#endif
