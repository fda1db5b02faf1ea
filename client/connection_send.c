/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be sent over a connection, in the order in which it was decided: a request's frame, or
 * the DATA that a READY asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"
#include "core/hash.h"

void mkv_connection_append(struct mkv_connection *connection, struct mkv_send *send) {
    TAILQ_INSERT_TAIL(&connection->sends, send, link);
}

struct mkv_send *mkv_send_new(struct mkv_request *request) {
    struct mkv_send *send = calloc(1, sizeof *send);
    if (send != NULL) {
        send->request = request;
        send->is_data = true;
    }
    return send;
}

void mkv_send_free(struct mkv_send *send) {
    if (send->is_data) {
        free(send);
    }
}

void mkv_send_root(struct mkv_send *send, const uint8_t *payload) {
    uint64_t sums[MKV_CHUNKS_MAX];
    MKV_ASSERT(send->done_bytes == 0);
    mkv_chunk_sums(payload, (uint32_t)send->data.bytes, sums);
    send->data.root = mkv_root_of_sums((uint32_t)send->data.bytes, sums);
    mkv_native_data_encode(&send->data, send->data_head + MKV_NATIVE_HEADER_BYTES);
    send->has_root = true;
}

/* What comes next of a payload that the source supplies; NULL when the source failed. */
static const uint8_t *stage_fill(const struct mkv_send *send, uint64_t payload_done,
                                 size_t *byte_count) {
    struct mkv_call *call = send->request->share->call;
    const uint64_t offset = send->payload_offset + payload_done;
    const uint64_t left_bytes = send->payload_bytes - payload_done;
    const bool is_staged =
        offset >= call->stage_offset && offset - call->stage_offset < call->stage_bytes;
    if (!is_staged) {
        /* What has a root is needed whole before its head. */
        const size_t read_bytes = send->is_rooted
                                      ? (size_t)left_bytes
                                      : (size_t)mkv_min_u64(left_bytes, MKV_CALL_STAGE_BYTES);
        if (!mkv_call_stage_reserve(call, read_bytes)) {
            mkv_call_note(call, 0, "no memory for a piece of the value");
            return NULL;
        }
        if (!mkv_call_source(call, offset, read_bytes)) {
            return NULL;
        }
    }
    const size_t begin = (size_t)(offset - call->stage_offset);
    *byte_count = (size_t)mkv_min_u64(call->stage_bytes - begin, left_bytes);
    return call->stage + begin;
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
static size_t gather(struct mkv_connection *connection, struct iovec *iovecs) {
    size_t iovec_count = 0;
    struct mkv_send *send;
    TAILQ_FOREACH(send, &connection->sends, link) {
        if (iovec_count + 2 > MKV_TRANSPORT_IOVECS_MAX) {
            break;
        }
        if (send->is_rooted && !send->has_root) {
            /* Only the first can be staged; the others wait until they are it. */
            size_t staged_bytes = 0;
            if (send != TAILQ_FIRST(&connection->sends)) {
                break;
            }
            const uint8_t *staged = stage_fill(send, 0, &staged_bytes);
            if (staged == NULL) {
                return 0;
            }
            MKV_ASSERT(staged_bytes == send->payload_bytes);
            mkv_send_root(send, staged);
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
        if (send == TAILQ_FIRST(&connection->sends)) {
            size_t staged_bytes = 0;
            const uint8_t *staged = stage_fill(send, payload_done, &staged_bytes);
            if (staged == NULL) {
                return 0;
            }
            iovec_append(iovecs, &iovec_count, staged, staged_bytes);
        }
        break;
    }
    return iovec_count;
}

static void mark_started(const struct mkv_request *request) {
    for (uint32_t index = 0; request->share != NULL && index < request->part_count; index++) {
        request->parts[index].is_started = true;
    }
}

/* What the transport has of the first sends goes out with its next bytes: none of them is taken
 * back. */
static void mark_held(const struct mkv_connection *connection) {
    uint64_t held_bytes = connection->transport->held_bytes;
    struct mkv_send *send;
    TAILQ_FOREACH(send, &connection->sends, link) {
        if (held_bytes == 0) {
            break;
        }
        const uint64_t left_bytes = send->head_bytes + send->payload_bytes - send->done_bytes;
        held_bytes -= mkv_min_u64(held_bytes, left_bytes);
        send->is_held = true;
        if (send->request != NULL && !send->is_data) {
            mark_started(send->request);
        }
    }
}

static void advance(struct mkv_connection *connection, uint64_t sent_bytes) {
    while (sent_bytes > 0) {
        struct mkv_send *send = TAILQ_FIRST(&connection->sends);
        const uint64_t left_bytes = send->head_bytes + send->payload_bytes - send->done_bytes;
        const uint64_t step_bytes = mkv_min_u64(sent_bytes, left_bytes);
        struct mkv_request *request = send->request;
        if (request != NULL && !send->is_data && send->done_bytes == 0) {
            mark_started(request);
        }
        send->done_bytes += step_bytes;
        sent_bytes -= step_bytes;
        if (step_bytes < left_bytes) {
            return;
        }
        TAILQ_REMOVE(&connection->sends, send, link);
        if (request != NULL && send->is_data) {
            request->ready_count--;
        } else if (request != NULL) {
            request->is_sent = true;
        }
        mkv_send_free(send);
        if (request != NULL) {
            mkv_request_release(request);
        }
    }
}

/* Nothing more can be sent, so nothing waits for it. */
static void drop_all(struct mkv_connection *connection) {
    struct mkv_send *send;
    while ((send = TAILQ_FIRST(&connection->sends)) != NULL) {
        TAILQ_REMOVE(&connection->sends, send, link);
        mkv_send_free(send);
    }
}

enum mkv_progress mkv_connection_send_some(struct mkv_connection *connection) {
    struct mkv_transport *transport = connection->transport;
    struct iovec iovecs[MKV_TRANSPORT_IOVECS_MAX];
    if (TAILQ_EMPTY(&connection->sends) || !connection->is_writable) {
        return MKV_PROGRESS_BLOCKED;
    }
    const size_t iovec_count = gather(connection, iovecs);
    if (iovec_count == 0) {
        mkv_connection_fail(connection, MEMKV_CALLBACK, "the value was not supplied whole");
        return MKV_PROGRESS_MOVED;
    }
    size_t byte_count = 0;
    switch (transport->ops->send(transport, iovecs, iovec_count, &byte_count)) {
    case MKV_TRANSPORT_MOVED:
        advance(connection, byte_count);
        return MKV_PROGRESS_MOVED;
    case MKV_TRANSPORT_BLOCKED:
        mark_held(connection);
        mkv_connection_blocked(connection, transport->send_events);
        return MKV_PROGRESS_BLOCKED;
    case MKV_TRANSPORT_ENDED:
    case MKV_TRANSPORT_BROKEN:
        break;
    }
    /* The server may have said why it takes no more: what it sent is still to be read. */
    connection->is_send_broken = true;
    connection->is_readable = true;
    drop_all(connection);
    return MKV_PROGRESS_MOVED;
}
