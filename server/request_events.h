/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry events of requests: START when the front is about to get one, END when the front says
 * what it came to.
 *
 *   name      of the op: store, retrieve, lookup, exists, delete, pin, unpin, session, allocate,
 *             commit
 *   START     keys, connection
 *   END       status, duration_s, and where they say something: found_count, retrieved_count,
 *             stored_count, from_memory, from_drive, bytes_in, bytes_out, device
 *
 * Invariants
 *  I1  One START and one END for each request, with one session_id; either may be dropped where the
 *      queue is full.
 *
 * Not responsible for: the queue and who gets the events (admin/telemetry.h).
 */
#ifndef MKV_SERVER_REQUEST_EVENTS_H
#define MKV_SERVER_REQUEST_EVENTS_H

#include "admin/telemetry.h"

struct mkv_request_events {
    struct mkv_telemetry *telemetry;
    uint32_t volume_count;
    /* Names of drives, which outlive the telemetry. */
    const char *devices[MKV_VOLUMES_MAX];
};

/* On the shard's thread; the time of a START is that of its input. */
void mkv_request_events_began(const struct mkv_request_events *events,
                              const struct mkv_input *input);
void mkv_request_events_ended(const struct mkv_request_events *events,
                              const struct mkv_request_summary *summary, uint64_t wall_ms);

#endif
