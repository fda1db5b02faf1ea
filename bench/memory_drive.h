/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drive in memory for benchmarks of a volume: it keeps what is outside of the data area, and of
 * slots what their headers are made of, so that a store of many gigabytes takes little. What was
 * never written takes nothing.
 *
 * Not responsible for: when an operation completes, or what it costs.
 */
#ifndef MKV_BENCH_MEMORY_DRIVE_H
#define MKV_BENCH_MEMORY_DRIVE_H

#include "core/slot_header.h"
#include "core/volume.h"

/* Keys are numbers; all blocks belong to the default tenant. */
#define MKV_MEMORY_DRIVE_KEY_BYTES 20u
void mkv_memory_drive_key(uint64_t number, uint8_t key[MKV_MEMORY_DRIVE_KEY_BYTES]);

struct mkv_memory_drive_slot {
    struct mkv_generation generation;
    uint64_t number; /* of the key */
    uint32_t slot;
    uint32_t length;
};

struct mkv_memory_drive {
    const struct mkv_volume_config *config;
    const uint64_t *sums; /* of each block's chunks; MKV_CHUNKS_MAX of them */
    uint32_t place_units;
    uint8_t *units;
    struct mkv_memory_drive_slot *slots; /* by place in the data area */
};

/* The configuration and the sums are the caller's, and stay; no two slots begin closer to each
 * other than `place_units`. False: there is no memory. */
bool mkv_memory_drive_create(struct mkv_memory_drive *drive, const struct mkv_volume_config *config,
                             uint32_t place_units, const uint64_t *sums);
/* Whether the unit is of the data area. */
bool mkv_memory_drive_is_data(const struct mkv_memory_drive *drive, uint64_t unit);
/* Carries out a DRIVE_READ or DRIVE_WRITE of a volume with this arena; of slots the header alone.
 * False: the header that is to be written does not decode. */
__attribute__((warn_unused_result)) bool mkv_memory_drive_carry_out(
    struct mkv_memory_drive *drive, uint8_t *arena, const struct mkv_effect *effect);

/* Memory of which what is never touched takes none; NULL: there is not so much. Never freed. */
void *mkv_memory_drive_map(uint64_t bytes);

#endif
