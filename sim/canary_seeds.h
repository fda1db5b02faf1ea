/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of seeds that caught planted bugs, the cheapest first, so that a hunt need not look for
 * them again:
 *
 *   record-before-data<tab>1 2 4
 *
 * Lines that begin with # say how the file was made. A seed may be out of date: core and simulator
 * change, and with them what a seed comes to. Then it costs its time and finds nothing.
 *
 * Not responsible for: whether there are such bugs, and whether the seeds catch them (canaries.h).
 */
#ifndef MKV_SIM_CANARY_SEEDS_H
#define MKV_SIM_CANARY_SEEDS_H

#include <stdio.h>

#include "core/base.h"

#define MKV_CANARY_SEEDS_EACH 5u
#define MKV_CANARY_SEEDS_ROWS 256u
#define MKV_CANARY_SEEDS_NAME_BYTES 56u
#define MKV_CANARY_SEEDS_PROBLEM_BYTES 160u

struct mkv_canary_seeds_row {
    char name[MKV_CANARY_SEEDS_NAME_BYTES];
    uint32_t count;
    uint64_t seeds[MKV_CANARY_SEEDS_EACH]; /* in the order in which they are tried */
};

struct mkv_canary_seeds {
    uint32_t count;
    struct mkv_canary_seeds_row rows[MKV_CANARY_SEEDS_ROWS];
};

/* Reads all rows. False where a line is none; `problem` then says which, and what it should be. */
bool mkv_canary_seeds_read(FILE *file, struct mkv_canary_seeds *seeds,
                           char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES]);
/* The file of this path, likewise; also false where it cannot be opened. */
bool mkv_canary_seeds_load(const char *path, struct mkv_canary_seeds *seeds,
                           char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES]);
/* The row of this bug; NULL: there is none. */
const struct mkv_canary_seeds_row *mkv_canary_seeds_find(const struct mkv_canary_seeds *seeds,
                                                         const char *name);
/* Writes what mkv_canary_seeds_read reads, behind how it was made. False: an error of the file. */
bool mkv_canary_seeds_write(FILE *file, const struct mkv_canary_seeds *seeds);

#endif
