/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shard_sum.h"

#include <stddef.h>
#include <string.h>

/* The figures of these structures are arrays of one type, but for their names. */
_Static_assert(offsetof(struct mkv_front_stats, requests_in_flight) % sizeof(uint64_t) == 0,
               "counts come first, then states");
_Static_assert(sizeof(struct mkv_front_times) % sizeof(struct mkv_histogram) == 0,
               "times are histograms");
_Static_assert(sizeof(struct mkv_fabric_counters) % sizeof(uint64_t) == 0, "counts");
_Static_assert(offsetof(struct mkv_fabric_lane_counters, read) % sizeof(uint64_t) == 0, "counts");
_Static_assert(sizeof(struct mkv_ring_counters) % sizeof(uint64_t) == 0, "counts");
_Static_assert(sizeof(struct mkv_front_memory_parts) % sizeof(uint64_t) == 0, "sizes");

static void add_u64(void *sum, const void *other, size_t bytes) {
    uint64_t *target = sum;
    const uint64_t *source = other;
    for (size_t i = 0; i < bytes / sizeof *target; i++) {
        target[i] += source[i];
    }
}

void mkv_front_stats_add(struct mkv_front_stats *sum, const struct mkv_front_stats *other) {
    const size_t counts = offsetof(struct mkv_front_stats, requests_in_flight);
    add_u64(sum, other, counts);
    uint32_t *target = (uint32_t *)(void *)((uint8_t *)sum + counts);
    const uint32_t *source = (const uint32_t *)(const void *)((const uint8_t *)other + counts);
    const size_t states =
        (offsetof(struct mkv_front_stats, volume_ops) + sizeof sum->volume_ops - counts) /
        sizeof *target;
    for (size_t i = 0; i < states; i++) {
        target[i] += source[i];
    }
}

void mkv_front_times_add(struct mkv_front_times *sum, const struct mkv_front_times *other) {
    struct mkv_histogram *target = (struct mkv_histogram *)(void *)sum;
    const struct mkv_histogram *source = (const struct mkv_histogram *)(const void *)other;
    for (size_t i = 0; i < sizeof *sum / sizeof *target; i++) {
        mkv_histogram_merge(&target[i], &source[i]);
    }
}

static void add_asked(struct mkv_front_tenant *sum, const struct mkv_front_tenant *other) {
    sum->keys_from_memory += other->keys_from_memory;
    sum->keys_from_drive += other->keys_from_drive;
    sum->keys_missed += other->keys_missed;
    sum->bytes_in += other->bytes_in;
    sum->bytes_out += other->bytes_out;
}

/* Both lists stand in the order of the numbers; one that only the other shard has been told of, so
 * far, is in the next copy. */
static void add_tenants(struct mkv_shard_stats *sum, const struct mkv_shard_stats *other) {
    uint32_t place = 0;
    for (uint32_t i = 0; i < sum->tenant_count; i++) {
        struct mkv_shard_tenant_stats *target = &sum->tenants[i];
        while (place < other->tenant_count && other->tenants[place].id < target->id) {
            place++;
        }
        if (place == other->tenant_count || other->tenants[place].id != target->id) {
            continue;
        }
        const struct mkv_shard_tenant_stats *source = &other->tenants[place];
        target->blocks += source->blocks;
        target->bytes += source->bytes;
        target->writes_total += source->writes_total;
        target->quota_rejections_total += source->quota_rejections_total;
        target->evicted_total += source->evicted_total;
        target->evictions_caused_total += source->evictions_caused_total;
        add_asked(&target->asked, &source->asked);
        target->asked_apart = target->asked_apart && source->asked_apart;
    }
    add_asked(&sum->tenants_other, &other->tenants_other);
}

void mkv_shard_stats_add(struct mkv_shard_stats *sum, const struct mkv_shard_stats *other) {
    MKV_ASSERT(sum->volume_count == other->volume_count);
    sum->taken_ns = mkv_min_u64(sum->taken_ns, other->taken_ns);
    if (other->state < sum->state) {
        sum->state = other->state;
    }
    mkv_front_stats_add(&sum->front, &other->front);
    mkv_front_times_add(&sum->front_times, &other->front_times);
    add_u64(&sum->front_memory, &other->front_memory, sizeof sum->front_memory);
    add_u64(&sum->fabric, &other->fabric, sizeof sum->fabric);
    add_u64(&sum->shm, &other->shm, sizeof sum->shm);
    add_u64(&sum->lanes, &other->lanes, offsetof(struct mkv_fabric_lane_counters, read));
    mkv_histogram_merge(&sum->lanes.read, &other->lanes.read);
    mkv_histogram_merge(&sum->lanes.write, &other->lanes.write);
    add_u64(&sum->ring, &other->ring, sizeof sum->ring);
    mkv_histogram_merge(&sum->dispatch, &other->dispatch);
    for (uint32_t i = 0; i < sum->volume_count; i++) {
        if (other->volumes[i].own) {
            sum->volumes[i] = other->volumes[i];
        }
    }
    if (other->drive_set_version > sum->drive_set_version) {
        sum->drive_set_version = other->drive_set_version;
        sum->drive_set_members = other->drive_set_members;
    }
    add_tenants(sum, other);
}
