/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

/* A signal may end a long call before its work is done; what it has done stays. */
#define TRIES_MAX 100u

/* Where the superblocks at the end begin. */
static uint64_t tail_unit(const struct mkv_geometry *geometry) {
    return mkv_geometry_superblock(geometry->capacity_units, 2).unit;
}

static int allocate(int fd, uint64_t unit, uint64_t unit_count) {
    for (uint32_t tries = 1;; tries++) {
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)(unit * MKV_UNIT_BYTES),
                      (off_t)(unit_count * MKV_UNIT_BYTES)) == 0) {
            return 0;
        }
        if (errno != EINTR || tries == TRIES_MAX) {
            return errno;
        }
    }
}

int mkv_drive_reserve(const struct mkv_drive_media *media, const struct mkv_geometry *geometry) {
    MKV_ASSERT(mkv_geometry_valid(geometry));
    MKV_ASSERT(geometry->capacity_units <= media->capacity_units);
    if (media->block_device) {
        return 0;
    }
    const uint64_t tail = tail_unit(geometry);
    const int failed = allocate(media->fd, 0, mkv_geometry_data_start(geometry).unit);
    return failed != 0 ? failed : allocate(media->fd, tail, geometry->capacity_units - tail);
}

uint64_t mkv_drive_reserve_bytes(const struct mkv_geometry *geometry) {
    const uint64_t units =
        mkv_geometry_data_start(geometry).unit + geometry->capacity_units - tail_unit(geometry);
    return units * MKV_UNIT_BYTES;
}
