/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection begins: what the client says of itself, and what the server says of itself and
 * its limits. Bytes in, bytes out; no socket and no clock.
 *
 *   begin ──▶ out: HELLO          frame (HELLO answer) ──▶ DONE, or FAILED with the reason
 *   with a key:                   frame (HELLO answer, the server's proof is right)
 *                                       ──▶ SEND, out: AUTH       frame (AUTH answer) ──▶ DONE
 *
 *   several shards:              frame (HELLO or AUTH answer) ──▶ SEND, out: SHARDS
 *                                frame (SHARDS answer) ──▶ DONE
 *
 * Invariants
 *  I1  Nothing else is sent over the connection before the greeting is DONE.
 *  I2  With a key it is DONE only where both sides have proven that they have it, and nothing is
 *      proven to a server that has not done so first.
 *
 * Not responsible for: moving the bytes (connection.c), deadlines.
 */
#ifndef MKV_CLIENT_GREETING_H
#define MKV_CLIENT_GREETING_H

#include "client/memkv.h"
#include "wire/native_auth.h"

#define MKV_CLIENT_NAME_BYTES_MAX 48u
#define MKV_CLIENT_TENANT_BYTES_MAX MKV_TENANT_STORED_NAME_BYTES_MAX
/* HELLO, and only HELLO, has this id: other requests count on from there. */
#define MKV_GREETING_REQUEST_ID 1u

enum mkv_greeting_result {
    MKV_GREETING_DONE = 1, /* `limits` and `shards` stand */
    MKV_GREETING_SEND,     /* `out` is to be sent, and another frame to be waited for */
    MKV_GREETING_FAILED,   /* `failure` says why */
};

struct mkv_greeting {
    const char *server;        /* for messages */
    const uint8_t *key;        /* NULL: none */
    enum mkv_native_op awaits; /* whose answer */
    bool is_random;            /* the nonce is one */
    size_t out_bytes;
    uint8_t out[MKV_NATIVE_HELLO_FRAME_BYTES_MAX];
    struct mkv_native_hello_answer limits;
    struct mkv_native_shards shards; /* shard_count 0: the server does not say */
    struct memkv_error failure;
};

/* What a client says of itself. */
struct mkv_greeting_options {
    const char *server; /* HOST:PORT */
    const char *name;   /* at most MKV_CLIENT_NAME_BYTES_MAX bytes */
    const char *tenant;
    const uint8_t *key; /* of MKV_NATIVE_KEY_BYTES, good until the greeting is over; NULL: none */
    const char *key_id; /* with a key */
    uint32_t home;      /* 1 + the shard that is to serve the connection; 0: any */
    uint64_t ring_hash; /* of its list of servers; 0: it tells none */
    bool wants_window;  /* to ask for one behind the greeting */
    bool wants_rdma;    /* the same of a lane */
    uint32_t fallback;  /* why it goes without, as in HELLO */
};

/* `out` is to be sent, and a frame to be waited for. */
void mkv_greeting_begin(struct mkv_greeting *greeting, const struct mkv_greeting_options *options);
/* The server has sent this frame. */
enum mkv_greeting_result mkv_greeting_frame(struct mkv_greeting *greeting,
                                            const struct mkv_native_header *header,
                                            const uint8_t *body);

#endif
