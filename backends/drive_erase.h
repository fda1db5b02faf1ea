/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discards what a drive holds: all of a block device, or all that a file holds. Where a drive does
 * not discard, or reads something else than zeroes behind that, its beginning and its end are
 * overwritten, so that it is blank for memkv and shows no store to anybody.
 *
 * Invariants
 *  I1  Nothing is discarded of a medium that somebody else has open, or that is mounted: it was
 *      opened for this process alone (drive_open.h).
 *  I2  After success mkv_drive_media_blank says that it is blank, durably.
 *
 * Not responsible for: whether what it holds may go, or erasing the cells of a drive, which a
 * discard does not promise.
 */
#ifndef MKV_BACKENDS_DRIVE_ERASE_H
#define MKV_BACKENDS_DRIVE_ERASE_H

#include "backends/drive_open.h"

/* Blocks for as long as the drive takes. `name` and `path` are for messages. */
__attribute__((warn_unused_result)) bool mkv_drive_erase(const char *name, const char *path,
                                                         const struct mkv_drive_media *media,
                                                         struct mkv_backend_error *error);

#endif
