/* SPDX-License-Identifier: Apache-2.0 */
/* Items: from the start of one key's operation to its result, and its end. */
#include "core/canary.h"
#include "core/front_internal.h"

#include <string.h>

#include "core/hash.h"

/* The ops of an item: its own, which is turn 0, then the lanes of its entry. */
static uint32_t item_op_count(const struct front_item *item) {
    return item->segmented == MKV_NONE_U32 ? 1 : 1 + MKV_FRONT_WINDOW;
}

static uint32_t item_op(struct mkv_front *front, uint32_t item_index, uint32_t turn) {
    const struct front_item *item = front_item_at(front, item_index);
    return turn == 0 ? item_index : front_lane(front, item->segmented, turn - 1);
}

static bool item_is_idle(struct mkv_front *front, uint32_t item_index) {
    const uint32_t count = item_op_count(front_item_at(front, item_index));
    for (uint32_t turn = 0; turn < count; turn++) {
        if (front_op_at(front, item_op(front, item_index, turn))->state != FRONT_OP_IDLE) {
            return false;
        }
    }
    return true;
}

/* PUT, ALLOCATE and what becomes of it. */
static bool item_stores(const struct front_item *item) {
    return item->op == MKV_OP_PUT || item->op == MKV_OP_ALLOCATE || item->op == MKV_OP_COMMIT;
}

/* ---- results --------------------------------------------------------------------------------- */

static bool op_counts_keys(enum mkv_op op) {
    return op == MKV_OP_GET || op == MKV_OP_EXISTS || op == MKV_OP_LOOKUP;
}

void mkv_front_item_decide(struct mkv_front *front, uint32_t item_index,
                           const struct mkv_item_result *result) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(!item->decided);
    MKV_ASSERT(item->request != MKV_NONE_U32);
    item->decided = true;
    struct front_request *request = front_request_at(front, item->request);
    if (request->closed) {
        return;
    }
    struct mkv_item_result decided = *result;
    struct mkv_item_result *target = &decided;
    if (!op_counts_keys(item->op)) {
        target->miss = MKV_MISS_NONE;
    } else if (result->status == MKV_STATUS_OK) {
        target->miss = MKV_MISS_NONE;
    } else if (result->miss == MKV_MISS_NONE) {
        target->miss = result->status == MKV_STATUS_IO_ERROR ? MKV_MISS_IO_ERROR : MKV_MISS_UNKNOWN;
    }
    front->stats.items_finished[item->op][target->status]++;
    if (op_counts_keys(item->op)) {
        const bool from_memory = target->status == MKV_STATUS_OK &&
                                 item->segmented == MKV_NONE_U32 &&
                                 front_op_at(front, item_index)->from_memory;
        front->stats.keys_by_miss[item->op][target->miss]++;
        front->stats.keys_from_memory[item->op] += from_memory ? 1 : 0;
        request->keys_from_memory += from_memory ? 1 : 0;
        request->keys_from_drive += target->miss == MKV_MISS_NONE && !from_memory ? 1 : 0;
        request->miss = request->miss == MKV_MISS_NONE ? target->miss : request->miss;
        struct mkv_front_tenant *tenant = mkv_front_tenant_of(front, item->tenant);
        tenant->keys_from_memory += from_memory ? 1 : 0;
        tenant->keys_from_drive += target->miss == MKV_MISS_NONE && !from_memory ? 1 : 0;
        tenant->keys_missed += target->miss != MKV_MISS_NONE ? 1 : 0;
    }
    mkv_front_request_result(front, item->request, item->position, target);
}

static void decide_status(struct mkv_front *front, uint32_t item_index, enum mkv_status status,
                          enum mkv_miss miss) {
    const struct mkv_item_result result = {.status = status, .miss = miss};
    mkv_front_item_decide(front, item_index, &result);
}

/* An abandoned item is answered when no PULL of it is posted: until then the client may still be
 * told to send, or its memory be read. */
static void decide_withheld(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    const uint32_t count = item_op_count(item);
    bool pulls = false;
    for (uint32_t turn = 0; turn < count; turn++) {
        const struct front_op *op = front_op_at(front, item_op(front, item_index, turn));
        pulls = pulls || op->state == FRONT_OP_PULL_POSTED;
    }
    if (item->withheld && !item->decided && !pulls) {
        decide_status(front, item_index, item->withheld_status, item->withheld_miss);
    }
}

void mkv_front_item_abandon(struct mkv_front *front, uint32_t item_index, enum mkv_status status,
                            enum mkv_miss miss) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->phase != FRONT_PHASE_CLEAN_PLACE);
    MKV_ASSERT(item->phase != FRONT_PHASE_CLEAN);
    if (item->phase == FRONT_PHASE_PLACE && item->segmented == MKV_NONE_U32) {
        mkv_front_segmented_cancel(front, item_index);
    }
    item->phase = FRONT_PHASE_ENDING;
    const uint32_t count = item_op_count(item);
    for (uint32_t turn = 0; turn < count; turn++) {
        mkv_front_op_cancel(front, item_op(front, item_index, turn), status);
    }
    if (!item->decided && !item->withheld) {
        item->withheld = true;
        item->withheld_status = status;
        item->withheld_miss = miss;
    }
    decide_withheld(front, item_index);
}

/* ---- deadlines and closed connections -------------------------------------------------------- */

static uint64_t op_limit_ns(const struct mkv_front *front, const struct front_item *item,
                            const struct front_op *op) {
    const uint64_t grace_end =
        mkv_max_u64(item->deadline_ns, front_add_ns(op->since_ns, front->config.transfer_grace_ns));
    switch (op->state) {
    case FRONT_OP_IDLE:
    case FRONT_OP_RESERVED:
    case FRONT_OP_DONE:
        return UINT64_MAX;
    case FRONT_OP_WAITING:
    case FRONT_OP_GRANTED:
    case FRONT_OP_FIND_POSTED:
    case FRONT_OP_EXISTS_POSTED:
    case FRONT_OP_BEGIN_POSTED:
    /* With its drive. Its memory stays in use until that answers; whoever asked does not wait. */
    case FRONT_OP_READ_POSTED:
    case FRONT_OP_WRITE_POSTED:
    case FRONT_OP_DELETE_POSTED:
        return item->moving ? grace_end : item->deadline_ns;
    case FRONT_OP_PULL_POSTED:
    case FRONT_OP_PUSH_POSTED:
        return front_add_ns(mkv_max_u64(item->deadline_ns, op->since_ns),
                            front->config.transfer_grace_ns);
    }
    MKV_ASSERT(false);
    return UINT64_MAX;
}

static enum mkv_front_stage op_stage(const struct front_op *op) {
    switch (op->state) {
    case FRONT_OP_WAITING:
        if (op->wait == FRONT_WAIT_READ) {
            return MKV_FRONT_STAGE_VOLUME;
        }
        return op->wait == FRONT_WAIT_CREDIT ? MKV_FRONT_STAGE_CREDIT : MKV_FRONT_STAGE_SLAB;
    case FRONT_OP_GRANTED:
        return op->has_slab ? MKV_FRONT_STAGE_SLAB : MKV_FRONT_STAGE_CREDIT;
    case FRONT_OP_IDLE:
    case FRONT_OP_RESERVED:
    case FRONT_OP_DONE:
    case FRONT_OP_FIND_POSTED:
    case FRONT_OP_EXISTS_POSTED:
    case FRONT_OP_READ_POSTED:
    case FRONT_OP_BEGIN_POSTED:
    case FRONT_OP_WRITE_POSTED:
    case FRONT_OP_DELETE_POSTED:
        return MKV_FRONT_STAGE_VOLUME;
    case FRONT_OP_PULL_POSTED:
    case FRONT_OP_PUSH_POSTED:
        return MKV_FRONT_STAGE_TRANSFER;
    }
    MKV_ASSERT(false);
    return MKV_FRONT_STAGE_VOLUME;
}

/* A GET that has sent a part of its value cannot be answered with a status: bytes would be missing
 * behind it. */
static void item_timeout(struct mkv_front *front, uint32_t item_index, enum mkv_front_stage stage) {
    const struct front_item *item = front_item_at(front, item_index);
    front->stats.deadlines[item->op][stage]++;
    front->stats.writes_without_memory +=
        stage == MKV_FRONT_STAGE_SLAB && item_stores(item) ? 1 : 0;
    if (item->phase == FRONT_PHASE_STREAM && item->moving) {
        mkv_front_request_break(front, item->request);
    }
    mkv_front_item_abandon(front, item_index, MKV_STATUS_DEADLINE, MKV_MISS_DEADLINE);
}

static void op_overdue(struct mkv_front *front, uint32_t item_index, uint32_t op_index) {
    const struct front_item *item = front_item_at(front, item_index);
    const struct front_op *op = front_op_at(front, op_index);
    const enum mkv_front_stage stage = op_stage(op);
    if (op->state == FRONT_OP_READ_POSTED || op->state == FRONT_OP_WRITE_POSTED) {
        mkv_front_summary_drive(front, op, front->now_ns - op->since_ns); /* or longer */
    }
    if (op->state == FRONT_OP_READ_POSTED && mkv_front_memory_reads(front, op, op_index)) {
        /* Nobody else waits for what has come too late: they ask the volume, which may know that
         * its drive does not answer. */
        mkv_front_memory_read_end(front, op_index);
    }
    if (stage == MKV_FRONT_STAGE_TRANSFER) {
        const struct front_request *request = front_request_at(front, item->request);
        if (!front_connection_at(front, request->connection.index)->broken) {
            front->stats.deadlines[item->op][stage]++;
            mkv_front_request_break(front, item->request);
        }
        return; /* its completion as FAILED ends it */
    }
    if (item->decided) {
        return;
    }
    const bool is_mutation =
        op->state == FRONT_OP_WRITE_POSTED || op->state == FRONT_OP_DELETE_POSTED;
    if (is_mutation && op->segment == MKV_NONE_U32) {
        /* It may still come to be: the op goes on, the client is told that nobody knows. */
        front->stats.deadlines[item->op][stage]++;
        decide_status(front, item_index, MKV_STATUS_UNKNOWN, MKV_MISS_NONE);
        return;
    }
    item_timeout(front, item_index, stage);
}

void mkv_front_item_check(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    if (item->request == MKV_NONE_U32) {
        if (item->phase == FRONT_PHASE_RESERVED) {
            mkv_front_reservation_check(front, item_index);
        }
        return;
    }
    if (front_request_at(front, item->request)->closed) {
        if (!item->decided) {
            mkv_front_item_abandon(front, item_index, MKV_STATUS_UNAVAILABLE, MKV_MISS_NONE);
        }
        return;
    }
    if (front->now_ns < item->deadline_ns) {
        return;
    }
    if (item->phase == FRONT_PHASE_START) {
        item_timeout(front, item_index, MKV_FRONT_STAGE_START);
        return;
    }
    if (item->phase == FRONT_PHASE_PLACE && item->segmented == MKV_NONE_U32) {
        item_timeout(front, item_index, MKV_FRONT_STAGE_SEGMENTED);
        return;
    }
    const uint32_t count = item_op_count(item);
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t op_index = item_op(front, item_index, turn);
        if (front->now_ns >= op_limit_ns(front, item, front_op_at(front, op_index))) {
            op_overdue(front, item_index, op_index);
        }
    }
}

/* ---- phases of one block --------------------------------------------------------------------- */

static bool put_is_segmented(const struct mkv_front *front, const struct front_item *item) {
    return item->length > front->config.block_bytes_max;
}

static void start_get(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    struct front_op *op =
        mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_GET, MKV_NONE_U32, 0);
    /* A block ends far below the most that fits; a manifest is read whole. */
    op->offset = (uint32_t)mkv_min_u64(item->offset, UINT32_MAX);
    op->wanted = (uint32_t)mkv_min_u64(item->length, UINT32_MAX);
    mkv_front_op_run(front, item_index);
}

static void start_put(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->length <= MKV_BLOCK_BYTES_MAX);
    const struct mkv_root none = mkv_root_of_sums(0, NULL);
    if (item->length == 0 && !item->root_later && !mkv_root_equal(item->root, none)) {
        mkv_front_item_abandon(front, item_index, MKV_STATUS_INVALID, MKV_MISS_NONE);
        return;
    }
    struct front_op *op =
        mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_PUT, MKV_NONE_U32, 0);
    op->length = (uint32_t)item->length;
    const uint32_t item_count = front_request_at(front, item->request)->item_count;
    const bool is_last = item_count > 1 && item->position == item_count - 1;
    op->flags = mkv_front_item_put_flags(item) | (is_last ? MKV_PUT_LAST : 0);
    op->root = item->root_later ? none : item->root; /* that of the bytes, when there are any */
    op->root_later = item->root_later;
    if (item->op == MKV_OP_ALLOCATE && !mkv_front_volume_online(front, op->volume)) {
        /* Now, not when it has a slab: it would not count, should the volume be back by then. */
        mkv_front_item_abandon(front, item_index, MKV_STATUS_UNAVAILABLE, MKV_MISS_NONE);
        return;
    }
    if (item->op == MKV_OP_ALLOCATE && !mkv_front_reservation_count(front, item_index)) {
        mkv_front_item_abandon(front, item_index, MKV_STATUS_BUSY, MKV_MISS_NONE);
        return;
    }
    mkv_front_op_run(front, item_index);
}

/* Puts and deletes that may end an old value look first whether that has segments. */
static void start_learn(struct mkv_front *front, uint32_t item_index) {
    front_item_at(front, item_index)->phase = FRONT_PHASE_LEARN;
    (void)mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_LEARN, MKV_NONE_U32, 0);
    mkv_front_op_run(front, item_index);
}

static void item_start(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->phase == FRONT_PHASE_START);
    item->phase = FRONT_PHASE_SINGLE;
    switch (item->op) {
    case MKV_OP_GET:
        start_get(front, item_index);
        break;
    case MKV_OP_EXISTS:
    case MKV_OP_LOOKUP:
    case MKV_OP_PIN:
    case MKV_OP_UNPIN:
        (void)mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_EXISTS, MKV_NONE_U32, 0);
        mkv_front_op_run(front, item_index);
        break;
    case MKV_OP_PUT:
    case MKV_OP_ALLOCATE:
        if (item->replace || put_is_segmented(front, item)) {
            start_learn(front, item_index);
        } else {
            start_put(front, item_index);
        }
        break;
    case MKV_OP_DELETE:
    case MKV_OP_EXPIRE:
        start_learn(front, item_index);
        break;
    case MKV_OP_SESSION:
        (void)mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_SESSION, MKV_NONE_U32,
                                   0);
        mkv_front_op_run(front, item_index);
        break;
    case MKV_OP_COMMIT:
        MKV_ASSERT(false); /* it goes on with an item that has started */
        break;
    }
}

/* A GET's block or range is in the slab. */
static void finish_get(struct mkv_front *front, uint32_t item_index) {
    const struct front_op *op = front_op_at(front, item_index);
    const struct mkv_item_result result = {
        .status = MKV_STATUS_OK,
        .length = op->result_length,
        .root = op->root,
    };
    if (op->result_bytes > 0) {
        mkv_front_op_push(front, item_index, op->result_offset, op->result_length, op->root);
    }
    mkv_front_item_decide(front, item_index, &result);
}

/* A relaxed PUT whose value is in memory and on its way to the drive: the item goes on without its
 * request, so that the client may have further ones. */
static void put_answered_early(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const struct mkv_item_result result = {.status = MKV_STATUS_OK};
    if (!item->decided) {
        mkv_front_item_decide(front, item_index, &result);
    }
    item->phase = FRONT_PHASE_PERSIST;
    mkv_front_cap_give(front, item_index);
    mkv_front_request_detach(front, item_index);
}

static bool turn_single(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const struct front_op *op = front_op_at(front, item_index);
    if (op->state == FRONT_OP_WRITE_POSTED && op->early) {
        put_answered_early(front, item_index);
        return false;
    }
    if (op->state == FRONT_OP_RESERVED) {
        mkv_front_reservation_hold(front, item_index);
        return false;
    }
    if (op->state != FRONT_OP_DONE) {
        return false;
    }
    if (op->kind == FRONT_OP_GET && op->status == MKV_STATUS_OK && item->has_old &&
        !item->decided) {
        mkv_front_op_free(front, item_index);
        item->phase = FRONT_PHASE_PLACE;
        if (mkv_front_segmented_take(front, item_index)) {
            mkv_front_segments_begin(front, item_index);
        }
        return true;
    }
    item->phase = FRONT_PHASE_ENDING;
    if (item->decided) {
        return true;
    }
    if (op->kind == FRONT_OP_GET && op->status == MKV_STATUS_OK) {
        finish_get(front, item_index);
        return true;
    }
    const struct mkv_item_result result = {
        .status = op->status,
        .miss = op->miss,
        .length = op->kind == FRONT_OP_EXISTS ? (uint64_t)op->length_units * MKV_UNIT_BYTES : 0,
        .leased = op->leased ? 1 : 0,
        .expiry_s = item->op == MKV_OP_EXISTS ? op->expiry_s : 0,
    };
    mkv_front_item_decide(front, item_index, &result);
    return true;
}

/* Whether a large PUT without REPLACE can only end as a conflict with the large value that is live.
 * The segments' roots tell equal content only when both are cut alike. A live block that is no
 * manifest may be of another key with the same tag: the commit finds that out. */
static bool put_conflicts(const struct mkv_front *front, const struct front_item *item) {
    return !item->replace && !item->if_absent && item->has_old &&
           (item->old.length != item->length ||
            item->old.segment_bytes != front->config.block_bytes_max);
}

void mkv_front_item_expire(struct mkv_front *front, uint32_t item_index) {
    front_item_at(front, item_index)->phase = FRONT_PHASE_SINGLE;
    (void)mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_EXPIRE, MKV_NONE_U32, 0);
    mkv_front_op_run(front, item_index);
}

static bool turn_learn(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const struct front_op *op = front_op_at(front, item_index);
    if (op->state != FRONT_OP_DONE) {
        return false;
    }
    /* A manifest that cannot be read has segments that nobody finds any more; they age out. */
    const bool is_offline = !mkv_front_volume_online(front, op->volume);
    mkv_front_op_free(front, item_index);
    if (item_stores(item) && put_is_segmented(front, item)) {
        if (is_offline) {
            mkv_front_item_abandon(front, item_index, MKV_STATUS_UNAVAILABLE, MKV_MISS_NONE);
        } else if (put_conflicts(front, item)) {
            mkv_front_item_abandon(front, item_index, MKV_STATUS_CONFLICT, MKV_MISS_NONE);
        } else {
            item->keeps_old = item->has_old && !item->replace;
            item->phase = FRONT_PHASE_PLACE;
            if (mkv_front_segmented_take(front, item_index)) {
                mkv_front_segments_begin(front, item_index);
            }
        }
        return true;
    }
    if (item->op == MKV_OP_EXPIRE && item->has_old) {
        item->phase = FRONT_PHASE_PLACE;
        if (mkv_front_segmented_take(front, item_index)) {
            mkv_front_segments_begin(front, item_index);
        }
        return true;
    }
    item->phase = FRONT_PHASE_SINGLE;
    if (item_stores(item)) {
        start_put(front, item_index);
    } else if (item->op == MKV_OP_EXPIRE) {
        mkv_front_item_expire(front, item_index);
    } else {
        /* Also when the key was not found: an earlier DELETE of it may not be durable yet, and the
         * volume answers behind that one. */
        (void)mkv_front_op_prepare(front, item_index, item_index, FRONT_OP_DELETE, MKV_NONE_U32, 0);
        mkv_front_op_run(front, item_index);
    }
    return true;
}

/* ---- the end of an item ---------------------------------------------------------------------- */

/* Which segments nobody names any more, now that this op of the item is over. */
static void item_collect(struct front_item *item, const struct front_op *op) {
    const bool is_ok = op->status == MKV_STATUS_OK;
    const bool is_gone = op->kind == FRONT_OP_DELETE && op->status == MKV_STATUS_NOT_FOUND;
    const bool is_put = op->kind == FRONT_OP_PUT || op->kind == FRONT_OP_COMMIT;
    if (op->segment != MKV_NONE_U32 || item->abandoned) {
        return;
    }
    if (op->kind == FRONT_OP_COMMIT && op->status == MKV_STATUS_UNKNOWN) {
        item->clean = FRONT_CLEAN_NONE; /* the manifest may be there, and then names them */
        return;
    }
    if (op->kind == FRONT_OP_COMMIT && is_ok &&
        (op->was_there || (item->replace && MKV_CANARY(MKV_CANARY_LIVE_SEGMENTS_DROPPED)))) {
        item->clean = FRONT_CLEAN_OWN; /* another one's manifest names its own */
        return;
    }
    if ((is_put && is_ok) || (op->kind == FRONT_OP_DELETE && (is_ok || is_gone))) {
        item->clean = item->has_old ? FRONT_CLEAN_OLD : FRONT_CLEAN_NONE;
    }
}

static void item_free(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    if (item->ready) {
        mkv_front_list_remove(&front->items_ready,
                              front_links(front, front->layout.item_ready_links), item_index);
    }
    mkv_front_reservation_uncount(front, item_index);
    memset(item, 0, sizeof *item);
    item->phase = FRONT_PHASE_FREE;
    mkv_front_list_push(&front->items_free, front_links(front, front->layout.item_links),
                        item_index);
}

static bool turn_ending(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const uint32_t count = item_op_count(item);
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t op_index = item_op(front, item_index, turn);
        const struct front_op *op = front_op_at(front, op_index);
        if (op->state == FRONT_OP_DONE) {
            item_collect(item, op);
            mkv_front_op_free(front, op_index);
        }
    }
    decide_withheld(front, item_index);
    if (!item_is_idle(front, item_index)) {
        return false;
    }
    MKV_ASSERT(item->decided);
    if (item->request != MKV_NONE_U32) {
        mkv_front_request_detach(front, item_index);
    }
    if (item->clean == FRONT_CLEAN_NONE) {
        if (item->segmented != MKV_NONE_U32) {
            mkv_front_segmented_give(front, item_index);
        }
        item_free(front, item_index);
        return false;
    }
    item->phase = FRONT_PHASE_CLEAN_PLACE;
    if (item->segmented != MKV_NONE_U32 || mkv_front_segmented_take(front, item_index)) {
        mkv_front_segments_begin(front, item_index);
        return true;
    }
    return false;
}

static bool turn_clean(struct mkv_front *front, uint32_t item_index) {
    if (mkv_front_segments_clean(front, item_index)) {
        return true;
    }
    const struct front_item *item = front_item_at(front, item_index);
    const struct front_segmented *entry = front_segmented_at(front, item->segmented);
    if (entry->turn == entry->end) {
        MKV_ASSERT(item_is_idle(front, item_index));
        mkv_front_segmented_give(front, item_index);
        item_free(front, item_index);
    }
    return false;
}

/* One change of an item. False when it waits for something, or is free. */
static bool item_turn(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    switch (item->phase) {
    case FRONT_PHASE_START:
        item_start(front, item_index);
        return true;
    case FRONT_PHASE_SINGLE:
        return turn_single(front, item_index);
    case FRONT_PHASE_LEARN:
        return turn_learn(front, item_index);
    case FRONT_PHASE_PLACE:
    case FRONT_PHASE_CLEAN_PLACE:
        if (item->segmented == MKV_NONE_U32) {
            return false;
        }
        mkv_front_segments_begin(front, item_index);
        return true;
    case FRONT_PHASE_CHECK:
        return mkv_front_segments_check(front, item_index);
    case FRONT_PHASE_STREAM:
        return mkv_front_segments_stream(front, item_index);
    case FRONT_PHASE_SEGMENTS:
        return mkv_front_segments_put(front, item_index);
    case FRONT_PHASE_COMMIT:
        return mkv_front_segments_commit(front, item_index);
    case FRONT_PHASE_RESERVED:
        return false;
    case FRONT_PHASE_PERSIST:
        if (front_op_at(front, item_index)->state != FRONT_OP_DONE) {
            return false;
        }
        front_item_at(front, item_index)->phase = FRONT_PHASE_ENDING;
        return true;
    case FRONT_PHASE_ENDING:
        return turn_ending(front, item_index);
    case FRONT_PHASE_CLEAN:
        return turn_clean(front, item_index);
    case FRONT_PHASE_FREE:
        break;
    }
    MKV_ASSERT(false);
    return false;
}

void mkv_front_item_advance(struct mkv_front *front, uint32_t item_index) {
    mkv_front_item_check(front, item_index);
    const struct front_item *item = front_item_at(front, item_index);
    const uint32_t count = item_op_count(item);
    for (uint32_t turn = 0; turn < count; turn++) {
        const uint32_t op_index = item_op(front, item_index, turn);
        if (front_op_at(front, op_index)->state == FRONT_OP_GRANTED) {
            mkv_front_op_run(front, op_index);
        }
    }
    uint32_t turns = 0;
    while (turns < FRONT_ITEM_TURNS_MAX && item_turn(front, item_index)) {
        turns++;
    }
    mkv_front_summary_stage(front, item_index);
    if (turns == FRONT_ITEM_TURNS_MAX) {
        mkv_front_item_ready(front, item_index);
    }
}
