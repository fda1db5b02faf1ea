/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations: what an ALLOCATE holds until a COMMIT of the same connection goes on with it.
 *
 *   ALLOCATE   PUT_BEGIN -> PUT_READY -> the item leaves its request and is RESERVED
 *   COMMIT     the item joins this request, and is a PUT whose bytes are to be pulled
 *
 * A reservation has its slab, its slot, its credit and, unless the volume lets others overtake it
 * meanwhile, the lock of its key. It waits for nothing, so nobody can block himself or others with
 * it for longer than until its deadline; and since all of them together have one half of what puts
 * may have, other puts go on.
 */
#include "core/canary.h"
#include "core/front_internal.h"

/* Of what puts may have, reservations have this part. */
#define RESERVED_ONE_IN 2u

/* ---- bounds ---------------------------------------------------------------------------------- */

/* At least one, and one of the largest block. */
static uint32_t reserving_max(const struct front_volume *volume) {
    return (uint32_t)mkv_max_u64(1, volume->credit_max[FRONT_CREDIT_MUTATION] / RESERVED_ONE_IN);
}

static uint32_t reserving_units_max(const struct mkv_front *front) {
    const uint32_t largest = 1u << mkv_slab_order(front->config.block_bytes_max);
    return (uint32_t)mkv_max_u64(largest, front->write_units_max / RESERVED_ONE_IN);
}

bool mkv_front_reservation_count(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const struct front_op *op = front_op_at(front, item_index);
    const struct front_request *request = front_request_at(front, item->request);
    struct front_connection *connection = front_connection_at(front, request->connection.index);
    MKV_ASSERT(!item->reserving);
    MKV_ASSERT(mkv_front_volume_online(front, op->volume));
    const uint32_t units = 1u << mkv_slab_order(op->length);
    const bool has_memory = front->reserving_units + units <= reserving_units_max(front);
    front->stats.writes_without_memory += has_memory ? 0 : 1;
    if (!has_memory ||
        front->volumes[op->volume].reserving >= reserving_max(&front->volumes[op->volume]) ||
        connection->reserving >= front->config.reservations_per_connection_max) {
        return false;
    }
    item->reserving = true;
    item->reserving_units = units;
    item->connection = request->connection;
    front->reserving_units += units;
    front->volumes[op->volume].reserving++;
    connection->reserving++;
    return true;
}

void mkv_front_reservation_uncount(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    if (!item->reserving) {
        return;
    }
    struct front_volume *volume = &front->volumes[front_op_at(front, item_index)->volume];
    MKV_ASSERT(volume->reserving > 0);
    MKV_ASSERT(front->reserving_units >= item->reserving_units);
    item->reserving = false;
    front->reserving_units -= item->reserving_units;
    volume->reserving--;
    if (mkv_front_connection_is(front, item->connection)) {
        struct front_connection *connection = front_connection_at(front, item->connection.index);
        MKV_ASSERT(connection->reserving > 0);
        connection->reserving--;
    }
}

/* ---- the life of a reservation --------------------------------------------------------------- */

/* Names of different reservations of one item differ, for as long as anybody may remember them. */
static uint64_t name_draw(struct mkv_front *front, uint32_t item_index) {
    const uint64_t items_max = front->config.items_max;
    const uint64_t turn = front->reservations_drawn++ % (MKV_RESERVATION_MAX / items_max);
    return 1 + item_index + turn * items_max;
}

void mkv_front_reservation_hold(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(front_op_at(front, item_index)->state == FRONT_OP_RESERVED);
    MKV_ASSERT(item->op == MKV_OP_ALLOCATE);
    MKV_ASSERT(item->reserving);
    item->reservation = name_draw(front, item_index);
    const struct mkv_item_result result = {
        .status = MKV_STATUS_OK,
        .reservation = item->reservation,
    };
    mkv_front_item_decide(front, item_index, &result);
    mkv_front_request_detach(front, item_index);
    item->phase = FRONT_PHASE_RESERVED;
    MKV_ASSERT(mkv_front_connection_is(front, item->connection));
    struct front_connection *connection = front_connection_at(front, item->connection.index);
    mkv_front_list_push(&connection->reserved, front_links(front, front->layout.item_links),
                        item_index);
    front->reserved_count++;
    front->stats.reservations_made++;
    mkv_front_timer_set(front, front_timer_of_item(front, item_index), item->deadline_ns);
}

/* The item is RESERVED no more. The caller sets what it is now. */
static void reservation_leave(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->phase == FRONT_PHASE_RESERVED);
    if (mkv_front_connection_is(front, item->connection)) {
        struct front_connection *connection = front_connection_at(front, item->connection.index);
        mkv_front_list_remove(&connection->reserved, front_links(front, front->layout.item_links),
                              item_index);
    }
    MKV_ASSERT(front->reserved_count > 0);
    front->reserved_count--;
    mkv_front_timer_remove(front, front_timer_of_item(front, item_index));
}

static void reservation_end(struct mkv_front *front, uint32_t item_index) {
    reservation_leave(front, item_index);
    mkv_front_item_abandon(front, item_index, MKV_STATUS_DEADLINE, MKV_MISS_NONE);
}

static bool is_dropped(struct mkv_front *front, uint32_t item_index) {
    return !mkv_front_connection_is(front, front_item_at(front, item_index)->connection) ||
           !mkv_front_volume_online(front, front_op_at(front, item_index)->volume);
}

void mkv_front_reservation_check(struct mkv_front *front, uint32_t item_index) {
    if (is_dropped(front, item_index)) {
        front->stats.reservations_dropped++;
        reservation_end(front, item_index);
    } else if (front->now_ns >= front_item_at(front, item_index)->deadline_ns) {
        front->stats.reservations_expired++;
        reservation_end(front, item_index);
    }
}

void mkv_front_reservations_closed(struct mkv_front *front, struct front_connection *connection) {
    struct front_link *links = front_links(front, front->layout.item_links);
    uint32_t item;
    while ((item = mkv_front_list_pop(&connection->reserved, links)) != MKV_NONE_U32) {
        if (MKV_CANARY(MKV_CANARY_RESERVATION_OUTLIVES_CONNECTION)) {
            mkv_front_timer_remove(front, front_timer_of_item(front, item));
            continue;
        }
        mkv_front_item_ready(front, item);
    }
}

void mkv_front_reservations_of_volume_gone(struct mkv_front *front, uint32_t volume) {
    for (uint32_t item = 0; item < front->config.items_max && front->reserved_count > 0; item++) {
        if (front_item_at(front, item)->phase == FRONT_PHASE_RESERVED &&
            front_op_at(front, item)->volume == volume) {
            mkv_front_item_ready(front, item);
        }
    }
}

/* ---- COMMIT ---------------------------------------------------------------------------------- */

/* The item that is reserved under the name, for this connection; MKV_NONE_U32. */
static uint32_t reservation_find(struct mkv_front *front, struct mkv_connection_id connection,
                                 uint64_t name) {
    if (name == 0) {
        return MKV_NONE_U32;
    }
    const uint32_t item_index = (uint32_t)((name - 1) % front->config.items_max);
    const struct front_item *item = front_item_at(front, item_index);
    const bool same =
        item->reservation == name || MKV_CANARY(MKV_CANARY_RESERVATION_TAKEN_FOR_ANOTHER);
    const bool theirs = item->connection.index == connection.index &&
                        item->connection.generation == connection.generation;
    if (item->phase != FRONT_PHASE_RESERVED || !same || !theirs || is_dropped(front, item_index) ||
        front->now_ns >= item->deadline_ns) {
        return MKV_NONE_U32;
    }
    return item_index;
}

static void take_up(struct mkv_front *front, uint32_t item_index, uint32_t request_index,
                    uint32_t position, bool abandons) {
    reservation_leave(front, item_index);
    struct front_item *item = front_item_at(front, item_index);
    struct front_request *request = front_request_at(front, request_index);
    mkv_front_reservation_uncount(front, item_index);
    item->reservation = 0;
    item->op = MKV_OP_COMMIT;
    item->phase = FRONT_PHASE_SINGLE;
    item->decided = false;
    item->abandoned = abandons;
    item->request = request_index;
    item->position = position;
    item->deadline_ns = request->deadline_ns;
    item->stage = MKV_STAGE_ROUTE;
    item->received_ns = request->received_ns;
    mkv_front_list_push(&request->items, front_links(front, front->layout.item_links), item_index);
    front_op_at(front, item_index)->state = FRONT_OP_GRANTED;
    mkv_front_item_ready(front, item_index);
}

/* What the item of a COMMIT comes to without its reservation; OK when it goes on with it. */
static enum mkv_status commit_one(struct mkv_front *front, uint32_t request_index,
                                  uint32_t position, const struct mkv_request_item *source) {
    const struct front_request *request = front_request_at(front, request_index);
    const uint32_t item_index = reservation_find(front, request->connection, source->reservation);
    if (item_index == MKV_NONE_U32) {
        return MKV_STATUS_NOT_FOUND;
    }
    const bool abandons = (source->flags & MKV_COMMIT_ABANDON) != 0;
    if (!abandons && source->length != front_item_at(front, item_index)->length) {
        return MKV_STATUS_INVALID;
    }
    front->stats.reservations_committed += abandons ? 0 : 1;
    front->stats.reservations_abandoned += abandons ? 1 : 0;
    take_up(front, item_index, request_index, position, abandons);
    return MKV_STATUS_OK;
}

void mkv_front_commit(struct mkv_front *front, uint32_t request_index,
                      const struct mkv_request *source) {
    for (uint32_t position = 0; position < source->item_count; position++) {
        const enum mkv_status status =
            commit_one(front, request_index, position, &source->items[position]);
        if (status != MKV_STATUS_OK) {
            const struct mkv_item_result result = {.status = status};
            front->stats.items_finished[MKV_OP_COMMIT][status]++;
            mkv_front_request_result(front, request_index, position, &result);
        }
    }
}
