/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/lane_queue.h"

#include "wire/lane_canary.h"

void mkv_lane_enqueue(struct mkv_lane *lane, bool is_transfer, uint32_t place) {
    MKV_ASSERT(lane->tail - lane->head < MKV_LANE_POSTED_MAX);
    *mkv_lane_posted_at(lane, lane->tail) = (struct mkv_lane_posted){
        .posted_ns = lane->now_ns,
        .place = place,
        .is_transfer = is_transfer,
    };
    lane->tail++;
}

void mkv_lane_slot_free(struct mkv_lane *lane, uint32_t slot) {
    MKV_ASSERT(slot < lane->config.sends_max);
    MKV_ASSERT(lane->slots[slot].use != MKV_LANE_SLOT_FREE);
    MKV_ASSERT(lane->slots_free < lane->config.sends_max);
    lane->slots[slot].use = MKV_LANE_SLOT_FREE;
    lane->slots_free++;
}

static uint32_t find_free_slot(const struct mkv_lane *lane) {
    uint32_t slot = 0;
    while (lane->slots[slot].use != MKV_LANE_SLOT_FREE) {
        slot++;
        MKV_ASSERT(slot < lane->config.sends_max);
    }
    return slot;
}

static void end_transfer(struct mkv_lane *lane, uint32_t place, bool is_ok) {
    MKV_ASSERT(lane->transfer_is_used[place]);
    MKV_ASSERT(lane->done_count < MKV_LANE_TRANSFERS_MAX);
    const uint32_t at = (lane->done_first + lane->done_count) % MKV_LANE_TRANSFERS_MAX;
    lane->done_places[at] = (uint8_t)place;
    lane->done_is_ok[at] = is_ok;
    lane->done_count++;
    if (lane->transfers[place].is_read) {
        MKV_ASSERT(lane->reads_posted > 0);
        lane->reads_posted--;
    }
}

/* L1: the only place where what was posted ends. */
void mkv_lane_posted_end(struct mkv_lane *lane, uint64_t position, bool is_ok) {
    const struct mkv_lane_posted *posted = mkv_lane_posted_at(lane, position);
    if (MKV_CANARY(MKV_LANE_CANARY_FREE_WHEN_STOPPED) && posted->is_told) {
        return;
    }
    if (posted->is_transfer) {
        end_transfer(lane, posted->place, is_ok);
    } else if (!MKV_CANARY(MKV_LANE_CANARY_SLOT_FREE_WHEN_SENT)) {
        MKV_ASSERT(lane->slots[posted->place].use == MKV_LANE_SLOT_POSTED);
        mkv_lane_slot_free(lane, posted->place);
    }
}

void mkv_lane_end_below(struct mkv_lane *lane, uint64_t end, bool is_ok) {
    MKV_ASSERT(end <= lane->handed);
    while (lane->head < end) {
        mkv_lane_posted_end(lane, lane->head, is_ok);
        lane->head++;
    }
    /* What is next was behind this one until now, and much may be posted on a slow path. */
    struct mkv_lane_posted *next = mkv_lane_posted_at(lane, lane->head);
    next->posted_ns = mkv_max_u64(next->posted_ns, lane->now_ns);
}

void mkv_lane_withdraw_from(struct mkv_lane *lane, uint64_t position) {
    for (uint64_t at = position; at < lane->tail; at++) {
        const struct mkv_lane_posted *posted = mkv_lane_posted_at(lane, at);
        if (!posted->is_transfer) {
            mkv_lane_slot_free(lane, posted->place);
        } else if (!MKV_CANARY(MKV_LANE_CANARY_WITHDRAWN_IS_LOST)) {
            end_transfer(lane, posted->place, false);
        }
    }
    lane->sends_waiting = 0;
    lane->tail = position;
    if (lane->handed > position) {
        lane->handed = position;
    }
}

void mkv_lane_enqueue_send(struct mkv_lane *lane, uint32_t slot, enum mkv_lane_message kind,
                           uint32_t bytes) {
    MKV_ASSERT(lane->slots[slot].use == MKV_LANE_SLOT_TAKEN);
    MKV_ASSERT(bytes <= mkv_lane_payload_bytes_max(lane));
    lane->slots[slot] = (struct mkv_lane_slot){
        .bytes = bytes,
        .use = MKV_LANE_SLOT_POSTED,
        .kind = (uint8_t)kind,
    };
    mkv_lane_enqueue(lane, false, slot);
    lane->sends_waiting++;
}

uint32_t mkv_lane_take(struct mkv_lane *lane) {
    MKV_ASSERT(lane->slots_free > 0);
    MKV_ASSERT(lane->credits > 0);
    const uint32_t slot = find_free_slot(lane);
    lane->slots[slot].use = MKV_LANE_SLOT_TAKEN;
    lane->slots_free--;
    lane->credits--;
    return slot;
}

void mkv_lane_enqueue_own(struct mkv_lane *lane, enum mkv_lane_message kind, uint32_t bytes) {
    mkv_lane_enqueue_send(lane, mkv_lane_take(lane), kind, bytes);
}
