/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/test_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hash.h"

__attribute__((format(printf, 2, 3))) static bool complain(struct test_server *server,
                                                           const char *format, ...) {
    if (server->parent != NULL) {
        server = server->parent;
    }
    if (server->problem[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(server->problem, sizeof server->problem, format, arguments);
        va_end(arguments);
    }
    return false;
}

/* ---- what the server sends ------------------------------------------------------------------ */

/* That of all connections. */
static struct test_server *whole(struct test_server *server) {
    return server->parent != NULL ? server->parent : server;
}

static bool receive_bytes(struct test_server *server, void *bytes, size_t byte_count) {
    return server->lane != NULL ? test_lane_receive(server->lane, bytes, byte_count)
                                : test_receive(server->peer, bytes, byte_count);
}

static bool send_bytes(struct test_server *server, const uint8_t *bytes, size_t byte_count) {
    if (server->lane != NULL) {
        return test_lane_send(server->lane, bytes, byte_count);
    }
    if (!server->options.send_byte_by_byte) {
        return test_send(server->peer, bytes, byte_count);
    }
    for (size_t index = 0; index < byte_count; index++) {
        if (!test_send(server->peer, bytes + index, 1)) {
            return false;
        }
    }
    return true;
}

static bool send_frame(struct test_server *server, const struct mkv_native_header *header,
                       const uint8_t *body, const uint8_t *payload) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    mkv_native_header_encode(header, bytes);
    return send_bytes(server, bytes, sizeof bytes) &&
           send_bytes(server, body, header->body_bytes) &&
           send_bytes(server, payload, (size_t)header->payload_bytes);
}

/* False closes the connection. */
static bool send_answer(struct test_server *server, struct mkv_native_header header,
                        const uint8_t *body) {
    header.flags = MKV_NATIVE_FLAG_ANSWER;
    header.deadline_ms = 0;
    header.payload_bytes = 0;
    const size_t byte_count = MKV_NATIVE_HEADER_BYTES + header.body_bytes;
    uint8_t *bytes = malloc(byte_count);
    mkv_native_header_encode(&header, bytes);
    if (header.body_bytes > 0) {
        memcpy(bytes + MKV_NATIVE_HEADER_BYTES, body, header.body_bytes);
    }
    bool is_going_on = true;
    if (server->options.close_after != 0 && ++server->answers_sent == server->options.close_after) {
        send_bytes(server, bytes, server->options.close_inside);
        free(bytes);
        return false;
    }
    server->held[server->held_count].bytes = bytes;
    server->held[server->held_count++].byte_count = byte_count;
    if (header.op == MKV_NATIVE_PUT && server->held_count < server->options.answers_held) {
        return true;
    }
    server->options.answers_held = 0;
    while (server->held_count > 0 && is_going_on) {
        server->held_count--;
        is_going_on = send_bytes(server, server->held[server->held_count].bytes,
                                 server->held[server->held_count].byte_count);
        free(server->held[server->held_count].bytes);
    }
    return is_going_on;
}

static bool send_results(struct test_server *server, const struct mkv_native_header *header,
                         const struct mkv_native_result *results, uint32_t result_count) {
    uint8_t body[MKV_NATIVE_ITEMS_MAX * MKV_NATIVE_RESULT_BYTES];
    for (uint32_t index = 0; index < result_count; index++) {
        mkv_native_result_encode(&results[index], body + index * MKV_NATIVE_RESULT_BYTES);
    }
    struct mkv_native_header answer = {.op = header->op,
                                       .request_id = header->request_id,
                                       .item_count = result_count,
                                       .body_bytes = result_count * MKV_NATIVE_RESULT_BYTES};
    return send_answer(server, answer, body);
}

/* ---- values --------------------------------------------------------------------------------- */

static struct test_value *value_find(struct test_server *server, const uint8_t *key,
                                     uint32_t key_bytes) {
    return test_value_find(whole(server)->values, key, key_bytes);
}

static struct mkv_root root_of_value(const struct test_server *server,
                                     const struct test_value *value) {
    return value->length <= server->options.limits.block_bytes_max
               ? test_root(value->bytes, value->length)
               : (struct mkv_root){{0}};
}

/* ---- ops ------------------------------------------------------------------------------------ */

/* What a PUT is answered before its payload: OK means that it is wanted. */
static bool put_is_wanted(struct test_server *server, const struct mkv_native_item *item,
                          const uint8_t *key, struct mkv_native_result *result) {
    *result = (struct mkv_native_result){.status = MKV_STATUS_OK};
    server->seconds = item->seconds > 0 ? item->seconds : server->seconds;
    server->session_item = *item;
    server->put_flags = item->flags;
    const struct test_value *value = value_find(server, key, item->key_bytes);
    if (value == NULL) {
        return true;
    }
    if (value->length == item->length && value->length <= server->options.limits.block_bytes_max &&
        mkv_root_equal(root_of_value(server, value), item->root)) {
        return false;
    }
    result->status =
        (item->flags & MKV_NATIVE_ITEM_REPLACE) != 0 ? MKV_STATUS_OK : MKV_STATUS_CONFLICT;
    return result->status == MKV_STATUS_OK;
}

static bool finish_put(struct test_server *server, struct test_pending *pending) {
    const uint8_t *key = pending->keys;
    for (uint32_t index = 0; index < pending->header.item_count; index++) {
        const struct mkv_native_item *item = &pending->items[index];
        if (pending->values[index] != NULL) {
            const bool is_block = item->length <= server->options.limits.block_bytes_max;
            const struct mkv_root root =
                is_block ? test_root(pending->values[index], item->length) : (struct mkv_root){{0}};
            if (!mkv_root_equal(root, item->root)) {
                complain(server, "the root of a PUT is not that of its bytes");
            }
            if (!test_value_store(whole(server)->values, key, item->key_bytes,
                                  pending->values[index], item->length)) {
                complain(server, "the test server has no place for another value");
            }
        }
        key += item->key_bytes;
    }
    pending->is_used = false;
    return send_results(server, &pending->header, pending->results, pending->header.item_count);
}

static bool send_ready(struct test_server *server, struct test_pending *pending, uint32_t item,
                       uint64_t offset, uint64_t bytes) {
    const struct mkv_native_header header = {.op = MKV_NATIVE_READY,
                                             .request_id = pending->header.request_id,
                                             .body_bytes = MKV_NATIVE_READY_BYTES};
    uint8_t body[MKV_NATIVE_READY_BYTES];
    mkv_native_ready_encode(
        &(struct mkv_native_ready){.item = item, .offset = offset, .bytes = bytes}, body);
    pending->pieces_left++;
    return send_frame(server, &header, body, NULL);
}

/* Asks for all pieces of an item, from its end on if the options say so. */
static bool send_ready_of_item(struct test_server *server, struct test_pending *pending,
                               uint32_t index) {
    const uint64_t length = pending->items[index].length;
    const uint64_t block = server->options.limits.block_bytes_max;
    const uint64_t piece_count = (length + block - 1) / block;
    for (uint64_t piece = 0; piece < piece_count; piece++) {
        const uint64_t at = server->options.ready_reversed ? piece_count - 1 - piece : piece;
        if (!send_ready(server, pending, index, at * block,
                        at == piece_count - 1 ? length - at * block : block)) {
            return false;
        }
    }
    return true;
}

/* Reads what a PUT puts from the client's memory. Bytes of another root are refused, as they are by
 * the daemon. */
static bool pull_remote(struct test_server *server, struct test_pending *pending) {
    for (uint32_t index = 0; index < pending->header.item_count; index++) {
        const struct mkv_native_item *item = &pending->items[index];
        uint8_t *bytes = pending->values[index];
        if (bytes == NULL || item->length == 0) {
            continue;
        }
        if (!test_lane_read(server->lane, &item->remote, 0, bytes, item->length)) {
            return false;
        }
        whole(server)->remote_puts++;
        if (!mkv_root_equal(test_root(bytes, item->length), item->root)) {
            pending->results[index].status = MKV_STATUS_INVALID;
            pending->values[index] = NULL;
            free(bytes);
        }
    }
    return true;
}

static bool take_put(struct test_server *server, const struct mkv_native_header *header,
                     const struct mkv_native_item *items, const uint8_t *keys) {
    struct test_pending *pending = server->pending;
    uint32_t in_flight = 1;
    while (pending->is_used) {
        pending++;
        in_flight++;
        if (pending == server->pending + TEST_PENDING_MAX) {
            return complain(server, "more PUTs in flight than the test server takes");
        }
    }
    if (in_flight > server->requests_in_flight_max) {
        server->requests_in_flight_max = in_flight;
    }
    memset(pending->values, 0, sizeof pending->values);
    pending->is_used = true;
    pending->header = *header;
    pending->pieces_left = 0;
    memcpy(pending->items, items, header->item_count * sizeof *items);
    memcpy(pending->keys, keys,
           header->body_bytes - header->item_count * MKV_NATIVE_ITEM_BYTES -
               mkv_native_remote_bytes(header));
    const uint8_t *key = keys;
    for (uint32_t index = 0; index < header->item_count; index++) {
        const uint64_t length = items[index].length;
        const bool is_inline = (header->flags & MKV_NATIVE_FLAG_INLINE) != 0;
        uint8_t *bytes = malloc(length + 1);
        if (is_inline && !receive_bytes(server, bytes, length)) {
            free(bytes);
            return false;
        }
        if (put_is_wanted(server, &items[index], key, &pending->results[index])) {
            pending->values[index] = bytes;
        } else {
            free(bytes);
        }
        key += items[index].key_bytes;
    }
    if ((header->flags & MKV_NATIVE_FLAG_REMOTE) != 0) {
        return pull_remote(server, pending) && finish_put(server, pending);
    }
    for (uint32_t step = 0; step < header->item_count; step++) {
        const uint32_t index =
            server->options.ready_reversed ? header->item_count - 1 - step : step;
        if ((header->flags & MKV_NATIVE_FLAG_INLINE) == 0 && pending->values[index] != NULL &&
            !send_ready_of_item(server, pending, index)) {
            return false;
        }
    }
    return pending->pieces_left > 0 || finish_put(server, pending);
}

static bool send_taken(struct test_server *server) {
    const struct mkv_native_header header = {.op = MKV_NATIVE_TAKEN,
                                             .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    uint8_t body[MKV_NATIVE_TAKEN_BYTES];
    mkv_native_taken_encode(server->taken_count + whole(server)->taken_extra, body);
    return whole(server)->holds_taken > 0 || send_frame(server, &header, body, NULL);
}

/* Reads a piece of a PUT where DATA says that it is. */
static bool pull_piece(struct test_server *server, const struct mkv_native_data *data,
                       uint8_t *bytes) {
    if (server->lane == NULL) {
        return complain(server, "memory by RDMA, without a lane");
    }
    if (!test_lane_read(server->lane, &data->remote, 0, bytes, data->bytes)) {
        return false;
    }
    whole(server)->remote_pieces++;
    if (!mkv_root_equal(test_root(bytes, data->bytes), data->root)) {
        return complain(server, "DATA by RDMA of another root");
    }
    server->taken_count++;
    return send_taken(server);
}

static bool take_data(struct test_server *server, const struct mkv_native_header *header) {
    struct mkv_native_data data;
    const bool is_remote = (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0;
    if (mkv_native_data_decode(header, server->body, &data) != MKV_NATIVE_OK ||
        (!is_remote && data.bytes != header->payload_bytes)) {
        return complain(server, "DATA that is none");
    }
    whole(server)->stream_bytes += (unsigned)header->payload_bytes;
    for (uint32_t index = 0; index < TEST_PENDING_MAX; index++) {
        struct test_pending *pending = &server->pending[index];
        if (!pending->is_used || pending->header.request_id != header->request_id) {
            continue;
        }
        if (pending->values[data.item] == NULL || data.length != pending->items[data.item].length) {
            return complain(server, "DATA that was not asked for");
        }
        uint8_t *bytes = pending->values[data.item] + data.offset;
        if (!(is_remote ? pull_piece(server, &data, bytes)
                        : receive_bytes(server, bytes, data.bytes))) {
            return false;
        }
        return --pending->pieces_left > 0 || finish_put(server, pending);
    }
    return complain(server, "DATA of no PUT");
}

static bool receive_frame(struct test_server *server, struct mkv_native_header *header);
static bool take_frame(struct test_server *server, const struct mkv_native_header *header);

static bool defer(struct test_server *server, const struct mkv_native_header *header) {
    if (server->deferred != NULL) {
        return complain(server, "more EXISTS beside a GET than the test server takes");
    }
    server->deferred = malloc(MKV_NATIVE_HEADER_BYTES + header->body_bytes);
    assert_non_null(server->deferred);
    mkv_native_header_encode(header, server->deferred);
    memcpy(server->deferred + MKV_NATIVE_HEADER_BYTES, server->body, header->body_bytes);
    return true;
}

/* False closes the connection. */
static bool take_deferred(struct test_server *server) {
    struct mkv_native_header header;
    uint8_t *bytes = server->deferred;
    if (bytes == NULL) {
        return true;
    }
    server->deferred = NULL;
    bool is_going_on = mkv_native_header_decode(bytes, &header) == MKV_NATIVE_OK;
    if (is_going_on) {
        memcpy(server->body, bytes + MKV_NATIVE_HEADER_BYTES, header.body_bytes);
        is_going_on = take_frame(server, &header);
    }
    free(bytes);
    return is_going_on;
}

/* Waits until the client is done with so many DATA of its GET; nothing else comes meanwhile but
 * EXISTS. */
static bool await_taken(struct test_server *server, uint64_t request_id, uint64_t count) {
    uint64_t taken = 0;
    while (taken < count) {
        struct mkv_native_header header;
        if (!receive_frame(server, &header)) {
            return false;
        }
        if (header.op == MKV_NATIVE_EXISTS) {
            if (!(whole(server)->defers_exists ? defer(server, &header)
                                               : take_frame(server, &header))) {
                return false;
            }
            continue;
        }
        if (header.op != MKV_NATIVE_TAKEN || header.request_id != request_id ||
            mkv_native_taken_decode(server->body, &taken) != MKV_NATIVE_OK) {
            return complain(server, "no TAKEN of a GET into slots, but %s",
                            mkv_native_op_name(header.op));
        }
        whole(server)->takens++;
    }
    return true;
}

/* Writes a piece into the client's memory: to its place there, or into the next slot. */
static bool push_remote(struct test_server *server, const struct mkv_native_item *item,
                        uint64_t place, const uint8_t *bytes, uint64_t byte_count) {
    pthread_mutex_unlock(&whole(server)->values_lock); /* other connections go on */
    while (whole(server)->holds_writes && !whole(server)->is_stopping) {
        usleep(1000);
    }
    pthread_mutex_lock(&whole(server)->values_lock);
    whole(server)->remote_gets++;
    const bool is_written = test_lane_write(server->lane, &item->remote, place, bytes, byte_count);
    whole(server)->late_writes += is_written ? 0 : 1;
    return is_written;
}

static bool send_value(struct test_server *server, const struct mkv_native_header *request,
                       const struct mkv_native_item *wanted, uint32_t item,
                       const struct test_value *value, uint64_t offset, uint64_t length) {
    const bool is_remote =
        (request->flags & MKV_NATIVE_FLAG_REMOTE) != 0 && !server->options.puts_by_stream;
    const uint32_t slots = is_remote ? wanted->remote.slots : 0;
    const uint64_t given_max = server->options.piece_bytes != 0
                                   ? server->options.piece_bytes
                                   : server->options.limits.block_bytes_max;
    const uint64_t piece_max =
        slots > 0 ? mkv_min_u64(given_max, MKV_NATIVE_SLOT_BYTES) : given_max;
    uint64_t done = 0;
    uint64_t count = 0;
    while (done < length) {
        if (slots > 0 && count >= slots &&
            !await_taken(server, request->request_id, count - slots + 1)) {
            return false;
        }
        const uint32_t full_pieces = server->options.full_pieces;
        const uint64_t bytes = mkv_min_u64(
            full_pieces > 0 && count >= full_pieces ? piece_max / 2 : piece_max, length - done);
        const bool is_part_rooted =
            (server->options.limits.features & MKV_NATIVE_FEATURE_ROOTS) != 0 &&
            bytes < value->length;
        const struct mkv_native_data data = {
            .item = item,
            .offset = offset + done,
            .length = value->length,
            .bytes = bytes,
            .root = is_part_rooted ? test_root(value->bytes + offset + done, bytes)
                                   : root_of_value(server, value)};
        struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                           .request_id = request->request_id,
                                           .body_bytes = MKV_NATIVE_DATA_BYTES,
                                           .payload_bytes = bytes};
        uint8_t body[MKV_NATIVE_DATA_BYTES];
        mkv_native_data_encode(&data, body);
        uint8_t *payload = malloc(bytes);
        memcpy(payload, value->bytes + offset + done, bytes);
        if (++server->data_count == server->options.corrupt_at) {
            payload[bytes / 2] ^= 0x10;
        }
        bool is_sent = true;
        if (is_remote) {
            header.flags = MKV_NATIVE_FLAG_REMOTE;
            header.payload_bytes = 0;
            is_sent = push_remote(server, wanted,
                                  slots > 0 ? count % slots * MKV_NATIVE_SLOT_BYTES
                                            : offset + done - wanted->offset,
                                  payload, bytes);
        }
        count++;
        whole(server)->stream_bytes += (unsigned)header.payload_bytes;
        is_sent = is_sent && send_frame(server, &header, body, payload);
        free(payload);
        if (!is_sent) {
            return false;
        }
        done += bytes;
    }
    return true;
}

static bool take_get(struct test_server *server, const struct mkv_native_header *header,
                     const struct mkv_native_item *items, const uint8_t *keys) {
    struct mkv_native_result results[MKV_NATIVE_ITEMS_MAX] = {0};
    const uint8_t *key = keys;
    for (uint32_t index = 0; index < header->item_count; index++) {
        const struct mkv_native_item *item = &items[index];
        const struct test_value *value = value_find(server, key, item->key_bytes);
        key += item->key_bytes;
        if (value == NULL) {
            results[index].status = MKV_STATUS_NOT_FOUND;
            results[index].miss = MKV_MISS_EVICTED;
            continue;
        }
        results[index].length = value->length;
        const uint64_t behind = value->length > item->offset ? value->length - item->offset : 0;
        const uint64_t length = item->length > 0 ? mkv_min_u64(item->length, behind) : behind;
        if (!send_value(server, header, item, index, value, item->offset, length)) {
            return false;
        }
    }
    return send_results(server, header, results, header->item_count) && take_deferred(server);
}

static bool take_keys(struct test_server *server, const struct mkv_native_header *header,
                      const struct mkv_native_item *items, const uint8_t *keys) {
    struct mkv_native_result results[MKV_NATIVE_ITEMS_MAX] = {0};
    const uint8_t *key = keys;
    uint64_t resident = 0;
    for (uint32_t index = 0; index < header->item_count; index++) {
        struct test_value *value = value_find(server, key, items[index].key_bytes);
        key += items[index].key_bytes;
        if (header->op == MKV_NATIVE_SESSION) {
            server->session_item = items[index];
            results[index].status =
                items[index].session == 404 ? MKV_STATUS_NOT_FOUND : MKV_STATUS_OK;
            continue;
        }
        results[index].status = value != NULL ? MKV_STATUS_OK : MKV_STATUS_NOT_FOUND;
        results[index].miss = value != NULL ? MKV_MISS_NONE : MKV_MISS_UNKNOWN;
        if (value != NULL && header->op == MKV_NATIVE_PIN) {
            server->seconds = items[index].seconds;
            results[index].leased = 1;
        } else if (value != NULL && header->op == MKV_NATIVE_EXISTS) {
            results[index].leased = 1;
            results[index].length = mkv_round_up_u64(value->length, MKV_UNIT_BYTES);
        } else if (value != NULL && header->op == MKV_NATIVE_DELETE) {
            test_value_drop(value);
        }
        resident += resident == index && value != NULL ? 1 : 0;
    }
    if (header->op == MKV_NATIVE_LOOKUP) {
        results[0] = (struct mkv_native_result){.status = MKV_STATUS_OK, .length = resident};
        return send_results(server, header, results, 1);
    }
    return send_results(server, header, results, header->item_count);
}

/* The connection becomes a lane. */
static bool take_connect(struct test_server *server, const struct mkv_native_header *header) {
    struct mkv_native_connect connect;
    struct mkv_native_connect answer;
    uint8_t body[MKV_NATIVE_CONNECT_BYTES];
    struct mkv_native_header out = {.op = MKV_NATIVE_CONNECT,
                                    .flags = MKV_NATIVE_FLAG_ANSWER,
                                    .request_id = header->request_id};
    if (!server->options.has_rdma || server->lane != NULL ||
        mkv_native_connect_decode(header, server->body, &connect) != MKV_NATIVE_OK) {
        return complain(server, "a CONNECT that is not due, or none");
    }
    whole(server)->connect_fallback = connect.fallback;
    const char *refusal = whole(server)->rdma_refusal;
    if (refusal != NULL) {
        out.status = MKV_STATUS_UNAVAILABLE;
        out.body_bytes = (uint32_t)strlen(refusal);
        return test_send_frame(server->peer, &out, refusal, NULL);
    }
    struct mkv_endpoint *lane = test_lane_accept(&connect, &answer);
    if (lane == NULL) {
        return complain(server, "a CONNECT of no queue pair");
    }
    answer.mtu_bytes = server->options.rdma_mtu > 0 ? server->options.rdma_mtu : answer.mtu_bytes;
    mkv_native_connect_encode(&answer, body);
    out.body_bytes = sizeof body;
    whole(server)->connect_count++;
    const bool is_sent = test_send_frame(server->peer, &out, body, NULL);
    server->lane = lane;
    return is_sent;
}

static bool take_frame(struct test_server *server, const struct mkv_native_header *header) {
    static const char stats[] = "{\"blocks\":7}";
    struct mkv_native_header answer = {.op = header->op, .request_id = header->request_id};
    if (header->op == MKV_NATIVE_DATA) {
        return take_data(server, header);
    }
    if (header->op == MKV_NATIVE_TAKEN) {
        whole(server)->takens++;
        return server->lane != NULL || complain(server, "TAKEN without a lane");
    }
    if (header->op == MKV_NATIVE_CONNECT) {
        return take_connect(server, header);
    }
    if (header->op == MKV_NATIVE_PING) {
        return send_answer(server, answer, NULL);
    }
    if (header->op == MKV_NATIVE_SHARDS && server->options.shards.shard_count > 0) {
        uint8_t body[MKV_NATIVE_SHARDS_BYTES_MAX];
        answer.body_bytes = mkv_native_shards_encode(&server->options.shards, body);
        return send_answer(server, answer, body);
    }
    if (header->op == MKV_NATIVE_STATS) {
        answer.body_bytes = sizeof stats - 1;
        return send_answer(server, answer, (const uint8_t *)stats);
    }
    if (header->op == MKV_NATIVE_HELLO || header->op == MKV_NATIVE_READY ||
        header->request_id == 0) {
        return complain(server, "a frame that no client sends: %s", mkv_native_op_name(header->op));
    }
    const struct mkv_native_hello_answer *limits = &server->options.limits;
    struct mkv_native_item items[MKV_NATIVE_ITEMS_MAX];
    uint32_t keys_offset = 0;
    const enum mkv_native_error problem =
        mkv_native_items_decode(header, server->body, items, &keys_offset);
    if (problem != MKV_NATIVE_OK) {
        return complain(server, "items: %s", mkv_native_error_text(problem));
    }
    if (header->item_count > limits->items_max || header->body_bytes > limits->body_bytes_max ||
        header->payload_bytes > limits->inline_bytes_max) {
        return complain(server, "a request above the limits of HELLO");
    }
    if ((header->flags & MKV_NATIVE_FLAG_REMOTE) != 0) {
        whole(server)->remote_frames++;
        if (server->lane == NULL) {
            return complain(server, "memory by RDMA, without a lane");
        }
    }
    if (mkv_native_trace_bytes(header) > 0) {
        const uint8_t *trace = server->body + header->body_bytes - MKV_NATIVE_TRACE_BYTES;
        if ((limits->features & MKV_NATIVE_FEATURE_TRACE) == 0 ||
            mkv_native_trace_decode(trace, &server->trace) != MKV_NATIVE_OK) {
            return complain(server, "a trace context that it may not send");
        }
        server->traced++;
    }
    const uint8_t *keys = server->body + keys_offset;
    if (header->op == MKV_NATIVE_PUT) {
        return take_put(server, header, items, keys);
    }
    if (header->op == MKV_NATIVE_GET) {
        return take_get(server, header, items, keys);
    }
    return take_keys(server, header, items, keys);
}

/* ---- connections ---------------------------------------------------------------------------- */

bool test_greet(struct test_server *server, int peer) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES];
    struct mkv_native_header header;
    struct mkv_native_hello hello;
    if (!test_receive(peer, bytes, sizeof bytes)) {
        return false;
    }
    uint8_t behind[MKV_TENANT_STORED_NAME_BYTES_MAX + MKV_NATIVE_RING_BYTES];
    if (mkv_native_header_decode(bytes, &header) != MKV_NATIVE_OK ||
        header.op != MKV_NATIVE_HELLO ||
        mkv_native_hello_decode(bytes + MKV_NATIVE_HEADER_BYTES, &hello) != MKV_NATIVE_OK ||
        !test_receive(peer, behind, header.body_bytes - MKV_NATIVE_HELLO_BYTES)) {
        return complain(server, "the first frame is no HELLO");
    }
    const uint32_t tenant_bytes =
        header.body_bytes - MKV_NATIVE_HELLO_BYTES - mkv_native_ring_bytes(&header);
    if (mkv_native_tenant_decode(behind, tenant_bytes, server->client_tenant) != MKV_NATIVE_OK) {
        return complain(server, "a HELLO of no tenant");
    }
    server->ring_hash =
        mkv_native_ring_bytes(&header) > 0 ? mkv_native_ring_decode(behind + tenant_bytes) : 0;
    memcpy(server->client_name, hello.name, sizeof server->client_name);
    server->frame_count++;
    whole(server)->hello_fallback = hello.fallback;
    whole(server)->hello_wants_rdma += (hello.features & MKV_NATIVE_FEATURE_RDMA) != 0 ? 1 : 0;
    header.flags = MKV_NATIVE_FLAG_ANSWER;
    header.body_bytes = MKV_NATIVE_HELLO_ANSWER_BYTES;
    uint8_t body[MKV_NATIVE_HELLO_ANSWER_BYTES];
    struct mkv_native_hello_answer limits = server->options.limits;
    limits.features |= server->options.shards.shard_count > 0 ? MKV_NATIVE_FEATURE_SHARDS : 0;
    limits.features |= server->options.has_rdma && !whole(server)->rdma_is_gone
                           ? hello.features & MKV_NATIVE_FEATURE_RDMA
                           : 0;
    mkv_native_hello_answer_encode(&limits, body);
    return test_send_frame(peer, &header, body, NULL);
}

static bool receive_frame(struct test_server *server, struct mkv_native_header *header) {
    uint8_t bytes[MKV_NATIVE_HEADER_BYTES];
    return receive_bytes(server, bytes, sizeof bytes) &&
           mkv_native_header_decode(bytes, header) == MKV_NATIVE_OK &&
           receive_bytes(server, server->body, header->body_bytes);
}

static void serve(struct test_server *server) {
    if (!test_greet(server, server->peer)) {
        return;
    }
    struct mkv_native_header header;
    while (receive_frame(server, &header)) {
        whole(server)->frame_count++;
        while (whole(server)->is_paused && !whole(server)->is_stopping) {
            usleep(1000);
        }
        pthread_mutex_lock(&whole(server)->values_lock);
        const bool is_going_on = take_frame(server, &header);
        pthread_mutex_unlock(&whole(server)->values_lock);
        if (!is_going_on) {
            break;
        }
    }
    server->lane = NULL;
    for (uint32_t index = 0; index < TEST_PENDING_MAX; index++) {
        for (uint32_t item = 0; server->pending[index].is_used && item < MKV_NATIVE_ITEMS_MAX;
             item++) {
            free(server->pending[index].values[item]);
        }
        server->pending[index].is_used = false;
    }
}

static void buffers_make(struct test_server *server) {
    server->body = malloc(MKV_NATIVE_BODY_BYTES_MAX);
    server->pending = calloc(TEST_PENDING_MAX, sizeof *server->pending);
    assert_non_null(server->body);
    assert_non_null(server->pending);
}

static void buffers_free(struct test_server *server) {
    for (uint32_t index = 0; index < server->held_count; index++) {
        free(server->held[index].bytes);
    }
    free(server->pending);
    free(server->deferred);
    free(server->body);
}

static void *serve_child(void *context) {
    struct test_server *server = context;
    serve(server);
    shutdown(server->peer, SHUT_RDWR);
    return NULL;
}

/* Serves a connection on a thread of its own, which ends with the server. */
static void child_start(struct test_server *server, int peer) {
    struct test_server *child = calloc(1, sizeof *child);
    assert_non_null(child);
    assert_true(server->child_count < TEST_CHILDREN_MAX);
    child->options = server->options;
    child->parent = server;
    child->peer = peer;
    buffers_make(child);
    server->children[server->child_count++] = child;
    assert_int_equal(pthread_create(&child->thread, NULL, serve_child, child), 0);
}

static void *accept_loop(void *context) {
    struct test_server *server = context;
    for (;;) {
        const int peer = accept(server->listener, NULL, NULL);
        if (peer < 0 || server->is_stopping) {
            if (peer >= 0) {
                close(peer);
            }
            return NULL;
        }
        const int on = 1;
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        server->connection_count++;
        server->peer = peer;
        if (server->options.is_concurrent) {
            child_start(server, peer);
            continue;
        }
        if (server->options.script != NULL) {
            server->options.script(server, peer);
        } else {
            serve(server);
        }
        close(peer);
    }
}

struct test_server *test_server_start(const struct test_server_options *options) {
    struct test_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    if (options != NULL) {
        server->options = *options;
    }
    if (server->options.limits.version == 0) {
        server->options.limits = test_limits();
    }
    buffers_make(server);
    pthread_mutex_init(&server->values_lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &address_bytes), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, accept_loop, server), 0);
    return server;
}

void test_server_stop(struct test_server *server) {
    server->is_stopping = true;
    shutdown(server->listener, SHUT_RDWR); /* wakes accept */
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (uint32_t index = 0; index < server->child_count; index++) {
        struct test_server *child = server->children[index];
        shutdown(child->peer, SHUT_RDWR);
        pthread_join(child->thread, NULL);
        close(child->peer);
        buffers_free(child);
        free(child);
    }
    char problem[sizeof server->problem];
    memcpy(problem, server->problem, sizeof problem);
    for (uint32_t index = 0; index < TEST_VALUES_MAX; index++) {
        free(server->values[index].bytes);
    }
    buffers_free(server);
    free(server);
    assert_string_equal(problem, "");
}
