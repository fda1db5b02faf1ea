/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/lane_reach.h"

#include <signal.h>
#include <stdlib.h>

enum stage {
    REACH_RUNNING = 0, /* it is its thread's */
    REACH_DONE,        /* it is the shard's thread's again */
    REACH_FORSAKEN,    /* nobody waits for it any more: its thread tidies up */
};

static void *reach_thread(void *context) {
    struct mkv_lane_reach *reach = context;
    struct mkv_ring *ring = reach->ring;
    int stage = REACH_RUNNING;
    (void)pthread_setname_np(pthread_self(), "memkv-rdma");
    reach->reached = mkv_endpoint_connect_reach(reach->endpoint);
    if (atomic_compare_exchange_strong(&reach->stage, &stage, REACH_DONE)) {
        mkv_ring_wake(ring);
        return NULL;
    }
    MKV_ASSERT(stage == REACH_FORSAKEN);
    reach->behind(reach->context, reach->endpoint);
    free(reach);
    return NULL;
}

struct mkv_lane_reach *mkv_lane_reach_begin(struct mkv_endpoint *endpoint, struct mkv_ring *ring,
                                            uint64_t late_ns) {
    sigset_t all;
    sigset_t before;
    struct mkv_lane_reach *reach = calloc(1, sizeof *reach);
    if (reach == NULL) {
        return NULL;
    }
    reach->endpoint = endpoint;
    reach->ring = ring;
    reach->late_ns = late_ns;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool has_thread = pthread_create(&reach->thread, NULL, reach_thread, reach) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!has_thread) {
        free(reach);
        return NULL;
    }
    return reach;
}

bool mkv_lane_reach_is_done(const struct mkv_lane_reach *reach) {
    return atomic_load_explicit(&reach->stage, memory_order_acquire) == REACH_DONE;
}

bool mkv_lane_reach_is_late(const struct mkv_lane_reach *reach, uint64_t now_ns) {
    return now_ns >= reach->late_ns && !mkv_lane_reach_is_done(reach);
}

int mkv_lane_reach_end(struct mkv_lane_reach *reach) {
    MKV_ASSERT(mkv_lane_reach_is_done(reach));
    MKV_ASSERT(pthread_join(reach->thread, NULL) == 0);
    const int reached = reach->reached;
    free(reach);
    return reached;
}

bool mkv_lane_reach_forsake(struct mkv_lane_reach *reach,
                            void (*behind)(void *context, struct mkv_endpoint *endpoint),
                            void *context) {
    const pthread_t thread = reach->thread;
    int stage = REACH_RUNNING;
    reach->behind = behind;
    reach->context = context;
    if (!atomic_compare_exchange_strong(&reach->stage, &stage, REACH_FORSAKEN)) {
        MKV_ASSERT(stage == REACH_DONE);
        return false;
    }
    MKV_ASSERT(pthread_detach(thread) == 0);
    return true;
}
