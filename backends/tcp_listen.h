/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening TCP socket, or one line that says why there is none and, when the port is taken, by
 * whom:
 *
 *     127.0.0.1:9900 is in use by redis-server (pid 71). Stop it or choose another --listen
 *
 * Not responsible for: which addresses may be served (server/config_validate.c).
 */
#ifndef MKV_BACKENDS_TCP_LISTEN_H
#define MKV_BACKENDS_TCP_LISTEN_H

#include "backends/error.h"
#include "core/base.h"

/* Room for "[ADDRESS]:PORT" and the closing NUL. */
#define MKV_TCP_ADDRESS_TEXT_BYTES 64u

/* Whether other sockets of this process listen at the same address: the kernel then gives each
 * connection to one of them. */
enum mkv_tcp_share {
    MKV_TCP_ALONE = 0,
    MKV_TCP_SHARED_FIRST, /* the first of them, which finds out whether somebody else is there */
    MKV_TCP_SHARED_NEXT,  /* another, at the port that the first one got */
};

struct mkv_tcp_listen_options {
    const char *host;   /* an IPv4 or IPv6 address, without brackets */
    uint16_t port;      /* 0: any free one */
    uint32_t backlog;   /* connections that the kernel holds until they are accepted */
    const char *option; /* what the user changes to move the listener: "--listen" */
    enum mkv_tcp_share share;
};

/* Binds and listens. On success `*fd` is close-on-exec and `*port` the port, else both are as they
 * were. */
__attribute__((warn_unused_result)) bool mkv_tcp_listen(
    const struct mkv_tcp_listen_options *options, int *fd, uint16_t *port,
    struct mkv_backend_error *error);

#endif
