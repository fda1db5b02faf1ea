/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/table_rig.h"

struct mkv_slot_table *table_rig_empty(const struct mkv_geometry *geometry) {
    const size_t bytes = mkv_slot_table_memory_required(geometry);
    struct mkv_slot_table *table = malloc(bytes);
    assert_non_null(table);
    memset(table, 0xa5, bytes);
    mkv_slot_table_init(table, geometry);
    uint64_t cursor = 0;
    while (!mkv_slot_table_clear(table, &cursor, 1000)) {
    }
    return table;
}

struct table_rig *table_rig_make(uint32_t extent_units, uint32_t extents, uint32_t pages) {
    struct table_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->geometry = (struct mkv_geometry){
        .capacity_units = (uint64_t)extent_units * extents + 2 * (uint64_t)pages + 4096,
        .ring_blocks = 16,
        .tenant_units = 1,
        .page_count = pages,
        .directory_units = MKV_DIRECTORY_UNITS_MIN,
        .extent_units = extent_units,
        .extent_count = extents,
    };
    assert_true(mkv_geometry_valid(&rig->geometry));
    rig->table = table_rig_empty(&rig->geometry);
    return rig;
}

void table_rig_free(struct table_rig *rig) {
    free(rig->table);
    free(rig);
}

static struct mkv_record *record_next(struct table_rig *rig, enum mkv_record_kind kind) {
    assert_true(rig->record_count < TABLE_RIG_RECORDS_MAX);
    struct mkv_record *record = &rig->records[rig->record_count++];
    record->kind = kind;
    return record;
}

bool table_rig_change(struct table_rig *rig, uint32_t slot_units,
                      struct mkv_record_extent *record) {
    if (!mkv_slot_table_plan_extent(rig->table, slot_units, record)) {
        return false;
    }
    record_next(rig, MKV_RECORD_EXTENT)->extent = *record;
    mkv_slot_table_apply_extent(rig->table, record);
    return true;
}

bool table_rig_give(struct table_rig *rig, uint32_t slot_units) {
    struct mkv_record_extent record;
    do {
        if (!table_rig_change(rig, slot_units, &record)) {
            return false;
        }
    } while (record.slot_units == 0);
    assert_int_equal(record.slot_units, slot_units);
    return true;
}

struct mkv_slot table_rig_put(struct table_rig *rig, uint32_t slot_units) {
    struct mkv_slot slot;
    assert_true(mkv_slot_table_reserve(rig->table, slot_units, &slot));
    rig->generation++;
    struct mkv_record *record = record_next(rig, MKV_RECORD_PUT);
    record->put = (struct mkv_record_put){
        .tier = (uint8_t)(rig->generation % 4),
        .tenant = (uint32_t)(rig->generation % 3),
        .tag = rig->generation * 0x9e3779b97f4a7c15ull,
        .slot = slot,
        .length = (slot_units - 1) * MKV_UNIT_BYTES,
        .generation = {rig->generation},
        .expiry_s = (uint32_t)rig->generation,
    };
    mkv_slot_table_apply_put(rig->table, &record->put);
    return slot;
}

void table_rig_drop(struct table_rig *rig, struct mkv_slot slot, bool retired) {
    struct mkv_record *record = record_next(rig, MKV_RECORD_DROP);
    record->drop = (struct mkv_record_drop){
        .cause = MKV_DROP_DELETE,
        .retired = retired,
        .slot = slot,
        .generation = {mkv_slot_table_entry(rig->table, slot)->generation_low},
    };
    mkv_slot_table_apply_drop(rig->table, &record->drop);
}

void table_rig_retire(struct table_rig *rig, struct mkv_slot slot) {
    record_next(rig, MKV_RECORD_RETIRE)->retire.slot = slot;
    mkv_slot_table_apply_retire(rig->table, slot);
}

bool table_rig_replay(const struct table_rig *rig, struct mkv_slot_table *loaded, uint32_t record) {
    for (; record < rig->record_count; record++) {
        if (!mkv_slot_table_replay(loaded, &rig->records[record],
                                   (struct mkv_sequence){record + 1})) {
            return false;
        }
    }
    uint32_t cursor = 0;
    bool consistent = false;
    while (!mkv_slot_table_derive(loaded, &cursor, 3, &consistent)) {
    }
    return consistent;
}
