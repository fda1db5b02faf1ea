/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/watch_room.h"

static bool is_small(const struct mkv_watch_room *room, const struct mkv_watch_room_facts *facts) {
    const uint64_t margin = room->small ? facts->needed_bytes / MKV_WATCH_ROOM_MARGIN : 0;
    return facts->needed_bytes > 0 && facts->needed_bytes + margin > facts->free_bytes;
}

static bool has_room_again(const struct mkv_watch_room *room,
                           const struct mkv_watch_room_facts *facts, uint64_t now_ns) {
    return facts->free_bytes >= mkv_min_u64(MKV_WATCH_ROOM_FREE_BYTES, facts->own_bytes) &&
           now_ns - room->no_room_ns >= MKV_WATCH_ROOM_QUIET_NS;
}

void mkv_watch_room_look(struct mkv_watch_room *room, const struct mkv_watch_room_facts *facts,
                         uint64_t now_ns) {
    MKV_ASSERT(now_ns >= room->no_room_ns);
    room->small = is_small(room, facts);
    if (facts->no_room > room->no_room) {
        room->no_room_ns = now_ns;
        room->full = true;
    } else if (room->full && has_room_again(room, facts, now_ns)) {
        room->full = false;
    }
    room->no_room = facts->no_room;
}
