/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canary_seeds.h"

#include "tests/unit/sim/test.h"

static struct mkv_canary_seeds seeds;
static char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES];

static bool read_text(const char *text) {
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    rewind(file);
    memset(problem, 0, sizeof problem);
    const bool is_read = mkv_canary_seeds_read(file, &seeds, problem);
    assert_int_equal(fclose(file), 0);
    return is_read;
}

static void test_canary_seeds__written__are_read_as_they_were(void **state) {
    (void)state;
    const struct mkv_canary_seeds written = {
        .count = 2,
        .rows = {{.name = "one", .count = 1, .seeds = {UINT64_MAX}},
                 {.name = "another-one", .count = 5, .seeds = {5, 4, 3, 2, 0}}},
    };
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(mkv_canary_seeds_write(file, &written));
    rewind(file);
    assert_true(mkv_canary_seeds_read(file, &seeds, problem));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(seeds.count, 2);
    assert_memory_equal(seeds.rows, written.rows, sizeof written.rows);
    assert_ptr_equal(mkv_canary_seeds_find(&seeds, "another-one"), &seeds.rows[1]);
    assert_null(mkv_canary_seeds_find(&seeds, "another"));
}

static void test_canary_seeds__lines_that_are_none__are_named(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "one\n",
        "one\t\n",
        "\t1\n",
        "one 1\n",
        "one\t1 \n",
        "one\t1  2\n",
        "one\t-1\n",
        "one\t1x\n",
        "one\t18446744073709551616\n",
        "one\t1 2 3 4 5 6\n",
        "one\t1",
        "another\t1\n",
        "\n",
        "a-name-that-is-longer-than-any-that-a-planted-bug-may-have\t1\n",
    };
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        char text[512];
        (void)snprintf(text, sizeof text, "# how it was made\nanother\t7\n%s", wrong[index]);
        assert_false(read_text(text));
        assert_non_null(strstr(problem, "line 3 "));
    }
    char text[512] = "one\t1";
    memset(text + strlen(text), '1', 300);
    text[310] = '\n';
    assert_false(read_text(text));
    assert_non_null(strstr(problem, "line 1 "));
    assert_true(read_text(""));
    assert_int_equal(seeds.count, 0);
}

static void test_canary_seeds__more_rows_than_there_is_room_for__are_refused(void **state) {
    (void)state;
    static char text[MKV_CANARY_SEEDS_ROWS * 16 + 32];
    size_t used = 0;
    for (uint32_t row = 0; row < MKV_CANARY_SEEDS_ROWS; row++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "bug-%u\t%u\n", row, row);
    }
    assert_true(read_text(text));
    assert_int_equal(seeds.count, MKV_CANARY_SEEDS_ROWS);
    assert_int_equal(seeds.rows[MKV_CANARY_SEEDS_ROWS - 1].seeds[0], MKV_CANARY_SEEDS_ROWS - 1);
    (void)snprintf(text + used, sizeof text - used, "one\t1\n");
    assert_false(read_text(text));
}

static void test_canary_seeds__no_such_file__says_so(void **state) {
    (void)state;
    assert_false(mkv_canary_seeds_load("/nowhere/seeds", &seeds, problem));
    assert_non_null(strstr(problem, "cannot be opened"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canary_seeds__written__are_read_as_they_were),
        cmocka_unit_test(test_canary_seeds__lines_that_are_none__are_named),
        cmocka_unit_test(test_canary_seeds__more_rows_than_there_is_room_for__are_refused),
        cmocka_unit_test(test_canary_seeds__no_such_file__says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
