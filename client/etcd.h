/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers as keys of etcd, over the JSON gateway of its version 3: read by clients, and put there
 * by the servers themselves, each with a lease that it keeps alive as long as it serves.
 *
 *   http://HOST:PORT[,http://HOST:PORT...]/PREFIX
 *
 *   key      /PREFIX/HOST:PORT
 *   value    {"address": "HOST:PORT", "weight": 1, "node": "kv-0"}
 *
 *   POST /v3/kv/range          all keys below /PREFIX/
 *   POST /v3/lease/grant       {ttl} -> lease             \
 *   POST /v3/kv/put            {key, value, lease}         | of a server
 *   POST /v3/lease/keepalive   {lease} -> ttl, 0: gone     |
 *   POST /v3/lease/revoke      {lease}: its keys go        /
 *
 * Keys and values travel in base64, 64-bit numbers as texts:
 * https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
 *
 * Invariants
 *  I1  A call ends within its time, and at once when `stop` becomes readable.
 *  I2  The endpoint that answered last is asked first; each of the others is asked once in a call.
 *  I3  An answer has at most MKV_ETCD_ANSWER_BYTES_MAX; what is no answer of etcd is refused.
 *
 * Not responsible for: trying again, threads.
 */
#ifndef MKV_CLIENT_ETCD_H
#define MKV_CLIENT_ETCD_H

#include "client/discovery.h"

#define MKV_ETCD_ENDPOINTS_MAX 8u
#define MKV_ETCD_PREFIX_BYTES 256u
#define MKV_ETCD_ANSWER_BYTES_MAX (1024u * 1024u)
/* Of the text that names a node in a server's value, with its NUL. */
#define MKV_ETCD_NODE_BYTES 64u

struct mkv_etcd;

/* How a call may be cut off. */
struct mkv_etcd_wait {
    int stop; /* readable: it is to end; -1: nothing cuts it off */
    uint32_t timeout_ms;
};

/* What a server says of itself. */
struct mkv_etcd_server {
    char address[MKV_CLIENT_ADDRESS_BYTES];
    uint32_t weight;
    char node[MKV_ETCD_NODE_BYTES];
};

/* NULL, with *error: `text` names no endpoints and prefix, or there is no memory. Asks nobody. */
struct mkv_etcd *mkv_etcd_open(const char *text, struct memkv_error *error);
void mkv_etcd_close(struct mkv_etcd *etcd);

/* The following return false with *error: MEMKV_UNAVAILABLE where nobody answered in time. */

/* All servers below the prefix, in any order. */
bool mkv_etcd_list(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait,
                   struct mkv_server_list *list, struct memkv_error *error);
bool mkv_etcd_grant(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, uint32_t ttl_s,
                    uint64_t *lease, struct memkv_error *error);
/* *is_alive: the lease has been prolonged; else it is gone, and its keys are. */
bool mkv_etcd_keep_alive(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, uint64_t lease,
                         bool *is_alive, struct memkv_error *error);
bool mkv_etcd_revoke(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, uint64_t lease,
                     struct memkv_error *error);
bool mkv_etcd_put(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait,
                  const struct mkv_etcd_server *server, uint64_t lease, struct memkv_error *error);
/* *is_there: the server's key is there, under that lease. */
bool mkv_etcd_look(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait,
                   const struct mkv_etcd_server *server, uint64_t lease, bool *is_there,
                   struct memkv_error *error);

#endif
