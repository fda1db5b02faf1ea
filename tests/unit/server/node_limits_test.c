/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_weights(const uint64_t *units, uint32_t count, const uint32_t *expected) {
    uint32_t weights[MKV_VOLUMES_MAX];
    mkv_node_weights(units, count, weights);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(weights[i], expected[i]);
    }
}

static void test_weights__equal_or_nearly__one_each(void **state) {
    (void)state;
    static const uint64_t one[] = {123};
    static const uint64_t equal[] = {1000, 1000, 1000};
    static const uint64_t nearly[] = {1000, 1062, 1000};
    static const uint32_t expected[] = {1, 1, 1};
    expect_weights(one, 1, expected);
    expect_weights(equal, 3, expected);
    expect_weights(nearly, 3, expected);
}

static void test_weights__unequal__by_size_and_in_bounds(void **state) {
    (void)state;
    static const uint64_t halves[] = {1000, 1500, 2000};
    static const uint32_t expected_halves[] = {8, 12, 16};
    static const uint64_t far_apart[] = {1, (1ull << 51) - 1};
    static const uint32_t expected_far_apart[] = {8, MKV_PLACEMENT_WEIGHT_MAX};
    expect_weights(halves, 3, expected_halves);
    expect_weights(far_apart, 2, expected_far_apart);
}

static void test_front_config__every_block_size__has_no_fault(void **state) {
    (void)state;
    static struct mkv_node node;
    struct mkv_backend_error error;
    mkv_config_defaults(&node.config, true);
    node.drive_count = 1;
    node.plan.drive_uuids[0].bytes[0] = 1;
    assert_int_equal(mkv_geometry_plan(1u << 20, &(struct mkv_geometry_options){0},
                                       &node.drives[0].volume.geometry),
                     MKV_OK);
    assert_true(mkv_node_limits_raise(&node, &error));
    assert_true(node.connections_max >= 16);
    for (uint64_t bytes = 64 * MKV_KIB; bytes <= 32 * MKV_MIB; bytes += 192 * MKV_KIB) {
        struct mkv_front_config front;
        struct mkv_fabric_tcp_options tcp;
        node.config.storage.block_bytes_max = bytes;
        mkv_node_front_config(&node, 3855, &front);
        assert_null(mkv_front_config_fault(&front));
        mkv_node_tcp_options(&node, &front, &tcp);
        assert_int_equal(tcp.hello.block_bytes_max, front.block_bytes_max);
        assert_true(front.volume_ops_max >= MKV_FRONT_VOLUME_OPS_MIN);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights__equal_or_nearly__one_each),
        cmocka_unit_test(test_weights__unequal__by_size_and_in_bounds),
        cmocka_unit_test(test_front_config__every_block_size__has_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
