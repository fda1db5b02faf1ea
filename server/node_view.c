/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the node: the figures of its shard, and what the node knows besides.
 */
#include "server/node_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/health.h"
#include "admin/status_json.h"
#include "backends/clock.h"
#include "server/version.h"

/* Less than a client of the admin listener waits. */
#define TENANT_DROP_WAIT_NS (4ull * 1000000000u)

/* `serving`: the node takes requests. */
static void fill_state(struct mkv_node *node, uint32_t index, enum mkv_drive_failure failure,
                       const struct mkv_shard_volume_stats *stats, bool serving,
                       struct mkv_admin_drive *out) {
    const struct mkv_drive_situation situation = {
        .taken_off = (atomic_load(&node->taken_off) >> index & 1u) != 0,
        .drains = (atomic_load(&node->draining) >> index & 1u) != 0,
        .node_serves = serving,
        .opened = stats->opened,
        .refused = stats->open_error != MKV_OK,
        .stalled = stats->volume.stalled,
        .volume = stats->volume.state,
        .failure = failure,
    };
    out->state = mkv_drive_state_of(&situation);
    out->failure = situation.stalled && situation.volume == MKV_VOLUME_SERVING
                       ? MKV_DRIVE_FAILURE_TIMEOUT
                       : failure;
}

static void fill_io(const struct mkv_drive_counters *counters, struct mkv_admin_drive *out) {
    static const enum mkv_drive_operation operations[MKV_ADMIN_IO_OP_COUNT] = {
        [MKV_ADMIN_IO_READ] = MKV_DRIVE_OP_READ,
        [MKV_ADMIN_IO_WRITE] = MKV_DRIVE_OP_WRITE,
        [MKV_ADMIN_IO_FLUSH] = MKV_DRIVE_OP_FLUSH,
        [MKV_ADMIN_IO_TRIM] = MKV_DRIVE_OP_TRIM,
    };
    for (uint32_t i = 0; i < MKV_ADMIN_IO_OP_COUNT; i++) {
        const struct mkv_drive_operation_counters *source = &counters->operations[operations[i]];
        out->io[i].operations = source->completed;
        out->io[i].bytes = source->bytes;
        out->io[i].errors = source->completed - source->results[MKV_IO_OK];
        out->io[i].no_room = source->results[MKV_IO_NO_ROOM];
        MKV_ASSERT(source->completed <= source->submitted);
        out->io[i].in_flight = source->submitted - source->completed;
        if (counters->last_error.operation == operations[i]) {
            out->last_error.op = (enum mkv_admin_io_op)i;
        }
    }
    out->last_error.wall_ms = counters->last_error.wall_ms;
    out->last_error.result = counters->last_error.result;
    out->last_error.error_number = counters->last_error.error_number;
}

static void fill_drive(struct mkv_node *node, uint32_t index,
                       const struct mkv_shard_volume_stats *stats, bool serving,
                       struct mkv_admin_drive *out) {
    const struct mkv_config_drive *configured = &node->config.storage.drives[index];
    const struct node_drive *drive = &node->drives[index];
    pthread_mutex_lock(&node->mutex); /* another drive may come in its place */
    snprintf(out->name, sizeof out->name, "%s", configured->name);
    snprintf(out->path, sizeof out->path, "%s", configured->media);
    snprintf(out->model, sizeof out->model, "%s", drive->identity.model);
    snprintf(out->serial, sizeof out->serial, "%s", drive->identity.serial);
    snprintf(out->firmware, sizeof out->firmware, "%s", drive->identity.firmware);
    out->uuid = drive->volume.drive_uuid;
    out->write_cache = drive->flush_needed;
    out->slots_max = (uint64_t)drive->volume.geometry.page_count * MKV_PAGE_SLOTS;
    const enum mkv_drive_failure failure = drive->failure;
    pthread_mutex_unlock(&node->mutex);
    fill_state(node, index, failure, stats, serving, out);
    out->volume = stats->volume;
    fill_io(&stats->drive, out);
}

/* Behind those that are there. */
static void fill_absent(const struct mkv_node *node, struct mkv_admin_snapshot *out) {
    for (uint32_t i = 0; i < node->absent_count && out->drive_count < MKV_VOLUMES_MAX; i++) {
        struct mkv_admin_drive *drive = &out->drives[out->drive_count];
        snprintf(drive->name, sizeof drive->name, "%s", node->absent[i].name);
        snprintf(drive->path, sizeof drive->path, "%s", node->absent[i].media);
        const struct mkv_drive_situation situation = {
            .absent = true, .volume = MKV_VOLUME_CLOSED, .failure = node->absent_failures[i]};
        drive->state = mkv_drive_state_of(&situation);
        drive->failure = situation.failure;
        out->drive_count++;
    }
}

static enum mkv_admin_node_state node_state(const struct mkv_node *node,
                                            const struct mkv_admin_snapshot *snapshot,
                                            bool serving) {
    if (atomic_load(&node->stop_count) > 0) {
        return MKV_ADMIN_NODE_DRAINING;
    }
    uint32_t online = 0;
    bool any_drains = false; /* its blocks are served, and no puts taken */
    for (uint32_t i = 0; i < snapshot->drive_count; i++) {
        const enum mkv_drive_state state = snapshot->drives[i].state;
        any_drains = any_drains || mkv_admin_drive_drains(&snapshot->drives[i]);
        if (!serving && (state == MKV_DRIVE_STATE_NEW || state == MKV_DRIVE_STATE_RECOVERING)) {
            return MKV_ADMIN_NODE_RECOVERING;
        }
        online += mkv_drive_state_serves(state);
    }
    if (online == snapshot->drive_count) {
        return snapshot->rdma.is_lost ? MKV_ADMIN_NODE_DEGRADED : MKV_ADMIN_NODE_SERVING;
    }
    return online > 0 || any_drains ? MKV_ADMIN_NODE_DEGRADED : MKV_ADMIN_NODE_UNHEALTHY;
}

static void fill_fabric(const struct mkv_fabric_counters *counters, struct mkv_admin_fabric *out) {
    out->connections_active = counters->connections_active;
    out->connections_accepted_total = counters->connections_accepted_total;
    out->connections_rejected_total = counters->connections_rejected_total;
    out->bytes_in_total = counters->received_bytes_total;
    out->bytes_out_total = counters->sent_bytes_total;
    out->checksum_failures_total = counters->faults_total[MKV_NATIVE_BAD_CHECKSUM];
    for (uint32_t i = 0; i < MKV_FABRIC_FAULT_COUNT; i++) {
        /* Whoever has no key breaks no rule of the protocol. */
        const bool is_of_keys = mkv_fabric_fault_status(i) == MKV_STATUS_FORBIDDEN;
        out->faults_total += is_of_keys ? 0 : counters->faults_total[i];
    }
}

/* Those of all fabrics become those of all others. */
static void take_away(const struct mkv_admin_fabric *part, struct mkv_admin_fabric *all) {
    all->connections_active -= part->connections_active;
    all->connections_accepted_total -= part->connections_accepted_total;
    all->connections_rejected_total -= part->connections_rejected_total;
    all->bytes_in_total -= part->bytes_in_total;
    all->bytes_out_total -= part->bytes_out_total;
    all->faults_total -= part->faults_total;
    all->checksum_failures_total -= part->checksum_failures_total;
}

static void fill_memory(const struct mkv_node *node, const struct mkv_shard_stats *stats,
                        struct mkv_admin_memory *out) {
    const uint64_t units = mkv_arena_unit_count(node->arena);
    out->bytes_total = units * MKV_SLAB_UNIT_PAYLOAD_BYTES;
    out->block_bytes = node->config.memory.block_size_bytes;
    out->huge_pages = mkv_arena_map(node->arena)->huge;
    /* Before the shard has published its first figures, all is free. */
    const uint64_t free = stats->volume_count == 0 ? units : stats->front.slab_units_free;
    MKV_ASSERT(free <= units);
    out->bytes_used = (units - free) * MKV_SLAB_UNIT_PAYLOAD_BYTES;
}

static void fill_tenants(const struct mkv_shard_stats *stats, uint64_t tenant_rows_max,
                         struct mkv_admin_snapshot *out) {
    out->tenant_count = stats->tenant_count;
    for (uint32_t i = 0; i < stats->tenant_count; i++) {
        const struct mkv_shard_tenant_stats *source = &stats->tenants[i];
        struct mkv_admin_tenant *target = &out->tenants[i];
        _Static_assert(sizeof target->name == sizeof source->name, "names fit");
        memcpy(target->name, source->name, sizeof target->name);
        target->blocks = source->blocks;
        target->bytes = source->bytes;
        target->quota_bytes = source->quota_bytes;
        target->writes_total = source->writes_total;
        target->quota_rejections_total = source->quota_rejections_total;
        target->evicted_total = source->evicted_total;
        target->evictions_caused_total = source->evictions_caused_total;
        target->asked = source->asked;
        target->asked_apart = source->asked_apart;
    }
    out->tenants_other = stats->tenants_other;
    out->tenant_rows_max = (uint32_t)tenant_rows_max;
}

void mkv_node_view_identity(struct mkv_node *node, struct mkv_admin_snapshot *out) {
    snprintf(out->node_id, sizeof out->node_id, "%s", node->config.node.id);
    snprintf(out->version, sizeof out->version, "%s", mkv_version());
    snprintf(out->commit, sizeof out->commit, "%s", mkv_version_commit());
    pthread_mutex_lock(&node->mutex);
    snprintf(out->config_hash, sizeof out->config_hash, "%s", node->config_hash);
    out->config_read_ms = node->config_read_ms;
    out->config_reload_failed = node->config_reload_failed;
    pthread_mutex_unlock(&node->mutex);
    out->taken_ms = mkv_clock_wall_ms();
    out->uptime_ns = mkv_clock_monotonic_ns() - node->started_ns;
    out->watchdog_ns = node->config.node.watchdog_s * 1000000000ull;
    out->storage_block_bytes = node->config.storage.block_size_bytes;
}

static void fill_shards(const struct mkv_node *node, const struct mkv_shards_brief *briefs,
                        struct mkv_admin_snapshot *out) {
    _Static_assert(MKV_ADMIN_SHARDS_MAX == MKV_SHARDS_MAX, "each shard has a place");
    _Static_assert(MKV_CONFIG_SHARDS_MAX == MKV_SHARDS_MAX, "as many as are allowed");
    out->shard_count = mkv_shards_count(node->shards);
    for (uint32_t i = 0; i < out->shard_count; i++) {
        out->shards[i].requests = briefs[i].requests;
        out->shards[i].blocks = briefs[i].blocks;
    }
}

/* `stats` is all zeroes until the shards have published figures: then every drive is recovering. */
static void fill(struct mkv_node *node, const struct mkv_shard_stats *stats,
                 const struct mkv_shards_brief *briefs, struct mkv_admin_snapshot *out) {
    MKV_ASSERT(stats->volume_count == 0 || stats->volume_count == node->drive_count);
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    const uint64_t round_ns = mkv_shards_round_ns(node->shards);
    mkv_node_view_identity(node, out);
    fill_shards(node, briefs, out);
    out->shard_quiet_ns = now_ns > round_ns ? now_ns - round_ns : 0;
    out->drive_count = node->drive_count;
    const bool serving = stats->state != MKV_SHARD_OPENING;
    for (uint32_t i = 0; i < node->drive_count; i++) {
        fill_drive(node, i, &stats->volumes[i], serving, &out->drives[i]);
        out->epoch = (uint32_t)mkv_max_u64(out->epoch, stats->volumes[i].volume.epoch);
    }
    fill_absent(node, out);
    mkv_node_smart_fill(node, out);
    mkv_node_observed_fill(node, stats, out);
    out->drive_set_version = stats->drive_set_version;
    out->drive_set_members = stats->drive_set_members;
    mkv_node_rdma_fill(node, &stats->lanes, out);
    out->state = node_state(node, out, serving);
    out->front = stats->front;
    fill_fabric(&stats->fabric, &out->fabric);
    take_away(&out->rdma.fabric, &out->fabric);
    out->has_shm = node->config.network.shm_path[0] != '\0';
    fill_fabric(&stats->shm, &out->shm);
    take_away(&out->shm, &out->fabric);
    fill_memory(node, stats, &out->memory);
    mkv_node_view_times(stats, out);
    fill_tenants(stats, node->config.metrics.tenants_max, out);
    mkv_node_watch_fill(node, out);
    mkv_node_ring_fill(node, &out->ring);
    _Static_assert(MKV_ADMIN_LOG_LEVEL_COUNT == MKV_LOG_LEVEL_COUNT, "the levels are the same");
    mkv_log_counts(node->log, out->log_messages_total);
    if (node->otlp != NULL) {
        struct mkv_otlp_counts spans;
        mkv_otlp_counts(node->otlp, &spans);
        out->trace_spans_exported_total = spans.exported;
        out->trace_spans_dropped_total = spans.dropped;
    }
    mkv_node_telemetry_fill(node, out);
    mkv_node_auth_fill(node, out);
    mkv_node_cluster_fill(node, out);
    pthread_mutex_lock(&node->mutex);
    out->warning_count = node->warning_count;
    memcpy(out->warnings, node->warnings, node->warning_count * sizeof out->warnings[0]);
    for (uint32_t i = 0; i < node->drive_count; i++) {
        out->drives[i].checkpoint_ms = node->drives[i].checkpoint_ms;
    }
    pthread_mutex_unlock(&node->mutex);
}

void mkv_node_snapshot(void *context, struct mkv_admin_snapshot *out) {
    struct mkv_node *node = context;
    pthread_mutex_lock(&node->view_mutex);
    mkv_shards_stats(node->shards, node->view_stats, node->view_briefs);
    fill(node, node->view_stats, node->view_briefs, out);
    pthread_mutex_unlock(&node->view_mutex);
}

enum mkv_status mkv_node_tenant_drop(void *context, const char *name) {
    struct mkv_node *node = context;
    const enum mkv_status status = mkv_shards_tenant_drop(node->shards, name, TENANT_DROP_WAIT_NS);
    const struct mkv_log_field field = {.name = "tenant", .text = name};
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, "server.node", &field, 1,
                  status == MKV_STATUS_OK ? "a tenant was dropped, as an administrator asked"
                                          : "a tenant could not be dropped: %s",
                  mkv_status_name(status));
    return status;
}

uint32_t mkv_node_stats_text(void *context, const struct mkv_shard_stats *stats, char *text,
                             uint32_t text_bytes_max) {
    static const char sorry[] = "{\"error\":\"the node has no memory for its status\"}";
    struct mkv_node *node = context;
    pthread_mutex_lock(&node->stats_mutex);
    memset(node->stats_snapshot, 0, sizeof *node->stats_snapshot);
    mkv_shards_stats_within(node->shards, stats, node->stats_sum, node->stats_briefs);
    fill(node, node->stats_sum, node->stats_briefs, node->stats_snapshot);
    struct mkv_admin_reply reply = mkv_admin_status(node->stats_snapshot);
    pthread_mutex_unlock(&node->stats_mutex);
    const bool fits = reply.body != NULL && reply.body_bytes <= text_bytes_max;
    const char *source = fits ? reply.body : sorry;
    const uint32_t count =
        (uint32_t)mkv_min_u64(fits ? reply.body_bytes : sizeof sorry - 1, text_bytes_max);
    memcpy(text, source, count);
    free(reply.body);
    return count;
}
