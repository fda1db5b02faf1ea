/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is all there from the start: mapped once, on huge pages where they can be had, and
 * touched before anyone uses it, so that the resident size of the daemon is what the configuration
 * says and a lack of memory shows at start and not under load.
 *
 * Invariants
 *  I1  A mapping that was made is backed by pages in full: no later fault needs a new page.
 *  I2  `require` never falls back, `off` never asks for huge pages.
 *
 * Not responsible for: what lies in it (arena.h).
 */
#ifndef MKV_BACKENDS_MEMORY_MAP_H
#define MKV_BACKENDS_MEMORY_MAP_H

#include "backends/error.h"
#include "core/base.h"

#define MKV_HUGEPAGE_BYTES (2ull * MKV_MIB)

enum mkv_hugepages {
    MKV_HUGEPAGES_AUTO = 0, /* huge pages if they can be had, else normal pages */
    MKV_HUGEPAGES_REQUIRE,
    MKV_HUGEPAGES_OFF,
};

struct mkv_memory_map {
    uint8_t *base;
    uint64_t bytes; /* mapped: what was asked for, rounded up to whole pages */
    bool huge;      /* on huge pages of 2 MiB */
    /* What was needed and what there was, for the warning HUGEPAGES_FALLBACK. */
    uint64_t hugepages_needed;
    uint64_t hugepages_free;
};

/* Maps and touches `bytes` of zeroed memory. `setting` is the key of the configuration that asked
 * for it, for the messages: "memory.max_size". */
__attribute__((warn_unused_result)) bool mkv_memory_map(uint64_t bytes,
                                                        enum mkv_hugepages hugepages,
                                                        const char *setting,
                                                        struct mkv_memory_map *map,
                                                        struct mkv_backend_error *error);
/* An empty map is allowed. */
void mkv_memory_unmap(struct mkv_memory_map *map);

/* The refusals in words, apart from the machine they come from. Both return false. */
bool mkv_memory_refuse_hugepages(const char *setting, uint64_t bytes, uint64_t hugepages_free,
                                 struct mkv_backend_error *error);
bool mkv_memory_refuse_bytes(const char *setting, uint64_t bytes, uint64_t available_bytes,
                             struct mkv_backend_error *error);

#endif
