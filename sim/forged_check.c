/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forged_check.h"

#include <stdlib.h>
#include <string.h>

#include "core/slot_header.h"
#include "sim/forged_drive.h"

/* Blocks that are read back, of each opening. */
#define BLOCKS_READ_MAX 48u
#define PUTS 4u

/* Reads what the volume says it has. A block whose header is not its own has no key to ask for. */
static void read_back(struct mkv_forged_drive *drive) {
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    for (uint32_t count = 0;
         count < BLOCKS_READ_MAX && mkv_volume_next_block(drive->volume, &cursor, &block);
         count++) {
        struct mkv_slot_header header;
        uint8_t unit[MKV_UNIT_BYTES];
        memcpy(unit, mkv_forged_image_unit(drive->image, block.lba.unit), sizeof unit);
        if (mkv_slot_header_decode(unit, &header) == MKV_OK) {
            (void)mkv_forged_drive_get(drive, header.tenant, header.key, header.key_bytes);
        }
    }
    if (mkv_forged_drive_serves(drive)) {
        mkv_volume_check(drive->volume);
    }
}

static void ask_tenants_and_lists(struct mkv_forged_drive *drive) {
    struct mkv_message message = {.kind = MKV_MESSAGE_TENANT, .tenant = 77};
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)"late", 4);
    (void)mkv_forged_drive_put(drive, 77, "of-tenant", 100, 3);
    message = (struct mkv_message){.kind = MKV_MESSAGE_SCAN, .count = 100};
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)"", 0);
    message = (struct mkv_message){.kind = MKV_MESSAGE_COUNT, .tenant = 77};
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)"", 0);
    message = (struct mkv_message){.kind = MKV_MESSAGE_TENANT_DROP, .tenant = 77};
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)"", 0);
    message = (struct mkv_message){.kind = MKV_MESSAGE_PURGE, .length = 1};
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)"p", 1);
}

/* Goes on with it as with any volume. Returns how many of the last puts must be there. */
static uint32_t work(struct mkv_forged_drive *drive) {
    static const char *const keys[PUTS] = {"a", "b", "c", "d"};
    static const uint32_t lengths[PUTS] = {10, 3000, 9000, 0};
    for (uint32_t put = 0; put < PUTS; put++) {
        (void)mkv_forged_drive_put(drive, MKV_TENANT_DEFAULT, keys[put], lengths[put],
                                   (uint8_t)put);
    }
    struct mkv_message message = {.kind = MKV_MESSAGE_DELETE};
    (void)mkv_forged_drive_ask(drive, &message, (const uint8_t *)"b", 1);
    ask_tenants_and_lists(drive);
    mkv_forged_drive_admin(drive, MKV_ADMIN_CHECKPOINT);
    return mkv_forged_drive_put(drive, MKV_TENANT_DEFAULT, "z", 50, 9) == MKV_STATUS_OK ? 1 : 0;
}

/* Opens once more what served a moment ago. That can only be refused where a counter that was
 * forged close to its limit has got there. */
static bool reopen(struct mkv_forged_drive *drive) {
    struct mkv_volume_stats stats;
    if (mkv_forged_drive_open(drive)) {
        return true;
    }
    mkv_volume_stats(drive->volume, &stats);
    MKV_ASSERT(stats.open_err == MKV_ERR_TOO_LARGE);
    return false;
}

static void recover(struct mkv_forged_drive *drive) {
    if (!mkv_forged_drive_open(drive)) {
        return;
    }
    mkv_volume_check(drive->volume);
    read_back(drive);
    if (!mkv_forged_drive_serves(drive)) {
        return;
    }
    const uint32_t durable = work(drive);
    if (!mkv_forged_drive_serves(drive)) {
        return;
    }
    mkv_volume_check(drive->volume);
    /* Killed, and opened: what was acknowledged is there. Then closed in order, and opened. */
    const uint64_t before = mkv_volume_durable_hash(drive->volume);
    if (!reopen(drive)) {
        return;
    }
    MKV_ASSERT(mkv_volume_durable_hash(drive->volume) == before);
    mkv_volume_check(drive->volume);
    if (durable > 0) {
        MKV_ASSERT(
            mkv_forged_drive_get(drive, MKV_TENANT_DEFAULT, (const uint8_t *)"z", 1)->status ==
            MKV_STATUS_OK);
    }
    mkv_forged_drive_admin(drive, MKV_ADMIN_CLOSE);
    if (reopen(drive)) {
        read_back(drive);
    }
}

void mkv_forged_check(struct mkv_forged_image *image) {
    uint8_t units[MKV_SUPERBLOCK_COPIES * MKV_UNIT_BYTES];
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba = mkv_geometry_superblock(image->units, copy);
        memcpy(units + (size_t)copy * MKV_UNIT_BYTES, mkv_forged_image_unit(image, lba.unit),
               MKV_UNIT_BYTES);
    }
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(units, 0, &choice);
    if (choice.err != MKV_OK || choice.superblock.geometry.capacity_units != image->units) {
        return; /* the daemon opens nothing here */
    }
    struct mkv_forged_drive *drive = calloc(1, sizeof *drive);
    MKV_ASSERT(drive != NULL);
    mkv_forged_drive_init(drive, image, &choice.superblock);
    recover(drive);
    mkv_forged_drive_free(drive);
    free(drive);
}
