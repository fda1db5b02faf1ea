/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the proxy share.
 *
 *   proxy.c          creation, rounds
 *   proxy_request.c  what the fabric hands in: requests, completions of transfers; memory for them
 *   proxy_submit.c   operations to submissions of libmemkv, and completions to replies
 *   proxy_call.c     commands that move no data: INFO, CLIENT, COMMAND ...
 *   proxy_metrics.c  the proxy's counts, for libmemkv's page of metrics
 *
 * Invariants
 *  I1  An operation is free, or in exactly one of: `waiting`, the PULL that it has posted, `ready`,
 *      a batch, the PUSH and ANSWER that it has posted.
 *  I2  It is in the list of its connection until its value is with the client, or its reply begins
 *      where it has none, in the order of requests: the first one is it whose turn has come. An
 *      operation whose connection is gone is an orphan, and is in no such list.
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_SERVER_PROXY_INTERNAL_H
#define MKV_SERVER_PROXY_INTERNAL_H

#include <sys/queue.h>

#include "server/proxy.h"
#include "server/proxy_memory.h"

/* Keys under way, all connections together, and those of connections that are gone. */
#define MKV_PROXY_ENTRIES 4096u
#define MKV_PROXY_OPS (2u * MKV_PROXY_ENTRIES)
/* Items of one submission. */
#define MKV_PROXY_BATCH_ITEMS_MAX 64u
/* Values that share a submission have up to so many bytes. */
#define MKV_PROXY_BATCH_VALUE_BYTES_MAX (64u * 1024u)
/* Bytes of one PULL: whole units, one block at most. */
#define MKV_PROXY_PULL_UNITS 480u
/* Completions that are taken at a time. */
#define MKV_PROXY_COMPLETIONS_MAX 64u

enum mkv_proxy_state {
    MKV_PROXY_OP_FREE = 0,
    MKV_PROXY_OP_WAITING,
    MKV_PROXY_OP_PULLING,
    MKV_PROXY_OP_READY,
    MKV_PROXY_OP_SUBMITTED,
    MKV_PROXY_OP_REPLYING,
};

struct mkv_proxy_op {
    TAILQ_ENTRY(mkv_proxy_op) link;          /* of free, waiting, ready */
    TAILQ_ENTRY(mkv_proxy_op) of_connection; /* I2 */
    enum mkv_proxy_state state;
    uint32_t generation;
    bool is_orphan;
    bool is_listed;   /* in the list of its connection */
    bool is_expected; /* GET: its memory is of the length that is expected of values */
    bool counted_wait;
    uint8_t posted; /* PUSH and ANSWER that are not completed */
    struct mkv_connection_id connection;
    uint64_t request_id;
    enum mkv_op op;
    uint32_t flags;
    uint32_t expire_s;
    uint64_t length; /* PUT: of the value. GET: wanted; 0 for all behind offset */
    uint64_t offset; /* GET */
    uint64_t deadline_ns;
    uint64_t room_bytes; /* what memory is wanted for, or was given for */
    struct mkv_proxy_run run;
    uint64_t pulled_bytes;
    struct mkv_item_result result;
    uint32_t key_bytes;
    uint8_t key[MKV_KEY_BYTES_MAX];
};
TAILQ_HEAD(mkv_proxy_op_list, mkv_proxy_op);

/* A submission. */
struct mkv_proxy_batch {
    LIST_ENTRY(mkv_proxy_batch) link;
    uint32_t count;
    struct mkv_proxy_op *ops[MKV_PROXY_BATCH_ITEMS_MAX];
    struct memkv_item items[];
};
LIST_HEAD(mkv_proxy_batch_list, mkv_proxy_batch);

struct mkv_proxy_metrics;

struct mkv_proxy {
    struct mkv_proxy_options options;
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_proxy_memory *memory;
    struct mkv_fabric_resp *resp;
    struct mkv_fabric *fabric;
    struct memkv_client *client;
    int client_fd;
    struct mkv_ring_completion client_poll;
    bool client_polled; /* the ring waits for libmemkv's descriptor */
    bool has_more;      /* there may be more completions than were taken */

    struct mkv_proxy_op *ops;
    struct mkv_proxy_op_list free_ops;
    struct mkv_proxy_op_list *connections; /* by index */
    struct mkv_proxy_op_list waiting;
    struct mkv_proxy_op_list ready;
    struct mkv_proxy_batch_list batches;
    bool memory_changed;      /* there is more of it, or somebody's turn has come */
    uint64_t expected_bytes;  /* of the value of a GET */
    uint64_t expected_seen;   /* the longest one since it was last looked at ... */
    uint32_t expected_rounds; /* ... and GETs since */
    uint64_t sweep_ns;

    struct mkv_proxy_metrics *metrics; /* NULL: none */
    uint64_t value_bytes_max;
    uint64_t expected_bytes_max;
    struct mkv_proxy_counters counters;
    struct mkv_resp_info info; /* large; made anew for each INFO */
    char run_id[41];
    uint64_t rate_ns; /* of instantaneous_ops_per_sec */
    uint64_t rate_calls;
    uint64_t ops_per_s;
    struct mkv_resp_info_command own[MKV_RESP_INFO_COMMANDS_MAX]; /* of proxy_call.c, by row */
};

static inline uint8_t *mkv_proxy_op_value(const struct mkv_proxy *proxy,
                                          const struct mkv_proxy_op *op) {
    return mkv_arena_slab(proxy->arena, (struct mkv_slab){op->run.unit}) + MKV_UNIT_BYTES;
}

/* ---- proxy_request.c ------------------------------------------------------------------------ */

/* The fabric's sink. */
void mkv_proxy_input(void *context, struct mkv_input *input);
/* Asks for memory for `room_bytes`; the operation goes on when there is some. `again`: it has had
 * some, so it goes before the others. */
void mkv_proxy_want_memory(struct mkv_proxy *proxy, struct mkv_proxy_op *op, uint64_t room_bytes,
                           bool again);
/* Gives memory to those that wait, as far as there is some; ends those whose time is over. */
void mkv_proxy_serve_waiting(struct mkv_proxy *proxy, uint64_t now_ns);
void mkv_proxy_memory_release(struct mkv_proxy *proxy, struct mkv_proxy_op *op);
/* The operation has come to its result: PUSH of `push_bytes`, if any, and ANSWER. */
void mkv_proxy_reply(struct mkv_proxy *proxy, struct mkv_proxy_op *op, uint64_t push_bytes);
/* The same, of a failure. */
void mkv_proxy_fail(struct mkv_proxy *proxy, struct mkv_proxy_op *op, enum mkv_status status);
void mkv_proxy_op_free(struct mkv_proxy *proxy, struct mkv_proxy_op *op);

/* ---- proxy_submit.c ------------------------------------------------------------------------- */

/* Hands all that is ready to libmemkv. */
void mkv_proxy_submit_ready(struct mkv_proxy *proxy);
/* Takes what libmemkv has done. */
void mkv_proxy_take_completions(struct mkv_proxy *proxy);

/* ---- proxy_metrics.c ------------------------------------------------------------------------ */

/* Has libmemkv's page tell of the proxy, too. */
__attribute__((warn_unused_result)) bool mkv_proxy_metrics_begin(struct mkv_proxy *proxy,
                                                                 struct mkv_backend_error *error);
/* In each round: writes them when somebody waits for them. */
void mkv_proxy_metrics_turn(struct mkv_proxy *proxy);
void mkv_proxy_metrics_end(struct mkv_proxy *proxy);

/* ---- proxy_call.c --------------------------------------------------------------------------- */

enum mkv_resp_called mkv_proxy_call(void *context, struct mkv_resp_call *call);

#endif
