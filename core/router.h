/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine between the fabric of a shard and the fronts of all shards: a front has the
 * keys of its own volumes only, and a request may name keys of several. Each shard has one router.
 * It plays both ends: for the connections of its own fabric it cuts a request into parts and merges
 * their answers, and it stands between its own front and the connections of other shards.
 *
 *                  shard i                                          shard j
 *          REQUEST, FABRIC_DONE          REQUEST, FABRIC_DONE
 *   fabric -----------> router i =========================> router j -----> front j -> volumes j
 *      ^                 |   ^   <========================= router j <-----    |
 *      +-----------------+   |    PULL, PUSH, ANSWER, BREAK,         effects   |
 *                            v    REQUEST_ENDED                                |
 *                        front i                     MESSAGE of a segment      |
 *                        volumes i <===========================================+
 *
 *   ====  a ring of records, one for each pair and direction, that keeps its order
 *
 * The driver of a shard:
 *   - hands each REQUEST and FABRIC_DONE of its fabric, each effect of its front, and each answer
 *     of its volumes to the router first. AS_IS: it goes where it would with one shard. OUTPUT: the
 *     output that was filled in is carried out instead, at once. TAKEN: nothing is to be done;
 *   - behind mkv_router_request, mkv_router_done and mkv_router_take it carries out
 *     mkv_router_next() until that is false, with the front's effects and the messages of volumes
 *     in between, before it calls one of these three again;
 *   - hands records of the ring from another shard to mkv_router_take(), in their order.
 *
 * A request
 *   direct   all its keys are the own front's: it is that front's alone, as with one shard
 *   whole    all its keys are one other front's: it goes there with its `route`, and comes back
 *   split    else: a part for each front that has keys of it, in the order of the request. Parts
 *            are requests with `route` and `part`. What moves names the item of the part, and is
 *            told to the fabric by the item of the request. When every part has its ANSWER, the
 *            results are put where they belong, and one ANSWER goes to the fabric; when that is
 *            completed, so are those of the parts
 *   SESSION goes to every front that has volumes. A COMMIT goes to where its reservations are.
 *
 * Merged
 *   LOOKUP   a front does not fold the results of a part; the router does, over all positions: the
 *            count is the least position of a key that is missing
 *   SESSION  busy, deadline, no_space, ok, not_found, else unavailable: the first that any says
 *   refused  a part that is refused (BUSY) gives its status to its items, and to LOOKUP a miss
 *            (OVERLOADED). All parts refused: so is the request. What is INVALID or FORBIDDEN is
 *            known before anything is cut, and is for the own front to refuse
 *   ALLOCATE a reservation of another front has its shard + 1 in the bits from
 *            MKV_ROUTER_RESERVATION_SHIFT on; one of the own front has its own name
 *
 * Invariants
 *  I1  Records between two shards keep their order. So PUSHes come before the ANSWER of their part,
 *      completions before CONNECTION_CLOSED, and that before a request of the connection's next
 *      client: the fabric may use a connection index again at once (core/io.h, I4 and I5).
 *  I2  A connection that closes is told to its own front, and to each other that had a request of
 *      it. There its transfers that are posted complete as failed first, whether they are on their
 *      way in a ring or not; effects that come for a connection that is gone are dropped.
 *  I3  A request of the fabric that is not direct ends with one ENDED, when every part has ended.
 *      Fronts count no part among their requests: mkv_router_stats has those (`part`). Whole ones
 *      are counted by the front that has them.
 *  I4  What a ring holds that its reader has not taken is at most mkv_router_ring_bytes(). Nothing
 *      ever waits for room in it.
 *  I5  Everything is in the caller's arena and holds indexes, no pointers.
 *
 * Segments of a value lie where their own keys belong, on any volume of the node. The front that
 * has the value's manifest talks to the volumes of other shards itself, for segments only: its
 * MESSAGE goes over the ring and the volume's answer back. Nobody else works on those segments, so
 * what front has them in memory is never in doubt. A key that is not a front's own is not served by
 * it, whoever sends it there.
 *
 * Memory of an output, and of what it points to, is the router's, or that of what the call was
 * given, and is good until the next call of the router, but for the results of an ANSWER for the
 * fabric, which are good until its completion. A record is copied into the ring by the driver, and
 * holds all that belongs to it; what mkv_router_take() is given is the driver's, until its outputs
 * are carried out. Slabs are named by their index in the one arena that all shards share.
 *
 * Not responsible for: threads, rings and waking (server), deadlines (the fronts have them), which
 * shard has which volume.
 */
#ifndef MKV_CORE_ROUTER_H
#define MKV_CORE_ROUTER_H

#include "core/front.h"
#include "core/io.h"

/* Shards of a node. */
#define MKV_ROUTER_SHARDS_MAX 64u
/* Where the shard of a reservation stands in its name. */
#define MKV_ROUTER_RESERVATION_SHIFT 40u

/* Ids of operations that pass between shards have the shard + 1 in the upper bits of their index; 0
 * is an operation of the own front. A fabric and a volume give them back as they were. */
#define MKV_ROUTER_OP_SHIFT 25u
#define MKV_ROUTER_OP_MASK ((1u << MKV_ROUTER_OP_SHIFT) - 1u)

struct mkv_router_config {
    uint32_t shard;
    uint32_t shard_count;                    /* 1 … MKV_ROUTER_SHARDS_MAX */
    uint32_t volume_shards[MKV_VOLUMES_MAX]; /* the shard of each volume of the node */
    /* The configuration of the own front. Its connections_max counts those of all shards: each
     * connection of the node has an index of its own. requests_max and items_max are also the most
     * of the own fabric's that are not direct. All shards have the same, but for `foreign`,
     * slab_unit_first and slab_unit_count. */
    struct mkv_front_config front;
};

/* What is wrong with a configuration; NULL if nothing is. */
const char *mkv_router_config_fault(const struct mkv_router_config *config);

struct mkv_router;

/* Bytes of the arena, a multiple of 64. */
size_t mkv_router_memory_required(const struct mkv_router_config *config);
/* Builds a router in `memory`, which is aligned to 64 bytes. */
struct mkv_router *mkv_router_init(void *memory, size_t memory_bytes,
                                   const struct mkv_router_config *config);

/* The longest record, and the most bytes of records from `sender` to `receiver` that the latter has
 * not taken yet (I4). A ring adds what its own layout costs. */
uint32_t mkv_router_record_bytes_max(const struct mkv_router_config *config);
uint64_t mkv_router_ring_bytes(const struct mkv_router_config *sender,
                               const struct mkv_router_config *receiver);

/* ---- what it takes, and what comes of it ----------------------------------------------------- */

enum mkv_router_verdict {
    MKV_ROUTER_AS_IS = 0, /* it is the own shard's alone */
    MKV_ROUTER_TAKEN,     /* what comes of it, if anything does, is said by mkv_router_next */
    MKV_ROUTER_OUTPUT,    /* carry out the output, at once */
};

enum mkv_router_output_kind {
    /* Step the own front with `input`: now_ns is to be set, and wall_ms where it is 0. That of a
     * REQUEST is of when it came, which expiries count from, wherever its items go. */
    MKV_ROUTER_FRONT = 1,
    MKV_ROUTER_FABRIC, /* submit `effect`; its results_offset counts from `base` */
    MKV_ROUTER_SEND,   /* put head and tail, as one record, into the ring to `shard` */
    MKV_ROUTER_VOLUME, /* step the own volume `message.volume` with the message and the tail */
    MKV_ROUTER_ENDED,  /* a request of the own fabric has ended; its key is the tail, and does
                           * not lie at summary.key_offset */
};

struct mkv_router_output {
    enum mkv_router_output_kind kind;
    uint32_t shard;      /* SEND */
    const uint8_t *base; /* FABRIC */
    const void *head;    /* SEND */
    const void *tail;    /* SEND, VOLUME, ENDED */
    uint32_t head_bytes; /* a multiple of 8 */
    uint32_t tail_bytes;
    union {
        struct mkv_input input;             /* FRONT */
        struct mkv_effect effect;           /* FABRIC */
        struct mkv_message message;         /* VOLUME */
        struct mkv_request_summary summary; /* ENDED */
    };
};

/* A REQUEST of the own fabric: AS_IS or TAKEN. */
enum mkv_router_verdict mkv_router_request(struct mkv_router *router,
                                           const struct mkv_input *input);
/* A FABRIC_DONE of the own fabric: AS_IS or TAKEN. */
enum mkv_router_verdict mkv_router_done(struct mkv_router *router, const struct mkv_input *input);
/* An effect of the own front, whose arena it is. */
enum mkv_router_verdict mkv_router_effect(struct mkv_router *router,
                                          const struct mkv_effect *effect, const uint8_t *arena,
                                          struct mkv_router_output *output);
/* A message of one of the own volumes: AS_IS, for the own front or for who else asked; or OUTPUT.
 */
enum mkv_router_verdict mkv_router_message(struct mkv_router *router,
                                           const struct mkv_message *message, const uint8_t *data,
                                           struct mkv_router_output *output);
/* A record that shard `from` has sent, aligned to 8 bytes. */
void mkv_router_take(struct mkv_router *router, uint32_t from, const void *record, uint32_t bytes);
/* What comes of the last request, done or take: the next output, in order; false behind the last.
 */
bool mkv_router_next(struct mkv_router *router, struct mkv_router_output *output);

/* As mkv_front_volume_set_state, which each front is told, of every volume of the node: keys of a
 * volume that is ABSENT are others'. */
void mkv_router_volume_set_state(struct mkv_router *router, uint32_t volume,
                                 enum mkv_front_volume_state state);
/* As mkv_front_volume_set_member. */
void mkv_router_volume_set_member(struct mkv_router *router, uint32_t volume,
                                  struct mkv_member member);

/* The volumes of the node as keys are placed on them: of a weight of 0, on none. */
const struct mkv_member *mkv_router_members(const struct mkv_router *router);

/* ---- figures --------------------------------------------------------------------------------- */

struct mkv_router_stats {
    uint64_t requests_direct;
    uint64_t requests_whole; /* of another front */
    uint64_t requests_split;
    uint64_t parts; /* of these */
    uint64_t parts_refused;
    uint64_t effects_dropped;    /* for a connection that is gone */
    uint64_t transfers_failed;   /* because their connection, of another shard, is gone */
    uint64_t messages_sent;      /* of segments, to volumes of other shards */
    uint32_t requests_in_flight; /* not direct */
    uint32_t items_in_flight;    /* of those */
};
void mkv_router_stats(const struct mkv_router *router, struct mkv_router_stats *stats);
/* What no front counts, since several had parts of it: requests and their times, as the figures of
 * a front have them, so that all of a node are the sum over its fronts and routers. */
const struct mkv_front_stats *mkv_router_request_stats(const struct mkv_router *router);
const struct mkv_front_times *mkv_router_times(const struct mkv_router *router);

#endif
