/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many different drive images crashes have left: a set of their hashes.
 *
 * Not responsible for: equal hashes of different images; at 64 bits that does not matter to a
 * count.
 */
#ifndef MKV_SIM_IMAGES_H
#define MKV_SIM_IMAGES_H

#include "core/base.h"

struct mkv_images {
    uint64_t *slots; /* 0: empty */
    uint64_t slot_count;
    uint64_t count;
};

bool mkv_images_create(struct mkv_images *images);
void mkv_images_destroy(struct mkv_images *images);
void mkv_images_add(struct mkv_images *images, uint64_t hash);

#endif
