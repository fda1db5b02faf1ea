/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume: the state machine of one drive. It owns the slot table, the journal, checkpoints and
 * recovery, and decides the order of everything that reaches its drive.
 *
 * The way of a put, and why an acknowledged one cannot be lost:
 *
 *   PUT_BEGIN   the key's mutation lock; an equal live block answers at once; a slot is reserved
 *   PUT_WRITE   DRIVE_WRITE of header and payload ............ completed, perhaps in a cache only
 *               DRIVE_FLUSH issued after that ................ completed: the data is durable
 *               its PUT record joins a journal block, written to both copies of the ring
 *               DRIVE_FLUSH issued after that ................ completed: the record is durable
 *               the record is applied to the table: now visible
 *   PUT_DONE    OK
 *
 *   One flush is in flight at a time. The one that covers the journal block of batch n covers the
 *   data of batch n + 1 too, so that both queues move at every flush.
 *
 * States
 *
 *   CLOSED --FORMAT--> FORMATTING --> CLOSED        any state --drive error--> FAILED
 *   CLOSED --OPEN--> RECOVERING --> SERVING --CLOSE--> CLOSING --> CLOSED
 *
 * Invariants
 *  I1  A durable record's data is durable: no record enters a journal block before a flush that was
 *      issued after its data write completed has completed. So a mismatch later is corruption.
 *  I2  PUT_DONE OK and DELETE_DONE OK are handed out only after a completed flush that was issued
 *      after both copies of the record's journal block were written.
 *  I3  A slot is reused only when its DROP is durable and no operation holds it.
 *  I4  A block of the ring is overwritten only when a durable superblock starts replay behind it.
 *  I5  A superblock that names a checkpoint is written only after a flush that covers every unit
 *      of that checkpoint.
 *  I6  The epoch of this opening is durable before recovery or service writes a journal block.
 *  I7  Of one tenant's keys with equal tags at most one mutation is past its lock at a time.
 *      A put that waits for its bytes lets those behind it go first after lock_yield_ns; it has
 *      the lock again, and has looked again, before its record.
 *  I8  After MKV_EFFECT_FAIL_DRIVE the volume hands out no drive operation.
 *  I9  While an operation of the drive is older than stall_ns, and until all that were in flight
 *      then are back, no client waits for the drive: reads miss, mutations are UNAVAILABLE.
 *  I10 A drive is failed at once by a journal, superblock or flush operation that fails, and by one
 *      that says that it is gone, read-only or shrunk; and when reads of slots, or writes, fail at
 *      many places in a row and none succeeds between.
 *  I11 Nothing is allocated after init, and a step does work bounded by the configuration.
 *
 * Not responsible for: clients and slabs (front), choosing the volume of a key (front), I/O.
 */
#ifndef MKV_CORE_VOLUME_H
#define MKV_CORE_VOLUME_H

#include "core/base.h"
#include "core/directory.h"
#include "core/geometry.h"
#include "core/histogram.h"
#include "core/io.h"
#include "core/recovery_table.h"
#include "core/superblock.h"

/* Journal blocks of one batch. */
#define MKV_JOURNAL_BATCH_BLOCKS_MAX 8u
#define MKV_VOLUME_OPS_MAX 4096u
/* Defaults of the configuration. */
#define MKV_EMPTY_NS_MAX 10000000000ull
#define MKV_EMPTY_GRAIN_NS 1000000000ull
#define MKV_EXPIRY_PASS_NS 1000000000ull
#define MKV_EVICT_READY_DIVISOR 64u
#define MKV_LEASE_SHARE 100u
#define MKV_LEASE_SHARE_NONE UINT32_MAX
#define MKV_SESSION_MAX 4096u
#define MKV_SESSION_IDLE_NS 60000000000ull

/* Which relaxed puts are written to the drive; durable ones always are. */
enum mkv_admission {
    MKV_ADMISSION_ALWAYS = 0,
    MKV_ADMISSION_SECOND_TOUCH, /* of keys that were put before, or evicted lately; with eviction */
    MKV_ADMISSION_LIMIT,        /* as many bytes as write_limit allows */
};
/* Why one is not. */
enum mkv_admission_reason {
    MKV_ADMISSION_DRIVE_SLOW = 0,
    MKV_ADMISSION_FIRST_TOUCH,
    MKV_ADMISSION_WRITE_LIMIT,
};
#define MKV_ADMISSION_REASON_COUNT 3u

struct mkv_volume_config {
    uint32_t volume; /* index of this volume on its node */
    /* Of the drive; may exceed geometry.capacity_units when a drive has grown. */
    uint64_t capacity_units;
    /* What the drive is formatted with (mkv_superblock_choose on its copies), or is to be. */
    struct mkv_geometry geometry;
    uint32_t ops_max;      /* messages that the front may have outstanding here */
    uint32_t window_units; /* units of one read of recovery, and of one write of a checkpoint */
    uint64_t directory_commit_ns; /* the longest that its changes stay uncommitted; 0: 1 s */
    bool trim; /* hand out DRIVE_TRIM for what holds nothing any more: the drive can, and is to */
    /* Bytes a second at which all blocks are read again and compared with their sums; 0: never. */
    uint64_t scrub_rate;
    /* Mutations of a key that have waited for so long behind a put whose bytes do not come go
     * first; 0: never. */
    uint64_t lock_yield_ns;
    uint64_t stall_ns;     /* a drive operation older than this stalls the volume; 0: none does */
    uint64_t trim_idle_ns; /* how long an extent stays empty before it is trimmed */
    uint64_t idle_ns; /* quiet time after which an empty journal block records the last flush */
    /* An extent that is to run empty for another class, and whose blocks are still held after so
     * long, is left alone. 0: MKV_EMPTY_NS_MAX. */
    uint64_t empty_ns_max;
    /* How old extents are is compared in whole grains. 0: MKV_EMPTY_GRAIN_NS. */
    uint64_t empty_grain_ns;
    /* Passes over the slots for expired blocks begin at least so far apart. 0:
     * MKV_EXPIRY_PASS_NS. */
    uint64_t expiry_pass_ns;
    uint32_t lease_max; /* blocks that are leased or pinned at a time. 0: by the slots */
    /* EXISTS leases only as long as leases and pins are on less than this of the drive's bytes, of
     * 1000. 0: MKV_LEASE_SHARE; MKV_LEASE_SHARE_NONE: it leases nothing. */
    uint32_t lease_share;
    /* Blocks make room for puts; else a put into a full drive is NO_SPACE, unless it can have an
     * extent of another class. */
    bool eviction;
    bool never_empties;   /* nor does it have an extent of another class */
    uint32_t ghost_count; /* tags of evicted blocks that are remembered. 0: by the slots */
    /* A full class keeps one slot in so many ready. 0: MKV_EVICT_READY_DIVISOR. */
    uint32_t evict_ready_divisor;
    /* How much one step does, where it could go on: pages that recovery derives or a checkpoint
     * captures, slots that a walk over them looks at, bytes of the slot table that recovery clears.
     * 0, or more than that: the volume's own bounds. */
    uint32_t step_pages;
    uint32_t step_slots;
    uint32_t step_clear_bytes;
    /* Sessions that are tracked at a time, and blocks of all of them together: 84 bytes for one of
     * the former, 12 for one of the latter. 0: MKV_SESSION_MAX, and a quarter of the slots but no
     * more than 2^20. */
    uint32_t session_max;
    uint32_t session_block_max;
    uint64_t session_idle_ns; /* a session unused for so long ends. 0: MKV_SESSION_IDLE_NS */
    enum mkv_admission admission;
    uint64_t write_limit;           /* of LIMIT: payload bytes a second, in the mean of a minute */
    struct mkv_uuid store_uuid;     /* FORMAT: written. OPEN: must match, else MKV_ERR_FOREIGN */
    struct mkv_uuid drive_uuid;     /* FORMAT: written. OPEN: must match */
    struct mkv_drive_set drive_set; /* FORMAT: written */
};

enum mkv_volume_state {
    MKV_VOLUME_CLOSED = 0,
    MKV_VOLUME_FORMATTING,
    MKV_VOLUME_RECOVERING,
    MKV_VOLUME_SERVING,
    MKV_VOLUME_CLOSING,
    MKV_VOLUME_FAILED,
};
const char *mkv_volume_state_name(enum mkv_volume_state state);

/* One slot size of a drive; used slots are those that are not free. */
struct mkv_volume_class_stats {
    uint32_t slot_units;
    uint32_t extents;
    uint32_t slots;
    uint32_t slots_used;
};
#define MKV_VOLUME_CLASSES_MAX 128u
#define MKV_VOLUME_TIERS MKV_TIER_COUNT

/* Why a block was moved to a lower tier. */
enum mkv_demotion {
    MKV_DEMOTION_EXIT_THINK = 0,
    MKV_DEMOTION_SESSION_END,
    MKV_DEMOTION_IDLE, /* its session was */
};
#define MKV_DEMOTION_COUNT 3u

/* Times by the first bound that is not below, 2^n seconds each; behind them those above all. */
#define MKV_VOLUME_SECONDS_BOUNDS 22u
struct mkv_volume_seconds {
    uint64_t counts[MKV_VOLUME_SECONDS_BOUNDS + 1];
    uint64_t sum; /* of whole seconds */
};

/* A copy of the volume's figures; counters since init, gauges at the moment of the call. */
struct mkv_volume_stats {
    enum mkv_volume_state state;
    enum mkv_err open_err; /* why the last OPEN failed or came up empty */
    uint32_t epoch;
    uint64_t blocks; /* live blocks */
    /* Of their payloads, each rounded up to units; those of up to 2 KiB lie in the header's unit
     * and count as 0. */
    uint64_t bytes_payload;
    uint64_t bytes_used;    /* slots that are not free, times their size */
    uint64_t bytes_usable;  /* of all extents */
    uint64_t bytes_raw;     /* of the drive */
    uint64_t slots_used;    /* live, reserved, being freed, retired */
    uint64_t slots_free;    /* in extents that have a class */
    uint64_t slots_retired; /* of those used */
    uint32_t extents_free;  /* without a class */
    uint32_t extents_total;
    uint32_t extent_units;
    uint32_t class_count;
    /* Their sums are slots_used + slots_free, slots_used, and, times the slot size, bytes_used. */
    struct mkv_volume_class_stats classes[MKV_VOLUME_CLASSES_MAX];
    uint32_t ops_in_flight;
    uint64_t journal_head;    /* last sequence written to both copies */
    uint64_t journal_durable; /* last sequence covered by a completed flush */
    uint64_t journal_applied; /* last sequence covered by the durable checkpoint */
    uint64_t journal_ring_blocks;
    uint64_t journal_pending_records; /* records not yet durable */
    uint64_t journal_records_total;
    uint64_t journal_blocks_total;
    uint64_t journal_commits_total;
    uint64_t flushes_total;
    uint64_t checkpoints_total;
    uint64_t puts_total, puts_deduplicated_total, gets_total, deletes_total;
    uint64_t scrub_slots_total, scrub_bytes_total, scrub_damaged_total, scrub_passes_total;
    double scrub_progress;         /* of the pass that runs, 0 to 1 */
    uint64_t puts_overtaken_total; /* lost the lock to mutations behind them, waiting for bytes */
    uint64_t read_bytes_total, write_bytes_total; /* payload verified and served; persisted … */
    uint64_t writes_total;                        /* … in so many blocks */
    uint64_t checksum_failures_header_total, checksum_failures_payload_total;
    uint64_t checksum_failures_journal_total, checksum_failures_superblock_total;
    uint64_t checksum_failures_index_total;
    uint64_t expired_total;   /* blocks dropped because their time was over */
    uint64_t prolonged_total; /* puts that gave a live block another expiry */
    uint64_t leases;          /* blocks that are leased or pinned, or were a moment ago */
    uint64_t leases_used_total, leases_expired_total, leases_overridden_total;
    uint64_t leases_refused_total;
    uint64_t admission_refused[MKV_ADMISSION_REASON_COUNT]; /* puts that were not written */
    uint64_t promises_broken_total; /* reads of a leased block that found nothing */
    uint64_t touches_total;         /* blocks that were read from memory, as the policy was told */
    uint64_t evictions_total; /* by tier, and by cause: for room in the class, for another class */
    uint64_t evictions_by_tier[MKV_VOLUME_TIERS];
    uint64_t evictions_capacity_total, evictions_rebalance_total, evictions_quota_total;
    /* Of a sample of the evicted blocks: how old they were, and how long unused. */
    struct mkv_volume_seconds evicted_lifetime, evicted_idle;
    uint64_t blocks_by_tier[MKV_VOLUME_TIERS];    /* live blocks */
    uint64_t demotions_total[MKV_DEMOTION_COUNT]; /* blocks, by cause */
    bool session_work;                       /* something is to be done to blocks of sessions */
    uint64_t sessions, session_blocks;       /* tracked; nodes of theirs */
    uint64_t sessions_untracked_total;       /* begun without room for them */
    uint64_t session_blocks_untracked_total; /* stored without room in the session's list */
    uint64_t session_blocks_freed_total;     /* evicted because their session said so */
    uint64_t sessions_reaped_total;          /* ended because nobody used them */
    uint64_t extents_given_total;            /* to a class, and ... */
    uint64_t extents_given_spanned_total;    /* ... of these, several as one */
    uint64_t extents_given_back_total;
    uint64_t extents_emptied_total, emptyings_given_up_total;
    uint64_t quarantined_total, superblock_repairs_total, journal_copy_repairs_total;
    uint64_t torn_tails_total;
    bool stalled; /* reads miss and mutations are UNAVAILABLE until the drive has answered */
    uint64_t stalls_total;
    uint64_t io_errors_read_total, io_errors_write_total, io_errors_flush_total;
    uint64_t trims_total;        /* DRIVE_TRIM effects that completed, with any result */
    uint64_t trim_extents_total; /* extents, or members of wider ones, that these named whole */
    uint64_t trim_bytes_total;   /* of those that completed with MKV_IO_OK */
    uint64_t trim_errors_total;  /* completed with any other result; nothing else comes of it */
    uint32_t evictions_pending;  /* that are decided, and not durable yet */
    uint64_t trims_pending; /* wanted and not completed: in flight, or waiting for their turn */
    /* Ring blocks that recoveries decided, by the row of recovery_table.h. */
    uint64_t recovery_rows[MKV_RECOVERY_ROWS];
    uint64_t recovery_entries; /* records replayed by the last OPEN */
    uint64_t recovery_ns;
    uint64_t generation_counter;
    uint64_t superblock_sequence;
    struct mkv_directory_stats directory;
    uint64_t directory_lag;   /* journal_durable less what the directory has applied */
    uint32_t tenants;         /* live ones, the default one included */
    uint32_t tenants_dropped; /* whose blocks are being dropped */
};

/* Sizes and times (in ns) since init. */
struct mkv_volume_times {
    struct mkv_histogram flush_writes;  /* data writes that a flush covered, where it covered any */
    struct mkv_histogram journal_flush; /* from the first write of blocks to their flush's end */
    struct mkv_histogram checkpoint;
    struct mkv_volume_seconds reuse_gap; /* of a sample of blocks, between two uses */
};

/* Where the arena's bytes go. */
struct mkv_volume_memory {
    uint64_t slot_table_bytes; /* with the policy, leases, sessions and tenants */
    uint64_t leaf_cache_bytes; /* of the directory, with its queue */
    uint64_t journal_bytes;    /* operations, and units of the journal, headers and checkpoints */
};

struct mkv_volume;

/* Bytes of the arena for this configuration; the arena must be aligned to MKV_UNIT_BYTES. */
size_t mkv_volume_memory_required(const struct mkv_volume_config *config);
/* The configuration is copied. `bytes` must be at least what is required. */
struct mkv_volume *mkv_volume_init(void *memory, size_t bytes,
                                   const struct mkv_volume_config *config);
/* Takes one input. All effects of the step before must have been taken. Returns MKV_OK, or the
 * error of an ADMIN command that cannot be carried out in this state. */
enum mkv_err mkv_volume_step(struct mkv_volume *volume, const struct mkv_input *input);
/* Begins to fetch what a FIND or EXISTS message reads, and changes nothing; `data` is its key. For
 * several messages before they are stepped, stage by stage: a LOOKUP asks for many keys. */
void mkv_volume_prefetch(const struct mkv_volume *volume, const struct mkv_message *message,
                         const uint8_t *data, enum mkv_prefetch stage);
/* Hands out up to `out_max` effects, in order; 0 when there are none left. */
uint32_t mkv_volume_effects(struct mkv_volume *volume, struct mkv_effect *out, uint32_t out_max);
/* The base that meta_offset and data_offset of this volume's effects count from. */
uint8_t *mkv_volume_arena(struct mkv_volume *volume);
/* True when a TICK would make progress at once: a bounded job has more to do. */
bool mkv_volume_has_work(const struct mkv_volume *volume);
/* When a TICK would make progress that is not to wait for the next one of those that come anyway;
 * UINT64_MAX: there is no such time. */
uint64_t mkv_volume_timer_ns(const struct mkv_volume *volume);
/* Effects that one step can hand out at most. */
uint32_t mkv_volume_effects_max(const struct mkv_volume_config *config);
void mkv_volume_stats(const struct mkv_volume *volume, struct mkv_volume_stats *stats);
const struct mkv_volume_times *mkv_volume_times(const struct mkv_volume *volume);
void mkv_volume_memory(const struct mkv_volume *volume, struct mkv_volume_memory *memory);

/* What the volume knows of a key: for an administrator who asks why. Unlike EXISTS it changes
 * nothing, not even what the eviction policy thinks of the block. */
struct mkv_volume_inspection {
    bool found;
    enum mkv_miss miss; /* why it is not */
    uint32_t length_units;
    uint32_t block_flags;
    enum mkv_tier tier;
    enum mkv_tier tier_put; /* the one that its put named */
    uint32_t expiry_s;      /* Unix time; 0: never */
    bool leased;            /* or pinned: it is not evicted now */
    bool leaving;           /* its eviction is decided */
};
void mkv_volume_inspect(const struct mkv_volume *volume, uint32_t tenant, const uint8_t *key,
                        uint32_t key_bytes, struct mkv_volume_inspection *inspection);

/* A tenant of this drive and what it has here. */
struct mkv_volume_tenant {
    uint32_t id;
    bool live; /* false: it was dropped, and its blocks are being dropped */
    uint32_t name_bytes;
    const char *name; /* not closed by a NUL; valid until the next step */
    uint64_t blocks;
    uint64_t bytes;       /* of the slots that they take */
    uint64_t quota_bytes; /* 0: none */
    uint64_t writes_total;
    uint64_t quota_rejections_total;
    uint64_t evicted_total, evictions_caused_total;
};
/* Walks the tenants: *cursor starts at 0; false at the end. While the volume serves. */
bool mkv_volume_next_tenant(const struct mkv_volume *volume, uint32_t *cursor,
                            struct mkv_volume_tenant *tenant);
/* The highest number that a tenant of this drive ever had. */
uint32_t mkv_volume_tenant_id_max(const struct mkv_volume *volume);

/* ---- for the simulator's oracles and for offline tools; no part of serving --------------------
 */

struct mkv_volume_block {
    struct mkv_slot slot;
    uint64_t tag;
    uint32_t tenant;
    uint32_t generation_low;
    uint32_t length_units;
    uint32_t block_flags;
    struct mkv_lba lba;
    uint32_t slot_units;
    bool served;  /* false: its tenant was dropped, and it waits to be swept */
    bool hidden;  /* its DROP is issued */
    bool held;    /* an operation reads it */
    bool leaving; /* its eviction is decided, or the volume does not evict */
    enum mkv_tier tier;
    enum mkv_tier tier_put; /* the one that its put named */
    uint32_t expiry_s;
    bool expired; /* it waits to be dropped */
};
/* Walks the live blocks: *cursor starts at 0; false at the end. */
bool mkv_volume_next_block(const struct mkv_volume *volume, uint32_t *cursor,
                           struct mkv_volume_block *block);
/* Evictions that are decided and wait for their turn. */
uint32_t mkv_volume_evictions_waiting(const struct mkv_volume *volume);
/* Checks the table against itself: no slot owned twice (O4), free + used + reserved + retired =
 * total in every extent (O5), every live entry found through the hash. Aborts on a violation.
 * Cost grows with the table. */
void mkv_volume_check(const struct mkv_volume *volume);
/* Whether the directory has every block that is live: what SCAN would list now is all there is. */
bool mkv_volume_directory_complete(const struct mkv_volume *volume);
/* A hash over all state that is durable: tag, tenant, slot, generation, length, flags of every live
 * block, and the class of every extent (O6, O8). */
uint64_t mkv_volume_durable_hash(const struct mkv_volume *volume);

#endif
