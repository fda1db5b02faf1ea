/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/watch_endurance.h"

static const struct mkv_watch_endurance_sample *sample_at(
    const struct mkv_watch_endurance *endurance, uint32_t rank) {
    return &endurance->samples[(endurance->first + rank) % MKV_WATCH_ENDURANCE_SAMPLES];
}

static void keep_sample(struct mkv_watch_endurance *endurance, uint64_t now_ns) {
    if (endurance->count > 0 &&
        now_ns < sample_at(endurance, endurance->count - 1)->ns + MKV_WATCH_ENDURANCE_HOUR_NS) {
        return;
    }
    if (endurance->count == MKV_WATCH_ENDURANCE_SAMPLES) {
        endurance->first = (endurance->first + 1) % MKV_WATCH_ENDURANCE_SAMPLES;
        endurance->count--;
    }
    const uint32_t place = (endurance->first + endurance->count) % MKV_WATCH_ENDURANCE_SAMPLES;
    endurance->samples[place] =
        (struct mkv_watch_endurance_sample){.ns = now_ns, .total_bytes = endurance->total_bytes};
    endurance->count++;
}

/* The youngest sample that is a day old, else the oldest one. */
static const struct mkv_watch_endurance_sample *day_begin(
    const struct mkv_watch_endurance *endurance, uint64_t now_ns) {
    uint32_t rank = 0;
    while (rank + 1 < endurance->count &&
           sample_at(endurance, rank + 1)->ns + MKV_WATCH_ENDURANCE_DAY_NS <= now_ns) {
        rank++;
    }
    return sample_at(endurance, rank);
}

void mkv_watch_endurance_look(struct mkv_watch_endurance *endurance,
                              const struct mkv_watch_endurance_facts *facts, uint64_t now_ns) {
    if (endurance->count > 0) { /* what was written before the first look is of no known time */
        endurance->total_bytes += facts->written_bytes >= endurance->written_bytes
                                      ? facts->written_bytes - endurance->written_bytes
                                      : facts->written_bytes;
    }
    endurance->written_bytes = facts->written_bytes;
    keep_sample(endurance, now_ns);
    const struct mkv_watch_endurance_sample *begin = day_begin(endurance, now_ns);
    const uint64_t elapsed_ns = now_ns - begin->ns;
    endurance->day_bytes = 0;
    if (elapsed_ns >= MKV_WATCH_ENDURANCE_HOUR_NS) {
        endurance->day_bytes = (uint64_t)((double)(endurance->total_bytes - begin->total_bytes) *
                                          (double)MKV_WATCH_ENDURANCE_DAY_NS / (double)elapsed_ns);
    }
    const uint64_t bound = endurance->over
                               ? facts->rated_bytes / 100 * MKV_WATCH_ENDURANCE_AGAIN_PERCENT
                               : facts->rated_bytes;
    endurance->over = facts->rated_bytes > 0 && endurance->day_bytes > bound;
    endurance->worn = facts->used_percent >= MKV_WATCH_ENDURANCE_WORN_PERCENT;
}
