/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ports of RDMA devices count of themselves, for metrics: read every READ_NS by a thread
 * of its own, since a device that fails may keep whoever asks it in the kernel.
 *
 *     every READ_NS --> each port that was ever up --> node_rdma.ports --> snapshots
 *
 * Invariants
 *  I1  The thread touches the node between enter and leave alone (periodic.h): so a device that
 *      keeps it when the node ends keeps nobody else.
 *  I2  The node's mutex for RDMA is taken behind that of the thread, never the other way round.
 */
#include "server/node_internal.h"

#include <stdlib.h>
#include <string.h>

#include "server/periodic.h"

#define NS_PER_S 1000000000ull
#define READ_NS (10ull * NS_PER_S)
/* How long the end of the node waits for a device that does not answer. */
#define END_NS (2ull * NS_PER_S)

struct mkv_node_rdma_reader {
    struct mkv_node *node;
    struct mkv_periodic *periodic;
};

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

static void read_all(void *context, struct mkv_periodic *periodic) {
    const struct mkv_node_rdma_reader *self = context;
    struct node_rdma_port port;
    for (uint32_t index = 0; mkv_periodic_enter(periodic); index++) {
        const struct mkv_drive_roots *roots =
            self->node->rdma.roots != NULL ? self->node->rdma.roots : &mkv_drive_roots_kernel;
        const bool is_there = port_at(self->node, index, &port);
        mkv_periodic_leave(periodic);
        if (!is_there) {
            return;
        }
        mkv_rdma_troubles_read(roots, port.device, port.port, &port.troubles);
        if (!mkv_periodic_enter(periodic)) {
            return;
        }
        keep(self->node, index, &port);
        mkv_periodic_leave(periodic);
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

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
    self->node = node;
    const struct mkv_periodic_options periodic = {
        .name = "memkv-rdma-stat",
        .purpose = "the counters of RDMA ports",
        .interval_ns = READ_NS,
        .end_ns = END_NS,
        .turn = read_all,
        .release = free,
        .context = self,
    };
    if (!mkv_periodic_begin(&periodic, &self->periodic, error)) {
        free(self);
        return false;
    }
    node->rdma_reader = self;
    return true;
}

void mkv_node_rdma_reader_end(struct mkv_node *node) {
    struct mkv_node_rdma_reader *self = node->rdma_reader;
    if (self != NULL) {
        node->rdma_reader = NULL;
        mkv_periodic_end(self->periodic);
    }
}
