/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_filter.h"

#include <stdio.h>
#include <string.h>

#include "server/config_text.h"

#define LEVEL_COUNT 5u
/* Longer than the longest name of a target with its '=' and level. */
#define ENTRY_BYTES 64u
/* More entries than there are names of targets and of what they begin with. */
#define ENTRIES_MAX 18u
#define LEVELS "error, warn, info, debug or trace"

const char *const mkv_log_targets[MKV_LOG_TARGET_COUNT] = {
    [MKV_LOG_ADMIN] = "admin",
    [MKV_LOG_ADMIN_OTLP] = "admin.otlp",
    [MKV_LOG_CORE_DIRECTORY] = "core.directory",
    [MKV_LOG_CORE_FRONT] = "core.front",
    [MKV_LOG_CORE_JOURNAL] = "core.journal",
    [MKV_LOG_CORE_VOLUME] = "core.volume",
    [MKV_LOG_DRIVE] = "drive",
    [MKV_LOG_FABRIC] = "fabric",
    [MKV_LOG_FABRIC_RDMA] = "fabric.rdma",
    [MKV_LOG_SERVER_AUTH] = "server.auth",
    [MKV_LOG_SERVER_CLUSTER] = "server.cluster",
    [MKV_LOG_SERVER_LOG] = "server.log",
    [MKV_LOG_SERVER_NODE] = "server.node",
    [MKV_LOG_SERVER_RECORD] = "server.record",
    [MKV_LOG_TELEMETRY] = "telemetry",
};

static const char *const level_words[LEVEL_COUNT] = {
    [MKV_CONFIG_LOG_ERROR] = "error", [MKV_CONFIG_LOG_WARN] = "warn",
    [MKV_CONFIG_LOG_INFO] = "info",   [MKV_CONFIG_LOG_DEBUG] = "debug",
    [MKV_CONFIG_LOG_TRACE] = "trace",
};

struct entry {
    char name[ENTRY_BYTES]; /* "" for all targets */
    enum mkv_config_log_level level;
};

enum mkv_log_target mkv_log_target_find(const char *name) {
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        if (strcmp(mkv_log_targets[target], name) == 0) {
            return (enum mkv_log_target)target;
        }
    }
    return MKV_LOG_SERVER_NODE;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool level_parse(const char *word, enum mkv_config_log_level *level) {
    for (uint32_t i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(level_words[i], word) == 0) {
            *level = (enum mkv_config_log_level)i;
            return true;
        }
    }
    return false;
}

static bool name_fits(const char *name, const char *target) {
    const size_t bytes = strlen(name);
    return bytes == 0 ||
           (strncmp(name, target, bytes) == 0 && (target[bytes] == '\0' || target[bytes] == '.'));
}

static bool name_is_known(const char *name) {
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        if (name_fits(name, mkv_log_targets[target])) {
            return true;
        }
    }
    return false;
}

static bool refuse_name(const char *name, char problem[MKV_LOG_FILTER_PROBLEM_BYTES]) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(name, quoted);
    const char *guess = NULL;
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT && guess == NULL; target++) {
        guess = mkv_config_is_slip(name, mkv_log_targets[target]) ? mkv_log_targets[target] : NULL;
    }
    if (guess != NULL) {
        snprintf(problem, MKV_LOG_FILTER_PROBLEM_BYTES,
                 "'%s' is no target of the log, did you mean '%s'?", quoted, guess);
    } else {
        snprintf(problem, MKV_LOG_FILTER_PROBLEM_BYTES,
                 "'%s' is no target of the log; docs/logs.md lists them", quoted);
    }
    return false;
}

/* One entry of the filter, without spaces around it: LEVEL, or NAME=LEVEL. */
static bool entry_parse(char *text, struct entry *entry,
                        char problem[MKV_LOG_FILTER_PROBLEM_BYTES]) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    char *equals = strchr(text, '=');
    const char *level = equals == NULL ? text : equals + 1;
    if (!level_parse(level, &entry->level)) {
        mkv_config_quote(text, quoted);
        snprintf(problem, MKV_LOG_FILTER_PROBLEM_BYTES,
                 equals == NULL && strchr(text, '.') != NULL
                     ? "'%s' has no level; use TARGET=LEVEL with " LEVELS
                     : "'%s' names no level; use " LEVELS,
                 quoted);
        return false;
    }
    entry->name[0] = '\0';
    if (equals == NULL) {
        return true;
    }
    *equals = '\0';
    if (text[0] == '\0' || !name_is_known(text)) {
        return refuse_name(text, problem);
    }
    memcpy(entry->name, text, strlen(text) + 1);
    return true;
}

/* The next entry of a list with commas, without the spaces around it; moves on. */
static bool entry_next(const char **text, char out[ENTRY_BYTES],
                       char problem[MKV_LOG_FILTER_PROBLEM_BYTES]) {
    const char *start = *text + strspn(*text, " ");
    size_t bytes = strcspn(start, ",");
    *text = start + bytes + (start[bytes] == ',' ? 1 : 0);
    while (bytes > 0 && start[bytes - 1] == ' ') {
        bytes--;
    }
    if (bytes == 0 || bytes >= ENTRY_BYTES) {
        snprintf(problem, MKV_LOG_FILTER_PROBLEM_BYTES,
                 bytes == 0
                     ? "an entry is empty; use LEVEL or TARGET=LEVEL, with commas between them"
                     : "an entry is too long; use LEVEL or TARGET=LEVEL");
        return false;
    }
    memcpy(out, start, bytes);
    out[bytes] = '\0';
    return true;
}

bool mkv_log_filter_parse(const char *text, struct mkv_log_filter *filter,
                          char problem[MKV_LOG_FILTER_PROBLEM_BYTES]) {
    struct entry entries[ENTRIES_MAX];
    uint32_t count = 0;
    /* A comma at the end is followed by one more entry, which is empty. */
    for (bool more = true; more;) {
        char piece[ENTRY_BYTES];
        more = strchr(text, ',') != NULL;
        if (!entry_next(&text, piece, problem)) {
            return false;
        }
        if (count == ENTRIES_MAX) {
            snprintf(problem, MKV_LOG_FILTER_PROBLEM_BYTES, "there are more than %u entries",
                     ENTRIES_MAX);
            return false;
        }
        if (!entry_parse(piece, &entries[count], problem)) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (strcmp(entries[i].name, entries[count].name) == 0) {
                snprintf(problem, MKV_LOG_FILTER_PROBLEM_BYTES,
                         "%s%.40s has two levels; give it one",
                         entries[i].name[0] == '\0' ? "the rest" : "target ", entries[i].name);
                return false;
            }
        }
        count++;
    }
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        size_t best_bytes = 0;
        filter->levels[target] = MKV_CONFIG_LOG_INFO;
        for (uint32_t i = 0; i < count; i++) {
            if (strlen(entries[i].name) >= best_bytes &&
                name_fits(entries[i].name, mkv_log_targets[target])) {
                best_bytes = strlen(entries[i].name);
                filter->levels[target] = entries[i].level;
            }
        }
    }
    return true;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Whether a target has to be named: its level is another than that of the rest, or a target whose
 * name fits it, too, is named. */
static bool is_named(const struct mkv_log_filter *filter, uint32_t target, uint32_t common) {
    for (uint32_t other = 0; other < MKV_LOG_TARGET_COUNT; other++) {
        if (filter->levels[other] != (enum mkv_config_log_level)common &&
            name_fits(mkv_log_targets[other], mkv_log_targets[target])) {
            return true;
        }
    }
    return false;
}

void mkv_log_filter_format(const struct mkv_log_filter *filter,
                           char out[MKV_LOG_FILTER_TEXT_BYTES]) {
    /* The level that most targets have stands alone; the lowest of those that are equal. */
    uint32_t counts[LEVEL_COUNT] = {0};
    uint32_t common = 0;
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        counts[filter->levels[target]]++;
    }
    for (uint32_t level = 1; level < LEVEL_COUNT; level++) {
        common = counts[level] > counts[common] ? level : common;
    }
    int bytes = snprintf(out, MKV_LOG_FILTER_TEXT_BYTES, "%s", level_words[common]);
    for (uint32_t target = 0; target < MKV_LOG_TARGET_COUNT; target++) {
        if (is_named(filter, target, common)) {
            bytes += snprintf(out + bytes, MKV_LOG_FILTER_TEXT_BYTES - (size_t)bytes, ",%s=%s",
                              mkv_log_targets[target], level_words[filter->levels[target]]);
            MKV_ASSERT(bytes < (int)MKV_LOG_FILTER_TEXT_BYTES);
        }
    }
}
