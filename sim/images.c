/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/images.h"

#include <stdlib.h>

#define SLOTS_FIRST (1ull << 16)

bool mkv_images_create(struct mkv_images *images) {
    *images = (struct mkv_images){.slot_count = SLOTS_FIRST};
    images->slots = calloc(SLOTS_FIRST, sizeof *images->slots);
    return images->slots != NULL;
}

void mkv_images_destroy(struct mkv_images *images) {
    free(images->slots);
    *images = (struct mkv_images){0};
}

static bool insert(uint64_t *slots, uint64_t slot_count, uint64_t hash) {
    uint64_t slot = hash & (slot_count - 1);
    while (slots[slot] != 0) {
        if (slots[slot] == hash) {
            return false;
        }
        slot = (slot + 1) & (slot_count - 1);
    }
    slots[slot] = hash;
    return true;
}

static void grow(struct mkv_images *images) {
    const uint64_t slot_count = images->slot_count * 2;
    uint64_t *slots = calloc(slot_count, sizeof *slots);
    MKV_ASSERT(slots != NULL);
    for (uint64_t slot = 0; slot < images->slot_count; slot++) {
        if (images->slots[slot] != 0) {
            (void)insert(slots, slot_count, images->slots[slot]);
        }
    }
    free(images->slots);
    images->slots = slots;
    images->slot_count = slot_count;
}

void mkv_images_add(struct mkv_images *images, uint64_t hash) {
    if (images->count * 2 >= images->slot_count) {
        grow(images);
    }
    images->count += insert(images->slots, images->slot_count, hash == 0 ? 1 : hash);
}
