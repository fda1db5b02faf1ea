/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many keys of one tag, among others, in a small slot table: more than its buckets hold, so that
 * blocks stand behind the buckets where they belong. Each key is what was put last, whatever came
 * and went around it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "sim/forge_internal.h"

/* Of one tag; the others have tags of their own. */
#define CROWDED 90u
#define KEYS 190u
#define TURNS 900u
#define KEY_BYTES 32u
#define EXTENT_UNITS 64u
#define EXTENTS 4u
#define LENGTH_MAX 200u

struct crowd {
    struct mkv_random *random;
    struct mkv_forged_drive drive;
    uint32_t lengths[KEYS]; /* of the block; MKV_NONE_U32: there is none */
    uint64_t salt;
};

/* Keys that begin as XXH3's secret does have a tag in which the 8 bytes behind do not count. None
 * of their bytes is 0, as the volume's keys are told to it by their end here. */
static void key_of(const struct crowd *crowd, uint32_t number, char key[KEY_BYTES + 1]) {
    static const uint8_t secret_start[8] = {0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe};
    memset(key, 'k', KEY_BYTES);
    key[KEY_BYTES] = 0;
    if (number < CROWDED) {
        memcpy(key, secret_start, sizeof secret_start);
    }
    key[8] = (char)(1 + number % 100);
    key[9] = (char)(1 + number / 100);
    key[16] = (char)(1 + crowd->salt % 100);
}

/* Otherwise there would be no crowd. */
static void check_tags(const struct crowd *crowd) {
    char first[KEY_BYTES + 1];
    char last[KEY_BYTES + 1];
    key_of(crowd, 0, first);
    key_of(crowd, CROWDED - 1, last);
    MKV_ASSERT(mkv_key_tag(MKV_TENANT_DEFAULT, (const uint8_t *)first, KEY_BYTES) ==
               mkv_key_tag(MKV_TENANT_DEFAULT, (const uint8_t *)last, KEY_BYTES));
}

static void put(struct crowd *crowd, uint32_t number) {
    char key[KEY_BYTES + 1];
    key_of(crowd, number, key);
    const uint32_t length = mkv_random_below(crowd->random, LENGTH_MAX);
    if (mkv_forged_drive_put(&crowd->drive, MKV_TENANT_DEFAULT, key, length, (uint8_t)number) ==
        MKV_STATUS_OK) {
        crowd->lengths[number] = length;
    }
}

static void drop(struct crowd *crowd, uint32_t number) {
    char key[KEY_BYTES + 1];
    key_of(crowd, number, key);
    const struct mkv_message message = {.kind = MKV_MESSAGE_DELETE};
    const enum mkv_status status =
        mkv_forged_drive_ask(&crowd->drive, &message, (const uint8_t *)key, KEY_BYTES)->status;
    MKV_ASSERT((status == MKV_STATUS_OK) == (crowd->lengths[number] != MKV_NONE_U32));
    crowd->lengths[number] = MKV_NONE_U32;
}

static void get(struct crowd *crowd, uint32_t number) {
    char key[KEY_BYTES + 1];
    key_of(crowd, number, key);
    const struct mkv_message *answer =
        mkv_forged_drive_get(&crowd->drive, MKV_TENANT_DEFAULT, (const uint8_t *)key, KEY_BYTES);
    MKV_ASSERT((answer->status == MKV_STATUS_OK) == (crowd->lengths[number] != MKV_NONE_U32));
    MKV_ASSERT(answer->status != MKV_STATUS_OK || answer->length == crowd->lengths[number]);
}

static void open_again(struct crowd *crowd) {
    const bool opened = mkv_forged_drive_open(&crowd->drive);
    MKV_ASSERT(opened);
    mkv_volume_check(crowd->drive.volume);
    for (uint32_t number = 0; number < KEYS; number++) {
        get(crowd, number);
    }
}

void mkv_forge_crowd(struct mkv_random *random, struct mkv_forge_report *report) {
    struct crowd *crowd = calloc(1, sizeof *crowd);
    struct mkv_forged_image image;
    MKV_ASSERT(crowd != NULL);
    crowd->random = random;
    crowd->salt = mkv_random_next(random);
    memset(crowd->lengths, 0xff, sizeof crowd->lengths);
    struct mkv_geometry geometry = {
        .ring_blocks = 16,
        .tenant_units = 1,
        .page_count = EXTENTS,
        .directory_units = 400,
        .extent_units = EXTENT_UNITS,
        .extent_count = EXTENTS,
    };
    mkv_forge_fit(&geometry);
    mkv_forge_store(&crowd->drive, &image, &geometry);
    crowd->drive.later_turns = 0;
    check_tags(crowd);
    open_again(crowd);
    /* The crowd comes, goes, and comes again, while time and again the others change. */
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        const bool comes = (turn / (TURNS / 3)) % 2 == 0;
        const uint32_t number = mkv_random_below(random, KEYS);
        if (mkv_random_chance(random, 1, 4)) {
            get(crowd, number);
        } else if (mkv_random_chance(random, comes ? 7 : 1, 8)) {
            put(crowd, number);
        } else {
            drop(crowd, number);
        }
        if (mkv_random_chance(random, 1, 300)) {
            open_again(crowd);
        }
        report->requests++;
    }
    mkv_volume_check(crowd->drive.volume);
    mkv_forged_drive_free(&crowd->drive);
    mkv_forged_image_free(&image);
    free(crowd);
}
