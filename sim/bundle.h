/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run that failed, as one file of text that runs again: what the run was, what its client turns
 * were left out of, which oracle fired, and how it came to that.
 *
 *   memkv-sim bundle 1          what it is
 *   version 0.1.0               that wrote it
 *   canary NAME                 the planted bug that was on, or none
 *   seed N                      draws the shape; what follows stands in the place of what it draws
 *   oracle O1                   which fired, and ...
 *   text ...                    ... what it said
 *   trace 0123456789abcdef      hash of all inputs and effects up to there
 *   operations N                client turns up to there that were not left out
 *   FIELD VALUE                 one line for each figure of the shape (shape_fields.c)
 *   faults slow,rot             those that are on
 *   skipped 0-17 19 23-40       client turns that are left out
 *   timeline                    all behind this line is for people: the last lines of the run
 *
 * Invariants
 *  I1  What was written reads as it was; running it gives the same trace with the same core.
 *  I2  A figure that a bundle does not name, as it is younger, is the one that the seed draws.
 *
 * Not responsible for: making it smaller (minimize.h).
 */
#ifndef MKV_SIM_BUNDLE_H
#define MKV_SIM_BUNDLE_H

#include <stdio.h>

#include "sim/run.h"

#define MKV_BUNDLE_NAME_BYTES 64u
/* Lines of the timeline that are kept, and bytes of each. */
#define MKV_BUNDLE_TIMELINE_LINES 400u
#define MKV_BUNDLE_LINE_BYTES 512u

struct mkv_bundle {
    uint64_t seed;
    struct mkv_shape shape;
    char canary[MKV_BUNDLE_NAME_BYTES]; /* empty: none */
    enum mkv_oracle oracle;
    char text[MKV_FAILURE_TEXT_BYTES];
    uint64_t trace_hash;
    uint64_t operations;
};

/* What a failed run was. */
void mkv_bundle_of(struct mkv_bundle *bundle, const struct mkv_seed_outcome *outcome);
/* Runs it again and writes it with its timeline. False when the file cannot be written. */
bool mkv_bundle_write(const struct mkv_bundle *bundle, struct mkv_memory *memory, FILE *file);
/* NULL, or what is wrong with the file. */
const char *mkv_bundle_read(struct mkv_bundle *bundle, FILE *file);
/* Runs it. */
void mkv_bundle_run(const struct mkv_bundle *bundle, struct mkv_memory *memory, FILE *log,
                    struct mkv_seed_outcome *outcome);
/* Whether the outcome is the failure that the bundle has: the same oracle, of assertions the same
 * one. */
bool mkv_bundle_is_same(const struct mkv_bundle *bundle, const struct mkv_seed_outcome *outcome);
/* Client turns that are not left out, of the first so many. */
uint64_t mkv_bundle_turns_left(const struct mkv_shape *shape, uint64_t turns);

/* ---- figures of a shape by name; shape_fields.c ---------------------------------------------- */

struct mkv_shape_field {
    const char *name;
    uint32_t offset;
    uint32_t bytes; /* 1, 4 or 8 */
    uint64_t least; /* the least that makes sense */
    bool shrinks;   /* a smaller figure makes a simpler run */
};
uint32_t mkv_shape_field_count(void);
const struct mkv_shape_field *mkv_shape_field_at(uint32_t index);
const struct mkv_shape_field *mkv_shape_field_find(const char *name);
uint64_t mkv_shape_field_get(const struct mkv_shape *shape, const struct mkv_shape_field *field);
/* False when the value does not fit. */
bool mkv_shape_field_set(struct mkv_shape *shape, const struct mkv_shape_field *field,
                         uint64_t value);
/* Whether the shape can be run at all: figures from a file, or made smaller, may not go together.
 */
bool mkv_shape_sound(const struct mkv_shape *shape);

#endif
