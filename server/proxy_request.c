/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fabric hands in: requests become operations, and completions of transfers move them on.
 */
#include <string.h>

#include "backends/clock.h"
#include "core/slab.h"
#include "server/proxy_internal.h"

/* Who waits is looked at so often, for deadlines. */
#define SWEEP_NS (100ull * 1000000u)

static struct mkv_proxy_op_list *list_of(const struct mkv_proxy *proxy,
                                         struct mkv_connection_id connection) {
    MKV_ASSERT(connection.index < proxy->options.connections_max);
    return &proxy->connections[connection.index];
}

static struct mkv_op_id id_of(const struct mkv_proxy *proxy, const struct mkv_proxy_op *op) {
    return (struct mkv_op_id){(uint32_t)(op - proxy->ops), op->generation};
}

static void set_ready(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    op->state = MKV_PROXY_OP_READY;
    TAILQ_INSERT_TAIL(&proxy->ready, op, link);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* NULL: all are in use. */
static struct mkv_proxy_op *op_take(struct mkv_proxy *proxy, const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    const struct mkv_request_item *item = &request->items[0];
    struct mkv_proxy_op *op = TAILQ_FIRST(&proxy->free_ops);
    MKV_ASSERT(request->item_count == 1);
    MKV_ASSERT(item->key_bytes >= 1);
    MKV_ASSERT(item->key_bytes <= MKV_KEY_BYTES_MAX);
    if (op == NULL) {
        return NULL;
    }
    TAILQ_REMOVE(&proxy->free_ops, op, link);
    const uint32_t generation = op->generation + 1;
    /* The key's room is left as it is: most of it is not used. */
    memset(op, 0, offsetof(struct mkv_proxy_op, key));
    op->generation = generation;
    op->connection = request->connection;
    op->request_id = request->request_id;
    op->op = request->op;
    op->flags = item->flags;
    op->expire_s = item->expire_s;
    op->length = item->length;
    op->offset = item->offset;
    op->deadline_ns = request->deadline_ns;
    op->key_bytes = item->key_bytes;
    memcpy(op->key, input->data + item->key_offset, item->key_bytes);
    TAILQ_INSERT_TAIL(list_of(proxy, op->connection), op, of_connection);
    op->is_listed = true;
    proxy->counters.under_way++;
    return op;
}

static void unlist(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    if (op->is_listed) {
        TAILQ_REMOVE(list_of(proxy, op->connection), op, of_connection);
        op->is_listed = false;
        proxy->memory_changed = true; /* another one is the first now */
    }
}

void mkv_proxy_op_free(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    MKV_ASSERT(op->state != MKV_PROXY_OP_FREE);
    MKV_ASSERT(op->posted == 0);
    mkv_proxy_memory_release(proxy, op);
    op->state = MKV_PROXY_OP_FREE;
    TAILQ_INSERT_HEAD(&proxy->free_ops, op, link);
    proxy->counters.under_way--;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void mkv_proxy_memory_release(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    if (op->run.unit_count > 0) {
        mkv_proxy_memory_give(proxy->memory, &op->run);
        proxy->memory_changed = true;
    }
}

static void post_pull(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    const uint64_t pull_bytes = (uint64_t)MKV_PROXY_PULL_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES;
    const uint64_t index = op->pulled_bytes / MKV_SLAB_UNIT_STRIDE_BYTES;
    const struct mkv_effect effect = {
        .kind = MKV_EFFECT_PULL,
        .op = id_of(proxy, op),
        .transfer =
            {
                .connection = op->connection,
                .request_id = op->request_id,
                .offset = op->pulled_bytes,
                .bytes = (uint32_t)mkv_min_u64(op->length - op->pulled_bytes, pull_bytes),
                .slab = {op->run.unit + (uint32_t)index},
                .length = op->length,
            },
    };
    MKV_ASSERT(op->pulled_bytes % pull_bytes == 0);
    op->state = MKV_PROXY_OP_PULLING;
    proxy->fabric->ops->submit(proxy->fabric, &effect, (const uint8_t *)proxy->ops);
}

/* I2 of proxy.h */
static bool may_have(const struct mkv_proxy *proxy, const struct mkv_proxy_op *op,
                     uint32_t unit_count) {
    const uint32_t half = mkv_proxy_memory_unit_count(proxy->memory) / 2;
    return TAILQ_FIRST(list_of(proxy, op->connection)) == op ||
           mkv_proxy_memory_used(proxy->memory) + unit_count <= half;
}

static bool try_memory(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    const uint32_t unit_count = mkv_proxy_memory_units(op->room_bytes);
    if (!may_have(proxy, op, unit_count) ||
        !mkv_proxy_memory_take(proxy->memory, unit_count, &op->run)) {
        return false;
    }
    if (op->op == MKV_OP_PUT) {
        post_pull(proxy, op);
    } else {
        set_ready(proxy, op);
    }
    return true;
}

void mkv_proxy_want_memory(struct mkv_proxy *proxy, struct mkv_proxy_op *op, uint64_t room_bytes,
                           bool again) {
    MKV_ASSERT(op->run.unit_count == 0);
    MKV_ASSERT(room_bytes <= proxy->value_bytes_max);
    op->room_bytes = room_bytes;
    if (TAILQ_EMPTY(&proxy->waiting) && try_memory(proxy, op)) {
        return;
    }
    op->state = MKV_PROXY_OP_WAITING;
    if (!op->counted_wait) {
        op->counted_wait = true;
        proxy->counters.memory_waits++;
    }
    if (again) {
        TAILQ_INSERT_HEAD(&proxy->waiting, op, link);
    } else {
        TAILQ_INSERT_TAIL(&proxy->waiting, op, link);
    }
    proxy->memory_changed = true;
}

/* One whose turn to reply has come, and that finds no run, keeps what is freed from those behind
 * it; one whose turn has not come lets them pass. */
static void give_memory(struct mkv_proxy *proxy) {
    struct mkv_proxy_op *next;
    bool is_kept = false;
    for (struct mkv_proxy_op *op = TAILQ_FIRST(&proxy->waiting); op != NULL && !is_kept;
         op = next) {
        next = TAILQ_NEXT(op, link);
        TAILQ_REMOVE(&proxy->waiting, op, link);
        if (try_memory(proxy, op)) {
            continue;
        }
        if (next != NULL) {
            TAILQ_INSERT_BEFORE(next, op, link);
        } else {
            TAILQ_INSERT_TAIL(&proxy->waiting, op, link);
        }
        is_kept = TAILQ_FIRST(list_of(proxy, op->connection)) == op;
    }
}

static void sweep(struct mkv_proxy *proxy, uint64_t now_ns) {
    struct mkv_proxy_op *next;
    for (struct mkv_proxy_op *op = TAILQ_FIRST(&proxy->waiting); op != NULL; op = next) {
        next = TAILQ_NEXT(op, link);
        if (now_ns >= op->deadline_ns) {
            TAILQ_REMOVE(&proxy->waiting, op, link);
            mkv_proxy_fail(proxy, op, MKV_STATUS_BUSY);
        }
    }
}

void mkv_proxy_serve_waiting(struct mkv_proxy *proxy, uint64_t now_ns) {
    if (TAILQ_EMPTY(&proxy->waiting)) {
        return;
    }
    if (proxy->memory_changed) {
        proxy->memory_changed = false;
        give_memory(proxy);
    }
    if (now_ns >= proxy->sweep_ns) {
        proxy->sweep_ns = now_ns + SWEEP_NS;
        sweep(proxy, now_ns);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

void mkv_proxy_reply(struct mkv_proxy *proxy, struct mkv_proxy_op *op, uint64_t push_bytes) {
    MKV_ASSERT(!op->is_orphan);
    MKV_ASSERT(op->posted == 0);
    op->state = MKV_PROXY_OP_REPLYING;
    if (push_bytes > 0) {
        MKV_ASSERT(push_bytes <= op->room_bytes);
        const struct mkv_effect push = {
            .kind = MKV_EFFECT_PUSH,
            .op = id_of(proxy, op),
            .transfer =
                {
                    .connection = op->connection,
                    .request_id = op->request_id,
                    .offset = op->offset,
                    .bytes = (uint32_t)push_bytes,
                    .slab = {op->run.unit},
                    .length = op->result.length,
                },
        };
        op->posted++;
        proxy->fabric->ops->submit(proxy->fabric, &push, (const uint8_t *)proxy->ops);
    } else {
        mkv_proxy_memory_release(proxy, op);
        unlist(proxy, op);
    }
    const struct mkv_effect answer = {
        .kind = MKV_EFFECT_ANSWER,
        .op = id_of(proxy, op),
        .answer =
            {
                .connection = op->connection,
                .request_id = op->request_id,
                .op = op->op,
                .status = MKV_STATUS_OK,
                .result_count = 1,
                .results_offset = (uint64_t)((uint8_t *)&op->result - (uint8_t *)proxy->ops),
            },
    };
    op->posted++;
    proxy->fabric->ops->submit(proxy->fabric, &answer, (const uint8_t *)proxy->ops);
}

void mkv_proxy_fail(struct mkv_proxy *proxy, struct mkv_proxy_op *op, enum mkv_status status) {
    op->result = (struct mkv_item_result){.status = status};
    proxy->counters.failures[op->op]++;
    mkv_proxy_reply(proxy, op, 0);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The operation that nobody has: the completion of its ANSWER is passed over. */
static void refuse(struct mkv_proxy *proxy, const struct mkv_request *request) {
    const struct mkv_effect answer = {
        .kind = MKV_EFFECT_ANSWER,
        .op = {MKV_NONE_U32, 0},
        .answer =
            {
                .connection = request->connection,
                .request_id = request->request_id,
                .op = request->op,
                .status = MKV_STATUS_BUSY,
            },
    };
    proxy->counters.failures[request->op]++;
    proxy->fabric->ops->submit(proxy->fabric, &answer, (const uint8_t *)proxy->ops);
}

/* What a GET asks for first: all of the value where it is as long as others were. */
static void begin_get(struct mkv_proxy *proxy, struct mkv_proxy_op *op) {
    op->is_expected = op->length == 0 || op->length > proxy->expected_bytes;
    mkv_proxy_want_memory(proxy, op, op->is_expected ? proxy->expected_bytes : op->length, false);
}

static void request(struct mkv_proxy *proxy, const struct mkv_input *input) {
    /* The fabric's is_proxy. */
    MKV_ASSERT(input->request.op == MKV_OP_PUT || input->request.op == MKV_OP_GET ||
               input->request.op == MKV_OP_EXISTS || input->request.op == MKV_OP_DELETE);
    proxy->counters.requests[input->request.op]++;
    struct mkv_proxy_op *op = op_take(proxy, input);
    if (op == NULL) {
        refuse(proxy, &input->request);
    } else if (op->op == MKV_OP_GET) {
        begin_get(proxy, op);
    } else if (op->op == MKV_OP_PUT && op->length > proxy->value_bytes_max) {
        mkv_proxy_fail(proxy, op, MKV_STATUS_NO_SPACE);
    } else if (op->op == MKV_OP_PUT && op->length > 0) {
        mkv_proxy_want_memory(proxy, op, op->length, false);
    } else {
        set_ready(proxy, op);
    }
}

/* ---- completions ----------------------------------------------------------------------------- */

static void pull_done(struct mkv_proxy *proxy, struct mkv_proxy_op *op,
                      enum mkv_transfer transfer) {
    MKV_ASSERT(op->state == MKV_PROXY_OP_PULLING);
    if (transfer != MKV_TRANSFER_OK) {
        /* Its connection is gone, or the command was wrong behind its value. */
        mkv_proxy_fail(proxy, op, MKV_STATUS_UNAVAILABLE);
        return;
    }
    const uint64_t pull_bytes = (uint64_t)MKV_PROXY_PULL_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES;
    op->pulled_bytes = mkv_min_u64(op->pulled_bytes + pull_bytes, op->length);
    if (op->pulled_bytes < op->length) {
        post_pull(proxy, op);
    } else {
        set_ready(proxy, op);
    }
}

/* Whatever was under way for a connection is given up; what libmemkv has stays until it is done. */
static void connection_closed(struct mkv_proxy *proxy, struct mkv_connection_id connection) {
    struct mkv_proxy_op_list *list = list_of(proxy, connection);
    struct mkv_proxy_op *op;
    while ((op = TAILQ_FIRST(list)) != NULL) {
        MKV_ASSERT(op->connection.generation == connection.generation);
        unlist(proxy, op);
        switch (op->state) {
        case MKV_PROXY_OP_WAITING:
            TAILQ_REMOVE(&proxy->waiting, op, link);
            mkv_proxy_op_free(proxy, op);
            break;
        case MKV_PROXY_OP_READY:
            TAILQ_REMOVE(&proxy->ready, op, link);
            mkv_proxy_op_free(proxy, op);
            break;
        case MKV_PROXY_OP_SUBMITTED:
            op->is_orphan = true;
            break;
        case MKV_PROXY_OP_REPLYING: /* its completions are on their way */
            break;
        case MKV_PROXY_OP_FREE:
        case MKV_PROXY_OP_PULLING:
            MKV_ASSERT(op->state == MKV_PROXY_OP_SUBMITTED);
        }
    }
    proxy->memory_changed = true;
}

static void fabric_done(struct mkv_proxy *proxy, const struct mkv_fabric_done *done) {
    if (done->event == MKV_FABRIC_CONNECTION_CLOSED) {
        connection_closed(proxy, done->connection);
        return;
    }
    if (done->op.index == MKV_NONE_U32) {
        return;
    }
    MKV_ASSERT(done->op.index < MKV_PROXY_OPS);
    struct mkv_proxy_op *op = &proxy->ops[done->op.index];
    MKV_ASSERT(op->generation == done->op.generation);
    if (done->event == MKV_FABRIC_PULL_DONE) {
        pull_done(proxy, op, done->transfer);
        return;
    }
    MKV_ASSERT(op->state == MKV_PROXY_OP_REPLYING);
    MKV_ASSERT(op->posted > 0);
    op->posted--;
    if (done->event == MKV_FABRIC_PUSH_DONE) {
        mkv_proxy_memory_release(proxy, op);
        unlist(proxy, op);
    }
    if (op->posted == 0) {
        mkv_proxy_op_free(proxy, op);
    }
}

void mkv_proxy_input(void *context, struct mkv_input *input) {
    struct mkv_proxy *proxy = context;
    input->now_ns = mkv_clock_monotonic_ns();
    if (input->kind == MKV_INPUT_REQUEST) {
        request(proxy, input);
        return;
    }
    MKV_ASSERT(input->kind == MKV_INPUT_FABRIC_DONE);
    fabric_done(proxy, &input->fabric);
}
