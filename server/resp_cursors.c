/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_cursors.h"

#include <stdlib.h>

#define PLACE_BITS 10u
_Static_assert(MKV_RESP_CURSORS_MAX == 1u << PLACE_BITS, "a number has room for each place");

struct place {
    uint64_t number; /* 0: free */
    uint64_t used;   /* on the clock of uses */
    struct mkv_resp_cursor cursor;
};

struct mkv_resp_cursors {
    uint64_t serial;
    uint64_t uses;
    struct place places[MKV_RESP_CURSORS_MAX];
};

struct mkv_resp_cursors *mkv_resp_cursors_create(void) {
    return calloc(1, sizeof(struct mkv_resp_cursors));
}

void mkv_resp_cursors_destroy(struct mkv_resp_cursors *cursors) {
    free(cursors);
}

uint64_t mkv_resp_cursors_keep(struct mkv_resp_cursors *cursors,
                               const struct mkv_resp_cursor *cursor) {
    MKV_ASSERT(cursor->key_bytes <= MKV_KEY_BYTES_MAX);
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < MKV_RESP_CURSORS_MAX; i++) {
        if (cursors->places[i].used < cursors->places[oldest].used) {
            oldest = i;
        }
    }
    cursors->serial++;
    struct place *place = &cursors->places[oldest];
    place->number = cursors->serial << PLACE_BITS | oldest;
    place->used = ++cursors->uses;
    place->cursor = *cursor;
    return place->number;
}

bool mkv_resp_cursors_find(struct mkv_resp_cursors *cursors, uint64_t number, uint32_t tenant,
                           struct mkv_resp_cursor *cursor) {
    struct place *place = &cursors->places[number & (MKV_RESP_CURSORS_MAX - 1)];
    if (number == 0 || place->number != number || place->cursor.tenant != tenant) {
        return false;
    }
    place->used = ++cursors->uses;
    *cursor = place->cursor;
    return true;
}
