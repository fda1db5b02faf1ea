/* SPDX-License-Identifier: Apache-2.0 */
#include "core/geometry.h"

#include "tests/unit/core/samples.h"
#include "tests/unit/core/test.h"

#define UNITS_PER_GIB (MKV_GIB / MKV_UNIT_BYTES)

struct region {
    uint64_t start;
    uint64_t end;
};

#define REGIONS_MAX 16

static int region_compare(const void *a, const void *b) {
    const struct region *left = a;
    const struct region *right = b;
    return left->start < right->start ? -1 : left->start > right->start;
}

/* Every region that the accessors name, in the order of their addresses. */
static uint32_t regions_collect(const struct mkv_geometry *geometry,
                                struct region regions[REGIONS_MAX]) {
    uint32_t count = 0;
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const uint64_t at = mkv_geometry_superblock(geometry->capacity_units, copy).unit;
        regions[count++] = (struct region){at, at + 1};
    }
    for (uint32_t copy = 0; copy < MKV_JOURNAL_COPIES; copy++) {
        const uint64_t first = mkv_geometry_journal(geometry, copy, 0).unit;
        const uint64_t last = mkv_geometry_journal(geometry, copy, geometry->ring_blocks - 1).unit;
        assert_int_equal(last - first, geometry->ring_blocks - 1);
        regions[count++] = (struct region){first, last + 1};
    }
    for (uint32_t side = 0; side < MKV_CHECKPOINT_SIDES; side++) {
        const uint64_t head = mkv_geometry_checkpoint(geometry, side).unit;
        regions[count++] =
            (struct region){head, head + 1 + geometry->tenant_units + geometry->page_count};
    }
    const uint64_t directory = mkv_geometry_directory(geometry).unit;
    regions[count++] = (struct region){directory, directory + geometry->directory_units};
    const uint64_t data = mkv_geometry_data_start(geometry).unit;
    const struct mkv_extent last = {geometry->extent_count - 1};
    assert_int_equal(mkv_geometry_extent(geometry, (struct mkv_extent){0}).unit, data);
    assert_int_equal(mkv_geometry_extent(geometry, last).unit + geometry->extent_units,
                     data + mkv_geometry_usable_units(geometry));
    regions[count++] = (struct region){data, data + mkv_geometry_usable_units(geometry)};
    qsort(regions, count, sizeof regions[0], region_compare);
    return count;
}

/* I1 */
static void check_regions(const struct mkv_geometry *geometry) {
    struct region regions[REGIONS_MAX];
    const uint32_t count = regions_collect(geometry, regions);
    for (uint32_t index = 0; index + 1 < count; index++) {
        assert_true(regions[index].start < regions[index].end);
        assert_true(regions[index].end <= regions[index + 1].start);
    }
    assert_int_equal(regions[count - 1].end, geometry->capacity_units);
}

/* A capacity whose magnitude is spread evenly between 128 units and 16 TB. */
static uint64_t random_capacity(struct sample_random *source) {
    const uint64_t low = 128;
    const uint64_t high = 16000000000000ull / MKV_UNIT_BYTES;
    const uint64_t top = low << sample_random_below(source, 26);
    return mkv_min_u64(high, top + sample_random_below(source, top));
}

static void test_geometry__default_figures_of_many_capacities__regions_apart(void **state) {
    (void)state;
    struct sample_random source = {.state = 1};
    const struct mkv_geometry_options defaults = {0};
    uint32_t planned = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        const uint64_t capacity = random_capacity(&source);
        struct mkv_geometry geometry;
        const enum mkv_err err = mkv_geometry_plan(capacity, &defaults, &geometry);
        if (err != MKV_OK) {
            /* Less than a MiB has no room for a default ring. */
            assert_int_equal(err, MKV_ERR_TOO_SMALL);
            assert_true(capacity < 256);
            continue;
        }
        planned++;
        assert_true(mkv_geometry_valid(&geometry));
        check_regions(&geometry);
        /* What is left over is less than an extent. */
        const uint64_t data_end =
            mkv_geometry_data_start(&geometry).unit + mkv_geometry_usable_units(&geometry);
        assert_true(capacity - 9 - data_end < geometry.extent_units);
        /* Metadata stays a small part of any drive that is not tiny. */
        if (capacity >= 16384) {
            assert_true(mkv_geometry_usable_units(&geometry) >= capacity / 100 * 70);
        }
    }
    assert_true(planned > 18000);
}

static void test_geometry__given_figures_of_many_capacities__kept_and_regions_apart(void **state) {
    (void)state;
    struct sample_random source = {.state = 2};
    uint32_t outcomes[3] = {0};
    for (uint32_t round = 0; round < 20000; round++) {
        const uint64_t capacity = random_capacity(&source);
        const struct mkv_geometry_options options = {
            .ring_blocks = (uint32_t)(8 + sample_random_below(&source, 1 + capacity / 2)),
            .slots_max = (uint32_t)(1 + sample_random_below(&source, 1 + capacity * 8)),
            .extent_units = (uint32_t)(2 + sample_random_below(&source, capacity)),
        };
        struct mkv_geometry geometry;
        const enum mkv_err err = mkv_geometry_plan(capacity, &options, &geometry);
        if (err == MKV_OK) {
            assert_int_equal(geometry.ring_blocks, options.ring_blocks);
            assert_int_equal(geometry.extent_units, options.extent_units);
            assert_true((uint64_t)geometry.page_count * MKV_PAGE_SLOTS >= options.slots_max);
            assert_true((uint64_t)(geometry.page_count - 1) * MKV_PAGE_SLOTS < options.slots_max);
            assert_true(mkv_geometry_valid(&geometry));
            check_regions(&geometry);
        }
        outcomes[err == MKV_OK ? 0 : err == MKV_ERR_TOO_SMALL ? 1 : 2]++;
    }
    assert_true(outcomes[0] > 1000);
    assert_true(outcomes[1] > 1000);
}

static void test_geometry__known_drives__documented_figures(void **state) {
    (void)state;
    const struct mkv_geometry_options defaults = {0};
    struct mkv_geometry geometry;

    /* 1 GiB: extents of 64 MiB, a ring of 1/256, the least slot table, and a page for each extent
     * (262144 / 16384). */
    assert_int_equal(mkv_geometry_plan(UNITS_PER_GIB, &defaults, &geometry), MKV_OK);
    assert_int_equal(geometry.extent_units, 64 * MKV_MIB / MKV_UNIT_BYTES);
    assert_int_equal(geometry.ring_blocks, 1024);
    assert_int_equal(geometry.page_count, 25 + 16);
    assert_int_equal(geometry.directory_units, 41 * 168 * 256 / 4096 + 1);
    assert_int_equal(geometry.tenant_units, 25);
    assert_int_equal(geometry.extent_count, 15);

    /* 64 MiB: extents of an eighth. */
    assert_int_equal(mkv_geometry_plan(16384, &defaults, &geometry), MKV_OK);
    assert_int_equal(geometry.extent_units, 2048);
    assert_int_equal(geometry.ring_blocks, 64);
    assert_int_equal(geometry.page_count, 25 + 8);
    assert_int_equal(geometry.extent_count, 7);

    /* 1 MiB, about the least that defaults allow: the table takes an eighth at most. */
    assert_int_equal(mkv_geometry_plan(256, &defaults, &geometry), MKV_OK);
    assert_int_equal(geometry.extent_units, 32);
    assert_int_equal(geometry.ring_blocks, 64);
    assert_int_equal(geometry.page_count, 15 + 8);
    assert_int_equal(geometry.extent_count, 1);

    /* 16 TB: extents of 1 GiB, a slot for each 256 KiB. */
    const uint64_t capacity = 16000000000000ull / MKV_UNIT_BYTES;
    assert_int_equal(mkv_geometry_plan(capacity, &defaults, &geometry), MKV_OK);
    assert_int_equal(geometry.extent_units, UNITS_PER_GIB);
    assert_int_equal(geometry.ring_blocks, 65536);
    assert_int_equal(geometry.page_count,
                     mkv_divide_up_u64((capacity - 16 - 9 - 131072) / 64, MKV_PAGE_SLOTS) +
                         capacity / UNITS_PER_GIB);
    assert_int_equal(geometry.extent_count, 14882);
}

static void test_geometry__least_drive__planned_and_one_unit_less_refused(void **state) {
    (void)state;
    const struct mkv_geometry_options least = {
        .ring_blocks = MKV_RING_BLOCKS_MIN, .slots_max = 1, .extent_units = MKV_EXTENT_UNITS_MIN};
    struct mkv_geometry geometry;
    assert_int_equal(mkv_geometry_plan(MKV_CAPACITY_UNITS_MIN, &least, &geometry), MKV_OK);
    assert_int_equal(geometry.extent_count, 1);
    check_regions(&geometry);
    assert_int_equal(mkv_geometry_plan(MKV_CAPACITY_UNITS_MIN - 1, &least, &geometry),
                     MKV_ERR_TOO_SMALL);
    assert_int_equal(mkv_geometry_plan(0, &least, &geometry), MKV_ERR_TOO_SMALL);
}

static void test_geometry__figures_outside_the_format__named_error(void **state) {
    (void)state;
    struct mkv_geometry geometry;
    const struct mkv_geometry_options ring = {.ring_blocks = MKV_RING_BLOCKS_MIN - 1};
    assert_int_equal(mkv_geometry_plan(100000, &ring, &geometry), MKV_ERR_TOO_SMALL);
    const struct mkv_geometry_options extent = {.extent_units = 1};
    assert_int_equal(mkv_geometry_plan(100000, &extent, &geometry), MKV_ERR_TOO_SMALL);
    const struct mkv_geometry_options large = {.extent_units = 100000};
    assert_int_equal(mkv_geometry_plan(100000, &large, &geometry), MKV_ERR_TOO_SMALL);
    const struct mkv_geometry_options many = {.slots_max = 1, .extent_units = 2};
    assert_int_equal(mkv_geometry_plan(1000000, &many, &geometry), MKV_ERR_TOO_LARGE);
    const struct mkv_geometry_options slots = {.slots_max = UINT32_MAX};
    assert_int_equal(mkv_geometry_plan(1ull << 40, &slots, &geometry), MKV_ERR_TOO_LARGE);
    const struct mkv_geometry_options defaults = {0};
    assert_int_equal(mkv_geometry_plan(UINT64_MAX, &defaults, &geometry), MKV_ERR_TOO_LARGE);
    assert_int_equal(mkv_geometry_plan(MKV_CAPACITY_UNITS_MAX, &defaults, &geometry),
                     MKV_ERR_TOO_LARGE);
}

/* The rule of mkv_geometry_valid once more, in arithmetic that cannot wrap. */
static bool naive_valid(const struct mkv_geometry *geometry) {
    __extension__ typedef unsigned __int128 wide;
    const wide metadata = (wide)16 + (wide)2 * geometry->ring_blocks +
                          (wide)2 * ((wide)geometry->page_count + geometry->tenant_units + 1) +
                          geometry->directory_units;
    const wide data = (wide)geometry->extent_count * geometry->extent_units;
    const bool bounds =
        geometry->ring_blocks >= 8 && geometry->page_count >= 1 && geometry->tenant_units >= 1 &&
        geometry->tenant_units <= 256 && geometry->directory_units >= 16 &&
        (wide)geometry->page_count * 168 <= UINT32_MAX && geometry->extent_units >= 2 &&
        geometry->extent_count >= 1 && geometry->extent_count <= 65536 &&
        (wide)geometry->capacity_units * 4096 < (wide)1 << 63;
    return bounds && metadata + data + 9 <= geometry->capacity_units;
}

static void test_geometry_valid__random_figures__agrees_with_wide_arithmetic(void **state) {
    (void)state;
    struct sample_random source = {.state = 3};
    uint32_t valid_count = 0;
    for (uint32_t round = 0; round < 200000; round++) {
        const uint64_t shift = sample_random_below(&source, 64);
        const struct mkv_geometry geometry = {
            .capacity_units = sample_random_next(&source) >> shift,
            .ring_blocks =
                (uint32_t)(sample_random_next(&source) >> (32 + sample_random_below(&source, 32))),
            .tenant_units = (uint32_t)sample_random_below(&source, 258),
            .page_count =
                (uint32_t)(sample_random_next(&source) >> (32 + sample_random_below(&source, 32))),
            .directory_units =
                (uint32_t)(sample_random_next(&source) >> (32 + sample_random_below(&source, 30))),
            .extent_units =
                (uint32_t)(sample_random_next(&source) >> (32 + sample_random_below(&source, 32))),
            .extent_count =
                (uint32_t)(sample_random_next(&source) >> (32 + sample_random_below(&source, 32))),
        };
        const bool valid = mkv_geometry_valid(&geometry);
        assert_int_equal(valid, naive_valid(&geometry));
        valid_count += valid ? 1 : 0;
    }
    assert_true(valid_count > 1000);
}

static void test_geometry_valid__one_unit_short__refused(void **state) {
    (void)state;
    struct mkv_geometry geometry = {.ring_blocks = 64,
                                    .tenant_units = 3,
                                    .page_count = 25,
                                    .directory_units = 17,
                                    .extent_units = 128,
                                    .extent_count = 6};
    geometry.capacity_units = 16 + 2 * 64 + 2 * 29 + 17 + 6 * 128 + 9;
    assert_true(mkv_geometry_valid(&geometry));
    geometry.capacity_units--;
    assert_false(mkv_geometry_valid(&geometry));
    geometry.capacity_units += 1000; /* Capacity beyond the last extent is allowed. */
    assert_true(mkv_geometry_valid(&geometry));
}

static void test_geometry_valid__counts_at_their_bounds__accepted_within_only(void **state) {
    (void)state;
    struct mkv_geometry geometry = {.capacity_units = MKV_CAPACITY_UNITS_MAX,
                                    .ring_blocks = MKV_RING_BLOCKS_MIN,
                                    .tenant_units = MKV_TENANT_UNITS_MAX,
                                    .page_count = MKV_PAGES_MAX,
                                    .directory_units = MKV_DIRECTORY_UNITS_MIN,
                                    .extent_units = MKV_EXTENT_UNITS_MIN,
                                    .extent_count = MKV_EXTENTS_MAX};
    assert_true(mkv_geometry_valid(&geometry));
    geometry.extent_count++;
    assert_false(mkv_geometry_valid(&geometry));
    geometry.extent_count = 1;
    geometry.page_count++;
    assert_false(mkv_geometry_valid(&geometry));
    geometry.page_count = 1;
    assert_true(mkv_geometry_valid(&geometry));
    geometry.tenant_units++;
    assert_false(mkv_geometry_valid(&geometry));
    geometry.tenant_units = 0;
    assert_false(mkv_geometry_valid(&geometry));
    geometry.tenant_units = 1;
    geometry.directory_units--;
    assert_false(mkv_geometry_valid(&geometry));
    geometry.directory_units++;
    assert_true(mkv_geometry_valid(&geometry));
    geometry.capacity_units++;
    assert_false(mkv_geometry_valid(&geometry));
}

static void test_geometry__superblock_copies__first_and_last_units(void **state) {
    (void)state;
    assert_int_equal(mkv_geometry_superblock(1024, 0).unit, 0);
    assert_int_equal(mkv_geometry_superblock(1024, 1).unit, 8);
    assert_int_equal(mkv_geometry_superblock(1024, 2).unit, 1015);
    assert_int_equal(mkv_geometry_superblock(1024, 3).unit, 1023);
}

static void test_geometry__index_out_of_range__assertion(void **state) {
    (void)state;
    const struct mkv_geometry geometry = sample_superblock().geometry;
    expect_assert_failure((void)mkv_geometry_superblock(1024, MKV_SUPERBLOCK_COPIES));
    expect_assert_failure((void)mkv_geometry_superblock(MKV_CAPACITY_UNITS_MIN - 1, 0));
    expect_assert_failure((void)mkv_geometry_journal(&geometry, 2, 0));
    expect_assert_failure((void)mkv_geometry_journal(&geometry, 0, geometry.ring_blocks));
    expect_assert_failure((void)mkv_geometry_checkpoint(&geometry, 2));
    expect_assert_failure((void)mkv_geometry_extent(&geometry, (struct mkv_extent){6}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_geometry__default_figures_of_many_capacities__regions_apart),
        cmocka_unit_test(test_geometry__given_figures_of_many_capacities__kept_and_regions_apart),
        cmocka_unit_test(test_geometry__known_drives__documented_figures),
        cmocka_unit_test(test_geometry__least_drive__planned_and_one_unit_less_refused),
        cmocka_unit_test(test_geometry__figures_outside_the_format__named_error),
        cmocka_unit_test(test_geometry_valid__random_figures__agrees_with_wide_arithmetic),
        cmocka_unit_test(test_geometry_valid__one_unit_short__refused),
        cmocka_unit_test(test_geometry_valid__counts_at_their_bounds__accepted_within_only),
        cmocka_unit_test(test_geometry__superblock_copies__first_and_last_units),
        cmocka_unit_test(test_geometry__index_out_of_range__assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
