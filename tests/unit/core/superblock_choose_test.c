/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every combination of what four copies can be, against a model that knows nothing of bytes: it
 * counts votes.
 */
#include "core/superblock.h"

#include "core/bytes.h"
#include "core/hash.h"
#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

enum copy_state {
    COPY_OLD,        /* valid, sequence 5 */
    COPY_NEW,        /* valid, sequence 6 */
    COPY_FORK,       /* valid, sequence 6, another content */
    COPY_NEXT,       /* whole, of a newer format */
    COPY_TORN,       /* the magic, then half of one and half of another */
    COPY_MISPLACED,  /* the new content, but written for another copy's place */
    COPY_NOISE,      /* no magic, not blank */
    COPY_UNREADABLE, /* the drive gives an error */
    COPY_ABSENT,     /* zeros */
};
#define COPY_STATES 9u

#define OLD_SEQUENCE 5u
#define NEW_SEQUENCE 6u
#define FORK_WALL_MS 42u
#define NEXT_VERSION 2u

static void fill_copy(enum copy_state copy_state, uint32_t copy, uint8_t *unit) {
    struct mkv_superblock superblock = sample_superblock();
    struct sample_random source = {.state = copy};
    superblock.sequence = copy_state == COPY_OLD ? OLD_SEQUENCE : NEW_SEQUENCE;
    superblock.wall_ms = copy_state == COPY_FORK ? FORK_WALL_MS : superblock.wall_ms;
    mkv_superblock_encode(&superblock, copy, unit);
    switch (copy_state) {
    case COPY_OLD:
    case COPY_NEW:
    case COPY_FORK:
        break;
    case COPY_NEXT:
        mkv_store_u32(unit + 24, NEXT_VERSION);
        mkv_store_u64(unit + 8, mkv_hash_64(unit + 24, MKV_UNIT_BYTES - 24));
        break;
    case COPY_TORN:
        sample_random_fill(&source, unit + 512, 512);
        break;
    case COPY_MISPLACED:
        mkv_store_u32(unit + 16, (copy + 1) % MKV_SUPERBLOCK_COPIES);
        break;
    case COPY_NOISE:
    case COPY_UNREADABLE: /* whatever the read left in memory must not matter */
        sample_random_fill(&source, unit, MKV_UNIT_BYTES);
        break;
    case COPY_ABSENT:
        memset(unit, 0, MKV_UNIT_BYTES);
        break;
    }
}

struct outcome {
    enum mkv_err err;
    enum copy_state content; /* with MKV_OK */
    uint32_t repair;
};

static uint32_t copies_in(const enum copy_state states[4], enum copy_state wanted) {
    uint32_t bits = 0;
    for (uint32_t copy = 0; copy < 4; copy++) {
        bits |= states[copy] == wanted ? 1u << copy : 0;
    }
    return bits;
}

static bool two_or_more(uint32_t bits) {
    return (bits & (bits - 1)) != 0;
}

static struct outcome model(const enum copy_state states[4]) {
    const uint32_t old = copies_in(states, COPY_OLD);
    const uint32_t new = copies_in(states, COPY_NEW);
    const uint32_t fork = copies_in(states, COPY_FORK);
    if (two_or_more(copies_in(states, COPY_NEXT))) {
        return (struct outcome){.err = MKV_ERR_VERSION};
    }
    if (two_or_more(new) && two_or_more(fork)) {
        const bool new_first = (new & 1) != 0;
        return (struct outcome){MKV_OK, new_first ? COPY_NEW : COPY_FORK,
                                0xf & ~(new_first ? new : fork)};
    }
    if (two_or_more(new)) {
        return (struct outcome){MKV_OK, COPY_NEW, 0xf & ~new};
    }
    if (two_or_more(fork)) {
        return (struct outcome){MKV_OK, COPY_FORK, 0xf & ~fork};
    }
    if (two_or_more(old)) {
        return (struct outcome){MKV_OK, COPY_OLD, 0xf & ~old};
    }
    const bool nothing_there =
        (copies_in(states, COPY_NOISE) | copies_in(states, COPY_ABSENT)) == 0xf;
    return (struct outcome){.err = nothing_there ? MKV_ERR_NOT_FORMATTED : MKV_CORRUPT_SUPERBLOCK};
}

static void choose(const enum copy_state states[4], struct mkv_superblock_choice *choice) {
    uint8_t *units = malloc(4 * (size_t)MKV_UNIT_BYTES);
    assert_non_null(units);
    for (uint32_t copy = 0; copy < 4; copy++) {
        fill_copy(states[copy], copy, units + copy * (size_t)MKV_UNIT_BYTES);
    }
    memset(choice, 0x5a, sizeof *choice);
    mkv_superblock_choose(units, copies_in(states, COPY_UNREADABLE), choice);
    free(units);
}

static void check_choice(const enum copy_state states[4]) {
    struct mkv_superblock_choice choice;
    const struct outcome expected = model(states);
    choose(states, &choice);
    assert_int_equal(choice.err, expected.err);
    assert_int_equal(choice.repair, expected.repair);
    if (expected.err == MKV_OK) {
        const bool old = expected.content == COPY_OLD;
        const bool fork = expected.content == COPY_FORK;
        assert_int_equal(choice.superblock.sequence, old ? OLD_SEQUENCE : NEW_SEQUENCE);
        assert_int_equal(choice.superblock.wall_ms,
                         fork ? FORK_WALL_MS : sample_superblock().wall_ms);
        assert_int_equal(choice.superblock.drive_set.count, sample_superblock().drive_set.count);
    } else {
        assert_int_equal(choice.superblock.sequence, 0);
        assert_int_equal(choice.superblock.version,
                         expected.err == MKV_ERR_VERSION ? NEXT_VERSION : 0);
    }
}

static void test_superblock_choose__every_combination__as_the_model_says(void **state) {
    (void)state;
    uint32_t combinations = 0;
    for (uint32_t code = 0; code < COPY_STATES * COPY_STATES * COPY_STATES * COPY_STATES; code++) {
        enum copy_state states[4];
        uint32_t rest = code;
        for (uint32_t copy = 0; copy < 4; copy++) {
            states[copy] = (enum copy_state)(rest % COPY_STATES);
            rest /= COPY_STATES;
        }
        check_choice(states);
        combinations++;
    }
    assert_int_equal(combinations, 6561);
}

/* I2: whatever a crash leaves of the pair being written, the other pair is whole. */
static void test_superblock_choose__write_cut_at_any_moment__old_or_new(void **state) {
    (void)state;
    static const enum copy_state left_behind[] = {COPY_OLD, COPY_NEW, COPY_TORN, COPY_UNREADABLE};
    for (uint32_t code = 0; code < 16; code++) {
        const enum copy_state first = left_behind[code % 4];
        const enum copy_state second = left_behind[code / 4];
        struct mkv_superblock_choice choice;
        choose((enum copy_state[4]){first, second, COPY_OLD, COPY_OLD}, &choice);
        assert_int_equal(choice.err, MKV_OK);
        const bool both_new = first == COPY_NEW && second == COPY_NEW;
        assert_int_equal(choice.superblock.sequence, both_new ? NEW_SEQUENCE : OLD_SEQUENCE);
        choose((enum copy_state[4]){COPY_NEW, COPY_NEW, first, second}, &choice);
        assert_int_equal(choice.err, MKV_OK);
        assert_int_equal(choice.superblock.sequence, NEW_SEQUENCE);
    }
}

static void test_superblock_choose__single_newer_copy__pair_wins(void **state) {
    (void)state;
    struct mkv_superblock_choice choice;
    choose((enum copy_state[4]){COPY_NEW, COPY_OLD, COPY_OLD, COPY_OLD}, &choice);
    assert_int_equal(choice.err, MKV_OK);
    assert_int_equal(choice.superblock.sequence, OLD_SEQUENCE);
    assert_int_equal(choice.repair, 0x1);
}

static void test_superblock_choose__two_pairs_of_one_sequence__the_one_with_copy_0(void **state) {
    (void)state;
    struct mkv_superblock_choice choice;
    choose((enum copy_state[4]){COPY_FORK, COPY_NEW, COPY_FORK, COPY_NEW}, &choice);
    assert_int_equal(choice.superblock.wall_ms, FORK_WALL_MS);
    assert_int_equal(choice.repair, 0xa);
    choose((enum copy_state[4]){COPY_NEW, COPY_FORK, COPY_FORK, COPY_NEW}, &choice);
    assert_int_equal(choice.superblock.wall_ms, sample_superblock().wall_ms);
    assert_int_equal(choice.repair, 0x6);
}

static void test_superblock_choose__random_bytes__not_formatted(void **state) {
    (void)state;
    struct sample_random source = {.state = 7};
    uint8_t *units = malloc(4 * (size_t)MKV_UNIT_BYTES);
    assert_non_null(units);
    for (uint32_t round = 0; round < 500; round++) {
        struct mkv_superblock_choice choice;
        sample_random_fill(&source, units, 4 * (size_t)MKV_UNIT_BYTES);
        mkv_superblock_choose(units, 0, &choice);
        assert_int_equal(choice.err, MKV_ERR_NOT_FORMATTED);
    }
    free(units);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_superblock_choose__every_combination__as_the_model_says),
        cmocka_unit_test(test_superblock_choose__write_cut_at_any_moment__old_or_new),
        cmocka_unit_test(test_superblock_choose__single_newer_copy__pair_wins),
        cmocka_unit_test(test_superblock_choose__two_pairs_of_one_sequence__the_one_with_copy_0),
        cmocka_unit_test(test_superblock_choose__random_bytes__not_formatted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
