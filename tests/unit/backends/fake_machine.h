/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's sysfs, /proc and /dev/disk for tests: a directory in which they stand as files, with
 * as many drives as a test asks for.
 */
#ifndef MKV_TESTS_FAKE_MACHINE_H
#define MKV_TESTS_FAKE_MACHINE_H

#include "backends/drive_facts.h"
#include "tests/unit/backends/temporary.h"

struct fake_machine {
    char root[TEMPORARY_PATH_BYTES];
    char sys[TEMPORARY_PATH_BYTES];
    char proc[TEMPORARY_PATH_BYTES];
    char dev[TEMPORARY_PATH_BYTES];
    struct mkv_drive_roots roots; /* of the three above */
};

/* A machine without drives, where nothing is mounted. */
void fake_machine_make(struct fake_machine *machine);
void fake_machine_remove(const struct fake_machine *machine);
/* Writes a file, such as "sys/block/nvme0n1/ro", with the directories above it. */
void fake_machine_write(const struct fake_machine *machine, const char *path, const char *text);
void fake_machine_link(const struct fake_machine *machine, const char *path, const char *target);
/* A healthy NVMe drive of 3840755982336 bytes, number 259:MINOR. */
void fake_machine_add_nvme(const struct fake_machine *machine, const char *name, unsigned minor);
/* A partition of such a drive, of 1 GiB. */
void fake_machine_add_partition(const struct fake_machine *machine, const char *disk,
                                const char *name, unsigned minor);

#endif
