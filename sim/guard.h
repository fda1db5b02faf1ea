/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is using which bytes: every transfer of drive and fabric holds the memory that it moves from
 * its effect until its completion (O16). Two that only read may share; whoever writes is alone.
 *
 * Invariants
 *  I1  No two holds overlap of which one writes; taking such a one fails the run.
 *
 * Not responsible for: whether the machine itself changes held bytes; who holds them compares a
 * hash at the end (drive_sim.c, the worlds).
 */
#ifndef MKV_SIM_GUARD_H
#define MKV_SIM_GUARD_H

#include "core/base.h"

#define MKV_GUARD_HOLDS_MAX 512u

struct mkv_guard_hold {
    const uint8_t *begin;
    const uint8_t *end;
    const char *holder; /* for the report */
    bool writes;
};

struct mkv_guard {
    struct mkv_guard_hold holds[MKV_GUARD_HOLDS_MAX];
    uint32_t count;
};

/* The machine's memory is gone, and with it every transfer. */
void mkv_guard_reset(struct mkv_guard *guard);
/* `bytes` may be 0: then nothing is held. */
void mkv_guard_take(struct mkv_guard *guard, const uint8_t *memory, size_t bytes, bool writes,
                    const char *holder);
/* Gives back a hold taken with the same arguments. */
void mkv_guard_release(struct mkv_guard *guard, const uint8_t *memory, size_t bytes, bool writes);

#endif
