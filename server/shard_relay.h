/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings between the shards of a node: one for each pair and direction, with the records that
 * their routers send each other (core/router.h), and what wakes a shard that sleeps.
 *
 *   shard i   send, send …  flush ---- ring i -> j ----> peek, next …   shard j
 *
 *   round of a shard:  awake, records of all rings, work, flush, may_sleep, wait
 *
 * Invariants
 *  I1  Records between two shards keep their order, and each is seen once.
 *  I2  There is always room: a ring holds what its sender may have outstanding.
 *  I3  A shard is woken only when it sleeps, and then once for a flush; for records that nobody
 *      waits for, such as that an answer has left, at the latest MKV_SHARD_RELAY_LAZY_NS later.
 *
 * Not responsible for: what records say.
 */
#ifndef MKV_SERVER_SHARD_RELAY_H
#define MKV_SERVER_SHARD_RELAY_H

#include "backends/ring.h"
#include "backends/spsc.h"
#include "core/router.h"

/* A wake-up costs about as much as half a small request: by then others have come. */
#define MKV_SHARD_RELAY_LAZY_NS (1000ull * 1000u)

struct mkv_shard_relay;

/* For shards with these configurations. NULL when there is no memory. */
struct mkv_shard_relay *mkv_shard_relay_create(const struct mkv_router_config *configs,
                                               uint32_t shard_count);
/* Behind the last thread. NULL is allowed. */
void mkv_shard_relay_destroy(struct mkv_shard_relay *relay);
/* What wakes the shard, before any of them runs. */
void mkv_shard_relay_enter(struct mkv_shard_relay *relay, uint32_t shard, struct mkv_ring *ring);

/* ---- the thread of `shard` ------------------------------------------------------------------- */

/* Puts head and tail of a MKV_ROUTER_SEND into the ring of its shard; `lazy`: nobody waits. */
void mkv_shard_relay_send(struct mkv_shard_relay *relay, uint32_t shard,
                          const struct mkv_router_output *output, bool lazy);
/* Wakes those who sleep and have got records since the last flush. Returns when it is to be called
 * again at the latest, for lazy ones: UINT64_MAX, there are none. */
uint64_t mkv_shard_relay_flush(struct mkv_shard_relay *relay, uint32_t shard, uint64_t now_ns);
/* The next record from `from`, which stays until next; NULL: there is none. */
const uint8_t *mkv_shard_relay_peek(struct mkv_shard_relay *relay, uint32_t shard, uint32_t from,
                                    uint32_t *bytes);
void mkv_shard_relay_next(struct mkv_shard_relay *relay, uint32_t shard, uint32_t from);
/* Whether no record waits: then the shard may sleep, and is woken by the next. */
bool mkv_shard_relay_may_sleep(struct mkv_shard_relay *relay, uint32_t shard);
void mkv_shard_relay_awake(struct mkv_shard_relay *relay, uint32_t shard);

#endif
