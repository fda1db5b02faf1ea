/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane as a transport: its stream of bytes, and the TCP connection that it was made over, which
 * carries nothing any more and ends it.
 *
 *   receive   bytes of the lane  >  the lane has broken  >  the lifeline has ended  >  BLOCKED
 *
 * in this order: what the server said before it went is still to be read.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/engine.h"

struct rdma_transport {
    struct mkv_transport common;
    struct mkv_transport *lifeline;
    struct mkv_rdma_lane *lane;
};

static struct rdma_transport *of(struct mkv_transport *transport) {
    return (struct rdma_transport *)transport;
}

static enum mkv_transport_result broken(struct mkv_transport *transport, const char *problem) {
    snprintf(transport->problem, sizeof transport->problem, "RDMA: %.150s", problem);
    return MKV_TRANSPORT_BROKEN;
}

static enum mkv_transport_result rdma_begin(struct mkv_transport *transport,
                                            const struct sockaddr *address,
                                            socklen_t address_bytes) {
    (void)address;
    (void)address_bytes;
    return broken(transport, "a lane begins as a TCP connection");
}

static enum mkv_transport_result rdma_establish(struct mkv_transport *transport) {
    (void)transport;
    return MKV_TRANSPORT_MOVED;
}

static enum mkv_transport_result rdma_send(struct mkv_transport *transport,
                                           const struct iovec *iovecs, size_t iovec_count,
                                           size_t *byte_count) {
    struct rdma_transport *rdma = of(transport);
    if (rdma->lane->is_broken) {
        return broken(transport, rdma->lane->problem);
    }
    *byte_count = mkv_endpoint_send(rdma->lane->endpoint, iovecs, iovec_count, mkv_client_now_ns());
    return *byte_count > 0 ? MKV_TRANSPORT_MOVED : MKV_TRANSPORT_BLOCKED;
}

static size_t take(struct rdma_transport *rdma, const struct iovec *iovecs, size_t iovec_count) {
    const uint64_t now_ns = mkv_client_now_ns();
    size_t taken_bytes = 0;
    for (size_t index = 0; index < iovec_count; index++) {
        const size_t count = mkv_endpoint_receive(rdma->lane->endpoint, iovecs[index].iov_base,
                                                  iovecs[index].iov_len, now_ns);
        taken_bytes += count;
        if (count < iovecs[index].iov_len) {
            break;
        }
    }
    return taken_bytes;
}

/* Nothing comes over it but its end. */
static enum mkv_transport_result look_at_lifeline(struct rdma_transport *rdma) {
    uint8_t bytes[16];
    const struct iovec iovec = {.iov_base = bytes, .iov_len = sizeof bytes};
    size_t byte_count = 0;
    rdma->common.is_woken = false;
    const enum mkv_transport_result result =
        rdma->lifeline->ops->receive(rdma->lifeline, &iovec, 1, &byte_count);
    if (result == MKV_TRANSPORT_MOVED) {
        return broken(&rdma->common, "the server sent bytes beside its lane");
    }
    if (result == MKV_TRANSPORT_BROKEN) {
        snprintf(rdma->common.problem, sizeof rdma->common.problem, "%s", rdma->lifeline->problem);
    }
    rdma->lane->is_lifeline_gone = result != MKV_TRANSPORT_BLOCKED;
    return result;
}

static enum mkv_transport_result rdma_receive(struct mkv_transport *transport,
                                              const struct iovec *iovecs, size_t iovec_count,
                                              size_t *byte_count) {
    struct rdma_transport *rdma = of(transport);
    *byte_count = take(rdma, iovecs, iovec_count);
    if (*byte_count > 0) {
        return MKV_TRANSPORT_MOVED;
    }
    if (rdma->lane->is_broken) {
        return broken(transport, rdma->lane->problem);
    }
    if (!rdma->common.is_woken) {
        return MKV_TRANSPORT_BLOCKED;
    }
    const enum mkv_transport_result result = look_at_lifeline(rdma);
    if (result == MKV_TRANSPORT_BLOCKED) {
        return result;
    }
    /* What the server sent before it closed has come, but nobody may have looked. */
    (void)mkv_rdma_poll(rdma->lane->port->rdma, mkv_client_now_ns());
    *byte_count = take(rdma, iovecs, iovec_count);
    if (*byte_count > 0) {
        rdma->common.is_woken = true;
        return MKV_TRANSPORT_MOVED;
    }
    return result;
}

static void rdma_close(struct mkv_transport *transport) {
    struct rdma_transport *rdma = of(transport);
    mkv_rdma_lane_end(rdma->lane);
    rdma->lifeline->ops->close(rdma->lifeline);
    free(rdma);
}

static const struct mkv_transport_ops rdma_ops = {
    .name = "rdma",
    .begin = rdma_begin,
    .establish = rdma_establish,
    .send = rdma_send,
    .receive = rdma_receive,
    .close = rdma_close,
};

struct mkv_transport *mkv_transport_rdma_new(struct mkv_transport *lifeline,
                                             struct mkv_rdma_lane *lane) {
    struct rdma_transport *rdma = calloc(1, sizeof *rdma);
    if (rdma == NULL) {
        return NULL;
    }
    rdma->common = (struct mkv_transport){.ops = &rdma_ops,
                                          .descriptor = lifeline->descriptor,
                                          .send_events = POLLOUT,
                                          .receive_events = POLLIN,
                                          .is_woken = true,
                                          .passed_descriptor = -1};
    rdma->lifeline = lifeline;
    rdma->lane = lane;
    return &rdma->common;
}
