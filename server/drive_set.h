/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What core/drive_set.h decides, on what probing found, with words for people: whether the
 * configured drives are one store, a new one, or must be refused, naming the drive.
 *
 *   probes -> claims --decide--> plan: format, keep, raise, join
 *                         \----> refused: wrong for good, or until a drive is back or declared lost
 *
 * Invariants
 *  I1  A drive is formatted only when its probe says BLANK.
 *
 * Not responsible for: the rules (core/drive_set.h), nor for doing what a plan says (node.h).
 */
#ifndef MKV_SERVER_DRIVE_SET_H
#define MKV_SERVER_DRIVE_SET_H

#include "backends/error.h"
#include "core/drive_set.h"
#include "server/drive_probe.h"

/* "6f1c1c9e-5b0a-4f53-9c3e-0d7a2b1f8e44" and the closing NUL. */
#define MKV_UUID_TEXT_BYTES 37u
/* Room for one word of --lost. */
#define MKV_DRIVE_NAME_TEXT_BYTES 128u

struct mkv_drive_set_candidate {
    const char *name;
    const char *path;
    const struct mkv_drive_probe *probe; /* NULL: the drive is not there */
    uint64_t usable_units;               /* unless it is not there: room for blocks, not 0 */
};

/* Where new uuids come from. */
struct mkv_drive_set_random {
    void *context;
    void (*fill)(void *context, void *bytes, size_t byte_count);
};
/* The kernel's random bytes. */
extern const struct mkv_drive_set_random mkv_drive_set_random_kernel;

/* `lost` is the operator's word: names and uuids with commas between them, or NULL. */
__attribute__((warn_unused_result)) bool mkv_drive_set_judge(
    const struct mkv_drive_set_candidate *candidates, uint32_t count, const char *lost,
    const struct mkv_drive_set_random *random, struct mkv_drive_set_plan *plan,
    struct mkv_backend_error *error);
/* Of a plan that was refused: whether drives that come back, or the operator's word, mend it. */
bool mkv_drive_set_may_wait(const struct mkv_drive_set_plan *plan);

void mkv_uuid_format(struct mkv_uuid uuid, char out[MKV_UUID_TEXT_BYTES]);
/* False when the text is no uuid. */
bool mkv_uuid_parse(const char *text, struct mkv_uuid *uuid);

#endif
