/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume holds in its arena: its bounds, the operations under way, the jobs that run beside
 * them, and where each part lies.
 *
 * Not responsible for: what is done with it (volume_internal.h names the files).
 */
#ifndef MKV_CORE_VOLUME_STATE_H
#define MKV_CORE_VOLUME_STATE_H

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
#include "core/volume_session.h"
#include "core/volume_terms.h"

/* Class changes on their way at a time. */
#define EXTENT_OPS_MAX 8u
/* Blocks that a purge looks at at a time, and slots that it passes over in one step. */
#define PURGE_OPS_MAX 16u
#define PURGE_SLOTS_PER_STEP_MAX 256u
/* Generations that may be given out without a record between two superblocks: above the most
 * operations a volume can have. */
#define GENERATION_GAP (4ull * MKV_VOLUME_OPS_MAX)
/* Pages that one step of recovery derives, and that one step of a checkpoint captures. This and
 * the other bounds of steps are the highest: the configuration may set lower ones. */
#define STEP_PAGES_MAX 64u
/* Drops that background jobs may have under way, and slots that one step of theirs looks at. */
#define JOB_DROPS_MAX 16u
/* Drops that make room, on their way at a time: so many, or this share of the messages that the
 * front may have outstanding, where that is more. An extent of thousands of small blocks runs empty
 * in so many commits of the journal. */
#define EVICT_DROPS_MIN 32u
#define EVICT_DROPS_SHARE 4u
/* This share of them is left for puts that wait, by what makes room ahead of need. */
#define EVICT_DROPS_OF_WAITERS_SHARE 4u
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
    OP_KIND_EXPIRE, /* gives what is live another expiry */
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
    uint64_t drive_ns;     /* that the drive took for it, together; PUT: for its data */
    uint64_t written_ns;   /* PUT: when that was over; 0 */
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
    bool has_old;           /* old_slot is dropped when this mutation's record is durable */
    bool there;             /* PUT: the same is live */
    bool unwritten;         /* PUT: it was not admitted */
    bool waits_for_quota;   /* PUT: for room in its tenant's quota */
    bool of_quota;          /* DROP: for that */
    bool retires;           /* the drive lost what was in old_slot: its DROP retires it */
    bool clearing;          /* its record drops a slot that can't be told; then it looks on */
    bool overtaken;         /* PUT: has its slot, and lost the lock while it waited for bytes */
    bool prolongs;          /* PUT, EXPIRE: its record gives old_slot the expiry; it has no slot */
    uint32_t expiry_s;      /* PUT */
    uint64_t session;       /* PUT: the one that it names, if that is tracked; 0 none */
    uint64_t session_count; /* PUT: begins and exits of sessions when it began */
    enum mkv_tier tier;     /* PUT */
    uint64_t reserved_ns;   /* PUT: when it got its slot */
    struct mkv_slot slot;   /* GET: held. PUT: reserved. EXTENT: none */
    struct mkv_slot old_slot; /* PUT replacing, DELETE, DROP */
    enum mkv_drop_cause drop_cause;
    struct mkv_generation generation_new;
    struct mkv_root root;
    struct mkv_root replaces; /* PUT with MKV_PUT_REPLACE_ROOT */
    uint64_t value_length;    /* PUT of a manifest: of its value */
    struct mkv_root value_root;
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
    uint8_t wait_class;              /* ... of this class, that evictions make ready. Of a DROP of
                                      * an eviction: the class of its slot */
    bool of_eviction;                /* DROP: counts against the limit of evictions */
    enum mkv_eviction_reason evict_reason;
    uint32_t purge;       /* DROP: the listing it is done for and 1; 0 none */
    bool of_catch_up;     /* DROP: the directory waits for its end */
    uint32_t purge_reads; /* PURGE: of its header, handed out so far */
    bool before_purge;    /* PUT: had a record, or was about to, when the purge began */
    enum mkv_directory_job_kind listing_kind; /* LIST */
    bool numbered;                            /* PUT: in the list of those with a generation */
    uint32_t numbered_next;
    uint32_t numbered_previous;
    uint32_t slot_units; /* EXTENT: the class for which it is done. DROP for a quota: its slot's */
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

/* Places whose reads, or whose writes, failed one after another with none that succeeded between:
 * so many different ones are no bad spots, the drive itself fails. */
#define ERROR_PLACES_MAX 64u
struct error_run {
    uint32_t count;
    uint64_t places[ERROR_PLACES_MAX]; /* units */
    enum mkv_io_result result;         /* of the last one */
};

struct admission {
    bool avoided;
    uint64_t room_bytes; /* that may be written now */
    uint64_t room_ms;    /* when there was as much */
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
    bool guards;        /* keys that go elsewhere under `members` are not mutated here */
    uint32_t before;    /* puts with records that it waits for before it looks at slots */
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
    uint16_t drops[MKV_CLASSES_MAX];        /* of its slots, on their way to make room */
    uint32_t class_first;                   /* whose turn it is to be looked at first */
    uint32_t tenant;                        /* of the last put that asked for one */
    bool more;                              /* the next step would find more to do */
};
_Static_assert(MKV_VOLUME_OPS_MAX <= UINT16_MAX, "as many puts wait at most");

/* Makes room for puts that would pass the quota of their tenant (volume_quota.c). */
struct quota_job {
    uint32_t tenant;      /* that is served, MKV_NONE_U32 for none */
    uint32_t waiting;     /* puts, of all tenants */
    uint32_t drops;       /* on their way */
    uint64_t drop_units;  /* of their slots */
    uint32_t cursor;      /* the slot to be looked at next */
    uint32_t looked;      /* slots of this search */
    uint32_t sampled;     /* of them, those that may leave */
    struct mkv_slot best; /* the one that should leave first */
    uint32_t best_generation;
    bool retry; /* room was made: who waits asks anew */
    bool more;  /* the next step would find more to do */
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
    struct admission admission;
    struct error_run error_runs[2]; /* of reads, of writes */
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
    struct session_state sessions;
    uint64_t samples_offset;
    uint32_t sample_mask; /* blocks are drawn whose tags have none of these bits */
    struct evict_job evict;
    struct quota_job quota;
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
    uint64_t write_ended_ns;   /* the last one; later: when the first one in flight began */
    uint64_t write_gap_ns;     /* mean time between the ends of two, while any is in flight; or 0 */
    uint64_t flush_ns;         /* mean time of flushes with something to cover; 0: there was none */
    uint64_t flush_held_since_ns;
    bool flush_held;            /* a flush waits for the data writes up to ... */
    uint64_t flush_held_number; /* ... this one, */
    uint32_t flush_held_writes; /* of which so many are in flight */
    /* When the first journal block was issued that no flush covers, and that the flush in flight
     * does; 0: there is none. */
    uint64_t journal_issued_ns;
    uint64_t flush_issued_ns;
    bool flush_in_flight;
    uint64_t flush_issued;
    uint64_t flush_completed;
    uint64_t flush_wanted; /* number of the flush that somebody waits for */
    uint64_t flush_covers; /* written_sequence when the flush in flight was issued */
    uint64_t flush_covers_chain;

    struct mkv_volume_stats stats;
    struct mkv_volume_times times;
};

/* Slots that one step of a walk looks at, which has this bound of its own. */
static inline uint32_t volume_step_slots(const struct mkv_volume *volume, uint32_t own_max) {
    return (uint32_t)mkv_min_u64(volume->config.step_slots, own_max);
}
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

#endif
