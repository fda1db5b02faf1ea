/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scrubber: reads every live block again, one after another at a bounded rate, and compares
 * header and chunks with what they should be. What is damaged is quarantined, as if a reader had
 * met it: so it is a miss before somebody waits for it, and a put of it brings it back.
 *
 *   cursor --> next live slot, held --> header judged --> pieces compared --> rest until due_ns
 *
 * A block is paid for when it has been read: the next one is due when its bytes, at scrub_rate,
 * have gone by. The units of a piece go to memory that nothing else uses and nobody looks at: the
 * drive's backend reports the sums of its chunks.
 */
#include "core/bytes.h"
#include "core/hash.h"
#include "core/volume_internal.h"

#define NS_PER_S 1000000000u
/* Slots that are looked at for a live one at a time, and what each costs, as if it were read. */
#define SLOTS_LOOKED_AT_MAX 256u
#define SLOT_LOOK_BYTES 64u
/* What a pass costs at least, so that a small store is not read all the time. */
#define PASS_BYTES_MIN MKV_MIB

/* Nothing more is read until so many bytes, at scrub_rate, have gone by. */
static void pay(struct mkv_volume *volume, uint64_t bytes) {
    volume->scrub.due_ns = volume->now_ns + bytes * NS_PER_S / volume->config.scrub_rate;
}

static void block_ended(struct mkv_volume *volume, uint32_t index) {
    struct scrub *scrub = &volume->scrub;
    scrub->in_flight = 0;
    pay(volume, scrub->bytes);
    volume->stats.scrub_slots_total++;
    volume->stats.scrub_bytes_total += scrub->bytes;
    mkv_volume_op_free(volume, index);
}

static void block_damaged(struct mkv_volume *volume, uint32_t index, enum mkv_err err) {
    const struct mkv_slot slot = volume_ops(volume)[index].slot;
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    /* It is held, so the slot has no other block; but this one may have been dropped meanwhile. */
    if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE) {
        mkv_volume_quarantine(volume, slot, err);
    }
    volume->stats.scrub_damaged_total++;
    block_ended(volume, index);
}

static void header_read(struct mkv_volume *volume, struct mkv_slot slot) {
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_SCRUB);
    struct op *op = &volume_ops(volume)[index];
    op->state = OP_SCRUBBING;
    op->tenant = mkv_slot_table_entry(volume_table(volume), slot)->tenant;
    mkv_volume_hold(volume, index, slot);
    if (MKV_CANARY(MKV_CANARY_SCRUB_WITHOUT_HOLD)) {
        mkv_volume_release(volume, index);
    }
    op->slot = slot;
    volume->scrub.in_flight = 1;
    volume->scrub.offset = 0;
    volume->scrub.bytes = MKV_UNIT_BYTES;
    volume->scrub.header_known = false;
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->memory = MKV_DRIVE_META;
    drive->lba = mkv_slot_table_lba(volume_table(volume), slot);
    drive->unit_count = 1;
    drive->meta_offset = meta_of_op(volume, index);
}

/* Compares the sums of the chunks from the one at `offset` on. */
static bool chunks_match(const struct mkv_slot_header *header, uint32_t offset,
                         const uint64_t *sums, uint32_t sum_count) {
    const uint8_t *expected = header->sums + 8 * (size_t)(offset / mkv_chunk_bytes(header->length));
    for (uint32_t index = 0; index < sum_count; index++) {
        if (sums[index] != mkv_load_u64(expected + 8 * (size_t)index)) {
            return false;
        }
    }
    return true;
}

/* An inline payload is in the header unit, and has one chunk. */
static bool inline_matches(const struct mkv_slot_header *header, const uint8_t *unit) {
    uint64_t sum;
    MKV_ASSERT(mkv_chunk_count(header->length) == 1);
    mkv_chunk_sums(unit + MKV_SLOT_INLINE_OFFSET, header->length, &sum);
    return chunks_match(header, 0, &sum, 1);
}

/* How many payload bytes the next piece has: whole chunks, as many as there is memory for. */
static uint32_t piece_bytes(const struct mkv_volume *volume, const struct mkv_slot_header *header) {
    const uint32_t chunk_bytes = mkv_chunk_bytes(header->length);
    const uint32_t room = SCRUB_UNITS * MKV_UNIT_BYTES / chunk_bytes * chunk_bytes;
    MKV_ASSERT(room >= chunk_bytes);
    return (uint32_t)mkv_min_u64(room, header->length - volume->scrub.offset);
}

static void piece_read(struct mkv_volume *volume, uint32_t index) {
    struct scrub *scrub = &volume->scrub;
    const struct op *op = &volume_ops(volume)[index];
    struct mkv_slot_header header;
    /* It was judged when it came; the op's unit has not changed since. */
    const enum mkv_err err =
        mkv_slot_header_decode(volume_meta(volume, meta_of_op(volume, index)), &header);
    MKV_ASSERT(err == MKV_OK);
    if (mkv_slot_payload_units(header.length) == 0 || scrub->offset == header.length) {
        block_ended(volume, index);
        return;
    }
    const struct mkv_lba lba = mkv_slot_table_lba(volume_table(volume), op->slot);
    scrub->piece = piece_bytes(volume, &header);
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->memory = MKV_DRIVE_META;
    drive->lba = (struct mkv_lba){lba.unit + 1 + scrub->offset / MKV_UNIT_BYTES};
    drive->unit_count = (uint32_t)mkv_divide_up_u64(scrub->piece, MKV_UNIT_BYTES);
    drive->meta_offset = meta_of_scrub(volume);
    drive->payload_bytes = scrub->piece;
    drive->chunk_bytes = mkv_chunk_bytes(header.length);
}

static void header_done(struct mkv_volume *volume, uint32_t index) {
    const struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->slot);
    const uint8_t *unit = volume_meta(volume, meta_of_op(volume, index));
    const uint64_t tag = ((uint64_t)entry->tag_high << 32) | entry->tag_low;
    struct mkv_slot_header header;
    /* The op has no key, so that of the header is another one, if it is sound. */
    if (mkv_volume_judge_header(volume, op, op->slot, unit, &header) == HEADER_CORRUPT ||
        mkv_key_tag(header.tenant, header.key, header.key_bytes) != tag) {
        volume->stats.checksum_failures_header_total++;
        block_damaged(volume, index, MKV_CORRUPT_SLOT_HEADER);
        return;
    }
    volume->scrub.header_known = true;
    if (mkv_slot_payload_units(header.length) == 0 && header.length > 0 &&
        !inline_matches(&header, unit)) {
        volume->stats.checksum_failures_payload_total++;
        block_damaged(volume, index, MKV_CORRUPT_PAYLOAD);
        return;
    }
    piece_read(volume, index);
}

static void piece_done(struct mkv_volume *volume, uint32_t index,
                       const struct mkv_drive_done *done) {
    struct scrub *scrub = &volume->scrub;
    struct mkv_slot_header header;
    const enum mkv_err err =
        mkv_slot_header_decode(volume_meta(volume, meta_of_op(volume, index)), &header);
    MKV_ASSERT(err == MKV_OK);
    MKV_ASSERT(done->sum_count == mkv_divide_up_u64(scrub->piece, mkv_chunk_bytes(header.length)));
    scrub->bytes += scrub->piece;
    if (!chunks_match(&header, scrub->offset, done->sums, done->sum_count)) {
        volume->stats.checksum_failures_payload_total++;
        block_damaged(volume, index, MKV_CORRUPT_PAYLOAD);
        return;
    }
    scrub->offset += scrub->piece;
    piece_read(volume, index);
}

void mkv_volume_scrub_io_done(struct mkv_volume *volume, uint32_t index,
                              const struct mkv_drive_done *done) {
    const struct op *op = &volume_ops(volume)[index];
    if (volume->state != MKV_VOLUME_SERVING) {
        block_ended(volume, index);
        return;
    }
    if (done->result == MKV_IO_OK && volume->scrub.header_known) {
        piece_done(volume, index, done);
        return;
    }
    if (done->result == MKV_IO_OK) {
        header_done(volume, index);
        return;
    }
    const uint64_t lba = mkv_slot_table_lba(volume_table(volume), op->slot).unit;
    mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_READ, done->result, lba);
    if (done->result == MKV_IO_MEDIUM) {
        block_damaged(volume, index, MKV_ERR_DRIVE_IO);
        return;
    }
    block_ended(volume, index); /* it may read well when its turn comes again */
    if (mkv_io_result_is_final(done->result)) {
        mkv_volume_fail(volume, done->result, lba);
    }
}

/* The next live block from the cursor on, looking at a bounded number of slots. */
static bool next_block(struct mkv_volume *volume, struct mkv_slot *slot) {
    struct scrub *scrub = &volume->scrub;
    const struct mkv_slot_table *table = volume_table(volume);
    const uint32_t end = table->page_high * MKV_PAGE_SLOTS;
    const uint32_t look_max = volume_step_slots(volume, SLOTS_LOOKED_AT_MAX);
    for (uint32_t looked = 0; scrub->cursor < end && looked < look_max; looked++) {
        *slot = mkv_slot_table_next_owned(table, (struct mkv_slot){scrub->cursor});
        if (slot->index == MKV_NONE_U32) {
            scrub->cursor = end;
            break;
        }
        scrub->cursor = slot->index + 1;
        const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, *slot);
        if (mkv_slot_state_of(entry) == MKV_SLOT_LIVE && (entry->bits & MKV_SLOT_HIDDEN) == 0) {
            return true;
        }
    }
    pay(volume, look_max * SLOT_LOOK_BYTES);
    if (scrub->cursor >= end) {
        scrub->cursor = 0;
        pay(volume, PASS_BYTES_MIN);
        volume->stats.scrub_passes_total++;
    }
    return false;
}

void mkv_volume_scrub_pump(struct mkv_volume *volume) {
    const struct scrub *scrub = &volume->scrub;
    if (volume->config.scrub_rate == 0 || scrub->in_flight > 0 || volume->now_ns < scrub->due_ns ||
        volume->stall.active) {
        return;
    }
    struct mkv_slot slot;
    if (next_block(volume, &slot)) {
        header_read(volume, slot);
    }
}

double mkv_volume_scrub_progress(const struct mkv_volume *volume) {
    const uint32_t end = volume_table(volume)->page_high * MKV_PAGE_SLOTS;
    return end == 0 ? 0 : (double)mkv_min_u64(volume->scrub.cursor, end) / end;
}
