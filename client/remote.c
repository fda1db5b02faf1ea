/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server as the client sees it: what waits for it, the connections to it, and how long it is
 * let alone after it could not be reached.
 *
 *   failures in a row     0       1        2         3      ...
 *   let alone for, ms     0    50..100  100..200  200..400  ...  at most 1000..2000
 *
 * The time doubles with each failure, and half of it is drawn, so that the clients of a server that
 * comes back do not come all at once. Meanwhile what goes to it fails at once; behind it the next
 * call has it tried again, and waits for that no longer than PROBE_WAIT. Attempts go on beside
 * other calls until they are done or their own time is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"

#define NS_PER_MS 1000000ull
#define RETRY_NS_MIN (100 * NS_PER_MS)
#define RETRY_NS_MAX (2000 * NS_PER_MS)
#define PROBE_WAIT_NS (500 * NS_PER_MS)
/* Another connection is opened when each one has so many requests in flight. */
#define REQUESTS_BEFORE_NEXT 4u
/* What is hashed for puts before the first of it is sent. */
#define DISPATCH_BYTES_MAX (1024u * 1024u)

void mkv_remote_enqueue(struct mkv_share *share) {
    MKV_ASSERT(!share->is_queued);
    TAILQ_INSERT_TAIL(&share->remote->queue, share, link);
    share->is_queued = true;
}

void mkv_remote_dequeue(struct mkv_share *share) {
    if (share->is_queued) {
        TAILQ_REMOVE(&share->remote->queue, share, link);
        share->is_queued = false;
    }
}

/* splitmix64, after Steele, Lea and Flood (2014). */
uint64_t mkv_remotes_draw(struct memkv_client *client) {
    client->random += 0x9e3779b97f4a7c15ull;
    uint64_t value = client->random;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

uint64_t mkv_remotes_ring_hash(const struct memkv_client *client) {
    const struct mkv_client_address *addresses[MKV_CLIENT_SERVERS_MAX];
    if (!client->has_ring) {
        return 0;
    }
    for (uint32_t index = 0; index < client->remote_count; index++) {
        addresses[index] = &client->remotes[index]->address;
    }
    return mkv_client_ring_hash(addresses, client->remote_count);
}

static void fail_queued(struct mkv_remote *remote) {
    struct mkv_share *share;
    while ((share = TAILQ_FIRST(&remote->queue)) != NULL) {
        mkv_share_fail(share, remote->failure.status, remote->failure.text);
    }
}

/* One of its connections is not CLOSED, and in such a state or a later one. */
static struct mkv_connection *find(const struct mkv_remote *remote,
                                   enum mkv_connection_state state) {
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        struct mkv_connection *connection = remote->connections[slot];
        if (connection != NULL && connection->state >= state) {
            return connection;
        }
    }
    return NULL;
}

void mkv_remote_connect_failed(struct mkv_remote *remote, enum memkv_status failure,
                               const char *text) {
    struct memkv_client *client = remote->client;
    uint64_t wait_ns = RETRY_NS_MIN;
    for (uint32_t count = 0; count < remote->failure_count && wait_ns < RETRY_NS_MAX; count++) {
        wait_ns *= 2;
    }
    wait_ns = mkv_min_u64(wait_ns, RETRY_NS_MAX);
    remote->failure_count += remote->failure_count < UINT32_MAX ? 1 : 0;
    remote->retry_ns = mkv_client_now_ns() + wait_ns / 2 + mkv_remotes_draw(client) % (wait_ns / 2);
    mkv_client_fail(&remote->failure, failure, "%s", text);
    if (find(remote, MKV_CONNECTION_RESOLVING) == NULL) {
        fail_queued(remote);
    }
}

/* The place of a connection that tries RDMA again. */
static uint32_t spare_slots(const struct mkv_remote *remote) {
    return remote->client->rdma != NULL ? 1 : 0;
}

void mkv_remote_connected(struct mkv_remote *remote, const struct mkv_greeting *greeting) {
    const struct mkv_native_hello_answer *limits = &greeting->limits;
    const uint64_t slots =
        (uint64_t)remote->client->connections_max * mkv_max_u64(greeting->shards.shard_count, 1);
    const uint32_t spare = spare_slots(remote);
    remote->failure_count = 0;
    remote->shards = greeting->shards;
    remote->slots = (uint32_t)mkv_max_u64(remote->slots,
                                          mkv_min_u64(slots, MKV_CLIENT_CONNECTIONS_MAX) + spare);
    remote->client->limits_last = *limits;
    if (remote->limits_version == 0 ||
        memcmp(&remote->limits, limits, sizeof remote->limits) != 0) {
        remote->limits = *limits;
        remote->limits_version++;
    }
}

/* Whether a connection is one of those that there may be so many of. */
static bool is_counted(const struct mkv_connection *connection) {
    return connection != NULL && connection->state != MKV_CONNECTION_CLOSED &&
           !connection->is_candidate && !mkv_remote_rdma_is_leaving(connection);
}

static bool has_room(const struct mkv_remote *remote) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        count += is_counted(remote->connections[slot]) ? 1 : 0;
    }
    return count < remote->slots - spare_slots(remote);
}

/* The connection of a place that is free; NULL: there is no memory. */
static struct mkv_connection *take_slot(struct mkv_remote *remote, uint32_t slot) {
    struct mkv_connection *connection = remote->connections[slot];
    if (connection == NULL) {
        connection = calloc(1, sizeof *connection);
        if (connection == NULL) {
            return NULL;
        }
        connection->remote = remote;
        TAILQ_INIT(&connection->requests);
        TAILQ_INIT(&connection->sends);
        TAILQ_INIT(&connection->untaken);
        remote->connections[slot] = connection;
    }
    connection->rdma_fallback = MKV_NATIVE_FALLBACK_NONE;
    return connection;
}

/* Begins to connect one more, to that shard of the server; `home` is as in HELLO. */
static void open_at(struct mkv_remote *remote, uint32_t home, uint64_t now_ns) {
    for (uint32_t slot = 0; slot < remote->slots && has_room(remote); slot++) {
        const struct mkv_connection *there = remote->connections[slot];
        if (there != NULL && there->state != MKV_CONNECTION_CLOSED) {
            continue;
        }
        struct mkv_connection *connection = take_slot(remote, slot);
        if (connection == NULL) {
            mkv_remote_connect_failed(remote, MEMKV_NO_MEMORY, "no memory for a connection");
            return;
        }
        connection->home = home;
        mkv_connection_open(connection, now_ns);
        return;
    }
}

void mkv_remote_open_candidate(struct mkv_remote *remote, uint32_t slot, uint64_t now_ns) {
    struct mkv_connection *connection = take_slot(remote, slot);
    if (connection != NULL) {
        connection->home = 0;
        connection->is_candidate = true;
        remote->client->rdma->candidate_count++;
        mkv_connection_open(connection, now_ns);
    }
}

void mkv_remote_open_one(struct mkv_remote *remote, uint64_t now_ns) {
    open_at(remote, 0, now_ns);
}

/* Nothing is READY: what waits goes on waiting, or fails. */
static void dispatch_unready(struct mkv_remote *remote, uint64_t now_ns) {
    const struct mkv_connection *connecting = find(remote, MKV_CONNECTION_RESOLVING);
    if (connecting == NULL && now_ns < remote->retry_ns && remote->failure_count > 0) {
        fail_queued(remote);
        return;
    }
    if (connecting == NULL) {
        mkv_remote_open_one(remote, now_ns); /* what waits may have failed with it */
        return;
    }
    if (remote->failure_count > 0 && now_ns >= connecting->begin_ns + PROBE_WAIT_NS) {
        fail_queued(remote);
    }
}

/* Of two that a request may go over: the one at the shard of its keys, then the one with less. */
static bool is_better(const struct mkv_connection *left, const struct mkv_connection *right,
                      uint32_t shard) {
    const bool left_is_there = shard != MKV_NONE_U32 && left->shard == shard;
    const bool right_is_there = shard != MKV_NONE_U32 && right->shard == shard;
    return left_is_there != right_is_there ? left_is_there
                                           : left->requests_used < right->requests_used;
}

/* Where the next request of a share goes; NULL: nowhere now. */
static struct mkv_connection *pick(const struct mkv_remote *remote, uint32_t serial,
                                   uint32_t shard) {
    const uint32_t requests_max =
        (uint32_t)mkv_min_u64(remote->limits.requests_max, MKV_CONNECTION_REQUESTS_MAX);
    struct mkv_connection *picked = NULL;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        struct mkv_connection *connection = remote->connections[slot];
        if (connection == NULL || connection->state != MKV_CONNECTION_READY ||
            connection->is_send_broken || connection->requests_used >= requests_max ||
            (serial != 0 && connection->serial != serial) ||
            (serial == 0 && mkv_remote_rdma_is_leaving(connection))) {
            continue;
        }
        if (picked == NULL || is_better(connection, picked, shard)) {
            picked = connection;
        }
    }
    return picked;
}

/* A reservation's connection may have gone while the COMMIT waited. */
static bool serial_is_gone(const struct mkv_remote *remote, uint32_t serial) {
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection != NULL && connection->state == MKV_CONNECTION_READY &&
            connection->serial == serial) {
            return false;
        }
    }
    return serial != 0;
}

/* Gives statuses to what cannot be sent. False: nothing of the share is left. */
static bool share_prepare(struct mkv_share *share) {
    struct mkv_call *call = share->call;
    if (share->part_count > 0 && share->limits_version != share->remote->limits_version) {
        mkv_share_group(share);
    }
    while (share->part_next < share->part_count &&
           serial_is_gone(share->remote, share->parts[share->part_next].serial)) {
        struct mkv_part *part = &share->parts[share->part_next++];
        mkv_call_note(call, part->item,
                      "the connection that the reservation was made over has ended, and it with "
                      "it");
        mkv_call_part_done(call, part, MEMKV_NOT_FOUND);
    }
    /* A share whose parts are all gone has no parts, and is none of a single call either. */
    const bool is_open = share->part_next < share->part_count ||
                         (call->single != 0 && call->item_count == 0 && !share->is_single_made);
    if (!is_open) {
        mkv_remote_dequeue(share);
        share->is_single_made = true;
        call->shares_open--;
        mkv_call_settle(call);
    }
    return is_open;
}

/* Connections at a shard, or on their way there. */
static uint32_t connections_at(const struct mkv_remote *remote, uint32_t shard) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection == NULL || connection->state == MKV_CONNECTION_CLOSED) {
            continue;
        }
        const bool is_there =
            connection->state == MKV_CONNECTION_READY && connection->shard == shard;
        count += is_there || connection->home == shard + 1 ? 1 : 0;
    }
    return count;
}

/* The shard that fewest connections are at, as in HELLO. */
static uint32_t home_of_next(const struct mkv_remote *remote) {
    uint32_t home = 0;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t shard = 0; shard < remote->shards.shard_count; shard++) {
        const uint32_t count = connections_at(remote, shard);
        home = count < fewest ? shard + 1 : home;
        fewest = (uint32_t)mkv_min_u64(count, fewest);
    }
    return home;
}

/* A request goes over a connection that is not at the shard of its keys, which passes it on: opens
 * one there, for those to come, unless that was tried or all places are taken. */
static void approach(struct mkv_remote *remote, uint32_t shard, uint64_t now_ns) {
    if (shard < remote->shards.shard_count && connections_at(remote, shard) == 0 &&
        now_ns >= remote->retry_ns) {
        open_at(remote, shard + 1, now_ns);
    }
}

/* Opens one more where all have enough to do. */
static void grow(struct mkv_remote *remote, uint64_t now_ns) {
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (is_counted(connection) && (connection->state != MKV_CONNECTION_READY ||
                                       connection->requests_used < REQUESTS_BEFORE_NEXT)) {
            return;
        }
    }
    if (has_room(remote) && now_ns >= remote->retry_ns) {
        open_at(remote, home_of_next(remote), now_ns);
    }
}

enum mkv_progress mkv_remote_dispatch(struct mkv_remote *remote, uint64_t now_ns) {
    enum mkv_progress progress = MKV_PROGRESS_BLOCKED;
    if (TAILQ_EMPTY(&remote->queue)) {
        return progress;
    }
    if (find(remote, MKV_CONNECTION_READY) == NULL) {
        dispatch_unready(remote, now_ns);
        return progress;
    }
    uint64_t byte_count = 0;
    struct mkv_share *next;
    for (struct mkv_share *share = TAILQ_FIRST(&remote->queue);
         share != NULL && byte_count < DISPATCH_BYTES_MAX && pick(remote, 0, MKV_NONE_U32) != NULL;
         share = next) {
        next = TAILQ_NEXT(share, link);
        if (share->requests_used >= MKV_SHARE_REQUESTS_MAX || !share_prepare(share)) {
            continue;
        }
        const bool has_parts = share->part_next < share->part_count;
        const struct mkv_part *first = has_parts ? &share->parts[share->part_next] : NULL;
        const uint32_t shard = has_parts ? first->shard : MKV_NONE_U32;
        struct mkv_connection *connection = pick(remote, has_parts ? first->serial : 0, shard);
        if (connection == NULL) {
            continue;
        }
        if (connection->shard != shard) {
            approach(remote, shard, now_ns);
        }
        const struct mkv_request *request = mkv_request_make(connection, share);
        if (request == NULL) {
            mkv_share_fail(share, MEMKV_NO_MEMORY, "no memory for a request");
            continue;
        }
        const bool is_hashed = request->op == MKV_NATIVE_PUT || request->op == MKV_NATIVE_COMMIT;
        for (uint32_t index = 0; is_hashed && index < request->part_count; index++) {
            byte_count += share->call->items[request->parts[index].item].data_bytes;
        }
        mkv_remote_dequeue(share);
        if (mkv_share_is_open(share)) {
            mkv_remote_enqueue(share); /* behind the others */
            next = next != NULL ? next : share;
        }
        progress = MKV_PROGRESS_MOVED;
    }
    if (!TAILQ_EMPTY(&remote->queue)) {
        grow(remote, now_ns);
    }
    return progress;
}

uint64_t mkv_remote_due_ns(const struct mkv_remote *remote) {
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection == NULL || connection->state == MKV_CONNECTION_CLOSED ||
            connection->state == MKV_CONNECTION_READY) {
            continue;
        }
        due_ns = mkv_min_u64(due_ns, connection->deadline_ns);
        if (connection->state == MKV_CONNECTION_CONNECTING) {
            due_ns = mkv_min_u64(due_ns, connection->address_deadline_ns);
        }
        if (connection->rdma_step != MKV_RDMA_NONE) {
            due_ns = mkv_min_u64(due_ns, connection->rdma_deadline_ns);
        }
        if (remote->failure_count > 0 && !TAILQ_EMPTY(&remote->queue)) {
            due_ns = mkv_min_u64(due_ns, connection->begin_ns + PROBE_WAIT_NS);
        }
    }
    return due_ns;
}
