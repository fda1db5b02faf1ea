/* SPDX-License-Identifier: Apache-2.0 */
/* Ops: the conversations about one block with its volume, and its transfer with the client. */
#include "core/front_internal.h"

#include <string.h>

#include "core/bytes.h"
#include "core/canary.h"
#include "core/hash.h"

/* ---- the key and the volume of an op --------------------------------------------------------- */

/* Writes the op's key, at most MKV_KEY_BYTES_MAX bytes, and returns its length. */
uint32_t mkv_front_op_key(struct mkv_front *front, const struct front_op *op, uint8_t *target) {
    const uint32_t key_bytes = front_item_at(front, op->item)->key_bytes;
    const uint8_t *key = front_key_at(front, op->item);
    if (op->segment == MKV_NONE_U32) {
        memcpy(target, key, key_bytes);
        return key_bytes;
    }
    return mkv_segment_key(key, key_bytes, op->segment, op->segment_id, target);
}

static uint32_t op_volume(struct mkv_front *front, const struct front_op *op) {
    uint8_t key[MKV_KEY_BYTES_MAX];
    const uint32_t key_bytes = mkv_front_op_key(front, op, key);
    const struct mkv_root point =
        mkv_placement_point(front_tenant_name_at(front, op->item), key, key_bytes);
    const uint32_t volume = mkv_placement_owner(point, front->members, front->config.volume_count);
    /* A key that another front serves: no volume of this one has it. Segments are of whoever has
     * their manifest. */
    const bool others =
        op->segment == MKV_NONE_U32 && volume != MKV_NONE_U32 && front->config.foreign[volume];
    return others ? MKV_NONE_U32 : volume;
}

static enum front_credit credit_of(enum front_op_kind kind) {
    switch (kind) {
    case FRONT_OP_GET:
    case FRONT_OP_LEARN:
        return FRONT_CREDIT_FIND;
    case FRONT_OP_EXISTS:
    case FRONT_OP_SESSION:
        return FRONT_CREDIT_EXISTS;
    case FRONT_OP_PUT:
    case FRONT_OP_COMMIT:
    case FRONT_OP_DELETE:
    case FRONT_OP_EXPIRE:
        return FRONT_CREDIT_MUTATION;
    }
    MKV_ASSERT(false);
    return FRONT_CREDIT_FIND;
}

struct front_op *mkv_front_op_prepare(struct mkv_front *front, uint32_t op_index, uint32_t item,
                                      enum front_op_kind kind, uint32_t segment,
                                      uint64_t segment_id) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->state == FRONT_OP_IDLE);
    MKV_ASSERT(!op->has_slab);
    MKV_ASSERT(!op->has_credit);
    const uint32_t generation = op->generation + 1;
    memset(op, 0, sizeof *op);
    op->generation = generation;
    op->item = item;
    op->kind = kind;
    op->segment = segment;
    op->segment_id = segment_id;
    op->credit = credit_of(kind);
    op->volume = kind == FRONT_OP_SESSION ? 0 : op_volume(front, op);
    op->arrivals = front->arrivals;
    op->slab.index = MKV_NONE_U32;
    op->resident = MKV_NONE_U32;
    op->since_ns = front->now_ns;
    return op;
}

/* ---- what an op emits ------------------------------------------------------------------------ */

static struct mkv_op_id op_id(struct mkv_front *front, uint32_t op_index) {
    return (struct mkv_op_id){.index = op_index,
                              .generation = front_op_at(front, op_index)->generation};
}

static void op_posted(struct mkv_front *front, uint32_t op_index, enum front_op_state state) {
    struct front_op *op = front_op_at(front, op_index);
    op->state = state;
    op->since_ns = front->now_ns;
}

/* As others know it: by its place among the slabs of all fronts. */
static struct mkv_slab slab_named(const struct mkv_front *front, const struct front_op *op) {
    const bool any = op->slab.index != MKV_NONE_U32;
    return (struct mkv_slab){any ? front->config.slab_unit_first + op->slab.index : MKV_NONE_U32};
}

static struct mkv_effect *send(struct mkv_front *front, uint32_t op_index,
                               enum mkv_message_kind kind) {
    const struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->has_credit);
    struct mkv_effect *effect = mkv_front_emit(front, MKV_EFFECT_MESSAGE);
    effect->op = op_id(front, op_index);
    effect->message.kind = kind;
    effect->message.volume = op->volume;
    effect->message.front_op = effect->op;
    effect->message.volume_op = op->volume_op;
    effect->message.tenant = front_item_at(front, op->item)->tenant;
    effect->message.slab = slab_named(front, op);
    return effect;
}

static struct mkv_effect *send_key(struct mkv_front *front, uint32_t op_index,
                                   enum mkv_message_kind kind) {
    struct mkv_effect *effect = send(front, op_index, kind);
    uint8_t *data = mkv_front_emit_data(front, effect);
    effect->message.data_bytes = mkv_front_op_key(front, front_op_at(front, op_index), data);
    return effect;
}

static void send_release(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->found);
    op->found = false;
    (void)send(front, op_index, MKV_MESSAGE_RELEASE);
}

static void send_put_abort(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->begun);
    op->begun = false;
    (void)send(front, op_index, MKV_MESSAGE_PUT_ABORT);
}

static struct mkv_effect *transfer(struct mkv_front *front, uint32_t op_index,
                                   enum mkv_effect_kind kind) {
    const struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->has_slab);
    const struct front_item *item = front_item_at(front, op->item);
    const struct front_request *request = front_request_at(front, item->request);
    MKV_ASSERT(!request->closed);
    MKV_ASSERT(!request->answer_posted);
    struct mkv_effect *effect = mkv_front_emit(front, kind);
    effect->op = op_id(front, op_index);
    effect->transfer.connection = request->connection;
    effect->transfer.request_id = request->request_id;
    effect->transfer.item = item->position;
    effect->transfer.route = request->route;
    effect->transfer.slab = slab_named(front, op);
    effect->transfer.length = item->length;
    return effect;
}

static void pull(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    struct front_item *item = front_item_at(front, op->item);
    struct mkv_effect *effect = transfer(front, op_index, MKV_EFFECT_PULL);
    effect->transfer.bytes = op->length;
    if (op->segment != MKV_NONE_U32) {
        effect->transfer.offset = (uint64_t)op->segment * front->config.block_bytes_max;
        item->moving = true;
    }
    op_posted(front, op_index, FRONT_OP_PULL_POSTED);
}

void mkv_front_op_push(struct mkv_front *front, uint32_t op_index, uint64_t value_offset,
                       uint64_t length, struct mkv_root root) {
    const struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->state == FRONT_OP_DONE);
    MKV_ASSERT(op->result_bytes > 0);
    struct mkv_effect *effect = transfer(front, op_index, MKV_EFFECT_PUSH);
    effect->transfer.offset = value_offset;
    effect->transfer.bytes = op->result_bytes;
    effect->transfer.slab_offset = op->slab_offset;
    effect->transfer.length = length;
    effect->transfer.root = root;
    if (op->segment != MKV_NONE_U32) {
        front_item_at(front, op->item)->moving = true;
    }
    op_posted(front, op_index, FRONT_OP_PUSH_POSTED);
}

/* ---- the way of an op ------------------------------------------------------------------------ */

/* The op is over: it keeps its slab only if there are bytes in it to be pushed. */
void mkv_front_op_done(struct mkv_front *front, uint32_t op_index, enum mkv_status status,
                       enum mkv_miss miss) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(!op->found);
    MKV_ASSERT(!op->begun);
    op->status = status;
    op->miss = miss;
    op->state = FRONT_OP_DONE;
    if (mkv_front_memory_reads(front, op, op_index)) {
        mkv_front_op_read_over(front, op_index, status, miss);
    }
    if (op->has_credit) {
        mkv_front_credit_give(front, op_index);
    }
    const bool has_bytes =
        op->kind == FRONT_OP_GET && status == MKV_STATUS_OK && op->result_bytes > 0;
    if (op->has_slab && !has_bytes) {
        mkv_front_slab_give(front, op_index);
    }
    if (!op->has_slab && op->units_counted > 0) {
        mkv_front_cap_give(front, op_index);
    }
}

static void op_done_offline(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    if (op->credit == FRONT_CREDIT_MUTATION) {
        mkv_front_op_done(front, op_index, MKV_STATUS_UNAVAILABLE, MKV_MISS_NONE);
    } else {
        mkv_front_op_done(front, op_index, MKV_STATUS_NOT_FOUND, MKV_MISS_DRIVE_OFFLINE);
    }
}

/* Payload bytes that a slab needs for reading `wanted` bytes behind `offset` (0: all) of a block of
 * at most `length` bytes: every chunk that they touch, in units. */
static uint32_t read_slab_bytes(uint32_t length, uint32_t offset, uint32_t wanted) {
    const uint32_t total = (uint32_t)mkv_round_up_u64(length, MKV_UNIT_BYTES);
    if (offset >= total) {
        return 0;
    }
    const uint32_t chunk_bytes = mkv_chunk_bytes(total);
    const uint64_t begin = offset / chunk_bytes * chunk_bytes;
    const uint64_t wanted_end = wanted == 0 ? total : (uint64_t)offset + wanted;
    const uint64_t end = mkv_min_u64(mkv_round_up_u64(wanted_end, chunk_bytes), total);
    return (uint32_t)(end - begin);
}

static bool credit_or_offline(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    const bool drains = op->kind == FRONT_OP_PUT && op->volume != MKV_NONE_U32 &&
                        front->volumes[op->volume].draining;
    if (!op->has_credit && (drains || !mkv_front_volume_online(front, op->volume))) {
        op_done_offline(front, op_index);
        return false;
    }
    return mkv_front_credit_take(front, op_index);
}

static bool is_manifest(const struct front_op *op) {
    return (op->block_flags & MKV_BLOCK_MANIFEST) != 0;
}

/* A slab for what is to be read, or false: then it waits for one, or, behind the other ops of a
 * connection that holds too much, gives everything back and waits to begin anew. */
static bool read_slab_take(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    if (op->has_slab) {
        return true;
    }
    const uint32_t length = op->length_units * MKV_UNIT_BYTES;
    const uint32_t bytes = is_manifest(op) ? 0 : read_slab_bytes(length, op->offset, op->wanted);
    if (!mkv_front_slab_fits(front, bytes)) {
        send_release(front, op_index);
        mkv_front_op_done(front, op_index, MKV_STATUS_NOT_FOUND, MKV_MISS_OVERLOADED);
        return false;
    }
    if (!mkv_front_cap_has_room(front, op_index, bytes)) {
        send_release(front, op_index);
        mkv_front_credit_give(front, op_index);
        if (mkv_front_memory_reads(front, op, op_index)) {
            mkv_front_memory_read_end(front, op_index); /* its client keeps no others waiting */
        }
        if (mkv_front_cap_take(front, op_index, bytes)) {
            /* What was counted for another length of the block made room. */
            op->state = FRONT_OP_GRANTED;
            mkv_front_item_ready(front, op->item);
        }
        return false;
    }
    return mkv_front_cap_take(front, op_index, bytes) && mkv_front_slab_take(front, op_index);
}

static void run_get(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    const bool is_segment = op->segment != MKV_NONE_U32;
    if (!op->found && op->kind == FRONT_OP_GET && mkv_front_op_from_memory(front, op_index)) {
        return;
    }
    /* A segment's length is known before, so it has its slab before it pins its slot; and segments
     * take theirs in order, so that the one to be pushed next has its slab first. */
    if (is_segment && !op->has_slab) {
        const uint32_t bytes = read_slab_bytes(op->length, op->offset, op->wanted);
        if (!mkv_front_slab_fits(front, bytes)) {
            mkv_front_op_done(front, op_index, MKV_STATUS_NOT_FOUND, MKV_MISS_OVERLOADED);
            return;
        }
        if (!mkv_front_cap_take(front, op_index, bytes)) {
            return;
        }
    }
    if (!credit_or_offline(front, op_index)) {
        return;
    }
    if (is_segment && !mkv_front_slab_take(front, op_index)) {
        return;
    }
    if (!op->found) {
        if (op->kind == FRONT_OP_GET) {
            mkv_front_op_share_read(front, op_index);
        }
        (void)send_key(front, op_index, MKV_MESSAGE_FIND);
        op_posted(front, op_index, FRONT_OP_FIND_POSTED);
        return;
    }
    if (!read_slab_take(front, op_index)) {
        return;
    }
    struct mkv_effect *effect = send(front, op_index, MKV_MESSAGE_READ);
    if (!is_manifest(op)) { /* that is read whole, whatever part of the value is wanted */
        effect->message.offset = op->offset;
        effect->message.length = op->wanted;
    }
    op->found = false;
    op_posted(front, op_index, FRONT_OP_READ_POSTED);
}

/* EXISTS, PIN or UNPIN, as the item says; of a segment it asks for no lease. */
static void send_exists(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    const struct front_item *item = front_item_at(front, op->item);
    if (item->op == MKV_OP_PIN) {
        send_key(front, op_index, MKV_MESSAGE_PIN)->message.lease_ns = item->lease_ns;
        return;
    }
    if (item->op == MKV_OP_UNPIN) {
        (void)send_key(front, op_index, MKV_MESSAGE_UNPIN);
        return;
    }
    struct mkv_effect *effect = send_key(front, op_index, MKV_MESSAGE_EXISTS);
    effect->message.lease_ns = item->lease_ns;
    effect->message.flags =
        (item->op == MKV_OP_EXISTS ? MKV_LEASE_SHORT : 0) | (item->plain ? MKV_EXISTS_NO_USE : 0);
}

struct mkv_effect *mkv_front_op_ask(struct mkv_front *front, uint32_t op_index,
                                    enum mkv_message_kind kind) {
    struct mkv_effect *effect = send(front, op_index, kind);
    op_posted(front, op_index, FRONT_OP_EXISTS_POSTED);
    return effect;
}

static void send_put_begin(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    struct mkv_effect *effect = send_key(front, op_index, MKV_MESSAGE_PUT_BEGIN);
    effect->message.flags = op->flags;
    if (op->root_later && MKV_CANARY(MKV_CANARY_ROOT_LATER_PUT_REPLACES)) {
        effect->message.flags |= MKV_PUT_REPLACE;
    }
    effect->message.length = op->length;
    effect->message.root = op->root;
    effect->message.replaces = front_item_at(front, op->item)->old_root;
    effect->message.expiry_s = front_item_at(front, op->item)->expiry_s;
    effect->message.session = front_item_at(front, op->item)->session;
    effect->message.tier_hint = front_item_at(front, op->item)->tier_hint;
    if (op->kind == FRONT_OP_COMMIT) {
        const struct mkv_manifest *manifest =
            &front_segmented_at(front, front_item_at(front, op->item)->segmented)->put;
        effect->message.value_length = manifest->length;
        effect->message.value_root = manifest->root;
    }
    op_posted(front, op_index, FRONT_OP_BEGIN_POSTED);
}

/* The sums of what was pulled into the op's slab, which has a unit at least for each chunk. */
static uint64_t *slab_sums(struct mkv_front *front, const struct front_op *op) {
    MKV_ASSERT(op->has_slab);
    MKV_ASSERT(mkv_chunk_count(op->length) <= op->slab_units);
    return (uint64_t *)front_at(front, front->layout.sums) + op->slab.index;
}

/* The slab's bytes have the root that PUT_BEGIN named. */
static void send_put_write(struct mkv_front *front, uint32_t op_index, const uint64_t *sums) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->begun);
    op->begun = false;
    struct mkv_effect *effect = send(front, op_index, MKV_MESSAGE_PUT_WRITE);
    effect->message.flags = op->flags | (mkv_front_op_is_relaxed(front, op) ? MKV_PUT_RELAXED : 0);
    effect->message.length = op->length;
    uint8_t *data = mkv_front_emit_data(front, effect);
    if (op->kind == FRONT_OP_COMMIT) {
        const uint32_t entry = front_item_at(front, op->item)->segmented;
        mkv_manifest_encode(&front_segmented_at(front, entry)->put, data);
        effect->message.data_bytes = MKV_MANIFEST_BYTES;
    } else {
        const uint32_t count = mkv_chunk_count(op->length);
        for (uint32_t index = 0; index < count; index++) {
            mkv_store_u64(data + 8 * (size_t)index, sums[index]);
        }
        effect->message.data_bytes = 8 * count;
    }
    op_posted(front, op_index, FRONT_OP_WRITE_POSTED);
}

static void run_put(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    const bool has_transfer = op->kind == FRONT_OP_PUT && op->length > 0;
    const uint32_t slab_bytes = op->kind == FRONT_OP_COMMIT ? 0 : op->length;
    if (!mkv_front_cap_take(front, op_index, slab_bytes) || !mkv_front_slab_take(front, op_index)) {
        return;
    }
    if (op->root_later && has_transfer && !op->pulled) {
        pull(front, op_index);
        return;
    }
    if (!credit_or_offline(front, op_index)) {
        return;
    }
    if (!op->begun) {
        send_put_begin(front, op_index);
        return;
    }
    const struct front_item *item = front_item_at(front, op->item);
    if (item->op == MKV_OP_ALLOCATE) {
        op_posted(front, op_index, FRONT_OP_RESERVED);
        return;
    }
    if (item->abandoned) {
        send_put_abort(front, op_index);
        mkv_front_op_done(front, op_index, MKV_STATUS_OK, MKV_MISS_NONE);
        return;
    }
    if (has_transfer && !op->pulled) {
        pull(front, op_index);
        return;
    }
    send_put_write(front, op_index, has_transfer ? slab_sums(front, op) : NULL);
}

void mkv_front_op_run(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(!op->doomed);
    switch (op->kind) {
    case FRONT_OP_GET:
    case FRONT_OP_LEARN:
        run_get(front, op_index);
        break;
    case FRONT_OP_PUT:
    case FRONT_OP_COMMIT:
        run_put(front, op_index);
        break;
    case FRONT_OP_EXISTS:
        if (!mkv_front_op_exists_in_memory(front, op_index) && credit_or_offline(front, op_index)) {
            send_exists(front, op_index);
            op_posted(front, op_index, FRONT_OP_EXISTS_POSTED);
        }
        break;
    case FRONT_OP_SESSION:
        mkv_front_session_run(front, op_index);
        break;
    case FRONT_OP_DELETE:
        if (credit_or_offline(front, op_index)) {
            (void)send_key(front, op_index, MKV_MESSAGE_DELETE);
            op_posted(front, op_index, FRONT_OP_DELETE_POSTED);
        }
        break;
    case FRONT_OP_EXPIRE:
        if (credit_or_offline(front, op_index)) {
            send_key(front, op_index, MKV_MESSAGE_EXPIRE)->message.expiry_s =
                front_item_at(front, op->item)->expiry_s;
            op_posted(front, op_index, FRONT_OP_DELETE_POSTED);
        }
        break;
    }
}

void mkv_front_op_cancel(struct mkv_front *front, uint32_t op_index, enum mkv_status status) {
    struct front_op *op = front_op_at(front, op_index);
    switch (op->state) {
    case FRONT_OP_IDLE:
    case FRONT_OP_DONE:
    case FRONT_OP_WRITE_POSTED:
    case FRONT_OP_DELETE_POSTED:
        return;
    case FRONT_OP_FIND_POSTED:
    case FRONT_OP_EXISTS_POSTED:
    case FRONT_OP_BEGIN_POSTED:
        op->doomed = true;
        if (mkv_front_memory_reads(front, op, op_index)) {
            mkv_front_memory_read_end(front, op_index);
        }
        if (op->has_slab) { /* nobody else knows of it yet, and the answer may be long in coming */
            mkv_front_slab_give(front, op_index);
        }
        return;
    case FRONT_OP_READ_POSTED:
    case FRONT_OP_PULL_POSTED:
    case FRONT_OP_PUSH_POSTED:
        op->doomed = true;
        return;
    case FRONT_OP_WAITING:
        mkv_front_wait_cancel(front, op_index);
        break;
    case FRONT_OP_GRANTED:
    case FRONT_OP_RESERVED:
        break;
    }
    if (op->found) {
        send_release(front, op_index);
    }
    if (op->begun) {
        send_put_abort(front, op_index);
    }
    mkv_front_op_done(front, op_index, status, MKV_MISS_NONE);
}

void mkv_front_op_free(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->state == FRONT_OP_DONE);
    if (op->has_slab) {
        mkv_front_slab_give(front, op_index);
    }
    MKV_ASSERT(!op->has_credit);
    op->state = FRONT_OP_IDLE;
}

/* ---- answers of volumes ---------------------------------------------------------------------- */

static void on_found(struct mkv_front *front, uint32_t op_index,
                     const struct mkv_message *message) {
    struct front_op *op = front_op_at(front, op_index);
    if (message->status != MKV_STATUS_OK) {
        mkv_front_op_done(front, op_index, message->status, message->miss);
        return;
    }
    MKV_ASSERT(message->length_units <= MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES);
    op->found = true;
    op->volume_op = message->volume_op;
    op->block_flags = message->flags & MKV_BLOCK_FLAGS;
    op->length_units = message->length_units;
    if (is_manifest(op)) {
        mkv_front_op_read_alone(front, op_index);
    }
    if (op->segment == MKV_NONE_U32 && op->wanted > 0 &&
        (uint64_t)op->wanted + MKV_UNIT_BYTES <= (uint64_t)op->length_units * MKV_UNIT_BYTES &&
        mkv_front_memory_reads(front, op, op_index)) {
        op->alone = true; /* a part of it: those who wait for the read look anew */
        mkv_front_memory_read_end(front, op_index);
    }
    if (op->doomed || (op->kind == FRONT_OP_LEARN && !is_manifest(op))) {
        send_release(front, op_index);
        mkv_front_op_done(front, op_index, MKV_STATUS_OK, MKV_MISS_NONE);
        return;
    }
    if (op->segment != MKV_NONE_U32 &&
        (is_manifest(op) || op->length_units != front_found_units(op->length))) {
        /* Not what the manifest says: its bytes might not even fit into the slab. */
        send_release(front, op_index);
        mkv_front_op_done(front, op_index, MKV_STATUS_IO_ERROR, MKV_MISS_CHECKSUM);
        return;
    }
    mkv_front_op_run(front, op_index);
}

static void on_read_done(struct mkv_front *front, uint32_t op_index,
                         const struct mkv_input *input) {
    struct front_op *op = front_op_at(front, op_index);
    const struct mkv_message *message = &input->message;
    if (message->status != MKV_STATUS_OK) {
        mkv_front_op_done(front, op_index, message->status, message->miss);
        return;
    }
    op->result_length = message->length;
    op->result_offset = message->offset;
    op->result_bytes = message->bytes;
    op->slab_offset = message->slab_offset;
    op->root = message->root;
    op->expiry_s = message->expiry_s;
    MKV_ASSERT((uint64_t)message->slab_offset + message->bytes <=
               (uint64_t)op->slab_units * MKV_SLAB_UNIT_PAYLOAD_BYTES);
    const bool keeps = mkv_front_memory_reads(front, op, op_index) &&
                       ((message->flags | op->block_flags) & MKV_BLOCK_MANIFEST) == 0 &&
                       message->offset == 0 && message->bytes == message->length;
    if (keeps) {
        mkv_front_memory_read_done(front, op_index);
    }
    if (op->doomed) {
        op->result_bytes = 0;
        mkv_front_op_done(front, op_index, MKV_STATUS_DEADLINE, MKV_MISS_NONE);
        return;
    }
    if (((message->flags ^ op->block_flags) & MKV_BLOCK_MANIFEST) != 0) {
        /* FOUND knew the key's tag alone, and READ came to another block of the same tag: what it
         * read is not the range that this op has a slab for. */
        op->result_bytes = 0;
        mkv_front_op_done(front, op_index, MKV_STATUS_NOT_FOUND, MKV_MISS_OVERLOADED);
        return;
    }
    if (is_manifest(op)) {
        struct front_item *item = front_item_at(front, op->item);
        op->result_bytes = 0; /* for the front, not for the client */
        const bool is_good = input->data_bytes == MKV_MANIFEST_BYTES &&
                             item->key_bytes + MKV_SEGMENT_KEY_SUFFIX_BYTES <= MKV_KEY_BYTES_MAX &&
                             mkv_manifest_decode(input->data, &item->old);
        if (!is_good) {
            mkv_front_op_done(front, op_index, MKV_STATUS_IO_ERROR, MKV_MISS_CHECKSUM);
            return;
        }
        item->has_old = true;
        item->old_root = message->root;
        item->old_expiry_s = message->expiry_s;
    } else if (op->segment != MKV_NONE_U32 &&
               (op->result_length != op->length || op->result_bytes != op->wanted)) {
        mkv_front_op_done(front, op_index, MKV_STATUS_IO_ERROR, MKV_MISS_CHECKSUM);
        return;
    }
    mkv_front_op_done(front, op_index, MKV_STATUS_OK, MKV_MISS_NONE);
}

static void on_put_ready(struct mkv_front *front, uint32_t op_index,
                         const struct mkv_message *message) {
    struct front_op *op = front_op_at(front, op_index);
    op->volume_op = message->volume_op;
    op->begun = true;
    mkv_front_summary_reserved(front, op);
    front->stats.writes_reserved += op->segment == MKV_NONE_U32 ? 1 : 0;
    if (op->doomed) {
        send_put_abort(front, op_index);
        mkv_front_op_done(front, op_index, MKV_STATUS_DEADLINE, MKV_MISS_NONE);
        return;
    }
    mkv_front_op_run(front, op_index);
}

void mkv_front_op_message(struct mkv_front *front, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    const uint32_t op_index = message->front_op.index;
    MKV_ASSERT(op_index < front_op_count(&front->config));
    struct front_op *op = front_op_at(front, op_index);
    /* Volumes are trusted: an answer that names nothing in flight is a programmer's error. */
    MKV_ASSERT(op->generation == message->front_op.generation);
    MKV_ASSERT(op->volume == message->volume);
    const uint32_t item = op->item;
    mkv_front_item_check(front, item);
    switch (message->kind) {
    case MKV_MESSAGE_FOUND:
        MKV_ASSERT(op->state == FRONT_OP_FIND_POSTED);
        on_found(front, op_index, message);
        break;
    case MKV_MESSAGE_READ_DONE:
        MKV_ASSERT(op->state == FRONT_OP_READ_POSTED);
        mkv_front_summary_drive(front, op, message->drive_ns);
        on_read_done(front, op_index, input);
        break;
    case MKV_MESSAGE_EXISTS_DONE:
    case MKV_MESSAGE_PIN_DONE:
    case MKV_MESSAGE_UNPIN_DONE:
        MKV_ASSERT(op->state == FRONT_OP_EXISTS_POSTED);
        op->length_units = message->length_units;
        op->leased = message->lease_ns > 0;
        op->expiry_s = message->expiry_s;
        mkv_front_op_exists_settle(front, op_index, message->status, message->miss);
        break;
    case MKV_MESSAGE_SESSION_DONE:
        MKV_ASSERT(op->state == FRONT_OP_EXISTS_POSTED);
        mkv_front_session_done(front, op_index, message->status);
        break;
    case MKV_MESSAGE_PUT_READY:
        MKV_ASSERT(op->state == FRONT_OP_BEGIN_POSTED);
        on_put_ready(front, op_index, message);
        break;
    case MKV_MESSAGE_PUT_TAKEN:
        MKV_ASSERT(op->state == FRONT_OP_WRITE_POSTED);
        MKV_ASSERT(!op->early);
        mkv_front_op_put_taken(front, op_index);
        break;
    case MKV_MESSAGE_PUT_DONE:
        MKV_ASSERT(op->state == FRONT_OP_BEGIN_POSTED || op->state == FRONT_OP_WRITE_POSTED);
        op->was_there = (message->flags & MKV_PUT_THERE) != 0;
        if (op->state == FRONT_OP_WRITE_POSTED) {
            mkv_front_summary_written(front, op, message);
        }
        mkv_front_op_put_settle(front, op_index, message->status);
        mkv_front_op_done(front, op_index, message->status, message->miss);
        break;
    case MKV_MESSAGE_DELETE_DONE:
        MKV_ASSERT(op->state == FRONT_OP_DELETE_POSTED);
        mkv_front_op_done(front, op_index,
                          mkv_front_op_delete_settle(front, op_index, message->status),
                          message->miss);
        break;
    case MKV_MESSAGE_EXPIRE_DONE:
        MKV_ASSERT(op->state == FRONT_OP_DELETE_POSTED);
        mkv_front_op_expire_settle(front, op_index, message->status);
        mkv_front_op_done(front, op_index, message->status, message->miss);
        break;
    case MKV_MESSAGE_FIND:
    case MKV_MESSAGE_READ:
    case MKV_MESSAGE_RELEASE:
    case MKV_MESSAGE_EXISTS:
    case MKV_MESSAGE_EXPIRE:
    case MKV_MESSAGE_PIN:
    case MKV_MESSAGE_UNPIN:
    case MKV_MESSAGE_SESSION:
    case MKV_MESSAGE_PUT_BEGIN:
    case MKV_MESSAGE_PUT_WRITE:
    case MKV_MESSAGE_PUT_ABORT:
    case MKV_MESSAGE_DELETE:
    case MKV_MESSAGE_TENANT:
    case MKV_MESSAGE_TENANT_DROP:
    case MKV_MESSAGE_TENANT_DONE: /* the front sends none of these */
    case MKV_MESSAGE_TENANT_DROP_DONE:
    case MKV_MESSAGE_SCAN:
    case MKV_MESSAGE_COUNT:
    case MKV_MESSAGE_PURGE:
    case MKV_MESSAGE_SCAN_DONE:
    case MKV_MESSAGE_COUNT_DONE:
    case MKV_MESSAGE_PURGE_DONE:
    case MKV_MESSAGE_TOUCH:
        MKV_ASSERT(false);
        break;
    }
    mkv_front_item_advance(front, item);
}

/* ---- completions of transfers ---------------------------------------------------------------- */

static void on_pull_done(struct mkv_front *front, uint32_t op_index,
                         const struct mkv_fabric_done *done) {
    struct front_op *op = front_op_at(front, op_index);
    const bool is_ok = done->transfer == MKV_TRANSFER_OK;
    if (is_ok) {
        MKV_ASSERT(done->sum_count == mkv_chunk_count(op->length));
        mkv_front_summary_moved(front, op, op->length, true);
    }
    if (!is_ok || op->doomed) {
        if (op->begun) {
            send_put_abort(front, op_index);
        }
        mkv_front_op_done(front, op_index, MKV_STATUS_UNAVAILABLE, MKV_MISS_NONE);
        return;
    }
    op->pulled = true;
    const struct mkv_root root = mkv_root_of_sums(op->length, done->sums);
    if (op->root_later) {
        op->root = root;
        memcpy(slab_sums(front, op), done->sums, sizeof(uint64_t) * done->sum_count);
        op->state = FRONT_OP_GRANTED;
        mkv_front_op_run(front, op_index);
        return;
    }
    if (!mkv_root_equal(root, op->root)) {
        send_put_abort(front, op_index);
        mkv_front_op_done(front, op_index, MKV_STATUS_INVALID, MKV_MISS_NONE);
        return;
    }
    send_put_write(front, op_index, done->sums);
}

static void on_push_done(struct mkv_front *front, uint32_t op_index,
                         const struct mkv_fabric_done *done) {
    struct front_op *op = front_op_at(front, op_index);
    if (done->transfer == MKV_TRANSFER_OK) {
        mkv_front_summary_moved(front, op, op->result_bytes, false);
        front->stats.segments_pushed += op->segment != MKV_NONE_U32 ? 1 : 0;
    }
    op->state = FRONT_OP_DONE;
    mkv_front_op_free(front, op_index);
}

void mkv_front_op_fabric(struct mkv_front *front, const struct mkv_fabric_done *done) {
    const bool is_pull = done->event == MKV_FABRIC_PULL_DONE;
    const enum front_op_state state = is_pull ? FRONT_OP_PULL_POSTED : FRONT_OP_PUSH_POSTED;
    if (done->op.index >= front_op_count(&front->config) ||
        front_op_at(front, done->op.index)->generation != done->op.generation ||
        front_op_at(front, done->op.index)->state != state) {
        front->stats.fabric_stale++;
        return;
    }
    const uint32_t item = front_op_at(front, done->op.index)->item;
    if (is_pull) {
        on_pull_done(front, done->op.index, done);
    } else {
        on_push_done(front, done->op.index, done);
    }
    mkv_front_item_advance(front, item);
}
