/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How old blocks are when they are evicted, and for how long they were not used: of a sample that
 * the key's hash draws, since an entry of the slot table has no room for two times.
 *
 *   tag -> one in 2^n is drawn, such that the sample fills half of its table at most
 *       -> one place of the table; where another block has it, this one is not in the sample
 *
 * Whether a place is taken does not depend on how long the new block will live, so the sample tells
 * of all. What recovery found is not in it: nobody knows since when that is there.
 */
#include "core/volume_internal.h"

#define SAMPLE_MAX 1024u

struct sample {
    uint32_t slot; /* MKV_NONE_U32: the place is free */
    uint32_t generation_low;
    uint64_t stored_ns;
    uint64_t used_ns;
};

static struct sample *samples_of(const struct mkv_volume *volume) {
    return (struct sample *)((uintptr_t)volume + volume->samples_offset);
}

size_t mkv_volume_sample_memory_required(const struct mkv_volume_config *config) {
    return config->eviction ? SAMPLE_MAX * sizeof(struct sample) : 0;
}

void mkv_volume_sample_open(struct mkv_volume *volume) {
    struct sample *samples = samples_of(volume);
    const uint64_t slots = (uint64_t)volume->config.geometry.page_count * MKV_PAGE_SLOTS;
    volume->sample_mask = 0;
    while (slots / (volume->sample_mask + 1ull) > SAMPLE_MAX / 2) {
        volume->sample_mask = 2 * volume->sample_mask + 1;
    }
    for (uint32_t index = 0; volume->config.eviction && index < SAMPLE_MAX; index++) {
        samples[index] = (struct sample){.slot = MKV_NONE_U32};
    }
}

/* The block's place, or NULL when it was not drawn. */
static struct sample *place_of(const struct mkv_volume *volume, struct mkv_slot slot) {
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(volume_table(volume), slot);
    /* Tags are hashes already. Lookups ask this, too, so that it must cost next to nothing. */
    if ((entry->tag_high & volume->sample_mask) != 0 || !volume->config.eviction) {
        return NULL;
    }
    return &samples_of(volume)[entry->tag_low % SAMPLE_MAX];
}

static bool holds(const struct mkv_volume *volume, const struct sample *sample,
                  struct mkv_slot slot) {
    return sample != NULL && sample->slot == slot.index &&
           sample->generation_low ==
               mkv_slot_table_entry(volume_table(volume), slot)->generation_low;
}

void mkv_volume_sample_put(struct mkv_volume *volume, struct mkv_slot slot) {
    struct sample *sample = place_of(volume, slot);
    if (sample == NULL || sample->slot != MKV_NONE_U32) {
        return;
    }
    *sample = (struct sample){
        .slot = slot.index,
        .generation_low = mkv_slot_table_entry(volume_table(volume), slot)->generation_low,
        .stored_ns = volume->now_ns,
        .used_ns = volume->now_ns,
    };
}

static void note(struct mkv_volume_seconds *seconds, uint64_t ns) {
    const uint64_t whole = ns / 1000000000u;
    uint32_t bound = 0;
    while (bound < MKV_VOLUME_SECONDS_BOUNDS && ns > (1000000000ull << bound)) {
        bound++;
    }
    seconds->counts[bound]++;
    seconds->sum += whole;
}

void mkv_volume_sample_used(struct mkv_volume *volume, struct mkv_slot slot, bool again) {
    struct sample *sample = place_of(volume, slot);
    if (!holds(volume, sample, slot)) {
        return;
    }
    if (again) {
        note(&volume->times.reuse_gap, volume->now_ns - sample->used_ns);
    }
    sample->used_ns = volume->now_ns;
}

void mkv_volume_sample_evicted(struct mkv_volume *volume, struct mkv_slot slot) {
    const struct sample *sample = place_of(volume, slot);
    if (holds(volume, sample, slot)) {
        note(&volume->stats.evicted_lifetime, volume->now_ns - sample->stored_ns);
        note(&volume->stats.evicted_idle, volume->now_ns - sample->used_ns);
    }
}

void mkv_volume_sample_dropped(struct mkv_volume *volume, struct mkv_slot slot) {
    struct sample *sample = place_of(volume, slot);
    if (holds(volume, sample, slot)) {
        sample->slot = MKV_NONE_U32;
    }
}
