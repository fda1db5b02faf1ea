/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How different the inputs of runs are: what clients ask, how often they come back to a key, and
 * how often what is bounded comes to its end. A workload that does not get there hides bugs.
 *
 * Invariants
 *  I1  Counting changes no run.
 *
 * Not responsible for: what is hit of the code (coverage), or of the faults (faults.h).
 */
#ifndef MKV_SIM_DIVERSITY_H
#define MKV_SIM_DIVERSITY_H

#include "core/volume.h"
#include "sim/json.h"

enum mkv_input_figure {
    MKV_INPUTS_READS = 0, /* of keys: GET, EXISTS, each key of a SCAN or COUNT */
    MKV_INPUTS_PUTS,
    MKV_INPUTS_REPLACES,
    MKV_INPUTS_DELETES,
    MKV_INPUTS_PURGES,
    MKV_INPUTS_EXPIRES,
    MKV_INPUTS_REUSES,   /* mutations of a key that was put before */
    MKV_INPUTS_REPEATS,  /* puts of an older version of the key */
    MKV_INPUTS_OVERLAPS, /* operations on a key while another one of it was unanswered */
    MKV_INPUTS_PLAIN,    /* EXISTS that neither use nor lease */
    MKV_INPUTS_IF_ABSENT,
    MKV_INPUTS_IF_PRESENT,
    MKV_INPUTS_ROOTS_LATER, /* puts whose root is that of the bytes that come */
    MKV_INPUTS_DEDUPLICATED,
    MKV_INPUTS_CHECKPOINTS,
    MKV_INPUTS_RING_WRAPS,
    MKV_INPUTS_EVICTIONS,
    MKV_INPUTS_EXTENTS_EMPTIED,
    MKV_INPUTS_TRIMS,
    /* Of several fronts. */
    MKV_INPUTS_REQUESTS_DIRECT,
    MKV_INPUTS_REQUESTS_WHOLE,
    MKV_INPUTS_REQUESTS_SPLIT,
    MKV_INPUTS_PARTS_REFUSED,
    MKV_INPUTS_EFFECTS_DROPPED,  /* for a connection that was gone when they came */
    MKV_INPUTS_TRANSFERS_FAILED, /* on their way to or from a connection that is gone */
    MKV_INPUTS_SEGMENTS_ABROAD,  /* messages to volumes of other fronts */
    /* Blocks of the ring that each row of recovery_table.h decided, in its order. */
    MKV_INPUTS_RECOVERY_ROWS,
    MKV_INPUTS_COUNT = MKV_INPUTS_RECOVERY_ROWS + MKV_RECOVERY_ROWS,
};

struct mkv_diversity {
    uint64_t figures[MKV_INPUTS_COUNT];
    uint64_t ring_thousandths; /* of journal rings that were written */
};

/* Adds what the volume did since it was started. */
void mkv_diversity_of(struct mkv_diversity *diversity, const struct mkv_volume_stats *stats);
void mkv_diversity_add(struct mkv_diversity *sum, const struct mkv_diversity *more);
/* The name of a figure, as the command prints it. */
const char *mkv_diversity_name(enum mkv_input_figure figure);
void mkv_diversity_print(const struct mkv_diversity *diversity, struct mkv_json *json);

#endif
