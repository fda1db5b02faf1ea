/* SPDX-License-Identifier: Apache-2.0 */
#include "core/checkpoint_page.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/io.h"

/* Offsets of the fields, in the order of the tables in the header. */
enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_CHECKED = 16,
    AT_DRIVE_UUID = 16,
    AT_CHECKPOINT_NUMBER = 32,

    HEAD_AT_JOURNAL_SEQUENCE = 40,
    HEAD_AT_GENERATION_COUNTER = 48,
    HEAD_AT_PAGE_COUNT = 56,
    HEAD_AT_TENANT_UNITS = 60,

    PAGE_AT_PAGE = 40,
    PAGE_AT_EXTENT = 44,
    PAGE_AT_SLOT_UNITS = 48,
    PAGE_AT_SPAN = 50,
    PAGE_AT_ZERO = 51,
    PAGE_AT_PAGE_IN_EXTENT = 52,
    PAGE_AT_STAMP = 56,
    PAGE_AT_ENTRIES = 64,

    ENTRY_AT_TAG = 0,
    ENTRY_AT_TENANT = 8,
    ENTRY_AT_GENERATION_LOW = 12,
    ENTRY_AT_EXPIRY = 16,
    ENTRY_AT_LENGTH_UNITS = 20,
    ENTRY_AT_BITS = 22,
    ENTRY_BYTES = 24,
};

#define BITS_STATE 0x0003u
#define BITS_FLAGS_SHIFT 2u
#define BITS_FLAGS (MKV_BLOCK_FLAGS << BITS_FLAGS_SHIFT)
#define BITS_TIER_SHIFT 8u
#define BITS_TIER (MKV_TIER_MAX << BITS_TIER_SHIFT)
#define BITS_KNOWN (BITS_STATE | BITS_FLAGS | BITS_TIER)
#define LENGTH_UNITS_MAX (MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES)

_Static_assert(PAGE_AT_ENTRIES + MKV_PAGE_SLOTS * ENTRY_BYTES == MKV_UNIT_BYTES, "a full unit");
_Static_assert(BITS_FLAGS == 0x000cu, "manifest is bit 2, segment is bit 3");
_Static_assert(BITS_TIER == 0x0300u, "the tier is bits 8 and 9");
_Static_assert(LENGTH_UNITS_MAX <= UINT16_MAX, "a length in units is 16 bits");

static const uint8_t head_magic[8] = {'M', 'E', 'M', 'K', 'V', 'C', 'H', 0};
static const uint8_t page_magic[8] = {'M', 'E', 'M', 'K', 'V', 'C', 'P', 0};

static uint64_t unit_checksum(const uint8_t *unit) {
    return mkv_hash_64(unit + AT_CHECKED, MKV_UNIT_BYTES - AT_CHECKED);
}

/* Magic and checksum, which head and page have alike. */
static bool unit_whole(const uint8_t *unit, const uint8_t *magic) {
    return memcmp(unit + AT_MAGIC, magic, sizeof page_magic) == 0 &&
           mkv_load_u64(unit + AT_CHECKSUM) == unit_checksum(unit);
}

static bool head_valid(const struct mkv_checkpoint_head *head) {
    return head->journal_sequence.value >= 1 &&
           head->generation_counter <= MKV_GENERATION_COUNTER_MAX &&
           head->page_count <= MKV_PAGES_MAX && head->tenant_units >= 1 &&
           head->tenant_units <= MKV_TENANT_UNITS_MAX;
}

void mkv_checkpoint_head_encode(const struct mkv_checkpoint_head *head, uint8_t *unit) {
    MKV_ASSERT(head_valid(head));
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, head_magic, sizeof head_magic);
    memcpy(unit + AT_DRIVE_UUID, head->drive_uuid.bytes, sizeof head->drive_uuid.bytes);
    mkv_store_u64(unit + AT_CHECKPOINT_NUMBER, head->checkpoint_number);
    mkv_store_u64(unit + HEAD_AT_JOURNAL_SEQUENCE, head->journal_sequence.value);
    mkv_store_u64(unit + HEAD_AT_GENERATION_COUNTER, head->generation_counter);
    mkv_store_u32(unit + HEAD_AT_PAGE_COUNT, head->page_count);
    mkv_store_u32(unit + HEAD_AT_TENANT_UNITS, head->tenant_units);
    mkv_store_u64(unit + AT_CHECKSUM, unit_checksum(unit));
}

enum mkv_err mkv_checkpoint_head_decode(const uint8_t *unit, struct mkv_checkpoint_head *head) {
    *head = (struct mkv_checkpoint_head){0};
    if (!unit_whole(unit, head_magic)) {
        return MKV_CORRUPT_CHECKPOINT_PAGE;
    }
    memcpy(head->drive_uuid.bytes, unit + AT_DRIVE_UUID, sizeof head->drive_uuid.bytes);
    head->checkpoint_number = mkv_load_u64(unit + AT_CHECKPOINT_NUMBER);
    head->journal_sequence.value = mkv_load_u64(unit + HEAD_AT_JOURNAL_SEQUENCE);
    head->generation_counter = mkv_load_u64(unit + HEAD_AT_GENERATION_COUNTER);
    head->page_count = mkv_load_u32(unit + HEAD_AT_PAGE_COUNT);
    head->tenant_units = mkv_load_u32(unit + HEAD_AT_TENANT_UNITS);
    return head_valid(head) ? MKV_OK : MKV_CORRUPT_CHECKPOINT_PAGE;
}

/* A page of an extent, or an unused one. The pages of an extent follow one another, so a page's
 * index within it is at most the page's own number. */
static bool page_valid(const struct mkv_checkpoint_page *page) {
    if (page->page >= MKV_PAGES_MAX) {
        return false;
    }
    if (page->extent.index == MKV_NONE_U32) {
        return page->slot_units == 0 && page->span == 0 && page->page_in_extent == 0;
    }
    return page->span >= 1 && page->span <= MKV_EXTENT_SPAN_MAX &&
           page->extent.index <= MKV_EXTENTS_MAX - page->span && page->slot_units >= 1 &&
           page->slot_units <= MKV_SLOT_UNITS_MAX && page->page_in_extent <= page->page;
}

void mkv_checkpoint_page_begin(const struct mkv_checkpoint_page *page, uint8_t *unit) {
    MKV_ASSERT(page_valid(page));
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, page_magic, sizeof page_magic);
    memcpy(unit + AT_DRIVE_UUID, page->drive_uuid.bytes, sizeof page->drive_uuid.bytes);
    mkv_store_u64(unit + AT_CHECKPOINT_NUMBER, page->checkpoint_number);
    mkv_store_u32(unit + PAGE_AT_PAGE, page->page);
    mkv_store_u32(unit + PAGE_AT_EXTENT, page->extent.index);
    mkv_store_u16(unit + PAGE_AT_SLOT_UNITS, (uint16_t)page->slot_units);
    unit[PAGE_AT_SPAN] = (uint8_t)page->span;
    mkv_store_u32(unit + PAGE_AT_PAGE_IN_EXTENT, page->page_in_extent);
    mkv_store_u64(unit + PAGE_AT_STAMP, page->stamp.value);
}

void mkv_checkpoint_page_store(uint8_t *unit, uint32_t index, const struct mkv_page_entry *entry) {
    MKV_ASSERT(index < MKV_PAGE_SLOTS);
    uint8_t *target = unit + PAGE_AT_ENTRIES + index * ENTRY_BYTES;
    memset(target, 0, ENTRY_BYTES);
    if (entry->state == MKV_ENTRY_FREE) {
        return;
    }
    MKV_ASSERT(entry->state <= MKV_ENTRY_RETIRED);
    MKV_ASSERT((entry->block_flags & ~MKV_BLOCK_FLAGS) == 0);
    MKV_ASSERT(entry->tier <= MKV_TIER_MAX);
    MKV_ASSERT(entry->length_units <= LENGTH_UNITS_MAX);
    MKV_ASSERT(mkv_load_u32(unit + PAGE_AT_EXTENT) != MKV_NONE_U32);
    const uint32_t bits = entry->state | (uint32_t)entry->block_flags << BITS_FLAGS_SHIFT |
                          (uint32_t)entry->tier << BITS_TIER_SHIFT;
    mkv_store_u64(target + ENTRY_AT_TAG, entry->tag);
    mkv_store_u32(target + ENTRY_AT_TENANT, entry->tenant);
    mkv_store_u32(target + ENTRY_AT_GENERATION_LOW, entry->generation_low);
    mkv_store_u32(target + ENTRY_AT_EXPIRY, entry->expiry_s);
    mkv_store_u16(target + ENTRY_AT_LENGTH_UNITS, entry->length_units);
    mkv_store_u16(target + ENTRY_AT_BITS, (uint16_t)bits);
}

void mkv_checkpoint_page_seal(uint8_t *unit) {
    MKV_ASSERT(memcmp(unit + AT_MAGIC, page_magic, sizeof page_magic) == 0);
    mkv_store_u64(unit + AT_CHECKSUM, unit_checksum(unit));
}

static bool entry_valid(const uint8_t *source, bool page_is_used) {
    static const uint8_t zeros[ENTRY_BYTES] = {0};
    const uint32_t bits = mkv_load_u16(source + ENTRY_AT_BITS);
    if ((bits & BITS_STATE) == MKV_ENTRY_FREE) {
        return memcmp(source, zeros, ENTRY_BYTES) == 0;
    }
    return page_is_used && (bits & BITS_STATE) <= MKV_ENTRY_RETIRED && (bits & ~BITS_KNOWN) == 0 &&
           mkv_load_u16(source + ENTRY_AT_LENGTH_UNITS) <= LENGTH_UNITS_MAX;
}

enum mkv_err mkv_checkpoint_page_decode(const uint8_t *unit, struct mkv_checkpoint_page *page) {
    *page = (struct mkv_checkpoint_page){0};
    if (!unit_whole(unit, page_magic)) {
        return MKV_CORRUPT_CHECKPOINT_PAGE;
    }
    memcpy(page->drive_uuid.bytes, unit + AT_DRIVE_UUID, sizeof page->drive_uuid.bytes);
    page->checkpoint_number = mkv_load_u64(unit + AT_CHECKPOINT_NUMBER);
    page->page = mkv_load_u32(unit + PAGE_AT_PAGE);
    page->extent.index = mkv_load_u32(unit + PAGE_AT_EXTENT);
    page->slot_units = mkv_load_u16(unit + PAGE_AT_SLOT_UNITS);
    page->span = unit[PAGE_AT_SPAN];
    page->page_in_extent = mkv_load_u32(unit + PAGE_AT_PAGE_IN_EXTENT);
    page->stamp.value = mkv_load_u64(unit + PAGE_AT_STAMP);
    if (!page_valid(page) || unit[PAGE_AT_ZERO] != 0) {
        return MKV_CORRUPT_CHECKPOINT_PAGE;
    }
    const bool page_is_used = page->extent.index != MKV_NONE_U32;
    for (uint32_t index = 0; index < MKV_PAGE_SLOTS; index++) {
        if (!entry_valid(unit + PAGE_AT_ENTRIES + index * ENTRY_BYTES, page_is_used)) {
            return MKV_CORRUPT_CHECKPOINT_PAGE;
        }
    }
    return MKV_OK;
}

void mkv_checkpoint_page_load(const uint8_t *unit, uint32_t index, struct mkv_page_entry *entry) {
    MKV_ASSERT(index < MKV_PAGE_SLOTS);
    const uint8_t *source = unit + PAGE_AT_ENTRIES + index * ENTRY_BYTES;
    const uint32_t bits = mkv_load_u16(source + ENTRY_AT_BITS);
    *entry = (struct mkv_page_entry){
        .tag = mkv_load_u64(source + ENTRY_AT_TAG),
        .tenant = mkv_load_u32(source + ENTRY_AT_TENANT),
        .generation_low = mkv_load_u32(source + ENTRY_AT_GENERATION_LOW),
        .expiry_s = mkv_load_u32(source + ENTRY_AT_EXPIRY),
        .length_units = mkv_load_u16(source + ENTRY_AT_LENGTH_UNITS),
        .state = (uint8_t)(bits & BITS_STATE),
        .block_flags = (uint8_t)((bits & BITS_FLAGS) >> BITS_FLAGS_SHIFT),
        .tier = (uint8_t)((bits & BITS_TIER) >> BITS_TIER_SHIFT),
    };
}
