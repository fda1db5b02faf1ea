/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of its own that lists a volume's keys with SCAN while nobody changes any, tenant by
 * tenant and piece by piece, and holds what it gets against the slot table and the headers on the
 * drive.
 *
 *   begin --> SCAN, again behind the last key while there is more --> the next tenant --> done
 *              \--UNAVAILABLE, BUSY: all over again, a little later
 *
 * Oracles
 *  O1   Every block that was live when the listing began and when it ended is in it: once it says
 *       OK, the directory's lag is over.
 *  O2   No key is in it that has no live block, and none says another place, length or kind than
 *       its block has.
 *  O10  It ends: a directory that is being made anew, or that lags, gets there.
 *
 * Invariants
 *  I1  At most one SCAN of it is under way at a volume.
 *
 * Not responsible for: listings beside mutations (volume_listing.c).
 */
#ifndef MKV_SIM_LISTING_H
#define MKV_SIM_LISTING_H

#include "sim/faults.h"
#include "sim/node.h"

/* The operation by which a volume answers it; worlds number theirs from 0. */
#define MKV_LISTING_OP 0x7fffffffu
/* Live blocks of a volume, and tenants that have any. */
#define MKV_LISTING_BLOCKS_MAX 512u
#define MKV_LISTING_TENANTS_MAX 8u

struct mkv_listing {
    struct mkv_node *node;
    const struct mkv_faults *faults;
    bool done;
    bool in_flight;
    uint32_t generation;
    uint64_t due_ns;
    uint32_t tenants[MKV_LISTING_TENANTS_MAX];
    uint32_t tenant_count;
    uint32_t tenant; /* the one that is listed, of them */
    uint8_t after[MKV_KEY_BYTES_MAX];
    uint32_t after_bytes;
    uint32_t block_count;
    struct mkv_listing_block {
        uint32_t slot;
        uint32_t generation_low;
        bool listed;
    } blocks[MKV_LISTING_BLOCKS_MAX]; /* that were live when it began */
    uint64_t evaluations;
    uint64_t listings; /* that ended with a list */
};

/* What the drive's faults excuse is not held against the volume. */
void mkv_listing_init(struct mkv_listing *listing, struct mkv_node *node,
                      const struct mkv_faults *faults);
/* The process is gone. */
void mkv_listing_crash(struct mkv_listing *listing);
/* The volume serves, and nobody asks it for a mutation until the listing is done. */
void mkv_listing_begin(struct mkv_listing *listing);
/* Sends what is due. True when the listing is done. */
bool mkv_listing_pump(struct mkv_listing *listing, uint64_t now_ns);
/* A message to MKV_LISTING_OP. */
void mkv_listing_answer(struct mkv_listing *listing, const struct mkv_message *message,
                        const uint8_t *data, uint64_t now_ns);

#endif
