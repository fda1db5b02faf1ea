/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rot.h"

#include "core/checkpoint_page.h"
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

/* A unit of metadata: a superblock copy, a journal block, the head or a page of a checkpoint, or
 * one of the directory. */
static uint64_t metadata_unit(struct mkv_faults *faults) {
    const struct mkv_geometry *geometry = &faults->geometry;
    struct mkv_random *random = &faults->random;
    switch (mkv_random_below(random, 5)) {
    case 0:
        return mkv_geometry_superblock(geometry->capacity_units, faults->weak_superblock).unit;
    case 1:
        return mkv_geometry_checkpoint(geometry, mkv_random_below(random, MKV_CHECKPOINT_SIDES))
                   .unit +
               mkv_random_below(random, 1 + geometry->tenant_units + geometry->page_count);
    case 2:
        return mkv_geometry_directory(geometry).unit +
               mkv_random_below(random, geometry->directory_units);
    default:
        return mkv_geometry_journal(geometry, faults->weak_journal,
                                    mkv_random_below(random, geometry->ring_blocks))
            .unit;
    }
}

/* The highest sequence that a whole journal block states to be flushed, in the copy that no fault
 * takes away; `*from` is that block's own. What is still in the cache may go with the next crash.
 */
static uint64_t flushed_by_block(const struct mkv_faults *faults, const struct mkv_node *node,
                                 uint64_t *from) {
    const struct mkv_geometry *geometry = &faults->geometry;
    const uint32_t strong = (faults->weak_journal + 1) % MKV_JOURNAL_COPIES;
    uint64_t flushed = 0;
    for (uint32_t position = 0; position < geometry->ring_blocks; position++) {
        struct mkv_journal_header header;
        const uint64_t unit = mkv_geometry_journal(geometry, strong, position).unit;
        const uint8_t *bytes = mkv_drive_sim_durable_unit(node->drive, unit);
        if (mkv_journal_block_decode(bytes, &header) == MKV_OK &&
            header.flushed_sequence.value > flushed) {
            flushed = header.flushed_sequence.value;
            *from = header.sequence.value;
        }
    }
    return flushed;
}

/* The highest stamp of the durable checkpoint's pages: its block was applied, and so flushed. */
static uint64_t flushed_by_stamp(const struct mkv_faults *faults, const struct mkv_node *node) {
    const struct mkv_geometry *geometry = &faults->geometry;
    const uint32_t side = node->watch.superblock_durable.side;
    uint64_t flushed = 0;
    if (side == MKV_NONE_U32) {
        return 0;
    }
    const uint64_t head = mkv_geometry_checkpoint(geometry, side).unit;
    struct mkv_checkpoint_head told;
    if (mkv_checkpoint_head_decode(mkv_drive_sim_durable_unit(node->drive, head), &told) !=
        MKV_OK) {
        return 0;
    }
    for (uint32_t page = 0; page < told.page_count && page < geometry->page_count; page++) {
        struct mkv_checkpoint_page content;
        const uint64_t unit = head + 1 + geometry->tenant_units + page;
        if (!mkv_faults_any_flag(faults, unit, 1, MKV_UNIT_DAMAGED | MKV_UNIT_UNREADABLE) &&
            mkv_checkpoint_page_decode(mkv_drive_sim_durable_unit(node->drive, unit), &content) ==
                MKV_OK &&
            content.checkpoint_number == told.checkpoint_number) {
            flushed = mkv_max_u64(flushed, content.stamp.value);
        }
    }
    return flushed;
}

/* Both copies of one block that something which stays says was flushed. Rarely the stamp of a
 * checkpoint page alone says so, of blocks behind those that blocks state: then it always strikes,
 * whatever `struck` says. */
static void flip_pair(struct mkv_faults *faults, struct mkv_node *node, bool struck) {
    const uint32_t ring_blocks = faults->geometry.ring_blocks;
    const uint64_t first = node->watch.superblock_durable.journal_sequence;
    uint64_t stated_by = 0;
    uint64_t last = flushed_by_block(faults, node, &stated_by);
    /* The statement stands in a block behind it, which is left alone. */
    if (stated_by <= last || stated_by - first >= ring_blocks) {
        last = 0;
    }
    const uint64_t stamp = flushed_by_stamp(faults, node);
    const bool stamp_alone = stamp >= first && stamp > last;
    last = mkv_max_u64(last, stamp);
    if (first == 0 || last < first || last - first >= ring_blocks || !(struck || stamp_alone)) {
        return;
    }
    /* The last ones are lost most easily: there is the least that states them. */
    const uint64_t lost =
        stamp_alone || mkv_random_chance(&faults->random, 1, 2)
            ? last
            : first + mkv_random_below(&faults->random, (uint32_t)(last - first + 1));
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        flip(faults, node, MKV_FAULT_ROT_PAIR,
             mkv_geometry_journal(&faults->geometry, copy, lost % ring_blocks).unit);
    }
}

/* Both copies of a block that is durable, perhaps the last one: what cannot be read is a loss even
 * where nothing states it. */
static void lose_pair(struct mkv_faults *faults, struct mkv_node *node) {
    const uint32_t ring_blocks = faults->geometry.ring_blocks;
    const uint64_t first = node->watch.superblock_durable.journal_sequence;
    const uint64_t last = node->watch.sequence_durable;
    if (first == 0 || last < first || last - first >= ring_blocks) {
        return;
    }
    const uint64_t lost =
        mkv_random_chance(&faults->random, 1, 2)
            ? last
            : first + mkv_random_below(&faults->random, (uint32_t)(last - first + 1));
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        const uint64_t unit =
            mkv_geometry_journal(&faults->geometry, copy, lost % ring_blocks).unit;
        mkv_faults_flag(faults, unit, 1, MKV_UNIT_DAMAGED | MKV_UNIT_UNREADABLE);
        mkv_faults_hit_bytes(faults, MKV_FAULT_READ_PAIR, unit, 1);
    }
}

void mkv_rot_metadata(struct mkv_faults *faults, struct mkv_node *node) {
    if (mkv_faults_has(faults, MKV_FAULT_ROT)) {
        const uint64_t unit = metadata_unit(faults);
        if (mkv_faults_reaches(faults, unit, 1) && mkv_faults_strikes(faults, MKV_FAULT_ROT)) {
            flip(faults, node, MKV_FAULT_ROT, unit);
        }
    }
    if (mkv_faults_has(faults, MKV_FAULT_ROT_PAIR) && !faults->calm) {
        const bool struck = mkv_faults_strikes(faults, MKV_FAULT_ROT_PAIR);
        if (struck || !faults->plan.scripted) {
            flip_pair(faults, node, struck);
        }
    }
    if (mkv_faults_strikes(faults, MKV_FAULT_READ_PAIR)) {
        lose_pair(faults, node);
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
