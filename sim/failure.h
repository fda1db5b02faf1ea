/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a run ends that found something: an oracle that fired, or an assertion that failed in the
 * core or in the simulator itself, unwinds to the trap that the runner has set.
 *
 *     struct mkv_trap trap;
 *     mkv_trap_set(&trap);
 *     if (setjmp(trap.jump) == 0) { run }  else { trap.failure says what }
 *     mkv_trap_set(NULL);
 *
 * Invariants
 *  I1  At most one trap is set for a thread; a failure without one prints itself and aborts.
 *  I2  Nothing that a run owns needs freeing when it is unwound: its memory is the runner's
 *      (sim/memory.h).
 *
 * Not responsible for: counting evaluations, or reporting.
 */
#ifndef MKV_SIM_FAILURE_H
#define MKV_SIM_FAILURE_H

#include <setjmp.h>

#include "core/base.h"

/* The oracles by the numbers that reports cite (docs/testing.md); O14 is a unit test's. */
enum mkv_oracle {
    MKV_ORACLE_NONE = 0,
    MKV_ORACLE_DURABLE = 1,     /* acknowledged puts are readable and identical */
    MKV_ORACLE_NO_RETURN = 2,   /* nothing deleted or old returns */
    MKV_ORACLE_PREFIX = 3,      /* what recovers is a prefix of what was in flight */
    MKV_ORACLE_SLOTS = 4,       /* no slot is owned twice */
    MKV_ORACLE_ACCOUNTING = 5,  /* free + used + retired = total */
    MKV_ORACLE_STATE = 6,       /* recovered = live in all that is durable; and the tiers */
    MKV_ORACLE_MONOTONIC = 7,   /* sequences, epochs and generations only grow */
    MKV_ORACLE_IDEMPOTENT = 8,  /* recovery is idempotent, also when cut */
    MKV_ORACLE_BOUNDS = 9,      /* memory and queues are in bounds, and come back */
    MKV_ORACLE_ANSWERS = 10,    /* every request is answered exactly once, and in the end */
    MKV_ORACLE_OVERWRITE = 11,  /* no write to a slot that a durable record references */
    MKV_ORACLE_FLUSH = 12,      /* no acknowledgement before the flush that covers it */
    MKV_ORACLE_SAME_TRACE = 13, /* the same seed gives the same trace */
    MKV_ORACLE_TENANT = 15,     /* no key returns what another tenant stored */
    MKV_ORACLE_BUFFERS = 16,    /* no buffer is reused under a transfer */
    MKV_ORACLE_ENDS = 17,       /* each request that began ends once, and as it was */
    /* Of the world of lanes; "R1", "R2". */
    MKV_ORACLE_DMA = 51,        /* no bytes move in a buffer that is somebody else's */
    MKV_ORACLE_SAME_BYTES = 52, /* what comes is what was sent, in order, once, all of it */
    MKV_ORACLE_ASSERTION = 100, /* not an oracle of the list: an assertion failed */
};

#define MKV_FAILURE_TEXT_BYTES 512u

struct mkv_failure {
    uint64_t seed; /* set by the runner */
    enum mkv_oracle oracle;
    char text[MKV_FAILURE_TEXT_BYTES];
};

struct mkv_trap {
    jmp_buf jump;
    struct mkv_failure failure;
};

void mkv_trap_set(struct mkv_trap *trap);

/* Ends the run. The text is one line for people. */
__attribute__((format(printf, 2, 3))) _Noreturn void mkv_fail(enum mkv_oracle oracle,
                                                              const char *format, ...);

/* "O1", ..., "R1", ..., "assertion"; into `text`, which takes at least 16 bytes. */
const char *mkv_oracle_name(enum mkv_oracle oracle, char *text);

#endif
