/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: records become blocks, blocks are written to both copies of the ring, a flush makes
 * them durable, and only then are they applied and answered.
 *
 *   written ops --flush--> ready ops --batch--> journaled ops --flush--> applied, answered
 *
 * A flush waits for the batch that is being written, so that it covers it (DESIGN: one flush serves
 * the records of batch n and the data of batch n + 1).
 */
#include <string.h>

#include "core/volume_internal.h"

/* The longest that a flush waits for more data to cover. */
#define FLUSH_HELD_NS_MAX 20000000ull
/* What a flush takes, and how far the ends of writes are apart, are means over the last few: each
 * new one counts for an eighth. */
#define MEAN_SHIFT 3u

uint64_t mkv_volume_ring_used(const struct mkv_volume *volume) {
    return volume->issued_sequence.value + 1 - volume->ring_start.value;
}

static bool ring_has_room(const struct mkv_volume *volume) {
    /* I4: the block that would be overwritten is one that no durable superblock needs. */
    return mkv_volume_ring_used(volume) < volume->config.geometry.ring_blocks;
}

/* ---- building a batch ------------------------------------------------------------------------ */

/* The records of an op, in order; they stand in one block. Returns their count. */
static uint32_t records_of(const struct mkv_volume *volume, const struct op *op,
                           struct mkv_record records[2]) {
    uint32_t count = 0;
    if (op->kind == OP_KIND_EXTENT) {
        records[count].kind = MKV_RECORD_EXTENT;
        records[count].extent = op->extent;
        return 1;
    }
    if (op->kind == OP_KIND_TENANT) {
        records[0] = (struct mkv_record){
            .kind = MKV_RECORD_TENANT,
            .tenant = {.id = op->tenant, .place = op->tenant_place, .name_bytes = op->key_bytes},
        };
        memcpy(records[0].tenant.name, op->key, op->key_bytes);
        return 1;
    }
    if (op->kind == OP_KIND_TENANT_DROP) {
        records[0] = (struct mkv_record){
            .kind = MKV_RECORD_TENANT_DROP,
            .tenant_drop = {.id = op->tenant, .place = op->tenant_place},
        };
        return 1;
    }
    if (op->kind == OP_KIND_RETIRE) {
        records[0] = (struct mkv_record){.kind = MKV_RECORD_RETIRE, .retire = {.slot = op->slot}};
        return 1;
    }
    if (op->prolongs) {
        const struct mkv_slot_entry *entry =
            mkv_slot_table_entry(volume_table(volume), op->old_slot);
        records[0] = (struct mkv_record){
            .kind = MKV_RECORD_EXPIRY,
            .expiry = {op->old_slot, {entry->generation_low}, op->expiry_s},
        };
        return 1;
    }
    if (op->has_old) {
        const struct mkv_slot_entry *entry =
            mkv_slot_table_entry(volume_table(volume), op->old_slot);
        records[count].kind = MKV_RECORD_DROP;
        records[count].drop = (struct mkv_record_drop){
            .cause = op->drop_cause,
            .retired = op->retires,
            .slot = op->old_slot,
            .generation = {entry->generation_low},
        };
        count++;
    }
    if (op->kind == OP_KIND_PUT && !op->clearing) {
        records[count].kind = MKV_RECORD_PUT;
        records[count].put = (struct mkv_record_put){
            .block_flags = (uint16_t)(op->flags & MKV_BLOCK_FLAGS),
            .tenant = op->tenant,
            .tag = op->tag,
            .slot = op->slot,
            .tier =
                (uint8_t)(MKV_CANARY(MKV_CANARY_TIER_NOT_RECORDED) ? MKV_TIER_UNHINTED : op->tier),
            .length = op->length,
            .generation = op->generation_new,
            .root = op->root,
            .expiry_s = op->expiry_s,
        };
        count++;
    }
    MKV_ASSERT(count > 0);
    return count;
}

/* Moves ready ops into the block as long as their records fit. */
static void fill_block(struct mkv_volume *volume, uint8_t *unit, struct mkv_sequence sequence) {
    while (volume->ready.count > 0) {
        struct op *op = &volume_ops(volume)[volume->ready.head];
        struct mkv_record records[2];
        const uint32_t count = records_of(volume, op, records);
        uint32_t bytes = 0;
        for (uint32_t index = 0; index < count; index++) {
            bytes += mkv_record_bytes(records[index].kind);
        }
        if (bytes > mkv_journal_block_room(unit)) {
            break;
        }
        for (uint32_t index = 0; index < count; index++) {
            const bool fitted = mkv_journal_block_append(unit, &records[index]);
            MKV_ASSERT(fitted);
        }
        volume->stats.journal_records_total += count;
        const uint32_t popped = mkv_volume_list_pop(volume, &volume->ready);
        op->state = OP_JOURNALED;
        op->sequence = sequence;
        mkv_volume_list_push(volume, &volume->journaled, popped);
        if (op->kind == OP_KIND_TENANT_DROP) {
            mkv_volume_tenant_drop_issued(volume, popped);
        }
    }
}

static void write_block(struct mkv_volume *volume, uint32_t block, struct mkv_sequence sequence) {
    const struct mkv_geometry *geometry = &volume->config.geometry;
    const uint64_t meta = meta_of_journal(volume, block);
    const uint32_t position = (uint32_t)(sequence.value % geometry->ring_blocks);
    const struct mkv_journal_header header = {
        .drive_uuid = volume->config.drive_uuid,
        .sequence = sequence,
        .epoch = volume->superblock.epoch,
        .ring_position = position,
        .chain = volume->issued_chain,
        .flushed_sequence = MKV_CANARY(MKV_CANARY_FLUSHED_OVER_CLAIMED) ? volume->issued_sequence
                                                                        : volume->flushed_sequence,
        .wall_ms = volume->wall_ms,
    };
    MKV_ASSERT(sequence.value == volume->issued_sequence.value + 1);
    MKV_ASSERT(ring_has_room(volume));
    if (volume->journal_issued_ns == 0) {
        volume->journal_issued_ns = volume->now_ns;
    }
    volume->issued_chain = mkv_journal_block_seal(volume_meta(volume, meta), &header);
    volume->issued_sequence = sequence;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        mkv_volume_internal_io(volume, IO_JOURNAL + block * MKV_JOURNAL_COPIES + copy,
                               MKV_EFFECT_DRIVE_WRITE,
                               mkv_geometry_journal(geometry, copy, position), 1, meta);
        volume->batch_pending++;
    }
    volume->batch_blocks++;
    volume->stats.journal_blocks_total++;
}

static void pump_batch(struct mkv_volume *volume) {
    if (volume->batch_pending > 0) {
        return;
    }
    volume->batch_blocks = 0;
    while (volume->ready.count > 0 && volume->batch_blocks < MKV_JOURNAL_BATCH_BLOCKS_MAX &&
           ring_has_room(volume)) {
        const struct mkv_sequence sequence = {volume->issued_sequence.value + 1};
        const uint32_t block = volume->batch_blocks;
        uint8_t *unit = volume_meta(volume, meta_of_journal(volume, block));
        mkv_journal_block_begin(unit);
        fill_block(volume, unit, sequence);
        MKV_ASSERT(mkv_journal_block_record_count(unit) > 0);
        volume->records_sequence = sequence.value;
        write_block(volume, block, sequence);
    }
    if (volume->batch_blocks > 0) {
        volume->recorded_sequence = volume->flushed_sequence.value;
        volume->quiet_since_ns = volume->now_ns;
    }
}

/* When nothing has happened for a while, an empty block records how far the last flush reached: a
 * journal that is cut behind it is then known to have lost something. */
static void pump_idle(struct mkv_volume *volume) {
    const bool unrecorded = volume->recorded_sequence < volume->records_sequence;
    const bool durable = volume->flushed_sequence.value >= volume->records_sequence;
    if (volume->state != MKV_VOLUME_SERVING || volume->batch_pending > 0 || !unrecorded ||
        !durable || volume->now_ns - volume->quiet_since_ns < volume->config.idle_ns ||
        !ring_has_room(volume)) {
        return;
    }
    MKV_ASSERT(volume->ready.count == 0);
    mkv_journal_block_begin(volume_meta(volume, meta_of_journal(volume, 0)));
    volume->batch_blocks = 0;
    write_block(volume, 0, (struct mkv_sequence){volume->issued_sequence.value + 1});
    volume->recorded_sequence = volume->flushed_sequence.value;
    uint64_t ticket;
    volume_want_flush(volume, &ticket); /* or a power cut takes away what it states */
}

/* ---- flush ----------------------------------------------------------------------------------- */

/* Takes a time into a mean. Longer ones than a flush may wait count as that: more makes no
 * difference, and one operation that hangs is soon forgotten. */
static void mean_add(uint64_t *mean_ns, uint64_t ns) {
    ns = mkv_max_u64(1, mkv_min_u64(ns, FLUSH_HELD_NS_MAX));
    if (*mean_ns == 0) {
        *mean_ns = ns;
    } else if (ns > *mean_ns) {
        *mean_ns += mkv_divide_up_u64(ns - *mean_ns, 1u << MEAN_SHIFT);
    } else {
        *mean_ns -= (*mean_ns - ns) >> MEAN_SHIFT;
    }
    MKV_ASSERT(*mean_ns >= 1);
    MKV_ASSERT(*mean_ns <= FLUSH_HELD_NS_MAX);
}

void mkv_volume_data_write_issued(struct mkv_volume *volume, struct op *op) {
    if (volume->writes_in_flight == 0) {
        volume->write_ended_ns = volume->now_ns;
    }
    op->write_number = ++volume->write_number;
    volume->writes_in_flight++;
}

void mkv_volume_data_write_done(struct mkv_volume *volume, const struct op *op) {
    MKV_ASSERT(volume->writes_in_flight > 0);
    volume->writes_in_flight--;
    mean_add(&volume->write_gap_ns, volume->now_ns - volume->write_ended_ns);
    volume->write_ended_ns = volume->now_ns;
    if (volume->flush_held && op->write_number <= volume->flush_held_number) {
        MKV_ASSERT(volume->flush_held_writes > 0);
        volume->flush_held_writes--;
    }
}

/* The longest that a flush waits now: as long as flushes take. None is known yet: as long as any
 * may. */
static uint64_t flush_held_max_ns(const struct mkv_volume *volume) {
    MKV_ASSERT(volume->flush_ns <= FLUSH_HELD_NS_MAX);
    return volume->flush_ns == 0 ? FLUSH_HELD_NS_MAX : volume->flush_ns;
}

/* Whether the flush waits for more data to cover.
 *
 * A put needs two flushes, one for its data and one for its record. Where a flush takes long, what
 * counts is how many puts share it: so it waits until it covers the data of half of the puts that
 * are under way, the other half being those whose records it makes durable, and all go round in two
 * halves with two flushes. Where a flush takes less than the writes that it would wait for, a wait
 * only keeps those waiting that are written, and the drive without the puts that come after them:
 * so it goes at once.
 *
 * Both follow from one rule, that of whoever may rent or buy and does not know for how long: wait
 * as long as the flush takes that might be spared, and no longer, and not at all if what is waited
 * for is not expected within that time. When it is expected follows from how fast writes have come
 * back of late, one after the other while any are in flight.
 *
 * It waits for none but the writes that were in flight when it was first wanted, so that a stream
 * of puts cannot put it off; and so not at all where nothing is being written.
 *
 * What was tried and is not done, as it gained nothing and took three times the flushes: a flush of
 * data beside the journal blocks that are being written, which goes before the one that covers
 * them; and a batch beside the one before it. */
static bool flush_is_held(struct mkv_volume *volume) {
    const uint32_t under_way = volume->writes_in_flight + volume->written.count +
                               volume->journaled.count + volume->ready.count;
    if (volume->writes_in_flight == 0 || volume->written.count * 2 >= under_way) {
        return false;
    }
    if (!volume->flush_held) {
        volume->flush_held = true;
        volume->flush_held_since_ns = volume->now_ns;
        volume->flush_held_number = volume->write_number;
        volume->flush_held_writes = volume->writes_in_flight;
    }
    const uint32_t lacking = (under_way + 1) / 2 - volume->written.count;
    const uint64_t awaited = mkv_min_u64(lacking, volume->flush_held_writes);
    const uint64_t expected_ns = volume->write_ended_ns + awaited * volume->write_gap_ns;
    const uint64_t until_ns = volume->flush_held_since_ns + flush_held_max_ns(volume);
    return awaited > 0 && expected_ns <= until_ns && volume->now_ns < until_ns;
}

uint64_t mkv_volume_timer_ns(const struct mkv_volume *volume) {
    const bool waits = volume->flush_held && !volume->flush_in_flight &&
                       volume->batch_pending == 0 && volume->state != MKV_VOLUME_FAILED;
    return waits ? volume->flush_held_since_ns + flush_held_max_ns(volume) : UINT64_MAX;
}

static void pump_flush(struct mkv_volume *volume) {
    const bool records_wait = volume->records_sequence > volume->flushed_sequence.value;
    const bool somebody_waits = volume->flush_wanted > volume->flush_completed;
    if (volume->flush_in_flight || volume->batch_pending > 0) {
        return;
    }
    if (!records_wait && !somebody_waits && volume->written.count == 0) {
        return;
    }
    if (flush_is_held(volume)) {
        return;
    }
    volume->flush_held = false;
    MKV_ASSERT(volume->flushing.count == 0);
    struct op_list *written = &volume->written;
    if (written->count > 0) {
        mkv_histogram_record_size(&volume->times.flush_writes, written->count);
    }
    volume->flush_issued_ns = volume->journal_issued_ns;
    volume->journal_issued_ns = 0;
    while (written->count > 0) {
        const uint32_t index = mkv_volume_list_pop(volume, written);
        volume_ops(volume)[index].state = OP_FLUSHING;
        mkv_volume_list_push(volume, &volume->flushing, index);
    }
    volume->flush_in_flight = true;
    volume->flush_issued++;
    volume->flush_covers = volume->written_sequence.value;
    volume->flush_covers_chain = volume->chain_of_written;
    mkv_volume_internal_io(volume, IO_FLUSH, MKV_EFFECT_DRIVE_FLUSH, (struct mkv_lba){0}, 0, 0);
}

static void count_extent(struct mkv_volume_stats *stats, const struct mkv_record_extent *record) {
    if (record->slot_units == 0) {
        stats->extents_given_back_total++;
    } else {
        stats->extents_given_total++;
        stats->extents_given_spanned_total += record->span > 1;
    }
}

static void apply_extent(struct mkv_volume *volume, const struct mkv_record_extent *record) {
    const bool takes = record->slot_units != 0;
    if (!takes) {
        mkv_volume_policy_extent(volume, record);
    }
    mkv_slot_table_apply_extent(volume_table(volume), record);
    if (takes) {
        mkv_volume_policy_extent(volume, record);
    }
}

static void apply_op(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    struct mkv_slot_table *table = volume_table(volume);
    struct mkv_record records[2];
    const uint32_t count = records_of(volume, op, records);
    for (uint32_t record = 0; record < count; record++) {
        switch (records[record].kind) {
        case MKV_RECORD_PUT:
            mkv_slot_table_apply_put(table, &records[record].put);
            mkv_volume_tenant_unreserve(volume, op);
            mkv_volume_tenant_count(volume, op->slot);
            mkv_volume_directory_put(volume, op);
            mkv_volume_empty_put_applied(volume, op->slot);
            mkv_volume_expiry_noted(volume, op->expiry_s);
            mkv_volume_policy_put(volume, op->slot, (op->flags & MKV_PUT_LAST) != 0);
            mkv_volume_session_put_applied(volume, op);
            mkv_volume_sample_put(volume, op->slot);
            volume->stats.write_bytes_total += op->length;
            volume->stats.writes_total++;
            break;
        case MKV_RECORD_DROP:
            mkv_volume_policy_dropped(volume, op->old_slot, false);
            if ((!MKV_CANARY(MKV_CANARY_SLOT_REUSED_BEFORE_DROP) &&
                 !(op->drop_cause == MKV_DROP_EVICT &&
                   MKV_CANARY(MKV_CANARY_EVICTED_SLOT_REUSED_BEFORE_DROP))) ||
                (op->kind == OP_KIND_PUT && !op->clearing)) {
                mkv_volume_directory_drop(volume, op);
                if (op->kind != OP_KIND_PUT || op->clearing ||
                    !MKV_CANARY(MKV_CANARY_TENANT_COUNT_DRIFTS)) {
                    mkv_volume_tenant_uncount(volume, op->old_slot);
                }
                mkv_volume_lease_dropped(volume, records[record].drop.slot);
                mkv_volume_sample_dropped(volume, records[record].drop.slot);
                mkv_slot_table_apply_drop(table, &records[record].drop);
            }
            volume->stats.expired_total += op->drop_cause == MKV_DROP_EXPIRE;
            break;
        case MKV_RECORD_EXTENT:
            apply_extent(volume, &records[record].extent);
            count_extent(&volume->stats, &op->extent);
            mkv_volume_extent_op_ended(volume, op->slot_units);
            break;
        case MKV_RECORD_TENANT:
        case MKV_RECORD_TENANT_DROP:
            mkv_tenant_table_apply(volume_tenants(volume), &records[record]);
            if (op->kind == OP_KIND_TENANT) {
                mkv_volume_tenant_applied(volume, op);
            }
            break;
        case MKV_RECORD_RETIRE:
            mkv_slot_table_apply_retire(table, op->slot);
            break;
        case MKV_RECORD_EXPIRY:
            mkv_slot_table_apply_expiry(table, &records[record].expiry);
            mkv_volume_expiry_noted(volume, op->expiry_s);
            volume->stats.prolonged_total++;
            break;
        }
    }
    if (op->clearing) {
        mkv_volume_mutation_cleared(volume, index);
        return;
    }
    const bool extent = op->kind == OP_KIND_EXTENT;
    mkv_volume_mutation_end(volume, index, MKV_STATUS_OK);
    if (extent) {
        mkv_volume_extent_applied(volume);
    }
}

/* Applies, in the order of the journal, every op whose block is durable. */
static void apply_up_to(struct mkv_volume *volume, uint64_t sequence) {
    while (volume->journaled.count > 0) {
        const uint32_t index = volume->journaled.head;
        if (volume_ops(volume)[index].sequence.value > sequence) {
            break;
        }
        mkv_volume_list_pop(volume, &volume->journaled);
        apply_op(volume, index);
    }
}

void mkv_volume_flush_done(struct mkv_volume *volume, const struct mkv_drive_done *done) {
    MKV_ASSERT(volume->flush_in_flight);
    volume->flush_in_flight = false;
    if (done->result != MKV_IO_OK && !MKV_CANARY(MKV_CANARY_FLUSH_ERROR_IGNORED)) {
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_FLUSH, done->result, 0);
        mkv_volume_fail(volume, done->result, 0);
        return;
    }
    volume->flush_completed++;
    MKV_ASSERT(volume->flush_covers >= volume->flushed_sequence.value);
    if (volume->flush_covers > volume->flushed_sequence.value || volume->flushing.count > 0) {
        mean_add(&volume->flush_ns, volume->now_ns - volume->io[IO_FLUSH].issued_ns);
    }
    if (volume->flush_covers > volume->flushed_sequence.value) {
        volume->stats.journal_commits_total++;
        if (volume->flush_issued_ns != 0) {
            mkv_histogram_record_ns(&volume->times.journal_flush,
                                    volume->now_ns - volume->flush_issued_ns);
        }
        volume->flushed_sequence.value = volume->flush_covers;
        volume->flushed_chain = volume->flush_covers_chain;
        apply_up_to(volume, volume->flush_covers);
        mkv_volume_directory_applied(volume);
    }
    while (volume->flushing.count > 0) {
        const uint32_t index = mkv_volume_list_pop(volume, &volume->flushing);
        MKV_ASSERT(volume_ops(volume)[index].state == OP_FLUSHING);
        if (!mkv_volume_tenant_takes(volume, volume_ops(volume)[index].tenant) &&
            !MKV_CANARY(MKV_CANARY_PUT_JOURNALED_UNDER_TENANT_DROP)) {
            mkv_volume_put_refused(volume, index, MKV_STATUS_FORBIDDEN);
            continue;
        }
        if (!mkv_volume_purge_takes(volume, &volume_ops(volume)[index])) {
            mkv_volume_put_refused(volume, index, MKV_STATUS_UNAVAILABLE);
            continue;
        }
        mkv_volume_put_flushed(volume, index);
    }
    volume->quiet_since_ns = volume->now_ns;
}

void mkv_volume_journal_io_done(struct mkv_volume *volume, uint32_t which,
                                const struct mkv_drive_done *done) {
    const uint32_t copy = (which - IO_JOURNAL) % MKV_JOURNAL_COPIES;
    MKV_ASSERT(volume->batch_pending > 0);
    volume->batch_pending--;
    if (done->result != MKV_IO_OK && !MKV_CANARY(MKV_CANARY_JOURNAL_ERROR_IGNORED)) {
        const struct mkv_geometry *geometry = &volume->config.geometry;
        const uint64_t position = volume->issued_sequence.value % geometry->ring_blocks;
        const uint64_t lba = mkv_geometry_journal(geometry, copy, position).unit;
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_WRITE, done->result, lba);
        mkv_volume_fail(volume, done->result, lba);
        return;
    }
    if (volume->batch_pending > 0) {
        return;
    }
    volume->written_sequence = volume->issued_sequence;
    volume->chain_of_written = volume->issued_chain;
    if (MKV_CANARY(MKV_CANARY_ANSWER_BEFORE_FLUSH)) {
        apply_up_to(volume, volume->written_sequence.value);
    }
}

void mkv_volume_journal_pump(struct mkv_volume *volume) {
    pump_batch(volume);
    pump_idle(volume);
    pump_flush(volume);
    if (MKV_CANARY(MKV_CANARY_DELETE_ANSWERED_EARLY)) {
        /* Planted: a DELETE is answered when its record is merely issued. */
        const uint32_t index = volume->journaled.head;
        if (volume->journaled.count == 1 && volume_ops(volume)[index].kind == OP_KIND_DELETE) {
            mkv_volume_list_pop(volume, &volume->journaled);
            apply_op(volume, index);
        }
    }
    if (MKV_CANARY(MKV_CANARY_EXPIRE_ANSWERED_EARLY)) {
        const uint32_t index = volume->journaled.head;
        if (volume->journaled.count == 1 && volume_ops(volume)[index].kind == OP_KIND_EXPIRE) {
            mkv_volume_list_pop(volume, &volume->journaled);
            apply_op(volume, index);
        }
    }
}
