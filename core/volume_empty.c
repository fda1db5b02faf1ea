/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emptying: a class that has no free slot and can be given no extent may take one from another
 * class whose coldest extent was unused for at least twice as long as its own. One job a volume
 * does that, in bounded steps:
 *
 *   choose -> the extent's slots are not given out -> each live one is evicted, by an ordinary DROP
 *          -> all are free: the extent gives its class back -> the puts that waited take it
 *   given up, and the extent is as it was: an operation holds a slot of it for too long, or a lease
 *   or pin does, a slot of it is retired, or the volume closes
 *
 * A put may wait for the job at the lock of a tag whose block the job must drop: then the put,
 * which has done nothing yet, drops that block itself and asks for a slot again (mkv_volume_evict).
 * Nor does a put wait for the job with a drop, or an overtaken put that has a slot of the extent,
 * waiting for its lock: these go first.
 */
#include "core/volume_internal.h"

/* Slots that one step looks at. */
#define STEP_SLOTS_MAX 512u
/* Blocks that are leased are looked at again so many times before the emptying is given up. */
#define LOOKS_AT_LEASED 16u

/* An extent whose emptying was given up is left alone for as long as that took. */
static bool is_left_alone(const struct mkv_volume *volume) {
    const struct empty_job *job = &volume->empty_job;
    return job->given_up && volume->now_ns - job->given_up_ns < volume->config.empty_ns_max;
}

static bool choose(struct mkv_volume *volume, uint32_t slot_units, struct mkv_extent *victim) {
    const struct mkv_extent none = {MKV_NONE_U32};
    return mkv_slot_table_choose_victim(
        volume_table(volume), slot_units, volume->config.empty_grain_ns,
        is_left_alone(volume) ? volume->empty_job.extent : none, victim);
}

bool mkv_volume_empty_request(struct mkv_volume *volume, uint32_t slot_units) {
    struct empty_job *job = &volume->empty_job;
    if (volume->state != MKV_VOLUME_SERVING || volume->config.never_empties) {
        return false;
    }
    if (job->active && job->slot_units == slot_units) {
        return true;
    }
    struct mkv_extent victim;
    if (!choose(volume, slot_units, &victim)) {
        return false;
    }
    if (job->active) {
        return true; /* its end wakes the put, which then asks again */
    }
    *job = (struct empty_job){
        .active = true,
        .extent = victim,
        .slot_units = slot_units,
        .started_ns = volume->now_ns,
    };
    mkv_slot_table_empty_begin(volume_table(volume), victim);
    return true;
}

void mkv_volume_empty_put_applied(struct mkv_volume *volume, struct mkv_slot slot) {
    struct empty_job *job = &volume->empty_job;
    if (job->active &&
        mkv_slot_table_extent_of(volume_table(volume), slot).index == job->extent.index) {
        job->again = true;
    }
}

static void give_up(struct mkv_volume *volume) {
    struct empty_job *job = &volume->empty_job;
    job->active = false;
    job->given_up = true;
    job->given_up_ns = volume->now_ns;
    volume->stats.emptyings_given_up_total++;
    mkv_slot_table_empty_end(volume_table(volume), job->extent);
    mkv_volume_extent_applied(volume);
}

/* Whether what still takes a slot of the extent is no obstacle. */
static bool is_empty(const struct mkv_volume *volume, const struct mkv_extent_state *state) {
    if (MKV_CANARY(MKV_CANARY_EXTENT_CHANGE_BEFORE_DROPS_DURABLE)) {
        /* Planted: it is enough that every DROP is issued, or is about to be. */
        return volume->empty_job.cursor == state->slot_count;
    }
    return state->used == 0;
}

static void finish(struct mkv_volume *volume) {
    struct empty_job *job = &volume->empty_job;
    if (!mkv_volume_extent_op_room(volume)) {
        return;
    }
    struct mkv_record_extent record;
    mkv_slot_table_plan_give_back(volume_table(volume), job->extent, &record);
    mkv_volume_extent_op_start(volume, &record, job->slot_units);
    *job = (struct empty_job){0};
    volume->stats.extents_emptied_total++;
}

/* Evicts what the extent still holds, from the cursor on. */
static void advance(struct mkv_volume *volume, const struct mkv_extent_state *state) {
    struct empty_job *job = &volume->empty_job;
    struct mkv_slot_table *table = volume_table(volume);
    if (job->cursor == state->slot_count && job->again) {
        job->again = false;
        job->cursor = 0;
    }
    if (job->cursor == state->slot_count && job->leased && volume->now_ns >= job->look_ns) {
        job->leased = false;
        job->cursor = 0;
        job->look_ns = volume->now_ns + volume->config.empty_ns_max / LOOKS_AT_LEASED;
    }
    uint32_t look_max = volume_step_slots(volume, STEP_SLOTS_MAX);
    struct mkv_slot slot;
    while (mkv_volume_evict_room_beside(volume) &&
           mkv_slot_table_next_live(table, job->extent, &job->cursor, &look_max, &slot)) {
        if (mkv_volume_is_leased(volume, slot) &&
            !MKV_CANARY(MKV_CANARY_LEASE_IGNORED_BY_EMPTYING)) {
            job->leased = true;
        } else {
            mkv_volume_evict(volume, slot, MKV_EVICTION_FOR_CLASS);
        }
    }
}

bool mkv_volume_empty_has_work(const struct mkv_volume *volume) {
    const struct empty_job *job = &volume->empty_job;
    if (!job->active || !mkv_volume_evict_room_beside(volume)) {
        return false;
    }
    const struct mkv_extent_state *state = mkv_slot_table_extent(volume_table(volume), job->extent);
    return !is_empty(volume, state) && (job->again || job->cursor < state->slot_count);
}

void mkv_volume_empty_pump(struct mkv_volume *volume) {
    struct empty_job *job = &volume->empty_job;
    struct mkv_slot_table *table = volume_table(volume);
    if (table->extent_was_listed) {
        table->extent_was_listed = false;
        mkv_volume_extent_applied(volume);
    }
    if (!job->active) {
        return;
    }
    const struct mkv_extent_state *state = mkv_slot_table_extent(table, job->extent);
    if (is_empty(volume, state)) {
        finish(volume);
    } else if (state->retired > 0 || volume->state != MKV_VOLUME_SERVING ||
               volume->now_ns - job->started_ns >= volume->config.empty_ns_max) {
        give_up(volume);
    } else {
        advance(volume, state);
    }
}
