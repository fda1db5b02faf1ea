/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native protocol, version 1: frames and what is in them. Pure functions over bytes; every
 * integer is little endian. docs/protocol.md is the public form of this page.
 *
 *   frame = header (64) | body (body_bytes) | payload (payload_bytes)
 *
 *   header
 *   offset bytes  field
 *        0     4  magic 0x31564b4d ("MKV1")
 *        4     1  version (1)
 *        5     1  op (enum mkv_native_op)
 *        6     2  flags: bit 0 answer (the frame ends its request), bit 1 payload inline (PUT,
 *                 COMMIT), bit 2 trace context at the end of the body (requests with items), bit 3
 *                 authentication block at the end of the body (HELLO and its answer)
 *        8     8  request id: the client's choice, unique among its requests in flight
 *       16     4  tenant (0 = the one that HELLO named); 0 in answers
 *       20     4  item count: descriptors in a request, results in an answer, else 0
 *       24     4  body bytes
 *       28     4  deadline in ms from receipt (0 = the server's default)
 *       32     8  payload bytes
 *       40     4  status (answers), else 0
 *       44    12  0
 *       56     8  checksum: XXH3-64 of bytes 0 .. 55
 *
 *   A conversation on one connection; requests in any number, answers in any order:
 *
 *   client                                   server
 *     HELLO {client limits}            ->
 *                                      <-      HELLO answer {server limits, ids}
 *     AUTH {proof}                     ->      (where HELLO named a key: native_auth.h)
 *                                      <-      AUTH answer
 *     PUT {items: key, length, root}   ->
 *                                      <-      READY {item, offset, bytes}      for each block
 * wanted DATA {item, offset} payload      ->      (in the order of READY)
 *                                      <-      PUT answer {result for each item}
 *     PUT, payload inline              ->      (the payloads of all items behind the body)
 *                                      <-      PUT answer
 *     ALLOCATE {items as of PUT}       ->
 *                                      <-      ALLOCATE answer {result: reservation}
 *     COMMIT {items: reservation}      ->      (then as PUT: READY and DATA, or inline)
 *                                      <-      COMMIT answer {result for each item}
 *     GET {items: key, offset, length} ->
 *                                      <-      DATA {item, offset, length, root} payload   each hit
 *                                      <-      GET answer {result for each item}
 *     EXISTS, LOOKUP, DELETE {keys}    ->
 *     PIN {items: key, seconds}, UNPIN ->
 *     SESSION {items: id, action}      ->
 *                                      <-      answer {results; LOOKUP: one}
 *     STATS, PING                      ->
 *                                      <-      answer {body: JSON text; empty}
 *
 *   READY and DATA end nothing and carry no flag, whichever side sends them; all other frames of
 * the server are answers. An answer with a status other than ok refuses the whole request: item
 * count 0, body = at most MKV_NATIVE_TEXT_BYTES_MAX bytes of UTF-8 text for people. A frame that
 * cannot be decoded is answered so with status invalid, its op (PING where that is unknown), and a
 * close.
 *
 * Invariants
 *  I1  Nothing is allocated from a length before it was checked against the limits.
 *  I2  Decoding is safe on any bytes and names the first thing that is wrong.
 *  I3  A READY may be absent: an item whose content is already live transfers nothing.
 *
 * Not responsible for: sockets, buffers, and what the ops do.
 */
#ifndef MKV_WIRE_NATIVE_H
#define MKV_WIRE_NATIVE_H

#include "core/base.h"

#define MKV_NATIVE_MAGIC 0x31564b4du
#define MKV_NATIVE_VERSION 1u
#define MKV_NATIVE_HEADER_BYTES 64u
#define MKV_NATIVE_ITEM_BYTES 48u   /* request item descriptor */
#define MKV_NATIVE_RESULT_BYTES 40u /* item result */
#define MKV_NATIVE_TRACE_BYTES 32u
#define MKV_NATIVE_READY_BYTES 24u
#define MKV_NATIVE_DATA_BYTES 56u  /* body of a DATA frame */
#define MKV_NATIVE_HELLO_BYTES 64u /* without the tenant's name */
#define MKV_NATIVE_HELLO_ANSWER_BYTES 96u
/* Behind a HELLO and its answer with MKV_NATIVE_FLAG_AUTH: native_auth.h. */
#define MKV_NATIVE_AUTH_BLOCK_BYTES 64u
#define MKV_NATIVE_AUTH_BYTES 32u  /* body of an AUTH */
#define MKV_NATIVE_SHARDS_BYTES 8u /* body of an answer to SHARDS, without its drives */
#define MKV_NATIVE_SHARD_DRIVE_BYTES 24u
/* Of a drive, as placement has it. */
#define MKV_NATIVE_WEIGHT_MAX 256u
/* With MKV_NATIVE_FLAG_RING: the hash of the client's list of servers, a u64, 0 for none. In HELLO
 * it stands behind the tenant's name, in PING it is the body. */
#define MKV_NATIVE_RING_BYTES 8u

/* Limits of version 1 that no side may exceed, whatever HELLO says. */
#define MKV_NATIVE_ITEMS_MAX 256u
#define MKV_NATIVE_BODY_BYTES_MAX                                                                  \
    (MKV_NATIVE_ITEMS_MAX * (MKV_NATIVE_ITEM_BYTES + MKV_KEY_BYTES_MAX))
/* All payloads of one PUT with the inline flag. */
#define MKV_NATIVE_INLINE_BYTES_MAX (64u * 1024u)
#define MKV_NATIVE_VALUE_BYTES_MAX (1ull << 40)
/* The highest name of a reservation. */
#define MKV_NATIVE_RESERVATION_MAX (1ull << 47)
/* Keys of values above one block: the keys of their segments are made from them. */
#define MKV_NATIVE_LARGE_KEY_BYTES_MAX 1011u
/* The text that says why a request was refused. */
#define MKV_NATIVE_TEXT_BYTES_MAX 256u

enum mkv_native_op {
    MKV_NATIVE_HELLO = 1,
    MKV_NATIVE_PUT = 2,
    MKV_NATIVE_READY = 3,
    MKV_NATIVE_DATA = 4,
    MKV_NATIVE_GET = 5,
    MKV_NATIVE_LOOKUP = 6,
    MKV_NATIVE_EXISTS = 7,
    MKV_NATIVE_DELETE = 8,
    MKV_NATIVE_STATS = 9,
    MKV_NATIVE_PING = 10,
    MKV_NATIVE_PIN = 11,
    MKV_NATIVE_UNPIN = 12,
    MKV_NATIVE_ALLOCATE = 13,
    MKV_NATIVE_COMMIT = 14,
    MKV_NATIVE_SESSION = 15,
    MKV_NATIVE_AUTH = 16,
    MKV_NATIVE_SHARDS = 17, /* only where MKV_NATIVE_FEATURE_SHARDS was granted */
};
#define MKV_NATIVE_OP_LAST MKV_NATIVE_SHARDS

#define MKV_NATIVE_FLAG_ANSWER 0x1u
#define MKV_NATIVE_FLAG_INLINE 0x2u
/* Only on connections that MKV_NATIVE_FEATURE_TRACE was granted on. */
#define MKV_NATIVE_FLAG_TRACE 0x4u
/* Of HELLO, which then proves by AUTH who sent it, and of its answer. */
#define MKV_NATIVE_FLAG_AUTH 0x8u
/* Of HELLO and PING: it says which servers the client places keys on. */
#define MKV_NATIVE_FLAG_RING 0x10u

/* Features: bits of HELLO, which wants them, and of its answer, which grants them. */
#define MKV_NATIVE_FEATURE_TRACE 0x1ull
/* DATA of a part of a value has the root of its own payload, in both directions. */
#define MKV_NATIVE_FEATURE_ROOTS 0x2ull
/* The server has several shards, says by SHARDS whose keys are whose, and has the connection served
 * by the shard that HELLO names. */
#define MKV_NATIVE_FEATURE_SHARDS 0x10ull

struct mkv_native_header {
    enum mkv_native_op op;
    uint32_t flags;
    uint64_t request_id;
    uint32_t tenant;
    uint32_t item_count;
    uint32_t body_bytes;
    uint32_t deadline_ms;
    uint64_t payload_bytes;
    enum mkv_status status;
};

/*
 * item (48 bytes): 0 8 offset (GET), or session (PUT, ALLOCATE: that the block belongs to, 0 none;
 * SESSION: not 0), or reservation (COMMIT) | 8 8 length (PUT, ALLOCATE, COMMIT: of the value; GET:
 * bytes wanted, 0 all behind offset; SESSION: tokens) | 16 16 root (PUT of a value up to one block,
 * ALLOCATE) | 32 4 flags (PUT, ALLOCATE: bit 0 replace, bit 1 relaxed; COMMIT: bit 8 abandon) |
 * 36 2 key bytes (SESSION, COMMIT: 0) | 38 1 tier (PUT, ALLOCATE: 0 none, else the tier and 1) or
 * action (SESSION) | 39 1 reason (SESSION: of its exit_think) | 40 4 seconds (PUT, ALLOCATE: until
 * the value is gone, 0 never; PIN: until it may be evicted again, not 0) | 44 4 0
 * The items stand first, then the keys, behind one another in the order of the items.
 */
#define MKV_NATIVE_ITEM_REPLACE 0x1u
#define MKV_NATIVE_ITEM_RELAXED 0x2u
#define MKV_NATIVE_ITEM_FLAGS (MKV_NATIVE_ITEM_REPLACE | MKV_NATIVE_ITEM_RELAXED)
#define MKV_NATIVE_ITEM_ABANDON 0x100u /* of COMMIT alone; its length is 0 then */
struct mkv_native_item {
    uint64_t offset;
    uint64_t session; /* PUT, SESSION, which have no offset */
    uint64_t length;
    struct mkv_root root;
    uint32_t flags;
    uint32_t key_bytes;
    uint32_t seconds;
    uint32_t tier_hint;   /* PUT, ALLOCATE */
    uint32_t action;      /* SESSION: enum mkv_session_action */
    uint32_t reason;      /* SESSION that leaves thinking: enum mkv_think_exit; else 0 */
    uint64_t reservation; /* COMMIT, which has no offset */
};

/* Trace context (32 bytes), behind the keys of a request with MKV_NATIVE_FLAG_TRACE: 0 16 trace id
 * | 16 8 id of the client's span | 24 1 trace flags, of which bit 0 is sampled | 25 7 0. Neither id
 * is 0. */

/* result (40 bytes): 0 4 status | 4 4 miss reason | 8 8 length (ALLOCATE: reservation) | 16 16 root
 * | 32 4 leased (EXISTS, LOOKUP, PIN: keys that are not evicted for a while) | 36 4 0 */
struct mkv_native_result {
    enum mkv_status status;
    enum mkv_miss miss;
    uint64_t length; /* of an ALLOCATE: the reservation, 0 for none */
    struct mkv_root root;
    uint32_t leased;
};

/* READY body (24 bytes): 0 4 item | 4 4 0 | 8 8 offset in the value | 16 8 bytes */
struct mkv_native_ready {
    uint32_t item;
    uint64_t offset;
    uint64_t bytes;
};

/* DATA body (56 bytes): 0 4 item | 4 4 0 | 8 8 offset in the value | 16 8 length of the whole value
 * | 24 8 bytes (= payload bytes of the frame) | 32 16 root of the whole value (server to client, 0
 * for a value of segments) | 48 8 0. The header's request id names the request. */
struct mkv_native_data {
    uint32_t item;
    uint64_t offset;
    uint64_t length;
    uint64_t bytes;
    struct mkv_root root;
};

/* HELLO body (64 bytes): 0 2 lowest version | 2 2 highest version | 4 4 home: 0, or 1 + the shard
 * that is to serve the connection | 8 8 features wanted | 16 48 client name, UTF-8, padded with 0.
 * Behind it the name of the connection's tenant, 1 to 79 bytes; none for the default tenant:
 * mkv_native_tenant_decode */
struct mkv_native_hello {
    uint16_t version_min;
    uint16_t version_max;
    uint32_t home;
    uint64_t features;
    char name[49];
};

/* HELLO answer body (96 bytes): 0 2 version | 2 2 shard count | 4 4 items max | 8 4 body bytes max
 * | 12 4 inline bytes max | 16 8 block bytes max | 24 8 value bytes max | 32 4 requests in flight
 * max for this connection | 36 4 default deadline ms | 40 16 store uuid | 56 8 ring hash | 64 8
 * features | 72 24 server version text, padded with 0 */
struct mkv_native_hello_answer {
    uint16_t version;
    uint16_t shard_count;
    uint32_t items_max;
    uint32_t body_bytes_max;
    uint32_t inline_bytes_max;
    uint64_t block_bytes_max;
    uint64_t value_bytes_max;
    uint32_t requests_max;
    uint32_t deadline_ms;
    struct mkv_uuid store_uuid;
    uint64_t ring_hash;
    uint64_t features;
    char server_version[25];
};

/* SHARDS answer body (8 bytes): 0 4 the shard that serves this connection | 4 4 how many there are.
 * Behind it the drives that keys belong to, by core/placement.h, of 24 bytes each: 0 16 uuid | 16 4
 * weight | 20 4 its shard */
struct mkv_native_shards {
    uint32_t shard;
    uint32_t shard_count;
    uint32_t drive_count;
    struct {
        struct mkv_uuid uuid;
        uint32_t weight;
        uint32_t shard;
    } drives[MKV_VOLUMES_MAX];
};
#define MKV_NATIVE_SHARDS_BYTES_MAX                                                                \
    (MKV_NATIVE_SHARDS_BYTES + MKV_VOLUMES_MAX * MKV_NATIVE_SHARD_DRIVE_BYTES)

/* Why bytes are not a frame. mkv_native_error_text gives the sentence that the peer and log get. */
enum mkv_native_error {
    MKV_NATIVE_OK = 0,
    MKV_NATIVE_BAD_MAGIC,
    MKV_NATIVE_BAD_VERSION,
    MKV_NATIVE_BAD_CHECKSUM,
    MKV_NATIVE_BAD_OP,
    MKV_NATIVE_BAD_FLAGS,
    MKV_NATIVE_BAD_ITEM_COUNT,    /* 0 or above the limit, or where the op has none; an item index
                                   * above the limit */
    MKV_NATIVE_BAD_BODY_BYTES,    /* above the limit, or not what op and item count need */
    MKV_NATIVE_BAD_PAYLOAD_BYTES, /* above the limit, or where the op has none, or not the sum of
                                   * the lengths of an inline PUT */
    MKV_NATIVE_BAD_KEY_BYTES,     /* 0, above 1024, or the keys don't fill the body */
    MKV_NATIVE_BAD_LENGTH,        /* of a value or range, above MKV_NATIVE_VALUE_BYTES_MAX */
    MKV_NATIVE_BAD_ITEM_FLAGS,
    MKV_NATIVE_BAD_STATUS,  /* not a status or miss reason, or where the op has none */
    MKV_NATIVE_BAD_LIMIT,   /* a limit in a HELLO answer is 0 or above that of version 1; a shard or
                             * a weight of a SHARDS answer is none */
    MKV_NATIVE_NOT_ZERO,    /* reserved bytes, or a field that the op has no use for */
    MKV_NATIVE_BAD_SECONDS, /* 0 in a PIN */
    MKV_NATIVE_BAD_TENANT,  /* a tenant's name is too long, or has characters that none has */
    MKV_NATIVE_BAD_SESSION, /* id 0 in a SESSION, or a tier, action or reason that there is not */
    MKV_NATIVE_BAD_TRACE,   /* an id of a trace context is 0 */
    MKV_NATIVE_BAD_KEY_ID,  /* it is empty, or has characters that none has */
};
#define MKV_NATIVE_ERROR_COUNT 20u
const char *mkv_native_error_text(enum mkv_native_error error);
const char *mkv_native_op_name(enum mkv_native_op op); /* "put", "get", … */
const char *mkv_status_name(enum mkv_status status);   /* "ok", "not_found", … */
const char *mkv_miss_name(enum mkv_miss miss);         /* "unknown", "evicted", … */

/* What an encoder is given must be what its decoder takes; anything else is a programmer's error.
 */
void mkv_native_header_encode(const struct mkv_native_header *header, uint8_t *bytes);
/* Checks everything about a header that can be checked without its body, limits included. With an
 * error, op and request_id are what the answer to it carries: as received where the checksum holds,
 * else PING and 0 (PING also for an op that is not known); the other fields are not to be used. */
enum mkv_native_error mkv_native_header_decode(const uint8_t *bytes,
                                               struct mkv_native_header *header);

void mkv_native_item_encode(const struct mkv_native_item *item, uint8_t *bytes);
/* Decodes the items of a request body: `items` takes header->item_count of them, and *keys_offset
 * becomes where in the body the first key stands. Checks every length against the body. */
enum mkv_native_error mkv_native_items_decode(const struct mkv_native_header *header,
                                              const uint8_t *body, struct mkv_native_item *items,
                                              uint32_t *keys_offset);

/* Bytes of trace context at the end of a request's body: 0 or MKV_NATIVE_TRACE_BYTES. */
static inline uint32_t mkv_native_trace_bytes(const struct mkv_native_header *header) {
    return (header->flags & MKV_NATIVE_FLAG_TRACE) != 0 ? MKV_NATIVE_TRACE_BYTES : 0;
}
/* Bytes of the authentication block at the end of a HELLO's body: 0 or
 * MKV_NATIVE_AUTH_BLOCK_BYTES. The tenant's name ends before it. */
static inline uint32_t mkv_native_auth_bytes(const struct mkv_native_header *header) {
    return (header->flags & MKV_NATIVE_FLAG_AUTH) != 0 ? MKV_NATIVE_AUTH_BLOCK_BYTES : 0;
}
/* Bytes of the ring block of a HELLO or PING: 0 or MKV_NATIVE_RING_BYTES. */
static inline uint32_t mkv_native_ring_bytes(const struct mkv_native_header *header) {
    return (header->flags & MKV_NATIVE_FLAG_RING) != 0 ? MKV_NATIVE_RING_BYTES : 0;
}
void mkv_native_trace_encode(const struct mkv_trace_context *trace, uint8_t *bytes);
enum mkv_native_error mkv_native_trace_decode(const uint8_t *bytes,
                                              struct mkv_trace_context *trace);

void mkv_native_result_encode(const struct mkv_native_result *result, uint8_t *bytes);
enum mkv_native_error mkv_native_result_decode(const uint8_t *bytes,
                                               struct mkv_native_result *result);
void mkv_native_ready_encode(const struct mkv_native_ready *ready, uint8_t *bytes);
enum mkv_native_error mkv_native_ready_decode(const uint8_t *bytes, struct mkv_native_ready *ready);
void mkv_native_data_encode(const struct mkv_native_data *data, uint8_t *bytes);
/* The caller compares `bytes` with the payload bytes of the frame's header. */
enum mkv_native_error mkv_native_data_decode(const uint8_t *bytes, struct mkv_native_data *data);
void mkv_native_hello_encode(const struct mkv_native_hello *hello, uint8_t *bytes);
enum mkv_native_error mkv_native_hello_decode(const uint8_t *bytes, struct mkv_native_hello *hello);
/* The bytes behind a HELLO, as text with its NUL. 0 bytes: the default tenant's name. */
enum mkv_native_error mkv_native_tenant_decode(const uint8_t *bytes, uint32_t byte_count,
                                               char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1]);
void mkv_native_hello_answer_encode(const struct mkv_native_hello_answer *answer, uint8_t *bytes);
void mkv_native_ring_encode(uint64_t hash, uint8_t *bytes);
/* Any number is one. */
uint64_t mkv_native_ring_decode(const uint8_t *bytes);
enum mkv_native_error mkv_native_hello_answer_decode(const uint8_t *bytes,
                                                     struct mkv_native_hello_answer *answer);
/* Returns the bytes, at most MKV_NATIVE_SHARDS_BYTES_MAX. */
uint32_t mkv_native_shards_encode(const struct mkv_native_shards *shards, uint8_t *bytes);
enum mkv_native_error mkv_native_shards_decode(const uint8_t *bytes, uint32_t byte_count,
                                               struct mkv_native_shards *shards);

#endif
