/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/bytes.h"
#include "core/directory_node.h"
#include "core/directory_root.h"
#include "core/hash.h"
#include "core/journal_block.h"
#include "core/slot_header.h"
#include "core/superblock.h"
#include "sim/forged_image.h"

/* Where the fields are that seals need; on-disk-format.md has all of them. */
#define MAGIC_BYTES 8u
#define AT_CHECKSUM 8u
#define AT_SEALED 16u
#define SUPERBLOCK_AT_SEALED 24u
#define JOURNAL_AT_SEQUENCE 32u
#define JOURNAL_AT_CHAIN 48u
#define HEADER_AT_LENGTH 48u
#define HEADER_AT_FLAGS 54u
#define HEADER_AT_ROOT 56u
#define HEADER_AT_SUMS 1152u
#define NODE_AT_LEVEL 44u
#define NODE_AT_COUNT 46u
#define NODE_AT_PREFIX_BYTES 48u
#define NODE_AT_PREFIX 64u
#define ROOT_AT_PAGE 40u

static bool is(const uint8_t *unit, const char *magic) {
    return memcmp(unit, magic, MAGIC_BYTES) == 0;
}

static uint64_t seal(uint8_t *unit, uint32_t first, uint32_t end) {
    const uint64_t sum = mkv_hash_64(unit + first, end - first);
    mkv_store_u64(unit + AT_CHECKSUM, sum);
    return sum;
}

static void reseal_header(struct mkv_forged_image *image, uint32_t number, uint32_t leave) {
    uint8_t *unit = mkv_forged_image_unit(image, number);
    const uint32_t length = mkv_load_u32(unit + HEADER_AT_LENGTH);
    const bool is_inline = (mkv_load_u16(unit + HEADER_AT_FLAGS) & MKV_SLOT_FLAG_INLINE) != 0;
    const uint64_t room = (uint64_t)(image->units - 1 - number) * MKV_UNIT_BYTES;
    const uint8_t *payload = unit + (is_inline ? MKV_SLOT_INLINE_OFFSET : MKV_UNIT_BYTES);
    if ((leave & MKV_FORGED_LEAVE_PAYLOAD) == 0 &&
        length <= (is_inline ? MKV_SLOT_INLINE_OFFSET : mkv_min_u64(room, MKV_BLOCK_BYTES_MAX))) {
        uint64_t sums[MKV_CHUNKS_MAX];
        mkv_chunk_sums(payload, length, sums);
        const struct mkv_root root = mkv_root_of_sums(length, sums);
        memcpy(unit + HEADER_AT_ROOT, &root, sizeof root);
        /* The sums of an inline payload end where it begins. */
        const uint32_t count = mkv_chunk_count(length);
        for (uint32_t sum = 0; sum < count; sum++) {
            mkv_store_u64(unit + HEADER_AT_SUMS + (size_t)8 * sum, sums[sum]);
        }
    }
    (void)seal(unit, AT_SEALED, is_inline ? MKV_SLOT_INLINE_OFFSET : (uint32_t)MKV_UNIT_BYTES);
}

static void reseal_journal(struct mkv_forged_image *image, const struct mkv_geometry *geometry) {
    const uint8_t *superblock = mkv_forged_image_unit(image, 0);
    const uint64_t first = mkv_load_u64(superblock + 80);
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        uint64_t chain = mkv_load_u64(superblock + 88);
        for (uint32_t step = 0; step < geometry->ring_blocks; step++) {
            const uint64_t sequence = first + step;
            uint8_t *unit = mkv_forged_image_unit(
                image, mkv_geometry_journal(geometry, copy, sequence % geometry->ring_blocks).unit);
            if (!is(unit, "MEMKVJB") || mkv_load_u64(unit + JOURNAL_AT_SEQUENCE) != sequence) {
                break;
            }
            mkv_store_u64(unit + JOURNAL_AT_CHAIN, chain);
            chain = seal(unit, AT_SEALED, (uint32_t)MKV_UNIT_BYTES);
        }
    }
}

/* The low half of the sum of the node that a page of the region holds, if it holds one. */
static void name_child(struct mkv_forged_image *image, const struct mkv_geometry *geometry,
                       uint8_t *entry) {
    const uint32_t page = mkv_load_u32(entry);
    if (page >= MKV_DIRECTORY_ROOTS && page < geometry->directory_units) {
        const uint8_t *child =
            mkv_forged_image_unit(image, mkv_geometry_directory(geometry).unit + page);
        mkv_store_u32(entry + 4, mkv_load_u32(child + AT_CHECKSUM));
    }
}

static void reseal_node(struct mkv_forged_image *image, const struct mkv_geometry *geometry,
                        uint8_t *unit, uint32_t level) {
    const uint32_t offsets = NODE_AT_PREFIX + mkv_load_u16(unit + NODE_AT_PREFIX_BYTES);
    const uint32_t count = level > 0 ? mkv_load_u16(unit + NODE_AT_COUNT) : 0;
    for (uint32_t entry = 0; entry < count && offsets + 2 * entry + 2 <= MKV_UNIT_BYTES; entry++) {
        const uint32_t at = mkv_load_u16(unit + offsets + (size_t)2 * entry);
        if (at >= NODE_AT_PREFIX && at + 8 <= MKV_UNIT_BYTES) {
            name_child(image, geometry, unit + at);
        }
    }
    (void)seal(unit, AT_SEALED, (uint32_t)MKV_UNIT_BYTES);
}

static void reseal_directory(struct mkv_forged_image *image, const struct mkv_geometry *geometry) {
    const uint64_t first = mkv_geometry_directory(geometry).unit;
    for (uint32_t level = 0; level < MKV_DIRECTORY_LEVELS_MAX; level++) {
        for (uint32_t page = MKV_DIRECTORY_ROOTS; page < geometry->directory_units; page++) {
            uint8_t *unit = mkv_forged_image_unit(image, first + page);
            if (is(unit, "MEMKVDN") && mkv_load_u16(unit + NODE_AT_LEVEL) == level) {
                reseal_node(image, geometry, unit, level);
            }
        }
    }
    for (uint32_t root = 0; root < MKV_DIRECTORY_ROOTS; root++) {
        uint8_t *unit = mkv_forged_image_unit(image, first + root);
        if (is(unit, "MEMKVDR")) {
            name_child(image, geometry, unit + ROOT_AT_PAGE);
            (void)seal(unit, AT_SEALED, (uint32_t)MKV_UNIT_BYTES);
        }
    }
}

void mkv_forged_image_reseal(struct mkv_forged_image *image, uint32_t leave) {
    struct mkv_geometry geometry;
    for (uint32_t number = 0; number < image->units; number++) {
        uint8_t *unit = mkv_forged_image_unit(image, number);
        if (memcmp(unit, "MEMKV", 5) != 0) {
            continue;
        }
        if (is(unit, "MEMKVSB")) {
            (void)seal(unit, SUPERBLOCK_AT_SEALED, (uint32_t)MKV_UNIT_BYTES);
        } else if (is(unit, "MEMKVSL")) {
            reseal_header(image, number, leave);
        } else {
            (void)seal(unit, AT_SEALED, (uint32_t)MKV_UNIT_BYTES);
        }
    }
    if (!mkv_forged_image_geometry(image, &geometry)) {
        return;
    }
    if ((leave & MKV_FORGED_LEAVE_CHAIN) == 0) {
        reseal_journal(image, &geometry);
    }
    if ((leave & MKV_FORGED_LEAVE_DIRECTORY) == 0) {
        reseal_directory(image, &geometry);
    }
}
