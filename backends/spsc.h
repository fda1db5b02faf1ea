/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of messages from one thread to one other: of any size up to a bound, in order, without a
 * lock. And the bell of a consumer, which says whether it sleeps, so that producers wake it only
 * then.
 *
 *   bytes:   | … | size | message … | size | message … | skip | … |
 *                  ^                                     ^
 *                  head: the consumer's                  tail: the producer's
 *
 *   size:    8 bytes in front of each message; messages stand at multiples of 8 and are contiguous,
 *            so that the end of the ring may have to be skipped
 *
 *   producer: begin, fill in, end  …  then, once for many messages, mkv_bell_ring
 *   consumer: peek, use, next      …  then mkv_bell_sleep; peek all rings again; sleep if empty;
 *             mkv_bell_awake
 *
 * Invariants
 *  I1  Each message is seen once, whole, in the order of the ends.
 *  I2  No wake-up is lost: when mkv_bell_ring says that nobody is to be woken, the consumer is
 *      awake, or sees behind its mkv_bell_sleep every message that ended before the ring.
 *  I3  Of those who ring for one sleep, one is told to wake.
 *  I4  What producer and consumer write lies on different cache lines.
 *
 * Not responsible for: how a consumer is woken (ring.h), what messages mean, what a producer does
 * that finds no room.
 */
#ifndef MKV_BACKENDS_SPSC_H
#define MKV_BACKENDS_SPSC_H

#include <stdatomic.h>

#include "core/base.h"

#define MKV_SPSC_LINE_BYTES 64u
#define MKV_SPSC_BYTES_MIN 1024u
#define MKV_SPSC_BYTES_MAX (1u << 30)

struct mkv_spsc;

/* A power of two, MKV_SPSC_BYTES_MIN … MKV_SPSC_BYTES_MAX. NULL when there is no memory. */
struct mkv_spsc *mkv_spsc_create(uint32_t bytes);
/* When neither side uses it any more. NULL is allowed. */
void mkv_spsc_destroy(struct mkv_spsc *ring);
/* The longest message: wherever the ring stands, it fits once the ring is empty. */
uint32_t mkv_spsc_message_bytes_max(const struct mkv_spsc *ring);

/* ---- the producer --------------------------------------------------------------------------- */

/* Room for a message, aligned to 8 bytes, or NULL: there is none now. It is seen by nobody until
 * mkv_spsc_end; one may be begun again instead. */
uint8_t *mkv_spsc_begin(struct mkv_spsc *ring, uint32_t bytes);
void mkv_spsc_end(struct mkv_spsc *ring);

/* ---- the consumer --------------------------------------------------------------------------- */

/* The oldest message, which stays until mkv_spsc_next, or NULL: there is none now. */
const uint8_t *mkv_spsc_peek(struct mkv_spsc *ring, uint32_t *bytes);
void mkv_spsc_next(struct mkv_spsc *ring);

/* ---- the bell of a consumer, for all rings that it reads ------------------------------------- */

struct mkv_bell {
    _Alignas(MKV_SPSC_LINE_BYTES) atomic_bool asleep;
};

/* By the consumer: it is about to sleep, and looks into its rings once more before it does. */
void mkv_bell_sleep(struct mkv_bell *bell);
/* By the consumer: it looks into its rings from here on. */
void mkv_bell_awake(struct mkv_bell *bell);
/* By a producer, behind its messages: whether it has to wake the consumer. */
bool mkv_bell_ring(struct mkv_bell *bell);

#endif
