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
#define MKV_CLIENT_SERVERS_MAX 64u

struct mkv_client_address {
    char host[MKV_CLIENT_HOST_BYTES]; /* without brackets */
    char port[6];
    char text[MKV_CLIENT_ADDRESS_BYTES]; /* HOST:PORT: the name */
    uint32_t weight;
};

/*
 * Reads the list `servers`, which messages call `named`. `out` has room for MKV_CLIENT_SERVERS_MAX
 * and *count is set with MEMKV_OK; else MEMKV_INVALID or MEMKV_NO_MEMORY, and *error (may be NULL)
 * tells what is wrong.
 */
enum memkv_status mkv_client_servers_parse(const char *named, const char *servers,
                                           struct mkv_client_address *out, uint32_t *count,
                                           struct memkv_error *error);
/* The number in `text`, 1 to `max`; 0: it is no such number. */
uint32_t mkv_client_number(const char *text, uint32_t max);
/* What placement knows of a server: its uuid is the XXH3-128 of its name, in canonical bytes. */
struct mkv_member mkv_client_member(const struct mkv_client_address *address);

/*
 * What servers are told of the list that keys are placed by, so that somebody notices clients with
 * different ones (docs/protocol.md, Ring block): the XXH3-64 of its lines HOST:PORT*WEIGHT, each
 * with a newline behind it, in the order of their bytes. `addresses` is put into that order. Never
 * 0, which stands for no list.
 */
uint64_t mkv_client_ring_hash(const struct mkv_client_address **addresses, uint32_t count);

#endif
