/* SPDX-License-Identifier: Apache-2.0 */
/* The listener of clients on this machine. */
#include "server/node_internal.h"

#include "backends/fabric_shm.h"

/* Bodies above 64 KiB, and inline payloads, that clients may send at the same moment. */
#define BODY_BUFFERS 4u
#define INLINE_BUFFERS 32u

uint32_t mkv_node_shm_connections(const struct mkv_node *node) {
    return node->config.network.shm_path[0] == '\0' ? 0 : MKV_FABRIC_SHM_CONNECTIONS_MAX;
}

bool mkv_node_shm_begin(struct mkv_node *node, struct mkv_backend_error *error) {
    node->shm_fd = -1;
    return mkv_node_shm_connections(node) == 0 ||
           mkv_fabric_shm_listen(node->config.network.shm_path, "network.shm_path", &node->shm_fd,
                                 error);
}

void mkv_node_shm_end(struct mkv_node *node) {
    if (node->shm_fd >= 0) {
        mkv_fabric_shm_unlisten(node->config.network.shm_path, node->shm_fd);
        node->shm_fd = -1;
    }
}

void mkv_node_shm_options(const struct mkv_node *node, const struct mkv_fabric_tcp_options *tcp,
                          struct mkv_fabric_tcp_options *shm) {
    *shm = *tcp;
    shm->host = NULL;
    shm->tls = NULL; /* nobody listens between two processes of one machine */
    shm->is_local = true;
    shm->local_fd = node->shm_fd;
    shm->window_bytes_max = node->config.network.shm_window_bytes;
    shm->connections_max = mkv_node_shm_connections(node);
    shm->body_buffers = BODY_BUFFERS;
    shm->inline_buffers = INLINE_BUFFERS;
}
