/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can happen to a very small store: every sequence of a few operations, cut off
 * after every input and effect, with every image that the drive may then have. Each is recovered
 * and held against the oracles (audit.h, watch.h, model.h), cut off at once and recovered again.
 *
 *   format, open                    one schedule: each I/O takes as long as the others
 *     step, step, step              each when the one before has ended, or beside it
 *       crash after t               every t from the beginning of the last step on
 *         end e                     every content of every unit that is not durable, and of a
 *                                   killed process every way for what is in flight: now, later,
 *                                   never
 *           open, read all keys     O1, O2, O4, O5, O7, O8 and those on effects
 *             power lost, open      O7, O8
 *
 * A sequence without its last step was run before, so crashes count from that step on. A crash
 * whose image and answers were met before is recovered once. Where a crash has more ends than
 * MKV_DRIVE_SIM_ENDS_MAX by power, or by kill, so many are taken, at equal distances of their
 * numbers, and such a crash is counted.
 *
 * Steps: put of two contents, put that expires, replace, delete and get, of two keys; checkpoint;
 * time to pass, in which what is idle is written and blocks expire; closing, as the last one. The
 * first key that is named is key 0: the other way round is the same.
 *
 * Invariants
 *  I1  What is run depends on the core alone: not on a seed, nor on time.
 *
 * Not responsible for: faults, torn units, orders of I/O (run.h, sweep.h have these).
 */
#ifndef MKV_SIM_EXHAUSTIVE_H
#define MKV_SIM_EXHAUSTIVE_H

#include "sim/failure.h"
#include "sim/volume_world.h"

#define MKV_EXHAUSTIVE_STEPS_MAX 3u
#define MKV_EXHAUSTIVE_FAILURES_MAX 4u
/* Bytes of a sequence in words. */
#define MKV_EXHAUSTIVE_TEXT_BYTES 160u

struct mkv_exhaustive_step {
    uint32_t action; /* of the table in exhaustive.c */
    bool beside;     /* it begins with the one before */
};

/* One crash: what is asked, and where it ends. */
struct mkv_exhaustive_case {
    uint32_t step_count;
    struct mkv_exhaustive_step steps[MKV_EXHAUSTIVE_STEPS_MAX];
    uint32_t crash_after; /* inputs and effects; MKV_NONE_U32: none */
    uint64_t end;
};

struct mkv_exhaustive_failure {
    struct mkv_exhaustive_case at;
    struct mkv_failure failure;
};

struct mkv_exhaustive_outcome {
    uint32_t operations;
    uint64_t sequences;
    uint64_t crash_points;
    uint64_t ends;        /* that were run */
    uint64_t recoveries;  /* of those, with an image and answers that were not met before */
    uint64_t ends_widest; /* of one crash */
    uint64_t points_cut;  /* crashes that have more ends than were taken */
    uint64_t evaluations;
    bool complete; /* neither a failure nor the time ended it */
    double seconds;
    uint32_t failure_count;
    struct mkv_exhaustive_failure failures[MKV_EXHAUSTIVE_FAILURES_MAX];
};

/* Every sequence of up to so many operations, for at most so many seconds. False when there is no
 * memory for what was met. */
bool mkv_exhaustive_run(uint32_t operations, double seconds_max, struct mkv_memory *memory,
                        struct mkv_exhaustive_outcome *outcome);
/* Runs one case, and prints every input and effect. True when it fails. */
bool mkv_exhaustive_run_case(const struct mkv_exhaustive_case *at, struct mkv_memory *memory,
                             FILE *log, struct mkv_failure *failure);
/* The steps in words: "put a 1, delete a | get b", where a bar says beside. */
const char *mkv_exhaustive_text(const struct mkv_exhaustive_case *at,
                                char text[MKV_EXHAUSTIVE_TEXT_BYTES]);
/* The steps of such words; false where they are none. */
bool mkv_exhaustive_parse(const char *text, struct mkv_exhaustive_case *at);

#endif
