/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shards of a node, as if they were one: made together, asked together, ended together.
 *
 *   drives    to shards by capacity, the largest first, each to the shard that has least so far; a
 *             shard may have none, and then serves connections alone
 *   memory    in whole groups of slab units, as much as the shard's drives are of all, and at least
 *             one group: a front has the keys of its own drives, and keys spread evenly
 *   clients   each shard listens at the same addresses, that of RESP, too; the kernel gives a
 *             connection to one of them
 *
 * Invariants
 *  I1  With one shard everything is as if that shard were called directly.
 *  I2  Figures of a node are the sum of copies that its shards made since they were asked for,
 *      unless one is stuck.
 *  I3  All calls but create, start, join and destroy may come from any thread but a shard's; those
 *      come from one thread.
 *
 * Not responsible for: what a shard does (shard.h), and what they share (shard_group.h).
 */
#ifndef MKV_SERVER_SHARDS_H
#define MKV_SERVER_SHARDS_H

#include "server/shard.h"

struct mkv_shards;

struct mkv_shards_options {
    uint32_t count; /* 1 … MKV_SHARDS_MAX */
    /* Of one shard that has it all; group, index, relay and share, base and number of
     * connections of tcp and resp are set here, and what else one shard has of resp's; the front's
     * figures by `front`. With RESP `resp` is set for mkv_shards_metadata_bytes, too. */
    struct mkv_shard_options shard;
    /* The figures of a front with so many slab units. */
    void (*front)(void *context, uint32_t slab_unit_count, struct mkv_front_config *front);
    void *front_context;
};

/* Slab units of one shard. */
struct mkv_shards_part {
    uint32_t unit_first;
    uint32_t unit_count;
};

/* Which shard has each volume, by capacity in bytes. */
void mkv_shards_assign(uint32_t shard_count, uint32_t volume_count, const uint64_t *volume_bytes,
                       uint32_t *volume_shards);
/* What each shard has of the units; false when there are fewer groups than shards. */
bool mkv_shards_divide(uint32_t unit_count, uint32_t shard_count, const uint64_t *shard_bytes,
                       struct mkv_shards_part *parts);

/* As mkv_shard_metadata_bytes, of all. */
uint64_t mkv_shards_metadata_bytes(const struct mkv_shards_options *options, uint64_t arena_bytes);
/* Takes the media over, as mkv_shard_create. */
__attribute__((warn_unused_result)) bool mkv_shards_create(const struct mkv_shards_options *options,
                                                           struct mkv_shards **shards,
                                                           struct mkv_backend_error *error);
/* Starts all, or none. */
__attribute__((warn_unused_result)) bool mkv_shards_start(struct mkv_shards *shards,
                                                          struct mkv_backend_error *error);
/* Joined, or never started. NULL is allowed. */
void mkv_shards_destroy(struct mkv_shards *shards);
/* Each as the function of shard.h, of all shards. */
uint32_t mkv_shards_wait_opened(struct mkv_shards *shards);
void mkv_shards_close(struct mkv_shards *shards, uint64_t drain_ns);
bool mkv_shards_join(struct mkv_shards *shards);
enum mkv_status mkv_shards_tenant_drop(struct mkv_shards *shards, const char *name,
                                       uint64_t wait_ns);
enum mkv_status mkv_shards_ask(struct mkv_shards *shards, const struct mkv_message *message,
                               const uint8_t *data, uint64_t wait_ns,
                               struct mkv_shard_answer *answer);
enum mkv_status mkv_shards_inspect(struct mkv_shards *shards, const char *tenant,
                                   const uint8_t *key, uint32_t key_bytes, uint64_t wait_ns,
                                   struct mkv_shard_inspection *inspection);
/* What the shards have in common; for the operator's wishes. */
struct mkv_shard_group *mkv_shards_group(const struct mkv_shards *shards);
/* See mkv_shard_drain. */
void mkv_shards_drain(struct mkv_shards *shards, uint64_t volumes);
/* See mkv_shard_drive_release, _give and _room. */
__attribute__((warn_unused_result)) bool mkv_shards_drive_release(struct mkv_shards *shards,
                                                                  uint32_t volume,
                                                                  uint64_t wait_ns);
__attribute__((warn_unused_result)) bool mkv_shards_drive_give(
    struct mkv_shards *shards, uint32_t volume, const struct mkv_volume_config *config,
    const struct mkv_drive_media *media, uint64_t wait_ns, struct mkv_backend_error *error);
uint64_t mkv_shards_drive_room(const struct mkv_shards *shards, uint32_t volume,
                               const struct mkv_volume_config *config, uint64_t *needed);
void mkv_shards_checkpoint(struct mkv_shards *shards);
void mkv_shards_avoid(struct mkv_shards *shards, uint64_t volumes);

/* What is told apart by shard. */
struct mkv_shards_brief {
    uint64_t requests; /* accepted */
    uint64_t blocks;
    uint64_t connections;
};

/* The sum; `briefs` has a place for each shard, or is NULL. */
void mkv_shards_stats(struct mkv_shards *shards, struct mkv_shard_stats *stats,
                      struct mkv_shards_brief *briefs);
/* The same on a shard's own thread, whose figures are `own`; nobody is waited for, and the others'
 * are those that they published last. */
void mkv_shards_stats_within(struct mkv_shards *shards, const struct mkv_shard_stats *own,
                             struct mkv_shard_stats *stats, struct mkv_shards_brief *briefs);

/* NULL when there is no RESP. */
struct mkv_resp_calls *mkv_shards_resp_calls(const struct mkv_shards *shards, uint32_t shard);
uint32_t mkv_shards_count(const struct mkv_shards *shards);
const struct mkv_observer *mkv_shards_observer(const struct mkv_shards *shards, uint32_t shard);
/* Of the shard whose last round is longest ago. */
uint64_t mkv_shards_round_ns(const struct mkv_shards *shards);
const char *mkv_shards_ring_mode(const struct mkv_shards *shards);
int mkv_shards_registration_error(const struct mkv_shards *shards);
uint16_t mkv_shards_port(const struct mkv_shards *shards);

#endif
