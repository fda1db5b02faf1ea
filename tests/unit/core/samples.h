/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the format share: a seeded generator, and one example of each structure. The
 * examples are those of docs/on-disk-format.md, so their fields are all different from each other
 * and from 0: a swapped or forgotten field shows.
 *
 * Not responsible for: encoding anything; the tests call the encoders.
 */
#ifndef MKV_TESTS_UNIT_CORE_SAMPLES_H
#define MKV_TESTS_UNIT_CORE_SAMPLES_H

#include "core/checkpoint_page.h"
#include "core/journal_block.h"
#include "core/manifest.h"
#include "core/slot_header.h"
#include "core/superblock.h"

/* SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed everywhere. */
struct sample_random {
    uint64_t state;
};
uint64_t sample_random_next(struct sample_random *source);
/* 0 ... bound - 1; the bias of a 64-bit modulo is of no account here. */
uint64_t sample_random_below(struct sample_random *source, uint64_t bound);
void sample_random_fill(struct sample_random *source, uint8_t *target, size_t byte_count);

/* A unit of its own on the heap, so that a sanitizer sees every byte beyond it. The caller frees
 * it. */
uint8_t *sample_unit_new(void);

/* Bytes first, first + 1, ... */
struct mkv_uuid sample_uuid(uint8_t first);

struct mkv_superblock sample_superblock(void);

#define SAMPLE_RECORD_COUNT 7u
#define SAMPLE_RECORD_BYTES (32u + 64u + 24u + 24u + 24u + 96u + 24u)
struct mkv_record sample_record(uint32_t index);
struct mkv_journal_header sample_journal_header(void);
/* Begins, fills with the sample's records, and seals; returns the checksum. */
uint64_t sample_journal_unit(uint8_t *unit);

/* Byte i of every sample payload is i modulo 251. */
void sample_payload_fill(uint8_t *payload, uint32_t length);

/* A header with what it points to. Copy it only by pointer: header.key and header.sums point into
 * the struct itself. */
struct sample_slot {
    struct mkv_slot_header header;
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint8_t sums[MKV_CHUNKS_MAX * 8];
};
#define SAMPLE_SLOT_LENGTH 70000u
#define SAMPLE_SLOT_INLINE_LENGTH 11u
/* The header of a sample payload of that length, under the key "kv/layer-00/block-0001". */
void sample_slot_init(struct sample_slot *slot, uint32_t length);

struct mkv_checkpoint_head sample_checkpoint_head(void);
struct mkv_checkpoint_page sample_checkpoint_page(void);
#define SAMPLE_ENTRY_COUNT 3u
/* Entry `index` of the sample page stands at sample_entry_index(index); all others are free. */
uint32_t sample_entry_index(uint32_t index);
struct mkv_page_entry sample_entry(uint32_t index);
void sample_checkpoint_page_unit(uint8_t *unit);

struct mkv_manifest sample_manifest(void);

#endif
