/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OPEN: from what a drive holds to a volume that serves. JOIN: from what a drive holds to an empty
 * volume that serves.
 *
 *   CLEAR        the table's arrays, in bounded steps
 *   FLUSH        nothing is decided on what a killed process left in a cache
 *   SUPERBLOCK   four copies, two equal ones count
 *   REPAIR       copies that differ are rewritten, by pairs, flushed
 *   RAISE        a drive set that follows the superblock's is durable before any other change
 *   CHECKPOINT   head and pages of the side that the superblock names; damaged: EMPTY
 *   EPOCH        the new epoch is durable before anything else is written (I6)
 *   RING         blocks in order from either copy, by recovery_table.h; a block that one copy lacks
 *                is written there
 *   SCAN         at the hole: was it ever flushed? A later block says so, or the stamp of a page;
 *                where neither copy of a later block can be read it is taken to say so
 *   EMPTY        what was lost may hold any DROP, so nothing is kept: the same uuid, a new epoch,
 *                the journal starts one ring further with a fresh chain
 *                JOIN goes here behind REPAIR, and what it writes names the new drive set
 *   DERIVE       hash, free slots, counts, what the eviction policy is told
 *   LAST_FLUSH   repairs are durable; then SERVING
 */
#include <string.h>

#include "core/recovery_table.h"
#include "core/volume_internal.h"

/* Counters of what a drive holds beyond these are not believed: each leaves room for longer than a
 * drive lives. */
#define GENERATION_LIMIT (MKV_GENERATION_COUNTER_MAX - (1ull << 36))
#define SEQUENCE_LIMIT (1ull << 62)
#define ALL_JOURNAL_COPIES ((1u << MKV_JOURNAL_COPIES) - 1u)

enum mkv_err mkv_volume_open(struct mkv_volume *volume, const struct mkv_drive_set *set,
                             bool joins) {
    if (volume->state != MKV_VOLUME_CLOSED) {
        return MKV_ERR_STATE;
    }
    MKV_ASSERT(volume->ops_used == 0);
    memset(&volume->recover, 0, sizeof volume->recover);
    volume->tenant_sweep.place = MKV_NONE_U32;
    memset(&volume->trim, 0, sizeof volume->trim);
    memset(&volume->stall, 0, sizeof volume->stall);
    memset(&volume->error_runs, 0, sizeof volume->error_runs);
    mkv_volume_admission_init(volume);
    memset(&volume->checkpoint, 0, sizeof volume->checkpoint);
    memset(&volume->superblock_writer, 0, sizeof volume->superblock_writer);
    memset(&volume->purge, 0, sizeof volume->purge);
    volume->set_is_wanted = set != NULL;
    if (set != NULL) {
        volume->set_wanted = *set;
    }
    volume->recover.joins = joins;
    memset(&volume->empty_job, 0, sizeof volume->empty_job);
    mkv_slot_table_init(volume_table(volume), &volume->config.geometry);
    mkv_tenant_table_init(volume_tenants(volume), &volume->config.geometry);
    volume->state = MKV_VOLUME_RECOVERING;
    volume->stats.open_err = MKV_OK;
    volume->stats.recovery_entries = 0;
    volume->issued_sequence.value = 0;
    volume->written_sequence.value = 0;
    volume->flushed_sequence.value = 0;
    volume->records_sequence = 0;
    volume->recorded_sequence = 0;
    volume->recover.started_ns = volume->now_ns;
    volume->recover.step = RECOVER_CLEAR;
    return MKV_OK;
}

static void open_failed(struct mkv_volume *volume, enum mkv_err err, uint64_t value_0,
                        uint64_t value_1) {
    volume->state = MKV_VOLUME_CLOSED;
    volume->stats.open_err = err;
    mkv_volume_event(volume, MKV_EVENT_OPEN_FAILED, err, value_0, value_1, 0);
}

/* ---- superblock ------------------------------------------------------------------------------ */

static void superblock_read(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    recover->step = RECOVER_SUPERBLOCK;
    recover->unreadable = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba =
            mkv_geometry_superblock(volume->config.geometry.capacity_units, copy);
        mkv_volume_internal_io(volume, IO_SUPERBLOCK + copy, MKV_EFFECT_DRIVE_READ, lba, 1,
                               meta_of_superblock(volume, copy));
        recover->pending++;
    }
}

static bool geometry_equal(const struct mkv_geometry *a, const struct mkv_geometry *b) {
    return a->capacity_units == b->capacity_units && a->ring_blocks == b->ring_blocks &&
           a->tenant_units == b->tenant_units && a->page_count == b->page_count &&
           a->directory_units == b->directory_units && a->extent_units == b->extent_units &&
           a->extent_count == b->extent_count;
}

static uint32_t bits_in(uint32_t mask) {
    uint32_t count = 0;
    for (; mask != 0; mask &= mask - 1) {
        count++;
    }
    return count;
}

static void epoch_write(struct mkv_volume *volume);
static void checkpoint_head_read(struct mkv_volume *volume);
static void empty_write(struct mkv_volume *volume);

/* Whether the superblock may go under the set that is wanted. */
static bool set_fits(const struct mkv_volume *volume, const struct mkv_superblock *superblock) {
    const struct mkv_uuid own = volume->config.drive_uuid;
    if (!volume->set_is_wanted) {
        return true;
    }
    if (volume->recover.joins) {
        return mkv_drive_set_find(&volume->set_wanted, own) != MKV_NONE_U32;
    }
    return mkv_drive_set_keeps(&superblock->drive_set, &volume->set_wanted, own);
}

/* The superblock stands, in all copies: it goes under the set that is wanted, and on. */
static void set_raise(struct mkv_volume *volume) {
    struct mkv_superblock *superblock = &volume->superblock;
    if (volume->recover.joins) {
        superblock->drive_set = volume->set_wanted;
        volume->set_is_wanted = false;
        if (MKV_CANARY(MKV_CANARY_OLDER_DRIVE_KEEPS_CONTENT) ||
            MKV_CANARY(MKV_CANARY_RETURNED_DRIVE_KEEPS_CONTENT)) {
            checkpoint_head_read(volume);
            return;
        }
        volume->recover.expected = superblock->journal_sequence.value;
        empty_write(volume);
        return;
    }
    const bool raises =
        volume->set_is_wanted && volume->set_wanted.version != superblock->drive_set.version;
    volume->set_is_wanted = false;
    if (!raises) {
        checkpoint_head_read(volume);
        return;
    }
    superblock->sequence++;
    superblock->drive_set = volume->set_wanted;
    volume->recover.step = RECOVER_RAISE;
    mkv_volume_superblock_write(volume, SUPERBLOCK_RAISE, SUPERBLOCK_ALL_COPIES);
}

static void superblock_judge(struct mkv_volume *volume) {
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(volume_meta(volume, meta_of_superblock(volume, 0)),
                          volume->recover.unreadable, &choice);
    if (choice.err != MKV_OK) {
        open_failed(volume, choice.err, choice.superblock.version, 0);
        return;
    }
    const struct mkv_superblock *superblock = &choice.superblock;
    if (superblock->geometry.capacity_units > volume->config.capacity_units &&
        !MKV_CANARY(MKV_CANARY_SHRUNK_DRIVE_OPENED)) {
        open_failed(volume, MKV_ERR_SHRUNK, superblock->geometry.capacity_units,
                    volume->config.capacity_units);
        return;
    }
    if (!mkv_uuid_equal(superblock->store_uuid, volume->config.store_uuid) ||
        (!mkv_uuid_equal(superblock->drive_uuid, volume->config.drive_uuid) &&
         !MKV_CANARY(MKV_CANARY_SWAPPED_DRIVE_OPENED)) ||
        !geometry_equal(&superblock->geometry, &volume->config.geometry) ||
        !set_fits(volume, superblock)) {
        open_failed(volume, MKV_ERR_FOREIGN, 0, 0);
        return;
    }
    /* An opening takes two epochs at most, and neither counter may come near its end. */
    if (superblock->epoch + 2 > MKV_EPOCH_MAX ||
        superblock->generation_counter > GENERATION_LIMIT ||
        superblock->journal_sequence.value > SEQUENCE_LIMIT) {
        open_failed(volume, MKV_ERR_TOO_LARGE, superblock->epoch, superblock->generation_counter);
        return;
    }
    volume->superblock = *superblock;
    volume->wall_ms = mkv_max_u64(volume->wall_ms, superblock->wall_ms);
    volume->recover.generation_counter_max = superblock->generation_counter;
    const uint32_t repair = MKV_CANARY(MKV_CANARY_SUPERBLOCK_NOT_REPAIRED) ? 0 : choice.repair;
    if (repair == 0) {
        set_raise(volume);
        return;
    }
    volume->stats.superblock_repairs_total += bits_in(repair);
    volume->stats.checksum_failures_superblock_total += bits_in(repair);
    mkv_volume_event(volume, MKV_EVENT_SUPERBLOCK_REPAIRED, MKV_OK, bits_in(repair), repair, 0);
    volume->recover.step = RECOVER_REPAIR;
    mkv_volume_superblock_write(volume, SUPERBLOCK_REPAIR, repair);
}

/* ---- windows of metadata --------------------------------------------------------------------- */

/* Reads `count` units at an address into a window; `io` is window 0 or 1. */
static void window_read(struct mkv_volume *volume, uint32_t window, struct mkv_lba lba,
                        uint32_t count) {
    MKV_ASSERT(count >= 1);
    MKV_ASSERT(count <= volume->config.window_units);
    mkv_volume_internal_io(volume, IO_WINDOW + window, MKV_EFFECT_DRIVE_READ, lba, count,
                           meta_of_window(volume, window));
    volume->recover.pending++;
}

static uint8_t *window_unit(struct mkv_volume *volume, uint32_t window, uint32_t index) {
    return volume_meta(volume, meta_of_window(volume, window) + (uint64_t)index * MKV_UNIT_BYTES);
}

/* ---- checkpoint ------------------------------------------------------------------------------ */

static void checkpoint_head_read(struct mkv_volume *volume) {
    const struct mkv_superblock *superblock = &volume->superblock;
    if (superblock->flags & MKV_SUPERBLOCK_NO_CHECKPOINT) {
        epoch_write(volume);
        return;
    }
    volume->recover.step = RECOVER_CHECKPOINT_HEAD;
    volume->recover.unreadable = 0;
    window_read(volume, 0,
                mkv_geometry_checkpoint(&volume->config.geometry, superblock->checkpoint_side), 1);
}

static void checkpoint_pages_read(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    const struct mkv_superblock *superblock = &volume->superblock;
    const uint32_t tenant_units = volume->config.geometry.tenant_units;
    const uint32_t left = tenant_units + superblock->checkpoint_pages - recover->next_unit;
    if (left == 0) {
        epoch_write(volume);
        return;
    }
    recover->step = RECOVER_CHECKPOINT_PAGES;
    recover->window_count = (uint32_t)mkv_min_u64(
        left, mkv_min_u64(volume->config.window_units, volume->config.step_pages));
    const struct mkv_lba side =
        mkv_geometry_checkpoint(&volume->config.geometry, superblock->checkpoint_side);
    window_read(volume, 0, (struct mkv_lba){side.unit + 1 + recover->next_unit},
                recover->window_count);
}

static void checkpoint_damaged(struct mkv_volume *volume) {
    volume->stats.checksum_failures_index_total++;
    mkv_volume_recover_empty(volume, MKV_CORRUPT_CHECKPOINT_PAGE,
                             volume->superblock.journal_sequence.value);
}

static void checkpoint_head_judge(struct mkv_volume *volume) {
    const struct mkv_superblock *superblock = &volume->superblock;
    struct mkv_checkpoint_head head;
    if (volume->recover.unreadable != 0 ||
        mkv_checkpoint_head_decode(window_unit(volume, 0, 0), &head) != MKV_OK ||
        !mkv_uuid_equal(head.drive_uuid, superblock->drive_uuid) ||
        head.checkpoint_number != superblock->checkpoint_number ||
        head.journal_sequence.value != superblock->journal_sequence.value ||
        head.page_count != superblock->checkpoint_pages ||
        head.page_count > volume->config.geometry.page_count ||
        head.tenant_units != volume->config.geometry.tenant_units) {
        checkpoint_damaged(volume);
        return;
    }
    struct recover *recover = &volume->recover;
    recover->generation_counter_max =
        mkv_max_u64(recover->generation_counter_max, head.generation_counter);
    recover->next_unit = 0;
    checkpoint_pages_read(volume);
}

/* Takes over a page of slots. False when it is damaged, or not of this checkpoint. */
static bool slot_page_judge(struct mkv_volume *volume, const uint8_t *unit, uint32_t number,
                            struct mkv_sequence *stamp) {
    const struct mkv_superblock *superblock = &volume->superblock;
    struct mkv_checkpoint_page page;
    if (mkv_checkpoint_page_decode(unit, &page) != MKV_OK ||
        !mkv_uuid_equal(page.drive_uuid, superblock->drive_uuid) ||
        page.checkpoint_number != superblock->checkpoint_number || page.page != number) {
        return false;
    }
    *stamp = page.stamp;
    return mkv_slot_table_load_page(volume_table(volume), &page, unit);
}

static bool tenant_page_judge(struct mkv_volume *volume, const uint8_t *unit, uint32_t number,
                              struct mkv_sequence *stamp) {
    const struct mkv_superblock *superblock = &volume->superblock;
    struct mkv_tenant_page page;
    if (mkv_tenant_page_decode(unit, &page) != MKV_OK ||
        !mkv_uuid_equal(page.drive_uuid, superblock->drive_uuid) ||
        page.checkpoint_number != superblock->checkpoint_number || page.unit_index != number) {
        return false;
    }
    *stamp = page.stamp;
    return mkv_tenant_table_load(volume_tenants(volume), &page, unit);
}

static void checkpoint_pages_judge(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    const uint32_t tenant_units = volume->config.geometry.tenant_units;
    for (uint32_t index = 0; index < recover->window_count; index++) {
        const uint8_t *unit = window_unit(volume, 0, index);
        const uint32_t number = recover->next_unit + index;
        struct mkv_sequence stamp = {0};
        const bool sound =
            recover->unreadable == 0 &&
            (number < tenant_units ? tenant_page_judge(volume, unit, number, &stamp)
                                   : slot_page_judge(volume, unit, number - tenant_units, &stamp));
        if (!sound && !MKV_CANARY(MKV_CANARY_DAMAGED_CHECKPOINT_KEPT)) {
            checkpoint_damaged(volume);
            return;
        }
        /* A stamp states that its block was applied, and so that it was flushed. */
        recover->stamp_max = mkv_max_u64(recover->stamp_max, stamp.value);
    }
    recover->next_unit += recover->window_count;
    checkpoint_pages_read(volume);
}

/* ---- epoch ----------------------------------------------------------------------------------- */

static void epoch_write(struct mkv_volume *volume) {
    struct mkv_superblock *superblock = &volume->superblock;
    superblock->sequence++;
    superblock->epoch++;
    superblock->flags &= ~MKV_SUPERBLOCK_CLEAN;
    superblock->generation_counter =
        volume->recover.generation_counter_max + volume_generation_reserve(volume);
    if (MKV_CANARY(MKV_CANARY_GENERATIONS_NOT_RESERVED)) {
        superblock->generation_counter = volume->recover.generation_counter_max;
    }
    superblock->wall_ms = mkv_max_u64(superblock->wall_ms, volume->wall_ms);
    volume->recover.step = RECOVER_EPOCH;
    mkv_volume_superblock_write(volume, SUPERBLOCK_EPOCH, SUPERBLOCK_ALL_COPIES);
}

/* ---- ring ------------------------------------------------------------------------------------ */

/* Reads the ring, both copies, from a sequence on: up to the ring's end, and up to `end`. */
static void ring_read(struct mkv_volume *volume, enum recover_step step, uint64_t sequence,
                      uint64_t end) {
    struct recover *recover = &volume->recover;
    const struct mkv_geometry *geometry = &volume->config.geometry;
    MKV_ASSERT(sequence < end);
    const uint32_t position = (uint32_t)(sequence % geometry->ring_blocks);
    const uint64_t to_ring_end = geometry->ring_blocks - position;
    uint64_t count = mkv_min_u64(end - sequence, to_ring_end);
    count = mkv_min_u64(count, mkv_min_u64(volume->config.window_units, volume->config.step_pages));
    if (sequence < recover->single_until) {
        count = 1;
    }
    recover->step = step;
    recover->unreadable = 0;
    recover->window_sequence = sequence;
    recover->window_count = (uint32_t)count;
    recover->window_index = 0;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        window_read(volume, copy, mkv_geometry_journal(geometry, copy, position), (uint32_t)count);
    }
}

/* A read of several units failed: it is done again unit by unit, so that one bad unit does not
 * stand for its neighbours. True when that was started. */
static bool ring_read_singly(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    if (recover->unreadable == 0 || recover->window_count <= 1) {
        return false;
    }
    recover->single_until = recover->window_sequence + recover->window_count;
    ring_read(volume, recover->step, recover->window_sequence, recover->single_until);
    return true;
}

static void ring_begin(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    const struct mkv_superblock *superblock = &volume->superblock;
    volume->ring_start = superblock->journal_sequence;
    recover->expected = superblock->journal_sequence.value;
    recover->chain = superblock->chain_anchor;
    recover->scan_end = recover->expected + volume->config.geometry.ring_blocks;
    ring_read(volume, RECOVER_RING, recover->expected, recover->scan_end);
}

/* Whether a unit is a block of this drive that belongs to this position and sequence. */
static bool block_is(const struct mkv_volume *volume, const uint8_t *unit, uint64_t sequence,
                     struct mkv_journal_header *header) {
    /* Most blocks behind the journal's end are of earlier laps: their sums need not be computed. */
    const bool named = mkv_journal_block_names(unit, sequence) ||
                       MKV_CANARY(MKV_CANARY_JOURNAL_SEQUENCE_UNCHECKED);
    if (!named || mkv_journal_block_decode(unit, header) != MKV_OK) {
        return false;
    }
    const uint32_t ring_blocks = volume->config.geometry.ring_blocks;
    return mkv_uuid_equal(header->drive_uuid, volume->config.drive_uuid) &&
           header->ring_position == sequence % ring_blocks;
}

static enum mkv_ring_copy judge_copy(struct mkv_volume *volume, uint32_t copy,
                                     struct mkv_journal_header *header) {
    const struct recover *recover = &volume->recover;
    if (recover->unreadable & (1u << copy)) {
        return MKV_RING_COPY_UNREAD;
    }
    const uint8_t *unit = window_unit(volume, copy, recover->window_index);
    if (!block_is(volume, unit, recover->expected, header)) {
        return MKV_RING_COPY_ABSENT;
    }
    const bool chain_unchecked =
        MKV_CANARY(MKV_CANARY_CHAIN_UNCHECKED) || MKV_CANARY(MKV_CANARY_JOURNAL_SEQUENCE_UNCHECKED);
    if (header->chain != recover->chain && !chain_unchecked) {
        return MKV_RING_COPY_ABSENT;
    }
    return MKV_RING_COPY_VALID;
}

/* Whether both copies of the block that is looked at were read, and have the same bytes. */
static bool copies_equal(struct mkv_volume *volume) {
    const uint32_t index = volume->recover.window_index;
    return volume->recover.unreadable == 0 &&
           memcmp(window_unit(volume, 0, index), window_unit(volume, 1, index), MKV_UNIT_BYTES) ==
               0;
}

/* Replays the records of a valid block. False when they contradict the table. */
static bool replay_block(struct mkv_volume *volume, const uint8_t *unit,
                         const struct mkv_journal_header *header) {
    struct recover *recover = &volume->recover;
    struct mkv_record record;
    enum mkv_err err = MKV_OK;
    uint32_t cursor = 0;
    while (mkv_journal_block_next(unit, &cursor, &record, &err)) {
        const bool of_tenants =
            record.kind == MKV_RECORD_TENANT || record.kind == MKV_RECORD_TENANT_DROP;
        if (of_tenants ? !mkv_tenant_table_replay(volume_tenants(volume), &record, header->sequence)
                       : !mkv_slot_table_replay(volume_table(volume), &record, header->sequence)) {
            return false;
        }
        if (record.kind == MKV_RECORD_PUT) {
            const uint64_t counter = mkv_generation_counter(record.put.generation);
            if (counter > GENERATION_LIMIT) {
                return false;
            }
            recover->generation_counter_max = mkv_max_u64(recover->generation_counter_max, counter);
        }
        volume->stats.recovery_entries++;
    }
    if (header->record_count > 0) {
        recover->records_sequence = header->sequence.value;
    }
    recover->recorded_sequence =
        mkv_max_u64(recover->recorded_sequence, header->flushed_sequence.value);
    volume->wall_ms = mkv_max_u64(volume->wall_ms, header->wall_ms);
    return err == MKV_OK;
}

static void ring_repair(struct mkv_volume *volume, uint32_t copy) {
    struct recover *recover = &volume->recover;
    volume->stats.journal_copy_repairs_total++;
    recover->blocks_repaired++;
    recover->step = RECOVER_RING_REPAIR;
    /* The good unit lies in the other copy's window. */
    const uint64_t meta =
        meta_of_window(volume, copy ^ 1u) + (uint64_t)recover->window_index * MKV_UNIT_BYTES;
    mkv_volume_internal_io(volume, IO_WINDOW, MKV_EFFECT_DRIVE_WRITE,
                           mkv_geometry_journal(&volume->config.geometry, copy,
                                                (recover->window_sequence + recover->window_index) %
                                                    volume->config.geometry.ring_blocks),
                           1, meta);
    recover->pending++;
}

static void ring_hole(struct mkv_volume *volume);
static void scan_decide(struct mkv_volume *volume);
static void ring_next(struct mkv_volume *volume);

/* What the recovery table says of the expected block. */
static enum mkv_recovery_action decide(struct mkv_volume *volume, enum mkv_ring_copy a,
                                       enum mkv_ring_copy b, bool flushed_claim) {
    const uint32_t row = mkv_recovery_row(a, b, flushed_claim);
    volume->stats.recovery_rows[row]++;
    return mkv_recovery_row_action(row);
}

/* Looks at blocks of the window until one wants I/O, or the window or the journal ends. */
static void ring_judge(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    while (recover->window_index < recover->window_count) {
        struct mkv_journal_header headers[MKV_JOURNAL_COPIES];
        enum mkv_ring_copy a = judge_copy(volume, 0, &headers[0]);
        enum mkv_ring_copy b = a;
        if (a == MKV_RING_COPY_VALID && copies_equal(volume)) {
            headers[1] = headers[0];
        } else {
            b = judge_copy(volume, 1, &headers[1]);
        }
        if (a == MKV_RING_COPY_VALID && b == MKV_RING_COPY_VALID &&
            headers[0].checksum != headers[1].checksum) {
            /* One was written by an earlier opening and came late: the later opening's counts. */
            const bool a_is_older = headers[0].epoch < headers[1].epoch;
            *(a_is_older ? &a : &b) = MKV_RING_COPY_ABSENT;
        }
        if (a != MKV_RING_COPY_VALID && b != MKV_RING_COPY_VALID) {
            ring_hole(volume);
            return;
        }
        const uint32_t good = a == MKV_RING_COPY_VALID ? 0 : 1;
        const uint8_t *unit = window_unit(volume, good, recover->window_index);
        if (!replay_block(volume, unit, &headers[good])) {
            volume->stats.checksum_failures_journal_total++;
            mkv_volume_recover_empty(volume, MKV_CORRUPT_JOURNAL_RECORD, recover->expected);
            return;
        }
        recover->expected++;
        recover->chain = headers[good].checksum;
        const enum mkv_recovery_action action = decide(volume, a, b, false);
        if (action != MKV_RECOVERY_APPLY && !MKV_CANARY(MKV_CANARY_SINGLE_COPY_NOT_REPAIRED)) {
            ring_repair(volume, action == MKV_RECOVERY_APPLY_REPAIR_A ? 0 : 1);
            return;
        }
        recover->window_index++;
    }
    ring_next(volume);
}

/* The window is through: the next one, or the whole ring was valid. */
static void ring_next(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    if (recover->expected < recover->scan_end) {
        ring_read(volume, RECOVER_RING, recover->expected, recover->scan_end);
    } else {
        mkv_volume_recover_derive(volume);
    }
}

/* Neither copy holds the expected block. What later blocks state decides what that means. */
static void ring_hole(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    const uint32_t index = recover->window_index;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        const uint8_t *unit = window_unit(volume, copy, index);
        recover->torn = recover->torn || mkv_journal_block_is_torn(unit);
    }
    recover->hole_unread =
        MKV_CANARY(MKV_CANARY_UNREADABLE_TAKEN_FOR_ABSENT) ? 0 : recover->unreadable;
    recover->claim_max = MKV_CANARY(MKV_CANARY_SCAN_IGNORES_STAMPS) ? 0 : recover->stamp_max;
    if (recover->expected + 1 < recover->scan_end) {
        ring_read(volume, RECOVER_SCAN, recover->expected + 1, recover->scan_end);
    } else {
        scan_decide(volume);
    }
}

static void scan_decide(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    const enum mkv_ring_copy a =
        recover->hole_unread & 1u ? MKV_RING_COPY_UNREAD : MKV_RING_COPY_ABSENT;
    const enum mkv_ring_copy b =
        recover->hole_unread & 2u ? MKV_RING_COPY_UNREAD : MKV_RING_COPY_ABSENT;
    const bool claimed =
        recover->claim_max >= recover->expected && !MKV_CANARY(MKV_CANARY_HOLE_ALWAYS_CUT);
    if (decide(volume, a, b, claimed) == MKV_RECOVERY_EMPTY) {
        volume->stats.checksum_failures_journal_total++;
        mkv_volume_recover_empty(volume, MKV_CORRUPT_JOURNAL_BLOCK, recover->expected);
        return;
    }
    if (recover->torn) {
        volume->stats.torn_tails_total++;
        mkv_volume_event(volume, MKV_EVENT_TORN_TAIL, MKV_OK, recover->expected, 0, 0);
    }
    mkv_volume_recover_derive(volume);
}

static void scan_judge(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    if (recover->unreadable == ALL_JOURNAL_COPIES) {
        /* Who knows what it states: it may be that the hole was flushed. */
        recover->claim_max = UINT64_MAX;
    }
    for (uint32_t index = 0; index < recover->window_count; index++) {
        for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
            struct mkv_journal_header header;
            const bool unread = (recover->unreadable & (1u << copy)) != 0;
            if (!unread && block_is(volume, window_unit(volume, copy, index),
                                    recover->window_sequence + index, &header)) {
                recover->claim_max = mkv_max_u64(recover->claim_max, header.flushed_sequence.value);
                recover->torn = true;
            }
        }
    }
    const uint64_t next = recover->window_sequence + recover->window_count;
    if (next < recover->scan_end) {
        ring_read(volume, RECOVER_SCAN, next, recover->scan_end);
    } else {
        scan_decide(volume);
    }
}

/* ---- coming up empty ------------------------------------------------------------------------- */

void mkv_volume_recover_empty(struct mkv_volume *volume, enum mkv_err err, uint64_t sequence) {
    mkv_volume_event(volume, MKV_EVENT_CAME_UP_EMPTY, err, sequence, volume->superblock.epoch, 0);
    volume->stats.open_err = err;
    empty_write(volume);
}

static void empty_write(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    struct mkv_superblock *superblock = &volume->superblock;
    const uint32_t ring_blocks = volume->config.geometry.ring_blocks;
    recover->records_sequence = 0;
    recover->recorded_sequence = 0;
    recover->step = RECOVER_EMPTY;
    recover->came_up_empty = true;
    recover->clear_cursor = 0;
    mkv_slot_table_init(volume_table(volume), &volume->config.geometry);
    mkv_tenant_table_init(volume_tenants(volume), &volume->config.geometry);
    superblock->sequence++;
    superblock->epoch++;
    superblock->flags = MKV_SUPERBLOCK_NO_CHECKPOINT;
    if (!MKV_CANARY(MKV_CANARY_EMPTIED_JOURNAL_GOES_ON)) {
        superblock->journal_sequence.value += ring_blocks;
        superblock->chain_anchor = mkv_volume_fresh_chain(volume, superblock->epoch);
    }
    /* Records that were not read have no generation above what the superblock stated. */
    superblock->generation_counter =
        recover->generation_counter_max + volume_generation_reserve(volume);
    mkv_volume_superblock_write(volume, SUPERBLOCK_EMPTY, SUPERBLOCK_ALL_COPIES);
}

void mkv_volume_recover_superblock_durable(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    if (recover->step == RECOVER_REPAIR) {
        set_raise(volume);
    } else if (recover->step == RECOVER_RAISE) {
        checkpoint_head_read(volume);
    } else if (recover->step == RECOVER_EPOCH) {
        ring_begin(volume);
    } else {
        MKV_ASSERT(recover->step == RECOVER_EMPTY);
        recover->expected = volume->superblock.journal_sequence.value;
        recover->chain = volume->superblock.chain_anchor;
        recover->step = RECOVER_CLEAR;
    }
}

/* A read or repair write came back; what it means is looked at when all of its step are back. */
void mkv_volume_recover_io_done(struct mkv_volume *volume, uint32_t which,
                                const struct mkv_drive_done *done) {
    struct recover *recover = &volume->recover;
    MKV_ASSERT(recover->pending > 0);
    recover->pending--;
    if (done->result == MKV_IO_OK) {
        return;
    }
    /* Units that the medium has lost are what two copies are for. Any other error is the drive's:
     * it may read well tomorrow, so nothing is given up for it. Of the superblock's four copies two
     * are needed, whatever is wrong with the others. */
    const bool repairs = recover->step == RECOVER_RING_REPAIR;
    const bool lost = done->result == MKV_IO_MEDIUM || recover->step == RECOVER_SUPERBLOCK;
    if (repairs || done->result == MKV_IO_GONE || !lost) {
        mkv_volume_note_error(volume, repairs ? MKV_EFFECT_DRIVE_WRITE : MKV_EFFECT_DRIVE_READ,
                              done->result, 0);
        mkv_volume_fail(volume, done->result, 0);
        return;
    }
    mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_READ, done->result, 0);
    recover->unreadable |= 1u << (which < IO_WINDOW ? which - IO_SUPERBLOCK : which - IO_WINDOW);
}

bool mkv_volume_recover_has_work(const struct mkv_volume *volume) {
    return volume->recover.step == RECOVER_CLEAR || volume->recover.step == RECOVER_DERIVE;
}

void mkv_volume_recover_pump(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    if (recover->pending > 0) {
        return;
    }
    const bool flushed = volume->flush_completed >= recover->ticket;
    switch (recover->step) {
    case RECOVER_CLEAR:
        mkv_volume_recover_clear_pump(volume);
        return;
    case RECOVER_FLUSH:
        if (flushed) {
            superblock_read(volume);
        }
        return;
    case RECOVER_SUPERBLOCK:
        superblock_judge(volume);
        return;
    case RECOVER_CHECKPOINT_HEAD:
        checkpoint_head_judge(volume);
        return;
    case RECOVER_CHECKPOINT_PAGES:
        checkpoint_pages_judge(volume);
        return;
    case RECOVER_RING:
        if (!ring_read_singly(volume)) {
            ring_judge(volume);
        }
        return;
    case RECOVER_RING_REPAIR:
        recover->step = RECOVER_RING;
        recover->window_index++;
        ring_judge(volume);
        return;
    case RECOVER_SCAN:
        if (!ring_read_singly(volume)) {
            scan_judge(volume);
        }
        return;
    case RECOVER_DERIVE:
        mkv_volume_recover_derive_pump(volume);
        return;
    case RECOVER_LAST_FLUSH:
        if (flushed) {
            mkv_volume_recover_serve(volume);
        }
        return;
    case RECOVER_REPAIR:
    case RECOVER_RAISE:
    case RECOVER_EPOCH:
    case RECOVER_EMPTY:
        return; /* the superblock writer comes back with mkv_volume_recover_superblock_durable */
    }
    MKV_ASSERT(false);
}
