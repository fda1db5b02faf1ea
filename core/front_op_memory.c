/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ops do with the memory tier: they look into it before they ask a volume, share a read, leave
 * their slab to it, and take out of it what a mutation has ended.
 *
 * A block is what its key holds from the moment at which a volume's answer says so until the next
 * such answer: a GET that hits returns what a GET from the drive would have returned just then. The
 * one exception is a relaxed PUT, which the memory tier knows first; its volume tells nobody of the
 * older block meanwhile, since there is none.
 */
#include "core/bytes.h"
#include "core/canary.h"
#include "core/front_internal.h"
#include "core/hash.h"

/* What the op would find in memory; MKV_NONE_U32. */
static uint32_t op_resident(struct mkv_front *front, const struct front_op *op) {
    uint8_t key[MKV_KEY_BYTES_MAX];
    const uint32_t key_bytes = mkv_front_op_key(front, op, key);
    return mkv_front_memory_find(front, op, key, key_bytes);
}

static void op_forget(struct mkv_front *front, const struct front_op *op) {
    uint8_t key[MKV_KEY_BYTES_MAX];
    const uint32_t key_bytes = mkv_front_op_key(front, op, key);
    mkv_front_memory_forget(front, op, key, key_bytes);
}

static bool op_keep(struct mkv_front *front, uint32_t op_index, bool unpersisted) {
    uint8_t key[MKV_KEY_BYTES_MAX];
    const uint32_t key_bytes = mkv_front_op_key(front, front_op_at(front, op_index), key);
    return mkv_front_memory_keep(front, op_index, key, key_bytes, unpersisted);
}

static bool is_held(struct mkv_front *front, uint32_t resident) {
    return resident != MKV_NONE_U32 &&
           mkv_front_memory_at(front, resident)->state == FRONT_RESIDENT_HELD;
}

/* Gives back what the op took on its way to the volume, which it need not ask. */
static void let_go(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    if (op->has_credit) {
        mkv_front_credit_give(front, op_index);
    }
    if (op->has_slab) {
        mkv_front_slab_give(front, op_index);
    }
}

/* Counts a key as looked up, once an op. */
static void looked(struct mkv_front *front, struct front_op *op) {
    front->stats.memory_lookups += front_has_memory(front) && !op->looked ? 1 : 0;
    op->looked = true;
}

/* Notes a hit for the volume, unless there are too many; or it is another front's, whose ring has
 * room for what is answered alone. */
static void touch(struct mkv_front *front, const struct front_resident *resident) {
    struct front_volume *volume = &front->volumes[resident->volume];
    if (volume->touch_count == MKV_TOUCH_ENTRIES_MAX || front->config.foreign[resident->volume]) {
        front->stats.touches_dropped++;
        return;
    }
    if (volume->touch_count == 0) {
        volume->touch_ns = front->now_ns;
    }
    volume->touches[volume->touch_count++] =
        (struct front_touch){.tag = resident->tag, .tenant = resident->tenant};
}

static void touches_send(struct mkv_front *front, uint32_t index) {
    struct front_volume *volume = &front->volumes[index];
    struct mkv_effect *effect = mkv_front_emit(front, MKV_EFFECT_MESSAGE);
    effect->op = (struct mkv_op_id){.index = MKV_NONE_U32, .generation = 0};
    effect->message.kind = MKV_MESSAGE_TOUCH;
    effect->message.volume = index;
    effect->message.front_op = effect->op;
    uint8_t *data = mkv_front_emit_data(front, effect);
    for (uint32_t entry = 0; entry < volume->touch_count; entry++) {
        uint8_t *bytes = data + (size_t)entry * MKV_TOUCH_ENTRY_BYTES;
        mkv_store_u64(bytes, volume->touches[entry].tag);
        mkv_store_u32(bytes + 8, volume->touches[entry].tenant);
        mkv_store_u32(bytes + 12, 0);
    }
    effect->message.data_bytes = volume->touch_count * MKV_TOUCH_ENTRY_BYTES;
    front->stats.touches_sent += volume->touch_count;
    volume->touch_count = 0;
}

void mkv_front_touches_send(struct mkv_front *front) {
    for (uint32_t index = 0; index < front->config.volume_count; index++) {
        struct front_volume *volume = &front->volumes[index];
        const bool due =
            volume->touch_count == MKV_TOUCH_ENTRIES_MAX ||
            (volume->touch_count > 0 && front->now_ns - volume->touch_ns >= FRONT_TOUCH_NS);
        if (volume->touch_count > 0 && !mkv_front_volume_online(front, index)) {
            volume->touch_count = 0;
        } else if (due && front->effect_count < MKV_FRONT_EFFECTS_MAX) {
            touches_send(front, index);
        }
    }
}

static void get_resident(struct mkv_front *front, uint32_t op_index, uint32_t resident_index) {
    struct front_op *op = front_op_at(front, op_index);
    const struct front_resident *resident = mkv_front_memory_at(front, resident_index);
    const uint32_t behind = op->offset < resident->length ? resident->length - op->offset : 0;
    const bool all = op->wanted == 0 || op->wanted > behind;
    const uint32_t bytes = all ? behind : op->wanted;
    if (op->segment != MKV_NONE_U32 && (resident->length != op->length || bytes != op->wanted)) {
        mkv_front_op_done(front, op_index, MKV_STATUS_IO_ERROR, MKV_MISS_CHECKSUM);
        return;
    }
    /* In use, its slab counts against the connection as one of the connection's own would. */
    if (bytes > 0 &&
        !mkv_front_cap_take(front, op_index, resident->slab_units * MKV_SLAB_UNIT_PAYLOAD_BYTES)) {
        return;
    }
    looked(front, op);
    front->stats.memory_hits += op->joined ? 0 : 1;
    front->stats.reads_shared += op->joined ? 1 : 0;
    op->from_memory = !op->joined;
    op->result_length = resident->length;
    op->result_offset = op->offset;
    op->result_bytes = bytes;
    op->slab_offset = bytes > 0 ? op->offset : 0;
    op->root = resident->root;
    touch(front, resident);
    if (bytes > 0) {
        mkv_front_memory_use(front, op_index, resident_index);
    }
    mkv_front_op_done(front, op_index, MKV_STATUS_OK, MKV_MISS_NONE);
}

/* Whether the block is in memory, or on its way there: then the op needs no volume. */
bool mkv_front_op_from_memory(struct mkv_front *front, uint32_t op_index) {
    const struct front_op *op = front_op_at(front, op_index);
    uint32_t resident = op_resident(front, op);
    if (resident == MKV_NONE_U32 || (op->alone && !is_held(front, resident))) {
        return false;
    }
    let_go(front, op_index);
    resident = op_resident(front, op); /* a slab that came free may have been traded for it */
    if (resident == MKV_NONE_U32) {
        return false;
    }
    if (is_held(front, resident)) {
        get_resident(front, op_index, resident);
        return true;
    }
    if (op->units_counted > 0) {
        mkv_front_cap_give(front, op_index);
    }
    return mkv_front_read_wait(front, op_index, resident);
}

/* Others may wait for a read of the whole block. */
void mkv_front_op_share_read(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    looked(front, op);
    /* So many bytes from the first on are all if there are no more: FOUND and READ_DONE tell. */
    const bool whole = op->offset == 0 && (op->segment == MKV_NONE_U32 || op->wanted == op->length);
    if (!front_has_memory(front) || op->kind != FRONT_OP_GET || !whole || op->alone ||
        op_resident(front, op) != MKV_NONE_U32) {
        return;
    }
    uint8_t key[MKV_KEY_BYTES_MAX];
    const uint32_t key_bytes = mkv_front_op_key(front, op, key);
    mkv_front_memory_read_begin(front, op_index, key, key_bytes);
}

/* Whether what a volume answered holds for others that read the same block at the time. */
static bool answer_is_shared(enum mkv_status status, enum mkv_miss miss) {
    return (status == MKV_STATUS_NOT_FOUND && miss != MKV_MISS_NONE && miss != MKV_MISS_DEADLINE &&
            miss != MKV_MISS_OVERLOADED) ||
           (status == MKV_STATUS_IO_ERROR && miss == MKV_MISS_IO_ERROR);
}

/* The op read for others, too, and no block came of it. They end as it did where the volume has
 * answered; where the reason is the op's own they look anew. */
void mkv_front_op_read_over(struct mkv_front *front, uint32_t op_index, enum mkv_status status,
                            enum mkv_miss miss) {
    uint32_t waiter;
    while (answer_is_shared(status, miss) &&
           (waiter = mkv_front_memory_read_waiter(front, op_index)) != MKV_NONE_U32) {
        struct front_op *op = front_op_at(front, waiter);
        MKV_ASSERT(!op->has_slab);
        MKV_ASSERT(!op->has_credit);
        op->status = status;
        op->miss = miss;
        op->state = FRONT_OP_DONE;
        front->stats.reads_shared++;
        mkv_front_item_ready(front, op->item);
    }
    mkv_front_memory_read_end(front, op_index);
}

/* The op's read turned out to be of a manifest: each reads it for itself, and then its own range of
 * what it names. */
void mkv_front_op_read_alone(struct mkv_front *front, uint32_t op_index) {
    uint32_t waiter;
    if (!mkv_front_memory_reads(front, front_op_at(front, op_index), op_index)) {
        return;
    }
    while ((waiter = mkv_front_memory_read_waiter(front, op_index)) != MKV_NONE_U32) {
        front_op_at(front, waiter)->alone = true;
        front_op_at(front, waiter)->state = FRONT_OP_GRANTED;
        mkv_front_item_ready(front, front_op_at(front, waiter)->item);
    }
    mkv_front_memory_read_end(front, op_index);
}

static void exists_from_memory(struct mkv_front *front, uint32_t op_index, uint32_t resident) {
    struct front_op *op = front_op_at(front, op_index);
    front->stats.memory_hits++;
    op->from_memory = true;
    op->length_units = front_found_units(mkv_front_memory_at(front, resident)->length);
    op->expiry_s = mkv_front_memory_at(front, resident)->expiry_s;
    mkv_front_op_done(front, op_index, MKV_STATUS_OK, MKV_MISS_NONE);
}

/* EXISTS, LOOKUP. */
bool mkv_front_op_exists_in_memory(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    const struct front_item *item = front_item_at(front, op->item);
    if (item->op == MKV_OP_PIN || item->op == MKV_OP_UNPIN) {
        return false; /* those are the volume's */
    }
    const uint32_t index = op_resident(front, op);
    looked(front, op);
    op->in_memory = is_held(front, index);
    if (!op->in_memory || item->lease_ns > 0) {
        return false; /* only the volume can give a lease */
    }
    exists_from_memory(front, op_index, index);
    return true;
}

void mkv_front_op_exists_settle(struct mkv_front *front, uint32_t op_index, enum mkv_status status,
                                enum mkv_miss miss) {
    struct front_op *op = front_op_at(front, op_index);
    const uint32_t index = op->in_memory ? op_resident(front, op) : MKV_NONE_U32;
    if (status == MKV_STATUS_NOT_FOUND && is_held(front, index)) {
        exists_from_memory(front, op_index, index);
        return;
    }
    op->from_memory = op->in_memory && status == MKV_STATUS_OK;
    front->stats.memory_hits += op->from_memory ? 1 : 0;
    mkv_front_op_done(front, op_index, status, miss);
}

bool mkv_front_op_is_relaxed(struct mkv_front *front, const struct front_op *op) {
    const struct front_item *item = front_item_at(front, op->item);
    return (item->relaxed || MKV_CANARY(MKV_CANARY_DURABLE_PUT_ANSWERED_EARLY)) &&
           op->kind == FRONT_OP_PUT && op->segment == MKV_NONE_U32 && front_has_memory(front);
}

void mkv_front_op_put_taken(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    if (front_item_at(front, op->item)->phase != FRONT_PHASE_SINGLE) {
        return; /* its client is gone */
    }
    op_forget(front, op);
    op->early = op_keep(front, op_index, true);
    front->stats.puts_early += op->early ? 1 : 0;
}

/* The planted bugs: what was held, or what was being read, stays over a mutation. */
static bool stays(struct mkv_front *front, const struct front_op *op, bool held_stays) {
    const uint32_t resident = op_resident(front, op);
    const bool read_stays = MKV_CANARY(MKV_CANARY_READ_KEPT_OVER_MUTATION);
    return resident != MKV_NONE_U32 && (is_held(front, resident) ? held_stays : read_stays);
}

/* Whether memory has what a PUT found to be there already. Its expiry may be another one now; which
 * one, the next read tells. */
static bool is_what_was_put(struct mkv_front *front, const struct front_op *op,
                            uint32_t resident_index) {
    const struct front_resident *resident = mkv_front_memory_at(front, resident_index);
    return is_held(front, resident_index) && mkv_root_equal(resident->root, op->root) &&
           resident->expiry_s == front_item_at(front, op->item)->expiry_s;
}

/* What a PUT that was posted means for memory, before it is over. */
void mkv_front_op_put_settle(struct mkv_front *front, uint32_t op_index, enum mkv_status status) {
    struct front_op *op = front_op_at(front, op_index);
    const bool is_ok = status == MKV_STATUS_OK;
    if (op->early) {
        mkv_front_memory_persisted(front, op_index, is_ok);
        return;
    }
    if (op->state == FRONT_OP_BEGIN_POSTED && (is_ok || status == MKV_STATUS_CONFLICT)) {
        /* Nothing was written: the key holds what it held. */
        const uint32_t resident = op_resident(front, op);
        if (is_ok && resident != MKV_NONE_U32 && !is_what_was_put(front, op, resident)) {
            op_forget(front, op);
        }
        return;
    }
    if (stays(front, op, MKV_CANARY(MKV_CANARY_RESIDENT_KEPT_OVER_REPLACE))) {
        return;
    }
    op_forget(front, op);
    if (is_ok && op->kind == FRONT_OP_PUT && front_has_memory(front) && op->has_slab) {
        (void)op_keep(front, op_index, false);
    }
}

/* What a DELETE came to. A block that the drive has given up may still have been in memory. */
enum mkv_status mkv_front_op_delete_settle(struct mkv_front *front, uint32_t op_index,
                                           enum mkv_status status) {
    const struct front_op *op = front_op_at(front, op_index);
    const bool held = is_held(front, op_resident(front, op));
    if (!stays(front, op, MKV_CANARY(MKV_CANARY_RESIDENT_KEPT_OVER_DELETE))) {
        op_forget(front, op);
    }
    return status == MKV_STATUS_NOT_FOUND && held ? MKV_STATUS_OK : status;
}

void mkv_front_op_expire_settle(struct mkv_front *front, uint32_t op_index,
                                enum mkv_status status) {
    const struct front_op *op = front_op_at(front, op_index);
    const uint32_t resident = op_resident(front, op);
    if (status == MKV_STATUS_OK && is_held(front, resident)) {
        if (!MKV_CANARY(MKV_CANARY_EXPIRY_KEPT_IN_MEMORY)) {
            mkv_front_memory_expire(front, resident, front_item_at(front, op->item)->expiry_s);
        }
        return;
    }
    /* What is being read may have the old one; and what only memory has is gone for all who ask. */
    op_forget(front, op);
}
