/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers of a client, and how they change while it lives.
 *
 *   remotes   [ of the list, in its order ............ | have left it, with calls in flight ]
 *              0                          remote_count                    remote_all_count
 *
 * What a call's items were dealt out to stays theirs: a share knows its server, not its place. So a
 * change is a new order of the same servers, with new ones, and without those that nobody needs.
 */
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"

static void remote_free(struct mkv_remote *remote) {
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        mkv_connection_free(remote->connections[slot]);
    }
    mkv_remote_rdma_end(remote);
    free(remote->connections);
    free(remote);
}

static struct mkv_remote *remote_new(struct memkv_client *client,
                                     const struct mkv_client_address *address) {
    struct mkv_remote *remote = calloc(1, sizeof *remote);
    struct mkv_connection **connections =
        calloc(MKV_CLIENT_CONNECTIONS_MAX + 1u, sizeof(struct mkv_connection *));
    if (remote == NULL || connections == NULL) {
        free(remote);
        free(connections);
        return NULL;
    }
    remote->client = client;
    remote->address = *address;
    remote->slots = client->connections_max + (client->rdma != NULL ? 1 : 0);
    remote->connections = connections;
    TAILQ_INIT(&remote->queue);
    return remote;
}

/* No call has anything in flight to it. */
static bool is_idle(const struct mkv_remote *remote) {
    if (!TAILQ_EMPTY(&remote->queue)) {
        return false;
    }
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection != NULL && connection->requests_live > 0) {
            return false;
        }
    }
    return true;
}

/* The server of this name among the first `count`, or NULL. */
static struct mkv_remote *find(struct mkv_remote *const *remotes, uint32_t count,
                               const char *name) {
    for (uint32_t index = 0; index < count; index++) {
        if (strcmp(remotes[index]->address.text, name) == 0) {
            return remotes[index];
        }
    }
    return NULL;
}

static bool is_same(const struct memkv_client *client, const struct mkv_client_address *addresses,
                    uint32_t count) {
    bool same = client->remote_count == count;
    for (uint32_t index = 0; index < count && same; index++) {
        const struct mkv_client_address *address = &client->remotes[index]->address;
        same = strcmp(address->text, addresses[index].text) == 0 &&
               address->weight == addresses[index].weight;
    }
    return same;
}

/* The servers of the list, those that are there already as they are. Returns how many there are:
 * `count`, unless there is no memory for one. */
static uint32_t gather(struct memkv_client *client, const struct mkv_client_address *addresses,
                       uint32_t count, struct mkv_remote **next, bool *is_new) {
    for (uint32_t index = 0; index < count; index++) {
        next[index] = find(client->remotes, client->remote_all_count, addresses[index].text);
        is_new[index] = next[index] == NULL;
        if (is_new[index]) {
            next[index] = remote_new(client, &addresses[index]);
        }
        if (next[index] == NULL) {
            return index;
        }
    }
    return count;
}

static enum memkv_status give_up(struct mkv_remote **next, const bool *is_new, uint32_t count,
                                 enum memkv_status status, struct memkv_error *error) {
    for (uint32_t index = 0; index < count; index++) {
        if (is_new[index]) {
            remote_free(next[index]);
        }
    }
    return mkv_client_fail(error, status, "%s",
                           status == MEMKV_BUSY
                               ? "too many servers have left the list with calls in flight"
                               : "no memory for a server");
}

enum memkv_status mkv_servers_set(struct memkv_client *client,
                                  const struct mkv_client_address *addresses, uint32_t count,
                                  struct memkv_error *error) {
    struct mkv_remote *next[MKV_CLIENT_REMOTES_MAX];
    struct mkv_remote *gone[MKV_CLIENT_REMOTES_MAX];
    bool is_new[MKV_CLIENT_SERVERS_MAX];
    uint32_t gone_count = 0;
    MKV_ASSERT(count >= 1);
    MKV_ASSERT(count <= MKV_CLIENT_SERVERS_MAX);
    if (is_same(client, addresses, count)) {
        return mkv_client_succeed(error);
    }
    const uint32_t made_count = gather(client, addresses, count, next, is_new);
    if (made_count < count) {
        return give_up(next, is_new, made_count, MEMKV_NO_MEMORY, error);
    }
    uint32_t all_count = count;
    for (uint32_t index = 0; index < client->remote_all_count; index++) {
        struct mkv_remote *remote = client->remotes[index];
        if (find(next, count, remote->address.text) != NULL) {
            continue;
        }
        if (is_idle(remote)) {
            gone[gone_count++] = remote;
        } else if (all_count == count + MKV_CLIENT_RETIRED_MAX) {
            return give_up(next, is_new, count, MEMKV_BUSY, error);
        } else {
            next[all_count++] = remote;
        }
    }
    for (uint32_t index = 0; index < gone_count; index++) {
        remote_free(gone[index]);
    }
    memcpy(client->remotes, next, all_count * sizeof next[0]);
    if (client->metrics != NULL) {
        mkv_metrics_servers(client->metrics, client->remote_count, count);
    }
    client->remote_count = count;
    client->remote_all_count = all_count;
    client->has_ring = client->discovery != NULL || count > 1;
    client->ring_version++;
    for (uint32_t index = 0; index < count; index++) {
        next[index]->address.weight = addresses[index].weight;
        client->members[index] = mkv_client_member(&addresses[index]);
    }
    return mkv_client_succeed(error);
}

/* Those that have left the list go when they are done. */
static void sweep(struct memkv_client *client) {
    uint32_t kept = client->remote_count;
    for (uint32_t index = client->remote_count; index < client->remote_all_count; index++) {
        struct mkv_remote *remote = client->remotes[index];
        if (is_idle(remote)) {
            remote_free(remote);
        } else {
            client->remotes[kept++] = remote;
        }
    }
    client->remote_all_count = kept;
}

/* A list that cannot be taken now is looked at again at the next call. */
static void take(struct memkv_client *client) {
    struct mkv_server_list list;
    mkv_discovery_servers(client->discovery, &list);
    if (mkv_servers_set(client, list.servers, list.count, NULL) == MEMKV_OK) {
        client->discovery_version = list.version;
    }
}

void mkv_servers_refresh(struct memkv_client *client) {
    if (client->discovery != NULL &&
        mkv_discovery_version(client->discovery) != client->discovery_version) {
        take(client);
    }
    if (client->remote_all_count > client->remote_count) {
        sweep(client);
    }
}

enum memkv_status mkv_servers_deleted(struct mkv_call *call, const struct mkv_part *part,
                                      enum memkv_status status) {
    const struct memkv_client *client = call->client;
    const struct memkv_item *item = &call->items[part->item];
    if (status != MEMKV_OK && status != MEMKV_NOT_FOUND) {
        return status;
    }
    const struct mkv_remote *owner =
        client->remotes[mkv_call_owner(client, item->key, (uint32_t)item->key_bytes)];
    for (uint32_t index = 0; index < call->share_count; index++) {
        const struct mkv_share *share = &call->shares[index];
        if (part >= share->parts && part < share->parts + share->part_count) {
            if (share->remote == owner) {
                return status;
            }
            mkv_call_note(call, part->item,
                          "the list of servers has changed, and the key belongs to %s now: repeat "
                          "it",
                          owner->address.text);
        }
    }
    return MEMKV_UNAVAILABLE;
}

void mkv_servers_free(struct memkv_client *client) {
    for (uint32_t index = 0; index < client->remote_all_count; index++) {
        remote_free(client->remotes[index]);
    }
    if (client->metrics != NULL) {
        mkv_metrics_servers(client->metrics, client->remote_count, 0);
    }
    client->remote_count = 0;
    client->remote_all_count = 0;
}
