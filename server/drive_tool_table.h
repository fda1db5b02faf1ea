/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drive's metadata says that it holds, read by this file's own rules and not by those of the
 * core: superblock, checkpoint and journal become a table of slots, which the slots themselves and
 * the directory are then held against. Only the codecs of single units (core/<...>.h), which the
 * test vectors of docs/on-disk-format.md fix, are shared with the core; so a mistake in its
 * recovery, its tables or its writers shows as a fault.
 *
 *     superblocks -> checkpoint head, tenants, pages -> journal, both copies -> groups of extents
 *
 * Nothing is written. What is wrong is reported, and reading goes on with what is left: a page that
 * is lost has no slots, a record that contradicts the table is passed over.
 *
 * Memory: 40 bytes for each slot number in use and 24 for each page; nothing else grows with the
 * drive.
 *
 * Not responsible for: slots and payloads (drive_tool_slots.c), the directory
 * (drive_tool_directory.c).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_TABLE_H
#define MKV_SERVER_DRIVE_TOOL_TABLE_H

#include "core/journal_block.h"
#include "core/superblock.h"
#include "core/tenant_page.h"
#include "server/drive_tool.h"
#include "server/drive_tool_report.h"

/* Beside MKV_BLOCK_FLAGS in the flags of a slot. */
#define MKV_TOOL_SLOT_EXACT 0x10u  /* a PUT record told length, root and generation in full */
#define MKV_TOOL_SLOT_LISTED 0x20u /* the directory has it */
#define MKV_TOOL_SLOT_NEWER 0x40u  /* the directory need not have it yet */
#define MKV_TOOL_SLOT_DAMAGED 0x80u

struct mkv_tool_slot {
    uint64_t tag;
    uint64_t root_first; /* EXACT: the first 8 bytes of the root */
    uint32_t tenant;
    uint32_t generation_low;
    uint32_t generation_high; /* EXACT */
    uint32_t expiry_s;
    uint32_t length; /* EXACT */
    uint16_t length_units;
    uint8_t state; /* enum mkv_entry_state */
    uint8_t flags;
};
_Static_assert(sizeof(struct mkv_tool_slot) == 40, "what the header says of memory");

struct mkv_tool_page {
    uint64_t stamp;
    uint32_t extent; /* MKV_NONE_U32: unused */
    uint32_t page_in_extent;
    uint16_t slot_units;
    uint8_t span;
    bool lost; /* its unit in the checkpoint is damaged: nothing is known of its slots */
};

/* Extents that are used as one. */
struct mkv_tool_group {
    uint32_t extent;
    uint32_t span;
    uint32_t slot_units;
    uint32_t page_first;
    uint32_t page_count;
    uint32_t slot_count;
};

struct mkv_tool_table {
    const struct mkv_drive_tool *drive;
    struct mkv_drive_report *report;
    struct mkv_superblock superblock;
    uint32_t page_high; /* pages at and behind it are unused */
    struct mkv_tool_page *pages;
    struct mkv_tool_slot *slots;
    size_t pages_bytes, slots_bytes;
    struct mkv_tenant *tenants;
    uint32_t *tenant_ids; /* those that are not free, in ascending order */
    uint32_t tenant_id_count;
    uint64_t tenant_stamps[MKV_TENANT_UNITS_MAX];
    uint32_t tenant_count; /* places */
    uint32_t tenant_id_max;
    struct mkv_tool_group *groups; /* in the order of their extents */
    uint32_t group_count;
    uint64_t live_count;
    uint64_t live_bytes; /* of headers and payloads */
    uint64_t retired_count;
    uint64_t journal_first; /* the first block that replay takes */
    uint64_t journal_next;  /* behind the last one */
    uint64_t
        journal_claimed; /* the highest sequence that a later block, or a page, calls flushed */
    uint64_t journal_records;
    uint64_t chain;          /* of the last block */
    uint64_t generation_max; /* counters that were seen */
    uint32_t epoch_max;
    bool checkpoint_lost; /* some of it: recovery would come up empty */
    bool journal_lost;    /* likewise */
    bool tenants_lost;
};

/* Reads superblock, checkpoint and journal of a drive. False: there is no superblock to go by,
 * which was reported, or no memory. */
__attribute__((warn_unused_result)) bool mkv_tool_table_read(struct mkv_tool_table *table,
                                                             const struct mkv_drive_tool *drive,
                                                             struct mkv_drive_report *report,
                                                             struct mkv_backend_error *error);
void mkv_tool_table_free(struct mkv_tool_table *table);

/* Where a slot that is within its group lies. */
struct mkv_lba mkv_tool_table_lba(const struct mkv_tool_table *table, uint32_t slot);
/* Whether a tenant stands in the table, live or being dropped. */
bool mkv_tool_table_has_tenant(const struct mkv_tool_table *table, uint32_t id);

/* ---- its parts ------------------------------------------------------------------------------- */

/* Reads units, and where that fails one by one; bit by bit `unreadable` says which of up to 64
 * could not be. */
uint64_t mkv_tool_read_units(const struct mkv_drive_tool *drive, uint64_t unit, uint32_t count,
                             uint8_t *bytes);
/* The four copies, and what they come to. */
__attribute__((warn_unused_result)) bool mkv_tool_superblock_read(
    const struct mkv_drive_tool *drive, struct mkv_drive_report *report,
    struct mkv_superblock *superblock, struct mkv_backend_error *error);
/* The journal onto the table. */
__attribute__((warn_unused_result)) bool mkv_tool_journal_read(struct mkv_tool_table *table,
                                                               struct mkv_backend_error *error);
/* One record; NULL, or what it contradicts. */
const char *mkv_tool_table_apply(struct mkv_tool_table *table, const struct mkv_record *record,
                                 uint64_t sequence);
/* Whether a unit is the block of this drive with that sequence, at its place. */
bool mkv_tool_journal_is(const struct mkv_superblock *superblock, const uint8_t *unit,
                         uint64_t sequence, struct mkv_journal_header *header);

#endif
