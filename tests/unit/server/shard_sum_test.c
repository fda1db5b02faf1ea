/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/shard_sum.h"

static struct mkv_shard_stats *stats_new(void) {
    struct mkv_shard_stats *stats = calloc(1, sizeof *stats);
    assert_non_null(stats);
    return stats;
}

static void test_front_stats_add__every_figure__is_added(void **state) {
    (void)state;
    struct mkv_front_stats sum;
    struct mkv_front_stats other;
    memset(&sum, 0, sizeof sum);
    memset(&other, 0, sizeof other);
    sum.requests_started[MKV_OP_GET] = 5;
    other.requests_started[MKV_OP_GET] = 7;
    other.keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_EVICTED] = 11;
    sum.segments_deleted = UINT32_MAX;
    other.segments_deleted = 2;
    sum.requests_in_flight = 3;
    other.requests_in_flight = 4;
    other.volume_ops[MKV_VOLUMES_MAX - 1] = 9;
    mkv_front_stats_add(&sum, &other);
    assert_int_equal(sum.requests_started[MKV_OP_GET], 12);
    assert_int_equal(sum.keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_EVICTED], 11);
    assert_int_equal(sum.segments_deleted, UINT32_MAX + 2ull);
    assert_int_equal(sum.requests_in_flight, 7);
    assert_int_equal(sum.volume_ops[MKV_VOLUMES_MAX - 1], 9);
    assert_int_equal(other.requests_in_flight, 4);
}

static uint64_t recorded(const struct mkv_histogram *histogram) {
    uint64_t count = 0;
    for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
        count += histogram->counts[bound];
    }
    return count;
}

static void test_front_times_add__histograms__are_merged(void **state) {
    (void)state;
    struct mkv_front_times *sum = calloc(1, sizeof *sum);
    struct mkv_front_times *other = calloc(1, sizeof *other);
    struct mkv_histogram *sums = (struct mkv_histogram *)(void *)sum;
    struct mkv_histogram *others = (struct mkv_histogram *)(void *)other;
    const size_t count = sizeof *sum / sizeof *sums;
    for (size_t i = 0; i < count; i++) {
        mkv_histogram_record_ns(&sums[i], 1000);
        mkv_histogram_record_ns(&others[i], 1000000);
        mkv_histogram_record_ns(&others[i], 2000000);
    }
    mkv_front_times_add(sum, other);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(recorded(&sums[i]), 3);
        assert_int_equal(recorded(&others[i]), 2);
    }
    free(sum);
    free(other);
}

static void test_shard_stats_add__lanes__are_added_and_their_times_merged(void **state) {
    (void)state;
    struct mkv_shard_stats *sum = stats_new();
    struct mkv_shard_stats *other = stats_new();
    sum->lanes.connections_active = 2;
    other->lanes.connections_active = 3;
    other->lanes.failures_total[MKV_LANE_REASON_COUNT - 1] = 4;
    sum->lanes.fallbacks_total[MKV_NATIVE_FALLBACK_REFUSED] = 5;
    other->lanes.fallbacks_total[MKV_NATIVE_FALLBACK_REFUSED] = 6;
    sum->lanes.recoveries_total = 7;
    other->lanes.recoveries_total = 8;
    mkv_histogram_record_ns(&sum->lanes.read, 1000);
    mkv_histogram_record_ns(&other->lanes.read, 2000);
    mkv_histogram_record_ns(&other->lanes.write, 3000);
    mkv_shard_stats_add(sum, other);
    assert_int_equal(sum->lanes.connections_active, 5);
    assert_int_equal(sum->lanes.failures_total[MKV_LANE_REASON_COUNT - 1], 4);
    assert_int_equal(sum->lanes.fallbacks_total[MKV_NATIVE_FALLBACK_REFUSED], 11);
    assert_int_equal(sum->lanes.recoveries_total, 15);
    assert_int_equal(recorded(&sum->lanes.read), 2);
    assert_int_equal(recorded(&sum->lanes.write), 1);
    assert_int_equal(sum->lanes.read.sum, 3000);
    free(sum);
    free(other);
}

static void test_shard_stats_add__volumes__are_of_who_has_them(void **state) {
    (void)state;
    struct mkv_shard_stats *sum = stats_new();
    struct mkv_shard_stats *other = stats_new();
    sum->volume_count = other->volume_count = 3;
    sum->volumes[0].own = true;
    sum->volumes[0].opened = true;
    other->volumes[0].open_error = MKV_ERR_NOT_FORMATTED; /* it knows nothing of it */
    other->volumes[1].own = true;
    other->volumes[1].volume.blocks = 8;
    other->volumes[2].own = true;
    sum->taken_ns = 50;
    other->taken_ns = 40;
    sum->state = MKV_SHARD_DRAINING;
    other->state = MKV_SHARD_SERVING;
    sum->drive_set_version = 3;
    sum->drive_set_members = 2;
    other->drive_set_version = 4;
    other->drive_set_members = 3;
    sum->fabric.connections_active = 5;
    other->fabric.connections_active = 6;
    other->ring.wakes = 7;
    mkv_shard_stats_add(sum, other);
    assert_true(sum->volumes[0].own);
    assert_true(sum->volumes[0].opened);
    assert_int_equal(sum->volumes[0].open_error, MKV_OK);
    assert_true(sum->volumes[1].own);
    assert_int_equal(sum->volumes[1].volume.blocks, 8);
    assert_true(sum->volumes[2].own);
    assert_int_equal(sum->taken_ns, 40);
    assert_int_equal(sum->state, MKV_SHARD_SERVING);
    assert_int_equal(sum->drive_set_version, 4);
    assert_int_equal(sum->drive_set_members, 3);
    assert_int_equal(sum->fabric.connections_active, 11);
    assert_int_equal(sum->ring.wakes, 7);
    free(sum);
    free(other);
}

static void tenant(struct mkv_shard_stats *stats, uint32_t id, uint64_t blocks, bool apart) {
    struct mkv_shard_tenant_stats *target = &stats->tenants[stats->tenant_count++];
    target->id = id;
    target->blocks = blocks;
    target->bytes = blocks * 100;
    target->asked.keys_missed = blocks + 1;
    target->quota_bytes = 77; /* of the node, and so not added */
    target->asked_apart = apart;
}

static void test_shard_stats_add__tenants__are_matched_by_their_numbers(void **state) {
    (void)state;
    struct mkv_shard_stats *sum = stats_new();
    struct mkv_shard_stats *other = stats_new();
    tenant(sum, 1, 10, true);
    tenant(sum, 4, 20, true);
    tenant(sum, 9, 30, false);
    tenant(other, 1, 1, true);
    tenant(other, 3, 100, true); /* the first shard has not been told of it when it was asked */
    tenant(other, 9, 2, true);
    sum->tenants_other.bytes_in = 5;
    other->tenants_other.bytes_in = 6;
    mkv_shard_stats_add(sum, other);
    assert_int_equal(sum->tenant_count, 3);
    assert_int_equal(sum->tenants[0].blocks, 11);
    assert_int_equal(sum->tenants[0].bytes, 1100);
    assert_int_equal(sum->tenants[0].asked.keys_missed, 13);
    assert_int_equal(sum->tenants[0].quota_bytes, 77);
    assert_true(sum->tenants[0].asked_apart);
    assert_int_equal(sum->tenants[1].blocks, 20);
    assert_int_equal(sum->tenants[2].blocks, 32);
    assert_false(sum->tenants[2].asked_apart);
    assert_int_equal(sum->tenants_other.bytes_in, 11);
    free(sum);
    free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_front_stats_add__every_figure__is_added),
        cmocka_unit_test(test_front_times_add__histograms__are_merged),
        cmocka_unit_test(test_shard_stats_add__lanes__are_added_and_their_times_merged),
        cmocka_unit_test(test_shard_stats_add__volumes__are_of_who_has_them),
        cmocka_unit_test(test_shard_stats_add__tenants__are_matched_by_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
