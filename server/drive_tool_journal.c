/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal onto the table of the tool, from either copy of each block:
 *
 *     claims    over the whole ring: what the blocks there call flushed
 *     walk      block by block from the superblock's sequence and anchor on, both copies looked at
 *
 *   block h is in             and h is claimed to be flushed    and h is not
 *     both copies             fine                              fine
 *     one copy                fault: the other is damaged       note: a write that was cut short
 *     neither                 fault: the journal is lost        the journal's end
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/drive_tool_table.h"

#define WINDOW_UNITS 64u

/* Blocks of both copies of the ring, side by side. */
struct window {
    uint64_t sequence;
    uint32_t count;
    uint64_t unreadable[MKV_JOURNAL_COPIES];
    uint8_t *units; /* WINDOW_UNITS of each copy */
};

static const uint8_t *unit_of(const struct window *window, uint32_t copy, uint32_t index) {
    return window->units + ((size_t)copy * WINDOW_UNITS + index) * MKV_UNIT_BYTES;
}

/* Reads from a sequence on, not beyond the end of the ring nor `end`. */
static void window_read(const struct mkv_tool_table *table, struct window *window,
                        uint64_t sequence, uint64_t end) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    const uint32_t position = (uint32_t)(sequence % geometry->ring_blocks);
    const uint64_t count = mkv_min_u64(end - sequence, geometry->ring_blocks - position);
    window->sequence = sequence;
    window->count = (uint32_t)mkv_min_u64(count, WINDOW_UNITS);
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        window->unreadable[copy] = mkv_tool_read_units(
            table->drive, mkv_geometry_journal(geometry, copy, position).unit, window->count,
            window->units + (size_t)copy * WINDOW_UNITS * MKV_UNIT_BYTES);
    }
}

bool mkv_tool_journal_is(const struct mkv_superblock *superblock, const uint8_t *unit,
                         uint64_t sequence, struct mkv_journal_header *header) {
    return mkv_journal_block_decode(unit, header) == MKV_OK &&
           mkv_uuid_equal(header->drive_uuid, superblock->drive_uuid) &&
           header->sequence.value == sequence &&
           header->ring_position == sequence % superblock->geometry.ring_blocks;
}

/* The whole ring as replay would go through it: which flushes do its blocks state? */
static void read_claims(struct mkv_tool_table *table, struct window *window, uint64_t end) {
    for (uint64_t at = table->journal_first; at < end; at += window->count) {
        window_read(table, window, at, end);
        for (uint32_t i = 0; i < window->count; i++) {
            for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
                struct mkv_journal_header header;
                if (mkv_tool_journal_is(&table->superblock, unit_of(window, copy, i), at + i,
                                        &header)) {
                    table->journal_claimed =
                        mkv_max_u64(table->journal_claimed, header.flushed_sequence.value);
                    table->epoch_max = (uint32_t)mkv_max_u64(table->epoch_max, header.epoch);
                }
            }
        }
    }
}

static void apply_block(struct mkv_tool_table *table, const uint8_t *unit, uint64_t sequence,
                        uint64_t place) {
    struct mkv_record record;
    enum mkv_err err = MKV_OK;
    uint32_t cursor = 0;
    while (mkv_journal_block_next(unit, &cursor, &record, &err)) {
        const char *what = mkv_tool_table_apply(table, &record, sequence);
        if (what != NULL && !table->checkpoint_lost) {
            mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_JOURNAL_RECORD, place,
                                   "journal block %" PRIu64 " has %s", sequence, what);
            table->journal_lost = true;
        }
    }
    if (err != MKV_OK) {
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_JOURNAL_RECORD, place,
                               "journal block %" PRIu64 " has a record that is malformed",
                               sequence);
        table->journal_lost = true;
    }
}

static void report_copy(struct mkv_tool_table *table, const struct window *window, uint32_t index,
                        uint32_t copy) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    const uint64_t sequence = window->sequence + index;
    const uint64_t place =
        mkv_geometry_journal(geometry, copy, sequence % geometry->ring_blocks).unit;
    const bool unreadable = (window->unreadable[copy] >> index & 1) != 0;
    if (sequence > table->journal_claimed && !unreadable) {
        mkv_drive_report_note(table->report,
                              "journal block %" PRIu64
                              " is in copy %c alone, and nothing says that "
                              "it was flushed: a write that was cut short",
                              sequence, copy == 0 ? 'B' : 'A');
        return;
    }
    mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_JOURNAL_COPY, place,
                           "journal block %" PRIu64 " %s in copy %c", sequence,
                           unreadable ? "cannot be read" : "is rotten, or another one,",
                           copy == 0 ? 'A' : 'B');
}

/* Neither copy holds the block: the end, or a hole. */
static void report_end(struct mkv_tool_table *table, const struct window *window, uint32_t index) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    const uint64_t sequence = window->sequence + index;
    const uint64_t place = mkv_geometry_journal(geometry, 0, sequence % geometry->ring_blocks).unit;
    bool unreadable = false;
    bool torn = false;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        unreadable = unreadable || (window->unreadable[copy] >> index & 1) != 0;
        torn = torn || mkv_journal_block_is_torn(unit_of(window, copy, index));
    }
    if (unreadable || sequence <= table->journal_claimed) {
        table->journal_lost = true;
        mkv_drive_report_fault(table->report, MKV_DRIVE_FAULT_JOURNAL_BLOCK, place,
                               "journal block %" PRIu64 " is lost in both copies: it may hold the "
                               "end of any block",
                               sequence);
    } else if (torn) {
        mkv_drive_report_note(
            table->report, "the journal ends before block %" PRIu64 ", whose write was cut short",
            sequence);
    }
}

/* Takes the block if one copy holds it. */
static bool take_block(struct mkv_tool_table *table, const struct window *window, uint32_t index) {
    const struct mkv_geometry *geometry = &table->superblock.geometry;
    const uint64_t sequence = window->sequence + index;
    struct mkv_journal_header headers[MKV_JOURNAL_COPIES];
    bool valid[MKV_JOURNAL_COPIES];
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        valid[copy] = (window->unreadable[copy] >> index & 1) == 0 &&
                      mkv_tool_journal_is(&table->superblock, unit_of(window, copy, index),
                                          sequence, &headers[copy]) &&
                      headers[copy].chain == table->chain;
    }
    if (valid[0] && valid[1] && headers[0].checksum != headers[1].checksum) {
        valid[headers[0].epoch < headers[1].epoch ? 0 : 1] = false;
    }
    if (!valid[0] && !valid[1]) {
        report_end(table, window, index);
        return false;
    }
    const uint32_t good = valid[0] ? 0 : 1;
    if (!valid[good ^ 1u]) {
        report_copy(table, window, index, good ^ 1u);
    }
    apply_block(table, unit_of(window, good, index), sequence,
                mkv_geometry_journal(geometry, good, sequence % geometry->ring_blocks).unit);
    table->chain = headers[good].checksum;
    table->journal_next = sequence + 1;
    return true;
}

bool mkv_tool_journal_read(struct mkv_tool_table *table, struct mkv_backend_error *error) {
    const struct mkv_superblock *superblock = &table->superblock;
    struct window window = {.units = mkv_drive_tool_units(MKV_JOURNAL_COPIES * WINDOW_UNITS)};
    if (window.units == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s: there is no memory to read its journal. Free some",
                                  table->drive->path);
    }
    table->journal_first = superblock->journal_sequence.value;
    table->journal_next = table->journal_first;
    table->chain = superblock->chain_anchor;
    const uint64_t end = table->journal_first + superblock->geometry.ring_blocks;
    read_claims(table, &window, end);
    bool goes_on = true;
    while (goes_on && table->journal_next < end) {
        window_read(table, &window, table->journal_next, end);
        for (uint32_t i = 0; i < window.count && goes_on; i++) {
            goes_on = take_block(table, &window, i);
        }
    }
    free(window.units);
    return true;
}
