/* SPDX-License-Identifier: Apache-2.0 */
#include "server/proxy_memory.h"

#include <stdlib.h>

#include "core/slab.h"

#define WORD_BITS 64u

struct mkv_proxy_memory {
    uint32_t unit_count;
    uint32_t used;
    uint32_t word_count;
    uint32_t low_word; /* no unit before it is free */
    uint64_t words[];  /* a bit for each unit: it is in use */
};

struct mkv_proxy_memory *mkv_proxy_memory_create(uint32_t unit_count) {
    MKV_ASSERT(unit_count >= 1);
    const uint32_t word_count = (uint32_t)mkv_divide_up_u64(unit_count, WORD_BITS);
    struct mkv_proxy_memory *memory =
        calloc(1, sizeof *memory + word_count * sizeof memory->words[0]);
    if (memory != NULL) {
        memory->unit_count = unit_count;
        memory->word_count = word_count;
        const uint32_t beyond = word_count * WORD_BITS - unit_count;
        if (beyond > 0) {
            memory->words[word_count - 1] = UINT64_MAX << (WORD_BITS - beyond);
        }
    }
    return memory;
}

void mkv_proxy_memory_destroy(struct mkv_proxy_memory *memory) {
    free(memory);
}

uint32_t mkv_proxy_memory_units(uint64_t value_bytes) {
    const uint64_t units =
        mkv_divide_up_u64(value_bytes + MKV_UNIT_BYTES, MKV_SLAB_UNIT_STRIDE_BYTES);
    MKV_ASSERT(units <= UINT32_MAX);
    return (uint32_t)units;
}

uint64_t mkv_proxy_memory_room(uint32_t unit_count) {
    MKV_ASSERT(unit_count >= 1);
    return (uint64_t)unit_count * MKV_SLAB_UNIT_STRIDE_BYTES - MKV_UNIT_BYTES;
}

static bool is_used(const struct mkv_proxy_memory *memory, uint32_t unit) {
    return (memory->words[unit / WORD_BITS] >> (unit % WORD_BITS) & 1u) != 0;
}

static void mark(struct mkv_proxy_memory *memory, uint32_t unit, bool used) {
    const uint64_t bit = 1ull << (unit % WORD_BITS);
    MKV_ASSERT(unit < memory->unit_count);
    MKV_ASSERT(is_used(memory, unit) != used);
    memory->words[unit / WORD_BITS] ^= bit;
}

/* The lowest free unit. */
static bool find_one(struct mkv_proxy_memory *memory, uint32_t *unit) {
    while (memory->low_word < memory->word_count && memory->words[memory->low_word] == UINT64_MAX) {
        memory->low_word++;
    }
    if (memory->low_word == memory->word_count) {
        return false;
    }
    const uint64_t free_bits = ~memory->words[memory->low_word];
    *unit = memory->low_word * WORD_BITS + (uint32_t)__builtin_ctzll(free_bits);
    return true;
}

/* The highest run of that many free units. */
static bool find_run(const struct mkv_proxy_memory *memory, uint32_t unit_count, uint32_t *first) {
    uint32_t there = 0;
    uint32_t unit = memory->word_count * WORD_BITS;
    while (unit > 0) {
        const uint64_t word = memory->words[(unit - 1) / WORD_BITS];
        const bool at_end = unit % WORD_BITS == 0;
        if (at_end && word == UINT64_MAX) {
            there = 0;
            unit -= WORD_BITS;
            continue;
        }
        if (at_end && word == 0 && there + WORD_BITS < unit_count) {
            there += WORD_BITS;
            unit -= WORD_BITS;
            continue;
        }
        unit--;
        there = is_used(memory, unit) ? 0 : there + 1;
        if (there == unit_count) {
            *first = unit;
            return true;
        }
    }
    return false;
}

bool mkv_proxy_memory_take(struct mkv_proxy_memory *memory, uint32_t unit_count,
                           struct mkv_proxy_run *run) {
    uint32_t first;
    MKV_ASSERT(unit_count >= 1);
    const bool found = unit_count == 1 ? find_one(memory, &first)
                                       : unit_count <= memory->unit_count - memory->used &&
                                             find_run(memory, unit_count, &first);
    if (!found) {
        return false;
    }
    for (uint32_t i = 0; i < unit_count; i++) {
        mark(memory, first + i, true);
    }
    memory->used += unit_count;
    *run = (struct mkv_proxy_run){first, unit_count};
    return true;
}

void mkv_proxy_memory_give(struct mkv_proxy_memory *memory, struct mkv_proxy_run *run) {
    MKV_ASSERT(run->unit_count >= 1);
    for (uint32_t i = 0; i < run->unit_count; i++) {
        mark(memory, run->unit + i, false);
    }
    if (run->unit / WORD_BITS < memory->low_word) {
        memory->low_word = run->unit / WORD_BITS;
    }
    memory->used -= run->unit_count;
    *run = (struct mkv_proxy_run){0};
}

uint32_t mkv_proxy_memory_unit_count(const struct mkv_proxy_memory *memory) {
    return memory->unit_count;
}

uint32_t mkv_proxy_memory_used(const struct mkv_proxy_memory *memory) {
    return memory->used;
}
