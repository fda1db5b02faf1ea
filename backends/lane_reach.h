/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting an endpoint away from the shard's thread: the kernel looks for the address of the peer
 * in the network, where nobody answers that takes it a second, and a driver may hang in it.
 *
 *   begin --> a thread: mkv_endpoint_connect_reach --> is_done, the ring is woken --> end
 *               :
 *               is_late: its port keeps it until it is done (lane_ports.h), or at the end of all
 *               it is forsaken, and its thread tidies up
 *
 * The shard's thread calls all of these. Until it is ended nothing else is called of the endpoint.
 *
 * Not responsible for: how many there are at a time (fabric_tcp_lane.c).
 */
#ifndef MKV_BACKENDS_LANE_REACH_H
#define MKV_BACKENDS_LANE_REACH_H

#include <pthread.h>
#include <stdatomic.h>

#include "backends/ring.h"
#include "verbs/endpoint.h"

struct mkv_lane_reach {
    struct mkv_endpoint *endpoint;
    struct mkv_lane_reach *next; /* for whoever keeps it */

    /* lane_reach.c's. */
    struct mkv_ring *ring;
    uint64_t late_ns;
    pthread_t thread;
    int reached; /* for mkv_endpoint_connect_end, when it is done */
    void (*behind)(void *context, struct mkv_endpoint *endpoint);
    void *context;
    atomic_int stage;
};

/* Of an endpoint whose connect has begun; is_late from late_ns on. NULL: there is no memory or no
 * thread for it. The endpoint and the ring outlive it. */
struct mkv_lane_reach *mkv_lane_reach_begin(struct mkv_endpoint *endpoint, struct mkv_ring *ring,
                                            uint64_t late_ns);
/* The ring has been woken since it became true, or is about to be. */
bool mkv_lane_reach_is_done(const struct mkv_lane_reach *reach);
/* Whether it has taken so long that nobody should wait for it any more. */
bool mkv_lane_reach_is_late(const struct mkv_lane_reach *reach, uint64_t now_ns);
/* When it is done: what mkv_endpoint_connect_reach has returned. Frees it. */
int mkv_lane_reach_end(struct mkv_lane_reach *reach);
/* True: its thread calls `behind` when it is done, and frees it; that may be at once. The ring is
 * not touched any more. False: it is done, and to be ended. */
__attribute__((warn_unused_result)) bool mkv_lane_reach_forsake(
    struct mkv_lane_reach *reach, void (*behind)(void *context, struct mkv_endpoint *endpoint),
    void *context);

#endif
