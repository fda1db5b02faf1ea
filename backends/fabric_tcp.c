/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener, and a round of the fabric: what completed is handed out, connections with something
 * to do advance, those out of time are broken.
 */
#include "backends/fabric_tcp_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/clock.h"
#include "backends/lane_ports.h"

#define BACKLOG 1024u
#define NS_PER_S 1000000000ull
#define HELLO_NS_DEFAULT (10 * NS_PER_S)
#define STALL_NS_DEFAULT (30 * NS_PER_S)
#define CLOSE_NS_DEFAULT (2 * NS_PER_S)
#define REST_NS_DEFAULT NS_PER_S

/* ---- accepting ------------------------------------------------------------------------------ */

/* Writes the HELLO answer that refuses a connection; returns its bytes. */
static uint32_t refusal_encode(enum mkv_status status, const char *text,
                               uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_TEXT_BYTES_MAX]) {
    const size_t text_bytes = strlen(text);
    MKV_ASSERT(text_bytes <= MKV_NATIVE_TEXT_BYTES_MAX);
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_HELLO,
        .flags = MKV_NATIVE_FLAG_ANSWER,
        .body_bytes = (uint32_t)text_bytes,
        .status = status,
    };
    mkv_native_header_encode(&header, bytes);
    memcpy(bytes + MKV_NATIVE_HEADER_BYTES, text, text_bytes);
    return (uint32_t)(MKV_NATIVE_HEADER_BYTES + text_bytes);
}

/* Tells a client that there is no place for it. */
static void reject(struct mkv_fabric_tcp *fabric, int fd, enum mkv_status status,
                   const char *text) {
    if (fabric->options.tls != NULL) {
        mkv_acceptor_refuse_tls(fd, status == MKV_STATUS_FORBIDDEN ? MKV_TLS_ALERT_ACCESS_DENIED
                                                                   : MKV_TLS_ALERT_INTERNAL_ERROR);
    } else {
        uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_TEXT_BYTES_MAX];
        const uint32_t byte_count = refusal_encode(status, text, bytes);
        mkv_acceptor_refuse(fd, bytes, byte_count);
    }
    fabric->counters.connections_rejected_total++;
}

/* Gives the socket a connection, or the reason why there is none. */
static void accepted(void *context, int fd) {
    struct mkv_fabric_tcp *fabric = context;
    static const char full[] = "the server has as many connections as it takes; try again later";
    const bool is_full = fabric->free_connection_count == 0 &&
                         fabric->connections_used == fabric->options.connections_max;
    if (is_full || fabric->draining) {
        reject(fabric, fd, MKV_STATUS_BUSY, full);
        return;
    }
    struct mkv_fabric_session session;
    const enum mkv_fabric_listener listener =
        fabric->options.is_local ? MKV_FABRIC_LISTENER_SHM : MKV_FABRIC_LISTENER_NATIVE;
    switch (mkv_fabric_auth_open(fabric->options.auth, fd, listener, &session)) {
    case MKV_FABRIC_ADMITTED:
        if (!mkv_tcp_connection_start(fabric, fd, &session, NULL)) {
            mkv_fabric_auth_close(fabric->options.auth, &session);
            reject(fabric, fd, MKV_STATUS_BUSY, "the server has no memory for a connection");
        }
        break;
    case MKV_FABRIC_PROTECTED:
        reject(
            fabric, fd, MKV_STATUS_FORBIDDEN,
            fabric->options.is_local
                ? "protected mode: the server has no key, so over this socket it serves root, "
                  "its own user and network.shm_users alone; set one of these, or network.auth_key"
                : "protected mode: the server has no key, so it serves its own machine alone; set "
                  "network.auth_key there (memkv auth keygen makes one), or network.auth: none "
                  "to serve everybody");
        break;
    case MKV_FABRIC_FULL:
        reject(fabric, fd, MKV_STATUS_BUSY, full);
        break;
    case MKV_FABRIC_CLIENT_FULL:
        reject(fabric, fd, MKV_STATUS_BUSY,
               "your address has as many connections as network.client_connections_max allows");
        break;
    }
}

uint32_t mkv_fabric_tcp_adopts_max(const struct mkv_fabric_tcp *fabric) {
    const uint32_t places = fabric->options.connections_max;
    const uint32_t free_places = fabric->free_connection_count + places - fabric->connections_used;
    const uint32_t kept = places / 2;
    return fabric->draining || free_places <= kept ? 0 : free_places - kept;
}

void mkv_fabric_tcp_adopt(struct mkv_fabric_tcp *fabric, const struct mkv_fabric_tcp_move *move) {
    const bool is_full = fabric->free_connection_count == 0 &&
                         fabric->connections_used == fabric->options.connections_max;
    if (!is_full && !fabric->draining &&
        mkv_tcp_connection_start(fabric, move->fd, &move->session, move)) {
        return;
    }
    struct mkv_fabric_session session = move->session;
    mkv_fabric_auth_close(fabric->options.auth, &session);
    reject(fabric, move->fd, MKV_STATUS_BUSY,
           "this shard has as many connections as it takes; try again later");
}

/* ---- a round -------------------------------------------------------------------------------- */

static void sweep(struct mkv_fabric_tcp *fabric) {
    if (fabric->now_ns < fabric->sweep_ns) {
        return;
    }
    fabric->sweep_ns = fabric->now_ns + MKV_TCP_SWEEP_NS;
    uint32_t rests = MKV_TCP_RESTS_MAX;
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        if (fabric->quiet[i] == 0) {
            mkv_tcp_connection_sweep(&fabric->connections[i], &rests);
        }
    }
}

static void touched_advance(struct mkv_fabric_tcp *fabric) {
    struct mkv_tcp_connection *connection = fabric->touched_head;
    fabric->touched_head = NULL;
    fabric->touched_tail = NULL;
    while (connection != NULL) {
        struct mkv_tcp_connection *next = connection->touched_next;
        connection->touched = false;
        connection->touched_next = NULL;
        mkv_tcp_connection_advance(connection);
        connection = next;
    }
}

/* The last of a round: what was made ready for lanes leaves. */
static void lanes_end(struct mkv_fabric_tcp *fabric, uint64_t now_ns) {
    struct mkv_lane_ports *ports = fabric->options.lane_ports;
    if (fabric->lanes.connections_active > 0) {
        /* Requests that came in this round may have their answers already. */
        touched_advance(fabric);
    }
    mkv_lane_ports_flush(ports, now_ns);
    if (fabric->draining && fabric->counters.connections_active == 0) {
        mkv_lane_ports_stop(ports);
    }
}

void mkv_fabric_tcp_poll(struct mkv_fabric_tcp *fabric, uint64_t now_ns) {
    MKV_ASSERT(fabric->base.sink.input != NULL);
    fabric->now_ns = now_ns;
    mkv_tcp_share_begin(fabric);
    fabric->has_filled = false;
    mkv_tcp_ops_deliver(fabric);
    sweep(fabric);
    if (fabric->tenants_wait) {
        fabric->tenants_wait = false;
        mkv_tcp_pool_retry(fabric);
    }
    if (fabric->options.lane_ports != NULL) {
        mkv_lane_ports_poll(fabric->options.lane_ports, now_ns);
        mkv_tcp_lanes_come(fabric);
    }
    touched_advance(fabric);
    mkv_acceptor_poll(&fabric->acceptor, now_ns);
    if (fabric->options.lane_ports != NULL) {
        lanes_end(fabric, now_ns);
    }
}

bool mkv_fabric_tcp_has_work(const struct mkv_fabric_tcp *fabric) {
    const struct mkv_lane_ports *ports = fabric->options.lane_ports;
    return fabric->completed.head != NULL || fabric->touched_head != NULL ||
           (ports != NULL && mkv_lane_ports_has_work(ports));
}

void mkv_fabric_tcp_drain(struct mkv_fabric_tcp *fabric) {
    if (fabric->draining) {
        return;
    }
    fabric->draining = true;
    mkv_acceptor_drain(&fabric->acceptor);
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        mkv_tcp_connection_touch(&fabric->connections[i]);
    }
}

void mkv_fabric_tcp_stop(struct mkv_fabric_tcp *fabric) {
    mkv_fabric_tcp_drain(fabric);
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        if (fabric->connections[i].state != MKV_TCP_FREE) {
            mkv_tcp_connection_break(&fabric->connections[i]);
        }
    }
}

bool mkv_fabric_tcp_is_idle(const struct mkv_fabric_tcp *fabric) {
    const struct mkv_lane_ports *ports = fabric->options.lane_ports;
    return mkv_acceptor_is_idle(&fabric->acceptor) && fabric->counters.connections_active == 0 &&
           fabric->completed.head == NULL && (ports == NULL || mkv_lane_ports_is_idle(ports));
}

/* ---- as a fabric of the pump ---------------------------------------------------------------- */

static void base_submit(struct mkv_fabric *base, const struct mkv_effect *effect,
                        const uint8_t *front_arena) {
    mkv_fabric_tcp_submit(mkv_tcp_fabric(base), effect, front_arena);
}

static void base_poll(struct mkv_fabric *base, uint64_t now_ns) {
    mkv_fabric_tcp_poll(mkv_tcp_fabric(base), now_ns);
}

static bool base_has_work(const struct mkv_fabric *base) {
    return mkv_fabric_tcp_has_work((const struct mkv_fabric_tcp *)base);
}

static void base_drain(struct mkv_fabric *base) {
    mkv_fabric_tcp_drain(mkv_tcp_fabric(base));
}

static void base_stop(struct mkv_fabric *base) {
    mkv_fabric_tcp_stop(mkv_tcp_fabric(base));
}

static bool base_is_idle(const struct mkv_fabric *base) {
    return mkv_fabric_tcp_is_idle((const struct mkv_fabric_tcp *)base);
}

static void base_destroy(struct mkv_fabric *base) {
    mkv_fabric_tcp_destroy(mkv_tcp_fabric(base));
}

static const struct mkv_fabric_counters *base_counters(const struct mkv_fabric *base) {
    return mkv_fabric_tcp_counters((const struct mkv_fabric_tcp *)base);
}

static void base_describe(const struct mkv_fabric *base, struct mkv_connection_id id,
                          struct mkv_fabric_client *client) {
    const struct mkv_fabric_tcp *fabric = (const struct mkv_fabric_tcp *)base;
    const uint32_t place = id.index - fabric->options.connection_base;
    MKV_ASSERT(place < fabric->options.connections_max);
    const struct mkv_tcp_connection *connection = &fabric->connections[place];
    MKV_ASSERT(connection->id.generation == id.generation);
    *client = (struct mkv_fabric_client){.connected_ns = connection->connected_ns};
    mkv_acceptor_peer_text(connection->stream.fd, client->address, sizeof client->address);
    memcpy(client->tenant, connection->tenant_name, sizeof client->tenant);
    memcpy(client->name, connection->client_name, sizeof client->name);
}

static const struct mkv_fabric_ops tcp_ops = {
    .submit = base_submit,
    .poll = base_poll,
    .has_work = base_has_work,
    .drain = base_drain,
    .stop = base_stop,
    .is_idle = base_is_idle,
    .destroy = base_destroy,
    .counters = base_counters,
    .describe = base_describe,
};

struct mkv_fabric *mkv_fabric_tcp_base(struct mkv_fabric_tcp *fabric) {
    return &fabric->base;
}

uint32_t mkv_fabric_tcp_connection_base(const struct mkv_fabric_tcp *fabric) {
    return fabric->options.connection_base;
}

uint16_t mkv_fabric_tcp_port(const struct mkv_fabric_tcp *fabric) {
    return fabric->acceptor.port;
}

const struct mkv_fabric_counters *mkv_fabric_tcp_counters(const struct mkv_fabric_tcp *fabric) {
    return &fabric->counters;
}

const struct mkv_fabric_lane_counters *mkv_fabric_tcp_lane_counters(
    const struct mkv_fabric_tcp *fabric) {
    return &fabric->lanes;
}

/* ---- creation ------------------------------------------------------------------------------- */

static void check_options(const struct mkv_fabric_tcp_options *options) {
    MKV_ASSERT(options->ring != NULL);
    MKV_ASSERT(options->arena != NULL);
    MKV_ASSERT(options->stats != NULL);
    MKV_ASSERT(options->connections_max >= 1);
    MKV_ASSERT(options->connections_max <= MKV_FABRIC_TCP_CONNECTIONS_MAX);
    MKV_ASSERT(options->hello.requests_max >= 1);
    MKV_ASSERT(options->hello.requests_max <= MKV_FABRIC_TCP_REQUESTS_MAX);
}

/* Memory of zeroes, of which only touched pages are taken, however much may be asked for; or NULL.
 */
static void *map_memory(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* False when there is no memory; what was allocated is then freed by destroy. */
static bool allocate(struct mkv_fabric_tcp *fabric) {
    const struct mkv_fabric_tcp_options *options = &fabric->options;
    const uint32_t connections_max = options->connections_max;
    const size_t requests_each = (size_t)options->hello.requests_max + 1u;
    /* Answers that a connection may owe: see I2 of fabric_tcp.h, and one refused on top. */
    const uint64_t answers = (uint64_t)connections_max * (2u * options->hello.requests_max + 2u);
    const uint64_t ops_max = answers + options->transfers_max;
    if (ops_max > UINT32_MAX) {
        return false;
    }
    fabric->ops_max = (uint32_t)ops_max;
    fabric->ops = map_memory(fabric->ops_max * sizeof *fabric->ops);
    fabric->connections = calloc(connections_max, sizeof *fabric->connections);
    fabric->quiet = calloc(connections_max, sizeof *fabric->quiet);
    fabric->free_connections = calloc(connections_max, sizeof *fabric->free_connections);
    fabric->connection_bytes = mkv_round_up_u64(MKV_TCP_CONTROL_BYTES + MKV_TCP_SCRATCH_BYTES +
                                                    sizeof(struct mkv_tcp_work) +
                                                    requests_each * sizeof(struct mkv_tcp_request),
                                                MKV_UNIT_BYTES);
    fabric->memory_bytes = connections_max * fabric->connection_bytes;
    fabric->memory = map_memory(fabric->memory_bytes);
    if (fabric->ops == NULL || fabric->connections == NULL || fabric->quiet == NULL ||
        fabric->free_connections == NULL || fabric->memory == NULL) {
        return false;
    }
    /* One byte of a huge page would keep those of many connections. */
    (void)madvise(fabric->memory, fabric->memory_bytes, MADV_NOHUGEPAGE);
    return mkv_tcp_pool_create(&fabric->bodies, options->body_buffers, MKV_NATIVE_BODY_BYTES_MAX) &&
           mkv_tcp_pool_create(&fabric->inlines, options->inline_buffers,
                               MKV_NATIVE_INLINE_BYTES_MAX);
}

bool mkv_fabric_tcp_create(const struct mkv_fabric_tcp_options *options,
                           struct mkv_fabric_tcp **fabric_out, struct mkv_backend_error *error) {
    check_options(options);
    struct mkv_fabric_tcp *fabric = calloc(1, sizeof *fabric);
    if (fabric == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the listener. Free memory on this machine");
    }
    fabric->base.ops = &tcp_ops;
    fabric->options = *options;
    fabric->options.hello_ns = options->hello_ns != 0 ? options->hello_ns : HELLO_NS_DEFAULT;
    fabric->options.stall_ns = options->stall_ns != 0 ? options->stall_ns : STALL_NS_DEFAULT;
    fabric->options.close_ns = options->close_ns != 0 ? options->close_ns : CLOSE_NS_DEFAULT;
    fabric->options.rest_ns = options->rest_ns != 0 ? options->rest_ns : REST_NS_DEFAULT;
    fabric->now_ns = mkv_clock_monotonic_ns();
    if (!allocate(fabric)) {
        mkv_fabric_tcp_destroy(fabric);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for %u connections. Lower the number of connections "
                                  "or free memory on this machine",
                                  options->connections_max);
    }
    const struct mkv_acceptor_options acceptor_options = {
        .ring = options->ring,
        .listen =
            {
                .host = options->host,
                .port = options->port,
                .backlog = BACKLOG,
                .option = options->option,
                .share = options->share,
            },
        .is_local = options->is_local,
        .local_fd = options->local_fd,
        .accepted = accepted,
        .context = fabric,
    };
    if (!mkv_acceptor_open(&fabric->acceptor, &acceptor_options, error)) {
        mkv_fabric_tcp_destroy(fabric);
        return false;
    }
    fabric->plain_answer_bytes = refusal_encode(
        MKV_STATUS_FORBIDDEN, mkv_fabric_fault_text(MKV_FABRIC_FAULT_TLS), fabric->plain_answer);
    *fabric_out = fabric;
    return true;
}

void mkv_fabric_tcp_destroy(struct mkv_fabric_tcp *fabric) {
    if (fabric == NULL) {
        return;
    }
    MKV_ASSERT(fabric->counters.connections_active == 0);
    mkv_acceptor_close(&fabric->acceptor);
    mkv_tcp_pool_destroy(&fabric->inlines);
    mkv_tcp_pool_destroy(&fabric->bodies);
    if (fabric->memory != NULL) {
        munmap(fabric->memory, fabric->memory_bytes);
    }
    free(fabric->free_connections);
    free(fabric->quiet);
    free(fabric->connections);
    if (fabric->ops != NULL) {
        munmap(fabric->ops, fabric->ops_max * sizeof *fabric->ops);
    }
    free(fabric);
}
