/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root unit of the directory: which tree counts, and up to where it can be relied on. Units 0
 * and 1 of the region take turns; a commit of number n writes unit n mod 2, so that the one before
 * stands until the next one is whole.
 *
 *   offset bytes  field
 *        0     8  magic "MEMKVDR\0"
 *        8     8  checksum: XXH3-64 of bytes 16 .. 4095
 *       16    16  drive uuid
 *       32     8  commit number, from 1
 *       40     4  page of the root node; 0 when the tree is empty
 *       44     4  low 32 bits of the root node's checksum; 0 when the tree is empty
 *       48     8  applied sequence: of the journal's blocks up to here every PUT is in the tree
 *       56     8  listed generation: so is every put with a generation counter up to this one
 *       64     8  entries of the tree
 *       72     4  nodes of the tree
 *       76     4  levels of the tree, 0 when it is empty
 *       80     4  units of the region
 *       84  4012  0
 *
 * Invariants
 *  I1  "In the tree" is said of blocks that are live: an entry of a block that is gone may be there
 *      or not, and counts for nothing.
 *  I2  A root unit is written only after a flush that covers every node of its tree.
 *
 * Not responsible for: choosing between the two units (directory_load.c).
 */
#ifndef MKV_CORE_DIRECTORY_ROOT_H
#define MKV_CORE_DIRECTORY_ROOT_H

#include "core/base.h"
#include "core/directory_node.h"
#include "core/geometry.h"

/* Root units at the start of the region; nodes lie behind them. */
#define MKV_DIRECTORY_ROOTS 2u

struct mkv_directory_root {
    struct mkv_uuid drive_uuid;
    uint64_t commit;
    struct mkv_directory_child root;
    uint64_t applied_sequence;
    uint64_t listed_generation; /* a counter, without the epoch */
    uint64_t entry_count;
    uint32_t node_count;
    uint32_t level_count;
    uint32_t region_units;
};

void mkv_directory_root_encode(const struct mkv_directory_root *root, uint8_t *unit);
/* False when the unit is no sound root. Safe on any bytes. */
bool mkv_directory_root_decode(const uint8_t *unit, struct mkv_directory_root *root);

#endif
