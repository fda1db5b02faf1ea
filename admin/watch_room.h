/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the file system under a store file has room for it, look by look.
 *
 *     needed > free                       small: it may come to be full    (warning)
 *     a write found no room               full: puts are refused           (warning)
 *     free again, and for QUIET no write
 *       has found none                    well
 *
 * Invariants
 *  I1  Everything follows from the facts and the times that were handed in.
 *  I2  Small is over once there is free what is needed and a 64th of it more, so that a file system
 *      that has just what it needs does not go to and fro.
 *
 * Not responsible for: finding the facts out, and for saying it in words.
 */
#ifndef MKV_ADMIN_WATCH_ROOM_H
#define MKV_ADMIN_WATCH_ROOM_H

#include "core/base.h"

#define MKV_WATCH_ROOM_QUIET_NS (3ull * 1000000000u)
/* There is room again when so much is free, or all that the file may still take. */
#define MKV_WATCH_ROOM_FREE_BYTES (64ull * MKV_MIB)
#define MKV_WATCH_ROOM_MARGIN 64u

struct mkv_watch_room_facts {
    uint64_t own_bytes;    /* that this file may still take */
    uint64_t needed_bytes; /* that all store files on its file system may still take */
    uint64_t free_bytes;   /* of the file system */
    uint64_t no_room;      /* writes that found none, since the drive was opened */
};

struct mkv_watch_room {
    bool small;
    bool full;
    uint64_t no_room;    /* at the last look */
    uint64_t no_room_ns; /* when a look found one more */
};

/* `now_ns` is on the monotonic clock and does not go back. */
void mkv_watch_room_look(struct mkv_watch_room *room, const struct mkv_watch_room_facts *facts,
                         uint64_t now_ns);

#endif
