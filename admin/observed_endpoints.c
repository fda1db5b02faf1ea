/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/observed_endpoints.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/observed.h"
#include "admin/words.h"

#define NS_PER_US 1000.0
#define NS_PER_MS 1000000.0
#define NS_PER_S 1000000000.0
#define HOTKEYS_DEFAULT 20u
#define DEPTH_DEFAULT 1u

static struct mkv_admin_reply unavailable(void) {
    return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                            "the node does not serve yet: nothing has been observed; /v1/status "
                            "says what it waits for");
}

static struct mkv_admin_reply no_memory(void) {
    return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                            "no memory for the answer; free memory on this machine");
}

static json_t *count_json(uint64_t count) {
    return json_integer((json_int_t)mkv_min_u64(count, INT64_MAX));
}

/* I1. Of a key that is longer than what is known of it, the last character may be cut. A NUL is no
 * text: many readers of JSON refuse it, or end there. */
static json_t *key_json(const uint8_t *key, uint32_t key_bytes, uint32_t known_max) {
    const uint32_t known = (uint32_t)mkv_min_u64(key_bytes, known_max);
    static const char mark[] = "hex:";
    const bool is_hex = (known >= sizeof mark - 1 && memcmp(key, mark, sizeof mark - 1) == 0) ||
                        memchr(key, '\0', known) != NULL;
    const uint32_t cut_max = known < key_bytes ? 3 : 0;
    for (uint32_t cut = 0; cut <= cut_max && cut <= known && !is_hex; cut++) {
        json_t *text = json_stringn((const char *)key, known - cut);
        if (text != NULL) {
            return text;
        }
    }
    char hex[sizeof mark + 2 * (size_t)MKV_ADMIN_KEY_BYTES] = "hex:";
    MKV_ASSERT(known <= MKV_ADMIN_KEY_BYTES);
    for (uint32_t i = 0; i < known; i++) {
        snprintf(hex + sizeof mark - 1 + (size_t)2 * i, 3, "%02x", key[i]);
    }
    return json_string(hex);
}

/* Names and addresses are ASCII. */
static void set_text(json_t *object, const char *name, const char *text) {
    json_object_set_new(object, name, json_string(text));
}

static void set_count(json_t *object, const char *name, uint64_t count) {
    json_object_set_new(object, name, count_json(count));
}

static void set_real(json_t *object, const char *name, double value) {
    json_object_set_new(object, name, json_real(value));
}

static void set_time(json_t *object, const char *name, uint64_t unix_ms) {
    const time_t seconds = (time_t)mkv_min_u64(unix_ms / 1000, INT64_MAX);
    struct tm parts;
    char text[40] = "";
    if (gmtime_r(&seconds, &parts) != NULL) {
        const size_t bytes = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(text + bytes, sizeof text - bytes, ".%03uZ", (unsigned)(unix_ms % 1000));
    }
    set_text(object, name, text);
}

/* ---- /v1/latency ----------------------------------------------------------------------------- */

struct percentiles {
    uint32_t count;
    double of[MKV_ADMIN_PERCENTILES_MAX];
    char names[MKV_ADMIN_PERCENTILES_MAX][16]; /* as they were asked for */
};

/* "50,99.95": false when it is something else. */
static bool parse_percentiles(const char *text, struct percentiles *out) {
    while (out->count < MKV_ADMIN_PERCENTILES_MAX) {
        const size_t bytes = strspn(text, "0123456789.");
        char *end;
        if (bytes == 0 || bytes >= sizeof out->names[0]) {
            return false;
        }
        const double value = strtod(text, &end);
        if (end != text + bytes || value > 100) {
            return false;
        }
        memcpy(out->names[out->count], text, bytes);
        out->of[out->count++] = value;
        if (*end == '\0') {
            return true;
        }
        if (*end != ',') {
            return false;
        }
        text = end + 1;
    }
    return false;
}

static json_t *latency_json(const struct mkv_hdr *hdr, enum mkv_admin_latency_op op,
                            const struct percentiles *percentiles) {
    static const struct {
        const char *name;
        double share;
    } usual[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    const uint64_t total = mkv_hdr_total(hdr);
    json_t *object = json_object();
    set_text(object, "op", mkv_admin_latency_ops[op]);
    set_count(object, "count", total);
    const double sum_us = (double)hdr->sum_ns / NS_PER_US;
    set_real(object, "avg_us", total > 0 ? sum_us / (double)total : 0);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        const uint64_t value_ns = mkv_hdr_quantile_ns(hdr, usual[i].share);
        set_real(object, usual[i].name, (double)value_ns / NS_PER_US);
    }
    set_real(object, "max_us", total > 0 ? (double)hdr->max_ns / NS_PER_US : 0);
    if (percentiles->count > 0) {
        json_t *asked = json_object();
        for (uint32_t i = 0; i < percentiles->count; i++) {
            const uint64_t value_ns = mkv_hdr_quantile_ns(hdr, percentiles->of[i] / 100);
            set_real(asked, percentiles->names[i], (double)value_ns / NS_PER_US);
        }
        json_object_set_new(object, "percentiles_us", asked);
    }
    return object;
}

struct mkv_admin_reply mkv_endpoint_latency(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    const char *wanted = mkv_admin_request_parameter(request, "op");
    const char *asked = mkv_admin_request_parameter(request, "p");
    struct percentiles percentiles = {0};
    if (asked != NULL && !parse_percentiles(asked, &percentiles)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "p: use up to %u percentiles from 0 to 100 with commas between "
                                "them, such as p=50,99.95",
                                MKV_ADMIN_PERCENTILES_MAX);
    }
    bool known = wanted == NULL;
    for (uint32_t op = 0; op < MKV_ADMIN_LATENCY_OP_COUNT && !known; op++) {
        known = strcmp(wanted, mkv_admin_latency_ops[op]) == 0;
    }
    if (!known) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "op: use get, get_small, put, put_small, exists, lookup, delete or "
                                "commit");
    }
    if (provider->observed == NULL) {
        return unavailable();
    }
    struct mkv_hdr *hdr = malloc(sizeof *hdr);
    if (hdr == NULL) {
        return no_memory();
    }
    json_t *operations = json_array();
    for (uint32_t op = 0; op < MKV_ADMIN_LATENCY_OP_COUNT; op++) {
        if (wanted == NULL || strcmp(wanted, mkv_admin_latency_ops[op]) == 0) {
            memset(hdr, 0, sizeof *hdr);
            provider->observed->latency(provider->context, (enum mkv_admin_latency_op)op, hdr);
            json_array_append_new(operations,
                                  latency_json(hdr, (enum mkv_admin_latency_op)op, &percentiles));
        }
    }
    free(hdr);
    return mkv_admin_reply_json(MHD_HTTP_OK, json_pack("{s:o}", "operations", operations));
}

/* ---- /v1/hotkeys ----------------------------------------------------------------------------- */

static json_t *hotkey_json(const struct mkv_admin_hotkey *hotkey) {
    const struct mkv_hotkey *hot = &hotkey->hot;
    json_t *object = json_object();
    json_object_set_new(object, "key", key_json(hot->key, hot->key_bytes, sizeof hot->key));
    set_text(object, "tenant", hotkey->tenant);
    set_count(object, "count", hot->count);
    set_count(object, "error", hot->error);
    if (hot->key_bytes > sizeof hot->key) {
        set_count(object, "key_bytes", hot->key_bytes); /* only its beginning is told */
    }
    return object;
}

struct mkv_admin_reply mkv_endpoint_hotkeys(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    uint64_t wanted;
    if (!mkv_admin_request_number(request, "k", 1, MKV_HOTKEYS_KEPT, HOTKEYS_DEFAULT, &wanted)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "k: use 1 to %u", MKV_HOTKEYS_KEPT);
    }
    if (provider->observed == NULL) {
        return unavailable();
    }
    struct mkv_admin_hotkey *hotkeys = calloc(MKV_HOTKEYS_KEPT, sizeof *hotkeys);
    if (hotkeys == NULL) {
        return no_memory();
    }
    const uint32_t count =
        provider->observed->hotkeys(provider->context, hotkeys, (uint32_t)wanted);
    const struct mkv_admin_snapshot *snapshot = mkv_admin_request_snapshot(request);
    json_t *keys = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(keys, hotkey_json(&hotkeys[i]));
    }
    free(hotkeys);
    return mkv_admin_reply_json(MHD_HTTP_OK,
                                json_pack("{s:o, s:o, s:o}", "tracked",
                                          count_json(snapshot->hotkey_accesses_total), "decays",
                                          count_json(snapshot->hotkey_decays_total), "keys", keys));
}

/* ---- /v1/slow -------------------------------------------------------------------------------- */

static void set_trace(json_t *object, const struct mkv_trace_context *trace) {
    static const uint8_t none[sizeof trace->trace_id] = {0};
    char text[2 * sizeof trace->trace_id + 1] = "";
    if (memcmp(trace->trace_id, none, sizeof none) != 0) {
        for (size_t i = 0; i < sizeof trace->trace_id; i++) {
            snprintf(text + 2 * i, 3, "%02x", trace->trace_id[i]);
        }
    }
    set_text(object, "trace_id", text);
}

static json_t *slow_json(const struct mkv_admin_slow *slow,
                         const struct mkv_admin_snapshot *snapshot) {
    json_t *object = json_object();
    json_t *stages = json_object();
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        set_real(stages, mkv_admin_stages[stage], (double)slow->stage_ns[stage] / NS_PER_MS);
    }
    const bool has_drive = slow->volume < snapshot->drive_count;
    set_time(object, "time", slow->time_ms);
    set_text(object, "op", mkv_admin_ops[slow->op]);
    set_text(object, "status", mkv_admin_statuses[slow->status]);
    json_object_set_new(object, "dropped", json_boolean(slow->dropped));
    set_text(object, "tenant", slow->tenant);
    set_text(object, "client", slow->client);
    set_text(object, "client_name", slow->client_name);
    set_text(object, "drive", has_drive ? snapshot->drives[slow->volume].name : "");
    json_object_set_new(object, "key", key_json(slow->key, slow->key_bytes, sizeof slow->key));
    set_count(object, "items", slow->item_count);
    set_count(object, "bytes_in", slow->bytes_in);
    set_count(object, "bytes_out", slow->bytes_out);
    set_real(object, "total_ms", (double)slow->total_ns / NS_PER_MS);
    json_object_set_new(object, "stages_ms", stages);
    set_real(object, "drive_ms", (double)slow->drive_ns / NS_PER_MS);
    set_trace(object, &slow->trace);
    return object;
}

struct mkv_admin_reply mkv_endpoint_slow(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    if (provider->observed == NULL) {
        return unavailable();
    }
    struct mkv_admin_slow *slow = calloc(MKV_ADMIN_SLOW_MAX, sizeof *slow);
    if (slow == NULL) {
        return no_memory();
    }
    uint64_t threshold_ns = 0;
    const uint32_t count =
        provider->observed->slow(provider->context, slow, MKV_ADMIN_SLOW_MAX, &threshold_ns);
    const struct mkv_admin_snapshot *snapshot = mkv_admin_request_snapshot(request);
    json_t *requests = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(requests, slow_json(&slow[i], snapshot));
    }
    free(slow);
    return mkv_admin_reply_json(MHD_HTTP_OK,
                                json_pack("{s:f, s:o}", "threshold_ms",
                                          (double)threshold_ns / NS_PER_MS, "requests", requests));
}

/* ---- /v1/clients ----------------------------------------------------------------------------- */

static json_t *client_json(const struct mkv_admin_client *client) {
    json_t *object = json_object();
    json_t *prefixes = json_array();
    for (uint32_t i = 0; i < MKV_ADMIN_CLIENT_PREFIXES; i++) {
        const struct mkv_admin_client_prefix *prefix = &client->prefixes[i];
        if (prefix->byte_count > 0) {
            /* It is cut anywhere, as a key that is longer. */
            json_array_append_new(
                prefixes, key_json(prefix->bytes, prefix->byte_count + 1, prefix->byte_count));
        }
    }
    set_text(object, "address", client->address);
    set_text(object, "name", client->name);
    set_text(object, "tenant", client->tenant);
    set_real(object, "connected_s", (double)client->connected_ns / NS_PER_S);
    set_count(object, "requests", client->requests);
    set_count(object, "bytes_in", client->bytes_in);
    set_count(object, "bytes_out", client->bytes_out);
    set_count(object, "puts", client->puts);
    set_count(object, "hits", client->hits);
    set_count(object, "misses", client->misses);
    json_object_set_new(object, "key_prefixes", prefixes);
    return object;
}

struct mkv_admin_reply mkv_endpoint_clients(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    if (provider->observed == NULL) {
        return unavailable();
    }
    struct mkv_admin_client *clients = calloc(MKV_ADMIN_CLIENTS_TOLD + 1, sizeof *clients);
    if (clients == NULL) {
        return no_memory();
    }
    const uint32_t count =
        provider->observed->clients(provider->context, clients, MKV_ADMIN_CLIENTS_TOLD + 1);
    const uint32_t told = (uint32_t)mkv_min_u64(count, MKV_ADMIN_CLIENTS_TOLD);
    json_t *list = json_array();
    for (uint32_t i = 0; i < told; i++) {
        json_array_append_new(list, client_json(&clients[i]));
    }
    free(clients);
    return mkv_admin_reply_json(
        MHD_HTTP_OK, json_pack("{s:b, s:o}", "complete", count == told, "clients", list));
}

/* ---- /v1/prefixes ---------------------------------------------------------------------------- */

static json_t *prefix_json(const struct mkv_prefix *prefix) {
    json_t *object = json_object();
    set_text(object, "tenant", prefix->tenant);
    json_object_set_new(object, "prefix",
                        key_json(prefix->bytes, prefix->byte_count, sizeof prefix->bytes));
    set_count(object, "blocks", prefix->blocks);
    set_count(object, "bytes", prefix->block_bytes);
    set_count(object, "segmented", prefix->segmented);
    return object;
}

struct mkv_admin_reply mkv_endpoint_prefixes(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    uint64_t depth;
    if (!mkv_admin_request_number(request, "depth", 0, MKV_PREFIX_DEPTH_MAX, DEPTH_DEFAULT,
                                  &depth)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST, "depth: use 0 to %u", MKV_PREFIX_DEPTH_MAX);
    }
    if (provider->observed == NULL) {
        return unavailable();
    }
    struct mkv_prefixes *prefixes = malloc(sizeof *prefixes);
    if (prefixes == NULL) {
        return no_memory();
    }
    const struct mkv_admin_prefixes_query query = {
        .tenant = mkv_admin_request_parameter(request, "tenant"),
        .depth = (uint32_t)depth,
    };
    mkv_prefixes_init(prefixes, query.depth);
    const bool complete = provider->observed->prefixes(provider->context, &query, prefixes);
    mkv_prefixes_sort(prefixes);
    json_t *rows = json_array();
    for (uint32_t i = 0; i < prefixes->count; i++) {
        json_array_append_new(rows, prefix_json(&prefixes->rows[i]));
    }
    json_t *other = prefix_json(&prefixes->other);
    json_object_del(other, "tenant");
    json_object_del(other, "prefix");
    free(prefixes);
    return mkv_admin_reply_json(MHD_HTTP_OK, json_pack("{s:b, s:o, s:o}", "complete", complete,
                                                       "prefixes", rows, "other", other));
}
