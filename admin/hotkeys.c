/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hotkeys.h"

#include <stdlib.h>
#include <string.h>

#include "admin/seqlock.h"
#include "core/bytes.h"
#include "core/hash.h"

/* A kept key has a place in a table of four times as many, so that probes are short. */
#define TABLE_PLACES (4u * MKV_HOTKEYS_KEPT)
#define NO_ENTRY UINT16_MAX

/* What does not change while the key is kept; copied under the sequence. */
struct name {
    struct mkv_root hash;
    uint32_t tenant;
    uint32_t key_bytes;
    uint8_t key[MKV_HOTKEY_KEY_BYTES];
};
#define NAME_WORDS (sizeof(struct name) / sizeof(uint64_t))
_Static_assert(sizeof(struct name) % sizeof(uint64_t) == 0, "whole words");

struct entry {
    uint64_t sequence;
    uint64_t count;
    uint64_t hits; /* since it is kept */
    union {
        struct name name;
        uint64_t words[NAME_WORDS];
    };
    uint32_t heap_place;
};

struct mkv_hotkeys {
    struct mkv_sketch sketch;
    uint64_t counted;
    uint64_t halvings;
    uint32_t entry_count;
    struct entry entries[MKV_HOTKEYS_KEPT];
    uint16_t heap[MKV_HOTKEYS_KEPT];
    uint16_t table[TABLE_PLACES]; /* by hash, probed one by one */
    uint64_t counters[];
};

static void set(uint64_t *counter, uint64_t value) {
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

struct mkv_hotkeys *mkv_hotkeys_create(uint32_t columns) {
    struct mkv_hotkeys *hotkeys = calloc(1, sizeof *hotkeys + mkv_sketch_bytes(columns));
    if (hotkeys == NULL) {
        return NULL;
    }
    mkv_sketch_init(&hotkeys->sketch, columns, hotkeys->counters);
    memset(hotkeys->table, 0xff, sizeof hotkeys->table);
    return hotkeys;
}

void mkv_hotkeys_destroy(struct mkv_hotkeys *hotkeys) {
    free(hotkeys);
}

/* ---- the table ------------------------------------------------------------------------------- */

static uint32_t home_of(struct mkv_root hash) {
    return mkv_load_u32(hash.bytes + 8) % TABLE_PLACES;
}

/* The place of a key in the table, or the free one where it would be. */
static uint32_t table_find(const struct mkv_hotkeys *hotkeys, struct mkv_root hash) {
    uint32_t place = home_of(hash);
    while (hotkeys->table[place] != NO_ENTRY) {
        const struct entry *entry = &hotkeys->entries[hotkeys->table[place]];
        if (memcmp(&entry->name.hash, &hash, sizeof hash) == 0) {
            break;
        }
        place = (place + 1) % TABLE_PLACES;
    }
    return place;
}

/* Takes a place free, and moves up what was probed past it. */
static void table_remove(struct mkv_hotkeys *hotkeys, struct mkv_root hash) {
    uint32_t hole = table_find(hotkeys, hash);
    MKV_ASSERT(hotkeys->table[hole] != NO_ENTRY);
    uint32_t place = hole;
    for (;;) {
        hotkeys->table[hole] = NO_ENTRY;
        uint32_t home;
        do {
            place = (place + 1) % TABLE_PLACES;
            if (hotkeys->table[place] == NO_ENTRY) {
                return;
            }
            home = home_of(hotkeys->entries[hotkeys->table[place]].name.hash);
            /* It stays where its home lies behind the hole. */
        } while ((place - home) % TABLE_PLACES < (place - hole) % TABLE_PLACES);
        hotkeys->table[hole] = hotkeys->table[place];
        hole = place;
    }
}

/* ---- the heap -------------------------------------------------------------------------------- */

static uint64_t count_at(const struct mkv_hotkeys *hotkeys, uint32_t place) {
    return hotkeys->entries[hotkeys->heap[place]].count;
}

static void heap_put(struct mkv_hotkeys *hotkeys, uint32_t place, uint16_t index) {
    hotkeys->heap[place] = index;
    hotkeys->entries[index].heap_place = place;
}

static void heap_swap(struct mkv_hotkeys *hotkeys, uint32_t one, uint32_t other) {
    const uint16_t index = hotkeys->heap[one];
    heap_put(hotkeys, one, hotkeys->heap[other]);
    heap_put(hotkeys, other, index);
}

/* A count has become higher: it goes down as long as one below it is lower. */
static void heap_down(struct mkv_hotkeys *hotkeys, uint32_t place) {
    for (;;) {
        uint32_t lowest = place;
        for (uint32_t below = 2 * place + 1; below <= 2 * place + 2; below++) {
            if (below < hotkeys->entry_count &&
                count_at(hotkeys, below) < count_at(hotkeys, lowest)) {
                lowest = below;
            }
        }
        if (lowest == place) {
            return;
        }
        heap_swap(hotkeys, place, lowest);
        place = lowest;
    }
}

static void heap_up(struct mkv_hotkeys *hotkeys, uint32_t place) {
    while (place > 0 && count_at(hotkeys, place) < count_at(hotkeys, (place - 1) / 2)) {
        heap_swap(hotkeys, place, (place - 1) / 2);
        place = (place - 1) / 2;
    }
}

/* ---- counting -------------------------------------------------------------------------------- */

/* The place of a new key: one that was never used, or that of the key with the lowest count. */
static struct entry *entry_take(struct mkv_hotkeys *hotkeys) {
    if (hotkeys->entry_count < MKV_HOTKEYS_KEPT) {
        const uint32_t index = hotkeys->entry_count;
        /* Behind its release a reader may look at the entry, whose sequence is still 0. */
        __atomic_store_n(&hotkeys->entry_count, index + 1, __ATOMIC_RELEASE);
        heap_put(hotkeys, index, (uint16_t)index);
        return &hotkeys->entries[index];
    }
    struct entry *entry = &hotkeys->entries[hotkeys->heap[0]];
    table_remove(hotkeys, entry->name.hash);
    return entry;
}

static void keep(struct mkv_hotkeys *hotkeys, const struct name *name, uint64_t estimate) {
    struct entry *entry = entry_take(hotkeys);
    const union {
        struct name name;
        uint64_t words[NAME_WORDS];
    } source = {.name = *name};
    /* The error is told as count - hits: for a moment a copy may show the new key with the count of
     * the old one, which was lower, and with no more hits than it has. */
    set(&entry->hits, 0);
    mkv_seqlock_store(&entry->sequence, entry->words, source.words, NAME_WORDS);
    set(&entry->count, estimate);
    set(&entry->hits, 1);
    hotkeys->table[table_find(hotkeys, name->hash)] = (uint16_t)(entry - hotkeys->entries);
    heap_up(hotkeys, entry->heap_place);
    heap_down(hotkeys, entry->heap_place);
}

static struct mkv_root hash_of(uint32_t tenant, const uint8_t *key, uint32_t key_bytes) {
    struct mkv_root hash = mkv_hash_128(key, key_bytes);
    /* All four words take the tenant in: they place the key in the rows of the sketch. */
    for (uint32_t word = 0; word < MKV_SKETCH_ROWS; word++) {
        uint8_t *bytes = hash.bytes + (size_t)4 * word;
        mkv_store_u32(bytes, mkv_load_u32(bytes) ^ tenant * 0x9e3779b1u);
    }
    return hash;
}

void mkv_hotkeys_count(struct mkv_hotkeys *hotkeys, uint32_t tenant, const uint8_t *key,
                       uint32_t key_bytes) {
    struct name name = {.tenant = tenant, .key_bytes = key_bytes};
    name.hash = hash_of(tenant, key, key_bytes);
    const uint64_t estimate = mkv_sketch_add(&hotkeys->sketch, name.hash);
    set(&hotkeys->counted, hotkeys->counted + 1);
    const uint32_t place = table_find(hotkeys, name.hash);
    if (hotkeys->table[place] != NO_ENTRY) {
        struct entry *entry = &hotkeys->entries[hotkeys->table[place]];
        set(&entry->count, estimate);
        set(&entry->hits, entry->hits + 1);
        heap_down(hotkeys, entry->heap_place);
        return;
    }
    if (hotkeys->entry_count == MKV_HOTKEYS_KEPT && estimate <= count_at(hotkeys, 0)) {
        return;
    }
    memcpy(name.key, key, mkv_min_u64(key_bytes, sizeof name.key));
    keep(hotkeys, &name, estimate);
}

void mkv_hotkeys_halve(struct mkv_hotkeys *hotkeys) {
    mkv_sketch_halve(&hotkeys->sketch);
    for (uint32_t i = 0; i < hotkeys->entry_count; i++) {
        struct entry *entry = &hotkeys->entries[i];
        set(&entry->hits, entry->hits / 2);
        set(&entry->count, entry->count / 2);
    }
    set(&hotkeys->halvings, hotkeys->halvings + 1);
}

/* ---- from any thread ------------------------------------------------------------------------- */

static int hotter(const void *left, const void *right) {
    const struct mkv_hotkey *a = left;
    const struct mkv_hotkey *b = right;
    return (a->count < b->count) - (a->count > b->count);
}

uint32_t mkv_hotkeys_copy(const struct mkv_hotkeys *hotkeys, struct mkv_hotkey *out, uint32_t max) {
    struct mkv_hotkey *all = calloc(MKV_HOTKEYS_KEPT, sizeof *all);
    if (all == NULL) {
        return 0;
    }
    uint32_t count = 0;
    const uint32_t entry_count = __atomic_load_n(&hotkeys->entry_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < entry_count; i++) {
        const struct entry *entry = &hotkeys->entries[i];
        union {
            struct name name;
            uint64_t words[NAME_WORDS];
        } copy;
        const uint64_t sequence = __atomic_load_n(&entry->sequence, __ATOMIC_ACQUIRE);
        /* Hits first: between the two loads both may only grow, so hits stay the lower bound. */
        const uint64_t hits = __atomic_load_n(&entry->hits, __ATOMIC_ACQUIRE);
        const uint64_t estimate = __atomic_load_n(&entry->count, __ATOMIC_RELAXED);
        if (!mkv_seqlock_load(&entry->sequence, copy.words, entry->words, NAME_WORDS) ||
            __atomic_load_n(&entry->sequence, __ATOMIC_RELAXED) != sequence) {
            continue; /* another key has just taken its place */
        }
        struct mkv_hotkey *target = &all[count++];
        target->count = mkv_max_u64(estimate, hits);
        target->error = target->count - hits;
        target->hash = copy.name.hash;
        target->tenant = copy.name.tenant;
        target->key_bytes = copy.name.key_bytes;
        memcpy(target->key, copy.name.key, sizeof target->key);
    }
    qsort(all, count, sizeof *all, hotter);
    count = (uint32_t)mkv_min_u64(count, max);
    memcpy(out, all, count * sizeof *all);
    free(all);
    return count;
}

uint64_t mkv_hotkeys_counted(const struct mkv_hotkeys *hotkeys) {
    return __atomic_load_n(&hotkeys->counted, __ATOMIC_RELAXED);
}

uint64_t mkv_hotkeys_halvings(const struct mkv_hotkeys *hotkeys) {
    return __atomic_load_n(&hotkeys->halvings, __ATOMIC_RELAXED);
}
