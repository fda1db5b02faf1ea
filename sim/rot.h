/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media faults: one flipped bit at a time, where the store promises to cope: in a block, which may
 * then be missing; in one copy of the superblock, or in one copy of a journal block, which must not
 * be missed.
 *
 * Invariants
 *  I1  Between two moments at which the volume has begun to serve, at most one bit of metadata is
 *      flipped; at each of them it has been repaired.
 *  I2  A superblock copy is flipped only while all four are durable and equal.
 *
 * Not responsible for: faults that the store may not survive (both copies of a journal block, a
 * checkpoint page).
 */
#ifndef MKV_SIM_ROT_H
#define MKV_SIM_ROT_H

#include "sim/model.h"
#include "sim/node.h"

struct mkv_rot {
    bool metadata_hit;
    bool superblock_quiet; /* at the last crash, all copies were durable and equal */
    uint64_t hits;
    uint64_t hits_in_blocks;
    uint64_t hits_in_directory;
    uint64_t reports; /* events that tell of lost blocks */
};

/* The volume crashes now. */
void mkv_rot_before_crash(struct mkv_rot *rot, const struct mkv_node *node);
/* Between a crash and the next opening: perhaps flips a bit of metadata. */
void mkv_rot_metadata(struct mkv_rot *rot, struct mkv_node *node, struct mkv_random *random,
                      struct mkv_trace *trace);
/* The same of the directory, which says so when it meets it, and is made anew. */
void mkv_rot_directory(struct mkv_rot *rot, struct mkv_node *node, struct mkv_random *random,
                       struct mkv_trace *trace);
/* While it serves: perhaps flips a bit of a live block; its key may be missing from then on. */
void mkv_rot_block(struct mkv_rot *rot, struct mkv_node *node, struct mkv_model *model,
                   struct mkv_random *random, struct mkv_trace *trace);
void mkv_rot_event(struct mkv_rot *rot, const struct mkv_event *event);

#endif
