/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy's counts, behind those of libmemkv at /metrics. The thread that serves these asks, and
 * the proxy's own thread writes the text between two rounds, so that nothing is counted in atomics,
 * and what a client was answered before a scrape is in it.
 *
 *   thread of metrics   wanted, wake ----> waits ............ copies the text
 *   proxy's thread              turn: writes the text, signal -->
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/text.h"
#include "client/metrics.h"
#include "client/servers_state.h"
#include "server/proxy_internal.h"

/* A scrape goes on without the proxy's part behind it. */
#define WAIT_S_MAX 2

struct mkv_proxy_metrics {
    struct mkv_metrics_also also;
    struct mkv_proxy *proxy;
    atomic_bool is_wanted;
    pthread_mutex_t mutex;
    pthread_cond_t written;
    bool is_written;
    bool is_ending;
    struct mkv_text text;
};

/* ---- the text -------------------------------------------------------------------------------- */

static void head(struct mkv_text *out, const char *name, const char *type, const char *help) {
    mkv_text_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void figure(struct mkv_text *out, const char *name, const char *type, const char *help,
                   uint64_t value) {
    head(out, name, type, help);
    mkv_text_format(out, "%s %" PRIu64 "\n", name, value);
}

static void write_keys(const struct mkv_proxy_counters *counters, struct mkv_text *out) {
    static const struct {
        enum mkv_op op;
        const char *name;
    } ops[] = {{MKV_OP_GET, "get"},
               {MKV_OP_PUT, "set"},
               {MKV_OP_EXISTS, "exists"},
               {MKV_OP_DELETE, "del"}};
    static const char *const misses[MKV_PROXY_MISS_COUNT] = {"server", "server_down", "deadline",
                                                             "corrupt"};
    head(out, "memkv_proxy_keys_total", "counter", "keys that clients asked for, by what for");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        mkv_text_format(out, "memkv_proxy_keys_total{op=\"%s\"} %" PRIu64 "\n", ops[i].name,
                        counters->requests[ops[i].op]);
    }
    head(out, "memkv_proxy_errors_total", "counter", "keys that were answered with an error");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        mkv_text_format(out, "memkv_proxy_errors_total{op=\"%s\"} %" PRIu64 "\n", ops[i].name,
                        counters->failures[ops[i].op]);
    }
    figure(out, "memkv_proxy_hits_total", "counter", "keys of GET and EXISTS that were there",
           counters->hits);
    head(out, "memkv_proxy_misses_total", "counter",
         "keys of GET and EXISTS that were not: their server said so, or why it could not");
    for (uint32_t i = 0; i < MKV_PROXY_MISS_COUNT; i++) {
        mkv_text_format(out, "memkv_proxy_misses_total{reason=\"%s\"} %" PRIu64 "\n", misses[i],
                        counters->misses[i]);
    }
}

static void write_servers(struct mkv_proxy *proxy, struct mkv_text *out) {
    struct mkv_client_server servers[MKV_CLIENT_SERVERS_MAX];
    const uint32_t count = mkv_client_servers(proxy->client, servers, MKV_CLIENT_SERVERS_MAX);
    head(out, "memkv_proxy_server_up", "gauge", "whether there is a connection to the server");
    for (uint32_t i = 0; i < count; i++) {
        mkv_text_format(out, "memkv_proxy_server_up{server=\"%s\"} %d\n", servers[i].address,
                        servers[i].is_up ? 1 : 0);
    }
}

static void write_text(struct mkv_proxy *proxy, struct mkv_text *out) {
    const struct mkv_fabric_counters *fabric = proxy->fabric->ops->counters(proxy->fabric);
    struct mkv_proxy_counters counters;
    mkv_proxy_counters(proxy, &counters);
    write_keys(&counters, out);
    write_servers(proxy, out);
    figure(out, "memkv_proxy_commands_total", "counter", "commands of clients, of all kinds",
           mkv_fabric_resp_commands(proxy->resp));
    figure(out, "memkv_proxy_connections", "gauge", "connections of clients",
           fabric->connections_active);
    figure(out, "memkv_proxy_connections_accepted_total", "counter",
           "connections of clients that were accepted", fabric->connections_accepted_total);
    figure(out, "memkv_proxy_connections_rejected_total", "counter",
           "connections of clients that were refused", fabric->connections_rejected_total);
    figure(out, "memkv_proxy_received_bytes_total", "counter", "bytes of values from clients",
           fabric->received_bytes_total);
    figure(out, "memkv_proxy_sent_bytes_total", "counter", "bytes of values to clients",
           fabric->sent_bytes_total);
    figure(out, "memkv_proxy_memory_bytes", "gauge", "memory for values under way",
           counters.memory_bytes);
    figure(out, "memkv_proxy_memory_used_bytes", "gauge", "of it in use", counters.memory_used);
    figure(out, "memkv_proxy_memory_waits_total", "counter", "keys that waited for memory",
           counters.memory_waits);
    figure(out, "memkv_proxy_keys_under_way", "gauge", "keys that are not answered yet",
           counters.under_way);
}

/* ---- the two threads ------------------------------------------------------------------------- */

/* On the thread of the metrics. */
static size_t ask(void *context, char text[MKV_METRICS_ALSO_BYTES]) {
    struct mkv_proxy_metrics *metrics = context;
    struct timespec until;
    size_t byte_count = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S_MAX;
    pthread_mutex_lock(&metrics->mutex);
    metrics->is_written = false;
    atomic_store_explicit(&metrics->is_wanted, true, memory_order_release);
    mkv_proxy_wake(metrics->proxy);
    int result = 0;
    while (!metrics->is_written && !metrics->is_ending && result == 0) {
        result = pthread_cond_timedwait(&metrics->written, &metrics->mutex, &until);
    }
    if (metrics->is_written && metrics->text.count <= MKV_METRICS_ALSO_BYTES) {
        byte_count = metrics->text.count;
        memcpy(text, metrics->text.bytes, byte_count);
    }
    pthread_mutex_unlock(&metrics->mutex);
    return byte_count;
}

void mkv_proxy_metrics_turn(struct mkv_proxy *proxy) {
    struct mkv_proxy_metrics *metrics = proxy->metrics;
    if (metrics == NULL ||
        !atomic_exchange_explicit(&metrics->is_wanted, false, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&metrics->mutex);
    metrics->text.count = 0;
    write_text(proxy, &metrics->text);
    metrics->is_written = !metrics->text.failed;
    pthread_cond_signal(&metrics->written);
    pthread_mutex_unlock(&metrics->mutex);
}

bool mkv_proxy_metrics_begin(struct mkv_proxy *proxy, struct mkv_backend_error *error) {
    struct mkv_metrics *of_client = mkv_client_metrics(proxy->client);
    if (of_client == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "metrics cannot be served there. Give --metrics a free port");
    }
    struct mkv_proxy_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for metrics. Free memory on this machine");
    }
    metrics->proxy = proxy;
    metrics->also = (struct mkv_metrics_also){ask, metrics};
    pthread_mutex_init(&metrics->mutex, NULL);
    pthread_cond_init(&metrics->written, NULL);
    proxy->metrics = metrics;
    mkv_metrics_also(of_client, &metrics->also);
    return true;
}

void mkv_proxy_metrics_end(struct mkv_proxy *proxy) {
    struct mkv_proxy_metrics *metrics = proxy->metrics;
    if (metrics == NULL) {
        return;
    }
    pthread_mutex_lock(&metrics->mutex);
    metrics->is_ending = true;
    pthread_cond_signal(&metrics->written);
    pthread_mutex_unlock(&metrics->mutex);
    mkv_metrics_also(mkv_client_metrics(proxy->client), NULL);
    pthread_cond_destroy(&metrics->written);
    pthread_mutex_destroy(&metrics->mutex);
    mkv_text_free(&metrics->text);
    free(metrics);
    proxy->metrics = NULL;
}
