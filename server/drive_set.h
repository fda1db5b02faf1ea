/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the configured drives are one store, a new one, or must be refused: a decision on what
 * probing found, without any I/O. Every superblock names all members of its store, so a drive that
 * is missing, foreign or added shows.
 *
 *   every drive blank                                        format all: a new store
 *   every drive a member of one set, no member missing       open all
 *   some blank, as many as members are missing, and no
 *   member was ever opened: a first start that was cut       format the blank ones, open all
 *   anything else                                            refused, naming the drive
 *
 * Invariants
 *  I1  A drive is formatted only when its probe says BLANK.
 *  I2  A plan's drives are exactly the members of the set, each once.
 *
 * Not responsible for: drives that join or leave a store; that is not possible in this release.
 */
#ifndef MKV_SERVER_DRIVE_SET_H
#define MKV_SERVER_DRIVE_SET_H

#include "backends/error.h"
#include "server/drive_probe.h"

#define MKV_DRIVE_SET_VERSION_FIRST 1u
/* "6f1c1c9e-5b0a-4f53-9c3e-0d7a2b1f8e44" and the closing NUL. */
#define MKV_UUID_TEXT_BYTES 37u

struct mkv_drive_set_candidate {
    const char *name;
    const char *path;
    const struct mkv_drive_probe *probe;
};

struct mkv_drive_set_plan {
    struct mkv_uuid store_uuid;
    uint64_t version;
    uint32_t member_count;                        /* as many as there are candidates */
    struct mkv_uuid members[MKV_VOLUMES_MAX];     /* in the order that superblocks list them */
    struct mkv_uuid drive_uuids[MKV_VOLUMES_MAX]; /* in the order of the candidates */
    bool format[MKV_VOLUMES_MAX];                 /* likewise */
};

/* Where new uuids come from. */
struct mkv_drive_set_random {
    void *context;
    void (*fill)(void *context, void *bytes, size_t byte_count);
};
/* The kernel's random bytes. */
extern const struct mkv_drive_set_random mkv_drive_set_random_kernel;

__attribute__((warn_unused_result)) bool mkv_drive_set_decide(
    const struct mkv_drive_set_candidate *candidates, uint32_t count,
    const struct mkv_drive_set_random *random, struct mkv_drive_set_plan *plan,
    struct mkv_backend_error *error);

bool mkv_uuid_equal(struct mkv_uuid a, struct mkv_uuid b);
void mkv_uuid_format(struct mkv_uuid uuid, char out[MKV_UUID_TEXT_BYTES]);

#endif
