/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated verbs: devices with queue pairs, registered memory, completion queues and a fabric
 * between them, as a reliable connection has them. Time is the caller's; what happens is drawn.
 *
 *   post --> send queue --packets, in order--> peer: takes a receive, or reads or writes memory
 *                <--------- answers, in order -------'
 *            completion queue of the node --> poll
 *
 * A work request goes to the peer packet by packet, and bytes move when their packet arrives. A
 * packet or an answer that is lost is sent again after a time, so many times; then the oldest work
 * request fails with RETRY_EXCEEDED, although the peer may have got all of it. A peer without a
 * receive says so (RNR), and is asked again as often. The first work request that fails has a
 * completion; those behind it are flushed in order, as are a pair's own receives, and the pair is
 * in its error state: nothing moves for it any more, in either direction, but for a packet of a
 * WRITE that was about to land, where the fault says so; destroying the pair ends that, too.
 *
 * Invariants
 *  I1  Completions of a send queue come in its order. One that is not signalled has none unless it
 *      fails.
 *  I2  Of a failed completion only work, status, vendor and pair hold anything; all else is
 *      MKV_VERBS_SIM_POISON.
 *  I3  Each movement of bytes is told before it happens (moves), on the side where it does.
 *  I4  Numbers of queue pairs are used again at once, the lowest first. A packet of an earlier pair
 *      does not arrive at a later one of its number, unless the fault says so; of a WRITE it is let
 *      in then only if it has the number of the packet that comes next.
 *
 * Not responsible for: whose the memory is (lanes_memory.h), when a fault strikes that is not of
 * one packet (lanes_faults.c).
 */
#ifndef MKV_SIM_VERBS_SIM_H
#define MKV_SIM_VERBS_SIM_H

#include "sim/faults.h"
#include "wire/lane.h"

#define MKV_VERBS_SIM_NODES_MAX 4u
#define MKV_VERBS_SIM_PAIRS_MAX 32u
#define MKV_VERBS_SIM_SENDS_MAX (MKV_LANE_SENDS_MAX + MKV_LANE_TRANSFERS_MAX)
#define MKV_VERBS_SIM_RECEIVES_MAX 64u /* of a pair */
#define MKV_VERBS_SIM_SHARED_MAX 1024u /* of a node */
#define MKV_VERBS_SIM_REGIONS_MAX 64u
#define MKV_VERBS_SIM_COMPLETIONS_MAX 4096u
#define MKV_VERBS_SIM_EVENTS_MAX 128u
/* Messages of earlier pairs that are kept, to arrive late: of each number the first so many. */
#define MKV_VERBS_SIM_STALE_NUMBERS 4u
#define MKV_VERBS_SIM_STALE_MESSAGES 4u
#define MKV_VERBS_SIM_STALE_BYTES 16384u
/* Packets of WRITEs to earlier pairs that are kept, likewise. */
#define MKV_VERBS_SIM_LATE_PACKETS 4u

#define MKV_VERBS_SIM_MTU 4096u /* payload of a full packet */
#define MKV_VERBS_SIM_POISON 0xa5a5a5a5u
#define MKV_VERBS_SIM_PACKET_NUMBER_MAX 0xffffffu
/* Sent again, at most, as verbs/ asks its devices for, and after so long. */
#define MKV_VERBS_SIM_RETRIES 6u
#define MKV_VERBS_SIM_RETRY_NS 400000u
#define MKV_VERBS_SIM_RNR_NS 100000u

enum mkv_verbs_sim_opcode {
    MKV_VERBS_SIM_SEND = 1,
    MKV_VERBS_SIM_READ,
    MKV_VERBS_SIM_WRITE,
    MKV_VERBS_SIM_RECEIVE,
};

struct mkv_verbs_sim_completion {
    uint64_t work;
    enum mkv_lane_status status;
    uint32_t vendor;
    uint32_t number; /* of the queue pair */
    /* Of a failed one: poison. */
    uint32_t opcode; /* enum mkv_verbs_sim_opcode */
    uint32_t bytes;  /* that were received */
};

struct mkv_verbs_sim_work {
    uint64_t work;
    enum mkv_verbs_sim_opcode opcode;
    bool is_signaled;
    uint64_t address; /* local */
    uint32_t bytes;
    uint64_t remote_address; /* READ, WRITE */
    uint32_t remote_key;
};

struct mkv_verbs_sim_receive {
    uint64_t work;
    uint64_t address;
    uint32_t bytes;
};

struct mkv_verbs_sim_event {
    enum mkv_lane_event event;
    uint32_t number; /* of the queue pair; of a port or device 0 */
};

/* Bytes that are about to move. */
struct mkv_verbs_sim_move {
    uint32_t node;   /* whose memory it is */
    uint32_t number; /* the queue pair of that node */
    enum mkv_verbs_sim_opcode
        opcode;    /* of the work request; RECEIVE: into a receive of this side */
    bool by_peer;  /* READ, WRITE: the peer's work request */
    bool writes;   /* into the memory */
    uint64_t work; /* of this side; by_peer: 0 */
    uint64_t address;
    uint32_t bytes;
};

struct mkv_verbs_sim_ops {
    void *context;
    void (*moves)(void *context, const struct mkv_verbs_sim_move *move);
    /* Whether this fault strikes here and now; counts it if so. */
    bool (*strikes)(void *context, enum mkv_fault fault);
};

enum mkv_verbs_sim_state {
    MKV_VERBS_SIM_UNUSED = 0,
    MKV_VERBS_SIM_MADE, /* it takes receives, and is not connected */
    MKV_VERBS_SIM_READY,
    MKV_VERBS_SIM_ERROR,
};

struct mkv_verbs_sim_sent {
    struct mkv_verbs_sim_work work;
    uint32_t done_bytes;     /* of the request, at the peer */
    uint32_t answered_bytes; /* of a READ, here */
    uint32_t lost;           /* in a row */
    uint32_t not_ready;
    enum mkv_lane_status local_failure; /* SUCCESS: none */
};

struct mkv_verbs_sim_pair {
    enum mkv_verbs_sim_state state;
    uint32_t node;
    uint32_t number;
    uint32_t serial;        /* no two pairs have the same */
    uint32_t packet_number; /* of its first packet: told to the peer, which lets nothing else in */
    uint32_t packets_done;  /* that the peer has taken */
    bool is_shared;         /* receives come from the node's queue */
    bool hangs;             /* nothing that it has posted goes on */
    bool is_dead;           /* nor is anything flushed: its device is gone */
    uint32_t sends_max;
    uint32_t reads_max;
    uint32_t peer_node;
    uint32_t peer_number;
    uint32_t peer_packet_number;
    /* Positions: of those below `head` all is over, of those below `answered`, which is the same,
     * the answer has come; those below `asked` have been done by the peer; all below `tail` are
     * posted. Of those below `polled` a completion at or behind them was handed out. */
    uint64_t head;
    uint64_t asked;
    uint64_t tail;
    uint64_t polled;
    struct mkv_verbs_sim_sent sent[MKV_VERBS_SIM_SENDS_MAX];
    bool fails; /* the one at `asked`, when all before it have been answered */
    bool peer_fails;
    enum mkv_lane_status failure;
    uint64_t ask_ns; /* when the next packet arrives; UINT64_MAX: none is on its way */
    uint64_t answer_ns;
    struct mkv_verbs_sim_receive receives[MKV_VERBS_SIM_RECEIVES_MAX];
    uint64_t receive_head;
    uint64_t receive_tail;
    bool has_taken; /* the receive of a message of which a part has come */
    struct mkv_verbs_sim_receive taken;
    uint64_t messages; /* that have come */
    uint32_t late_kept;
};

struct mkv_verbs_sim_region {
    uint32_t key; /* 0: none */
    uint32_t node;
    uint64_t address;
    uint64_t bytes;
};

struct mkv_verbs_sim_queued {
    struct mkv_verbs_sim_completion completion;
    uint32_t pair;     /* index */
    uint64_t position; /* of the send queue, or UINT64_MAX */
    uint32_t serial;
    bool is_shared;
};

struct mkv_verbs_sim_due {
    struct mkv_verbs_sim_event event;
    uint64_t due_ns;
};

struct mkv_verbs_sim_stale {
    uint32_t serial; /* of the pair that it came to; 0: nothing is kept */
    uint32_t bytes;
    uint8_t message[MKV_VERBS_SIM_STALE_BYTES];
};

/* A packet of a WRITE. */
struct mkv_verbs_sim_late {
    uint32_t serial; /* of the pair that it came to; 0: nothing is kept */
    uint32_t packet_number;
    uint32_t remote_key;
    uint32_t bytes;
    uint64_t remote_address;
    uint8_t payload[MKV_VERBS_SIM_MTU];
};

/* One that had come when its pair went to its error state, and is written then. */
struct mkv_verbs_sim_landing {
    uint32_t pair; /* index */
    uint32_t serial;
    uint64_t due_ns; /* UINT64_MAX: there is none */
    uint64_t address;
    uint32_t bytes;
    uint8_t payload[MKV_VERBS_SIM_MTU];
};

struct mkv_verbs_sim_node {
    uint8_t *memory;
    uint64_t bytes;
    bool is_alive;
    /* Until then: of its link, which is the client's. */
    uint64_t cut_ns;     /* nothing passes */
    uint64_t hole_ns[2]; /* packets above hole_bytes vanish: from the node, to the node */
    uint64_t hole_since_ns[2];
    uint32_t hole_bytes;
    uint64_t port_down_ns;   /* its port is down */
    uint64_t device_gone_ns; /* no pair can be made */
    uint64_t not_ready_ns;   /* it takes no message */
    struct mkv_verbs_sim_receive shared[MKV_VERBS_SIM_SHARED_MAX];
    uint64_t shared_head;
    uint64_t shared_tail;
    struct mkv_verbs_sim_queued completions[MKV_VERBS_SIM_COMPLETIONS_MAX];
    uint64_t completion_head;
    uint64_t completion_tail;
    struct mkv_verbs_sim_due events[MKV_VERBS_SIM_EVENTS_MAX];
    uint32_t event_count;
    struct mkv_verbs_sim_stale stale[MKV_VERBS_SIM_STALE_NUMBERS][MKV_VERBS_SIM_STALE_MESSAGES];
    struct mkv_verbs_sim_late late[MKV_VERBS_SIM_STALE_NUMBERS][MKV_VERBS_SIM_LATE_PACKETS];
    struct mkv_verbs_sim_landing landing;
};

struct mkv_verbs_sim {
    struct mkv_verbs_sim_ops ops;
    struct mkv_random random;
    uint64_t now_ns;
    uint32_t node_count;
    uint32_t key_next;
    uint32_t serial_next;
    struct mkv_verbs_sim_node nodes[MKV_VERBS_SIM_NODES_MAX];
    struct mkv_verbs_sim_pair pairs[MKV_VERBS_SIM_PAIRS_MAX];
    struct mkv_verbs_sim_region regions[MKV_VERBS_SIM_REGIONS_MAX];
    uint64_t packets;
    uint64_t lost;
    uint64_t not_ready; /* messages that found no receive and no fault took it */
};

/* No node. Times that a node's links have are 0: all is well. */
void mkv_verbs_sim_init(struct mkv_verbs_sim *sim, const struct mkv_verbs_sim_ops *ops,
                        const struct mkv_random *random);
/* A node with this memory, whose addresses are 0 … bytes - 1. Returns its number, from 0 on; 0 is
 * the server: what goes between two others is not simulated. */
uint32_t mkv_verbs_sim_add(struct mkv_verbs_sim *sim, uint8_t *memory, uint64_t bytes);
/* The process dies: pairs, regions, completions, events and receives are gone. It may be used again
 * at once, as the next process. */
void mkv_verbs_sim_die(struct mkv_verbs_sim *sim, uint32_t node);
/* The device fails: its pairs are in error without a completion of their own, and are told of it;
 * its keys are gone; until `until_ns` no pair can be made. */
void mkv_verbs_sim_device_fails(struct mkv_verbs_sim *sim, uint32_t node, uint64_t until_ns);
void mkv_verbs_sim_port_down(struct mkv_verbs_sim *sim, uint32_t node, uint64_t until_ns);
/* The pairs over the link of this node, a client, go over to another path, both ends of each, and
 * are told of it. What is under way until `until_ns` is lost. */
void mkv_verbs_sim_path_moves(struct mkv_verbs_sim *sim, uint32_t node, uint64_t until_ns);
/* All links are well from now on, and no node holds back. */
void mkv_verbs_sim_heal(struct mkv_verbs_sim *sim);

/* The key by which a peer may read and write it. */
uint32_t mkv_verbs_sim_register(struct mkv_verbs_sim *sim, uint32_t node, uint64_t address,
                                uint64_t bytes);
void mkv_verbs_sim_unregister(struct mkv_verbs_sim *sim, uint32_t node, uint32_t key);

/* An index; MKV_NONE_U32: none can be made, or the device is gone. */
uint32_t mkv_verbs_sim_create(struct mkv_verbs_sim *sim, uint32_t node, bool is_shared,
                              uint32_t sends_max, uint32_t reads_max);
/* The number of its first packet, of 24 bits, before it is told to a peer. If not, it is drawn. */
void mkv_verbs_sim_begin_with(struct mkv_verbs_sim *sim, uint32_t pair, uint32_t packet_number);
void mkv_verbs_sim_connect(struct mkv_verbs_sim *sim, uint32_t pair, uint32_t peer_node,
                           uint32_t peer_number, uint32_t peer_packet_number);
/* To its error state: returns when it is there. */
void mkv_verbs_sim_error(struct mkv_verbs_sim *sim, uint32_t pair);
/* As mkv_verbs_sim_error, by itself, and told by an event. */
void mkv_verbs_sim_pair_fails(struct mkv_verbs_sim *sim, uint32_t pair);
/* Its completions that were not polled are gone with it, but for shared receives. */
void mkv_verbs_sim_destroy(struct mkv_verbs_sim *sim, uint32_t pair);

/* False: the device does not take it. */
bool mkv_verbs_sim_post(struct mkv_verbs_sim *sim, uint32_t pair,
                        const struct mkv_verbs_sim_work *work);
void mkv_verbs_sim_post_receive(struct mkv_verbs_sim *sim, uint32_t pair,
                                const struct mkv_verbs_sim_receive *receive);
void mkv_verbs_sim_post_shared(struct mkv_verbs_sim *sim, uint32_t node,
                               const struct mkv_verbs_sim_receive *receive);
/* The next one; false: there is none. */
bool mkv_verbs_sim_poll(struct mkv_verbs_sim *sim, uint32_t node,
                        struct mkv_verbs_sim_completion *completion);
bool mkv_verbs_sim_event(struct mkv_verbs_sim *sim, uint32_t node,
                         struct mkv_verbs_sim_event *event);
static inline bool mkv_verbs_sim_has_completion(const struct mkv_verbs_sim *sim, uint32_t node) {
    return sim->nodes[node].completion_head != sim->nodes[node].completion_tail;
}
/* When the next thing happens by itself; UINT64_MAX: nothing will. */
uint64_t mkv_verbs_sim_next_ns(const struct mkv_verbs_sim *sim);
/* Does what is due by then. Time does not go back. */
void mkv_verbs_sim_run(struct mkv_verbs_sim *sim, uint64_t now_ns);

#endif
