/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run of a node from its start to its end, and what it says about it: to people on standard
 * output under --dev, else to the log. Refusals go to standard error, one line each.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/clock.h"
#include "server/signals.h"
#include "server/version.h"

#define TARGET "server.node"
#define LINE_BYTES 1536u
#define HUMAN_BYTES 32u
#define NS_PER_S 1e9

/* ---- words ---------------------------------------------------------------------------------- */

/* One line of what happens. `fields` are for the log alone: the line says it all in words. */
__attribute__((format(printf, 5, 6))) static void say(struct mkv_node *node, enum mkv_log_site site,
                                                      const struct mkv_log_field *fields,
                                                      uint32_t field_count, const char *format,
                                                      ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (node->options.dev) {
        printf("%s\n", line);
        fflush(stdout);
    } else {
        mkv_log_write(node->log, site, MKV_CONFIG_LOG_INFO, TARGET, fields, field_count, "%s",
                      line);
    }
}

/* Why the node does not start, or did not end well. */
static void report(struct mkv_node *node, const char *text, enum mkv_exit_daemon exit_code) {
    if (node->config.log.format == MKV_CONFIG_LOG_JSON) {
        const struct mkv_log_field field = {.name = "exit_code", .number = exit_code};
        mkv_log_write(node->log, MKV_LOG_SITE_REFUSAL, MKV_CONFIG_LOG_ERROR, TARGET, &field, 1,
                      "%s", text);
    } else {
        fprintf(stderr, "%s\n", text);
    }
}

static enum mkv_exit_daemon exit_code_of(enum mkv_backend_failure failure) {
    switch (failure) {
    case MKV_BACKEND_OK:
        return MKV_EXIT_DAEMON_DONE;
    case MKV_BACKEND_UNAVAILABLE:
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    case MKV_BACKEND_IO:
        return MKV_EXIT_DAEMON_IO;
    case MKV_BACKEND_PERMISSION:
        return MKV_EXIT_DAEMON_PERMISSION;
    case MKV_BACKEND_CONFIGURATION:
        return MKV_EXIT_DAEMON_CONFIGURATION;
    }
    MKV_ASSERT(false);
    return MKV_EXIT_DAEMON_IO;
}

/* "3.9 GiB": for people, who do not count bytes. */
static void human_size(uint64_t bytes, char out[HUMAN_BYTES]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024.0;
        unit++;
    }
    /* Whole numbers stand without a fraction: 4 GiB, but 3.9 GiB. */
    const bool whole = value - (double)(uint64_t)value < 0.05;
    snprintf(out, HUMAN_BYTES, "%.*f %s", whole ? 0 : 1, value, units[unit]);
}

static double seconds_since(uint64_t start_ns) {
    return (double)(mkv_clock_monotonic_ns() - start_ns) / NS_PER_S;
}

/* ---- the start ------------------------------------------------------------------------------ */

static void say_what_it_is(struct mkv_node *node) {
    char clients[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    char admin[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    mkv_config_address_format(&node->config.network.address, clients);
    mkv_config_address_format(&node->config.network.admin_address, admin);
    const struct mkv_log_field fields[] = {
        {.name = "version", .text = mkv_version()},
        {.name = "commit", .text = mkv_version_commit()},
        {.name = "node", .text = node->config.node.id},
        {.name = "pid", .number = (uint64_t)getpid()},
        {.name = "ring", .text = mkv_shards_ring_mode(node->shards)},
    };
    say(node, MKV_LOG_SITE_NODE, fields, 5, "memkv %s (%s), node %s", mkv_version(),
        mkv_version_commit(), node->config.node.id);
    char resp[MKV_CONFIG_ADDRESS_TEXT_BYTES] = "";
    const bool has_resp = node->config.network.resp_address.host[0] != '\0';
    if (has_resp) {
        mkv_config_address_format(&node->config.network.resp_address, resp);
    }
    const struct mkv_log_field addresses[] = {
        {.name = "clients", .text = clients},
        {.name = "admin", .text = admin},
        {.name = "resp", .text = resp},
    };
    say(node, MKV_LOG_SITE_NODE, addresses, has_resp ? 3 : 2,
        "listening on %s for clients, on %s for health, status and metrics%s%s", clients, admin,
        has_resp ? ", for RESP on " : "", resp);
}

static void say_drives(struct mkv_node *node) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        const struct node_drive *drive = &node->drives[i];
        const struct mkv_config_drive *configured = &node->config.storage.drives[i];
        const uint64_t bytes = drive->volume.geometry.capacity_units * MKV_UNIT_BYTES;
        char size[HUMAN_BYTES];
        human_size(bytes, size);
        const struct mkv_log_field fields[] = {
            {.name = "drive", .text = configured->name},
            {.name = "path", .text = configured->media},
            {.name = "bytes", .number = bytes},
            {.name = "model", .text = drive->identity.model},
            {.name = "serial", .text = drive->identity.serial},
        };
        say(node, MKV_LOG_SITE_DRIVE, fields, 5, "drive %s: %s, %s%s", configured->name,
            configured->media, size, drive->formatted_now ? ", new" : "");
    }
}

static void say_what_it_holds(struct mkv_node *node, const struct mkv_shard_stats *stats) {
    uint64_t blocks = 0;
    uint64_t entries = 0;
    uint64_t recovery_ns = 0;
    uint64_t bytes_used = 0;
    uint64_t bytes_usable = 0;
    bool all_new = true;
    for (uint32_t i = 0; i < node->drive_count; i++) {
        const struct mkv_volume_stats *volume = &stats->volumes[i].volume;
        blocks += volume->blocks;
        entries += volume->recovery_entries;
        recovery_ns = mkv_max_u64(recovery_ns, volume->recovery_ns);
        bytes_used += volume->bytes_used;
        bytes_usable += volume->bytes_usable;
        all_new = all_new && node->drives[i].formatted_now;
    }
    if (!all_new) {
        const struct mkv_log_field fields[] = {
            {.name = "blocks", .number = blocks},
            {.name = "journal_entries", .number = entries},
            {.name = "duration_ms", .number = recovery_ns / 1000000},
        };
        say(node, MKV_LOG_SITE_NODE, fields, 3,
            "recovered %" PRIu64 " blocks, %" PRIu64 " journal entries, in %.2f s", blocks, entries,
            (double)recovery_ns / NS_PER_S);
    }
    char used[HUMAN_BYTES];
    char usable[HUMAN_BYTES];
    char memory[HUMAN_BYTES];
    human_size(bytes_used, used);
    human_size(bytes_usable, usable);
    human_size(node->config.memory.max_size_bytes, memory);
    const struct mkv_log_field fields[] = {
        {.name = "blocks", .number = blocks},
        {.name = "bytes_used", .number = bytes_used},
        {.name = "bytes_usable", .number = bytes_usable},
        {.name = "memory_bytes", .number = node->config.memory.max_size_bytes},
    };
    say(node, MKV_LOG_SITE_NODE, fields, 4,
        "holds %" PRIu64 " blocks, %s of %s on drives; memory %s", blocks, used, usable, memory);
}

/* Every drive that does not serve, and why. */
static void report_drives(struct mkv_node *node) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        char line[LINE_BYTES];
        struct mkv_config_drive drive;
        mkv_node_drive_now(node, i, &drive);
        pthread_mutex_lock(&node->mutex);
        const bool failed = node->drives[i].failed;
        const enum mkv_err err = node->drives[i].failed_err;
        pthread_mutex_unlock(&node->mutex);
        if (!failed) {
            continue;
        }
        snprintf(line, sizeof line,
                 "drive %s: the store on %s cannot be opened: %s. See dmesg and the drive's "
                 "health, or name another path to start anew",
                 drive.name, drive.media, mkv_node_err_text(err));
        report(node, line, MKV_EXIT_DAEMON_IO);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

/* On the signals' thread. */
static void on_signal(void *context, int number) {
    struct mkv_node *node = context;
    if (number == SIGHUP) {
        const bool of_telemetry = mkv_node_telemetry_reopen(node);
        const bool of_log = mkv_log_reopen(node->log);
        if (of_telemetry || of_log) {
            mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, NULL, 0,
                          "SIGHUP: the log's file and those of telemetry are opened again");
        }
        mkv_node_tls_reload(node);
        mkv_node_auth_reload(node);
        return;
    }
    const unsigned count = atomic_fetch_add(&node->stop_count, 1) + 1;
    const char *name = number == SIGTERM ? "SIGTERM" : "SIGINT";
    mkv_node_audit_drain(node, name);
    mkv_node_cluster_leave(node);
    if (count == 1) {
        say(node, MKV_LOG_SITE_NODE, NULL, 0,
            "%s: stopping when the requests in flight are done, at most %.0f s", name,
            (double)MKV_NODE_DRAIN_NS / NS_PER_S);
    } else {
        say(node, MKV_LOG_SITE_NODE, NULL, 0, "%s again: closing the drives now", name);
    }
    pthread_mutex_lock(&node->mutex);
    if (node->shard_to_close != NULL) {
        mkv_shards_close(node->shard_to_close, count == 1 ? MKV_NODE_DRAIN_NS : 0);
    }
    pthread_mutex_unlock(&node->mutex);
}

/* Whether every drive that did not fail left its clean mark; names those that did not. */
static bool all_closed(struct mkv_node *node) {
    bool all = true;
    for (uint32_t i = 0; i < node->drive_count; i++) {
        pthread_mutex_lock(&node->mutex);
        const bool done = node->drives[i].closed || node->drives[i].failed;
        pthread_mutex_unlock(&node->mutex);
        if (!done) {
            char line[LINE_BYTES];
            struct mkv_config_drive drive;
            mkv_node_drive_now(node, i, &drive);
            snprintf(line, sizeof line,
                     "drive %s: %s could not be closed in time. Nothing is lost: the next start "
                     "replays its journal; see dmesg for what holds the drive",
                     drive.name, drive.media);
            report(node, line, MKV_EXIT_DAEMON_IO);
            all = false;
        }
    }
    return all;
}

static enum mkv_exit_daemon say_goodbye(struct mkv_node *node) {
    mkv_shards_stats(node->shards, node->view_stats, node->view_briefs);
    const struct mkv_shard_stats *stats = node->view_stats;
    uint64_t requests = 0;
    uint64_t blocks = 0;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        for (uint32_t status = 0; status < MKV_STATUS_COUNT; status++) {
            requests += stats->front.requests_answered[op][status];
        }
    }
    for (uint32_t i = 0; i < stats->volume_count; i++) {
        blocks += stats->volumes[i].volume.blocks;
    }
    const bool closed = all_closed(node);
    const double seconds = seconds_since(node->started_ns);
    const struct mkv_log_field fields[] = {
        {.name = "requests", .number = requests},
        {.name = "blocks", .number = blocks},
        {.name = "uptime_s", .number = (uint64_t)seconds},
    };
    say(node, MKV_LOG_SITE_NODE, fields, 3,
        "stopped%s after %.1f s: %" PRIu64 " requests answered, %" PRIu64 " blocks held",
        closed ? "" : " with a drive still open", seconds, requests, blocks);
    return closed ? MKV_EXIT_DAEMON_DONE : MKV_EXIT_DAEMON_IO;
}

/* ---- the run -------------------------------------------------------------------------------- */

/* A node that serves goes on serving those who know of it. */
static void begin_cluster(struct mkv_node *node) {
    struct mkv_backend_error error;
    if (!mkv_node_cluster_begin(node, &error)) {
        report(node, error.text, exit_code_of(error.failure));
    }
}

static enum mkv_exit_daemon serve(struct mkv_node *node) {
    say_what_it_is(node);
    say_drives(node);
    const uint32_t serving = mkv_shards_wait_opened(node->shards);
    if (serving > 0 && atomic_load(&node->stop_count) == 0) {
        pthread_mutex_lock(&node->view_mutex);
        mkv_shards_stats(node->shards, node->view_stats, node->view_briefs);
        say_what_it_holds(node, node->view_stats);
        pthread_mutex_unlock(&node->view_mutex);
        say(node, MKV_LOG_SITE_NODE, NULL, 0, "ready in %.1f s", seconds_since(node->started_ns));
        begin_cluster(node);
    }
    if (serving == 0) {
        report_drives(node);
        mkv_shards_close(node->shards, 0);
    }
    node->shard_is_stuck = !mkv_shards_join(node->shards);
    mkv_node_cluster_end(node);
    mkv_node_requests_tell(node);
    if (serving == 0) {
        return MKV_EXIT_DAEMON_IO;
    }
    pthread_mutex_lock(&node->view_mutex);
    const enum mkv_exit_daemon exit_code = say_goodbye(node);
    pthread_mutex_unlock(&node->view_mutex);
    return exit_code;
}

static enum mkv_exit_daemon run(struct mkv_node *node) {
    struct mkv_backend_error error;
    struct mkv_signals *signals = NULL;
    enum mkv_exit_daemon exit_code;
    if (!mkv_signals_begin(on_signal, node, &signals, &error)) {
        exit_code = exit_code_of(error.failure);
        report(node, error.text, exit_code);
        return exit_code;
    }
    if (mkv_node_bring_up(node, &error)) {
        exit_code = serve(node);
        mkv_node_audit_stop(node, exit_code);
        /* The signals' thread may be about to close the shard. */
        mkv_signals_end(signals);
        mkv_node_take_down(node);
        return exit_code;
    }
    mkv_signals_end(signals);
    if (error.failure == MKV_BACKEND_OK) {
        say(node, MKV_LOG_SITE_NODE, NULL, 0, "stopped before it was ready");
        return MKV_EXIT_DAEMON_DONE;
    }
    exit_code = exit_code_of(error.failure);
    report(node, error.text, exit_code);
    return exit_code;
}

enum mkv_exit_daemon mkv_node_run(struct mkv_config *config,
                                  const struct mkv_node_options *options) {
    struct mkv_node *node = calloc(1, sizeof *node);
    struct mkv_log *log = mkv_log_create(STDERR_FILENO, MKV_CONFIG_LOG_INFO, config->log.format);
    if (node == NULL || log == NULL) {
        free(node);
        mkv_log_destroy(log);
        fprintf(stderr, "no memory or threads for a node. Free memory on this machine\n");
        return MKV_EXIT_DAEMON_UNAVAILABLE;
    }
    node->config = *config;
    mkv_config_forget(config);
    node->options = *options;
    node->log = log;
    node->admin_fd = -1;
    node->admin_unix_fd = -1;
    node->started_ns = mkv_clock_monotonic_ns();
    mkv_config_hash(&node->config, node->config_hash);
    (void)mkv_node_auth_hash_rest(&node->config, node->config_rest_hash);
    node->config_read_ms = mkv_clock_wall_ms();
    pthread_mutex_init(&node->mutex, NULL);
    pthread_mutex_init(&node->view_mutex, NULL);
    pthread_mutex_init(&node->stats_mutex, NULL);
    pthread_mutex_init(&node->rdma.mutex, NULL);
    enum mkv_exit_daemon exit_code = MKV_EXIT_DAEMON_CONFIGURATION;
    char problem[MKV_NODE_LOG_PROBLEM_BYTES];
    if (mkv_node_log_begin(node, problem)) {
        exit_code = run(node);
    } else {
        report(node, problem, exit_code);
    }
    pthread_mutex_destroy(&node->rdma.mutex);
    pthread_mutex_destroy(&node->stats_mutex);
    pthread_mutex_destroy(&node->view_mutex);
    pthread_mutex_destroy(&node->mutex);
    mkv_log_destroy(log);
    mkv_config_forget(&node->config);
    free(node);
    return exit_code;
}
