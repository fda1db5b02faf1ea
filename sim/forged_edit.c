/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forged_edit.h"

#include <string.h>

#include "core/bytes.h"
#include "core/checkpoint_page.h"
#include "core/journal_block.h"

#define EDITS_MAX 4u
/* Fields of headers lie in the first bytes of a unit; one edit in four is anywhere. */
#define HEADER_BYTES 192u
#define KINDS 9u
#define JOURNAL_KIND 1u /* of magics */
/* Where the fields are of which others hang; on-disk-format.md has all of them. */
#define MAGIC_BYTES 8u
#define PAGE_AT_ENTRIES 64u
#define PAGE_ENTRY_BYTES 24u
#define SUPERBLOCK_AT_JOURNAL_SEQUENCE 80u
#define JOURNAL_AT_SEQUENCE 32u
#define NODE_AT_COMMIT 32u
#define NODE_AT_COUNT 46u
#define NODE_AT_PREFIX_BYTES 48u
#define NODE_AT_PREFIX 64u
#define NODE_ENTRY_BYTES 12u

struct span {
    uint32_t offset;
    uint32_t bytes;
};

static const char *const magics[KINDS] = {"MEMKVSB", "MEMKVJB", "MEMKVCH", "MEMKVCP", "MEMKVCT",
                                          "MEMKVSL", "MEMKVDN", "MEMKVDR", ""};

static bool is_replayed(const struct mkv_forged_image *image, uint32_t unit) {
    const uint8_t *superblock = mkv_forged_image_unit(image, 0);
    return mkv_load_u64(mkv_forged_image_unit(image, unit) + JOURNAL_AT_SEQUENCE) >=
           mkv_load_u64(superblock + SUPERBLOCK_AT_JOURNAL_SEQUENCE);
}

/* A unit that is not all zeros, of a drawn kind if there is one of it. */
static uint32_t draw_unit(const struct mkv_forged_image *image, struct mkv_random *random) {
    const uint32_t which = mkv_random_below(random, KINDS);
    const char *magic = magics[which];
    const size_t bytes = strlen(magic);
    uint32_t best = MKV_NONE_U32;
    const uint32_t start = mkv_random_below(random, image->units);
    uint32_t other = 0;
    for (uint32_t step = 0; step < image->units; step++) {
        const uint32_t unit = (start + step) % image->units;
        if (mkv_forged_image_unit_is_zero(image, unit)) {
            continue;
        }
        other = unit;
        if (memcmp(mkv_forged_image_unit(image, unit), magic, bytes) == 0) {
            best = unit;
            /* Blocks of the journal that a checkpoint covers are not looked at again. */
            if (which != JOURNAL_KIND || is_replayed(image, unit)) {
                return unit;
            }
        }
    }
    return best != MKV_NONE_U32 ? best : other;
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

/* Of a journal block: one record, or the header where there is none. */
static struct span record_span(const uint8_t *unit, struct mkv_random *random) {
    struct span span = {0, MKV_JOURNAL_HEADER_BYTES};
    struct mkv_record record;
    enum mkv_err err;
    uint32_t cursor = 0;
    uint32_t offset = MKV_JOURNAL_HEADER_BYTES;
    for (uint32_t seen = 1; mkv_journal_block_next(unit, &cursor, &record, &err); seen++) {
        const uint32_t bytes = mkv_record_bytes(record.kind);
        if (mkv_random_chance(random, 1, seen)) {
            span = (struct span){offset, bytes};
        }
        offset += bytes;
    }
    return span;
}

/* Of a checkpoint page: an entry that is there, or the head. */
static struct span entry_span(const uint8_t *unit, uint32_t first, uint32_t bytes, uint32_t count,
                              struct mkv_random *random) {
    struct span span = {0, first};
    for (uint32_t entry = 0, seen = 1; entry < count; entry++) {
        const uint32_t offset = first + entry * bytes;
        if (unit[offset] != 0 && mkv_random_chance(random, 1, seen++)) {
            span = (struct span){offset, bytes};
        }
    }
    return span;
}

static struct span node_span(const uint8_t *unit, struct mkv_random *random) {
    const uint32_t count = mkv_load_u16(unit + NODE_AT_COUNT);
    const uint32_t offsets = NODE_AT_PREFIX + mkv_load_u16(unit + NODE_AT_PREFIX_BYTES);
    if (count == 0 || offsets + 2 * count > MKV_UNIT_BYTES || mkv_random_chance(random, 1, 3)) {
        return (struct span){NODE_AT_COMMIT, NODE_AT_PREFIX - NODE_AT_COMMIT};
    }
    const uint32_t place = offsets + 2 * mkv_random_below(random, count);
    const uint32_t entry = mkv_load_u16(unit + place);
    if (entry + NODE_ENTRY_BYTES > MKV_UNIT_BYTES || mkv_random_chance(random, 1, 4)) {
        return (struct span){place, 2};
    }
    return (struct span){entry, NODE_ENTRY_BYTES};
}

/* Where the fields of a unit lie that something hangs on. */
static struct span field_span(const uint8_t *unit, struct mkv_random *random) {
    if (mkv_random_chance(random, 1, 4)) {
        return (struct span){0, (uint32_t)MKV_UNIT_BYTES};
    }
    if (memcmp(unit, "MEMKVJB", MAGIC_BYTES) == 0 && !mkv_random_chance(random, 1, 4)) {
        return record_span(unit, random);
    }
    if (memcmp(unit, "MEMKVCP", MAGIC_BYTES) == 0 && mkv_random_chance(random, 1, 2)) {
        return entry_span(unit, PAGE_AT_ENTRIES, PAGE_ENTRY_BYTES, MKV_PAGE_SLOTS, random);
    }
    if (memcmp(unit, "MEMKVDN", MAGIC_BYTES) == 0) {
        return node_span(unit, random);
    }
    return (struct span){0, HEADER_BYTES};
}

static void edit_field(uint8_t *unit, struct mkv_random *random) {
    static const uint32_t widths[] = {1, 2, 4, 4, 8};
    const struct span span = field_span(unit, random);
    const uint32_t width = (uint32_t)mkv_min_u64(widths[mkv_random_below(random, 5)], span.bytes);
    uint8_t *field =
        unit + span.offset + (size_t)width * mkv_random_below(random, span.bytes / width);
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
