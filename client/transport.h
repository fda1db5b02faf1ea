/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How bytes reach a server: one connection of one kind, which never blocks. What speaks the
 * protocol above it (greeting, frames) sees these calls alone, so that a kind of transport is one
 * file.
 *
 *              begin              establish: BLOCKED …             send, receive
 *   new ───────────────▶ connecting ───────────────▶ established ───────────────▶ ENDED, BROKEN
 *                                                                                     │
 *                                            close, from wherever ◀───────────────────┘
 *
 * Each call moves what it can and returns; BLOCKED says that nothing moves until the descriptor is
 * ready for the events that the transport names, which need not be those of the direction: TLS
 * reads in order to write.
 *
 * Invariants
 *  I1  No call waits. The caller waits on `descriptor`, and has the deadlines.
 *  I2  When send, receive or establish have said BLOCKED, `send_events` or `receive_events`
 *      (establish: `receive_events`) are what to wait for before the same is tried again.
 *  I3  A transport may hold bytes that it has received and not handed out. So whoever waits for
 *      readability has called receive until it was BLOCKED.
 *  I4  When send has said BLOCKED, the first `held_bytes` of what it was given may be on their way
 *      (a record that is enciphered cannot be taken back): the next send begins with the same.
 *  I5  After close nothing refers to any memory of the caller's.
 *
 * Not responsible for: names (resolver.h), deadlines, frames.
 */
#ifndef MKV_CLIENT_TRANSPORT_H
#define MKV_CLIENT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MKV_TRANSPORT_PROBLEM_BYTES 160u
/* Iovecs of one send or receive. */
#define MKV_TRANSPORT_IOVECS_MAX 64u

enum mkv_transport_result {
    MKV_TRANSPORT_MOVED = 1, /* *byte_count bytes, at least one; establish: it stands */
    MKV_TRANSPORT_BLOCKED,
    MKV_TRANSPORT_ENDED,  /* receive: the peer has closed, in good order */
    MKV_TRANSPORT_BROKEN, /* `problem` says how; close is all that is left */
};

struct mkv_transport;

struct mkv_transport_ops {
    const char *name; /* as in MEMKV_TRANSPORT */
    /* Begins to connect to an address. MOVED: establish comes next. Or BROKEN. */
    enum mkv_transport_result (*begin)(struct mkv_transport *transport,
                                       const struct sockaddr *address, socklen_t address_bytes);
    /* Goes on with what begin began, until it is MOVED. */
    enum mkv_transport_result (*establish)(struct mkv_transport *transport);
    enum mkv_transport_result (*send)(struct mkv_transport *transport, const struct iovec *iovecs,
                                      size_t iovec_count, size_t *byte_count);
    enum mkv_transport_result (*receive)(struct mkv_transport *transport,
                                         const struct iovec *iovecs, size_t iovec_count,
                                         size_t *byte_count);
    /* Closes what there is, and frees the transport. */
    void (*close)(struct mkv_transport *transport);
};

/* The common part; kinds that need more have it as their first member. */
struct mkv_transport {
    const struct mkv_transport_ops *ops;
    int descriptor;        /* to wait on; -1 before begin. It is the same until close */
    short send_events;     /* of poll */
    short receive_events;  /* of poll */
    size_t held_bytes;     /* of the last send, which said BLOCKED */
    bool is_woken;         /* the descriptor had an event; whoever looks why clears it */
    int passed_descriptor; /* that came beside bytes, and whoever takes it sets to -1; -1: none */
    char problem[MKV_TRANSPORT_PROBLEM_BYTES];
};

struct mkv_client_tls;

/* TLS over TCP, with a server at `host`, a text that stays. NULL: there is no memory. */
struct mkv_transport *mkv_transport_tls_new(const struct mkv_client_tls *tls, const char *host);
/* A Unix socket. NULL: there is no memory. */
struct mkv_transport *mkv_transport_unix_new(void);
/* Plain TCP. NULL: there is no memory. */
struct mkv_transport *mkv_transport_tcp_new(void);

struct mkv_rdma_lane;

/* A lane that is connected, and the established connection that it was made over: both are the
 * transport's, which has the connection's descriptor. NULL: there is no memory; they are not. */
struct mkv_transport *mkv_transport_rdma_new(struct mkv_transport *lifeline,
                                             struct mkv_rdma_lane *lane);

#endif
