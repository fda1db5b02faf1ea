/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a node of these drives gets: room for the index of each drive, which is known to
 * the byte, and for the memory tier, out of what the machine has.
 *
 *     memory.max_size = |<- index of all drives, fronts ->|<------- memory tier ------->|
 *                       half of the machine; more where the index takes nearly all of that,
 *                       never more than three quarters
 *
 * Invariants
 *  I1  The same drives on the same machine get the same size.
 *  I2  The size is a whole number of huge pages.
 *
 * Not responsible for: getting the memory (backends/memory_map.h).
 */
#ifndef MKV_SERVER_SETUP_MEMORY_H
#define MKV_SERVER_SETUP_MEMORY_H

#include "backends/drive_facts.h"
#include "backends/error.h"
#include "core/geometry.h"

/* What is left for blocks at least: several of the largest at once. */
#define MKV_SETUP_TIER_BYTES_MIN (256ull * MKV_MIB)

struct mkv_setup_machine {
    uint64_t memory_bytes; /* MemTotal, or the limit of the control group where that is less */
    uint64_t hugepages;    /* of 2 MiB that are reserved now */
    bool has_hugepages;    /* the kernel knows such pages */
};
/* False when /proc/meminfo does not tell. */
__attribute__((warn_unused_result)) bool mkv_setup_machine_read(const struct mkv_drive_roots *roots,
                                                                struct mkv_setup_machine *machine);

/* The index of a volume of this geometry on a node of `drive_count` drives and `memory_bytes`. */
uint64_t mkv_setup_index_bytes(const struct mkv_geometry *geometry, uint32_t drive_count,
                               uint64_t memory_bytes);

struct mkv_setup_memory {
    uint64_t max_size_bytes;
    uint64_t index_bytes; /* of it */
};
/* Refuses when the machine has too little for these drives. */
__attribute__((warn_unused_result)) bool mkv_setup_memory_size(
    const struct mkv_geometry *geometries, uint32_t drive_count,
    const struct mkv_setup_machine *machine, struct mkv_setup_memory *memory,
    struct mkv_backend_error *error);

#endif
