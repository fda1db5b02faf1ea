/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a drive's operations goes to the kernel next. The kernel and the drive serve what they
 * have in an order of their own, and a read that comes behind a hundred long writes waits for most
 * of them; so what they have at a time is bounded, by those for whom it is (enum mkv_drive_share).
 *
 *     commits     [ ][ ]        --> first
 *     loads       [ ][ ][ ][ ]  --> then these, up to seven eighths of the places …
 *     stores      [ ][ ][ ]     --> … these, within their bound of places and of bytes …
 *     background  [ ]           --> … and of these one
 *       waiting, each in order         with the kernel: `depth` places
 *
 * Stores have less where there are loads, or were a moment ago: a quarter of the places, and 8 MiB
 * instead of 64, which a drive of 2 GiB/s writes in 4 ms. Whoever has been passed by often enough
 * goes next, so that all go on, even with a single place.
 *
 * Invariants
 *  I1  At most `depth` operations are with the kernel, at most waiting_max wait.
 *  I2  Operations of one share start in the order in which they came.
 *  I3  Where something waits and nothing is with the kernel, something may start, unless it is
 *      paused.
 *  I4  Something that waits is passed by a bounded number of times once its share is below its
 *      bound: MKV_DRIVE_QUEUE_STORE_PASSED_MAX, and MKV_DRIVE_QUEUE_BACKGROUND_PASSED_MAX.
 *  I5  A share without anything with the kernel is below its bound, whatever its bytes.
 *
 * Not responsible for: carrying anything out (drive_uring.h); the order of operations that depend
 * on each other, which are never in flight together (core/io.h).
 */
#ifndef MKV_BACKENDS_DRIVE_QUEUE_H
#define MKV_BACKENDS_DRIVE_QUEUE_H

#include "core/base.h"
#include "core/io.h"

/* When the kernel has so many bytes of stores no further one starts; and where there are loads. */
#define MKV_DRIVE_QUEUE_STORE_BYTES_MAX (64ull * MKV_MIB)
#define MKV_DRIVE_QUEUE_STORE_BYTES_BESIDE_LOADS_MAX (8ull * MKV_MIB)
/* Operations of the background that the kernel has at most; beside loads or stores one. */
#define MKV_DRIVE_QUEUE_BACKGROUND_MAX 4u
/* How often others go first. */
#define MKV_DRIVE_QUEUE_STORE_PASSED_MAX 4u
#define MKV_DRIVE_QUEUE_BACKGROUND_PASSED_MAX 32u
/* For so long after the last one more loads are expected. */
#define MKV_DRIVE_QUEUE_LOADS_NS 50000000ull

struct mkv_drive_waiting {
    struct mkv_effect effect;
    uint64_t submitted_ns;
    uint32_t next; /* behind it in its lane, or among the free ones */
};

struct mkv_drive_queue;

/* NULL: there is no memory. */
struct mkv_drive_queue *mkv_drive_queue_create(uint32_t depth, uint32_t waiting_max);
/* NULL is ignored. */
void mkv_drive_queue_free(struct mkv_drive_queue *queue);

/* Puts it behind those of its share; mkv_drive_queue_start says whose turn it is. */
void mkv_drive_queue_enter(struct mkv_drive_queue *queue, const struct mkv_effect *effect,
                           uint64_t now_ns);
/* The next one to go to the kernel, which counts as being there from now on; NULL: there is none,
 * or none may. It is valid until the next call. */
const struct mkv_drive_waiting *mkv_drive_queue_start(struct mkv_drive_queue *queue,
                                                      uint64_t now_ns);
/* The kernel has one less. */
void mkv_drive_queue_ended(struct mkv_drive_queue *queue, const struct mkv_drive_effect *effect,
                           uint64_t now_ns);
/* Whether it is a read that may be given up early: nothing depends on it but a miss, or another
 * try. What recovery reads is not, nor what is written. */
static inline bool mkv_drive_is_read_for_now(const struct mkv_drive_effect *effect,
                                             enum mkv_effect_kind kind) {
    return kind == MKV_EFFECT_DRIVE_READ && effect->share != MKV_DRIVE_FOR_COMMIT;
}
/* One that waits since then or longer, a read for now or another: it leaves, and is never started.
 * NULL: there is none. */
const struct mkv_drive_waiting *mkv_drive_queue_give_up(struct mkv_drive_queue *queue,
                                                        uint64_t soon_before_ns,
                                                        uint64_t late_before_ns);

/* While it is paused loads alone start, and so what is with the kernel comes to an end. */
void mkv_drive_queue_pause(struct mkv_drive_queue *queue, bool paused);

uint32_t mkv_drive_queue_waiting(const struct mkv_drive_queue *queue);
uint32_t mkv_drive_queue_started(const struct mkv_drive_queue *queue);

#endif
