/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding up the figures of the shards of a node, and of the front and the router of one.
 *
 * Not responsible for: taking them (shard_thread.c).
 */
#ifndef MKV_SERVER_SHARD_SUM_H
#define MKV_SERVER_SHARD_SUM_H

#include "server/shard.h"

void mkv_front_stats_add(struct mkv_front_stats *sum, const struct mkv_front_stats *other);
void mkv_front_times_add(struct mkv_front_times *sum, const struct mkv_front_times *other);
/* Makes figures of a node out of those of one more of its shards: counts are added, each volume is
 * that of the shard that has it, tenants are matched by their numbers. `sum` begins as the figures
 * of the first shard. */
void mkv_shard_stats_add(struct mkv_shard_stats *sum, const struct mkv_shard_stats *other);

#endif
