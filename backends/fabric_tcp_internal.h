/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the TCP fabric share: its connections, its operations, its pools.
 *
 *   fabric_tcp.c             listener, rounds
 *   fabric_tcp_connection.c  the life of a connection from accept to reap; timeouts
 *   fabric_tcp_receive.c     bytes of a connection to frames, bodies and payloads
 *   fabric_tcp_frame.c       what a whole frame of a client does
 *   fabric_tcp_hello.c       HELLO and AUTH: who the client is
 *   fabric_tcp_submit.c      effects of the front to operations; their completion
 *   fabric_tcp_send.c        operations to frames on the socket
 *   fabric_tcp_pool.c        operations, and the buffers that connections share
 *   fabric_tcp_rest.c        connections that nobody uses give their memory back
 *   fabric_tcp_window.c      payload through memory that is shared with the client
 *   fabric_tcp_share.c       what is copied and hashed in a round
 *   fabric_tcp_lane.c        connections that go on over RDMA, ...
 *   fabric_tcp_lane_transfer.c   ... payload that it reads and writes there, and ...
 *   fabric_tcp_lane_round.c      ... where that goes by way of other memory
 *
 * A connection's lists of operations:
 *
 *   queue   --> [READY of a PULL] [PUSH] [ANSWER] [own answer] ...   to be sent, in order
 *   in flight   [PUSH] [ANSWER] ...      in the kernel's hands; a READY needs no completion
 *   pulls   --> [PULL] [PULL] ...        payloads that are to come, in the order of their READY
 *
 * Invariants
 *  I1  An operation is in the queue or in flight, and a PULL besides in pulls until it is done; or
 *      in the fabric's list of completed ones; or free.
 *  I2  Nothing frees a connection but mkv_tcp_connection_advance, which only poll calls: so a
 *      connection stays valid across a call of the sink.
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_BACKENDS_FABRIC_TCP_INTERNAL_H
#define MKV_BACKENDS_FABRIC_TCP_INTERNAL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "backends/acceptor.h"
#include "backends/fabric_tcp.h"
#include "backends/ring_views.h"
#include "backends/shm_window.h"
#include "backends/stream.h"
#include "wire/native_auth.h"

/* Holds any frame whose body is not large; see mkv_tcp_buffer_pool for the others. */
#define MKV_TCP_CONTROL_BYTES (64u * 1024u)
/* Headers and bodies of what one send carries; the largest answer takes 10,304 of it. */
#define MKV_TCP_SCRATCH_BYTES (16u * 1024u)
#define MKV_TCP_IOVECS_MAX 64u
/* No further frame joins a send that carries as much payload, so that slabs come back in time. */
#define MKV_TCP_SEND_BYTES_ENOUGH (1024u * 1024u)
/* The most that one receive of a payload asks for. Each end of one costs a wake-up of the shard:
 * with 256 KiB a payload took half as much CPU again, above 4 MiB nothing is gained. */
#define MKV_TCP_RECEIVE_BYTES_MAX (4u * 1024u * 1024u)
/* What a receive asks for when frames of unknown length come. */
#define MKV_TCP_RECEIVE_BYTES_CONTROL (16u * 1024u)
/* The same when the next frame is probably DATA: little of the payload is then copied twice. */
#define MKV_TCP_RECEIVE_BYTES_BEFORE_DATA (MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES + 4096u)
/* What is copied between slabs and windows or ways round, and hashed of payload by RDMA and of what
 * is sent, in a round of the shard: some 0.1 ms, in which others wait. */
#define MKV_TCP_COPY_BYTES_MAX (1024u * 1024u)
/* What is taken off a lane in one turn of its connection. */
#define MKV_TCP_LANE_TURN_BYTES (256u * 1024u)
/* How often connections are looked over for those that are out of time. */
#define MKV_TCP_SWEEP_NS (100ull * 1000000u)
#define MKV_TCP_TEXT_BYTES (MKV_NATIVE_TEXT_BYTES_MAX + 1u)
/* So many begin to rest in one look over them, so that it does not take long. */
#define MKV_TCP_RESTS_MAX 512u

_Static_assert(MKV_TCP_SCRATCH_BYTES >=
                   MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_ITEMS_MAX * MKV_NATIVE_RESULT_BYTES,
               "the largest answer fits one send");
_Static_assert(MKV_NATIVE_INLINE_BYTES_MAX <= MKV_CHUNK_BYTES_MIN,
               "an inline payload is one chunk with one sum");
_Static_assert(MKV_TCP_RECEIVE_BYTES_MAX % (MKV_BLOCK_BYTES_MAX / MKV_CHUNKS_MAX) == 0,
               "a receive ends at the end of a chunk");

enum mkv_tcp_op_kind {
    MKV_TCP_OP_PULL = 1,
    MKV_TCP_OP_PUSH,
    MKV_TCP_OP_ANSWER,
    MKV_TCP_OP_OWN, /* an answer of the fabric itself: HELLO, PING, STATS, a refusal */
};

/* Payload by RDMA, in pieces of MKV_LANE_PIECE_BYTES. */
struct mkv_tcp_remote {
    bool is_used;
    bool is_fed;    /* PULL: the client said by DATA where it is, and is told when it is read ... */
    bool is_rooted; /* ... and it is to have this root */
    struct mkv_root root;
    uint32_t slot_name; /* PUSH into slots in turn: that of its request; 0: it is none */
    uint32_t key;
    uint64_t address; /* of the transfer's first byte, or of the slots, in the client's memory */
    uint32_t posted_bytes;
    uint64_t done; /* a bit for each piece that has completed */
};

/* An effect of the front that is not completed yet, or an answer of the fabric itself. */
struct mkv_tcp_op {
    enum mkv_tcp_op_kind kind;
    bool announced;               /* PULL: its READY has been handed to the kernel */
    bool ends;                    /* OWN: nothing is sent behind it */
    enum mkv_transfer result;     /* in the list of completed operations */
    struct mkv_tcp_op *next;      /* in the queue, in flight, completed or free */
    struct mkv_tcp_op *pull_next; /* PULL: in the connection's pulls */
    struct mkv_op_id id;
    uint64_t sum;   /* PULL from an inline payload: of its one chunk */
    bool in_window; /* PUSH: it goes there ... */
    uint32_t copied_bytes;
    uint64_t window_offset;
    bool over_lane; /* PULL, PUSH: of a connection that has one */
    struct mkv_tcp_remote remote;
    union {
        struct mkv_transfer_effect transfer; /* PULL, PUSH */
        struct {
            uint64_t request_id;
            enum mkv_op op;
            enum mkv_status status;
            uint32_t result_count;
            const struct mkv_item_result *results; /* in the front's arena, until ANSWER_DONE */
            bool ends_request; /* which stays until it is sent: PUSHes before it may wait */
        } answer;
        struct {
            struct mkv_native_header header;
            const uint8_t *body;
            int descriptor; /* that goes with it; 0: none */
        } own;
    };
};

struct mkv_tcp_op_list {
    struct mkv_tcp_op *head;
    struct mkv_tcp_op *tail;
};

/* A buffer of a pool: for a large body, or for the payload of an inline PUT. */
struct mkv_tcp_buffer {
    struct mkv_tcp_buffer *next_free;
    uint8_t *bytes;
    uint32_t offsets[MKV_NATIVE_ITEMS_MAX]; /* inline: where the payload of each item begins */
};

struct mkv_tcp_buffer_pool {
    struct mkv_tcp_buffer *buffers;
    struct mkv_tcp_buffer *free;
    uint8_t *memory;
    size_t memory_bytes;
    uint32_t count;
};

/* A request that the front has and has not answered. */
struct mkv_tcp_request {
    uint64_t request_id;
    struct mkv_tcp_buffer *inline_payload; /* NULL when the payload comes by READY, or none */
    uint64_t bytes;                        /* that it counts for its client */
    uint32_t window_slot;                  /* of a GET into the window; 0: it is not */
    uint32_t lane_slot;                    /* of one whose payload goes by RDMA; 0: it does not */
};

enum mkv_tcp_state {
    MKV_TCP_FREE = 0,
    MKV_TCP_OPEN,
    MKV_TCP_HALF_CLOSED,
    MKV_TCP_REFUSED,
    MKV_TCP_LINGERING,
    MKV_TCP_BROKEN,
};

enum mkv_tcp_receiving {
    MKV_TCP_RECEIVING_FRAME = 0, /* header, and a body that fits, into the control buffer */
    MKV_TCP_RECEIVING_BODY,      /* the rest of a large body into a body buffer */
    MKV_TCP_RECEIVING_INLINE,    /* the rest of an inline payload into an inline buffer */
    MKV_TCP_RECEIVING_PAYLOAD,   /* the rest of a DATA payload into the slab of the oldest PULL */
    MKV_TCP_RECEIVING_WINDOW,    /* the same out of the window: nothing of it is received */
};

/* Where a connection is on its way to rest and back. */
enum mkv_tcp_rest {
    MKV_TCP_AWAKE = 0,
    MKV_TCP_DROWSY,  /* its receive is being cancelled, so that its memory can go */
    MKV_TCP_RESTING, /* it waits for the socket to be readable, and has no memory */
};

/* What a connection needs in order to do something, and what its memory holds besides the control
 * buffer and the scratch: nothing of it outlasts a rest. */
struct mkv_tcp_work {
    uint64_t sums[MKV_CHUNKS_MAX]; /* of the payload being received */
    struct iovec iovecs[MKV_TCP_IOVECS_MAX];
    uint8_t own_bytes[MKV_NATIVE_HELLO_ANSWER_FRAME_BYTES_MAX + MKV_TCP_TEXT_BYTES];
    char refusal_text[MKV_TCP_TEXT_BYTES];
    /* A struct cmsghdr and the descriptor that it passes. */
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
    struct mkv_tcp_request requests[]; /* the first request_count of requests_max + 1 */
};

struct mkv_tcp_connection {
    struct mkv_fabric_tcp *fabric;
    struct mkv_connection_id id;
    enum mkv_tcp_state state;
    struct mkv_stream stream;
    bool left;                         /* another shard has its socket and its session */
    bool greeted;                      /* HELLO was answered */
    uint64_t features;                 /* granted by that */
    bool known;                        /* the front has had a request of it */
    struct mkv_fabric_session session; /* who it is */
    bool awaits_auth;                  /* HELLO named a key that AUTH has not proven */
    bool names_tenant;                 /* HELLO did */
    /* When it is told that it did not prove who it is; 0: that has not happened. */
    uint64_t auth_refusal_ns;
    uint32_t tenant; /* its number when the frame was looked at */
    char tenant_name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1]; /* of HELLO */
    char client_name[49];                                   /* of HELLO, printable ASCII */
    uint64_t hello_ring;  /* the hash of its list of servers, of HELLO; 0: none */
    uint32_t ring_member; /* in options.ring_views */
    uint64_t connected_ns;
    uint64_t timeout_ns; /* when its state is out of time: before HELLO, REFUSED, LINGERING */

    /* In the fabric's list of connections that have something to do in the next poll. */
    bool touched;
    struct mkv_tcp_connection *touched_next;
    /* In the fabric's list of those that wait for a buffer of a pool. */
    bool waiting;
    struct mkv_tcp_connection *waiting_next;

    struct mkv_shm_window window;
    struct mkv_tcp_window_slot *window_slots; /* requests_max + 1 of them, or NULL */
    uint64_t window_source;                   /* RECEIVING_WINDOW */
    struct mkv_tcp_lane *lane;                /* since its CONNECT; NULL: none */
    struct mkv_tcp_lane *coming;              /* its CONNECT waits for this one's peer; or NULL */

    struct mkv_ring_completion receive;
    bool receive_in_flight;
    bool paused; /* the next frame cannot be taken up yet; nothing is received */
    enum mkv_tcp_receiving receiving;
    uint64_t received_ns; /* when a receive was last posted */
    uint64_t arrived_ns;  /* when bytes of frames last came … */
    uint64_t frame_ns;    /* … and the first of the one that has begun */
    uint8_t *control;
    uint32_t control_start; /* control[start … end) is not taken up yet */
    uint32_t control_end;
    bool header_known;
    struct mkv_native_header header; /* of the frame being received */
    struct mkv_tcp_buffer *body;     /* its body when it is large */
    struct mkv_tcp_buffer *inline_payload;
    bool inline_counted; /* its request counts for its client, as so many bytes */
    uint64_t inline_bytes;
    enum mkv_status inline_refusal;  /* not OK: its request is not handed in … */
    const char *inline_refusal_text; /* … but answered so */
    uint32_t frame_control_bytes;    /* of the control buffer, that this frame takes up */
    uint32_t filled;      /* bytes of the body, inline payload or payload that have come */
    uint32_t chunk_bytes; /* of the payload being received */
    uint32_t sum_count;
    bool payload_is_rooted; /* it is to have this root, or is no part of a value */
    struct mkv_root payload_root;
    struct mkv_tcp_op *pulls_head;
    struct mkv_tcp_op *pulls_tail;

    struct mkv_tcp_work *work;
    uint32_t request_count;
    enum mkv_tcp_rest rest;

    struct mkv_ring_completion send;
    bool send_in_flight;
    uint64_t send_ns; /* when the send in flight was posted */
    struct mkv_tcp_op_list queue;
    struct mkv_tcp_op_list in_flight;
    uint32_t answers_owed; /* ANSWERs in queue and in flight */
    uint8_t *scratch;
    struct msghdr message;

    bool own_pending; /* `own` is in queue or in flight */
    struct mkv_tcp_op own;
    struct mkv_tcp_buffer *own_body; /* the text of STATS */
    struct mkv_tcp_op refusal;
};

struct mkv_fabric_tcp {
    struct mkv_fabric base;
    struct mkv_fabric_tcp_options options;
    struct mkv_fabric_counters counters;
    struct mkv_fabric_lane_counters lanes;
    struct mkv_tcp_lane *coming; /* lanes whose peers are looked for, so many */
    uint32_t coming_count;
    bool coming_waits; /* a connection waits until there are fewer of them */
    uint64_t now_ns;   /* of the last poll; timeouts need no better */
    uint64_t sweep_ns;

    struct mkv_acceptor acceptor;
    /* With TLS: what whoever speaks without it is told. */
    uint8_t plain_answer[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_TEXT_BYTES_MAX];
    uint32_t plain_answer_bytes;
    bool draining;

    struct mkv_tcp_connection *connections;
    /* Of each, in this order: whether the sweep passes it by, for it is free or rests, and has no
     * memory. Dense, since most of many connections do nothing most of the time. */
    uint8_t *quiet;
    uint8_t *memory; /* control, scratch and work of each; untouched pages take no memory */
    size_t memory_bytes;
    size_t connection_bytes;    /* of it, for each */
    uint32_t connections_used;  /* places below it were ever used */
    uint32_t *free_connections; /* of those the free ones: a stack, the last used on top */
    uint32_t free_connection_count;
    struct mkv_tcp_connection *touched_head;
    struct mkv_tcp_connection *touched_tail;
    struct mkv_tcp_connection *waiting_head;
    struct mkv_tcp_connection *waiting_tail;
    uint32_t copy_bytes_left;               /* of MKV_TCP_COPY_BYTES_MAX in this round */
    struct mkv_tcp_connection *share_first; /* that found nothing left of it */
    struct mkv_tcp_connection *share_last;  /* that had some of it; both NULL: none */
    bool has_filled;                        /* a piece of some window in this round */
    bool tenants_wait; /* one of them waits for a number of its tenant instead */

    struct mkv_tcp_op *ops;
    uint32_t ops_max;
    uint32_t ops_used; /* of `ops`, ever */
    struct mkv_tcp_op *free_ops;
    struct mkv_tcp_op_list completed; /* handed to the sink by the next poll */

    struct mkv_tcp_buffer_pool bodies;
    struct mkv_tcp_buffer_pool inlines;

    /* The request being handed in. */
    struct mkv_native_item native_items[MKV_NATIVE_ITEMS_MAX];
    struct mkv_request_item items[MKV_NATIVE_ITEMS_MAX];
};

/* ---- fabric_tcp_pool.c ---------------------------------------------------------------------- */

static inline struct mkv_fabric_tcp *mkv_tcp_fabric(struct mkv_fabric *base) {
    return (struct mkv_fabric_tcp *)base;
}

/* An operation; there is always one, for the front's own bounds hold (fabric_tcp.h, I2). */
struct mkv_tcp_op *mkv_tcp_op_take(struct mkv_fabric_tcp *fabric);
void mkv_tcp_op_give(struct mkv_fabric_tcp *fabric, struct mkv_tcp_op *op);
void mkv_tcp_list_append(struct mkv_tcp_op_list *list, struct mkv_tcp_op *op);
/* NULL when the list is empty. */
struct mkv_tcp_op *mkv_tcp_list_pop(struct mkv_tcp_op_list *list);

bool mkv_tcp_pool_create(struct mkv_tcp_buffer_pool *pool, uint32_t count, uint32_t buffer_bytes);
void mkv_tcp_pool_destroy(struct mkv_tcp_buffer_pool *pool);
/* NULL when none is free. */
struct mkv_tcp_buffer *mkv_tcp_pool_take(struct mkv_tcp_buffer_pool *pool);
/* Lets the connections that wait for a buffer, or for a number of their tenant, try again. */
void mkv_tcp_pool_retry(struct mkv_fabric_tcp *fabric);
/* Gives a buffer back, and lets those that wait try again. */
void mkv_tcp_pool_give(struct mkv_fabric_tcp *fabric, struct mkv_tcp_buffer_pool *pool,
                       struct mkv_tcp_buffer *buffer);

/* ---- fabric_tcp_connection.c ---------------------------------------------------------------- */

/* Takes an accepted socket, as admitted; false, with both still the caller's, when there is no
 * memory. `moved`: what has come already over one of another shard; else NULL. */
bool mkv_tcp_connection_start(struct mkv_fabric_tcp *fabric, int fd,
                              const struct mkv_fabric_session *session,
                              const struct mkv_fabric_tcp_move *moved);
/* The socket is another shard's from now on: the connection ends without a word. */
void mkv_tcp_connection_leave(struct mkv_tcp_connection *connection);
/* The connection goes on in the next poll. */
void mkv_tcp_connection_touch(struct mkv_tcp_connection *connection);
/* The connection goes on when a buffer comes back. */
void mkv_tcp_connection_await_buffer(struct mkv_tcp_connection *connection);
/* The first fault or broken socket wins; later ones do nothing. */
void mkv_tcp_connection_break(struct mkv_tcp_connection *connection);
/* Answers the frame with the fault, and closes when that is sent. */
void mkv_tcp_connection_refuse(struct mkv_tcp_connection *connection, uint32_t fault);
/* The client will send no more. */
void mkv_tcp_connection_half_close(struct mkv_tcp_connection *connection);
/* What there is to do: take up frames, send, change state, reap. */
void mkv_tcp_connection_advance(struct mkv_tcp_connection *connection);
/* Breaks the connection if it is out of time; lets it rest if it has nothing to do and `rests`
 * is above 0. */
void mkv_tcp_connection_sweep(struct mkv_tcp_connection *connection, uint32_t *rests);
/* Whether the client waits for nothing: no request in flight, no frame to send. */
bool mkv_tcp_connection_owes_nothing(const struct mkv_tcp_connection *connection);

/* ---- fabric_tcp_rest.c ---------------------------------------------------------------------- */

/* Begins the rest of a connection that has had nothing to do, or was free, for long enough, if
 * `rests` are left. */
void mkv_tcp_rest_consider(struct mkv_tcp_connection *connection, uint32_t *rests);
/* The receive was cancelled: the memory goes, and the socket is waited for without. */
void mkv_tcp_rest_begin(struct mkv_tcp_connection *connection);
/* The sweep looks at the connection again. */
void mkv_tcp_rest_end(struct mkv_tcp_connection *connection);

/* ---- fabric_tcp_receive.c ------------------------------------------------------------------- */

void mkv_tcp_receive_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);
/* Takes up frames as long as there are whole ones, then asks for more bytes. */
void mkv_tcp_receive_continue(struct mkv_tcp_connection *connection);
/* Acts upon TAKEN behind a frame that is paused, as far as the control buffer holds them: what that
 * one waits for may be what they free. */
void mkv_tcp_receive_overtake(struct mkv_tcp_connection *connection);
/* Asks for bytes that nobody will look at, to learn when the client closes. */
void mkv_tcp_receive_drop(struct mkv_tcp_connection *connection);
/* Whether the client is in the middle of a frame. */
bool mkv_tcp_receive_is_within_frame(const struct mkv_tcp_connection *connection);

/* ---- fabric_tcp_frame.c --------------------------------------------------------------------- */

/* What became of a frame whose body, or inline payload, is there. */
enum mkv_tcp_frame {
    MKV_TCP_FRAME_TAKEN,   /* it is done with */
    MKV_TCP_FRAME_PAYLOAD, /* it goes on with its payload: `receiving` says where to */
    MKV_TCP_FRAME_PAUSED,  /* it cannot be taken up yet */
    MKV_TCP_FRAME_REFUSED, /* the connection was refused */
};

/* Checks a header for what a client may send in this state of the conversation: 0 or a fault. */
uint32_t mkv_tcp_frame_check(const struct mkv_tcp_connection *connection);
/* Acts on connection->header with its body. */
enum mkv_tcp_frame mkv_tcp_frame_take(struct mkv_tcp_connection *connection, const uint8_t *body);
/* TAKEN of a client, with its body: 0 or a fault. Of a request that is over, or whose payload does
 * not go by RDMA, it changes nothing; of one that was not sent so many DATA it is a fault. */
uint32_t mkv_tcp_frame_taken(struct mkv_tcp_connection *connection, uint64_t request_id,
                             const uint8_t *body);
/* Answers the frame with `body`, which lies in own_bytes, in own_body, is constant or empty. */
void mkv_tcp_frame_answer(struct mkv_tcp_connection *connection, uint32_t flags,
                          enum mkv_status status, const uint8_t *body, uint32_t body_bytes);
/* Hands in the inline PUT whose payload is complete in connection->inline_payload. */
void mkv_tcp_frame_take_inline(struct mkv_tcp_connection *connection, const uint8_t *body);

/* ---- fabric_tcp_hello.c --------------------------------------------------------------------- */

/* No answer of the fabric itself is pending. */
enum mkv_tcp_frame mkv_tcp_hello_take(struct mkv_tcp_connection *connection, const uint8_t *body);
enum mkv_tcp_frame mkv_tcp_auth_take(struct mkv_tcp_connection *connection, const uint8_t *body);
/* Says which shards there are, and whose keys are whose. */
enum mkv_tcp_frame mkv_tcp_shards_take(struct mkv_tcp_connection *connection);
/* The client places keys by that list of servers; 0: by none. */
void mkv_tcp_ring_take(struct mkv_tcp_connection *connection, uint64_t hash);

/* ---- fabric_tcp_share.c --------------------------------------------------------------------- */

/* A round begins: before any connection goes on. */
void mkv_tcp_share_begin(struct mkv_fabric_tcp *fabric);
/* Whether anything is left of the round's share; else the connection goes on in the next poll. */
bool mkv_tcp_share_ask(struct mkv_tcp_connection *connection);
/* Takes so much of it, or what is left; returns how much. */
uint32_t mkv_tcp_share_take(struct mkv_tcp_connection *connection, uint32_t bytes);

/* ---- fabric_tcp_window.c -------------------------------------------------------------------- */

bool mkv_tcp_window_is_ready(const struct mkv_tcp_connection *connection);
void mkv_tcp_window_close(struct mkv_tcp_connection *connection);
/* WINDOW, which the connection's features have; no answer of the fabric itself is pending. */
enum mkv_tcp_frame mkv_tcp_window_take(struct mkv_tcp_connection *connection, const uint8_t *body);
/* Whether all items of the GET in native_items go into the window. */
bool mkv_tcp_window_items_check(const struct mkv_tcp_connection *connection);
/* Keeps where they go: the name of a slot, which is given back when the request ends. */
uint32_t mkv_tcp_window_slot_take(struct mkv_tcp_connection *connection);
void mkv_tcp_window_slot_give(struct mkv_tcp_connection *connection, uint32_t name);
/* Has a PUSH go to where its request's slot says. */
void mkv_tcp_window_place(struct mkv_tcp_connection *connection, uint32_t name,
                          struct mkv_tcp_op *op);
/* Copies what may be copied in this round; true when all of the PUSH is there, else the connection
 * goes on in the next poll. */
bool mkv_tcp_window_push(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op);
/* Copies a piece of DATA, from `filled` on; false: nothing more in this round, the connection goes
 * on in the next poll. */
bool mkv_tcp_window_pull(struct mkv_tcp_connection *connection,
                         const struct mkv_transfer_effect *transfer);

/* ---- fabric_tcp_lane.c ---------------------------------------------------------------------- */

/* Whether a client that asks for it is granted RDMA. */
bool mkv_tcp_lane_is_granted(const struct mkv_fabric_tcp *fabric);
/* What HELLO says about why its client goes without a lane. */
void mkv_tcp_lane_count_fallback(struct mkv_fabric_tcp *fabric, uint32_t fallback);
/* CONNECT, which the connection's features have; no answer of the fabric itself is pending. */
enum mkv_tcp_frame mkv_tcp_lane_connect(struct mkv_tcp_connection *connection, const uint8_t *body);
/* Has connections go on whose peers have been looked for. */
void mkv_tcp_lanes_come(struct mkv_fabric_tcp *fabric);
/* An answer of the fabric itself has left, which may be that to CONNECT. */
void mkv_tcp_lane_answered(struct mkv_tcp_connection *connection);
/* Whether frames leave over it. */
bool mkv_tcp_lane_is_used(const struct mkv_tcp_connection *connection);
/* Bytes that have come over it, at most bytes_max; 0: none are there. */
uint32_t mkv_tcp_lane_receive(struct mkv_tcp_connection *connection, uint8_t *bytes,
                              uint32_t bytes_max);
/* Goes on with the message of the send in flight. */
void mkv_tcp_lane_send(struct mkv_tcp_connection *connection);
/* The socket below it is readable: it has ended, or what comes has no business there. */
void mkv_tcp_lane_lifeline(struct mkv_tcp_connection *connection);
/* What there is to do: frames that have come, transfers. */
void mkv_tcp_lane_advance(struct mkv_tcp_connection *connection);
/* Its queue pair ends, if there is one. */
void mkv_tcp_lane_stop(struct mkv_tcp_connection *connection, enum mkv_lane_reason reason);
/* Whether nothing of it is with the device any more, or there is none. */
bool mkv_tcp_lane_is_ended(const struct mkv_tcp_connection *connection);
/* Its queue pair goes, before slabs that it named are given back: Soft-RoCE was seen to write a
 * packet that it had in hand behind the queue pair's error state. */
void mkv_tcp_lane_release(struct mkv_tcp_connection *connection);
void mkv_tcp_lane_close(struct mkv_tcp_connection *connection);
/* Whether all that left over it is at the client, or there is none: until then the socket's end
 * would come before it. */
bool mkv_tcp_lane_has_sent(const struct mkv_tcp_connection *connection);
/* Whether nothing is moved, or there is none. */
bool mkv_tcp_lane_is_quiet(const struct mkv_tcp_connection *connection);

/* ---- fabric_tcp_lane_transfer.c ------------------------------------------------------------- */

/* Keeps where the items in native_items are: the name of a slot, given back with the request. */
uint32_t mkv_tcp_lane_slot_take(struct mkv_tcp_connection *connection);
void mkv_tcp_lane_slot_give(struct mkv_tcp_connection *connection, uint32_t name);
/* Reads a PULL from where its request's slot says, in its turn. */
void mkv_tcp_lane_pull(struct mkv_tcp_connection *connection, uint32_t slot, struct mkv_tcp_op *op);
/* Reads the PULL whose DATA says where, behind those before it; TAKEN then says so. */
void mkv_tcp_lane_feed(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op,
                       const struct mkv_native_data *data, bool is_rooted);
/* Has a PUSH go to where its request's slot says. */
void mkv_tcp_lane_place(struct mkv_tcp_connection *connection, uint32_t slot,
                        struct mkv_tcp_op *op);
/* Whether the client's memory is filled in turn, so that PUSHes may have to wait for it. */
bool mkv_tcp_lane_is_in_turn(const struct mkv_tcp_connection *connection, uint32_t slot);
/* Takes ops off the queue that wait for TAKEN, until the first that does not. */
void mkv_tcp_lane_hold(struct mkv_tcp_connection *connection);
/* TAKEN: the client is done with so many DATA of the request. False: there were not so many. */
bool mkv_tcp_lane_taken(struct mkv_tcp_connection *connection,
                        const struct mkv_tcp_request *request, uint64_t count);
/* Whether what a request reads is there: its answer may leave. */
bool mkv_tcp_lane_has_read(const struct mkv_tcp_connection *connection, uint64_t request_id);
/* TAKEN of the server has left, which is no other own answer. */
void mkv_tcp_lane_told(struct mkv_tcp_connection *connection);
/* Whether something waits for a TAKEN that the client does not say in time. */
bool mkv_tcp_lane_is_stalled(const struct mkv_tcp_connection *connection);
/* Posts as much as there is room for; true when all of the PUSH is posted, or one more piece for
 * the next slot: its DATA may leave. */
bool mkv_tcp_lane_push(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op);
/* The part of a PUSH that the next DATA tells of. */
void mkv_tcp_lane_part(const struct mkv_tcp_op *op, uint32_t *begin, uint32_t *bytes);
/* The frame of an operation has left. True: it is the lane's until all of it is written. */
bool mkv_tcp_lane_keeps(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op);
bool mkv_tcp_lane_has_ops(const struct mkv_tcp_connection *connection);
/* Completes as FAILED what it has; see mkv_tcp_ops_fail. */
void mkv_tcp_lane_ops_fail(struct mkv_tcp_connection *connection);

/* ---- fabric_tcp_lane_round.c ---------------------------------------------------------------- */

/* The last of a connection's turn: another lane may have ways round now. */
void mkv_tcp_lane_turn_end(struct mkv_tcp_connection *connection);

/* ---- fabric_tcp_submit.c -------------------------------------------------------------------- */

/* Hands a PULL_DONE, PUSH_DONE or ANSWER_DONE to the sink and gives the operation back. */
void mkv_tcp_op_complete(struct mkv_fabric_tcp *fabric, struct mkv_tcp_op *op,
                         enum mkv_transfer transfer, const uint64_t *sums, uint32_t sum_count);
/* Completes as FAILED whatever the connection still has. Its kernel operations have ended. */
void mkv_tcp_ops_fail(struct mkv_tcp_connection *connection);
/* Hands out what was completed since the last poll. */
void mkv_tcp_ops_deliver(struct mkv_fabric_tcp *fabric);
/* The request of this id among those in flight, or NULL. */
struct mkv_tcp_request *mkv_tcp_request_find(const struct mkv_tcp_connection *connection,
                                             uint64_t request_id);
/* Forgets a request and gives its inline payload back. */
void mkv_tcp_request_end(struct mkv_tcp_connection *connection, struct mkv_tcp_request *request);

/* ---- fabric_tcp_send.c ---------------------------------------------------------------------- */

void mkv_tcp_send_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags);
/* So many bytes of the message have been taken; with the last its operations are done. */
void mkv_tcp_send_advanced(struct mkv_tcp_connection *connection, size_t bytes);
/* Posts a send when there is something to send and none in flight. */
void mkv_tcp_send_continue(struct mkv_tcp_connection *connection);
/* Queues an answer of the fabric itself. `body` stays until it is sent. */
void mkv_tcp_send_own(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op,
                      const struct mkv_native_header *header, const uint8_t *body);

#endif
