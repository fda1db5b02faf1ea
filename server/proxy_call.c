/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of RESP that move no data. Those that ask for the keys, the drives or the statistics of
 * a server are refused by their name: a proxy has none of these, and a sum over servers, one of
 * which may be away, would look complete when it is not.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "admin/process.h"
#include "backends/clock.h"
#include "client/servers_state.h"
#include "server/proxy_internal.h"
#include "server/resp_calls.h"
#include "server/resp_clients.h"
#include "server/resp_glob.h"
#include "server/version.h"

#define NS_PER_S 1000000000ull
#define RATE_NS_MIN NS_PER_S
#define ERROR_BYTES_MAX 256u

/* One run. */
struct run {
    struct mkv_proxy *proxy;
    struct mkv_resp_call *call;
    const struct mkv_resp_command_row *row;
    const struct mkv_resp_word *words;
    uint32_t word_count;
};

/* ---- INFO ------------------------------------------------------------------------------------ */

static void fill_machine(struct mkv_resp_info *info) {
    struct utsname name;
    struct rusage usage;
    struct mkv_admin_process process;
    if (uname(&name) == 0) {
        char text[sizeof info->os];
        snprintf(text, sizeof text, "%.64s %.64s %.64s", name.sysname, name.release, name.machine);
        mkv_text_clean(text, info->os, sizeof info->os);
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        info->cpu_user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
        info->cpu_system_s = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    }
    mkv_admin_process_read(&process);
    info->used_memory_rss = process.resident_bytes;
    info->process_id = (uint64_t)getpid();
    info->total_system_memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void fill_commands(struct mkv_proxy *proxy, struct mkv_resp_info *info) {
    info->command_count = mkv_resp_calls_gather(proxy->resp, proxy->own, info->commands);
    for (uint32_t i = 0; i < info->command_count; i++) {
        info->total_commands_processed += info->commands[i].calls;
    }
}

/* Calls a second since the INFO before, if that is a while ago. */
static uint64_t ops_per_s(struct mkv_proxy *proxy, uint64_t calls, uint64_t now_ns) {
    const uint64_t past_ns = now_ns - proxy->rate_ns;
    if (past_ns >= RATE_NS_MIN) {
        proxy->ops_per_s =
            (uint64_t)((double)(calls - proxy->rate_calls) * (double)NS_PER_S / (double)past_ns);
        proxy->rate_ns = now_ns;
        proxy->rate_calls = calls;
    }
    return proxy->ops_per_s;
}

static void fill_info(struct mkv_proxy *proxy, struct mkv_resp_info *info) {
    const struct mkv_fabric_counters *fabric = proxy->fabric->ops->counters(proxy->fabric);
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    struct mkv_proxy_counters counters;
    mkv_proxy_counters(proxy, &counters);
    *info = (struct mkv_resp_info){.is_proxy = true};
    mkv_text_clean(mkv_version(), info->memkv_version, sizeof info->memkv_version);
    mkv_text_clean(mkv_version_commit(), info->commit, sizeof info->commit);
    memcpy(info->run_id, proxy->run_id, sizeof info->run_id);
    info->tcp_port = mkv_proxy_port(proxy);
    info->server_time_us = mkv_clock_wall_ms() * 1000;
    info->uptime_s = (now_ns - counters.started_ns) / NS_PER_S;
    info->connected_clients = fabric->connections_active;
    info->total_connections_received = fabric->connections_accepted_total;
    info->rejected_connections = fabric->connections_rejected_total;
    info->connections_max = proxy->options.connections_max;
    info->used_memory = counters.memory_used;
    info->maxmemory = counters.memory_bytes;
    info->huge_pages = mkv_arena_map(proxy->arena)->huge;
    info->total_net_input_bytes = fabric->received_bytes_total;
    info->total_net_output_bytes = fabric->sent_bytes_total;
    info->keyspace_hits = counters.hits;
    for (uint32_t i = 0; i < MKV_PROXY_MISS_COUNT; i++) {
        info->keyspace_misses += counters.misses[i];
    }
    fill_machine(info);
    fill_commands(proxy, info);
    info->ops_per_s = ops_per_s(proxy, info->total_commands_processed, now_ns);
}

/* What a proxy has besides. */
static void write_proxy(struct mkv_proxy *proxy, struct mkv_text *out) {
    struct mkv_proxy_counters counters;
    struct mkv_client_server servers[MKV_CLIENT_SERVERS_MAX];
    const uint32_t count = mkv_client_servers(proxy->client, servers, MKV_CLIENT_SERVERS_MAX);
    uint32_t up = 0;
    mkv_proxy_counters(proxy, &counters);
    for (uint32_t i = 0; i < count; i++) {
        up += servers[i].is_up ? 1 : 0;
    }
    mkv_text_format(out, "%s# Proxy\r\n", out->count == 0 ? "" : "\r\n");
    mkv_text_format(out, "servers:%u\r\nservers_up:%u\r\n", count, up);
    for (uint32_t i = 0; i < count; i++) {
        mkv_text_format(out, "server%u:address=%s,weight=%u,state=%s\r\n", i, servers[i].address,
                        servers[i].weight, servers[i].is_up ? "up" : "down");
    }
    mkv_text_format(out, "keys_under_way:%llu\r\n", (unsigned long long)counters.under_way);
    mkv_text_format(out, "misses_server:%llu\r\nmisses_server_down:%llu\r\n",
                    (unsigned long long)counters.misses[MKV_PROXY_MISS_SERVER],
                    (unsigned long long)counters.misses[MKV_PROXY_MISS_SERVER_DOWN]);
    mkv_text_format(out, "misses_deadline:%llu\r\nmisses_corrupt:%llu\r\n",
                    (unsigned long long)counters.misses[MKV_PROXY_MISS_DEADLINE],
                    (unsigned long long)counters.misses[MKV_PROXY_MISS_CORRUPT]);
    mkv_text_format(out, "memory_waits:%llu\r\n", (unsigned long long)counters.memory_waits);
}

static bool wants_proxy(const struct run *run) {
    bool wanted = run->word_count == 1;
    for (uint32_t i = 1; i < run->word_count && !wanted; i++) {
        const struct mkv_resp_word word = run->words[i];
        wanted = mkv_resp_word_is(word, "proxy") || mkv_resp_word_is(word, "default") ||
                 mkv_resp_word_is(word, "all") || mkv_resp_word_is(word, "everything");
    }
    return wanted;
}

static void run_info(const struct run *run) {
    struct mkv_text text = {0};
    fill_info(run->proxy, &run->proxy->info);
    mkv_resp_info_write(&run->proxy->info, run->words + 1, run->word_count - 1, &text);
    if (wants_proxy(run)) {
        write_proxy(run->proxy, &text);
    }
    mkv_resp_write_verbatim(&run->call->reply, text.count == 0 ? "" : text.bytes,
                            (uint32_t)text.count);
    mkv_text_free(&text);
}

/* ---- CONFIG GET ------------------------------------------------------------------------------ */

#define SETTINGS_MAX 16u

struct setting {
    const char *name;
    char value[24];
};

static void set_number(struct setting *setting, const char *name, uint64_t value) {
    setting->name = name;
    snprintf(setting->value, sizeof setting->value, "%llu", (unsigned long long)value);
}

static bool is_wanted(const struct run *run, const char *text) {
    const struct mkv_resp_bytes name = {(const uint8_t *)text, (uint32_t)strlen(text)};
    bool wanted = false;
    for (uint32_t i = 2; i < run->word_count && !wanted; i++) {
        const struct mkv_resp_bytes pattern = {run->words[i].bytes, run->words[i].count};
        wanted = mkv_resp_glob_matches(pattern, name, true);
    }
    return wanted;
}

/* What tools of Redis ask for. */
static void run_config_get(const struct run *run) {
    const struct mkv_proxy *proxy = run->proxy;
    struct setting settings[SETTINGS_MAX] = {
        {"appendonly", "no"}, {"cluster-enabled", "no"},
        {"databases", "1"},   {"maxmemory-policy", "allkeys-lru"},
        {"save", ""},         {"timeout", "0"},
    };
    uint32_t count = 6;
    uint32_t wanted = 0;
    set_number(&settings[count++], "maxclients", proxy->options.connections_max);
    set_number(&settings[count++], "port", mkv_proxy_port(proxy));
    set_number(&settings[count++], "proto-max-bulk-len", proxy->value_bytes_max);
    MKV_ASSERT(count <= SETTINGS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        wanted += is_wanted(run, settings[i].name);
    }
    mkv_resp_write_map(&run->call->reply, wanted);
    for (uint32_t i = 0; i < count; i++) {
        if (is_wanted(run, settings[i].name)) {
            mkv_resp_write_text(&run->call->reply, settings[i].name);
            mkv_resp_write_text(&run->call->reply, settings[i].value);
        }
    }
}

/* ---- those that need only a line ------------------------------------------------------------- */

static void run_command(const struct run *run) {
    mkv_resp_command_reply(run->words, run->word_count, &run->call->reply);
}

static void run_time(const struct run *run) {
    const uint64_t now_ms = mkv_clock_wall_ms();
    char text[24];
    mkv_resp_write_array(&run->call->reply, 2);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_ms / 1000));
    mkv_resp_write_text(&run->call->reply, text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_ms % 1000 * 1000));
    mkv_resp_write_text(&run->call->reply, text);
}

static void run_no_cluster(const struct run *run) {
    mkv_resp_write_error(&run->call->reply, "ERR This instance has cluster support disabled");
}

static void run_config_set(const struct run *run) {
    mkv_resp_write_error(&run->call->reply,
                         "ERR settings cannot be changed by CONFIG SET. Start the proxy with other "
                         "options");
}

static void refuse(const struct run *run) {
    char name[64];
    char text[ERROR_BYTES_MAX];
    snprintf(name, sizeof name, "%s", run->row->name);
    for (char *at = name; *at != '\0'; at++) {
        *at = *at == '|' ? ' ' : *at;
    }
    snprintf(text, sizeof text,
             "ERR '%s' is not served by a proxy, which has no keys of its own. Send it to a server",
             name);
    mkv_resp_write_error(&run->call->reply, text);
}

struct entry {
    const char *name;
    void (*run)(const struct run *run);
};

static const struct entry entries[] = {
    {"cluster", run_no_cluster},
    {"command", run_command},
    {"command|count", run_command},
    {"command|docs", run_command},
    {"command|info", run_command},
    {"command|list", run_command},
    {"config|get", run_config_get},
    {"config|set", run_config_set},
    {"info", run_info},
    {"readonly", run_no_cluster},
    {"readwrite", run_no_cluster},
    {"time", run_time},
    /* Of keys, drives and statistics that are a server's. */
    {"config|resetstat", refuse},
    {"dbsize", refuse},
    {"flushall", refuse},
    {"flushdb", refuse},
    {"hotkeys", refuse},
    {"lastsave", refuse},
    {"latency|histogram", refuse},
    {"latency|latest", refuse},
    {"latency|reset", refuse},
    {"memory|usage", refuse},
    {"object|encoding", refuse},
    {"object|freq", refuse},
    {"object|refcount", refuse},
    {"scan", refuse},
    {"slowlog|get", refuse},
    {"slowlog|len", refuse},
    {"slowlog|reset", refuse},
    {"stats.latency", refuse},
    {"stats.memory", refuse},
};

static const struct entry *entry_of(const struct mkv_resp_command_row *row) {
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (strcmp(entries[i].name, row->name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

/* ---- CLIENT ---------------------------------------------------------------------------------- */

/* All connections are of this thread. */
static void look_at_own(void *context,
                        void (*look)(void *look_context, struct mkv_fabric_resp *fabric),
                        void *look_context) {
    struct mkv_proxy *proxy = context;
    look(look_context, proxy->resp);
}

static void run_client(const struct run *run) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    if (!mkv_resp_clients_is_of_all(run->row)) {
        mkv_resp_clients_run(run->proxy->resp, run->call, run->row, run->words, now_ns);
        return;
    }
    const struct mkv_resp_clients_question question = {
        .asker = run->call->connection,
        .words = run->words,
        .word_count = run->word_count,
        .now_ns = now_ns,
        .each = look_at_own,
        .context = run->proxy,
    };
    run->call->closes = mkv_resp_clients_ask(&question, run->row, &run->call->reply);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool may(const struct run *run) {
    const bool is_kill = strcmp(run->row->name, "client|kill") == 0;
    if (!is_kill || mkv_fabric_auth_may(run->call->session, MKV_FABRIC_RIGHT_ADMIN)) {
        return true;
    }
    char text[ERROR_BYTES_MAX];
    snprintf(text, sizeof text, "NOPERM User %s has no permissions to run the '%s' command",
             run->call->session->user[0] == '\0' ? "default" : run->call->session->user,
             run->row->name);
    mkv_resp_write_error(&run->call->reply, text);
    return false;
}

enum mkv_resp_called mkv_proxy_call(void *context, struct mkv_resp_call *call) {
    struct mkv_proxy *proxy = context;
    struct mkv_resp_word words[MKV_FABRIC_RESP_ARGUMENTS_MAX];
    const uint64_t begun_ns = mkv_clock_monotonic_ns();
    MKV_ASSERT(call->argument_count <= MKV_FABRIC_RESP_ARGUMENTS_MAX);
    for (uint32_t i = 0; i < call->argument_count; i++) {
        words[i] = (struct mkv_resp_word){call->arguments[i].bytes, call->arguments[i].byte_count};
    }
    struct run run = {.proxy = proxy, .call = call, .words = words};
    run.word_count = call->argument_count;
    run.row = mkv_resp_command_check(words, call->argument_count, &call->reply);
    const struct mkv_resp_command_row *row =
        run.row != NULL ? run.row : mkv_resp_command_find(words, call->argument_count);
    if (run.row == NULL || !may(&run)) {
        if (row != NULL) {
            proxy->own[row - mkv_resp_command_rows].rejected_calls++;
        }
        return MKV_RESP_CALL_DONE;
    }
    const struct entry *entry = entry_of(row);
    if (row->parent != NULL && strcmp(row->parent, "client") == 0) {
        run_client(&run);
    } else if (entry != NULL) {
        entry->run(&run);
    } else {
        return MKV_RESP_CALL_UNKNOWN; /* the fabric's own */
    }
    struct mkv_resp_info_command *figures = &proxy->own[row - mkv_resp_command_rows];
    figures->calls++;
    figures->ns += mkv_clock_monotonic_ns() - begun_ns;
    figures->failed_calls += call->reply.length > 0 && call->reply.bytes[0] == '-';
    return MKV_RESP_CALL_DONE;
}
