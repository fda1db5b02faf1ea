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
 *                 authentication block at the end of the body (HELLO and its answer), bit 4 ring
 *                 block (HELLO, PING), bit 5 payload in the window (GET, DATA), bit 6 payload in
 *                 the client's memory by RDMA (PUT, COMMIT, GET, DATA)
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
 *     WINDOW {bytes}                   ->      (on one machine alone: see below)
 *                                      <-      answer {bytes}, and a descriptor of the memory
 *     CONNECT {queue pair}             ->      (all frames behind it go over RDMA: see below)
 *                                      <-      answer {queue pair}
 *     STATS, PING                      ->
 *                                      <-      answer {body: JSON text; empty}
 *
 *   READY, DATA and TAKEN end nothing, whichever side sends them; all other frames of the server
 * are answers. An answer with a status other than ok refuses the whole request: item
 * count 0, body = at most MKV_NATIVE_TEXT_BYTES_MAX bytes of UTF-8 text for people. A frame that
 * cannot be decoded is answered so with status invalid, its op (PING where that is unknown), and a
 * close.
 *
 * A window is memory that client and server share, where both are on one machine and
 * MKV_NATIVE_FEATURE_WINDOW was granted. WINDOW with the bytes that the client would like is
 * answered with those that it gets and, beside the frame, a descriptor; WINDOW with 0 bytes says
 * that the client has mapped it, and its answer that it may be used. A GET with
 * MKV_NATIVE_FLAG_WINDOW names for each item where in the window its bytes go: its DATA has the
 * flag too, and no payload. DATA of a client with the flag, for a READY, says where in the window
 * its bytes are.
 *
 * RDMA takes the place of the bytes of a TCP connection where MKV_NATIVE_FEATURE_RDMA was granted:
 * CONNECT names the client's queue pair, its answer the server's, and from then on all frames, both
 * ways, are the stream of a lane (lane.h); the TCP connection stays, and ends it. There a PUT, a
 * COMMIT or a GET with MKV_NATIVE_FLAG_REMOTE names for each item memory of the client, behind the
 * items and before the keys: the server reads the payloads of the first two from there, without
 * READY and DATA, and writes those of a GET there, whose DATA has the flag too, and no payload.
 * What is larger than the memory that a client has for it goes in pieces: DATA of a client with the
 * flag, for a READY, says where its bytes are, and TAKEN of the server how many of these have been
 * read; a GET of one item may name slots, which the server fills in turn, and TAKEN of the client
 * says how many are free again.
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
#define MKV_NATIVE_WINDOW_BYTES 16u  /* body of a WINDOW and of its answer */
#define MKV_NATIVE_CONNECT_BYTES 64u /* body of a CONNECT and of its answer */
#define MKV_NATIVE_REMOTE_BYTES 16u  /* of an item with MKV_NATIVE_FLAG_REMOTE */
#define MKV_NATIVE_TAKEN_BYTES 16u

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
/* Items of a GET into the window. */
#define MKV_NATIVE_WINDOW_ITEMS_MAX 8u
/* Items of a request with MKV_NATIVE_FLAG_REMOTE. */
#define MKV_NATIVE_REMOTE_ITEMS_MAX 64u
/* Memory of a GET that is filled again and again: so many slots, of so many bytes. */
#define MKV_NATIVE_SLOTS_MAX 64u
#define MKV_NATIVE_SLOT_BYTES (1024u * 1024u)
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
    MKV_NATIVE_SHARDS = 17,  /* only where MKV_NATIVE_FEATURE_SHARDS was granted */
    MKV_NATIVE_WINDOW = 18,  /* the same of MKV_NATIVE_FEATURE_WINDOW */
    MKV_NATIVE_CONNECT = 19, /* the same of MKV_NATIVE_FEATURE_RDMA */
    MKV_NATIVE_TAKEN = 20,   /* only over a lane */
};
#define MKV_NATIVE_OP_LAST MKV_NATIVE_TAKEN

#define MKV_NATIVE_FLAG_ANSWER 0x1u
#define MKV_NATIVE_FLAG_INLINE 0x2u
/* Only on connections that MKV_NATIVE_FEATURE_TRACE was granted on. */
#define MKV_NATIVE_FLAG_TRACE 0x4u
/* Of HELLO, which then proves by AUTH who sent it, and of its answer. */
#define MKV_NATIVE_FLAG_AUTH 0x8u
/* Of HELLO and PING: it says which servers the client places keys on. */
#define MKV_NATIVE_FLAG_RING 0x10u
/* Of a GET and of DATA: the payload is in the window. */
#define MKV_NATIVE_FLAG_WINDOW 0x20u
/* Of a PUT, COMMIT or GET: its items name memory of the client. Of the server's DATA: the bytes
 * have been written there; of a client's: it says where they are. Only on connections that have a
 * lane. */
#define MKV_NATIVE_FLAG_REMOTE 0x40u

/* Features: bits of HELLO, which wants them, and of its answer, which grants them. */
#define MKV_NATIVE_FEATURE_TRACE 0x1ull
/* DATA of a part of a value has the root of its own payload, in both directions. */
#define MKV_NATIVE_FEATURE_ROOTS 0x2ull
/* The server has several shards, says by SHARDS whose keys are whose, and has the connection served
 * by the shard that HELLO names. */
#define MKV_NATIVE_FEATURE_SHARDS 0x10ull
/* The client is on the server's machine, and may share memory with it. */
#define MKV_NATIVE_FEATURE_WINDOW 0x20ull
/* The server has RDMA, though perhaps no port that is up, and takes CONNECT. */
#define MKV_NATIVE_FEATURE_RDMA 0x40ull
/* All that HELLO has room for. */
#define MKV_NATIVE_FEATURES_MAX 0x00ffffffffffffffull

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
 * bytes wanted, 0 all behind offset, not 0 into the window; SESSION: tokens) | 16 16 root (PUT of a
 * value up to one block, ALLOCATE; GET into the window: 8 offset there, 8 0) | 32 4 flags (PUT,
 * ALLOCATE: bit 0 replace, bit 1 relaxed; COMMIT: bit 8 abandon) | 36 2 key bytes (SESSION, COMMIT:
 * 0) | 38 1 tier (PUT, ALLOCATE: 0 none, else the tier and 1) or action (SESSION) | 39 1 reason
 * (SESSION: of its exit_think) | 40 4 seconds (PUT, ALLOCATE: until the value is gone, 0 never;
 * PIN: until it may be evicted again, not 0) | 44 4 0
 *
 * The items stand first, then the keys, behind one another in the order of the items.
 *
 * remote (16 bytes, with MKV_NATIVE_FLAG_REMOTE; one for each item, behind the items and before the
 * keys): 0 8 address of the item's first byte in the client's memory | 8 4 remote key of that
 * memory | 12 4 slots. All 0 where the item's length is 0, which it is not in a GET without slots:
 * there it is the room. Slots are a GET's with one item, and on connections that
 * MKV_NATIVE_FEATURE_ROOTS was granted on: the memory is then so many times MKV_NATIVE_SLOT_BYTES,
 * whatever the length. DATA n of the request with bytes and the flag, from 0, is in slot n modulo
 * slots, which it fills at most, and is written when the client has said by TAKEN that it is done
 * with more than n less slots of them.
 */
struct mkv_native_remote {
    uint64_t address;
    uint32_t key;
    uint32_t slots; /* of a GET; 0: the memory has the item's length */
};
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
    uint32_t tier_hint;              /* PUT, ALLOCATE */
    uint32_t action;                 /* SESSION: enum mkv_session_action */
    uint32_t reason;                 /* SESSION that leaves thinking: enum mkv_think_exit; else 0 */
    uint64_t reservation;            /* COMMIT, which has no offset */
    uint64_t window_offset;          /* GET with MKV_NATIVE_FLAG_WINDOW, else 0 */
    struct mkv_native_remote remote; /* with MKV_NATIVE_FLAG_REMOTE, else 0 */
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

/* DATA body (56 bytes): 0 4 item | 4 4 remote key of a client's with MKV_NATIVE_FLAG_REMOTE, else 0
 * | 8 8 offset in the value | 16 8 length of the whole value | 24 8 bytes (= payload bytes of the
 * frame, which are 0 with the payload in the window or moved by RDMA) | 32 16 root of the whole
 * value (server to client, 0 for a value of segments) | 48 8 offset in the window (with
 * MKV_NATIVE_FLAG_WINDOW), or address (a client's with MKV_NATIVE_FLAG_REMOTE), else 0. The
 * header's request id names the request. */
struct mkv_native_data {
    uint32_t item;
    uint64_t offset;
    uint64_t length;
    uint64_t bytes;
    struct mkv_root root;
    uint64_t window_offset;
    struct mkv_native_remote remote; /* of a client's with MKV_NATIVE_FLAG_REMOTE, else 0 */
};

/* TAKEN body (16 bytes): 0 8 count | 8 8 0. Of the server, with request id 0: so many DATA of the
 * client with MKV_NATIVE_FLAG_REMOTE have been read, in the order in which they came, since there
 * is a lane. Of the client, with the request id of a GET that names slots: it is done with so many
 * DATA of it. Counts grow; what is not due any more changes nothing. */

/* WINDOW body (16 bytes), and that of its answer: 0 8 bytes wanted, 0 when it is mapped; the bytes
 * of the window | 8 8 0 */

/* CONNECT body (64 bytes), and that of its answer: 0 16 gid of the port, 0 where the link needs
 * none | 16 4 queue pair number, 24 bits, not 0 or 1 | 20 4 number of the first packet that it
 * sends, 24 bits | 24 4 epoch: 0, in the answer what the server drew, not 0 | 28 4 MTU of the path,
 * bytes: 256, 512, 1024, 2048 or 4096 | 32 4 bytes of a message, as lane.h has them | 36 2 receives
 * posted, the same | 38 2 READs that it answers at a time, at most 255, of the client not 0 | 40 2
 * lid | 42 1 link layer | 43 1 fallback of the client, in the answer 0 | 44 1 traffic class, 45 1
 * service level, both of the answer: the client's packets have them, too; of the client 0 | 46 18
 * 0. Of MTU and message bytes both sides take the smaller. */
enum mkv_native_link {
    MKV_NATIVE_LINK_ETHERNET = 1, /* RoCE v2: the gid is an IP address */
    MKV_NATIVE_LINK_INFINIBAND = 2,
};
struct mkv_native_connect {
    uint8_t gid[16];
    uint32_t queue_pair;
    uint32_t packet_number;
    uint32_t epoch;
    uint32_t mtu_bytes;
    uint32_t message_bytes;
    uint32_t receives;
    uint32_t reads;
    uint32_t lid;
    enum mkv_native_link link;
    uint32_t fallback; /* which this CONNECT tries to end: 0 for none, else as in HELLO */
    uint32_t traffic_class;
    uint32_t service_level; /* at most 15 */
};

/* Why a client that had a lane to this server, or asked for one, goes without: a number of one byte
 * in the HELLO of each connection that it goes on over, and in the CONNECT by which it tries again.
 * 0 none, 1 to MKV_LANE_REASON_COUNT - 1 as lane.h numbers the reasons why a lane stops, 32 the
 * server refused CONNECT. Others are taken for MKV_LANE_REASON_OTHER. */
#define MKV_NATIVE_FALLBACK_NONE 0u
#define MKV_NATIVE_FALLBACK_REFUSED 32u
#define MKV_NATIVE_FALLBACK_COUNT 33u
/* One of those above, whatever came. */
uint32_t mkv_native_fallback_known(uint32_t fallback);

/* Why a server refuses a CONNECT: with status unavailable, and a text that begins with the word of
 * one of these and a colon. The connection goes on without. */
enum mkv_native_refusal {
    /* There is none for the address that the client came to, or it is down. */
    MKV_NATIVE_REFUSAL_NO_DEVICE = 0,
    MKV_NATIVE_REFUSAL_FULL,       /* as many connections as may be have one */
    MKV_NATIVE_REFUSAL_OFF,        /* turned off since HELLO */
    MKV_NATIVE_REFUSAL_PARAMETERS, /* what the client named does not go with what the server has */
};
#define MKV_NATIVE_REFUSAL_COUNT 4u
const char *mkv_native_refusal_name(enum mkv_native_refusal refusal); /* "no_device", … */

/* HELLO body (64 bytes): 0 2 lowest version | 2 2 highest version | 4 4 home: 0, or 1 + the shard
 * that is to serve the connection | 8 7 features wanted | 15 1 fallback: why a client that does not
 * ask for a lane on this connection goes without | 16 48 client name, UTF-8, padded with 0.
 * Behind it the name of the connection's tenant, 1 to 79 bytes; none for the default tenant:
 * mkv_native_tenant_decode */
struct mkv_native_hello {
    uint16_t version_min;
    uint16_t version_max;
    uint32_t home;
    uint64_t features; /* at most MKV_NATIVE_FEATURES_MAX */
    uint32_t fallback; /* MKV_NATIVE_FALLBACK_NONE ...; any byte */
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
    MKV_NATIVE_BAD_LANE,    /* a field of a CONNECT is outside of what there is */
};
#define MKV_NATIVE_ERROR_COUNT 21u
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
void mkv_native_remote_encode(const struct mkv_native_remote *remote, uint8_t *bytes);
/* Decodes the items of a request body, and their memory: `items` takes header->item_count of them,
 * and *keys_offset becomes where in the body the first key stands. Checks every length against the
 * body. */
enum mkv_native_error mkv_native_items_decode(const struct mkv_native_header *header,
                                              const uint8_t *body, struct mkv_native_item *items,
                                              uint32_t *keys_offset);

/* Bytes of trace context at the end of a request's body: 0 or MKV_NATIVE_TRACE_BYTES. */
static inline uint32_t mkv_native_trace_bytes(const struct mkv_native_header *header) {
    return (header->flags & MKV_NATIVE_FLAG_TRACE) != 0 ? MKV_NATIVE_TRACE_BYTES : 0;
}
/* Bytes of memory descriptors behind the items of a request: 0, or 16 for each item. */
static inline uint32_t mkv_native_remote_bytes(const struct mkv_native_header *header) {
    return (header->flags & MKV_NATIVE_FLAG_REMOTE) != 0
               ? header->item_count * MKV_NATIVE_REMOTE_BYTES
               : 0;
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
/* The body of a frame with that header, whose payload bytes it compares, too. */
enum mkv_native_error mkv_native_data_decode(const struct mkv_native_header *header,
                                             const uint8_t *bytes, struct mkv_native_data *data);
void mkv_native_taken_encode(uint64_t count, uint8_t *bytes);
enum mkv_native_error mkv_native_taken_decode(const uint8_t *bytes, uint64_t *count);
void mkv_native_window_encode(uint64_t window_bytes, uint8_t *bytes);
enum mkv_native_error mkv_native_window_decode(const uint8_t *bytes, uint64_t *window_bytes);
/* That of a request, or with an epoch that of an answer. */
void mkv_native_connect_encode(const struct mkv_native_connect *connect, uint8_t *bytes);
enum mkv_native_error mkv_native_connect_decode(const struct mkv_native_header *header,
                                                const uint8_t *bytes,
                                                struct mkv_native_connect *connect);
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
