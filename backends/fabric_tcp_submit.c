/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effects of the front become operations here, and operations become FABRIC_DONE inputs.
 */
#include <string.h>

#include "backends/fabric_tcp_internal.h"
#include "core/hash.h"

/* ---- requests in flight --------------------------------------------------------------------- */

struct mkv_tcp_request *mkv_tcp_request_find(const struct mkv_tcp_connection *connection,
                                             uint64_t request_id) {
    for (uint32_t i = 0; i < connection->request_count; i++) {
        if (connection->work->requests[i].request_id == request_id) {
            return &connection->work->requests[i];
        }
    }
    return NULL;
}

void mkv_tcp_request_end(struct mkv_tcp_connection *connection, struct mkv_tcp_request *request) {
    struct mkv_tcp_buffer *inline_payload = request->inline_payload;
    const uint32_t window_slot = request->window_slot;
    const uint32_t lane_slot = request->lane_slot;
    MKV_ASSERT(connection->request_count > 0);
    connection->request_count--;
    mkv_fabric_auth_request_end(connection->fabric->options.auth, &connection->session,
                                request->bytes);
    *request = connection->work->requests[connection->request_count];
    if (window_slot != 0) {
        mkv_tcp_window_slot_give(connection, window_slot);
    }
    if (lane_slot != 0) {
        mkv_tcp_lane_slot_give(connection, lane_slot);
    }
    if (inline_payload != NULL) {
        mkv_tcp_pool_give(connection->fabric, &connection->fabric->inlines, inline_payload);
    }
}

/* ---- effects -------------------------------------------------------------------------------- */

/* The connection that an effect names, or NULL when it is closed or another one has its place. */
static struct mkv_tcp_connection *connection_find(struct mkv_fabric_tcp *fabric,
                                                  struct mkv_connection_id id) {
    const uint32_t place = id.index - fabric->options.connection_base;
    MKV_ASSERT(place < fabric->options.connections_max);
    struct mkv_tcp_connection *connection = &fabric->connections[place];
    const bool is_it =
        connection->state != MKV_TCP_FREE && connection->id.generation == id.generation;
    return is_it ? connection : NULL;
}

/* The next poll hands the completion to the sink: never from within submit. */
static void complete_later(struct mkv_fabric_tcp *fabric, struct mkv_tcp_op *op,
                           enum mkv_transfer result) {
    op->result = result;
    mkv_tcp_list_append(&fabric->completed, op);
}

/* The payload has come with the request. */
static void pull_inline(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op,
                        const struct mkv_tcp_buffer *payload) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    const struct mkv_transfer_effect *transfer = &op->transfer;
    MKV_ASSERT(transfer->item < MKV_NATIVE_ITEMS_MAX);
    MKV_ASSERT(transfer->offset == 0);
    MKV_ASSERT(payload->offsets[transfer->item] <= MKV_NATIVE_INLINE_BYTES_MAX - transfer->bytes);
    uint8_t *target = mkv_arena_slab(fabric->options.arena, transfer->slab) + MKV_UNIT_BYTES;
    memcpy(target, payload->bytes + payload->offsets[transfer->item], transfer->bytes);
    op->sum = mkv_hash_64(target, transfer->bytes);
    complete_later(fabric, op, MKV_TRANSFER_OK);
}

static void submit_pull(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (op->transfer.bytes == 0) {
        complete_later(fabric, op, MKV_TRANSFER_OK);
        return;
    }
    const struct mkv_tcp_request *request =
        mkv_tcp_request_find(connection, op->transfer.request_id);
    MKV_ASSERT(request != NULL);
    if (request->inline_payload != NULL) {
        pull_inline(connection, op, request->inline_payload);
        return;
    }
    if (request->lane_slot != 0) {
        mkv_tcp_lane_pull(connection, request->lane_slot, op);
        return;
    }
    if (connection->pulls_tail == NULL) {
        connection->pulls_head = op;
    } else {
        connection->pulls_tail->pull_next = op;
    }
    connection->pulls_tail = op;
    mkv_tcp_list_append(&connection->queue, op);
    if (connection->state == MKV_TCP_HALF_CLOSED) {
        mkv_tcp_connection_break(connection); /* the payload cannot come any more */
    }
}

static void submit_push(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    op->in_window = false;
    if (mkv_tcp_window_is_ready(connection) || connection->lane != NULL) {
        const struct mkv_tcp_request *request =
            mkv_tcp_request_find(connection, op->transfer.request_id);
        MKV_ASSERT(request != NULL);
        if (request->window_slot != 0) {
            mkv_tcp_window_place(connection, request->window_slot, op);
        }
        if (request->lane_slot != 0) {
            mkv_tcp_lane_place(connection, request->lane_slot, op);
        }
    }
    mkv_tcp_list_append(&connection->queue, op);
}

static void submit_answer(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    struct mkv_tcp_request *request = mkv_tcp_request_find(connection, op->answer.request_id);
    MKV_ASSERT(request != NULL);
    op->answer.ends_request =
        request->lane_slot != 0 && mkv_tcp_lane_is_in_turn(connection, request->lane_slot);
    if (!op->answer.ends_request) {
        mkv_tcp_request_end(connection, request);
    }
    connection->answers_owed++;
    mkv_tcp_list_append(&connection->queue, op);
}

static void submit_transfer(struct mkv_fabric_tcp *fabric, const struct mkv_effect *effect) {
    struct mkv_tcp_op *op = mkv_tcp_op_take(fabric);
    op->kind = effect->kind == MKV_EFFECT_PULL ? MKV_TCP_OP_PULL : MKV_TCP_OP_PUSH;
    op->id = effect->op;
    op->transfer = effect->transfer;
    struct mkv_tcp_connection *connection = connection_find(fabric, effect->transfer.connection);
    if (connection == NULL) {
        complete_later(fabric, op, MKV_TRANSFER_FAILED);
        return;
    }
    op->over_lane = connection->lane != NULL;
    if (op->kind == MKV_TCP_OP_PULL) {
        submit_pull(connection, op);
    } else {
        submit_push(connection, op);
    }
    mkv_tcp_connection_touch(connection);
}

void mkv_fabric_tcp_submit(struct mkv_fabric_tcp *fabric, const struct mkv_effect *effect,
                           const uint8_t *front_arena) {
    if (effect->kind == MKV_EFFECT_PULL || effect->kind == MKV_EFFECT_PUSH) {
        submit_transfer(fabric, effect);
        return;
    }
    if (effect->kind == MKV_EFFECT_BREAK) {
        struct mkv_tcp_connection *connection =
            connection_find(fabric, effect->transfer.connection);
        if (connection != NULL) {
            mkv_tcp_connection_break(connection);
        }
        return;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_ANSWER);
    struct mkv_tcp_op *op = mkv_tcp_op_take(fabric);
    op->kind = MKV_TCP_OP_ANSWER;
    op->id = effect->op;
    op->answer.request_id = effect->answer.request_id;
    op->answer.op = effect->answer.op;
    op->answer.status = effect->answer.status;
    op->answer.result_count = effect->answer.result_count;
    op->answer.results =
        (const struct mkv_item_result *)(const void *)(front_arena + effect->answer.results_offset);
    struct mkv_tcp_connection *connection = connection_find(fabric, effect->answer.connection);
    if (connection == NULL) {
        complete_later(fabric, op, MKV_TRANSFER_FAILED);
        return;
    }
    submit_answer(connection, op);
    mkv_tcp_connection_touch(connection);
}

/* ---- completions ---------------------------------------------------------------------------- */

static enum mkv_fabric_event event_of(enum mkv_tcp_op_kind kind) {
    switch (kind) {
    case MKV_TCP_OP_PULL:
        return MKV_FABRIC_PULL_DONE;
    case MKV_TCP_OP_PUSH:
        return MKV_FABRIC_PUSH_DONE;
    case MKV_TCP_OP_ANSWER:
        return MKV_FABRIC_ANSWER_DONE;
    case MKV_TCP_OP_OWN:
        break;
    }
    MKV_ASSERT(kind == MKV_TCP_OP_ANSWER);
    return MKV_FABRIC_ANSWER_DONE;
}

void mkv_tcp_op_complete(struct mkv_fabric_tcp *fabric, struct mkv_tcp_op *op,
                         enum mkv_transfer transfer, const uint64_t *sums, uint32_t sum_count) {
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric = (struct mkv_fabric_done){
        .event = event_of(op->kind),
        .transfer = transfer,
        .op = op->id,
        .sums = sum_count > 0 ? sums : NULL,
        .sum_count = sum_count,
    };
    if (transfer == MKV_TRANSFER_OK && op->kind == MKV_TCP_OP_PULL) {
        fabric->counters.received_bytes_total += op->transfer.bytes;
        fabric->lanes.received_bytes_total += op->over_lane ? op->transfer.bytes : 0;
    } else if (transfer == MKV_TRANSFER_OK && op->kind == MKV_TCP_OP_PUSH) {
        fabric->counters.sent_bytes_total += op->transfer.bytes;
        fabric->lanes.sent_bytes_total += op->over_lane ? op->transfer.bytes : 0;
    }
    mkv_tcp_op_give(fabric, op);
    fabric->base.sink.input(fabric->base.sink.context, &input);
}

void mkv_tcp_ops_deliver(struct mkv_fabric_tcp *fabric) {
    struct mkv_tcp_op_list completed = fabric->completed;
    fabric->completed = (struct mkv_tcp_op_list){0};
    struct mkv_tcp_op *op;
    while ((op = mkv_tcp_list_pop(&completed)) != NULL) {
        const bool has_sum =
            op->kind == MKV_TCP_OP_PULL && op->result == MKV_TRANSFER_OK && op->transfer.bytes > 0;
        const uint64_t sum = op->sum;
        mkv_tcp_op_complete(fabric, op, op->result, &sum, has_sum ? 1 : 0);
    }
}

/* Completes as FAILED what a list held; the fabric's own answers need no completion. */
static void list_fail(struct mkv_tcp_connection *connection, struct mkv_tcp_op_list list) {
    struct mkv_tcp_op *op;
    while ((op = mkv_tcp_list_pop(&list)) != NULL) {
        if (op->kind == MKV_TCP_OP_OWN || op->kind == MKV_TCP_OP_PULL) {
            continue; /* a PULL that waits for its READY is among the pulls too */
        }
        if (op->kind == MKV_TCP_OP_ANSWER) {
            MKV_ASSERT(connection->answers_owed > 0);
            connection->answers_owed--;
        }
        mkv_tcp_op_complete(connection->fabric, op, MKV_TRANSFER_FAILED, NULL, 0);
    }
}

void mkv_tcp_ops_fail(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    MKV_ASSERT(connection->state == MKV_TCP_BROKEN);
    /* The front may answer a failed transfer with further effects: they fail in the next turn. */
    for (uint32_t turn = 0;; turn++) {
        MKV_ASSERT(turn <= fabric->ops_max);
        mkv_tcp_ops_deliver(fabric);
        const struct mkv_tcp_op_list in_flight = connection->in_flight;
        const struct mkv_tcp_op_list queue = connection->queue;
        struct mkv_tcp_op *pull = connection->pulls_head;
        if (in_flight.head == NULL && queue.head == NULL && pull == NULL &&
            !mkv_tcp_lane_has_ops(connection) && fabric->completed.head == NULL) {
            return;
        }
        connection->in_flight = (struct mkv_tcp_op_list){0};
        connection->queue = (struct mkv_tcp_op_list){0};
        connection->pulls_head = NULL;
        connection->pulls_tail = NULL;
        /* The queue first: it names PULLs, which are given back behind it. */
        list_fail(connection, in_flight);
        list_fail(connection, queue);
        mkv_tcp_lane_ops_fail(connection);
        while (pull != NULL) {
            struct mkv_tcp_op *next = pull->pull_next;
            mkv_tcp_op_complete(fabric, pull, MKV_TRANSFER_FAILED, NULL, 0);
            pull = next;
        }
    }
}
