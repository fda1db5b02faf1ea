/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the library: its items, grouped into requests, and the conversation that carries them
 * out over one connection.
 *
 *   items --grouped--> requests --frames--> sends --> socket
 *                         ^                   ^          |
 *                         |                   +- READY --+
 *                         +---- answers, DATA -----------+
 *
 * Requests are made while fewer than REQUESTS_MAX are in flight. What is to be sent stands in a
 * ring in the order in which it was decided: a request's frame, or the DATA that a READY asked for.
 * The loop sends what the socket takes and receives what there is, and waits only when neither
 * moves; so it goes on reading while the server does not read, and two full sockets never wait for
 * each other.
 *
 * Invariants
 *  I1  An item gets its status once: from its answer, or from the end of the exchange.
 *  I2  While the exchange runs, payloads are received into and sent from the caller's memory; when
 * it has ended, nothing refers to it any more. (An exchange that fails closes the connection.) I3
 * What the server sends is checked before it is used: no READY or DATA reaches outside of the range
 * that its item asked for, and DATA of one item comes in order and without gaps.
 *
 * Not responsible for: connecting (connection.c), what the public calls take (memkv.c).
 */
#ifndef MKV_CLIENT_EXCHANGE_H
#define MKV_CLIENT_EXCHANGE_H

#include "client/client_internal.h"

/* Requests of one exchange in flight, if the server allows as many. */
#define MKV_EXCHANGE_REQUESTS_MAX 16u
/* Items of a request that moves payloads by READY and DATA: few, so that the requests of a batch
 * are answered, and their deadlines begin, one after the other. */
#define MKV_EXCHANGE_TRANSFER_ITEMS_MAX 8u
/* READY that one request may have outstanding: pieces of one large value; see docs/protocol.md. */
#define MKV_EXCHANGE_READY_MAX 16u
#define MKV_EXCHANGE_SENDS_MAX (MKV_EXCHANGE_REQUESTS_MAX * (MKV_EXCHANGE_READY_MAX + 1u))
_Static_assert(MKV_EXCHANGE_READY_MAX >= MKV_EXCHANGE_TRANSFER_ITEMS_MAX, "one READY an item");
/* What a value that is not in memory is read in. */
#define MKV_EXCHANGE_STAGE_BYTES (1024u * 1024u)

/* What an exchange knows of an item besides what the caller sees. */
struct mkv_exchange_item {
    uint64_t ask_bytes;      /* GET: the length in its request; 0: all behind offset */
    uint64_t received_bytes; /* GET */
    uint64_t value_bytes;    /* GET: of the whole value, from its first DATA */
    bool is_done;            /* it has its status */
    bool is_started;         /* bytes of its request may have reached the server */
    bool is_lost;            /* its status is from the end of the connection */
    bool is_corrupt;         /* GET: what came is not what its root names */
};

struct mkv_exchange_request {
    bool is_used;
    bool is_sent;
    bool is_answered;
    bool is_inline;
    enum mkv_native_op op;
    uint64_t id;
    uint32_t first; /* its items are order[first .. first + item_count) */
    uint32_t item_count;
    uint32_t ready_count; /* READY whose DATA has not been sent */
    uint8_t *frame;       /* header, body, inline payload */
    size_t frame_bytes;
};

/* Head, then payload. */
struct mkv_exchange_send {
    struct mkv_exchange_request *request;
    bool is_request; /* else DATA */
    const uint8_t *head;
    size_t head_bytes;
    const uint8_t *payload; /* NULL with payload bytes: comes from the source */
    uint64_t payload_bytes;
    uint64_t payload_offset; /* in the value */
    uint64_t done_bytes;     /* of head and payload together */
    uint8_t data_head[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_DATA_BYTES];
};

enum mkv_exchange_receiving {
    MKV_EXCHANGE_HEADER = 0,
    MKV_EXCHANGE_BODY,
    MKV_EXCHANGE_PAYLOAD,
};

/* The frame that is being received. */
struct mkv_exchange_receive {
    enum mkv_exchange_receiving state;
    struct mkv_native_header header;
    uint32_t body_done_bytes;
    /* DATA. */
    struct mkv_native_data data;
    struct mkv_exchange_request *request;
    uint32_t item;
    uint8_t *target; /* NULL: the payload is dropped */
    uint64_t done_bytes;
    bool is_whole; /* the whole of a block: its root is compared */
    uint32_t sum_count;
    uint64_t sums[MKV_CHUNKS_MAX];
};

struct mkv_exchange {
    struct memkv_client *client;
    uint64_t deadline_ns;

    /* Either items of any op, or one request of `single`. */
    struct memkv_item *items;
    uint32_t item_count;
    /* LOOKUP of as many items (op EXISTS) as one request holds; STATS, PING; 0: items. */
    enum mkv_native_op single;
    bool is_single_made;
    enum memkv_status single_status;
    uint32_t lookup_asked; /* LOOKUP: keys of the request */
    uint64_t lookup_count; /* LOOKUP: resident ones, from the first on */
    uint32_t text_bytes;   /* STATS: of client->body */

    struct mkv_exchange_item *states;
    uint32_t *order; /* indexes of the items, those that share requests side by side */
    uint32_t order_count;
    uint32_t order_next; /* the first that has no request yet */

    struct mkv_exchange_request requests[MKV_EXCHANGE_REQUESTS_MAX];
    uint32_t requests_used;

    struct mkv_exchange_send sends[MKV_EXCHANGE_SENDS_MAX]; /* a ring */
    uint32_t sends_begin;
    uint32_t sends_count;
    bool is_send_broken; /* the server takes nothing more; what it sent may say why */

    struct mkv_exchange_receive receive;

    /* One item whose value is not in memory. */
    memkv_read_fn source;
    memkv_write_fn target;
    void *context;
    uint8_t *stage; /* source: MKV_EXCHANGE_STAGE_BYTES; target: a block */
    size_t stage_capacity;
    uint64_t stage_offset; /* source: stage holds the value's [stage_offset, + stage_bytes) */
    size_t stage_bytes;

    /* Why the connection is given up; set once. */
    bool is_failed;
    enum memkv_status failure;
    char failure_text[MEMKV_ERROR_TEXT_BYTES];
    /* What the server or the library says of one item: of the first that has such a text. */
    uint32_t noted_item;
    char noted_text[MEMKV_ERROR_TEXT_BYTES];
};

/* For mkv_exchange.noted_item: of no item. */
#define MKV_EXCHANGE_NOTE_NONE 0xffffffffu

/*
 * Carries out an exchange whose client, items or single op, and callbacks are set and whose other
 * fields are 0. Connects first if needed. Every item, or single_status, then has its status; the
 * memory that the exchange took is freed. *error tells of the first item that is not MEMKV_OK, and
 * its status is returned.
 */
enum memkv_status mkv_exchange_run(struct mkv_exchange *exchange, struct memkv_error *error);

/* ---- between the files of the exchange ------------------------------------------------------ */

enum mkv_exchange_progress {
    MKV_EXCHANGE_MOVED = 1,
    MKV_EXCHANGE_BLOCKED, /* by the socket, or there is nothing to do */
};

/* Callers' functions; false: they failed, and so has the exchange. Their time does not count. */
bool mkv_exchange_call_source(struct mkv_exchange *exchange, uint64_t offset, size_t byte_count);
bool mkv_exchange_call_target(struct mkv_exchange *exchange, uint64_t offset, uint64_t value_bytes,
                              size_t byte_count);
/* Makes `stage` at least as large. False: no memory, and the exchange has failed. */
bool mkv_exchange_stage_reserve(struct mkv_exchange *exchange, size_t byte_count);

/* Ends the exchange; the first reason stays. */
__attribute__((format(printf, 3, 4))) void mkv_exchange_fail(struct mkv_exchange *exchange,
                                                             enum memkv_status failure,
                                                             const char *format, ...);
/* Keeps a text for an item, unless an earlier item has one. */
__attribute__((format(printf, 3, 4))) void mkv_exchange_note(struct mkv_exchange *exchange,
                                                             uint32_t item, const char *format,
                                                             ...);

/* exchange_request.c: puts the items into an order; those that cannot be sent get their status. */
void mkv_exchange_group(struct mkv_exchange *exchange);
/* Makes one request of items that have none, if one more may be in flight. One a time: hashing the
 * values of the next ones overlaps with sending the first. */
enum mkv_exchange_progress mkv_exchange_make_request(struct mkv_exchange *exchange);
/* Frees the request once it was sent and answered. */
void mkv_exchange_request_release(struct mkv_exchange *exchange,
                                  struct mkv_exchange_request *request);

/* exchange_send.c */
struct mkv_exchange_send *mkv_exchange_send_append(struct mkv_exchange *exchange);
enum mkv_exchange_progress mkv_exchange_send_some(struct mkv_exchange *exchange);

/* exchange_receive.c */
enum mkv_exchange_progress mkv_exchange_receive_some(struct mkv_exchange *exchange);

#endif
