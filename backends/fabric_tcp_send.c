/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From queued operations to bytes on a socket. What one send carries is gathered here:
 *
 *   scratch   | READY | DATA header | DATA header | ANSWER header and results |
 *   iovecs    [ scratch ............ ][ slab ... ][ scratch ][ slab ][ scratch ]
 *
 * Frames that stand side by side in the scratch share an iovec. A frame is in one send whole.
 */
#include <errno.h>
#include <string.h>

#include "backends/fabric_tcp_lane.h"
#include "core/hash.h"

/* A send being gathered. */
struct gathering {
    struct mkv_tcp_connection *connection;
    uint32_t scratch_used;
    uint32_t iovec_count;
    uint64_t bytes; /* outside the scratch */
};

/* Room for `bytes` behind what is gathered, in the iovec that already ends there if one does. */
static uint8_t *gather_scratch(struct gathering *gathering, uint32_t bytes) {
    struct mkv_tcp_connection *connection = gathering->connection;
    MKV_ASSERT(bytes <= MKV_TCP_SCRATCH_BYTES - gathering->scratch_used);
    uint8_t *target = connection->scratch + gathering->scratch_used;
    gathering->scratch_used += bytes;
    if (gathering->iovec_count > 0) {
        struct iovec *last = &connection->work->iovecs[gathering->iovec_count - 1];
        if ((uint8_t *)last->iov_base + last->iov_len == target) {
            last->iov_len += bytes;
            return target;
        }
    }
    MKV_ASSERT(gathering->iovec_count < MKV_TCP_IOVECS_MAX);
    connection->work->iovecs[gathering->iovec_count] = (struct iovec){target, bytes};
    gathering->iovec_count++;
    return target;
}

static void gather_memory(struct gathering *gathering, const void *memory, uint32_t bytes) {
    if (bytes == 0) {
        return;
    }
    MKV_ASSERT(gathering->iovec_count < MKV_TCP_IOVECS_MAX);
    /* sendmsg only reads what it is given. */
    gathering->connection->work->iovecs[gathering->iovec_count] =
        (struct iovec){(void *)(uintptr_t)memory, bytes};
    gathering->iovec_count++;
    gathering->bytes += bytes;
}

/* ---- frames --------------------------------------------------------------------------------- */

static void gather_ready(struct gathering *gathering, const struct mkv_transfer_effect *transfer) {
    uint8_t *target = gather_scratch(gathering, MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_READY_BYTES);
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_READY,
        .request_id = transfer->request_id,
        .body_bytes = MKV_NATIVE_READY_BYTES,
    };
    const struct mkv_native_ready ready = {
        .item = transfer->item,
        .offset = transfer->offset,
        .bytes = transfer->bytes,
    };
    mkv_native_header_encode(&header, target);
    mkv_native_ready_encode(&ready, target + MKV_NATIVE_HEADER_BYTES);
}

/* Whether DATA of these bytes has the root of a part's own bytes, as they leave. */
static bool is_hashed(const struct mkv_tcp_connection *connection,
                      const struct mkv_transfer_effect *transfer, uint32_t bytes) {
    const bool is_whole = transfer->offset == 0 && bytes == transfer->length;
    return !is_whole && (connection->features & MKV_NATIVE_FEATURE_ROOTS) != 0;
}

static struct mkv_root root_of(struct mkv_tcp_connection *connection,
                               const struct mkv_transfer_effect *transfer, const uint8_t *payload,
                               uint32_t bytes) {
    uint64_t sums[MKV_CHUNKS_MAX];
    if (!is_hashed(connection, transfer, bytes)) {
        return transfer->root;
    }
    (void)mkv_tcp_share_take(connection, bytes);
    mkv_chunk_sums(payload, bytes, sums);
    return mkv_root_of_sums(bytes, sums);
}

static void gather_data(struct gathering *gathering, const struct mkv_tcp_op *op) {
    const struct mkv_transfer_effect *transfer = &op->transfer;
    uint32_t begin = 0;
    uint32_t bytes = transfer->bytes;
    if (op->remote.is_used) {
        mkv_tcp_lane_part(op, &begin, &bytes);
    }
    uint8_t *target = gather_scratch(gathering, MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES);
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_DATA,
        .request_id = transfer->request_id,
        .body_bytes = MKV_NATIVE_DATA_BYTES,
        .flags = op->in_window        ? MKV_NATIVE_FLAG_WINDOW
                 : op->remote.is_used ? MKV_NATIVE_FLAG_REMOTE
                                      : 0,
        .payload_bytes = op->in_window || op->remote.is_used ? 0 : bytes,
    };
    const struct mkv_arena *arena = gathering->connection->fabric->options.arena;
    const uint8_t *payload =
        mkv_arena_slab(arena, transfer->slab) + MKV_UNIT_BYTES + transfer->slab_offset + begin;
    const struct mkv_native_data data = {
        .item = transfer->item,
        .offset = transfer->offset + begin,
        .length = transfer->length,
        .bytes = bytes,
        .root = root_of(gathering->connection, transfer, payload, bytes),
        .window_offset = op->in_window ? op->window_offset : 0,
    };
    mkv_native_header_encode(&header, target);
    mkv_native_data_encode(&data, target + MKV_NATIVE_HEADER_BYTES);
    if (header.payload_bytes > 0) { /* else it is there already, or before this frame */
        gather_memory(gathering, payload, bytes);
    }
}

static enum mkv_native_op op_of(enum mkv_op op) {
    switch (op) {
    case MKV_OP_PUT:
        return MKV_NATIVE_PUT;
    case MKV_OP_GET:
        return MKV_NATIVE_GET;
    case MKV_OP_EXISTS:
        return MKV_NATIVE_EXISTS;
    case MKV_OP_LOOKUP:
        return MKV_NATIVE_LOOKUP;
    case MKV_OP_DELETE:
        return MKV_NATIVE_DELETE;
    case MKV_OP_PIN:
        return MKV_NATIVE_PIN;
    case MKV_OP_UNPIN:
        return MKV_NATIVE_UNPIN;
    case MKV_OP_SESSION:
        return MKV_NATIVE_SESSION;
    case MKV_OP_ALLOCATE:
        return MKV_NATIVE_ALLOCATE;
    case MKV_OP_COMMIT:
        return MKV_NATIVE_COMMIT;
    case MKV_OP_EXPIRE: /* which no frame asks for */
        break;
    }
    MKV_ASSERT(op == MKV_OP_PUT);
    return MKV_NATIVE_PUT;
}

/* What people read when a request was refused whole. */
static const char *refusal_text(enum mkv_status status) {
    switch (status) {
    case MKV_STATUS_BUSY:
        return "busy: as many requests or items are in flight as the server takes; send it again";
    case MKV_STATUS_INVALID:
        return "invalid: the request has more items than the server takes, or a bad key or length";
    case MKV_STATUS_UNAVAILABLE:
        return "unavailable: the server does not take requests now";
    case MKV_STATUS_DEADLINE:
        return "deadline: the request waited too long";
    case MKV_STATUS_FORBIDDEN:
        return "forbidden: this connection has no right to the tenant";
    case MKV_STATUS_OK:
    case MKV_STATUS_NOT_FOUND:
    case MKV_STATUS_NO_SPACE:
    case MKV_STATUS_IO_ERROR:
    case MKV_STATUS_UNKNOWN:
    case MKV_STATUS_CONFLICT:
    case MKV_STATUS_QUOTA:
        break;
    }
    return mkv_status_name(status);
}

static uint32_t answer_body_bytes(const struct mkv_tcp_op *op) {
    if (op->answer.status != MKV_STATUS_OK) {
        return (uint32_t)mkv_min_u64(strlen(refusal_text(op->answer.status)),
                                     MKV_NATIVE_TEXT_BYTES_MAX);
    }
    MKV_ASSERT(op->answer.result_count <= MKV_NATIVE_ITEMS_MAX);
    return op->answer.result_count * MKV_NATIVE_RESULT_BYTES;
}

static void gather_answer(struct gathering *gathering, const struct mkv_tcp_op *op) {
    const bool is_ok = op->answer.status == MKV_STATUS_OK;
    const uint32_t body_bytes = answer_body_bytes(op);
    uint8_t *target = gather_scratch(gathering, MKV_NATIVE_HEADER_BYTES + body_bytes);
    const struct mkv_native_header header = {
        .op = op_of(op->answer.op),
        .flags = MKV_NATIVE_FLAG_ANSWER,
        .request_id = op->answer.request_id,
        .item_count = is_ok ? op->answer.result_count : 0,
        .body_bytes = body_bytes,
        .status = op->answer.status,
    };
    mkv_native_header_encode(&header, target);
    target += MKV_NATIVE_HEADER_BYTES;
    if (!is_ok) {
        memcpy(target, refusal_text(op->answer.status), body_bytes);
        return;
    }
    for (uint32_t i = 0; i < op->answer.result_count; i++) {
        const struct mkv_item_result *item = &op->answer.results[i];
        const struct mkv_native_result result = {item->status, item->miss, item->length, item->root,
                                                 item->leased};
        mkv_native_result_encode(&result, target + (size_t)i * MKV_NATIVE_RESULT_BYTES);
    }
}

static void gather_own(struct gathering *gathering, const struct mkv_tcp_op *op) {
    uint8_t *target = gather_scratch(gathering, MKV_NATIVE_HEADER_BYTES);
    mkv_native_header_encode(&op->own.header, target);
    gather_memory(gathering, op->own.body, op->own.header.body_bytes);
}

static uint32_t scratch_needed(const struct mkv_tcp_op *op) {
    switch (op->kind) {
    case MKV_TCP_OP_PULL:
        return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_READY_BYTES;
    case MKV_TCP_OP_PUSH:
        return MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES;
    case MKV_TCP_OP_ANSWER:
        return MKV_NATIVE_HEADER_BYTES + answer_body_bytes(op);
    case MKV_TCP_OP_OWN:
        break;
    }
    return MKV_NATIVE_HEADER_BYTES;
}

static void gather_frame(struct gathering *gathering, struct mkv_tcp_op *op) {
    switch (op->kind) {
    case MKV_TCP_OP_PULL:
        gather_ready(gathering, &op->transfer);
        op->announced = true;
        return; /* it stays among the pulls; its READY needs no completion */
    case MKV_TCP_OP_PUSH:
        gather_data(gathering, op);
        break;
    case MKV_TCP_OP_ANSWER:
        if (op->answer.ends_request) {
            mkv_tcp_request_end(gathering->connection,
                                mkv_tcp_request_find(gathering->connection, op->answer.request_id));
        }
        gather_answer(gathering, op);
        break;
    case MKV_TCP_OP_OWN:
        gather_own(gathering, op);
        break;
    }
    mkv_tcp_list_append(&gathering->connection->in_flight, op);
}

/* A descriptor goes beside the first byte of a message. */
static void gather_descriptor(struct mkv_tcp_connection *connection, int descriptor) {
    uint8_t *control = connection->work->control;
    struct cmsghdr *header = (void *)control;
    memset(control, 0, sizeof connection->work->control);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    connection->message.msg_control = header;
    connection->message.msg_controllen = sizeof connection->work->control;
}

/* Whether a part of the PUSH is hashed when it leaves. */
static bool is_hashed_in_part(const struct mkv_tcp_connection *connection,
                              const struct mkv_tcp_op *op) {
    const bool is_in_turn = op->remote.is_used && op->remote.slot_name != 0;
    const uint32_t bytes = is_in_turn ? MKV_LANE_PIECE_BYTES : op->transfer.bytes;
    return is_hashed(connection, &op->transfer, (uint32_t)mkv_min_u64(op->transfer.bytes, bytes));
}

/* Whether the first of the queue can go: a PUSH when there is time to hash it, into the window once
 * all of it is there, by RDMA once all of it, or of its part, is on its way before the frame; an
 * answer when nothing of the client's memory is read for it any more. */
static bool is_due(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_op *op = connection->queue.head;
    if (op->kind == MKV_TCP_OP_ANSWER && connection->lane != NULL &&
        connection->state == MKV_TCP_OPEN) {
        return mkv_tcp_lane_has_read(connection, op->answer.request_id);
    }
    if (op->kind == MKV_TCP_OP_PUSH && is_hashed_in_part(connection, op) &&
        !mkv_tcp_share_ask(connection)) {
        return false;
    }
    if (op->kind == MKV_TCP_OP_PUSH && op->remote.is_used) {
        return mkv_tcp_lane_push(connection, op); /* what has completed makes room */
    }
    return op->kind != MKV_TCP_OP_PUSH || !op->in_window || mkv_tcp_window_push(connection, op);
}

/* Whether there is one in the queue that does not wait for the client's TAKEN. */
static bool has_frame(struct mkv_tcp_connection *connection) {
    if (connection->lane != NULL) {
        mkv_tcp_lane_hold(connection);
    }
    return connection->queue.head != NULL;
}

/* Whether the DATA of a PUSH that is due is not its last. */
static bool has_more_parts(const struct mkv_tcp_op *op) {
    return op->kind == MKV_TCP_OP_PUSH && op->remote.is_used &&
           op->remote.posted_bytes < op->transfer.bytes;
}

/* ---- sending -------------------------------------------------------------------------------- */

static void post(struct mkv_tcp_connection *connection) {
    connection->send_in_flight = true;
    connection->send_ns = connection->fabric->now_ns;
    if (mkv_tcp_lane_is_used(connection)) {
        mkv_tcp_lane_send(connection);
    } else {
        mkv_stream_send(&connection->stream, &connection->message, &connection->send);
    }
}

void mkv_tcp_send_continue(struct mkv_tcp_connection *connection) {
    const bool may_send = connection->state == MKV_TCP_OPEN ||
                          connection->state == MKV_TCP_HALF_CLOSED ||
                          connection->state == MKV_TCP_REFUSED;
    if (!may_send || connection->send_in_flight || connection->refusal.announced) {
        return;
    }
    struct gathering gathering = {.connection = connection};
    int descriptor = 0;
    while (has_frame(connection) && gathering.bytes < MKV_TCP_SEND_BYTES_ENOUGH &&
           gathering.iovec_count + 2 <= MKV_TCP_IOVECS_MAX &&
           scratch_needed(connection->queue.head) <=
               MKV_TCP_SCRATCH_BYTES - gathering.scratch_used &&
           is_due(connection)) {
        if (has_more_parts(connection->queue.head)) {
            gather_data(&gathering, connection->queue.head);
            connection->fabric->counters.sent_frames_total++;
            continue;
        }
        struct mkv_tcp_op *op = mkv_tcp_list_pop(&connection->queue);
        const bool is_own = op->kind == MKV_TCP_OP_OWN;
        const bool ends = is_own && op->ends;
        descriptor = is_own ? op->own.descriptor : 0;
        gather_frame(&gathering, op);
        connection->fabric->counters.sent_frames_total++;
        if (ends || descriptor != 0) {
            break;
        }
    }
    if (gathering.iovec_count == 0) {
        return;
    }
    connection->message = (struct msghdr){
        .msg_iov = connection->work->iovecs,
        .msg_iovlen = gathering.iovec_count,
    };
    if (descriptor != 0) {
        gather_descriptor(connection, descriptor);
    }
    post(connection);
}

void mkv_tcp_send_own(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op,
                      const struct mkv_native_header *header, const uint8_t *body) {
    MKV_ASSERT(op->kind == MKV_TCP_OP_OWN);
    op->own.header = *header;
    op->own.body = body;
    mkv_tcp_list_append(&connection->queue, op);
    mkv_tcp_connection_touch(connection);
}

/* Takes `bytes` off the front of what the message still has to send. True when nothing is left. */
static bool message_advance(struct msghdr *message, size_t bytes) {
    while (message->msg_iovlen > 0 && bytes >= message->msg_iov->iov_len) {
        bytes -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen == 0) {
        MKV_ASSERT(bytes == 0);
        return true;
    }
    message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + bytes;
    message->msg_iov->iov_len -= bytes;
    return false;
}

static void own_sent(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (op == &connection->refusal) {
        op->announced = true;
        return;
    }
    if (op != &connection->own) {
        mkv_tcp_lane_told(connection);
        return;
    }
    connection->own_pending = false;
    mkv_tcp_lane_answered(connection);
    if (connection->own_body != NULL) {
        struct mkv_tcp_buffer *body = connection->own_body;
        connection->own_body = NULL;
        mkv_tcp_pool_give(fabric, &fabric->bodies, body);
    }
}

/* All of the message is with the kernel: the memory it named is free again. */
static void message_sent(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_op_list sent = connection->in_flight;
    connection->in_flight = (struct mkv_tcp_op_list){0};
    struct mkv_tcp_op *op;
    while ((op = mkv_tcp_list_pop(&sent)) != NULL) {
        if (op->kind == MKV_TCP_OP_OWN) {
            own_sent(connection, op);
            continue;
        }
        if (op->kind == MKV_TCP_OP_ANSWER) {
            MKV_ASSERT(connection->answers_owed > 0);
            connection->answers_owed--;
        }
        if (!mkv_tcp_lane_keeps(connection, op)) {
            mkv_tcp_op_complete(connection->fabric, op, MKV_TRANSFER_OK, NULL, 0);
        }
    }
}

void mkv_tcp_send_advanced(struct mkv_tcp_connection *connection, size_t bytes) {
    MKV_ASSERT(connection->send_in_flight);
    if (message_advance(&connection->message, bytes)) {
        connection->send_in_flight = false;
        mkv_tcp_connection_touch(connection); /* there may be more to send */
        message_sent(connection);
    }
}

void mkv_tcp_send_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_tcp_connection *connection =
        (struct mkv_tcp_connection *)((char *)completion -
                                      offsetof(struct mkv_tcp_connection, send));
    (void)flags;
    MKV_ASSERT(connection->send_in_flight);
    connection->send_in_flight = false;
    mkv_tcp_connection_touch(connection);
    if (connection->state == MKV_TCP_BROKEN) {
        return; /* reaped in the next poll, which completes what was in flight as FAILED */
    }
    const bool is_again = result == -EINTR || result == -EAGAIN;
    if (result < 0 && !is_again) {
        mkv_tcp_connection_break(connection);
        return;
    }
    if (result > 0) {
        connection->message.msg_control = NULL;
        connection->message.msg_controllen = 0;
    }
    if (!message_advance(&connection->message, is_again ? 0 : (size_t)result)) {
        post(connection);
        return;
    }
    message_sent(connection);
}
