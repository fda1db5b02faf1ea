/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/table.h"

#define TEXT_BYTES 768u
/* Codes that are warnings of the node, too. */
#define NO_SHARED_HITS "NO_SHARED_HITS"
#define JOURNAL_NEARLY_FULL "JOURNAL_NEARLY_FULL"
/* Figures below this many keys or requests say nothing yet. */
#define KEYS_MIN 1000.0
#define SLOW_MIN 16u
#define HIT_RATIO_LOW 0.5
#define UNKNOWN_SHARE 0.95
#define EVICTED_SHARE 0.3
#define JOURNAL_FULL 0.8
#define QUOTA_NEAR 0.98
#define STAGE_SHARE 0.5
#define DRIVE_SHARE 0.6

const char *const mkv_doctor_severities[MKV_DOCTOR_SEVERITY_COUNT + 1] = {"critical", "warning",
                                                                          "note", NULL};

struct doctor {
    const json_t *parts;
    json_t *findings;
};

__attribute__((format(printf, 6, 7))) static void find(struct doctor *doctor,
                                                       enum mkv_doctor_severity severity,
                                                       const char *code, const char *message,
                                                       const char *action, const char *evidence,
                                                       ...) {
    char text[TEXT_BYTES];
    char clean[3][TEXT_BYTES];
    va_list arguments;
    va_start(arguments, evidence);
    vsnprintf(text, sizeof text, evidence, arguments);
    va_end(arguments);
    mkv_text_clean(message, clean[0], TEXT_BYTES);
    mkv_text_clean(text, clean[1], TEXT_BYTES);
    mkv_text_clean(action, clean[2], TEXT_BYTES);
    if (json_array_size(doctor->findings) < MKV_DOCTOR_FINDINGS_MAX) {
        json_array_append_new(doctor->findings,
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "severity",
                                        mkv_doctor_severities[severity], "code", code, "message",
                                        clean[0], "evidence", clean[1], "action", clean[2]));
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A member of a part: "lookups.misses.unknown" of "status". */
static const json_t *at(const struct doctor *doctor, const char *part, const char *path) {
    const json_t *value = json_object_get(doctor->parts, part);
    char name[64];
    while (*path != '\0' && value != NULL) {
        const size_t bytes = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)bytes, path);
        value = json_object_get(value, name);
        path += bytes + (path[bytes] == '.');
    }
    return value;
}

static double number_at(const struct doctor *doctor, const char *part, const char *path) {
    return json_number_value(at(doctor, part, path));
}

static const char *text_in(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static double number_in(const json_t *object, const char *name) {
    return json_number_value(json_object_get(object, name));
}

/* The content of a file of /v1/system, "" when it is not there. */
static const char *system_file(const struct doctor *doctor, const char *path) {
    const json_t *files = at(doctor, "system", "files");
    const char *text = json_string_value(json_object_get(files, path));
    return text == NULL ? "" : text;
}

/* The sum of the samples of a family in the exposition. */
static double metric_sum(const struct doctor *doctor, const char *family) {
    const char *text = json_string_value(json_object_get(doctor->parts, "metrics"));
    const size_t bytes = strlen(family);
    double sum = 0;
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *next = strchr(line, '\n');
        if (strncmp(line, family, bytes) == 0 && (line[bytes] == '{' || line[bytes] == ' ')) {
            const char *end = next == NULL ? line + strlen(line) : next;
            const char *value = end;
            while (value > line && value[-1] != ' ') {
                value--;
            }
            sum += strtod(value, NULL);
        }
        line = next == NULL ? NULL : next + 1;
    }
    return sum;
}

/* ---- the node -------------------------------------------------------------------------------- */

static void rule_not_ready(struct doctor *doctor) {
    const json_t *node = at(doctor, "status", "node");
    if (json_is_false(json_object_get(node, "ready"))) {
        find(doctor, MKV_DOCTOR_CRITICAL, "NOT_READY", "the node takes no requests",
             "the reason says what it waits for: recovering ends by itself, drives_missing and "
             "no_writable_drive need the drives of memkv admin warnings, stalled a restart",
             "reason %s, state %s", text_in(node, "unready_reason"), text_in(node, "state"));
    }
}

static enum mkv_doctor_severity severity_of(const char *code) {
    static const char *const critical[] = {"DRIVE_OFFLINE", "DRIVES_MISSING", "CAME_UP_EMPTY",
                                           "SHARD_STALLED", "JOURNAL_NEARLY_FULL"};
    for (size_t i = 0; i < sizeof critical / sizeof critical[0]; i++) {
        if (strcmp(code, critical[i]) == 0) {
            return MKV_DOCTOR_CRITICAL;
        }
    }
    return MKV_DOCTOR_WARNING;
}

static bool has_warning(const struct doctor *doctor, const char *code) {
    const json_t *warnings = at(doctor, "status", "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        if (strcmp(text_in(json_array_get(warnings, i), "code"), code) == 0) {
            return true;
        }
    }
    return false;
}

/* The key prefixes of the first two clients that have some: "a: x y | b: z". */
static void prefixes_of_two(const struct doctor *doctor, char text[TEXT_BYTES]) {
    const json_t *clients = at(doctor, "clients", "clients");
    size_t used = 0;
    unsigned shown = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(clients) && shown < 2; i++) {
        const json_t *client = json_array_get(clients, i);
        const json_t *prefixes = json_object_get(client, "key_prefixes");
        if (json_array_size(prefixes) == 0 || used >= TEXT_BYTES - 1) {
            continue;
        }
        used += (size_t)snprintf(text + used, TEXT_BYTES - used, "; %.60s asks for",
                                 text_in(client, "address"));
        for (size_t j = 0; j < json_array_size(prefixes) && used < TEXT_BYTES - 1; j++) {
            const char *prefix = json_string_value(json_array_get(prefixes, j));
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, " %.70s",
                                     prefix == NULL ? "?" : prefix);
        }
        shown++;
    }
}

static void rule_warnings(struct doctor *doctor) {
    const json_t *warnings = at(doctor, "status", "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const json_t *warning = json_array_get(warnings, i);
        const char *code = text_in(warning, "code");
        char clean[64];
        mkv_text_clean(code[0] == '\0' ? "WARNING" : code, clean, sizeof clean);
        char prefixes[TEXT_BYTES] = "";
        if (strcmp(code, NO_SHARED_HITS) == 0) {
            prefixes_of_two(doctor, prefixes);
        }
        find(doctor, severity_of(code), clean, text_in(warning, "message"),
             text_in(warning, "action"), "a warning of the node since %.40s%.600s",
             text_in(warning, "since"), prefixes);
    }
}

/* ---- drives ---------------------------------------------------------------------------------- */

static void rule_drives(struct doctor *doctor) {
    const json_t *devices = at(doctor, "status", "storage.devices");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        if (number_in(device, "errors") > 0) {
            find(doctor, MKV_DOCTOR_CRITICAL, "DRIVE_ERRORS", "operations of a drive failed",
                 "look at dmesg and the drive's health (smartctl, nvme smart-log); replace it if "
                 "it goes on",
                 "drive %s: %.0f failed operations", text_in(device, "device_id"),
                 number_in(device, "errors"));
        }
    }
}

static void rule_checksums(struct doctor *doctor) {
    const double failures = metric_sum(doctor, "memkv_checksum_failures_total");
    if (failures > 0) {
        find(doctor, MKV_DOCTOR_CRITICAL, "CHECKSUM_FAILURES",
             "content came back from a drive otherwise than it was written; it was dropped, and "
             "never served",
             "memkv admin logs names the drive; check its cable, firmware and memory",
             "memkv_checksum_failures_total is %.0f", failures);
    }
}

static void rule_journal(struct doctor *doctor) {
    const json_t *journals = at(doctor, "status", "journal");
    for (size_t i = 0; i < json_array_size(journals); i++) {
        const json_t *journal = json_array_get(journals, i);
        const double ring = number_in(journal, "ring_blocks");
        const double lag = number_in(journal, "lag");
        const char *directory = text_in(journal, "directory");
        if (ring > 0 && lag / ring > JOURNAL_FULL && !has_warning(doctor, JOURNAL_NEARLY_FULL)) {
            find(doctor, MKV_DOCTOR_CRITICAL, JOURNAL_NEARLY_FULL,
                 "the journal of a drive is nearly full: puts will wait for its checkpoint",
                 "see memkv admin slow for what keeps the drive busy; fewer small puts, or drives "
                 "that write faster",
                 "drive %s: %.0f of %.0f blocks are not in a checkpoint",
                 text_in(journal, "device_id"), lag, ring);
        }
        if (strcmp(directory, "off") == 0 || strcmp(directory, "full") == 0) {
            find(doctor, MKV_DOCTOR_WARNING, "DIRECTORY_DOWN",
                 "keys of a drive cannot be listed; blocks are served all the same",
                 "off: look at memkv admin logs and restart; full: delete keys, or let them leave",
                 "drive %s: the directory is %s", text_in(journal, "device_id"), directory);
        }
    }
}

static void rule_lost_puts(struct doctor *doctor) {
    const double lost = number_at(doctor, "status", "memory.relaxed_puts_lost");
    if (lost > 0) {
        find(doctor, MKV_DOCTOR_CRITICAL, "RELAXED_PUTS_LOST",
             "blocks that were acknowledged from memory could not be written to their drive",
             "see the drives in memkv admin status; ask for durable puts where this matters",
             "%.0f puts", lost);
    }
}

/* ---- slow requests --------------------------------------------------------------------------- */

/* Adds what slow requests spent by a name of theirs. */
static void add_to(json_t *sums, const char *name, double value) {
    const double before = json_number_value(json_object_get(sums, name));
    json_object_set_new(sums, name, json_real(before + value));
}

static const char *greatest(const json_t *sums, double *value, double *total) {
    const char *name;
    const char *top = NULL;
    json_t *entry;
    *value = 0;
    *total = 0;
    json_object_foreach((json_t *)(uintptr_t)sums, name, entry) {
        const double own = json_number_value(entry);
        *total += own;
        if (top == NULL || own > *value) {
            top = name;
            *value = own;
        }
    }
    return top;
}

static const char *action_of_stage(const char *stage) {
    static const struct {
        const char *stage;
        const char *action;
    } actions[] = {
        {"read", "the drives are slow to read: see memkv_device_io_duration_seconds by drive; more "
                 "memory, or more drives"},
        {"write", "the drives are slow to write: see memkv_device_io_duration_seconds by drive; "
                  "drives with power-loss protection, or fewer puts"},
        {"flush", "flushes are slow: use drives with power-loss protection, or relaxed puts"},
        {"wait_slab", "requests wait for memory: raise memory.max_size, or send fewer at a time"},
        {"push", "clients take their bytes slowly: look at the network and at the clients"},
        {"pull", "clients send their bytes slowly: look at the network and at the clients"},
        {"reply", "clients take their answers slowly: look at the network and at the clients"},
    };
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].stage, stage) == 0) {
            return actions[i].action;
        }
    }
    return "see memkv admin slow and docs/operations.md";
}

static void rule_slow(struct doctor *doctor) {
    const json_t *requests = at(doctor, "slow", "requests");
    const size_t count = json_array_size(requests);
    json_t *stages = json_object();
    json_t *drives = json_object();
    for (size_t i = 0; i < count; i++) {
        const json_t *request = json_array_get(requests, i);
        const char *stage;
        json_t *ms;
        json_object_foreach(json_object_get(request, "stages_ms"), stage, ms) {
            add_to(stages, stage, json_number_value(ms));
        }
        if (number_in(request, "drive_ms") > 0) {
            add_to(drives, text_in(request, "drive"), number_in(request, "drive_ms"));
        }
    }
    double most;
    double total;
    const char *stage = greatest(stages, &most, &total);
    if (count >= SLOW_MIN && stage != NULL && total > 0 && most / total > STAGE_SHARE) {
        find(doctor, MKV_DOCTOR_WARNING, "SLOW_REQUESTS", "slow requests have one cause in common",
             action_of_stage(stage),
             "%zu slow requests spent %.0f %% of their time in the stage %s", count,
             100 * most / total, stage);
    }
    const char *drive = greatest(drives, &most, &total);
    if (count >= SLOW_MIN && json_array_size(at(doctor, "status", "storage.devices")) > 1 &&
        drive != NULL && total > 0 && most / total > DRIVE_SHARE) {
        find(doctor, MKV_DOCTOR_WARNING, "ONE_DRIVE_SLOW",
             "one drive is what slow requests wait for",
             "compare its latencies with its siblings' in the metrics; check its health",
             "drive %s has %.0f %% of the time that slow requests spent at drives", drive,
             100 * most / total);
    }
    json_decref(stages);
    json_decref(drives);
}

/* ---- hits and misses ------------------------------------------------------------------------- */

struct lookups {
    double hits;
    double misses;
};

static struct lookups lookups_of(const struct doctor *doctor) {
    return (struct lookups){
        .hits = number_at(doctor, "status", "lookups.memory_keys") +
                number_at(doctor, "status", "lookups.drive_keys"),
        .misses = number_at(doctor, "status", "lookups.miss_keys"),
    };
}

static bool shares_nothing(const struct doctor *doctor, const struct lookups *lookups) {
    const double unknown = number_at(doctor, "status", "lookups.misses.unknown");
    return number_at(doctor, "status", "blocks_total") >= KEYS_MIN && lookups->misses >= KEYS_MIN &&
           unknown / lookups->misses > UNKNOWN_SHARE &&
           lookups->hits / (lookups->hits + lookups->misses) < 0.01;
}

static void rule_hits(struct doctor *doctor) {
    const struct lookups lookups = lookups_of(doctor);
    const double asked = lookups.hits + lookups.misses;
    if (has_warning(doctor, NO_SHARED_HITS)) {
        return;
    }
    if (shares_nothing(doctor, &lookups)) {
        char prefixes[TEXT_BYTES];
        prefixes_of_two(doctor, prefixes);
        find(doctor, MKV_DOCTOR_WARNING, NO_SHARED_HITS,
             "blocks are stored and nobody asks for them again: clients make other keys",
             "set the same PYTHONHASHSEED for every client, and compare model names, block sizes "
             "and tenants",
             "%.0f keys asked for, %.0f found%.600s", asked, lookups.hits, prefixes);
        return;
    }
    if (asked < KEYS_MIN || lookups.hits / asked >= HIT_RATIO_LOW) {
        return;
    }
    double most;
    double total;
    const char *reason = greatest(at(doctor, "status", "lookups.misses"), &most, &total);
    find(
        doctor, MKV_DOCTOR_WARNING, "HIT_RATIO_LOW", "few of the keys that are asked for are there",
        "by reason: unknown: clients ask for what nobody stored (memkv admin clients, why); "
        "evicted: the drives are too small for what is used again; expired: longer expiries; "
        "drive_offline: see the warnings",
        "%.1f %% of %.0f keys were found; %.0f %% of the misses are %s", 100 * lookups.hits / asked,
        asked, total > 0 ? 100 * most / total : 0, reason == NULL ? "-" : reason);
}

static void rule_misses(struct doctor *doctor) {
    static const struct {
        const char *reason;
        const char *code;
        const char *message;
        const char *action;
        double share; /* of the misses; 0: any */
        enum mkv_doctor_severity severity;
    } rows[] = {
        {"io_error", "READS_FAILED", "reads of blocks failed",
         "see the drives in memkv admin status, and dmesg", 0, MKV_DOCTOR_CRITICAL},
        {"overloaded", "OVERLOADED", "requests found no room in the node",
         "raise memory.max_size, or send fewer at a time; see memkv admin slow", 0,
         MKV_DOCTOR_WARNING},
        {"deadline", "DEADLINES_MISSED", "lookups ended at their deadline as misses",
         "see memkv admin slow for where the time goes, or give requests more of it", 0,
         MKV_DOCTOR_WARNING},
        {"evicted", "EVICTED_TOO_SOON", "many misses are of blocks that were evicted",
         "add drives; give tenants that crowd others out a quota; name tiers for what matters",
         EVICTED_SHARE, MKV_DOCTOR_WARNING},
    };
    const double misses = number_at(doctor, "status", "lookups.miss_keys");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "lookups.misses.%s", rows[i].reason);
        const double own = number_at(doctor, "status", path);
        const bool enough =
            rows[i].share > 0 ? misses >= KEYS_MIN && own / misses > rows[i].share : own > 0;
        if (enough) {
            find(doctor, rows[i].severity, rows[i].code, rows[i].message, rows[i].action,
                 "%.0f of %.0f missed keys were %s", own, misses, rows[i].reason);
        }
    }
}

static void rule_quotas(struct doctor *doctor) {
    const json_t *tenants = at(doctor, "status", "tenants");
    for (size_t i = 0; i < json_array_size(tenants); i++) {
        const json_t *tenant = json_array_get(tenants, i);
        const double quota = number_in(tenant, "quota_bytes");
        const double used = number_in(tenant, "used_bytes");
        if (quota > 0 && used / quota > QUOTA_NEAR) {
            char sizes[2][MKV_TABLE_SIZE_BYTES];
            mkv_table_size((uint64_t)used, sizes[0]);
            mkv_table_size((uint64_t)quota, sizes[1]);
            find(doctor, MKV_DOCTOR_NOTE, "TENANT_AT_QUOTA",
                 "a tenant has all that its quota allows: its puts take the place of its own "
                 "blocks",
                 "raise its quota in tenants.quotas, if that is not meant",
                 "tenant %.80s: %s of %s", text_in(tenant, "tenant"), sizes[0], sizes[1]);
        }
    }
}

/* ---- watching -------------------------------------------------------------------------------- */

static void rule_drops(struct doctor *doctor) {
    static const struct {
        const char *family;
        const char *code;
        const char *action;
    } rows[] = {
        {"memkv_telemetry_dropped_total", "TELEMETRY_DROPS",
         "telemetry events found no room: raise telemetry.max_queue_size, or drop a processor that "
         "is slow"},
        {"memkv_trace_spans_dropped_total", "TRACE_DROPS",
         "spans were not delivered: is the collector at telemetry.otlp_endpoint up? Sample less"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double dropped = metric_sum(doctor, rows[i].family);
        if (dropped > 0) {
            find(doctor, MKV_DOCTOR_WARNING, rows[i].code, "part of what was to be seen is lost",
                 rows[i].action, "%s is %.0f", rows[i].family, dropped);
        }
    }
}

static void rule_audit(struct doctor *doctor) {
    const json_t *audit = json_object_get(doctor->parts, "audit");
    if (json_is_false(json_object_get(audit, "intact"))) {
        find(doctor, MKV_DOCTOR_CRITICAL, "AUDIT_BROKEN", "the audit was altered, or lost records",
             "memkv admin audit verify; copy the files away before anything else is done", "%s",
             text_in(json_object_get(audit, "fault"), "message"));
    }
    if (json_is_true(json_object_get(audit, "failing")) || number_in(audit, "lost") > 0) {
        find(doctor, MKV_DOCTOR_CRITICAL, "AUDIT_NOT_WRITTEN", "operations are not recorded",
             "make room where audit.file is, or repair its file system", "%s; %.0f records lost",
             text_in(audit, "error"), number_in(audit, "lost"));
    }
}

static void rule_log_level(struct doctor *doctor) {
    const char *level = json_string_value(at(doctor, "log_level", "level"));
    if (level != NULL && (strstr(level, "debug") != NULL || strstr(level, "trace") != NULL)) {
        find(doctor, MKV_DOCTOR_NOTE, "LOG_LEVEL",
             "the log is at a level for looking into something",
             "memkv admin log-level info, when you are done", "the level is %.200s", level);
    }
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void rule_memory(struct doctor *doctor) {
    const char *limits = system_file(doctor, "/proc/self/limits");
    const char *locked = strstr(limits, "Max locked memory");
    const char *swap = strstr(system_file(doctor, "/proc/self/status"), "VmSwap:");
    if (locked != NULL) {
        char line[128];
        snprintf(line, sizeof line, "%.*s", (int)mkv_min_u64(strcspn(locked, "\n"), 120), locked);
        if (strstr(line, "unlimited") == NULL) {
            find(doctor, MKV_DOCTOR_NOTE, "MEMLOCK_LIMITED",
                 "the process may lock little memory; registered buffers need more",
                 "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited", "%s", line);
        }
    }
    if (swap != NULL && strtod(swap + strlen("VmSwap:"), NULL) > 0) {
        find(doctor, MKV_DOCTOR_WARNING, "SWAPPED", "part of the daemon is swapped out",
             "give the machine more memory, lower memory.max_size, or turn swap off for the unit "
             "(MemorySwapMax=0)",
             "VmSwap is %.0f KiB", strtod(swap + strlen("VmSwap:"), NULL));
    }
}

static void rule_kernel(struct doctor *doctor) {
    static const char clock_path[] =
        "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    const char *source = system_file(doctor, clock_path);
    const char *disabled = system_file(doctor, "/proc/sys/kernel/io_uring_disabled");
    if (strncmp(source, "hpet", 4) == 0 || strncmp(source, "acpi_pm", 7) == 0 ||
        strncmp(source, "jiffies", 7) == 0) {
        find(doctor, MKV_DOCTOR_WARNING, "CLOCK_SLOW",
             "the kernel reads its time from a slow clock, at each request several times",
             "see dmesg for why tsc was given up; clocksource=tsc if the machine keeps it",
             "the clock source is %.*s", (int)mkv_min_u64(strcspn(source, "\n"), 40), source);
    }
    if (disabled[0] == '1' || disabled[0] == '2') {
        find(doctor, MKV_DOCTOR_WARNING, "IO_URING_RESTRICTED",
             "the kernel restricts io_uring: the next start of the node may be refused",
             "sysctl -w kernel.io_uring_disabled=0", "kernel.io_uring_disabled is %c", disabled[0]);
    }
}

static void rule_missing(struct doctor *doctor) {
    const char *part;
    json_t *why;
    json_object_foreach(json_object_get(doctor->parts, "failed"), part, why) {
        const char *text = json_string_value(why);
        find(doctor, MKV_DOCTOR_NOTE, "NOT_EXAMINED", "a part of the node could not be asked",
             "ask as an operator (memkv admin --socket, --token-file); see memkv admin ready",
             "%.60s: %.500s", part, text == NULL ? "-" : text);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

typedef void rule(struct doctor *doctor);

/* Of equal severity, in this order. */
static rule *const rules[] = {
    rule_not_ready, rule_warnings, rule_lost_puts, rule_drives,  rule_checksums, rule_journal,
    rule_misses,    rule_audit,    rule_hits,      rule_slow,    rule_drops,     rule_memory,
    rule_kernel,    rule_quotas,   rule_log_level, rule_missing,
};
#define RULE_COUNT (sizeof rules / sizeof rules[0])

const char *const mkv_doctor_codes[] = {
    "NOT_READY",           "WARNING",           "RELAXED_PUTS_LOST",
    "DRIVE_ERRORS",        "CHECKSUM_FAILURES", "JOURNAL_NEARLY_FULL",
    "READS_FAILED",        "AUDIT_BROKEN",      "AUDIT_NOT_WRITTEN",
    "DIRECTORY_DOWN",      "OVERLOADED",        "DEADLINES_MISSED",
    "EVICTED_TOO_SOON",    "NO_SHARED_HITS",    "HIT_RATIO_LOW",
    "SLOW_REQUESTS",       "ONE_DRIVE_SLOW",    "TELEMETRY_DROPS",
    "TRACE_DROPS",         "SWAPPED",           "CLOCK_SLOW",
    "IO_URING_RESTRICTED", "MEMLOCK_LIMITED",   "TENANT_AT_QUOTA",
    "LOG_LEVEL",           "NOT_EXAMINED",      NULL,
};

json_t *mkv_doctor_examine(const json_t *parts) {
    struct doctor doctor = {.parts = parts, .findings = json_array()};
    json_t *sorted = json_array();
    for (size_t i = 0; i < RULE_COUNT && doctor.findings != NULL; i++) {
        rules[i](&doctor);
    }
    for (size_t severity = 0; severity < MKV_DOCTOR_SEVERITY_COUNT; severity++) {
        for (size_t i = 0; i < json_array_size(doctor.findings); i++) {
            json_t *finding = json_array_get(doctor.findings, i);
            if (strcmp(text_in(finding, "severity"), mkv_doctor_severities[severity]) == 0) {
                json_array_append(sorted, finding);
            }
        }
    }
    json_decref(doctor.findings);
    return sorted;
}

void mkv_doctor_text(const json_t *findings, struct mkv_text *out) {
    if (json_array_size(findings) == 0) {
        mkv_text_string(out, "nothing found\n");
    }
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *finding = json_array_get(findings, i);
        mkv_text_format(out, "%s%s  %s\n  %s\n  because: %s\n  do: %s\n", i == 0 ? "" : "\n",
                        text_in(finding, "severity"), text_in(finding, "code"),
                        text_in(finding, "message"), text_in(finding, "evidence"),
                        text_in(finding, "action"));
    }
}
