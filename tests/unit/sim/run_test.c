/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/run.h"

#include "sim/evictions.h"
#include "tests/unit/sim/test.h"

static void test_run_seed__again_in_other_memory__has_the_same_trace(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct mkv_seed_outcome first;
        struct mkv_seed_outcome again;
        mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 0, &first);
        mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 200, &again);
        if (first.failed) {
            fail_msg("seed %u: %s", (unsigned)seed, first.failure.text);
        }
        assert_true(first.report.trace_hash == again.report.trace_hash);
        assert_true(first.report.crashes == first.shape.crashes_max);
        assert_true(first.report.operations > 0);
        assert_true(first.report.evaluations > first.report.crashes);
    }
}

#define STRIKE_SEEDS_MAX 64u
#define SWARM_SEEDS 800u

/* A fault that never strikes shows nothing, and nobody would notice. */
static void test_run_seed__one_fault_on__strikes_and_no_other_does(void **state) {
    (void)state;
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        const struct mkv_run_choice choice = {.has_faults = true, .fault_mask = 1ull << fault};
        const bool is_of_lanes = fault >= MKV_FAULT_DRIVE_COUNT;
        uint64_t hits = 0;
        uint32_t runs = 0;
        for (uint64_t seed = 1; hits == 0 && runs < STRIKE_SEEDS_MAX; seed++) {
            struct mkv_seed_outcome outcome;
            mkv_shape_draw(&outcome.shape, seed);
            if ((outcome.shape.world == MKV_WORLD_LANES) != is_of_lanes) {
                continue;
            }
            runs++;
            mkv_run_seed(seed, &choice, test_memory(), NULL, NULL, 0, &outcome);
            if (outcome.failed) {
                fail_msg("seed %u: %s", (unsigned)seed, outcome.failure.text);
            }
            for (uint32_t other = 0; other < MKV_FAULT_COUNT; other++) {
                assert_true(other == fault || outcome.report.hits[other] == 0);
            }
            hits = outcome.report.hits[fault];
        }
        if (hits == 0) {
            fail_msg("%s never strikes", mkv_fault_info((enum mkv_fault)fault)->name);
        }
    }
}

static void test_run_seed__many_seeds_as_drawn__meet_every_fault(void **state) {
    (void)state;
    uint64_t hits[MKV_FAULT_COUNT] = {0};
    const struct mkv_run_choice choice = {.crashes_max = 12};
    for (uint64_t seed = 1; seed <= SWARM_SEEDS; seed++) {
        struct mkv_seed_outcome outcome;
        mkv_run_seed(seed, &choice, test_memory(), NULL, NULL, 0, &outcome);
        for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
            hits[fault] += outcome.report.hits[fault];
        }
    }
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        if (hits[fault] == 0) {
            fail_msg("%s never strikes", mkv_fault_info((enum mkv_fault)fault)->name);
        }
    }
}

/* Seeds of the drive-set world in which an oracle asked for what nobody can promise. */
static void test_run_seed__drives_that_come_back__are_judged_by_what_can_be_known(void **state) {
    (void)state;
    static const uint64_t seeds[] = {
        33922,   /* a word is taken back, and what it kept opens alone */
        2003149, /* a key goes to another drive and back under a read of it */
    };
    for (uint32_t index = 0; index < sizeof seeds / sizeof seeds[0]; index++) {
        const struct mkv_run_choice choice = {0};
        struct mkv_seed_outcome outcome;
        mkv_run_seed(seeds[index], &choice, test_memory(), NULL, NULL, 0, &outcome);
        assert_int_equal(outcome.shape.world, MKV_WORLD_SET);
        if (outcome.failed) {
            fail_msg("seed %u: %s", (unsigned)seeds[index], outcome.failure.text);
        }
    }
}

static void test_run_compare__traces_that_differ__fire_o13(void **state) {
    (void)state;
    struct mkv_seed_outcome first = {.report = {.trace_hash = 5}, .shape = {.seed = 9}};
    struct mkv_seed_outcome again = {.report = {.trace_hash = 5}};
    mkv_run_compare(&first, &again);
    assert_false(first.failed);
    again.report.trace_hash = 6;
    mkv_run_compare(&first, &again);
    assert_true(first.failed);
    assert_int_equal(first.failure.oracle, MKV_ORACLE_SAME_TRACE);
    assert_true(first.failure.seed == 9);
}

static void test_run_compare__second_run_fails_alone__fires_o13(void **state) {
    (void)state;
    struct mkv_seed_outcome first = {.report = {.trace_hash = 5}};
    const struct mkv_seed_outcome again = {.failed = true, .report = {.trace_hash = 5}};
    mkv_run_compare(&first, &again);
    assert_true(first.failed);
    assert_int_equal(first.failure.oracle, MKV_ORACLE_SAME_TRACE);
}

static void test_run_for__a_moment__runs_at_least_one_seed_and_counts_images(void **state) {
    (void)state;
    struct mkv_images images;
    struct mkv_run_outcome run;
    struct mkv_seed_outcome seed;
    assert_true(mkv_images_create(&images));
    mkv_run_for(1, 0.001, NULL, test_memory(), &images, NULL, &run);
    mkv_run_seed(1, NULL, test_memory(), NULL, NULL, 0, &seed);
    assert_true(run.seeds >= 1);
    assert_int_equal(run.failure_count, 0);
    assert_true(run.trace_hash == seed.report.trace_hash);
    assert_true(run.distinct_images > 1);
    assert_true(run.distinct_images <= run.report.crashes);
    assert_true(run.repeats >= 1);
    mkv_images_destroy(&images);
}

static void test_shape__many_seeds__draw_every_world_and_feature(void **state) {
    (void)state;
    uint32_t fronts = 0;
    uint32_t sets = 0;
    uint32_t faulty = 0;
    uint32_t uncached = 0;
    uint32_t colliding = 0;
    uint32_t long_blocks = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct mkv_shape shape;
        struct mkv_shape again;
        mkv_shape_draw(&shape, seed);
        mkv_shape_draw(&again, seed);
        assert_int_equal(shape.crash_span, again.crash_span);
        assert_true(mkv_geometry_valid(&shape.geometry));
        assert_true(shape.colliding <= shape.key_count);
        fronts += shape.world == MKV_WORLD_FRONT;
        sets += shape.world == MKV_WORLD_SET;
        faulty += mkv_promise_of(shape.faults.mask) != MKV_PROMISE_CRASH_ONLY;
        uncached += !shape.profile.volatile_cache;
        colliding += shape.colliding > 0;
        long_blocks += shape.length_max > MKV_CHUNK_BYTES_MIN;
    }
    assert_true(fronts > 50 && sets > 15 && faulty > 50 && uncached > 50 && colliding > 50 &&
                long_blocks > 20);
}

/* A narrow workload would hide what extents do. */
static void test_run_seed__many_seeds__change_extents_in_every_way(void **state) {
    (void)state;
    struct mkv_world_changes sum = {0};
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct mkv_seed_outcome outcome;
        mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 0, &outcome);
        if (outcome.failed) {
            fail_msg("seed %u: %s", (unsigned)seed, outcome.failure.text);
        }
        mkv_changes_add(&sum, &outcome.report.changes);
    }
    assert_true(sum.extents_given > 100);
    assert_true(sum.extents_given_spanned > 50);
    assert_true(sum.extents_given_back > 100);
    assert_true(sum.extents_emptied > 10);
    assert_true(sum.emptyings_given_up > 2);
    assert_true(sum.evictions > 10);
    assert_true(sum.puts_overtaken > 10);
    assert_true(sum.puts_not_admitted > 10);
    assert_true(sum.scrubbed > 100 && sum.scrub_damaged > 0);
}

static bool meets_all_rows(const struct mkv_world_report *report) {
    bool all = true;
    for (uint32_t row = 0; row < MKV_SET_ROW_COUNT; row++) {
        all = all && report->set_rows[row] > 0;
    }
    return all;
}

/* A row that no run meets is not tested. */
static void test_run_seed__drive_sets__meet_every_row_of_the_decision(void **state) {
    (void)state;
    struct mkv_world_report sum = {0};
    uint32_t runs = 0;
    for (uint64_t seed = 1; runs < 8 || (runs < 80 && !meets_all_rows(&sum)); seed++) {
        struct mkv_shape shape;
        mkv_shape_draw(&shape, seed);
        if (shape.world != MKV_WORLD_SET) {
            continue;
        }
        struct mkv_seed_outcome first;
        struct mkv_seed_outcome again;
        mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 0, &first);
        if (first.failed) {
            fail_msg("seed %u: %s", (unsigned)seed, first.failure.text);
        }
        if (runs < 3) {
            mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 200, &again);
            assert_true(first.report.trace_hash == again.report.trace_hash);
        }
        for (uint32_t row = 0; row < MKV_SET_ROW_COUNT; row++) {
            sum.set_rows[row] += first.report.set_rows[row];
        }
        runs++;
    }
    for (uint32_t row = 0; row < MKV_SET_ROW_COUNT; row++) {
        if (sum.set_rows[row] == 0) {
            fail_msg("no run meets %s", mkv_set_row_name((enum mkv_set_row)row));
        }
    }
}

static void test_images__many_hashes__counts_each_once(void **state) {
    (void)state;
    struct mkv_images images;
    assert_true(mkv_images_create(&images));
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint64_t hash = 0; hash < 100000; hash++) {
            mkv_images_add(&images, hash * 0x9e3779b97f4a7c15ull);
        }
        assert_true(images.count == 100000);
    }
    mkv_images_destroy(&images);
}

static void test_run_decided__bytes__decide_and_none_is_a_run_without_anything(void **state) {
    (void)state;
    static struct mkv_seed_outcome outcome;
    uint8_t bytes[400];
    for (uint32_t index = 0; index < sizeof bytes; index++) {
        bytes[index] =
            index < 6 ? 0 : (uint8_t)(mkv_random_mix(index) >> (index % 3 == 0 ? 0 : 60));
    }
    mkv_run_decided(bytes, 0, test_memory(), NULL, &outcome);
    assert_false(outcome.failed);
    assert_int_equal(outcome.report.crashes, 0);
    assert_int_equal(outcome.report.recoveries_cut, 0);
    const uint64_t nothing = outcome.report.trace_hash;
    mkv_run_decided(bytes, 6, test_memory(), NULL, &outcome); /* shape 0, no faults, either way */
    assert_true(outcome.report.trace_hash == nothing);
    mkv_run_decided(bytes, sizeof bytes, test_memory(), NULL, &outcome);
    assert_false(outcome.failed);
    assert_true(outcome.report.crashes > 0);
    assert_true(outcome.report.operations > 10);
    const uint64_t decided = outcome.report.trace_hash;
    assert_true(decided != nothing);
    mkv_run_decided(bytes, sizeof bytes, test_memory(), NULL, &outcome);
    assert_true(outcome.report.trace_hash == decided);
    bytes[0] = 1; /* another shape */
    mkv_run_decided(bytes, sizeof bytes, test_memory(), NULL, &outcome);
    assert_true(outcome.report.trace_hash != decided);
    bytes[2] = 0xff; /* and faults, which need as many decisions */
    mkv_run_decided(bytes, sizeof bytes, test_memory(), NULL, &outcome);
    assert_int_equal(outcome.shape.faults.mask, 0xff);
    assert_int_equal(outcome.shape.world, MKV_WORLD_VOLUME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_seed__again_in_other_memory__has_the_same_trace),
        cmocka_unit_test(test_run_seed__one_fault_on__strikes_and_no_other_does),
        cmocka_unit_test(test_run_seed__drives_that_come_back__are_judged_by_what_can_be_known),
        cmocka_unit_test(test_run_seed__many_seeds_as_drawn__meet_every_fault),
        cmocka_unit_test(test_run_compare__traces_that_differ__fire_o13),
        cmocka_unit_test(test_run_compare__second_run_fails_alone__fires_o13),
        cmocka_unit_test(test_run_for__a_moment__runs_at_least_one_seed_and_counts_images),
        cmocka_unit_test(test_shape__many_seeds__draw_every_world_and_feature),
        cmocka_unit_test(test_run_seed__many_seeds__change_extents_in_every_way),
        cmocka_unit_test(test_run_seed__drive_sets__meet_every_row_of_the_decision),
        cmocka_unit_test(test_images__many_hashes__counts_each_once),
        cmocka_unit_test(test_run_decided__bytes__decide_and_none_is_a_run_without_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
