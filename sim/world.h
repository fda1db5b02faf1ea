/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run from its first format to its last check: which worlds there are, and what each reports.
 *
 *   FORMAT -> OPEN -> verify -> work -> crash -+       ... crashes_max times ...
 *               ^                              |
 *               +---- perhaps cut again -------+       -> drain, check, close, open, verify
 *
 * Invariants
 *  I1  A crash counts when a recovery ran to its end on what it left, every oracle was held against
 *      it, and every key was read back.
 *  I2  All memory of a run comes from `memory`, so a run may be left at any point.
 *
 * Not responsible for: which seeds are run (run.h).
 */
#ifndef MKV_SIM_WORLD_H
#define MKV_SIM_WORLD_H

#include <stdio.h>

#include "sim/diversity.h"
#include "sim/memory.h"
#include "sim/shape.h"

struct mkv_images;

struct mkv_world_options {
    const struct mkv_shape *shape;
    struct mkv_memory *memory;
    struct mkv_images *images; /* NULL, or what crashes left is added */
    FILE *log;                 /* NULL, or every input and effect is printed */
    /* NULL, or all that happens is decided here instead of by the shape's seed; when nothing is
     * left to decide, nothing more is asked, and all drains. The volume world only. */
    struct mkv_decisions *decisions;
    /* 0, or the number of an input or effect, from 1 on, with which the run is cut off: instead of
     * it the process dies, the next one serves, everything is read back, and all drains. Not in the
     * worlds of drive sets, shards and lanes. */
    uint64_t cut_at;
    enum mkv_cut_end {
        MKV_CUT_NOTHING_KEPT = 0, /* power is lost, and with it what is not durable */
        MKV_CUT_ALL_KEPT,         /* or the newest of all that was written is there */
        MKV_CUT_KILL,             /* the process is killed */
    } cut_end;
    uint64_t entries_max; /* 0, or a run of more (trace.h) ends, by no oracle */
    /* Added to the patterns that memory holds before a restart. Runs that differ in it alone have
     * the same trace, unless the core reads what it has not written (O13). */
    uint8_t pattern_salt;
};

#define MKV_CUT_ENDS 3u
/* The log says so where it is. */
#define MKV_CUT_NOTE "cut off"

/* What became of extents, of blocks that made room, and of the directory. */
struct mkv_world_changes {
    uint64_t puts_overtaken;
    uint64_t scrubbed; /* blocks */
    uint64_t scrub_damaged;
    uint64_t evictions;
    uint64_t extents_given;         /* to a class, and ... */
    uint64_t extents_given_spanned; /* ... of these, several as one */
    uint64_t extents_given_back;
    uint64_t extents_emptied;
    uint64_t emptyings_given_up;
    uint64_t puts_not_admitted; /* relaxed ones that were not written (core/volume_admission.c) */
    uint64_t directory_commits;
    uint64_t directory_caught_up; /* keys that it had from headers */
    uint64_t directory_rebuilds;
    uint64_t listings; /* that ended with a list of all keys */
};

/* What the memory tier did, of all processes. */
struct mkv_world_memory {
    uint64_t hits;
    uint64_t reads_shared;
    uint64_t reads_not_kept;
    uint64_t taken; /* blocks, for slabs */
    uint64_t puts_early;
    uint64_t
        puts_early_lost; /* since they could not be written; what crashes took is not counted */
};

/* Kept up to date while the run goes on, so that it is there when the run is left. */
/* The rows of the drive set's decision (core/drive_set.h) that the set world meets. */
enum mkv_set_row {
    MKV_SET_ROW_KEPT = 0,
    MKV_SET_ROW_RAISED,
    MKV_SET_ROW_JOINS_EMPTY,
    MKV_SET_ROW_NEW_STORE,
    MKV_SET_ROW_FIRST_START_GOES_ON,
    MKV_SET_ROW_NEW_DRIVE_JOINS,
    MKV_SET_ROW_LOST_MISSING,
    MKV_SET_ROW_LOST_OF_TWO_SETS,
    MKV_SET_ROW_INCOMPLETE,
    MKV_SET_ROW_FOREIGN,
    MKV_SET_ROW_TWINS,
    MKV_SET_ROW_TORN,
    MKV_SET_ROW_NO_MEMBER,
    MKV_SET_ROW_TWO_SETS,
    MKV_SET_ROW_MISSING,
    MKV_SET_ROW_TAKEN_OUT,    /* by the operator, while others serve … */
    MKV_SET_ROW_BROUGHT_BACK, /* … and back, as one that was gone */
    MKV_SET_ROW_COUNT
};
const char *mkv_set_row_name(enum mkv_set_row row);

struct mkv_world_report {
    uint64_t crashes;
    uint64_t recoveries_cut;
    uint64_t operations;   /* answered */
    uint64_t client_turns; /* when clients could ask something */
    uint64_t evaluations;  /* of oracles */
    uint64_t trace_hash;
    uint64_t entries; /* of the trace */
    uint64_t begun;   /* inputs and effects, when the last turn ended; not of the set world */
    uint64_t set_rows[MKV_SET_ROW_COUNT];
    uint64_t losses; /* misses that faults explain */
    uint64_t hits[MKV_FAULT_COUNT];
    uint64_t fault_candidates; /* of a sweep: operations that its fault could strike */
    struct mkv_world_changes changes;
    struct mkv_world_memory memory;
    struct mkv_diversity diversity; /* of the volume and the front world */
};

/* All return when all went well, and are left by mkv_fail otherwise. */
void mkv_volume_world_run(const struct mkv_world_options *options, struct mkv_world_report *report);
void mkv_front_world_run(const struct mkv_world_options *options, struct mkv_world_report *report);
void mkv_set_world_run(const struct mkv_world_options *options, struct mkv_world_report *report);
void mkv_shards_world_run(const struct mkv_world_options *options, struct mkv_world_report *report);
void mkv_lanes_world_run(const struct mkv_world_options *options, struct mkv_world_report *report);

/* Adds what is counted; neither turns, trace nor candidates. */
void mkv_world_report_add(struct mkv_world_report *sum, const struct mkv_world_report *more);

#endif
