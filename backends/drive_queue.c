/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/drive_queue.h"

#include <stdlib.h>

/* Loads leave one place in so many to others; stores beside loads have one in so many. */
#define LOADS_LEAVE_ONE_IN 8u
#define STORES_ONE_IN_BESIDE_LOADS 4u

struct lane {
    uint32_t first;
    uint32_t last;
    uint32_t count;         /* waiting */
    uint32_t started_count; /* with the kernel … */
    uint64_t started_bytes;
    uint32_t passed; /* how often others went first while one waited that might have gone */
};

struct mkv_drive_queue {
    uint32_t depth;
    uint32_t waiting_max;
    uint32_t waiting_count;
    uint32_t started_count;
    uint32_t free;
    bool paused;
    uint64_t load_ended_ns; /* the last one; 0: there was none */
    struct lane lanes[MKV_DRIVE_SHARE_COUNT];
    struct mkv_drive_waiting places[];
};

struct mkv_drive_queue *mkv_drive_queue_create(uint32_t depth, uint32_t waiting_max) {
    MKV_ASSERT(depth >= 1);
    MKV_ASSERT(waiting_max >= 1);
    struct mkv_drive_queue *queue =
        calloc(1, sizeof *queue + (size_t)waiting_max * sizeof queue->places[0]);
    if (queue == NULL) {
        return NULL;
    }
    queue->depth = depth;
    queue->waiting_max = waiting_max;
    for (uint32_t place = 0; place < waiting_max; place++) {
        queue->places[place].next = place + 1 < waiting_max ? place + 1 : MKV_NONE_U32;
    }
    return queue;
}

void mkv_drive_queue_free(struct mkv_drive_queue *queue) {
    free(queue);
}

static uint64_t bytes_of(const struct mkv_drive_effect *effect) {
    return (uint64_t)effect->unit_count * MKV_UNIT_BYTES;
}

static struct lane *lane_of(struct mkv_drive_queue *queue, const struct mkv_drive_effect *effect) {
    MKV_ASSERT((uint32_t)effect->share < MKV_DRIVE_SHARE_COUNT);
    return &queue->lanes[effect->share];
}

void mkv_drive_queue_enter(struct mkv_drive_queue *queue, const struct mkv_effect *effect,
                           uint64_t now_ns) {
    MKV_ASSERT(queue->waiting_count < queue->waiting_max); /* I1 */
    struct lane *lane = lane_of(queue, &effect->drive);
    const uint32_t place = queue->free;
    struct mkv_drive_waiting *waiting = &queue->places[place];
    queue->free = waiting->next;
    *waiting = (struct mkv_drive_waiting){*effect, now_ns, MKV_NONE_U32};
    if (lane->count == 0) {
        lane->first = place;
        lane->passed = 0;
    } else {
        queue->places[lane->last].next = place;
    }
    lane->last = place;
    lane->count++;
    queue->waiting_count++;
}

/* The first of a lane leaves. What it was stays where it is until the next call. */
static const struct mkv_drive_waiting *leave(struct mkv_drive_queue *queue, struct lane *lane) {
    MKV_ASSERT(lane->count > 0);
    const uint32_t place = lane->first;
    struct mkv_drive_waiting *waiting = &queue->places[place];
    lane->first = waiting->next;
    lane->count--;
    lane->passed = 0;
    waiting->next = queue->free;
    queue->free = place;
    queue->waiting_count--;
    return waiting;
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static bool loads_are_there(const struct mkv_drive_queue *queue, uint64_t now_ns) {
    const struct lane *loads = &queue->lanes[MKV_DRIVE_FOR_LOAD];
    return loads->count > 0 || loads->started_count > 0 ||
           (queue->load_ended_ns != 0 && now_ns < queue->load_ended_ns + MKV_DRIVE_QUEUE_LOADS_NS);
}

static bool stores_are_there(const struct mkv_drive_queue *queue) {
    const struct lane *stores = &queue->lanes[MKV_DRIVE_FOR_STORE];
    return stores->count > 0 || stores->started_count > 0;
}

/* Whether the first of a lane is within the bounds of its share. */
static bool may_start(const struct mkv_drive_queue *queue, enum mkv_drive_share share,
                      uint64_t now_ns) {
    const struct lane *lane = &queue->lanes[share];
    if (lane->count == 0) {
        return false;
    }
    if (lane->started_count == 0) {
        return true; /* I5 */
    }
    const bool loads = loads_are_there(queue, now_ns);
    uint32_t places = queue->depth;
    uint64_t bytes = UINT64_MAX;
    if (share == MKV_DRIVE_FOR_LOAD) {
        places -= queue->depth / LOADS_LEAVE_ONE_IN;
    } else if (share == MKV_DRIVE_FOR_STORE) {
        places = loads ? queue->depth / STORES_ONE_IN_BESIDE_LOADS : places;
        bytes =
            loads ? MKV_DRIVE_QUEUE_STORE_BYTES_BESIDE_LOADS_MAX : MKV_DRIVE_QUEUE_STORE_BYTES_MAX;
    } else if (share == MKV_DRIVE_FOR_BACKGROUND) {
        places = loads || stores_are_there(queue) ? 1 : MKV_DRIVE_QUEUE_BACKGROUND_MAX;
    }
    return lane->started_count < places && lane->started_bytes < bytes;
}

static bool was_passed(const struct mkv_drive_queue *queue, enum mkv_drive_share share,
                       uint32_t passed_max, uint64_t now_ns) {
    return queue->lanes[share].passed >= passed_max && may_start(queue, share, now_ns);
}

/* Whose turn it is; MKV_DRIVE_SHARE_COUNT: nobody's. */
static uint32_t share_next(const struct mkv_drive_queue *queue, uint64_t now_ns) {
    if (queue->paused) {
        return may_start(queue, MKV_DRIVE_FOR_LOAD, now_ns) ? MKV_DRIVE_FOR_LOAD
                                                            : MKV_DRIVE_SHARE_COUNT;
    }
    if (was_passed(queue, MKV_DRIVE_FOR_BACKGROUND, MKV_DRIVE_QUEUE_BACKGROUND_PASSED_MAX,
                   now_ns)) {
        return MKV_DRIVE_FOR_BACKGROUND;
    }
    if (queue->lanes[MKV_DRIVE_FOR_COMMIT].count > 0) {
        return MKV_DRIVE_FOR_COMMIT;
    }
    if (was_passed(queue, MKV_DRIVE_FOR_STORE, MKV_DRIVE_QUEUE_STORE_PASSED_MAX, now_ns)) {
        return MKV_DRIVE_FOR_STORE;
    }
    static const enum mkv_drive_share order[] = {MKV_DRIVE_FOR_LOAD, MKV_DRIVE_FOR_STORE,
                                                 MKV_DRIVE_FOR_BACKGROUND};
    for (uint32_t index = 0; index < sizeof order / sizeof order[0]; index++) {
        if (may_start(queue, order[index], now_ns)) {
            return order[index];
        }
    }
    return MKV_DRIVE_SHARE_COUNT;
}

/* ---- starting and ending --------------------------------------------------------------------- */

/* Those that might have gone instead have been passed by once more (I4). */
static void count_passed(struct mkv_drive_queue *queue, uint32_t share, uint64_t now_ns) {
    for (uint32_t other = 0; other < MKV_DRIVE_SHARE_COUNT; other++) {
        if (other != share && may_start(queue, (enum mkv_drive_share)other, now_ns)) {
            queue->lanes[other].passed++;
        }
    }
}

const struct mkv_drive_waiting *mkv_drive_queue_start(struct mkv_drive_queue *queue,
                                                      uint64_t now_ns) {
    if (queue->waiting_count == 0 || queue->started_count == queue->depth) {
        return NULL;
    }
    const uint32_t share = share_next(queue, now_ns);
    if (share == MKV_DRIVE_SHARE_COUNT) {
        return NULL;
    }
    struct lane *lane = &queue->lanes[share];
    if (queue->waiting_count > lane->count) {
        count_passed(queue, share, now_ns);
    }
    const struct mkv_drive_waiting *started = leave(queue, lane);
    lane->started_count++;
    lane->started_bytes += bytes_of(&started->effect.drive);
    queue->started_count++;
    return started;
}

void mkv_drive_queue_ended(struct mkv_drive_queue *queue, const struct mkv_drive_effect *effect,
                           uint64_t now_ns) {
    struct lane *lane = lane_of(queue, effect);
    MKV_ASSERT(lane->started_count > 0);
    MKV_ASSERT(lane->started_bytes >= bytes_of(effect));
    lane->started_count--;
    lane->started_bytes -= bytes_of(effect);
    queue->started_count--;
    if (effect->share == MKV_DRIVE_FOR_LOAD) {
        queue->load_ended_ns = now_ns;
    }
}

const struct mkv_drive_waiting *mkv_drive_queue_give_up(struct mkv_drive_queue *queue,
                                                        uint64_t soon_before_ns,
                                                        uint64_t late_before_ns) {
    for (uint32_t share = 0; share < MKV_DRIVE_SHARE_COUNT; share++) {
        struct lane *lane = &queue->lanes[share];
        if (lane->count == 0) {
            continue;
        }
        const struct mkv_drive_waiting *first = &queue->places[lane->first];
        const bool given_up_soon =
            mkv_drive_is_read_for_now(&first->effect.drive, first->effect.kind);
        if (first->submitted_ns <= (given_up_soon ? soon_before_ns : late_before_ns)) {
            return leave(queue, lane);
        }
    }
    return NULL;
}

void mkv_drive_queue_pause(struct mkv_drive_queue *queue, bool paused) {
    queue->paused = paused;
}

uint32_t mkv_drive_queue_waiting(const struct mkv_drive_queue *queue) {
    return queue->waiting_count;
}

uint32_t mkv_drive_queue_started(const struct mkv_drive_queue *queue) {
    return queue->started_count;
}
