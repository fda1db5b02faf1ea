/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trims of one medium: a thread that makes the blocking call, BLKDISCARD on a block device and
 * fallocate on a file, and hands the result back to the ring of the shard. io_uring itself can
 * discard from kernel 6.12 on only; the thread does it on all.
 *
 *     start ----- semaphore ----> thread: ioctl or fallocate, for as long as it takes
 *     done <-- ring <-- eventfd ---+
 *
 * Invariants
 *  I1  One trim is in flight at a time (asserted); `done` is called once for each, on the ring's
 *      thread, and never inside start. It may start the next.
 *  I2  Nothing that the ring's thread calls here waits, but for close, which joins the thread.
 *  I3  A trim is tried once: nothing depends on it.
 *
 * Not responsible for: keeping trims apart from other operations on their units (core/io.h, I7).
 */
#ifndef MKV_BACKENDS_DRIVE_TRIM_H
#define MKV_BACKENDS_DRIVE_TRIM_H

#include "backends/error.h"
#include "backends/ring.h"
#include "core/base.h"

struct mkv_drive_trim_options {
    struct mkv_ring *ring; /* outlives the trims */
    int fd;                /* of the medium; stays open as long */
    bool block_device;
    /* error_number: 0, or the errno value of the call. device_ns: how long that took. */
    void (*done)(void *context, int error_number, uint64_t device_ns);
    void *context;
};

struct mkv_drive_trim;

__attribute__((warn_unused_result)) bool mkv_drive_trim_create(
    const struct mkv_drive_trim_options *options, struct mkv_drive_trim **trim,
    struct mkv_backend_error *error);
/* On the ring's thread, like all that follows; offset and count are of bytes, in whole units. */
void mkv_drive_trim_start(struct mkv_drive_trim *trim, uint64_t offset, uint64_t byte_count);
/* NULL is ignored. Asserts that nothing is in flight. */
void mkv_drive_trim_close(struct mkv_drive_trim *trim);

#endif
