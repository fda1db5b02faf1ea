/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive whose directory is broad: long keys, of which few fit into a leaf, in groups that have
 * long beginnings in common, so that few fit into an inner node, too. Keys come and go in any
 * order; what COUNT says of them is what there is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/forge_internal.h"
#include "sim/forged_drive.h"

#define KEYS_MAX 1200u
#define GROUPS 48u
#define RING_BLOCKS 64u
#define EXTENT_UNITS 64u
#define EXTENTS 22u
#define DIRECTORY_UNITS 1500u
#define OPENINGS 3u
#define PAYLOAD_BYTES 100u

struct broad {
    struct mkv_random *random;
    struct mkv_forged_drive drive;
    uint32_t live_count;
    bool live[KEYS_MAX];
};

/* Every other group's keys differ late, the others' at once. */
static void key_of(uint32_t number, char key[MKV_KEY_BYTES_MAX + 1]) {
    const uint32_t group = number % GROUPS;
    const uint32_t scattered = number * 2654435761u;
    const uint32_t bytes = 500 + scattered % (MKV_KEY_BYTES_MAX - 520);
    memset(key, 'a' + (int)(group % 26), MKV_KEY_BYTES_MAX);
    (void)snprintf(key, 16, "%02u", group);
    key[2] = '-';
    const uint32_t at = group % 2 == 0 ? 3 : 480;
    char digits[16];
    (void)snprintf(digits, sizeof digits, "%08x%04u", scattered, number);
    memcpy(key + at, digits, 12);
    key[bytes] = 0;
}

static void put(struct broad *broad, uint32_t number) {
    char key[MKV_KEY_BYTES_MAX + 1];
    key_of(number, key);
    if (mkv_forged_drive_put(&broad->drive, MKV_TENANT_DEFAULT, key, PAYLOAD_BYTES,
                             (uint8_t)number) == MKV_STATUS_OK &&
        !broad->live[number]) {
        broad->live[number] = true;
        broad->live_count++;
    }
}

static void drop(struct broad *broad, uint32_t number) {
    char key[MKV_KEY_BYTES_MAX + 1];
    key_of(number, key);
    const struct mkv_message message = {.kind = MKV_MESSAGE_DELETE};
    const enum mkv_status status =
        mkv_forged_drive_ask(&broad->drive, &message, (const uint8_t *)key, (uint32_t)strlen(key))
            ->status;
    MKV_ASSERT((status == MKV_STATUS_OK) == broad->live[number]);
    broad->live_count -= broad->live[number] ? 1 : 0;
    broad->live[number] = false;
}

/* A listing that is refused has no room, or waits for time to pass. */
static void count(struct broad *broad, uint32_t later_turns) {
    const struct mkv_message message = {.kind = MKV_MESSAGE_COUNT};
    broad->drive.later_turns = later_turns;
    const bool complete = mkv_volume_directory_complete(broad->drive.volume);
    const struct mkv_message *answer =
        mkv_forged_drive_ask(&broad->drive, &message, (const uint8_t *)"", 0);
    MKV_ASSERT(answer->status == MKV_STATUS_OK || !complete);
    MKV_ASSERT(answer->status != MKV_STATUS_OK || answer->count == broad->live_count);
    broad->drive.later_turns = 0;
}

static void scan(struct broad *broad) {
    const char prefix[3] = {(char)('0' + (int)mkv_random_below(broad->random, GROUPS / 10)),
                            (char)('0' + (int)mkv_random_below(broad->random, 10)), 0};
    const struct mkv_message message = {.kind = MKV_MESSAGE_SCAN,
                                        .length = 2,
                                        .count = 1 + mkv_random_below(broad->random, 40),
                                        .bytes = 2000 * mkv_random_below(broad->random, 4)};
    (void)mkv_forged_drive_ask(&broad->drive, &message, (const uint8_t *)prefix, 2);
}

/* Puts and deletes in any order, or in that of the keys, until there are about so many. */
static void go_to(struct broad *broad, uint32_t wanted, bool in_order) {
    for (uint32_t turn = 0; turn < 2 * KEYS_MAX && broad->live_count != wanted; turn++) {
        const uint32_t number =
            in_order ? turn % KEYS_MAX : mkv_random_below(broad->random, KEYS_MAX);
        if (broad->live[number] && broad->live_count > wanted) {
            drop(broad, number);
        } else if (!broad->live[number] && broad->live_count < wanted) {
            put(broad, number);
        }
        if (mkv_random_chance(broad->random, 1, 64)) {
            scan(broad);
        }
    }
}

void mkv_forge_broad(struct mkv_random *random, struct mkv_forged_image *image) {
    struct broad *broad = calloc(1, sizeof *broad);
    MKV_ASSERT(broad != NULL);
    broad->random = random;
    struct mkv_geometry geometry = {
        .ring_blocks = RING_BLOCKS,
        .tenant_units = 1,
        .page_count = EXTENTS + 2,
        .directory_units = DIRECTORY_UNITS,
        .extent_units = EXTENT_UNITS,
        .extent_count = EXTENTS,
    };
    mkv_forge_fit(&geometry);
    mkv_forge_store(&broad->drive, image, &geometry);
    broad->drive.later_turns = 0;
    for (uint32_t opening = 0; opening < OPENINGS; opening++) {
        const bool opened = mkv_forged_drive_open(&broad->drive);
        MKV_ASSERT(opened);
        count(broad, 0);
        go_to(broad, mkv_random_below(random, KEYS_MAX), mkv_random_chance(random, 1, 3));
        count(broad, 3);
        go_to(broad, opening + 1 == OPENINGS ? KEYS_MAX / 2 : mkv_random_below(random, 40), false);
        count(broad, 3);
        mkv_volume_check(broad->drive.volume);
    }
    mkv_forged_drive_free(&broad->drive);
    free(broad);
}
