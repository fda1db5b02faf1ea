/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: how it comes about, address by address, and how it ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/engine.h"

/* Sends and receives of one step, so that other connections have their turn. */
#define STEP_ROUNDS_MAX 8u
/* Addresses of one server that are tried. */
#define TRIED_ADDRESSES_MAX 16u

void mkv_connection_blocked(struct mkv_connection *connection, short events) {
    connection->is_readable = connection->is_readable && (events & POLLIN) == 0;
    connection->is_writable = connection->is_writable && (events & POLLOUT) == 0;
}

/* ---- its end -------------------------------------------------------------------------------- */

static void transport_close(struct mkv_connection *connection) {
    if (connection->transport != NULL) {
        mkv_engine_unwatch(connection, connection->transport->descriptor);
        connection->transport->ops->close(connection->transport);
        connection->transport = NULL;
    }
}

static void resolver_abandon(struct mkv_connection *connection) {
    if (connection->resolver != NULL) {
        mkv_engine_unwatch(connection, mkv_resolver_descriptor(connection->resolver));
        mkv_resolver_abandon(connection->resolver);
        connection->resolver = NULL;
    }
}

/* Those that the server reads, too: its end of the lane is gone. */
static void sends_free(struct mkv_connection *connection) {
    struct mkv_send *send;
    TAILQ_CONCAT(&connection->sends, &connection->untaken, link);
    connection->taken_count = 0;
    while ((send = TAILQ_FIRST(&connection->sends)) != NULL) {
        TAILQ_REMOVE(&connection->sends, send, link);
        mkv_send_free(send);
    }
}

/* A request will have no answer, and its share's rest is not sent either. */
static void request_fail(struct mkv_request *request, enum memkv_status failure, const char *text) {
    struct mkv_share *share = request->share;
    struct mkv_call *call = share->call;
    const bool is_of_callback = call->source != NULL || call->target != NULL;
    if (failure == MEMKV_CALLBACK && !is_of_callback) {
        failure = MEMKV_UNAVAILABLE; /* it is another call's callback that failed */
    }
    for (uint32_t index = 0; index < request->part_count; index++) {
        mkv_call_part_fail(call, &request->parts[index], failure, text);
    }
    if (request->part_count == 0) {
        mkv_call_part_fail(call, NULL, failure, text);
    }
    share->requests_used--;
    call->requests_used--;
    mkv_share_fail(share, failure, text);
    mkv_call_settle(call);
}

/* Nothing of what came, or was to be sent, is left. */
static void streams_reset(struct mkv_connection *connection) {
    connection->input_begin = 0;
    connection->input_end = 0;
    connection->is_send_broken = false;
    connection->receive.state = MKV_RECEIVING_HEADER;
    sends_free(connection);
}

void mkv_connection_fail(struct mkv_connection *connection, enum memkv_status failure,
                         const char *format, ...) {
    char text[MEMKV_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const bool was_ready = connection->state == MKV_CONNECTION_READY;
    const bool was_candidate = connection->is_candidate;
    const bool had_lane = connection->lane != NULL;
    if (connection->remote->client->rdma != NULL) {
        mkv_connection_rdma_failing(connection, text);
    }
    connection->state = MKV_CONNECTION_CLOSED;
    transport_close(connection);
    mkv_connection_rdma_end(connection);
    mkv_connection_window_end(connection);
    resolver_abandon(connection);
    free(connection->addresses);
    connection->addresses = NULL;
    streams_reset(connection);
    connection->requests_used = 0;
    connection->requests_live = 0;
    struct mkv_request *request;
    while ((request = TAILQ_FIRST(&connection->requests)) != NULL) {
        TAILQ_REMOVE(&connection->requests, request, link);
        if (request->share != NULL) {
            request_fail(request, failure, text);
        }
        mkv_request_free(request);
    }
    struct mkv_metrics *metrics = connection->remote->client->metrics;
    if (metrics != NULL && was_ready) {
        mkv_metrics_disconnected(metrics, had_lane);
    } else if (metrics != NULL && !was_candidate) {
        mkv_metrics_connect_failed(metrics);
    }
    /* The others of its server do not wait for a candidate. */
    if (!was_ready && !was_candidate) {
        mkv_remote_connect_failed(connection->remote, failure, text);
    }
}

/* Whether all that is left on a connection is of calls that are over, and the server waits, for one
 * of them, until slots are taken: between calls nobody would say so. */
static bool is_deserted(const struct mkv_connection *connection) {
    const struct mkv_request *request;
    if (connection->lane == NULL || connection->requests_live > 0) {
        return false;
    }
    TAILQ_FOREACH(request, &connection->requests, link) {
        if (mkv_request_has_slots(request) && !request->is_answered) {
            return true;
        }
    }
    return false;
}

static void close_deserted(struct mkv_connection *connection) {
    if (is_deserted(connection)) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "the connection to server %s was closed: what it still sends is of "
                            "calls that are over",
                            connection->remote->address.text);
    }
}

void mkv_request_abandon(struct mkv_request *request, enum memkv_status status, const char *text) {
    struct mkv_connection *connection = request->connection;
    struct mkv_share *share = request->share;
    struct mkv_call *call = share->call;
    for (uint32_t index = 0; index < request->part_count; index++) {
        mkv_call_part_fail(call, &request->parts[index], status, text);
    }
    if (request->part_count == 0) {
        mkv_call_part_fail(call, NULL, status, text);
    }
    share->requests_used--;
    call->requests_used--;
    request->share = NULL;
    request->parts = NULL;
    connection->requests_live--;
    struct mkv_receive *receive = &connection->receive;
    if (receive->state == MKV_RECEIVING_PAYLOAD && receive->request == request) {
        receive->request = NULL;
        receive->part = NULL;
        receive->target = NULL;
        receive->is_rooted = false; /* there is nothing to compare */
    }
    if (!request->is_sent && request->send.done_bytes == 0 && !request->send.is_held &&
        !connection->is_send_broken) {
        TAILQ_REMOVE(&connection->sends, &request->send, link);
        TAILQ_REMOVE(&connection->requests, request, link);
        connection->requests_used--;
        mkv_request_conceal(request, false);
        mkv_request_free(request);
        close_deserted(connection);
        return;
    }
    /* Payload that was promised can't come any more; what the server copies by itself, or reaches
     * by RDMA, must not be the caller's memory any more; and
     * whoever leaves all requests of a connection unanswered is not likely to answer the next one.
     */
    const bool is_silent = status == MEMKV_DEADLINE && connection->requests_live == 0;
    if (request->ready_count > 0 || request->uses_window || request->uses_remote || is_silent ||
        is_deserted(connection)) {
        struct mkv_remote *remote = connection->remote;
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "the connection to server %s was closed when another call was over "
                            "before it was done",
                            remote->address.text);
        if (status != MEMKV_DEADLINE) {
            return; /* nothing is known against the server */
        }
        remote->failure_count += remote->failure_count == 0 ? 1 : 0;
        mkv_client_fail(&remote->failure, MEMKV_UNAVAILABLE,
                        "server %s has stopped answering, and is tried again",
                        remote->address.text);
    }
}

void mkv_connection_free(struct mkv_connection *connection) {
    if (connection == NULL) {
        return;
    }
    struct mkv_metrics *metrics = connection->remote->client->metrics;
    if (metrics != NULL && connection->state == MKV_CONNECTION_READY) {
        mkv_metrics_disconnected(metrics, connection->lane != NULL);
    }
    if (connection->remote->client->rdma != NULL) {
        mkv_connection_candidate_over(connection);
    }
    transport_close(connection);
    mkv_connection_rdma_end(connection);
    mkv_connection_window_end(connection);
    resolver_abandon(connection);
    free(connection->addresses);
    sends_free(connection);
    struct mkv_request *request;
    while ((request = TAILQ_FIRST(&connection->requests)) != NULL) {
        TAILQ_REMOVE(&connection->requests, request, link);
        mkv_request_free(request);
    }
    free(connection);
}

/* ---- how it comes about --------------------------------------------------------------------- */

static void fail_connect(struct mkv_connection *connection, const char *problem) {
    mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                        "cannot connect to %s: %s; is memkv running there? Start it with: memkv "
                        "start, or name another server",
                        connection->remote->address.text, problem);
}

static struct mkv_transport *transport_new(const struct mkv_client_address *address,
                                           const struct mkv_client_tls *tls) {
    if (address->is_local) {
        return mkv_transport_unix_new();
    }
    return tls != NULL ? mkv_transport_tls_new(tls, address->host) : mkv_transport_tcp_new();
}

/* Begins with the next of the addresses; `problem` is that of the one before. */
static void next_address(struct mkv_connection *connection, const char *problem, uint64_t now_ns) {
    char text[MKV_TRANSPORT_PROBLEM_BYTES];
    snprintf(text, sizeof text, "%s", problem);
    transport_close(connection);
    const struct mkv_addresses *addresses = connection->addresses;
    while (connection->address_next < addresses->count) {
        const uint32_t left_count = addresses->count - connection->address_next;
        const uint32_t index = connection->address_next++;
        const struct mkv_client_tls *tls = connection->remote->client->tls;
        struct mkv_transport *transport = transport_new(&connection->remote->address, tls);
        if (transport == NULL) {
            mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory for a connection");
            return;
        }
        connection->transport = transport;
        const uint64_t left_ns =
            connection->deadline_ns > now_ns ? connection->deadline_ns - now_ns : 0;
        if (transport->ops->begin(transport, (const struct sockaddr *)&addresses->all[index].bytes,
                                  addresses->all[index].byte_count) == MKV_TRANSPORT_MOVED) {
            connection->state = MKV_CONNECTION_CONNECTING;
            connection->address_deadline_ns = now_ns + left_ns / left_count;
            connection->is_readable = true;
            connection->is_writable = true;
            mkv_engine_watch(connection, transport->descriptor, EPOLLIN | EPOLLOUT);
            return;
        }
        memcpy(text, transport->problem, sizeof text);
        transport_close(connection);
    }
    fail_connect(connection, text);
}

static void take_addresses(struct mkv_connection *connection, uint64_t now_ns) {
    if (connection->addresses->count == 0) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "server %s: the name cannot be resolved: %s; check its spelling",
                            connection->remote->address.text, connection->addresses->problem);
        return;
    }
    connection->addresses->count =
        (uint32_t)mkv_min_u64(connection->addresses->count, TRIED_ADDRESSES_MAX);
    next_address(connection, "", now_ns);
}

void mkv_connection_open(struct mkv_connection *connection, uint64_t now_ns) {
    MKV_ASSERT(connection->state == MKV_CONNECTION_CLOSED);
    struct mkv_remote *remote = connection->remote;
    connection->state = MKV_CONNECTION_RESOLVING;
    connection->begin_ns = now_ns;
    connection->deadline_ns = now_ns + (uint64_t)remote->client->connect_timeout_ms * 1000000u;
    connection->address_next = 0;
    connection->is_readable = false;
    connection->resolver = mkv_resolver_begin(&remote->address, &connection->addresses);
    if (connection->resolver != NULL) {
        mkv_engine_watch(connection, mkv_resolver_descriptor(connection->resolver), EPOLLIN);
    } else if (connection->addresses != NULL) {
        take_addresses(connection, now_ns);
    } else {
        mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory to resolve a name");
    }
}

void mkv_connection_reopen(struct mkv_connection *connection, uint64_t now_ns) {
    transport_close(connection);
    mkv_connection_rdma_end(connection);
    streams_reset(connection);
    connection->state = MKV_CONNECTION_CLOSED;
    connection->address_next = 0;
    next_address(connection, "", now_ns);
}

void mkv_connection_greet(struct mkv_connection *connection) {
    connection->greeting_send = (struct mkv_send){.head = connection->greeting.out,
                                                  .head_bytes = connection->greeting.out_bytes};
    mkv_connection_append(connection, &connection->greeting_send);
}

void mkv_connection_ready(struct mkv_connection *connection) {
    struct memkv_client *client = connection->remote->client;
    connection->state = MKV_CONNECTION_READY;
    connection->request_id_next = MKV_GREETING_REQUEST_ID + 1u;
    client->serial_last = client->serial_last % MKV_RESERVATION_SERIAL_MAX + 1u;
    connection->serial = client->serial_last;
    free(connection->addresses);
    connection->addresses = NULL;
    if (client->metrics != NULL) {
        mkv_metrics_connected(client->metrics, connection->lane != NULL);
    }
    connection->reserved_until_ns = 0;
    if (client->rdma != NULL) {
        mkv_connection_candidate_over(connection);
    }
    if (connection->lane != NULL) {
        mkv_remote_rdma_ready(connection->remote);
    }
    const struct mkv_native_shards *shards = &connection->greeting.shards;
    connection->shard = shards->shard_count > 0 ? shards->shard : MKV_NONE_U32;
    mkv_remote_connected(connection->remote, &connection->greeting);
}

static enum mkv_progress step_resolving(struct mkv_connection *connection, uint64_t now_ns) {
    connection->addresses = mkv_resolver_finish(connection->resolver);
    if (connection->addresses == NULL) {
        connection->is_readable = false;
        return MKV_PROGRESS_BLOCKED;
    }
    connection->resolver = NULL;
    take_addresses(connection, now_ns);
    return MKV_PROGRESS_MOVED;
}

static enum mkv_progress step_connecting(struct mkv_connection *connection, uint64_t now_ns) {
    struct mkv_transport *transport = connection->transport;
    switch (transport->ops->establish(transport)) {
    case MKV_TRANSPORT_BLOCKED:
        connection->is_readable = false;
        connection->is_writable = false;
        return MKV_PROGRESS_BLOCKED;
    case MKV_TRANSPORT_ENDED:
    case MKV_TRANSPORT_BROKEN:
        next_address(connection, transport->problem, now_ns);
        return MKV_PROGRESS_MOVED;
    case MKV_TRANSPORT_MOVED:
        break;
    }
    const struct memkv_client *client = connection->remote->client;
    connection->wants_rdma = mkv_connection_rdma_is_wanted(connection);
    const struct mkv_greeting_options options = {
        .server = connection->remote->address.text,
        .name = client->name,
        .tenant = client->tenant,
        .key = client->has_key ? client->auth_key : NULL,
        .key_id = client->auth_key_id,
        .wants_window = connection->remote->address.is_local && client->window != NULL,
        .wants_rdma = connection->wants_rdma,
        .fallback =
            connection->wants_rdma ? MKV_NATIVE_FALLBACK_NONE : connection->remote->rdma.fallback,
        .home = connection->home,
        .ring_hash = mkv_remotes_ring_hash(client),
    };
    connection->state = MKV_CONNECTION_GREETING;
    connection->ring_version = client->ring_version;
    connection->is_writable = true;
    mkv_greeting_begin(&connection->greeting, &options);
    mkv_connection_greet(connection);
    return MKV_PROGRESS_MOVED;
}

/* The time of what is not READY yet. */
static void check_deadline(struct mkv_connection *connection, uint64_t now_ns) {
    switch (connection->state) {
    case MKV_CONNECTION_RESOLVING:
        if (now_ns >= connection->deadline_ns) {
            mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                                "server %s: the name was not resolved in time",
                                connection->remote->address.text);
        }
        break;
    case MKV_CONNECTION_CONNECTING:
        if (now_ns >= connection->address_deadline_ns) {
            next_address(connection, strerror(ETIMEDOUT), now_ns);
        }
        break;
    case MKV_CONNECTION_GREETING:
        if (connection->rdma_step == MKV_RDMA_ASKED && now_ns >= connection->rdma_deadline_ns) {
            mkv_connection_rdma_late(connection, now_ns);
        } else if (now_ns >= connection->deadline_ns) {
            mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                                "server %s does not answer the greeting: no answer in time; is it "
                                "stopping, or is this not the port of memkv's native listener?",
                                connection->remote->address.text);
        }
        break;
    case MKV_CONNECTION_CLOSED:
    case MKV_CONNECTION_READY:
        break;
    }
}

/* The list of servers may have changed behind the greeting. One that has no room waits. */
static void tell_ring(struct mkv_connection *connection) {
    const struct memkv_client *client = connection->remote->client;
    if (connection->state == MKV_CONNECTION_READY && !connection->is_send_broken &&
        connection->ring_version != client->ring_version &&
        connection->requests_used < connection->greeting.limits.requests_max &&
        mkv_request_tell_ring(connection)) {
        connection->ring_version = client->ring_version;
    }
}

enum mkv_progress mkv_connection_step(struct mkv_connection *connection, uint64_t now_ns) {
    enum mkv_progress progress = MKV_PROGRESS_BLOCKED;
    tell_ring(connection);
    for (uint32_t round = 0; round < STEP_ROUNDS_MAX; round++) {
        bool is_moved = false;
        if (connection->state == MKV_CONNECTION_RESOLVING) {
            is_moved =
                connection->is_readable && step_resolving(connection, now_ns) == MKV_PROGRESS_MOVED;
        } else if (connection->state == MKV_CONNECTION_CONNECTING) {
            is_moved = (connection->is_readable || connection->is_writable) &&
                       step_connecting(connection, now_ns) == MKV_PROGRESS_MOVED;
        }
        if (connection->state == MKV_CONNECTION_GREETING &&
            connection->rdma_step == MKV_RDMA_PROBING) {
            /* The transport is a lane, which carries nothing yet. */
            is_moved = mkv_connection_rdma_step(connection, now_ns) == MKV_PROGRESS_MOVED;
            progress = is_moved ? MKV_PROGRESS_MOVED : progress;
            if (is_moved) {
                continue;
            }
            break;
        }
        if (connection->state >= MKV_CONNECTION_GREETING) {
            is_moved = mkv_connection_send_some(connection) == MKV_PROGRESS_MOVED || is_moved;
        }
        if (connection->state >= MKV_CONNECTION_GREETING) {
            is_moved = mkv_connection_receive_some(connection) == MKV_PROGRESS_MOVED || is_moved;
        }
        if (!is_moved) {
            break;
        }
        progress = MKV_PROGRESS_MOVED;
    }
    if (progress == MKV_PROGRESS_BLOCKED) {
        check_deadline(connection, now_ns);
    } else {
        close_deserted(connection);
    }
    return progress;
}
