/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device for tests: a loop device on a file. Needs root and /dev/loop-control. It goes with
 * the process that made it, however that ends.
 */
#ifndef MKV_TESTS_LOOP_DEVICE_H
#define MKV_TESTS_LOOP_DEVICE_H

#include "core/base.h"

struct loop_device {
    char path[32]; /* "/dev/loop7" */
    uint32_t number;
    int held_fd; /* the kernel lets the device go when nobody has it open */
};

/* False, with a line on why, when this machine or user has no loop devices: skip the test. */
bool loop_device_make(const char *file, struct loop_device *device);
/* The file may be removed afterwards. */
void loop_device_remove(const struct loop_device *device);
/* Sets what the kernel reports about the device's cache: "write through" or "write back". */
bool loop_device_set_cache(const struct loop_device *device, const char *text);
/* Has the device read and write its file directly, as losetup --direct-io=on; false where the file
 * system does not take that, and the device goes through the page cache. */
bool loop_device_set_direct(const struct loop_device *device);
/* Takes discard from the device, as from one that never had it. */
bool loop_device_without_discard(const struct loop_device *device);

#endif
