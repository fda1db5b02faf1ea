/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/drive_sim.h"

#include "tests/unit/sim/test.h"

#define UNITS 16u

struct bench {
    struct mkv_drive_sim *drive;
    struct mkv_guard guard;
    uint8_t *arena;
    uint64_t now_ns;
};

static struct mkv_drive_ends ends;

static void bench_make(struct bench *bench) {
    static const struct mkv_drive_profile profile = {
        .capacity_units = UNITS,
        .volatile_cache = true,
        .tear_bytes = MKV_UNIT_BYTES,
        .read_ns = 1,
        .write_ns = 1,
        .flush_ns = 1,
    };
    struct mkv_memory *memory = test_memory();
    struct mkv_random random;
    mkv_random_seed(&random, 1, MKV_CONCERN_DRIVE);
    *bench = (struct bench){0};
    bench->drive = mkv_drive_sim_create(memory, &profile, &random, &bench->guard);
    bench->arena = mkv_memory_take(memory, UNITS * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    const struct mkv_drive_memory_map map = {.arena = bench->arena,
                                             .arena_bytes = UNITS * MKV_UNIT_BYTES};
    mkv_drive_sim_attach(bench->drive, &map);
}

static void submit(struct bench *bench, enum mkv_effect_kind kind, uint64_t unit, uint32_t count,
                   uint8_t fill) {
    memset(bench->arena + unit * MKV_UNIT_BYTES, fill, (size_t)count * MKV_UNIT_BYTES);
    const struct mkv_effect effect = {
        .kind = kind,
        .op = {1, 1},
        .drive = {.memory = MKV_DRIVE_META,
                  .lba = {unit},
                  .unit_count = count,
                  .meta_offset = unit * MKV_UNIT_BYTES},
    };
    bench->now_ns += 1000;
    mkv_drive_sim_submit(bench->drive, &effect, 0, bench->now_ns);
}

static void complete(struct bench *bench) {
    struct mkv_drive_sim_done done;
    mkv_drive_sim_complete(bench->drive, &done);
}

static void write_units(struct bench *bench, uint64_t unit, uint32_t count, uint8_t fill) {
    submit(bench, MKV_EFFECT_DRIVE_WRITE, unit, count, fill);
    complete(bench);
}

static uint8_t durable(const struct bench *bench, uint64_t unit) {
    return mkv_drive_sim_durable_unit(bench->drive, unit)[0];
}

/* Units 0 and 1 hold 1, 2 or 3; unit 2, in flight, 0 or 4; unit 3 was written as it was. */
static void bench_with_pending(struct bench *bench) {
    bench_make(bench);
    write_units(bench, 0, 4, 1);
    submit(bench, MKV_EFFECT_DRIVE_FLUSH, 0, 0, 0);
    complete(bench);
    write_units(bench, 0, 2, 2);
    write_units(bench, 0, 1, 3);
    write_units(bench, 3, 1, 1);
    submit(bench, MKV_EFFECT_DRIVE_WRITE, 2, 1, 4);
}

static void test_ends__pending_versions__each_image_is_one_end_by_power(void **state) {
    (void)state;
    bool seen[5][5][5] = {0};
    for (uint64_t end = 0; end < 12; end++) {
        struct bench bench;
        bench_with_pending(&bench);
        mkv_drive_sim_choose_end(bench.drive, end, &ends);
        mkv_drive_sim_crash(bench.drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
        assert_int_equal(ends.power, 3 * 2 * 2);
        assert_int_equal(ends.kill, 3);
        assert_int_equal(ends.count, 12 + 3);
        const uint8_t first = durable(&bench, 0);
        const uint8_t second = durable(&bench, 1);
        const uint8_t third = durable(&bench, 2);
        assert_in_range(first, 1, 3);
        assert_in_range(second, 1, 2);
        assert_true(third == 1 || third == 4);
        assert_int_equal(durable(&bench, 3), 1);
        assert_false(seen[first][second][third]);
        seen[first][second][third] = true;
        assert_true(end > 0 || (first == 1 && second == 1 && third == 1));
        assert_true(mkv_drive_sim_state_hash(bench.drive) == ends.items[end].state_hash);
    }
}

static void test_ends__kill__has_what_is_in_flight_now_later_or_never(void **state) {
    (void)state;
    for (uint64_t fate = 0; fate < 3; fate++) {
        struct bench bench;
        bench_with_pending(&bench);
        mkv_drive_sim_choose_end(bench.drive, 12 + fate, &ends);
        mkv_drive_sim_crash(bench.drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
        assert_true(mkv_drive_sim_state_hash(bench.drive) == ends.items[12 + fate].state_hash);
        assert_int_equal(mkv_drive_sim_unit(bench.drive, 0)[0], 3); /* the cache is still there */
        assert_int_equal(mkv_drive_sim_unit(bench.drive, 2)[0], fate == 0 ? 4 : 1);
        submit(&bench, MKV_EFFECT_DRIVE_FLUSH, 0, 0, 0);
        assert_int_equal(mkv_drive_sim_unit(bench.drive, 2)[0], fate == 2 ? 1 : 4);
    }
}

static void test_ends__more_than_are_listed__are_taken_at_equal_distances(void **state) {
    (void)state;
    struct bench bench;
    bench_make(&bench);
    write_units(&bench, 0, 12, 1);
    mkv_drive_sim_choose_end(bench.drive, 4095, &ends);
    mkv_drive_sim_crash(bench.drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
    assert_int_equal(ends.power, 4096);
    assert_int_equal(ends.kill, 1);
    assert_int_equal(ends.count, MKV_DRIVE_SIM_ENDS_MAX + 1);
    assert_int_equal(ends.items[0].end, 0);
    assert_int_equal(ends.items[1].end, 4);
    assert_int_equal(ends.items[MKV_DRIVE_SIM_ENDS_MAX].end, 4096);
    for (uint32_t unit = 0; unit < 12; unit++) {
        assert_int_equal(durable(&bench, unit), 1);
    }
}

static void test_choose_end__behind_the_last__is_the_first_again(void **state) {
    (void)state;
    struct bench bench;
    bench_with_pending(&bench);
    mkv_drive_sim_choose_end(bench.drive, 15 + 14, &ends);
    mkv_drive_sim_crash(bench.drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
    assert_true(mkv_drive_sim_state_hash(bench.drive) == ends.items[14].state_hash);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends__pending_versions__each_image_is_one_end_by_power),
        cmocka_unit_test(test_ends__kill__has_what_is_in_flight_now_later_or_never),
        cmocka_unit_test(test_ends__more_than_are_listed__are_taken_at_equal_distances),
        cmocka_unit_test(test_choose_end__behind_the_last__is_the_first_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
