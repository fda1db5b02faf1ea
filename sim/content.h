/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What simulated clients store: a small set of keys, and for every key any number of versions,
 * whose bytes follow from key and version, so that nothing needs to be kept to check them.
 *
 *   payload word i (8 bytes, little endian) = base(key, version) + i * odd constant
 *
 * Some keys share one tag: XXH3 multiplies (first 8 bytes ^ secret) with (next 8 bytes ^ secret)
 * for keys of 17 to 128 bytes, so where the first factor is 0 the next 8 bytes leave no trace.
 * Only with them does the core's handling of equal tags run at all.
 *
 * Invariants
 *  I1  Two versions of a key differ in length or bytes; so do any versions of two keys, unless both
 *      are empty.
 *
 * Not responsible for: which version is current (model.h).
 */
#ifndef MKV_SIM_CONTENT_H
#define MKV_SIM_CONTENT_H

#include "core/base.h"
#include "sim/memory.h"

#define MKV_CONTENT_KEYS_MAX 64u

struct mkv_content_key {
    uint8_t bytes[MKV_KEY_BYTES_MAX];
    uint32_t byte_count;
    uint64_t tag;
};

struct mkv_content {
    uint64_t salt;
    uint32_t key_count;
    uint32_t length_max;
    struct mkv_content_key *keys;
};

/* Makes `key_count` keys of at most `key_bytes_max` bytes, of which the first `colliding` have one
 * tag. No payload is longer than `length_max`. */
void mkv_content_init(struct mkv_content *content, struct mkv_memory *memory, uint64_t salt,
                      uint32_t key_count, uint32_t colliding, uint32_t key_bytes_max,
                      uint32_t length_max);
/* Makes the keys anew, each of `key_bytes_max` bytes or up to a third less. */
void mkv_content_lengthen(struct mkv_content *content, uint32_t key_bytes_max);
/* The index of a key, or MKV_NONE_U32. */
uint32_t mkv_content_find(const struct mkv_content *content, const uint8_t *key,
                          uint32_t key_bytes);
/* Bytes of a version. Versions start at 1. */
uint32_t mkv_content_length(const struct mkv_content *content, uint32_t key, uint32_t version);
void mkv_content_fill(const struct mkv_content *content, uint32_t key, uint32_t version,
                      uint64_t offset, uint8_t *target, size_t byte_count);
/* Whether `bytes` are those of the version from `offset` on. */
bool mkv_content_equal(const struct mkv_content *content, uint32_t key, uint32_t version,
                       uint64_t offset, const uint8_t *bytes, size_t byte_count);

#endif
