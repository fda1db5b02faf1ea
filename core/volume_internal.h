/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the volume share. A block's life goes through them in this order:
 *
 *   volume.c             arena, operations, dispatch of inputs, failing
 *   volume_mutate.c      PUT_BEGIN, PUT_WRITE, DELETE, drops of slots: up to "record ready"
 *   volume_lock.c        the order of the mutations of a tag
 *   volume_empty.c       extents run empty for other classes
 *   volume_expiry.c      blocks whose time is over (volume_terms.h)
 *   volume_lease.c       blocks that may not be evicted for a while (volume_terms.h)
 *   volume_evict.c       blocks leave to make room
 *   volume_tenant.c      TENANT, TENANT_DROP, and the sweep behind a drop
 *   volume_directory.c   names: telling the directory, its I/O, SCAN, COUNT, PURGE
 *   volume_stall.c       a drive that does not answer
 *   volume_trim.c        empty extents, and telling the drive
 *   volume_journal.c     batches of records, flushes, applying what is durable, answers
 *   volume_get.c         FIND, READ, EXISTS
 *   volume_checkpoint.c  superblock writes, checkpoints, close
 *   volume_recover.c     OPEN, JOIN
 *   volume_set.c         DRIVE_SET, PURGE
 *
 *   Operation of a mutation:
 *
 *     LOCK_WAIT -> CHECKING -> EXTENT_WAIT -> RESERVED -> WRITING -> WRITTEN -> FLUSHING -> READY
 *                     \________________ (delete, drop of a slot, tenant) __________________/  |
 *                                                                              JOURNALED <----+
 *
 * Not responsible for: what others see of the volume (volume.h).
 */
#ifndef MKV_CORE_VOLUME_INTERNAL_H
#define MKV_CORE_VOLUME_INTERNAL_H

#include <string.h>

#include "core/canary.h"
#include "core/directory.h"
#include "core/eviction.h"
#include "core/io.h"
#include "core/journal_block.h"
#include "core/slot_header.h"
#include "core/slot_table.h"
#include "core/superblock.h"
#include "core/tenant_table.h"
#include "core/volume.h"
#include "core/volume_terms.h"

/* Class changes on their way at a time. */
#define EXTENT_OPS_MAX 8u
/* Blocks that a purge looks at at a time, and slots that it passes over in one step. */
#define PURGE_OPS_MAX 16u
#define PURGE_SLOTS_PER_STEP_MAX 256u
/* Generations that may be given out without a record between two superblocks: above the most
 * operations a volume can have. */
#define GENERATION_GAP (4ull * MKV_VOLUME_OPS_MAX)
/* Pages that one step of recovery derives, and that one step of a checkpoint captures. */
#define STEP_PAGES_MAX 64u
/* Drops that background jobs may have under way, and slots that one step of theirs looks at. */
#define JOB_DROPS_MAX 16u
/* Drops that make room, on their way at a time. */
#define EVICT_DROPS_MAX 32u
#define JOB_SLOTS_MAX 2048u
/* Bytes of the slot table that one step of recovery clears. */
#define STEP_CLEAR_BYTES_MAX (1u << 20)
/* SCAN, COUNT and PURGE under way at a time. */
#define LISTINGS_MAX 4u
#define LOCK_BUCKETS 256u
#define HOLD_BUCKETS 256u

enum op_kind {
    OP_KIND_GET = 1,
    OP_KIND_PUT,
    OP_KIND_DELETE,
    OP_KIND_PURGE,  /* looks at a block's key, and drops it if that goes to another drive */
    OP_KIND_DROP,   /* drops a slot for the volume's own reasons */
    OP_KIND_EXTENT, /* gives an extent to a class */
    OP_KIND_TENANT, /* the key is the name */
    OP_KIND_TENANT_DROP,
    OP_KIND_RETIRE,   /* of a slot that the drive could not write */
    OP_KIND_LIST,     /* SCAN, COUNT, PURGE */
    OP_KIND_CATCH_UP, /* reads a header for the directory */
    OP_KIND_SCRUB,    /* reads a block to see that it is whole */
};

enum op_state {
    OP_FREE = 0,
    OP_FOUND,           /* GET: holds its slot, waits for READ or RELEASE */
    OP_READING,         /* GET: header and payload on their way into the slab */
    OP_READING_HEADER,  /* GET of a range from the middle: the header first */
    OP_READING_PAYLOAD, /* then the chunks */
    OP_LOCK_WAIT,       /* another mutation of its tag is past the lock */
    OP_CHECKING,        /* the header of a candidate is on its way */
    OP_EXTENT_WAIT,     /* its class is being given an extent */
    OP_RESERVED,        /* PUT: has its slot, waits for PUT_WRITE or PUT_ABORT */
    OP_WRITING,         /* PUT: DRIVE_WRITE in flight */
    OP_WRITTEN,         /* PUT: written, in no flush yet */
    OP_FLUSHING,        /* PUT: covered by the flush in flight */
    OP_READY,           /* its record waits for a journal block */
    OP_JOURNALED,       /* its record is in a block that is not durable yet */
    OP_LISTING,         /* LIST: the directory is at it */
    OP_CATCHING_UP,     /* CATCH_UP: the header is on its way */
    OP_SCRUBBING,       /* SCRUB: the header or a piece of the payload is on its way */
};

struct op_list {
    uint32_t head;
    uint32_t tail;
    uint32_t count;
};

struct op {
    uint64_t io_issued_ns; /* of its drive operation in flight */
    uint32_t generation;
    enum op_kind kind;
    enum op_state state;
    uint32_t next;      /* in the list of its state, or of waiters on a lock */
    uint32_t lock_next; /* in its lock bucket, while it is past the lock */
    uint32_t hold_next; /* in its hold bucket, while it holds a slot */
    struct op_list lock_waiters;
    struct mkv_op_id front_op;
    uint64_t tag;
    uint32_t tenant;
    uint32_t key_bytes;
    uint32_t flags; /* block flags and MKV_PUT_* */
    uint32_t length;
    struct mkv_slot walk_first; /* GET: first slot of its tag when its walk began */
    uint32_t walk_first_generation;
    uint32_t slab_payload_units; /* GET: what the front was told to make room for */
    uint32_t candidate;          /* how many slots of its tag were looked at */
    bool past_lock;
    bool holds_slot;
    bool has_old;             /* old_slot is dropped when this mutation's record is durable */
    bool retires;             /* the drive lost what was in old_slot: its DROP retires it */
    bool clearing;            /* its record drops a slot that can't be told; then it looks on */
    bool overtaken;           /* PUT: has its slot, and lost the lock while it waited for bytes */
    bool prolongs;            /* PUT: its record gives old_slot the expiry; it has no slot */
    uint32_t expiry_s;        /* PUT */
    uint64_t reserved_ns;     /* PUT: when it got its slot */
    struct mkv_slot slot;     /* GET: held. PUT: reserved. EXTENT: none */
    struct mkv_slot old_slot; /* PUT replacing, DELETE, DROP */
    enum mkv_drop_cause drop_cause;
    struct mkv_generation generation_new;
    struct mkv_root root;
    struct mkv_root replaces; /* PUT with MKV_PUT_REPLACE_ROOT */
    struct mkv_slab slab;
    uint32_t range_offset;           /* GET */
    uint32_t range_bytes;            /* GET: wanted, 0 for all; then what there is */
    uint64_t write_number;           /* WRITING: its place among the data writes */
    struct mkv_sequence sequence;    /* JOURNALED: of its record's block */
    struct mkv_record_extent extent; /* EXTENT */
    uint32_t tenant_place;           /* TENANT, TENANT_DROP */
    uint64_t quota_units;            /* TENANT */
    bool of_job;                     /* DROP: counts against the limit of background jobs */
    bool waits_for_slot;             /* PUT: it is one of those that wait for a slot ... */
    uint32_t policy_state;           /* DROP of an eviction: what the policy will remember */
    uint8_t wait_class;              /* ... of this class, that evictions make ready */
    bool of_eviction;                /* DROP: counts against the limit of evictions */
    uint32_t purge;                  /* DROP: the listing it is done for and 1; 0 none */
    bool of_catch_up;                /* DROP: the directory waits for its end */
    uint32_t purge_reads;            /* PURGE: of its header, handed out so far */
    enum mkv_directory_job_kind listing_kind; /* LIST */
    bool numbered;                            /* PUT: in the list of those with a generation */
    uint32_t numbered_next;
    uint32_t numbered_previous;
    uint32_t slot_units; /* EXTENT: the class for which it is done */
    uint8_t key[MKV_KEY_BYTES_MAX];
};

/* Drive operations of the volume itself; ids follow those of the ops. */
enum internal_io {
    IO_FLUSH = 0,
    IO_SUPERBLOCK = 1,                                 /* 4 */
    IO_WINDOW = IO_SUPERBLOCK + MKV_SUPERBLOCK_COPIES, /* 2 */
    IO_JOURNAL = IO_WINDOW + 2,
    IO_TRIM = IO_JOURNAL + MKV_JOURNAL_COPIES * MKV_JOURNAL_BATCH_BLOCKS_MAX,
    IO_DIRECTORY, /* MKV_DIRECTORY_IO_MAX */
    IO_COUNT = IO_DIRECTORY + MKV_DIRECTORY_IO_MAX,
};
struct internal_io_state {
    uint64_t issued_ns;
    uint32_t generation;
    bool in_flight;
};

enum superblock_purpose {
    SUPERBLOCK_FORMAT = 1,
    SUPERBLOCK_REPAIR,
    SUPERBLOCK_RAISE,
    SUPERBLOCK_EPOCH,
    SUPERBLOCK_EMPTY,
    SUPERBLOCK_FLIP,
    SUPERBLOCK_CLEAN,
    SUPERBLOCK_DRIVE_SET,
};
enum superblock_step {
    SUPERBLOCK_IDLE = 0,
    SUPERBLOCK_FIRST_PAIR,
    SUPERBLOCK_FIRST_FLUSH,
    SUPERBLOCK_SECOND_PAIR,
    SUPERBLOCK_SECOND_FLUSH,
};
struct superblock_writer {
    enum superblock_purpose purpose;
    enum superblock_step step;
    uint32_t copies;  /* bit c: copy c is to be written */
    uint32_t pending; /* writes in flight */
    uint64_t ticket;
};

enum checkpoint_step {
    CHECKPOINT_IDLE = 0,
    CHECKPOINT_WRITING,
    CHECKPOINT_FLUSHING,
    CHECKPOINT_FLIPPING,
};
struct checkpoint {
    enum checkpoint_step step;
    bool wanted; /* by ADMIN, by the fill of the ring, or by CLOSE */
    uint32_t side;
    uint32_t next_unit; /* of the side: the head, then the tenants, then the pages */
    uint32_t unit_count;
    uint32_t page_count;
    uint32_t pending; /* window writes in flight */
    uint64_t generation_counter;
    uint64_t ticket;
    uint64_t number;
    struct mkv_sequence journal_sequence;
    uint64_t chain_anchor;
    uint64_t started_ns;
};

/* A SCAN, COUNT or PURGE; its place is that of the directory's job. */
struct listing {
    bool active;
    bool batch; /* PURGE: one is being dropped */
    bool more;  /* behind it */
    uint32_t op;
    uint32_t left;  /* entries of the batch that are not begun */
    uint32_t drops; /* under way */
    uint64_t data_offset;
    uint64_t count;
};

struct stall {
    bool active;
    uint64_t since_ns; /* operations issued up to here are waited for */
    uint64_t look_ns;  /* when the operations in flight are looked at next */
};

struct trim {
    bool in_flight;
    bool is_slow;            /* nobody waits for it any more */
    struct mkv_extent first; /* of the run in flight */
    uint32_t count;
    uint32_t idle_cursor;
    uint32_t cursor;
    uint64_t due_ns; /* no trim starts before */
};

/* Memory for the payload that the scrubber compares at a time: the largest chunk there is. */
#define SCRUB_UNITS 32u
struct scrub {
    uint32_t in_flight; /* blocks that are being read: 0 or 1 */
    bool header_known;  /* of that block: its payload is read */
    uint32_t cursor;    /* the slot to look at next */
    uint32_t offset;    /* payload bytes that were compared */
    uint32_t piece;     /* payload bytes on their way */
    uint64_t bytes;     /* read of the block */
    uint64_t due_ns;    /* no block is read before */
};

/* One pass after another over all slots, until one finds nothing of the tenant. */
struct tenant_sweep {
    uint32_t place; /* in the tenant table; MKV_NONE_U32: no sweep */
    uint32_t cursor;
    bool found;
    uint64_t ticket; /* the next pass begins when this flush has completed */
};

enum recover_step {
    RECOVER_CLEAR = 1,
    RECOVER_FLUSH,
    RECOVER_SUPERBLOCK,
    RECOVER_REPAIR,
    RECOVER_RAISE,
    RECOVER_CHECKPOINT_HEAD,
    RECOVER_CHECKPOINT_PAGES,
    RECOVER_EPOCH,
    RECOVER_RING,
    RECOVER_RING_REPAIR,
    RECOVER_SCAN,
    RECOVER_EMPTY,
    RECOVER_DERIVE,
    RECOVER_LAST_FLUSH,
};
struct recover {
    enum recover_step step;
    uint32_t pending;    /* reads or writes in flight */
    uint32_t unreadable; /* bit c: superblock copy c; or window copy c */
    bool came_up_empty;
    uint64_t ticket;
    uint64_t started_ns;
    uint64_t clear_cursor;
    uint32_t next_unit;                 /* of the checkpoint side, behind its head */
    uint32_t derive_cursor, count_page; /* pages linked; pages counted by tenant */
    bool derived;
    uint32_t policy_page;
    uint64_t window_sequence; /* sequence that the first unit of the window stands for */
    uint32_t window_count;
    uint32_t window_index; /* block of the window that is looked at */
    uint64_t expected;     /* next sequence to replay */
    uint64_t chain;        /* what its chain field must be */
    uint64_t scan_end;     /* first sequence that the ring cannot hold */
    uint64_t stamp_max;    /* the highest stamp of the checkpoint's pages */
    uint64_t claim_max;    /* highest flushed sequence that a later block states */
    uint64_t generation_counter_max;
    uint64_t records_sequence;  /* last replayed block that has records */
    uint64_t recorded_sequence; /* highest flushed sequence that a replayed block states */
    uint64_t blocks_repaired;
    uint64_t single_until; /* below this sequence the ring is read unit by unit */
    uint32_t hole_unread;  /* bit c: the drive could not read copy c at the hole */
    bool torn;             /* something unreadable stood at the hole */
    bool joins;            /* JOIN: it comes up empty, whatever it holds */
};

struct purge {
    bool active;
    uint32_t cursor;    /* the next slot to look at */
    uint32_t in_flight; /* its ops */
    uint64_t looked;
    uint64_t dropped;
    uint32_t member_count;
    uint32_t member_own; /* the place of this drive */
    struct mkv_member members[MKV_VOLUMES_MAX];
};

/* See volume_empty.c. */
struct empty_job {
    bool active;
    bool again;               /* a slot that the cursor has passed holds a block now */
    bool given_up;            /* the last one, and extent says which; then not active */
    struct mkv_extent extent; /* that is to run empty */
    uint32_t slot_units;      /* the class for which it is done */
    uint32_t cursor;          /* slots of it that were looked at */
    uint64_t started_ns;
    uint64_t given_up_ns;
    bool leased;      /* the cursor has passed a block that may not be evicted yet */
    uint64_t look_ns; /* when such blocks are looked at again */
};

/* See volume_evict.c. */
struct evict_job {
    uint64_t full[MKV_CLASSES_MAX / 64]; /* bit c: class c can get no extent, as far as is known */
    uint64_t filling[MKV_CLASSES_MAX / 64]; /* bit c: until it has the ready slots it wants */
    uint16_t waiting[MKV_CLASSES_MAX];      /* puts that wait for a slot */
    bool more;                              /* the next step would find more to do */
};
_Static_assert(MKV_VOLUME_OPS_MAX <= UINT16_MAX, "as many puts wait at most");

struct mkv_volume {
    struct mkv_volume_config config;
    enum mkv_volume_state state;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint32_t op_total;

    /* offsets in the arena */
    uint64_t ops_offset;
    uint64_t effects_offset;
    uint64_t table_offset;
    uint64_t tenants_offset;
    uint64_t eviction_offset;
    uint64_t meta_offset;
    uint64_t directory_offset;

    uint32_t effects_max;
    uint32_t effect_head;
    uint32_t effect_count;

    struct op_list free_ops;
    uint32_t ops_used;
    uint32_t extent_ops[EXTENT_OPS_MAX]; /* slot sizes of the class changes on their way */
    uint32_t extent_op_count;
    uint32_t ops_internal; /* drop and extent operations */
    uint32_t job_drops;    /* drop operations of background jobs */
    uint32_t evict_drops;  /* drop operations that make room */
    struct tenant_sweep tenant_sweep;
    struct trim trim;
    struct stall stall;
    struct listing listings[LISTINGS_MAX];
    uint32_t catch_ups;      /* operations that read a header for the directory */
    uint32_t numbered_first; /* puts that have a generation and are not applied, oldest first */
    uint32_t numbered_last;
    uint64_t generation_applied; /* the highest counter that the next opening is sure to know */
    bool directory_closing;
    bool directory_flush_wanted;
    uint64_t directory_ticket;
    uint32_t directory_units[MKV_DIRECTORY_IO_MAX]; /* of its operations in flight */
    bool directory_writes[MKV_DIRECTORY_IO_MAX];
    struct op_list tenant_waiters;
    uint32_t tenant_op; /* the TENANT or TENANT_DROP under way, MKV_NONE_U32 when there is none */
    uint32_t lock_heads[LOCK_BUCKETS];
    uint32_t hold_heads[HOLD_BUCKETS];
    struct op_list extent_waiters;
    struct op_list written;
    struct op_list flushing;
    struct op_list ready;
    struct op_list journaled;
    uint32_t io_in_flight;
    struct internal_io_state io[IO_COUNT];

    struct mkv_superblock superblock; /* the durable one, or the one being written */
    struct superblock_writer superblock_writer;
    struct checkpoint checkpoint;
    struct recover recover;
    /* OPEN, JOIN: the set to be under. DRIVE_SET: the one that waits for the superblock's writer.
     */
    struct mkv_drive_set set_wanted;
    bool set_is_wanted;
    struct purge purge;
    struct empty_job empty_job;
    struct expiry_job expiry_job;
    struct lease_state leases;
    struct evict_job evict;
    struct scrub scrub;

    uint64_t generation_counter;
    uint64_t generation_bound;            /* the durable superblock's: no put gets one above it */
    struct mkv_sequence ring_start;       /* first block that a durable superblock still needs */
    struct mkv_sequence written_sequence; /* both copies completed */
    struct mkv_sequence issued_sequence;
    struct mkv_sequence flushed_sequence;
    uint64_t issued_chain;  /* checksum of block issued_sequence */
    uint64_t flushed_chain; /* checksum of block flushed_sequence */
    uint64_t chain_of_written;
    uint32_t batch_blocks;      /* blocks of the batch being written */
    uint32_t batch_pending;     /* writes of it in flight */
    uint64_t recorded_sequence; /* highest flushed sequence that a written block states */
    uint64_t records_sequence;  /* highest sequence of a block that has records */
    uint64_t quiet_since_ns;

    uint32_t lock_waiting;     /* mutations that wait for the lock of their tag */
    uint64_t yield_look_ns;    /* when they are looked at next */
    uint64_t write_number;     /* data writes handed out since init */
    uint32_t writes_in_flight; /* of them */
    uint64_t flush_held_since_ns;
    bool flush_held;            /* a flush waits for the data writes up to ... */
    uint64_t flush_held_number; /* ... this one, */
    uint32_t flush_held_writes; /* of which so many are in flight */
    bool flush_in_flight;
    uint64_t flush_issued;
    uint64_t flush_completed;
    uint64_t flush_wanted; /* number of the flush that somebody waits for */
    uint64_t flush_covers; /* written_sequence when the flush in flight was issued */
    uint64_t flush_covers_chain;

    struct mkv_volume_stats stats;
};

static inline struct op *volume_ops(const struct mkv_volume *volume) {
    return (struct op *)((uintptr_t)volume + volume->ops_offset);
}
static inline struct mkv_slot_table *volume_table(const struct mkv_volume *volume) {
    return (struct mkv_slot_table *)((uintptr_t)volume + volume->table_offset);
}
static inline struct mkv_tenant_table *volume_tenants(const struct mkv_volume *volume) {
    return (struct mkv_tenant_table *)((uintptr_t)volume + volume->tenants_offset);
}
static inline struct mkv_directory *volume_directory(const struct mkv_volume *volume) {
    return (struct mkv_directory *)((uintptr_t)volume + volume->directory_offset);
}
static inline uint8_t *volume_meta(const struct mkv_volume *volume, uint64_t offset) {
    return (uint8_t *)((uintptr_t)volume + offset);
}
/* Metadata units: one for each op, then the journal batch, the superblock copies, two windows, and
 * the scrubber's. */
static inline uint64_t meta_of_op(const struct mkv_volume *volume, uint32_t op) {
    return volume->meta_offset + (uint64_t)op * MKV_UNIT_BYTES;
}
static inline uint64_t meta_of_journal(const struct mkv_volume *volume, uint32_t block) {
    return meta_of_op(volume, volume->op_total + block);
}
static inline uint64_t meta_of_superblock(const struct mkv_volume *volume, uint32_t copy) {
    return meta_of_journal(volume, MKV_JOURNAL_BATCH_BLOCKS_MAX + copy);
}
static inline uint64_t meta_of_window(const struct mkv_volume *volume, uint32_t window) {
    return meta_of_superblock(volume, MKV_SUPERBLOCK_COPIES + window * volume->config.window_units);
}
/* SCRUB_UNITS of them, where there is a scrubber. */
static inline uint64_t meta_of_scrub(const struct mkv_volume *volume) {
    return meta_of_window(volume, 2);
}

/* ---- volume.c -------------------------------------------------------------------------------- */

void mkv_volume_list_push(struct mkv_volume *volume, struct op_list *list, uint32_t op);
uint32_t mkv_volume_list_pop(struct mkv_volume *volume, struct op_list *list);
struct mkv_effect *mkv_volume_emit(struct mkv_volume *volume, enum mkv_effect_kind kind);
void mkv_volume_event(struct mkv_volume *volume, enum mkv_event_kind kind, enum mkv_err err,
                      uint64_t value_0, uint64_t value_1, uint64_t value_2);
/* An operation for a message of the front, or for the volume itself; never fails: the pool has room
 * for all that the front may have outstanding, and `internal` ones are checked by the caller. */
uint32_t mkv_volume_op_take(struct mkv_volume *volume, enum op_kind kind);
/* Lets go of the slot and the lock, and frees the operation. */
void mkv_volume_op_free(struct mkv_volume *volume, uint32_t op);
/* Whether a drop of the volume's own may take an op: those of the class changes are kept back. */
bool mkv_volume_drop_room(const struct mkv_volume *volume);
void mkv_volume_hold(struct mkv_volume *volume, uint32_t op, struct mkv_slot slot);
void mkv_volume_release(struct mkv_volume *volume, uint32_t op);
/* Starts an answer to the front; the caller fills in the rest. */
struct mkv_message *mkv_volume_answer(struct mkv_volume *volume, uint32_t op,
                                      enum mkv_message_kind kind, enum mkv_status status);
/* A drive operation of an op, or of the volume itself (which = enum internal_io). */
struct mkv_drive_effect *mkv_volume_op_io(struct mkv_volume *volume, uint32_t op,
                                          enum mkv_effect_kind kind);
struct mkv_drive_effect *mkv_volume_internal_io(struct mkv_volume *volume, uint32_t which,
                                                enum mkv_effect_kind kind, struct mkv_lba lba,
                                                uint32_t unit_count, uint64_t meta_offset);
/* The drive can't be trusted any more: fails the volume, answers what can be answered. */
void mkv_volume_fail(struct mkv_volume *volume, enum mkv_io_result result, uint64_t lba);
/* Counts and reports a failed operation that does not fail the drive. */
void mkv_volume_note_error(struct mkv_volume *volume, enum mkv_effect_kind kind,
                           enum mkv_io_result result, uint64_t lba);
static inline bool volume_writes_clean_mark(const struct mkv_volume *volume) {
    return volume->superblock_writer.step != SUPERBLOCK_IDLE &&
           volume->superblock_writer.purpose == SUPERBLOCK_CLEAN;
}
/* What a superblock states beyond the generations given out when it is written. None above it is
 * given out before the next superblock is durable, recorded or not: an opening begins there, and so
 * never gives out the low 32 bits of one whose record it does not see. The ring fills, and so
 * brings the next superblock, long before; puts that fail without a record are why it is held all
 * the same. */
static inline uint64_t volume_generation_reserve(const struct mkv_volume *volume) {
    const uint64_t puts = MKV_JOURNAL_RECORD_BYTES_MAX / MKV_RECORD_PUT_BYTES;
    return volume->config.geometry.ring_blocks * puts + GENERATION_GAP;
}
/* A superblock should be written for the sake of generations: few are left below its bound. */
static inline bool volume_generations_short(const struct mkv_volume *volume) {
    return volume->generation_counter + GENERATION_GAP / 2 > volume->generation_bound;
}
static inline void volume_want_flush(struct mkv_volume *volume, uint64_t *ticket) {
    *ticket = volume->flush_issued + 1;
    volume->flush_wanted = *ticket;
}

/* ---- volume_get.c ---------------------------------------------------------------------------- */

void mkv_volume_find(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_exists(struct mkv_volume *volume, const struct mkv_input *input);
/* The live block of the message's key, as far as memory tells, or MKV_NONE_U32 and why. */
struct mkv_slot mkv_volume_found(const struct mkv_volume *volume, const struct mkv_input *input,
                                 enum mkv_miss *miss);
void mkv_volume_read(struct mkv_volume *volume, const struct mkv_message *message);
void mkv_volume_get_io_done(struct mkv_volume *volume, uint32_t op,
                            const struct mkv_drive_done *done);
enum header_verdict {
    HEADER_MATCH = 1, /* the op's key */
    HEADER_OTHER_KEY, /* sound, but of another key with the same tag */
    HEADER_CORRUPT,
};
/* Checks a header unit read from `slot` against the table and the op's key. */
enum header_verdict mkv_volume_judge_header(struct mkv_volume *volume, const struct op *op,
                                            struct mkv_slot slot, const uint8_t *unit,
                                            struct mkv_slot_header *header);
/* The op's n-th candidate (op->candidate) in the table, or MKV_NONE_U32. */
struct mkv_slot mkv_volume_candidate(const struct mkv_volume *volume, const struct op *op);

/* ---- volume_lock.c --------------------------------------------------------------------------- */

/* The op goes past the lock of its tag at once (mkv_volume_mutation_start), or waits behind. */
void mkv_volume_lock_take(struct mkv_volume *volume, uint32_t op);
/* Takes the op out of its bucket; the first waiter, if any, goes past the lock and takes over the
 * rest of the queue. Returns it, for the caller to start, or MKV_NONE_U32. */
uint32_t mkv_volume_lock_pass_on(struct mkv_volume *volume, uint32_t op);
/* The mutation of a tag that is past its lock, or MKV_NONE_U32. */
uint32_t mkv_volume_lock_holder(const struct mkv_volume *volume, uint32_t tenant, uint64_t tag);
/* A put that waits for room, or is about to, lets the first of those behind it go that may have to
 * end before there is any. False: there is none. */
bool mkv_volume_lock_step_back(struct mkv_volume *volume, uint32_t op);
/* Lets those go first that have waited for a slow put of their tag. */
void mkv_volume_yield_pump(struct mkv_volume *volume);

/* ---- volume_mutate.c ------------------------------------------------------------------------- */

/* A mutation is past its lock. */
void mkv_volume_mutation_start(struct mkv_volume *volume, uint32_t op);
void mkv_volume_put_begin(struct mkv_volume *volume, const struct mkv_input *input);
/* The put's data is durable: its record may follow, unless it was overtaken and has to look again.
 */
void mkv_volume_put_flushed(struct mkv_volume *volume, uint32_t index);
void mkv_volume_put_write(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_put_abort(struct mkv_volume *volume, const struct mkv_message *message);
void mkv_volume_delete(struct mkv_volume *volume, const struct mkv_input *input);
/* Drops a slot whose content failed its check, behind the lock of its tag. With MKV_ERR_DRIVE_IO
 * the medium lost it, and the slot is retired. */
void mkv_volume_quarantine(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err);
/* The same for the catch-up, which is told by mkv_directory_catch_up_gone when the drop has ended.
 * False when there is no drop: the slot is to be looked at again. */
bool mkv_volume_catch_up_drop(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err);
/* Drops a live slot for a background job, behind the lock of its tag. False when enough of them are
 * under way: ask again later. */
bool mkv_volume_job_drop(struct mkv_volume *volume, struct mkv_slot slot,
                         enum mkv_drop_cause cause);
/* The same for a PURGE, whose listing counts those under way. */
bool mkv_volume_purge_drop(struct mkv_volume *volume, struct mkv_slot slot, uint32_t listing);
/* Drops a live block that is not hidden, to make room: behind the lock of its tag, after the
 * mutations that are waiting there. The caller has asked mkv_volume_evict_room. */
void mkv_volume_evict(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_drop_cause cause);
bool mkv_volume_evict_room(const struct mkv_volume *volume);
/* Takes the slot of a put that will have no record back; its write has ended, or never began. */
void mkv_volume_put_refused(struct mkv_volume *volume, uint32_t op, enum mkv_status status);
void mkv_volume_mutate_io_done(struct mkv_volume *volume, uint32_t op,
                               const struct mkv_drive_done *done);
/* The drop of a slot that could not be told is durable and applied. */
void mkv_volume_mutation_cleared(struct mkv_volume *volume, uint32_t op);
/* A class change for the sake of this slot size is durable. */
void mkv_volume_extent_op_ended(struct mkv_volume *volume, uint32_t slot_units);
/* Whether another class change may be on its way. */
bool mkv_volume_extent_op_room(const struct mkv_volume *volume);
/* A planned class change, for the sake of slot_units, gets an operation. */
void mkv_volume_extent_op_start(struct mkv_volume *volume, const struct mkv_record_extent *record,
                                uint32_t slot_units);
/* Slots or extents may have become free: puts that wait for a slot try again. */
void mkv_volume_extent_applied(struct mkv_volume *volume);
/* Drops the live block in the op's old_slot, behind the lock. */
void mkv_volume_drop_old(struct mkv_volume *volume, uint32_t op, enum mkv_drop_cause cause);
/* Ends a mutation: answers the front where there is one, passes the lock on, frees the op. */
void mkv_volume_mutation_end(struct mkv_volume *volume, uint32_t op, enum mkv_status status);
/* The same before it has a record; a put that has its slot gives it back. */
void mkv_volume_mutation_refuse(struct mkv_volume *volume, uint32_t op, enum mkv_status status);

/* ---- volume_empty.c -------------------------------------------------------------------------- */

/* A class without free slots, which can be given no extent, asks for one of another class. True
 * when it is worth waiting: an extent is being emptied, for it or for others. */
bool mkv_volume_empty_request(struct mkv_volume *volume, uint32_t slot_units);
/* A put was applied; the job may have passed its slot when that was merely reserved. */
void mkv_volume_empty_put_applied(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_empty_pump(struct mkv_volume *volume);
bool mkv_volume_empty_has_work(const struct mkv_volume *volume);

/* ---- volume_evict.c -------------------------------------------------------------------------- */

struct mkv_eviction_config mkv_volume_eviction_config(const struct mkv_volume_config *config);
/* What the policy is told; nothing comes of it when the configuration has no eviction. */
void mkv_volume_policy_init(struct mkv_volume *volume);
/* Tells it what recovery found, so many pages a call; *page starts at 0. True when done. */
bool mkv_volume_policy_restore(struct mkv_volume *volume, uint32_t *page, uint32_t page_max);
/* A class change: after an extent was taken, before one is given back. */
void mkv_volume_policy_extent(struct mkv_volume *volume, const struct mkv_record_extent *record);
/* A block was stored; the last one of several that a request named, or not. */
void mkv_volume_policy_put(struct mkv_volume *volume, struct mkv_slot slot, bool is_last);
/* A request asked for the block; perhaps a read that a lookup may have announced. */
void mkv_volume_policy_used(struct mkv_volume *volume, struct mkv_slot slot, bool was_looked_up);
/* The block's DROP is decided. */
void mkv_volume_policy_dropped(struct mkv_volume *volume, struct mkv_slot slot, bool evicted);
/* The same in two parts: a DROP is sent behind the lock, and when it has its turn the block is
 * there. What goes between is MKV_NONE_U32 for a block that the policy does not have. */
uint32_t mkv_volume_policy_take_out(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_policy_remember(struct mkv_volume *volume, uint64_t tag, uint32_t state);
/* Nobody holds the slot any more. */
void mkv_volume_policy_released(struct mkv_volume *volume, struct mkv_slot slot);
bool mkv_volume_was_evicted(const struct mkv_volume *volume, uint64_t tag);
void mkv_volume_policy_check(const struct mkv_volume *volume);
/* A put finds no slot of this size, and there will be no extent for it. True when blocks of its
 * class make room: the put waits until it is tried again (mkv_volume_evict_wait_ended). */
bool mkv_volume_evict_request(struct mkv_volume *volume, uint32_t op, uint32_t slot_units);
void mkv_volume_evict_wait_ended(struct mkv_volume *volume, uint32_t op);
void mkv_volume_evict_pump(struct mkv_volume *volume);
bool mkv_volume_evict_has_work(const struct mkv_volume *volume);

/* ---- volume_tenant.c ------------------------------------------------------------------------- */

void mkv_volume_tenant(struct mkv_volume *volume, const struct mkv_input *input);
/* The TENANT or TENANT_DROP under way has ended: the next one begins. */
void mkv_volume_tenant_ended(struct mkv_volume *volume);
/* A TENANT_DROP entered a journal block: puts of the tenant that have no record get none. */
void mkv_volume_tenant_drop_issued(struct mkv_volume *volume, uint32_t op);
/* Whether a put of this tenant may still get a record. */
bool mkv_volume_tenant_takes(const struct mkv_volume *volume, uint32_t tenant);
/* Why a read of this tenant finds nothing. */
enum mkv_miss mkv_volume_tenant_miss(const struct mkv_volume *volume, uint32_t tenant);
/* The block in the slot has become live; it is about to be live no more. */
void mkv_volume_tenant_count(struct mkv_volume *volume, struct mkv_slot slot);
void mkv_volume_tenant_uncount(struct mkv_volume *volume, struct mkv_slot slot);
/* Whether the put may have a slot of so many units, besides what it replaces. False is counted. */
bool mkv_volume_tenant_has_room(struct mkv_volume *volume, const struct op *op,
                                uint32_t slot_units);
/* The put has got its slot; it has it no more, or it holds a block now. */
void mkv_volume_tenant_reserve(struct mkv_volume *volume, const struct op *op);
void mkv_volume_tenant_unreserve(struct mkv_volume *volume, const struct op *op);
/* A TENANT is durable. */
void mkv_volume_tenant_applied(struct mkv_volume *volume, const struct op *op);
/* Recovery: counts the blocks in these pages. False: one is of a tenant that there is not. */
bool mkv_volume_tenant_derive(struct mkv_volume *volume, uint32_t page, uint32_t page_end);
/* Goes on dropping the blocks of dropped tenants. */
void mkv_volume_tenant_pump(struct mkv_volume *volume);
bool mkv_volume_tenant_has_work(const struct mkv_volume *volume);

/* ---- volume_directory.c ---------------------------------------------------------------------- */

struct mkv_directory_config mkv_volume_directory_config(const struct mkv_volume_config *config);
/* A put was given its generation; its operation has ended. */
void mkv_volume_put_numbered(struct mkv_volume *volume, uint32_t op);
void mkv_volume_put_unnumbered(struct mkv_volume *volume, uint32_t op);
/* The op's PUT was applied to the table; the DROP of its old slot is about to be. */
void mkv_volume_directory_put(struct mkv_volume *volume, const struct op *op);
void mkv_volume_directory_drop(struct mkv_volume *volume, const struct op *op);
/* All records up to the flushed sequence have been applied. */
void mkv_volume_directory_applied(struct mkv_volume *volume);
void mkv_volume_directory_open(struct mkv_volume *volume);
/* Whether nothing of the directory is in flight, or left to do. */
bool mkv_volume_directory_closed(struct mkv_volume *volume);
void mkv_volume_directory_fail(struct mkv_volume *volume);
void mkv_volume_list(struct mkv_volume *volume, const struct mkv_input *input);
enum mkv_message_kind mkv_volume_listing_answer_kind(const struct op *op);
/* ---- volume_scrub.c -------------------------------------------------------------------------- */

void mkv_volume_scrub_pump(struct mkv_volume *volume);
/* How far the pass has come, 0 to 1. */
double mkv_volume_scrub_progress(const struct mkv_volume *volume);
void mkv_volume_scrub_io_done(struct mkv_volume *volume, uint32_t op,
                              const struct mkv_drive_done *done);

void mkv_volume_catch_up_done(struct mkv_volume *volume, uint32_t op,
                              const struct mkv_drive_done *done);
void mkv_volume_directory_io_done(struct mkv_volume *volume, uint32_t which,
                                  const struct mkv_drive_done *done);
void mkv_volume_directory_pump(struct mkv_volume *volume);

/* ---- volume_stall.c -------------------------------------------------------------------------- */

/* Looks at the age of what is in flight, now and then. */
void mkv_volume_stall_pump(struct mkv_volume *volume);

/* ---- volume_trim.c --------------------------------------------------------------------------- */

/* Goes on giving empty extents back and trimming them. */
void mkv_volume_trim_pump(struct mkv_volume *volume);
void mkv_volume_trim_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
/* Whether extents come free soon by the trim in flight. */
bool mkv_volume_trim_is_awaited(const struct mkv_volume *volume);
uint64_t mkv_volume_trims_pending(const struct mkv_volume *volume);

/* ---- volume_journal.c ------------------------------------------------------------------------ */

/* Hands out what can be handed out now: a batch, a flush, an empty block when idle. */
void mkv_volume_journal_pump(struct mkv_volume *volume);
void mkv_volume_journal_io_done(struct mkv_volume *volume, uint32_t which,
                                const struct mkv_drive_done *done);
/* A data write has come back, whatever it came to. */
void mkv_volume_data_write_done(struct mkv_volume *volume, const struct op *op);
void mkv_volume_flush_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
uint64_t mkv_volume_ring_used(const struct mkv_volume *volume);

/* ---- volume_checkpoint.c --------------------------------------------------------------------- */

void mkv_volume_superblock_write(struct mkv_volume *volume, enum superblock_purpose purpose,
                                 uint32_t copies);
/* Brings what every superblock states up to now. */
void mkv_volume_superblock_renew(struct mkv_volume *volume);
void mkv_volume_superblock_io_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
void mkv_volume_checkpoint_io_done(struct mkv_volume *volume, const struct mkv_drive_done *done);
void mkv_volume_checkpoint_pump(struct mkv_volume *volume);
enum mkv_err mkv_volume_format(struct mkv_volume *volume);
/* A chain value that no block of an earlier epoch can have been built on. */
uint64_t mkv_volume_fresh_chain(const struct mkv_volume *volume, uint32_t epoch);
#define SUPERBLOCK_ALL_COPIES 0xfu

/* ---- volume_recover.c ------------------------------------------------------------------------ */

/* `set` is NULL, or the set to be under. */
enum mkv_err mkv_volume_open(struct mkv_volume *volume, const struct mkv_drive_set *set,
                             bool joins);
void mkv_volume_recover_pump(struct mkv_volume *volume);
void mkv_volume_recover_io_done(struct mkv_volume *volume, uint32_t which,
                                const struct mkv_drive_done *done);
/* A superblock write of recovery is durable. */
void mkv_volume_recover_superblock_durable(struct mkv_volume *volume);
bool mkv_volume_recover_has_work(const struct mkv_volume *volume);

/* ---- volume_set.c ---------------------------------------------------------------------------- */

enum mkv_err mkv_volume_drive_set(struct mkv_volume *volume, const struct mkv_drive_set *set);
/* Whether a set waits to be written, or is being written. */
bool mkv_volume_drive_set_pending(const struct mkv_volume *volume);
/* Writes the set that waits, if the superblock's writer is free. */
void mkv_volume_drive_set_pump(struct mkv_volume *volume);
void mkv_volume_drive_set_durable(struct mkv_volume *volume);

enum mkv_err mkv_volume_purge(struct mkv_volume *volume, const struct mkv_drive_set *set);
void mkv_volume_purge_pump(struct mkv_volume *volume);
bool mkv_volume_purge_has_work(const struct mkv_volume *volume);
/* The op is past its lock; its read came back; it is over. */
void mkv_volume_purge_start(struct mkv_volume *volume, uint32_t op);
void mkv_volume_purge_io_done(struct mkv_volume *volume, uint32_t op,
                              const struct mkv_drive_done *done);
void mkv_volume_purge_op_ended(struct mkv_volume *volume);

#endif
