/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about what the observer keeps: hot keys, latencies, slow requests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/observed_endpoints.h"
#include "admin/words.h"
#include "backends/clock.h"
#include "server/resp_commands_internal.h"

#define NS_PER_US 1000u
#define HOTKEYS_DEFAULT 20
#define SLOWLOG_DEFAULT 10
/* Requests of one millisecond that SLOWLOG tells apart by number: all there can be. */
#define SLOW_ID_BITS 7u
_Static_assert(MKV_ADMIN_SLOW_MAX == 1u << SLOW_ID_BITS, "numbers are unique");

/* ---- HOTKEYS --------------------------------------------------------------------------------- */

void mkv_resp_run_hotkeys(const struct mkv_resp_run *run) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    int64_t wanted = HOTKEYS_DEFAULT;
    if (run->word_count > 2) {
        mkv_resp_run_syntax_error(run);
        return;
    }
    if (run->word_count == 2 && !mkv_resp_run_integer(run, 1, &wanted)) {
        return;
    }
    if (wanted < 1 || wanted > MKV_HOTKEYS_KEPT) {
        mkv_resp_run_error(run, "ERR HOTKEYS takes 1 to %u", MKV_HOTKEYS_KEPT);
        return;
    }
    struct mkv_admin_hotkey *hotkeys = calloc(MKV_HOTKEYS_KEPT, sizeof *hotkeys);
    if (hotkeys == NULL) {
        mkv_resp_run_no_memory(run);
        return;
    }
    const uint32_t count =
        provider->observed->hotkeys(provider->context, hotkeys, MKV_HOTKEYS_KEPT);
    uint32_t own = 0;
    for (uint32_t i = 0; i < count && own < (uint64_t)wanted; i++) {
        if (hotkeys[i].hot.tenant == run->who->tenant) {
            hotkeys[own++] = hotkeys[i];
        }
    }
    mkv_resp_write_array(run->writer, own);
    for (uint32_t i = 0; i < own; i++) {
        const struct mkv_hotkey *hot = &hotkeys[i].hot;
        mkv_resp_write_array(run->writer, 3);
        mkv_resp_write_bulk(run->writer, hot->key,
                            (uint32_t)mkv_min_u64(hot->key_bytes, sizeof hot->key));
        mkv_resp_write_integer(run->writer, (int64_t)mkv_min_u64(hot->count, INT64_MAX));
        mkv_resp_write_integer(run->writer, (int64_t)mkv_min_u64(hot->error, INT64_MAX));
    }
    free(hotkeys);
}

/* ---- STATS.LATENCY --------------------------------------------------------------------------- */

/* "p99.9": the share of a hundred that it names; false when it is something else. */
static bool parse_percentile(struct mkv_resp_word word, double *percent) {
    char text[16];
    char *end;
    if (word.count < 2 || word.count > sizeof text - 1 ||
        (word.bytes[0] != 'p' && word.bytes[0] != 'P')) {
        return false;
    }
    memcpy(text, word.bytes + 1, word.count - 1);
    text[word.count - 1] = '\0';
    if (strspn(text, "0123456789.") != word.count - 1) {
        return false;
    }
    *percent = strtod(text, &end);
    return *end == '\0' && *percent <= 100;
}

static void write_us(const struct mkv_resp_run *run, double ns) {
    char text[32];
    snprintf(text, sizeof text, "%.1f", ns / NS_PER_US);
    mkv_resp_write_text(run->writer, text);
}

static void write_latency(const struct mkv_resp_run *run, const struct mkv_hdr *hdr,
                          enum mkv_admin_latency_op op, const double *percents,
                          uint32_t percent_count) {
    static const char *const usual[] = {"p50", "p90", "p99", "p99.9"};
    static const double usual_percents[] = {50, 90, 99, 99.9};
    const uint32_t usual_count = sizeof usual / sizeof usual[0];
    const uint64_t total = mkv_hdr_total(hdr);
    mkv_resp_write_map(run->writer, 4 + (percent_count == 0 ? usual_count : percent_count));
    mkv_resp_write_text(run->writer, "op");
    mkv_resp_write_text(run->writer, mkv_admin_latency_ops[op]);
    mkv_resp_write_text(run->writer, "count");
    mkv_resp_write_integer(run->writer, (int64_t)mkv_min_u64(total, INT64_MAX));
    mkv_resp_write_text(run->writer, "avg_us");
    write_us(run, total == 0 ? 0 : (double)hdr->sum_ns / (double)total);
    for (uint32_t i = 0; percent_count == 0 && i < usual_count; i++) {
        mkv_resp_write_text(run->writer, usual[i]);
        write_us(run, (double)mkv_hdr_quantile_ns(hdr, usual_percents[i] / 100));
    }
    for (uint32_t i = 0; i < percent_count; i++) {
        mkv_resp_write_bulk(run->writer, run->words[2 + i].bytes, run->words[2 + i].count);
        write_us(run, (double)mkv_hdr_quantile_ns(hdr, percents[i] / 100));
    }
    mkv_resp_write_text(run->writer, "max_us");
    write_us(run, total == 0 ? 0 : (double)hdr->max_ns);
}

void mkv_resp_run_stats_latency(const struct mkv_resp_run *run) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    double percents[MKV_ADMIN_PERCENTILES_MAX];
    uint32_t op = 0;
    while (op < MKV_ADMIN_LATENCY_OP_COUNT &&
           !mkv_resp_word_is(run->words[1], mkv_admin_latency_ops[op])) {
        op++;
    }
    if (op == MKV_ADMIN_LATENCY_OP_COUNT) {
        mkv_resp_run_error(run, "ERR STATS.LATENCY takes get, get_small, put, put_small, exists, "
                                "lookup, delete or commit");
        return;
    }
    const uint32_t percent_count = run->word_count - 2;
    bool valid = percent_count <= MKV_ADMIN_PERCENTILES_MAX;
    for (uint32_t i = 0; i < percent_count && valid; i++) {
        valid = parse_percentile(run->words[2 + i], &percents[i]);
    }
    if (!valid) {
        mkv_resp_run_error(run, "ERR STATS.LATENCY takes up to %u percentiles, such as p50 p99.9",
                           MKV_ADMIN_PERCENTILES_MAX);
        return;
    }
    struct mkv_hdr *hdr = calloc(1, sizeof *hdr);
    if (hdr == NULL) {
        mkv_resp_run_no_memory(run);
        return;
    }
    provider->observed->latency(provider->context, (enum mkv_admin_latency_op)op, hdr);
    write_latency(run, hdr, (enum mkv_admin_latency_op)op, percents, percent_count);
    free(hdr);
}

/* ---- LATENCY HISTOGRAM ----------------------------------------------------------------------- */

/* Commands whose latencies the observer knows, and as what. */
static const struct {
    const char *name;
    uint32_t op_count;
    enum mkv_admin_latency_op ops[2];
} histogram_commands[] = {
    {"get", 2, {MKV_ADMIN_LATENCY_GET, MKV_ADMIN_LATENCY_GET_SMALL}},
    {"set", 2, {MKV_ADMIN_LATENCY_PUT, MKV_ADMIN_LATENCY_PUT_SMALL}},
    {"exists", 1, {MKV_ADMIN_LATENCY_EXISTS}},
    {"del", 1, {MKV_ADMIN_LATENCY_DELETE}},
};
#define HISTOGRAM_COMMANDS (sizeof histogram_commands / sizeof histogram_commands[0])
/* 1 us, 2 us, 4 us … above a minute. */
#define HISTOGRAM_BUCKETS 27u

static bool is_asked_for(const struct mkv_resp_run *run, const char *name) {
    bool asked = run->word_count == 2;
    for (uint32_t i = 2; i < run->word_count; i++) {
        asked = asked || mkv_resp_word_is(run->words[i], name);
    }
    return asked;
}

/* As Redis: values up to each power of two of microseconds, where there are any in that bucket. */
static void write_histogram(const struct mkv_resp_run *run, const char *name,
                            const struct mkv_hdr *hdr) {
    uint64_t buckets[HISTOGRAM_BUCKETS] = {0};
    for (uint32_t place = 0; place < MKV_HDR_PLACES; place++) {
        const uint64_t us = mkv_hdr_middle_ns(place) / NS_PER_US;
        uint32_t bucket = 0;
        while (bucket + 1 < HISTOGRAM_BUCKETS && us > 1ull << bucket) {
            bucket++;
        }
        buckets[bucket] += hdr->counts[place];
    }
    uint32_t shown = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        shown += buckets[i] > 0;
    }
    mkv_resp_write_text(run->writer, name);
    mkv_resp_write_map(run->writer, 2);
    mkv_resp_write_text(run->writer, "calls");
    mkv_resp_write_integer(run->writer, (int64_t)mkv_hdr_total(hdr));
    mkv_resp_write_text(run->writer, "histogram_usec");
    mkv_resp_write_map(run->writer, shown);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += buckets[i];
        if (buckets[i] > 0) {
            mkv_resp_write_integer(run->writer, (int64_t)(1ull << i));
            mkv_resp_write_integer(run->writer, (int64_t)sum);
        }
    }
}

/* Commands that were never called are left out, as in Redis. */
void mkv_resp_run_latency_histogram(const struct mkv_resp_run *run) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    struct mkv_hdr *hdrs = calloc(HISTOGRAM_COMMANDS, sizeof *hdrs);
    if (hdrs == NULL) {
        mkv_resp_run_no_memory(run);
        return;
    }
    uint32_t shown = 0;
    for (uint32_t i = 0; i < HISTOGRAM_COMMANDS; i++) {
        for (uint32_t j = 0;
             j < histogram_commands[i].op_count && is_asked_for(run, histogram_commands[i].name);
             j++) {
            provider->observed->latency(provider->context, histogram_commands[i].ops[j], &hdrs[i]);
        }
        shown += mkv_hdr_total(&hdrs[i]) > 0;
    }
    mkv_resp_write_map(run->writer, shown);
    for (uint32_t i = 0; i < HISTOGRAM_COMMANDS; i++) {
        if (mkv_hdr_total(&hdrs[i]) > 0) {
            write_histogram(run, histogram_commands[i].name, &hdrs[i]);
        }
    }
    free(hdrs);
}

/* ---- SLOWLOG --------------------------------------------------------------------------------- */

/* Those that are not hidden and, of another tenant, not the client's to see; newest first. */
static uint32_t slow_requests(const struct mkv_resp_run *run, struct mkv_admin_slow *slow) {
    const struct mkv_admin_provider *provider = run->commands->node.provider;
    uint64_t threshold_ns;
    const uint32_t count =
        provider->observed->slow(provider->context, slow, MKV_ADMIN_SLOW_MAX, &threshold_ns);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const bool own = run->who->is_admin || strcmp(slow[i].tenant, run->who->tenant_name) == 0;
        if (own && slow[i].time_ms > run->commands->slow_hidden_ms) {
            slow[kept++] = slow[i];
        }
    }
    return kept;
}

/* A number that grows with time, and is another for each request. */
static uint64_t slow_id(const struct mkv_admin_slow *slow, uint32_t index, uint32_t count) {
    uint64_t older = 0; /* in the same millisecond */
    for (uint32_t i = index + 1; i < count && slow[i].time_ms == slow[index].time_ms; i++) {
        older++;
    }
    return slow[index].time_ms << SLOW_ID_BITS | older;
}

static void write_slow(const struct mkv_resp_run *run, const struct mkv_admin_slow *slow,
                       uint64_t id) {
    mkv_resp_write_array(run->writer, 6);
    mkv_resp_write_integer(run->writer, (int64_t)id);
    mkv_resp_write_integer(run->writer, (int64_t)(slow->time_ms / 1000));
    mkv_resp_write_integer(run->writer, (int64_t)(slow->total_ns / NS_PER_US));
    mkv_resp_write_array(run->writer, slow->key_bytes > 0 ? 2 : 1);
    mkv_resp_write_text(run->writer, mkv_admin_ops[slow->op]);
    if (slow->key_bytes > 0) {
        mkv_resp_write_bulk(run->writer, slow->key,
                            (uint32_t)mkv_min_u64(slow->key_bytes, sizeof slow->key));
    }
    mkv_resp_write_text(run->writer, slow->client);
    mkv_resp_write_text(run->writer, slow->client_name);
}

static void slowlog_get(const struct mkv_resp_run *run, struct mkv_admin_slow *slow) {
    int64_t wanted = SLOWLOG_DEFAULT;
    if (run->word_count > 3) {
        mkv_resp_run_error(run, "ERR wrong number of arguments for 'slowlog|get' command");
        return;
    }
    if ((run->word_count == 3 &&
         !mkv_resp_integer_parse(run->words[2].bytes, run->words[2].count, &wanted)) ||
        wanted < -1) {
        mkv_resp_run_error(run, "ERR count should be greater than or equal to -1");
        return;
    }
    const uint32_t count = slow_requests(run, slow);
    const uint32_t shown = wanted == -1 ? count : (uint32_t)mkv_min_u64(count, (uint64_t)wanted);
    mkv_resp_write_array(run->writer, shown);
    for (uint32_t i = 0; i < shown; i++) {
        write_slow(run, &slow[i], slow_id(slow, i, count));
    }
}

void mkv_resp_run_slowlog(const struct mkv_resp_run *run) {
    struct mkv_admin_slow *slow = calloc(MKV_ADMIN_SLOW_MAX, sizeof *slow);
    if (slow == NULL) {
        mkv_resp_run_no_memory(run);
        return;
    }
    if (mkv_resp_word_is(run->words[1], "len")) {
        mkv_resp_write_integer(run->writer, slow_requests(run, slow));
    } else if (mkv_resp_word_is(run->words[1], "get")) {
        slowlog_get(run, slow);
    } else if (run->who->is_admin) {
        run->commands->slow_hidden_ms = mkv_clock_wall_ms();
        mkv_resp_write_simple(run->writer, "OK");
    } else {
        mkv_resp_run_error(run, "NOPERM this user has no permissions to run the '%s' command",
                           run->row->name);
    }
    free(slow);
}
