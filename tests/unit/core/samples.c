/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/samples.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/io.h"

uint64_t sample_random_next(struct sample_random *source) {
    source->state += 0x9e3779b97f4a7c15ull;
    uint64_t value = source->state;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

uint64_t sample_random_below(struct sample_random *source, uint64_t bound) {
    return sample_random_next(source) % bound;
}

void sample_random_fill(struct sample_random *source, uint8_t *target, size_t byte_count) {
    for (size_t index = 0; index < byte_count; index++) {
        target[index] = (uint8_t)sample_random_next(source);
    }
}

uint8_t *sample_unit_new(void) {
    uint8_t *unit = malloc(MKV_UNIT_BYTES);
    if (unit == NULL) {
        abort();
    }
    /* An encoder that forgets a byte leaves this one, and its golden vector differs. */
    memset(unit, 0xa5, MKV_UNIT_BYTES);
    return unit;
}

struct mkv_uuid sample_uuid(uint8_t first) {
    struct mkv_uuid uuid;
    for (uint32_t index = 0; index < sizeof uuid.bytes; index++) {
        uuid.bytes[index] = (uint8_t)(first + index);
    }
    return uuid;
}

struct mkv_superblock sample_superblock(void) {
    struct mkv_superblock superblock = {
        .version = MKV_FORMAT_VERSION,
        .flags = MKV_SUPERBLOCK_CLEAN,
        .store_uuid = sample_uuid(0x10),
        .drive_uuid = sample_uuid(0x20),
        .sequence = 5,
        .epoch = 3,
        .checkpoint_side = 1,
        .journal_sequence = {1234},
        .chain_anchor = 0x1122334455667788,
        .generation_counter = 9876,
        .wall_ms = 1700000000123,
        .checkpoint_number = 4,
        .checkpoint_pages = 2,
        .geometry = {.capacity_units = 1024,
                     .ring_blocks = 64,
                     .tenant_units = 2,
                     .page_count = 25,
                     .directory_units = 20,
                     .extent_units = 128,
                     .extent_count = 6},
        .drive_set = {.version = 7,
                      .version_before = 5,
                      .count = 2,
                      .members = {{sample_uuid(0x20), 3}, {sample_uuid(0x30), 256}}},
    };
    return superblock;
}

struct mkv_record sample_record(uint32_t index) {
    switch (index) {
    case 0:
        return (struct mkv_record){
            .kind = MKV_RECORD_EXTENT,
            .extent = {.extent = {2},
                       .span = 3,
                       .slot_units = 19,
                       .page_first = 4,
                       .page_count = 1,
                       .released_page_first = 9,
                       .released_page_count = 3},
        };
    case 1:
        return (struct mkv_record){
            .kind = MKV_RECORD_PUT,
            .put = {.tier = 1,
                    .block_flags = MKV_BLOCK_SEGMENT,
                    .tenant = 7,
                    .tag = 0x0123456789abcdef,
                    .slot = {673},
                    .length = 70000,
                    .generation = mkv_generation_make(3, 9877),
                    .root = {{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa,
                              0xab, 0xac, 0xad, 0xae, 0xaf}},
                    .expiry_s = 1700003600},
        };
    case 3:
        return (struct mkv_record){.kind = MKV_RECORD_RETIRE, .retire = {.slot = {77}}};
    case 4:
        return (struct mkv_record){
            .kind = MKV_RECORD_EXPIRY,
            .expiry = {.slot = {673},
                       .generation = mkv_generation_make(3, 9877),
                       .expiry_s = 1700007200},
        };
    case 5:
        return (struct mkv_record){
            .kind = MKV_RECORD_TENANT,
            .tenant = {.id = 9, .place = 4, .name_bytes = 5, .name = "batch"},
        };
    case 6:
        return (struct mkv_record){.kind = MKV_RECORD_TENANT_DROP,
                                   .tenant_drop = {.id = 8, .place = 3}};
    default:
        return (struct mkv_record){
            .kind = MKV_RECORD_DROP,
            .drop = {.cause = MKV_DROP_REPLACE,
                     .retired = true,
                     .slot = {5},
                     .generation = mkv_generation_make(2, 9000)},
        };
    }
}

struct mkv_journal_header sample_journal_header(void) {
    return (struct mkv_journal_header){
        .drive_uuid = sample_uuid(0x20),
        .sequence = {1235},
        .epoch = 3,
        .ring_position = 19,
        .chain = 0x8877665544332211,
        .flushed_sequence = {1233},
        .wall_ms = 1700000000456,
    };
}

uint64_t sample_journal_unit(uint8_t *unit) {
    const struct mkv_journal_header header = sample_journal_header();
    mkv_journal_block_begin(unit);
    for (uint32_t index = 0; index < SAMPLE_RECORD_COUNT; index++) {
        const struct mkv_record record = sample_record(index);
        MKV_ASSERT(mkv_journal_block_append(unit, &record));
    }
    return mkv_journal_block_seal(unit, &header);
}

void sample_payload_fill(uint8_t *payload, uint32_t length) {
    for (uint32_t index = 0; index < length; index++) {
        payload[index] = (uint8_t)(index % 251);
    }
}

void sample_slot_init(struct sample_slot *slot, uint32_t length) {
    static const char key[] = "kv/layer-00/block-0001";
    memset(slot, 0, sizeof *slot);
    memcpy(slot->key, key, sizeof key - 1);
    uint8_t *payload = malloc(length + (size_t)1);
    if (payload == NULL) {
        abort();
    }
    sample_payload_fill(payload, length);
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(payload, length, sums);
    free(payload);
    for (uint32_t index = 0; index < mkv_chunk_count(length); index++) {
        mkv_store_u64(slot->sums + 8 * index, sums[index]);
    }
    slot->header = (struct mkv_slot_header){
        .drive_uuid = sample_uuid(0x20),
        .slot = {673},
        .tenant = 7,
        .generation = mkv_generation_make(3, 9877),
        .length = length,
        .block_flags = MKV_BLOCK_SEGMENT,
        .root = mkv_root_of_sums(length, sums),
        .expiry_s = 1700003600,
        .key_bytes = sizeof key - 1,
        .key = slot->key,
        .sums = slot->sums,
    };
}

struct mkv_checkpoint_head sample_checkpoint_head(void) {
    return (struct mkv_checkpoint_head){
        .drive_uuid = sample_uuid(0x20),
        .checkpoint_number = 4,
        .journal_sequence = {1234},
        .generation_counter = 9876,
        .page_count = 25,
        .tenant_units = 2,
    };
}

struct mkv_checkpoint_page sample_checkpoint_page(void) {
    return (struct mkv_checkpoint_page){
        .drive_uuid = sample_uuid(0x20),
        .checkpoint_number = 4,
        .page = 6,
        .extent = {3},
        .slot_units = 19,
        .span = 3,
        .page_in_extent = 1,
        .stamp = {1240},
    };
}

uint32_t sample_entry_index(uint32_t index) {
    static const uint32_t places[SAMPLE_ENTRY_COUNT] = {0, 1, MKV_PAGE_SLOTS - 1};
    MKV_ASSERT(index < SAMPLE_ENTRY_COUNT);
    return places[index];
}

struct mkv_page_entry sample_entry(uint32_t index) {
    switch (index) {
    case 0:
        return (struct mkv_page_entry){.tag = 0x0123456789abcdef,
                                       .tenant = 7,
                                       .generation_low = 9877,
                                       .expiry_s = 1700003600,
                                       .length_units = 18,
                                       .state = MKV_ENTRY_LIVE,
                                       .block_flags = MKV_BLOCK_SEGMENT,
                                       .tier = 1};
    case 1:
        return (struct mkv_page_entry){.tag = 0xfedcba9876543210,
                                       .tenant = 8,
                                       .generation_low = 0xfffffffe,
                                       .length_units = MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES,
                                       .state = MKV_ENTRY_LIVE,
                                       .block_flags = MKV_BLOCK_MANIFEST,
                                       .tier = MKV_TIER_MAX};
    default:
        return (struct mkv_page_entry){.state = MKV_ENTRY_RETIRED};
    }
}

void sample_checkpoint_page_unit(uint8_t *unit) {
    const struct mkv_checkpoint_page page = sample_checkpoint_page();
    mkv_checkpoint_page_begin(&page, unit);
    for (uint32_t index = 0; index < SAMPLE_ENTRY_COUNT; index++) {
        const struct mkv_page_entry entry = sample_entry(index);
        mkv_checkpoint_page_store(unit, sample_entry_index(index), &entry);
    }
    mkv_checkpoint_page_seal(unit);
}

struct mkv_manifest sample_manifest(void) {
    return (struct mkv_manifest){
        .length = 100000000,
        .segment_bytes = MKV_BLOCK_BYTES_MAX,
        .segment_count = 3,
        .id = 0x0a0b0c0d0e0f1011,
        .root = {{0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc,
                  0xcd, 0xce, 0xcf}},
    };
}
