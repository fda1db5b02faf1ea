/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a port reaches of the client's memory: first what the caller has registered; then, of a PUT,
 * what has been registered for one before and is still kept, or can be now; of a GET what can be
 * registered until it is answered; else a bounce buffer, and where there is none of these, nothing:
 * then bytes go through the stream.
 *
 * Nobody tells when the caller's memory is unmapped, or moved (realloc, mremap), and a device goes
 * on with its pages: a READ of what is kept then brings bytes that have another root, and nothing
 * is lost; a WRITE would land in what is something else by then, and nobody would know.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/engine.h"

/* Behind a refusal it is not tried again for so long: each trial is a call of the kernel. */
#define REFUSED_NS 1000000000ull
/* Of a program that unmaps what it has named, what is kept registered is worse than nothing: for so
 * long, and twice as long with each time, bounce buffers are used instead. */
#define DISTRUST_NS_MIN 1000000000ull
#define DISTRUST_NS_MAX 60000000000ull

/* Whether all of the bytes at `memory` are in [address, address + byte_count). */
static bool holds(const uint8_t *address, uint64_t byte_count, const void *memory, uint64_t bytes) {
    const uintptr_t begin = (uintptr_t)address;
    const uintptr_t wanted = (uintptr_t)memory;
    return wanted >= begin && wanted - begin <= byte_count &&
           bytes <= byte_count - (wanted - begin);
}

static struct mkv_native_remote remote_of(const struct mkv_verbs_region *region,
                                          const void *memory) {
    return (struct mkv_native_remote){.address = (uint64_t)(uintptr_t)memory,
                                      .key = mkv_verbs_region_key(region)};
}

/* `is_kept`: servers only read it. */
static bool do_register(struct mkv_rdma_port *port, void *memory, uint64_t bytes, bool is_kept,
                        struct mkv_verbs_region **region, char *problem) {
    struct mkv_metrics *metrics = port->rdma->client->metrics;
    bool is_done = false;
    if (bytes <= SIZE_MAX) {
        is_done =
            is_kept
                ? mkv_verbs_register_readable(port->verbs, memory, (size_t)bytes, region, problem)
                : mkv_verbs_register(port->verbs, memory, (size_t)bytes, true, region, problem);
    }
    if (metrics != NULL) {
        mkv_metrics_rdma_registered(metrics, is_done);
    }
    return is_done;
}

/* `refused_ns`: when that was; 0: never. */
static bool is_refused_lately(uint64_t refused_ns) {
    return refused_ns != 0 && mkv_client_now_ns() - refused_ns < REFUSED_NS;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* NULL: there is no memory, or the device refuses; then *refused_ns is now, and *problem says why.
 */
static struct mkv_rdma_range *range_new(struct mkv_rdma_port *port, enum mkv_rdma_kind kind,
                                        void *address, uint64_t bytes, uint64_t *refused_ns,
                                        char *problem) {
    struct mkv_rdma_memory *memory = &port->memory;
    struct mkv_rdma_range *range = calloc(1, sizeof *range);
    if (range == NULL) {
        snprintf(problem, MKV_VERBS_PROBLEM_BYTES, "no memory to register more");
        return NULL;
    }
    *range =
        (struct mkv_rdma_range){.memory = memory, .kind = kind, .address = address, .bytes = bytes};
    if (!do_register(port, address, bytes, kind == MKV_RDMA_CACHED, &range->region, problem)) {
        free(range);
        *refused_ns = mkv_client_now_ns();
        return NULL;
    }
    if (kind == MKV_RDMA_CACHED) {
        memory->range_count++;
        memory->range_bytes += bytes;
        TAILQ_INSERT_TAIL(&memory->ranges, range, link);
    } else if (kind == MKV_RDMA_CALL) {
        memory->call_bytes += bytes;
        range->is_dropped = true; /* it has one place, and no other finds it */
    }
    return range;
}

static void range_end(struct mkv_rdma_range *range) {
    struct mkv_rdma_memory *memory = range->memory;
    MKV_ASSERT(range->use_count == 0);
    if (range->kind == MKV_RDMA_CACHED) {
        memory->range_count--;
        memory->range_bytes -= range->bytes;
        if (!range->is_dropped) {
            TAILQ_REMOVE(&memory->ranges, range, link);
        }
    } else if (range->kind == MKV_RDMA_CALL) {
        memory->call_bytes -= range->bytes;
    }
    mkv_verbs_unregister(range->region);
    free(range);
}

/* It is found no more, and ends with its last place. */
static void range_drop(struct mkv_rdma_range *range) {
    if (range->use_count == 0) {
        range_end(range);
    } else if (!range->is_dropped) {
        if (range->kind == MKV_RDMA_CACHED) {
            TAILQ_REMOVE(&range->memory->ranges, range, link);
        }
        range->is_dropped = true;
    }
}

/* A place has no more use for it. `is_last`: nor has any other. */
static void range_give(struct mkv_rdma_range *range, bool is_last) {
    MKV_ASSERT(range->use_count > 0);
    range->use_count--;
    if (is_last || range->is_dropped) {
        range_drop(range);
    }
}

static struct mkv_rdma_place range_take(struct mkv_rdma_range *range, const void *memory) {
    range->use_count++;
    return (struct mkv_rdma_place){
        .kind = range->kind, .remote = remote_of(range->region, memory), .range = range};
}

/* ---- what the caller has registered --------------------------------------------------------- */

bool mkv_buffer_prepare(struct mkv_buffer *buffer, struct mkv_rdma_port *port, char *problem) {
    struct mkv_buffer_region *region = &buffer->regions[port->place];
    if (region->range == NULL && !is_refused_lately(region->refused_ns)) {
        region->range = range_new(port, MKV_RDMA_REGISTERED, buffer->address, buffer->byte_count,
                                  &region->refused_ns, problem);
    }
    return region->range != NULL;
}

void mkv_buffer_release(struct mkv_buffer *buffer, uint32_t place) {
    struct mkv_buffer_region *region = &buffer->regions[place];
    if (region->range != NULL) {
        range_drop(region->range);
    }
    *region = (struct mkv_buffer_region){0};
}

static bool take_registered(struct mkv_rdma_port *port, const void *memory, uint64_t bytes,
                            struct mkv_rdma_place *place) {
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_buffer *buffer;
    LIST_FOREACH(buffer, &port->rdma->client->buffers, link) {
        if (!holds(buffer->address, buffer->byte_count, memory, bytes)) {
            continue;
        }
        if (!mkv_buffer_prepare(buffer, port, problem)) {
            return false;
        }
        *place = range_take(buffer->regions[port->place].range, memory);
        return true;
    }
    return false;
}

/* ---- what is kept registered ---------------------------------------------------------------- */

/* Ends what is in no call, the least recently used first, until there is room for so many bytes.
 * False: what is left is in calls. */
static bool make_room(struct mkv_rdma_memory *memory, uint64_t bytes) {
    struct mkv_rdma_range *next;
    for (struct mkv_rdma_range *range = TAILQ_FIRST(&memory->ranges);
         range != NULL && (memory->range_count == MKV_RDMA_CACHED_MAX ||
                           memory->range_bytes > MKV_RDMA_CACHED_BYTES_MAX - bytes);
         range = next) {
        next = TAILQ_NEXT(range, link);
        if (range->use_count == 0) {
            range_end(range);
        }
    }
    return memory->range_count < MKV_RDMA_CACHED_MAX &&
           memory->range_bytes <= MKV_RDMA_CACHED_BYTES_MAX - bytes;
}

static bool take_cached(struct mkv_rdma_port *port, void *address, uint64_t bytes,
                        struct mkv_rdma_place *place) {
    struct mkv_rdma_memory *memory = &port->memory;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_rdma_range *range;
    if (memory->distrust_ns != 0 && mkv_client_now_ns() < memory->distrust_ns) {
        return false;
    }
    TAILQ_FOREACH(range, &memory->ranges, link) {
        if (holds(range->address, range->bytes, address, bytes)) {
            break;
        }
    }
    if (range == NULL) {
        if (is_refused_lately(memory->refused_ns) || bytes > MKV_RDMA_CACHED_RANGE_BYTES_MAX ||
            !make_room(memory, bytes)) {
            return false;
        }
        range = range_new(port, MKV_RDMA_CACHED, address, bytes, &memory->refused_ns, problem);
        if (range == NULL) {
            return false;
        }
    }
    TAILQ_REMOVE(&memory->ranges, range, link);
    TAILQ_INSERT_TAIL(&memory->ranges, range, link);
    *place = range_take(range, address);
    return true;
}

void mkv_rdma_forget(struct mkv_rdma *rdma, const void *address, uint64_t bytes) {
    const uintptr_t begin = (uintptr_t)address;
    for (uint32_t index = 0; index < MKV_RDMA_PORTS_MAX; index++) {
        struct mkv_rdma_port *port = &rdma->ports[index];
        struct mkv_rdma_range *next;
        for (struct mkv_rdma_range *range = port->verbs != NULL ? TAILQ_FIRST(&port->memory.ranges)
                                                                : NULL;
             range != NULL; range = next) {
            next = TAILQ_NEXT(range, link);
            const uintptr_t other = (uintptr_t)range->address;
            if (begin < other + range->bytes && other < begin + bytes) {
                range_drop(range);
            }
        }
    }
}

/* ---- what is registered for one call -------------------------------------------------------- */

static bool take_call(struct mkv_rdma_port *port, void *address, uint64_t bytes,
                      struct mkv_rdma_place *place) {
    struct mkv_rdma_memory *memory = &port->memory;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    if (is_refused_lately(memory->refused_ns) || bytes > MKV_RDMA_CACHED_RANGE_BYTES_MAX ||
        memory->call_bytes > MKV_RDMA_CALL_BYTES_MAX - bytes) {
        return false;
    }
    struct mkv_rdma_range *range =
        range_new(port, MKV_RDMA_CALL, address, bytes, &memory->refused_ns, problem);
    if (range == NULL) {
        return false;
    }
    *place = range_take(range, address);
    return true;
}

/* ---- bounce buffers ------------------------------------------------------------------------- */

static void block_end(struct mkv_rdma_memory *memory, struct mkv_rdma_bounce *block) {
    MKV_ASSERT(block->use_count == 0);
    memory->bounce_bytes -= block->bytes;
    mkv_verbs_unregister(block->region);
    (void)munmap(block->memory, (size_t)block->bytes);
    *block = (struct mkv_rdma_bounce){0};
}

static void blocks_end_unused(struct mkv_rdma_memory *memory) {
    for (uint32_t index = 0; index < MKV_RDMA_BOUNCES; index++) {
        struct mkv_rdma_bounce *block = &memory->bounces[index];
        if (block->memory != NULL && block->use_count == 0) {
            block_end(memory, block);
        }
    }
}

/* Memory of the library's own. A child of this process does without it: else a write of its own
 * would move the pages here that the device has. NULL: there is none. */
static uint8_t *pages_make(uint64_t bytes) {
    void *made =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(made, (size_t)bytes, MADV_DONTFORK);
    return made;
}

/* NULL: there is no memory, or the device refuses to register so much. */
static struct mkv_rdma_bounce *block_make(struct mkv_rdma_port *port, uint64_t bytes) {
    struct mkv_rdma_memory *memory = &port->memory;
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_rdma_bounce *block = memory->bounces;
    while (block->memory != NULL) {
        block++;
        MKV_ASSERT(block < memory->bounces + MKV_RDMA_BOUNCES);
    }
    uint8_t *made = pages_make(bytes);
    if (made == NULL) {
        return NULL;
    }
    if (!do_register(port, made, bytes, false, &block->region, problem)) {
        (void)munmap(made, (size_t)bytes);
        return NULL;
    }
    block->memory = made;
    block->bytes = bytes;
    memory->bounce_bytes += bytes;
    return block;
}

/* In blocks that something is in. */
static uint64_t bytes_in_use(const struct mkv_rdma_memory *memory) {
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < MKV_RDMA_BOUNCES; index++) {
        bytes += memory->bounces[index].use_count > 0 ? memory->bounces[index].bytes : 0;
    }
    return bytes;
}

/* One as large as all that there are, or as may be added and registered, and of `least` bytes. */
static struct mkv_rdma_bounce *block_try(struct mkv_rdma_port *port, uint64_t least,
                                         bool *is_refused) {
    const struct mkv_rdma_memory *memory = &port->memory;
    uint64_t size = least;
    while (size < memory->bounce_bytes) {
        size *= 2;
    }
    for (; size >= least; size /= 2) {
        if (memory->bounce_bytes + size > MKV_RDMA_BOUNCE_BYTES) {
            continue;
        }
        struct mkv_rdma_bounce *block = block_make(port, size);
        if (block != NULL) {
            return block;
        }
        *is_refused = true;
    }
    return NULL;
}

/* A new block that has room for so many bytes. Where there is no room for it beside the others,
 * those that nothing is in make way. NULL: there is none to be had, or was not within the last
 * second. */
static struct mkv_rdma_bounce *block_add(struct mkv_rdma_port *port, uint64_t bytes) {
    struct mkv_rdma_memory *memory = &port->memory;
    const uint64_t used_bytes = bytes_in_use(memory);
    bool is_refused = false;
    uint64_t least = MKV_RDMA_BOUNCE_BYTES_MIN;
    while (least < bytes) {
        least *= 2;
    }
    if (is_refused_lately(memory->bounce_refused_ns) &&
        used_bytes + least >= memory->bounce_refused_bytes) {
        return NULL;
    }
    struct mkv_rdma_bounce *block = block_try(port, least, &is_refused);
    if (block == NULL && used_bytes < memory->bounce_bytes &&
        used_bytes + least <= MKV_RDMA_BOUNCE_BYTES) {
        blocks_end_unused(memory);
        block = block_try(port, least, &is_refused);
    }
    if (block == NULL && is_refused) {
        memory->bounce_refused_ns = mkv_client_now_ns();
        memory->bounce_refused_bytes = used_bytes + least;
    }
    return block;
}

static bool step_is_used(const struct mkv_rdma_bounce *block, uint64_t step) {
    return (block->used[step / 64u] >> step % 64u & 1u) != 0;
}

static void steps_mark(struct mkv_rdma_bounce *block, uint64_t begin, uint64_t count,
                       bool is_used) {
    for (uint64_t step = begin; step < begin + count; step++) {
        const uint64_t bit = 1ull << step % 64u;
        MKV_ASSERT(step_is_used(block, step) != is_used);
        block->used[step / 64u] ^= bit;
    }
}

/* The first run of so many free steps, or UINT64_MAX. */
static uint64_t steps_find(const struct mkv_rdma_bounce *block, uint64_t count) {
    const uint64_t step_count = block->bytes / MKV_RDMA_BOUNCE_STEP_BYTES;
    uint64_t free_count = 0;
    for (uint64_t step = 0; step < step_count; step++) {
        free_count = step_is_used(block, step) ? 0 : free_count + 1;
        if (free_count == count) {
            return step + 1 - count;
        }
    }
    return UINT64_MAX;
}

/* A block that has so many free steps in a row, from *begin on; NULL: there is none. */
static struct mkv_rdma_bounce *block_find(struct mkv_rdma_port *port, uint64_t count,
                                          uint64_t *begin) {
    struct mkv_rdma_memory *memory = &port->memory;
    for (uint32_t index = 0; index < MKV_RDMA_BOUNCES; index++) {
        *begin = steps_find(&memory->bounces[index], count);
        if (*begin != UINT64_MAX) {
            return &memory->bounces[index];
        }
    }
    *begin = 0;
    return block_add(port, count * MKV_RDMA_BOUNCE_STEP_BYTES);
}

/* `source`: what is to be there; NULL: nothing yet. */
static bool take_bounce(struct mkv_rdma_port *port, const void *source, uint64_t bytes,
                        struct mkv_rdma_place *place) {
    if (bytes > MKV_RDMA_BOUNCE_BYTES) {
        return false;
    }
    const uint64_t count = mkv_divide_up_u64(bytes, MKV_RDMA_BOUNCE_STEP_BYTES);
    uint64_t begin = 0;
    struct mkv_rdma_bounce *block = block_find(port, count, &begin);
    if (block == NULL) {
        return false;
    }
    steps_mark(block, begin, count, true);
    block->use_count++;
    uint8_t *bounce = block->memory + begin * MKV_RDMA_BOUNCE_STEP_BYTES;
    if (source != NULL) {
        memcpy(bounce, source, (size_t)bytes);
    }
    *place = (struct mkv_rdma_place){.kind = MKV_RDMA_BOUNCED,
                                     .remote = remote_of(block->region, bounce),
                                     .bounce = bounce,
                                     .bounce_bytes = bytes,
                                     .block = block};
    return true;
}

static void give_bounce(const struct mkv_rdma_place *place) {
    struct mkv_rdma_bounce *block = place->block;
    MKV_ASSERT(block->use_count > 0);
    block->use_count--;
    steps_mark(block, (uint64_t)(place->bounce - block->memory) / MKV_RDMA_BOUNCE_STEP_BYTES,
               mkv_divide_up_u64(place->bounce_bytes, MKV_RDMA_BOUNCE_STEP_BYTES), false);
}

/* ---- places --------------------------------------------------------------------------------- */

/* Of a GET: what is not worth to be registered is so only where it cannot be copied. */
static bool take_of_get(struct mkv_rdma_port *port, void *memory, uint64_t bytes, bool may_register,
                        struct mkv_rdma_place *place) {
    const bool is_worth = bytes >= MKV_RDMA_CALL_RANGE_BYTES_MIN;
    return (may_register && is_worth && take_call(port, memory, bytes, place)) ||
           take_bounce(port, NULL, bytes, place) ||
           (may_register && !is_worth && take_call(port, memory, bytes, place));
}

bool mkv_rdma_place_take(struct mkv_rdma_port *port, void *memory, uint64_t bytes, bool is_put,
                         bool may_register, struct mkv_rdma_place *place) {
    MKV_ASSERT(bytes > 0);
    const bool is_taken = take_registered(port, memory, bytes, place) ||
                          (is_put ? (may_register && take_cached(port, memory, bytes, place)) ||
                                        take_bounce(port, memory, bytes, place)
                                  : take_of_get(port, memory, bytes, may_register, place));
    port->place_count += is_taken ? 1 : 0;
    return is_taken;
}

bool mkv_rdma_place_find(struct mkv_rdma_port *port, const void *memory, uint64_t bytes,
                         struct mkv_rdma_place *place) {
    const bool is_taken = take_registered(port, memory, bytes, place);
    port->place_count += is_taken ? 1 : 0;
    return is_taken;
}

/* As many as so many bytes fill, by powers of two. */
static uint32_t slots_of(uint64_t bytes) {
    uint32_t slots = 1;
    while (slots < MKV_RDMA_SLOTS && (uint64_t)slots * MKV_NATIVE_SLOT_BYTES < bytes) {
        slots *= 2;
    }
    return slots;
}

void mkv_rdma_slots_learn(struct mkv_rdma_port *port, uint64_t bytes) {
    port->memory.slots = (uint32_t)mkv_max_u64(port->memory.slots, slots_of(bytes));
}

bool mkv_rdma_slots_take(struct mkv_rdma_port *port, uint64_t bytes, struct mkv_rdma_place *place) {
    for (uint32_t slots = bytes > 0 ? slots_of(bytes) : port->memory.slots; slots > 0; slots /= 2) {
        if (take_bounce(port, NULL, (uint64_t)slots * MKV_NATIVE_SLOT_BYTES, place)) {
            place->remote.slots = slots;
            port->place_count++;
            return true;
        }
    }
    return false;
}

/* ---- stages --------------------------------------------------------------------------------- */

static void stage_end(struct mkv_rdma_stage *stage) {
    if (stage->memory != NULL) {
        mkv_verbs_unregister(stage->region);
        (void)munmap(stage->memory, (size_t)stage->bytes);
    }
    *stage = (struct mkv_rdma_stage){0};
}

/* One that is not in use gets so much memory. */
static bool stage_make(struct mkv_rdma_port *port, struct mkv_rdma_stage *stage, uint64_t bytes) {
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct mkv_rdma_memory *memory = &port->memory;
    const uint64_t now_ns = mkv_client_now_ns();
    if (memory->refused_ns != 0 && now_ns - memory->refused_ns < REFUSED_NS) {
        return false;
    }
    uint8_t *made = pages_make(bytes);
    if (made == NULL) {
        return false;
    }
    struct mkv_verbs_region *region = NULL;
    if (!do_register(port, made, bytes, false, &region, problem)) {
        memory->refused_ns = now_ns;
        (void)munmap(made, (size_t)bytes);
        return false;
    }
    /* Only now: somebody may have been told that there is the one before. */
    stage_end(stage);
    stage->memory = made;
    stage->bytes = bytes;
    stage->region = region;
    return true;
}

bool mkv_rdma_stage_prepare(struct mkv_rdma_port *port, uint64_t bytes) {
    struct mkv_rdma_stage *stages = port->memory.stages;
    uint32_t free_place = MKV_RDMA_STAGES;
    for (uint32_t index = 0; index < MKV_RDMA_STAGES; index++) {
        if (stages[index].memory != NULL && stages[index].bytes >= bytes) {
            return true;
        }
        free_place = stages[index].is_used ? free_place : index;
    }
    return free_place < MKV_RDMA_STAGES && stage_make(port, &stages[free_place], bytes);
}

bool mkv_rdma_stage_take(struct mkv_rdma_port *port, uint64_t bytes, struct mkv_rdma_place *place) {
    struct mkv_rdma_stage *stages = port->memory.stages;
    struct mkv_rdma_stage *taken = NULL;
    for (uint32_t index = 0; index < MKV_RDMA_STAGES && taken == NULL; index++) {
        if (!stages[index].is_used && stages[index].memory != NULL &&
            stages[index].bytes >= bytes) {
            taken = &stages[index];
        }
    }
    for (uint32_t index = 0; index < MKV_RDMA_STAGES && taken == NULL; index++) {
        if (!stages[index].is_used && stage_make(port, &stages[index], bytes)) {
            taken = &stages[index];
        }
    }
    if (taken == NULL) {
        return false;
    }
    taken->is_used = true;
    port->place_count++;
    *place = (struct mkv_rdma_place){.kind = MKV_RDMA_BOUNCED,
                                     .remote = remote_of(taken->region, taken->memory),
                                     .bounce = taken->memory,
                                     .bounce_bytes = bytes,
                                     .stage = taken};
    return true;
}

/* ---- giving back ---------------------------------------------------------------------------- */

static void distrust(struct mkv_rdma_memory *memory) {
    uint64_t time_ns = DISTRUST_NS_MIN;
    for (uint32_t count = 0; count < memory->stale_count && time_ns < DISTRUST_NS_MAX; count++) {
        time_ns *= 2;
    }
    memory->stale_count += memory->stale_count < UINT32_MAX ? 1 : 0;
    memory->distrust_ns = mkv_client_now_ns() + mkv_min_u64(time_ns, DISTRUST_NS_MAX);
}

void mkv_rdma_place_give(struct mkv_rdma_port *port, struct mkv_rdma_place *place, bool is_stale) {
    struct mkv_rdma_memory *memory = &port->memory;
    MKV_ASSERT(port->place_count > 0);
    port->place_count--;
    switch (place->kind) {
    case MKV_RDMA_REGISTERED:
    case MKV_RDMA_CALL:
        range_give(place->range, false);
        break;
    case MKV_RDMA_CACHED:
        if (is_stale) {
            distrust(memory);
        }
        range_give(place->range, is_stale);
        break;
    case MKV_RDMA_BOUNCED:
        if (place->stage != NULL) {
            MKV_ASSERT(place->stage->is_used);
            place->stage->is_used = false;
            break;
        }
        give_bounce(place);
        break;
    }
    *place = (struct mkv_rdma_place){0};
}

void mkv_rdma_place_doubt(const struct mkv_rdma_place *place) {
    if (place->kind == MKV_RDMA_CACHED) {
        range_drop(place->range);
    }
}

void mkv_rdma_memory_init(struct mkv_rdma_memory *memory) {
    memset(memory, 0, sizeof *memory);
    TAILQ_INIT(&memory->ranges);
    memory->slots = MKV_RDMA_SLOTS_FIRST;
}

void mkv_rdma_memory_end(struct mkv_rdma_port *port) {
    struct mkv_rdma_memory *memory = &port->memory;
    struct mkv_rdma_range *range;
    struct mkv_buffer *buffer;
    MKV_ASSERT(port->place_count == 0);
    while ((range = TAILQ_FIRST(&memory->ranges)) != NULL) {
        range_end(range);
    }
    MKV_ASSERT(memory->range_count == 0);
    MKV_ASSERT(memory->call_bytes == 0);
    LIST_FOREACH(buffer, &port->rdma->client->buffers, link) {
        mkv_buffer_release(buffer, port->place);
    }
    for (uint32_t index = 0; index < MKV_RDMA_STAGES; index++) {
        MKV_ASSERT(!memory->stages[index].is_used);
        stage_end(&memory->stages[index]);
    }
    blocks_end_unused(memory);
    MKV_ASSERT(memory->bounce_bytes == 0);
}
