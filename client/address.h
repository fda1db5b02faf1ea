/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the server is: the text that a user gives, taken apart.
 *
 * Invariants
 *  I1  A parsed address names one server; a list is refused, and the text says so.
 *
 * Not responsible for: resolving names (connection.c).
 */
#ifndef MKV_CLIENT_ADDRESS_H
#define MKV_CLIENT_ADDRESS_H

#include <stdbool.h>

#include "client/memkv.h"

/* Room for a host name (253) or IPv6 address with a zone, and the closing NUL. */
#define MKV_CLIENT_HOST_BYTES 256u
#define MKV_CLIENT_ADDRESS_BYTES (MKV_CLIENT_HOST_BYTES + 9u)
#define MKV_CLIENT_SERVERS_VARIABLE "MEMKV_SERVERS"
#define MKV_CLIENT_SERVERS_DEFAULT "127.0.0.1:9900"

struct mkv_client_address {
    char host[MKV_CLIENT_HOST_BYTES]; /* without brackets */
    char port[6];
    char text[MKV_CLIENT_ADDRESS_BYTES]; /* HOST:PORT, for messages */
};

/*
 * Reads `servers`; NULL stands for the environment's MEMKV_SERVERS, else 127.0.0.1:9900. *out is
 * written with MEMKV_OK; else MEMKV_INVALID, and *error (may be NULL) tells what is wrong.
 */
enum memkv_status mkv_client_address_parse(const char *servers, struct mkv_client_address *out,
                                           struct memkv_error *error);

#endif
