/* SPDX-License-Identifier: Apache-2.0 */
#include "server/host_check.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/host_check_internal.h"

const char *const mkv_host_check_names[] = {
    "kernel",      "io_uring",    "memlock",  "files",    "hugepages",    "transparent",
    "clock",       "clocksource", "governor", "numa",     "rdma_library", "rdma_device",
    "rdma_access", "rdma_port",   "rdma_mtu", "rdma_gid", "pfc",          "dscp",
    "ecn",         "dma_buf",     "path_mtu", NULL,
};

static const char *const words[] = {
    [MKV_HOST_PASS] = "pass", [MKV_HOST_WARN] = "warn", [MKV_HOST_FAIL] = "fail"};

/* ---- rows ----------------------------------------------------------------------------------- */

void mkv_host_row(struct mkv_host_report *report, const char *check, const char *subject,
                  enum mkv_host_word word, const char *remedy, const char *seen, ...) {
    char text[MKV_HOST_SEEN_BYTES];
    MKV_ASSERT(word == MKV_HOST_PASS || remedy[0] != '\0');
    if (report->count == MKV_HOST_ROWS_MAX) {
        return;
    }
    struct mkv_host_row *row = &report->rows[report->count];
    report->count++;
    va_list arguments;
    va_start(arguments, seen);
    vsnprintf(text, sizeof text, seen, arguments);
    va_end(arguments);
    row->check = check;
    row->word = word;
    mkv_text_clean(subject, row->subject, sizeof row->subject);
    mkv_text_clean(text, row->seen, sizeof row->seen);
    mkv_text_clean(word == MKV_HOST_PASS ? "" : remedy, row->remedy, sizeof row->remedy);
}

const char *mkv_host_word_name(enum mkv_host_word word) {
    return words[word];
}

uint32_t mkv_host_count(const struct mkv_host_report *report, enum mkv_host_word word) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < report->count; i++) {
        count += report->rows[i].word == word ? 1 : 0;
    }
    return count;
}

json_t *mkv_host_json(const struct mkv_host_report *report) {
    json_t *checks = json_array();
    for (uint32_t i = 0; i < report->count; i++) {
        const struct mkv_host_row *row = &report->rows[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s, s:s}", "check", row->check,
                                                "on", row->subject, "result", words[row->word],
                                                "seen", row->seen, "remedy", row->remedy));
    }
    return json_pack("{s:o, s:I, s:I, s:I}", "checks", checks, "passed",
                     (json_int_t)mkv_host_count(report, MKV_HOST_PASS), "warned",
                     (json_int_t)mkv_host_count(report, MKV_HOST_WARN), "failed",
                     (json_int_t)mkv_host_count(report, MKV_HOST_FAIL));
}

static const char *text_in(const json_t *object, const char *name,
                           char clean[MKV_HOST_REMEDY_BYTES]) {
    const char *text = json_string_value(json_object_get(object, name));
    mkv_text_clean(text == NULL ? "" : text, clean, MKV_HOST_REMEDY_BYTES);
    return clean;
}

static long long number_in(const json_t *object, const char *name) {
    return (long long)json_integer_value(json_object_get(object, name));
}

void mkv_host_text(const json_t *host, struct mkv_text *out) {
    const json_t *checks = json_object_get(host, "checks");
    int widths[2] = {(int)strlen("CHECK"), (int)strlen("ON")};
    char clean[5][MKV_HOST_REMEDY_BYTES];
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *row = json_array_get(checks, i);
        const int own[2] = {(int)strlen(text_in(row, "check", clean[0])),
                            (int)strlen(text_in(row, "on", clean[1]))};
        for (int column = 0; column < 2; column++) {
            widths[column] = own[column] > widths[column] ? own[column] : widths[column];
        }
    }
    mkv_text_format(out, "RESULT  %-*s  %-*s  SEEN\n", widths[0], "CHECK", widths[1], "ON");
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *row = json_array_get(checks, i);
        const char *on = text_in(row, "on", clean[1]);
        mkv_text_format(out, "%-6s  %-*s  %-*s  %s\n", text_in(row, "result", clean[2]), widths[0],
                        text_in(row, "check", clean[0]), widths[1], on[0] == '\0' ? "-" : on,
                        text_in(row, "seen", clean[3]));
        if (text_in(row, "remedy", clean[4])[0] != '\0') {
            mkv_text_format(out, "        do: %s\n", clean[4]);
        }
    }
    mkv_text_format(out, "%lld failed, %lld warned, %lld passed\n", number_in(host, "failed"),
                    number_in(host, "warned"), number_in(host, "passed"));
}

/* ---- reading -------------------------------------------------------------------------------- */

static void trim(char *line) {
    size_t begin = 0;
    while (isspace((unsigned char)line[begin])) {
        begin++;
    }
    size_t bytes = strlen(line + begin);
    memmove(line, line + begin, bytes + 1);
    while (bytes > 0 && isspace((unsigned char)line[bytes - 1])) {
        bytes--;
    }
    line[bytes] = '\0';
}

bool mkv_host_line_of(const char *root, const char *path, const char *begin,
                      char out[MKV_HOST_LINE_BYTES]) {
    char full[MKV_HOST_PATH_BYTES];
    const size_t begin_bytes = strlen(begin);
    snprintf(full, sizeof full, "%.400s/%.300s", root, path);
    FILE *file = fopen(full, "re");
    bool found = false;
    while (file != NULL && !found && fgets(out, MKV_HOST_LINE_BYTES, file) != NULL) {
        found = strncmp(out, begin, begin_bytes) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    if (!found) {
        out[0] = '\0';
        return false;
    }
    memmove(out, out + begin_bytes, strlen(out + begin_bytes) + 1);
    trim(out);
    return out[0] != '\0';
}

bool mkv_host_line(const char *root, const char *path, char out[MKV_HOST_LINE_BYTES]) {
    return mkv_host_line_of(root, path, "", out);
}

bool mkv_host_list_has(const char *list, uint32_t number) {
    const char *at = list;
    while (isdigit((unsigned char)*at)) {
        char *end;
        const unsigned long first = strtoul(at, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            last = strtoul(end + 1, &end, 10);
        }
        if (number >= first && number <= last) {
            return true;
        }
        at = *end == ',' ? end + 1 : "";
    }
    return false;
}

bool mkv_host_limit(const struct mkv_host *host, const char *name, uint64_t *limit) {
    char line[MKV_HOST_LINE_BYTES];
    char hard[32];
    *limit = 0;
    if (!mkv_host_line_of(host->sources->roots.proc, "self/limits", name, line) ||
        sscanf(line, "%*s %31s", hard) != 1) {
        return false;
    }
    *limit = strcmp(hard, "unlimited") == 0 ? UINT64_MAX : strtoull(hard, NULL, 10);
    return true;
}

/* ---- all ------------------------------------------------------------------------------------ */

void mkv_host_check(const struct mkv_host_sources *sources, struct mkv_host_report *report) {
    static void (*const checks[])(struct mkv_host * host) = {
        mkv_host_check_kernel, mkv_host_check_io_uring,     mkv_host_check_memlock,
        mkv_host_check_files,  mkv_host_check_hugepages,    mkv_host_check_transparent,
        mkv_host_check_clock,  mkv_host_check_clock_source, mkv_host_check_governor,
        mkv_host_check_numa,   mkv_host_check_library,      mkv_host_check_device,
        mkv_host_check_access, mkv_host_check_port,         mkv_host_check_mtu,
        mkv_host_check_gid,    mkv_host_check_priorities,   mkv_host_check_ecn,
        mkv_host_check_dmabuf,
    };
    struct mkv_host host = {.sources = sources, .report = report};
    if (!sources->is_rdma_off) {
        host.port_count = mkv_rdma_list(&sources->roots, host.ports, MKV_RDMA_PORTS_MAX);
    }
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        checks[i](&host);
    }
}
