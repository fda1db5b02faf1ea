/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "server/size.h"

static void test_size_parse__every_unit__exact_bytes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"0B", 0},
        {"1", 1},
        {"4096", 4096},
        {"7B", 7},
        {"1KiB", 1024},
        {"3MiB", 3145728},
        {"64GiB", 68719476736},
        {"2TiB", 2199023255552},
        {"2 MiB", 2097152},
        {"2   MiB", 2097152},
        {"007KiB", 7168},
        {"18446744073709551615", UINT64_MAX},
        {"16777215TiB", 16777215ull << 40},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 42;
        assert_int_equal(mkv_size_parse(cases[i].text, &bytes), MKV_SIZE_OK);
        assert_true(bytes == cases[i].bytes);
    }
}

static void test_size_parse__not_a_size__problem_and_explanation(void **state) {
    (void)state;
    static const char not_a_size[] =
        "is not a size; use a number with KiB, MiB, GiB or TiB, like 64GiB";
    static const char negative[] =
        "is negative; use a number with KiB, MiB, GiB or TiB, like 64GiB";
    static const char fraction[] =
        "is a fraction; use a whole number with a smaller unit, like 1536MiB";
    static const char unknown[] =
        "has a unit that is not known; use B, KiB, MiB, GiB or TiB, like 64GiB";
    static const char overflow[] = "is more than 2^64 - 1 bytes; use a smaller number";
    static const struct {
        const char *text;
        enum mkv_size_problem problem;
        const char *explanation;
    } cases[] = {
        {"", MKV_SIZE_NOT_A_SIZE, not_a_size},
        {"lots", MKV_SIZE_NOT_A_SIZE, not_a_size},
        {" 1MiB", MKV_SIZE_NOT_A_SIZE, not_a_size},
        {"+1MiB", MKV_SIZE_NOT_A_SIZE, not_a_size},
        {"-", MKV_SIZE_NOT_A_SIZE, not_a_size},
        {"MiB", MKV_SIZE_NOT_A_SIZE, not_a_size},
        {"-1GiB", MKV_SIZE_NEGATIVE, negative},
        {"-0", MKV_SIZE_NEGATIVE, negative},
        {"1.5GiB", MKV_SIZE_FRACTION, fraction},
        {"1,5GiB", MKV_SIZE_FRACTION, fraction},
        {"64KB", MKV_SIZE_UNIT_DECIMAL, "has a unit that is not known; use KiB"},
        {"64 MB", MKV_SIZE_UNIT_DECIMAL, "has a unit that is not known; use MiB"},
        {"64G", MKV_SIZE_UNIT_DECIMAL, "has a unit that is not known; use GiB"},
        {"64tib", MKV_SIZE_UNIT_DECIMAL, "has a unit that is not known; use TiB"},
        {"64b", MKV_SIZE_UNIT_DECIMAL, "has a unit that is not known; use B"},
        {"64Bi", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"64PiB", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"64GiBs", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"64GiB ", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"1.", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"1e9", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"0x10", MKV_SIZE_UNIT_UNKNOWN, unknown},
        {"18446744073709551616", MKV_SIZE_OVERFLOW, overflow},
        {"99999999999999999999999999", MKV_SIZE_OVERFLOW, overflow},
        {"16777216TiB", MKV_SIZE_OVERFLOW, overflow},
        {"18014398509481984KiB", MKV_SIZE_OVERFLOW, overflow},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 42;
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        assert_int_equal(mkv_size_parse(cases[i].text, &bytes), cases[i].problem);
        assert_int_equal(bytes, 42);
        mkv_size_explain(cases[i].problem, cases[i].text, explanation);
        assert_string_equal(explanation, cases[i].explanation);
    }
}

static void test_size_format__any_size__largest_unit_that_divides(void **state) {
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0B"},
        {5, "5B"},
        {1024, "1KiB"},
        {1025, "1025B"},
        {1536 * MKV_MIB, "1536MiB"},
        {MKV_GIB, "1GiB"},
        {1024 * 1024 * MKV_GIB, "1024TiB"},
        {UINT64_MAX, "18446744073709551615B"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[MKV_SIZE_TEXT_BYTES];
        mkv_size_format(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_size_format__all_powers_and_neighbours__parsed_back_equal(void **state) {
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++) {
        for (uint64_t delta = 0; delta <= 2; delta++) {
            uint64_t bytes = (1ull << shift) - 1 + delta;
            uint64_t parsed = ~bytes;
            char text[MKV_SIZE_TEXT_BYTES];
            mkv_size_format(bytes, text);
            assert_int_equal(mkv_size_parse(text, &parsed), MKV_SIZE_OK);
            assert_true(parsed == bytes);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_parse__every_unit__exact_bytes),
        cmocka_unit_test(test_size_parse__not_a_size__problem_and_explanation),
        cmocka_unit_test(test_size_format__any_size__largest_unit_that_divides),
        cmocka_unit_test(test_size_format__all_powers_and_neighbours__parsed_back_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
