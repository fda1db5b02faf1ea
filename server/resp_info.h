/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of INFO, from a struct of plain figures: the sections and fields that tools of Redis
 * read, each with the meaning that it has there, and a section of ours.
 *
 *   # Server\r\n
 *   redis_version:7.2.0\r\n
 *   ...
 *   \r\n
 *   # Clients\r\n
 *
 * Invariants
 *  I1  A field stands once, and only in a section that was asked for.
 *  I2  A text in it has neither CR nor LF.
 *
 * Not responsible for: where the figures come from (server/resp_view.h).
 */
#ifndef MKV_SERVER_RESP_INFO_H
#define MKV_SERVER_RESP_INFO_H

#include "admin/text.h"
#include "server/resp_command_table.h"

/* The version of Redis whose commands and replies are spoken. */
#define MKV_RESP_REDIS_VERSION "7.2.0"

#define MKV_RESP_INFO_COMMANDS_MAX 128u

struct mkv_resp_info_command {
    const char *name; /* "get", "client|id" */
    uint64_t calls;
    uint64_t ns;
    uint64_t rejected_calls; /* refused before they were carried out */
    uint64_t failed_calls;   /* answered with an error */
};

struct mkv_resp_info {
    bool is_proxy; /* it has no section Memkv */
    /* Server */
    char memkv_version[64];
    char commit[64];
    char node_id[64];
    char os[256];
    char run_id[41];
    char state[32];
    uint64_t process_id;
    uint64_t tcp_port;
    uint64_t server_time_us; /* Unix time */
    uint64_t uptime_s;
    /* Clients */
    uint64_t connected_clients;
    uint64_t connections_max;
    uint64_t blocked_clients;
    /* Memory */
    uint64_t used_memory;
    uint64_t used_memory_rss;
    uint64_t total_system_memory;
    uint64_t maxmemory;
    bool huge_pages;
    /* Persistence */
    bool loading;
    uint64_t loading_percent;
    uint64_t last_save_s; /* Unix time */
    /* Stats */
    uint64_t total_connections_received;
    uint64_t rejected_connections;
    uint64_t total_commands_processed;
    uint64_t ops_per_s;
    uint64_t total_net_input_bytes;
    uint64_t total_net_output_bytes;
    uint64_t keyspace_hits;
    uint64_t keyspace_misses;
    uint64_t evicted_keys;
    uint64_t expired_keys;
    /* CPU */
    double cpu_user_s;
    double cpu_system_s;
    /* Keyspace */
    uint64_t keys;
    /* Memkv */
    uint64_t drives;
    uint64_t drives_online;
    uint64_t drive_bytes_used;
    uint64_t drive_bytes_usable;
    uint64_t keys_from_memory;
    uint64_t keys_from_drive;
    uint64_t leases;
    uint64_t warnings;
    uint32_t command_count;
    struct mkv_resp_info_command commands[MKV_RESP_INFO_COMMANDS_MAX];
};

/* `sections` are the arguments of INFO: none for the default ones; names, "all", "everything" and
 * "default", whatever their case. Names that there are not add nothing. */
void mkv_resp_info_write(const struct mkv_resp_info *info, const struct mkv_resp_word *sections,
                         uint32_t section_count, struct mkv_text *out);

#endif
