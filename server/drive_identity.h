/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which piece of hardware a block device is, as the kernel tells in sysfs: what the person reads on
 * the label who pulls the drive.
 *
 * Not responsible for: the names and uuids by which the node knows its drives.
 */
#ifndef MKV_SERVER_DRIVE_IDENTITY_H
#define MKV_SERVER_DRIVE_IDENTITY_H

#include "core/base.h"

#define MKV_DRIVE_IDENTITY_BYTES 64u

/* "" where it is not known, as for files. */
struct mkv_drive_identity {
    char model[MKV_DRIVE_IDENTITY_BYTES];
    char serial[MKV_DRIVE_IDENTITY_BYTES];
    char firmware[MKV_DRIVE_IDENTITY_BYTES];
};

/* Of what is open at `fd`; of a partition, its disk's. */
void mkv_drive_identity_read(int fd, struct mkv_drive_identity *identity);

#endif
