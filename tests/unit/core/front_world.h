/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world around one front: volumes that keep blocks in memory, a fabric with clients, and the slab
 * arena, all scripted. Every answer of a volume and every completion of a transfer is an event; a
 * test may hold events of a kind back, let them fail, or let a seed choose their order.
 *
 *   effects of the front -> events -> inputs of the front
 *
 * The world checks at each effect what any driver relies on: the messages of one operation come in
 * their order and exactly once; no more operations than credits; no slab in two uses at a time; one
 * ANSWER for a request, none for a closed connection, and no transfer behind it; a GET that is
 * answered OK was sent all of its bytes, any other none, unless the connection was broken. Of each
 * request the end is told once, behind all that.
 */
#ifndef MKV_TESTS_UNIT_CORE_FRONT_WORLD_H
#define MKV_TESTS_UNIT_CORE_FRONT_WORLD_H

#include "core/front.h"
#include "core/slab.h"
#include "tests/unit/core/test.h"

#define WORLD_VOLUMES 3u
#define WORLD_BLOCKS_MAX 512u
#define WORLD_OPS_MAX 256u
#define WORLD_EVENTS_MAX 1024u
#define WORLD_REQUESTS_MAX 1024u
#define WORLD_CONNECTIONS 4u
#define WORLD_ITEMS_MAX 8u
#define WORLD_BLOCK_BYTES (128u * 1024u)
#define WORLD_SECOND 1000000000ull
/* From the first byte of a request to the front. */
#define WORLD_PARSE_NS 40u

/* Kinds of events, which a test holds or fails. */
enum gate {
    GATE_FOUND,
    GATE_READ_DONE,
    GATE_EXISTS_DONE,
    GATE_PUT_READY, /* of PUT_BEGIN, whatever it says */
    GATE_PUT_TAKEN, /* of a relaxed PUT_WRITE */
    GATE_PUT_DONE,  /* of PUT_WRITE */
    GATE_DELETE_DONE,
    GATE_PULL,
    GATE_PUSH,
    GATE_ANSWER,
};
#define GATE_COUNT 10u
/* The wall clock stands, in the middle of this second, until a test moves it. */
#define WORLD_WALL_S 1000u

struct world_block {
    bool live;
    uint32_t volume;
    uint32_t key_bytes;
    uint32_t flags;
    uint32_t length;
    uint32_t expiry_s; /* noted, not kept to */
    struct mkv_root root;
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint8_t *data;
};

enum world_op_state {
    WORLD_OP_FREE = 0,
    WORLD_OP_FOUND,
    WORLD_OP_READING,
    WORLD_OP_QUEUED, /* behind another mutation of the key */
    WORLD_OP_BEGUN,
    WORLD_OP_RESERVED,
    WORLD_OP_WRITING,
    WORLD_OP_DELETING,
};

struct world_op {
    enum world_op_state state;
    uint32_t generation;
    uint64_t order;
    struct mkv_message message; /* the latest from the front */
    uint32_t request_flags;
    struct world_block block;
    uint64_t sums[MKV_CHUNKS_MAX];
};

struct world_event {
    enum gate gate;
    bool is_message;
    uint32_t world_op; /* messages; MKV_NONE_U32 where none is kept */
    struct mkv_message message;
    struct mkv_op_id op; /* transfers and answers */
    struct mkv_transfer_effect transfer;
};

struct world_failure {
    uint32_t after; /* events of the gate that still succeed */
    uint32_t count; /* events that then fail */
    enum mkv_status status;
    enum mkv_miss miss;
};

struct world_item {
    const char *key;
    uint64_t seed; /* of the value of a PUT; 0: a root that does not fit */
    uint64_t length;
    uint64_t offset;
    uint32_t flags;
    uint32_t expire_s;
    uint32_t lease_ms;
    uint64_t session;
    uint32_t tier_hint;
    enum mkv_session_action action;
    enum mkv_think_exit reason;
    uint64_t reservation; /* of a COMMIT, whose key is "" */
};

struct world_request {
    bool sent;
    bool dropped; /* its connection closed: no answer is due */
    struct mkv_connection_id connection;
    enum mkv_op op;
    uint32_t item_count;
    struct world_item items[WORLD_ITEMS_MAX];
    uint64_t pushed_bytes[WORLD_ITEMS_MAX];  /* handed out, perhaps not there yet */
    uint64_t received_next[WORLD_ITEMS_MAX]; /* offset of the PUSH that is due next */
    uint64_t received_bytes[WORLD_ITEMS_MAX];
    uint8_t *received[WORLD_ITEMS_MAX]; /* from item.offset on */
    uint32_t answers;
    enum mkv_status status;
    uint32_t result_count;
    struct mkv_item_result results[WORLD_ITEMS_MAX];
    uint32_t ends;
    struct mkv_request_summary summary;
    char ended_key[MKV_KEY_BYTES_MAX + 1];
};

struct world {
    struct mkv_front_config config;
    struct mkv_front *front;
    void *memory;
    uint8_t *slabs;
    uint8_t *unit_users;
    uint64_t now_ns;
    uint64_t wall_later_ms;
    uint32_t touches;      /* blocks that volumes were told of */
    uint64_t drive_ns;     /* that volumes say reads and writes took … */
    uint64_t flush_ns;     /* … and writes behind it */
    uint64_t touch_tag;    /* the first of the last message */
    uint64_t lease_ns;     /* that the last EXISTS or PIN asked for … */
    uint32_t exists_flags; /* … and its flags */
    enum mkv_status session_status[MKV_VOLUMES_MAX]; /* what a volume answers to SESSION */
    struct mkv_message put_message;                  /* the last PUT_BEGIN that came */
    struct mkv_message session_message;              /* the last one that came */
    uint32_t session_messages;
    uint64_t deadline_after_ns; /* of requests to come; one second unless a test says otherwise */
    uint32_t route;             /* of those, too */
    bool part;
    uint64_t random; /* 0: events in the order in which they came up */
    uint64_t steps;
    uint64_t orders;
    bool held[GATE_COUNT];
    struct world_failure failures[GATE_COUNT];
    uint32_t seen[GATE_COUNT]; /* events delivered */
    uint32_t close_at;         /* closes connection 0 behind this many events; 0: never */
    uint32_t delivered;
    struct world_block blocks[WORLD_BLOCKS_MAX];
    struct world_op ops[WORLD_OPS_MAX];
    uint32_t event_count;
    uint32_t generation[WORLD_CONNECTIONS];
    bool broken[WORLD_CONNECTIONS];
    bool break_seen[WORLD_CONNECTIONS];
    uint32_t breaks;
    uint32_t request_count;
    /* Last, since most worlds use few of them: each is cleared when it comes up. */
    struct world_event events[WORLD_EVENTS_MAX];
    struct world_request requests[WORLD_REQUESTS_MAX];
};

/* A world with WORLD_VOLUMES volumes online, 16 slab units, blocks of WORLD_BLOCK_BYTES. `config`
 * replaces the configuration; NULL for the usual one. */
struct world *world_open(const struct mkv_front_config *config);
void world_config(struct mkv_front_config *config);
/* Lets everything end, closes all connections and checks that everything came back. */
void world_close(struct world *world);
/* Gives the world's memory back and checks nothing. */
void world_free(struct world *world);
/* A new front in place of the old one, over the same volumes and slabs. */
void world_restart(struct world *world, const struct mkv_front_config *config);
/* Checks that nothing is in use: no request, item, slab, credit, nor anything at a volume. */
void world_check_idle(struct world *world);
/* A request that the test hands to the front itself; returns its id. */
uint32_t world_request_add(struct world *world, enum mkv_op op);

/* Sends a request and runs nothing. Returns its id. */
uint32_t world_send(struct world *world, uint32_t connection, enum mkv_op op,
                    const struct world_item *items, uint32_t item_count);
/* Sends a request of one item. */
uint32_t world_put(struct world *world, const char *key, uint64_t seed, uint64_t length);
uint32_t world_replace(struct world *world, const char *key, uint64_t seed, uint64_t length);
uint32_t world_get(struct world *world, const char *key, uint64_t offset, uint64_t length);
uint32_t world_exists(struct world *world, const char *key);
uint32_t world_delete(struct world *world, const char *key);
uint32_t world_allocate(struct world *world, const char *key, uint64_t seed, uint64_t length);
/* Of the value from `seed`, under what the ALLOCATE was answered. */
uint32_t world_commit(struct world *world, uint32_t allocate, uint64_t seed, uint64_t length);

/* Delivers events that are not held until there is none and the front has no work. */
void world_run(struct world *world);
/* Lets time pass, tells the front, and runs. */
void world_wait(struct world *world, uint64_t ns);
void world_tick(struct world *world);
void world_hold(struct world *world, enum gate gate);
/* Lets the first event of a held kind go, and runs. */
void world_let_one(struct world *world, enum gate gate);
/* Lets what was held go, and runs. */
void world_release(struct world *world, enum gate gate);
void world_fail(struct world *world, enum gate gate, uint32_t after, uint32_t count,
                enum mkv_status status, enum mkv_miss miss);
/* Completes the connection's transfers as failed and closes it. */
void world_close_connection(struct world *world, uint32_t connection);
void world_step(struct world *world, const struct mkv_input *input);

/* The one result of a request that was answered. */
const struct mkv_item_result *world_result(struct world *world, uint32_t request);
void world_expect(struct world *world, uint32_t request, enum mkv_status status);
/* That a GET was answered with these bytes of the value made from `seed`. */
void world_expect_value(struct world *world, uint32_t request, uint64_t seed, uint64_t length);
/* A request of its own, run until it is answered: that it stores the value made from `seed`, that
 * it gets that, that it gets nothing. */
void world_store(struct world *world, const char *key, uint64_t seed, uint64_t length);
void world_expect_get(struct world *world, const char *key, uint64_t seed, uint64_t length);
void world_expect_miss(struct world *world, const char *key);
struct mkv_front_stats world_stats(struct world *world);
uint8_t world_byte(uint64_t seed, uint64_t offset);

/* front_world_volume.c */

/* Takes a message of the front; `data` is gone afterwards. */
void world_volume_take(struct world *world, const struct mkv_message *message, const uint8_t *data);
/* What a volume's answer does at the moment at which it is given; may change its status. Returns
 * its data, data_bytes of it. */
const uint8_t *world_volume_answer(struct world *world, struct world_event *event);
/* A transfer or a drive uses a slab; several that only read may at a time. */
void world_slab_use(struct world *world, struct mkv_slab slab, uint32_t offset, uint32_t bytes,
                    bool writes);
void world_slab_unuse(struct world *world, struct mkv_slab slab, uint32_t offset, uint32_t bytes,
                      bool writes);
/* The payload area. */
uint8_t *world_slab(struct world *world, struct mkv_slab slab);
struct world_event *world_event_add(struct world *world, enum gate gate);
struct world_block *world_block_find(struct world *world, uint32_t volume, const uint8_t *key,
                                     uint32_t key_bytes);
uint32_t world_block_count(struct world *world, uint32_t flags);
/* Checks that every segment is one of a manifest that is there, and, unless `may_miss`, that every
 * manifest has all of its segments. */
void world_check_segments(struct world *world, bool may_miss);

#endif
