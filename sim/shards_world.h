/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node of one to three shards: each is a front with its volumes, as the front world has them, and
 * has a thread of its own. Which of them takes the next step is drawn from the seed.
 *
 *   clients --by placement--> shard 0: front, volumes   -+
 *                             shard 1: front, volumes    +- one process: what ends one ends all
 *                             shard 2: front, volumes   -+
 *
 * Invariants
 *  I1  A key belongs to the shard that core/placement.h says, in every life: no other is asked for
 *      it while clients work, and when all keys are read back no other has it.
 *  I2  A crash ends all shards, wherever each of them is, and all in the same way.
 *  I3  A crash counts when every shard has counted it.
 *
 * Not responsible for: what happens in a shard (front_world.h).
 */
#ifndef MKV_SIM_SHARDS_WORLD_H
#define MKV_SIM_SHARDS_WORLD_H

#include "sim/shape.h"

#define MKV_SHARDS_MAX 3u

/* The shard that a key of the default tenant belongs to. */
uint32_t mkv_shards_owner(const struct mkv_shape *shape, const uint8_t *key, uint32_t key_bytes);

#endif
