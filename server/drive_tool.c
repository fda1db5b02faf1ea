/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a daemon that was killed a moment ago and whose last I/O still runs. */
#define LOCK_WAIT_MS 2000u
/* A signal, or a short transfer, is taken up again so often in a row. */
#define TRIES_MAX 64u

bool mkv_drive_tool_probe(struct mkv_drive_tool *drive, struct mkv_backend_error *error) {
    return mkv_drive_probe(&drive->media, drive->name, drive->path, &drive->probe, error);
}

bool mkv_drive_tool_open(struct mkv_drive_tool *drive, const char *path,
                         enum mkv_drive_tool_access access, struct mkv_backend_error *error) {
    memset(drive, 0, sizeof *drive);
    const char *slash = strrchr(path, '/');
    drive->path = path;
    drive->access = access;
    snprintf(drive->name, sizeof drive->name, "%.*s", (int)sizeof drive->name - 1,
             slash != NULL && slash[1] != '\0' ? slash + 1 : path);
    const struct mkv_drive_open_options options = {
        .name = drive->name,
        .media = path,
        .mode = MKV_DRIVE_MODE_FILE,
        .lock_wait_ms = LOCK_WAIT_MS,
        .read_only = access == MKV_DRIVE_TOOL_READ,
    };
    if (!mkv_drive_open(&options, &drive->media, error)) {
        drive->media.fd = -1;
        return false;
    }
    if (!mkv_drive_tool_probe(drive, error)) {
        mkv_drive_tool_close(drive);
        return false;
    }
    return true;
}

void mkv_drive_tool_close(struct mkv_drive_tool *drive) {
    if (drive->media.fd >= 0) {
        mkv_drive_media_close(&drive->media);
    }
}

const char *mkv_drive_tool_kind_name(enum mkv_drive_probe_kind kind) {
    static const char *const names[MKV_DRIVE_PROBE_KIND_COUNT] = {
        [MKV_DRIVE_PROBE_BLANK] = "blank",   [MKV_DRIVE_PROBE_STORE] = "store",
        [MKV_DRIVE_PROBE_OTHER] = "foreign", [MKV_DRIVE_PROBE_DAMAGED] = "damaged",
        [MKV_DRIVE_PROBE_NEWER] = "newer",   [MKV_DRIVE_PROBE_SHRUNK] = "shrunk",
    };
    return names[kind];
}

bool mkv_drive_tool_is_store(const struct mkv_drive_tool *drive, struct mkv_backend_error *error) {
    switch (drive->probe.kind) {
    case MKV_DRIVE_PROBE_STORE:
        return true;
    case MKV_DRIVE_PROBE_BLANK:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "%s is blank: there is no store on it", drive->path);
    case MKV_DRIVE_PROBE_OTHER:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "%s holds data that is no memkv store", drive->path);
    case MKV_DRIVE_PROBE_DAMAGED:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "%s: no two of its four superblocks agree. Run: memkv drive "
                                  "repair --to FILE %s",
                                  drive->path, drive->path);
    case MKV_DRIVE_PROBE_NEWER:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "the store on %s has format version %u, and this release knows "
                                  "versions up to %u. Take the release that wrote it, or a newer "
                                  "one",
                                  drive->path, (unsigned)drive->probe.superblock.version,
                                  (unsigned)MKV_FORMAT_VERSION);
    case MKV_DRIVE_PROBE_SHRUNK:
        return mkv_backend_refuse(
            error, MKV_BACKEND_IO,
            "%s has shrunk: it has %llu bytes, the store on it %llu. Bring "
            "back the missing part",
            drive->path, (unsigned long long)drive->probe.medium_capacity_units * MKV_UNIT_BYTES,
            (unsigned long long)drive->probe.store_capacity_units * MKV_UNIT_BYTES);
    }
    MKV_ASSERT(false);
    return false;
}

/* Reads the units into `bytes`, or writes them from there. */
static int move_units(const struct mkv_drive_tool *drive, bool writes, uint64_t unit,
                      uint32_t count, uint8_t *bytes) {
    size_t left = (size_t)count * MKV_UNIT_BYTES;
    off_t offset = (off_t)(unit * MKV_UNIT_BYTES);
    for (uint32_t tries = 0; left > 0; tries++) {
        const ssize_t moved = writes ? pwrite(drive->media.fd, bytes, left, offset)
                                     : pread(drive->media.fd, bytes, left, offset);
        if (moved <= 0 && (moved == 0 || errno != EINTR || tries == TRIES_MAX)) {
            return moved == 0 ? EIO : errno;
        }
        if (moved > 0) {
            tries = 0;
            bytes += moved;
            left -= (size_t)moved;
            offset += moved;
        }
    }
    return 0;
}

int mkv_drive_tool_read(const struct mkv_drive_tool *drive, uint64_t unit, uint32_t count,
                        void *bytes) {
    return move_units(drive, false, unit, count, bytes);
}

int mkv_drive_tool_write(const struct mkv_drive_tool *drive, uint64_t unit, uint32_t count,
                         const void *bytes) {
    MKV_ASSERT(drive->access == MKV_DRIVE_TOOL_WRITE);
    MKV_ASSERT(unit + count <= drive->media.capacity_units);
    return move_units(drive, true, unit, count, (uint8_t *)(uintptr_t)bytes); /* is only read */
}

int mkv_drive_tool_flush(const struct mkv_drive_tool *drive) {
    return fdatasync(drive->media.fd) == 0 ? 0 : errno;
}

uint8_t *mkv_drive_tool_units(uint32_t count) {
    return aligned_alloc(MKV_UNIT_BYTES, (size_t)count * MKV_UNIT_BYTES);
}
