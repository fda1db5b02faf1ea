/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export: the blocks of a drive, as a start would find them, into a block stream (block_stream.h).
 *
 * The volume is opened by the core's recovery, whose writes stay in memory, so the drive is as it
 * was, and a drive that can only be read will do. Each block is read and verified whole; one that
 * is not sound is named and left out. Blocks whose time is over, and such of dropped tenants, are
 * left out as well: nobody would be served them.
 *
 * Segments and manifests are blocks like others: the segments of one value may lie on several
 * drives of a store, and are whole again when the streams of all are imported.
 *
 * Not responsible for: putting them anywhere (drive_tool_import.h).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_EXPORT_H
#define MKV_SERVER_DRIVE_TOOL_EXPORT_H

#include "server/drive_tool.h"
#include "server/drive_tool_report.h"

struct mkv_drive_exported {
    uint64_t blocks;
    uint64_t bytes; /* of payloads */
    uint64_t tenants;
    uint64_t expired;
    uint64_t dropped; /* of tenants that were dropped */
    uint64_t damaged; /* told to the report */
};

/* The file must not be there; without success there is none. A recovery that comes up empty is
 * refused: then there is nothing to export, and repair says why. */
__attribute__((warn_unused_result)) bool mkv_drive_export(const struct mkv_drive_tool *drive,
                                                          const char *path,
                                                          struct mkv_drive_report *report,
                                                          struct mkv_drive_exported *exported,
                                                          struct mkv_backend_error *error);

#endif
