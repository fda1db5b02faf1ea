/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ports of RDMA devices this machine has and how they are reached, as sysfs tells: what an
 * operator would gather from rdma, show_gids and ip to choose the network that clients come over.
 *
 *     sys/class/infiniband/DEVICE/{hca_type,fw_ver,device/numa_node}
 *         ports/N/{state,rate,link_layer}
 *         ports/N/gids/I  ports/N/gid_attrs/types/I  ports/N/gid_attrs/ndevs/I
 *         ports/N/hw_counters/NAME                                    as each driver calls them
 *     sys/class/net/INTERFACE/mtu
 *
 * Invariants
 *  I1  Of several GIDs the one is told that an IPv4 address stands in, then one with a routed IPv6
 *      address; of RoCE v2 alone, since version 1 does not leave its Ethernet segment.
 *
 * Not responsible for: talking over them.
 */
#ifndef MKV_BACKENDS_RDMA_FACTS_H
#define MKV_BACKENDS_RDMA_FACTS_H

#include "backends/drive_facts.h"

#define MKV_RDMA_PORTS_MAX 64u
#define MKV_RDMA_ADDRESS_BYTES 64u
/* GIDs of a port that are looked at. */
#define MKV_RDMA_GIDS_MAX 256u

struct mkv_rdma_port {
    char device[MKV_DRIVE_FACT_BYTES]; /* "mlx5_0" */
    uint32_t port;
    bool active;
    char state[MKV_DRIVE_FACT_BYTES]; /* "ACTIVE", "DOWN", … */
    bool ethernet;                    /* RoCE; else InfiniBand */
    char rate[MKV_DRIVE_FACT_BYTES];  /* "200 Gb/sec (4X HDR)" */
    char firmware[MKV_DRIVE_FACT_BYTES];
    int32_t numa_node;                    /* -1: not known */
    int32_t gid_index;                    /* of RoCE v2; -1: it has none with an address */
    char address[MKV_RDMA_ADDRESS_BYTES]; /* of that GID: "10.0.0.7"; "" without */
    char interface[MKV_DRIVE_FACT_BYTES]; /* of that GID, else of the first one: "ens1f0np0" */
    uint32_t mtu;                         /* of the interface; 0: not known */
};

/* What the transport of a port counts of itself, for all processes that use it. */
enum mkv_rdma_trouble {
    MKV_RDMA_RNR_RECEIVED = 0, /* a peer had no buffer for a message */
    MKV_RDMA_RNR_SENT,         /* a message came, and there was none here */
    MKV_RDMA_RNR_EXCEEDED,     /* ... too often: the queue pair failed */
    MKV_RDMA_RETRIED,          /* sent again, since no acknowledgement came in time */
    MKV_RDMA_RETRY_EXCEEDED,   /* ... too often: the queue pair failed */
    MKV_RDMA_OUT_OF_SEQUENCE,  /* a packet came ahead of one that is missing */
    MKV_RDMA_SEQUENCE_REFUSED, /* a peer said that one of ours is missing */
    MKV_RDMA_DUPLICATE,        /* a request came that had come before */
};
#define MKV_RDMA_TROUBLE_COUNT 8u

struct mkv_rdma_troubles {
    uint32_t told; /* by bit: the driver counts this kind, and no other is known */
    uint64_t counts[MKV_RDMA_TROUBLE_COUNT]; /* since the device is there */
};

/* Reads what the driver of a port tells. May take as long as a device that fails does. */
void mkv_rdma_troubles_read(const struct mkv_drive_roots *roots, const char *device, uint32_t port,
                            struct mkv_rdma_troubles *out);

/* The ports in the order of their devices' names. Returns their count. */
uint32_t mkv_rdma_list(const struct mkv_drive_roots *roots, struct mkv_rdma_port *out,
                       uint32_t out_max);

#endif
