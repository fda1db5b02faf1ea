/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer that takes its time. Its connection sleeps, so that the listener serves the others,
 * while a thread of its own makes the answer. There is room for one.
 *
 *            take           begin            answer made, resumed         end
 *     FREE --------> TAKEN --------> WORKING ---------------------> MADE -----> FREE
 *
 * A handler takes the room and hands it out in its reply; the listener puts the connection to
 * sleep, begins, and ends when the connection was woken.
 *
 * Invariants
 *  I1  Whoever took begins soon, and ends what was begun exactly once, after it was woken.
 *  I2  After mkv_later_close nobody takes, no thread works, and every connection was woken.
 *
 * Not responsible for: what the answer is, and connections.
 */
#ifndef MKV_ADMIN_LATER_H
#define MKV_ADMIN_LATER_H

#include "admin/reply.h"

struct mkv_later;

/* Makes the answer, on the thread. Whatever takes long in it is mkv_later_sleep. */
typedef struct mkv_admin_reply mkv_later_make(struct mkv_later *later, uint64_t argument);

/* NULL when there is no memory. */
struct mkv_later *mkv_later_create(void);
/* It is closed, or nobody took. NULL is allowed. */
void mkv_later_destroy(struct mkv_later *later);

/* False when somebody else has the room, or it is closed. */
__attribute__((warn_unused_result)) bool mkv_later_take(struct mkv_later *later,
                                                        mkv_later_make *make, uint64_t argument);

/* Calls resume(context) when the answer is made: from the thread, or before it returns where no
 * thread can be had. */
void mkv_later_begin(struct mkv_later *later, void (*resume)(void *context), void *context);

/* The answer, which is the caller's; the room is free. */
struct mkv_admin_reply mkv_later_end(struct mkv_later *later);

/* For `make`: false when it was closed before the time was over. */
bool mkv_later_sleep(struct mkv_later *later, uint64_t seconds);

/* Cuts short what sleeps, and waits for what works. */
void mkv_later_close(struct mkv_later *later);

#endif
