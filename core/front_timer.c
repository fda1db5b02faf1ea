/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deadlines of requests and reservations, in a binary heap: the one due first is at the root. A
 * reservation is due at its deadline, and then over. A request is due
 * at its deadline, then when posted work has had its grace, and then again every quarter of a
 * grace, since what a segmented value posts later has a grace of its own.
 */
#include "core/front_internal.h"

static uint32_t *heap(struct mkv_front *front) {
    return front_at(front, front->layout.timer_heap);
}

static struct front_timer *timer_at(struct mkv_front *front, uint32_t timer) {
    const uint32_t requests_max = front->config.requests_max;
    return timer < requests_max ? &front_request_at(front, timer)->timer
                                : &front_item_at(front, timer - requests_max)->timer;
}

static void heap_put(struct mkv_front *front, uint32_t position, uint32_t timer) {
    heap(front)[position] = timer;
    timer_at(front, timer)->heap_position = position;
}

static uint64_t time_at(struct mkv_front *front, uint32_t position) {
    return timer_at(front, heap(front)[position])->timer_ns;
}

/* Moves what is at the position to where its time belongs. */
static void heap_settle(struct mkv_front *front, uint32_t position) {
    const uint32_t timer = heap(front)[position];
    const uint64_t timer_ns = timer_at(front, timer)->timer_ns;
    while (position > 0 && timer_ns < time_at(front, (position - 1) / 2)) {
        heap_put(front, position, heap(front)[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * position + 1;
        if (child >= front->heap_count) {
            break;
        }
        if (child + 1 < front->heap_count && time_at(front, child + 1) < time_at(front, child)) {
            child++;
        }
        if (timer_ns <= time_at(front, child)) {
            break;
        }
        heap_put(front, position, heap(front)[child]);
        position = child;
    }
    heap_put(front, position, timer);
}

void mkv_front_timer_set(struct mkv_front *front, uint32_t timer, uint64_t timer_ns) {
    struct front_timer *state = timer_at(front, timer);
    state->timer_ns = timer_ns;
    if (state->heap_position == MKV_NONE_U32) {
        MKV_ASSERT(front->heap_count < front->config.requests_max + front->config.items_max);
        heap_put(front, front->heap_count++, timer);
    }
    heap_settle(front, state->heap_position);
}

void mkv_front_timer_remove(struct mkv_front *front, uint32_t timer) {
    struct front_timer *state = timer_at(front, timer);
    const uint32_t position = state->heap_position;
    if (position == MKV_NONE_U32) {
        return;
    }
    MKV_ASSERT(heap(front)[position] == timer);
    state->heap_position = MKV_NONE_U32;
    const uint32_t last = --front->heap_count;
    if (position != last) {
        heap_put(front, position, heap(front)[last]);
        heap_settle(front, position);
    }
}

static uint64_t timer_after(const struct mkv_front *front, const struct front_request *request) {
    const uint64_t grace_ns = front->config.transfer_grace_ns;
    const uint64_t grace_end = front_add_ns(request->deadline_ns, grace_ns);
    if (front->now_ns < grace_end) {
        return grace_end;
    }
    return front_add_ns(front->now_ns, grace_ns / 4 + 1);
}

void mkv_front_timers_run(struct mkv_front *front) {
    for (uint32_t count = 0; count < FRONT_TIMERS_PER_STEP_MAX && front->heap_count > 0; count++) {
        const uint32_t timer = heap(front)[0];
        /* The end of time is no deadline. */
        if (time_at(front, 0) > front->now_ns || time_at(front, 0) == UINT64_MAX) {
            return;
        }
        if (timer >= front->config.requests_max) {
            mkv_front_timer_remove(front, timer);
            mkv_front_item_ready(front, timer - front->config.requests_max);
            continue;
        }
        const struct front_request *request = front_request_at(front, timer);
        const struct front_link *links = front_links(front, front->layout.item_links);
        for (uint32_t item = request->items.first; item != MKV_NONE_U32; item = links[item].next) {
            mkv_front_item_ready(front, item);
        }
        mkv_front_timer_set(front, timer, timer_after(front, request));
    }
}

uint64_t mkv_front_timer_ns(const struct mkv_front *front) {
    if (front->heap_count == 0) {
        return UINT64_MAX;
    }
    const uint8_t *arena = mkv_front_arena(front);
    const uint32_t first = *(const uint32_t *)(const void *)(arena + front->layout.timer_heap);
    const uint32_t requests_max = front->config.requests_max;
    if (first < requests_max) {
        return ((const struct front_request *)(const void *)(arena + front->layout.requests))[first]
            .timer.timer_ns;
    }
    return ((const struct front_item *)(const void *)(arena +
                                                      front->layout.items))[first - requests_max]
        .timer.timer_ns;
}
