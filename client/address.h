/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the servers are: the text that a user gives, taken apart.
 *
 *   servers = server { "," server }      server = HOST ":" PORT [ "*" WEIGHT ]
 *
 * A server's place among the keys comes of its name, the text HOST:PORT, and its weight
 * (docs/protocol.md, Placement): so all clients that are given the same names place keys alike.
 *
 * Invariants
 *  I1  No two servers of a list have the same name.
 *
 * Not responsible for: resolving names (resolver.h), placing keys (core/placement.h).
 */
#ifndef MKV_CLIENT_ADDRESS_H
#define MKV_CLIENT_ADDRESS_H

#include <stdbool.h>

#include "client/memkv.h"
#include "core/placement.h"

/* Room for a host name (253) or IPv6 address with a zone, and the closing NUL. */
#define MKV_CLIENT_HOST_BYTES 256u
#define MKV_CLIENT_ADDRESS_BYTES (MKV_CLIENT_HOST_BYTES + 9u)
#define MKV_CLIENT_SERVERS_VARIABLE "MEMKV_SERVERS"
#define MKV_CLIENT_SERVERS_DEFAULT "127.0.0.1:9900"
#define MKV_CLIENT_SERVERS_MAX 64u

struct mkv_client_address {
    char host[MKV_CLIENT_HOST_BYTES]; /* without brackets */
    char port[6];
    char text[MKV_CLIENT_ADDRESS_BYTES]; /* HOST:PORT: the name */
    uint32_t weight;
};

/*
 * Reads `servers`; NULL stands for the environment's MEMKV_SERVERS, else 127.0.0.1:9900. `out` has
 * room for MKV_CLIENT_SERVERS_MAX and is written with MEMKV_OK; else MEMKV_INVALID, and *error (may
 * be NULL) tells what is wrong.
 */
enum memkv_status mkv_client_servers_parse(const char *servers, struct mkv_client_address *out,
                                           uint32_t *count, struct memkv_error *error);
/* What placement knows of a server: its uuid is the XXH3-128 of its name, in canonical bytes. */
struct mkv_member mkv_client_member(const struct mkv_client_address *address);

#endif
