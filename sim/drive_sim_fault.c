/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What faults do to operations once they are decided (faults.h): delays, bytes that go to or come
 * from elsewhere, errors, and images that return.
 */
#include <string.h>

#include "sim/drive_sim_internal.h"

#define SLOW_FACTOR 10u
#define STALL_NS_MIN (MKV_FAULT_STALL_NS / 2)
#define STALL_NS_MAX (MKV_FAULT_STALL_NS * 10)

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t mkv_drive_fault_due(struct mkv_drive_sim *drive, const struct drive_io *io,
                             uint64_t now_ns, uint64_t delay_ns) {
    struct mkv_faults *faults = drive->faults;
    uint64_t due_ns = now_ns + delay_ns;
    if (faults == NULL) {
        return mkv_max_u64(due_ns, drive->due_last_ns + 1);
    }
    if (io->act.fault == MKV_FAULT_STALLED) {
        mkv_faults_hit(faults, MKV_FAULT_STALLED);
        faults->stalls_life++;
        due_ns += mkv_random_between(&drive->random, STALL_NS_MIN, STALL_NS_MAX);
    } else if (mkv_faults_has(faults, MKV_FAULT_SLOW) &&
               mkv_random_chance(&drive->random, 1, faults->plan.one_in[MKV_FAULT_SLOW])) {
        mkv_faults_hit(faults, MKV_FAULT_SLOW);
        due_ns = now_ns + delay_ns * SLOW_FACTOR;
    }
    if (!mkv_faults_has(faults, MKV_FAULT_REORDERING)) {
        return mkv_max_u64(due_ns, drive->due_last_ns + 1);
    }
    if (drive->io_count > 0 && due_ns < drive->due_last_ns) {
        mkv_faults_hit(faults, MKV_FAULT_REORDERING);
    }
    return due_ns;
}

/* ---- writes ---------------------------------------------------------------------------------- */

bool mkv_drive_fault_target(const struct drive_io *io, uint32_t index, uint64_t *unit) {
    *unit = io->drive.lba.unit + index;
    if (io->act.fault == MKV_FAULT_MISDIRECTED_WRITE) {
        *unit = io->act.other + index;
    }
    return io->act.fault != MKV_FAULT_LOST_WRITE || index < io->act.first ||
           index >= io->act.first + io->act.count;
}

void mkv_drive_fault_written(struct mkv_drive_sim *drive, const struct drive_io *io) {
    struct mkv_faults *faults = drive->faults;
    const uint64_t unit = io->drive.lba.unit;
    const uint32_t count = io->drive.unit_count;
    switch ((unsigned)io->act.fault) {
    case MKV_FAULT_NONE:
    case MKV_FAULT_STALLED:
        mkv_faults_unflag(faults, unit, count);
        break;
    case MKV_FAULT_LOST_WRITE:
        mkv_faults_unflag(faults, unit, count);
        mkv_faults_flag(faults, unit + io->act.first, io->act.count, MKV_UNIT_DAMAGED);
        mkv_faults_hit_bytes(faults, MKV_FAULT_LOST_WRITE, unit, count);
        break;
    case MKV_FAULT_MISDIRECTED_WRITE:
        mkv_faults_flag(faults, unit, count, MKV_UNIT_DAMAGED);
        mkv_faults_unflag(faults, io->act.other, count); /* what could not be read can be now */
        mkv_faults_flag(faults, io->act.other, count, MKV_UNIT_DAMAGED);
        mkv_faults_hit_bytes(faults, MKV_FAULT_MISDIRECTED_WRITE, unit, count);
        mkv_faults_struck(faults, MKV_FAULT_MISDIRECTED_WRITE, io->act.other, count);
        break;
    default:
        break; /* it fails when it completes */
    }
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* The page that was there before the one that a read sees, or MKV_NONE_U32. */
static uint32_t older_page(const struct mkv_drive_sim *drive, uint64_t unit) {
    const struct sector *sector = &drive->sectors[unit];
    return mkv_drive_version_visible(drive, unit) != MKV_NONE_U32 ? sector->page : sector->older;
}

/* Whether other bytes may be read here. Of a journal block that one copy alone holds, and that
 * nobody was told of, a recovery that misses it and the next one that does not would differ: that
 * is a limit which docs/fault-model.md states. */
static bool may_misread(const struct mkv_drive_sim *drive, uint64_t unit) {
    const struct mkv_geometry *geometry = &drive->faults->geometry;
    uint32_t copy = 0;
    if (mkv_faults_place(drive->faults, unit, &copy) != MKV_PLACE_JOURNAL) {
        return true;
    }
    const uint64_t position = unit - mkv_geometry_journal(geometry, copy, 0).unit;
    const uint64_t twin =
        mkv_geometry_journal(geometry, (copy + 1) % MKV_JOURNAL_COPIES, position).unit;
    return memcmp(mkv_drive_sim_unit(drive, unit), mkv_drive_sim_unit(drive, twin),
                  MKV_UNIT_BYTES) == 0;
}

const uint8_t *mkv_drive_fault_read_unit(struct mkv_drive_sim *drive, const struct drive_io *io,
                                         uint32_t index) {
    const uint64_t unit = io->drive.lba.unit + index;
    if (io->act.fault == MKV_FAULT_MISDIRECTED_READ && may_misread(drive, unit)) {
        mkv_faults_hit_bytes(drive->faults, MKV_FAULT_MISDIRECTED_READ, unit, 1);
        return mkv_drive_sim_unit(drive, io->act.other + index);
    }
    const bool struck = io->act.fault == MKV_FAULT_STALE_READ && index >= io->act.first &&
                        index < io->act.first + io->act.count;
    const uint32_t page =
        struck && may_misread(drive, unit) ? older_page(drive, unit) : MKV_NONE_U32;
    if (page == MKV_NONE_U32) {
        return mkv_drive_sim_unit(drive, unit);
    }
    mkv_faults_hit_bytes(drive->faults, MKV_FAULT_STALE_READ, unit, 1);
    return drive_page(drive, page);
}

/* ---- completion ------------------------------------------------------------------------------ */

/* How an operation ends that is no write. */
static enum mkv_io_result result_of(enum mkv_fault fault) {
    const bool given_up = fault == MKV_FAULT_TIMEOUT || fault == MKV_FAULT_TRIM_TIMEOUT;
    return fault == MKV_FAULT_GONE ? MKV_IO_GONE : given_up ? MKV_IO_TIMEOUT : MKV_IO_DEVICE;
}

static enum mkv_io_result fail_write(struct mkv_drive_sim *drive, const struct drive_io *io,
                                     enum mkv_fault fault) {
    uint32_t kept = 0;
    bool late = false;
    bool never = false;
    enum mkv_io_result result = MKV_IO_DEVICE;
    switch ((unsigned)fault) {
    case MKV_FAULT_WRITE_MEDIUM:
        result = MKV_IO_MEDIUM;
        break;
    case MKV_FAULT_SHORT_WRITE:
        kept = io->act.first;
        never = true;
        break;
    case MKV_FAULT_NO_ROOM:
        result = MKV_IO_NO_ROOM;
        break;
    case MKV_FAULT_WRITE_DEVICE:
        late = true;
        break;
    case MKV_FAULT_TIMEOUT:
        result = MKV_IO_TIMEOUT;
        late = true;
        break;
    case MKV_FAULT_GONE:
        result = MKV_IO_GONE;
        late = true;
        break;
    case MKV_FAULT_READ_ONLY:
        result = MKV_IO_READ_ONLY;
        never = true;
        break;
    case MKV_FAULT_SHRUNK:
        result = MKV_IO_SHRUNK;
        never = true;
        break;
    default:
        never = true;
        break;
    }
    uint64_t unit = io->drive.lba.unit;
    if (io->act.fault == MKV_FAULT_MISDIRECTED_WRITE) {
        unit = io->act.other;
    } else if (io->act.fault == MKV_FAULT_LOST_WRITE) {
        /* The drive went away under it: of what it was to lose nothing is known. */
        mkv_drive_versions_completed(drive, unit, io->drive.unit_count, io->write);
        return result;
    }
    mkv_drive_versions_failed(drive, unit, io->drive.unit_count, io->write, kept, late, never);
    return result;
}

static enum mkv_io_result fail_read(struct mkv_drive_sim *drive, const struct drive_io *io,
                                    enum mkv_fault fault) {
    if (fault == MKV_FAULT_READ_MEDIUM) {
        const uint64_t unit = io->drive.lba.unit;
        if (io->act.fault == MKV_FAULT_READ_MEDIUM) {
            mkv_faults_flag(drive->faults, unit + io->act.first, 1,
                            MKV_UNIT_UNREADABLE | MKV_UNIT_DAMAGED);
        }
        /* What was lost in a pair was counted when it was. */
        if (mkv_faults_has(drive->faults, MKV_FAULT_READ_MEDIUM)) {
            mkv_faults_hit_bytes(drive->faults, MKV_FAULT_READ_MEDIUM, unit, io->drive.unit_count);
        }
        return MKV_IO_MEDIUM;
    }
    if (fault == MKV_FAULT_SHRUNK) {
        return MKV_IO_SHRUNK;
    }
    return result_of(fault);
}

static bool is_failure(enum mkv_fault fault) {
    switch (fault) {
    case MKV_FAULT_FLUSH_ERROR:
    case MKV_FAULT_READ_MEDIUM:
    case MKV_FAULT_READ_DEVICE:
    case MKV_FAULT_WRITE_MEDIUM:
    case MKV_FAULT_WRITE_DEVICE:
    case MKV_FAULT_NO_ROOM:
    case MKV_FAULT_SHORT_WRITE:
    case MKV_FAULT_GONE:
    case MKV_FAULT_READ_ONLY:
    case MKV_FAULT_SHRUNK:
    case MKV_FAULT_TRIM_ERROR:
    case MKV_FAULT_TIMEOUT:
    case MKV_FAULT_TRIM_TIMEOUT:
        return true;
    case MKV_FAULT_SLOW:
    case MKV_FAULT_REORDERING:
    case MKV_FAULT_STALLED:
    case MKV_FAULT_LYING_FLUSH:
    case MKV_FAULT_MISDIRECTED_READ:
    case MKV_FAULT_STALE_READ:
    case MKV_FAULT_ROT:
    case MKV_FAULT_ROT_PAIR:
    case MKV_FAULT_READ_PAIR:
    case MKV_FAULT_MISDIRECTED_WRITE:
    case MKV_FAULT_LOST_WRITE:
    case MKV_FAULT_SWAPPED:
    case MKV_FAULT_OLD_IMAGE:
    case MKV_FAULT_TRIM_IGNORED:
    case MKV_FAULT_TRIM_PARTIAL:
    case MKV_FAULT_TRIM_ARBITRARY:
    case MKV_FAULT_LANE_SLOW:
    case MKV_FAULT_LANE_LOSS:
    case MKV_FAULT_LANE_RNR:
    case MKV_FAULT_LANE_PARTITION:
    case MKV_FAULT_LANE_MTU:
    case MKV_FAULT_LANE_DEATH:
    case MKV_FAULT_LANE_ACCESS:
    case MKV_FAULT_LANE_PORT:
    case MKV_FAULT_LANE_DEVICE:
    case MKV_FAULT_LANE_PAIR:
    case MKV_FAULT_LANE_LOCAL:
    case MKV_FAULT_LANE_HANG:
    case MKV_FAULT_LANE_LATE:
    case MKV_FAULT_LANE_LAST_LATE:
    case MKV_FAULT_LANE_LAST_MISSING:
    case MKV_FAULT_LANE_CLOSE_LOST:
    case MKV_FAULT_LANE_STALE:
    case MKV_FAULT_LANE_DUPLICATE:
    case MKV_FAULT_LANE_WRITE_LATE:
    case MKV_FAULT_LANE_PATH:
    case MKV_FAULT_LANE_KEY:
    case MKV_FAULT_LANE_LANDING:
    case MKV_FAULT_COUNT:
        return false;
    }
    MKV_ASSERT(false);
    return false;
}

/* What strikes the operation now that it ends. */
static enum mkv_fault fault_at_end(const struct mkv_faults *faults, const struct drive_io *io) {
    if (faults->gone) {
        return MKV_FAULT_GONE; /* in flight when it went */
    }
    if (io->kind == MKV_EFFECT_DRIVE_READ && !is_failure(io->act.fault) &&
        mkv_faults_any_flag(faults, io->drive.lba.unit, io->drive.unit_count,
                            MKV_UNIT_UNREADABLE)) {
        return MKV_FAULT_READ_MEDIUM;
    }
    return io->act.fault;
}

bool mkv_drive_fault_complete(struct mkv_drive_sim *drive, const struct drive_io *io,
                              enum mkv_io_result *result) {
    struct mkv_faults *faults = drive->faults;
    const enum mkv_fault fault = fault_at_end(faults, io);
    if (fault == MKV_FAULT_LYING_FLUSH) {
        mkv_faults_hit(faults, fault);
        return true;
    }
    if (!is_failure(fault)) {
        return false;
    }
    if (fault != MKV_FAULT_READ_MEDIUM && fault != MKV_FAULT_SHRUNK) {
        mkv_faults_hit(faults, fault); /* the first is counted with its bytes, the other once */
    }
    mkv_faults_error(faults, fault, io->drive.lba.unit, io->drive.unit_count);
    if (io->kind == MKV_EFFECT_DRIVE_FLUSH) {
        mkv_drive_versions_flush_failed(drive, io->flush_stamp);
        *result = result_of(fault);
    } else if (io->kind == MKV_EFFECT_DRIVE_TRIM) {
        *result = result_of(fault);
    } else if (io->kind == MKV_EFFECT_DRIVE_WRITE) {
        *result = fail_write(drive, io, fault);
    } else {
        *result = fail_read(drive, io, fault);
    }
    return true;
}

/* ---- trims ----------------------------------------------------------------------------------- */

/* What the unit holds after the trim: zeros, other bytes, or (`*kept`) what it holds. */
static const uint8_t *trimmed(struct mkv_drive_sim *drive, enum mkv_drive_discard discard,
                              bool *kept) {
    *kept = discard == MKV_DISCARD_OLD;
    if (discard == MKV_DISCARD_ZEROS) {
        return NULL;
    }
    const uint32_t fate = mkv_random_below(&drive->random, 3);
    *kept = *kept || fate == 0;
    if (*kept || discard == MKV_DISCARD_PARTIAL || fate == 1) {
        return NULL;
    }
    return mkv_drive_sim_unit(drive,
                              mkv_random_below(&drive->random, drive->profile.capacity_units));
}

void mkv_drive_trim_submit(struct mkv_drive_sim *drive, struct drive_io *io) {
    const uint64_t end = io->drive.lba.unit + io->drive.unit_count;
    enum mkv_drive_discard discard = drive->profile.discard;
    if (io->act.fault == MKV_FAULT_TRIM_IGNORED) {
        discard = MKV_DISCARD_OLD;
    } else if (io->act.fault == MKV_FAULT_TRIM_PARTIAL || io->act.fault == MKV_FAULT_TRIM_ERROR) {
        discard = MKV_DISCARD_PARTIAL;
    } else if (io->act.fault == MKV_FAULT_TRIM_ARBITRARY) {
        discard = MKV_DISCARD_ARBITRARY;
    }
    if (io->act.fault >= MKV_FAULT_TRIM_IGNORED && io->act.fault <= MKV_FAULT_TRIM_ARBITRARY) {
        mkv_faults_hit(drive->faults, io->act.fault); /* one that fails is counted at its end */
    }
    if (drive->faults != NULL) {
        mkv_faults_unflag(drive->faults, io->drive.lba.unit, io->drive.unit_count);
    }
    io->write = ++drive->write_serial;
    for (uint64_t unit = io->drive.lba.unit; unit < end; unit++) {
        const struct sector *sector = &drive->sectors[unit];
        const bool zeros = sector->newest == MKV_NONE_U32 && sector->page == PAGE_ZERO;
        bool kept = false;
        const uint8_t *bytes = trimmed(drive, discard, &kept);
        if (!kept && (!zeros || bytes != NULL)) {
            mkv_drive_version_push(drive, unit, io->write, bytes);
        }
    }
}

/* ---- images ---------------------------------------------------------------------------------- */

void mkv_drive_sim_keep_image(struct mkv_drive_sim *drive) {
    MKV_ASSERT(drive->image != NULL);
    for (uint32_t unit = 0; unit < drive->profile.capacity_units; unit++) {
        memcpy(drive->image + (size_t)unit * MKV_UNIT_BYTES,
               drive_page(drive, drive->sectors[unit].page), MKV_UNIT_BYTES);
    }
    drive->image_kept = true;
}

bool mkv_drive_sim_put_image_back(struct mkv_drive_sim *drive) {
    MKV_ASSERT(drive->io_count == 0);
    if (!drive->image_kept) {
        return false;
    }
    mkv_drive_sim_crash(drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
    for (uint32_t unit = 0; unit < drive->profile.capacity_units; unit++) {
        const uint8_t *bytes = drive->image + (size_t)unit * MKV_UNIT_BYTES;
        if (memcmp(bytes, drive_page(drive, drive->sectors[unit].page), MKV_UNIT_BYTES) != 0) {
            uint32_t page = PAGE_ZERO;
            if (memcmp(bytes, drive_page(drive, PAGE_ZERO), MKV_UNIT_BYTES) != 0) {
                page = mkv_drive_page_take(drive);
                memcpy(drive_page(drive, page), bytes, MKV_UNIT_BYTES);
            }
            mkv_drive_set_durable(drive, unit, page);
        }
    }
    return true;
}
