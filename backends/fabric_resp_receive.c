/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the bytes of a connection to events of the parser, and from there to slabs.
 *
 *   input   |..done with..|start  the command that has begun   |at  not parsed yet   |end ..free..|
 *
 *   The bytes of a LARGE argument go from `at` on to where they belong; when there are none left in
 *   the input, they are received there.
 */
#include <errno.h>
#include <string.h>

#include "backends/clock.h"
#include "backends/fabric_resp_internal.h"
#include "core/hash.h"

enum progress {
    PROGRESS_MORE = 0, /* look again */
    PROGRESS_BYTES,    /* more bytes are needed */
    PROGRESS_STOP,     /* something else has to happen first; it touches the connection */
};

static uint8_t *payload_of(const struct mkv_resp_connection *connection,
                           const struct mkv_transfer_effect *transfer) {
    return mkv_arena_slab(connection->fabric->options.arena, transfer->slab) + MKV_UNIT_BYTES;
}

bool mkv_resp_receive_is_within(const struct mkv_resp_connection *connection) {
    return connection->step != MKV_RESP_STEP_PARSE ||
           mkv_resp_parser_is_within(&connection->parser) ||
           (connection->work != NULL && connection->end > connection->start);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The PULL for the value's next byte, or NULL when it is not there yet. */
static struct mkv_resp_op *next_pull(const struct mkv_resp_connection *connection) {
    struct mkv_resp_op *pull = connection->value->pulls;
    if (pull == NULL) {
        return NULL;
    }
    const uint64_t begin = pull->transfer.offset;
    return connection->value_taken >= begin &&
                   connection->value_taken < begin + pull->transfer.bytes
               ? pull
               : NULL;
}

/* Sums up the chunks of the PULL that have come in whole. */
static void sum_up(struct mkv_resp_connection *connection,
                   const struct mkv_transfer_effect *transfer) {
    const uint8_t *payload = payload_of(connection, transfer);
    uint64_t *sums = connection->work->sums;
    for (;;) {
        const uint64_t begin = (uint64_t)connection->sum_count * connection->chunk_bytes;
        const uint64_t end = mkv_min_u64(begin + connection->chunk_bytes, transfer->bytes);
        if (begin >= end || end > connection->filled) {
            return;
        }
        MKV_ASSERT(connection->sum_count < MKV_CHUNKS_MAX);
        sums[connection->sum_count] = mkv_hash_64(payload + begin, end - begin);
        connection->sum_count++;
    }
}

/* `bytes` more of the value are in the slab of the PULL. */
static void filled(struct mkv_resp_connection *connection, struct mkv_resp_op *pull,
                   uint32_t bytes) {
    struct mkv_resp_entry *entry = connection->value;
    if (connection->filled == 0) {
        connection->sum_count = 0;
        connection->chunk_bytes = mkv_chunk_bytes(pull->transfer.bytes);
    }
    connection->filled += bytes;
    connection->value_taken += bytes;
    sum_up(connection, &pull->transfer);
    if (connection->filled < pull->transfer.bytes) {
        return;
    }
    MKV_ASSERT(connection->filled == pull->transfer.bytes);
    MKV_ASSERT(connection->sum_count == mkv_chunk_count(pull->transfer.bytes));
    if (connection->value_held && connection->value_taken == connection->value_bytes) {
        return; /* the command says what becomes of it */
    }
    entry->pulls = pull->next;
    connection->filled = 0;
    mkv_resp_op_complete(connection->fabric, pull, MKV_TRANSFER_OK, connection->work->sums,
                         connection->sum_count);
}

void mkv_resp_value_release(struct mkv_resp_connection *connection, enum mkv_transfer transfer) {
    struct mkv_resp_entry *entry = connection->value;
    MKV_ASSERT(connection->value_held);
    connection->value = NULL;
    connection->value_held = false;
    struct mkv_resp_op *pull = entry->pulls;
    if (pull != NULL) {
        entry->pulls = NULL;
        connection->filled = 0;
        mkv_resp_op_complete(connection->fabric, pull, transfer, connection->work->sums,
                             transfer == MKV_TRANSFER_OK ? connection->sum_count : 0);
    }
}

void mkv_resp_value_abandon(struct mkv_resp_connection *connection) {
    if (connection->value_held && connection->value != NULL) {
        mkv_resp_value_release(connection, MKV_TRANSFER_FAILED);
    }
}

/* Where the bytes of the value are that have come with its command. */
static const uint8_t *value_source(const struct mkv_resp_connection *connection,
                                   uint64_t *byte_count) {
    const uint8_t *input = connection->work->input;
    if (connection->value_kept) {
        *byte_count = connection->value_bytes - connection->value_taken;
        return input + connection->start + connection->value_offset + connection->value_taken;
    }
    *byte_count = connection->end - connection->at;
    return input + connection->at;
}

/* Bytes of a LARGE argument are done with; what comes behind all of them takes their place, so that
 * arguments behind it have room. */
static void input_advance(struct mkv_resp_connection *connection, uint32_t bytes) {
    connection->at += bytes;
    if (connection->at == connection->end) {
        connection->at = connection->large_at;
        connection->end = connection->large_at;
    }
}

/* Nobody wants what is left of the value: the request has ended without it. */
static enum progress value_drop(struct mkv_resp_connection *connection) {
    connection->drop_bytes =
        connection->value_kept ? 0 : connection->value_bytes - connection->value_taken;
    connection->value = NULL;
    connection->value_held = false;
    connection->filled = 0;
    connection->step = connection->value_kept ? MKV_RESP_STEP_PARSE : MKV_RESP_STEP_DROP;
    mkv_resp_connection_touch(connection);
    return PROGRESS_MORE;
}

static enum progress value_continue(struct mkv_resp_connection *connection) {
    struct mkv_resp_entry *entry = connection->value;
    if (connection->value_taken == connection->value_bytes) {
        if (!connection->value_held) {
            connection->value = NULL;
        }
        connection->step = MKV_RESP_STEP_PARSE;
        connection->resumed_ns = connection->fabric->now_ns;
        mkv_resp_connection_touch(connection);
        return PROGRESS_MORE;
    }
    if (entry->answer != NULL) {
        return value_drop(connection);
    }
    struct mkv_resp_op *pull = next_pull(connection);
    if (pull == NULL) {
        return PROGRESS_STOP;
    }
    uint64_t there;
    const uint8_t *source = value_source(connection, &there);
    const uint32_t count = (uint32_t)mkv_min_u64(there, pull->transfer.bytes - connection->filled);
    if (count == 0) {
        return PROGRESS_BYTES;
    }
    memcpy(payload_of(connection, &pull->transfer) + connection->filled, source, count);
    if (!connection->value_kept) {
        input_advance(connection, count);
    }
    filled(connection, pull, count);
    return PROGRESS_MORE;
}

static enum progress drop_continue(struct mkv_resp_connection *connection) {
    const uint32_t there = connection->end - connection->at;
    const uint32_t count = (uint32_t)mkv_min_u64(there, connection->drop_bytes);
    connection->drop_bytes -= count;
    input_advance(connection, count);
    if (connection->drop_bytes > 0) {
        return PROGRESS_BYTES;
    }
    connection->step = MKV_RESP_STEP_PARSE;
    return PROGRESS_MORE;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* What was parsed is done with. */
static void command_end(struct mkv_resp_connection *connection) {
    connection->start = connection->at;
    if (connection->start == connection->end) {
        connection->start = 0;
        connection->at = 0;
        connection->end = 0;
    }
    connection->command_ns = connection->last_ns; /* if another one has begun */
}

static enum progress execute(struct mkv_resp_connection *connection) {
    connection->step = MKV_RESP_STEP_EXECUTE;
    if (mkv_resp_command_execute(connection) == MKV_RESP_WAITS) {
        return PROGRESS_STOP;
    }
    if (connection->step == MKV_RESP_STEP_VALUE) {
        return PROGRESS_MORE; /* the bytes that are kept go to the slab first */
    }
    connection->step = MKV_RESP_STEP_PARSE;
    command_end(connection);
    return PROGRESS_MORE;
}

static enum progress fault(struct mkv_resp_connection *connection) {
    struct mkv_resp_writer writer;
    connection->step = MKV_RESP_STEP_FAULT;
    mkv_resp_value_abandon(connection);
    if (connection->entries_head != NULL ||
        !mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return PROGRESS_STOP;
    }
    char text[MKV_RESP_FAULT_TEXT_BYTES + 4] = "ERR ";
    mkv_resp_fault_text(&connection->parser, text + 4);
    mkv_resp_write_error(&writer, text);
    mkv_resp_reply_end(connection, &writer);
    connection->fabric->counters.faults_total[MKV_FABRIC_FAULT_NOT_A_REQUEST]++;
    mkv_resp_connection_leave(connection);
    return PROGRESS_STOP;
}

/* An argument that is not kept makes room for the next one. */
static void argument_end(struct mkv_resp_connection *connection) {
    if (!connection->keeps) {
        connection->start = connection->at;
    }
}

static enum progress take_argument(struct mkv_resp_connection *connection) {
    const uint32_t byte_count = (uint32_t)connection->parser.argument_bytes;
    connection->step = MKV_RESP_STEP_KEY;
    if (mkv_resp_command_argument(connection, connection->argument_offset, byte_count) ==
        MKV_RESP_WAITS) {
        return PROGRESS_STOP;
    }
    if (connection->step == MKV_RESP_STEP_KEY) {
        connection->step = MKV_RESP_STEP_PARSE;
        argument_end(connection);
    }
    return PROGRESS_MORE;
}

static enum progress take_large(struct mkv_resp_connection *connection) {
    connection->step = MKV_RESP_STEP_LARGE;
    connection->large_at = connection->at;
    return mkv_resp_command_large(connection) == MKV_RESP_WAITS ? PROGRESS_STOP : PROGRESS_MORE;
}

/* The value of an argument that was kept has gone to its slab: what of the command was waiting for
 * that goes on. */
static enum progress parse(struct mkv_resp_connection *connection) {
    if (connection->value_kept) {
        connection->value_kept = false;
        if (connection->parser.state == MKV_RESP_AT_COMMAND) {
            command_end(connection);
        } else {
            argument_end(connection);
        }
    }
    uint32_t consumed = 0;
    uint8_t *bytes = connection->work->input + connection->at;
    const enum mkv_resp_event event =
        mkv_resp_parse(&connection->parser, bytes, connection->end - connection->at, &consumed);
    if (event == MKV_RESP_ARGUMENT) {
        connection->argument_offset =
            (uint32_t)(connection->parser.argument - connection->work->input) - connection->start;
    }
    connection->at += consumed;
    switch (event) {
    case MKV_RESP_MORE:
        break;
    case MKV_RESP_BEGIN:
        mkv_resp_command_begin(connection);
        return PROGRESS_MORE;
    case MKV_RESP_ARGUMENT:
        return take_argument(connection);
    case MKV_RESP_LARGE:
        return take_large(connection);
    case MKV_RESP_END:
        return execute(connection);
    case MKV_RESP_FAULT:
        return fault(connection);
    }
    if (!mkv_resp_parser_is_within(&connection->parser)) {
        command_end(connection); /* empty lines */
    }
    return PROGRESS_BYTES;
}

static enum progress take_up(struct mkv_resp_connection *connection) {
    switch (connection->step) {
    case MKV_RESP_STEP_PARSE:
        return parse(connection);
    case MKV_RESP_STEP_KEY:
        return take_argument(connection);
    case MKV_RESP_STEP_LARGE:
        return take_large(connection);
    case MKV_RESP_STEP_VALUE:
        return value_continue(connection);
    case MKV_RESP_STEP_DROP:
        return drop_continue(connection);
    case MKV_RESP_STEP_EXECUTE:
    case MKV_RESP_STEP_CALL:
    case MKV_RESP_STEP_DELAY:
        return execute(connection);
    case MKV_RESP_STEP_FAULT:
        return fault(connection);
    }
    return PROGRESS_STOP;
}

/* ---- asking the kernel ---------------------------------------------------------------------- */

static void post_wait(struct mkv_resp_connection *connection) {
    connection->receiving = MKV_RESP_RECEIVING_WAIT;
    mkv_stream_wait_readable(&connection->stream, &connection->receive);
    mkv_resp_connection_touch(connection); /* its workspace may go back */
}

static void post(struct mkv_resp_connection *connection, uint8_t *target, uint32_t bytes, bool all,
                 enum mkv_resp_receiving receiving) {
    MKV_ASSERT(connection->receiving == MKV_RESP_RECEIVING_NOTHING);
    connection->receiving = receiving;
    connection->received_ns = connection->fabric->now_ns;
    mkv_stream_receive(&connection->stream, target, bytes, all, &connection->receive);
}

/* The rest of the PULL that is being filled, straight into its slab. */
static void post_direct(struct mkv_resp_connection *connection) {
    const struct mkv_resp_op *pull = next_pull(connection);
    MKV_ASSERT(pull != NULL);
    const uint32_t to_boundary =
        MKV_RESP_RECEIVE_BYTES_MAX - connection->filled % MKV_RESP_RECEIVE_BYTES_MAX;
    const uint32_t wanted =
        (uint32_t)mkv_min_u64(pull->transfer.bytes - connection->filled, to_boundary);
    post(connection, payload_of(connection, &pull->transfer) + connection->filled, wanted, true,
         MKV_RESP_RECEIVING_DIRECT);
}

/* The rest of an argument that nobody wants, for which no workspace is needed. */
static void post_drop(struct mkv_resp_connection *connection) {
    MKV_ASSERT(connection->drop_bytes > 0);
    post(connection, connection->fabric->dropped,
         (uint32_t)mkv_min_u64(connection->drop_bytes, MKV_RESP_DROP_BYTES), false,
         MKV_RESP_RECEIVING_DROP);
    mkv_resp_connection_touch(connection); /* its workspace may go back */
}

static bool is_scarce(const struct mkv_fabric_resp *fabric) {
    return fabric->free_work_count < fabric->options.workspaces / 4;
}

static void post_input(struct mkv_resp_connection *connection) {
    struct mkv_resp_work *work = connection->work;
    const uint32_t there = connection->end - connection->start;
    if (there == 0 && !connection->readable && connection->step == MKV_RESP_STEP_PARSE &&
        !mkv_resp_parser_is_within(&connection->parser) && is_scarce(connection->fabric)) {
        post_wait(connection);
        return;
    }
    if (connection->start > 0) {
        memmove(work->input, work->input + connection->start, there);
        connection->at -= connection->start;
        connection->start = 0;
        connection->end = there;
    }
    uint32_t wanted = MKV_RESP_INPUT_BYTES - there;
    if (connection->large_before && connection->step == MKV_RESP_STEP_PARSE &&
        connection->parser.state != MKV_RESP_AT_BYTES) {
        wanted = (uint32_t)mkv_min_u64(wanted, MKV_RESP_RECEIVE_BYTES_BEFORE_VALUE);
    }
    MKV_ASSERT(wanted > 0);
    connection->readable = false;
    post(connection, work->input + there, wanted, false, MKV_RESP_RECEIVING_INPUT);
}

/* The input is full of what is kept of one command. */
static bool is_full(const struct mkv_resp_connection *connection) {
    return connection->end - connection->start == MKV_RESP_INPUT_BYTES;
}

/* Refuses the command, so that nothing of it is kept any more. */
static void make_room(struct mkv_resp_connection *connection) {
    mkv_resp_refuse(connection, "ERR the arguments of this command take more than %u bytes",
                    MKV_RESP_INPUT_BYTES);
    connection->start = connection->at;
    MKV_ASSERT(!is_full(connection));
}

void mkv_resp_receive_continue(struct mkv_resp_connection *connection) {
    if (connection->state != MKV_RESP_OPEN || connection->receiving != MKV_RESP_RECEIVING_NOTHING) {
        return;
    }
    if (connection->work == NULL) {
        if (connection->step == MKV_RESP_STEP_DROP) {
            post_drop(connection);
            return;
        }
        if (!connection->readable) {
            post_wait(connection);
            return;
        }
        if (!mkv_resp_work_take(connection)) {
            mkv_resp_await(connection);
            return;
        }
    }
    enum progress progress = PROGRESS_MORE;
    while (connection->state == MKV_RESP_OPEN && progress == PROGRESS_MORE) {
        progress = take_up(connection);
    }
    if (connection->state != MKV_RESP_OPEN) {
        return;
    }
    if (progress == PROGRESS_STOP) {
        connection->resumed_ns = connection->fabric->now_ns;
        return;
    }
    if (connection->step == MKV_RESP_STEP_VALUE) {
        post_direct(connection);
        return;
    }
    if (connection->step == MKV_RESP_STEP_DROP) {
        post_drop(connection);
        return;
    }
    if (is_full(connection)) {
        make_room(connection);
    }
    post_input(connection);
}

void mkv_resp_receive_drop(struct mkv_resp_connection *connection) {
    if (connection->receiving == MKV_RESP_RECEIVING_NOTHING) {
        post(connection, connection->fabric->dropped, sizeof connection->fabric->dropped, false,
             MKV_RESP_RECEIVING_DROP);
    }
}

/* ---- what has come --------------------------------------------------------------------------- */

/* The client shut its side: at the end of a command that is its right. */
static void receive_end(struct mkv_resp_connection *connection) {
    if (mkv_resp_receive_is_within(connection)) {
        mkv_resp_connection_break(connection);
    } else {
        connection->state = MKV_RESP_HALF_CLOSED;
        mkv_resp_connection_touch(connection);
    }
}

static void arrived(struct mkv_resp_connection *connection, enum mkv_resp_receiving receiving,
                    uint32_t bytes) {
    if (receiving == MKV_RESP_RECEIVING_DIRECT) {
        struct mkv_resp_op *pull = next_pull(connection);
        MKV_ASSERT(pull != NULL);
        if (bytes > 0) {
            filled(connection, pull, bytes);
        }
        return;
    }
    connection->last_ns = mkv_clock_monotonic_ns();
    if (receiving == MKV_RESP_RECEIVING_DROP) {
        MKV_ASSERT(bytes <= connection->drop_bytes);
        connection->drop_bytes -= bytes;
        if (connection->drop_bytes == 0) {
            connection->step = MKV_RESP_STEP_PARSE;
            connection->resumed_ns = connection->fabric->now_ns;
        }
        return;
    }
    if (connection->start == connection->end && connection->step == MKV_RESP_STEP_PARSE &&
        !mkv_resp_parser_is_within(&connection->parser)) {
        connection->command_ns = connection->last_ns;
    }
    connection->end += bytes;
    MKV_ASSERT(connection->end <= MKV_RESP_INPUT_BYTES);
}

void mkv_resp_receive_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_resp_connection *connection =
        (struct mkv_resp_connection *)((char *)completion -
                                       offsetof(struct mkv_resp_connection, receive));
    (void)flags;
    const enum mkv_resp_receiving receiving = connection->receiving;
    MKV_ASSERT(receiving != MKV_RESP_RECEIVING_NOTHING);
    connection->receiving = MKV_RESP_RECEIVING_NOTHING;
    connection->cancelled = false;
    const bool is_nothing = result == -EINTR || result == -EAGAIN || result == -ECANCELED;
    if (connection->state == MKV_RESP_LINGERING) {
        mkv_resp_work_give_unused(connection);
        const bool goes_on = receiving == MKV_RESP_RECEIVING_WAIT || result > 0 || is_nothing;
        if (goes_on) {
            mkv_resp_receive_drop(connection);
        } else {
            mkv_resp_connection_break(connection);
        }
        return;
    }
    if (connection->state != MKV_RESP_OPEN) {
        mkv_resp_connection_touch(connection); /* it may wait for this to be reaped */
        return;
    }
    if (receiving == MKV_RESP_RECEIVING_WAIT) {
        connection->readable = true;
        mkv_resp_receive_continue(connection);
        return;
    }
    if (result == -ECANCELED) {
        post_wait(connection); /* it has been silent: its workspace goes back */
        return;
    }
    if (result == 0) {
        receive_end(connection);
        return;
    }
    if (result < 0 && !is_nothing) {
        connection->fabric->counters.faults_total[MKV_FABRIC_FAULT_TLS] += result == -EPROTO;
        mkv_resp_connection_break(connection);
        return;
    }
    arrived(connection, receiving, result > 0 ? (uint32_t)result : 0);
    mkv_resp_receive_continue(connection);
    mkv_resp_connection_touch(connection);
}
