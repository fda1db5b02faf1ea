/* SPDX-License-Identifier: Apache-2.0 */
#include "client/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"

#define BIND_VARIABLE "MEMKV_PROMETHEUS_BIND"
#define OPS 13u
#define STATUSES 17u
#define BOUNDS_MAX 18u

static const char *const op_names[OPS] = {"mixed",  "put",   "get",     "exists",   "delete",
                                          "pin",    "unpin", "session", "allocate", "commit",
                                          "lookup", "stats", "ping"};
enum {
    OP_MIXED = 0,
    OP_LOOKUP = 10,
    OP_STATS,
    OP_PING
};

/* Places of statuses: those of the wire, then those of the library. */
#define STATUS_OF_LIBRARY 12u

static const uint64_t duration_bounds_us[BOUNDS_MAX] = {
    50,    100,    250,    500,    1000,    2500,    5000,    10000,    25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000};
static const uint64_t item_bounds[BOUNDS_MAX] = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};

/* No line is longer, also with the highest numbers; so all that there can be fits. */
#define LINE_BYTES_MAX 120u
#define HEADS_MAX 24u
_Static_assert((2u * OPS * (BOUNDS_MAX + 3u) + OPS * (STATUSES + 1u) + 2u * HEADS_MAX + 4u +
                MKV_NATIVE_FALLBACK_COUNT + MKV_RDMA_KINDS + 6u) *
                       LINE_BYTES_MAX <
                   MKV_METRICS_TEXT_BYTES,
               "the whole text has room");

struct histogram {
    atomic_uint_fast64_t counts[BOUNDS_MAX + 1u]; /* the last: above all bounds */
    atomic_uint_fast64_t sum;
};

struct mkv_metrics {
    struct histogram durations_us[OPS];
    struct histogram items[OPS];
    atomic_uint_fast64_t statuses[OPS][STATUSES];
    atomic_uint_fast64_t value_bytes[OPS];
    atomic_uint_fast64_t connects;
    atomic_uint_fast64_t connect_failures;
    atomic_uint_fast64_t disconnects;
    atomic_uint_fast64_t lanes;
    atomic_uint_fast64_t lane_ends;
    atomic_uint_fast64_t fallbacks[MKV_NATIVE_FALLBACK_COUNT];
    atomic_uint_fast64_t servers_on_tcp;
    atomic_uint_fast64_t rdma_retries;
    atomic_uint_fast64_t rdma_recoveries;
    atomic_uint_fast64_t rdma_bytes[MKV_RDMA_KINDS];
    atomic_uint_fast64_t registrations;
    atomic_uint_fast64_t registration_failures;
    atomic_uint_fast64_t servers;
    atomic_uint_fast64_t list_changes;
    atomic_uint_fast64_t list_reads;
    atomic_uint_fast64_t list_failures;
    atomic_uint_fast64_t lists_failing;
    pthread_mutex_t also_lock;
    const struct mkv_metrics_also *also; /* NULL: none */
};

static void add(atomic_uint_fast64_t *counter, uint64_t count) {
    atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

static uint64_t read_of(atomic_uint_fast64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void histogram_add(struct histogram *histogram, const uint64_t *bounds, uint64_t value) {
    uint32_t place = 0;
    while (place < BOUNDS_MAX && value > bounds[place]) {
        place++;
    }
    add(&histogram->counts[place], 1);
    add(&histogram->sum, value);
}

/* ---- counting ------------------------------------------------------------------------------- */

static uint32_t op_of(const struct mkv_call *call) {
    if (call->single != 0) {
        return call->single == MKV_NATIVE_LOOKUP  ? OP_LOOKUP
               : call->single == MKV_NATIVE_STATS ? OP_STATS
                                                  : OP_PING;
    }
    for (uint32_t index = 1; index < call->item_count; index++) {
        if (call->items[index].op != call->items[0].op) {
            return OP_MIXED;
        }
    }
    const uint32_t op = (uint32_t)call->items[0].op;
    return op <= MEMKV_OP_COMMIT ? op : OP_MIXED;
}

static uint32_t place_of(enum memkv_status status) {
    const uint32_t number = (uint32_t)status;
    return number < STATUS_OF_LIBRARY ? number : number - MEMKV_CORRUPT + STATUS_OF_LIBRARY;
}

void mkv_metrics_call(struct mkv_metrics *metrics, const struct mkv_call *call) {
    const uint32_t op = op_of(call);
    histogram_add(&metrics->durations_us[op], duration_bounds_us,
                  (mkv_client_now_ns() - call->begin_ns) / 1000u);
    histogram_add(&metrics->items[op], item_bounds, call->item_count);
    if (call->single != 0) {
        add(&metrics->statuses[op][place_of(call->single_status)], 1);
        return;
    }
    for (uint32_t index = 0; index < call->item_count; index++) {
        const struct memkv_item *item = &call->items[index];
        const uint32_t item_op = (uint32_t)item->op <= MEMKV_OP_COMMIT ? (uint32_t)item->op : 0;
        add(&metrics->statuses[item_op][place_of(item->status)], 1);
        if (item->status == MEMKV_OK && item->op == MEMKV_OP_GET) {
            add(&metrics->value_bytes[item_op], item->byte_count);
        } else if (item->status == MEMKV_OK &&
                   (item->op == MEMKV_OP_PUT || item->op == MEMKV_OP_COMMIT)) {
            add(&metrics->value_bytes[item_op], item->data_bytes);
        }
    }
}

void mkv_metrics_connected(struct mkv_metrics *metrics, bool has_lane) {
    add(&metrics->connects, 1);
    add(&metrics->lanes, has_lane ? 1 : 0);
}

void mkv_metrics_connect_failed(struct mkv_metrics *metrics) {
    add(&metrics->connect_failures, 1);
}

void mkv_metrics_disconnected(struct mkv_metrics *metrics, bool had_lane) {
    add(&metrics->disconnects, 1);
    add(&metrics->lane_ends, had_lane ? 1 : 0);
}

void mkv_metrics_rdma_failed(struct mkv_metrics *metrics, uint32_t fallback, bool is_first) {
    if (is_first) {
        add(&metrics->fallbacks[mkv_native_fallback_known(fallback)], 1);
        add(&metrics->servers_on_tcp, 1);
    } else {
        add(&metrics->rdma_retries, 1);
    }
}

void mkv_metrics_rdma_recovered(struct mkv_metrics *metrics) {
    add(&metrics->rdma_recoveries, 1);
    mkv_metrics_rdma_forgotten(metrics);
}

void mkv_metrics_rdma_forgotten(struct mkv_metrics *metrics) {
    add(&metrics->servers_on_tcp, (uint64_t)0 - 1);
}

void mkv_metrics_rdma_moved(struct mkv_metrics *metrics, uint32_t kind, uint64_t bytes) {
    MKV_ASSERT(kind < MKV_RDMA_KINDS);
    add(&metrics->rdma_bytes[kind], bytes);
}

void mkv_metrics_rdma_registered(struct mkv_metrics *metrics, bool is_done) {
    add(is_done ? &metrics->registrations : &metrics->registration_failures, 1);
}

void mkv_metrics_servers(struct mkv_metrics *metrics, uint32_t before, uint32_t count) {
    add(&metrics->servers, (uint64_t)count - before); /* less of them: it wraps around to that */
    add(&metrics->list_changes, count > 0 ? 1 : 0);
}

void mkv_metrics_discovery(struct mkv_metrics *metrics, bool was_failing, bool is_failing) {
    add(is_failing ? &metrics->list_failures : &metrics->list_reads, 1);
    add(&metrics->lists_failing, (uint64_t)is_failing - was_failing);
}

void mkv_metrics_discovery_end(struct mkv_metrics *metrics, bool was_failing) {
    add(&metrics->lists_failing, (uint64_t)0 - was_failing);
}

/* ---- the text ------------------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t byte_count;
};

__attribute__((format(printf, 2, 3))) static void print(struct text *text, const char *format,
                                                        ...) {
    const size_t left_bytes = MKV_METRICS_TEXT_BYTES - text->byte_count;
    va_list arguments;
    va_start(arguments, format);
    const int count = vsnprintf(text->bytes + text->byte_count, left_bytes, format, arguments);
    va_end(arguments);
    MKV_ASSERT(count >= 0 && (size_t)count < left_bytes);
    text->byte_count += (size_t)count;
}

static void print_head(struct text *text, const char *name, const char *type, const char *help) {
    print(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Of ops that were called. `per_unit`: how many of the bounds' unit are one of the metric's. */
static void print_histogram(struct text *text, const char *name, struct histogram *histograms,
                            const uint64_t *bounds, double per_unit) {
    for (uint32_t op = 0; op < OPS; op++) {
        struct histogram *histogram = &histograms[op];
        uint64_t count = 0;
        for (uint32_t place = 0; place <= BOUNDS_MAX; place++) {
            count += read_of(&histogram->counts[place]);
        }
        if (count == 0) {
            continue;
        }
        uint64_t below = 0;
        for (uint32_t place = 0; place < BOUNDS_MAX; place++) {
            below += read_of(&histogram->counts[place]);
            print(text, "%s_bucket{op=\"%s\",le=\"%.10g\"} %" PRIu64 "\n", name, op_names[op],
                  (double)bounds[place] / per_unit, below);
        }
        below += read_of(&histogram->counts[BOUNDS_MAX]);
        print(text, "%s_bucket{op=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, op_names[op], below);
        print(text, "%s_sum{op=\"%s\"} %.10g\n", name, op_names[op],
              (double)read_of(&histogram->sum) / per_unit);
        print(text, "%s_count{op=\"%s\"} %" PRIu64 "\n", name, op_names[op], below);
    }
}

static void print_items(struct text *text, struct mkv_metrics *metrics) {
    print_head(text, "memkv_client_items_total", "counter",
               "items of calls that are done, by what they came to; lookups and pings by call");
    for (uint32_t op = 1; op < OPS; op++) {
        for (uint32_t place = 0; place < STATUSES; place++) {
            const uint64_t count = read_of(&metrics->statuses[op][place]);
            const uint32_t number =
                place < STATUS_OF_LIBRARY ? place : place - STATUS_OF_LIBRARY + MEMKV_CORRUPT;
            if (count > 0) {
                print(text, "memkv_client_items_total{op=\"%s\",status=\"%s\"} %" PRIu64 "\n",
                      op_names[op], memkv_status_name((enum memkv_status)number), count);
            }
        }
    }
}

static void print_servers(struct text *text, struct mkv_metrics *metrics) {
    print_head(text, "memkv_client_servers", "gauge", "servers of the lists of all clients");
    print(text, "memkv_client_servers %" PRIu64 "\n", read_of(&metrics->servers));
    print_head(text, "memkv_client_server_list_changes_total", "counter",
               "lists of servers that clients have taken");
    print(text, "memkv_client_server_list_changes_total %" PRIu64 "\n",
          read_of(&metrics->list_changes));
    print_head(text, "memkv_client_discovery_reads_total", "counter",
               "times that a discovery's list was read, or could not be");
    print(text, "memkv_client_discovery_reads_total{result=\"ok\"} %" PRIu64 "\n",
          read_of(&metrics->list_reads));
    print(text, "memkv_client_discovery_reads_total{result=\"failed\"} %" PRIu64 "\n",
          read_of(&metrics->list_failures));
    print_head(text, "memkv_client_discovery_failing", "gauge",
               "clients whose list could not be read the last time, and stays as it was");
    print(text, "memkv_client_discovery_failing %" PRIu64 "\n", read_of(&metrics->lists_failing));
}

static void print_result(struct text *text, const char *name, const char *result, uint64_t count) {
    print(text, "%s{result=\"%s\"} %" PRIu64 "\n", name, result, count);
}

static void print_rdma(struct text *text, struct mkv_metrics *metrics) {
    static const char *const kinds[MKV_RDMA_KINDS] = {"registered", "cached", "call", "bounced"};
    const uint64_t ends = read_of(&metrics->lane_ends); /* first, as with connections */
    print_head(text, "memkv_client_rdma_connections", "gauge", "connections by RDMA");
    print(text, "memkv_client_rdma_connections %" PRIu64 "\n", read_of(&metrics->lanes) - ends);
    print_head(text, "memkv_client_rdma_servers_on_tcp", "gauge",
               "servers that are reached over TCP since RDMA failed");
    print(text, "memkv_client_rdma_servers_on_tcp %" PRIu64 "\n",
          read_of(&metrics->servers_on_tcp));
    print_head(text, "memkv_client_rdma_fallbacks_total", "counter",
               "times that a server came to be reached over TCP instead of by RDMA");
    for (uint32_t fallback = 1; fallback < MKV_NATIVE_FALLBACK_COUNT; fallback++) {
        const uint64_t count = read_of(&metrics->fallbacks[fallback]);
        if (count > 0) { /* numbers that are no reasons have none */
            print(text, "memkv_client_rdma_fallbacks_total{reason=\"%s\"} %" PRIu64 "\n",
                  fallback == MKV_NATIVE_FALLBACK_REFUSED
                      ? "refused"
                      : mkv_lane_reason_name((enum mkv_lane_reason)fallback),
                  count);
        }
    }
    print_head(text, "memkv_client_rdma_retries_total", "counter",
               "times that RDMA was tried again with a server that is reached over TCP");
    print_result(text, "memkv_client_rdma_retries_total", "ok", read_of(&metrics->rdma_recoveries));
    print_result(text, "memkv_client_rdma_retries_total", "failed",
                 read_of(&metrics->rdma_retries));
    print_head(text, "memkv_client_rdma_value_bytes_total", "counter",
               "bytes of values that servers wrote or read by RDMA, by whose memory it was");
    for (uint32_t kind = 0; kind < MKV_RDMA_KINDS; kind++) {
        print(text, "memkv_client_rdma_value_bytes_total{memory=\"%s\"} %" PRIu64 "\n", kinds[kind],
              read_of(&metrics->rdma_bytes[kind]));
    }
    print_head(text, "memkv_client_rdma_registrations_total", "counter",
               "pieces of memory that were to be registered with an RDMA device");
    print_result(text, "memkv_client_rdma_registrations_total", "ok",
                 read_of(&metrics->registrations));
    print_result(text, "memkv_client_rdma_registrations_total", "failed",
                 read_of(&metrics->registration_failures));
}

size_t mkv_metrics_text(struct mkv_metrics *metrics, char bytes[MKV_METRICS_TEXT_BYTES]) {
    struct text text = {.bytes = bytes};
    print_head(&text, "memkv_client_call_duration_seconds", "histogram",
               "time of a call of libmemkv, from its begin to its completion");
    print_histogram(&text, "memkv_client_call_duration_seconds", metrics->durations_us,
                    duration_bounds_us, 1e6);
    print_head(&text, "memkv_client_call_items", "histogram", "items of a call of libmemkv");
    print_histogram(&text, "memkv_client_call_items", metrics->items, item_bounds, 1.0);
    print_items(&text, metrics);
    print_head(&text, "memkv_client_value_bytes_total", "counter",
               "bytes of values that were put and got");
    for (uint32_t op = 1; op <= MEMKV_OP_COMMIT; op++) {
        const uint64_t count = read_of(&metrics->value_bytes[op]);
        if (count > 0) {
            print(&text, "memkv_client_value_bytes_total{op=\"%s\"} %" PRIu64 "\n", op_names[op],
                  count);
        }
    }
    /* Disconnects first: so what is left of both is never below 0. */
    const uint64_t disconnects = read_of(&metrics->disconnects);
    const uint64_t connects = read_of(&metrics->connects);
    print_head(&text, "memkv_client_connections", "gauge", "connections that are greeted");
    print(&text, "memkv_client_connections %" PRIu64 "\n", connects - disconnects);
    print_head(&text, "memkv_client_connects_total", "counter",
               "attempts to connect that ended, but for those that try RDMA again in vain");
    print(&text, "memkv_client_connects_total{result=\"ok\"} %" PRIu64 "\n", connects);
    print(&text, "memkv_client_connects_total{result=\"failed\"} %" PRIu64 "\n",
          read_of(&metrics->connect_failures));
    print_head(&text, "memkv_client_disconnects_total", "counter",
               "greeted connections that ended, by either side");
    print(&text, "memkv_client_disconnects_total %" PRIu64 "\n", disconnects);
    print_rdma(&text, metrics);
    print_servers(&text, metrics);
    return text.byte_count;
}

void mkv_metrics_also(struct mkv_metrics *metrics, const struct mkv_metrics_also *also) {
    pthread_mutex_lock(&metrics->also_lock);
    metrics->also = also;
    pthread_mutex_unlock(&metrics->also_lock);
}

size_t mkv_metrics_also_text(struct mkv_metrics *metrics, char text[MKV_METRICS_ALSO_BYTES]) {
    pthread_mutex_lock(&metrics->also_lock);
    const struct mkv_metrics_also *also = metrics->also;
    const size_t byte_count = also == NULL ? 0 : also->write(also->context, text);
    pthread_mutex_unlock(&metrics->also_lock);
    MKV_ASSERT(byte_count <= MKV_METRICS_ALSO_BYTES);
    return byte_count;
}

/* ---- the process's -------------------------------------------------------------------------- */

enum memkv_status mkv_metrics_open(struct mkv_metrics **metrics, struct memkv_error *error) {
    /* One for the process, as its variable is; the lock is held while it begins. */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct mkv_metrics *process_metrics;
    static bool is_tried;
    const char *bind_text = getenv(BIND_VARIABLE);
    *metrics = NULL;
    if (bind_text == NULL || bind_text[0] == '\0') {
        return MEMKV_OK;
    }
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    uint32_t count = 0;
    enum memkv_status status =
        mkv_client_servers_parse(BIND_VARIABLE, bind_text, all, &count, error);
    if (status == MEMKV_OK && (count != 1 || strchr(bind_text, '*') != NULL)) {
        status = mkv_client_fail(error, MEMKV_INVALID, "%s '%.100s': one HOST:PORT to listen on",
                                 BIND_VARIABLE, bind_text);
    }
    if (status != MEMKV_OK) {
        return status;
    }
    pthread_mutex_lock(&lock);
    if (!is_tried) {
        int failure = 0;
        is_tried = true;
        process_metrics = calloc(1, sizeof *process_metrics);
        if (process_metrics != NULL) {
            pthread_mutex_init(&process_metrics->also_lock, NULL);
        }
        if (process_metrics != NULL &&
            !mkv_metrics_serve(process_metrics, all[0].host, all[0].port, &failure)) {
            fprintf(stderr, "memkv: %s %s: %s; this process has no metrics\n", BIND_VARIABLE,
                    all[0].text, strerror(failure));
            free(process_metrics);
            process_metrics = NULL;
        }
    }
    *metrics = process_metrics;
    pthread_mutex_unlock(&lock);
    return MEMKV_OK;
}
