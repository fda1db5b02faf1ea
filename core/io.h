/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into the machines of the core and what comes out: inputs, effects, and the messages
 * between front and volume. A machine is driven by
 *
 *     step(machine, input)  ->  effects(machine, out, max) until none is left  ->  next step
 *
 *                REQUEST, FABRIC_DONE            MESSAGE                DRIVE_DONE
 *     fabric  ------------------------> front <----------> volume <-------------------- drive
 *             <------------------------                           -------------------->
 *               PULL, PUSH, ANSWER, BREAK,              DRIVE_READ, _WRITE, _FLUSH, _TRIM
 *               REQUEST_ENDED
 *
 * Invariants
 *  I1  An effect names memory by index or offset, never by pointer: `meta_offset` counts from the
 *      start of the emitting machine's arena, a slab is an index into the slab arena.
 *  I2  A pointer in an input is valid during the step only; the machine copies what it keeps.
 *  I3  Memory that an effect names stays untouched until the effect's completion came back.
 *  I4  Every DRIVE_*, PULL, PUSH and ANSWER effect is completed by exactly one input with the same
 *      op. When a connection breaks its posted transfers complete with MKV_TRANSFER_FAILED first
 *      and CONNECTION_CLOSED comes last; after that the connection id may name a new connection.
 *  I5  PUSH and ANSWER of one connection reach the client in the order they were handed out.
 *      Those of one item come in the order of their offsets, each behind the one before without a
 *      gap, and each names the length of the whole value: what is streamed needs no more. Of a
 *      value in segments there are several; once the first is out, a failure breaks the connection.
 *  I6  The data of a MESSAGE effect is delivered, or copied, before its emitter is stepped again.
 *  I7  No unit of a DRIVE_WRITE or DRIVE_TRIM in flight is a unit of another operation in flight.
 *  I8  A volume has at most one DRIVE_TRIM in flight.
 *  I9  Each REQUEST comes to exactly one REQUEST_ENDED, behind which no PULL, PUSH or ANSWER of
 *      that request is handed out.
 *
 * Not responsible for: how any of it is carried out (backends/, sim/), nor for wire formats.
 */
#ifndef MKV_CORE_IO_H
#define MKV_CORE_IO_H

#include "core/base.h"

/* ---- messages between front and volume ------------------------------------------------------ */

/*
 *   front                       volume
 *   FIND  (key)            ->           in memory only; a hit holds its slot
 *                          <-  FOUND    OK with length_units, or NOT_FOUND with a miss reason
 *   READ  (slab, range)    ->           after FOUND OK: exactly one of READ, RELEASE
 *                          <-  READ_DONE   verified bytes are in the slab, or a status
 *   RELEASE                ->           no answer
 *   EXISTS (key, lease)    ->           may lease the block it reports
 *                          <-  EXISTS_DONE in memory only, answered in the same step
 *   TOUCH (tags)           ->           blocks that were read from memory: as if the volume had
 *                                       served them, to its eviction policy. No answer
 *   PIN (key, time)        ->           like a lease, but taken on purpose, and counted
 *                          <-  PIN_DONE OK; NOT_FOUND; NO_SPACE when it is not granted
 *   UNPIN (key)            ->           ends one PIN
 *                          <-  UNPIN_DONE OK; NOT_FOUND when there is none
 *   SESSION (id, what)     ->           of the blocks that puts named it with: see volume_session.h
 *                          <-  SESSION_DONE in the same step: OK, and what it means for blocks
 *                              follows; NOT_FOUND when there is no such session; NO_SPACE when
 *                              there is no room for another one
 *   PUT_BEGIN (key, length, root, expiry) ->  waits behind an earlier mutation of the same key
 *                          <-  PUT_READY   a slot is reserved; or
 *                          <-  PUT_DONE    OK (the same is live and durable), CONFLICT, QUOTA, …;
 *                                          of IF_PRESENT NOT_FOUND
 *   PUT_WRITE (slab, sums) ->           after PUT_READY: exactly one of PUT_WRITE, PUT_ABORT
 *                          <-  PUT_TAKEN   of a relaxed put: no live block gives way to it, and no
 *                                          other mutation of the key comes before it
 *                          <-  PUT_DONE    OK only when durable
 *   PUT_ABORT              ->           no answer
 *   DELETE (key)           ->
 *                          <-  DELETE_DONE OK only when the DROP is durable; or NOT_FOUND
 *   EXPIRE (key, expiry)   ->           sets the expiry of what is live, or ends it (0)
 *                          <-  EXPIRE_DONE OK only when that is durable; or NOT_FOUND
 *   TENANT (id, name, quota) ->         blocks may be stored under the id from now on; of a tenant
 *                                       that is known, its quota is another from now on
 *                          <-  TENANT_DONE OK when durable; CONFLICT when the id was given before
 *                              under another name, or dropped; NO_SPACE
 *   TENANT_DROP (id)       ->           hides every block of the tenant at once, for ever
 *                          <-  TENANT_DROP_DONE OK when durable; or NOT_FOUND. The slots are freed
 *                              behind it
 *
 *   SCAN (prefix, after)   ->           keys that begin with the prefix, behind `after`, in order
 *                          <-  SCAN_DONE OK, with entries; with MKV_SCAN_MORE when there are keys
 *                              behind the last one. Parts of larger values are not listed
 *   COUNT (prefix)         ->
 *                          <-  COUNT_DONE OK: what SCAN would list
 *   PURGE (prefix)         ->           drops all of them, and their parts, one by one
 *                          <-  PURGE_DONE OK when all that were durable when PURGE came are dropped
 *                              durably. Puts may go on meanwhile
 *
 * SCAN, COUNT and PURGE see what was durable when they came, and wait until the directory does too:
 * UNAVAILABLE while it is made anew, NO_SPACE while its region cannot hold all keys, BUSY when too
 * many are under way. Never a list that is not complete.
 *
 * A mutation for a tenant that the volume does not have is FORBIDDEN, a read finds nothing. A
 * DELETE of tenant MKV_NONE_U32, a name without a number, finds nothing either.
 *
 * A block that is leased or pinned is not evicted; all else that ends it does so all the same. The
 * lease of a value above one block is of its manifest alone.
 *
 * A put of a manifest whose value is the live one's, that is not to replace it and would not
 * outlive it, is OK and stores nothing: two manifests of one value differ in the names of their
 * segments.
 *
 * A block with an expiry is gone when the volume's wall clock reaches it: reads miss it as EXPIRED,
 * DELETE does not find it. A put of what is live prolongs it, durably, to the later of both
 * expiries (none is the latest); with MKV_PUT_REPLACE it gets the put's. EXPIRE sets it, to sooner,
 * too.
 */
enum mkv_message_kind {
    MKV_MESSAGE_FIND = 1,
    MKV_MESSAGE_READ,
    MKV_MESSAGE_RELEASE,
    MKV_MESSAGE_EXISTS,
    MKV_MESSAGE_PIN,
    MKV_MESSAGE_UNPIN,
    MKV_MESSAGE_SESSION,
    MKV_MESSAGE_PUT_BEGIN,
    MKV_MESSAGE_PUT_WRITE,
    MKV_MESSAGE_PUT_ABORT,
    MKV_MESSAGE_DELETE,
    MKV_MESSAGE_TENANT,
    MKV_MESSAGE_TENANT_DROP,
    MKV_MESSAGE_SCAN,
    MKV_MESSAGE_COUNT,
    MKV_MESSAGE_PURGE,
    MKV_MESSAGE_FOUND,
    MKV_MESSAGE_READ_DONE,
    MKV_MESSAGE_EXISTS_DONE,
    MKV_MESSAGE_PIN_DONE,
    MKV_MESSAGE_UNPIN_DONE,
    MKV_MESSAGE_SESSION_DONE,
    MKV_MESSAGE_PUT_READY,
    MKV_MESSAGE_PUT_TAKEN,
    MKV_MESSAGE_PUT_DONE,
    MKV_MESSAGE_DELETE_DONE,
    MKV_MESSAGE_TENANT_DONE,
    MKV_MESSAGE_TENANT_DROP_DONE,
    MKV_MESSAGE_SCAN_DONE,
    MKV_MESSAGE_COUNT_DONE,
    MKV_MESSAGE_PURGE_DONE,
    MKV_MESSAGE_TOUCH,
    MKV_MESSAGE_EXPIRE,
    MKV_MESSAGE_EXPIRE_DONE,
};

#define MKV_PUT_REPLACE 0x100u /* of a put: other content under a live key is replaced */
/* Of PUT_BEGIN: only a live block with the root `replaces` is; any other content is a conflict. */
#define MKV_PUT_REPLACE_ROOT 0x200u
/* Of a request's PUT: OK says that the value is in memory, not that it is durable. Of PUT_WRITE:
 * the front wants to be told with PUT_TAKEN when that may be said. */
#define MKV_PUT_RELAXED 0x800u
/* Of a request's PUT: its root is not known before its bytes are. The front has them sent first,
 * whatever is live, and makes the root of them. A value above one block is segments, as ever. */
#define MKV_PUT_ROOT_LATER 0x8000u
/* Of a request's PUT and of PUT_BEGIN, one or none: only where the key holds nothing, else
 * CONFLICT, also of the same content, whatever MKV_PUT_REPLACE says; or only where it holds
 * something, else NOT_FOUND, and that is replaced. Decided by the volume under the lock of the key:
 * what expires behind that, while the bytes come, was there. */
#define MKV_PUT_IF_ABSENT 0x10000u
#define MKV_PUT_IF_PRESENT 0x20000u
/* Of a request's PUT and EXPIRE: `expire_s` is a Unix time, not 0. */
#define MKV_EXPIRE_AT 0x40000u
/* Of a COMMIT's item: the reservation ends, and nothing is stored. */
#define MKV_COMMIT_ABANDON 0x1000u
/* Of PUT_DONE with OK: the same was there already, and nothing was stored. */
#define MKV_PUT_THERE 0x2000u
/* Of PUT_DONE with OK of a relaxed put: it was not written, and is in memory alone. */
#define MKV_PUT_UNWRITTEN 0x80000u
/* Of SCAN_DONE: there are keys behind the last one. */
#define MKV_SCAN_MORE 0x400u
/* An entry of SCAN_DONE: slot u32, generation (low 32 bits) u32, length in units u16, block flags
 * u16, key bytes u16, 0 u16, key. */
#define MKV_SCAN_ENTRY_BYTES 16u

/* An entry of TOUCH: tag u64, tenant u32, 0 u32. */
#define MKV_TOUCH_ENTRY_BYTES 16u
#define MKV_TOUCH_ENTRIES_MAX 32u

/* Of PUT_BEGIN: the last one of several blocks that a request stores. */
#define MKV_PUT_LAST 0x400u

/* Of EXISTS: the lease is granted only while few are. */
#define MKV_LEASE_SHORT 0x800u
/* Of EXISTS: whoever asks does not use the block; so it is worth no more for it. */
#define MKV_EXISTS_NO_USE 0x4000u
/* Of a request's EXISTS: the same, and no lease. */
#define MKV_EXISTS_PLAIN 0x4000u

struct mkv_message {
    enum mkv_message_kind kind;
    uint32_t volume;            /* index of the volume addressed, or answering */
    struct mkv_op_id front_op;  /* the front's item; comes back in every answer */
    struct mkv_op_id volume_op; /* FOUND, PUT_READY; and READ, RELEASE, PUT_WRITE, PUT_ABORT.
                                 * EXISTS_DONE, PIN_DONE: slot and generation (low) of the block */
    enum mkv_status status;     /* answers */
    enum mkv_miss miss;         /* answers that are no hit: why */
    uint32_t tenant;            /* of every message of the front that names a key or a prefix, and
                                 * of TENANT, TENANT_DROP */
    uint32_t
        flags; /* PUT_BEGIN, PUT_WRITE: block flags and MKV_PUT_*; FOUND, READ_DONE: block flags */
    uint32_t length;      /* PUT_BEGIN: payload bytes. READ: bytes wanted, 0 for all behind
                           * offset. READ_DONE: payload bytes of the whole block. SCAN, COUNT,
                           * PURGE: bytes of the prefix */
    uint32_t offset;      /* READ: first byte wanted. The slab must hold every chunk of the
                           * range in whole: see mkv_chunk_bytes. READ_DONE: the same */
    uint32_t bytes;       /* READ_DONE: bytes of the range that there are. SCAN: of entries at most,
                           * 0 for as many as there is room for */
    uint32_t slab_offset; /* READ_DONE: where in the slab's payload area they begin */
    uint32_t
        length_units; /* FOUND: payload units at most; EXISTS_DONE: exactly (0: inline or empty) */
    struct mkv_slab slab;     /* READ, PUT_WRITE */
    struct mkv_root root;     /* PUT_BEGIN; READ_DONE: of the whole block */
    struct mkv_root replaces; /* PUT_BEGIN with MKV_PUT_REPLACE_ROOT */
    uint64_t value_length;    /* PUT_BEGIN of a manifest: of the value, as the manifest says … */
    struct mkv_root value_root; /* … and its root */
    /* PUT_BEGIN, EXPIRE, READ_DONE, EXISTS_DONE: Unix time from which on the block is gone; 0:
     * never. */
    uint32_t expiry_s;
    uint64_t data_offset; /* effects only: where in the emitter's arena `data` lies */
    uint32_t
        data_bytes; /* FIND, EXISTS, PUT_BEGIN, DELETE, EXPIRE: the key. PUT_WRITE: the chunk sums,
                          * 8 bytes each. READ_DONE of a manifest: its payload. TENANT: the name,
                          * at most MKV_TENANT_STORED_NAME_BYTES_MAX. SCAN: the prefix and, behind
                          * it, the key after which to begin. COUNT, PURGE: the prefix. SCAN_DONE:
                          * the entries */
    /* EXISTS, PIN: for how long, 0 not at all. Their answers: for how long it was granted. */
    uint64_t lease_ns;
    uint64_t session;   /* SESSION: its id, which a client chose. PUT_BEGIN: the same, 0 for none */
    uint32_t tier_hint; /* PUT_BEGIN: see mkv_tier_of_hint */
    enum mkv_session_action action; /* SESSION */
    uint64_t count; /* SCAN: entries at most. SCAN_DONE, COUNT_DONE, PURGE_DONE: how many. TENANT:
                          * units of slots that the tenant may have here, 0 for any */
    /* READ_DONE: time of the DRIVE_READ. PUT_DONE: from the DRIVE_WRITE to its end. 0: there was
     * none. */
    uint64_t drive_ns;
    uint64_t flush_ns; /* PUT_DONE: from the end of that to now */
};

/* ---- the front's requests ------------------------------------------------------------------- */

enum mkv_op {
    MKV_OP_PUT = 1,
    MKV_OP_GET = 2,
    MKV_OP_EXISTS = 3,
    MKV_OP_LOOKUP = 4, /* result 0 holds the count of leading keys that are resident */
    MKV_OP_DELETE = 5,
    MKV_OP_PIN = 6,
    MKV_OP_UNPIN = 7,
    MKV_OP_SESSION = 8,  /* an item tells one session something; it has no key */
    MKV_OP_ALLOCATE = 9, /* a PUT up to where its bytes are asked for, which a COMMIT does */
    MKV_OP_COMMIT = 10,  /* items name reservations of the same connection, and have no keys */
    MKV_OP_EXPIRE = 11,  /* sets when a key expires, also sooner; of a value in segments of all */
};
#define MKV_OP_COUNT 12u

struct mkv_request_item {
    uint32_t key_offset; /* into input.data */
    uint32_t key_bytes;
    uint32_t flags;       /* PUT, ALLOCATE: MKV_PUT_REPLACE, MKV_PUT_RELAXED. PUT:
                           * MKV_PUT_ROOT_LATER, MKV_PUT_IF_*, and EXPIRE: MKV_EXPIRE_AT. EXISTS:
                           * MKV_EXISTS_PLAIN. COMMIT: MKV_COMMIT_ABANDON */
    uint64_t length;      /* PUT: bytes of the value. ALLOCATE: the same, one block at most. COMMIT:
                           * as its ALLOCATE said. GET: bytes wanted, 0 for all behind offset */
    uint64_t offset;      /* GET */
    struct mkv_root root; /* PUT of a value up to one block, ALLOCATE: of the payload; else, and
                           * with MKV_PUT_ROOT_LATER, all 0 */
    uint32_t expire_s; /* PUT, ALLOCATE, EXPIRE: seconds from now on until it is gone; 0 never. PIN:
                           * until it may be evicted again; not 0 */
    /* EXISTS: of the lease that is asked for; 0: as the front is configured, MKV_NONE_U32: none. */
    uint32_t lease_ms;
    uint64_t session;   /* PUT, ALLOCATE: that it belongs to, 0 for none. SESSION: not 0 */
    uint32_t tier_hint; /* PUT, ALLOCATE: see mkv_tier_of_hint */
    enum mkv_session_action action; /* SESSION */
    enum mkv_think_exit reason;     /* SESSION: of its EXIT_THINK, whose length is its tokens */
    uint64_t reservation;           /* COMMIT */
};

struct mkv_connection_id {
    uint32_t index;
    uint32_t generation;
};

struct mkv_request {
    struct mkv_connection_id connection;
    uint64_t request_id; /* the client's; comes back in transfers and the answer */
    enum mkv_op op;
    uint32_t tenant;         /* MKV_NONE_U32: nobody has put anything under its name */
    const char *tenant_name; /* keys are placed by it; NULL for the default tenant alone */
    uint64_t deadline_ns;    /* on the clock of now_ns; bounds waiting. ALLOCATE: and is when what
                              * it has reserved ends */
    uint32_t item_count;     /* 1 … items_max of the front's configuration */
    const struct mkv_request_item *items;
    uint64_t received_ns; /* when its first byte was there; 0, or behind now_ns: not known */
    uint64_t serial;      /* of all REQUESTs that this front gets, by its driver */
    /* Not 0: it came over a router (router.h), which finds what belongs to it by this name. Its
     * ANSWER is completed by CONNECTION_CLOSED too, and one that refuses it not at all. */
    uint32_t route;
    bool part; /* further items of it are with other fronts: it counts as no request here */
    struct mkv_trace_context trace;
};

/* What an item of a request came to; the answer lists one for each item (LOOKUP: one). */
struct mkv_item_result {
    enum mkv_status status;
    enum mkv_miss miss;
    union {
        /* GET, EXISTS (rounded up to units): bytes of the whole value. LOOKUP: keys. A GET behind
         * the end tells the length, and has no bytes. */
        uint64_t length;
        /* ALLOCATE with OK: names the reservation; 0 when the same is there already, and nothing is
         * reserved. */
        uint64_t reservation;
    };
    struct mkv_root root; /* GET of a value up to one block: of the payload; else all 0 */
    /* EXISTS, PIN: 1 when it is not evicted for a while. LOOKUP: of how many of the keys that is
     * so. */
    uint32_t leased;
    uint32_t expiry_s; /* EXISTS: Unix time from which on it is gone; 0 never */
};
/* The highest name of a reservation. */
#define MKV_RESERVATION_MAX (1ull << 40)

/* ---- inputs --------------------------------------------------------------------------------- */

enum mkv_input_kind {
    MKV_INPUT_TICK = 1,
    MKV_INPUT_REQUEST,
    MKV_INPUT_MESSAGE,
    MKV_INPUT_DRIVE_DONE,
    MKV_INPUT_FABRIC_DONE,
    MKV_INPUT_ADMIN,
};

/* How a drive answered. Translated from errno once, in the backend. */
enum mkv_io_result {
    MKV_IO_OK = 0,
    MKV_IO_MEDIUM,  /* these units cannot be read or written (ENODATA, EILSEQ) */
    MKV_IO_DEVICE,  /* the drive failed the operation (EIO, ENOLINK, short transfer) */
    MKV_IO_GONE,    /* the drive is not there any more (ENODEV, ENXIO) */
    MKV_IO_NO_ROOM, /* the file system under a file store is full (ENOSPC, EDQUOT) */
    /* It was not done within its time, or the kernel gave up waiting (ETIMEDOUT). The memory is no
     * longer in use; but what a write brings may still reach the drive, until the backend has
     * nothing of it in flight. */
    MKV_IO_TIMEOUT,
    MKV_IO_READ_ONLY, /* the drive takes no writes (EROFS) */
    MKV_IO_SHRUNK,    /* the drive ends before these units, and did not when it was opened */
};
#define MKV_IO_RESULT_COUNT 8u

/* Whether a volume fails by it, whatever the operation was for: every other would come to it. */
static inline bool mkv_io_result_is_final(enum mkv_io_result result) {
    return result == MKV_IO_GONE || result == MKV_IO_READ_ONLY || result == MKV_IO_SHRUNK;
}

struct mkv_drive_done {
    struct mkv_op_id op;
    enum mkv_io_result result;
    /* Reads into a slab only: the header unit as read (4096 bytes, NULL when the read had none) and
     * the sums of the payload chunks as read, from the first chunk of the read on. */
    const uint8_t *header;
    const uint64_t *sums;
    uint32_t sum_count;
};

enum mkv_fabric_event {
    MKV_FABRIC_PULL_DONE = 1,
    MKV_FABRIC_PUSH_DONE,
    MKV_FABRIC_ANSWER_DONE,
    MKV_FABRIC_CONNECTION_CLOSED,
};
enum mkv_transfer {
    MKV_TRANSFER_OK = 0,
    MKV_TRANSFER_FAILED, /* the connection broke; the memory is no longer in use */
};

struct mkv_fabric_done {
    enum mkv_fabric_event event;
    enum mkv_transfer transfer;
    struct mkv_op_id op;                 /* PULL, PUSH, ANSWER */
    struct mkv_connection_id connection; /* CONNECTION_CLOSED */
    const uint64_t *sums;                /* PULL: chunk sums of the bytes that arrived */
    uint32_t sum_count;
};

enum mkv_admin_command {
    MKV_ADMIN_FORMAT =
        1, /* volume: write a new, empty store with config.format, then stay closed */
    /* Volume: recover and serve. With a set, which must be the superblock's own or the one that
     * follows it, that is durable before anything else is changed. */
    MKV_ADMIN_OPEN,
    /* Volume: come up empty under the set, durable, and serve. */
    MKV_ADMIN_JOIN,
    /* Volume that serves: the set becomes its own, in a superblock; MKV_EVENT_DRIVE_SET_DURABLE. */
    MKV_ADMIN_DRIVE_SET,
    /* Volume that serves: drop, durably, every block whose key goes to another member of the set;
     * MKV_EVENT_PURGED. Blocks of such keys are not put meanwhile. */
    MKV_ADMIN_PURGE,
    MKV_ADMIN_CHECKPOINT, /* volume: start a checkpoint now */
    MKV_ADMIN_CLOSE, /* volume: refuse mutations, drain, checkpoint, write the clean mark, close */
    /* Volume that serves: its drive is slow, and relaxed puts are not written to it; and not any
     * more. An opening begins without. */
    MKV_ADMIN_AVOID,
    MKV_ADMIN_AVOID_OVER,
};

struct mkv_input {
    enum mkv_input_kind kind;
    uint64_t now_ns;  /* monotonic */
    uint64_t wall_ms; /* Unix time; never below the persisted maximum */
    const uint8_t *data;
    /* REQUEST: the keys. MESSAGE: message.data_bytes of data. ADMIN with a set: the struct
     * mkv_drive_set. */
    uint32_t data_bytes;
    union {
        struct mkv_request request;
        struct mkv_message message;
        struct mkv_drive_done drive;
        struct mkv_fabric_done fabric;
        enum mkv_admin_command admin;
    };
};

/* ---- effects -------------------------------------------------------------------------------- */

enum mkv_effect_kind {
    MKV_EFFECT_DRIVE_READ = 1,
    MKV_EFFECT_DRIVE_WRITE,
    MKV_EFFECT_DRIVE_FLUSH,
    /* `drive.lba` and `drive.unit_count` only: the drive may forget these units. Whatever it is
     * completed with, they hold anything until they are written again. */
    MKV_EFFECT_DRIVE_TRIM,
    MKV_EFFECT_FAIL_DRIVE, /* hand no further operation to this drive; the volume has failed */
    MKV_EFFECT_PULL,
    MKV_EFFECT_PUSH,
    MKV_EFFECT_ANSWER,
    MKV_EFFECT_BREAK, /* break the connection; its posted transfers then complete as FAILED */
    MKV_EFFECT_MESSAGE,
    MKV_EFFECT_EVENT,
    MKV_EFFECT_REQUEST_ENDED,
};

enum mkv_drive_memory {
    /* `unit_count` units at meta_offset of the volume's arena. A read with payload_bytes > 0 is of
     * a payload, at whose bytes the volume does not look: it is completed with their sums as
     * MKV_DRIVE_PAYLOAD is. */
    MKV_DRIVE_META = 1,
    /* Whole or leading part of a slot: slab [header 4 KiB][payload].
     * Write: the backend copies the header unit from meta_offset into the slab, zeroes the payload
     * from payload_bytes up to the unit's end, and writes unit_count units. When unit_count is 1
     * and payload_bytes > 0 the payload is inline: it is copied to byte 2048 of the header unit.
     * Read: unit_count units into the slab; when the header says inline, the payload is copied
     * from byte 2048 of the header unit to the slab's payload area. Completed with header and with
     * the sums of every chunk that lies whole in what was read (mkv_slot_read_sums). */
    MKV_DRIVE_SLOT,
    /* A range of a payload, read only: unit_count units into the slab's payload area, completed
     * with sums over payload_bytes bytes in chunks of chunk_bytes, without header. */
    MKV_DRIVE_PAYLOAD,
};

/* For whom an operation is. A drive that has more of them than it takes at a time gives each share
 * its part of the queue (backends/drive_queue.h), so that nobody waits behind all that others
 * want. It is no order: operations that depend on each other are not in flight together. */
enum mkv_drive_share {
    /* The journal, flushes and superblocks: short, and all puts wait for them. Recovery. */
    MKV_DRIVE_FOR_COMMIT = 0,
    /* A client waits for what is read: a GET, and the header that a mutation looks at first. */
    MKV_DRIVE_FOR_LOAD,
    /* Data of puts. */
    MKV_DRIVE_FOR_STORE,
    /* Checkpoints, the directory, the scrubber, purges of keys that are another drive's, trims:
     * nobody waits for it now. */
    MKV_DRIVE_FOR_BACKGROUND,
};
#define MKV_DRIVE_SHARE_COUNT 4u

struct mkv_drive_effect {
    enum mkv_drive_memory memory;
    enum mkv_drive_share share;
    struct mkv_lba lba;
    uint32_t unit_count;
    uint64_t meta_offset;
    struct mkv_slab slab;
    uint32_t payload_bytes;
    uint32_t chunk_bytes;
};

struct mkv_transfer_effect {
    struct mkv_connection_id connection;
    uint64_t request_id;
    uint32_t item;   /* index in the request */
    uint32_t route;  /* as in the request */
    uint64_t offset; /* PULL, PUSH: of the first byte in the value */
    uint32_t bytes;  /* PULL, PUSH: from or to the slab's payload area */
    struct mkv_slab slab;
    uint32_t slab_offset; /* PUSH: first byte in the slab's payload area */
    uint64_t length;      /* PUSH: bytes of the whole value */
    struct mkv_root root; /* PUSH: of the whole value's payload, all 0 where it is segments */
};

/* What a request spends its time on. A moment in which several of its items do several things
 * counts for the last of these in the order of this list, so that the stages of a request add up to
 * its time. */
enum mkv_stage {
    MKV_STAGE_PARSE = 0, /* from its first byte to the front */
    /* In the front and in memory of volumes, waiting for credits, and for a slot where an extent or
     * an eviction has to be durable first. */
    MKV_STAGE_ROUTE,
    MKV_STAGE_WAIT_SLAB,
    MKV_STAGE_REPLY, /* from its ANSWER to the end of that */
    MKV_STAGE_PULL,  /* bytes come from the client, and the client's share of that */
    MKV_STAGE_PUSH,  /* bytes go to the client, and the client's share of that */
    /* From data on the drive to a durable record, and of a DELETE all of its volume. Where several
     * puts are written at a time, behind the last of their data. */
    MKV_STAGE_FLUSH,
    MKV_STAGE_WRITE, /* data goes to the drive */
    MKV_STAGE_READ,  /* data comes from the drive, asked for by this request or by another */
};
#define MKV_STAGE_COUNT 9u

/* The bytes of a key that are kept for its request's summary. */
#define MKV_SUMMARY_KEY_BYTES_MAX 256u

/*
 * What a request was and came to. It ends when its client can learn nothing more of it: with the
 * completion of its ANSWER, with its connection, or, refused, with that ANSWER. What a volume still
 * does for it then, such as a write that nobody waits for, is not in here.
 */
struct mkv_request_summary {
    struct mkv_connection_id connection;
    uint64_t request_id;
    uint64_t serial; /* as in the request */
    enum mkv_op op;
    enum mkv_status status; /* the gravest of its items, as in mkv_front_stats; dropped: unknown */
    bool refused;           /* as a whole, before it began */
    bool dropped;           /* the connection closed before the answer */
    uint32_t tenant;
    uint32_t volume; /* of the item that a drive took longest for; MKV_NONE_U32 where none did */
    uint32_t item_count;
    uint32_t keys_from_memory; /* GET, EXISTS, LOOKUP; the rest of the keys were missed */
    uint32_t keys_from_drive;
    enum mkv_miss miss; /* of the first key that was found to be missed */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t received_ns; /* when its first byte came, or it came itself where that is not known */
    uint64_t ended_ns;
    uint64_t stage_ns[MKV_STAGE_COUNT]; /* their sum is ended_ns - received_ns */
    uint64_t drive_ns;   /* the longest time that a drive took for one of its items */
    uint64_t session;    /* of the first item; 0: none */
    uint64_t key_offset; /* of the first item's key, in the front's arena until its next step */
    uint32_t key_bytes;  /* as many of it as are kept; 0: it has none */
    bool key_cut;        /* there are more */
    uint32_t route;      /* as in the request */
    struct mkv_trace_context trace;
};

struct mkv_answer_effect {
    struct mkv_connection_id connection;
    uint64_t request_id;
    enum mkv_op op;
    enum mkv_status status; /* OK: item results count. Else the request was refused whole */
    uint32_t result_count;
    uint32_t route;          /* as in the request */
    uint64_t results_offset; /* of struct mkv_item_result[result_count] in the front's arena */
};

/* Why a block is evicted. */
enum mkv_eviction_reason {
    MKV_EVICTION_FOR_ROOM = 0, /* a put of its class needs a slot, or will */
    MKV_EVICTION_FOR_CLASS,    /* its extent goes to another class, whatever it holds */
    MKV_EVICTION_BY_SESSION,   /* its session said so */
    MKV_EVICTION_FOR_QUOTA,    /* a put of its tenant would pass the quota */
};

/* What machines report besides their work: for logs, metrics and the audit. */
enum mkv_event_kind {
    MKV_EVENT_FORMATTED = 1,         /* volume: the new superblock is durable */
    MKV_EVENT_OPENED,                /* volume serves. value: blocks, entries replayed */
    MKV_EVENT_OPEN_FAILED,           /* volume cannot serve. err says why */
    MKV_EVENT_CAME_UP_EMPTY,         /* err names the structure; value: sequence of the hole */
    MKV_EVENT_TORN_TAIL,             /* value: sequence where the journal was cut */
    MKV_EVENT_SUPERBLOCK_REPAIRED,   /* value: copies rewritten */
    MKV_EVENT_JOURNAL_COPY_REPAIRED, /* value: blocks rewritten */
    MKV_EVENT_CHECKPOINT_DONE,       /* value: first sequence not covered, pages, duration in ns */
    MKV_EVENT_BLOCK_QUARANTINED,     /* a slot's content failed its check. value: slot; err what */
    MKV_EVENT_BLOCK_EVICTED,         /* value: slot, tag, enum mkv_eviction_reason */
    MKV_EVENT_DRIVE_ERROR,           /* an operation failed. value: mkv_io_result, lba */
    MKV_EVENT_DRIVE_FAILED,          /* the volume stopped serving */
    MKV_EVENT_DRIVE_STALLED,         /* value: age of the oldest operation in ns, in flight */
    MKV_EVENT_DRIVE_RESUMED,         /* all of those have come back. value: stalled for ns */
    MKV_EVENT_TENANT_SWEPT,          /* no block of a dropped tenant is left. value: id */
    MKV_EVENT_DIRECTORY_DAMAGED,     /* it is being made anew. value: unit of its region */
    MKV_EVENT_DIRECTORY_REBUILT,     /* value: entries */
    MKV_EVENT_DIRECTORY_FULL,        /* no room for all keys: nothing is listed. value: units */
    MKV_EVENT_DIRECTORY_ROOM_AGAIN,  /* value: units */
    MKV_EVENT_DIRECTORY_OFF,         /* given up until the next opening. value: rebuilds */
    MKV_EVENT_CLOSED,                /* the clean mark is durable; no operation is in flight */
    MKV_EVENT_DRIVE_SET_DURABLE,     /* value: version */
    MKV_EVENT_PURGED,                /* value: blocks looked at, blocks dropped */
};

struct mkv_event {
    enum mkv_event_kind kind;
    enum mkv_err err;
    uint64_t value[3];
};

struct mkv_effect {
    enum mkv_effect_kind kind;
    struct mkv_op_id op;
    union {
        struct mkv_drive_effect drive;
        struct mkv_transfer_effect transfer; /* PULL, PUSH, BREAK (connection only) */
        struct mkv_answer_effect answer;
        struct mkv_message message;
        struct mkv_event event;
        struct mkv_request_summary summary; /* REQUEST_ENDED */
    };
};

#endif
