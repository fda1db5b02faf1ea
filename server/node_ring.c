/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of servers that the node's clients place keys by, and what is said when they differ.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backends/ring_views.h"
#include "server/node_internal.h"

bool mkv_node_ring_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    node->ring_views = mkv_ring_views_create();
    return node->ring_views != NULL ||
           mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "no memory for a node. Free memory on this machine");
}

void mkv_node_ring_end(struct mkv_node *node) {
    /* A fabric that could not be destroyed may still tell it something. */
    if (!node->shard_is_stuck) {
        mkv_ring_views_destroy(node->ring_views);
    }
    node->ring_views = NULL;
}

void mkv_node_ring_fill(const struct mkv_node *node, struct mkv_admin_ring *out) {
    struct mkv_ring_told told;
    mkv_ring_views_read(node->ring_views, &told);
    _Static_assert(MKV_ADMIN_RING_VIEWS == MKV_RING_VIEWS_TOLD, "as many are told");
    *out = (struct mkv_admin_ring){.view_count = told.view_count, .told_count = told.told_count};
    for (uint32_t index = 0; index < told.told_count; index++) {
        const struct mkv_ring_view *view = &told.views[index];
        struct mkv_admin_ring_view *target = &out->views[index];
        target->hash = view->hash;
        target->connection_count = view->connection_count;
        snprintf(target->address, sizeof target->address, "%s", view->address);
        snprintf(target->name, sizeof target->name, "%s", view->name);
    }
}

void mkv_node_ring_warn(struct mkv_node *node, const struct mkv_admin_ring *ring) {
    char clients[MKV_ADMIN_TEXT_BYTES / 2] = "";
    size_t used = 0;
    for (uint32_t index = 0; index < ring->told_count && used < sizeof clients; index++) {
        const struct mkv_admin_ring_view *view = &ring->views[index];
        const int count = snprintf(
            clients + used, sizeof clients - used, "%s%s at %s and %" PRIu64 " more by %016" PRIx64,
            index > 0 ? "; " : "", view->name[0] != '\0' ? view->name : "a client", view->address,
            view->connection_count - 1, view->hash);
        used += count > 0 ? (size_t)count : 0;
    }
    mkv_node_warn(node, MKV_ADMIN_WARNING_RING_MISMATCH, NULL,
                  "give all clients the same servers, by the same names and weights: compare "
                  "MEMKV_SERVERS and servers in the file of MEMKV_CONFIG",
                  "clients place keys by %" PRIu32
                  " different lists of servers, so what one stores others do not find: %s",
                  ring->view_count, clients);
}
