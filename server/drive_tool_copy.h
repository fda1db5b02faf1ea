/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive's content in a file, for repair to work on: sparse, and with zeroes where the drive
 * cannot be read.
 *
 * Not responsible for: what any of it means.
 */
#ifndef MKV_SERVER_DRIVE_TOOL_COPY_H
#define MKV_SERVER_DRIVE_TOOL_COPY_H

#include "server/drive_tool.h"

struct mkv_drive_copied {
    uint64_t bytes;            /* that were not zeroes */
    uint64_t units_unreadable; /* zeroes in the copy */
};

/* The file must not be there yet; it is removed again when this fails. `progress` may be NULL. */
__attribute__((warn_unused_result)) bool mkv_drive_copy(
    const struct mkv_drive_tool *source, const char *path,
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
    struct mkv_drive_copied *copied, struct mkv_backend_error *error);

#endif
