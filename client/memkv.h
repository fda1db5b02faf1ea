/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmemkv: blocks of a memkv server, put and got by key, one at a time or many in one call.
 *
 *     struct memkv_client *client;
 *     struct memkv_error error;
 *     if (memkv_open(NULL, &client, &error) != MEMKV_OK) {
 *         fprintf(stderr, "%s\n", error.text);
 *         return 1;
 *     }
 *     memkv_put(client, "key", 3, bytes, byte_count, 0, &error);
 *     memkv_close(client);
 *
 * Invariants
 *  I1  A value that came back with MEMKV_OK is the value that was put: a whole one of at most
 *      block_bytes_max bytes by the root that it was put with, other bytes by the root that they
 *      left the server with, which checked them when it read them; what differs is MEMKV_CORRUPT
 *      and never a success.
 *  I2  A put or delete that came back with MEMKV_OK is durable on the server, unless the put was
 *      MEMKV_RELAXED.
 *  I3  No call takes longer than timeout_ms, with connecting and resolving names, plus what the
 *      caller's own callbacks take.
 *  I4  The library keeps no pointer of the caller's beyond the call, or, of memkv_submit, beyond
 *      the completion.
 *
 * Discovery: the list of servers may change between calls. A server that leaves it answers what it
 * was asked before; what is new goes to the servers of the new list. A DELETE whose key has another
 * server by the time it is answered is MEMKV_UNAVAILABLE: repeat it. All that is said of several
 * servers holds while a list has one, too.
 *
 * Threads: a client is used by one thread at a time. Different clients are independent of each
 * other, and nothing is shared between them. A client is not used across fork. The library sets no
 * signal handler and raises no SIGPIPE.
 *
 * Broken connections: the calls that a break hits fail with MEMKV_UNAVAILABLE, or MEMKV_UNKNOWN
 * where a put or delete had been sent; the next call connects again. So a client outlives restarts
 * of its server. One that cannot be reached is let alone for a while, 50 ms at first and 2 s at
 * most, in which what is asked of it fails at once. One that can no longer be reached by RDMA, or
 * cannot yet, is reached over TCP from the next call on; beside the calls RDMA is tried again,
 * after 1 s at first and 60 s at most, and where server or host never had it after 30 to 60 s. A
 * call in whose time that falls may return up to 50 ms later.
 *
 * Several servers: each key belongs to one of them, by its name and weight alone (docs/protocol.md,
 * Placement). What is asked of one that cannot be reached, or does not answer in time, is a miss
 * where it reads (MEMKV_NOT_FOUND with MEMKV_MISS_SERVER_DOWN or MEMKV_MISS_DEADLINE; a gap of
 * memkv_lookup), and MEMKV_UNAVAILABLE, MEMKV_DEADLINE or MEMKV_UNKNOWN where it writes. All else
 * goes on.
 *
 * Not responsible for: retrying. Puts and deletes may be repeated: a put of the same content under
 * the same key moves no bytes.
 */
#ifndef MEMKV_H
#define MEMKV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A key has 1 to MEMKV_KEY_BYTES_MAX arbitrary bytes. */
#define MEMKV_KEY_BYTES_MAX 1024
/* Bytes of an error text with its closing NUL. */
#define MEMKV_ERROR_TEXT_BYTES 256

/* What a call or an item came to. Below 100: as on the wire (docs/protocol.md). */
enum memkv_status {
    MEMKV_OK = 0,
    MEMKV_NOT_FOUND = 1,   /* no such key; a miss reason says why */
    MEMKV_NO_SPACE = 2,    /* the server has no room for the value */
    MEMKV_DEADLINE = 3,    /* not done in time, and nothing was changed */
    MEMKV_IO_ERROR = 4,    /* a drive of the server failed the operation */
    MEMKV_INVALID = 5,     /* an argument is wrong or above a limit; the text says which */
    MEMKV_FORBIDDEN = 6,   /* the server does not allow it */
    MEMKV_BUSY = 7,        /* too much in flight at the server; try again */
    MEMKV_UNKNOWN = 8,     /* a put or delete may have happened, or may yet; repeat it */
    MEMKV_UNAVAILABLE = 9, /* no connection, or the key's drive is not online */
    MEMKV_CONFLICT = 10,   /* the key holds other content; see MEMKV_REPLACE */
    MEMKV_QUOTA = 11,      /* the tenant's quota is used up; delete some of its keys */
    /* Of the library alone. */
    MEMKV_CORRUPT = 100,   /* the bytes that came are not those that were put */
    MEMKV_TOO_SMALL = 101, /* the caller's buffer cannot hold what there is */
    MEMKV_CALLBACK = 102,  /* a callback of the caller's failed */
    MEMKV_NO_MEMORY = 103,
    MEMKV_CANCELLED = 104 /* memkv_cancel ended it, and nothing was changed */
};

/* Why a key was missed. As on the wire. */
enum memkv_miss {
    MEMKV_MISS_NONE = 0,
    MEMKV_MISS_UNKNOWN = 1,
    MEMKV_MISS_EVICTED = 2,
    MEMKV_MISS_EXPIRED = 3,
    MEMKV_MISS_DELETED = 4,
    MEMKV_MISS_DEADLINE = 5,
    MEMKV_MISS_IO_ERROR = 6,
    MEMKV_MISS_CHECKSUM = 7,
    MEMKV_MISS_DRIVE_OFFLINE = 8,
    MEMKV_MISS_OVERLOADED = 9,
    /* Of the library alone: the key's server cannot be reached. Only of a client of several. */
    MEMKV_MISS_SERVER_DOWN = 100
};

/* "ok", "not_found", …; never NULL, also for numbers that are no status. Constant text. */
const char *memkv_status_name(enum memkv_status status);
/* "unknown", "evicted", …; never NULL. Constant text. */
const char *memkv_miss_name(enum memkv_miss miss);

/* What went wrong, for people: what, where, and where there is something to do, what. */
struct memkv_error {
    enum memkv_status status;
    char text[MEMKV_ERROR_TEXT_BYTES]; /* UTF-8, empty with MEMKV_OK */
};

/* The servers that share a set of keys, and connections to them. */
struct memkv_client;

/*
 * What is zero or NULL is as the environment says (MEMKV_SERVERS, MEMKV_DISCOVERY, MEMKV_AUTH_KEY,
 * MEMKV_AUTH_KEY_ID, MEMKV_TLS, MEMKV_TLS_CA, MEMKV_TLS_NAME, MEMKV_OTEL_ENDPOINT, MEMKV_TRANSPORT,
 * MEMKV_RDMA_DEVICES), else the YAML file that MEMKV_CONFIG names (the members of this struct,
 * otel_sampling_ratio), else the default that stands here.
 */
struct memkv_options {
    /* "HOST:PORT", "[IPV6]:PORT", "unix:/PATH" of a server on this machine, or several of them with
     * commas between, of which each key belongs to one. "HOST:PORT*WEIGHT" takes WEIGHT times the
     * keys that weight 1 takes; 1 to 256. */
    const char *servers;
    uint32_t timeout_ms;         /* of one call from begin to end; 0: 30000 */
    uint32_t connect_timeout_ms; /* of connecting and greeting; 0: 5000 */
    const char *client_name;     /* what the server calls this client; at most 48 bytes are used.
                                  * NULL: "libmemkv" */
    /* Whose keys these are: tenants have nothing in common, also not equal keys. 1 to 79 characters
     * of A-Z a-z 0-9 . _ -; the first put makes a tenant. NULL: "default" */
    const char *tenant;
    uint32_t connections; /* to each server at most, to one with shards to each of these; 1 to 64,
                           * and no more than 64 to a server; 0: 1 */
    /* Memory that is shared with a server of this machine, for memkv_buffer_alloc, in MiB, 1 to
     * 65536; 0: 64. The server may give less (network.shm_window_bytes). */
    uint32_t shared_mib;
    /* The key that servers and this client prove to each other that they have, 64 hexadecimal
     * digits, and what servers call it. A server that has not got it is refused, MEMKV_FORBIDDEN.
     * NULL: no key, and "default". */
    const char *auth_key;
    const char *auth_key_id;
    int tls; /* not 0: over TLS, as with either of these: */
    /* The PEM file of the certificates that are trusted. NULL: those that the system trusts */
    const char *tls_ca;
    /* What the servers' certificates are for. NULL: the host of each server's address */
    const char *tls_name;
    /* Where the list of servers comes from, instead of `servers`, for as long as the client lives:
     * "file:PATH" with a server a line, "dns:NAME:PORT", "etcd:http://HOST:PORT/PREFIX",
     * "static:SERVERS" (docs/discovery.md). NULL: `servers`, or as MEMKV_DISCOVERY says */
    const char *discovery;
    /* How often the list is read again, at most 3600000; 0: 1000 for a file,
     * 10000 for DNS, 2000 for etcd */
    uint32_t discovery_refresh_ms;
    /* Where a span of each call is sent: "http://HOST[:4318][/PATH]" or "grpc://HOST[:4317]", a
     * collector of OpenTelemetry. It takes libmemkv_otel.so beside libmemkv. "": nowhere */
    const char *otel_endpoint;
    /* How servers are reached. "auto": unix:/PATH by shared memory, HOST:PORT by RDMA where server
     * and client have it, and over TCP as long as it fails; "rdma": by RDMA, and not at all where
     * that fails; "tcp", "shm": by that alone. What a name rules out is MEMKV_INVALID. RDMA has no
     * TLS. NULL: "auto" */
    const char *transport;
    /* The RDMA devices that are used, as `rdma link` names them, with commas between. A connection
     * takes the one whose address it comes from, else the one that fewest have. NULL: the one whose
     * address it comes from, else the first */
    const char *rdma_devices;
};

/*
 * Connects and greets all servers, of which one has to answer. `options` may be NULL. With MEMKV_OK
 * *out is a client, which the caller ends with memkv_close; else it is NULL and *error says why.
 * Here and below `error` may be NULL, and is written by every call, also by one that succeeds.
 */
enum memkv_status memkv_open(const struct memkv_options *options, struct memkv_client **out,
                             struct memkv_error *error);
/* Closes the connections and frees the client. What was submitted and is not done yet is given up:
 * it has no completion, and its memory is the caller's again. NULL is allowed. */
void memkv_close(struct memkv_client *client);

/* What a server, the first that has, said of itself when it was last connected to. */
struct memkv_server {
    uint32_t items_max;        /* keys of one request; larger batches become several requests */
    uint32_t inline_bytes_max; /* values up to it are sent without asking first */
    uint32_t requests_max;     /* in flight on one connection */
    uint64_t block_bytes_max;  /* larger values are stored in segments */
    uint64_t value_bytes_max;  /* larger values are refused */
    uint8_t store_uuid[16];
    char version[25];
};
/* Fills *server. Sends nothing and cannot fail. */
void memkv_server_limits(const struct memkv_client *client, struct memkv_server *server);

/* How bytes reach the first server that there is a connection to now: "tcp", "tls", "unix" (a Unix
 * socket), "shm" (the same, and memory is shared), "rdma"; "" without a connection. Constant text.
 * Sends nothing and cannot fail. */
const char *memkv_transport(const struct memkv_client *client);

/*
 * Requests of the calls to come belong to that span, until another is set: `traceparent` is as in
 * the HTTP header of W3C Trace Context, "00-" 32 hexadecimal digits "-" 16 "-" 2; NULL: to none.
 * Sends nothing. A server that takes no trace contexts does not get it; the calls are the same.
 * MEMKV_INVALID when that is no traceparent: then nothing changes.
 */
enum memkv_status memkv_trace_context(struct memkv_client *client, const char *traceparent,
                                      struct memkv_error *error);

/* Calls to come take so long at most, from begin to end; 0: 30000. What is under way keeps its
 * deadline. Sends nothing and cannot fail. */
void memkv_set_timeout(struct memkv_client *client, uint32_t timeout_ms);

/* ---- one value at a time -------------------------------------------------------------------- */

/* Put: other content under the key is replaced; without it that is MEMKV_CONFLICT. */
#define MEMKV_REPLACE 0x1u
/* Put: MEMKV_OK may come as soon as the server has the value in memory. It is served from then on,
 * and made durable behind; until that a crash of the server loses it, or rarely an error of a
 * drive. What it replaces does not come back. Values above block_bytes_max are durable all the
 * same. */
#define MEMKV_RELAXED 0x2u
/* Commit: the reservation ends, and nothing is stored. */
#define MEMKV_ABANDON 0x100u

/* How long a value is worth keeping when there is no room: the lower ones leave first, whatever
 * else is known of them. What names no tier is MEMKV_TIER_UNHINTED. */
enum memkv_tier {
    MEMKV_TIER_DEFAULT = 0,
    MEMKV_TIER_THINK_COMPLETE = 1, /* of a reasoning phase that is over */
    MEMKV_TIER_UNHINTED = 2,
    MEMKV_TIER_THINK_ACTIVE = 3, /* of one that is going on */
    MEMKV_TIER_OUTPUT_CRITICAL = 4
};

/* What a put says besides its bytes; zeros are the defaults. */
struct memkv_put_options {
    uint32_t flags;    /* MEMKV_REPLACE, MEMKV_RELAXED */
    uint32_t expire_s; /* as in struct memkv_item, as are these: */
    enum memkv_tier tier;
    uint64_t session;
};

/* Stores `byte_count` bytes under a key; MEMKV_OK when they are durable. Content that the key
 * already has is not moved again. `data` may be NULL when byte_count is 0. */
enum memkv_status memkv_put(struct memkv_client *client, const void *key, size_t key_bytes,
                            const void *data, uint64_t byte_count, uint32_t flags,
                            struct memkv_error *error);

/*
 * Reads a whole value into `buffer`, which has room for `capacity` bytes; *byte_count (may be NULL)
 * becomes the bytes of the value. MEMKV_TOO_SMALL: it has more than `capacity`; *byte_count says
 * how many, and the content of the buffer is undefined, as it is with every other failure.
 */
enum memkv_status memkv_get(struct memkv_client *client, const void *key, size_t key_bytes,
                            void *buffer, uint64_t capacity, uint64_t *byte_count,
                            struct memkv_error *error);

/*
 * Reads `length` bytes from `offset` on into `buffer`, which has room for them; *byte_count (may be
 * NULL) becomes how many there were: fewer where the value ends before, 0 behind its end.
 */
enum memkv_status memkv_get_range(struct memkv_client *client, const void *key, size_t key_bytes,
                                  uint64_t offset, uint64_t length, void *buffer,
                                  uint64_t *byte_count, struct memkv_error *error);

/* MEMKV_OK when the key is resident, MEMKV_NOT_FOUND when it is not. Moves no value. */
enum memkv_status memkv_exists(struct memkv_client *client, const void *key, size_t key_bytes,
                               struct memkv_error *error);

/* Keeps the key from being evicted for `seconds`, 1 or more; the server keeps an hour at most. Each
 * pin is ended by one unpin or by its time, whichever is first; a delete takes the key away all the
 * same. MEMKV_NO_SPACE: too much is pinned or leased. Of a value above one block its description
 * alone is kept. */
enum memkv_status memkv_pin(struct memkv_client *client, const void *key, size_t key_bytes,
                            uint32_t seconds, struct memkv_error *error);
/* MEMKV_NOT_FOUND when the key is not there, or not pinned. */
enum memkv_status memkv_unpin(struct memkv_client *client, const void *key, size_t key_bytes,
                              struct memkv_error *error);

/* MEMKV_OK when the deletion is durable, MEMKV_NOT_FOUND when there was no such key. */
enum memkv_status memkv_delete(struct memkv_client *client, const void *key, size_t key_bytes,
                               struct memkv_error *error);

/* ---- sessions ------------------------------------------------------------------------------- */

/*
 * An inference request, by an id that the client chooses: any number but 0, of its tenant's own.
 * What puts that name it store belongs to it; the first one begins it, too. One that nobody names
 * for a minute (the server's storage.session_idle) ends by itself. What happens to its values
 * follows the answer. A server that starts anew has no sessions, and every value has the tier of
 * its put again.
 */

/* MEMKV_NO_SPACE: the server has no room for another one; what names it is kept without it. */
enum memkv_status memkv_session_begin(struct memkv_client *client, uint64_t session,
                                      struct memkv_error *error);

enum memkv_think_exit {
    MEMKV_THINK_CONVERGED = 1,
    MEMKV_THINK_OVERTHINKING = 2,
    MEMKV_THINK_HARD_CAP = 3
};
/* The session has left its reasoning phase, after so many tokens: its values of tier
 * MEMKV_TIER_THINK_ACTIVE become MEMKV_TIER_THINK_COMPLETE. MEMKV_NOT_FOUND: no such session. */
enum memkv_status memkv_session_exit_think(struct memkv_client *client, uint64_t session,
                                           uint64_t tokens, enum memkv_think_exit reason,
                                           struct memkv_error *error);

/* End: the values leave, but for those that are leased or pinned. */
#define MEMKV_SESSION_FREE 0x1u
/* The session is over, and all its values become MEMKV_TIER_THINK_COMPLETE. MEMKV_NOT_FOUND: no
 * such session. */
enum memkv_status memkv_session_end(struct memkv_client *client, uint64_t session, uint32_t flags,
                                    struct memkv_error *error);

/* ---- many at a time ------------------------------------------------------------------------- */

enum memkv_op {
    MEMKV_OP_PUT = 1,
    MEMKV_OP_GET = 2,
    MEMKV_OP_EXISTS = 3,
    MEMKV_OP_DELETE = 4,
    MEMKV_OP_PIN = 5,
    MEMKV_OP_UNPIN = 6,
    MEMKV_OP_SESSION = 7,
    /* A put in two parts, of values up to block_bytes_max: ALLOCATE has the server take all that it
     * needs and moves nothing, COMMIT moves the bytes. Between them the value is not there. */
    MEMKV_OP_ALLOCATE = 8,
    MEMKV_OP_COMMIT = 9
};

/* What a SESSION tells: see the functions above. */
enum memkv_session_action {
    MEMKV_SESSION_BEGIN = 1,
    MEMKV_SESSION_EXIT_THINK = 2,
    MEMKV_SESSION_END = 3,
    MEMKV_SESSION_END_FREE = 4
};

/* One operation of a batch. Fields that the op does not name are ignored; start from zeros. */
struct memkv_item {
    enum memkv_op op;
    uint32_t flags; /* PUT, ALLOCATE: MEMKV_REPLACE, MEMKV_RELAXED. COMMIT: MEMKV_ABANDON */
    /* PUT, ALLOCATE: seconds from now on until the value is gone; 0 never. What is live already is
     * prolonged, and shortened with MEMKV_REPLACE alone. PIN: seconds, at least 1, until the key
     * may be evicted again */
    uint32_t expire_s;
    enum memkv_tier tier; /* PUT, ALLOCATE: of a value that is not there yet */
    /* PUT, ALLOCATE: the session that stores it, 0 for none. SESSION: not 0 */
    uint64_t session;
    enum memkv_session_action action; /* SESSION, which has no key */
    enum memkv_think_exit reason;     /* SESSION that leaves its reasoning phase, which had ... */
    uint64_t tokens;                  /* ... so many */
    const void *key;                  /* of all but SESSION and COMMIT */
    size_t key_bytes;
    const void *data;    /* PUT, ALLOCATE, COMMIT: the value, untouched until the call returns */
    uint64_t data_bytes; /* the same */
    /* ALLOCATE: set by the call; 0 with MEMKV_OK when the key has this value already, and there is
     * nothing to commit. COMMIT: what ALLOCATE set. A reservation ends with the COMMIT that names
     * it, when its time is over, and with the connection, which a failed call may close: then
     * COMMIT is MEMKV_NOT_FOUND. */
    uint64_t reservation;
    uint32_t reserve_ms; /* ALLOCATE: for how long from now on, two minutes at most; 0: a little
                          * less than timeout_ms */
    void *buffer;        /* GET: where the value goes; written during the call */
    uint64_t capacity;   /* GET: bytes of the buffer. 0: only value_bytes is asked for */
    uint64_t offset;     /* GET: first byte wanted */
    uint64_t length;     /* GET: bytes wanted, 0 for all behind offset */
    /* Set by the call. */
    enum memkv_status status;
    enum memkv_miss miss; /* GET, EXISTS: why it was not found */
    int leased; /* EXISTS, PIN: 1 when the server will not evict the key for a while, else 0 */
    uint64_t byte_count; /* GET with MEMKV_OK: bytes in the buffer. MEMKV_TOO_SMALL: bytes wanted */
    uint64_t value_bytes; /* GET with MEMKV_OK or MEMKV_TOO_SMALL: bytes of the whole value.
                           * EXISTS with MEMKV_OK: the same rounded up to 4096, or 0 where the
                           * server cannot tell without reading */
};

/*
 * Carries out `item_count` items, in any number and mixture, with many requests in flight to each
 * server; values are sent straight from `data` and received straight into `buffer`. Items run
 * side by side in no order, so one batch should not name a key twice where the order matters.
 * Every item gets a status of its own. Returns MEMKV_OK when each is MEMKV_OK, else the status of
 * the first item that is not, of which *error tells.
 */
enum memkv_status memkv_batch(struct memkv_client *client, struct memkv_item *items,
                              size_t item_count, struct memkv_error *error);

struct memkv_key {
    const void *bytes;
    size_t byte_count;
};

/* Counts how many keys, from the first on, are resident without a gap, into *resident_count: what a
 * prefix cache asks before it loads. MEMKV_OK also when that is 0. */
enum memkv_status memkv_lookup(struct memkv_client *client, const struct memkv_key *keys,
                               size_t key_count, size_t *resident_count, struct memkv_error *error);

/* ---- many calls at a time ------------------------------------------------------------------- */

/*
 * Begins what memkv_batch does, and returns: requests of any number of submissions are in flight at
 * once, and end in any order. The items, and all that they point to, are the library's until the
 * completion that carries `cookie`. Every submission has exactly one, at most `timeout_ms` (0: the
 * client's) after it. MEMKV_BUSY: 65536 submissions have no completion that was taken; then, with
 * MEMKV_INVALID (no items) and MEMKV_NO_MEMORY, nothing was begun. Anything else is in the items.
 */
enum memkv_status memkv_submit(struct memkv_client *client, struct memkv_item *items,
                               size_t item_count, uint64_t cookie, uint32_t timeout_ms,
                               struct memkv_error *error);

/* The same of memkv_lookup: the completion has `resident_count`, and no items. The keys, and their
 * array, are the library's until then. Of more than 256 keys some behind the first gap may be
 * leased, too. */
enum memkv_status memkv_submit_lookup(struct memkv_client *client, const struct memkv_key *keys,
                                      size_t key_count, uint64_t cookie, uint32_t timeout_ms,
                                      struct memkv_error *error);

/*
 * Ends submissions with this cookie that are not done: each has its completion at once, as at its
 * deadline, with MEMKV_CANCELLED in the place of MEMKV_DEADLINE (and no miss in its place);
 * a put or delete that may have been done is MEMKV_UNKNOWN. What was done before keeps its status.
 * A connection over which half a value was promised is closed, as at a deadline. MEMKV_NOT_FOUND:
 * nothing with this cookie is under way; its completion may be there to be taken.
 */
enum memkv_status memkv_cancel(struct memkv_client *client, uint64_t cookie,
                               struct memkv_error *error);

struct memkv_completion {
    uint64_t cookie;
    struct memkv_item *items; /* each with its status */
    size_t item_count;
    size_t resident_count;    /* of a lookup, 0 where it failed */
    struct memkv_error error; /* what memkv_batch would have returned and told */
};

/* Takes up to `completion_max` completions, and does what there is to do without waiting. Returns
 * how many. Submissions move only inside of this call and the others of the same client. */
size_t memkv_poll(struct memkv_client *client, struct memkv_completion *completions,
                  size_t completion_max);
/* The same, and waits for the first of them, `timeout_ms` at most. 0 also, and at once, when
 * nothing is in flight. */
size_t memkv_wait(struct memkv_client *client, struct memkv_completion *completions,
                  size_t completion_max, uint32_t timeout_ms);
/* Submissions whose completion has not been taken. */
size_t memkv_in_flight(const struct memkv_client *client);
/*
 * A descriptor that becomes readable when memkv_poll has something to do, deadlines included, for a
 * loop of the caller's own (poll, epoll). It is the client's, the same always, and nobody else
 * reads it. -1: there is none to be had; errno says why.
 */
int memkv_fd(struct memkv_client *client);

/* ---- buffers -------------------------------------------------------------------------------- */

/*
 * Tells the library of memory that values go to and come from again and again, before they do. With
 * RDMA it is registered with the device, so that servers write values of more than inline_bytes_max
 * bytes straight into it and read them straight out of it; the memory has to be writable, is kept
 * from being swapped out, and counts against the process's limit of locked memory (ulimit -l). TCP,
 * with TLS or without, has nothing to prepare, and moves bytes of any memory alike: registering
 * costs and brings nothing there. The memory stays the caller's, and mapped where it is until
 * memkv_buffer_unregister or memkv_close; *handle is never 0. Calls name addresses as before.
 * MEMKV_INVALID: no memory, or it overlaps with what is registered; MEMKV_BUSY: 1024 buffers are.
 * What a device refuses goes through bounce buffers, and is MEMKV_NO_MEMORY with transport rdma.
 *
 * Values of other memory go by RDMA, too. What a get names is registered for that call alone, and
 * behind it no server can write there: memory that gets come to again and again is better told
 * here. What a put names is registered for reading, and kept so: up to 256 such ranges of together
 * 256 MiB, of which the ones that were used longest ago leave first. What cannot be registered, a
 * get of less than 256 KiB, and what a MEMKV_OP_COMMIT names, is copied, through 16 MiB at most.
 *
 * So memory that puts have named is to be forgotten before it is unmapped or moved (free, realloc
 * and mremap of large memory do that): by memkv_buffer_unregister, or memkv_buffer_forget. Else a
 * put that names what is mapped in its place later has the server read the pages that were there
 * before, whatever these hold by then. They have not the root that they should, the server refuses
 * them, and they are moved once more, over the connection itself; then nothing is kept registered
 * for a while. No wrong byte is a success, and nothing of the process is written to.
 */
enum memkv_status memkv_buffer_register(struct memkv_client *client, void *address,
                                        uint64_t byte_count, uint64_t *handle,
                                        struct memkv_error *error);
/* None of its bytes may be of a call in flight. MEMKV_NOT_FOUND: no such handle. */
enum memkv_status memkv_buffer_unregister(struct memkv_client *client, uint64_t handle,
                                          struct memkv_error *error);

/* Nothing of these bytes is kept registered any more by the library itself, as described above, for
 * memory that puts have named and that is about to be unmapped or moved: its pages go back to the
 * system then, and no server can read them. What gets alone have named needs none of it. None of
 * the bytes may be of a call in flight. What was registered by memkv_buffer_register stays. Costs
 * nothing without RDMA. MEMKV_INVALID: no memory. */
enum memkv_status memkv_buffer_forget(struct memkv_client *client, const void *address,
                                      uint64_t byte_count, struct memkv_error *error);

/* ---- shared memory -------------------------------------------------------------------------- */

/*
 * A buffer for `buffer` and `data` of items, page by page. Where a server is on this machine
 * (unix:/PATH) it is memory that is shared with it, as long as there is some of options.shared_mib:
 * a get into it and a put out of it move each byte once. Else it is memory like any other. It may
 * be used for everything that memory is used for, by every call of every client, and outlives
 * connections; what it holds is nobody's but this process's, unless a call of the client names it.
 * It ends with memkv_buffer_free, or with the client where it is shared. NULL: there is no memory.
 *
 * No other thread writes to it while a call of the client runs, other than by what that call names:
 * a connection that ends has the library put other pages in its place.
 */
void *memkv_buffer_alloc(struct memkv_client *client, size_t byte_count);
/* NULL is allowed. */
void memkv_buffer_free(struct memkv_client *client, void *buffer);

/* ---- values that are not in memory ---------------------------------------------------------- */

/* Reads exactly `byte_count` bytes of the value from `offset` on into `buffer`. 0: done; anything
 * else ends the call with MEMKV_CALLBACK. Offsets come in any order, ranges perhaps twice. */
typedef int (*memkv_read_fn)(void *context, uint64_t offset, void *buffer, size_t byte_count);
/* Takes the next `byte_count` bytes of a value of `value_bytes` bytes, in order from offset 0 on.
 * Called once with byte_count 0 for an empty value. 0: done; anything else ends the call with
 * MEMKV_CALLBACK. */
typedef int (*memkv_write_fn)(void *context, uint64_t offset, uint64_t value_bytes,
                              const void *data, size_t byte_count);

/* memkv_put of `length` bytes that `source` supplies. `options` may be NULL. Uses memory for one
 * block at most, by RDMA for two, which stay with the client. */
enum memkv_status memkv_put_stream(struct memkv_client *client, const void *key, size_t key_bytes,
                                   uint64_t length, const struct memkv_put_options *options,
                                   memkv_read_fn source, void *context, struct memkv_error *error);
/* memkv_get of a whole value that `target` consumes. Uses memory for one block at most. A value of
 * at most block_bytes_max bytes is checked before `target` sees it; of a larger one `target` may
 * have seen a part when the call fails. */
enum memkv_status memkv_get_stream(struct memkv_client *client, const void *key, size_t key_bytes,
                                   memkv_write_fn target, void *context, struct memkv_error *error);

/* ---- the server ----------------------------------------------------------------------------- */

/* One round trip. */
enum memkv_status memkv_ping(struct memkv_client *client, struct memkv_error *error);
/* The server's counters as JSON text with a closing NUL in `buffer`. *byte_count (may be NULL)
 * becomes the bytes of the text without it; with MEMKV_TOO_SMALL too. At most 274432 of them. */
enum memkv_status memkv_stats(struct memkv_client *client, char *buffer, size_t capacity,
                              size_t *byte_count, struct memkv_error *error);

#ifdef __cplusplus
}
#endif

#endif
