/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which drive the fence takes offline: one that was slow for as long as it was told to wait.
 *
 *     all drives online, but one that is slow for after_ns --> that one
 *     it was asked for --> nobody for MKV_WATCH_FENCE_PAUSE_NS, whatever came of it
 *
 * Invariants
 *  I1  Everything follows from the snapshots and the times that were handed in.
 *  I2  No drive is taken while another one is in any state but online: so the last one that serves
 *      never is, and one at a time, until somebody has brought it back. That several are slow at
 *      once says more of what they share than of a drive.
 *
 * Not responsible for: whether a drive is slow (watch.h), and for taking it offline.
 */
#ifndef MKV_ADMIN_WATCH_FENCE_H
#define MKV_ADMIN_WATCH_FENCE_H

#include "admin/snapshot.h"

#define MKV_WATCH_FENCE_PAUSE_NS (60ull * 1000000000u)

struct mkv_watch_fence {
    uint64_t after_ns; /* 0: it is off */
    uint64_t again_ns; /* nobody before then */
};

/* The drive's place in the snapshot, or MKV_NONE_U32. `slow_ns` has as many places: how long each
 * drive was slow. `now_ns` is on the monotonic clock and does not go back. */
uint32_t mkv_watch_fence_look(struct mkv_watch_fence *fence,
                              const struct mkv_admin_snapshot *snapshot, const uint64_t *slow_ns,
                              uint64_t now_ns);

#endif
