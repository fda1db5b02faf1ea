/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks and bytes by tenant and by what their keys begin with: a key counts under its bytes up to
 * and with its `depth`-th delimiter, one of : / @ |, or its last one if it has fewer.
 *
 *   depth 1   llama/8b/0001 -> llama/      depth 2   llama/8b/0001 -> llama/8b/
 *             0001          -> (nothing)             llama/0001    -> llama/
 *
 * Invariants
 *  I1  The sum over all rows and `other` is all that was added.
 *  I2  There are at most MKV_PREFIXES_MAX rows; what would need another one counts in `other`.
 *  I3  A prefix has at most MKV_PREFIX_BYTES_MAX bytes; a longer one ends at the delimiter before.
 *
 * Not responsible for: reading the keys.
 */
#ifndef MKV_ADMIN_PREFIXES_H
#define MKV_ADMIN_PREFIXES_H

#include "core/base.h"

#define MKV_PREFIXES_MAX 1000u
#define MKV_PREFIX_BYTES_MAX 128u
#define MKV_PREFIX_DEPTH_MAX 16u

struct mkv_prefix {
    char tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint32_t byte_count;
    uint8_t bytes[MKV_PREFIX_BYTES_MAX];
    uint64_t blocks;
    uint64_t block_bytes;
    uint64_t segmented; /* values above one block: their segments are not in block_bytes */
};

#define MKV_PREFIXES_PLACES 4096u
struct mkv_prefixes {
    uint32_t depth;
    uint32_t count;
    struct mkv_prefix rows[MKV_PREFIXES_MAX];
    struct mkv_prefix other;
    uint16_t places[MKV_PREFIXES_PLACES]; /* by hash: a row and 1; 0 none */
};

void mkv_prefixes_init(struct mkv_prefixes *prefixes, uint32_t depth);
/* Counts a block of a tenant. */
void mkv_prefixes_add(struct mkv_prefixes *prefixes, const char *tenant, const uint8_t *key,
                      uint32_t key_bytes, uint64_t block_bytes, bool segmented);
/* Puts the rows with the most bytes first. Nothing can be added behind it. */
void mkv_prefixes_sort(struct mkv_prefixes *prefixes);
/* How many bytes of a key are its prefix. */
uint32_t mkv_prefix_bytes(uint32_t depth, const uint8_t *key, uint32_t key_bytes);

#endif
