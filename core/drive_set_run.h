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
 *              a member failed, or leaves, and others serve -> CHANGING, without it; before
 *                                                             anything is served only if it
 *                                                             has just joined
 *              drives are to join, and all members serve   -> PURGING
 *   PURGING    every member drops the blocks of keys that the joining drives take; -> CHANGING
 *
 *   A joining drive's keys go to it from when it is to join, and are unavailable until it serves;
 *   and members refuse them from when they are told to purge (volume_set.c): so none gets a block
 *   of them while it purges, or behind it.
 *
 *   An operator takes drives out and brings them back while others serve:
 *
 *   leave:  SERVING --CLOSE told--> --CLOSE taken--> CLOSING --(closed)--> LEFT
 *                                         |
 *                                         +--> SETTLED -> CHANGING, without it
 *   join:   LEFT, or failed and out, and its owner has made the volume anew --> as at a start: it
 *           is a JOINER, all members PURGE, the next set names it, it opens empty
 *
 *           who waits to be opened when no member serves any more is OUT again: nobody is left to
 *           take it in
 *
 *   The set changes without waiting for the drive that leaves, but not before its volume has taken
 *   the CLOSE: from then on it refuses mutations, and its keys are misses. So a drive that does not
 *   answer any more can be taken out, too.
 *
 * Invariants
 *  I1  Keys go where a set says only when it is durable on all of its members.
 *  I2  A set goes out only when the one before it is durable on every member that serves.
 *  I3  A drive joins when every member of the set has it, durable, and has dropped, durably, what
 *      does not go to it any more.
 *  I4  While a member did not open, and was none that joins, the set does not change: that member
 *      may hold blocks, and could not be told.
 *  I5  No volume is told the same twice, but to PURGE for drives that are to join later.
 *  I6  A drive that was taken out, or failed, comes back empty, and when all members have purged
 *      since it was to join.
 *  I7  No member leaves when no other would serve.
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

/* What a volume is to be told: MKV_ADMIN_OPEN, _JOIN, _DRIVE_SET or _PURGE, with the set as data;
 * or MKV_ADMIN_CLOSE, of which mkv_drive_set_run_closing tells when the volume took it. */
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
    MKV_DRIVE_SET_CLOSING, /* it leaves, and has taken the CLOSE */
    MKV_DRIVE_SET_LEFT,    /* it is closed */
};

struct mkv_drive_set_volume {
    enum mkv_drive_set_role role;
    enum mkv_drive_set_life life;
    bool raised; /* it has to be raised when it is opened */
    bool joined; /* it came up empty in this run */
    bool leaving;
    bool close_told;
    bool purging;
    uint64_t purge_round;   /* of the PURGE that it was told last */
    uint64_t purged_round;  /* of the last that is done; 0: none is */
    uint32_t member_number; /* counts the members that it was, or is to be */
    struct mkv_member member;
    uint64_t version_told;
    uint64_t version_durable;
};

struct mkv_drive_set_run {
    enum mkv_drive_set_state state;
    uint32_t count;
    bool ready; /* the first set is durable on its members: requests may be taken */
    bool never_opened;
    uint64_t round;               /* counts the times that drives were to join */
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
/* The volume has taken its CLOSE, and the front was told that it is offline. */
void mkv_drive_set_run_closing(struct mkv_drive_set_run *run, uint32_t volume);

/* Why an operator's wish cannot be. */
enum mkv_drive_set_verdict {
    MKV_DRIVE_SET_GRANTED = 0, /* it is under way, or done */
    MKV_DRIVE_SET_NOT_NOW,     /* nothing is served, or the drive is on its way in or out */
    MKV_DRIVE_SET_NO_OTHER,    /* no other member serves */
    MKV_DRIVE_SET_UNKNOWN,     /* I4: a member did not open */
    MKV_DRIVE_SET_IS_OUT,      /* leave: it is no member; it failed, or was taken out */
    MKV_DRIVE_SET_IS_IN,       /* join: it is a member, or to be one */
};
/* The volume's drive is to be taken out of the set. */
enum mkv_drive_set_verdict mkv_drive_set_run_leave(struct mkv_drive_set_run *run, uint32_t volume);
/* Whether a drive may join in the place of the volume. */
enum mkv_drive_set_verdict mkv_drive_set_run_may_join(const struct mkv_drive_set_run *run,
                                                      uint32_t volume);
/* And it is to: the volume was made anew, is closed, and its drive is formatted as `member`, which
 * no drive of the set is. */
enum mkv_drive_set_verdict mkv_drive_set_run_join(struct mkv_drive_set_run *run, uint32_t volume,
                                                  struct mkv_member member);
enum mkv_drive_set_route mkv_drive_set_run_route(const struct mkv_drive_set_run *run,
                                                 uint32_t volume);
/* Whether nothing comes before requests may be taken, or ever. */
static inline bool mkv_drive_set_run_opened(const struct mkv_drive_set_run *run) {
    return run->ready || run->state == MKV_DRIVE_SET_STUCK;
}

#endif
