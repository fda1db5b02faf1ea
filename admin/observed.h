/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard's observer keeps besides figures, as copies for the admin listener: latencies by
 * operation, the hottest keys, slow requests, clients, and examples of latencies with their traces.
 *
 * Invariants
 *  I1  Nothing here is a pointer; texts are closed by a NUL.
 *  I2  A key is its first MKV_ADMIN_KEY_BYTES bytes, whatever they are; key_bytes counts all.
 *
 * Not responsible for: keeping them (server/observer.h) and showing them (observed_json.h).
 */
#ifndef MKV_ADMIN_OBSERVED_H
#define MKV_ADMIN_OBSERVED_H

#include "admin/hdr.h"
#include "admin/hotkeys.h"
#include "admin/prefixes.h"
#include "admin/snapshot.h"

/* Operations whose latencies are kept in detail: from when the front had the request to its end.
 * `small`: requests that move less than 64 KiB of payload, a GET that finds nothing among them. */
enum mkv_admin_latency_op {
    MKV_ADMIN_LATENCY_GET = 0,
    MKV_ADMIN_LATENCY_GET_SMALL,
    MKV_ADMIN_LATENCY_PUT,
    MKV_ADMIN_LATENCY_PUT_SMALL,
    MKV_ADMIN_LATENCY_EXISTS,
    MKV_ADMIN_LATENCY_LOOKUP,
    MKV_ADMIN_LATENCY_DELETE,
    MKV_ADMIN_LATENCY_COMMIT,
};
#define MKV_ADMIN_LATENCY_OP_COUNT 8u
#define MKV_ADMIN_SMALL_BYTES (64u * 1024u)
/* "get", "get_small" …, then NULL. */
extern const char *const mkv_admin_latency_ops[MKV_ADMIN_LATENCY_OP_COUNT + 1];

#define MKV_ADMIN_KEY_BYTES 128u
#define MKV_ADMIN_ADDRESS_BYTES 64u
#define MKV_ADMIN_CLIENT_NAME_BYTES 49u
#define MKV_ADMIN_TENANT_BYTES (MKV_TENANT_STORED_NAME_BYTES_MAX + 1u)

#define MKV_ADMIN_SLOW_MAX 128u
struct mkv_admin_slow {
    uint64_t time_ms; /* Unix time of its end */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t total_ns;
    uint64_t stage_ns[MKV_STAGE_COUNT];
    uint64_t drive_ns;
    struct mkv_trace_context trace;
    enum mkv_op op;
    enum mkv_status status;
    uint32_t dropped; /* 1: the connection closed before the answer */
    uint32_t volume;  /* MKV_NONE_U32: none took part */
    uint32_t item_count;
    uint32_t key_bytes; /* of the first key; 0: it has none */
    uint8_t key[MKV_ADMIN_KEY_BYTES];
    char client[MKV_ADMIN_ADDRESS_BYTES];
    char client_name[MKV_ADMIN_CLIENT_NAME_BYTES];
    char tenant[MKV_ADMIN_TENANT_BYTES];
};

/* Beginnings of keys that a client asked for lately, each once. */
#define MKV_ADMIN_CLIENT_PREFIXES 4u
#define MKV_ADMIN_PREFIX_BYTES 32u
struct mkv_admin_client_prefix {
    uint8_t bytes[MKV_ADMIN_PREFIX_BYTES];
    uint32_t byte_count;
};

/* An open connection that has sent a request. */
struct mkv_admin_client {
    char address[MKV_ADMIN_ADDRESS_BYTES];
    char name[MKV_ADMIN_CLIENT_NAME_BYTES]; /* of HELLO */
    char tenant[MKV_ADMIN_TENANT_BYTES];
    uint64_t connected_ns; /* for how long */
    uint64_t requests;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t puts;   /* PUTs and COMMITs */
    uint64_t hits;   /* keys of GET, EXISTS and LOOKUP */
    uint64_t misses; /* the rest of them */
    struct mkv_admin_client_prefix prefixes[MKV_ADMIN_CLIENT_PREFIXES];
};

struct mkv_admin_hotkey {
    struct mkv_hotkey hot;
    char tenant[MKV_ADMIN_TENANT_BYTES]; /* "" where it has no number */
};

/* What is to be listed by prefix. */
struct mkv_admin_prefixes_query {
    const char *tenant; /* NULL: of all */
    uint32_t depth;     /* delimiters that a prefix has at most */
};

/* Who gives these copies, each from the observers of all shards; see struct mkv_admin_provider,
 * whose context they get. */
struct mkv_admin_observed_ops {
    /* Adds latencies to `out`. */
    void (*latency)(void *context, enum mkv_admin_latency_op op, struct mkv_hdr *out);
    /* Hottest first; how many, at most `max`. */
    uint32_t (*hotkeys)(void *context, struct mkv_admin_hotkey *out, uint32_t max);
    /* Newest first; and what is slow. */
    uint32_t (*slow)(void *context, struct mkv_admin_slow *out, uint32_t max,
                     uint64_t *threshold_ns);
    uint32_t (*clients)(void *context, struct mkv_admin_client *out, uint32_t max);
    /* Adds live blocks to `out`, for about a second at most. True when all were seen. */
    bool (*prefixes)(void *context, const struct mkv_admin_prefixes_query *query,
                     struct mkv_prefixes *out);
};

#endif
