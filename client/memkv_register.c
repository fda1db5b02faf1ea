/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the caller registers. Transports that move bytes of any memory alike never look here.
 */
#include <stdlib.h>

#include "client/engine.h"

static bool overlaps(const struct mkv_buffer *buffer, const uint8_t *address, uint64_t byte_count) {
    const uintptr_t begin = (uintptr_t)address;
    const uintptr_t other = (uintptr_t)buffer->address;
    return begin < other + buffer->byte_count && other < begin + byte_count;
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
    LIST_INSERT_HEAD(&client->buffers, buffer, link);
    client->buffer_count++;
    *handle = buffer->handle;
    return mkv_client_succeed(error);
}

static void forget(struct memkv_client *client, struct mkv_buffer *buffer) {
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

void mkv_buffers_close(struct memkv_client *client) {
    struct mkv_buffer *buffer;
    while ((buffer = LIST_FIRST(&client->buffers)) != NULL) {
        forget(client, buffer);
    }
}
