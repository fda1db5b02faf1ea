/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message to a collector, and what it said: OTLP over HTTP/1.1, and over gRPC, which is HTTP/2
 * with five bytes before each message and the outcome in the trailers.
 *
 *   OTLP/HTTP   POST BASE/v1/traces         body: message
 *               <- 200, body: answer        400 …
 *   OTLP/gRPC   POST /…TraceService/Export  body: 0 u8, bytes u32 big-endian, message
 *               <- 200, body: the same of the answer, trailers: grpc-status, grpc-message
 *
 * Whether what failed is worth another try is as the specification of OTLP has it:
 * https://opentelemetry.io/docs/specs/otlp/
 *
 * Invariants
 *  I1  A send ends within the timeout, or a second after `give_up_ns` has passed.
 *  I2  At most one send at a time, on one thread. Over HTTP/1.1 its connection is kept for the
 *      next one; over gRPC each message has a connection of its own.
 *
 * Not responsible for: trying again (otlp.h), what a message says (otlp_encode.h).
 */
#ifndef MKV_ADMIN_OTLP_TRANSPORT_H
#define MKV_ADMIN_OTLP_TRANSPORT_H

#include <stdatomic.h>

#include "admin/otlp_endpoint.h"

/* Room that a message leaves before it for what gRPC puts there. */
#define MKV_OTLP_PREFIX_BYTES 5u
/* Of an answer: more is no answer of a collector. */
#define MKV_OTLP_ANSWER_BYTES_MAX (64u * 1024u)
#define MKV_OTLP_PROBLEM_BYTES 256u

/* Where a kind of message goes, on both protocols. */
struct mkv_otlp_service {
    const char *http_path; /* "/v1/traces" */
    const char *grpc_path; /* "/opentelemetry.proto.collector.trace.v1.TraceService/Export" */
};
extern const struct mkv_otlp_service mkv_otlp_traces;
extern const struct mkv_otlp_service mkv_otlp_logs;

enum mkv_otlp_outcome {
    MKV_OTLP_DELIVERED = 0,
    MKV_OTLP_RETRY,   /* later it may be taken */
    MKV_OTLP_REFUSED, /* it never will */
};

struct mkv_otlp_answer {
    enum mkv_otlp_outcome outcome;
    uint64_t retry_after_ns;              /* what the collector asked for; 0: nothing */
    char problem[MKV_OTLP_PROBLEM_BYTES]; /* unless it was delivered: why, for people */
    /* DELIVERED: the message that came back; the transport's, until the next send. */
    const uint8_t *message;
    size_t message_bytes;
};

struct mkv_otlp_transport;

/* `give_up_ns`, on CLOCK_MONOTONIC, may be brought forward by any thread while a send is under way.
 * NULL when there is no memory. */
struct mkv_otlp_transport *mkv_otlp_transport_create(const struct mkv_otlp_endpoint *endpoint,
                                                     const char *user_agent,
                                                     const atomic_uint_fast64_t *give_up_ns);
/* NULL is allowed. */
void mkv_otlp_transport_destroy(struct mkv_otlp_transport *transport);

/* Sends the message that begins MKV_OTLP_PREFIX_BYTES behind `buffer`, whose first bytes this
 * changes. */
void mkv_otlp_transport_send(struct mkv_otlp_transport *transport,
                             const struct mkv_otlp_service *service, uint8_t *buffer,
                             size_t message_bytes, uint64_t timeout_ns,
                             struct mkv_otlp_answer *answer);

#endif
