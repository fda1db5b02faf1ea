/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection: the states of fabric_tcp.h and what moves between them.
 */
#include "backends/fabric_tcp_internal.h"

#include <stdio.h>
#include <string.h>

/* A place that was never used. Those are taken last, so that their pages stay untouched. */
static struct mkv_tcp_connection *take_new(struct mkv_fabric_tcp *fabric) {
    MKV_ASSERT(fabric->connections_used < fabric->options.connections_max);
    const uint32_t place = fabric->connections_used;
    struct mkv_tcp_connection *connection = &fabric->connections[place];
    uint8_t *memory = fabric->memory + place * fabric->connection_bytes;
    fabric->connections_used++;
    connection->fabric = fabric;
    connection->id = (struct mkv_connection_id){fabric->options.connection_base + place, 1};
    connection->stream.fd = -1;
    connection->window.fd = -1;
    connection->receive.done = mkv_tcp_receive_done;
    connection->send.done = mkv_tcp_send_done;
    connection->control = memory;
    connection->scratch = memory + MKV_TCP_CONTROL_BYTES;
    connection->work = (struct mkv_tcp_work *)(void *)(connection->scratch + MKV_TCP_SCRATCH_BYTES);
    return connection;
}

static struct mkv_tcp_connection *take_free(struct mkv_fabric_tcp *fabric) {
    if (fabric->free_connection_count == 0) {
        return take_new(fabric);
    }
    fabric->free_connection_count--;
    return &fabric->connections[fabric->free_connections[fabric->free_connection_count]];
}

static void give_free(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    fabric->free_connections[fabric->free_connection_count] =
        connection->id.index - fabric->options.connection_base;
    fabric->free_connection_count++;
}

static bool open_stream(struct mkv_tcp_connection *connection, int fd) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (fabric->options.tls == NULL) {
        mkv_stream_open(&connection->stream, fabric->options.ring, fd);
        return true;
    }
    const struct mkv_stream_plain_answer plain_answer = {fabric->plain_answer,
                                                         fabric->plain_answer_bytes};
    return mkv_stream_open_tls(&connection->stream, fabric->options.ring, fd, fabric->options.tls,
                               plain_answer);
}

bool mkv_tcp_connection_start(struct mkv_fabric_tcp *fabric, int fd,
                              const struct mkv_fabric_session *session,
                              const struct mkv_fabric_tcp_move *moved) {
    struct mkv_tcp_connection *connection = take_free(fabric);
    MKV_ASSERT(connection->state == MKV_TCP_FREE);
    MKV_ASSERT(!connection->waiting);
    if (!open_stream(connection, fd)) {
        give_free(connection);
        return false;
    }

    connection->state = MKV_TCP_OPEN;
    connection->left = false;
    connection->greeted = false;
    connection->known = false;
    connection->session = *session;
    connection->awaits_auth = false;
    connection->names_tenant = false;
    connection->auth_refusal_ns = 0;
    connection->tenant_name[0] = '\0';
    connection->client_name[0] = '\0';
    connection->ring_member = MKV_RING_NO_MEMBER;
    connection->connected_ns = fabric->now_ns;
    connection->timeout_ns = fabric->now_ns + fabric->options.hello_ns;
    connection->paused = false;
    connection->receiving = MKV_TCP_RECEIVING_FRAME;
    connection->control_start = 0;
    connection->control_end = 0;
    connection->header_known = false;
    connection->own_pending = false;
    connection->rest = MKV_TCP_AWAKE;
    mkv_tcp_rest_end(connection);
    connection->refusal.announced = false;
    fabric->counters.connections_active++;
    if (moved == NULL) {
        fabric->counters.connections_accepted_total++;
    } else {
        memcpy(connection->control, moved->bytes, moved->byte_count);
        connection->control_end = moved->byte_count;
        connection->arrived_ns = fabric->now_ns;
        connection->frame_ns = fabric->now_ns;
    }
    mkv_tcp_receive_continue(connection);
    return true;
}

void mkv_tcp_connection_touch(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (connection->touched) {
        return;
    }
    connection->touched = true;
    connection->touched_next = NULL;
    if (fabric->touched_tail == NULL) {
        fabric->touched_head = connection;
    } else {
        fabric->touched_tail->touched_next = connection;
    }
    fabric->touched_tail = connection;
}

void mkv_tcp_connection_await_buffer(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (connection->waiting) {
        return;
    }
    connection->waiting = true;
    connection->waiting_next = NULL;
    if (fabric->waiting_tail == NULL) {
        fabric->waiting_head = connection;
    } else {
        fabric->waiting_tail->waiting_next = connection;
    }
    fabric->waiting_tail = connection;
}

static void leave_waiting(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (!connection->waiting) {
        return;
    }
    struct mkv_tcp_connection *before = NULL;
    struct mkv_tcp_connection *at = fabric->waiting_head;
    while (at != connection) {
        before = at;
        at = at->waiting_next;
        MKV_ASSERT(at != NULL);
    }
    if (before == NULL) {
        fabric->waiting_head = connection->waiting_next;
    } else {
        before->waiting_next = connection->waiting_next;
    }
    if (fabric->waiting_tail == connection) {
        fabric->waiting_tail = before;
    }
    connection->waiting = false;
    connection->waiting_next = NULL;
}

/* ---- changes of state ----------------------------------------------------------------------- */

void mkv_tcp_connection_break(struct mkv_tcp_connection *connection) {
    MKV_ASSERT(connection->state != MKV_TCP_FREE);
    if (connection->state == MKV_TCP_BROKEN) {
        return;
    }
    connection->state = MKV_TCP_BROKEN;
    mkv_tcp_rest_end(connection);
    mkv_tcp_lane_stop(connection, MKV_LANE_REASON_CLOSED);
    mkv_stream_abort(&connection->stream);
    mkv_tcp_connection_touch(connection);
}

void mkv_tcp_connection_leave(struct mkv_tcp_connection *connection) {
    MKV_ASSERT(connection->state == MKV_TCP_OPEN);
    MKV_ASSERT(!connection->receive_in_flight);
    MKV_ASSERT(mkv_tcp_connection_owes_nothing(connection));
    connection->state = MKV_TCP_BROKEN;
    connection->left = true;
    (void)mkv_stream_detach(&connection->stream);
    mkv_tcp_connection_touch(connection);
}

void mkv_tcp_connection_refuse(struct mkv_tcp_connection *connection, uint32_t fault) {
    MKV_ASSERT(connection->state == MKV_TCP_OPEN);
    /* A lane's socket is always waited for. */
    MKV_ASSERT(connection->lane != NULL || !connection->receive_in_flight);
    struct mkv_fabric_tcp *fabric = connection->fabric;
    fabric->counters.faults_total[fault]++;
    connection->state = MKV_TCP_REFUSED;
    connection->timeout_ns = fabric->now_ns + fabric->options.close_ns;

    int text_bytes = snprintf(connection->work->refusal_text, sizeof connection->work->refusal_text,
                              "%s", mkv_fabric_fault_text(fault));
    MKV_ASSERT(text_bytes > 0);
    MKV_ASSERT((size_t)text_bytes < sizeof connection->work->refusal_text);
    const struct mkv_native_header header = {
        .op = connection->header.op,
        .flags = MKV_NATIVE_FLAG_ANSWER,
        .request_id = connection->header.request_id,
        .body_bytes = (uint32_t)text_bytes,
        .status = mkv_fabric_fault_status(fault),
    };
    connection->refusal = (struct mkv_tcp_op){.kind = MKV_TCP_OP_OWN, .ends = true};
    mkv_tcp_send_own(connection, &connection->refusal, &header,
                     (const uint8_t *)connection->work->refusal_text);
}

void mkv_tcp_connection_half_close(struct mkv_tcp_connection *connection) {
    MKV_ASSERT(connection->state == MKV_TCP_OPEN);
    connection->state = MKV_TCP_HALF_CLOSED;
    mkv_tcp_connection_touch(connection);
}

/* Ends the socket behind all that was sent: over a lane that is when the client has it. */
static void linger(struct mkv_tcp_connection *connection) {
    if (!mkv_tcp_lane_has_sent(connection)) {
        mkv_tcp_connection_touch(connection);
        return;
    }
    connection->state = MKV_TCP_LINGERING;
    mkv_tcp_rest_end(connection);
    connection->timeout_ns = connection->fabric->now_ns + connection->fabric->options.close_ns;
    mkv_stream_shutdown_send(&connection->stream);
    mkv_tcp_receive_drop(connection);
}

bool mkv_tcp_connection_owes_nothing(const struct mkv_tcp_connection *connection) {
    return connection->request_count == 0 && connection->queue.head == NULL &&
           !connection->send_in_flight && !mkv_tcp_lane_has_ops(connection);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void give_buffers(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (connection->body != NULL) {
        mkv_tcp_pool_give(fabric, &fabric->bodies, connection->body);
        connection->body = NULL;
    }
    if (connection->own_body != NULL) {
        mkv_tcp_pool_give(fabric, &fabric->bodies, connection->own_body);
        connection->own_body = NULL;
    }
    if (connection->inline_payload != NULL) {
        mkv_tcp_pool_give(fabric, &fabric->inlines, connection->inline_payload);
        connection->inline_payload = NULL;
    }
    if (connection->inline_counted) {
        connection->inline_counted = false;
        mkv_fabric_auth_request_end(fabric->options.auth, &connection->session,
                                    connection->inline_bytes);
    }
    while (connection->request_count > 0) {
        mkv_tcp_request_end(connection, &connection->work->requests[0]);
    }
}

/* Nothing of the connection is in the kernel any more. */
static void reap(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    MKV_ASSERT(!connection->receive_in_flight);
    MKV_ASSERT(!connection->send_in_flight);
    if (connection->request_count > 0 || connection->answers_owed > 0) {
        fabric->counters.connections_broken_total++;
    }
    mkv_tcp_lane_release(connection);
    mkv_tcp_ops_fail(connection);
    leave_waiting(connection);
    give_buffers(connection);
    mkv_tcp_lane_close(connection);
    if (!connection->left) {
        mkv_fabric_auth_close(fabric->options.auth, &connection->session);
        mkv_stream_close(&connection->stream);
    }
    if (fabric->options.ring_views != NULL) {
        mkv_ring_views_gone(fabric->options.ring_views, &connection->ring_member);
    }
    mkv_tcp_window_close(connection);

    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = MKV_FABRIC_CONNECTION_CLOSED;
    input.fabric.connection = connection->id;
    const bool known = connection->known;
    connection->state = MKV_TCP_FREE;
    connection->rest = MKV_TCP_AWAKE; /* one with a lane may have ended in its sleep */
    connection->received_ns = fabric->now_ns;
    connection->id.generation++;
    fabric->counters.connections_active--;
    give_free(connection);
    if (known) {
        fabric->base.sink.input(fabric->base.sink.context, &input);
    }
}

/* ---- rounds --------------------------------------------------------------------------------- */

void mkv_tcp_connection_advance(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (connection->state == MKV_TCP_OPEN && connection->paused && !connection->waiting) {
        connection->paused = false;
        mkv_tcp_receive_continue(connection);
    }
    mkv_tcp_lane_advance(connection);
    mkv_tcp_send_continue(connection);
    mkv_tcp_lane_turn_end(connection);
    switch (connection->state) {
    case MKV_TCP_FREE:
        break;
    case MKV_TCP_OPEN:
        if (fabric->draining && mkv_tcp_connection_owes_nothing(connection) &&
            !mkv_tcp_receive_is_within_frame(connection)) {
            linger(connection);
        }
        break;
    case MKV_TCP_HALF_CLOSED:
        if (mkv_tcp_connection_owes_nothing(connection)) {
            mkv_tcp_connection_break(connection);
        }
        break;
    case MKV_TCP_REFUSED:
        if (connection->refusal.announced) {
            linger(connection);
        }
        break;
    case MKV_TCP_LINGERING:
        break;
    case MKV_TCP_BROKEN:
        if (!connection->receive_in_flight && !connection->send_in_flight &&
            mkv_tcp_lane_is_ended(connection)) {
            reap(connection);
        }
        break;
    }
}

void mkv_tcp_connection_sweep(struct mkv_tcp_connection *connection, uint32_t *rests) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (connection->state == MKV_TCP_BROKEN) {
        return;
    }
    if (connection->state == MKV_TCP_FREE) {
        mkv_tcp_rest_consider(connection, rests);
        return;
    }
    const uint64_t now_ns = fabric->now_ns;
    const uint64_t stall_ns = fabric->options.stall_ns;
    if (connection->auth_refusal_ns != 0) {
        mkv_tcp_connection_touch(connection); /* it looks by itself whether it is time */
        return;
    }
    if (connection->state == MKV_TCP_OPEN && (!connection->greeted || connection->awaits_auth) &&
        now_ns >= connection->timeout_ns) {
        fabric->counters.faults_total[MKV_FABRIC_FAULT_SILENT]++;
        mkv_tcp_connection_break(connection);
        return;
    }
    const bool is_received =
        connection->lane == NULL ? connection->receive_in_flight : !connection->paused;
    const bool receive_stalled = connection->state == MKV_TCP_OPEN && is_received &&
                                 mkv_tcp_receive_is_within_frame(connection) &&
                                 now_ns >= connection->received_ns + stall_ns;
    const bool send_stalled =
        (connection->send_in_flight && now_ns >= connection->send_ns + stall_ns) ||
        mkv_tcp_lane_is_stalled(connection);
    if (receive_stalled || send_stalled) {
        fabric->counters.faults_total[MKV_FABRIC_FAULT_STALLED]++;
        mkv_tcp_connection_break(connection);
        return;
    }
    const bool is_closing =
        connection->state == MKV_TCP_REFUSED || connection->state == MKV_TCP_LINGERING;
    if (is_closing && now_ns >= connection->timeout_ns) {
        mkv_tcp_connection_break(connection);
        return;
    }
    mkv_tcp_rest_consider(connection, rests);
}
