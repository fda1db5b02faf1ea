/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READs out of the memory of clients, and WRITEs into it, in pieces:
 *
 *   PULL of 3 MiB, a slab     | 0: done, hashed | 1: done | 2: posted |
 *   PUSH of 2.5 MiB           | 0: done | 1: posted | . not posted    |  its DATA waits
 *   PUSH into 2 slots         | 0: done, its DATA has left | 1: likewise | . waits for TAKEN |
 *
 * Where a slab is another shard's, or its pages are not those that were registered
 * (mkv_arena_exchange), a piece goes by way of one that the port has for it.
 */
#include <string.h>

#include "backends/clock.h"
#include "backends/fabric_tcp_lane.h"
#include "core/hash.h"

_Static_assert(MKV_BLOCK_BYTES_MAX / MKV_LANE_PIECE_BYTES <= 32, "a bit for each piece");
_Static_assert(MKV_NATIVE_SLOT_BYTES == MKV_LANE_PIECE_BYTES, "a piece fills a slot");

/* ---- where the items of a request are -------------------------------------------------------- */

uint32_t mkv_tcp_lane_slot_take(struct mkv_tcp_connection *connection) {
    const struct mkv_native_item *items = connection->fabric->native_items;
    const uint32_t item_count = connection->header.item_count;
    struct mkv_tcp_lane *lane = connection->lane;
    uint32_t index = 0;
    MKV_ASSERT(item_count <= MKV_NATIVE_REMOTE_ITEMS_MAX);
    while (lane->slots[index].is_used) {
        index++;
        MKV_ASSERT(index <= connection->fabric->options.hello.requests_max);
    }
    struct mkv_tcp_lane_slot *slot = &lane->slots[index];
    slot->is_used = true;
    slot->turn_slots = items[0].remote.slots;
    lane->turn_requests += slot->turn_slots > 0;
    slot->turn_count = 0;
    slot->turn_taken = 0;
    for (uint32_t i = 0; i < item_count; i++) {
        slot->items[i].offset = items[i].offset;
        slot->items[i].length = items[i].length;
        slot->items[i].remote = items[i].remote;
    }
    return index + 1;
}

void mkv_tcp_lane_slot_give(struct mkv_tcp_connection *connection, uint32_t name) {
    struct mkv_tcp_lane *lane = connection->lane;
    MKV_ASSERT(lane->slots[name - 1].is_used);
    lane->slots[name - 1].is_used = false;
    lane->turn_requests -= lane->slots[name - 1].turn_slots > 0;
}

/* Has a transfer go to or come from where its request's slot says. */
static void place(struct mkv_tcp_lane *lane, uint32_t name, struct mkv_tcp_op *op) {
    const struct mkv_transfer_effect *transfer = &op->transfer;
    const struct mkv_tcp_lane_slot *slot = &lane->slots[name - 1];
    MKV_ASSERT(slot->is_used);
    MKV_ASSERT(transfer->item < MKV_NATIVE_REMOTE_ITEMS_MAX);
    op->remote = (struct mkv_tcp_remote){.is_used = true};
    if (transfer->bytes == 0) {
        return;
    }
    if (slot->turn_slots > 0) {
        op->remote.slot_name = name;
        op->remote.address = slot->items[0].remote.address;
        op->remote.key = slot->items[0].remote.key;
        return;
    }
    MKV_ASSERT(transfer->offset >= slot->items[transfer->item].offset);
    const uint64_t begin = transfer->offset - slot->items[transfer->item].offset;
    MKV_ASSERT(begin <= slot->items[transfer->item].length);
    MKV_ASSERT(transfer->bytes <= slot->items[transfer->item].length - begin);
    op->remote.address = slot->items[transfer->item].remote.address + begin;
    op->remote.key = slot->items[transfer->item].remote.key;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static uint32_t pieces_of(const struct mkv_tcp_op *op) {
    return (uint32_t)mkv_divide_up_u64(op->transfer.bytes, MKV_LANE_PIECE_BYTES);
}

/* Bytes from the first on that have come, or gone. */
static uint32_t bytes_done(const struct mkv_tcp_op *op) {
    uint64_t pieces = 0;
    while ((op->remote.done >> pieces & 1u) != 0) {
        pieces++;
    }
    return (uint32_t)mkv_min_u64(pieces * MKV_LANE_PIECE_BYTES, op->transfer.bytes);
}

static bool is_done(const struct mkv_tcp_op *op) {
    return op->remote.done == (1ull << pieces_of(op)) - 1;
}

static uint8_t *memory_of(const struct mkv_tcp_lane *lane, const struct mkv_tcp_op *op,
                          uint32_t offset) {
    const struct mkv_transfer_effect *transfer = &op->transfer;
    const uint32_t begin = op->kind == MKV_TCP_OP_PULL ? 0 : transfer->slab_offset;
    return mkv_arena_slab(lane->connection->fabric->options.arena, transfer->slab) +
           MKV_UNIT_BYTES + begin + offset;
}

/* One that is free; there is one whenever the endpoint has room. NULL: it has none. */
static struct mkv_tcp_piece *piece_take(struct mkv_tcp_lane *lane) {
    for (uint32_t i = 0; i < MKV_LANE_TRANSFERS_MAX; i++) {
        if (lane->pieces[i].op == NULL) {
            return &lane->pieces[i];
        }
    }
    return NULL;
}

/* Whether the port has the memory registered as it is. */
static bool is_registered(const struct mkv_arena *arena, const uint8_t *memory, uint32_t bytes) {
    size_t own_bytes;
    const uint8_t *own = mkv_arena_slabs(arena, &own_bytes);
    const bool is_own =
        memory >= own && memory < own + own_bytes && bytes <= own_bytes - (size_t)(memory - own);
    return is_own && !mkv_arena_was_exchanged(arena, memory, bytes);
}

/* Posts the next piece; false: there is no room. */
static bool piece_post(struct mkv_tcp_lane *lane, struct mkv_tcp_op *op) {
    struct mkv_lane_port *port = lane->port;
    struct mkv_tcp_piece *piece = piece_take(lane);
    if (piece == NULL || lane->is_stopped) {
        return false;
    }
    const uint32_t offset = op->remote.posted_bytes;
    const uint32_t bytes = (uint32_t)mkv_min_u64(op->transfer.bytes - offset, MKV_LANE_PIECE_BYTES);
    struct mkv_tcp_lane_slot *slot =
        op->remote.slot_name != 0 ? &lane->slots[op->remote.slot_name - 1] : NULL;
    const uint64_t place =
        slot == NULL ? offset : slot->turn_count % slot->turn_slots * MKV_LANE_PIECE_BYTES;
    const bool is_read = op->kind == MKV_TCP_OP_PULL;
    uint8_t *memory = memory_of(lane, op, offset);
    const struct mkv_verbs_region *region = port->slabs;
    uint8_t *round = NULL;
    if (!is_registered(lane->connection->fabric->options.arena, memory, bytes)) {
        if (!is_read && !mkv_tcp_share_ask(lane->connection)) {
            return false;
        }
        round = mkv_tcp_lane_round_take(lane);
        if (round == NULL) {
            return false;
        }
        if (!is_read) {
            (void)mkv_tcp_share_take(lane->connection, bytes);
            memcpy(round, memory, bytes);
        }
        memory = round;
        region = port->rounds_region;
    }
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    if (!mkv_endpoint_transfer(lane->endpoint, is_read, op->remote.address + place, op->remote.key,
                               region, memory, bytes, (uint64_t)(piece - lane->pieces), now_ns)) {
        if (round != NULL) {
            mkv_tcp_lane_round_give(lane, round);
        }
        return false;
    }
    if (slot != NULL) {
        slot->turn_count++;
    }
    *piece = (struct mkv_tcp_piece){op, offset, bytes, is_read, false, round, now_ns};
    port->is_dirty = true;
    op->remote.posted_bytes += bytes;
    return true;
}

/* Its bytes are where they belong. */
static void piece_end(struct mkv_tcp_lane *lane, struct mkv_tcp_piece *piece) {
    piece->op->remote.done |= 1ull << (piece->offset / MKV_LANE_PIECE_BYTES);
    if (piece->round != NULL) {
        mkv_tcp_lane_round_give(lane, piece->round);
    }
    piece->op = NULL;
}

void mkv_tcp_lane_piece_done(struct mkv_tcp_lane *lane, uint64_t tag, bool is_ok) {
    MKV_ASSERT(tag < MKV_LANE_TRANSFERS_MAX);
    struct mkv_tcp_piece *piece = &lane->pieces[tag];
    struct mkv_fabric_lane_counters *counters = &lane->connection->fabric->lanes;
    MKV_ASSERT(piece->op != NULL);
    if (!is_ok) {
        if (piece->round != NULL) {
            mkv_tcp_lane_round_keep(lane, piece->round);
        }
        piece->op = NULL;
        return;
    }
    mkv_histogram_record_ns(piece->is_read ? &counters->read : &counters->write,
                            mkv_clock_monotonic_ns() - piece->posted_ns);
    if (piece->is_read && piece->round != NULL) {
        piece->has_come = true; /* it is copied in the connection's turn */
        lane->come_count++;
        return;
    }
    piece_end(lane, piece);
}

/* Copies what has come by ways round, as much as may be copied in this round. */
static void pieces_copy(struct mkv_tcp_lane *lane) {
    for (uint32_t i = 0; i < MKV_LANE_TRANSFERS_MAX && lane->come_count > 0; i++) {
        struct mkv_tcp_piece *piece = &lane->pieces[i];
        if (!piece->has_come) {
            continue;
        }
        if (!mkv_tcp_share_ask(lane->connection)) {
            return;
        }
        (void)mkv_tcp_share_take(lane->connection, piece->bytes);
        memcpy(memory_of(lane, piece->op, piece->offset), piece->round, piece->bytes);
        piece->has_come = false;
        lane->come_count--;
        piece_end(lane, piece);
    }
}

/* The connection ends before they were copied: others may have their ways round. */
static void pieces_drop(struct mkv_tcp_lane *lane) {
    for (uint32_t i = 0; i < MKV_LANE_TRANSFERS_MAX && lane->come_count > 0; i++) {
        struct mkv_tcp_piece *piece = &lane->pieces[i];
        if (piece->has_come) {
            mkv_tcp_lane_round_give(lane, piece->round);
            *piece = (struct mkv_tcp_piece){.op = NULL};
            lane->come_count--;
        }
    }
}

/* ---- PULL ------------------------------------------------------------------------------------ */

static void read_later(struct mkv_tcp_lane *lane, struct mkv_tcp_op *op) {
    mkv_tcp_list_append(&lane->reads, op);
    if (lane->reads_next == NULL) {
        lane->reads_next = op;
    }
}

void mkv_tcp_lane_pull(struct mkv_tcp_connection *connection, uint32_t slot,
                       struct mkv_tcp_op *op) {
    struct mkv_tcp_lane *lane = connection->lane;
    place(lane, slot, op);
    read_later(lane, op);
}

void mkv_tcp_lane_feed(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op,
                       const struct mkv_native_data *data, bool is_rooted) {
    op->remote = (struct mkv_tcp_remote){
        .is_used = true,
        .is_fed = true,
        .is_rooted = is_rooted,
        .root = data->root,
        .key = data->remote.key,
        .address = data->remote.address,
    };
    read_later(connection->lane, op);
    mkv_tcp_connection_touch(connection);
}

static void reads_post(struct mkv_tcp_lane *lane) {
    while (lane->reads_next != NULL) {
        struct mkv_tcp_op *op = lane->reads_next;
        while (op->remote.posted_bytes < op->transfer.bytes) {
            if (!piece_post(lane, op)) {
                return;
            }
        }
        lane->reads_next = op->next;
    }
}

/* Hashes what has come of the first PULL; true when all of it is. */
static bool first_hash(struct mkv_tcp_lane *lane, uint32_t *own_bytes) {
    const struct mkv_tcp_op *op = lane->reads.head;
    const uint32_t chunk_bytes = mkv_chunk_bytes(op->transfer.bytes);
    const uint32_t done = bytes_done(op);
    const uint8_t *payload = memory_of(lane, op, 0);
    for (;;) {
        const uint64_t begin = (uint64_t)lane->sum_count * chunk_bytes;
        if (begin >= op->transfer.bytes) {
            return true;
        }
        const uint64_t end = mkv_min_u64(begin + chunk_bytes, op->transfer.bytes);
        if (end > done) {
            return false;
        }
        const uint32_t bytes = (uint32_t)(end - begin);
        if (*own_bytes < bytes && !mkv_tcp_share_ask(lane->connection)) {
            return false;
        }
        (void)mkv_tcp_share_take(lane->connection, bytes);
        *own_bytes -= (uint32_t)mkv_min_u64(*own_bytes, bytes);
        lane->sums[lane->sum_count] = mkv_hash_64(payload + begin, bytes);
        lane->sum_count++;
    }
}

/* The front may answer a completion with further effects, and break the connection. */
static bool is_served(const struct mkv_tcp_lane *lane) {
    return lane->connection->state == MKV_TCP_OPEN && !lane->is_stopped;
}

/* Says how much was read, with what has been since the last time that was said. */
static void tell_taken(struct mkv_tcp_lane *lane) {
    const struct mkv_native_header header = {.op = MKV_NATIVE_TAKEN,
                                             .body_bytes = MKV_NATIVE_TAKEN_BYTES};
    if (lane->is_telling || lane->told_count == lane->fed_count) {
        return;
    }
    lane->is_telling = true;
    lane->told_count = lane->fed_count;
    lane->taken = (struct mkv_tcp_op){.kind = MKV_TCP_OP_OWN};
    mkv_native_taken_encode(lane->fed_count, lane->taken_body);
    mkv_tcp_send_own(lane->connection, &lane->taken, &header, lane->taken_body);
}

void mkv_tcp_lane_told(struct mkv_tcp_connection *connection) {
    MKV_ASSERT(connection->lane->is_telling);
    connection->lane->is_telling = false;
    tell_taken(connection->lane);
}

/* Takes note that a PULL that the client fed is there. False: it is not what the client named, and
 * its connection is refused. */
static bool fed_finish(struct mkv_tcp_lane *lane, const struct mkv_tcp_op *op) {
    const uint32_t bytes = op->transfer.bytes;
    if (op->remote.is_rooted &&
        !mkv_root_equal(mkv_root_of_sums(bytes, lane->sums), op->remote.root)) {
        mkv_tcp_connection_refuse(lane->connection, MKV_FABRIC_FAULT_DATA_ROOT);
        return false;
    }
    lane->fed_count++;
    tell_taken(lane);
    return true;
}

bool mkv_tcp_lane_has_read(const struct mkv_tcp_connection *connection, uint64_t request_id) {
    for (const struct mkv_tcp_op *op = connection->lane->reads.head; op != NULL; op = op->next) {
        if (op->transfer.request_id == request_id) {
            return false;
        }
    }
    return true;
}

static void reads_finish(struct mkv_tcp_lane *lane) {
    uint32_t own_bytes = MKV_TCP_LANE_HASH_BYTES;
    while (is_served(lane) && lane->reads.head != NULL && first_hash(lane, &own_bytes)) {
        if (lane->reads.head->remote.is_fed && !fed_finish(lane, lane->reads.head)) {
            return; /* it ends with the connection */
        }
        struct mkv_tcp_op *op = mkv_tcp_list_pop(&lane->reads);
        const uint32_t sum_count = lane->sum_count;
        MKV_ASSERT(op != lane->reads_next);
        MKV_ASSERT(sum_count == mkv_chunk_count(op->transfer.bytes));
        MKV_ASSERT(is_done(op));
        lane->sum_count = 0;
        mkv_tcp_op_complete(lane->connection->fabric, op, MKV_TRANSFER_OK, lane->sums, sum_count);
    }
}

/* ---- PUSH ------------------------------------------------------------------------------------ */

void mkv_tcp_lane_place(struct mkv_tcp_connection *connection, uint32_t slot,
                        struct mkv_tcp_op *op) {
    place(connection->lane, slot, op);
}

bool mkv_tcp_lane_is_in_turn(const struct mkv_tcp_connection *connection, uint32_t slot) {
    return connection->lane->slots[slot - 1].turn_slots > 0;
}

void mkv_tcp_lane_part(const struct mkv_tcp_op *op, uint32_t *begin, uint32_t *bytes) {
    *begin = 0;
    if (op->remote.slot_name != 0) {
        *begin = (op->remote.posted_bytes - 1) / MKV_LANE_PIECE_BYTES * MKV_LANE_PIECE_BYTES;
    }
    *bytes = op->remote.posted_bytes - *begin;
}

/* Whether there is a slot for the next piece. */
static bool has_turn(const struct mkv_tcp_lane *lane, const struct mkv_tcp_op *op) {
    const struct mkv_tcp_lane_slot *slot = &lane->slots[op->remote.slot_name - 1];
    return slot->turn_count - slot->turn_taken < slot->turn_slots;
}

static uint64_t request_of(const struct mkv_tcp_op *op) {
    return op->kind == MKV_TCP_OP_ANSWER ? op->answer.request_id : op->transfer.request_id;
}

/* Whether something of the op's request is held. */
static bool is_behind(const struct mkv_tcp_lane *lane, const struct mkv_tcp_op *op) {
    for (const struct mkv_tcp_op *held = lane->held.head; held != NULL; held = held->next) {
        if (request_of(held) == request_of(op)) {
            return true;
        }
    }
    return false;
}

/* Whether an op waits for TAKEN, or is behind one of its request that does. */
static bool is_to_wait(const struct mkv_tcp_lane *lane, const struct mkv_tcp_op *op) {
    if (op->kind != MKV_TCP_OP_PUSH && op->kind != MKV_TCP_OP_ANSWER) {
        return false;
    }
    const bool is_in_turn = op->kind == MKV_TCP_OP_PUSH && op->remote.slot_name != 0;
    return is_behind(lane, op) || (is_in_turn && !has_turn(lane, op));
}

void mkv_tcp_lane_hold(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_lane *lane = connection->lane;
    while (connection->queue.head != NULL && is_to_wait(lane, connection->queue.head)) {
        struct mkv_tcp_op *op = mkv_tcp_list_pop(&connection->queue);
        if (!is_behind(lane, op)) { /* it is the first of its request, which has no turn */
            lane->slots[op->remote.slot_name - 1].held_ns = connection->fabric->now_ns;
        }
        mkv_tcp_list_append(&lane->held, op);
    }
}

/* Whether it is a PUSH or the answer of that request. */
static bool is_of(const struct mkv_tcp_op *op, uint64_t request_id) {
    return (op->kind == MKV_TCP_OP_PUSH || op->kind == MKV_TCP_OP_ANSWER) &&
           request_of(op) == request_id;
}

/* Has what waited for a TAKEN of that request in the queue again, before what the front has given
 * of it since; what is behind the last slot goes back to wait from there. */
static void held_resume(struct mkv_tcp_connection *connection, uint64_t request_id) {
    struct mkv_tcp_lane *lane = connection->lane;
    struct mkv_tcp_op_list held = lane->held;
    struct mkv_tcp_op_list queue = connection->queue;
    struct mkv_tcp_op_list resumed = {0};
    struct mkv_tcp_op *op;
    lane->held = (struct mkv_tcp_op_list){0};
    connection->queue = (struct mkv_tcp_op_list){0};
    while ((op = mkv_tcp_list_pop(&held)) != NULL) {
        mkv_tcp_list_append(is_of(op, request_id) ? &resumed : &lane->held, op);
    }
    while ((op = mkv_tcp_list_pop(&queue)) != NULL) {
        mkv_tcp_list_append(is_of(op, request_id) ? &resumed : &connection->queue, op);
    }
    while ((op = mkv_tcp_list_pop(&resumed)) != NULL) {
        mkv_tcp_list_append(&connection->queue, op);
    }
    mkv_tcp_connection_touch(connection); /* what is held again is so from now on */
}

bool mkv_tcp_lane_taken(struct mkv_tcp_connection *connection,
                        const struct mkv_tcp_request *request, uint64_t count) {
    struct mkv_tcp_lane_slot *slot = &connection->lane->slots[request->lane_slot - 1];
    if (count > slot->turn_count) {
        return false;
    }
    if (count > slot->turn_taken) {
        slot->turn_taken = count;
        held_resume(connection, request->request_id);
    }
    return true;
}

bool mkv_tcp_lane_is_stalled(const struct mkv_tcp_connection *connection) {
    const struct mkv_tcp_lane *lane = connection->lane;
    const struct mkv_fabric_tcp *fabric = connection->fabric;
    const struct mkv_tcp_op *op = lane == NULL ? NULL : lane->held.head;
    for (; op != NULL; op = op->next) {
        if (op->kind == MKV_TCP_OP_PUSH && op->remote.slot_name != 0 &&
            fabric->now_ns >=
                lane->slots[op->remote.slot_name - 1].held_ns + fabric->options.stall_ns) {
            return true;
        }
    }
    return false;
}

bool mkv_tcp_lane_push(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    if (op->remote.slot_name != 0) {
        return piece_post(connection->lane, op);
    }
    while (op->remote.posted_bytes < op->transfer.bytes) {
        if (!piece_post(connection->lane, op)) {
            return false;
        }
    }
    return true;
}

bool mkv_tcp_lane_keeps(struct mkv_tcp_connection *connection, struct mkv_tcp_op *op) {
    if (!op->remote.is_used || is_done(op)) {
        return false;
    }
    mkv_tcp_list_append(&connection->lane->writes, op);
    return true;
}

static void writes_finish(struct mkv_tcp_lane *lane) {
    while (!lane->is_stopped && lane->writes.head != NULL && is_done(lane->writes.head)) {
        struct mkv_tcp_op *op = mkv_tcp_list_pop(&lane->writes);
        mkv_tcp_op_complete(lane->connection->fabric, op, MKV_TRANSFER_OK, NULL, 0);
    }
}

/* ---- rounds, the end ------------------------------------------------------------------------- */

void mkv_tcp_lane_transfers_advance(struct mkv_tcp_lane *lane) {
    if (is_served(lane)) {
        pieces_copy(lane);
        reads_post(lane);
        reads_finish(lane);
    } else {
        pieces_drop(lane);
    }
    writes_finish(lane);
}

bool mkv_tcp_lane_has_ops(const struct mkv_tcp_connection *connection) {
    const struct mkv_tcp_lane *lane = connection->lane;
    return lane != NULL &&
           (lane->reads.head != NULL || lane->writes.head != NULL || lane->held.head != NULL);
}

void mkv_tcp_lane_ops_fail(struct mkv_tcp_connection *connection) {
    struct mkv_tcp_lane *lane = connection->lane;
    if (lane == NULL) {
        return;
    }
    MKV_ASSERT(lane->is_drained); /* I2 */
    pieces_drop(lane);
    for (uint32_t i = 0; i < MKV_LANE_TRANSFERS_MAX; i++) {
        MKV_ASSERT(lane->pieces[i].op == NULL);
    }
    struct mkv_tcp_op_list reads = lane->reads;
    struct mkv_tcp_op_list writes = lane->writes;
    struct mkv_tcp_op_list held = lane->held;
    lane->reads = (struct mkv_tcp_op_list){0};
    lane->reads_next = NULL;
    lane->writes = (struct mkv_tcp_op_list){0};
    lane->held = (struct mkv_tcp_op_list){0};
    struct mkv_tcp_op *op;
    while ((op = mkv_tcp_list_pop(&reads)) != NULL) {
        mkv_tcp_op_complete(connection->fabric, op, MKV_TRANSFER_FAILED, NULL, 0);
    }
    while ((op = mkv_tcp_list_pop(&writes)) != NULL) {
        mkv_tcp_op_complete(connection->fabric, op, MKV_TRANSFER_FAILED, NULL, 0);
    }
    while ((op = mkv_tcp_list_pop(&held)) != NULL) {
        if (op->kind == MKV_TCP_OP_ANSWER) {
            MKV_ASSERT(connection->answers_owed > 0);
            connection->answers_owed--;
        }
        mkv_tcp_op_complete(connection->fabric, op, MKV_TRANSFER_FAILED, NULL, 0);
    }
}
