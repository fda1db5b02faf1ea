/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that does the same again and again: reads what devices say of themselves, or looks at
 * the node. Whoever it asks may keep it in the kernel for ever; the end does not wait for that.
 *
 *   begin --> turn --> interval_ns, or a wake --> turn --> ... --> end: joined, or left behind
 *
 * Invariants
 *  I1  The end was asked for, or a thread is between enter and leave: never both. So what stands
 *      between them may touch what its owner takes away once end has returned.
 *  I2  `release` is called once, when no thread uses `context` any more: by end, or, where the
 *      thread was left behind, by the thread itself, which touches nothing but `context` by then.
 */
#ifndef MKV_SERVER_PERIODIC_H
#define MKV_SERVER_PERIODIC_H

#include "backends/error.h"
#include "core/base.h"

/* For end_ns: however long a turn takes. */
#define MKV_PERIODIC_JOINED UINT64_MAX

struct mkv_periodic;

struct mkv_periodic_options {
    const char *name;     /* of the thread, up to 15 characters: "memkv-smart" */
    const char *purpose;  /* for the refusal, "the health of drives"; both are not kept */
    uint64_t interval_ns; /* from the end of a turn to the next */
    uint64_t end_ns;      /* so long end waits for a turn that is under way */
    /* The first one comes at once. Not called between enter and leave. */
    void (*turn)(void *context, struct mkv_periodic *periodic);
    void (*release)(void *context); /* NULL: nothing is to be let go of */
    void *context;
};

/* Begins the thread, which takes no signal but a profiler's. False: the error says what to do, and
 * `context` is the caller's still. */
__attribute__((warn_unused_result)) bool mkv_periodic_begin(
    const struct mkv_periodic_options *options, struct mkv_periodic **periodic,
    struct mkv_backend_error *error);

/* From a turn, or any other thread: one at a time is let in, and is to leave soon, without a turn's
 * waiting in between. False: the end was asked for, and nobody is in; a turn returns then. */
__attribute__((warn_unused_result)) bool mkv_periodic_enter(struct mkv_periodic *periodic);
void mkv_periodic_leave(struct mkv_periodic *periodic);

/* The next turn begins at once, or as soon as the one under way is over. Any thread. */
void mkv_periodic_wake(struct mkv_periodic *periodic);

/* Ends it; nobody calls anything of it behind that. NULL is allowed. */
void mkv_periodic_end(struct mkv_periodic *periodic);

#endif
