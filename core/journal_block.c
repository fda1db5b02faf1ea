/* SPDX-License-Identifier: Apache-2.0 */
#include "core/journal_block.h"

#include <string.h>

#include "core/bytes.h"
#include "core/geometry.h"
#include "core/hash.h"
#include "core/io.h"

/* Offsets of the fields, in the order of the tables in the header. */
enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_CHECKED = 16,
    AT_DRIVE_UUID = 16,
    AT_SEQUENCE = 32,
    AT_EPOCH = 40,
    AT_RING_POSITION = 44,
    AT_CHAIN = 48,
    AT_FLUSHED_SEQUENCE = 56,
    AT_WALL_MS = 64,
    AT_RECORD_COUNT = 72,
    AT_RECORD_BYTES = 76,
    AT_END = 80,
};

enum {
    RECORD_AT_KIND = 0,

    PUT_AT_TIER = 1,
    PUT_AT_BLOCK_FLAGS = 2,
    PUT_AT_TENANT = 4,
    PUT_AT_TAG = 8,
    PUT_AT_SLOT = 16,
    PUT_AT_LENGTH = 20,
    PUT_AT_GENERATION = 24,
    PUT_AT_ROOT = 32,
    PUT_AT_EXPIRY = 48,
    PUT_AT_END = 52,

    DROP_AT_CAUSE = 1,
    DROP_AT_FLAGS = 2,
    DROP_AT_SLOT = 4,
    DROP_AT_GENERATION = 8,
    DROP_AT_END = 16,

    EXTENT_AT_SPAN = 1,
    EXTENT_AT_EXTENT = 4,
    EXTENT_AT_SLOT_UNITS = 8,
    EXTENT_AT_PAGE_FIRST = 12,
    EXTENT_AT_PAGE_COUNT = 16,
    EXTENT_AT_RELEASED_PAGE_FIRST = 20,
    EXTENT_AT_RELEASED_PAGE_COUNT = 24,
    EXTENT_AT_END = 28,

    RETIRE_AT_SLOT = 4,
    RETIRE_AT_END = 8,

    EXPIRY_AT_SLOT = 4,
    EXPIRY_AT_GENERATION = 8,
    EXPIRY_AT_EXPIRY = 16,
    EXPIRY_AT_END = 20,

    TENANT_AT_NAME_BYTES = 1,
    TENANT_AT_PLACE = 2,
    TENANT_AT_ID = 4,
    TENANT_AT_NAME = 8,
    TENANT_AT_END = TENANT_AT_NAME + MKV_TENANT_STORED_NAME_BYTES_MAX,

    TENANT_DROP_AT_PLACE = 2,
    TENANT_DROP_AT_ID = 4,
    TENANT_DROP_AT_END = 8,
};

_Static_assert(AT_END <= MKV_JOURNAL_HEADER_BYTES, "the header fits");
_Static_assert(PUT_AT_END <= MKV_RECORD_PUT_BYTES, "a PUT fits");
_Static_assert(DROP_AT_END <= MKV_RECORD_DROP_BYTES, "a DROP fits");
_Static_assert(EXTENT_AT_END <= MKV_RECORD_EXTENT_BYTES, "an EXTENT fits");
_Static_assert(RETIRE_AT_END <= MKV_RECORD_RETIRE_BYTES, "a RETIRE fits");
_Static_assert(EXPIRY_AT_END <= MKV_RECORD_EXPIRY_BYTES, "an EXPIRY fits");
_Static_assert(TENANT_AT_END <= MKV_RECORD_TENANT_BYTES, "a TENANT fits");
_Static_assert(TENANT_DROP_AT_END <= MKV_RECORD_TENANT_DROP_BYTES, "a TENANT_DROP fits");
_Static_assert(MKV_RECORD_DROP_BYTES <= MKV_RECORD_RETIRE_BYTES, "a DROP is the smallest");
_Static_assert(MKV_RECORD_DROP_BYTES <= MKV_RECORD_EXPIRY_BYTES, "a DROP is the smallest");
_Static_assert(MKV_RECORD_DROP_BYTES <= MKV_RECORD_EXTENT_BYTES, "a DROP is the smallest");
_Static_assert(MKV_RECORD_PUT_BYTES <= MKV_RECORD_TENANT_BYTES, "a TENANT is the largest");
_Static_assert(MKV_BLOCK_FLAGS <= UINT8_MAX, "block flags fit their fields");

/* A walk's cursor: the offset of the next record in the low half, records passed in the high. */
#define CURSOR_OFFSET_BITS 16u
#define DROP_RETIRED 0x0001u
#define CURSOR_OFFSET_MASK ((1u << CURSOR_OFFSET_BITS) - 1)
_Static_assert(MKV_JOURNAL_RECORD_BYTES_MAX <= CURSOR_OFFSET_MASK, "a cursor holds any offset");

static const uint8_t magic[8] = {'M', 'E', 'M', 'K', 'V', 'J', 'B', 0};

static uint64_t unit_checksum(const uint8_t *unit) {
    return mkv_hash_64(unit + AT_CHECKED, MKV_UNIT_BYTES - AT_CHECKED);
}

/* Bytes of a record by the kind that stands in it; 0 for a kind that format version 1 lacks. */
static uint32_t record_bytes_of(uint8_t kind) {
    switch (kind) {
    case MKV_RECORD_PUT:
        return MKV_RECORD_PUT_BYTES;
    case MKV_RECORD_DROP:
        return MKV_RECORD_DROP_BYTES;
    case MKV_RECORD_EXTENT:
        return MKV_RECORD_EXTENT_BYTES;
    case MKV_RECORD_RETIRE:
        return MKV_RECORD_RETIRE_BYTES;
    case MKV_RECORD_EXPIRY:
        return MKV_RECORD_EXPIRY_BYTES;
    case MKV_RECORD_TENANT:
        return MKV_RECORD_TENANT_BYTES;
    case MKV_RECORD_TENANT_DROP:
        return MKV_RECORD_TENANT_DROP_BYTES;
    default:
        return 0;
    }
}

uint32_t mkv_record_bytes(enum mkv_record_kind kind) {
    const uint32_t bytes = record_bytes_of((uint8_t)kind);
    MKV_ASSERT(bytes != 0);
    return bytes;
}

static bool pages_valid(uint32_t page_first, uint32_t page_count) {
    return (uint64_t)page_first + page_count <= MKV_PAGES_MAX;
}

/* Whether the fields are what the format allows: asserted before a write, checked after a read. */
static bool record_valid(const struct mkv_record *record) {
    switch (record->kind) {
    case MKV_RECORD_PUT:
        return record->put.tier <= MKV_TIER_MAX &&
               (record->put.block_flags & ~MKV_BLOCK_FLAGS) == 0 &&
               record->put.slot.index < MKV_SLOTS_MAX && record->put.length <= MKV_BLOCK_BYTES_MAX;
    case MKV_RECORD_DROP:
        return record->drop.cause >= MKV_DROP_DELETE && record->drop.cause <= MKV_DROP_PURGE &&
               record->drop.slot.index < MKV_SLOTS_MAX;
    case MKV_RECORD_EXTENT:
        return record->extent.span >= 1 && record->extent.span <= MKV_EXTENT_SPAN_MAX &&
               record->extent.extent.index <= MKV_EXTENTS_MAX - record->extent.span &&
               record->extent.slot_units <= MKV_SLOT_UNITS_MAX &&
               (record->extent.slot_units == 0) == (record->extent.page_count == 0) &&
               pages_valid(record->extent.page_first, record->extent.page_count) &&
               pages_valid(record->extent.released_page_first, record->extent.released_page_count);
    case MKV_RECORD_RETIRE:
        return record->retire.slot.index < MKV_SLOTS_MAX;
    case MKV_RECORD_EXPIRY:
        return record->expiry.slot.index < MKV_SLOTS_MAX;
    case MKV_RECORD_TENANT:
        return record->tenant.name_bytes >= 1 &&
               record->tenant.name_bytes <= MKV_TENANT_STORED_NAME_BYTES_MAX &&
               record->tenant.place <= UINT16_MAX;
    case MKV_RECORD_TENANT_DROP:
        return record->tenant_drop.place <= UINT16_MAX;
    default:
        return false;
    }
}

/* Writes a valid record to zeroed bytes. */
static void store_record(uint8_t *target, const struct mkv_record *record) {
    target[RECORD_AT_KIND] = (uint8_t)record->kind;
    switch (record->kind) {
    case MKV_RECORD_PUT:
        target[PUT_AT_TIER] = record->put.tier;
        mkv_store_u16(target + PUT_AT_BLOCK_FLAGS, record->put.block_flags);
        mkv_store_u32(target + PUT_AT_TENANT, record->put.tenant);
        mkv_store_u64(target + PUT_AT_TAG, record->put.tag);
        mkv_store_u32(target + PUT_AT_SLOT, record->put.slot.index);
        mkv_store_u32(target + PUT_AT_LENGTH, record->put.length);
        mkv_store_u64(target + PUT_AT_GENERATION, record->put.generation.value);
        memcpy(target + PUT_AT_ROOT, record->put.root.bytes, sizeof record->put.root.bytes);
        mkv_store_u32(target + PUT_AT_EXPIRY, record->put.expiry_s);
        break;
    case MKV_RECORD_DROP:
        target[DROP_AT_CAUSE] = (uint8_t)record->drop.cause;
        mkv_store_u16(target + DROP_AT_FLAGS, record->drop.retired ? DROP_RETIRED : 0);
        mkv_store_u32(target + DROP_AT_SLOT, record->drop.slot.index);
        mkv_store_u64(target + DROP_AT_GENERATION, record->drop.generation.value);
        break;
    case MKV_RECORD_EXTENT:
        target[EXTENT_AT_SPAN] = (uint8_t)record->extent.span;
        mkv_store_u32(target + EXTENT_AT_EXTENT, record->extent.extent.index);
        mkv_store_u32(target + EXTENT_AT_SLOT_UNITS, record->extent.slot_units);
        mkv_store_u32(target + EXTENT_AT_PAGE_FIRST, record->extent.page_first);
        mkv_store_u32(target + EXTENT_AT_PAGE_COUNT, record->extent.page_count);
        mkv_store_u32(target + EXTENT_AT_RELEASED_PAGE_FIRST, record->extent.released_page_first);
        mkv_store_u32(target + EXTENT_AT_RELEASED_PAGE_COUNT, record->extent.released_page_count);
        break;
    case MKV_RECORD_RETIRE:
        mkv_store_u32(target + RETIRE_AT_SLOT, record->retire.slot.index);
        break;
    case MKV_RECORD_EXPIRY:
        mkv_store_u32(target + EXPIRY_AT_SLOT, record->expiry.slot.index);
        mkv_store_u64(target + EXPIRY_AT_GENERATION, record->expiry.generation.value);
        mkv_store_u32(target + EXPIRY_AT_EXPIRY, record->expiry.expiry_s);
        break;
    case MKV_RECORD_TENANT:
        target[TENANT_AT_NAME_BYTES] = (uint8_t)record->tenant.name_bytes;
        mkv_store_u16(target + TENANT_AT_PLACE, (uint16_t)record->tenant.place);
        mkv_store_u32(target + TENANT_AT_ID, record->tenant.id);
        memcpy(target + TENANT_AT_NAME, record->tenant.name, record->tenant.name_bytes);
        break;
    case MKV_RECORD_TENANT_DROP:
        mkv_store_u16(target + TENANT_DROP_AT_PLACE, (uint16_t)record->tenant_drop.place);
        mkv_store_u32(target + TENANT_DROP_AT_ID, record->tenant_drop.id);
        break;
    }
}

/* Reads a record of a known kind; its fields may hold anything. */
static void load_record(const uint8_t *source, struct mkv_record *record) {
    *record = (struct mkv_record){.kind = (enum mkv_record_kind)source[RECORD_AT_KIND]};
    switch (record->kind) {
    case MKV_RECORD_PUT:
        record->put.tier = source[PUT_AT_TIER];
        record->put.block_flags = mkv_load_u16(source + PUT_AT_BLOCK_FLAGS);
        record->put.tenant = mkv_load_u32(source + PUT_AT_TENANT);
        record->put.tag = mkv_load_u64(source + PUT_AT_TAG);
        record->put.slot.index = mkv_load_u32(source + PUT_AT_SLOT);
        record->put.length = mkv_load_u32(source + PUT_AT_LENGTH);
        record->put.generation.value = mkv_load_u64(source + PUT_AT_GENERATION);
        memcpy(record->put.root.bytes, source + PUT_AT_ROOT, sizeof record->put.root.bytes);
        record->put.expiry_s = mkv_load_u32(source + PUT_AT_EXPIRY);
        break;
    case MKV_RECORD_DROP:
        record->drop.cause = (enum mkv_drop_cause)source[DROP_AT_CAUSE];
        record->drop.retired = mkv_load_u16(source + DROP_AT_FLAGS) == DROP_RETIRED;
        record->drop.slot.index = mkv_load_u32(source + DROP_AT_SLOT);
        record->drop.generation.value = mkv_load_u64(source + DROP_AT_GENERATION);
        break;
    case MKV_RECORD_EXTENT:
        record->extent.span = source[EXTENT_AT_SPAN];
        record->extent.extent.index = mkv_load_u32(source + EXTENT_AT_EXTENT);
        record->extent.slot_units = mkv_load_u32(source + EXTENT_AT_SLOT_UNITS);
        record->extent.page_first = mkv_load_u32(source + EXTENT_AT_PAGE_FIRST);
        record->extent.page_count = mkv_load_u32(source + EXTENT_AT_PAGE_COUNT);
        record->extent.released_page_first = mkv_load_u32(source + EXTENT_AT_RELEASED_PAGE_FIRST);
        record->extent.released_page_count = mkv_load_u32(source + EXTENT_AT_RELEASED_PAGE_COUNT);
        break;
    case MKV_RECORD_RETIRE:
        record->retire.slot.index = mkv_load_u32(source + RETIRE_AT_SLOT);
        break;
    case MKV_RECORD_EXPIRY:
        record->expiry.slot.index = mkv_load_u32(source + EXPIRY_AT_SLOT);
        record->expiry.generation.value = mkv_load_u64(source + EXPIRY_AT_GENERATION);
        record->expiry.expiry_s = mkv_load_u32(source + EXPIRY_AT_EXPIRY);
        break;
    case MKV_RECORD_TENANT:
        record->tenant.name_bytes = source[TENANT_AT_NAME_BYTES];
        record->tenant.place = mkv_load_u16(source + TENANT_AT_PLACE);
        record->tenant.id = mkv_load_u32(source + TENANT_AT_ID);
        memcpy(record->tenant.name, source + TENANT_AT_NAME, sizeof record->tenant.name);
        break;
    case MKV_RECORD_TENANT_DROP:
        record->tenant_drop.place = mkv_load_u16(source + TENANT_DROP_AT_PLACE);
        record->tenant_drop.id = mkv_load_u32(source + TENANT_DROP_AT_ID);
        break;
    }
}

void mkv_journal_block_begin(uint8_t *unit) {
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, magic, sizeof magic);
}

bool mkv_journal_block_append(uint8_t *unit, const struct mkv_record *record) {
    MKV_ASSERT(record_valid(record));
    const uint32_t bytes = mkv_record_bytes(record->kind);
    if (bytes > mkv_journal_block_room(unit)) {
        return false;
    }
    const uint32_t offset = mkv_load_u32(unit + AT_RECORD_BYTES);
    const uint32_t count = mkv_load_u32(unit + AT_RECORD_COUNT);
    MKV_ASSERT(count < MKV_JOURNAL_RECORDS_MAX);
    store_record(unit + MKV_JOURNAL_HEADER_BYTES + offset, record);
    mkv_store_u32(unit + AT_RECORD_BYTES, offset + bytes);
    mkv_store_u32(unit + AT_RECORD_COUNT, count + 1);
    return true;
}

uint32_t mkv_journal_block_room(const uint8_t *unit) {
    const uint32_t used = mkv_load_u32(unit + AT_RECORD_BYTES);
    MKV_ASSERT(used <= MKV_JOURNAL_RECORD_BYTES_MAX);
    return MKV_JOURNAL_RECORD_BYTES_MAX - used;
}

uint32_t mkv_journal_block_record_count(const uint8_t *unit) {
    const uint32_t count = mkv_load_u32(unit + AT_RECORD_COUNT);
    MKV_ASSERT(count <= MKV_JOURNAL_RECORDS_MAX);
    return count;
}

/* Whether the header's figures can belong to a block of this format. */
static bool header_valid(const struct mkv_journal_header *header) {
    return header->sequence.value >= 1 && header->epoch <= MKV_EPOCH_MAX &&
           header->flushed_sequence.value < header->sequence.value &&
           header->record_count <= MKV_JOURNAL_RECORDS_MAX &&
           header->record_bytes <= MKV_JOURNAL_RECORD_BYTES_MAX &&
           header->record_bytes >= header->record_count * MKV_RECORD_DROP_BYTES &&
           header->record_bytes <= header->record_count * MKV_RECORD_TENANT_BYTES;
}

uint64_t mkv_journal_block_seal(uint8_t *unit, const struct mkv_journal_header *header) {
    struct mkv_journal_header own = *header;
    own.record_count = mkv_journal_block_record_count(unit);
    own.record_bytes = MKV_JOURNAL_RECORD_BYTES_MAX - mkv_journal_block_room(unit);
    MKV_ASSERT(header_valid(&own));
    MKV_ASSERT(memcmp(unit + AT_MAGIC, magic, sizeof magic) == 0);
    memcpy(unit + AT_DRIVE_UUID, own.drive_uuid.bytes, sizeof own.drive_uuid.bytes);
    mkv_store_u64(unit + AT_SEQUENCE, own.sequence.value);
    mkv_store_u32(unit + AT_EPOCH, own.epoch);
    mkv_store_u32(unit + AT_RING_POSITION, own.ring_position);
    mkv_store_u64(unit + AT_CHAIN, own.chain);
    mkv_store_u64(unit + AT_FLUSHED_SEQUENCE, own.flushed_sequence.value);
    mkv_store_u64(unit + AT_WALL_MS, own.wall_ms);
    const uint64_t checksum = unit_checksum(unit);
    mkv_store_u64(unit + AT_CHECKSUM, checksum);
    return checksum;
}

enum mkv_err mkv_journal_block_decode(const uint8_t *unit, struct mkv_journal_header *header) {
    *header = (struct mkv_journal_header){0};
    if (memcmp(unit + AT_MAGIC, magic, sizeof magic) != 0) {
        return MKV_CORRUPT_JOURNAL_BLOCK;
    }
    header->checksum = mkv_load_u64(unit + AT_CHECKSUM);
    if (header->checksum != unit_checksum(unit)) {
        return MKV_CORRUPT_JOURNAL_BLOCK;
    }
    memcpy(header->drive_uuid.bytes, unit + AT_DRIVE_UUID, sizeof header->drive_uuid.bytes);
    header->sequence.value = mkv_load_u64(unit + AT_SEQUENCE);
    header->epoch = mkv_load_u32(unit + AT_EPOCH);
    header->ring_position = mkv_load_u32(unit + AT_RING_POSITION);
    header->chain = mkv_load_u64(unit + AT_CHAIN);
    header->flushed_sequence.value = mkv_load_u64(unit + AT_FLUSHED_SEQUENCE);
    header->wall_ms = mkv_load_u64(unit + AT_WALL_MS);
    header->record_count = mkv_load_u32(unit + AT_RECORD_COUNT);
    header->record_bytes = mkv_load_u32(unit + AT_RECORD_BYTES);
    return header_valid(header) ? MKV_OK : MKV_CORRUPT_JOURNAL_BLOCK;
}

bool mkv_journal_block_names(const uint8_t *unit, uint64_t sequence) {
    return mkv_load_u64(unit + AT_SEQUENCE) == sequence;
}

bool mkv_journal_block_is_torn(const uint8_t *unit) {
    return memcmp(unit + AT_MAGIC, magic, sizeof magic) == 0 &&
           mkv_load_u64(unit + AT_CHECKSUM) != unit_checksum(unit);
}

bool mkv_journal_block_next(const uint8_t *unit, uint32_t *cursor, struct mkv_record *record,
                            enum mkv_err *err) {
    const uint32_t bytes_total = mkv_load_u32(unit + AT_RECORD_BYTES);
    const uint32_t offset = *cursor & CURSOR_OFFSET_MASK;
    const uint32_t passed = *cursor >> CURSOR_OFFSET_BITS;
    *err = MKV_CORRUPT_JOURNAL_RECORD;
    if (bytes_total > MKV_JOURNAL_RECORD_BYTES_MAX || offset > bytes_total) {
        return false;
    }
    if (offset == bytes_total) {
        const bool whole = passed == mkv_load_u32(unit + AT_RECORD_COUNT);
        *err = whole ? MKV_OK : MKV_CORRUPT_JOURNAL_RECORD;
        return false;
    }
    const uint8_t *source = unit + MKV_JOURNAL_HEADER_BYTES + offset;
    const uint32_t bytes = record_bytes_of(source[RECORD_AT_KIND]);
    if (bytes == 0 || bytes > bytes_total - offset) {
        return false;
    }
    load_record(source, record);
    if (!record_valid(record) ||
        (record->kind == MKV_RECORD_DROP && mkv_load_u16(source + DROP_AT_FLAGS) > DROP_RETIRED)) {
        return false;
    }
    *cursor = ((passed + 1) << CURSOR_OFFSET_BITS) | (offset + bytes);
    *err = MKV_OK;
    return true;
}
