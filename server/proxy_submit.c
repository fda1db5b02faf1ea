/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations to submissions of libmemkv, and what those come to, to replies.
 *
 *   GET    OK           PUSH of what came, ANSWER
 *          TOO_SMALL    the value is longer than its memory: more of that, and asked again
 *          NOT_FOUND, UNAVAILABLE, DEADLINE, CORRUPT: a miss
 *   EXISTS OK, or a miss likewise
 *   others as it is
 */
#include <stdlib.h>
#include <string.h>

#include "server/proxy_internal.h"

#define NS_PER_MS 1000000u
/* What a server has for a long value beside its timeout: this many bytes take a millisecond. */
#define BYTES_PER_MS (8u * 1024u)
/* After so many GETs what is expected of a value is what the longest of them was. */
#define EXPECTED_ROUNDS 256u

/* ---- to libmemkv ----------------------------------------------------------------------------- */

static enum memkv_op op_of(enum mkv_op op) {
    switch (op) {
    case MKV_OP_PUT:
        return MEMKV_OP_PUT;
    case MKV_OP_GET:
        return MEMKV_OP_GET;
    case MKV_OP_EXISTS:
        return MEMKV_OP_EXISTS;
    case MKV_OP_DELETE:
        return MEMKV_OP_DELETE;
    case MKV_OP_LOOKUP:
    case MKV_OP_PIN:
    case MKV_OP_UNPIN:
    case MKV_OP_SESSION:
    case MKV_OP_ALLOCATE:
    case MKV_OP_COMMIT:
    case MKV_OP_EXPIRE:
        break;
    }
    MKV_ASSERT(op == MKV_OP_PUT);
    return MEMKV_OP_PUT;
}

static void fill_item(const struct mkv_proxy *proxy, const struct mkv_proxy_op *op,
                      struct memkv_item *item) {
    *item = (struct memkv_item){.op = op_of(op->op), .key = op->key, .key_bytes = op->key_bytes};
    if (op->op == MKV_OP_PUT) {
        item->flags = ((op->flags & MKV_PUT_REPLACE) != 0 ? MEMKV_REPLACE : 0u) |
                      ((op->flags & MKV_PUT_RELAXED) != 0 ? MEMKV_RELAXED : 0u);
        item->expire_s = op->expire_s;
        item->data_bytes = op->length;
        item->data = op->length > 0 ? mkv_proxy_op_value(proxy, op) : NULL;
    } else if (op->op == MKV_OP_GET) {
        item->offset = op->offset;
        item->length = op->length;
        item->buffer = mkv_proxy_op_value(proxy, op);
        item->capacity = op->is_expected ? op->room_bytes : op->length;
    }
}

/* Bytes that an operation may move. */
static uint64_t bytes_of(const struct mkv_proxy_op *op) {
    return op->op == MKV_OP_PUT || op->op == MKV_OP_GET ? op->room_bytes : 0;
}

/* Small ones of a kind, of one connection, that stand side by side, share a submission. */
static uint32_t count_batch(const struct mkv_proxy *proxy) {
    const struct mkv_proxy_op *first = TAILQ_FIRST(&proxy->ready);
    uint64_t bytes = bytes_of(first);
    uint32_t count = 1;
    for (const struct mkv_proxy_op *op = TAILQ_NEXT(first, link);
         op != NULL && count < MKV_PROXY_BATCH_ITEMS_MAX; op = TAILQ_NEXT(op, link)) {
        const bool is_get = op->op == MKV_OP_GET;
        bytes = is_get ? mkv_max_u64(bytes, bytes_of(op)) : bytes + bytes_of(op);
        if (op->op != first->op || op->connection.index != first->connection.index ||
            bytes > MKV_PROXY_BATCH_VALUE_BYTES_MAX) {
            break;
        }
        count++;
    }
    return count;
}

static uint32_t timeout_ms_of(const struct mkv_proxy *proxy, const struct mkv_proxy_batch *batch) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        bytes += bytes_of(batch->ops[i]);
    }
    return proxy->options.timeout_ms + (uint32_t)(bytes / BYTES_PER_MS);
}

static void fail_batch(struct mkv_proxy *proxy, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct mkv_proxy_op *op = TAILQ_FIRST(&proxy->ready);
        TAILQ_REMOVE(&proxy->ready, op, link);
        mkv_proxy_fail(proxy, op, MKV_STATUS_BUSY);
    }
}

static void submit(struct mkv_proxy *proxy, uint32_t count) {
    struct mkv_proxy_batch *batch = malloc(sizeof *batch + count * sizeof batch->items[0]);
    if (batch == NULL) {
        fail_batch(proxy, count);
        return;
    }
    batch->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct mkv_proxy_op *op = TAILQ_FIRST(&proxy->ready);
        TAILQ_REMOVE(&proxy->ready, op, link);
        op->state = MKV_PROXY_OP_SUBMITTED;
        batch->ops[i] = op;
        fill_item(proxy, op, &batch->items[i]);
    }
    LIST_INSERT_HEAD(&proxy->batches, batch, link);
    proxy->counters.submissions++;
    const enum memkv_status status =
        memkv_submit(proxy->client, batch->items, count, (uint64_t)(uintptr_t)batch,
                     timeout_ms_of(proxy, batch), NULL);
    if (status == MEMKV_OK) {
        proxy->has_more = true; /* some are done at once */
        return;
    }
    LIST_REMOVE(batch, link);
    for (uint32_t i = 0; i < count; i++) {
        mkv_proxy_fail(proxy, batch->ops[i], MKV_STATUS_BUSY);
    }
    free(batch);
}

void mkv_proxy_submit_ready(struct mkv_proxy *proxy) {
    while (!TAILQ_EMPTY(&proxy->ready)) {
        submit(proxy, count_batch(proxy));
    }
}

/* ---- from libmemkv --------------------------------------------------------------------------- */

/* Most values are as long as others: the longest one of late is what the next GET has room for,
 * within bounds. */
static void learn(struct mkv_proxy *proxy, uint64_t value_bytes) {
    const uint64_t least = mkv_proxy_memory_room(1);
    const bool is_beyond = value_bytes > proxy->expected_bytes_max;
    const uint64_t seen = is_beyond ? least : mkv_max_u64(value_bytes, least);
    proxy->expected_seen = mkv_max_u64(proxy->expected_seen, seen);
    proxy->expected_bytes = mkv_max_u64(proxy->expected_bytes, seen);
    proxy->expected_rounds++;
    if (proxy->expected_rounds >= EXPECTED_ROUNDS) {
        proxy->expected_bytes = proxy->expected_seen;
        proxy->expected_seen = least;
        proxy->expected_rounds = 0;
    }
}

static enum mkv_proxy_miss miss_of(const struct memkv_item *item) {
    if (item->status == MEMKV_CORRUPT) {
        return MKV_PROXY_MISS_CORRUPT;
    }
    if (item->status == MEMKV_UNAVAILABLE || item->miss == MEMKV_MISS_SERVER_DOWN) {
        return MKV_PROXY_MISS_SERVER_DOWN;
    }
    return item->status == MEMKV_DEADLINE || item->miss == MEMKV_MISS_DEADLINE
               ? MKV_PROXY_MISS_DEADLINE
               : MKV_PROXY_MISS_SERVER;
}

/* I4 of proxy.h */
static bool is_miss(const struct memkv_item *item) {
    return item->status == MEMKV_NOT_FOUND || item->status == MEMKV_UNAVAILABLE ||
           item->status == MEMKV_DEADLINE || item->status == MEMKV_CORRUPT;
}

static enum mkv_status status_of(enum memkv_status status) {
    MKV_ASSERT(status != MEMKV_TOO_SMALL);
    /* Of the library alone: it has no memory for the call. */
    return (unsigned)status < MKV_STATUS_COUNT ? (enum mkv_status)status : MKV_STATUS_BUSY;
}

static void miss(struct mkv_proxy *proxy, struct mkv_proxy_op *op, const struct memkv_item *item) {
    proxy->counters.misses[miss_of(item)]++;
    op->result = (struct mkv_item_result){.status = MKV_STATUS_NOT_FOUND};
    mkv_proxy_reply(proxy, op, 0);
}

/* The value is longer than its memory. */
static void ask_again(struct mkv_proxy *proxy, struct mkv_proxy_op *op, uint64_t wanted_bytes) {
    mkv_proxy_memory_release(proxy, op);
    if (wanted_bytes > proxy->value_bytes_max) {
        mkv_proxy_fail(proxy, op, MKV_STATUS_NO_SPACE);
        return;
    }
    proxy->counters.second_requests++;
    op->is_expected = true;
    mkv_proxy_want_memory(proxy, op, wanted_bytes, true);
}

static void get_done(struct mkv_proxy *proxy, struct mkv_proxy_op *op,
                     const struct memkv_item *item) {
    if (item->status == MEMKV_TOO_SMALL) {
        learn(proxy, item->byte_count);
        ask_again(proxy, op, item->byte_count);
    } else if (is_miss(item)) {
        miss(proxy, op, item);
    } else if (item->status != MEMKV_OK) {
        mkv_proxy_fail(proxy, op, status_of(item->status));
    } else {
        if (op->is_expected) {
            learn(proxy, item->byte_count);
        }
        proxy->counters.hits++;
        op->result = (struct mkv_item_result){.status = MKV_STATUS_OK, .length = item->value_bytes};
        mkv_proxy_reply(proxy, op, item->byte_count);
    }
}

static void done(struct mkv_proxy *proxy, struct mkv_proxy_op *op, const struct memkv_item *item) {
    MKV_ASSERT(op->state == MKV_PROXY_OP_SUBMITTED);
    if (op->is_orphan) {
        mkv_proxy_op_free(proxy, op);
    } else if (op->op == MKV_OP_GET) {
        get_done(proxy, op, item);
    } else if (op->op == MKV_OP_EXISTS && is_miss(item)) {
        miss(proxy, op, item);
    } else if (item->status == MEMKV_OK || item->status == MEMKV_NOT_FOUND) {
        proxy->counters.hits += op->op == MKV_OP_EXISTS ? 1 : 0;
        op->result = (struct mkv_item_result){.status = status_of(item->status),
                                              .length = item->value_bytes};
        mkv_proxy_reply(proxy, op, 0);
    } else {
        mkv_proxy_fail(proxy, op, status_of(item->status));
    }
}

void mkv_proxy_take_completions(struct mkv_proxy *proxy) {
    struct memkv_completion completions[MKV_PROXY_COMPLETIONS_MAX];
    const size_t count = memkv_poll(proxy->client, completions, MKV_PROXY_COMPLETIONS_MAX);
    proxy->has_more = count == MKV_PROXY_COMPLETIONS_MAX;
    for (size_t i = 0; i < count; i++) {
        struct mkv_proxy_batch *batch = (struct mkv_proxy_batch *)(uintptr_t)completions[i].cookie;
        MKV_ASSERT(completions[i].item_count == batch->count);
        LIST_REMOVE(batch, link);
        for (uint32_t item = 0; item < batch->count; item++) {
            done(proxy, batch->ops[item], &batch->items[item]);
        }
        free(batch);
    }
}
