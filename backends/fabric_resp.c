/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener, and a round of the fabric: what completed is handed out, connections with something
 * to do advance, those out of time are broken.
 */
#include "backends/fabric_resp_internal.h"

#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"

#define BACKLOG 4096u
#define NS_PER_S 1000000000ull
#define DEADLINE_NS_DEFAULT (30 * NS_PER_S)
#define HANDSHAKE_NS_DEFAULT (10 * NS_PER_S)
#define STALL_NS_DEFAULT (30 * NS_PER_S)
#define CLOSE_NS_DEFAULT (2 * NS_PER_S)

/* ---- accepting ------------------------------------------------------------------------------ */

static void reject(struct mkv_fabric_resp *fabric, int fd, const char *line) {
    if (fabric->options.tls != NULL) {
        mkv_acceptor_refuse_tls(fd, MKV_TLS_ALERT_ACCESS_DENIED);
    } else {
        mkv_acceptor_refuse(fd, line, strlen(line));
    }
    fabric->counters.connections_rejected_total++;
}

/* Gives the socket a connection, or the reason why there is none. */
static void accepted(void *context, int fd) {
    struct mkv_fabric_resp *fabric = context;
    static const char full[] = "-ERR max number of clients reached\r\n";
    if (fabric->draining) {
        reject(fabric, fd, "-READONLY the server is shutting down\r\n");
        return;
    }
    if (fabric->free_connection_count == 0) {
        reject(fabric, fd, full);
        return;
    }
    const uint32_t place = fabric->free_connections[fabric->free_connection_count - 1];
    switch (mkv_fabric_auth_open(fabric->options.auth, fd, MKV_FABRIC_LISTENER_RESP,
                                 &fabric->connections[place].session)) {
    case MKV_FABRIC_ADMITTED:
        if (!mkv_resp_connection_start(fabric, fd)) {
            mkv_fabric_auth_close(fabric->options.auth, &fabric->connections[place].session);
            reject(fabric, fd, full);
        }
        break;
    case MKV_FABRIC_PROTECTED:
        reject(fabric, fd, MKV_FABRIC_AUTH_RESP_DENIED);
        break;
    case MKV_FABRIC_FULL:
    case MKV_FABRIC_CLIENT_FULL:
        reject(fabric, fd, full);
        break;
    }
}

/* ---- a round -------------------------------------------------------------------------------- */

static void sweep(struct mkv_fabric_resp *fabric) {
    if (fabric->now_ns < fabric->sweep_ns) {
        return;
    }
    fabric->sweep_ns = fabric->now_ns + MKV_RESP_SWEEP_NS;
    fabric->is_hurried = fabric->free_work_count == 0 && fabric->waiting_head != NULL;
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        mkv_resp_connection_sweep(&fabric->connections[i]);
    }
}

static void poll_as(struct mkv_fabric_resp *fabric, uint64_t now_ns, bool opening) {
    MKV_ASSERT(fabric->base.sink.input != NULL);
    fabric->now_ns = now_ns;
    fabric->opening = opening;
    mkv_resp_ops_deliver(fabric);
    sweep(fabric);
    if (fabric->tenants_wait) {
        fabric->tenants_wait = false;
        mkv_resp_retry(fabric);
    }
    struct mkv_resp_connection *connection = fabric->touched_head;
    fabric->touched_head = NULL;
    fabric->touched_tail = NULL;
    while (connection != NULL) {
        struct mkv_resp_connection *next = connection->touched_next;
        connection->touched = false;
        connection->touched_next = NULL;
        mkv_resp_connection_advance(connection);
        connection = next;
    }
    mkv_acceptor_poll(&fabric->acceptor, now_ns);
}

static void resp_poll(struct mkv_fabric *base, uint64_t now_ns) {
    poll_as(mkv_resp_fabric(base), now_ns, false);
}

static void resp_poll_opening(struct mkv_fabric *base, uint64_t now_ns) {
    poll_as(mkv_resp_fabric(base), now_ns, true);
}

static bool resp_has_work(const struct mkv_fabric *base) {
    const struct mkv_fabric_resp *fabric = (const struct mkv_fabric_resp *)base;
    return fabric->completed.head != NULL || fabric->touched_head != NULL;
}

static void resp_drain(struct mkv_fabric *base) {
    struct mkv_fabric_resp *fabric = mkv_resp_fabric(base);
    if (fabric->draining) {
        return;
    }
    fabric->draining = true;
    mkv_acceptor_drain(&fabric->acceptor);
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        if (fabric->connections[i].state != MKV_RESP_FREE) {
            mkv_resp_connection_touch(&fabric->connections[i]);
        }
    }
}

static void resp_stop(struct mkv_fabric *base) {
    struct mkv_fabric_resp *fabric = mkv_resp_fabric(base);
    resp_drain(base);
    for (uint32_t i = 0; i < fabric->connections_used; i++) {
        if (fabric->connections[i].state != MKV_RESP_FREE) {
            mkv_resp_connection_break(&fabric->connections[i]);
        }
    }
}

static bool resp_is_idle(const struct mkv_fabric *base) {
    const struct mkv_fabric_resp *fabric = (const struct mkv_fabric_resp *)base;
    return mkv_acceptor_is_idle(&fabric->acceptor) && fabric->counters.connections_active == 0 &&
           fabric->completed.head == NULL;
}

/* ---- as a fabric of the pump ---------------------------------------------------------------- */

static void resp_submit(struct mkv_fabric *base, const struct mkv_effect *effect,
                        const uint8_t *front_arena) {
    mkv_fabric_resp_submit(mkv_resp_fabric(base), effect, front_arena);
}

static const struct mkv_fabric_counters *resp_counters(const struct mkv_fabric *base) {
    return &((const struct mkv_fabric_resp *)base)->counters;
}

/* The text, cut to what there is room for. */
static void copy_text(char *target, size_t target_bytes, const char *text) {
    const size_t bytes = strnlen(text, target_bytes - 1);
    memcpy(target, text, bytes);
    target[bytes] = '\0';
}

static void resp_describe(const struct mkv_fabric *base, struct mkv_connection_id id,
                          struct mkv_fabric_client *client) {
    const struct mkv_fabric_resp *fabric = (const struct mkv_fabric_resp *)base;
    const uint32_t place = id.index - fabric->options.connection_base;
    MKV_ASSERT(place < fabric->options.connections_max);
    const struct mkv_resp_connection *connection = &fabric->connections[place];
    MKV_ASSERT(connection->id.generation == id.generation);
    *client = (struct mkv_fabric_client){.connected_ns = connection->connected_ns};
    mkv_acceptor_peer_text(connection->stream.fd, client->address, sizeof client->address);
    copy_text(client->name, sizeof client->name, connection->identity.name);
    if (connection->session.grant != NULL) {
        copy_text(client->tenant, sizeof client->tenant,
                  mkv_fabric_auth_tenant(fabric->options.auth, &connection->session, NULL, 0));
    }
}

static void resp_destroy(struct mkv_fabric *base) {
    struct mkv_fabric_resp *fabric = mkv_resp_fabric(base);
    MKV_ASSERT(fabric->counters.connections_active == 0);
    mkv_acceptor_close(&fabric->acceptor);
    mkv_resp_pools_destroy(fabric);
    free(fabric->free_connections);
    free(fabric->connections);
    free(fabric);
}

static const struct mkv_fabric_ops resp_ops = {
    .submit = resp_submit,
    .poll = resp_poll,
    .poll_opening = resp_poll_opening,
    .has_work = resp_has_work,
    .drain = resp_drain,
    .stop = resp_stop,
    .is_idle = resp_is_idle,
    .destroy = resp_destroy,
    .counters = resp_counters,
    .describe = resp_describe,
};

struct mkv_fabric *mkv_fabric_resp_base(struct mkv_fabric_resp *fabric) {
    return &fabric->base;
}

uint16_t mkv_fabric_resp_port(const struct mkv_fabric_resp *fabric) {
    return fabric->acceptor.port;
}

/* ---- looking at it --------------------------------------------------------------------------- */

bool mkv_fabric_resp_kill(struct mkv_fabric_resp *fabric, struct mkv_connection_id id) {
    const uint32_t place = id.index - fabric->options.connection_base;
    if (place >= fabric->options.connections_max) {
        return false;
    }
    struct mkv_resp_connection *connection = &fabric->connections[place];
    const bool is_it =
        connection->state != MKV_RESP_FREE && connection->id.generation == id.generation;
    if (is_it) {
        mkv_resp_connection_break(connection);
    }
    return is_it;
}

static const char *last_command(const struct mkv_resp_connection *connection) {
    return connection->command == MKV_RESP_COMMAND_OTHER
               ? connection->other_command
               : mkv_resp_commands[connection->command].name;
}

bool mkv_fabric_resp_next_client(const struct mkv_fabric_resp *fabric, uint32_t *cursor,
                                 struct mkv_resp_client *client) {
    while (*cursor < fabric->connections_used) {
        const struct mkv_resp_connection *connection = &fabric->connections[*cursor];
        (*cursor)++;
        if (connection->state == MKV_RESP_FREE || connection->state == MKV_RESP_BROKEN) {
            continue;
        }
        *client = (struct mkv_resp_client){
            .id = connection->id,
            .fd = connection->stream.fd,
            .identity = connection->identity,
            .user = connection->session.user,
            .last_command = last_command(connection),
            .protocol = connection->protocol,
            .under_way = connection->entry_count,
            .received_bytes = connection->work == NULL ? 0 : connection->end - connection->start,
            .reply_bytes = (uint32_t)mkv_min_u64(connection->queued - connection->sent, UINT32_MAX),
            .connected_ns = connection->connected_ns,
            .last_ns = connection->last_ns,
            .commands = connection->commands,
        };
        if (connection->session.address[0] != '\0') {
            copy_text(client->address, sizeof client->address, connection->session.address);
        } else {
            mkv_acceptor_peer_text(client->fd, client->address, sizeof client->address);
        }
        return true;
    }
    return false;
}

void mkv_fabric_resp_local_address(const struct mkv_resp_client *client, char text[64]) {
    mkv_acceptor_local_text(client->fd, text, 64);
}

bool mkv_fabric_resp_next_command(const struct mkv_fabric_resp *fabric, uint32_t *cursor,
                                  struct mkv_resp_command_figures *figures) {
    if (*cursor >= mkv_resp_command_count()) {
        return false;
    }
    const struct mkv_resp_figures *source = &fabric->figures[*cursor];
    *figures = (struct mkv_resp_command_figures){
        .name = mkv_resp_commands[*cursor].name,
        .calls = source->calls,
        .rejected = source->rejected,
        .failed = source->failed,
        .ns = source->ns,
    };
    (*cursor)++;
    return true;
}

uint64_t mkv_fabric_resp_commands(const struct mkv_fabric_resp *fabric) {
    return fabric->commands_total;
}

/* ---- creation ------------------------------------------------------------------------------- */

static void check_options(const struct mkv_fabric_resp_options *options) {
    MKV_ASSERT(options->ring != NULL);
    MKV_ASSERT(options->arena != NULL);
    MKV_ASSERT(options->version != NULL);
    MKV_ASSERT(options->connections_max >= 1);
    MKV_ASSERT(options->connections_max <= MKV_FABRIC_RESP_CONNECTIONS_MAX);
    MKV_ASSERT(options->pipeline_max >= 1);
    MKV_ASSERT(options->pipeline_max <= MKV_FABRIC_RESP_PIPELINE_MAX);
    MKV_ASSERT(options->entries >= 1);
    MKV_ASSERT(options->workspaces >= 1);
    MKV_ASSERT(options->calls >= 1);
}

/* False when there is no memory; what was allocated is then freed by destroy. */
static bool allocate(struct mkv_fabric_resp *fabric) {
    const uint32_t connections_max = fabric->options.connections_max;
    fabric->connections = calloc(connections_max, sizeof *fabric->connections);
    fabric->free_connections = calloc(connections_max, sizeof *fabric->free_connections);
    if (fabric->connections == NULL || fabric->free_connections == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < connections_max; i++) {
        fabric->free_connections[connections_max - 1 - i] = i;
    }
    fabric->free_connection_count = connections_max;
    return mkv_resp_pools_create(fabric);
}

static void set_defaults(struct mkv_fabric_resp *fabric) {
    struct mkv_fabric_resp_options *options = &fabric->options;
    options->deadline_ns = options->deadline_ns != 0 ? options->deadline_ns : DEADLINE_NS_DEFAULT;
    options->handshake_ns =
        options->handshake_ns != 0 ? options->handshake_ns : HANDSHAKE_NS_DEFAULT;
    options->stall_ns = options->stall_ns != 0 ? options->stall_ns : STALL_NS_DEFAULT;
    options->close_ns = options->close_ns != 0 ? options->close_ns : CLOSE_NS_DEFAULT;
}

bool mkv_fabric_resp_create(const struct mkv_fabric_resp_options *options,
                            struct mkv_fabric_resp **fabric_out, struct mkv_backend_error *error) {
    check_options(options);
    struct mkv_fabric_resp *fabric = calloc(1, sizeof *fabric);
    if (fabric == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the RESP listener. Free memory on this machine");
    }
    fabric->base.ops = &resp_ops;
    fabric->options = *options;
    set_defaults(fabric);
    fabric->now_ns = mkv_clock_monotonic_ns();
    if (!allocate(fabric)) {
        resp_destroy(&fabric->base);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for %u RESP connections. Lower the number of "
                                  "connections or free memory on this machine",
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
        .accepted = accepted,
        .context = fabric,
    };
    if (!mkv_acceptor_open(&fabric->acceptor, &acceptor_options, error)) {
        resp_destroy(&fabric->base);
        return false;
    }
    *fabric_out = fabric;
    return true;
}
