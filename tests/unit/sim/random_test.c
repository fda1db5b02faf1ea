/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/random.h"

#include "tests/unit/sim/test.h"

static void test_random__same_seed_and_concern__gives_the_same_numbers(void **state) {
    (void)state;
    struct mkv_random a;
    struct mkv_random b;
    mkv_random_seed(&a, 7, MKV_CONCERN_DRIVE);
    mkv_random_seed(&b, 7, MKV_CONCERN_DRIVE);
    for (uint32_t count = 0; count < 1000; count++) {
        assert_true(mkv_random_next(&a) == mkv_random_next(&b));
    }
}

/* xoshiro256** from the state 1, 2, 3, 4: worked out by hand from its definition. */
static void test_random__known_state__gives_the_known_numbers(void **state) {
    (void)state;
    struct mkv_random random = {.state = {1, 2, 3, 4}};
    assert_true(mkv_random_next(&random) == 11520);
    assert_true(mkv_random_next(&random) == 0);
    assert_true(mkv_random_next(&random) == 1509978240);
}

static void test_random__every_concern__is_a_stream_of_its_own(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 64; seed++) {
        uint64_t first[MKV_CONCERN_COUNT];
        for (uint32_t concern = 0; concern < MKV_CONCERN_COUNT; concern++) {
            struct mkv_random random;
            mkv_random_seed(&random, seed, (enum mkv_concern)concern);
            first[concern] = mkv_random_next(&random);
            for (uint32_t other = 0; other < concern; other++) {
                assert_true(first[other] != first[concern]);
            }
        }
    }
}

static void test_random_below__many_draws__reaches_every_value_and_no_other(void **state) {
    (void)state;
    struct mkv_random random;
    mkv_random_seed(&random, 1, MKV_CONCERN_WORKLOAD);
    uint32_t counts[7] = {0};
    for (uint32_t draw = 0; draw < 7000; draw++) {
        const uint32_t value = mkv_random_below(&random, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    for (uint32_t value = 0; value < 7; value++) {
        assert_true(counts[value] > 850);
    }
    for (uint32_t draw = 0; draw < 100; draw++) {
        assert_int_equal(mkv_random_between(&random, 5, 5), 5);
        assert_false(mkv_random_chance(&random, 0, 3));
        assert_true(mkv_random_chance(&random, 3, 3));
    }
    EXPECT_FAILURE(MKV_ORACLE_ASSERTION, (void)mkv_random_below(&random, 0));
}

static void test_decisions__bytes__are_the_numbers_and_then_0_is_benign(void **state) {
    (void)state;
    static const uint8_t bytes[] = {7, 1, 2, 9, 200, 1, 2, 3, 4, 5, 6, 7, 8, 3};
    struct mkv_decisions decisions = {.bytes = bytes, .count = sizeof bytes};
    struct mkv_random random;
    mkv_random_seed(&random, 7, MKV_CONCERN_DRIVE);
    assert_null(random.decisions);
    random.decisions = &decisions;
    assert_int_equal(mkv_random_below(&random, 1), 0); /* takes none */
    assert_int_equal(mkv_random_below(&random, 10), 7);
    assert_int_equal(mkv_random_below(&random, 300), 513 % 300);
    assert_int_equal(mkv_random_between(&random, 5, 20), 14);
    assert_true(mkv_random_chance(&random, 57, 256)); /* 255 - 200 is below 57 */
    assert_true(mkv_random_next(&random) == 0x0807060504030201ull);
    assert_false(mkv_decisions_exhausted(&decisions));
    assert_true(mkv_random_next(&random) == 3); /* what is missing is 0 */
    assert_true(mkv_decisions_exhausted(&decisions));
    for (uint32_t draw = 0; draw < 4; draw++) {
        assert_int_equal(mkv_random_below(&random, 10), 0);
        assert_false(mkv_random_chance(&random, 15, 16));
        assert_true(mkv_random_chance(&random, 16, 16));
    }
}

static void test_random__first_two__are_what_the_generator_gives(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct mkv_random random;
        uint64_t numbers[2];
        mkv_random_seed(&random, seed * 0x9e3779b97f4a7c15ull, MKV_CONCERN_WORKLOAD);
        mkv_random_first_two(seed * 0x9e3779b97f4a7c15ull, MKV_CONCERN_WORKLOAD, numbers);
        assert_true(mkv_random_next(&random) == numbers[0]);
        assert_true(mkv_random_next(&random) == numbers[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random__first_two__are_what_the_generator_gives),
        cmocka_unit_test(test_random__same_seed_and_concern__gives_the_same_numbers),
        cmocka_unit_test(test_random__known_state__gives_the_known_numbers),
        cmocka_unit_test(test_random__every_concern__is_a_stream_of_its_own),
        cmocka_unit_test(test_random_below__many_draws__reaches_every_value_and_no_other),
        cmocka_unit_test(test_decisions__bytes__are_the_numbers_and_then_0_is_benign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
