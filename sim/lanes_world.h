/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of lanes: clients and a server that speak over simulated queue pairs, each end of each
 * driven by wire/lane.h as the daemon and the library drive theirs.
 *
 *   lanes_client.c: requests, deadlines -+                    +- lanes_server.c: slabs, answers
 *                lanes_end.c: a lane and its driver ---- verbs_sim.h ---- lanes_end.c
 *                       +-- notices: CONNECT, ACCEPTED, CLOSED (the connection they come by) --+
 *   lanes_faults.c: links, ports, devices and processes that fail; lanes_world.c: whose turn it is
 *
 * A request is a GET (the server WRITEs to the client's memory), a PUT (it READs from there) or an
 * ECHO (bytes that come back in the stream). Each ends once: answered, or failed by its deadline,
 * by the client or with its lane. A client whose lane has broken connects again, with a new epoch,
 * while the old one still drains.
 *
 * What is held against the ends, besides R1 (lanes_memory.h): what comes is what was sent (R2);
 * credits, send queues, READs and memory are in bounds and come back (O9); each request ends once
 * and in time, nothing breaks for no reason, and when all is well again all goes on (O10); what an
 * end gives back has completed (R1), and nothing is told twice (O10).
 *
 * Invariants
 *  I1  A crash of this world is a lane that was open and has ended, whose memory has come back.
 *  I2  Faults that need a moment of their own strike at most shape->crashes_max times.
 *
 * Not responsible for: what a request asks of a store (front_world.h).
 */
#ifndef MKV_SIM_LANES_WORLD_H
#define MKV_SIM_LANES_WORLD_H

#include "sim/lanes_memory.h"
#include "sim/random.h"
#include "sim/trace.h"
#include "sim/world.h"

#define MKV_LANES_CLIENTS_MAX (MKV_VERBS_SIM_NODES_MAX - 1)
/* Ends of a client that there are at a time: one in use, the others drain. */
#define MKV_LANES_ENDS_EACH 4u
#define MKV_LANES_TALKS_MAX 24u
#define MKV_LANES_ENDS_MAX (2u * MKV_LANES_TALKS_MAX)
#define MKV_LANES_REQUESTS_MAX 24u /* of a client, at a time */
#define MKV_LANES_TASKS_MAX 96u    /* of the server, at a time */
#define MKV_LANES_PARTS_MAX 8u
#define MKV_LANES_NOTICES_MAX 256u
#define MKV_LANES_VALUES 10u /* buffers of a client */
#define MKV_LANES_SLABS 12u  /* of the server */
#define MKV_LANES_SHARED_MORE 8u
#define MKV_LANES_LOG_BYTES (256u * 1024u)
#define MKV_LANES_FRAME_BYTES 48u
#define MKV_LANES_ECHO_BYTES_MAX 24576u
#define MKV_LANES_VALUE_BYTES_MAX 32768u
#define MKV_LANES_WORKS_MAX 64u /* more than both kinds that are posted */
/* What a shape may ask for. */
#define MKV_LANES_MESSAGE_BYTES_MAX 16384u
#define MKV_LANES_SENDS_MAX 16u
#define MKV_LANES_RECEIVES_MAX 16u
#define MKV_LANES_TRANSFERS_MAX 16u
#define MKV_LANES_READS_MAX 8u
#define MKV_LANES_TURNS_MAX 4096u

#define MKV_LANES_PROBE_NS 20000000u
#define MKV_LANES_SILENT_NS 20000000u
#define MKV_LANES_DRAIN_NS 2000000u

enum lanes_op {
    LANES_GET = 1,
    LANES_PUT,
    LANES_ECHO,
    LANES_ANSWER,
};

/* In the stream, in front of `bytes` of payload. */
struct lanes_frame {
    enum lanes_op op;
    uint32_t bytes;
    uint64_t id;
    uint64_t address;
    uint32_t key;
    uint32_t length; /* of the value */
    uint32_t status; /* of an answer: 0 is well */
};

/* One direction of a stream: what was written, of which some was sent, of which some has come. */
struct lanes_log {
    uint8_t *bytes; /* MKV_LANES_LOG_BYTES */
    uint64_t written;
    uint64_t sent;
    uint64_t come;
};

/* A connection, and the lane that was made over it. */
struct lanes_talk {
    bool is_used;
    uint64_t serial; /* the lane's epoch, too */
    uint32_t client;
    uint64_t made_ns;
    bool accepted;
    uint32_t ends[2];  /* index of the client's, of the server's; MKV_NONE_U32: none any more */
    bool is_closed[2]; /* this side has closed it */
    bool is_told[2];   /* this side knows that the other has */
    struct lanes_log logs[2]; /* by who writes: client, server */
};

struct lanes_work {
    uint64_t work;
    uint32_t buffer;
    bool is_send;
    bool is_posted;    /* and has not completed as far as was polled */
    uint64_t waits_ns; /* since it was posted, or one before it completed */
    bool is_read;
};

/* One end of a lane, and what a driver keeps of it. */
struct lanes_end {
    bool is_used;
    bool is_dead_pair; /* its queue pair is destroyed */
    uint32_t node;
    uint32_t talk;
    uint64_t serial;
    uint32_t pair;
    uint32_t number;
    uint32_t area; /* which slots and receives of the node */
    uint32_t slots_first;
    uint32_t receives_first; /* the client's own */
    bool is_connected;
    bool was_open;
    bool has_stopped; /* STOP was handed out */
    uint64_t stop_ns; /* when the queue pair is in error; UINT64_MAX: it is, or is not to be */
    bool stop_destroys;
    uint64_t stopped_ns;
    bool last_receive;
    bool destroy_came;
    enum mkv_lane_reason reason; /* that STOP gave */
    bool is_drained;             /* its end is freed at the end of the step */
    bool in_turn;
    enum mkv_lane_reason expected; /* by what was told first; NONE: by nothing */
    struct mkv_lane lane;
    struct lanes_work works[MKV_LANES_WORKS_MAX]; /* at work % … */
    uint64_t work_next;
    /* L3, counted apart from the lane. */
    uint64_t messages_sent;
    uint64_t messages_came;
    uint64_t credits_given;
    uint64_t credits_got;
    /* Messages that came and are not taken up yet. */
    uint32_t held[MKV_LANES_RECEIVES_MAX];
    uint32_t held_bytes[MKV_LANES_RECEIVES_MAX];
    uint32_t held_first;
    uint32_t held_count;
    uint64_t take_ns; /* when they are; UINT64_MAX: nothing is held */
    uint64_t pump_ns; /* when bytes that are written are sent; UINT64_MAX: at the next turn */
    uint8_t frame[MKV_LANES_FRAME_BYTES + MKV_LANES_ECHO_BYTES_MAX];
    uint32_t frame_bytes; /* that have come */
};

enum lanes_phase {
    LANES_FREE = 0,
    LANES_WAITS, /* for a lane, or for room */
    LANES_SENT,
};

struct lanes_request {
    enum lanes_phase phase;
    enum lanes_op op;
    uint64_t id;
    uint32_t length;
    uint32_t value; /* buffer; MKV_NONE_U32: none */
    uint64_t begun_ns;
    uint64_t deadline_ns;
    bool is_patient; /* its deadline is not to be met where nothing is wrong */
    bool is_bad;     /* it names memory that is not its own */
    bool is_exposed;
    bool is_given_up;    /* its time is over; it ends when its lane has stopped */
    uint64_t end_serial; /* that it was sent on */
};

enum lanes_link {
    LANES_DOWN = 0, /* until `link_ns` */
    LANES_CONNECTING,
    LANES_UP, /* connected; its lane may still probe */
};

struct lanes_client {
    uint32_t index;
    enum lanes_link link;
    uint64_t link_ns; /* when it connects again, or gives up to connect */
    uint64_t back_off_ns;
    uint32_t talk; /* MKV_NONE_U32: none */
    uint64_t turn_ns;
    uint32_t key; /* of its values; 0: it went with the device */
    uint32_t values_first;
    uint32_t area_first;
    bool area_is_used[MKV_LANES_ENDS_EACH];
    uint64_t slots_first[MKV_LANES_ENDS_EACH];
    uint64_t receives_first[MKV_LANES_ENDS_EACH];
    struct lanes_request requests[MKV_LANES_REQUESTS_MAX];
    uint64_t answered; /* well, since the last heal */
};

enum lanes_part {
    LANES_PART_WAITS = 0,
    LANES_PART_POSTED,
    LANES_PART_OVER,
};

/* A GET or PUT at the server. */
struct lanes_task {
    bool is_used;
    bool has_slab;
    uint64_t end_serial;
    struct lanes_frame frame;
    uint32_t slab;
    uint32_t part_count;
    enum lanes_part parts[MKV_LANES_PARTS_MAX];
    uint64_t works[MKV_LANES_PARTS_MAX];
    bool failed;
    bool is_answered;
};

enum lanes_notice_kind {
    LANES_CONNECT = 1,
    LANES_ACCEPTED,
    LANES_CLOSED,
};

struct lanes_notice {
    uint64_t due_ns;
    uint64_t serial; /* of the talk */
    enum lanes_notice_kind kind;
    uint32_t talk;
    bool to_server;
};

struct lanes_node {
    struct mkv_lanes_memory memory;
    uint8_t *bytes;
    uint64_t poll_ns; /* UINT64_MAX: nothing is there */
};

struct lanes_world {
    const struct mkv_world_options *options;
    const struct mkv_shape *shape;
    struct mkv_world_report *report;
    struct mkv_trace trace;
    struct mkv_random fabric;
    struct mkv_random faults;
    struct mkv_random schedule;
    struct mkv_verbs_sim *verbs;
    uint64_t now_ns;
    uint64_t turns;
    uint64_t steps;
    uint64_t strikes; /* of faults, all */
    uint64_t moments; /* of them those of I2 */
    bool calm;
    bool closing;
    uint64_t epoch_next;
    uint64_t request_next;
    uint32_t client_count;
    struct lanes_client clients[MKV_LANES_CLIENTS_MAX];
    struct lanes_node nodes[MKV_VERBS_SIM_NODES_MAX];
    struct lanes_talk talks[MKV_LANES_TALKS_MAX];
    struct lanes_end ends[MKV_LANES_ENDS_MAX];
    uint32_t notice_count;
    struct lanes_notice notices[MKV_LANES_NOTICES_MAX];
    /* The server. */
    uint32_t shared_first;
    uint32_t shared_count;
    uint32_t slabs_first;
    uint32_t server_slots_first;
    bool slab_was_freed; /* in this step: others may wait for it */
    bool server_area_is_used[MKV_LANES_CLIENTS_MAX * MKV_LANES_ENDS_EACH];
    struct lanes_task tasks[MKV_LANES_TASKS_MAX];
};

/* ---- lanes_end.c, lanes_effects.c: a lane and its driver ------------------------------------- */

/* The end of a queue pair's number on that node; NULL. */
struct lanes_end *mkv_lanes_end_of(struct lanes_world *world, uint32_t node, uint32_t number);
struct lanes_end *mkv_lanes_end_of_serial(struct lanes_world *world, uint64_t serial);
/* A new end of the talk on the node, with its queue pair; NULL: there is no room. */
struct lanes_end *mkv_lanes_end_make(struct lanes_world *world, uint32_t talk, uint32_t node);
/* Connects its queue pair with the other end's, and its lane. */
void mkv_lanes_end_connect(struct lanes_world *world, struct lanes_end *end,
                           const struct lanes_end *peer);
/* Frees it: its lane is drained, was never connected, or its process is dead. */
void mkv_lanes_end_free(struct lanes_world *world, struct lanes_end *end, bool died);
void mkv_lanes_end_stop(struct lanes_world *world, struct lanes_end *end,
                        enum mkv_lane_reason reason);
void mkv_lanes_end_event(struct lanes_world *world, struct lanes_end *end,
                         enum mkv_lane_event event);
/* False: the log has no room; nothing is written. */
bool mkv_lanes_end_write(struct lanes_world *world, struct lanes_end *end,
                         const struct lanes_frame *frame, const uint8_t *payload);
/* Sends what can be sent and does what the lane's effects say, until there are none. */
void mkv_lanes_end_turn(struct lanes_world *world, struct lanes_end *end);
/* What is due by time. */
void mkv_lanes_end_time(struct lanes_world *world, struct lanes_end *end);
uint64_t mkv_lanes_end_next_ns(const struct lanes_end *end);
/* Hands out what has completed on the node. */
void mkv_lanes_poll(struct lanes_world *world, uint32_t node);
void mkv_lanes_poll_events(struct lanes_world *world, uint32_t node);
/* Fails the run where an end goes on that should have stopped. */
void mkv_lanes_check_ends(const struct lanes_world *world);
/* Sends bytes that are written, as far as there are slots. */
void mkv_lanes_pump(struct lanes_world *world, struct lanes_end *end);
/* A work request that is posted no more. */
void mkv_lanes_work_over(struct lanes_world *world, struct lanes_end *end, uint64_t work);
/* Posts the receive of the node again. */
void mkv_lanes_repost(struct lanes_world *world, struct lanes_end *end, uint32_t node,
                      uint32_t buffer);
/* Whether the log of that direction has so much room. */
bool mkv_lanes_log_room(const struct lanes_log *log, uint32_t bytes);

/* ---- lanes_client.c -------------------------------------------------------------------------- */

void mkv_lanes_client_start(struct lanes_world *world, struct lanes_client *client);
uint64_t mkv_lanes_client_next_ns(const struct lanes_world *world,
                                  const struct lanes_client *client);
void mkv_lanes_client_time(struct lanes_world *world, struct lanes_client *client);
void mkv_lanes_client_opened(struct lanes_world *world, struct lanes_client *client);
void mkv_lanes_client_frame(struct lanes_world *world, struct lanes_end *end,
                            const struct lanes_frame *frame, const uint8_t *payload);
void mkv_lanes_client_exposure_end(struct lanes_world *world, struct lanes_end *end, uint64_t tag);
/* Its lane stops. */
void mkv_lanes_client_broken(struct lanes_world *world, struct lanes_end *end);
void mkv_lanes_client_drained(struct lanes_world *world, struct lanes_end *end);
/* It revokes the key of its memory, whatever is under way by it, and registers the memory again. */
void mkv_lanes_client_revoke(struct lanes_world *world, struct lanes_client *client);
/* The process dies, and what it had asked with it. */
void mkv_lanes_client_die(struct lanes_world *world, struct lanes_client *client);
void mkv_lanes_client_notice(struct lanes_world *world, const struct lanes_notice *notice);
/* A request of its own, apart from its turns. */
void mkv_lanes_client_ask(struct lanes_world *world, struct lanes_client *client, enum lanes_op op,
                          uint32_t length, uint64_t deadline_ns, bool is_patient);
bool mkv_lanes_client_is_idle(const struct lanes_client *client);
void mkv_lanes_client_close(struct lanes_world *world, struct lanes_client *client);

/* ---- lanes_server.c -------------------------------------------------------------------------- */

void mkv_lanes_server_start(struct lanes_world *world);
void mkv_lanes_server_frame(struct lanes_world *world, struct lanes_end *end,
                            const struct lanes_frame *frame, const uint8_t *payload);
/* Goes on with what waits for slabs and for room of this end. */
void mkv_lanes_server_work(struct lanes_world *world, struct lanes_end *end);
void mkv_lanes_server_done(struct lanes_world *world, struct lanes_end *end, uint64_t tag,
                           bool is_ok);
void mkv_lanes_server_drained(struct lanes_world *world, struct lanes_end *end);
void mkv_lanes_server_die(struct lanes_world *world);
void mkv_lanes_server_notice(struct lanes_world *world, const struct lanes_notice *notice);

/* ---- lanes_faults.c -------------------------------------------------------------------------- */

/* Whether the fault strikes; counted if so. */
bool mkv_lanes_strikes(struct lanes_world *world, enum mkv_fault fault);
/* Faults whose moment is a client's turn. */
void mkv_lanes_disturb(struct lanes_world *world, struct lanes_client *client);

/* ---- lanes_world.c --------------------------------------------------------------------------- */

void mkv_lanes_note(struct lanes_world *world, const char *name, uint64_t value_0,
                    uint64_t value_1);
void mkv_lanes_notice(struct lanes_world *world, uint32_t talk, enum lanes_notice_kind kind,
                      bool to_server, uint64_t after_ns);
/* One side closes the connection; the other learns it in time. */
void mkv_lanes_talk_close(struct lanes_world *world, uint32_t talk, bool by_server);
/* Frees the talk when neither side needs it any more. */
void mkv_lanes_talk_over(struct lanes_world *world, uint32_t talk);
/* The bytes of a value. */
void mkv_lanes_fill(uint8_t *bytes, uint32_t count, uint64_t id);
void mkv_lanes_check(const struct lanes_world *world, const uint8_t *bytes, uint32_t count,
                     uint64_t id, const char *what);

static inline uint8_t *mkv_lanes_bytes(struct lanes_world *world, uint32_t node, uint32_t buffer) {
    struct lanes_node *at = &world->nodes[node];
    return at->bytes + at->memory.buffers[buffer].address;
}
/* What is wrong with a shape of this world; NULL: nothing. */
const char *mkv_lanes_shape_problem(const struct mkv_shape *shape);

#endif
