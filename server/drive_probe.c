/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPIES_ALL ((1u << MKV_SUPERBLOCK_COPIES) - 1u)
/* The copies whose place does not depend on the capacity. */
#define COPIES_AT_START 2u

struct reader {
    const struct mkv_drive_media *media;
    uint8_t *units; /* MKV_SUPERBLOCK_COPIES of them, in copy order */
    uint32_t unreadable;
    int error_number; /* of the last read that failed */
};

static void read_copies(struct reader *reader, uint64_t capacity_units) {
    reader->unreadable = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        uint8_t *unit = reader->units + copy * (size_t)MKV_UNIT_BYTES;
        struct mkv_lba lba = mkv_geometry_superblock(capacity_units, copy);
        ssize_t bytes =
            pread(reader->media->fd, unit, MKV_UNIT_BYTES, (off_t)(lba.unit * MKV_UNIT_BYTES));
        if (bytes != (ssize_t)MKV_UNIT_BYTES) {
            reader->error_number = bytes < 0 ? errno : EIO;
            reader->unreadable |= 1u << copy;
        }
    }
}

/* Reads the copies that a store of this capacity has; true when they agree that it has it. */
static bool is_store_of(struct reader *reader, uint64_t capacity_units,
                        struct mkv_superblock_choice *choice) {
    read_copies(reader, capacity_units);
    mkv_superblock_choose(reader->units, reader->unreadable, choice);
    return choice->err == MKV_OK && choice->superblock.geometry.capacity_units == capacity_units;
}

/* The capacities that the copies at the start name, one by one: each may be what an interrupted
 * write left, so none is believed without a second. Returns their count. */
static uint32_t capacities_at_start(const struct reader *reader, uint64_t out[COPIES_AT_START]) {
    uint32_t count = 0;
    for (uint32_t copy = 0; copy < COPIES_AT_START; copy++) {
        struct mkv_superblock superblock;
        if ((reader->unreadable & (1u << copy)) == 0 &&
            mkv_superblock_decode(reader->units + copy * (size_t)MKV_UNIT_BYTES, copy,
                                  &superblock) == MKV_OK) {
            out[count] = superblock.geometry.capacity_units;
            count++;
        }
    }
    return count;
}

static bool judge_unformatted(const struct mkv_drive_media *media, const char *name,
                              struct mkv_drive_probe *probe, struct mkv_backend_error *error) {
    bool blank = false;
    if (!mkv_drive_media_blank(media, name, &blank, error)) {
        return false;
    }
    probe->kind = blank ? MKV_DRIVE_PROBE_BLANK : MKV_DRIVE_PROBE_OTHER;
    if (!blank && !mkv_drive_signature_read(media->fd, media->capacity_units * MKV_UNIT_BYTES,
                                            &probe->signature)) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the first or last MiB cannot be read: %s. See dmesg; "
                                  "the drive may need replacing",
                                  name, strerror(errno));
    }
    return true;
}

/* What two copies could not agree on: a store that is damaged; or what the first format of an empty
 * drive left that was cut, on which nothing was ever opened: the journal's first block would stand
 * in the first MiB. `reader` holds the copies of a store as large as the medium. */
static bool judge_disagreeing(const struct reader *reader, const char *name,
                              struct mkv_drive_probe *probe, struct mkv_backend_error *error) {
    const uint64_t capacity_units = reader->media->capacity_units;
    uint64_t start_pair = 0;
    bool blank = false;
    probe->kind = MKV_DRIVE_PROBE_DAMAGED;
    if (!mkv_superblock_format_was_cut(reader->units, reader->unreadable, capacity_units)) {
        return true;
    }
    for (uint32_t copy = 0; copy < COPIES_AT_START; copy++) {
        start_pair |= UINT64_C(1) << mkv_geometry_superblock(capacity_units, copy).unit;
    }
    if (!mkv_drive_media_blank_but(reader->media, name, start_pair, &blank, error)) {
        return false;
    }
    probe->kind = blank ? MKV_DRIVE_PROBE_BLANK : MKV_DRIVE_PROBE_DAMAGED;
    probe->format_was_cut = blank;
    return true;
}

static bool judge(struct reader *reader, const char *name, const char *path,
                  struct mkv_drive_probe *probe, struct mkv_backend_error *error) {
    const uint64_t medium_units = reader->media->capacity_units;
    struct mkv_superblock_choice choice;
    if (is_store_of(reader, medium_units, &choice)) {
        probe->kind = MKV_DRIVE_PROBE_STORE;
        probe->superblock = choice.superblock;
        probe->store_capacity_units = medium_units;
        return true;
    }
    if (reader->unreadable == COPIES_ALL) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: none of the four superblocks of %s can be read: %s. "
                                  "See dmesg; the drive may need replacing",
                                  name, path, strerror(reader->error_number));
    }
    const enum mkv_err first_err = choice.err;
    const uint32_t first_version = choice.superblock.version;
    uint64_t capacities[COPIES_AT_START];
    const uint32_t capacity_count = capacities_at_start(reader, capacities);
    for (uint32_t i = 0; i < capacity_count; i++) {
        if (capacities[i] < medium_units && is_store_of(reader, capacities[i], &choice)) {
            probe->kind = MKV_DRIVE_PROBE_STORE;
            probe->superblock = choice.superblock;
            probe->store_capacity_units = capacities[i];
            return true;
        }
    }
    for (uint32_t i = 0; i < capacity_count; i++) {
        if (capacities[i] > medium_units) {
            probe->kind = MKV_DRIVE_PROBE_SHRUNK;
            probe->store_capacity_units = capacities[i];
            return true;
        }
    }
    if (first_err == MKV_ERR_VERSION) {
        probe->kind = MKV_DRIVE_PROBE_NEWER;
        probe->superblock.version = first_version;
        return true;
    }
    if (first_err == MKV_ERR_NOT_FORMATTED) {
        return judge_unformatted(reader->media, name, probe, error);
    }
    read_copies(reader, medium_units); /* those of other sizes were looked at since */
    return judge_disagreeing(reader, name, probe, error);
}

bool mkv_drive_probe(const struct mkv_drive_media *media, const char *name, const char *path,
                     struct mkv_drive_probe *probe, struct mkv_backend_error *error) {
    MKV_ASSERT(media->capacity_units >= MKV_CAPACITY_UNITS_MIN);
    memset(probe, 0, sizeof *probe);
    probe->medium_capacity_units = media->capacity_units;
    /* Nothing is decided on what a process that was killed left in a cache. */
    if (fdatasync(media->fd) != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: %s cannot be flushed: %s. See dmesg; the drive may "
                                  "need replacing",
                                  name, path, strerror(errno));
    }
    struct reader reader = {.media = media};
    reader.units = aligned_alloc(MKV_UNIT_BYTES, MKV_SUPERBLOCK_COPIES * (size_t)MKV_UNIT_BYTES);
    if (reader.units == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: there is no memory to read the superblocks of %s. "
                                  "Free some",
                                  name, path);
    }
    memset(reader.units, 0, MKV_SUPERBLOCK_COPIES * (size_t)MKV_UNIT_BYTES);
    bool done = judge(&reader, name, path, probe, error);
    free(reader.units);
    return done;
}
