/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on an opened medium, found by reading its superblocks before any volume exists: a
 * volume has to be told the geometry of its store.
 *
 * The last two copies of a superblock lie at the end of the store, which is not where the medium
 * ends when that has grown. So the copies at the start say where to look for them.
 *
 *   copies at the medium's end ---- two agree, and it is this size ------------------> STORE
 *     | else: sizes that the copies at the start name, each of them alone
 *     +-- smaller than the medium, two copies agree on it with those at that end ----> STORE, grown
 *     +-- larger than the medium -----------------------------------------------------> SHRUNK
 *     +-- two copies of a format that is newer than this release --------------------> NEWER
 *     +-- no copy at all: first and last MiB are zeroes ------------------------------> BLANK
 *     |                   they are not ------------------------------------------------> OTHER
 *     +-- pieces of a first format, and zeroes at the other places: it was cut -------> BLANK
 *     +-- other copies, no two of which agree ----------------------------------------> DAMAGED
 *
 * Invariants
 *  I1  Nothing is written, and what is read is durable: what was in a cache is flushed first.
 *  I2  BLANK, which formatting may overwrite, is said only after every copy and the first and last
 *      MiB were read and hold zeroes, or nothing else than what a first format left that was cut
 *      before its first two copies were durable.
 *
 * Not responsible for: repairing copies (volume), whether the drives belong together (drive_set.h).
 */
#ifndef MKV_SERVER_DRIVE_PROBE_H
#define MKV_SERVER_DRIVE_PROBE_H

#include "backends/drive_open.h"
#include "backends/drive_signature.h"
#include "core/superblock.h"

enum mkv_drive_probe_kind {
    MKV_DRIVE_PROBE_BLANK = 0,
    MKV_DRIVE_PROBE_STORE,
    MKV_DRIVE_PROBE_OTHER,
    MKV_DRIVE_PROBE_DAMAGED,
    MKV_DRIVE_PROBE_NEWER,
    MKV_DRIVE_PROBE_SHRUNK,
};
#define MKV_DRIVE_PROBE_KIND_COUNT 6u

struct mkv_drive_probe {
    enum mkv_drive_probe_kind kind;
    struct mkv_superblock superblock; /* STORE; of NEWER its version alone */
    uint64_t store_capacity_units;    /* STORE, SHRUNK: what the superblock says */
    uint64_t medium_capacity_units;
    bool format_was_cut;                  /* BLANK, but for what a format left that was cut */
    struct mkv_drive_signature signature; /* OTHER: what stands there, where that is known */
};

/* False when the medium cannot be read, or there is no memory to read into. */
__attribute__((warn_unused_result)) bool mkv_drive_probe(const struct mkv_drive_media *media,
                                                         const char *name, const char *path,
                                                         struct mkv_drive_probe *probe,
                                                         struct mkv_backend_error *error);

#endif
