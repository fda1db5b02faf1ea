/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another thread wants to know of one key, looked up by the shard's thread between two rounds:
 * it reads the machines, and steps none of them.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"
#include "server/shard_internal.h"

#define NS_PER_S 1000000000ull

static void inspect(struct mkv_shard *shard) {
    struct mkv_shard_inspection *out = &shard->inspection;
    uint32_t tenant = MKV_NONE_U32;
    *out = (struct mkv_shard_inspection){0};
    out->tenant_known = mkv_shard_tenants_resolve(shard, shard->inspect_tenant, false, &tenant) ==
                            MKV_TENANT_KNOWN &&
                        tenant != MKV_NONE_U32;
    mkv_front_inspect(shard->front, tenant, shard->inspect_tenant, shard->inspect_key,
                      shard->inspect_key_bytes, &out->front);
    if (out->front.volume == MKV_NONE_U32) {
        return;
    }
    const struct shard_volume *volume = &shard->volumes[out->front.volume];
    out->serves = volume->state == SHARD_VOLUME_SERVING;
    if (out->serves && out->tenant_known) {
        mkv_volume_inspect(volume->volume, tenant, shard->inspect_key, shard->inspect_key_bytes,
                           &out->volume);
    }
}

void mkv_shard_inspect_advance(struct mkv_shard *shard) {
    if (!atomic_load_explicit(&shard->inspect_wanted, memory_order_acquire) ||
        pthread_mutex_trylock(&shard->mutex) != 0) {
        return; /* in a later round: there is one at every tick */
    }
    if (shard->inspecting && !shard->inspected) {
        inspect(shard);
        shard->inspected = true;
        pthread_cond_broadcast(&shard->changed);
    }
    atomic_store_explicit(&shard->inspect_wanted, false, memory_order_release);
    pthread_mutex_unlock(&shard->mutex);
}

/* Waits until *flag is `value`; false when the time is over or the shard ends. Holds the mutex. */
static bool await(struct mkv_shard *shard, const bool *flag, bool value,
                  const struct timespec *until) {
    int result = 0;
    while (*flag != value && !shard->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&shard->changed, &shard->mutex, until);
    }
    return *flag == value && !shard->ended;
}

enum mkv_status mkv_shard_inspect(struct mkv_shard *shard, const char *tenant, const uint8_t *key,
                                  uint32_t key_bytes, uint64_t wait_ns,
                                  struct mkv_shard_inspection *inspection) {
    MKV_ASSERT(key_bytes <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT(strlen(tenant) < sizeof shard->inspect_tenant);
    const uint64_t until_ns = mkv_clock_monotonic_ns() + wait_ns;
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / NS_PER_S),
        .tv_nsec = (long)(until_ns % NS_PER_S),
    };
    enum mkv_status status = MKV_STATUS_UNAVAILABLE;
    pthread_mutex_lock(&shard->mutex);
    if (shard->all_opened && !shard->ended && await(shard, &shard->inspecting, false, &until)) {
        shard->inspecting = true;
        shard->inspected = false;
        memcpy(shard->inspect_tenant, tenant, strlen(tenant) + 1);
        memcpy(shard->inspect_key, key, key_bytes);
        shard->inspect_key_bytes = key_bytes;
        atomic_store_explicit(&shard->inspect_wanted, true, memory_order_release);
        mkv_ring_wake(shard->ring);
        const bool done = await(shard, &shard->inspected, true, &until);
        *inspection = shard->inspection;
        status = done ? MKV_STATUS_OK : MKV_STATUS_DEADLINE;
        shard->inspecting = false;
        pthread_cond_broadcast(&shard->changed);
    }
    pthread_mutex_unlock(&shard->mutex);
    return status;
}
