/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection of a client: connecting and greeting under one deadline, and noticing at the begin
 * of a call that the server has gone meanwhile.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/client_internal.h"

#define NS_PER_MS 1000000ull

/* HELLO, and only HELLO, has this id: other requests count on from there. */
#define HELLO_REQUEST_ID 1u

uint64_t mkv_client_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

bool mkv_client_wait(int descriptor, short events, uint64_t deadline_ns) {
    for (;;) {
        const uint64_t now_ns = mkv_client_now_ns();
        if (now_ns >= deadline_ns) {
            return false;
        }
        /* Rounded up, so that the last round does not spin. */
        const uint64_t left_ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
        struct pollfd poll_socket = {.fd = descriptor, .events = events};
        const int count = poll(&poll_socket, 1, (int)mkv_min_u64(left_ms, 60000));
        if (count > 0 || (count < 0 && errno != EINTR)) {
            return true; /* an error shows itself in the operation that follows */
        }
    }
}

void mkv_client_disconnect(struct memkv_client *client) {
    if (client->transport != NULL) {
        client->transport->ops->close(client->transport);
        client->transport = NULL;
    }
    client->input_begin = 0;
    client->input_end = 0;
}

/* Connects to one address. NULL: `problem` says why. */
static struct mkv_transport *connect_one(const struct addrinfo *address, uint64_t deadline_ns,
                                         char problem[MKV_TRANSPORT_PROBLEM_BYTES]) {
    struct mkv_transport *transport = mkv_transport_tcp_new();
    if (transport == NULL) {
        snprintf(problem, MKV_TRANSPORT_PROBLEM_BYTES, "%s", strerror(ENOMEM));
        return NULL;
    }
    enum mkv_transport_result result =
        transport->ops->begin(transport, address->ai_addr, address->ai_addrlen);
    while (result != MKV_TRANSPORT_BROKEN) {
        result = transport->ops->establish(transport);
        if (result == MKV_TRANSPORT_MOVED) {
            return transport;
        }
        if (result == MKV_TRANSPORT_BLOCKED &&
            !mkv_client_wait(transport->descriptor, transport->receive_events, deadline_ns)) {
            snprintf(transport->problem, sizeof transport->problem, "%s", strerror(ETIMEDOUT));
            break;
        }
    }
    memcpy(problem, transport->problem, sizeof transport->problem);
    transport->ops->close(transport);
    return NULL;
}

static enum memkv_status connect_any(struct memkv_client *client, uint64_t deadline_ns,
                                     struct memkv_error *error) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    const int failure = getaddrinfo(client->address.host, client->address.port, &hints, &addresses);
    if (failure != 0) {
        return mkv_client_fail(error, MEMKV_UNAVAILABLE,
                               "server %s: the name cannot be resolved: %s; check its spelling",
                               client->address.text,
                               failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    }
    char problem[MKV_TRANSPORT_PROBLEM_BYTES] = "it has no address";
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        client->transport = connect_one(address, deadline_ns, problem);
        if (client->transport != NULL) {
            break;
        }
    }
    freeaddrinfo(addresses);
    if (client->transport != NULL) {
        return MEMKV_OK;
    }
    return mkv_client_fail(error, MEMKV_UNAVAILABLE,
                           "cannot connect to %s: %s; is memkv running there? Start it with: memkv "
                           "start, or name another server",
                           client->address.text, problem);
}

/* How moving the bytes of the greeting came out. */
enum greeting_move {
    GREETING_MOVED,
    GREETING_ENDED,
    GREETING_LATE,
    GREETING_BROKEN
};

/* Sends or receives exactly `byte_count` bytes. */
static enum greeting_move move_all(struct mkv_transport *transport, bool is_send, uint8_t *bytes,
                                   size_t byte_count, uint64_t deadline_ns) {
    size_t done = 0;
    while (done < byte_count) {
        const struct iovec piece = {.iov_base = bytes + done, .iov_len = byte_count - done};
        size_t moved_bytes = 0;
        const enum mkv_transport_result result =
            is_send ? transport->ops->send(transport, &piece, 1, &moved_bytes)
                    : transport->ops->receive(transport, &piece, 1, &moved_bytes);
        const short events = is_send ? transport->send_events : transport->receive_events;
        done += moved_bytes;
        if (result == MKV_TRANSPORT_ENDED || result == MKV_TRANSPORT_BROKEN) {
            return result == MKV_TRANSPORT_ENDED ? GREETING_ENDED : GREETING_BROKEN;
        }
        if (result == MKV_TRANSPORT_BLOCKED &&
            !mkv_client_wait(transport->descriptor, events, deadline_ns)) {
            return GREETING_LATE;
        }
    }
    return GREETING_MOVED;
}

static enum memkv_status fail_greeting(const struct memkv_client *client, enum greeting_move move,
                                       struct memkv_error *error) {
    const char *what = move == GREETING_ENDED  ? "it closed the connection"
                       : move == GREETING_LATE ? "no answer in time"
                                               : client->transport->problem;
    return mkv_client_fail(error, MEMKV_UNAVAILABLE,
                           "server %s does not answer the greeting: %s; is it stopping, or is this "
                           "not the port of memkv's native listener?",
                           client->address.text, what);
}

static enum memkv_status fail_frame(const struct memkv_client *client,
                                    enum mkv_native_error problem, struct memkv_error *error) {
    return mkv_client_fail(error, MEMKV_UNAVAILABLE,
                           "server %s: what came is no answer to the greeting: %s; is this the "
                           "port of memkv's native listener?",
                           client->address.text, mkv_native_error_text(problem));
}

static enum memkv_status greet(struct memkv_client *client, uint64_t deadline_ns,
                               struct memkv_error *error) {
    uint8_t frame[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + MKV_CLIENT_TENANT_BYTES_MAX];
    const bool named = strcmp(client->tenant, MKV_TENANT_DEFAULT_NAME) != 0;
    const uint32_t tenant_bytes = named ? (uint32_t)strlen(client->tenant) : 0;
    struct mkv_native_hello hello = {.version_min = MKV_NATIVE_VERSION,
                                     .version_max = MKV_NATIVE_VERSION,
                                     .features = MKV_NATIVE_FEATURE_TRACE};
    _Static_assert(sizeof hello.name == sizeof client->name, "a client's name is HELLO's");
    memcpy(hello.name, client->name, sizeof hello.name);
    struct mkv_native_header header = {.op = MKV_NATIVE_HELLO,
                                       .request_id = HELLO_REQUEST_ID,
                                       .body_bytes = MKV_NATIVE_HELLO_BYTES + tenant_bytes};
    mkv_native_header_encode(&header, frame);
    mkv_native_hello_encode(&hello, frame + MKV_NATIVE_HEADER_BYTES);
    const size_t frame_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + tenant_bytes;
    memcpy(frame + frame_bytes - tenant_bytes, client->tenant, tenant_bytes);
    /* A server that refuses before it has read all may have sent its reason: so look for it. */
    const enum greeting_move sent =
        move_all(client->transport, true, frame, frame_bytes, deadline_ns);
    const enum greeting_move received =
        move_all(client->transport, false, frame, MKV_NATIVE_HEADER_BYTES, deadline_ns);
    if (received != GREETING_MOVED) {
        return fail_greeting(client, sent != GREETING_MOVED ? sent : received, error);
    }
    const enum mkv_native_error problem = mkv_native_header_decode(frame, &header);
    if (problem != MKV_NATIVE_OK) {
        return fail_frame(client, problem, error);
    }
    if ((header.flags & MKV_NATIVE_FLAG_ANSWER) == 0 ||
        (header.op != MKV_NATIVE_HELLO && header.status == MKV_STATUS_OK)) {
        return fail_frame(client, MKV_NATIVE_BAD_OP, error);
    }
    const enum greeting_move body_received =
        move_all(client->transport, false, client->body, header.body_bytes, deadline_ns);
    if (body_received != GREETING_MOVED) {
        return fail_greeting(client, body_received, error);
    }
    if (header.status != MKV_STATUS_OK) {
        char text[MEMKV_ERROR_TEXT_BYTES];
        mkv_client_text_copy(client->body, header.body_bytes, text, sizeof text);
        /* Nothing that the caller gave can be wrong here, so "invalid" would blame the caller. */
        const enum memkv_status status = header.status == MKV_STATUS_INVALID
                                             ? MEMKV_UNAVAILABLE
                                             : (enum memkv_status)header.status;
        return mkv_client_fail(error, status, "server %s refused the connection: %s",
                               client->address.text, text);
    }
    const enum mkv_native_error body_problem =
        mkv_native_hello_answer_decode(client->body, &client->limits);
    if (body_problem != MKV_NATIVE_OK) {
        return fail_frame(client, body_problem, error);
    }
    client->request_id_next = HELLO_REQUEST_ID + 1u;
    return MEMKV_OK;
}

/* Nothing is under way between calls. So bytes, the end of the stream or an error mean that the
 * server gave this connection up. */
static bool is_alive(const struct memkv_client *client) {
    uint8_t byte;
    const struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    size_t byte_count;
    return client->input_begin == client->input_end &&
           client->transport->ops->receive(client->transport, &piece, 1, &byte_count) ==
               MKV_TRANSPORT_BLOCKED;
}

enum memkv_status mkv_client_connect(struct memkv_client *client, struct memkv_error *error) {
    if (client->transport != NULL && is_alive(client)) {
        return MEMKV_OK;
    }
    mkv_client_disconnect(client);
    const uint64_t deadline_ns =
        mkv_client_now_ns() + (uint64_t)client->connect_timeout_ms * NS_PER_MS;
    enum memkv_status status = connect_any(client, deadline_ns, error);
    if (status == MEMKV_OK) {
        status = greet(client, deadline_ns, error);
    }
    if (status != MEMKV_OK) {
        mkv_client_disconnect(client);
    }
    return status;
}
