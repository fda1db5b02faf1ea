/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts of the slab arena are in use: a buddy allocator over stride units. The memory itself
 * is the backend's; this knows indexes alone.
 *
 *   stride unit:  68 KiB = header 4 KiB + payload 64 KiB
 *   slab:         a run of 1, 2, 4 ... 512 units (order 0 ... 9), laid out as one slot is:
 *
 *     order 1   |<-- unit 2k --------------->|<-- unit 2k + 1 ----------->|
 *               [header 4 KiB][payload 132 KiB, of which 128 KiB are used ]
 *
 *   group:        512 units, 34 MiB; the last one may be a part of a group
 *
 * Invariants
 *  I1  A slab of order n starts at a multiple of 2^n units, counted from the arena's start, and
 *      so lies in one group. mkv_slab.index is its first unit.
 *  I2  Two free runs that are buddies are one free run of the next order.
 *  I3  Free units + units of allocated slabs = unit_count.
 *
 * Allocation takes the lowest order that has room and the run freed last; freeing merges. Both take
 * at most one step an order.
 *
 * Not responsible for: who waits when there is none (front), nor where units lie in memory (arena).
 */
#ifndef MKV_CORE_SLAB_H
#define MKV_CORE_SLAB_H

#include "core/base.h"

#define MKV_SLAB_UNIT_PAYLOAD_BYTES (64u * 1024u)
/* From the start of a unit to the start of the next. */
#define MKV_SLAB_UNIT_STRIDE_BYTES (MKV_UNIT_BYTES + MKV_SLAB_UNIT_PAYLOAD_BYTES)
#define MKV_SLAB_ORDER_MAX 9u
#define MKV_SLAB_ORDER_COUNT (MKV_SLAB_ORDER_MAX + 1u)
#define MKV_SLAB_GROUP_UNITS (1u << MKV_SLAB_ORDER_MAX)
#define MKV_SLAB_UNIT_COUNT_MAX (1u << 30)

struct mkv_slab_pool;

/* The order of a slab for a payload of at most MKV_BLOCK_BYTES_MAX bytes. */
uint32_t mkv_slab_order(uint32_t payload_bytes);

/* Bytes of a pool, a multiple of 64. unit_count is 1 ... MKV_SLAB_UNIT_COUNT_MAX. */
size_t mkv_slab_memory_required(uint32_t unit_count);
/* Builds a pool in `memory`, aligned to 8 bytes: all units are free. It holds indexes only. */
struct mkv_slab_pool *mkv_slab_init(void *memory, size_t memory_bytes, uint32_t unit_count);

/* False when no run of that size is free; `slab` is then untouched. */
bool mkv_slab_alloc(struct mkv_slab_pool *pool, uint32_t payload_bytes, struct mkv_slab *slab);
/* Asserts that the slab is allocated. */
void mkv_slab_free(struct mkv_slab_pool *pool, struct mkv_slab slab);

/* Units of the run, allocated or free, that starts at the unit. */
uint32_t mkv_slab_run_units(const struct mkv_slab_pool *pool, uint32_t unit, bool *is_allocated);
/* Units of an allocated slab. */
uint32_t mkv_slab_units(const struct mkv_slab_pool *pool, struct mkv_slab slab);
uint32_t mkv_slab_units_free(const struct mkv_slab_pool *pool);
/* Slabs in use of one order. */
uint32_t mkv_slab_allocated(const struct mkv_slab_pool *pool, uint32_t order);

#endif
