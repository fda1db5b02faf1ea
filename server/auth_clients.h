/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients by their address: how many connections, requests and bytes in flight each has, and how
 * often it failed to show who it is. An address without its port is a client; all Unix sockets are
 * one, and an IPv4 address is the same client over IPv6.
 *
 *   failures in a row   1        2        3     4     5 …       forgotten after a success, or a
 *   delay               0.25 s   0.5 s    1 s   2 s   4 s       minute without one
 *
 * Invariants
 *  I1  There are at most MKV_AUTH_CLIENTS_MAX at a time. One without connections makes room; where
 *      all have some, the others count together and have no limits of their own.
 *  I2  A request that is the only one of its client is never refused for its bytes.
 *
 * Not responsible for: what a refusal looks like.
 */
#ifndef MKV_SERVER_AUTH_CLIENTS_H
#define MKV_SERVER_AUTH_CLIENTS_H

#include <sys/socket.h>

#include "backends/fabric_auth.h"

#define MKV_AUTH_CLIENTS_MAX 8192u
#define MKV_AUTH_DELAY_NS (250ull * 1000000u)
#define MKV_AUTH_DELAY_DOUBLINGS_MAX 4u
#define MKV_AUTH_FORGET_NS (60ull * 1000000000u)

struct mkv_auth_clients;

/* 0: no limit. */
struct mkv_auth_limits {
    uint64_t all_connections_max; /* of all clients together; the others are of each: */
    uint64_t connections_max;
    uint64_t requests_max;
    uint64_t bytes_max;
};

/* NULL when there is no memory. */
struct mkv_auth_clients *mkv_auth_clients_create(const struct mkv_auth_limits *limits);
/* NULL is allowed. */
void mkv_auth_clients_destroy(struct mkv_auth_clients *clients);

/* ADMITTED: `*client` is the one at that address, with one connection more. FULL, CLIENT_FULL: all
 * have, or it has, as many as there may be. */
enum mkv_fabric_admission mkv_auth_clients_enter(struct mkv_auth_clients *clients,
                                                 const struct sockaddr *address,
                                                 struct mkv_fabric_auth_client **client);
void mkv_auth_clients_leave(struct mkv_auth_clients *clients,
                            struct mkv_fabric_auth_client *client);
/* Counts a failure, and returns how long its answer is held back. */
uint64_t mkv_auth_clients_failed(struct mkv_auth_clients *clients,
                                 struct mkv_fabric_auth_client *client, uint64_t now_ns);
void mkv_auth_clients_succeeded(struct mkv_auth_clients *clients,
                                struct mkv_fabric_auth_client *client);
/* False: it may not have this request now. */
bool mkv_auth_clients_begin(const struct mkv_auth_clients *clients,
                            struct mkv_fabric_auth_client *client, uint64_t bytes);
void mkv_auth_clients_end(struct mkv_fabric_auth_client *client, uint64_t bytes);

#endif
