/* SPDX-License-Identifier: Apache-2.0 */
/* What the shards of a node get: drives, and runs of slabs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/slab.h"
#include "server/shards.h"

static uint64_t random_next(uint64_t *state) {
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static void test_shards_assign__drives_of_all_sizes__largest_first_to_who_has_least(void **state) {
    (void)state;
    static const uint64_t bytes[] = {10, 40, 20, 30, 20};
    uint32_t shards[5];
    mkv_shards_assign(2, 5, bytes, shards);
    /* 40 to 0, 30 to 1, 20 to 1 (30 < 40), 20 to 0 (40 < 50), 10 to 1 (50 < 60). */
    static const uint32_t expected[] = {1, 0, 1, 1, 0};
    assert_memory_equal(shards, expected, sizeof expected);
}

static void test_shards_assign__more_shards_than_drives__one_each(void **state) {
    (void)state;
    static const uint64_t bytes[] = {5, 5};
    uint32_t shards[2];
    mkv_shards_assign(4, 2, bytes, shards);
    assert_int_equal(shards[0], 0);
    assert_int_equal(shards[1], 1);
}

/* Empty drives weigh nothing, and yet go to all. */
static void test_shards_assign__drives_without_room__are_spread(void **state) {
    (void)state;
    static const uint64_t bytes[4] = {0};
    uint32_t shards[4];
    uint32_t counts[2] = {0};
    mkv_shards_assign(2, 4, bytes, shards);
    for (uint32_t i = 0; i < 4; i++) {
        counts[shards[i]]++;
    }
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 2);
}

static void test_shards_assign__any_drives__no_shard_has_much_more(void **state) {
    (void)state;
    uint64_t random = 7;
    for (uint32_t round = 0; round < 500; round++) {
        const uint32_t shard_count = 1 + (uint32_t)(random_next(&random) % MKV_SHARDS_MAX);
        const uint32_t count = 1 + (uint32_t)(random_next(&random) % MKV_VOLUMES_MAX);
        uint64_t bytes[MKV_VOLUMES_MAX];
        uint32_t shards[MKV_VOLUMES_MAX];
        uint64_t has[MKV_SHARDS_MAX] = {0};
        uint64_t largest = 0;
        for (uint32_t i = 0; i < count; i++) {
            bytes[i] = 1 + random_next(&random) % 1000;
            largest = bytes[i] > largest ? bytes[i] : largest;
        }
        mkv_shards_assign(shard_count, count, bytes, shards);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(shards[i] < shard_count);
            has[shards[i]] += bytes[i];
        }
        for (uint32_t a = 0; a < shard_count; a++) {
            for (uint32_t b = 0; b < shard_count; b++) {
                /* Else the last drive of a would have gone to b. */
                assert_true(has[a] <= has[b] + largest);
            }
        }
    }
}

/* Parts follow each other and are all of the units; each has a group at least. */
static void expect_parts(uint32_t units, uint32_t count, const uint64_t *bytes) {
    struct mkv_shards_part parts[MKV_SHARDS_MAX];
    assert_true(mkv_shards_divide(units, count, bytes, parts));
    uint32_t next = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(parts[i].unit_first, next);
        assert_int_equal(parts[i].unit_first % MKV_SLAB_GROUP_UNITS, 0);
        assert_true(parts[i].unit_count >= MKV_SLAB_GROUP_UNITS);
        next += parts[i].unit_count;
        total += bytes[i] / MKV_MIB;
    }
    assert_int_equal(next, units);
    const uint64_t shared = units / MKV_SLAB_GROUP_UNITS - count;
    for (uint32_t i = 0; i < count && total > 0; i++) {
        const uint64_t own = shared * (bytes[i] / MKV_MIB) / total;
        assert_true(parts[i].unit_count >= (1 + own) * MKV_SLAB_GROUP_UNITS);
    }
}

static void test_shards_divide__memory__by_what_drives_hold(void **state) {
    (void)state;
    static const uint64_t even[] = {100 * MKV_GIB, 100 * MKV_GIB};
    expect_parts(20 * MKV_SLAB_GROUP_UNITS, 2, even);
    expect_parts(21 * MKV_SLAB_GROUP_UNITS + 5, 2, even);
    static const uint64_t uneven[] = {MKV_GIB, 3 * MKV_GIB, 0};
    expect_parts(40 * MKV_SLAB_GROUP_UNITS + 1, 3, uneven);
    static const uint64_t none[] = {0, 0};
    expect_parts(4 * MKV_SLAB_GROUP_UNITS, 2, none);

    struct mkv_shards_part parts[3];
    assert_true(mkv_shards_divide(43 * MKV_SLAB_GROUP_UNITS, 3, uneven, parts));
    assert_int_equal(parts[0].unit_count, 11 * MKV_SLAB_GROUP_UNITS);
    assert_int_equal(parts[1].unit_count, 31 * MKV_SLAB_GROUP_UNITS);
    assert_int_equal(parts[2].unit_count, MKV_SLAB_GROUP_UNITS);
}

static void test_shards_divide__less_than_a_group_each__is_refused(void **state) {
    (void)state;
    static const uint64_t bytes[] = {MKV_GIB, MKV_GIB, MKV_GIB};
    struct mkv_shards_part parts[3];
    assert_false(mkv_shards_divide(3 * MKV_SLAB_GROUP_UNITS - 1, 3, bytes, parts));
    expect_parts(3 * MKV_SLAB_GROUP_UNITS, 3, bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_assign__drives_of_all_sizes__largest_first_to_who_has_least),
        cmocka_unit_test(test_shards_assign__more_shards_than_drives__one_each),
        cmocka_unit_test(test_shards_assign__drives_without_room__are_spread),
        cmocka_unit_test(test_shards_assign__any_drives__no_shard_has_much_more),
        cmocka_unit_test(test_shards_divide__memory__by_what_drives_hold),
        cmocka_unit_test(test_shards_divide__less_than_a_group_each__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
