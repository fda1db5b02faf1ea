/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define EDGE_UNITS ((uint32_t)(MKV_MIB / MKV_UNIT_BYTES))

/* The places of superblocks of a store that is as large as this. */
static int clear_superblocks(const struct mkv_drive_tool *drive, uint64_t capacity_units,
                             const uint8_t *zeroes) {
    int number = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES && number == 0; copy++) {
        const uint64_t unit = mkv_geometry_superblock(capacity_units, copy).unit;
        if (unit < drive->media.capacity_units) {
            number = mkv_drive_tool_write(drive, unit, 1, zeroes);
        }
    }
    return number;
}

static bool discard(const struct mkv_drive_tool *drive) {
    const uint64_t bytes = drive->media.capacity_units * MKV_UNIT_BYTES;
    if (!drive->media.trim_supported) {
        return false;
    }
    if (drive->media.block_device) {
        uint64_t range[2] = {0, bytes};
        return ioctl(drive->media.fd, BLKDISCARD, range) == 0;
    }
    return fallocate(drive->media.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                     (off_t)bytes) == 0;
}

static int wipe(const struct mkv_drive_tool *drive, const uint8_t *zeroes, bool *discarded) {
    const uint64_t end = drive->media.capacity_units;
    int number = clear_superblocks(drive, end, zeroes);
    if (number == 0 && drive->probe.store_capacity_units >= MKV_CAPACITY_UNITS_MIN) {
        number = clear_superblocks(drive, drive->probe.store_capacity_units, zeroes);
    }
    if (number == 0) {
        number = mkv_drive_tool_flush(drive);
    }
    if (number != 0) {
        return number;
    }
    *discarded = discard(drive);
    number = mkv_drive_tool_write(drive, 0, EDGE_UNITS, zeroes);
    if (number == 0) {
        number = mkv_drive_tool_write(drive, end - EDGE_UNITS, EDGE_UNITS, zeroes);
    }
    return number != 0 ? number : mkv_drive_tool_flush(drive);
}

bool mkv_drive_wipe(struct mkv_drive_tool *drive, bool *discarded,
                    struct mkv_backend_error *error) {
    MKV_ASSERT(drive->media.capacity_units >= EDGE_UNITS);
    uint8_t *zeroes = mkv_drive_tool_units(EDGE_UNITS);
    *discarded = false;
    if (zeroes == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "there is no memory. Free some");
    }
    memset(zeroes, 0, EDGE_UNITS * (size_t)MKV_UNIT_BYTES);
    const int number = wipe(drive, zeroes, discarded);
    free(zeroes);
    if (number != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s cannot be wiped: %s. See dmesg",
                                  drive->path, strerror(number));
    }
    if (!mkv_drive_tool_probe(drive, error)) {
        return false;
    }
    return drive->probe.kind == MKV_DRIVE_PROBE_BLANK ||
           mkv_backend_refuse(error, MKV_BACKEND_IO,
                              "%s still does not read as blank: it does not keep what is written",
                              drive->path);
}
