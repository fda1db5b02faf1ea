/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of an RDMA device as the daemon's shards and the library use it: queue pairs that carry a
 * stream of bytes both ways, and READs and WRITEs between registered memory and the peer's. What is
 * posted when, and when a buffer is free, is wire/lane.h's; this is the hand that does it.
 *
 *   mkv_verbs_open --> mkv_verbs_register(memory) --> for each connection:
 *
 *   create --> local parameters go to the peer, its own come back (CONNECT of wire/native.h)
 *          --> connect --> opened --> send, receive, read, write, expose
 *          --> broken (once, if it was not stopped) --> drained --> destroy
 *
 *   In a loop: poll; when nothing came and nothing is due, arm, poll once more, and wait for
 *   `descriptor` to be readable, at the latest at mkv_verbs_timer_ns.
 *
 * Invariants
 *  I1  Calls back come from mkv_verbs_poll alone, one thread; they may call anything but destroy.
 *  I2  Memory that a peer may reach, or that a work request names, is not said to be free before
 *      the device has let go of it: a client's queue pair is destroyed, a server's in its error
 *      state with its completions there, or destroyed. Where a device refuses to, the state is GONE
 *      and the queue pair is kept, with no end told of what it has; each second it is tried again.
 *      That ends with the process at the latest.
 *  I3  Where memkv was built without RDMA, open fails and says so; nothing else is ever reached.
 *
 * Not responsible for: frames, who the peer is, when to go back to RDMA.
 */
#ifndef MKV_VERBS_ENDPOINT_H
#define MKV_VERBS_ENDPOINT_H

#include <stddef.h>
#include <sys/uio.h>

#include "wire/lane.h"

#define MKV_VERBS_PROBLEM_BYTES 512u

struct mkv_verbs;        /* an open port */
struct mkv_verbs_region; /* registered memory */
struct mkv_endpoint;     /* a queue pair and its lane */

struct mkv_verbs_options {
    const char *device;  /* "rxe0"; NULL: that of `address`, else the first with an active port */
    uint32_t port;       /* 0: the first active one */
    int32_t gid_index;   /* -1: chosen: RoCE v2 of `address`, else of an IPv4 address */
    const char *address; /* the local IP address that peers connect to, or NULL */
    uint32_t traffic_class; /* the server's, which tells the client */
    uint32_t service_level; /* likewise */
    uint32_t mtu;           /* of the path, bytes; 0: what the port has */
    uint32_t endpoints_max; /* queue pairs */
    uint32_t message_bytes; /* of wire/lane.h */
    uint32_t receives_each; /* messages that a peer may have on their way */
    bool is_server;         /* receives are of one shared queue */
};

/* What an operator wants to know, and the log says. */
struct mkv_verbs_facts {
    char device[64];
    uint32_t port;
    char gid[48]; /* "::ffff:10.0.0.7" */
    int32_t gid_index;
    bool is_ethernet;
    uint32_t mtu;
    uint32_t reads_max;     /* at a time, of a queue pair */
    uint32_t endpoints_max; /* what the device has room for, at most options.endpoints_max */
    uint32_t traffic_class;
    uint32_t service_level;
    int32_t numa_node; /* -1: the device has none, or does not tell */
    bool has_dmabuf;   /* ibv_reg_dmabuf_mr is there; untested */
};

/* What one side tells the other: the body of CONNECT and of its answer. */
struct mkv_native_connect;

struct mkv_endpoint_ops {
    void (*opened)(void *context);
    void (*readable)(void *context); /* bytes came; mkv_endpoint_receive until it returns 0 */
    void (*writable)(void *context); /* mkv_endpoint_send had no room and has */
    void (*transfer_done)(void *context, uint64_t tag, bool is_ok);
    void (*exposure_end)(void *context, uint64_t tag);
    void (*broken)(void *context, enum mkv_lane_reason reason, const char *problem);
    void (*drained)(void *context);
};

/* Whether memkv was built with RDMA. */
bool mkv_verbs_is_built(void);
/* Whether this machine has any RDMA device, in whatever state. Opens and loads nothing. */
bool mkv_verbs_has_device(void);
/* False: `problem` says what is missing and what to do. */
__attribute__((warn_unused_result)) bool mkv_verbs_open(const struct mkv_verbs_options *options,
                                                        struct mkv_verbs **verbs, char *problem);
/* When it has no endpoints and no regions. NULL is allowed. Of a device that even now refuses to
 * destroy a queue pair nothing is closed or freed; after a number of these none is opened. */
void mkv_verbs_close(struct mkv_verbs *verbs);
const struct mkv_verbs_facts *mkv_verbs_facts(const struct mkv_verbs *verbs);

enum mkv_verbs_state {
    MKV_VERBS_ACTIVE = 0,
    /* Its endpoints stop, and none is created until it is back by itself, which an event tells or
     * poll asks for each second. Where it is its GID alone that has gone, endpoints go on as far as
     * the network lets them. */
    MKV_VERBS_PORT_DOWN,
    MKV_VERBS_GONE, /* the device failed or was removed: close it when its endpoints are gone */
};
/* Whether peers may come to this address (16 bytes, IPv4 as ::ffff:…) at the port, which may have
 * others than that of its facts. Where a GID index was asked for, that one alone. */
bool mkv_verbs_has_address(const struct mkv_verbs *verbs, const uint8_t *address);
/* As of the last poll or mkv_endpoint_create. */
enum mkv_verbs_state mkv_verbs_state(const struct mkv_verbs *verbs);

/* `remote`: a peer may read and write it, too; read alone where the process itself can do no more.
 * This and unregister may be called by any thread. */
__attribute__((warn_unused_result)) bool mkv_verbs_register(struct mkv_verbs *verbs, void *memory,
                                                            size_t bytes, bool remote,
                                                            struct mkv_verbs_region **region,
                                                            char *problem);
/* The same of memory that peers read, and nobody writes to by the region. */
__attribute__((warn_unused_result)) bool mkv_verbs_register_readable(
    struct mkv_verbs *verbs, void *memory, size_t bytes, struct mkv_verbs_region **region,
    char *problem);
/* The same of memory of another device, a GPU say, that is `offset` into the dma-buf `descriptor`;
 * peers name it by `address` and up. Untested: no device of the lab has such memory. */
__attribute__((warn_unused_result)) bool mkv_verbs_register_dmabuf(
    struct mkv_verbs *verbs, int descriptor, uint64_t offset, size_t bytes, uint64_t address,
    bool remote, struct mkv_verbs_region **region, char *problem);
void mkv_verbs_unregister(struct mkv_verbs_region *region);
uint32_t mkv_verbs_region_key(const struct mkv_verbs_region *region); /* for the peer */

/* Hands out what has completed and happened, a bounded amount; returns how much. */
uint32_t mkv_verbs_poll(struct mkv_verbs *verbs, uint64_t now_ns);
int mkv_verbs_descriptor(const struct mkv_verbs *verbs);
/* `descriptor` becomes readable with the next completion or event. */
void mkv_verbs_arm(struct mkv_verbs *verbs);
uint64_t mkv_verbs_timer_ns(const struct mkv_verbs *verbs);

/* Asks the port for its MTU, which changes without an event: facts have it then. False: the port is
 * not active, or no queue pair or memory is left. */
__attribute__((warn_unused_result)) bool mkv_endpoint_create(struct mkv_verbs *verbs,
                                                             const struct mkv_endpoint_ops *ops,
                                                             void *context,
                                                             struct mkv_endpoint **endpoint,
                                                             char *problem);
/* Its peer comes to this address (16 bytes, IPv4 as ::ffff:…), which the port has; before its
 * parameters go to the peer. Else it has the one of the port's facts. */
void mkv_endpoint_set_address(struct mkv_endpoint *endpoint, const uint8_t *address);
void mkv_endpoint_parameters(const struct mkv_endpoint *endpoint, struct mkv_native_connect *out);
/* With what the peer has told. False: it does not go together; `problem` says why. */
__attribute__((warn_unused_result)) bool mkv_endpoint_connect(struct mkv_endpoint *endpoint,
                                                              const struct mkv_native_connect *peer,
                                                              uint64_t now_ns, char *problem);
/* The same in three parts, where the thread that polls is not to wait: the kernel looks for the
 * peer's address in the network, and gives up after a second where nobody answers. Between begin
 * and end nothing else is called of the endpoint; where begin fails, there is no end. `reach`
 * is called by any one thread; what it returns is for `end`. */
__attribute__((warn_unused_result)) bool mkv_endpoint_connect_begin(
    struct mkv_endpoint *endpoint, const struct mkv_native_connect *peer, char *problem);
int mkv_endpoint_connect_reach(struct mkv_endpoint *endpoint);
__attribute__((warn_unused_result)) bool mkv_endpoint_connect_end(struct mkv_endpoint *endpoint,
                                                                  int reached, uint64_t now_ns,
                                                                  char *problem);
bool mkv_endpoint_is_open(const struct mkv_endpoint *endpoint);

/* Takes as many of the bytes as there is room for, in order; returns how many. What has been taken
 * is on its way at the latest with the next poll. */
size_t mkv_endpoint_send(struct mkv_endpoint *endpoint, const struct iovec *iovecs,
                         size_t iovec_count, uint64_t now_ns);
/* Whether nothing that was taken is on its way any more: it has come to the peer's memory, or never
 * will. */
bool mkv_endpoint_has_sent(const struct mkv_endpoint *endpoint);
/* Copies bytes that have come; returns how many. */
size_t mkv_endpoint_receive(struct mkv_endpoint *endpoint, void *bytes, size_t bytes_max,
                            uint64_t now_ns);
/* Between `memory`, which is in `region`, and the peer's. False: no room now; try again after the
 * next transfer_done. A WRITE is at the peer before any byte that is sent after it. */
bool mkv_endpoint_transfer(struct mkv_endpoint *endpoint, bool is_read, uint64_t remote_address,
                           uint32_t remote_key, const struct mkv_verbs_region *region, void *memory,
                           uint32_t bytes, uint64_t tag, uint64_t now_ns);
bool mkv_endpoint_expose(struct mkv_endpoint *endpoint, uint64_t tag);
bool mkv_endpoint_unexpose(struct mkv_endpoint *endpoint, uint64_t tag);
/* The connection that it was made over has ended, or this side wants no more: then drained. True:
 * behind the return the peer reaches no memory of this side any more, as always on a server. False:
 * memory is exposed, and the device refuses to destroy the queue pair (I2); call it again, or wait
 * for each exposure_end. */
bool mkv_endpoint_stop(struct mkv_endpoint *endpoint, enum mkv_lane_reason reason, uint64_t now_ns);
const struct mkv_lane_counters *mkv_endpoint_counters(const struct mkv_endpoint *endpoint);
/* When it is drained, or was never connected. What the device refuses to let go of is kept (I2),
 * and told to nobody. */
void mkv_endpoint_destroy(struct mkv_endpoint *endpoint);

#endif
