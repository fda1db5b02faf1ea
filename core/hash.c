/* SPDX-License-Identifier: Apache-2.0 */

/* GCC unrolls the loop over the lanes of a stripe at this level alone; sums take a third less time
 * then. Clang does so by itself. It stands before the includes, so that it holds for all that is
 * inlined. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

#include "core/hash.h"

#include <string.h>

/* Vectors of 32 bytes where the processor has them, which halves the time of a sum; programs are
 * built for processors that have those of 16 alone. The parts of XXH3 that this is made of are as
 * in version 0.8.1 of its header, so another one goes without. Coverage is of what all have. */
#if defined(__x86_64__) && !defined(MKV_COVERAGE)
#include <immintrin.h>
#define XXH_DISPATCH_AVX2 1
#define XXH_ACC_ALIGN 32 /* such vectors are loaded from its accumulators */
#define XXH_TARGET_AVX2 __attribute__((target("avx2")))
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/bytes.h"

#if defined(XXH_DISPATCH_AVX2) && XXH_VERSION_NUMBER == 801
/* Of more than XXH3_MIDSIZE_MAX bytes. */
__attribute__((noinline)) XXH_TARGET_AVX2 static uint64_t hash_64_wide(const void *bytes,
                                                                       size_t byte_count) {
    return XXH3_hashLong_64b_internal(bytes, byte_count, XXH3_kSecret, sizeof XXH3_kSecret,
                                      XXH3_accumulate_512_avx2, XXH3_scrambleAcc_avx2);
}

static bool is_wide(size_t byte_count) {
    return byte_count > XXH3_MIDSIZE_MAX && __builtin_cpu_supports("avx2");
}
#else
#define is_wide(byte_count) false
#define hash_64_wide XXH3_64bits
#endif

uint64_t mkv_hash_64(const void *bytes, size_t byte_count) {
    return is_wide(byte_count) ? hash_64_wide(bytes, byte_count) : XXH3_64bits(bytes, byte_count);
}

uint64_t mkv_hash_64_seeded(const void *bytes, size_t byte_count, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, byte_count, seed);
}

struct mkv_root mkv_hash_128(const void *bytes, size_t byte_count) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, byte_count));
    struct mkv_root root;
    _Static_assert(sizeof root.bytes == sizeof canonical.digest, "a root is 128 bits");
    memcpy(root.bytes, canonical.digest, sizeof root.bytes);
    return root;
}

uint64_t mkv_key_tag(uint32_t tenant, const uint8_t *key, uint32_t key_bytes) {
    MKV_ASSERT(key_bytes >= 1);
    MKV_ASSERT(key_bytes <= MKV_KEY_BYTES_MAX);
    return XXH3_64bits_withSeed(key, key_bytes, tenant);
}

uint32_t mkv_chunk_bytes(uint32_t length) {
    MKV_ASSERT(length <= MKV_BLOCK_BYTES_MAX);
    uint32_t chunk_bytes = MKV_CHUNK_BYTES_MIN;
    while (mkv_divide_up_u64(length, chunk_bytes) > MKV_CHUNKS_MAX) {
        chunk_bytes *= 2;
    }
    return chunk_bytes;
}

uint32_t mkv_chunk_count(uint32_t length) {
    return (uint32_t)mkv_divide_up_u64(length, mkv_chunk_bytes(length));
}

void mkv_chunk_sums(const uint8_t *payload, uint32_t length, uint64_t *sums) {
    const uint32_t chunk_bytes = mkv_chunk_bytes(length);
    uint32_t index = 0;
    for (uint32_t offset = 0; offset < length; offset += chunk_bytes) {
        const size_t bytes = (size_t)mkv_min_u64(chunk_bytes, length - offset);
        sums[index++] = mkv_hash_64(payload + offset, bytes);
    }
    MKV_ASSERT(index == mkv_chunk_count(length));
}

struct mkv_root mkv_root_of_sums(uint32_t length, const uint64_t *sums) {
    uint8_t bytes[8 + 8 * MKV_CHUNKS_MAX];
    const uint32_t count = mkv_chunk_count(length);
    mkv_store_u64(bytes, length);
    for (uint32_t index = 0; index < count; index++) {
        mkv_store_u64(bytes + 8 + 8 * index, sums[index]);
    }
    return mkv_hash_128(bytes, 8 + 8 * (size_t)count);
}

bool mkv_root_equal(struct mkv_root a, struct mkv_root b) {
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}
