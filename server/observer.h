/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The observer of a shard: it hears of each request twice, from the pump, and keeps what the
 * machines do not count themselves: latencies in detail, hot keys, slow requests, who the clients
 * are, examples of latencies with their traces.
 *
 *   REQUEST ---------> request_began --> hot keys, client, log, event
 *   REQUEST_ENDED ---> request_ended --> spans, latency, example, slow request, client, deleted
 *                                        keys, log, event
 *
 * Invariants
 *  I1  The shard's thread alone writes, and never waits. Other threads copy, without its help.
 *  I2  Each request that begins ends once; what began is counted as an access of its keys even if
 *      it is refused or dropped. Latencies are those of memkv_command_duration_seconds: of requests
 *      that were not refused as a whole, from when the front had them to their end.
 *  I3  Keys of GET, PUT and ALLOCATE are accesses. EXISTS and LOOKUP are not: they come before a
 *      GET of the same keys, which would count twice.
 *  I4  With MKV_OBSERVE=0 (core/histogram.h) nothing is recorded, and what is asked for is empty.
 *
 * Not responsible for: counters and scraped histograms of requests (core/front.h), and of drives
 * (backends/drive.h).
 */
#ifndef MKV_SERVER_OBSERVER_H
#define MKV_SERVER_OBSERVER_H

#include "admin/observed.h"
#include "admin/trace.h"
#include "backends/fabric.h"
#include "server/request_events.h"
#include "server/request_log.h"

#define MKV_OBSERVER_DECAY_NS (60ull * 1000000000u)
#define MKV_OBSERVER_SLOW_NS (100ull * 1000000u)

struct mkv_observer_options {
    uint32_t connections_max;  /* of the front */
    uint32_t hotkeys_columns;  /* of the sketch; 0: MKV_SKETCH_COLUMNS_DEFAULT */
    uint64_t hotkeys_decay_ns; /* accesses count half after so long; 0: MKV_OBSERVER_DECAY_NS */
    uint64_t slow_ns;          /* a request that took longer is slow */
    const struct mkv_fabric *fabric; /* asked who a client is; must outlive the last request */
    /* NULL: none. They outlive the observer. */
    struct mkv_request_log *requests;
    const struct mkv_request_events *events;
    /* The name of a tenant's number, "" where it has none. On the shard's thread. */
    void (*tenant_name)(void *context, uint32_t id, char name[MKV_ADMIN_TENANT_BYTES]);
    void *tenant_context;
    struct mkv_tracer *tracer; /* NULL: there are no traces */
    struct mkv_audit *audit;   /* where deleted keys are recorded, in sums; NULL: nowhere */
};

struct mkv_observer;

/* NULL when there is no memory. */
struct mkv_observer *mkv_observer_create(const struct mkv_observer_options *options);
void mkv_observer_destroy(struct mkv_observer *observer);

/* ---- the shard's thread: callbacks of the pump, whose context is the observer ---------------- */

void mkv_observer_request_began(void *context, const struct mkv_input *input);
void mkv_observer_request_ended(void *context, const struct mkv_request_summary *summary,
                                const uint8_t *key);
void mkv_observer_connection_closed(void *context, struct mkv_connection_id id);
/* Once in each round: halves what has been hot when the time has come, and hands sums of deleted
 * keys to the audit. */
void mkv_observer_tick(struct mkv_observer *observer, uint64_t now_ns);

/* ---- any thread ------------------------------------------------------------------------------ */

/* Adds the latencies of an operation to `target`. */
void mkv_observer_latency(const struct mkv_observer *observer, enum mkv_admin_latency_op op,
                          struct mkv_hdr *target);
/* Takes each example of a command (MKV_ADMIN_COMMAND_COUNT) over that is not older than what `out`
 * has. */
void mkv_observer_exemplars(const struct mkv_observer *observer, uint32_t command,
                            struct mkv_admin_exemplars *out);
/* The same for whole requests of all commands. */
void mkv_observer_request_exemplars(const struct mkv_observer *observer,
                                    struct mkv_admin_exemplars *out);
const struct mkv_hotkeys *mkv_observer_hotkeys(const struct mkv_observer *observer);
/* Newest first. */
uint32_t mkv_observer_slow(const struct mkv_observer *observer, struct mkv_admin_slow *out,
                           uint32_t max);
uint64_t mkv_observer_slow_ns(const struct mkv_observer *observer);
/* Their connected_ns is the moment, on the monotonic clock. */
uint32_t mkv_observer_clients(const struct mkv_observer *observer, struct mkv_admin_client *out,
                              uint32_t max);

#endif
