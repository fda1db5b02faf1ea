/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the front world share: one to three shards, each a front with its volumes, of
 * which there are one or two in all; the rings of messages between them; and a simulated fabric
 * with clients on a few connections, each of which is one shard's.
 *
 *   front_world.c    the machine: rings of volumes, time
 *   front_shards.c   steps of the fronts, and what passes between them over routers
 *   front_client.c   requests, and how their answers are judged
 *   front_reserve.c  reservations: what clients have, and how they are held to it
 *   front_fabric.c   PULL, PUSH, ANSWER, and connections that close
 *   front_ends.c     what is told of requests when they have ended
 *
 *     client --REQUEST--> front --ring--> volume      one step takes one message off a ring
 *       ^                  |  ^             |
 *       +-- PUSH, ANSWER --+  +----ring-----+
 *
 *   with several shards, whose routers are asked first:
 *
 *     router i --ring of records--> router j          one step takes one record off a ring
 *
 * Invariants
 *  I1  PUSH and ANSWER of a connection complete in the order they were handed out.
 *  I2  When a connection closes, its transfers complete as failed, and CONNECTION_CLOSED is the
 * last that the front hears of it.
 *  I3  Records from one shard to another come in order, after a delay that the seed draws; those of
 *      different pairs overtake each other. A crash ends all shards.
 *
 * Not responsible for: what others see (world.h).
 */
#ifndef MKV_SIM_FRONT_WORLD_H
#define MKV_SIM_FRONT_WORLD_H

#include "core/router.h"
#include "core/slab.h"
#include "sim/lives.h"

#define MKV_CONNECTIONS_MAX 4u
#define MKV_REQUESTS_MAX 32u
#define MKV_REQUEST_ITEMS_MAX 6u
#define MKV_TRANSFERS_MAX 256u
#define MKV_RESERVATIONS_MAX 8u
/* Requests that have begun and not ended. */
#define MKV_BEGUN_MAX 128u
#define MKV_RING_MESSAGES 512u
#define MKV_RING_DATA_BYTES 2048u
#define MKV_FRONT_OPS_MAX 1024u
#define MKV_FRONTS_MAX 3u
/* How long a record is on its way to another shard. */
#define MKV_RECORD_NS_MAX 3000u

struct ring_message {
    uint64_t due_ns;
    struct mkv_message message;
    uint8_t data[MKV_RING_DATA_BYTES];
};

/* Messages in one direction between the front and a volume. */
struct message_ring {
    struct ring_message messages[MKV_RING_MESSAGES];
    uint32_t head;
    uint32_t count;
};

enum connection_state {
    CONNECTION_OPEN = 0,
    CONNECTION_CLOSING, /* transfers fail; CONNECTION_CLOSED follows the last of them */
};

struct connection {
    enum connection_state state;
    uint32_t generation;
    uint64_t closed_due_ns;
    uint64_t ordered_ns; /* when its last PUSH or ANSWER completes (I1) */
};

struct request_item {
    uint32_t key;
    uint32_t version;
    uint32_t place; /* in the model */
    bool judged;    /* the model has heard how it ended */
    bool pushed;    /* GET: bytes came, of this version, from here on */
    uint32_t version_read;
    uint64_t push_length;
    uint64_t push_bytes;
    uint64_t range_offset;
    uint64_t range_bytes;
    struct mkv_root push_root;
    bool replaces; /* ALLOCATE */
    bool if_present;
    bool plain; /* EXISTS */
    bool relaxed;
    bool ended; /* COMMIT: what it names is no reservation any more. SESSION: always */
    enum mkv_session_action action; /* SESSION */
    bool due;                       /* COMMIT: what it names is one for certain */
    bool abandons;
    uint64_t reservation;
};

/* What an ALLOCATE was answered. */
struct reservation {
    uint64_t name; /* 0: the place is free */
    struct mkv_connection_id connection;
    uint32_t key;
    uint32_t version;
    bool replaces;
    bool relaxed;
    bool ended;        /* a COMMIT has named it, or its connection is gone */
    uint32_t failures; /* of volumes, when it was asked for */
    uint64_t deadline_ns;
};

struct request {
    bool used;
    uint64_t id;
    struct mkv_connection_id connection;
    enum mkv_op op;
    uint64_t deadline_ns;
    uint32_t failures; /* of volumes, when it was sent */
    uint32_t item_count;
    struct request_item items[MKV_REQUEST_ITEMS_MAX];
};

struct transfer {
    enum mkv_effect_kind kind; /* PULL, PUSH or ANSWER */
    struct mkv_op_id op;
    struct mkv_connection_id connection;
    uint64_t due_ns;
    struct mkv_transfer_effect effect;
    struct mkv_answer_effect answer;
    uint64_t hash;       /* of the memory that it reads */
    const uint8_t *base; /* ANSWER: of its results */
};

/* A request that has not ended. */
struct begun {
    uint64_t serial;
    struct mkv_connection_id connection;
    enum mkv_op op;
    uint32_t item_count;
    uint64_t received_ns;
    bool answered; /* its ANSWER is handed out … */
    bool refused;  /* … and says that it was refused whole */
    enum mkv_status status;
    uint64_t bytes_in;
    uint64_t bytes_out;
};

/* What the front has asked a volume for, so that the watch can judge the answer (O12). */
struct asked {
    uint32_t generation;
    uint32_t key;
    bool manifest; /* that is live may have another root, and be of the same value */
    bool written;  /* a PUT: its bytes are on their way to the drive */
    struct mkv_root root;
};

/* Records from one shard to another. */
struct record_ring {
    uint8_t *bytes;
    uint32_t head;
    uint32_t tail;
    uint32_t room;
    uint64_t used;     /* by records alone … */
    uint64_t used_max; /* … and how much the router says that may be (O9) */
    uint64_t due_last_ns;
};

/* A shard: its front, and its router where there are several. */
struct front_shard {
    struct mkv_router_config config;
    uint8_t *arena;
    size_t arena_bytes;
    uint8_t *router_arena;
    size_t router_arena_bytes;
    struct mkv_front *front;
    struct mkv_router *router;
    struct record_ring rings[MKV_FRONTS_MAX]; /* to the others */
    struct asked asked[MKV_LIVES_NODES_MAX][MKV_FRONT_OPS_MAX];
};

struct front_world {
    struct mkv_lives lives;
    struct mkv_front_config config; /* what the fronts have in common */
    uint32_t shard_count;
    struct front_shard shards[MKV_FRONTS_MAX];
    uint32_t volume_shards[MKV_LIVES_NODES_MAX];
    uint32_t slab_units; /* of all shards */
    uint8_t *slabs;
    struct message_ring to_volume[MKV_LIVES_NODES_MAX];
    struct message_ring to_front[MKV_LIVES_NODES_MAX];
    struct connection connections[MKV_CONNECTIONS_MAX];
    struct request requests[MKV_REQUESTS_MAX];
    uint32_t request_count;
    uint64_t request_id_last;
    struct reservation reservations[MKV_RESERVATIONS_MAX];
    uint32_t failures; /* of volumes */
    struct begun begun[MKV_BEGUN_MAX];
    uint32_t begun_count;
    struct transfer transfers[MKV_TRANSFERS_MAX];
    uint32_t transfer_count;
    uint64_t transfer_order_ns;
    uint32_t abandoned;  /* operations whose end nobody will learn */
    uint64_t keys_owned; /* bit k: clients work on key k here, and not in another shard */
    uint8_t *scratch;
};

/* ---- front_world.c --------------------------------------------------------------------------- */

/* A world whose lives have not begun; it keeps to the options. */
struct front_world *mkv_front_world_make(const struct mkv_world_options *options,
                                         struct mkv_world_report *report);
static inline uint8_t *front_slab(const struct front_world *world, struct mkv_slab slab) {
    return world->slabs + (size_t)slab.index * MKV_SLAB_UNIT_STRIDE_BYTES;
}

/* A front's message is on its way to a volume. */
void mkv_sim_volume_send(struct front_world *world, uint32_t shard,
                         const struct mkv_message *message, const uint8_t *data);
/* A volume's message is on its way to the front of its shard. */
void mkv_sim_front_send(struct front_world *world, const struct mkv_message *message,
                        const uint8_t *data);

/* ---- front_shards.c -------------------------------------------------------------------------- */

void mkv_sim_shards_make(struct front_world *world, struct mkv_memory *memory);
/* A new process: all machines are built anew. */
void mkv_sim_shards_reset(struct front_world *world, int pattern);
void mkv_sim_shards_volume_state(struct front_world *world, uint32_t volume,
                                 enum mkv_front_volume_state state);
/* Steps the front of a shard alone. */
void mkv_sim_front_step(struct front_world *world, uint32_t shard, struct mkv_input *input);
/* A REQUEST or FABRIC_DONE of a connection, which is one shard's. */
void mkv_sim_shards_input(struct front_world *world, struct mkv_connection_id connection,
                          struct mkv_input *input);
/* A volume's message, for whoever asked it. */
void mkv_sim_shards_message(struct front_world *world, const struct mkv_message *message,
                            const uint8_t *data);
/* When the next record comes, and its coming. */
uint64_t mkv_sim_shards_due_ns(const struct front_world *world);
void mkv_sim_shards_act(struct front_world *world);
bool mkv_sim_shards_are_idle(const struct front_world *world);
/* The front that asked the volume with the op, and what for. */
struct asked *mkv_sim_asked(struct front_world *world, uint32_t volume,
                            const struct mkv_op_id *front_op);
static inline uint32_t mkv_sim_shard_of(const struct front_world *world, uint32_t connection) {
    return connection % world->shard_count;
}

/* ---- front_client.c -------------------------------------------------------------------------- */

/* The root of a version. */
struct mkv_root mkv_sim_client_root(struct front_world *world, uint32_t key, uint32_t version);
bool mkv_sim_client_start_get(struct front_world *world, uint32_t key);
void mkv_sim_client_start(struct front_world *world);
/* Bytes of a GET have arrived. */
void mkv_sim_client_pushed(struct front_world *world, const struct mkv_transfer_effect *effect,
                           const uint8_t *bytes);
void mkv_sim_client_answered(struct front_world *world, const struct mkv_answer_effect *answer,
                             const struct mkv_item_result *results);
/* The bytes that a PULL asks for, into the slab. */
void mkv_sim_client_pulled(struct front_world *world, const struct mkv_transfer_effect *effect,
                           uint8_t *target);
/* The client of the connection is gone, and with it its requests. */
void mkv_sim_client_gone(struct front_world *world, struct mkv_connection_id connection);

/* ---- front_reserve.c ------------------------------------------------------------------------- */

/* An item of an ALLOCATE, whose key is drawn. */
void mkv_sim_reserve_draw(struct front_world *world, struct request_item *item,
                          struct mkv_request_item *wire);
/* Whether the next request is to be a COMMIT, and over which connection. */
bool mkv_sim_reserve_wants_commit(struct front_world *world, struct mkv_connection_id *connection);
/* Draws the items of a COMMIT, and returns how many they are. */
uint32_t mkv_sim_reserve_commit(struct front_world *world, struct request *request,
                                struct mkv_request_item *wire);
/* The result of an item of an ALLOCATE or COMMIT. Returns what the model is to hear of an ALLOCATE;
 * MKV_MODEL_NOTHING: that it learned nothing. */
uint32_t mkv_sim_reserve_judge(struct front_world *world, const struct request *request,
                               const struct request_item *item,
                               const struct mkv_item_result *result);
/* Nobody knows any more whether it has ended. */
void mkv_sim_reserve_forget(struct front_world *world, uint64_t name);
/* The connection is gone, and its reservations with it. */
void mkv_sim_reserve_gone(struct front_world *world, struct mkv_connection_id connection);

/* ---- front_ends.c ---------------------------------------------------------------------------- */

/* A request goes to the front; its id is its serial. */
void mkv_sim_ends_began(struct front_world *world, const struct mkv_request *request);
/* A PULL, PUSH or ANSWER of it is handed out. */
void mkv_sim_ends_took(struct front_world *world, const struct mkv_effect *effect);
/* A PULL (`in`) or PUSH of it has completed. */
void mkv_sim_ends_moved(struct front_world *world, const struct mkv_transfer_effect *effect,
                        bool in);
void mkv_sim_ends_ended(struct front_world *world, const struct mkv_request_summary *summary);
/* Nothing is in flight. */
void mkv_sim_ends_idle(const struct front_world *world);

/* ---- front_fabric.c -------------------------------------------------------------------------- */

void mkv_sim_fabric_reset(struct front_world *world);
/* PULL, PUSH, ANSWER or BREAK is handed out; `base` is of an ANSWER's results. */
void mkv_sim_fabric_take(struct front_world *world, const struct mkv_effect *effect,
                         const uint8_t *base);
void mkv_sim_fabric_close(struct front_world *world, uint32_t connection);
uint64_t mkv_sim_fabric_due_ns(const struct front_world *world);
void mkv_sim_fabric_act(struct front_world *world);
bool mkv_sim_fabric_is_idle(const struct front_world *world);

#endif
