/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory_cache.h"

#include <string.h>

static uint32_t *heads_of(const struct mkv_directory_cache *cache) {
    return (uint32_t *)((uintptr_t)cache + cache->heads_offset);
}
static uint64_t *used_of(const struct mkv_directory_cache *cache) {
    return (uint64_t *)((uintptr_t)cache + cache->used_offset);
}
static uint64_t *bad_of(const struct mkv_directory_cache *cache) {
    return (uint64_t *)((uintptr_t)cache + cache->bad_offset);
}
static uint32_t *freed_of(const struct mkv_directory_cache *cache) {
    return (uint32_t *)((uintptr_t)cache + cache->freed_offset);
}
static uint32_t words_of(const struct mkv_directory_cache *cache) {
    return (uint32_t)mkv_divide_up_u64(cache->region_units, 64);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void mkv_directory_cache_layout(struct mkv_directory_cache *cache, uint32_t frames_max,
                                uint32_t region_units, uint64_t *at) {
    MKV_ASSERT(frames_max >= MKV_DIRECTORY_FRAMES_MIN);
    MKV_ASSERT(frames_max <= MKV_DIRECTORY_FRAMES_MAX);
    MKV_ASSERT(region_units >= MKV_DIRECTORY_UNITS_MIN);
    memset(cache, 0, sizeof *cache);
    cache->frames_max = frames_max;
    cache->region_units = region_units;
    cache->bucket_count = 1;
    while (cache->bucket_count < frames_max) {
        cache->bucket_count *= 2;
    }
    const uint64_t map_bytes = 8ull * words_of(cache);
    uint64_t end = mkv_round_up_u64(*at, 64);
    cache->frames_offset = end;
    end = mkv_round_up_u64(end + frames_max * sizeof(struct mkv_directory_frame), 64);
    cache->heads_offset = end;
    end = mkv_round_up_u64(end + 4ull * cache->bucket_count, 64);
    cache->used_offset = end;
    end = mkv_round_up_u64(end + map_bytes, 64);
    cache->bad_offset = end;
    end = mkv_round_up_u64(end + map_bytes, 64);
    cache->freed_offset = end;
    end = mkv_round_up_u64(end + 4ull * frames_max, MKV_UNIT_BYTES);
    cache->units_offset = end;
    *at = end + ((uint64_t)frames_max + MKV_DIRECTORY_SCRATCH_UNITS) * MKV_UNIT_BYTES;
}

static const struct mkv_frame_list empty_list = {MKV_NONE_U32, MKV_NONE_U32, 0};

static void list_push(struct mkv_directory_cache *cache, struct mkv_frame_list *list,
                      uint32_t index) {
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    frame->next = MKV_NONE_U32;
    frame->previous = list->tail;
    if (list->count == 0) {
        list->head = index;
    } else {
        mkv_directory_frame(cache, list->tail)->next = index;
    }
    list->tail = index;
    list->count++;
}

static void list_remove(struct mkv_directory_cache *cache, struct mkv_frame_list *list,
                        uint32_t index) {
    MKV_ASSERT(list->count > 0);
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    if (frame->previous == MKV_NONE_U32) {
        MKV_ASSERT(list->head == index);
        list->head = frame->next;
    } else {
        mkv_directory_frame(cache, frame->previous)->next = frame->next;
    }
    if (frame->next == MKV_NONE_U32) {
        MKV_ASSERT(list->tail == index);
        list->tail = frame->previous;
    } else {
        mkv_directory_frame(cache, frame->next)->previous = frame->previous;
    }
    list->count--;
}

void mkv_directory_cache_reset(struct mkv_directory_cache *cache, bool keep_bad) {
    const uint32_t words = words_of(cache);
    uint64_t *used = used_of(cache);
    uint64_t *bad = bad_of(cache);
    if (!keep_bad) {
        memset(bad, 0, 8ull * words);
        cache->pages_bad = 0;
    }
    memcpy(used, bad, 8ull * words);
    for (uint32_t page = 0; page < MKV_DIRECTORY_ROOTS; page++) {
        used[0] |= 1ull << page;
    }
    /* What lies behind the region's end in the last word is taken. */
    for (uint32_t page = cache->region_units; page < words * 64; page++) {
        used[page / 64] |= 1ull << (page % 64);
    }
    cache->pages_free = cache->region_units - MKV_DIRECTORY_ROOTS - cache->pages_bad;
    cache->page_cursor = 0;
    cache->freed_count = 0;
    cache->free = empty_list;
    cache->wanted = empty_list;
    cache->clean = empty_list;
    cache->writing = empty_list;
    for (uint32_t level = 0; level < MKV_DIRECTORY_LEVELS_MAX; level++) {
        cache->dirty[level] = empty_list;
    }
    cache->dirty_count = 0;
    memset(heads_of(cache), 0xff, 4ull * cache->bucket_count);
    for (uint32_t frame = 0; frame < cache->frames_max; frame++) {
        *mkv_directory_frame(cache, frame) = (struct mkv_directory_frame){.page = MKV_NONE_U32};
        list_push(cache, &cache->free, frame);
    }
}

/* ---- hash ------------------------------------------------------------------------------------ */

static uint32_t *bucket_of(const struct mkv_directory_cache *cache, uint32_t page) {
    /* Fibonacci hashing (Knuth, TAOCP 6.4); pages come in runs. */
    const uint32_t hash = (uint32_t)((page * 11400714819323198485ull) >> 32);
    return &heads_of(cache)[hash & (cache->bucket_count - 1)];
}

static uint32_t lookup(const struct mkv_directory_cache *cache, uint32_t page) {
    uint32_t index = *bucket_of(cache, page);
    while (index != MKV_NONE_U32 && mkv_directory_frame(cache, index)->page != page) {
        index = mkv_directory_frame(cache, index)->hash_next;
    }
    return index;
}

static void hash_put(struct mkv_directory_cache *cache, uint32_t index, uint32_t page) {
    MKV_ASSERT(lookup(cache, page) == MKV_NONE_U32); /* I4 */
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    uint32_t *bucket = bucket_of(cache, page);
    frame->page = page;
    frame->hash_next = *bucket;
    *bucket = index;
}

static void hash_remove(struct mkv_directory_cache *cache, uint32_t index) {
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    uint32_t *link = bucket_of(cache, frame->page);
    while (*link != index) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &mkv_directory_frame(cache, *link)->hash_next;
    }
    *link = frame->hash_next;
    frame->page = MKV_NONE_U32;
}

/* ---- pages ----------------------------------------------------------------------------------- */

bool mkv_directory_cache_take_page(struct mkv_directory_cache *cache, uint32_t page) {
    uint64_t *used = used_of(cache);
    if (page >= cache->region_units || (used[page / 64] & (1ull << (page % 64))) != 0) {
        return false;
    }
    used[page / 64] |= 1ull << (page % 64);
    MKV_ASSERT(cache->pages_free > 0);
    cache->pages_free--;
    return true;
}

/* The free page that follows the one given out last: nodes of one commit lie side by side. */
static uint32_t page_allocate(struct mkv_directory_cache *cache) {
    MKV_ASSERT(cache->pages_free > 0);
    const uint64_t *used = used_of(cache);
    const uint32_t words = words_of(cache);
    uint32_t word = cache->page_cursor / 64;
    uint64_t mask = ~0ull << (cache->page_cursor % 64);
    for (uint32_t looked = 0; looked <= words; looked++) {
        const uint64_t available = ~used[word] & mask;
        if (available != 0) {
            const uint32_t page = word * 64 + (uint32_t)__builtin_ctzll(available);
            const bool taken = mkv_directory_cache_take_page(cache, page);
            MKV_ASSERT(taken);
            cache->page_cursor = page + 1 == words * 64 ? 0 : page + 1;
            return page;
        }
        word = word + 1 == words ? 0 : word + 1;
        mask = ~0ull;
    }
    MKV_ASSERT(false); /* pages_free counts them */
    return MKV_NONE_U32;
}

static void page_release(struct mkv_directory_cache *cache, uint32_t page) {
    uint64_t *used = used_of(cache);
    MKV_ASSERT(page >= MKV_DIRECTORY_ROOTS && page < cache->region_units);
    MKV_ASSERT((used[page / 64] & (1ull << (page % 64))) != 0);
    if ((bad_of(cache)[page / 64] & (1ull << (page % 64))) != 0) {
        return;
    }
    used[page / 64] &= ~(1ull << (page % 64));
    cache->pages_free++;
}

void mkv_directory_cache_mark_bad(struct mkv_directory_cache *cache, uint32_t page) {
    uint64_t *bad = bad_of(cache);
    MKV_ASSERT(page >= MKV_DIRECTORY_ROOTS && page < cache->region_units);
    if ((bad[page / 64] & (1ull << (page % 64))) == 0) {
        bad[page / 64] |= 1ull << (page % 64);
        cache->pages_bad++;
    }
}

/* I2: a page of the durable tree waits for the next root. */
static void page_release_later(struct mkv_directory_cache *cache, uint32_t page) {
    MKV_ASSERT(cache->freed_count < cache->frames_max);
    freed_of(cache)[cache->freed_count++] = page;
}

void mkv_directory_cache_committed(struct mkv_directory_cache *cache) {
    MKV_ASSERT(cache->dirty_count == 0);
    const uint32_t *freed = freed_of(cache);
    for (uint32_t index = 0; index < cache->freed_count; index++) {
        page_release(cache, freed[index]);
    }
    cache->freed_count = 0;
    while (cache->writing.count > 0) {
        const uint32_t index = cache->writing.head;
        list_remove(cache, &cache->writing, index);
        mkv_directory_frame(cache, index)->state = MKV_FRAME_CLEAN;
        list_push(cache, &cache->clean, index);
    }
}

/* ---- frames ---------------------------------------------------------------------------------- */

uint32_t mkv_directory_cache_find(struct mkv_directory_cache *cache, uint32_t page) {
    const uint32_t index = lookup(cache, page);
    if (index == MKV_NONE_U32) {
        return MKV_NONE_U32;
    }
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    if (frame->state == MKV_FRAME_WANTED || frame->state == MKV_FRAME_READING) {
        return MKV_NONE_U32;
    }
    if (frame->state == MKV_FRAME_CLEAN) {
        list_remove(cache, &cache->clean, index);
        list_push(cache, &cache->clean, index);
    }
    return index;
}

void mkv_directory_cache_visit(struct mkv_directory_cache *cache, uint32_t index) {
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    MKV_ASSERT(frame->level == 0);
    if (frame->unvisited != 0) {
        frame->unvisited = 0;
        return; /* it was counted as a miss when it was asked for */
    }
    cache->hits_total++;
}

uint32_t mkv_directory_cache_available(const struct mkv_directory_cache *cache) {
    return cache->free.count + cache->clean.count;
}

/* A FREE frame, in no list and of no page. */
static uint32_t frame_take(struct mkv_directory_cache *cache) {
    MKV_ASSERT(mkv_directory_cache_available(cache) > 0);
    if (cache->free.count > 0) {
        const uint32_t index = cache->free.head;
        list_remove(cache, &cache->free, index);
        return index;
    }
    const uint32_t index = cache->clean.head; /* I1 */
    list_remove(cache, &cache->clean, index);
    hash_remove(cache, index);
    return index;
}

static void frame_release(struct mkv_directory_cache *cache, uint32_t index) {
    hash_remove(cache, index);
    mkv_directory_frame(cache, index)->state = MKV_FRAME_FREE;
    list_push(cache, &cache->free, index);
}

bool mkv_directory_cache_want(struct mkv_directory_cache *cache,
                              const struct mkv_directory_child *child, uint32_t level) {
    if (lookup(cache, child->page) != MKV_NONE_U32) {
        return true;
    }
    if (mkv_directory_cache_available(cache) == 0) {
        return false;
    }
    const uint32_t index = frame_take(cache);
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    hash_put(cache, index, child->page);
    frame->checksum_low = child->checksum_low;
    frame->level = (uint8_t)level;
    frame->state = MKV_FRAME_WANTED;
    frame->unvisited = level == 0 ? 1 : 0;
    frame->unchecked = 1;
    frame->wanted_ns = cache->now_ns;
    list_push(cache, &cache->wanted, index);
    if (level == 0) {
        cache->misses_total++;
    }
    return true;
}

uint32_t mkv_directory_cache_fresh(struct mkv_directory_cache *cache, uint32_t level) {
    const uint32_t index = frame_take(cache);
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    hash_put(cache, index, page_allocate(cache));
    frame->checksum_low = 0;
    frame->level = (uint8_t)level;
    frame->state = MKV_FRAME_DIRTY;
    frame->unvisited = 0;
    frame->unchecked = 0;
    list_push(cache, &cache->dirty[level], index);
    cache->dirty_count++;
    mkv_directory_node_begin(mkv_directory_unit(cache, index), level);
    return index;
}

void mkv_directory_cache_dirty(struct mkv_directory_cache *cache, uint32_t index) {
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    if (frame->state == MKV_FRAME_DIRTY) {
        return;
    }
    MKV_ASSERT(frame->state == MKV_FRAME_CLEAN);
    const uint32_t page = frame->page;
    list_remove(cache, &cache->clean, index);
    hash_remove(cache, index);
    page_release_later(cache, page);
    hash_put(cache, index, page_allocate(cache));
    frame->state = MKV_FRAME_DIRTY;
    list_push(cache, &cache->dirty[frame->level], index);
    cache->dirty_count++;
}

void mkv_directory_cache_drop(struct mkv_directory_cache *cache, uint32_t index) {
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    if (frame->state == MKV_FRAME_DIRTY) {
        list_remove(cache, &cache->dirty[frame->level], index);
        cache->dirty_count--;
        page_release(cache, frame->page);
    } else {
        MKV_ASSERT(frame->state == MKV_FRAME_CLEAN);
        list_remove(cache, &cache->clean, index);
        page_release_later(cache, frame->page);
    }
    frame_release(cache, index);
}

uint32_t mkv_directory_cache_take_wanted(struct mkv_directory_cache *cache) {
    if (cache->wanted.count == 0) {
        return MKV_NONE_U32;
    }
    const uint32_t index = cache->wanted.head;
    list_remove(cache, &cache->wanted, index);
    mkv_directory_frame(cache, index)->state = MKV_FRAME_READING;
    return index;
}

void mkv_directory_cache_read_done(struct mkv_directory_cache *cache, uint32_t index, bool sound) {
    struct mkv_directory_frame *frame = mkv_directory_frame(cache, index);
    MKV_ASSERT(frame->state == MKV_FRAME_READING);
    if (!sound) {
        frame_release(cache, index);
        return;
    }
    frame->state = MKV_FRAME_CLEAN;
    list_push(cache, &cache->clean, index);
}

/* Writes into an inner node what its children were sealed with. A child that is not in a frame has
 * not changed. */
static void adopt_checksums(struct mkv_directory_cache *cache, uint32_t index) {
    uint8_t *unit = mkv_directory_unit(cache, index);
    const uint32_t count = mkv_directory_node_count(unit);
    for (uint32_t entry = 0; entry < count; entry++) {
        struct mkv_directory_child child = mkv_directory_node_child(unit, entry);
        const uint32_t found = lookup(cache, child.page);
        if (found != MKV_NONE_U32 &&
            mkv_directory_frame(cache, found)->state == MKV_FRAME_WRITING) {
            child.checksum_low = mkv_directory_frame(cache, found)->checksum_low;
            mkv_directory_node_set_child(unit, entry, &child);
        }
    }
}

uint32_t mkv_directory_cache_take_dirty(struct mkv_directory_cache *cache) {
    for (uint32_t level = 0; level < MKV_DIRECTORY_LEVELS_MAX; level++) {
        if (cache->dirty[level].count == 0) {
            continue;
        }
        const uint32_t index = cache->dirty[level].head;
        list_remove(cache, &cache->dirty[level], index);
        cache->dirty_count--;
        mkv_directory_frame(cache, index)->state = MKV_FRAME_WRITING;
        list_push(cache, &cache->writing, index);
        if (level > 0) {
            adopt_checksums(cache, index);
        }
        return index;
    }
    return MKV_NONE_U32;
}
