/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FIND, READ, EXISTS. No byte leaves before its chunk was compared with the sums in a header that
 * was itself compared with the table: drive, slot, generation, tenant, key.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/volume_internal.h"

/* Walks of one GET through the slots of its tag, while these change under it. */
#define WALKS_MAX 8u

/* A closing volume goes on serving until the clean mark is being written. */
static bool volume_serves(const struct mkv_volume *volume) {
    if (volume->stall.active) {
        return false; /* I9 */
    }
    return volume->state == MKV_VOLUME_SERVING ||
           (volume->state == MKV_VOLUME_CLOSING && !volume_writes_clean_mark(volume));
}

static bool tenant_is_served(const struct mkv_volume *volume, uint32_t tenant) {
    return volume_serves(volume) && mkv_tenant_table_serves(volume_tenants(volume), tenant);
}

static enum mkv_miss miss_reason(const struct mkv_volume *volume, uint32_t tenant, uint64_t tag) {
    if (!volume_serves(volume)) {
        return MKV_MISS_DRIVE_OFFLINE;
    }
    const enum mkv_miss miss = mkv_volume_tenant_miss(volume, tenant);
    return miss == MKV_MISS_UNKNOWN && mkv_volume_was_evicted(volume, tag) ? MKV_MISS_EVICTED
                                                                           : miss;
}

static uint32_t entry_block_flags(const struct mkv_slot_entry *entry) {
    return ((entry->bits & MKV_SLOT_MANIFEST) ? MKV_BLOCK_MANIFEST : 0u) |
           ((entry->bits & MKV_SLOT_SEGMENT) ? MKV_BLOCK_SEGMENT : 0u);
}

/* The largest payload among the slots of a tag. Nearly always there is one; keys that share a tag
 * are told apart by their headers only, so the slab must hold whichever it turns out to be. */
static uint32_t chain_length_units_max(const struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_table *table = volume_table(volume);
    struct mkv_slot_walk walk = mkv_slot_table_walk_behind(table, slot);
    uint32_t units = 0;
    for (; slot.index != MKV_NONE_U32; slot = mkv_slot_table_walk_next(table, &walk)) {
        units = (uint32_t)mkv_max_u64(units, mkv_slot_table_entry(table, slot)->length_units);
    }
    return units;
}

/* Begins a walk through the slots of the op's tag. */
static struct mkv_slot walk_begin(const struct mkv_volume *volume, struct op *op) {
    const struct mkv_slot_table *table = volume_table(volume);
    op->walk_first = mkv_slot_table_find(table, op->tenant, op->tag);
    if (op->walk_first.index != MKV_NONE_U32) {
        op->walk_first_generation = mkv_slot_table_entry(table, op->walk_first)->generation_low;
    }
    return mkv_volume_unexpired(volume, op->walk_first);
}

void mkv_volume_find(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    MKV_ASSERT(message->data_bytes >= 1);
    MKV_ASSERT(message->data_bytes <= MKV_KEY_BYTES_MAX);
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_GET);
    struct op *op = &volume_ops(volume)[index];
    op->front_op = message->front_op;
    op->tenant = message->tenant;
    op->key_bytes = message->data_bytes;
    op->tag = mkv_key_tag(message->tenant, input->data, message->data_bytes);
    memcpy(op->key, input->data, message->data_bytes);
    const struct mkv_slot none = {MKV_NONE_U32};
    const bool served = tenant_is_served(volume, op->tenant);
    struct mkv_slot slot = served ? walk_begin(volume, op) : none;
    if (MKV_CANARY(MKV_CANARY_TENANT_FALLS_BACK) && slot.index == MKV_NONE_U32) {
        op->tenant = MKV_TENANT_DEFAULT;
        op->tag = mkv_key_tag(op->tenant, op->key, op->key_bytes);
        slot = walk_begin(volume, op);
    }
    if (slot.index == MKV_NONE_U32) {
        struct mkv_message *answer =
            mkv_volume_answer(volume, index, MKV_MESSAGE_FOUND, MKV_STATUS_NOT_FOUND);
        answer->miss = served && op->walk_first.index != MKV_NONE_U32
                           ? MKV_MISS_EXPIRED
                           : miss_reason(volume, op->tenant, op->tag);
        mkv_volume_op_free(volume, index);
        return;
    }
    mkv_volume_policy_used(volume, slot, true);
    mkv_volume_lease_used(volume, slot);
    mkv_volume_hold(volume, index, slot);
    op->state = OP_FOUND;
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    op->flags = entry_block_flags(entry);
    op->slab_payload_units = chain_length_units_max(volume, slot);
    struct mkv_message *answer = mkv_volume_answer(volume, index, MKV_MESSAGE_FOUND, MKV_STATUS_OK);
    answer->length_units = op->slab_payload_units;
    answer->flags = op->flags;
}

void mkv_volume_prefetch(const struct mkv_volume *volume, const struct mkv_message *message,
                         const uint8_t *data, enum mkv_prefetch stage) {
    const bool looks_up = message->kind == MKV_MESSAGE_FIND || message->kind == MKV_MESSAGE_EXISTS;
    if (looks_up && volume->state == MKV_VOLUME_SERVING) {
        mkv_slot_table_prefetch(volume_table(volume),
                                mkv_key_tag(message->tenant, data, message->data_bytes), stage);
    }
}

struct mkv_slot mkv_volume_found(const struct mkv_volume *volume, const struct mkv_input *input,
                                 enum mkv_miss *miss) {
    const struct mkv_message *message = &input->message;
    const uint64_t tag = mkv_key_tag(message->tenant, input->data, message->data_bytes);
    struct mkv_slot slot = {MKV_NONE_U32};
    bool expired = false;
    if (tenant_is_served(volume, message->tenant)) {
        slot = mkv_slot_table_find(volume_table(volume), message->tenant, tag);
        expired = slot.index != MKV_NONE_U32;
        slot = mkv_volume_unexpired(volume, slot);
    }
    *miss = MKV_MISS_NONE;
    if (slot.index == MKV_NONE_U32) {
        *miss = expired ? MKV_MISS_EXPIRED : miss_reason(volume, message->tenant, tag);
    }
    return slot;
}

void mkv_volume_exists(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    enum mkv_miss miss = MKV_MISS_NONE;
    const struct mkv_slot slot = mkv_volume_found(volume, input, &miss);
    struct mkv_effect *effect = mkv_volume_emit(volume, MKV_EFFECT_MESSAGE);
    effect->op = message->front_op;
    struct mkv_message *answer = &effect->message;
    answer->kind = MKV_MESSAGE_EXISTS_DONE;
    answer->volume = volume->config.volume;
    answer->front_op = message->front_op;
    if (slot.index == MKV_NONE_U32) {
        answer->status = MKV_STATUS_NOT_FOUND;
        answer->miss = miss;
        return;
    }
    if ((message->flags & MKV_EXISTS_NO_USE) == 0) {
        mkv_volume_policy_used(volume, slot, false);
    }
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    answer->status = MKV_STATUS_OK;
    answer->length_units = entry->length_units;
    answer->flags = entry_block_flags(entry);
    answer->expiry_s = entry->expiry_s;
    answer->volume_op = (struct mkv_op_id){slot.index, entry->generation_low};
    if (message->lease_ns > 0) {
        const bool is_short = (message->flags & MKV_LEASE_SHORT) != 0;
        answer->lease_ns = mkv_volume_lease(volume, slot, message->lease_ns, is_short);
    }
}

void mkv_volume_inspect(const struct mkv_volume *volume, uint32_t tenant, const uint8_t *key,
                        uint32_t key_bytes, struct mkv_volume_inspection *inspection) {
    const struct mkv_input input = {
        .kind = MKV_INPUT_MESSAGE,
        .data = key,
        .data_bytes = key_bytes,
        .message = {.tenant = tenant, .data_bytes = key_bytes},
    };
    *inspection = (struct mkv_volume_inspection){0};
    const struct mkv_slot slot = mkv_volume_found(volume, &input, &inspection->miss);
    if (slot.index == MKV_NONE_U32) {
        return;
    }
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    inspection->found = true;
    inspection->length_units = entry->length_units;
    inspection->block_flags = entry_block_flags(entry);
    inspection->tier = mkv_slot_tier_of(entry);
    inspection->tier_put = (enum mkv_tier)entry->tier_put;
    inspection->expiry_s = entry->expiry_s;
    inspection->leased = mkv_volume_is_leased(volume, slot);
    inspection->leaving = mkv_slot_policy_of(entry) == 0;
}

void mkv_volume_touch(struct mkv_volume *volume, const struct mkv_input *input) {
    const uint32_t count = input->data_bytes / MKV_TOUCH_ENTRY_BYTES;
    MKV_ASSERT(count <= MKV_TOUCH_ENTRIES_MAX);
    MKV_ASSERT(input->data_bytes % MKV_TOUCH_ENTRY_BYTES == 0);
    if (volume->state != MKV_VOLUME_SERVING) {
        return;
    }
    for (uint32_t index = 0; index < count; index++) {
        const uint8_t *entry = input->data + (size_t)index * MKV_TOUCH_ENTRY_BYTES;
        const uint32_t tenant = mkv_load_u32(entry + 8);
        const struct mkv_slot slot = mkv_volume_unexpired(
            volume, mkv_slot_table_find(volume_table(volume), tenant, mkv_load_u64(entry)));
        if (slot.index != MKV_NONE_U32 && tenant_is_served(volume, tenant)) {
            mkv_volume_policy_used(volume, slot, true);
            volume->stats.touches_total++;
        }
    }
}

struct mkv_slot mkv_volume_candidate(const struct mkv_volume *volume, const struct op *op) {
    const struct mkv_slot_table *table = volume_table(volume);
    struct mkv_slot_walk walk = mkv_slot_table_walk(table, op->tenant, op->tag);
    struct mkv_slot slot = mkv_slot_table_walk_next(table, &walk);
    for (uint32_t skipped = 0; skipped < op->candidate && slot.index != MKV_NONE_U32; skipped++) {
        slot = mkv_slot_table_walk_next(table, &walk);
    }
    return slot;
}

enum header_verdict mkv_volume_judge_header(struct mkv_volume *volume, const struct op *op,
                                            struct mkv_slot slot, const uint8_t *unit,
                                            struct mkv_slot_header *header) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    if (mkv_slot_header_decode(unit, header) != MKV_OK) {
        return HEADER_CORRUPT;
    }
    if (MKV_CANARY(MKV_CANARY_HEADER_UNCHECKED)) {
        return HEADER_MATCH;
    }
    const struct mkv_uuid *drive_uuid = &volume->config.drive_uuid;
    const bool large_manifest = (header->block_flags & MKV_BLOCK_MANIFEST) != 0 &&
                                mkv_slot_payload_units(header->length) > 0;
    if (large_manifest ||
        memcmp(header->drive_uuid.bytes, drive_uuid->bytes, sizeof drive_uuid->bytes) != 0 ||
        header->slot.index != slot.index ||
        ((uint32_t)header->generation.value != entry->generation_low &&
         !MKV_CANARY(MKV_CANARY_GENERATION_UNCHECKED)) ||
        header->tenant != op->tenant ||
        mkv_slot_payload_units(header->length) != entry->length_units ||
        header->block_flags != entry_block_flags(entry)) {
        return HEADER_CORRUPT;
    }
    if (header->key_bytes != op->key_bytes || memcmp(header->key, op->key, op->key_bytes) != 0) {
        return HEADER_OTHER_KEY;
    }
    return HEADER_MATCH;
}

/* ---- READ ------------------------------------------------------------------------------------ */

static void read_end(struct mkv_volume *volume, uint32_t index, enum mkv_status status,
                     enum mkv_miss miss) {
    struct mkv_message *answer = mkv_volume_answer(volume, index, MKV_MESSAGE_READ_DONE, status);
    answer->miss = miss;
    answer->drive_ns = volume_ops(volume)[index].drive_ns;
    mkv_volume_op_free(volume, index);
}

/* Hands out the first read of the op's slot. */
static void read_start(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->slot);
    const struct mkv_lba lba = mkv_slot_table_lba(volume_table(volume), op->slot);
    const uint32_t payload_bytes_max = (uint32_t)entry->length_units * MKV_UNIT_BYTES;
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->lba = lba;
    if (op->range_offset > 0 && entry->length_units > 0) {
        op->state = OP_READING_HEADER;
        drive->memory = MKV_DRIVE_META;
        drive->unit_count = 1;
        drive->meta_offset = meta_of_op(volume, index);
        return;
    }
    uint32_t bytes = payload_bytes_max;
    if (op->range_bytes != 0 && op->range_bytes < bytes) {
        const uint32_t chunk_bytes = mkv_chunk_bytes(payload_bytes_max);
        bytes = (uint32_t)mkv_min_u64(mkv_round_up_u64(op->range_bytes, chunk_bytes),
                                      payload_bytes_max);
    }
    op->state = OP_READING;
    drive->memory = MKV_DRIVE_SLOT;
    drive->slab = op->slab;
    drive->unit_count = 1 + bytes / MKV_UNIT_BYTES;
    drive->payload_bytes = bytes;
}

void mkv_volume_read(struct mkv_volume *volume, const struct mkv_message *message) {
    const uint32_t index = message->volume_op.index;
    MKV_ASSERT(index < volume->op_total);
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->generation == message->volume_op.generation);
    MKV_ASSERT(op->state == OP_FOUND);
    if (message->kind == MKV_MESSAGE_RELEASE) {
        mkv_volume_op_free(volume, index);
        return;
    }
    op->front_op = message->front_op;
    if (!volume_serves(volume)) {
        read_end(volume, index, MKV_STATUS_NOT_FOUND, MKV_MISS_DRIVE_OFFLINE);
        return;
    }
    op->slab = message->slab;
    op->range_offset = message->offset;
    op->range_bytes = message->length;
    read_start(volume, index);
}

/* The slot's content is not what was put: a miss now, and it is dropped. */
static void read_corrupt(struct mkv_volume *volume, uint32_t index, enum mkv_err err) {
    struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot slot = op->slot;
    volume->stats.promises_broken_total += mkv_volume_is_leased(volume, slot);
    if (err == MKV_CORRUPT_PAYLOAD) {
        volume->stats.checksum_failures_payload_total++;
    } else {
        volume->stats.checksum_failures_header_total++;
    }
    const enum mkv_slot_state state =
        mkv_slot_state_of(mkv_slot_table_entry(volume_table(volume), slot));
    if (state == MKV_SLOT_LIVE && !MKV_CANARY(MKV_CANARY_CORRUPT_READ_NOT_QUARANTINED)) {
        mkv_volume_quarantine(volume, slot, err);
    }
    read_end(volume, index, MKV_STATUS_NOT_FOUND, MKV_MISS_CHECKSUM);
}

/* What of the wanted range there is, from the length that the verified header states. */
static void clip_range(struct op *op, uint32_t length) {
    const uint32_t behind = op->range_offset < length ? length - op->range_offset : 0;
    if (op->range_bytes == 0 || op->range_bytes > behind) {
        op->range_bytes = behind;
    }
}

/* Compares the sums of the chunks from `chunk_first` on that the range needs. */
static bool sums_match(const struct op *op, const struct mkv_slot_header *header,
                       uint32_t chunk_first, const struct mkv_drive_done *done) {
    if (op->range_bytes == 0 || MKV_CANARY(MKV_CANARY_PAYLOAD_UNCHECKED)) {
        return true;
    }
    const uint32_t chunk_bytes = mkv_chunk_bytes(header->length);
    const uint32_t first = op->range_offset / chunk_bytes;
    const uint32_t last = (op->range_offset + op->range_bytes - 1) / chunk_bytes;
    MKV_ASSERT(first >= chunk_first);
    if (last - chunk_first >= done->sum_count) {
        return false;
    }
    for (uint32_t chunk = first; chunk <= last; chunk++) {
        if (done->sums[chunk - chunk_first] != mkv_load_u64(header->sums + 8 * (size_t)chunk)) {
            return false;
        }
    }
    return true;
}

static void read_served(struct mkv_volume *volume, uint32_t index,
                        const struct mkv_slot_header *header, uint32_t slab_offset) {
    struct op *op = &volume_ops(volume)[index];
    volume->stats.gets_total++;
    volume->stats.read_bytes_total += op->range_bytes;
    struct mkv_message *answer =
        mkv_volume_answer(volume, index, MKV_MESSAGE_READ_DONE, MKV_STATUS_OK);
    answer->flags = header->block_flags;
    answer->length = header->length;
    answer->offset = op->range_offset;
    answer->bytes = op->range_bytes;
    /* An empty range lies nowhere: its offset may be beyond the slab. */
    answer->slab_offset = op->range_bytes > 0 ? slab_offset : 0;
    answer->root = header->root;
    answer->drive_ns = op->drive_ns;
    answer->expiry_s = mkv_slot_table_entry(volume_table(volume), op->slot)->expiry_s;
    if (header->block_flags & MKV_BLOCK_MANIFEST) {
        answer->data_offset = meta_of_op(volume, index) + MKV_SLOT_INLINE_OFFSET;
        answer->data_bytes = header->length;
    }
    mkv_volume_op_free(volume, index);
}

/* Whether blocks of the tag have come since the walk began: they stand before its first one. */
static bool walk_is_old(const struct mkv_volume *volume, const struct op *op) {
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_slot first = mkv_slot_table_find(table, op->tenant, op->tag);
    return first.index != MKV_NONE_U32 &&
           (first.index != op->walk_first.index ||
            mkv_slot_table_entry(table, first)->generation_low != op->walk_first_generation);
}

/* The slot behind the one that was just judged. The walk begins anew, a bounded number of times,
 * when that one has left the chain, or when at the end it turns out that blocks have come: the one
 * that is looked for may have been replaced meanwhile, and was there all the time. */
static struct mkv_slot walk_next(struct mkv_volume *volume, struct op *op) {
    const struct mkv_slot_table *table = volume_table(volume);
    const struct mkv_slot_entry *judged = mkv_slot_table_entry(table, op->slot);
    struct mkv_slot next = {MKV_NONE_U32};
    const bool in_chain =
        mkv_slot_state_of(judged) == MKV_SLOT_LIVE && (judged->bits & MKV_SLOT_HIDDEN) == 0;
    if (in_chain) {
        next = mkv_volume_unexpired(volume, mkv_slot_table_find_next(table, op->slot));
    }
    if (next.index != MKV_NONE_U32 || op->candidate == WALKS_MAX ||
        MKV_CANARY(MKV_CANARY_WALK_NOT_RESTARTED) || (in_chain && !walk_is_old(volume, op))) {
        return next;
    }
    op->candidate++;
    return walk_begin(volume, op);
}

/* Looks at the next slot of the tag; the one before was sound but of another key. */
static void read_next_candidate(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot slot = walk_next(volume, op);
    mkv_volume_release(volume, index);
    if (slot.index == MKV_NONE_U32) {
        read_end(volume, index, MKV_STATUS_NOT_FOUND, miss_reason(volume, op->tenant, op->tag));
        return;
    }
    /* A block that came after FIND may not be what the front has made ready for. */
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    if (entry->length_units > op->slab_payload_units || entry_block_flags(entry) != op->flags) {
        read_end(volume, index, MKV_STATUS_NOT_FOUND, MKV_MISS_OVERLOADED);
        return;
    }
    mkv_volume_hold(volume, index, slot);
    read_start(volume, index);
}

static void read_header_done(struct mkv_volume *volume, uint32_t index, const uint8_t *unit) {
    struct op *op = &volume_ops(volume)[index];
    struct mkv_slot_header header;
    const enum header_verdict verdict =
        mkv_volume_judge_header(volume, op, op->slot, unit, &header);
    if (verdict == HEADER_OTHER_KEY) {
        read_next_candidate(volume, index);
        return;
    }
    if (verdict == HEADER_CORRUPT) {
        read_corrupt(volume, index, MKV_CORRUPT_SLOT_HEADER);
        return;
    }
    clip_range(op, header.length);
    if (op->range_bytes == 0) {
        read_served(volume, index, &header, 0);
        return;
    }
    const uint32_t chunk_bytes = mkv_chunk_bytes(header.length);
    const uint32_t from = op->range_offset / chunk_bytes * chunk_bytes;
    const uint32_t to = (uint32_t)mkv_min_u64(
        mkv_round_up_u64((uint64_t)op->range_offset + op->range_bytes, chunk_bytes), header.length);
    const struct mkv_lba lba = mkv_slot_table_lba(volume_table(volume), op->slot);
    op->state = OP_READING_PAYLOAD;
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->memory = MKV_DRIVE_PAYLOAD;
    drive->lba = (struct mkv_lba){lba.unit + 1 + from / MKV_UNIT_BYTES};
    drive->unit_count = (uint32_t)mkv_divide_up_u64(to - from, MKV_UNIT_BYTES);
    drive->slab = op->slab;
    drive->payload_bytes = to - from;
    drive->chunk_bytes = chunk_bytes;
}

static void read_slot_done(struct mkv_volume *volume, uint32_t index,
                           const struct mkv_drive_done *done) {
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(done->header != NULL);
    struct mkv_slot_header header;
    const enum header_verdict verdict =
        mkv_volume_judge_header(volume, op, op->slot, done->header, &header);
    if (verdict == HEADER_OTHER_KEY) {
        read_next_candidate(volume, index);
        return;
    }
    if (verdict == HEADER_CORRUPT) {
        read_corrupt(volume, index, MKV_CORRUPT_SLOT_HEADER);
        return;
    }
    clip_range(op, header.length);
    if (!sums_match(op, &header, 0, done)) {
        read_corrupt(volume, index, MKV_CORRUPT_PAYLOAD);
        return;
    }
    if (header.block_flags & MKV_BLOCK_MANIFEST) {
        memcpy(volume_meta(volume, meta_of_op(volume, index)), done->header, MKV_UNIT_BYTES);
    }
    read_served(volume, index, &header, op->range_offset);
}

static void read_payload_done(struct mkv_volume *volume, uint32_t index,
                              const struct mkv_drive_done *done) {
    struct op *op = &volume_ops(volume)[index];
    struct mkv_slot_header header;
    /* It was judged when it came; the op's unit has not changed since. */
    const enum mkv_err err =
        mkv_slot_header_decode(volume_meta(volume, meta_of_op(volume, index)), &header);
    MKV_ASSERT(err == MKV_OK);
    const uint32_t chunk_bytes = mkv_chunk_bytes(header.length);
    const uint32_t chunk_first = op->range_offset / chunk_bytes;
    if (!sums_match(op, &header, chunk_first, done) && !MKV_CANARY(MKV_CANARY_RANGE_UNCHECKED)) {
        read_corrupt(volume, index, MKV_CORRUPT_PAYLOAD);
        return;
    }
    read_served(volume, index, &header, op->range_offset - chunk_first * chunk_bytes);
}

void mkv_volume_get_io_done(struct mkv_volume *volume, uint32_t index,
                            const struct mkv_drive_done *done) {
    const struct op *op = &volume_ops(volume)[index];
    if (volume->state == MKV_VOLUME_FAILED) {
        read_end(volume, index, MKV_STATUS_NOT_FOUND, MKV_MISS_DRIVE_OFFLINE);
        return;
    }
    if (done->result != MKV_IO_OK) {
        const uint64_t lba = mkv_slot_table_lba(volume_table(volume), op->slot).unit;
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_READ, done->result, lba);
        const struct mkv_slot slot = op->slot;
        volume->stats.promises_broken_total += mkv_volume_is_leased(volume, slot);
        const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
        if (done->result == MKV_IO_MEDIUM && mkv_slot_state_of(entry) == MKV_SLOT_LIVE &&
            !MKV_CANARY(MKV_CANARY_MEDIUM_READ_NOT_QUARANTINED)) {
            /* It will not read well again: a put of the same content must not be taken for it. */
            mkv_volume_quarantine(volume, slot, MKV_ERR_DRIVE_IO);
        }
        read_end(volume, index, MKV_STATUS_IO_ERROR, MKV_MISS_IO_ERROR);
        if (mkv_io_result_is_final(done->result)) {
            mkv_volume_fail(volume, done->result, lba);
        }
        return;
    }
    switch (op->state) {
    case OP_READING:
        read_slot_done(volume, index, done);
        return;
    case OP_READING_HEADER:
        read_header_done(volume, index, volume_meta(volume, meta_of_op(volume, index)));
        return;
    case OP_READING_PAYLOAD:
        read_payload_done(volume, index, done);
        return;
    case OP_FREE:
    case OP_FOUND:
    case OP_LOCK_WAIT:
    case OP_CHECKING:
    case OP_EXTENT_WAIT:
    case OP_RESERVED:
    case OP_WRITING:
    case OP_WRITTEN:
    case OP_FLUSHING:
    case OP_READY:
    case OP_JOURNALED:
    case OP_LISTING:
    case OP_CATCHING_UP:
    case OP_SCRUBBING:
        break;
    }
    MKV_ASSERT(false); /* a GET reads in no other state */
}
