/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of the server to frames, and frames to what they mean for their request.
 */
#include <string.h>

#include "client/exchange.h"
#include "core/hash.h"

/* The most that one receive of a payload asks for, so that it is hashed while it is in the cache.
 */
#define RECEIVE_BYTES_MAX (1024u * 1024u)

static void fail_protocol(struct mkv_exchange *exchange, const char *what) {
    mkv_exchange_fail(exchange, MEMKV_UNAVAILABLE,
                      "server %s broke the protocol: %s; this is a bug, please report it",
                      exchange->client->address.text, what);
}

static struct mkv_exchange_request *request_find(struct mkv_exchange *exchange, uint64_t id) {
    for (uint32_t index = 0; index < MKV_EXCHANGE_REQUESTS_MAX; index++) {
        struct mkv_exchange_request *request = &exchange->requests[index];
        if (request->is_used && !request->is_answered && request->id == id) {
            return request;
        }
    }
    return NULL;
}

static uint32_t item_of(const struct mkv_exchange *exchange,
                        const struct mkv_exchange_request *request, uint32_t index) {
    MKV_ASSERT(index < request->item_count);
    return exchange->order[request->first + index];
}

/* ---- READY ---------------------------------------------------------------------------------- */

static void take_ready(struct mkv_exchange *exchange, struct mkv_exchange_request *request,
                       const struct mkv_native_ready *ready) {
    const bool moves =
        request != NULL && (request->op == MKV_NATIVE_PUT || request->op == MKV_NATIVE_COMMIT);
    if (!moves || request->is_inline || !request->is_sent || ready->item >= request->item_count) {
        fail_protocol(exchange, "READY for what was not put");
        return;
    }
    const struct memkv_item *item = &exchange->items[item_of(exchange, request, ready->item)];
    if (ready->offset > item->data_bytes || ready->bytes > item->data_bytes - ready->offset ||
        ready->bytes > exchange->client->limits.block_bytes_max) {
        fail_protocol(exchange, "READY outside of the value");
        return;
    }
    if (request->ready_count >= MKV_EXCHANGE_READY_MAX) {
        fail_protocol(exchange, "too many READY at a time");
        return;
    }
    if (exchange->is_send_broken) {
        return;
    }
    request->ready_count++;
    struct mkv_exchange_send *send = mkv_exchange_send_append(exchange);
    send->request = request;
    send->payload_offset = ready->offset;
    send->payload_bytes = ready->bytes;
    if (exchange->source == NULL || item->data != NULL) {
        send->payload = (const uint8_t *)item->data + ready->offset;
    }
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .request_id = request->id,
                                             .body_bytes = MKV_NATIVE_DATA_BYTES,
                                             .payload_bytes = ready->bytes};
    const struct mkv_native_data data = {.item = ready->item,
                                         .offset = ready->offset,
                                         .length = item->data_bytes,
                                         .bytes = ready->bytes};
    mkv_native_header_encode(&header, send->data_head);
    mkv_native_data_encode(&data, send->data_head + MKV_NATIVE_HEADER_BYTES);
    send->head = send->data_head;
    send->head_bytes = sizeof send->data_head;
}

/* ---- DATA ----------------------------------------------------------------------------------- */

/* Hashes the chunks that have come whole. */
static void data_hash(struct mkv_exchange_receive *receive) {
    const uint32_t chunk_bytes = mkv_chunk_bytes((uint32_t)receive->data.length);
    for (;;) {
        const uint64_t begin = (uint64_t)receive->sum_count * chunk_bytes;
        const uint64_t end = mkv_min_u64(begin + chunk_bytes, receive->data.length);
        if (begin >= receive->data.length || end > receive->done_bytes) {
            return;
        }
        receive->sums[receive->sum_count++] =
            mkv_hash_64(receive->target + begin, (size_t)(end - begin));
    }
}

static void data_done(struct mkv_exchange *exchange) {
    struct mkv_exchange_receive *receive = &exchange->receive;
    struct mkv_exchange_item *state = &exchange->states[receive->item];
    receive->state = MKV_EXCHANGE_HEADER;
    state->received_bytes += receive->data.bytes;
    if (receive->is_whole) {
        const struct mkv_root root =
            mkv_root_of_sums((uint32_t)receive->data.length, receive->sums);
        state->is_corrupt = !mkv_root_equal(root, receive->data.root);
    }
    if (exchange->target != NULL && !state->is_corrupt) {
        mkv_exchange_call_target(exchange, receive->data.offset, receive->data.length,
                                 (size_t)receive->data.bytes);
    }
}

static void data_moved(struct mkv_exchange *exchange, uint64_t byte_count) {
    struct mkv_exchange_receive *receive = &exchange->receive;
    receive->done_bytes += byte_count;
    if (receive->is_whole) {
        data_hash(receive);
    }
    if (receive->done_bytes == receive->data.bytes) {
        data_done(exchange);
    }
}

static void take_data(struct mkv_exchange *exchange, struct mkv_exchange_request *request) {
    struct mkv_exchange_receive *receive = &exchange->receive;
    const struct mkv_native_data *data = &receive->data;
    if (request == NULL || request->op != MKV_NATIVE_GET || data->item >= request->item_count) {
        fail_protocol(exchange, "DATA for what was not asked for");
        return;
    }
    receive->item = item_of(exchange, request, data->item);
    struct mkv_exchange_item *state = &exchange->states[receive->item];
    const struct memkv_item *item = &exchange->items[receive->item];
    if (data->bytes != receive->header.payload_bytes) {
        fail_protocol(exchange, "DATA whose bytes are not its payload");
        return;
    }
    if (data->bytes == 0) {
        return; /* of a range that has no bytes */
    }
    const uint64_t ask_bytes = state->ask_bytes > 0 ? state->ask_bytes : MKV_NATIVE_VALUE_BYTES_MAX;
    if (data->offset != item->offset + state->received_bytes ||
        data->bytes > ask_bytes - state->received_bytes) {
        fail_protocol(exchange, "DATA out of order, or outside of the range asked for");
        return;
    }
    if (state->received_bytes > 0 && data->length != state->value_bytes) {
        fail_protocol(exchange, "DATA of one value that changes its length");
        return;
    }
    state->value_bytes = data->length;
    receive->target = NULL;
    if (exchange->target != NULL) {
        if (!mkv_exchange_stage_reserve(exchange, (size_t)data->bytes)) {
            return;
        }
        receive->target = exchange->stage;
    } else if (item->capacity > 0) {
        MKV_ASSERT(state->received_bytes + data->bytes <= item->capacity);
        receive->target = (uint8_t *)item->buffer + state->received_bytes;
    }
    receive->done_bytes = 0;
    receive->sum_count = 0;
    receive->is_whole = receive->target != NULL && data->offset == 0 && data->bytes == data->length;
    receive->state = MKV_EXCHANGE_PAYLOAD;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void finish_get(struct mkv_exchange *exchange, uint32_t index,
                       const struct mkv_native_result *result) {
    struct mkv_exchange_item *state = &exchange->states[index];
    struct memkv_item *item = &exchange->items[index];
    if (state->received_bytes > 0 && result->length != state->value_bytes) {
        fail_protocol(exchange, "a GET answer with another length than its DATA");
        return;
    }
    const uint64_t behind_bytes = result->length > item->offset ? result->length - item->offset : 0;
    const uint64_t wanted_bytes =
        item->length > 0 ? mkv_min_u64(item->length, behind_bytes) : behind_bytes;
    const uint64_t expected_bytes =
        state->ask_bytes > 0 ? mkv_min_u64(state->ask_bytes, behind_bytes) : behind_bytes;
    if (state->received_bytes != expected_bytes) {
        fail_protocol(exchange, "a GET answer before all of its DATA");
        return;
    }
    item->byte_count = wanted_bytes;
    item->value_bytes = result->length;
    if (state->is_corrupt) {
        item->status = MEMKV_CORRUPT;
        item->byte_count = 0;
        mkv_exchange_note(exchange, index,
                          "the %llu bytes that came do not have the root of what was put; they "
                          "were discarded: check the network and memory of both machines",
                          (unsigned long long)result->length);
        return;
    }
    if (exchange->target == NULL && wanted_bytes > item->capacity) {
        item->status = MEMKV_TOO_SMALL;
        return;
    }
    if (exchange->target != NULL && result->length == 0) {
        mkv_exchange_call_target(exchange, 0, 0, 0);
    }
}

static void finish_item(struct mkv_exchange *exchange, const struct mkv_exchange_request *request,
                        uint32_t index, const struct mkv_native_result *result) {
    struct memkv_item *item = &exchange->items[index];
    item->status = (enum memkv_status)result->status;
    item->miss = (enum memkv_miss)result->miss;
    item->leased = result->leased > 0;
    if (result->status == MKV_STATUS_OK && request->op == MKV_NATIVE_GET) {
        finish_get(exchange, index, result);
        if (exchange->is_failed) {
            return; /* the end of the exchange gives the item its status */
        }
    } else if (request->op == MKV_NATIVE_ALLOCATE) {
        item->reservation = result->status == MKV_STATUS_OK ? result->length : 0;
    } else if (result->status == MKV_STATUS_OK && request->op == MKV_NATIVE_EXISTS) {
        item->value_bytes = result->length;
    }
    exchange->states[index].is_done = true;
}

static void take_results(struct mkv_exchange *exchange, struct mkv_exchange_request *request) {
    const struct mkv_exchange_receive *receive = &exchange->receive;
    const uint32_t expected = exchange->single == MKV_NATIVE_LOOKUP ? 1 : request->item_count;
    if (receive->header.item_count != expected) {
        fail_protocol(exchange, "an answer with another number of results than items");
        return;
    }
    for (uint32_t index = 0; index < expected; index++) {
        struct mkv_native_result result;
        const enum mkv_native_error problem = mkv_native_result_decode(
            exchange->client->body + (size_t)index * MKV_NATIVE_RESULT_BYTES, &result);
        if (problem != MKV_NATIVE_OK) {
            fail_protocol(exchange, mkv_native_error_text(problem));
            return;
        }
        if (exchange->single == MKV_NATIVE_LOOKUP) {
            if (result.length > request->item_count) {
                fail_protocol(exchange, "a LOOKUP answer that counts more keys than there were");
                return;
            }
            exchange->single_status = (enum memkv_status)result.status;
            exchange->lookup_asked = request->item_count;
            exchange->lookup_count = result.length;
            return;
        }
        finish_item(exchange, request, item_of(exchange, request, index), &result);
        if (exchange->is_failed) {
            return;
        }
    }
}

/* The server refused a request whole, or what it could not read as one. */
static void take_refusal(struct mkv_exchange *exchange, struct mkv_exchange_request *request) {
    const struct mkv_native_header *header = &exchange->receive.header;
    char text[MKV_NATIVE_TEXT_BYTES_MAX + 1u];
    mkv_client_text_copy(exchange->client->body, header->body_bytes, text, sizeof text);
    if (request == NULL || request->op != header->op) {
        mkv_exchange_fail(exchange, MEMKV_UNAVAILABLE, "server %s ends the connection (%s): %s",
                          exchange->client->address.text, mkv_status_name(header->status), text);
        return;
    }
    const enum memkv_status status = (enum memkv_status)header->status;
    exchange->single_status = status;
    if (exchange->single != 0) {
        mkv_exchange_note(exchange, 0, "%s", text);
        return;
    }
    for (uint32_t index = 0; index < request->item_count; index++) {
        const uint32_t item = item_of(exchange, request, index);
        exchange->items[item].status = status;
        exchange->states[item].is_done = true;
        mkv_exchange_note(exchange, item, "%s",
                          text[0] != '\0' ? text : mkv_client_status_text(status));
    }
}

static void take_answer(struct mkv_exchange *exchange, struct mkv_exchange_request *request) {
    const struct mkv_native_header *header = &exchange->receive.header;
    if (header->status != MKV_STATUS_OK) {
        take_refusal(exchange, request);
    } else if (request == NULL || request->op != header->op) {
        fail_protocol(exchange, "an answer to what was not asked");
    } else if (header->op == MKV_NATIVE_STATS || header->op == MKV_NATIVE_PING) {
        exchange->single_status = MEMKV_OK;
        exchange->text_bytes = header->body_bytes;
    } else {
        take_results(exchange, request);
    }
    if (!exchange->is_failed && request != NULL) {
        request->is_answered = true;
        mkv_exchange_request_release(exchange, request);
    }
}

/* ---- frames --------------------------------------------------------------------------------- */

/* Header and body are there. */
static void take_frame(struct mkv_exchange *exchange) {
    struct mkv_exchange_receive *receive = &exchange->receive;
    const uint8_t *body = exchange->client->body;
    struct mkv_exchange_request *request = request_find(exchange, receive->header.request_id);
    receive->state = MKV_EXCHANGE_HEADER;
    if ((receive->header.flags & MKV_NATIVE_FLAG_ANSWER) != 0) {
        take_answer(exchange, request);
        return;
    }
    enum mkv_native_error problem = MKV_NATIVE_BAD_OP; /* a request, which no server sends */
    if (receive->header.op == MKV_NATIVE_READY) {
        struct mkv_native_ready ready;
        problem = mkv_native_ready_decode(body, &ready);
        if (problem == MKV_NATIVE_OK) {
            take_ready(exchange, request, &ready);
            return;
        }
    } else if (receive->header.op == MKV_NATIVE_DATA) {
        problem = mkv_native_data_decode(body, &receive->data);
        if (problem == MKV_NATIVE_OK) {
            take_data(exchange, request);
            return;
        }
    }
    fail_protocol(exchange, mkv_native_error_text(problem));
}

/* Takes what it can of the bytes in `input`. False: it needs more of them. */
static bool take_input(struct mkv_exchange *exchange) {
    struct memkv_client *client = exchange->client;
    struct mkv_exchange_receive *receive = &exchange->receive;
    const uint8_t *bytes = client->input + client->input_begin;
    const size_t byte_count = client->input_end - client->input_begin;
    size_t step_bytes = 0;
    switch (receive->state) {
    case MKV_EXCHANGE_HEADER:
        if (byte_count < MKV_NATIVE_HEADER_BYTES) {
            return false;
        }
        client->input_begin += MKV_NATIVE_HEADER_BYTES;
        const enum mkv_native_error problem = mkv_native_header_decode(bytes, &receive->header);
        if (problem != MKV_NATIVE_OK) {
            fail_protocol(exchange, mkv_native_error_text(problem));
            return true;
        }
        receive->state = MKV_EXCHANGE_BODY;
        receive->body_done_bytes = 0;
        break;
    case MKV_EXCHANGE_BODY:
        step_bytes =
            (size_t)mkv_min_u64(byte_count, receive->header.body_bytes - receive->body_done_bytes);
        memcpy(client->body + receive->body_done_bytes, bytes, step_bytes);
        receive->body_done_bytes += (uint32_t)step_bytes;
        client->input_begin += step_bytes;
        break;
    case MKV_EXCHANGE_PAYLOAD:
        if (byte_count == 0) {
            return false;
        }
        step_bytes = (size_t)mkv_min_u64(byte_count, receive->data.bytes - receive->done_bytes);
        if (receive->target != NULL) {
            memcpy(receive->target + receive->done_bytes, bytes, step_bytes);
        }
        client->input_begin += step_bytes;
        data_moved(exchange, step_bytes);
        return true;
    }
    if (receive->body_done_bytes < receive->header.body_bytes) {
        return client->input_begin < client->input_end;
    }
    take_frame(exchange);
    return true;
}

/* Moves what is left in `input` to its begin, so that there is room for a header behind it. */
static void input_compact(struct memkv_client *client) {
    const size_t byte_count = client->input_end - client->input_begin;
    memmove(client->input, client->input + client->input_begin, byte_count);
    client->input_begin = 0;
    client->input_end = byte_count;
}

enum mkv_exchange_progress mkv_exchange_receive_some(struct mkv_exchange *exchange) {
    struct memkv_client *client = exchange->client;
    struct mkv_exchange_receive *receive = &exchange->receive;
    struct iovec iovecs[2];
    size_t iovec_count = 0;
    size_t direct_bytes = 0;
    bool has_room_behind = true;
    input_compact(client);
    MKV_ASSERT(client->input_end < sizeof client->input);
    if (receive->state == MKV_EXCHANGE_PAYLOAD && receive->target != NULL) {
        MKV_ASSERT(client->input_end == 0);
        const uint64_t left_bytes = receive->data.bytes - receive->done_bytes;
        direct_bytes = (size_t)mkv_min_u64(left_bytes, RECEIVE_BYTES_MAX);
        has_room_behind = direct_bytes == left_bytes;
        iovecs[iovec_count++] = (struct iovec){.iov_base = receive->target + receive->done_bytes,
                                               .iov_len = direct_bytes};
    }
    if (has_room_behind) {
        iovecs[iovec_count++] = (struct iovec){.iov_base = client->input + client->input_end,
                                               .iov_len = sizeof client->input - client->input_end};
    }
    size_t count = 0;
    switch (client->transport->ops->receive(client->transport, iovecs, iovec_count, &count)) {
    case MKV_TRANSPORT_MOVED:
        break;
    case MKV_TRANSPORT_BLOCKED:
        return MKV_EXCHANGE_BLOCKED;
    case MKV_TRANSPORT_BROKEN:
        mkv_exchange_fail(exchange, MEMKV_UNAVAILABLE, "the connection to server %s broke: %s",
                          client->address.text, client->transport->problem);
        return MKV_EXCHANGE_MOVED;
    case MKV_TRANSPORT_ENDED:
        mkv_exchange_fail(exchange, MEMKV_UNAVAILABLE, "server %s closed the connection",
                          client->address.text);
        return MKV_EXCHANGE_MOVED;
    }
    const size_t moved_bytes = (size_t)mkv_min_u64(count, direct_bytes);
    client->input_end += count - moved_bytes;
    if (moved_bytes > 0) {
        data_moved(exchange, moved_bytes);
    }
    while (!exchange->is_failed && take_input(exchange)) {
    }
    return MKV_EXCHANGE_MOVED;
}
