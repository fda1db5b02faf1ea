/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every live slot of the table: its header against the table, its payload against the sums, and its
 * key against all others. Groups are gone through in the order in which they lie on the drive, some
 * MiB at a time where slots are small.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/checkpoint_page.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "core/slot_header.h"
#include "server/drive_tool_verify.h"

/* Read at once where slots lie side by side. */
#define AHEAD_UNITS 1024u
#define KEY_SHOWN_BYTES 80u

struct check {
    struct mkv_tool_table *table;
    uint64_t listed_generation;
    /* Units that were read: as many as the largest slot has. */
    uint8_t *units;
    uint64_t unit_first;
    uint32_t unit_count;
    /* Slot numbers by tag: an open hash. */
    uint32_t *tags;
    uint32_t tag_mask;
    uint8_t *other; /* a unit: the header of a block with the same tag */
    uint64_t done_bytes;
};

/* The units from `unit` on, of which `count` are needed and `room` may be read. NULL: they cannot
 * be read. */
static uint8_t *fetch(struct check *check, uint64_t unit, uint32_t count, uint64_t room) {
    if (unit >= check->unit_first && unit + count <= check->unit_first + check->unit_count) {
        return check->units + (size_t)(unit - check->unit_first) * MKV_UNIT_BYTES;
    }
    const uint32_t ahead = (uint32_t)mkv_max_u64(count, mkv_min_u64(room, AHEAD_UNITS));
    check->unit_first = unit;
    check->unit_count = ahead;
    if (mkv_drive_tool_read(check->table->drive, unit, ahead, check->units) == 0) {
        return check->units;
    }
    check->unit_count = count;
    if (ahead > count && mkv_drive_tool_read(check->table->drive, unit, count, check->units) == 0) {
        return check->units;
    }
    check->unit_count = 0;
    return NULL;
}

/* What is wrong with a header, or NULL. */
static const char *judge_header(const struct mkv_tool_table *table, uint32_t slot,
                                const struct mkv_slot_header *header) {
    const struct mkv_tool_slot *entry = &table->slots[slot];
    const bool exact = (entry->flags & MKV_TOOL_SLOT_EXACT) != 0;
    if (!mkv_uuid_equal(header->drive_uuid, table->superblock.drive_uuid)) {
        return "is another store's";
    }
    if (header->slot.index != slot) {
        return "is another slot's: a misdirected write";
    }
    if ((uint32_t)header->generation.value != entry->generation_low ||
        (exact && (uint32_t)(header->generation.value >> 32) != entry->generation_high)) {
        return "is of another generation: a write that was lost";
    }
    if (header->tenant != entry->tenant) {
        return "is another tenant's than the slot table says";
    }
    if (mkv_key_tag(header->tenant, header->key, header->key_bytes) != entry->tag) {
        return "has another key than the slot table says";
    }
    if (mkv_slot_payload_units(header->length) != entry->length_units ||
        (exact && header->length != entry->length)) {
        return "has another length than the slot table says";
    }
    if (header->block_flags != (entry->flags & MKV_BLOCK_FLAGS)) {
        return "is another kind of block than the slot table says";
    }
    if (exact && memcmp(header->root.bytes, &entry->root_first, sizeof entry->root_first) != 0) {
        return "has another root than its PUT record says";
    }
    if (mkv_generation_counter(header->generation) > table->superblock.generation_counter) {
        return "has a generation that was never given out";
    }
    return NULL;
}

static void slot_fault(struct check *check, enum mkv_drive_fault fault, uint32_t slot,
                       uint64_t unit, const char *what) {
    struct mkv_tool_slot *entry = &check->table->slots[slot];
    entry->flags |= MKV_TOOL_SLOT_DAMAGED;
    mkv_drive_report_fault(check->table->report, fault, unit, "slot %u: the %s", slot, what);
    mkv_drive_report_slot(check->table->report, slot, mkv_tool_table_lba(check->table, slot).unit);
}

/* ---- one key, one block ---------------------------------------------------------------------- */

static void key_twice(struct check *check, uint32_t slot, const struct mkv_slot_header *header,
                      uint32_t before, uint64_t unit) {
    const struct mkv_tool_table *table = check->table;
    struct mkv_slot_header twin;
    if (mkv_drive_tool_read(table->drive, mkv_tool_table_lba(table, before).unit, 1,
                            check->other) != 0 ||
        mkv_slot_header_decode(check->other, &twin) != MKV_OK || twin.tenant != header->tenant ||
        twin.key_bytes != header->key_bytes ||
        memcmp(twin.key, header->key, header->key_bytes) != 0) {
        return; /* another key with the same tag */
    }
    /* The newer one is the key's. */
    const bool own_is_older =
        mkv_generation_counter(header->generation) < mkv_generation_counter(twin.generation);
    mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_SLOT_TABLE, unit,
                           "slots %u and %u hold blocks of the same key", before, slot);
    const uint32_t older = own_is_older ? slot : before;
    mkv_drive_report_slot(table->report, older, mkv_tool_table_lba(table, older).unit);
}

static void look_for_twins(struct check *check, uint32_t slot, const struct mkv_slot_header *header,
                           uint64_t unit) {
    const struct mkv_tool_slot *slots = check->table->slots;
    uint32_t at = (uint32_t)slots[slot].tag & check->tag_mask;
    for (; check->tags[at] != MKV_NONE_U32; at = (at + 1) & check->tag_mask) {
        const struct mkv_tool_slot *other = &slots[check->tags[at]];
        if (other->tag == slots[slot].tag && other->tenant == slots[slot].tenant) {
            key_twice(check, slot, header, check->tags[at], unit);
        }
    }
    check->tags[at] = slot;
}

/* ---- payloads -------------------------------------------------------------------------------- */

/* As much of a key as a line takes; what is not printable becomes '?'. */
static void show_key(const struct mkv_slot_header *header, char out[KEY_SHOWN_BYTES + 1]) {
    const uint32_t count = (uint32_t)mkv_min_u64(header->key_bytes, KEY_SHOWN_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = (char)(header->key[i] > 0x20 && header->key[i] < 0x7f ? header->key[i] : '?');
    }
    out[count] = '\0';
}

static void check_payload(struct check *check, uint32_t slot, const struct mkv_slot_header *header,
                          const uint8_t *payload, uint64_t unit) {
    const uint32_t chunk_bytes = mkv_chunk_bytes(header->length);
    const uint32_t count = mkv_chunk_count(header->length);
    char what[192];
    char key[KEY_SHOWN_BYTES + 1];
    show_key(header, key);
    for (uint32_t chunk = 0; chunk < count; chunk++) {
        const uint32_t offset = chunk * chunk_bytes;
        const uint64_t bytes = mkv_min_u64(chunk_bytes, header->length - offset);
        if (mkv_hash_64(payload + offset, bytes) !=
            mkv_load_u64(header->sums + 8 * (size_t)chunk)) {
            snprintf(what, sizeof what, "payload is rotten in chunk %u of %u; its key: %s", chunk,
                     count, key);
            const bool is_inline = mkv_slot_payload_units(header->length) == 0;
            slot_fault(check, MKV_DRIVE_FAULT_SLOT_PAYLOAD, slot,
                       is_inline ? unit : unit + 1 + offset / MKV_UNIT_BYTES, what);
            return;
        }
    }
    struct mkv_manifest manifest;
    if ((header->block_flags & MKV_BLOCK_MANIFEST) != 0 &&
        (header->length != MKV_MANIFEST_BYTES || !mkv_manifest_decode(payload, &manifest))) {
        slot_fault(check, MKV_DRIVE_FAULT_SLOT_PAYLOAD, slot, unit, "payload is no manifest");
    }
}

static void check_slot(struct check *check, const struct mkv_tool_group *group, uint32_t slot) {
    struct mkv_tool_table *table = check->table;
    struct mkv_tool_slot *entry = &table->slots[slot];
    const uint64_t unit = mkv_tool_table_lba(table, slot).unit;
    const uint64_t group_end =
        mkv_geometry_extent(&table->superblock.geometry, (struct mkv_extent){group->extent}).unit +
        (uint64_t)group->span * table->superblock.geometry.extent_units;
    const uint32_t units = 1u + entry->length_units;
    uint8_t *bytes = fetch(check, unit, units, group_end - unit);
    const bool payload_unreadable = bytes == NULL && units > 1;
    if (payload_unreadable) {
        bytes = fetch(check, unit, 1, 1);
    }
    struct mkv_slot_header header;
    const char *what = NULL;
    if (bytes == NULL) {
        what = "cannot be read";
    } else if (mkv_slot_header_decode(bytes, &header) != MKV_OK) {
        what = "is rotten, or none";
    } else {
        what = judge_header(table, slot, &header);
    }
    if (what != NULL) {
        char text[96];
        snprintf(text, sizeof text, "header %s", what);
        slot_fault(check, MKV_DRIVE_FAULT_SLOT_HEADER, slot, unit, text);
        return;
    }
    const uint64_t counter = mkv_generation_counter(header.generation);
    table->generation_max = mkv_max_u64(table->generation_max, counter);
    entry->flags |= counter > check->listed_generation ? MKV_TOOL_SLOT_NEWER : 0;
    if (!table->tenants_lost && !mkv_tool_table_has_tenant(table, header.tenant)) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_SLOT_TABLE, unit,
                               "slot %u: the block is of tenant %u, which there is none of", slot,
                               header.tenant);
        mkv_drive_report_slot(table->report, slot, unit);
    }
    if (payload_unreadable) {
        slot_fault(check, MKV_DRIVE_FAULT_SLOT_PAYLOAD, slot, unit + 1, "payload cannot be read");
        return;
    }
    const bool is_inline = units == 1;
    check_payload(check, slot, &header,
                  bytes + (is_inline ? MKV_SLOT_INLINE_OFFSET : MKV_UNIT_BYTES), unit);
    look_for_twins(check, slot, &header, unit);
}

static bool make_memory(struct check *check, struct mkv_backend_error *error) {
    uint64_t count = 1024;
    while (count < 2 * check->table->live_count) {
        count *= 2;
    }
    check->tag_mask = (uint32_t)(count - 1);
    check->tags = malloc(count * sizeof *check->tags);
    check->units = mkv_drive_tool_units(MKV_DRIVE_TOOL_UNITS_MAX);
    check->other = mkv_drive_tool_units(1);
    if (check->tags == NULL || check->units == NULL || check->other == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s: there is no memory to read its slots. Free some",
                                  check->table->drive->path);
    }
    memset(check->tags, 0xff, count * sizeof *check->tags);
    return true;
}

bool mkv_tool_slots_check(struct mkv_tool_table *table, uint64_t listed_generation,
                          struct mkv_backend_error *error) {
    struct check check = {.table = table, .listed_generation = listed_generation};
    const struct mkv_drive_report *report = table->report;
    const bool done = make_memory(&check, error);
    for (uint32_t i = 0; i < table->group_count && done; i++) {
        const struct mkv_tool_group *group = &table->groups[i];
        for (uint32_t index = 0; index < group->slot_count; index++) {
            const uint32_t slot = group->page_first * MKV_PAGE_SLOTS + index;
            if (table->slots[slot].state != MKV_ENTRY_LIVE) {
                continue;
            }
            check_slot(&check, group, slot);
            check.done_bytes += (1ull + table->slots[slot].length_units) * MKV_UNIT_BYTES;
            if (report->progress != NULL) {
                report->progress(report->context, check.done_bytes, table->live_bytes);
            }
        }
    }
    free(check.tags);
    free(check.units);
    free(check.other);
    return done;
}
