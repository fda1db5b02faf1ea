/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_info.h"

#include <string.h>

typedef void section_writer(const struct mkv_resp_info *info, struct mkv_text *out);

static void field(struct mkv_text *out, const char *name, uint64_t value) {
    mkv_text_format(out, "%s:%llu\r\n", name, (unsigned long long)value);
}

static void text_field(struct mkv_text *out, const char *name, const char *value) {
    MKV_ASSERT(strpbrk(value, "\r\n") == NULL);
    mkv_text_format(out, "%s:%s\r\n", name, value);
}

/* "1.50M", as Redis rounds it. */
static void human_field(struct mkv_text *out, const char *name, uint64_t bytes) {
    static const char letters[] = "BKMGTP";
    double value = (double)bytes;
    size_t letter = 0;
    while (value >= 1024 && letter + 2 < sizeof letters) {
        value /= 1024;
        letter++;
    }
    if (letter == 0) {
        mkv_text_format(out, "%s:%lluB\r\n", name, (unsigned long long)bytes);
    } else {
        mkv_text_format(out, "%s:%.2f%c\r\n", name, value, letters[letter]);
    }
}

static void write_server(const struct mkv_resp_info *info, struct mkv_text *out) {
    text_field(out, "redis_version", MKV_RESP_REDIS_VERSION);
    text_field(out, "memkv_version", info->memkv_version);
    text_field(out, "redis_git_sha1", info->commit);
    text_field(out, "redis_mode", "standalone");
    text_field(out, "os", info->os);
    field(out, "arch_bits", 64);
    text_field(out, "multiplexing_api", "io_uring");
    field(out, "process_id", info->process_id);
    text_field(out, "run_id", info->run_id);
    field(out, "tcp_port", info->tcp_port);
    field(out, "server_time_usec", info->server_time_us);
    field(out, "uptime_in_seconds", info->uptime_s);
    field(out, "uptime_in_days", info->uptime_s / 86400);
}

static void write_clients(const struct mkv_resp_info *info, struct mkv_text *out) {
    field(out, "connected_clients", info->connected_clients);
    field(out, "cluster_connections", 0);
    field(out, "maxclients", info->connections_max);
    field(out, "blocked_clients", info->blocked_clients);
}

static void write_memory(const struct mkv_resp_info *info, struct mkv_text *out) {
    field(out, "used_memory", info->used_memory);
    human_field(out, "used_memory_human", info->used_memory);
    field(out, "used_memory_rss", info->used_memory_rss);
    human_field(out, "used_memory_rss_human", info->used_memory_rss);
    field(out, "total_system_memory", info->total_system_memory);
    human_field(out, "total_system_memory_human", info->total_system_memory);
    field(out, "maxmemory", info->maxmemory);
    human_field(out, "maxmemory_human", info->maxmemory);
    text_field(out, "maxmemory_policy", "allkeys-lru");
    text_field(out, "mem_allocator", info->huge_pages ? "slabs on huge pages" : "slabs");
}

static void write_persistence(const struct mkv_resp_info *info, struct mkv_text *out) {
    field(out, "loading", info->loading);
    if (info->loading) {
        mkv_text_format(out, "loading_loaded_perc:%llu.00\r\n",
                        (unsigned long long)info->loading_percent);
    }
    field(out, "async_loading", 0);
    field(out, "rdb_changes_since_last_save", 0);
    field(out, "rdb_bgsave_in_progress", 0);
    field(out, "rdb_last_save_time", info->last_save_s);
    text_field(out, "rdb_last_bgsave_status", "ok");
    field(out, "aof_enabled", 0);
}

static void write_stats(const struct mkv_resp_info *info, struct mkv_text *out) {
    field(out, "total_connections_received", info->total_connections_received);
    field(out, "total_commands_processed", info->total_commands_processed);
    field(out, "instantaneous_ops_per_sec", info->ops_per_s);
    field(out, "total_net_input_bytes", info->total_net_input_bytes);
    field(out, "total_net_output_bytes", info->total_net_output_bytes);
    field(out, "rejected_connections", info->rejected_connections);
    field(out, "expired_keys", info->expired_keys);
    field(out, "evicted_keys", info->evicted_keys);
    field(out, "keyspace_hits", info->keyspace_hits);
    field(out, "keyspace_misses", info->keyspace_misses);
}

static void write_replication(const struct mkv_resp_info *info, struct mkv_text *out) {
    (void)info;
    text_field(out, "role", "master");
    field(out, "connected_slaves", 0);
    field(out, "master_repl_offset", 0);
}

static void write_cpu(const struct mkv_resp_info *info, struct mkv_text *out) {
    mkv_text_format(out, "used_cpu_sys:%.6f\r\n", info->cpu_system_s);
    mkv_text_format(out, "used_cpu_user:%.6f\r\n", info->cpu_user_s);
}

static void write_commandstats(const struct mkv_resp_info *info, struct mkv_text *out) {
    for (uint32_t i = 0; i < info->command_count; i++) {
        const struct mkv_resp_info_command *command = &info->commands[i];
        if (command->calls == 0 && command->rejected_calls == 0) {
            continue;
        }
        const double us = (double)command->ns / 1000;
        mkv_text_format(out,
                        "cmdstat_%s:calls=%llu,usec=%.0f,usec_per_call=%.2f,"
                        "rejected_calls=%llu,failed_calls=%llu\r\n",
                        command->name, (unsigned long long)command->calls, us,
                        command->calls == 0 ? 0 : us / (double)command->calls,
                        (unsigned long long)command->rejected_calls,
                        (unsigned long long)command->failed_calls);
    }
}

static void write_cluster(const struct mkv_resp_info *info, struct mkv_text *out) {
    (void)info;
    field(out, "cluster_enabled", 0);
}

/* As Redis: without keys there is no line. */
static void write_keyspace(const struct mkv_resp_info *info, struct mkv_text *out) {
    if (info->keys > 0) {
        mkv_text_format(out, "db0:keys=%llu,expires=0,avg_ttl=0\r\n",
                        (unsigned long long)info->keys);
    }
}

static void write_memkv(const struct mkv_resp_info *info, struct mkv_text *out) {
    text_field(out, "node_id", info->node_id);
    text_field(out, "node_state", info->state);
    field(out, "drives", info->drives);
    field(out, "drives_online", info->drives_online);
    field(out, "drive_bytes_used", info->drive_bytes_used);
    field(out, "drive_bytes_usable", info->drive_bytes_usable);
    field(out, "hits_from_memory", info->keys_from_memory);
    field(out, "hits_from_drive", info->keys_from_drive);
    field(out, "leases", info->leases);
    field(out, "warnings", info->warnings);
}

/* In the order of Redis. */
static const struct {
    const char *name;
    bool by_default;
    section_writer *write;
} sections_all[] = {
    {"Server", true, write_server},   {"Clients", true, write_clients},
    {"Memory", true, write_memory},   {"Persistence", true, write_persistence},
    {"Stats", true, write_stats},     {"Replication", true, write_replication},
    {"CPU", true, write_cpu},         {"Commandstats", false, write_commandstats},
    {"Cluster", true, write_cluster}, {"Keyspace", true, write_keyspace},
    {"Memkv", true, write_memkv},
};

static bool is_wanted(const char *name, bool by_default, const struct mkv_resp_word *sections,
                      uint32_t section_count) {
    bool wanted = section_count == 0 && by_default;
    for (uint32_t i = 0; i < section_count && !wanted; i++) {
        wanted = mkv_resp_word_is(sections[i], name) || mkv_resp_word_is(sections[i], "all") ||
                 mkv_resp_word_is(sections[i], "everything") ||
                 (by_default && mkv_resp_word_is(sections[i], "default"));
    }
    return wanted;
}

void mkv_resp_info_write(const struct mkv_resp_info *info, const struct mkv_resp_word *sections,
                         uint32_t section_count, struct mkv_text *out) {
    MKV_ASSERT(info->command_count <= MKV_RESP_INFO_COMMANDS_MAX);
    bool first = true;
    for (size_t i = 0; i < sizeof sections_all / sizeof sections_all[0]; i++) {
        if (!is_wanted(sections_all[i].name, sections_all[i].by_default, sections, section_count) ||
            (info->is_proxy && sections_all[i].write == write_memkv)) {
            continue;
        }
        mkv_text_format(out, "%s# %s\r\n", first ? "" : "\r\n", sections_all[i].name);
        sections_all[i].write(info, out);
        first = false;
    }
}
