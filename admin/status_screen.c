/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/status_screen.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/field.h"

#define NUMBER_BYTES 32u
#define PAIR_BYTES 64u
#define BAR_CELLS 20u
#define COLUMN_BYTES 64u

struct size_unit {
    const char *name;
    double bytes;
};

static double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part / (double)whole;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static struct size_unit unit_for(uint64_t bytes) {
    static const struct size_unit units[] = {
        {"TiB", 1099511627776.0}, {"GiB", 1073741824.0}, {"MiB", 1048576.0}, {"KiB", 1024.0}};
    for (size_t index = 0; index < sizeof units / sizeof units[0]; index++) {
        if ((double)bytes >= units[index].bytes) {
            return units[index];
        }
    }
    return (struct size_unit){"B", 1};
}

static int decimals_of(const struct size_unit *unit) {
    return unit->bytes > 1 ? 2 : 0;
}

static void format_size(uint64_t bytes, char target[NUMBER_BYTES]) {
    const struct size_unit unit = unit_for(bytes);
    snprintf(target, NUMBER_BYTES, "%.*f %s", decimals_of(&unit), (double)bytes / unit.bytes,
             unit.name);
}

/* "35.23 / 38.30 TiB"; where the part is so small that it has another unit, "4.88 MiB / 3.94 GiB".
 */
static void format_pair(uint64_t part, uint64_t whole, const char *between,
                        char target[PAIR_BYTES]) {
    const struct size_unit unit = unit_for(whole);
    const int decimals = decimals_of(&unit);
    char start[NUMBER_BYTES];
    if (part > 0 && unit_for(part).bytes < unit.bytes) {
        format_size(part, start);
    } else {
        snprintf(start, sizeof start, "%.*f", decimals, (double)part / unit.bytes);
    }
    snprintf(target, PAIR_BYTES, "%s%s%.*f %s", start, between, decimals,
             (double)whole / unit.bytes, unit.name);
}

/* "3 693 112". */
static void format_count(uint64_t value, char target[NUMBER_BYTES]) {
    char digits[NUMBER_BYTES];
    const int count = snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t used = 0;
    for (int index = 0; index < count; index++) {
        if (index > 0 && (count - index) % 3 == 0) {
            target[used++] = ' ';
        }
        target[used++] = digits[index];
    }
    target[used] = '\0';
}

/* "6d 04:11", and with seconds below a day. */
static void format_duration(uint64_t seconds, char target[NUMBER_BYTES]) {
    const uint64_t days = seconds / 86400;
    const unsigned hours = (unsigned)(seconds / 3600 % 24);
    const unsigned minutes = (unsigned)(seconds / 60 % 60);
    if (days > 0) {
        snprintf(target, NUMBER_BYTES, "%" PRIu64 "d %02u:%02u", days, hours, minutes);
    } else {
        snprintf(target, NUMBER_BYTES, "%02u:%02u:%02u", hours, minutes, (unsigned)(seconds % 60));
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void append_node(const json_t *status, struct mkv_text *out) {
    const json_t *node = mkv_field(status, "node");
    char id[MKV_FIELD_TEXT_BYTES];
    char state[MKV_FIELD_TEXT_BYTES];
    char version[MKV_FIELD_TEXT_BYTES];
    char commit[MKV_FIELD_TEXT_BYTES];
    char reason[MKV_FIELD_TEXT_BYTES];
    char up[NUMBER_BYTES];
    mkv_field_text(node, "id", id);
    mkv_field_text(node, "state", state);
    mkv_field_text(node, "version", version);
    mkv_field_text(node, "commit", commit);
    mkv_field_text(node, "unready_reason", reason);
    format_duration(mkv_field_count(status, "uptime_seconds"), up);
    for (char *letter = state; *letter != '\0'; letter++) {
        *letter = (char)toupper((unsigned char)*letter);
    }
    mkv_text_format(out, "node %s  %s  ", id, state);
    if (json_is_true(mkv_field(node, "ready"))) {
        mkv_text_string(out, "ready");
    } else {
        mkv_text_format(out, "not ready: %s", reason);
    }
    mkv_text_format(out, "  up %s  memkv ", up);
    mkv_text_string(out, version);
    if (strcmp(commit, "-") != 0) {
        mkv_text_format(out, " (%s)", commit);
    }
    mkv_text_format(out, "  epoch %" PRIu64, mkv_field_count(node, "epoch"));
    mkv_field_text(node, "config_hash", commit);
    if (strcmp(commit, "-") != 0) {
        mkv_text_format(out, "  config %.4s", commit);
    }
    mkv_text_string(out, "\n");
}

/* How clients find the node, where it tells that it is there. */
static void append_cluster(const json_t *status, struct mkv_text *out) {
    const json_t *cluster = mkv_field(status, "cluster");
    char address[MKV_FIELD_TEXT_BYTES];
    char discovery[MKV_FIELD_TEXT_BYTES];
    char problem[MKV_FIELD_TEXT_BYTES];
    if (!json_is_object(cluster)) {
        return;
    }
    mkv_field_text(cluster, "address", address);
    mkv_field_text(cluster, "discovery", discovery);
    mkv_field_text(cluster, "problem", problem);
    const bool is_registered = json_is_true(mkv_field(cluster, "registered"));
    mkv_text_format(out, "cluster  %sregistered as %s  weight %" PRIu64 "  ",
                    is_registered ? "" : "not ", address, mkv_field_count(cluster, "weight"));
    mkv_text_string(out, discovery);
    if (!is_registered && strcmp(problem, "-") != 0) {
        mkv_text_string(out, ": ");
        mkv_text_string(out, problem);
    }
    mkv_text_string(out, "\n");
}

static void append_warnings(const json_t *status, struct mkv_text *out) {
    size_t index;
    const json_t *warning;
    json_array_foreach(mkv_field(status, "warnings"), index, warning) {
        char code[MKV_FIELD_TEXT_BYTES];
        char device[MKV_FIELD_TEXT_BYTES];
        char text[MKV_FIELD_TEXT_BYTES];
        mkv_field_text(warning, "code", code);
        mkv_field_text(warning, "device_id", device);
        mkv_text_format(out, "! %-18s  %s  ", code, strcmp(device, "-") == 0 ? "node" : device);
        mkv_field_text(warning, "message", text);
        mkv_text_string(out, text);
        mkv_field_text(warning, "since", text);
        mkv_text_format(out, ", since %s → ", text);
        mkv_field_text(warning, "action", text);
        mkv_text_string(out, text);
        mkv_text_string(out, "\n");
    }
}

static void append_bar(uint64_t part, uint64_t whole, struct mkv_text *out) {
    const double fill = share(part, whole);
    const uint32_t cells = fill > 1 ? BAR_CELLS : (uint32_t)(fill * BAR_CELLS);
    mkv_text_string(out, "[");
    for (uint32_t cell = 0; cell < BAR_CELLS; cell++) {
        mkv_text_string(out, cell < cells ? "#" : ".");
    }
    mkv_text_format(out, "] %.1f %%", 100 * fill);
}

/* "5 h 08 m", "3 d 04 h", "12 s". */
static void format_age(uint64_t seconds, char target[NUMBER_BYTES]) {
    if (seconds >= 86400) {
        snprintf(target, NUMBER_BYTES, "%" PRIu64 " d %02u h", seconds / 86400,
                 (unsigned)(seconds / 3600 % 24));
    } else if (seconds >= 3600) {
        snprintf(target, NUMBER_BYTES, "%" PRIu64 " h %02u m", seconds / 3600,
                 (unsigned)(seconds / 60 % 60));
    } else if (seconds >= 60) {
        snprintf(target, NUMBER_BYTES, "%" PRIu64 " m %02u s", seconds / 60,
                 (unsigned)(seconds % 60));
    } else {
        snprintf(target, NUMBER_BYTES, "%" PRIu64 " s", seconds);
    }
}

static void append_capacity(const json_t *status, struct mkv_text *out) {
    const json_t *storage = mkv_field(status, "storage");
    const json_t *residency = mkv_field(mkv_field(status, "recent"), "residency_seconds");
    const uint64_t used = mkv_field_count(storage, "used_bytes_total");
    const uint64_t usable = mkv_field_count(storage, "usable_bytes_total");
    char pair[PAIR_BYTES];
    char blocks[NUMBER_BYTES];
    char persisted[NUMBER_BYTES];
    format_pair(used, usable, " / ", pair);
    format_count(mkv_field_count(status, "blocks_total"), blocks);
    format_count(mkv_field_count(status, "blocks_persisted"), persisted);
    mkv_text_format(out, "capacity  %-23s ", pair);
    append_bar(used, usable, out);
    if (used > 0) {
        mkv_text_format(out, "   payload %.2f %% of used",
                        100 * share(mkv_field_count(storage, "payload_bytes_total"), used));
    }
    mkv_text_format(out, "\n          %s blocks · %s persisted", blocks, persisted);
    if (json_is_integer(residency)) {
        char age[NUMBER_BYTES];
        format_age((uint64_t)json_integer_value(residency), age);
        mkv_text_format(out, " · residency %s", age);
    }
    mkv_text_string(out, "\n");
}

static void append_memory(const json_t *status, struct mkv_text *out) {
    const json_t *memory = mkv_field(status, "memory");
    const uint64_t used = mkv_field_count(memory, "used_bytes");
    const uint64_t total = mkv_field_count(memory, "total_bytes");
    char pair[PAIR_BYTES];
    format_pair(used, total, " / ", pair);
    mkv_text_format(out, "memory    %-23s ", pair);
    append_bar(used, total, out);
    mkv_text_string(out, json_is_true(mkv_field(memory, "huge_pages")) ? "   huge pages 2 MiB\n"
                                                                       : "   normal pages\n");
}

/* "10m", "45s": how long the window of the recent figures is. */
static void format_window(const json_t *recent, char target[NUMBER_BYTES]) {
    const uint64_t seconds = mkv_field_count(recent, "window_seconds");
    snprintf(target, NUMBER_BYTES, "%" PRIu64 "%s", seconds < 60 ? seconds : seconds / 60,
             seconds < 60 ? "s" : "m");
}

static void append_hits(const json_t *status, struct mkv_text *out) {
    const json_t *recent = mkv_field(status, "recent");
    const uint64_t memory = mkv_field_count(recent, "memory_keys");
    const uint64_t drive = mkv_field_count(recent, "drive_keys");
    const uint64_t miss = mkv_field_count(recent, "miss_keys");
    const uint64_t sum = memory + drive + miss;
    char keys[NUMBER_BYTES];
    char window[NUMBER_BYTES];
    format_count(sum, keys);
    format_window(recent, window);
    mkv_text_format(out, "hit %-6s", window);
    if (sum == 0) {
        mkv_text_string(out, "no keys were asked for\n");
        return;
    }
    mkv_text_format(out, "memory %.1f %% · drive %.1f %% · miss %.1f %% of %s keys\n",
                    100 * share(memory, sum), 100 * share(drive, sum), 100 * share(miss, sum),
                    keys);
}

static void append_misses(const json_t *status, struct mkv_text *out) {
    const json_t *recent = mkv_field(status, "recent");
    const uint64_t sum = mkv_field_count(recent, "miss_keys");
    mkv_text_string(out, "misses    ");
    const char *between = "";
    const char *reason;
    json_t *keys;
    json_object_foreach(json_object_get(recent, "misses"), reason, keys) {
        const json_int_t count = json_integer_value(keys);
        if (count <= 0) {
            continue;
        }
        char clean[COLUMN_BYTES];
        mkv_text_clean(reason, clean, sizeof clean);
        for (char *letter = clean; *letter != '\0'; letter++) {
            *letter = *letter == '_' ? ' ' : *letter;
        }
        mkv_text_format(out, "%s%s %.0f %%", between, clean, 100 * share((uint64_t)count, sum));
        between = " · ";
    }
    mkv_text_string(out, between[0] == '\0' ? "none\n" : "\n");
}

/* How many connections go on over TCP instead of RDMA, and why most of them do. */
static void append_fallbacks(const json_t *rdma, struct mkv_text *out) {
    uint64_t sum = 0;
    uint64_t most = 0;
    char most_reason[PAIR_BYTES] = "";
    const char *reason;
    json_t *value;
    json_object_foreach(json_object_get(rdma, "fallbacks"), reason, value) {
        const uint64_t count = mkv_field_count(mkv_field(rdma, "fallbacks"), reason);
        sum += count;
        if (count > most) {
            most = count;
            mkv_text_clean(reason, most_reason, sizeof most_reason);
        }
    }
    if (sum > 0) {
        mkv_text_format(out, "%" PRIu64 " fallback%s: %s · ", sum, sum == 1 ? "" : "s",
                        most_reason);
    }
}

static void append_fabric(const json_t *status, struct mkv_text *out) {
    static const char *const names[] = {"rdma", "tcp", "shm"};
    const json_t *rdma = mkv_field(status, "rdma");
    mkv_text_string(out, "fabric    ");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *fabric = mkv_field(mkv_field(status, "fabric"), names[i]);
        const bool is_tcp = strcmp(names[i], "tcp") == 0;
        const bool is_lost =
            strcmp(names[i], "rdma") == 0 && json_is_false(json_object_get(rdma, "active"));
        char in[NUMBER_BYTES];
        char sent[NUMBER_BYTES];
        if (!is_tcp && fabric == NULL) {
            continue; /* there is no such listener */
        }
        format_size(mkv_field_count(fabric, "bytes_in"), in);
        format_size(mkv_field_count(fabric, "bytes_out"), sent);
        mkv_text_format(out, "%s%s %" PRIu64 " connections · in %s · out %s · ", names[i],
                        is_lost ? " down," : "", mkv_field_count(fabric, "active_connections"), in,
                        sent);
        if (is_tcp) {
            append_fallbacks(rdma, out);
        }
    }
    mkv_text_format(out, "%" PRIu64 " requests in flight",
                    mkv_field_count(mkv_field(status, "requests"), "in_flight"));
    const uint64_t view_count = mkv_field_count(mkv_field(status, "ring"), "views");
    if (view_count > 0) {
        mkv_text_format(out, " · ring views %" PRIu64, view_count);
    }
    mkv_text_string(out, "\n");
}

static void append_journal(const json_t *status, struct mkv_text *out) {
    char fullest_name[MKV_FIELD_TEXT_BYTES] = "-";
    double fullest = -1;
    uint64_t youngest = UINT64_MAX;
    size_t index;
    const json_t *drive;
    json_array_foreach(mkv_field(status, "journal"), index, drive) {
        const double fill =
            share(mkv_field_count(drive, "lag"), mkv_field_count(drive, "ring_blocks"));
        if (fill > fullest) {
            fullest = fill;
            mkv_field_text(drive, "device_id", fullest_name);
        }
        if (json_is_integer(mkv_field(drive, "checkpoint_age_seconds"))) {
            youngest = mkv_min_u64(youngest, mkv_field_count(drive, "checkpoint_age_seconds"));
        }
    }
    mkv_text_format(out, "journal   fullest %s %.1f %% · ", fullest_name,
                    fullest < 0 ? 0 : 100 * fullest);
    if (youngest == UINT64_MAX) {
        mkv_text_string(out, "no checkpoint since the start\n");
        return;
    }
    char age[NUMBER_BYTES];
    format_age(youngest, age);
    mkv_text_format(out, "checkpoint %s ago\n", age);
}

/* ---- the table of drives --------------------------------------------------------------------- */

static int widest_name(const json_t *devices) {
    size_t widest = strlen("DRIVE");
    size_t index;
    const json_t *device;
    json_array_foreach(devices, index, device) {
        char name[MKV_FIELD_TEXT_BYTES];
        mkv_field_text(device, "device_id", name);
        const size_t width = strlen(name);
        widest = width > widest ? width : widest;
    }
    return (int)mkv_min_u64(widest, COLUMN_BYTES);
}

/* Megabytes a second. */
static void format_rate(const json_t *recent, const char *name, char target[NUMBER_BYTES]) {
    const double rate = (double)mkv_field_count(recent, name) / 1e6;
    snprintf(target, NUMBER_BYTES, "%.*f", rate > 0 && rate < 10 ? 1 : 0, rate);
}

static void format_latency(const json_t *recent, const char *name, char target[NUMBER_BYTES]) {
    const uint64_t us = mkv_field_count(recent, name);
    if (us == 0) {
        snprintf(target, NUMBER_BYTES, "-");
    } else if (us < 1000) {
        snprintf(target, NUMBER_BYTES, "%" PRIu64 " us", us);
    } else {
        snprintf(target, NUMBER_BYTES, "%.1f ms", (double)us / 1000);
    }
}

static void append_drive(const json_t *device, int name_width, struct mkv_text *out) {
    const uint64_t used = mkv_field_count(device, "used_bytes");
    const uint64_t usable = mkv_field_count(device, "usable_bytes");
    const json_t *recent = mkv_field(device, "recent");
    char name[MKV_FIELD_TEXT_BYTES];
    char state[MKV_FIELD_TEXT_BYTES];
    char text[MKV_FIELD_TEXT_BYTES];
    char pair[PAIR_BYTES];
    char read[NUMBER_BYTES];
    char written[NUMBER_BYTES];
    char read_p99[NUMBER_BYTES];
    char write_p99[NUMBER_BYTES];
    mkv_field_text(device, "device_id", name);
    mkv_field_text(device, "state", state);
    format_pair(used, usable, "/", pair);
    format_rate(recent, "read_bytes_per_second", read);
    format_rate(recent, "write_bytes_per_second", written);
    format_latency(recent, "read_p99_us", read_p99);
    format_latency(recent, "write_p99_us", write_p99);
    mkv_text_format(out, "%-*s  %-10s %19s %5.1f %%  %9s %10s %9s %9s %4" PRIu64 "  ", name_width,
                    name, state, pair, 100 * share(used, usable), read, written, read_p99,
                    write_p99, mkv_field_count(device, "errors"));
    mkv_field_text(device, "model", text);
    if (strcmp(text, "-") == 0) {
        mkv_field_text(device, "path", text);
        mkv_text_string(out, text);
    } else {
        mkv_text_string(out, text);
        mkv_field_text(device, "serial", text);
        mkv_text_format(out, " (%s)", text);
    }
    mkv_text_string(out, "\n");
}

static void append_drives(const json_t *status, struct mkv_text *out) {
    const json_t *devices = mkv_field(mkv_field(status, "storage"), "devices");
    const int name_width = widest_name(devices);
    mkv_text_format(out, "\n%-*s  %-10s %19s %7s  %9s %10s %9s %9s %4s  %s\n", name_width, "DRIVE",
                    "STATE", "USED/USABLE", "", "READ MB/s", "WRITE MB/s", "READ p99", "WRITE p99",
                    "ERR", "MODEL (SERIAL) OR PATH");
    size_t index;
    const json_t *device;
    json_array_foreach(devices, index, device) {
        append_drive(device, name_width, out);
    }
}

/* ---- the table of tenants -------------------------------------------------------------------- */

static void append_tenant(const json_t *tenant, struct mkv_text *out) {
    const json_t *recent = mkv_field(tenant, "recent");
    const uint64_t found = mkv_field_count(recent, "found_keys");
    const uint64_t keys = found + mkv_field_count(recent, "missed_keys");
    const double evicted = json_number_value(mkv_field(recent, "evicted_per_second"));
    const double caused = json_number_value(mkv_field(recent, "caused_per_second"));
    char name[MKV_FIELD_TEXT_BYTES];
    char bytes[NUMBER_BYTES];
    char quota[NUMBER_BYTES] = "-";
    char blocks[NUMBER_BYTES];
    char hit[NUMBER_BYTES] = "-";
    mkv_field_text(tenant, "tenant", name);
    format_size(mkv_field_count(tenant, "used_bytes"), bytes);
    if (json_is_integer(mkv_field(tenant, "quota_bytes"))) {
        format_size(mkv_field_count(tenant, "quota_bytes"), quota);
    }
    format_count(mkv_field_count(tenant, "blocks"), blocks);
    if (keys > 0) {
        snprintf(hit, sizeof hit, "%.0f %%", 100 * share(found, keys));
    }
    mkv_text_format(out, "%-20s %12s %12s %13s %6s %10.1f %9.1f%s\n", name, bytes, quota, blocks,
                    hit, evicted, caused, caused > evicted ? "  ← evicts others" : "");
}

static void append_tenants(const json_t *status, struct mkv_text *out) {
    const json_t *tenants = mkv_field(status, "tenants");
    const uint64_t all = mkv_field_count(status, "tenants_total");
    if (json_array_size(tenants) == 0) {
        return; /* nothing serves yet */
    }
    mkv_text_format(out, "\n%-20s %12s %12s %13s %6s %10s %9s\n", "TENANT", "BYTES", "QUOTA",
                    "BLOCKS", "HIT", "EVICTED/s", "CAUSED/s");
    size_t index;
    const json_t *tenant;
    json_array_foreach(tenants, index, tenant) {
        append_tenant(tenant, out);
    }
    if (all > json_array_size(tenants)) {
        mkv_text_format(out, "and %" PRIu64 " more: memkv admin tenants\n",
                        all - (uint64_t)json_array_size(tenants));
    }
}

void mkv_status_screen(const json_t *status, struct mkv_text *out) {
    append_node(status, out);
    append_cluster(status, out);
    append_warnings(status, out);
    mkv_text_string(out, "\n");
    append_capacity(status, out);
    append_memory(status, out);
    append_hits(status, out);
    append_misses(status, out);
    append_fabric(status, out);
    append_journal(status, out);
    append_drives(status, out);
    append_tenants(status, out);
}
