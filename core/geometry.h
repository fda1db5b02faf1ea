/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things lie on a drive. Everything follows from seven figures, which the superblock keeps.
 *
 *   unit 0        superblock copy 0
 *        8        superblock copy 1
 *        16       journal ring, copy A: ring_blocks units
 *                 journal ring, copy B: ring_blocks units
 *                 checkpoint side A: 1 head unit, tenant_units units, page_count units
 *                 checkpoint side B: 1 head unit, tenant_units units, page_count units
 *                 directory: directory_units units
 *   data_start    extent 0 | extent 1 | ...  extent_units each
 *                 (what is left is less than an extent)
 *   capacity - 9  superblock copy 2
 *   capacity - 1  superblock copy 3
 *
 * Invariants
 *  I1  Regions do not overlap, and all lie below capacity_units.
 *  I2  Slot numbers are given out in pages: page p holds the slots p * MKV_PAGE_SLOTS onward. A
 * page belongs to at most one extent.
 *
 * Not responsible for: which extents and pages are in use (slot_table.h).
 */
#ifndef MKV_CORE_GEOMETRY_H
#define MKV_CORE_GEOMETRY_H

#include "core/base.h"

#define MKV_SUPERBLOCK_COPIES 4u
#define MKV_SUPERBLOCK_SPACING_UNITS 8u
#define MKV_JOURNAL_COPIES 2u
#define MKV_CHECKPOINT_SIDES 2u
/* Slots whose entries fit a page of the checkpoint: (4096 - 64) / 24. */
#define MKV_PAGE_SLOTS 168u
#define MKV_RING_BLOCKS_MIN 8u
#define MKV_EXTENT_UNITS_MIN 2u
/* Adjacent extents that a class of large slots may use as one. */
#define MKV_EXTENT_SPAN_MAX 16u
/* The largest slot: the header unit and the largest payload. */
#define MKV_SLOT_UNITS_MAX (1u + MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES)
/* Tenants whose entries fit a unit of the checkpoint: (4096 - 64) / 96. */
#define MKV_UNIT_TENANTS 42u
#define MKV_TENANT_UNITS_MAX 256u
/* Two roots, and nodes enough to copy a path of three levels and split it. */
#define MKV_DIRECTORY_UNITS_MIN 16u
/* A drive has at most this many extents: 16 TB in extents of 1 GiB, with room to grow. */
#define MKV_EXTENTS_MAX 65536u
/* Slot numbers are 32 bits, and MKV_NONE_U32 is none of them. */
#define MKV_PAGES_MAX (MKV_NONE_U32 / MKV_PAGE_SLOTS)
#define MKV_SLOTS_MAX (MKV_PAGES_MAX * MKV_PAGE_SLOTS)
/* The least drive: four superblocks, the least ring, one page and one unit of tenants a side, the
 * least directory, one least extent. Whoever looks for superblocks checks the capacity against this
 * first. */
#define MKV_CAPACITY_UNITS_MIN                                                                     \
    (2 * MKV_SUPERBLOCK_SPACING_UNITS + MKV_JOURNAL_COPIES * MKV_RING_BLOCKS_MIN +                 \
     MKV_CHECKPOINT_SIDES * 3 + MKV_DIRECTORY_UNITS_MIN + MKV_EXTENT_UNITS_MIN +                   \
     MKV_SUPERBLOCK_SPACING_UNITS + 1)
/* Byte addresses stay within a signed 64-bit offset. */
#define MKV_CAPACITY_UNITS_MAX ((1ull << 51) - 1)

struct mkv_geometry {
    uint64_t capacity_units;
    uint32_t ring_blocks;     /* of each copy; at least MKV_RING_BLOCKS_MIN */
    uint32_t tenant_units;    /* of each checkpoint side: room for MKV_UNIT_TENANTS tenants each */
    uint32_t page_count;      /* pages of the slot table; slots_max = page_count * MKV_PAGE_SLOTS */
    uint32_t directory_units; /* at least MKV_DIRECTORY_UNITS_MIN */
    uint32_t extent_units;    /* at least MKV_EXTENT_UNITS_MIN */
    uint32_t extent_count;    /* 1 ... MKV_EXTENTS_MAX */
};

/* What a new store gets where the caller gives no figures of its own (0 = default):
 * extents of capacity / 256 within 64 MiB and 1 GiB, but at most an eighth of a small drive;
 * slots_max of 1 for each 256 KiB that superblocks and ring leave, at least 4096 and at most what
 * fits in an eighth of the capacity, and as many pages more as there are extents;
 * room for 1024 tenants, less on a tiny drive; a directory of 256 bytes a slot, at most 1/64;
 * a ring of 1/256 of the capacity within 64 and 65536 blocks.
 * MKV_ERR_TOO_SMALL when not even one extent fits beside the metadata, or a figure is below the
 * format's least; MKV_ERR_TOO_LARGE when there would be more than MKV_EXTENTS_MAX extents,
 * MKV_PAGES_MAX pages or MKV_CAPACITY_UNITS_MAX units. */
struct mkv_geometry_options {
    uint32_t ring_blocks;
    uint32_t slots_max; /* rounded up to whole pages */
    uint32_t extent_units;
    uint32_t tenant_units;
    uint32_t directory_units;
};
enum mkv_err mkv_geometry_plan(uint64_t capacity_units, const struct mkv_geometry_options *options,
                               struct mkv_geometry *geometry);

/* Whether the figures are in bounds and the regions fit (I1). Safe on any input. */
bool mkv_geometry_valid(const struct mkv_geometry *geometry);

/* Addresses. The capacity is at least MKV_CAPACITY_UNITS_MIN, a geometry is valid, and every index
 * is below its count: anything else is a programmer's error. */
struct mkv_lba mkv_geometry_superblock(uint64_t capacity_units, uint32_t copy);
struct mkv_lba mkv_geometry_journal(const struct mkv_geometry *geometry, uint32_t copy,
                                    uint64_t ring_position);
/* The head unit of a checkpoint side; its units of tenants follow it, then its pages. */
struct mkv_lba mkv_geometry_checkpoint(const struct mkv_geometry *geometry, uint32_t side);
/* The first unit of the directory. */
struct mkv_lba mkv_geometry_directory(const struct mkv_geometry *geometry);
struct mkv_lba mkv_geometry_data_start(const struct mkv_geometry *geometry);
struct mkv_lba mkv_geometry_extent(const struct mkv_geometry *geometry, struct mkv_extent extent);
/* Units of all extents: what is usable for blocks. */
uint64_t mkv_geometry_usable_units(const struct mkv_geometry *geometry);

#endif
