/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways round of a port, which its lanes share: memory that is registered, for pieces of slabs
 * that are not (lane_ports.h).
 *
 *   none is free --> a lane waits in line; nothing has to come round for it
 *   one is given --> the first in line has its turn: its connection goes on, and no other lane
 *                    takes one before that has ended; then the next in line, if one is free still
 *
 * So one that moves much, and gives one back and wants it again at once, is behind those that wait,
 * and a lane that has no use for its turn any more passes it on.
 */
#include "backends/fabric_tcp_lane.h"

#define ALL_ROUNDS ((1u << MKV_LANE_ROUNDS) - 1u)

_Static_assert(MKV_LANE_ROUNDS < 32, "a bit for each");

static bool is_one_free(const struct mkv_lane_port *port) {
    return port->rounds_used != ALL_ROUNDS;
}

static void wait_in_line(struct mkv_tcp_lane *lane) {
    struct mkv_lane_port *port = lane->port;
    if (lane->awaits_round) {
        return;
    }
    lane->awaits_round = true;
    lane->round_next = NULL;
    if (port->rounds_last == NULL) {
        port->rounds_first = lane;
    } else {
        port->rounds_last->round_next = lane;
    }
    port->rounds_last = lane;
}

static void leave_line(struct mkv_tcp_lane *lane) {
    struct mkv_lane_port *port = lane->port;
    struct mkv_tcp_lane *before = NULL;
    struct mkv_tcp_lane *at = port->rounds_first;
    if (!lane->awaits_round) {
        return;
    }
    while (at != lane) {
        before = at;
        at = at->round_next;
        MKV_ASSERT(at != NULL);
    }
    if (before == NULL) {
        port->rounds_first = lane->round_next;
    } else {
        before->round_next = lane->round_next;
    }
    if (port->rounds_last == lane) {
        port->rounds_last = before;
    }
    lane->awaits_round = false;
    lane->round_next = NULL;
}

/* Whose turn it is, where it is nobody's and one is free. */
static void next_turn(struct mkv_lane_port *port) {
    struct mkv_tcp_lane *lane = port->rounds_first;
    if (port->rounds_turn == NULL && lane != NULL && is_one_free(port)) {
        leave_line(lane);
        port->rounds_turn = lane;
        mkv_tcp_connection_touch(lane->connection);
    }
}

uint8_t *mkv_tcp_lane_round_take(struct mkv_tcp_lane *lane) {
    struct mkv_lane_port *port = lane->port;
    const bool is_turn = port->rounds_turn == NULL || port->rounds_turn == lane;
    if (!is_turn || !is_one_free(port)) {
        wait_in_line(lane);
        return NULL;
    }
    const uint32_t place = (uint32_t)__builtin_ctz(~port->rounds_used);
    MKV_ASSERT(place < MKV_LANE_ROUNDS);
    port->rounds_used |= 1u << place;
    return port->rounds + (size_t)place * MKV_LANE_PIECE_BYTES;
}

static uint32_t bit_of(const struct mkv_lane_port *port, const uint8_t *round) {
    const uint32_t bit = 1u << (size_t)(round - port->rounds) / MKV_LANE_PIECE_BYTES;
    MKV_ASSERT((port->rounds_used & bit) != 0);
    return bit;
}

void mkv_tcp_lane_round_give(struct mkv_tcp_lane *lane, const uint8_t *round) {
    lane->port->rounds_used &= ~bit_of(lane->port, round);
    next_turn(lane->port);
}

void mkv_tcp_lane_round_keep(struct mkv_tcp_lane *lane, const uint8_t *round) {
    lane->rounds_kept |= bit_of(lane->port, round);
}

void mkv_tcp_lane_turn_end(struct mkv_tcp_connection *connection) {
    const struct mkv_tcp_lane *lane = connection->lane;
    if (lane != NULL && lane->port->rounds_turn == lane) {
        lane->port->rounds_turn = NULL;
        next_turn(lane->port);
    }
}

void mkv_tcp_lane_rounds_leave(struct mkv_tcp_lane *lane) {
    struct mkv_lane_port *port = lane->port;
    leave_line(lane);
    port->rounds_used &= ~lane->rounds_kept;
    lane->rounds_kept = 0;
    if (port->rounds_turn == lane) {
        port->rounds_turn = NULL;
    }
    next_turn(port);
}
