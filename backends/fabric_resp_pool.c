/* SPDX-License-Identifier: Apache-2.0 */
/* What connections share: operations, entries, workspaces, and buffers for the replies of calls. */
#include "backends/fabric_resp_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

bool mkv_resp_pools_create(struct mkv_fabric_resp *fabric) {
    const struct mkv_fabric_resp_options *options = &fabric->options;
    /* A connection with a workspace owes at most twice pipeline_max answers; see
     * mkv_resp_emit. */
    const uint64_t ops_max = (uint64_t)options->transfers_max + options->entries +
                             (uint64_t)options->workspaces * (2ull * options->pipeline_max + 2);
    if (ops_max > UINT32_MAX) {
        return false;
    }
    fabric->ops_max = (uint32_t)ops_max;
    fabric->ops = calloc(fabric->ops_max, sizeof *fabric->ops);
    fabric->entries = calloc(options->entries, sizeof *fabric->entries);
    fabric->works_bytes = options->workspaces * sizeof *fabric->works;
    fabric->works = map(fabric->works_bytes);
    fabric->slots = calloc(options->calls, sizeof *fabric->slots);
    fabric->slot_bytes = (size_t)options->calls * MKV_FABRIC_RESP_REPLY_BYTES_MAX;
    fabric->slot_memory = map(fabric->slot_bytes);
    if (fabric->ops == NULL || fabric->entries == NULL || fabric->works == NULL ||
        fabric->slots == NULL || fabric->slot_memory == NULL) {
        return false;
    }
    for (uint32_t i = options->entries; i > 0; i--) {
        struct mkv_resp_entry *entry = &fabric->entries[i - 1];
        entry->index = i - 1;
        entry->next = fabric->free_entries;
        fabric->free_entries = entry;
    }
    /* The next one behind the last that was ever used is not touched before it is needed. */
    fabric->free_work_count = options->workspaces;
    for (uint32_t i = options->calls; i > 0; i--) {
        struct mkv_resp_slot *slot = &fabric->slots[i - 1];
        slot->bytes = fabric->slot_memory + (size_t)(i - 1) * MKV_FABRIC_RESP_REPLY_BYTES_MAX;
        slot->next_free = fabric->free_slots;
        fabric->free_slots = slot;
    }
    return true;
}

void mkv_resp_pools_destroy(struct mkv_fabric_resp *fabric) {
    if (fabric->slot_memory != NULL) {
        munmap(fabric->slot_memory, fabric->slot_bytes);
    }
    if (fabric->works != NULL) {
        munmap(fabric->works, fabric->works_bytes);
    }
    free(fabric->slots);
    free(fabric->entries);
    free(fabric->ops);
}

/* ---- operations ----------------------------------------------------------------------------- */

struct mkv_resp_op *mkv_resp_op_take(struct mkv_fabric_resp *fabric) {
    struct mkv_resp_op *op = fabric->free_ops;
    if (op != NULL) {
        fabric->free_ops = op->next;
    } else {
        /* Never-used operations are taken last, so that their pages stay untouched. */
        MKV_ASSERT(fabric->ops_used < fabric->ops_max);
        op = &fabric->ops[fabric->ops_used++];
    }
    *op = (struct mkv_resp_op){0};
    return op;
}

void mkv_resp_op_give(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op) {
    op->next = fabric->free_ops;
    fabric->free_ops = op;
}

void mkv_resp_list_append(struct mkv_resp_op_list *list, struct mkv_resp_op *op) {
    op->next = NULL;
    if (list->tail == NULL) {
        list->head = op;
    } else {
        list->tail->next = op;
    }
    list->tail = op;
}

struct mkv_resp_op *mkv_resp_list_pop(struct mkv_resp_op_list *list) {
    struct mkv_resp_op *op = list->head;
    if (op != NULL) {
        list->head = op->next;
        if (list->head == NULL) {
            list->tail = NULL;
        }
        op->next = NULL;
    }
    return op;
}

/* ---- entries -------------------------------------------------------------------------------- */

struct mkv_resp_entry *mkv_resp_entry_take(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_entry *entry = fabric->free_entries;
    if (entry == NULL) {
        return NULL;
    }
    fabric->free_entries = entry->next;
    *entry = (struct mkv_resp_entry){
        .connection = connection,
        .index = entry->index,
        .generation = entry->generation + 1,
        .command = connection->command,
        .began_ns = connection->command_ns,
    };
    if (connection->entries_tail == NULL) {
        connection->entries_head = entry;
    } else {
        connection->entries_tail->next = entry;
    }
    connection->entries_tail = entry;
    connection->entry_count++;
    return entry;
}

void mkv_resp_entry_give(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_entry *entry = connection->entries_head;
    MKV_ASSERT(entry != NULL);
    MKV_ASSERT(entry->pulls == NULL);
    MKV_ASSERT(entry->pushes == NULL);
    MKV_ASSERT(entry->answer == NULL);
    connection->entries_head = entry->next;
    if (connection->entries_head == NULL) {
        connection->entries_tail = NULL;
    }
    connection->entry_count--;
    if (entry->ahead) {
        fabric->ahead_count--;
    }
    struct mkv_resp_entry *first = connection->entries_head;
    if (first != NULL && first->ahead) {
        first->ahead = false; /* its turn has come */
        fabric->ahead_count--;
    }
    entry->connection = NULL;
    entry->ahead = false;
    entry->next = fabric->free_entries;
    fabric->free_entries = entry;
    mkv_resp_retry(fabric);
}

/* ---- workspaces and slots -------------------------------------------------------------------- */

bool mkv_resp_work_take(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (connection->work != NULL) {
        return true;
    }
    if (fabric->free_work_count == 0) {
        return false;
    }
    fabric->free_work_count--;
    struct mkv_resp_work *work = fabric->free_works;
    if (work != NULL) {
        fabric->free_works = work->next_free;
    } else {
        work = &fabric->works[fabric->works_used++];
    }
    connection->work = work;
    connection->start = 0;
    connection->at = 0;
    connection->end = 0;
    connection->output_used = 0;
    connection->iovec_head = 0;
    connection->iovec_tail = 0;
    connection->iovec_sending = 0;
    return true;
}

void mkv_resp_work_give(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_work *work = connection->work;
    MKV_ASSERT(work != NULL);
    MKV_ASSERT(!connection->send_in_flight);
    connection->work = NULL;
    work->next_free = fabric->free_works;
    fabric->free_works = work;
    fabric->free_work_count++;
    mkv_resp_retry(fabric);
}

void mkv_resp_work_give_unused(struct mkv_resp_connection *connection) {
    if (connection->work != NULL && connection->receiving != MKV_RESP_RECEIVING_INPUT &&
        connection->receiving != MKV_RESP_RECEIVING_DIRECT) {
        mkv_resp_work_give(connection);
    }
}

struct mkv_resp_slot *mkv_resp_slot_take(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_slot *slot = fabric->free_slots;
    MKV_ASSERT(connection->slot == NULL);
    if (slot == NULL) {
        return NULL;
    }
    fabric->free_slots = slot->next_free;
    slot->connection = connection;
    slot->is_done = false;
    slot->is_sent = false;
    slot->end = 0;
    connection->slot = slot;
    return slot;
}

void mkv_resp_slot_give(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    struct mkv_resp_slot *slot = connection->slot;
    MKV_ASSERT(slot != NULL);
    connection->slot = NULL;
    slot->connection = NULL;
    slot->next_free = fabric->free_slots;
    fabric->free_slots = slot;
    mkv_resp_retry(fabric);
}

/* ---- who waits for them ---------------------------------------------------------------------- */

void mkv_resp_await(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (connection->waiting) {
        return;
    }
    fabric->counters.receive_pauses_total++;
    connection->waiting = true;
    connection->waiting_next = NULL;
    if (fabric->waiting_tail == NULL) {
        fabric->waiting_head = connection;
    } else {
        fabric->waiting_tail->waiting_next = connection;
    }
    fabric->waiting_tail = connection;
}

void mkv_resp_await_leave(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (!connection->waiting) {
        return;
    }
    struct mkv_resp_connection *before = NULL;
    struct mkv_resp_connection *at = fabric->waiting_head;
    while (at != connection) {
        before = at;
        at = at->waiting_next;
        MKV_ASSERT(at != NULL);
    }
    if (before == NULL) {
        fabric->waiting_head = connection->waiting_next;
    } else {
        before->waiting_next = connection->waiting_next;
    }
    if (fabric->waiting_tail == connection) {
        fabric->waiting_tail = before;
    }
    connection->waiting = false;
    connection->waiting_next = NULL;
}

void mkv_resp_retry(struct mkv_fabric_resp *fabric) {
    /* All of them, in their order: some wait for something else, and queue again. */
    struct mkv_resp_connection *connection = fabric->waiting_head;
    fabric->waiting_head = NULL;
    fabric->waiting_tail = NULL;
    while (connection != NULL) {
        struct mkv_resp_connection *next = connection->waiting_next;
        connection->waiting = false;
        connection->waiting_next = NULL;
        mkv_resp_connection_touch(connection);
        connection = next;
    }
}
