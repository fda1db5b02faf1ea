/* SPDX-License-Identifier: Apache-2.0 */
/* Families of the transport: RDMA, and what all fabrics have; see registry.h. */
#include <inttypes.h>
#include <stdio.h>

#include "admin/registry_collect.h"

/* ---- labels ---------------------------------------------------------------------------------- */

static const struct mkv_metric_label by_failure[] = {
    LABEL_CLOSED("status", mkv_admin_rdma_failures), LABELS_END};
static const struct mkv_metric_label by_fallback[] = {
    LABEL_CLOSED("reason", mkv_admin_rdma_fallbacks), LABELS_END};
static const struct mkv_metric_label by_transition[] = {LABEL_CLOSED("kind", mkv_admin_transitions),
                                                        LABELS_END};
static const struct mkv_metric_label by_trouble[] = {LABEL_OPEN("port", MKV_ADMIN_RDMA_PORTS_MAX),
                                                     LABEL_CLOSED("kind", mkv_admin_rdma_troubles),
                                                     LABELS_END};

#define OF_FABRIC(field) offsetof(struct mkv_admin_fabric, field)

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(fabric) {
    mkv_metric_count1(out, "tcp", mkv_metric_u64_at(&sources->snapshot->fabric, argument));
    mkv_metric_count1(out, "rdma", mkv_metric_u64_at(&sources->snapshot->rdma.fabric, argument));
    mkv_metric_count1(out, "shm", mkv_metric_u64_at(&sources->snapshot->shm, argument));
}

static MKV_COLLECTOR(rdma_active) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->rdma.is_active ? 1 : 0);
}

static MKV_COLLECTOR(rdma_configured) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->rdma.is_configured ? 1 : 0);
}

static MKV_COLLECTOR(rdma_failures) {
    (void)argument;
    for (uint32_t index = 0; index < MKV_ADMIN_RDMA_FAILURE_COUNT; index++) {
        mkv_metric_count1(out, mkv_admin_rdma_failures[index],
                          sources->snapshot->rdma.failures_total[index]);
    }
}

static MKV_COLLECTOR(rdma_fallbacks) {
    (void)argument;
    for (uint32_t index = 0; index < MKV_ADMIN_RDMA_FALLBACK_COUNT; index++) {
        mkv_metric_count1(out, mkv_admin_rdma_fallbacks[index],
                          sources->snapshot->rdma.fallbacks_total[index]);
    }
}

static MKV_COLLECTOR(rdma_troubles) {
    const struct mkv_admin_rdma *rdma = &sources->snapshot->rdma;
    (void)argument;
    for (uint32_t index = 0; index < rdma->port_count; index++) {
        const struct mkv_admin_rdma_port *port = &rdma->ports[index];
        char name[MKV_ADMIN_NAME_BYTES + 16];
        snprintf(name, sizeof name, "%s/%" PRIu32, port->device, port->port);
        for (uint32_t kind = 0; kind < MKV_ADMIN_RDMA_TROUBLE_COUNT; kind++) {
            if ((port->troubles_told >> kind & 1u) != 0) {
                mkv_metric_count2(out, name, mkv_admin_rdma_troubles[kind],
                                  port->troubles_total[kind]);
            }
        }
    }
}

static MKV_COLLECTOR(transitions) {
    (void)argument;
    for (uint32_t kind = 0; kind < MKV_ADMIN_TRANSITION_COUNT; kind++) {
        mkv_metric_count1(out, mkv_admin_transitions[kind],
                          sources->snapshot->transitions_total[kind]);
    }
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family transport_families[] = {
    GAUGE("memkv_rdma_active", "bool", mkv_no_labels, "fabric", rdma_active, 0,
          "1 where native clients can get RDMA, 0 where the node serves over TCP and shm alone",
          "Whether clients can use RDMA",
          "0 while memkv_rdma_configured is 1: follow warning RDMA_DOWN, else memkv doctor"),
    GAUGE(
        "memkv_rdma_connections_active", "connections", mkv_no_labels, "fabric", node,
        OF_NODE(rdma.fabric.connections_active), "Connections over RDMA", "Who uses RDMA",
        "Fewer than there are clients: see memkv_rdma_fallbacks_total, and the clients' transport"),
    HISTOGRAM("memkv_rdma_read_latency_us", "microseconds", mkv_no_labels, "fabric", timing_us,
              OF_NODE(rdma.read), "Time of an RDMA READ, post to completion: what a put sends",
              "Time on the network",
              "Long at idle: the network; under load: its queues, so ECN and PFC (docs/rocev2.md)"),
    HISTOGRAM("memkv_rdma_write_latency_us", "microseconds", mkv_no_labels, "fabric", timing_us,
              OF_NODE(rdma.write), "Time of an RDMA WRITE, post to completion: what a get sends",
              "Time on the network",
              "Long at idle: the network; under load: its queues, so ECN and PFC (docs/rocev2.md)"),
    COUNTER("memkv_rdma_errors_total", "errors", mkv_no_labels, "fabric", node,
            OF_NODE(rdma.errors_total),
            "Work requests of RDMA that failed, those flushed behind the first too",
            "Faults of the network",
            "Growing: see memkv_rdma_failures_total for the first of each"),
    COUNTER("memkv_rdma_failures_total", "failures", by_failure, "fabric", rdma_failures, 0,
            "Queue pairs that failed, by what failed first", "Why a connection broke",
            "retry_exceeded, probe, silent: the network; port_down, device: this machine; "
            "docs/rocev2.md has each"),
    GAUGE("memkv_rdma_configured", "bool", mkv_no_labels, "node", rdma_configured, 0,
          "1 where rdma.mode is require, rdma.device is set, or a port was up since the start",
          "Tells RDMA that failed from RDMA that was never meant", "None needed by itself"),
    COUNTER("memkv_rdma_fallbacks_total", "events", by_fallback, "fabric", rdma_fallbacks, 0,
            "Connections that go on over TCP where the client wanted RDMA, by reason",
            "Clients that are slower than they need be",
            "full: raise rdma.connections_max; no_device, port_down: bring the port up; others as "
            "those of memkv_rdma_failures_total"),
    COUNTER("memkv_rdma_recoveries_total", "events", mkv_no_labels, "fabric", node,
            OF_NODE(rdma.recoveries_total), "Connections of clients that went back to RDMA",
            "Whether RDMA comes back by itself",
            "None for minutes after fallbacks: see the clients' logs for why RDMA fails again"),
    COUNTER("memkv_rdma_port_troubles_total", "events", by_trouble, "node", rdma_troubles, 0,
            "What the transport of a port counts of itself since the device is there, for all "
            "processes that use it, every 10 s: messages that met no buffer (RNR), packets sent "
            "again, lost or doubled. Kinds that the driver does not tell are left out",
            "Whether the network loses packets before connections break",
            "retried, out_of_sequence, sequence_refused: packets are lost, so PFC, ECN and MTU "
            "(docs/rocev2.md); rnr_sent: this host takes messages up too slowly"),
    GAUGE("memkv_connections_active", "connections", mkv_by_fabric, "fabric", fabric,
          OF_FABRIC(connections_active), "Open connections of clients",
          "Whether clients reach the node",
          "Fewer than there are clients: look at the network and at the clients' logs"),
    COUNTER("memkv_transport_transitions_total", "events", by_transition, "node", transitions, 0,
            "Drives that came online or went offline, and RDMA that came back or was lost",
            "A node that is not steady",
            "More than one in ten minutes: the log names the drive or port, and why"),
};
MKV_METRIC_GROUP(transport, "Transport", transport_families);
