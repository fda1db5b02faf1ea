/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request spends its time on, and what is told of it when it has ended.
 *
 *   stages   each item of a request that is in a stage behind ROUTE counts there, once; the last
 *            stage that has any is the request's
 *
 *            ROUTE -> WAIT_SLAB, PULL, WRITE, FLUSH, READ, PUSH, in any order -> REPLY -> the end
 *
 *   The time of a put between the hand-off to its volume and its end counts as WRITE up to where
 *   the last data was on the drive, and as FLUSH behind it. That moment is learned when PUT_DONE
 *   comes, so the time is cut when the request leaves the stage.
 */
#include <string.h>

#include "core/canary.h"
#include "core/front_internal.h"
#include "core/request_rules.h"

/* ---- stages ---------------------------------------------------------------------------------- */

static enum mkv_stage stage_of_op(const struct front_op *op, bool decided) {
    switch (op->state) {
    case FRONT_OP_IDLE:
    case FRONT_OP_GRANTED:
    case FRONT_OP_FIND_POSTED:
    case FRONT_OP_EXISTS_POSTED:
    case FRONT_OP_BEGIN_POSTED:
    case FRONT_OP_RESERVED:
    case FRONT_OP_DONE:
        return MKV_STAGE_ROUTE;
    case FRONT_OP_PUSH_POSTED:
        return MKV_STAGE_PUSH;
    case FRONT_OP_WAITING:
        if (decided || op->wait == FRONT_WAIT_CREDIT) {
            return MKV_STAGE_ROUTE;
        }
        return op->wait == FRONT_WAIT_READ ? MKV_STAGE_READ : MKV_STAGE_WAIT_SLAB;
    case FRONT_OP_READ_POSTED:
        return decided ? MKV_STAGE_ROUTE : MKV_STAGE_READ;
    case FRONT_OP_PULL_POSTED:
        return decided ? MKV_STAGE_ROUTE : MKV_STAGE_PULL;
    case FRONT_OP_WRITE_POSTED:
        return decided ? MKV_STAGE_ROUTE : MKV_STAGE_WRITE;
    case FRONT_OP_DELETE_POSTED:
        return decided ? MKV_STAGE_ROUTE : MKV_STAGE_FLUSH;
    }
    MKV_ASSERT(false);
    return MKV_STAGE_ROUTE;
}

/* Of the item's own op and its lanes the last. */
static enum mkv_stage stage_of_item(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    enum mkv_stage stage = stage_of_op(front_op_at(front, item_index), item->decided);
    for (uint32_t lane = 0; item->segmented != MKV_NONE_U32 && lane < MKV_FRONT_WINDOW; lane++) {
        const struct front_op *op = front_op_at(front, front_lane(front, item->segmented, lane));
        const enum mkv_stage other = stage_of_op(op, item->decided);
        stage = other > stage ? other : stage;
    }
    return stage;
}

/* Counts the time since the last change for the stage that lasted until now. */
static void stage_account(struct front_request *request, uint64_t now_ns) {
    uint64_t elapsed_ns = now_ns - request->stage_since_ns;
    if (request->stage == MKV_STAGE_WRITE && request->written_ns != 0) {
        const uint64_t write_ns = request->written_ns > request->stage_since_ns
                                      ? request->written_ns - request->stage_since_ns
                                      : 0;
        const uint64_t flush_ns = elapsed_ns - mkv_min_u64(write_ns, elapsed_ns);
        request->stage_ns[MKV_STAGE_FLUSH] += flush_ns;
        elapsed_ns -= MKV_CANARY(MKV_CANARY_FLUSH_TIME_COUNTED_TWICE) ? 0 : flush_ns;
    }
    request->stage_ns[request->stage] += elapsed_ns;
    request->stage_since_ns = now_ns;
}

static void stage_settle(struct mkv_front *front, struct front_request *request) {
    enum mkv_stage stage = request->answer_posted ? MKV_STAGE_REPLY : MKV_STAGE_ROUTE;
    if (request->stage_mask != 0) {
        stage = (enum mkv_stage)(31u - (uint32_t)__builtin_clz(request->stage_mask));
    }
    if (stage == request->stage) {
        return;
    }
    stage_account(request, front->now_ns);
    request->stage = stage;
    request->written_ns = 0;
}

static void item_set_stage(struct mkv_front *front, uint32_t item_index, enum mkv_stage stage) {
    struct front_item *item = front_item_at(front, item_index);
    struct front_request *request = front_request_at(front, item->request);
    if (stage != item->stage) {
        if (item->stage != MKV_STAGE_ROUTE) {
            MKV_ASSERT(request->stage_items[item->stage] > 0);
            request->stage_items[item->stage]--;
            if (request->stage_items[item->stage] == 0) {
                request->stage_mask &= ~(1u << item->stage);
            }
        }
        if (stage != MKV_STAGE_ROUTE) {
            request->stage_items[stage]++;
            request->stage_mask |= 1u << stage;
        }
        item->stage = stage;
    }
    if (!request->ended) {
        stage_settle(front, request);
    }
}

void mkv_front_summary_stage(struct mkv_front *front, uint32_t item_index) {
    const struct front_item *item = front_item_at(front, item_index);
    if (item->phase != FRONT_PHASE_FREE && item->request != MKV_NONE_U32) {
        item_set_stage(front, item_index, stage_of_item(front, item_index));
    }
}

void mkv_front_summary_leave(struct mkv_front *front, uint32_t item_index) {
    item_set_stage(front, item_index, MKV_STAGE_ROUTE);
}

/* ---- what there is to tell ------------------------------------------------------------------- */

static uint64_t received_ns(const struct mkv_front *front, const struct mkv_request *source) {
    const bool known = source->received_ns != 0 && source->received_ns <= front->now_ns;
    return known ? source->received_ns : front->now_ns;
}

/* What is kept of the first item's key, at that offset of the arena; `cut` when that is not all. */
static uint32_t key_keep(struct mkv_front *front, size_t offset, const struct mkv_input *input,
                         bool *cut) {
    const struct mkv_request *source = &input->request;
    *cut = false;
    if (source->item_count == 0 || source->items[0].key_bytes == 0 ||
        (uint64_t)source->items[0].key_offset + source->items[0].key_bytes > input->data_bytes) {
        return 0;
    }
    const struct mkv_request_item *first = &source->items[0];
    const uint32_t bytes = (uint32_t)mkv_min_u64(first->key_bytes, MKV_SUMMARY_KEY_BYTES_MAX);
    *cut = bytes < first->key_bytes;
    memcpy(front_at(front, offset), input->data + first->key_offset, bytes);
    return bytes;
}

static size_t key_offset(const struct mkv_front *front, uint32_t request_index) {
    return front->layout.request_keys + (size_t)request_index * MKV_SUMMARY_KEY_BYTES_MAX;
}

void mkv_front_summary_begin(struct mkv_front *front, uint32_t request_index,
                             const struct mkv_input *input) {
    struct front_request *request = front_request_at(front, request_index);
    const struct mkv_request *source = &input->request;
    request->serial = source->serial;
    request->received_ns = received_ns(front, source);
    request->trace = source->trace;
    request->tenant = source->tenant;
    request->session = source->items[0].session;
    request->drive_volume = MKV_NONE_U32;
    request->key_bytes =
        key_keep(front, key_offset(front, request_index), input, &request->key_cut);
    request->stage_ns[MKV_STAGE_PARSE] = front->now_ns - request->received_ns;
    request->stage = MKV_STAGE_ROUTE;
    request->stage_since_ns = front->now_ns;
    if (!source->part) {
        mkv_histogram_record_size(&front->times.batch_items[source->op], source->item_count);
    }
}

void mkv_front_summary_answered(struct mkv_front *front, uint32_t request_index,
                                enum mkv_status status) {
    struct front_request *request = front_request_at(front, request_index);
    request->status = status;
    stage_settle(front, request);
}

/* The request of an op, unless it has none any more. */
static struct front_request *request_of(struct mkv_front *front, const struct front_op *op) {
    const uint32_t request = front_item_at(front, op->item)->request;
    return request != MKV_NONE_U32 ? front_request_at(front, request) : NULL;
}

void mkv_front_summary_drive(struct mkv_front *front, const struct front_op *op,
                             uint64_t drive_ns) {
    struct front_request *request = request_of(front, op);
    if (request != NULL && drive_ns > request->drive_ns) {
        request->drive_ns = drive_ns;
        request->drive_volume = op->volume;
    }
}

void mkv_front_summary_reserved(struct mkv_front *front, const struct front_op *op) {
    mkv_histogram_record_ns(&front->times.allocate, front->now_ns - op->since_ns);
}

/* A value is durable. */
static void persisted(struct mkv_front *front, const struct front_op *op, uint64_t drive_ns) {
    struct mkv_front_times *times = &front->times;
    const uint64_t received_at_ns = front_item_at(front, op->item)->received_ns;
    const uint64_t write_ns = mkv_min_u64(drive_ns, front->now_ns - op->since_ns);
    mkv_histogram_record_ns(&times->persist, front->now_ns - received_at_ns);
    mkv_histogram_record_ns(&times->persist_before, op->since_ns - received_at_ns);
    mkv_histogram_record_ns(&times->persist_write, write_ns);
    mkv_histogram_record_ns(&times->persist_behind, front->now_ns - op->since_ns - write_ns);
}

void mkv_front_summary_written(struct mkv_front *front, const struct front_op *op,
                               const struct mkv_message *message) {
    struct front_request *request = request_of(front, op);
    if (message->status == MKV_STATUS_OK && !op->was_there && op->segment == MKV_NONE_U32) {
        persisted(front, op, message->drive_ns);
    }
    mkv_front_summary_drive(front, op, message->drive_ns);
    if (request != NULL) {
        const uint64_t flush_ns = mkv_min_u64(message->flush_ns, front->now_ns);
        request->written_ns = mkv_max_u64(request->written_ns, front->now_ns - flush_ns);
    }
}

void mkv_front_summary_moved(struct mkv_front *front, const struct front_op *op, uint32_t bytes,
                             bool in) {
    struct front_request *request = request_of(front, op);
    struct mkv_front_tenant *tenant =
        mkv_front_tenant_of(front, front_item_at(front, op->item)->tenant);
    front->stats.blocks_in += in ? 1 : 0;
    *(in ? &front->stats.bytes_in : &front->stats.bytes_out) += bytes;
    *(in ? &tenant->bytes_in : &tenant->bytes_out) += bytes;
    if (request != NULL) {
        *(in ? &request->bytes_in : &request->bytes_out) += bytes;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void mkv_front_summary_end(struct mkv_front *front, uint32_t request_index) {
    struct front_request *request = front_request_at(front, request_index);
    if (request->ended && !MKV_CANARY(MKV_CANARY_ENDED_REQUEST_TOLD_AGAIN)) {
        return;
    }
    request->ended = true;
    request->dropped = !request->answer_posted;
    request->ended_ns = front->now_ns;
    stage_account(request, front->now_ns);
    mkv_front_list_push(&front->requests_ended, front_links(front, front->layout.request_end_links),
                        request_index);
}

void mkv_request_record_times(struct mkv_front_times *times,
                              const struct mkv_request_summary *summary) {
    mkv_histogram_record_ns(&times->request, summary->ended_ns - summary->received_ns);
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        if (summary->stage_ns[stage] > 0) {
            mkv_histogram_record_ns(&times->stages[stage], summary->stage_ns[stage]);
        }
    }
    if (summary->refused) {
        return;
    }
    uint32_t command = summary->op;
    if (summary->op == MKV_OP_PUT && summary->bytes_in < MKV_FRONT_SMALL_BYTES) {
        command = MKV_FRONT_COMMAND_PUT_SMALL;
    } else if (summary->op == MKV_OP_GET && summary->bytes_out < MKV_FRONT_SMALL_BYTES) {
        command = MKV_FRONT_COMMAND_GET_SMALL;
    }
    mkv_histogram_record_ns(&times->commands[command], summary->ended_ns - summary->received_ns -
                                                           summary->stage_ns[MKV_STAGE_PARSE]);
}

static void tell(struct mkv_front *front, uint32_t request_index) {
    struct front_request *request = front_request_at(front, request_index);
    struct mkv_request_summary *summary = &mkv_front_emit(front, MKV_EFFECT_REQUEST_ENDED)->summary;
    *summary = (struct mkv_request_summary){
        .connection = request->connection,
        .request_id = request->request_id,
        .serial = request->serial,
        .op = request->op,
        .status = request->dropped ? MKV_STATUS_UNKNOWN : request->status,
        .dropped = request->dropped,
        .tenant = request->tenant,
        .volume = request->drive_volume,
        .item_count = request->item_count,
        .keys_from_memory = request->keys_from_memory,
        .keys_from_drive = request->keys_from_drive,
        .miss = request->miss,
        .bytes_in = request->bytes_in,
        .bytes_out = request->bytes_out,
        .received_ns = request->received_ns,
        .ended_ns = request->ended_ns,
        .drive_ns = request->drive_ns,
        .session = request->session,
        .key_offset = key_offset(front, request_index),
        .key_bytes = request->key_bytes,
        .key_cut = request->key_cut,
        .route = request->route,
        .trace = request->trace,
    };
    memcpy(summary->stage_ns, request->stage_ns, sizeof summary->stage_ns);
    if (!request->part) {
        mkv_request_record_times(&front->times, summary);
    }
}

void mkv_front_summaries_tell(struct mkv_front *front) {
    struct front_link *links = front_links(front, front->layout.request_end_links);
    for (uint32_t count = 0; count < FRONT_ENDS_PER_STEP_MAX; count++) {
        const uint32_t request = mkv_front_list_pop(&front->requests_ended, links);
        if (request == MKV_NONE_U32) {
            return;
        }
        if (!(MKV_CANARY(MKV_CANARY_DROPPED_REQUEST_NOT_TOLD) &&
              front_request_at(front, request)->dropped)) {
            tell(front, request);
        }
        const struct front_request *told = front_request_at(front, request);
        front->stats.requests_ended[told->op] += told->part ? 0 : 1;
        mkv_front_request_told(front, request);
    }
}

void mkv_front_summary_refused(struct mkv_front *front, const struct mkv_input *input,
                               enum mkv_status status) {
    const struct mkv_request *source = &input->request;
    struct mkv_request_summary *summary = &mkv_front_emit(front, MKV_EFFECT_REQUEST_ENDED)->summary;
    const size_t offset = front->layout.data + (size_t)(front->effect_count - 1) * FRONT_DATA_BYTES;
    *summary = (struct mkv_request_summary){
        .connection = source->connection,
        .request_id = source->request_id,
        .serial = source->serial,
        .op = source->op,
        .status = status,
        .refused = true,
        .tenant = source->tenant,
        .volume = MKV_NONE_U32,
        .item_count = source->item_count,
        .received_ns = received_ns(front, source),
        .ended_ns = front->now_ns,
        .session = source->item_count > 0 ? source->items[0].session : 0,
        .key_offset = offset,
        .route = source->route,
        .trace = source->trace,
    };
    summary->key_bytes = key_keep(front, offset, input, &summary->key_cut);
    summary->stage_ns[MKV_STAGE_PARSE] = front->now_ns - summary->received_ns;
    if (!source->part) {
        mkv_request_record_times(&front->times, summary);
    }
}
