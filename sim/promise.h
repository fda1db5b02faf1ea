/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run promises under the faults that it has (docs/fault-model.md), and so which events and
 * answers a fault explains. A run without faults explains none.
 *
 *   crash-only   what was acknowledged, also as deleted, stays so; no error is reported, but for a
 *                drive that does not answer for long: then nobody waits for it
 *   outage       the volume may fail; opened again with the drive back, the same holds
 *   media        what was struck may be missing, and an event says so; what was deleted stays so.
 *                Where a checkpoint page, or both copies of a journal block were struck, all may be
 *   lying        no wrong byte, no hang, nothing answered twice
 *
 * Not responsible for: which keys were struck (lives.c), nor for what they may hold (model.h).
 */
#ifndef MKV_SIM_PROMISE_H
#define MKV_SIM_PROMISE_H

#include "core/io.h"
#include "sim/faults.h"

/* The classes that reports tell apart. */
enum mkv_promise {
    MKV_PROMISE_CRASH_ONLY = 0,
    MKV_PROMISE_OUTAGE,
    MKV_PROMISE_MEDIA,
    MKV_PROMISE_MEDIA_AND_OUTAGE,
    MKV_PROMISE_LYING,
};
#define MKV_PROMISE_COUNT 5u

enum mkv_promise mkv_promise_of(uint64_t fault_mask);
const char *mkv_promise_name(enum mkv_promise promise);

/* Whether the drive has given a reason for an operation to fail: IO_ERROR, UNAVAILABLE, UNKNOWN, a
 * miss that says so. */
bool mkv_promise_excuses_error(const struct mkv_faults *faults);
/* Fails the run when nothing that struck the drive explains what the volume reports. `opening` is
 * what the drive was like when the volume was opened last. */
void mkv_promise_judge(const struct mkv_faults *faults, enum mkv_fault_opening opening,
                       uint32_t volume, const struct mkv_event *event);

#endif
