/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing out operations of the drive, and for whom they are: what a drive that is busy gives each
 * its part by.
 */
#include "core/volume_internal.h"

static enum mkv_drive_share op_share(const struct op *op, enum mkv_effect_kind kind) {
    switch (op->kind) {
    case OP_KIND_PURGE:
    case OP_KIND_CATCH_UP:
    case OP_KIND_SCRUB:
        return MKV_DRIVE_FOR_BACKGROUND;
    case OP_KIND_GET:
    case OP_KIND_PUT:
    case OP_KIND_DELETE:
    case OP_KIND_EXPIRE:
        return kind == MKV_EFFECT_DRIVE_READ ? MKV_DRIVE_FOR_LOAD : MKV_DRIVE_FOR_STORE;
    case OP_KIND_DROP:
    case OP_KIND_EXTENT:
    case OP_KIND_TENANT:
    case OP_KIND_TENANT_DROP:
    case OP_KIND_RETIRE:
    case OP_KIND_LIST:
        break;
    }
    MKV_ASSERT(false); /* of these there are records alone */
    return MKV_DRIVE_FOR_BACKGROUND;
}

static enum mkv_drive_share internal_share(const struct mkv_volume *volume, uint32_t which) {
    /* What recovery reads and what a checkpoint writes go through the same windows. */
    const bool window = which >= IO_WINDOW && which < IO_JOURNAL;
    const bool recovers = volume->state == MKV_VOLUME_RECOVERING;
    return (window && !recovers) || which >= IO_TRIM ? MKV_DRIVE_FOR_BACKGROUND
                                                     : MKV_DRIVE_FOR_COMMIT;
}

struct mkv_drive_effect *mkv_volume_op_io(struct mkv_volume *volume, uint32_t index,
                                          enum mkv_effect_kind kind) {
    MKV_ASSERT(volume->state != MKV_VOLUME_FAILED); /* I8 */
    struct mkv_effect *effect = mkv_volume_emit(volume, kind);
    effect->drive.share = op_share(&volume_ops(volume)[index], kind);
    effect->op = (struct mkv_op_id){index, volume_ops(volume)[index].generation};
    volume_ops(volume)[index].io_issued_ns = volume->now_ns;
    volume->io_in_flight++;
    return &effect->drive;
}

struct mkv_drive_effect *mkv_volume_internal_io(struct mkv_volume *volume, uint32_t which,
                                                enum mkv_effect_kind kind, struct mkv_lba lba,
                                                uint32_t unit_count, uint64_t meta_offset) {
    MKV_ASSERT(volume->state != MKV_VOLUME_FAILED); /* I8 */
    MKV_ASSERT(which < IO_COUNT);
    struct internal_io_state *io = &volume->io[which];
    MKV_ASSERT(!io->in_flight);
    io->in_flight = true;
    io->issued_ns = volume->now_ns;
    io->generation++;
    struct mkv_effect *effect = mkv_volume_emit(volume, kind);
    effect->op = (struct mkv_op_id){volume->op_total + which, io->generation};
    effect->drive.memory = MKV_DRIVE_META;
    effect->drive.share = internal_share(volume, which);
    effect->drive.lba = lba;
    effect->drive.unit_count = unit_count;
    effect->drive.meta_offset = meta_offset;
    MKV_ASSERT(lba.unit + unit_count <= volume->config.geometry.capacity_units);
    volume->io_in_flight++;
    return &effect->drive;
}
