/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a node in one mapping: the slabs, and behind them the arenas of fronts and volumes.
 * What `memory.max_size` says is what is mapped, no more and no less.
 *
 *   base
 *   | unit 0 | unit 1 | … | unit 15359 | unit 15360 …              | metadata: taken piece by piece
 * |
 *   |<------- registration 0 --------->|<----- registration 1 ---->|<- registration ->|<- …
 * ------->|
 *
 *   unit: MKV_SLAB_UNIT_STRIDE_BYTES. registration: what io_uring takes as one fixed buffer, at
 * most 1 GiB; for slabs a whole number of groups (core/slab.h), so that no slab lies in two.
 *
 * A part of an arena is what one of several shards has of it: a run of whole groups of units, and
 * pieces of the same metadata. Slabs are named by their index in the whole arena everywhere.
 *
 * Invariants
 *  I1  The address of a slab and of a metadata piece never changes; both are aligned to 4 KiB.
 *  I2  A slab lies in one registration. A metadata piece may lie in several; what crosses a border
 * is found to be not registered. I3  Every page is there from the start and zeroed (memory_map.h).
 *
 * Not responsible for: which slabs are in use (core/slab.h).
 */
#ifndef MKV_BACKENDS_ARENA_H
#define MKV_BACKENDS_ARENA_H

#include "backends/error.h"
#include "backends/memory_map.h"
#include "backends/ring.h"
#include "core/base.h"
#include "core/slab.h"

/* The most stride units of one registration: 30 groups, 1020 MiB. */
#define MKV_ARENA_REGISTRATION_UNITS                                                               \
    ((uint32_t)(MKV_RING_BUFFER_BYTES_MAX / MKV_SLAB_UNIT_STRIDE_BYTES / MKV_SLAB_GROUP_UNITS *    \
                MKV_SLAB_GROUP_UNITS))
/* The longest piece of metadata in one registration. */
#define MKV_ARENA_REGISTRATION_METADATA_BYTES MKV_RING_BUFFER_BYTES_MAX

struct mkv_arena;

struct mkv_arena_options {
    uint64_t bytes;          /* of the whole node: memory.max_size; at most 4 TiB */
    uint64_t metadata_bytes; /* of it, the sum of all pieces that mkv_arena_take will give, each
                              * rounded up to 4 KiB; slabs get the rest */
    enum mkv_hugepages hugepages;
};

/* Refuses when there is less memory, or with `require` fewer huge pages, than asked for, and when
 * the metadata leaves no room for a slab of the largest block. */
__attribute__((warn_unused_result)) bool mkv_arena_create(const struct mkv_arena_options *options,
                                                          struct mkv_arena **arena,
                                                          struct mkv_backend_error *error);
/* After every ring that it is registered with is destroyed. NULL is allowed. */
void mkv_arena_destroy(struct mkv_arena *arena);

/* Stride units for slabs; what core/slab.h is initialised with. */
uint32_t mkv_arena_unit_count(const struct mkv_arena *arena);
/* The header unit of a slab, also of one that lies in another part; its payload follows at
 * MKV_UNIT_BYTES. */
uint8_t *mkv_arena_slab(const struct mkv_arena *arena, struct mkv_slab slab);
/* The memory of its slabs, of a part those of the part. */
uint8_t *mkv_arena_slabs(const struct mkv_arena *arena, size_t *byte_count);
/* The next piece of metadata: zeroed, aligned to 4 KiB, for the life of the arena. Asserts that
 * metadata_bytes are not exceeded. */
void *mkv_arena_take(struct mkv_arena *arena, uint64_t bytes);

/* The mapping: whether it is on huge pages, and how many there were. HUGEPAGES_FALLBACK holds when
 * mkv_arena_hugepages_fell_back. */
const struct mkv_memory_map *mkv_arena_map(const struct mkv_arena *arena);
bool mkv_arena_hugepages_fell_back(const struct mkv_arena *arena);

/* ---- parts ---------------------------------------------------------------------------------- */

/* The part of `unit_count` units from `unit_first` on, a multiple of MKV_SLAB_GROUP_UNITS; or NULL:
 * there is no memory. Its count of units is the part's, and a ring registers those alone. It is
 * destroyed before its arena. */
struct mkv_arena *mkv_arena_part(struct mkv_arena *arena, uint32_t unit_first, uint32_t unit_count);
/* 0 where it is no part. */
uint32_t mkv_arena_unit_first(const struct mkv_arena *arena);

/* ---- registration with a ring --------------------------------------------------------------- */

/* Where the arena's memory stands in a ring's table of buffers. One for each ring. */
struct mkv_arena_buffers;

/* Places that a ring needs for it: mkv_ring_options.buffers_max. */
uint32_t mkv_arena_registration_count(const struct mkv_arena *arena);
/* Registers all of the arena, of a part its slabs and all metadata, or as much as the kernel takes:
 * the rest is served with plain operations. False only when there is no memory for the list. */
__attribute__((warn_unused_result)) bool mkv_arena_register(const struct mkv_arena *arena,
                                                            struct mkv_ring *ring,
                                                            struct mkv_arena_buffers **buffers,
                                                            struct mkv_backend_error *error);
void mkv_arena_buffers_free(struct mkv_arena_buffers *buffers);
/* 0 when everything is registered; else the error number of the first refusal, most often ENOMEM
 * for RLIMIT_MEMLOCK, which the caller reports as a warning. */
int mkv_arena_buffers_error(const struct mkv_arena_buffers *buffers);
/* The place of these bytes in the ring's table, or MKV_RING_NOT_REGISTERED. */
int32_t mkv_arena_buffers_find(const struct mkv_arena_buffers *buffers, const void *bytes,
                               size_t byte_count);

/* ---- memory that the kernel does not give back ---------------------------------------------- */

/* Exchanges of an arena in all. */
#define MKV_ARENA_EXCHANGES_MAX 1024u

/* Puts other pages, with the same content, in the place of these whole units: an operation that the
 * kernel has with registered buffers keeps the old ones, and nobody else has them any more. From
 * then on the place is found to be not registered. From any thread; at no moment is the content
 * missing. False, and nothing has changed: on huge pages of hugetlbfs, without memory, or when
 * there were too many exchanges. */
__attribute__((warn_unused_result)) bool mkv_arena_exchange(const struct mkv_arena *arena,
                                                            uint8_t *bytes, size_t byte_count);
/* Whether any of these bytes, which are in the arena, have been exchanged: whoever registered them
 * with a device has other pages than those that are there now. */
bool mkv_arena_was_exchanged(const struct mkv_arena *arena, const uint8_t *bytes,
                             size_t byte_count);

#endif
