/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs/endpoint.h within one process, without a device: tests of backends link it in place of the
 * room verbs/. Endpoints find each other by the number of their queue pair; remote memory is memory
 * of the process, looked up by its key.
 *
 * What a real device does late can be held here: completions of READs and WRITEs, the probe, the
 * end of a queue pair. A READ moves its bytes when it is let go, as late as it may; a WRITE moves
 * them when it is posted, and its source must still be the same when it is let go.
 */
#ifndef MKV_TESTS_FAKE_ENDPOINT_H
#define MKV_TESTS_FAKE_ENDPOINT_H

#include <stdatomic.h>

#include "verbs/endpoint.h"

#define FAKE_DEVICES_MAX 4u

struct fake_device {
    const char *name;       /* NULL: there is none in this place */
    const char *gid;        /* "::ffff:127.0.0.1" */
    const char *gid_second; /* another address of it, or NULL */
    enum mkv_verbs_state state;
};

struct fake_machine_rdma {
    struct fake_device devices[FAKE_DEVICES_MAX];
    const char *client_device;    /* what the clients of lane_client.h open */
    const char *register_problem; /* not NULL: registering fails with it */
    bool hold_reads;
    bool hold_writes;
    bool hold_sends; /* the peer has them, and this side does not know that */
    bool hold_probe;
    bool hold_drain;
    atomic_bool hold_open;    /* the driver hangs; read on other threads */
    atomic_bool hold_reach;   /* nobody answers in the network; read on other threads */
    atomic_int reach_error;   /* what comes of that; 0: the peer is found */
    uint32_t transfers_room;  /* of an endpoint */
    uint32_t stream_room;     /* bytes that are on their way to one and not taken */
    uint32_t endpoints_max;   /* of a port */
    const uint8_t *forbidden; /* memory whose registered pages are not its pages any more */
    size_t forbidden_bytes;
    /* What was seen. */
    uint32_t opens; /* begun */
    atomic_uint reaches;
    uint32_t armed; /* calls of mkv_verbs_arm */
    uint32_t largest_send;
    uint64_t registered_bytes;  /* by servers, not unregistered */
    uint32_t reads_posted_most; /* at a time, of one endpoint */
    uint32_t doorbells;         /* polls of a port with something posted since the one before */
};

/* One device, "fake0" with the address 127.0.0.1, that holds nothing back; clients open it, too. */
void fake_rdma_reset(void);
extern struct fake_machine_rdma fake_rdma;

/* Whether a READ or WRITE that is posted names any of these bytes. */
bool fake_rdma_is_posted(const void *memory, size_t bytes);
/* READs and WRITEs that are posted, of all endpoints. */
uint32_t fake_rdma_posted(void);
/* Endpoints, and open ports. */
uint32_t fake_rdma_endpoints(void);
uint32_t fake_rdma_ports(void);
/* The endpoint at the other end of one that is connected. */
struct mkv_endpoint *fake_rdma_peer(struct mkv_endpoint *endpoint);
/* The name of the device that it is over. */
const char *fake_rdma_device_of(const struct mkv_endpoint *endpoint);
/* The queue pair fails: with the next poll of its port it breaks. */
void fake_rdma_break(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason);

#endif
