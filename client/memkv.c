/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls, each one exchange of items (exchange.h).
 */
#include "client/memkv.h"

#include <stdlib.h>
#include <string.h>

#include "client/exchange.h"

enum memkv_status memkv_open(const struct memkv_options *options, struct memkv_client **out,
                             struct memkv_error *error) {
    static const struct memkv_options defaults;
    options = options != NULL ? options : &defaults;
    *out = NULL;
    struct mkv_client_address address;
    enum memkv_status status = mkv_client_address_parse(options->servers, &address, error);
    if (status != MEMKV_OK) {
        return status;
    }
    const char *tenant = options->tenant != NULL ? options->tenant : MKV_TENANT_DEFAULT_NAME;
    if (!mkv_tenant_name_is_valid(tenant, strnlen(tenant, MKV_CLIENT_TENANT_BYTES_MAX + 1u))) {
        char text[MKV_CLIENT_TENANT_BYTES_MAX + 1u];
        mkv_client_key_text(tenant, strnlen(tenant, sizeof text), text, sizeof text);
        return mkv_client_fail(error, MEMKV_INVALID,
                               "tenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -",
                               text);
    }
    struct memkv_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a client of %zu bytes",
                               sizeof *client);
    }
    client->address = address;
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : MKV_CLIENT_TIMEOUT_MS;
    client->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms
                                                                 : MKV_CLIENT_CONNECT_TIMEOUT_MS;
    const char *name = options->client_name != NULL ? options->client_name : "libmemkv";
    memcpy(client->name, name, strnlen(name, MKV_CLIENT_NAME_BYTES_MAX));
    memcpy(client->tenant, tenant, strlen(tenant));
    status = mkv_client_connect(client, error);
    if (status != MEMKV_OK) {
        free(client);
        return status;
    }
    *out = client;
    return mkv_client_succeed(error);
}

void memkv_close(struct memkv_client *client) {
    if (client != NULL) {
        mkv_client_disconnect(client);
        free(client);
    }
}

void memkv_server_limits(const struct memkv_client *client, struct memkv_server *server) {
    const struct mkv_native_hello_answer *limits = &client->limits;
    *server = (struct memkv_server){.items_max = limits->items_max,
                                    .inline_bytes_max = limits->inline_bytes_max,
                                    .requests_max = limits->requests_max,
                                    .block_bytes_max = limits->block_bytes_max,
                                    .value_bytes_max = limits->value_bytes_max};
    _Static_assert(sizeof server->version == sizeof limits->server_version, "as in HELLO");
    memcpy(server->version, limits->server_version, sizeof server->version);
    memcpy(server->store_uuid, limits->store_uuid.bytes, sizeof server->store_uuid);
}

/* ---- exchanges ------------------------------------------------------------------------------ */

/* An exchange is some 60 KiB, so it lives on the heap. NULL: no memory, and *error says so. */
static struct mkv_exchange *exchange_new(struct memkv_client *client, struct memkv_error *error) {
    struct mkv_exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for a call of %zu bytes",
                        sizeof *exchange);
        return NULL;
    }
    exchange->client = client;
    return exchange;
}

enum memkv_status memkv_batch(struct memkv_client *client, struct memkv_item *items,
                              size_t item_count, struct memkv_error *error) {
    if (item_count == 0) {
        return mkv_client_succeed(error);
    }
    if (item_count >= MKV_EXCHANGE_NOTE_NONE) {
        return mkv_client_fail(error, MEMKV_INVALID, "%zu items are more than one batch may have",
                               item_count);
    }
    struct mkv_exchange *exchange = exchange_new(client, error);
    if (exchange == NULL) {
        for (size_t index = 0; index < item_count; index++) {
            items[index].status = MEMKV_NO_MEMORY;
        }
        return MEMKV_NO_MEMORY;
    }
    exchange->items = items;
    exchange->item_count = (uint32_t)item_count;
    const enum memkv_status status = mkv_exchange_run(exchange, error);
    free(exchange);
    return status;
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

/* One LOOKUP of as many keys as one request takes: how many were asked for, how many are resident.
 */
static enum memkv_status lookup_some(struct memkv_client *client, struct memkv_item *items,
                                     uint32_t item_count, uint32_t *asked, uint64_t *resident,
                                     struct memkv_error *error) {
    struct mkv_exchange *exchange = exchange_new(client, error);
    if (exchange == NULL) {
        return MEMKV_NO_MEMORY;
    }
    exchange->items = items;
    exchange->item_count = item_count;
    exchange->single = MKV_NATIVE_LOOKUP;
    const enum memkv_status status = mkv_exchange_run(exchange, error);
    *asked = exchange->lookup_asked;
    *resident = exchange->lookup_count;
    free(exchange);
    return status;
}

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
        uint32_t asked = 0;
        uint64_t resident = 0;
        status = lookup_some(client, items, item_count, &asked, &resident, error);
        *resident_count += (size_t)resident;
        if (resident < asked) {
            break; /* the gap is found */
        }
    }
    free(items);
    return status;
}

/* ---- values that are not in memory ---------------------------------------------------------- */

static enum memkv_status run_stream(struct mkv_exchange *exchange, struct memkv_item *item,
                                    struct memkv_error *error) {
    exchange->items = item;
    exchange->item_count = 1;
    const enum memkv_status status = mkv_exchange_run(exchange, error);
    free(exchange);
    return status;
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
    /* Now, because what a block is depends on the server that there is. */
    const enum memkv_status connected = mkv_client_connect(client, error);
    if (connected != MEMKV_OK) {
        return connected;
    }
    /* A block is read as a whole: its root goes ahead of its bytes. */
    if (length <= client->limits.block_bytes_max) {
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
    struct mkv_exchange *exchange = exchange_new(client, error);
    if (exchange == NULL) {
        return MEMKV_NO_MEMORY;
    }
    exchange->source = source;
    exchange->context = context;
    return run_stream(exchange, &item, error);
}

enum memkv_status memkv_get_stream(struct memkv_client *client, const void *key, size_t key_bytes,
                                   memkv_write_fn target, void *context,
                                   struct memkv_error *error) {
    struct memkv_item item = {.op = MEMKV_OP_GET, .key = key, .key_bytes = key_bytes};
    struct mkv_exchange *exchange = exchange_new(client, error);
    if (exchange == NULL) {
        return MEMKV_NO_MEMORY;
    }
    exchange->target = target;
    exchange->context = context;
    return run_stream(exchange, &item, error);
}

/* ---- the server ----------------------------------------------------------------------------- */

enum memkv_status memkv_ping(struct memkv_client *client, struct memkv_error *error) {
    struct mkv_exchange *exchange = exchange_new(client, error);
    if (exchange == NULL) {
        return MEMKV_NO_MEMORY;
    }
    exchange->single = MKV_NATIVE_PING;
    const enum memkv_status status = mkv_exchange_run(exchange, error);
    free(exchange);
    return status;
}

enum memkv_status memkv_stats(struct memkv_client *client, char *buffer, size_t capacity,
                              size_t *byte_count, struct memkv_error *error) {
    struct mkv_exchange *exchange = exchange_new(client, error);
    if (exchange == NULL) {
        return MEMKV_NO_MEMORY;
    }
    exchange->single = MKV_NATIVE_STATS;
    enum memkv_status status = mkv_exchange_run(exchange, error);
    const size_t text_bytes = status == MEMKV_OK ? exchange->text_bytes : 0;
    free(exchange);
    if (byte_count != NULL) {
        *byte_count = text_bytes;
    }
    if (status == MEMKV_OK && text_bytes >= capacity) {
        status = mkv_client_fail(error, MEMKV_TOO_SMALL,
                                 "the text has %zu bytes and a closing NUL, the buffer %zu",
                                 text_bytes, capacity);
    }
    if (status == MEMKV_OK) {
        memcpy(buffer, client->body, text_bytes);
        buffer[text_bytes] = '\0';
    }
    return status;
}
