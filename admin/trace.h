/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracer of a shard: it makes spans of what the shard's observer tells it, for those requests
 * whose trace is sampled.
 *
 *   a client's span (W3C trace context)
 *     └─ memkv.write | memkv.read | memkv.<op>   a request, from its first byte to its last
 *          ├─ events     its phases: parse, route, alloc, pull, persist, commit, read, push, reply
 *          ├─ memkv.drive.write | .read          its slowest operation of a drive
 *          └─ memkv.journal.commit               from data on the drive to a durable record
 *
 *   memkv.dispatch     a batch of requests in the machines of the core
 *   memkv.checkpoint, memkv.repair, memkv.transition     what volumes report; always
 *
 * A request's summary says how long it spent in each phase, not when: phases are put one after
 * another, in the order in which a request of one item goes through them. docs/traces.md tells.
 *
 * Invariants
 *  I1  Whether a request is sampled: with a trace context its sampled flag says so; without one it
 *      begins a trace, and that is sampled when its id, evenly distributed, lies in the ratio.
 *  I2  A span lies within its parent, and the phases of a request end in order and within it.
 *  I3  All calls come from one thread, and none waits; of a shared one they come from several
 *      shards' threads, which wait for each other's.
 *
 * Not responsible for: sending spans (otlp.h), reading contexts off the wire.
 */
#ifndef MKV_ADMIN_TRACE_H
#define MKV_ADMIN_TRACE_H

#include "admin/span.h"
#include "core/io.h"

/* A sampling ratio of everything. */
#define MKV_TRACE_RATIO_ONE 1000000000u

struct mkv_tracer;

/* Where spans go: a span is reserved, filled in, and committed before the next is reserved. */
struct mkv_trace_sink {
    void *context;
    struct mkv_span *(*reserve)(void *context); /* zeroed; NULL: there is no room, it is lost */
    void (*commit)(void *context);
};

struct mkv_trace_options {
    struct mkv_trace_sink sink;
    bool shared;             /* by several threads */
    uint64_t sampling_ratio; /* of MKV_TRACE_RATIO_ONE */
    uint64_t seed;           /* of the ids; different in each process */
    uint32_t drive_count;
    const char *drive_names[MKV_VOLUMES_MAX]; /* they outlive the tracer and its spans */
    uint64_t now_ns; /* the drives begin to be opened; on CLOCK_MONOTONIC, as all times below */
};

/* NULL when there is no memory. */
struct mkv_tracer *mkv_tracer_create(const struct mkv_trace_options *options);
/* NULL is allowed. */
void mkv_tracer_destroy(struct mkv_tracer *tracer);

/* Decides on a request that brought this context, or none: whether it is sampled. One that brought
 * none then begins a trace, whose context this becomes, without a parent. */
bool mkv_trace_sample(struct mkv_tracer *tracer, struct mkv_trace_context *context);

/* A request that is sampled has ended; `context` is as mkv_trace_sample left it. `tenant` is its
 * name, "" where that is not known. */
void mkv_trace_request(struct mkv_tracer *tracer, const struct mkv_request_summary *summary,
                       const struct mkv_trace_context *context, const char *tenant);

/* The machines have taken so many requests, one after another, and all that came of them. */
void mkv_trace_dispatch(struct mkv_tracer *tracer, uint64_t began_ns, uint64_t ended_ns,
                        uint32_t requests);

/* A volume has reported something. */
void mkv_trace_event(struct mkv_tracer *tracer, uint32_t volume, const struct mkv_event *event,
                     uint64_t now_ns);

#endif
