/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a client: connecting and greeting under one deadline, and noticing at the begin of
 * a call that the server has gone meanwhile.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/client_internal.h"

#define NS_PER_MS 1000000ull

/* HELLO, and only HELLO, has this id: other requests count on from there. */
#define HELLO_REQUEST_ID 1u

uint64_t mkv_client_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

bool mkv_client_wait(int socket, short events, uint64_t deadline_ns) {
    for (;;) {
        const uint64_t now_ns = mkv_client_now_ns();
        if (now_ns >= deadline_ns) {
            return false;
        }
        /* Rounded up, so that the last round does not spin. */
        const uint64_t left_ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
        struct pollfd poll_socket = {.fd = socket, .events = events};
        const int count = poll(&poll_socket, 1, (int)mkv_min_u64(left_ms, 60000));
        if (count > 0 || (count < 0 && errno != EINTR)) {
            return true; /* an error shows itself in the operation that follows */
        }
    }
}

void mkv_client_disconnect(struct memkv_client *client) {
    if (client->socket >= 0) {
        close(client->socket);
        client->socket = -1;
    }
    client->input_begin = 0;
    client->input_end = 0;
}

/* Connects to one address. Returns a socket, or -1 and errno. */
static int connect_one(const struct addrinfo *address, uint64_t deadline_ns) {
    const int descriptor =
        socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
               address->ai_protocol);
    if (descriptor < 0) {
        return -1;
    }
    int failure = 0;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        failure = errno;
        if (failure == EINPROGRESS) {
            socklen_t failure_bytes = sizeof failure;
            if (!mkv_client_wait(descriptor, POLLOUT, deadline_ns)) {
                failure = ETIMEDOUT;
            } else if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &failure_bytes) !=
                       0) {
                failure = errno;
            }
        }
    }
    if (failure != 0) {
        close(descriptor);
        errno = failure;
        return -1;
    }
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a matter of speed alone */
    return descriptor;
}

static enum memkv_status connect_any(struct memkv_client *client, uint64_t deadline_ns,
                                     struct memkv_error *error) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    const int problem = getaddrinfo(client->address.host, client->address.port, &hints, &addresses);
    if (problem != 0) {
        return mkv_client_fail(error, MEMKV_UNAVAILABLE,
                               "server %s: the name cannot be resolved: %s; check its spelling",
                               client->address.text,
                               problem == EAI_SYSTEM ? strerror(errno) : gai_strerror(problem));
    }
    int failure = ETIMEDOUT;
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        client->socket = connect_one(address, deadline_ns);
        if (client->socket >= 0) {
            break;
        }
        failure = errno;
    }
    freeaddrinfo(addresses);
    if (client->socket >= 0) {
        return MEMKV_OK;
    }
    return mkv_client_fail(error, MEMKV_UNAVAILABLE,
                           "cannot connect to %s: %s; is memkv running there? Start it with: memkv "
                           "start, or name another server",
                           client->address.text, strerror(failure));
}

/* Sends all of `bytes`. False: errno says why, ETIMEDOUT for the deadline. */
static bool send_all(int descriptor, const uint8_t *bytes, size_t byte_count,
                     uint64_t deadline_ns) {
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count = send(descriptor, bytes + done, byte_count - done, MSG_NOSIGNAL);
        if (count >= 0) {
            done += (size_t)count;
        } else if (errno == EAGAIN) {
            if (!mkv_client_wait(descriptor, POLLOUT, deadline_ns)) {
                errno = ETIMEDOUT;
                return false;
            }
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Receives exactly `byte_count` bytes. False: errno says why, 0 for the end of the stream. */
static bool receive_all(int descriptor, uint8_t *bytes, size_t byte_count, uint64_t deadline_ns) {
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t count = recv(descriptor, bytes + done, byte_count - done, 0);
        if (count > 0) {
            done += (size_t)count;
        } else if (count == 0) {
            errno = 0;
            return false;
        } else if (errno == EAGAIN) {
            if (!mkv_client_wait(descriptor, POLLIN, deadline_ns)) {
                errno = ETIMEDOUT;
                return false;
            }
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static enum memkv_status fail_greeting(const struct memkv_client *client,
                                       struct memkv_error *error) {
    const int failure = errno;
    const char *what = failure == 0           ? "it closed the connection"
                       : failure == ETIMEDOUT ? "no answer in time"
                                              : strerror(failure);
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
    const bool is_sent = send_all(client->socket, frame, frame_bytes, deadline_ns);
    const int send_failure = errno;
    if (!receive_all(client->socket, frame, MKV_NATIVE_HEADER_BYTES, deadline_ns)) {
        errno = is_sent ? errno : send_failure;
        return fail_greeting(client, error);
    }
    const enum mkv_native_error problem = mkv_native_header_decode(frame, &header);
    if (problem != MKV_NATIVE_OK) {
        return fail_frame(client, problem, error);
    }
    if ((header.flags & MKV_NATIVE_FLAG_ANSWER) == 0 ||
        (header.op != MKV_NATIVE_HELLO && header.status == MKV_STATUS_OK)) {
        return fail_frame(client, MKV_NATIVE_BAD_OP, error);
    }
    if (!receive_all(client->socket, client->body, header.body_bytes, deadline_ns)) {
        return fail_greeting(client, error);
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
    if (client->input_begin != client->input_end) {
        return false;
    }
    uint8_t byte;
    return recv(client->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EINTR);
}

enum memkv_status mkv_client_connect(struct memkv_client *client, struct memkv_error *error) {
    if (client->socket >= 0 && is_alive(client)) {
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
