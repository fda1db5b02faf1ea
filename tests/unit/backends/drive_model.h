/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on a drive, many of them in flight, beside a model of what each unit holds:
 * reads must bring what was written last, and what is left when the drive is opened again must be
 * no older than the last flush.
 *
 *     unit:  written   the newest write that has completed; 0 where nothing is known (trimmed)
 *            covering  what the flush under way covers: written when it was submitted
 *            durable   what a completed flush covered
 *
 * Invariants
 *  I1  No unit of a write or trim in flight is one of another operation in flight, and one trim is
 *      in flight at most (core/io.h, I7 and I8).
 *  I2  It reports what it finds, and does not assert: so that a test can see it find something.
 */
#ifndef MKV_TESTS_DRIVE_MODEL_H
#define MKV_TESTS_DRIVE_MODEL_H

#include "tests/unit/backends/drive_conformance.h"

#define DRIVE_MODEL_COMPLAINT_BYTES 160u

struct drive_model_options {
    uint64_t seed;
    uint32_t operations; /* of each round */
    uint32_t reopenings; /* behind each round but the last */
};

/* False, with what was wrong in `complaint`, when the drive does otherwise than the model. */
bool drive_model_agrees(struct drive_conformance *target, const struct drive_model_options *options,
                        char complaint[DRIVE_MODEL_COMPLAINT_BYTES]);

#endif
