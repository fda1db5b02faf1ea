/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans, or log records, as the message that a collector of OTLP takes: ExportTraceServiceRequest,
 * ExportLogsServiceRequest of third_party/opentelemetry-proto; and what it answers.
 *
 *   ExportTraceServiceRequest
 *     ResourceSpans      resource: service.name, service.instance.id, service.version
 *       ScopeSpans       scope: memkv
 *         Span …         attributes, events, each with its duration_ns; status ERROR where one is
 *
 *   ExportLogsServiceRequest the same, with LogRecord …: time, severity INFO, body the name,
 *                            attributes
 *
 * Invariants
 *  I1  Nothing is allocated after create.
 *  I2  The message of MKV_OTLP_BATCH_SPANS_MAX spans, whatever they hold, has room in
 *      MKV_OTLP_MESSAGE_BYTES_MAX.
 *
 * Not responsible for: sending (otlp_transport.h).
 */
#ifndef MKV_ADMIN_OTLP_ENCODE_H
#define MKV_ADMIN_OTLP_ENCODE_H

#include "admin/span.h"

#define MKV_OTLP_BATCH_SPANS_MAX 256u
#define MKV_OTLP_MESSAGE_BYTES_MAX (MKV_OTLP_BATCH_SPANS_MAX * 4096u)
/* Of the texts that say whose spans these are. */
#define MKV_OTLP_NAME_BYTES_MAX 128u

/* Whose spans these are. The texts outlive the encoder. */
struct mkv_otlp_resource {
    const char *service_name;
    const char *service_version;
    const char *instance_id;
};

struct mkv_otlp_encoder;

/* NULL when there is no memory. */
struct mkv_otlp_encoder *mkv_otlp_encoder_create(const struct mkv_otlp_resource *resource);
/* NULL is allowed. */
void mkv_otlp_encoder_destroy(struct mkv_otlp_encoder *encoder);

/* Write the message of 1 to MKV_OTLP_BATCH_SPANS_MAX spans, or log records; return its bytes. */
size_t mkv_otlp_encode_spans(struct mkv_otlp_encoder *encoder, const struct mkv_span *spans,
                             uint32_t count, uint8_t target[MKV_OTLP_MESSAGE_BYTES_MAX]);
size_t mkv_otlp_encode_logs(struct mkv_otlp_encoder *encoder, const struct mkv_span *records,
                            uint32_t count, uint8_t target[MKV_OTLP_MESSAGE_BYTES_MAX]);

/* How many of the spans or records a collector did not keep, as its answer says; the rest it did. 0
 * also for an answer that cannot be read. */
uint64_t mkv_otlp_rejected(const uint8_t *answer, size_t answer_bytes);

#endif
