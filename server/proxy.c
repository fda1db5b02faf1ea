/* SPDX-License-Identifier: Apache-2.0 */
#include "server/proxy.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backends/clock.h"
#include "server/proxy_internal.h"

/* Waits end so often at least: deadlines of those that wait for memory, stalled connections. */
#define TICK_NS (100ull * 1000000u)
#define RING_ENTRIES 4096u
#define WORKSPACES 1024u
#define CALLS 16u
#define PIPELINE_MAX 128u
/* GETs whose turn has not come, all together. */
#define AHEAD_MAX 1024u
/* Above timeout_ms: what a command waits for memory, and for its bytes. */
#define COMMAND_NS (30ull * 1000000000u)
/* A GET expects a value of at most this part of the memory. */
#define EXPECTED_SHARE 64u
_Static_assert(MKV_PROXY_MEMORY_BYTES_MIN / MKV_SLAB_UNIT_STRIDE_BYTES >= EXPECTED_SHARE,
               "a share is a unit at least");

/* ---- rounds ---------------------------------------------------------------------------------- */

static void client_polled(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_proxy *proxy =
        (struct mkv_proxy *)((char *)completion - offsetof(struct mkv_proxy, client_poll));
    (void)result; /* the next round looks, whatever it is */
    (void)flags;
    proxy->client_polled = false;
}

static void poll_client(struct mkv_proxy *proxy) {
    if (!proxy->client_polled) {
        struct io_uring_sqe *sqe = mkv_ring_sqe(proxy->ring, &proxy->client_poll);
        io_uring_prep_poll_add(sqe, proxy->client_fd, POLLIN);
        proxy->client_polled = true;
    }
}

void mkv_proxy_round(struct mkv_proxy *proxy) {
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    proxy->fabric->ops->poll(proxy->fabric, now_ns);
    mkv_proxy_serve_waiting(proxy, now_ns);
    mkv_proxy_submit_ready(proxy);
    mkv_proxy_take_completions(proxy);
    mkv_proxy_serve_waiting(proxy, now_ns);
    mkv_proxy_submit_ready(proxy);
    mkv_proxy_metrics_turn(proxy);
    const bool has_work = proxy->has_more || proxy->fabric->ops->has_work(proxy->fabric);
    poll_client(proxy);
    mkv_ring_wait(proxy->ring, has_work ? 0 : TICK_NS);
}

void mkv_proxy_wake(struct mkv_proxy *proxy) {
    mkv_ring_wake(proxy->ring);
}

void mkv_proxy_drain(struct mkv_proxy *proxy) {
    proxy->fabric->ops->drain(proxy->fabric);
}

void mkv_proxy_stop(struct mkv_proxy *proxy) {
    proxy->fabric->ops->stop(proxy->fabric);
}

bool mkv_proxy_is_idle(const struct mkv_proxy *proxy) {
    return proxy->fabric->ops->is_idle(proxy->fabric);
}

uint16_t mkv_proxy_port(const struct mkv_proxy *proxy) {
    return mkv_fabric_resp_port(proxy->resp);
}

uint64_t mkv_proxy_value_bytes_max(const struct mkv_proxy *proxy) {
    return proxy->value_bytes_max;
}

void mkv_proxy_counters(const struct mkv_proxy *proxy, struct mkv_proxy_counters *out) {
    const uint64_t unit_bytes = MKV_SLAB_UNIT_STRIDE_BYTES;
    *out = proxy->counters;
    out->memory_used = mkv_proxy_memory_used(proxy->memory) * unit_bytes;
    out->memory_bytes = mkv_proxy_memory_unit_count(proxy->memory) * unit_bytes;
}

/* ---- creation -------------------------------------------------------------------------------- */

static bool no_memory(struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "no memory for a proxy. Free memory on this machine");
}

static bool make_pools(struct mkv_proxy *proxy, struct mkv_backend_error *error) {
    const uint32_t connections_max = proxy->options.connections_max;
    TAILQ_INIT(&proxy->free_ops);
    TAILQ_INIT(&proxy->waiting);
    TAILQ_INIT(&proxy->ready);
    LIST_INIT(&proxy->batches);
    proxy->ops = calloc(MKV_PROXY_OPS, sizeof *proxy->ops);
    proxy->connections = calloc(connections_max, sizeof *proxy->connections);
    proxy->memory = mkv_proxy_memory_create(mkv_arena_unit_count(proxy->arena));
    if (proxy->ops == NULL || proxy->connections == NULL || proxy->memory == NULL) {
        return no_memory(error);
    }
    for (uint32_t i = 0; i < MKV_PROXY_OPS; i++) {
        TAILQ_INSERT_TAIL(&proxy->free_ops, &proxy->ops[i], link);
    }
    for (uint32_t i = 0; i < connections_max; i++) {
        TAILQ_INIT(&proxy->connections[i]);
    }
    const uint32_t unit_count = mkv_arena_unit_count(proxy->arena);
    proxy->value_bytes_max =
        mkv_min_u64(MKV_PROXY_VALUE_BYTES_MAX, mkv_proxy_memory_room(unit_count / 2));
    proxy->expected_bytes_max = mkv_proxy_memory_room(unit_count / EXPECTED_SHARE);
    proxy->expected_bytes = mkv_proxy_memory_room(1);
    proxy->expected_seen = proxy->expected_bytes;
    return true;
}

static bool make_ring(struct mkv_proxy *proxy, struct mkv_backend_error *error) {
    const struct mkv_arena_options arena = {.bytes = proxy->options.memory_bytes,
                                            .hugepages = MKV_HUGEPAGES_AUTO};
    const struct mkv_ring_options ring = {.entries = RING_ENTRIES};
    return mkv_arena_create(&arena, &proxy->arena, error) && make_pools(proxy, error) &&
           mkv_ring_create(&ring, &proxy->ring, error);
}

static enum mkv_backend_failure failure_of(enum memkv_status status) {
    return status == MEMKV_INVALID     ? MKV_BACKEND_CONFIGURATION
           : status == MEMKV_FORBIDDEN ? MKV_BACKEND_PERMISSION
                                       : MKV_BACKEND_UNAVAILABLE;
}

static bool make_client(struct mkv_proxy *proxy, struct mkv_backend_error *error) {
    struct memkv_options options = *proxy->options.servers;
    struct memkv_error failure;
    options.timeout_ms = proxy->options.timeout_ms;
    const enum memkv_status status = memkv_open(&options, &proxy->client, &failure);
    if (status != MEMKV_OK) {
        return mkv_backend_refuse(error, failure_of(status), "%s", failure.text);
    }
    proxy->client_fd = memkv_fd(proxy->client);
    proxy->client_poll.done = client_polled;
    return proxy->client_fd >= 0 ||
           mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "no descriptor to wait for servers: %s. Raise the limit (ulimit -n)",
                              strerror(errno));
}

static bool make_fabric(struct mkv_proxy *proxy, struct mkv_backend_error *error) {
    const struct mkv_fabric_resp_options resp = {
        .ring = proxy->ring,
        .arena = proxy->arena,
        .host = proxy->options.host,
        .port = proxy->options.port,
        .option = "--listen",
        .tls = proxy->options.tls,
        .connections_max = proxy->options.connections_max,
        .transfers_max = 2 * MKV_PROXY_OPS, /* a PUSH and an ANSWER of each */
        .workspaces = WORKSPACES,
        .entries = MKV_PROXY_ENTRIES,
        .calls = CALLS,
        .pipeline_max = PIPELINE_MAX,
        .ahead_max = AHEAD_MAX,
        .value_bytes_max = proxy->value_bytes_max,
        .deadline_ns = COMMAND_NS,
        .exists_lease_ms = 10000,
        .durable = proxy->options.durable,
        .version = MKV_RESP_REDIS_VERSION,
        .is_proxy = true,
        .unavailable_text = "ERR unavailable: the server of this key does not answer",
        .unknown_text = "ERR unknown: the server of this key did not answer in time, or its "
                        "connection broke; the command may come to be",
        .auth = proxy->options.auth,
        .call = mkv_proxy_call,
        .call_context = proxy,
    };
    if (!mkv_fabric_resp_create(&resp, &proxy->resp, error)) {
        return false;
    }
    proxy->fabric = mkv_fabric_resp_base(proxy->resp);
    proxy->fabric->sink = (struct mkv_fabric_sink){proxy, mkv_proxy_input};
    return true;
}

bool mkv_proxy_create(const struct mkv_proxy_options *options, struct mkv_proxy **proxy_out,
                      struct mkv_backend_error *error) {
    MKV_ASSERT(options->memory_bytes >= MKV_PROXY_MEMORY_BYTES_MIN);
    struct mkv_proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return no_memory(error);
    }
    proxy->options = *options;
    proxy->counters.started_ns = mkv_clock_monotonic_ns();
    uint8_t random[20] = {0};
    (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(proxy->run_id + 2 * i, 3, "%02x", random[i]);
    }
    if (!make_ring(proxy, error) || !make_client(proxy, error) || !make_fabric(proxy, error) ||
        (options->has_metrics && !mkv_proxy_metrics_begin(proxy, error))) {
        mkv_proxy_destroy(proxy);
        return false;
    }
    *proxy_out = proxy;
    return true;
}

static void forget_batches(struct mkv_proxy *proxy) {
    struct mkv_proxy_batch *batch;
    while ((batch = LIST_FIRST(&proxy->batches)) != NULL) {
        LIST_REMOVE(batch, link);
        free(batch);
    }
}

/* The wait for libmemkv's descriptor has to come back before the ring goes. */
static void end_poll(struct mkv_proxy *proxy) {
    if (proxy->client_polled) {
        struct io_uring_sqe *sqe = mkv_ring_sqe(proxy->ring, NULL);
        io_uring_prep_cancel(sqe, &proxy->client_poll, 0);
    }
    while (proxy->client_polled) {
        mkv_ring_wait(proxy->ring, TICK_NS);
    }
}

void mkv_proxy_destroy(struct mkv_proxy *proxy) {
    if (proxy == NULL) {
        return;
    }
    mkv_proxy_metrics_end(proxy);
    if (proxy->fabric != NULL) {
        end_poll(proxy);
        proxy->fabric->ops->destroy(proxy->fabric);
    }
    memkv_close(proxy->client);
    forget_batches(proxy);
    mkv_ring_destroy(proxy->ring);
    mkv_proxy_memory_destroy(proxy->memory);
    mkv_arena_destroy(proxy->arena);
    free(proxy->connections);
    free(proxy->ops);
    free(proxy);
}
