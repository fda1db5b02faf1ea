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
 *   PUT (64 bytes)                   DROP (24 bytes)             EXTENT (32 bytes)
 *     0 1 type 1                       0 1 type 2                  0 1 type 3
 *     1 1 tier                         1 1 cause                   1 1 span: extents used as one
 *     2 2 block flags                  2 2 bit 0: slot retired     2 2 0
 *     4 4 tenant                       4 4 slot                    4 4 extent, the first of them
 *     8 8 key tag                      8 8 generation              8 4 slot units; 0: no class
 *    16 4 slot                        16 8 0                      12 4 first page
 *    20 4 length in bytes                                         16 4 page count
 *    24 8 generation                RETIRE (24 bytes)             20 4 first page given back
 *    32 16 root                       0 1 type 4                  24 4 pages given back
 *    48 4 expiry (s, Unix; 0 none)    1 3 0                       28 4 0
 *    52 12 0                          4 4 slot
 *                                     8 16 0                    TENANT (96 bytes)
 *   EXPIRY (24 bytes)                                             0 1 type 6
 *     0 1 type 5                    TENANT_DROP (24 bytes)        1 1 name bytes, 1 ... 79
 *     1 3 0                           0 1 type 7                  2 2 place in the tenant table
 *     4 4 slot                        1 1 0                       4 4 id
 *     8 8 generation                  2 2 place                   8 79 name, then 0
 *    16 4 expiry (s, Unix; 0 none)    4 4 id                     87 9 0
 *    20 4 0                           8 16 0
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
#define MKV_RECORD_RETIRE_BYTES 24u
#define MKV_RECORD_EXPIRY_BYTES 24u
#define MKV_RECORD_TENANT_BYTES 96u
#define MKV_RECORD_TENANT_DROP_BYTES 24u
/* Most records in a block: no record is smaller than a DROP. */
#define MKV_JOURNAL_RECORDS_MAX (MKV_JOURNAL_RECORD_BYTES_MAX / MKV_RECORD_DROP_BYTES)

enum mkv_record_kind {
    MKV_RECORD_PUT = 1,
    MKV_RECORD_DROP = 2,
    MKV_RECORD_EXTENT = 3,
    MKV_RECORD_RETIRE = 4,
    MKV_RECORD_EXPIRY = 5,
    MKV_RECORD_TENANT = 6,
    MKV_RECORD_TENANT_DROP = 7,
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
    bool retired; /* the drive cannot keep anything in this slot: it is never given out again */
    struct mkv_slot slot;
    struct mkv_generation generation;
};
/* A free slot is never given out again. */
struct mkv_record_retire {
    struct mkv_slot slot;
};
struct mkv_record_expiry {
    struct mkv_slot slot;
    struct mkv_generation generation;
    uint32_t expiry_s;
};
struct mkv_record_extent {
    struct mkv_extent extent;
    uint32_t span;       /* 1 ... MKV_EXTENT_SPAN_MAX */
    uint32_t slot_units; /* 0: the extents lose their class, and page_count is 0 */
    uint32_t page_first;
    uint32_t page_count;
    uint32_t released_page_first; /* pages of its class before; released_page_count may be 0 */
    uint32_t released_page_count;
};
/* Ids are given once and never again, so a dropped id hides what is stored under it for ever. */
struct mkv_record_tenant {
    uint32_t id;
    uint32_t place; /* in the tenant table: below its capacity */
    uint32_t name_bytes;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX];
};
struct mkv_record_tenant_drop {
    uint32_t id;
    uint32_t place;
};
struct mkv_record {
    enum mkv_record_kind kind;
    union {
        struct mkv_record_put put;
        struct mkv_record_drop drop;
        struct mkv_record_extent extent;
        struct mkv_record_retire retire;
        struct mkv_record_expiry expiry;
        struct mkv_record_tenant tenant;
        struct mkv_record_tenant_drop tenant_drop;
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

/* Whether the bytes name this sequence, whole or not: what does not is no block of it. */
bool mkv_journal_block_names(const uint8_t *unit, uint64_t sequence);
/* Whether a unit that does not decode was begun as a journal block: its magic stands, its checksum
 * does not hold. Tells a torn write from a unit that was never written. Safe on any bytes. */
bool mkv_journal_block_is_torn(const uint8_t *unit);

/* Walks the records of a decoded block: *cursor starts at 0 and belongs to the walk; false at the
 * end. *err is MKV_OK, or MKV_CORRUPT_JOURNAL_RECORD where a record is malformed or their number
 * is not the header's: the walk ends there. */
bool mkv_journal_block_next(const uint8_t *unit, uint32_t *cursor, struct mkv_record *record,
                            enum mkv_err *err);

#endif
