/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What probes and load balancers ask: does the process run, is the node well, may it get requests.
 *
 *                live   health           ready
 *   recovering   200    200              503 recovering, with progress
 *   serving      200    200 healthy      200
 *   degraded     200    200              200
 *   draining     200    200              503 draining
 *   unhealthy    200    503              503 no_writable_drive
 *   waiting      200    503              503 drives_missing, with what to do
 *   a shard is   503    503 unhealthy    503 stalled
 *   stuck
 *
 * live is what a liveness probe asks: restarting a node whose drives died mends nothing, restarting
 * one that hangs does.
 *
 * Not responsible for: how the node comes to its state.
 */
#ifndef MKV_ADMIN_HEALTH_H
#define MKV_ADMIN_HEALTH_H

#include "admin/reply.h"
#include "admin/snapshot.h"

/* The state that is shown everywhere: the node's own, but unhealthy when a shard is stuck. */
enum mkv_admin_node_state mkv_admin_health_state(const struct mkv_admin_snapshot *snapshot);
bool mkv_admin_health_stalled(const struct mkv_admin_snapshot *snapshot);
/* Those that answer gets and take puts. */
/* An operator wants no new puts on it: its blocks are served all the same. */
bool mkv_admin_drive_drains(const struct mkv_admin_drive *drive);
uint32_t mkv_admin_drives_serving(const struct mkv_admin_snapshot *snapshot);
uint32_t mkv_admin_drives_in_state(const struct mkv_admin_snapshot *snapshot,
                                   enum mkv_drive_state state);
/* Why the node takes no requests: "recovering", "draining", "stalled", "no_writable_drive",
 * "drives_missing"; NULL
 * when it takes them. */
const char *mkv_admin_unready_reason(const struct mkv_admin_snapshot *snapshot);

struct mkv_admin_reply mkv_admin_live(const struct mkv_admin_snapshot *snapshot);
struct mkv_admin_reply mkv_admin_health(const struct mkv_admin_snapshot *snapshot);
struct mkv_admin_reply mkv_admin_ready(const struct mkv_admin_snapshot *snapshot);

#endif
