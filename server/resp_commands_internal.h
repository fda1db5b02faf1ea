/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the commands share.
 *
 *   resp_commands.c   which is which, and those that need only a line
 *   resp_keys.c       keys: SCAN, DBSIZE, FLUSHDB, OBJECT, MEMORY USAGE
 *   resp_observed.c   what the observer keeps: HOTKEYS, STATS.LATENCY, SLOWLOG, LATENCY
 *   resp_view.c       snapshots: INFO, CONFIG GET, STATS.MEMORY, LASTSAVE
 *
 * Not responsible for: anything outside these files.
 */
#ifndef MKV_SERVER_RESP_COMMANDS_INTERNAL_H
#define MKV_SERVER_RESP_COMMANDS_INTERNAL_H

#include "server/resp_commands.h"
#include "server/resp_cursors.h"
#include "server/resp_info.h"

#define MKV_RESP_RUN_ID_BYTES 41u

struct mkv_resp_commands {
    struct mkv_resp_node node;
    char run_id[MKV_RESP_RUN_ID_BYTES];
    struct mkv_resp_cursors *cursors;
    uint64_t slow_hidden_ms; /* slow requests up to this time are hidden from SLOWLOG */
    /* What a rate is made of: at the INFO before. */
    uint64_t rate_ns;
    uint64_t rate_calls;
    uint64_t ops_per_s;
};

/* One run. */
struct mkv_resp_run {
    struct mkv_resp_commands *commands;
    const struct mkv_resp_command_row *row;
    const struct mkv_resp_who *who;
    const struct mkv_resp_word *words;
    uint32_t word_count;
    struct mkv_resp_writer *writer;
};

/* An integer argument; false when an error was written. */
bool mkv_resp_run_integer(const struct mkv_resp_run *run, uint32_t word, int64_t *value);
/* "ERR …" */
__attribute__((format(printf, 2, 3))) void mkv_resp_run_error(const struct mkv_resp_run *run,
                                                              const char *format, ...);
void mkv_resp_run_syntax_error(const struct mkv_resp_run *run);
void mkv_resp_run_no_memory(const struct mkv_resp_run *run);

void mkv_resp_run_scan(const struct mkv_resp_run *run);
void mkv_resp_run_dbsize(const struct mkv_resp_run *run);
void mkv_resp_run_flush(const struct mkv_resp_run *run);
void mkv_resp_run_object(const struct mkv_resp_run *run);
void mkv_resp_run_memory_usage(const struct mkv_resp_run *run);

void mkv_resp_run_hotkeys(const struct mkv_resp_run *run);
void mkv_resp_run_stats_latency(const struct mkv_resp_run *run);
void mkv_resp_run_latency_histogram(const struct mkv_resp_run *run);
void mkv_resp_run_slowlog(const struct mkv_resp_run *run);

void mkv_resp_run_info(const struct mkv_resp_run *run);
void mkv_resp_run_config_get(const struct mkv_resp_run *run);
void mkv_resp_run_stats_memory(const struct mkv_resp_run *run);
void mkv_resp_run_lastsave(const struct mkv_resp_run *run);

#endif
