/* SPDX-License-Identifier: Apache-2.0 */
/* Store files for tests: a directory for them, media on them, and stores formatted on those. */
#ifndef MKV_TESTS_IMAGES_H
#define MKV_TESTS_IMAGES_H

#include "backends/drive_open.h"
#include "core/superblock.h"
#include "core/volume.h"

#define IMAGES_PATH_BYTES 512u
#define IMAGE_BYTES (8ull * MKV_MIB)
#define IMAGE_UNITS (IMAGE_BYTES / MKV_UNIT_BYTES)

/* An empty directory under TMPDIR or /var/tmp, and its end with the files in it. */
void images_make(char directory[IMAGES_PATH_BYTES]);
void images_remove(const char *directory);
void images_path(const char *directory, const char *name, char path[IMAGES_PATH_BYTES]);

/* Opens a file of `bytes`, which is made when it is not there. */
void images_open(const char *path, uint64_t bytes, struct mkv_drive_media *media);
/* Formats the medium as the only drive of a store; returns the configuration that it has. */
void images_format(const struct mkv_drive_media *media, struct mkv_volume_config *config);
/* Writes one unit. */
void images_write_unit(const struct mkv_drive_media *media, uint64_t unit, const uint8_t *bytes);
/* Fills one unit with a byte. */
void images_fill_unit(const struct mkv_drive_media *media, uint64_t unit, uint8_t byte);

#endif
