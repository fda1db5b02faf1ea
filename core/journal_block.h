/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block of the journal ring: one unit, a header of 128 bytes and records behind one another.
 *
 *   offset bytes  field
 *        0     8  magic "MEMKVJB\0"
 *        8     8  checksum: XXH3-64 of bytes 16 .. 4095
 *       16    16  drive uuid
 *       32     8  sequence
 *       40     4  epoch
 *       44     4  ring position (sequence modulo ring blocks)
 *       48     8  chain: checksum of the block before (sequence - 1), or the superblock's anchor
 *       56     8  flushed sequence: highest sequence covered by a completed flush when built
 *       64     8  wall_ms
 *       72     4  record count
 *       76     4  bytes of records
 *       80    48  0
 *      128  3968  records, then 0
 *
 *   PUT (64 bytes)                      DROP (24 bytes)             EXTENT (32 bytes)
 *     0 1 type 1                          0 1 type 2                  0 1 type 3
 *     1 1 tier                            1 1 cause                   1 3 0
 *     2 2 block flags                     2 2 0                       4 4 extent
 *     4 4 tenant                          4 4 slot                    8 4 slot units (its class)
 *     8 8 key tag                         8 8 generation             12 4 first page
 *    16 4 slot                           16 8 0                      16 4 page count
 *    20 4 length in bytes                                            20 4 first page given back
 *    24 8 generation                                                 24 4 pages given back
 *    32 16 root                                                      28 4 0
 *    48 4 expiry (s, Unix; 0 none)
 *    52 12 0
 *
 * Invariants
 *  I1  A decoded block has valid header fields and only whole, known records.
 *  I2  Encoding sets every byte of the unit.
 *
 * Not responsible for: chain and position against the ring: the reader compares them.
 */
#ifndef MKV_CORE_JOURNAL_BLOCK_H
#define MKV_CORE_JOURNAL_BLOCK_H

#include "core/base.h"

#define MKV_JOURNAL_HEADER_BYTES 128u
#define MKV_JOURNAL_RECORD_BYTES_MAX (MKV_UNIT_BYTES - MKV_JOURNAL_HEADER_BYTES)
#define MKV_RECORD_PUT_BYTES 64u
#define MKV_RECORD_DROP_BYTES 24u
#define MKV_RECORD_EXTENT_BYTES 32u
/* Most records in a block: the smallest record is a DROP. */
#define MKV_JOURNAL_RECORDS_MAX (MKV_JOURNAL_RECORD_BYTES_MAX / MKV_RECORD_DROP_BYTES)

enum mkv_record_kind {
    MKV_RECORD_PUT = 1,
    MKV_RECORD_DROP = 2,
    MKV_RECORD_EXTENT = 3,
};

enum mkv_drop_cause {
    MKV_DROP_DELETE = 1,
    MKV_DROP_EVICT = 2,
    MKV_DROP_EXPIRE = 3,
    MKV_DROP_QUARANTINE = 4,
    MKV_DROP_REPLACE = 5,
    MKV_DROP_PURGE = 6,
};

struct mkv_record_put {
    uint8_t tier;
    uint16_t block_flags;
    uint32_t tenant;
    uint64_t tag;
    struct mkv_slot slot;
    uint32_t length;
    struct mkv_generation generation;
    struct mkv_root root;
    uint32_t expiry_s;
};
struct mkv_record_drop {
    enum mkv_drop_cause cause;
    struct mkv_slot slot;
    struct mkv_generation generation;
};
struct mkv_record_extent {
    struct mkv_extent extent;
    uint32_t slot_units;
    uint32_t page_first;
    uint32_t page_count;
    uint32_t released_page_first; /* pages of its class before; released_page_count may be 0 */
    uint32_t released_page_count;
};
struct mkv_record {
    enum mkv_record_kind kind;
    union {
        struct mkv_record_put put;
        struct mkv_record_drop drop;
        struct mkv_record_extent extent;
    };
};

struct mkv_journal_header {
    uint64_t checksum; /* set by decode; seal returns it */
    struct mkv_uuid drive_uuid;
    struct mkv_sequence sequence;
    uint32_t epoch;
    uint32_t ring_position;
    uint64_t chain;
    struct mkv_sequence flushed_sequence;
    uint64_t wall_ms;
    uint32_t record_count;
    uint32_t record_bytes;
};

uint32_t mkv_record_bytes(enum mkv_record_kind kind);

/* Clears a unit and starts an empty block in it. */
void mkv_journal_block_begin(uint8_t *unit);
/* Appends a record; false, and nothing changed, when it does not fit. */
bool mkv_journal_block_append(uint8_t *unit, const struct mkv_record *record);
/* Bytes of records that the block still takes. */
uint32_t mkv_journal_block_room(const uint8_t *unit);
uint32_t mkv_journal_block_record_count(const uint8_t *unit);
/* Writes the header (record_count and record_bytes are the block's own) and the checksum, which it
 * returns: the chain value of the next block. */
uint64_t mkv_journal_block_seal(uint8_t *unit, const struct mkv_journal_header *header);

/* MKV_OK, or MKV_CORRUPT_JOURNAL_BLOCK when magic, checksum or a figure is off. Records are not
 * looked at. Safe on any bytes. */
enum mkv_err mkv_journal_block_decode(const uint8_t *unit, struct mkv_journal_header *header);

/* Whether a unit that does not decode was begun as a journal block: its magic stands, its checksum
 * does not hold. Tells a torn write from a unit that was never written. Safe on any bytes. */
bool mkv_journal_block_is_torn(const uint8_t *unit);

/* Walks the records of a decoded block: *cursor starts at 0 and belongs to the walk; false at the
 * end. *err is MKV_OK, or MKV_CORRUPT_JOURNAL_RECORD where a record is malformed or their number
 * is not the header's: the walk ends there. */
bool mkv_journal_block_next(const uint8_t *unit, uint32_t *cursor, struct mkv_record *record,
                            enum mkv_err *err);

#endif
