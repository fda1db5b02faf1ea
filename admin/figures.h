/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a snapshot that follow from others. Status and metrics both take them from here,
 * so that they agree.
 *
 * Invariants
 *  I1  bytes_usable = bytes_raw − bytes_metadata.
 *  I2  slots_used and bytes_used are sums over the drive's classes: of a class's slots that are not
 *      free, and of their size.
 *  I3  slots_total = slots of the extents that have a class + free extents × the slots of the
 *      default class that one holds. The default class is that of storage.block_size.
 *  I4  bytes_used ≤ bytes_total and slabs_allocated ≤ slabs_total.
 *
 * Not responsible for: showing them.
 */
#ifndef MKV_ADMIN_FIGURES_H
#define MKV_ADMIN_FIGURES_H

#include "admin/snapshot.h"

struct mkv_admin_drive_figures {
    uint64_t slots_total;
    uint64_t slots_used;
    uint64_t bytes_raw;
    uint64_t bytes_metadata;
    uint64_t bytes_usable;
    uint64_t bytes_used;
    uint64_t io_errors;
};
struct mkv_admin_drive_figures mkv_admin_drive_figures(const struct mkv_admin_snapshot *snapshot,
                                                       uint32_t drive);

struct mkv_admin_slab_figures {
    uint64_t bytes_total;
    uint64_t bytes_used;
    uint64_t slabs_total;
    uint64_t slabs_allocated;
};
struct mkv_admin_slab_figures mkv_admin_slab_figures(const struct mkv_admin_snapshot *snapshot);

/* Positions of the journal that the durable checkpoint does not cover. */
uint64_t mkv_admin_journal_lag(const struct mkv_volume_stats *volume);

/* Live blocks of all drives; those of one retention tier; and with those that are in memory alone.
 */
uint64_t mkv_admin_blocks(const struct mkv_admin_snapshot *snapshot);
uint64_t mkv_admin_blocks_of_tier(const struct mkv_admin_snapshot *snapshot, uint32_t tier);
uint64_t mkv_admin_blocks_total(const struct mkv_admin_snapshot *snapshot);

/* Keys asked for by GET, EXISTS and LOOKUP together, by where they were found. */
struct mkv_admin_lookups {
    uint64_t keys_memory;
    uint64_t keys_drive;
    uint64_t keys_miss;
    uint64_t keys_by_miss[MKV_MISS_COUNT];
};
struct mkv_admin_lookups mkv_admin_lookups(const struct mkv_admin_snapshot *snapshot);

#endif
