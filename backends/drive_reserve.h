/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room on the file system for what a store cannot do without: superblocks, journal, checkpoints and
 * directory of a store file. A block that finds no room is a put that is refused; a journal block
 * that found none would be a drive that fails.
 *
 *     [superblocks, journal, checkpoints, directory][data .................][superblocks]
 *      allocated                                     taken as it is written  allocated
 *
 * Invariants
 *  I1  Nothing that was written changes, nor does the size of the file.
 *  I2  It may be done again at any time: what has room keeps it.
 *
 * A file system that writes every unit to a new place (copy on write) needs room for that all the
 * same: there it promises nothing.
 *
 * Not responsible for: the room of data (drive_room.h), devices, which have all of theirs.
 */
#ifndef MKV_BACKENDS_DRIVE_RESERVE_H
#define MKV_BACKENDS_DRIVE_RESERVE_H

#include "backends/drive_open.h"
#include "core/geometry.h"

/* 0, or the errno value: ENOSPC and EDQUOT where there is no room, EOPNOTSUPP where the file system
 * cannot allocate ahead. Of a device 0. */
__attribute__((warn_unused_result)) int mkv_drive_reserve(const struct mkv_drive_media *media,
                                                          const struct mkv_geometry *geometry);
/* How much that is. */
uint64_t mkv_drive_reserve_bytes(const struct mkv_geometry *geometry);

#endif
