/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting a drive before there is a shard: the volume's own FORMAT, driven one operation at a
 * time with plain writes, so that what stands on the drive is the core's work here as everywhere.
 *
 * Not responsible for: which drives may be formatted (drive_set.h).
 */
#ifndef MKV_SERVER_NODE_FORMAT_H
#define MKV_SERVER_NODE_FORMAT_H

#include "backends/drive_open.h"
#include "core/volume.h"

struct mkv_node_format_options {
    const char *name; /* of the drive, for messages */
    const char *path;
    const struct mkv_drive_media *media;
    const struct mkv_volume_config *config;
    void *memory; /* mkv_volume_memory_required(config) bytes, aligned to 4 KiB; scratch */
    size_t memory_bytes;
};

/* Returns when the new superblocks are durable. */
__attribute__((warn_unused_result)) bool mkv_node_format(
    const struct mkv_node_format_options *options, struct mkv_backend_error *error);

/* The same with memory of its own, of which only what a format touches becomes real, and which is
 * gone again when this returns. `options->memory` is not looked at. */
__attribute__((warn_unused_result)) bool mkv_node_format_alone(
    const struct mkv_node_format_options *options, struct mkv_backend_error *error);

#endif
