/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ports of RDMA devices this machine has and how they are reached, as sysfs tells: what an
 * operator would gather from rdma, show_gids and ip to choose the network that clients come over.
 *
 *     sys/class/infiniband/DEVICE/{hca_type,fw_ver,device/numa_node}
 *         ports/N/{state,rate,link_layer}
 *         ports/N/gids/I  ports/N/gid_attrs/types/I  ports/N/gid_attrs/ndevs/I
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

/* The ports in the order of their devices' names. Returns their count. */
uint32_t mkv_rdma_list(const struct mkv_drive_roots *roots, struct mkv_rdma_port *out,
                       uint32_t out_max);

#endif
