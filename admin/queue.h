/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue from any number of threads to one, for what is told about the work and must never
 * hold it up: lines of the log, events. Nobody waits for anybody: where there is no room the newest
 * item is refused at once, and whoever brings it counts it.
 *
 *       taken            published     reserved
 *         |                  |            |
 *   ... free [ to be taken   ][ being filled ] free ...
 *
 * Each cell has a number that says whose turn it is: the place of the item it waits for, that place
 * + 1 when the item is published, and the place one round later when it was taken.
 *
 * Invariants
 *  I1  Items are taken in the order in which they were reserved, each once.
 *  I2  A cell belongs to one thread at a time: to who reserved it until it is published, then to
 *      the one that takes.
 *  I3  Exactly `capacity` items have room.
 *
 * Not responsible for: waking the thread that takes.
 */
#ifndef MKV_ADMIN_QUEUE_H
#define MKV_ADMIN_QUEUE_H

#include "core/base.h"

/* How often a place is tried for that others snatch away, before it counts as no room. */
#define MKV_QUEUE_TRIES_MAX 64u

struct mkv_queue;

/* At least two items, each with the alignment of any type. NULL when there is no memory. */
struct mkv_queue *mkv_queue_create(uint32_t capacity, uint32_t item_bytes);
/* Nobody uses it any more. NULL is allowed. */
void mkv_queue_destroy(struct mkv_queue *queue);

/* A place to fill, or NULL where there is no room. `*ticket` is for publish, which must follow:
 * what others reserve behind it waits for it. From any thread. */
__attribute__((warn_unused_result)) void *mkv_queue_reserve(struct mkv_queue *queue,
                                                            uint64_t *ticket);
void mkv_queue_publish(struct mkv_queue *queue, uint64_t ticket);

/* The next item, or NULL when it is not there yet. By one thread. */
__attribute__((warn_unused_result)) const void *mkv_queue_next(struct mkv_queue *queue);
/* Gives the place of that item back. */
void mkv_queue_take(struct mkv_queue *queue);
/* How many items have been taken, and how many places reserved. From any thread. */
uint64_t mkv_queue_taken(const struct mkv_queue *queue);
uint64_t mkv_queue_reserved(const struct mkv_queue *queue);

#endif
