/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_room.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

/* Those of a write that crosses a boundary, and the next. What comes to be wanted beyond that
 * while these wait the file system finds for itself. */
#define WANTED_MAX 3u

struct mkv_drive_room {
    struct mkv_ring_completion completion; /* of each that was asked for */
    uint32_t in_flight;
    struct mkv_ring *ring;
    uint64_t file_bytes;
    uint64_t region_count;
    uint64_t last; /* the region of the last write, so that most look no further */
    void (*all_answered)(void *context);
    void *context;
    uint32_t wanted_count;
    uint64_t wanted[WANTED_MAX];
    bool asked[]; /* or wanted */
};

/* Whatever came of it (I1). */
static void answered(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_drive_room *room = (struct mkv_drive_room *)completion;
    (void)result;
    (void)flags;
    MKV_ASSERT(room->in_flight > 0);
    room->in_flight--;
    if (room->in_flight == 0) {
        room->all_answered(room->context);
    }
}

struct mkv_drive_room *mkv_drive_room_create(struct mkv_ring *ring, uint64_t file_bytes) {
    if (!mkv_ring_supports(ring, IORING_OP_FALLOCATE)) {
        return NULL;
    }
    const uint64_t region_count = mkv_divide_up_u64(file_bytes, MKV_DRIVE_ROOM_REGION_BYTES);
    struct mkv_drive_room *room = calloc(1, sizeof *room + region_count * sizeof room->asked[0]);
    if (room != NULL) {
        room->completion.done = answered;
        room->ring = ring;
        room->file_bytes = file_bytes;
        room->region_count = region_count;
        room->last = UINT64_MAX;
    }
    return room;
}

static void want(struct mkv_drive_room *room, uint64_t region) {
    if (region < room->region_count && !room->asked[region] && room->wanted_count < WANTED_MAX) {
        room->asked[region] = true;
        room->wanted[room->wanted_count++] = region;
    }
}

bool mkv_drive_room_write(struct mkv_drive_room *room, uint64_t offset, uint64_t byte_count) {
    MKV_ASSERT(byte_count > 0);
    MKV_ASSERT(offset + byte_count <= room->file_bytes);
    const uint64_t region = (offset + byte_count - 1) / MKV_DRIVE_ROOM_REGION_BYTES;
    if (region != room->last) {
        room->last = region;
        want(room, offset / MKV_DRIVE_ROOM_REGION_BYTES);
        want(room, region);
        want(room, region + 1);
    }
    return room->wanted_count > 0;
}

void mkv_drive_room_ask(struct mkv_drive_room *room, int fd, bool is_place,
                        void (*all_answered)(void *context), void *context) {
    room->all_answered = all_answered;
    room->context = context;
    for (uint32_t i = 0; i < room->wanted_count; i++) {
        const uint64_t offset = room->wanted[i] * MKV_DRIVE_ROOM_REGION_BYTES;
        const uint64_t bytes = mkv_min_u64(MKV_DRIVE_ROOM_REGION_BYTES, room->file_bytes - offset);
        struct io_uring_sqe *sqe = mkv_ring_sqe(room->ring, &room->completion);
        io_uring_prep_fallocate(sqe, fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
        if (is_place) {
            io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
        }
        room->in_flight++;
    }
    room->wanted_count = 0;
}

uint32_t mkv_drive_room_in_flight(const struct mkv_drive_room *room) {
    return room == NULL ? 0 : room->in_flight;
}

void mkv_drive_room_free(struct mkv_drive_room *room) {
    MKV_ASSERT(mkv_drive_room_in_flight(room) == 0);
    free(room);
}
