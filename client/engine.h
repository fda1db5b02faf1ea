/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What carries out the calls of a client: many at a time, over many connections, to many servers,
 * on the thread that calls and on no other.
 *
 *   call ──share──▶ server ──request──▶ connection ──frames──▶ transport
 *     │      (its items     (groups of items              ▲        │
 *     │       of one         of one op, while             └ READY ─┤
 *     │       server)        the connection has room)              │
 *     └◀──────────────────── answers, DATA ────────────────────────┘
 *
 * A call's items go to the servers that own their keys: the items of one server are a share, which
 * waits in the server's queue, and of which requests are made as connections have room for them.
 * Shares of several calls take turns. A connection goes through these states:
 *
 *   CLOSED ──▶ RESOLVING ──▶ CONNECTING ──▶ GREETING ──▶ READY
 *     ▲            │             │ (next address)│         │
 *     └────────────┴─────────────┴───────────────┴─────────┘
 *
 * A server that could not be reached is let alone for a while (remote.c), and what goes to it
 * meanwhile fails at once.
 *
 * Invariants
 *  I1  An item gets its status once: from an answer, or from the end of its connection or call.
 *  I2  Until a call is done, payloads are received into and sent from the caller's memory; when it
 *      is done nothing refers to that any more. What a call's deadline cuts off is either dropped
 *      as it comes, or its connection is closed.
 *  I3  What a server sends is checked before it is used: no READY or DATA reaches outside of the
 *      range that its item asked for, and DATA of one item comes in order and without gaps.
 *  I4  Nothing waits but mkv_engine_run, and that no longer than it was told.
 *  I5  The servers change between calls alone (mkv_servers_refresh). A server that leaves the list
 *      stays until no call has anything in flight to it: what it was asked is answered, or fails as
 *      with any other server.
 *
 * Not responsible for: what the public calls take (memkv.c), how bytes move (transport.h).
 */
#ifndef MKV_CLIENT_ENGINE_H
#define MKV_CLIENT_ENGINE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "client/address.h"
#include "client/discovery.h"
#include "client/exporter.h"
#include "client/greeting.h"
#include "client/memkv.h"
#include "client/metrics.h"
#include "client/rdma.h"
#include "client/resolver.h"
#include "client/settings.h"
#include "client/transport.h"
#include "client/window.h"
#include "core/base.h"
#include "core/placement.h"
#include "wire/native.h"

/* What one receive of headers asks for: small, because what it holds of a payload is copied. */
#define MKV_CLIENT_INPUT_BYTES (16u * 1024u)
#define MKV_CLIENT_TIMEOUT_MS 30000u
#define MKV_CLIENT_CONNECT_TIMEOUT_MS 5000u
/* Calls in flight and not yet collected. */
#define MKV_CLIENT_CALLS_MAX 65536u
/* Servers that are not in the list any more, and still have calls in flight. */
#define MKV_CLIENT_RETIRED_MAX 64u
#define MKV_CLIENT_REMOTES_MAX (MKV_CLIENT_SERVERS_MAX + MKV_CLIENT_RETIRED_MAX)

/* Requests of one connection in flight, if the server allows as many ... */
#define MKV_CONNECTION_REQUESTS_MAX 64u
/* ... and of one call at one server, so that others come in between. */
#define MKV_SHARE_REQUESTS_MAX 16u
/* Items of a request that moves payloads by READY and DATA: few, so that the requests of a batch
 * are answered, and their deadlines begin, one after the other. */
#define MKV_REQUEST_TRANSFER_ITEMS_MAX 8u
/* READY that one request may have outstanding: pieces of one large value; see docs/protocol.md. */
#define MKV_REQUEST_READY_MAX 16u
_Static_assert(MKV_REQUEST_READY_MAX >= MKV_REQUEST_TRANSFER_ITEMS_MAX, "one READY an item");
/* What a value that is not in memory is read in. */
#define MKV_CALL_STAGE_BYTES (1024u * 1024u)

enum mkv_progress {
    MKV_PROGRESS_MOVED = 1,
    MKV_PROGRESS_BLOCKED, /* by the transport, or there is nothing to do */
};

struct mkv_call;
struct mkv_connection;
struct mkv_remote;
struct mkv_request;
struct mkv_share;

/* In a COMMIT's reservation: what its server calls it, and above that which connection made it. */
#define MKV_RESERVATION_BITS 48u
#define MKV_RESERVATION_NAME_MASK ((1ull << MKV_RESERVATION_BITS) - 1u)
#define MKV_RESERVATION_SERIAL_MAX ((1u << (64u - MKV_RESERVATION_BITS)) - 1u)
_Static_assert(MKV_NATIVE_RESERVATION_MAX < 1ull << MKV_RESERVATION_BITS, "servers' names fit");

/* ---- calls ---------------------------------------------------------------------------------- */

/* What an item asks of one server: all items but those of a session have one part. */
struct mkv_part {
    uint32_t item;
    uint32_t group;          /* parts of one group may share a request (request.c) */
    uint32_t serial;         /* COMMIT: the connection that its reservation is of */
    uint32_t shard;          /* of the server, that is best asked; MKV_NONE_U32: any */
    bool is_done;            /* it has its status */
    bool is_started;         /* bytes of its request may have reached the server */
    bool is_corrupt;         /* GET: what came is not what its root names */
    uint64_t ask_bytes;      /* GET: the length in its request; 0: all behind offset */
    uint64_t received_bytes; /* GET */
    uint64_t value_bytes;    /* GET: of the whole value, from its first DATA */
};

struct mkv_share {
    TAILQ_ENTRY(mkv_share) link; /* in its server's queue */
    struct mkv_call *call;
    struct mkv_remote *remote;
    struct mkv_part *parts;
    uint32_t part_count;
    uint32_t part_next;      /* the first that has no request yet */
    uint32_t requests_used;  /* in flight */
    uint32_t limits_version; /* of the limits that the parts are grouped by; 0: not yet */
    bool is_queued;
    bool is_single_made; /* a call of `single` without items has had its request */
};
TAILQ_HEAD(mkv_share_list, mkv_share);

struct mkv_call {
    TAILQ_ENTRY(mkv_call) link; /* running: by deadline; done: in the order of completion */
    struct memkv_client *client;
    uint64_t begin_ns;
    uint64_t deadline_ns;
    uint32_t timeout_ms;
    uint64_t ring_version; /* the client's, when its items were dealt out */
    bool is_async;         /* it goes to the list of completions */
    bool is_running;
    uint64_t cookie;
    bool has_trace;
    struct mkv_trace_context trace;
    bool is_spanned;           /* it is a span of its own, which `trace` names ... */
    uint8_t span_parent_id[8]; /* ... below this one; 0: none */

    struct memkv_item *items;
    uint32_t item_count;
    struct memkv_item *own_items; /* the same, where the library made them */
    /* LOOKUP of the items (op EXISTS); STATS, PING; 0: items. */
    enum mkv_native_op single;
    enum memkv_status single_status;
    uint64_t lookup_gap; /* LOOKUP: index of the first key that is missing; item_count: none is */
    uint8_t *text;       /* STATS */
    uint32_t text_bytes;

    uint32_t share_count;
    uint32_t shares_open;   /* that have more requests to make */
    uint32_t requests_used; /* in flight */
    struct mkv_share *shares;

    /* One item whose value is not in memory. */
    memkv_read_fn source;
    memkv_write_fn target;
    void *context;
    uint8_t *stage; /* source: MKV_CALL_STAGE_BYTES; target: a block */
    size_t stage_capacity;
    uint64_t stage_offset; /* source: stage holds the value's [stage_offset, + stage_bytes) */
    size_t stage_bytes;

    /* What there is to say of one item: of the first that has such a text. */
    uint32_t noted_item;
    char noted_text[MEMKV_ERROR_TEXT_BYTES];
};
TAILQ_HEAD(mkv_call_list, mkv_call);

/* For mkv_call.noted_item: of no item. */
#define MKV_CALL_NOTE_NONE 0xffffffffu

/* ---- connections ---------------------------------------------------------------------------- */

/* Head, then payload. */
struct mkv_send {
    TAILQ_ENTRY(mkv_send) link;
    struct mkv_request *request; /* NULL: of the greeting */
    bool is_data;                /* else a frame of the library's own memory */
    bool is_taken;               /* it is TAKEN */
    bool is_rooted;              /* DATA whose head has the payload's root ... */
    bool has_root;               /* ... and has it already */
    bool is_remote;              /* DATA whose payload the server reads ... */
    bool has_place;              /* ... from there, until it has said TAKEN */
    struct mkv_rdma_place place;
    struct mkv_rdma_port *port; /* of the place */
    const uint8_t *head;
    size_t head_bytes;
    const uint8_t *payload; /* NULL with payload bytes: comes from the call's source */
    uint64_t payload_bytes;
    uint64_t payload_offset;     /* in the value */
    uint64_t done_bytes;         /* of head and payload together */
    bool is_held;                /* the transport has some of it, and sends it whatever happens */
    struct mkv_native_data data; /* as in the head */
    uint8_t data_head[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES];
};
TAILQ_HEAD(mkv_send_list, mkv_send);

struct mkv_request {
    TAILQ_ENTRY(mkv_request) link;
    struct mkv_connection *connection;
    struct mkv_share *share; /* NULL: its call is over; what still comes is dropped */
    struct mkv_part *parts;
    uint32_t part_count;
    enum mkv_native_op op;
    uint64_t id;
    bool is_sent;
    bool is_answered;
    bool is_inline;
    bool uses_window;              /* the server writes or reads the caller's memory by itself */
    bool uses_remote;              /* the same by RDMA, and it is the caller's own */
    uint32_t place_count;          /* of `places`: 0, or one for each part */
    struct mkv_rdma_place *places; /* where the server finds the parts' memory; NULL: nowhere */
    struct mkv_rdma_port *port;    /* of the places */
    bool is_exposed;               /* the server reads memory that DATA named */
    uint64_t slot_count;           /* GET into slots: DATA that have come there */
    uint32_t ready_count;          /* READY whose DATA has not been sent, or is still read */
    struct mkv_send send;
    size_t frame_bytes;
    uint8_t frame[]; /* header, body, inline payload */
};
TAILQ_HEAD(mkv_request_list, mkv_request);

enum mkv_receiving {
    MKV_RECEIVING_HEADER = 0,
    MKV_RECEIVING_BODY,
    MKV_RECEIVING_PAYLOAD,
};

/* The frame that is being received. */
struct mkv_receive {
    enum mkv_receiving state;
    struct mkv_native_header header;
    uint32_t body_done_bytes;
    /* DATA. */
    struct mkv_native_data data;
    struct mkv_request *request; /* NULL: nobody wants it any more */
    struct mkv_part *part;
    uint8_t *target; /* NULL: the payload is dropped */
    uint64_t done_bytes;
    bool is_rooted; /* a whole block, or a part with a root of its own: it is compared */
    uint32_t sum_count;
    uint64_t sums[MKV_CHUNKS_MAX];
    bool is_in_slot; /* `target` is one of the request's slots */
};

enum mkv_connection_state {
    MKV_CONNECTION_CLOSED = 0,
    MKV_CONNECTION_RESOLVING,
    MKV_CONNECTION_CONNECTING,
    MKV_CONNECTION_GREETING,
    MKV_CONNECTION_READY,
};

/* How far a connection is with its window (connection_window.c). */
enum mkv_window_step {
    MKV_WINDOW_NONE = 0, /* it has none, and asks for none */
    MKV_WINDOW_ASKED,
    MKV_WINDOW_MAPPED,
};

/* How far a connection is with its lane (connection_rdma.c). */
enum mkv_rdma_step {
    MKV_RDMA_NONE = 0, /* it has one, or asks for none */
    MKV_RDMA_ASKED,
    MKV_RDMA_PROBING,
};

struct mkv_connection {
    struct mkv_remote *remote;
    enum mkv_connection_state state;
    uint32_t serial;       /* of this time that it is open, for reservations */
    uint64_t ring_version; /* of the list of servers that its server was told */
    uint32_t home;         /* 1 + the shard of the server that it was to be at; 0: any */
    uint32_t shard;        /* that it is at; MKV_NONE_U32: not known */
    struct mkv_transport *transport;
    bool is_readable; /* as far as is known: true until the transport said BLOCKED */
    bool is_writable;
    /* Until it is READY. */
    uint64_t begin_ns;
    uint64_t deadline_ns;         /* of getting READY */
    uint64_t address_deadline_ns; /* of this address */
    struct mkv_resolver *resolver;
    struct mkv_addresses *addresses;
    uint32_t address_next;
    struct mkv_greeting greeting;
    struct mkv_send greeting_send;
    enum mkv_window_step window_step;

    bool wants_rdma;   /* it has said so in HELLO */
    bool is_candidate; /* it tries RDMA again, beside others (remote_rdma.c) */
    enum mkv_rdma_step rdma_step;
    uint32_t rdma_fallback;     /* why it got no lane, as in HELLO */
    uint64_t rdma_deadline_ns;  /* of this step */
    struct mkv_rdma_lane *lane; /* NULL: none */
    bool lane_is_given;         /* it is the transport's, which ends it */
    uint64_t reserved_until_ns; /* the last of its reservations ends */

    uint64_t request_id_next;
    struct mkv_request_list requests;
    uint32_t requests_used;
    uint32_t requests_live; /* whose call is not over */
    struct mkv_send_list sends;
    struct mkv_send_list untaken; /* DATA that were sent, and that the server reads */
    uint64_t taken_count;         /* that it has read, of this lane */
    bool is_send_broken;          /* the server takes nothing more; what it sent may say why */
    struct mkv_receive receive;
    /* Bytes that were received and not yet taken: input[input_begin .. input_end). */
    size_t input_begin;
    size_t input_end;
    uint8_t input[MKV_CLIENT_INPUT_BYTES];
    uint8_t body[MKV_NATIVE_BODY_BYTES_MAX];
};

/* ---- servers -------------------------------------------------------------------------------- */

/* Whether a server is reached by RDMA (remote_rdma.c). */
struct mkv_remote_rdma {
    uint32_t failure_count; /* in a row; 0: connections ask for a lane */
    uint32_t fallback;      /* why it goes without, as in HELLO; 0: it does not */
    uint64_t retry_ns;      /* when it is tried again */
    bool is_leaving_tcp;    /* connections without a lane get nothing new, and close */
    bool had_lane;          /* once, so that it will have one again */
    uint32_t pause_count;   /* how often the next pause is doubled */
    uint64_t recovered_ns;  /* when it was last reached by RDMA again; 0: never */
    /* One of the two never had RDMA: when to look again; 0: never. No failure has been then. */
    uint64_t look_ns;
};

struct mkv_remote {
    struct memkv_client *client;
    struct mkv_client_address address;
    struct mkv_native_hello_answer limits;
    uint32_t limits_version;         /* 0: it has never greeted */
    struct mkv_native_shards shards; /* as it last said; shard_count 0: it has one */
    struct mkv_share_list queue;
    /* connections_max, for each of its shards; it never gets less. One more with RDMA, for a
     * connection that tries it again. */
    uint32_t slots;
    struct mkv_connection **connections; /* slots of them, NULL where there is none */
    /* Failures to connect in a row, and the end of the time for which it is let alone. */
    uint32_t failure_count;
    uint64_t retry_ns;
    struct memkv_error failure; /* the last one */
    struct mkv_remote_rdma rdma;
};

/* Memory that the caller has registered. */
struct mkv_buffer {
    LIST_ENTRY(mkv_buffer) link;
    uint64_t handle;
    uint8_t *address;
    uint64_t byte_count;
    struct mkv_buffer_region {
        struct mkv_rdma_range *range; /* NULL: not registered there, or not yet */
        uint64_t refused_ns;          /* when the device last refused it; 0: never */
    } regions[MKV_RDMA_PORTS_MAX];
};
LIST_HEAD(mkv_buffer_list, mkv_buffer);
#define MKV_CLIENT_BUFFERS_MAX 1024u

struct memkv_client {
    char name[MKV_CLIENT_NAME_BYTES_MAX + 1u];
    char tenant[MKV_CLIENT_TENANT_BYTES_MAX + 1u];
    bool has_key; /* `auth_key` is proven to servers, and asked of them */
    uint8_t auth_key[MKV_NATIVE_KEY_BYTES];
    char auth_key_id[MKV_NATIVE_KEY_ID_BYTES + 1u];
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    uint32_t connections_max; /* to each shard of a server */
    bool has_trace;           /* requests carry `trace` to servers that take it */
    struct mkv_trace_context trace;

    struct mkv_client_tls *tls; /* NULL: plain */
    struct mkv_window *window;  /* NULL: no server is on this machine */
    struct mkv_rdma *rdma;      /* NULL: transport says that there is to be none */

    /* The servers of the list, then those that have left it and still have calls in flight. */
    struct mkv_remote *remotes[MKV_CLIENT_REMOTES_MAX];
    uint32_t remote_count;                             /* of the list */
    uint32_t remote_all_count;                         /* with those that have left it */
    struct mkv_member members[MKV_CLIENT_SERVERS_MAX]; /* the list, as placement sees it */
    uint32_t scratch[MKV_CLIENT_REMOTES_MAX];          /* one for each server */
    bool has_ring;         /* of several servers, or of a list that may change: misses, no errors */
    uint64_t ring_version; /* counts the changes of the list */
    struct mkv_native_hello_answer limits_last; /* of the server that greeted last */
    struct mkv_discovery *discovery;            /* NULL: the list stays as it is */
    uint64_t discovery_version;                 /* of the list that was taken from it */

    struct mkv_call_list running;
    struct mkv_call_list done; /* asynchronous ones */
    uint32_t call_count;       /* in both */
    uint32_t done_count;

    int epoll;     /* of all transports and resolvers, and of the two below */
    int wake;      /* eventfd: there is something to do or collect; -1 until memkv_fd */
    int timer;     /* timerfd: the next deadline; -1 until memkv_fd */
    bool is_awake; /* `wake` is readable */
    bool has_more; /* the last round that did not wait left something to do */
    uint64_t timer_ns;
    uint64_t look_ns; /* when its events were last looked at without waiting, beside lanes */
    uint32_t serial_last;
    uint64_t random;
    struct mkv_metrics *metrics;    /* NULL: nothing is counted */
    struct mkv_exporter *exporter;  /* NULL: calls are no spans */
    struct mkv_buffer_list buffers; /* that are registered */
    uint32_t buffer_count;
    uint64_t buffer_handle_last;
};

/* ---- error.c -------------------------------------------------------------------------------- */

/* Fills *error, which may be NULL, and returns `status`. Longer texts are cut. */
__attribute__((format(printf, 3, 4))) enum memkv_status mkv_client_fail(struct memkv_error *error,
                                                                        enum memkv_status status,
                                                                        const char *format, ...);
/* *error, which may be NULL, becomes MEMKV_OK without a text. */
enum memkv_status mkv_client_succeed(struct memkv_error *error);
/* What a status means, as a clause. */
const char *mkv_client_status_text(enum memkv_status status);
/* Copies text of the server, control characters replaced, cut to `text_bytes` with its NUL. */
void mkv_client_text_copy(const uint8_t *bytes, size_t byte_count, char *text, size_t text_bytes);
/* The same of a key, which may be any bytes, with "…" where it was cut. */
void mkv_client_key_text(const void *key, size_t key_bytes, char *text, size_t text_bytes);

/* memkv.c: notes the first key that is none. */
enum memkv_status mkv_client_keys_check(const struct memkv_key *keys, size_t key_count,
                                        struct memkv_error *error);

/* ---- memkv_register.c ----------------------------------------------------------------------- */

void mkv_buffers_close(struct memkv_client *client);
/* Other pages have come to these addresses: what is registered of them is so anew when it is next
 * used, and kept until then only for requests that have it. */
void mkv_buffers_moved(struct memkv_client *client, const void *address, uint64_t byte_count);

/* rdma_memory.c */
/* Registers a buffer at a port, where it is not. False: the device refuses, or has within the last
 * second; *problem says why when it was asked. */
bool mkv_buffer_prepare(struct mkv_buffer *buffer, struct mkv_rdma_port *port, char *problem);
/* Ends its registration there, if there is one, behind the last place that has it. */
void mkv_buffer_release(struct mkv_buffer *buffer, uint32_t place);

/* ---- engine.c ------------------------------------------------------------------------------- */

/* Monotonic. */
uint64_t mkv_client_now_ns(void);
/* Makes the engine of a client whose names and options are set. MEMKV_NO_MEMORY, with *error. */
enum memkv_status mkv_engine_open(struct memkv_client *client, struct memkv_error *error);
/* Closes all connections. Calls that are not done are freed. */
void mkv_engine_close(struct memkv_client *client);
/* Connects to all servers at once. MEMKV_OK when one at least is READY, else *error tells why. */
enum memkv_status mkv_engine_connect(struct memkv_client *client, struct memkv_error *error);
/* Has a connection that is READY, as far as can be seen. */
bool mkv_engine_is_connected(struct mkv_remote *remote);
/* Begins a call, and sends what can be sent at once. */
void mkv_engine_begin(struct mkv_call *call);
/* Works until `call` is done; of NULL: until a completion is there or `deadline_ns` has come. */
void mkv_engine_run(struct memkv_client *client, const struct mkv_call *call, uint64_t deadline_ns);
/* Does what can be done without waiting. */
void mkv_engine_poll(struct memkv_client *client);
/* Makes the descriptors that memkv_fd needs. False: errno says why. */
bool mkv_engine_fd_open(struct memkv_client *client);
/* Has them tell what is to come; at the end of each public call. Nothing without memkv_fd. */
void mkv_engine_arm(struct memkv_client *client);
/* Has the epoll descriptor tell of a transport or resolver of this connection. */
void mkv_engine_watch(struct mkv_connection *connection, int descriptor, uint32_t events);
/* Has it tell no more, which closing the descriptor alone does not: a thread or a child of the
 * process may have it open, too. */
void mkv_engine_unwatch(struct mkv_connection *connection, int descriptor);
/* The call has ended: its status stands. */
void mkv_engine_done(struct mkv_call *call);
/* A running call may take so much longer. */
void mkv_engine_extend(struct mkv_call *call, uint64_t time_ns);

/* ---- call.c --------------------------------------------------------------------------------- */

/* What a call is besides its items. */
struct mkv_call_kind {
    enum mkv_native_op single; /* LOOKUP of items of op EXISTS; STATS or PING of none; else 0 */
    uint32_t remote;           /* STATS, PING: whose ... */
    bool is_of_all;            /* ... or of all servers */
    memkv_read_fn source;      /* of the one item, as are these */
    memkv_write_fn target;
    void *context;
};

/* A call of these items; `kind` may be NULL. Items that cannot be sent have their status. NULL: no
 * memory, *error says so and the items' status does. */
struct mkv_call *mkv_call_new(struct memkv_client *client, struct memkv_item *items,
                              size_t item_count, const struct mkv_call_kind *kind,
                              struct memkv_error *error);
/* The server of a key. */
uint32_t mkv_call_owner(const struct memkv_client *client, const void *key, uint32_t key_bytes);
void mkv_call_free(struct mkv_call *call);
/* What became of a call that is done: MEMKV_OK, or of the first item that is not. */
enum memkv_status mkv_call_report(const struct mkv_call *call, struct memkv_error *error);
/* Keeps a text for an item, unless an earlier item has one. */
__attribute__((format(printf, 3, 4))) void mkv_call_note(struct mkv_call *call, uint32_t item,
                                                         const char *format, ...);
/* A part has come to this; with MEMKV_OK too. */
void mkv_call_part_done(struct mkv_call *call, struct mkv_part *part, enum memkv_status status);
/* A part, or a share without parts, has come to nothing: its connection, server or time is gone. */
void mkv_call_part_fail(struct mkv_call *call, struct mkv_part *part, enum memkv_status failure,
                        const char *text);
/* What of a share has no request yet will have none. */
void mkv_share_fail(struct mkv_share *share, enum memkv_status failure, const char *text);
/* The call is ended if nothing of it is left to do. */
void mkv_call_settle(struct mkv_call *call);
/* Its deadline has come, or it is cancelled: it ends at once, with that status. */
void mkv_call_cut(struct mkv_call *call, enum memkv_status status);
/* Callers' functions; false: they failed. Their time does not count. */
bool mkv_call_source(struct mkv_call *call, uint64_t offset, size_t byte_count);
/* The same to memory that is not the stage. */
bool mkv_call_source_to(struct mkv_call *call, uint64_t offset, void *bytes, size_t byte_count);
bool mkv_call_target(struct mkv_call *call, uint64_t offset, uint64_t value_bytes,
                     const void *bytes, size_t byte_count);
/* Makes `stage` at least as large. False: no memory. */
bool mkv_call_stage_reserve(struct mkv_call *call, size_t byte_count);

/* ---- item.c --------------------------------------------------------------------------------- */

/* What is wrong with an item, whatever the server: noted, and false. */
bool mkv_item_is_sound(struct mkv_call *call, uint32_t index);

/* ---- request.c ------------------------------------------------------------------------------ */

/* Has requests to make. */
bool mkv_share_is_open(const struct mkv_share *share);
/* Puts the parts that have no request into an order by the server's limits; those that cannot be
 * sent get their status. */
void mkv_share_group(struct mkv_share *share);
/* Makes one request of an open share's next parts. NULL: there is no memory. */
struct mkv_request *mkv_request_make(struct mkv_connection *connection, struct mkv_share *share);
/* Has the connection's server told the client's list of servers anew, by a PING of no call. False:
 * there is no memory now. */
bool mkv_request_tell_ring(struct mkv_connection *connection);
/* It is a GET whose bytes the server puts into slots, in turn. */
static inline bool mkv_request_has_slots(const struct mkv_request *request) {
    return request->place_count == 1 && request->places[0].remote.slots > 0;
}
/* Frees the request once it was sent and answered, and its call is told. */
void mkv_request_release(struct mkv_request *request);
/* Frees it, with its places. Its lane is done with them: it was answered, never sent, or the lane
 * has ended. */
void mkv_request_free(struct mkv_request *request);
/* The server has answered: its memory is no longer the server's. `is_stale`: what was read was of
 * other memory: what the library has kept registered by itself is not used again. */
void mkv_request_conceal(struct mkv_request *request, bool is_stale);
/* Makes the same request, a PUT, once more, of the same parts and without their memory. False:
 * there is no memory. */
bool mkv_request_again(struct mkv_request *request);

/* ---- remote.c ------------------------------------------------------------------------------- */

void mkv_remote_enqueue(struct mkv_share *share);
void mkv_remote_dequeue(struct mkv_share *share);
/* Makes requests of what waits, as far as there is room; connects where that is wanted, and fails
 * what waits for a server that is let alone. */
enum mkv_progress mkv_remote_dispatch(struct mkv_remote *remote, uint64_t now_ns);
/* What servers are told of the client's list of them (address.h); 0: there is but one. */
uint64_t mkv_remotes_ring_hash(const struct memkv_client *client);
/* A connection could not be made READY. */
void mkv_remote_connect_failed(struct mkv_remote *remote, enum memkv_status failure,
                               const char *text);
/* A connection is READY. */
void mkv_remote_connected(struct mkv_remote *remote, const struct mkv_greeting *greeting);
/* When something is due that no descriptor tells of; UINT64_MAX: nothing. */
uint64_t mkv_remote_due_ns(const struct mkv_remote *remote);
/* Begins to connect one more. */
void mkv_remote_open_one(struct mkv_remote *remote, uint64_t now_ns);
/* The same in this free place, beside the others, to try RDMA again. */
void mkv_remote_open_candidate(struct mkv_remote *remote, uint32_t slot, uint64_t now_ns);
/* A number that nobody knows before. */
uint64_t mkv_remotes_draw(struct memkv_client *client);

/* ---- remote_rdma.c, with client->rdma alone ------------------------------------------------- */

/* A lane broke, or none could be had: the server is reached over TCP. `is_retry`: it was already,
 * and has just been tried again. */
void mkv_remote_rdma_failed(struct mkv_remote *remote, uint32_t fallback, const char *text,
                            bool is_retry);
/* It offers no RDMA and never did, or this host has no device: which they may have later. */
void mkv_remote_rdma_absent(struct mkv_remote *remote, uint64_t now_ns);
/* A lane is open. */
void mkv_remote_rdma_ready(struct mkv_remote *remote);
/* Opens a candidate when it is time, and closes TCP connections that nobody needs any more. */
void mkv_remote_rdma_tend_now(struct mkv_remote *remote, uint64_t now_ns);
/* In each round: nothing where all is as it was. */
static inline void mkv_remote_rdma_tend(struct mkv_remote *remote, uint64_t now_ns) {
    const struct mkv_remote_rdma *rdma = &remote->rdma;
    if (rdma->failure_count > 0 || rdma->is_leaving_tcp ||
        (rdma->look_ns != 0 && now_ns >= rdma->look_ns)) {
        mkv_remote_rdma_tend_now(remote, now_ns);
    }
}
/* A connection over TCP that is to get nothing new. */
bool mkv_remote_rdma_is_leaving(const struct mkv_connection *connection);
/* The server is none of the client's any more. */
void mkv_remote_rdma_end(struct mkv_remote *remote);

/* ---- servers.c ------------------------------------------------------------------------------ */

/* Makes these the servers of the list. Those that were in it before keep their connections. When
 * it fails the list stays as it was: MEMKV_NO_MEMORY, MEMKV_BUSY (too many servers have left it
 * and still have calls in flight). Not while a call is being made. */
enum memkv_status mkv_servers_set(struct memkv_client *client,
                                  const struct mkv_client_address *addresses, uint32_t count,
                                  struct memkv_error *error);
/* Takes the discovery's list if it is a new one, and lets go of servers that have left it and are
 * done. At the begin of each public call. */
void mkv_servers_refresh(struct memkv_client *client);
/* A DELETE came to this at the server that was asked: MEMKV_UNAVAILABLE where that is not its
 * key's server any more. */
enum memkv_status mkv_servers_deleted(struct mkv_call *call, const struct mkv_part *part,
                                      enum memkv_status status);
/* Closes all connections. */
void mkv_servers_free(struct memkv_client *client);

/* ---- connection.c --------------------------------------------------------------------------- */

/* Begins to connect a connection that is CLOSED. It may have failed when this returns. */
void mkv_connection_open(struct mkv_connection *connection, uint64_t now_ns);
/* Does what can be done now. MOVED: there may be more. */
enum mkv_progress mkv_connection_step(struct mkv_connection *connection, uint64_t now_ns);
/* Gives the connection up: everything in flight on it fails. */
__attribute__((format(printf, 3, 4))) void mkv_connection_fail(struct mkv_connection *connection,
                                                               enum memkv_status failure,
                                                               const char *format, ...);
/* The greeting's next frame is to be sent. */
void mkv_connection_greet(struct mkv_connection *connection);
/* The greeting is done. */
void mkv_connection_ready(struct mkv_connection *connection);
/* The transport waits for these events. */
void mkv_connection_blocked(struct mkv_connection *connection, short events);
/* A request whose call is over stays behind, or takes its connection with it. */
void mkv_request_abandon(struct mkv_request *request, enum memkv_status status, const char *text);
void mkv_connection_free(struct mkv_connection *connection);

/* Begins anew with the first address, in what is left of its time. */
void mkv_connection_reopen(struct mkv_connection *connection, uint64_t now_ns);

/* connection_rdma.c */
/* Whether its HELLO asks for RDMA. */
bool mkv_connection_rdma_is_wanted(const struct mkv_connection *connection);
/* Behind the greeting: false, there is nothing to agree on, and it may be READY. */
bool mkv_connection_rdma_begin(struct mkv_connection *connection);
/* Its server had RDMA when it greeted. */
bool mkv_connection_rdma_is_offered(const struct mkv_connection *connection);
/* Whether this host has a port by now that a lane to the same server could be made at. */
bool mkv_connection_rdma_is_possible(const struct mkv_connection *connection, uint64_t now_ns);
/* A frame of the server, while they agree. */
void mkv_connection_rdma_frame(struct mkv_connection *connection);
/* Looks whether a lane that probes is open. */
enum mkv_progress mkv_connection_rdma_step(struct mkv_connection *connection, uint64_t now_ns);
/* The time of its step is over. */
void mkv_connection_rdma_late(struct mkv_connection *connection, uint64_t now_ns);
/* The connection is about to be given up, with this text: where RDMA is at fault its server is
 * reached without. */
void mkv_connection_rdma_failing(struct mkv_connection *connection, const char *text);
/* It is READY, or gone: no candidate any more. */
void mkv_connection_candidate_over(struct mkv_connection *connection);
/* The connection has no lane any more; one that is its transport's has ended with that. */
void mkv_connection_rdma_end(struct mkv_connection *connection);

/* connection_window.c */
/* Behind the greeting: false, there is nothing to agree on. */
bool mkv_connection_window_begin(struct mkv_connection *connection);
/* A frame of the server, while they agree. */
void mkv_connection_window_frame(struct mkv_connection *connection);
/* The connection is gone, and its window with it. */
void mkv_connection_window_end(struct mkv_connection *connection);

/* connection_send.c */
void mkv_connection_append(struct mkv_connection *connection, struct mkv_send *send);
/* One that can be freed by mkv_send_free; NULL: no memory. */
struct mkv_send *mkv_send_new(struct mkv_request *request);
void mkv_send_free(struct mkv_send *send);
/* Says TAKEN of all DATA of a GET into slots that have come. False: no memory. */
bool mkv_send_taken(struct mkv_request *request);
/* The server has said how many DATA it has read. False: there were not so many. */
bool mkv_send_take_back(struct mkv_connection *connection, uint64_t count);
/* Puts the root of the payload, which is at `payload` whole, into the head of DATA. */
void mkv_send_root(struct mkv_send *send, const uint8_t *payload);
enum mkv_progress mkv_connection_send_some(struct mkv_connection *connection);

/* connection_receive.c */
enum mkv_progress mkv_connection_receive_some(struct mkv_connection *connection);

#endif
