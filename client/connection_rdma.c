/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection does behind its greeting where the server has RDMA: it becomes a lane.
 *
 *   greeted --> CONNECT {queue pair} --> answer {queue pair} --> probes --> READY, a lane
 *                  |                        |                     |
 *                  | no port here           | refused             | lost, or no answer in time
 *                  v                        v                     v
 *               READY over TCP           READY over TCP       from its begin, without CONNECT
 *
 * Where transport is rdma, and of a connection that is to try RDMA again beside another one, each
 * of these ends the connection instead.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "client/engine.h"

/* A lane that its server ends so soon, with requests under way, is no better than one that broke.
 */
#define YOUNG_NS 10000000000ull

bool mkv_connection_rdma_is_wanted(const struct mkv_connection *connection) {
    const struct mkv_remote *remote = connection->remote;
    const struct mkv_rdma *rdma = remote->client->rdma;
    return rdma != NULL && !remote->address.is_local && remote->client->tls == NULL &&
           (rdma->is_required || connection->is_candidate || remote->rdma.failure_count == 0);
}

/* The address of this side, as text; "" where it cannot be told. */
static void local_address(const struct mkv_connection *connection, char *text, size_t text_bytes) {
    union {
        struct sockaddr common;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address;
    socklen_t address_bytes = sizeof address;
    text[0] = '\0';
    if (getsockname(connection->transport->descriptor, &address.common, &address_bytes) != 0) {
        return;
    }
    const void *bytes = NULL;
    if (address.common.sa_family == AF_INET) {
        bytes = &address.four.sin_addr;
    } else if (address.common.sa_family == AF_INET6) {
        bytes = &address.six.sin6_addr;
    }
    if (bytes == NULL ||
        inet_ntop(address.common.sa_family, bytes, text, (socklen_t)text_bytes) == NULL) {
        text[0] = '\0';
    }
}

/* There will be no lane. True: the connection has ended, or begun anew; false: it goes on as it is,
 * which it can while the server has not moved to the lane. */
static bool give_up(struct mkv_connection *connection, uint32_t fallback, const char *problem,
                    bool can_go_on, uint64_t now_ns) {
    struct mkv_remote *remote = connection->remote;
    connection->rdma_fallback = fallback;
    if (remote->client->rdma->is_required || connection->is_candidate) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "server %s cannot be reached by RDMA (transport auto or tcp does "
                            "without): %s",
                            remote->address.text, problem);
        return true;
    }
    mkv_remote_rdma_failed(remote, fallback, problem, false);
    if (can_go_on) {
        mkv_connection_rdma_end(connection);
    } else {
        mkv_connection_reopen(connection, now_ns);
    }
    return !can_go_on;
}

static void send_connect(struct mkv_connection *connection) {
    struct mkv_greeting *greeting = &connection->greeting;
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_CONNECT,
        .request_id = MKV_GREETING_REQUEST_ID,
        .body_bytes = MKV_NATIVE_CONNECT_BYTES,
    };
    struct mkv_native_connect connect;
    mkv_endpoint_parameters(connection->lane->endpoint, &connect);
    connect.epoch = 0;
    connect.fallback = connection->remote->rdma.fallback;
    connection->rdma_step = MKV_RDMA_ASKED;
    mkv_native_header_encode(&header, greeting->out);
    mkv_native_connect_encode(&connect, greeting->out + MKV_NATIVE_HEADER_BYTES);
    greeting->out_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_CONNECT_BYTES;
    mkv_connection_greet(connection);
}

bool mkv_connection_rdma_is_offered(const struct mkv_connection *connection) {
    return (connection->greeting.limits.features & MKV_NATIVE_FEATURE_RDMA) != 0;
}

bool mkv_connection_rdma_is_possible(const struct mkv_connection *connection, uint64_t now_ns) {
    char address[INET6_ADDRSTRLEN];
    char problem[MKV_VERBS_PROBLEM_BYTES];
    local_address(connection, address, sizeof address);
    return mkv_rdma_has_usable(connection->remote->client->rdma, address, now_ns, problem);
}

/* There is no RDMA on one of the two sides. NONE: there never was, so that this is no failure of a
 * connection that can go on as it is. As give_up. */
static bool be_without(struct mkv_connection *connection, uint32_t fallback, const char *problem,
                       uint64_t now_ns) {
    struct mkv_remote *remote = connection->remote;
    if (fallback == MKV_NATIVE_FALLBACK_NONE && !remote->client->rdma->is_required &&
        !connection->is_candidate) {
        mkv_remote_rdma_absent(remote, now_ns);
        return false;
    }
    return give_up(connection, fallback, problem, true, now_ns);
}

bool mkv_connection_rdma_begin(struct mkv_connection *connection) {
    struct mkv_rdma *rdma = connection->remote->client->rdma;
    const struct mkv_remote_rdma *before = &connection->remote->rdma;
    const uint64_t now_ns = mkv_client_now_ns();
    if (!connection->wants_rdma) {
        return false;
    }
    if (!mkv_connection_rdma_is_offered(connection)) {
        const uint32_t fallback = before->failure_count > 0 ? before->fallback
                                  : before->had_lane        ? MKV_NATIVE_FALLBACK_REFUSED
                                                            : MKV_NATIVE_FALLBACK_NONE;
        return be_without(connection, fallback,
                          "it does not offer RDMA (rdma.mode off, or no device there)", now_ns);
    }
    char address[INET6_ADDRSTRLEN];
    char problem[MKV_VERBS_PROBLEM_BYTES];
    local_address(connection, address, sizeof address);
    connection->lane = mkv_rdma_lane_new(rdma, connection, address, now_ns, problem);
    if (connection->lane == NULL) {
        const bool is_absent = !rdma->had_port && before->failure_count == 0;
        if (is_absent && !rdma->is_required) {
            mkv_rdma_tell_absent(rdma, problem);
        }
        return be_without(connection,
                          is_absent ? MKV_NATIVE_FALLBACK_NONE : (uint32_t)MKV_LANE_REASON_DEVICE,
                          problem, now_ns);
    }
    /* Half of the time is left for going on without. */
    const uint64_t left_ns =
        connection->deadline_ns > now_ns ? connection->deadline_ns - now_ns : 0;
    connection->rdma_deadline_ns = now_ns + (rdma->is_required ? left_ns : left_ns / 2);
    send_connect(connection);
    return true;
}

/* The server's queue pair is known: the lane is the connection's stream from here on. */
static void take_lane(struct mkv_connection *connection, uint64_t now_ns) {
    const struct mkv_receive *receive = &connection->receive;
    struct mkv_native_connect peer;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    const enum mkv_native_error error =
        mkv_native_connect_decode(&receive->header, connection->body, &peer);
    if (error != MKV_NATIVE_OK || connection->input_begin < connection->input_end) {
        give_up(connection, MKV_LANE_REASON_PROTOCOL,
                error != MKV_NATIVE_OK ? mkv_native_error_text(error)
                                       : "bytes came behind the answer to CONNECT",
                false, now_ns);
        return;
    }
    struct mkv_rdma_lane *lane = connection->lane;
    if (!mkv_endpoint_connect(lane->endpoint, &peer, now_ns, problem)) {
        give_up(connection, MKV_LANE_REASON_LOCAL_ERROR, problem, false, now_ns);
        return;
    }
    lane->is_connected = true;
    struct mkv_transport *transport = mkv_transport_rdma_new(connection->transport, lane);
    if (transport == NULL) {
        mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory for a connection");
        return;
    }
    connection->transport = transport;
    connection->lane_is_given = true;
    connection->rdma_step = MKV_RDMA_PROBING;
    connection->is_readable = true;
    connection->is_writable = true;
}

void mkv_connection_rdma_frame(struct mkv_connection *connection) {
    const struct mkv_native_header *header = &connection->receive.header;
    const uint64_t now_ns = mkv_client_now_ns();
    if (connection->rdma_step != MKV_RDMA_ASKED || (header->flags & MKV_NATIVE_FLAG_ANSWER) == 0 ||
        header->op != MKV_NATIVE_CONNECT) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "server %s broke the protocol: another frame where a CONNECT is "
                            "answered; this is a bug, please report it",
                            connection->remote->address.text);
        return;
    }
    if (header->status == MKV_STATUS_OK) {
        take_lane(connection, now_ns);
        return;
    }
    char text[MKV_VERBS_PROBLEM_BYTES];
    char problem[MKV_VERBS_PROBLEM_BYTES];
    mkv_client_text_copy(connection->body, header->body_bytes, text, sizeof text);
    snprintf(problem, sizeof problem, "the server refused: %.200s", text);
    if (!give_up(connection, MKV_NATIVE_FALLBACK_REFUSED, problem, true, now_ns)) {
        mkv_connection_ready(connection);
    }
}

enum mkv_progress mkv_connection_rdma_step(struct mkv_connection *connection, uint64_t now_ns) {
    const struct mkv_rdma_lane *lane = connection->lane;
    struct mkv_transport *transport = connection->transport;
    const struct iovec none = {.iov_base = connection->input, .iov_len = 0};
    size_t byte_count = 0;
    if (lane->is_open && !lane->is_broken) {
        connection->rdma_step = MKV_RDMA_NONE;
        mkv_connection_ready(connection);
        return MKV_PROGRESS_MOVED;
    }
    /* No frame is due: this looks at the lane and its lifeline alone. */
    const enum mkv_transport_result result =
        transport->ops->receive(transport, &none, 1, &byte_count);
    if (result == MKV_TRANSPORT_BLOCKED && now_ns < connection->rdma_deadline_ns) {
        connection->is_readable = false;
        connection->is_writable = false;
        return MKV_PROGRESS_BLOCKED;
    }
    char problem[MKV_RDMA_PROBLEM_BYTES];
    enum mkv_lane_reason reason = MKV_LANE_REASON_PROBE;
    if (lane->is_broken) {
        reason = lane->reason;
        snprintf(problem, sizeof problem, "%s", lane->problem);
    } else if (result == MKV_TRANSPORT_BLOCKED) {
        snprintf(problem, sizeof problem, "%s", mkv_lane_reason_text(reason));
    } else {
        reason = MKV_LANE_REASON_PEER;
        snprintf(problem, sizeof problem,
                 "the server closed the connection before the first "
                 "message; its log says why");
    }
    give_up(connection, (uint32_t)reason, problem, false, now_ns);
    return MKV_PROGRESS_MOVED;
}

void mkv_connection_rdma_late(struct mkv_connection *connection, uint64_t now_ns) {
    give_up(connection, MKV_LANE_REASON_OTHER, "the server does not answer CONNECT in time", false,
            now_ns);
}

void mkv_connection_rdma_failing(struct mkv_connection *connection, const char *text) {
    struct mkv_remote *remote = connection->remote;
    const struct mkv_rdma_lane *lane = connection->lane;
    if (connection->is_candidate) {
        /* Why it could not be made READY, or why there is none if that says nothing of RDMA. NONE:
         * there never was one, and nothing has changed. */
        const uint32_t fallback = connection->rdma_fallback != MKV_NATIVE_FALLBACK_NONE
                                      ? connection->rdma_fallback
                                      : remote->rdma.fallback;
        mkv_connection_candidate_over(connection);
        if (fallback != MKV_NATIVE_FALLBACK_NONE) {
            mkv_remote_rdma_failed(remote, fallback, text, true);
        }
        return;
    }
    if (lane == NULL || connection->state != MKV_CONNECTION_READY ||
        remote->client->rdma->is_required) {
        return;
    }
    const bool is_by_peer = lane->is_lifeline_gone || lane->reason == MKV_LANE_REASON_PEER;
    const bool is_young = mkv_client_now_ns() - lane->open_ns < YOUNG_NS;
    if (is_by_peer && is_young && connection->requests_live > 0) {
        mkv_remote_rdma_failed(remote, MKV_LANE_REASON_PEER,
                               mkv_lane_reason_text(MKV_LANE_REASON_PEER), false);
    } else if (!is_by_peer && lane->is_broken) {
        mkv_remote_rdma_failed(remote, (uint32_t)lane->reason, lane->problem, false);
    }
}

void mkv_connection_candidate_over(struct mkv_connection *connection) {
    if (connection->is_candidate) {
        connection->is_candidate = false;
        connection->remote->client->rdma->candidate_count--;
    }
}

void mkv_connection_rdma_end(struct mkv_connection *connection) {
    /* A connected lane is its transport's, and has ended with it. */
    if (connection->lane != NULL && !connection->lane_is_given) {
        mkv_rdma_lane_end(connection->lane);
    }
    connection->lane = NULL;
    connection->lane_is_given = false;
    connection->rdma_step = MKV_RDMA_NONE;
}
