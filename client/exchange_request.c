/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From items to requests: which items may share a request, and the bytes of its frame.
 */
#include <stdlib.h>
#include <string.h>

#include "client/exchange.h"
#include "core/hash.h"

/* Items of one group may share a request. */
enum group {
    GROUP_PUT_INLINE = 0,
    GROUP_PUT_BLOCK,
    GROUP_PUT_LARGE,
    GROUP_GET,
    GROUP_EXISTS,
    GROUP_DELETE,
    GROUP_PIN,
    GROUP_UNPIN,
    GROUP_SESSION,
    GROUP_ALLOCATE,
    GROUP_COMMIT_INLINE,
    GROUP_COMMIT_BLOCK,
};
#define GROUP_COUNT 12u

/* What a COMMIT moves. */
static uint64_t commit_bytes_of(const struct memkv_item *item) {
    return (item->flags & MEMKV_ABANDON) != 0 ? 0 : item->data_bytes;
}

/* Bytes that go behind the body of an item's request. */
static uint64_t inline_bytes_of(enum group group, const struct memkv_item *item) {
    if (group == GROUP_COMMIT_INLINE) {
        return commit_bytes_of(item);
    }
    return group == GROUP_PUT_INLINE ? item->data_bytes : 0;
}

static uint32_t key_bytes_of(const struct memkv_item *item) {
    return item->op == MEMKV_OP_COMMIT ? 0 : (uint32_t)item->key_bytes;
}

static enum group group_of(const struct mkv_exchange *exchange, const struct memkv_item *item) {
    const struct mkv_native_hello_answer *limits = &exchange->client->limits;
    switch (item->op) {
    case MEMKV_OP_GET:
        return GROUP_GET;
    case MEMKV_OP_EXISTS:
        return GROUP_EXISTS;
    case MEMKV_OP_DELETE:
        return GROUP_DELETE;
    case MEMKV_OP_PIN:
        return GROUP_PIN;
    case MEMKV_OP_UNPIN:
        return GROUP_UNPIN;
    case MEMKV_OP_SESSION:
        return GROUP_SESSION;
    case MEMKV_OP_ALLOCATE:
        return GROUP_ALLOCATE;
    case MEMKV_OP_COMMIT:
        return commit_bytes_of(item) <= limits->inline_bytes_max ? GROUP_COMMIT_INLINE
                                                                 : GROUP_COMMIT_BLOCK;
    case MEMKV_OP_PUT:
        break;
    }
    if (item->data_bytes > limits->block_bytes_max) {
        return GROUP_PUT_LARGE;
    }
    return item->data_bytes <= limits->inline_bytes_max ? GROUP_PUT_INLINE : GROUP_PUT_BLOCK;
}

static uint32_t group_items_max(const struct mkv_exchange *exchange, enum group group) {
    const uint32_t items_max = exchange->client->limits.items_max;
    switch (group) {
    case GROUP_PUT_LARGE:
        return 1;
    case GROUP_PUT_BLOCK:
    case GROUP_COMMIT_BLOCK:
    case GROUP_GET:
        return (uint32_t)mkv_min_u64(items_max, MKV_EXCHANGE_TRANSFER_ITEMS_MAX);
    case GROUP_PUT_INLINE:
    case GROUP_EXISTS:
    case GROUP_DELETE:
    case GROUP_PIN:
    case GROUP_UNPIN:
    case GROUP_SESSION:
    case GROUP_ALLOCATE:
    case GROUP_COMMIT_INLINE:
        break;
    }
    return items_max;
}

static enum mkv_native_op op_of_group(enum group group) {
    switch (group) {
    case GROUP_PUT_INLINE:
    case GROUP_PUT_BLOCK:
    case GROUP_PUT_LARGE:
        return MKV_NATIVE_PUT;
    case GROUP_GET:
        return MKV_NATIVE_GET;
    case GROUP_EXISTS:
        return MKV_NATIVE_EXISTS;
    case GROUP_PIN:
        return MKV_NATIVE_PIN;
    case GROUP_UNPIN:
        return MKV_NATIVE_UNPIN;
    case GROUP_SESSION:
        return MKV_NATIVE_SESSION;
    case GROUP_ALLOCATE:
        return MKV_NATIVE_ALLOCATE;
    case GROUP_COMMIT_INLINE:
    case GROUP_COMMIT_BLOCK:
        return MKV_NATIVE_COMMIT;
    case GROUP_DELETE:
        break;
    }
    return MKV_NATIVE_DELETE;
}

static bool session_is_valid(struct mkv_exchange *exchange, uint32_t index) {
    const struct memkv_item *item = &exchange->items[index];
    const bool exits = item->action == MEMKV_SESSION_EXIT_THINK;
    if (item->session == 0 || item->key != NULL || item->key_bytes != 0) {
        mkv_exchange_note(exchange, index, "a session is any number but 0, and has no key");
    } else if (item->action < MEMKV_SESSION_BEGIN || item->action > MEMKV_SESSION_END_FREE) {
        mkv_exchange_note(exchange, index, "action %d of a session is unknown", (int)item->action);
    } else if (exits &&
               (item->reason < MEMKV_THINK_CONVERGED || item->reason > MEMKV_THINK_HARD_CAP)) {
        mkv_exchange_note(exchange, index, "reason %d to leave thinking is unknown",
                          (int)item->reason);
    } else if (item->tokens > MKV_NATIVE_VALUE_BYTES_MAX) {
        mkv_exchange_note(exchange, index, "%llu tokens are more than 2^40",
                          (unsigned long long)item->tokens);
    } else {
        return true;
    }
    return false;
}

static bool tier_is_valid(struct mkv_exchange *exchange, uint32_t index) {
    const struct memkv_item *item = &exchange->items[index];
    if (item->tier < MEMKV_TIER_DEFAULT || item->tier > MEMKV_TIER_OUTPUT_CRITICAL) {
        mkv_exchange_note(exchange, index, "tier %d is unknown", (int)item->tier);
        return false;
    }
    return true;
}

/* Of an ALLOCATE or COMMIT. */
static bool reserving_is_valid(struct mkv_exchange *exchange, uint32_t index) {
    const struct memkv_item *item = &exchange->items[index];
    const bool is_commit = item->op == MEMKV_OP_COMMIT;
    if ((item->flags & ~(is_commit ? MEMKV_ABANDON : MEMKV_REPLACE | MEMKV_RELAXED)) != 0) {
        mkv_exchange_note(exchange, index, "flags 0x%x: not what the op takes", item->flags);
        return false;
    }
    if (is_commit && (item->reservation == 0 || item->reservation > MKV_NATIVE_RESERVATION_MAX)) {
        mkv_exchange_note(exchange, index, "reservation %llu is none that an ALLOCATE has set",
                          (unsigned long long)item->reservation);
        return false;
    }
    if (is_commit && (item->flags & MEMKV_ABANDON) != 0) {
        return true;
    }
    if (!is_commit && !tier_is_valid(exchange, index)) {
        return false;
    }
    if (item->data_bytes > exchange->client->limits.block_bytes_max) {
        mkv_exchange_note(exchange, index,
                          "the value has %llu bytes; up to %llu can be reserved, more is put",
                          (unsigned long long)item->data_bytes,
                          (unsigned long long)exchange->client->limits.block_bytes_max);
        return false;
    }
    if (item->data == NULL && item->data_bytes > 0) {
        mkv_exchange_note(exchange, index, "data is NULL, data_bytes is not 0");
        return false;
    }
    return true;
}

/* Notes what is wrong with an item, and returns false if anything is. */
static bool item_is_valid(struct mkv_exchange *exchange, uint32_t index) {
    const struct memkv_item *item = &exchange->items[index];
    if (item->op == MEMKV_OP_SESSION) {
        return session_is_valid(exchange, index);
    }
    if (item->op == MEMKV_OP_COMMIT) {
        return reserving_is_valid(exchange, index);
    }
    if (item->key == NULL || item->key_bytes < 1 || item->key_bytes > MEMKV_KEY_BYTES_MAX) {
        mkv_exchange_note(exchange, index, "the key has %zu bytes; a key has 1 to %d",
                          item->key == NULL ? 0 : item->key_bytes, MEMKV_KEY_BYTES_MAX);
        return false;
    }
    switch (item->op) {
    case MEMKV_OP_PUT:
        if ((item->flags & ~(MEMKV_REPLACE | MEMKV_RELAXED)) != 0) {
            mkv_exchange_note(
                exchange, index,
                "flags 0x%x: only MEMKV_REPLACE (0x1) and MEMKV_RELAXED (0x2) are known",
                item->flags);
            return false;
        }
        if (!tier_is_valid(exchange, index)) {
            return false;
        }
        if (item->data_bytes > exchange->client->limits.value_bytes_max) {
            mkv_exchange_note(exchange, index,
                              "the value has %llu bytes; the server takes at most %llu",
                              (unsigned long long)item->data_bytes,
                              (unsigned long long)exchange->client->limits.value_bytes_max);
            return false;
        }
        if (item->data_bytes > exchange->client->limits.block_bytes_max &&
            item->key_bytes > MKV_NATIVE_LARGE_KEY_BYTES_MAX) {
            mkv_exchange_note(exchange, index,
                              "the key of a value above %llu bytes has at most %u bytes, not %zu",
                              (unsigned long long)exchange->client->limits.block_bytes_max,
                              MKV_NATIVE_LARGE_KEY_BYTES_MAX, item->key_bytes);
            return false;
        }
        if (item->data == NULL && item->data_bytes > 0 && exchange->source == NULL) {
            mkv_exchange_note(exchange, index, "data is NULL, data_bytes is not 0");
            return false;
        }
        /* A source supplies what is larger than a block; a block's root must go ahead of it. */
        if (item->data == NULL && item->data_bytes > 0 &&
            item->data_bytes <= exchange->client->limits.block_bytes_max) {
            mkv_exchange_note(exchange, index, "the server's limits have just changed; try again");
            return false;
        }
        return true;
    case MEMKV_OP_GET:
        if (item->offset > MKV_NATIVE_VALUE_BYTES_MAX) {
            mkv_exchange_note(exchange, index, "offset %llu is behind the end of any value",
                              (unsigned long long)item->offset);
            return false;
        }
        if (item->buffer == NULL && item->capacity > 0) {
            mkv_exchange_note(exchange, index, "buffer is NULL, capacity is not 0");
            return false;
        }
        return true;
    case MEMKV_OP_PIN:
        if (item->expire_s == 0) {
            mkv_exchange_note(exchange, index, "a pin has 1 second or more");
            return false;
        }
        return true;
    case MEMKV_OP_ALLOCATE:
        return reserving_is_valid(exchange, index);
    case MEMKV_OP_EXISTS:
    case MEMKV_OP_DELETE:
    case MEMKV_OP_UNPIN:
    case MEMKV_OP_SESSION:
    case MEMKV_OP_COMMIT:
        return true;
    }
    mkv_exchange_note(exchange, index, "op %d is unknown", (int)item->op);
    return false;
}

/* The length that a GET asks for: never more than the buffer holds, so that no byte is moved in
 * vain; of an empty buffer one byte, which is dropped and brings the value's length with it. */
static uint64_t ask_bytes_of(const struct mkv_exchange *exchange, const struct memkv_item *item) {
    if (exchange->target != NULL) {
        return 0;
    }
    const uint64_t wanted = item->length > 0 ? item->length : MKV_NATIVE_VALUE_BYTES_MAX;
    const uint64_t held = mkv_max_u64(item->capacity, 1);
    return mkv_min_u64(mkv_min_u64(wanted, held), MKV_NATIVE_VALUE_BYTES_MAX - item->offset);
}

void mkv_exchange_group(struct mkv_exchange *exchange) {
    uint32_t count_of_group[GROUP_COUNT] = {0};
    for (uint32_t index = 0; index < exchange->item_count; index++) {
        struct memkv_item *item = &exchange->items[index];
        if (!item_is_valid(exchange, index)) {
            item->status = MEMKV_INVALID;
            exchange->states[index].is_done = true;
            continue;
        }
        exchange->states[index].ask_bytes = ask_bytes_of(exchange, item);
        count_of_group[group_of(exchange, item)]++;
    }
    uint32_t next_of_group[GROUP_COUNT];
    for (uint32_t group = 0; group < GROUP_COUNT; group++) {
        next_of_group[group] = exchange->order_count;
        exchange->order_count += count_of_group[group];
    }
    for (uint32_t index = 0; index < exchange->item_count; index++) {
        if (!exchange->states[index].is_done) {
            const enum group group = group_of(exchange, &exchange->items[index]);
            exchange->order[next_of_group[group]++] = index;
        }
    }
}

/* Which items the next request takes: how many, and the bytes that their frame needs. */
struct extent_of_request {
    uint32_t item_count;
    uint32_t body_bytes;
    uint64_t inline_bytes;
};

static struct extent_of_request measure_request(const struct mkv_exchange *exchange,
                                                enum group group) {
    const struct mkv_native_hello_answer *limits = &exchange->client->limits;
    const uint32_t items_max = group_items_max(exchange, group);
    const struct memkv_item *first = &exchange->items[exchange->order[exchange->order_next]];
    struct extent_of_request extent = {0};
    for (uint32_t next = exchange->order_next; next < exchange->order_count; next++) {
        const struct memkv_item *item = &exchange->items[exchange->order[next]];
        const uint32_t body_bytes = extent.body_bytes + MKV_NATIVE_ITEM_BYTES + key_bytes_of(item);
        const uint64_t inline_bytes = extent.inline_bytes + inline_bytes_of(group, item);
        if (group == GROUP_ALLOCATE && item->reserve_ms != first->reserve_ms) {
            break; /* a request has one deadline */
        }
        if (extent.item_count == items_max || group_of(exchange, item) != group ||
            body_bytes > limits->body_bytes_max || inline_bytes > limits->inline_bytes_max) {
            break;
        }
        extent.item_count++;
        extent.body_bytes = body_bytes;
        extent.inline_bytes = inline_bytes;
    }
    MKV_ASSERT(extent.item_count >= 1);
    return extent;
}

static struct mkv_root root_of(const struct memkv_item *item) {
    uint64_t sums[MKV_CHUNKS_MAX];
    mkv_chunk_sums(item->data, (uint32_t)item->data_bytes, sums);
    return mkv_root_of_sums((uint32_t)item->data_bytes, sums);
}

/* What is left of the call's time less a little, so that the server's answer that time is up comes
 * before the client gives up on the connection. */
static uint32_t deadline_ms_of(const struct mkv_exchange *exchange) {
    const uint64_t now_ns = mkv_client_now_ns();
    const uint64_t left_ns = exchange->deadline_ns > now_ns ? exchange->deadline_ns - now_ns : 0;
    const uint64_t left_ms = left_ns / 1000000u;
    const uint64_t deadline_ms = left_ms - mkv_min_u64(left_ms / 10, 500);
    return (uint32_t)mkv_min_u64(mkv_max_u64(deadline_ms, 1), UINT32_MAX);
}

static struct mkv_exchange_request *request_take(struct mkv_exchange *exchange) {
    const uint32_t requests_max =
        (uint32_t)mkv_min_u64(exchange->client->limits.requests_max, MKV_EXCHANGE_REQUESTS_MAX);
    if (exchange->requests_used >= requests_max) {
        return NULL;
    }
    for (uint32_t index = 0; index < MKV_EXCHANGE_REQUESTS_MAX; index++) {
        struct mkv_exchange_request *request = &exchange->requests[index];
        if (!request->is_used) {
            exchange->requests_used++;
            *request = (struct mkv_exchange_request){.is_used = true};
            return request;
        }
    }
    MKV_ASSERT(false);
    return NULL;
}

void mkv_exchange_request_release(struct mkv_exchange *exchange,
                                  struct mkv_exchange_request *request) {
    if (request->is_sent && request->is_answered && request->ready_count == 0) {
        free(request->frame);
        *request = (struct mkv_exchange_request){.is_used = false};
        exchange->requests_used--;
    }
}

static void encode_items(struct mkv_exchange *exchange, const struct mkv_exchange_request *request,
                         enum group group, const struct mkv_trace_context *trace) {
    uint8_t *descriptor = request->frame + MKV_NATIVE_HEADER_BYTES;
    uint8_t *key = descriptor + (size_t)request->item_count * MKV_NATIVE_ITEM_BYTES;
    for (uint32_t index = 0; index < request->item_count; index++) {
        const struct memkv_item *item = &exchange->items[exchange->order[request->first + index]];
        struct mkv_native_item native = {.key_bytes = key_bytes_of(item)};
        if (request->op == MKV_NATIVE_COMMIT) {
            native.reservation = item->reservation;
            native.length = commit_bytes_of(item);
            native.flags = (item->flags & MEMKV_ABANDON) != 0 ? MKV_NATIVE_ITEM_ABANDON : 0;
        } else if (request->op == MKV_NATIVE_PUT || request->op == MKV_NATIVE_ALLOCATE) {
            native.length = item->data_bytes;
            native.seconds = item->expire_s;
            native.tier_hint = (uint32_t)item->tier;
            native.session = item->session;
            native.flags = ((item->flags & MEMKV_REPLACE) != 0 ? MKV_NATIVE_ITEM_REPLACE : 0) |
                           ((item->flags & MEMKV_RELAXED) != 0 ? MKV_NATIVE_ITEM_RELAXED : 0);
            if (group != GROUP_PUT_LARGE) {
                native.root = root_of(item);
            }
        } else if (request->op == MKV_NATIVE_PIN) {
            native.seconds = item->expire_s;
        } else if (request->op == MKV_NATIVE_SESSION) {
            const bool exits = item->action == MEMKV_SESSION_EXIT_THINK;
            native.session = item->session;
            native.action = (uint32_t)item->action;
            native.reason = exits ? (uint32_t)item->reason : 0;
            native.length = exits ? item->tokens : 0;
        } else if (request->op == MKV_NATIVE_GET) {
            native.offset = item->offset;
            native.length = exchange->states[exchange->order[request->first + index]].ask_bytes;
        }
        mkv_native_item_encode(&native, descriptor);
        descriptor += MKV_NATIVE_ITEM_BYTES;
        if (native.key_bytes > 0) {
            memcpy(key, item->key, native.key_bytes);
            key += native.key_bytes;
        }
    }
    if (trace != NULL) {
        mkv_native_trace_encode(trace, key);
        key += MKV_NATIVE_TRACE_BYTES;
    }
    /* At most 64 KiB of payload: copying it costs less than sending it piece by piece. */
    for (uint32_t index = 0; request->is_inline && index < request->item_count; index++) {
        const struct memkv_item *item = &exchange->items[exchange->order[request->first + index]];
        const uint64_t inline_bytes = inline_bytes_of(group, item);
        if (inline_bytes > 0) {
            memcpy(key, item->data, inline_bytes);
            key += inline_bytes;
        }
    }
    MKV_ASSERT(key == request->frame + request->frame_bytes);
}

/* What a request with that header carries; NULL: nothing. One whose keys fill the body to its limit
 * goes without. */
static const struct mkv_trace_context *trace_of(const struct memkv_client *client,
                                                const struct mkv_native_header *header) {
    const bool granted = (client->limits.features & MKV_NATIVE_FEATURE_TRACE) != 0;
    const bool fits = header->body_bytes + MKV_NATIVE_TRACE_BYTES <= client->limits.body_bytes_max;
    return client->has_trace && granted && fits && header->item_count > 0 ? &client->trace : NULL;
}

/* Makes one request of the next items. False: there is no memory for it. */
static bool make_request(struct mkv_exchange *exchange, struct mkv_exchange_request *request) {
    struct mkv_native_header header = {.op = exchange->single,
                                       .request_id = exchange->client->request_id_next++,
                                       .deadline_ms = deadline_ms_of(exchange)};
    enum group group = GROUP_EXISTS; /* LOOKUP's items are like those of EXISTS; others have none */
    if (exchange->order_next < exchange->order_count) {
        group = group_of(exchange, &exchange->items[exchange->order[exchange->order_next]]);
        const struct extent_of_request extent = measure_request(exchange, group);
        header.op = exchange->single != 0 ? exchange->single : op_of_group(group);
        header.item_count = extent.item_count;
        header.body_bytes = extent.body_bytes;
        header.payload_bytes = extent.inline_bytes;
        const bool is_inline = group == GROUP_PUT_INLINE || group == GROUP_COMMIT_INLINE;
        header.flags = is_inline ? MKV_NATIVE_FLAG_INLINE : 0;
        const struct memkv_item *first = &exchange->items[exchange->order[exchange->order_next]];
        if (group == GROUP_ALLOCATE && first->reserve_ms > 0) {
            header.deadline_ms = first->reserve_ms;
        }
    }
    const struct mkv_trace_context *trace = trace_of(exchange->client, &header);
    if (trace != NULL) {
        header.flags |= MKV_NATIVE_FLAG_TRACE;
        header.body_bytes += MKV_NATIVE_TRACE_BYTES;
    }
    request->op = header.op;
    request->id = header.request_id;
    request->first = exchange->order_next;
    request->item_count = header.item_count;
    request->is_inline = (header.flags & MKV_NATIVE_FLAG_INLINE) != 0;
    request->frame_bytes =
        MKV_NATIVE_HEADER_BYTES + header.body_bytes + (size_t)header.payload_bytes;
    request->frame = malloc(request->frame_bytes);
    if (request->frame == NULL) {
        return false;
    }
    mkv_native_header_encode(&header, request->frame);
    encode_items(exchange, request, group, trace);
    exchange->order_next += request->item_count;
    struct mkv_exchange_send *send = mkv_exchange_send_append(exchange);
    send->request = request;
    send->is_request = true;
    send->head = request->frame;
    send->head_bytes = request->frame_bytes;
    return true;
}

enum mkv_exchange_progress mkv_exchange_make_request(struct mkv_exchange *exchange) {
    const bool is_due = exchange->single != 0 ? !exchange->is_single_made
                                              : exchange->order_next < exchange->order_count;
    struct mkv_exchange_request *request = is_due ? request_take(exchange) : NULL;
    if (request == NULL) {
        return MKV_EXCHANGE_BLOCKED;
    }
    if (!make_request(exchange, request)) {
        mkv_exchange_fail(exchange, MEMKV_NO_MEMORY, "no memory for a request of %zu bytes",
                          request->frame_bytes);
    }
    exchange->is_single_made = true;
    return MKV_EXCHANGE_MOVED;
}
