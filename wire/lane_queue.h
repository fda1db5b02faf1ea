/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The send queue is a ring of positions; a position is the work request's id. What an input posts
 * waits between `handed` and `tail` until effects are asked for, so that a chain is known as a
 * whole when its last member is signalled, and credits leave at the last moment.
 *
 *      head             handed            tail
 *       v                 v                 v
 *       | at the device   | waits for       |        positions grow
 *       | until it ends   | mkv_lane_effects|
 *
 * Only files of a lane include it. Not responsible for: when something ends (lane.c).
 */
#ifndef MKV_WIRE_LANE_QUEUE_H
#define MKV_WIRE_LANE_QUEUE_H

#include "wire/lane.h"

enum mkv_lane_slot_use {
    MKV_LANE_SLOT_FREE = 0,
    MKV_LANE_SLOT_TAKEN,
    MKV_LANE_SLOT_POSTED, /* or waiting to be */
};

static inline uint32_t mkv_lane_payload_bytes_max(const struct mkv_lane *lane) {
    return lane->config.message_bytes - MKV_LANE_HEADER_BYTES;
}

static inline struct mkv_lane_posted *mkv_lane_posted_at(struct mkv_lane *lane, uint64_t position) {
    return &lane->posted[position % MKV_LANE_POSTED_MAX];
}

/* Takes a free slot and a credit, which there are. */
uint32_t mkv_lane_take(struct mkv_lane *lane);
/* Gives back a slot that is not free. */
void mkv_lane_slot_free(struct mkv_lane *lane, uint32_t slot);
/* A transfer, by its place, or what stands in a slot, joins the queue. */
void mkv_lane_enqueue(struct mkv_lane *lane, bool is_transfer, uint32_t place);
/* A slot that is not free, and whose credit is taken, joins it as a message. */
void mkv_lane_enqueue_send(struct mkv_lane *lane, uint32_t slot, enum mkv_lane_message kind,
                           uint32_t bytes);
/* A message of the lane's own. Whoever calls has seen that there is a slot and a credit. */
void mkv_lane_enqueue_own(struct mkv_lane *lane, enum mkv_lane_message kind, uint32_t bytes);
static inline bool mkv_lane_can_send_own(const struct mkv_lane *lane) {
    return lane->slots_free > 0 && lane->credits > 0;
}

/* What was posted at this position ends; it stays in the queue. */
void mkv_lane_posted_end(struct mkv_lane *lane, uint64_t position, bool is_ok);
/* Everything below `end` ends, and leaves the queue. */
void mkv_lane_end_below(struct mkv_lane *lane, uint64_t end, bool is_ok);
/* What has not reached the device from `position` on never will. */
void mkv_lane_withdraw_from(struct mkv_lane *lane, uint64_t position);

#endif
