/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forged_image.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/superblock.h"

#define MAGIC "memkvimg"
#define MAGIC_BYTES 8u
#define HEAD_BYTES (MAGIC_BYTES + 4u)
#define PIECE_HEAD_BYTES 8u
/* So many zeros end a piece. */
#define GAP_BYTES 16u

bool mkv_forged_image_load(struct mkv_forged_image *image, const uint8_t *data, size_t size) {
    if (size < HEAD_BYTES || memcmp(data, MAGIC, MAGIC_BYTES) != 0) {
        return false;
    }
    image->units = mkv_load_u32(data + MAGIC_BYTES);
    if (image->units < MKV_CAPACITY_UNITS_MIN || image->units > MKV_FORGED_UNITS_MAX) {
        return false;
    }
    const size_t drive_bytes = (size_t)image->units * MKV_UNIT_BYTES;
    image->bytes = calloc(image->units, MKV_UNIT_BYTES);
    MKV_ASSERT(image->bytes != NULL);
    size_t at = HEAD_BYTES;
    while (size - at >= PIECE_HEAD_BYTES) {
        const size_t offset = mkv_load_u32(data + at);
        const size_t bytes = mkv_load_u32(data + at + 4);
        at += PIECE_HEAD_BYTES;
        if (bytes > size - at || offset > drive_bytes || bytes > drive_bytes - offset) {
            break;
        }
        memcpy(image->bytes + offset, data + at, bytes);
        at += bytes;
    }
    return true;
}

void mkv_forged_image_free(struct mkv_forged_image *image) {
    free(image->bytes);
    *image = (struct mkv_forged_image){0};
}

bool mkv_forged_image_unit_is_zero(const struct mkv_forged_image *image, uint32_t unit) {
    const uint8_t *bytes = mkv_forged_image_unit(image, unit);
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, MKV_UNIT_BYTES - 1) == 0;
}

/* The end of the piece that begins at `at`: no gap of zeros is in it. */
static uint32_t piece_end(const uint8_t *unit, uint32_t at) {
    uint32_t end = at;
    for (uint32_t next = at; next < MKV_UNIT_BYTES && next - end < GAP_BYTES; next++) {
        end = unit[next] != 0 ? next + 1 : end;
    }
    return end;
}

size_t mkv_forged_image_save(const struct mkv_forged_image *image, uint8_t *out, size_t out_max) {
    size_t used = HEAD_BYTES;
    if (out_max < used) {
        return 0;
    }
    memcpy(out, MAGIC, MAGIC_BYTES);
    mkv_store_u32(out + MAGIC_BYTES, image->units);
    for (uint32_t number = 0; number < image->units; number++) {
        const uint8_t *unit = mkv_forged_image_unit(image, number);
        uint32_t at = mkv_forged_image_unit_is_zero(image, number) ? (uint32_t)MKV_UNIT_BYTES : 0;
        while (at < MKV_UNIT_BYTES) {
            if (unit[at] == 0) {
                at++;
                continue;
            }
            const uint32_t bytes = piece_end(unit, at) - at;
            if (out_max - used < PIECE_HEAD_BYTES + bytes) {
                return 0;
            }
            mkv_store_u32(out + used, number * (uint32_t)MKV_UNIT_BYTES + at);
            mkv_store_u32(out + used + 4, bytes);
            memcpy(out + used + PIECE_HEAD_BYTES, unit + at, bytes);
            used += PIECE_HEAD_BYTES + bytes;
            at += bytes;
        }
    }
    return used;
}

bool mkv_forged_image_geometry(const struct mkv_forged_image *image,
                               struct mkv_geometry *geometry) {
    uint8_t units[MKV_SUPERBLOCK_COPIES * MKV_UNIT_BYTES];
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba = mkv_geometry_superblock(image->units, copy);
        memcpy(units + (size_t)copy * MKV_UNIT_BYTES, mkv_forged_image_unit(image, lba.unit),
               MKV_UNIT_BYTES);
    }
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(units, 0, &choice);
    *geometry = choice.superblock.geometry;
    return choice.err == MKV_OK && geometry->capacity_units <= image->units;
}
