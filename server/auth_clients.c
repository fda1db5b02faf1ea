/* SPDX-License-Identifier: Apache-2.0 */
#include "server/auth_clients.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

#define BUCKETS 16384u
#define ADDRESS_BYTES 17u /* one for the family */
#define NONE UINT32_MAX

struct mkv_fabric_auth_client {
    /* Behind the mutex. */
    uint8_t address[ADDRESS_BYTES];
    bool is_listed; /* in its bucket */
    uint32_t next;  /* there */
    uint32_t connections;
    uint32_t failures;
    uint64_t failed_ns;
    /* From any thread. */
    atomic_uint_least64_t requests;
    atomic_uint_least64_t bytes;
};

struct mkv_auth_clients {
    struct mkv_auth_limits limits;
    pthread_mutex_t mutex;
    uint64_t connections; /* of all */
    uint32_t used;        /* of `clients`, ever */
    uint32_t search;      /* where the next one that is not needed is looked for */
    uint32_t buckets[BUCKETS];
    struct mkv_fabric_auth_client clients[MKV_AUTH_CLIENTS_MAX];
    struct mkv_fabric_auth_client others; /* those for whom there was no room */
};

struct mkv_auth_clients *mkv_auth_clients_create(const struct mkv_auth_limits *limits) {
    struct mkv_auth_clients *clients = calloc(1, sizeof *clients);
    if (clients == NULL) {
        return NULL;
    }
    clients->limits = *limits;
    pthread_mutex_init(&clients->mutex, NULL);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        clients->buckets[i] = NONE;
    }
    return clients;
}

void mkv_auth_clients_destroy(struct mkv_auth_clients *clients) {
    if (clients != NULL) {
        pthread_mutex_destroy(&clients->mutex);
        free(clients);
    }
}

/* IPv4 as it is within IPv6, so that a client is the same over both. */
static void address_of(const struct sockaddr *address, uint8_t out[ADDRESS_BYTES]) {
    memset(out, 0, ADDRESS_BYTES);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        out[0] = 6;
        memset(out + 11, 0xff, 2);
        memcpy(out + 13, &v4->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        out[0] = 6;
        memcpy(out + 1, &v6->sin6_addr, 16);
    }
}

static uint32_t *bucket_of(struct mkv_auth_clients *clients, const uint8_t *address) {
    return &clients->buckets[mkv_hash_64(address, ADDRESS_BYTES) % BUCKETS];
}

static void unlist(struct mkv_auth_clients *clients, uint32_t index) {
    uint32_t *at = bucket_of(clients, clients->clients[index].address);
    while (*at != index) {
        MKV_ASSERT(*at != NONE);
        at = &clients->clients[*at].next;
    }
    *at = clients->clients[index].next;
    clients->clients[index].is_listed = false;
}

/* A place for another client, or NONE. Each look goes over a few places only. */
static uint32_t place_take(struct mkv_auth_clients *clients) {
    if (clients->used < MKV_AUTH_CLIENTS_MAX) {
        return clients->used++;
    }
    for (uint32_t turn = 0; turn < 64; turn++) {
        const uint32_t index = clients->search;
        clients->search = (index + 1) % MKV_AUTH_CLIENTS_MAX;
        if (clients->clients[index].connections == 0) {
            unlist(clients, index);
            return index;
        }
    }
    return NONE;
}

/* The mutex is held. */
static struct mkv_fabric_auth_client *find(struct mkv_auth_clients *clients,
                                           const uint8_t *address) {
    uint32_t *bucket = bucket_of(clients, address);
    for (uint32_t at = *bucket; at != NONE; at = clients->clients[at].next) {
        if (memcmp(clients->clients[at].address, address, ADDRESS_BYTES) == 0) {
            return &clients->clients[at];
        }
    }
    const uint32_t index = place_take(clients);
    if (index == NONE) {
        return &clients->others;
    }
    /* The place that was taken may have stood in this very bucket. */
    struct mkv_fabric_auth_client *client = &clients->clients[index];
    memcpy(client->address, address, ADDRESS_BYTES);
    client->failures = 0;
    client->failed_ns = 0;
    client->next = *bucket;
    client->is_listed = true;
    *bucket = index;
    return client;
}

enum mkv_fabric_admission mkv_auth_clients_enter(struct mkv_auth_clients *clients,
                                                 const struct sockaddr *address,
                                                 struct mkv_fabric_auth_client **client_out) {
    uint8_t bytes[ADDRESS_BYTES];
    const struct mkv_auth_limits *limits = &clients->limits;
    enum mkv_fabric_admission admission = MKV_FABRIC_ADMITTED;
    address_of(address, bytes);
    pthread_mutex_lock(&clients->mutex);
    struct mkv_fabric_auth_client *client = find(clients, bytes);
    if (limits->all_connections_max != 0 && clients->connections >= limits->all_connections_max) {
        admission = MKV_FABRIC_FULL;
    } else if (limits->connections_max != 0 && client->is_listed &&
               client->connections >= limits->connections_max) {
        admission = MKV_FABRIC_CLIENT_FULL;
    } else {
        clients->connections++;
        client->connections++;
        *client_out = client;
    }
    pthread_mutex_unlock(&clients->mutex);
    return admission;
}

void mkv_auth_clients_leave(struct mkv_auth_clients *clients,
                            struct mkv_fabric_auth_client *client) {
    pthread_mutex_lock(&clients->mutex);
    MKV_ASSERT(client->connections > 0);
    MKV_ASSERT(clients->connections > 0);
    client->connections--;
    clients->connections--;
    pthread_mutex_unlock(&clients->mutex);
}

uint64_t mkv_auth_clients_failed(struct mkv_auth_clients *clients,
                                 struct mkv_fabric_auth_client *client, uint64_t now_ns) {
    pthread_mutex_lock(&clients->mutex);
    if (now_ns - client->failed_ns >= MKV_AUTH_FORGET_NS) {
        client->failures = 0;
    }
    const uint32_t doublings =
        (uint32_t)mkv_min_u64(client->failures, MKV_AUTH_DELAY_DOUBLINGS_MAX);
    client->failures = doublings + 1;
    client->failed_ns = now_ns;
    pthread_mutex_unlock(&clients->mutex);
    return MKV_AUTH_DELAY_NS << doublings;
}

void mkv_auth_clients_succeeded(struct mkv_auth_clients *clients,
                                struct mkv_fabric_auth_client *client) {
    pthread_mutex_lock(&clients->mutex);
    client->failures = 0;
    pthread_mutex_unlock(&clients->mutex);
}

bool mkv_auth_clients_begin(const struct mkv_auth_clients *clients,
                            struct mkv_fabric_auth_client *client, uint64_t bytes) {
    const uint64_t requests = atomic_fetch_add(&client->requests, 1);
    const uint64_t in_flight = atomic_fetch_add(&client->bytes, bytes);
    const struct mkv_auth_limits *limits = &clients->limits;
    const bool has_limits = client != &clients->others;
    const bool too_many = limits->requests_max != 0 && requests >= limits->requests_max;
    const bool too_large = bytes > 0 && limits->bytes_max != 0 && requests > 0 &&
                           in_flight + bytes > limits->bytes_max;
    if (has_limits && (too_many || too_large)) {
        mkv_auth_clients_end(client, bytes);
        return false;
    }
    return true;
}

void mkv_auth_clients_end(struct mkv_fabric_auth_client *client, uint64_t bytes) {
    atomic_fetch_sub(&client->requests, 1);
    atomic_fetch_sub(&client->bytes, bytes);
}
