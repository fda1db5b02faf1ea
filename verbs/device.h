/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of verbs/: an open port with its queues, its places for endpoints, and an endpoint. Only
 * files of this room include it.
 *
 *   place      what an endpoint needs that is costly to make: registered buffers for its messages.
 *              Made for the first endpoint that takes it, kept for those that come after it, and
 *              gone when the port is closed: [receives_each buffers][sends_max buffers].
 *   receive    a buffer, by its index over all places, which with RECEIVE_BIT is its work request's
 *              id. Of a server they are in the shared queue, or hold a message that has come, and
 *              belong to no endpoint; of a client they are of its own queue pair's. A queue pair
 *              that ends without word of its last one may have taken one of the shared queue along:
 *              the queue is made anew, with all of them, when no endpoint is left. Until then peers
 *              may have credits for more messages than there are receives, and are told to try
 *              again (RNR); should they give up, they end, and so the queue is soon made anew.
 *   told       what the user is to be told at the next poll (I1 of endpoint.h).
 *
 * Invariants
 *  V1  The completion queue has room for all that can be posted: it never overruns.
 *  V2  Completions find their endpoint by the number of its queue pair, which is in the table from
 *      its creation to its destruction; others are of endpoints that are gone and change nothing.
 *  V3  An endpoint in the list of busy ones is looked at before poll returns, or timer_ns says 0.
 *  V4  A queue pair that the device does not destroy is kept, with its endpoint, its place and all
 *      that it names, and the device counts as gone: nothing of it is freed, nor said to be free,
 *      before it is destroyed. It is tried again at a pace, and when the port is closed.
 */
#ifndef MKV_VERBS_DEVICE_H
#define MKV_VERBS_DEVICE_H

#include <stdatomic.h>

#include "verbs/endpoint.h"
#include "verbs/library.h"
#include "wire/native.h"

/* Of a port; peers do not come to more. */
#define MKV_VERBS_ADDRESSES_MAX 32u
#define RECEIVE_BIT (1ull << 63)
#define PLACE_BYTES_ALIGN 4096u
/* Of all work requests of one endpoint's send queue. */
#define SENDS_MAX (MKV_LANE_SENDS_MAX + MKV_LANE_TRANSFERS_MAX)
/* TRANSFER_DONE and EXPOSURE_END of all there may be, and one of each other kind. */
#define TOLD_MAX 512u
_Static_assert(TOLD_MAX >= MKV_LANE_TRANSFERS_MAX + MKV_LANE_EXPOSURES_MAX + 8, "room to tell all");
/* What is sent inline is not read again by the device; more makes each work request larger. */
#define INLINE_BYTES_WANTED 256u

struct mkv_verbs_region {
    struct mkv_verbs *verbs;
    struct ibv_mr *mr;
};

/* A GID that peers may come to, and its place in the port's table. */
struct mkv_verbs_address {
    union ibv_gid gid;
    int32_t index;
};

struct place {
    uint8_t *memory;
    struct ibv_mr *mr;
    struct mkv_endpoint *endpoint; /* NULL: it is free */
};

struct mkv_verbs {
    const struct mkv_verbs_library *library;
    struct mkv_verbs_options options;
    struct mkv_verbs_facts facts;
    enum mkv_verbs_state state;

    struct ibv_context *context;
    struct ibv_device_attr attributes;
    struct ibv_port_attr port;
    union ibv_gid gid; /* that of `facts` */
    uint32_t address_count;
    struct mkv_verbs_address addresses[MKV_VERBS_ADDRESSES_MAX]; /* it is one of them, mostly */
    struct ibv_pd *pd;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    struct ibv_srq *srq;  /* of a server */
    bool srq_is_in_doubt; /* receives of it may be nowhere any more */
    int epoll;            /* -1, or the completion channel and the events of the device */

    uint32_t sends_max;     /* of an endpoint */
    uint32_t transfers_max; /* 0 on a client */
    uint32_t endpoints_max;
    struct place *places;
    uint32_t places_made; /* of `places`, the first so many have memory */
    atomic_uint regions;  /* registered by users */

    /* Endpoints by queue pair number: open addressing, a power of two, at most half full. */
    struct mkv_endpoint **table;
    uint32_t table_mask;

    struct mkv_endpoint *busy_first;
    struct mkv_endpoint *busy_last;

    bool is_armed;
    uint64_t events_seen_ns;
    uint64_t timer_ns; /* nothing is due before */
    uint64_t late_ns;  /* since when what is due has been put off, or 0 */
    bool has_node;     /* of the device, in sysfs, when it was opened */
    uint64_t node_seen_ns;
    bool port_is_in_doubt; /* it was said to be down, and says itself that it is not */
    uint64_t port_asked_ns;
    bool is_removed;     /* or failed for good, and the kernel has said so */
    uint64_t absent_ns;  /* since when each call is answered with EIO, of the clock; 0: none is */
    uint32_t kept_count; /* of V4 */
    uint64_t kept_tried_ns;
};

enum told_kind {
    TOLD_OPENED = 1,
    TOLD_TRANSFER_DONE,
    TOLD_EXPOSURE_END,
    TOLD_BROKEN,
    TOLD_DRAINED,
};
struct told {
    enum told_kind kind;
    bool is_ok;
    uint64_t tag;
};

/* A READ or WRITE; its index is the lane's tag. */
struct transfer {
    uint64_t tag;
    void *memory;
    uint32_t local_key;
    bool is_used;
};

/* A message that has come and is not taken up. */
struct arrival {
    uint32_t receive;
    uint32_t bytes; /* with its header */
};

struct mkv_endpoint {
    struct mkv_verbs *verbs;
    uint32_t place;
    struct ibv_qp *qp; /* NULL: it was destroyed */
    bool is_in_error;  /* the queue pair is in its error state */
    bool is_kept;      /* V4 */
    uint32_t qp_number;
    uint32_t packet_number;
    uint32_t epoch;
    uint32_t mtu;
    struct mkv_verbs_address address; /* its own */
    uint32_t inline_bytes_max;
    struct mkv_endpoint_ops ops;
    void *context;

    bool is_connected; /* it has a lane */
    bool is_stopped;   /* by its user: nothing is told of what broke it */
    bool is_told_drained;
    bool wants_room;   /* `writable` is to be called */
    bool has_news;     /* `readable` is to be called */
    bool last_receive; /* the device said so; told to the lane when the queue was empty */
    bool drain_is_due; /* the lane is drained, receives of its own are not yet */
    /* What waits for the device where the queue pair is kept: */
    bool stop_is_due;    /* mkv_lane_stopped; a client's has to be destroyed for it */
    bool destroy_is_due; /* mkv_lane_destroyed */
    bool is_forsaken;    /* its user has no endpoint any more: nothing is told */
    bool is_busy;
    struct mkv_endpoint *busy_next;
    uint64_t drain_end_ns;
    uint32_t receives_posted; /* of its own queue */

    uint32_t open_slot; /* being filled, or MKV_NONE_U32 */
    uint32_t open_bytes;

    struct arrival arrivals[MKV_LANE_CREDITS_MAX];
    uint32_t arrival_first;
    uint32_t arrival_count;
    uint32_t arrival_offset; /* taken up of the first, with its header */

    struct transfer transfers[MKV_LANE_TRANSFERS_MAX];
    struct told told[TOLD_MAX];
    uint32_t told_first;
    uint32_t told_count;
    char broken_problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_native_connect peer;
    struct ibv_qp_attr to_receive; /* what makes its queue pair receive, and then send */
    struct ibv_qp_attr to_send;
    struct mkv_lane lane;
};

/* Each writes a sentence for operators into MKV_VERBS_PROBLEM_BYTES. */
__attribute__((format(printf, 2, 3))) void mkv_verbs_say(char *problem, const char *format, ...);

/* device_find.c: opens the device and chooses port and GID, or says why there is none. */
__attribute__((warn_unused_result)) bool mkv_verbs_find(struct mkv_verbs *verbs, char *problem);
/* Asks the port again; the GID may have gone, or be at another index. Sets `state`. */
void mkv_verbs_refresh(struct mkv_verbs *verbs);
/* Asks an active port for what changes without an event: the MTU of Ethernet. Sets `state` where it
 * says that it is not active; one that does not answer stays as it is. */
void mkv_verbs_ask_port(struct mkv_verbs *verbs);
/* Each call is answered with EIO, as behind its removal. */
bool mkv_verbs_has_no_device(const struct mkv_verbs *verbs);

/* device_place.c: makes the memory of the next place, and posts its receives to the shared one. */
__attribute__((warn_unused_result)) bool mkv_verbs_place_make(struct mkv_verbs *verbs,
                                                              char *problem);
void mkv_verbs_place_remove(struct mkv_verbs *verbs, struct place *place);
/* Makes the shared queue of a server, with the receives of all places. False: the device refuses,
 * and errno says why. */
__attribute__((warn_unused_result)) bool mkv_verbs_shared_make(struct mkv_verbs *verbs);
/* Where it is in doubt and no endpoint is left, makes it anew. When the completion queue is empty.
 * False: there is none any more. */
__attribute__((warn_unused_result)) bool mkv_verbs_shared_renew(struct mkv_verbs *verbs);
uint8_t *mkv_verbs_receive_memory(const struct mkv_verbs *verbs, uint32_t receive);
/* Posts a receive to the shared queue, or to the endpoint's. False: the device does not take it. */
bool mkv_verbs_receive_post(struct mkv_verbs *verbs, struct mkv_endpoint *endpoint,
                            uint32_t receive);

/* device_table.c */
void mkv_verbs_table_put(struct mkv_verbs *verbs, struct mkv_endpoint *endpoint);
void mkv_verbs_table_remove(struct mkv_verbs *verbs, const struct mkv_endpoint *endpoint);
struct mkv_endpoint *mkv_verbs_table_find(const struct mkv_verbs *verbs, uint32_t qp_number);

/* endpoint_queue_pair.c */
__attribute__((warn_unused_result)) bool mkv_endpoint_qp_make(struct mkv_endpoint *endpoint,
                                                              char *problem);
/* What `connect` is to tell the device, from what the peer and the port have by now. */
void mkv_endpoint_qp_prepare(struct mkv_endpoint *endpoint, uint32_t mtu, uint32_t reads);
/* Waits for the network, on any thread: reads nothing that others write meanwhile. 0, or errno. */
int mkv_endpoint_qp_connect(struct mkv_endpoint *endpoint);
/* Says what that errno means. */
void mkv_endpoint_qp_unreached(const struct mkv_endpoint *endpoint, int error, char *problem);
/* It is in its error state, from where all that is posted comes back; one that the device does not
 * take there is destroyed. Over Soft-RoCE a packet of the peer's may still land behind it. False:
 * the device did neither, and it is kept (V4): what it has posted may still go on. */
__attribute__((warn_unused_result)) bool mkv_endpoint_qp_stop(struct mkv_endpoint *endpoint);
/* It is in its error state, if the device takes it there, and then destroyed. False: it is not, and
 * is kept (V4). */
__attribute__((warn_unused_result)) bool mkv_endpoint_qp_destroy(struct mkv_endpoint *endpoint);

/* endpoint.c: tries again what the device refused of a queue pair that is kept, and what waits for
 * it goes on. A forsaken endpoint is freed with it. */
void mkv_endpoint_again(struct mkv_endpoint *endpoint, uint64_t now_ns);

/* endpoint_work.c: does what the lane's effects say to the device, and notes what is to be told. */
void mkv_endpoint_work(struct mkv_endpoint *endpoint, uint64_t now_ns);
/* The queue pair is as STOP wants it. */
void mkv_endpoint_stopped(struct mkv_endpoint *endpoint, uint64_t now_ns);
void mkv_endpoint_completed(struct mkv_endpoint *endpoint, const struct ibv_wc *wc,
                            uint64_t now_ns);
void mkv_endpoint_received(struct mkv_endpoint *endpoint, const struct ibv_wc *wc, uint64_t now_ns);
/* Tells it all; returns how much that was. */
uint32_t mkv_endpoint_tell(struct mkv_endpoint *endpoint);
enum mkv_lane_status mkv_verbs_status(enum ibv_wc_status status);

/* Has the next poll, or this one, look at it. */
void mkv_verbs_busy(struct mkv_endpoint *endpoint);
/* The timer of its lane has changed. */
void mkv_verbs_timer_note(struct mkv_endpoint *endpoint);

#endif
