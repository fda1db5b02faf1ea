/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/bundle.h"

#include "sim/minimize.h"
#include "tests/unit/sim/test.h"

#define SEEDS 600u

static struct mkv_bundle sample(uint64_t seed) {
    struct mkv_bundle bundle = {
        .seed = seed, .oracle = MKV_ORACLE_FLUSH, .trace_hash = 0x1234, .operations = 7};
    mkv_shape_draw(&bundle.shape, seed);
    return bundle;
}

/* Writes and reads; the timeline needs a run. */
static void round_trip(const struct mkv_bundle *bundle, struct mkv_bundle *read) {
    struct mkv_memory memory;
    assert_true(mkv_run_memory_create(&memory));
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(mkv_bundle_write(bundle, &memory, file));
    rewind(file);
    assert_null(mkv_bundle_read(read, file));
    fclose(file);
    mkv_memory_destroy(&memory);
}

static void test_bundle__written__reads_as_it_was(void **state) {
    (void)state;
    struct mkv_bundle bundle = sample(3);
    struct mkv_bundle read;
    bundle.shape.seed = 77;
    bundle.shape.crashes_max = 2;
    bundle.shape.turns_max = 30;
    bundle.shape.faults.mask = 1u << MKV_FAULT_ROT | 1u << MKV_FAULT_SLOW;
    bundle.shape.faults.one_in[MKV_FAULT_ROT] = 9;
    bundle.shape.turns_skipped[0] = 0xf1;
    bundle.shape.turns_skipped[MKV_SHAPE_SKIP_MAX / 64 - 1] = 1ull << 63;
    bundle.shape.geometry.extent_count = 11;
    (void)snprintf(bundle.text, sizeof bundle.text, "what it said");
    (void)snprintf(bundle.canary, sizeof bundle.canary, "some-bug");
    round_trip(&bundle, &read);
    assert_int_equal(read.seed, bundle.seed);
    assert_int_equal(read.oracle, bundle.oracle);
    assert_int_equal(read.trace_hash, bundle.trace_hash);
    assert_int_equal(read.operations, bundle.operations);
    assert_string_equal(read.text, bundle.text);
    assert_string_equal(read.canary, bundle.canary);
    assert_int_equal(read.shape.faults.mask, bundle.shape.faults.mask);
    assert_int_equal(read.shape.faults.one_in[MKV_FAULT_ROT], 9);
    assert_memory_equal(read.shape.turns_skipped, bundle.shape.turns_skipped,
                        sizeof read.shape.turns_skipped);
    for (uint32_t index = 0; index < mkv_shape_field_count(); index++) {
        const struct mkv_shape_field *field = mkv_shape_field_at(index);
        assert_int_equal(mkv_shape_field_get(&read.shape, field),
                         mkv_shape_field_get(&bundle.shape, field));
    }
    mkv_shape_fit(&bundle.shape);
    assert_int_equal(read.shape.geometry.capacity_units, bundle.shape.geometry.capacity_units);
}

static void test_bundle__every_drawn_shape__can_be_in_one(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct mkv_shape shape;
        mkv_shape_draw(&shape, seed);
        if (!mkv_shape_sound(&shape)) {
            fail_msg("the shape of seed %llu is refused", (unsigned long long)seed);
        }
    }
}

static void test_bundle__turn_left_out__leaves_the_others(void **state) {
    (void)state;
    struct mkv_shape shape = {.turns_max = 100};
    assert_true(mkv_shape_has_turn(&shape, 99));
    assert_false(mkv_shape_has_turn(&shape, 100));
    shape.turns_skipped[1] = 1;
    assert_false(mkv_shape_has_turn(&shape, 64));
    assert_true(mkv_shape_has_turn(&shape, 65));
    assert_int_equal(mkv_bundle_turns_left(&shape, 200), 99);
    shape.turns_max = 0;
    assert_true(mkv_shape_has_turn(&shape, 1000000));
}

static void test_minimize__bundle_that_passes__is_refused(void **state) {
    (void)state;
    struct mkv_memory memory;
    struct mkv_minimize_figures figures;
    struct mkv_bundle bundle = sample(5);
    bundle.shape.crashes_max = 2;
    assert_true(mkv_run_memory_create(&memory));
    assert_false(mkv_minimize(&bundle, &memory, 5, &figures));
    assert_int_equal(figures.runs, 1);
    mkv_memory_destroy(&memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundle__written__reads_as_it_was),
        cmocka_unit_test(test_bundle__every_drawn_shape__can_be_in_one),
        cmocka_unit_test(test_bundle__turn_left_out__leaves_the_others),
        cmocka_unit_test(test_minimize__bundle_that_passes__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
