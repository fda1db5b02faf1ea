/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header unit of a slot: whose bytes lie behind it, and the sums that every byte is verified
 * with before it leaves.
 *
 *   offset bytes  field
 *        0     8  magic "MEMKVSL\0"
 *        8     8  checksum: XXH3-64 of bytes 16 .. 4095, or 16 .. 2047 when the payload is inline
 *       16    16  drive uuid
 *       32     4  slot
 *       36     4  tenant
 *       40     8  generation
 *       48     4  length of the payload in bytes
 *       52     2  key bytes (1 ... 1024)
 *       54     2  block flags (MKV_BLOCK_*); bit 15: the payload is inline
 *       56    16  root
 *       72     4  expiry when put (s, Unix; 0 none)
 *       76    52  0
 *      128  1024  key, then 0
 *     1152  2048  chunk sums, 8 bytes each, then 0 (inline: at most one, the rest is payload)
 *     3200   896  0
 *  inline:
 *     2048  2048  payload, then 0
 *
 * Invariants
 *  I1  A payload of 1 ... MKV_INLINE_BYTES_MAX bytes is inline, and only such a one.
 *  I2  Nothing in a header is believed before its checksum, its drive, its slot and its generation
 *      agree with what the slot table says.
 *
 * Not responsible for: reading or writing the payload.
 */
#ifndef MKV_CORE_SLOT_HEADER_H
#define MKV_CORE_SLOT_HEADER_H

#include "core/base.h"

#define MKV_SLOT_INLINE_OFFSET 2048u
#define MKV_SLOT_FLAG_INLINE 0x8000u

struct mkv_slot_header {
    struct mkv_uuid drive_uuid;
    struct mkv_slot slot;
    uint32_t tenant;
    struct mkv_generation generation;
    uint32_t length;
    uint32_t block_flags; /* MKV_BLOCK_* only */
    struct mkv_root root;
    uint32_t expiry_s;
    uint32_t key_bytes;
    const uint8_t *key;  /* encode: the caller's; decode: into the unit */
    const uint8_t *sums; /* chunk sums, 8 bytes each, little endian; the same */
};

/* Units of a slot's content: the header, and the payload unless it is inline or empty. */
uint32_t mkv_slot_content_units(uint32_t length);
/* Payload units behind the header: 0 when inline or empty. */
uint32_t mkv_slot_payload_units(uint32_t length);

/* Sets every byte of the unit but the inline payload, which is zeroed: the backend, or for a
 * manifest mkv_slot_header_set_inline, puts it there. */
void mkv_slot_header_encode(const struct mkv_slot_header *header, uint8_t *unit);
/* Puts an inline payload into an encoded unit. */
void mkv_slot_header_set_inline(uint8_t *unit, const uint8_t *payload, uint32_t length);

/* MKV_OK or MKV_CORRUPT_SLOT_HEADER (magic, checksum, bounds, root against the sums). The key, sums
 * and root are then consistent with each other. Safe on any bytes. */
enum mkv_err mkv_slot_header_decode(const uint8_t *unit, struct mkv_slot_header *header);

/* Whether the unit claims an inline payload, and of how many bytes (0 if none). For backends that
 * must place the payload before the header is verified; safe on any bytes, at most 2048. */
uint32_t mkv_slot_header_inline_bytes(const uint8_t *unit);

/* The sums of every chunk of a slot read that lies whole in the `payload_bytes` bytes read behind
 * the header, going by the length that the header claims. Safe on any bytes: never looks past
 * payload_bytes, never writes more than MKV_CHUNKS_MAX sums. Returns their count. */
uint32_t mkv_slot_read_sums(const uint8_t *header_unit, const uint8_t *payload,
                            uint32_t payload_bytes, uint64_t *sums);

#endif
