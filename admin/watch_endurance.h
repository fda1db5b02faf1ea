/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a drive is written more than it is rated for, look by look.
 *
 *     bytes written in the last day, or since the first look and scaled to a day,
 *       once that was an hour ago,  > rated for a day         over   (warning)
 *     used of its rated life, as it says itself, >= 100 %     worn   (warning)
 *
 * Invariants
 *  I1  Everything follows from the facts and the times that were handed in.
 *  I2  Over is over again when a day's bytes are 5 % below what is rated.
 *  I3  The count of bytes may begin anew, as it does when a drive is opened again.
 *
 * Not responsible for: finding the facts out, and for saying it in words.
 */
#ifndef MKV_ADMIN_WATCH_ENDURANCE_H
#define MKV_ADMIN_WATCH_ENDURANCE_H

#include "core/base.h"

#define MKV_WATCH_ENDURANCE_HOUR_NS (3600ull * 1000000000u)
#define MKV_WATCH_ENDURANCE_DAY_NS (24u * MKV_WATCH_ENDURANCE_HOUR_NS)
#define MKV_WATCH_ENDURANCE_SAMPLES 25u
#define MKV_WATCH_ENDURANCE_AGAIN_PERCENT 95u
#define MKV_WATCH_ENDURANCE_WORN_PERCENT 100u

struct mkv_watch_endurance_facts {
    uint64_t written_bytes; /* since the drive was opened */
    uint64_t rated_bytes;   /* for a day; 0: not known */
    uint32_t used_percent;  /* of its rated life; 0: not known */
};

struct mkv_watch_endurance_sample {
    uint64_t ns;
    uint64_t total_bytes;
};

/* All zero before the first look. */
struct mkv_watch_endurance {
    bool over;
    bool worn;
    uint64_t day_bytes; /* 0: not known yet */
    uint64_t written_bytes;
    uint64_t total_bytes; /* since the first look */
    uint32_t first;       /* the oldest sample, one an hour */
    uint32_t count;
    struct mkv_watch_endurance_sample samples[MKV_WATCH_ENDURANCE_SAMPLES];
};

/* `now_ns` is on the monotonic clock and does not go back. */
void mkv_watch_endurance_look(struct mkv_watch_endurance *endurance,
                              const struct mkv_watch_endurance_facts *facts, uint64_t now_ns);

#endif
