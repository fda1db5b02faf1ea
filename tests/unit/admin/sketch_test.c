/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/sketch.h"

#include "core/hash.h"
#include "tests/unit/admin/test.h"

#define KEYS 5000u
#define ADDS 60000u

struct model {
    struct mkv_sketch sketch;
    uint64_t *truth; /* of each key, halved as often as the sketch */
};

static struct mkv_root hash_of(uint32_t key) {
    return mkv_hash_128(&key, sizeof key);
}

static struct model model_make(uint32_t columns) {
    struct model model;
    mkv_sketch_init(&model.sketch, columns, calloc(1, mkv_sketch_bytes(columns)));
    model.truth = calloc(KEYS, sizeof *model.truth);
    return model;
}

static void model_free(struct model *model) {
    free(model->sketch.counters);
    free(model->truth);
}

/* Few keys often, many seldom. */
static uint32_t draw(uint64_t *random) {
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    const uint32_t bits = (uint32_t)(*random >> 33);
    return (bits % KEYS) >> (bits / KEYS % 12);
}

static void model_add(struct model *model, uint32_t key) {
    model->truth[key]++;
    assert_true(mkv_sketch_add(&model->sketch, hash_of(key)) >= model->truth[key]);
}

static uint64_t excess(const struct model *model) {
    uint64_t sum = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        const uint64_t estimate = mkv_sketch_estimate(&model->sketch, hash_of(key));
        assert_true(estimate >= model->truth[key]);
        sum += estimate - model->truth[key];
    }
    return sum;
}

static void test_sketch_add__any_size__never_undercounts(void **state) {
    (void)state;
    for (uint32_t columns = MKV_SKETCH_COLUMNS_MIN; columns <= 16384; columns *= 4) {
        struct model model = model_make(columns);
        uint64_t random = columns;
        for (uint32_t i = 0; i < ADDS; i++) {
            model_add(&model, draw(&random));
        }
        const uint64_t above = excess(&model);
        /* The bound of the mean: e / columns of all that was seen, for each key. */
        assert_true(above <= 2718ull * ADDS * KEYS / columns / 1000);
        if (columns >= 4096) {
            assert_true(above < KEYS); /* most are exact */
        }
        model_free(&model);
    }
}

static void test_sketch_halve__between_adds__never_undercounts_what_is_left(void **state) {
    (void)state;
    struct model model = model_make(256);
    uint64_t random = 5;
    for (uint32_t i = 1; i <= ADDS; i++) {
        model_add(&model, draw(&random));
        if (i % 7000 == 0) {
            const uint64_t before = mkv_sketch_estimate(&model.sketch, hash_of(0));
            mkv_sketch_halve(&model.sketch);
            assert_int_equal(mkv_sketch_estimate(&model.sketch, hash_of(0)), before / 2);
            for (uint32_t key = 0; key < KEYS; key++) {
                model.truth[key] /= 2;
            }
        }
    }
    (void)excess(&model);
    for (uint32_t i = 0; i < 64; i++) {
        mkv_sketch_halve(&model.sketch);
    }
    assert_int_equal(mkv_sketch_estimate(&model.sketch, hash_of(0)), 0);
    model_free(&model);
}

static void test_sketch_merge__of_shards__never_undercounts_their_sum(void **state) {
    (void)state;
    struct model all = model_make(1024);
    for (uint32_t shard = 0; shard < 3; shard++) {
        struct model part = model_make(1024);
        uint64_t random = shard + 1;
        for (uint32_t i = 0; i < ADDS / 3; i++) {
            model_add(&part, draw(&random));
        }
        mkv_sketch_merge(&all.sketch, &part.sketch);
        for (uint32_t key = 0; key < KEYS; key++) {
            all.truth[key] += part.truth[key];
        }
        model_free(&part);
    }
    assert_true(excess(&all) <= 2718ull * ADDS * KEYS / 1024 / 1000);
    model_free(&all);
}

static void test_sketch_columns__other_than_a_power_of_two_in_bounds__are_not_valid(void **state) {
    (void)state;
    assert_true(mkv_sketch_columns_are_valid(MKV_SKETCH_COLUMNS_MIN));
    assert_true(mkv_sketch_columns_are_valid(MKV_SKETCH_COLUMNS_MAX));
    assert_false(mkv_sketch_columns_are_valid(32));
    assert_false(mkv_sketch_columns_are_valid(4095));
    assert_false(mkv_sketch_columns_are_valid(2 * MKV_SKETCH_COLUMNS_MAX));
    assert_false(mkv_sketch_columns_are_valid(0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sketch_add__any_size__never_undercounts),
        cmocka_unit_test(test_sketch_halve__between_adds__never_undercounts_what_is_left),
        cmocka_unit_test(test_sketch_merge__of_shards__never_undercounts_their_sum),
        cmocka_unit_test(test_sketch_columns__other_than_a_power_of_two_in_bounds__are_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
