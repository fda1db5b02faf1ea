/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verify: everything that a drive holds is held against everything else on it.
 *
 *     table (superblocks, checkpoint, journal, groups of extents)
 *       against slots        header and payload of each live block, and no key twice
 *       against directory    every node, every key in its place, every listed block there
 *       against recovery     the core opens the store, its writes kept in memory, and has the same
 *
 * Nothing is written. Memory is that of the table and of the core's, and does not grow with what is
 * wrong.
 *
 * Not responsible for: mending (drive_tool_repair.h).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_VERIFY_H
#define MKV_SERVER_DRIVE_TOOL_VERIFY_H

#include "core/directory_root.h"
#include "server/drive_tool_table.h"

/* What was looked at. */
struct mkv_drive_verified {
    bool readable; /* there was a superblock to go by */
    struct mkv_superblock superblock;
    uint64_t blocks;
    uint64_t bytes; /* of headers and payloads */
    uint64_t journal_blocks;
    uint64_t journal_records;
    uint32_t groups;
    uint32_t tenants;
    uint64_t directory_nodes;
    uint64_t directory_entries;
    /* For repair. */
    bool checkpoint_lost;
    bool journal_lost;
    bool directory_bad;
    uint64_t journal_next;  /* behind the last block */
    uint64_t journal_chain; /* its checksum, or the anchor */
    uint64_t generation_max;
    uint32_t epoch_max;
};

/* Reads the drive, telling `report` of faults. False: it could not be done at all; what was found
 * until then is in the report. A drive without a superblock to go by is a fault, and true. */
__attribute__((warn_unused_result)) bool mkv_drive_verify(const struct mkv_drive_tool *drive,
                                                          struct mkv_drive_report *report,
                                                          struct mkv_drive_verified *verified,
                                                          struct mkv_backend_error *error);

/* ---- its parts ------------------------------------------------------------------------------- */

/* The root that counts; false: there is none, which is no fault. */
bool mkv_tool_directory_root(const struct mkv_tool_table *table, struct mkv_directory_root *root,
                             bool *bad, struct mkv_backend_error *error);
/* Headers and payloads; `listed_generation`: the directory need not have newer ones. */
__attribute__((warn_unused_result)) bool mkv_tool_slots_check(struct mkv_tool_table *table,
                                                              uint64_t listed_generation,
                                                              struct mkv_backend_error *error);
/* The tree below a root against the table, whose slots were checked before. */
__attribute__((warn_unused_result)) bool mkv_tool_directory_check(
    struct mkv_tool_table *table, const struct mkv_directory_root *root,
    struct mkv_drive_verified *verified, struct mkv_backend_error *error);

#endif
