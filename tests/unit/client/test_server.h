/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small memkv server in a thread, for tests of the client: values in memory, one connection at a
 * time (or each in a thread of its own), RDMA by test_verbs.h, and faults on demand. It is written
 * against docs/protocol.md with the codecs of wire/, and checks what it is sent: whatever is wrong
 * is kept as a text, which test_server_stop expects to be empty.
 *
 * Not responsible for: speed, deadlines, rights.
 */
#ifndef MKV_TESTS_CLIENT_TEST_SERVER_H
#define MKV_TESTS_CLIENT_TEST_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/client/test_verbs.h"
#include "wire/native.h"

#define TEST_VALUES_MAX 2048u
#define TEST_PENDING_MAX 64u
#define TEST_CHILDREN_MAX 64u

struct test_value {
    bool is_used;
    uint32_t key_bytes;
    uint8_t key[MKV_KEY_BYTES_MAX];
    uint64_t length;
    uint8_t *bytes;
};

/* A PUT that waits for DATA. */
struct test_pending {
    bool is_used;
    struct mkv_native_header header;
    struct mkv_native_item items[MKV_NATIVE_ITEMS_MAX];
    uint8_t keys[MKV_NATIVE_BODY_BYTES_MAX];
    uint8_t *values[MKV_NATIVE_ITEMS_MAX]; /* of items that are wanted */
    struct mkv_native_result results[MKV_NATIVE_ITEMS_MAX];
    uint32_t pieces_left;
};

struct test_server;

struct test_server_options {
    struct mkv_native_hello_answer limits; /* version 0: usual ones */
    struct mkv_native_shards shards; /* what SHARDS is answered with; shard_count 0: not known */
    bool send_byte_by_byte;
    bool ready_reversed;   /* of one request; the last item first */
    uint32_t answers_held; /* PUT answers are held until there are so many, then sent reversed */
    uint32_t corrupt_at;   /* 1, 2 …: this DATA has a byte that was not put; 0: none */
    uint32_t piece_bytes;  /* GET: DATA frames have at most so many; 0: block_bytes_max */
    uint32_t full_pieces;  /* GET: behind so many DATA come some of half as many bytes; 0: none */
    uint32_t close_after;  /* 1, 2 …: the connection is closed instead of this frame's answer */
    uint32_t close_inside; /* of that answer so many bytes are sent before */
    bool is_concurrent;    /* each connection has a thread; a script has none */
    bool has_rdma;         /* it takes CONNECT, unless `rdma_refusal` says why not */
    bool puts_by_stream;   /* DATA of a GET by RDMA comes with its payload all the same */
    uint32_t rdma_mtu;     /* of its CONNECT answer; 0: the client's */
    /* Instead of HELLO and all else. */
    void (*script)(struct test_server *server, int peer);
};

struct test_server {
    struct test_server_options options;
    struct test_server *parent; /* of a connection with a thread of its own; NULL: it has none */
    struct test_server *children[TEST_CHILDREN_MAX];
    uint32_t child_count;
    pthread_mutex_t values_lock;
    _Atomic(const char *) rdma_refusal; /* NULL: CONNECT is taken */
    atomic_bool rdma_is_gone;           /* it is offered to nobody any more */
    atomic_uint connect_count;          /* CONNECTs that were taken */
    atomic_uint connect_fallback;       /* of the last CONNECT */
    atomic_uint hello_fallback;         /* of the last HELLO */
    atomic_uint hello_wants_rdma;       /* HELLOs that asked for it */
    atomic_uint remote_frames;          /* requests that named memory */
    atomic_uint remote_puts;            /* values that were read by RDMA */
    atomic_uint remote_gets;            /* values that were written by RDMA */
    atomic_uint remote_pieces;          /* of PUTs, that DATA named and were read by RDMA */
    atomic_uint takens;                 /* TAKEN of clients */
    atomic_uint stream_bytes;           /* of payloads, that went between headers */
    atomic_uint holds_taken;            /* 1: what DATA names is read, and nothing said of it */
    atomic_uint taken_extra;            /* TAKEN says so many more than were read */
    atomic_bool holds_writes;  /* a GET by RDMA waits until this is false, or its lane ends */
    atomic_bool defers_exists; /* what comes while a GET waits for TAKEN is answered behind it */
    atomic_uint late_writes;   /* WRITEs behind the end of a lane */
    struct mkv_endpoint *_Atomic lane; /* NULL: frames go over TCP */
    int listener;
    uint16_t port;
    char address[32]; /* HOST:PORT */
    pthread_t thread;
    atomic_bool is_stopping;
    atomic_bool is_paused; /* what has come is not answered meanwhile */
    atomic_uint connection_count;
    atomic_uint frame_count;            /* of clients, HELLO included */
    atomic_uint put_flags;              /* of the item that was put last */
    atomic_uint requests_in_flight_max; /* PUTs that waited for DATA at one time */
    char client_name[49];
    char client_tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint64_t ring_hash;                  /* of HELLO; 0: it had none */
    uint32_t traced;                     /* requests that had a trace context … */
    struct mkv_trace_context trace;      /* … and the last one's */
    uint32_t seconds;                    /* of the last item that had any */
    struct mkv_native_item session_item; /* the last item that named a session */
    char problem[256];
    /* The connection. */
    atomic_int peer;
    uint32_t data_count;
    uint64_t taken_count; /* DATA that were read by RDMA */
    uint32_t answers_sent;
    uint8_t *body;
    uint8_t *deferred; /* header and body of an EXISTS; NULL: there is none */
    struct test_value values[TEST_VALUES_MAX];
    struct test_pending *pending;
    struct {
        uint8_t *bytes;
        size_t byte_count;
    } held[TEST_PENDING_MAX];
    uint32_t held_count;
};

/* What servers say of themselves where the options name nothing else. */
struct mkv_native_hello_answer test_limits(void);
/* Listens on a free port of loopback. The server is on the heap. */
struct test_server *test_server_start(const struct test_server_options *options);
/* Values, TEST_VALUES_MAX of them in all. NULL: there is no such key. */
struct test_value *test_value_find(struct test_value *values, const uint8_t *key,
                                   uint32_t key_bytes);
/* Takes `bytes` over, which are on the heap. False: there is no place. */
bool test_value_store(struct test_value *values, const uint8_t *key, uint32_t key_bytes,
                      uint8_t *bytes, uint64_t length);
void test_value_drop(struct test_value *value);
/* Of so many bytes, a block at most. */
struct mkv_root test_root(const uint8_t *bytes, uint64_t length);
/* Ends the thread, frees all, and fails the test if the client sent what it must not. */
void test_server_stop(struct test_server *server);

/* ---- for scripts ---------------------------------------------------------------------------- */

/* False: the peer has closed. */
bool test_receive(int peer, void *bytes, size_t byte_count);
bool test_send(int peer, const void *bytes, size_t byte_count);
/* Receives a frame; `body` has room for the largest. The payload stays to be received. */
bool test_receive_frame(int peer, struct mkv_native_header *header, uint8_t *body);
bool test_send_frame(int peer, const struct mkv_native_header *header, const void *body,
                     const void *payload);
/* Takes HELLO and answers it with the server's limits. */
bool test_greet(struct test_server *server, int peer);
/* Byte i of the pattern of a seed. */
uint8_t test_pattern(uint32_t seed, uint64_t index);
void test_pattern_fill(uint32_t seed, uint8_t *bytes, uint64_t byte_count);

#endif
