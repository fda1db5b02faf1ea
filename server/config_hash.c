/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/hash.h"
#include "server/config_schema.h"

/* What the keys before have come to is the seed of the next. */
static uint64_t hash_key(const struct mkv_config_key *key, const void *base, uint64_t seed) {
    seed = mkv_hash_64_seeded(key->path, strlen(key->path), seed);
    return mkv_hash_64_seeded((const char *)base + key->field_offset, key->field_bytes, seed);
}

void mkv_config_hash(const struct mkv_config *config, char out[MKV_CONFIG_HASH_BYTES]) {
    uint64_t hash = 0;
    for (uint32_t id = 0; id < MKV_CONFIG_KEY_COUNT; id++) {
        const struct mkv_config_key *key = &mkv_config_keys[id];
        if (id != MKV_CONFIG_NODE_ID && key->type != MKV_CONFIG_TYPE_DRIVES) {
            hash = hash_key(key, config, hash);
        }
    }
    for (uint32_t index = 0; index < config->storage.drive_count; index++) {
        for (uint32_t id = 0; id < MKV_CONFIG_DRIVE_KEY_COUNT; id++) {
            hash = hash_key(&mkv_config_drive_keys[id], &config->storage.drives[index], hash);
        }
    }
    snprintf(out, MKV_CONFIG_HASH_BYTES, "%016" PRIx64, hash);
}
