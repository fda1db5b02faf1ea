/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are made from a snapshot of the node: INFO, CONFIG GET, STATS.MEMORY, LASTSAVE. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "admin/process.h"
#include "admin/words.h"
#include "backends/clock.h"
#include "server/resp_commands_internal.h"
#include "server/resp_glob.h"

#define NS_PER_S 1000000000ull
#define RATE_NS_MIN NS_PER_S

/* NULL when there is no memory; freed by the caller. */
static struct mkv_admin_snapshot *snapshot_now(const struct mkv_resp_run *run) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    struct mkv_admin_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) {
        mkv_resp_run_no_memory(run);
        return NULL;
    }
    provider->snapshot(provider->context, snapshot);
    return snapshot;
}

static uint64_t last_checkpoint_s(const struct mkv_admin_snapshot *snapshot) {
    uint64_t last_ms = 0;
    for (uint32_t i = 0; i < snapshot->drive_count; i++) {
        last_ms = mkv_max_u64(last_ms, snapshot->drives[i].checkpoint_ms);
    }
    return last_ms / 1000;
}

/* ---- INFO ------------------------------------------------------------------------------------ */

static void copy_text(char *target, size_t target_bytes, const char *source) {
    mkv_text_clean(source, target, target_bytes);
}

static void fill_machine(struct mkv_resp_info *info) {
    struct utsname name;
    struct rusage usage;
    struct mkv_admin_process process;
    if (uname(&name) == 0) {
        char text[sizeof info->os];
        snprintf(text, sizeof text, "%.64s %.64s %.64s", name.sysname, name.release, name.machine);
        copy_text(info->os, sizeof info->os, text);
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        info->cpu_user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
        info->cpu_system_s = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    }
    mkv_admin_process_read(&process);
    info->used_memory_rss = process.resident_bytes;
    info->process_id = (uint64_t)getpid();
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_bytes > 0) {
        info->total_system_memory = (uint64_t)pages * (uint64_t)page_bytes;
    }
}

static void fill_keys(const struct mkv_admin_snapshot *snapshot, struct mkv_resp_info *info) {
    static const enum mkv_op ops[] = {MKV_OP_GET, MKV_OP_EXISTS, MKV_OP_LOOKUP};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        const uint64_t *keys = snapshot->front.keys_by_miss[ops[i]];
        info->keyspace_hits += keys[MKV_MISS_NONE];
        info->keys_from_memory += snapshot->front.keys_from_memory[ops[i]];
        for (uint32_t miss = 0; miss < MKV_MISS_COUNT; miss++) {
            info->keyspace_misses += miss == MKV_MISS_NONE ? 0 : keys[miss];
        }
    }
    info->keys_from_drive =
        info->keyspace_hits - mkv_min_u64(info->keyspace_hits, info->keys_from_memory);
}

/* Blocks of the client's tenant: what else there is is none of its business. */
static uint64_t blocks_of(const struct mkv_admin_snapshot *snapshot, const char *tenant_name) {
    for (uint32_t i = 0; i < snapshot->tenant_count; i++) {
        if (strcmp(snapshot->tenants[i].name, tenant_name) == 0) {
            return snapshot->tenants[i].blocks;
        }
    }
    return 0;
}

static void fill_drives(const struct mkv_admin_snapshot *snapshot, struct mkv_resp_info *info) {
    info->drives = snapshot->drive_count;
    for (uint32_t i = 0; i < snapshot->drive_count; i++) {
        const struct mkv_admin_drive *drive = &snapshot->drives[i];
        info->drives_online += mkv_drive_state_serves(drive->state);
        info->drive_bytes_used += drive->volume.bytes_used;
        info->drive_bytes_usable += drive->volume.bytes_usable;
        info->evicted_keys += drive->volume.evictions_total;
        info->expired_keys += drive->volume.expired_total;
        info->leases += drive->volume.leases;
    }
    if (info->loading && info->drives > 0) {
        info->loading_percent = 100 * info->drives_online / info->drives;
    }
}

/* Calls a second since the INFO before, if that is a while ago. */
static uint64_t ops_per_s(struct mkv_resp_commands *commands, uint64_t calls, uint64_t uptime_ns) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    if (commands->rate_ns == 0) {
        commands->rate_ns = now_ns - mkv_min_u64(now_ns, uptime_ns);
    }
    const uint64_t past_ns = now_ns - commands->rate_ns;
    if (past_ns >= RATE_NS_MIN) {
        commands->ops_per_s =
            (uint64_t)((double)(calls - commands->rate_calls) * (double)NS_PER_S / (double)past_ns);
        commands->rate_ns = now_ns;
        commands->rate_calls = calls;
    }
    return commands->ops_per_s;
}

static void fill_info(const struct mkv_resp_run *run, const struct mkv_admin_snapshot *snapshot,
                      struct mkv_resp_info *info) {
    struct mkv_resp_commands *commands = run->commands;
    const struct mkv_resp_node *node = &commands->node;
    copy_text(info->memkv_version, sizeof info->memkv_version, snapshot->version);
    copy_text(info->commit, sizeof info->commit, snapshot->commit);
    copy_text(info->node_id, sizeof info->node_id, snapshot->node_id);
    copy_text(info->state, sizeof info->state, mkv_admin_node_states[snapshot->state]);
    memcpy(info->run_id, commands->run_id, sizeof info->run_id);
    info->tcp_port = node->port;
    info->server_time_us = snapshot->taken_ms * 1000;
    info->uptime_s = snapshot->uptime_ns / NS_PER_S;
    info->connected_clients = snapshot->fabric.connections_active;
    info->total_connections_received = snapshot->fabric.connections_accepted_total;
    info->rejected_connections = snapshot->fabric.connections_rejected_total;
    info->connections_max = node->connections_max;
    info->blocked_clients = snapshot->front.requests_in_flight;
    info->used_memory = snapshot->memory.bytes_used;
    info->maxmemory = snapshot->memory.bytes_total;
    info->huge_pages = snapshot->memory.huge_pages;
    info->loading = snapshot->state == MKV_ADMIN_NODE_RECOVERING;
    info->last_save_s = last_checkpoint_s(snapshot);
    info->total_net_input_bytes = snapshot->fabric.bytes_in_total;
    info->total_net_output_bytes = snapshot->fabric.bytes_out_total;
    info->warnings = snapshot->warning_count;
    fill_machine(info);
    fill_keys(snapshot, info);
    info->keys = blocks_of(snapshot, run->who->tenant_name);
    fill_drives(snapshot, info);
    info->command_count = node->figures(node->context, info->commands, MKV_RESP_INFO_COMMANDS_MAX);
    for (uint32_t i = 0; i < info->command_count; i++) {
        info->total_commands_processed += info->commands[i].calls;
    }
    info->ops_per_s = ops_per_s(commands, info->total_commands_processed, snapshot->uptime_ns);
}

void mkv_resp_run_info(const struct mkv_resp_run *run) {
    struct mkv_admin_snapshot *snapshot = snapshot_now(run);
    struct mkv_resp_info *info = calloc(1, sizeof *info);
    struct mkv_text text = {0};
    if (snapshot != NULL && info != NULL) {
        fill_info(run, snapshot, info);
        mkv_resp_info_write(info, run->words + 1, run->word_count - 1, &text);
        mkv_resp_write_verbatim(run->writer, text.count == 0 ? "" : text.bytes,
                                (uint32_t)text.count);
    } else if (snapshot != NULL) {
        mkv_resp_run_no_memory(run);
    }
    mkv_text_free(&text);
    free(snapshot);
    free(info);
}

/* ---- CONFIG GET ------------------------------------------------------------------------------ */

#define SETTING_NAME_BYTES 64u
#define SETTING_VALUE_BYTES 1200u
#define SETTINGS_MAX 160u

struct setting {
    char name[SETTING_NAME_BYTES];
    char value[SETTING_VALUE_BYTES];
};
struct settings {
    uint32_t count;
    struct setting of[SETTINGS_MAX];
};

static void add(struct settings *settings, const char *name, const char *value) {
    if (settings->count < SETTINGS_MAX) {
        struct setting *setting = &settings->of[settings->count++];
        snprintf(setting->name, sizeof setting->name, "%s", name);
        snprintf(setting->value, sizeof setting->value, "%s", value);
    }
}

static void add_count(struct settings *settings, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    add(settings, name, text);
}

/* What tools of Redis ask for, as it is here. */
static void add_of_redis(const struct mkv_resp_run *run, const struct mkv_admin_snapshot *snapshot,
                         struct settings *settings) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    struct mkv_admin_slow slow;
    uint64_t threshold_ns = 0;
    provider->observed->slow(provider->context, &slow, 0, &threshold_ns);
    add(settings, "appendonly", "no");
    add(settings, "cluster-enabled", "no");
    add(settings, "databases", "1");
    add_count(settings, "maxclients", run->commands->node.connections_max);
    add_count(settings, "maxmemory", snapshot->memory.bytes_total);
    add(settings, "maxmemory-policy", "allkeys-lru");
    add_count(settings, "port", run->commands->node.port);
    add_count(settings, "proto-max-bulk-len", run->commands->node.value_bytes_max);
    add(settings, "save", "");
    add_count(settings, "slowlog-log-slower-than", threshold_ns / 1000);
    add_count(settings, "slowlog-max-len", MKV_ADMIN_SLOW_MAX);
    add(settings, "timeout", "0");
}

/* The configuration of the node, which shows no secret. */
static void add_own(const struct mkv_resp_run *run, struct settings *settings) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    char *text = provider->config(provider->context);
    json_t *object = text == NULL ? NULL : json_loads(text, 0, NULL);
    size_t index;
    json_t *key;
    json_array_foreach(json_object_get(object, "keys"), index, key) {
        const char *name = json_string_value(json_object_get(key, "key"));
        const char *value = json_string_value(json_object_get(key, "value"));
        if (name != NULL && value != NULL) {
            add(settings, name, value);
        }
    }
    json_decref(object);
    free(text);
}

static bool setting_is_wanted(const struct mkv_resp_run *run, const struct setting *setting) {
    const struct mkv_resp_bytes name = {(const uint8_t *)setting->name,
                                        (uint32_t)strlen(setting->name)};
    bool wanted = false;
    for (uint32_t i = 2; i < run->word_count && !wanted; i++) {
        const struct mkv_resp_bytes pattern = {run->words[i].bytes, run->words[i].count};
        wanted = mkv_resp_glob_matches(pattern, name, true);
    }
    return wanted;
}

void mkv_resp_run_config_get(const struct mkv_resp_run *run) {
    struct mkv_admin_snapshot *snapshot = snapshot_now(run);
    struct settings *settings = calloc(1, sizeof *settings);
    if (snapshot != NULL && settings != NULL) {
        add_of_redis(run, snapshot, settings);
        if (run->who->is_admin) {
            add_own(run, settings);
        }
        uint32_t wanted = 0;
        for (uint32_t i = 0; i < settings->count; i++) {
            wanted += setting_is_wanted(run, &settings->of[i]);
        }
        mkv_resp_write_map(run->writer, wanted);
        for (uint32_t i = 0; i < settings->count; i++) {
            if (setting_is_wanted(run, &settings->of[i])) {
                mkv_resp_write_text(run->writer, settings->of[i].name);
                mkv_resp_write_text(run->writer, settings->of[i].value);
            }
        }
    } else if (snapshot != NULL) {
        mkv_resp_run_no_memory(run);
    }
    free(snapshot);
    free(settings);
}

/* ---- STATS.MEMORY, LASTSAVE ------------------------------------------------------------------ */

static void write_figure(const struct mkv_resp_run *run, const char *name, uint64_t value) {
    mkv_resp_write_text(run->writer, name);
    mkv_resp_write_integer(run->writer, (int64_t)mkv_min_u64(value, INT64_MAX));
}

void mkv_resp_run_stats_memory(const struct mkv_resp_run *run) {
    struct mkv_admin_snapshot *snapshot = snapshot_now(run);
    if (snapshot == NULL) {
        return;
    }
    const struct mkv_front_stats *front = &snapshot->front;
    mkv_resp_write_map(run->writer, 6 + MKV_ADMIN_MEMORY_KIND_COUNT);
    write_figure(run, "bytes_total", snapshot->memory.bytes_total);
    write_figure(run, "bytes_used", snapshot->memory.bytes_used);
    write_figure(run, "huge_pages", snapshot->memory.huge_pages);
    write_figure(run, "resident_blocks", front->memory_blocks);
    write_figure(run, "resident_bytes",
                 (uint64_t)front->memory_units * MKV_SLAB_UNIT_PAYLOAD_BYTES);
    write_figure(run, "unpersisted_blocks", front->memory_unpersisted);
    for (uint32_t i = 0; i < MKV_ADMIN_MEMORY_KIND_COUNT; i++) {
        char name[SETTING_NAME_BYTES];
        snprintf(name, sizeof name, "%s_bytes", mkv_admin_memory_kinds[i]);
        write_figure(run, name, snapshot->memory_bytes[i]);
    }
    free(snapshot);
}

void mkv_resp_run_lastsave(const struct mkv_resp_run *run) {
    struct mkv_admin_snapshot *snapshot = snapshot_now(run);
    if (snapshot != NULL) {
        mkv_resp_write_integer(run->writer, (int64_t)last_checkpoint_s(snapshot));
    }
    free(snapshot);
}
