/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tenant_table.h"

#include <string.h>

#include "core/bytes.h"
#include "core/canary.h"
#include "core/hash.h"

struct layout {
    uint64_t places, usages, index, end;
    uint32_t capacity, index_count;
};

static struct layout layout_of(const struct mkv_geometry *geometry) {
    MKV_ASSERT(geometry->tenant_units >= 1);
    MKV_ASSERT(geometry->tenant_units <= MKV_TENANT_UNITS_MAX);
    struct layout layout;
    layout.capacity = geometry->tenant_units * MKV_UNIT_TENANTS;
    layout.index_count = 1;
    while (layout.index_count < 2 * layout.capacity) {
        layout.index_count *= 2;
    }
    layout.places = mkv_round_up_u64(sizeof(struct mkv_tenant_table), 64);
    layout.usages =
        mkv_round_up_u64(layout.places + (uint64_t)layout.capacity * sizeof(struct mkv_tenant), 64);
    layout.index = mkv_round_up_u64(
        layout.usages + (uint64_t)layout.capacity * sizeof(struct mkv_tenant_usage), 64);
    layout.end =
        mkv_round_up_u64(layout.index + (uint64_t)layout.index_count * sizeof(uint32_t), 64);
    return layout;
}

size_t mkv_tenant_table_memory_required(const struct mkv_geometry *geometry) {
    return (size_t)layout_of(geometry).end;
}

static struct mkv_tenant *places(const struct mkv_tenant_table *table) {
    return (struct mkv_tenant *)((uintptr_t)table + table->places_offset);
}

static struct mkv_tenant_usage *usages(const struct mkv_tenant_table *table) {
    return (struct mkv_tenant_usage *)((uintptr_t)table + table->usages_offset);
}

static uint32_t *index_of(const struct mkv_tenant_table *table) {
    return (uint32_t *)((uintptr_t)table + table->index_offset);
}

/* Where the search for an id begins; Fibonacci hashing spreads the small numbers that ids are. */
static uint32_t bucket_of(const struct mkv_tenant_table *table, uint32_t id) {
    return (uint32_t)(((uint64_t)id * 0x9e3779b97f4a7c15ull) >> 32) & table->index_mask;
}

static void index_insert(struct mkv_tenant_table *table, uint32_t place) {
    uint32_t *index = index_of(table);
    uint32_t bucket = bucket_of(table, places(table)[place].id);
    while (index[bucket] != MKV_NONE_U32) {
        bucket = (bucket + 1) & table->index_mask;
    }
    index[bucket] = place;
}

/* Tenants come and go rarely, and linear probing has no cheap removal. */
static void index_rebuild(struct mkv_tenant_table *table) {
    memset(index_of(table), 0xff, ((size_t)table->index_mask + 1) * sizeof(uint32_t));
    for (uint32_t place = 0; place < table->capacity; place++) {
        if (places(table)[place].state != MKV_TENANT_FREE) {
            index_insert(table, place);
        }
    }
}

void mkv_tenant_table_init(struct mkv_tenant_table *table, const struct mkv_geometry *geometry) {
    const struct layout layout = layout_of(geometry);
    memset(table, 0, sizeof *table);
    table->capacity = layout.capacity;
    table->unit_count = geometry->tenant_units;
    table->index_mask = layout.index_count - 1;
    table->places_offset = layout.places;
    table->usages_offset = layout.usages;
    table->index_offset = layout.index;
    memset(places(table), 0, (size_t)layout.capacity * sizeof(struct mkv_tenant));
    mkv_tenant_table_count_clear(table);
    struct mkv_tenant *first = &places(table)[0];
    first->id = MKV_TENANT_DEFAULT;
    first->state = MKV_TENANT_LIVE;
    first->name_bytes = sizeof MKV_TENANT_DEFAULT_NAME - 1;
    memcpy(first->name, MKV_TENANT_DEFAULT_NAME, sizeof MKV_TENANT_DEFAULT_NAME - 1);
    table->live_count = 1;
    index_rebuild(table);
}

const struct mkv_tenant *mkv_tenant_table_at(const struct mkv_tenant_table *table, uint32_t place) {
    MKV_ASSERT(place < table->capacity);
    return &places(table)[place];
}

uint32_t mkv_tenant_table_find(const struct mkv_tenant_table *table, uint32_t id) {
    const uint32_t *index = index_of(table);
    uint32_t bucket = bucket_of(table, id);
    while (index[bucket] != MKV_NONE_U32 && places(table)[index[bucket]].id != id) {
        bucket = (bucket + 1) & table->index_mask;
    }
    return index[bucket];
}

/* ---- usage ----------------------------------------------------------------------------------- */

const struct mkv_tenant_usage *mkv_tenant_table_usage(const struct mkv_tenant_table *table,
                                                      uint32_t place) {
    MKV_ASSERT(mkv_tenant_table_at(table, place)->state != MKV_TENANT_FREE);
    return &usages(table)[place];
}

struct mkv_tenant_usage *mkv_tenant_table_usage_of(struct mkv_tenant_table *table, uint32_t id) {
    const uint32_t place = mkv_tenant_table_find(table, id);
    return place == MKV_NONE_U32 ? NULL : &usages(table)[place];
}

void mkv_tenant_table_count(struct mkv_tenant_table *table, uint32_t id, uint32_t slot_units) {
    const uint32_t place = mkv_tenant_table_find(table, id);
    MKV_ASSERT(place != MKV_NONE_U32);
    usages(table)[place].blocks++;
    usages(table)[place].units += slot_units;
}

void mkv_tenant_table_uncount(struct mkv_tenant_table *table, uint32_t id, uint32_t slot_units) {
    const uint32_t place = mkv_tenant_table_find(table, id);
    MKV_ASSERT(place != MKV_NONE_U32);
    struct mkv_tenant_usage *usage = &usages(table)[place];
    MKV_ASSERT(usage->blocks > 0);
    MKV_ASSERT(usage->units >= slot_units);
    usage->blocks--;
    usage->units -= slot_units;
}

void mkv_tenant_table_count_clear(struct mkv_tenant_table *table) {
    memset(usages(table), 0, (size_t)table->capacity * sizeof(struct mkv_tenant_usage));
}

/* ---- places ---------------------------------------------------------------------------------- */

static uint32_t first_in_state(const struct mkv_tenant_table *table, enum mkv_tenant_state state) {
    for (uint32_t place = 0; place < table->capacity; place++) {
        if (places(table)[place].state == state) {
            return place;
        }
    }
    return MKV_NONE_U32;
}

uint32_t mkv_tenant_table_free_place(const struct mkv_tenant_table *table) {
    return first_in_state(table, MKV_TENANT_FREE);
}

uint32_t mkv_tenant_table_dropped_place(const struct mkv_tenant_table *table) {
    return table->dropped_count == 0 ? MKV_NONE_U32 : first_in_state(table, MKV_TENANT_DROPPED);
}

static void place_take(struct mkv_tenant_table *table, const struct mkv_record_tenant *record) {
    struct mkv_tenant *tenant = &places(table)[record->place];
    if (tenant->state == MKV_TENANT_DROPPED) {
        table->dropped_count--; /* I3 */
    }
    memset(tenant, 0, sizeof *tenant);
    tenant->id = record->id;
    tenant->state = MKV_TENANT_LIVE;
    tenant->name_bytes = (uint8_t)record->name_bytes;
    memcpy(tenant->name, record->name, record->name_bytes);
    table->id_max = record->id;
    table->live_count++;
    index_rebuild(table);
}

static void place_drop(struct mkv_tenant_table *table, uint32_t place) {
    places(table)[place].state = MKV_TENANT_DROPPED;
    table->live_count--;
    table->dropped_count++;
}

void mkv_tenant_table_apply(struct mkv_tenant_table *table, const struct mkv_record *record) {
    if (record->kind == MKV_RECORD_TENANT) {
        MKV_ASSERT(mkv_tenant_table_at(table, record->tenant.place)->state == MKV_TENANT_FREE);
        MKV_ASSERT(record->tenant.id > table->id_max); /* I1 */
        place_take(table, &record->tenant);
        return;
    }
    MKV_ASSERT(record->kind == MKV_RECORD_TENANT_DROP);
    const struct mkv_tenant *tenant = mkv_tenant_table_at(table, record->tenant_drop.place);
    MKV_ASSERT(tenant->state == MKV_TENANT_LIVE);
    MKV_ASSERT(tenant->id == record->tenant_drop.id);
    place_drop(table, record->tenant_drop.place);
}

void mkv_tenant_table_swept(struct mkv_tenant_table *table, uint32_t place) {
    MKV_ASSERT(mkv_tenant_table_at(table, place)->state == MKV_TENANT_DROPPED);
    MKV_ASSERT(MKV_CANARY(MKV_CANARY_TENANT_COUNT_DRIFTS) || usages(table)[place].blocks == 0);
    usages(table)[place] = (struct mkv_tenant_usage){0};
    memset(&places(table)[place], 0, sizeof(struct mkv_tenant));
    table->dropped_count--;
    index_rebuild(table);
}

/* ---- checkpoint and recovery ----------------------------------------------------------------- */

static uint32_t captured_id_max(const struct mkv_tenant_table *table) {
    uint32_t id_max = 0;
    if (!MKV_CANARY(MKV_CANARY_TENANT_ID_FORGOTTEN)) {
        return table->id_max;
    }
    for (uint32_t place = 0; place < table->capacity; place++) {
        id_max = (uint32_t)mkv_max_u64(id_max, places(table)[place].id);
    }
    return id_max;
}

void mkv_tenant_table_capture(const struct mkv_tenant_table *table, uint32_t unit_index,
                              const struct mkv_uuid *drive_uuid, uint64_t checkpoint_number,
                              struct mkv_sequence stamp, uint8_t *unit) {
    MKV_ASSERT(unit_index < table->unit_count);
    const struct mkv_tenant_page page = {
        .drive_uuid = *drive_uuid,
        .checkpoint_number = checkpoint_number,
        .unit_index = unit_index,
        .id_max = captured_id_max(table),
        .stamp = stamp,
    };
    mkv_tenant_page_begin(&page, unit);
    for (uint32_t index = 0; index < MKV_UNIT_TENANTS; index++) {
        struct mkv_tenant tenant = places(table)[unit_index * MKV_UNIT_TENANTS + index];
        if (MKV_CANARY(MKV_CANARY_TENANT_DROP_NOT_IN_CHECKPOINT) &&
            tenant.state == MKV_TENANT_DROPPED) {
            tenant.state = MKV_TENANT_LIVE;
        }
        mkv_tenant_page_store(unit, index, &tenant);
    }
    mkv_tenant_page_seal(unit);
}

bool mkv_tenant_table_load(struct mkv_tenant_table *table, const struct mkv_tenant_page *page,
                           const uint8_t *unit) {
    if (page->unit_index >= table->unit_count) {
        return false;
    }
    table->stamps[page->unit_index] = page->stamp.value;
    table->id_max = (uint32_t)mkv_max_u64(table->id_max, page->id_max);
    for (uint32_t index = 0; index < MKV_UNIT_TENANTS; index++) {
        struct mkv_tenant tenant;
        mkv_tenant_page_load(unit, index, &tenant);
        const uint32_t place = page->unit_index * MKV_UNIT_TENANTS + index;
        struct mkv_tenant *own = &places(table)[place];
        table->live_count -= own->state == MKV_TENANT_LIVE ? 1u : 0u;
        table->dropped_count -= own->state == MKV_TENANT_DROPPED ? 1u : 0u;
        *own = (struct mkv_tenant){0};
        if (tenant.state == MKV_TENANT_FREE) {
            continue;
        }
        const uint32_t other = mkv_tenant_table_find(table, tenant.id);
        if (other != MKV_NONE_U32 && other != place &&
            places(table)[other].state != MKV_TENANT_FREE) {
            return false;
        }
        *own = tenant;
        table->live_count += tenant.state == MKV_TENANT_LIVE ? 1u : 0u;
        table->dropped_count += tenant.state == MKV_TENANT_DROPPED ? 1u : 0u;
    }
    index_rebuild(table);
    return true;
}

static bool unit_is_newer(const struct mkv_tenant_table *table, uint32_t place,
                          struct mkv_sequence sequence) {
    return table->stamps[place / MKV_UNIT_TENANTS] >= sequence.value;
}

bool mkv_tenant_table_replay(struct mkv_tenant_table *table, const struct mkv_record *record,
                             struct mkv_sequence sequence) {
    const bool drop = record->kind == MKV_RECORD_TENANT_DROP;
    MKV_ASSERT(drop || record->kind == MKV_RECORD_TENANT);
    const uint32_t place = drop ? record->tenant_drop.place : record->tenant.place;
    if (place >= table->capacity) {
        return false;
    }
    if (unit_is_newer(table, place, sequence)) {
        return true;
    }
    const struct mkv_tenant *tenant = &places(table)[place];
    if (drop) {
        if (tenant->state != MKV_TENANT_LIVE || tenant->id != record->tenant_drop.id) {
            return false;
        }
        place_drop(table, place);
        return true;
    }
    /* Another unit may have been captured later and know of higher ids, so the place alone is held
     * against the record. */
    const uint32_t id_max = table->id_max;
    if (tenant->state == MKV_TENANT_LIVE ||
        mkv_tenant_table_find(table, record->tenant.id) != MKV_NONE_U32) {
        return false;
    }
    place_take(table, &record->tenant);
    table->id_max = (uint32_t)mkv_max_u64(id_max, record->tenant.id);
    return true;
}

uint64_t mkv_tenant_table_durable_hash(const struct mkv_tenant_table *table) {
    uint64_t hash = table->id_max;
    for (uint32_t place = 0; place < table->capacity; place++) {
        const struct mkv_tenant *tenant = &places(table)[place];
        if (tenant->state == MKV_TENANT_FREE) {
            continue;
        }
        uint8_t bytes[16 + MKV_TENANT_STORED_NAME_BYTES_MAX] = {0};
        mkv_store_u32(bytes, place);
        mkv_store_u32(bytes + 4, tenant->id);
        bytes[8] = tenant->state;
        bytes[9] = tenant->name_bytes;
        memcpy(bytes + 16, tenant->name, sizeof tenant->name);
        hash = mkv_hash_64_seeded(bytes, sizeof bytes, hash);
    }
    return hash;
}
