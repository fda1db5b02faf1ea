/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image of a drive that somebody tampered with: a drive of few units in memory, and the same
 * without its zeros as bytes. The form is that of tests/fixtures/format-v1.
 *
 *   "memkvimg" | units u32 | pieces {byte offset u32, length u32, bytes} ...      little endian
 *
 * Invariants
 *  I1  Loading is safe on any bytes: what does not fit ends the image there.
 *  I2  What was saved loads as it was.
 *
 * Not responsible for: what the units mean (forged_reseal.c knows their sums).
 */
#ifndef MKV_SIM_FORGED_IMAGE_H
#define MKV_SIM_FORGED_IMAGE_H

#include "core/geometry.h"

#define MKV_FORGED_UNITS_MAX 4096u

struct mkv_forged_image {
    uint32_t units;
    uint8_t *bytes; /* units * MKV_UNIT_BYTES */
};

/* False when the head is not one, or names a drive that is too small or too large. */
bool mkv_forged_image_load(struct mkv_forged_image *image, const uint8_t *data, size_t size);
/* Bytes written to `out`; 0 when the image takes more than out_max. */
size_t mkv_forged_image_save(const struct mkv_forged_image *image, uint8_t *out, size_t out_max);
void mkv_forged_image_free(struct mkv_forged_image *image);
static inline uint8_t *mkv_forged_image_unit(const struct mkv_forged_image *image, uint64_t unit) {
    MKV_ASSERT(unit < image->units);
    return image->bytes + unit * MKV_UNIT_BYTES;
}
bool mkv_forged_image_unit_is_zero(const struct mkv_forged_image *image, uint32_t unit);
/* The geometry that its superblocks agree on; false when they agree on none that fits. */
bool mkv_forged_image_geometry(const struct mkv_forged_image *image, struct mkv_geometry *geometry);

/* Makes every sum right that can be: those of superblocks, of journal blocks and their chain, of
 * checkpoints, of slot headers with the sums and root of their payload, and of the directory from
 * its leaves up to its roots. Bits of `leave` say what stays as it is. */
#define MKV_FORGED_LEAVE_CHAIN 1u
#define MKV_FORGED_LEAVE_PAYLOAD 2u
#define MKV_FORGED_LEAVE_DIRECTORY 4u
void mkv_forged_image_reseal(struct mkv_forged_image *image, uint32_t leave);

#endif
