/* SPDX-License-Identifier: Apache-2.0 */
/* Families of the node, of what it tells, and of its process; see registry.h. */
#include "admin/registry_collect.h"

#include <string.h>

#include "admin/health.h"

/* ---- labels ---------------------------------------------------------------------------------- */

/* Who asks for credentials. */
static const char *const auth_listeners[] = {"native", "resp", "admin", NULL};

static const struct mkv_metric_label by_path[] = {LABEL_CLOSED("path", mkv_admin_paths),
                                                  LABELS_END};
static const struct mkv_metric_label by_node_state[] = {
    LABEL_CLOSED("state", mkv_admin_node_states), LABELS_END};
static const struct mkv_metric_label by_warning[] = {LABEL_CLOSED("code", mkv_admin_warning_codes),
                                                     LABELS_END};
static const struct mkv_metric_label by_level[] = {LABEL_CLOSED("level", mkv_admin_log_levels),
                                                   LABELS_END};
static const struct mkv_metric_label by_auth_listener[] = {LABEL_CLOSED("listener", auth_listeners),
                                                           LABELS_END};
static const struct mkv_metric_label by_key_id[] = {LABEL_OPEN("key_id", MKV_ADMIN_AUTH_KEYS_MAX),
                                                    LABELS_END};
static const struct mkv_metric_label of_config[] = {LABEL_OPEN("hash", 1), LABELS_END};
static const struct mkv_metric_label of_build[] = {LABEL_OPEN("version", 1),
                                                   LABEL_OPEN("commit", 1), LABELS_END};

#define OF_PROCESS(field) offsetof(struct mkv_admin_process, field)

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(admin_requests) {
    (void)argument;
    for (uint32_t path = 0; path <= MKV_ADMIN_PATH_OTHER; path++) {
        mkv_metric_count1(out, mkv_admin_paths[path], sources->counters->requests_total[path]);
    }
}

static MKV_COLLECTOR(node_state) {
    (void)argument;
    const uint32_t now = (uint32_t)mkv_admin_health_state(sources->snapshot);
    for (uint32_t state = 0; state < MKV_ADMIN_NODE_STATE_COUNT; state++) {
        mkv_metric_count1(out, mkv_admin_node_states[state], state == now ? 1 : 0);
    }
}

static MKV_COLLECTOR(warning) {
    (void)argument;
    bool active[MKV_ADMIN_WARNING_CODE_COUNT] = {false};
    MKV_ASSERT(sources->snapshot->warning_count <= MKV_ADMIN_WARNINGS_MAX);
    for (uint32_t index = 0; index < sources->snapshot->warning_count; index++) {
        const uint32_t code = (uint32_t)sources->snapshot->warnings[index].code;
        MKV_ASSERT(code < MKV_ADMIN_WARNING_CODE_COUNT);
        active[code] = true;
    }
    for (uint32_t code = 0; code < MKV_ADMIN_WARNING_CODE_COUNT; code++) {
        mkv_metric_count1(out, mkv_admin_warning_codes[code], active[code] ? 1 : 0);
    }
}

static MKV_COLLECTOR(log_messages) {
    (void)argument;
    for (uint32_t level = 0; level < MKV_ADMIN_LOG_LEVEL_COUNT; level++) {
        mkv_metric_count1(out, mkv_admin_log_levels[level],
                          sources->snapshot->log_messages_total[level]);
    }
}

static MKV_COLLECTOR(scrape_duration) {
    (void)argument;
    mkv_exposition_real(out, NULL, (double)sources->counters->scrape_ns / MKV_METRIC_NS_PER_S);
}

static MKV_COLLECTOR(build_info) {
    (void)argument;
    const struct mkv_admin_snapshot *snapshot = sources->snapshot;
    mkv_exposition_count(out, (const char *const[]){snapshot->version, snapshot->commit}, 1);
}

static MKV_COLLECTOR(process_s) {
    double seconds;
    memcpy(&seconds, (const char *)sources->process + argument, sizeof seconds);
    mkv_exposition_real(out, NULL, seconds);
}

static MKV_COLLECTOR(process) {
    mkv_metric_count0(out, mkv_metric_u64_at(sources->process, argument));
}

static MKV_COLLECTOR(auth_failures) {
    (void)argument;
    for (uint32_t i = 0; i < MKV_ADMIN_AUTH_LISTENER_COUNT; i++) {
        mkv_metric_count1(out, auth_listeners[i], sources->snapshot->auth_failures_total[i]);
    }
    mkv_metric_count1(out, "admin", sources->counters->auth_failures_total);
}

static MKV_COLLECTOR(auth_sessions) {
    (void)argument;
    MKV_ASSERT(sources->snapshot->auth_key_count <= MKV_ADMIN_AUTH_KEYS_MAX);
    for (uint32_t i = 0; i < sources->snapshot->auth_key_count; i++) {
        const struct mkv_admin_auth_key *key = &sources->snapshot->auth_keys[i];
        mkv_metric_count1(out, key->key_id, key->sessions);
    }
}

static MKV_COLLECTOR(config_reloaded) {
    (void)argument;
    mkv_metric_count0(out, sources->snapshot->config_reload_failed ? 0 : 1);
}

static MKV_COLLECTOR(config_time) {
    (void)argument;
    mkv_exposition_real(out, NULL, (double)sources->snapshot->config_read_ms / 1e3);
}

static MKV_COLLECTOR(config_info) {
    (void)argument;
    mkv_metric_count1(out, sources->snapshot->config_hash, 1);
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family node_families[] = {
    COUNTER("memkv_admin_requests_total", "requests", by_path, "admin", admin_requests, 0,
            "Requests to the admin listener, by path; paths that there are not count as other",
            "Who watches, and how often", "Many of other: a probe asks for a wrong path"),
    COUNTER("memkv_auth_failures_total", "events", by_auth_listener, "admin", auth_failures, 0,
            "Clients and requests whose credentials were refused, by listener",
            "A wrong key or token, or somebody who tries",
            "The audit log names the address; renew what leaked"),
    GAUGE("memkv_auth_sessions", "sessions", by_key_id, "fabric", auth_sessions, 0,
          "Connections by the key that they used; those that brought none count for none",
          "Whether an old key is out of use", "0 for an old key: take it out of auth.keys"),
    GAUGE("memkv_config_last_reload_successful", "bool", mkv_no_labels, "node", config_reloaded, 0,
          "1 where the configuration in force is the last that was asked for, by a start or SIGHUP",
          "A change that did not take", "0: the log says what is wrong with the file"),
    GAUGE("memkv_config_last_reload_success_timestamp_seconds", "seconds", mkv_no_labels, "node",
          config_time, 0, "When the configuration in force was read, in Unix time",
          "Which nodes run with an old configuration",
          "Older than the last change of the file: restart the node"),
    GAUGE("memkv_config_info", "info", of_config, "node", config_info, 0,
          "Always 1; the hash is that of the configuration in force",
          "Nodes that should be alike and are not", "Several hashes: compare the files"),
    GAUGE("memkv_node_state", "bool", by_node_state, "node", node_state, 0,
          "1 for the state the node is in", "What health and ready answer from",
          "degraded, unhealthy: see memkv admin status for the drives and warnings"),
    GAUGE("memkv_warning", "bool", by_warning, "node", warning, 0,
          "1 for each warning that is active", "What the node itself finds worth a look",
          "memkv admin status shows the message and what to do"),
    COUNTER("memkv_telemetry_events_total", "events", mkv_no_labels, "telemetry", node,
            OF_NODE(telemetry_events_total), "Telemetry events queued", "Whether telemetry is on",
            "None needed by itself"),
    COUNTER("memkv_telemetry_dropped_total", "events", mkv_no_labels, "telemetry", node,
            OF_NODE(telemetry_dropped_total),
            "Telemetry events dropped because their queue was full", "Gaps in the events",
            "Growing: raise the size of the queue, or look at a processor that is slow"),
    COUNTER("memkv_log_messages_total", "messages", by_level, "log", log_messages, 0,
            "Log messages, by level", "Errors without reading logs", "error growing: read the log"),
    COUNTER("memkv_trace_spans_exported_total", "spans", mkv_no_labels, "traces", node,
            OF_NODE(trace_spans_exported_total), "Spans that the collector has taken",
            "Whether traces arrive", "None while tracing is on: look at the collector"),
    COUNTER("memkv_trace_spans_dropped_total", "spans", mkv_no_labels, "traces", node,
            OF_NODE(trace_spans_dropped_total),
            "Spans that were dropped: their queue was full, or the collector did not take them",
            "Gaps in traces", "Growing: sample less, or look at the collector"),
    GAUGE("memkv_scrape_duration_seconds", "seconds", mkv_no_labels, "admin", scrape_duration, 0,
          "Time the last scrape took to render", "What watching costs",
          "Above 5 ms: scrape less often"),
    GAUGE("memkv_build_info", "info", of_build, "node", build_info, 0, "Always 1",
          "Which version runs where", "None needed"),
    COUNTER("process_cpu_seconds_total", "seconds", mkv_no_labels, "process", process_s,
            OF_PROCESS(cpu_s), "User and system CPU time of the process", "CPU that the node takes",
            "None needed by itself"),
    GAUGE("process_resident_memory_bytes", "bytes", mkv_no_labels, "process", process,
          OF_PROCESS(resident_bytes), "Resident memory of the process, without huge pages",
          "Memory that the node takes",
          "Growing without end: report it; memory is bounded by the configuration"),
    GAUGE("process_virtual_memory_bytes", "bytes", mkv_no_labels, "process", process,
          OF_PROCESS(virtual_bytes), "Virtual memory of the process", "Address space of the node",
          "None needed by itself"),
    GAUGE("process_open_fds", "descriptors", mkv_no_labels, "process", process,
          OF_PROCESS(open_fds), "File descriptors that are open",
          "Connections and drives in the kernel's eyes", "Near process_max_fds: raise LimitNOFILE"),
    GAUGE("process_max_fds", "descriptors", mkv_no_labels, "process", process, OF_PROCESS(max_fds),
          "Most file descriptors that may be open", "Limit of process_open_fds",
          "Raise LimitNOFILE for more"),
    GAUGE("process_start_time_seconds", "seconds", mkv_no_labels, "process", process_s,
          OF_PROCESS(start_time_s), "When the process started, in Unix time",
          "Restarts show as a step", "None needed"),
};
MKV_METRIC_GROUP(node, "Node, logs and process", node_families);
