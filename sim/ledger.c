/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ledger.h"

#include <string.h>

#include "core/hash.h"
#include "sim/failure.h"

static unsigned long long ull(uint64_t value) {
    return (unsigned long long)value;
}

/* As a drive is that was just formatted, or came up empty. */
static void clear(struct mkv_ledger *ledger) {
    memset(ledger->slots, 0, ledger->slot_count * sizeof *ledger->slots);
    memset(ledger->pages, 0, ledger->geometry.page_count * sizeof *ledger->pages);
    memset(ledger->class_extents, 0, (ledger->slot_units_max + 1) * sizeof *ledger->class_extents);
    memset(ledger->tenants, 0, ledger->tenant_count * sizeof *ledger->tenants);
    ledger->tenants[0] = (struct mkv_tenant){
        .id = MKV_TENANT_DEFAULT,
        .state = MKV_TENANT_LIVE,
        .name_bytes = sizeof MKV_TENANT_DEFAULT_NAME - 1,
    };
    memcpy(ledger->tenants[0].name, MKV_TENANT_DEFAULT_NAME, sizeof MKV_TENANT_DEFAULT_NAME - 1);
    ledger->tenants_live = 1;
    ledger->tenant_id_max = 0;
    ledger->extents = 0;
    ledger->live = 0;
    ledger->retired = 0;
}

void mkv_ledger_init(struct mkv_ledger *ledger, struct mkv_memory *memory,
                     const struct mkv_geometry *geometry) {
    memset(ledger, 0, sizeof *ledger);
    ledger->geometry = *geometry;
    ledger->slot_count = geometry->page_count * MKV_PAGE_SLOTS;
    ledger->slot_units_max = (uint32_t)mkv_min_u64(
        (uint64_t)geometry->extent_units * MKV_EXTENT_SPAN_MAX, MKV_SLOT_UNITS_MAX);
    ledger->tenant_count = geometry->tenant_units * MKV_UNIT_TENANTS;
    ledger->slots = mkv_memory_take(memory, ledger->slot_count * sizeof *ledger->slots, 64);
    ledger->pages = mkv_memory_take(memory, geometry->page_count * sizeof *ledger->pages, 64);
    ledger->class_extents =
        mkv_memory_take(memory, (ledger->slot_units_max + 1) * sizeof *ledger->class_extents, 64);
    ledger->tenants = mkv_memory_take(memory, ledger->tenant_count * sizeof *ledger->tenants, 64);
    ledger->kept = mkv_memory_take(memory, (size_t)MKV_LEDGER_KEPT_MAX * MKV_UNIT_BYTES, 64);
    clear(ledger);
}

/* ---- records --------------------------------------------------------------------------------- */

static struct mkv_ledger_slot *slot_at(struct mkv_ledger *ledger, struct mkv_slot slot) {
    if (slot.index >= ledger->slot_count) {
        mkv_fail(MKV_ORACLE_SLOTS, "a durable record names slot %u, of %u", slot.index,
                 ledger->slot_count);
    }
    return &ledger->slots[slot.index];
}

static void put(struct mkv_ledger *ledger, const struct mkv_record_put *record) {
    struct mkv_ledger_slot *slot = slot_at(ledger, record->slot);
    if (slot->state != MKV_LEDGER_FREE) {
        mkv_fail(MKV_ORACLE_SLOTS, "a durable PUT names slot %u, which is %s", record->slot.index,
                 slot->state == MKV_LEDGER_LIVE ? "live" : "retired");
    }
    *slot = (struct mkv_ledger_slot){
        .tag = record->tag,
        .generation = record->generation.value,
        .root = record->root,
        .tenant = record->tenant,
        .length = record->length,
        .expiry_s = record->expiry_s,
        .block_flags = record->block_flags,
        .tier = record->tier,
        .state = MKV_LEDGER_LIVE,
    };
    ledger->live++;
}

/* The live slot of a record that names its generation, or the low half of it. */
static struct mkv_ledger_slot *live_at(struct mkv_ledger *ledger, const char *kind,
                                       struct mkv_slot index, struct mkv_generation generation) {
    struct mkv_ledger_slot *slot = slot_at(ledger, index);
    if (slot->state != MKV_LEDGER_LIVE ||
        (uint32_t)slot->generation != (uint32_t)generation.value) {
        mkv_fail(MKV_ORACLE_SLOTS, "a durable %s names generation %llx of slot %u, which has not",
                 kind, ull(generation.value), index.index);
    }
    return slot;
}

static void drop(struct mkv_ledger *ledger, const struct mkv_record_drop *record) {
    struct mkv_ledger_slot *slot = live_at(ledger, "DROP", record->slot, record->generation);
    slot->state = record->retired ? MKV_LEDGER_RETIRED : MKV_LEDGER_FREE;
    ledger->live--;
    ledger->retired += record->retired;
}

static void retire(struct mkv_ledger *ledger, const struct mkv_record_retire *record) {
    struct mkv_ledger_slot *slot = slot_at(ledger, record->slot);
    if (slot->state != MKV_LEDGER_FREE) {
        mkv_fail(MKV_ORACLE_SLOTS, "a durable RETIRE names slot %u, which is not free",
                 record->slot.index);
    }
    slot->state = MKV_LEDGER_RETIRED;
    ledger->retired++;
}

static void extent(struct mkv_ledger *ledger, const struct mkv_record_extent *record) {
    const uint32_t page_count = ledger->geometry.page_count;
    if (record->slot_units > ledger->slot_units_max ||
        (uint64_t)record->page_first + record->page_count > page_count ||
        (uint64_t)record->released_page_first + record->released_page_count > page_count) {
        mkv_fail(MKV_ORACLE_SLOTS, "a durable EXTENT of extent %u is out of bounds",
                 record->extent.index);
    }
    if (record->released_page_count > 0) {
        struct mkv_ledger_page *pages = &ledger->pages[record->released_page_first];
        const uint32_t slot_units = pages[0].slot_units;
        if (slot_units == 0 || pages[0].extent != record->extent.index ||
            ledger->class_extents[slot_units] < record->span) {
            mkv_fail(MKV_ORACLE_SLOTS, "a durable EXTENT gives back extent %u, which has no class",
                     record->extent.index);
        }
        ledger->class_extents[slot_units] -= record->span;
        ledger->extents -= record->span;
        memset(pages, 0, record->released_page_count * sizeof *pages);
    }
    for (uint32_t index = 0; index < record->page_count; index++) {
        struct mkv_ledger_page *page = &ledger->pages[record->page_first + index];
        if (page->slot_units != 0) {
            mkv_fail(MKV_ORACLE_SLOTS,
                     "a durable EXTENT gives page %u to extent %u, and extent %u has it",
                     record->page_first + index, record->extent.index, page->extent);
        }
        *page = (struct mkv_ledger_page){record->extent.index, index, record->slot_units};
    }
    if (record->page_count > 0) {
        ledger->class_extents[record->slot_units] += record->span;
        ledger->extents += record->span;
    }
}

static void tenant(struct mkv_ledger *ledger, const struct mkv_record_tenant *record) {
    MKV_ASSERT(record->place < ledger->tenant_count);
    struct mkv_tenant *place = &ledger->tenants[record->place];
    if (place->state == MKV_TENANT_LIVE || record->id <= ledger->tenant_id_max) {
        mkv_fail(MKV_ORACLE_SLOTS, "a durable TENANT gives place %u and id %u, which are taken",
                 record->place, record->id);
    }
    *place = (struct mkv_tenant){
        .id = record->id, .state = MKV_TENANT_LIVE, .name_bytes = (uint8_t)record->name_bytes};
    memcpy(place->name, record->name, record->name_bytes);
    ledger->tenant_id_max = record->id;
    ledger->tenants_live++;
}

static void tenant_drop(struct mkv_ledger *ledger, const struct mkv_record_tenant_drop *record) {
    MKV_ASSERT(record->place < ledger->tenant_count);
    struct mkv_tenant *place = &ledger->tenants[record->place];
    if (place->state != MKV_TENANT_LIVE || place->id != record->id) {
        mkv_fail(MKV_ORACLE_SLOTS,
                 "a durable TENANT_DROP names tenant %u, which is not at place %u", record->id,
                 record->place);
    }
    place->state = MKV_TENANT_DROPPED;
    ledger->tenants_live--;
}

void mkv_ledger_record(struct mkv_ledger *ledger, const struct mkv_record *record) {
    switch (record->kind) {
    case MKV_RECORD_PUT:
        put(ledger, &record->put);
        break;
    case MKV_RECORD_DROP:
        drop(ledger, &record->drop);
        break;
    case MKV_RECORD_RETIRE:
        retire(ledger, &record->retire);
        break;
    case MKV_RECORD_EXPIRY:
        live_at(ledger, "EXPIRY", record->expiry.slot, record->expiry.generation)->expiry_s =
            record->expiry.expiry_s;
        break;
    case MKV_RECORD_EXTENT:
        extent(ledger, &record->extent);
        break;
    case MKV_RECORD_TENANT:
        tenant(ledger, &record->tenant);
        break;
    case MKV_RECORD_TENANT_DROP:
        tenant_drop(ledger, &record->tenant_drop);
        break;
    }
}

void mkv_ledger_durable(struct mkv_ledger *ledger, uint64_t sequence) {
    ledger->head = mkv_max_u64(ledger->head, sequence);
}

/* ---- what recovers --------------------------------------------------------------------------- */

void mkv_ledger_keep(struct mkv_ledger *ledger, uint64_t sequence, const uint8_t *unit) {
    MKV_ASSERT(ledger->kept_count < MKV_LEDGER_KEPT_MAX);
    ledger->kept_sequences[ledger->kept_count] = sequence;
    memcpy(ledger->kept + (size_t)ledger->kept_count * MKV_UNIT_BYTES, unit, MKV_UNIT_BYTES);
    ledger->kept_count++;
}

void mkv_ledger_crash(struct mkv_ledger *ledger) {
    ledger->emptied = false;
}

void mkv_ledger_emptied(struct mkv_ledger *ledger) {
    ledger->emptied = true;
    ledger->may_be_empty = true;
}

static uint64_t issued_last(const struct mkv_ledger *ledger) {
    uint64_t last = ledger->head;
    for (uint32_t index = 0; index < ledger->kept_count; index++) {
        last = mkv_max_u64(last, ledger->kept_sequences[index]);
    }
    return last;
}

static void replay_kept(struct mkv_ledger *ledger, uint64_t sequence) {
    uint32_t index = 0;
    while (index < ledger->kept_count && ledger->kept_sequences[index] != sequence) {
        index++;
    }
    if (index == ledger->kept_count) {
        mkv_fail(MKV_ORACLE_PREFIX, "journal block %llu recovers, which was not issued",
                 ull(sequence));
    }
    const uint8_t *unit = ledger->kept + (size_t)index * MKV_UNIT_BYTES;
    struct mkv_record record;
    enum mkv_err err = MKV_OK;
    uint32_t cursor = 0;
    while (mkv_journal_block_next(unit, &cursor, &record, &err)) {
        mkv_ledger_record(ledger, &record);
    }
    MKV_ASSERT(err == MKV_OK); /* the watch has looked at it when it was issued */
}

/* Whether all is gone, by this opening or by an earlier one that was cut. The journal then goes on
 * a ring further; that is the last block issued where the ring was full. */
static bool is_empty(const struct mkv_ledger *ledger, const struct mkv_volume_stats *stats,
                     uint64_t last) {
    const bool has_nothing =
        stats->blocks + stats->slots_retired == 0 && stats->extents_free == stats->extents_total;
    return has_nothing && stats->journal_head >= last &&
           (ledger->emptied || (ledger->may_be_empty && stats->tenants == 1));
}

void mkv_ledger_serve(struct mkv_ledger *ledger, const struct mkv_volume_stats *stats,
                      uint64_t durable) {
    const uint64_t last = issued_last(ledger);
    const uint64_t head = stats->journal_head;
    ledger->evaluations++;
    if (is_empty(ledger, stats, last)) {
        clear(ledger);
    } else if (ledger->served) {
        durable = mkv_max_u64(durable, ledger->head);
        if (head < durable) {
            mkv_fail(MKV_ORACLE_PREFIX,
                     "the journal recovers up to block %llu, and %llu was durable", ull(head),
                     ull(durable));
        }
        if (head > last) {
            mkv_fail(MKV_ORACLE_PREFIX,
                     "the journal recovers up to block %llu, and %llu was the last one issued",
                     ull(head), ull(last));
        }
        for (uint64_t sequence = ledger->head + 1; sequence <= head; sequence++) {
            replay_kept(ledger, sequence);
        }
    }
    ledger->head = head;
    ledger->served = true;
    ledger->emptied = false;
    ledger->may_be_empty = false;
    ledger->kept_count = 0;
}

/* ---- what the volume has --------------------------------------------------------------------- */

static void same(uint32_t slot, const char *what, uint64_t has, uint64_t recorded) {
    if (has != recorded) {
        mkv_fail(MKV_ORACLE_STATE, "slot %u has %s %llx, and by the journal it has %llx", slot,
                 what, ull(has), ull(recorded));
    }
}

void mkv_ledger_block(struct mkv_ledger *ledger, const struct mkv_volume_block *block,
                      const struct mkv_slot_header *header) {
    const uint32_t index = block->slot.index;
    const struct mkv_ledger_slot *slot = slot_at(ledger, block->slot);
    ledger->evaluations++;
    if (slot->state != MKV_LEDGER_LIVE) {
        mkv_fail(MKV_ORACLE_STATE, "slot %u has a block, and by the journal it is %s", index,
                 slot->state == MKV_LEDGER_FREE ? "free" : "retired");
    }
    same(index, "generation", block->generation_low, (uint32_t)slot->generation);
    same(index, "tag", block->tag, slot->tag);
    same(index, "tenant", block->tenant, slot->tenant);
    same(index, "payload units", block->length_units, mkv_slot_payload_units(slot->length));
    same(index, "flags", block->block_flags, slot->block_flags & MKV_BLOCK_FLAGS);
    same(index, "expiry", block->expiry_s, slot->expiry_s);
    same(index, "tier of its put", (uint64_t)block->tier_put, slot->tier);
    const struct mkv_ledger_page *page = &ledger->pages[index / MKV_PAGE_SLOTS];
    const uint64_t in_extent =
        (uint64_t)page->page_in_extent * MKV_PAGE_SLOTS + index % MKV_PAGE_SLOTS;
    same(index, "slot units", block->slot_units, page->slot_units);
    same(index, "unit", block->lba.unit,
         mkv_geometry_extent(&ledger->geometry, (struct mkv_extent){page->extent}).unit +
             in_extent * page->slot_units);
    if (header == NULL) {
        return;
    }
    same(index, "whole generation", header->generation.value, slot->generation);
    same(index, "length", header->length, slot->length);
    if (!mkv_root_equal(header->root, slot->root)) {
        mkv_fail(MKV_ORACLE_STATE, "slot %u has another root than by the journal", index);
    }
}

/* There are fewer blocks than there are to be: names one. */
_Noreturn static void fail_missing(const struct mkv_ledger *ledger, const struct mkv_volume *volume,
                                   const struct mkv_volume_stats *stats) {
    for (uint32_t index = 0; index < ledger->slot_count; index++) {
        struct mkv_volume_block block;
        uint32_t cursor = index;
        if (ledger->slots[index].state == MKV_LEDGER_LIVE &&
            (!mkv_volume_next_block(volume, &cursor, &block) || block.slot.index != index)) {
            mkv_fail(MKV_ORACLE_STATE,
                     "slot %u has no block, and by the journal generation %llx of tenant %u", index,
                     ull(ledger->slots[index].generation), ledger->slots[index].tenant);
        }
    }
    mkv_fail(MKV_ORACLE_STATE, "%llu blocks are counted, and by the journal there are %llu",
             ull(stats->blocks), ull(ledger->live));
}

static void check_extents(const struct mkv_ledger *ledger, const struct mkv_volume_stats *stats) {
    if (stats->extents_total - stats->extents_free != ledger->extents) {
        mkv_fail(MKV_ORACLE_STATE, "%u extents have a class, and by the journal %u",
                 stats->extents_total - stats->extents_free, ledger->extents);
    }
    for (uint32_t index = 0; index < stats->class_count; index++) {
        const struct mkv_volume_class_stats *class_stats = &stats->classes[index];
        MKV_ASSERT(class_stats->slot_units <= ledger->slot_units_max);
        if (class_stats->extents != ledger->class_extents[class_stats->slot_units]) {
            mkv_fail(MKV_ORACLE_STATE, "%u extents have slots of %u units, and by the journal %u",
                     class_stats->extents, class_stats->slot_units,
                     ledger->class_extents[class_stats->slot_units]);
        }
    }
}

/* That a sweep has ended is not recorded: a dropped tenant is there or not. */
static void check_tenants(const struct mkv_ledger *ledger, const struct mkv_volume *volume) {
    uint32_t live = 0;
    uint32_t cursor = 0;
    struct mkv_volume_tenant has;
    while (mkv_volume_next_tenant(volume, &cursor, &has)) {
        const struct mkv_tenant *place = &ledger->tenants[cursor - 1];
        const uint8_t state = has.live ? MKV_TENANT_LIVE : MKV_TENANT_DROPPED;
        if (has.id != place->id || state != place->state || has.name_bytes != place->name_bytes ||
            memcmp(has.name, place->name, has.name_bytes) != 0) {
            mkv_fail(MKV_ORACLE_STATE,
                     "tenant %u is %s at place %u, and by the journal tenant %u is in state %u "
                     "there",
                     has.id, has.live ? "live" : "dropped", cursor - 1, place->id, place->state);
        }
        live += has.live;
    }
    if (live != ledger->tenants_live || mkv_volume_tenant_id_max(volume) != ledger->tenant_id_max) {
        mkv_fail(MKV_ORACLE_STATE,
                 "%u tenants are live, the last one made is %u, and by the journal %u and %u", live,
                 mkv_volume_tenant_id_max(volume), ledger->tenants_live, ledger->tenant_id_max);
    }
}

void mkv_ledger_volume(struct mkv_ledger *ledger, const struct mkv_volume *volume,
                       const struct mkv_volume_stats *stats, bool works) {
    ledger->evaluations += 3;
    if (stats->blocks != ledger->live) {
        fail_missing(ledger, volume, stats);
    }
    if (!works && stats->slots_retired != ledger->retired) {
        mkv_fail(MKV_ORACLE_STATE, "%llu slots are retired, and by the journal %llu",
                 ull(stats->slots_retired), ull(ledger->retired));
    }
    if (!works) {
        check_extents(ledger, stats);
    }
    check_tenants(ledger, volume);
}
