/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recovery does not take, and repair may: a superblock that stands alone, and the checkpoint
 * before the last one.
 */
#include <stdlib.h>
#include <string.h>

#include "core/checkpoint_page.h"
#include "server/drive_tool_repair.h"

#define WINDOW_UNITS 64u
/* Far above what one superblock reserves for the next. */
#define GENERATIONS_AHEAD (1ull << 30)

/* ---- superblock ------------------------------------------------------------------------------ */

/* Takes a copy over if it is whole, and newer than what there is. False: it is of another store. */
static bool single_take(const struct mkv_drive_tool *drive, uint64_t unit, uint32_t copy,
                        uint8_t *bytes, struct mkv_superblock *superblock, bool *found) {
    struct mkv_superblock own;
    if (unit >= drive->media.capacity_units || mkv_drive_tool_read(drive, unit, 1, bytes) != 0 ||
        mkv_superblock_decode(bytes, copy, &own) != MKV_OK ||
        own.geometry.capacity_units > drive->media.capacity_units ||
        mkv_geometry_superblock(own.geometry.capacity_units, copy).unit != unit) {
        return true;
    }
    if (*found && !mkv_uuid_equal(own.drive_uuid, superblock->drive_uuid)) {
        return false;
    }
    if (!*found || own.sequence > superblock->sequence) {
        *superblock = own;
    }
    *found = true;
    return true;
}

bool mkv_tool_superblock_single(const struct mkv_drive_tool *drive,
                                struct mkv_superblock *superblock,
                                struct mkv_backend_error *error) {
    uint8_t *bytes = mkv_drive_tool_units(1);
    if (bytes == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    bool found = false;
    bool one_store = true;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES && one_store; copy++) {
        /* The last two lie at the store's end, which a copy at the start may tell. */
        const uint64_t capacity =
            found ? superblock->geometry.capacity_units : drive->media.capacity_units;
        one_store = single_take(drive, mkv_geometry_superblock(capacity, copy).unit, copy, bytes,
                                superblock, &found);
    }
    free(bytes);
    if (!found) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "%s: none of its four superblocks is whole. Without one nothing "
                                  "says where anything is; what is left is memkv drive wipe",
                                  drive->path);
    }
    if (!one_store) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "%s: single superblocks of two stores are on it, and nothing "
                                  "says which one counts",
                                  drive->path);
    }
    superblock->sequence++;
    superblock->flags &= ~MKV_SUPERBLOCK_CLEAN;
    superblock->generation_counter += GENERATIONS_AHEAD;
    return true;
}

/* ---- checkpoint ------------------------------------------------------------------------------ */

static bool unit_is_whole(const struct mkv_superblock *twin, const uint8_t *unit, uint32_t index) {
    const uint32_t tenant_units = twin->geometry.tenant_units;
    if (index < tenant_units) {
        struct mkv_tenant_page page;
        return mkv_tenant_page_decode(unit, &page) == MKV_OK &&
               mkv_uuid_equal(page.drive_uuid, twin->drive_uuid) &&
               page.checkpoint_number == twin->checkpoint_number && page.unit_index == index;
    }
    struct mkv_checkpoint_page page;
    return mkv_checkpoint_page_decode(unit, &page) == MKV_OK &&
           mkv_uuid_equal(page.drive_uuid, twin->drive_uuid) &&
           page.checkpoint_number == twin->checkpoint_number && page.page == index - tenant_units;
}

/* Whether all units of the checkpoint are there. */
static bool pages_are_whole(const struct mkv_drive_tool *drive, const struct mkv_superblock *twin,
                            uint8_t *units) {
    const uint64_t first = mkv_geometry_checkpoint(&twin->geometry, twin->checkpoint_side).unit + 1;
    const uint32_t total = twin->geometry.tenant_units + twin->checkpoint_pages;
    for (uint32_t at = 0; at < total; at += WINDOW_UNITS) {
        const uint32_t count = (uint32_t)mkv_min_u64(WINDOW_UNITS, total - at);
        if (mkv_drive_tool_read(drive, first + at, count, units) != 0) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (!unit_is_whole(twin, units + (size_t)i * MKV_UNIT_BYTES, at + i)) {
                return false;
            }
        }
    }
    return true;
}

/* The chain value before the block that replay is to begin with now: what that block says. */
static bool anchor_of(const struct mkv_drive_tool *drive, const struct mkv_superblock *current,
                      struct mkv_superblock *twin, uint8_t *unit) {
    if (twin->journal_sequence.value == current->journal_sequence.value) {
        return true;
    }
    const uint64_t sequence = twin->journal_sequence.value;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        const uint64_t position = sequence % twin->geometry.ring_blocks;
        struct mkv_journal_header header;
        if (mkv_drive_tool_read(drive, mkv_geometry_journal(&twin->geometry, copy, position).unit,
                                1, unit) == 0 &&
            mkv_tool_journal_is(twin, unit, sequence, &header)) {
            twin->chain_anchor = header.chain;
            return true;
        }
    }
    return false;
}

static bool twin_read(const struct mkv_drive_tool *drive, const struct mkv_superblock *current,
                      struct mkv_superblock *twin, uint8_t *units) {
    struct mkv_checkpoint_head head;
    *twin = *current;
    twin->checkpoint_side = current->checkpoint_side ^ 1u;
    const uint64_t unit = mkv_geometry_checkpoint(&twin->geometry, twin->checkpoint_side).unit;
    if (mkv_drive_tool_read(drive, unit, 1, units) != 0 ||
        mkv_checkpoint_head_decode(units, &head) != MKV_OK ||
        !mkv_uuid_equal(head.drive_uuid, current->drive_uuid) ||
        head.checkpoint_number >= current->checkpoint_number ||
        head.page_count > current->geometry.page_count ||
        head.tenant_units != current->geometry.tenant_units || head.journal_sequence.value < 1 ||
        head.journal_sequence.value > current->journal_sequence.value ||
        current->journal_sequence.value - head.journal_sequence.value >=
            current->geometry.ring_blocks) {
        return false;
    }
    twin->checkpoint_number = head.checkpoint_number;
    twin->checkpoint_pages = head.page_count;
    twin->journal_sequence = head.journal_sequence;
    twin->sequence++;
    twin->flags &= ~MKV_SUPERBLOCK_CLEAN;
    return pages_are_whole(drive, twin, units) && anchor_of(drive, current, twin, units);
}

bool mkv_tool_checkpoint_twin(const struct mkv_drive_tool *drive,
                              const struct mkv_superblock *current, struct mkv_superblock *twin) {
    uint8_t *units = mkv_drive_tool_units(WINDOW_UNITS);
    if (units == NULL) {
        return false;
    }
    const bool whole = twin_read(drive, current, twin, units);
    free(units);
    return whole;
}
