/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a lane: CONNECT, bytes in and out, the end. What it moves by READ and WRITE is in
 * fabric_tcp_lane_transfer.c.
 */
#include "backends/fabric_tcp_lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/acceptor.h"
#include "backends/clock.h"

#define PEER_BYTES 64u
#define SHUTTING_DOWN "the server is shutting down"

bool mkv_tcp_lane_is_used(const struct mkv_tcp_connection *connection) {
    return connection->lane != NULL && connection->lane->is_used;
}

bool mkv_tcp_lane_is_granted(const struct mkv_fabric_tcp *fabric) {
    const struct mkv_fabric_tcp_options *options = &fabric->options;
    return options->lane_ports != NULL && options->tls == NULL && !options->is_local &&
           mkv_lane_ports_is_configured(options->lane_ports);
}

/* ---- what happens to it; from within a poll of the ports ------------------------------------- */

static void opened(void *context) {
    struct mkv_tcp_lane *lane = context;
    struct mkv_fabric_lane_counters *counters = &lane->connection->fabric->lanes;
    counters->opened_total++;
    counters->recoveries_total += lane->fallback != MKV_NATIVE_FALLBACK_NONE;
    mkv_tcp_connection_touch(lane->connection);
}

static void readable(void *context) {
    struct mkv_tcp_lane *lane = context;
    struct mkv_tcp_connection *connection = lane->connection;
    lane->is_readable = true;
    if (connection->rest == MKV_TCP_RESTING) {
        connection->rest = MKV_TCP_AWAKE;
        mkv_tcp_rest_end(connection);
    }
    mkv_tcp_connection_touch(connection);
}

static void writable(void *context) {
    struct mkv_tcp_lane *lane = context;
    mkv_tcp_connection_touch(lane->connection);
}

static void transfer_done(void *context, uint64_t tag, bool is_ok) {
    struct mkv_tcp_lane *lane = context;
    mkv_tcp_lane_piece_done(lane, tag, is_ok);
    mkv_tcp_connection_touch(lane->connection);
}

/* The server exposes no memory. */
static void exposure_end(void *context, uint64_t tag) {
    (void)context;
    MKV_ASSERT(tag == 0);
    MKV_ASSERT(false);
}

/* A peer that closes, or whose connection has ended, is no failure. */
static bool is_failure(enum mkv_lane_reason reason) {
    return reason != MKV_LANE_REASON_NONE && reason != MKV_LANE_REASON_CLOSED &&
           reason != MKV_LANE_REASON_PEER;
}

static void broken(void *context, enum mkv_lane_reason reason, const char *problem) {
    struct mkv_tcp_lane *lane = context;
    struct mkv_tcp_connection *connection = lane->connection;
    MKV_ASSERT((uint32_t)reason < MKV_LANE_REASON_COUNT);
    lane->is_stopped = true;
    if (is_failure(reason)) {
        char peer[PEER_BYTES];
        char text[PEER_BYTES + MKV_VERBS_PROBLEM_BYTES + 64];
        connection->fabric->lanes.failures_total[reason]++;
        mkv_acceptor_peer_text(connection->stream.fd, peer, sizeof peer);
        snprintf(text, sizeof text, "the connection of %s (%s) broke: %s: %s", peer,
                 connection->client_name, mkv_lane_reason_name(reason), problem);
        mkv_lane_ports_tell(lane->port, MKV_LANE_PORT_LANE_BROKEN, text);
    }
    mkv_tcp_connection_break(connection);
}

static void drained(void *context) {
    struct mkv_tcp_lane *lane = context;
    lane->is_drained = true;
    mkv_tcp_connection_touch(lane->connection);
}

static const struct mkv_endpoint_ops endpoint_ops = {
    .opened = opened,
    .readable = readable,
    .writable = writable,
    .transfer_done = transfer_done,
    .exposure_end = exposure_end,
    .broken = broken,
    .drained = drained,
};

/* ---- CONNECT --------------------------------------------------------------------------------- */

/* The connection goes on without; the first word tells the client why. */
static enum mkv_tcp_frame refuse(struct mkv_tcp_connection *connection,
                                 const struct mkv_native_connect *peer,
                                 enum mkv_native_refusal refusal, const char *text) {
    char *target = (char *)connection->work->own_bytes;
    const int byte_count =
        snprintf(target, MKV_TCP_TEXT_BYTES, "%s: %s", mkv_native_refusal_name(refusal), text);
    MKV_ASSERT(byte_count > 0);
    connection->fabric->lanes.refusals_total[refusal] += peer->fallback == MKV_NATIVE_FALLBACK_NONE;
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_UNAVAILABLE, connection->work->own_bytes,
                         (uint32_t)mkv_min_u64((uint64_t)byte_count, MKV_NATIVE_TEXT_BYTES_MAX));
    return MKV_TCP_FRAME_TAKEN;
}

static struct mkv_tcp_lane *lane_make(struct mkv_tcp_connection *connection,
                                      struct mkv_lane_port *port, char *problem) {
    const size_t slot_count = (size_t)connection->fabric->options.hello.requests_max + 1u;
    struct mkv_tcp_lane *lane = calloc(1, sizeof *lane + slot_count * sizeof lane->slots[0]);
    if (lane == NULL) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "the server has no memory for it");
        return NULL;
    }
    lane->connection = connection;
    lane->port = port;
    if (!mkv_endpoint_create(port->verbs, &endpoint_ops, lane, &lane->endpoint, problem)) {
        free(lane);
        return NULL;
    }
    port->lane_count++;
    connection->fabric->lanes.connections_active++;
    return lane;
}

static void endpoint_free(struct mkv_tcp_lane *lane) {
    lane->connection->fabric->lanes.errors_total +=
        mkv_endpoint_counters(lane->endpoint)->errors_total;
    mkv_endpoint_destroy(lane->endpoint);
    lane->endpoint = NULL;
    mkv_tcp_lane_rounds_leave(lane);
}

static void lane_free(struct mkv_tcp_lane *lane) {
    MKV_ASSERT(lane->endpoint == NULL);
    MKV_ASSERT(lane->port->lane_count > 0);
    lane->port->lane_count--;
    lane->connection->fabric->lanes.connections_active--;
    free(lane);
}

/* Its endpoint is the driver's for as long as that likes. */
static void lane_leave(struct mkv_tcp_lane *lane) {
    mkv_lane_ports_leave(lane->port, lane->reach);
    lane->connection->fabric->lanes.connections_active--;
    free(lane);
}

/* The stream of the connection is the lane's as soon as the client has the answer. */
static enum mkv_tcp_frame answer(struct mkv_tcp_connection *connection, struct mkv_tcp_lane *lane) {
    struct mkv_native_connect own;
    mkv_endpoint_parameters(lane->endpoint, &own);
    mkv_native_connect_encode(&own, connection->work->own_bytes);
    connection->lane = lane;
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, connection->work->own_bytes,
                         MKV_NATIVE_CONNECT_BYTES);
    /* Nothing may come over the socket any more but its end. */
    connection->receive_in_flight = true;
    mkv_stream_wait_readable(&connection->stream, &connection->receive);
    return MKV_TCP_FRAME_TAKEN;
}

/* ---- while the client is looked for ---------------------------------------------------------- */

/* False: there is no memory, or no thread. */
static bool coming_begin(struct mkv_tcp_connection *connection, struct mkv_tcp_lane *lane) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    lane->reach = mkv_lane_ports_reach(lane->port, lane->endpoint, fabric->now_ns);
    if (lane->reach == NULL) {
        return false;
    }
    connection->coming = lane;
    lane->coming_next = fabric->coming;
    fabric->coming = lane;
    fabric->coming_count++;
    return true;
}

/* Whether nobody need wait for it any more: it is done, or hangs. */
static bool has_come(const struct mkv_tcp_lane *lane) {
    return mkv_lane_reach_is_done(lane->reach) ||
           mkv_lane_reach_is_late(lane->reach, lane->connection->fabric->now_ns);
}

static bool is_coming(const struct mkv_tcp_connection *connection) {
    return connection->coming != NULL && !has_come(connection->coming);
}

/* Those that found no place have their turn. */
static void coming_retry(struct mkv_fabric_tcp *fabric) {
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        struct mkv_tcp_connection *connection = &fabric->connections[i];
        if (connection->state == MKV_TCP_OPEN && connection->paused) {
            mkv_tcp_connection_touch(connection);
        }
    }
    fabric->coming_waits = false;
}

/* Whatever came of it, the lane is the connection's no more. */
static struct mkv_tcp_lane *coming_end(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    struct mkv_tcp_lane *lane = connection->coming;
    struct mkv_tcp_lane **link = &fabric->coming;
    while (*link != lane) {
        link = &(*link)->coming_next;
        MKV_ASSERT(*link != NULL);
    }
    *link = lane->coming_next;
    MKV_ASSERT(fabric->coming_count > 0);
    fabric->coming_count--;
    connection->coming = NULL;
    if (fabric->coming_waits) {
        coming_retry(fabric);
    }
    return lane;
}

void mkv_tcp_lanes_come(struct mkv_fabric_tcp *fabric) {
    for (struct mkv_tcp_lane *lane = fabric->coming; lane != NULL; lane = lane->coming_next) {
        if (has_come(lane)) {
            mkv_tcp_connection_touch(lane->connection);
        }
    }
}

/* The client has been looked for, for as long as anybody waits. */
static enum mkv_tcp_frame coming_take(struct mkv_tcp_connection *connection,
                                      const struct mkv_native_connect *peer) {
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    struct mkv_tcp_lane *lane = coming_end(connection);
    struct mkv_lane_port *port = lane->port;
    if (!mkv_lane_reach_is_done(lane->reach)) {
        lane_leave(lane);
        return refuse(connection, peer, MKV_NATIVE_REFUSAL_NO_DEVICE, MKV_LANE_STUCK_TEXT);
    }
    const int reached = mkv_lane_reach_end(lane->reach);
    const bool is_draining = connection->fabric->draining;
    if (is_draining ||
        !mkv_endpoint_connect_end(lane->endpoint, reached, mkv_clock_monotonic_ns(), problem)) {
        endpoint_free(lane);
        lane_free(lane);
        return is_draining ? refuse(connection, peer, MKV_NATIVE_REFUSAL_OFF, SHUTTING_DOWN)
                           : refuse(connection, peer, MKV_NATIVE_REFUSAL_PARAMETERS, problem);
    }
    port->is_dirty = true;
    return answer(connection, lane);
}

enum mkv_tcp_frame mkv_tcp_lane_connect(struct mkv_tcp_connection *connection,
                                        const uint8_t *body) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    struct mkv_native_connect peer;
    char problem[MKV_VERBS_PROBLEM_BYTES] = "";
    const enum mkv_native_error error = mkv_native_connect_decode(&connection->header, body, &peer);
    const bool is_alone = connection->control_end - connection->control_start ==
                          MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_CONNECT_BYTES;
    if (error != MKV_NATIVE_OK || !is_alone) {
        mkv_tcp_connection_refuse(connection,
                                  error != MKV_NATIVE_OK ? (uint32_t)error : MKV_FABRIC_FAULT_RDMA);
        return MKV_TCP_FRAME_REFUSED;
    }
    if (connection->coming != NULL) {
        return is_coming(connection) ? MKV_TCP_FRAME_PAUSED : coming_take(connection, &peer);
    }
    if (!mkv_tcp_connection_owes_nothing(connection)) {
        return MKV_TCP_FRAME_PAUSED; /* what is owed leaves over TCP */
    }
    if (fabric->coming_count == MKV_TCP_LANES_COMING_MAX) {
        fabric->coming_waits = true;
        return MKV_TCP_FRAME_PAUSED;
    }
    fabric->lanes.connects_total++;
    if (fabric->draining) {
        return refuse(connection, &peer, MKV_NATIVE_REFUSAL_OFF, SHUTTING_DOWN);
    }
    struct in6_addr address;
    struct mkv_lane_port *port =
        mkv_lane_ports_choose(fabric->options.lane_ports, connection->stream.fd, &address);
    if (port == NULL) {
        return refuse(connection, &peer, MKV_NATIVE_REFUSAL_NO_DEVICE,
                      mkv_lane_ports_reason(fabric->options.lane_ports));
    }
    struct mkv_tcp_lane *lane = lane_make(connection, port, problem);
    if (lane == NULL) {
        return refuse(connection, &peer, MKV_NATIVE_REFUSAL_FULL, problem);
    }
    lane->fallback = mkv_native_fallback_known(peer.fallback);
    mkv_endpoint_set_address(lane->endpoint, address.s6_addr);
    if (!mkv_endpoint_connect_begin(lane->endpoint, &peer, problem)) {
        endpoint_free(lane);
        lane_free(lane);
        return refuse(connection, &peer, MKV_NATIVE_REFUSAL_PARAMETERS, problem);
    }
    if (!coming_begin(connection, lane)) {
        endpoint_free(lane);
        lane_free(lane);
        return refuse(connection, &peer, MKV_NATIVE_REFUSAL_FULL,
                      "the server has no memory or no thread for it");
    }
    return MKV_TCP_FRAME_PAUSED;
}

void mkv_tcp_lane_answered(struct mkv_tcp_connection *connection) {
    if (connection->lane != NULL) {
        connection->lane->is_used = true;
    }
}

void mkv_tcp_lane_count_fallback(struct mkv_fabric_tcp *fabric, uint32_t fallback) {
    if (fallback != MKV_NATIVE_FALLBACK_NONE) {
        fabric->lanes.fallbacks_total[mkv_native_fallback_known(fallback)]++;
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

uint32_t mkv_tcp_lane_receive(struct mkv_tcp_connection *connection, uint8_t *bytes,
                              uint32_t bytes_max) {
    struct mkv_tcp_lane *lane = connection->lane;
    if (lane->is_stopped) {
        return 0;
    }
    const size_t count =
        mkv_endpoint_receive(lane->endpoint, bytes, bytes_max, connection->fabric->now_ns);
    lane->port->is_dirty = lane->port->is_dirty || count > 0; /* credits may go back */
    lane->is_readable = count > 0;
    return (uint32_t)count;
}

void mkv_tcp_lane_send(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_lane *lane = connection->lane;
    MKV_ASSERT(connection->send_in_flight);
    if (lane->is_stopped) {
        return;
    }
    const uint64_t now_ns = connection->fabric->now_ns;
    const size_t count = mkv_endpoint_send(lane->endpoint, connection->message.msg_iov,
                                           connection->message.msg_iovlen, now_ns);
    if (count > 0) {
        connection->send_ns = now_ns;
        lane->port->is_dirty = true;
        mkv_tcp_send_advanced(connection, count);
    }
}

/* ---- rounds ---------------------------------------------------------------------------------- */

void mkv_tcp_lane_advance(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_lane *lane = connection->lane;
    if (lane == NULL) {
        return;
    }
    if (lane->is_readable && connection->state == MKV_TCP_OPEN && !connection->paused) {
        mkv_tcp_receive_continue(connection);
    }
    if (lane->turn_requests > 0 && connection->state == MKV_TCP_OPEN && connection->paused) {
        mkv_tcp_receive_overtake(connection);
    }
    mkv_tcp_lane_transfers_advance(lane);
    if (lane->is_used && connection->send_in_flight && connection->state != MKV_TCP_BROKEN) {
        mkv_tcp_lane_send(connection);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void mkv_tcp_lane_lifeline(struct mkv_tcp_connection *connection) {
    if (connection->state != MKV_TCP_BROKEN) {
        mkv_tcp_lane_stop(connection, MKV_LANE_REASON_PEER);
    }
    mkv_tcp_connection_break(connection);
    mkv_tcp_connection_touch(connection);
}

void mkv_tcp_lane_stop(struct mkv_tcp_connection *connection, enum mkv_lane_reason reason) {
    struct mkv_tcp_lane *lane = connection->lane;
    if (lane == NULL) {
        return;
    }
    if (!lane->is_stopped) {
        lane->is_stopped = true;
        lane->port->is_dirty = true;
        (void)mkv_endpoint_stop(lane->endpoint, reason, mkv_clock_monotonic_ns());
    }
    if (lane->is_used) {
        connection->send_in_flight = false; /* it is not the kernel's */
    }
}

bool mkv_tcp_lane_has_sent(const struct mkv_tcp_connection *connection) {
    const struct mkv_tcp_lane *lane = connection->lane;
    return lane == NULL || lane->is_stopped || mkv_endpoint_has_sent(lane->endpoint);
}

bool mkv_tcp_lane_is_ended(const struct mkv_tcp_connection *connection) {
    return !is_coming(connection) && (connection->lane == NULL || connection->lane->is_drained);
}

void mkv_tcp_lane_release(struct mkv_tcp_connection *connection) {
    if (connection->coming != NULL) {
        struct mkv_tcp_lane *lane = coming_end(connection);
        if (mkv_lane_reach_is_done(lane->reach)) {
            (void)mkv_lane_reach_end(lane->reach);
            endpoint_free(lane);
            lane_free(lane);
        } else {
            lane_leave(lane);
        }
    }
    if (connection->lane != NULL) {
        MKV_ASSERT(connection->lane->is_drained);
        endpoint_free(connection->lane);
    }
}

void mkv_tcp_lane_close(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_lane *lane = connection->lane;
    if (lane != NULL) {
        MKV_ASSERT(lane->is_drained);
        MKV_ASSERT(lane->reads.head == NULL);
        MKV_ASSERT(lane->writes.head == NULL);
        MKV_ASSERT(lane->held.head == NULL);
        connection->lane = NULL;
        lane_free(lane);
    }
}

bool mkv_tcp_lane_is_quiet(const struct mkv_tcp_connection *connection) {
    const struct mkv_tcp_lane *lane = connection->lane;
    return lane == NULL || (lane->is_used && !lane->is_readable && lane->reads.head == NULL &&
                            lane->writes.head == NULL && lane->held.head == NULL);
}
