/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which planted bug is on, and the hunt for it: all but nothing in what ships.
 */
#include "sim/canaries.h"

#ifdef MKV_CANARIES

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NO_CANARY UINT32_MAX

/* Core and lane ask without a context, so it is asked of the process; set before any run. */
static unsigned canary_planted = NO_CANARY;

bool mkv_canary_is_on(unsigned canary) {
    return canary == canary_planted;
}

/* What core and lane call the planted bug of this number. */
static unsigned canary_at(unsigned number) {
    MKV_ASSERT(number < MKV_CANARIES_ALL);
    return number < MKV_CANARY_COUNT ? number : MKV_LANE_CANARY_FIRST + (number - MKV_CANARY_COUNT);
}

static bool is_of_lane(unsigned canary) {
    return canary >= MKV_LANE_CANARY_FIRST;
}

static const char *name_of(unsigned canary) {
    return is_of_lane(canary) ? mkv_lane_canary_name(canary) : mkv_canary_name(canary);
}

static const char *description_of(unsigned canary) {
    return is_of_lane(canary) ? mkv_lane_canary_description(canary)
                              : mkv_canary_description(canary);
}

void mkv_canary_plant(unsigned number) {
    canary_planted = canary_at(number);
}

const char *mkv_canary_planted_name(void) {
    return canary_planted != NO_CANARY ? name_of(canary_planted) : "";
}

unsigned mkv_canary_of_name(const char *name) {
    unsigned number = 0;
    while (number < MKV_CANARIES_ALL && strcmp(name_of(canary_at(number)), name) != 0) {
        number++;
    }
    return number;
}

bool mkv_canary_plant_named(const char *name) {
    const unsigned number = mkv_canary_of_name(name);
    if (number < MKV_CANARIES_ALL) {
        mkv_canary_plant(number);
    }
    return number < MKV_CANARIES_ALL;
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Whether the world of the seed has what the bug is in: only one has drives that come and go, only
 * one a front, one lanes; and some have neither tiers nor sessions, nor several fronts, nor write
 * less than all. */
static bool seed_fits(uint64_t seed, unsigned canary) {
    struct mkv_shape shape;
    mkv_shape_draw(&shape, seed);
    const bool of_the_set = canary >= MKV_CANARY_SET_OPENED_WITH_MISSING_MEMBER &&
                            canary <= MKV_CANARY_RETURNED_DRIVE_KEEPS_CONTENT;
    const bool of_the_front = canary >= MKV_CANARY_RESIDENT_KEPT_OVER_REPLACE &&
                              canary <= MKV_CANARY_LIVE_SEGMENTS_DROPPED;
    const bool of_ends = canary >= MKV_CANARY_DROPPED_REQUEST_NOT_TOLD &&
                         canary <= MKV_CANARY_FLUSH_TIME_COUNTED_TWICE;
    const bool of_tiers =
        canary >= MKV_CANARY_DEMOTION_CAPTURED && canary <= MKV_CANARY_TIERS_IGNORED;
    const bool of_routing =
        canary >= MKV_CANARY_PART_ANSWER_LOST && canary <= MKV_CANARY_ANSWERED_BY_FIRST_PART;
    const bool of_admission = canary == MKV_CANARY_UNWRITTEN_PUT_OVER_OLD;
    const bool refuses = shape.admission != MKV_ADMISSION_ALWAYS || shape.avoids;
    const bool of_lanes = is_of_lane(canary);
    return (shape.world == MKV_WORLD_LANES) == of_lanes && (!of_routing || shape.fronts > 1) &&
           (!of_admission || refuses) && (shape.world == MKV_WORLD_SET) == of_the_set &&
           (!of_tiers || shape.share_tier > 0) &&
           (!(of_the_front || of_ends) || shape.world == MKV_WORLD_FRONT);
}

/* A bug that one kind of fault alone can show is hunted where nothing else happens: seeds draw that
 * fault, at a rate that is worth waiting for, too seldom. The others meet what the seeds draw. */
static const struct canary_faults {
    enum mkv_canary canary;
    const char *faults;
} canary_faults[] = {
    {MKV_CANARY_SUPERBLOCK_ALL_AT_ONCE, "none"},
    {MKV_CANARY_SUPERBLOCK_NOT_REPAIRED, "rot,reordering"},
    {MKV_CANARY_SINGLE_COPY_NOT_REPAIRED, "rot,reordering"},
    {MKV_CANARY_TRIM_OVERLAPS_WRITE, "reordering,slow"},
    {MKV_CANARY_NO_ROOM_RETIRES_SLOT, "no-room,reordering"},
    {MKV_CANARY_FLUSH_ERROR_IGNORED, "flush-error,reordering"},
    {MKV_CANARY_SUPERBLOCK_ERROR_IGNORED, "write-device,reordering"},
    {MKV_CANARY_DATA_ERROR_IGNORED, "write-device,reordering"},
    {MKV_CANARY_FAILED_SLOT_REUSED, "write-device,reordering"},
    {MKV_CANARY_LATE_TRIM_IGNORED, "trim-timeout"},
    {MKV_CANARY_MEDIUM_READ_NOT_QUARANTINED, "read-medium,reordering"},
    {MKV_CANARY_QUARANTINE_OF_WHAT_FOLLOWED, "rot,reordering"},
    {MKV_CANARY_RANGE_UNCHECKED, "rot"},
    {MKV_CANARY_CHECKPOINT_NUMBER_REUSED, "stale-read,reordering"},
    {MKV_CANARY_OPENED_WITHOUT_FLUSH, "none"},
    {MKV_CANARY_SHRUNK_DRIVE_OPENED, "shrunk"},
    {MKV_CANARY_SCAN_IGNORES_STAMPS, "rot-pair,reordering"},
};

static const char *faults_of(unsigned canary, struct mkv_run_choice *choice) {
    *choice = (struct mkv_run_choice){0};
    for (uint32_t index = 0; index < sizeof canary_faults / sizeof canary_faults[0]; index++) {
        if (canary_faults[index].canary == canary) {
            char unknown[MKV_FAULT_NAME_BYTES];
            choice->has_faults = true;
            const bool known =
                mkv_faults_parse(canary_faults[index].faults, &choice->fault_mask, unknown);
            MKV_ASSERT(known);
            return canary_faults[index].faults;
        }
    }
    return "drawn";
}

/* What all hunts for one bug share. */
struct hunting {
    unsigned canary;
    struct mkv_run_choice choice;
    struct mkv_memory memory;
};

/* Runs one seed; whether it catches the bug. */
static bool try_seed(struct hunting *hunting, uint64_t seed, struct mkv_canary_hunt *hunt) {
    struct mkv_seed_outcome outcome;
    mkv_run_seed(seed, &hunting->choice, &hunting->memory, NULL, NULL, 0, &outcome);
    hunt->seed = seed;
    hunt->seed_crashes = outcome.report.crashes;
    hunt->crashes += outcome.report.crashes;
    hunt->caught = outcome.failed;
    hunt->failure = outcome.failure;
    return outcome.failed;
}

/* One hunt: the seeds from `seed` on, until an oracle fires. */
static void hunt_from(struct hunting *hunting, uint64_t seed, struct mkv_canary_hunt *hunt) {
    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    bool caught = false;
    for (uint32_t turn = 0;
         turn < MKV_CANARY_SEEDS_MAX && !caught && seconds_since(&start) < MKV_CANARY_SECONDS_MAX;
         turn++) {
        while (!seed_fits(seed, hunting->canary)) {
            seed++;
        }
        caught = try_seed(hunting, seed++, hunt);
    }
}

/* The one hunt that is made where seeds are known: those first, all others if they are stale. */
static void hunt_known(struct hunting *hunting, const struct mkv_canary_seeds *seeds,
                       struct mkv_canary_hunt *hunt) {
    const struct mkv_canary_seeds_row *row = mkv_canary_seeds_find(seeds, name_of(hunting->canary));
    for (uint32_t index = 0; row != NULL && index < row->count && !hunt->is_known; index++) {
        hunt->is_known = seed_fits(row->seeds[index], hunting->canary) &&
                         try_seed(hunting, row->seeds[index], hunt);
    }
    if (!hunt->is_known) {
        hunt_from(hunting, 1, hunt);
    }
}

static void print_hunt(const struct mkv_canary_hunt *hunt) {
    char oracle[16] = "-";
    if (hunt->caught) {
        (void)mkv_oracle_name(hunt->failure.oracle, oracle);
    }
    printf("%d\t%d\t%llu\t%llu\t%llu\t%s\t%s\n", hunt->caught ? 1 : 0, hunt->is_known ? 1 : 0,
           (unsigned long long)hunt->seed, (unsigned long long)hunt->seed_crashes,
           (unsigned long long)hunt->crashes, oracle, hunt->caught ? hunt->failure.text : "-");
}

int mkv_canary_hunt(unsigned number, const struct mkv_canary_seeds *seeds) {
    struct hunting hunting = {.canary = canary_at(number)};
    if (!mkv_run_memory_create(&hunting.memory)) {
        fputs(MKV_CANARY_PROGRAM ": there is no address space for a run; raise ulimit -v\n",
              stderr);
        return 1;
    }
    mkv_canary_plant(number);
    const char *faults = faults_of(hunting.canary, &hunting.choice);
    printf("%s\t%s\t%s\n", name_of(hunting.canary), faults, description_of(hunting.canary));
    uint64_t seed = 1;
    bool caught = true;
    const uint32_t hunts = seeds != NULL ? 1 : MKV_CANARY_HUNTS;
    for (uint32_t index = 0; index < hunts && caught; index++) {
        struct mkv_canary_hunt hunt = {.seed = seed};
        if (seeds != NULL) {
            hunt_known(&hunting, seeds, &hunt);
        } else {
            hunt_from(&hunting, seed, &hunt);
        }
        print_hunt(&hunt);
        caught = hunt.caught;
        seed = hunt.seed + 1; /* so that no two hunts share a seed */
    }
    mkv_memory_destroy(&hunting.memory);
    return 0;
}

#else

/* What ships has no planted bugs. */
const char *mkv_canary_planted_name(void) {
    return "";
}

unsigned mkv_canary_of_name(const char *name) {
    (void)name;
    return MKV_CANARIES_ALL;
}

bool mkv_canary_plant_named(const char *name) {
    (void)name;
    return false;
}

#endif
