/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effects of the front become operations of entries, and operations become FABRIC_DONE inputs.
 */
#include "backends/fabric_resp_internal.h"

/* The entry that an effect names, or NULL when its connection is closed. An entry that is free is
 * named by no effect but those of a connection that is gone. */
static struct mkv_resp_entry *entry_find(struct mkv_fabric_resp *fabric,
                                         struct mkv_connection_id id, uint64_t request_id) {
    const uint32_t place = id.index - fabric->options.connection_base;
    const uint32_t index = (uint32_t)request_id;
    MKV_ASSERT(place < fabric->options.connections_max);
    MKV_ASSERT(index < fabric->options.entries);
    struct mkv_resp_connection *connection = &fabric->connections[place];
    struct mkv_resp_entry *entry = &fabric->entries[index];
    if (connection->state == MKV_RESP_FREE || connection->id.generation != id.generation) {
        return NULL;
    }
    return entry->connection == connection && entry->generation == (uint32_t)(request_id >> 32)
               ? entry
               : NULL;
}

/* Among those of its entry, in the order of offsets. */
static void insert(struct mkv_resp_op **list, struct mkv_resp_op *op) {
    while (*list != NULL && (*list)->transfer.offset <= op->transfer.offset) {
        list = &(*list)->next;
    }
    op->next = *list;
    *list = op;
}

static void submit_transfer(struct mkv_fabric_resp *fabric, const struct mkv_effect *effect) {
    struct mkv_resp_op *op = mkv_resp_op_take(fabric);
    op->kind = effect->kind == MKV_EFFECT_PULL ? MKV_RESP_OP_PULL : MKV_RESP_OP_PUSH;
    op->id = effect->op;
    op->transfer = effect->transfer;
    struct mkv_resp_entry *entry =
        entry_find(fabric, effect->transfer.connection, effect->transfer.request_id);
    if (entry == NULL) {
        mkv_resp_op_complete_later(fabric, op, MKV_TRANSFER_FAILED);
        return;
    }
    const bool is_dropped = op->kind == MKV_RESP_OP_PUSH && entry->reply != MKV_RESP_REPLY_VALUE;
    if (op->transfer.bytes == 0 || is_dropped) {
        mkv_resp_op_complete_later(fabric, op, MKV_TRANSFER_OK);
        return;
    }
    insert(op->kind == MKV_RESP_OP_PULL ? &entry->pulls : &entry->pushes, op);
    mkv_resp_connection_touch(entry->connection);
}

void mkv_fabric_resp_submit(struct mkv_fabric_resp *fabric, const struct mkv_effect *effect,
                            const uint8_t *front_arena) {
    if (effect->kind == MKV_EFFECT_PULL || effect->kind == MKV_EFFECT_PUSH) {
        submit_transfer(fabric, effect);
        return;
    }
    if (effect->kind == MKV_EFFECT_BREAK) {
        (void)mkv_fabric_resp_kill(fabric, effect->transfer.connection);
        return;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_ANSWER);
    struct mkv_resp_op *op = mkv_resp_op_take(fabric);
    op->kind = MKV_RESP_OP_ANSWER;
    op->id = effect->op;
    op->answer.connection = NULL;
    op->answer.status = effect->answer.status;
    op->answer.result_count = effect->answer.result_count;
    op->answer.results =
        (const struct mkv_item_result *)(const void *)(front_arena + effect->answer.results_offset);
    struct mkv_resp_entry *entry =
        entry_find(fabric, effect->answer.connection, effect->answer.request_id);
    if (entry == NULL) {
        mkv_resp_op_complete_later(fabric, op, MKV_TRANSFER_FAILED);
        return;
    }
    MKV_ASSERT(entry->answer == NULL);
    MKV_ASSERT(entry->pulls == NULL);
    entry->answer = op;
    entry->answered = true;
    struct mkv_resp_connection *connection = entry->connection;
    op->answer.connection = connection;
    mkv_fabric_auth_request_end(fabric->options.auth, &connection->session, entry->value_bytes);
    mkv_resp_connection_touch(connection);
}

/* ---- completions ---------------------------------------------------------------------------- */

static enum mkv_fabric_event event_of(enum mkv_resp_op_kind kind) {
    switch (kind) {
    case MKV_RESP_OP_PULL:
        return MKV_FABRIC_PULL_DONE;
    case MKV_RESP_OP_PUSH:
        return MKV_FABRIC_PUSH_DONE;
    case MKV_RESP_OP_ANSWER:
        break;
    }
    MKV_ASSERT(kind == MKV_RESP_OP_ANSWER);
    return MKV_FABRIC_ANSWER_DONE;
}

/* The front is about to hear that the answer is out: it has a request less. */
static void request_ended(struct mkv_fabric_resp *fabric, const struct mkv_resp_op *op) {
    struct mkv_resp_connection *connection = op->answer.connection;
    if (connection == NULL) {
        return;
    }
    MKV_ASSERT(connection->requests > 0);
    MKV_ASSERT(fabric->requests > 0);
    connection->requests--;
    fabric->requests--;
    mkv_resp_connection_touch(connection); /* a command may have waited for that */
    mkv_resp_retry(fabric);
}

void mkv_resp_op_complete(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op,
                          enum mkv_transfer transfer, const uint64_t *sums, uint32_t sum_count) {
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric = (struct mkv_fabric_done){
        .event = event_of(op->kind),
        .transfer = transfer,
        .op = op->id,
        .sums = sum_count > 0 ? sums : NULL,
        .sum_count = sum_count,
    };
    if (transfer == MKV_TRANSFER_OK && op->kind == MKV_RESP_OP_PULL) {
        fabric->counters.received_bytes_total += op->transfer.bytes;
    } else if (transfer == MKV_TRANSFER_OK && op->kind == MKV_RESP_OP_PUSH) {
        fabric->counters.sent_bytes_total += op->transfer.bytes;
    }
    if (op->kind == MKV_RESP_OP_ANSWER) {
        request_ended(fabric, op);
    }
    mkv_resp_op_give(fabric, op);
    fabric->base.sink.input(fabric->base.sink.context, &input);
}

void mkv_resp_op_complete_later(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op,
                                enum mkv_transfer transfer) {
    op->result = transfer;
    mkv_resp_list_append(&fabric->completed, op);
}

void mkv_resp_ops_deliver(struct mkv_fabric_resp *fabric) {
    struct mkv_resp_op_list completed = fabric->completed;
    fabric->completed = (struct mkv_resp_op_list){0};
    struct mkv_resp_op *op;
    while ((op = mkv_resp_list_pop(&completed)) != NULL) {
        mkv_resp_op_complete(fabric, op, op->result, NULL, 0);
    }
}

static void fail_all(struct mkv_fabric_resp *fabric, struct mkv_resp_op *op) {
    while (op != NULL) {
        struct mkv_resp_op *next = op->next;
        mkv_resp_op_complete(fabric, op, MKV_TRANSFER_FAILED, NULL, 0);
        op = next;
    }
}

/* Fails what the entries have; true when one had something. */
static bool fail_entries(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    bool any = false;
    for (struct mkv_resp_entry *entry = connection->entries_head; entry != NULL;
         entry = entry->next) {
        struct mkv_resp_op *pulls = entry->pulls;
        struct mkv_resp_op *pushes = entry->pushes;
        struct mkv_resp_op *answer = entry->answer;
        any = any || pulls != NULL || pushes != NULL || answer != NULL;
        entry->pulls = NULL;
        entry->pushes = NULL;
        entry->answer = NULL;
        fail_all(fabric, pulls);
        fail_all(fabric, pushes);
        fail_all(fabric, answer);
    }
    return any;
}

void mkv_resp_ops_fail(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    MKV_ASSERT(connection->state == MKV_RESP_BROKEN);
    struct mkv_resp_op *sent = connection->sent_ops.head;
    connection->sent_ops = (struct mkv_resp_op_list){0};
    connection->answers_owed = 0;
    fail_all(fabric, sent);
    /* The front may answer a failed transfer with further effects: they fail in the next turn. */
    for (uint32_t turn = 0;; turn++) {
        MKV_ASSERT(turn <= fabric->ops_max);
        mkv_resp_ops_deliver(fabric);
        if (!fail_entries(connection) && fabric->completed.head == NULL) {
            break;
        }
    }
    /* What the front has not answered, it drops with the connection. */
    while (connection->entries_head != NULL) {
        struct mkv_resp_entry *entry = connection->entries_head;
        if (!entry->answered) {
            mkv_fabric_auth_request_end(fabric->options.auth, &connection->session,
                                        entry->value_bytes);
        }
        mkv_resp_entry_give(connection);
    }
    MKV_ASSERT(fabric->requests >= connection->requests);
    fabric->requests -= connection->requests;
    connection->requests = 0;
    mkv_resp_retry(fabric);
}
