/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ports of RDMA devices in one process, a server's and a client's, with a lane between them,
 * for the suite of verbs/ (verbs_suite.c). One thread drives both, as a shard and an engine do.
 *
 * Every completion and event that reaches a lane is noted (the linker puts __wrap_mkv_lane_… in
 * between), so that what real verbs say to each fault can be told.
 */
#ifndef MKV_TESTS_VERBS_WORLD_H
#define MKV_TESTS_VERBS_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "verbs/device.h"

#define SERVER 0u
#define CLIENT 1u
#define MEMORY_BYTES (33u << 20)
#define TAGS_MAX 64u
#define NOTED_MAX 16u

struct noted {
    uint32_t count;
    uint32_t values[NOTED_MAX]; /* one after another alike are one */
};

struct side {
    const char *name;
    struct mkv_verbs *verbs;
    struct mkv_endpoint *endpoint;
    uint8_t *memory;
    struct mkv_verbs_region *region;

    bool is_opened;
    bool is_broken;
    bool is_drained;
    enum mkv_lane_reason reason;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    uint32_t done_ok;
    uint32_t done_failed;
    uint8_t done[TAGS_MAX]; /* how often each was told */
    uint32_t exposures_ended;
    bool takes_up; /* what comes is taken up as soon as it does */
    uint64_t received;
    uint64_t sent;
    uint32_t times_writable;

    struct noted sends;
    struct noted receives;
    struct noted events;
};

struct world {
    struct side sides[2];
    uint32_t waits; /* for the descriptors */
};

extern struct world world;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAILED %s:%d %s: ", __FILE__, __LINE__, #condition);                           \
            printf("" __VA_ARGS__);                                                                \
            world_show();                                                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define UNTIL(seconds, condition)                                                                  \
    do {                                                                                           \
        const uint64_t until_ns = now_ns() + (uint64_t)(seconds)*1000000000ull;                    \
        while (!(condition)) {                                                                     \
            CHECK(now_ns() < until_ns, "not seen in time");                                        \
            world_step();                                                                          \
        }                                                                                          \
    } while (0)

uint64_t now_ns(void);
void world_show(void);
void world_run(const char *command); /* a shell command that has to succeed */
/* Opens both, with so many bytes registered at each. */
void world_open(uint32_t endpoints_max, uint32_t receives_each);
void world_close(void);
/* A new lane, which need not open. `receives`: what the client pretends to have posted; 0: what it
 * has. */
void world_connect(uint32_t receives);
void world_connect_open(void);
/* Stops both as their connection would, and destroys them. */
void world_disconnect(void);
/* Polls both, and waits a little where nothing is to be done. */
void world_step(void);
uint8_t stream_byte(uint32_t side, uint64_t offset);
/* Sends what there is room for, up to `end` of the stream. */
void world_send(uint32_t side, uint64_t end);
/* Takes up what has come, and compares it. */
void world_receive(uint32_t side);
/* "remote_access,flushed", or "-". */
void noted_text(const struct noted *noted, const char *(*name)(uint32_t), char *out, size_t bytes);
/* One row of the table: FAULT SIDE SENDS RECEIVES EVENTS REASON. */
void world_tell(const char *fault, uint32_t side);

#endif
