/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy: clients of RESP on one side, the servers that share the keys on the other. It holds no
 * keys and no content of its own beyond the commands that are under way.
 *
 *   RESP clients <--> fabric_resp <--> proxy <--> libmemkv <--> servers
 *                          |             |            |
 *                          +--- values lie in runs ---+     (proxy_memory.h)
 *
 * The fabric's REQUESTs, each of one key, become items of libmemkv; those of one connection that
 * came in one round, and are of one kind, become one submission. All of it is one thread, which
 * waits on one ring for clients and for libmemkv's descriptor.
 *
 *   SET:  WAITING (for memory) -> PULLING (from the client) -> READY -> SUBMITTED -> REPLYING
 *   GET:  WAITING -> READY -> SUBMITTED -> [WAITING -> READY -> SUBMITTED ->] REPLYING
 *                                           the value is longer than was expected
 *
 * Invariants
 *  I1  Every REQUEST is answered once: by its server's answer, by its deadline, by libmemkv when
 *      the server cannot be reached, or because there is no room.
 *  I2  Values take the memory that the options say, and no more. Beyond half of it only commands
 *      whose turn to reply has come are given some, so that those behind them cannot hold it all.
 *  I3  A value goes to a client once it is there whole and checked; so a server that goes away in
 *      the middle of one is a miss, and no reply is cut off.
 *  I4  What reads a key whose server cannot be asked is a miss. What writes it is an error.
 *
 * Not responsible for: bytes of RESP (backends/fabric_resp.h), which server has a key (libmemkv),
 * signals and options (command_proxy.c).
 */
#ifndef MKV_SERVER_PROXY_H
#define MKV_SERVER_PROXY_H

#include "backends/fabric_resp.h"
#include "client/memkv.h"
#include "server/resp_info.h"

/* The least memory that a proxy works with, and what it has where nobody says. */
#define MKV_PROXY_MEMORY_BYTES_MIN (64ull * MKV_MIB)
#define MKV_PROXY_MEMORY_BYTES_DEFAULT (256ull * MKV_MIB)
#define MKV_PROXY_VALUE_BYTES_MAX (512ull * MKV_MIB)
#define MKV_PROXY_TIMEOUT_MS_DEFAULT 5000u

struct mkv_proxy;

struct mkv_proxy_options {
    const char *host; /* an IPv4 or IPv6 address */
    uint16_t port;
    uint32_t connections_max;
    uint64_t memory_bytes;
    uint32_t timeout_ms;                 /* that a server has for what it is asked */
    bool has_metrics;                    /* where MEMKV_PROMETHEUS_BIND says: it has to be there */
    bool durable;                        /* SETs are answered when they are durable */
    const struct memkv_options *servers; /* timeout_ms is set by the proxy */
    struct mkv_tls *tls;                 /* of the listener; NULL: plain */
    const struct mkv_fabric_auth *auth;  /* NULL: everybody may do all */
};

/* Why a key that was asked for was not there. */
enum mkv_proxy_miss {
    MKV_PROXY_MISS_SERVER = 0, /* its server said so */
    MKV_PROXY_MISS_SERVER_DOWN,
    MKV_PROXY_MISS_DEADLINE,
    MKV_PROXY_MISS_CORRUPT, /* what came is not what was put */
};
#define MKV_PROXY_MISS_COUNT 4u

/* Counts since the start, but for those that say otherwise. */
struct mkv_proxy_counters {
    uint64_t requests[MKV_OP_COUNT]; /* keys, by what was wanted of them */
    uint64_t failures[MKV_OP_COUNT]; /* of those: answered with an error */
    uint64_t hits;                   /* keys of GET and EXISTS */
    uint64_t misses[MKV_PROXY_MISS_COUNT];
    uint64_t submissions;     /* calls of libmemkv */
    uint64_t memory_waits;    /* keys that waited for memory */
    uint64_t second_requests; /* GETs of values that were longer than expected */
    uint64_t memory_used;     /* now */
    uint64_t memory_bytes;    /* now: all that there is */
    uint64_t under_way;       /* now: keys */
    uint64_t started_ns;      /* on the monotonic clock */
};

/* Connects to the servers, of which one has to answer, and listens. */
__attribute__((warn_unused_result)) bool mkv_proxy_create(const struct mkv_proxy_options *options,
                                                          struct mkv_proxy **proxy,
                                                          struct mkv_backend_error *error);
/* When it is idle, or no round was run. NULL is allowed. */
void mkv_proxy_destroy(struct mkv_proxy *proxy);

/* One round: waits for clients and servers as long as there is nothing to do. */
void mkv_proxy_round(struct mkv_proxy *proxy);
/* Ends the wait of this round or the next; from any thread. */
void mkv_proxy_wake(struct mkv_proxy *proxy);
/* No further connection; those that are there are closed when they are owed nothing. */
void mkv_proxy_drain(struct mkv_proxy *proxy);
/* Breaks all connections. */
void mkv_proxy_stop(struct mkv_proxy *proxy);
/* After drain or stop: no connection is left. */
bool mkv_proxy_is_idle(const struct mkv_proxy *proxy);

uint16_t mkv_proxy_port(const struct mkv_proxy *proxy);
/* The longest value that it takes. */
uint64_t mkv_proxy_value_bytes_max(const struct mkv_proxy *proxy);
/* On the thread of the rounds. */
void mkv_proxy_counters(const struct mkv_proxy *proxy, struct mkv_proxy_counters *out);

#endif
