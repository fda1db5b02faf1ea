/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wipe: a drive becomes blank, as formatting wants it, and its room is given back to the medium
 * where that takes it.
 *
 *     superblocks zeroed, flush -> discard of everything -> first and last MiB zeroed, flush ->
 * probe
 *
 * So a wipe that is cut short leaves no store behind that could be opened in part.
 *
 * It is no erasure: what a drive does with discarded units is its own affair, and a drive that
 * takes no discard keeps the bytes of blocks.
 *
 * Not responsible for: whether it may be wiped (the caller asks).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_WIPE_H
#define MKV_SERVER_DRIVE_TOOL_WIPE_H

#include "server/drive_tool.h"

/* `discarded`: all of it was given back. The drive was opened for writing. */
__attribute__((warn_unused_result)) bool mkv_drive_wipe(struct mkv_drive_tool *drive,
                                                        bool *discarded,
                                                        struct mkv_backend_error *error);

#endif
