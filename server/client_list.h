/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of a shard: for each connection that has sent a request, who it is and what it did.
 * One thread writes, others copy.
 *
 * Invariants
 *  I1  A place is that of the connection's index; what is of an older generation counts nowhere.
 *  I2  Writing never waits; a copy passes over a place that is being written.
 *  I3  A client has at most MKV_ADMIN_CLIENT_PREFIXES beginnings of keys, each once; a new one
 *      takes the place of the oldest.
 *
 * Not responsible for: connections that have sent no request.
 */
#ifndef MKV_SERVER_CLIENT_LIST_H
#define MKV_SERVER_CLIENT_LIST_H

#include "admin/observed.h"
#include "backends/fabric.h"

struct mkv_client_list;

/* Connection indexes are below connections_max. NULL when there is no memory. */
struct mkv_client_list *mkv_client_list_create(uint32_t connections_max);
void mkv_client_list_destroy(struct mkv_client_list *list);

/* True when the connection is listed. */
bool mkv_client_list_has(const struct mkv_client_list *list, struct mkv_connection_id id);
void mkv_client_list_opened(struct mkv_client_list *list, struct mkv_connection_id id,
                            const struct mkv_fabric_client *client);
void mkv_client_list_closed(struct mkv_client_list *list, struct mkv_connection_id id);
/* A key that the client asks for, or stores. */
void mkv_client_list_key(struct mkv_client_list *list, struct mkv_connection_id id,
                         const uint8_t *key, uint32_t key_bytes);
void mkv_client_list_count(struct mkv_client_list *list, const struct mkv_request_summary *summary);
/* Who it is, "" where that is not known any more. */
void mkv_client_list_name(const struct mkv_client_list *list, struct mkv_connection_id id,
                          char address[MKV_ADMIN_ADDRESS_BYTES],
                          char name[MKV_ADMIN_CLIENT_NAME_BYTES]);
/* The tenant that it named, likewise. */
void mkv_client_list_tenant(const struct mkv_client_list *list, struct mkv_connection_id id,
                            char name[MKV_ADMIN_TENANT_BYTES]);

/* From any thread: copies up to `max`, and returns how many. connected_ns is the moment. */
uint32_t mkv_client_list_copy(const struct mkv_client_list *list, struct mkv_admin_client *out,
                              uint32_t max);

/* How many bytes of a key stand for many keys: through its second : / @ or |, or 16. */
uint32_t mkv_client_prefix_bytes(const uint8_t *key, uint32_t key_bytes);

#endif
