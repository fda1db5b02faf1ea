/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slot_header.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/io.h"

/* Offsets of the fields, in the order of the table in the header. */
enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_CHECKED = 16,
    AT_DRIVE_UUID = 16,
    AT_SLOT = 32,
    AT_TENANT = 36,
    AT_GENERATION = 40,
    AT_LENGTH = 48,
    AT_KEY_BYTES = 52,
    AT_FLAGS = 54,
    AT_ROOT = 56,
    AT_EXPIRY = 72,
    AT_KEY = 128,
    AT_SUMS = 1152,
    AT_END = 3200,
};

#define SUM_BYTES 8u

_Static_assert(AT_KEY + MKV_KEY_BYTES_MAX == AT_SUMS, "the longest key fits");
_Static_assert(AT_SUMS + MKV_CHUNKS_MAX * SUM_BYTES == AT_END, "the sums of every chunk fit");
_Static_assert(AT_END <= MKV_UNIT_BYTES, "a header is one unit");
_Static_assert(AT_SUMS + SUM_BYTES <= MKV_SLOT_INLINE_OFFSET, "the one sum of an inline payload");
_Static_assert(MKV_SLOT_INLINE_OFFSET + MKV_INLINE_BYTES_MAX == MKV_UNIT_BYTES, "inline fits");
_Static_assert(MKV_INLINE_BYTES_MAX <= MKV_CHUNK_BYTES_MIN, "an inline payload is one chunk");
_Static_assert((MKV_BLOCK_FLAGS & MKV_SLOT_FLAG_INLINE) == 0, "flags share a field");

static const uint8_t magic[8] = {'M', 'E', 'M', 'K', 'V', 'S', 'L', 0};

/* I1 */
static bool is_inline_length(uint32_t length) {
    return length >= 1 && length <= MKV_INLINE_BYTES_MAX;
}

/* The checksum ends where the inline payload begins: the backend places that payload after the
 * header is encoded, and it has a sum of its own. */
static uint64_t header_checksum(const uint8_t *unit, bool is_inline) {
    const size_t end = is_inline ? MKV_SLOT_INLINE_OFFSET : MKV_UNIT_BYTES;
    return mkv_hash_64(unit + AT_CHECKED, end - AT_CHECKED);
}

static struct mkv_root root_of(uint32_t length, const uint8_t *sums) {
    uint64_t values[MKV_CHUNKS_MAX];
    const uint32_t count = mkv_chunk_count(length);
    MKV_ASSERT(count <= MKV_CHUNKS_MAX);
    for (uint32_t index = 0; index < count; index++) {
        values[index] = mkv_load_u64(sums + index * SUM_BYTES);
    }
    return mkv_root_of_sums(length, values);
}

uint32_t mkv_slot_payload_units(uint32_t length) {
    MKV_ASSERT(length <= MKV_BLOCK_BYTES_MAX);
    if (length <= MKV_INLINE_BYTES_MAX) {
        return 0;
    }
    return (uint32_t)mkv_divide_up_u64(length, MKV_UNIT_BYTES);
}

uint32_t mkv_slot_content_units(uint32_t length) {
    return 1 + mkv_slot_payload_units(length);
}

void mkv_slot_header_encode(const struct mkv_slot_header *header, uint8_t *unit) {
    MKV_ASSERT(header->length <= MKV_BLOCK_BYTES_MAX);
    MKV_ASSERT(header->key_bytes >= 1);
    MKV_ASSERT(header->key_bytes <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT((header->block_flags & ~MKV_BLOCK_FLAGS) == 0);
    MKV_ASSERT(mkv_root_equal(header->root, root_of(header->length, header->sums)));
    const bool is_inline = is_inline_length(header->length);
    const uint32_t flags = header->block_flags | (is_inline ? MKV_SLOT_FLAG_INLINE : 0);
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, magic, sizeof magic);
    memcpy(unit + AT_DRIVE_UUID, header->drive_uuid.bytes, sizeof header->drive_uuid.bytes);
    mkv_store_u32(unit + AT_SLOT, header->slot.index);
    mkv_store_u32(unit + AT_TENANT, header->tenant);
    mkv_store_u64(unit + AT_GENERATION, header->generation.value);
    mkv_store_u32(unit + AT_LENGTH, header->length);
    mkv_store_u16(unit + AT_KEY_BYTES, (uint16_t)header->key_bytes);
    mkv_store_u16(unit + AT_FLAGS, (uint16_t)flags);
    memcpy(unit + AT_ROOT, header->root.bytes, sizeof header->root.bytes);
    mkv_store_u32(unit + AT_EXPIRY, header->expiry_s);
    memcpy(unit + AT_KEY, header->key, header->key_bytes);
    const uint32_t sum_count = mkv_chunk_count(header->length);
    if (sum_count > 0) {
        memcpy(unit + AT_SUMS, header->sums, (size_t)sum_count * SUM_BYTES);
    }
    mkv_store_u64(unit + AT_CHECKSUM, header_checksum(unit, is_inline));
}

void mkv_slot_header_set_inline(uint8_t *unit, const uint8_t *payload, uint32_t length) {
    MKV_ASSERT(is_inline_length(length));
    MKV_ASSERT(mkv_slot_header_inline_bytes(unit) == length);
    memcpy(unit + MKV_SLOT_INLINE_OFFSET, payload, length);
    memset(unit + MKV_SLOT_INLINE_OFFSET + length, 0, MKV_INLINE_BYTES_MAX - length);
}

enum mkv_err mkv_slot_header_decode(const uint8_t *unit, struct mkv_slot_header *header) {
    *header = (struct mkv_slot_header){0};
    const uint32_t flags = mkv_load_u16(unit + AT_FLAGS);
    const bool is_inline = (flags & MKV_SLOT_FLAG_INLINE) != 0;
    if (memcmp(unit + AT_MAGIC, magic, sizeof magic) != 0 ||
        mkv_load_u64(unit + AT_CHECKSUM) != header_checksum(unit, is_inline)) {
        return MKV_CORRUPT_SLOT_HEADER;
    }
    memcpy(header->drive_uuid.bytes, unit + AT_DRIVE_UUID, sizeof header->drive_uuid.bytes);
    header->slot.index = mkv_load_u32(unit + AT_SLOT);
    header->tenant = mkv_load_u32(unit + AT_TENANT);
    header->generation.value = mkv_load_u64(unit + AT_GENERATION);
    header->length = mkv_load_u32(unit + AT_LENGTH);
    header->block_flags = flags & ~MKV_SLOT_FLAG_INLINE;
    memcpy(header->root.bytes, unit + AT_ROOT, sizeof header->root.bytes);
    header->expiry_s = mkv_load_u32(unit + AT_EXPIRY);
    header->key_bytes = mkv_load_u16(unit + AT_KEY_BYTES);
    header->key = unit + AT_KEY;
    header->sums = unit + AT_SUMS;
    /* The bounds come before the root: computing it trusts the length. */
    if (header->length > MKV_BLOCK_BYTES_MAX || is_inline != is_inline_length(header->length) ||
        header->key_bytes < 1 || header->key_bytes > MKV_KEY_BYTES_MAX ||
        (header->block_flags & ~MKV_BLOCK_FLAGS) != 0) {
        return MKV_CORRUPT_SLOT_HEADER;
    }
    if (!mkv_root_equal(header->root, root_of(header->length, header->sums))) {
        return MKV_CORRUPT_SLOT_HEADER;
    }
    return MKV_OK;
}

uint32_t mkv_slot_header_inline_bytes(const uint8_t *unit) {
    const uint32_t length = mkv_load_u32(unit + AT_LENGTH);
    const bool is_inline = (mkv_load_u16(unit + AT_FLAGS) & MKV_SLOT_FLAG_INLINE) != 0;
    return is_inline && is_inline_length(length) ? length : 0;
}

uint32_t mkv_slot_read_sums(const uint8_t *header_unit, const uint8_t *payload,
                            uint32_t payload_bytes, uint64_t *sums) {
    const uint32_t length = mkv_load_u32(header_unit + AT_LENGTH);
    if (length > MKV_BLOCK_BYTES_MAX) {
        return 0;
    }
    const uint32_t chunk_bytes = mkv_chunk_bytes(length);
    const uint32_t read = (uint32_t)mkv_min_u64(length, payload_bytes);
    uint32_t count = 0;
    for (uint32_t offset = 0; offset < read; offset += chunk_bytes) {
        const uint32_t end = (uint32_t)mkv_min_u64(offset + (uint64_t)chunk_bytes, length);
        if (end > read) {
            break;
        }
        MKV_ASSERT(count < MKV_CHUNKS_MAX);
        sums[count] = mkv_hash_64(payload + offset, end - offset);
        count++;
    }
    return count;
}
