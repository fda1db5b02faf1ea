/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the caller registers: with RDMA at each port that is open, and at others when a call
 * first names it. Transports that move bytes of any memory alike never look here.
 */
#include <stdlib.h>

#include "client/engine.h"

static bool overlaps(const struct mkv_buffer *buffer, const uint8_t *address, uint64_t byte_count) {
    const uintptr_t begin = (uintptr_t)address;
    const uintptr_t other = (uintptr_t)buffer->address;
    return begin < other + buffer->byte_count && other < begin + byte_count;
}

static void forget_regions(struct mkv_buffer *buffer) {
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        mkv_buffer_release(buffer, place);
    }
}

/* Registers it at the ports that are open. Where one refuses, its bytes go through bounce buffers
 * there, unless there is to be nothing but RDMA: then it is an error, and false. */
static bool prepare(struct mkv_rdma *rdma, struct mkv_buffer *buffer, struct memkv_error *error) {
    /* What was registered for a call names the same memory in vain. */
    mkv_rdma_forget(rdma, buffer->address, buffer->byte_count);
    for (uint32_t place = 0; place < MKV_RDMA_PORTS_MAX; place++) {
        char problem[MKV_VERBS_PROBLEM_BYTES];
        if (rdma->ports[place].verbs != NULL &&
            !mkv_buffer_prepare(buffer, &rdma->ports[place], problem) && rdma->is_required) {
            mkv_client_fail(error, MEMKV_NO_MEMORY, "%llu bytes cannot be registered for RDMA: %s",
                            (unsigned long long)buffer->byte_count, problem);
            return false;
        }
    }
    return true;
}

enum memkv_status memkv_buffer_register(struct memkv_client *client, void *address,
                                        uint64_t byte_count, uint64_t *handle,
                                        struct memkv_error *error) {
    *handle = 0;
    if (address == NULL || byte_count == 0 || byte_count > UINTPTR_MAX - (uintptr_t)address) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "a buffer has an address and at least one byte, and ends within the "
                               "address space");
    }
    if (client->buffer_count == MKV_CLIENT_BUFFERS_MAX) {
        return mkv_client_fail(error, MEMKV_BUSY, "%u buffers are registered; register larger ones",
                               client->buffer_count);
    }
    struct mkv_buffer *buffer;
    LIST_FOREACH(buffer, &client->buffers, link) {
        if (overlaps(buffer, address, byte_count)) {
            return mkv_client_fail(error, MEMKV_INVALID,
                                   "the memory overlaps with buffer %llu, which is registered",
                                   (unsigned long long)buffer->handle);
        }
    }
    buffer = malloc(sizeof *buffer);
    if (buffer == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory to register a buffer");
    }
    *buffer = (struct mkv_buffer){
        .handle = ++client->buffer_handle_last, .address = address, .byte_count = byte_count};
    if (client->rdma != NULL && !prepare(client->rdma, buffer, error)) {
        forget_regions(buffer);
        free(buffer);
        return MEMKV_NO_MEMORY;
    }
    LIST_INSERT_HEAD(&client->buffers, buffer, link);
    client->buffer_count++;
    *handle = buffer->handle;
    return mkv_client_succeed(error);
}

void mkv_buffers_moved(struct memkv_client *client, const void *address, uint64_t byte_count) {
    struct mkv_buffer *buffer;
    if (client->rdma == NULL) {
        return;
    }
    mkv_rdma_forget(client->rdma, address, byte_count);
    LIST_FOREACH(buffer, &client->buffers, link) {
        if (overlaps(buffer, address, byte_count)) {
            forget_regions(buffer);
        }
    }
}

static void forget(struct memkv_client *client, struct mkv_buffer *buffer) {
    if (client->rdma != NULL) {
        forget_regions(buffer);
        mkv_rdma_forget(client->rdma, buffer->address, buffer->byte_count);
    }
    LIST_REMOVE(buffer, link);
    client->buffer_count--;
    free(buffer);
}

enum memkv_status memkv_buffer_unregister(struct memkv_client *client, uint64_t handle,
                                          struct memkv_error *error) {
    struct mkv_buffer *buffer;
    LIST_FOREACH(buffer, &client->buffers, link) {
        if (buffer->handle == handle) {
            forget(client, buffer);
            return mkv_client_succeed(error);
        }
    }
    return mkv_client_fail(error, MEMKV_NOT_FOUND, "no buffer %llu is registered",
                           (unsigned long long)handle);
}

enum memkv_status memkv_buffer_forget(struct memkv_client *client, const void *address,
                                      uint64_t byte_count, struct memkv_error *error) {
    if (address == NULL || byte_count == 0 || byte_count > UINTPTR_MAX - (uintptr_t)address) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "memory has an address and at least one byte, and ends within the "
                               "address space");
    }
    if (client->rdma != NULL) {
        mkv_rdma_forget(client->rdma, address, byte_count);
    }
    return mkv_client_succeed(error);
}

void mkv_buffers_close(struct memkv_client *client) {
    struct mkv_buffer *buffer;
    while ((buffer = LIST_FIRST(&client->buffers)) != NULL) {
        forget(client, buffer);
    }
}
