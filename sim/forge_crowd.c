/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many keys of one tag, among others, in a small slot table: more than its buckets hold, so that
 * blocks stand behind the buckets where they belong. Sessions let go of many blocks at once, as do
 * tenants, prefixes and time, and where they may be evicted there is no room for all. Each key is
 * what was put last, or gone where something may have ended it.
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
#define TENANT_KEYS 40u
#define QUOTA_UNITS 20u /* fewer than its keys take */

struct crowd {
    struct mkv_random *random;
    struct mkv_forged_drive drive;
    uint32_t lengths[KEYS]; /* of the block; MKV_NONE_U32: there is none */
    bool may_be_gone[KEYS];
    uint64_t salt;
    uint32_t tenant_last;
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
    struct mkv_forged_drive *drive = &crowd->drive;
    const uint32_t length = mkv_random_below(crowd->random, LENGTH_MAX);
    drive->session = mkv_random_below(crowd->random, 3);
    drive->tier_hint = mkv_random_below(crowd->random, MKV_TIER_HINT_MAX + 1);
    drive->expiry_s =
        mkv_random_chance(crowd->random, 1, 4)
            ? (uint32_t)(drive->wall_ms / 1000) + 1 + mkv_random_below(crowd->random, 40)
            : 0;
    if (mkv_forged_drive_put(&crowd->drive, MKV_TENANT_DEFAULT, key, length, (uint8_t)number) ==
        MKV_STATUS_OK) {
        /* What is there already stays its session's. */
        const bool may = crowd->lengths[number] == length && crowd->may_be_gone[number];
        crowd->lengths[number] = length;
        crowd->may_be_gone[number] =
            may || drive->session != 0 || drive->expiry_s != 0 || drive->config.eviction;
    }
}

static void check_there(struct crowd *crowd, uint32_t number, enum mkv_status status) {
    if (crowd->may_be_gone[number] && status == MKV_STATUS_NOT_FOUND) {
        crowd->lengths[number] = MKV_NONE_U32;
    }
    MKV_ASSERT((status == MKV_STATUS_OK) == (crowd->lengths[number] != MKV_NONE_U32));
}

/* Something that ends many blocks, or keeps some. */
static void ask(struct crowd *crowd) {
    struct mkv_message message = {.session = 1 + mkv_random_below(crowd->random, 2)};
    char key[KEY_BYTES + 1];
    key_of(crowd, mkv_random_below(crowd->random, KEYS), key);
    uint32_t bytes = 0;
    switch (mkv_random_below(crowd->random, 7)) {
    case 0:
    case 1:
        message.kind = MKV_MESSAGE_SESSION;
        message.action =
            (enum mkv_session_action)mkv_random_between(crowd->random, 1, MKV_SESSION_ACTION_MAX);
        break;
    case 2:
        message.kind = MKV_MESSAGE_PURGE;
        message.length = bytes = mkv_random_between(crowd->random, 1, 9);
        for (uint32_t number = 0; number < KEYS; number++) {
            crowd->may_be_gone[number] = true;
        }
        break;
    case 3:
    case 4:
        message.kind = MKV_MESSAGE_PIN;
        message.lease_ns = 1ull << mkv_random_below(crowd->random, 40);
        bytes = KEY_BYTES;
        break;
    case 5:
        crowd->drive.wall_ms += 1000 * (uint64_t)mkv_random_below(crowd->random, 30);
        message.kind = MKV_MESSAGE_COUNT;
        break;
    default:
        message.kind = MKV_MESSAGE_TENANT_DROP;
        message.tenant = crowd->tenant_last;
    }
    (void)mkv_forged_drive_ask(&crowd->drive, &message, (const uint8_t *)key, bytes);
}

/* Blocks of a tenant of its own, which will all go at once. */
static void fill_tenant(struct crowd *crowd) {
    const struct mkv_message message = {.kind = MKV_MESSAGE_TENANT, .tenant = ++crowd->tenant_last};
    (void)mkv_forged_drive_ask(&crowd->drive, &message, (const uint8_t *)"t", 1);
    crowd->drive.session = 0;
    crowd->drive.expiry_s = 0;
    for (uint32_t number = 0; number < TENANT_KEYS; number++) {
        char key[KEY_BYTES + 1];
        key_of(crowd, number, key);
        (void)mkv_forged_drive_put(&crowd->drive, crowd->tenant_last, key, 10, 1);
    }
}

static void drop(struct crowd *crowd, uint32_t number) {
    char key[KEY_BYTES + 1];
    key_of(crowd, number, key);
    const struct mkv_message message = {.kind = MKV_MESSAGE_DELETE};
    const enum mkv_status status =
        mkv_forged_drive_ask(&crowd->drive, &message, (const uint8_t *)key, KEY_BYTES)->status;
    check_there(crowd, number, status);
    crowd->lengths[number] = MKV_NONE_U32;
}

static void get(struct crowd *crowd, uint32_t number) {
    char key[KEY_BYTES + 1];
    key_of(crowd, number, key);
    const struct mkv_message *answer =
        mkv_forged_drive_get(&crowd->drive, MKV_TENANT_DEFAULT, (const uint8_t *)key, KEY_BYTES);
    check_there(crowd, number, answer->status);
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

static void draw_config(struct crowd *crowd) {
    struct mkv_forged_drive *drive = &crowd->drive;
    drive->config.eviction = mkv_random_chance(crowd->random, 1, 2);
    drive->config.lease_max = mkv_random_below(crowd->random, 3);
    drive->config.lock_yield_ns = 1000;
    drive->config.expiry_pass_ns = 1000;
    mkv_forged_drive_resize(drive);
    mkv_forged_drive_format(drive);
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
        .extent_count = EXTENTS - mkv_random_below(random, 2),
    };
    mkv_forge_fit(&geometry);
    mkv_forge_store(&crowd->drive, &image, &geometry);
    draw_config(crowd);
    crowd->tenant_last = MKV_TENANT_DEFAULT + 1; /* the default one stays */
    crowd->drive.later_turns = 0;
    check_tags(crowd);
    open_again(crowd);
    /* The crowd comes, goes, and comes again, while time and again the others change. */
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        const bool comes = (turn / (TURNS / 3)) % 2 == 0;
        const uint32_t number = mkv_random_below(random, KEYS);
        if (mkv_random_chance(random, 1, 48)) {
            ask(crowd);
        } else if (mkv_random_chance(random, 1, 200)) {
            fill_tenant(crowd);
        } else if (mkv_random_chance(random, 1, 4)) {
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
