/* SPDX-License-Identifier: Apache-2.0 */
/* What a drive with faults does to operations; each test decides itself which one is struck. */
#include "sim/drive_sim.h"

#include "tests/unit/sim/test.h"

#define ARENA_UNITS 16u
#define DATA_UNIT 66u

static const struct mkv_geometry geometry = {
    .capacity_units = 16 + 16 + 2 * (1 + 1 + 4) + 16 + 32 + 9,
    .ring_blocks = 8,
    .page_count = 4,
    .extent_units = 8,
    .extent_count = 4,
    .tenant_units = 1,
    .directory_units = 16,
};

struct bench {
    struct mkv_drive_sim *drive;
    struct mkv_guard guard;
    struct mkv_faults faults;
    uint8_t *arena;
    uint64_t now_ns;
    uint64_t meta_offset; /* of the next operation */
};

static struct bench *make(enum mkv_fault fault, uint64_t seed) {
    struct mkv_memory *memory = test_memory();
    struct bench *bench = mkv_memory_take(memory, sizeof *bench, 64);
    memset(bench, 0, sizeof *bench);
    const struct mkv_drive_profile profile = {
        .capacity_units = (uint32_t)geometry.capacity_units,
        .volatile_cache = true,
        .tear_bytes = 512,
        .read_ns = 1,
        .write_ns = 1,
        .flush_ns = 1,
    };
    struct mkv_fault_plan plan = {.mask = 1u << fault};
    for (uint32_t each = 0; each < MKV_FAULT_COUNT; each++) {
        plan.one_in[each] = 1; /* strikes whatever it can */
    }
    struct mkv_random random;
    mkv_random_seed(&random, seed, MKV_CONCERN_DRIVE);
    mkv_faults_init(&bench->faults, memory, &plan, &geometry, 512, &random);
    bench->faults.calm = true;
    bench->drive = mkv_drive_sim_create(memory, &profile, &random, &bench->guard);
    mkv_drive_sim_set_faults(bench->drive, memory, &bench->faults);
    bench->arena = mkv_memory_take(memory, ARENA_UNITS * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    const struct mkv_drive_memory_map map = {
        .arena = bench->arena,
        .arena_bytes = ARENA_UNITS * MKV_UNIT_BYTES,
    };
    mkv_drive_sim_attach(bench->drive, &map);
    return bench;
}

static void submit(struct bench *bench, enum mkv_effect_kind kind, uint64_t unit, uint32_t count) {
    const struct mkv_effect effect = {
        .kind = kind,
        .drive = {.memory = MKV_DRIVE_META,
                  .lba = {unit},
                  .unit_count = count,
                  .meta_offset = bench->meta_offset},
    };
    bench->now_ns += 1000;
    mkv_drive_sim_submit(bench->drive, &effect, 1, bench->now_ns);
}

static enum mkv_io_result end(struct bench *bench) {
    struct mkv_drive_sim_done done;
    mkv_drive_sim_complete(bench->drive, &done);
    return done.done.result;
}

static enum mkv_io_result do_write(struct bench *bench, uint64_t unit, uint32_t count,
                                   uint8_t fill) {
    memset(bench->arena, fill, (size_t)count * MKV_UNIT_BYTES);
    submit(bench, MKV_EFFECT_DRIVE_WRITE, unit, count);
    return end(bench);
}

static enum mkv_io_result do_read(struct bench *bench, uint64_t unit, uint32_t count) {
    submit(bench, MKV_EFFECT_DRIVE_READ, unit, count);
    return end(bench);
}

static enum mkv_io_result do_flush(struct bench *bench) {
    submit(bench, MKV_EFFECT_DRIVE_FLUSH, 0, 0);
    return end(bench);
}

/* The same, struck by the fault. */
#define STRUCK(bench, call) ((bench)->faults.calm = false, strike((bench), (call)))
static enum mkv_io_result strike(struct bench *bench, enum mkv_io_result result) {
    bench->faults.calm = true;
    return result;
}

static uint8_t seen(const struct bench *bench, uint64_t unit) {
    return mkv_drive_sim_unit(bench->drive, unit)[0];
}
static uint8_t durable(const struct bench *bench, uint64_t unit) {
    return mkv_drive_sim_durable_unit(bench->drive, unit)[0];
}

static void test_lost_write__reports_success_and_leaves_units_as_they_were(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_LOST_WRITE, 1);
    assert_int_equal(do_write(bench, DATA_UNIT, 3, 0xa1), MKV_IO_OK);
    assert_int_equal(STRUCK(bench, do_write(bench, DATA_UNIT, 3, 0xb2)), MKV_IO_OK);
    uint32_t old = 0;
    for (uint32_t unit = 0; unit < 3; unit++) {
        const bool lost = seen(bench, DATA_UNIT + unit) == 0xa1;
        assert_int_equal(
            lost, mkv_faults_any_flag(&bench->faults, DATA_UNIT + unit, 1, MKV_UNIT_DAMAGED));
        old += lost;
    }
    assert_true(old > 0);
    assert_int_equal(bench->faults.hits[MKV_FAULT_LOST_WRITE], 1);
    assert_int_equal(do_write(bench, DATA_UNIT, 3, 0xc3), MKV_IO_OK);
    assert_int_equal(seen(bench, DATA_UNIT + 2), 0xc3);
    assert_false(mkv_faults_any_flag(&bench->faults, DATA_UNIT, 3, MKV_UNIT_DAMAGED));
}

static void test_misdirected_write__lands_elsewhere(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_MISDIRECTED_WRITE, 2);
    assert_int_equal(STRUCK(bench, do_write(bench, DATA_UNIT, 2, 0xb2)), MKV_IO_OK);
    assert_int_equal(do_flush(bench), MKV_IO_OK);
    assert_int_equal(durable(bench, DATA_UNIT), 0);
    uint32_t elsewhere = 0;
    for (uint64_t unit = 0; unit < geometry.capacity_units; unit++) {
        elsewhere += durable(bench, unit) == 0xb2;
        assert_int_equal(durable(bench, unit) == 0xb2 || unit == DATA_UNIT || unit == DATA_UNIT + 1,
                         mkv_faults_any_flag(&bench->faults, unit, 1, MKV_UNIT_DAMAGED));
    }
    assert_int_equal(elsewhere, 2);
}

static void test_short_write__leaves_its_first_units(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct bench *bench = make(MKV_FAULT_SHORT_WRITE, seed);
        assert_int_equal(STRUCK(bench, do_write(bench, DATA_UNIT, 4, 0xb2)), MKV_IO_DEVICE);
        uint32_t arrived = 0;
        while (arrived < 4 && seen(bench, DATA_UNIT + arrived) == 0xb2) {
            arrived++;
        }
        assert_true(arrived < 4);
        for (uint32_t unit = arrived; unit < 4; unit++) {
            assert_int_equal(seen(bench, DATA_UNIT + unit), 0);
        }
    }
}

/* By then nothing is late any more. */
#define LATE_FLUSHES 24u

static void test_failed_writes__say_why_and_leave_any_part(void **state) {
    (void)state;
    static const struct {
        enum mkv_fault fault;
        enum mkv_io_result result;
        bool late;
    } kinds[] = {
        {MKV_FAULT_WRITE_MEDIUM, MKV_IO_MEDIUM, false},
        {MKV_FAULT_WRITE_DEVICE, MKV_IO_DEVICE, true},
        {MKV_FAULT_NO_ROOM, MKV_IO_NO_ROOM, false},
        {MKV_FAULT_TIMEOUT, MKV_IO_TIMEOUT, true},
    };
    for (uint32_t index = 0; index < sizeof kinds / sizeof kinds[0]; index++) {
        bool now = false;
        bool later = false;
        bool much_later = false;
        bool never = false;
        for (uint64_t seed = 1; seed < 60; seed++) {
            struct bench *bench = make(kinds[index].fault, seed);
            assert_int_equal(STRUCK(bench, do_write(bench, DATA_UNIT, 1, 0xb2)),
                             kinds[index].result);
            const bool there = seen(bench, DATA_UNIT) == 0xb2;
            assert_int_equal(do_flush(bench), MKV_IO_OK);
            const bool there_then = durable(bench, DATA_UNIT) == 0xb2;
            for (uint32_t flush = 0; flush < LATE_FLUSHES; flush++) {
                assert_int_equal(do_flush(bench), MKV_IO_OK);
            }
            const bool there_at_last = durable(bench, DATA_UNIT) == 0xb2;
            now = now || there;
            later = later || (!there && there_then);
            much_later = much_later || (!there_then && there_at_last);
            never = never || !there_at_last;
        }
        assert_true(now && never);
        assert_int_equal(later, kinds[index].late);
        assert_int_equal(much_later, kinds[index].late);
    }
}

static void test_flush_error__persists_some_and_loses_some(void **state) {
    (void)state;
    bool persisted = false;
    bool kept = false;
    bool lost = false;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct bench *bench = make(MKV_FAULT_FLUSH_ERROR, seed);
        assert_int_equal(do_write(bench, DATA_UNIT, 4, 0xb2), MKV_IO_OK);
        assert_int_equal(STRUCK(bench, do_flush(bench)), MKV_IO_DEVICE);
        for (uint32_t unit = DATA_UNIT; unit < DATA_UNIT + 4; unit++) {
            persisted = persisted || durable(bench, unit) == 0xb2;
            kept = kept || (durable(bench, unit) == 0 && seen(bench, unit) == 0xb2);
            lost = lost || seen(bench, unit) == 0;
        }
        assert_int_equal(bench->faults.errors_life, 1);
    }
    assert_true(persisted && kept && lost);
}

static void test_lying_flush__reports_success_and_persists_nothing(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_LYING_FLUSH, 1);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xb2), MKV_IO_OK);
    assert_int_equal(STRUCK(bench, do_flush(bench)), MKV_IO_OK);
    assert_int_equal(durable(bench, DATA_UNIT), 0);
    assert_int_equal(bench->faults.hits[MKV_FAULT_LYING_FLUSH], 1);
    assert_int_equal(do_flush(bench), MKV_IO_OK);
    assert_int_equal(durable(bench, DATA_UNIT), 0xb2);
}

static void test_read_medium__stays_until_the_unit_is_written(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_READ_MEDIUM, 1);
    assert_int_equal(STRUCK(bench, do_read(bench, DATA_UNIT, 1)), MKV_IO_MEDIUM);
    assert_int_equal(do_read(bench, DATA_UNIT, 1), MKV_IO_MEDIUM);
    assert_int_equal(do_read(bench, DATA_UNIT - 1, 3), MKV_IO_MEDIUM);
    assert_int_equal(do_read(bench, DATA_UNIT + 1, 1), MKV_IO_OK);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xb2), MKV_IO_OK);
    assert_int_equal(do_read(bench, DATA_UNIT, 1), MKV_IO_OK);
    assert_int_equal(bench->arena[0], 0xb2);
}

static void test_read_device__works_again(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_READ_DEVICE, 1);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xb2), MKV_IO_OK);
    assert_int_equal(STRUCK(bench, do_read(bench, DATA_UNIT, 1)), MKV_IO_DEVICE);
    assert_int_equal(do_read(bench, DATA_UNIT, 1), MKV_IO_OK);
    assert_int_equal(bench->arena[0], 0xb2);
}

static void test_stale_read__brings_what_was_there_before(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_STALE_READ, 1);
    for (uint8_t fill = 1; fill <= 3; fill++) {
        assert_int_equal(do_write(bench, DATA_UNIT, 1, fill), MKV_IO_OK);
        assert_int_equal(do_flush(bench), MKV_IO_OK);
    }
    assert_int_equal(STRUCK(bench, do_read(bench, DATA_UNIT, 1)), MKV_IO_OK);
    assert_int_equal(bench->arena[0], 2);
    assert_int_equal(do_read(bench, DATA_UNIT, 1), MKV_IO_OK);
    assert_int_equal(bench->arena[0], 3);
    assert_int_equal(bench->faults.hits[MKV_FAULT_STALE_READ], 1);
}

static void test_misdirected_read__brings_other_units(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_MISDIRECTED_READ, 1);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xb2), MKV_IO_OK);
    assert_int_equal(STRUCK(bench, do_read(bench, DATA_UNIT, 1)), MKV_IO_OK);
    assert_int_equal(bench->arena[0], 0); /* all others are zeros */
    assert_int_equal(seen(bench, DATA_UNIT), 0xb2);
}

static void test_gone__fails_what_is_in_flight_and_what_follows(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_GONE, 1);
    submit(bench, MKV_EFFECT_DRIVE_READ, DATA_UNIT, 1);
    bench->faults.calm = false;
    submit(bench, MKV_EFFECT_DRIVE_FLUSH, 0, 0);
    bench->faults.calm = true;
    assert_int_equal(end(bench), MKV_IO_GONE);
    assert_int_equal(end(bench), MKV_IO_GONE);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xb2), MKV_IO_GONE);
    (void)mkv_faults_opening(&bench->faults);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xc3), MKV_IO_OK);
}

static void test_read_only__takes_no_write_and_still_reads(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_READ_ONLY, 1);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xa1), MKV_IO_OK);
    assert_int_equal(STRUCK(bench, do_write(bench, DATA_UNIT, 1, 0xb2)), MKV_IO_READ_ONLY);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xc3), MKV_IO_READ_ONLY);
    assert_int_equal(do_read(bench, DATA_UNIT, 1), MKV_IO_OK);
    assert_int_equal(bench->arena[0], 0xa1);
}

static void test_old_image__is_what_was_durable_when_it_was_kept(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_OLD_IMAGE, 1);
    assert_false(mkv_drive_sim_put_image_back(bench->drive));
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xa1), MKV_IO_OK);
    assert_int_equal(do_flush(bench), MKV_IO_OK);
    const uint64_t hash = mkv_drive_sim_image_hash(bench->drive);
    mkv_drive_sim_keep_image(bench->drive);
    assert_int_equal(do_write(bench, DATA_UNIT, 2, 0xb2), MKV_IO_OK);
    assert_int_equal(do_flush(bench), MKV_IO_OK);
    assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xc3), MKV_IO_OK);
    assert_true(mkv_drive_sim_put_image_back(bench->drive));
    assert_int_equal(seen(bench, DATA_UNIT), 0xa1);
    assert_int_equal(seen(bench, DATA_UNIT + 1), 0);
    assert_true(mkv_drive_sim_image_hash(bench->drive) == hash);
}

/* What units that held 0xa1 hold behind a trim: bit 0 that, bit 1 zeros, bit 2 anything else. */
static uint32_t trim_results(enum mkv_fault fault, enum mkv_io_result result) {
    uint32_t kinds = 0;
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct bench *bench = make(fault, seed);
        for (uint32_t unit = 0; unit < geometry.capacity_units; unit++) {
            assert_int_equal(do_write(bench, unit, 1, (uint8_t)(unit + 1)), MKV_IO_OK);
        }
        assert_int_equal(do_write(bench, DATA_UNIT, 4, 0xa1), MKV_IO_OK);
        bench->faults.calm = false;
        submit(bench, MKV_EFFECT_DRIVE_TRIM, DATA_UNIT, 4);
        bench->faults.calm = true;
        assert_int_equal(end(bench), result);
        assert_int_equal(bench->faults.hits[fault], 1);
        for (uint32_t unit = DATA_UNIT; unit < DATA_UNIT + 4; unit++) {
            const uint8_t byte = seen(bench, unit);
            kinds |= byte == 0xa1 ? 1u : byte == 0 ? 2u : 4u;
        }
        assert_int_equal(seen(bench, DATA_UNIT + 4), DATA_UNIT + 5); /* behind it nothing is */
    }
    return kinds;
}

static void test_trim__each_kind__leaves_what_it_may(void **state) {
    (void)state;
    assert_int_equal(trim_results(MKV_FAULT_TRIM_IGNORED, MKV_IO_OK), 1);
    assert_int_equal(trim_results(MKV_FAULT_TRIM_PARTIAL, MKV_IO_OK), 1 | 2);
    assert_int_equal(trim_results(MKV_FAULT_TRIM_ARBITRARY, MKV_IO_OK), 1 | 2 | 4);
    assert_int_equal(trim_results(MKV_FAULT_TRIM_ERROR, MKV_IO_DEVICE), 1 | 2);
}

static void test_timeout__trim__may_change_units_that_were_written_since(void **state) {
    (void)state;
    bool late = false;
    bool much_later = false;
    bool never = false;
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct bench *bench = make(MKV_FAULT_TRIM_TIMEOUT, seed);
        assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xa1), MKV_IO_OK);
        bench->faults.calm = false;
        submit(bench, MKV_EFFECT_DRIVE_TRIM, DATA_UNIT, 1);
        bench->faults.calm = true;
        assert_int_equal(end(bench), MKV_IO_TIMEOUT);
        assert_int_equal(do_write(bench, DATA_UNIT, 1, 0xb2), MKV_IO_OK);
        assert_int_equal(seen(bench, DATA_UNIT), 0xb2);
        assert_int_equal(do_flush(bench), MKV_IO_OK);
        const bool was_there = durable(bench, DATA_UNIT) == 0xb2; /* and was flushed */
        late = late || durable(bench, DATA_UNIT) == 0;
        for (uint32_t flush = 0; flush < LATE_FLUSHES; flush++) {
            assert_int_equal(do_flush(bench), MKV_IO_OK);
        }
        much_later = much_later || (was_there && durable(bench, DATA_UNIT) == 0);
        never = never || durable(bench, DATA_UNIT) == 0xb2;
    }
    assert_true(late && much_later && never);
}

static void test_order__without_reordering__is_that_of_submission(void **state) {
    (void)state;
    struct bench *bench = make(MKV_FAULT_STALLED, 1);
    bench->faults.calm = false;
    submit(bench, MKV_EFFECT_DRIVE_WRITE, DATA_UNIT, 1);
    bench->faults.calm = true;
    const uint64_t stalled_ns = mkv_drive_sim_due_ns(bench->drive);
    assert_true(stalled_ns > 1000000);
    assert_int_equal(bench->faults.hits[MKV_FAULT_STALLED], 1);
    bench->meta_offset = MKV_UNIT_BYTES;
    submit(bench, MKV_EFFECT_DRIVE_READ, DATA_UNIT + 4, 1);
    assert_true(mkv_drive_sim_due_ns(bench->drive) == stalled_ns); /* the read waits behind it */
    assert_int_equal(end(bench), MKV_IO_OK);
    assert_true(mkv_drive_sim_due_ns(bench->drive) > stalled_ns);
    assert_int_equal(end(bench), MKV_IO_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_write__reports_success_and_leaves_units_as_they_were),
        cmocka_unit_test(test_misdirected_write__lands_elsewhere),
        cmocka_unit_test(test_short_write__leaves_its_first_units),
        cmocka_unit_test(test_timeout__trim__may_change_units_that_were_written_since),
        cmocka_unit_test(test_failed_writes__say_why_and_leave_any_part),
        cmocka_unit_test(test_flush_error__persists_some_and_loses_some),
        cmocka_unit_test(test_lying_flush__reports_success_and_persists_nothing),
        cmocka_unit_test(test_read_medium__stays_until_the_unit_is_written),
        cmocka_unit_test(test_read_device__works_again),
        cmocka_unit_test(test_stale_read__brings_what_was_there_before),
        cmocka_unit_test(test_misdirected_read__brings_other_units),
        cmocka_unit_test(test_gone__fails_what_is_in_flight_and_what_follows),
        cmocka_unit_test(test_read_only__takes_no_write_and_still_reads),
        cmocka_unit_test(test_old_image__is_what_was_durable_when_it_was_kept),
        cmocka_unit_test(test_trim__each_kind__leaves_what_it_may),
        cmocka_unit_test(test_order__without_reordering__is_that_of_submission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
