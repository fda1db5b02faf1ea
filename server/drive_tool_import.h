/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import: the blocks of streams (block_stream.h) into a store that no daemon has, by the core's own
 * put path.
 *
 *     drives --the rules of a start--> one store, whole | a new one, formatted
 *       streams --tenant by name, drive by placement--> PUT_BEGIN, PUT_WRITE, durable, one by one
 *         close: checkpoint, clean mark
 *
 * All drives of the store are there: a key goes to the drive that placement says, and a tenant's
 * name gets its number on all of them. A block that is there already is left, so an import can be
 * done again; a key that holds other content keeps it, unless it is to be replaced. Nothing makes
 * room: what does not fit is counted.
 *
 * Manifests and segments are put as they are, under the same keys, so a value in segments is whole
 * when all of its blocks came, in whatever order and from however many streams.
 *
 * Not responsible for: quotas, and for whose server of a cluster a key is.
 */
#ifndef MKV_SERVER_DRIVE_TOOL_IMPORT_H
#define MKV_SERVER_DRIVE_TOOL_IMPORT_H

#include "server/drive_tool.h"

struct mkv_drive_import_options {
    const char *const *paths; /* the drives of the store */
    uint32_t path_count;      /* 1 ... MKV_VOLUMES_MAX */
    const char *const *streams;
    uint32_t stream_count;
    bool replace; /* other content under a key that is there gives way */
    /* May be NULL. */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};

struct mkv_drive_imported {
    uint64_t blocks;    /* stored */
    uint64_t there;     /* already, the same */
    uint64_t conflicts; /* other content is there, and stays */
    uint64_t no_space;
    uint64_t failed; /* by the drive, or refused otherwise */
    uint64_t expired;
    uint64_t bytes;     /* of payloads that were stored */
    uint32_t formatted; /* drives */
    struct mkv_uuid store_uuid;
};

/* False: it could not be done, or not to its end; what was imported until then is durable. */
__attribute__((warn_unused_result)) bool mkv_drive_import(
    const struct mkv_drive_import_options *options, struct mkv_drive_imported *imported,
    struct mkv_backend_error *error);

#endif
