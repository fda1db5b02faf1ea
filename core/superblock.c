/* SPDX-License-Identifier: Apache-2.0 */
#include "core/superblock.h"

#include <string.h>

#include "core/bytes.h"
#include "core/canary.h"
#include "core/hash.h"

/* Offsets of the fields, in the order of the table in the header. */
enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_COPY = 16,
    AT_COPY_ZERO = 20,
    AT_CONTENT = 24,
    AT_VERSION = 24,
    AT_FLAGS = 28,
    AT_STORE_UUID = 32,
    AT_DRIVE_UUID = 48,
    AT_SEQUENCE = 64,
    AT_EPOCH = 72,
    AT_CHECKPOINT_SIDE = 76,
    AT_JOURNAL_SEQUENCE = 80,
    AT_CHAIN_ANCHOR = 88,
    AT_GENERATION_COUNTER = 96,
    AT_WALL_MS = 104,
    AT_CHECKPOINT_NUMBER = 112,
    AT_CHECKPOINT_PAGES = 120,
    AT_DIRECTORY_UNITS = 124,
    AT_CAPACITY_UNITS = 128,
    AT_RING_BLOCKS = 136,
    AT_PAGE_COUNT = 140,
    AT_EXTENT_UNITS = 144,
    AT_EXTENT_COUNT = 148,
    AT_DRIVE_SET_VERSION = 152,
    AT_DRIVE_SET_COUNT = 160,
    AT_TENANT_UNITS = 164,
    AT_DRIVE_SET = 168,
    AT_DRIVE_SET_BEFORE = 1192,
    AT_DRIVE_SET_WEIGHTS = 1200,
    AT_DRIVE_SET_WORD = 1328,
    AT_END = 1336,
};

#define UUID_BYTES 16u
#define WEIGHT_BYTES 2u
#define CONTENT_BYTES (MKV_UNIT_BYTES - AT_CONTENT)
#define FLAGS_KNOWN (MKV_SUPERBLOCK_CLEAN | MKV_SUPERBLOCK_NO_CHECKPOINT)

_Static_assert(AT_DRIVE_SET + MKV_VOLUMES_MAX * UUID_BYTES == AT_DRIVE_SET_BEFORE, "members fit");
_Static_assert(AT_DRIVE_SET_WEIGHTS + MKV_VOLUMES_MAX * WEIGHT_BYTES == AT_DRIVE_SET_WORD,
               "weights fit");
_Static_assert(AT_END <= MKV_UNIT_BYTES, "a superblock copy is one unit");
_Static_assert(sizeof(struct mkv_uuid) == UUID_BYTES, "a uuid is its bytes");

static const uint8_t magic[8] = {'M', 'E', 'M', 'K', 'V', 'S', 'B', 0};

static uint64_t content_checksum(const uint8_t *unit) {
    return mkv_hash_64(unit + AT_CONTENT, CONTENT_BYTES);
}

/* Whether the fields are what format version 1 allows: asserted before a write, checked after a
 * read. */
static bool fields_valid(const struct mkv_superblock *superblock) {
    return superblock->version == MKV_FORMAT_VERSION && (superblock->flags & ~FLAGS_KNOWN) == 0 &&
           superblock->epoch <= MKV_EPOCH_MAX &&
           superblock->checkpoint_side < MKV_CHECKPOINT_SIDES &&
           superblock->journal_sequence.value >= 1 &&
           superblock->generation_counter <= MKV_GENERATION_COUNTER_MAX &&
           mkv_geometry_valid(&superblock->geometry) &&
           superblock->checkpoint_pages <= superblock->geometry.page_count &&
           mkv_drive_set_valid(&superblock->drive_set);
}

static void encode_drive_set(const struct mkv_drive_set *set, uint8_t *unit) {
    mkv_store_u64(unit + AT_DRIVE_SET_VERSION, set->version);
    mkv_store_u32(unit + AT_DRIVE_SET_COUNT, set->count);
    mkv_store_u64(unit + AT_DRIVE_SET_BEFORE, set->version_before);
    mkv_store_u64(unit + AT_DRIVE_SET_WORD, set->word);
    for (uint32_t place = 0; place < set->count; place++) {
        const struct mkv_member *member = &set->members[place];
        memcpy(unit + AT_DRIVE_SET + place * UUID_BYTES, member->uuid.bytes, UUID_BYTES);
        mkv_store_u16(unit + AT_DRIVE_SET_WEIGHTS + place * WEIGHT_BYTES, (uint16_t)member->weight);
    }
}

static void load_drive_set(const uint8_t *unit, struct mkv_drive_set *set) {
    set->version = mkv_load_u64(unit + AT_DRIVE_SET_VERSION);
    set->count = mkv_load_u32(unit + AT_DRIVE_SET_COUNT);
    set->version_before = mkv_load_u64(unit + AT_DRIVE_SET_BEFORE);
    set->word = mkv_load_u64(unit + AT_DRIVE_SET_WORD);
    const uint32_t places = (uint32_t)mkv_min_u64(set->count, MKV_VOLUMES_MAX);
    for (uint32_t place = 0; place < places; place++) {
        struct mkv_member *member = &set->members[place];
        memcpy(member->uuid.bytes, unit + AT_DRIVE_SET + place * UUID_BYTES, UUID_BYTES);
        member->weight = mkv_load_u16(unit + AT_DRIVE_SET_WEIGHTS + place * WEIGHT_BYTES);
    }
}

void mkv_superblock_encode(const struct mkv_superblock *superblock, uint32_t copy, uint8_t *unit) {
    MKV_ASSERT(copy < MKV_SUPERBLOCK_COPIES);
    MKV_ASSERT(fields_valid(superblock));
    const struct mkv_geometry *geometry = &superblock->geometry;
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, magic, sizeof magic);
    mkv_store_u32(unit + AT_COPY, copy);
    mkv_store_u32(unit + AT_VERSION, superblock->version);
    mkv_store_u32(unit + AT_FLAGS, superblock->flags);
    memcpy(unit + AT_STORE_UUID, superblock->store_uuid.bytes, UUID_BYTES);
    memcpy(unit + AT_DRIVE_UUID, superblock->drive_uuid.bytes, UUID_BYTES);
    mkv_store_u64(unit + AT_SEQUENCE, superblock->sequence);
    mkv_store_u32(unit + AT_EPOCH, superblock->epoch);
    mkv_store_u32(unit + AT_CHECKPOINT_SIDE, superblock->checkpoint_side);
    mkv_store_u64(unit + AT_JOURNAL_SEQUENCE, superblock->journal_sequence.value);
    mkv_store_u64(unit + AT_CHAIN_ANCHOR, superblock->chain_anchor);
    mkv_store_u64(unit + AT_GENERATION_COUNTER, superblock->generation_counter);
    mkv_store_u64(unit + AT_WALL_MS, superblock->wall_ms);
    mkv_store_u64(unit + AT_CHECKPOINT_NUMBER, superblock->checkpoint_number);
    mkv_store_u32(unit + AT_CHECKPOINT_PAGES, superblock->checkpoint_pages);
    mkv_store_u32(unit + AT_DIRECTORY_UNITS, geometry->directory_units);
    mkv_store_u64(unit + AT_CAPACITY_UNITS, geometry->capacity_units);
    mkv_store_u32(unit + AT_RING_BLOCKS, geometry->ring_blocks);
    mkv_store_u32(unit + AT_PAGE_COUNT, geometry->page_count);
    mkv_store_u32(unit + AT_EXTENT_UNITS, geometry->extent_units);
    mkv_store_u32(unit + AT_EXTENT_COUNT, geometry->extent_count);
    mkv_store_u32(unit + AT_TENANT_UNITS, geometry->tenant_units);
    encode_drive_set(&superblock->drive_set, unit);
    mkv_store_u64(unit + AT_CHECKSUM, content_checksum(unit));
}

static void load_fields(const uint8_t *unit, struct mkv_superblock *superblock) {
    memcpy(superblock->store_uuid.bytes, unit + AT_STORE_UUID, UUID_BYTES);
    memcpy(superblock->drive_uuid.bytes, unit + AT_DRIVE_UUID, UUID_BYTES);
    superblock->flags = mkv_load_u32(unit + AT_FLAGS);
    superblock->sequence = mkv_load_u64(unit + AT_SEQUENCE);
    superblock->epoch = mkv_load_u32(unit + AT_EPOCH);
    superblock->checkpoint_side = mkv_load_u32(unit + AT_CHECKPOINT_SIDE);
    superblock->journal_sequence.value = mkv_load_u64(unit + AT_JOURNAL_SEQUENCE);
    superblock->chain_anchor = mkv_load_u64(unit + AT_CHAIN_ANCHOR);
    superblock->generation_counter = mkv_load_u64(unit + AT_GENERATION_COUNTER);
    superblock->wall_ms = mkv_load_u64(unit + AT_WALL_MS);
    superblock->checkpoint_number = mkv_load_u64(unit + AT_CHECKPOINT_NUMBER);
    superblock->checkpoint_pages = mkv_load_u32(unit + AT_CHECKPOINT_PAGES);
    superblock->geometry.directory_units = mkv_load_u32(unit + AT_DIRECTORY_UNITS);
    superblock->geometry.tenant_units = mkv_load_u32(unit + AT_TENANT_UNITS);
    superblock->geometry.capacity_units = mkv_load_u64(unit + AT_CAPACITY_UNITS);
    superblock->geometry.ring_blocks = mkv_load_u32(unit + AT_RING_BLOCKS);
    superblock->geometry.page_count = mkv_load_u32(unit + AT_PAGE_COUNT);
    superblock->geometry.extent_units = mkv_load_u32(unit + AT_EXTENT_UNITS);
    superblock->geometry.extent_count = mkv_load_u32(unit + AT_EXTENT_COUNT);
    load_drive_set(unit, &superblock->drive_set);
}

/* Outside the checksum, so compared field by field: a copy at another's place is no copy. */
static bool is_at_place(const uint8_t *unit, uint32_t copy) {
    return mkv_load_u32(unit + AT_COPY) == copy && mkv_load_u32(unit + AT_COPY_ZERO) == 0;
}

void mkv_superblock_encode_copy(const uint8_t *unit, uint32_t copy, uint8_t *target) {
    MKV_ASSERT(copy < MKV_SUPERBLOCK_COPIES);
    memcpy(target, unit, MKV_UNIT_BYTES);
    mkv_store_u32(target + AT_COPY, copy);
}

enum mkv_err mkv_superblock_decode(const uint8_t *unit, uint32_t copy,
                                   struct mkv_superblock *superblock) {
    MKV_ASSERT(copy < MKV_SUPERBLOCK_COPIES);
    *superblock = (struct mkv_superblock){0};
    if (memcmp(unit + AT_MAGIC, magic, sizeof magic) != 0) {
        return MKV_ERR_NOT_FORMATTED;
    }
    if (mkv_load_u64(unit + AT_CHECKSUM) != content_checksum(unit)) {
        return MKV_CORRUPT_SUPERBLOCK;
    }
    if (!is_at_place(unit, copy)) {
        return MKV_CORRUPT_SUPERBLOCK;
    }
    superblock->version = mkv_load_u32(unit + AT_VERSION);
    if (superblock->version > MKV_FORMAT_VERSION) {
        return MKV_ERR_VERSION;
    }
    load_fields(unit, superblock);
    return fields_valid(superblock) ? MKV_OK : MKV_CORRUPT_SUPERBLOCK;
}

/* What one copy says, and which copies say the same. */
struct copy_view {
    enum mkv_err err; /* MKV_ERR_DRIVE_IO: could not be read */
    bool whole;       /* its sums are right; also of a newer format */
    uint64_t sequence;
    uint32_t same; /* bit c: copy c holds this content; its own bit included */
    uint32_t same_count;
};

/* Whether two units are copies of the same, each at whatever place. */
static bool content_equal(const uint8_t *a, const uint8_t *b) {
    return memcmp(a, b, AT_COPY) == 0 && memcmp(a + AT_CONTENT, b + AT_CONTENT, CONTENT_BYTES) == 0;
}

/* Looks at a copy when those before it are known. One with the same bytes as a whole one before it
 * needs no sums computed. */
static void view_copy(const uint8_t *units, uint32_t copy, struct mkv_superblock *scratch,
                      struct copy_view views[MKV_SUPERBLOCK_COPIES]) {
    const uint8_t *unit = units + copy * (size_t)MKV_UNIT_BYTES;
    struct copy_view *view = &views[copy];
    for (uint32_t before = 0; before < copy; before++) {
        const uint8_t *twin = units + before * (size_t)MKV_UNIT_BYTES;
        if (views[before].whole && is_at_place(unit, copy) && content_equal(twin, unit)) {
            *view = (struct copy_view){views[before].err, true, views[before].sequence, 0, 0};
            return;
        }
    }
    view->err = mkv_superblock_decode(unit, copy, scratch);
    view->whole = view->err == MKV_OK || view->err == MKV_ERR_VERSION;
    view->sequence = scratch->sequence;
}

static void view_copies(const uint8_t *units, uint32_t unreadable, struct mkv_superblock *scratch,
                        struct copy_view views[MKV_SUPERBLOCK_COPIES]) {
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        views[copy] = (struct copy_view){.err = MKV_ERR_DRIVE_IO};
        if ((unreadable & (1u << copy)) == 0) {
            view_copy(units, copy, scratch, views);
        }
    }
    /* A copy whose checksum holds counts, also of a newer format: its content is whole. */
    for (uint32_t a = 0; a < MKV_SUPERBLOCK_COPIES; a++) {
        for (uint32_t b = 0; b < MKV_SUPERBLOCK_COPIES; b++) {
            if (views[a].whole && views[b].whole && views[a].sequence == views[b].sequence &&
                (a == b || content_equal(units + a * (size_t)MKV_UNIT_BYTES,
                                         units + b * (size_t)MKV_UNIT_BYTES))) {
                views[a].same |= 1u << b;
                views[a].same_count++;
            }
        }
    }
}

void mkv_superblock_choose(const uint8_t *units, uint32_t unreadable,
                           struct mkv_superblock_choice *choice) {
    struct copy_view views[MKV_SUPERBLOCK_COPIES];
    const uint32_t all = (1u << MKV_SUPERBLOCK_COPIES) - 1;
    MKV_ASSERT((unreadable & ~all) == 0);
    view_copies(units, unreadable, &choice->superblock, views);

    const uint32_t copies_needed = MKV_CANARY(MKV_CANARY_SUPERBLOCK_SINGLE_COPY_TRUSTED) ? 1 : 2;
    uint32_t best = MKV_NONE_U32;
    uint32_t newer = MKV_NONE_U32;
    bool blank = true;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct copy_view *view = &views[copy];
        blank = blank && view->err == MKV_ERR_NOT_FORMATTED;
        if (view->err == MKV_ERR_VERSION && view->same_count >= 2) {
            newer = copy;
        }
        /* Copies come in order and only a higher sequence displaces: of two pairs with the same
         * sequence the one with copy 0 wins. */
        if (view->err == MKV_OK && view->same_count >= copies_needed &&
            (best == MKV_NONE_U32 || view->sequence > views[best].sequence)) {
            best = copy;
        }
    }

    *choice = (struct mkv_superblock_choice){.err = MKV_CORRUPT_SUPERBLOCK};
    if (newer != MKV_NONE_U32) {
        /* Decoding such a copy gives its version, and nothing else of it is understood. */
        choice->err = mkv_superblock_decode(units + newer * (size_t)MKV_UNIT_BYTES, newer,
                                            &choice->superblock);
        MKV_ASSERT(choice->err == MKV_ERR_VERSION);
    } else if (best != MKV_NONE_U32) {
        choice->err =
            mkv_superblock_decode(units + best * (size_t)MKV_UNIT_BYTES, best, &choice->superblock);
        choice->repair = all & ~views[best].same;
        MKV_ASSERT(choice->err == MKV_OK);
    } else if (blank) {
        choice->err = MKV_ERR_NOT_FORMATTED;
    }
}

/* ---- a format that was cut ------------------------------------------------------------------- */

static bool bytes_are_zero(const uint8_t *bytes, size_t count) {
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static bool is_zero_or(uint64_t value, uint64_t wanted) {
    return value == 0 || value == wanted;
}

/* Whether each field that later superblocks have otherwise is of a first format, or not written. */
static bool is_piece_of_format(const uint8_t *unit, uint32_t copy, uint64_t capacity_units) {
    const bool magic_or_none =
        memcmp(unit + AT_MAGIC, magic, sizeof magic) == 0 || mkv_load_u64(unit + AT_MAGIC) == 0;
    return magic_or_none && is_zero_or(mkv_load_u32(unit + AT_COPY), copy) &&
           mkv_load_u32(unit + AT_COPY_ZERO) == 0 &&
           is_zero_or(mkv_load_u32(unit + AT_VERSION), MKV_FORMAT_VERSION) &&
           is_zero_or(mkv_load_u32(unit + AT_FLAGS), MKV_SUPERBLOCK_NO_CHECKPOINT) &&
           is_zero_or(mkv_load_u64(unit + AT_SEQUENCE), 1) && mkv_load_u32(unit + AT_EPOCH) == 0 &&
           mkv_load_u32(unit + AT_CHECKPOINT_SIDE) == 0 &&
           is_zero_or(mkv_load_u64(unit + AT_JOURNAL_SEQUENCE), 1) &&
           mkv_load_u64(unit + AT_GENERATION_COUNTER) == 0 &&
           mkv_load_u64(unit + AT_CHECKPOINT_NUMBER) == 0 &&
           mkv_load_u32(unit + AT_CHECKPOINT_PAGES) == 0 &&
           is_zero_or(mkv_load_u64(unit + AT_CAPACITY_UNITS), capacity_units) &&
           bytes_are_zero(unit + AT_END, MKV_UNIT_BYTES - AT_END);
}

bool mkv_superblock_format_was_cut(const uint8_t *units, uint32_t unreadable,
                                   uint64_t capacity_units) {
    const uint8_t *second_pair = units + 2 * (size_t)MKV_UNIT_BYTES;
    if (unreadable != 0 || !bytes_are_zero(second_pair, 2 * (size_t)MKV_UNIT_BYTES)) {
        return false;
    }
    bool has_magic = false;
    for (uint32_t copy = 0; copy < 2; copy++) {
        const uint8_t *unit = units + copy * (size_t)MKV_UNIT_BYTES;
        if (!is_piece_of_format(unit, copy, capacity_units)) {
            return false;
        }
        has_magic = has_magic || memcmp(unit + AT_MAGIC, magic, sizeof magic) == 0;
    }
    return has_magic;
}
