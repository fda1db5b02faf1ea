/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive on io_uring with its ring, its arena and its medium, for the conformance suite: on a file
 * in a directory of its own, on a loop device over that, or on a device that somebody names.
 *
 * Not responsible for: shapes that no medium brings by itself (drive_uring_test.c).
 */
#ifndef MKV_TESTS_DRIVE_FIXTURE_H
#define MKV_TESTS_DRIVE_FIXTURE_H

#include "tests/unit/backends/drive_conformance.h"

enum drive_fixture_medium {
    DRIVE_FIXTURE_FILE,
    DRIVE_FIXTURE_LOOP,   /* with direct I/O to its file, where that takes it */
    DRIVE_FIXTURE_DEVICE, /* all that is on it is lost */
};

struct drive_fixture_options {
    enum drive_fixture_medium medium;
    const char *path;     /* of a device */
    bool plain;           /* neither buffers nor files are registered with the ring */
    uint32_t queue_depth; /* 0: as many as a drive has by default */
};

struct drive_fixture;

/* NULL, with a line on why, where a loop device cannot be had. */
struct drive_fixture *drive_fixture_make(const struct drive_fixture_options *options);
struct drive_conformance *drive_fixture_target(struct drive_fixture *fixture);
void drive_fixture_free(struct drive_fixture *fixture);

#endif
