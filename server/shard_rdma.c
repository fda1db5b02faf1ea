/* SPDX-License-Identifier: Apache-2.0 */
/* The RDMA ports of a shard. */
#include "server/shard_internal.h"

static void port_event(void *context, enum mkv_lane_port_event event,
                       const struct mkv_verbs_facts *facts, const char *text) {
    const struct mkv_shard *shard = context;
    shard->rdma_event(shard->rdma_event_context, shard->index, event, facts, text);
}

bool mkv_shard_rdma_make(struct mkv_shard *shard, const struct mkv_shard_options *options,
                         struct mkv_backend_error *error) {
    if (options->rdma == NULL) {
        return true;
    }
    struct mkv_lane_ports_options ports = *options->rdma;
    ports.ring = shard->ring;
    ports.arena = options->arena;
    if (options->rdma_event != NULL) {
        shard->rdma_event = options->rdma_event;
        shard->rdma_event_context = options->rdma_event_context;
        ports.event = port_event;
        ports.event_context = shard;
    }
    return mkv_lane_ports_create(&ports, &shard->lane_ports, error);
}

void mkv_shard_rdma_end(struct mkv_shard *shard) {
    mkv_lane_ports_destroy(shard->lane_ports);
    shard->lane_ports = NULL;
}
