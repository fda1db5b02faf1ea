/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which units of the proxy's memory are in use. A value lies in one run of units whatever its
 * length, so that libmemkv is given it, or fills it, as one piece of memory:
 *
 *   run      | unit | unit | unit |       units of 68 KiB, as those of slabs (core/slab.h)
 *            [head][ value ............ ]
 *            4 KiB
 *
 *   memory   | runs of one unit -->             <-- longer runs |
 *
 * Runs of one unit, those of small values, are taken from the low end on, so that few of them stay
 * warm in the caches; longer ones from the high end, so that small ones do not lie in between.
 *
 * Invariants
 *  I1  No unit is in two runs.
 *  I2  Free units and those of runs are all units that there are.
 *
 * Not responsible for: who waits when there is no run, nor where units lie (backends/arena.h).
 */
#ifndef MKV_SERVER_PROXY_MEMORY_H
#define MKV_SERVER_PROXY_MEMORY_H

#include "core/base.h"

struct mkv_proxy_memory;

/* `unit_count` 0: none. */
struct mkv_proxy_run {
    uint32_t unit;
    uint32_t unit_count;
};

/* NULL when there is no memory for it. */
struct mkv_proxy_memory *mkv_proxy_memory_create(uint32_t unit_count);
/* NULL is allowed. */
void mkv_proxy_memory_destroy(struct mkv_proxy_memory *memory);

/* Units of a run for a value of so many bytes, at least 1. */
uint32_t mkv_proxy_memory_units(uint64_t value_bytes);
/* The longest value that a run of so many units holds. */
uint64_t mkv_proxy_memory_room(uint32_t unit_count);

/* False when there is no such run; `run` is then untouched. */
bool mkv_proxy_memory_take(struct mkv_proxy_memory *memory, uint32_t unit_count,
                           struct mkv_proxy_run *run);
/* Asserts that the run is in use. It is empty then. */
void mkv_proxy_memory_give(struct mkv_proxy_memory *memory, struct mkv_proxy_run *run);

uint32_t mkv_proxy_memory_unit_count(const struct mkv_proxy_memory *memory);
uint32_t mkv_proxy_memory_used(const struct mkv_proxy_memory *memory);

#endif
