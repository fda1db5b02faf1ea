/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: what verify finds is mended as far as it can be, by the core wherever the core can do it.
 *
 *   fault                        what is done                                         what is lost
 *   superblock copies            recovery writes them from two that agree             nothing
 *   no two of them agree         all are written from the newest single one           see below
 *   a journal copy               recovery writes it from the other one                nothing
 *   a block of the journal       recovery comes up empty: it may hold any DROP        every block
 *   the checkpoint               the one before it, where the journal still reaches   nothing
 *                                back to that, block by block; else recovery comes
 *                                up empty                                             every block
 *   groups, records              recovery comes up empty                              every block
 *   a slot's header or payload   the scrubber drops the block                         the block
 *   two blocks of one key        the older one is dropped                             nothing
 *   the directory                made anew from the headers                           nothing
 *
 * A single superblock may be an older one. Then the journal does not go on from it, or the
 * checkpoint that it names is not there, and recovery comes up empty; a block is never taken for
 * what it is not. Epoch and generations go on above all that were seen.
 *
 * Nothing that was deleted comes back: where a DROP may be lost, so are the blocks.
 *
 * Not responsible for: copying the drive first (drive_tool_copy.h).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_REPAIR_H
#define MKV_SERVER_DRIVE_TOOL_REPAIR_H

#include "server/drive_tool_verify.h"

struct mkv_drive_repaired {
    bool sound;                /* there was nothing to mend */
    bool superblock_from_one;  /* no two copies agreed */
    bool checkpoint_from_twin; /* the one before the last */
    bool came_up_empty;
    enum mkv_err empty_err; /* why */
    uint32_t superblocks_written;
    uint64_t journal_blocks_written;
    uint64_t blocks_dropped;
    bool directory_anew;
    uint64_t blocks_before; /* that checkpoint and journal named */
    uint64_t blocks_after;
    uint64_t faults_before;
    uint64_t faults_after; /* 0 unless it could not be mended */
};

/* The drive was opened for writing. `before` is told of the faults that are found, `after` of those
 * that are left. False: it could not be done, or not to its end. */
__attribute__((warn_unused_result)) bool mkv_drive_repair(struct mkv_drive_tool *drive,
                                                          struct mkv_drive_report *before,
                                                          struct mkv_drive_report *after,
                                                          struct mkv_drive_repaired *repaired,
                                                          struct mkv_backend_error *error);

/* Writes a superblock to all copies: the first pair, flush, the second, flush. */
__attribute__((warn_unused_result)) bool mkv_drive_superblock_write(
    const struct mkv_drive_tool *drive, const struct mkv_superblock *superblock,
    struct mkv_backend_error *error);

/* ---- its parts ------------------------------------------------------------------------------- */

/* The newest of the copies that are whole by themselves. */
__attribute__((warn_unused_result)) bool mkv_tool_superblock_single(
    const struct mkv_drive_tool *drive, struct mkv_superblock *superblock,
    struct mkv_backend_error *error);
/* The superblock that names the checkpoint before the one that `current` names, if that is whole
 * and the journal may reach back to it. */
bool mkv_tool_checkpoint_twin(const struct mkv_drive_tool *drive,
                              const struct mkv_superblock *current, struct mkv_superblock *twin);

#endif
