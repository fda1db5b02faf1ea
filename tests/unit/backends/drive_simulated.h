/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated drive (sim/drive_sim.h) behind struct mkv_drive_ops, for the conformance suite.
 * Opening it again is a loss of power after which only what a flush covered is left.
 */
#ifndef MKV_TESTS_DRIVE_SIMULATED_H
#define MKV_TESTS_DRIVE_SIMULATED_H

#include "sim/faults.h"
#include "tests/unit/backends/drive_conformance.h"

struct drive_simulated;

struct drive_simulated_options {
    bool volatile_cache;
    bool arbitrary_trims; /* units that were trimmed hold anything; else zeros */
    enum mkv_fault fault; /* that strikes one operation in eight; MKV_FAULT_NONE: none */
};

struct drive_simulated *drive_simulated_make(const struct drive_simulated_options *options);
struct drive_conformance *drive_simulated_target(struct drive_simulated *simulated);
void drive_simulated_free(struct drive_simulated *simulated);

#endif
