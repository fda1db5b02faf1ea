/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forged_edit.h"

#include <string.h>

#include "core/bytes.h"

#define EDITS_MAX 4u
/* Fields of headers lie in the first bytes of a unit; one edit in four is anywhere. */
#define HEADER_BYTES 192u
#define KINDS 9u

static const char *const magics[KINDS] = {"MEMKVSB", "MEMKVJB", "MEMKVCH", "MEMKVCP", "MEMKVCT",
                                          "MEMKVSL", "MEMKVDN", "MEMKVDR", ""};

/* A unit that is not all zeros, of a drawn kind if there is one of it. */
static uint32_t draw_unit(const struct mkv_forged_image *image, struct mkv_random *random) {
    const char *magic = magics[mkv_random_below(random, KINDS)];
    const size_t bytes = strlen(magic);
    const uint32_t start = mkv_random_below(random, image->units);
    uint32_t other = 0;
    for (uint32_t step = 0; step < image->units; step++) {
        const uint32_t unit = (start + step) % image->units;
        if (mkv_forged_image_unit_is_zero(image, unit)) {
            continue;
        }
        other = unit;
        if (memcmp(mkv_forged_image_unit(image, unit), magic, bytes) == 0) {
            return unit;
        }
    }
    return other;
}

static uint64_t draw_value(uint64_t old, struct mkv_random *random) {
    static const uint64_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff};
    switch (mkv_random_below(random, 8)) {
    case 0:
        return values[mkv_random_below(random, sizeof values / sizeof values[0])];
    case 1:
        return UINT64_MAX - mkv_random_below(random, 3);
    case 2:
        return old + 1 + mkv_random_below(random, 4);
    case 3:
        return old - 1 - mkv_random_below(random, 4);
    case 4:
        return old ^ 1ull << mkv_random_below(random, 64);
    case 5:
        return mkv_random_below(random, 300);
    case 6:
        return old * 2;
    default:
        return mkv_random_next(random);
    }
}

static void edit_field(uint8_t *unit, struct mkv_random *random) {
    static const uint32_t widths[] = {1, 2, 4, 4, 8};
    const uint32_t width = widths[mkv_random_below(random, 5)];
    const uint32_t span = mkv_random_chance(random, 3, 4) ? HEADER_BYTES : (uint32_t)MKV_UNIT_BYTES;
    uint8_t *field = unit + (size_t)width * mkv_random_below(random, span / width);
    uint8_t bytes[8] = {0};
    memcpy(bytes, field, width);
    mkv_store_u64(bytes, draw_value(mkv_load_u64(bytes), random));
    memcpy(field, bytes, width);
}

/* One unit becomes what another one is, whole or in part, or nothing. */
static void edit_unit(struct mkv_forged_image *image, uint8_t *unit, struct mkv_random *random) {
    const uint8_t *other = mkv_forged_image_unit(image, draw_unit(image, random));
    const uint32_t from = 8 * mkv_random_below(random, MKV_UNIT_BYTES / 8);
    const uint32_t bytes = mkv_random_between(random, 1, (uint32_t)MKV_UNIT_BYTES - from);
    switch (mkv_random_below(random, 4)) {
    case 0:
        memset(unit, 0, MKV_UNIT_BYTES);
        break;
    case 1:
        memmove(unit, other, MKV_UNIT_BYTES);
        break;
    case 2:
        memmove(unit + from, other + from, bytes);
        break;
    default:
        memset(unit + from, mkv_random_chance(random, 1, 2) ? 0 : 0xff, bytes);
    }
}

/* The other copies of a superblock or journal block become the same. */
static void copy_to_others(struct mkv_forged_image *image, const struct mkv_geometry *geometry,
                           uint32_t number) {
    const uint8_t *unit = mkv_forged_image_unit(image, number);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        if (mkv_geometry_superblock(image->units, copy).unit != number) {
            continue;
        }
        for (uint32_t other = 0; other < MKV_SUPERBLOCK_COPIES; other++) {
            uint8_t *target =
                mkv_forged_image_unit(image, mkv_geometry_superblock(image->units, other).unit);
            memmove(target, unit, MKV_UNIT_BYTES);
            mkv_store_u32(target + 16, other);
        }
    }
    for (uint32_t position = 0; position < geometry->ring_blocks; position++) {
        const uint64_t a = mkv_geometry_journal(geometry, 0, position).unit;
        const uint64_t b = mkv_geometry_journal(geometry, 1, position).unit;
        if (number == a || number == b) {
            memmove(mkv_forged_image_unit(image, number == a ? b : a), unit, MKV_UNIT_BYTES);
        }
    }
}

void mkv_forged_edit(struct mkv_forged_image *image, struct mkv_random *random) {
    struct mkv_geometry geometry = {0};
    (void)mkv_forged_image_geometry(image, &geometry);
    const uint32_t edits = mkv_random_between(random, 1, EDITS_MAX);
    for (uint32_t edit = 0; edit < edits; edit++) {
        const uint32_t number = draw_unit(image, random);
        uint8_t *unit = mkv_forged_image_unit(image, number);
        if (mkv_random_chance(random, 7, 8)) {
            edit_field(unit, random);
        } else {
            edit_unit(image, unit, random);
        }
        if (geometry.capacity_units > 0 && geometry.capacity_units <= image->units &&
            mkv_geometry_valid(&geometry) && mkv_random_chance(random, 7, 8)) {
            copy_to_others(image, &geometry, number);
        }
    }
    if (mkv_random_chance(random, 15, 16)) {
        /* One time in four something is left as it is. */
        mkv_forged_image_reseal(image,
                                mkv_random_chance(random, 3, 4) ? 0 : mkv_random_below(random, 8));
    }
}
