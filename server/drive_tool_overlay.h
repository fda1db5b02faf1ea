/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units that were written to a drive that is not to be written: they are kept in memory, and stand
 * over what is read.
 *
 *     unit --hash--> place in places[] --> units[index]
 *
 * Not responsible for: what is written.
 */
#ifndef MKV_SERVER_DRIVE_TOOL_OVERLAY_H
#define MKV_SERVER_DRIVE_TOOL_OVERLAY_H

#include "core/base.h"

/* 2 GiB of memory: both copies of the longest ring, many times. */
#define MKV_DRIVE_TOOL_OVERLAY_UNITS_MAX (1u << 19)

struct mkv_drive_tool_overlay {
    uint32_t count;
    uint32_t place_count; /* a power of two, or 0 */
    struct mkv_drive_tool_overlay_place *places;
};

/* All zeroes is an empty one. */
void mkv_drive_tool_overlay_free(struct mkv_drive_tool_overlay *overlay);
/* False: there is no memory, or it has as many units as it may. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_overlay_write(
    struct mkv_drive_tool_overlay *overlay, uint64_t unit, uint32_t count, const uint8_t *bytes);
/* Lays what was written over what was read. */
void mkv_drive_tool_overlay_read(const struct mkv_drive_tool_overlay *overlay, uint64_t unit,
                                 uint32_t count, uint8_t *bytes);

#endif
