/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rot: one flipped bit at a time, at moments that the run chooses: in a block while it is served,
 * in metadata between a crash and the next opening. And both copies of a journal block at a time,
 * where a later one says that it was flushed: then the volume has to come up empty.
 *
 * Invariants
 *  I1  Metadata is struck within the reach of the drive's faults (faults.h) alone.
 *
 * Not responsible for: rot of both copies of the last durable journal block: that is out of
 * promise.
 */
#ifndef MKV_SIM_ROT_H
#define MKV_SIM_ROT_H

#include "sim/faults.h"
#include "sim/node.h"

/* The volume crashes now. */
void mkv_rot_before_crash(struct mkv_faults *faults, const struct mkv_node *node);
/* Between a crash and the next opening: perhaps flips bits of metadata. */
void mkv_rot_metadata(struct mkv_faults *faults, struct mkv_node *node);
/* While it serves: perhaps flips a bit of a live block. */
void mkv_rot_block(struct mkv_faults *faults, struct mkv_node *node);

#endif
