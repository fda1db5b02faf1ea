/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain TCP: one socket, and the bytes as they are.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/transport.h"
#include "core/base.h"

static enum mkv_transport_result broken(struct mkv_transport *transport, int failure) {
    snprintf(transport->problem, sizeof transport->problem, "%s", strerror(failure));
    return MKV_TRANSPORT_BROKEN;
}

static enum mkv_transport_result tcp_begin(struct mkv_transport *transport,
                                           const struct sockaddr *address,
                                           socklen_t address_bytes) {
    MKV_ASSERT(transport->descriptor < 0);
    transport->descriptor =
        socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (transport->descriptor < 0) {
        return broken(transport, errno);
    }
    const int on = 1; /* without it small requests wait for answers: a matter of speed alone */
    setsockopt(transport->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(transport->descriptor, address, address_bytes) != 0 && errno != EINPROGRESS) {
        return broken(transport, errno);
    }
    return MKV_TRANSPORT_MOVED;
}

static enum mkv_transport_result tcp_establish(struct mkv_transport *transport) {
    struct pollfd ready = {.fd = transport->descriptor, .events = POLLOUT};
    int failure = 0;
    socklen_t failure_bytes = sizeof failure;
    transport->receive_events = POLLOUT;
    if (poll(&ready, 1, 0) == 0) {
        return MKV_TRANSPORT_BLOCKED;
    }
    if (getsockopt(transport->descriptor, SOL_SOCKET, SO_ERROR, &failure, &failure_bytes) != 0) {
        failure = errno;
    }
    if (failure != 0) {
        return broken(transport, failure);
    }
    transport->receive_events = POLLIN;
    return MKV_TRANSPORT_MOVED;
}

/* What a call that returned `count`, else errno, came to. */
static enum mkv_transport_result result_of(struct mkv_transport *transport, ssize_t count,
                                           size_t *byte_count) {
    if (count > 0) {
        *byte_count = (size_t)count;
        return MKV_TRANSPORT_MOVED;
    }
    return errno == EAGAIN ? MKV_TRANSPORT_BLOCKED : broken(transport, errno);
}

static enum mkv_transport_result tcp_send(struct mkv_transport *transport,
                                          const struct iovec *iovecs, size_t iovec_count,
                                          size_t *byte_count) {
    union {
        const struct iovec *given;
        struct iovec *taken; /* msghdr serves both directions, so it has no const */
    } list = {.given = iovecs};
    const struct msghdr message = {.msg_iov = list.taken, .msg_iovlen = iovec_count};
    ssize_t count;
    do {
        count = sendmsg(transport->descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    return result_of(transport, count, byte_count);
}

static enum mkv_transport_result tcp_receive(struct mkv_transport *transport,
                                             const struct iovec *iovecs, size_t iovec_count,
                                             size_t *byte_count) {
    union {
        const struct iovec *given;
        struct iovec *taken;
    } list = {.given = iovecs};
    struct msghdr message = {.msg_iov = list.taken, .msg_iovlen = iovec_count};
    ssize_t count;
    do {
        count = recvmsg(transport->descriptor, &message, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    return count == 0 ? MKV_TRANSPORT_ENDED : result_of(transport, count, byte_count);
}

static void tcp_close(struct mkv_transport *transport) {
    if (transport->descriptor >= 0) {
        close(transport->descriptor);
    }
    free(transport);
}

static const struct mkv_transport_ops tcp_ops = {
    .name = "tcp",
    .begin = tcp_begin,
    .establish = tcp_establish,
    .send = tcp_send,
    .receive = tcp_receive,
    .close = tcp_close,
};

struct mkv_transport *mkv_transport_tcp_new(void) {
    struct mkv_transport *transport = calloc(1, sizeof *transport);
    if (transport != NULL) {
        transport->ops = &tcp_ops;
        transport->descriptor = -1;
        transport->passed_descriptor = -1;
        transport->send_events = POLLOUT;
        transport->receive_events = POLLIN;
    }
    return transport;
}
