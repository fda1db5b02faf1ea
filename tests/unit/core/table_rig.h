/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot table for tests: made in memory that held something else, and changed as a volume does it,
 * by records that count as durable at once. What was recorded is kept, so that it can be replayed.
 */
#ifndef MKV_TESTS_UNIT_CORE_TABLE_RIG_H
#define MKV_TESTS_UNIT_CORE_TABLE_RIG_H

#include "core/slot_table.h"
#include "tests/unit/core/test.h"

#define TABLE_RIG_RECORDS_MAX 8192u

struct table_rig {
    struct mkv_geometry geometry;
    struct mkv_slot_table *table;
    uint64_t generation;
    uint32_t record_count; /* record n is of block n + 1 */
    struct mkv_record records[TABLE_RIG_RECORDS_MAX];
};

struct table_rig *table_rig_make(uint32_t extent_units, uint32_t extents, uint32_t pages);
void table_rig_free(struct table_rig *rig);
/* A table that is cleared and holds nothing. */
struct mkv_slot_table *table_rig_empty(const struct mkv_geometry *geometry);
/* Gives a class an extent, by as many EXTENT records as it takes. */
bool table_rig_give(struct table_rig *rig, uint32_t slot_units);
/* One EXTENT record; the extent's index in *extent. False when there can be none. */
bool table_rig_change(struct table_rig *rig, uint32_t slot_units, struct mkv_record_extent *record);
struct mkv_slot table_rig_put(struct table_rig *rig, uint32_t slot_units);
void table_rig_drop(struct table_rig *rig, struct mkv_slot slot, bool retired);
void table_rig_retire(struct table_rig *rig, struct mkv_slot slot);
/* The table that recovery makes of the rig's records from `record` on, replayed onto `loaded`. */
bool table_rig_replay(const struct table_rig *rig, struct mkv_slot_table *loaded, uint32_t record);

#endif
