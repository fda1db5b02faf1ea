/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and messages in any state of a volume, whatever sets they bring, over a drive of which
 * operations fail now and then. Each message is answered once, and the volume comes to rest.
 */
#include <stdlib.h>
#include <string.h>

#include "core/drive_set.h"
#include "sim/forge_internal.h"
#include "sim/forged_drive.h"
#include "sim/shape.h"

#define TURNS 240u
#define FAULT_ONE_IN 40u
#define KEYS 12u
#define SETS_DRAWN_MAX 32u

struct admin_world {
    struct mkv_random *random;
    struct mkv_forged_drive *drive;
    struct mkv_uuid own;
    uint32_t tenant_last;
};

static uint32_t below(struct admin_world *world, uint32_t end) {
    return mkv_random_below(world->random, end);
}

/* One that a superblock may hold, of this drive and of others that nobody has. */
static void draw_set(struct admin_world *world, struct mkv_drive_set *set) {
    *set = world->drive->config.drive_set;
    for (uint32_t tries = 0; tries < SETS_DRAWN_MAX; tries++) {
        struct mkv_drive_set drawn = {.version = below(world, 4)};
        drawn.version_before = drawn.version > 0 ? drawn.version - 1 : 0;
        if (!mkv_random_chance(world->random, 1, 8)) {
            mkv_drive_set_add(&drawn, (struct mkv_member){world->own, 1});
        }
        for (uint32_t other = below(world, 3); other > 0; other--) {
            struct mkv_uuid uuid = world->own;
            uuid.bytes[0] = (uint8_t)other;
            mkv_drive_set_add(&drawn, (struct mkv_member){uuid, 1 + below(world, 3)});
        }
        if (mkv_drive_set_valid(&drawn)) {
            *set = drawn;
            return;
        }
    }
}

static void command(struct admin_world *world) {
    static const enum mkv_admin_command commands[] = {
        MKV_ADMIN_FORMAT, MKV_ADMIN_OPEN,       MKV_ADMIN_OPEN,      MKV_ADMIN_JOIN,
        MKV_ADMIN_PURGE,  MKV_ADMIN_PURGE,      MKV_ADMIN_DRIVE_SET, MKV_ADMIN_DRIVE_SET,
        MKV_ADMIN_CLOSE,  MKV_ADMIN_CHECKPOINT, MKV_ADMIN_CHECKPOINT};
    const enum mkv_admin_command drawn =
        commands[below(world, sizeof commands / sizeof commands[0])];
    const bool wants =
        drawn == MKV_ADMIN_JOIN || drawn == MKV_ADMIN_PURGE || drawn == MKV_ADMIN_DRIVE_SET;
    struct mkv_drive_set set;
    draw_set(world, &set);
    const bool brings = wants || (drawn == MKV_ADMIN_OPEN && below(world, 2) == 0);
    (void)mkv_forged_drive_command(world->drive, drawn, brings ? &set : NULL);
}

static void send(struct admin_world *world) {
    struct mkv_message message = {.tenant = MKV_TENANT_DEFAULT};
    char key[2] = {(char)('a' + (int)below(world, KEYS)), 0};
    uint32_t bytes = 1;
    switch (below(world, 9)) {
    case 0:
        message.kind = MKV_MESSAGE_TENANT;
        message.tenant = ++world->tenant_last;
        break;
    case 1:
        message.kind = MKV_MESSAGE_TENANT_DROP;
        message.tenant = 1 + below(world, world->tenant_last + 1);
        bytes = 0;
        break;
    case 2:
        message.kind = MKV_MESSAGE_PURGE;
        message.length = bytes;
        break;
    case 3:
        message.kind = MKV_MESSAGE_SCAN;
        message.count = 3;
        message.bytes = below(world, 2) * 100000;
        bytes = 0;
        break;
    case 4:
        message.kind = MKV_MESSAGE_COUNT;
        bytes = 0;
        break;
    case 5:
        message.kind = MKV_MESSAGE_SESSION;
        message.session = 1 + below(world, 3);
        message.tenant = below(world, 4) == 0 ? MKV_NONE_U32 : MKV_TENANT_DEFAULT;
        message.action = (enum mkv_session_action)(1 + below(world, 4));
        bytes = 0;
        break;
    case 6:
        message.kind = MKV_MESSAGE_PIN;
        message.lease_ns = 1000 * below(world, 1000000);
        break;
    case 7:
        message.kind = MKV_MESSAGE_EXISTS;
        message.lease_ns = 1000 * below(world, 1000000);
        break;
    default:
        message.kind = MKV_MESSAGE_DELETE;
        message.tenant = below(world, 4) == 0 ? MKV_NONE_U32 : MKV_TENANT_DEFAULT;
    }
    mkv_forged_drive_send(world->drive, &message, (const uint8_t *)key, bytes);
}

/* Every message is answered when the volume has come to rest, whatever has become of it. */
static void settle(struct admin_world *world) {
    mkv_forged_drive_settle(world->drive);
    MKV_ASSERT(world->drive->messages_out == 0);
}

/* A configuration that is not what the drive was formatted with. */
static void open_foreign(struct admin_world *world) {
    const struct mkv_volume_config config = world->drive->config;
    struct mkv_geometry *geometry = &world->drive->config.geometry;
    uint32_t *const figures[] = {&geometry->ring_blocks,     &geometry->tenant_units,
                                 &geometry->page_count,      &geometry->extent_units,
                                 &geometry->directory_units, &geometry->extent_count};
    const uint32_t which = below(world, 8);
    if (which < 6) {
        *figures[which] -= 1;
    } else if (which == 6) {
        geometry->capacity_units -= 1;
    } else {
        world->drive->config.store_uuid.bytes[0] ^= 1;
    }
    if (mkv_geometry_valid(geometry)) {
        mkv_forged_drive_resize(world->drive);
        const bool opened = mkv_forged_drive_open(world->drive);
        MKV_ASSERT(!opened);
    }
    world->drive->config = config;
    mkv_forged_drive_resize(world->drive);
}

static void open_again(struct admin_world *world) {
    world->drive->faults = NULL;
    open_foreign(world);
    if (!mkv_forged_drive_open(world->drive)) {
        mkv_forged_drive_format(world->drive);
        (void)mkv_forged_drive_open(world->drive);
    }
}

static void take_turn(struct admin_world *world) {
    struct mkv_forged_drive *drive = world->drive;
    const uint32_t draw = below(world, 24);
    char key[2] = {(char)('a' + (int)below(world, KEYS)), 0};
    if (draw < 2) {
        command(world);
    } else if (draw < 12 && drive->messages_out < MKV_FORGED_MESSAGES_MAX) {
        send(world);
    } else if (draw < 20) {
        settle(world);
        (void)mkv_forged_drive_put(drive, MKV_TENANT_DEFAULT, key,
                                   below(world, 3 * (uint32_t)MKV_UNIT_BYTES), (uint8_t)key[0]);
    } else if (draw < 23) {
        settle(world);
    } else if (below(world, 4) == 0) {
        settle(world);
        open_again(world);
    } else {
        drive->faults = mkv_random_chance(world->random, 1, 2) ? world->random : NULL;
        drive->fault_one_in = FAULT_ONE_IN;
    }
}

void mkv_forge_admin(struct mkv_random *random, uint64_t seed, struct mkv_forge_report *report) {
    struct mkv_shape *shape = calloc(1, sizeof *shape);
    struct mkv_forged_drive *drive = calloc(1, sizeof *drive);
    MKV_ASSERT(shape != NULL && drive != NULL);
    struct admin_world world = {.random = random, .drive = drive, .tenant_last = 2};
    mkv_shape_draw(shape, seed);
    struct mkv_forged_image image;
    mkv_forge_store(drive, &image, &shape->geometry);
    world.own = drive->config.drive_uuid;
    (void)mkv_forged_drive_open(drive);
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        take_turn(&world);
        report->requests++;
    }
    settle(&world);
    mkv_forged_drive_free(drive);
    mkv_forged_image_free(&image);
    free(drive);
    free(shape);
}
