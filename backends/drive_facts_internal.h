/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of drive_facts.h share: reading single attributes.
 *
 * Not responsible for: anything that callers outside see.
 */
#ifndef MKV_BACKENDS_DRIVE_FACTS_INTERNAL_H
#define MKV_BACKENDS_DRIVE_FACTS_INTERNAL_H

#include "backends/drive_facts.h"

#define MKV_DRIVE_PLACE_BYTES 512u

/* Where sysfs has a device. */
struct mkv_drive_place {
    const struct mkv_drive_roots *roots;
    char own[MKV_DRIVE_PLACE_BYTES];
    char disk[MKV_DRIVE_PLACE_BYTES]; /* of a partition its disk's, else the same */
};

/* The first line of DIRECTORY/NAME without surrounding spaces, cut to fit and in printable ASCII.
 * False, and "", when there is none. */
bool mkv_drive_attribute(const char *directory, const char *name, char *out, size_t out_bytes);
/* The number at the start of that line; 0 when there is none. */
uint64_t mkv_drive_attribute_number(const char *directory, const char *name);
/* Copies with what is not printable ASCII made '?'. */
void mkv_drive_text_copy(char *out, size_t out_bytes, const char *text, size_t text_bytes);
/* Adds an item and, before it, a comma to a list; "…" stands for what does not fit. */
void mkv_drive_list_add(char list[MKV_DRIVE_FACT_LIST_BYTES], const char *item);

/* Mounts, swap, holders and partitions of a device whose place and names are known. */
void mkv_drive_use_of_device(const struct mkv_drive_place *place, struct mkv_drive_facts *facts);
/* File system, loop devices and swap of a regular file. `inode` is its own. */
void mkv_drive_use_of_file(const struct mkv_drive_roots *roots, uint64_t inode,
                           struct mkv_drive_facts *facts);

#endif
