/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracer of the node's shard and the exporter behind it, as the configuration wants them.
 */
#include "server/node_internal.h"

#include <sys/random.h>
#include <unistd.h>

#include "backends/clock.h"
#include "server/version.h"

_Static_assert(MKV_TRACE_RATIO_ONE == MKV_CONFIG_RATIO_ONE, "a ratio is the same in both");

/* On the exporter's thread. */
static void on_report(void *context, bool failing, const char *text) {
    struct mkv_node *node = context;
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, failing ? MKV_CONFIG_LOG_WARN : MKV_CONFIG_LOG_INFO,
                  "admin.otlp", NULL, 0, "%s", text);
}

/* The shard is the only producer. */
static struct mkv_span *reserve(void *context) {
    return mkv_otlp_reserve(context, 0);
}

static void commit(void *context) {
    mkv_otlp_commit(context, 0);
}

bool mkv_node_traces_start(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_config *config = &node->config;
    if (config->telemetry.tracing == MKV_CONFIG_TRACING_OFF) {
        return true;
    }
    struct mkv_otlp_options options = MKV_OTLP_OPTIONS_DEFAULT;
    const char *problem =
        mkv_otlp_endpoint_parse(config->telemetry.otlp_endpoint, &options.endpoint);
    MKV_ASSERT(problem == NULL); /* the configuration was checked when it was read */
    options.resource = (struct mkv_otlp_resource){
        .service_name = config->telemetry.service_name,
        .service_version = mkv_version(),
        .instance_id = config->node.id,
    };
    options.report = on_report;
    options.report_context = node;
    node->otlp = mkv_otlp_start(&options);
    struct mkv_trace_options trace = {
        .sink = {.context = node->otlp, .reserve = reserve, .commit = commit},
        .shared = config->node.shards > 1,
        .sampling_ratio = config->telemetry.sampling_ratio,
        .drive_count = node->drive_count,
        .now_ns = mkv_clock_monotonic_ns(),
    };
    for (uint32_t i = 0; i < node->drive_count; i++) {
        trace.drive_names[i] = config->storage.drives[i].name;
    }
    if (getrandom(&trace.seed, sizeof trace.seed, 0) != (ssize_t)sizeof trace.seed) {
        trace.seed = mkv_clock_monotonic_ns() ^ (uint64_t)getpid() << 32;
    }
    node->tracer = node->otlp == NULL ? NULL : mkv_tracer_create(&trace);
    if (node->tracer == NULL) {
        mkv_node_traces_end(node);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory or thread for traces. Free memory on this machine, or "
                                  "set telemetry.tracing_enabled: false");
    }
    const struct mkv_log_field field = {.name = "endpoint",
                                        .text = config->telemetry.otlp_endpoint};
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "admin.otlp", &field, 1,
                  "traces go to a collector");
    return true;
}

void mkv_node_traces_end(struct mkv_node *node) {
    if (node->otlp == NULL) {
        return;
    }
    mkv_tracer_destroy(node->tracer);
    node->tracer = NULL;
    struct mkv_otlp_counts counts;
    mkv_otlp_stop(node->otlp, &counts);
    node->otlp = NULL;
    const struct mkv_log_field fields[] = {
        {.name = "exported", .number = counts.exported},
        {.name = "dropped", .number = counts.dropped},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "admin.otlp", fields, 2,
                  "spans have been sent for the last time");
}
