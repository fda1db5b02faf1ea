/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers that are shared with a server, where there is one on the same machine.
 */
#include <malloc.h>
#include <stdlib.h>

#include "client/engine.h"

void *memkv_buffer_alloc(struct memkv_client *client, size_t byte_count) {
    if (byte_count == 0) {
        return NULL;
    }
    void *buffer =
        client->window != NULL ? mkv_window_buffer_take(client->window, byte_count) : NULL;
    return buffer != NULL ? buffer : malloc(byte_count);
}

void memkv_buffer_free(struct memkv_client *client, void *buffer) {
    if (client->window != NULL && mkv_window_buffer_give(client->window, buffer)) {
        return;
    }
    if (client->rdma != NULL && buffer != NULL) {
        mkv_rdma_forget(client->rdma, buffer, malloc_usable_size(buffer));
    }
    free(buffer);
}
