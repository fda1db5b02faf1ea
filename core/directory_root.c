/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory_root.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"

/* Counts that grow one by one never get so far: a greater one on a drive was never written there,
 * and could not be counted on from. */
#define COUNT_MAX (1ull << 62)

enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_CHECKED = 16,
    AT_DRIVE_UUID = 16,
    AT_COMMIT = 32,
    AT_ROOT_PAGE = 40,
    AT_ROOT_CHECKSUM_LOW = 44,
    AT_APPLIED_SEQUENCE = 48,
    AT_LISTED_GENERATION = 56,
    AT_ENTRY_COUNT = 64,
    AT_NODE_COUNT = 72,
    AT_LEVEL_COUNT = 76,
    AT_REGION_UNITS = 80,
    AT_END = 84,
};

static const uint8_t root_magic[8] = {'M', 'E', 'M', 'K', 'V', 'D', 'R', 0};

static uint64_t unit_checksum(const uint8_t *unit) {
    return mkv_hash_64(unit + AT_CHECKED, MKV_UNIT_BYTES - AT_CHECKED);
}

static bool root_valid(const struct mkv_directory_root *root) {
    if (root->commit == 0 || root->region_units < MKV_DIRECTORY_UNITS_MIN ||
        root->listed_generation > MKV_GENERATION_COUNTER_MAX ||
        root->level_count > MKV_DIRECTORY_LEVELS_MAX ||
        root->node_count > root->region_units - MKV_DIRECTORY_ROOTS) {
        return false;
    }
    if (root->level_count == 0) {
        return root->root.page == 0 && root->root.checksum_low == 0 && root->entry_count == 0 &&
               root->node_count == 0;
    }
    return root->root.page >= MKV_DIRECTORY_ROOTS && root->root.page < root->region_units &&
           root->entry_count > 0 && root->node_count >= root->level_count &&
           root->entry_count <= (uint64_t)root->node_count * MKV_DIRECTORY_NODE_ENTRIES_MAX;
}

void mkv_directory_root_encode(const struct mkv_directory_root *root, uint8_t *unit) {
    MKV_ASSERT(root_valid(root));
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, root_magic, sizeof root_magic);
    memcpy(unit + AT_DRIVE_UUID, root->drive_uuid.bytes, sizeof root->drive_uuid.bytes);
    mkv_store_u64(unit + AT_COMMIT, root->commit);
    mkv_store_u32(unit + AT_ROOT_PAGE, root->root.page);
    mkv_store_u32(unit + AT_ROOT_CHECKSUM_LOW, root->root.checksum_low);
    mkv_store_u64(unit + AT_APPLIED_SEQUENCE, root->applied_sequence);
    mkv_store_u64(unit + AT_LISTED_GENERATION, root->listed_generation);
    mkv_store_u64(unit + AT_ENTRY_COUNT, root->entry_count);
    mkv_store_u32(unit + AT_NODE_COUNT, root->node_count);
    mkv_store_u32(unit + AT_LEVEL_COUNT, root->level_count);
    mkv_store_u32(unit + AT_REGION_UNITS, root->region_units);
    mkv_store_u64(unit + AT_CHECKSUM, unit_checksum(unit));
}

bool mkv_directory_root_decode(const uint8_t *unit, struct mkv_directory_root *root) {
    *root = (struct mkv_directory_root){0};
    if (memcmp(unit + AT_MAGIC, root_magic, sizeof root_magic) != 0 ||
        mkv_load_u64(unit + AT_CHECKSUM) != unit_checksum(unit)) {
        return false;
    }
    memcpy(root->drive_uuid.bytes, unit + AT_DRIVE_UUID, sizeof root->drive_uuid.bytes);
    root->commit = mkv_load_u64(unit + AT_COMMIT);
    root->root.page = mkv_load_u32(unit + AT_ROOT_PAGE);
    root->root.checksum_low = mkv_load_u32(unit + AT_ROOT_CHECKSUM_LOW);
    root->applied_sequence = mkv_load_u64(unit + AT_APPLIED_SEQUENCE);
    root->listed_generation = mkv_load_u64(unit + AT_LISTED_GENERATION);
    root->entry_count = mkv_load_u64(unit + AT_ENTRY_COUNT);
    root->node_count = mkv_load_u32(unit + AT_NODE_COUNT);
    root->level_count = mkv_load_u32(unit + AT_LEVEL_COUNT);
    root->region_units = mkv_load_u32(unit + AT_REGION_UNITS);
    return root_valid(root) && root->commit <= COUNT_MAX && root->applied_sequence <= COUNT_MAX &&
           root->entry_count <= COUNT_MAX;
}
