/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports of RDMA devices that the connections of a shard may go on over: found, opened, with the
 * shard's slabs registered at each, polled, and opened again when a device was gone. Slabs of other
 * shards, where the keys of some request are theirs, are reached by a way round: so all shards
 * together have each byte registered once at a port.
 *
 *              a look, on a thread of its own:                 on the shard's thread:
 *   +--> list the devices, open those that are wanted,  --> handed over: OPEN --- gone --> ENDING
 *   |    register the slabs                                                                  |
 *   +--------------- 1 s, doubling to 60 s, where one is wanted and not open <---------------+
 *
 * Where none is missing and the configuration names no device it looks again after 60 s: there may
 * be one more by then.
 *
 * The first look is made by create, so that a node that must have RDMA is refused without.
 *
 * Which port a connection goes over: the one with the address that the client came to; where the
 * configuration names a device, that one in any case; from the same machine (127.0.0.1), the first.
 *
 * A connection whose connect hangs in the driver is left behind: no lane is made over the port
 * until the driver has answered.
 *
 *   flush: nothing has come for as long as is worth polling for (wire/spin.h) --> armed: the ring
 *          waits for the descriptor of the port; until then the shard comes round again at once
 *
 * Invariants
 *  I1  All calls but create and destroy are made by the shard's thread. Calls back of endpoints
 *      (verbs/endpoint.h) come from within poll and flush.
 *  I2  A port is closed only when no lane is over it and the ring does not wait for it. One whose
 *      driver hangs at the end of all is closed by the last thread that comes back from there.
 *  I3  What is gone is looked for again, for ever; nothing but `is_off` ends that.
 *
 * Not responsible for: connections (fabric_tcp_lane.c), what is said about it (event).
 */
#ifndef MKV_BACKENDS_LANE_PORTS_H
#define MKV_BACKENDS_LANE_PORTS_H

#include <netinet/in.h>

#include "backends/arena.h"
#include "backends/drive_facts.h"
#include "backends/error.h"
#include "backends/lane_reach.h"
#include "backends/ring.h"
#include "verbs/endpoint.h"
#include "wire/spin.h"

/* Of a shard, open at a time. */
#define MKV_LANE_PORTS_MAX 8u
#define MKV_LANE_PORT_RETRY_NS_MIN (1ull * 1000000000u)
#define MKV_LANE_PORT_RETRY_NS_MAX (60ull * 1000000000u)
/* The network takes a second to say that nobody answers; a driver that takes so long hangs. */
#define MKV_LANE_REACH_NS (5ull * 1000000000u)
/* What a client is told then. */
#define MKV_LANE_STUCK_TEXT                                                                        \
    "the driver of the server's RDMA device does not answer; see dmesg there. It is used again "   \
    "when it does"
/* What goes to or from a slab of another shard, or one whose registered pages are not its pages any
 * more, takes a way round, in pieces of so much: it is also the most that one READ or WRITE moves.
 */
#define MKV_LANE_PIECE_BYTES (1024u * 1024u)
#define MKV_LANE_ROUNDS 8u

struct mkv_lane_ports;
struct mkv_tcp_lane; /* fabric_tcp_lane.h */

enum mkv_lane_port_event {
    /* Open, its link is back, its driver answers again, or it has another address; `facts`. */
    MKV_LANE_PORT_UP = 1,
    MKV_LANE_PORT_DOWN,        /* its link is down, or its driver hangs; `facts`, `text` */
    MKV_LANE_PORT_GONE,        /* the device failed or was removed; `facts`, `text` */
    MKV_LANE_PORT_NOT_OPENED,  /* it is wanted and cannot be had; `text` says why: told when it is
                                * another reason than the last time */
    MKV_LANE_PORT_LANE_BROKEN, /* a connection's; `text` has who, why and what to do */
};

struct mkv_lane_ports_options {
    struct mkv_ring *ring;
    const struct mkv_arena *arena;
    bool is_required; /* create refuses where no port can be opened */
    /* As in verbs/endpoint.h. */
    const char *device; /* NULL: all that have an active port with an address of RoCE v2 */
    int32_t gid_index;
    const char *address; /* that the listener is bound to; NULL: any */
    uint32_t traffic_class;
    uint32_t service_level;
    uint32_t mtu;
    uint32_t lanes_max; /* of a port */
    uint64_t poll_ns;   /* so long after the last completion the next is polled for, at most */
    const struct mkv_drive_roots *roots; /* NULL: the running kernel's */
    uint64_t retry_ns;                   /* 0: MKV_LANE_PORT_RETRY_NS_MIN */
    uint64_t reach_ns;                   /* 0: MKV_LANE_REACH_NS */
    /* On the shard's thread, or on that of create before it returns. NULL: nobody is told. */
    void (*event)(void *context, enum mkv_lane_port_event event,
                  const struct mkv_verbs_facts *facts, const char *text);
    void *event_context;
};

enum mkv_lane_port_state {
    MKV_LANE_PORT_EMPTY = 0,
    MKV_LANE_PORT_OPEN,
    MKV_LANE_PORT_ENDING, /* no lane is made over it, and it is closed behind those there are */
};

/* One that is open; lanes use what stands here. */
struct mkv_lane_port {
    enum mkv_lane_port_state state;
    struct mkv_verbs *verbs;
    struct mkv_verbs_region *slabs;
    uint8_t *rounds; /* MKV_LANE_ROUNDS times MKV_LANE_PIECE_BYTES, registered: the way round */
    struct mkv_verbs_region *rounds_region;
    uint32_t rounds_used;              /* a bit for each */
    struct mkv_tcp_lane *rounds_first; /* that wait for one (fabric_tcp_lane_round.c) */
    struct mkv_tcp_lane *rounds_last;
    struct mkv_tcp_lane *rounds_turn; /* no other takes one now; NULL: nobody's turn is it */
    uint32_t lane_count;              /* endpoints that are not destroyed */
    uint32_t left_count;              /* of them, those that were left to its driver */
    bool is_dirty;                    /* something was posted since the last poll */

    /* lane_ports.c's. */
    struct mkv_lane_ports *ports;
    struct mkv_ring_completion watch; /* the ring waits for the descriptor */
    bool is_watched;
    bool is_armed;
    bool has_fired;   /* the descriptor was readable */
    bool may_be_more; /* the last poll handed something out */
    bool was_up;
    struct mkv_verbs_facts told; /* when it was last said to be up */
    struct mkv_spin spin;
    uint64_t look_ns; /* polled at the latest then, whatever the descriptor says */
    struct mkv_lane_reach *left;
    struct mkv_lane_remains *remains; /* what the port becomes when it is forsaken */
};

/* Whether create would find a port: opens what it would and closes it again. `ring` is not used;
 * without an arena nothing is registered. False: the error has the reason and a remedy. */
__attribute__((warn_unused_result)) bool mkv_lane_ports_check(
    const struct mkv_lane_ports_options *options, struct mkv_backend_error *error);
/* Looks for the first time. With `is_required` it refuses, with a remedy, where there is no port,
 * or the slabs cannot be registered. */
__attribute__((warn_unused_result)) bool mkv_lane_ports_create(
    const struct mkv_lane_ports_options *options, struct mkv_lane_ports **ports,
    struct mkv_backend_error *error);
/* When it is idle, or was never polled. Waits for a look that is under way, two seconds at most:
 * one that hangs in a driver ends by itself, and registers no memory any more; so do connects that
 * were left. NULL is allowed. */
void mkv_lane_ports_destroy(struct mkv_lane_ports *ports);

/* Whether clients are to ask for lanes, and again when they get none: RDMA is required, a device is
 * named, or a port was open since the start. None need be up just now. */
bool mkv_lane_ports_is_configured(const struct mkv_lane_ports *ports);
/* The port for the connection of this socket, and the address that its client came to; NULL: there
 * is none that is up. */
struct mkv_lane_port *mkv_lane_ports_choose(struct mkv_lane_ports *ports, int fd,
                                            struct in6_addr *address);
/* Why a client that no port was chosen for goes without. */
const char *mkv_lane_ports_reason(const struct mkv_lane_ports *ports);
/* Has an endpoint of the port connected, on a thread of its own (lane_reach.h). NULL: there is no
 * memory or no thread for it. */
struct mkv_lane_reach *mkv_lane_ports_reach(const struct mkv_lane_port *port,
                                            struct mkv_endpoint *endpoint, uint64_t now_ns);
/* Leaves a connect that is late to the port, which destroys its endpoint when it is done. */
void mkv_lane_ports_leave(struct mkv_lane_port *port, struct mkv_lane_reach *reach);
/* For whoever has something to tell of a port's lane. */
void mkv_lane_ports_tell(const struct mkv_lane_port *port, enum mkv_lane_port_event event,
                         const char *text);

/* At the begin of a round: hands out what has come. */
void mkv_lane_ports_poll(struct mkv_lane_ports *ports, uint64_t now_ns);
/* At its end: has on its way what was posted in it, and arms ports that are not to be polled. */
void mkv_lane_ports_flush(struct mkv_lane_ports *ports, uint64_t now_ns);
/* Whether to come round again without waiting. */
bool mkv_lane_ports_has_work(const struct mkv_lane_ports *ports);
/* No lane is made any more, nothing is looked for, and ports are left as their lanes end. */
void mkv_lane_ports_stop(struct mkv_lane_ports *ports);
/* True after stop when no port is open, and nothing is in the kernel. */
bool mkv_lane_ports_is_idle(const struct mkv_lane_ports *ports);

#endif
