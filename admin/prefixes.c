/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/prefixes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

_Static_assert(MKV_PREFIXES_MAX < MKV_PREFIXES_PLACES, "a probe ends");
_Static_assert(MKV_PREFIXES_MAX < UINT16_MAX, "a place holds a row and 1");

void mkv_prefixes_init(struct mkv_prefixes *prefixes, uint32_t depth) {
    MKV_ASSERT(depth <= MKV_PREFIX_DEPTH_MAX);
    memset(prefixes, 0, sizeof *prefixes);
    prefixes->depth = depth;
}

uint32_t mkv_prefix_bytes(uint32_t depth, const uint8_t *key, uint32_t key_bytes) {
    const uint32_t end = (uint32_t)mkv_min_u64(key_bytes, MKV_PREFIX_BYTES_MAX);
    uint32_t bytes = 0;
    uint32_t delimiters = 0;
    for (uint32_t i = 0; i < end && delimiters < depth; i++) {
        if (key[i] == ':' || key[i] == '/' || key[i] == '@' || key[i] == '|') {
            delimiters++;
            bytes = i + 1;
        }
    }
    return bytes;
}

/* NULL when there is no room for another row. */
static struct mkv_prefix *row_of(struct mkv_prefixes *prefixes, const char *tenant,
                                 const uint8_t *bytes, uint32_t byte_count) {
    const uint64_t seed = mkv_hash_64(tenant, strlen(tenant));
    uint64_t place = mkv_hash_64_seeded(bytes, byte_count, seed) % MKV_PREFIXES_PLACES;
    while (prefixes->places[place] != 0) {
        struct mkv_prefix *row = &prefixes->rows[prefixes->places[place] - 1];
        if (row->byte_count == byte_count && memcmp(row->bytes, bytes, byte_count) == 0 &&
            strcmp(row->tenant, tenant) == 0) {
            return row;
        }
        place = (place + 1) % MKV_PREFIXES_PLACES;
    }
    if (prefixes->count == MKV_PREFIXES_MAX) {
        return NULL;
    }
    struct mkv_prefix *row = &prefixes->rows[prefixes->count++];
    prefixes->places[place] = (uint16_t)prefixes->count;
    snprintf(row->tenant, sizeof row->tenant, "%s", tenant);
    memcpy(row->bytes, bytes, byte_count);
    row->byte_count = byte_count;
    return row;
}

void mkv_prefixes_add(struct mkv_prefixes *prefixes, const char *tenant, const uint8_t *key,
                      uint32_t key_bytes, uint64_t block_bytes, bool segmented) {
    const uint32_t byte_count = mkv_prefix_bytes(prefixes->depth, key, key_bytes);
    struct mkv_prefix *row = row_of(prefixes, tenant, key, byte_count);
    row = row != NULL ? row : &prefixes->other;
    row->blocks++;
    row->block_bytes += block_bytes;
    row->segmented += segmented;
}

static int larger(const void *left, const void *right) {
    const struct mkv_prefix *a = left;
    const struct mkv_prefix *b = right;
    if (a->block_bytes != b->block_bytes) {
        return a->block_bytes < b->block_bytes ? 1 : -1;
    }
    const int by_tenant = strcmp(a->tenant, b->tenant);
    if (by_tenant != 0) {
        return by_tenant;
    }
    const int by_bytes = memcmp(a->bytes, b->bytes, mkv_min_u64(a->byte_count, b->byte_count));
    return by_bytes != 0 ? by_bytes
                         : (a->byte_count > b->byte_count) - (a->byte_count < b->byte_count);
}

void mkv_prefixes_sort(struct mkv_prefixes *prefixes) {
    qsort(prefixes->rows, prefixes->count, sizeof prefixes->rows[0], larger);
}
