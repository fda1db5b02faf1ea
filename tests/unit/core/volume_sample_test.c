/* SPDX-License-Identifier: Apache-2.0 */
/* The age of blocks when they are evicted. */
#include "tests/unit/core/test.h"
#include "tests/unit/core/volume_rig.h"

#define LENGTH 65536u
#define EXTENT_UNITS 68u
#define SECOND_NS 1000000000ull

static uint64_t count_of(const struct mkv_volume_seconds *seconds) {
    uint64_t count = 0;
    for (uint32_t bound = 0; bound <= MKV_VOLUME_SECONDS_BOUNDS; bound++) {
        count += seconds->counts[bound];
    }
    return count;
}

static void put(struct rig *rig, uint32_t number) {
    char key[16];
    snprintf(key, sizeof key, "k%u", number);
    assert_int_equal(rig_put(rig, key, LENGTH, number, 0), MKV_STATUS_OK);
    rig->event_count = 0;
    rig_tick(rig, SECOND_NS);
}

static struct rig *rig_evicting(void) {
    struct rig *rig = rig_create_raw(64, 40 * MKV_PAGE_SLOTS, EXTENT_UNITS);
    assert_int_equal(rig_admin(rig, MKV_ADMIN_FORMAT), MKV_OK);
    rig_settle(rig);
    rig->config.eviction = true;
    rig->config.evict_ready_divisor = 1000;
    rig_reopen(rig);
    return rig;
}

static void test_volume_sample__blocks_leave_in_order__as_old_as_the_store_is_large(void **state) {
    (void)state;
    struct rig *rig = rig_evicting();
    const uint32_t slots = rig_stats(rig).extents_total * 4;
    for (uint32_t number = 0; number < 12 * slots; number++) {
        put(rig, number);
    }
    const struct mkv_volume_stats stats = rig_stats(rig);
    const uint64_t count = count_of(&stats.evicted_lifetime);
    /* One block in 16 is drawn. */
    assert_in_range(count, stats.evictions_total / 28, stats.evictions_total / 7);
    assert_int_equal(count_of(&stats.evicted_idle), count);
    /* Nothing was used, so that the oldest left, a second for each slot later, or so. */
    assert_in_range(stats.evicted_lifetime.sum, count * slots / 2, count * slots * 2);
    assert_int_equal(stats.evicted_idle.sum, stats.evicted_lifetime.sum);
    assert_int_equal(stats.evicted_lifetime.counts[0], 0);
    assert_int_equal(stats.evicted_lifetime.counts[MKV_VOLUME_SECONDS_BOUNDS], 0);
    rig_destroy(rig);
}

/* Puts blocks, and asks for each half a store behind its put. */
static struct rig *rig_asked(uint32_t flags) {
    struct rig *rig = rig_evicting();
    const uint32_t slots = rig_stats(rig).extents_total * 4;
    for (uint32_t number = 0; number < 12 * slots; number++) {
        put(rig, number);
        if (number >= slots / 2) {
            char key[16];
            snprintf(key, sizeof key, "k%u", number - slots / 2);
            (void)rig_lease(rig, MKV_MESSAGE_EXISTS, key, 0, flags);
        }
    }
    return rig;
}

static void test_volume_sample__asked_for_without_use__as_if_nobody_had(void **state) {
    (void)state;
    struct rig *rig = rig_asked(MKV_EXISTS_NO_USE);
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_true(count_of(&stats.evicted_lifetime) > 0);
    assert_int_equal(stats.evicted_idle.sum, stats.evicted_lifetime.sum);
    assert_int_equal(count_of(&mkv_volume_times(rig->volume)->reuse_gap), 0);
    rig_destroy(rig);
}

static void test_volume_sample__blocks_are_used__idle_for_less_than_their_age(void **state) {
    (void)state;
    struct rig *rig = rig_asked(0);
    const uint32_t slots = rig_stats(rig).extents_total * 4;
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_true(count_of(&stats.evicted_lifetime) > 0);
    assert_true(stats.evicted_idle.sum < stats.evicted_lifetime.sum);
    /* Each was used once, half a store behind its put. */
    const struct mkv_volume_seconds *gaps = &mkv_volume_times(rig->volume)->reuse_gap;
    assert_true(count_of(gaps) > 0);
    assert_in_range(gaps->sum / count_of(gaps), slots / 4, slots);
    rig_destroy(rig);
}

static void test_volume_sample__found_by_recovery__is_not_in_it(void **state) {
    (void)state;
    struct rig *rig = rig_evicting();
    const uint32_t slots = rig_stats(rig).extents_total * 4;
    for (uint32_t number = 0; number < slots; number++) {
        put(rig, number);
    }
    rig_reopen(rig);
    for (uint32_t number = slots; number < slots + slots / 2; number++) {
        put(rig, number);
    }
    const struct mkv_volume_stats stats = rig_stats(rig);
    assert_true(stats.evictions_total > 0);
    assert_int_equal(count_of(&stats.evicted_lifetime), 0);
    rig_destroy(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volume_sample__blocks_leave_in_order__as_old_as_the_store_is_large),
        cmocka_unit_test(test_volume_sample__blocks_are_used__idle_for_less_than_their_age),
        cmocka_unit_test(test_volume_sample__asked_for_without_use__as_if_nobody_had),
        cmocka_unit_test(test_volume_sample__found_by_recovery__is_not_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
