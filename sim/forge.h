/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives and configurations that no honest hand made. A seed makes a small drive with some blocks,
 * tenants and names on it, then forges copies of it (forged_edit.h) and gives each to recovery
 * (forged_check.h); it draws geometries and configurations of which most are wrong, which must be
 * refused or work; it asks a front what no honest client asks, and has volumes answer another one
 * whatever a volume may.
 *
 * Invariants
 *  I1  What a seed does depends on the seed alone.
 *
 * Not responsible for: what was on a drive before; recovery promises no block of such a drive.
 */
#ifndef MKV_SIM_FORGE_H
#define MKV_SIM_FORGE_H

#include "sim/failure.h"

struct mkv_forge_report {
    uint64_t seeds;
    double seconds;
    uint64_t drives;                 /* forged, and given to recovery */
    uint64_t configurations;         /* drawn, and ... */
    uint64_t configurations_refused; /* ... of these, refused */
    uint64_t requests;               /* asked or disturbed */
    bool failed;
    struct mkv_failure failure;
    char image[64]; /* the file with the drive that failed, in the form of forged_image.h */
};

/* Forges from the seed `seed` on for so many seconds, one seed at least, and stops at the first
 * failure. The drive that failed is written to this folder. */
void mkv_forge_run(uint64_t seed, double seconds, struct mkv_forge_report *report);
/* `memkv-sim forge`: prints the report and returns the exit status. */
int mkv_forge_command(uint64_t seed, double seconds, bool as_json);

#endif
