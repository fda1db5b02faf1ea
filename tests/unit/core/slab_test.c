/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slab.h"

#include "tests/unit/core/test.h"

#define UNITS_MAX 2048u

struct fixture {
    struct mkv_slab_pool *pool;
    void *memory;
    uint32_t unit_count;
};

static struct fixture fixture_make(uint32_t unit_count) {
    struct fixture fixture = {.unit_count = unit_count};
    const size_t bytes = mkv_slab_memory_required(unit_count);
    fixture.memory = malloc(bytes);
    assert_non_null(fixture.memory);
    memset(fixture.memory, 0xa5, bytes);
    fixture.pool = mkv_slab_init(fixture.memory, bytes, unit_count);
    return fixture;
}

static void fixture_free(struct fixture *fixture) {
    free(fixture->memory);
}

static uint32_t order_bytes(uint32_t order) {
    return MKV_SLAB_UNIT_PAYLOAD_BYTES << order;
}

static void test_slab_order__at_the_bounds__is_the_least_that_holds_the_payload(void **state) {
    (void)state;
    assert_int_equal(mkv_slab_order(0), 0);
    assert_int_equal(mkv_slab_order(1), 0);
    for (uint32_t order = 0; order <= MKV_SLAB_ORDER_MAX; order++) {
        assert_int_equal(mkv_slab_order(order_bytes(order)), order);
        if (order < MKV_SLAB_ORDER_MAX) {
            assert_int_equal(mkv_slab_order(order_bytes(order) + 1), order + 1);
        }
    }
    expect_assert_failure(mkv_slab_order(MKV_BLOCK_BYTES_MAX + 1));
}

static void test_slab__every_unit_count__all_units_can_be_allocated_once(void **state) {
    (void)state;
    for (uint32_t unit_count = 1; unit_count <= 1100; unit_count += unit_count < 70 ? 1 : 57) {
        struct fixture fixture = fixture_make(unit_count);
        bool seen[UNITS_MAX] = {false};
        struct mkv_slab slab;
        for (uint32_t count = 0; count < unit_count; count++) {
            assert_true(mkv_slab_alloc(fixture.pool, 1, &slab));
            assert_true(slab.index < unit_count);
            assert_false(seen[slab.index]);
            seen[slab.index] = true;
        }
        assert_false(mkv_slab_alloc(fixture.pool, 1, &slab));
        assert_int_equal(mkv_slab_units_free(fixture.pool), 0);
        fixture_free(&fixture);
    }
}

static void test_slab__group_and_a_half__largest_fits_in_the_whole_group_alone(void **state) {
    (void)state;
    struct fixture fixture = fixture_make(MKV_SLAB_GROUP_UNITS + MKV_SLAB_GROUP_UNITS / 2);
    struct mkv_slab first;
    struct mkv_slab second;
    assert_true(mkv_slab_alloc(fixture.pool, MKV_BLOCK_BYTES_MAX, &first));
    assert_int_equal(first.index, 0);
    assert_false(mkv_slab_alloc(fixture.pool, MKV_BLOCK_BYTES_MAX, &second));
    assert_true(mkv_slab_alloc(fixture.pool, MKV_BLOCK_BYTES_MAX / 2, &second));
    assert_int_equal(second.index, MKV_SLAB_GROUP_UNITS);
    mkv_slab_free(fixture.pool, first);
    mkv_slab_free(fixture.pool, second);
    assert_true(mkv_slab_alloc(fixture.pool, MKV_BLOCK_BYTES_MAX, &first));
    fixture_free(&fixture);
}

static void test_slab__double_free__is_an_assertion(void **state) {
    (void)state;
    struct fixture fixture = fixture_make(64);
    struct mkv_slab a;
    struct mkv_slab b;
    assert_true(mkv_slab_alloc(fixture.pool, order_bytes(1), &a));
    assert_true(mkv_slab_alloc(fixture.pool, order_bytes(1), &b));
    expect_assert_failure(mkv_slab_free(fixture.pool, (struct mkv_slab){a.index + 1}));
    expect_assert_failure(mkv_slab_free(fixture.pool, (struct mkv_slab){64}));
    mkv_slab_free(fixture.pool, a);
    expect_assert_failure(mkv_slab_free(fixture.pool, a));
    mkv_slab_free(fixture.pool, b);
    /* Both merged into a larger run by now. */
    expect_assert_failure(mkv_slab_free(fixture.pool, a));
    expect_assert_failure(mkv_slab_free(fixture.pool, b));
    fixture_free(&fixture);
}

/* ---- against a model ------------------------------------------------------------------------- */

struct model {
    bool used[UNITS_MAX];
    struct {
        struct mkv_slab slab;
        uint32_t order;
    } slabs[UNITS_MAX];
    uint32_t slab_count;
    uint32_t units_used;
};

static uint64_t random_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Whether an aligned run of free units of that order exists: when not, an allocation must fail, and
 * when it does, it must succeed, or buddies were not merged. */
static bool model_has_run(const struct model *model, uint32_t unit_count, uint32_t order) {
    const uint32_t units = 1u << order;
    for (uint32_t start = 0; start + units <= unit_count; start += units) {
        uint32_t free_units = 0;
        while (free_units < units && !model->used[start + free_units]) {
            free_units++;
        }
        if (free_units == units) {
            return true;
        }
    }
    return false;
}

static void model_alloc(struct fixture *fixture, struct model *model, uint32_t order) {
    struct mkv_slab slab;
    const bool has_run = model_has_run(model, fixture->unit_count, order);
    assert_int_equal(mkv_slab_alloc(fixture->pool, order_bytes(order), &slab), has_run);
    if (!has_run) {
        return;
    }
    assert_int_equal(slab.index % (1u << order), 0);
    assert_true(slab.index + (1u << order) <= fixture->unit_count);
    for (uint32_t unit = slab.index; unit < slab.index + (1u << order); unit++) {
        assert_false(model->used[unit]);
        model->used[unit] = true;
    }
    assert_int_equal(mkv_slab_units(fixture->pool, slab), 1u << order);
    model->slabs[model->slab_count].slab = slab;
    model->slabs[model->slab_count++].order = order;
    model->units_used += 1u << order;
}

static void model_free(struct fixture *fixture, struct model *model, uint32_t position) {
    const struct mkv_slab slab = model->slabs[position].slab;
    const uint32_t order = model->slabs[position].order;
    mkv_slab_free(fixture->pool, slab);
    memset(&model->used[slab.index], 0, 1u << order);
    model->units_used -= 1u << order;
    model->slabs[position] = model->slabs[--model->slab_count];
}

static void model_compare(const struct fixture *fixture, const struct model *model) {
    uint32_t by_order[MKV_SLAB_ORDER_COUNT] = {0};
    for (uint32_t position = 0; position < model->slab_count; position++) {
        by_order[model->slabs[position].order]++;
    }
    for (uint32_t order = 0; order < MKV_SLAB_ORDER_COUNT; order++) {
        assert_int_equal(mkv_slab_allocated(fixture->pool, order), by_order[order]);
    }
    assert_int_equal(mkv_slab_units_free(fixture->pool), fixture->unit_count - model->units_used);
}

static void run_model(uint32_t unit_count, uint64_t seed) {
    struct fixture fixture = fixture_make(unit_count);
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    for (uint32_t turn = 0; turn < 4000; turn++) {
        /* Phases of filling and of draining, so that both ends are met. */
        const bool fill = random_next(&seed) % 100 < ((turn / 500) % 2 == 0 ? 70u : 30u);
        if (fill) {
            model_alloc(&fixture, model, (uint32_t)(random_next(&seed) % MKV_SLAB_ORDER_COUNT));
        } else if (model->slab_count > 0) {
            model_free(&fixture, model, (uint32_t)(random_next(&seed) % model->slab_count));
        }
        model_compare(&fixture, model);
    }
    while (model->slab_count > 0) {
        model_free(&fixture, model, model->slab_count - 1);
    }
    model_compare(&fixture, model);
    /* I2: what was split is whole again. */
    for (uint32_t group = 0; group < unit_count / MKV_SLAB_GROUP_UNITS; group++) {
        model_alloc(&fixture, model, MKV_SLAB_ORDER_MAX);
    }
    assert_int_equal(model->slab_count, unit_count / MKV_SLAB_GROUP_UNITS);
    free(model);
    fixture_free(&fixture);
}

static void test_slab__random_use__agrees_with_a_model(void **state) {
    (void)state;
    const uint32_t unit_counts[] = {1, 7, 64, 511, 512, 513, 1024, 1337, 2048};
    for (uint32_t index = 0; index < sizeof unit_counts / sizeof unit_counts[0]; index++) {
        run_model(unit_counts[index], 0x9e3779b97f4a7c15u + index);
    }
}

static void test_slab__copy_of_the_memory__goes_on_alike(void **state) {
    (void)state;
    struct fixture original = fixture_make(100);
    struct mkv_slab slab;
    assert_true(mkv_slab_alloc(original.pool, order_bytes(3), &slab));
    struct fixture copy = fixture_make(100);
    memcpy(copy.memory, original.memory, mkv_slab_memory_required(100));
    free(original.memory);
    mkv_slab_free(copy.pool, slab);
    assert_int_equal(mkv_slab_units_free(copy.pool), 100);
    fixture_free(&copy);
}

static void test_slab__runs__tell_their_units_and_whether_they_are_in_use(void **state) {
    (void)state;
    void *memory = aligned_alloc(64, mkv_slab_memory_required(16));
    assert_non_null(memory);
    struct mkv_slab_pool *pool = mkv_slab_init(memory, mkv_slab_memory_required(16), 16);
    struct mkv_slab slab;
    assert_true(mkv_slab_alloc(pool, 3 * MKV_SLAB_UNIT_PAYLOAD_BYTES, &slab));
    bool is_allocated = false;
    assert_int_equal(mkv_slab_run_units(pool, 0, &is_allocated), 4);
    assert_true(is_allocated);
    assert_int_equal(mkv_slab_run_units(pool, 4, &is_allocated), 4);
    assert_false(is_allocated);
    assert_int_equal(mkv_slab_run_units(pool, 8, &is_allocated), 8);
    assert_false(is_allocated);
    free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slab_order__at_the_bounds__is_the_least_that_holds_the_payload),
        cmocka_unit_test(test_slab__every_unit_count__all_units_can_be_allocated_once),
        cmocka_unit_test(test_slab__group_and_a_half__largest_fits_in_the_whole_group_alone),
        cmocka_unit_test(test_slab__double_free__is_an_assertion),
        cmocka_unit_test(test_slab__random_use__agrees_with_a_model),
        cmocka_unit_test(test_slab__copy_of_the_memory__goes_on_alike),
        cmocka_unit_test(test_slab__runs__tell_their_units_and_whether_they_are_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
