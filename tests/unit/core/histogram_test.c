/* SPDX-License-Identifier: Apache-2.0 */
#include "core/histogram.h"

#include "tests/unit/core/test.h"

/* Where a value belongs, found the slow way. */
static uint32_t place_ns(uint64_t value_ns) {
    uint32_t bound = 0;
    while (bound < MKV_HISTOGRAM_BOUNDS && value_ns > mkv_histogram_bound_ns(bound)) {
        bound++;
    }
    return bound;
}

static void test_histogram_ns__values_around_every_bound__count_at_the_first_not_exceeded(
    void **state) {
    (void)state;
    for (uint32_t bound = 0; bound < MKV_HISTOGRAM_BOUNDS; bound++) {
        for (uint64_t off = 0; off < 3; off++) {
            struct mkv_histogram histogram = {0};
            const uint64_t value_ns = mkv_histogram_bound_ns(bound) + off - 1;
            mkv_histogram_record_ns(&histogram, value_ns);
            assert_int_equal(histogram.counts[place_ns(value_ns)], 1);
            assert_int_equal(histogram.sum, value_ns);
        }
    }
}

static void test_histogram_ns__every_power_of_two_and_between__as_found_slowly(void **state) {
    (void)state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        for (uint64_t part = 0; part < 7; part++) {
            struct mkv_histogram histogram = {0};
            const uint64_t value_ns = (1ull << bit) + (1ull << bit) / 7 * part;
            mkv_histogram_record_ns(&histogram, value_ns);
            assert_int_equal(histogram.counts[place_ns(value_ns)], 1);
        }
    }
    struct mkv_histogram histogram = {0};
    mkv_histogram_record_ns(&histogram, 0);
    mkv_histogram_record_ns(&histogram, UINT64_MAX);
    assert_int_equal(histogram.counts[0], 1);
    assert_int_equal(histogram.counts[MKV_HISTOGRAM_BOUNDS], 1);
}

static void test_histogram_size__values_around_every_bound__count_at_the_first_not_exceeded(
    void **state) {
    (void)state;
    for (uint32_t bound = 0; bound < MKV_HISTOGRAM_BOUNDS; bound++) {
        struct mkv_histogram histogram = {0};
        mkv_histogram_record_size(&histogram, mkv_histogram_bound_size(bound));
        mkv_histogram_record_size(&histogram, mkv_histogram_bound_size(bound) + 1);
        assert_int_equal(histogram.counts[bound], 1);
        assert_int_equal(histogram.counts[bound + 1], 1);
    }
}

static void test_histogram_merge__two__holds_what_both_had(void **state) {
    (void)state;
    struct mkv_histogram first = {0};
    struct mkv_histogram second = {0};
    mkv_histogram_record_ns(&first, 1500);
    mkv_histogram_record_ns(&second, 1700);
    mkv_histogram_record_ns(&second, 3000000000ull);
    mkv_histogram_merge(&first, &second);
    assert_int_equal(mkv_histogram_total(&first), 3);
    assert_int_equal(first.counts[1], 2);
    assert_int_equal(first.sum, 3000003200ull);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_histogram_ns__values_around_every_bound__count_at_the_first_not_exceeded),
        cmocka_unit_test(test_histogram_ns__every_power_of_two_and_between__as_found_slowly),
        cmocka_unit_test(
            test_histogram_size__values_around_every_bound__count_at_the_first_not_exceeded),
        cmocka_unit_test(test_histogram_merge__two__holds_what_both_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
