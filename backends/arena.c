/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/arena.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES_MAX (4096ull * MKV_GIB)
#define SETTING "memory.max_size"

_Static_assert(MKV_SLAB_UNIT_STRIDE_BYTES % MKV_UNIT_BYTES == 0, "slabs are aligned for drives");
_Static_assert(MKV_ARENA_REGISTRATION_UNITS % MKV_SLAB_GROUP_UNITS == 0, "I2");
_Static_assert((uint64_t)MKV_ARENA_REGISTRATION_UNITS *MKV_SLAB_UNIT_STRIDE_BYTES <=
                   MKV_RING_BUFFER_BYTES_MAX,
               "io_uring takes a registration");
_Static_assert(ARENA_BYTES_MAX / MKV_SLAB_UNIT_STRIDE_BYTES <= MKV_SLAB_UNIT_COUNT_MAX,
               "every unit has an index");

/* The places whose pages were exchanged, as offsets. Readers take the count first. */
struct exchanges {
    pthread_mutex_t mutex;
    uint32_t count;
    struct {
        uint64_t offset;
        uint64_t end;
    } places[MKV_ARENA_EXCHANGES_MAX];
};

struct mkv_arena {
    struct mkv_memory_map map;
    bool hugepages_fell_back;
    struct mkv_arena *whole; /* itself, where it is no part */
    uint32_t unit_first;     /* in the whole */
    uint32_t unit_count;
    uint64_t metadata_offset;
    uint64_t metadata_bytes;
    uint64_t metadata_taken;
    struct exchanges *exchanges; /* of the whole */
};

bool mkv_arena_create(const struct mkv_arena_options *options, struct mkv_arena **arena_out,
                      struct mkv_backend_error *error) {
    uint64_t bytes = options->bytes / MKV_UNIT_BYTES * MKV_UNIT_BYTES;
    uint64_t metadata_bytes = mkv_round_up_u64(options->metadata_bytes, MKV_UNIT_BYTES);
    uint64_t slab_bytes_min = (uint64_t)MKV_SLAB_GROUP_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES;
    MKV_ASSERT(options->metadata_bytes <= ARENA_BYTES_MAX);
    if (bytes > ARENA_BYTES_MAX) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  SETTING " %" PRIu64 " is more than one node can use. "
                                          "Set it to at most 4TiB",
                                  options->bytes);
    }
    if (bytes < metadata_bytes + slab_bytes_min) {
        uint64_t needed = mkv_divide_up_u64(metadata_bytes + slab_bytes_min, MKV_MIB);
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  SETTING " %" PRIu64 "MiB does not hold the tables of the drives "
                                          "(%" PRIu64 "MiB) and one block of 32 MiB. "
                                          "Set it to at least %" PRIu64 "MiB",
                                  (uint64_t)(bytes / MKV_MIB), (uint64_t)(metadata_bytes / MKV_MIB),
                                  needed);
    }
    struct mkv_arena *arena = calloc(1, sizeof *arena);
    struct exchanges *exchanges = calloc(1, sizeof *exchanges);
    if (arena == NULL || exchanges == NULL) {
        free(arena);
        free(exchanges);
        return mkv_memory_refuse_bytes(SETTING, options->bytes, 0, error);
    }
    if (!mkv_memory_map(bytes, options->hugepages, SETTING, &arena->map, error)) {
        free(arena);
        free(exchanges);
        return false;
    }
    pthread_mutex_init(&exchanges->mutex, NULL);
    arena->exchanges = exchanges;
    arena->whole = arena;
    arena->hugepages_fell_back = options->hugepages == MKV_HUGEPAGES_AUTO && !arena->map.huge;
    arena->unit_count = (uint32_t)((bytes - metadata_bytes) / MKV_SLAB_UNIT_STRIDE_BYTES);
    arena->metadata_offset = (uint64_t)arena->unit_count * MKV_SLAB_UNIT_STRIDE_BYTES;
    arena->metadata_bytes = metadata_bytes;
    MKV_ASSERT(arena->metadata_offset + metadata_bytes <= arena->map.bytes);
    /* Payloads would make a core dump as large as the machine's memory and tell others' data; the
     * state that explains an abort lies in the metadata. */
    (void)madvise(arena->map.base, arena->metadata_offset / MKV_HUGEPAGE_BYTES * MKV_HUGEPAGE_BYTES,
                  MADV_DONTDUMP);
    *arena_out = arena;
    return true;
}

void mkv_arena_destroy(struct mkv_arena *arena) {
    if (arena != NULL) {
        if (arena->whole == arena) {
            mkv_memory_unmap(&arena->map);
            pthread_mutex_destroy(&arena->exchanges->mutex);
            free(arena->exchanges);
        }
        free(arena);
    }
}

struct mkv_arena *mkv_arena_part(struct mkv_arena *arena, uint32_t unit_first,
                                 uint32_t unit_count) {
    MKV_ASSERT(arena->whole == arena);
    MKV_ASSERT(unit_first % MKV_SLAB_GROUP_UNITS == 0); /* slabs stay in one registration */
    MKV_ASSERT(unit_first < arena->unit_count);
    MKV_ASSERT(unit_count >= 1);
    MKV_ASSERT(unit_count <= arena->unit_count - unit_first);
    struct mkv_arena *part = malloc(sizeof *part);
    if (part != NULL) {
        *part = *arena;
        part->unit_first = unit_first;
        part->unit_count = unit_count;
    }
    return part;
}

uint32_t mkv_arena_unit_first(const struct mkv_arena *arena) {
    return arena->unit_first;
}

uint32_t mkv_arena_unit_count(const struct mkv_arena *arena) {
    return arena->unit_count;
}

uint8_t *mkv_arena_slab(const struct mkv_arena *arena, struct mkv_slab slab) {
    MKV_ASSERT(slab.index < arena->whole->unit_count);
    return arena->map.base + (uint64_t)slab.index * MKV_SLAB_UNIT_STRIDE_BYTES;
}

uint8_t *mkv_arena_slabs(const struct mkv_arena *arena, size_t *byte_count) {
    *byte_count = (size_t)arena->unit_count * MKV_SLAB_UNIT_STRIDE_BYTES;
    return arena->map.base + (uint64_t)arena->unit_first * MKV_SLAB_UNIT_STRIDE_BYTES;
}

void *mkv_arena_take(struct mkv_arena *part, uint64_t bytes) {
    struct mkv_arena *arena = part->whole;
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT(bytes <= arena->metadata_bytes);
    uint64_t piece_bytes = mkv_round_up_u64(bytes, MKV_UNIT_BYTES);
    MKV_ASSERT(piece_bytes <= arena->metadata_bytes - arena->metadata_taken);
    uint8_t *piece = arena->map.base + arena->metadata_offset + arena->metadata_taken;
    arena->metadata_taken += piece_bytes;
    return piece;
}

const struct mkv_memory_map *mkv_arena_map(const struct mkv_arena *arena) {
    return &arena->map;
}

bool mkv_arena_hugepages_fell_back(const struct mkv_arena *arena) {
    return arena->hugepages_fell_back;
}

/* ---- registration with a ring --------------------------------------------------------------- */

struct mkv_arena_buffers {
    const struct mkv_arena *arena;
    int error_number;
    uint32_t count;
    int32_t places[];
};

static uint32_t slab_registrations(const struct mkv_arena *arena) {
    return (uint32_t)mkv_divide_up_u64(arena->unit_count, MKV_ARENA_REGISTRATION_UNITS);
}

uint32_t mkv_arena_registration_count(const struct mkv_arena *arena) {
    return slab_registrations(arena) +
           (uint32_t)mkv_divide_up_u64(arena->metadata_bytes,
                                       MKV_ARENA_REGISTRATION_METADATA_BYTES);
}

static uint64_t slabs_offset(const struct mkv_arena *arena) {
    return (uint64_t)arena->unit_first * MKV_SLAB_UNIT_STRIDE_BYTES;
}

static uint64_t slabs_end(const struct mkv_arena *arena) {
    return slabs_offset(arena) + (uint64_t)arena->unit_count * MKV_SLAB_UNIT_STRIDE_BYTES;
}

struct registration {
    uint64_t offset;
    uint64_t bytes;
};

static struct registration registration_at(const struct mkv_arena *arena, uint32_t index) {
    uint32_t slabs = slab_registrations(arena);
    MKV_ASSERT(index < mkv_arena_registration_count(arena));
    uint64_t start = slabs_offset(arena);
    uint64_t end = slabs_end(arena);
    uint64_t step = (uint64_t)MKV_ARENA_REGISTRATION_UNITS * MKV_SLAB_UNIT_STRIDE_BYTES;
    if (index >= slabs) {
        index -= slabs;
        start = arena->metadata_offset;
        end = start + arena->metadata_bytes;
        step = MKV_ARENA_REGISTRATION_METADATA_BYTES;
    }
    uint64_t offset = start + index * step;
    return (struct registration){offset, mkv_min_u64(step, end - offset)};
}

bool mkv_arena_register(const struct mkv_arena *arena, struct mkv_ring *ring,
                        struct mkv_arena_buffers **buffers_out, struct mkv_backend_error *error) {
    uint32_t count = mkv_arena_registration_count(arena);
    struct mkv_arena_buffers *buffers = malloc(sizeof *buffers + count * sizeof buffers->places[0]);
    if (buffers == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the list of %" PRIu32 " registered buffers. Free "
                                  "memory on this machine",
                                  count);
    }
    buffers->arena = arena;
    buffers->count = count;
    buffers->error_number = 0;
    for (uint32_t i = 0; i < count; i++) {
        buffers->places[i] = MKV_RING_NOT_REGISTERED;
        /* After a refusal the limit is reached; what follows would fail the same way. */
        if (buffers->error_number == 0) {
            struct registration registration = registration_at(arena, i);
            buffers->places[i] = mkv_ring_buffer_add(ring, arena->map.base + registration.offset,
                                                     registration.bytes, &buffers->error_number);
        }
    }
    *buffers_out = buffers;
    return true;
}

void mkv_arena_buffers_free(struct mkv_arena_buffers *buffers) {
    free(buffers);
}

int mkv_arena_buffers_error(const struct mkv_arena_buffers *buffers) {
    return buffers->error_number;
}

static bool was_exchanged(const struct mkv_arena *arena, uint64_t offset, size_t byte_count) {
    const struct exchanges *exchanges = arena->exchanges;
    const uint32_t count = __atomic_load_n(&exchanges->count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++) {
        if (offset < exchanges->places[i].end &&
            exchanges->places[i].offset < offset + byte_count) {
            return true;
        }
    }
    return false;
}

int32_t mkv_arena_buffers_find(const struct mkv_arena_buffers *buffers, const void *bytes,
                               size_t byte_count) {
    const struct mkv_arena *arena = buffers->arena;
    uintptr_t base = (uintptr_t)arena->map.base;
    uintptr_t address = (uintptr_t)bytes;
    uint64_t arena_bytes = arena->metadata_offset + arena->metadata_bytes;
    if (address < base || address - base >= arena_bytes) {
        return MKV_RING_NOT_REGISTERED;
    }
    uint64_t offset = address - base;
    uint64_t index;
    if (offset >= slabs_offset(arena) && offset < slabs_end(arena)) {
        index = (offset - slabs_offset(arena)) / MKV_SLAB_UNIT_STRIDE_BYTES /
                MKV_ARENA_REGISTRATION_UNITS;
    } else if (offset >= arena->metadata_offset) {
        index = slab_registrations(arena) +
                (offset - arena->metadata_offset) / MKV_ARENA_REGISTRATION_METADATA_BYTES;
    } else {
        return MKV_RING_NOT_REGISTERED; /* another part's */
    }
    MKV_ASSERT(index < buffers->count);
    struct registration registration = registration_at(arena, (uint32_t)index);
    MKV_ASSERT(offset >= registration.offset);
    if (byte_count > registration.bytes - (offset - registration.offset) ||
        was_exchanged(arena, offset, byte_count)) {
        return MKV_RING_NOT_REGISTERED;
    }
    return buffers->places[index];
}

/* ---- memory that the kernel does not give back ---------------------------------------------- */

bool mkv_arena_exchange(const struct mkv_arena *arena, uint8_t *bytes, size_t byte_count) {
    MKV_ASSERT(byte_count > 0);
    MKV_ASSERT(byte_count % MKV_UNIT_BYTES == 0);
    MKV_ASSERT((uintptr_t)bytes % MKV_UNIT_BYTES == 0);
    MKV_ASSERT(bytes >= arena->map.base);
    const uint64_t offset = (uint64_t)(bytes - arena->map.base);
    MKV_ASSERT(offset + byte_count <= arena->map.bytes);
    if (arena->map.huge) {
        return false; /* its pages are larger than what is to be exchanged */
    }
    struct exchanges *exchanges = arena->exchanges;
    bool exchanged = false;
    pthread_mutex_lock(&exchanges->mutex);
    uint8_t *others = MAP_FAILED;
    if (exchanges->count < MKV_ARENA_EXCHANGES_MAX) {
        others = mmap(NULL, byte_count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    }
    if (others != MAP_FAILED) {
        memcpy(others, bytes, byte_count);
        exchanges->places[exchanges->count].offset = offset;
        exchanges->places[exchanges->count].end = offset + byte_count;
        /* The kernel moves them there in one step. */
        exchanged = mremap(others, byte_count, byte_count, MREMAP_MAYMOVE | MREMAP_FIXED, bytes) ==
                    (void *)bytes;
        if (exchanged) {
            __atomic_store_n(&exchanges->count, exchanges->count + 1, __ATOMIC_RELEASE);
        } else {
            munmap(others, byte_count);
        }
    }
    pthread_mutex_unlock(&exchanges->mutex);
    return exchanged;
}

bool mkv_arena_was_exchanged(const struct mkv_arena *arena, const uint8_t *bytes,
                             size_t byte_count) {
    MKV_ASSERT(bytes >= arena->map.base);
    return was_exchanged(arena, (uint64_t)(bytes - arena->map.base), byte_count);
}
