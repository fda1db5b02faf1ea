/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rot.h"

#include "core/journal_block.h"

#define BITS_OF_UNIT (MKV_UNIT_BYTES * 8u)

void mkv_rot_before_crash(struct mkv_faults *faults, const struct mkv_node *node) {
    const struct mkv_watch *watch = &node->watch;
    const uint32_t all = (1u << MKV_SUPERBLOCK_COPIES) - 1;
    faults->superblock_quiet = watch->serving &&
                               watch->superblock.sequence == watch->superblock_durable.sequence &&
                               watch->superblock_durable.copies_durable == all;
}

static void flip(struct mkv_faults *faults, struct mkv_node *node, enum mkv_fault fault,
                 uint64_t unit) {
    mkv_drive_sim_rot(node->drive, unit, mkv_random_below(&faults->random, BITS_OF_UNIT));
    mkv_faults_flag(faults, unit, 1, MKV_UNIT_DAMAGED);
    mkv_faults_hit_bytes(faults, fault, unit, 1);
}

/* A unit of metadata: a superblock copy, a journal block, or the head or a page of a checkpoint. */
static uint64_t metadata_unit(struct mkv_faults *faults) {
    const struct mkv_geometry *geometry = &faults->geometry;
    struct mkv_random *random = &faults->random;
    switch (mkv_random_below(random, 4)) {
    case 0:
        return mkv_geometry_superblock(geometry->capacity_units, faults->weak_superblock).unit;
    case 1:
        return mkv_geometry_checkpoint(geometry, mkv_random_below(random, MKV_CHECKPOINT_SIDES))
                   .unit +
               mkv_random_below(random, 1 + geometry->tenant_units + geometry->page_count);
    default:
        return mkv_geometry_journal(geometry, faults->weak_journal,
                                    mkv_random_below(random, geometry->ring_blocks))
            .unit;
    }
}

/* The highest sequence that a whole journal block states to be flushed, durably: a statement that
 * only the cache of the drive has would be gone with the power. */
static uint64_t flushed_by_claim(const struct mkv_faults *faults, const struct mkv_node *node,
                                 uint64_t *from) {
    const struct mkv_geometry *geometry = &faults->geometry;
    uint64_t flushed = 0;
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        for (uint32_t position = 0; position < geometry->ring_blocks; position++) {
            struct mkv_journal_header header;
            const uint64_t unit = mkv_geometry_journal(geometry, copy, position).unit;
            const uint8_t *bytes = mkv_drive_sim_durable_unit(node->drive, unit);
            if (mkv_journal_block_decode(bytes, &header) == MKV_OK &&
                header.flushed_sequence.value > flushed) {
                flushed = header.flushed_sequence.value;
                *from = header.sequence.value;
            }
        }
    }
    return flushed;
}

static void flip_pair(struct mkv_faults *faults, struct mkv_node *node) {
    const uint32_t ring_blocks = faults->geometry.ring_blocks;
    uint64_t stated_by = 0;
    const uint64_t last = flushed_by_claim(faults, node, &stated_by);
    const uint64_t first = node->watch.superblock_durable.journal_sequence;
    /* The statement stands in a block behind it, which is left alone. */
    if (last < first || first == 0 || stated_by <= last || stated_by - first >= ring_blocks) {
        return;
    }
    const uint64_t lost = first + mkv_random_below(&faults->random, (uint32_t)(last - first + 1));
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        flip(faults, node, MKV_FAULT_ROT_PAIR,
             mkv_geometry_journal(&faults->geometry, copy, lost % ring_blocks).unit);
    }
}

void mkv_rot_metadata(struct mkv_faults *faults, struct mkv_node *node) {
    if (mkv_faults_has(faults, MKV_FAULT_ROT)) {
        const uint64_t unit = metadata_unit(faults);
        if (mkv_faults_reaches(faults, unit, 1) && mkv_faults_strikes(faults, MKV_FAULT_ROT)) {
            flip(faults, node, MKV_FAULT_ROT, unit);
        }
    }
    if (mkv_faults_strikes(faults, MKV_FAULT_ROT_PAIR)) {
        flip_pair(faults, node);
    }
}

void mkv_rot_block(struct mkv_faults *faults, struct mkv_node *node) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(node->volume, &stats);
    if (stats.blocks == 0 || !mkv_faults_strikes(faults, MKV_FAULT_ROT)) {
        return;
    }
    uint32_t skip = mkv_random_below(&faults->random, (uint32_t)stats.blocks);
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    while (mkv_volume_next_block(node->volume, &cursor, &block) && skip > 0) {
        skip--;
    }
    flip(faults, node, MKV_FAULT_ROT,
         block.lba.unit + mkv_random_below(&faults->random, 1 + block.length_units));
}
