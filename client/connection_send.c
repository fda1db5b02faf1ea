/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be sent over a connection, in the order in which it was decided: a request's frame, or
 * the DATA that a READY asked for.
 *
 *   DATA by RDMA:   sends (waits for a stage, is filled) ──▶ untaken ──TAKEN──▶ its place is free
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
    if (send->has_place) {
        mkv_rdma_place_give(send->port, &send->place, false);
    }
    if (send->is_data || send->is_taken) {
        free(send);
    }
}

bool mkv_send_taken(struct mkv_request *request) {
    struct mkv_connection *connection = request->connection;
    struct mkv_send *send = TAILQ_LAST(&connection->sends, mkv_send_list);
    const struct mkv_native_header header = {
        .op = MKV_NATIVE_TAKEN, .request_id = request->id, .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    if (connection->is_send_broken) {
        return true;
    }
    /* The last count says it all, if it has not begun to leave. */
    if (send == NULL || !send->is_taken || send->data.offset != request->id || send->is_held ||
        send->done_bytes > 0) {
        send = calloc(1, sizeof *send);
        if (send == NULL) {
            return false;
        }
        send->is_taken = true;
        send->data.offset = request->id;
        send->head = send->data_head;
        send->head_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_TAKEN_BYTES;
        mkv_native_header_encode(&header, send->data_head);
        mkv_connection_append(connection, send);
    }
    mkv_native_taken_encode(request->slot_count, send->data_head + MKV_NATIVE_HEADER_BYTES);
    return true;
}

bool mkv_send_take_back(struct mkv_connection *connection, uint64_t count) {
    struct mkv_metrics *metrics = connection->remote->client->metrics;
    while (connection->taken_count < count) {
        struct mkv_send *send = TAILQ_FIRST(&connection->untaken);
        if (send == NULL) {
            return false;
        }
        struct mkv_request *request = send->request;
        TAILQ_REMOVE(&connection->untaken, send, link);
        connection->taken_count++;
        request->ready_count--;
        if (metrics != NULL) {
            mkv_metrics_rdma_moved(metrics, send->place.kind, send->data.bytes);
        }
        mkv_send_free(send);
        mkv_request_release(request);
    }
    return true;
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

enum staged {
    STAGED = 1,
    STAGED_LATER, /* the server reads all stages that there are */
    STAGED_NOT,   /* the source failed */
};

static bool has_stage(const struct mkv_send_list *sends) {
    const struct mkv_send *send;
    TAILQ_FOREACH(send, sends, link) {
        if (send->has_place && send->place.stage != NULL) {
            return true;
        }
    }
    return false;
}

/* Has the payload follow its head after all. */
static void into_stream(struct mkv_send *send) {
    const struct mkv_native_header header = {.op = MKV_NATIVE_DATA,
                                             .request_id = send->request->id,
                                             .body_bytes = MKV_NATIVE_DATA_BYTES,
                                             .payload_bytes = send->data.bytes};
    MKV_ASSERT(send->done_bytes == 0);
    send->is_remote = false;
    send->payload_bytes = send->data.bytes;
    mkv_native_header_encode(&header, send->data_head);
    if (send->payload != NULL) {
        mkv_send_root(send, send->payload);
    }
}

/* Puts what the server is to read where it can. Where other connections have all stages it goes
 * through the stream: their servers may take for ever. */
static enum staged remote_fill(struct mkv_connection *connection, struct mkv_send *send) {
    struct mkv_call *call = send->request->share->call;
    const size_t byte_count = (size_t)send->data.bytes;
    if (!mkv_rdma_stage_take(send->port, byte_count, &send->place)) {
        if (has_stage(&connection->untaken) || has_stage(&connection->sends)) {
            return STAGED_LATER;
        }
        into_stream(send);
        return STAGED;
    }
    send->has_place = true;
    if (send->payload != NULL) {
        memcpy(send->place.bounce, send->payload, byte_count);
    } else if (!mkv_call_source_to(call, send->payload_offset, send->place.bounce, byte_count)) {
        return STAGED_NOT;
    }
    send->data.remote = send->place.remote;
    mkv_send_root(send, send->place.bounce);
    return STAGED;
}

/* Lists what can be sent now, in order. `is_failed`: the source failed. */
static size_t gather(struct mkv_connection *connection, struct iovec *iovecs, bool *is_failed) {
    size_t iovec_count = 0;
    bool has_filled = false;
    struct mkv_send *send;
    *is_failed = false;
    TAILQ_FOREACH(send, &connection->sends, link) {
        if (iovec_count + 2 > MKV_TRANSPORT_IOVECS_MAX) {
            break;
        }
        if (send->is_remote && !send->has_place) {
            /* One at a time, so that the server reads it while the next one is filled. */
            const enum staged staged = has_filled ? STAGED_LATER : remote_fill(connection, send);
            *is_failed = staged == STAGED_NOT;
            if (staged != STAGED) {
                break;
            }
            has_filled = true;
        }
        if (send->is_rooted && !send->has_root) {
            /* Only the first can be staged; the others wait until they are it. */
            size_t staged_bytes = 0;
            if (send != TAILQ_FIRST(&connection->sends)) {
                break;
            }
            const uint8_t *staged = stage_fill(send, 0, &staged_bytes);
            if (staged == NULL) {
                *is_failed = true;
                break;
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
                *is_failed = true;
                break;
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
        if (send->is_remote) {
            TAILQ_INSERT_TAIL(&connection->untaken, send, link);
            continue;
        }
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
    bool is_failed = false;
    const size_t iovec_count = gather(connection, iovecs, &is_failed);
    if (is_failed) {
        mkv_connection_fail(connection, MEMKV_CALLBACK, "the value was not supplied whole");
        return MKV_PROGRESS_MOVED;
    }
    if (iovec_count == 0) {
        return MKV_PROGRESS_BLOCKED; /* until the server has read a stage */
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
