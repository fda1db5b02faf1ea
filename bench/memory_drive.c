/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/memory_drive.h"

#include <string.h>
#include <sys/mman.h>

#include "core/hash.h"

void mkv_memory_drive_key(uint64_t number, uint8_t key[MKV_MEMORY_DRIVE_KEY_BYTES]) {
    memset(key, 0, MKV_MEMORY_DRIVE_KEY_BYTES);
    memcpy(key, &number, sizeof number);
}

void *mkv_memory_drive_map(uint64_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

bool mkv_memory_drive_create(struct mkv_memory_drive *drive, const struct mkv_volume_config *config,
                             uint32_t place_units, const uint64_t *sums) {
    const uint64_t capacity_units = config->geometry.capacity_units;
    *drive = (struct mkv_memory_drive){
        .config = config,
        .sums = sums,
        .place_units = place_units,
        .units = mkv_memory_drive_map(capacity_units * MKV_UNIT_BYTES),
        .slots = mkv_memory_drive_map((capacity_units / place_units + 1) * sizeof drive->slots[0]),
    };
    return drive->units != NULL && drive->slots != NULL;
}

bool mkv_memory_drive_is_data(const struct mkv_memory_drive *drive, uint64_t unit) {
    const struct mkv_geometry *geometry = &drive->config->geometry;
    const uint64_t start = mkv_geometry_data_start(geometry).unit;
    return unit >= start && unit < start + mkv_geometry_usable_units(geometry);
}

static struct mkv_memory_drive_slot *slot_at(const struct mkv_memory_drive *drive, uint64_t unit) {
    const uint64_t start = mkv_geometry_data_start(&drive->config->geometry).unit;
    return &drive->slots[(unit - start) / drive->place_units];
}

static bool slot_write(struct mkv_memory_drive *drive, uint64_t unit, const uint8_t *header_unit) {
    struct mkv_slot_header header;
    if (mkv_slot_header_decode(header_unit, &header) != MKV_OK) {
        return false;
    }
    struct mkv_memory_drive_slot *slot = slot_at(drive, unit);
    slot->generation = header.generation;
    slot->slot = header.slot.index;
    slot->length = header.length;
    memcpy(&slot->number, header.key, sizeof slot->number);
    return true;
}

static void slot_read(const struct mkv_memory_drive *drive, uint64_t unit, uint8_t *header_unit) {
    const struct mkv_memory_drive_slot *slot = slot_at(drive, unit);
    uint8_t key[MKV_MEMORY_DRIVE_KEY_BYTES];
    mkv_memory_drive_key(slot->number, key);
    const struct mkv_slot_header header = {
        .drive_uuid = drive->config->drive_uuid,
        .slot = {slot->slot},
        .tenant = MKV_TENANT_DEFAULT,
        .generation = slot->generation,
        .length = slot->length,
        .root = mkv_root_of_sums(slot->length, drive->sums),
        .key_bytes = MKV_MEMORY_DRIVE_KEY_BYTES,
        .key = key,
        .sums = (const uint8_t *)drive->sums,
    };
    mkv_slot_header_encode(&header, header_unit);
}

bool mkv_memory_drive_carry_out(struct mkv_memory_drive *drive, uint8_t *arena,
                                const struct mkv_effect *effect) {
    const bool writes = effect->kind == MKV_EFFECT_DRIVE_WRITE;
    const uint64_t unit = effect->drive.lba.unit;
    const size_t bytes = (size_t)effect->drive.unit_count * MKV_UNIT_BYTES;
    uint8_t *memory = arena + effect->drive.meta_offset;
    uint8_t *stored = drive->units + unit * MKV_UNIT_BYTES;
    MKV_ASSERT(writes || effect->kind == MKV_EFFECT_DRIVE_READ);
    if (mkv_memory_drive_is_data(drive, unit)) {
        if (writes) {
            return slot_write(drive, unit, memory);
        }
        slot_read(drive, unit, memory);
    } else if (writes) {
        memcpy(stored, memory, bytes);
    } else {
        memcpy(memory, stored, bytes);
    }
    return true;
}
