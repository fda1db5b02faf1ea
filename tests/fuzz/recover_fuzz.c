/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any drive at all is given to recovery. Whatever it holds: no assertion, no crash, no endless
 * work; the volume serves, or says why not. What it serves agrees with itself, every block that is
 * read has the bytes that its header names, and the volume goes on as one: it takes puts, deletes,
 * tenants and lists, closes, and opens again with what it had.
 *
 *   tests/corpus/recover        images that failed once
 *   tests/fixtures/format-v1    where it begins
 */
#include <stdlib.h>
#include <string.h>

#include "core/slot_header.h"
#include "tests/fuzz/fuzz_drive.h"
#include "tests/fuzz/mutate.h"

/* Blocks that are read back, of each opening. */
#define BLOCKS_READ_MAX 48u
#define PUTS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed) {
    struct mkv_random random;
    struct image image;
    mkv_random_seed(&random, seed, MKV_CONCERN_FAULTS);
    if (mkv_random_chance(&random, 1, 32) || !image_load(&image, data, size)) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    mutate_image(&image, &random);
    const size_t bytes = image_save(&image, data, size_max);
    image_free(&image);
    return bytes > 0 ? bytes : size;
}

/* Reads what the volume says it has. A block whose header is not its own has no key to ask for. */
static void read_back(struct fuzz_drive *drive) {
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    for (uint32_t count = 0;
         count < BLOCKS_READ_MAX && mkv_volume_next_block(drive->volume, &cursor, &block);
         count++) {
        struct mkv_slot_header header;
        uint8_t unit[MKV_UNIT_BYTES];
        memcpy(unit, image_unit(drive->image, block.lba.unit), sizeof unit);
        if (mkv_slot_header_decode(unit, &header) == MKV_OK) {
            (void)fuzz_drive_get(drive, header.tenant, header.key, header.key_bytes);
        }
    }
    if (fuzz_drive_serves(drive)) {
        mkv_volume_check(drive->volume);
    }
}

static void ask_tenants_and_lists(struct fuzz_drive *drive) {
    struct mkv_message message = {.kind = MKV_MESSAGE_TENANT, .tenant = 77};
    (void)fuzz_drive_ask(drive, &message, (const uint8_t *)"fuzz", 4);
    (void)fuzz_drive_put(drive, 77, "of-tenant", 100, 3);
    message = (struct mkv_message){.kind = MKV_MESSAGE_SCAN, .count = 100};
    (void)fuzz_drive_ask(drive, &message, (const uint8_t *)"", 0);
    message = (struct mkv_message){.kind = MKV_MESSAGE_COUNT, .tenant = 77};
    (void)fuzz_drive_ask(drive, &message, (const uint8_t *)"", 0);
    message = (struct mkv_message){.kind = MKV_MESSAGE_TENANT_DROP, .tenant = 77};
    (void)fuzz_drive_ask(drive, &message, (const uint8_t *)"", 0);
    message = (struct mkv_message){.kind = MKV_MESSAGE_PURGE, .length = 1};
    (void)fuzz_drive_ask(drive, &message, (const uint8_t *)"p", 1);
}

/* Goes on with it as with any volume. Returns how many of the last puts must be there. */
static uint32_t work(struct fuzz_drive *drive) {
    static const char *const keys[PUTS] = {"a", "b", "c", "d"};
    static const uint32_t lengths[PUTS] = {10, 3000, 9000, 0};
    for (uint32_t put = 0; put < PUTS; put++) {
        (void)fuzz_drive_put(drive, MKV_TENANT_DEFAULT, keys[put], lengths[put], (uint8_t)put);
    }
    struct mkv_message message = {.kind = MKV_MESSAGE_DELETE};
    (void)fuzz_drive_ask(drive, &message, (const uint8_t *)"b", 1);
    ask_tenants_and_lists(drive);
    fuzz_drive_admin(drive, MKV_ADMIN_CHECKPOINT);
    return fuzz_drive_put(drive, MKV_TENANT_DEFAULT, "z", 50, 9) == MKV_STATUS_OK ? 1 : 0;
}

static void recover(struct fuzz_drive *drive) {
    if (!fuzz_drive_open(drive)) {
        return;
    }
    mkv_volume_check(drive->volume);
    read_back(drive);
    if (!fuzz_drive_serves(drive)) {
        return;
    }
    const uint32_t durable = work(drive);
    if (!fuzz_drive_serves(drive)) {
        return;
    }
    mkv_volume_check(drive->volume);
    /* Killed, and opened: what was acknowledged is there. Then closed in order, and opened. */
    const uint64_t before = mkv_volume_durable_hash(drive->volume);
    const bool opened = fuzz_drive_open(drive);
    MKV_ASSERT(opened);
    MKV_ASSERT(mkv_volume_durable_hash(drive->volume) == before);
    mkv_volume_check(drive->volume);
    if (durable > 0) {
        MKV_ASSERT(fuzz_drive_get(drive, MKV_TENANT_DEFAULT, (const uint8_t *)"z", 1)->status ==
                   MKV_STATUS_OK);
    }
    fuzz_drive_admin(drive, MKV_ADMIN_CLOSE);
    const bool opened_again = fuzz_drive_open(drive);
    MKV_ASSERT(opened_again);
    read_back(drive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct image image;
    if (!image_load(&image, data, size)) {
        return -1; /* nothing to keep */
    }
    uint8_t units[MKV_SUPERBLOCK_COPIES * MKV_UNIT_BYTES];
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba = mkv_geometry_superblock(image.units, copy);
        memcpy(units + (size_t)copy * MKV_UNIT_BYTES, image_unit(&image, lba.unit), MKV_UNIT_BYTES);
    }
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(units, 0, &choice);
    if (choice.err == MKV_OK && choice.superblock.geometry.capacity_units == image.units) {
        struct fuzz_drive *drive = calloc(1, sizeof *drive);
        MKV_ASSERT(drive != NULL);
        fuzz_drive_init(drive, &image, &choice.superblock);
        recover(drive);
        fuzz_drive_free(drive);
        free(drive);
    }
    image_free(&image);
    return 0;
}
