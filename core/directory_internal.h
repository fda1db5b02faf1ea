/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the directory share.
 *
 *   directory.c         arena, notes, applying, catch-up, sweeping, damage, figures
 *   directory_load.c    opening: root units, then the inner nodes
 *   directory_commit.c  commits, and the hand-out of I/O
 *   directory_job.c     SCAN, COUNT, PURGE
 *
 * Not responsible for: what others see of the directory (directory.h).
 */
#ifndef MKV_CORE_DIRECTORY_INTERNAL_H
#define MKV_CORE_DIRECTORY_INTERNAL_H

#include "core/directory.h"
#include "core/directory_queue.h"
#include "core/directory_tree.h"

enum directory_phase {
    PHASE_CLOSED = 0,
    PHASE_ROOTS,
    PHASE_NODES,
    PHASE_READY,
    PHASE_DRAINING, /* damaged: until nothing is in flight */
    PHASE_OFF,
};

enum directory_commit_step {
    COMMIT_IDLE = 0,
    COMMIT_NODES,
    COMMIT_NODES_FLUSH, /* wants a flush */
    COMMIT_NODES_FLUSHING,
    COMMIT_ROOT, /* wants the root unit written */
    COMMIT_ROOT_WRITING,
    COMMIT_ROOT_FLUSH,
    COMMIT_ROOT_FLUSHING,
};

enum directory_io_use {
    IO_USE_NONE = 0,
    IO_USE_READ_NODE,
    IO_USE_WRITE_NODE,
    IO_USE_READ_ROOT,
    IO_USE_WRITE_ROOT,
};
struct directory_io_slot {
    enum directory_io_use use;
    uint32_t index; /* frame, or root unit */
};

enum directory_job_state {
    JOB_FREE = 0,
    JOB_WAITING, /* until what was durable when it came is applied */
    JOB_RUNNING,
    JOB_RESULT, /* waits to be handed out */
    JOB_HELD,   /* PURGE: waits to be continued */
};
struct directory_job {
    enum directory_job_state state;
    enum mkv_directory_job_kind kind;
    enum mkv_status status;
    uint64_t pushed_needed; /* notes that have to be applied first */
    uint64_t lap_needed;    /* the lap of the catch-up that has to have ended, if any is unlisted */
    struct mkv_directory_key prefix;
    struct mkv_directory_key cursor; /* where the walk goes on */
    bool past_cursor;                /* behind it, not at it */
    bool more;
    uint32_t count_max;
    uint32_t bytes_max;
    uint32_t batch_count;
    uint32_t batch_bytes;
    uint64_t count;
};

struct mkv_directory {
    struct mkv_directory_tree tree; /* first: its cache's offsets count from here */
    struct mkv_directory_config config;
    enum directory_phase phase;
    bool closing;
    uint64_t now_ns;

    /* offsets from the start of this struct */
    uint64_t jobs_offset;
    uint64_t results_offset;
    uint64_t roots_offset; /* MKV_DIRECTORY_ROOTS units */
    struct mkv_directory_queue queue;

    /* positions */
    struct mkv_directory_floor noted;   /* told last */
    struct mkv_directory_floor marked;  /* told when the queue had mark_pushed notes */
    struct mkv_directory_floor drained; /* of the last mark that the queue has come to */
    struct mkv_directory_floor applied;
    uint64_t mark_pushed;

    /* slots that are not listed */
    uint64_t unlisted_count;
    uint32_t table_cursor; /* opening and rebuilding: slots below it have been looked at */
    bool table_looked;     /* ... and so have all others */
    bool list_all;         /* every live slot is unlisted, not only the newer ones */
    uint64_t listed_generation;
    bool lap_active;
    bool lap_failed; /* a header could not be had, or there was no room for a key */
    uint32_t lap_cursor;
    bool lap_read_all;
    uint64_t lap_pushed; /* notes pushed when all was read */
    uint64_t lap_started;
    uint64_t lap_ok;   /* the last lap that listed all it met */
    uint64_t lap_over; /* the last lap that has ended */
    uint64_t lap_not_before_ns;
    struct mkv_directory_floor lap_floor;
    uint32_t catch_up_in_flight;

    /* changes */
    bool commit_needed; /* nothing can be applied before one */
    bool full;
    uint64_t full_entries; /* entries and free pages when it became full */
    uint32_t full_pages_free;
    bool sweeping;
    uint64_t stale_floor; /* stale entries by the counts when the last sweep ended */
    struct mkv_directory_key sweep_cursor;
    uint64_t swept_total;
    uint64_t caught_up_total;

    /* commit */
    enum directory_commit_step commit_step;
    uint64_t commit;          /* number of the last one begun; 0 none */
    uint64_t committed_count; /* changes of the tree that it covers */
    struct mkv_directory_floor committed_floor;
    struct mkv_directory_floor committing_floor;
    uint64_t committing_count;
    uint64_t changed_since_ns;
    bool changed;
    uint64_t commits_total;

    /* opening */
    uint32_t roots_pending;
    bool roots_valid[MKV_DIRECTORY_ROOTS];
    struct mkv_directory_root roots[MKV_DIRECTORY_ROOTS];
    uint32_t load_nodes; /* nodes that the root counts */
    struct mkv_directory_key load_cursor;

    /* damage */
    bool rebuilding;
    bool rebuild_told; /* there was something to rebuild: its end is reported */
    uint32_t rebuild_tries;
    uint64_t rebuilds_total;
    uint64_t damaged_total;
    uint64_t io_errors_total;

    struct directory_io_slot io[MKV_DIRECTORY_IO_MAX];
    uint32_t reads_in_flight;
    uint32_t writes_in_flight;
    bool flush_out;
    uint32_t events_pending; /* bit k: an event of kind k */
    uint64_t event_values[MKV_DIRECTORY_EVENT_COUNT];
    uint32_t result_next; /* the job that is looked at first for a result */
    bool progress;        /* the last pump got on, and another one may */
    uint64_t node_reads_total;
    uint64_t node_writes_total;
    uint64_t leaf_miss_us_sum;
    uint64_t leaf_miss_us[MKV_DIRECTORY_MISS_BOUNDS + 1];
};

static inline struct directory_job *directory_jobs(const struct mkv_directory *directory) {
    return (struct directory_job *)((uintptr_t)directory + directory->jobs_offset);
}
static inline uint64_t directory_result_offset(const struct mkv_directory *directory,
                                               uint32_t job) {
    return directory->results_offset + (uint64_t)job * directory->config.result_bytes;
}
static inline uint64_t directory_root_offset(const struct mkv_directory *directory,
                                             uint32_t which) {
    return directory->roots_offset + (uint64_t)which * MKV_UNIT_BYTES;
}
static inline uint8_t *directory_bytes(const struct mkv_directory *directory, uint64_t offset) {
    return (uint8_t *)((uintptr_t)directory + offset);
}

/* ---- directory.c ----------------------------------------------------------------------------- */

void mkv_directory_report(struct mkv_directory *directory, enum mkv_directory_event_kind kind,
                          uint64_t value);
/* What stands on the drive, or was to be put there, is not to be relied on. */
void mkv_directory_damage(struct mkv_directory *directory, uint32_t unit);
/* Entries of the tree whose block is gone, by the counts. */
uint64_t mkv_directory_stale(const struct mkv_directory *directory,
                             const struct mkv_slot_table *table);

/* ---- directory_load.c ------------------------------------------------------------------------ */

void mkv_directory_load_begin(struct mkv_directory *directory);
void mkv_directory_load_root_done(struct mkv_directory *directory, uint32_t which, bool read);
void mkv_directory_load_pump(struct mkv_directory *directory);
/* Slots that one step looks at, which has this bound of its own. */
static inline uint32_t directory_step_slots(const struct mkv_directory *directory,
                                            uint32_t own_max) {
    const uint32_t wanted = directory->config.step_slots;
    return wanted == 0 ? own_max : (uint32_t)mkv_min_u64(wanted, own_max);
}
/* The next live slot from *cursor on, which moves behind it; false when *looks_left are used up, or
 * at the end, where *cursor is MKV_NONE_U32. The entries of pages that no extent has hold anything.
 */
bool mkv_directory_next_live(const struct mkv_slot_table *table, uint32_t *cursor,
                             uint32_t *looks_left, struct mkv_slot *slot);
/* Looks at a piece of the table for slots that are not listed. */
void mkv_directory_look_at_table(struct mkv_directory *directory, struct mkv_slot_table *table);

/* ---- directory_commit.c ---------------------------------------------------------------------- */

void mkv_directory_commit_pump(struct mkv_directory *directory);
bool mkv_directory_io_quiet(const struct mkv_directory *directory);

/* ---- directory_job.c ------------------------------------------------------------------------- */

void mkv_directory_jobs_pump(struct mkv_directory *directory, const struct mkv_slot_table *table);
/* Ends every job with this status. */
void mkv_directory_jobs_refuse(struct mkv_directory *directory, enum mkv_status status);

#endif
