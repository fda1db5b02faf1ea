/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the volume share. A block's life goes through them in this order:
 *
 *   volume.c             arena, operations, dispatch of inputs, failing
 *   volume_mutate.c      PUT_BEGIN, PUT_WRITE, DELETE, quarantine: up to "record ready"
 *   volume_journal.c     batches of records, flushes, applying what is durable, answers
 *   volume_get.c         FIND, READ, EXISTS
 *   volume_checkpoint.c  superblock writes, checkpoints, close
 *   volume_recover.c     OPEN, JOIN
 *   volume_set.c         DRIVE_SET, PURGE
 *
 *   Operation of a mutation:
 *
 *     LOCK_WAIT -> CHECKING -> EXTENT_WAIT -> RESERVED -> WRITING -> WRITTEN -> FLUSHING -> READY
 *                     \________________ (delete, quarantine) ______________________________/  |
 *                                                                              JOURNALED <----+
 *
 * Not responsible for: what others see of the volume (volume.h).
 */
#ifndef MKV_CORE_VOLUME_INTERNAL_H
#define MKV_CORE_VOLUME_INTERNAL_H

#include "core/canary.h"
#include "core/io.h"
#include "core/journal_block.h"
#include "core/slot_header.h"
#include "core/slot_table.h"
#include "core/superblock.h"
#include "core/volume.h"

/* Class changes on their way at a time. */
#define EXTENT_OPS_MAX 8u
/* Blocks that a purge looks at at a time, and slots that it passes over in one step. */
#define PURGE_OPS_MAX 16u
#define PURGE_SLOTS_PER_STEP_MAX 256u
/* Generations skipped at every opening, so that the low 32 bits of one that was given out without a
 * record do not come again soon. Above the most operations a volume can have. */
#define GENERATION_GAP (4ull * MKV_VOLUME_OPS_MAX)
/* Pages that one step of recovery derives, and that one step of a checkpoint captures. */
#define STEP_PAGES_MAX 64u
#define LOCK_BUCKETS 256u
#define HOLD_BUCKETS 256u

enum op_kind {
    OP_KIND_GET = 1,
    OP_KIND_PUT,
    OP_KIND_DELETE,
    OP_KIND_QUARANTINE, /* drops a slot whose content failed its check */
    OP_KIND_EXTENT,     /* gives an extent to a class */
    OP_KIND_PURGE,      /* looks at a block's key, and drops it if that goes to another drive */
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
};

struct op_list {
    uint32_t head;
    uint32_t tail;
    uint32_t count;
};

struct op {
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
    bool clearing;            /* its record drops a slot that can't be told; then it looks on */
    struct mkv_slot slot;     /* GET: held. PUT: reserved. EXTENT: none */
    struct mkv_slot old_slot; /* PUT replacing, DELETE, QUARANTINE */
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
    uint8_t key[MKV_KEY_BYTES_MAX];
};

/* Drive operations of the volume itself; ids follow those of the ops. */
enum internal_io {
    IO_FLUSH = 0,
    IO_SUPERBLOCK = 1,                                 /* 4 */
    IO_WINDOW = IO_SUPERBLOCK + MKV_SUPERBLOCK_COPIES, /* 2 */
    IO_JOURNAL = IO_WINDOW + 2,
    IO_COUNT = IO_JOURNAL + MKV_JOURNAL_COPIES * MKV_JOURNAL_BATCH_BLOCKS_MAX,
};
struct internal_io_state {
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
    uint32_t next_unit; /* of the side: 0 is the head, n is page n - 1 */
    uint32_t page_count;
    uint32_t pending; /* window writes in flight */
    uint64_t generation_counter;
    uint64_t ticket;
    uint64_t number;
    struct mkv_sequence journal_sequence;
    uint64_t chain_anchor;
    uint64_t started_ns;
};

enum recover_step {
    RECOVER_FLUSH = 1,
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
    uint64_t ticket;
    uint64_t started_ns;
    uint32_t next_page;
    uint32_t derive_cursor;
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
    uint64_t meta_offset;

    uint32_t effects_max;
    uint32_t effect_head;
    uint32_t effect_count;

    struct op_list free_ops;
    uint32_t ops_used;
    uint32_t extent_ops[EXTENT_OPS_MAX]; /* slot sizes of the class changes on their way */
    uint32_t extent_op_count;
    uint32_t ops_internal; /* quarantine and extent operations */
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

    uint64_t generation_counter;
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
static inline uint8_t *volume_meta(const struct mkv_volume *volume, uint64_t offset) {
    return (uint8_t *)((uintptr_t)volume + offset);
}
/* Metadata units: one for each op, then the journal batch, the superblock copies, two windows. */
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
/* Whether a quarantine may take an op: those of the class changes are kept back. */
bool mkv_volume_quarantine_room(const struct mkv_volume *volume);
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
static inline void volume_want_flush(struct mkv_volume *volume, uint64_t *ticket) {
    *ticket = volume->flush_issued + 1;
    volume->flush_wanted = *ticket;
}

/* ---- volume_get.c ---------------------------------------------------------------------------- */

void mkv_volume_find(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_exists(struct mkv_volume *volume, const struct mkv_input *input);
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

/* ---- volume_mutate.c ------------------------------------------------------------------------- */

void mkv_volume_put_begin(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_put_write(struct mkv_volume *volume, const struct mkv_input *input);
void mkv_volume_put_abort(struct mkv_volume *volume, const struct mkv_message *message);
void mkv_volume_delete(struct mkv_volume *volume, const struct mkv_input *input);
/* Drops a slot whose content failed its check, behind the lock of its tag. */
void mkv_volume_quarantine(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_err err);
void mkv_volume_mutate_io_done(struct mkv_volume *volume, uint32_t op,
                               const struct mkv_drive_done *done);
/* The drop of a slot that could not be told is durable and applied. */
void mkv_volume_mutation_cleared(struct mkv_volume *volume, uint32_t op);
/* A class change for this slot size is durable. */
void mkv_volume_extent_op_ended(struct mkv_volume *volume, uint32_t slot_units);
/* An EXTENT record was applied: puts that wait for a slot try again. */
void mkv_volume_extent_applied(struct mkv_volume *volume);
/* Sends an op of the volume itself behind the lock of its tag. */
void mkv_volume_lock_take(struct mkv_volume *volume, uint32_t op);
/* Drops the live block in the op's old_slot, behind the lock. */
void mkv_volume_drop_old(struct mkv_volume *volume, uint32_t op, enum mkv_drop_cause cause);
/* Ends a mutation: answers the front where there is one, passes the lock on, frees the op. */
void mkv_volume_mutation_end(struct mkv_volume *volume, uint32_t op, enum mkv_status status);

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
