/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen over time: each finding comes and goes, and figures are of their window. */
#include "admin/watch.h"

#include <stdlib.h>
#include <string.h>

#include "admin/words.h"
#include "tests/unit/admin/test.h"

#define S 1000000000ull
#define MS 1000000ull
#define DRIVES 3u
#define RING 1000u

struct world {
    struct mkv_watch *watch;
    struct mkv_admin_snapshot *snapshot;
    uint64_t now_ns;
};

static int setup(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->snapshot = calloc(1, sizeof *world->snapshot);
    assert_non_null(world->snapshot);
    const struct mkv_watch_options options = {.watchdog_ns = 30 * S, .slow_after_ns = 60 * S};
    world->watch = mkv_watch_create(&options);
    world->now_ns = 1000 * S;
    world->snapshot->state = MKV_ADMIN_NODE_SERVING;
    world->snapshot->drive_count = DRIVES;
    for (uint32_t index = 0; index < DRIVES; index++) {
        struct mkv_admin_drive *drive = &world->snapshot->drives[index];
        drive->state = MKV_DRIVE_STATE_ONLINE;
        drive->volume.journal_ring_blocks = RING;
        drive->volume.extents_free = 5;
        drive->volume.extent_units = 100;
        drive->volume.directory.state = MKV_DIRECTORY_SERVING;
        drive->slots_max = 4096;
    }
    *state = world;
    return 0;
}

static int teardown(void **state) {
    struct world *world = *state;
    mkv_watch_destroy(world->watch);
    free(world->snapshot);
    free(world);
    return 0;
}

/* One look a second for so long. */
static void pass(struct world *world, uint64_t seconds) {
    for (uint64_t second = 0; second < seconds; second++) {
        world->now_ns += S;
        mkv_watch_look(world->watch, world->snapshot, world->now_ns);
    }
}

static const struct mkv_watch_finding *found(struct world *world, enum mkv_admin_warning_code code,
                                             uint32_t drive) {
    static struct mkv_watch_finding findings[MKV_WATCH_FINDINGS_MAX];
    const uint32_t count = mkv_watch_findings(world->watch, findings);
    for (uint32_t index = 0; index < count; index++) {
        if (findings[index].code == code && findings[index].drive == drive) {
            return &findings[index];
        }
    }
    return NULL;
}

static uint32_t finding_count(struct world *world) {
    struct mkv_watch_finding findings[MKV_WATCH_FINDINGS_MAX];
    return mkv_watch_findings(world->watch, findings);
}

static void test_watch__all_is_well__nothing_found(void **state) {
    struct world *world = *state;
    pass(world, 700);
    assert_int_equal(finding_count(world), 0);
}

static void test_watch__a_quiet_shard__stalled_from_the_bound_on(void **state) {
    struct world *world = *state;
    world->snapshot->shard_quiet_ns = 30 * S - 1;
    pass(world, 1);
    assert_null(found(world, MKV_ADMIN_WARNING_SHARD_STALLED, MKV_NONE_U32));
    world->snapshot->shard_quiet_ns = 30 * S;
    pass(world, 1);
    assert_int_equal(found(world, MKV_ADMIN_WARNING_SHARD_STALLED, MKV_NONE_U32)->figures[0],
                     30 * S);
    world->snapshot->shard_quiet_ns = 0;
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
}

static void test_watch__a_journal_fills_up__until_it_is_well_below(void **state) {
    struct world *world = *state;
    struct mkv_volume_stats *volume = &world->snapshot->drives[1].volume;
    volume->journal_applied = 50;
    volume->journal_head = 50 + RING * MKV_WATCH_JOURNAL_FULL_PERCENT / 100;
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
    volume->journal_head++;
    pass(world, 1);
    const struct mkv_watch_finding *finding =
        found(world, MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL, 1);
    assert_non_null(finding);
    assert_int_equal(finding->figures[0], 801);
    assert_int_equal(finding->figures[1], RING);
    volume->journal_head = 50 + RING * MKV_WATCH_JOURNAL_AGAIN_PERCENT / 100 + 1;
    pass(world, 1);
    assert_non_null(found(world, MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL, 1));
    volume->journal_head--;
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
}

static void test_watch__slots_without_numbers__found_while_extents_are_free(void **state) {
    struct world *world = *state;
    struct mkv_volume_stats *volume = &world->snapshot->drives[2].volume;
    volume->class_count = 2;
    volume->classes[0] = (struct mkv_volume_class_stats){.slot_units = 50, .extents = 3};
    volume->classes[1] = (struct mkv_volume_class_stats){.slot_units = 2, .extents = 1};
    volume->slots_used = 4000;
    volume->slots_free = 46;
    volume->slots_retired = 5; /* of those that are used */
    pass(world, 1);
    assert_int_equal(finding_count(world), 0); /* 50 are left, just enough */
    volume->slots_free = 47;
    pass(world, 1);
    assert_int_equal(found(world, MKV_ADMIN_WARNING_SLOT_TABLE_FULL, 2)->figures[0], 49);
    volume->extents_free = 0; /* there is nothing that they could have */
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
    volume->extents_free = 1;
    volume->classes[1].extents = 0; /* nor is there anybody who would */
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
}

static void test_watch__stalls_and_directories__as_the_volume_says(void **state) {
    struct world *world = *state;
    struct mkv_volume_stats *volume = &world->snapshot->drives[0].volume;
    volume->stalled = true;
    volume->directory.state = MKV_DIRECTORY_FULL;
    pass(world, 1);
    assert_non_null(found(world, MKV_ADMIN_WARNING_DRIVE_STALLED, 0));
    assert_int_equal(found(world, MKV_ADMIN_WARNING_DIRECTORY_OFF, 0)->figures[0], 1);
    volume->directory.state = MKV_DIRECTORY_OFF;
    pass(world, 1);
    assert_int_equal(found(world, MKV_ADMIN_WARNING_DIRECTORY_OFF, 0)->figures[0], 0);
    /* What does not answer is offline, and said to be so all the same. */
    world->snapshot->drives[0].state = MKV_DRIVE_STATE_OFFLINE;
    world->snapshot->drives[0].failure = MKV_DRIVE_FAILURE_TIMEOUT;
    pass(world, 1);
    assert_non_null(found(world, MKV_ADMIN_WARNING_DRIVE_STALLED, 0));
    assert_int_equal(finding_count(world), 1);
    /* Of a drive that is out of service nothing else is said. */
    world->snapshot->drives[0].state = MKV_DRIVE_STATE_FAILED;
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
    world->snapshot->drives[0].state = MKV_DRIVE_STATE_ONLINE;
    world->snapshot->drives[0].failure = MKV_DRIVE_FAILURE_NONE;
    volume->stalled = false;
    volume->directory.state = MKV_DIRECTORY_REBUILDING;
    pass(world, 1);
    assert_int_equal(finding_count(world), 0);
}

/* ---- slow drives ----------------------------------------------------------------------------- */

/* So many seconds in which every drive does 10 reads a second, each of its own time. */
static void read_for(struct world *world, uint64_t seconds, const uint64_t ms[DRIVES]) {
    for (uint64_t second = 0; second < seconds; second++) {
        for (uint32_t index = 0; index < DRIVES; index++) {
            for (uint32_t count = 0; count < 10 && ms[index] > 0; count++) {
                struct mkv_admin_io *io = &world->snapshot->drives[index].io[MKV_ADMIN_IO_READ];
                mkv_histogram_record_ns(&io->duration, ms[index] * MS);
                io->bytes += 1000;
            }
        }
        pass(world, 1);
    }
}

static void test_watch__a_slow_drive__after_a_minute_and_until_it_is_well_for_one(void **state) {
    struct world *world = *state;
    const uint64_t well[DRIVES] = {3, 3, 3};
    const uint64_t bad[DRIVES] = {3, 3, 30};
    read_for(world, 70, well);
    read_for(world, 35, bad);
    assert_false(mkv_watch_drive_is_slow(world->watch, 2));
    read_for(world, 40, bad);
    const struct mkv_watch_finding *finding = found(world, MKV_ADMIN_WARNING_DRIVE_SLOW, 2);
    assert_non_null(finding);
    assert_true(finding->figures[0] > MKV_WATCH_SLOW_RATIO * finding->figures[1]);
    assert_true(mkv_watch_drive_is_slow(world->watch, 2));
    assert_int_equal(finding_count(world), 1);
    read_for(world, 35, well);
    assert_true(mkv_watch_drive_is_slow(world->watch, 2));
    read_for(world, 40, well);
    assert_false(mkv_watch_drive_is_slow(world->watch, 2));
    assert_int_equal(finding_count(world), 0);
}

static void test_watch__a_slow_drive__for_how_long(void **state) {
    struct world *world = *state;
    const uint64_t bad[DRIVES] = {3, 3, 30};
    uint64_t seconds = 0;
    for (; !mkv_watch_drive_is_slow(world->watch, 2); seconds++) {
        assert_int_equal(mkv_watch_drive_slow_ns(world->watch, 2), 0);
        assert_true(seconds < 100);
        read_for(world, 1, bad);
    }
    assert_int_equal(mkv_watch_drive_slow_ns(world->watch, 2), 0);
    read_for(world, 200, bad);
    assert_int_equal(mkv_watch_drive_slow_ns(world->watch, 2), 200 * S);
    world->snapshot->drives[2].state = MKV_DRIVE_STATE_OFFLINE;
    read_for(world, 1, bad);
    assert_int_equal(mkv_watch_drive_slow_ns(world->watch, 2), 0);
    assert_int_equal(mkv_watch_drive_slow_ns(world->watch, 1), 0);
}

static void test_watch__a_drive_is_opened_again__its_counts_begin_anew(void **state) {
    struct world *world = *state;
    struct mkv_admin_snapshot *out = calloc(1, sizeof *out);
    assert_non_null(out);
    const uint64_t well[DRIVES] = {3, 3, 3};
    read_for(world, 100, well);
    memset(world->snapshot->drives[2].io, 0, sizeof world->snapshot->drives[2].io);
    read_for(world, 15, well);
    out->drive_count = DRIVES;
    mkv_watch_recent(world->watch, out);
    assert_in_range(out->drives[2].recent.read_bytes_s, 1000, 10100);
    assert_in_range(out->drives[2].recent.read_p99_ns, 2 * MS, 5 * MS);
    read_for(world, 100, well);
    assert_false(mkv_watch_drive_is_slow(world->watch, 2));
    free(out);
}

static void test_watch__slow_now_and_then__not_slow(void **state) {
    struct world *world = *state;
    const uint64_t well[DRIVES] = {3, 3, 3};
    const uint64_t bad[DRIVES] = {3, 3, 30};
    for (int round = 0; round < 10; round++) {
        read_for(world, 35, bad);
        read_for(world, 25, well);
        assert_false(mkv_watch_drive_is_slow(world->watch, 2));
    }
}

static void test_watch__all_slow_or_nobody_to_compare_with__not_slow(void **state) {
    struct world *world = *state;
    const uint64_t all[DRIVES] = {300, 300, 300};
    const uint64_t alone[DRIVES] = {0, 0, 300};
    read_for(world, 100, all);
    assert_int_equal(finding_count(world), 0);
    read_for(world, 100, alone);
    assert_int_equal(finding_count(world), 0);
}

static void test_watch__a_slow_drive_that_idles__not_slow_any_more(void **state) {
    struct world *world = *state;
    const uint64_t bad[DRIVES] = {3, 3, 30};
    read_for(world, 100, bad);
    assert_true(mkv_watch_drive_is_slow(world->watch, 2));
    pass(world, 75);
    assert_false(mkv_watch_drive_is_slow(world->watch, 2));
}

/* ---- sharing --------------------------------------------------------------------------------- */

/* So many seconds in which so many blocks are stored, and keys missed and found, each second. */
static void share_for(struct world *world, uint64_t seconds, uint64_t stored, uint64_t unknown,
                      uint64_t evicted, uint64_t hits) {
    struct mkv_front_stats *front = &world->snapshot->front;
    for (uint64_t second = 0; second < seconds; second++) {
        front->items_finished[MKV_OP_PUT][MKV_STATUS_OK] += stored;
        front->keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_UNKNOWN] += unknown;
        front->keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_EVICTED] += evicted;
        front->keys_by_miss[MKV_OP_LOOKUP][MKV_MISS_NONE] += hits;
        pass(world, 1);
    }
}

static bool nothing_shared(struct world *world) {
    return found(world, MKV_ADMIN_WARNING_NO_SHARED_HITS, MKV_NONE_U32) != NULL;
}

static void test_watch__nothing_is_shared__after_ten_minutes_until_a_key_is_found(void **state) {
    struct world *world = *state;
    share_for(world, 595, 2, 1, 0, 0);
    assert_false(nothing_shared(world));
    share_for(world, 20, 2, 1, 0, 0);
    assert_true(nothing_shared(world));
    share_for(world, 1, 2, 1, 0, 1);
    assert_false(nothing_shared(world));
    share_for(world, 590, 2, 1, 0, 0);
    assert_false(nothing_shared(world));
    share_for(world, 40, 2, 1, 0, 0);
    assert_true(nothing_shared(world)); /* that was more than ten minutes ago */
    share_for(world, 620, 0, 0, 0, 0);
    assert_false(nothing_shared(world));
}

static void test_watch__few_stores_or_other_misses__not_said_to_share_nothing(void **state) {
    struct world *world = *state;
    share_for(world, 650, 1, 1, 0, 0); /* 600 blocks in the window */
    assert_false(nothing_shared(world));
    share_for(world, 650, 2, 90, 10, 0); /* a tenth was there once */
    assert_false(nothing_shared(world));
    share_for(world, 650, 2, 0, 0, 0); /* nobody asks */
    assert_false(nothing_shared(world));
}

/* ---- figures --------------------------------------------------------------------------------- */

static void test_watch__recent_figures__of_the_window(void **state) {
    struct world *world = *state;
    struct mkv_admin_snapshot *out = calloc(1, sizeof *out);
    assert_non_null(out);
    out->drive_count = DRIVES;
    world->snapshot->tenant_count = 1;
    struct mkv_admin_tenant *tenant = &world->snapshot->tenants[0];
    snprintf(tenant->name, sizeof tenant->name, "batch");
    tenant->asked.keys_from_memory = 1000;
    out->tenant_count = 1;
    snprintf(out->tenants[0].name, sizeof out->tenants[0].name, "batch");
    mkv_watch_recent(world->watch, out);
    assert_int_equal(out->recent.window_ns, 0);
    assert_true(out->recent.residency_s == UINT64_MAX);
    share_for(world, 650, 0, 3, 1, 0); /* these leave the window */
    const uint64_t reads[DRIVES] = {3, 0, 30};
    read_for(world, 100, reads);
    world->snapshot->drives[1].volume.evicted_lifetime.counts[3] += 10; /* 4 s to 8 s */
    tenant->asked.keys_from_drive += 40;
    tenant->asked.keys_missed += 10;
    tenant->evicted_total += 5;
    share_for(world, 505, 0, 0, 0, 2);
    mkv_watch_recent(world->watch, out);
    assert_in_range(out->recent.window_ns, 600 * S, 620 * S);
    assert_int_equal(out->recent.keys_miss, out->recent.keys_by_miss[MKV_MISS_UNKNOWN] +
                                                out->recent.keys_by_miss[MKV_MISS_EVICTED]);
    assert_in_range(out->recent.keys_miss, 0, 20);
    assert_int_equal(out->recent.keys_drive, 505 * 2);
    assert_in_range(out->recent.residency_s, 4, 8);
    assert_int_equal(out->tenants[0].recent.keys_found, 40);
    assert_int_equal(out->tenants[0].recent.keys_missed, 10);
    assert_int_equal(out->tenants[0].recent.evicted, 5);
    assert_int_equal(out->drives[0].recent.read_bytes_s, 0); /* the last minute was quiet */
    assert_int_equal(out->drives[0].recent.read_p99_ns, 0);
    read_for(world, 75, reads);
    mkv_watch_recent(world->watch, out);
    assert_in_range(out->drives[0].recent.read_bytes_s, 9900, 10100);
    assert_in_range(out->drives[0].recent.read_p99_ns, 2 * MS, 5 * MS);
    assert_in_range(out->drives[2].recent.read_p99_ns, 20 * MS, 50 * MS);
    assert_int_equal(out->drives[1].recent.read_bytes_s, 0);
    free(out);
}

static void test_watch__drives_come_and_go__counted_while_the_node_serves(void **state) {
    struct world *world = *state;
    struct mkv_admin_snapshot *snapshot = world->snapshot;
    snapshot->state = MKV_ADMIN_NODE_RECOVERING;
    snapshot->drives[0].state = MKV_DRIVE_STATE_RECOVERING;
    pass(world, 1);
    snapshot->state = MKV_ADMIN_NODE_SERVING;
    snapshot->drives[0].state = MKV_DRIVE_STATE_ONLINE;
    pass(world, 1);
    assert_int_equal(mkv_watch_transitions(world->watch, true), 0);
    snapshot->state = MKV_ADMIN_NODE_DEGRADED;
    snapshot->drives[0].state = MKV_DRIVE_STATE_FAILED;
    snapshot->drives[2].state = MKV_DRIVE_STATE_NEW;
    pass(world, 3);
    assert_int_equal(mkv_watch_transitions(world->watch, false), 2);
    snapshot->drives[2].state = MKV_DRIVE_STATE_ONLINE;
    pass(world, 3);
    assert_int_equal(mkv_watch_transitions(world->watch, true), 1);
    snapshot->state = MKV_ADMIN_NODE_DRAINING;
    snapshot->drives[2].state = MKV_DRIVE_STATE_DRAINING;
    pass(world, 1);
    assert_int_equal(mkv_watch_transitions(world->watch, false), 2);
}

static void test_quantile__known_values__between_their_bounds(void **state) {
    (void)state;
    struct mkv_histogram before = {.sum = 0};
    struct mkv_histogram now = {.sum = 0};
    assert_int_equal(mkv_watch_quantile_ns(&before, &now, 990), 0);
    mkv_histogram_record_ns(&before, 1000 * S); /* beyond all bounds; in both */
    now = before;
    for (uint32_t index = 0; index < 98; index++) {
        mkv_histogram_record_ns(&now, 3 * MS);
    }
    mkv_histogram_record_ns(&now, 15 * MS);
    mkv_histogram_record_ns(&now, 15 * MS);
    assert_in_range(mkv_watch_quantile_ns(&before, &now, 500), 2 * MS, 5 * MS);
    assert_in_range(mkv_watch_quantile_ns(&before, &now, 980), 2 * MS, 5 * MS);
    assert_in_range(mkv_watch_quantile_ns(&before, &now, 990), 10 * MS, 20 * MS);
    mkv_histogram_record_ns(&now, 1000 * S);
    assert_int_equal(mkv_watch_quantile_ns(&before, &now, 1000),
                     mkv_histogram_bound_ns(MKV_HISTOGRAM_BOUNDS - 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_watch__all_is_well__nothing_found),
        TEST(test_watch__a_quiet_shard__stalled_from_the_bound_on),
        TEST(test_watch__a_journal_fills_up__until_it_is_well_below),
        TEST(test_watch__slots_without_numbers__found_while_extents_are_free),
        TEST(test_watch__stalls_and_directories__as_the_volume_says),
        TEST(test_watch__a_slow_drive__after_a_minute_and_until_it_is_well_for_one),
        TEST(test_watch__a_slow_drive__for_how_long),
        TEST(test_watch__a_drive_is_opened_again__its_counts_begin_anew),
        TEST(test_watch__slow_now_and_then__not_slow),
        TEST(test_watch__all_slow_or_nobody_to_compare_with__not_slow),
        TEST(test_watch__a_slow_drive_that_idles__not_slow_any_more),
        TEST(test_watch__nothing_is_shared__after_ten_minutes_until_a_key_is_found),
        TEST(test_watch__few_stores_or_other_misses__not_said_to_share_nothing),
        TEST(test_watch__recent_figures__of_the_window),
        TEST(test_watch__drives_come_and_go__counted_while_the_node_serves),
        cmocka_unit_test(test_quantile__known_values__between_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
