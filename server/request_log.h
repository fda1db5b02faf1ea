/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of the log about requests (target core.front): at DEBUG some for each, at INFO sums of some
 * seconds, so that a node under load writes no more lines than an idle one. And about the
 * connections that they come on (target fabric), at DEBUG.
 *
 *   shard: request_began --> line at DEBUG
 *          request_ended --> line at DEBUG, sums += summary
 *                                            |
 *   log's thread: tick, every 5 s <----------+  "Stored N blocks …", "Retrieved N …",
 *                                               "Prefetch request completed …"
 *
 * Invariants
 *  I1  The shard's thread looks at one level and adds to sums, when nobody wants single lines.
 *  I2  The sums of all lines are those of all requests that ended before the last tick.
 *  I3  No key and no payload stands in a line.
 *
 * Not responsible for: requests that are slow (slow_log.h).
 */
#ifndef MKV_SERVER_REQUEST_LOG_H
#define MKV_SERVER_REQUEST_LOG_H

#include "backends/fabric.h"
#include "core/io.h"
#include "server/log.h"

#define MKV_REQUEST_LOG_SUM_NS (5ull * 1000000000u)

struct mkv_request_log;

/* For the shards of a node. The log must outlive it. NULL when there is no memory. */
struct mkv_request_log *mkv_request_log_create(struct mkv_log *log, uint64_t now_ns);
/* NULL is allowed. */
void mkv_request_log_destroy(struct mkv_request_log *requests);

/* On a shard's thread: a client has sent its first request; its connection has closed. */
void mkv_request_log_connected(struct mkv_request_log *requests, struct mkv_connection_id id,
                               const struct mkv_fabric_client *client);
void mkv_request_log_closed(struct mkv_request_log *requests, struct mkv_connection_id id);
/* On a shard's thread. */
void mkv_request_log_began(struct mkv_request_log *requests, const struct mkv_request *request);
void mkv_request_log_ended(struct mkv_request_log *requests,
                           const struct mkv_request_summary *summary);

/* Writes the sums, if there are any and MKV_REQUEST_LOG_SUM_NS have passed since the last time; at
 * once with `all`. By one thread at a time. */
void mkv_request_log_tick(struct mkv_request_log *requests, uint64_t now_ns, bool all);

#endif
