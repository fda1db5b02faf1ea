/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections on their way from the shard that accepted them to the one that their client named in
 * HELLO: a queue for each shard, behind one mutex, since connections come seldom.
 *
 *   shard i   put ----> queue of j ----> take   shard j, in its next round
 *
 * Invariants
 *  I1  A connection is in one queue, until it is taken once. What nobody takes is closed by
 *      destroy.
 *  I2  A queue has room for MKV_SHARD_MOVES_MAX; put says so when there is none, and nobody waits.
 *  I3  Whoever puts wakes the shard.
 *
 * Not responsible for: what a connection is (fabric_tcp.h).
 */
#ifndef MKV_SERVER_SHARD_MOVES_H
#define MKV_SERVER_SHARD_MOVES_H

#include "backends/fabric_tcp.h"
#include "backends/ring.h"

#define MKV_SHARD_MOVES_MAX 128u

struct mkv_shard_moves;

/* NULL when there is no memory. */
struct mkv_shard_moves *mkv_shard_moves_create(uint32_t shard_count);
/* Behind the last thread. NULL is allowed. */
void mkv_shard_moves_destroy(struct mkv_shard_moves *moves);
/* What wakes the shard, before any of them runs. */
void mkv_shard_moves_enter(struct mkv_shard_moves *moves, uint32_t shard, struct mkv_ring *ring);

/* By the thread of `shard`: how many it would take now; who finds no room stays where it is. Until
 * it says so, as many as there may be. */
void mkv_shard_moves_room(struct mkv_shard_moves *moves, uint32_t shard, uint32_t room);

/* By any shard's thread: false when there is no such shard, or no room. */
bool mkv_shard_moves_put(struct mkv_shard_moves *moves, uint32_t shard,
                         const struct mkv_fabric_tcp_move *move);
/* By the thread of `shard`: the next one; false when there is none, which costs a load. */
bool mkv_shard_moves_take(struct mkv_shard_moves *moves, uint32_t shard,
                          struct mkv_fabric_tcp_move *move);

#endif
