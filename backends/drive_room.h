/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room of a sparse file, allocated in regions ahead of the writes that come to them: a file system
 * that has to find room for each write has a thread of the kernel do it, which costs more than the
 * write itself.
 *
 *     regions  [ asked for ][ asked for ][ not yet ][ not yet ]
 *                             ^ a write here wants the next one, too
 *
 *     write --> wanted --ask--> in flight --> answered
 *
 * Allocating, a file system waits for all transfers of the file that are under way, and lets none
 * begin meanwhile. So whoever wants room asks when there are no long ones (drive_uring.h).
 *
 * Invariants
 *  I1  Each region is asked for once, and nothing waits for that or looks at what came of it: a
 *      write finds its room with it or without.
 *  I2  A file that was asked for room is in use until that is answered, whatever is closed
 *      meanwhile, and so is its lock: whoever closes it waits until nothing is in flight.
 *  I3  The file keeps its size and all that was written.
 *
 * Not responsible for: files whose room is given back (trims), devices.
 */
#ifndef MKV_BACKENDS_DRIVE_ROOM_H
#define MKV_BACKENDS_DRIVE_ROOM_H

#include "backends/ring.h"
#include "core/base.h"

/* What ext4 has in one extent; so that drives seldom stop for it. */
#define MKV_DRIVE_ROOM_REGION_BYTES (128ull * MKV_MIB)

struct mkv_drive_room;

/* Of a file that fills whole regions or more; NULL: there is no memory, or the kernel cannot. */
struct mkv_drive_room *mkv_drive_room_create(struct mkv_ring *ring, uint64_t file_bytes);
/* A write is about to be handed to the ring. Whether room is wanted now. */
bool mkv_drive_room_write(struct mkv_drive_room *room, uint64_t offset, uint64_t byte_count);
/* Asks for what is wanted, if anything is. `fd` is a place of the ring where `is_place`;
 * `answered` is called when nothing is in flight any more. */
void mkv_drive_room_ask(struct mkv_drive_room *room, int fd, bool is_place,
                        void (*answered)(void *context), void *context);
/* What was asked for and not answered; of NULL none. */
uint32_t mkv_drive_room_in_flight(const struct mkv_drive_room *room);
/* Asserts that nothing is in flight. NULL is ignored. */
void mkv_drive_room_free(struct mkv_drive_room *room);

#endif
