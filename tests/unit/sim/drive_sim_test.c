/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/drive_sim.h"

#include "core/hash.h"
#include "core/slot_header.h"
#include "tests/unit/sim/test.h"

#define UNITS 16u
#define ARENA_UNITS 32u
#define SLAB_BYTES (4u * MKV_UNIT_BYTES)
#define SLABS 2u
#define CRASHES 2000u

struct bench {
    struct mkv_drive_sim *drive;
    struct mkv_guard guard;
    uint8_t *arena;
    uint8_t *slabs;
    uint64_t now_ns;
    uint32_t op;
};

static const struct mkv_drive_profile cached = {
    .capacity_units = UNITS,
    .volatile_cache = true,
    .tear_bytes = MKV_UNIT_BYTES,
    .read_ns = 1,
    .write_ns = 1,
    .flush_ns = 1,
};

/* A bench of its own for each test, and within one for each seed. */
static struct bench *bench_make(const struct mkv_drive_profile *profile, uint64_t seed) {
    struct mkv_memory *memory = test_memory();
    struct bench *bench = mkv_memory_take(memory, sizeof *bench, 64);
    memset(bench, 0, sizeof *bench);
    struct mkv_random random;
    mkv_random_seed(&random, seed, MKV_CONCERN_DRIVE);
    bench->drive = mkv_drive_sim_create(memory, profile, &random, &bench->guard);
    bench->arena = mkv_memory_take(memory, ARENA_UNITS * MKV_UNIT_BYTES, MKV_UNIT_BYTES);
    bench->slabs = mkv_memory_take(memory, SLABS * SLAB_BYTES, MKV_UNIT_BYTES);
    const struct mkv_drive_memory_map map = {
        .arena = bench->arena,
        .arena_bytes = ARENA_UNITS * MKV_UNIT_BYTES,
        .slabs = bench->slabs,
        .slabs_bytes = SLABS * SLAB_BYTES,
        .slab_stride = SLAB_BYTES,
    };
    mkv_drive_sim_attach(bench->drive, &map);
    return bench;
}

static uint8_t *meta(struct bench *bench, uint32_t unit) {
    return bench->arena + (size_t)unit * MKV_UNIT_BYTES;
}

static void submit(struct bench *bench, const struct mkv_effect *effect) {
    /* Far enough apart that completions come in the order of submission. */
    bench->now_ns += 1000;
    mkv_drive_sim_submit(bench->drive, effect, 77, bench->now_ns);
}

static struct mkv_effect meta_effect(struct bench *bench, enum mkv_effect_kind kind, uint64_t unit,
                                     uint32_t count, uint32_t meta_unit) {
    return (struct mkv_effect){
        .kind = kind,
        .op = {++bench->op, 1},
        .drive = {.memory = MKV_DRIVE_META,
                  .lba = {unit},
                  .unit_count = count,
                  .meta_offset = (uint64_t)meta_unit * MKV_UNIT_BYTES},
    };
}

/* Hands out a write of units that hold `fill` in every byte. */
static void start_write(struct bench *bench, uint64_t unit, uint32_t count, uint32_t meta_unit,
                        uint8_t fill) {
    memset(meta(bench, meta_unit), fill, (size_t)count * MKV_UNIT_BYTES);
    const struct mkv_effect effect =
        meta_effect(bench, MKV_EFFECT_DRIVE_WRITE, unit, count, meta_unit);
    submit(bench, &effect);
}

static void start_flush(struct bench *bench) {
    const struct mkv_effect effect = {.kind = MKV_EFFECT_DRIVE_FLUSH, .op = {++bench->op, 1}};
    submit(bench, &effect);
}

static struct mkv_drive_sim_done complete(struct bench *bench) {
    struct mkv_drive_sim_done done;
    mkv_drive_sim_complete(bench->drive, &done);
    assert_int_equal(done.token, 77);
    assert_int_equal(done.done.result, MKV_IO_OK);
    return done;
}

static void write_units(struct bench *bench, uint64_t unit, uint32_t count, uint8_t fill) {
    start_write(bench, unit, count, 0, fill);
    (void)complete(bench);
}

static void flush(struct bench *bench) {
    start_flush(bench);
    (void)complete(bench);
}

static uint8_t seen(const struct bench *bench, uint64_t unit) {
    return mkv_drive_sim_unit(bench->drive, unit)[0];
}
static uint8_t durable(const struct bench *bench, uint64_t unit) {
    return mkv_drive_sim_durable_unit(bench->drive, unit)[0];
}

static void test_read__write_in_flight_then_completed__returns_old_then_new(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    start_write(bench, 3, 2, 0, 0xaa);
    assert_int_equal(seen(bench, 3), 0);
    (void)complete(bench);
    assert_int_equal(seen(bench, 3), 0xaa);
    const struct mkv_effect read = meta_effect(bench, MKV_EFFECT_DRIVE_READ, 3, 2, 8);
    submit(bench, &read);
    assert_int_not_equal(meta(bench, 8)[0], 0xaa); /* nothing is there before the completion */
    const struct mkv_drive_sim_done done = complete(bench);
    assert_int_equal(done.done.op.index, read.op.index);
    assert_int_equal(meta(bench, 8)[0], 0xaa);
    assert_int_equal(meta(bench, 9)[MKV_UNIT_BYTES - 1], 0xaa);
    assert_int_equal(mkv_drive_sim_in_flight(bench->drive), 0);
    assert_true(mkv_drive_sim_due_ns(bench->drive) == UINT64_MAX);
}

static void test_flush__writes_around_it__covers_those_completed_before_it_was_submitted(
    void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    write_units(bench, 1, 1, 0xa1); /* before it */
    write_units(bench, 2, 1, 0xa2);
    start_write(bench, 3, 1, 4, 0xb3); /* completed between submission and completion of it */
    start_flush(bench);
    start_write(bench, 4, 1, 5, 0xc4); /* behind it */
    (void)complete(bench);
    (void)complete(bench);
    (void)complete(bench);
    assert_int_equal(durable(bench, 1), 0xa1);
    assert_int_equal(durable(bench, 2), 0xa2);
    assert_int_equal(durable(bench, 3), 0);
    assert_int_equal(durable(bench, 4), 0);
    assert_int_equal(seen(bench, 3), 0xb3);
    assert_int_equal(seen(bench, 4), 0xc4);
    assert_int_equal(mkv_drive_sim_dirty_count(bench->drive), 2);
    flush(bench);
    assert_int_equal(durable(bench, 3), 0xb3);
    assert_int_equal(durable(bench, 4), 0xc4);
    assert_int_equal(mkv_drive_sim_dirty_count(bench->drive), 0);
}

static void test_flush__two_versions_of_a_unit__the_newer_completed_one_is_durable(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    write_units(bench, 1, 1, 0x11);
    write_units(bench, 1, 1, 0x22);
    start_flush(bench);
    start_write(bench, 1, 1, 4, 0x33);
    (void)complete(bench);
    assert_int_equal(durable(bench, 1), 0x22);
    (void)complete(bench);
    assert_int_equal(seen(bench, 1), 0x33);
    mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
    assert_int_equal(seen(bench, 1), 0x22);
}

static void test_power_loss__without_a_volatile_cache__keeps_what_was_completed(void **state) {
    (void)state;
    struct mkv_drive_profile profile = cached;
    profile.volatile_cache = false;
    bool kept = false;
    bool lost = false;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct bench *bench = bench_make(&profile, seed);
        write_units(bench, 1, 1, 0x11);
        start_write(bench, 2, 1, 4, 0x22);
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_BY_SECTOR);
        assert_int_equal(durable(bench, 1), 0x11);
        kept = kept || durable(bench, 2) == 0x22;
        lost = lost || durable(bench, 2) == 0;
    }
    assert_true(kept && lost);
}

/* Units 0 to 3 after a crash, as one number. Before it: 0 and 1 written together (0x1), 1 written
 * again (0x2), all completed; 2 and 3 in flight together (0x3). */
static uint32_t crash_once(uint64_t seed, enum mkv_crash_keep keep) {
    struct bench *bench = bench_make(&cached, seed);
    write_units(bench, 0, 2, 1);
    write_units(bench, 1, 1, 2);
    start_write(bench, 2, 2, 8, 3);
    mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, keep);
    assert_int_equal(mkv_drive_sim_dirty_count(bench->drive), 0);
    assert_int_equal(mkv_drive_sim_in_flight(bench->drive), 0);
    uint32_t outcome = 0;
    for (uint32_t unit = 0; unit < 4; unit++) {
        assert_int_equal(seen(bench, unit), durable(bench, unit));
        outcome = outcome << 4 | durable(bench, unit);
    }
    return outcome;
}

static uint32_t distinct_outcomes(enum mkv_crash_keep keep, bool allowed[0x10000]) {
    static bool reached[0x10000];
    memset(reached, 0, sizeof reached);
    uint32_t count = 0;
    for (uint64_t seed = 0; seed < CRASHES; seed++) {
        const uint32_t outcome = crash_once(seed, keep);
        assert_true(allowed == NULL || allowed[outcome]);
        count += !reached[outcome];
        reached[outcome] = true;
    }
    return count;
}

static void test_power_loss__keep_none_or_all__leaves_one_outcome(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        assert_int_equal(crash_once(seed, MKV_KEEP_NONE), 0x0000);
        assert_int_equal(crash_once(seed, MKV_KEEP_ALL), 0x1233);
    }
}

static void test_power_loss__by_sector__reaches_every_version_of_every_unit(void **state) {
    (void)state;
    static bool allowed[0x10000];
    memset(allowed, 0, sizeof allowed);
    uint32_t count = 0;
    for (uint32_t first = 0; first < 2; first++) {
        for (uint32_t second = 0; second < 3; second++) {
            for (uint32_t flight = 0; flight < 4; flight++) {
                const uint32_t third = flight & 1 ? 3 : 0;
                const uint32_t fourth = flight & 2 ? 3 : 0;
                allowed[first << 12 | second << 8 | third << 4 | fourth] = true;
                count++;
            }
        }
    }
    assert_int_equal(distinct_outcomes(MKV_KEEP_BY_SECTOR, allowed), count);
}

static void test_power_loss__by_write__tears_only_what_was_in_flight(void **state) {
    (void)state;
    static bool allowed[0x10000];
    memset(allowed, 0, sizeof allowed);
    /* Neither, the first, the second alone, both; and any part of the one in flight. */
    static const uint32_t completed[] = {0x0000, 0x1100, 0x0200, 0x1200};
    static const uint32_t in_flight[] = {0x00, 0x30, 0x03, 0x33};
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 0; b < 4; b++) {
            allowed[completed[a] | in_flight[b]] = true;
        }
    }
    assert_int_equal(distinct_outcomes(MKV_KEEP_BY_WRITE, allowed), 16);
}

static void test_power_loss__drive_that_tears__mixes_parts_of_the_declared_size(void **state) {
    (void)state;
    struct mkv_drive_profile profile = cached;
    profile.tear_bytes = 512;
    bool mixed = false;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct bench *bench = bench_make(&profile, seed);
        write_units(bench, 1, 1, 0x11);
        flush(bench);
        write_units(bench, 1, 1, 0x22);
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_BY_SECTOR);
        const uint8_t *unit = mkv_drive_sim_unit(bench->drive, 1);
        for (uint32_t byte = 0; byte < MKV_UNIT_BYTES; byte++) {
            assert_true(unit[byte] == 0x11 || unit[byte] == 0x22);
            assert_int_equal(unit[byte], unit[byte / 512 * 512]);
            mixed = mixed || unit[byte] != unit[0];
        }
        assert_true(mkv_drive_sim_unit_hash(bench->drive, 1) == mkv_hash_64(unit, MKV_UNIT_BYTES));
    }
    assert_true(mixed);
}

static void test_kill__completed_writes__stay_in_the_cache_until_power_is_lost(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    write_units(bench, 1, 1, 0x11);
    mkv_drive_sim_crash(bench->drive, MKV_CRASH_KILL, MKV_KEEP_NONE);
    assert_int_equal(seen(bench, 1), 0x11);
    assert_int_equal(durable(bench, 1), 0);
    mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_NONE);
    assert_int_equal(seen(bench, 1), 0);
}

static void test_kill__write_in_flight__lands_at_once_or_by_the_first_flush_or_never(void **state) {
    (void)state;
    uint32_t at_once = 0;
    uint32_t later = 0;
    uint32_t never = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct bench *bench = bench_make(&cached, seed);
        start_write(bench, 1, 1, 0, 0x11);
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_KILL, MKV_KEEP_NONE);
        assert_int_equal(mkv_drive_sim_in_flight(bench->drive), 0);
        if (seen(bench, 1) == 0x11) {
            at_once++;
            continue;
        }
        start_flush(bench);
        const uint8_t submitted = seen(bench, 1);
        (void)complete(bench);
        assert_int_equal(seen(bench, 1), submitted); /* no later than its submission */
        assert_int_equal(durable(bench, 1), submitted);
        later += submitted == 0x11;
        never += submitted == 0;
    }
    assert_true(at_once > 20 && later > 10 && never > 20);
}

static void test_kill__orphan_and_a_write_before_the_first_flush__the_orphan_may_win(void **state) {
    (void)state;
    bool overwritten = false;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct bench *bench = bench_make(&cached, seed);
        start_write(bench, 1, 1, 0, 0x11);
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_KILL, MKV_KEEP_NONE);
        write_units(bench, 1, 1, 0x22);
        assert_int_equal(seen(bench, 1), 0x22);
        flush(bench);
        overwritten = overwritten || durable(bench, 1) == 0x11;
    }
    assert_true(overwritten);
    /* As long as the flush has not completed, power may take it back to any version. */
    bool reached[256] = {false};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct bench *bench = bench_make(&cached, seed);
        start_write(bench, 1, 1, 0, 0x11);
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_KILL, MKV_KEEP_NONE);
        write_units(bench, 1, 1, 0x22);
        start_flush(bench);
        const bool landed = seen(bench, 1) == 0x11;
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_BY_SECTOR);
        reached[durable(bench, 1)] = reached[durable(bench, 1)] || landed;
    }
    assert_true(reached[0x00] && reached[0x11] && reached[0x22]);
}

static void test_image_hash__same_durable_units__is_the_same_whatever_came_before(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    const uint64_t blank = mkv_drive_sim_image_hash(bench->drive);
    write_units(bench, 1, 1, 0x11);
    assert_true(mkv_drive_sim_image_hash(bench->drive) == blank);
    flush(bench);
    const uint64_t first = mkv_drive_sim_image_hash(bench->drive);
    assert_true(first != blank);
    write_units(bench, 1, 1, 0x22);
    flush(bench);
    assert_true(mkv_drive_sim_image_hash(bench->drive) != first);
    write_units(bench, 1, 1, 0x11);
    flush(bench);
    assert_true(mkv_drive_sim_image_hash(bench->drive) == first);
    write_units(bench, 2, 1, 0x11);
    flush(bench);
    assert_true(mkv_drive_sim_image_hash(bench->drive) != first);
}

static void test_rot__one_bit__changes_what_is_read_and_what_survives(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    write_units(bench, 1, 1, 0x00);
    flush(bench);
    write_units(bench, 1, 1, 0xff);
    mkv_drive_sim_rot(bench->drive, 1, 9);
    assert_int_equal(mkv_drive_sim_unit(bench->drive, 1)[1], 0xfd);
    assert_int_equal(mkv_drive_sim_durable_unit(bench->drive, 1)[1], 0x02);
    mkv_drive_sim_rot(bench->drive, 5, 0); /* a unit that was never written */
    assert_int_equal(seen(bench, 5), 1);
    assert_int_equal(seen(bench, 6), 0);
}

static void test_write__memory_changed_under_it__fires_o16(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    start_write(bench, 1, 1, 0, 0x11);
    meta(bench, 0)[100] = 0x12;
    struct mkv_drive_sim_done done;
    EXPECT_FAILURE(MKV_ORACLE_BUFFERS, mkv_drive_sim_complete(bench->drive, &done));
}

static void test_submit__memory_in_use__fires_o16(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    start_write(bench, 1, 1, 0, 0x11);
    const struct mkv_effect read = meta_effect(bench, MKV_EFFECT_DRIVE_READ, 2, 1, 0);
    EXPECT_FAILURE(MKV_ORACLE_BUFFERS, submit(bench, &read));
}

static void test_submit__write_over_an_operation_in_flight__fires_o11(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    start_write(bench, 1, 2, 0, 0x11);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, start_write(bench, 2, 1, 4, 0x22));
    const struct mkv_effect read = meta_effect(bench, MKV_EFFECT_DRIVE_READ, 1, 1, 6);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, submit(bench, &read));
}

/* ---- trims ----------------------------------------------------------------------------------- */

static void start_trim(struct bench *bench, uint64_t unit, uint32_t count) {
    const struct mkv_effect effect = {
        .kind = MKV_EFFECT_DRIVE_TRIM,
        .op = {++bench->op, 1},
        .drive = {.lba = {unit}, .unit_count = count},
    };
    submit(bench, &effect);
}

static void test_trim__durable_units__read_zeros_or_as_before_and_neighbours_stay(void **state) {
    (void)state;
    bool zeroed = false;
    bool kept = false;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct mkv_drive_profile profile = cached;
        profile.discard = MKV_DISCARD_PARTIAL;
        struct bench *bench = bench_make(&profile, seed);
        write_units(bench, 1, 4, 0x11);
        flush(bench);
        start_trim(bench, 2, 2);
        assert_int_equal(seen(bench, 2), 0x11); /* nothing is gone before the completion */
        const struct mkv_drive_sim_done done = complete(bench);
        assert_int_equal(done.kind, MKV_EFFECT_DRIVE_TRIM);
        for (uint64_t unit = 2; unit < 4; unit++) {
            zeroed = zeroed || seen(bench, unit) == 0;
            kept = kept || seen(bench, unit) == 0x11;
            assert_true(seen(bench, unit) == 0 || seen(bench, unit) == 0x11);
            assert_int_equal(durable(bench, unit), 0x11);
        }
        assert_int_equal(seen(bench, 1), 0x11);
        assert_int_equal(seen(bench, 4), 0x11);
        const uint8_t after = seen(bench, 2);
        flush(bench);
        assert_int_equal(durable(bench, 2), after);
    }
    assert_true(zeroed && kept);
}

static void test_trim__power_lost_before_a_flush__any_version_comes_back(void **state) {
    (void)state;
    bool reached[256] = {false};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct bench *bench = bench_make(&cached, seed);
        write_units(bench, 1, 1, 0x11);
        flush(bench);
        write_units(bench, 1, 1, 0x22);
        start_trim(bench, 1, 1);
        if (seed % 2 == 0) {
            (void)complete(bench);
        }
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_BY_SECTOR);
        reached[durable(bench, 1)] = true;
    }
    assert_true(reached[0x00] && reached[0x11] && reached[0x22]);
}

/* The page of zeros is shared by all units that were never written, and by those trimmed. */
static void test_trim__then_torn_or_rotten__other_units_of_zeros_stay_zeros(void **state) {
    (void)state;
    struct mkv_drive_profile profile = cached;
    profile.tear_bytes = 512;
    bool torn = false;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct bench *bench = bench_make(&profile, seed);
        write_units(bench, 1, 1, 0x11);
        flush(bench);
        start_trim(bench, 1, 1);
        (void)complete(bench);
        if (seed % 2 == 0) {
            mkv_drive_sim_rot(bench->drive, 1, 3);
            assert_int_equal(seen(bench, 9), 0);
        }
        mkv_drive_sim_crash(bench->drive, MKV_CRASH_POWER, MKV_KEEP_BY_SECTOR);
        const uint8_t *page = mkv_drive_sim_durable_unit(bench->drive, 1);
        for (uint32_t at = 512; at < MKV_UNIT_BYTES; at += 512) {
            torn = torn || page[at] != page[at - 511];
        }
        for (uint32_t at = 0; at < MKV_UNIT_BYTES; at++) {
            assert_int_equal(mkv_drive_sim_durable_unit(bench->drive, 9)[at], 0);
        }
    }
    assert_true(torn);
}

static void test_submit__trim_that_overlaps_an_operation_in_flight__fires_o11(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    const struct mkv_effect read = meta_effect(bench, MKV_EFFECT_DRIVE_READ, 3, 2, 6);
    submit(bench, &read);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, start_trim(bench, 4, 2));
    start_trim(bench, 5, 2);
    const struct mkv_effect inside = meta_effect(bench, MKV_EFFECT_DRIVE_READ, 6, 1, 10);
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, submit(bench, &inside));
    EXPECT_FAILURE(MKV_ORACLE_OVERWRITE, start_write(bench, 6, 2, 12, 0x22));
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* Encodes a header for the payload in slab 0 into metadata unit 0. */
static void encode(struct bench *bench, uint32_t length) {
    uint64_t sums[MKV_CHUNKS_MAX];
    const uint8_t *payload = bench->slabs + MKV_UNIT_BYTES;
    mkv_chunk_sums(payload, length, sums);
    const struct mkv_slot_header header = {
        .slot = {5},
        .generation = {9},
        .length = length,
        .root = mkv_root_of_sums(length, sums),
        .key_bytes = 3,
        .key = (const uint8_t *)"key",
        .sums = (const uint8_t *)sums,
    };
    mkv_slot_header_encode(&header, meta(bench, 0));
}

static struct mkv_effect slot_effect(struct bench *bench, enum mkv_effect_kind kind, uint32_t slab,
                                     uint32_t units, uint32_t payload_bytes) {
    return (struct mkv_effect){
        .kind = kind,
        .op = {++bench->op, 1},
        .drive = {.memory = MKV_DRIVE_SLOT,
                  .lba = {4},
                  .unit_count = units,
                  .slab = {slab},
                  .payload_bytes = payload_bytes},
    };
}

/* Writes a payload of this length from slab 0 and reads it back into slab 1. */
static struct mkv_drive_sim_done round_trip(struct bench *bench, uint32_t length) {
    memset(bench->slabs, 0xee, SLABS * SLAB_BYTES);
    for (uint32_t byte = 0; byte < length; byte++) {
        bench->slabs[MKV_UNIT_BYTES + byte] = (uint8_t)(byte * 7 + 1);
    }
    encode(bench, length);
    const uint32_t units = mkv_slot_content_units(length);
    const struct mkv_effect write = slot_effect(bench, MKV_EFFECT_DRIVE_WRITE, 0, units, length);
    submit(bench, &write);
    (void)complete(bench);
    const struct mkv_effect read = slot_effect(bench, MKV_EFFECT_DRIVE_READ, 1, units, 0);
    submit(bench, &read);
    return complete(bench);
}

static void test_slot__every_kind_of_payload__comes_back_with_header_and_sums(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0, 1, 2047, 2048, 2049, 4095, 4096, 4097, 12288};
    for (uint32_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        struct bench *bench = bench_make(&cached, 1);
        const uint32_t length = lengths[index];
        const struct mkv_drive_sim_done done = round_trip(bench, length);
        const uint8_t *slab = bench->slabs + SLAB_BYTES;
        assert_ptr_equal(done.done.header, slab);
        struct mkv_slot_header header;
        assert_int_equal(mkv_slot_header_decode(done.done.header, &header), MKV_OK);
        assert_int_equal(header.length, length);
        assert_memory_equal(slab + MKV_UNIT_BYTES, bench->slabs + MKV_UNIT_BYTES, length);
        assert_int_equal(done.done.sum_count, mkv_chunk_count(length));
        if (length > 0) {
            assert_memory_equal(done.done.sums, header.sums, 8);
        }
        /* The tail of the last unit is zeroed. */
        const uint32_t units = mkv_slot_payload_units(length);
        if (units > 0) {
            const uint8_t *last = mkv_drive_sim_unit(bench->drive, 4 + units);
            for (uint32_t byte = length - (units - 1) * MKV_UNIT_BYTES; byte < MKV_UNIT_BYTES;
                 byte++) {
                assert_int_equal(last[byte], 0);
            }
        }
    }
}

static void test_payload_read__range__completes_with_the_sums_of_its_chunks(void **state) {
    (void)state;
    struct bench *bench = bench_make(&cached, 1);
    (void)round_trip(bench, 12288);
    const struct mkv_effect read = {
        .kind = MKV_EFFECT_DRIVE_READ,
        .op = {++bench->op, 1},
        .drive = {.memory = MKV_DRIVE_PAYLOAD,
                  .lba = {5},
                  .unit_count = 3,
                  .slab = {1},
                  .payload_bytes = 9000,
                  .chunk_bytes = 4096},
    };
    memset(bench->slabs + SLAB_BYTES, 0, SLAB_BYTES);
    submit(bench, &read);
    const struct mkv_drive_sim_done done = complete(bench);
    const uint8_t *payload = bench->slabs + MKV_UNIT_BYTES;
    assert_null(done.done.header);
    assert_int_equal(done.done.sum_count, 3);
    assert_true(done.done.sums[0] == mkv_hash_64(payload, 4096));
    assert_true(done.done.sums[2] == mkv_hash_64(payload + 8192, 808));
    assert_memory_equal(bench->slabs + SLAB_BYTES + MKV_UNIT_BYTES, payload, 12288);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read__write_in_flight_then_completed__returns_old_then_new),
        cmocka_unit_test(
            test_flush__writes_around_it__covers_those_completed_before_it_was_submitted),
        cmocka_unit_test(test_flush__two_versions_of_a_unit__the_newer_completed_one_is_durable),
        cmocka_unit_test(test_power_loss__without_a_volatile_cache__keeps_what_was_completed),
        cmocka_unit_test(test_power_loss__keep_none_or_all__leaves_one_outcome),
        cmocka_unit_test(test_power_loss__by_sector__reaches_every_version_of_every_unit),
        cmocka_unit_test(test_power_loss__by_write__tears_only_what_was_in_flight),
        cmocka_unit_test(test_power_loss__drive_that_tears__mixes_parts_of_the_declared_size),
        cmocka_unit_test(test_kill__completed_writes__stay_in_the_cache_until_power_is_lost),
        cmocka_unit_test(test_kill__write_in_flight__lands_at_once_or_by_the_first_flush_or_never),
        cmocka_unit_test(test_kill__orphan_and_a_write_before_the_first_flush__the_orphan_may_win),
        cmocka_unit_test(test_image_hash__same_durable_units__is_the_same_whatever_came_before),
        cmocka_unit_test(test_rot__one_bit__changes_what_is_read_and_what_survives),
        cmocka_unit_test(test_write__memory_changed_under_it__fires_o16),
        cmocka_unit_test(test_submit__memory_in_use__fires_o16),
        cmocka_unit_test(test_submit__write_over_an_operation_in_flight__fires_o11),
        cmocka_unit_test(test_trim__durable_units__read_zeros_or_as_before_and_neighbours_stay),
        cmocka_unit_test(test_trim__power_lost_before_a_flush__any_version_comes_back),
        cmocka_unit_test(test_trim__then_torn_or_rotten__other_units_of_zeros_stay_zeros),
        cmocka_unit_test(test_submit__trim_that_overlaps_an_operation_in_flight__fires_o11),
        cmocka_unit_test(test_slot__every_kind_of_payload__comes_back_with_header_and_sums),
        cmocka_unit_test(test_payload_read__range__completes_with_the_sums_of_its_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
