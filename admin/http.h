/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin listener: HTTP/1.1 on a loopback socket, one thread of its own, answers made from the
 * provider's snapshot. Nothing that a client sends changes the node, so only GET and HEAD are
 * taken.
 *
 *   /v1/live     /livez, /health/live      `ok`, or 503 when a shard is stuck
 *   /v1/health                             JSON; 503 when unhealthy
 *   /v1/ready    /health/ready, /readyz    `ok`, or 503 with a JSON reason
 *   /v1/status   /status                   JSON
 *   /v1/metrics  /metrics                  Prometheus text 0.0.4
 *
 * Invariants
 *  I1  Connections, memory for each, the time one may be idle, and what is read of a request's body
 *      are bounded by the figures below. What is beyond them waits, is refused or is cut off, and
 *      the others go on.
 *  I2  The provider is called on the listener's thread alone, at most once for a request, and never
 *      after mkv_admin_http_stop has returned.
 *  I3  An answer with another status than 200 says in JSON what is wrong, unless the request was no
 *      HTTP, which the library answers.
 *
 * Not responsible for: who may connect. The socket is bound to loopback, which is checked, because
 * nothing here authenticates.
 */
#ifndef MKV_ADMIN_HTTP_H
#define MKV_ADMIN_HTTP_H

#include "admin/snapshot.h"

#define MKV_ADMIN_CONNECTIONS_MAX 64u
/* Of each connection: its headers must fit. */
#define MKV_ADMIN_CONNECTION_BYTES 16384u
/* A connection that sends or takes nothing for this long is closed. */
#define MKV_ADMIN_IDLE_S_MAX 10u
/* A body is read and ignored up to this size. */
#define MKV_ADMIN_BODY_BYTES_MAX 65536u

#define MKV_ADMIN_ERROR_BYTES 256u

struct mkv_admin_http;

/*
 * Serves on a listening stream socket. The socket belongs to the listener after a successful start,
 * which closes it at its stop. A refusal writes one line that says what is wrong; the socket is
 * still the caller's then.
 */
__attribute__((warn_unused_result)) bool mkv_admin_http_start(
    int listen_fd, const struct mkv_admin_provider *provider, struct mkv_admin_http **http,
    char error[MKV_ADMIN_ERROR_BYTES]);

/* Closes the socket and every connection, and waits for the answer that is being made. NULL is
 * allowed. */
void mkv_admin_http_stop(struct mkv_admin_http *http);

#endif
