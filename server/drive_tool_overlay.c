/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_tool_overlay.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 256u

struct mkv_drive_tool_overlay_place {
    uint64_t unit;
    uint8_t *bytes; /* NULL: the place is free */
};

void mkv_drive_tool_overlay_free(struct mkv_drive_tool_overlay *overlay) {
    for (uint32_t place = 0; place < overlay->place_count; place++) {
        free(overlay->places[place].bytes);
    }
    free(overlay->places);
    memset(overlay, 0, sizeof *overlay);
}

/* The place of the unit, or the free one where it would stand. There is always a free one. */
static struct mkv_drive_tool_overlay_place *place_of(const struct mkv_drive_tool_overlay *overlay,
                                                     uint64_t unit) {
    const uint32_t mask = overlay->place_count - 1;
    uint32_t at = (uint32_t)((unit * 0x9e3779b97f4a7c15u) >> 32) & mask;
    while (overlay->places[at].bytes != NULL && overlay->places[at].unit != unit) {
        at = (at + 1) & mask;
    }
    return &overlay->places[at];
}

static bool grow(struct mkv_drive_tool_overlay *overlay) {
    const uint32_t before = overlay->place_count;
    struct mkv_drive_tool_overlay_place *old = overlay->places;
    const uint32_t count = before == 0 ? PLACES_FIRST : 2 * before;
    struct mkv_drive_tool_overlay_place *places = calloc(count, sizeof *places);
    if (places == NULL) {
        return false;
    }
    overlay->places = places;
    overlay->place_count = count;
    for (uint32_t place = 0; place < before; place++) {
        if (old[place].bytes != NULL) {
            *place_of(overlay, old[place].unit) = old[place];
        }
    }
    free(old);
    return true;
}

bool mkv_drive_tool_overlay_write(struct mkv_drive_tool_overlay *overlay, uint64_t unit,
                                  uint32_t count, const uint8_t *bytes) {
    for (uint32_t index = 0; index < count; index++) {
        if (2 * (overlay->count + 1) > overlay->place_count && !grow(overlay)) {
            return false;
        }
        struct mkv_drive_tool_overlay_place *place = place_of(overlay, unit + index);
        if (place->bytes == NULL) {
            uint8_t *memory =
                overlay->count < MKV_DRIVE_TOOL_OVERLAY_UNITS_MAX ? malloc(MKV_UNIT_BYTES) : NULL;
            if (memory == NULL) {
                return false;
            }
            *place = (struct mkv_drive_tool_overlay_place){unit + index, memory};
            overlay->count++;
        }
        memcpy(place->bytes, bytes + (size_t)index * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    }
    return true;
}

void mkv_drive_tool_overlay_read(const struct mkv_drive_tool_overlay *overlay, uint64_t unit,
                                 uint32_t count, uint8_t *bytes) {
    for (uint32_t index = 0; index < count && overlay->count > 0; index++) {
        const struct mkv_drive_tool_overlay_place *place = place_of(overlay, unit + index);
        if (place->bytes != NULL) {
            memcpy(bytes + (size_t)index * MKV_UNIT_BYTES, place->bytes, MKV_UNIT_BYTES);
        }
    }
}
