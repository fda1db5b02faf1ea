/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hdr.h"

#include <math.h>
#include <stdlib.h>

#include "tests/unit/admin/test.h"

#define SAMPLES 20000u

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int compare(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static struct mkv_hdr *make(void) {
    struct mkv_hdr *hdr = calloc(1, sizeof *hdr);
    assert_non_null(hdr);
    return hdr;
}

static void assert_close(uint64_t said, uint64_t true_ns) {
    const double error = fabs((double)said - (double)true_ns);
    if (error > 0.001 * (double)true_ns) {
        fail_msg("%llu was recorded, %llu is said", (unsigned long long)true_ns,
                 (unsigned long long)said);
    }
}

static void test_hdr_place__every_value_around_a_power_of_two__within_a_thousandth(void **state) {
    (void)state;
    uint32_t before = 0;
    for (uint32_t bit = 0; bit < 36; bit++) {
        for (uint64_t part = 0; part < 4096; part++) {
            const uint64_t value = (1ull << bit) + (1ull << bit) * part / 4096;
            if (value > MKV_HDR_NS_MAX) {
                continue;
            }
            const uint32_t place = mkv_hdr_place(value);
            assert_true(place < MKV_HDR_PLACES);
            assert_true(place >= before); /* a larger value is never in a lower place */
            before = place;
            assert_close(mkv_hdr_middle_ns(place), value);
        }
    }
    for (uint32_t place = 0; place < mkv_hdr_place(MKV_HDR_NS_MAX); place++) {
        assert_int_equal(mkv_hdr_place(mkv_hdr_middle_ns(place)), place);
    }
}

static void test_hdr_quantile__samples_of_many_shapes__as_sorted_within_a_thousandth(void **state) {
    (void)state;
    static const double shares[] = {0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    uint64_t *values = malloc(SAMPLES * sizeof *values);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct mkv_hdr *hdr = make();
        uint64_t random = seed * 0x9e3779b97f4a7c15ull;
        const uint32_t count = seed % 3 == 0 ? (uint32_t)seed : SAMPLES;
        for (uint32_t i = 0; i < count; i++) {
            /* As many of each magnitude, from 1 ns to 60 s. */
            const uint64_t bits = random_next(&random) % 36;
            values[i] =
                mkv_min_u64((1ull << bits) + random_next(&random) % (1ull << bits), MKV_HDR_NS_MAX);
            mkv_hdr_record(hdr, values[i]);
        }
        qsort(values, count, sizeof *values, compare);
        assert_int_equal(mkv_hdr_total(hdr), count);
        assert_int_equal(hdr->max_ns, values[count - 1]);
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
            const double rank = ceil(shares[i] * count - 1e-6);
            const uint32_t index = rank < 1 ? 0 : (uint32_t)rank - 1;
            assert_close(mkv_hdr_quantile_ns(hdr, shares[i]), values[index]);
        }
        free(hdr);
    }
    free(values);
}

static void test_hdr_merge__parts_of_a_sample__as_recorded_in_one(void **state) {
    (void)state;
    struct mkv_hdr *whole = make();
    struct mkv_hdr *merged = make();
    uint64_t random = 77;
    for (uint32_t part = 0; part < 4; part++) {
        struct mkv_hdr *hdr = make();
        for (uint32_t i = 0; i < 5000; i++) {
            const uint64_t value = random_next(&random) >> (28 + random_next(&random) % 30);
            mkv_hdr_record(hdr, value);
            mkv_hdr_record(whole, value);
        }
        mkv_hdr_merge(merged, hdr);
        free(hdr);
    }
    assert_memory_equal(merged, whole, sizeof *whole);
    free(merged);
    free(whole);
}

static void test_hdr_record__extremes__are_counted_at_the_ends(void **state) {
    (void)state;
    struct mkv_hdr *hdr = make();
    assert_int_equal(mkv_hdr_quantile_ns(hdr, 0.5), 0);
    mkv_hdr_record(hdr, 0);
    assert_int_equal(mkv_hdr_quantile_ns(hdr, 1), 0);
    mkv_hdr_record(hdr, UINT64_MAX / 2);
    assert_int_equal(mkv_hdr_total(hdr), 2);
    assert_int_equal(hdr->counts[0], 1);
    assert_int_equal(hdr->counts[mkv_hdr_place(MKV_HDR_NS_MAX)], 1);
    assert_int_equal(mkv_hdr_quantile_ns(hdr, 0.5), 0);
    assert_close(mkv_hdr_quantile_ns(hdr, 1), MKV_HDR_NS_MAX);
    assert_int_equal(hdr->max_ns, UINT64_MAX / 2);
    free(hdr);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hdr_place__every_value_around_a_power_of_two__within_a_thousandth),
        cmocka_unit_test(test_hdr_quantile__samples_of_many_shapes__as_sorted_within_a_thousandth),
        cmocka_unit_test(test_hdr_merge__parts_of_a_sample__as_recorded_in_one),
        cmocka_unit_test(test_hdr_record__extremes__are_counted_at_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
