/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
        cmocka_unit_test(test_front_config__every_block_size__has_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
