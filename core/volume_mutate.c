/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes the table: puts, deletes, drops of slots, class changes; from the message to the
 * moment their record waits for a journal block.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "core/volume_internal.h"

void mkv_volume_mutation_end(struct mkv_volume *volume, uint32_t index, enum mkv_status status) {
    struct op *op = &volume_ops(volume)[index];
    if (op->kind == OP_KIND_PUT) {
        struct mkv_message *answer = mkv_volume_answer(volume, index, MKV_MESSAGE_PUT_DONE, status);
        answer->flags = (op->there && status == MKV_STATUS_OK ? MKV_PUT_THERE : 0) |
                        (op->unwritten ? MKV_PUT_UNWRITTEN : 0);
        answer->drive_ns = op->written_ns != 0 ? op->drive_ns : 0;
        answer->flush_ns = op->written_ns != 0 ? volume->now_ns - op->written_ns : 0;
    } else if (op->kind == OP_KIND_DELETE) {
        struct mkv_message *answer =
            mkv_volume_answer(volume, index, MKV_MESSAGE_DELETE_DONE, status);
        answer->miss = status == MKV_STATUS_NOT_FOUND ? MKV_MISS_UNKNOWN : MKV_MISS_NONE;
        if (status == MKV_STATUS_OK && op->drop_cause == MKV_DROP_EXPIRE) {
            answer->status = MKV_STATUS_NOT_FOUND;
            answer->miss = MKV_MISS_EXPIRED;
        }
    } else if (op->kind == OP_KIND_EXPIRE) {
        mkv_volume_answer(volume, index, MKV_MESSAGE_EXPIRE_DONE, status);
    } else if (op->kind == OP_KIND_TENANT) {
        mkv_volume_answer(volume, index, MKV_MESSAGE_TENANT_DONE, status);
    } else if (op->kind == OP_KIND_TENANT_DROP) {
        mkv_volume_answer(volume, index, MKV_MESSAGE_TENANT_DROP_DONE, status);
    } else if (op->kind == OP_KIND_LIST) {
        mkv_volume_answer(volume, index, mkv_volume_listing_answer_kind(op), status);
    }
    const bool of_tenant = volume->tenant_op == index;
    const uint32_t next = op->past_lock ? mkv_volume_lock_pass_on(volume, index) : MKV_NONE_U32;
    mkv_volume_op_free(volume, index);
    if (of_tenant) {
        mkv_volume_tenant_ended(volume);
    }
    if (next != MKV_NONE_U32) {
        /* Its state is not LOCK_WAIT any more before it starts; starting may end it at once, and
         * the chain of such ends is as long as the queue at most. */
        mkv_volume_mutation_start(volume, next);
    }
}

static void mark_ready(struct mkv_volume *volume, uint32_t index) {
    volume_ops(volume)[index].state = OP_READY;
    mkv_volume_list_push(volume, &volume->ready, index);
}

void mkv_volume_mutation_refuse(struct mkv_volume *volume, uint32_t index, enum mkv_status status) {
    const struct op *op = &volume_ops(volume)[index];
    if (op->overtaken) {
        mkv_volume_put_refused(volume, index, status);
    } else {
        mkv_volume_mutation_end(volume, index, status);
    }
}

/* ---- an overtaken put has its data -------------------------------------------------------- */

static void extent_waiter_remove(struct mkv_volume *volume, uint32_t index) {
    const uint32_t count = volume->extent_waiters.count;
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t other = mkv_volume_list_pop(volume, &volume->extent_waiters);
        if (other != index) {
            mkv_volume_list_push(volume, &volume->extent_waiters, other);
        }
    }
    MKV_ASSERT(volume->extent_waiters.count + 1 == count);
    mkv_volume_evict_wait_ended(volume, index);
}

void mkv_volume_put_flushed(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    if (op->past_lock || MKV_CANARY(MKV_CANARY_OVERTAKEN_PUT_NOT_CHECKED)) {
        mark_ready(volume, index);
        return;
    }
    MKV_ASSERT(op->overtaken);
    op->candidate = 0;
    mkv_volume_lock_take(volume, index);
    if (op->state != OP_LOCK_WAIT) {
        return;
    }
    const uint32_t holder = mkv_volume_lock_holder(volume, op->tenant, op->tag);
    if (volume_ops(volume)[holder].state == OP_EXTENT_WAIT) {
        extent_waiter_remove(volume, holder);
        (void)mkv_volume_lock_step_back(volume, holder);
    }
}

/* ---- looking for the old block --------------------------------------------------------------- */

static void drop_old(struct mkv_volume *volume, uint32_t index, enum mkv_drop_cause cause) {
    struct op *op = &volume_ops(volume)[index];
    op->has_old = true;
    op->drop_cause = cause;
    mkv_volume_policy_dropped(volume, op->old_slot, cause == MKV_DROP_EVICT);
    if (MKV_CANARY(MKV_CANARY_SLOT_REUSED_BEFORE_DROP) ||
        (cause == MKV_DROP_EVICT && MKV_CANARY(MKV_CANARY_EVICTED_SLOT_REUSED_BEFORE_DROP))) {
        const struct mkv_record_drop drop = {
            .cause = cause,
            .slot = op->old_slot,
            .generation =
                {mkv_slot_table_entry(volume_table(volume), op->old_slot)->generation_low},
        };
        mkv_volume_tenant_uncount(volume, op->old_slot);
        mkv_slot_table_apply_drop(volume_table(volume), &drop);
    } else {
        mkv_slot_table_hide(volume_table(volume), op->old_slot);
    }
    mark_ready(volume, index);
}

void mkv_volume_drop_old(struct mkv_volume *volume, uint32_t index, enum mkv_drop_cause cause) {
    MKV_ASSERT(volume_ops(volume)[index].past_lock);
    drop_old(volume, index, cause);
}

static void reserve_slot(struct mkv_volume *volume, uint32_t index);

/* Looks at the next slot of the op's tag. Slots of a tag do not change while its lock is held. */
static void check_candidate(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    if (!mkv_volume_tenant_takes(volume, op->tenant)) {
        mkv_volume_mutation_refuse(volume, index, MKV_STATUS_FORBIDDEN);
        return;
    }
    if (!mkv_volume_purge_takes(volume, op)) {
        mkv_volume_mutation_refuse(volume, index, MKV_STATUS_UNAVAILABLE);
        return;
    }
    const struct mkv_slot slot = mkv_volume_candidate(volume, op);
    if (slot.index == MKV_NONE_U32) {
        if ((op->flags & MKV_PUT_IF_PRESENT) != 0) {
            mkv_volume_mutation_refuse(volume, index, MKV_STATUS_NOT_FOUND);
        } else if (op->overtaken) {
            mark_ready(volume, index);
        } else if (op->kind == OP_KIND_PUT) {
            reserve_slot(volume, index);
        } else {
            mkv_volume_mutation_end(volume, index, MKV_STATUS_NOT_FOUND);
        }
        return;
    }
    op->state = OP_CHECKING;
    op->old_slot = slot;
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_READ);
    drive->memory = MKV_DRIVE_META;
    drive->lba = mkv_slot_table_lba(volume_table(volume), slot);
    drive->unit_count = 1;
    drive->meta_offset = meta_of_op(volume, index);
}

/* The block is not found from now on. */
static void evict_event(struct mkv_volume *volume, struct mkv_slot slot,
                        enum mkv_eviction_reason reason) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    struct mkv_volume_stats *stats = &volume->stats;
    if (reason == MKV_EVICTION_BY_SESSION) {
        stats->session_blocks_freed_total++; /* it was asked for: no sign of a lack of room */
    } else {
        mkv_volume_tenant_evicted(volume, entry->tenant,
                                  reason == MKV_EVICTION_FOR_QUOTA ? entry->tenant
                                                                   : volume->evict.tenant);
        stats->evictions_total++;
        stats->evictions_by_tier[mkv_slot_tier_of(entry)]++;
        mkv_volume_sample_evicted(volume, slot);
        stats->evictions_rebalance_total += reason == MKV_EVICTION_FOR_CLASS;
        stats->evictions_capacity_total += reason == MKV_EVICTION_FOR_ROOM;
        stats->evictions_quota_total += reason == MKV_EVICTION_FOR_QUOTA;
    }
    mkv_volume_event(volume, MKV_EVENT_BLOCK_EVICTED, MKV_OK, slot.index,
                     ((uint64_t)entry->tag_high << 32) | entry->tag_low, (uint64_t)reason);
}

/* What a DROP is to drop may be gone, and its slot put to use again, since. */
static bool is_there(const struct mkv_volume *volume, const struct op *drop) {
    MKV_ASSERT(drop->kind == OP_KIND_DROP);
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), drop->old_slot);
    return mkv_slot_state_of(entry) == MKV_SLOT_LIVE && (entry->bits & MKV_SLOT_HIDDEN) == 0 &&
           (entry->generation_low == (uint32_t)drop->generation_new.value ||
            MKV_CANARY(MKV_CANARY_QUARANTINE_OF_WHAT_FOLLOWED));
}

/* A mutation is past its lock. */
void mkv_volume_mutation_start(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    if (op->kind == OP_KIND_PURGE) {
        mkv_volume_purge_start(volume, index);
        return;
    }
    if (op->kind != OP_KIND_DROP) {
        check_candidate(volume, index);
        return;
    }
    if (!is_there(volume, op)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_OK);
        return;
    }
    if (op->drop_cause == MKV_DROP_EXPIRE && !mkv_volume_old_is_expired(volume, op) &&
        !MKV_CANARY(MKV_CANARY_EXPIRY_DROP_NOT_CHECKED)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_OK); /* a put has prolonged it */
        return;
    }
    if (op->of_eviction) {
        evict_event(volume, op->old_slot, op->evict_reason);
        mkv_volume_policy_remember(volume, op->tag, op->policy_state);
    }
    drop_old(volume, index, op->drop_cause);
}

static bool same_content(const struct op *op, const struct mkv_slot_header *header) {
    if (MKV_CANARY(MKV_CANARY_DEDUP_BY_LENGTH)) {
        return header->length == op->length;
    }
    return header->length == op->length && mkv_root_equal(header->root, op->root) &&
           header->block_flags == (op->flags & MKV_BLOCK_FLAGS);
}

/* Whether two manifests, of which one is to be put, are of one value. */
static bool same_value(const struct op *op, const struct mkv_slot_header *header,
                       const uint8_t *unit) {
    struct mkv_manifest manifest;
    const uint8_t *payload = unit + MKV_SLOT_INLINE_OFFSET;
    return !MKV_CANARY(MKV_CANARY_EQUAL_VALUE_CONFLICTS) && op->kind == OP_KIND_PUT &&
           (op->flags & MKV_BLOCK_MANIFEST) != 0 &&
           (header->block_flags & MKV_BLOCK_MANIFEST) != 0 &&
           header->length == MKV_MANIFEST_BYTES &&
           mkv_hash_64(payload, MKV_MANIFEST_BYTES) == mkv_load_u64(header->sums) &&
           mkv_manifest_decode(payload, &manifest) && manifest.length == op->value_length &&
           mkv_root_equal(manifest.root, op->value_root);
}

/* Whether the put gives way to what is in old_slot, or (expired) to what is not any more. */
static enum mkv_status condition_of(const struct op *op, bool expired, bool replaces_root) {
    if (!expired && (op->flags & MKV_PUT_IF_ABSENT) != 0 && !replaces_root) {
        return MKV_STATUS_CONFLICT;
    }
    return expired && (op->flags & MKV_PUT_IF_PRESENT) != 0 ? MKV_STATUS_NOT_FOUND : MKV_STATUS_OK;
}

/* A put finds what it was to store. */
static void old_is_same(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    volume->stats.puts_deduplicated_total++;
    mkv_volume_policy_used(volume, op->old_slot, false);
    op->there = true;
    mkv_volume_prolong(volume, index);
}

/* The old block of this very key is in old_slot. */
static void old_found(struct mkv_volume *volume, uint32_t index,
                      const struct mkv_slot_header *header, const uint8_t *unit) {
    struct op *op = &volume_ops(volume)[index];
    if (!mkv_volume_tenant_takes(volume, op->tenant)) {
        mkv_volume_mutation_refuse(volume, index, MKV_STATUS_FORBIDDEN); /* dropped under way */
        return;
    }
    const bool expired = mkv_volume_old_is_expired(volume, op);
    if (op->kind == OP_KIND_EXPIRE) {
        mkv_volume_expire_found(volume, index, expired);
        return;
    }
    if (op->kind == OP_KIND_DELETE) {
        drop_old(volume, index, expired ? MKV_DROP_EXPIRE : MKV_DROP_DELETE);
        return;
    }
    const bool replaces_root =
        (op->flags & MKV_PUT_REPLACE_ROOT) != 0 && mkv_root_equal(header->root, op->replaces);
    const enum mkv_status condition = condition_of(op, expired, replaces_root);
    if (condition != MKV_STATUS_OK) {
        mkv_volume_mutation_refuse(volume, index, condition);
        return;
    }
    if (!expired && same_content(op, header)) {
        old_is_same(volume, index);
        return;
    }
    bool replaces = (op->flags & MKV_PUT_REPLACE) != 0 || replaces_root;
    if (!expired && !replaces && same_value(op, header, unit)) {
        if (!mkv_volume_put_prolongs(volume, op)) {
            old_is_same(volume, index);
            return;
        }
        replaces = true; /* the segments of the live one would be gone before it */
    }
    if (!expired && !replaces) {
        mkv_volume_mutation_refuse(volume, index, MKV_STATUS_CONFLICT);
        return;
    }
    op->has_old = true;
    op->drop_cause = expired ? MKV_DROP_EXPIRE : MKV_DROP_REPLACE;
    if (op->overtaken) {
        mark_ready(volume, index);
    } else {
        reserve_slot(volume, index);
    }
}

/* What is in old_slot can't be told any more, and it may have been this key's block. It is dropped,
 * durably, before the op looks on: no older content can come back behind what the op does. */
static void old_is_lost(struct mkv_volume *volume, uint32_t index, enum mkv_err err) {
    struct op *op = &volume_ops(volume)[index];
    mkv_volume_event(volume, MKV_EVENT_BLOCK_QUARANTINED, err, op->old_slot.index, 0, 0);
    volume->stats.quarantined_total++;
    if (MKV_CANARY(MKV_CANARY_CORRUPT_CANDIDATE_PASSED_OVER)) {
        op->candidate++;
        check_candidate(volume, index);
        return;
    }
    op->retires = err == MKV_ERR_DRIVE_IO;
    op->clearing = true;
    drop_old(volume, index, MKV_DROP_QUARANTINE);
}

void mkv_volume_mutation_cleared(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->clearing);
    op->clearing = false;
    op->retires = false;
    op->has_old = false;
    check_candidate(volume, index);
}

static void checking_done(struct mkv_volume *volume, uint32_t index,
                          const struct mkv_drive_done *done) {
    struct op *op = &volume_ops(volume)[index];
    const uint64_t lba = mkv_slot_table_lba(volume_table(volume), op->old_slot).unit;
    if (done->result != MKV_IO_OK) {
        mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_READ, done->result, lba);
    }
    if (done->result == MKV_IO_MEDIUM) {
        old_is_lost(volume, index, MKV_ERR_DRIVE_IO);
        return;
    }
    if (done->result != MKV_IO_OK) {
        mkv_volume_mutation_refuse(volume, index, MKV_STATUS_IO_ERROR);
        if (mkv_io_result_is_final(done->result)) {
            mkv_volume_fail(volume, done->result, lba);
        }
        return;
    }
    struct mkv_slot_header header;
    const uint8_t *unit = volume_meta(volume, meta_of_op(volume, index));
    switch (mkv_volume_judge_header(volume, op, op->old_slot, unit, &header)) {
    case HEADER_MATCH:
        old_found(volume, index, &header, unit);
        return;
    case HEADER_OTHER_KEY:
        op->candidate++;
        check_candidate(volume, index);
        return;
    case HEADER_CORRUPT:
        volume->stats.checksum_failures_header_total++;
        old_is_lost(volume, index, MKV_CORRUPT_SLOT_HEADER);
        return;
    }
    MKV_ASSERT(false);
}

/* ---- put ------------------------------------------------------------------------------------- */

/* Copies what a PUT_BEGIN, DELETE or EXPIRE names. */
static uint32_t mutation_take(struct mkv_volume *volume, const struct mkv_input *input,
                              enum op_kind kind) {
    const struct mkv_message *message = &input->message;
    MKV_ASSERT(message->data_bytes >= 1);
    MKV_ASSERT(message->data_bytes <= MKV_KEY_BYTES_MAX);
    const uint32_t index = mkv_volume_op_take(volume, kind);
    struct op *op = &volume_ops(volume)[index];
    op->front_op = message->front_op;
    op->tenant = message->tenant;
    op->key_bytes = message->data_bytes;
    op->tag = mkv_key_tag(message->tenant, input->data, message->data_bytes);
    memcpy(op->key, input->data, message->data_bytes);
    op->flags = message->flags;
    op->length = message->length;
    op->root = message->root;
    op->replaces = message->replaces;
    op->value_length = message->value_length;
    op->value_root = message->value_root;
    op->expiry_s = message->expiry_s;
    op->session = message->session;
    op->tier = mkv_tier_of_hint(message->tier_hint);
    return index;
}

void mkv_volume_put_begin(struct mkv_volume *volume, const struct mkv_input *input) {
    MKV_ASSERT(input->message.length <= MKV_BLOCK_BYTES_MAX);
    MKV_ASSERT(input->message.tier_hint <= MKV_TIER_HINT_MAX);
    const uint32_t index = mutation_take(volume, input, OP_KIND_PUT);
    volume->stats.puts_total++;
    if (volume->state != MKV_VOLUME_SERVING || volume->stall.active) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_UNAVAILABLE);
        return;
    }
    if (!mkv_volume_tenant_takes(volume, input->message.tenant)) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_FORBIDDEN);
        return;
    }
    mkv_volume_session_put_begin(volume, &volume_ops(volume)[index]);
    if ((input->message.flags & MKV_PUT_IF_ABSENT) != 0 &&
        MKV_CANARY(MKV_CANARY_ABSENCE_DECIDED_UNLOCKED)) {
        enum mkv_miss miss;
        if (mkv_volume_found(volume, input, &miss).index != MKV_NONE_U32) {
            mkv_volume_mutation_end(volume, index, MKV_STATUS_CONFLICT);
            return;
        }
        volume_ops(volume)[index].flags ^= MKV_PUT_IF_ABSENT | MKV_PUT_REPLACE;
    }
    mkv_volume_lock_take(volume, index);
}

void mkv_volume_delete(struct mkv_volume *volume, const struct mkv_input *input) {
    const bool expires = input->message.kind == MKV_MESSAGE_EXPIRE;
    const uint32_t index = mutation_take(volume, input, expires ? OP_KIND_EXPIRE : OP_KIND_DELETE);
    volume->stats.deletes_total += expires ? 0 : 1;
    if (volume->state != MKV_VOLUME_SERVING || volume->stall.active) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_UNAVAILABLE);
        return;
    }
    if (!mkv_volume_tenant_takes(volume, input->message.tenant)) {
        const bool nobody = input->message.tenant == MKV_NONE_U32;
        mkv_volume_mutation_end(volume, index,
                                nobody ? MKV_STATUS_NOT_FOUND : MKV_STATUS_FORBIDDEN);
        return;
    }
    mkv_volume_lock_take(volume, index);
}

/* For whom a slot is dropped, and what becomes of it. */
#define DROP_OF_JOB 0x1u
#define DROP_OF_EVICTION 0x2u
#define DROP_RETIRES 0x4u
#define DROP_OF_CATCH_UP 0x8u
#define DROP_FOR_REASON(reason) ((uint32_t)(reason) << 4) /* of an eviction, four bits */
#define DROP_OF_LISTING(listing) (((listing) + 1u) * 0x100u)

static void slot_drop(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_drop_cause cause,
                      uint32_t flags) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_DROP);
    struct op *op = &volume_ops(volume)[index];
    op->tag = ((uint64_t)entry->tag_high << 32) | entry->tag_low;
    op->tenant = entry->tenant;
    op->old_slot = slot;
    op->drop_cause = cause;
    op->of_job = (flags & DROP_OF_JOB) != 0;
    op->of_eviction = (flags & DROP_OF_EVICTION) != 0;
    op->retires = (flags & DROP_RETIRES) != 0;
    op->evict_reason = (enum mkv_eviction_reason)(flags >> 4 & 0xfu);
    if (op->of_eviction) {
        op->policy_state = mkv_volume_policy_take_out(volume, slot); /* it is no victim twice */
    }
    op->of_catch_up = (flags & DROP_OF_CATCH_UP) != 0;
    op->of_quota = op->of_eviction && op->evict_reason == MKV_EVICTION_FOR_QUOTA;
    if (op->of_quota) {
        mkv_volume_quota_drop_begun(volume, op);
    }
    op->purge = flags / DROP_OF_LISTING(0);
    op->generation_new = (struct mkv_generation){entry->generation_low};
    volume->job_drops += op->of_job ? 1u : 0u;
    if (op->of_eviction) {
        mkv_volume_evict_drop_begun(volume, op);
    }
    mkv_volume_lock_take(volume, index);
}

static bool quarantine(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err,
                       uint32_t flags) {
    mkv_volume_event(volume, MKV_EVENT_BLOCK_QUARANTINED, err, slot.index, 0, 0);
    /* Without room the next reader finds it again, and again nothing wrong leaves. */
    if (volume->state != MKV_VOLUME_SERVING || !mkv_volume_drop_room(volume)) {
        return false;
    }
    volume->stats.quarantined_total++;
    flags |= err == MKV_ERR_DRIVE_IO ? DROP_RETIRES : 0;
    slot_drop(volume, slot, MKV_DROP_QUARANTINE, flags);
    return true;
}

void mkv_volume_quarantine(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err) {
    (void)quarantine(volume, slot, err, 0);
}

bool mkv_volume_catch_up_drop(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err) {
    return quarantine(volume, slot, err, DROP_OF_CATCH_UP);
}

bool mkv_volume_job_drop(struct mkv_volume *volume, struct mkv_slot slot,
                         enum mkv_drop_cause cause) {
    MKV_ASSERT(volume->state == MKV_VOLUME_SERVING);
    if (volume->job_drops >= JOB_DROPS_MAX || !mkv_volume_drop_room(volume)) {
        return false;
    }
    slot_drop(volume, slot, cause, DROP_OF_JOB);
    return true;
}

bool mkv_volume_purge_drop(struct mkv_volume *volume, struct mkv_slot slot, uint32_t listing) {
    MKV_ASSERT(volume->state == MKV_VOLUME_SERVING);
    if (volume->job_drops >= JOB_DROPS_MAX || !mkv_volume_drop_room(volume)) {
        return false;
    }
    volume->listings[listing].drops++;
    slot_drop(volume, slot, MKV_DROP_PURGE, DROP_OF_JOB | DROP_OF_LISTING(listing));
    return true;
}

/* A put that waits for room holds the lock of a block that is to make some. It has done nothing
 * yet: so it drops that block itself, and when the drop is durable it looks and asks anew. */
static void evict_by_waiter(struct mkv_volume *volume, uint32_t index, struct mkv_slot slot,
                            enum mkv_eviction_reason reason) {
    extent_waiter_remove(volume, index);
    struct op *op = &volume_ops(volume)[index];
    op->clearing = true;
    op->candidate = 0;
    op->old_slot = slot;
    evict_event(volume, slot, reason);
    drop_old(volume, index, MKV_DROP_EVICT);
}

static uint32_t evict_drops_max(const struct mkv_volume *volume) {
    return (uint32_t)mkv_max_u64(EVICT_DROPS_MIN, volume->config.ops_max / EVICT_DROPS_SHARE);
}

bool mkv_volume_evict_room(const struct mkv_volume *volume) {
    return volume->evict_drops < evict_drops_max(volume) && mkv_volume_drop_room(volume);
}

bool mkv_volume_evict_room_beside(const struct mkv_volume *volume) {
    const uint32_t most = evict_drops_max(volume);
    return volume->evict_drops < most - most / EVICT_DROPS_OF_WAITERS_SHARE &&
           mkv_volume_drop_room(volume);
}

void mkv_volume_evict(struct mkv_volume *volume, struct mkv_slot slot,
                      enum mkv_eviction_reason reason) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    MKV_ASSERT(mkv_slot_state_of(entry) == MKV_SLOT_LIVE);
    MKV_ASSERT((entry->bits & MKV_SLOT_HIDDEN) == 0);
    MKV_ASSERT(mkv_volume_evict_room(volume));
    const uint64_t tag = ((uint64_t)entry->tag_high << 32) | entry->tag_low;
    const uint32_t holder = mkv_volume_lock_holder(volume, entry->tenant, tag);
    if (holder != MKV_NONE_U32 && volume_ops(volume)[holder].state == OP_EXTENT_WAIT) {
        evict_by_waiter(volume, holder, slot, reason);
        return;
    }
    slot_drop(volume, slot, MKV_DROP_EVICT, DROP_OF_EVICTION | DROP_FOR_REASON(reason));
}

static void reserve_slot(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    struct mkv_slot_table *table = volume_table(volume);
    const uint32_t slot_units = mkv_slot_table_class_for(table, op->length);
    if (!mkv_volume_tenant_has_room(volume, op, slot_units)) {
        if (!mkv_volume_quota_request(volume, index, slot_units)) {
            mkv_volume_tenant_rejected(volume, op);
            mkv_volume_mutation_end(volume, index, MKV_STATUS_QUOTA);
        } else if (!mkv_volume_lock_step_back(volume, index)) {
            op->state = OP_EXTENT_WAIT;
            mkv_volume_list_push(volume, &volume->extent_waiters, index);
        }
        return;
    }
    volume->evict.tenant = op->tenant;
    bool reserved = mkv_slot_table_reserve(table, slot_units, &op->slot);
    bool waits = !reserved && mkv_volume_extent_request(volume, slot_units);
    if (!reserved && !waits && mkv_volume_evict_request(volume, index, slot_units)) {
        (void)mkv_volume_empty_request(volume, slot_units);
        waits = true;
    }
    if (!reserved && !waits) {
        const uint32_t near = mkv_slot_table_class_near(table, slot_units);
        reserved = near != 0 && mkv_volume_tenant_has_room(volume, op, near) &&
                   mkv_slot_table_reserve(table, near, &op->slot);
        waits = !reserved && mkv_volume_empty_request(volume, slot_units);
    }
    if (reserved) {
        op->state = OP_RESERVED;
        op->reserved_ns = volume->now_ns;
        mkv_volume_tenant_reserve(volume, op);
        mkv_volume_answer(volume, index, MKV_MESSAGE_PUT_READY, MKV_STATUS_OK);
    } else if (waits) {
        if (!mkv_volume_lock_step_back(volume, index)) {
            op->state = OP_EXTENT_WAIT;
            mkv_volume_list_push(volume, &volume->extent_waiters, index);
        }
    } else {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_NO_SPACE);
    }
}

void mkv_volume_extent_applied(struct mkv_volume *volume) {
    const uint32_t count = volume->extent_waiters.count;
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t index = mkv_volume_list_pop(volume, &volume->extent_waiters);
        mkv_volume_evict_wait_ended(volume, index);
        reserve_slot(volume, index);
    }
}

void mkv_volume_put_refused(struct mkv_volume *volume, uint32_t index, enum mkv_status status) {
    const struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->kind == OP_KIND_PUT || op->prolongs);
    if (!op->prolongs) {
        mkv_volume_tenant_unreserve(volume, op);
        mkv_slot_table_unreserve(volume_table(volume), op->slot);
    }
    mkv_volume_mutation_end(volume, index, status);
}

static struct mkv_generation next_generation(struct mkv_volume *volume) {
    volume->generation_counter++;
    MKV_ASSERT(volume->generation_counter <= MKV_GENERATION_COUNTER_MAX);
    const uint32_t epoch =
        MKV_CANARY(MKV_CANARY_GENERATION_WITHOUT_EPOCH) ? 0 : volume->superblock.epoch;
    return mkv_generation_make(epoch, volume->generation_counter);
}

/* The sums of a put: the front's, or of a manifest's payload our own. */
static const uint8_t *put_sums(const struct mkv_input *input, bool manifest, uint64_t *manifest_sum,
                               uint32_t length) {
    if (!manifest) {
        MKV_ASSERT(input->message.data_bytes == 8 * mkv_chunk_count(length));
        return input->data;
    }
    MKV_ASSERT(input->message.data_bytes == length);
    mkv_chunk_sums(input->data, length, manifest_sum);
    return (const uint8_t *)manifest_sum;
}

/* Under its lock, and over nothing, a relaxed put is what its key holds as soon as it is in memory:
 * mutations that come wait behind it, and a crash brings nothing older back. */
static void put_taken(struct mkv_volume *volume, uint32_t index, uint32_t flags) {
    const struct op *op = &volume_ops(volume)[index];
    const bool over = op->has_old && !MKV_CANARY(MKV_CANARY_RELAXED_PUT_OVER_OLD_ANSWERED_EARLY);
    if ((flags & MKV_PUT_RELAXED) != 0 && op->past_lock && !over) {
        mkv_volume_answer(volume, index, MKV_MESSAGE_PUT_TAKEN, MKV_STATUS_OK);
    }
}

void mkv_volume_put_write(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    const uint32_t index = message->volume_op.index;
    MKV_ASSERT(index < volume->op_total);
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->generation == message->volume_op.generation);
    MKV_ASSERT(op->state == OP_RESERVED);
    op->front_op = message->front_op;
    if (volume->state == MKV_VOLUME_FAILED) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_UNAVAILABLE);
        return;
    }
    if (volume->stall.active || volume->generation_counter >= volume->generation_bound) {
        mkv_volume_put_refused(volume, index, MKV_STATUS_UNAVAILABLE);
        return;
    }
    if (mkv_volume_admission_refuses(volume, op, message->flags)) {
        op->unwritten = true;
        mkv_volume_put_refused(volume, index, MKV_STATUS_OK);
        return;
    }
    op->generation_new = next_generation(volume);
    mkv_volume_put_numbered(volume, index);
    const bool manifest = (op->flags & MKV_BLOCK_MANIFEST) != 0;
    uint64_t manifest_sum = 0;
    const struct mkv_slot_header header = {
        .drive_uuid = volume->config.drive_uuid,
        .slot = op->slot,
        .tenant = op->tenant,
        .generation = op->generation_new,
        .length = op->length,
        .block_flags = op->flags & MKV_BLOCK_FLAGS,
        .root = op->root,
        .expiry_s = op->expiry_s,
        .key_bytes = op->key_bytes,
        .key = op->key,
        .sums = put_sums(input, manifest, &manifest_sum, op->length),
    };
    uint8_t *unit = volume_meta(volume, meta_of_op(volume, index));
    mkv_slot_header_encode(&header, unit);
    put_taken(volume, index, message->flags);
    op->state = OP_WRITING;
    op->drive_ns = 0;
    mkv_volume_data_write_issued(volume, op);
    struct mkv_drive_effect *drive = mkv_volume_op_io(volume, index, MKV_EFFECT_DRIVE_WRITE);
    drive->lba = mkv_slot_table_lba(volume_table(volume), op->slot);
    drive->unit_count = mkv_slot_content_units(op->length);
    drive->meta_offset = meta_of_op(volume, index);
    if (manifest) {
        mkv_slot_header_set_inline(unit, input->data, op->length);
        drive->memory = MKV_DRIVE_META;
        MKV_ASSERT(drive->unit_count == 1);
        return;
    }
    drive->memory = MKV_DRIVE_SLOT;
    drive->slab = message->slab;
    drive->payload_bytes = op->length;
}

void mkv_volume_put_abort(struct mkv_volume *volume, const struct mkv_message *message) {
    const uint32_t index = message->volume_op.index;
    MKV_ASSERT(index < volume->op_total);
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->generation == message->volume_op.generation);
    MKV_ASSERT(op->state == OP_RESERVED);
    mkv_volume_tenant_unreserve(volume, op);
    mkv_slot_table_unreserve(volume_table(volume), op->slot);
    const uint32_t next = op->past_lock ? mkv_volume_lock_pass_on(volume, index) : MKV_NONE_U32;
    mkv_volume_op_free(volume, index);
    if (next != MKV_NONE_U32) {
        mkv_volume_mutation_start(volume, next);
    }
}

/* The slot of a failed write is not given out again: what failed may fail again, or reach the drive
 * late, over whoever has the slot then. What the medium refused stays so, durably. */
static void slot_retire(struct mkv_volume *volume, struct mkv_slot slot,
                        enum mkv_io_result result) {
    mkv_slot_table_retire(volume_table(volume), slot);
    if (result != MKV_IO_MEDIUM || volume->state != MKV_VOLUME_SERVING ||
        !mkv_volume_drop_room(volume)) {
        return; /* until the restart; then the next put finds out */
    }
    const uint32_t index = mkv_volume_op_take(volume, OP_KIND_RETIRE);
    volume_ops(volume)[index].slot = slot;
    mark_ready(volume, index);
}

static void writing_done(struct mkv_volume *volume, uint32_t index,
                         const struct mkv_drive_done *done) {
    struct op *op = &volume_ops(volume)[index];
    if (done->result == MKV_IO_OK || MKV_CANARY(MKV_CANARY_DATA_ERROR_IGNORED)) {
        if (MKV_CANARY(MKV_CANARY_RECORD_BEFORE_DATA)) {
            mark_ready(volume, index);
            return;
        }
        op->state = OP_WRITTEN;
        mkv_volume_list_push(volume, &volume->written, index);
        return;
    }
    const uint64_t lba = mkv_slot_table_lba(volume_table(volume), op->slot).unit;
    mkv_volume_note_error(volume, MKV_EFFECT_DRIVE_WRITE, done->result, lba);
    mkv_volume_tenant_unreserve(volume, op);
    const bool no_room =
        done->result == MKV_IO_NO_ROOM && !MKV_CANARY(MKV_CANARY_NO_ROOM_RETIRES_SLOT);
    if (no_room || MKV_CANARY(MKV_CANARY_FAILED_SLOT_REUSED)) {
        mkv_slot_table_unreserve(volume_table(volume), op->slot);
    } else {
        slot_retire(volume, op->slot, done->result);
    }
    mkv_volume_mutation_end(
        volume, index, done->result == MKV_IO_NO_ROOM ? MKV_STATUS_NO_SPACE : MKV_STATUS_IO_ERROR);
    if (mkv_io_result_is_final(done->result) || done->result == MKV_IO_TIMEOUT) {
        mkv_volume_fail(volume, done->result, lba);
    }
}

void mkv_volume_mutate_io_done(struct mkv_volume *volume, uint32_t index,
                               const struct mkv_drive_done *done) {
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(op->state == OP_CHECKING || op->state == OP_WRITING);
    if (op->state == OP_WRITING) {
        op->written_ns = volume->now_ns;
        mkv_volume_data_write_done(volume, op);
    }
    if (volume->state == MKV_VOLUME_FAILED) {
        mkv_volume_mutation_end(volume, index, MKV_STATUS_UNAVAILABLE);
    } else if (op->kind == OP_KIND_PURGE) {
        mkv_volume_purge_io_done(volume, index, done);
    } else if (op->state == OP_CHECKING) {
        checking_done(volume, index, done);
    } else {
        writing_done(volume, index, done);
    }
}
