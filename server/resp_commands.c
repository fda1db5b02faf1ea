/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backends/clock.h"
#include "server/resp_commands_internal.h"

#define ERROR_BYTES_MAX 512u

struct mkv_resp_commands *mkv_resp_commands_create(const struct mkv_resp_node *node) {
    MKV_ASSERT(node->provider->observed != NULL && node->provider->why != NULL);
    MKV_ASSERT(node->provider->config != NULL);
    struct mkv_resp_commands *commands = calloc(1, sizeof *commands);
    if (commands == NULL) {
        return NULL;
    }
    commands->node = *node;
    commands->cursors = mkv_resp_cursors_create();
    if (commands->cursors == NULL) {
        free(commands);
        return NULL;
    }
    /* Without the kernel's random bytes the id is all zeroes, which harms nobody. */
    uint8_t random[(MKV_RESP_RUN_ID_BYTES - 1) / 2] = {0};
    (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(commands->run_id + 2 * i, 3, "%02x", random[i]);
    }
    return commands;
}

void mkv_resp_commands_destroy(struct mkv_resp_commands *commands) {
    if (commands != NULL) {
        mkv_resp_cursors_destroy(commands->cursors);
        free(commands);
    }
}

/* ---- for all of them ------------------------------------------------------------------------- */

void mkv_resp_run_error(const struct mkv_resp_run *run, const char *format, ...) {
    char text[ERROR_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mkv_resp_write_error(run->writer, text);
}

void mkv_resp_run_syntax_error(const struct mkv_resp_run *run) {
    mkv_resp_write_error(run->writer, "ERR syntax error");
}

void mkv_resp_run_no_memory(const struct mkv_resp_run *run) {
    mkv_resp_write_error(run->writer, "ERR no memory for the answer. Free memory on the server");
}

bool mkv_resp_run_integer(const struct mkv_resp_run *run, uint32_t word, int64_t *value) {
    if (mkv_resp_integer_parse(run->words[word].bytes, run->words[word].count, value)) {
        return true;
    }
    mkv_resp_write_error(run->writer, "ERR value is not an integer or out of range");
    return false;
}

/* ---- those that need only a line ------------------------------------------------------------- */

static void run_time(const struct mkv_resp_run *run) {
    const uint64_t now_us = mkv_clock_wall_ms() * 1000;
    char text[24];
    mkv_resp_write_array(run->writer, 2);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_us / 1000000));
    mkv_resp_write_text(run->writer, text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_us % 1000000));
    mkv_resp_write_text(run->writer, text);
}

static void run_command(const struct mkv_resp_run *run) {
    mkv_resp_command_reply(run->words, run->word_count, run->writer);
}

static void run_no_cluster(const struct mkv_resp_run *run) {
    mkv_resp_write_error(run->writer, "ERR This instance has cluster support disabled");
}

static void run_config_set(const struct mkv_resp_run *run) {
    mkv_resp_run_error(run,
                       "ERR settings cannot be changed by CONFIG SET. Change the configuration "
                       "file, and have it read again or restart the server");
}

static void run_config_resetstat(const struct mkv_resp_run *run) {
    mkv_resp_run_error(run,
                       "ERR counters cannot be reset: they only go up, so that whoever scrapes "
                       "them sees no gap. Take differences");
}

static void run_latency_latest(const struct mkv_resp_run *run) {
    mkv_resp_write_array(run->writer, 0);
}

static void run_latency_reset(const struct mkv_resp_run *run) {
    mkv_resp_write_integer(run->writer, 0);
}

/* ---- which is which -------------------------------------------------------------------------- */

struct entry {
    const char *name;
    bool is_quick;
    void (*run)(const struct mkv_resp_run *run);
};

static const struct entry entries[] = {
    {"cluster", true, run_no_cluster},
    {"command", true, run_command},
    {"command|count", true, run_command},
    {"command|docs", true, run_command},
    {"command|info", true, run_command},
    {"command|list", true, run_command},
    {"config|get", false, mkv_resp_run_config_get},
    {"config|resetstat", true, run_config_resetstat},
    {"config|set", true, run_config_set},
    {"dbsize", false, mkv_resp_run_dbsize},
    {"flushall", false, mkv_resp_run_flush},
    {"flushdb", false, mkv_resp_run_flush},
    {"hotkeys", false, mkv_resp_run_hotkeys},
    {"info", false, mkv_resp_run_info},
    {"lastsave", false, mkv_resp_run_lastsave},
    {"latency|histogram", false, mkv_resp_run_latency_histogram},
    {"latency|latest", true, run_latency_latest},
    {"latency|reset", true, run_latency_reset},
    {"memory|usage", false, mkv_resp_run_memory_usage},
    {"object|encoding", false, mkv_resp_run_object},
    {"object|freq", false, mkv_resp_run_object},
    {"object|refcount", false, mkv_resp_run_object},
    {"readonly", true, run_no_cluster},
    {"readwrite", true, run_no_cluster},
    {"scan", false, mkv_resp_run_scan},
    {"slowlog|get", false, mkv_resp_run_slowlog},
    {"slowlog|len", false, mkv_resp_run_slowlog},
    {"slowlog|reset", false, mkv_resp_run_slowlog},
    {"stats.latency", false, mkv_resp_run_stats_latency},
    {"stats.memory", false, mkv_resp_run_stats_memory},
    {"time", true, run_time},
};

static const struct entry *entry_of(const struct mkv_resp_command_row *row) {
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (strcmp(entries[i].name, row->name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

bool mkv_resp_commands_has(const struct mkv_resp_command_row *row) {
    return entry_of(row) != NULL;
}

bool mkv_resp_commands_is_quick(const struct mkv_resp_command_row *row) {
    const struct entry *entry = entry_of(row);
    MKV_ASSERT(entry != NULL);
    return entry->is_quick;
}

void mkv_resp_commands_run(struct mkv_resp_commands *commands,
                           const struct mkv_resp_command_row *row, const struct mkv_resp_who *who,
                           const struct mkv_resp_word *words, uint32_t word_count,
                           struct mkv_resp_writer *writer) {
    const struct entry *entry = entry_of(row);
    MKV_ASSERT(entry != NULL);
    const struct mkv_resp_run run = {
        .commands = commands,
        .row = row,
        .who = who,
        .words = words,
        .word_count = word_count,
        .writer = writer,
    };
    const uint32_t begin = writer->length;
    entry->run(&run);
    if (writer->overflowed) {
        /* I1: what was begun is taken back. */
        writer->length = begin;
        writer->overflowed = false;
        mkv_resp_write_error(writer, "ERR the reply is too long. Ask for less");
    }
    MKV_ASSERT(writer->length > begin);
}
