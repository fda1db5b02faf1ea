/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry: events of the work, from shards to whoever is to have them, without holding up a
 * shard. Off unless it is created.
 *
 *   shard --reserve, fill in, publish--> queue --> thread --> processor, processor, …
 *                                      (bounded)
 *
 * Invariants
 *  I1  A shard never waits, allocates or calls the kernel. Where the queue is full, the newest
 *      event is dropped and counted; a warning says so, at most once in MKV_TELEMETRY_WARN_NS.
 *  I2  Every event that was queued is given to every processor, in order, whatever the others do
 *      with it.
 *  I3  Behind destroy every queued event was given to them.
 *
 * Not responsible for: what the events are.
 */
#ifndef MKV_ADMIN_TELEMETRY_H
#define MKV_ADMIN_TELEMETRY_H

#include "admin/telemetry_processor.h"

#define MKV_TELEMETRY_QUEUE_MIN 2u
#define MKV_TELEMETRY_QUEUE_MAX 1000000u
/* How often the thread looks for events. */
#define MKV_TELEMETRY_POLL_NS (20ull * 1000000u)
#define MKV_TELEMETRY_WARN_NS (1000ull * 1000000u)
/* A processor that fails is told of at most so often. */
#define MKV_TELEMETRY_FAILED_NS (10000ull * 1000000u)

struct mkv_telemetry;

struct mkv_telemetry_options {
    uint32_t queue_max; /* events that wait */
    uint32_t processor_count;
    const struct mkv_telemetry_processor_spec *processors; /* copied */
    struct mkv_telemetry_log log;
    /* On the thread of telemetry: something to warn of. */
    void (*warn)(void *context, const char *text);
    void *context;
};

/* NULL when there is no memory or no thread. */
struct mkv_telemetry *mkv_telemetry_create(const struct mkv_telemetry_options *options);
/* No event comes any more. NULL is allowed. */
void mkv_telemetry_destroy(struct mkv_telemetry *telemetry);

/* Room for an event, zeroed; NULL where there is none, which is counted. `*ticket` is for publish,
 * which must follow. From any thread. */
__attribute__((warn_unused_result)) struct mkv_telemetry_event *mkv_telemetry_reserve(
    struct mkv_telemetry *telemetry, uint64_t *ticket);
void mkv_telemetry_publish(struct mkv_telemetry *telemetry, uint64_t ticket);

/* Events queued, and dropped. From any thread. */
void mkv_telemetry_counts(const struct mkv_telemetry *telemetry, uint64_t *queued,
                          uint64_t *dropped);
/* Processors open their files again. From any thread. */
void mkv_telemetry_reopen(struct mkv_telemetry *telemetry);

#endif
