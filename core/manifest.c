/* SPDX-License-Identifier: Apache-2.0 */
#include "core/manifest.h"

#include <string.h>

#include "core/bytes.h"

/* Offsets of the fields, in the order of the table in the header. */
enum {
    AT_LENGTH = 0,
    AT_SEGMENT_BYTES = 8,
    AT_SEGMENT_COUNT = 12,
    AT_ID = 16,
    AT_ROOT = 24,
    AT_END = 40,
};

_Static_assert(AT_END == MKV_MANIFEST_BYTES, "the fields fill a manifest");
_Static_assert(MKV_MANIFEST_BYTES <= MKV_INLINE_BYTES_MAX, "a manifest is inline");

/* I2 and the bounds. No product wraps: it is below 2^41. */
static bool manifest_valid(const struct mkv_manifest *manifest) {
    if (manifest->segment_bytes < 1 || manifest->segment_bytes > MKV_BLOCK_BYTES_MAX ||
        manifest->segment_count < 1 || manifest->segment_count > MKV_SEGMENTS_MAX) {
        return false;
    }
    const uint64_t length_max = (uint64_t)manifest->segment_count * manifest->segment_bytes;
    return manifest->length <= length_max &&
           manifest->length > length_max - manifest->segment_bytes;
}

void mkv_manifest_encode(const struct mkv_manifest *manifest, uint8_t *bytes) {
    MKV_ASSERT(manifest_valid(manifest));
    mkv_store_u64(bytes + AT_LENGTH, manifest->length);
    mkv_store_u32(bytes + AT_SEGMENT_BYTES, manifest->segment_bytes);
    mkv_store_u32(bytes + AT_SEGMENT_COUNT, manifest->segment_count);
    mkv_store_u64(bytes + AT_ID, manifest->id);
    memcpy(bytes + AT_ROOT, manifest->root.bytes, sizeof manifest->root.bytes);
}

bool mkv_manifest_decode(const uint8_t *bytes, struct mkv_manifest *manifest) {
    *manifest = (struct mkv_manifest){
        .length = mkv_load_u64(bytes + AT_LENGTH),
        .segment_bytes = mkv_load_u32(bytes + AT_SEGMENT_BYTES),
        .segment_count = mkv_load_u32(bytes + AT_SEGMENT_COUNT),
        .id = mkv_load_u64(bytes + AT_ID),
    };
    memcpy(manifest->root.bytes, bytes + AT_ROOT, sizeof manifest->root.bytes);
    return manifest_valid(manifest);
}

uint32_t mkv_segment_key(const uint8_t *key, uint32_t key_bytes, uint32_t index, uint64_t id,
                         uint8_t *target) {
    MKV_ASSERT(key_bytes >= 1);
    MKV_ASSERT(key_bytes <= MKV_KEY_BYTES_MAX - MKV_SEGMENT_KEY_SUFFIX_BYTES);
    MKV_ASSERT(index < MKV_SEGMENTS_MAX);
    memcpy(target, key, key_bytes);
    uint8_t *suffix = target + key_bytes;
    suffix[0] = 0;
    mkv_store_u32(suffix + 1, index);
    mkv_store_u64(suffix + 5, id);
    return key_bytes + MKV_SEGMENT_KEY_SUFFIX_BYTES;
}
