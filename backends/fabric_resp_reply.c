/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From entries whose turn has come to bytes on a socket:
 *
 *   output    |$5\r\n|          |\r\n+OK\r\n:1\r\n|
 *   iovecs    [ output ][ slab ][ output ................ ]  -->  one send
 *
 * Replies that stand side by side in the output share an iovec.
 */
#include "backends/fabric_resp_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/clock.h"

/* The text that the options have for it, or NULL. */
static const char *own_text(const struct mkv_fabric_resp *fabric, enum mkv_status status) {
    const struct mkv_fabric_resp_options *options = &fabric->options;
    return status == MKV_STATUS_UNAVAILABLE && !fabric->draining ? options->unavailable_text
           : status == MKV_STATUS_UNKNOWN                        ? options->unknown_text
                                                                 : NULL;
}

const char *mkv_resp_status_text(const struct mkv_fabric_resp *fabric, enum mkv_status status) {
    const char *own = own_text(fabric, status);
    if (own != NULL) {
        return own;
    }
    switch (status) {
    case MKV_STATUS_BUSY:
        return "TRYAGAIN as many requests are in flight as the server takes; send it again";
    case MKV_STATUS_INVALID:
        return "ERR invalid: a key has 1 to 1024 bytes, of a value above one block 1 to 1011";
    case MKV_STATUS_UNAVAILABLE:
        return fabric->draining ? "READONLY the server is shutting down"
                                : "ERR unavailable: the drive of this key does not serve";
    case MKV_STATUS_DEADLINE:
        return "ERR deadline: the command waited too long";
    case MKV_STATUS_FORBIDDEN:
        return "NOPERM this connection has no right to the tenant";
    case MKV_STATUS_NO_SPACE:
        return "OOM no space is left for this value, and nothing can be evicted for it";
    case MKV_STATUS_QUOTA:
        return "OOM the quota of the tenant is used up";
    case MKV_STATUS_IO_ERROR:
        return "ERR the drive failed the operation";
    case MKV_STATUS_UNKNOWN:
        return "ERR unknown: the drive did not answer in time; the command may come to be";
    case MKV_STATUS_CONFLICT:
        return "ERR conflict: the key was changed meanwhile";
    case MKV_STATUS_OK:
    case MKV_STATUS_NOT_FOUND:
        break;
    }
    return mkv_status_name(status);
}

void mkv_resp_loading_text(const struct mkv_fabric_resp *fabric,
                           char text[MKV_RESP_VERDICT_BYTES]) {
    const struct mkv_fabric_resp_options *options = &fabric->options;
    char progress[MKV_RESP_PROGRESS_BYTES] = "";
    if (options->progress != NULL) {
        options->progress(options->progress_context, progress, sizeof progress);
    }
    snprintf(text, MKV_RESP_VERDICT_BYTES, "LOADING memkv is loading what its drives hold%s%s%s",
             progress[0] == '\0' ? "" : " (", progress, progress[0] == '\0' ? "" : ")");
}

/* ---- queueing bytes -------------------------------------------------------------------------- */

static void iovec_append(struct mkv_resp_connection *connection, const uint8_t *bytes,
                         uint64_t byte_count, bool may_merge) {
    struct mkv_resp_work *work = connection->work;
    connection->queued += byte_count;
    if (may_merge && connection->iovec_tail > connection->iovec_sending) {
        struct iovec *last = &work->iovecs[connection->iovec_tail - 1];
        if ((uint8_t *)last->iov_base + last->iov_len == bytes) {
            last->iov_len += byte_count;
            return;
        }
    }
    MKV_ASSERT(connection->iovec_tail < MKV_RESP_IOVECS_MAX);
    /* sendmsg only reads what it is given. */
    work->iovecs[connection->iovec_tail] = (struct iovec){(void *)(uintptr_t)bytes, byte_count};
    connection->iovec_tail++;
}

static void writer_here(struct mkv_resp_connection *connection, struct mkv_resp_writer *writer) {
    *writer = (struct mkv_resp_writer){
        .bytes = connection->work->output + connection->output_used,
        .capacity = MKV_RESP_OUTPUT_BYTES - connection->output_used,
        .protocol = connection->protocol,
    };
}

bool mkv_resp_reply_begin(struct mkv_resp_connection *connection, uint32_t byte_count,
                          struct mkv_resp_writer *writer) {
    const uint32_t room = MKV_RESP_OUTPUT_BYTES - connection->output_used;
    MKV_ASSERT(connection->work != NULL);
    MKV_ASSERT(byte_count <= MKV_RESP_OUTPUT_BYTES);
    if (room < byte_count || connection->iovec_tail + MKV_RESP_REPLY_IOVECS > MKV_RESP_IOVECS_MAX) {
        return false;
    }
    writer_here(connection, writer);
    return true;
}

void mkv_resp_reply_end(struct mkv_resp_connection *connection,
                        const struct mkv_resp_writer *writer) {
    MKV_ASSERT(!writer->overflowed);
    if (writer->length > 0) {
        connection->output_used += writer->length;
        iovec_append(connection, writer->bytes, writer->length, true);
        mkv_resp_connection_touch(connection);
    }
}

void mkv_resp_reply_memory(struct mkv_resp_connection *connection, const uint8_t *bytes,
                           uint64_t byte_count) {
    iovec_append(connection, bytes, byte_count, false);
    mkv_resp_connection_touch(connection);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What an answered entry came to. */
static struct mkv_item_result result_of(const struct mkv_resp_entry *entry) {
    struct mkv_item_result result = {.status = entry->answer->answer.status};
    if (result.status == MKV_STATUS_OK) {
        MKV_ASSERT(entry->answer->answer.result_count == 1);
        result = entry->answer->answer.results[0];
    }
    return result;
}

/* The bytes of a value of `length` that a reply has. */
static uint64_t range_of(const struct mkv_resp_entry *entry, uint64_t length) {
    const uint64_t behind = length > entry->range_start ? length - entry->range_start : 0;
    return entry->range_bytes == 0 ? behind : mkv_min_u64(behind, entry->range_bytes);
}

static void write_array_line(struct mkv_resp_entry *entry, struct mkv_resp_writer *writer) {
    if (entry->has_array) {
        entry->has_array = false;
        mkv_resp_write_array(writer, entry->array_count);
    }
}

/* The PUSHes that are there and next; false when there is no room for one. */
static bool emit_pushes(struct mkv_resp_connection *connection, struct mkv_resp_entry *entry) {
    const struct mkv_arena *arena = connection->fabric->options.arena;
    struct mkv_resp_op *push;
    while ((push = entry->pushes) != NULL) {
        const struct mkv_transfer_effect *transfer = &push->transfer;
        struct mkv_resp_writer writer;
        if (entry->has_begun && transfer->offset != entry->next_offset) {
            return true; /* one before it is still to come */
        }
        if (!mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
            return false;
        }
        if (!entry->has_begun) {
            if (transfer->offset != entry->range_start) {
                return true;
            }
            entry->has_begun = true;
            entry->reply_left = range_of(entry, transfer->length);
            entry->next_offset = transfer->offset;
            write_array_line(entry, &writer);
            mkv_resp_write_bulk_header(&writer, entry->reply_left);
            mkv_resp_reply_end(connection, &writer);
        }
        MKV_ASSERT(transfer->bytes <= entry->reply_left);
        entry->pushes = push->next;
        entry->reply_left -= transfer->bytes;
        entry->next_offset += transfer->bytes;
        mkv_resp_reply_memory(connection,
                              mkv_arena_slab(arena, transfer->slab) + MKV_UNIT_BYTES +
                                  transfer->slab_offset,
                              transfer->bytes);
        push->end = connection->queued;
        mkv_resp_list_append(&connection->sent_ops, push);
        if (entry->reply_left == 0) {
            /* There is room: an entry is begun only where all of it has some. */
            writer_here(connection, &writer);
            mkv_resp_write_bulk_end(&writer);
            mkv_resp_reply_end(connection, &writer);
        }
    }
    return true;
}

static void write_value(struct mkv_resp_connection *connection, struct mkv_resp_entry *entry,
                        const struct mkv_item_result *result, struct mkv_resp_writer *writer) {
    if (entry->has_begun) {
        /* The front breaks the connection of a GET that fails behind its first PUSH; so that
         * nothing is sent behind an unfinished reply, it is broken here too. */
        if (entry->reply_left > 0) {
            mkv_resp_connection_break(connection);
        }
        return;
    }
    write_array_line(entry, writer);
    if (result->status == MKV_STATUS_OK) {
        mkv_resp_write_bulk(writer, "", 0);
    } else if (result->status == MKV_STATUS_NOT_FOUND && entry->null_is_empty) {
        mkv_resp_write_bulk(writer, "", 0);
    } else if (result->status == MKV_STATUS_NOT_FOUND) {
        mkv_resp_write_null(writer);
    } else {
        mkv_resp_write_error(writer, mkv_resp_status_text(connection->fabric, result->status));
    }
}

/* Of a command with several entries, the last one replies for all. */
static void write_for_all(struct mkv_resp_connection *connection,
                          const struct mkv_resp_entry *entry, const struct mkv_item_result *result,
                          struct mkv_resp_writer *writer) {
    if (result->status == MKV_STATUS_OK) {
        connection->sum++;
    } else if (result->status != MKV_STATUS_NOT_FOUND) {
        connection->sum_status = result->status;
    }
    if (!entry->last) {
        return;
    }
    if (connection->sum_status != MKV_STATUS_OK) {
        mkv_resp_write_error(writer,
                             mkv_resp_status_text(connection->fabric, connection->sum_status));
    } else if (entry->reply == MKV_RESP_REPLY_OK_ALL) {
        mkv_resp_write_simple(writer, "OK");
    } else {
        mkv_resp_write_integer(writer, (int64_t)connection->sum);
    }
    connection->sum = 0;
    connection->sum_status = MKV_STATUS_OK;
}

static void write_error_or(struct mkv_resp_connection *connection, enum mkv_status status,
                           struct mkv_resp_writer *writer,
                           void (*write)(struct mkv_resp_writer *)) {
    if (status == MKV_STATUS_OK) {
        write(writer);
    } else {
        mkv_resp_write_error(writer, mkv_resp_status_text(connection->fabric, status));
    }
}

static void write_ok(struct mkv_resp_writer *writer) {
    mkv_resp_write_simple(writer, "OK");
}

static void write_one(struct mkv_resp_writer *writer) {
    mkv_resp_write_integer(writer, 1);
}

/* What is left of the time until an expiry, or that itself. */
static int64_t time_of(enum mkv_resp_reply reply, uint32_t expiry_s) {
    const int64_t expiry_ms = (int64_t)expiry_s * 1000;
    const int64_t now_ms = (int64_t)mkv_clock_wall_ms();
    const int64_t left_ms = expiry_ms > now_ms ? expiry_ms - now_ms : 0;
    if (reply == MKV_RESP_REPLY_TTL) {
        /* Expiries are whole seconds, rounded up: nobody reads more than what was asked for. */
        return left_ms / 1000;
    }
    if (reply == MKV_RESP_REPLY_PTTL) {
        return left_ms;
    }
    return reply == MKV_RESP_REPLY_EXPIRETIME ? (int64_t)expiry_s : expiry_ms;
}

static void write_look(struct mkv_resp_connection *connection, enum mkv_resp_reply reply,
                       const struct mkv_item_result *result, struct mkv_resp_writer *writer) {
    const bool found = result->status == MKV_STATUS_OK;
    if (!found && result->status != MKV_STATUS_NOT_FOUND) {
        mkv_resp_write_error(writer, mkv_resp_status_text(connection->fabric, result->status));
    } else if (reply == MKV_RESP_REPLY_TYPE) {
        mkv_resp_write_simple(writer, found ? "string" : "none");
    } else if (!found) {
        mkv_resp_write_integer(writer, -2);
    } else {
        mkv_resp_write_integer(writer,
                               result->expiry_s == 0 ? -1 : time_of(reply, result->expiry_s));
    }
}

/* The reply of an answered entry, or what is left of it. */
static void write_reply(struct mkv_resp_connection *connection, struct mkv_resp_entry *entry,
                        const struct mkv_item_result *result, struct mkv_resp_writer *writer) {
    switch (entry->reply) {
    case MKV_RESP_REPLY_VALUE:
        write_value(connection, entry, result, writer);
        return;
    case MKV_RESP_REPLY_OK:
        if (entry->conditional &&
            (result->status == MKV_STATUS_CONFLICT || result->status == MKV_STATUS_NOT_FOUND)) {
            mkv_resp_write_null(writer);
        } else {
            write_error_or(connection, result->status, writer, write_ok);
        }
        return;
    case MKV_RESP_REPLY_ADDED:
        if (result->status == MKV_STATUS_CONFLICT) {
            mkv_resp_write_integer(writer, 0);
        } else {
            write_error_or(connection, result->status, writer, write_one);
        }
        return;
    case MKV_RESP_REPLY_OK_ALL:
    case MKV_RESP_REPLY_COUNT:
        write_for_all(connection, entry, result, writer);
        return;
    case MKV_RESP_REPLY_LENGTH:
        if (result->status == MKV_STATUS_OK || result->status == MKV_STATUS_NOT_FOUND) {
            const bool found = result->status == MKV_STATUS_OK;
            mkv_resp_write_integer(writer, found ? (int64_t)result->length : 0);
        } else {
            mkv_resp_write_error(writer, mkv_resp_status_text(connection->fabric, result->status));
        }
        return;
    case MKV_RESP_REPLY_TTL:
    case MKV_RESP_REPLY_PTTL:
    case MKV_RESP_REPLY_EXPIRETIME:
    case MKV_RESP_REPLY_PEXPIRETIME:
    case MKV_RESP_REPLY_TYPE:
        write_look(connection, entry->reply, result, writer);
        return;
    case MKV_RESP_REPLY_NONE:
        connection->result = *result;
        connection->phase++;
        return;
    }
}

static void count(struct mkv_resp_connection *connection, const struct mkv_resp_entry *entry,
                  enum mkv_status status) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    if (entry->command == MKV_RESP_COMMAND_OTHER) {
        return;
    }
    struct mkv_resp_figures *figures = &fabric->figures[entry->command];
    const bool is_fine = status == MKV_STATUS_OK || status == MKV_STATUS_NOT_FOUND ||
                         (entry->conditional && status == MKV_STATUS_CONFLICT);
    if (entry->last) {
        const uint64_t now_ns = mkv_clock_monotonic_ns();
        figures->ns += now_ns > entry->began_ns ? now_ns - entry->began_ns : 0;
    }
    figures->failed += is_fine ? 0 : 1;
}

/* The first entry's reply, as far as that can be written; true when the entry has ended. */
static bool emit_first(struct mkv_resp_connection *connection) {
    struct mkv_resp_entry *entry = connection->entries_head;
    struct mkv_resp_writer writer;
    if (entry->reply == MKV_RESP_REPLY_VALUE && !emit_pushes(connection, entry)) {
        return false;
    }
    if (entry->answer == NULL || entry->pushes != NULL || entry == connection->value ||
        connection->answers_owed >= 2 * connection->fabric->options.pipeline_max ||
        !mkv_resp_reply_begin(connection, MKV_RESP_REPLY_BYTES, &writer)) {
        return false;
    }
    const struct mkv_item_result result = result_of(entry);
    const uint64_t before = connection->queued;
    write_reply(connection, entry, &result, &writer);
    mkv_resp_reply_end(connection, &writer);
    count(connection, entry, result.status);
    struct mkv_resp_op *answer = entry->answer;
    entry->answer = NULL;
    if (connection->queued > before || entry->has_begun) {
        answer->end = connection->queued;
        connection->answers_owed++;
        mkv_resp_list_append(&connection->sent_ops, answer);
    } else {
        mkv_resp_op_complete_later(connection->fabric, answer, MKV_TRANSFER_OK);
    }
    mkv_resp_entry_give(connection);
    return true;
}

bool mkv_resp_emit(struct mkv_resp_connection *connection) {
    bool ended = false;
    while (connection->entries_head != NULL && connection->state != MKV_RESP_BROKEN &&
           emit_first(connection)) {
        ended = true;
    }
    return ended;
}

/* ---- sending -------------------------------------------------------------------------------- */

static void post(struct mkv_resp_connection *connection) {
    struct mkv_resp_work *work = connection->work;
    work->message = (struct msghdr){
        .msg_iov = &work->iovecs[connection->iovec_head],
        .msg_iovlen = connection->iovec_tail - connection->iovec_head,
    };
    connection->iovec_sending = connection->iovec_tail;
    connection->send_in_flight = true;
    connection->send_ns = connection->fabric->now_ns;
    mkv_stream_send(&connection->stream, &work->message, &connection->send);
}

void mkv_resp_send_continue(struct mkv_resp_connection *connection) {
    const bool may_send = connection->state == MKV_RESP_OPEN ||
                          connection->state == MKV_RESP_HALF_CLOSED ||
                          connection->state == MKV_RESP_LEAVING;
    if (may_send && !connection->send_in_flight && connection->queued > connection->sent) {
        post(connection);
    }
}

/* Takes `bytes` off the iovecs; when none is left, output and iovecs begin anew. */
static void iovecs_advance(struct mkv_resp_connection *connection, uint64_t bytes) {
    struct mkv_resp_work *work = connection->work;
    while (connection->iovec_head < connection->iovec_tail &&
           bytes >= work->iovecs[connection->iovec_head].iov_len) {
        bytes -= work->iovecs[connection->iovec_head].iov_len;
        connection->iovec_head++;
    }
    connection->iovec_sending = connection->iovec_head;
    if (connection->iovec_head == connection->iovec_tail) {
        MKV_ASSERT(bytes == 0);
        connection->iovec_head = 0;
        connection->iovec_tail = 0;
        connection->iovec_sending = 0;
        connection->output_used = 0;
        return;
    }
    struct iovec *first = &work->iovecs[connection->iovec_head];
    first->iov_base = (uint8_t *)first->iov_base + bytes;
    first->iov_len -= bytes;
    const uint32_t left = connection->iovec_tail - connection->iovec_head;
    memmove(work->iovecs, first, left * sizeof *first);
    connection->iovec_head = 0;
    connection->iovec_tail = left;
    connection->iovec_sending = 0;
}

/* Completes what was sent to its last byte: the memory it named is free again. */
static void sent_complete(struct mkv_resp_connection *connection) {
    struct mkv_fabric_resp *fabric = connection->fabric;
    while (connection->sent_ops.head != NULL &&
           connection->sent_ops.head->end <= connection->sent) {
        struct mkv_resp_op *op = mkv_resp_list_pop(&connection->sent_ops);
        if (op->kind == MKV_RESP_OP_ANSWER) {
            MKV_ASSERT(connection->answers_owed > 0);
            connection->answers_owed--;
        }
        mkv_resp_op_complete(fabric, op, MKV_TRANSFER_OK, NULL, 0);
    }
    if (connection->slot != NULL && connection->slot->is_sent &&
        connection->slot->end <= connection->sent) {
        mkv_resp_slot_give(connection);
    }
}

void mkv_resp_send_done(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_resp_connection *connection =
        (struct mkv_resp_connection *)((char *)completion -
                                       offsetof(struct mkv_resp_connection, send));
    (void)flags;
    MKV_ASSERT(connection->send_in_flight);
    connection->send_in_flight = false;
    mkv_resp_connection_touch(connection);
    if (connection->state == MKV_RESP_BROKEN) {
        return; /* reaped in the next poll, which completes what was in flight as FAILED */
    }
    const bool is_again = result == -EINTR || result == -EAGAIN;
    if (result < 0 && !is_again) {
        mkv_resp_connection_break(connection);
        return;
    }
    const uint64_t bytes = is_again ? 0 : (uint64_t)result;
    connection->sent += bytes;
    MKV_ASSERT(connection->sent <= connection->queued);
    iovecs_advance(connection, bytes);
    sent_complete(connection);
}
