/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/new_file.h"

#define STEP_UNITS 256u

static bool is_zero(const uint8_t *bytes, size_t count) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* The first unit from this one on that may be anything but zeroes. */
static uint64_t next_data(const struct mkv_drive_tool *source, uint64_t unit, uint64_t end) {
    if (source->media.block_device) {
        return unit;
    }
    const off_t at = lseek(source->media.fd, (off_t)(unit * MKV_UNIT_BYTES), SEEK_DATA);
    if (at < 0) {
        return errno == ENXIO ? end : unit; /* nothing but a hole is left; or it cannot be asked */
    }
    return mkv_max_u64(unit, (uint64_t)at / MKV_UNIT_BYTES);
}

/* Writes units that are not all zeroes. */
static bool write_units(int fd, uint64_t unit, const uint8_t *bytes, uint32_t count,
                        struct mkv_drive_copied *copied) {
    const size_t byte_count = (size_t)count * MKV_UNIT_BYTES;
    if (is_zero(bytes, byte_count)) {
        return true;
    }
    size_t done = 0;
    while (done < byte_count) {
        const ssize_t moved =
            pwrite(fd, bytes + done, byte_count - done, (off_t)(unit * MKV_UNIT_BYTES + done));
        if (moved < 0 && errno == EINTR) {
            continue;
        }
        if (moved <= 0) {
            errno = moved == 0 ? ENOSPC : errno;
            return false;
        }
        done += (size_t)moved;
    }
    copied->bytes += byte_count;
    return true;
}

static bool copy_step(const struct mkv_drive_tool *source, int fd, uint64_t unit, uint32_t count,
                      uint8_t *bytes, struct mkv_drive_copied *copied) {
    if (mkv_drive_tool_read(source, unit, count, bytes) == 0) {
        return write_units(fd, unit, bytes, count, copied);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (mkv_drive_tool_read(source, unit + i, 1, bytes) != 0) {
            copied->units_unreadable++;
        } else if (!write_units(fd, unit + i, bytes, 1, copied)) {
            return false;
        }
    }
    return true;
}

bool mkv_drive_copy(const struct mkv_drive_tool *source, const char *path,
                    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes),
                    void *context, struct mkv_drive_copied *copied,
                    struct mkv_backend_error *error) {
    const uint64_t end = source->media.capacity_units;
    memset(copied, 0, sizeof *copied);
    const int fd = mkv_new_file_open(path, O_RDWR, error);
    if (fd < 0) {
        return false;
    }
    uint8_t *bytes = mkv_drive_tool_units(STEP_UNITS);
    bool done = bytes != NULL && ftruncate(fd, (off_t)(end * MKV_UNIT_BYTES)) == 0;
    for (uint64_t unit = 0; unit < end && done;) {
        unit = next_data(source, unit, end);
        const uint32_t count = (uint32_t)mkv_min_u64(STEP_UNITS, end - unit);
        done = count == 0 || copy_step(source, fd, unit, count, bytes, copied);
        unit += count;
        if (progress != NULL) {
            progress(context, unit * MKV_UNIT_BYTES, end * MKV_UNIT_BYTES);
        }
    }
    done = done && fsync(fd) == 0 && mkv_drive_directory_sync(path);
    const int number = bytes == NULL ? ENOMEM : errno;
    free(bytes);
    close(fd);
    if (!done) {
        (void)unlink(path);
        return mkv_new_file_refuse(path, number, error);
    }
    return true;
}
