/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Superblock writes, checkpoints, close and format.
 *
 *   superblock   copies 0, 1 -> flush -> copies 2, 3 -> flush -> durable
 *   checkpoint   head and pages to the side not in use, while serving, each page stamped with the
 *                last block applied -> flush -> superblock that names the side -> ring space is
 * free
 *
 * A page is captured at one moment, so it holds exactly the records up to its stamp; replay starts
 * with the first block not applied when the capture began, and passes over what a page has already.
 */
#include <string.h>

#include "core/checkpoint_page.h"
#include "core/hash.h"
#include "core/volume_internal.h"

/* ---- superblock ------------------------------------------------------------------------------ */

static void write_copies(struct mkv_volume *volume, uint32_t copies) {
    const uint64_t capacity_units = volume->config.geometry.capacity_units;
    const uint8_t *first = NULL;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        if ((copies & (1u << copy)) == 0) {
            continue;
        }
        const uint64_t meta = meta_of_superblock(volume, copy);
        if (first == NULL) {
            first = volume_meta(volume, meta);
            mkv_superblock_encode(&volume->superblock, copy, volume_meta(volume, meta));
        } else {
            mkv_superblock_encode_copy(first, copy, volume_meta(volume, meta));
        }
        mkv_volume_internal_io(volume, IO_SUPERBLOCK + copy, MKV_EFFECT_DRIVE_WRITE,
                               mkv_geometry_superblock(capacity_units, copy), 1, meta);
        volume->superblock_writer.pending++;
    }
}

#define FIRST_PAIR 0x3u
#define SECOND_PAIR 0xcu

void mkv_volume_superblock_write(struct mkv_volume *volume, enum superblock_purpose purpose,
                                 uint32_t copies) {
    struct superblock_writer *writer = &volume->superblock_writer;
    MKV_ASSERT(writer->step == SUPERBLOCK_IDLE);
    MKV_ASSERT(copies != 0);
    writer->purpose = purpose;
    writer->copies = copies;
    writer->pending = 0;
    if (MKV_CANARY(MKV_CANARY_SUPERBLOCK_ALL_AT_ONCE)) {
        writer->step = SUPERBLOCK_SECOND_PAIR;
        write_copies(volume, copies);
        return;
    }
    const bool first = (copies & FIRST_PAIR) != 0;
    writer->step = first ? SUPERBLOCK_FIRST_PAIR : SUPERBLOCK_SECOND_PAIR;
    write_copies(volume, copies & (first ? FIRST_PAIR : SECOND_PAIR));
}

static void superblock_durable(struct mkv_volume *volume);

void mkv_volume_superblock_io_done(struct mkv_volume *volume, const struct mkv_drive_done *done) {
    struct superblock_writer *writer = &volume->superblock_writer;
    MKV_ASSERT(writer->pending > 0);
    writer->pending--;
    if (done->result != MKV_IO_OK && !MKV_CANARY(MKV_CANARY_SUPERBLOCK_ERROR_IGNORED)) {
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_WRITE, done->result, 0);
        mkv_volume_fail(volume, done->result, 0);
        return;
    }
    if (writer->pending > 0) {
        return;
    }
    MKV_ASSERT(writer->step == SUPERBLOCK_FIRST_PAIR || writer->step == SUPERBLOCK_SECOND_PAIR);
    if (MKV_CANARY(MKV_CANARY_EPOCH_NOT_FLUSHED) && writer->purpose == SUPERBLOCK_EPOCH) {
        superblock_durable(volume);
        return;
    }
    writer->step =
        writer->step == SUPERBLOCK_FIRST_PAIR ? SUPERBLOCK_FIRST_FLUSH : SUPERBLOCK_SECOND_FLUSH;
    volume_want_flush(volume, &writer->ticket);
}

static void checkpoint_durable(struct mkv_volume *volume);

static void superblock_durable(struct mkv_volume *volume) {
    volume->superblock_writer.step = SUPERBLOCK_IDLE;
    volume->generation_bound = MKV_CANARY(MKV_CANARY_GENERATIONS_NOT_RESERVED)
                                   ? MKV_GENERATION_COUNTER_MAX
                                   : volume->superblock.generation_counter;
    switch (volume->superblock_writer.purpose) {
    case SUPERBLOCK_FORMAT:
        volume->state = MKV_VOLUME_CLOSED;
        mkv_volume_event(volume, MKV_EVENT_FORMATTED, MKV_OK, 0, 0, 0);
        return;
    case SUPERBLOCK_REPAIR:
    case SUPERBLOCK_RAISE:
    case SUPERBLOCK_EPOCH:
    case SUPERBLOCK_EMPTY:
        mkv_volume_recover_superblock_durable(volume);
        return;
    case SUPERBLOCK_FLIP:
        checkpoint_durable(volume);
        return;
    case SUPERBLOCK_CLEAN:
        volume->state = MKV_VOLUME_CLOSED;
        MKV_ASSERT(volume->io_in_flight == 0);
        mkv_volume_event(volume, MKV_EVENT_CLOSED, MKV_OK, 0, 0, 0);
        return;
    case SUPERBLOCK_DRIVE_SET:
        mkv_volume_drive_set_durable(volume);
        return;
    }
    MKV_ASSERT(false);
}

static void superblock_pump(struct mkv_volume *volume) {
    struct superblock_writer *writer = &volume->superblock_writer;
    const bool flushed = volume->flush_completed >= writer->ticket;
    if (writer->step == SUPERBLOCK_FIRST_FLUSH && flushed) {
        if ((writer->copies & SECOND_PAIR) == 0) {
            superblock_durable(volume);
            return;
        }
        writer->step = SUPERBLOCK_SECOND_PAIR;
        write_copies(volume, writer->copies & SECOND_PAIR);
    } else if (writer->step == SUPERBLOCK_SECOND_FLUSH && flushed) {
        superblock_durable(volume);
    }
}

void mkv_volume_superblock_renew(struct mkv_volume *volume) {
    struct mkv_superblock *superblock = &volume->superblock;
    superblock->sequence++;
    superblock->wall_ms = mkv_max_u64(superblock->wall_ms, volume->wall_ms);
    superblock->generation_counter = volume->generation_counter + volume_generation_reserve(volume);
    if (MKV_CANARY(MKV_CANARY_GENERATIONS_NOT_RESERVED)) {
        superblock->generation_counter = volume->generation_counter;
    }
    superblock->flags &= ~MKV_SUPERBLOCK_CLEAN;
}

uint64_t mkv_volume_fresh_chain(const struct mkv_volume *volume, uint32_t epoch) {
    return mkv_hash_64_seeded(volume->config.drive_uuid.bytes, 16, epoch);
}

enum mkv_err mkv_volume_format(struct mkv_volume *volume) {
    if (volume->state != MKV_VOLUME_CLOSED) {
        return MKV_ERR_STATE;
    }
    const struct mkv_volume_config *config = &volume->config;
    MKV_ASSERT(mkv_drive_set_valid(&config->drive_set));
    memset(&volume->superblock, 0, sizeof volume->superblock);
    struct mkv_superblock *superblock = &volume->superblock;
    superblock->version = MKV_FORMAT_VERSION;
    superblock->flags = MKV_SUPERBLOCK_NO_CHECKPOINT;
    superblock->store_uuid = config->store_uuid;
    superblock->drive_uuid = config->drive_uuid;
    superblock->sequence = 1;
    superblock->journal_sequence.value = 1;
    superblock->chain_anchor = mkv_volume_fresh_chain(volume, 0);
    superblock->wall_ms = volume->wall_ms;
    superblock->geometry = config->geometry;
    superblock->drive_set = config->drive_set;
    volume->state = MKV_VOLUME_FORMATTING;
    mkv_volume_superblock_write(volume, SUPERBLOCK_FORMAT, SUPERBLOCK_ALL_COPIES);
    return MKV_OK;
}

/* ---- checkpoint ------------------------------------------------------------------------------ */

/* Units of a side that stand before its pages. */
static uint32_t units_before_pages(const struct mkv_volume *volume) {
    return 1 + volume->config.geometry.tenant_units;
}

static void checkpoint_begin(struct mkv_volume *volume) {
    struct checkpoint *checkpoint = &volume->checkpoint;
    MKV_ASSERT(checkpoint->step == CHECKPOINT_IDLE);
    checkpoint->step = CHECKPOINT_WRITING;
    checkpoint->wanted = false;
    checkpoint->side = volume->superblock.checkpoint_side ^ 1u;
    /* A capture that a crash cut off has left pages here: none of another opening has this number.
     */
    checkpoint->number = mkv_max_u64(volume->superblock.checkpoint_number + 1,
                                     (uint64_t)volume->superblock.epoch << 32);
    if (MKV_CANARY(MKV_CANARY_CHECKPOINT_NUMBER_REUSED)) {
        checkpoint->number = volume->superblock.checkpoint_number + 1;
    }
    checkpoint->next_unit = 0;
    checkpoint->page_count = volume_table(volume)->page_high;
    checkpoint->unit_count = units_before_pages(volume) + checkpoint->page_count;
    checkpoint->pending = 0;
    checkpoint->started_ns = volume->now_ns;
    /* Everything up to here is in the table; later blocks are for replay. */
    checkpoint->journal_sequence.value = volume->flushed_sequence.value + 1;
    checkpoint->chain_anchor = volume->flushed_chain;
    checkpoint->generation_counter = volume->generation_counter;
}

/* Unit 0 of a side is its head; the tenants follow, then the pages. */
static void capture_unit(struct mkv_volume *volume, uint32_t unit_index, uint8_t *unit) {
    const struct checkpoint *checkpoint = &volume->checkpoint;
    if (unit_index == 0) {
        const struct mkv_checkpoint_head head = {
            .drive_uuid = volume->config.drive_uuid,
            .checkpoint_number = checkpoint->number,
            .journal_sequence = checkpoint->journal_sequence,
            .generation_counter = checkpoint->generation_counter,
            .page_count = checkpoint->page_count,
            .tenant_units = volume->config.geometry.tenant_units,
        };
        mkv_checkpoint_head_encode(&head, unit);
        return;
    }
    const uint32_t page_first = units_before_pages(volume);
    if (unit_index < page_first) {
        mkv_tenant_table_capture(volume_tenants(volume), unit_index - 1, &volume->config.drive_uuid,
                                 checkpoint->number, volume->flushed_sequence, unit);
        return;
    }
    const struct mkv_sequence began = {checkpoint->journal_sequence.value - 1};
    mkv_slot_table_capture_page(
        volume_table(volume), unit_index - page_first, &volume->config.drive_uuid,
        checkpoint->number,
        MKV_CANARY(MKV_CANARY_STAMP_OLDER_THAN_APPLIED) ? began : volume->flushed_sequence, unit);
}

static void checkpoint_write_window(struct mkv_volume *volume, uint32_t window) {
    struct checkpoint *checkpoint = &volume->checkpoint;
    const uint32_t units_left = checkpoint->unit_count - checkpoint->next_unit;
    const uint32_t share =
        (uint32_t)mkv_min_u64(volume->config.window_units, volume->config.step_pages);
    const uint32_t count = (uint32_t)mkv_min_u64(units_left, share);
    const uint64_t meta = meta_of_window(volume, window);
    for (uint32_t index = 0; index < count; index++) {
        capture_unit(volume, checkpoint->next_unit + index,
                     volume_meta(volume, meta + (uint64_t)index * MKV_UNIT_BYTES));
    }
    const struct mkv_lba side = mkv_geometry_checkpoint(&volume->config.geometry, checkpoint->side);
    mkv_volume_internal_io(volume, IO_WINDOW + window, MKV_EFFECT_DRIVE_WRITE,
                           (struct mkv_lba){side.unit + checkpoint->next_unit}, count, meta);
    checkpoint->next_unit += count;
    checkpoint->pending++;
}

static void checkpoint_flip(struct mkv_volume *volume) {
    struct checkpoint *checkpoint = &volume->checkpoint;
    struct mkv_superblock *superblock = &volume->superblock;
    checkpoint->step = CHECKPOINT_FLIPPING;
    mkv_volume_superblock_renew(volume);
    superblock->flags &= ~MKV_SUPERBLOCK_NO_CHECKPOINT;
    superblock->checkpoint_side = checkpoint->side;
    superblock->checkpoint_number = checkpoint->number;
    superblock->checkpoint_pages = checkpoint->page_count;
    superblock->journal_sequence = checkpoint->journal_sequence;
    if (!MKV_CANARY(MKV_CANARY_CHAIN_ANCHOR_KEPT)) {
        superblock->chain_anchor = checkpoint->chain_anchor;
    }
    mkv_volume_superblock_write(volume, SUPERBLOCK_FLIP, SUPERBLOCK_ALL_COPIES);
    if (MKV_CANARY(MKV_CANARY_RING_REUSED_BEFORE_FLIP)) {
        volume->ring_start = checkpoint->journal_sequence;
    }
}

void mkv_volume_checkpoint_io_done(struct mkv_volume *volume, const struct mkv_drive_done *done) {
    struct checkpoint *checkpoint = &volume->checkpoint;
    MKV_ASSERT(checkpoint->step == CHECKPOINT_WRITING);
    MKV_ASSERT(checkpoint->pending > 0);
    checkpoint->pending--;
    if (done->result != MKV_IO_OK && !MKV_CANARY(MKV_CANARY_CHECKPOINT_ERROR_IGNORED)) {
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_WRITE, done->result, 0);
        mkv_volume_fail(volume, done->result, 0);
    }
}

static void checkpoint_durable(struct mkv_volume *volume) {
    struct checkpoint *checkpoint = &volume->checkpoint;
    MKV_ASSERT(checkpoint->step == CHECKPOINT_FLIPPING);
    checkpoint->step = CHECKPOINT_IDLE;
    volume->ring_start = checkpoint->journal_sequence;
    volume->stats.checkpoints_total++;
    mkv_histogram_record_ns(&volume->times.checkpoint, volume->now_ns - checkpoint->started_ns);
    mkv_volume_event(volume, MKV_EVENT_CHECKPOINT_DONE, MKV_OK, checkpoint->journal_sequence.value,
                     checkpoint->page_count, volume->now_ns - checkpoint->started_ns);
}

static void checkpoint_advance(struct mkv_volume *volume) {
    struct checkpoint *checkpoint = &volume->checkpoint;
    if (checkpoint->step == CHECKPOINT_WRITING) {
        for (uint32_t window = 0; window < 2; window++) {
            if (checkpoint->next_unit < checkpoint->unit_count &&
                !volume->io[IO_WINDOW + window].in_flight) {
                checkpoint_write_window(volume, window);
            }
        }
        if (checkpoint->pending == 0) {
            MKV_ASSERT(checkpoint->next_unit == checkpoint->unit_count);
            checkpoint->step = CHECKPOINT_FLUSHING;
            volume_want_flush(volume, &checkpoint->ticket);
        }
    }
    const bool flushed =
        volume->flush_completed >= checkpoint->ticket || MKV_CANARY(MKV_CANARY_FLIP_BEFORE_FLUSH);
    /* A drive set may be on its way to the superblock. */
    const bool writer_is_free = volume->superblock_writer.step == SUPERBLOCK_IDLE;
    if (checkpoint->step == CHECKPOINT_FLUSHING && flushed && writer_is_free) {
        checkpoint_flip(volume);
    }
}

static bool checkpoint_is_due(struct mkv_volume *volume) {
    if (volume_generations_short(volume)) {
        return true;
    }
    if (volume->flushed_sequence.value + 1 == volume->ring_start.value) {
        volume->checkpoint.wanted = false;
        return false;
    }
    return volume->checkpoint.wanted ||
           mkv_volume_ring_used(volume) * 2 >= volume->config.geometry.ring_blocks;
}

/* Nothing is under way that could still change the table or use the drive. */
static bool volume_is_quiet(const struct mkv_volume *volume) {
    return volume->ops_used == 0 && volume->io_in_flight == 0 &&
           volume->checkpoint.step == CHECKPOINT_IDLE &&
           volume->superblock_writer.step == SUPERBLOCK_IDLE && !volume->set_is_wanted;
}

static void close_advance(struct mkv_volume *volume) {
    if (volume->ops_used > 0 || !mkv_volume_directory_closed(volume) || !volume_is_quiet(volume)) {
        return;
    }
    const bool covered = volume->flushed_sequence.value + 1 == volume->ring_start.value;
    if (!covered) {
        checkpoint_begin(volume);
        return;
    }
    mkv_volume_superblock_renew(volume);
    volume->superblock.flags |= MKV_SUPERBLOCK_CLEAN;
    mkv_volume_superblock_write(volume, SUPERBLOCK_CLEAN, SUPERBLOCK_ALL_COPIES);
}

void mkv_volume_checkpoint_pump(struct mkv_volume *volume) {
    superblock_pump(volume);
    mkv_volume_drive_set_pump(volume);
    if (volume->state == MKV_VOLUME_CLOSING) {
        close_advance(volume);
    }
    if (volume->state != MKV_VOLUME_SERVING && volume->state != MKV_VOLUME_CLOSING) {
        return;
    }
    if (volume->checkpoint.step == CHECKPOINT_IDLE &&
        volume->superblock_writer.step == SUPERBLOCK_IDLE && checkpoint_is_due(volume)) {
        checkpoint_begin(volume);
    }
    checkpoint_advance(volume);
}
