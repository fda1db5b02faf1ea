/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose memory it is: of each buffer of a simulated node, from moment to moment. Every movement of
 * bytes that a queue pair makes is held against it (oracle R1).
 *
 *   NOBODY --> SOFTWARE --> SEND ----------------- completed --> NOBODY
 *                      +--> PULL, PUSH ----------- transfer done --> NOBODY
 *                      +--> RECEIVE -------------- completed --> SOFTWARE
 *                      +--> PEER_READS, PEER_WRITES - answered, or exposure end --> NOBODY
 *
 * Invariants
 *  I1  (R1) Bytes move into or out of a buffer only while it is given to that: to a work request of
 *      that lane, or to the peer of that lane.
 *
 * Not responsible for: when a buffer changes hands; whoever drives a lane says so.
 */
#ifndef MKV_SIM_LANES_MEMORY_H
#define MKV_SIM_LANES_MEMORY_H

#include "sim/verbs_sim.h"

#define MKV_LANES_BUFFERS_MAX 768u
/* The lane of a receive of the shared queue: any. */
#define MKV_LANES_ANY UINT64_MAX

enum mkv_lanes_owner {
    MKV_LANES_NOBODY = 0,
    MKV_LANES_SOFTWARE,
    MKV_LANES_SEND,       /* a message that is posted */
    MKV_LANES_RECEIVE,    /* a receive that is posted */
    MKV_LANES_PULL,       /* a READ of this node writes it */
    MKV_LANES_PUSH,       /* a WRITE of this node reads it */
    MKV_LANES_PEER_READS, /* the peer may */
    MKV_LANES_PEER_WRITES,
};

struct mkv_lanes_buffer {
    uint64_t address;
    uint32_t bytes;
    enum mkv_lanes_owner owner;
    uint64_t lane; /* whose; of NOBODY and SOFTWARE: 0 */
};

struct mkv_lanes_memory {
    uint32_t count;
    uint64_t bytes; /* of all buffers */
    uint64_t evaluations;
    struct mkv_lanes_buffer buffers[MKV_LANES_BUFFERS_MAX]; /* by address */
};

void mkv_lanes_memory_init(struct mkv_lanes_memory *memory);
/* Adds so many buffers of so many bytes behind the others; returns the index of the first. */
uint32_t mkv_lanes_memory_add(struct mkv_lanes_memory *memory, uint32_t count, uint32_t bytes);
/* The process died: all is nobody's. */
void mkv_lanes_memory_reset(struct mkv_lanes_memory *memory);
/* A buffer that is nobody's among `count` from `first` on; MKV_NONE_U32: none. */
uint32_t mkv_lanes_memory_find(const struct mkv_lanes_memory *memory, uint32_t first,
                               uint32_t count);
static inline void mkv_lanes_memory_give(struct mkv_lanes_memory *memory, uint32_t buffer,
                                         enum mkv_lanes_owner owner, uint64_t lane) {
    MKV_ASSERT(buffer < memory->count);
    memory->buffers[buffer].owner = owner;
    memory->buffers[buffer].lane = lane;
}
/* Fails the run (R1) unless the move is of a buffer that is given to it. `lane` is the one of the
 * move's queue pair, 0 where there is none. */
void mkv_lanes_memory_check(struct mkv_lanes_memory *memory, const struct mkv_verbs_sim_move *move,
                            uint64_t lane);
const char *mkv_lanes_owner_name(enum mkv_lanes_owner owner);

#endif
