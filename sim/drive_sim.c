/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/drive_sim.h"

#include <string.h>

#include "core/hash.h"
#include "core/slot_header.h"
#include "sim/drive_sim_internal.h"
#include "sim/failure.h"

/* Reads are handed memory that holds this until they complete, as a device may write early. */
#define SCRIBBLE 0xdb
#define SCRIBBLE_BYTES 64u
/* Of each unit written so much is in last_write_hash: metadata has its checksum there, a block's
 * first unit the sums of its payload. What becomes durable is hashed whole in the image. */
#define WRITE_BYTES_HASHED 128u

struct mkv_drive_sim *mkv_drive_sim_create(struct mkv_memory *memory,
                                           const struct mkv_drive_profile *profile,
                                           const struct mkv_random *random,
                                           struct mkv_guard *guard) {
    MKV_ASSERT(profile->capacity_units > 0);
    MKV_ASSERT(profile->tear_bytes >= MKV_UNIT_BYTES / 64);
    MKV_ASSERT(profile->tear_bytes <= MKV_UNIT_BYTES);
    MKV_ASSERT((profile->tear_bytes & (profile->tear_bytes - 1)) == 0);
    /* A durable and an older page of every unit, and those of the versions. */
    const uint32_t page_count = 1 + 2 * profile->capacity_units + MKV_DRIVE_SIM_VERSIONS_MAX;
    struct mkv_drive_sim *drive = mkv_memory_take(memory, sizeof *drive, 64);
    memset(drive, 0, offsetof(struct mkv_drive_sim, ios));
    drive->profile = *profile;
    drive->random = *random;
    drive->guard = guard;
    drive->pages = mkv_memory_take(memory, (size_t)page_count * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    drive->pages_free = mkv_memory_take(memory, page_count * sizeof(uint32_t), 64);
    drive->versions =
        mkv_memory_take(memory, MKV_DRIVE_SIM_VERSIONS_MAX * sizeof(struct version), 64);
    drive->versions_free =
        mkv_memory_take(memory, MKV_DRIVE_SIM_VERSIONS_MAX * sizeof(uint32_t), 64);
    drive->sectors = mkv_memory_take(memory, profile->capacity_units * sizeof(struct sector), 64);
    drive->dirty = mkv_memory_take(memory, profile->capacity_units * sizeof(uint32_t), 64);
    drive->image_stale = mkv_memory_take(memory, profile->capacity_units * sizeof(uint32_t), 64);
    drive->sums = mkv_memory_take(memory, MKV_CHUNKS_MAX * sizeof(uint64_t), 64);
    memset(drive->pages, 0, MKV_UNIT_BYTES);
    drive->page_count = page_count;
    drive->pages_used = PAGE_ZERO + 1;
    for (uint32_t unit = 0; unit < profile->capacity_units; unit++) {
        drive->sectors[unit] =
            (struct sector){.page = PAGE_ZERO, .newest = MKV_NONE_U32, .older = MKV_NONE_U32};
    }
    return drive;
}

void mkv_drive_sim_set_faults(struct mkv_drive_sim *drive, struct mkv_memory *memory,
                              struct mkv_faults *faults) {
    MKV_ASSERT(drive->io_serial == 0);
    drive->faults = faults;
    drive->keeps_older = mkv_faults_has(faults, MKV_FAULT_STALE_READ);
    if (mkv_faults_has(faults, MKV_FAULT_OLD_IMAGE)) {
        drive->image = mkv_memory_take(
            memory, (size_t)drive->profile.capacity_units * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    }
}

void mkv_drive_sim_attach(struct mkv_drive_sim *drive, const struct mkv_drive_memory_map *map) {
    MKV_ASSERT(drive->io_count == 0);
    drive->map = *map;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint8_t *meta_memory(const struct mkv_drive_sim *drive, uint64_t offset, uint32_t units) {
    MKV_ASSERT(offset <= drive->map.arena_bytes);
    MKV_ASSERT((size_t)units * MKV_UNIT_BYTES <= drive->map.arena_bytes - offset);
    return drive->map.arena + offset;
}

/* The header unit of a slab; `bytes` from it on are about to be used. */
static uint8_t *slab_memory(const struct mkv_drive_sim *drive, struct mkv_slab slab, size_t bytes) {
    const size_t start = (size_t)slab.index * drive->map.slab_stride;
    MKV_ASSERT(slab.index != MKV_NONE_U32);
    MKV_ASSERT(start < drive->map.slabs_bytes);
    MKV_ASSERT(bytes <= drive->map.slabs_bytes - start);
    return drive->map.slabs + start;
}

static bool is_inline(const struct mkv_drive_effect *effect) {
    return effect->unit_count == 1 && effect->payload_bytes > 0;
}

/* Bytes of the slab that a transfer of a slot uses: an inline payload also has its place behind
 * the header unit. */
static size_t slot_bytes(const struct mkv_drive_effect *effect) {
    const size_t bytes = (size_t)effect->unit_count * MKV_UNIT_BYTES;
    return effect->unit_count == 1 ? bytes + MKV_INLINE_BYTES_MAX : bytes;
}

/* Takes or gives back the memory of an operation. */
static void hold(struct mkv_drive_sim *drive, enum mkv_effect_kind kind,
                 const struct mkv_drive_effect *effect, bool take) {
    struct {
        uint8_t *memory;
        size_t bytes;
        bool writes;
    } parts[3] = {{NULL, 0, false}, {NULL, 0, false}, {NULL, 0, false}};
    const bool reads_drive = kind == MKV_EFFECT_DRIVE_READ;
    const size_t bytes = (size_t)effect->unit_count * MKV_UNIT_BYTES;
    switch (effect->memory) {
    case MKV_DRIVE_META:
        parts[0].memory = meta_memory(drive, effect->meta_offset, effect->unit_count);
        parts[0].bytes = bytes;
        parts[0].writes = reads_drive;
        break;
    case MKV_DRIVE_SLOT:
        parts[0].bytes = slot_bytes(effect);
        parts[0].memory = slab_memory(drive, effect->slab, parts[0].bytes);
        parts[0].writes = true;
        if (!reads_drive) {
            parts[1].memory = meta_memory(drive, effect->meta_offset, 1);
            parts[1].bytes = MKV_UNIT_BYTES;
            /* Of the payload's bytes themselves it is only a reader, as those are that send them.
             * An inline payload is a part of the header unit, and of its own place read. */
            parts[2].memory = parts[0].memory + MKV_UNIT_BYTES;
            parts[2].bytes = effect->payload_bytes;
            parts[0].bytes = MKV_UNIT_BYTES;
        }
        break;
    case MKV_DRIVE_PAYLOAD:
        MKV_ASSERT(reads_drive);
        parts[0].memory = slab_memory(drive, effect->slab, MKV_UNIT_BYTES + bytes) + MKV_UNIT_BYTES;
        parts[0].bytes = bytes;
        parts[0].writes = true;
        break;
    }
    for (uint32_t part = 0; part < 3; part++) {
        if (take) {
            mkv_guard_take(drive->guard, parts[part].memory, parts[part].bytes, parts[part].writes,
                           reads_drive ? "drive read" : "drive write");
        } else {
            mkv_guard_release(drive->guard, parts[part].memory, parts[part].bytes,
                              parts[part].writes);
        }
    }
}

/* Lays a slot out in its slab as it goes to the drive: header, inline payload, zeroed tail. */
static const uint8_t *lay_out_slot(struct mkv_drive_sim *drive,
                                   const struct mkv_drive_effect *effect) {
    uint8_t *slab = slab_memory(drive, effect->slab, slot_bytes(effect));
    memcpy(slab, meta_memory(drive, effect->meta_offset, 1), MKV_UNIT_BYTES);
    if (is_inline(effect)) {
        MKV_ASSERT(effect->payload_bytes <= MKV_INLINE_BYTES_MAX);
        memcpy(slab + MKV_SLOT_INLINE_OFFSET, slab + MKV_UNIT_BYTES, effect->payload_bytes);
    } else if (effect->unit_count > 1) {
        const size_t bytes = (size_t)(effect->unit_count - 1) * MKV_UNIT_BYTES;
        MKV_ASSERT(effect->payload_bytes <= bytes);
        MKV_ASSERT(bytes - effect->payload_bytes < MKV_UNIT_BYTES);
        memset(slab + MKV_UNIT_BYTES + effect->payload_bytes, 0, bytes - effect->payload_bytes);
    }
    return slab;
}

static uint8_t *read_target(const struct mkv_drive_sim *drive,
                            const struct mkv_drive_effect *effect) {
    const size_t bytes = (size_t)effect->unit_count * MKV_UNIT_BYTES;
    switch (effect->memory) {
    case MKV_DRIVE_META:
        return meta_memory(drive, effect->meta_offset, effect->unit_count);
    case MKV_DRIVE_SLOT:
        return slab_memory(drive, effect->slab, slot_bytes(effect));
    case MKV_DRIVE_PAYLOAD:
        return slab_memory(drive, effect->slab, MKV_UNIT_BYTES + bytes) + MKV_UNIT_BYTES;
    }
    MKV_ASSERT(false);
    return NULL;
}

/* ---- operations ------------------------------------------------------------------------------ */

static bool changes_units(enum mkv_effect_kind kind) {
    return kind == MKV_EFFECT_DRIVE_WRITE || kind == MKV_EFFECT_DRIVE_TRIM;
}

static const char *name_of(enum mkv_effect_kind kind) {
    return kind == MKV_EFFECT_DRIVE_WRITE  ? "write"
           : kind == MKV_EFFECT_DRIVE_TRIM ? "trim"
                                           : "read";
}

/* Whoever changes units is alone with them: else nobody can say what they hold, or what was read.
 */
static void check_overlap(const struct mkv_drive_sim *drive, const struct drive_io *io) {
    for (uint32_t index = 0; index < drive->io_count; index++) {
        const struct drive_io *other = &drive->ios[index];
        if ((changes_units(io->kind) || changes_units(other->kind)) &&
            io->drive.lba.unit < other->drive.lba.unit + other->drive.unit_count &&
            other->drive.lba.unit < io->drive.lba.unit + io->drive.unit_count) {
            mkv_fail(MKV_ORACLE_OVERWRITE, "a %s of unit %llu is handed out while a %s of it runs",
                     name_of(io->kind), (unsigned long long)io->drive.lba.unit,
                     name_of(other->kind));
        }
    }
}

static void check_one_trim(const struct mkv_drive_sim *drive) {
    for (uint32_t index = 0; index < drive->io_count; index++) {
        MKV_ASSERT(drive->ios[index].kind != MKV_EFFECT_DRIVE_TRIM); /* core/io.h, I8 */
    }
}

static void submit_write(struct mkv_drive_sim *drive, struct drive_io *io) {
    const struct mkv_drive_effect *effect = &io->drive;
    const uint8_t *bytes = effect->memory == MKV_DRIVE_SLOT
                               ? lay_out_slot(drive, effect)
                               : meta_memory(drive, effect->meta_offset, effect->unit_count);
    io->write = ++drive->write_serial;
    uint64_t hash = 0;
    for (uint32_t index = 0; index < effect->unit_count; index++) {
        uint64_t unit = 0;
        if (!mkv_drive_fault_target(io, index, &unit)) {
            continue;
        }
        mkv_drive_version_push(drive, unit, io->write, bytes + (size_t)index * MKV_UNIT_BYTES);
        const uint32_t version = drive->sectors[unit].newest;
        drive->versions[version].atomic = effect->unit_count <= drive->profile.atomic_units;
        hash = mkv_random_mix(
            hash ^ mkv_hash_64(bytes + (size_t)index * MKV_UNIT_BYTES, WRITE_BYTES_HASHED));
    }
    drive->last_write_hash = hash;
    if (drive->faults != NULL) {
        mkv_drive_fault_written(drive, io);
    }
}

void mkv_drive_sim_submit(struct mkv_drive_sim *drive, const struct mkv_effect *effect,
                          uint32_t token, uint64_t now_ns) {
    MKV_ASSERT(drive->io_count < MKV_DRIVE_SIM_IO_MAX);
    struct drive_io *io = &drive->ios[drive->io_count];
    *io = (struct drive_io){
        .kind = effect->kind,
        .op = effect->op,
        .drive = effect->drive,
        .token = token,
        .serial = ++drive->io_serial,
        .act = {.fault = MKV_FAULT_NONE},
    };
    if (drive->faults != NULL) {
        mkv_faults_decide(drive->faults, effect->kind, effect->drive.lba.unit,
                          effect->drive.unit_count, &io->act);
    }
    uint32_t delay_ns_max = drive->profile.flush_ns;
    if (effect->kind == MKV_EFFECT_DRIVE_FLUSH) {
        mkv_drive_versions_land(drive); /* I6 */
        io->flush_stamp = drive->completion_stamp;
    } else {
        MKV_ASSERT(effect->drive.unit_count >= 1);
        MKV_ASSERT(effect->kind == MKV_EFFECT_DRIVE_TRIM ||
                   effect->drive.unit_count <= MKV_DRIVE_SIM_TRANSFER_UNITS_MAX);
        MKV_ASSERT(effect->drive.lba.unit < drive->profile.capacity_units);
        MKV_ASSERT(effect->drive.unit_count <=
                   drive->profile.capacity_units - effect->drive.lba.unit);
        check_overlap(drive, io);
        if (effect->kind != MKV_EFFECT_DRIVE_TRIM) {
            hold(drive, effect->kind, &effect->drive, true);
        }
        if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
            delay_ns_max = drive->profile.write_ns;
            submit_write(drive, io);
        } else if (effect->kind == MKV_EFFECT_DRIVE_TRIM) {
            delay_ns_max = drive->profile.write_ns;
            check_one_trim(drive);
            mkv_drive_trim_submit(drive, io);
        } else {
            MKV_ASSERT(effect->kind == MKV_EFFECT_DRIVE_READ);
            delay_ns_max = drive->profile.read_ns;
            memset(read_target(drive, &effect->drive), SCRIBBLE, SCRIBBLE_BYTES);
        }
    }
    const uint64_t delay_ns = 1 + mkv_random_below(&drive->random, delay_ns_max);
    io->due_ns = mkv_drive_fault_due(drive, io, now_ns, delay_ns);
    drive->due_last_ns = io->due_ns;
    drive->io_count++;
}

uint32_t mkv_drive_sim_in_flight(const struct mkv_drive_sim *drive) {
    return drive->io_count;
}

uint64_t mkv_drive_sim_due_ns(const struct mkv_drive_sim *drive) {
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t index = 0; index < drive->io_count; index++) {
        due_ns = mkv_min_u64(due_ns, drive->ios[index].due_ns);
    }
    return due_ns;
}

/* I3 of core/io.h: the bytes of a write are the same at its end as when it was handed out. */
static void check_write_memory(const struct mkv_drive_sim *drive, const struct drive_io *io) {
    const struct mkv_drive_effect *effect = &io->drive;
    const uint8_t *bytes = read_target(drive, effect);
    for (uint32_t index = 0; index < effect->unit_count; index++) {
        uint64_t unit = 0;
        if (!mkv_drive_fault_target(io, index, &unit)) {
            continue;
        }
        const uint32_t version = mkv_drive_version_of(drive, unit, io->write);
        if (version == MKV_NONE_U32) {
            /* Only a write that went astray can have been flushed over this one. */
            MKV_ASSERT(drive->faults != NULL);
            continue;
        }
        if (memcmp(bytes + (size_t)index * MKV_UNIT_BYTES,
                   drive_page(drive, drive->versions[version].page), MKV_UNIT_BYTES) != 0) {
            mkv_fail(MKV_ORACLE_BUFFERS, "the memory of a write to unit %llu changed under it",
                     (unsigned long long)(effect->lba.unit + index));
        }
    }
}

static void complete_read(struct mkv_drive_sim *drive, const struct drive_io *io,
                          struct mkv_drive_done *done) {
    const struct mkv_drive_effect *effect = &io->drive;
    uint8_t *target = read_target(drive, effect);
    for (uint32_t unit = 0; unit < effect->unit_count; unit++) {
        mkv_drive_copy(target + (size_t)unit * MKV_UNIT_BYTES,
                       mkv_drive_fault_read_unit(drive, io, unit), 1);
    }
    if (effect->memory == MKV_DRIVE_SLOT) {
        uint8_t *payload = target + MKV_UNIT_BYTES;
        uint32_t payload_bytes = (effect->unit_count - 1) * MKV_UNIT_BYTES;
        const uint32_t inline_bytes = mkv_slot_header_inline_bytes(target);
        if (inline_bytes > 0) {
            memcpy(payload, target + MKV_SLOT_INLINE_OFFSET, inline_bytes);
            payload_bytes = (uint32_t)mkv_max_u64(payload_bytes, inline_bytes);
        }
        done->header = target;
        done->sums = drive->sums;
        done->sum_count = mkv_slot_read_sums(target, payload, payload_bytes, drive->sums);
    } else if (effect->payload_bytes > 0) {
        MKV_ASSERT(effect->chunk_bytes > 0);
        MKV_ASSERT(effect->payload_bytes <= effect->unit_count * MKV_UNIT_BYTES);
        uint32_t offset = 0;
        for (; offset < effect->payload_bytes; offset += effect->chunk_bytes) {
            MKV_ASSERT(done->sum_count < MKV_CHUNKS_MAX);
            const uint64_t bytes = mkv_min_u64(effect->chunk_bytes, effect->payload_bytes - offset);
            drive->sums[done->sum_count++] = mkv_hash_64(target + offset, (size_t)bytes);
        }
        done->sums = drive->sums;
    }
}

void mkv_drive_sim_complete(struct mkv_drive_sim *drive, struct mkv_drive_sim_done *done) {
    MKV_ASSERT(drive->io_count > 0);
    uint32_t first = 0;
    for (uint32_t index = 1; index < drive->io_count; index++) {
        if (drive->ios[index].due_ns < drive->ios[first].due_ns) {
            first = index;
        }
    }
    const struct drive_io io = drive->ios[first];
    drive->ios[first] = drive->ios[--drive->io_count];
    *done = (struct mkv_drive_sim_done){.kind = io.kind, .token = io.token};
    done->done.op = io.op;
    done->done.result = MKV_IO_OK;
    if (io.kind != MKV_EFFECT_DRIVE_FLUSH && io.kind != MKV_EFFECT_DRIVE_TRIM) {
        hold(drive, io.kind, &io.drive, false);
    }
    if (io.kind == MKV_EFFECT_DRIVE_TRIM && io.act.fault == MKV_FAULT_TRIM_TIMEOUT) {
        /* Whoever gave it up does not know what it has yet to change. */
        mkv_drive_versions_failed(drive, io.drive.lba.unit, io.drive.unit_count, io.write, 0, true,
                                  false);
    } else if (io.kind == MKV_EFFECT_DRIVE_TRIM) {
        /* Also one that fails has changed what it has changed. */
        mkv_drive_versions_completed(drive, io.drive.lba.unit, io.drive.unit_count, io.write);
    }
    if (io.kind == MKV_EFFECT_DRIVE_WRITE) {
        check_write_memory(drive, &io);
    }
    if (drive->faults != NULL && mkv_drive_fault_complete(drive, &io, &done->done.result)) {
        return;
    }
    if (io.kind == MKV_EFFECT_DRIVE_FLUSH) {
        mkv_drive_versions_flush(drive, io.flush_stamp);
    } else if (io.kind == MKV_EFFECT_DRIVE_WRITE) {
        uint64_t unit = io.drive.lba.unit;
        if (io.act.fault == MKV_FAULT_MISDIRECTED_WRITE) {
            unit = io.act.other;
        }
        mkv_drive_versions_completed(drive, unit, io.drive.unit_count, io.write);
    } else if (io.kind == MKV_EFFECT_DRIVE_READ) {
        complete_read(drive, &io, &done->done);
    }
}

/* ---- figures --------------------------------------------------------------------------------- */

const uint8_t *mkv_drive_sim_durable_unit(const struct mkv_drive_sim *drive, uint64_t unit) {
    MKV_ASSERT(unit < drive->profile.capacity_units);
    return drive_page(drive, drive->sectors[unit].page);
}

static uint32_t visible_page(const struct mkv_drive_sim *drive, uint64_t unit) {
    MKV_ASSERT(unit < drive->profile.capacity_units);
    const uint32_t version = mkv_drive_version_visible(drive, unit);
    return version == MKV_NONE_U32 ? drive->sectors[unit].page : drive->versions[version].page;
}

const uint8_t *mkv_drive_sim_unit(const struct mkv_drive_sim *drive, uint64_t unit) {
    return drive_page(drive, visible_page(drive, unit));
}

uint64_t mkv_drive_sim_unit_hash(const struct mkv_drive_sim *drive, uint64_t unit) {
    return mkv_hash_64(mkv_drive_sim_unit(drive, unit), MKV_UNIT_BYTES);
}

uint64_t mkv_drive_image_part(const struct mkv_drive_sim *drive, uint64_t unit, uint32_t page) {
    if (page == PAGE_ZERO) {
        return 0;
    }
    const uint64_t hash = mkv_hash_64(drive_page(drive, page), MKV_UNIT_BYTES);
    return mkv_random_mix(hash + unit * 0x9e3779b97f4a7c15ull);
}

uint64_t mkv_drive_sim_image_hash(struct mkv_drive_sim *drive) {
    for (uint32_t index = 0; index < drive->image_stale_count; index++) {
        const uint32_t unit = drive->image_stale[index];
        struct sector *sector = &drive->sectors[unit];
        drive->image_hash -= sector->image_part;
        sector->image_part = mkv_drive_image_part(drive, unit, sector->page);
        drive->image_hash += sector->image_part;
        sector->image_stale = false;
    }
    drive->image_stale_count = 0;
    return drive->image_hash;
}

uint32_t mkv_drive_sim_dirty_count(const struct mkv_drive_sim *drive) {
    return drive->dirty_count;
}

uint64_t mkv_drive_sim_last_write_hash(const struct mkv_drive_sim *drive) {
    return drive->last_write_hash;
}
