/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/acceptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

/* A client that vanished is noticed after about KEEPALIVE_IDLE_S + KEEPALIVE_PROBES *
 * KEEPALIVE_INTERVAL_S. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 6

/* ---- listening ------------------------------------------------------------------------------ */

/* Accepted sockets inherit these from the listener. They tune; a refusal harms nothing. */
static void tune(int fd) {
    const int one = 1;
    const int idle = KEEPALIVE_IDLE_S;
    const int interval = KEEPALIVE_INTERVAL_S;
    const int probes = KEEPALIVE_PROBES;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static void accept_post(struct mkv_acceptor *acceptor) {
    MKV_ASSERT(!acceptor->is_in_flight);
    MKV_ASSERT(!acceptor->is_draining);
    struct io_uring_sqe *sqe = mkv_ring_sqe(acceptor->ring, &acceptor->completion);
    if (acceptor->is_multishot) {
        io_uring_prep_multishot_accept(sqe, acceptor->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } else {
        io_uring_prep_accept(sqe, acceptor->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    }
    acceptor->is_in_flight = true;
}

static void accept_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_acceptor *acceptor =
        (struct mkv_acceptor *)((char *)completion - offsetof(struct mkv_acceptor, completion));
    acceptor->is_in_flight = (flags & IORING_CQE_F_MORE) != 0;
    if (result >= 0) {
        acceptor->accepted(acceptor->context, result);
    } else if (result == -EINVAL && acceptor->is_multishot && !acceptor->is_draining) {
        acceptor->is_multishot = false; /* a kernel before 5.19 */
    } else if (result != -ECONNABORTED && result != -EINTR) {
        acceptor->retry_ns = acceptor->now_ns + MKV_ACCEPTOR_RETRY_NS;
    }
}

bool mkv_acceptor_open(struct mkv_acceptor *acceptor, const struct mkv_acceptor_options *options,
                       struct mkv_backend_error *error) {
    MKV_ASSERT(options->ring != NULL);
    MKV_ASSERT(options->accepted != NULL);
    int listen_fd = -1;
    uint16_t port = 0;
    if (!mkv_tcp_listen(&options->listen, &listen_fd, &port, error)) {
        return false;
    }
    tune(listen_fd);
    *acceptor = (struct mkv_acceptor){
        .completion = {.done = accept_done},
        .ring = options->ring,
        .accepted = options->accepted,
        .context = options->context,
        .listen_fd = listen_fd,
        .port = port,
        .is_multishot = true,
    };
    return true;
}

void mkv_acceptor_poll(struct mkv_acceptor *acceptor, uint64_t now_ns) {
    MKV_ASSERT(acceptor->accepted != NULL);
    acceptor->now_ns = now_ns;
    if (!acceptor->is_in_flight && !acceptor->is_draining && now_ns >= acceptor->retry_ns) {
        accept_post(acceptor);
    }
}

void mkv_acceptor_drain(struct mkv_acceptor *acceptor) {
    MKV_ASSERT(acceptor->accepted != NULL);
    if (!acceptor->is_draining) {
        acceptor->is_draining = true;
        (void)shutdown(acceptor->listen_fd, SHUT_RDWR);
    }
}

bool mkv_acceptor_is_idle(const struct mkv_acceptor *acceptor) {
    return acceptor->is_draining && !acceptor->is_in_flight;
}

void mkv_acceptor_close(struct mkv_acceptor *acceptor) {
    MKV_ASSERT(!acceptor->is_in_flight);
    if (acceptor->accepted != NULL) {
        close(acceptor->listen_fd);
    }
    *acceptor = (struct mkv_acceptor){0};
}

/* ---- accepted sockets ----------------------------------------------------------------------- */

void mkv_acceptor_refuse(int fd, const void *bytes, size_t byte_count) {
    (void)send(fd, bytes, byte_count, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    close(fd);
}

void mkv_acceptor_refuse_tls(int fd, enum mkv_tls_alert alert) {
    /* A record of TLS 1.2, which every version reads: an alert of two bytes, which is fatal. */
    const uint8_t record[] = {0x15, 3, 3, 0, 2, 2, (uint8_t)alert};
    mkv_acceptor_refuse(fd, record, sizeof record);
}

void mkv_acceptor_address_text(const struct sockaddr *address, char *text, size_t text_bytes) {
    char host[INET6_ADDRSTRLEN] = "";
    text[0] = '\0';
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(text, text_bytes, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(text, text_bytes, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else if (address->sa_family == AF_UNIX) {
        snprintf(text, text_bytes, "unix");
    }
}

void mkv_acceptor_peer_text(int fd, char *text, size_t text_bytes) {
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t address_bytes = sizeof address;
    (void)getpeername(fd, (struct sockaddr *)&address, &address_bytes);
    mkv_acceptor_address_text((const struct sockaddr *)&address, text, text_bytes);
}

void mkv_acceptor_local_text(int fd, char *text, size_t text_bytes) {
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t address_bytes = sizeof address;
    (void)getsockname(fd, (struct sockaddr *)&address, &address_bytes);
    mkv_acceptor_address_text((const struct sockaddr *)&address, text, text_bytes);
}
