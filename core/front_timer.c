/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deadlines of requests, in a binary heap: the one due first is at the root. A request is due
 * at its deadline, then when posted work has had its grace, and then again every quarter of a
 * grace, since what a segmented value posts later has a grace of its own.
 */
#include "core/front_internal.h"

static uint32_t *heap(struct mkv_front *front) {
    return front_at(front, front->layout.request_heap);
}

static void heap_put(struct mkv_front *front, uint32_t position, uint32_t request) {
    heap(front)[position] = request;
    front_request_at(front, request)->heap_position = position;
}

static uint64_t time_at(struct mkv_front *front, uint32_t position) {
    return front_request_at(front, heap(front)[position])->timer_ns;
}

/* Moves what is at the position to where its time belongs. */
static void heap_settle(struct mkv_front *front, uint32_t position) {
    const uint32_t request = heap(front)[position];
    const uint64_t timer_ns = front_request_at(front, request)->timer_ns;
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
    heap_put(front, position, request);
}

void mkv_front_timer_set(struct mkv_front *front, uint32_t request_index, uint64_t timer_ns) {
    struct front_request *request = front_request_at(front, request_index);
    request->timer_ns = timer_ns;
    if (request->heap_position == MKV_NONE_U32) {
        MKV_ASSERT(front->heap_count < front->config.requests_max);
        heap_put(front, front->heap_count++, request_index);
    }
    heap_settle(front, request->heap_position);
}

void mkv_front_timer_remove(struct mkv_front *front, uint32_t request_index) {
    struct front_request *request = front_request_at(front, request_index);
    const uint32_t position = request->heap_position;
    if (position == MKV_NONE_U32) {
        return;
    }
    MKV_ASSERT(heap(front)[position] == request_index);
    request->heap_position = MKV_NONE_U32;
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
        const uint32_t request_index = heap(front)[0];
        const struct front_request *request = front_request_at(front, request_index);
        /* The end of time is no deadline. */
        if (request->timer_ns > front->now_ns || request->timer_ns == UINT64_MAX) {
            return;
        }
        const struct front_link *links = front_links(front, front->layout.item_links);
        for (uint32_t item = request->items.first; item != MKV_NONE_U32; item = links[item].next) {
            mkv_front_item_ready(front, item);
        }
        mkv_front_timer_set(front, request_index, timer_after(front, request));
    }
}
