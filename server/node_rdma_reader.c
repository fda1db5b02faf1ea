/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ports of RDMA devices count of themselves, for metrics: read every READ_NS by a thread
 * of its own, since a device that fails may keep whoever asks it in the kernel.
 *
 *     every READ_NS --> each port that was ever up --> node_rdma.ports --> snapshots
 *
 * Invariants
 *  I1  The thread touches the node behind its own mutex, and not once the end was asked for: so a
 *      device that keeps it then keeps nobody else.
 *  I2  The node's mutex for RDMA is taken behind its own, never the other way round.
 */
#include "server/node_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"

#define NS_PER_S 1000000000ull
#define READ_NS (10ull * NS_PER_S)
/* How long the end of the node waits for a device that does not answer. */
#define END_NS (2ull * NS_PER_S)

struct mkv_node_rdma_reader {
    struct mkv_node *node;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool ending;
    bool ended;
};

static struct timespec time_of(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* A copy of one port. False: there are not so many. */
static bool port_at(struct mkv_node *node, uint32_t index, struct node_rdma_port *port) {
    pthread_mutex_lock(&node->rdma.mutex);
    const bool is_there = index < node->rdma.port_count;
    if (is_there) {
        *port = node->rdma.ports[index];
    }
    pthread_mutex_unlock(&node->rdma.mutex);
    return is_there;
}

/* Unless another port has its place by now. */
static void keep(struct mkv_node *node, uint32_t index, const struct node_rdma_port *port) {
    pthread_mutex_lock(&node->rdma.mutex);
    struct node_rdma_port *target = &node->rdma.ports[index];
    if (strcmp(target->device, port->device) == 0 && target->port == port->port) {
        target->troubles = port->troubles;
    }
    pthread_mutex_unlock(&node->rdma.mutex);
}

/* Behind the mutex, which is let go while a device is asked. */
static void read_all(struct mkv_node_rdma_reader *self) {
    const struct mkv_drive_roots *roots =
        self->node->rdma.roots != NULL ? self->node->rdma.roots : &mkv_drive_roots_kernel;
    struct node_rdma_port port;
    for (uint32_t index = 0; !self->ending && port_at(self->node, index, &port); index++) {
        pthread_mutex_unlock(&self->mutex);
        mkv_rdma_troubles_read(roots, port.device, port.port, &port.troubles);
        pthread_mutex_lock(&self->mutex);
        if (!self->ending) {
            keep(self->node, index, &port);
        }
    }
}

static void *run(void *context) {
    struct mkv_node_rdma_reader *self = context;
    pthread_mutex_lock(&self->mutex);
    while (!self->ending) {
        read_all(self);
        const struct timespec until = time_of(mkv_clock_monotonic_ns() + READ_NS);
        while (!self->ending &&
               pthread_cond_timedwait(&self->changed, &self->mutex, &until) != ETIMEDOUT) {
        }
    }
    self->ended = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

/* ---- the step -------------------------------------------------------------------------------- */

static void reader_free(struct mkv_node_rdma_reader *self) {
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

bool mkv_node_rdma_reader_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_lane_ports_options options;
    if (!mkv_verbs_is_built() || !mkv_node_rdma_options(node, &options)) {
        return true;
    }
    struct mkv_node_rdma_reader *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&self->mutex, NULL);
    self->node = node;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* of a profiler, which asks each thread where it is */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        reader_free(self);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no thread for the counters of RDMA ports: %s. Raise the limit "
                                  "of threads",
                                  strerror(result));
    }
    (void)pthread_setname_np(self->thread, "memkv-rdma-stat");
    node->rdma_reader = self;
    return true;
}

void mkv_node_rdma_reader_end(struct mkv_node *node) {
    struct mkv_node_rdma_reader *self = node->rdma_reader;
    const struct timespec until = time_of(mkv_clock_monotonic_ns() + END_NS);
    int result = 0;
    if (self == NULL) {
        return;
    }
    node->rdma_reader = NULL;
    pthread_mutex_lock(&self->mutex);
    self->ending = true;
    pthread_cond_broadcast(&self->changed);
    while (!self->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    }
    const bool ended = self->ended;
    pthread_mutex_unlock(&self->mutex);
    if (!ended) {
        (void)pthread_detach(self->thread); /* I1: what it has goes with the process */
        return;
    }
    MKV_ASSERT(pthread_join(self->thread, NULL) == 0);
    reader_free(self);
}
