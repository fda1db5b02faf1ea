/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Unix socket to a server of the same machine, which may pass a descriptor beside its bytes.
 */
#include <errno.h>
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

static enum mkv_transport_result unix_begin(struct mkv_transport *transport,
                                            const struct sockaddr *address,
                                            socklen_t address_bytes) {
    MKV_ASSERT(transport->descriptor < 0);
    transport->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (transport->descriptor < 0 || connect(transport->descriptor, address, address_bytes) != 0) {
        return broken(transport, errno);
    }
    return MKV_TRANSPORT_MOVED;
}

/* A Unix socket is connected, or it is not: there is no handshake. */
static enum mkv_transport_result unix_establish(struct mkv_transport *transport) {
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

static enum mkv_transport_result unix_send(struct mkv_transport *transport,
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

/* Keeps the descriptor that came; one that nobody took is closed. */
static void take_descriptor(struct mkv_transport *transport, struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        if (transport->passed_descriptor >= 0) {
            close(transport->passed_descriptor);
        }
        memcpy(&transport->passed_descriptor, CMSG_DATA(header),
               sizeof transport->passed_descriptor);
    }
}

static enum mkv_transport_result unix_receive(struct mkv_transport *transport,
                                              const struct iovec *iovecs, size_t iovec_count,
                                              size_t *byte_count) {
    union {
        const struct iovec *given;
        struct iovec *taken;
    } list = {.given = iovecs};
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))]; /* for one: what comes beyond is closed */
    } control;
    struct msghdr message = {.msg_iov = list.taken,
                             .msg_iovlen = iovec_count,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t count;
    do {
        count = recvmsg(transport->descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
        take_descriptor(transport, &message);
    }
    return count == 0 ? MKV_TRANSPORT_ENDED : result_of(transport, count, byte_count);
}

static void unix_close(struct mkv_transport *transport) {
    if (transport->passed_descriptor >= 0) {
        close(transport->passed_descriptor);
    }
    if (transport->descriptor >= 0) {
        close(transport->descriptor);
    }
    free(transport);
}

static const struct mkv_transport_ops unix_ops = {
    .name = "shm",
    .begin = unix_begin,
    .establish = unix_establish,
    .send = unix_send,
    .receive = unix_receive,
    .close = unix_close,
};

struct mkv_transport *mkv_transport_unix_new(void) {
    struct mkv_transport *transport = calloc(1, sizeof *transport);
    if (transport != NULL) {
        transport->ops = &unix_ops;
        transport->descriptor = -1;
        transport->passed_descriptor = -1;
        transport->send_events = POLLOUT;
        transport->receive_events = POLLIN;
    }
    return transport;
}
