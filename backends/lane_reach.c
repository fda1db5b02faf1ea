/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/lane_reach.h"

#include <signal.h>

static void *reach_thread(void *context) {
    struct mkv_lane_reach *reach = context;
    struct mkv_ring *ring = reach->ring;
    (void)pthread_setname_np(pthread_self(), "memkv-rdma");
    reach->reached = mkv_endpoint_connect_reach(reach->endpoint);
    atomic_store_explicit(&reach->is_done, true, memory_order_release);
    mkv_ring_wake(ring);
    return NULL;
}

void mkv_lane_reach_begin(struct mkv_lane_reach *reach, struct mkv_endpoint *endpoint,
                          struct mkv_ring *ring) {
    sigset_t all;
    sigset_t before;
    reach->endpoint = endpoint;
    reach->ring = ring;
    atomic_store_explicit(&reach->is_done, false, memory_order_relaxed);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    reach->has_thread = pthread_create(&reach->thread, NULL, reach_thread, reach) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!reach->has_thread) {
        reach->reached = mkv_endpoint_connect_reach(endpoint);
        atomic_store_explicit(&reach->is_done, true, memory_order_relaxed);
    }
}

bool mkv_lane_reach_is_done(const struct mkv_lane_reach *reach) {
    return atomic_load_explicit(&reach->is_done, memory_order_acquire);
}

int mkv_lane_reach_end(struct mkv_lane_reach *reach) {
    MKV_ASSERT(mkv_lane_reach_is_done(reach));
    if (reach->has_thread) {
        MKV_ASSERT(pthread_join(reach->thread, NULL) == 0);
    }
    return reach->reached;
}
