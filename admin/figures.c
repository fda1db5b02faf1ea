/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/figures.h"

#include "core/slot_header.h"

/* Slots of the class that a block of the reporting size gets, in one extent. */
static uint64_t default_slots_of_extent(const struct mkv_admin_snapshot *snapshot,
                                        const struct mkv_volume_stats *volume) {
    const uint64_t block_bytes = mkv_min_u64(snapshot->storage_block_bytes, MKV_BLOCK_BYTES_MAX);
    return volume->extent_units / mkv_slot_content_units((uint32_t)block_bytes);
}

struct mkv_admin_drive_figures mkv_admin_drive_figures(const struct mkv_admin_snapshot *snapshot,
                                                       uint32_t drive) {
    MKV_ASSERT(drive < snapshot->drive_count);
    const struct mkv_admin_drive *source = &snapshot->drives[drive];
    const struct mkv_volume_stats *volume = &source->volume;
    MKV_ASSERT(volume->class_count <= MKV_VOLUME_CLASSES_MAX);
    MKV_ASSERT(volume->bytes_usable <= volume->bytes_raw);
    struct mkv_admin_drive_figures figures = {
        .slots_total = volume->extents_free * default_slots_of_extent(snapshot, volume),
        .bytes_raw = volume->bytes_raw,
        .bytes_metadata = volume->bytes_raw - volume->bytes_usable,
        .bytes_usable = volume->bytes_usable,
    };
    for (uint32_t index = 0; index < volume->class_count; index++) {
        const struct mkv_volume_class_stats *class_stats = &volume->classes[index];
        figures.slots_total += class_stats->slots;
        figures.slots_used += class_stats->slots_used;
        figures.bytes_used +=
            (uint64_t)class_stats->slots_used * class_stats->slot_units * MKV_UNIT_BYTES;
    }
    for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
        figures.io_errors += source->io[op].errors;
    }
    return figures;
}

struct mkv_admin_slab_figures mkv_admin_slab_figures(const struct mkv_admin_snapshot *snapshot) {
    const struct mkv_admin_memory *memory = &snapshot->memory;
    MKV_ASSERT(memory->block_bytes > 0);
    MKV_ASSERT(memory->bytes_used <= memory->bytes_total);
    /* Both are rounded up, so that used slabs are never more than there are. */
    return (struct mkv_admin_slab_figures){
        .bytes_total = memory->bytes_total,
        .bytes_used = memory->bytes_used,
        .slabs_total = mkv_divide_up_u64(memory->bytes_total, memory->block_bytes),
        .slabs_allocated = mkv_divide_up_u64(memory->bytes_used, memory->block_bytes),
    };
}

uint64_t mkv_admin_journal_lag(const struct mkv_volume_stats *volume) {
    /* A volume that is not open has no head yet. */
    return volume->journal_head > volume->journal_applied
               ? volume->journal_head - volume->journal_applied
               : 0;
}

uint64_t mkv_admin_blocks(const struct mkv_admin_snapshot *snapshot) {
    uint64_t blocks = 0;
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        blocks += snapshot->drives[index].volume.blocks;
    }
    return blocks;
}

uint64_t mkv_admin_blocks_of_tier(const struct mkv_admin_snapshot *snapshot, uint32_t tier) {
    uint64_t blocks = 0;
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        blocks += snapshot->drives[index].volume.blocks_by_tier[tier];
    }
    return blocks;
}

uint64_t mkv_admin_blocks_total(const struct mkv_admin_snapshot *snapshot) {
    return mkv_admin_blocks(snapshot) + snapshot->front.memory_unpersisted;
}

struct mkv_admin_lookups mkv_admin_lookups(const struct mkv_admin_snapshot *snapshot) {
    static const enum mkv_op ops[] = {MKV_OP_GET, MKV_OP_EXISTS, MKV_OP_LOOKUP};
    struct mkv_admin_lookups lookups = {0};
    for (size_t place = 0; place < sizeof ops / sizeof ops[0]; place++) {
        const uint64_t *keys = snapshot->front.keys_by_miss[ops[place]];
        const uint64_t memory = snapshot->front.keys_from_memory[ops[place]];
        lookups.keys_memory += memory;
        lookups.keys_drive += keys[MKV_MISS_NONE] - memory;
        for (uint32_t miss = MKV_MISS_UNKNOWN; miss < MKV_MISS_COUNT; miss++) {
            lookups.keys_by_miss[miss] += keys[miss];
            lookups.keys_miss += keys[miss];
        }
    }
    return lookups;
}
