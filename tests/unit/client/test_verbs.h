/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs/endpoint.h for tests of the client, without a device: the client is on its thread and a
 * test server on its own, which has the other end of each lane by the functions below. They take
 * the client's memory by key and address, as an RDMA device does, and check that they may.
 *
 * Not responsible for: packets, credits and completions (wire/lane.h).
 */
#ifndef MKV_TESTS_CLIENT_TEST_VERBS_H
#define MKV_TESTS_CLIENT_TEST_VERBS_H

#include <stdatomic.h>

#include "verbs/endpoint.h"
#include "wire/native.h"

/* Devices are fake0, fake1 and so on, with the addresses 127.0.0.1, 127.0.0.2 and so on; fake3 has
 * 127.0.0.1 besides its own. */
struct test_verbs {
    /* What there is. */
    atomic_bool has_device;   /* else no port can be opened */
    atomic_uint devices_lost; /* a bit for each device whose port is down */
    atomic_bool refuses_to_register;
    atomic_bool refuses_endpoints;
    atomic_bool loses_probes;   /* a lane that is connected breaks as PROBE */
    atomic_bool holds_probes;   /* it does not even break */
    atomic_bool holds_drains;   /* a lane that stops is not drained */
    atomic_uint refuses_stops;  /* so many times, of lanes with memory that is exposed */
    atomic_ulong timer_ns;      /* how soon each port wants to be polled; 0: never */
    atomic_uint send_bytes_max; /* that a lane holds for the server; 0: 65536 */
    atomic_ulong locked_max;    /* bytes that may be registered at a time; 0: any number */
    /* What was seen. */
    atomic_uint opens;
    atomic_uint ports;         /* that are open */
    atomic_uint regions;       /* that are registered */
    atomic_uint registrations; /* ever */
    atomic_uint writable;      /* regions that servers may write to */
    atomic_ulong locked;       /* bytes that are registered */
    atomic_uint endpoints;     /* that are not destroyed */
    atomic_uint connects;
    atomic_uint doorbells;     /* polls that had something to send */
    atomic_uint exposures;     /* that are open, of all lanes */
    atomic_uint exposure_ends; /* told */
    atomic_uint polls;
    atomic_uint arms;
    char address[64]; /* that the last port was opened for */
};
extern struct test_verbs test_verbs;

/* A host with a device, and nothing held. Frees what tests before have left. */
void test_verbs_reset(void);

/* ---- the server's ends ---------------------------------------------------------------------- */

/* The lane of a client that has sent this CONNECT; *answer is the server's. NULL: there is none. */
struct mkv_endpoint *test_lane_accept(const struct mkv_native_connect *client,
                                      struct mkv_native_connect *answer);
/* Each waits until it is done. False: the client has stopped the lane. */
bool test_lane_receive(struct mkv_endpoint *lane, void *bytes, size_t byte_count);
bool test_lane_send(struct mkv_endpoint *lane, const void *bytes, size_t byte_count);
/* RDMA to and from the client's memory, all at once. False: the lane has stopped, or the client has
 * not given this memory: then the lane breaks. */
bool test_lane_write(struct mkv_endpoint *lane, const struct mkv_native_remote *remote,
                     uint64_t offset, const void *bytes, size_t byte_count);
bool test_lane_read(struct mkv_endpoint *lane, const struct mkv_native_remote *remote,
                    uint64_t offset, void *bytes, size_t byte_count);
/* The client's end breaks with its next poll. */
void test_lane_break(struct mkv_endpoint *lane, enum mkv_lane_reason reason);
/* Breaks all that there are. */
void test_lanes_break(enum mkv_lane_reason reason);
/* The port of fake0, fake1 and so on goes down, with the lanes over it. */
void test_device_lose(uint32_t number);
/* Waits until the client has stopped the lane. */
void test_lane_wait_end(struct mkv_endpoint *lane);
/* All keys name this memory from now on, whatever is mapped there: what was registered before keeps
 * pages of its own, which nobody sees. */
void test_verbs_remap(const void *memory, size_t byte_count);
/* The same of pages that are mapped at `to` now: what was registered before reaches them there. */
void test_verbs_move(const void *memory, size_t byte_count, void *to);

#endif
