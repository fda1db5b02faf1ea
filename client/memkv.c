/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls that wait, each one call of the engine (engine.h).
 */
#include "client/memkv.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine.h"
#include "client/tls.h"

/* The servers, from the list that was given or of the discovery, which has the time of a connection
 * to find one. */
static enum memkv_status servers_begin(struct memkv_client *client,
                                       const struct mkv_settings *settings,
                                       struct memkv_error *error) {
    if (settings->discovery[0] == '\0') {
        return mkv_servers_set(client, settings->servers, settings->server_count, error);
    }
    enum memkv_status status =
        mkv_discovery_open(settings->discovery, settings->discovery_refresh_ms, client->metrics,
                           &client->discovery, error);
    if (status == MEMKV_OK) {
        status = mkv_discovery_wait(
            client->discovery,
            mkv_client_now_ns() + (uint64_t)client->connect_timeout_ms * 1000000u, error);
    }
    if (status == MEMKV_OK) {
        struct mkv_server_list list;
        mkv_discovery_servers(client->discovery, &list);
        client->discovery_version = list.version;
        status = mkv_servers_set(client, list.servers, list.count, error);
    }
    return status;
}

/* Memory to share, where a server is on this machine. */
static enum memkv_status window_make(struct memkv_client *client,
                                     const struct mkv_settings *settings,
                                     struct memkv_error *error) {
    for (uint32_t index = 0; index < settings->server_count; index++) {
        if (settings->servers[index].is_local) {
            client->window = mkv_window_new((uint64_t)settings->shared_mib * 1024u * 1024u);
            return client->window != NULL ? MEMKV_OK
                                          : mkv_client_fail(error, MEMKV_NO_MEMORY,
                                                            "no address space for shared_mib %u",
                                                            settings->shared_mib);
        }
    }
    return MEMKV_OK;
}

static enum memkv_status open_with(struct memkv_client *client, const struct memkv_options *options,
                                   struct mkv_settings *settings, struct memkv_error *error) {
    enum memkv_status status = mkv_settings_read(options, settings, error);
    if (status != MEMKV_OK) {
        return status;
    }
    _Static_assert(sizeof client->name == sizeof settings->name, "the same name");
    _Static_assert(sizeof client->tenant == sizeof settings->tenant, "the same tenant");
    memcpy(client->name, settings->name, sizeof client->name);
    memcpy(client->tenant, settings->tenant, sizeof client->tenant);
    memcpy(client->auth_key, settings->auth_key, sizeof client->auth_key);
    memcpy(client->auth_key_id, settings->auth_key_id, sizeof client->auth_key_id);
    client->has_key = settings->has_key;
    client->timeout_ms = settings->timeout_ms;
    client->connect_timeout_ms = settings->connect_timeout_ms;
    client->connections_max = settings->connections;
    if (settings->transport == MKV_TRANSPORT_WISH_RDMA ||
        (settings->transport == MKV_TRANSPORT_WISH_AUTO && !settings->has_tls &&
         mkv_verbs_is_built())) {
        client->rdma = mkv_rdma_new(client, settings->transport == MKV_TRANSPORT_WISH_RDMA,
                                    settings->rdma_devices, settings->rdma_poll_us * 1000ull);
        if (client->rdma == NULL) {
            return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a client");
        }
    }
    if (settings->has_tls) {
        status = mkv_client_tls_open(settings->tls_ca, settings->tls_name, &client->tls, error);
        if (status != MEMKV_OK) {
            return status;
        }
    }
    status = mkv_metrics_open(&client->metrics, error);
    if (status != MEMKV_OK) {
        return status;
    }
    status = mkv_exporter_open(settings, &client->exporter, error);
    if (status != MEMKV_OK) {
        return status;
    }
    status = window_make(client, settings, error);
    if (status == MEMKV_OK) {
        status = mkv_engine_open(client, error);
    }
    if (status == MEMKV_OK) {
        status = servers_begin(client, settings, error);
    }
    return status == MEMKV_OK ? mkv_engine_connect(client, error) : status;
}

enum memkv_status memkv_open(const struct memkv_options *options, struct memkv_client **out,
                             struct memkv_error *error) {
    static const struct memkv_options defaults;
    *out = NULL;
    struct memkv_client *client = calloc(1, sizeof *client);
    struct mkv_settings *settings = malloc(sizeof *settings);
    if (client == NULL || settings == NULL) {
        free(client);
        free(settings);
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a client");
    }
    client->epoll = -1;
    client->wake = -1;
    client->timer = -1;
    TAILQ_INIT(&client->running);
    TAILQ_INIT(&client->done);
    const enum memkv_status status =
        open_with(client, options != NULL ? options : &defaults, settings, error);
    explicit_bzero(settings, sizeof *settings); /* it may hold a key */
    free(settings);
    if (status != MEMKV_OK) {
        memkv_close(client);
        return status;
    }
    *out = client;
    return mkv_client_succeed(error);
}

void memkv_close(struct memkv_client *client) {
    if (client != NULL) {
        mkv_engine_close(client);
        mkv_buffers_close(client);
        mkv_discovery_close(client->discovery);
        mkv_exporter_close(client->exporter);
        explicit_bzero(client->auth_key, sizeof client->auth_key);
        mkv_client_tls_close(client->tls);
        mkv_window_free(client->window);
        free(client);
    }
}

void memkv_server_limits(const struct memkv_client *client, struct memkv_server *server) {
    const struct mkv_native_hello_answer *limits = NULL;
    for (uint32_t index = 0; index < client->remote_count && limits == NULL; index++) {
        limits =
            client->remotes[index]->limits_version > 0 ? &client->remotes[index]->limits : NULL;
    }
    /* memkv_open has greeted one at least; a new list may have others, which say so later. */
    limits = limits != NULL ? limits : &client->limits_last;
    *server = (struct memkv_server){.items_max = limits->items_max,
                                    .inline_bytes_max = limits->inline_bytes_max,
                                    .requests_max = limits->requests_max,
                                    .block_bytes_max = limits->block_bytes_max,
                                    .value_bytes_max = limits->value_bytes_max};
    _Static_assert(sizeof server->version == sizeof limits->server_version, "as in HELLO");
    memcpy(server->version, limits->server_version, sizeof server->version);
    memcpy(server->store_uuid, limits->store_uuid.bytes, sizeof server->store_uuid);
}

static const char *transport_of(const struct mkv_connection *connection) {
    const char *name = connection->transport->ops->name;
    /* A Unix socket is asked for as "shm", and may have no window. */
    const bool is_plain = strcmp(name, "shm") == 0 && connection->window_step != MKV_WINDOW_MAPPED;
    return is_plain ? "unix" : name;
}

const char *memkv_transport(const struct memkv_client *client) {
    for (uint32_t index = 0; index < client->remote_count; index++) {
        const struct mkv_remote *remote = client->remotes[index];
        for (uint32_t slot = 0; slot < remote->slots; slot++) {
            const struct mkv_connection *connection = remote->connections[slot];
            if (connection != NULL && connection->state == MKV_CONNECTION_READY) {
                return transport_of(connection);
            }
        }
    }
    return "";
}

void memkv_set_timeout(struct memkv_client *client, uint32_t timeout_ms) {
    client->timeout_ms = timeout_ms > 0 ? timeout_ms : MKV_CLIENT_TIMEOUT_MS;
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* Carries a call out, and frees it. */
static enum memkv_status run(struct mkv_call *call, struct memkv_error *error) {
    mkv_engine_begin(call);
    mkv_engine_run(call->client, call, UINT64_MAX);
    const enum memkv_status status = mkv_call_report(call, error);
    mkv_engine_arm(call->client);
    mkv_call_free(call);
    return status;
}

enum memkv_status memkv_batch(struct memkv_client *client, struct memkv_item *items,
                              size_t item_count, struct memkv_error *error) {
    if (item_count == 0) {
        return mkv_client_succeed(error);
    }
    if (item_count >= MKV_CALL_NOTE_NONE) {
        return mkv_client_fail(error, MEMKV_INVALID, "%zu items are more than one batch may have",
                               item_count);
    }
    mkv_servers_refresh(client);
    struct mkv_call *call = mkv_call_new(client, items, item_count, NULL, error);
    return call != NULL ? run(call, error) : MEMKV_NO_MEMORY;
}

/* ---- one value at a time -------------------------------------------------------------------- */

enum memkv_status memkv_put(struct memkv_client *client, const void *key, size_t key_bytes,
                            const void *data, uint64_t byte_count, uint32_t flags,
                            struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_PUT,
                              .flags = flags,
                              .key = key,
                              .key_bytes = key_bytes,
                              .data = data,
                              .data_bytes = byte_count};
    return memkv_batch(client, &item, 1, error);
}

enum memkv_status memkv_get(struct memkv_client *client, const void *key, size_t key_bytes,
                            void *buffer, uint64_t capacity, uint64_t *byte_count,
                            struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_GET,
                              .key = key,
                              .key_bytes = key_bytes,
                              .buffer = buffer,
                              .capacity = capacity};
    const enum memkv_status status = memkv_batch(client, &item, 1, error);
    if (byte_count != NULL) {
        *byte_count = item.byte_count;
    }
    return status;
}

enum memkv_status memkv_get_range(struct memkv_client *client, const void *key, size_t key_bytes,
                                  uint64_t offset, uint64_t length, void *buffer,
                                  uint64_t *byte_count, struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_GET,
                              .key = key,
                              .key_bytes = key_bytes,
                              .buffer = buffer,
                              .capacity = length,
                              .offset = offset,
                              .length = length};
    uint64_t count = 0;
    /* On the wire a length of 0 means all that is behind offset. */
    enum memkv_status status = MEMKV_INVALID;
    if (length == 0) {
        mkv_client_fail(error, status, "a range has at least one byte; length is 0");
    } else {
        status = memkv_batch(client, &item, 1, error);
        count = item.byte_count;
    }
    if (byte_count != NULL) {
        *byte_count = count;
    }
    return status;
}

enum memkv_status memkv_exists(struct memkv_client *client, const void *key, size_t key_bytes,
                               struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_EXISTS, .key = key, .key_bytes = key_bytes};
    return memkv_batch(client, &item, 1, error);
}

enum memkv_status memkv_delete(struct memkv_client *client, const void *key, size_t key_bytes,
                               struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_DELETE, .key = key, .key_bytes = key_bytes};
    return memkv_batch(client, &item, 1, error);
}

enum memkv_status memkv_pin(struct memkv_client *client, const void *key, size_t key_bytes,
                            uint32_t seconds, struct memkv_error *error) {
    struct memkv_item item = {
        .op = MEMKV_OP_PIN, .key = key, .key_bytes = key_bytes, .expire_s = seconds};
    return memkv_batch(client, &item, 1, error);
}

enum memkv_status memkv_unpin(struct memkv_client *client, const void *key, size_t key_bytes,
                              struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_UNPIN, .key = key, .key_bytes = key_bytes};
    return memkv_batch(client, &item, 1, error);
}

/* ---- sessions ------------------------------------------------------------------------------- */

enum memkv_status memkv_session_begin(struct memkv_client *client, uint64_t session,
                                      struct memkv_error *error) {
    struct memkv_item item = {
        .op = MEMKV_OP_SESSION, .session = session, .action = MEMKV_SESSION_BEGIN};
    return memkv_batch(client, &item, 1, error);
}

enum memkv_status memkv_session_exit_think(struct memkv_client *client, uint64_t session,
                                           uint64_t tokens, enum memkv_think_exit reason,
                                           struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_SESSION,
                              .session = session,
                              .action = MEMKV_SESSION_EXIT_THINK,
                              .reason = reason,
                              .tokens = tokens};
    return memkv_batch(client, &item, 1, error);
}

enum memkv_status memkv_session_end(struct memkv_client *client, uint64_t session, uint32_t flags,
                                    struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_SESSION, .session = session};
    if ((flags & ~MEMKV_SESSION_FREE) != 0) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "flags 0x%x: only MEMKV_SESSION_FREE (0x1) is known", flags);
    }
    item.action = flags != 0 ? MEMKV_SESSION_END_FREE : MEMKV_SESSION_END;
    return memkv_batch(client, &item, 1, error);
}

/* ---- prefixes ------------------------------------------------------------------------------- */

enum memkv_status mkv_client_keys_check(const struct memkv_key *keys, size_t key_count,
                                        struct memkv_error *error) {
    for (size_t index = 0; index < key_count; index++) {
        if (keys[index].bytes == NULL || keys[index].byte_count < 1 ||
            keys[index].byte_count > MEMKV_KEY_BYTES_MAX) {
            return mkv_client_fail(error, MEMKV_INVALID, "key %zu has %zu bytes; a key has 1 to %d",
                                   index, keys[index].byte_count, MEMKV_KEY_BYTES_MAX);
        }
    }
    return MEMKV_OK;
}

enum memkv_status memkv_lookup(struct memkv_client *client, const struct memkv_key *keys,
                               size_t key_count, size_t *resident_count,
                               struct memkv_error *error) {
    *resident_count = 0;
    mkv_client_succeed(error);
    const enum memkv_status sound = mkv_client_keys_check(keys, key_count, error);
    if (sound != MEMKV_OK) {
        return sound;
    }
    struct memkv_item *items = calloc(MKV_NATIVE_ITEMS_MAX, sizeof *items);
    if (items == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a lookup of %zu keys",
                               key_count);
    }
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_LOOKUP};
    enum memkv_status status = MEMKV_OK;
    mkv_servers_refresh(client);
    while (*resident_count < key_count && status == MEMKV_OK) {
        const struct memkv_key *next = keys + *resident_count;
        const uint32_t item_count =
            (uint32_t)mkv_min_u64(key_count - *resident_count, MKV_NATIVE_ITEMS_MAX);
        for (uint32_t index = 0; index < item_count; index++) {
            items[index] = (struct memkv_item){.op = MEMKV_OP_EXISTS,
                                               .key = next[index].bytes,
                                               .key_bytes = next[index].byte_count};
        }
        struct mkv_call *call = mkv_call_new(client, items, item_count, &kind, error);
        if (call == NULL) {
            status = MEMKV_NO_MEMORY;
            break;
        }
        mkv_engine_begin(call);
        mkv_engine_run(client, call, UINT64_MAX);
        status = mkv_call_report(call, error);
        const uint64_t resident = status == MEMKV_OK ? call->lookup_gap : 0;
        mkv_call_free(call);
        *resident_count += (size_t)resident;
        if (resident < item_count) {
            break; /* the gap is found */
        }
    }
    free(items);
    return status;
}

/* ---- values that are not in memory ---------------------------------------------------------- */

/* The server of a key, connected if that can be, because what a block is depends on it. */
static struct mkv_remote *remote_of(struct memkv_client *client, const void *key, size_t key_bytes,
                                    struct memkv_error *error) {
    uint32_t owner = 0;
    if (key != NULL && key_bytes >= 1 && key_bytes <= MEMKV_KEY_BYTES_MAX) {
        owner = mkv_call_owner(client, key, (uint32_t)key_bytes);
    }
    struct mkv_remote *remote = client->remotes[owner];
    if (!mkv_engine_is_connected(remote)) {
        const struct mkv_call_kind ping = {.single = MKV_NATIVE_PING, .remote = owner};
        struct mkv_call *call = mkv_call_new(client, NULL, 0, &ping, error);
        if (call == NULL || run(call, error) != MEMKV_OK) {
            return NULL;
        }
    }
    return remote;
}

enum memkv_status memkv_put_stream(struct memkv_client *client, const void *key, size_t key_bytes,
                                   uint64_t length, const struct memkv_put_options *options,
                                   memkv_read_fn source, void *context, struct memkv_error *error) {
    const struct memkv_put_options defaults = {.flags = 0};
    const struct memkv_put_options *chosen = options != NULL ? options : &defaults;
    struct memkv_item item = {.op = MEMKV_OP_PUT,
                              .flags = chosen->flags,
                              .expire_s = chosen->expire_s,
                              .tier = chosen->tier,
                              .session = chosen->session,
                              .key = key,
                              .key_bytes = key_bytes,
                              .data_bytes = length};
    struct memkv_error connect_error;
    mkv_servers_refresh(client);
    const struct mkv_remote *remote = remote_of(client, key, key_bytes, &connect_error);
    if (remote == NULL) {
        return mkv_client_fail(error, connect_error.status, "%s", connect_error.text);
    }
    /* A block is read as a whole: its root goes ahead of its bytes. */
    if (length <= remote->limits.block_bytes_max) {
        uint8_t *block = malloc((size_t)length + 1u);
        if (block == NULL) {
            return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a block of %llu bytes",
                                   (unsigned long long)length);
        }
        const int failure = length > 0 ? source(context, 0, block, (size_t)length) : 0;
        item.data = block;
        const enum memkv_status status =
            failure == 0 ? memkv_batch(client, &item, 1, error)
                         : mkv_client_fail(error, MEMKV_CALLBACK,
                                           "the caller's source failed with %d", failure);
        if (client->rdma != NULL) {
            mkv_rdma_forget(client->rdma, block, length + 1u);
        }
        free(block);
        return status;
    }
    const struct mkv_call_kind kind = {.source = source, .context = context};
    struct mkv_call *call = mkv_call_new(client, &item, 1, &kind, error);
    return call != NULL ? run(call, error) : MEMKV_NO_MEMORY;
}

enum memkv_status memkv_get_stream(struct memkv_client *client, const void *key, size_t key_bytes,
                                   memkv_write_fn target, void *context,
                                   struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_GET, .key = key, .key_bytes = key_bytes};
    const struct mkv_call_kind kind = {.target = target, .context = context};
    mkv_servers_refresh(client);
    struct mkv_call *call = mkv_call_new(client, &item, 1, &kind, error);
    return call != NULL ? run(call, error) : MEMKV_NO_MEMORY;
}

/* ---- the server ----------------------------------------------------------------------------- */

enum memkv_status memkv_ping(struct memkv_client *client, struct memkv_error *error) {
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_PING, .is_of_all = true};
    mkv_servers_refresh(client);
    struct mkv_call *call = mkv_call_new(client, NULL, 0, &kind, error);
    return call != NULL ? run(call, error) : MEMKV_NO_MEMORY;
}

enum memkv_status memkv_stats(struct memkv_client *client, char *buffer, size_t capacity,
                              size_t *byte_count, struct memkv_error *error) {
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_STATS};
    mkv_servers_refresh(client);
    struct mkv_call *call = mkv_call_new(client, NULL, 0, &kind, error);
    if (call == NULL) {
        return MEMKV_NO_MEMORY;
    }
    mkv_engine_begin(call);
    mkv_engine_run(client, call, UINT64_MAX);
    enum memkv_status status = mkv_call_report(call, error);
    const size_t text_bytes = status == MEMKV_OK ? call->text_bytes : 0;
    if (byte_count != NULL) {
        *byte_count = text_bytes;
    }
    if (status == MEMKV_OK && text_bytes >= capacity) {
        status = mkv_client_fail(error, MEMKV_TOO_SMALL,
                                 "the text has %zu bytes and a closing NUL, the buffer %zu",
                                 text_bytes, capacity);
    }
    if (status == MEMKV_OK) {
        memcpy(buffer, call->text, text_bytes);
        buffer[text_bytes] = '\0';
    }
    mkv_engine_arm(client);
    mkv_call_free(call);
    return status;
}
