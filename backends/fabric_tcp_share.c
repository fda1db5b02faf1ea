/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard copies and hashes itself in a round: MKV_TCP_COPY_BYTES_MAX, whichever connections
 * it is for, so that others never wait long. A piece that cannot be cut may exceed what is left.
 *
 *   round 1   | A: has the rest | B: nothing is left | A: nothing is left |
 *   round 2   | B | A | ...        whoever got nothing is before those that had some
 */
#include "backends/fabric_tcp_internal.h"

void mkv_tcp_share_begin(struct mkv_fabric_tcp *fabric) {
    struct mkv_tcp_connection *first = fabric->share_first;
    fabric->copy_bytes_left = MKV_TCP_COPY_BYTES_MAX;
    fabric->share_first = NULL;
    fabric->share_last = NULL;
    if (first == NULL || !first->touched || fabric->touched_head == first) {
        return;
    }
    struct mkv_tcp_connection *before = fabric->touched_head;
    while (before->touched_next != first) {
        before = before->touched_next;
        MKV_ASSERT(before != NULL);
    }
    fabric->touched_tail->touched_next = fabric->touched_head;
    fabric->touched_head = first;
    fabric->touched_tail = before;
    before->touched_next = NULL;
}

bool mkv_tcp_share_ask(struct mkv_tcp_connection *connection) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (fabric->copy_bytes_left > 0) {
        return true;
    }
    if (fabric->share_first == NULL && fabric->share_last != connection) {
        fabric->share_first = connection;
    }
    mkv_tcp_connection_touch(connection);
    return false;
}

uint32_t mkv_tcp_share_take(struct mkv_tcp_connection *connection, uint32_t bytes) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    const uint32_t part = (uint32_t)mkv_min_u64(bytes, fabric->copy_bytes_left);
    fabric->copy_bytes_left -= part;
    if (part > 0) {
        fabric->share_last = connection;
    }
    return part;
}
