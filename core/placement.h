/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which member (a drive of a node, a server of a ring) a key belongs to: weighted rendezvous
 * hashing in integers, after Thaler and Ravishankar (1998). A public function: clients compute it
 * too, and docs/protocol.md has test vectors.
 *
 *   point            = XXH3-128(tenant name ‖ 0x00 ‖ key), canonical bytes
 *   score(m, d)      = XXH3-64(point ‖ uuid of m ‖ d as u32), for d in 0 ... weight(m) - 1
 *   owner            = the member with the highest score; of equal scores the smaller uuid wins
 *
 * Invariants
 *  I1  The owner does not depend on the order of the members.
 *  I2  Adding or removing a member moves only keys to it or from it.
 *
 * Not responsible for: who the members are.
 */
#ifndef MKV_CORE_PLACEMENT_H
#define MKV_CORE_PLACEMENT_H

#include "core/base.h"

#define MKV_PLACEMENT_WEIGHT_MAX 256u
#define MKV_TENANT_NAME_BYTES_MAX 255u

struct mkv_member {
    struct mkv_uuid uuid;
    uint32_t weight; /* 1 ... MKV_PLACEMENT_WEIGHT_MAX; 0: takes no keys */
};

struct mkv_root mkv_placement_point(const char *tenant_name, const uint8_t *key,
                                    uint32_t key_bytes);
/* Index of the owner among `members`, or MKV_NONE_U32 when no member has a weight. */
uint32_t mkv_placement_owner(struct mkv_root point, const struct mkv_member *members,
                             uint32_t member_count);

#endif
