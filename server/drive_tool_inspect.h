/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drive says of itself, in one JSON value: its superblocks, geometry, journal, checkpoints
 * and directory as they stand, and what a start would come to, found by the core's recovery with
 * its writes kept in memory. docs/drive-tool.md names the fields.
 *
 * Not responsible for: whether it is right (drive_tool_verify.h).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_INSPECT_H
#define MKV_SERVER_DRIVE_TOOL_INSPECT_H

#include <jansson.h>

#include "core/volume.h"
#include "server/drive_tool.h"

/* What a start would find. */
struct mkv_drive_recovered {
    bool serves; /* else `why` says why it would not */
    bool empty;  /* it would come up empty */
    char why[MKV_BACKEND_ERROR_TEXT_BYTES];
    struct mkv_volume_stats stats;
    json_t *tenants; /* the caller's */
};
/* Opens the store, its writes kept in memory. False: there is no memory. */
__attribute__((warn_unused_result)) bool mkv_drive_recover(const struct mkv_drive_tool *drive,
                                                           struct mkv_drive_recovered *recovered,
                                                           struct mkv_backend_error *error);

/* A new value, or NULL and an error. The drive is a store. */
json_t *mkv_drive_inspect(const struct mkv_drive_tool *drive, struct mkv_backend_error *error);

#endif
