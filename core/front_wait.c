/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists, and what ops and items wait for. Nobody can block himself or others for ever, since all
 * take things in one order:
 *
 *   segmented entry, cap of the connection, credit of FIND, slab, credit of a mutation
 *
 * An op that waits for the read of another holds none of them.
 *
 * A GET knows only behind FIND how large its slab is. When its connection's cap has no room for it,
 * it gives the credit back and finds its block anew when there is room: a client that does not take
 * its bytes keeps nobody else from finding theirs.
 */
#include "core/front_internal.h"

void mkv_front_list_init(struct front_list *list) {
    *list = (struct front_list){.first = MKV_NONE_U32, .last = MKV_NONE_U32, .count = 0};
}

void mkv_front_list_push(struct front_list *list, struct front_link *links, uint32_t index) {
    links[index] = (struct front_link){.previous = list->last, .next = MKV_NONE_U32};
    if (list->last != MKV_NONE_U32) {
        links[list->last].next = index;
    } else {
        list->first = index;
    }
    list->last = index;
    list->count++;
}

void mkv_front_list_remove(struct front_list *list, struct front_link *links, uint32_t index) {
    MKV_ASSERT(list->count > 0);
    const struct front_link link = links[index];
    if (link.previous != MKV_NONE_U32) {
        links[link.previous].next = link.next;
    } else {
        MKV_ASSERT(list->first == index);
        list->first = link.next;
    }
    if (link.next != MKV_NONE_U32) {
        links[link.next].previous = link.previous;
    } else {
        MKV_ASSERT(list->last == index);
        list->last = link.previous;
    }
    list->count--;
}

uint32_t mkv_front_list_pop(struct front_list *list, struct front_link *links) {
    const uint32_t index = list->first;
    if (index != MKV_NONE_U32) {
        mkv_front_list_remove(list, links, index);
    }
    return index;
}

void mkv_front_item_ready(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    MKV_ASSERT(item->phase != FRONT_PHASE_FREE);
    if (!item->ready) {
        item->ready = true;
        mkv_front_list_push(&front->items_ready, front_links(front, front->layout.item_ready_links),
                            item_index);
    }
}

struct front_connection *mkv_front_connection_of(struct mkv_front *front,
                                                 const struct front_op *op) {
    const struct front_item *item = front_item_at(front, op->item);
    if (item->request == MKV_NONE_U32) {
        /* Other items without a request only delete segments, and need no slab for that. */
        MKV_ASSERT(item->reservation != 0);
        const bool open = mkv_front_connection_is(front, item->connection);
        return open ? front_connection_at(front, item->connection.index) : NULL;
    }
    const struct front_request *request = front_request_at(front, item->request);
    return request->closed ? NULL : front_connection_at(front, request->connection.index);
}

bool mkv_front_connection_is(struct mkv_front *front, struct mkv_connection_id id) {
    const struct front_connection *connection = front_connection_at(front, id.index);
    return connection->open && connection->generation == id.generation;
}

static void wait_begin(struct mkv_front *front, struct front_op *op, enum front_wait wait) {
    MKV_ASSERT(op->wait == FRONT_WAIT_NONE);
    op->state = FRONT_OP_WAITING;
    op->wait = wait;
    op->since_ns = front->now_ns;
}

/* The op runs when its item is advanced next. */
static void wait_end(struct mkv_front *front, struct front_op *op) {
    MKV_ASSERT(op->state == FRONT_OP_WAITING);
    op->state = FRONT_OP_GRANTED;
    op->wait = FRONT_WAIT_NONE;
    mkv_front_item_ready(front, op->item);
}

/* ---- credits --------------------------------------------------------------------------------- */

bool mkv_front_volume_online(const struct mkv_front *front, uint32_t volume) {
    return volume != MKV_NONE_U32 && front->volumes[volume].state == MKV_FRONT_VOLUME_ONLINE;
}

bool mkv_front_credit_take(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    if (op->has_credit) {
        return true;
    }
    struct front_volume *volume = &front->volumes[op->volume];
    if (volume->used[op->credit] < volume->credit_max[op->credit]) {
        MKV_ASSERT(volume->waiting[op->credit].count == 0); /* who gives one back passes it on */
        volume->used[op->credit]++;
        op->has_credit = true;
        return true;
    }
    wait_begin(front, op, FRONT_WAIT_CREDIT);
    mkv_front_list_push(&volume->waiting[op->credit], front_links(front, front->layout.op_links),
                        op_index);
    return false;
}

void mkv_front_credit_give(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->has_credit);
    struct front_volume *volume = &front->volumes[op->volume];
    MKV_ASSERT(volume->used[op->credit] > 0);
    op->has_credit = false;
    volume->used[op->credit]--;
    const uint32_t next = mkv_front_list_pop(&volume->waiting[op->credit],
                                             front_links(front, front->layout.op_links));
    if (next != MKV_NONE_U32) {
        volume->used[op->credit]++;
        front_op_at(front, next)->has_credit = true;
        wait_end(front, front_op_at(front, next));
    }
}

void mkv_front_wait_volume_gone(struct mkv_front *front, uint32_t volume) {
    for (uint32_t credit = 0; credit < FRONT_CREDIT_COUNT; credit++) {
        struct front_list *waiting = &front->volumes[volume].waiting[credit];
        uint32_t op;
        while ((op = mkv_front_list_pop(waiting, front_links(front, front->layout.op_links))) !=
               MKV_NONE_U32) {
            wait_end(front, front_op_at(front, op));
        }
    }
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static enum front_side side_of(const struct front_op *op) {
    return op->kind == FRONT_OP_PUT || op->kind == FRONT_OP_COMMIT ? FRONT_SIDE_WRITE
                                                                   : FRONT_SIDE_READ;
}

/* Whether puts hold too much for this one: the rest is kept for gets. */
static bool share_is_used(const struct mkv_front *front, const struct front_op *op) {
    return side_of(op) == FRONT_SIDE_WRITE &&
           front->write_units + op->slab_units > front->write_units_max;
}

/* The op to get the next slab: of the two queues' first ones the older, unless that is a put and
 * the puts' share is used. Nobody overtakes it because it needs less: so large ones do not starve.
 */
static uint32_t slab_next(struct mkv_front *front) {
    const uint32_t read = front->slab_queue[FRONT_SIDE_READ].first;
    const uint32_t write = front->slab_queue[FRONT_SIDE_WRITE].first;
    if (write == MKV_NONE_U32 || share_is_used(front, front_op_at(front, write))) {
        return read;
    }
    if (read == MKV_NONE_U32) {
        return write;
    }
    return front_op_at(front, read)->ticket < front_op_at(front, write)->ticket ? read : write;
}

/* Gives slabs to those whose turn it is, as far as there are. `running` is the op that asks for one
 * just now, and goes on at once; MKV_NONE_U32 when none does. */
static void slabs_hand_out(struct mkv_front *front, uint32_t running) {
    uint32_t op_index;
    front->reclaiming = false;
    while ((op_index = slab_next(front)) != MKV_NONE_U32) {
        struct front_op *op = front_op_at(front, op_index);
        const uint32_t bytes = op->slab_units * MKV_SLAB_UNIT_PAYLOAD_BYTES;
        if (!mkv_slab_alloc(front_slabs(front), bytes, &op->slab)) {
            if (mkv_front_memory_reclaim(front, mkv_slab_order(bytes))) {
                continue;
            }
            front->reclaiming = front->reclaims_left == 0 && front->reclaims_due > 0;
            return;
        }
        MKV_ASSERT(mkv_slab_units(front_slabs(front), op->slab) == op->slab_units);
        mkv_front_list_remove(&front->slab_queue[side_of(op)],
                              front_links(front, front->layout.op_links), op_index);
        op->has_slab = true;
        if (side_of(op) == FRONT_SIDE_WRITE) {
            front->write_units += op->slab_units;
        }
        if (op_index == running) {
            op->state = FRONT_OP_GRANTED;
            op->wait = FRONT_WAIT_NONE;
        } else {
            wait_end(front, op);
        }
    }
}

/* Every resident is looked at until it was seen cold: something has changed. */
static void slabs_grant(struct mkv_front *front, uint32_t running) {
    const uint64_t count = front->residents_new.count + (uint64_t)front->residents_proven.count;
    front->reclaims_due = count * (FRONT_HEAT_MAX + 1);
    slabs_hand_out(front, running);
}

void mkv_front_slabs_go_on(struct mkv_front *front) {
    front->reclaims_left = FRONT_RECLAIMS_PER_STEP_MAX;
    if (front->reclaiming) {
        slabs_hand_out(front, MKV_NONE_U32);
    }
}

bool mkv_front_slab_take(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    if (op->has_slab) {
        return true;
    }
    MKV_ASSERT(op->units_counted > 0);
    MKV_ASSERT(op->units_counted == op->slab_units);
    wait_begin(front, op, FRONT_WAIT_SLAB);
    op->ticket = ++front->ticket_last;
    mkv_front_list_push(&front->slab_queue[side_of(op)], front_links(front, front->layout.op_links),
                        op_index);
    slabs_grant(front, op_index);
    return op->has_slab;
}

void mkv_front_slab_give(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->has_slab);
    if (op->resident != MKV_NONE_U32 && !mkv_front_memory_reads(front, op, op_index)) {
        mkv_front_memory_leave(front, op_index);
    } else {
        mkv_slab_free(front_slabs(front), op->slab);
    }
    op->has_slab = false;
    if (side_of(op) == FRONT_SIDE_WRITE) {
        MKV_ASSERT(front->write_units >= op->slab_units);
        front->write_units -= op->slab_units;
    }
    if (op->units_counted > 0) {
        mkv_front_cap_give(front, op_index);
    }
    slabs_grant(front, MKV_NONE_U32);
}

/* ---- reads of others ------------------------------------------------------------------------- */

bool mkv_front_read_wait(struct mkv_front *front, uint32_t op_index, uint32_t resident) {
    if (!mkv_front_memory_read_join(front, op_index, resident)) {
        return false;
    }
    wait_begin(front, front_op_at(front, op_index), FRONT_WAIT_READ);
    return true;
}

/* ---- caps of connections --------------------------------------------------------------------- */

static bool cap_allows(const struct mkv_front *front, const struct front_connection *connection,
                       uint32_t units) {
    return connection->slab_units + units <= front->config.slab_units_per_connection_max;
}

static void cap_count(struct front_connection *connection, struct front_op *op) {
    op->units_counted = op->slab_units;
    connection->slab_units += op->slab_units;
}

/* Counts those for whom there is room now, in order. */
static void cap_grant(struct mkv_front *front, struct front_connection *connection) {
    uint32_t next;
    while ((next = connection->capped.first) != MKV_NONE_U32 &&
           cap_allows(front, connection, front_op_at(front, next)->slab_units)) {
        mkv_front_list_remove(&connection->capped, front_links(front, front->layout.op_links),
                              next);
        front->ops_capped[side_of(front_op_at(front, next))]--;
        cap_count(connection, front_op_at(front, next));
        wait_end(front, front_op_at(front, next));
    }
}

bool mkv_front_slab_fits(const struct mkv_front *front, uint32_t payload_bytes) {
    const uint32_t units = 1u << mkv_slab_order(payload_bytes);
    return units <= front->config.slab_unit_count &&
           units <= front->config.slab_units_per_connection_max;
}

bool mkv_front_cap_has_room(struct mkv_front *front, uint32_t op_index, uint32_t payload_bytes) {
    const struct front_op *op = front_op_at(front, op_index);
    const struct front_connection *connection = mkv_front_connection_of(front, op);
    const uint32_t units = 1u << mkv_slab_order(payload_bytes);
    MKV_ASSERT(connection != NULL);
    return op->units_counted == units ||
           (connection->capped.count == 0 && cap_allows(front, connection, units));
}

bool mkv_front_cap_take(struct mkv_front *front, uint32_t op_index, uint32_t payload_bytes) {
    struct front_op *op = front_op_at(front, op_index);
    const uint32_t units = 1u << mkv_slab_order(payload_bytes);
    if (op->units_counted == units) {
        return true;
    }
    struct front_connection *connection = mkv_front_connection_of(front, op);
    MKV_ASSERT(connection != NULL);
    if (op->units_counted > 0) {
        mkv_front_cap_give(front, op_index);
    }
    op->slab_units = units;
    if (connection->capped.count == 0 && cap_allows(front, connection, units)) {
        cap_count(connection, op);
        return true;
    }
    wait_begin(front, op, FRONT_WAIT_CAP);
    mkv_front_list_push(&connection->capped, front_links(front, front->layout.op_links), op_index);
    front->ops_capped[side_of(op)]++;
    return false;
}

void mkv_front_cap_give(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    struct front_connection *connection = mkv_front_connection_of(front, op);
    const uint32_t units = op->units_counted;
    op->units_counted = 0;
    if (connection == NULL) {
        return; /* its count went with it */
    }
    MKV_ASSERT(connection->slab_units >= units);
    connection->slab_units -= units;
    cap_grant(front, connection);
}

void mkv_front_wait_connection_gone(struct mkv_front *front, struct front_connection *connection) {
    uint32_t op;
    while ((op = mkv_front_list_pop(&connection->capped,
                                    front_links(front, front->layout.op_links))) != MKV_NONE_U32) {
        front->ops_capped[side_of(front_op_at(front, op))]--;
        wait_end(front, front_op_at(front, op));
    }
}

/* ---- an end of waiting ----------------------------------------------------------------------- */

void mkv_front_wait_cancel(struct mkv_front *front, uint32_t op_index) {
    struct front_op *op = front_op_at(front, op_index);
    MKV_ASSERT(op->state == FRONT_OP_WAITING);
    struct front_link *links = front_links(front, front->layout.op_links);
    struct front_connection *connection;
    const enum front_wait wait = op->wait;
    op->wait = FRONT_WAIT_NONE;
    switch (wait) {
    case FRONT_WAIT_CREDIT:
        mkv_front_list_remove(&front->volumes[op->volume].waiting[op->credit], links, op_index);
        break;
    case FRONT_WAIT_CAP:
        /* A closed connection's list was emptied when it closed, so this one is there. */
        connection = mkv_front_connection_of(front, op);
        mkv_front_list_remove(&connection->capped, links, op_index);
        front->ops_capped[side_of(op)]--;
        cap_grant(front, connection);
        break;
    case FRONT_WAIT_SLAB:
        mkv_front_list_remove(&front->slab_queue[side_of(op)], links, op_index);
        slabs_grant(front, MKV_NONE_U32);
        break;
    case FRONT_WAIT_READ:
        mkv_front_memory_read_cancel(front, op_index);
        break;
    case FRONT_WAIT_NONE:
        MKV_ASSERT(false);
        break;
    }
}

/* ---- segmented entries ----------------------------------------------------------------------- */

static void segmented_assign(struct mkv_front *front, uint32_t entry_index, uint32_t item_index) {
    struct front_segmented *entry = front_segmented_at(front, entry_index);
    *entry = (struct front_segmented){.item = item_index};
    front_item_at(front, item_index)->segmented = entry_index;
}

bool mkv_front_segmented_take(struct mkv_front *front, uint32_t item_index) {
    MKV_ASSERT(front_item_at(front, item_index)->segmented == MKV_NONE_U32);
    const uint32_t entry = mkv_front_list_pop(&front->segmented_free,
                                              front_links(front, front->layout.segmented_links));
    if (entry == MKV_NONE_U32) {
        mkv_front_list_push(&front->items_placing,
                            front_links(front, front->layout.item_place_links), item_index);
        return false;
    }
    segmented_assign(front, entry, item_index);
    return true;
}

void mkv_front_segmented_give(struct mkv_front *front, uint32_t item_index) {
    struct front_item *item = front_item_at(front, item_index);
    const uint32_t entry = item->segmented;
    MKV_ASSERT(front_segmented_at(front, entry)->item == item_index);
    item->segmented = MKV_NONE_U32;
    const uint32_t next = mkv_front_list_pop(&front->items_placing,
                                             front_links(front, front->layout.item_place_links));
    if (next != MKV_NONE_U32) {
        segmented_assign(front, entry, next);
        mkv_front_item_ready(front, next);
        return;
    }
    front_segmented_at(front, entry)->item = MKV_NONE_U32;
    mkv_front_list_push(&front->segmented_free, front_links(front, front->layout.segmented_links),
                        entry);
}

void mkv_front_segmented_cancel(struct mkv_front *front, uint32_t item_index) {
    MKV_ASSERT(front_item_at(front, item_index)->segmented == MKV_NONE_U32);
    mkv_front_list_remove(&front->items_placing, front_links(front, front->layout.item_place_links),
                          item_index);
}
