/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that nobody uses give their memory back. A receive that waits names memory, so it is
 * cancelled first; whoever is busy never pays for this.
 *
 *   AWAKE --- nothing to do for rest_ns ---> DROWSY --- the receive was cancelled ---> RESTING
 *     ^                                        |                                          |
 *     +---- bytes came before the cancelling --+         +-- the socket is readable ------+
 *     +--------------------------------------------------+
 *
 * One with a lane has its memory named by nobody, and rests at once; it wakes when bytes come.
 */
#include <sys/mman.h>

#include "backends/fabric_tcp_internal.h"

/* The pages read as zeroes when they are next touched. */
static void memory_drop(struct mkv_tcp_connection *connection) {
    /* It cannot fail for a mapping of ours; if it did, the memory would stay, and no harm done. */
    (void)madvise(connection->control, connection->fabric->connection_bytes, MADV_DONTNEED);
}

static void set_quiet(struct mkv_tcp_connection *connection, bool quiet) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    fabric->quiet[connection - fabric->connections] = quiet ? 1 : 0;
}

static bool has_nothing_to_do(const struct mkv_tcp_connection *connection) {
    return connection->state == MKV_TCP_OPEN && connection->greeted && !connection->awaits_auth &&
           connection->receive_in_flight && !mkv_tcp_receive_is_within_frame(connection) &&
           connection->pulls_head == NULL && mkv_tcp_connection_owes_nothing(connection) &&
           mkv_tcp_lane_is_quiet(connection);
}

void mkv_tcp_rest_consider(struct mkv_tcp_connection *connection, uint32_t *rests) {
    struct mkv_fabric_tcp *fabric = connection->fabric;
    if (*rests == 0 || connection->rest != MKV_TCP_AWAKE ||
        fabric->now_ns < connection->received_ns + fabric->options.rest_ns) {
        return;
    }
    if (connection->state == MKV_TCP_FREE) {
        *rests -= 1;
        memory_drop(connection);
        set_quiet(connection, true);
    } else if (has_nothing_to_do(connection) && connection->lane != NULL) {
        *rests -= 1;
        memory_drop(connection);
        connection->rest = MKV_TCP_RESTING;
        set_quiet(connection, true);
    } else if (has_nothing_to_do(connection)) {
        *rests -= 1;
        connection->rest = MKV_TCP_DROWSY;
        mkv_stream_receive_cancel(&connection->stream, &connection->receive);
    }
}

void mkv_tcp_rest_begin(struct mkv_tcp_connection *connection) {
    MKV_ASSERT(connection->state == MKV_TCP_OPEN);
    MKV_ASSERT(!connection->receive_in_flight);
    memory_drop(connection);
    connection->rest = MKV_TCP_RESTING;
    connection->receive_in_flight = true;
    set_quiet(connection, true);
    mkv_stream_wait_readable(&connection->stream, &connection->receive);
}

void mkv_tcp_rest_end(struct mkv_tcp_connection *connection) {
    set_quiet(connection, false);
}
