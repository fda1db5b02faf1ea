/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checkpoint_page.h"
#include "server/drive_tool_volume.h"

#define NAMED_MAX 20u

/* ---- against recovery ------------------------------------------------------------------------ */

/* What recovery says while it runs. */
struct recovery {
    bool empty;
    enum mkv_err err;
};

static void on_event(void *context, const struct mkv_event *event) {
    struct recovery *recovery = context;
    if (event->kind == MKV_EVENT_CAME_UP_EMPTY) {
        recovery->empty = true;
        recovery->err = event->err;
    }
}

static bool same_block(const struct mkv_tool_table *table, const struct mkv_volume_block *block) {
    const struct mkv_tool_slot *slot = &table->slots[block->slot.index];
    return slot->state == MKV_ENTRY_LIVE && slot->tag == block->tag &&
           slot->tenant == block->tenant && slot->generation_low == block->generation_low &&
           slot->length_units == block->length_units && slot->expiry_s == block->expiry_s &&
           (slot->flags & MKV_BLOCK_FLAGS) == block->block_flags &&
           mkv_tool_table_lba(table, block->slot.index).unit == block->lba.unit;
}

static void compare_blocks(const struct mkv_tool_table *table, const struct mkv_volume *core) {
    uint32_t cursor = 0;
    uint64_t blocks = 0;
    uint64_t differing = 0;
    struct mkv_volume_block block;
    while (mkv_volume_next_block(core, &cursor, &block)) {
        blocks++;
        if (same_block(table, &block)) {
            continue;
        }
        differing++;
        if (differing <= NAMED_MAX) {
            mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_RECOVERY, block.lba.unit,
                                   "slot %u: recovery finds another block there than checkpoint "
                                   "and journal say",
                                   block.slot.index);
        }
    }
    if (blocks != table->live_count || differing > NAMED_MAX) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_RECOVERY, 0,
                               "recovery finds %" PRIu64 " blocks, checkpoint and journal name "
                               "%" PRIu64 "; %" PRIu64 " differ",
                               blocks, table->live_count, differing);
    }
}

/* The core opens the store; what it writes stays in memory. */
static bool recovery_check(const struct mkv_tool_table *table, struct mkv_backend_error *error) {
    struct mkv_volume_config config;
    struct recovery recovery = {0};
    mkv_drive_tool_volume_config(&table->superblock, table->drive->media.capacity_units, &config);
    const struct mkv_drive_tool_volume_options options = {
        .drive = table->drive,
        .config = &config,
        .dry = true,
        .event = on_event,
        .context = &recovery,
    };
    struct mkv_drive_tool_volume *volume;
    if (!mkv_drive_tool_volume_create(&options, &volume, error)) {
        return false;
    }
    struct mkv_backend_error why;
    const bool opened = mkv_drive_tool_volume_open(volume, NULL, false, &why);
    if (!opened) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_RECOVERY, 0, "%.200s", why.text);
    } else if (recovery.empty && !table->checkpoint_lost && !table->journal_lost) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_RECOVERY, 0,
                               "recovery would come up empty, and nothing here says why (%u)",
                               (unsigned)recovery.err);
    } else if (!recovery.empty && !table->checkpoint_lost && !table->journal_lost) {
        compare_blocks(table, mkv_drive_tool_volume_core(volume));
    }
    mkv_drive_tool_volume_destroy(volume);
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void tell(const struct mkv_tool_table *table, struct mkv_drive_verified *verified) {
    verified->readable = true;
    verified->superblock = table->superblock;
    verified->blocks = table->live_count;
    verified->bytes = table->live_bytes;
    verified->journal_blocks = table->journal_next - table->journal_first;
    verified->journal_records = table->journal_records;
    verified->groups = table->group_count;
    verified->tenants = table->tenant_id_count;
    verified->checkpoint_lost = table->checkpoint_lost;
    verified->journal_lost = table->journal_lost;
    verified->journal_next = table->journal_next;
    verified->journal_chain = table->chain;
    verified->generation_max = table->generation_max;
    verified->epoch_max = table->epoch_max;
}

static bool check_all(struct mkv_tool_table *table, struct mkv_drive_verified *verified,
                      struct mkv_backend_error *error) {
    struct mkv_directory_root root = {0};
    bool root_bad = false;
    error->text[0] = '\0';
    const bool listed = mkv_tool_directory_root(table, &root, &root_bad, error);
    if (!listed && error->text[0] != '\0') {
        return false;
    }
    if (!mkv_tool_slots_check(table, listed ? root.listed_generation : 0, error)) {
        return false;
    }
    tell(table, verified);
    if (listed && !mkv_tool_directory_check(table, &root, verified, error)) {
        return false;
    }
    const uint64_t *counts = table->report->counts;
    verified->directory_bad = root_bad || counts[MKV_DRIVE_FAULT_DIRECTORY_ROOT] > 0 ||
                              counts[MKV_DRIVE_FAULT_DIRECTORY_NODE] > 0 ||
                              counts[MKV_DRIVE_FAULT_DIRECTORY_ENTRY] > 0 ||
                              counts[MKV_DRIVE_FAULT_COUNT_WRONG] > 0;
    return recovery_check(table, error);
}

bool mkv_drive_verify(const struct mkv_drive_tool *drive, struct mkv_drive_report *report,
                      struct mkv_drive_verified *verified, struct mkv_backend_error *error) {
    struct mkv_tool_table table;
    memset(verified, 0, sizeof *verified);
    const bool read = mkv_tool_table_read(&table, drive, report, error);
    const bool done =
        read ? check_all(&table, verified, error) : report->counts[MKV_DRIVE_FAULT_SUPERBLOCK] > 0;
    mkv_tool_table_free(&table);
    return done;
}
