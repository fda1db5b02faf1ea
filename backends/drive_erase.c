/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_erase.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/geometry.h"

/* What mkv_drive_media_blank looks at, at each end. */
#define EDGE_BYTES MKV_MIB

static bool discard(const struct mkv_drive_media *media) {
    const uint64_t bytes = media->capacity_units * MKV_UNIT_BYTES;
    uint64_t range[2] = {0, bytes};
    if (media->block_device) {
        return ioctl(media->fd, BLKDISCARD, range) == 0;
    }
    return fallocate(media->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0;
}

static bool overwrite(const struct mkv_drive_media *media, uint64_t offset, const void *zeroes,
                      size_t bytes) {
    return pwrite(media->fd, zeroes, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Zeroes where superblocks lie, and what others look for. */
static bool overwrite_edges(const struct mkv_drive_media *media) {
    const uint64_t bytes = media->capacity_units * MKV_UNIT_BYTES;
    const size_t edge = (size_t)mkv_min_u64(bytes, EDGE_BYTES);
    void *zeroes = aligned_alloc(MKV_UNIT_BYTES, edge);
    if (zeroes == NULL) {
        errno = ENOMEM;
        return false;
    }
    memset(zeroes, 0, edge);
    bool done = overwrite(media, 0, zeroes, edge) && overwrite(media, bytes - edge, zeroes, edge);
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES && done; copy++) {
        const struct mkv_lba lba = mkv_geometry_superblock(media->capacity_units, copy);
        done = overwrite(media, lba.unit * MKV_UNIT_BYTES, zeroes, MKV_UNIT_BYTES);
    }
    free(zeroes);
    return done;
}

bool mkv_drive_erase(const char *name, const char *path, const struct mkv_drive_media *media,
                     struct mkv_backend_error *error) {
    (void)discard(media);
    return (overwrite_edges(media) && fdatasync(media->fd) == 0) ||
           mkv_backend_refuse(error, MKV_BACKEND_IO, "drive %s: %s cannot be erased: %s. See dmesg",
                              name, path, strerror(errno));
}
