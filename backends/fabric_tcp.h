/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native protocol over TCP, on a shard's ring: it accepts connections, takes requests off them,
 * moves payloads straight between sockets and slabs, and frames what the front answers.
 *
 * The life of a connection
 *
 *   accepted --> OPEN ---- the client shut its side ----> HALF_CLOSED --- all answered ---+
 *                 |                                            |                          |
 *                 +---- a fault of the client ----> REFUSED    |                          |
 *                 |                                    | flushed                          |
 *                 +---- draining, nothing owed ---> LINGERING -- the client closed ---+   |
 *                 |                                                                   v   v
 *                 +---- reset, BREAK, stalled, out of time -----------------------> BROKEN --> free
 *
 *   REFUSED takes nothing more, sends what was queued and last the answer that names the fault.
 *   LINGERING has shut its sending side and drops what still comes, so that the client's kernel
 *   does not throw the last answer away. BROKEN waits for its operations in the kernel; then its
 *   transfers and answers complete as FAILED, and CONNECTION_CLOSED ends it.
 *
 * The payload of a PUT
 *   after READY: received into the slab of the oldest PULL, hashed chunk by chunk as it comes.
 *   inline:      received into a buffer of a bounded pool before the REQUEST is handed in; PULL
 *                copies from it, and it goes back with the ANSWER.
 *   by RDMA:     read out of the client's memory (fabric_tcp_lane.c).
 *
 * Invariants
 *  I1  At most one receive and one send of a connection are in the kernel.
 *  I2  A connection owes at most twice requests_max answers and holds at most two body buffers, one
 *      of them for STATS; a client that goes on without reading, or when no buffer is free, is not
 *      read from.
 *  I3  DATA is taken only for the oldest PULL whose READY has been sent.
 *  I4  Whoever stops in the middle of a frame, or takes no bytes, is broken after stall_ns; so a
 *      buffer of a pool comes back.
 *  I5  Frames leave in the order of their effects. (READY too.)
 *  I6  No request is handed in before its client has a grant with the right to it (fabric_auth.h).
 *      Whoever failed to show who he is hears of it when the delay is over, and is not read from
 *      until then; nobody else waits.
 *  I7  A connection that has had no frame and owed none for rest_ns holds no buffer and no page: it
 *      waits for its socket without memory, as does the place of one that closed.
 *  I8  A slab that RDMA reads into or writes from is not completed before that has ended, or the
 *      queue pair is drained. A connection with a lane is BROKEN until it is, whatever ends first.
 *  I9  A connection whose HELLO names another shard goes there with that frame, before it was
 *      answered: the shard's fabric takes it up as if it had come to it.
 *
 * Not responsible for: what requests do, deadlines of posted transfers (front: BREAK), keys.
 */
#ifndef MKV_BACKENDS_FABRIC_TCP_H
#define MKV_BACKENDS_FABRIC_TCP_H

#include "backends/arena.h"
#include "backends/error.h"
#include "backends/fabric.h"
#include "backends/fabric_auth.h"
#include "backends/ring.h"
#include "backends/tcp_listen.h"
#include "backends/tls.h"
#include "core/tenant_names.h"
#include "wire/native_auth.h"

#define MKV_FABRIC_TCP_CONNECTIONS_MAX 65536u
#define MKV_FABRIC_TCP_REQUESTS_MAX 4096u

/* The longest deadline a client gets, whatever it asks for: what waits keeps others waiting. */
#define MKV_FABRIC_TCP_DEADLINE_MS_MAX 120000u

struct mkv_fabric_tcp;
struct mkv_lane_ports;
struct mkv_ring_views;

/* A connection on its way to another shard. */
struct mkv_fabric_tcp_move {
    int fd;
    struct mkv_fabric_session session;
    uint32_t byte_count;
    uint8_t bytes[MKV_NATIVE_HELLO_FRAME_BYTES_MAX]; /* what it has sent: its HELLO */
};

struct mkv_fabric_tcp_options {
    struct mkv_ring *ring;
    const struct mkv_arena *arena;
    const char *host;         /* an IPv4 or IPv6 address */
    uint16_t port;            /* 0: any free one */
    const char *option;       /* what the user changes to move the listener; "--listen" */
    enum mkv_tcp_share share; /* whether the fabrics of other shards listen there too */
    /* Instead of all these: a Unix socket that listens (fabric_shm.h), of which the fabric makes a
     * descriptor of its own. There is a window for each client that wants one, of so many bytes. */
    bool is_local;
    int local_fd;
    uint64_t window_bytes_max;
    struct mkv_tls *tls;      /* NULL: plain */
    uint32_t connections_max; /* more are told so and closed */
    uint32_t connection_base; /* the number of the first one: see fabric_set.h */
    uint32_t transfers_max;   /* PULL and PUSH that the front can have posted at once */
    uint32_t body_buffers;    /* for bodies that don't fit the 64 KiB of a connection, and STATS */
    uint32_t inline_buffers;  /* for payloads of inline PUTs, 64 KiB each, until their ANSWER */
    uint64_t hello_ns;        /* a connection without HELLO is closed after it; 0: 10 s */
    uint64_t stall_ns;        /* see I4; 0: 30 s */
    uint64_t close_ns;        /* what REFUSED and LINGERING have each; 0: 2 s */
    uint64_t rest_ns;         /* see I7; 0: 1 s */
    /* What HELLO is answered with; its limits are enforced, its default deadline applied. */
    struct mkv_native_hello_answer hello;
    /* Writes the JSON text of STATS and returns its bytes, at most text_bytes_max. */
    uint32_t (*stats)(void *context, char *text, uint32_t text_bytes_max);
    void *stats_context;
    /* The number of a tenant's name; with `create` a new name is given one. When it is PENDING it
     * is asked again in the next round. NULL: there is the default tenant alone. */
    enum mkv_tenant_resolved (*tenant)(void *context, const char *name, bool create, uint32_t *id);
    void *tenant_context;
    /* One of several shards: which are there, and whose keys are whose, as the answer to SHARDS;
     * and how a connection goes to another one, false: it cannot now, and stays. NULL: the feature
     * is not granted. Connections with TLS stay where they are, and are not granted it. */
    void (*shards)(void *context, struct mkv_native_shards *shards);
    bool (*move)(void *context, uint32_t shard, const struct mkv_fabric_tcp_move *move);
    void *shards_context;
    /* Who is served, and what he may do; it outlives the fabric. NULL: everybody, and all. */
    const struct mkv_fabric_auth *auth;
    /* Ports that connections may go on over by RDMA, which outlive the fabric and are driven by it.
     * NULL: none. Connections with TLS, and local ones, are not granted the feature. */
    struct mkv_lane_ports *lane_ports;
    /* What clients tell of their servers; it outlives the fabric. NULL: it is not kept. */
    struct mkv_ring_views *ring_views;
};

/* Listens from now on; accepts once the ring runs. The error names who holds a port in use. */
__attribute__((warn_unused_result)) bool mkv_fabric_tcp_create(
    const struct mkv_fabric_tcp_options *options, struct mkv_fabric_tcp **fabric,
    struct mkv_backend_error *error);
/* When it is idle, or before its ring was ever waited on. NULL is allowed. */
void mkv_fabric_tcp_destroy(struct mkv_fabric_tcp *fabric);

/* The number of its first connection. */
uint32_t mkv_fabric_tcp_connection_base(const struct mkv_fabric_tcp *fabric);
/* The port it listens on. */
uint16_t mkv_fabric_tcp_port(const struct mkv_fabric_tcp *fabric);
const struct mkv_fabric_counters *mkv_fabric_tcp_counters(const struct mkv_fabric_tcp *fabric);
const struct mkv_fabric_lane_counters *mkv_fabric_tcp_lane_counters(
    const struct mkv_fabric_tcp *fabric);

/* As what the pump drives (fabric.h); the functions below are its operations. */
struct mkv_fabric *mkv_fabric_tcp_base(struct mkv_fabric_tcp *fabric);

/* How many connections of other shards it has room for: half of the places are for those that come
 * by themselves, whom it would refuse. */
uint32_t mkv_fabric_tcp_adopts_max(const struct mkv_fabric_tcp *fabric);
/* Takes a connection of another shard over, or refuses it as it would one of its own. */
void mkv_fabric_tcp_adopt(struct mkv_fabric_tcp *fabric, const struct mkv_fabric_tcp_move *move);

void mkv_fabric_tcp_submit(struct mkv_fabric_tcp *fabric, const struct mkv_effect *effect,
                           const uint8_t *front_arena);
void mkv_fabric_tcp_poll(struct mkv_fabric_tcp *fabric, uint64_t now_ns);
bool mkv_fabric_tcp_has_work(const struct mkv_fabric_tcp *fabric);
/* New requests are answered UNAVAILABLE, but for inline PUTs, whose payload is on its way already;
 * a connection is closed when it owes nothing. */
void mkv_fabric_tcp_drain(struct mkv_fabric_tcp *fabric);
void mkv_fabric_tcp_stop(struct mkv_fabric_tcp *fabric);
bool mkv_fabric_tcp_is_idle(const struct mkv_fabric_tcp *fabric);

#endif
