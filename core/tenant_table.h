/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenants of a drive: whose blocks it holds, and whose blocks it is dropping. Like the slot
 * table it is the picture of what is durable; a checkpoint carries it in units of its own.
 *
 *   places[]  place -> {id, state, name}        index[]  hash of id -> place
 *   usages[]  place -> {blocks, units}          not durable: recovery counts anew
 *
 *     FREE --TENANT--> LIVE --TENANT_DROP--> DROPPED --swept--> FREE
 *
 * Invariants
 *  I1  An id is given once: TENANT wants one above every id seen. So an id at or below id_max that
 *      stands in no place was dropped, and nothing stored under it may be served ever again.
 *  I2  Only blocks of a LIVE tenant are served. A drop hides all of them with one record.
 *  I3  A place leaves DROPPED without a record: that no block of the tenant is left can be found
 *      out again. A later TENANT for that place is the proof that it had been found out.
 *  I4  Place 0 of a new drive is the default tenant.
 *  I5  While the volume serves, a usage is what a walk over the live slots of the tenant counts.
 *
 * Not responsible for: rights, dropping the blocks, nor when to count (volume_tenant.c).
 */
#ifndef MKV_CORE_TENANT_TABLE_H
#define MKV_CORE_TENANT_TABLE_H

#include "core/base.h"
#include "core/geometry.h"
#include "core/journal_block.h"
#include "core/tenant_page.h"

/* What a tenant has on this drive. */
struct mkv_tenant_usage {
    uint64_t blocks;         /* live ones */
    uint64_t units;          /* of their slots */
    uint64_t reserved_units; /* of the slots that puts have which are not durable yet */
    uint64_t quota_units;    /* what both may come to; 0: anything */
    uint64_t writes_total;   /* blocks that became live since the volume was opened */
    uint64_t rejections_total;
    uint64_t evicted_total;          /* blocks that made room */
    uint64_t evictions_caused_total; /* blocks of any tenant that made room for its puts */
};

struct mkv_tenant_table {
    uint32_t capacity;
    uint32_t unit_count;
    uint32_t id_max;
    uint32_t live_count;
    uint32_t dropped_count;
    uint32_t index_mask;
    uint64_t stamps[MKV_TENANT_UNITS_MAX]; /* recovery: the last block applied to the unit */
    /* Offsets from the start of this struct. */
    uint64_t places_offset;
    uint64_t usages_offset;
    uint64_t index_offset;
};

size_t mkv_tenant_table_memory_required(const struct mkv_geometry *geometry);
/* The default tenant and no other. */
void mkv_tenant_table_init(struct mkv_tenant_table *table, const struct mkv_geometry *geometry);

const struct mkv_tenant *mkv_tenant_table_at(const struct mkv_tenant_table *table, uint32_t place);
/* The place of an id, or MKV_NONE_U32. */
uint32_t mkv_tenant_table_find(const struct mkv_tenant_table *table, uint32_t id);
/* The first free place, or MKV_NONE_U32. */
uint32_t mkv_tenant_table_free_place(const struct mkv_tenant_table *table);
/* The first place in state DROPPED, or MKV_NONE_U32. */
uint32_t mkv_tenant_table_dropped_place(const struct mkv_tenant_table *table);
static inline bool mkv_tenant_table_serves(const struct mkv_tenant_table *table, uint32_t id) {
    const uint32_t place = mkv_tenant_table_find(table, id);
    return place != MKV_NONE_U32 && mkv_tenant_table_at(table, place)->state == MKV_TENANT_LIVE;
}

/* Of the tenant in a place that is not FREE. */
const struct mkv_tenant_usage *mkv_tenant_table_usage(const struct mkv_tenant_table *table,
                                                      uint32_t place);
/* A block of the tenant in a slot of so many units has become live, or is live no more. */
void mkv_tenant_table_count(struct mkv_tenant_table *table, uint32_t id, uint32_t slot_units);
void mkv_tenant_table_uncount(struct mkv_tenant_table *table, uint32_t id, uint32_t slot_units);
/* Of an id that stands in a place, or NULL. For reservations, quotas and counters. */
struct mkv_tenant_usage *mkv_tenant_table_usage_of(struct mkv_tenant_table *table, uint32_t id);
/* Nothing is counted any more: recovery counts anew. */
void mkv_tenant_table_count_clear(struct mkv_tenant_table *table);

/* Durable records reach the table: the place of a TENANT is FREE, that of a TENANT_DROP LIVE. */
void mkv_tenant_table_apply(struct mkv_tenant_table *table, const struct mkv_record *record);
/* No block of the dropped tenant in this place is left. */
void mkv_tenant_table_swept(struct mkv_tenant_table *table, uint32_t place);

/* Encodes a unit as of now, with `stamp`. */
void mkv_tenant_table_capture(const struct mkv_tenant_table *table, uint32_t unit_index,
                              const struct mkv_uuid *drive_uuid, uint64_t checkpoint_number,
                              struct mkv_sequence stamp, uint8_t *unit);
/* Takes over a decoded unit. False when it contradicts what was loaded before. */
bool mkv_tenant_table_load(struct mkv_tenant_table *table, const struct mkv_tenant_page *page,
                           const uint8_t *unit);
/* Applies a TENANT or TENANT_DROP of block `sequence` unless its unit is newer. False when it
 * contradicts the table. */
bool mkv_tenant_table_replay(struct mkv_tenant_table *table, const struct mkv_record *record,
                             struct mkv_sequence sequence);
/* Over places, ids, states, names and id_max. DROPPED and FREE are told apart. */
uint64_t mkv_tenant_table_durable_hash(const struct mkv_tenant_table *table);

#endif
