/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers of a client and how they are, for programs of this tree that tell about them. Of the
 * client's thread; nothing is sent.
 *
 * Not responsible for: how a server itself is; up means that there is a connection to it.
 */
#ifndef MKV_CLIENT_SERVERS_STATE_H
#define MKV_CLIENT_SERVERS_STATE_H

#include <stdbool.h>

#include "client/address.h"
#include "client/memkv.h"

struct mkv_client_server {
    char address[MKV_CLIENT_ADDRESS_BYTES]; /* as the client was told it */
    uint32_t weight;
    bool is_up;
    uint32_t failure_count; /* to connect, in a row */
};

/* Copies up to `max` of them, in the client's order; returns how many there are. */
uint32_t mkv_client_servers(struct memkv_client *client, struct mkv_client_server *out,
                            uint32_t max);

struct mkv_metrics;
/* What the client is counted in; NULL: nothing counts it. */
struct mkv_metrics *mkv_client_metrics(const struct memkv_client *client);

#endif
