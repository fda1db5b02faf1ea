/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/rdma_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/backends/fake_machine.h"

static int set_up(void **state) {
    struct fake_machine *machine = calloc(1, sizeof *machine);
    assert_non_null(machine);
    fake_machine_make(machine);
    *state = machine;
    return 0;
}

static int tear_down(void **state) {
    struct fake_machine *machine = *state;
    fake_machine_remove(machine);
    free(machine);
    return 0;
}

#define DEVICE "sys/class/infiniband/mlx5_0/"
#define PORT DEVICE "ports/1/"

/* A RoCE port with the GIDs that such a device usually has: link-local ones, and one of IPv4, each
 * of both versions. */
static void add_roce(const struct fake_machine *machine) {
    static const struct {
        const char *path;
        const char *text;
    } files[] = {
        {DEVICE "fw_ver", "22.35.1012\n"},
        {DEVICE "device/numa_node", "1\n"},
        {PORT "state", "4: ACTIVE\n"},
        {PORT "link_layer", "Ethernet\n"},
        {PORT "rate", "200 Gb/sec (4X HDR)\n"},
        {PORT "gids/0", "fe80:0000:0000:0000:0ac0:ebff:fe12:3456\n"},
        {PORT "gid_attrs/types/0", "IB/RoCE v1\n"},
        {PORT "gids/1", "fe80:0000:0000:0000:0ac0:ebff:fe12:3456\n"},
        {PORT "gid_attrs/types/1", "RoCE v2\n"},
        {PORT "gids/2", "0000:0000:0000:0000:0000:ffff:0a00:0007\n"},
        {PORT "gid_attrs/types/2", "IB/RoCE v1\n"},
        {PORT "gids/3", "0000:0000:0000:0000:0000:ffff:0a00:0007\n"},
        {PORT "gid_attrs/types/3", "RoCE v2\n"},
        {PORT "gid_attrs/ndevs/3", "ens1f0np0\n"},
        {PORT "gids/4", "2001:0db8:0000:0000:0000:0000:0000:0001\n"},
        {PORT "gid_attrs/types/4", "RoCE v2\n"},
        {"sys/class/net/ens1f0np0/mtu", "9000\n"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        fake_machine_write(machine, files[i].path, files[i].text);
    }
}

static void test_list__no_rdma__none(void **state) {
    const struct fake_machine *machine = *state;
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    assert_int_equal(mkv_rdma_list(&machine->roots, ports, MKV_RDMA_PORTS_MAX), 0);
}

static void test_list__roce__the_gid_of_version_2_with_the_address(void **state) {
    const struct fake_machine *machine = *state;
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    add_roce(machine);
    assert_int_equal(mkv_rdma_list(&machine->roots, ports, MKV_RDMA_PORTS_MAX), 1);
    assert_string_equal(ports[0].device, "mlx5_0");
    assert_int_equal(ports[0].port, 1);
    assert_true(ports[0].active);
    assert_string_equal(ports[0].state, "ACTIVE");
    assert_true(ports[0].ethernet);
    assert_string_equal(ports[0].rate, "200 Gb/sec (4X HDR)");
    assert_string_equal(ports[0].firmware, "22.35.1012");
    assert_int_equal(ports[0].numa_node, 1);
    assert_int_equal(ports[0].gid_index, 3);
    assert_string_equal(ports[0].address, "10.0.0.7");
    assert_string_equal(ports[0].interface, "ens1f0np0");
    assert_int_equal(ports[0].mtu, 9000);
}

static void test_list__ipv6_alone_and_infiniband__address_or_none(void **state) {
    const struct fake_machine *machine = *state;
    struct mkv_rdma_port ports[MKV_RDMA_PORTS_MAX];
    add_roce(machine);
    fake_machine_write(machine, PORT "gid_attrs/types/3", "IB/RoCE v1\n");
    fake_machine_write(machine, "sys/class/infiniband/mlx5_10/ports/1/state", "1: DOWN\n");
    fake_machine_write(machine, "sys/class/infiniband/mlx5_10/ports/1/link_layer", "InfiniBand\n");
    fake_machine_write(machine, "sys/class/infiniband/mlx5_2/ports/1/state", "4: ACTIVE\n");
    fake_machine_write(machine, "sys/class/infiniband/mlx5_2/ports/2/state", "4: ACTIVE\n");
    assert_int_equal(mkv_rdma_list(&machine->roots, ports, MKV_RDMA_PORTS_MAX), 4);
    assert_int_equal(ports[0].gid_index, 4);
    assert_string_equal(ports[0].address, "2001:db8::1");
    assert_string_equal(ports[1].device, "mlx5_2");
    assert_string_equal(ports[2].device, "mlx5_2");
    assert_int_equal(ports[2].port, 2);
    assert_string_equal(ports[3].device, "mlx5_10");
    assert_false(ports[3].active);
    assert_string_equal(ports[3].state, "DOWN");
    assert_false(ports[3].ethernet);
    assert_int_equal(ports[3].gid_index, -1);
    assert_string_equal(ports[3].address, "");
    assert_int_equal(mkv_rdma_list(&machine->roots, ports, 2), 2);
}

static void test_troubles__each_driver_calls_them_its_own__found(void **state) {
    const struct fake_machine *machine = *state;
    struct mkv_rdma_troubles troubles;
    mkv_rdma_troubles_read(&machine->roots, "mlx5_0", 1, &troubles);
    assert_int_equal(troubles.told, 0);
    add_roce(machine);
    fake_machine_write(machine, PORT "hw_counters/rnr_nak_retry_err", "7\n");
    fake_machine_write(machine, PORT "hw_counters/local_ack_timeout_err", "18446744073709551615\n");
    fake_machine_write(machine, PORT "hw_counters/lifespan", "10\n");
    mkv_rdma_troubles_read(&machine->roots, "mlx5_0", 1, &troubles);
    assert_int_equal(troubles.told, 1u << MKV_RDMA_RNR_RECEIVED | 1u << MKV_RDMA_RETRIED);
    assert_true(troubles.counts[MKV_RDMA_RNR_RECEIVED] == 7);
    assert_true(troubles.counts[MKV_RDMA_RETRIED] == UINT64_MAX);
    mkv_rdma_troubles_read(&machine->roots, "mlx5_0", 2, &troubles);
    assert_int_equal(troubles.told, 0);
    static const char *const of_rxe[] = {
        "rcvd_rnr_err",       "send_rnr_err",       "retry_rnr_exceeded_err", "completer_retry_err",
        "retry_exceeded_err", "out_of_seq_request", "rcvd_seq_err",           "duplicate_request"};
    for (uint32_t index = 0; index < MKV_RDMA_TROUBLE_COUNT; index++) {
        char path[128];
        char text[16];
        snprintf(path, sizeof path, "sys/class/infiniband/rxe0/ports/1/hw_counters/%s",
                 of_rxe[index]);
        snprintf(text, sizeof text, "%u\n", 100 + index);
        fake_machine_write(machine, path, text);
    }
    mkv_rdma_troubles_read(&machine->roots, "rxe0", 1, &troubles);
    assert_int_equal(troubles.told, (1u << MKV_RDMA_TROUBLE_COUNT) - 1);
    for (uint32_t index = 0; index < MKV_RDMA_TROUBLE_COUNT; index++) {
        assert_int_equal(troubles.counts[index], 100 + index);
    }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_list__no_rdma__none),
        CASE(test_list__roce__the_gid_of_version_2_with_the_address),
        CASE(test_troubles__each_driver_calls_them_its_own__found),
        CASE(test_list__ipv6_alone_and_infiniband__address_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
