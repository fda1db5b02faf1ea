/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv_otel.so: the exporter of the daemon (admin/otlp.h), for clients.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/otlp.h"
#include "client/otel.h"

/* A call is one span: so many wait for the exporter's thread. */
#define RING_SPANS 1024u

struct mkv_otel_exporter {
    struct mkv_otlp *otlp;
    char client_name[64];
    char instance[96]; /* HOST:PID */
};

static void on_report(void *context, bool failing, const char *text) {
    (void)context;
    (void)failing;
    fprintf(stderr, "memkv: %s\n", text);
}

static struct mkv_otel_exporter *start(const char *endpoint, const char *client_name,
                                       char problem[MKV_OTEL_PROBLEM_BYTES]) {
    struct mkv_otlp_options options = MKV_OTLP_OPTIONS_DEFAULT;
    const char *wrong = mkv_otlp_endpoint_parse(endpoint, &options.endpoint);
    if (wrong != NULL) {
        snprintf(problem, MKV_OTEL_PROBLEM_BYTES, "%s", wrong);
        return NULL;
    }
    struct mkv_otel_exporter *exporter = calloc(1, sizeof *exporter);
    if (exporter != NULL) {
        char host[64] = "";
        (void)gethostname(host, sizeof host - 1);
        snprintf(exporter->client_name, sizeof exporter->client_name, "%s", client_name);
        snprintf(exporter->instance, sizeof exporter->instance, "%s:%ld", host, (long)getpid());
        options.resource = (struct mkv_otlp_resource){.service_name = exporter->client_name,
                                                      .service_version = MKV_VERSION,
                                                      .instance_id = exporter->instance};
        options.ring_spans = RING_SPANS;
        options.report = on_report;
        exporter->otlp = mkv_otlp_start(&options);
    }
    if (exporter == NULL || exporter->otlp == NULL) {
        free(exporter);
        snprintf(problem, MKV_OTEL_PROBLEM_BYTES, "no memory or no thread to send spans");
        return NULL;
    }
    return exporter;
}

static void span(struct mkv_otel_exporter *exporter, const struct mkv_otel_span *source) {
    struct mkv_span *target = mkv_otlp_reserve(exporter->otlp, 0);
    if (target == NULL) {
        return;
    }
    memcpy(target->trace_id, source->trace_id, sizeof target->trace_id);
    memcpy(target->span_id, source->span_id, sizeof target->span_id);
    memcpy(target->parent_id, source->parent_id, sizeof target->parent_id);
    target->name = source->name;
    target->kind = MKV_SPAN_CLIENT;
    target->start_ns = source->start_ns;
    target->end_ns = source->end_ns;
    target->error = source->error;
    mkv_span_text(target, "memkv.status", source->status);
    mkv_span_number(target, "memkv.items", source->item_count);
    mkv_span_number(target, "memkv.found", source->found_count);
    mkv_span_number(target, "memkv.value_bytes", source->value_bytes);
    mkv_span_number(target, "memkv.servers", source->server_count);
    mkv_span_copy(target, "memkv.tenant", source->tenant, strlen(source->tenant));
    if (source->server != NULL) {
        mkv_span_copy(target, "server.address", source->server, strlen(source->server));
    }
    mkv_otlp_commit(exporter->otlp, 0);
}

static void stop(struct mkv_otel_exporter *exporter) {
    struct mkv_otlp_counts counts;
    mkv_otlp_stop(exporter->otlp, &counts);
    free(exporter);
}

extern const struct mkv_otel_ops mkv_otel_module;
const struct mkv_otel_ops mkv_otel_module = {
    .version = MKV_VERSION,
    .start = start,
    .span = span,
    .stop = stop,
};
