/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the router share.
 *
 *   router.c         its life, the ways in and out, connections that close
 *   router_split.c   requests of the own fabric: parts, and what they come to
 *
 *   request   free -> parts are sent -> all have answered: posted -> completed -> all ended: free
 *                     its connection closes: never posted -----------------------> all ended: free
 *
 *   record    head [kind, tail bytes, input or effect] tail, by kind:
 *             REQUEST   the items, the tenant's name with its NUL, filled up to 8 bytes; the keys
 *             FABRIC_DONE   sums     MESSAGE   its data     ANSWER   results
 *
 * Not responsible for: anything outside core/router*.c.
 */
#ifndef MKV_CORE_ROUTER_INTERNAL_H
#define MKV_CORE_ROUTER_INTERNAL_H

#include "core/router.h"

/* Outputs of one call that are queued: one for each other shard, one for the own front, an answer
 * and an end. */
#define ROUTER_OUTPUTS_MAX (MKV_ROUTER_SHARDS_MAX + 3u)
#define ROUTER_NAME_BYTES (MKV_TENANT_STORED_NAME_BYTES_MAX + 1u)

enum router_record_kind {
    ROUTER_RECORD_INPUT = 1, /* for the front of who takes it; a MESSAGE is a volume's answer */
    ROUTER_RECORD_EFFECT,    /* of the front of who sent it; a MESSAGE is for a volume */
};

struct router_record {
    enum router_record_kind kind;
    uint32_t tail_bytes;
    union {
        struct mkv_input input;
        struct mkv_effect effect;
    };
};
_Static_assert(sizeof(struct router_record) % 8 == 0, "a tail is aligned");

/* A connection of the own fabric, or of another's with requests at the own front. */
struct router_connection {
    uint32_t generation;
    uint32_t origin; /* the shard of its fabric; the own one until a request says so */
    bool open;
    bool closing;         /* of another shard: transfers of it are failing */
    uint64_t told;        /* of the own fabric: bit s: shard s had a request of it */
    uint32_t posted_last; /* of another shard: the last transfer of the own front; MKV_NONE_U32 */
};

/* A PULL or PUSH of the own front for another shard's connection, by the index of its op. */
struct router_posted {
    bool used;
    bool push;
    uint32_t generation;
    uint32_t connection;
    uint32_t previous;
    uint32_t next;
};

struct router_part {
    uint32_t shard;
    uint32_t first; /* in the order of the request's items by part */
    uint32_t count;
    bool answered;
    bool refused;
    bool ended;
    struct mkv_op_id op; /* of its ANSWER */
};

struct router_request {
    bool used;
    bool split;  /* counts here */
    bool posted; /* its ANSWER is the fabric's */
    bool done;   /* … and completed */
    uint32_t generation;
    uint32_t next_free;
    uint32_t part_count;
    uint32_t answered;
    uint32_t refused;
    uint32_t ended;
    enum mkv_status refusal;
    uint64_t ended_ns; /* of the part that ended last so far */
    /* As it is told of in the end. */
    struct mkv_request_summary summary;
};

struct router_layout {
    size_t connections;
    size_t posted;
    size_t requests;
    size_t parts;
    size_t order;
    size_t results;
    size_t keys;
    size_t items; /* of the request that is being cut */
    size_t buffer;
    size_t buffer_bytes;
    size_t bytes;
};

struct mkv_router {
    struct mkv_router_config config;
    struct router_layout layout;
    struct mkv_member members[MKV_VOLUMES_MAX];
    uint64_t volume_owners; /* bit s: shard s has volumes */
    uint32_t free_first;
    uint32_t output_count;
    uint32_t output_next;
    size_t buffer_used;
    uint32_t closing; /* the connection whose transfers are failing; MKV_NONE_U32 */
    uint8_t owners[MKV_FRONT_ITEMS_PER_REQUEST_MAX]; /* of the items of the last request */
    struct router_record record;                     /* of an output at once */
    struct mkv_router_stats stats;
    struct mkv_front_stats request_stats;
    struct mkv_front_times times;
    struct mkv_router_output outputs[ROUTER_OUTPUTS_MAX];
};

static inline void *router_at(struct mkv_router *router, size_t offset) {
    return (uint8_t *)router + offset;
}
static inline struct router_connection *router_connection_at(struct mkv_router *router,
                                                             uint32_t index) {
    MKV_ASSERT(index < router->config.front.connections_max);
    return (struct router_connection *)router_at(router, router->layout.connections) + index;
}
static inline struct router_posted *router_posted_at(struct mkv_router *router, uint32_t op) {
    MKV_ASSERT(op < mkv_front_transfers_max(&router->config.front));
    return (struct router_posted *)router_at(router, router->layout.posted) + op;
}
static inline struct router_request *router_request_at(struct mkv_router *router, uint32_t index) {
    MKV_ASSERT(index < router->config.front.requests_max);
    return (struct router_request *)router_at(router, router->layout.requests) + index;
}
static inline struct router_part *router_parts_of(struct mkv_router *router, uint32_t request) {
    return (struct router_part *)router_at(router, router->layout.parts) +
           (size_t)request * router->config.shard_count;
}
/* Positions of its items, part by part. */
static inline uint8_t *router_order_of(struct mkv_router *router, uint32_t request) {
    return (uint8_t *)router_at(router, router->layout.order) +
           (size_t)request * router->config.front.items_per_request_max;
}
static inline size_t router_results_offset(const struct mkv_router *router, uint32_t request) {
    return router->layout.results + (size_t)request * router->config.front.items_per_request_max *
                                        sizeof(struct mkv_item_result);
}
static inline struct mkv_item_result *router_results_of(struct mkv_router *router,
                                                        uint32_t request) {
    return router_at(router, router_results_offset(router, request));
}
static inline uint8_t *router_key_of(struct mkv_router *router, uint32_t request) {
    return (uint8_t *)router_at(router, router->layout.keys) +
           (size_t)request * MKV_SUMMARY_KEY_BYTES_MAX;
}
/* As it goes to a fabric or a volume that gives it back. */
static inline struct mkv_op_id router_op_tagged(struct mkv_op_id op, uint32_t shard) {
    MKV_ASSERT(op.index <= MKV_ROUTER_OP_MASK);
    return (struct mkv_op_id){(shard + 1) << MKV_ROUTER_OP_SHIFT | op.index, op.generation};
}

/* router.c */

/* An output of mkv_router_next. */
struct mkv_router_output *mkv_router_emit(struct mkv_router *router,
                                          enum mkv_router_output_kind kind);
/* Bytes that the outputs of this call may point to, aligned to 8. */
void *mkv_router_buffer(struct mkv_router *router, size_t bytes);

/* A completion for the own front, or for that of another shard. */
void mkv_router_complete(struct mkv_router *router, uint32_t shard,
                         const struct mkv_fabric_done *done);

/* router_split.c */

void mkv_router_requests_init(struct mkv_router *router);
enum mkv_router_verdict mkv_router_split(struct mkv_router *router, const struct mkv_input *input);
/* What a part at the front of `shard` hands out: false when nothing comes of it. */
bool mkv_router_part_moves(struct mkv_router *router, uint32_t shard,
                           const struct mkv_effect *effect, struct mkv_router_output *output);
bool mkv_router_part_answered(struct mkv_router *router, uint32_t shard,
                              const struct mkv_effect *effect,
                              const struct mkv_item_result *results,
                              struct mkv_router_output *output);
bool mkv_router_part_ended(struct mkv_router *router, uint32_t shard,
                           const struct mkv_request_summary *summary,
                           struct mkv_router_output *output);
/* The fabric has completed an ANSWER of the router's. */
void mkv_router_answer_done(struct mkv_router *router, const struct mkv_fabric_done *done);

#endif
