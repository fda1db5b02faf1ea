/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rot.h"

#include "core/manifest.h"
#include "core/slot_header.h"

#define BITS_OF_UNIT (MKV_UNIT_BYTES * 8u)

void mkv_rot_before_crash(struct mkv_rot *rot, const struct mkv_node *node) {
    const struct mkv_watch *watch = &node->watch;
    const uint32_t all = (1u << MKV_SUPERBLOCK_COPIES) - 1;
    rot->superblock_quiet = watch->serving &&
                            watch->superblock.sequence == watch->superblock_durable.sequence &&
                            watch->superblock_durable.copies_durable == all;
}

void mkv_rot_metadata(struct mkv_rot *rot, struct mkv_node *node, struct mkv_random *random,
                      struct mkv_trace *trace) {
    const struct mkv_geometry *geometry = &node->config.geometry;
    if (rot->metadata_hit || !mkv_random_chance(random, 1, 4)) {
        return;
    }
    uint64_t unit = 0;
    if (mkv_random_chance(random, 1, 3)) {
        const uint32_t copy = mkv_random_below(random, MKV_SUPERBLOCK_COPIES);
        unit = mkv_geometry_superblock(geometry->capacity_units, copy).unit;
        if (!rot->superblock_quiet) {
            return; /* I2 */
        }
    } else {
        const uint32_t copy = mkv_random_below(random, MKV_JOURNAL_COPIES);
        const uint32_t position = mkv_random_below(random, geometry->ring_blocks);
        unit = mkv_geometry_journal(geometry, copy, position).unit;
    }
    const uint32_t bit = mkv_random_below(random, BITS_OF_UNIT);
    mkv_drive_sim_rot(node->drive, unit, bit);
    mkv_trace_note(trace, "rot in metadata: unit, bit", unit, bit);
    rot->metadata_hit = true;
    rot->hits++;
}

void mkv_rot_directory(struct mkv_rot *rot, struct mkv_node *node, struct mkv_random *random,
                       struct mkv_trace *trace) {
    const struct mkv_geometry *geometry = &node->config.geometry;
    if (!mkv_random_chance(random, 1, 4)) {
        return;
    }
    const uint64_t unit =
        mkv_geometry_directory(geometry).unit + mkv_random_below(random, geometry->directory_units);
    const uint32_t bit = mkv_random_below(random, BITS_OF_UNIT);
    mkv_drive_sim_rot(node->drive, unit, bit);
    mkv_trace_note(trace, "rot in the directory: unit, bit", unit, bit);
    rot->hits_in_directory++;
}

void mkv_rot_block(struct mkv_rot *rot, struct mkv_node *node, struct mkv_model *model,
                   struct mkv_random *random, struct mkv_trace *trace) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(node->volume, &stats);
    if (stats.blocks == 0) {
        return;
    }
    uint32_t skip = mkv_random_below(random, (uint32_t)stats.blocks);
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    while (mkv_volume_next_block(node->volume, &cursor, &block) && skip > 0) {
        skip--;
    }
    struct mkv_slot_header header;
    const uint8_t *header_unit = mkv_drive_sim_unit(node->drive, block.lba.unit);
    if (mkv_slot_header_decode(header_unit, &header) != MKV_OK) {
        return; /* hit before */
    }
    const bool segment = (header.block_flags & MKV_BLOCK_SEGMENT) != 0;
    const uint32_t key =
        mkv_content_find(node->options.content, header.key,
                         header.key_bytes - (segment ? MKV_SEGMENT_KEY_SUFFIX_BYTES : 0));
    MKV_ASSERT(key != MKV_NONE_U32);
    const uint64_t unit = block.lba.unit + mkv_random_below(random, 1 + block.length_units);
    const uint32_t bit = mkv_random_below(random, BITS_OF_UNIT);
    mkv_drive_sim_rot(node->drive, unit, bit);
    mkv_model_allow_loss(model, key);
    /* With equal tags a damaged header is everybody's: a mutation of any of them drops it. */
    for (uint32_t other = 0; other < node->options.content->key_count; other++) {
        if (node->options.content->keys[other].tag == block.tag) {
            mkv_model_allow_loss(model, other);
        }
    }
    mkv_trace_note(trace, "rot in a block: unit, bit", unit, bit);
    rot->hits++;
    rot->hits_in_blocks++;
}

void mkv_rot_event(struct mkv_rot *rot, const struct mkv_event *event) {
    if (event->kind == MKV_EVENT_BLOCK_QUARANTINED) {
        rot->reports++;
    }
}
