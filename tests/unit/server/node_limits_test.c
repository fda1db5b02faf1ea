/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct mkv_node node;

static void set_up_node(void) {
    struct mkv_backend_error error;
    memset(&node, 0, sizeof node);
    mkv_config_defaults(&node.config, true);
    node.drive_count = 1;
    node.plan.drive_uuids[0].bytes[0] = 1;
    assert_int_equal(mkv_geometry_plan(1u << 20, &(struct mkv_geometry_options){0},
                                       &node.drives[0].volume.geometry),
                     MKV_OK);
    assert_true(mkv_node_limits_raise(&node, &error));
}

static void test_front_config__every_block_size__has_no_fault(void **state) {
    (void)state;
    set_up_node();
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

/* A shard without drives has the units of one slab of the largest blocks, and a few more. */
static void test_front_config__least_units_of_a_shard__has_no_fault(void **state) {
    (void)state;
    set_up_node();
    for (uint32_t units = MKV_SLAB_GROUP_UNITS; units <= 2 * MKV_SLAB_GROUP_UNITS; units++) {
        struct mkv_front_config front;
        mkv_node_front_config(&node, units, &front);
        assert_null(mkv_front_config_fault(&front));
    }
    struct mkv_front_config front;
    mkv_node_front_config(&node, 3855, &front);
    assert_int_equal(front.slab_share_reads, 250);
}

/* A front may have no more at a volume than that takes, whatever memory there is. */
static void test_volume_limits__every_memory__are_those_of_the_front(void **state) {
    (void)state;
    set_up_node();
    for (uint64_t bytes = MKV_MIB; bytes <= 4 * MKV_GIB; bytes = bytes * 5 / 4) {
        for (node.drive_count = 1; node.drive_count <= 8; node.drive_count++) {
            struct mkv_front_config front;
            struct mkv_volume_config volume;
            node.config.memory.max_size_bytes = bytes;
            mkv_node_front_config(&node, 3855, &front);
            mkv_node_volume_limits(bytes, node.drive_count, &volume);
            assert_int_equal(front.volume_ops_max, volume.ops_max);
            assert_in_range(volume.ops_max, 256, 1024);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_front_config__every_block_size__has_no_fault),
        cmocka_unit_test(test_front_config__least_units_of_a_shard__has_no_fault),
        cmocka_unit_test(test_volume_limits__every_memory__are_those_of_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
