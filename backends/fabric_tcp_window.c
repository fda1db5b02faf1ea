/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows of connections over a Unix socket: how one comes about, and payload that goes through it.
 *
 *   WINDOW {bytes}    --> made, and its descriptor passed with the answer
 *   WINDOW {0}        --> sealed, filled piece by piece; then answered: from here on it is used
 *   GET into it       --> slots: where the bytes of each item go, until the request is answered
 *   PUSH of such a GET--> slab to window, bounded in each round; then DATA without a payload
 *   DATA out of it    --> window to slab, bounded in each round, hashed as it lies in the slab
 */
#include <stdlib.h>
#include <string.h>

#include "backends/fabric_tcp_internal.h"
#include "backends/shm_window.h"

/* What is copied before it is hashed, so that it is still in the cache. */
#define COPY_BYTES (256u * 1024u)

/* Where the items of one GET go. */
struct mkv_tcp_window_slot {
    bool is_used;
    struct {
        uint64_t offset; /* in the value, of the first byte that is wanted */
        uint64_t length;
        uint64_t window_offset;
    } items[MKV_NATIVE_WINDOW_ITEMS_MAX];
};

bool mkv_tcp_window_is_ready(const struct mkv_tcp_connection *connection) {
    return connection->window.state == MKV_SHM_WINDOW_READY;
}

void mkv_tcp_window_close(struct mkv_tcp_connection *connection) {
    mkv_shm_window_close(&connection->window);
    free(connection->window_slots);
    connection->window_slots = NULL;
}

/* ---- making one ----------------------------------------------------------------------------- */

static enum mkv_tcp_frame refuse(struct mkv_tcp_connection *connection) {
    mkv_tcp_connection_refuse(connection, MKV_FABRIC_FAULT_WINDOW);
    return MKV_TCP_FRAME_REFUSED;
}

static enum mkv_tcp_frame answer_none(struct mkv_tcp_connection *connection) {
    static const char text[] = "no memory for a window; values go through the socket";
    mkv_tcp_window_close(connection);
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_NO_SPACE, (const uint8_t *)text,
                         sizeof text - 1);
    return MKV_TCP_FRAME_TAKEN;
}

static enum mkv_tcp_frame answer_bytes(struct mkv_tcp_connection *connection) {
    mkv_native_window_encode(connection->window.bytes, connection->work->own_bytes);
    mkv_tcp_frame_answer(connection, 0, MKV_STATUS_OK, connection->work->own_bytes,
                         MKV_NATIVE_WINDOW_BYTES);
    return MKV_TCP_FRAME_TAKEN;
}

static enum mkv_tcp_frame make(struct mkv_tcp_connection *connection, uint64_t wanted_bytes) {
    const struct mkv_fabric_tcp_options *options = &connection->fabric->options;
    const uint64_t most = options->window_bytes_max;
    const uint64_t bytes =
        mkv_round_up_u64(mkv_min_u64(wanted_bytes, most), MKV_SHM_WINDOW_STEP_BYTES);
    const size_t slot_count = (size_t)options->hello.requests_max + 1u;
    connection->window_slots = calloc(slot_count, sizeof *connection->window_slots);
    if (connection->window_slots == NULL || !mkv_shm_window_make(&connection->window, bytes)) {
        return answer_none(connection);
    }
    const enum mkv_tcp_frame frame = answer_bytes(connection);
    connection->own.own.descriptor = connection->window.fd;
    return frame;
}

/* The frame stays where it is, and is looked at again in the next round, until all is there. Of all
 * windows that are being made one gets a piece in a round: others wait for no more. */
static enum mkv_tcp_frame fill(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (fabric->has_filled) {
        mkv_tcp_connection_touch(connection);
        return MKV_TCP_FRAME_PAUSED;
    }
    fabric->has_filled = true;
    if (!mkv_shm_window_fill(&connection->window)) {
        return answer_none(connection);
    }
    if (!mkv_tcp_window_is_ready(connection)) {
        mkv_tcp_connection_touch(connection);
        return MKV_TCP_FRAME_PAUSED;
    }
    return answer_bytes(connection);
}

enum mkv_tcp_frame mkv_tcp_window_take(struct mkv_tcp_connection *connection, const uint8_t *body) {
    uint64_t wanted_bytes;
    const enum mkv_native_error error = mkv_native_window_decode(body, &wanted_bytes);
    if (error != MKV_NATIVE_OK) {
        mkv_tcp_connection_refuse(connection, (uint32_t)error);
        return MKV_TCP_FRAME_REFUSED;
    }
    switch (connection->window.state) {
    case MKV_SHM_WINDOW_NONE:
        return wanted_bytes > 0 ? make(connection, wanted_bytes) : refuse(connection);
    case MKV_SHM_WINDOW_OFFERED:
        if (wanted_bytes > 0 || !mkv_shm_window_seal(&connection->window)) {
            return refuse(connection);
        }
        return fill(connection);
    case MKV_SHM_WINDOW_FILLING:
        return fill(connection);
    case MKV_SHM_WINDOW_READY:
        break;
    }
    return refuse(connection);
}

/* ---- GET ------------------------------------------------------------------------------------ */

bool mkv_tcp_window_items_check(const struct mkv_tcp_connection *connection) {
    const struct mkv_native_item *items = connection->fabric->native_items;
    for (uint32_t i = 0; i < connection->header.item_count; i++) {
        if (!mkv_shm_window_holds(&connection->window, items[i].window_offset, items[i].length)) {
            return false;
        }
    }
    return true;
}

uint32_t mkv_tcp_window_slot_take(struct mkv_tcp_connection *connection) {
    const struct mkv_native_item *items = connection->fabric->native_items;
    const uint32_t item_count = connection->header.item_count;
    uint32_t index = 0;
    MKV_ASSERT(item_count <= MKV_NATIVE_WINDOW_ITEMS_MAX);
    while (connection->window_slots[index].is_used) {
        index++;
        MKV_ASSERT(index <= connection->fabric->options.hello.requests_max);
    }
    struct mkv_tcp_window_slot *slot = &connection->window_slots[index];
    slot->is_used = true;
    for (uint32_t i = 0; i < item_count; i++) {
        slot->items[i].offset = items[i].offset;
        slot->items[i].length = items[i].length;
        slot->items[i].window_offset = items[i].window_offset;
    }
    return index + 1;
}

void mkv_tcp_window_slot_give(struct mkv_tcp_connection *connection, uint32_t name) {
    MKV_ASSERT(connection->window_slots[name - 1].is_used);
    connection->window_slots[name - 1].is_used = false;
}

void mkv_tcp_window_place(struct mkv_tcp_connection *connection, uint32_t name,
                          struct mkv_tcp_op *op) {
    const struct mkv_transfer_effect *transfer = &op->transfer;
    const struct mkv_tcp_window_slot *slot = &connection->window_slots[name - 1];
    MKV_ASSERT(slot->is_used);
    MKV_ASSERT(transfer->item < MKV_NATIVE_WINDOW_ITEMS_MAX);
    op->in_window = true;
    op->copied_bytes = 0;
    op->window_offset = slot->items[transfer->item].window_offset;
    if (transfer->bytes == 0) {
        return;
    }
    const uint64_t begin = transfer->offset - slot->items[transfer->item].offset;
    MKV_ASSERT(transfer->offset >= slot->items[transfer->item].offset);
    MKV_ASSERT(begin <= slot->items[transfer->item].length);
    MKV_ASSERT(transfer->bytes <= slot->items[transfer->item].length - begin);
    op->window_offset += begin;
}

/* ---- copies --------------------------------------------------------------------------------- */

static uint8_t *payload_of_slab(const struct mkv_tcp_connection *connection,
                                const struct mkv_transfer_effect *transfer) {
    return mkv_arena_slab(connection->fabric->options.arena, transfer->slab) + MKV_UNIT_BYTES;
}

bool mkv_tcp_window_push(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    const struct mkv_transfer_effect *transfer = &op->transfer;
    const uint32_t bytes = mkv_tcp_share_take(connection, transfer->bytes - op->copied_bytes);
    MKV_ASSERT(mkv_shm_window_holds(&connection->window, op->window_offset, transfer->bytes));
    memcpy(connection->window.memory + op->window_offset + op->copied_bytes,
           payload_of_slab(connection, transfer) + transfer->slab_offset + op->copied_bytes, bytes);
    op->copied_bytes += bytes;
    if (op->copied_bytes < transfer->bytes) {
        return mkv_tcp_share_ask(connection); /* nothing is left of it */
    }
    return true;
}

bool mkv_tcp_window_pull(struct mkv_tcp_connection *connection,
                         const struct mkv_transfer_effect *transfer) {
    const uint32_t left_bytes = transfer->bytes - connection->filled;
    const uint32_t bytes =
        mkv_tcp_share_take(connection, (uint32_t)mkv_min_u64(left_bytes, COPY_BYTES));
    MKV_ASSERT(
        mkv_shm_window_holds(&connection->window, connection->window_source, transfer->bytes));
    memcpy(payload_of_slab(connection, transfer) + connection->filled,
           connection->window.memory + connection->window_source + connection->filled, bytes);
    connection->filled += bytes;
    return bytes > 0 || mkv_tcp_share_ask(connection); /* nothing is left of it */
}
