/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value larger than one block is a manifest, a block under the value's own key with the flag
 * MKV_BLOCK_MANIFEST, and segments, blocks with the flag MKV_BLOCK_SEGMENT.
 *
 *   manifest payload (40 bytes, inline)     segment key
 *     0  8  length of the whole value         the value's key ‖ 0x00 ‖ index u32 ‖ id u64
 *     8  4  bytes of each segment but the last
 *    12  4  segment count
 *    16  8  id, drawn anew for each put
 *    24 16  root: chained over the segments in order, from all zeros:
 *           root = XXH3-128(root ‖ root of the segment)
 *
 * Invariants
 *  I1  The manifest is put after every segment is durable: it is the one commit point.
 *  I2  length lies within (count - 1) * segment_bytes + 1 ... count * segment_bytes.
 *
 * Not responsible for: moving segments (front).
 */
#ifndef MKV_CORE_MANIFEST_H
#define MKV_CORE_MANIFEST_H

#include "core/base.h"

#define MKV_MANIFEST_BYTES 40u
#define MKV_SEGMENT_KEY_SUFFIX_BYTES 13u
/* Segments of the largest value. */
#define MKV_SEGMENTS_MAX 65536u

struct mkv_manifest {
    uint64_t length;
    uint32_t segment_bytes;
    uint32_t segment_count;
    uint64_t id;
    struct mkv_root root;
};

void mkv_manifest_encode(const struct mkv_manifest *manifest, uint8_t *bytes);
/* False when the bytes are not a manifest (I2, bounds). Safe on any bytes of MKV_MANIFEST_BYTES. */
bool mkv_manifest_decode(const uint8_t *bytes, struct mkv_manifest *manifest);
/* Writes key ‖ suffix to `target` (key_bytes + MKV_SEGMENT_KEY_SUFFIX_BYTES bytes) and returns its
 * length. The sum must be at most MKV_KEY_BYTES_MAX. */
uint32_t mkv_segment_key(const uint8_t *key, uint32_t key_bytes, uint32_t index, uint64_t id,
                         uint8_t *target);

#endif
