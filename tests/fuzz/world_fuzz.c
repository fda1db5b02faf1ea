/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's volume world, where the input decides instead of a seed: the shape of the store,
 * which faults its drive has, what is asked and when, how long each I/O takes, what a fault
 * strikes, when the process dies and what its drive is left with. 0 is the benign decision, and so
 * is every one behind the end of the input. Every oracle is held against it; one that fires is what
 * the fuzzer looks for.
 *
 *   MKV_WORLD_LOG=1 world_fuzz FILE      prints every input and effect of one
 *   MKV_CANARY=NAME world_canary_fuzz    has the planted bug on
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/canaries.h"
#include "sim/run.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
#ifdef MKV_CANARIES
    const char *canary = getenv("MKV_CANARY");
    if (canary == NULL || !mkv_canary_plant_named(canary)) {
        fputs("world_canary_fuzz: MKV_CANARY names no planted bug\n", stderr);
        exit(2);
    }
#endif
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mkv_memory memory; /* once for the process, as each run begins it anew */
    static struct mkv_seed_outcome outcome;
    if (memory.bytes == NULL && !mkv_run_memory_create(&memory)) {
        fputs("world_fuzz: there is no address space for a run\n", stderr);
        exit(2);
    }
    FILE *log = getenv("MKV_WORLD_LOG") != NULL ? stdout : NULL;
    mkv_run_decided(data, size, &memory, log, &outcome);
    if (outcome.failed) {
        char oracle[16];
        fprintf(stderr, "world_fuzz: %s: %s\n", mkv_oracle_name(outcome.failure.oracle, oracle),
                outcome.failure.text);
        abort();
    }
    return 0;
}
