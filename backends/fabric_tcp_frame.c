/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a whole frame of a client does: PING and STATS are answered here, HELLO and AUTH in
 * fabric_tcp_hello.c, DATA is matched with the PULL it is for, everything else becomes a REQUEST of
 * the front.
 */
#include <stdio.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_internal.h"

#define NS_PER_MS 1000000ull

uint32_t mkv_tcp_frame_check(const struct mkv_tcp_connection *connection) {
    const struct mkv_native_header *header = &connection->header;
    const struct mkv_native_hello_answer *limits = &connection->fabric->options.hello;
    if (!connection->greeted && header->op != MKV_NATIVE_HELLO) {
        return MKV_FABRIC_FAULT_NO_HELLO;
    }
    if (connection->greeted && header->op == MKV_NATIVE_HELLO) {
        return MKV_FABRIC_FAULT_HELLO_TWICE;
    }
    if (header->op == MKV_NATIVE_AUTH && !connection->awaits_auth) {
        return MKV_FABRIC_FAULT_KEY_UNASKED;
    }
    if (connection->awaits_auth && header->op != MKV_NATIVE_AUTH) {
        return MKV_FABRIC_FAULT_AUTH_FIRST;
    }
    if ((header->flags & MKV_NATIVE_FLAG_ANSWER) != 0 || header->op == MKV_NATIVE_READY) {
        return MKV_FABRIC_FAULT_NOT_A_REQUEST;
    }
    if (mkv_native_trace_bytes(header) > 0 &&
        (connection->features & MKV_NATIVE_FEATURE_TRACE) == 0) {
        return MKV_NATIVE_BAD_FLAGS;
    }
    const bool has_window = (connection->features & MKV_NATIVE_FEATURE_WINDOW) != 0;
    if ((header->op == MKV_NATIVE_WINDOW && !has_window) ||
        ((header->flags & MKV_NATIVE_FLAG_WINDOW) != 0 && !mkv_tcp_window_is_ready(connection))) {
        return MKV_FABRIC_FAULT_WINDOW;
    }
    const bool has_rdma = (connection->features & MKV_NATIVE_FEATURE_RDMA) != 0;
    const bool is_remote = (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    if ((header->op == MKV_NATIVE_CONNECT && (!has_rdma || connection->lane != NULL)) ||
        ((is_remote || header->op == MKV_NATIVE_TAKEN) && connection->lane == NULL)) {
        return MKV_FABRIC_FAULT_RDMA;
    }
    if (header->op == MKV_NATIVE_DATA) {
        const struct mkv_tcp_op *pull = connection->pulls_head;
        return pull == NULL || !pull->announced ? MKV_FABRIC_FAULT_DATA_UNASKED : MKV_NATIVE_OK;
    }
    if (header->item_count > limits->items_max || header->body_bytes > limits->body_bytes_max ||
        header->payload_bytes > limits->inline_bytes_max) {
        return MKV_FABRIC_FAULT_ABOVE_LIMIT;
    }
    return MKV_NATIVE_OK;
}

static enum mkv_tcp_frame refuse(struct mkv_tcp_connection *connection, uint32_t fault) {
    mkv_tcp_connection_refuse(connection, fault);
    return MKV_TCP_FRAME_REFUSED;
}

/* ---- frames that the fabric answers itself -------------------------------------------------- */

void mkv_tcp_frame_answer(struct mkv_tcp_connection *connection, uint32_t flags,
                          enum mkv_status status, const uint8_t *body, uint32_t body_bytes) {
    MKV_ASSERT(!connection->own_pending);
    const struct mkv_native_header header = {
        .op = connection->header.op,
        .flags = MKV_NATIVE_FLAG_ANSWER | flags,
        .request_id = connection->header.request_id,
        .body_bytes = body_bytes,
        .status = status,
    };
    connection->own_pending = true;
    connection->own = (struct mkv_tcp_op){.kind = MKV_TCP_OP_OWN};
    mkv_tcp_send_own(connection, &connection->own, &header, body);
}

static enum mkv_tcp_frame take_stats(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    MKV_ASSERT(connection->own_body == NULL);
    connection->own_body = mkv_tcp_pool_take(&fabric->bodies);
    if (connection->own_body == NULL) {
        mkv_tcp_connection_await_buffer(connection);
        return MKV_TCP_FRAME_PAUSED;
    }
    const uint32_t text_bytes =
        fabric->options.stats(fabric->options.stats_context, (char *)connection->own_body->bytes,
                              MKV_NATIVE_BODY_BYTES_MAX);
    MKV_ASSERT(text_bytes <= MKV_NATIVE_BODY_BYTES_MAX);
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, connection->own_body->bytes, text_bytes);
    return MKV_TCP_FRAME_TAKEN;
}

/* The server is about to close: what is in flight is finished, nothing new begins. */
static enum mkv_tcp_frame take_while_draining(struct mkv_tcp_connection *connection) {
    static const char text[] = "the server is shutting down";
    memcpy(connection->work->own_bytes, text, sizeof text - 1);
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_UNAVAILABLE, connection->work->own_bytes,
                         sizeof text - 1);
    return MKV_TCP_FRAME_TAKEN;
}

/* ---- payloads ------------------------------------------------------------------------------- */

static enum mkv_tcp_frame take_data(struct mkv_tcp_connection *connection, const uint8_t *body) {
    struct mkv_native_data data;
    const enum mkv_native_error error = mkv_native_data_decode(&connection->header, body, &data);
    if (error != MKV_NATIVE_OK) {
        return refuse(connection, (uint32_t)error);
    }
    const struct mkv_transfer_effect *pull = &connection->pulls_head->transfer;
    if (connection->header.request_id != pull->request_id || data.item != pull->item ||
        data.offset != pull->offset || data.bytes != pull->bytes) {
        return refuse(connection, MKV_FABRIC_FAULT_DATA_MISMATCH);
    }
    /* The root of a whole block was promised by its PUT, and is compared by the front. */
    const bool is_whole = data.offset == 0 && data.bytes == data.length;
    connection->payload_is_rooted =
        (connection->features & MKV_NATIVE_FEATURE_ROOTS) != 0 && !is_whole;
    connection->payload_root = data.root;
    if ((connection->header.flags & MKV_NATIVE_FLAG_REMOTE) != 0) {
        struct mkv_tcp_op *op = connection->pulls_head;
        connection->pulls_head = op->pull_next;
        if (connection->pulls_head == NULL) {
            connection->pulls_tail = NULL;
        }
        mkv_tcp_lane_feed(connection, op, &data, connection->payload_is_rooted);
        return MKV_TCP_FRAME_TAKEN;
    }
    if ((connection->header.flags & MKV_NATIVE_FLAG_WINDOW) == 0) {
        connection->receiving = MKV_TCP_RECEIVING_PAYLOAD;
        return MKV_TCP_FRAME_PAYLOAD;
    }
    if (!mkv_shm_window_holds(&connection->window, data.window_offset, data.bytes)) {
        return refuse(connection, MKV_FABRIC_FAULT_WINDOW);
    }
    connection->receiving = MKV_TCP_RECEIVING_WINDOW;
    connection->window_source = data.window_offset;
    return MKV_TCP_FRAME_PAYLOAD;
}

uint32_t mkv_tcp_frame_taken(struct mkv_tcp_connection *connection, uint64_t request_id,
                             const uint8_t *body) {
    uint64_t count;
    const enum mkv_native_error error = mkv_native_taken_decode(body, &count);
    if (error != MKV_NATIVE_OK) {
        return (uint32_t)error;
    }
    const struct mkv_tcp_request *request = mkv_tcp_request_find(connection, request_id);
    if (request != NULL && request->lane_slot != 0 &&
        !mkv_tcp_lane_taken(connection, request, count)) {
        return MKV_FABRIC_FAULT_RDMA;
    }
    return MKV_NATIVE_OK;
}

static enum mkv_tcp_frame take_taken(struct mkv_tcp_connection *connection, const uint8_t *body) {
    const uint32_t fault = mkv_tcp_frame_taken(connection, connection->header.request_id, body);
    return fault == MKV_NATIVE_OK ? MKV_TCP_FRAME_TAKEN : refuse(connection, fault);
}

/* ---- requests ------------------------------------------------------------------------------- */

static enum mkv_op op_of(enum mkv_native_op op) {
    switch (op) {
    case MKV_NATIVE_PUT:
        return MKV_OP_PUT;
    case MKV_NATIVE_GET:
        return MKV_OP_GET;
    case MKV_NATIVE_EXISTS:
        return MKV_OP_EXISTS;
    case MKV_NATIVE_LOOKUP:
        return MKV_OP_LOOKUP;
    case MKV_NATIVE_DELETE:
        return MKV_OP_DELETE;
    case MKV_NATIVE_PIN:
        return MKV_OP_PIN;
    case MKV_NATIVE_UNPIN:
        return MKV_OP_UNPIN;
    case MKV_NATIVE_SESSION:
        return MKV_OP_SESSION;
    case MKV_NATIVE_ALLOCATE:
        return MKV_OP_ALLOCATE;
    case MKV_NATIVE_COMMIT:
        return MKV_OP_COMMIT;
    case MKV_NATIVE_HELLO:
    case MKV_NATIVE_AUTH:
    case MKV_NATIVE_WINDOW:
    case MKV_NATIVE_CONNECT:
    case MKV_NATIVE_READY:
    case MKV_NATIVE_DATA:
    case MKV_NATIVE_TAKEN:
    case MKV_NATIVE_STATS:
    case MKV_NATIVE_PING:
    case MKV_NATIVE_SHARDS:
        break;
    }
    MKV_ASSERT(op == MKV_NATIVE_PUT);
    return MKV_OP_PUT;
}

/* Checks all of a request's body, and puts its items into fabric->native_items. */
static enum mkv_native_error decode_body(struct mkv_tcp_connection *connection, const uint8_t *body,
                                         uint32_t *keys_offset, struct mkv_trace_context *trace) {
    const struct mkv_native_header *header = &connection->header;
    const uint32_t trace_bytes = mkv_native_trace_bytes(header);
    const enum mkv_native_error error =
        mkv_native_items_decode(header, body, connection->fabric->native_items, keys_offset);
    *trace = (struct mkv_trace_context){{0}, {0}, 0};
    return error != MKV_NATIVE_OK || trace_bytes == 0
               ? error
               : mkv_native_trace_decode(body + header->body_bytes - trace_bytes, trace);
}

/* Hands in the request whose items are in fabric->native_items. */
static void hand_in(struct mkv_tcp_connection *connection, const uint8_t *body,
                    uint32_t keys_offset, const struct mkv_trace_context *trace,
                    struct mkv_tcp_buffer *inline_payload, uint64_t bytes) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    const struct mkv_native_header *header = &connection->header;
    const uint8_t *keys = body + keys_offset;
    const uint32_t keys_bytes = header->body_bytes - keys_offset - mkv_native_trace_bytes(header);
    uint32_t key_offset = 0;
    for (uint32_t i = 0; i < header->item_count; i++) {
        const struct mkv_native_item *item = &fabric->native_items[i];
        const uint32_t replace = (item->flags & MKV_NATIVE_ITEM_REPLACE) != 0 ? MKV_PUT_REPLACE : 0;
        const uint32_t relaxed = (item->flags & MKV_NATIVE_ITEM_RELAXED) != 0 ? MKV_PUT_RELAXED : 0;
        const uint32_t abandon =
            (item->flags & MKV_NATIVE_ITEM_ABANDON) != 0 ? MKV_COMMIT_ABANDON : 0;
        fabric->items[i] = (struct mkv_request_item){
            .key_offset = key_offset,
            .key_bytes = item->key_bytes,
            .flags = replace | relaxed | abandon,
            .length = item->length,
            .offset = item->offset,
            .root = item->root,
            .expire_s = item->seconds,
            .session = item->session,
            .tier_hint = item->tier_hint,
            .action = (enum mkv_session_action)item->action,
            .reason = (enum mkv_think_exit)item->reason,
            .reservation = item->reservation,
        };
        key_offset += item->key_bytes;
    }
    MKV_ASSERT(key_offset == keys_bytes);
    MKV_ASSERT(connection->request_count <= fabric->options.hello.requests_max);
    const bool into_window = (header->flags & MKV_NATIVE_FLAG_WINDOW) != 0;
    const uint32_t window_slot = into_window ? mkv_tcp_window_slot_take(connection) : 0;
    const bool is_remote = (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    const uint32_t lane_slot = is_remote ? mkv_tcp_lane_slot_take(connection) : 0;
    connection->work->requests[connection->request_count] =
        (struct mkv_tcp_request){header->request_id, inline_payload, bytes, window_slot, lane_slot};
    connection->request_count++;
    connection->known = true;

    const uint64_t deadline_ms = mkv_min_u64(
        header->deadline_ms != 0 ? header->deadline_ms : fabric->options.hello.deadline_ms,
        MKV_FABRIC_TCP_DEADLINE_MS_MAX);
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST, .data = keys, .data_bytes = keys_bytes};
    input.request = (struct mkv_request){
        .connection = connection->id,
        .request_id = header->request_id,
        .op = op_of(header->op),
        /* Nobody has a number of its own: the front refuses it. */
        .tenant = header->tenant != 0 ? header->tenant : connection->tenant,
        .tenant_name = header->tenant != 0 ? NULL : connection->tenant_name,
        .deadline_ns = mkv_clock_monotonic_ns() + deadline_ms * NS_PER_MS,
        .item_count = header->item_count,
        .items = fabric->items,
        .received_ns = connection->frame_ns,
        .trace = *trace,
    };
    fabric->base.sink.input(fabric->base.sink.context, &input);
}

/* Takes a buffer for the payload and notes where each item's begins. */
static enum mkv_tcp_frame start_inline(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    struct mkv_tcp_buffer *buffer = mkv_tcp_pool_take(&fabric->inlines);
    if (buffer == NULL) {
        mkv_tcp_connection_await_buffer(connection);
        return MKV_TCP_FRAME_PAUSED;
    }
    uint64_t offset = 0;
    for (uint32_t i = 0; i < connection->header.item_count; i++) {
        buffer->offsets[i] = (uint32_t)offset;
        offset += fabric->native_items[i].length;
    }
    MKV_ASSERT(offset == connection->header.payload_bytes);
    connection->inline_payload = buffer;
    connection->inline_refusal = MKV_STATUS_OK;
    connection->receiving = MKV_TCP_RECEIVING_INLINE;
    return MKV_TCP_FRAME_PAYLOAD;
}

/* Refuses the request alone. What it brings inline is taken off the connection first. */
static enum mkv_tcp_frame refuse_request(struct mkv_tcp_connection *connection,
                                         enum mkv_status status, const char *text) {
    if (connection->own_pending) {
        return MKV_TCP_FRAME_PAUSED;
    }
    if (connection->header.payload_bytes > 0) {
        const enum mkv_tcp_frame frame = start_inline(connection);
        connection->inline_refusal = status;
        connection->inline_refusal_text = text;
        return frame;
    }
    mkv_tcp_frame_answer(connection, 0, status, (const uint8_t *)text, (uint32_t)strlen(text));
    return MKV_TCP_FRAME_TAKEN;
}

/* The bytes that a request counts for its client: of the values that it names. */
static uint64_t request_bytes(const struct mkv_tcp_connection *connection) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < connection->header.item_count; i++) {
        bytes += connection->fabric->native_items[i].length; /* 256 of at most 2^40 */
    }
    return connection->header.op == MKV_NATIVE_SESSION ? 0 : bytes;
}

/* Refuses the request alone; what it brings inline is not taken. */
static enum mkv_tcp_frame refuse_tenant(struct mkv_tcp_connection *connection) {
    const char *text = mkv_fabric_fault_text(MKV_FABRIC_FAULT_TENANTS);
    const uint32_t text_bytes = (uint32_t)strlen(text);
    if (connection->header.payload_bytes > 0) {
        return refuse(connection, MKV_FABRIC_FAULT_TENANTS);
    }
    if (connection->own_pending) {
        return MKV_TCP_FRAME_PAUSED;
    }
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_NO_SPACE, (const uint8_t *)text, text_bytes);
    return MKV_TCP_FRAME_TAKEN;
}

/* Finds the number of the connection's tenant. A put makes sure that there is one. */
static enum mkv_tenant_resolved find_tenant(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    const enum mkv_native_op op = connection->header.op;
    const bool create = op == MKV_NATIVE_PUT || op == MKV_NATIVE_ALLOCATE;
    if (strcmp(connection->tenant_name, MKV_TENANT_DEFAULT_NAME) == 0) {
        connection->tenant = MKV_TENANT_DEFAULT;
        return MKV_TENANT_KNOWN;
    }
    if (fabric->options.tenant == NULL) {
        return MKV_TENANT_REFUSED;
    }
    const enum mkv_tenant_resolved resolved = fabric->options.tenant(
        fabric->options.tenant_context, connection->tenant_name, create, &connection->tenant);
    if (resolved == MKV_TENANT_PENDING) {
        fabric->tenants_wait = true;
        mkv_tcp_connection_await_buffer(connection);
    }
    return resolved;
}

static enum mkv_tcp_frame take_request(struct mkv_tcp_connection *connection, const uint8_t *body) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    const struct mkv_native_header *header = &connection->header;
    const uint32_t requests_max = fabric->options.hello.requests_max;
    uint32_t keys_offset;
    struct mkv_trace_context trace;
    const enum mkv_native_error error = decode_body(connection, body, &keys_offset, &trace);
    if (error != MKV_NATIVE_OK) {
        return refuse(connection, (uint32_t)error);
    }
    const bool into_window = (header->flags & MKV_NATIVE_FLAG_WINDOW) != 0;
    if (into_window && !mkv_tcp_window_items_check(connection)) {
        return refuse(connection, MKV_FABRIC_FAULT_WINDOW);
    }
    if (fabric->native_items[0].remote.slots > 0 &&
        (connection->features & MKV_NATIVE_FEATURE_ROOTS) == 0) {
        return refuse(connection, MKV_FABRIC_FAULT_RDMA); /* its DATA would have no root */
    }
    if (mkv_tcp_request_find(connection, header->request_id) != NULL) {
        return refuse(connection, MKV_FABRIC_FAULT_REQUEST_ID);
    }
    /* One more than allowed is left to the front, which refuses it as busy. */
    if (connection->request_count > requests_max) {
        return refuse(connection, MKV_FABRIC_FAULT_REQUESTS);
    }
    if (connection->answers_owed >= requests_max) {
        return MKV_TCP_FRAME_PAUSED;
    }
    if (!mkv_fabric_auth_may(&connection->session, mkv_fabric_right_of(op_of(header->op)))) {
        return refuse_request(connection, MKV_STATUS_FORBIDDEN,
                              "forbidden: the key of this connection has no right to it");
    }
    const enum mkv_tenant_resolved tenant = find_tenant(connection);
    if (tenant == MKV_TENANT_PENDING) {
        return MKV_TCP_FRAME_PAUSED;
    }
    if (tenant == MKV_TENANT_REFUSED) {
        return refuse_tenant(connection);
    }
    const uint64_t bytes = request_bytes(connection);
    if (!mkv_fabric_auth_request_begin(fabric->options.auth, &connection->session, bytes)) {
        return refuse_request(connection, MKV_STATUS_BUSY,
                              "busy: your address has as many requests or bytes in flight as "
                              "network.client_requests_max and client_bytes_max allow");
    }
    if ((header->flags & MKV_NATIVE_FLAG_INLINE) != 0) {
        const enum mkv_tcp_frame frame = start_inline(connection);
        connection->inline_counted = frame == MKV_TCP_FRAME_PAYLOAD;
        connection->inline_bytes = bytes;
        if (!connection->inline_counted) {
            mkv_fabric_auth_request_end(fabric->options.auth, &connection->session, bytes);
        }
        return frame;
    }
    hand_in(connection, body, keys_offset, &trace, NULL, bytes);
    return MKV_TCP_FRAME_TAKEN;
}

void mkv_tcp_frame_take_inline(struct mkv_tcp_connection *connection, const uint8_t *body) {
    struct mkv_tcp_buffer *payload = connection->inline_payload;
    if (connection->inline_refusal != MKV_STATUS_OK) {
        const char *text = connection->inline_refusal_text;
        connection->inline_payload = NULL;
        mkv_tcp_pool_give(connection->fabric, &connection->fabric->inlines, payload);
        mkv_tcp_frame_answer(connection, 0, connection->inline_refusal, (const uint8_t *)text,
                             (uint32_t)strlen(text));
        return;
    }
    uint32_t keys_offset;
    struct mkv_trace_context trace;
    /* Again: other connections have used native_items since. */
    const enum mkv_native_error error = decode_body(connection, body, &keys_offset, &trace);
    MKV_ASSERT(error == MKV_NATIVE_OK);
    connection->inline_payload = NULL;
    connection->inline_counted = false;
    hand_in(connection, body, keys_offset, &trace, payload, connection->inline_bytes);
}

enum mkv_tcp_frame mkv_tcp_frame_take(struct mkv_tcp_connection *connection, const uint8_t *body) {
    const enum mkv_native_op op = connection->header.op;
    if (op == MKV_NATIVE_DATA) {
        return take_data(connection, body);
    }
    if (op == MKV_NATIVE_TAKEN) {
        return take_taken(connection, body);
    }
    const bool is_request = op != MKV_NATIVE_HELLO && op != MKV_NATIVE_AUTH &&
                            op != MKV_NATIVE_STATS && op != MKV_NATIVE_PING &&
                            op != MKV_NATIVE_SHARDS && op != MKV_NATIVE_WINDOW &&
                            op != MKV_NATIVE_CONNECT;
    const bool is_refused =
        connection->fabric->draining && is_request && connection->header.payload_bytes == 0;
    if (is_request && !is_refused) {
        return take_request(connection, body);
    }
    if (connection->own_pending) {
        return MKV_TCP_FRAME_PAUSED;
    }
    if (op == MKV_NATIVE_HELLO) {
        return mkv_tcp_hello_take(connection, body);
    }
    if (op == MKV_NATIVE_AUTH) {
        return mkv_tcp_auth_take(connection, body);
    }
    if (op == MKV_NATIVE_WINDOW) {
        return mkv_tcp_window_take(connection, body);
    }
    if (op == MKV_NATIVE_CONNECT) {
        return mkv_tcp_lane_connect(connection, body);
    }
    if (op == MKV_NATIVE_STATS) {
        return take_stats(connection);
    }
    if (op == MKV_NATIVE_SHARDS) {
        return mkv_tcp_shards_take(connection);
    }
    if (op == MKV_NATIVE_PING) {
        if (mkv_native_ring_bytes(&connection->header) > 0) {
            mkv_tcp_ring_take(connection, mkv_native_ring_decode(body));
        }
        mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, NULL, 0);
        return MKV_TCP_FRAME_TAKEN;
    }
    return take_while_draining(connection);
}
