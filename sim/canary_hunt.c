/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the canaries that is in memkv-sim-canary alone: which bug is on, and the hunt for it.
 */
#include "sim/canaries.h"

#ifdef MKV_CANARIES

#include <stdio.h>
#include <time.h>

#include "core/canary.h"

/* The core asks without a context, so it is asked of the process; set before any run. */
static unsigned canary_planted = MKV_CANARY_COUNT;

bool mkv_canary_is_on(unsigned canary) {
    return canary == canary_planted;
}

void mkv_canary_plant(unsigned canary) {
    MKV_ASSERT(canary < MKV_CANARY_COUNT);
    canary_planted = canary;
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

int mkv_canary_hunt(unsigned canary) {
    struct mkv_memory memory;
    if (!mkv_run_memory_create(&memory)) {
        fputs(MKV_CANARY_PROGRAM ": there is no address space for a run; raise ulimit -v\n",
              stderr);
        return 1;
    }
    mkv_canary_plant(canary);
    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    struct mkv_seed_outcome outcome = {0};
    uint64_t crashes = 0;
    uint64_t seed = 0;
    while (!outcome.failed && seed < MKV_CANARY_SEEDS_MAX &&
           seconds_since(&start) < MKV_CANARY_SECONDS_MAX) {
        seed++;
        mkv_run_seed(seed, NULL, &memory, NULL, NULL, 0, &outcome);
        crashes += outcome.report.crashes;
    }
    char oracle[16] = "-";
    if (outcome.failed) {
        (void)mkv_oracle_name(outcome.failure.oracle, oracle);
    }
    printf("%d\t%s\t%llu\t%llu\t%s\t%s\t%s\n", outcome.failed ? 1 : 0, oracle,
           (unsigned long long)seed, (unsigned long long)crashes, mkv_canary_name(canary),
           mkv_canary_description(canary), outcome.failed ? outcome.failure.text : "-");
    mkv_memory_destroy(&memory);
    return 0;
}

#else

/* What ships has no planted bugs; the file is then only this name. */
extern const char mkv_canary_hunt_is_elsewhere[];

#endif
