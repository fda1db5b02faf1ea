/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter of spans: producers, each on a thread of its own, hand spans in, and one thread of
 * the exporter sends them to a collector in batches. Or of log records, which are handed in in the
 * same form (span.h): an exporter is of one kind.
 *
 *   producer 0   reserve, fill in, commit -> ring ┐
 *   producer 1   reserve, fill in, commit -> ring ┼-> batch -> message -> collector
 *     …                                           ┘     ^                    |
 *                                                       +-- again, later <---+ 503, UNAVAILABLE,
 *                                                                              nobody there, …
 *
 * A batch that is not taken is tried again with growing pauses, each up to half as long again by
 * chance, until retry_ns have passed since its first try. Meanwhile the rings fill up, and spans
 * that find no room are dropped.
 *
 * Invariants
 *  I1  A producer never waits, allocates or calls the kernel: a span that has no room is counted
 *      as dropped.
 *  I2  Each span that a producer wanted to hand in is in the end either exported or dropped.
 *  I3  stop returns within flush_ns and two seconds, whatever the collector does. What has not been
 *      delivered by then is dropped.
 *
 * Not responsible for: which spans there are, and whether a trace is sampled (trace.h).
 */
#ifndef MKV_ADMIN_OTLP_H
#define MKV_ADMIN_OTLP_H

#include "admin/otlp_encode.h"
#include "admin/otlp_endpoint.h"

#define MKV_OTLP_PRODUCERS_MAX 64u
#define MKV_OTLP_REPORT_BYTES 768u

struct mkv_otlp;

enum mkv_otlp_kind {
    MKV_OTLP_SPANS = 0,
    MKV_OTLP_LOG_RECORDS,
};

struct mkv_otlp_options {
    enum mkv_otlp_kind kind;
    struct mkv_otlp_endpoint endpoint;
    struct mkv_otlp_resource resource; /* its texts outlive the exporter */
    uint32_t producer_count;
    uint32_t ring_spans;     /* a power of two, for each producer */
    uint64_t interval_ns;    /* how long spans are gathered */
    uint64_t timeout_ns;     /* of one try */
    uint64_t pause_ns_first; /* before the second try; doubled before each further one … */
    uint64_t pause_ns_max;   /* … up to this */
    uint64_t retry_ns;
    uint64_t flush_ns;
    /* They begin to be lost on the way, or are delivered again; on the exporter's thread. NULL:
     * nobody wants to know. */
    void (*report)(void *context, bool failing, const char *text);
    void *report_context;
};

/* What a daemon runs with; endpoint, resource and report are the caller's to set. */
#define MKV_OTLP_OPTIONS_DEFAULT                                                                   \
    {                                                                                              \
        .producer_count = 1, .ring_spans = 8192, .interval_ns = 100000000u,                        \
        .timeout_ns = 5000000000u, .pause_ns_first = 250000000u, .pause_ns_max = 2000000000u,      \
        .retry_ns = 8000000000u, .flush_ns = 2000000000u                                           \
    }

struct mkv_otlp_counts {
    uint64_t exported; /* a collector has said that it took them */
    uint64_t dropped;  /* no room, given up, refused, or left over at the end */
    uint64_t waiting;  /* in rings and in the batch */
};

/* Makes the exporter and its thread. NULL when there is no memory or no thread. */
struct mkv_otlp *mkv_otlp_start(const struct mkv_otlp_options *options);
/* Delivers what it can, and ends. No producer may be at work any more. NULL is allowed. */
void mkv_otlp_stop(struct mkv_otlp *otlp, struct mkv_otlp_counts *counts);

/* Room for a span, zeroed but for `copied`; NULL when there is none, which is counted. It is sent
 * when it is committed; one that is not is given again. On the producer's thread. */
struct mkv_span *mkv_otlp_reserve(struct mkv_otlp *otlp, uint32_t producer);
void mkv_otlp_commit(struct mkv_otlp *otlp, uint32_t producer);

/* From any thread. */
void mkv_otlp_counts(struct mkv_otlp *otlp, struct mkv_otlp_counts *counts);

#endif
