/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a key is where it is, or is not there: GET /v1/why?key=&tenant= and `memkv admin why KEY`.
 *
 *   key --placement--> drive: serves? --> on the drive? --> terms of the block
 *    |                                          no --> reason of the miss, meaning, what to do
 *    +--> in memory?
 *
 * Invariants
 *  I1  Looking changes nothing: no lease, no use that the eviction policy would count.
 *  I2  A block is told by its tag of 64 bits: one key in 2^64 may be taken for another, of which a
 *      GET would compare the key.
 *
 * Not responsible for: gathering it (server/shard_inspect.c).
 */
#ifndef MKV_ADMIN_WHY_H
#define MKV_ADMIN_WHY_H

#include "admin/request.h"
#include "admin/text.h"

struct mkv_admin_why {
    bool tenant_known;
    char drive[MKV_ADMIN_NAME_BYTES]; /* where it belongs; "": nowhere */
    bool drive_serves;
    bool in_memory;
    bool unpersisted; /* in memory alone */
    bool used_again;  /* since it came to memory */
    uint32_t memory_length;
    bool on_drive;
    enum mkv_miss miss;
    uint32_t length_units; /* of the payload on the drive */
    bool segmented;        /* a value above one block: this is its manifest */
    enum mkv_tier tier;
    enum mkv_tier tier_put;
    uint32_t expiry_s; /* Unix time; 0: never */
    bool leased;       /* or pinned */
    bool leaving;
};

struct mkv_admin_reply mkv_endpoint_why(const struct mkv_admin_request *request);

/* The answer for people. */
void mkv_why_text(const json_t *answer, struct mkv_text *out);

/* A key as it stands in a query: text, or "hex:" and digits. False: it is no key. */
bool mkv_why_key_parse(const char *text, uint8_t key[MKV_KEY_BYTES_MAX], uint32_t *key_bytes);

#endif
