/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of `memkv start --record`, read entry by entry: see record/format.h.
 *
 * Invariants
 *  I1  No entry is handed out of which a chunk is cut off or damaged.
 *  I2  Whatever a file claims, its reader takes no more memory than MKV_RECORD_ENTRY_BYTES_MAX and
 *      the file.
 *
 * Not responsible for: what entries say (record_replay.h).
 */
#ifndef MKV_SIM_RECORD_FILE_H
#define MKV_SIM_RECORD_FILE_H

#include "record/format.h"

#define MKV_RECORD_ERROR_BYTES 512u

struct mkv_record_file {
    const uint8_t *bytes; /* all of the file */
    size_t count;
    struct mkv_record_header header;
    size_t at;             /* of the chunk that comes next */
    uint64_t chunk_number; /* its number */
    const uint8_t *body;   /* what is left of the chunk before it */
    size_t body_bytes;
    bool cut;     /* the last piece of the file is no whole chunk */
    bool damaged; /* the chunk at `at` is not what was written */
    uint8_t *entry;
    size_t entry_max;
};

/* Whether a file begins as records do; false too when it cannot be read. */
bool mkv_record_file_is(const char *path);
/* Reads the file, or says why not: also when another core than that of this hash recorded it,
 * unless the hash is NULL. */
bool mkv_record_file_open(struct mkv_record_file *file, const char *path, const char *core,
                          char error[MKV_RECORD_ERROR_BYTES]);
void mkv_record_file_close(struct mkv_record_file *file);
/* Back to the first entry. */
void mkv_record_file_rewind(struct mkv_record_file *file);
/* The next entry, its kind first, good until the call after this. False when there is none that is
 * whole: `cut` and `damaged` say why, neither that the file ends between two chunks. */
bool mkv_record_file_next(struct mkv_record_file *file, const uint8_t **entry, size_t *bytes);

#endif
