/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry events of the node's requests, as the configuration wants them.
 */
#include "server/node_internal.h"

#include "server/version.h"

#define TARGET "telemetry"

static enum mkv_config_log_level level_of(enum mkv_telemetry_log_level level) {
    switch (level) {
    case MKV_TELEMETRY_LOG_DEBUG:
        return MKV_CONFIG_LOG_DEBUG;
    case MKV_TELEMETRY_LOG_INFO:
        return MKV_CONFIG_LOG_INFO;
    case MKV_TELEMETRY_LOG_WARNING:
        return MKV_CONFIG_LOG_WARN;
    case MKV_TELEMETRY_LOG_ERROR:
    case MKV_TELEMETRY_LOG_CRITICAL:
        return MKV_CONFIG_LOG_ERROR;
    }
    MKV_ASSERT(false);
    return MKV_CONFIG_LOG_ERROR;
}

/* These are called on the thread of telemetry. */
static bool wants(void *context, enum mkv_telemetry_log_level level) {
    const struct mkv_node *node = context;
    return mkv_log_wants(node->log, MKV_LOG_TELEMETRY, level_of(level));
}

static void write_line(void *context, enum mkv_telemetry_log_level level, const char *line) {
    const struct mkv_node *node = context;
    mkv_log_write(node->log, MKV_LOG_SITE_TELEMETRY, level_of(level), TARGET, NULL, 0, "%s", line);
}

static void warn(void *context, const char *text) {
    const struct mkv_node *node = context;
    mkv_log_write(node->log, MKV_LOG_SITE_DROPS, MKV_CONFIG_LOG_WARN, TARGET, NULL, 0, "%s", text);
}

/* On the thread of an exporter. */
static void report(void *context, bool failing, const char *text) {
    const struct mkv_node *node = context;
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, failing ? MKV_CONFIG_LOG_WARN : MKV_CONFIG_LOG_INFO,
                  TARGET, NULL, 0, "%s", text);
}

bool mkv_node_telemetry_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_config *config = &node->config;
    if (config->telemetry.enabled == 0) {
        return true;
    }
    struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX];
    uint32_t count;
    char problem[MKV_TELEMETRY_PROBLEM_BYTES];
    const bool parsed =
        mkv_telemetry_processors_parse(config->telemetry.processors, specs, &count, problem);
    MKV_ASSERT(parsed); /* the configuration was checked when it was read */
    const struct mkv_telemetry_options options = {
        .queue_max = (uint32_t)config->telemetry.max_queue_size,
        .processor_count = count,
        .processors = specs,
        .log = {.context = node,
                .resource = {.service_name = config->telemetry.service_name,
                             .service_version = mkv_version(),
                             .instance_id = config->node.id},
                .report = report,
                .wants = wants,
                .write = write_line},
        .warn = warn,
        .context = node,
    };
    struct mkv_telemetry *telemetry = mkv_telemetry_create(&options);
    if (telemetry == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory or thread for telemetry. Free memory on this machine, "
                                  "or lower telemetry.max_queue_size");
    }
    node->events.volume_count = node->drive_count;
    for (uint32_t i = 0; i < node->drive_count; i++) {
        node->events.devices[i] = config->storage.drives[i].name;
    }
    /* SIGHUP has its files opened again, from another thread. */
    pthread_mutex_lock(&node->mutex);
    node->events.telemetry = telemetry;
    pthread_mutex_unlock(&node->mutex);
    return true;
}

void mkv_node_telemetry_end(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    struct mkv_telemetry *telemetry = node->events.telemetry;
    node->events.telemetry = NULL;
    pthread_mutex_unlock(&node->mutex);
    mkv_telemetry_destroy(telemetry);
}

bool mkv_node_telemetry_reopen(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    const bool is_on = node->events.telemetry != NULL;
    if (is_on) {
        mkv_telemetry_reopen(node->events.telemetry);
    }
    pthread_mutex_unlock(&node->mutex);
    return is_on;
}

void mkv_node_telemetry_fill(struct mkv_node *node, struct mkv_admin_snapshot *out) {
    pthread_mutex_lock(&node->mutex);
    if (node->events.telemetry != NULL) {
        mkv_telemetry_counts(node->events.telemetry, &out->telemetry_events_total,
                             &out->telemetry_dropped_total);
    }
    pthread_mutex_unlock(&node->mutex);
}
