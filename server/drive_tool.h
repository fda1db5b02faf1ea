/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive in the hands of `memkv drive`: opened for this process alone, known by what its
 * superblocks say, and read and written in whole units. No daemon has it meanwhile.
 *
 *     open (lock, probe) --> read, write, flush --> close
 *
 * Invariants
 *  I1  What was opened with MKV_DRIVE_TOOL_READ is never written (asserted).
 *  I2  A drive that a daemon, or anybody else, has is refused by name, and with the process where
 *      it is known.
 *
 * Not responsible for: what units mean (drive_tool_table.h), nor for machines
 * (drive_tool_volume.h).
 */
#ifndef MKV_SERVER_DRIVE_TOOL_H
#define MKV_SERVER_DRIVE_TOOL_H

#include "backends/drive_open.h"
#include "server/drive_probe.h"

/* Units of the longest transfer: a slot with the largest payload. */
#define MKV_DRIVE_TOOL_UNITS_MAX MKV_SLOT_UNITS_MAX
#define MKV_DRIVE_TOOL_NAME_BYTES 64u

enum mkv_drive_tool_access {
    MKV_DRIVE_TOOL_READ = 0,
    MKV_DRIVE_TOOL_WRITE,
};

struct mkv_drive_tool {
    const char *path;
    char name[MKV_DRIVE_TOOL_NAME_BYTES]; /* the last part of the path, for messages */
    enum mkv_drive_tool_access access;
    struct mkv_drive_media media;
    struct mkv_drive_probe probe;
};

/* Opens what is at `path`, whatever is on it. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_open(struct mkv_drive_tool *drive,
                                                             const char *path,
                                                             enum mkv_drive_tool_access access,
                                                             struct mkv_backend_error *error);
/* Refuses what is no store that this release can read, with what it is. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_is_store(const struct mkv_drive_tool *drive,
                                                                 struct mkv_backend_error *error);
/* Looks at the superblocks anew. */
__attribute__((warn_unused_result)) bool mkv_drive_tool_probe(struct mkv_drive_tool *drive,
                                                              struct mkv_backend_error *error);
void mkv_drive_tool_close(struct mkv_drive_tool *drive);
/* "a store", "blank", ... */
const char *mkv_drive_tool_kind_name(enum mkv_drive_probe_kind kind);

/* Each returns 0 or an errno value. Memory is aligned to MKV_UNIT_BYTES. */
__attribute__((warn_unused_result)) int mkv_drive_tool_read(const struct mkv_drive_tool *drive,
                                                            uint64_t unit, uint32_t count,
                                                            void *bytes);
__attribute__((warn_unused_result)) int mkv_drive_tool_write(const struct mkv_drive_tool *drive,
                                                             uint64_t unit, uint32_t count,
                                                             const void *bytes);
__attribute__((warn_unused_result)) int mkv_drive_tool_flush(const struct mkv_drive_tool *drive);

/* Memory of whole units; NULL where there is none. Freed with free(). */
uint8_t *mkv_drive_tool_units(uint32_t count);

#endif
