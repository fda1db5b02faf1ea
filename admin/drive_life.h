/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator wants of a drive while the node serves, and what came of it.
 *
 *   wish --> REFUSED | NO_DRIVE | UNAVAILABLE             nothing was begun
 *        --> UNDER_WAY(job) --> the same with its job --> UNDER_WAY | DONE | FAILED
 *
 * One job is under way at a time, and the last one is remembered: whoever names it hears what it
 * came to.
 *
 * Not responsible for: doing it (server/node_life.c), and HTTP (drive_endpoint.h).
 */
#ifndef MKV_ADMIN_DRIVE_LIFE_H
#define MKV_ADMIN_DRIVE_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#define MKV_ADMIN_DRIVE_MESSAGE_BYTES 1024u
#define MKV_ADMIN_DRIVE_STAGE_BYTES 128u

enum mkv_admin_drive_action {
    MKV_ADMIN_DRIVE_ACT_OFFLINE = 0, /* out of the set */
    MKV_ADMIN_DRIVE_ACT_ONLINE,      /* back into it, empty */
    MKV_ADMIN_DRIVE_ACT_REPLACE,     /* out, and the drive at `path` in its place */
    MKV_ADMIN_DRIVE_ACT_ERASE,       /* what it holds is discarded; it is out */
    MKV_ADMIN_DRIVE_ACT_DRAIN,       /* no new puts; ONLINE ends that */
};
#define MKV_ADMIN_DRIVE_ACT_COUNT 5u
/* "offline", …; then NULL. */
extern const char *const mkv_admin_drive_actions[MKV_ADMIN_DRIVE_ACT_COUNT + 1];

struct mkv_admin_drive_wish {
    const char *drive; /* its configured name */
    enum mkv_admin_drive_action action;
    const char *path; /* REPLACE */
    uint64_t job;     /* not 0: it was begun as this one */
    bool by_fence;    /* OFFLINE: nobody asked, but storage.slow_fence */
    bool only_cost;   /* says what it would cost, and does nothing */
    uint64_t wait_ns; /* how long to wait for its end */
};

enum mkv_admin_drive_end {
    MKV_ADMIN_DRIVE_END_DONE = 0,
    MKV_ADMIN_DRIVE_END_UNDER_WAY,
    MKV_ADMIN_DRIVE_END_REFUSED,
    MKV_ADMIN_DRIVE_END_NONE, /* there is no such drive */
    MKV_ADMIN_DRIVE_END_FAILED,
    MKV_ADMIN_DRIVE_END_UNAVAILABLE, /* the node does not serve */
};

struct mkv_admin_drive_outcome {
    enum mkv_admin_drive_end end;
    uint64_t job;
    char stage[MKV_ADMIN_DRIVE_STAGE_BYTES]; /* UNDER_WAY: what it is at */
    char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES];
    double miss_share; /* of all blocks, that become misses; 0 ... 1 */
    uint64_t refill_s; /* until as much is written at the present rate; UINT64_MAX: nothing is */
};

#endif
