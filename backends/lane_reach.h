/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting an endpoint away from the shard's thread: the kernel looks for the address of the peer
 * in the network, and where nobody answers that takes it a second.
 *
 *   begin --> a thread: mkv_endpoint_connect_reach --> is_done, the ring is woken --> end
 *
 * The shard's thread calls all of these. Until end nothing else is called of the endpoint.
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
    struct mkv_ring *ring;
    pthread_t thread;
    bool has_thread;
    int reached; /* for mkv_endpoint_connect_end, behind is_done */
    atomic_bool is_done;
};

/* Of an endpoint whose connect has begun. Where there is no thread to be had, it is done when this
 * returns. Both outlive `end`. */
void mkv_lane_reach_begin(struct mkv_lane_reach *reach, struct mkv_endpoint *endpoint,
                          struct mkv_ring *ring);
/* The ring has been woken since it became true, or is about to be. */
bool mkv_lane_reach_is_done(const struct mkv_lane_reach *reach);
/* When it is done: what mkv_endpoint_connect_reach has returned. */
int mkv_lane_reach_end(struct mkv_lane_reach *reach);

#endif
