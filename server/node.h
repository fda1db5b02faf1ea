/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node: everything that `memkv start` brings up, runs until it is told to stop, and takes down.
 *
 *   steps, each with its undo (node_start.c):
 *     limits, record, drives, formats, arena, listen for admin, traces, shard (which listens for
 *     clients), admin, thread
 *
 *   WAITING     members of the drive set are missing; the admin listener is up, that of clients not
 *   RECOVERING --every drive opened, or failed to--> SERVING    all drives are online
 *                                                    DEGRADED   at least one is, at least one not
 *                                                    UNHEALTHY  none is
 *   any of them --SIGTERM, SIGINT--> DRAINING --> the process ends
 *
 * Health, readiness, status, metrics and STATS are all made from one snapshot of it, so that they
 * never contradict each other.
 *
 * Invariants
 *  I1  drives[i] of a snapshot is volume i of the front and drive i of the configuration, but for
 *      those that are not there: they come last.
 *  I2  A step that fails leaves nothing behind: the steps before it are undone in reverse, and a
 *      store file that was created and not formatted is removed.
 *  I3  No drive is opened as a volume before all new drives of the store are formatted.
 *  I4  A warning is in a snapshot exactly as long as what it says is true.
 *
 * Not responsible for: the command line (start.h), how a snapshot is shown (admin/).
 */
#ifndef MKV_SERVER_NODE_H
#define MKV_SERVER_NODE_H

#include "admin/snapshot.h"
#include "server/config.h"

/* How long the requests in flight at SIGTERM have to end. */
#define MKV_NODE_DRAIN_NS (10ull * 1000000000u)

struct mkv_node;

/* What one start is told besides the configuration. The texts stay until the node has ended. */
struct mkv_node_options {
    bool dev;           /* says what happens in lines for people on standard output */
    const char *lost;   /* drives that the operator declares lost, commas between them, or NULL */
    const char *record; /* a file to make, for what goes into the machines and comes out; or NULL */
    uint64_t record_bytes_max;
    const char *core; /* mkv_core_archive_sha256 */
    /* Makes the configuration anew, as at the start, for a reload. NULL: there is none. */
    bool (*configure)(void *context, struct mkv_config *config, struct mkv_config_error *error);
    void *configure_context;
};

/*
 * Runs a node of this configuration, which is valid, to its end; returns what the process exits
 * with. Secrets in `config` are wiped. Signals are handled from here on, so this is called once,
 * before there are other threads.
 */
enum mkv_exit_daemon mkv_node_run(struct mkv_config *config,
                                  const struct mkv_node_options *options);

/* Fills in a snapshot, as the provider of the admin listener does (`context` is the node). From any
 * thread but a shard's; it waits for no drive and no client. */
void mkv_node_snapshot(void *context, struct mkv_admin_snapshot *out);

/* The provider's way to drop a tenant; `context` is the node. */
enum mkv_status mkv_node_tenant_drop(void *context, const char *name);

#endif
