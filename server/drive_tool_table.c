/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/checkpoint_page.h"
#include "core/slot_header.h"

#define WINDOW_UNITS 64u
#define COPIES_ALL ((1u << MKV_SUPERBLOCK_COPIES) - 1u)

static bool refuse_memory(const struct mkv_drive_tool *drive, struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "%s: there is no memory for a table of its slots. Free some",
                              drive->path);
}

uint64_t mkv_tool_read_units(const struct mkv_drive_tool *drive, uint64_t unit, uint32_t count,
                             uint8_t *bytes) {
    MKV_ASSERT(count <= 64);
    uint64_t unreadable = 0;
    if (mkv_drive_tool_read(drive, unit, count, bytes) == 0) {
        return 0;
    }
    for (uint32_t index = 0; index < count; index++) {
        if (mkv_drive_tool_read(drive, unit + index, 1, bytes + (size_t)index * MKV_UNIT_BYTES) !=
            0) {
            memset(bytes + (size_t)index * MKV_UNIT_BYTES, 0, MKV_UNIT_BYTES);
            unreadable |= 1ull << index;
        }
    }
    return unreadable;
}

/* ---- superblock ------------------------------------------------------------------------------ */

static void judge_copy(struct mkv_drive_report *report, const uint8_t *unit, uint64_t place,
                       uint32_t copy, bool readable, const struct mkv_superblock *chosen) {
    struct mkv_superblock own;
    if (!readable) {
        mkv_drive_report_fault(report, MKV_DRIVE_FAULT_SUPERBLOCK_COPY, place,
                               "superblock copy %u cannot be read", copy);
        return;
    }
    const enum mkv_err err = mkv_superblock_decode(unit, copy, &own);
    if (err == MKV_ERR_NOT_FORMATTED) {
        mkv_drive_report_fault(report, MKV_DRIVE_FAULT_SUPERBLOCK_COPY, place,
                               "superblock copy %u is none: its magic is not there", copy);
    } else if (err != MKV_OK) {
        mkv_drive_report_fault(report, MKV_DRIVE_FAULT_SUPERBLOCK_COPY, place,
                               "superblock copy %u is rotten, or another copy's", copy);
    } else if (!mkv_uuid_equal(own.drive_uuid, chosen->drive_uuid)) {
        mkv_drive_report_fault(report, MKV_DRIVE_FAULT_SUPERBLOCK_COPY, place,
                               "superblock copy %u is another store's", copy);
    } else {
        mkv_drive_report_note(report,
                              "superblock copy %u has sequence %" PRIu64 ", the others %" PRIu64
                              ": a write of the superblock was cut short",
                              copy, own.sequence, chosen->sequence);
    }
}

bool mkv_tool_superblock_read(const struct mkv_drive_tool *drive, struct mkv_drive_report *report,
                              struct mkv_superblock *superblock, struct mkv_backend_error *error) {
    /* Where the last two copies lie is known from the probe; of a store that it cannot tell, the
     * medium's end is taken. */
    const uint64_t capacity = drive->probe.store_capacity_units != 0
                                  ? drive->probe.store_capacity_units
                                  : drive->media.capacity_units;
    uint8_t *units = mkv_drive_tool_units(MKV_SUPERBLOCK_COPIES);
    if (units == NULL) {
        return refuse_memory(drive, error);
    }
    uint32_t unreadable = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba = mkv_geometry_superblock(capacity, copy);
        unreadable |=
            mkv_tool_read_units(drive, lba.unit, 1, units + copy * (size_t)MKV_UNIT_BYTES) != 0
                ? 1u << copy
                : 0u;
    }
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(units, unreadable, &choice);
    if (choice.err == MKV_OK) {
        *superblock = choice.superblock;
        for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
            if ((choice.repair & (1u << copy)) != 0) {
                judge_copy(report, units + copy * (size_t)MKV_UNIT_BYTES,
                           mkv_geometry_superblock(capacity, copy).unit, copy,
                           (unreadable & (1u << copy)) == 0, superblock);
            }
        }
    } else {
        mkv_drive_report_fault(report, MKV_DRIVE_FAULT_SUPERBLOCK, 0,
                               "no two of the four superblocks agree");
        mkv_backend_refuse(error, MKV_BACKEND_IO,
                           "%s: no two of its four superblocks agree, so nothing says where the "
                           "rest is",
                           drive->path);
    }
    free(units);
    return choice.err == MKV_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Pages that are never touched take no memory. */
static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool table_memory(struct mkv_tool_table *table, struct mkv_backend_error *error) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    table->pages_bytes = geometry->page_count * sizeof *table->pages;
    table->slots_bytes = (size_t)geometry->page_count * MKV_PAGE_SLOTS * sizeof *table->slots;
    table->tenant_count = geometry->tenant_units * MKV_UNIT_TENANTS;
    table->pages = map(table->pages_bytes);
    table->slots = map(table->slots_bytes);
    table->tenants = calloc(table->tenant_count, sizeof *table->tenants);
    table->tenant_ids = calloc(table->tenant_count, sizeof *table->tenant_ids);
    if (table->pages == NULL || table->slots == NULL || table->tenants == NULL ||
        table->tenant_ids == NULL) {
        return refuse_memory(table->drive, error);
    }
    for (uint32_t page = 0; page < geometry->page_count; page++) {
        table->pages[page].extent = MKV_NONE_U32;
    }
    table->tenants[0] = (struct mkv_tenant){
        .id = MKV_TENANT_DEFAULT,
        .state = MKV_TENANT_LIVE,
        .name_bytes = sizeof MKV_TENANT_DEFAULT_NAME - 1,
    };
    memcpy(table->tenants[0].name, MKV_TENANT_DEFAULT_NAME, sizeof MKV_TENANT_DEFAULT_NAME - 1);
    return true;
}

void mkv_tool_table_free(struct mkv_tool_table *table) {
    if (table->pages != NULL) {
        munmap(table->pages, table->pages_bytes);
    }
    if (table->slots != NULL) {
        munmap(table->slots, table->slots_bytes);
    }
    free(table->tenants);
    free(table->tenant_ids);
    free(table->groups);
    memset(table, 0, sizeof *table);
}

/* ---- checkpoint ------------------------------------------------------------------------------ */

static bool head_read(struct mkv_tool_table *table, uint8_t *units,
                      struct mkv_checkpoint_head *head) {
    const struct mkv_superblock *superblock = &table->superblock;
    const uint64_t unit =
        mkv_geometry_checkpoint(&superblock->geometry, superblock->checkpoint_side).unit;
    const char *what = NULL;
    if (mkv_tool_read_units(table->drive, unit, 1, units) != 0) {
        what = "cannot be read";
    } else if (mkv_checkpoint_head_decode(units, head) != MKV_OK) {
        what = "is rotten, or none";
    } else if (!mkv_uuid_equal(head->drive_uuid, superblock->drive_uuid)) {
        what = "is another store's";
    } else if (head->checkpoint_number != superblock->checkpoint_number ||
               head->journal_sequence.value != superblock->journal_sequence.value ||
               head->page_count != superblock->checkpoint_pages ||
               head->page_count > superblock->geometry.page_count ||
               head->tenant_units != superblock->geometry.tenant_units) {
        what = "is not of the checkpoint that the superblock names";
    }
    if (what != NULL) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_CHECKPOINT_HEAD, unit,
                               "head of checkpoint %" PRIu64 " %s", superblock->checkpoint_number,
                               what);
        table->checkpoint_lost = true;
        return false;
    }
    table->generation_max = mkv_max_u64(table->generation_max, head->generation_counter);
    return true;
}

static const char *tenants_take(struct mkv_tool_table *table, const uint8_t *unit, uint32_t index) {
    struct mkv_tenant_page page;
    if (mkv_tenant_page_decode(unit, &page) != MKV_OK) {
        return "are rotten, or none";
    }
    if (!mkv_uuid_equal(page.drive_uuid, table->superblock.drive_uuid) ||
        page.checkpoint_number != table->superblock.checkpoint_number || page.unit_index != index) {
        return "are not of this checkpoint and place";
    }
    table->tenant_stamps[index] = page.stamp.value;
    table->journal_claimed = mkv_max_u64(table->journal_claimed, page.stamp.value);
    table->tenant_id_max = (uint32_t)mkv_max_u64(table->tenant_id_max, page.id_max);
    for (uint32_t i = 0; i < MKV_UNIT_TENANTS; i++) {
        mkv_tenant_page_load(unit, i, &table->tenants[index * MKV_UNIT_TENANTS + i]);
    }
    return NULL;
}

/* Whether extents, slots and page number of a page can be on this drive. */
static bool page_fits(const struct mkv_geometry *geometry, uint32_t extent, uint32_t span,
                      uint32_t slot_units) {
    return span >= 1 && span <= MKV_EXTENT_SPAN_MAX && extent < geometry->extent_count &&
           span <= geometry->extent_count - extent && slot_units >= 1 &&
           slot_units <= (uint64_t)span * geometry->extent_units;
}

static bool slot_fits(const struct mkv_geometry *geometry, const struct mkv_tool_page *page,
                      uint64_t in_extent) {
    return (in_extent + 1) * page->slot_units <= (uint64_t)page->span * geometry->extent_units;
}

static const char *entries_take(struct mkv_tool_table *table, const uint8_t *unit,
                                uint32_t number) {
    const struct mkv_tool_page *page = &table->pages[number];
    for (uint32_t i = 0; i < MKV_PAGE_SLOTS; i++) {
        struct mkv_page_entry entry;
        mkv_checkpoint_page_load(unit, i, &entry);
        if (entry.state == MKV_ENTRY_FREE) {
            continue;
        }
        if (!slot_fits(&table->superblock.geometry, page,
                       (uint64_t)page->page_in_extent * MKV_PAGE_SLOTS + i)) {
            return "has a slot that is not within its extent";
        }
        if (entry.length_units >= page->slot_units ||
            ((entry.block_flags & MKV_BLOCK_MANIFEST) != 0 && entry.length_units > 0)) {
            return "has a block that its slot cannot hold";
        }
        table->slots[(size_t)number * MKV_PAGE_SLOTS + i] = (struct mkv_tool_slot){
            .tag = entry.tag,
            .tenant = entry.tenant,
            .generation_low = entry.generation_low,
            .expiry_s = entry.expiry_s,
            .length_units = entry.length_units,
            .state = entry.state,
            .flags = entry.block_flags,
        };
    }
    return NULL;
}

static const char *page_take(struct mkv_tool_table *table, const uint8_t *unit, uint32_t number) {
    struct mkv_checkpoint_page stored;
    if (mkv_checkpoint_page_decode(unit, &stored) != MKV_OK) {
        return "is rotten, or none";
    }
    if (!mkv_uuid_equal(stored.drive_uuid, table->superblock.drive_uuid) ||
        stored.checkpoint_number != table->superblock.checkpoint_number || stored.page != number) {
        return "is not of this checkpoint and place";
    }
    struct mkv_tool_page *page = &table->pages[number];
    page->stamp = stored.stamp.value;
    table->journal_claimed = mkv_max_u64(table->journal_claimed, stored.stamp.value);
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, number + 1);
    if (stored.extent.index == MKV_NONE_U32) {
        return NULL;
    }
    if (!page_fits(&table->superblock.geometry, stored.extent.index, stored.span,
                   stored.slot_units) ||
        stored.page_in_extent > number) {
        return "names extents that cannot be";
    }
    page->extent = stored.extent.index;
    page->page_in_extent = stored.page_in_extent;
    page->slot_units = (uint16_t)stored.slot_units;
    page->span = (uint8_t)stored.span;
    return entries_take(table, unit, number);
}

static void page_lost(struct mkv_tool_table *table, uint32_t number) {
    struct mkv_tool_page *page = &table->pages[number];
    *page = (struct mkv_tool_page){.extent = MKV_NONE_U32, .lost = true};
    memset(&table->slots[(size_t)number * MKV_PAGE_SLOTS], 0,
           MKV_PAGE_SLOTS * sizeof *table->slots);
    table->checkpoint_lost = true;
}

/* A unit behind the head: first the tenants', then pages. */
static void checkpoint_unit(struct mkv_tool_table *table, const uint8_t *unit, uint64_t place,
                            uint32_t index, bool readable) {
    const uint32_t tenant_units = table->superblock.geometry.tenant_units;
    const bool of_tenants = index < tenant_units;
    const char *what = !readable    ? "cannot be read"
                       : of_tenants ? tenants_take(table, unit, index)
                                    : page_take(table, unit, index - tenant_units);
    if (what == NULL) {
        return;
    }
    if (of_tenants) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_CHECKPOINT_TENANTS, place,
                               "tenants %u of checkpoint %" PRIu64 " %s", index,
                               table->superblock.checkpoint_number, what);
        table->checkpoint_lost = true;
        table->tenants_lost = true;
        return;
    }
    mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_CHECKPOINT_PAGE, place,
                           "page %u of checkpoint %" PRIu64 " %s", index - tenant_units,
                           table->superblock.checkpoint_number, what);
    page_lost(table, index - tenant_units);
}

static bool checkpoint_read(struct mkv_tool_table *table, struct mkv_backend_error *error) {
    const struct mkv_superblock *superblock = &table->superblock;
    struct mkv_checkpoint_head head;
    if ((superblock->flags & MKV_SUPERBLOCK_NO_CHECKPOINT) != 0) {
        return true;
    }
    uint8_t *units = mkv_drive_tool_units(WINDOW_UNITS);
    if (units == NULL) {
        return refuse_memory(table->drive, error);
    }
    const uint64_t first =
        mkv_geometry_checkpoint(&superblock->geometry, superblock->checkpoint_side).unit + 1;
    /* Without a head its pages may still be whole; each says of which checkpoint it is. */
    (void)head_read(table, units, &head);
    const uint32_t total =
        superblock->geometry.tenant_units +
        (uint32_t)mkv_min_u64(superblock->checkpoint_pages, superblock->geometry.page_count);
    for (uint32_t at = 0; at < total; at += WINDOW_UNITS) {
        const uint32_t count = (uint32_t)mkv_min_u64(WINDOW_UNITS, total - at);
        const uint64_t unreadable = mkv_tool_read_units(table->drive, first + at, count, units);
        for (uint32_t i = 0; i < count; i++) {
            checkpoint_unit(table, units + (size_t)i * MKV_UNIT_BYTES, first + at + i, at + i,
                            (unreadable >> i & 1) == 0);
        }
    }
    free(units);
    return true;
}

/* ---- records --------------------------------------------------------------------------------- */

static const char *apply_extent(struct mkv_tool_table *table,
                                const struct mkv_record_extent *record, uint64_t sequence) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    const bool gives = record->slot_units == 0;
    const uint32_t first = gives ? record->released_page_first : record->page_first;
    const uint32_t count = gives ? record->released_page_count : record->page_count;
    if ((record->page_count == 0) != gives || (record->released_page_count == 0) == gives ||
        (uint64_t)first + count > geometry->page_count ||
        !page_fits(geometry, record->extent.index, record->span, gives ? 1 : record->slot_units)) {
        return "an EXTENT whose figures cannot be";
    }
    for (uint32_t i = 0; i < count; i++) {
        struct mkv_tool_page *page = &table->pages[first + i];
        if (page->lost || page->stamp >= sequence) {
            continue;
        }
        if (gives ? page->extent != record->extent.index || page->page_in_extent != i
                  : page->extent != MKV_NONE_U32) {
            return gives ? "an EXTENT gives back pages that it has not"
                         : "an EXTENT takes pages that are in use";
        }
        struct mkv_tool_slot *slots = &table->slots[(size_t)(first + i) * MKV_PAGE_SLOTS];
        for (uint32_t slot = 0; slot < MKV_PAGE_SLOTS; slot++) {
            if (slots[slot].state != MKV_ENTRY_FREE) {
                return "an EXTENT of which a slot is in use";
            }
        }
        page->extent = gives ? MKV_NONE_U32 : record->extent.index;
        page->page_in_extent = gives ? 0 : i;
        page->slot_units = (uint16_t)record->slot_units;
        page->span = (uint8_t)(gives ? 0 : record->span);
    }
    table->page_high = (uint32_t)mkv_max_u64(table->page_high, gives ? 0 : (uint64_t)first + count);
    return NULL;
}

static const char *apply_put(struct mkv_tool_table *table, struct mkv_tool_slot *slot,
                             const struct mkv_tool_page *page, const struct mkv_record_put *put) {
    if (slot->state != MKV_ENTRY_FREE) {
        return "a PUT into a slot that is in use";
    }
    if (put->length > MKV_BLOCK_BYTES_MAX ||
        mkv_slot_content_units(put->length) > page->slot_units) {
        return "a PUT that its slot cannot hold";
    }
    *slot = (struct mkv_tool_slot){
        .tag = put->tag,
        .tenant = put->tenant,
        .generation_low = (uint32_t)put->generation.value,
        .generation_high = (uint32_t)(put->generation.value >> 32),
        .expiry_s = put->expiry_s,
        .length = put->length,
        .length_units = (uint16_t)mkv_slot_payload_units(put->length),
        .state = MKV_ENTRY_LIVE,
        .flags = (uint8_t)(put->block_flags | MKV_TOOL_SLOT_EXACT),
    };
    memcpy(&slot->root_first, put->root.bytes, sizeof slot->root_first);
    table->generation_max =
        mkv_max_u64(table->generation_max, mkv_generation_counter(put->generation));
    return NULL;
}

static const char *apply_tenant(struct mkv_tool_table *table, const struct mkv_record *record,
                                uint64_t sequence) {
    const bool drop = record->kind == MKV_RECORD_TENANT_DROP;
    const uint32_t place = drop ? record->tenant_drop.place : record->tenant.place;
    if (place >= table->tenant_count) {
        return "a tenant at a place that is none";
    }
    struct mkv_tenant *tenant = &table->tenants[place];
    if (table->tenant_stamps[place / MKV_UNIT_TENANTS] >= sequence) {
        return NULL;
    }
    if (drop) {
        if (tenant->state != MKV_TENANT_LIVE || tenant->id != record->tenant_drop.id) {
            return "a TENANT_DROP of a tenant that is not there";
        }
        tenant->state = MKV_TENANT_DROPPED;
        return NULL;
    }
    if (tenant->state == MKV_TENANT_LIVE) {
        return "a TENANT in a place that is taken";
    }
    *tenant = (struct mkv_tenant){
        .id = record->tenant.id,
        .state = MKV_TENANT_LIVE,
        .name_bytes = (uint8_t)record->tenant.name_bytes,
    };
    memcpy(tenant->name, record->tenant.name, sizeof tenant->name);
    table->tenant_id_max = (uint32_t)mkv_max_u64(table->tenant_id_max, record->tenant.id);
    return NULL;
}

static uint32_t slot_of(const struct mkv_record *record) {
    switch (record->kind) {
    case MKV_RECORD_PUT:
        return record->put.slot.index;
    case MKV_RECORD_DROP:
        return record->drop.slot.index;
    case MKV_RECORD_RETIRE:
        return record->retire.slot.index;
    case MKV_RECORD_EXPIRY:
        return record->expiry.slot.index;
    case MKV_RECORD_EXTENT:
    case MKV_RECORD_TENANT:
    case MKV_RECORD_TENANT_DROP:
        break;
    }
    MKV_ASSERT(false); /* those name no slot */
    return MKV_NONE_U32;
}

/* DROP and EXPIRY name the block that is meant. */
static bool is_block(const struct mkv_tool_slot *slot, struct mkv_generation generation) {
    return slot->state == MKV_ENTRY_LIVE && slot->generation_low == (uint32_t)generation.value;
}

static const char *apply_slot(struct mkv_tool_table *table, const struct mkv_record *record,
                              uint64_t sequence) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    const uint32_t number = slot_of(record);
    if (number / MKV_PAGE_SLOTS >= geometry->page_count) {
        return "a slot that is none";
    }
    const struct mkv_tool_page *page = &table->pages[number / MKV_PAGE_SLOTS];
    if (page->lost || page->stamp >= sequence) {
        return NULL;
    }
    if (page->extent == MKV_NONE_U32 ||
        !slot_fits(geometry, page,
                   (uint64_t)page->page_in_extent * MKV_PAGE_SLOTS + number % MKV_PAGE_SLOTS)) {
        return "a slot that belongs to no extent";
    }
    struct mkv_tool_slot *slot = &table->slots[number];
    if (record->kind == MKV_RECORD_PUT) {
        return apply_put(table, slot, page, &record->put);
    }
    if (record->kind == MKV_RECORD_DROP) {
        if (!is_block(slot, record->drop.generation)) {
            return "a DROP of a block that is not there";
        }
        *slot = (struct mkv_tool_slot){.state = record->drop.retired ? MKV_ENTRY_RETIRED
                                                                     : MKV_ENTRY_FREE};
        return NULL;
    }
    if (record->kind == MKV_RECORD_RETIRE) {
        if (slot->state != MKV_ENTRY_FREE) {
            return "a RETIRE of a slot that is in use";
        }
        slot->state = MKV_ENTRY_RETIRED;
        return NULL;
    }
    if (!is_block(slot, record->expiry.generation)) {
        return "an EXPIRY of a block that is not there";
    }
    slot->expiry_s = record->expiry.expiry_s;
    return NULL;
}

const char *mkv_tool_table_apply(struct mkv_tool_table *table, const struct mkv_record *record,
                                 uint64_t sequence) {
    table->journal_records++;
    if (record->kind == MKV_RECORD_EXTENT) {
        return apply_extent(table, &record->extent, sequence);
    }
    if (record->kind == MKV_RECORD_TENANT || record->kind == MKV_RECORD_TENANT_DROP) {
        return apply_tenant(table, record, sequence);
    }
    return apply_slot(table, record, sequence);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static int compare_groups(const void *a, const void *b) {
    const struct mkv_tool_group *one = a;
    const struct mkv_tool_group *other = b;
    return one->extent < other->extent ? -1 : one->extent > other->extent;
}

static int compare_ids(const void *a, const void *b) {
    const uint32_t one = *(const uint32_t *)a;
    const uint32_t other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

static void page_out_of_row(struct mkv_tool_table *table, uint32_t number) {
    const struct mkv_tool_page *page = &table->pages[number];
    if (table->checkpoint_lost) {
        return; /* it may belong to a page that is lost */
    }
    mkv_drive_report_fault(
        table->report, MKV_DRIVE_FAULT_EXTENT_MAP,
        mkv_geometry_extent(&table->superblock.geometry, (struct mkv_extent){page->extent}).unit,
        "page %u, of extent %u, does not go on from the page before it", number, page->extent);
}

/* The pages of a group stand in a row, the first of them being the first. */
static bool groups_make(struct mkv_tool_table *table, struct mkv_backend_error *error) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    table->groups = calloc((size_t)geometry->extent_count + 1, sizeof *table->groups);
    if (table->groups == NULL) {
        return refuse_memory(table->drive, error);
    }
    struct mkv_tool_group *group = NULL;
    for (uint32_t number = 0; number < table->page_high; number++) {
        const struct mkv_tool_page *page = &table->pages[number];
        if (page->extent == MKV_NONE_U32) {
            group = NULL;
            continue;
        }
        if (page->page_in_extent == 0) {
            if (table->group_count == geometry->extent_count) {
                page_out_of_row(table, number);
                return true;
            }
            group = &table->groups[table->group_count++];
            *group =
                (struct mkv_tool_group){page->extent, page->span, page->slot_units, number, 1, 0};
        } else if (group != NULL && group->extent == page->extent &&
                   group->page_count == page->page_in_extent && group->span == page->span &&
                   group->slot_units == page->slot_units) {
            group->page_count++;
        } else {
            page_out_of_row(table, number);
            group = NULL;
        }
    }
    return true;
}

static void groups_check(struct mkv_tool_table *table) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    qsort(table->groups, table->group_count, sizeof *table->groups, compare_groups);
    uint32_t end = 0;
    for (uint32_t i = 0; i < table->group_count; i++) {
        struct mkv_tool_group *group = &table->groups[i];
        const uint64_t fit = (uint64_t)group->span * geometry->extent_units / group->slot_units;
        group->slot_count =
            (uint32_t)mkv_min_u64(fit, (uint64_t)group->page_count * MKV_PAGE_SLOTS);
        if (i > 0 && group->extent < end) {
            mkv_drive_report_fault(
                table->report, MKV_DRIVE_FAULT_EXTENT_MAP,
                mkv_geometry_extent(geometry, (struct mkv_extent){group->extent}).unit,
                "extent %u belongs to two groups: slots would lie over each other", group->extent);
        }
        end = (uint32_t)mkv_max_u64(end, (uint64_t)group->extent + group->span);
    }
}

static void count_slots(struct mkv_tool_table *table) {
    for (uint32_t i = 0; i < table->group_count; i++) {
        const struct mkv_tool_group *group = &table->groups[i];
        const struct mkv_tool_slot *slots =
            &table->slots[(size_t)group->page_first * MKV_PAGE_SLOTS];
        for (uint32_t slot = 0; slot < group->slot_count; slot++) {
            table->retired_count += slots[slot].state == MKV_ENTRY_RETIRED;
            if (slots[slot].state == MKV_ENTRY_LIVE) {
                table->live_count++;
                table->live_bytes += (1ull + slots[slot].length_units) * MKV_UNIT_BYTES;
            }
        }
    }
}

static void tenants_sort(struct mkv_tool_table *table) {
    for (uint32_t place = 0; place < table->tenant_count; place++) {
        if (table->tenants[place].state != MKV_TENANT_FREE) {
            table->tenant_ids[table->tenant_id_count++] = table->tenants[place].id;
        }
    }
    qsort(table->tenant_ids, table->tenant_id_count, sizeof *table->tenant_ids, compare_ids);
}

bool mkv_tool_table_has_tenant(const struct mkv_tool_table *table, uint32_t id) {
    return bsearch(&id, table->tenant_ids, table->tenant_id_count, sizeof id, compare_ids) != NULL;
}

struct mkv_lba mkv_tool_table_lba(const struct mkv_tool_table *table, uint32_t slot) {
    const struct mkv_tool_page *page = &table->pages[slot / MKV_PAGE_SLOTS];
    MKV_ASSERT(page->extent != MKV_NONE_U32);
    const struct mkv_lba first =
        mkv_geometry_extent(&table->superblock.geometry, (struct mkv_extent){page->extent});
    const uint64_t in_extent =
        (uint64_t)page->page_in_extent * MKV_PAGE_SLOTS + slot % MKV_PAGE_SLOTS;
    return (struct mkv_lba){first.unit + in_extent * page->slot_units};
}

bool mkv_tool_table_read(struct mkv_tool_table *table, const struct mkv_drive_tool *drive,
                         struct mkv_drive_report *report, struct mkv_backend_error *error) {
    memset(table, 0, sizeof *table);
    table->drive = drive;
    table->report = report;
    if (!mkv_tool_superblock_read(drive, report, &table->superblock, error) ||
        !table_memory(table, error)) {
        return false;
    }
    table->generation_max = table->superblock.generation_counter;
    table->epoch_max = table->superblock.epoch;
    if (!checkpoint_read(table, error) || !mkv_tool_journal_read(table, error) ||
        !groups_make(table, error)) {
        return false;
    }
    groups_check(table);
    count_slots(table);
    tenants_sort(table);
    return true;
}
