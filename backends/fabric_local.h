/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process fabric, for benchmarks, tests and embedding: a caller on the shard's own thread
 * hands in requests and is called back with their results. No socket, no frame, no copy unless
 * one is asked for.
 *
 *   caller --mkv_fabric_local_start--> pump ... PULL, PUSH, ANSWER ... --> done(request)
 *
 * Invariants
 *  I1  A request, its items, keys and payloads belong to the fabric from start to done.
 *  I2  done is called from poll, never from within start; it may start further requests.
 *  I3  Transfers complete in the poll that follows their effect.
 *
 * Not responsible for: threads. All calls are made on the shard's thread.
 */
#ifndef MKV_BACKENDS_FABRIC_LOCAL_H
#define MKV_BACKENDS_FABRIC_LOCAL_H

#include "backends/arena.h"
#include "backends/fabric.h"

struct mkv_fabric_local;

struct mkv_fabric_local_options {
    const struct mkv_arena *arena;
    uint32_t
        connections_max; /* connections are numbered 0 … connections_max - 1, and always there */
    uint32_t requests_max;  /* in flight, all connections together */
    uint32_t transfers_max; /* PULL and PUSH that the front can have posted at once */
    /* Called in each poll before anything else: where a benchmark starts its requests. May be
     * NULL. */
    void (*turn)(void *context);
    void *turn_context;
};

/* The payload of one item. */
struct mkv_fabric_local_payload {
    /* PUT: where it is; NULL: whatever the slab holds is put, only `sums` say what it should be.
     * GET: where it goes; NULL: nowhere. */
    uint8_t *bytes;
    /* PUT of a value up to one block: its chunk sums, if they are known; else NULL, and PULL
     * computes them. */
    const uint64_t *sums;
};

struct mkv_fabric_local_request {
    /* Set by the caller. */
    uint32_t connection;
    enum mkv_op op;
    uint32_t tenant;
    uint64_t deadline_ns; /* on the clock of mkv_clock_monotonic_ns */
    uint32_t item_count;
    const struct mkv_request_item *items;
    const uint8_t *keys;
    uint32_t keys_bytes;
    const struct mkv_fabric_local_payload *payloads; /* PUT, GET: one for each item */
    struct mkv_item_result *results;                 /* room for one for each item */
    void (*done)(void *context, struct mkv_fabric_local_request *request);
    void *context;
    /* Set by the fabric. UNAVAILABLE when the connection broke: then there are no results. */
    enum mkv_status status;
    uint32_t result_count;
    uint32_t place;
};

/* NULL when there is no memory. */
struct mkv_fabric_local *mkv_fabric_local_create(const struct mkv_fabric_local_options *options);
/* As what the pump drives (fabric.h). */
struct mkv_fabric *mkv_fabric_local_base(struct mkv_fabric_local *fabric);

/* False when requests_max are in flight or the fabric is draining; the request is then untouched.
 */
bool mkv_fabric_local_start(struct mkv_fabric_local *fabric,
                            struct mkv_fabric_local_request *request);
uint32_t mkv_fabric_local_in_flight(const struct mkv_fabric_local *fabric);

#endif
