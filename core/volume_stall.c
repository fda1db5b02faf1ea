/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive that does not answer. Nobody can take an operation back from it, so those that wait go on
 * waiting, but no other client joins them: a miss costs a recompute, which is less than the wait.
 *
 *   SERVING --an operation is older than stall_ns--> stalled --all of then are back--> SERVING
 */
#include "core/volume_internal.h"

/* The operations in flight are looked at so many times within stall_ns. */
#define LOOKS_OF_STALL 8u

/* When the oldest operation in flight was issued; UINT64_MAX when there is none. */
static uint64_t oldest_issued_ns(const struct mkv_volume *volume) {
    const struct op *ops = volume_ops(volume);
    uint64_t oldest_ns = UINT64_MAX;
    for (uint32_t index = 0; index < volume->op_total; index++) {
        switch (ops[index].state) {
        case OP_READING:
        case OP_READING_HEADER:
        case OP_READING_PAYLOAD:
        case OP_CHECKING:
        case OP_WRITING:
        case OP_CATCHING_UP:
        case OP_SCRUBBING:
            oldest_ns = mkv_min_u64(oldest_ns, ops[index].io_issued_ns);
            break;
        case OP_FREE:
        case OP_FOUND:
        case OP_LOCK_WAIT:
        case OP_EXTENT_WAIT:
        case OP_RESERVED:
        case OP_WRITTEN:
        case OP_FLUSHING:
        case OP_READY:
        case OP_JOURNALED:
        case OP_LISTING:
            break;
        }
    }
    for (uint32_t which = 0; which < IO_COUNT; which++) {
        /* A trim may take its time: what waits for it does so for stall_ns (volume_trim.c). */
        if (volume->io[which].in_flight && which != IO_TRIM) {
            oldest_ns = mkv_min_u64(oldest_ns, volume->io[which].issued_ns);
        }
    }
    return oldest_ns;
}

static void look(struct mkv_volume *volume, uint64_t oldest_ns) {
    struct stall *stall = &volume->stall;
    if (stall->active) {
        if (oldest_ns > stall->since_ns) {
            stall->active = false;
            mkv_volume_event(volume, MKV_EVENT_DRIVE_RESUMED, MKV_OK,
                             volume->now_ns - stall->since_ns, 0, 0);
        }
        return;
    }
    if (oldest_ns != UINT64_MAX && volume->now_ns - oldest_ns >= volume->config.stall_ns) {
        stall->active = true;
        stall->since_ns = volume->now_ns;
        volume->stats.stalls_total++;
        mkv_volume_event(volume, MKV_EVENT_DRIVE_STALLED, MKV_OK, volume->now_ns - oldest_ns,
                         volume->io_in_flight, 0);
    }
}

void mkv_volume_stall_pump(struct mkv_volume *volume) {
    struct stall *stall = &volume->stall;
    const bool serves = volume->state == MKV_VOLUME_SERVING || volume->state == MKV_VOLUME_CLOSING;
    if (volume->config.stall_ns == 0 || !serves) {
        return;
    }
    if (stall->active && volume->io_in_flight == 0) {
        look(volume, UINT64_MAX);
    } else if (volume->now_ns >= stall->look_ns) {
        stall->look_ns = volume->now_ns + volume->config.stall_ns / LOOKS_OF_STALL;
        look(volume, oldest_issued_ns(volume));
    }
}
