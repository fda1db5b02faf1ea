/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose image was damaged, one unit after another: it serves what is intact or says what is
 * wrong. Never a wrong byte, never a block that was deleted or replaced, never a crash or a hang.
 *
 *   what a damaged unit may cost (rows), and never more
 *
 *     superblock copy, journal block, gap     nothing: there are other copies
 *     checkpoint                              nothing (the side not in use), or all: comes up empty
 *     slot                                    nothing (room not in use), or the block in it
 *     the end of the file                     all: refused, with the reason
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/server/image_rig.h"

#define BLOCKS_MAX 64u
#define KEY_BYTES 24u
#define NEW_KEY "put after the damage"
/* Of the second chunk of a payload that has one. */
#define RANGE_OFFSET (MKV_CHUNK_BYTES_MIN + 100u)
#define RANGE_BYTES 500u
#define TRUNCATION_STEP 16u
/* GCC's build tries every unit of slots, and many bits of each unit of metadata, flipped one at a
 * time; in one of a slot it is one. With sanitizers, which take ten times as long, it is some units
 * of slots, and few bits of metadata. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOT_UNIT_STEP 7u
#define METADATA_FLIPS 3u
#endif
#endif
#ifndef SLOT_UNIT_STEP
#define SLOT_UNIT_STEP 1u
#define METADATA_FLIPS 12u
#endif
/* Journal blocks of a killed store that no checkpoint has, besides those of its last moments: so
 * many that none is begun right after the next opening, which would hide what was not repaired. */
#define JOURNAL_BLOCKS_LEFT (RIG_RING_BLOCKS / 2 - 5)

static const struct rig_value new_value = {3 * MKV_UNIT_BYTES - 5, 4711};

/* What the image holds under a key. */
enum standing {
    STANDS,
    IS_GONE,  /* was deleted */
    IS_EITHER /* a put was cut short: the old value or the new one */
};
struct place {
    uint64_t first_unit;
    uint64_t unit_count; /* header and payload, without unused room; 0: nowhere */
};
struct block {
    char key[KEY_BYTES];
    enum standing standing;
    struct rig_value value;
    struct rig_value new_value; /* IS_EITHER */
    struct place place;
    struct place new_place;
};
struct store {
    struct rig *rig;
    struct block blocks[BLOCKS_MAX];
    uint32_t block_count;
};

enum damage {
    DAMAGE_ZEROED,
    DAMAGE_RANDOM,
    DAMAGE_FLIPPED, /* one bit; this and greater values flip different ones */
};
#define DAMAGE_MAX (DAMAGE_FLIPPED + METADATA_FLIPS)

enum outcome {
    OUTCOME_WHOLE,
    OUTCOME_BLOCKS_MISSING,
    OUTCOME_EMPTY,
    OUTCOME_REFUSED,
};
#define OUTCOME_COUNT 4u

/* ---- filling a store ------------------------------------------------------------------------ */

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void put(struct store *store, uint32_t index, struct rig_value value) {
    struct block *block = &store->blocks[index];
    assert_int_equal(rig_put(store->rig, block->key, value), MKV_STATUS_OK);
    block->standing = STANDS;
    block->value = value;
}

static void fill(struct store *store) {
    static const uint32_t lengths[] = {
        0, 1, 700, 2048, 2049, 4096, 8000, 3 * 4096, 8 * 4096 - 5, 11 * 4096 + 1, 20 * 4096 - 1000,
    };
    const uint32_t length_count = sizeof lengths / sizeof lengths[0];
    store->block_count = 4 * length_count;
    for (uint32_t index = 0; index < store->block_count; index++) {
        snprintf(store->blocks[index].key, KEY_BYTES, "block %u", index);
        put(store, index, (struct rig_value){lengths[index % length_count], index});
    }
    for (uint32_t index = 0; index < store->block_count; index += 5) {
        const uint32_t length = lengths[(index + (index % 2) * 2) % length_count];
        put(store, index, (struct rig_value){length, 100 + index});
    }
    for (uint32_t index = 3; index < store->block_count; index += 7) {
        assert_int_equal(rig_remove(store->rig, store->blocks[index].key), MKV_STATUS_OK);
        store->blocks[index].standing = IS_GONE;
    }
    put(store, 10, (struct rig_value){5000, 200}); /* was deleted */
}

static struct place place_of(struct mkv_lba lba, uint32_t length) {
    const uint32_t payload = length <= MKV_INLINE_BYTES_MAX ? 0 : length;
    return (struct place){lba.unit, 1 + mkv_divide_up_u64(payload, MKV_UNIT_BYTES)};
}

static void note_places(struct store *store) {
    for (uint32_t index = 0; index < store->block_count; index++) {
        struct block *block = &store->blocks[index];
        struct mkv_volume_block found;
        const bool live = rig_find_block(store->rig, block->key, &found);
        assert_int_equal(live, block->standing == STANDS);
        if (live) {
            block->place = place_of(found.lba, block->value.length);
        }
    }
}

static uint64_t journal_blocks(const struct store *store) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(store->rig->volume, &stats);
    return stats.journal_head - stats.journal_applied;
}

/* The store is killed when a put's record stands in one copy of the journal alone, and with some
 * journal blocks before it that no checkpoint has. */
static void kill_within_a_put(struct store *store) {
    for (uint32_t tries = 0; journal_blocks(store) != JOURNAL_BLOCKS_LEFT; tries++) {
        assert_in_range(tries, 0, 2 * RIG_RING_BLOCKS);
        put(store, 11 + tries, (struct rig_value){2049, 300 + tries});
    }
    assert_int_equal(rig_remove(store->rig, store->blocks[6].key), MKV_STATUS_OK);
    store->blocks[6].standing = IS_GONE;
    note_places(store);
    struct block *block = &store->blocks[7];
    assert_int_equal(block->standing, STANDS);
    block->new_value = (struct rig_value){2 * MKV_UNIT_BYTES + 9, 400};
    store->rig->ring_copy_b_is_lost = true;
    assert_false(rig_put_unfinished(store->rig, block->key, block->new_value));
    assert_int_equal(store->rig->operations_lost, 1);
    block->new_place = place_of(store->rig->slot_written, block->new_value.length);
    block->standing = IS_EITHER;
    rig_kill(store->rig);
}

/* The store is in *state until the test is done with it, for remove_files. */
static struct store *make_store(void **state, bool killed) {
    struct store *store = calloc(1, sizeof *store);
    assert_non_null(store);
    store->rig = rig_create();
    *state = store;
    fill(store);
    if (killed) {
        kill_within_a_put(store);
    } else {
        note_places(store);
        rig_close(store->rig);
    }
    rig_keep(store->rig);
    return store;
}

static void drop_store(void **state) {
    struct store *store = *state;
    rig_destroy(store->rig);
    free(store);
    *state = NULL;
}

/* What a test that failed has left. */
static int remove_files(void **state) {
    struct store *store = *state;
    if (store != NULL) {
        rig_remove_files(store->rig);
    }
    return 0;
}

/* ---- reading one ---------------------------------------------------------------------------- */

/* What reading found: for each block the seed of the value, or that it is missing. */
#define SEED_MISSING MKV_NONE_U32
struct reading {
    uint32_t seeds[BLOCKS_MAX];
    uint32_t missing_count; /* of those that should be there */
};

static bool read_value(struct rig *rig, const char *key, struct rig_value value) {
    if (value.length > RANGE_OFFSET) {
        /* A part first: it is verified by the sum of its chunk alone. */
        if (rig_read(rig, key, value, RANGE_OFFSET, RANGE_BYTES) == RIG_WRONG) {
            return false;
        }
    }
    return rig_read(rig, key, value, 0, 0) == RIG_IDENTICAL;
}

static uint32_t read_block(struct rig *rig, const struct block *block) {
    if (block->standing == IS_GONE) {
        if (rig_exists(rig, block->key)) {
            fail_msg("%s was deleted and is back", block->key);
        }
        return SEED_MISSING;
    }
    if (!rig_exists(rig, block->key)) {
        return SEED_MISSING;
    }
    if (read_value(rig, block->key, block->value)) {
        return block->value.seed;
    }
    if (block->standing == IS_EITHER && read_value(rig, block->key, block->new_value)) {
        return block->new_value.seed;
    }
    /* Neither: then it must be missing by now. */
    if (rig_read(rig, block->key, block->value, 0, 0) != RIG_MISSING) {
        fail_msg("%s holds bytes that were never put under it", block->key);
    }
    return SEED_MISSING;
}

static void read_all(const struct store *store, struct reading *reading) {
    memset(reading, 0, sizeof *reading);
    for (uint32_t index = 0; index < store->block_count; index++) {
        const struct block *block = &store->blocks[index];
        reading->seeds[index] = read_block(store->rig, block);
        if (block->standing != IS_GONE && reading->seeds[index] == SEED_MISSING) {
            reading->missing_count++;
        }
    }
}

/* Puts a block, closes or kills, opens again: the new block is there, and nothing else has come or
 * gone. */
static void go_on(const struct store *store, const struct reading *before, bool close) {
    struct rig *rig = store->rig;
    assert_int_equal(rig_put(rig, NEW_KEY, new_value), MKV_STATUS_OK);
    if (close) {
        rig_close(rig);
    } else {
        rig_kill(rig);
    }
    if (rig_open(rig) != RIG_SERVES) {
        fail_msg("the second opening does not serve: %s, error %d", rig->refusal, rig->open_err);
    }
    struct reading after;
    read_all(store, &after);
    assert_int_equal(rig_read(rig, NEW_KEY, new_value, 0, 0), RIG_IDENTICAL);
    for (uint32_t index = 0; index < store->block_count; index++) {
        if (before->seeds[index] != after.seeds[index]) {
            fail_msg("%s changed with the second opening", store->blocks[index].key);
        }
    }
    rig_kill(rig);
}

static bool place_has(struct place place, uint64_t unit) {
    return unit >= place.first_unit && unit < place.first_unit + place.unit_count;
}

/* Whether all that is missing is in the damaged unit. */
static bool missing_is_damaged(const struct store *store, const struct reading *reading,
                               uint64_t unit) {
    for (uint32_t index = 0; index < store->block_count; index++) {
        const struct block *block = &store->blocks[index];
        if (block->standing != IS_GONE && reading->seeds[index] == SEED_MISSING &&
            !place_has(block->place, unit) && !place_has(block->new_place, unit)) {
            return false;
        }
    }
    return true;
}

/* ---- the sweep ------------------------------------------------------------------------------ */

struct tally {
    uint32_t counts[OUTCOME_COUNT];
    uint32_t unchanged; /* the damage made no difference to the unit */
};

static enum outcome outcome_of(const struct store *store, struct reading *reading) {
    const enum rig_opened opened = rig_open(store->rig);
    memset(reading, 0, sizeof *reading);
    if (opened == RIG_REFUSED) {
        assert_true(strlen(store->rig->refusal) > 0);
        return OUTCOME_REFUSED;
    }
    read_all(store, reading);
    if (opened == RIG_EMPTY) {
        for (uint32_t index = 0; index < store->block_count; index++) {
            assert_int_equal(reading->seeds[index], SEED_MISSING);
        }
        return OUTCOME_EMPTY;
    }
    return reading->missing_count > 0 ? OUTCOME_BLOCKS_MISSING : OUTCOME_WHOLE;
}

/* The table at the head of this file. */
static bool outcome_is_allowed(const struct store *store, uint64_t unit, enum outcome outcome,
                               const struct reading *reading) {
    const struct mkv_geometry *geometry = &store->rig->config.geometry;
    if (outcome == OUTCOME_WHOLE) {
        return true;
    }
    const uint64_t checkpoints = mkv_geometry_checkpoint(geometry, 0).unit;
    const uint64_t data = mkv_geometry_data_start(geometry).unit;
    if (unit >= checkpoints && unit < data) {
        return outcome == OUTCOME_EMPTY;
    }
    return unit >= data && outcome == OUTCOME_BLOCKS_MISSING &&
           missing_is_damaged(store, reading, unit);
}

/* A bit of a byte that is not 0, if there is one: most bytes of most units are unused. */
static void flip_bit(uint8_t *bytes, uint64_t random) {
    uint32_t at = (uint32_t)(random % MKV_UNIT_BYTES);
    for (uint32_t tries = 0; tries < MKV_UNIT_BYTES && bytes[at] == 0; tries++) {
        at = (at + 1) % MKV_UNIT_BYTES;
    }
    bytes[at] ^= (uint8_t)(1u << (random >> 32) % 8);
}

static void damage_unit(const struct store *store, uint64_t unit, uint32_t damage, uint8_t *bytes) {
    uint64_t random = 0x9e3779b97f4a7c15ull * (unit * DAMAGE_MAX + damage + 1);
    memcpy(bytes, rig_kept_unit(store->rig, unit), MKV_UNIT_BYTES);
    if (damage == DAMAGE_ZEROED) {
        memset(bytes, 0, MKV_UNIT_BYTES);
    } else if (damage >= DAMAGE_FLIPPED) {
        flip_bit(bytes, random_next(&random));
    } else {
        for (uint32_t at = 0; at < MKV_UNIT_BYTES; at += 8) {
            const uint64_t word = random_next(&random);
            memcpy(bytes + at, &word, sizeof word);
        }
    }
}

static void try_unit(const struct store *store, uint64_t unit, uint32_t damage,
                     struct tally *tally) {
    uint8_t bytes[MKV_UNIT_BYTES];
    damage_unit(store, unit, damage, bytes);
    if (memcmp(bytes, rig_kept_unit(store->rig, unit), MKV_UNIT_BYTES) == 0) {
        tally->unchanged++;
        return;
    }
    rig_damage(store->rig, unit, bytes);
    struct reading reading;
    const enum outcome outcome = outcome_of(store, &reading);
    if (!outcome_is_allowed(store, unit, outcome, &reading)) {
        fail_msg("unit %u, damage %u: outcome %d with %u blocks missing, error %d, %s",
                 (unsigned)unit, damage, (int)outcome, reading.missing_count,
                 (int)store->rig->open_err, store->rig->refusal);
    }
    tally->counts[outcome]++;
    go_on(store, &reading, unit % 2 == 0);
    rig_restore(store->rig);
}

/* Shorter by less than a unit too: half of the last one is no unit. */
static void try_truncation(const struct store *store, uint64_t unit, uint32_t more_bytes,
                           struct tally *tally) {
    rig_truncate(store->rig, unit * MKV_UNIT_BYTES + more_bytes);
    struct reading reading;
    const enum outcome outcome = outcome_of(store, &reading);
    if (outcome != OUTCOME_REFUSED) {
        fail_msg("truncated at unit %u: outcome %d", (unsigned)unit, (int)outcome);
    }
    tally->counts[outcome]++;
    rig_restore(store->rig);
}

static void try_truncations(const struct store *store, struct tally *tally) {
    const struct mkv_geometry *geometry = &store->rig->config.geometry;
    const uint64_t borders[] = {
        1,
        mkv_geometry_superblock(RIG_UNITS, 1).unit,
        mkv_geometry_superblock(RIG_UNITS, 1).unit + 1,
        mkv_geometry_journal(geometry, 0, 0).unit,
        mkv_geometry_journal(geometry, 1, 0).unit,
        mkv_geometry_checkpoint(geometry, 0).unit,
        mkv_geometry_checkpoint(geometry, 1).unit,
        mkv_geometry_data_start(geometry).unit,
        mkv_geometry_superblock(RIG_UNITS, 2).unit,
        mkv_geometry_superblock(RIG_UNITS, 2).unit + 1,
        mkv_geometry_superblock(RIG_UNITS, 3).unit,
    };
    for (size_t index = 0; index < sizeof borders / sizeof borders[0]; index++) {
        try_truncation(store, borders[index], 0, tally);
        try_truncation(store, borders[index], MKV_UNIT_BYTES / 2, tally);
    }
    for (uint64_t unit = 0; unit < RIG_UNITS; unit += TRUNCATION_STEP) {
        try_truncation(store, unit, 0, tally);
    }
}

static void sweep(void **state, bool killed) {
    struct tally tally = {{0}, 0};
    struct store *store = make_store(state, killed);
    const uint64_t data = mkv_geometry_data_start(&store->rig->config.geometry).unit;
    for (uint64_t unit = 0; unit < RIG_UNITS; unit += unit < data ? 1u : SLOT_UNIT_STEP) {
        const uint32_t flips = unit < data ? METADATA_FLIPS : 1;
        for (uint32_t damage = 0; damage < DAMAGE_FLIPPED + flips; damage++) {
            try_unit(store, unit, damage, &tally);
        }
    }
    try_truncations(store, &tally);
    drop_store(state);
    print_message("%s store: served whole %u, served with blocks missing %u, came up empty %u, "
                  "refused %u; no difference %u\n",
                  killed ? "killed" : "closed", tally.counts[OUTCOME_WHOLE],
                  tally.counts[OUTCOME_BLOCKS_MISSING], tally.counts[OUTCOME_EMPTY],
                  tally.counts[OUTCOME_REFUSED], tally.unchanged);
    for (uint32_t outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        assert_int_not_equal(tally.counts[outcome], 0);
    }
}

static void test_image__closed_and_any_unit_damaged__serves_the_rest_or_says_why(void **state) {
    sweep(state, false);
}

static void test_image__killed_and_any_unit_damaged__serves_the_rest_or_says_why(void **state) {
    sweep(state, true);
}

/* ---- damage to more than one unit ----------------------------------------------------------- */

static void ruin(const struct store *store, uint64_t unit, uint64_t unit_count) {
    uint8_t bytes[MKV_UNIT_BYTES];
    for (uint64_t index = 0; index < unit_count; index++) {
        damage_unit(store, unit + index, DAMAGE_RANDOM, bytes);
        rig_damage(store->rig, unit + index, bytes);
    }
}

static void expect(const struct store *store, enum outcome expected) {
    struct reading reading;
    assert_int_equal(outcome_of(store, &reading), expected);
    if (expected != OUTCOME_REFUSED) {
        go_on(store, &reading, true);
    }
    rig_restore(store->rig);
}

static void test_image__undamaged__is_served_whole(void **state) {
    for (uint32_t killed = 0; killed < 2; killed++) {
        struct store *store = make_store(state, killed == 1);
        for (uint32_t round = 0; round < 3; round++) { /* what is put back is what was there */
            expect(store, OUTCOME_WHOLE);
        }
        drop_store(state);
    }
}

static void test_image__superblocks_of_one_end_lost__is_served_whole(void **state) {
    struct store *store = make_store(state, true);
    ruin(store, 0, 2 * MKV_SUPERBLOCK_SPACING_UNITS);
    expect(store, OUTCOME_WHOLE);
    ruin(store, mkv_geometry_superblock(RIG_UNITS, 2).unit, MKV_SUPERBLOCK_SPACING_UNITS + 1);
    expect(store, OUTCOME_WHOLE);
    drop_store(state);
}

static void test_image__three_superblocks_lost__is_refused(void **state) {
    struct store *store = make_store(state, true);
    for (uint32_t left = 0; left < MKV_SUPERBLOCK_COPIES; left++) {
        for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
            if (copy != left) {
                ruin(store, mkv_geometry_superblock(RIG_UNITS, copy).unit, 1);
            }
        }
        expect(store, OUTCOME_REFUSED);
    }
    drop_store(state);
}

static void test_image__one_copy_of_the_journal_lost__is_served_whole(void **state) {
    struct store *store = make_store(state, true);
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        ruin(store, mkv_geometry_journal(&store->rig->config.geometry, copy, 0).unit,
             RIG_RING_BLOCKS);
        expect(store, OUTCOME_WHOLE);
    }
    drop_store(state);
}

/* Later blocks of the journal tell that the lost one was durable: it may have held any DROP. */
static void test_image__journal_block_lost_in_both_copies__comes_up_empty(void **state) {
    uint32_t empty_count = 0;
    struct store *store = make_store(state, true);
    const struct mkv_geometry *geometry = &store->rig->config.geometry;
    for (uint32_t position = 0; position < RIG_RING_BLOCKS; position++) {
        ruin(store, mkv_geometry_journal(geometry, 0, position).unit, 1);
        ruin(store, mkv_geometry_journal(geometry, 1, position).unit, 1);
        struct reading reading;
        const enum outcome outcome = outcome_of(store, &reading);
        assert_in_range(outcome, OUTCOME_WHOLE, OUTCOME_EMPTY);
        empty_count += outcome == OUTCOME_EMPTY;
        go_on(store, &reading, true);
        rig_restore(store->rig);
    }
    assert_in_range(empty_count, 1, RIG_RING_BLOCKS - 1);
    drop_store(state);
}

static void test_image__data_of_all_blocks_lost__each_is_missing(void **state) {
    struct store *store = make_store(state, false);
    const uint64_t data = mkv_geometry_data_start(&store->rig->config.geometry).unit;
    ruin(store, data, mkv_geometry_superblock(RIG_UNITS, 2).unit - data);
    struct reading reading;
    assert_int_equal(outcome_of(store, &reading), OUTCOME_BLOCKS_MISSING);
    for (uint32_t index = 0; index < store->block_count; index++) {
        assert_int_equal(reading.seeds[index], SEED_MISSING);
    }
    go_on(store, &reading, true);
    drop_store(state);
}

static void test_image__random__is_refused(void **state) {
    struct store *store = make_store(state, false);
    ruin(store, 0, RIG_UNITS);
    expect(store, OUTCOME_REFUSED);
    drop_store(state);
}

static void test_image__all_zero__is_taken_for_a_new_drive_and_not_for_a_store(void **state) {
    struct store *store = make_store(state, false);
    rig_truncate(store->rig, 0);
    rig_truncate(store->rig, (uint64_t)RIG_UNITS * MKV_UNIT_BYTES);
    assert_int_equal(rig_open(store->rig), RIG_REFUSED);
    assert_non_null(strstr(store->rig->refusal, "blank"));
    rig_restore(store->rig);
    expect(store, OUTCOME_WHOLE);
    drop_store(state);
}

static void test_image__file_has_grown__is_served_whole(void **state) {
    struct store *store = make_store(state, true);
    rig_truncate(store->rig, (uint64_t)(RIG_UNITS + 50) * MKV_UNIT_BYTES + 100);
    expect(store, OUTCOME_WHOLE);
    drop_store(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_image__undamaged__is_served_whole, remove_files),
        cmocka_unit_test_teardown(
            test_image__closed_and_any_unit_damaged__serves_the_rest_or_says_why, remove_files),
        cmocka_unit_test_teardown(
            test_image__killed_and_any_unit_damaged__serves_the_rest_or_says_why, remove_files),
        cmocka_unit_test_teardown(test_image__superblocks_of_one_end_lost__is_served_whole,
                                  remove_files),
        cmocka_unit_test_teardown(test_image__three_superblocks_lost__is_refused, remove_files),
        cmocka_unit_test_teardown(test_image__one_copy_of_the_journal_lost__is_served_whole,
                                  remove_files),
        cmocka_unit_test_teardown(test_image__journal_block_lost_in_both_copies__comes_up_empty,
                                  remove_files),
        cmocka_unit_test_teardown(test_image__data_of_all_blocks_lost__each_is_missing,
                                  remove_files),
        cmocka_unit_test_teardown(test_image__random__is_refused, remove_files),
        cmocka_unit_test_teardown(
            test_image__all_zero__is_taken_for_a_new_drive_and_not_for_a_store, remove_files),
        cmocka_unit_test_teardown(test_image__file_has_grown__is_served_whole, remove_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
