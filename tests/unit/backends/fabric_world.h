/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP fabric on real loopback sockets, with a scripted front behind it and raw clients before it.
 * One thread turns all of them: a client that sends or waits turns the fabric meanwhile.
 *
 * Time is the clock's, or, where a test is of time, the world's own: a millisecond for each turn,
 * and what world_pass adds. Then nothing is late because the machine is slow.
 *
 * The scripted front pulls every item of a PUT, pushes `length` bytes of a pattern for every item
 * of a GET, and answers. What it saw is in `log`.
 */
#ifndef MKV_TESTS_BACKENDS_FABRIC_WORLD_H
#define MKV_TESTS_BACKENDS_FABRIC_WORLD_H

#include "backends/fabric_tcp.h"
#include "backends/lane_ports.h"
#include "core/slab.h"

/* A test that waits longer for anything has failed. Generous: machines are slow and loaded. */
#define WORLD_WAIT_NS 60000000000ull
#define WORLD_REQUESTS_MAX 4096u
#define WORLD_ITEMS_MAX 8u
#define WORLD_LOG_MAX 16384u
/* Of the first connection, as when it is not the only fabric. */
#define WORLD_CONNECTION_BASE 1000u

enum world_event {
    WORLD_REQUEST = 1,
    WORLD_PULL_OK,
    WORLD_PULL_FAILED,
    WORLD_PUSH_OK,
    WORLD_PUSH_FAILED,
    WORLD_ANSWER_OK,
    WORLD_ANSWER_FAILED,
    WORLD_CLOSED,
};

struct world_log {
    enum world_event event;
    struct mkv_connection_id connection;
    uint64_t request_id;
};

struct world_request {
    bool used;
    struct mkv_request request;
    struct mkv_request_item items[WORLD_ITEMS_MAX];
    uint8_t keys[WORLD_ITEMS_MAX * 64u];
    uint32_t keys_bytes;
    struct mkv_slab slabs[WORLD_ITEMS_MAX];
    uint64_t hashes[WORLD_ITEMS_MAX]; /* PUT: of the payload that arrived */
    uint32_t pulled;                  /* items whose PULL was submitted */
    uint32_t transfers_left;
    bool failed;
    struct mkv_item_result results[WORLD_ITEMS_MAX];
};

struct world {
    struct mkv_ring *ring;
    struct mkv_arena *arena;
    struct mkv_arena *part; /* NULL: its fabric's arena is the whole */
    struct mkv_fabric_tcp *fabric;
    struct mkv_lane_ports *lane_ports; /* NULL: it has no RDMA */
    uint64_t now_ns;                   /* 0: time is the clock's */
    /* What its ports have told: the last text, and how often of each event. */
    char lane_text[1024];
    uint32_t lane_events[MKV_LANE_PORT_LANE_BROKEN + 1];
    uint16_t port;
    const char *connect_to; /* where clients connect; NULL: 127.0.0.1 */
    char local_path[64];    /* "": it is TCP */
    int local_fd;
    void *slab_memory;
    struct mkv_slab_pool *slabs;
    uint32_t slab_units;
    bool in_submit; /* the sink must not be called */

    /* The script. */
    bool hold_pulls;   /* PULLs are submitted by world_pull */
    bool hold_answers; /* ANSWERs are submitted by world_answer */
    bool pull_backwards;
    enum mkv_tenant_resolved resolved; /* what a tenant's name comes to; its number is 7 */
    bool resolved_create;              /* what was asked last */
    uint32_t moves_max;                /* so many connections may go to the second shard … */
    uint32_t moves;                    /* … and have; the last one is */
    struct mkv_fabric_tcp_move move;
    enum mkv_status refuse; /* every request is refused with it, unless OK */

    struct world_request requests[WORLD_REQUESTS_MAX];
    uint32_t request_count;
    struct world_log log[WORLD_LOG_MAX];
    uint32_t log_count;
};

struct world_options {
    const char *host;         /* that it listens at; NULL: 127.0.0.1 */
    uint32_t connections_max; /* 0: 16 */
    uint32_t requests_max;    /* 0: 64 */
    uint32_t inline_buffers;  /* 0: 4 */
    uint32_t body_buffers;    /* 0: 2 */
    uint64_t hello_ns, stall_ns, close_ns, rest_ns;
    bool counts_time;     /* it is the world's own */
    uint64_t arena_bytes; /* 0: 160 MiB */
    bool foreign;         /* all slabs are in another part of the arena than the fabric's */
    bool lanes;           /* over "fake0" (fake_endpoint.h); with the next: found by itself */
    const struct mkv_drive_roots *lane_roots;
    uint64_t lane_poll_ns;
    uint64_t lane_reach_ns;
    bool shards;               /* it is the first of two: see `moves` */
    bool tenants;              /* the fabric asks for the numbers of tenants: see `resolved` */
    uint64_t window_bytes_max; /* not 0: on a Unix socket, with windows */
    struct mkv_ring_views *ring_views; /* NULL: nobody keeps what clients tell of their lists */
};

struct client {
    int fd;
    int passed_fd; /* that came beside the last bytes; -1: none */
};

/* A frame as a client received it; body and payload are the client's until world_frame_free. */
struct frame {
    struct mkv_native_header header;
    uint8_t *body;
    uint8_t *payload;
};

struct world *world_create(const struct world_options *options);
/* Stops the fabric, checks that every operation was completed, and frees all. */
void world_destroy(struct world *world);
/* One round of the ring and the fabric; waits up to a millisecond. */
void world_turn(struct world *world);
/* So much time goes by at once, in a world that counts it; then a few turns, none of which waits
 * for anything. */
void world_pass(struct world *world, uint64_t ns);
/* Turns until `events` of that kind are in the log, or fails. */
void world_await(struct world *world, enum world_event event, uint32_t events);
uint32_t world_count(const struct world *world, enum world_event event);
const struct mkv_fabric_counters *world_counters(const struct world *world);

/* Submits what the script held back: the PULLs of a request, its ANSWER. */
void world_pull(struct world *world, uint32_t request);
void world_answer(struct world *world, uint32_t request);
void world_break(struct world *world, struct mkv_connection_id connection);

/* Byte `offset` of the payload of an item, in both directions. */
uint8_t world_pattern(uint64_t request_id, uint32_t item, uint64_t offset);
void world_pattern_fill(uint64_t request_id, uint32_t item, uint8_t *bytes, uint64_t byte_count);

struct client world_connect(struct world *world);
/* Connects and says HELLO as a tenant. */
struct client world_greeted_as(struct world *world, const char *tenant);
/* Connects and says HELLO. */
struct client world_greeted(struct world *world);
void client_close(struct client *client);
/* Closes with RST. */
void client_reset(struct client *client);
void client_send(struct world *world, struct client *client, const void *bytes, size_t byte_count);
/* The next frame; fails when the connection ends before. */
struct frame client_frame(struct world *world, struct client *client);
void world_frame_free(struct frame *frame);
/* Fails when anything but the end of the connection comes. */
void client_await_end(struct world *world, struct client *client);
/* Expects an answer with status invalid whose text holds `words`, and then the end. */
void client_expect_refusal(struct world *world, struct client *client, const char *words);

/* Encoders: each writes one frame to `bytes` and returns its length. Keys are "k<id>-<item>". */
size_t frame_hello(uint8_t *bytes);
size_t frame_hello_as(uint8_t *bytes, const char *tenant);
size_t frame_simple(uint8_t *bytes, enum mkv_native_op op, uint64_t request_id);
size_t frame_request(uint8_t *bytes, enum mkv_native_op op, uint64_t request_id,
                     uint32_t item_count, uint64_t length, bool is_inline);
/* Header and body of a DATA frame. */
size_t frame_data(uint8_t *bytes, uint64_t request_id, uint32_t item, uint64_t offset,
                  uint64_t payload_bytes);
/* Sends the DATA frame of an item with the pattern. */
void client_send_data(struct world *world, struct client *client, uint64_t request_id,
                      uint32_t item, uint32_t payload_bytes);

#endif
