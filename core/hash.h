/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashes of the format and of placement, all of the XXH3 family (xxhash 0.8, which fixed the
 * algorithm's output for ever). One place, so that one file includes the library.
 *
 * A root is the XXH3-128 of {length u64, chunk sums u64 ...}, little endian: it names the content
 * of a block, so that two sides can agree on it without moving it.
 *
 * Not responsible for: defence against an adversary who chooses content; sums find faults of
 * hardware and software, not forgeries.
 */
#ifndef MKV_CORE_HASH_H
#define MKV_CORE_HASH_H

#include "core/base.h"

/* XXH3-64 with seed 0. */
uint64_t mkv_hash_64(const void *bytes, size_t byte_count);
/* XXH3-64 with a seed. */
uint64_t mkv_hash_64_seeded(const void *bytes, size_t byte_count, uint64_t seed);
/* XXH3-128 with seed 0, canonical byte order. */
struct mkv_root mkv_hash_128(const void *bytes, size_t byte_count);

/* The tag of a key in the slot table: XXH3-64 of the key seeded with the tenant's id. */
uint64_t mkv_key_tag(uint32_t tenant, const uint8_t *key, uint32_t key_bytes);

/* Bytes of a chunk for a payload of `length` bytes: 64 KiB, doubled until at most 256 chunks.
 * `length` is at most MKV_BLOCK_BYTES_MAX. */
uint32_t mkv_chunk_bytes(uint32_t length);
/* Chunks of a payload: 0 for an empty one. */
uint32_t mkv_chunk_count(uint32_t length);
/* Sums of the chunks of `payload`, `mkv_chunk_count(length)` of them into `sums`. */
void mkv_chunk_sums(const uint8_t *payload, uint32_t length, uint64_t *sums);
/* The root of a payload from its sums. */
struct mkv_root mkv_root_of_sums(uint32_t length, const uint64_t *sums);
bool mkv_root_equal(struct mkv_root a, struct mkv_root b);

#endif
