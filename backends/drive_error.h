/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation that failed says of its drive. The errno alone does not: a drive that was
 * pulled out, or made smaller, answers reads with nothing, writes with ENOSPC, or all with EIO, so
 * the medium is asked for its size, too.
 *
 *   size of the medium      result
 *   none (block device)     GONE
 *   below the capacity      SHRUNK, where it ends before the operation does
 *   as ever                 mkv_drive_result_of_errno
 *
 * Not responsible for: what becomes of the drive then, which is the volume's.
 */
#ifndef MKV_BACKENDS_DRIVE_ERROR_H
#define MKV_BACKENDS_DRIVE_ERROR_H

#include "backends/drive.h"
#include "backends/drive_open.h"

/* Says what it was, and keeps it as the drive's last error. `error_number` 0: a transfer came to
 * the end of the medium. `end_unit`: where the operation ends; 0 for a flush. */
enum mkv_io_result mkv_drive_judge_error(struct mkv_drive *drive,
                                         const struct mkv_drive_media *media,
                                         enum mkv_drive_operation operation, int error_number,
                                         uint64_t end_unit);

#endif
