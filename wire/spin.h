/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to poll for what may come any moment, before going to sleep until it has. Polling finds
 * it at once and takes a processor; a sleep takes none, and the way into it and out of it.
 *
 *   nothing has come ----------------> polled for ---- it has come ----> as long again, or longer
 *        (mkv_spin_end_ns)              spin_ns
 *                                          |
 *   nothing has come ----------------> polled for ---- it has come ---> as long again, or longer
 *
 * What took longer than the limit was not worth polling for. What took less is polled for twice as
 * long the next time, and a little less with each time that is shorter. Where it is not polled for
 * any more one wait of MKV_SPIN_TRIAL_EVERY is, up to the limit: it may be the sleep itself that
 * makes waits long.
 *
 * Invariants
 *  S1  Nothing is polled for longer than the limit. Of waits that are all longer than it, together
 *      they are polled for two limits at most, and one in MKV_SPIN_TRIAL_EVERY.
 *  S2  With a limit of 0 nothing is polled for.
 *
 * Not responsible for: clocks, what is polled.
 */
#ifndef MKV_WIRE_SPIN_H
#define MKV_WIRE_SPIN_H

#include "core/base.h"

#define MKV_SPIN_NS_MIN 2000u
#define MKV_SPIN_TRIAL_EVERY 32u

/* No pointers: a copy is another one. */
struct mkv_spin {
    uint64_t limit_ns;
    uint64_t spin_ns;  /* of the next wait */
    uint64_t since_ns; /* of this one, which is polled for ... */
    uint64_t end_ns;   /* ... until then */
    bool is_waiting;
    uint32_t unpolled_count; /* waits since one was polled for */
};

/* Polls for as long as it may first. */
void mkv_spin_init(struct mkv_spin *spin, uint64_t limit_ns);
/* Nothing is there now: until when to poll, which is over where it is not after `now_ns`. */
uint64_t mkv_spin_end_ns(struct mkv_spin *spin, uint64_t now_ns);
/* Something has come. */
void mkv_spin_came(struct mkv_spin *spin, uint64_t now_ns);
/* What is waited for has only now begun: the next mkv_spin_end_ns begins another wait. */
void mkv_spin_restart(struct mkv_spin *spin);

#endif
