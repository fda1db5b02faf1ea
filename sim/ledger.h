/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracles on what recovers, by a replay of its own: what the journal's records say, kept apart
 * from the volume, the checkpoint and the drive. The watch hands in each record when its block is
 * durable, and at a crash the blocks that were issued and are not; when a volume serves again, its
 * journal's head says which of these recovered.
 *
 *   durable blocks ----> base                    1 2 3 4
 *   crash:  issued, not durable ----> kept               5 6 7
 *   serve, head 6:  base = 1 ... 6; the volume has exactly what it says; 7 is gone for good
 *
 * Oracles
 *  O3   The journal that recovers ends at or behind the last durable block and not behind the last
 *       one issued, with no block missing before its end.
 *  O6   What the volume has is the base, in both directions: of each block its slot, tag, tenant,
 *       generation, length, root, flags, expiry, tier and place; the number of retired slots; the
 *       class of each extent; the tenants with their names. Once when it serves, and again when its
 *       process ends, where all that is durable is applied.
 *  O4   No record contradicts those before it.
 *
 * Invariants
 *  I1  `slots`, `pages` and `tenants` are what blocks 1 ... head say, of the journal since the
 *      volume last came up empty.
 *  I2  Only blocks that a serving volume issued are kept; recovery issues no records.
 *  I3  Between an opening that came up empty and the next that serves, either is right: what there
 *      was, or nothing. The head tells.
 *
 * Not responsible for: when a block is durable (watch.h), which blocks should have been put
 * (model.h), the drive set (set_world.c).
 */
#ifndef MKV_SIM_LEDGER_H
#define MKV_SIM_LEDGER_H

#include "core/journal_block.h"
#include "core/slot_header.h"
#include "core/tenant_page.h"
#include "core/volume.h"
#include "sim/memory.h"

/* Blocks that are issued and not durable when a process ends. */
#define MKV_LEDGER_KEPT_MAX 64u

enum mkv_ledger_state {
    MKV_LEDGER_FREE = 0,
    MKV_LEDGER_LIVE,
    MKV_LEDGER_RETIRED,
};

struct mkv_ledger_slot {
    uint64_t tag;
    uint64_t generation;
    struct mkv_root root;
    uint32_t tenant;
    uint32_t length;
    uint32_t expiry_s;
    uint16_t block_flags;
    uint8_t tier;
    uint8_t state;
};

/* A page of slots and the extents it belongs to. */
struct mkv_ledger_page {
    uint32_t extent;
    uint32_t page_in_extent;
    uint32_t slot_units; /* 0: no class */
};

struct mkv_ledger {
    struct mkv_geometry geometry;
    uint32_t slot_count;
    uint32_t slot_units_max;
    uint32_t tenant_count;
    struct mkv_ledger_slot *slots;
    struct mkv_ledger_page *pages;
    uint32_t *class_extents; /* slot units -> extents of the class */
    struct mkv_tenant *tenants;
    uint32_t tenants_live;
    uint32_t tenant_id_max;
    uint32_t extents; /* with a class */
    uint64_t live;
    uint64_t retired;
    uint64_t head;     /* the last block that the base holds */
    bool served;       /* a volume has served: the head is known */
    bool emptied;      /* this opening gave up all there was */
    bool may_be_empty; /* it did, or an earlier one that was cut (I3) */

    uint32_t kept_count;
    uint64_t kept_sequences[MKV_LEDGER_KEPT_MAX];
    uint8_t *kept; /* their units */
    uint64_t evaluations;
};

void mkv_ledger_init(struct mkv_ledger *ledger, struct mkv_memory *memory,
                     const struct mkv_geometry *geometry);
/* A record of a block that became durable, in order; and the block that had them. */
void mkv_ledger_record(struct mkv_ledger *ledger, const struct mkv_record *record);
void mkv_ledger_durable(struct mkv_ledger *ledger, uint64_t sequence);
/* The process ends. */
void mkv_ledger_crash(struct mkv_ledger *ledger);
/* It ends, and this block is not durable. Its unit is copied. */
void mkv_ledger_keep(struct mkv_ledger *ledger, uint64_t sequence, const uint8_t *unit);
/* An opening gives up all there was. It may yet be cut. */
void mkv_ledger_emptied(struct mkv_ledger *ledger);
/* A volume serves, with these figures; `durable` is the highest sequence that was durable: O3. */
void mkv_ledger_serve(struct mkv_ledger *ledger, const struct mkv_volume_stats *stats,
                      uint64_t durable);
/* Each of its blocks, with its header where that decodes and is the block's: O6. */
void mkv_ledger_block(struct mkv_ledger *ledger, const struct mkv_volume_block *block,
                      const struct mkv_slot_header *header);
/* And all else that it has, behind its blocks: O6. `works`: it has served for a while, and may be
 * about to give an extent to a class, or to retire a slot. */
void mkv_ledger_volume(struct mkv_ledger *ledger, const struct mkv_volume *volume,
                       const struct mkv_volume_stats *stats, bool works);

#endif
