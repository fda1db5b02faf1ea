/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of units, against a plain map of who has which unit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/slab.h"
#include "server/proxy_memory.h"

#define UNITS 300u
#define RUNS_MAX 300u
#define STEPS 20000u

static void test_proxy_memory__bytes_of_a_value__fit_into_their_units(void **state) {
    (void)state;
    for (uint64_t bytes = 1; bytes < 400000; bytes += 113) {
        const uint32_t units = mkv_proxy_memory_units(bytes);
        assert_true(mkv_proxy_memory_room(units) >= bytes);
        assert_true(units == 1 || mkv_proxy_memory_room(units - 1) < bytes);
    }
    assert_int_equal(mkv_proxy_memory_units(MKV_SLAB_UNIT_PAYLOAD_BYTES), 1);
    assert_int_equal(mkv_proxy_memory_units(MKV_SLAB_UNIT_PAYLOAD_BYTES + 1), 2);
}

static void test_proxy_memory__short_and_long_runs__come_from_both_ends(void **state) {
    (void)state;
    struct mkv_proxy_memory *memory = mkv_proxy_memory_create(UNITS);
    struct mkv_proxy_run one = {0};
    struct mkv_proxy_run two = {0};
    struct mkv_proxy_run all = {0};
    assert_true(mkv_proxy_memory_take(memory, 1, &one));
    assert_int_equal(one.unit, 0);
    assert_true(mkv_proxy_memory_take(memory, 2, &two));
    assert_int_equal(two.unit, UNITS - 2);
    assert_false(mkv_proxy_memory_take(memory, UNITS - 2, &all));
    assert_int_equal(all.unit_count, 0);
    assert_true(mkv_proxy_memory_take(memory, UNITS - 3, &all));
    assert_int_equal(all.unit, 1);
    assert_int_equal(mkv_proxy_memory_used(memory), UNITS);
    assert_false(mkv_proxy_memory_take(memory, 1, &(struct mkv_proxy_run){0}));
    mkv_proxy_memory_give(memory, &one);
    assert_int_equal(one.unit_count, 0);
    assert_true(mkv_proxy_memory_take(memory, 1, &one));
    assert_int_equal(one.unit, 0);
    mkv_proxy_memory_destroy(memory);
}

/* Whether the map has a run of that many free units. */
static bool map_has(const uint8_t *map, uint32_t unit_count) {
    uint32_t there = 0;
    for (uint32_t i = 0; i < UNITS && there < unit_count; i++) {
        there = map[i] == 0 ? there + 1 : 0;
    }
    return there == unit_count;
}

static uint32_t draw(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}

/* I1, I2; and what is refused is not there. */
static void test_proxy_memory__drawn_runs__agree_with_a_plain_map(void **state) {
    (void)state;
    struct mkv_proxy_memory *memory = mkv_proxy_memory_create(UNITS);
    struct mkv_proxy_run runs[RUNS_MAX];
    uint8_t map[UNITS] = {0};
    uint32_t run_count = 0;
    uint32_t used = 0;
    uint64_t seed = 1;
    for (uint32_t step = 0; step < STEPS; step++) {
        if (run_count > 0 && draw(&seed) % 2 == 0) {
            const uint32_t at = draw(&seed) % run_count;
            memset(map + runs[at].unit, 0, runs[at].unit_count);
            used -= runs[at].unit_count;
            mkv_proxy_memory_give(memory, &runs[at]);
            runs[at] = runs[--run_count];
            continue;
        }
        const uint32_t wanted = draw(&seed) % 3 == 0 ? 1 + draw(&seed) % 150 : 1 + draw(&seed) % 3;
        struct mkv_proxy_run run = {0};
        const bool taken = mkv_proxy_memory_take(memory, wanted, &run);
        assert_int_equal(taken, map_has(map, wanted));
        if (taken) {
            assert_int_equal(run.unit_count, wanted);
            assert_true(run.unit + wanted <= UNITS);
            for (uint32_t i = 0; i < wanted; i++) {
                assert_int_equal(map[run.unit + i], 0);
                map[run.unit + i] = 1;
            }
            used += wanted;
            runs[run_count++] = run;
        }
        assert_int_equal(mkv_proxy_memory_used(memory), used);
    }
    mkv_proxy_memory_destroy(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_memory__bytes_of_a_value__fit_into_their_units),
        cmocka_unit_test(test_proxy_memory__short_and_long_runs__come_from_both_ends),
        cmocka_unit_test(test_proxy_memory__drawn_runs__agree_with_a_plain_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
