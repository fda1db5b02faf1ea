/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span for each call of a client, sent to a collector of OpenTelemetry: with the option
 * otel_endpoint, MEMKV_OTEL_ENDPOINT, or else OTEL_EXPORTER_OTLP_ENDPOINT, which is for all that a
 * process has of that kind. Without them a client has no exporter, and a call costs two
 * comparisons with NULL.
 *
 *   call begins ─ its span's id goes to the servers ─ servers' spans are its children ─ call ends
 *
 * A call that belongs to a trace (memkv_trace_context) is a span of that where its flag says that
 * it is sampled, and none where it does not. One that belongs to none begins a trace, in
 * otel_sampling_ratio of all cases; in the others nothing is sent to servers either.
 *
 * Invariants
 *  I1  An exporter is of one client, and is used by the thread that has the client.
 *  I2  A call has one span at most, which is handed over when the call ends.
 *
 * Not responsible for: sending (otel.h).
 */
#ifndef MKV_CLIENT_EXPORTER_H
#define MKV_CLIENT_EXPORTER_H

#include "client/memkv.h"
#include "client/settings.h"

/* 0: a build without exporters, against which bench/client compares. */
#ifndef MKV_CLIENT_EXPORTERS
#define MKV_CLIENT_EXPORTERS 1
#endif

struct mkv_call;
struct mkv_exporter;

/* *exporter is NULL where nobody asked for one, or only the variable of all did and it cannot be
 * had, which is said on standard error. MEMKV_INVALID, MEMKV_NO_MEMORY, with *error. */
enum memkv_status mkv_exporter_open(const struct mkv_settings *settings,
                                    struct mkv_exporter **exporter, struct memkv_error *error);
/* Sends what is left, for four seconds at most. NULL is allowed. */
void mkv_exporter_close(struct mkv_exporter *exporter);

/* Before a call's first request is made. */
void mkv_exporter_begin(struct mkv_exporter *exporter, struct mkv_call *call);
/* When it has come to its end. */
void mkv_exporter_end(struct mkv_exporter *exporter, const struct mkv_call *call);

#endif
