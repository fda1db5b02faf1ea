/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: who a drive is, where its regions are, and which checkpoint is durable. Four
 * copies of one unit each (geometry.h).
 *
 *   offset bytes  field
 *        0     8  magic "MEMKVSB\0"
 *        8     8  checksum: XXH3-64 of bytes 24 .. 4095
 *       16     4  copy index 0 ... 3 (outside the checksum)
 *       20     4  0
 *       24     4  format version (1)
 *       28     4  flags: bit 0 clean shutdown, bit 1 empty of a checkpoint (side is not valid)
 *       32    16  store uuid
 *       48    16  drive uuid
 *       64     8  sequence of the superblock, grows with every write
 *       72     4  epoch
 *       76     4  checkpoint side (0, 1)
 *       80     8  journal sequence: the first block that replay starts with
 *       88     8  chain anchor: checksum of the journal block before that one, or a fresh value
 *       96     8  generation counter: no generation given out before the next superblock is above
 *      104     8  highest wall_ms seen
 *      112     8  checkpoint number, grows with every checkpoint; stands in every page of it
 *      120     4  pages in the checkpoint
 *      124     4  geometry: directory units
 *      128     8  geometry: capacity units
 *      136     4  geometry: ring blocks
 *      140     4  geometry: page count
 *      144     4  geometry: extent units
 *      148     4  geometry: extent count
 *      152     8  drive set version (drive_set.h; 0: not yet in a set)
 *      160     4  drive set member count (1 ... MKV_VOLUMES_MAX)
 *      164     4  geometry: tenant units of a checkpoint side
 *      168  1024  drive set member uuids, 16 bytes each, the rest 0
 *     1192     8  version of the set that this drive set was made from
 *     1200   128  drive set member weights, 2 bytes each, the rest 0
 *     1328     8  number of the operator's word behind which the drive set stands; 0: none
 *     1336  2760  0
 *
 * Invariants
 *  I1  Only a content that two copies agree on counts, and the one with the highest sequence of
 *      those is the superblock. A single copy is what an interrupted write left.
 *  I2  A write goes to copies 0 and 1, flush, then 2 and 3, flush; so at every moment one pair is
 *      whole and equal, but for the first one of all: before its first flush there is none.
 *
 * Not responsible for: the order of writes and flushes (volume), nor for the drive set's rules.
 */
#ifndef MKV_CORE_SUPERBLOCK_H
#define MKV_CORE_SUPERBLOCK_H

#include "core/base.h"
#include "core/drive_set.h"
#include "core/geometry.h"

#define MKV_FORMAT_VERSION 1u
#define MKV_SUPERBLOCK_CLEAN 0x1u
#define MKV_SUPERBLOCK_NO_CHECKPOINT 0x2u

struct mkv_superblock {
    uint32_t version;
    uint32_t flags;
    struct mkv_uuid store_uuid;
    struct mkv_uuid drive_uuid;
    uint64_t sequence;
    uint32_t epoch;
    uint32_t checkpoint_side;
    struct mkv_sequence journal_sequence;
    uint64_t chain_anchor;
    uint64_t generation_counter;
    uint64_t wall_ms;
    uint64_t checkpoint_number;
    uint32_t checkpoint_pages;
    struct mkv_geometry geometry;
    struct mkv_drive_set drive_set;
};

/* Writes the copy `copy` of it into a unit; every byte of the unit is set. */
void mkv_superblock_encode(const struct mkv_superblock *superblock, uint32_t copy, uint8_t *unit);
/* Writes another copy of what an encoded unit holds. */
void mkv_superblock_encode_copy(const uint8_t *unit, uint32_t copy, uint8_t *target);

/* MKV_OK; MKV_ERR_NOT_FORMATTED (magic absent); MKV_CORRUPT_SUPERBLOCK (checksum, copy index or a
 * field out of bounds); MKV_ERR_VERSION (checksum holds, format is newer; superblock->version is
 * set). Safe on any bytes. */
enum mkv_err mkv_superblock_decode(const uint8_t *unit, uint32_t copy,
                                   struct mkv_superblock *superblock);

/* What the four copies say. `units` holds four units in copy order; a copy that could not be read
 * has its bit in `unreadable` set. */
struct mkv_superblock_choice {
    enum mkv_err err; /* MKV_OK, NOT_FORMATTED (no copy has a magic and none is unreadable),
                       * CORRUPT_SUPERBLOCK (no two agree), ERR_VERSION */
    struct mkv_superblock superblock;
    uint32_t repair; /* bit c: copy c differs from the choice and wants rewriting */
};
void mkv_superblock_choose(const uint8_t *units, uint32_t unreadable,
                           struct mkv_superblock_choice *choice);

/* Whether four units, of which the choice is CORRUPT_SUPERBLOCK, are what the first format of an
 * empty drive of this capacity leaves that was cut before two copies were whole: copies 2 and 3 are
 * zeroes, copies 0 and 1 hold nothing but pieces of it, one of them with the magic. No opening left
 * that: it begins with a superblock of a higher sequence and epoch, durable in all places. So
 * nothing was ever acknowledged on the drive, and it may be formatted again. What is written in
 * other places than these, of which the caller knows, must be zeroes, too. */
bool mkv_superblock_format_was_cut(const uint8_t *units, uint32_t unreadable,
                                   uint64_t capacity_units);

#endif
