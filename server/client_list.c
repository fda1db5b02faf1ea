/* SPDX-License-Identifier: Apache-2.0 */
#include "server/client_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/seqlock.h"

/* Keys in which there is no delimiter: hashes, most often. */
#define PREFIX_BYTES_PLAIN 16u
#define PREFIX_DELIMITERS 2u

/* Who a client is: copied under the sequence. */
struct identity {
    uint64_t open; /* 1: the connection is there */
    uint64_t connected_ns;
    char address[MKV_ADMIN_ADDRESS_BYTES];
    char name[MKV_ADMIN_CLIENT_NAME_BYTES];
    char tenant[MKV_ADMIN_TENANT_BYTES];
    struct mkv_admin_client_prefix prefixes[MKV_ADMIN_CLIENT_PREFIXES];
};
#define IDENTITY_WORDS ((uint32_t)((sizeof(struct identity) + 7) / 8))

union words {
    struct identity identity;
    uint64_t words[IDENTITY_WORDS];
};

struct client {
    uint64_t sequence;
    uint64_t requests;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t puts;
    uint64_t hits;
    uint64_t misses;
    uint32_t generation;
    uint32_t prefix_next; /* the one that gives way */
    union words who;
};

struct mkv_client_list {
    uint32_t connections_max;
    uint32_t used; /* places below it were ever used */
    struct client clients[];
};

static void add(uint64_t *counter, uint64_t amount) {
    __atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

struct mkv_client_list *mkv_client_list_create(uint32_t connections_max) {
    struct mkv_client_list *list =
        calloc(1, sizeof *list + (size_t)connections_max * sizeof list->clients[0]);
    if (list != NULL) {
        list->connections_max = connections_max;
    }
    return list;
}

void mkv_client_list_destroy(struct mkv_client_list *list) {
    free(list);
}

static void write_identity(struct client *client, const struct identity *identity) {
    const union words source = {.identity = *identity};
    mkv_seqlock_store(&client->sequence, client->who.words, source.words, IDENTITY_WORDS);
}

bool mkv_client_list_has(const struct mkv_client_list *list, struct mkv_connection_id id) {
    MKV_ASSERT(id.index < list->connections_max);
    const struct client *client = &list->clients[id.index];
    return client->who.identity.open != 0 && client->generation == id.generation;
}

void mkv_client_list_opened(struct mkv_client_list *list, struct mkv_connection_id id,
                            const struct mkv_fabric_client *who) {
    MKV_ASSERT(id.index < list->connections_max);
    struct client *client = &list->clients[id.index];
    struct identity identity = {.connected_ns = who->connected_ns};
    snprintf(identity.address, sizeof identity.address, "%s", who->address);
    snprintf(identity.name, sizeof identity.name, "%s", who->name);
    snprintf(identity.tenant, sizeof identity.tenant, "%s", who->tenant);
    uint64_t *const counters[] = {&client->requests, &client->bytes_in, &client->bytes_out,
                                  &client->puts,     &client->hits,     &client->misses};
    write_identity(client, &identity); /* closed, while its counters are cleared */
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        __atomic_store_n(counters[i], 0, __ATOMIC_RELAXED);
    }
    client->generation = id.generation;
    client->prefix_next = 0;
    identity.open = 1;
    write_identity(client, &identity);
    if (id.index >= list->used) {
        __atomic_store_n(&list->used, id.index + 1, __ATOMIC_RELEASE);
    }
}

void mkv_client_list_closed(struct mkv_client_list *list, struct mkv_connection_id id) {
    if (mkv_client_list_has(list, id)) {
        struct client *client = &list->clients[id.index];
        struct identity identity = client->who.identity;
        identity.open = 0;
        write_identity(client, &identity);
    }
}

uint32_t mkv_client_prefix_bytes(const uint8_t *key, uint32_t key_bytes) {
    const uint32_t end = (uint32_t)mkv_min_u64(key_bytes, MKV_ADMIN_PREFIX_BYTES);
    uint32_t delimiters = 0;
    for (uint32_t i = 0; i < end; i++) {
        const uint8_t byte = key[i];
        delimiters += byte == ':' || byte == '/' || byte == '@' || byte == '|';
        if (delimiters == PREFIX_DELIMITERS) {
            return i + 1;
        }
    }
    return delimiters > 0 ? end : (uint32_t)mkv_min_u64(end, PREFIX_BYTES_PLAIN);
}

void mkv_client_list_key(struct mkv_client_list *list, struct mkv_connection_id id,
                         const uint8_t *key, uint32_t key_bytes) {
    MKV_ASSERT(mkv_client_list_has(list, id));
    struct client *client = &list->clients[id.index];
    const uint32_t bytes = mkv_client_prefix_bytes(key, key_bytes);
    const struct mkv_admin_client_prefix *prefixes = client->who.identity.prefixes;
    for (uint32_t i = 0; i < MKV_ADMIN_CLIENT_PREFIXES; i++) {
        if (prefixes[i].byte_count == bytes && memcmp(prefixes[i].bytes, key, bytes) == 0) {
            return;
        }
    }
    struct identity identity = client->who.identity;
    struct mkv_admin_client_prefix *prefix = &identity.prefixes[client->prefix_next];
    memset(prefix, 0, sizeof *prefix);
    memcpy(prefix->bytes, key, bytes);
    prefix->byte_count = bytes;
    client->prefix_next = (client->prefix_next + 1) % MKV_ADMIN_CLIENT_PREFIXES;
    write_identity(client, &identity);
}

void mkv_client_list_count(struct mkv_client_list *list,
                           const struct mkv_request_summary *summary) {
    if (!mkv_client_list_has(list, summary->connection)) {
        return;
    }
    struct client *client = &list->clients[summary->connection.index];
    add(&client->requests, 1);
    add(&client->bytes_in, summary->bytes_in);
    add(&client->bytes_out, summary->bytes_out);
    add(&client->puts, summary->op == MKV_OP_PUT || summary->op == MKV_OP_COMMIT);
    const bool reads =
        summary->op == MKV_OP_GET || summary->op == MKV_OP_EXISTS || summary->op == MKV_OP_LOOKUP;
    if (reads && !summary->refused && !summary->dropped) {
        const uint32_t hits = summary->keys_from_memory + summary->keys_from_drive;
        MKV_ASSERT(hits <= summary->item_count);
        add(&client->hits, hits);
        add(&client->misses, summary->item_count - hits);
    }
}

void mkv_client_list_name(const struct mkv_client_list *list, struct mkv_connection_id id,
                          char address[MKV_ADMIN_ADDRESS_BYTES],
                          char name[MKV_ADMIN_CLIENT_NAME_BYTES]) {
    memset(address, 0, MKV_ADMIN_ADDRESS_BYTES);
    memset(name, 0, MKV_ADMIN_CLIENT_NAME_BYTES);
    const struct client *client = &list->clients[id.index];
    if (client->generation == id.generation) {
        memcpy(address, client->who.identity.address, MKV_ADMIN_ADDRESS_BYTES);
        memcpy(name, client->who.identity.name, MKV_ADMIN_CLIENT_NAME_BYTES);
    }
}

void mkv_client_list_tenant(const struct mkv_client_list *list, struct mkv_connection_id id,
                            char name[MKV_ADMIN_TENANT_BYTES]) {
    memset(name, 0, MKV_ADMIN_TENANT_BYTES);
    const struct client *client = &list->clients[id.index];
    if (client->generation == id.generation) {
        memcpy(name, client->who.identity.tenant, MKV_ADMIN_TENANT_BYTES);
    }
}

uint32_t mkv_client_list_copy(const struct mkv_client_list *list, struct mkv_admin_client *out,
                              uint32_t max) {
    const uint32_t used = __atomic_load_n(&list->used, __ATOMIC_ACQUIRE);
    uint32_t count = 0;
    for (uint32_t i = 0; i < used && count < max; i++) {
        const struct client *client = &list->clients[i];
        union words copy;
        if (!mkv_seqlock_load(&client->sequence, copy.words, client->who.words, IDENTITY_WORDS) ||
            copy.identity.open == 0) {
            continue;
        }
        struct mkv_admin_client *target = &out[count++];
        memcpy(target->address, copy.identity.address, sizeof target->address);
        memcpy(target->name, copy.identity.name, sizeof target->name);
        memcpy(target->tenant, copy.identity.tenant, sizeof target->tenant);
        memcpy(target->prefixes, copy.identity.prefixes, sizeof target->prefixes);
        target->connected_ns = copy.identity.connected_ns;
        target->requests = __atomic_load_n(&client->requests, __ATOMIC_RELAXED);
        target->bytes_in = __atomic_load_n(&client->bytes_in, __ATOMIC_RELAXED);
        target->bytes_out = __atomic_load_n(&client->bytes_out, __ATOMIC_RELAXED);
        target->puts = __atomic_load_n(&client->puts, __ATOMIC_RELAXED);
        target->hits = __atomic_load_n(&client->hits, __ATOMIC_RELAXED);
        target->misses = __atomic_load_n(&client->misses, __ATOMIC_RELAXED);
    }
    return count;
}
