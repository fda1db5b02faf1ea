/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drive is said to be, everywhere that it is said: the states of its life, the classes of
 * what can be wrong with it, and their words. Both are closed lists whose words are in metrics,
 * JSON, warnings and commands.
 *
 *   new --> recovering --> online <--> slow          foreign: not ours, nothing of it is touched
 *                            |  ^--------------+
 *                            v                 | it answers again
 *                         draining --> offline-+     failed: taken out by the node, for good
 *
 * Where a state comes from (mkv_drive_state_of), the first row that fits:
 *
 *   foreign      what stands on it is another store's, or none, where ours was
 *   offline      it is not there; or an operator, or the fence, has taken it off
 *   failed       its volume served, and failed an operation that must not fail
 *   offline      its volume could not be opened, or is closed again
 *   new          it is being formatted, or joins a node that serves already
 *   recovering   its volume is being opened, or its turn comes yet
 *   draining     it is being closed, or an operator wants no new puts on it: it serves
 *   offline      it does not answer (timeout): it serves again by itself when it does, and its
 *                operations are still out, so it may not be erased or replaced
 *   slow         it serves, and is an outlier against its siblings
 *   online       it serves
 *
 * How a class is recognised:
 *
 *   io_error     EIO and its like; ENODATA, EILSEQ where what must not fail did
 *   timeout      ETIMEDOUT; or an operation that has not come back for stall_ns (volume.h)
 *   gone         ENODEV, ENXIO, ENOMEDIUM, ESHUTDOWN, EBADF; at a start, no medium
 *   read_only    EROFS, and EPERM, which a block device that was set read-only answers a write with
 *   shrunk       it has fewer bytes than when it was opened, or than its superblock says
 *   foreign      at an opening: the superblock is of another store or drive, or there is none
 *
 * Invariants
 *  I1  A drive has one state and one failure. The failure of one that serves is none, but for the
 *      timeout that keeps it from serving.
 *  I2  The order is that of the lists below, in every program and for ever: a state is added at the
 *      end.
 *
 * Not responsible for: what to do about it.
 */
#ifndef MKV_CORE_DRIVE_STATE_H
#define MKV_CORE_DRIVE_STATE_H

#include "core/volume.h"

enum mkv_drive_state {
    MKV_DRIVE_STATE_NEW = 0,
    MKV_DRIVE_STATE_RECOVERING,
    MKV_DRIVE_STATE_ONLINE,
    MKV_DRIVE_STATE_SLOW,
    MKV_DRIVE_STATE_DRAINING,
    MKV_DRIVE_STATE_OFFLINE,
    MKV_DRIVE_STATE_FAILED,
    MKV_DRIVE_STATE_FOREIGN,
};
#define MKV_DRIVE_STATE_COUNT 8u

enum mkv_drive_failure {
    MKV_DRIVE_FAILURE_NONE = 0,
    MKV_DRIVE_FAILURE_IO_ERROR,
    MKV_DRIVE_FAILURE_TIMEOUT,
    MKV_DRIVE_FAILURE_GONE,
    MKV_DRIVE_FAILURE_READ_ONLY,
    MKV_DRIVE_FAILURE_SHRUNK,
    MKV_DRIVE_FAILURE_FOREIGN,
};
#define MKV_DRIVE_FAILURE_COUNT 7u

/* By the values of the enums, closed by NULL. A failure that is none is "none". */
extern const char *const mkv_drive_state_words[MKV_DRIVE_STATE_COUNT + 1];
extern const char *const mkv_drive_failure_words[MKV_DRIVE_FAILURE_COUNT + 1];

/* What a state follows from. */
struct mkv_drive_situation {
    bool absent;      /* it is configured, and not there */
    bool taken_off;   /* by an operator or the fence, since its last opening */
    bool drains;      /* an operator wants no new puts on it */
    bool node_serves; /* so a drive that is not open yet is one that joins */
    bool opened;      /* its volume serves, or has served */
    bool refused;     /* its volume could not be opened */
    bool stalled;     /* as the volume says */
    bool slow;
    enum mkv_volume_state volume;
    enum mkv_drive_failure failure;
};

enum mkv_drive_state mkv_drive_state_of(const struct mkv_drive_situation *situation);

/* Whether it answers gets and takes puts: online, slow. */
bool mkv_drive_state_serves(enum mkv_drive_state state);

/* What an operation that failed says of its drive, and what a volume that cannot be opened does.
 * NONE where the fault is in what was written, not in the drive. */
enum mkv_drive_failure mkv_drive_failure_of_result(enum mkv_io_result result);
enum mkv_drive_failure mkv_drive_failure_of_err(enum mkv_err err);
/* For people: "it failed an operation", "it does not answer", … */
const char *mkv_drive_failure_text(enum mkv_drive_failure failure);

#endif
