/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of a shard's clients: it takes REQUESTs, routes every item to the volume that
 * owns its key, moves payloads between clients and slabs, and answers every request exactly once.
 *
 *   driver:  mkv_front_step(front, input)
 *            mkv_front_effects(front, out, max) until it returns 0
 *            while mkv_front_has_work(front): step a TICK at once, else at the latest at
 *            mkv_front_timer_ns(front)
 *
 *   GET         FIND, slab, READ, PUSH; or PUSH alone, of a block that is in memory, of which the
 *               volume hears later, with others (TOUCH)
 *   EXISTS, LOOKUP   EXISTS, whose answer says whether the block is leased; what the volume does
 *               not have, and memory does, is there
 *   PUT         slab, PUT_BEGIN, PULL, PUT_WRITE; with REPLACE behind a FIND as for DELETE. A
 *               relaxed one over nothing is answered at PUT_TAKEN
 *               and with ROOT_LATER slab, PULL, PUT_BEGIN, PUT_WRITE
 *   DELETE      FIND (and READ of a manifest), DELETE; then, behind the answer, its segments
 *   EXPIRE      FIND (and READ of a manifest), EXPIRE of its segments, EXPIRE
 *   ALLOCATE    a PUT up to PUT_READY, and its answer: slab, slot, credit and the key's lock are a
 *               reservation of the connection
 *   COMMIT      PULL and PUT_WRITE of reservations, or PUT_ABORT
 *
 *   and where a value is larger than block_bytes_max:
 *
 *   PUT         FIND (and READ of an old manifest); of each segment slab, PULL, PUT_BEGIN,
 *               PUT_WRITE; PUT_BEGIN and PUT_WRITE of the manifest; behind the answer, the old
 *               value's segments
 *   GET         FIND and READ of the manifest; EXISTS of every segment that the range touches; of
 *               each of them, in order and a few ahead, slab, FIND, READ, PUSH
 *
 * Invariants
 *  I1  Every accepted or refused REQUEST gets exactly one ANSWER, unless CONNECTION_CLOSED comes
 *      first; then none. The ANSWER follows the last PUSH of its request.
 *  I2  A slab is free only when no transfer, READ or PUT_WRITE that names it is outstanding.
 *  I3  What an operation on a block needs it takes in one order: connection's cap, credit of FIND,
 *      slab, credit of a mutation. So no set of requests can block itself.
 *  I4  A volume has at most volume_ops_max operations of this front: one half may be FIND (up to
 *      READ_DONE), three eighths mutations, one eighth EXISTS.
 *  I5  Everything is in the caller's arena and holds indexes, no pointers: a byte copy of it is a
 *      snapshot, and may go on at another address.
 *  I6  Waiting, for a credit, a slab, a place among the segmented values, or any answer of the
 *      volume, ends at the request's deadline, whatever the drive does: a PUT_WRITE or DELETE is
 *      then answered UNKNOWN, all else DEADLINE. What is posted goes on, and keeps its slab. A
 *      posted transfer has transfer_grace_ns more; then its connection is broken. Once bytes of a
 *      segmented value have moved, each of its waits has transfer_grace_ns beyond the deadline.
 *      UINT64_MAX is no deadline.
 *  I7  No GET returns from memory what a mutation that was answered before the GET came has ended:
 *      a block is in memory as what its key holds until the volume's answer to the next mutation,
 *      and one that was read meanwhile does not stay. What is in memory of a volume that goes
 *      offline is gone.
 *  I8  A slab that holds a block in memory counts as free for those who wait for one, unless a
 *      transfer uses it or the block is not durable yet; the coldest goes first.
 *  I9  A reservation ends once: by a COMMIT, at the deadline of its ALLOCATE, when its connection
 *      closes or its volume is not online any more. All that it holds goes on with the COMMIT, or
 *      is given back. Reservations, and those on their way to be, hold at most one half of the
 *      mutations at a volume and of the slab units of puts; more is BUSY.
 *
 * What a driver must keep
 *  - Drain all effects before the next step (asserted). `message.data_offset` counts from
 *    mkv_front_arena() and is good until the next step; `answer.results_offset` until ANSWER_DONE.
 *  - now_ns never goes back. Connection indexes are below connections_max.
 *  - A refused request's ANSWER has the op index MKV_NONE_U32 and no results. Its ANSWER_DONE is
 *    taken and counted like others. How many answers a connection may owe is for the fabric to
 *    bound: it takes no further frame from a client that does not read its answers.
 *  - MKV_EFFECT_BREAK may name a connection that has just broken by itself. After it the front
 *    hands out further effects for that connection until CONNECTION_CLOSED; they fail.
 *  - A PULL of a value's payload may be asked for in any order of offsets, several at a time.
 *  - Volumes answer every message that has an answer, also when they fail or close.
 *  - A slab that READ names has room for the header unit and for every chunk (mkv_chunk_bytes) that
 *    the wanted range touches, rounded up to units; slab_offset counts from the payload area.
 *  - PUT_WRITE of a manifest (flags has MKV_BLOCK_MANIFEST) carries the payload of 40 bytes as data
 *    instead of the sums, and a slab of the smallest size; the volume puts it into the header unit.
 *  - READ_DONE of a manifest carries its payload as data; its FOUND has MKV_BLOCK_MANIFEST set.
 *
 * What a client sees besides statuses: EXISTS of a segmented value has length 0, since only its
 * manifest tells. A GET that failed behind its first PUSH ends with its connection, never with
 * padding. CONNECTION_CLOSED drops what waits; what a volume was told to write may come to be.
 *
 * Not responsible for: framing and authentication (fabric, wire), what is durable (volume), how
 * long a drive may take (volume). Two mutations of one key that race each other may leave segments
 * behind that no manifest names; they age out like any block that nobody reads.
 */
#ifndef MKV_CORE_FRONT_H
#define MKV_CORE_FRONT_H

#include "core/histogram.h"
#include "core/io.h"
#include "core/placement.h"

/* The most items a request may be configured to have. */
#define MKV_FRONT_ITEMS_PER_REQUEST_MAX 256u
/* Effects that one step hands out at most; the same number of ready items may be left for later. */
#define MKV_FRONT_EFFECTS_MAX 256u
/* Segments of one value that are in flight at a time. */
#define MKV_FRONT_WINDOW 4u
/* The most blocks that may be configured to stay in memory. */
#define MKV_FRONT_MEMORY_BLOCKS_MAX (1u << 24)
/* The least volume_ops_max, so that each of the three kinds has one. */
#define MKV_FRONT_VOLUME_OPS_MIN 8u

struct mkv_front_config {
    uint32_t volume_count; /* 1 ... MKV_VOLUMES_MAX; volume indexes of messages are below it */
    struct mkv_member members[MKV_VOLUMES_MAX]; /* placement; the first volume_count count */
    uint32_t connections_max;                   /* connection indexes are below it */
    uint32_t requests_max;                      /* in flight, all connections together */
    uint32_t requests_per_connection_max;       /* in flight; more is BUSY */
    uint32_t items_per_request_max; /* 1 ... MKV_FRONT_ITEMS_PER_REQUEST_MAX; more is INVALID */
    uint32_t items_max;             /* of all requests in flight, and reservations; more is BUSY */
    uint32_t reservations_per_connection_max; /* more is BUSY */
    uint32_t segmented_max;  /* items that move or delete segments at a time; others wait */
    uint32_t volume_ops_max; /* operations of this front at each of its volumes (I4) */
    /* Volumes of other fronts, where only segments of its own values lie, and the operations at
     * each of them; as the others, at least MKV_FRONT_VOLUME_OPS_MIN. */
    bool foreign[MKV_VOLUMES_MAX];
    uint32_t foreign_ops_max;
    uint32_t slab_unit_first;  /* of its part of the slab arena, which others have parts of too */
    uint32_t slab_unit_count;  /* stride units of the slab arena; see core/slab.h */
    uint32_t slab_share_reads; /* permille of the units that puts leave for gets */
    uint32_t slab_units_per_connection_max; /* at least one slab of block_bytes_max */
    /* Blocks that stay in the slabs that nobody needs, MKV_FRONT_MEMORY_BLOCKS_MAX at most; each
     * takes 1.2 KiB of the arena. 0: none does, every read is the drive's, and every PUT is
     * answered when it is durable. */
    uint32_t memory_blocks_max;
    uint32_t key_bytes_max;     /* 1 ... MKV_KEY_BYTES_MAX; a longer key is INVALID */
    uint32_t block_bytes_max;   /* a multiple of 64 KiB, at most MKV_BLOCK_BYTES_MAX */
    uint64_t value_bytes_max;   /* a longer PUT is INVALID; at most
                                 * block_bytes_max * MKV_SEGMENTS_MAX */
    uint64_t lookup_lease_ns;   /* of what LOOKUP reports; 0: none */
    uint64_t exists_lease_ns;   /* of what EXISTS reports that names no time of its own; 0: none */
    uint64_t transfer_grace_ns; /* what transfers have beyond the deadline (I6); not 0 */
    /* Of the ids of segmented values, and the names of reservations: different for each start. */
    uint64_t segment_id_seed;
};

/* Sets every figure to one that works for a small daemon: one volume of weight 1 and uuid 0, 256
 * connections, 64 MiB of slabs. Callers then set what they know better. */
void mkv_front_config_default(struct mkv_front_config *config);
/* What is wrong with a configuration: words that name the figure and what is allowed. NULL if
 * nothing is. */
const char *mkv_front_config_fault(const struct mkv_front_config *config);

struct mkv_front;

/* PULLs and PUSHes that it may have posted at once. */
uint32_t mkv_front_transfers_max(const struct mkv_front_config *config);
/* Bytes of the arena, a multiple of 64. The configuration must have no fault. */
size_t mkv_front_memory_required(const struct mkv_front_config *config);
/* Builds a front in `memory`, which is aligned to 64 bytes and has at least the bytes required.
 * All volumes are offline. The configuration is copied. */
struct mkv_front *mkv_front_init(void *memory, size_t memory_bytes,
                                 const struct mkv_front_config *config);

/* Takes one input of kind TICK, REQUEST, MESSAGE or FABRIC_DONE, and goes on with a bounded number
 * of items that are ready. Always MKV_OK: what goes wrong with a request is in its answer. */
enum mkv_err mkv_front_step(struct mkv_front *front, const struct mkv_input *input);
/* Copies up to `out_max` effects that have not been handed out yet, in order, and returns their
 * count: 0 when all are. */
uint32_t mkv_front_effects(struct mkv_front *front, struct mkv_effect *out, uint32_t out_max);
/* True when items are ready, or ends of requests to be told, but the last step had no room for
 * them: step a TICK at once. */
bool mkv_front_has_work(const struct mkv_front *front);
/* When the next deadline is due, on the clock of now_ns; UINT64_MAX when none is. */
uint64_t mkv_front_timer_ns(const struct mkv_front *front);
/* The base of what effects name by offset. */
const uint8_t *mkv_front_arena(const struct mkv_front *front);

enum mkv_front_volume_state {
    MKV_FRONT_VOLUME_OFFLINE = 0,
    MKV_FRONT_VOLUME_ONLINE = 1,
    MKV_FRONT_VOLUME_ABSENT = 2, /* it has no part in placement: its keys are others' */
};
/* Whether new operations go to the volume; reservations of it end unless they do. Keys of one that
 * is offline are misses (DRIVE_OFFLINE) to GET, EXISTS and LOOKUP, and UNAVAILABLE to PUT and
 * DELETE. Operations that wait for a credit of one that is not online end so too; those it already
 * has are still answered by it. No step and no effect, but the front may have work after it. */
void mkv_front_volume_set_state(struct mkv_front *front, uint32_t volume,
                                enum mkv_front_volume_state state);
/* Whether new puts of its keys are UNAVAILABLE; what it holds is served, and deleted, as ever. Not
 * when it comes back with another member. */
void mkv_front_volume_set_draining(struct mkv_front *front, uint32_t volume, bool draining);
/* The volume is absent, and will come back with this member's drive. */
void mkv_front_volume_set_member(struct mkv_front *front, uint32_t volume,
                                 struct mkv_member member);

/* Where a deadline ended an item. */
enum mkv_front_stage {
    MKV_FRONT_STAGE_START = 0, /* it had passed before the item was taken up */
    MKV_FRONT_STAGE_CREDIT,    /* waiting for a credit of the volume */
    MKV_FRONT_STAGE_SLAB,      /* waiting for a slab */
    MKV_FRONT_STAGE_SEGMENTED, /* waiting for a place among the segmented values */
    MKV_FRONT_STAGE_VOLUME,    /* waiting for the volume's answer */
    MKV_FRONT_STAGE_TRANSFER,  /* a posted transfer: the connection was broken */
};
#define MKV_FRONT_STAGE_COUNT 6u

/* Bounds of think_tokens: MKV_FRONT_THINK_FIRST, and each is twice the one before. */
#define MKV_FRONT_THINK_BOUNDS 14u
#define MKV_FRONT_THINK_FIRST 64u

struct mkv_front_stats {
    /* Counts since init. */
    uint64_t requests_started[MKV_OP_COUNT];                    /* accepted, by op */
    uint64_t requests_answered[MKV_OP_COUNT][MKV_STATUS_COUNT]; /* the gravest of its
                                                                 * items, or why refused;
                                                                 * index 0: an unknown op */
    uint64_t requests_refused[MKV_OP_COUNT];                    /* of those answered */
    uint64_t requests_dropped[MKV_OP_COUNT];                    /* closed before their answer */
    uint64_t requests_ended[MKV_OP_COUNT]; /* of those started: their REQUEST_ENDED is handed out */
    uint64_t items_finished[MKV_OP_COUNT][MKV_STATUS_COUNT];
    /* GET, EXISTS, LOOKUP; hits at [MKV_MISS_NONE]. Keys of refused and dropped requests count
     * nowhere. */
    uint64_t keys_by_miss[MKV_OP_COUNT][MKV_MISS_COUNT];
    /* SESSIONs that left their reasoning phase: why, and after how many tokens, by the first bound
     * that is not below; behind them those above all. */
    uint64_t think_exits[MKV_THINK_EXIT_MAX + 1];
    uint64_t think_tokens[MKV_FRONT_THINK_BOUNDS + 1];
    uint64_t think_tokens_sum;
    uint64_t bytes_in;  /* payload of completed PULLs */
    uint64_t bytes_out; /* payload of completed PUSHes */
    /* Items ended, connections broken. */
    uint64_t deadlines[MKV_OP_COUNT][MKV_FRONT_STAGE_COUNT];
    /* Keys that LOOKUPs asked for, and those that were there as a leading prefix. */
    uint64_t lookup_keys_asked;
    uint64_t lookup_keys_hit;
    uint64_t blocks_in;          /* that completed PULLs brought */
    uint64_t connections_broken; /* BREAK effects */
    uint64_t fabric_stale;       /* completions that named nothing in flight */
    /* The memory tier. A key counts as looked up when a GET, EXISTS or LOOKUP of it comes to where
     * its block, or one of its segments, would be resident. */
    uint64_t memory_lookups;
    uint64_t memory_hits;
    uint64_t keys_from_memory[MKV_OP_COUNT]; /* of keys_by_miss[][MKV_MISS_NONE] */
    uint64_t memory_kept_puts;               /* blocks that stayed: written … */
    uint64_t memory_kept_reads;              /* … and read */
    uint64_t touches_sent;     /* blocks read from memory that volumes were told of … */
    uint64_t touches_dropped;  /* … and others, of which there were too many at a time */
    uint64_t memory_taken;     /* for others' slabs, or for more recent blocks */
    uint64_t memory_forgotten; /* because their key was put, replaced or deleted, or is offline */
    uint64_t reads_shared;     /* GETs of a block that waited for another's read, and had it */
    uint64_t reads_not_kept;   /* their key was mutated meanwhile */
    uint64_t puts_early;       /* answered before they were durable */
    uint64_t puts_early_lost;  /* and then never came to be */
    /* Keys of PUT and ALLOCATE that had a slab and a slot, and those that had none because too much
     * memory was in use. */
    uint64_t writes_reserved;
    uint64_t writes_without_memory;
    uint64_t reservations_made;      /* by ALLOCATE */
    uint64_t reservations_committed; /* taken up by a COMMIT; further ones ended … */
    uint64_t reservations_abandoned; /* … by a COMMIT that says so … */
    uint64_t reservations_expired;   /* … at their deadline … */
    uint64_t reservations_dropped;   /* … with their connection or their volume */
    uint64_t segments_put;
    uint64_t segments_pushed;
    uint64_t segments_deleted;
    /* States. */
    uint32_t requests_in_flight; /* started and not ended */
    uint32_t items_in_flight; /* including those that only delete segments behind their answer, and
                               * reservations */
    uint32_t reservations;    /* that a COMMIT may name */
    uint32_t items_ready;
    uint32_t ops_waiting_credit;
    uint32_t ops_waiting_slab;
    uint32_t ops_waiting[2]; /* all of these: of reads and what asks, and of puts and deletes */
    uint32_t items_waiting_segmented;
    uint32_t segmented_in_flight;
    uint32_t refusals_in_flight; /* ANSWERs of refused requests without ANSWER_DONE */
    uint32_t slab_units_free;
    uint32_t slabs_allocated;
    uint32_t memory_blocks;               /* that are resident */
    uint32_t memory_units;                /* slab units that hold them … */
    uint32_t memory_units_used;           /* … and of these, those in use */
    uint32_t memory_unpersisted;          /* blocks that are resident and not durable yet */
    uint32_t volume_ops[MKV_VOLUMES_MAX]; /* operations outstanding or credited at each volume */
};
void mkv_front_stats(const struct mkv_front *front, struct mkv_front_stats *stats);

/* Where a key belongs, and whether its block is in memory: for an administrator who asks why. It
 * changes nothing. The tenant's name has its closing NUL. */
struct mkv_front_inspection {
    uint32_t volume; /* MKV_NONE_U32: no volume takes keys */
    bool in_memory;
    bool unpersisted; /* in memory alone */
    bool used_again;  /* since it came to memory */
    uint32_t length;
    uint32_t expiry_s; /* Unix time; 0: never */
};
void mkv_front_inspect(struct mkv_front *front, uint32_t tenant, const char *tenant_name,
                       const uint8_t *key, uint32_t key_bytes,
                       struct mkv_front_inspection *inspection);
/* Requests as their durations are told apart: by enum mkv_op, and behind these PUTs and GETs that
 * move less than MKV_FRONT_SMALL_BYTES of payload, which do not count at their op. */
#define MKV_FRONT_COMMAND_PUT_SMALL MKV_OP_COUNT
#define MKV_FRONT_COMMAND_GET_SMALL (MKV_OP_COUNT + 1u)
#define MKV_FRONT_COMMAND_COUNT (MKV_OP_COUNT + 2u)
#define MKV_FRONT_SMALL_BYTES (64u * 1024u)

/* Times since init, in ns. */
struct mkv_front_times {
    /* Of every REQUEST, refused and dropped ones among them, from its first byte to its end. */
    struct mkv_histogram request;
    /* Of those that were not refused, from the front's having them to their end. */
    struct mkv_histogram commands[MKV_FRONT_COMMAND_COUNT];
    /* Of requests that spent any in the stage; together their sums are that of `request`. */
    struct mkv_histogram stages[MKV_STAGE_COUNT];
    struct mkv_histogram batch_items[MKV_OP_COUNT]; /* of accepted requests; a size */
    /* Of values that became durable: from the first byte of the request; and the parts of it before
     * the volume has the bytes, while the drive writes them, and behind that. For each value the
     * three make the whole. */
    struct mkv_histogram persist;
    struct mkv_histogram persist_before;
    struct mkv_histogram persist_write;
    struct mkv_histogram persist_behind;
    struct mkv_histogram allocate; /* of blocks: from PUT_BEGIN to PUT_READY */
};
const struct mkv_front_times *mkv_front_times(const struct mkv_front *front);
/* Of the arena: the index of blocks in memory, and what there is for each connection, its requests
 * and their items. */
struct mkv_front_memory_parts {
    uint64_t index_bytes;
    uint64_t connection_bytes;
};
void mkv_front_memory_parts(const struct mkv_front *front, struct mkv_front_memory_parts *memory);

/* Tenants that are counted each; those that come when there are as many count together. */
#define MKV_FRONT_TENANTS_MAX 128u

/* What clients of one tenant asked for since init. */
struct mkv_front_tenant {
    uint32_t id; /* MKV_NONE_U32: all the others, and names that have no number */
    uint64_t keys_from_memory;
    uint64_t keys_from_drive;
    uint64_t keys_missed;
    uint64_t bytes_in;
    uint64_t bytes_out;
};
/* Walks them: *cursor starts at 0; false at the end. */
bool mkv_front_next_tenant(const struct mkv_front *front, uint32_t *cursor,
                           struct mkv_front_tenant *tenant);

#endif
