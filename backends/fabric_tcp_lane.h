/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that goes on over RDMA. Its frames are the stream of a lane (verbs/endpoint.h), its
 * TCP socket is the lifeline: nothing comes over it any more, and its end is the lane's end, as the
 * lane's is the socket's.
 *
 *   CONNECT --> a lane is made, and its client looked for in the network: the connection pauses;
 *               what hangs in the driver is left to the port, and the client refused
 *           --> its answer goes out over TCP --> used: frames leave over the lane too (they came
 *                                                over it already)
 *
 *   broken, drained ... are called from within mkv_lane_ports_poll: they note what happened, and
 *   the connection goes on in this round's turn (mkv_tcp_connection_touch).
 *
 *   PULL   pieces, posted in order, as many as there is room for; copied to where they belong if
 *          they came by a way round, and hashed in that order, a bounded amount in a round, while
 *          those behind them are on their way
 *   PUSH   pieces; then its DATA, without a payload, in the stream; done when the DATA has left and
 *          the last piece has completed. Into slots in turn: DATA behind each piece, and where the
 *          client has not said TAKEN for a slot yet, it and what follows it of its request are
 *          `held` aside, so that other frames go on
 *
 *   TAKEN tells the client how many PULLs have been read whose DATA said where they are.
 *
 * Invariants
 *  I1  Nothing is posted but in state OPEN, or for what is to be sent in REFUSED and LINGERING.
 *  I2  An operation with a piece that is posted is in `reads`, `writes` or `held`, in the
 *      connection's queue or in flight; none of these is completed as failed before the lane is
 *      drained.
 *  I3  An answer leaves behind the READs of its request: then the client's memory is its own again.
 *
 * Not responsible for: the queue pair (verbs/), when a client goes back to RDMA (client/).
 */
#ifndef MKV_BACKENDS_FABRIC_TCP_LANE_H
#define MKV_BACKENDS_FABRIC_TCP_LANE_H

#include "backends/fabric_tcp_internal.h"
#include "backends/lane_ports.h"

/* A connection hashes so much in its turn even where others have used up the round's share. */
#define MKV_TCP_LANE_HASH_BYTES (128u * 1024u)

/* Peers that a shard looks for at a time, a thread for each. Those that hang in a driver are none
 * of them any more, and of these a port has no more than so many: none begins while one hangs. */
#define MKV_TCP_LANES_COMING_MAX 8u

/* Where the items of one request are in the client's memory. */
struct mkv_tcp_lane_slot {
    bool is_used;
    uint32_t turn_slots; /* of memory that is filled in turn; 0: it is not */
    uint64_t turn_count; /* DATA that were written there ... */
    uint64_t turn_taken; /* ... and that the client is done with */
    uint64_t held_ns;    /* since when some of it is held, or when the last TAKEN of it came */
    struct {
        uint64_t offset; /* in the value, of the byte at `remote` */
        uint64_t length;
        struct mkv_native_remote remote;
    } items[MKV_NATIVE_REMOTE_ITEMS_MAX];
};

/* A READ or WRITE that is posted. */
struct mkv_tcp_piece {
    struct mkv_tcp_op *op; /* NULL: it is free */
    uint32_t offset;       /* in the transfer */
    uint32_t bytes;
    bool is_read;
    bool has_come;  /* a READ that is in its way round, and not in its slab */
    uint8_t *round; /* it goes by way of there; NULL: straight to or from its slab */
    uint64_t posted_ns;
};

struct mkv_tcp_lane {
    struct mkv_tcp_connection *connection;
    struct mkv_lane_port *port;
    struct mkv_endpoint *endpoint;
    struct mkv_lane_reach *reach; /* while it is coming */
    struct mkv_tcp_lane *coming_next;
    bool is_used; /* the answer to CONNECT has left */
    bool is_readable;
    bool is_stopped; /* by this side, or it broke */
    bool is_drained;
    uint32_t fallback;             /* of its CONNECT */
    struct mkv_tcp_op_list reads;  /* PULLs, in their order */
    struct mkv_tcp_op *reads_next; /* the first of them that is not posted whole */
    struct mkv_tcp_op_list writes; /* PUSHes whose DATA has left, and not all pieces are done */
    uint64_t sums[MKV_CHUNKS_MAX]; /* of the first of `reads` */
    uint32_t sum_count;
    uint64_t fed_count; /* PULLs that were read where DATA said */
    uint64_t told_count;
    bool is_telling; /* `taken`, which says so, is in the queue or in flight */
    struct mkv_tcp_op taken;
    uint8_t taken_body[MKV_NATIVE_TAKEN_BYTES];
    struct mkv_tcp_op_list held; /* PUSHes that wait for TAKEN, and what is behind them */
    uint32_t turn_requests;      /* whose memory is filled in turn */
    /* Of the port's ways round, those of pieces that failed, by bit: given back when the queue pair
     * is gone, since Soft-RoCE may still write a packet that it had in hand. */
    uint32_t rounds_kept;
    bool awaits_round;
    struct mkv_tcp_lane *round_next; /* that waits behind it */
    uint32_t come_count;             /* pieces that has_come is true of */
    struct mkv_tcp_piece pieces[MKV_LANE_TRANSFERS_MAX];
    struct mkv_tcp_lane_slot slots[]; /* requests_max + 1 */
};

/* ---- fabric_tcp_lane_transfer.c ------------------------------------------------------------- */

/* Posts READs as far as there is room, and completes PULLs and PUSHes that are there. Of a
 * connection that ends it gives back the ways round of what has come. */
void mkv_tcp_lane_transfers_advance(struct mkv_tcp_lane *lane);
/* A piece has completed; from within a poll. */
void mkv_tcp_lane_piece_done(struct mkv_tcp_lane *lane, uint64_t tag, bool is_ok);

/* ---- fabric_tcp_lane_round.c ---------------------------------------------------------------- */

/* A way round, MKV_LANE_PIECE_BYTES; NULL: the connection goes on when it has its turn. */
uint8_t *mkv_tcp_lane_round_take(struct mkv_tcp_lane *lane);
void mkv_tcp_lane_round_give(struct mkv_tcp_lane *lane, const uint8_t *round);
/* The device may still write there: it is given when the lane leaves. */
void mkv_tcp_lane_round_keep(struct mkv_tcp_lane *lane, const uint8_t *round);
/* Its queue pair is gone: it waits for none any more, and gives what it has kept. */
void mkv_tcp_lane_rounds_leave(struct mkv_tcp_lane *lane);

#endif
