/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a long run is, on one line of a terminal that is written over a few times a second.
 *
 * Invariants
 *  I1  Nothing is written where the stream is no terminal.
 *
 * Not responsible for: what a run came to (command.c).
 */
#ifndef MKV_SIM_PROGRESS_H
#define MKV_SIM_PROGRESS_H

#include <stdio.h>

#include "core/base.h"

struct mkv_progress {
    FILE *out; /* NULL: it is no terminal */
    double seconds;
    double shown_s; /* when the line was written last, in seconds of the run */
};

/* `seconds` is how long the run is to take. */
void mkv_progress_begin(struct mkv_progress *progress, FILE *out, double seconds);
/* Writes the line, unless it was written a moment ago. */
void mkv_progress_show(struct mkv_progress *progress, double run_s, uint64_t seeds,
                       uint64_t crashes, uint32_t failures);
/* Takes the line away. */
void mkv_progress_end(struct mkv_progress *progress);

#endif
