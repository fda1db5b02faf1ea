/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a bundle smaller while the same oracle fires: fewer crashes, client turns, faults, keys,
 * clients, and a smaller drive.
 *
 *   cut       what comes behind the failure is left out
 *   leap      other runs of the same kind: one crash and few turns, then two crashes, ... each with
 *             other decisions, and without some of the faults and figures; whichever fails in the
 *             same way with fewer turns takes the place of the one that there is
 *   delete    turns, in pieces of half of what is left down to one by one
 *   simplify  each fault off, each figure of the shape to its least, or half way there
 *   ... and again while anything became smaller; and with more tries while much is left
 *
 * A turn that is left out moves all that comes after it in time, so that the crash comes at another
 * moment. What fails then only with other decisions of drive and schedule (another `decisions` of
 * the bundle) counts as the same failure: what is asked, and what the oracle says, stay.
 *
 * Invariants
 *  I1  The bundle that comes out fails with the same oracle; each step was run.
 *  I2  It ends: after MKV_MINIMIZE_RUNS_MAX runs, when the time of the processor is used up that it
 *      was given, or when nothing gets smaller.
 *
 * Not responsible for: finding the failure that matters among several of the same oracle.
 */
#ifndef MKV_SIM_MINIMIZE_H
#define MKV_SIM_MINIMIZE_H

#include "sim/bundle.h"

#define MKV_MINIMIZE_RUNS_MAX 400000u
#define MKV_MINIMIZE_SECONDS_MAX 60.0

struct mkv_minimize_figures {
    uint64_t runs;
    uint64_t turns_before;
    uint64_t turns_after;
    uint32_t fields_shrunk;
    uint32_t faults_removed;
};

/* False when the bundle does not fail as it says. */
bool mkv_minimize(struct mkv_bundle *bundle, struct mkv_memory *memory, double seconds_max,
                  struct mkv_minimize_figures *figures);

#endif
