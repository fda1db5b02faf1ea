/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: whether a put that its client does not need to be durable is written to the drive at
 * all. What is not stays in the front's memory, as if it had been stored and evicted at once: a get
 * finds it there as long as memory has room for it.
 *
 *   a durable put, a put over a live block, a part of a larger value      written
 *   the drive is avoided, since it is slow                                not written
 *   SECOND_TOUCH, and neither put before nor evicted lately               not written, but kept in
 *                                                                         mind as if evicted
 *   LIMIT, and more was written of late than the drive is to take         not written
 *   all else                                                              written
 *
 * The decision is taken under the lock of the key, when the bytes are there: no other mutation of
 * the key comes between it and the front's learning of it.
 */
#include "core/volume_internal.h"

#define NS_PER_MS 1000000ull
/* What a drive that was idle may take at once: so many milliseconds at the limit. */
#define BURST_MS 60000ull

void mkv_volume_admission_init(struct mkv_volume *volume) {
    struct admission *admission = &volume->admission;
    *admission = (struct admission){
        .room_bytes = volume->config.write_limit * (BURST_MS / 1000),
        .room_ms = volume->now_ns / NS_PER_MS,
    };
}

void mkv_volume_avoid(struct mkv_volume *volume, bool avoid) {
    volume->admission.avoided = avoid;
}

static void refill(struct mkv_volume *volume) {
    struct admission *admission = &volume->admission;
    const uint64_t limit = volume->config.write_limit;
    const uint64_t now_ms = volume->now_ns / NS_PER_MS;
    const uint64_t passed_ms = mkv_min_u64(now_ms - admission->room_ms, BURST_MS);
    const uint64_t bytes = passed_ms * limit / 1000;
    if (bytes == 0) {
        return; /* the time that has passed counts later */
    }
    admission->room_ms = now_ms;
    admission->room_bytes = mkv_min_u64(admission->room_bytes + bytes, limit * (BURST_MS / 1000));
}

static bool refuse(struct mkv_volume *volume, enum mkv_admission_reason reason) {
    volume->stats.admission_refused[reason]++;
    return true;
}

/* Whether the put, whose bytes are there, is not to be written. */
static bool refuses(struct mkv_volume *volume, const struct op *op, uint32_t flags) {
    const struct mkv_volume_config *config = &volume->config;
    const bool over = op->has_old && !MKV_CANARY(MKV_CANARY_UNWRITTEN_PUT_OVER_OLD);
    if ((flags & MKV_PUT_RELAXED) == 0 || !op->past_lock || over ||
        (op->flags & MKV_BLOCK_FLAGS) != 0) {
        return false;
    }
    if (volume->admission.avoided) {
        return refuse(volume, MKV_ADMISSION_DRIVE_SLOW);
    }
    if (config->admission == MKV_ADMISSION_SECOND_TOUCH && config->eviction &&
        !mkv_volume_was_evicted(volume, op->tag)) {
        mkv_volume_policy_remember(volume, op->tag, MKV_EVICTION_STATE_FIRST);
        return refuse(volume, MKV_ADMISSION_FIRST_TOUCH);
    }
    if (config->admission == MKV_ADMISSION_LIMIT && volume->admission.room_bytes < op->length) {
        return refuse(volume, MKV_ADMISSION_WRITE_LIMIT);
    }
    return false;
}

bool mkv_volume_admission_refuses(struct mkv_volume *volume, const struct op *op, uint32_t flags) {
    struct admission *admission = &volume->admission;
    const bool limited = volume->config.admission == MKV_ADMISSION_LIMIT;
    if (limited) {
        refill(volume);
    }
    if (refuses(volume, op, flags)) {
        return true;
    }
    if (limited) { /* what is written whatever the limit says counts, too */
        admission->room_bytes -= mkv_min_u64(admission->room_bytes, op->length);
    }
    return false;
}
