/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls that wait, each one call of the engine (engine.h).
 */
#include "client/memkv.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine.h"

static int digit_of(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

static const char *chosen(const char *option, const char *variable) {
    const char *text = option != NULL ? option : getenv(variable);
    return text != NULL && (option != NULL || text[0] != '\0') ? text : NULL;
}

/* Reads the key into *client. Messages do not show it. */
static enum memkv_status key_take(struct memkv_client *client, const struct memkv_options *options,
                                  struct memkv_error *error) {
    const char *text = chosen(options->auth_key, "MEMKV_AUTH_KEY");
    const char *id = chosen(options->auth_key_id, "MEMKV_AUTH_KEY_ID");
    if (text == NULL) {
        return MEMKV_OK;
    }
    bool is_key = strnlen(text, 2u * MKV_NATIVE_KEY_BYTES + 1u) == 2u * MKV_NATIVE_KEY_BYTES;
    for (size_t index = 0; index < MKV_NATIVE_KEY_BYTES && is_key; index++) {
        const int high = digit_of(text[2 * index]);
        const int low = digit_of(text[2 * index + 1]);
        is_key = high >= 0 && low >= 0;
        client->auth_key[index] = is_key ? (uint8_t)(high << 4 | low) : 0;
    }
    if (!is_key) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "the key (auth_key, MEMKV_AUTH_KEY) is not 64 hexadecimal digits; "
                               "memkv auth keygen makes one");
    }
    id = id != NULL ? id : "default";
    const size_t id_bytes = strnlen(id, MKV_NATIVE_KEY_ID_BYTES + 1u);
    if (!mkv_native_key_id_is_valid(id, id_bytes)) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "the key id (auth_key_id, MEMKV_AUTH_KEY_ID) has 1 to 32 characters "
                               "of A-Z a-z 0-9 . _ -");
    }
    memcpy(client->auth_key_id, id, id_bytes);
    client->has_key = true;
    return MEMKV_OK;
}

/* Reads the options into *client. */
static enum memkv_status options_take(struct memkv_client *client,
                                      const struct memkv_options *options,
                                      struct memkv_error *error) {
    const char *tenant = options->tenant != NULL ? options->tenant : MKV_TENANT_DEFAULT_NAME;
    if (!mkv_tenant_name_is_valid(tenant, strnlen(tenant, MKV_CLIENT_TENANT_BYTES_MAX + 1u))) {
        char text[MKV_CLIENT_TENANT_BYTES_MAX + 1u];
        mkv_client_key_text(tenant, strnlen(tenant, sizeof text), text, sizeof text);
        return mkv_client_fail(error, MEMKV_INVALID,
                               "tenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -",
                               text);
    }
    if (options->connections > MKV_CLIENT_CONNECTIONS_MAX) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%u connections to a server; 1 to %u are allowed",
                               options->connections, MKV_CLIENT_CONNECTIONS_MAX);
    }
    const char *name = options->client_name != NULL ? options->client_name : "libmemkv";
    memcpy(client->name, name, strnlen(name, MKV_CLIENT_NAME_BYTES_MAX));
    memcpy(client->tenant, tenant, strlen(tenant));
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : MKV_CLIENT_TIMEOUT_MS;
    client->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms
                                                                 : MKV_CLIENT_CONNECT_TIMEOUT_MS;
    client->connections_max = options->connections > 0 ? options->connections : 1;
    return key_take(client, options, error);
}

/* The servers, and their places among the keys. */
static enum memkv_status servers_take(struct memkv_client *client,
                                      const struct mkv_client_address *addresses,
                                      uint32_t address_count, struct memkv_error *error) {
    client->remotes = calloc(address_count, sizeof *client->remotes);
    client->members = calloc(address_count, sizeof *client->members);
    if (client->remotes == NULL || client->members == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for %u servers", address_count);
    }
    client->remote_count = address_count;
    for (uint32_t index = 0; index < address_count; index++) {
        client->remotes[index].address = addresses[index];
        client->members[index] = mkv_client_member(&addresses[index]);
    }
    return mkv_engine_open(client, error);
}

enum memkv_status memkv_open(const struct memkv_options *options, struct memkv_client **out,
                             struct memkv_error *error) {
    static const struct memkv_options defaults;
    options = options != NULL ? options : &defaults;
    *out = NULL;
    struct memkv_client *client = calloc(1, sizeof *client);
    struct mkv_client_address *addresses = calloc(MKV_CLIENT_SERVERS_MAX, sizeof *addresses);
    uint32_t address_count = 0;
    enum memkv_status status = MEMKV_OK;
    if (client == NULL || addresses == NULL) {
        free(client);
        free(addresses);
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a client");
    }
    client->epoll = -1;
    client->wake = -1;
    client->timer = -1;
    TAILQ_INIT(&client->running);
    TAILQ_INIT(&client->done);
    status = mkv_client_servers_parse(options->servers, addresses, &address_count, error);
    if (status == MEMKV_OK) {
        status = options_take(client, options, error);
    }
    if (status == MEMKV_OK) {
        status = servers_take(client, addresses, address_count, error);
    }
    if (status == MEMKV_OK) {
        status = mkv_engine_connect(client, error);
    }
    free(addresses);
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
        explicit_bzero(client->auth_key, sizeof client->auth_key);
        free(client->remotes);
        free(client->members);
        free(client);
    }
}

void memkv_server_limits(const struct memkv_client *client, struct memkv_server *server) {
    const struct mkv_native_hello_answer *limits = NULL;
    for (uint32_t index = 0; index < client->remote_count && limits == NULL; index++) {
        limits = client->remotes[index].limits_version > 0 ? &client->remotes[index].limits : NULL;
    }
    MKV_ASSERT(limits != NULL); /* memkv_open has greeted one at least */
    *server = (struct memkv_server){.items_max = limits->items_max,
                                    .inline_bytes_max = limits->inline_bytes_max,
                                    .requests_max = limits->requests_max,
                                    .block_bytes_max = limits->block_bytes_max,
                                    .value_bytes_max = limits->value_bytes_max};
    _Static_assert(sizeof server->version == sizeof limits->server_version, "as in HELLO");
    memcpy(server->version, limits->server_version, sizeof server->version);
    memcpy(server->store_uuid, limits->store_uuid.bytes, sizeof server->store_uuid);
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

enum memkv_status memkv_lookup(struct memkv_client *client, const struct memkv_key *keys,
                               size_t key_count, size_t *resident_count,
                               struct memkv_error *error) {
    *resident_count = 0;
    mkv_client_succeed(error);
    for (size_t index = 0; index < key_count; index++) {
        if (keys[index].bytes == NULL || keys[index].byte_count < 1 ||
            keys[index].byte_count > MEMKV_KEY_BYTES_MAX) {
            return mkv_client_fail(error, MEMKV_INVALID, "key %zu has %zu bytes; a key has 1 to %d",
                                   index, keys[index].byte_count, MEMKV_KEY_BYTES_MAX);
        }
    }
    struct memkv_item *items = calloc(MKV_NATIVE_ITEMS_MAX, sizeof *items);
    if (items == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a lookup of %zu keys",
                               key_count);
    }
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_LOOKUP};
    enum memkv_status status = MEMKV_OK;
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
    struct mkv_remote *remote = &client->remotes[owner];
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
    struct mkv_call *call = mkv_call_new(client, &item, 1, &kind, error);
    return call != NULL ? run(call, error) : MEMKV_NO_MEMORY;
}

/* ---- the server ----------------------------------------------------------------------------- */

enum memkv_status memkv_ping(struct memkv_client *client, struct memkv_error *error) {
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_PING, .is_of_all = true};
    struct mkv_call *call = mkv_call_new(client, NULL, 0, &kind, error);
    return call != NULL ? run(call, error) : MEMKV_NO_MEMORY;
}

enum memkv_status memkv_stats(struct memkv_client *client, char *buffer, size_t capacity,
                              size_t *byte_count, struct memkv_error *error) {
    const struct mkv_call_kind kind = {.single = MKV_NATIVE_STATS};
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
    mkv_call_free(call);
    return status;
}
