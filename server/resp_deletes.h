/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fabric of a client that is the server itself: by it FLUSHDB deletes keys as a client would,
 * so that memory and drives agree. One connection, one request at a time.
 *
 *   another thread                    the shard's thread, in its rounds
 *   NONE --ask--> WANTED --poll--> BEGUN --ANSWER--> ANSWERED --poll--> DONE --(taken)--> NONE
 *
 * It is polled in each round of its shard, so others can be: `turn`.
 *
 * Invariants
 *  I1  What ask was given is used only until it returns.
 *  I2  ask returns once the request has ended, or nobody polls any more: the front bounds a request
 *      by its deadline.
 *
 * Not responsible for: which keys.
 */
#ifndef MKV_SERVER_RESP_DELETES_H
#define MKV_SERVER_RESP_DELETES_H

#include "backends/fabric.h"
#include "server/resp_command_table.h"

#define MKV_RESP_DELETES_KEYS_MAX 64u
#define MKV_RESP_DELETES_DEADLINE_NS (10ull * 1000000000u)

struct mkv_resp_deletes;

struct mkv_resp_deletes_options {
    uint32_t connection_base; /* the number of its connection */
    /* In each poll, and whether that has work. */
    void (*turn)(void *context);
    bool (*turn_has_work)(const void *context);
    /* Has the shard's thread poll soon. */
    void (*wake)(void *context);
    void *context;
};

/* NULL when there is no memory. */
struct mkv_resp_deletes *mkv_resp_deletes_create(const struct mkv_resp_deletes_options *options);
/* Behind the end of its shard. */
void mkv_resp_deletes_destroy(struct mkv_resp_deletes *deletes);
/* As what the pump drives; its destroy leaves the object, which is its owner's. */
struct mkv_fabric *mkv_resp_deletes_base(struct mkv_resp_deletes *deletes);
/* Deletes up to MKV_RESP_DELETES_KEYS_MAX keys: OK, also for those that were not there. From any
 * thread but the shard's, one at a time. */
enum mkv_status mkv_resp_deletes_ask(struct mkv_resp_deletes *deletes, uint32_t tenant,
                                     const char *tenant_name, const struct mkv_resp_word *keys,
                                     uint32_t key_count);
/* Nobody polls any more: whoever asks is told UNAVAILABLE. */
void mkv_resp_deletes_end(struct mkv_resp_deletes *deletes);

#endif
