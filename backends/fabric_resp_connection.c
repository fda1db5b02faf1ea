/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection: the states of fabric_resp.h and what moves between them.
 */
#include "backends/fabric_resp_internal.h"

#include <string.h>

/* What is set once, when a place is first used. */
static void connection_make(struct mkv_fabric_resp *fabric, uint32_t place) {
    struct mkv_resp_connection *connection = &fabric->connections[place];
    connection->fabric = fabric;
    connection->id = (struct mkv_connection_id){fabric->options.connection_base + place, 1};
    connection->receive.done = mkv_resp_receive_done;
    connection->send.done = mkv_resp_send_done;
}

static bool open_stream(struct mkv_resp_connection *connection, int fd) {
    static const char plain[] = "-ERR this port speaks TLS: connect with TLS, and the certificate "
                                "that the client is to trust\r\n";
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (fabric->options.tls == NULL) {
        mkv_stream_open(&connection->stream, fabric->options.ring, fd);
        return true;
    }
    const struct mkv_stream_plain_answer answer = {(const uint8_t *)plain, sizeof plain - 1};
    return mkv_stream_open_tls(&connection->stream, fabric->options.ring, fd, fabric->options.tls,
                               answer);
}

bool mkv_resp_connection_start(struct mkv_fabric_resp *fabric, int fd) {
    MKV_ASSERT(fabric->free_connection_count > 0);
    fabric->free_connection_count--;
    const uint32_t place = fabric->free_connections[fabric->free_connection_count];
    struct mkv_resp_connection *connection = &fabric->connections[place];
    if (place >= fabric->connections_used) {
        connection_make(fabric, place);
        fabric->connections_used = place + 1;
    }
    MKV_ASSERT(connection->state == MKV_RESP_FREE);
    MKV_ASSERT(connection->work == NULL);
    MKV_ASSERT(connection->entries_head == NULL);

    if (!open_stream(connection, fd)) {
        fabric->free_connections[fabric->free_connection_count] = place;
        fabric->free_connection_count++;
        return false;
    }
    connection->state = MKV_RESP_OPEN;
    connection->identity = (struct mkv_resp_identity){0};
    connection->protocol = 2;
    connection->known = false;
    connection->connected_ns = fabric->now_ns;
    connection->last_ns = fabric->now_ns;
    connection->commands = 0;
    connection->command = MKV_RESP_COMMAND_OTHER;
    connection->other_command[0] = '\0';
    connection->parser = (struct mkv_resp_parser){.large_above = MKV_RESP_SMALL_BYTES,
                                                  .stranger = connection->session.grant == NULL};
    connection->step = MKV_RESP_STEP_PARSE;
    connection->refused = false;
    connection->closes = false;
    connection->large_before = false;
    connection->value = NULL;
    connection->value_kept = false;
    connection->readable = false;
    connection->sum = 0;
    connection->sum_status = MKV_STATUS_OK;
    connection->queued = 0;
    connection->sent = 0;
    fabric->counters.connections_active++;
    fabric->counters.connections_accepted_total++;
    mkv_resp_receive_continue(connection);
    return true;
}

void mkv_resp_connection_touch(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
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

/* ---- changes of state ----------------------------------------------------------------------- */

void mkv_resp_connection_break(struct mkv_resp_connection *connection) {
    MKV_ASSERT(connection->state != MKV_RESP_FREE);
    if (connection->state == MKV_RESP_BROKEN) {
        return;
    }
    connection->state = MKV_RESP_BROKEN;
    mkv_stream_abort(&connection->stream);
    mkv_resp_connection_touch(connection);
}

void mkv_resp_connection_leave(struct mkv_resp_connection *connection) {
    if (connection->state == MKV_RESP_OPEN) {
        connection->state = MKV_RESP_LEAVING;
        connection->timeout_ns = connection->fabric->now_ns + connection->fabric->options.close_ns;
        mkv_resp_connection_touch(connection);
    }
}

/* Whether everything was replied, and all of it is with the kernel. */
static bool owes_nothing(const struct mkv_resp_connection *connection) {
    return connection->entries_head == NULL && connection->queued == connection->sent &&
           !connection->send_in_flight && connection->slot == NULL;
}

static void linger(struct mkv_resp_connection *connection) {
    connection->state = MKV_RESP_LINGERING;
    connection->timeout_ns = connection->fabric->now_ns + connection->fabric->options.close_ns;
    mkv_stream_shutdown_send(&connection->stream);
    mkv_resp_work_give_unused(connection);
    mkv_resp_receive_drop(connection);
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Nothing of the connection is in the kernel any more. */
static void reap(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    MKV_ASSERT(connection->receiving == MKV_RESP_RECEIVING_NOTHING);
    MKV_ASSERT(!connection->send_in_flight);
    if (connection->entries_head != NULL || connection->sent_ops.head != NULL) {
        fabric->counters.connections_broken_total++;
    }
    connection->value = NULL;
    mkv_resp_ops_fail(connection);
    mkv_resp_call_drop(connection);
    mkv_resp_await_leave(connection);
    if (connection->work != NULL) {
        mkv_resp_work_give(connection);
    }
    mkv_stream_close(&connection->stream);
    mkv_fabric_auth_close(fabric->options.auth, &connection->session);

    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = MKV_FABRIC_CONNECTION_CLOSED;
    input.fabric.connection = connection->id;
    const bool known = connection->known;
    connection->state = MKV_RESP_FREE;
    connection->id.generation++;
    fabric->counters.connections_active--;
    fabric->free_connections[fabric->free_connection_count] =
        connection->id.index - fabric->options.connection_base;
    fabric->free_connection_count++;
    if (known) {
        fabric->base.sink.input(fabric->base.sink.context, &input);
    }
}

/* ---- rounds --------------------------------------------------------------------------------- */

/* An idle connection needs no memory: its workspace goes back, unless bytes may come into it; nor
 * does one whose value nobody wants, if nothing of the command is kept. */
static void settle(struct mkv_resp_connection *connection) {
    const bool needs_none =
        connection->receiving == MKV_RESP_RECEIVING_WAIT ||
        (connection->receiving == MKV_RESP_RECEIVING_DROP && !connection->keeps);
    if (needs_none && owes_nothing(connection)) {
        mkv_resp_work_give_unused(connection);
    }
}

void mkv_resp_connection_advance(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    const bool is_open = connection->state == MKV_RESP_OPEN;
    if (is_open || connection->state == MKV_RESP_HALF_CLOSED ||
        connection->state == MKV_RESP_LEAVING) {
        (void)mkv_resp_emit(connection);
        mkv_resp_receive_continue(connection);
        if (mkv_resp_emit(connection)) {
            mkv_resp_connection_touch(connection); /* a command may have waited for that */
        }
        mkv_resp_send_continue(connection);
    }
    switch (connection->state) {
    case MKV_RESP_FREE:
        break;
    case MKV_RESP_OPEN:
        settle(connection);
        if (fabric->draining && owes_nothing(connection) &&
            !mkv_resp_receive_is_within(connection)) {
            mkv_resp_connection_leave(connection);
        }
        break;
    case MKV_RESP_HALF_CLOSED:
        if (owes_nothing(connection)) {
            mkv_resp_connection_break(connection);
        }
        break;
    case MKV_RESP_LEAVING:
        if (owes_nothing(connection)) {
            linger(connection);
        }
        break;
    case MKV_RESP_LINGERING:
        break;
    case MKV_RESP_BROKEN:
        if (connection->receiving == MKV_RESP_RECEIVING_NOTHING && !connection->send_in_flight) {
            reap(connection);
        }
        break;
    }
}

/* ---- timeouts ------------------------------------------------------------------------------- */

/* Whether the client has stopped in the middle of a command, or of its bytes. */
static bool receive_is_stalled(const struct mkv_resp_connection *connection) {
    const struct mkv_fabric_resp *fabric = connection->fabric;
    if (connection->state != MKV_RESP_OPEN || !mkv_resp_receive_is_within(connection)) {
        return false;
    }
    if (connection->receiving == MKV_RESP_RECEIVING_DIRECT ||
        connection->receiving == MKV_RESP_RECEIVING_DROP ||
        (connection->receiving == MKV_RESP_RECEIVING_INPUT &&
         connection->step == MKV_RESP_STEP_VALUE)) {
        return fabric->now_ns >= connection->received_ns + fabric->options.stall_ns;
    }
    /* WAIT: behind bytes that were dropped. */
    if (connection->receiving != MKV_RESP_RECEIVING_INPUT &&
        connection->receiving != MKV_RESP_RECEIVING_WAIT) {
        return false; /* it waits for us */
    }
    /* One byte at a time is no progress: a command has to be whole in time. */
    const uint64_t stall_ns =
        fabric->is_hurried ? mkv_min_u64(MKV_FABRIC_RESP_STALL_SHORT_NS, fabric->options.stall_ns)
                           : fabric->options.stall_ns;
    return fabric->now_ns >= mkv_max_u64(connection->command_ns, connection->resumed_ns) + stall_ns;
}

void mkv_resp_connection_sweep(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    const uint64_t now_ns = fabric->now_ns;
    if (connection->state == MKV_RESP_FREE || connection->state == MKV_RESP_BROKEN) {
        return;
    }
    if (!mkv_stream_is_established(&connection->stream) &&
        now_ns >= connection->connected_ns + fabric->options.handshake_ns) {
        fabric->counters.faults_total[MKV_FABRIC_FAULT_TLS]++;
        mkv_resp_connection_break(connection);
        return;
    }
    const bool send_stalled =
        connection->send_in_flight && now_ns >= connection->send_ns + fabric->options.stall_ns;
    if (send_stalled || receive_is_stalled(connection)) {
        fabric->counters.faults_total[MKV_FABRIC_FAULT_STALLED]++;
        mkv_resp_connection_break(connection);
        return;
    }
    const bool is_closing = connection->state == MKV_RESP_LINGERING ||
                            (connection->state == MKV_RESP_LEAVING && !connection->send_in_flight &&
                             connection->entries_head == NULL);
    if (is_closing && now_ns >= connection->timeout_ns) {
        mkv_resp_connection_break(connection);
        return;
    }
    if (connection->step == MKV_RESP_STEP_DELAY && now_ns >= connection->delay_ns) {
        mkv_resp_connection_touch(connection);
    }
    /* Who has been silent for a while waits without a workspace. */
    const bool is_idle = connection->state == MKV_RESP_OPEN &&
                         connection->receiving == MKV_RESP_RECEIVING_INPUT &&
                         !mkv_resp_receive_is_within(connection) && owes_nothing(connection) &&
                         now_ns >= connection->received_ns + MKV_RESP_IDLE_NS;
    if (is_idle && !connection->cancelled) {
        connection->cancelled = true;
        mkv_stream_receive_cancel(&connection->stream, &connection->receive);
    }
}
