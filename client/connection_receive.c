/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of the server to frames, and frames to what they mean for their request.
 */
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"
#include "core/hash.h"

/* The most that one receive of a payload asks for, so that it is hashed while it is in the cache.
 */
#define RECEIVE_BYTES_MAX (1024u * 1024u)

static void fail_protocol(struct mkv_connection *connection, const char *what) {
    mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                        "server %s broke the protocol: %s; this is a bug, please report it",
                        connection->remote->address.text, what);
}

static bool is_open(const struct mkv_connection *connection) {
    return connection->state >= MKV_CONNECTION_GREETING;
}

static struct mkv_request *request_find(struct mkv_connection *connection, uint64_t id) {
    struct mkv_request *request;
    TAILQ_FOREACH(request, &connection->requests, link) {
        if (!request->is_answered && request->id == id) {
            return request;
        }
    }
    return NULL;
}

/* ---- READY ---------------------------------------------------------------------------------- */

/* Whether the server is to read what it asks for: from memory that the caller has registered, or
 * from a stage. What the library would keep registered by itself may be other memory by then, and
 * of a piece that is no INVALID of one item, but the end of the connection. */
static bool is_read_remote(struct mkv_connection *connection, struct mkv_request *request,
                           struct mkv_send *send, const uint8_t *payload, uint64_t byte_count) {
    struct mkv_rdma_lane *lane = connection->lane;
    if (lane == NULL || !send->is_rooted) {
        return false;
    }
    send->port = lane->port;
    send->has_place =
        payload != NULL && mkv_rdma_place_find(lane->port, payload, byte_count, &send->place);
    if (!send->has_place && !mkv_rdma_stage_prepare(lane->port, byte_count)) {
        return false;
    }
    request->is_exposed = request->is_exposed || mkv_endpoint_expose(lane->endpoint, request->id);
    send->is_remote = request->is_exposed;
    if (send->has_place && !send->is_remote) {
        mkv_rdma_place_give(lane->port, &send->place, false);
        send->has_place = false;
    }
    return send->is_remote;
}

static void take_ready(struct mkv_connection *connection, struct mkv_request *request,
                       const struct mkv_native_ready *ready) {
    const bool moves =
        request != NULL && (request->op == MKV_NATIVE_PUT || request->op == MKV_NATIVE_COMMIT);
    if (!moves || request->is_inline || request->place_count > 0 || !request->is_sent ||
        ready->item >= request->part_count) {
        fail_protocol(connection, "READY for what was not put");
        return;
    }
    if (request->share == NULL) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "the connection to server %s was closed: it asked for a value whose "
                            "call is over",
                            connection->remote->address.text);
        return;
    }
    const struct mkv_call *call = request->share->call;
    const struct memkv_item *item = &call->items[request->parts[ready->item].item];
    if (ready->offset > item->data_bytes || ready->bytes > item->data_bytes - ready->offset ||
        ready->bytes > connection->remote->limits.block_bytes_max) {
        fail_protocol(connection, "READY outside of the value");
        return;
    }
    if (request->ready_count >= MKV_REQUEST_READY_MAX) {
        fail_protocol(connection, "too many READY at a time");
        return;
    }
    if (connection->is_send_broken) {
        return;
    }
    struct mkv_send *send = mkv_send_new(request);
    if (send == NULL) {
        mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory for what a server asks for");
        return;
    }
    request->ready_count++;
    send->payload_offset = ready->offset;
    send->payload_bytes = ready->bytes;
    /* That of a whole block went ahead with its PUT. */
    send->is_rooted = ready->bytes < item->data_bytes &&
                      (connection->greeting.limits.features & MKV_NATIVE_FEATURE_ROOTS) != 0;
    uint64_t window_offset = 0;
    bool in_window = false;
    const uint8_t *payload = NULL; /* it comes from the call's source */
    if (call->source == NULL || item->data != NULL) {
        payload = (const uint8_t *)item->data + ready->offset;
        in_window = mkv_window_finds(connection->remote->client->window, connection, payload,
                                     ready->bytes, &window_offset);
        send->payload = payload;
    }
    if (in_window) {
        request->uses_window = true;
        send->payload = NULL;
        send->payload_bytes = 0;
    } else if (is_read_remote(connection, request, send, payload, ready->bytes)) {
        send->payload_bytes = 0;
    }
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .request_id = request->id,
                                             .body_bytes = MKV_NATIVE_DATA_BYTES,
                                             .flags = in_window         ? MKV_NATIVE_FLAG_WINDOW
                                                      : send->is_remote ? MKV_NATIVE_FLAG_REMOTE
                                                                        : 0,
                                             .payload_bytes = send->payload_bytes};
    send->data = (struct mkv_native_data){.item = ready->item,
                                          .offset = ready->offset,
                                          .length = item->data_bytes,
                                          .bytes = ready->bytes,
                                          .window_offset = window_offset,
                                          .remote = send->place.remote};
    mkv_native_header_encode(&header, send->data_head);
    mkv_native_data_encode(&send->data, send->data_head + MKV_NATIVE_HEADER_BYTES);
    if (send->is_rooted && payload != NULL && (send->has_place || !send->is_remote)) {
        mkv_send_root(send, payload);
    }
    send->head = send->data_head;
    send->head_bytes = sizeof send->data_head;
    mkv_connection_append(connection, send);
}

/* ---- DATA ----------------------------------------------------------------------------------- */

/* Hashes the chunks that have come whole. */
static void data_hash(struct mkv_receive *receive) {
    const uint32_t chunk_bytes = mkv_chunk_bytes((uint32_t)receive->data.bytes);
    for (;;) {
        const uint64_t begin = (uint64_t)receive->sum_count * chunk_bytes;
        const uint64_t end = mkv_min_u64(begin + chunk_bytes, receive->data.bytes);
        if (begin >= receive->data.bytes || end > receive->done_bytes) {
            return;
        }
        receive->sums[receive->sum_count++] =
            mkv_hash_64(receive->target + begin, (size_t)(end - begin));
    }
}

/* Says of a slot that this side is done with it, unless it is not, or that goes without saying. */
static void slot_done(struct mkv_connection *connection, struct mkv_request *request,
                      bool is_quiet) {
    request->slot_count++;
    if (!is_quiet && !mkv_send_taken(request)) {
        mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory to take more of a value");
    }
}

/* Whether the slots have all that has come before of a value up to one block, in a row, and will
 * have the rest: then the server waits for none of them. */
static bool slots_have(const struct mkv_receive *receive, uint64_t block_bytes_max) {
    const struct mkv_request *request = receive->request;
    const uint64_t slots_bytes = (uint64_t)request->places[0].remote.slots * MKV_NATIVE_SLOT_BYTES;
    return receive->data.length <= mkv_min_u64(slots_bytes, block_bytes_max) &&
           receive->data.offset == request->slot_count * MKV_NATIVE_SLOT_BYTES;
}

/* Hands what has come to the call's target. Of a value up to one block it sees nothing before all
 * of it is there: in its slots, `is_kept`, or in the stage. False: the connection was given up. */
static bool to_target(struct mkv_connection *connection, struct mkv_call *call,
                      const struct mkv_part *part, bool is_kept) {
    const struct mkv_receive *receive = &connection->receive;
    const struct mkv_native_data *data = &receive->data;
    const uint64_t block_bytes_max = connection->greeting.limits.block_bytes_max;
    const uint8_t *bytes = receive->target;
    uint64_t offset = data->offset;
    uint64_t byte_count = data->bytes;
    if (receive->is_in_slot && data->length <= block_bytes_max) {
        bytes = receive->request->places[0].bounce;
        if (!is_kept) {
            if (!mkv_call_stage_reserve(call, (size_t)data->length)) {
                mkv_connection_fail(connection, MEMKV_NO_MEMORY,
                                    "no memory for a block of %llu bytes",
                                    (unsigned long long)data->length);
                return false;
            }
            if (slots_have(receive, block_bytes_max)) {
                memcpy(call->stage, bytes, (size_t)data->offset);
            }
            memcpy(call->stage + data->offset, receive->target, (size_t)byte_count);
            bytes = call->stage;
        }
        if (part->received_bytes < data->length) {
            return true;
        }
        offset = 0;
        byte_count = data->length;
    }
    if (!mkv_call_target(call, offset, data->length, bytes, (size_t)byte_count)) {
        mkv_connection_fail(connection, MEMKV_CALLBACK, "the value was not taken whole");
        return false;
    }
    return true;
}

static void data_done(struct mkv_connection *connection) {
    struct mkv_receive *receive = &connection->receive;
    receive->state = MKV_RECEIVING_HEADER;
    if (receive->request == NULL) {
        return;
    }
    struct mkv_request *request = receive->request;
    struct mkv_call *call = request->share->call;
    struct mkv_part *part = receive->part;
    struct memkv_item *item = &call->items[part->item];
    const uint64_t behind_bytes = receive->data.length - item->offset;
    const uint64_t received_bytes = part->received_bytes;
    part->received_bytes += receive->data.bytes;
    if (receive->is_rooted) {
        const struct mkv_root root = mkv_root_of_sums((uint32_t)receive->data.bytes, receive->sums);
        part->is_corrupt = part->is_corrupt || !mkv_root_equal(root, receive->data.root);
    }
    /* A piece that leaves a gap behind it ends that: the server may wait for its slot then. */
    const bool is_kept = call->target != NULL && receive->is_in_slot && !part->is_corrupt &&
                         slots_have(receive, connection->greeting.limits.block_bytes_max) &&
                         (receive->data.bytes == MKV_NATIVE_SLOT_BYTES ||
                          receive->data.offset + receive->data.bytes == receive->data.length);
    if (call->target != NULL && !part->is_corrupt && !to_target(connection, call, part, is_kept)) {
        return;
    }
    if (receive->is_in_slot) {
        if (call->target == NULL) {
            memcpy((uint8_t *)item->buffer + received_bytes, receive->target,
                   (size_t)receive->data.bytes);
        }
        const uint64_t ask_bytes = part->ask_bytes > 0 ? part->ask_bytes : behind_bytes;
        slot_done(connection, request,
                  is_kept || part->received_bytes >= mkv_min_u64(ask_bytes, behind_bytes));
    }
}

static void data_moved(struct mkv_connection *connection, uint64_t byte_count) {
    struct mkv_receive *receive = &connection->receive;
    receive->done_bytes += byte_count;
    if (receive->is_rooted) {
        data_hash(receive);
    }
    if (receive->done_bytes == receive->data.bytes) {
        data_done(connection);
    }
}

/* Of a request whose call is over: passed over. */
static void drop_data(struct mkv_receive *receive) {
    receive->request = NULL;
    receive->part = NULL;
    receive->target = NULL;
    receive->done_bytes = 0;
    receive->is_rooted = false;
    receive->is_in_slot = false;
    receive->state =
        receive->header.payload_bytes > 0 ? MKV_RECEIVING_PAYLOAD : MKV_RECEIVING_HEADER;
}

/* Where the next DATA of a GET into slots is. */
static uint8_t *slot_of(const struct mkv_request *request) {
    const struct mkv_rdma_place *place = &request->places[0];
    return place->bounce + request->slot_count % place->remote.slots * MKV_NATIVE_SLOT_BYTES;
}

/* The server has written the bytes of DATA, by RDMA, before it sent this. */
static void take_remote_data(struct mkv_connection *connection, struct mkv_request *request) {
    struct mkv_receive *receive = &connection->receive;
    if (request->place_count == 0 || receive->target == NULL) {
        fail_protocol(connection, "DATA by RDMA for a request that names no memory");
        return;
    }
    if (receive->data.remote.address != 0 || receive->data.remote.key != 0) {
        fail_protocol(connection, "DATA by RDMA that names memory of the server");
        return;
    }
    const struct mkv_rdma_place *place = &request->places[receive->data.item];
    if (!receive->is_in_slot && place->kind == MKV_RDMA_BOUNCED) {
        memcpy(receive->target, place->bounce + receive->part->received_bytes,
               (size_t)receive->data.bytes);
    }
    data_moved(connection, receive->data.bytes);
}

static void take_data(struct mkv_connection *connection, struct mkv_request *request) {
    struct mkv_receive *receive = &connection->receive;
    const struct mkv_native_data *data = &receive->data;
    if (request == NULL || request->op != MKV_NATIVE_GET || data->item >= request->part_count) {
        fail_protocol(connection, "DATA for what was not asked for");
        return;
    }
    const bool is_remote = (receive->header.flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    if (request->share == NULL) {
        drop_data(receive);
        if (is_remote && data->bytes > 0 && mkv_request_has_slots(request)) {
            slot_done(connection, request, false);
        }
        return;
    }
    struct mkv_part *part = &request->parts[data->item];
    struct mkv_call *call = request->share->call;
    const struct memkv_item *item = &call->items[part->item];
    if (data->bytes == 0) {
        return; /* of a range that has no bytes */
    }
    const uint64_t ask_bytes = part->ask_bytes > 0 ? part->ask_bytes : MKV_NATIVE_VALUE_BYTES_MAX;
    if (data->offset != item->offset + part->received_bytes ||
        data->bytes > ask_bytes - part->received_bytes) {
        fail_protocol(connection, "DATA out of order, or outside of the range asked for");
        return;
    }
    if (part->received_bytes > 0 && data->length != part->value_bytes) {
        fail_protocol(connection, "DATA of one value that changes its length");
        return;
    }
    /* All of a value comes by way of the slots, or nothing does. */
    const bool is_in_slot = is_remote && mkv_request_has_slots(request);
    if ((is_in_slot && data->bytes > MKV_NATIVE_SLOT_BYTES) ||
        (part->received_bytes > 0 && is_in_slot != (request->slot_count > 0))) {
        fail_protocol(connection, "DATA by RDMA elsewhere than in the slots that a GET names");
        return;
    }
    part->value_bytes = data->length;
    receive->request = request;
    receive->part = part;
    receive->target = NULL;
    receive->is_in_slot = is_in_slot;
    if (is_in_slot) {
        receive->target = slot_of(request);
        if (call->target != NULL) {
            mkv_rdma_slots_learn(request->port, data->length);
        }
    } else if (call->target != NULL) {
        if (!mkv_call_stage_reserve(call, (size_t)data->bytes)) {
            mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory for a block of %llu bytes",
                                (unsigned long long)data->bytes);
            return;
        }
        receive->target = call->stage;
    } else if (item->capacity > 0) {
        MKV_ASSERT(part->received_bytes + data->bytes <= item->capacity);
        receive->target = (uint8_t *)item->buffer + part->received_bytes;
    }
    receive->done_bytes = 0;
    receive->sum_count = 0;
    const bool is_whole = data->offset == 0 && data->bytes == data->length;
    const bool is_part_rooted =
        (connection->greeting.limits.features & MKV_NATIVE_FEATURE_ROOTS) != 0;
    receive->is_rooted = receive->target != NULL && (is_whole || is_part_rooted);
    receive->state = MKV_RECEIVING_PAYLOAD;
    if (is_remote) {
        take_remote_data(connection, request);
        return;
    }
    uint64_t offset = 0;
    if ((receive->header.flags & MKV_NATIVE_FLAG_WINDOW) == 0) {
        return;
    }
    if (!request->uses_window || receive->target == NULL ||
        !mkv_window_finds(connection->remote->client->window, connection, receive->target,
                          data->bytes, &offset) ||
        offset != data->window_offset) {
        fail_protocol(connection, "DATA elsewhere in the window than was asked for");
        return;
    }
    data_moved(connection, data->bytes); /* it is there already */
}

/* ---- answers -------------------------------------------------------------------------------- */

/* What a GET that was answered OK comes to; false: the connection was given up. */
static bool finish_get(struct mkv_connection *connection, struct mkv_call *call,
                       struct mkv_part *part, const struct mkv_native_result *result,
                       enum memkv_status *status) {
    struct memkv_item *item = &call->items[part->item];
    if (part->received_bytes > 0 && result->length != part->value_bytes) {
        fail_protocol(connection, "a GET answer with another length than its DATA");
        return false;
    }
    const uint64_t behind_bytes = result->length > item->offset ? result->length - item->offset : 0;
    const uint64_t wanted_bytes =
        item->length > 0 ? mkv_min_u64(item->length, behind_bytes) : behind_bytes;
    const uint64_t expected_bytes =
        part->ask_bytes > 0 ? mkv_min_u64(part->ask_bytes, behind_bytes) : behind_bytes;
    if (part->received_bytes != expected_bytes) {
        fail_protocol(connection, "a GET answer before all of its DATA");
        return false;
    }
    item->byte_count = wanted_bytes;
    item->value_bytes = result->length;
    if (part->is_corrupt) {
        *status = MEMKV_CORRUPT;
        item->byte_count = 0;
        mkv_call_note(call, part->item,
                      "bytes that came do not have the root that they were sent with; they were "
                      "discarded: check the network and memory of both machines");
    } else if (call->target == NULL && wanted_bytes > item->capacity) {
        *status = MEMKV_TOO_SMALL;
    } else if (call->target != NULL && result->length == 0 &&
               !mkv_call_target(call, 0, 0, call->stage, 0)) {
        mkv_connection_fail(connection, MEMKV_CALLBACK, "the value was not taken whole");
        return false;
    }
    return true;
}

/* False: the connection was given up. */
static bool finish_part(struct mkv_connection *connection, struct mkv_request *request,
                        struct mkv_part *part, const struct mkv_native_result *result) {
    struct mkv_call *call = request->share->call;
    struct memkv_item *item = &call->items[part->item];
    enum memkv_status status = (enum memkv_status)result->status;
    if (result->status == MKV_STATUS_OK && request->op == MKV_NATIVE_GET &&
        !finish_get(connection, call, part, result, &status)) {
        return false;
    }
    item->miss = (enum memkv_miss)result->miss;
    item->leased = result->leased > 0;
    if (request->op == MKV_NATIVE_ALLOCATE && result->status == MKV_STATUS_OK &&
        result->length > 0) {
        item->reservation = (uint64_t)connection->serial << MKV_RESERVATION_BITS | result->length;
    } else if (result->status == MKV_STATUS_OK && request->op == MKV_NATIVE_EXISTS) {
        item->value_bytes = result->length;
    }
    mkv_call_part_done(call, part, status);
    return true;
}

/* The first of the request's keys that is missing ends the prefix of the call. */
static void finish_lookup(struct mkv_request *request, const struct mkv_native_result *result) {
    struct mkv_call *call = request->share->call;
    if (call->single_status == MEMKV_OK) {
        call->single_status = (enum memkv_status)result->status;
    }
    if (result->length < request->part_count) {
        call->lookup_gap =
            mkv_min_u64(call->lookup_gap, request->parts[(uint32_t)result->length].item);
    }
    for (uint32_t index = 0; index < request->part_count; index++) {
        request->parts[index].is_done = true;
    }
}

/* False: the connection was given up. */
static bool take_results(struct mkv_connection *connection, struct mkv_request *request) {
    const bool is_lookup = request->op == MKV_NATIVE_LOOKUP;
    const uint32_t expected = is_lookup ? 1 : request->part_count;
    if (connection->receive.header.item_count != expected) {
        fail_protocol(connection, "an answer with another number of results than items");
        return false;
    }
    for (uint32_t index = 0; index < expected && request->share != NULL; index++) {
        struct mkv_native_result result;
        const enum mkv_native_error problem = mkv_native_result_decode(
            connection->body + (size_t)index * MKV_NATIVE_RESULT_BYTES, &result);
        if (problem != MKV_NATIVE_OK) {
            fail_protocol(connection, mkv_native_error_text(problem));
            return false;
        }
        if (is_lookup && result.length > request->part_count) {
            fail_protocol(connection, "a LOOKUP answer that counts more keys than there were");
            return false;
        }
        if (is_lookup) {
            finish_lookup(request, &result);
        } else if (!finish_part(connection, request, &request->parts[index], &result)) {
            return false;
        }
    }
    return true;
}

/* The server refused a request whole, or what it could not read as one. False: the latter. */
static bool take_refusal(struct mkv_connection *connection, struct mkv_request *request) {
    const struct mkv_native_header *header = &connection->receive.header;
    char text[MKV_NATIVE_TEXT_BYTES_MAX + 1u];
    mkv_client_text_copy(connection->body, header->body_bytes, text, sizeof text);
    if (request == NULL || request->op != header->op) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE, "server %s ends the connection (%s): %s",
                            connection->remote->address.text, mkv_status_name(header->status),
                            text);
        return false;
    }
    if (request->share == NULL) {
        return true;
    }
    struct mkv_call *call = request->share->call;
    const enum memkv_status status = (enum memkv_status)header->status;
    if (call->single != 0) {
        call->single_status = call->single_status == MEMKV_OK ? status : call->single_status;
        mkv_call_note(call, 0, "%s", text);
        return true;
    }
    for (uint32_t index = 0; index < request->part_count; index++) {
        struct mkv_part *part = &request->parts[index];
        mkv_call_note(call, part->item, "%s",
                      text[0] != '\0' ? text : mkv_client_status_text(status));
        mkv_call_part_done(call, part, status);
    }
    return true;
}

/* STATS and PING. False: the connection was given up. */
static bool take_single(struct mkv_connection *connection, struct mkv_request *request) {
    if (request->share == NULL || request->op == MKV_NATIVE_PING) {
        return true;
    }
    struct mkv_call *call = request->share->call;
    call->text_bytes = connection->receive.header.body_bytes;
    call->text = malloc(call->text_bytes + 1u);
    if (call->text == NULL) {
        mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory for a text of %u bytes",
                            call->text_bytes);
        return false;
    }
    memcpy(call->text, connection->body, call->text_bytes);
    return true;
}

/* Whether memory that the library had kept registered was not what the server read: it was unmapped
 * since, and other memory is there now. Then the bytes of a PUT had another root, and were refused.
 * The memory of a GET is never kept. */
static bool request_is_stale(const struct mkv_connection *connection,
                             const struct mkv_request *request) {
    const struct mkv_native_header *header = &connection->receive.header;
    if (request->share == NULL || header->op != request->op ||
        header->item_count != request->part_count) {
        return false;
    }
    for (uint32_t index = 0; index < request->part_count; index++) {
        struct mkv_native_result result;
        if (request->places[index].kind != MKV_RDMA_CACHED ||
            mkv_native_result_decode(connection->body + (size_t)index * MKV_NATIVE_RESULT_BYTES,
                                     &result) != MKV_NATIVE_OK) {
            continue;
        }
        if (result.status == MKV_STATUS_INVALID) {
            return true;
        }
    }
    return false;
}

static void take_answer(struct mkv_connection *connection, struct mkv_request *request) {
    const struct mkv_native_header *header = &connection->receive.header;
    bool is_going_on = true;
    if (request != NULL && request->place_count > 0) {
        const bool is_stale =
            header->status == MKV_STATUS_OK && request_is_stale(connection, request);
        mkv_request_conceal(request, is_stale);
        if (is_stale) {
            if (!mkv_request_again(request)) {
                mkv_connection_fail(connection, MEMKV_NO_MEMORY, "no memory for a request");
                return;
            }
            request->is_answered = true;
            mkv_request_release(request);
            return;
        }
    }
    if (header->status != MKV_STATUS_OK) {
        is_going_on = take_refusal(connection, request);
    } else if (request == NULL || request->op != header->op) {
        fail_protocol(connection, "an answer to what was not asked");
        return;
    } else if (header->op == MKV_NATIVE_STATS || header->op == MKV_NATIVE_PING) {
        is_going_on = take_single(connection, request);
    } else {
        is_going_on = take_results(connection, request);
    }
    if (is_going_on) {
        request->is_answered = true;
        mkv_request_release(request);
    }
}

/* ---- frames --------------------------------------------------------------------------------- */

static void take_greeting(struct mkv_connection *connection) {
    struct mkv_greeting *greeting = &connection->greeting;
    switch (mkv_greeting_frame(greeting, &connection->receive.header, connection->body)) {
    case MKV_GREETING_DONE:
        if (!mkv_connection_window_begin(connection) && !mkv_connection_rdma_begin(connection)) {
            mkv_connection_ready(connection);
        }
        break;
    case MKV_GREETING_SEND:
        mkv_connection_greet(connection);
        break;
    case MKV_GREETING_FAILED:
        mkv_connection_fail(connection, greeting->failure.status, "%s", greeting->failure.text);
        break;
    }
}

/* Header and body are there. */
static void take_frame(struct mkv_connection *connection) {
    struct mkv_receive *receive = &connection->receive;
    const uint8_t *body = connection->body;
    receive->state = MKV_RECEIVING_HEADER;
    if (connection->state == MKV_CONNECTION_GREETING) {
        if (connection->window_step != MKV_WINDOW_NONE) {
            mkv_connection_window_frame(connection);
        } else if (connection->rdma_step != MKV_RDMA_NONE) {
            mkv_connection_rdma_frame(connection);
        } else {
            take_greeting(connection);
        }
        return;
    }
    struct mkv_request *request = request_find(connection, receive->header.request_id);
    if ((receive->header.flags & MKV_NATIVE_FLAG_ANSWER) != 0) {
        take_answer(connection, request);
        return;
    }
    enum mkv_native_error problem = MKV_NATIVE_BAD_OP; /* a request, which no server sends */
    if (receive->header.op == MKV_NATIVE_TAKEN) {
        uint64_t count = 0;
        problem = mkv_native_taken_decode(body, &count);
        if (problem == MKV_NATIVE_OK && !mkv_send_take_back(connection, count)) {
            fail_protocol(connection, "TAKEN of more than was sent");
            return;
        }
        if (problem == MKV_NATIVE_OK) {
            return;
        }
    }
    if (receive->header.op == MKV_NATIVE_READY) {
        struct mkv_native_ready ready;
        problem = mkv_native_ready_decode(body, &ready);
        if (problem == MKV_NATIVE_OK) {
            take_ready(connection, request, &ready);
            return;
        }
    } else if (receive->header.op == MKV_NATIVE_DATA) {
        problem = mkv_native_data_decode(&receive->header, body, &receive->data);
        if (problem == MKV_NATIVE_OK) {
            take_data(connection, request);
            return;
        }
    }
    fail_protocol(connection, mkv_native_error_text(problem));
}

static void fail_header(struct mkv_connection *connection, enum mkv_native_error problem) {
    if (connection->state == MKV_CONNECTION_GREETING) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "server %s: what came is no answer to the greeting: %s; is this the "
                            "port of memkv's native listener?",
                            connection->remote->address.text, mkv_native_error_text(problem));
    } else {
        fail_protocol(connection, mkv_native_error_text(problem));
    }
}

/* Takes what it can of the bytes in `input`. False: it needs more of them. */
static bool take_input(struct mkv_connection *connection) {
    struct mkv_receive *receive = &connection->receive;
    const uint8_t *bytes = connection->input + connection->input_begin;
    const size_t byte_count = connection->input_end - connection->input_begin;
    size_t step_bytes = 0;
    switch (receive->state) {
    case MKV_RECEIVING_HEADER:
        if (byte_count < MKV_NATIVE_HEADER_BYTES) {
            return false;
        }
        connection->input_begin += MKV_NATIVE_HEADER_BYTES;
        const enum mkv_native_error problem = mkv_native_header_decode(bytes, &receive->header);
        if (problem != MKV_NATIVE_OK) {
            fail_header(connection, problem);
            return true;
        }
        receive->state = MKV_RECEIVING_BODY;
        receive->body_done_bytes = 0;
        break;
    case MKV_RECEIVING_BODY:
        step_bytes =
            (size_t)mkv_min_u64(byte_count, receive->header.body_bytes - receive->body_done_bytes);
        memcpy(connection->body + receive->body_done_bytes, bytes, step_bytes);
        receive->body_done_bytes += (uint32_t)step_bytes;
        connection->input_begin += step_bytes;
        break;
    case MKV_RECEIVING_PAYLOAD:
        if (byte_count == 0) {
            return false;
        }
        step_bytes = (size_t)mkv_min_u64(byte_count, receive->data.bytes - receive->done_bytes);
        if (receive->target != NULL) {
            memcpy(receive->target + receive->done_bytes, bytes, step_bytes);
        }
        connection->input_begin += step_bytes;
        data_moved(connection, step_bytes);
        return true;
    }
    if (receive->body_done_bytes < receive->header.body_bytes) {
        return connection->input_begin < connection->input_end;
    }
    take_frame(connection);
    return true;
}

/* Moves what is left in `input` to its begin, so that there is room for a header behind it. */
static void input_compact(struct mkv_connection *connection) {
    const size_t byte_count = connection->input_end - connection->input_begin;
    memmove(connection->input, connection->input + connection->input_begin, byte_count);
    connection->input_begin = 0;
    connection->input_end = byte_count;
}

/* Where the next bytes go: straight into the payload's place where there is one, else, and behind
 * it, into `input`. Returns how many go straight. */
static size_t places(struct mkv_connection *connection, struct iovec *iovecs, size_t *iovec_count) {
    const struct mkv_receive *receive = &connection->receive;
    size_t direct_bytes = 0;
    bool has_room_behind = true;
    *iovec_count = 0;
    input_compact(connection);
    MKV_ASSERT(connection->input_end < sizeof connection->input);
    if (receive->state == MKV_RECEIVING_PAYLOAD && receive->target != NULL) {
        MKV_ASSERT(connection->input_end == 0);
        const uint64_t left_bytes = receive->data.bytes - receive->done_bytes;
        direct_bytes = (size_t)mkv_min_u64(left_bytes, RECEIVE_BYTES_MAX);
        has_room_behind = direct_bytes == left_bytes;
        iovecs[(*iovec_count)++] = (struct iovec){.iov_base = receive->target + receive->done_bytes,
                                                  .iov_len = direct_bytes};
    }
    if (has_room_behind) {
        iovecs[(*iovec_count)++] =
            (struct iovec){.iov_base = connection->input + connection->input_end,
                           .iov_len = sizeof connection->input - connection->input_end};
    }
    return direct_bytes;
}

static void fail_stream(struct mkv_connection *connection, bool is_end) {
    const char *server = connection->remote->address.text;
    const char *problem = connection->transport->problem;
    if (connection->state == MKV_CONNECTION_GREETING) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE,
                            "server %s does not answer the greeting: %s; is it stopping, or is "
                            "this not the port of memkv's native listener?",
                            server, is_end ? "it closed the connection" : problem);
    } else if (is_end) {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE, "server %s closed the connection",
                            server);
    } else {
        mkv_connection_fail(connection, MEMKV_UNAVAILABLE, "the connection to server %s broke: %s",
                            server, problem);
    }
}

enum mkv_progress mkv_connection_receive_some(struct mkv_connection *connection) {
    struct mkv_transport *transport = connection->transport;
    struct iovec iovecs[2];
    size_t iovec_count = 0;
    if (!connection->is_readable) {
        return MKV_PROGRESS_BLOCKED;
    }
    const size_t direct_bytes = places(connection, iovecs, &iovec_count);
    size_t count = 0;
    switch (transport->ops->receive(transport, iovecs, iovec_count, &count)) {
    case MKV_TRANSPORT_MOVED:
        break;
    case MKV_TRANSPORT_BLOCKED:
        mkv_connection_blocked(connection, transport->receive_events);
        return MKV_PROGRESS_BLOCKED;
    case MKV_TRANSPORT_BROKEN:
        fail_stream(connection, false);
        return MKV_PROGRESS_MOVED;
    case MKV_TRANSPORT_ENDED:
        fail_stream(connection, true);
        return MKV_PROGRESS_MOVED;
    }
    const size_t moved_bytes = mkv_min_u64(count, direct_bytes);
    connection->input_end += count - moved_bytes;
    if (moved_bytes > 0) {
        data_moved(connection, moved_bytes);
    }
    while (is_open(connection) && take_input(connection)) {
    }
    return MKV_PROGRESS_MOVED;
}
