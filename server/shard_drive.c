/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drive of a volume of a running shard is taken away, and another one, or the same again, is
 * given to it.
 *
 *        mkv_shard_drive_change                the shard's thread, in its rounds
 *   NONE ----------------------> WANTED --(release: the volume is quiet)--> DONE --(taken)--> NONE
 *                                   |   --(give)--------------------------> DONE
 *                                   +--(time is over)--> NONE
 *
 * A volume is quiet when it is closed, was never opened, or has failed, has no operation, and its
 * drive has none in flight: then nothing of the old drive can reach the new one, nor anything of
 * the new one the old. The volume's memory stays where it is, and is made anew in it: so the new
 * drive's needs at most as much.
 */
#include "server/shard_internal.h"

#include <errno.h>
#include <time.h>

#include "backends/clock.h"

#define NS_PER_S 1000000000ull

/* ---- the shard's thread ---------------------------------------------------------------------- */

static bool is_quiet(const struct shard_volume *volume) {
    struct mkv_volume_stats stats;
    /* NEW: it was given, and then could not join. */
    const bool ended = volume->state == SHARD_VOLUME_CLOSED ||
                       volume->state == SHARD_VOLUME_FAILED || volume->state == SHARD_VOLUME_NEW;
    if (!ended || (volume->drive != NULL && mkv_drive_in_flight(volume->drive) > 0)) {
        return false;
    }
    mkv_volume_stats(volume->volume, &stats);
    return stats.ops_in_flight == 0 &&
           (stats.state == MKV_VOLUME_CLOSED || stats.state == MKV_VOLUME_FAILED);
}

static bool release(struct mkv_shard *shard, uint32_t index) {
    struct shard_volume *volume = &shard->volumes[index];
    if (!is_quiet(volume)) {
        return false;
    }
    if (volume->drive != NULL) {
        mkv_pump_volume_detach(shard->pump, index);
        mkv_drive_close(volume->drive);
        volume->drive = NULL;
    }
    return true;
}

static void give(struct mkv_shard *shard, struct shard_drive_change *change) {
    struct shard_volume *volume = &shard->volumes[change->volume];
    struct mkv_volume_config config = change->config;
    MKV_ASSERT(volume->drive == NULL);
    config.volume = change->volume;
    config.ops_max = volume->config.ops_max;
    MKV_ASSERT(mkv_volume_memory_required(&config) <= volume->memory_bytes);
    volume->volume = mkv_volume_init(volume->memory, volume->memory_bytes, &config);
    change->given =
        mkv_shard_volume_drive(shard, change->volume, &config, &change->media, &change->error);
    if (!change->given) {
        return;
    }
    mkv_pump_volume_attach(shard->pump, change->volume, volume->volume, volume->drive);
    volume->config = config;
    volume->state = SHARD_VOLUME_NEW;
    volume->opened = false;
    volume->open_error = MKV_OK;
}

void mkv_shard_drive_advance(struct mkv_shard *shard) {
    const uint64_t draining = atomic_load_explicit(&shard->drain_wanted, memory_order_relaxed);
    if (draining != shard->draining) {
        shard->draining = draining;
        mkv_pump_drain(shard->pump, draining);
    }
    if (!atomic_load_explicit(&shard->drive_wanted, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&shard->mutex);
    struct shard_drive_change *change = &shard->drive_change;
    bool done = false;
    if (change->state == SHARD_DRIVE_WANTED && shard->state == MKV_SHARD_SERVING) {
        if (change->gives) {
            give(shard, change);
            done = true;
        } else {
            done = release(shard, change->volume);
        }
    }
    if (done) {
        change->state = SHARD_DRIVE_DONE;
        atomic_store_explicit(&shard->drive_wanted, false, memory_order_release);
        pthread_cond_broadcast(&shard->changed);
    }
    pthread_mutex_unlock(&shard->mutex);
}

/* ---- other threads --------------------------------------------------------------------------- */

/* One at a time: the node's, which has one thread for this. */
static bool change_drive(struct mkv_shard *shard, struct shard_drive_change *change,
                         uint64_t wait_ns) {
    const uint64_t until_ns = mkv_clock_monotonic_ns() + wait_ns;
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / NS_PER_S),
        .tv_nsec = (long)(until_ns % NS_PER_S),
    };
    int result = 0;
    pthread_mutex_lock(&shard->mutex);
    MKV_ASSERT(shard->drive_change.state == SHARD_DRIVE_NONE);
    shard->drive_change = *change;
    shard->drive_change.state = SHARD_DRIVE_WANTED;
    atomic_store_explicit(&shard->drive_wanted, true, memory_order_release);
    mkv_ring_wake(shard->ring);
    while (shard->drive_change.state != SHARD_DRIVE_DONE && !shard->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&shard->changed, &shard->mutex, &until);
    }
    const bool done = shard->drive_change.state == SHARD_DRIVE_DONE;
    *change = shard->drive_change;
    shard->drive_change.state = SHARD_DRIVE_NONE;
    atomic_store_explicit(&shard->drive_wanted, false, memory_order_release);
    pthread_mutex_unlock(&shard->mutex);
    return done;
}

bool mkv_shard_drive_release(struct mkv_shard *shard, uint32_t volume, uint64_t wait_ns) {
    struct shard_drive_change change = {.volume = volume};
    return change_drive(shard, &change, wait_ns);
}

bool mkv_shard_drive_give(struct mkv_shard *shard, uint32_t volume,
                          const struct mkv_volume_config *config,
                          const struct mkv_drive_media *media, uint64_t wait_ns,
                          struct mkv_backend_error *error) {
    struct shard_drive_change change = {
        .volume = volume, .gives = true, .config = *config, .media = *media};
    if (change_drive(shard, &change, wait_ns)) {
        *error = change.error;
        return change.given;
    }
    struct mkv_drive_media released = *media;
    mkv_drive_media_close(&released);
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "the shard does not answer. See the node's health");
}

uint64_t mkv_shard_drive_room(const struct mkv_shard *shard, uint32_t volume,
                              const struct mkv_volume_config *config, uint64_t *needed) {
    struct mkv_volume_config own = *config;
    own.ops_max = shard->volumes[volume].config.ops_max;
    *needed = mkv_volume_memory_required(&own);
    return shard->volumes[volume].memory_bytes;
}

struct mkv_shard_group *mkv_shard_group_of(const struct mkv_shard *shard) {
    return shard->group;
}

void mkv_shard_drain(struct mkv_shard *shard, uint64_t volumes) {
    atomic_store_explicit(&shard->drain_wanted, volumes, memory_order_relaxed);
    mkv_ring_wake(shard->ring);
}
