/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_error.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "backends/clock.h"

/* False: nobody can say. */
static bool size_of(const struct mkv_drive_media *media, uint64_t *bytes) {
    if (media->block_device) {
        return ioctl(media->fd, BLKGETSIZE64, bytes) == 0;
    }
    struct stat status;
    if (fstat(media->fd, &status) != 0) {
        return false;
    }
    *bytes = (uint64_t)status.st_size;
    return true;
}

static enum mkv_io_result judge(const struct mkv_drive_media *media, int error_number,
                                uint64_t end_unit) {
    /* Of a file ENOSPC is the file system's word, and its size says nothing about that. */
    const bool may_have_ended =
        error_number == 0 || error_number == EIO || (error_number == ENOSPC && media->block_device);
    uint64_t bytes = 0;
    if (may_have_ended && size_of(media, &bytes)) {
        if (media->block_device && bytes == 0) {
            return MKV_IO_GONE;
        }
        if (bytes / MKV_UNIT_BYTES < media->capacity_units && bytes / MKV_UNIT_BYTES < end_unit) {
            return MKV_IO_SHRUNK;
        }
    }
    return error_number == 0 ? MKV_IO_DEVICE : mkv_drive_result_of_errno(error_number);
}

enum mkv_io_result mkv_drive_judge_error(struct mkv_drive *drive,
                                         const struct mkv_drive_media *media,
                                         enum mkv_drive_operation operation, int error_number,
                                         uint64_t end_unit) {
    const enum mkv_io_result result = judge(media, error_number, end_unit);
    mkv_drive_note_error(drive, operation, result, error_number, mkv_clock_wall_ms());
    return result;
}
