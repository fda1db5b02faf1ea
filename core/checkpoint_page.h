/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The units of a checkpoint side: a head, then the pages of the slot table, each with the sequence
 * of the last journal block that was applied to the table when the page was captured (its stamp).
 *
 *   head                                         page
 *   offset bytes  field                          offset bytes  field
 *        0     8  magic "MEMKVCH\0"                   0     8  magic "MEMKVCP\0"
 *        8     8  checksum of 16 .. 4095              8     8  checksum of 16 .. 4095
 *       16    16  drive uuid                         16    16  drive uuid
 *       32     8  checkpoint number                  32     8  checkpoint number
 *       40     8  journal sequence                   40     4  page number
 *       48     8  generation counter                 44     4  extent, or 0xffffffff: page unused
 *       56     4  pages                              48     2  slot units of the extent's class
 *       60     4  tenant units                       50     1  span: extents used as one
 *                                                    51     1  0
 *                                                    52     4  index of the page within the extent
 *       64  4032  0                                  56     8  stamp: sequence last applied
 *                                                    64  4032  168 entries of 24 bytes
 *   entry: 0 8 tag | 8 4 tenant | 12 4 generation, low 32 bits | 16 4 expiry (s) |
 *          20 2 length in units, rounded up | 22 2 bits: state 0..1, manifest 2, segment 3,
 *          tier 8..9, the rest 0
 *   A free entry is all 0.
 *
 * Not responsible for: what is captured when (volume), nor for the table itself (slot_table.h).
 */
#ifndef MKV_CORE_CHECKPOINT_PAGE_H
#define MKV_CORE_CHECKPOINT_PAGE_H

#include "core/base.h"
#include "core/geometry.h"

enum mkv_entry_state {
    MKV_ENTRY_FREE = 0,
    MKV_ENTRY_LIVE = 1,
    MKV_ENTRY_RETIRED = 2, /* the drive cannot read or write this slot; it is never used again */
};

struct mkv_page_entry {
    uint64_t tag;
    uint32_t tenant;
    uint32_t generation_low;
    uint32_t expiry_s;
    uint16_t length_units; /* payload rounded up to units, 0 when inline or empty */
    uint8_t state;         /* enum mkv_entry_state */
    uint8_t block_flags;   /* MKV_BLOCK_* */
    uint8_t tier;
};

struct mkv_checkpoint_head {
    struct mkv_uuid drive_uuid;
    uint64_t checkpoint_number;
    struct mkv_sequence journal_sequence;
    uint64_t generation_counter;
    uint32_t page_count;
    uint32_t tenant_units; /* units of tenants between the head and the pages */
};

struct mkv_checkpoint_page {
    struct mkv_uuid drive_uuid;
    uint64_t checkpoint_number;
    uint32_t page;
    struct mkv_extent extent; /* MKV_NONE_U32: unused; the next three are then 0 */
    uint32_t slot_units;
    uint32_t span; /* 1 ... MKV_EXTENT_SPAN_MAX */
    uint32_t page_in_extent;
    struct mkv_sequence stamp;
};

void mkv_checkpoint_head_encode(const struct mkv_checkpoint_head *head, uint8_t *unit);
/* MKV_OK or MKV_CORRUPT_CHECKPOINT_PAGE. Safe on any bytes. */
enum mkv_err mkv_checkpoint_head_decode(const uint8_t *unit, struct mkv_checkpoint_head *head);

/* Starts a page with all entries free; entries are stored next, then the page is sealed. */
void mkv_checkpoint_page_begin(const struct mkv_checkpoint_page *page, uint8_t *unit);
/* A free entry is stored as all 0, whatever its other fields hold. */
void mkv_checkpoint_page_store(uint8_t *unit, uint32_t index, const struct mkv_page_entry *entry);
void mkv_checkpoint_page_seal(uint8_t *unit);
/* MKV_OK or MKV_CORRUPT_CHECKPOINT_PAGE (magic, checksum, a figure or an entry out of bounds).
 * Safe on any bytes. */
enum mkv_err mkv_checkpoint_page_decode(const uint8_t *unit, struct mkv_checkpoint_page *page);
/* Reads an entry of a unit that is decoded, or begun. */
void mkv_checkpoint_page_load(const uint8_t *unit, uint32_t index, struct mkv_page_entry *entry);

#endif
