/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client/exchange.h"

static struct mkv_exchange_send *send_at(struct mkv_exchange *exchange, uint32_t position) {
    return &exchange->sends[(exchange->sends_begin + position) % MKV_EXCHANGE_SENDS_MAX];
}

struct mkv_exchange_send *mkv_exchange_send_append(struct mkv_exchange *exchange) {
    MKV_ASSERT(exchange->sends_count < MKV_EXCHANGE_SENDS_MAX);
    struct mkv_exchange_send *send = send_at(exchange, exchange->sends_count++);
    memset(send, 0, sizeof *send);
    return send;
}

/* What comes next of a payload that the source supplies; NULL when the source failed. */
static const uint8_t *stage_fill(struct mkv_exchange *exchange,
                                 const struct mkv_exchange_send *send, uint64_t payload_done,
                                 size_t *byte_count) {
    const uint64_t offset = send->payload_offset + payload_done;
    const uint64_t left_bytes = send->payload_bytes - payload_done;
    const bool is_staged =
        offset >= exchange->stage_offset && offset - exchange->stage_offset < exchange->stage_bytes;
    if (!is_staged) {
        const size_t read_bytes = (size_t)mkv_min_u64(left_bytes, MKV_EXCHANGE_STAGE_BYTES);
        if (!mkv_exchange_stage_reserve(exchange, MKV_EXCHANGE_STAGE_BYTES) ||
            !mkv_exchange_call_source(exchange, offset, read_bytes)) {
            return NULL;
        }
    }
    const size_t begin = (size_t)(offset - exchange->stage_offset);
    *byte_count = (size_t)mkv_min_u64(exchange->stage_bytes - begin, left_bytes);
    return exchange->stage + begin;
}

static void iovec_append(struct iovec *iovecs, size_t *iovec_count, const uint8_t *bytes,
                         size_t byte_count) {
    /* An iovec is used for both directions, so it has no const. */
    union {
        const uint8_t *given;
        void *taken;
    } base = {.given = bytes};
    iovecs[(*iovec_count)++] = (struct iovec){.iov_base = base.taken, .iov_len = byte_count};
}

/* Lists what can be sent now, in order. 0: the source failed. */
static size_t gather(struct mkv_exchange *exchange, struct iovec *iovecs) {
    size_t iovec_count = 0;
    for (uint32_t position = 0; position < exchange->sends_count; position++) {
        const struct mkv_exchange_send *send = send_at(exchange, position);
        if (iovec_count + 2 > MKV_TRANSPORT_IOVECS_MAX) {
            break;
        }
        if (send->done_bytes < send->head_bytes) {
            iovec_append(iovecs, &iovec_count, send->head + send->done_bytes,
                         send->head_bytes - (size_t)send->done_bytes);
        }
        if (send->payload_bytes == 0) {
            continue;
        }
        const uint64_t payload_done =
            send->done_bytes > send->head_bytes ? send->done_bytes - send->head_bytes : 0;
        if (send->payload != NULL) {
            iovec_append(iovecs, &iovec_count, send->payload + payload_done,
                         (size_t)(send->payload_bytes - payload_done));
            continue;
        }
        /* The stage holds a piece of one payload, so nothing goes behind it this time. */
        if (position == 0) {
            size_t staged_bytes = 0;
            const uint8_t *staged = stage_fill(exchange, send, payload_done, &staged_bytes);
            if (staged == NULL) {
                return 0;
            }
            iovec_append(iovecs, &iovec_count, staged, staged_bytes);
        }
        break;
    }
    return iovec_count;
}

static void mark_started(struct mkv_exchange *exchange,
                         const struct mkv_exchange_request *request) {
    for (uint32_t index = 0; index < request->item_count; index++) {
        exchange->states[exchange->order[request->first + index]].is_started = true;
    }
}

static void advance(struct mkv_exchange *exchange, uint64_t sent_bytes) {
    while (sent_bytes > 0) {
        struct mkv_exchange_send *send = send_at(exchange, 0);
        const uint64_t left_bytes = send->head_bytes + send->payload_bytes - send->done_bytes;
        const uint64_t step_bytes = mkv_min_u64(sent_bytes, left_bytes);
        if (send->is_request && send->done_bytes == 0) {
            mark_started(exchange, send->request);
        }
        send->done_bytes += step_bytes;
        sent_bytes -= step_bytes;
        if (step_bytes < left_bytes) {
            return;
        }
        struct mkv_exchange_request *request = send->request;
        if (send->is_request) {
            request->is_sent = true;
        } else {
            request->ready_count--;
        }
        exchange->sends_begin = (exchange->sends_begin + 1) % MKV_EXCHANGE_SENDS_MAX;
        exchange->sends_count--;
        mkv_exchange_request_release(exchange, request);
    }
}

enum mkv_exchange_progress mkv_exchange_send_some(struct mkv_exchange *exchange) {
    struct iovec iovecs[MKV_TRANSPORT_IOVECS_MAX];
    const size_t iovec_count = gather(exchange, iovecs);
    if (iovec_count == 0) {
        MKV_ASSERT(exchange->is_failed);
        return MKV_EXCHANGE_BLOCKED;
    }
    struct mkv_transport *transport = exchange->client->transport;
    size_t byte_count = 0;
    switch (transport->ops->send(transport, iovecs, iovec_count, &byte_count)) {
    case MKV_TRANSPORT_MOVED:
        advance(exchange, byte_count);
        return MKV_EXCHANGE_MOVED;
    case MKV_TRANSPORT_BLOCKED:
        return MKV_EXCHANGE_BLOCKED;
    case MKV_TRANSPORT_ENDED:
    case MKV_TRANSPORT_BROKEN:
        break;
    }
    /* The server may have said why it takes no more: what it sent is still to be read. */
    exchange->is_send_broken = true;
    exchange->sends_count = 0;
    return MKV_EXCHANGE_MOVED;
}
