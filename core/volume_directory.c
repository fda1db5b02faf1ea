/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory's place in the volume: it is told what becomes durable, its wishes become drive
 * operations, and SCAN, COUNT and PURGE are asked of it.
 *
 *   apply_op --note--> directory --READ, WRITE--> drive operations IO_DIRECTORY ...
 *                        |   |  --FLUSH--> the volume's shared flush
 *                        |   +--catch-up--> header reads of operations CATCH_UP, which hold slots
 *                        +--results--> SCAN_DONE, COUNT_DONE; PURGE: drops, then PURGE_DONE
 *
 * Whatever fails here fails the directory and not the volume, but for a drive that is gone.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/volume_internal.h"

/* Nodes in memory where the configuration does not say, and the least region that gets them all. */
/* Nodes of the directory in memory. */
#define FRAMES_MAX 1024u
#define COMMIT_NS_DEFAULT 1000000000ull
/* A small region gets small buffers. */
#define SMALL_REGION_UNITS 1024u
#define QUEUE_BYTES 65536u
#define RESULT_BYTES 16384u

struct mkv_directory_config mkv_volume_directory_config(const struct mkv_volume_config *config) {
    const uint32_t region_units = config->geometry.directory_units;
    const bool small = region_units < SMALL_REGION_UNITS;
    const uint64_t frames = mkv_min_u64(FRAMES_MAX, region_units);
    return (struct mkv_directory_config){
        .drive_uuid = config->drive_uuid,
        .region_units = region_units,
        .frames_max = (uint32_t)mkv_max_u64(frames, MKV_DIRECTORY_FRAMES_MIN),
        .queue_bytes = small ? MKV_DIRECTORY_QUEUE_BYTES_MIN : QUEUE_BYTES,
        .jobs_max = LISTINGS_MAX,
        .result_bytes = small ? MKV_DIRECTORY_RESULT_BYTES_MIN : RESULT_BYTES,
        .commit_ns =
            config->directory_commit_ns == 0 ? COMMIT_NS_DEFAULT : config->directory_commit_ns,
        .step_slots = config->step_slots,
    };
}

/* ---- positions ------------------------------------------------------------------------------- */

void mkv_volume_put_numbered(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    MKV_ASSERT(!ops[index].numbered);
    ops[index].numbered = true;
    ops[index].numbered_next = MKV_NONE_U32;
    ops[index].numbered_previous = volume->numbered_last;
    if (volume->numbered_last == MKV_NONE_U32) {
        volume->numbered_first = index;
    } else {
        ops[volume->numbered_last].numbered_next = index;
    }
    volume->numbered_last = index;
}

void mkv_volume_put_unnumbered(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    const uint32_t next = ops[index].numbered_next;
    const uint32_t previous = ops[index].numbered_previous;
    MKV_ASSERT(ops[index].numbered);
    ops[index].numbered = false;
    *(previous == MKV_NONE_U32 ? &volume->numbered_first : &ops[previous].numbered_next) = next;
    *(next == MKV_NONE_U32 ? &volume->numbered_last : &ops[next].numbered_previous) = previous;
}

/* Every put with a generation up to here has been applied, or never will be. Not above what the
 * next opening is sure to find: it gives out generations from there on, and they must not seem to
 * be listed. */
static uint64_t generation_floor(const struct mkv_volume *volume) {
    if (volume->numbered_first == MKV_NONE_U32 || MKV_CANARY(MKV_CANARY_DIRECTORY_FLOOR_AHEAD)) {
        return volume->generation_applied;
    }
    const struct op *oldest = &volume_ops(volume)[volume->numbered_first];
    return mkv_min_u64(volume->generation_applied,
                       mkv_generation_counter(oldest->generation_new) - 1);
}

static struct mkv_directory_floor floor_of(const struct mkv_volume *volume) {
    return (struct mkv_directory_floor){volume->flushed_sequence.value, generation_floor(volume)};
}

void mkv_volume_directory_applied(struct mkv_volume *volume) {
    mkv_directory_note_floor(volume_directory(volume), floor_of(volume));
}

void mkv_volume_directory_put(struct mkv_volume *volume, const struct op *op) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->slot);
    const struct mkv_directory_value value = {
        .slot = op->slot,
        .generation_low = entry->generation_low,
        .length_units = entry->length_units,
        .block_flags = op->flags & MKV_BLOCK_FLAGS,
    };
    volume->generation_applied =
        mkv_max_u64(volume->generation_applied, mkv_generation_counter(op->generation_new));
    mkv_directory_note_put(volume_directory(volume), volume_table(volume), op->tenant, op->key,
                           op->key_bytes, &value);
}

void mkv_volume_directory_drop(struct mkv_volume *volume, const struct op *op) {
    /* What a put replaces has the same key: the new entry takes the old one's place. */
    const bool known = op->kind == OP_KIND_DELETE && !op->clearing;
    mkv_directory_note_drop(volume_directory(volume), volume_table(volume), op->old_slot,
                            op->tenant, known ? op->key : NULL, op->key_bytes);
}

/* ---- open, close, fail ----------------------------------------------------------------------- */

void mkv_volume_directory_open(struct mkv_volume *volume) {
    memset(volume->listings, 0, sizeof volume->listings);
    volume->directory_flush_wanted = false;
    volume->directory_closing = false;
    volume->generation_applied = volume->generation_counter;
    mkv_directory_open(volume_directory(volume), floor_of(volume), volume->now_ns);
}

bool mkv_volume_directory_closed(struct mkv_volume *volume) {
    return volume->directory_closing && mkv_directory_close_done(volume_directory(volume));
}

static void listing_end(struct mkv_volume *volume, uint32_t job, enum mkv_status status) {
    struct listing *listing = &volume->listings[job];
    MKV_ASSERT(listing->active);
    listing->active = false;
    mkv_volume_mutation_end(volume, listing->op, status);
}

void mkv_volume_directory_fail(struct mkv_volume *volume) {
    for (uint32_t job = 0; job < LISTINGS_MAX; job++) {
        volume->listings[job].active = false; /* its operation is ended with all the others */
    }
    mkv_directory_fail(volume_directory(volume));
}

/* ---- SCAN, COUNT, PURGE ---------------------------------------------------------------------- */

static enum mkv_directory_job_kind job_kind(enum mkv_message_kind kind) {
    if (kind == MKV_MESSAGE_SCAN) {
        return MKV_DIRECTORY_SCAN;
    }
    return kind == MKV_MESSAGE_COUNT ? MKV_DIRECTORY_COUNT : MKV_DIRECTORY_PURGE;
}

enum mkv_message_kind mkv_volume_listing_answer_kind(const struct op *op) {
    if (op->listing_kind == MKV_DIRECTORY_SCAN) {
        return MKV_MESSAGE_SCAN_DONE;
    }
    return op->listing_kind == MKV_DIRECTORY_COUNT ? MKV_MESSAGE_COUNT_DONE
                                                   : MKV_MESSAGE_PURGE_DONE;
}

static enum mkv_status listing_refusal(const struct mkv_volume *volume,
                                       const struct mkv_message *message) {
    if (volume->state != MKV_VOLUME_SERVING || volume->stall.active) {
        return MKV_STATUS_UNAVAILABLE;
    }
    const bool purge = message->kind == MKV_MESSAGE_PURGE;
    if (purge && !mkv_volume_tenant_takes(volume, message->tenant)) {
        return MKV_STATUS_FORBIDDEN;
    }
    return MKV_STATUS_OK;
}

void mkv_volume_list(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    MKV_ASSERT(message->length <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT(message->length <= message->data_bytes);
    MKV_ASSERT(message->data_bytes - message->length <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT(message->kind != MKV_MESSAGE_SCAN || message->count >= 1);
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_LIST);
    struct op *op = &volume_ops(volume)[index];
    op->front_op = message->front_op;
    op->tenant = message->tenant;
    op->listing_kind = job_kind(message->kind);
    op->state = OP_LISTING;
    const enum mkv_status refusal = listing_refusal(volume, message);
    if (refusal != MKV_STATUS_OK || !mkv_tenant_table_serves(volume_tenants(volume), op->tenant)) {
        mkv_volume_mutation_end(volume, index, refusal); /* who has no blocks has an empty list */
        return;
    }
    const struct mkv_directory_query query = {
        .kind = op->listing_kind,
        .tenant = message->tenant,
        .prefix = input->data,
        .prefix_bytes = message->length,
        .after = input->data + message->length,
        .after_bytes = message->data_bytes - message->length,
        .count_max = op->listing_kind == MKV_DIRECTORY_SCAN
                         ? (uint32_t)mkv_min_u64(message->count, UINT32_MAX)
                         : UINT32_MAX,
        .bytes_max = message->bytes,
    };
    uint32_t job;
    if (!mkv_directory_job_begin(volume_directory(volume), &query, &job)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_BUSY);
        return;
    }
    MKV_ASSERT(!volume->listings[job].active);
    volume->listings[job] =
        (struct listing){.active = true, .op = index, .drops = volume->listings[job].drops};
}

static void listing_answer(struct mkv_volume *volume, const struct mkv_directory_result *result) {
    struct listing *listing = &volume->listings[result->job];
    const struct op *op = &volume_ops(volume)[listing->op];
    struct mkv_message *answer =
        mkv_volume_answer(volume, listing->op, mkv_volume_listing_answer_kind(op), result->status);
    answer->count = result->count;
    answer->flags = result->more ? MKV_SCAN_MORE : 0;
    answer->data_offset = volume->directory_offset + result->data_offset;
    answer->data_bytes = result->kind == MKV_DIRECTORY_SCAN ? result->data_bytes : 0;
    listing->active = false;
    mkv_volume_op_free(volume, listing->op);
}

static void take_results(struct mkv_volume *volume) {
    struct mkv_directory_result result;
    for (uint32_t turn = 0; turn < LISTINGS_MAX; turn++) {
        if (!mkv_directory_take_result(volume_directory(volume), &result)) {
            return;
        }
        struct listing *listing = &volume->listings[result.job];
        if (!listing->active) {
            continue; /* the volume has failed, or is being closed */
        }
        if (result.kind == MKV_DIRECTORY_PURGE && result.status == MKV_STATUS_OK) {
            listing->batch = true;
            listing->data_offset = result.data_offset;
            listing->left = result.batch_count;
            listing->more = result.more;
            listing->count = result.count;
        } else {
            listing_answer(volume, &result);
        }
    }
}

/* Starts the drops of a batch, as far as there is room for them. */
static void purge_batch(struct mkv_volume *volume, uint32_t job) {
    struct listing *listing = &volume->listings[job];
    while (listing->left > 0) {
        const uint8_t *entry = volume_meta(volume, volume->directory_offset + listing->data_offset);
        const struct mkv_directory_value value = {
            .slot = {mkv_load_u32(entry)},
            .generation_low = mkv_load_u32(entry + 4),
        };
        const uint32_t tenant = volume_ops(volume)[listing->op].tenant;
        if (mkv_directory_entry_holds(volume_table(volume), tenant, &value) &&
            !mkv_volume_purge_drop(volume, value.slot, job)) {
            return;
        }
        listing->data_offset += MKV_SCAN_ENTRY_BYTES + mkv_load_u16(entry + 12);
        listing->left--;
    }
}

static void purge_pump(struct mkv_volume *volume, uint32_t job) {
    struct listing *listing = &volume->listings[job];
    if (!listing->active || !listing->batch) {
        return;
    }
    if (volume->state != MKV_VOLUME_SERVING) {
        mkv_directory_job_end(volume_directory(volume), job);
        listing_end(volume, job, MKV_STATUS_UNAVAILABLE);
        return;
    }
    purge_batch(volume, job);
    if (listing->left > 0) {
        return;
    }
    if (listing->more) {
        listing->batch = false;
        mkv_directory_job_continue(volume_directory(volume), job);
    } else if (listing->drops == 0) {
        mkv_directory_job_end(volume_directory(volume), job);
        const struct mkv_directory_result result = {
            .job = job,
            .kind = MKV_DIRECTORY_PURGE,
            .status = MKV_STATUS_OK,
            .count = listing->count,
        };
        listing_answer(volume, &result);
    }
}

/* ---- catch-up -------------------------------------------------------------------------------- */

static void catch_up_start(struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_CATCH_UP);
    struct op *op = &volume_ops(volume)[index];
    op->state = OP_CATCHING_UP;
    op->tenant = entry->tenant;
    op->generation_new.value = entry->generation_low;
    mkv_volume_hold(volume, index, slot);
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->memory = MKV_DRIVE_META;
    drive->lba = mkv_slot_table_lba(volume_table(volume), slot);
    drive->unit_count = 1;
    drive->meta_offset = meta_of_op(volume, index);
}

static void catch_up(struct mkv_volume *volume) {
    struct mkv_slot slot;
    while (mkv_directory_take_catch_up(volume_directory(volume), volume_table(volume), &slot)) {
        catch_up_start(volume, slot);
    }
}

/* The block's header can't be read: no reader will get it either. The directory waits until its
 * drop is durable: until then the block is live, and would be looked at again and again, or be
 * taken for listed by an opening that finds it live still. */
static void catch_up_lost(struct mkv_volume *volume, const struct op *op, enum mkv_err err) {
    if (!mkv_volume_catch_up_drop(volume, op->slot, err)) {
        mkv_directory_catch_up_failed(volume_directory(volume));
    }
}

static void catch_up_read(struct mkv_volume *volume, uint32_t index) {
    const struct op *op = &volume_ops(volume)[index];
    const uint8_t *unit = volume_meta(volume, meta_of_op(volume, index));
    struct mkv_slot_header header;
    /* The op has no key, so that of the header is another one, if it is sound. */
    const enum header_verdict verdict =
        mkv_volume_judge_header(volume, op, op->slot, unit, &header);
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->slot);
    const uint64_t tag = (uint64_t)entry->tag_high << 32 | entry->tag_low;
    if (verdict == HEADER_CORRUPT ||
        mkv_key_tag(header.tenant, header.key, header.key_bytes) != tag) {
        volume->stats.checksum_failures_header_total++;
        catch_up_lost(volume, op, MKV_CORRUPT_SLOT_HEADER);
        return;
    }
    const struct mkv_directory_value value = {
        .slot = op->slot,
        .generation_low = entry->generation_low,
        .length_units = entry->length_units,
        .block_flags = header.block_flags,
    };
    mkv_directory_catch_up_done(volume_directory(volume), header.tenant, header.key,
                                header.key_bytes, &value);
}

void mkv_volume_catch_up_done(struct mkv_volume *volume, uint32_t index,
                              const struct mkv_drive_done *done) {
    const struct op *op = &volume_ops(volume)[index];
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), op->slot);
    const uint64_t lba = mkv_slot_table_lba(volume_table(volume), op->slot).unit;
    const bool live = mkv_slot_state_of(entry) == MKV_SLOT_LIVE &&
                      entry->generation_low == (uint32_t)op->generation_new.value;
    const bool failed = volume->state == MKV_VOLUME_FAILED;
    if (!failed && done->result != MKV_IO_OK) {
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_READ, done->result, lba);
    }
    if (failed || !live) {
        mkv_directory_catch_up_gone(volume_directory(volume));
    } else if (done->result == MKV_IO_OK) {
        catch_up_read(volume, index);
    } else if (done->result == MKV_IO_MEDIUM) {
        catch_up_lost(volume, op, MKV_ERR_DRIVE_IO);
    } else {
        mkv_directory_catch_up_failed(volume_directory(volume));
    }
    mkv_volume_op_free(volume, index);
    if (!failed && mkv_io_result_is_final(done->result)) {
        mkv_volume_fail(volume, done->result, lba);
    }
}

/* ---- I/O ------------------------------------------------------------------------------------- */

static void hand_out_io(struct mkv_volume *volume) {
    struct mkv_directory_io io;
    const uint64_t region = mkv_geometry_directory(&volume->config.geometry).unit;
    while (mkv_directory_take_io(volume_directory(volume), &io)) {
        if (io.kind == MKV_DIRECTORY_FLUSH) {
            MKV_ASSERT(!volume->directory_flush_wanted);
            volume->directory_flush_wanted = true;
            volume_want_flush(volume, &volume->directory_ticket);
            continue;
        }
        volume->directory_units[io.id] = io.unit;
        volume->directory_writes[io.id] = io.kind == MKV_DIRECTORY_WRITE;
        mkv_volume_internal_io(
            volume, IO_DIRECTORY + io.id,
            io.kind == MKV_DIRECTORY_WRITE ? MKV_EFFECT_DRIVE_WRITE : MKV_EFFECT_DRIVE_READ,
            (struct mkv_lba){region + io.unit}, 1, volume->directory_offset + io.memory_offset);
    }
}

void mkv_volume_directory_io_done(struct mkv_volume *volume, uint32_t which,
                                  const struct mkv_drive_done *done) {
    const uint32_t id = which - IO_DIRECTORY;
    if (done->result != MKV_IO_OK) {
        const uint64_t lba =
            mkv_geometry_directory(&volume->config.geometry).unit + volume->directory_units[id];
        mkv_volume_note_error(
            volume, volume->directory_writes[id] ? MKV_EFFECT_DRIVE_WRITE : MKV_EFFECT_DRIVE_READ,
            done->result, lba);
        /* What a write brings late must not find its unit in use again. */
        const bool may_land = done->result == MKV_IO_TIMEOUT && volume->directory_writes[id];
        if (mkv_io_result_is_final(done->result) || may_land) {
            mkv_volume_fail(volume, done->result, lba);
            return;
        }
    }
    mkv_directory_io_done(volume_directory(volume), id, done->result, volume->now_ns);
}

static void report(struct mkv_volume *volume) {
    static const enum mkv_event_kind kinds[MKV_DIRECTORY_EVENT_COUNT] = {
        [MKV_DIRECTORY_EVENT_DAMAGED] = MKV_EVENT_DIRECTORY_DAMAGED,
        [MKV_DIRECTORY_EVENT_REBUILT] = MKV_EVENT_DIRECTORY_REBUILT,
        [MKV_DIRECTORY_EVENT_FULL] = MKV_EVENT_DIRECTORY_FULL,
        [MKV_DIRECTORY_EVENT_ROOM_AGAIN] = MKV_EVENT_DIRECTORY_ROOM_AGAIN,
        [MKV_DIRECTORY_EVENT_OFF] = MKV_EVENT_DIRECTORY_OFF,
    };
    struct mkv_directory_event event;
    while (mkv_directory_take_event(volume_directory(volume), &event)) {
        mkv_volume_event(volume, kinds[event.kind], MKV_OK, event.value, 0, 0);
    }
}

void mkv_volume_directory_pump(struct mkv_volume *volume) {
    struct mkv_directory *directory = volume_directory(volume);
    if (volume->state == MKV_VOLUME_CLOSING && !volume->directory_closing) {
        volume->directory_closing = true;
        mkv_directory_close_begin(directory);
    }
    if (volume->directory_flush_wanted && volume->flush_completed >= volume->directory_ticket) {
        volume->directory_flush_wanted = false;
        mkv_directory_flush_done(directory);
    }
    mkv_directory_pump(directory, volume_table(volume), volume->now_ns);
    report(volume);
    /* A drive that does not answer is asked for nothing more. */
    if (!volume->stall.active) {
        hand_out_io(volume);
        catch_up(volume);
    }
    take_results(volume);
    for (uint32_t job = 0; job < LISTINGS_MAX; job++) {
        purge_pump(volume, job);
    }
}

bool mkv_volume_directory_complete(const struct mkv_volume *volume) {
    return mkv_directory_is_complete(volume_directory(volume));
}
