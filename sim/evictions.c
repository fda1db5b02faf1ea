/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/evictions.h"

#include <string.h>

#include "sim/failure.h"

/* The bits of a tag that a ghost has. */
static uint32_t ghost_part(uint64_t tag) {
    const uint32_t part = (uint32_t)tag >> 12;
    return part != 0 ? part : 1;
}

bool mkv_evictions_had(const struct mkv_evictions *evictions, uint64_t tag) {
    if (evictions->tag_count > MKV_EVICTED_TAGS_MAX) {
        return true;
    }
    for (uint32_t index = 0; index < evictions->tag_count; index++) {
        if (evictions->tags[index] == ghost_part(tag)) {
            return true;
        }
    }
    return false;
}

static void note_tag(struct mkv_evictions *evictions, uint64_t tag) {
    if (mkv_evictions_had(evictions, tag)) {
        return;
    }
    if (evictions->tag_count < MKV_EVICTED_TAGS_MAX) {
        evictions->tags[evictions->tag_count] = ghost_part(tag);
    }
    evictions->tag_count++;
}

void mkv_evictions_leased(struct mkv_evictions *evictions,
                          const struct mkv_evictions_lease *lease) {
    evictions->leases[evictions->lease_next] = *lease;
    evictions->lease_next = (evictions->lease_next + 1) % MKV_EVICTIONS_LEASES_MAX;
}

void mkv_evictions_unpinned(struct mkv_evictions *evictions, uint32_t slot) {
    for (uint32_t index = 0; index < MKV_EVICTIONS_LEASES_MAX; index++) {
        struct mkv_evictions_lease *lease = &evictions->leases[index];
        if (lease->pin && lease->slot == slot) {
            *lease = (struct mkv_evictions_lease){0};
        }
    }
}

void mkv_evictions_crash(struct mkv_evictions *evictions) {
    memset(evictions->leases, 0, sizeof evictions->leases);
}

static void check_leases(const struct mkv_evictions *evictions, uint32_t slot, uint64_t generation,
                         uint64_t now_ns) {
    for (uint32_t index = 0; index < MKV_EVICTIONS_LEASES_MAX; index++) {
        const struct mkv_evictions_lease *lease = &evictions->leases[index];
        if (now_ns < lease->until_ns && lease->slot == slot &&
            lease->generation_low == (uint32_t)generation) {
            mkv_fail(MKV_ORACLE_DURABLE,
                     "the block in slot %u is evicted, and was %s until %llu ns", slot,
                     lease->pin ? "pinned" : "leased", (unsigned long long)lease->until_ns);
        }
    }
}

void mkv_evictions_event(struct mkv_evictions *evictions, struct mkv_model *model,
                         const struct mkv_watch *watch, const struct mkv_event *event,
                         uint64_t now_ns) {
    const uint32_t slot = (uint32_t)event->value[0];
    MKV_ASSERT(slot < watch->slot_count);
    check_leases(evictions, slot, watch->slots[slot].generation, now_ns);
    note_tag(evictions, event->value[1]);
    const struct mkv_watch_slot *state = &watch->slots[slot];
    if (state->key == MKV_NONE_U32) {
        /* A segment, and its key does not say here of which value. */
        for (uint32_t key = 0; key < model->key_count; key++) {
            mkv_model_allow_loss(model, key);
        }
        return;
    }
    MKV_ASSERT(evictions->count < MKV_EVICTIONS_MAX);
    mkv_model_evict(model, state->key);
    evictions->list[evictions->count++] =
        (struct mkv_eviction){watch, slot, state->generation, state->key};
}

static bool is_durable(const struct mkv_eviction *eviction) {
    const struct mkv_watch_slot *state = &eviction->watch->slots[eviction->slot];
    return state->record == MKV_WATCH_RECORD_NONE || state->generation != eviction->generation;
}

void mkv_evictions_turn(struct mkv_evictions *evictions, struct mkv_model *model) {
    for (uint32_t index = 0; index < evictions->count;) {
        struct mkv_eviction *eviction = &evictions->list[index];
        if (is_durable(eviction)) {
            mkv_model_evicted(model, eviction->key);
            *eviction = evictions->list[--evictions->count];
        } else {
            index++;
        }
    }
}

void mkv_changes_of(struct mkv_world_changes *sum, const struct mkv_volume_stats *stats) {
    uint64_t not_admitted = 0;
    for (uint32_t reason = 0; reason < MKV_ADMISSION_REASON_COUNT; reason++) {
        not_admitted += stats->admission_refused[reason];
    }
    const struct mkv_world_changes changes = {
        .evictions = stats->evictions_total,
        .puts_overtaken = stats->puts_overtaken_total,
        .scrubbed = stats->scrub_slots_total,
        .scrub_damaged = stats->scrub_damaged_total,
        .extents_given = stats->extents_given_total,
        .extents_given_spanned = stats->extents_given_spanned_total,
        .extents_given_back = stats->extents_given_back_total,
        .extents_emptied = stats->extents_emptied_total,
        .emptyings_given_up = stats->emptyings_given_up_total,
        .puts_not_admitted = not_admitted,
        .directory_commits = stats->directory.commits_total,
        .directory_caught_up = stats->directory.caught_up_total,
        .directory_rebuilds = stats->directory.rebuilds_total,
    };
    mkv_changes_add(sum, &changes);
}

void mkv_changes_add(struct mkv_world_changes *sum, const struct mkv_world_changes *more) {
    sum->evictions += more->evictions;
    sum->puts_overtaken += more->puts_overtaken;
    sum->scrubbed += more->scrubbed;
    sum->scrub_damaged += more->scrub_damaged;
    sum->extents_given += more->extents_given;
    sum->extents_given_spanned += more->extents_given_spanned;
    sum->extents_given_back += more->extents_given_back;
    sum->extents_emptied += more->extents_emptied;
    sum->emptyings_given_up += more->emptyings_given_up;
    sum->puts_not_admitted += more->puts_not_admitted;
    sum->directory_commits += more->directory_commits;
    sum->directory_caught_up += more->directory_caught_up;
    sum->directory_rebuilds += more->directory_rebuilds;
    sum->listings += more->listings;
}
