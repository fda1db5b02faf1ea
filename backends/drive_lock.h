/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Having a medium for this process alone, and telling who else has it. A file is held by flock; a
 * block device by O_EXCL, which mounts, RAID, LVM and swap respect as well.
 *
 * A process that was killed keeps its hold until its last I/O has ended, which may be a moment
 * after it is gone. So a hold without a living holder is waited for, bounded; a living holder is
 * reported at once.
 *
 * Not responsible for: locks against other machines on a shared drive.
 */
#ifndef MKV_BACKENDS_DRIVE_LOCK_H
#define MKV_BACKENDS_DRIVE_LOCK_H

#include <sys/types.h>

#include "backends/error.h"
#include "core/base.h"

/* Locks an open file, waiting up to `wait_ms` for a process that has ended. */
__attribute__((warn_unused_result)) bool mkv_drive_lock_file(int fd, const char *name,
                                                             const char *path, uint32_t wait_ms,
                                                             struct mkv_backend_error *error);

/* Opens a block device for reading and writing, or with `read_only` for reading, and for nobody
 * else, likewise. Returns the file descriptor, or -1 and errno for what is not about holding it, or
 * -1 and errno 0 with `error`. */
int mkv_drive_lock_device(const char *name, const char *path, dev_t device, uint32_t wait_ms,
                          bool read_only, struct mkv_backend_error *error);

#endif
