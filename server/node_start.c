/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of steps by which a node comes up, each with what undoes it. A step that fails has
 * undone what it did itself. Formatting cannot be undone: what a machine may lack, memory or RDMA,
 * is asked for before.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "admin/sketch.h"
#include "server/config_quotas.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* ---- memory --------------------------------------------------------------------------------- */

static enum mkv_hugepages hugepages_of(enum mkv_config_hugepages setting) {
    switch (setting) {
    case MKV_CONFIG_HUGEPAGES_AUTO:
        return MKV_HUGEPAGES_AUTO;
    case MKV_CONFIG_HUGEPAGES_REQUIRE:
        return MKV_HUGEPAGES_REQUIRE;
    case MKV_CONFIG_HUGEPAGES_OFF:
        return MKV_HUGEPAGES_OFF;
    }
    MKV_ASSERT(false);
    return MKV_HUGEPAGES_AUTO;
}

static void warn_of_hugepages(struct mkv_node *node) {
    const struct mkv_memory_map *map = mkv_arena_map(node->arena);
    char action[MKV_ADMIN_TEXT_BYTES];
    snprintf(action, sizeof action,
             "run: sysctl -w vm.nr_hugepages=%" PRIu64
             ", and restart; or set memory.hugepages: off",
             map->hugepages_needed);
    mkv_node_warn(node, MKV_ADMIN_WARNING_HUGEPAGES_FALLBACK, NULL, action,
                  "memory is on normal pages: it needs %" PRIu64 " huge pages of 2 MiB, %" PRIu64
                  " are free",
                  map->hugepages_needed, map->hugepages_free);
}

static void fill_volume_options(struct mkv_node *node) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        node->volume_options[i] = (struct mkv_shard_volume_options){
            .config = node->drives[i].volume,
            .media = node->drives[i].media,
            .queue_depth = node->drives[i].media.queue_depth,
            .read_timeout_ns = MKV_NODE_READ_TIMEOUT_NS,
            .write_timeout_ns = MKV_NODE_WRITE_TIMEOUT_NS,
        };
    }
}

static void fill_quotas(struct mkv_node *node) {
    char problem[MKV_CONFIG_QUOTAS_PROBLEM_BYTES];
    const bool valid = mkv_config_quotas_parse(node->config.tenants.quotas, 0, UINT64_MAX,
                                               node->quotas, &node->quota_count, problem);
    MKV_ASSERT(valid); /* the configuration was checked when it was read */
}

/* `units` is a bound of the slab units that there will be, or their number. */
static void shards_options(struct mkv_node *node, uint32_t units,
                           struct mkv_fabric_tcp_options *tcp, struct mkv_fabric_tcp_options *shm,
                           struct mkv_fabric_resp_options *resp,
                           struct mkv_lane_ports_options *rdma, struct mkv_shards_options *all) {
    struct mkv_shard_options *options = &all->shard;
    memset(all, 0, sizeof *all);
    all->count = (uint32_t)node->config.node.shards;
    all->front = mkv_node_front_config;
    all->front_context = node;
    mkv_node_front_config(node, units, &options->front);
    mkv_node_tcp_options(node, &options->front, tcp);
    options->tcp = tcp;
    if (mkv_node_shm_connections(node) > 0) {
        mkv_node_shm_options(node, tcp, shm);
        options->shm = shm;
    }
    if (mkv_node_rdma_options(node, rdma)) {
        options->rdma = rdma;
        options->rdma_event = mkv_node_rdma_event;
        options->rdma_event_context = node;
    }
    if (node->resp_connections_max > 0) {
        mkv_node_resp_options(node, &options->front, resp);
        options->resp = resp;
        options->resp_worker = node->resp_worker;
        options->resp_commands = node->resp_commands;
        options->resp_each = mkv_node_resp_each;
        options->resp_each_context = node;
    }
    options->arena = node->arena;
    options->volume_count = node->drive_count;
    options->volumes = node->volume_options;
    options->plan = &node->plan;
    options->event = mkv_node_event;
    options->event_context = node;
    options->stats_text = mkv_node_stats_text;
    options->stats_text_context = node;
    options->quota_count = node->quota_count;
    options->quotas = node->quotas;
    options->recorder = node->recorder;
    options->requests = node->requests;
    options->events = node->events.telemetry == NULL ? NULL : &node->events;
    options->hotkeys_columns = MKV_SKETCH_COLUMNS_MIN;
    while (options->hotkeys_columns < node->config.metrics.hotkeys_columns) {
        options->hotkeys_columns *= 2;
    }
    options->hotkeys_decay_ns = node->config.metrics.hotkeys_decay_s * NS_PER_S;
    options->slow_ns = node->config.slowlog.threshold_ms * NS_PER_MS;
    options->tracer = node->tracer;
    options->audit = node->audit;
}

static void arena_undo(struct mkv_node *node) {
    /* A drive that hangs may still write where it was told to: the memory goes with the process. */
    if (!node->shard_is_stuck) {
        mkv_arena_destroy(node->arena);
    }
    node->arena = NULL;
    free(node->volume_options);
    free(node->stats_snapshot);
    free(node->stats_sum);
    free(node->view_stats);
}

static bool arena_perform(struct mkv_node *node, struct mkv_backend_error *error) {
    node->volume_options = calloc(node->drive_count, sizeof *node->volume_options);
    node->stats_snapshot = calloc(1, sizeof *node->stats_snapshot);
    node->stats_sum = calloc(1, sizeof *node->stats_sum);
    node->view_stats = calloc(1, sizeof *node->view_stats);
    if (node->volume_options == NULL || node->stats_snapshot == NULL || node->stats_sum == NULL ||
        node->view_stats == NULL) {
        arena_undo(node);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for a node. Free memory on this machine");
    }
    fill_volume_options(node);
    fill_quotas(node);
    /* As many slabs as there would be without metadata: a bound of what the front is told later. */
    const uint64_t units = mkv_min_u64(
        node->config.memory.max_size_bytes / MKV_SLAB_UNIT_STRIDE_BYTES, MKV_SLAB_UNIT_COUNT_MAX);
    struct mkv_shards_options options;
    struct mkv_fabric_tcp_options tcp;
    struct mkv_fabric_resp_options resp;
    struct mkv_fabric_tcp_options shm;
    struct mkv_lane_ports_options rdma;
    shards_options(node, (uint32_t)units, &tcp, &shm, &resp, &rdma, &options);
    node->metadata_bytes = mkv_shards_metadata_bytes(&options, node->config.memory.max_size_bytes);
    const struct mkv_arena_options arena_options = {
        .bytes = node->config.memory.max_size_bytes,
        .metadata_bytes = node->metadata_bytes,
        .hugepages = hugepages_of(node->config.memory.hugepages),
    };
    if (!mkv_arena_create(&arena_options, &node->arena, error)) {
        arena_undo(node);
        return false;
    }
    if (mkv_arena_hugepages_fell_back(node->arena)) {
        warn_of_hugepages(node);
    }
    return true;
}

/* ---- shard ---------------------------------------------------------------------------------- */

static void warn_of_registration(struct mkv_node *node) {
    const int error_number = mkv_shards_registration_error(node->shards);
    if (error_number == 0) {
        return;
    }
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    mkv_node_warn(node, MKV_ADMIN_WARNING_MEMLOCK_FALLBACK, NULL,
                  "raise the limit of locked memory, ulimit -l unlimited or LimitMEMLOCK=infinity, "
                  "and restart",
                  "not all memory could be registered with io_uring: %s, with a limit of locked "
                  "memory of %" PRIu64 " bytes; transfers cost more",
                  strerror(error_number), (uint64_t)limit.rlim_cur);
}

static void warn_of_buffered_drives(struct mkv_node *node) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        const struct mkv_config_drive *drive = &node->config.storage.drives[i];
        if (!node->drives[i].direct) {
            mkv_node_warn(node, MKV_ADMIN_WARNING_DIRECT_IO_FALLBACK, drive,
                          "name a path on a drive or file system with O_DIRECT",
                          "drive %s: %s does not take O_DIRECT, so its data goes through the page "
                          "cache",
                          drive->name, drive->media);
        }
    }
}

static bool shard_perform(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_shards_options options;
    struct mkv_fabric_tcp_options tcp;
    struct mkv_fabric_resp_options resp;
    struct mkv_fabric_tcp_options shm;
    struct mkv_lane_ports_options rdma;
    shards_options(node, mkv_arena_unit_count(node->arena), &tcp, &shm, &resp, &rdma, &options);
    /* The media are the shard's from here on, whether this succeeds or not. */
    for (uint32_t i = 0; i < node->drive_count; i++) {
        node->drives[i].media_is_ours = false;
    }
    if (!mkv_shards_create(&options, &node->shards, error)) {
        return false;
    }
    warn_of_registration(node);
    warn_of_buffered_drives(node);
    pthread_mutex_lock(&node->mutex);
    node->shard_to_close = node->shards;
    pthread_mutex_unlock(&node->mutex);
    return true;
}

static void shard_undo(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    node->shard_to_close = NULL;
    pthread_mutex_unlock(&node->mutex);
    mkv_audit_detach(node->audit);
    mkv_node_resp_stop(node);
    mkv_shards_destroy(node->shards);
    node->shards = NULL;
}

/* ---- admin ---------------------------------------------------------------------------------- */

static bool admin_perform(struct mkv_node *node, struct mkv_backend_error *error) {
    struct mkv_admin_provider provider = {
        .context = node,
        .snapshot = mkv_node_snapshot,
        .tenant_drop = mkv_node_tenant_drop,
        .observed = &mkv_node_observed,
        .audit = node->audit,
        .why = mkv_node_why,
        .config = mkv_node_config_text,
        .host = mkv_node_host_text,
        .drive_act = mkv_node_drive_act,
    };
    mkv_node_log_provide(node, &provider.log);
    struct mkv_admin_http *admin = NULL;
    const bool served = mkv_node_admin_serve(node, &provider, &admin, error);
    pthread_mutex_lock(&node->mutex);
    node->admin = admin;
    pthread_mutex_unlock(&node->mutex);
    return served;
}

static void admin_undo(struct mkv_node *node) {
    pthread_mutex_lock(&node->mutex);
    struct mkv_admin_http *admin = node->admin;
    node->admin = NULL;
    pthread_mutex_unlock(&node->mutex);
    mkv_admin_http_stop(admin);
}

/* ---- thread --------------------------------------------------------------------------------- */

static bool thread_perform(struct mkv_node *node, struct mkv_backend_error *error) {
    const bool started = mkv_shards_start(node->shards, error);
    pthread_mutex_lock(&node->mutex);
    node->shard_started = started;
    pthread_mutex_unlock(&node->mutex);
    return started;
}

/* ---- the table ------------------------------------------------------------------------------ */

struct step {
    const char *name;
    bool (*perform)(struct mkv_node *node, struct mkv_backend_error *error);
    void (*undo)(struct mkv_node *node); /* NULL: there is nothing to undo */
};

static const struct step steps[] = {
    {"limits", mkv_node_limits_raise, NULL},
    {"record", mkv_node_record_create, mkv_node_record_end},
    {"rdma", mkv_node_rdma_check_ports, NULL},
    {"drives", mkv_node_drives_wait, mkv_node_drives_close},
    {"memory", arena_perform, arena_undo},
    {"rdma_memory", mkv_node_rdma_check_memory, NULL},
    {"format", mkv_node_drives_format, NULL},
    {"audit", mkv_node_audit_open, mkv_node_audit_close},
    {"watch", mkv_node_watch_create, mkv_node_watch_destroy},
    {"admin_listen", mkv_node_admin_listen, mkv_node_admin_unlisten},
    {"requests", mkv_node_requests_begin, mkv_node_requests_end},
    {"telemetry", mkv_node_telemetry_begin, mkv_node_telemetry_end},
    {"traces", mkv_node_traces_start, mkv_node_traces_end},
    {"auth", mkv_node_auth_begin, mkv_node_auth_end},
    {"resp", mkv_node_resp_begin, mkv_node_resp_end},
    {"tls", mkv_node_tls_begin, mkv_node_tls_end},
    {"shm", mkv_node_shm_begin, mkv_node_shm_end},
    {"ring", mkv_node_ring_begin, mkv_node_ring_end},
    {"smart", mkv_node_smart_begin, mkv_node_smart_end}, /* asked by those below */
    {"shard", shard_perform, shard_undo},
    {"rdma_reader", mkv_node_rdma_reader_begin, mkv_node_rdma_reader_end},
    {"life", mkv_node_life_begin, mkv_node_life_end}, /* asked by admin, of shard */
    {"admin", admin_perform, admin_undo},
    {"thread", thread_perform, NULL},
    {"look", mkv_node_watch_begin, mkv_node_watch_end},
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static void undo_from(struct mkv_node *node, size_t count) {
    for (size_t i = count; i > 0; i--) {
        if (steps[i - 1].undo != NULL) {
            steps[i - 1].undo(node);
        }
    }
}

bool mkv_node_bring_up(struct mkv_node *node, struct mkv_backend_error *error) {
    *error = (struct mkv_backend_error){0};
    for (size_t i = 0; i < STEP_COUNT; i++) {
        const struct mkv_log_field field = {.name = "step", .text = steps[i].name};
        mkv_log_write(node->log, MKV_LOG_SITE_STEP, MKV_CONFIG_LOG_DEBUG, "server.node", &field, 1,
                      "step of the start");
        if (atomic_load(&node->stop_count) > 0 || !steps[i].perform(node, error)) {
            undo_from(node, i);
            return false;
        }
    }
    return true;
}

void mkv_node_take_down(struct mkv_node *node) {
    undo_from(node, STEP_COUNT);
}
