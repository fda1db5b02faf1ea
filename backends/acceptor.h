/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket, of TCP or of the machine alone, on a shard's ring: it accepts, and hands
 * each new socket to its owner, who takes it for a connection or refuses it. Fabrics embed one for
 * each port.
 *
 *   open --> poll: an accept is with the kernel <------------------+
 *              |                                                   |
 *              +-- a client came: `accepted` is called             |
 *              +-- the process is out of descriptors: poll posts   |
 *              |   the next one MKV_ACCEPTOR_RETRY_NS later -------+
 *              v
 *            drain --> is_idle --> close
 *
 * Invariants
 *  I1  At most one accept is with the kernel, and none is posted after drain.
 *  I2  `accepted` is called from the ring's callbacks alone. Whoever accepts after drain is told of
 *      a client, too: the kernel may have had it already.
 *  I3  The socket that `accepted` gets is the owner's.
 *
 * Not responsible for: how many clients there may be, what a refused one is told.
 */
#ifndef MKV_BACKENDS_ACCEPTOR_H
#define MKV_BACKENDS_ACCEPTOR_H

#include <sys/socket.h>

#include "backends/ring.h"
#include "backends/tcp_listen.h"

/* What the owner waits for when the process is out of descriptors, or the kernel of memory. */
#define MKV_ACCEPTOR_RETRY_NS (100ull * 1000000u)

struct mkv_acceptor_options {
    struct mkv_ring *ring;
    struct mkv_tcp_listen_options listen;
    /* Instead of it: a Unix socket that listens, of which the acceptor makes a descriptor of its
     * own. Others may accept on the socket, too; it is the caller's to close. */
    bool is_local;
    int local_fd;
    void (*accepted)(void *context, int fd);
    void *context;
};

struct mkv_acceptor {
    /* Of the acceptor alone. */
    struct mkv_ring_completion completion;
    struct mkv_ring *ring;
    void (*accepted)(void *context, int fd);
    void *context;
    int listen_fd;
    uint16_t port; /* it listens on; readable by all */
    bool is_in_flight;
    bool is_local;
    bool is_multishot;
    bool is_draining;
    uint64_t now_ns;   /* of the last poll */
    uint64_t retry_ns; /* no accept is posted before */
};

/* Listens from now on; accepts once it is polled. It stays where it is until it is closed. The
 * error names who holds a port in use. */
__attribute__((warn_unused_result)) bool mkv_acceptor_open(
    struct mkv_acceptor *acceptor, const struct mkv_acceptor_options *options,
    struct mkv_backend_error *error);
/* Posts an accept where none is with the kernel. */
void mkv_acceptor_poll(struct mkv_acceptor *acceptor, uint64_t now_ns);
/* Ends the accept in the kernel; a port is free from now on. */
void mkv_acceptor_drain(struct mkv_acceptor *acceptor);
/* Whether it is drained, and nothing of it is with the kernel. */
bool mkv_acceptor_is_idle(const struct mkv_acceptor *acceptor);
/* One that is zeroed or idle, or was never polled. */
void mkv_acceptor_close(struct mkv_acceptor *acceptor);

/* Before a handshake TLS has an alert alone to say why a client is refused. */
enum mkv_tls_alert {
    MKV_TLS_ALERT_ACCESS_DENIED = 49,
    MKV_TLS_ALERT_INTERNAL_ERROR = 80,
};

/* Closes an accepted socket behind the bytes that tell its client why. The socket is new, so its
 * buffer takes them; a client that is gone already does not miss them. */
void mkv_acceptor_refuse(int fd, const void *bytes, size_t byte_count);
/* The same, to a client that begins a handshake. */
void mkv_acceptor_refuse_tls(int fd, enum mkv_tls_alert alert);

/* Writes "10.0.0.7:41234", "[::1]:41234" or "unix"; "" for any other address. */
void mkv_acceptor_address_text(const struct sockaddr *address, char *text, size_t text_bytes);
/* The same of whoever is at the other end of a socket; "" when nobody is any more. */
void mkv_acceptor_peer_text(int fd, char *text, size_t text_bytes);
/* The same of this end of the socket. */
void mkv_acceptor_local_text(int fd, char *text, size_t text_bytes);

#endif
