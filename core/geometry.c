/* SPDX-License-Identifier: Apache-2.0 */
#include "core/geometry.h"

#define RING_START_UNIT (2u * MKV_SUPERBLOCK_SPACING_UNITS)
/* Units at the end that hold superblock copies 2 and 3 and the gap between them. */
#define TAIL_UNITS (MKV_SUPERBLOCK_SPACING_UNITS + 1u)

/* The defaults of a new store; the header tells them in words. */
#define EXTENTS_WANTED 256u
#define EXTENT_UNITS_DEFAULT_MIN (64u * MKV_MIB / MKV_UNIT_BYTES)
#define EXTENT_UNITS_DEFAULT_MAX (MKV_GIB / MKV_UNIT_BYTES)
#define EXTENTS_OF_SMALL_DRIVE 8u
#define RING_SHARE 256u
#define RING_BLOCKS_DEFAULT_MIN 64u
#define RING_BLOCKS_DEFAULT_MAX 65536u
#define UNITS_PER_SLOT (256u * MKV_KIB / MKV_UNIT_BYTES)
#define SLOTS_DEFAULT_MIN 4096u
#define CHECKPOINT_SHARE 8u
#define TENANTS_DEFAULT 1024u
/* Bytes of the directory for each slot: a key of a hundred bytes, its entry, and nodes that are two
 * thirds full, with as much again for the copies of a commit. */
#define DIRECTORY_BYTES_PER_SLOT 256u
#define DIRECTORY_SHARE 64u

_Static_assert(MKV_PAGE_SLOTS == (MKV_UNIT_BYTES - 64u) / 24u, "a page is one unit");
_Static_assert(MKV_SLOTS_MAX < MKV_NONE_U32, "MKV_NONE_U32 names no slot");
_Static_assert(MKV_CAPACITY_UNITS_MAX <= INT64_MAX / MKV_UNIT_BYTES, "byte offsets are signed");

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high) {
    return mkv_max_u64(low, mkv_min_u64(value, high));
}

static uint64_t checkpoint_start(uint32_t ring_blocks) {
    return RING_START_UNIT + (uint64_t)MKV_JOURNAL_COPIES * ring_blocks;
}

static uint64_t side_units(uint32_t tenant_units, uint64_t page_count) {
    return 1 + (uint64_t)tenant_units + page_count;
}

static uint64_t directory_start(const struct mkv_geometry *geometry) {
    return checkpoint_start(geometry->ring_blocks) +
           MKV_CHECKPOINT_SIDES * side_units(geometry->tenant_units, geometry->page_count);
}

static uint64_t data_start(const struct mkv_geometry *geometry) {
    return directory_start(geometry) + geometry->directory_units;
}

static uint64_t default_ring_blocks(uint64_t capacity_units) {
    return clamp(capacity_units / RING_SHARE, RING_BLOCKS_DEFAULT_MIN, RING_BLOCKS_DEFAULT_MAX);
}

static uint64_t default_extent_units(uint64_t capacity_units) {
    const uint64_t wanted =
        clamp(capacity_units / EXTENTS_WANTED, EXTENT_UNITS_DEFAULT_MIN, EXTENT_UNITS_DEFAULT_MAX);
    return clamp(capacity_units / EXTENTS_OF_SMALL_DRIVE, MKV_EXTENT_UNITS_MIN, wanted);
}

static uint64_t default_page_count(uint64_t capacity_units, uint64_t ring_blocks) {
    const uint64_t taken = RING_START_UNIT + MKV_JOURNAL_COPIES * ring_blocks + TAIL_UNITS;
    const uint64_t left = capacity_units > taken ? capacity_units - taken : 0;
    const uint64_t slots = mkv_max_u64(left / UNITS_PER_SLOT, SLOTS_DEFAULT_MIN);
    const uint64_t side_units = capacity_units / CHECKPOINT_SHARE / MKV_CHECKPOINT_SIDES;
    const uint64_t pages_max = side_units > 1 ? side_units - 1 : 0;
    return mkv_max_u64(1, mkv_min_u64(mkv_divide_up_u64(slots, MKV_PAGE_SLOTS), pages_max));
}

static uint32_t default_tenant_units(uint64_t capacity_units) {
    const uint64_t units = mkv_divide_up_u64(TENANTS_DEFAULT, MKV_UNIT_TENANTS);
    return (uint32_t)clamp(capacity_units / CHECKPOINT_SHARE / units, 1, units);
}

static uint64_t default_directory_units(uint64_t capacity_units, uint64_t page_count) {
    const uint64_t slots = page_count * MKV_PAGE_SLOTS;
    const uint64_t units = mkv_divide_up_u64(slots * DIRECTORY_BYTES_PER_SLOT, MKV_UNIT_BYTES);
    const uint64_t units_max = mkv_min_u64(capacity_units / DIRECTORY_SHARE, UINT32_MAX);
    return mkv_max_u64(MKV_DIRECTORY_UNITS_MIN, mkv_min_u64(units, units_max));
}

enum mkv_err mkv_geometry_plan(uint64_t capacity_units, const struct mkv_geometry_options *options,
                               struct mkv_geometry *geometry) {
    if (capacity_units < MKV_CAPACITY_UNITS_MIN) {
        return MKV_ERR_TOO_SMALL;
    }
    if (capacity_units > MKV_CAPACITY_UNITS_MAX) {
        return MKV_ERR_TOO_LARGE;
    }
    const uint64_t ring_blocks =
        options->ring_blocks != 0 ? options->ring_blocks : default_ring_blocks(capacity_units);
    const uint64_t extent_units =
        options->extent_units != 0 ? options->extent_units : default_extent_units(capacity_units);
    if (extent_units < MKV_EXTENT_UNITS_MIN) {
        return MKV_ERR_TOO_SMALL;
    }
    /* An extent takes at least a page, so every extent gets one beyond those of the slots. */
    const uint64_t page_count =
        options->slots_max != 0
            ? mkv_divide_up_u64(options->slots_max, MKV_PAGE_SLOTS)
            : default_page_count(capacity_units, ring_blocks) + capacity_units / extent_units;
    if (ring_blocks < MKV_RING_BLOCKS_MIN) {
        return MKV_ERR_TOO_SMALL;
    }
    const uint64_t tenant_units =
        options->tenant_units != 0 ? options->tenant_units : default_tenant_units(capacity_units);
    const uint64_t directory_units = options->directory_units != 0
                                         ? options->directory_units
                                         : default_directory_units(capacity_units, page_count);
    if (directory_units < MKV_DIRECTORY_UNITS_MIN) {
        return MKV_ERR_TOO_SMALL;
    }
    if (page_count > MKV_PAGES_MAX || tenant_units > MKV_TENANT_UNITS_MAX) {
        return MKV_ERR_TOO_LARGE;
    }
    struct mkv_geometry plan = {
        .capacity_units = capacity_units,
        .ring_blocks = (uint32_t)ring_blocks,
        .tenant_units = (uint32_t)tenant_units,
        .page_count = (uint32_t)page_count,
        .directory_units = (uint32_t)directory_units,
        .extent_units = (uint32_t)extent_units,
    };
    const uint64_t start = data_start(&plan);
    const uint64_t end = capacity_units - TAIL_UNITS;
    if (start + extent_units > end) {
        return MKV_ERR_TOO_SMALL;
    }
    const uint64_t extent_count = (end - start) / extent_units;
    if (extent_count > MKV_EXTENTS_MAX) {
        return MKV_ERR_TOO_LARGE;
    }
    plan.extent_count = (uint32_t)extent_count;
    *geometry = plan;
    MKV_ASSERT(mkv_geometry_valid(geometry));
    return MKV_OK;
}

bool mkv_geometry_valid(const struct mkv_geometry *geometry) {
    if (geometry->capacity_units < MKV_CAPACITY_UNITS_MIN ||
        geometry->capacity_units > MKV_CAPACITY_UNITS_MAX) {
        return false;
    }
    if (geometry->ring_blocks < MKV_RING_BLOCKS_MIN ||
        geometry->extent_units < MKV_EXTENT_UNITS_MIN) {
        return false;
    }
    if (geometry->page_count < 1 || geometry->page_count > MKV_PAGES_MAX) {
        return false;
    }
    if (geometry->extent_count < 1 || geometry->extent_count > MKV_EXTENTS_MAX) {
        return false;
    }
    if (geometry->tenant_units < 1 || geometry->tenant_units > MKV_TENANT_UNITS_MAX ||
        geometry->directory_units < MKV_DIRECTORY_UNITS_MIN) {
        return false;
    }
    /* No sum wraps: what lies before the data is below 2^35 units, the extents below 2^49. */
    const uint64_t data_end = data_start(geometry) + mkv_geometry_usable_units(geometry);
    return data_end <= geometry->capacity_units - TAIL_UNITS;
}

struct mkv_lba mkv_geometry_superblock(uint64_t capacity_units, uint32_t copy) {
    MKV_ASSERT(capacity_units >= MKV_CAPACITY_UNITS_MIN);
    MKV_ASSERT(copy < MKV_SUPERBLOCK_COPIES);
    if (copy < 2) {
        return (struct mkv_lba){(uint64_t)copy * MKV_SUPERBLOCK_SPACING_UNITS};
    }
    return (struct mkv_lba){capacity_units - 1 -
                            (uint64_t)(3 - copy) * MKV_SUPERBLOCK_SPACING_UNITS};
}

struct mkv_lba mkv_geometry_journal(const struct mkv_geometry *geometry, uint32_t copy,
                                    uint64_t ring_position) {
    MKV_ASSERT(copy < MKV_JOURNAL_COPIES);
    MKV_ASSERT(ring_position < geometry->ring_blocks);
    return (struct mkv_lba){RING_START_UNIT + (uint64_t)copy * geometry->ring_blocks +
                            ring_position};
}

struct mkv_lba mkv_geometry_checkpoint(const struct mkv_geometry *geometry, uint32_t side) {
    MKV_ASSERT(side < MKV_CHECKPOINT_SIDES);
    return (struct mkv_lba){checkpoint_start(geometry->ring_blocks) +
                            side * side_units(geometry->tenant_units, geometry->page_count)};
}

struct mkv_lba mkv_geometry_data_start(const struct mkv_geometry *geometry) {
    return (struct mkv_lba){data_start(geometry)};
}

struct mkv_lba mkv_geometry_directory(const struct mkv_geometry *geometry) {
    return (struct mkv_lba){directory_start(geometry)};
}

struct mkv_lba mkv_geometry_extent(const struct mkv_geometry *geometry, struct mkv_extent extent) {
    MKV_ASSERT(extent.index < geometry->extent_count);
    return (struct mkv_lba){mkv_geometry_data_start(geometry).unit +
                            (uint64_t)extent.index * geometry->extent_units};
}

uint64_t mkv_geometry_usable_units(const struct mkv_geometry *geometry) {
    return (uint64_t)geometry->extent_count * geometry->extent_units;
}
