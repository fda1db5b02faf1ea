/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a node's drive set from the decision (drive_set.h) to serving, and on while drives
 * fail: which volume is told what, and where keys go. A machine beside the volumes: it takes their
 * events and hands out commands for them, and its owner tells the front what it says of routes.
 *
 *   RAISING    drives that keep their content are opened; those behind are raised to the newest set
 *   CHANGING   the next set goes to every member that stays, and when it is durable on all of them
 *              the drives that join are opened empty, under it
 *   SETTLED    nothing to do. What comes next is the first of
 *              a member failed, and all others serve       -> CHANGING, without it; before
 *                                                             anything is served only if it
 *                                                             has just joined
 *              drives are to join, and all members serve   -> PURGING
 *   PURGING    every member drops the blocks of keys that the joining drives take; -> CHANGING
 *
 *   A joining drive's keys go to it from the start, and are unavailable until it serves: so no
 *   member gets a block of them while it purges.
 *
 * Invariants
 *  I1  Keys go where a set says only when it is durable on all of its members.
 *  I2  A set goes out only when the one before it is durable on every member that serves.
 *  I3  A drive joins when every member of the set has it, durable, and has dropped, durably, what
 *      does not go to it any more.
 *  I4  While a member did not open, and was none that joins, the set does not change: that member
 *      may hold blocks, and could not be told.
 *  I5  No volume is told the same twice.
 *
 * Not responsible for: who is a member (drive_set.h), nor for superblocks and purging (volume.h).
 */
#ifndef MKV_CORE_DRIVE_SET_RUN_H
#define MKV_CORE_DRIVE_SET_RUN_H

#include "core/drive_set.h"
#include "core/io.h"

enum mkv_drive_set_route {
    MKV_DRIVE_SET_ABSENT = 0, /* no key goes there */
    MKV_DRIVE_SET_OFFLINE,    /* its keys are misses, and cannot be put or deleted */
    MKV_DRIVE_SET_ONLINE,
};

enum mkv_drive_set_state {
    MKV_DRIVE_SET_RAISING = 0,
    MKV_DRIVE_SET_CHANGING,
    MKV_DRIVE_SET_SETTLED,
    MKV_DRIVE_SET_PURGING,
    MKV_DRIVE_SET_STUCK, /* a member that must open did not: nothing is ever served */
};

/* What a volume is to be told: MKV_ADMIN_OPEN, _JOIN, _DRIVE_SET or _PURGE, with the set as data.
 */
struct mkv_drive_set_command {
    uint32_t volume;
    enum mkv_admin_command admin;
    struct mkv_drive_set set;
};

enum mkv_drive_set_role {
    MKV_DRIVE_SET_OUT = 0, /* not there, or out of the set for the rest of this run */
    MKV_DRIVE_SET_MEMBER,
    MKV_DRIVE_SET_JOINER, /* to be opened empty */
};

enum mkv_drive_set_life {
    MKV_DRIVE_SET_CLOSED = 0,
    MKV_DRIVE_SET_OPENING,
    MKV_DRIVE_SET_SERVING,
    MKV_DRIVE_SET_OPEN_FAILED,
    MKV_DRIVE_SET_FAILED,
};

struct mkv_drive_set_volume {
    enum mkv_drive_set_role role;
    enum mkv_drive_set_life life;
    bool raised; /* it has to be raised when it is opened */
    bool joined; /* it came up empty in this run */
    bool purging;
    bool purged;
    struct mkv_member member;
    uint64_t version_told;
    uint64_t version_durable;
};

struct mkv_drive_set_run {
    enum mkv_drive_set_state state;
    uint32_t count;
    bool ready; /* the first set is durable on its members: requests may be taken */
    bool never_opened;
    struct mkv_drive_set current; /* durable on every member that serves */
    struct mkv_drive_set target;  /* CHANGING: the one that is on its way */
    struct mkv_drive_set routed;  /* I1 */
    struct mkv_drive_set first;
    struct mkv_drive_set_volume volumes[MKV_VOLUMES_MAX];
};

/* Volume i is drive i of the plan, which was accepted; what was to be formatted is. */
void mkv_drive_set_run_begin(struct mkv_drive_set_run *run, const struct mkv_drive_set_plan *plan);
/* An event of a volume. */
void mkv_drive_set_run_event(struct mkv_drive_set_run *run, uint32_t volume,
                             const struct mkv_event *event);
/* The next command, or false. It has to be carried out; mkv_drive_set_run_refused when the volume
 * does not take it. */
bool mkv_drive_set_run_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command);
void mkv_drive_set_run_refused(struct mkv_drive_set_run *run, uint32_t volume);
enum mkv_drive_set_route mkv_drive_set_run_route(const struct mkv_drive_set_run *run,
                                                 uint32_t volume);
/* Whether nothing comes before requests may be taken, or ever. */
static inline bool mkv_drive_set_run_opened(const struct mkv_drive_set_run *run) {
    return run->ready || run->state == MKV_DRIVE_SET_STUCK;
}

#endif
