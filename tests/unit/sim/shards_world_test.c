/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/shards_world.h"

#include <string.h>

#include "sim/bundle.h"
#include "sim/run.h"
#include "tests/unit/sim/test.h"

/* The next seed from `seed` on whose world has shards, at least so many. */
static uint64_t seed_with_shards(uint64_t seed, uint32_t shards, struct mkv_shape *shape) {
    for (;; seed++) {
        mkv_shape_draw(shape, seed);
        if (shape->world == MKV_WORLD_SHARDS && shape->shards >= shards) {
            return seed;
        }
    }
}

static void test_shape__many_seeds__draw_one_to_three_shards(void **state) {
    (void)state;
    uint32_t counts[MKV_SHARDS_MAX + 1] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct mkv_shape shape;
        mkv_shape_draw(&shape, seed);
        if (shape.world == MKV_WORLD_SHARDS) {
            assert_true(shape.shards >= 1 && shape.shards <= MKV_SHARDS_MAX);
            assert_true(mkv_shape_sound(&shape));
            counts[shape.shards]++;
        }
    }
    assert_true(counts[1] > 5 && counts[2] > 5 && counts[3] > 5);
}

static void test_shards_owner__many_keys__belong_to_each_shard(void **state) {
    (void)state;
    struct mkv_shape shape;
    (void)seed_with_shards(1, MKV_SHARDS_MAX, &shape);
    uint32_t owned[MKV_SHARDS_MAX] = {0};
    for (uint32_t number = 0; number < 1000; number++) {
        uint8_t key[4];
        memcpy(key, &number, sizeof key);
        const uint32_t owner = mkv_shards_owner(&shape, key, sizeof key);
        assert_true(owner < shape.shards);
        assert_int_equal(mkv_shards_owner(&shape, key, sizeof key), owner);
        owned[owner]++;
    }
    for (uint32_t shard = 0; shard < MKV_SHARDS_MAX; shard++) {
        assert_true(owned[shard] > 50);
    }
}

static void test_run_seed__with_shards__counts_what_all_recovered_from(void **state) {
    (void)state;
    uint64_t seed = 0;
    for (uint32_t runs = 0; runs < 6; runs++) {
        struct mkv_shape shape;
        struct mkv_seed_outcome first;
        struct mkv_seed_outcome again;
        seed = seed_with_shards(seed + 1, 2, &shape);
        mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 0, &first);
        if (first.failed) {
            fail_msg("seed %u: %s", (unsigned)seed, first.failure.text);
        }
        assert_true(first.report.crashes > 0);
        assert_true(first.report.crashes >= first.shape.crashes_max ||
                    mkv_promise_of(first.shape.faults.mask) == MKV_PROMISE_LYING);
        assert_true(first.report.operations > 0);
        mkv_run_seed(seed, NULL, test_memory(), NULL, NULL, 200, &again);
        assert_true(first.report.trace_hash == again.report.trace_hash);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape__many_seeds__draw_one_to_three_shards),
        cmocka_unit_test(test_shards_owner__many_keys__belong_to_each_shard),
        cmocka_unit_test(test_run_seed__with_shards__counts_what_all_recovered_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
