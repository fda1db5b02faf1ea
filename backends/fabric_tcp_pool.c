/* SPDX-License-Identifier: Apache-2.0 */
/* Operations, their lists, and the buffers that connections share. */
#include "backends/fabric_tcp_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

struct mkv_tcp_op *mkv_tcp_op_take(struct mkv_fabric_tcp *fabric) {
    struct mkv_tcp_op *op = fabric->free_ops;
    if (op != NULL) {
        fabric->free_ops = op->next;
    } else {
        /* Never-used operations are taken last, so that their pages stay untouched. */
        MKV_ASSERT(fabric->ops_used < fabric->ops_max);
        op = &fabric->ops[fabric->ops_used++];
    }
    *op = (struct mkv_tcp_op){0};
    return op;
}

void mkv_tcp_op_give(struct mkv_fabric_tcp *fabric, struct mkv_tcp_op *op) {
    op->next = fabric->free_ops;
    fabric->free_ops = op;
}

void mkv_tcp_list_append(struct mkv_tcp_op_list *list, struct mkv_tcp_op *op) {
    op->next = NULL;
    if (list->tail == NULL) {
        list->head = op;
    } else {
        list->tail->next = op;
    }
    list->tail = op;
}

struct mkv_tcp_op *mkv_tcp_list_pop(struct mkv_tcp_op_list *list) {
    struct mkv_tcp_op *op = list->head;
    if (op == NULL) {
        return NULL;
    }
    list->head = op->next;
    if (list->head == NULL) {
        list->tail = NULL;
    }
    op->next = NULL;
    return op;
}

bool mkv_tcp_pool_create(struct mkv_tcp_buffer_pool *pool, uint32_t count, uint32_t buffer_bytes) {
    MKV_ASSERT(count >= 1);
    *pool = (struct mkv_tcp_buffer_pool){.count = count};
    pool->buffers = calloc(count, sizeof *pool->buffers);
    if (pool->buffers == NULL) {
        return false;
    }
    pool->memory_bytes = (size_t)count * buffer_bytes;
    void *memory = mmap(NULL, pool->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        free(pool->buffers);
        pool->buffers = NULL;
        return false;
    }
    pool->memory = memory;
    for (uint32_t i = count; i > 0; i--) {
        struct mkv_tcp_buffer *buffer = &pool->buffers[i - 1];
        buffer->bytes = pool->memory + (size_t)(i - 1) * buffer_bytes;
        buffer->next_free = pool->free;
        pool->free = buffer;
    }
    return true;
}

void mkv_tcp_pool_destroy(struct mkv_tcp_buffer_pool *pool) {
    if (pool->memory != NULL) {
        munmap(pool->memory, pool->memory_bytes);
    }
    free(pool->buffers);
    *pool = (struct mkv_tcp_buffer_pool){0};
}

struct mkv_tcp_buffer *mkv_tcp_pool_take(struct mkv_tcp_buffer_pool *pool) {
    struct mkv_tcp_buffer *buffer = pool->free;
    if (buffer != NULL) {
        pool->free = buffer->next_free;
        buffer->next_free = NULL;
    }
    return buffer;
}

void mkv_tcp_pool_give(struct mkv_fabric_tcp *fabric, struct mkv_tcp_buffer_pool *pool,
                       struct mkv_tcp_buffer *buffer) {
    MKV_ASSERT(buffer >= pool->buffers);
    MKV_ASSERT(buffer < pool->buffers + pool->count);
    buffer->next_free = pool->free;
    pool->free = buffer;
    mkv_tcp_pool_retry(fabric);
}

void mkv_tcp_pool_retry(struct mkv_fabric_tcp *fabric) {
    /* All of them, in their order: some may wait for the other pool, and queue again. */
    struct mkv_tcp_connection *connection = fabric->waiting_head;
    fabric->waiting_head = NULL;
    fabric->waiting_tail = NULL;
    while (connection != NULL) {
        struct mkv_tcp_connection *next = connection->waiting_next;
        connection->waiting = false;
        connection->waiting_next = NULL;
        mkv_tcp_connection_touch(connection);
        connection = next;
    }
}
