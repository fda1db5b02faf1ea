/* SPDX-License-Identifier: Apache-2.0 */
#include "core/placement.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"

/* What a score hashes: point, uuid, draw. */
enum {
    AT_POINT = 0,
    AT_UUID = 16,
    AT_DRAW = 32,
    SCORED_BYTES = 36,
};

struct mkv_root mkv_placement_point(const char *tenant_name, const uint8_t *key,
                                    uint32_t key_bytes) {
    MKV_ASSERT(key_bytes >= 1);
    MKV_ASSERT(key_bytes <= MKV_KEY_BYTES_MAX);
    uint8_t bytes[MKV_TENANT_NAME_BYTES_MAX + 1 + MKV_KEY_BYTES_MAX];
    uint32_t count = 0;
    while (tenant_name[count] != '\0') {
        MKV_ASSERT(count < MKV_TENANT_NAME_BYTES_MAX);
        bytes[count] = (uint8_t)tenant_name[count];
        count++;
    }
    bytes[count++] = 0;
    memcpy(bytes + count, key, key_bytes);
    return mkv_hash_128(bytes, count + (size_t)key_bytes);
}

/* The highest score of a member's draws. */
static uint64_t member_score(struct mkv_root point, const struct mkv_member *member) {
    uint8_t bytes[SCORED_BYTES];
    memcpy(bytes + AT_POINT, point.bytes, sizeof point.bytes);
    memcpy(bytes + AT_UUID, member->uuid.bytes, sizeof member->uuid.bytes);
    uint64_t highest = 0;
    for (uint32_t draw = 0; draw < member->weight; draw++) {
        mkv_store_u32(bytes + AT_DRAW, draw);
        highest = mkv_max_u64(highest, mkv_hash_64(bytes, sizeof bytes));
    }
    return highest;
}

uint32_t mkv_placement_owner(struct mkv_root point, const struct mkv_member *members,
                             uint32_t member_count) {
    uint32_t owner = MKV_NONE_U32;
    uint64_t owner_score = 0;
    for (uint32_t index = 0; index < member_count; index++) {
        const struct mkv_member *member = &members[index];
        MKV_ASSERT(member->weight <= MKV_PLACEMENT_WEIGHT_MAX);
        if (member->weight == 0) {
            continue;
        }
        const uint64_t score = member_score(point, member);
        const bool wins =
            owner == MKV_NONE_U32 || score > owner_score ||
            (score == owner_score &&
             memcmp(member->uuid.bytes, members[owner].uuid.bytes, sizeof member->uuid.bytes) < 0);
        if (wins) {
            owner = index;
            owner_score = score;
        }
    }
    return owner;
}
