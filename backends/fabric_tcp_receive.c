/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the bytes of a connection to frames and payloads.
 *
 *   control buffer   |..taken up..|start   frames, whole and begun        end|..free..|
 *
 *   A payload, or a body that the control buffer cannot hold, goes straight to where it belongs;
 *   what of it had come with the frame before is copied there.
 */
#include <errno.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_internal.h"
#include "core/hash.h"

/* So many TAKEN go before a frame that is paused in one turn of their connection: each has what is
 * behind it moved. */
#define OVERTAKES_MAX 64u

enum progress {
    PROGRESS_MORE = 0, /* look again: there may be another whole frame */
    PROGRESS_BYTES,    /* more bytes are needed */
    PROGRESS_STOP,     /* paused, refused or broken */
};

static uint32_t control_bytes(const struct mkv_tcp_connection *connection) {
    return connection->control_end - connection->control_start;
}

static uint8_t *payload_of_slab(const struct mkv_tcp_connection *connection,
                                const struct mkv_transfer_effect *transfer) {
    return mkv_arena_slab(connection->fabric->options.arena, transfer->slab) + MKV_UNIT_BYTES;
}

/* Where the bytes go that do not belong into the control buffer, and how many of them there are. */
static uint8_t *direct_target(const struct mkv_tcp_connection *connection, uint32_t *bytes) {
    switch (connection->receiving) {
    case MKV_TCP_RECEIVING_BODY:
        *bytes = connection->header.body_bytes;
        return connection->body->bytes;
    case MKV_TCP_RECEIVING_INLINE:
        *bytes = (uint32_t)connection->header.payload_bytes;
        return connection->inline_payload->bytes;
    case MKV_TCP_RECEIVING_PAYLOAD:
        *bytes = connection->pulls_head->transfer.bytes;
        return payload_of_slab(connection, &connection->pulls_head->transfer);
    case MKV_TCP_RECEIVING_WINDOW:
    case MKV_TCP_RECEIVING_FRAME:
        break;
    }
    MKV_ASSERT(connection->receiving != MKV_TCP_RECEIVING_FRAME);
    MKV_ASSERT(connection->receiving != MKV_TCP_RECEIVING_WINDOW);
    return NULL;
}

/* Copies what the control buffer already holds of what goes elsewhere. */
static void copy_from_control(struct mkv_tcp_connection *connection) {
    uint32_t bytes;
    uint8_t *target = direct_target(connection, &bytes);
    const uint32_t there = control_bytes(connection) - connection->frame_control_bytes;
    const uint32_t count = (uint32_t)mkv_min_u64(there, bytes - connection->filled);
    memcpy(target + connection->filled,
           connection->control + connection->control_start + connection->frame_control_bytes,
           count);
    connection->filled += count;
    connection->frame_control_bytes += count;
}

/* The frame is done with: the next one begins behind it. */
static void frame_end(struct mkv_tcp_connection *connection) {
    connection->control_start += connection->frame_control_bytes;
    MKV_ASSERT(connection->control_start <= connection->control_end);
    if (connection->control_start == connection->control_end) {
        connection->control_start = 0;
        connection->control_end = 0;
    }
    connection->frame_control_bytes = 0;
    connection->frame_ns = connection->arrived_ns; /* if it has begun */
    connection->header_known = false;
    connection->receiving = MKV_TCP_RECEIVING_FRAME;
    connection->filled = 0;
    if (connection->body != NULL) {
        struct mkv_tcp_buffer *body = connection->body;
        connection->body = NULL;
        mkv_tcp_pool_give(connection->fabric, &connection->fabric->bodies, body);
    }
}

/* Sums up the chunks of the payload that have come in whole. */
static void payload_sum(struct mkv_tcp_connection *connection) {
    const struct mkv_transfer_effect *transfer = &connection->pulls_head->transfer;
    const uint8_t *payload = payload_of_slab(connection, transfer);
    for (;;) {
        const uint64_t begin = (uint64_t)connection->sum_count * connection->chunk_bytes;
        const uint64_t end = mkv_min_u64(begin + connection->chunk_bytes, transfer->bytes);
        if (begin >= end || end > connection->filled) {
            return;
        }
        MKV_ASSERT(connection->sum_count < MKV_CHUNKS_MAX);
        connection->work->sums[connection->sum_count] = mkv_hash_64(payload + begin, end - begin);
        connection->sum_count++;
    }
}

static enum progress payload_continue(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_op *op = connection->pulls_head;
    payload_sum(connection);
    if (connection->filled < op->transfer.bytes) {
        return PROGRESS_BYTES;
    }
    MKV_ASSERT(connection->sum_count == mkv_chunk_count(op->transfer.bytes));
    if (connection->payload_is_rooted &&
        !mkv_root_equal(mkv_root_of_sums(op->transfer.bytes, connection->work->sums),
                        connection->payload_root)) {
        frame_end(connection);
        mkv_tcp_connection_refuse(connection, MKV_FABRIC_FAULT_DATA_ROOT);
        return PROGRESS_STOP;
    }
    connection->pulls_head = op->pull_next;
    if (connection->pulls_head == NULL) {
        connection->pulls_tail = NULL;
    }
    frame_end(connection);
    mkv_tcp_op_complete(connection->fabric, op, MKV_TRANSFER_OK, connection->work->sums,
                        connection->sum_count);
    return PROGRESS_MORE;
}

/* The payload is in the window: as much as may be copied in this round, hashed where it went. */
static enum progress window_continue(struct mkv_tcp_connection *connection) {
    const struct mkv_transfer_effect *transfer = &connection->pulls_head->transfer;
    while (connection->filled < transfer->bytes) {
        if (!mkv_tcp_window_pull(connection, transfer)) {
            connection->paused = true;
            return PROGRESS_STOP;
        }
        payload_sum(connection);
    }
    return payload_continue(connection);
}

static const uint8_t *frame_body(const struct mkv_tcp_connection *connection) {
    if (connection->body != NULL) {
        return connection->body->bytes;
    }
    return connection->control + connection->control_start + MKV_NATIVE_HEADER_BYTES;
}

/* The header and the body are there. */
static enum progress frame_continue(struct mkv_tcp_connection *connection) {
    if (connection->body == NULL) {
        connection->frame_control_bytes = MKV_NATIVE_HEADER_BYTES + connection->header.body_bytes;
    }
    switch (mkv_tcp_frame_take(connection, frame_body(connection))) {
    case MKV_TCP_FRAME_TAKEN:
        frame_end(connection);
        return PROGRESS_MORE;
    case MKV_TCP_FRAME_PAYLOAD:
        connection->filled = 0;
        if (connection->receiving != MKV_TCP_RECEIVING_INLINE) {
            connection->sum_count = 0;
            connection->chunk_bytes = mkv_chunk_bytes(connection->pulls_head->transfer.bytes);
        }
        if (connection->receiving != MKV_TCP_RECEIVING_WINDOW) {
            copy_from_control(connection);
        }
        return PROGRESS_MORE;
    case MKV_TCP_FRAME_PAUSED:
        connection->paused = true;
        connection->fabric->counters.receive_pauses_total++;
        return PROGRESS_STOP;
    case MKV_TCP_FRAME_REFUSED:
        break;
    }
    return PROGRESS_STOP;
}

/* A body that the control buffer cannot hold goes into a buffer of the pool. */
static enum progress body_start(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    connection->body = mkv_tcp_pool_take(&fabric->bodies);
    if (connection->body == NULL) {
        connection->paused = true;
        fabric->counters.receive_pauses_total++;
        mkv_tcp_connection_await_buffer(connection);
        return PROGRESS_STOP;
    }
    connection->receiving = MKV_TCP_RECEIVING_BODY;
    connection->filled = 0;
    connection->frame_control_bytes = MKV_NATIVE_HEADER_BYTES;
    copy_from_control(connection);
    return PROGRESS_MORE;
}

static enum progress control_continue(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (!connection->header_known) {
        if (control_bytes(connection) < MKV_NATIVE_HEADER_BYTES) {
            return PROGRESS_BYTES;
        }
        uint32_t fault = (uint32_t)mkv_native_header_decode(
            connection->control + connection->control_start, &connection->header);
        if (fault == MKV_NATIVE_OK) {
            fault = mkv_tcp_frame_check(connection);
        }
        if (fault != MKV_NATIVE_OK) {
            mkv_tcp_connection_refuse(connection, fault);
            return PROGRESS_STOP;
        }
        connection->header_known = true;
        fabric->counters.received_frames_total++;
    }
    const uint32_t frame_bytes = MKV_NATIVE_HEADER_BYTES + connection->header.body_bytes;
    if (frame_bytes > MKV_TCP_CONTROL_BYTES) {
        return body_start(connection);
    }
    return control_bytes(connection) < frame_bytes ? PROGRESS_BYTES : frame_continue(connection);
}

static enum progress take_up(struct mkv_tcp_connection *connection) {
    switch (connection->receiving) {
    case MKV_TCP_RECEIVING_FRAME:
        return control_continue(connection);
    case MKV_TCP_RECEIVING_BODY:
        return connection->filled < connection->header.body_bytes ? PROGRESS_BYTES
                                                                  : frame_continue(connection);
    case MKV_TCP_RECEIVING_INLINE:
        if (connection->filled < connection->header.payload_bytes) {
            return PROGRESS_BYTES;
        }
        mkv_tcp_frame_take_inline(connection, frame_body(connection));
        frame_end(connection);
        return PROGRESS_MORE;
    case MKV_TCP_RECEIVING_PAYLOAD:
        return payload_continue(connection);
    case MKV_TCP_RECEIVING_WINDOW:
        return window_continue(connection);
    }
    return PROGRESS_STOP;
}

/* ---- asking the kernel ---------------------------------------------------------------------- */

static void post(struct mkv_tcp_connection *connection, uint8_t *target, uint32_t bytes, bool all) {
    MKV_ASSERT(!connection->receive_in_flight);
    mkv_stream_receive(&connection->stream, target, bytes, all, &connection->receive);
    connection->receive_in_flight = true;
    connection->received_ns = connection->fabric->now_ns;
}

/* Moves what is not taken up yet to the begin of the control buffer; returns its bytes. */
static uint32_t control_compact(struct mkv_tcp_connection *connection) {
    const uint32_t there = control_bytes(connection);
    if (connection->control_start > 0) {
        memmove(connection->control, connection->control + connection->control_start, there);
        connection->control_start = 0;
        connection->control_end = there;
    }
    return there;
}

/* Asks for frames: for all of the one that has begun, and for what may follow it. */
static void post_control(struct mkv_tcp_connection *connection) {
    const uint32_t there = control_compact(connection);
    uint64_t wanted = connection->pulls_head != NULL ? MKV_TCP_RECEIVE_BYTES_BEFORE_DATA
                                                     : MKV_TCP_RECEIVE_BYTES_CONTROL;
    if (connection->header_known) {
        const uint32_t frame_bytes = MKV_NATIVE_HEADER_BYTES + connection->header.body_bytes;
        MKV_ASSERT(frame_bytes > there);
        wanted = mkv_max_u64(wanted, frame_bytes - there);
    }
    wanted = mkv_min_u64(wanted, MKV_TCP_CONTROL_BYTES - there);
    post(connection, connection->control + there, (uint32_t)wanted, false);
}

/* Asks for bytes that certainly come, all of them in one completion. */
static void post_direct(struct mkv_tcp_connection *connection) {
    uint32_t bytes;
    uint8_t *target = direct_target(connection, &bytes);
    const uint32_t to_boundary =
        MKV_TCP_RECEIVE_BYTES_MAX - connection->filled % MKV_TCP_RECEIVE_BYTES_MAX;
    const uint32_t wanted = (uint32_t)mkv_min_u64(bytes - connection->filled, to_boundary);
    post(connection, target + connection->filled, wanted, true);
}

/* Bytes have come: of frames, or of what goes elsewhere. */
static void arrived(struct mkv_tcp_connection *connection, uint32_t bytes) {
    if (connection->receiving == MKV_TCP_RECEIVING_FRAME) {
        connection->arrived_ns = mkv_clock_monotonic_ns();
        if (control_bytes(connection) == 0) {
            connection->frame_ns = connection->arrived_ns;
        }
        connection->control_end += bytes;
        MKV_ASSERT(connection->control_end <= MKV_TCP_CONTROL_BYTES);
    } else {
        connection->filled += bytes;
    }
}

/* Takes what is wanted off the lane; false: nothing is there, or it had its turn. `taken` counts.
 */
static bool lane_take(struct mkv_tcp_connection *connection, uint32_t *taken) {
    uint8_t *target;
    uint32_t bytes;
    if (*taken >= MKV_TCP_LANE_TURN_BYTES) {
        mkv_tcp_connection_touch(connection);
        return false;
    }
    if (connection->receiving == MKV_TCP_RECEIVING_FRAME) {
        const uint32_t there = control_compact(connection);
        target = connection->control + there;
        bytes = MKV_TCP_CONTROL_BYTES - there;
    } else {
        target = direct_target(connection, &bytes) + connection->filled;
        bytes -= connection->filled;
    }
    MKV_ASSERT(bytes > 0);
    const uint32_t count = mkv_tcp_lane_receive(connection, target, bytes);
    *taken += count;
    connection->received_ns = connection->fabric->now_ns;
    arrived(connection, count);
    return count > 0;
}

void mkv_tcp_receive_continue(struct mkv_tcp_connection *connection) {
    uint32_t taken = 0;
    do {
        enum progress progress = PROGRESS_MORE;
        while (connection->state == MKV_TCP_OPEN && progress == PROGRESS_MORE) {
            progress = take_up(connection);
        }
        if (connection->state != MKV_TCP_OPEN || progress != PROGRESS_BYTES) {
            return;
        }
    } while (connection->lane != NULL && lane_take(connection, &taken));
    if (connection->lane != NULL) {
        return; /* the endpoint says when there is more */
    }
    if (connection->receiving == MKV_TCP_RECEIVING_FRAME) {
        post_control(connection);
    } else {
        post_direct(connection);
    }
}

/* ---- what overtakes -------------------------------------------------------------------------- */

/* Where the frame behind the one that is paused begins, in the control buffer or beyond it. */
static uint64_t behind_paused(const struct mkv_tcp_connection *connection) {
    const uint64_t own_bytes = connection->body != NULL
                                   ? connection->frame_control_bytes
                                   : MKV_NATIVE_HEADER_BYTES + connection->header.body_bytes;
    return connection->control_start + own_bytes + connection->header.payload_bytes;
}

/* Whether bytes up to `end` of the control buffer have come, or come now. */
static bool has_come(struct mkv_tcp_connection *connection, uint64_t end) {
    if (connection->control_end < end && end <= MKV_TCP_CONTROL_BYTES) {
        const uint32_t count =
            mkv_tcp_lane_receive(connection, connection->control + connection->control_end,
                                 MKV_TCP_CONTROL_BYTES - connection->control_end);
        connection->control_end += count;
    }
    return connection->control_end >= end;
}

static void control_remove(struct mkv_tcp_connection *connection, uint64_t begin, uint64_t end) {
    memmove(connection->control + begin, connection->control + end, connection->control_end - end);
    connection->control_end -= (uint32_t)(end - begin);
}

void mkv_tcp_receive_overtake(struct mkv_tcp_connection *connection) {
    MKV_ASSERT(connection->paused);
    MKV_ASSERT(connection->header_known);
    (void)control_compact(connection);
    uint64_t begin = behind_paused(connection);
    uint32_t count = 0;
    while (has_come(connection, begin + MKV_NATIVE_HEADER_BYTES)) {
        struct mkv_native_header header;
        if (mkv_native_header_decode(connection->control + begin, &header) != MKV_NATIVE_OK ||
            (header.flags & MKV_NATIVE_FLAG_ANSWER) != 0) {
            return; /* it is refused in its turn, as are other faults */
        }
        const uint64_t body = begin + MKV_NATIVE_HEADER_BYTES;
        const uint64_t end = body + header.body_bytes + header.payload_bytes;
        if (header.op != MKV_NATIVE_TAKEN) {
            begin = end;
            continue;
        }
        if (!has_come(connection, end) ||
            mkv_tcp_frame_taken(connection, header.request_id, connection->control + body) !=
                MKV_NATIVE_OK) {
            return;
        }
        connection->fabric->counters.received_frames_total++;
        control_remove(connection, begin, end);
        count++;
        if (count == OVERTAKES_MAX) {
            mkv_tcp_connection_touch(connection); /* there may be more */
            return;
        }
    }
}

/* ---- the end of what comes ------------------------------------------------------------------- */

void mkv_tcp_receive_drop(struct mkv_tcp_connection *connection) {
    if (!connection->receive_in_flight) {
        post(connection, connection->control, MKV_TCP_CONTROL_BYTES, false);
    }
}

bool mkv_tcp_receive_is_within_frame(const struct mkv_tcp_connection *connection) {
    return connection->receiving != MKV_TCP_RECEIVING_FRAME || connection->header_known ||
           control_bytes(connection) > 0;
}

/* The client shut its side: at the end of a frame that is its right, unless it owes payloads. */
static void receive_end(struct mkv_tcp_connection *connection) {
    if (mkv_tcp_receive_is_within_frame(connection) || connection->pulls_head != NULL) {
        mkv_tcp_connection_break(connection);
    } else {
        mkv_tcp_connection_half_close(connection);
    }
}

void mkv_tcp_receive_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_tcp_connection *connection =
        (struct mkv_tcp_connection *)((char *)completion -
                                      offsetof(struct mkv_tcp_connection, receive));
    (void)flags;
    MKV_ASSERT(connection->receive_in_flight);
    connection->receive_in_flight = false;
    if (connection->lane != NULL) {
        mkv_tcp_lane_lifeline(connection);
        return;
    }
    const enum mkv_tcp_rest rest = connection->rest;
    const bool is_cancelled = rest == MKV_TCP_DROWSY && result == -ECANCELED;
    connection->rest = MKV_TCP_AWAKE;
    if (connection->state == MKV_TCP_LINGERING) {
        if (result > 0 || result == -EINTR || is_cancelled) {
            mkv_tcp_receive_drop(connection);
        } else {
            mkv_tcp_connection_break(connection);
        }
        return;
    }
    if (connection->state != MKV_TCP_OPEN) {
        mkv_tcp_connection_touch(connection); /* it may wait for this to be reaped */
        return;
    }
    if (is_cancelled) {
        mkv_tcp_rest_begin(connection);
        return;
    }
    if (rest == MKV_TCP_RESTING) {
        mkv_tcp_rest_end(connection);
        mkv_tcp_receive_continue(connection); /* what there is, the receive will tell */
        return;
    }
    if (result == 0) {
        receive_end(connection);
        return;
    }
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
        connection->fabric->counters.faults_total[MKV_FABRIC_FAULT_TLS] += result == -EPROTO;
        mkv_tcp_connection_break(connection);
        return;
    }
    arrived(connection, result > 0 ? (uint32_t)result : 0);
    mkv_tcp_receive_continue(connection);
}
