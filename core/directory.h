/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory: the names of a drive's blocks in their order, for listing, counting and purging by
 * prefix. It is derived: the volume notes what its journal made durable, the directory follows
 * behind, and whatever happens to it, it can be made anew from the slot headers. It is never on the
 * way of a put or a get.
 *
 *   note_put, note_drop --> queue --apply--> tree --commit--> nodes, flush, root unit, flush
 *                            |  ^             |
 *               no room left |  |             +--> jobs: SCAN, COUNT, PURGE
 *                            v  |
 *        the slot's bit UNLISTED -- the catch-up reads its header
 *
 *   Phases
 *
 *     CLOSED --open--> ROOTS --> NODES --> READY        (which tree counts; which pages it takes)
 *                        \         \         \---damaged---> DRAINING --> READY, empty, rebuilding
 *                         +---------+---------------------/       \--too often--> OFF
 *
 * An entry counts only while its slot is live with that generation, so a drop need not reach the
 * tree: what it leaves is stale, is passed over, and is swept out when there is much of it.
 *
 * Positions. A floor is {journal sequence, generation counter}: every PUT of the blocks up to the
 * sequence, and every put with a counter up to the generation, has been noted. The floor told last
 * is remembered together with the queue's end; when the queue has come to there it is *drained*. It
 * becomes *applied* while no live slot is unlisted; while some are, when a lap of the catch-up that
 * began at or behind it has listed all it met. A commit records the applied floor. At the next
 * opening every live slot with a newer generation is unlisted: so no put is ever forgotten, however
 * far the directory was behind, and neither the ring nor the checkpoint has to wait for it.
 *
 * Invariants
 *  I1  What SCAN, COUNT and PURGE answer with OK holds every block that was durable when they were
 *      asked and is live still; and nothing that is not live. SCAN and COUNT take a block whose
 * DROP is issued for one that is gone, as reads do. I2  The tree of the newest durable root is
 * whole: nodes are written, then flushed, then the root unit is written, then flushed, and only
 * then are pages reused that it does not need. I3  Every slot that is live is in the tree, or in
 * the queue, or unlisted, or its put is newer than the floor told last. I4  Nothing is allocated
 * after init; a call does work bounded by the configuration. I5  A node that is not the one its
 * parent means is damage: the directory says so once and makes itself anew. Blocks are never
 * touched for it.
 *
 * Not responsible for: I/O (it hands out what it wants), dropping what PURGE names, reading slot
 * headers, and what the names are used for (volume_directory.c).
 */
#ifndef MKV_CORE_DIRECTORY_H
#define MKV_CORE_DIRECTORY_H

#include "core/base.h"
#include "core/directory_cache.h"
#include "core/directory_root.h"
#include "core/io.h"
#include "core/slot_table.h"

/* Drive operations that may be handed out at a time. */
#define MKV_DIRECTORY_IO_MAX 16u
/* Slot headers that the catch-up may ask for at a time. */
#define MKV_DIRECTORY_CATCH_UP_MAX 4u
#define MKV_DIRECTORY_JOBS_MAX 64u
#define MKV_DIRECTORY_QUEUE_BYTES_MIN (6u * 1024u)
/* One entry of a result and the longest key fit many times. */
#define MKV_DIRECTORY_RESULT_BYTES_MIN 4096u

struct mkv_directory_config {
    struct mkv_uuid drive_uuid;
    uint32_t region_units; /* at least MKV_DIRECTORY_UNITS_MIN */
    uint32_t frames_max;   /* nodes in memory; at least MKV_DIRECTORY_FRAMES_MIN */
    uint32_t queue_bytes;  /* a multiple of 8 */
    uint32_t jobs_max;
    uint32_t result_bytes; /* of a batch of one job */
    uint64_t commit_ns;    /* a change waits this long for others to be committed with */
    uint32_t step_slots;   /* that one step looks at, at most; 0: its own bounds */
};

enum mkv_directory_state {
    MKV_DIRECTORY_CLOSED = 0,
    MKV_DIRECTORY_LOADING,    /* reads which pages are taken; jobs wait */
    MKV_DIRECTORY_REBUILDING, /* lists every block anew; jobs are UNAVAILABLE */
    MKV_DIRECTORY_SERVING,
    MKV_DIRECTORY_FULL, /* no room for all names; jobs are answered NO_SPACE */
    MKV_DIRECTORY_OFF,  /* given up until the next opening; jobs are UNAVAILABLE */
};
#define MKV_DIRECTORY_STATE_COUNT 6u
const char *mkv_directory_state_name(enum mkv_directory_state state);

/* Bounds of the time that a leaf takes to come, in us: powers of 4 from 16 on. */
#define MKV_DIRECTORY_MISS_BOUNDS 10u
uint64_t mkv_directory_miss_bound_us(uint32_t bound);

struct mkv_directory_stats {
    enum mkv_directory_state state;
    uint64_t applied_sequence;
    uint64_t listed_generation;
    uint64_t entries;
    uint64_t entries_stale; /* an estimate from the counts */
    uint64_t unlisted;
    uint64_t queued;
    uint32_t pages_used;
    uint32_t pages_total;
    uint32_t levels;
    uint64_t commits_total;
    uint64_t rebuilds_total;
    uint64_t damaged_total;
    uint64_t io_errors_total;
    uint64_t swept_total;
    uint64_t caught_up_total; /* headers that told a key */
    uint64_t node_reads_total;
    uint64_t node_writes_total;
    uint64_t leaf_hits_total;
    uint64_t leaf_misses_total;
    uint64_t leaf_miss_us_sum; /* from the wish for a leaf until it was there */
    uint64_t leaf_miss_us[MKV_DIRECTORY_MISS_BOUNDS + 1]; /* by the first bound not exceeded */
};

struct mkv_directory;

size_t mkv_directory_memory_required(const struct mkv_directory_config *config);
/* The memory must be aligned to MKV_UNIT_BYTES. */
struct mkv_directory *mkv_directory_init(void *memory, size_t bytes,
                                         const struct mkv_directory_config *config);

/* The slot table is recovered: it holds what is live, and no slot is marked UNLISTED. `floor`
 * counts for all that is in it: the last sequence applied, and a generation counter not below any
 * live slot's. The directory owns the bit UNLISTED of the table's entries until it is closed. */
struct mkv_directory_floor {
    uint64_t sequence;
    uint64_t generation;
};
void mkv_directory_open(struct mkv_directory *directory, struct mkv_directory_floor floor,
                        uint64_t now_ns);
/* Commits what has been applied, takes on no more work, and answers its jobs UNAVAILABLE. */
void mkv_directory_close_begin(struct mkv_directory *directory);
/* After close_begin: nothing is in flight and nothing is left to commit. The state is CLOSED then.
 */
bool mkv_directory_close_done(struct mkv_directory *directory);
/* The drive is gone: hands out no more operations, and answers its jobs UNAVAILABLE. */
void mkv_directory_fail(struct mkv_directory *directory);

/* ---- what the volume tells --------------------------------------------------------------------
 */

/* A PUT was applied to the table: its slot is live. */
void mkv_directory_note_put(struct mkv_directory *directory, struct mkv_slot_table *table,
                            uint32_t tenant, const uint8_t *key, uint32_t key_bytes,
                            const struct mkv_directory_value *value);
/* A DROP is about to be applied to the table; the slot is live still. A NULL key is one that is not
 * known: what it leaves in the tree is stale. */
void mkv_directory_note_drop(struct mkv_directory *directory, struct mkv_slot_table *table,
                             struct mkv_slot slot, uint32_t tenant, const uint8_t *key,
                             uint32_t key_bytes);
/* All PUTs up to the floor have been noted. Neither part of it ever falls. */
void mkv_directory_note_floor(struct mkv_directory *directory, struct mkv_directory_floor floor);

/* ---- work -------------------------------------------------------------------------------------
 */

/* Does a bounded piece of what there is to do. */
void mkv_directory_pump(struct mkv_directory *directory, struct mkv_slot_table *table,
                        uint64_t now_ns);
/* Whether another pump would get on at once. */
bool mkv_directory_has_work(const struct mkv_directory *directory);

enum mkv_directory_io_kind {
    MKV_DIRECTORY_READ = 1,
    MKV_DIRECTORY_WRITE,
    MKV_DIRECTORY_FLUSH, /* issued after every WRITE that has come back; one at a time */
};
struct mkv_directory_io {
    enum mkv_directory_io_kind kind;
    uint32_t id;            /* READ, WRITE: below MKV_DIRECTORY_IO_MAX; free again when done */
    uint32_t unit;          /* in the region */
    uint64_t memory_offset; /* one unit, from the start of the directory's memory */
};
/* Hands out the next drive operation; false when there is none now. */
bool mkv_directory_take_io(struct mkv_directory *directory, struct mkv_directory_io *io);
/* An operation has come back. The memory of it is the directory's again. */
void mkv_directory_io_done(struct mkv_directory *directory, uint32_t id, enum mkv_io_result result,
                           uint64_t now_ns);
void mkv_directory_flush_done(struct mkv_directory *directory);

/* A slot whose header the volume is to read, so that its key can be listed; false when there is
 * none now. Each is answered by exactly one of the calls below. */
bool mkv_directory_take_catch_up(struct mkv_directory *directory, struct mkv_slot_table *table,
                                 struct mkv_slot *slot);
/* What the header says; `value` names the slot. */
void mkv_directory_catch_up_done(struct mkv_directory *directory, uint32_t tenant,
                                 const uint8_t *key, uint32_t key_bytes,
                                 const struct mkv_directory_value *value);
/* The header could not be had. A slot that stays live is asked for again, later. */
void mkv_directory_catch_up_failed(struct mkv_directory *directory);
/* The slot holds that block no more. */
void mkv_directory_catch_up_gone(struct mkv_directory *directory);

/* Whether an entry names a block that is live, by slot, generation and tenant. */
bool mkv_directory_entry_holds(const struct mkv_slot_table *table, uint32_t tenant,
                               const struct mkv_directory_value *value);

/* ---- jobs -------------------------------------------------------------------------------------
 */

enum mkv_directory_job_kind {
    MKV_DIRECTORY_SCAN = 1, /* one batch of names; those of segments are hidden */
    MKV_DIRECTORY_COUNT,    /* blocks that SCAN would list */
    MKV_DIRECTORY_PURGE,    /* batches of all blocks, segments too, until there are no more */
};
struct mkv_directory_query {
    enum mkv_directory_job_kind kind;
    uint32_t tenant;
    const uint8_t *prefix; /* keys that begin with it; all when it has no bytes */
    uint32_t prefix_bytes;
    const uint8_t *after; /* SCAN: and lie behind this one; none when it has no bytes */
    uint32_t after_bytes;
    uint32_t count_max; /* SCAN, PURGE: of a batch, at least 1 */
    uint32_t bytes_max; /* SCAN: of a batch, besides config.result_bytes; 0 none */
};
/* Starts a job. False when jobs_max are under way. */
bool mkv_directory_job_begin(struct mkv_directory *directory,
                             const struct mkv_directory_query *query, uint32_t *job);

/* A batch is a row of entries, in the order of their keys:
 *   slot u32, generation (low 32 bits) u32, length in units u16, block flags u16, key bytes u16,
 *   0 u16, key */
#define MKV_DIRECTORY_RESULT_ENTRY_BYTES 16u
struct mkv_directory_result {
    uint32_t job;
    enum mkv_directory_job_kind kind;
    enum mkv_status status; /* OK; NO_SPACE or UNAVAILABLE: the listing is not complete */
    bool more;              /* SCAN: there are keys behind. PURGE: and batches */
    uint64_t count;         /* SCAN: of this batch. COUNT, PURGE: all so far, without segments */
    uint32_t batch_count;   /* entries of the batch */
    uint64_t data_offset;   /* from the start of the directory's memory; until the next pump, and
                             * of a PURGE until it goes on or ends */
    uint32_t data_bytes;
};
/* Hands out the next result; false when there is none. A job has ended with its result, but for a
 * PURGE with status OK. */
bool mkv_directory_take_result(struct mkv_directory *directory,
                               struct mkv_directory_result *result);
/* The batch of a PURGE has been dealt with, and there are more: the next one is made. */
void mkv_directory_job_continue(struct mkv_directory *directory, uint32_t job);
/* Ends a PURGE whose batch was handed out. */
void mkv_directory_job_end(struct mkv_directory *directory, uint32_t job);

/* ---- what it reports --------------------------------------------------------------------------
 */

enum mkv_directory_event_kind {
    MKV_DIRECTORY_EVENT_DAMAGED = 1, /* value: unit in the region */
    MKV_DIRECTORY_EVENT_REBUILT,     /* value: entries */
    MKV_DIRECTORY_EVENT_FULL,        /* value: units of the region */
    MKV_DIRECTORY_EVENT_ROOM_AGAIN,  /* value: units of the region */
    MKV_DIRECTORY_EVENT_OFF,         /* value: rebuilds that failed */
};
#define MKV_DIRECTORY_EVENT_COUNT 6u
struct mkv_directory_event {
    enum mkv_directory_event_kind kind;
    uint64_t value;
};
bool mkv_directory_take_event(struct mkv_directory *directory, struct mkv_directory_event *event);
void mkv_directory_stats(const struct mkv_directory *directory, const struct mkv_slot_table *table,
                         struct mkv_directory_stats *stats);
enum mkv_directory_state mkv_directory_state_of(const struct mkv_directory *directory);
/* Whether the tree, the queue and the catch-up hold all that was noted: what a scan now would
 * show is what is live. */
bool mkv_directory_is_complete(const struct mkv_directory *directory);

#endif
